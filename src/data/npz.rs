//! `npz`: the user's own arrays.
//!
//! One file, as `numpy.savez_compressed("mine.npz", audio=…, video=…, label=…, client=…)` writes it:
//!
//! | array | shape | meaning |
//! |---|---|---|
//! | any other name | `[N, T, D]` or `[N, D]` | one modality: sequences, or pooled features; f32, f64 or integers |
//! | `label` | `[N]` or `[N, C]` | the class, from 0; or zero or one a class (multilabel, C ≥ 2) |
//! | `client` | `[N]` | natural client: whole numbers or text; without it all samples belong to one client `all` |
//! | `split` | `[N]` | 0 train, 1 development, 2 test; optional |
//! | `<modality>_scale` | `[D]` | values are multiplied by it; optional |
//! | `<modality>_length` | `[N]` | valid steps of each sample, 0 (the sample lacks the modality) to T; optional; values beyond are set to zero |
//!
//! By hand: `label = [0, 2, 1]` has 3 classes (max + 1) unless `classes` declares more.

use super::arrays::{Archive, Array};
use super::{Dataset, Labels, MOST_CLASSES, Modality, ModalityShape, Part};
use crate::fault::{About, Checker, Error, Parameter, Result};
use ndarray::{Array2, Array3, s};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufReader, ErrorKind, Read, Seek};
use std::path::{Path, PathBuf};

/// Parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// The file; relative to the scenario's folder.
    pub path: PathBuf,
    /// Modalities to use, in this order; all in file order by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modalities: Option<Vec<String>>,
    /// Number of classes, max + 1 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<usize>,
}

impl Config {
    /// Ranges.
    pub fn check(&self, c: &mut Checker) {
        if let Some(names) = &self.modalities {
            if !(1..=MOST).contains(&names.len()) {
                c.fault("modalities", "has the wrong length", format!("1 to {MOST} names"), "");
            }
            if names.iter().collect::<BTreeSet<_>>().len() < names.len() {
                c.fault("modalities", "names a modality twice", "every name once", "");
            }
        }
        if let Some(classes) = self.classes {
            c.count("classes", classes, 2, MOST_CLASSES);
        }
    }
}

/// Entry of `fedrobust list data`.
pub const ABOUT: About = About {
    name: "npz",
    summary: "Your own arrays: one a modality, `label`, `client`, optionally `split`, `<modality>_scale`, `<modality>_length`.",
    formula: "",
    source: "",
    parameters: &[
        Parameter { name: "path", default: "required", meaning: "the file, relative to the scenario's folder" },
        Parameter {
            name: "modalities",
            default: "all, in file order",
            meaning: "names of the arrays to use, in order",
        },
        Parameter { name: "classes", default: "largest label + 1", meaning: "number of classes, from 2" },
    ],
};

/// Modalities at most: one bit each of [`crate::corrupt::Present`].
const MOST: usize = 32;
const RESERVED: [&str; 3] = ["label", "client", "split"];

/// What to take from a file.
pub(super) struct Wanted<'a> {
    pub modalities: Option<&'a [String]>,
    pub classes: Option<usize>,
}

/// Reads.
///
/// # Errors
/// A file that is missing or not of the layout; the text says what and how to mend it.
pub fn load(config: &Config, base: &Path) -> Result<Dataset> {
    let path = base.join(&config.path);
    let shown = config.path.display().to_string();
    let file = File::open(&path).map_err(|e| {
        let why = match e.kind() {
            ErrorKind::NotFound => format!("there is no file {}", path.display()),
            _ => format!("cannot open {} ({e})", path.display()),
        };
        Error::Invalid(format!("data.npz.path = {shown}: {why}; a relative path starts at the scenario's folder"))
    })?;
    let wanted = Wanted { modalities: config.modalities.as_deref(), classes: config.classes };
    let mut data = read(BufReader::new(file), &shown, &wanted)?;
    data.name = config.path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
    Ok(data)
}

/// Reads an npz from anywhere; `file` is its name in messages.
pub(super) fn read<R: Read + Seek>(reader: R, file: &str, wanted: &Wanted) -> Result<Dataset> {
    let mut archive = Archive::open(reader, file)?;
    let names = names(&archive, file, wanted.modalities)?;
    if !archive.has("label") {
        let there = archive.names.join(", ");
        return Err(Error::Invalid(format!(
            "{file}: has no array `label`; save the classes as `label`, [N] whole numbers from 0 (there are: {there})"
        )));
    }
    let (labels, classes, n) = labels(&mut archive, wanted.classes)?;
    if n == 0 {
        return Err(archive.wrong("label", "is empty; at least one sample is needed"));
    }
    let modalities = names.iter().map(|name| modality(&mut archive, name, n)).collect::<Result<Vec<_>>>()?;
    let (client, client_names) = clients(&mut archive, n)?;
    let parts = parts(&mut archive, n)?;
    let mut data = Dataset {
        name: String::new(),
        modalities,
        labels,
        classes,
        class_names: None,
        client,
        client_names,
        parts,
        keys: None,
        checksum: String::new(),
    };
    data.checksum = super::checksum(&data);
    Ok(data)
}

/// Names of the modalities to use.
fn names<R: Read + Seek>(archive: &Archive<R>, file: &str, wanted: Option<&[String]>) -> Result<Vec<String>> {
    let attached = |name: &str| {
        ["_scale", "_length"].iter().any(|end| name.strip_suffix(end).is_some_and(|modality| archive.has(modality)))
    };
    let there: Vec<String> =
        archive.names.iter().filter(|n| !RESERVED.contains(&n.as_str()) && !attached(n)).cloned().collect();
    if let Some(unknown) = wanted.and_then(|w| w.iter().find(|name| !there.contains(name))) {
        let there = there.join(", ");
        return Err(Error::Invalid(format!("{file}: has no modality `{unknown}`; it has: {there}")));
    }
    let names = wanted.map_or(there, <[String]>::to_vec);
    match names.len() {
        0 => Err(Error::Invalid(format!(
            "{file}: has no modality; save at least one array [N, T, D] or [N, D] besides label, client and split"
        ))),
        1..=MOST => Ok(names),
        n => Err(Error::Invalid(format!(
            "{file}: has {n} modalities, at most {MOST} are possible; choose some with data.npz.modalities"
        ))),
    }
}

fn labels<R: Read + Seek>(archive: &mut Archive<R>, declared: Option<usize>) -> Result<(Labels, usize, usize)> {
    let Array { shape, values } = archive.integers("label")?;
    match shape[..] {
        [n] => {
            let most = MOST_CLASSES as i64 - 1;
            let classes = declared.unwrap_or_else(|| values.iter().max().map_or(0, |&m| m.clamp(0, most) as usize + 1));
            if let Some(row) = values.iter().position(|&l| l < 0 || l >= classes as i64) {
                let (label, last) = (values[row], classes as i64 - 1);
                let remedy = if declared.is_some() { "; mend the label or raise data.npz.classes" } else { "" };
                let problem = format!("has {label} in row {row}; labels go from 0 to {last} here{remedy}");
                return Err(archive.wrong("label", problem));
            }
            Ok((Labels::Single(values.iter().map(|&l| l as u32).collect()), classes.max(2), n))
        }
        [n, c] if c >= 2 => {
            if let Some(at) = values.iter().position(|l| !(0..=1).contains(l)) {
                let problem = format!("has {} in row {}; multilabel labels are 0 or 1", values[at], at / c);
                return Err(archive.wrong("label", problem));
            }
            if let Some(classes) = declared.filter(|&d| d != c) {
                let problem =
                    format!("has {c} columns, data.npz.classes says {classes}; drop the key or make them equal");
                return Err(archive.wrong("label", problem));
            }
            let values = values.iter().map(|&l| l as f32).collect();
            let labels = Array2::from_shape_vec((n, c), values).map_err(|e| archive.wrong("label", e))?;
            Ok((Labels::Multi(labels), c, n))
        }
        _ => Err(archive.wrong("label", format!("has shape {shape:?}; [N] or [N, C] with C from 2 is needed"))),
    }
}

fn same_length<R: Read + Seek>(archive: &Archive<R>, name: &str, found: usize, n: usize) -> Result<()> {
    match found == n {
        true => Ok(()),
        false => Err(archive.wrong(
            name,
            format!("has {found} rows, array `label` has {n}; every array needs one row a sample, in the same order"),
        )),
    }
}

fn modality<R: Read + Seek>(archive: &mut Archive<R>, name: &str, n: usize) -> Result<Modality> {
    let Array { shape, values } = archive.floats(name)?;
    let (found, time, width, sequence) = match shape[..] {
        [n, d] if d > 0 => (n, 1, d, false),
        [n, t, d] if t > 0 && d > 0 => (n, t, d, true),
        _ => {
            let problem = format!("has shape {shape:?}; [N, T, D] or [N, D] without a zero is needed for a modality");
            return Err(archive.wrong(name, problem));
        }
    };
    same_length(archive, name, found, n)?;
    let values = Array3::from_shape_vec((n, time, width), values).map_err(|e| archive.wrong(name, e))?;
    let shape = ModalityShape { name: name.to_string(), time, width, sequence };
    let mut modality = Modality { shape, values, lengths: None };
    if archive.has(&format!("{name}_scale")) {
        scale(archive, &mut modality)?;
    }
    if archive.has(&format!("{name}_length")) {
        cut(archive, &mut modality)?;
    }
    if let Some(at) = modality.values.iter().position(|x| !x.is_finite()) {
        let problem = format!("has a NaN or infinity in row {}; fill or drop such samples", at / (time * width));
        return Err(archive.wrong(name, problem));
    }
    Ok(modality)
}

/// Multiplies by `<modality>_scale`.
fn scale<R: Read + Seek>(archive: &mut Archive<R>, modality: &mut Modality) -> Result<()> {
    let name = format!("{}_scale", modality.shape.name);
    let scale = archive.floats(&name)?;
    let width = modality.shape.width;
    if scale.shape != [width] {
        let problem = format!(
            "has shape {:?}; [{width}] is needed, one number a feature of `{}`",
            scale.shape, modality.shape.name
        );
        return Err(archive.wrong(&name, problem));
    }
    modality.values *= &ndarray::ArrayView1::from(&scale.values);
    Ok(())
}

/// Takes the lengths and sets what lies beyond them to zero.
fn cut<R: Read + Seek>(archive: &mut Archive<R>, modality: &mut Modality) -> Result<()> {
    let name = format!("{}_length", modality.shape.name);
    let lengths = archive.integers(&name)?;
    let (n, time) = (modality.values.dim().0, modality.shape.time);
    if lengths.shape.len() != 1 {
        return Err(archive.wrong(&name, format!("has shape {:?}; [N] is needed", lengths.shape)));
    }
    same_length(archive, &name, lengths.shape[0], n)?;
    if let Some(row) = lengths.values.iter().position(|&l| !(0..=time as i64).contains(&l)) {
        return Err(
            archive.wrong(&name, format!("has {} in row {row}; lengths go from 0 to {time}", lengths.values[row]))
        );
    }
    for (i, &length) in lengths.values.iter().enumerate() {
        modality.values.slice_mut(s![i, length as usize.., ..]).fill(0.0);
    }
    if lengths.values.iter().any(|&l| l < time as i64) {
        modality.lengths = Some(lengths.values.iter().map(|&l| l as u32).collect());
    }
    Ok(())
}

/// Index of each sample's client, and the names: numbers in order of size, text in order of the alphabet.
fn clients<R: Read + Seek>(archive: &mut Archive<R>, n: usize) -> Result<(Vec<u32>, Vec<String>)> {
    if !archive.has("client") {
        return Ok((vec![0; n], vec!["all".to_string()]));
    }
    let ids = archive.texts("client")?;
    if ids.shape.len() != 1 {
        return Err(archive.wrong("client", format!("has shape {:?}; [N] is needed", ids.shape)));
    }
    same_length(archive, "client", ids.shape[0], n)?;
    Ok(super::clients(&ids.values))
}

fn parts<R: Read + Seek>(archive: &mut Archive<R>, n: usize) -> Result<Option<Vec<Part>>> {
    if !archive.has("split") {
        return Ok(None);
    }
    let split = archive.integers("split")?;
    if split.shape.len() != 1 {
        return Err(archive.wrong("split", format!("has shape {:?}; [N] is needed", split.shape)));
    }
    same_length(archive, "split", split.shape[0], n)?;
    let part = |(row, &value): (usize, &i64)| match value {
        0 => Ok(Part::Train),
        1 => Ok(Part::Dev),
        2 => Ok(Part::Test),
        _ => {
            Err(archive.wrong("split", format!("has {value} in row {row}; 0 train, 1 development or 2 test is needed")))
        }
    };
    split.values.iter().enumerate().map(part).collect::<Result<_>>().map(Some)
}

#[cfg(test)]
#[path = "npz_tests.rs"]
mod tests;
