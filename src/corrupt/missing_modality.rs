//! `missing-modality`: clients or samples lose a modality.
//!
//! Independently for each modality m, a unit loses it with probability `rates[m]`, or `rate` where `rates` does not name m.
//! A unit is a client (`per = "client"`: all its samples lose it) or a sample (`per = "sample"`). With `exact`, exactly
//! `round(rate · n)` units lose it: of all clients, or of each client's samples.
//!
//! Each unit has one uniform number a modality, whatever the rate, and is hit when it is below the rate (with `exact`: when it
//! is among the smallest), so a higher rate hits all that a lower one hits. At test time the unit of `per = "client"` is the
//! natural client of the sample.
//!
//! By hand: two clients, u = 0.3 and 0.6 for the gyroscope: rate 0.5 takes it from the first, 0.7 from both.

use super::draw::{DRAW, Draw};
use super::{Facts, Present};
use crate::fault::{About, Checker, Parameter};
use crate::seed::Stream;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Parameters.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Config {
    /// Share of units that lose a modality.
    pub rate: f64,
    /// Who loses it.
    pub per: Per,
    /// Exactly `round(rate · n)` units, not a coin a unit.
    pub exact: bool,
    /// Rate by modality, where it differs from `rate`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub rates: BTreeMap<String, f64>,
    /// Where the luck comes from, where it is not the run's seed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub draw: Option<Draw>,
}

/// Who loses a modality.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Per {
    /// A client, with all its samples.
    #[default]
    Client,
    /// Every sample by itself.
    Sample,
}

/// Entry of `fedrobust list corrupt`.
pub const ABOUT: About = About {
    name: "missing-modality",
    summary: "Clients or samples lose modalities, independently for each modality.",
    formula: "present_{u,m} = [x_{u,m} >= rate_m], x ~ U(0, 1), u a client or a sample",
    source: "Feng et al., FedMultimodal, KDD 2023, section 3 (missing modalities)",
    parameters: &[
        Parameter { name: "rate", default: "0.0", meaning: "share of units that lose each modality, 0 to 1" },
        Parameter { name: "per", default: "client", meaning: "unit: client or sample" },
        Parameter {
            name: "exact",
            default: "false",
            meaning: "exactly round(rate n) of the clients, or of each client's samples",
        },
        Parameter { name: "rates", default: "{}", meaning: "rate by modality, for example { gyroscope = 0.5 }" },
        DRAW,
    ],
};

impl Config {
    /// Ranges.
    pub fn check(&self, c: &mut Checker) {
        c.rate("rate", self.rate);
        c.inside("rates", |c| self.rates.iter().for_each(|(name, &rate)| c.rate(name, rate)));
        if let Some(draw) = &self.draw {
            draw.check(c, self.exact);
            if self.per != Per::Client {
                c.fault("per", "cannot be had of FedMultimodal's law", "client", "Remove per or draw.");
            }
        }
    }

    /// Names of modalities.
    pub fn check_data(&self, c: &mut Checker, facts: &Facts) {
        c.inside("rates", |c| {
            for name in self.rates.keys().filter(|name| !facts.modalities.contains(name)) {
                c.fault(name, "names no modality of the data", facts.modalities.join(", "), "");
            }
        });
    }

    /// The rate of one modality.
    pub fn rate_of(&self, modality: &str) -> f64 {
        self.rates.get(modality).copied().unwrap_or(self.rate)
    }

    /// Modalities present in each sample of each group; a group is a client.
    pub(super) fn present(&self, groups: &[Group], facts: &Facts, stream: &Stream) -> Vec<Vec<Present>> {
        let mut present: Vec<Vec<Present>> =
            groups.iter().map(|g| vec![super::everything(facts.modalities.len()); g.samples]).collect();
        for (m, name) in facts.modalities.iter().enumerate() {
            let stream = stream.named("missing-modality").named(name);
            let rate = self.rate_of(name);
            if let Some(draw) = &self.draw {
                for (mine, group) in present.iter_mut().zip(groups) {
                    let gone = draw.hits(1, rate, group.place, m as u32)[0];
                    mine.iter_mut().filter(|_| gone).for_each(|p| *p &= !(1 << m));
                }
                continue;
            }
            if self.per == Per::Client {
                let drawn: Vec<f64> = groups.iter().flat_map(|g| super::uniforms(1, &stream.at(g.key))).collect();
                for (mine, hit) in present.iter_mut().zip(super::hits(&drawn, rate, self.exact)) {
                    mine.iter_mut().filter(|_| hit).for_each(|p| *p &= !(1 << m));
                }
                continue;
            }
            for (mine, group) in present.iter_mut().zip(groups) {
                let drawn = super::uniforms(group.samples, &stream.named("samples").at(group.key));
                let hits = super::hits(&drawn, rate, self.exact);
                mine.iter_mut().zip(hits).filter(|(_, hit)| *hit).for_each(|(p, _)| *p &= !(1 << m));
            }
        }
        present
    }

    /// Whether no unit can be hit.
    pub(super) fn does_nothing(&self) -> bool {
        self.rate == 0.0 && self.rates.values().all(|&r| r == 0.0)
    }
}

/// Samples that belong together.
#[derive(Debug, Clone, Copy)]
pub(super) struct Group {
    /// Name of its streams.
    pub key: u64,
    /// Place of its name among all.
    pub place: u64,
    /// How many samples.
    pub samples: usize,
}
