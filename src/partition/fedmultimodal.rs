//! `fedmultimodal`: FedMultimodal's own partition, for UCI-HAR equal to its files, with NumPy's legacy generator seeded with 8.
//!
//! The training samples of every natural client (`within = "client"`, clients in ascending order), or all of them, are
//! put in order (inside a client by their row number *as text*, as the reference sorts its keys `subject/row`) and
//! shuffled; without an official development part the first `⌊n · split.dev⌋` of them become development samples. The rest
//! is dealt as by `dirichlet` with its balance rule, the generator seeded with 8 again: class by class shuffled,
//! `p ~ Dir(α)`, full clients zeroed, cut at `⌊cumsum(p) · n_class⌋`, until the smallest client has `min-size` samples.
//! With `clients = 1` nothing is dealt: natural clients, split as the reference splits them.
//!
//! The run's seed changes nothing: all seeds share one partition, as in the reference. A client's samples stay in the order
//! in which they were dealt, because its missing labels are drawn by place. Where a group lacks a class the reference looks
//! for classes 0 to K − 1 and drops the others; here the K classes that there are are dealt.
//!
//! Its partition of UCI-HAR is equal to the files that its scripts write, client by client in order
//! (`the_native_partition_of_uci_har_is_that_of_fedmultimodal`).
//!
//! By hand: 5 samples and `split.dev = 0.2`: one is for development.
//!
//! Source: Feng et al., FedMultimodal, KDD 2023, `split_train_dev` and `direchlet_partition`.

use super::Share;
use super::dirichlet::Within;
use crate::data::{Dataset, Labels, prepare::Split};
use crate::fault::{About, Checker, Error, Parameter, Result};
use crate::seed::numpy::Legacy;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The reference's only seed of partitions.
const SEED: u32 = 8;
/// Draws before giving up; the reference never does.
const TRIES: usize = 1000;

/// Parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Config {
    /// What is dealt at once.
    pub within: Within,
    /// Clients N; of each natural client when `within = "client"`.
    pub clients: usize,
    /// Concentration α.
    pub alpha: f64,
    /// Samples that every client has at least.
    pub min_size: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { within: Within::Client, clients: 5, alpha: 5.0, min_size: 5 }
    }
}

/// Entry of `fedrobust list partition`.
pub const ABOUT: About = About {
    name: "fedmultimodal",
    summary: "FedMultimodal's own split and deal; its defaults are those of UCI-HAR, for which it gives its files.",
    formula: "NumPy's RandomState(8): shuffle, the first floor(n split.dev) for development, then dirichlet with balance",
    source: "Feng et al., FedMultimodal, KDD 2023 (split_train_dev, direchlet_partition)",
    parameters: &[
        Parameter { name: "within", default: "client", meaning: "client: inside every natural client; or all" },
        Parameter {
            name: "clients",
            default: "5",
            meaning: "clients, from 1; of each natural client when within = client; 1 deals nothing",
        },
        Parameter { name: "alpha", default: "5.0", meaning: "concentration, above 0; the reference uses 0.1 and 5.0" },
        Parameter { name: "min-size", default: "5", meaning: "samples that every client has at least, from 1" },
    ],
};

impl Config {
    /// Ranges.
    pub fn check(&self, c: &mut Checker) {
        c.at_least("clients", self.clients, 1);
        c.positive("alpha", self.alpha);
        c.at_least("min-size", self.min_size, 1);
    }

    /// Splits and deals; `split` has no development samples but official ones, `dev` is their share otherwise.
    ///
    /// # Errors
    /// Multilabel data that is to be dealt, too few samples, no draw that reaches the minimum size.
    pub fn deal(&self, data: &Dataset, mut split: Split, dev: f64) -> Result<(Split, Vec<Share>)> {
        let official = !split.dev.is_empty();
        let mut shares = Vec::new();
        for (natural, mut rows) in self.groups(data, &std::mem::take(&mut split.train)) {
            Legacy::new(SEED).shuffle(&mut rows);
            if !official {
                let train = rows.split_off(((rows.len() as f64 * dev + 1e-9) as usize).min(rows.len()));
                split.dev.append(&mut rows);
                rows = train;
            }
            split.train.extend(&rows);
            shares.extend(self.deal_group(data, rows, natural)?);
        }
        split.train.sort_unstable();
        split.dev.sort_unstable();
        Ok((split, shares))
    }

    /// What is dealt at once, each in the order in which it is shuffled.
    fn groups(&self, data: &Dataset, train: &[u32]) -> Vec<(Option<u32>, Vec<u32>)> {
        if self.within == Within::All {
            return vec![(None, train.to_vec())];
        }
        let mut groups: Vec<(Option<u32>, Vec<u32>)> =
            super::by_client(data, train).into_iter().map(|(natural, rows)| (Some(natural), rows)).collect();
        groups.iter_mut().for_each(|(_, rows)| rows.sort_by_key(u32::to_string));
        groups
    }

    fn deal_group(&self, data: &Dataset, rows: Vec<u32>, natural: Option<u32>) -> Result<Vec<Share>> {
        let id = natural.map(|natural| data.client_names[natural as usize].as_str());
        if let (1, Some(id)) = (self.clients, id) {
            return Ok(vec![Share { name: id.to_string(), natural, rows }]);
        }
        let whose = id.map_or("all training samples".to_string(), |id| format!("natural client {id}"));
        let name = |k: usize| id.map_or(k.to_string(), |id| format!("{id}-{k}"));
        let dealt = self.dirichlet(data, &rows, &whose)?;
        Ok(dealt.into_iter().enumerate().map(|(k, rows)| Share { name: name(k), natural, rows }).collect())
    }

    /// Deals some rows, redrawing from the same generator until the smallest share is large enough.
    fn dirichlet(&self, data: &Dataset, rows: &[u32], whose: &str) -> Result<Vec<Vec<u32>>> {
        let Labels::Single(labels) = &data.labels else {
            return Err(Error::Invalid(
                "partition.fedmultimodal: deals by one class a sample, the data is multilabel; use partition = \"natural\", as the reference does for PTB-XL"
                    .into(),
            ));
        };
        let (n, clients, least) = (rows.len(), self.clients, self.min_size);
        if clients.checked_mul(least).is_none_or(|needed| n < needed) {
            return Err(Error::Invalid(format!(
                "partition.fedmultimodal: {whose} ({n}) cannot give {clients} clients min-size = {least} each; lower clients or min-size"
            )));
        }
        let mut classes: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        rows.iter().for_each(|&row| classes.entry(labels[row as usize]).or_default().push(row));
        let mut rng = Legacy::new(SEED);
        for _ in 0..TRIES {
            let shares = deal_once(&mut rng, &classes, clients, self.alpha, n);
            if let Some(shares) = shares.filter(|shares| shares.iter().all(|share| share.len() >= least)) {
                return Ok(shares);
            }
        }
        let alpha = self.alpha;
        Err(Error::Invalid(format!(
            "partition.fedmultimodal: {TRIES} draws of {whose} ({n}) over {clients} clients with alpha = {alpha} left a client with fewer than min-size = {least} samples; lower min-size or clients, or raise alpha"
        )))
    }
}

/// One deal, class by class; `None` where every p is zero, as α near 0 can make it.
fn deal_once(
    rng: &mut Legacy,
    classes: &BTreeMap<u32, Vec<u32>>,
    clients: usize,
    alpha: f64,
    n: usize,
) -> Option<Vec<Vec<u32>>> {
    let mut shares: Vec<Vec<u32>> = vec![Vec::new(); clients];
    for rows in classes.values() {
        let mut rows = rows.clone();
        rng.shuffle(&mut rows);
        let mut p = rng.dirichlet(&vec![alpha; clients]);
        let full = n as f64 / clients as f64;
        p.iter_mut().zip(&shares).filter(|(_, share)| share.len() as f64 >= full).for_each(|(p, _)| *p = 0.0);
        let sum: f64 = p.iter().sum();
        if !(sum > 0.0 && sum.is_finite()) {
            return None;
        }
        let (mut cumulated, mut start) = (0.0, 0);
        for (k, share) in shares.iter_mut().enumerate() {
            cumulated += p[k] / sum;
            // The last client takes what rounding leaves, even a full one.
            let end = if k + 1 == clients { rows.len() } else { (cumulated * rows.len() as f64) as usize };
            share.extend_from_slice(&rows[start..end.clamp(start, rows.len())]);
            start = end.clamp(start, rows.len());
        }
    }
    Some(shares)
}
