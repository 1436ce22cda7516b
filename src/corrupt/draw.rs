//! Where the luck of a corruption comes from, where it is not the run's own streams.

use crate::fault::Checker;
use crate::seed::numpy::Legacy;
use serde::{Deserialize, Serialize};

/// Another law of luck.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Draw {
    /// FedMultimodal's, drawn as its scripts do; for UCI-HAR equal to its files.
    Fedmultimodal(Fedmultimodal),
}

/// FedMultimodal seeds NumPy's legacy generator anew for every client k (in the order of their names, numbers in them by
/// value), with s = `first` + k for missing labels and for the
/// first modality, 2 s for the second one (and (m + 1) s for modality m, where there are more than its two). So every seed of
/// a run has the same corruption, the second modality of a client falls with the first of another, and a client's first
/// label falls with its first modality.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Fedmultimodal {
    /// Seed of the first client: how many entries stand before the clients in the reference's partition file.
    pub first: u32,
}

impl Default for Fedmultimodal {
    fn default() -> Self {
        Self { first: 2 }
    }
}

/// How `draw` is shown in lists.
pub(super) const DRAW: crate::fault::Parameter = crate::fault::Parameter {
    name: "draw",
    default: "the run's seed",
    meaning: "where the luck comes from: { fedmultimodal = { first = 2 } } for FedMultimodal's fixed seeds",
};

/// The place of each name when names are sorted, numbers in them by value: `3-0` before `11-0`.
pub(super) fn places<'a>(names: impl Iterator<Item = &'a str>) -> Vec<u64> {
    let keys: Vec<Vec<Piece>> = names.map(pieces).collect();
    let mut order: Vec<usize> = (0..keys.len()).collect();
    order.sort_by(|&a, &b| keys[a].cmp(&keys[b]));
    let mut places = vec![0; keys.len()];
    order.iter().enumerate().for_each(|(place, &client)| places[client] = place as u64);
    places
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Piece {
    Number(u64),
    Text(String),
}

/// A name as numbers and what lies between them.
fn pieces(name: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut rest = name;
    while let Some(first) = rest.chars().next() {
        let digit = first.is_ascii_digit();
        let end = rest.find(|c: char| c.is_ascii_digit() != digit).unwrap_or(rest.len());
        let (piece, after) = rest.split_at(end);
        pieces.push(match piece.parse() {
            Ok(number) if digit => Piece::Number(number),
            _ => Piece::Text(piece.to_string()),
        });
        rest = after;
    }
    pieces
}

impl Draw {
    /// Which of `n` units of client `k` are hit: the m-th draw of its kind, m from 0.
    pub(super) fn hits(&self, n: usize, rate: f64, k: u64, m: u32) -> Vec<bool> {
        let Draw::Fedmultimodal(config) = self;
        let seed = config.first.wrapping_add(k as u32).wrapping_mul(m + 1);
        let mut rng = Legacy::new(seed);
        (0..n).map(|_| rng.binomial_inversion(1, rate) == 1).collect()
    }

    /// What it cannot be combined with.
    pub(super) fn check(&self, c: &mut Checker, exact: bool) {
        let Draw::Fedmultimodal(_) = self;
        if exact {
            c.fault("exact", "cannot be had of FedMultimodal's law", "false", "Remove exact or draw.");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_ordered_as_the_partition_file_has_them() {
        assert_eq!(places(["11-0", "3-1", "3-0", "1-4", "100"].into_iter()), [3, 2, 1, 0, 4]);
        assert_eq!(places(["s02_Joey", "s01_Ross", "s01_Joey"].into_iter()), [2, 1, 0]);
    }
}
