//! `monna`: the mean of the rows nearest to one.
//!
//! The mean of the n − f rows nearest to row `index`, itself included; ties to the lowest index. In the paper each node
//! trusts its own row; on a server the row is the one of the client drawn first, which may be bad. Needs `2f < n`.
//!
//! By hand: f = 1, index 0, rows `[0]`, `[1]`, `[5]`: `[0.5]`.

use super::Rule;
use super::krum::F;
use super::weigh::mean_of;
use crate::aggregate::combine::combine;
use crate::aggregate::known::{nearest, nearest_by};
use crate::aggregate::lengths::{squared_distances_from_row, squared_distances_on_gpu};
use crate::aggregate::{Known, Updates, check_f, declared, need};
use crate::fault::{About, Checker, Parameter, Result};
use crate::seed::Stream;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

/// Parameters.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Config {
    /// Rows that may be bad.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub f: Option<usize>,
    /// The row trusted, from 0, in cohort order.
    pub index: usize,
}

const LEAST: (usize, usize) = (2, 1);

impl Config {
    /// `2f` below the rows of a round; the index is that of a row.
    pub fn check(&self, c: &mut Checker, rows: usize) {
        check_f(c, self.f, rows, LEAST);
        if self.index >= rows {
            let problem = format!("is not the index of one of the {rows} rows of a round");
            c.fault("index", problem, format!("a whole number from 0 to {}", rows.saturating_sub(1)), "");
        }
    }
}

/// Entry of `fedrobust list aggregate`.
pub const ABOUT: About = About {
    name: "monna",
    summary: "The mean of the n - f updates nearest to a trusted one.",
    formula: "mean of the n - f rows nearest to x_index, itself included; ties to the lowest index; tolerates 2 f < n where x_index is honest",
    source: "Farhadkhani et al., Robust Collaborative Learning with Linear Gradient Overhead, ICML 2023 (MoNNA)",
    parameters: &[F, Parameter { name: "index", default: "0", meaning: "the row trusted, from 0, in cohort order" }],
};

/// Averages neighbours.
#[derive(Debug)]
pub(super) struct Monna(pub Config);

impl Rule for Monna {
    fn aggregate(&mut self, updates: &Updates, stream: &Stream) -> Result<Tensor> {
        self.aggregate_known(updates, &mut Known::default(), stream)
    }

    fn aggregate_known(&mut self, updates: &Updates, known: &mut Known, _stream: &Stream) -> Result<Tensor> {
        let (n, trusted) = (updates.len(), self.0.index);
        let f = declared(self.0.f, n, LEAST);
        need("monna", n, f, (2 * f + 1).max(trusted + 1))?;
        let kept = if known.has_points() {
            nearest(known.points(updates)?, trusted, n - f)
        } else {
            nearest_by(squared_distances(&updates.rows, trusted)?, trusted, n - f)
        };
        Ok(combine(&updates.rows, &[mean_of(&kept, n)])?.f_squeeze_dim(0)?)
    }
}

/// From one of the rows, by a pass over them.
fn squared_distances(rows: &Tensor, from: usize) -> Result<Vec<f64>> {
    let row = rows.f_get(from as i64)?;
    if rows.device() == Device::Cpu {
        squared_distances_from_row(rows, &Vec::<f32>::try_from(row)?)
    } else {
        squared_distances_on_gpu(rows, &row.f_to_kind(Kind::Double)?)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{faults, made, updates};
    use super::*;
    use crate::aggregate::numbers;

    #[test]
    fn by_hand() {
        let rows = [[0.0], [1.0], [5.0]];
        assert_eq!(made("monna = { f = 1 }", &rows), [0.5]);
        assert_eq!(made("monna = { f = 1, index = 2 }", &rows), [3.0]);
    }

    #[test]
    fn rows_known_as_points_and_rows_passed_over_are_the_same_neighbours() {
        let rows = [[5.0, 0.0], [f32::NAN, 0.0], [5.0, 1.0], [5.0, -1.0], [1e30, 0.0], [5.0, 0.5], [9.0, 9.0]];
        let updates = updates(&rows);
        let mut known = Known::default();
        known.points(&updates).unwrap();
        let mut rule = Monna(Config { f: Some(3), index: 0 });
        let among = numbers(&rule.aggregate_known(&updates, &mut known, &Stream::root(0)).unwrap()).unwrap();
        // Rows 0, 5, 2 and 3.
        assert_eq!(
            (&among, numbers(&rule.aggregate(&updates, &Stream::root(0)).unwrap()).unwrap()),
            (&vec![5.0, 0.125], among.clone())
        );
    }

    #[test]
    fn the_index_is_that_of_a_row() {
        assert_eq!(
            faults("monna = { index = 5 }", 5),
            ["monna.index is not the index of one of the 5 rows of a round"]
        );
    }
}
