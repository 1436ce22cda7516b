//! `ku-har`: human activities from a phone at the waist, from the data set's trimmed and interpolated CSV files.
//!
//! The folder holds one folder a class, `0.Stand`, `1.Sit`, …, each with files `<person>_….csv` at 100 Hz whose columns are time,
//! acceleration x y z, time, rotation x y z (a header is skipped). Every other sample is kept (50 Hz) and cut into windows of 128:
//! `accelerometer` and `gyroscope` `[128, 3]`. Eight of the 18 classes are used, as by FedMultimodal: stand, sit, walk, lay, jump,
//! run, stair-up, stair-down.
//!
//! `half-windows = true` does what FedMultimodal does by mistake: of each window only the first half is kept, `[64, 3]`. `fold` holds
//! out the people of that one of 5 blocks (ids in ascending order as text) for testing; without it `[split]` decides.
//!
//! The layout follows the data set's description and the reference's script; no copy of the files was at hand to check it.
//!
//! By hand: 600 rows are 300 samples at 50 Hz, so two windows; the last 44 samples are dropped.
//!
//! Source: Sikder and Nahid, KU-HAR: An open dataset for heterogeneous human activity recognition, Pattern Recognition Letters 146, 2021.

use super::folder::Folder;
use super::{Dataset, Labels, Modality, ModalityShape, Part, folds};
use crate::fault::{About, Checker, Parameter, Result};
use ndarray::Array3;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// The folder `Trimmed_interpolated_data`; relative to the scenario's folder.
    pub path: PathBuf,
    /// Fold from 1 to 5 whose people are for testing; `[split]` decides without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fold: Option<usize>,
    /// Keep only the first half of each window.
    #[serde(default)]
    pub half_windows: bool,
    /// People left out.
    #[serde(default)]
    pub exclude: Vec<String>,
    /// Windows that a person needs.
    #[serde(default = "one")]
    pub min_windows: usize,
    /// Modalities to use, in this order; both by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modalities: Option<Vec<String>>,
}

fn one() -> usize {
    1
}

const CLASSES: [&str; 8] = ["Stand", "Sit", "Walk", "Lay", "Jump", "Run", "Stair-up", "Stair-down"];
/// Modalities, with their first column.
const SIGNALS: [(&str, usize); 2] = [("accelerometer", 1), ("gyroscope", 5)];
const STEPS: usize = 128;
const FOLDS: usize = 5;
const GET: &str =
    "get 2.Trimmed_interpolated_data.zip from https://data.mendeley.com/datasets/45f952y38r and unpack it there";

/// Entry of `fedrobust list data`.
pub const ABOUT: About = About {
    name: "ku-har",
    summary: "KU-HAR from its trimmed and interpolated CSV files: 8 activities, accelerometer and gyroscope [128, 3] at 50 Hz.",
    formula: "",
    source: "Sikder and Nahid, KU-HAR, Pattern Recognition Letters 146, 2021",
    parameters: &[
        Parameter {
            name: "path",
            default: "required",
            meaning: "the folder Trimmed_interpolated_data, relative to the scenario's folder",
        },
        Parameter {
            name: "fold",
            default: "none",
            meaning: "1 to 5: whose people are for testing; [split] without it",
        },
        Parameter {
            name: "half-windows",
            default: "false",
            meaning: "keep only the first half of each window, as FedMultimodal does by mistake",
        },
        Parameter { name: "exclude", default: "[]", meaning: "people left out; FedMultimodal: [\"1101\"]" },
        Parameter {
            name: "min-windows",
            default: "1",
            meaning: "windows that a person needs, from 1; FedMultimodal takes 10",
        },
        super::MODALITIES,
    ],
};

impl Config {
    /// Ranges.
    pub fn check(&self, c: &mut Checker) {
        if self.fold.is_some_and(|fold| !(1..=FOLDS).contains(&fold)) {
            c.fault("fold", "is out of range", format!("a whole number from 1 to {FOLDS}"), "");
        }
        c.at_least("min-windows", self.min_windows, 1);
        super::check_modalities(c, self.modalities.as_deref(), &SIGNALS.map(|(name, _)| name));
    }

    fn steps(&self) -> usize {
        if self.half_windows { STEPS / 2 } else { STEPS }
    }

    /// Shapes and classes, without reading anything.
    pub fn outline(&self) -> Dataset {
        let shapes = SIGNALS.map(|(name, _)| ModalityShape::sequence(name, self.steps(), 3));
        super::outline("ku-har", super::picked(&shapes, self.modalities.as_deref()), CLASSES.len(), false)
    }
}

/// A window: whose, what, where from, and its samples `[steps][8]`.
struct Window {
    person: String,
    class: u32,
    key: String,
    samples: Vec<[f32; 8]>,
}

/// Reads the folder.
///
/// # Errors
/// A folder that is not there, files that are missing or not of the layout.
pub fn load(config: &Config, base: &Path) -> Result<Dataset> {
    let folder = Folder::open("ku-har", &config.path, base, GET)?;
    let mut windows = Vec::new();
    for name in folder.names("", "one folder a class")? {
        let label = name.split_once('.').map_or(name.as_str(), |(_, label)| label);
        let Some(class) = CLASSES.iter().position(|class| class.eq_ignore_ascii_case(label)) else { continue };
        for file in folder.names(&name, "one CSV a recording")?.iter().filter(|file| file.ends_with(".csv")) {
            let person = file.split(['_', '.']).next().unwrap_or_default().to_string();
            if !config.exclude.contains(&person) {
                windows.extend(recording(&folder, config, &format!("{name}/{file}"), person, class as u32)?);
            }
        }
    }
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    windows.iter().for_each(|window| *counts.entry(window.person.clone()).or_default() += 1);
    windows.retain(|window| counts[&window.person] >= config.min_windows);
    if windows.is_empty() {
        return Err(folder.wrong("has no window of its 8 classes (0.Stand, 1.Sit, …); name Trimmed_interpolated_data"));
    }
    assemble(config, &windows)
}

fn recording(folder: &Folder, config: &Config, path: &str, person: String, class: u32) -> Result<Vec<Window>> {
    let samples = samples(folder, path)?;
    let kept: Vec<[f32; 8]> = samples.into_iter().step_by(2).collect();
    let stem = super::listing::stem(path);
    let window = |(i, samples): (usize, &[[f32; 8]])| Window {
        person: person.clone(),
        class,
        key: format!("{stem}#{i}"),
        samples: samples[..config.steps()].to_vec(),
    };
    Ok(kept.chunks_exact(STEPS).enumerate().map(window).collect())
}

fn samples(folder: &Folder, path: &str) -> Result<Vec<[f32; 8]>> {
    let text = folder.text(path, "a recording")?;
    let mut samples = Vec::new();
    for (line, content) in text.lines().enumerate() {
        let cells: Vec<&str> = content.split(',').map(str::trim).collect();
        let values: Option<Vec<f32>> =
            cells.iter().map(|cell| cell.parse().ok().filter(|x: &f32| x.is_finite())).collect();
        match values.as_deref().and_then(|values| <[f32; 8]>::try_from(values).ok()) {
            Some(values) => samples.push(values),
            None if line == 0 => {} // a header
            None => {
                let content = super::shown(content);
                return Err(folder.wrong(format!("{path}:{}: {content} is not 8 numbers", line + 1)));
            }
        }
    }
    Ok(samples)
}

fn assemble(config: &Config, windows: &[Window]) -> Result<Dataset> {
    let people: Vec<String> = windows.iter().map(|window| window.person.clone()).collect();
    let parts = config.fold.map(|fold| {
        let names: Vec<&String> = people.iter().collect::<BTreeSet<_>>().into_iter().collect();
        let held = &names[folds::block(names.len(), FOLDS, fold)];
        let part = |person: &String| if held.contains(&person) { Part::Test } else { Part::Train };
        people.iter().map(part).collect()
    });
    let modality = |&(name, first): &(&str, usize)| {
        let value = |(i, t, d): (usize, usize, usize)| windows[i].samples[t][first + d];
        let values = Array3::from_shape_fn((windows.len(), config.steps(), 3), value);
        Modality { shape: ModalityShape::sequence(name, config.steps(), 3), values, lengths: None }
    };
    let (client, client_names) = super::clients(&people);
    let mut data = Dataset {
        name: "ku-har".to_string(),
        modalities: super::picked(&SIGNALS, config.modalities.as_deref()).iter().map(modality).collect(),
        labels: Labels::Single(windows.iter().map(|window| window.class).collect()),
        classes: CLASSES.len(),
        class_names: Some(CLASSES.map(str::to_string).to_vec()),
        client,
        client_names,
        parts,
        keys: Some(windows.iter().map(|window| window.key.clone()).collect()),
        checksum: String::new(),
    };
    data.checksum = super::checksum(&data);
    Ok(data)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn write(root: &Path, file: &str, rows: usize) {
        let line = |i: usize| {
            let x = i as f32 / 4.0;
            format!(
                "{},{x},{},{},{},{},{},{}\n",
                i as f32 / 100.0,
                x + 1.0,
                x + 2.0,
                i as f32 / 100.0,
                -x,
                -x - 1.0,
                -x - 2.0
            )
        };
        let path = root.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, (0..rows).map(line).collect::<String>()).unwrap();
    }

    fn config(path: &Path) -> Config {
        toml::from_str(&format!("path = {:?}", path.display().to_string())).unwrap()
    }

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "0.Stand/1001_A_1.csv", 600);
        write(folder.path(), "11.Walk/1002_L_1.csv", 256);
        write(folder.path(), "17.Table-tennis/1003_R_1.csv", 600);
        write(folder.path(), "16.Stair-down/1101_Q_1.csv", 254);
        write(folder.path(), "16.Stair-down/1009_Q_1.csv", 256);
        folder
    }

    #[test]
    fn recordings_are_halved_in_rate_and_cut_into_windows() {
        let folder = folder();
        let data = load(&config(folder.path()), Path::new("")).unwrap();
        assert_eq!(data.labels, Labels::Single(vec![0, 0, 2, 7]));
        assert_eq!(data.client_names, ["1001", "1002", "1009"]);
        assert_eq!(data.keys.as_ref().unwrap()[1], "1001_A_1#1");
        assert_eq!(data.shapes(), config(folder.path()).outline().shapes());
        let acceleration = &data.modalities[0].values;
        assert_eq!((acceleration[[0, 0, 0]], acceleration[[0, 1, 0]], acceleration[[1, 0, 2]]), (0.0, 0.5, 66.0));
        assert_eq!(data.modalities[1].values[[0, 1, 1]], -1.5);
        assert_eq!(data.parts, None);
    }

    #[test]
    fn the_references_choices_are_options() {
        let folder = folder();
        let config = Config {
            half_windows: true,
            fold: Some(5),
            min_windows: 2,
            exclude: vec!["1101".into()],
            ..config(folder.path())
        };
        let half = load(&config, Path::new("")).unwrap();
        assert_eq!((half.shapes()[0].time, half.len()), (64, 2));
        let all = load(&Config { min_windows: 1, fold: Some(1), ..config }, Path::new("")).unwrap();
        assert_eq!(all.parts, Some(vec![Part::Test, Part::Test, Part::Train, Part::Train]));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let folder = folder();
        let file = folder.path().join("0.Stand/1001_A_1.csv");
        fs::write(&file, "time,x\n1,2,3\n").unwrap();
        let subject = format!("data.ku-har.path = {}", folder.path().display());
        let said = || load(&config(folder.path()), Path::new("")).unwrap_err().to_string();
        assert_eq!(said(), format!("{subject}: 0.Stand/1001_A_1.csv:2: \"1,2,3\" is not 8 numbers"));
        let empty = tempfile::tempdir().unwrap();
        let said = load(&config(empty.path()), Path::new("")).unwrap_err().to_string();
        assert!(
            said.ends_with("has no window of its 8 classes (0.Stand, 1.Sit, …); name Trimmed_interpolated_data"),
            "{said}"
        );
    }
}
