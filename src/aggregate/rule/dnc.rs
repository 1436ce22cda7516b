//! `dnc`: divide and conquer.
//!
//! `iterations` times: draw `sub-dim` coordinates without replacement from the round's stream, centre the rows there, and
//! give row i the score `((x_i − μ)·v)²`, v being the direction of largest variance (converged). Keep the n − ⌊filter · f⌋
//! rows with the lowest scores, ties to the lowest index. The result is the mean, over all coordinates, of the rows kept every
//! time, or zero where there is none. Rows with a NaN or an infinity are never kept while there is another. Needs `2f < n`.
//!
//! By hand: f = 1, rows `[0]`, `[1]`, `[8]`: μ = 3, scores 9, 4, 25: `[0.5]`.

use super::Rule;
use super::krum::F;
use super::weigh::{ascending, mean_of};
use crate::aggregate::combine::combine;
use crate::aggregate::eigen::Scatter;
use crate::aggregate::points::{Points, rank};
use crate::aggregate::{Known, Updates, check_f, declared, need};
use crate::fault::{About, Checker, Parameter, Result};
use crate::seed::Stream;
use rand::seq::index;
use serde::{Deserialize, Serialize};
use tch::Tensor;

/// Parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Config {
    /// Rows that may be bad.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub f: Option<usize>,
    /// Coordinates drawn.
    pub sub_dim: usize,
    /// Draws.
    pub iterations: usize,
    /// Rows dropped at a time, as a multiple of f.
    pub filter: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { f: None, sub_dim: 10_000, iterations: 5, filter: 1.0 }
    }
}

const LEAST: (usize, usize) = (2, 1);

impl Config {
    /// `2f` below the rows of a round; something is drawn.
    pub fn check(&self, c: &mut Checker, rows: usize) {
        check_f(c, self.f, rows, LEAST);
        c.at_least("sub-dim", self.sub_dim, 1);
        c.count("iterations", self.iterations, 1, 100_000);
        c.not_negative("filter", self.filter);
    }
}

/// Entry of `fedrobust list aggregate`.
pub const ABOUT: About = About {
    name: "dnc",
    summary: "Drops updates far out along the direction of largest variance in random coordinates (divide and conquer).",
    formula: "iterations times: on sub-dim random coordinates drop the floor(filter f) rows with the largest ((x_i - mu) . v)^2, v the top right singular vector; mean of the rows never dropped; tolerates 2 f < n",
    source: "Shejwalkar and Houmansadr, Manipulating the Byzantine, NDSS 2021, Algorithm 2 (DnC)",
    parameters: &[
        F,
        Parameter {
            name: "sub-dim",
            default: "10000",
            meaning: "coordinates drawn, from 1; all where there are fewer",
        },
        Parameter { name: "iterations", default: "5", meaning: "draws, from 1 (5 in Blades)" },
        Parameter { name: "filter", default: "1.0", meaning: "rows dropped at a time as a multiple of f, from 0" },
    ],
};

/// Divides and drops.
#[derive(Debug)]
pub struct Dnc(pub Config);

impl Dnc {
    /// Whether each row is kept in one draw.
    fn kept(&self, points: &Points, f: usize) -> Result<Vec<bool>> {
        let n = points.len();
        let finite = points.finite();
        if finite.is_empty() {
            return Ok(vec![false; n]);
        }
        let weighed: Vec<(usize, f64)> = finite.iter().map(|&i| (i, 1.0)).collect();
        let (_, along) = Scatter::of(points, &weighed).largest()?;
        let mut scores = vec![f64::INFINITY; n];
        finite.iter().zip(along).for_each(|(&i, along)| scores[i] = rank(along.powi(2)));
        let dropped = ((self.0.filter * f as f64) as usize).min(n);
        let mut kept = vec![false; n];
        ascending(&scores)[..n - dropped].iter().for_each(|&i| kept[i] = scores[i].is_finite());
        Ok(kept)
    }
}

impl Rule for Dnc {
    fn aggregate(&mut self, updates: &Updates, stream: &Stream) -> Result<Tensor> {
        self.aggregate_known(updates, &mut Known::default(), stream)
    }

    fn aggregate_known(&mut self, updates: &Updates, known: &mut Known, stream: &Stream) -> Result<Tensor> {
        let (n, columns) = (updates.len(), updates.rows.size()[1] as usize);
        let f = declared(self.0.f, n, LEAST);
        need("dnc", n, f, 2 * f + 1)?;
        let mut kept = vec![true; n];
        let every = self.0.sub_dim >= columns;
        for iteration in 0..if every { 1 } else { self.0.iterations } {
            let now = if every {
                self.kept(known.points(updates)?, f)?
            } else {
                let mut drawn: Vec<i64> =
                    index::sample(&mut stream.at(iteration as u64).rng(), columns, self.0.sub_dim)
                        .iter()
                        .map(|i| i as i64)
                        .collect();
                drawn.sort_unstable();
                let index = Tensor::f_from_slice(&drawn)?.f_to_device(updates.rows.device())?;
                self.kept(&Points::of(&updates.rows.f_index_select(1, &index)?)?, f)?
            };
            kept.iter_mut().zip(now).for_each(|(kept, now)| *kept &= now);
        }
        let chosen: Vec<usize> = (0..n).filter(|&i| kept[i]).collect();
        Ok(combine(&updates.rows, &[mean_of(&chosen, n)])?.f_squeeze_dim(0)?)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{close, config, faults, made, updates};
    use crate::aggregate::numbers;
    use crate::seed::Stream;

    #[test]
    fn by_hand() {
        close(&made("dnc = { f = 1 }", &[[0.0], [1.0], [8.0]]), &[0.5]);
    }

    #[test]
    fn of_rows_that_are_not_finite_none_is_kept() {
        assert_eq!(made("dnc = { f = 1 }", &[[f32::NAN, 1.0], [1.0, f32::INFINITY], [f32::NAN, 2.0]]), [0.0, 0.0]);
        assert_eq!(made("dnc = { f = 1, sub-dim = 1 }", &[[f32::NAN; 2]; 3]), [0.0, 0.0]);
    }

    #[test]
    fn an_outlier_is_found_only_in_coordinates_that_are_drawn() {
        let mut rows = [[0.0_f32; 8]; 6];
        for (i, row) in rows.iter_mut().enumerate() {
            row.iter_mut().enumerate().for_each(|(c, x)| *x = ((i * 7 + c * 3) % 5) as f32 * 0.1);
        }
        rows[5][0] = 100.0;
        let at = |spec: &str, seed| {
            numbers(&config(spec).build().aggregate(&updates(&rows), &Stream::root(seed)).unwrap()).unwrap()[0]
        };
        let hits = (0..20).filter(|&seed| at("dnc = { f = 1, sub-dim = 2, iterations = 1 }", seed) < 1.0).count();
        assert!((1..20).contains(&hits), "{hits}");
        assert!((0..20).all(|seed| at("dnc = { f = 1, sub-dim = 8 }", seed) < 1.0));
        assert_eq!(at("dnc = { f = 1, sub-dim = 2 }", 3), at("dnc = { f = 1, sub-dim = 2 }", 3));
    }

    #[test]
    fn ranges() {
        assert_eq!(
            faults("dnc = { sub-dim = 0, iterations = 0, filter = -1.0 }", 5),
            ["dnc.sub-dim is too small", "dnc.iterations is too small", "dnc.filter is negative or not finite"]
        );
    }
}
