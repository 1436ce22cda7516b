//! `missing-labels`: samples lose their label.
//!
//! Every training sample of every client loses its label with probability `rate`, independently. With `exact` each client
//! loses exactly `round(rate · n)` labels. Unlabelled samples are not trained on.
//!
//! Each sample has one uniform number u, whatever the rate, and is hit when `u < rate` (with `exact`: when its u is among
//! the smallest), so a higher rate hits all that a lower one hits.
//!
//! By hand: u = 0.7, 0.1, 0.4 and rate 0.5 hit the second and third; exact: round(1.5) = 2 smallest, the same two.

use super::draw::{DRAW, Draw};
use crate::fault::{About, Checker, Parameter};
use crate::seed::Stream;
use serde::{Deserialize, Serialize};

/// Parameters.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Config {
    /// Share of samples that lose their label.
    pub rate: f64,
    /// Exactly `round(rate · n)` of each client, not a coin a sample.
    pub exact: bool,
    /// Where the luck comes from, where it is not the run's seed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub draw: Option<Draw>,
}

impl Config {
    /// Ranges.
    pub fn check(&self, c: &mut Checker) {
        c.rate("rate", self.rate);
        if let Some(draw) = &self.draw {
            draw.check(c, self.exact);
        }
    }

    /// Which of `n` samples of client `k`, whose name has this place, stay labelled.
    pub(super) fn labelled(&self, n: usize, k: usize, place: u64, stream: &Stream) -> Vec<bool> {
        if let Some(draw) = &self.draw {
            return draw.hits(n, self.rate, place, 0).into_iter().map(|hit| !hit).collect();
        }
        let drawn = super::uniforms(n, &stream.named("missing-labels").at(k as u64));
        super::hits(&drawn, self.rate, self.exact).into_iter().map(|hit| !hit).collect()
    }
}

/// Entry of `fedrobust list corrupt`.
pub const ABOUT: About = About {
    name: "missing-labels",
    summary: "Training samples lose their label, sample by sample.",
    formula: "labelled_i = [u_i >= rate], u_i ~ U(0, 1)",
    source: "Feng et al., FedMultimodal, KDD 2023, section 3 (missing labels)",
    parameters: &[
        Parameter { name: "rate", default: "0.0", meaning: "share of samples hit, 0 to 1" },
        Parameter { name: "exact", default: "false", meaning: "exactly round(rate n) samples of each client" },
        DRAW,
    ],
};
