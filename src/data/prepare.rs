//! From a data set to what a run trains, selects and tests on: splits and normalisation.
//!
//! Official parts win. Without an official test part, test samples come from held-out clients or are a fraction of each
//! client's; without an official development part, it is a fraction of each client's training samples. A fraction takes,
//! for every natural client and within every class, the *last* `round(share · n)` samples in row order as a block,
//! because neighbouring windows overlap (multilabel: one block a client).
//!
//! By hand: one client holds rows 0 to 9 of class 0 and 10 to 14 of class 1; a fraction of 0.2 takes 8, 9 and 14.

use super::{Dataset, Labels, Modality, Part};
use crate::fault::{About, Checker, Error, Parameter, Result};
use crate::seed::Stream;
use ndarray::s;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// `[split]`: where development and test samples come from when the data set has no official parts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Config {
    /// Fraction of each natural client's training samples kept for development, from 0 to below 1: within each class the
    /// last block of samples, because neighbouring windows overlap. Ignored when the data has official development samples.
    pub dev: f64,
    /// Test samples; ignored when the data has official ones.
    pub test: Test,
}

impl Default for Config {
    fn default() -> Self {
        Self { dev: 0.2, test: Test::default() }
    }
}

/// How test samples are chosen when there is no official test part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Test {
    /// A share of the natural clients, drawn by the seed, is held out whole.
    HeldOutClients(Share),
    /// The last share of each natural client's samples, class by class.
    Fraction(Share),
    /// One of k folds over the natural clients is held out whole.
    Fold(Fold),
}

impl Default for Test {
    fn default() -> Self {
        Test::HeldOutClients(Share::default())
    }
}

/// A share.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Share {
    /// Fraction in (0, 1).
    pub share: f64,
}

impl Default for Share {
    fn default() -> Self {
        Self { share: 0.3 }
    }
}

/// A fold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Fold {
    /// Which, from 1 to `of`.
    pub fold: usize,
    /// Number of folds.
    pub of: usize,
}

impl Default for Fold {
    fn default() -> Self {
        Self { fold: 1, of: 5 }
    }
}

/// `normalise = "…"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Normalise {
    /// Every feature to mean 0 and deviation 1 over the valid steps of the training samples.
    #[default]
    TrainingSet,
    /// Every feature of every sample by itself: `(x − mean) / (std + 1e-5)`, as FedMultimodal does.
    PerWindow,
    /// The same over all samples of each natural client: what a client can do by itself, without labels.
    PerClient,
    /// As it is.
    None,
}

const SHARE: &[Parameter] = &[Parameter { name: "share", default: "0.3", meaning: "fraction, above 0 and below 1" }];

/// Choices of `split.test`, for `fedrobust list split`.
pub const CHOICES: &[About] = &[
    About {
        name: "held-out-clients",
        summary: "A share of the natural clients, drawn by the seed, is held out whole: at least one, at most all but one.",
        formula: "round(share * clients), kept in [1, clients - 1]",
        source: "",
        parameters: SHARE,
    },
    About {
        name: "fraction",
        summary: "The last share of each natural client's samples, class by class, as a block.",
        formula: "the last round(share * n) of the n samples of each client and class",
        source: "",
        parameters: SHARE,
    },
    About {
        name: "fold",
        summary: "Cross-validation over natural clients: the clients of one fold are held out whole, whatever the seed.",
        formula: "clients in order, cut into pieces whose sizes differ by at most one, the larger first",
        source: "scikit-learn's KFold without shuffling, as in Feng et al., FedMultimodal, KDD 2023 (KU-HAR, CREMA-D)",
        parameters: &[
            Parameter { name: "fold", default: "1", meaning: "which fold is held out, from 1 to of" },
            Parameter { name: "of", default: "5", meaning: "number of folds, from 2 to the number of clients" },
        ],
    },
];

impl Config {
    /// Ranges.
    pub fn check(&self, c: &mut Checker) {
        c.below_one("dev", self.dev);
        match &self.test {
            Test::HeldOutClients(share) => share.check(c, "held-out-clients"),
            Test::Fraction(share) => share.check(c, "fraction"),
            Test::Fold(fold) => c.inside("test", |c| c.inside("fold", |c| fold.check(c))),
        }
    }
}

impl Share {
    fn check(&self, c: &mut Checker, name: &str) {
        if !(self.share > 0.0 && self.share < 1.0) {
            c.inside("test", |c| {
                c.inside(name, |c| {
                    c.fault("share", "is out of range", "a number above 0 and below 1", "Write 0.3 for 30 %.");
                });
            });
        }
    }
}

impl Fold {
    fn check(&self, c: &mut Checker) {
        c.at_least("of", self.of, 2);
        if !(1..=self.of).contains(&self.fold) {
            c.fault("fold", "is no fold", format!("a whole number from 1 to {}", self.of), "");
        }
    }
}

/// Sample indices of the three parts, each ascending and disjoint from the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// Training.
    pub train: Vec<u32>,
    /// Development.
    pub dev: Vec<u32>,
    /// Test.
    pub test: Vec<u32>,
}

/// Splits a data set; `stream` draws the held-out clients.
///
/// # Errors
/// A part that would be empty.
pub fn split(data: &Dataset, config: &Config, stream: &Stream) -> Result<Split> {
    let official = |part| (0..data.len() as u32).filter(move |&i| part_of(data, i) == part).collect::<Vec<_>>();
    let (mut train, mut dev, mut test) = (official(Part::Train), official(Part::Dev), official(Part::Test));
    if test.is_empty() {
        (train, test) = match &config.test {
            Test::HeldOutClients(share) => hold_out(data, &train, share.share, stream)?,
            Test::Fraction(share) => carve(data, &train, share.share),
            Test::Fold(fold) => hold_fold(data, &train, fold)?,
        };
    }
    if dev.is_empty() {
        (train, dev) = carve(data, &train, config.dev);
    }
    let name = &data.name;
    if train.is_empty() {
        return Err(Error::Invalid(format!(
            "split: no training sample of {name} is left; lower split.dev or the share of split.test, or mend the data's `split`"
        )));
    }
    if test.is_empty() {
        return Err(Error::Invalid(format!(
            "split: no sample of {name} is left for testing; raise the share of split.test or use held-out-clients"
        )));
    }
    Ok(Split { train, dev, test })
}

fn part_of(data: &Dataset, row: u32) -> Part {
    data.parts.as_ref().map_or(Part::Train, |parts| parts[row as usize])
}

/// Training rows and the rows of the clients held out.
fn hold_out(data: &Dataset, rows: &[u32], share: f64, stream: &Stream) -> Result<(Vec<u32>, Vec<u32>)> {
    let mut clients: Vec<u32> =
        rows.iter().map(|&r| data.client[r as usize]).collect::<BTreeSet<_>>().into_iter().collect();
    if clients.len() < 2 {
        return Err(Error::Invalid(format!(
            "split.test.held-out-clients: {} has only one natural client, so none can be held out; use split.test = {{ fraction = {{ share = {share} }} }}",
            data.name
        )));
    }
    clients.shuffle(&mut stream.rng());
    let held = ((share * clients.len() as f64).round() as usize).clamp(1, clients.len() - 1);
    let held: BTreeSet<u32> = clients.into_iter().take(held).collect();
    let (out, kept) = rows.iter().partition(|&&r| held.contains(&data.client[r as usize]));
    Ok((kept, out))
}

/// Training rows and the rows of the clients of one fold.
fn hold_fold(data: &Dataset, rows: &[u32], fold: &Fold) -> Result<(Vec<u32>, Vec<u32>)> {
    let clients: BTreeSet<u32> = rows.iter().map(|&r| data.client[r as usize]).collect();
    let n = clients.len();
    if fold.of > n {
        return Err(Error::Invalid(format!(
            "split.test.fold.of = {}: {} has {n} natural clients; a whole number from 2 to {n} is possible",
            fold.of, data.name
        )));
    }
    // The first n mod k folds hold one client more.
    let end = |k: usize| k * (n / fold.of) + k.min(n % fold.of);
    let held: BTreeSet<u32> = clients.into_iter().take(end(fold.fold)).skip(end(fold.fold - 1)).collect();
    let (out, kept) = rows.iter().partition(|&&r| held.contains(&data.client[r as usize]));
    Ok((kept, out))
}

/// Rows kept and the last `share` of each client and class, both ascending.
fn carve(data: &Dataset, rows: &[u32], share: f64) -> (Vec<u32>, Vec<u32>) {
    let mut groups: BTreeMap<(u32, u32), Vec<u32>> = BTreeMap::new();
    for &row in rows {
        let class = match &data.labels {
            Labels::Single(labels) => labels[row as usize],
            Labels::Multi(_) => 0,
        };
        groups.entry((data.client[row as usize], class)).or_default().push(row);
    }
    let (mut kept, mut carved) = (Vec::new(), Vec::new());
    for group in groups.values() {
        let cut = group.len() - ((share * group.len() as f64).round() as usize).min(group.len());
        kept.extend_from_slice(&group[..cut]);
        carved.extend_from_slice(&group[cut..]);
    }
    kept.sort_unstable();
    carved.sort_unstable();
    (kept, carved)
}

/// Normalisation of one modality: `x ↦ (x − mean) · scale`, one number a feature.
#[derive(Debug, Clone, PartialEq)]
pub struct Affine {
    /// Mean `[D]`.
    pub mean: Vec<f32>,
    /// One over the deviation `[D]`; 1 where the deviation is 0.
    pub scale: Vec<f32>,
}

/// The affine normalisation of every modality over the training samples (`training-set`), `None` for the other choices.
/// The deviation is that of the population (divided by n), over the valid steps.
pub fn affine(data: &Dataset, split: &Split, how: Normalise) -> Option<Vec<Affine>> {
    let one = |m: &Modality| {
        let moments: Vec<(f64, f64)> = (0..m.shape.width)
            .map(|d| moments(|| split.train.iter().flat_map(move |&i| valid(m, i as usize, d))))
            .collect();
        Affine {
            mean: moments.iter().map(|&(mean, _)| mean as f32).collect(),
            scale: moments.iter().map(|&(_, std)| if std > 0.0 { (1.0 / std) as f32 } else { 1.0 }).collect(),
        }
    };
    (how == Normalise::TrainingSet).then(|| data.modalities.iter().map(one).collect())
}

/// One feature of a sample over its valid steps.
fn valid(m: &Modality, sample: usize, feature: usize) -> impl Iterator<Item = f64> + '_ {
    (0..length(m, sample)).map(move |t| f64::from(m.values[[sample, t, feature]]))
}

fn length(m: &Modality, sample: usize) -> usize {
    m.lengths.as_ref().map_or(m.shape.time, |lengths| lengths[sample] as usize)
}

/// Mean and population deviation in two passes: one pass over large numbers loses the digits that matter.
fn moments<I: Iterator<Item = f64>>(values: impl Fn() -> I) -> (f64, f64) {
    let (n, sum) = values().fold((0.0, 0.0), |(n, sum), x| (n + 1.0, sum + x));
    let n = f64::max(n, 1.0);
    let mean = sum / n;
    (mean, (values().map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt())
}

impl Normalise {
    /// Whether it works on the samples alone, whatever the split.
    pub fn before_split(self) -> bool {
        matches!(self, Normalise::PerWindow | Normalise::PerClient)
    }

    /// Does what it does before the split, in place: `(x − mean) / (std + 1e-5)` a feature, mean and population deviation
    /// over the valid steps of each window or of all windows of each natural client; beyond a sample's length zeros stay
    /// zeros. (Per window, nothing is left of pooled features: one step is its own mean.)
    pub fn normalise(self, data: &mut Dataset) {
        let groups: Vec<Vec<usize>> = match self {
            Normalise::TrainingSet | Normalise::None => return,
            Normalise::PerWindow => (0..data.client.len()).map(|i| vec![i]).collect(),
            Normalise::PerClient => {
                let mut groups: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
                data.client.iter().enumerate().for_each(|(i, &client)| groups.entry(client).or_default().push(i));
                groups.into_values().collect()
            }
        };
        for m in &mut data.modalities {
            for group in &groups {
                (0..m.shape.width).for_each(|feature| normalise_feature(m, group, feature));
            }
        }
    }
}

fn normalise_feature(m: &mut Modality, samples: &[usize], feature: usize) {
    let (mean, std) = moments(|| samples.iter().flat_map(|&i| valid(m, i, feature)));
    for &i in samples {
        let steps = length(m, i);
        m.values.slice_mut(s![i, ..steps, feature]).mapv_inplace(|x| ((f64::from(x) - mean) / (std + 1e-5)) as f32);
    }
}

#[cfg(test)]
#[path = "prepare_tests.rs"]
mod tests;
