//! `smea`: the mean of the n − f rows with the smallest largest variance.
//!
//! Over all subsets of n − f rows, the one whose covariance has the smallest largest eigenvalue (converged); the first in
//! lexicographic order on ties. Subsets are searched in that order and pruned: a row more never makes the scatter of a
//! subset smaller, so that a part whose scatter is already above the best whole is left. The search gives up, with an error,
//! after 200,000 places. Rows with a NaN or an infinity are never chosen. Needs `2f < n`.
//!
//! By hand: f = 1, rows `[0]`, `[1]`, `[8]`: `{0, 1}` has variance 1/4: `[0.5]`.

use super::krum::F;
use super::weigh::{Weigh, mean_of};
use crate::aggregate::eigen::Scatter;
use crate::aggregate::points::{Points, rank};
use crate::aggregate::sums::dot;
use crate::aggregate::{check_f, declared, need};
use crate::fault::{About, Checker, Error, Result};
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
/// Places after which the search gives up.
const MOST_PLACES: usize = 200_000;

impl Config {
    /// `2f` is below the number of rows a round.
    pub fn check(&self, c: &mut Checker, rows: usize) {
        check_f(c, self.f, rows, LEAST);
    }
}

/// Entry of `fedrobust list aggregate`.
pub const ABOUT: About = About {
    name: "smea",
    summary: "The mean of the n - f updates with the smallest largest variance (smallest maximum eigenvalue averaging).",
    formula: "mean of argmin_{|S| = n - f} lambda_max(covariance of S); first in lexicographic order on ties; tolerates 2 f < n",
    source: "El Mhamdi et al. / Allouah et al., On the Privacy-Robustness-Utility Trilemma in Distributed Learning, ICML 2023 (SMEA)",
    parameters: &[F],
};

/// Searches and averages.
#[derive(Debug)]
pub(super) struct Smea(pub Config);

/// A search through subsets of the rows.
struct Search<'a> {
    points: &'a Points,
    rows: &'a [usize],
    keep: usize,
    /// Largest eigenvalue of the scatter to beat, as ranks see it; the subset found is the first that has it.
    least: f64,
    found: Option<Vec<usize>>,
    places: usize,
}

/// The scatter of rows taken so far.
struct Part {
    mean: Vec<f64>,
    scatter: Vec<Vec<f64>>,
    /// A direction of large scatter, for the bound.
    direction: Vec<f64>,
}

impl Part {
    fn empty(dimensions: usize) -> Self {
        let direction = vec![0.0; dimensions];
        Self { mean: direction.clone(), scatter: vec![direction.clone(); dimensions], direction }
    }

    /// With one row more, as the `count + 1`st.
    fn with(&self, point: &[f64], count: usize) -> Self {
        let t = count as f64;
        let from: Vec<f64> = point.iter().zip(&self.mean).map(|(p, m)| p - m).collect();
        let mean = self.mean.iter().zip(&from).map(|(m, d)| m + d / (t + 1.0)).collect();
        let mut scatter = self.scatter.clone();
        for (row, a) in scatter.iter_mut().zip(&from) {
            row.iter_mut().zip(&from).for_each(|(s, b)| *s += t / (t + 1.0) * a * b);
        }
        let direction = self.direction.iter().zip(&from).map(|(v, d)| v + d).collect();
        Self { mean, scatter, direction }
    }

    /// A number that the largest eigenvalue is not below: a Rayleigh quotient after a few steps of power iteration.
    fn bound(&mut self) -> f64 {
        let mut quotient = 0.0;
        for _ in 0..3 {
            let length = dot(&self.direction, &self.direction).sqrt();
            if !(length > 0.0 && length.is_finite()) {
                break;
            }
            let unit: Vec<f64> = self.direction.iter().map(|v| v / length).collect();
            self.direction = self.scatter.iter().map(|row| dot(row, &unit)).collect();
            quotient = dot(&self.direction, &unit);
        }
        quotient * (1.0 - 1e-9)
    }
}

impl Search<'_> {
    fn walk(&mut self, next: usize, chosen: &mut Vec<usize>, part: &mut Part) -> Result<()> {
        self.places += 1;
        if self.places > MOST_PLACES {
            return Err(Error::Failed(format!(
                "smea gave up on {} rows after {MOST_PLACES} places of its search; lower f, or use caf",
                self.points.len()
            )));
        }
        if chosen.len() == self.keep {
            let value = rank(self.value(chosen)?);
            if value < self.least || (value == self.least && self.found.is_none()) {
                (self.least, self.found) = (value, Some(chosen.clone()));
            }
            return Ok(());
        }
        let bound = part.bound();
        if bound > self.least || (bound >= self.least && self.found.is_some()) {
            return Ok(());
        }
        for place in next..=self.rows.len() - (self.keep - chosen.len()) {
            let row = self.rows[place];
            let mut more = part.with(&self.points.at()[row], chosen.len());
            chosen.push(row);
            self.walk(place + 1, chosen, &mut more)?;
            chosen.pop();
        }
        Ok(())
    }

    /// The largest eigenvalue of the scatter of some rows.
    fn value(&self, rows: &[usize]) -> Result<f64> {
        let mean = self.points.combined(&mean_of(rows, self.points.len()));
        Ok(Scatter::new(rows.iter().map(|&i| (1.0, &self.points.at()[i])), &mean).largest()?.0)
    }

    /// A good subset to begin with: row after row dropped that is furthest out along the largest variance.
    fn greedy(&self) -> Result<Vec<usize>> {
        let mut rows = self.rows.to_vec();
        while rows.len() > self.keep {
            let mean = self.points.combined(&mean_of(&rows, self.points.len()));
            let (_, v) = Scatter::new(rows.iter().map(|&i| (1.0, &self.points.at()[i])), &mean).largest()?;
            let out = |i: usize| (dot(&self.points.at()[i], &v) - dot(&mean, &v)).abs();
            let worst = (0..rows.len()).max_by(|&a, &b| out(rows[a]).total_cmp(&out(rows[b]))).unwrap_or(0);
            rows.remove(worst);
        }
        Ok(rows)
    }
}

impl Weigh for Smea {
    fn weigh(&mut self, points: &Points) -> Result<Vec<f64>> {
        let n = points.len();
        let f = declared(self.0.f, n, LEAST);
        need("smea", n, f, 2 * f + 1)?;
        let rows = points.finite();
        let keep = (n - f).min(rows.len());
        if keep == 0 {
            return Ok(vec![0.0; n]);
        }
        let mut search = Search { points, rows: &rows, keep, least: f64::INFINITY, found: None, places: 0 };
        search.least = rank(search.value(&search.greedy()?)?);
        search.walk(0, &mut Vec::new(), &mut Part::empty(points.origin().len()))?;
        Ok(mean_of(&search.found.unwrap_or(rows), n))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{close, made};
    use crate::seed::Stream;
    use rand::Rng;
    use rand_distr::{Distribution, StandardNormal};

    #[test]
    fn by_hand() {
        close(&made("smea = { f = 1 }", &[[0.0], [1.0], [8.0]]), &[0.5]);
    }

    #[test]
    fn defect_1_byzfl_smea_excludes_both_attackers_and_breaks_ties_the_same_way_every_time() {
        // 8 honest rows N(0, I) and 2 attackers at 3: ByzFL's single power step chooses at random.
        let mut rng = Stream::root(6).rng();
        for _ in 0..5 {
            let mut rows: Vec<[f32; 20]> =
                (0..8).map(|_| std::array::from_fn(|_| StandardNormal.sample(&mut rng))).collect();
            let mean: Vec<f64> = (0..20).map(|c| rows.iter().map(|row| row[c] as f64).sum::<f64>() / 8.0).collect();
            rows.insert(rng.random_range(0..8), [3.0; 20]);
            rows.insert(rng.random_range(0..8), [3.0; 20]);
            close(&made("smea = { f = 2 }", &rows), &mean);
        }
        for _ in 0..3 {
            close(&made("smea = { f = 1 }", &[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]]), &[2.5, 3.5, 4.5]);
        }
    }
}
