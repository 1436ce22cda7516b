//! The rows `[n, P]` on a CPU as they lie in memory: combinations of them, and distances from those, in one pass over the rows.
//!
//! What asks for a few such passes is faster by them than by [`super::points`], whose Gram product costs as much as about n / 8
//! of them. All in f64.

use super::columns::walk_numbers;
use super::combine::shares;
use super::points::added;
use super::sums::{add_move, combined, dot, squared_length, squared_length_from};
use crate::fault::Result;
use rayon::prelude::*;
use tch::Tensor;

/// Numbers that are copied out of the tensor once for all passes, at most; 256 MB of them.
const KEPT: usize = 1 << 26;

/// Rows to pass over.
pub(super) struct Passes<'a> {
    rows: &'a Tensor,
    /// Blocks of columns, row by row, each with its first column; none where there are too many numbers.
    kept: Option<Vec<(Vec<f32>, i64)>>,
    finite: Vec<usize>,
}

impl<'a> Passes<'a> {
    /// Over the rows `[n, P]` on a CPU.
    pub(super) fn over(rows: &'a Tensor) -> Result<Self> {
        Self::new(rows, Self::keep(rows))
    }

    fn new(rows: &'a Tensor, keep: bool) -> Result<Self> {
        let n = rows.size()[0] as usize;
        let parts = walk_numbers(rows, |block, start| {
            let lengths = block.chunks_exact(block.len() / n).map(squared_length).collect();
            Ok((lengths, keep.then(|| (block.to_vec(), start))))
        })?;
        let (lengths, kept): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
        let lengths = added(lengths, n);
        let finite = (0..n).filter(|&i| lengths[i].is_finite()).collect();
        Ok(Self { rows, kept: kept.into_iter().collect(), finite })
    }

    /// Whether the numbers of such rows are copied out of the tensor once, which makes a pass twice as fast.
    pub(super) fn keep(rows: &Tensor) -> bool {
        rows.numel() <= KEPT
    }

    /// Rows without a NaN or an infinity.
    pub(super) fn finite(&self) -> &[usize] {
        &self.finite
    }

    /// `z = Σ_i c_i x_i` and `‖x_i − z‖²` of each row, not finite where the row is not. Rows with a coefficient of 0 have no
    /// share in z, whatever they hold.
    pub(super) fn combined(&self, coefficients: &[f64]) -> Result<(Vec<f64>, Vec<f64>)> {
        let shares = shares(coefficients);
        let parts = self.walk(|block, _| {
            let point = combined(block, block.len() / coefficients.len(), &shares);
            let distances = block.chunks_exact(point.len()).map(|row| squared_length_from(row, &point)).collect();
            Ok((point, distances))
        })?;
        let (points, distances): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
        Ok((points.concat(), added(distances, coefficients.len())))
    }

    /// `‖Σ_i w_i (x_i − z)‖²`, with no share of rows whose weight is 0.
    pub(super) fn pull(&self, weights: &[f64], point: &[f64]) -> Result<f64> {
        let shares = shares(weights);
        let parts = self.walk(|block, start| {
            let point = &point[start as usize..][..block.len() / weights.len()];
            let mut pull = vec![0.0; point.len()];
            for &(i, weight) in &shares {
                add_move(&mut pull, weight, &block[i * point.len()..][..point.len()], point);
            }
            Ok(dot(&pull, &pull))
        })?;
        Ok(parts.iter().sum())
    }

    fn walk<T: Send>(&self, work: impl Fn(&[f32], i64) -> Result<T> + Sync) -> Result<Vec<T>> {
        match &self.kept {
            Some(blocks) => blocks.par_iter().map(|(block, start)| work(block, *start)).collect(),
            None => walk_numbers(self.rows, work),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let rows = Tensor::from_slice2(&[[1.0_f32, 2.0], [3.0, 6.0], [f32::NAN, 0.0]]);
        let passes = Passes::over(&rows).unwrap();
        assert_eq!(passes.finite(), [0, 1]);
        let (point, squares) = passes.combined(&[0.5, 0.5, 0.0]).unwrap();
        assert_eq!((point.as_slice(), &squares[..2]), ([2.0, 4.0].as_slice(), [5.0, 5.0].as_slice()));
        assert!(squares[2].is_nan());
        assert_eq!(passes.pull(&[1.0, 3.0, 0.0], &[2.0, 4.0]).unwrap(), 20.0);
    }

    #[test]
    fn blocks_join_without_a_seam_whether_they_are_kept_or_not() {
        let values: Vec<f32> = (0..64 * 5000).map(|i| (i as f32 * 0.37).sin()).collect();
        let rows = Tensor::from_slice(&values).view([64, 5000]);
        let shares: Vec<f64> = (0..64).map(|i| f64::from(i % 5) / 100.0).collect();
        let column = |k: usize| values.iter().skip(k).step_by(5000).map(|x| f64::from(*x));
        let expected: Vec<f64> = (0..5000).map(|k| column(k).zip(&shares).map(|(x, c)| c * x).sum()).collect();
        let pull = |k: usize| column(k).zip(&shares).map(|(x, c)| c * (x - expected[k])).sum::<f64>().powi(2);
        let pull: f64 = (0..5000).map(pull).sum();
        for keep in [true, false] {
            let passes = Passes::new(&rows, keep).unwrap();
            let (point, squares) = passes.combined(&shares).unwrap();
            assert!(point.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-12));
            for (row, squared) in values.chunks(5000).zip(squares) {
                let plain: f64 = row.iter().zip(&expected).map(|(x, z)| (f64::from(*x) - z).powi(2)).sum();
                assert!((squared - plain).abs() < 1e-9 * plain);
            }
            assert!((passes.pull(&shares, &point).unwrap() - pull).abs() < 1e-9 * pull);
        }
    }
}
