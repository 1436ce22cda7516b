//! `geometric-median`: the point with the least sum of distances to the rows.
//!
//! By default converged: first every row is tried (row k is the median exactly where the unit vectors from it to the others
//! add up to no more than the number of rows equal to it), else Weiszfeld steps with Vardi and Zhang's rule for points that
//! coincide with a row, until a step, or what it leaves to go, is below 1e-12 of the median distance (at most 10,000 steps, so it
//! always ends). Many rows on a CPU are walked over before any is tried, and then the row that the walk approaches. Rows
//! with a NaN or an infinity have no say. Unweighted; tolerates fewer than n / 2 bad rows.
//!
//! Conventions of others: `steps = 3, start = "zero", nu = 0.1` is the budget of RFA as ByzFL ships it, biased towards zero;
//! `steps = 100, nu = 1e-6, objective-tolerance = 1e-10` is Blades' (from the mean, stops early).
//!
//! By hand: rows `[0]`, `[1]`, `[50]`: `[1]`; one step from zero with nu = 1: weights 1, 1, 1/50: `(0 + 1 + 1) / 2.02`.

use super::Rule;
use super::weigh::mean_of;
use super::weiszfeld::{End, Place, Space, Walk};
use crate::aggregate::combine::combine;
use crate::aggregate::passes::Passes;
use crate::aggregate::points::Points;
use crate::aggregate::sums::{add_scaled, dot};
use crate::aggregate::{Known, Updates};
use crate::fault::{About, Checker, Parameter, Result};
use crate::seed::Stream;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

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
/// Rows from which the steps are taken over the rows on a CPU, unless they are known as points already: fewer of a size that
/// passes keep.
const MANY: usize = 64;
const MANY_LARGE: usize = 160;
/// A Gram product costs as much as so many rows have steps.
const ROWS_A_STEP: usize = 8;

/// Walks.
#[derive(Debug)]
pub(super) struct GeometricMedian(pub Config);

impl GeometricMedian {
    fn end(&self) -> End {
        match (self.0.objective_tolerance, self.0.steps) {
            (Some(share), _) => End::Objective(share),
            (None, Some(_)) => End::Steps,
            (None, None) => End::Median,
        }
    }

    fn steps(&self) -> usize {
        self.0.steps.unwrap_or(MOST_STEPS)
    }

    fn start(&self, n: usize, rows: &[usize]) -> Vec<f64> {
        match self.0.start {
            Start::Mean => mean_of(rows, n),
            Start::Zero => vec![0.0; n],
        }
    }

    fn walk<'a, S: Space>(&self, space: &'a S, rows: &'a [usize]) -> Walk<'a, S> {
        Walk { space, rows, nu: self.0.nu, end: self.end() }
    }

    /// Over the rows, as long as that is no slower than to take their Gram product: the place and the steps that are left, none
    /// where it is the result.
    fn over_rows(&self, rows: &Tensor) -> Result<(Place, usize)> {
        let (n, passes) = (rows.size()[0] as usize, Passes::over(rows)?);
        let most = self.steps().min(n / ROWS_A_STEP);
        let (place, ended) = self.walk(&passes, passes.finite()).from(self.start(n, passes.finite()), most)?;
        Ok((place, if ended { 0 } else { self.steps() - most }))
    }

    /// Among points, from some coefficients on.
    fn among(&self, points: &Points, from: Option<(Vec<f64>, usize)>) -> Result<Vec<f64>> {
        let rows = points.finite();
        if self.walk(points, &rows).is_exact()
            && let Some(k) = row_at_median(points, &rows)
        {
            return Ok(mean_of(&[k], points.len()));
        }
        let (start, steps) = from.unwrap_or_else(|| (self.start(points.len(), &rows), self.steps()));
        Ok(self.walk(points, &rows).from(start, steps)?.0.coefficients)
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
    let mut pull = vec![0.0; points.origin().len()];
    let mut equal = 0.0;
    for &i in rows {
        let away: Vec<f64> = points.at()[i].iter().zip(&points.at()[k]).map(|(x, z)| x - z).collect();
        let distance = if points.squared_distance(i, k) == 0.0 { 0.0 } else { dot(&away, &away).sqrt() };
        if distance == 0.0 {
            equal += 1.0;
        } else {
            add_scaled(&mut pull, 1.0 / distance, &away);
        }
    }
    dot(&pull, &pull).sqrt() < equal - 1e-9
}

impl Rule for GeometricMedian {
    fn aggregate(&mut self, updates: &Updates, stream: &Stream) -> Result<Tensor> {
        self.aggregate_known(updates, &mut Known::default(), stream)
    }

    fn aggregate_known(&mut self, updates: &Updates, known: &mut Known, _stream: &Stream) -> Result<Tensor> {
        let many = if Passes::keep(&updates.rows) { MANY } else { MANY_LARGE };
        let by_passes = updates.len() >= many && updates.rows.device() == Device::Cpu && !known.has_points();
        let mut from = None;
        if by_passes {
            let (place, left) = self.over_rows(&updates.rows)?;
            if left == 0 {
                return Ok(Tensor::f_from_slice(&place.point)?.f_to_kind(Kind::Float)?);
            }
            from = Some((place.coefficients, left));
        }
        let coefficients = self.among(known.points(updates)?, from)?;
        Ok(combine(&updates.rows, &[coefficients])?.f_squeeze_dim(0)?)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{close, config, faults, made};
    use super::*;
    use crate::aggregate::numbers;
    use rand::Rng;

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
    fn a_short_step_after_a_long_one_is_not_the_last() {
        // The far rows lose their hold at once: steps of 1e35, 1e33, 1e27, 1e16, and then of 1.
        let near = [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.2, 1.1], [0.3, 0.2], [6.0, 5.0], [7.0, 9.0]];
        let made = made("geometric-median = {}", &[near.as_slice(), &[[3e38, 0.0], [-1e38, 0.0]]].concat());
        let pull = |k: usize| {
            let unit = |row: &[f32; 2]| {
                let away = [f64::from(row[0]) - made[0], f64::from(row[1]) - made[1]];
                away[k] / away[0].hypot(away[1])
            };
            near.iter().map(unit).sum::<f64>()
        };
        assert!(pull(0).abs() < 1e-5 && pull(1).abs() < 1e-5, "{made:?} is pulled by {} and {}", pull(0), pull(1));
    }

    #[test]
    fn two_rows_give_their_mean_and_equal_rows_themselves() {
        close(&made("geometric-median = {}", &[[0.0], [4.0]]), &[2.0]);
        assert_eq!(made("geometric-median = {}", &[[4.5], [4.5], [4.5]]), [4.5]);
        assert_eq!(made("geometric-median = { steps = 3, nu = 0.1 }", &[[4.5]]), [4.5]);
    }

    /// The result by passes over the rows, and among the rows as points.
    fn both_ways(spec: &str, rows: &[Vec<f32>]) -> [Vec<f64>; 2] {
        let rows = Tensor::from_slice(&rows.concat()).view([rows.len() as i64, -1]);
        let updates = Updates { samples: vec![1.0; rows.size()[0] as usize], rows };
        [false, true].map(|as_points| {
            let mut known = Known::default();
            if as_points {
                known.points(&updates).unwrap();
            }
            let made = config(spec).build().aggregate_known(&updates, &mut known, &Stream::root(0)).unwrap();
            numbers(&made).unwrap()
        })
    }

    fn random(n: usize, p: usize) -> Vec<Vec<f32>> {
        let mut rng = Stream::root(8).at((n * p) as u64).rng();
        (0..n)
            .map(|_| (0..p).map(|_| rng.random_range(-1.0_f32..1.0) + rng.random_range(-1.0..1.0)).collect())
            .collect()
    }

    #[test]
    fn passes_over_many_rows_end_where_steps_among_points_do() {
        for p in [30, 700, 5000] {
            let rows = random(MANY + 17, p);
            let far =
                |i: usize, row: &Vec<f32>| row.iter().map(|x| if i.is_multiple_of(3) { 1e30 } else { *x }).collect();
            let hostile: Vec<Vec<f32>> = rows.iter().enumerate().map(|(i, row)| far(i, row)).collect();
            let broken = |i: usize, row: &Vec<f32>| if i % 9 == 4 { vec![f32::NAN; p] } else { row.clone() };
            let broken: Vec<Vec<f32>> = rows.iter().enumerate().map(|(i, row)| broken(i, row)).collect();
            for spec in [
                "geometric-median = {}",
                "geometric-median = { nu = 0.5 }",
                "geometric-median = { steps = 3, start = 'zero', nu = 0.1 }",
                "geometric-median = { steps = 100, nu = 1e-6, objective-tolerance = 1e-10 }",
            ] {
                for (what, rows) in [("plain", &rows), ("hostile", &hostile), ("broken", &broken)] {
                    let [by_passes, as_points] = both_ways(spec, rows);
                    // The three steps end among rows of 1e30.
                    let size = by_passes.iter().fold(1.0, |most: f64, x| most.max(x.abs()));
                    for (a, b) in by_passes.iter().zip(&as_points) {
                        assert!((a - b).abs() <= 1e-6 * size, "{spec} {what} {p}: {a} is not {b}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_row_that_is_the_median_of_many_is_found_to_the_bit() {
        let mut rows = random(MANY, 50);
        let most = rows[5].clone();
        rows[10..].iter_mut().step_by(2).for_each(|row| row.clone_from(&most));
        rows[0] = vec![1e30; 50];
        let expected: Vec<f64> = most.iter().map(|x| f64::from(*x)).collect();
        // 28 of 64 rows are equal, and the others lie all around.
        assert_eq!(both_ways("geometric-median = {}", &rows), [expected.clone(), expected.clone()]);
        assert_eq!(both_ways("geometric-median = {}", &vec![most; MANY])[0], expected);
    }

    #[test]
    fn steps_that_shrink_slowly_go_on_among_points() {
        // On a line each step leaves much to go. The middle one of an odd number of rows is the median.
        let line: Vec<Vec<f32>> = random(MANY + 1, 1).iter().map(|row| vec![row[0], 2.0 * row[0], 0.0]).collect();
        let mut sorted = line.clone();
        sorted.sort_by(|a, b| a[0].total_cmp(&b[0]));
        let rows = Tensor::from_slice(&line.concat()).view([-1, 3]);
        let updates = Updates { samples: vec![1.0; line.len()], rows };
        let made = config("geometric-median = {}").build().aggregate(&updates, &Stream::root(0)).unwrap();
        assert_eq!(numbers(&made).unwrap(), sorted[MANY / 2].iter().map(|x| f64::from(*x)).collect::<Vec<_>>());
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
