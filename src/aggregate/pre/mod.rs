//! Pre-aggregators: `[n, P] → [m, P]`, chained before the rule.
//!
//! | choice | formula | cost | source |
//! |---|---|---|---|
//! | `arc` | `clip` to a length found among the rows | n² P | Allouah et al., ICLR 2025 |
//! | `clip` | `y_i = x_i min(1, c / ‖x_i‖)` | n P | Sun et al., 2019 |
//! | `nnm` | `y_i` = mean of the n − f rows nearest to `x_i` | n² P | Allouah et al., AISTATS 2023 |
//! | `bucketing` | means of s rows in random order | n P | Karimireddy et al., ICLR 2022 |

pub mod arc;
pub mod bucketing;
pub mod clip;
pub mod nnm;

use super::{Known, Updates};
use crate::fault::{About, Checker, Result};
use crate::seed::Stream;
use serde::{Deserialize, Serialize};

/// A pre-aggregator.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Config {
    /// Static clipping of row norms.
    Clip(clip::Config),
    /// Adaptive clipping of row norms.
    Arc(arc::Config),
    /// Nearest-neighbour mixing.
    Nnm(nnm::Config),
    /// Means of random buckets.
    Bucketing(bucketing::Config),
}

/// Every choice, for `fedrobust list pre`.
pub const CHOICES: &[About] = &[clip::ABOUT, arc::ABOUT, nnm::ABOUT, bucketing::ABOUT];

/// A pre-aggregator.
pub trait Pre: Send {
    /// New rows; may not change the number of samples in all. Called with at least one row, all finite unless
    /// `nan = "propagate"`; `stream` is its own in this round.
    ///
    /// # Errors
    /// Fewer rows than it needs.
    fn apply(&mut self, updates: Updates, stream: &Stream) -> Result<Updates> {
        self.apply_known(updates, &mut Known::default(), stream)
    }

    /// The same with what the chain knows of the rows, which is carried along.
    ///
    /// # Errors
    /// As [`Pre::apply`].
    fn apply_known(&mut self, updates: Updates, known: &mut Known, stream: &Stream) -> Result<Updates>;
}

impl Config {
    /// Ranges, given the number of rows that reach it in a round.
    pub fn check(&self, c: &mut Checker, rows: usize) {
        match self {
            Config::Clip(config) => c.inside("clip", |c| config.check(c)),
            Config::Arc(config) => c.inside("arc", |c| config.check(c, rows)),
            Config::Nnm(config) => c.inside("nnm", |c| config.check(c, rows)),
            Config::Bucketing(config) => c.inside("bucketing", |c| config.check(c)),
        }
    }

    /// The number of rows that leave it, given those that reach it.
    pub fn rows(&self, rows: usize) -> usize {
        match self {
            Config::Clip(_) | Config::Arc(_) | Config::Nnm(_) => rows,
            Config::Bucketing(config) => rows.div_ceil(config.size.max(1)),
        }
    }

    /// Whether a client's row stays its own, so that what is clipped behind it bounds what that client can change.
    pub fn keeps_rows_apart(&self) -> bool {
        matches!(self, Config::Clip(_))
    }

    /// The same with another f, where it takes one.
    pub fn with_f(&self, f: usize) -> Option<Self> {
        match self {
            Config::Arc(_) => Some(Config::Arc(arc::Config { f })),
            Config::Nnm(_) => Some(Config::Nnm(nnm::Config { f })),
            Config::Clip(_) | Config::Bucketing(_) => None,
        }
    }

    /// Builds it.
    pub fn build(&self) -> Box<dyn Pre> {
        match self {
            Config::Clip(config) => Box::new(clip::Clip(config.clone())),
            Config::Arc(config) => Box::new(arc::Arc(config.clone())),
            Config::Nnm(config) => Box::new(nnm::Nnm(config.clone())),
            Config::Bucketing(config) => Box::new(bucketing::Bucketing(config.clone())),
        }
    }
}
