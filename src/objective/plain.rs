//! `plain`: the loss and nothing else.
//!
//! A client takes SGD steps on the mean loss of its batches, starting from the global weights.

use super::Objective;
use crate::fault::About;
use serde::{Deserialize, Serialize};

/// No parameters.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {}

/// Entry of `fedrobust list local`.
pub const ABOUT: About = About {
    name: "plain",
    summary: "Clients minimise their loss alone.",
    formula: "min_w  F_k(w)",
    source: "McMahan et al., Communication-Efficient Learning of Deep Networks from Decentralized Data, AISTATS 2017, Algorithm 1",
    parameters: &[],
};

/// Remembers nothing.
#[derive(Debug)]
pub struct Plain;

impl Objective for Plain {}
