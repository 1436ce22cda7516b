//! `signguard`: rows of usual length and usual signs.
//!
//! With M the median of the row lengths, a row passes if `low ≤ ‖x_i‖ / M ≤ high` **and** it is in the larger of two
//! clusters of the shares of positive, negative and zero signs, counted on a random part `coordinates` of the coordinates (of
//! every 4,096 of them the same share).
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
use crate::aggregate::columns::width;
use crate::aggregate::combine::combine;
use crate::aggregate::lengths::squared_norms;
use crate::aggregate::pieces::along_rows;
use crate::aggregate::points::added;
use crate::aggregate::{Updates, numbers, sums};
use crate::fault::{About, Checker, Parameter, Result};
use crate::seed::Stream;
use rand::Rng;
use rand::seq::index;
use rayon::prelude::*;
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

/// Columns of which a share is drawn at a time.
const SEGMENT: usize = 4096;

/// Of each row its squared length and how many of the drawn values are positive, negative and zero.
type Counts = Vec<[f64; 4]>;

impl SignGuard {
    /// 1 for a column whose signs count, else 0. Each segment draws its share by itself; what is no whole number is rounded up or
    /// down by chance, so that every column is as likely as any other. At least one counts.
    fn drawn(&self, columns: usize, stream: &Stream) -> Vec<f32> {
        let mut rng = stream.named("rounding").rng();
        let offset: f64 = rng.random();
        let upto = |column: usize| (self.0.coordinates * column as f64 + offset).floor() as usize;
        let mut counts = vec![0.0; columns];
        counts.par_chunks_mut(SEGMENT).enumerate().for_each(|(segment, counts)| {
            let start = segment * SEGMENT;
            let drawn = upto(start + counts.len()) - upto(start);
            let mut rng = stream.at(segment as u64).rng();
            index::sample(&mut rng, counts.len(), drawn.min(counts.len())).iter().for_each(|k| counts[k] = 1.0);
        });
        if upto(columns) == 0 {
            counts[rng.random_range(0..columns)] = 1.0;
        }
        counts
    }
}

/// One pass over the rows for all.
fn counts_on_cpu(rows: &Tensor, drawn: &[f32]) -> Result<Counts> {
    along_rows(rows, |piece, columns| {
        let [positive, negative, zero] = sums::signs(piece, &drawn[columns]);
        [sums::squared_length(piece), positive, negative, zero]
    })
}

fn counts_on_gpu(rows: &Tensor, drawn: &[f32]) -> Result<Counts> {
    let n = rows.size()[0];
    let count = |is: Tensor| numbers(&is.f_sum_dim_intlist([1_i64].as_slice(), false, Kind::Double)?);
    let drawn: Vec<i64> = (0..).zip(drawn).filter(|(_, counts)| **counts > 0.0).map(|(k, _)| k).collect();
    let mut parts = Vec::new();
    for part in drawn.chunks(width(rows.device(), n) as usize) {
        let values = rows.f_index_select(1, &Tensor::f_from_slice(part)?.f_to_device(rows.device())?)?;
        parts.push([count(values.f_gt(0.0)?)?, count(values.f_lt(0.0)?)?, count(values.f_eq(0.0)?)?].concat());
    }
    let n = n as usize;
    let counts = added(parts, 3 * n);
    let of_row = |(i, square)| [square, counts[i], counts[n + i], counts[2 * n + i]];
    Ok(squared_norms(rows)?.into_iter().enumerate().map(of_row).collect())
}

impl Rule for SignGuard {
    fn aggregate(&mut self, updates: &Updates, stream: &Stream) -> Result<Tensor> {
        let drawn = self.drawn(updates.rows.size()[1] as usize, stream);
        let counts = if updates.rows.device() == Device::Cpu { counts_on_cpu } else { counts_on_gpu };
        let counts = counts(&updates.rows, &drawn)?;
        let count: f64 = drawn.iter().map(|counts| f64::from(*counts)).sum();
        let signs: Vec<Vec<f64>> =
            counts.iter().map(|row| row[1..].iter().map(|sign| sign / count).collect()).collect();
        let norms: Vec<f64> = counts.iter().map(|row| row[0].sqrt()).collect();
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
        for (drawn, count) in [(rule.drawn(40_000, &Stream::root(1)), 12_000.0), (vec![1.0; 40_000], 40_000.0)] {
            let (cpu, gpu) = (counts_on_cpu(&rows, &drawn).unwrap(), counts_on_gpu(&rows, &drawn).unwrap());
            for ([square, cpu @ ..], [other, gpu @ ..]) in cpu.into_iter().zip(gpu) {
                assert_eq!((cpu, cpu.iter().sum::<f64>()), (gpu, count));
                assert!(cpu.iter().all(|x| *x > 0.0) && (square - other).abs() < 1e-9 * other);
            }
        }
    }

    #[test]
    fn as_many_columns_are_drawn_as_asked_for_from_everywhere() {
        for (share, columns, count) in
            [(0.1, 3, 1.0), (0.1, 10_000, 1000.0), (0.3, SEGMENT, 1228.8), (1.0, 9000, 9000.0), (1e-4, 100, 1.0)]
        {
            let rule = SignGuard(Config { coordinates: share, ..Config::default() });
            let [drawn, again] = [5, 6].map(|seed| rule.drawn(columns, &Stream::root(seed)));
            assert!((drawn.iter().sum::<f32>() - count).abs() < 1.0, "{share} {columns}");
            assert!(drawn.iter().all(|counts| [0.0, 1.0].contains(counts)));
            assert!(columns < 10 || share == 1.0 || drawn != again);
            let wanted = (share * 1000.0) as usize;
            assert!(drawn.chunks_exact(1000).all(|part| (part.iter().sum::<f32>() as usize).abs_diff(wanted) < 60));
        }
    }

    #[test]
    fn a_few_columns_are_drawn_from_all_segments() {
        let rule = SignGuard(Config { coordinates: 1e-4, ..Config::default() });
        let segment =
            |seed| rule.drawn(3 * SEGMENT, &Stream::root(seed)).iter().position(|x| *x > 0.0).map(|k| k / SEGMENT);
        let met: std::collections::BTreeSet<_> = (0..40).map(segment).collect();
        assert_eq!(met.into_iter().collect::<Vec<_>>(), [Some(0), Some(1), Some(2)]);
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
