//! The largest eigenvalue of the scatter of points, converged, from no random start.
//!
//! Up to [`DENSE`] dimensions by libtorch's LAPACK, which finds all of them. Beyond, only the largest is looked for, by the method
//! of Lanczos with full reorthogonalisation (Golub and Van Loan, Matrix Computations, 4th edition, 10.1 to 10.3), which needs the
//! scatter only as what it makes of a vector.

use super::sums::{add_scaled, dot};
use crate::fault::Result;
use rayon::prelude::*;
use tch::Tensor;

/// Dimensions up to which all eigenvalues are found.
const DENSE: usize = 160;
/// Lanczos steps until the first look at what they found; each next look is after half as many again.
const FIRST_LOOK: usize = 40;
/// What is left of `A v − λ v` at most, as a share of λ.
const RESIDUAL: f64 = 1e-11;
/// Points whose shares are added up apart, whatever the number of threads.
const APART: usize = 64;

/// Points with a weight each, about their mean: `A = Σ_i c_i (p_i − μ)(p_i − μ)ᵀ`.
pub(super) struct Scatter {
    weights: Vec<f64>,
    from: Vec<Vec<f64>>,
    dimensions: usize,
}

impl Scatter {
    /// Of finite points; the weights are not negative.
    pub(super) fn new<'a>(points: impl Iterator<Item = (f64, &'a Vec<f64>)>, mean: &[f64]) -> Self {
        let from_mean = |(c, point): (f64, &Vec<f64>)| (c, point.iter().zip(mean).map(|(p, m)| p - m).collect());
        let (weights, from) = points.map(from_mean).unzip();
        Self { weights, from, dimensions: mean.len() }
    }

    /// The largest eigenvalue and its unit eigenvector.
    pub(super) fn largest(&self) -> Result<(f64, Vec<f64>)> {
        if self.dimensions <= DENSE { last(&self.matrix().concat()) } else { self.by_lanczos() }
    }

    fn matrix(&self) -> Vec<Vec<f64>> {
        let mut sum = vec![vec![0.0; self.dimensions]; self.dimensions];
        for (c, from) in self.weights.iter().zip(&self.from) {
            // The lower triangle is all that is asked for.
            for (place, (row, a)) in sum.iter_mut().zip(from).enumerate() {
                add_scaled(&mut row[..=place], c * a, &from[..=place]);
            }
        }
        sum
    }

    /// `A v`.
    fn times(&self, v: &[f64]) -> Vec<f64> {
        let part = |(weights, from): (&[f64], &[Vec<f64>])| {
            let mut sum = vec![0.0; v.len()];
            weights.iter().zip(from).for_each(|(c, from)| add_scaled(&mut sum, c * dot(from, v), from));
            sum
        };
        let parts: Vec<_> = self.weights.par_chunks(APART).zip(self.from.par_chunks(APART)).map(part).collect();
        let mut sum = vec![0.0; v.len()];
        parts.iter().for_each(|part| add_scaled(&mut sum, 1.0, part));
        sum
    }

    /// Krylov's space is built up until it holds the eigenvector: `A Q = Q T + β q eᵀ`, where T is tridiagonal.
    fn by_lanczos(&self) -> Result<(f64, Vec<f64>)> {
        let mut basis: Vec<Vec<f64>> = Vec::new();
        let (mut diagonal, mut beside) = (Vec::new(), Vec::new());
        let mut next = self.start();
        let mut look = FIRST_LOOK;
        loop {
            let mut beyond = self.times(&next);
            diagonal.push(dot(&beyond, &next));
            basis.push(next);
            // Twice is enough (Parlett).
            for _ in 0..2 {
                basis.iter().for_each(|q| {
                    let along = dot(&beyond, q);
                    add_scaled(&mut beyond, -along, q);
                });
            }
            let length = dot(&beyond, &beyond).sqrt();
            let scale = diagonal.iter().fold(f64::MIN_POSITIVE, |most: f64, x| most.max(*x));
            let whole = basis.len() == self.dimensions || length <= f64::EPSILON * scale;
            if whole || basis.len() == look {
                let (value, shares) = last(&tridiagonal(&diagonal, &beside))?;
                let left = length * shares.last().map_or(0.0, |x| x.abs());
                if whole || left <= RESIDUAL * value {
                    let mut vector = vec![0.0; self.dimensions];
                    shares.iter().zip(&basis).for_each(|(share, q)| add_scaled(&mut vector, *share, q));
                    return Ok((value, vector));
                }
                look += look / 2;
            }
            beside.push(length);
            next = beyond.iter().map(|x| x / length).collect();
        }
    }

    /// A unit vector that symmetries of the points do not leave without a share of the eigenvector: the points by weights that
    /// grow from the first to the last and whose sums rarely cancel, or the first axis where they have no spread.
    fn start(&self) -> Vec<f64> {
        let mut sum = vec![0.0; self.dimensions];
        for (i, (c, from)) in self.weights.iter().zip(&self.from).enumerate() {
            let length = dot(from, from).sqrt();
            if length > 0.0 {
                add_scaled(&mut sum, c * (1.0 + i as f64).sqrt() / length, from);
            }
        }
        let length = dot(&sum, &sum).sqrt();
        if length > 0.0 {
            sum.iter_mut().for_each(|x| *x /= length);
        } else {
            sum[0] = 1.0;
        }
        sum
    }
}

/// The last eigenvalue of a symmetric matrix, given by its lower triangle, and its unit eigenvector.
fn last(matrix: &[f64]) -> Result<(f64, Vec<f64>)> {
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
        let points = [vec![0.0, 0.0], vec![2.0, 4.0]];
        let scatter = Scatter::new(points.iter().map(|p| (1.0, p)), &[1.0, 2.0]);
        assert_eq!(scatter.matrix(), [vec![2.0, 0.0], vec![4.0, 8.0]]);
        assert_eq!(scatter.times(&[1.0, -1.0]), [-2.0, -4.0]);
    }

    /// `n` points whose spread along axis k is `spread(k)`, with weights.
    fn cloud(n: usize, d: usize, spread: impl Fn(usize) -> f64) -> (Vec<f64>, Vec<Vec<f64>>) {
        let mut rng = Stream::root(3).at(d as u64).rng();
        let weights = (0..n).map(|_| rng.random_range(0.1..1.0)).collect();
        let points = (0..n).map(|_| (0..d).map(|k| spread(k) * rng.random_range(-1.0..1.0)).collect()).collect();
        (weights, points)
    }

    #[test]
    fn by_lanczos_it_is_that_of_all_eigenvalues() {
        for (n, d) in [(30, 12), (5, 40), (120, 200), (400, 240)] {
            for spread in [|_| 1.0, |k| 1.0 / (1.0 + k as f64), |k| if k == 3 { 1e15 } else { 1.0 }] {
                let (weights, points) = cloud(n, d, spread);
                let scatter = Scatter::new(weights.iter().copied().zip(&points), &vec![0.0; d]);
                let (value, vector) = scatter.by_lanczos().unwrap();
                let (expected, axis) = last(&scatter.matrix().concat()).unwrap();
                assert!((value - expected).abs() <= 1e-12 * expected, "{n} {d}: {value} is not {expected}");
                assert!((dot(&vector, &vector) - 1.0).abs() < 1e-12);
                assert!(1.0 - dot(&vector, &axis).abs() < 1e-12, "{n} {d}: {}", dot(&vector, &axis));
            }
        }
    }

    #[test]
    fn points_without_spread_and_points_on_a_line_have_an_eigenvalue_too() {
        let equal = vec![vec![2.0; 300]; 4];
        let (value, vector) = Scatter::new(equal.iter().map(|p| (1.0, p)), &[2.0; 300]).largest().unwrap();
        assert_eq!((value, dot(&vector, &vector)), (0.0, 1.0));
        let line: Vec<Vec<f64>> = (0..4).map(|i| [vec![f64::from(i)], vec![0.0; 299]].concat()).collect();
        let (value, vector) = Scatter::new(line.iter().map(|p| (1.0, p)), &[0.0; 300]).largest().unwrap();
        assert!((value - 14.0).abs() < 1e-12 && (vector[0].abs() - 1.0).abs() < 1e-12);
    }
}
