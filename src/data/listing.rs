//! FedMultimodal's partition and simulation files: which samples each client holds, and what was done to them.
//!
//! A partition file is a JSON object, client → list of samples, in an order that matters (it seeds the reference's
//! corruption). A sample is `[key, place, label, …]`: the label a class or, for multilabel data, a list of 0 and 1. The
//! entries `dev` and `test` are the development and test samples. A simulation file is the same with one more element a
//! sample, `[missing A, missing B, label seen, label missing]`, flags as 0 or 1.
//!
//! | data set | key | place |
//! |---|---|---|
//! | UCI-HAR | person | row of the official training file (clients and `dev`) or test file (`test`) |
//! | KU-HAR | number of the window | path of the CSV |
//! | all others | name of the sample | path of its file |
//!
//! By hand: `["1", 260, 0, [0, 1, 0, 0]]` is row 260, person 1, class 0; its client has lost modality B.
//!
//! Source: Feng et al., FedMultimodal, KDD 2023, its scripts `data_partitioning` and `simulation_features`.

use super::folder::absent;
use super::{Dataset, Labels, Part};
use crate::fault::{Error, Result};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;
use std::collections::{BTreeSet, HashMap};
use std::path::Path;

/// A file that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Listing {
    /// Clients in file order, without `dev` and `test`.
    pub clients: Vec<(String, Vec<Item>)>,
    /// Development samples.
    pub dev: Vec<Item>,
    /// Test samples.
    pub test: Vec<Item>,
    /// BLAKE3 of the file, in hex: part of a run's identity.
    pub hash: String,
    /// What names it, for messages: `partition.replay.path = partition_alpha01.json`.
    pub subject: String,
}

/// One sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// Where its place is a number: the row. Else `None`.
    pub row: Option<usize>,
    /// What the sample may be called in [`Dataset::keys`], apart from its part.
    pub name: String,
    /// Its clean label.
    pub label: Label,
    /// What was done to it, in a simulation file.
    pub simulated: Option<Simulated>,
}

/// A label in a file.
#[derive(Debug, Clone, PartialEq)]
pub enum Label {
    /// A class.
    Class(u32),
    /// Zero or one a class.
    Classes(Vec<f32>),
}

/// What a simulation file says of a sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Simulated {
    /// Whether it lacks modality A, B.
    pub missing: [bool; 2],
    /// The label seen.
    pub label: Label,
    /// Whether it has no label.
    pub unlabelled: bool,
}

/// Reads a file; `key` is the scenario's key that names it by `path`, relative to `base`, and `get` says how to get one.
///
/// # Errors
/// [`Error::Absent`] where there is no such file; a file that is not of the layout.
pub fn read(key: &str, path: &Path, base: &Path, get: &str) -> Result<Listing> {
    let at = base.join(path);
    let shown = path.display().to_string();
    if !at.exists() {
        return Err(absent(key, &at, &shown, "file", get));
    }
    let bytes = std::fs::read(&at).map_err(|error| Error::io(format!("cannot read {}", at.display()), &error))?;
    let subject = format!("{key} = {shown}");
    parse(&bytes, &subject).map_err(|problem| Error::Invalid(format!("{subject}: {problem}")))
}

/// A number as it stands in the reference's file names: as Python writes it, without the point, for example `alpha01`.
pub fn tagged(tag: &str, number: f64) -> String {
    format!("{tag}{}", format!("{number:?}").replace('.', ""))
}

/// Reads the bytes of a file.
fn parse(bytes: &[u8], subject: &str) -> std::result::Result<Listing, String> {
    let Object(entries) = serde_json::from_slice(bytes)
        .map_err(|error| format!("is not a JSON object of clients with their lists of samples ({error})"))?;
    let mut listing = Listing {
        clients: Vec::new(),
        dev: Vec::new(),
        test: Vec::new(),
        hash: blake3::hash(bytes).to_hex().to_string(),
        subject: subject.to_string(),
    };
    let mut names = BTreeSet::new();
    for (name, samples) in entries {
        if !names.insert(name.clone()) {
            return Err(format!("names the client {} twice", super::shown(&name)));
        }
        let one = |(i, sample): (usize, &Value)| {
            item(sample).ok_or_else(|| {
                let text = super::shown(&sample.to_string());
                format!("client {}, sample {i}: {text} is not [key, place, label, …]", super::shown(&name))
            })
        };
        let items = samples.iter().enumerate().map(one).collect::<std::result::Result<Vec<_>, String>>()?;
        match name.as_str() {
            "dev" => listing.dev = items,
            "test" => listing.test = items,
            _ => listing.clients.push((name, items)),
        }
    }
    if listing.clients.is_empty() {
        return Err("has no client besides dev and test".to_string());
    }
    Ok(listing)
}

/// An object as pairs: `serde_json` sorts the keys of its own.
struct Object(Vec<(String, Vec<Value>)>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Object;
            fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
                f.write_str("an object of clients")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Object, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Object(pairs))
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

fn item(sample: &Value) -> Option<Item> {
    let parts = sample.as_array()?;
    let (key, place) = (parts.first()?, parts.get(1)?);
    let row = match place {
        Value::Number(row) => Some(usize::try_from(row.as_u64()?).ok()?),
        _ => None,
    };
    let name = match (key, place) {
        (_, Value::Number(row)) => row.to_string(),
        (Value::Number(window), Value::String(path)) => format!("{}#{window}", stem(path)),
        (Value::String(_), Value::String(path)) => stem(path).to_string(),
        _ => return None,
    };
    Some(Item { row, name, label: label(parts.get(2)?)?, simulated: simulated(parts)? })
}

/// File name without folders and ending: `records100/00000/00001_lr` is `00001_lr`.
pub(super) fn stem(path: &str) -> &str {
    let file = path.rsplit(['/', '\\']).next().unwrap_or(path);
    ["wav", "csv", "jpg", "png", "avi", "mp4"]
        .iter()
        .find_map(|end| file.strip_suffix(end).and_then(|rest| rest.strip_suffix('.')))
        .unwrap_or(file)
}

fn label(value: &Value) -> Option<Label> {
    match value {
        Value::Number(class) => u32::try_from(class.as_u64()?).ok().map(Label::Class),
        Value::Array(classes) => {
            let flag = |value: &Value| value.as_f64().filter(|x| *x == 0.0 || *x == 1.0).map(|x| x as f32);
            classes.iter().map(flag).collect::<Option<_>>().map(Label::Classes)
        }
        _ => None,
    }
}

/// The last element where it is one of a simulation file; `None` where it looks like one and is not.
#[allow(clippy::option_option)]
fn simulated(parts: &[Value]) -> Option<Option<Simulated>> {
    let Some(Value::Array(last)) = parts.get(3..).and_then(<[Value]>::last) else { return Some(None) };
    let flag = |value: &Value| value.as_u64().filter(|x| *x <= 1).map(|x| x == 1);
    let [a, b, seen, unlabelled] = last.as_slice() else { return None };
    let missing = [flag(a)?, flag(b)?];
    Some(Some(Simulated { missing, label: label(seen)?, unlabelled: flag(unlabelled)? }))
}

/// Rows of a data set, in the order of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rows {
    /// Of each client.
    pub clients: Vec<Vec<u32>>,
    /// For development.
    pub dev: Vec<u32>,
    /// For testing.
    pub test: Vec<u32>,
}

impl Listing {
    /// Rows of a data set, for every client, `dev` and `test`, in file order. Data without keys has its training and
    /// development samples counted as the rows of a training file, its test samples as those of a test file.
    ///
    /// # Errors
    /// A sample that the data does not have, or has with another label, or that is listed twice.
    pub fn rows(&self, data: &Dataset) -> Result<Rows> {
        let finder = Finder::new(data);
        let mut seen = vec![false; data.len()];
        let mut find = |name: &str, items: &[Item]| {
            items.iter().enumerate().map(|(i, item)| finder.row(self, name, i, item, &mut seen)).collect()
        };
        let clients: Result<Vec<Vec<u32>>> = self.clients.iter().map(|(name, items)| find(name, items)).collect();
        Ok(Rows { clients: clients?, dev: find("dev", &self.dev)?, test: find("test", &self.test)? })
    }

    /// A fault of the file.
    pub fn wrong(&self, problem: impl std::fmt::Display) -> Error {
        Error::Invalid(format!("{}: {problem}", self.subject))
    }
}

/// Finds the samples of a listing in a data set.
struct Finder<'a> {
    data: &'a Dataset,
    keys: HashMap<&'a str, u32>,
    /// Rows of the training (and development) part and of the test part.
    counted: [Vec<u32>; 2],
}

impl<'a> Finder<'a> {
    fn new(data: &'a Dataset) -> Self {
        let keys = data.keys.iter().flatten().enumerate().map(|(i, key)| (key.as_str(), i as u32)).collect();
        let is_test = |&i: &u32| data.parts.as_ref().is_some_and(|parts| parts[i as usize] == Part::Test);
        let (test, train) = (0..data.len() as u32).partition(is_test);
        Self { data, keys, counted: [train, test] }
    }

    fn row(&self, listing: &Listing, client: &str, i: usize, item: &Item, seen: &mut [bool]) -> Result<u32> {
        let place = format!("client {}, sample {i}", super::shown(client));
        let found = match item.row.filter(|_| self.data.keys.is_none()) {
            Some(row) => self.counted[usize::from(client == "test")].get(row).copied(),
            None => self.keyed(client, item),
        };
        let name = &self.data.name;
        let row = found.ok_or_else(|| {
            listing.wrong(format!(
                "{place}: {name} has no sample {}; it is a file of other data",
                super::shown(&item.name)
            ))
        })?;
        if !same_label(&self.data.labels, row, &item.label) {
            return Err(listing.wrong(format!(
                "{place}: {} has another label in {name} (row {row}); it is a file of other data",
                super::shown(&item.name)
            )));
        }
        if std::mem::replace(&mut seen[row as usize], true) {
            return Err(listing.wrong(format!("{place}: {} is listed twice", super::shown(&item.name))));
        }
        Ok(row)
    }

    fn keyed(&self, client: &str, item: &Item) -> Option<u32> {
        let part = match client {
            "test" => "test",
            "dev" if item.row.is_none() => "dev",
            _ => "train",
        };
        let whole = format!("{part}/{}", item.name);
        self.keys.get(whole.as_str()).or_else(|| self.keys.get(item.name.as_str())).copied()
    }
}

/// Whether a sample has this clean label.
pub fn same_label(labels: &Labels, row: u32, label: &Label) -> bool {
    match (labels, label) {
        (Labels::Single(labels), Label::Class(class)) => labels[row as usize] == *class,
        (Labels::Multi(labels), Label::Classes(classes)) => labels.row(row as usize).iter().eq(classes),
        _ => false,
    }
}

#[cfg(test)]
#[path = "listing_tests.rs"]
mod tests;
