//! Partitions: which client holds which training samples.
//!
//! | choice | clients | source |
//! |---|---|---|
//! | `natural` | the people, sites or devices of the data | |
//! | `dirichlet` | label skew, over all samples or inside natural clients | Hsu et al. 2019; FedMultimodal |
//! | `iid` | equal random shares | |
//! | `fedmultimodal` | those of the reference, to the letter | Feng et al., KDD 2023 |
//! | `replay` | those of a partition file | FedMultimodal |

pub mod dirichlet;
pub mod fedmultimodal;
pub mod iid;
pub mod natural;
pub mod replay;

use crate::data::Dataset;
use crate::data::listing::Listing;
use crate::data::prepare::{self, Split};
use crate::fault::{About, Checker, Error, Result};
use crate::seed::Stream;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

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
    /// Clients of a file.
    Replay(replay::Config),
}

impl Default for Config {
    fn default() -> Self {
        Config::Natural(natural::Config::default())
    }
}

/// Every choice, for `fedrobust list partition`.
pub const CHOICES: &[About] = &[natural::ABOUT, dirichlet::ABOUT, iid::ABOUT, fedmultimodal::ABOUT, replay::ABOUT];

/// One client's share: before any corruption.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// Name, unique: the natural id, `id-shard`, or a number.
    pub name: String,
    /// The natural client it lies in, where it lies in one.
    pub natural: Option<u32>,
    /// Its training samples: ascending, but for `fedmultimodal` and `replay`, which keep the reference's order.
    pub rows: Vec<u32>,
}

impl Config {
    /// Ranges.
    pub fn check(&self, c: &mut Checker) {
        match self {
            Config::Natural(_) | Config::Replay(_) => {}
            Config::Dirichlet(config) => c.inside("dirichlet", |c| config.check(c)),
            Config::Iid(config) => c.inside("iid", |c| config.check(c)),
            Config::Fedmultimodal(config) => c.inside("fedmultimodal", |c| config.check(c)),
        }
    }

    /// Splits the data by `split`, unless the partition says itself which samples are for training, and deals the training
    /// samples; `listing` is the file of `replay`, and `stream` the root of the run.
    ///
    /// # Errors
    /// A split or a partition that cannot be: more clients than samples, no redraw that reaches the minimum size, a client
    /// without samples, a file of other data.
    pub fn deal(
        &self,
        data: &Dataset,
        split: &prepare::Config,
        listing: Option<&Listing>,
        stream: &Stream,
    ) -> Result<(Split, Vec<Share>)> {
        let on = |deal: &dyn Fn(&Split, &Stream) -> Result<Vec<Share>>| {
            let split = prepare::split(data, split, &stream.named("split"))?;
            let shares = deal(&split, &stream.named("partition"))?;
            Ok((split, shares))
        };
        match self {
            Config::Natural(_) => on(&|split, _| natural::deal(data, split)),
            Config::Dirichlet(config) => on(&|split, stream| dirichlet::deal(config, data, split, stream)),
            Config::Iid(config) => on(&|split, stream| iid::deal(config, data, split, stream)),
            Config::Fedmultimodal(config) => {
                let undivided = prepare::Config { dev: 0.0, ..split.clone() };
                config.deal(data, prepare::split(data, &undivided, &stream.named("split"))?, split.dev)
            }
            Config::Replay(_) => match listing {
                Some(listing) => replay::deal(data, listing),
                None => Err(Error::Failed("partition.replay: its file was not read".to_string())),
            },
        }
    }

    /// The file that it is read from, relative to the scenario's folder.
    pub fn path_mut(&mut self) -> Option<&mut PathBuf> {
        match self {
            Config::Replay(config) => Some(&mut config.path),
            Config::Natural(_) | Config::Dirichlet(_) | Config::Iid(_) | Config::Fedmultimodal(_) => None,
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
