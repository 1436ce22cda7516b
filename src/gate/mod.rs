//! The gate: a scenario runs again and is held against what it gave before, so that a broken strategy is seen in CI.
//!
//! On the machine of the baseline the runs must come out to the digit ([`baseline::Run::digest`]). Elsewhere rounding
//! differs, and equivalence must be shown instead, cell by cell, at level α = 0.05 ([`judge()`]):
//!
//! | seeds | test of a cell | margin |
//! |---|---|---|
//! | those of the baseline | the paired differences' 90 % interval lies within ± margin | stated when the baseline was made |
//! | others | the means are no further apart than chance alone makes them in 1 % of whole gates | follows, and is told |

pub mod baseline;
pub mod judge;
pub mod show;

#[cfg(test)]
mod tests;

pub use baseline::Baseline;
pub use judge::{Judged, Outcome, Verdict, judge};
