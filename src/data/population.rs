//! `population`: any number of generated clients, each made when it is drawn.
//!
//! Client k of N has `samples` samples by the law of [`synthetic`]: the same waveforms, gains and offsets.
//! Its classes are drawn from `p_k ~ Dirichlet(alpha · 1/C · 1)`, uniformly without `alpha` (label skew: Hsu et al., 2019). Nothing is
//! kept of clients that are not in the round's cohort, so memory does not grow with N. The test samples belong to
//! `test-clients` further clients, numbers N and up, that never train; their classes are uniform.
//!
//! A client is the same in every round and every run: it depends on `seed` and k alone.

use super::synthetic::{self, Law, ModalityConfig, Sample};
use super::{Dataset, Labels, MOST_CLASSES, Part};
use crate::fault::{About, Checker, Parameter};
use crate::seed::Stream;
use rand::Rng;
use rand_distr::{Distribution, Gamma};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Config {
    /// Clients N.
    pub clients: usize,
    /// Samples of each.
    pub samples: usize,
    /// Clients behind the test samples.
    pub test_clients: usize,
    /// Classes C.
    pub classes: usize,
    /// Concentration of the classes of a client; uniform without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alpha: Option<f64>,
    /// Modalities by name, in order of the alphabet.
    pub modalities: BTreeMap<String, ModalityConfig>,
    /// Probability that the modalities of a sample err together.
    pub overlap: f64,
    /// Deviation of the noise; waveforms have deviation 1.
    pub noise: f64,
    /// How much clients differ in gain and offset.
    pub client_shift: f64,
    /// Seed of the data; the seeds of the runs do not change it.
    pub seed: u64,
}

impl Default for Config {
    fn default() -> Self {
        let synthetic::Config { classes, modalities, overlap, noise, client_shift, seed, .. } = Default::default();
        let (clients, samples, test_clients, alpha) = (1_000_000, 20, 50, None);
        Self { clients, samples, test_clients, classes, alpha, modalities, overlap, noise, client_shift, seed }
    }
}

impl Config {
    /// Ranges.
    pub fn check(&self, c: &mut Checker) {
        c.count("clients", self.clients, 1, 1_000_000_000_000);
        c.count("samples", self.samples, 1, 1_000_000);
        c.count("test-clients", self.test_clients, 1, 1_000_000);
        c.count("classes", self.classes, 2, MOST_CLASSES);
        if let Some(alpha) = self.alpha {
            c.positive("alpha", alpha);
        }
        c.rate("overlap", self.overlap);
        c.not_negative("noise", self.noise);
        c.not_negative("client-shift", self.client_shift);
        synthetic::check_modalities(c, &self.modalities);
    }

    /// What client k trains on.
    pub fn client(&self, k: usize) -> Dataset {
        let shares = self.alpha.map(|alpha| shares(alpha, self.classes, &self.root().named("classes").at(k as u64)));
        self.data(&[k], shares.as_deref())
    }

    /// The samples that are scored.
    pub fn test(&self) -> Dataset {
        let clients: Vec<usize> = (self.clients..self.clients + self.test_clients).collect();
        let mut data = self.data(&clients, None);
        data.parts = Some(vec![Part::Test; data.len()]);
        data.checksum = super::checksum(&data);
        data
    }

    /// Bytes of the samples that are scored.
    pub(super) fn test_bytes(&self) -> u64 {
        let samples = self.test_clients.saturating_mul(self.samples);
        synthetic::bytes(&self.modalities, self.classes, samples, self.test_clients)
    }

    /// Bytes of one client.
    pub fn client_bytes(&self) -> u64 {
        synthetic::bytes(&self.modalities, self.classes, self.samples, 1)
    }

    fn root(&self) -> Stream {
        Stream::root(self.seed).named("population")
    }

    /// The samples of these clients, with classes drawn by cumulated shares, uniformly without.
    fn data(&self, clients: &[usize], shares: Option<&[f64]>) -> Dataset {
        let Self { classes, modalities, overlap, noise, client_shift, .. } = self;
        let root = self.root();
        let sample = |client: usize, j: usize| {
            let id = (client * self.samples + j) as u64;
            let u: f64 = root.named("class").at(id).rng().random();
            let class = match shares {
                Some(shares) => shares.iter().filter(|&&share| share <= u).count(),
                None => (u * *classes as f64) as usize,
            };
            Sample { id, class: class.min(classes - 1), client: client as u64 }
        };
        let samples: Vec<Sample> = clients
            .iter()
            .flat_map(|&client| (0..self.samples).map(move |j| (client, j)))
            .map(|(k, j)| sample(k, j))
            .collect();
        let law = Law {
            classes: *classes,
            modalities,
            overlap: *overlap,
            noise: *noise,
            client_shift: *client_shift,
            root: root.clone(),
        };
        Dataset {
            name: "population".to_string(),
            modalities: law.modalities(&samples),
            labels: Labels::Single(samples.iter().map(|sample| sample.class as u32).collect()),
            classes: *classes,
            class_names: None,
            client: (0..samples.len()).map(|i| (i / self.samples) as u32).collect(),
            client_names: clients.iter().map(usize::to_string).collect(),
            parts: None,
            keys: None,
            checksum: String::new(),
        }
    }
}

/// Cumulated shares of the classes, `p ~ Dirichlet(alpha/C)`: Gamma draws over their sum.
fn shares(alpha: f64, classes: usize, stream: &Stream) -> Vec<f64> {
    let mut rng = stream.rng();
    let draws: Vec<f64> = match Gamma::new(alpha / classes as f64, 1.0) {
        Ok(gamma) => (0..classes).map(|_| gamma.sample(&mut rng)).collect(),
        Err(_) => vec![1.0; classes],
    };
    let total: f64 = draws.iter().sum();
    // So concentrated that every draw is 0: one class.
    let only = rng.random_range(0..classes);
    let share = |c: usize| if total > 0.0 { draws[c] / total } else { f64::from(c == only) };
    (0..classes)
        .scan(0.0, |sum, c| {
            *sum += share(c);
            Some(*sum)
        })
        .collect()
}

/// Entry of `fedrobust list data`.
pub const ABOUT: About = About {
    name: "population",
    summary: "Generated clients by the law of synthetic, as many as you like: each is made when it is drawn.",
    formula: "classes of client k: y ~ p_k, p_k ~ Dirichlet(alpha/C), uniform without alpha; values as synthetic",
    source: "label skew: Hsu, Qi and Brown, Measuring the Effects of Non-Identical Data Distribution, 2019",
    parameters: &[
        Parameter { name: "clients", default: "1000000", meaning: "clients, from 1" },
        Parameter { name: "samples", default: "20", meaning: "samples of each client, from 1" },
        Parameter { name: "test-clients", default: "50", meaning: "further clients, whose samples are scored, from 1" },
        Parameter { name: "classes", default: "4", meaning: "classes, from 2" },
        Parameter {
            name: "alpha",
            default: "uniform classes",
            meaning: "concentration of a client's classes, above 0",
        },
        synthetic::MODALITIES,
        synthetic::OVERLAP,
        synthetic::NOISE,
        synthetic::CLIENT_SHIFT,
        synthetic::SEED,
    ],
};

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> Config {
        Config { clients: 40, samples: 6, test_clients: 3, ..Config::default() }
    }

    #[test]
    fn a_client_depends_on_its_number_and_the_seed_alone() {
        let (config, larger) = (small(), Config { clients: 1_000_000, test_clients: 9, ..small() });
        for k in [0, 7, 39] {
            assert_eq!(config.client(k), larger.client(k));
            assert_ne!(config.client(k), Config { seed: 1, ..small() }.client(k));
        }
        assert_ne!(config.client(0).modalities[0].values, config.client(1).modalities[0].values);
        assert_eq!(config.client(7).client_names, ["7"]);
    }

    #[test]
    fn test_samples_are_those_of_the_clients_after_the_last() {
        let test = small().test();
        assert_eq!((test.len(), &test.client_names[..]), (18, &["40".to_string(), "41".into(), "42".into()][..]));
        assert_eq!(test.client[..7], [0, 0, 0, 0, 0, 0, 1]);
        let one = Config { clients: 100, ..small() }.client(41);
        assert_eq!(test.modalities[1].values.slice(ndarray::s![6..12, .., ..]), one.modalities[1].values);
        assert!(!test.checksum.is_empty());
    }

    #[test]
    fn a_low_alpha_gives_clients_few_classes_and_all_together_have_all() {
        let classes = |alpha| {
            let config = Config { alpha, clients: 200, ..small() };
            let labels = |k| match config.client(k).labels {
                Labels::Single(labels) => labels,
                Labels::Multi(_) => unreachable!(),
            };
            let distinct = |k| labels(k).into_iter().collect::<std::collections::BTreeSet<_>>().len();
            let counts = (0..200).flat_map(labels).fold([0; 4], |mut counts: [usize; 4], class| {
                counts[class as usize] += 1;
                counts
            });
            assert!(counts.iter().all(|count| (150..450).contains(count)), "{counts:?}");
            (0..200).map(distinct).sum::<usize>() as f64 / 200.0
        };
        let (uniform, skewed, alone) = (classes(None), classes(Some(1.0)), classes(Some(1e-4)));
        // Six draws of four classes: 4 (1 - 0.75^6) = 3.29 are seen.
        assert!(
            (3.15..3.43).contains(&uniform) && (1.2..2.4).contains(&skewed) && alone < 1.05,
            "{uniform} {skewed} {alone}"
        );
    }
}
