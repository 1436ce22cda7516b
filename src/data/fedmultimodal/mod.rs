//! `fedmultimodal`: the feature files that FedMultimodal's own scripts wrote, for any of its ten data sets.
//!
//! `path` is its output folder; of it are read the pickles `feature/<modality>/…/<client>.pkl`, one a client and modality, in the
//! order of the clients' names as text. `dev.pkl` and `test.pkl` are the development and test samples. The two modalities are
//! aligned by position. A natural client is a client of the partition; a development or test sample belongs to the person,
//! site or speaker in its name, where it has one, else to `dev` or `test`. Sequences of different lengths are padded with zeros
//! and keep their lengths.
//!
//! Folders below `feature/`, with A and B as [`sets::Set`] names them and `{a}` for alpha as Python writes it without its point:
//!
//! | data sets | folder |
//! |---|---|
//! | `uci-har` | `acc/uci-har/alpha{a}`, `gyro/uci-har/alpha{a}` |
//! | `ku-har` | `acc/ku-har/fold{k}`, `gyro/ku-har/fold{k}` |
//! | `ptb-xl` | `I_to_AVF/ptb-xl`, `V1_to_V6/ptb-xl` |
//! | `meld` | `audio/mfcc/meld`, `text/mobilebert/meld` |
//! | `crema-d` | `audio/mfcc/crema_d/fold{k}`, `video/mobilenet_v2/crema_d/fold{k}` |
//! | `ucf101` | `audio/mfcc/ucf101/alpha{a}/fold{k}`, `video/mobilenet_v2/ucf101/alpha{a}/fold{k}` |
//! | `mit10`, `mit51` | `audio/mfcc/mit10/alpha{a}`, `video/mobilenet_v2/mit10/alpha{a}` |
//! | `hateful-memes`, `crisis-mmd` | `img/mobilenet_v2/hateful_memes/alpha{a}`, `text/mobilebert/hateful_memes/alpha{a}` |
//!
//! By hand: with `dataset = "uci-har"` and `alpha = 0.1`, client `1-0` has the accelerometer of
//! `feature/acc/uci-har/alpha01/1-0.pkl`.
//!
//! Source: Feng et al., FedMultimodal, KDD 2023; the layout is that of its code at commit 2a32f29.

mod load;
pub mod sets;

use super::{Dataset, ModalityShape};
use crate::fault::{About, Checker, Parameter, Result};
use serde::{Deserialize, Serialize};
use sets::{Set, Source};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// The reference's output folder, which holds `feature`; relative to the scenario's folder.
    pub path: PathBuf,
    /// Which data set.
    pub dataset: Set,
    /// Concentration of the partition, where the data set's clients are dealt by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alpha: Option<f64>,
    /// Fold from 1, where the data set has folds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fold: Option<usize>,
    /// Features by modality, where they are not those of the reference's scripts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub features: BTreeMap<String, String>,
    /// Modalities to use, in this order; both by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modalities: Option<Vec<String>>,
}

/// How to get the data.
const GET: &str =
    "run FedMultimodal's scripts for it (github.com/usc-sail/fed-multimodal) and give their output folder";

/// Entry of `fedrobust list data`.
pub const ABOUT: About = About {
    name: "fedmultimodal",
    summary: "Feature files that FedMultimodal's scripts wrote, for any of its ten data sets; natural clients are those of its partition.",
    formula: "",
    source: "Feng et al., FedMultimodal, KDD 2023",
    parameters: &[
        Parameter {
            name: "path",
            default: "required",
            meaning: "its output folder, which holds `feature`, relative to the scenario's folder",
        },
        Parameter {
            name: "dataset",
            default: "required",
            meaning: "uci-har, ku-har, ptb-xl, meld, crema-d, ucf101, mit10, mit51, crisis-mmd or hateful-memes",
        },
        Parameter {
            name: "alpha",
            default: "none",
            meaning: "of the partition; needed by uci-har, ucf101, mit10, mit51, crisis-mmd and hateful-memes",
        },
        Parameter {
            name: "fold",
            default: "none",
            meaning: "1 to 5 for ku-har and crema-d, 1 to 3 for ucf101, which need it",
        },
        Parameter { name: "features", default: "{}", meaning: "features by modality, for example { text = \"bert\" }" },
        super::MODALITIES,
    ],
};

impl Config {
    fn source(&self) -> &'static Source {
        self.dataset.source()
    }

    /// Ranges, and what the data set has.
    pub fn check(&self, c: &mut Checker) {
        let source = self.source();
        let names = source.modalities.map(|modality| modality.name);
        super::check_modalities(c, self.modalities.as_deref(), &names);
        let dataset = source.folder;
        match self.alpha {
            Some(alpha) if source.alpha => c.positive("alpha", alpha),
            Some(_) => c.fault("alpha", format!("is not of {dataset}, whose clients are natural"), "no alpha", ""),
            None if source.alpha => c.fault(
                "alpha",
                format!("is missing: the features of {dataset} lie in a folder an alpha"),
                "a number above 0",
                "Write alpha = 5.0 or 0.1.",
            ),
            None => {}
        }
        match (self.fold, source.folds) {
            (Some(_), 0) => c.fault("fold", format!("is not of {dataset}, which has no folds"), "no fold", ""),
            (Some(fold), folds) if !(1..=folds).contains(&fold) => {
                c.fault("fold", "is out of range", format!("a whole number from 1 to {folds}"), "");
            }
            (None, folds) if folds > 0 => {
                let allowed = format!("a whole number from 1 to {folds}");
                c.fault("fold", format!("is missing: {dataset} has folds"), allowed, "Write fold = 1.");
            }
            _ => {}
        }
        c.inside("features", |c| {
            for name in self.features.keys() {
                let known = source.modalities.iter().find(|modality| modality.name == name);
                if known.is_none_or(|modality| modality.features.is_none()) {
                    c.fault(name, format!("is no modality of {dataset} with a choice of features"), "", "");
                }
            }
        });
    }

    /// Shapes and classes, without reading anything; features other than the reference's have the widths known for them.
    pub fn outline(&self) -> Dataset {
        let source = self.source();
        let shape = |modality: &sets::Modality| {
            let features = self.features.get(modality.name).map(String::as_str).or(modality.features);
            let width = features.and_then(sets::width).unwrap_or(modality.width);
            match modality.time {
                1 => ModalityShape::pooled(modality.name, width),
                time => ModalityShape::sequence(modality.name, time, width),
            }
        };
        let shapes = source.modalities.each_ref().map(shape);
        let picked = super::picked(&shapes, self.modalities.as_deref());
        super::outline(source.folder, picked, source.classes, source.multilabel)
    }
}

/// Reads the folder.
///
/// # Errors
/// A folder that is not there, files that are missing or not of the layout.
pub fn load(config: &Config, base: &Path) -> Result<Dataset> {
    load::load(config, base)
}

#[cfg(test)]
mod tests;
