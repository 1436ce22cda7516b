//! `smea`: the mean of the n − f rows with the smallest largest variance.
//!
//! Over all subsets of n − f rows, the one whose covariance has the smallest largest eigenvalue (converged); the first in
//! lexicographic order on ties. Subsets are searched in that order and pruned: a row more never makes the scatter of a
//! subset smaller, so that a part whose scatter is already above the best whole is left. More than 100 rows are refused, and
//! the search gives up, with an error, after 200,000 places. Rows with a NaN or an infinity are never chosen. Needs `2f < n`.
//!
//! By hand: f = 1, rows `[0]`, `[1]`, `[8]`: `{0, 1}` has variance 1/4: `[0.5]`.

use super::krum::F;
use super::weigh::{Weigh, mean_of};
use crate::aggregate::eigen::{Scatter, last};
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
/// Rows that are searched among at most: a place of the search costs their number squared.
const MOST_ROWS: usize = 100;
/// Places after which the search gives up.
const MOST_PLACES: usize = 200_000;

impl Config {
    /// `2f` is below the number of rows a round, and they are not too many to search among.
    pub fn check(&self, c: &mut Checker, rows: usize) {
        check_f(c, self.f, rows, LEAST);
        if rows > MOST_ROWS && self.f != Some(0) {
            let problem = format!("cannot search among {rows} rows a round");
            c.fault("", problem, format!("up to {MOST_ROWS} rows a round"), "Lower train.cohort, or use caf.");
        }
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

    /// The largest eigenvalue.
    fn value(&self) -> Result<f64> {
        Ok(last(&self.scatter.concat())?.0)
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
            let value = rank(part.value()?);
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

    /// A good subset to begin with: row after row dropped that is furthest out along the largest variance.
    fn greedy(&self) -> Result<Vec<usize>> {
        let mut rows = self.rows.to_vec();
        while rows.len() > self.keep {
            let weighed: Vec<(usize, f64)> = rows.iter().map(|&i| (i, 1.0)).collect();
            let (_, along) = Scatter::of(self.points, &weighed).largest()?;
            let out = |i: usize| along[i].abs();
            let worst = (0..rows.len()).max_by(|&a, &b| out(a).total_cmp(&out(b))).unwrap_or(0);
            rows.remove(worst);
        }
        Ok(rows)
    }

    /// The scatter of some rows, ascending, summed as the search does it, so that its bounds hold for it to the last bits.
    fn part(&self, rows: &[usize]) -> Part {
        let empty = Part::empty(self.points.origin().len());
        rows.iter().enumerate().fold(empty, |part, (count, &row)| part.with(&self.points.at()[row], count))
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
        if keep == rows.len() {
            return Ok(mean_of(&rows, n));
        }
        if rows.len() > MOST_ROWS {
            return Err(Error::Failed(format!(
                "smea met a round with {} rows; its search takes at most {MOST_ROWS}; draw a smaller cohort, or use caf",
                rows.len()
            )));
        }
        let mut search = Search { points, rows: &rows, keep, least: f64::INFINITY, found: None, places: 0 };
        let greedy = search.greedy()?;
        search.least = rank(search.part(&greedy).value()?);
        search.walk(0, &mut Vec::new(), &mut search.part(&[]))?;
        Ok(mean_of(&search.found.unwrap_or(greedy), n))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{close, config, faults, made, updates};
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

    #[test]
    fn the_rows_to_beat_are_found_again_where_rounding_decides() {
        // The last honest row adds nothing to the largest variance, and all are measured from the attacker.
        for b in [1.576_532_5e-4_f32, 1e-3, 3.1e-5, 7.7e-6] {
            let rows = [[1.0, 0.0], [1.0, 2.0 * b], [1.0, b], [-1.0, b / 2.0]];
            close(&made("smea = { f = 1 }", &rows), &[1.0, f64::from(b)]);
        }
    }

    #[test]
    fn more_rows_than_a_search_can_take_are_refused_at_once() {
        assert_eq!(faults("smea = {}", 101), ["smea cannot search among 101 rows a round"]);
        assert_eq!(faults("smea = { f = 0 }", 101), [""; 0]);
        let rows: Vec<[f32; 2]> = (0..1000_u16).map(|i| [f32::from(i), 1.0]).collect();
        let round = |spec| config(spec).build().aggregate(&updates(&rows), &Stream::root(0));
        assert_eq!(
            round("smea = {}").unwrap_err().to_string(),
            "smea met a round with 1000 rows; its search takes at most 100; draw a smaller cohort, or use caf"
        );
        assert!((round("smea = { f = 0 }").unwrap().double_value(&[0]) - 499.5).abs() < 1e-3);
    }
}
