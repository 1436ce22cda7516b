//! What rules act on: the rows that pre-aggregators, rule and attackers see.
//!
//! ```text
//! delta:     x_k = Δ_k = w_k − w
//! gradient:  g_k = −Δ_k / (η A_k)
//! momentum:  m_k ← β m_k + (1 − β) g_k     (m_k = g_k in the client's first round)
//! ```
//!
//! A_k are the client's effective local steps (their number for plain SGD, as FedNova counts them otherwise), so g_k is the
//! mean gradient along its local training. The server turns the rule's answer R back into a change of the weights,
//! `Δ = −η Ā R` with `Ā = Σ n_k A_k / Σ n_k`: where all clients take equally many steps, `gradient` with a rule that commutes
//! with scaling is `delta`. Radii and thresholds of rules are lengths of such rows.
//!
//! Attackers forge rows of the same kind; their own momentum follows their honest training. A client keeps one row `[P]`
//! from its first round on. A row that is not finite is sent (and set aside), but leaves the momentum as it was.
//!
//! By hand: η = 0.1, two plain steps, Δ = −0.4: g = 2; with β = 0.9 and m = 1: m = 1.1.

use super::State;
use crate::fault::{About, Checker, Parameter, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tch::Tensor;

/// What rules act on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Config {
    /// Changes of the weights.
    Delta(Empty),
    /// Mean local gradients.
    Gradient(Empty),
    /// Client momenta over rounds.
    Momentum(Momentum),
}

/// No parameters.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Empty {}

/// Parameters of `momentum`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Momentum {
    /// Decay β.
    pub beta: f64,
}

impl Default for Momentum {
    fn default() -> Self {
        Self { beta: 0.9 }
    }
}

impl Default for Config {
    fn default() -> Self {
        Config::Delta(Empty {})
    }
}

/// Every choice, for `fedrobust list on`.
pub const CHOICES: &[About] = &[
    About {
        name: "delta",
        summary: "Rules act on changes of the weights, local minus global.",
        formula: "x_k = Delta_k",
        source: "",
        parameters: &[],
    },
    About {
        name: "gradient",
        summary: "Rules act on mean local gradients.",
        formula: "g_k = -Delta_k / (eta A_k), A_k the effective local steps (their number for plain SGD); back: Delta = -eta mean(A) R",
        source: "the gradients of papers on distributed SGD: Blanchard et al., NeurIPS 2017",
        parameters: &[],
    },
    About {
        name: "momentum",
        summary: "Rules act on momenta that clients keep over rounds.",
        formula: "m_k = beta m_k + (1 - beta) g_k, m_k = g_k at first; back as gradient",
        source: "Karimireddy, He and Jaggi, Learning from History for Byzantine Robust Optimization, ICML 2021, Algorithm 2 (worker momentum)",
        parameters: &[Parameter { name: "beta", default: "0.9", meaning: "decay, from 0 to below 1" }],
    },
];

impl Config {
    /// Ranges.
    pub fn check(&self, c: &mut Checker) {
        if let Config::Momentum(momentum) = self {
            c.inside("momentum", |c| c.below_one("beta", momentum.beta));
        }
    }

    /// Whether it is the default.
    pub fn is_default(&self) -> bool {
        matches!(self, Config::Delta(_))
    }

    /// Whether every client that has trained leaves a row `[P]` behind.
    pub fn remembers(&self) -> bool {
        matches!(self, Config::Momentum(_))
    }
}

/// Rows of a run: the choice and the momenta of the clients.
#[derive(Debug)]
pub struct Space {
    config: Config,
    momenta: BTreeMap<u64, Tensor>,
}

impl Space {
    /// Without a momentum.
    pub fn new(config: Config) -> Self {
        Self { config, momenta: BTreeMap::new() }
    }

    /// The rows of clients whose changes are `deltas`, each `[P]`, and whose unit gradients reach `reaches` (η A_k).
    ///
    /// # Errors
    /// Too little memory.
    pub fn rows(&mut self, deltas: &[Tensor], reaches: &[f64], clients: &[u64]) -> Result<Vec<Tensor>> {
        let mut rows = Vec::with_capacity(deltas.len());
        for ((delta, reach), &client) in deltas.iter().zip(reaches).zip(clients) {
            rows.push(match &self.config {
                Config::Delta(_) => delta.shallow_clone(),
                Config::Gradient(_) => delta.f_div_scalar(-reach)?,
                Config::Momentum(Momentum { beta }) => {
                    let gradient = delta.f_div_scalar(-reach)?;
                    let row = match self.momenta.get(&client) {
                        Some(old) => old.f_mul_scalar(*beta)?.f_add_(&gradient.f_mul_scalar(1.0 - beta)?)?,
                        None => gradient,
                    };
                    if row.f_isfinite()?.f_all()?.f_int64_value(&[])? == 1 {
                        self.momenta.insert(client, row.shallow_clone());
                    }
                    row
                }
            });
        }
        Ok(rows)
    }

    /// What a row is multiplied by to become a change of the weights, where unit gradients reach `reach`.
    pub fn back(&self, reach: f64) -> f64 {
        if self.config.is_default() { 1.0 } else { -reach }
    }

    /// Momenta by client, for a checkpoint.
    pub fn state(&self) -> State {
        self.momenta.iter().map(|(client, row)| (client.to_string(), row.shallow_clone())).collect()
    }

    /// Takes them back.
    pub fn restore(&mut self, state: State) {
        self.momenta = state.into_iter().filter_map(|(client, row)| Some((client.parse().ok()?, row))).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(space: &mut Space, deltas: &[f32], client: u64) -> Vec<f64> {
        let deltas: Vec<Tensor> = deltas.iter().map(|&x| Tensor::from_slice(&[x])).collect();
        let clients: Vec<u64> = (client..).take(deltas.len()).collect();
        let rows = space.rows(&deltas, &vec![0.2; deltas.len()], &clients).unwrap();
        rows.iter().map(|row| (row.double_value(&[0]) * 1e6).round() / 1e6).collect()
    }

    fn space(text: &str) -> Space {
        Space::new(serde_json::from_str(text).unwrap())
    }

    #[test]
    fn by_hand() {
        assert_eq!(rows(&mut space(r#"{"delta":{}}"#), &[-0.4], 0), [-0.4]);
        assert_eq!(rows(&mut space(r#"{"gradient":{}}"#), &[-0.4], 0), [2.0]);
        let mut momentum = space(r#"{"momentum":{}}"#);
        assert_eq!(rows(&mut momentum, &[-0.2, 0.4], 3), [1.0, -2.0], "the first momentum is the gradient");
        assert_eq!(rows(&mut momentum, &[-0.4], 3), [1.1]);
        assert_eq!((space(r#"{"delta":{}}"#).back(0.2), momentum.back(0.2)), (1.0, -0.2));
    }

    #[test]
    fn a_row_that_is_not_finite_leaves_the_momentum_as_it_was() {
        let mut momentum = space(r#"{"momentum":{"beta":0.5}}"#);
        rows(&mut momentum, &[-0.2], 1);
        assert!(rows(&mut momentum, &[f32::NAN], 1)[0].is_nan());
        assert_eq!(rows(&mut momentum, &[-0.6], 1), [2.0]);
    }

    #[test]
    fn a_restored_space_goes_on_to_the_same_bytes() {
        let (mut one, mut other) = (space(r#"{"momentum":{}}"#), space(r#"{"momentum":{}}"#));
        rows(&mut one, &[0.3, 0.7], 5);
        other.restore(one.state());
        assert_eq!(rows(&mut one, &[0.1, -0.9], 5), rows(&mut other, &[0.1, -0.9], 5));
    }
}
