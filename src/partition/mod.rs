//! Partitions: which client holds which training samples.
//!
//! | choice | clients | source |
//! |---|---|---|
//! | `natural` | the people, sites or devices of the data | |
//! | `dirichlet` | label skew, over all samples or inside natural clients | Hsu et al. 2019; FedMultimodal |
//! | `iid` | equal random shares | |
//! | `fedmultimodal` | those of the reference, to the letter | Feng et al., KDD 2023 |

pub mod dirichlet;
pub mod fedmultimodal;
pub mod iid;
pub mod natural;

use crate::data::Dataset;
use crate::data::prepare::{self, Split};
use crate::fault::{About, Checker, Result};
use crate::seed::Stream;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How training samples are dealt to clients.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Config {
    /// Natural clients.
    Natural(natural::Config),
    /// Dirichlet label skew.
    Dirichlet(dirichlet::Config),
    /// Equal random shares.
    Iid(iid::Config),
    /// FedMultimodal's own split and deal.
    Fedmultimodal(fedmultimodal::Config),
}

impl Default for Config {
    fn default() -> Self {
        Config::Natural(natural::Config::default())
    }
}

/// Every choice, for `fedrobust list partition`.
pub const CHOICES: &[About] = &[natural::ABOUT, dirichlet::ABOUT, iid::ABOUT, fedmultimodal::ABOUT];

/// One client's share: before any corruption.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// Name, unique: the natural id, `id-shard`, or a number.
    pub name: String,
    /// The natural client it lies in, where it lies in one.
    pub natural: Option<u32>,
    /// Its training samples, ascending, but for `fedmultimodal`.
    pub rows: Vec<u32>,
}

impl Config {
    /// Ranges.
    pub fn check(&self, c: &mut Checker) {
        match self {
            Config::Natural(_) => {}
            Config::Dirichlet(config) => c.inside("dirichlet", |c| config.check(c)),
            Config::Iid(config) => c.inside("iid", |c| config.check(c)),
            Config::Fedmultimodal(config) => c.inside("fedmultimodal", |c| config.check(c)),
        }
    }

    /// Splits the data and deals the training samples; `stream` is the run's root.
    ///
    /// # Errors
    /// A split or a partition that cannot be: more clients than samples, no redraw that reaches the minimum size, a part
    /// without samples.
    pub fn split(&self, data: &Dataset, how: &prepare::Config, stream: &Stream) -> Result<(Split, Vec<Share>)> {
        let draw = stream.named("split");
        if let Config::Fedmultimodal(config) = self {
            let undivided = prepare::Config { dev: 0.0, ..how.clone() };
            return config.deal(data, prepare::split(data, &undivided, &draw)?, how.dev);
        }
        let split = prepare::split(data, how, &draw)?;
        let shares = self.deal(data, &split, &stream.named("partition"))?;
        Ok((split, shares))
    }

    /// Deals the training samples of a split.
    fn deal(&self, data: &Dataset, split: &Split, stream: &Stream) -> Result<Vec<Share>> {
        match self {
            Config::Natural(_) => natural::deal(data, split),
            Config::Dirichlet(config) => dirichlet::deal(config, data, split, stream),
            Config::Iid(config) => iid::deal(config, data, split, stream),
            // It draws its own development samples; of a finished split it takes them as they are.
            Config::Fedmultimodal(config) => config.deal(data, split.clone(), 0.0).map(|(_, shares)| shares),
        }
    }
}

/// Rows of each natural client that has any, both ascending.
fn by_client(data: &Dataset, rows: &[u32]) -> BTreeMap<u32, Vec<u32>> {
    let mut groups: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for &row in rows {
        groups.entry(data.client[row as usize]).or_default().push(row);
    }
    groups
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
