//! `fednova`: normalised averaging. Clients that take more steps do not pull the average towards their own optimum.
//!
//! ```text
//! x_k = τ Δ_k / A_k,   τ = Σ_k p_k A_k,   p_k = n_k / Σ_j n_j over the round's clients      w ← w + Σ_k p_k x_k
//! ```
//!
//! A_k = ‖a_k‖₁ are the effective steps of local SGD with momentum and the proximal term ([`super::effective_steps`]), so
//! Δ_k / A_k is the client's normalised direction d_k times −η. Rules get the rows x_k, in units of a change of the
//! weights, and so do attackers; where all clients take equally many steps they are the plain changes. Weight decay
//! counts as part of the gradient. The server knows every client's number of steps (samples, batch size, epochs).
//!
//! By hand: no momentum, Δ = 1 in 1 step and Δ = 3 in 3 steps, samples 1 and 3: τ = 2.5, x = 2.5 and 2.5; the average
//! change is 2.5, where FedAvg has (1 + 9) / 4 = 2.5 too; with Δ = 1 and 0: 0.625, where FedAvg has 0.25.

use crate::fault::{About, Checker, Parameter};
use serde::{Deserialize, Serialize};

/// Parameters.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Config {
    /// μ of a proximal term, 0 for none.
    pub mu: f64,
}

impl Config {
    /// μ is finite and not negative.
    pub fn check(&self, c: &mut Checker) {
        c.not_negative("mu", self.mu);
    }
}

/// Entry of `fedrobust list local`.
pub const ABOUT: About = About {
    name: "fednova",
    summary: "Normalised averaging: clients send their change per effective step.",
    formula: "x_k = tau Delta_k / A_k, A_k = |a_k|_1 (K without momentum), tau = sum_k p_k A_k, p_k = n_k / sum_j n_j",
    source: "Wang et al., Tackling the Objective Inconsistency Problem in Heterogeneous Federated Optimization, NeurIPS 2020, equation 6 and section 4",
    parameters: &[Parameter {
        name: "mu",
        default: "0.0",
        meaning: "weight of a proximal term, from 0; it counts in A_k",
    }],
};
