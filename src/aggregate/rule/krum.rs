//! `krum`: the row with the closest neighbours.
//!
//! The score of row i is the sum of the squared distances to its n − f − 2 nearest other rows; the row with the lowest score
//! is the result. Needs `2f + 2 < n`, as the proof does. Distances and scores that agree to nine digits are ties, and ties
//! go to the lowest index.
//!
//! Conventions of others: `neighbours = "n-f-1"` (ByzFL), `"n-f-2-or-1"` (Flower: never fewer than one), both with
//! `2f < n`; `power = 4` sums fourth powers of distances, as Blades does by squaring twice.
//!
//! By hand: f = 1, rows `[0]`, `[1]`, `[3]`, `[4]`, `[90]`, two neighbours: scores 1 + 9 = 10, 1 + 4 = 5, 4 + 1 = 5, 1 + 9 = 10,
//! 86² + 87²; rows 1 and 2 tie, so `[1]`.

use super::weigh::{Weigh, ascending, mean_of};
use crate::aggregate::points::{Points, rank};
use crate::aggregate::{check_f, declared, need};
use crate::fault::{About, Checker, Parameter, Result};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Config {
    /// Rows that may be bad.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub f: Option<usize>,
    /// How many neighbours make a score.
    pub neighbours: Neighbours,
    /// The power of distances in a score, 2 or 4.
    pub power: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self { f: None, neighbours: Neighbours::Paper, power: 2 }
    }
}

/// How many neighbours make a score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Neighbours {
    /// n − f − 2, the paper's.
    #[default]
    #[serde(rename = "n-f-2")]
    Paper,
    /// n − f − 1: all but the bad ones and itself (ByzFL).
    #[serde(rename = "n-f-1")]
    AllButF,
    /// n − f − 2, but at least one (Flower).
    #[serde(rename = "n-f-2-or-1")]
    PaperOrOne,
}

impl Neighbours {
    /// `k` and `d` of the least number of rows, `k f + d`.
    pub(super) fn least(self) -> (usize, usize) {
        if self == Neighbours::Paper { (2, 3) } else { (2, 1) }
    }

    /// Rows that a score over n rows sums over.
    pub(super) fn count(self, n: usize, f: usize) -> usize {
        match self {
            Neighbours::Paper => n.saturating_sub(f + 2),
            Neighbours::AllButF => n.saturating_sub(f + 1),
            Neighbours::PaperOrOne => n.saturating_sub(f + 2).max(1),
        }
    }
}

impl Config {
    /// Enough rows for f; the power is 2 or 4.
    pub fn check(&self, c: &mut Checker, rows: usize) {
        check_f(c, self.f, rows, self.neighbours.least());
        check_power(c, self.power);
    }
}

/// The power of distances in a score is 2 or 4.
pub(super) fn check_power(c: &mut Checker, power: u32) {
    if power != 2 && power != 4 {
        c.fault("power", "is not a power of distances that scores may sum", "2 or 4", "Write 2, the paper's.");
    }
}

/// `f` as it is listed.
pub(super) const F: Parameter = Parameter {
    name: "f",
    default: "a fifth of the rows",
    meaning: "rows that may be bad; by default a fifth of the round's rows, or as many as the rule can take",
};

/// `neighbours` as it is listed.
pub(super) const NEIGHBOURS: Parameter = Parameter {
    name: "neighbours",
    default: "\"n-f-2\"",
    meaning: "rows a score sums over: \"n-f-2\" (paper; needs 2 f + 3 rows), \"n-f-1\" (ByzFL) or \"n-f-2-or-1\" (Flower; both need 2 f + 1)",
};

/// `power` as it is listed.
pub(super) const POWER: Parameter =
    Parameter { name: "power", default: "2", meaning: "power of the distances in a score: 2 (paper) or 4 (Blades)" };

/// Entry of `fedrobust list aggregate`.
pub const ABOUT: About = About {
    name: "krum",
    summary: "The one update with the closest neighbours.",
    formula: "x_i with the least score_i = sum of |x_i - x_j|^2 over its n - f - 2 nearest others; ties to the lowest index; tolerates f with 2 f + 2 < n",
    source: "Blanchard et al., Machine Learning with Adversaries: Byzantine Tolerant Gradient Descent, NeurIPS 2017, Section 4",
    parameters: &[F, NEIGHBOURS, POWER],
};

/// Scores of the rows in `alive`, in that order.
pub(super) fn scores(
    distances: &[Vec<f64>],
    alive: &[usize],
    f: usize,
    (neighbours, power): (Neighbours, u32),
) -> Vec<f64> {
    let count = neighbours.count(alive.len(), f);
    let score = |&i: &usize| {
        let mut others: Vec<f64> = alive.iter().filter(|&&j| j != i).map(|&j| distances[i][j]).collect();
        others.sort_by(f64::total_cmp);
        rank(others.iter().take(count).map(|d| if power == 4 { d * d } else { *d }).sum())
    };
    alive.par_iter().map(score).collect()
}

/// Chooses.
#[derive(Debug)]
pub(super) struct Krum(pub Config);

impl Weigh for Krum {
    fn weigh(&mut self, points: &Points) -> Result<Vec<f64>> {
        let (n, least) = (points.len(), self.0.neighbours.least());
        let f = declared(self.0.f, n, least);
        need("krum", n, f, least.0 * f + least.1)?;
        let alive: Vec<usize> = (0..n).collect();
        let scores = scores(&points.distances(), &alive, f, (self.0.neighbours, self.0.power));
        Ok(mean_of(&ascending(&scores)[..1], n))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{faults, made, refused};

    #[test]
    fn by_hand() {
        assert_eq!(made("krum = { f = 1 }", &[[0.0], [1.0], [3.0], [4.0], [90.0]]), [1.0]);
        assert_eq!(made("krum = { f = 1 }", &[[90.0], [4.0], [3.0], [1.0], [0.0]]), [3.0]);
    }

    #[test]
    fn a_neighbour_more_or_fewer_changes_the_winner() {
        let rows = [[11.0], [2.0], [1.0], [12.0], [0.0], [7.0]];
        assert_eq!(made("krum = { f = 1 }", &rows), [2.0]);
        assert_eq!(made("krum = { f = 1, neighbours = 'n-f-1' }", &rows), [7.0]);
        assert_eq!(made("krum = { f = 1, neighbours = 'n-f-2-or-1' }", &rows[2..5]), [1.0]);
    }

    #[test]
    fn defect_7_blades_multikrum_squares_distances_once() {
        // Two neighbours: 3 is at 1 and 16 from its own, 10 at 9 and 9; squared once more that is 257 against 162.
        let rows = [[13.0], [2.0], [7.0], [3.0], [10.0]];
        assert_eq!(made("krum = { f = 1 }", &rows), [3.0]);
        assert_eq!(made("krum = { f = 1, power = 4 }", &rows), [10.0]);
    }

    #[test]
    fn bad_rows_and_bad_parameters_are_told() {
        assert_eq!(
            refused("krum = { f = 1 }", &[[0.0], [1.0], [2.0], [3.0]]),
            "krum with f = 1 met a round with 4 rows; it needs at least 5. Lower f, or draw a larger cohort."
        );
        assert_eq!(
            faults("krum = { f = 2, power = 3 }", 6),
            [
                "krum.f is too large for 6 rows a round (it needs 2 f + 3 = 7 of them)",
                "krum.power is not a power of distances that scores may sum"
            ]
        );
        assert!(faults("krum = { f = 2, neighbours = 'n-f-1' }", 5).is_empty());
        assert_eq!(faults("krum = {}", 2), ["krum needs at least 3 rows a round, also with f = 0, and gets 2"]);
    }
}
