//! `synthetic`: generated data whose answer to the loss of a modality is known beforehand.
//!
//! Every sample i has a class y and every modality m shows a class: y where the modality is informative for the sample, else
//! one drawn uniformly from all C. With uniforms `u, u_m ~ U(0, 1)` and `s ~ Bernoulli(overlap)` a sample, modality m is
//! informative when `(s ? u : u_m) < informativeness_m`; where s holds, the modalities that are not informative show the
//! same random class. So
//!
//! - one modality alone is right with probability `q + (1 − q) / C`, q its informativeness (Bayes accuracy for separated
//!   prototypes);
//! - no modality is informative with probability `overlap (1 − max q) + (1 − overlap) Π (1 − q_m)`: with overlap 1 a
//!   modality that is not the best can go without loss, with overlap 0 they err independently;
//! - two modalities that disagree do not tell which of them is right, so of two the better one decides, and the other only
//!   helps a model to know how sure it is; from three on, agreement of the others outvotes one.
//!
//! By hand: q = 0.8, C = 4: 0.8 + 0.2/4 = 0.85. Two of them: neither informative in 0.04 of the samples at overlap 0, in 0.2
//! at overlap 1.
//!
//! A shown class is a waveform `[T, D]`: in every feature a sum of two sinusoids of 1 to 4 periods with random frequency
//! and phase (pooled features: a normal number each). The sample is `gain_k · waveform + offset_k + noise · N(0, 1)`, with
//! `gain_k = 1 + client-shift · U(−0.5, 0.5)` and `offset_k = client-shift · N(0, 1)` a feature, of natural client k.
//! Row i has client `i mod K` and class `⌊i / K⌋ mod C`: balanced. Every sample draws from a stream of its own.

use super::{Dataset, Labels, MOST_CLASSES, Modality, ModalityShape};
use crate::fault::{About, Checker, Parameter};
use crate::seed::Stream;
use ndarray::{Array2, Array3};
use rand::Rng;
use rand_distr::StandardNormal;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::f64::consts::TAU;

/// Parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Config {
    /// Samples N.
    pub samples: usize,
    /// Classes C.
    pub classes: usize,
    /// Natural clients K.
    pub clients: usize,
    /// Modalities by name, in order of the alphabet.
    pub modalities: BTreeMap<String, ModalityConfig>,
    /// Probability that the modalities of a sample err together.
    pub overlap: f64,
    /// Deviation of the noise; waveforms have deviation 1.
    pub noise: f64,
    /// How much natural clients differ in gain and offset.
    pub client_shift: f64,
    /// Seed of the data; the seeds of the runs do not change it.
    pub seed: u64,
}

/// One modality.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct ModalityConfig {
    /// Steps T; without it the modality is pooled features.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<usize>,
    /// Features a step D.
    pub width: usize,
    /// Probability that it shows the sample's class.
    pub informativeness: f64,
}

impl Default for ModalityConfig {
    fn default() -> Self {
        Self { time: None, width: 4, informativeness: 0.8 }
    }
}

impl Default for Config {
    fn default() -> Self {
        let modality = |informativeness| ModalityConfig { time: Some(32), width: 4, informativeness };
        Self {
            samples: 600,
            classes: 4,
            clients: 10,
            modalities: [("audio".to_string(), modality(0.9)), ("motion".to_string(), modality(0.7))].into(),
            overlap: 0.0,
            noise: 0.5,
            client_shift: 0.1,
            seed: 0,
        }
    }
}

impl Config {
    /// Ranges.
    pub fn check(&self, c: &mut Checker) {
        c.count("samples", self.samples, 1, 1_000_000_000);
        c.count("classes", self.classes, 2, MOST_CLASSES);
        c.count("clients", self.clients, 1, 1_000_000_000);
        c.rate("overlap", self.overlap);
        c.not_negative("noise", self.noise);
        c.not_negative("client-shift", self.client_shift);
        check_modalities(c, &self.modalities);
    }
}

/// 1 to 32 modalities, each of a shape that can be.
pub(super) fn check_modalities(c: &mut Checker, modalities: &BTreeMap<String, ModalityConfig>) {
    if !(1..=32).contains(&modalities.len()) {
        c.fault("modalities", "has the wrong size", "1 to 32 modalities", "");
    }
    c.inside("modalities", |c| {
        for (name, modality) in modalities {
            c.inside(name, |c| {
                c.count("time", modality.time.unwrap_or(1), 1, 1_000_000);
                c.count("width", modality.width, 1, 1_000_000);
                c.rate("informativeness", modality.informativeness);
            });
        }
    });
}

/// Entry of `fedrobust list data`.
pub const ABOUT: About = About {
    name: "synthetic",
    summary: "Generated: any number of modalities, each of which shows a sample's class with a known probability.",
    formula: "one modality alone: accuracy q + (1 - q)/C; none informative: overlap (1 - max q) + (1 - overlap) prod (1 - q_m)",
    source: "",
    parameters: &[
        Parameter { name: "samples", default: "600", meaning: "samples, from 1" },
        Parameter { name: "classes", default: "4", meaning: "classes, from 2" },
        Parameter { name: "clients", default: "10", meaning: "natural clients, from 1" },
        MODALITIES,
        OVERLAP,
        NOISE,
        CLIENT_SHIFT,
        SEED,
    ],
};

/// Parameters of the law, as they are listed.
pub(super) const MODALITIES: Parameter = Parameter {
    name: "modalities",
    default: "audio (32 x 4, 0.9) and motion (32 x 4, 0.7)",
    meaning: "by name: { time, width = 4, informativeness = 0.8 }; without time pooled features",
};
pub(super) const OVERLAP: Parameter =
    Parameter { name: "overlap", default: "0.0", meaning: "probability that modalities err together, 0 to 1" };
pub(super) const NOISE: Parameter =
    Parameter { name: "noise", default: "0.5", meaning: "deviation of the noise, from 0; the signal's is 1" };
pub(super) const CLIENT_SHIFT: Parameter =
    Parameter { name: "client-shift", default: "0.1", meaning: "how much clients differ in gain and offset, from 0" };
pub(super) const SEED: Parameter =
    Parameter { name: "seed", default: "0", meaning: "seed of the data, whatever the seeds of the runs" };

/// Bytes of so many samples and clients by this law, from above: values and class of every sample, names of the clients, and
/// the waveform of every class.
pub(super) fn bytes(
    modalities: &BTreeMap<String, ModalityConfig>,
    classes: usize,
    samples: usize,
    clients: usize,
) -> u64 {
    let values: u64 = modalities.values().map(|of| of.time.unwrap_or(1) as u64 * of.width as u64).sum();
    let (sample, client, class) = (4 * values + 64 + 8 * modalities.len() as u64, 64, 8 * values);
    let of = |count: usize, each: u64| (count as u64).saturating_mul(each);
    of(samples, sample).saturating_add(of(clients, client)).saturating_add(of(classes, class))
}

/// Generates.
pub fn generate(config: &Config) -> Dataset {
    let sample = |i: usize| Sample { id: i as u64, class: class_of(config, i), client: (i % config.clients) as u64 };
    let samples: Vec<Sample> = (0..config.samples).map(sample).collect();
    let mut data = Dataset {
        name: "synthetic".to_string(),
        modalities: config.law().modalities(&samples),
        labels: Labels::Single(samples.iter().map(|sample| sample.class as u32).collect()),
        classes: config.classes,
        class_names: None,
        client: samples.iter().map(|sample| sample.client as u32).collect(),
        client_names: (0..config.clients).map(|k| k.to_string()).collect(),
        parts: None,
        keys: None,
        checksum: String::new(),
    };
    data.checksum = super::checksum(&data);
    data
}

impl Config {
    /// Bytes of what is generated.
    pub(super) fn bytes(&self) -> u64 {
        bytes(&self.modalities, self.classes, self.samples, self.clients)
    }

    fn law(&self) -> Law<'_> {
        Law {
            classes: self.classes,
            modalities: &self.modalities,
            overlap: self.overlap,
            noise: self.noise,
            client_shift: self.client_shift,
            root: Stream::root(self.seed).named("synthetic"),
        }
    }
}

fn class_of(config: &Config, sample: usize) -> usize {
    sample / config.clients % config.classes
}

/// A sample to generate.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    /// Names its streams.
    pub id: u64,
    /// Class y.
    pub class: usize,
    /// Natural client k.
    pub client: u64,
}

/// How samples are generated, whoever has how many of them.
#[derive(Debug)]
pub(super) struct Law<'a> {
    pub classes: usize,
    pub modalities: &'a BTreeMap<String, ModalityConfig>,
    pub overlap: f64,
    pub noise: f64,
    pub client_shift: f64,
    pub root: Stream,
}

impl Law<'_> {
    /// All modalities of these samples.
    pub fn modalities(&self, samples: &[Sample]) -> Vec<Modality> {
        let shown: Vec<Vec<usize>> = samples.iter().map(|sample| self.show(sample)).collect();
        let modality =
            |(m, (name, of)): (usize, (&String, &ModalityConfig))| self.modality(name, of, m, samples, &shown);
        self.modalities.iter().enumerate().map(modality).collect()
    }

    /// The class that each modality shows of one sample.
    fn show(&self, sample: &Sample) -> Vec<usize> {
        let mut rng = self.root.named("shown").at(sample.id).rng();
        let together = rng.random::<f64>() < self.overlap;
        let mut draw = || (rng.random::<f64>(), rng.random_range(0..self.classes));
        let shared = draw();
        let mut of_one = |modality: &ModalityConfig| {
            let own = draw();
            let (u, other) = if together { shared } else { own };
            if u < modality.informativeness { sample.class } else { other }
        };
        self.modalities.values().map(&mut of_one).collect()
    }

    fn modality(
        &self,
        name: &str,
        of: &ModalityConfig,
        index: usize,
        samples: &[Sample],
        shown: &[Vec<usize>],
    ) -> Modality {
        let (time, width) = (of.time.unwrap_or(1), of.width);
        let stream = self.root.named("modality").named(name);
        let prototypes: Vec<Array2<f64>> =
            (0..self.classes).map(|c| prototype(of, &stream.named("class").at(c as u64))).collect();
        let mut clients: HashMap<u64, (f64, Vec<f64>)> = HashMap::new();
        let mut values = Array3::zeros((samples.len(), time, width));
        for ((sample, shown), mut values) in samples.iter().zip(shown).zip(values.outer_iter_mut()) {
            let mut rng = stream.named("noise").at(sample.id).rng();
            let client = || shift(self.client_shift, width, &stream.named("client").at(sample.client));
            let (gain, offset) = clients.entry(sample.client).or_insert_with(client);
            for ((t, d), x) in values.indexed_iter_mut() {
                let noise: f64 = rng.sample(StandardNormal);
                *x = (*gain * prototypes[shown[index]][[t, d]] + offset[d] + self.noise * noise) as f32;
            }
        }
        let shape = ModalityShape { name: name.to_string(), time, width, sequence: of.time.is_some() };
        Modality { shape, values, lengths: None }
    }
}

/// What a class looks like, `[T, D]`.
fn prototype(of: &ModalityConfig, stream: &Stream) -> Array2<f64> {
    let mut rng = stream.rng();
    let Some(time) = of.time else {
        return Array2::from_shape_fn((1, of.width), |_| rng.sample(StandardNormal));
    };
    let mut prototype = Array2::zeros((time, of.width));
    for mut feature in prototype.columns_mut() {
        for _ in 0..2 {
            let (periods, phase) = (rng.random_range(1.0..4.0), rng.random_range(0.0..TAU));
            for (t, x) in feature.iter_mut().enumerate() {
                *x += (TAU * periods * t as f64 / time as f64 + phase).sin();
            }
        }
    }
    prototype
}

/// Gain and offset of a natural client.
fn shift(client_shift: f64, width: usize, stream: &Stream) -> (f64, Vec<f64>) {
    let mut rng = stream.rng();
    let gain = 1.0 + client_shift * rng.random_range(-0.5..0.5);
    (gain, (0..width).map(|_| client_shift * rng.sample::<f64, _>(StandardNormal)).collect())
}

#[cfg(test)]
#[path = "synthetic_tests.rs"]
mod tests;
