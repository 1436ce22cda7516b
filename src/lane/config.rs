//! `[train]`: rounds, cohort, and the local optimiser.

use crate::fault::{About, Checker, Parameter};
use serde::{Deserialize, Serialize};

/// `[train]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Config {
    /// Rounds.
    pub rounds: usize,
    /// Clients drawn a round: an integer is a count, a number with a point a fraction of all.
    pub cohort: Cohort,
    /// Who is drawn, where it is not by the run's seed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub draw: Option<Draw>,
    /// Samples a local step.
    pub batch: usize,
    /// Passes over a client's samples a round.
    pub epochs: usize,
    /// Local optimiser.
    pub optimizer: Optimizer,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            rounds: 50,
            cohort: Cohort::Fraction(0.1),
            draw: None,
            batch: 16,
            epochs: 1,
            optimizer: Optimizer::default(),
        }
    }
}

/// Another way to draw cohorts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Draw {
    /// FedMultimodal's: round t, from 0, seeds NumPy's legacy generator with t and chooses from the clients, whose names are
    /// sorted as text; so all seeds and strategies have the same cohorts.
    Fedmultimodal(Plain),
}

/// No parameters.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plain {}

/// Clients drawn a round.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cohort {
    /// So many.
    Count(usize),
    /// This share of all clients, rounded down, at least one.
    Fraction(f64),
}

impl Serialize for Cohort {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self {
            Cohort::Count(n) => s.serialize_u64(*n as u64),
            Cohort::Fraction(f) => s.serialize_f64(*f),
        }
    }
}

impl<'de> Deserialize<'de> for Cohort {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Cohort;
            fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
                f.write_str("a whole number of clients or a fraction written with a point")
            }
            fn visit_i64<E: serde::de::Error>(self, n: i64) -> Result<Cohort, E> {
                usize::try_from(n)
                    .map(Cohort::Count)
                    .map_err(|_| E::invalid_value(serde::de::Unexpected::Signed(n), &self))
            }
            fn visit_u64<E: serde::de::Error>(self, n: u64) -> Result<Cohort, E> {
                Ok(Cohort::Count(n as usize))
            }
            fn visit_f64<E: serde::de::Error>(self, f: f64) -> Result<Cohort, E> {
                Ok(Cohort::Fraction(f))
            }
        }
        d.deserialize_any(Visitor)
    }
}

impl Cohort {
    /// Clients drawn of `clients`.
    pub fn size(self, clients: usize) -> usize {
        match self {
            Cohort::Count(n) => n.min(clients),
            Cohort::Fraction(f) => ((f * clients as f64) as usize).clamp(1, clients.max(1)),
        }
    }
}

/// Local optimiser.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Optimizer {
    /// Stochastic gradient descent.
    Sgd(Sgd),
}

impl Default for Optimizer {
    fn default() -> Self {
        Optimizer::Sgd(Sgd::default())
    }
}

/// Parameters of `sgd`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Sgd {
    /// Learning rate η.
    pub lr: f64,
    /// Momentum m.
    pub momentum: f64,
    /// Weight decay λ.
    pub weight_decay: f64,
    /// Bound of the gradient norm, per client and step; infinite for none.
    pub clip: f64,
}

impl Default for Sgd {
    fn default() -> Self {
        Self { lr: 0.05, momentum: 0.9, weight_decay: 1e-5, clip: 10.0 }
    }
}

/// Local optimisers, for `fedrobust list optimizer`.
pub const OPTIMIZERS: &[About] = &[About {
    name: "sgd",
    summary: "SGD with momentum, weight decay and a clip of the gradient's norm.",
    formula: "g = clip(grad F); v = m v + g + lambda w; w = w - eta v, v = 0 at the start of a round",
    source: "the form of PyTorch, dampening 0; the clip as in Feng et al., FedMultimodal, KDD 2023",
    parameters: &[
        Parameter { name: "lr", default: "0.05", meaning: "learning rate eta, above 0" },
        Parameter { name: "momentum", default: "0.9", meaning: "momentum m, from 0 to below 1" },
        Parameter { name: "weight-decay", default: "1e-5", meaning: "weight decay lambda, from 0" },
        Parameter {
            name: "clip",
            default: "10.0",
            meaning: "largest norm of a client's gradient in a step, above 0; inf for no clip",
        },
    ],
}];

impl Config {
    /// Ranges.
    pub fn check(&self, c: &mut Checker) {
        c.at_least("rounds", self.rounds, 1);
        c.count("batch", self.batch, 1, 1_000_000);
        c.count("epochs", self.epochs, 1, 10_000);
        match self.cohort {
            Cohort::Count(n) => c.at_least("cohort", n, 1),
            Cohort::Fraction(f) if !(f > 0.0 && f <= 1.0) => {
                c.fault(
                    "cohort",
                    "is not a share of the clients",
                    "a number above 0 up to 1.0, or a whole number of clients",
                    "",
                );
            }
            Cohort::Fraction(_) => {}
        }
        let Optimizer::Sgd(sgd) = &self.optimizer;
        c.inside("optimizer", |c| {
            c.inside("sgd", |c| {
                c.positive("lr", sgd.lr);
                c.below_one("momentum", sgd.momentum);
                c.not_negative("weight-decay", sgd.weight_decay);
                if sgd.clip.is_nan() || sgd.clip <= 0.0 {
                    c.fault("clip", "is not a positive number", "a number above 0, or inf for no clip", "");
                }
            });
        });
    }
}
