//! `bulyan`: Krum again and again, then the middle of each coordinate.
//!
//! θ = n − 2f rows are chosen one after another, each by Krum over those that are left (with that many rows as its n). Then
//! per coordinate the mean of the θ − 2f chosen values closest to their median. Needs `4f + 3 ≤ n`. Ties as in `krum`; of
//! values equally far from the median the one chosen first is kept.
//!
//! By hand: f = 0, rows `[0]`, `[1]`, `[5]`: all are chosen and all are kept: `[2]`.

use super::Rule;
use super::krum::{F, Neighbours};
use super::weigh::ascending;
use crate::aggregate::middle::closest_mean_by_index;
use crate::aggregate::points::{Points, rank};
use crate::aggregate::sums::sum;
use crate::aggregate::{Known, Updates, check_f, declared, need};
use crate::fault::{About, Checker, Result};
use crate::seed::Stream;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use tch::Tensor;

/// Parameters.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Config {
    /// Rows that may be bad.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub f: Option<usize>,
}

const LEAST: (usize, usize) = (4, 3);

impl Config {
    /// `4f + 3` rows a round.
    pub fn check(&self, c: &mut Checker, rows: usize) {
        check_f(c, self.f, rows, LEAST);
    }
}

/// Entry of `fedrobust list aggregate`.
pub const ABOUT: About = About {
    name: "bulyan",
    summary: "Chooses n - 2f updates by repeated Krum, then averages the values of each coordinate closest to their median.",
    formula: "S = n - 2f rows, each chosen by krum over the rows left; per coordinate the mean of the n - 4f values of S closest to their median; needs 4 f + 3 <= n",
    source: "El Mhamdi, Guerraoui and Rouault, The Hidden Vulnerability of Distributed Learning in Byzantium, ICML 2018, Section 4",
    parameters: &[F],
};

/// Chooses and averages.
#[derive(Debug)]
pub struct Bulyan(pub Config);

/// A row that is left, and the others that are, nearest first.
struct Left {
    row: usize,
    others: Vec<usize>,
    distances: Vec<f64>,
}

impl Left {
    fn new(row: usize, distances: &[f64]) -> Self {
        let mut others: Vec<usize> = (0..distances.len()).filter(|&other| other != row).collect();
        others.sort_by(|&a, &b| distances[a].total_cmp(&distances[b]));
        let distances = others.iter().map(|&other| distances[other]).collect();
        Self { row, others, distances }
    }

    fn score(&self, count: usize) -> f64 {
        rank(sum(&self.distances[..count.min(self.distances.len())]))
    }

    fn forget(&mut self, row: usize) {
        if let Some(place) = self.others.iter().position(|&other| other == row) {
            self.others.remove(place);
            self.distances.remove(place);
        }
    }
}

/// The `n − 2f` rows, in the order in which they are chosen. Each row's neighbours are sorted once, not for every choice.
fn chosen(points: &Points, f: usize) -> Vec<usize> {
    let distances = points.distances();
    let mut left: Vec<Left> =
        distances.par_iter().enumerate().map(|(row, distances)| Left::new(row, distances)).collect();
    let mut chosen = Vec::new();
    while chosen.len() < points.len() - 2 * f {
        let count = Neighbours::PaperOrOne.count(left.len(), f);
        let scores: Vec<f64> = left.par_iter().map(|left| left.score(count)).collect();
        let best = left.remove(ascending(&scores)[0]).row;
        left.par_iter_mut().for_each(|left| left.forget(best));
        chosen.push(best);
    }
    chosen
}

impl Rule for Bulyan {
    fn aggregate(&mut self, updates: &Updates, stream: &Stream) -> Result<Tensor> {
        self.aggregate_known(updates, &mut Known::default(), stream)
    }

    fn aggregate_known(&mut self, updates: &Updates, known: &mut Known, _stream: &Stream) -> Result<Tensor> {
        let n = updates.len();
        let f = declared(self.0.f, n, LEAST);
        need("bulyan", n, f, 4 * f + 3)?;
        let index: Vec<i64> = chosen(known.points(updates)?, f).into_iter().map(|i| i as i64).collect();
        let index = Tensor::f_from_slice(&index)?.f_to_device(updates.rows.device())?;
        closest_mean_by_index(&updates.rows.f_index_select(0, &index)?, n - 4 * f)
    }
}

#[cfg(test)]
mod tests {
    use super::super::krum::scores;
    use super::super::testing::{faults, made, refused};
    use super::*;
    use rand::Rng;

    #[test]
    fn by_hand() {
        assert_eq!(made("bulyan = { f = 0 }", &[[0.0], [1.0], [5.0]]), [2.0]);
    }

    #[test]
    fn defect_10_flower_bulyan_is_iterative_not_one_shot() {
        // Numbers of an independent script; a one-shot choice takes the seven rows with the lowest scores among all.
        let rows =
            Tensor::from_slice2(&[24.0_f32, 59.0, 68.0, 10.0, 60.0, 95.0, 81.0, 92.0, 74.0, 47.0, 48.0].map(|x| [x]));
        let points = Points::of(&rows).unwrap();
        let all: Vec<usize> = (0..11).collect();
        let one_shot = ascending(&scores(&points.distances(), &all, 2, (Neighbours::Paper, 2)));
        assert_eq!(chosen(&points, 2), [2, 8, 4, 10, 6, 9, 5]);
        assert_eq!(one_shot[..7], [2, 8, 4, 1, 6, 10, 9]);
    }

    #[test]
    fn every_choice_is_krums_among_the_rows_left() {
        // Few distinct places, so that ties are common.
        let mut rng = Stream::root(5).rng();
        for _ in 0..20 {
            let rows: Vec<[f32; 2]> =
                (0..15).map(|_| [0; 2].map(|_: u8| f32::from(rng.random_range(0..4_u8)))).collect();
            let points = Points::of(&Tensor::from_slice2(&rows)).unwrap();
            let mut left: Vec<usize> = (0..15).collect();
            let krum =
                |left: &[usize]| ascending(&scores(&points.distances(), left, 2, (Neighbours::PaperOrOne, 2)))[0];
            let expected: Vec<usize> = (0..11).map(|_| left.remove(krum(&left))).collect();
            assert_eq!(chosen(&points, 2), expected);
        }
    }

    #[test]
    fn too_few_rows_are_told() {
        assert_eq!(
            refused("bulyan = { f = 1 }", &[[0.0]; 6]),
            "bulyan with f = 1 met a round with 6 rows; it needs at least 7. Lower f, or draw a larger cohort."
        );
        assert_eq!(
            faults("bulyan = { f = 2 }", 10),
            ["bulyan.f is too large for 10 rows a round (it needs 4 f + 3 = 11 of them)"]
        );
    }
}
