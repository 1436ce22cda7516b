//! What scores over seeds amount to: means with intervals, paired comparisons, robustness curves, fairness. Plain numbers in,
//! plain numbers out; nothing here knows of runs.
//!
//! | question | answer |
//! |---|---|
//! | how high is it? | [`summarise`]: mean and 95 % interval (Student's t) |
//! | is one higher than the other? | [`paired()`]: paired difference, interval, paired t-test; [`sign_flip`] beside it |
//! | and with many comparisons? | [`holm`] |
//! | how many seeds would tell? | [`seeds_needed`] |
//! | how much does a curve keep? | [`area`], [`half_loss`], with [`bootstrap`] |
//! | how even is it over clients? | [`gini`] |
//! | is it still the same? | [`equivalence`] |

mod bootstrap;
mod curve;
pub mod equivalence;
mod fairness;
mod holm;
mod paired;
mod power;
mod summary;

#[cfg(test)]
mod tests;

pub use bootstrap::bootstrap;
pub use curve::{area, half_loss};
pub use fairness::gini;
pub use holm::holm;
pub use paired::{Paired, paired, sign_flip};
pub use power::{power, seeds_needed};
pub use summary::{Summary, summarise};
