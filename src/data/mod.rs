//! Data sets: samples with one or more modalities, a label, and the natural client each came from.
//!
//! | choice | what it is |
//! |---|---|
//! | `shoulder` | bundled real data: 10 people, smartwatch accelerometer and gyroscope, 7 shoulder exercises |
//! | `synthetic` | any number of modalities with known informativeness and overlap |
//! | `population` | any number of generated clients, each made when it is drawn |
//! | `npz` | your own arrays |
//! | `uci-har` | UCI HAR from its official text files |
//! | `ku-har` | KU-HAR from its CSV files |
//! | `ptb-xl` | PTB-XL from PhysioNet's files |
//! | `crema-d` | CREMA-D's recordings as log-mel features |
//! | `meld` | MELD's sound as log-mel features |
//! | `fedmultimodal` | feature files of FedMultimodal, ten data sets |

mod arrays;
pub mod audio;
pub mod crema_d;
mod fbank;
pub mod features;
pub mod fedmultimodal;
mod folder;
mod folds;
pub mod ku_har;
pub mod listing;
pub mod matrix;
pub mod meld;
pub mod npz;
pub mod pickle;
pub mod population;
pub mod prepare;
pub mod ptb_xl;
pub mod shoulder;
pub mod synthetic;
mod table;
pub mod uci_har;
mod wfdb;
pub mod write;

use crate::fault::{About, Checker, Parameter, Result};
use crate::memory;
use ndarray::{Array2, Array3};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

/// Where the data comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Config {
    /// Bundled smartwatch data.
    Shoulder(shoulder::Config),
    /// Generated data.
    Synthetic(synthetic::Config),
    /// Generated clients, made when they are drawn.
    Population(population::Config),
    /// The user's arrays.
    Npz(npz::Config),
    /// UCI HAR from its text files.
    UciHar(uci_har::Config),
    /// KU-HAR from its CSV files.
    KuHar(ku_har::Config),
    /// PTB-XL from PhysioNet's files.
    PtbXl(ptb_xl::Config),
    /// CREMA-D's recordings.
    CremaD(crema_d::Config),
    /// MELD's sound.
    Meld(meld::Config),
    /// FedMultimodal's feature files.
    Fedmultimodal(fedmultimodal::Config),
}

/// Most classes that data may have.
const MOST_CLASSES: usize = 1 << 16;

/// Every choice, for `fedrobust list data`.
pub const CHOICES: &[About] = &[
    shoulder::ABOUT,
    synthetic::ABOUT,
    population::ABOUT,
    npz::ABOUT,
    uci_har::ABOUT,
    ku_har::ABOUT,
    ptb_xl::ABOUT,
    crema_d::ABOUT,
    meld::ABOUT,
    fedmultimodal::ABOUT,
];

/// The parameter that picks modalities, of sources whose modalities have fixed names.
const MODALITIES: Parameter =
    Parameter { name: "modalities", default: "all, in order", meaning: "names of the modalities to use, in order" };

impl Config {
    /// Checks what can be checked without reading anything.
    pub fn check(&self, c: &mut Checker) {
        match self {
            Config::Shoulder(_) => {}
            Config::Synthetic(config) => c.inside("synthetic", |c| config.check(c)),
            Config::Population(config) => c.inside("population", |c| config.check(c)),
            Config::Npz(config) => c.inside("npz", |c| config.check(c)),
            Config::UciHar(config) => c.inside("uci-har", |c| config.check(c)),
            Config::KuHar(config) => c.inside("ku-har", |c| config.check(c)),
            Config::PtbXl(config) => c.inside("ptb-xl", |c| config.check(c)),
            Config::CremaD(config) => c.inside("crema-d", |c| config.check(c)),
            Config::Meld(config) => c.inside("meld", |c| config.check(c)),
            Config::Fedmultimodal(config) => c.inside("fedmultimodal", |c| config.check(c)),
        }
    }

    /// The clients that are made when they are drawn, where the source has such; what is loaded is then what is scored.
    pub fn population(&self) -> Option<&population::Config> {
        match self {
            Config::Population(config) => Some(config),
            _ => None,
        }
    }

    /// Reads or generates the data; relative paths are taken from `base`, the scenario's folder.
    ///
    /// # Errors
    /// A file that is missing, not readable or not of the stated layout; more generated data than memory.
    pub fn load(&self, base: &Path) -> Result<Dataset> {
        match self {
            Config::Shoulder(_) => shoulder::load(),
            Config::Synthetic(config) => {
                let remedy = "lower samples, time or width of data.synthetic";
                memory::check("data.synthetic takes", config.bytes(), remedy)?;
                Ok(synthetic::generate(config))
            }
            Config::Population(config) => {
                let remedy = "lower test-clients, samples, time or width of data.population";
                memory::check("the test samples of data.population take", config.test_bytes(), remedy)?;
                Ok(config.test())
            }
            Config::Npz(config) => npz::load(config, base),
            Config::UciHar(config) => uci_har::load(config, base),
            Config::KuHar(config) => ku_har::load(config, base),
            Config::PtbXl(config) => ptb_xl::load(config, base),
            Config::CremaD(config) => crema_d::load(config, base),
            Config::Meld(config) => meld::load(config, base),
            Config::Fedmultimodal(config) => fedmultimodal::load(config, base),
        }
    }

    /// What is known without reading anything, where the source has a fixed layout: modalities with the largest shape that
    /// they have, classes, and whether samples may have several labels. A data set of one sample.
    pub fn outline(&self) -> Option<Dataset> {
        match self {
            Config::Shoulder(_) | Config::Synthetic(_) | Config::Population(_) | Config::Npz(_) => None,
            Config::UciHar(config) => Some(config.outline()),
            Config::KuHar(config) => Some(config.outline()),
            Config::PtbXl(config) => Some(config.outline()),
            Config::CremaD(config) => Some(config.outline()),
            Config::Meld(config) => Some(config.outline()),
            Config::Fedmultimodal(config) => Some(config.outline()),
        }
    }

    /// The path that it is read from, relative to the scenario's folder.
    pub fn path_mut(&mut self) -> Option<&mut PathBuf> {
        match self {
            Config::Shoulder(_) | Config::Synthetic(_) | Config::Population(_) => None,
            Config::Npz(config) => Some(&mut config.path),
            Config::UciHar(config) => Some(&mut config.path),
            Config::KuHar(config) => Some(&mut config.path),
            Config::PtbXl(config) => Some(&mut config.path),
            Config::CremaD(config) => Some(&mut config.path),
            Config::Meld(config) => Some(&mut config.path),
            Config::Fedmultimodal(config) => Some(&mut config.path),
        }
    }
}

/// Keys of all paths of this family, below `data`.
pub const PATHS: &[[&str; 2]] = &[
    ["npz", "path"],
    ["uci-har", "path"],
    ["ku-har", "path"],
    ["ptb-xl", "path"],
    ["crema-d", "path"],
    ["meld", "path"],
    ["fedmultimodal", "path"],
];

/// Shape of one modality.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModalityShape {
    /// Name, as in the file.
    pub name: String,
    /// Time steps T; 1 for pooled features.
    pub time: usize,
    /// Features a step D.
    pub width: usize,
    /// Whether samples are sequences (`[N, T, D]`), not pooled features (`[N, D]`).
    pub sequence: bool,
}

impl ModalityShape {
    /// Sequences `[N, T, D]`.
    pub fn sequence(name: &str, time: usize, width: usize) -> Self {
        Self { name: name.to_string(), time, width, sequence: true }
    }

    /// Pooled features `[N, D]`.
    pub fn pooled(name: &str, width: usize) -> Self {
        Self { name: name.to_string(), time: 1, width, sequence: false }
    }
}

/// One modality of all samples.
#[derive(Debug, Clone, PartialEq)]
pub struct Modality {
    /// Name and shape.
    pub shape: ModalityShape,
    /// Values `[N, T, D]`, zero beyond a sample's length; pooled features have T = 1.
    pub values: Array3<f32>,
    /// Valid steps of each sample, where they differ, up to T; with 0 a sample lacks the modality.
    pub lengths: Option<Vec<u32>>,
}

/// Labels of all samples.
#[derive(Debug, Clone, PartialEq)]
pub enum Labels {
    /// One class a sample, `[N]`, below the number of classes.
    Single(Vec<u32>),
    /// Zero or one a class, `[N, C]`.
    Multi(Array2<f32>),
}

/// Official part of a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Training.
    Train,
    /// Development: selects rounds, never trains.
    Dev,
    /// Test.
    Test,
}

/// A data set as it was read: nothing is split or normalised yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    /// Name for titles, for example `shoulder`.
    pub name: String,
    /// Modalities in file order, each with N samples.
    pub modalities: Vec<Modality>,
    /// Labels.
    pub labels: Labels,
    /// Number of classes C.
    pub classes: usize,
    /// Names of the classes, where known.
    pub class_names: Option<Vec<String>>,
    /// Natural client of each sample: an index into `client_names`.
    pub client: Vec<u32>,
    /// Names of the natural clients, ascending.
    pub client_names: Vec<String>,
    /// Official parts, where the source has them.
    pub parts: Option<Vec<Part>>,
    /// What the source calls each sample, where it has names for them: the keys by which FedMultimodal's files name samples.
    pub keys: Option<Vec<String>>,
    /// BLAKE3 of the content, in hex: part of every run's identity.
    pub checksum: String,
}

impl Dataset {
    /// Number of samples N.
    pub fn len(&self) -> usize {
        self.client.len()
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.client.is_empty()
    }

    /// Whether a sample may have several labels.
    pub fn multilabel(&self) -> bool {
        matches!(self.labels, Labels::Multi(_))
    }

    /// Modalities that each sample has by itself, bit m for modality m; `None` where every sample has all.
    pub fn having(&self) -> Option<Vec<u32>> {
        let lacks = |i: usize, m: &Modality| m.lengths.as_ref().is_some_and(|lengths| lengths[i] == 0);
        let mask = |i: usize| {
            let has = self.modalities.iter().enumerate().filter(|(_, modality)| !lacks(i, modality));
            has.fold(0, |mask, (m, _)| mask | 1 << m)
        };
        let any = (0..self.len()).any(|i| self.modalities.iter().any(|modality| lacks(i, modality)));
        any.then(|| (0..self.len()).map(mask).collect())
    }

    /// The shape of every modality.
    pub fn shapes(&self) -> Vec<ModalityShape> {
        self.modalities.iter().map(|m| m.shape.clone()).collect()
    }
}

/// BLAKE3 over names, shapes, values, labels, clients and parts: the content, not the file's bytes, so that compressing a
/// file again does not change who it is.
fn checksum(data: &Dataset) -> String {
    let mut hasher = blake3::Hasher::new();
    for n in [data.len(), data.classes, data.client_names.len(), data.modalities.len()] {
        hasher.update(&(n as u64).to_le_bytes());
    }
    for name in data.client_names.iter().chain(data.modalities.iter().map(|m| &m.shape.name)) {
        hasher.update(&(name.len() as u64).to_le_bytes()).update(name.as_bytes());
    }
    for modality in &data.modalities {
        let shape = &modality.shape;
        for n in [shape.time, shape.width, usize::from(shape.sequence), usize::from(modality.lengths.is_some())] {
            hasher.update(&(n as u64).to_le_bytes());
        }
        hash_words(&mut hasher, modality.values.iter().map(|x| x.to_bits()));
        hash_words(&mut hasher, modality.lengths.iter().flatten().copied());
    }
    match &data.labels {
        Labels::Single(labels) => hash_words(&mut hasher, labels.iter().copied()),
        Labels::Multi(labels) => hash_words(&mut hasher, labels.iter().map(|x| x.to_bits())),
    }
    hash_words(&mut hasher, data.client.iter().copied());
    hash_words(&mut hasher, data.parts.iter().flatten().map(|&part| part as u32));
    hasher.finalize().to_hex().to_string()
}

/// Checks that `wanted` are among the names of a source, each once.
fn check_modalities(c: &mut Checker, wanted: Option<&[String]>, names: &[&str]) {
    let Some(wanted) = wanted else { return };
    let known = wanted.iter().all(|name| names.contains(&name.as_str()));
    let once = wanted.iter().collect::<BTreeSet<_>>().len() == wanted.len();
    if wanted.is_empty() || !known || !once {
        c.fault("modalities", "is no list of its modalities", format!("{}, each at most once", names.join(", ")), "");
    }
}

/// What has a modality's name.
trait Named {
    fn name(&self) -> &str;
}

impl Named for ModalityShape {
    fn name(&self) -> &str {
        &self.name
    }
}

impl Named for fedmultimodal::sets::Modality {
    fn name(&self) -> &str {
        self.name
    }
}

impl<T> Named for (&str, T) {
    fn name(&self) -> &str {
        self.0
    }
}

/// The modalities wanted, in the order wanted; all by default.
fn picked<T: Named + Clone>(all: &[T], wanted: Option<&[String]>) -> Vec<T> {
    let Some(wanted) = wanted else { return all.to_vec() };
    wanted.iter().filter_map(|name| all.iter().find(|one| one.name() == name)).cloned().collect()
}

/// A data set of one sample of zeros: what a source is like before it is read.
fn outline(name: &str, shapes: Vec<ModalityShape>, classes: usize, multilabel: bool) -> Dataset {
    let zeros = |shape: ModalityShape| {
        let values = Array3::zeros((1, shape.time, shape.width));
        Modality { shape, values, lengths: None }
    };
    let labels = if multilabel { Labels::Multi(Array2::zeros((1, classes))) } else { Labels::Single(vec![0]) };
    Dataset {
        name: name.to_string(),
        modalities: shapes.into_iter().map(zeros).collect(),
        labels,
        classes,
        class_names: None,
        client: vec![0],
        client_names: vec!["all".to_string()],
        parts: None,
        keys: None,
        checksum: String::new(),
    }
}

/// Natural clients from the name of each sample's: indices and names, ascending (as numbers where all are).
fn clients(of: &[String]) -> (Vec<u32>, Vec<String>) {
    let mut names: Vec<String> = of.iter().collect::<BTreeSet<_>>().into_iter().cloned().collect();
    if names.iter().all(|name| name.parse::<i64>().is_ok()) {
        names.sort_by_key(|name| name.parse::<i64>().unwrap_or_default());
    }
    let places: HashMap<&String, u32> = names.iter().enumerate().map(|(i, name)| (name, i as u32)).collect();
    let client = of.iter().map(|name| places[name]).collect();
    (client, names)
}

/// What a file holds, as a message shows it: quoted and cut.
fn shown(text: &str) -> String {
    let cut: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(40).collect();
    format!("\"{cut}{}\"", if cut.len() < text.len() { "…" } else { "" })
}

/// Hashes in blocks: one call a number would cost more than the hashing.
fn hash_words(hasher: &mut blake3::Hasher, words: impl Iterator<Item = u32>) {
    let mut block = Vec::with_capacity(1 << 16);
    for word in words {
        block.extend_from_slice(&word.to_le_bytes());
        if block.len() == 1 << 16 {
            hasher.update(&block);
            block.clear();
        }
    }
    hasher.update(&block);
}

#[cfg(test)]
mod speech_tests;
