//! `uci-har`: human activity recognition from a phone at the waist, from the official text files.
//!
//! 30 people do 6 activities; 10,299 windows of 128 steps at 50 Hz: body acceleration (gravity removed, in g) and rotation
//! (rad/s), `[10299, 128, 3]` each. 21 people are the official training part, 9 the test part. The folder is the archive's
//! `UCI HAR Dataset`; of it are read, for `train` and `test`:
//!
//! | file | holds |
//! |---|---|
//! | `train/Inertial Signals/body_acc_x_train.txt` (y, z) | one window a line, 128 numbers |
//! | `train/Inertial Signals/body_gyro_x_train.txt` (y, z) | the same for rotation |
//! | `train/y_train.txt` | the activity a window, 1 to 6 |
//! | `train/subject_train.txt` | the person a window, 1 to 30 |
//!
//! Rows are in the order of the files, training first. FedMultimodal normalises every window by itself: `normalise =
//! "per-window"`.
//!
//! Source: Anguita et al., A Public Domain Dataset for Human Activity Recognition Using Smartphones, ESANN 2013.
//!
//! By hand: a line `  1.8085150e-004 …` begins a window with 0.00018085 g; activity 5 is class 4, standing.

use super::folder::Folder;
use super::{Dataset, Labels, Modality, ModalityShape, Part};
use crate::fault::{About, Checker, Parameter, Result};
use ndarray::Array3;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// The folder `UCI HAR Dataset`; relative to the scenario's folder.
    pub path: PathBuf,
    /// Modalities to use, in this order; both by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modalities: Option<Vec<String>>,
}

/// Modalities, with the names of their files.
const SIGNALS: [(&str, &str); 2] = [("accelerometer", "body_acc"), ("gyroscope", "body_gyro")];
pub(super) const ACTIVITIES: [&str; 6] = ["walking", "upstairs", "downstairs", "sitting", "standing", "laying"];
/// Steps of a window.
const STEPS: usize = 128;

/// How to get the data.
pub(super) const GET: &str =
    "get \"UCI HAR Dataset.zip\" from https://archive.ics.uci.edu/dataset/240 and unpack it there";

/// Entry of `fedrobust list data`.
pub const ABOUT: About = About {
    name: "uci-har",
    summary: "UCI HAR from its official text files: 30 people, 6 activities, accelerometer and gyroscope [128, 3], 10,299 windows.",
    formula: "",
    source: "Anguita et al., A Public Domain Dataset for Human Activity Recognition Using Smartphones, ESANN 2013",
    parameters: &[
        Parameter {
            name: "path",
            default: "required",
            meaning: "the folder `UCI HAR Dataset`, relative to the scenario's folder",
        },
        super::MODALITIES,
    ],
};

impl Config {
    /// Ranges.
    pub fn check(&self, c: &mut Checker) {
        super::check_modalities(c, self.modalities.as_deref(), &SIGNALS.map(|(name, _)| name));
    }

    /// Shapes and classes, without reading anything.
    pub fn outline(&self) -> Dataset {
        let shapes = SIGNALS.map(|(name, _)| ModalityShape::sequence(name, STEPS, 3));
        super::outline("uci-har", super::picked(&shapes, self.modalities.as_deref()), ACTIVITIES.len(), false)
    }
}

/// Reads the folder.
///
/// # Errors
/// A folder that is not there, files that are missing or not of the layout.
pub fn load(config: &Config, base: &Path) -> Result<Dataset> {
    let folder = Folder::open("uci-har", &config.path, base, GET)?;
    let mut labels = Vec::new();
    let mut people = Vec::new();
    let mut parts = Vec::new();
    for (name, part) in [("train", Part::Train), ("test", Part::Test)] {
        let found = whole_numbers(&folder, &format!("{name}/y_{name}.txt"), ACTIVITIES.len() as u32)?;
        let who = whole_numbers(&folder, &format!("{name}/subject_{name}.txt"), 30)?;
        if who.len() != found.len() {
            let (people, windows) = (who.len(), found.len());
            return Err(folder.wrong(format!(
                "{name}/subject_{name}.txt has {people} lines, {name}/y_{name}.txt has {windows}; unpack the archive again"
            )));
        }
        parts.extend(vec![part; found.len()]);
        labels.extend(found.iter().map(|activity| activity - 1));
        people.extend(who.into_iter().map(|person| person.to_string()));
    }
    let train = parts.iter().filter(|part| **part == Part::Train).count();
    let wanted = super::picked(&SIGNALS, config.modalities.as_deref());
    let modalities: Result<Vec<Modality>> =
        wanted.iter().map(|(name, file)| signal(&folder, name, file, [train, parts.len() - train])).collect();
    let (client, client_names) = super::clients(&people);
    let mut data = Dataset {
        name: "uci-har".to_string(),
        modalities: modalities?,
        labels: Labels::Single(labels),
        classes: ACTIVITIES.len(),
        class_names: Some(ACTIVITIES.map(str::to_string).to_vec()),
        client,
        client_names,
        parts: Some(parts),
        keys: None,
        checksum: String::new(),
    };
    data.checksum = super::checksum(&data);
    Ok(data)
}

/// One modality of both parts, `[N, 128, 3]`; `counts` are the windows of the parts.
fn signal(folder: &Folder, name: &str, file: &str, counts: [usize; 2]) -> Result<Modality> {
    let files: Vec<(usize, usize, String)> = [("train", 0, counts[0]), ("test", counts[0], counts[1])]
        .iter()
        .flat_map(|&(part, start, count)| {
            ["x", "y", "z"].map(|axis| (start, count, format!("{part}/Inertial Signals/{file}_{axis}_{part}.txt")))
        })
        .collect();
    let read: Result<Vec<Vec<f32>>> = files.par_iter().map(|(_, count, path)| windows(folder, path, *count)).collect();
    let read = read?;
    // Only now is it known that there are as many windows as labels.
    let mut values = Array3::zeros((counts[0] + counts[1], STEPS, 3));
    for (i, (axis, (start, _, _))) in read.iter().zip(&files).enumerate() {
        for (at, &value) in axis.iter().enumerate() {
            values[[start + at / STEPS, at % STEPS, i % 3]] = value;
        }
    }
    Ok(Modality { shape: ModalityShape::sequence(name, STEPS, 3), values, lengths: None })
}

/// `count` lines of 128 numbers.
fn windows(folder: &Folder, path: &str, count: usize) -> Result<Vec<f32>> {
    let text = folder.text(path, "128 numbers a line")?;
    let mut values = Vec::new();
    let mut lines = 0;
    for (line, content) in text.lines().enumerate() {
        let before = values.len();
        for word in content.split_ascii_whitespace() {
            let value: Option<f32> = word.parse().ok().filter(|x: &f32| x.is_finite());
            values.push(value.ok_or_else(|| {
                let word = super::shown(word);
                folder.wrong(format!("{path}:{}: {word} is not a finite number; unpack the archive again", line + 1))
            })?);
        }
        let found = values.len() - before;
        if found != STEPS {
            let line = line + 1;
            return Err(folder
                .wrong(format!("{path}:{line}: has {found} numbers, {STEPS} are needed; unpack the archive again")));
        }
        lines += 1;
    }
    if lines != count {
        return Err(
            folder.wrong(format!("{path}: has {lines} windows, the labels have {count}; unpack the archive again"))
        );
    }
    Ok(values)
}

/// One whole number a line, from 1 to `most`.
fn whole_numbers(folder: &Folder, path: &str, most: u32) -> Result<Vec<u32>> {
    let text = folder.text(path, "one number a line")?;
    let number = |(line, word): (usize, &str)| {
        let value: Option<u32> = word.trim().parse().ok().filter(|value| (1..=most).contains(value));
        value.ok_or_else(|| {
            let (word, line) = (super::shown(word.trim()), line + 1);
            folder.wrong(format!(
                "{path}:{line}: {word} is not a whole number from 1 to {most}; unpack the archive again"
            ))
        })
    };
    text.lines().enumerate().map(number).collect()
}

#[cfg(test)]
#[path = "uci_har_tests.rs"]
mod tests;
