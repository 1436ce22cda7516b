//! `caf`: the covariance-bound-agnostic filter.
//!
//! Every row starts with weight 1. While the weights add up to more than n − 2f: weighted mean and covariance, its largest
//! eigenvalue λ and eigenvector v, `τ_i = ((x_i − μ)·v)²`, `c_i ← c_i (1 − τ_i / max τ)` with the maximum over rows that have
//! weight left. The mean with the least λ is the result. Each pass takes the weight of at least one row, so it ends after
//! at most n passes. Rows with a NaN or an infinity start with no weight. Needs `2f < n`.
//!
//! By hand: f = 1, rows `[0]`, `[1]`, `[8]`: μ = 3, λ = 38/3, τ = 9, 4, 25, weights 16/25, 21/25, 0 add up to 1.48 > 1, so
//! once more: μ = 21/37 with the smaller λ = 0.2454; then the weights are below 1: `[0.5676]`.

use super::krum::F;
use super::weigh::Weigh;
use crate::aggregate::eigen::Scatter;
use crate::aggregate::points::{Points, rank};
use crate::aggregate::{check_f, declared, need};
use crate::fault::{About, Checker, Result};
use serde::{Deserialize, Serialize};

/// Parameters.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Config {
    /// Rows that may be bad.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub f: Option<usize>,
}

const LEAST: (usize, usize) = (2, 1);

impl Config {
    /// `2f` is below the number of rows a round.
    pub fn check(&self, c: &mut Checker, rows: usize) {
        check_f(c, self.f, rows, LEAST);
    }
}

/// Entry of `fedrobust list aggregate`.
pub const ABOUT: About = About {
    name: "caf",
    summary: "Takes weight from updates far out along the direction of largest variance; keeps the mean where that variance was least.",
    formula: "while sum c > n - 2f: c_i = c_i (1 - tau_i / max tau), tau_i = ((x_i - mu) . v)^2, v the top eigenvector of the weighted covariance; result: the mu with the least top eigenvalue; tolerates 2 f < n",
    source: "Allouah et al., Robust Distributed Learning: Tight Error Bounds and Breakdown Point under Data Heterogeneity / Covariance-bound Agnostic Filter, 2023 to 2025; as in ByzFL, with converged eigenvectors",
    parameters: &[F],
};

/// Filters.
#[derive(Debug)]
pub(super) struct Caf(pub Config);

impl Weigh for Caf {
    fn weigh(&mut self, points: &Points) -> Result<Vec<f64>> {
        let n = points.len();
        let f = declared(self.0.f, n, LEAST);
        need("caf", n, f, 2 * f + 1)?;
        let mut weights = vec![0.0; n];
        points.finite().into_iter().for_each(|i| weights[i] = 1.0);
        let mut best: Option<(f64, Vec<f64>)> = None;
        loop {
            let total: f64 = weights.iter().sum();
            if best.is_some() && total <= (n - 2 * f) as f64 || total <= 0.0 {
                break;
            }
            let share: Vec<f64> = weights.iter().map(|weight| weight / total).collect();
            let weighed: Vec<(usize, f64)> =
                share.iter().copied().enumerate().filter(|(_, share)| *share > 0.0).collect();
            let (value, along) = Scatter::of(points, &weighed).largest()?;
            if best.as_ref().is_none_or(|(least, _)| rank(value) < rank(*least)) {
                best = Some((value, share));
            }
            let outs: Vec<f64> = along.iter().map(|x| x * x).collect();
            let most = outs.iter().fold(0.0, |most: f64, out| most.max(*out));
            if most <= 0.0 {
                break;
            }
            weighed.into_iter().zip(outs).for_each(|((i, _), out)| weights[i] *= 1.0 - out / most);
        }
        Ok(best.map_or_else(|| vec![0.0; n], |(_, share)| share))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{close, made};

    #[test]
    fn by_hand() {
        close(&made("caf = { f = 1 }", &[[0.0], [1.0], [8.0]]), &[21.0 / 37.0]);
    }

    #[test]
    fn defect_2_byzfl_caf_ends_beside_large_outliers() {
        // ByzFL does not end on these: its maximum is over rows that have no weight left.
        for bad in [1e3, 1e6, 1e10, 1e30] {
            let rows = [[1.0, 2.0], [1.5, 1.5], [0.5, 2.5], [1.2, 1.8], [bad, -bad]];
            let made = made("caf = { f = 1 }", &rows);
            assert!((0.5..=1.5).contains(&made[0]) && (1.5..=2.5).contains(&made[1]), "{bad}: {made:?}");
        }
    }

    #[test]
    fn equal_rows_end_at_once() {
        assert_eq!(made("caf = { f = 2 }", &[[3.0, 1.0]; 5]), [3.0, 1.0]);
    }
}
