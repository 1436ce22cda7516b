//! `geometric-median`: the point with the least sum of distances to the rows.
//!
//! By default converged: first every row is tried (row k is the median exactly where the unit vectors from it to the others
//! add up to no more than the number of rows equal to it), else Weiszfeld steps with Vardi and Zhang's rule for points that
//! coincide with a row, until a step is below 1e-12 of the median distance (at most 10,000 steps, so it always ends). Rows
//! with a NaN or an infinity have no say. Unweighted; tolerates fewer than n / 2 bad rows.
//!
//! Conventions of others: `steps = 3, start = "zero", nu = 0.1` is the budget of RFA as ByzFL ships it, biased towards zero;
//! `steps = 100, nu = 1e-6, objective-tolerance = 1e-10` is Blades' (from the mean, stops early).
//!
//! By hand: rows `[0]`, `[1]`, `[50]`: `[1]`; one step from zero with nu = 1: weights 1, 1, 1/50: `(0 + 1 + 1) / 2.02`.

use super::weigh::Weigh;
use crate::aggregate::points::{Points, dot, squared};
use crate::fault::{About, Checker, Parameter, Result};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Config {
    /// Weiszfeld steps; until it has converged where not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<usize>,
    /// Where the steps begin.
    pub start: Start,
    /// Distances count as at least so much, ν.
    pub nu: f64,
    /// Stops once the sum of distances changes by no more than this share of itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub objective_tolerance: Option<f64>,
}

impl Default for Config {
    fn default() -> Self {
        Self { steps: None, start: Start::Mean, nu: 0.0, objective_tolerance: None }
    }
}

/// Where Weiszfeld's steps begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Start {
    /// The mean of the rows.
    #[default]
    Mean,
    /// The zero vector: no change of the weights.
    Zero,
}

impl Config {
    /// At least one step; ν and the tolerance from 0.
    pub fn check(&self, c: &mut Checker) {
        if let Some(steps) = self.steps {
            c.count("steps", steps, 1, 100_000);
        }
        c.not_negative("nu", self.nu);
        if let Some(tolerance) = self.objective_tolerance {
            c.not_negative("objective-tolerance", tolerance);
        }
    }
}

/// Entry of `fedrobust list aggregate`.
pub const ABOUT: About = About {
    name: "geometric-median",
    summary: "The point with the least sum of distances to the updates.",
    formula: "argmin_z sum_i |x_i - z|, by z = sum_i b_i x_i / sum_i b_i, b_i = 1 / max(nu, |x_i - z|); tolerates f < n / 2",
    source: "Pillutla, Kakade and Harchaoui, Robust Aggregation for Federated Learning, IEEE TSP 2022 (RFA), Algorithm 2; Vardi and Zhang, PNAS 2000",
    parameters: &[
        Parameter { name: "steps", default: "until converged", meaning: "Weiszfeld steps, from 1 (RFA's budget: 3)" },
        Parameter { name: "start", default: "\"mean\"", meaning: "\"mean\" of the updates or \"zero\"" },
        Parameter { name: "nu", default: "0.0", meaning: "distances count as at least so much, from 0" },
        Parameter {
            name: "objective-tolerance",
            default: "none",
            meaning: "ends the steps once the sum of distances changes by no more than this share of itself, from 0",
        },
    ],
};

/// Steps at most until converged.
const MOST_STEPS: usize = 10_000;
/// A step shorter than this share of the median distance ends it.
const TOLERANCE: f64 = 1e-12;

/// Walks.
#[derive(Debug)]
pub(super) struct GeometricMedian(pub Config);

/// Coefficients of the rows, the point they make, and its distances to the rows.
struct Place {
    coefficients: Vec<f64>,
    point: Vec<f64>,
    distances: Vec<f64>,
}

impl Place {
    fn new(points: &Points, rows: &[usize], coefficients: Vec<f64>) -> Self {
        let point = points.combined(&coefficients);
        let distances = rows.iter().map(|&i| squared(&points.at[i], &point).sqrt()).collect();
        Self { coefficients, point, distances }
    }

    fn objective(&self) -> f64 {
        self.distances.iter().sum()
    }

    /// The next place. What stays where rows lie is given to those rows alone: the coefficients that led there may be of
    /// rows of 1e38, whose sum has lost the others.
    fn step(&self, points: &Points, rows: &[usize], nu: f64) -> Vec<f64> {
        let mut coefficients = vec![0.0; points.len()];
        let mut here = Vec::new();
        let mut pull = vec![0.0; self.point.len()];
        for (&i, &distance) in rows.iter().zip(&self.distances) {
            let distance = distance.max(nu);
            if distance == 0.0 {
                here.push(i);
                continue;
            }
            coefficients[i] = 1.0 / distance;
            pull.iter_mut().zip(&points.at[i]).zip(&self.point).for_each(|((p, x), z)| *p += (x - z) / distance);
        }
        let (total, pull) = (coefficients.iter().sum::<f64>(), dot(&pull, &pull).sqrt());
        let held = here.len() as f64;
        let stay = if held > 0.0 && held >= pull { 1.0 } else { held / pull.max(f64::MIN_POSITIVE) };
        if total > 0.0 {
            coefficients.iter_mut().for_each(|c| *c *= (1.0 - stay) / total);
        }
        here.iter().for_each(|&i| coefficients[i] = stay / held);
        coefficients
    }
}

/// The row that is the median, if one clearly is. Such a row has the least sum of distances of all rows, but far rows may
/// hide by how much, so all are tried that have it but for rounding.
fn row_at_median(points: &Points, rows: &[usize]) -> Option<usize> {
    let sum = |&k: &usize| rows.iter().map(|&i| points.squared_distance(i, k).sqrt()).sum();
    let sums: Vec<f64> = rows.par_iter().map(sum).collect();
    let least = sums.iter().copied().fold(f64::INFINITY, f64::min);
    let near = |(k, sum): (&usize, &f64)| (*sum <= least * (1.0 + 1e-9)).then_some(*k);
    rows.iter().zip(&sums).filter_map(near).find(|&k| is_median(points, rows, k))
}

/// Whether the unit vectors from row `k` to the others pull less than the rows there hold.
fn is_median(points: &Points, rows: &[usize], k: usize) -> bool {
    let mut pull = vec![0.0; points.origin.len()];
    let mut equal = 0.0;
    for &i in rows {
        let distance = points.squared_distance(i, k).sqrt();
        if distance == 0.0 {
            equal += 1.0;
        } else {
            pull.iter_mut().zip(&points.at[i]).zip(&points.at[k]).for_each(|((p, x), z)| *p += (x - z) / distance);
        }
    }
    dot(&pull, &pull).sqrt() < equal - 1e-9
}

impl Weigh for GeometricMedian {
    fn weigh(&mut self, points: &Points) -> Result<Vec<f64>> {
        let rows = points.finite();
        let converge = self.0.steps.is_none() && self.0.objective_tolerance.is_none() && self.0.nu == 0.0;
        if let Some(k) = converge.then(|| row_at_median(points, &rows)).flatten() {
            return Ok((0..points.len()).map(|i| f64::from(i == k)).collect());
        }
        let mut start = vec![0.0; points.len()];
        if self.0.start == Start::Mean {
            rows.iter().for_each(|&i| start[i] = 1.0 / rows.len() as f64);
        }
        let mut place = Place::new(points, &rows, start);
        for _ in 0..self.0.steps.unwrap_or(MOST_STEPS) {
            let next = Place::new(points, &rows, place.step(points, &rows, self.0.nu));
            let done = match self.0.objective_tolerance {
                Some(tolerance) => (next.objective() - place.objective()).abs() <= tolerance * next.objective(),
                None if self.0.steps.is_some() => false,
                None => {
                    let mut distances = next.distances.clone();
                    distances.sort_by(f64::total_cmp);
                    squared(&next.point, &place.point).sqrt() <= TOLERANCE * distances[distances.len() / 2]
                }
            };
            place = next;
            if done {
                break;
            }
        }
        Ok(place.coefficients)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{close, faults, made};

    #[test]
    fn by_hand() {
        let rows = [[0.0], [1.0], [50.0]];
        close(&made("geometric-median = {}", &rows), &[1.0]);
        close(&made("geometric-median = { steps = 1, start = 'zero', nu = 1.0 }", &rows), &[2.0 / 2.02]);
    }

    #[test]
    fn converged_it_is_fermats_point() {
        // Of an equilateral triangle the centre; of one with an angle of 120 degrees or more that corner.
        let h = 3.0_f32.sqrt() / 2.0;
        close(&made("geometric-median = {}", &[[0.0, 0.0], [1.0, 0.0], [0.5, h]]), &[0.5, h as f64 / 3.0]);
        close(&made("geometric-median = {}", &[[-3.0, 0.1], [0.0, 1.0], [3.0, 0.0]]), &[0.0, 1.0]);
    }

    #[test]
    fn a_row_of_1e30_among_three_moves_it_no_further_than_the_others_are_apart() {
        let made = made("geometric-median = {}", &[[0.0, 0.0], [1.0, 0.0], [1e30, 1e30]]);
        assert!(made.iter().all(|x| (-1e-6..=1.0).contains(x)), "{made:?}");
    }

    #[test]
    fn rows_of_1e38_that_cancel_leave_no_trace() {
        let m = f32::MAX;
        let rows = [[0.0], [0.0], [9.0], [0.0], [0.0], [5.0], [0.0], [7.0], [9.5], [m], [-m], [9.0], [m], [-m]];
        let made = made("geometric-median = {}", &rows);
        assert!((0.0..=5.0).contains(&made[0]), "{made:?}");
    }

    #[test]
    fn two_rows_give_their_mean_and_equal_rows_themselves() {
        close(&made("geometric-median = {}", &[[0.0], [4.0]]), &[2.0]);
        assert_eq!(made("geometric-median = {}", &[[4.5], [4.5], [4.5]]), [4.5]);
        assert_eq!(made("geometric-median = { steps = 3, nu = 0.1 }", &[[4.5]]), [4.5]);
    }

    #[test]
    fn ranges() {
        assert_eq!(
            faults("geometric-median = { steps = 0, nu = -1.0, objective-tolerance = nan }", 5),
            [
                "geometric-median.steps is too small",
                "geometric-median.nu is negative or not finite",
                "geometric-median.objective-tolerance is negative or not finite"
            ]
        );
    }
}
