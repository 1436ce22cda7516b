//! The ten data sets of FedMultimodal: modalities, classes, folders.

use serde::{Deserialize, Serialize};

/// A data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Set {
    /// Activities, phone at the waist.
    UciHar,
    /// Activities, phone.
    KuHar,
    /// Electrocardiograms, multilabel.
    PtbXl,
    /// Emotions in a series, audio and text.
    Meld,
    /// Emotions of actors, audio and video.
    CremaD,
    /// Actions, audio and video.
    Ucf101,
    /// Moments in Time, 10 classes.
    Mit10,
    /// Moments in Time, 51 classes.
    Mit51,
    /// Tweets in disasters, image and text.
    CrisisMmd,
    /// Hateful memes, image and text.
    HatefulMemes,
}

/// One of a data set's two modalities.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Modality {
    /// Our name.
    pub name: &'static str,
    /// Folder below `feature/`.
    pub folder: &'static str,
    /// Folder of the features below it, where there is a choice: that of the reference's scripts.
    pub features: Option<&'static str>,
    /// Most steps; 1 for pooled features.
    pub time: usize,
    /// Features a step.
    pub width: usize,
}

/// What a natural client of a development or test sample is told by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    /// The first element of an item.
    Key,
    /// What stands before the slash in it.
    Before,
    /// The file name of the second element, up to `_`.
    File,
    /// Nothing.
    Unknown,
}

/// What is known of a data set.
#[derive(Debug)]
pub(crate) struct Source {
    /// The reference's name for it: folders and files.
    pub folder: &'static str,
    /// Modalities A and B.
    pub modalities: [Modality; 2],
    /// Classes.
    pub classes: usize,
    /// Whether samples may have several labels.
    pub multilabel: bool,
    /// Whether there is a folder an alpha.
    pub alpha: bool,
    /// Number of folds; 0 for none.
    pub folds: usize,
    /// Whose a development or test sample is.
    pub owner: Owner,
}

const fn plain(name: &'static str, folder: &'static str, time: usize, width: usize) -> Modality {
    Modality { name, folder, features: None, time, width }
}

const fn audio(time: usize) -> Modality {
    Modality { name: "audio", folder: "audio", features: Some("mfcc"), time, width: 80 }
}

const fn video(time: usize) -> Modality {
    Modality { name: "video", folder: "video", features: Some("mobilenet_v2"), time, width: 1280 }
}

const IMAGE: Modality = Modality { name: "image", folder: "img", features: Some("mobilenet_v2"), time: 1, width: 1280 };

/// Most tokens that are expected of a text: those of the data decide.
const TOKENS: usize = 128;
const TEXT: Modality =
    Modality { name: "text", folder: "text", features: Some("mobilebert"), time: TOKENS, width: 512 };

const fn natural(
    folder: &'static str,
    modalities: [Modality; 2],
    classes: usize,
    folds: usize,
    owner: Owner,
) -> Source {
    Source { folder, modalities, classes, multilabel: false, alpha: false, folds, owner }
}

const fn dealt(folder: &'static str, modalities: [Modality; 2], classes: usize, folds: usize, owner: Owner) -> Source {
    Source { folder, modalities, classes, multilabel: false, alpha: true, folds, owner }
}

const UCI_HAR: Source =
    dealt("uci-har", [plain("accelerometer", "acc", 128, 3), plain("gyroscope", "gyro", 128, 3)], 6, 0, Owner::Key);
const KU_HAR: Source =
    natural("ku-har", [plain("accelerometer", "acc", 128, 3), plain("gyroscope", "gyro", 128, 3)], 8, 5, Owner::File);
const PTB_XL: Source = Source {
    folder: "ptb-xl",
    modalities: [plain("limb_leads", "I_to_AVF", 1000, 6), plain("chest_leads", "V1_to_V6", 1000, 6)],
    classes: 5,
    multilabel: true,
    alpha: false,
    folds: 0,
    owner: Owner::Before,
};
const MELD: Source = natural("meld", [audio(1000), TEXT], 4, 0, Owner::Unknown);
const CREMA_D: Source = natural("crema_d", [audio(600), video(10)], 4, 5, Owner::Before);
const UCF101: Source = dealt("ucf101", [audio(500), video(10)], 51, 3, Owner::Unknown);
const MIT10: Source = dealt("mit10", [audio(150), video(8)], 10, 0, Owner::Unknown);
const MIT51: Source = dealt("mit51", [audio(150), video(8)], 51, 0, Owner::Unknown);
const CRISIS_MMD: Source = dealt("crisis-mmd", [IMAGE, TEXT], 8, 0, Owner::Unknown);
const HATEFUL_MEMES: Source = dealt("hateful_memes", [IMAGE, TEXT], 2, 0, Owner::Unknown);

impl Set {
    /// What is known of it.
    pub(crate) fn source(self) -> &'static Source {
        match self {
            Set::UciHar => &UCI_HAR,
            Set::KuHar => &KU_HAR,
            Set::PtbXl => &PTB_XL,
            Set::Meld => &MELD,
            Set::CremaD => &CREMA_D,
            Set::Ucf101 => &UCF101,
            Set::Mit10 => &MIT10,
            Set::Mit51 => &MIT51,
            Set::CrisisMmd => &CRISIS_MMD,
            Set::HatefulMemes => &HATEFUL_MEMES,
        }
    }
}

/// Width of features by their folder's name, where it is known.
pub(crate) fn width(features: &str) -> Option<usize> {
    match features {
        "mfcc" => Some(80),
        "mobilenet_v2" => Some(1280),
        "whisper_tiny" => Some(384),
        "bert" => Some(768),
        "mobilebert" => Some(512),
        _ => None,
    }
}
