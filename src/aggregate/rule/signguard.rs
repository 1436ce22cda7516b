//! `signguard`: rows of usual length and usual signs.
//!
//! With M the median of the row lengths, a row passes if `low ≤ ‖x_i‖ / M ≤ high` **and** it is in the larger of two
//! clusters of the shares of positive, negative and zero signs, counted on a random part `coordinates` of the coordinates.
//! The result is the mean of those that pass, each clipped to M, or zero where none does. Lengths are judged before they are
//! clipped. The clusters are two means begun at the two rows furthest apart (the paper leaves the clustering open; Blades
//! takes 2-means, on all coordinates).
//!
//! By hand: rows `[1, 1]`, `[1, 2]`, `[-1, -1]`, with all coordinates: M = √2, signs `(1, 0, 0)` twice and `(0, 1, 0)`: the
//! first two pass, the second clipped to `√2 (1, 2) / √5 = [0.632, 1.265]`: `[0.816, 1.132]`.

use super::Rule;
use super::clipped_clustering::middle;
use super::clusters::larger_of_two_means;
use super::weigh::mean_of;
use crate::aggregate::columns::{walk_numbers, width};
use crate::aggregate::combine::combine;
use crate::aggregate::points::{added, squared_norms};
use crate::aggregate::{Updates, numbers, sums};
use crate::fault::{About, Checker, Parameter, Result};
use crate::seed::Stream;
use rand::seq::index;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

/// Parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Config {
    /// Least length, as a share of the median.
    pub low: f64,
    /// Greatest length, as a multiple of the median.
    pub high: f64,
    /// Share of the coordinates whose signs count.
    pub coordinates: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { low: 0.1, high: 3.0, coordinates: 0.1 }
    }
}

impl Config {
    /// The bounds enclose the median; there are coordinates to look at.
    pub fn check(&self, c: &mut Checker) {
        if !(0.0..=1.0).contains(&self.low) {
            c.fault("low", "is not a share of the median length", "a number from 0 to 1", "");
        }
        if !(1.0..).contains(&self.high) {
            c.fault("high", "is not a multiple of the median length", "a number from 1", "");
        }
        if !(self.coordinates > 0.0 && self.coordinates <= 1.0) {
            c.fault("coordinates", "is not a share of the coordinates", "a number above 0 up to 1", "");
        }
    }
}

/// Entry of `fedrobust list aggregate`.
pub const ABOUT: About = About {
    name: "signguard",
    summary: "Averages the clipped updates whose length and whose signs are like most others'.",
    formula: "keep low <= |x_i| / M <= high, M the median length, and the larger of two clusters of (share of +, -, 0 signs); mean of the kept x_i min(1, M / |x_i|); for fewer than n / 2 bad rows",
    source: "Xu et al., Byzantine-robust Federated Learning through Collaborative Malicious Gradient Filtering, ICDCS 2022, Algorithm 2",
    parameters: &[
        Parameter { name: "low", default: "0.1", meaning: "least length as a share of the median, from 0 to 1" },
        Parameter { name: "high", default: "3.0", meaning: "greatest length as a multiple of the median, from 1" },
        Parameter {
            name: "coordinates",
            default: "0.1",
            meaning: "share of the coordinates, drawn each round, whose signs count, above 0 up to 1 (Blades: 1.0)",
        },
    ],
};

/// Filters.
#[derive(Debug)]
pub struct SignGuard(pub Config);

/// Of each row its squared length and how many of the drawn values are positive, negative and zero.
type Counts = (Vec<f64>, Vec<Vec<f64>>);

impl SignGuard {
    /// The columns whose signs count, ascending.
    fn drawn(&self, columns: usize, stream: &Stream) -> Vec<usize> {
        let drawn = ((self.0.coordinates * columns as f64).round() as usize).clamp(1, columns);
        if drawn == columns {
            return (0..columns).collect();
        }
        let mut index = index::sample(&mut stream.rng(), columns, drawn).into_vec();
        index.sort_unstable();
        index
    }
}

/// One pass over the rows for both.
fn counts_on_cpu(rows: &Tensor, drawn: &[usize]) -> Result<Counts> {
    let n = rows.size()[0] as usize;
    let parts = walk_numbers(rows, |block, start| {
        let (start, width) = (start as usize, block.len() / n);
        let from = drawn.partition_point(|&k| k < start);
        let here = &drawn[from..drawn.partition_point(|&k| k < start + width)];
        let mut counts = Vec::with_capacity(3 * n);
        for row in block.chunks_exact(width) {
            let (mut positive, mut negative, mut zero) = (0_u32, 0_u32, 0_u32);
            for k in here {
                let x = row[k - start];
                positive += u32::from(x > 0.0);
                negative += u32::from(x < 0.0);
                zero += u32::from(x == 0.0);
            }
            counts.extend([positive, negative, zero].map(f64::from));
        }
        Ok((sums::squared_lengths(block, n), counts))
    })?;
    let (lengths, counts): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
    Ok((added(lengths, n), added(counts, 3 * n).chunks_exact(3).map(Vec::from).collect()))
}

fn counts_on_gpu(rows: &Tensor, drawn: &[usize]) -> Result<Counts> {
    let n = rows.size()[0];
    let count = |is: Tensor| numbers(&is.f_sum_dim_intlist([1_i64].as_slice(), false, Kind::Double)?);
    let mut parts = Vec::new();
    for part in drawn.chunks(width(rows.device(), n) as usize) {
        let index: Vec<i64> = part.iter().map(|&k| k as i64).collect();
        let values = rows.f_index_select(1, &Tensor::f_from_slice(&index)?.f_to_device(rows.device())?)?;
        parts.push([count(values.f_gt(0.0)?)?, count(values.f_lt(0.0)?)?, count(values.f_eq(0.0)?)?].concat());
    }
    let n = n as usize;
    let counts = added(parts, 3 * n);
    Ok((squared_norms(rows)?, (0..n).map(|i| (0..3).map(|sign| counts[sign * n + i]).collect()).collect()))
}

impl Rule for SignGuard {
    fn aggregate(&mut self, updates: &Updates, stream: &Stream) -> Result<Tensor> {
        let drawn = self.drawn(updates.rows.size()[1] as usize, stream);
        let counts = if updates.rows.device() == Device::Cpu { counts_on_cpu } else { counts_on_gpu };
        let (squares, mut signs) = counts(&updates.rows, &drawn)?;
        signs.iter_mut().flatten().for_each(|count| *count /= drawn.len() as f64);
        let norms: Vec<f64> = squares.into_iter().map(f64::sqrt).collect();
        let median = middle(norms.clone());
        let usual = |i: &usize| (self.0.low * median..=self.0.high * median).contains(&norms[*i]);
        let kept: Vec<usize> = larger_of_two_means(&signs).into_iter().filter(usual).collect();
        let mut coefficients = mean_of(&kept, updates.len());
        kept.iter().filter(|&&i| norms[i] > median).for_each(|&i| coefficients[i] *= median / norms[i]);
        Ok(combine(&updates.rows, &[coefficients])?.f_squeeze_dim(0)?)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{close, faults, made};
    use super::*;

    #[test]
    fn a_cpu_and_the_tensor_operations_of_a_gpu_count_alike() {
        let values: Vec<f32> =
            (0..7 * 40_000).map(|i| (i as f32 * 0.7).sin()).map(|x| if x.abs() < 0.3 { 0.0 } else { x }).collect();
        let rows = Tensor::from_slice(&values).view([7, 40_000]);
        let rule = SignGuard(Config { coordinates: 0.3, ..Config::default() });
        for drawn in [rule.drawn(40_000, &Stream::root(1)), (0..40_000).collect()] {
            let (cpu, gpu) = (counts_on_cpu(&rows, &drawn).unwrap(), counts_on_gpu(&rows, &drawn).unwrap());
            assert_eq!(cpu.1, gpu.1);
            assert!(
                cpu.1.iter().all(|row| row.iter().sum::<f64>() == drawn.len() as f64 && row.iter().all(|x| *x > 0.0))
            );
            assert!(cpu.0.iter().zip(&gpu.0).all(|(a, b)| (a - b).abs() < 1e-9 * b));
        }
    }

    const ALL: &str = "signguard = { coordinates = 1.0 }";

    #[test]
    fn by_hand() {
        let root = |x: f64| x.sqrt();
        let second = [root(2.0 / 5.0), 2.0 * root(2.0 / 5.0)];
        close(&made(ALL, &[[1.0, 1.0], [1.0, 2.0], [-1.0, -1.0]]), &[(1.0 + second[0]) / 2.0, (1.0 + second[1]) / 2.0]);
    }

    #[test]
    fn defect_8_blades_signguard_lengths_are_judged_before_they_are_clipped() {
        // Clipped first, the row of 400 would have the median length and pass.
        close(&made(ALL, &[[1.0], [1.0], [1.0], [400.0]]), &[1.0]);
        close(&made(ALL, &[[1.0], [1.0], [1.0], [2.0]]), &[1.0]);
        close(&made(ALL, &[[1.0], [1.0], [1.0], [0.01]]), &[1.0]);
    }

    #[test]
    fn ranges() {
        assert_eq!(
            faults("signguard = { low = 1.5, high = nan, coordinates = 0.0 }", 5),
            [
                "signguard.low is not a share of the median length",
                "signguard.high is not a multiple of the median length",
                "signguard.coordinates is not a share of the coordinates"
            ]
        );
    }
}
