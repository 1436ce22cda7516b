//! `crema-d`: emotions of actors, from the recordings and votes of CREMA-D.
//!
//! The folder holds `AudioWAV/<name>.wav` and `processedResults/summaryTable.csv`; `MultiModalVote` is the label, where it is one of
//! A (anger, 0), S (sadness, 1), H (happiness, 2) and N (neutral, 3); other votes and ties are left out, as by FedMultimodal, and so is
//! `1076_MTI_SAD_XX`, which holds no sound. One modality, `audio`: log-mel features `[T, 80]` of frames of 25 ms every 10 ms, cut to
//! `frames`. The natural client is the actor, the name's first four digits. `fold` holds out the actors of that one of 5 blocks (ids
//! ascending) for testing; without it `[split]` decides.
//!
//! The reference's video features come from a pretrained network: for both modalities read its pickles (`fedmultimodal`).
//!
//! By hand: `1001_DFA_ANG_XX` is actor 1001; a vote `A:N` is left out.
//!
//! Source: Cao et al., CREMA-D: Crowd-sourced Emotional Multimodal Actors Dataset, IEEE Transactions on Affective Computing 5(4), 2014.

use super::audio::{self, Level};
use super::fbank::BINS;
use super::folder::Folder;
use super::{Dataset, Labels, ModalityShape, Part, folds, table};
use crate::fault::{About, Checker, Parameter, Result};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// The folder with `AudioWAV`; relative to the scenario's folder.
    pub path: PathBuf,
    /// Fold from 1 to 5 whose actors are for testing; `[split]` decides without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fold: Option<usize>,
    /// Frames of a recording at most.
    #[serde(default = "frames")]
    pub frames: usize,
    /// Over what features are normalised.
    #[serde(default)]
    pub level: Level,
}

fn frames() -> usize {
    600
}

const CLASSES: [&str; 4] = ["anger", "sadness", "happiness", "neutral"];
const VOTES: [&str; 4] = ["A", "S", "H", "N"];
const FOLDS: usize = 5;
const SILENT: &str = "1076_MTI_SAD_XX";
const GET: &str = "clone https://github.com/CheyneyComputerScience/CREMA-D there (with git-lfs)";

/// Entry of `fedrobust list data`.
pub const ABOUT: About = About {
    name: "crema-d",
    summary: "CREMA-D from its recordings: emotions of 91 actors, 4 classes, log-mel audio [up to 600, 80].",
    formula: "",
    source: "Cao et al., CREMA-D, IEEE Transactions on Affective Computing 5(4), 2014",
    parameters: &[
        Parameter {
            name: "path",
            default: "required",
            meaning: "the folder with AudioWAV, relative to the scenario's folder",
        },
        Parameter {
            name: "fold",
            default: "none",
            meaning: "1 to 5: whose actors are for testing; [split] without it",
        },
        Parameter { name: "frames", default: "600", meaning: "frames of a recording at most, from 1" },
        LEVEL,
    ],
};

pub(super) const LEVEL: Parameter = Parameter {
    name: "level",
    default: "none",
    meaning: "over what features are normalised: none, speaker (as FedMultimodal), utterance, or mixed: speaker in training, utterance in development and test (its mistake with MELD)",
};

impl Config {
    /// Ranges.
    pub fn check(&self, c: &mut Checker) {
        if self.fold.is_some_and(|fold| !(1..=FOLDS).contains(&fold)) {
            c.fault("fold", "is out of range", format!("a whole number from 1 to {FOLDS}"), "");
        }
        c.at_least("frames", self.frames, 1);
    }

    /// Shapes and classes, without reading anything.
    pub fn outline(&self) -> Dataset {
        super::outline("crema-d", vec![ModalityShape::sequence("audio", self.frames, BINS)], CLASSES.len(), false)
    }
}

/// Reads the folder.
///
/// # Errors
/// A folder that is not there, files that are missing or not of the layout.
pub fn load(config: &Config, base: &Path) -> Result<Dataset> {
    let folder = Folder::open("crema-d", &config.path, base, GET)?;
    let file = "processedResults/summaryTable.csv";
    let table = table::read(&folder, file, "the votes")?;
    let (name, vote) = (table.column(&folder, "FileName")?, table.column(&folder, "MultiModalVote")?);
    let mut names = Vec::new();
    let mut labels = Vec::new();
    for row in table.rows.iter().filter(|row| row[name] != SILENT) {
        if let Some(class) = VOTES.iter().position(|letter| *letter == row[vote]) {
            names.push(row[name].clone());
            labels.push(class as u32);
        }
    }
    if names.is_empty() {
        return Err(folder.wrong(format!("{file} has no vote for A, S, H or N alone")));
    }
    let files: Vec<String> = names.iter().map(|name| format!("AudioWAV/{name}.wav")).collect();
    let actors: Vec<String> = names.iter().map(|name| name.split('_').next().unwrap_or_default().to_string()).collect();
    let (client, client_names) = super::clients(&actors);
    let parts: Option<Vec<Part>> = config.fold.map(|fold| {
        let held = folds::block(client_names.len(), FOLDS, fold);
        client.iter().map(|&k| if held.contains(&(k as usize)) { Part::Test } else { Part::Train }).collect()
    });
    let mut recordings = audio::read(&folder, &files, config.frames)?;
    let utterance = |i: usize| match config.level {
        Level::Utterance => true,
        Level::Mixed => parts.as_ref().is_some_and(|parts| parts[i] != Part::Train),
        Level::None | Level::Speaker => false,
    };
    if config.level != Level::None {
        let group = |i: usize| if utterance(i) { names[i].clone() } else { actors[i].clone() };
        audio::level(&mut recordings, &(0..names.len()).map(group).collect::<Vec<_>>());
    }
    let mut data = Dataset {
        name: "crema-d".to_string(),
        modalities: vec![audio::modality(&recordings)?],
        labels: Labels::Single(labels),
        classes: CLASSES.len(),
        class_names: Some(CLASSES.map(str::to_string).to_vec()),
        client,
        client_names,
        parts,
        keys: Some(names),
        checksum: String::new(),
    };
    data.checksum = super::checksum(&data);
    Ok(data)
}
