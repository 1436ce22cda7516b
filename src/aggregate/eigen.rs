//! The direction in which weighed rows scatter most, converged, from no random start.
//!
//! With `y_i = √c_i (x_i − μ)` the scatter `Σ_i y_i y_iᵀ` has the largest eigenvalue λ of the matrix `K = [y_i · y_j]`, and with
//! its unit eigenvector u the direction `v = Σ_i u_i y_i / √λ`: all that is asked for are inner products of the rows.
//! Up to [`DENSE`] rows libtorch's LAPACK finds all eigenvalues of K. Beyond, only the largest is looked for, by the method of
//! Lanczos with full reorthogonalisation (Golub and Van Loan, Matrix Computations, 4th edition, 10.1 to 10.3).

use super::points::{Points, ROUNDING};
use super::sums::{add_scaled, dot};
use crate::fault::Result;
use rayon::prelude::*;
use tch::Tensor;

/// Rows up to which all eigenvalues are found.
const DENSE: usize = 160;
/// Lanczos steps until the first look at what they found; each next look is after half as many again.
const FIRST_LOOK: usize = 40;
/// What is left of `K u − λ u` at most, as a share of λ.
const RESIDUAL: f64 = 1e-11;

/// `Σ_i c_i (x_i − μ)(x_i − μ)ᵀ` about the weighted mean μ.
pub(super) struct Scatter {
    /// `√c_i` of each row.
    roots: Vec<f64>,
    /// K, row by row.
    matrix: Vec<f64>,
    /// What rounding may leave of K where the rows are equal.
    noise: f64,
}

impl Scatter {
    /// Of finite rows with a weight above 0 each.
    pub(super) fn of(points: &Points, rows: &[(usize, f64)]) -> Self {
        let total: f64 = rows.iter().map(|(_, c)| c).sum();
        let share: Vec<f64> = rows.iter().map(|(_, c)| c / total).collect();
        let products = points.products_among(&rows.iter().map(|(i, _)| *i).collect::<Vec<_>>());
        let n = rows.len();
        // x_i · μ, and μ · μ.
        let with_mean: Vec<f64> = products.par_chunks_exact(n).map(|row| dot(row, &share)).collect();
        let of_mean = dot(&with_mean, &share);
        let roots: Vec<f64> = rows.iter().map(|(_, c)| c.sqrt()).collect();
        let squares: f64 = roots.iter().enumerate().map(|(i, root)| root * root * products[i * n + i]).sum();
        let mut matrix = products;
        matrix.par_chunks_exact_mut(n).zip(&with_mean).zip(&roots).for_each(|((row, here), root)| {
            for ((x, there), other) in row.iter_mut().zip(&with_mean).zip(&roots) {
                *x = (*x - here - there + of_mean) * (root * other);
            }
        });
        Self { roots, matrix, noise: ROUNDING * n as f64 * squares }
    }

    /// The largest eigenvalue, and of each row `(x_i − μ) · v` along its unit eigenvector; zeros where rows are equal but for
    /// rounding.
    pub(super) fn largest(&self) -> Result<(f64, Vec<f64>)> {
        let n = self.roots.len();
        let trace: f64 = (0..n).map(|i| self.matrix[i * n + i]).sum();
        if trace <= self.noise {
            return Ok((0.0, vec![0.0; n]));
        }
        let (value, vector) = if n <= DENSE { last(&self.matrix)? } else { self.by_lanczos()? };
        let along = self.times(&vector).into_iter().zip(&self.roots);
        Ok((value, along.map(|(x, root)| x / (root * value.sqrt())).collect()))
    }

    /// `K u`.
    fn times(&self, u: &[f64]) -> Vec<f64> {
        self.matrix.par_chunks_exact(u.len()).map(|row| dot(row, u)).collect()
    }

    /// Krylov's space is built up until it holds the eigenvector: `K Q = Q T + β q eᵀ`, where T is tridiagonal.
    fn by_lanczos(&self) -> Result<(f64, Vec<f64>)> {
        let mut basis: Vec<Vec<f64>> = Vec::new();
        let (mut diagonal, mut beside) = (Vec::new(), Vec::new());
        let mut next = start(self.roots.len());
        let mut look = FIRST_LOOK;
        loop {
            let mut beyond = self.times(&next);
            diagonal.push(dot(&beyond, &next));
            basis.push(next);
            let length = orthogonalise(&mut beyond, &basis);
            let scale = diagonal.iter().fold(f64::MIN_POSITIVE, |most: f64, x| most.max(*x));
            let whole = basis.len() == self.roots.len() || length <= f64::EPSILON * scale;
            if whole || basis.len() == look {
                let (value, shares) = last(&tridiagonal(&diagonal, &beside))?;
                let left = length * shares.last().map_or(0.0, |x| x.abs());
                if whole || left <= RESIDUAL * value {
                    let mut vector = vec![0.0; self.roots.len()];
                    shares.iter().zip(&basis).for_each(|(share, q)| add_scaled(&mut vector, *share, q));
                    return Ok((value, vector));
                }
                look += look / 2;
            }
            beside.push(length);
            next = beyond.iter().map(|x| x / length).collect();
        }
    }
}

/// Takes from a vector what lies along the unit vectors of a basis, of which the last two have most; gives the length that is left.
fn orthogonalise(vector: &mut [f64], basis: &[Vec<f64>]) -> f64 {
    let take = |vector: &mut [f64], q: &Vec<f64>| add_scaled(vector, -dot(vector, q), q);
    let length = |vector: &[f64]| dot(vector, vector).sqrt();
    basis.iter().rev().take(2).for_each(|q| take(vector, q));
    let mut before = length(vector);
    for _ in 0..2 {
        basis.iter().rev().for_each(|q| take(vector, q));
        let left = length(vector);
        // Where less is left it is rounding in part; twice is enough (Parlett, The Symmetric Eigenvalue Problem, 6.9).
        if left > 0.7 * before {
            return left;
        }
        before = left;
    }
    before
}

/// A unit vector that symmetries of the rows do not leave without a share of the eigenvector.
fn start(n: usize) -> Vec<f64> {
    let length = (n as f64 * (n as f64 + 1.0) / 2.0).sqrt();
    (1..=n).map(|i| (i as f64).sqrt() / length).collect()
}

/// The last eigenvalue of a symmetric matrix, given by its lower triangle, and its unit eigenvector.
pub(super) fn last(matrix: &[f64]) -> Result<(f64, Vec<f64>)> {
    let n = matrix.len().isqrt() as i64;
    let (values, vectors) = Tensor::f_from_slice(matrix)?.f_view([n, n])?.f_linalg_eigh("L")?;
    let vector = Vec::<f64>::try_from(vectors.f_select(1, n - 1)?.f_contiguous()?)?;
    Ok((values.f_double_value(&[n - 1])?, vector))
}

fn tridiagonal(diagonal: &[f64], beside: &[f64]) -> Vec<f64> {
    let n = diagonal.len();
    let mut matrix = vec![0.0; n * n];
    for (i, x) in diagonal.iter().enumerate() {
        matrix[i * n + i] = *x;
    }
    for (i, x) in beside.iter().take(n - 1).enumerate() {
        matrix[(i + 1) * n + i] = *x;
    }
    matrix
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Stream;
    use rand::Rng;

    #[test]
    fn by_hand() {
        let (value, vector) = last(&[2.0, 0.0, 1.0, 2.0]).unwrap();
        assert!((value - 3.0).abs() < 1e-12);
        assert!((vector[0] - vector[1]).abs() < 1e-12 && (vector[0].abs() - 0.5_f64.sqrt()).abs() < 1e-12);
        // About μ = [1.5, 3], along [1, 2] / √5.
        let points = Points::of(&Tensor::from_slice2(&[[0.0_f32, 0.0], [9.0, 9.0], [2.0, 4.0]])).unwrap();
        let (value, along) = Scatter::of(&points, &[(0, 1.0), (2, 3.0)]).largest().unwrap();
        assert!((value - 15.0).abs() < 1e-12);
        let expected = [1.5 * 5.0_f64.sqrt(), -0.5 * 5.0_f64.sqrt()];
        assert!(along.iter().zip(expected).all(|(x, y)| (x.abs() - y.abs()).abs() < 1e-12), "{along:?}");
        assert!(along[0] * along[1] < 0.0);
    }

    /// `n` rows whose spread along axis k is `spread(k)`, with weights.
    fn cloud(n: usize, p: usize, spread: impl Fn(usize) -> f32) -> (Vec<(usize, f64)>, Tensor) {
        let mut rng = Stream::root(3).at(p as u64).rng();
        let weights = (0..n).map(|i| (i, rng.random_range(0.1..1.0))).collect();
        let rows: Vec<f32> = (0..n * p).map(|i| spread(i % p) * rng.random_range(-1.0_f32..1.0)).collect();
        (weights, Tensor::from_slice(&rows).view([n as i64, -1]))
    }

    /// The same from all eigenvectors of the scatter itself.
    fn plain(rows: &Tensor, weights: &[(usize, f64)]) -> (f64, Vec<f64>) {
        let c = Tensor::from_slice(&weights.iter().map(|(_, c)| *c).collect::<Vec<f64>>()).unsqueeze(1);
        let rows = rows.to_kind(tch::Kind::Double);
        let mean = (&rows * &c).sum_dim_intlist([0_i64].as_slice(), true, tch::Kind::Double) / c.sum(tch::Kind::Double);
        let from = rows - mean;
        let (values, vectors) = (&from * &c).tr().matmul(&from).linalg_eigh("L");
        let last = values.size()[0] - 1;
        let along = Vec::<f64>::try_from(from.matmul(&vectors.select(1, last))).unwrap();
        (values.double_value(&[last]), along)
    }

    #[test]
    fn both_ways_find_what_all_eigenvectors_of_the_scatter_say() {
        for (n, p) in [(30, 12), (5, 40), (200, 120), (240, 400), (300, 3)] {
            for spread in [|_| 1.0, |k| 1.0 / (1.0 + k as f32), |k| if k == 2 { 1e7 } else { 1.0 }] {
                let (weights, rows) = cloud(n, p, spread);
                let scatter = Scatter::of(&Points::of(&rows).unwrap(), &weights);
                let (expected, expected_along) = plain(&rows, &weights);
                let (value, along) = scatter.largest().unwrap();
                assert!((value - expected).abs() <= 1e-11 * expected, "{n} {p}: {value} is not {expected}");
                let most = expected_along.iter().fold(0.0_f64, |most, x| most.max(x.abs()));
                let sign = (dot(&along, &expected_along)).signum();
                let off = |(a, b): (&f64, &f64)| (sign * a - b).abs() > 1e-8 * most;
                assert!(!along.iter().zip(&expected_along).any(off), "{n} {p}");
                let (by_lanczos, vector) = scatter.by_lanczos().unwrap();
                assert!(
                    (by_lanczos - expected).abs() <= 1e-11 * expected && (dot(&vector, &vector) - 1.0).abs() < 1e-12
                );
            }
        }
    }

    #[test]
    fn rows_without_scatter_and_rows_on_a_line_have_an_eigenvalue_too() {
        let all: Vec<(usize, f64)> = (0..200).map(|i| (i, 1.0)).collect();
        let largest = |rows: &Tensor| Scatter::of(&Points::of(rows).unwrap(), &all).largest().unwrap();
        let equal = Tensor::full([200, 7], 2.5, (tch::Kind::Float, tch::Device::Cpu));
        assert_eq!(largest(&equal), (0.0, vec![0.0; 200]));
        // Centred on another row, their products are not zeros.
        let away = Tensor::cat(&[equal * 0.37, Tensor::full([201, 7], 0.9, (tch::Kind::Float, tch::Device::Cpu))], 0);
        assert_eq!(largest(&away), (0.0, vec![0.0; 200]));
        let line = Tensor::arange(200, (tch::Kind::Float, tch::Device::Cpu)).unsqueeze(1);
        let (value, along) = largest(&line);
        assert!((value / 666_650.0 - 1.0).abs() < 1e-12 && (along[199].abs() - 99.5).abs() < 1e-9);
    }
}
