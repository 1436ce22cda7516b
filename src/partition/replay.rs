//! `replay`: the clients of a partition file of FedMultimodal, with its development and test samples.
//!
//! Client k holds the samples that the file lists for it, in the file's order; clients are in ascending order of their names
//! as text, as the reference reads them (`1-0`, `1-1`, …, `11-0`, …, `3-0`). The file's `dev` and `test` are the development and
//! test samples, so `[split]` says nothing here. Samples that no list names take no part. The layout is that of
//! [`crate::data::listing`].
//!
//! By hand: `{"test": [["2", 0, 4]], "dev": [["1", 7, 0]], "b": [["1", 3, 0]], "a": [["1", 0, 1]]}`: client 0 is a with row
//! 0, client 1 is b with row 3; row 7 is scored, and row 0 of the test part.

use super::Share;
use crate::data::listing::{Listing, Rows};
use crate::data::{Dataset, prepare::Split};
use crate::fault::{About, Parameter, Result};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// The partition file; relative to the scenario's folder.
    pub path: PathBuf,
}

/// Entry of `fedrobust list partition`.
pub const ABOUT: About = About {
    name: "replay",
    summary: "The clients, development and test samples of a partition file of FedMultimodal.",
    formula: "",
    source: "Feng et al., FedMultimodal, KDD 2023",
    parameters: &[Parameter {
        name: "path",
        default: "required",
        meaning: "partition_alpha01.json or the like, relative to the scenario's folder",
    }],
};

/// Deals as the file says.
///
/// # Errors
/// A sample that the data does not have.
pub fn deal(data: &Dataset, listing: &Listing) -> Result<(Split, Vec<Share>)> {
    let Rows { clients, mut dev, mut test } = listing.rows(data)?;
    let natural = |rows: &[u32]| {
        let first = data.client[*rows.first()? as usize];
        rows.iter().all(|&row| data.client[row as usize] == first).then_some(first)
    };
    let names = listing.clients.iter().map(|(name, _)| name.clone());
    let mut shares: Vec<Share> =
        names.zip(clients).map(|(name, rows)| Share { name, natural: natural(&rows), rows }).collect();
    shares.sort_by(|a, b| a.name.cmp(&b.name));
    let mut train: Vec<u32> = shares.iter().flat_map(|share| share.rows.iter().copied()).collect();
    [&mut train, &mut dev, &mut test].into_iter().for_each(|rows| rows.sort_unstable());
    if test.is_empty() {
        return Err(listing.wrong("lists no test samples; add them under \"test\""));
    }
    Ok((Split { train, dev, test }, shares))
}
