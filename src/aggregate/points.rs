//! The rows as `n` points in at most `n + 1` dimensions: what every rule that only asks for lengths, angles and distances needs.
//!
//! `n` rows and the origin span at most `n` dimensions, so that distances, inner products, means and eigenvectors of
//! 420 k weights are those of `n` short lists of numbers. One pass over the rows makes them, and clipping, buckets and
//! nearest-neighbour mixing, which are linear, carry them along ([`Points::mixed`]): a chain pays for one Gram product.
//!
//! The Gram product is taken in f64, of the rows minus one of them, which is at most twice as long as the row of (lower) median
//! length. With fewer than half the rows bad that is no longer than twice an honest one, so that a row of 1e30 takes no precision
//! from the distances between the others, and rows that are long but close keep theirs. The first columns say which row that
//! may be, so that one pass over the rows is enough; where all columns do not agree, there is another, of the median row
//! itself. Lengths, angles and distances are read off the product. A Cholesky factorisation, shortest row first, gives the
//! coordinates where somebody asks for them or mixes the rows.

use super::gram::gram;
use super::lengths::squared_norms;
use super::sums::{add_scaled, dot, squared_distance};
use crate::fault::Result;
use rayon::prelude::*;
use std::sync::OnceLock;
use tch::Tensor;

/// Below this share of `‖x_i‖² + ‖x_j‖²` (centred) a squared distance is rounding noise and counts as 0: equal rows tie.
const NOISE: f64 = 1e-14;
/// What rounding may leave of a product of n rows, by n and by their lengths: a library may sum two equal rows in other orders.
pub(super) const ROUNDING: f64 = 4.0 * f64::EPSILON;
/// Columns that say which row may be the centre.
const FIRST: i64 = 4096;
/// Squared length of the centre by that of the median row at most.
const LONGER: f64 = 4.0;

/// Rows as points.
#[derive(Debug, Clone, Default)]
pub(super) struct Points {
    /// Inner products of the rows and, last, of the zero vector; none of rows that were mixed.
    products: Option<Products>,
    mixed: Option<Box<Mixed>>,
    coordinates: OnceLock<Coordinates>,
    /// Inner products of rows that were mixed.
    of_mixed: OnceLock<Vec<Vec<f64>>>,
}

/// `[n + 1, n + 1]`, of which the upper triangle is meant.
#[derive(Debug, Clone)]
struct Products {
    n: usize,
    of: Vec<f64>,
}

/// Rows `Σ_j c_ij x_j`.
#[derive(Debug, Clone)]
struct Mixed {
    of: Points,
    coefficients: Vec<Vec<f64>>,
}

#[derive(Debug, Clone, Default)]
struct Coordinates {
    /// Of each row; empty for a row with a NaN or an infinity.
    at: Vec<Vec<f64>>,
    /// Of the zero vector.
    origin: Vec<f64>,
    /// `dot(at, at)` of each.
    squares: Vec<f64>,
}

impl Coordinates {
    fn new(at: Vec<Vec<f64>>, origin: Vec<f64>) -> Self {
        let squares = at.iter().map(|at| dot(at, at)).collect();
        Self { at, origin, squares }
    }
}

impl Mixed {
    fn coordinates(&self) -> Coordinates {
        let at = self.of.at();
        let mix = |row: &Vec<f64>| {
            if row.iter().zip(at).any(|(c, at)| *c != 0.0 && at.is_empty()) {
                return Vec::new();
            }
            self.of.combined(row)
        };
        Coordinates::new(self.coefficients.par_iter().map(mix).collect(), self.of.origin().to_vec())
    }
}

impl Products {
    fn of(&self, i: usize, j: usize) -> f64 {
        self.of[i.min(j) * (self.n + 1) + i.max(j)]
    }

    /// Whether a row is finite: one that is not spoils its own products and no other's.
    fn has(&self, i: usize) -> bool {
        self.of(i, i).is_finite()
    }

    fn squared_distance(&self, i: usize, j: usize) -> f64 {
        let lengths = self.of(i, i) + self.of(j, j);
        denoised(lengths - 2.0 * self.of(i, j), NOISE.max(self.n as f64 * ROUNDING) * lengths)
    }

    fn coordinates(&self) -> Coordinates {
        let mut kept: Vec<usize> = (0..self.n).filter(|&i| self.has(i)).collect();
        kept.push(self.n);
        let of_kept = kept.iter().flat_map(|&i| kept.iter().map(move |&j| self.of(i, j))).collect::<Vec<_>>();
        let mut coordinates = cholesky(&of_kept, kept.len());
        let origin = coordinates.pop().unwrap_or_default();
        let mut at = vec![Vec::new(); self.n];
        for (i, coordinate) in kept.into_iter().zip(coordinates) {
            at[i] = coordinate;
        }
        Coordinates::new(at, origin)
    }
}

/// A squared distance, or 0 where that is noise.
fn denoised(apart: f64, noise: f64) -> f64 {
    if apart <= noise { 0.0 } else { apart }
}

/// Sums of the parts, in their order.
pub(super) fn added(parts: Vec<Vec<f64>>, count: usize) -> Vec<f64> {
    let mut sums = vec![0.0; count];
    parts.iter().for_each(|part| sums.iter_mut().zip(part).for_each(|(sum, x)| *sum += x));
    sums
}

/// A number as ranks see it: rounded to 33 significant bits, so that what is equal but for rounding is a tie.
pub(super) fn rank(x: f64) -> f64 {
    f64::from_bits((x.to_bits() + (1 << 19)) & !((1 << 20) - 1))
}

impl Points {
    /// Of the rows `[n, P]`.
    pub(super) fn of(rows: &Tensor) -> Result<Self> {
        let n = rows.size()[0] as usize;
        Ok(match centred_products(rows)? {
            Some(of) => Self { products: Some(Products { n, of }), ..Self::default() },
            None => Self { coordinates: Coordinates::new(vec![Vec::new(); n], Vec::new()).into(), ..Self::default() },
        })
    }

    fn coordinates(&self) -> &Coordinates {
        self.coordinates.get_or_init(|| match (&self.products, &self.mixed) {
            (Some(products), _) => products.coordinates(),
            (None, Some(mixed)) => mixed.coordinates(),
            (None, None) => Coordinates::default(),
        })
    }

    /// Coordinates of each row; empty for a row with a NaN or an infinity.
    pub(super) fn at(&self) -> &[Vec<f64>] {
        &self.coordinates().at
    }

    /// Coordinates of the zero vector.
    pub(super) fn origin(&self) -> &[f64] {
        &self.coordinates().origin
    }

    /// Number of rows.
    pub(super) fn len(&self) -> usize {
        match (&self.products, &self.mixed) {
            (Some(products), _) => products.n,
            (None, Some(mixed)) => mixed.coefficients.len(),
            (None, None) => self.at().len(),
        }
    }

    /// Rows without a NaN or an infinity.
    pub(super) fn finite(&self) -> Vec<usize> {
        (0..self.len()).filter(|&i| self.has(i)).collect()
    }

    fn has(&self, i: usize) -> bool {
        self.products.as_ref().map_or_else(|| !self.at()[i].is_empty(), |products| products.has(i))
    }

    /// The points of the rows `Σ_j c_ij x_j`, made where somebody asks for them.
    pub(super) fn mixed(self, coefficients: Vec<Vec<f64>>) -> Self {
        Self { mixed: Some(Box::new(Mixed { of: self, coefficients })), ..Self::default() }
    }

    /// The point of `Σ_j c_j x_j`; rows that are not finite must have no share in it.
    pub(super) fn combined(&self, coefficients: &[f64]) -> Vec<f64> {
        let rest = 1.0 - coefficients.iter().sum::<f64>();
        // A rest of rounding noise would move the point by noise; exactly none leaves equal mixtures equal.
        let rest = if rest.abs() < 1e-12 { 0.0 } else { rest };
        let mut point: Vec<f64> = self.origin().iter().map(|o| rest * o).collect();
        for (c, row) in coefficients.iter().zip(self.at()).filter(|(c, _)| **c != 0.0) {
            add_scaled(&mut point, *c, row);
        }
        point
    }

    /// Squared distance of two rows; infinite where one is not finite, also from itself.
    pub(super) fn squared_distance(&self, i: usize, j: usize) -> f64 {
        if !self.has(i) || !self.has(j) {
            return f64::INFINITY;
        }
        if let Some(products) = &self.products {
            return products.squared_distance(i, j);
        }
        let Coordinates { at, squares, .. } = self.coordinates();
        denoised(squared_distance(&at[i], &at[j]), NOISE * (squares[i] + squares[j]))
    }

    /// `[m, m]`: inner products of finite rows, all minus one point, which sums of differences of rows do not depend on.
    pub(super) fn products_among(&self, rows: &[usize]) -> Vec<f64> {
        let all = || symmetric(self.len(), |i, j| dot(&self.at()[i], &self.at()[j]));
        let row = |i: usize| -> Vec<f64> {
            match &self.products {
                Some(products) => rows.iter().map(|&j| products.of(i, j)).collect(),
                None => {
                    let row = &self.of_mixed.get_or_init(all)[i];
                    rows.iter().map(|&j| row[j]).collect()
                }
            }
        };
        rows.iter().map(|&i| row(i)).collect::<Vec<_>>().concat()
    }

    /// Squared distances of all pairs, as [`rank`] sees them.
    pub(super) fn distances(&self) -> Vec<Vec<f64>> {
        symmetric(self.len(), |i, j| rank(self.squared_distance(i, j)))
    }

    /// Lengths of the rows; infinite where one is not finite.
    pub(super) fn norms(&self) -> Vec<f64> {
        let norm = |i: usize| match &self.products {
            _ if !self.has(i) => f64::INFINITY,
            Some(products) => products.squared_distance(i, products.n).sqrt(),
            None => squared_distance(&self.at()[i], self.origin()).sqrt(),
        };
        (0..self.len()).map(norm).collect()
    }

    /// Cosines of the angles between rows, 0 where one has no length.
    pub(super) fn cosines(&self) -> Vec<Vec<f64>> {
        let norms = self.norms();
        let from_origin: Vec<Vec<f64>> = match &self.products {
            Some(_) => Vec::new(),
            None => self.at().iter().map(|at| at.iter().zip(self.origin()).map(|(a, o)| a - o).collect()).collect(),
        };
        let inner = |i: usize, j: usize| match &self.products {
            Some(p) => p.of(i, j) - p.of(i, p.n) - p.of(j, p.n) + p.of(p.n, p.n),
            None => dot(&from_origin[i], &from_origin[j]),
        };
        let cosine = |i: usize, j: usize| {
            let lengths = norms[i] * norms[j];
            let along = inner(i, j) / lengths;
            if lengths > 0.0 && lengths.is_finite() { along.clamp(-1.0, 1.0) } else { 0.0 }
        };
        symmetric(self.len(), cosine)
    }
}

/// `[n, n]` from what is made of each pair, whose second place is never above the first.
fn symmetric(n: usize, of: impl Fn(usize, usize) -> f64 + Sync) -> Vec<Vec<f64>> {
    let half: Vec<Vec<f64>> = (0..n).into_par_iter().map(|i| (0..=i).map(|j| of(i, j)).collect()).collect();
    (0..n).map(|i| (0..n).map(|j| half[i.max(j)][i.min(j)]).collect()).collect()
}

/// The Gram product of rows about a row that is not too long; `None` where no row is finite.
fn centred_products(rows: &Tensor) -> Result<Option<Vec<f64>>> {
    let (n, columns) = rows.size2()?;
    let n = n as usize;
    if let Some(centre) = middle(&squared_norms(&rows.f_narrow(1, 0, columns.min(FIRST))?)?) {
        let products = gram(rows, centre as i64)?;
        let at = |i: usize, j: usize| products[i * (n + 1) + j];
        let norms: Vec<f64> = (0..n).map(|i| at(i, i) + at(n, n) - 2.0 * at(i, n)).collect();
        if middle(&norms).is_some_and(|median| norms[centre] <= LONGER * norms[median]) {
            return Ok(Some(products));
        }
    }
    middle(&squared_norms(rows)?).map(|centre| gram(rows, centre as i64)).transpose()
}

/// The row of (lower) median length among the finite ones.
fn middle(squared_norms: &[f64]) -> Option<usize> {
    let mut finite: Vec<usize> = (0..squared_norms.len()).filter(|&i| squared_norms[i].is_finite()).collect();
    finite.sort_by(|&a, &b| squared_norms[a].total_cmp(&squared_norms[b]));
    finite.get(finite.len().saturating_sub(1) / 2).copied()
}

/// Points whose inner products are the `n × n` numbers of `gram`, shortest first.
fn cholesky(gram: &[f64], n: usize) -> Vec<Vec<f64>> {
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&a, &b| gram[a * n + a].total_cmp(&gram[b * n + b]));
    let mut points: Vec<Vec<f64>> = vec![Vec::new(); n];
    // For each dimension the point that opened it.
    let mut pivots: Vec<usize> = Vec::new();
    for &i in &order {
        let mut point: Vec<f64> = Vec::with_capacity(pivots.len() + 1);
        for (k, &j) in pivots.iter().enumerate() {
            // Each pair by the same entry, so that the order of rows cannot show.
            let product = gram[i.min(j) * n + i.max(j)];
            point.push((product - dot(&point, &points[j][..k])) / points[j][k]);
        }
        let length = gram[i * n + i];
        let left = length - dot(&point, &point);
        if left > n as f64 * ROUNDING * length {
            point.push(left.sqrt());
            pivots.push(i);
        }
        points[i] = point;
    }
    points.iter_mut().for_each(|point| point.resize(pivots.len().max(1), 0.0));
    points
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Stream;
    use rand::Rng;

    #[test]
    fn by_hand() {
        let points = Points::of(&Tensor::from_slice2(&[[0.0_f32, 0.0], [3.0, 4.0], [0.0, 1.0]])).unwrap();
        assert_eq!(points.distances(), [[0.0, 25.0, 1.0], [25.0, 0.0, 18.0], [1.0, 18.0, 0.0]].map(Vec::from));
        let norms: Vec<f64> = points.norms().into_iter().map(rank).collect();
        assert_eq!(norms, [0.0, 5.0, 1.0]);
        assert!((points.cosines()[1][2] - 0.8).abs() < 1e-12);
    }

    #[test]
    fn honest_distances_survive_beside_a_row_of_1e30() {
        let rows = Tensor::from_slice2(&[[1.0_f32, 2.0], [1.5, 2.0], [1.0, 2.25], [1e30, -1e30]]);
        let d = Points::of(&rows).unwrap().distances();
        assert_eq!((d[0][1], d[0][2], d[1][2]), (0.25, 0.0625, 0.3125));
        assert!((d[0][3] / 2e60 - 1.0).abs() < 1e-6, "{}", d[0][3]);
    }

    #[test]
    fn a_row_that_is_long_only_behind_the_first_columns_is_not_the_centre() {
        // By their first columns row 0 is the median; honest rows differ by 0.25 in one weight.
        let (first, all) = (FIRST as usize, FIRST as usize + 10);
        let mut rows = vec![vec![1.0_f32; all]; 5];
        rows[1][..first].fill(0.5);
        rows[2][..first].fill(2.0);
        rows[0][first..].fill(1e30);
        rows[3][0] -= 0.25;
        let d = Points::of(&Tensor::from_slice(&rows.concat()).view([5, -1])).unwrap().distances();
        assert_eq!((d[3][4], d[1][2]), (0.0625, 2.25 * first as f64));
        let infinite = Tensor::from_slice(&rows.concat())
            .view([5, -1])
            .masked_fill(&Tensor::from_slice(&rows.concat()).view([5, -1]).gt(1e20), f64::INFINITY);
        let d = Points::of(&infinite).unwrap().distances();
        assert_eq!((d[3][4], d[0][4]), (0.0625, f64::INFINITY));
    }

    #[test]
    fn defect_9_flower_multikrum_long_rows_that_differ_by_little_are_not_rounding_noise() {
        // Flower's MultiKrum finds −0.6 to 0.75 here, where the truth is about 0.02 (a million weights N(0, 1)).
        let mut rng = Stream::root(1).rng();
        let weights: Vec<f32> = (0..200_000).map(|_| rng.random_range(-2.0..2.0)).collect();
        let rows: Vec<Vec<f32>> =
            (0..4).map(|_| weights.iter().map(|w| w + rng.random_range(-2e-4..2e-4)).collect()).collect();
        let points = Points::of(&Tensor::from_slice(&rows.concat()).view([4, -1])).unwrap();
        let d = points.distances();
        for i in 0..4 {
            for j in 0..4 {
                let truth: f64 = rows[i].iter().zip(&rows[j]).map(|(a, b)| (*a as f64 - *b as f64).powi(2)).sum();
                assert!((d[i][j] - truth).abs() <= 1e-9 * truth, "{} is not {truth}", d[i][j]);
            }
        }
    }

    #[test]
    fn distances_are_those_of_the_rows_whatever_their_number_and_length() {
        let mut rng = Stream::root(2).rng();
        for (n, p) in [(1, 3), (2, 1), (7, 2), (9, 40), (30, 500)] {
            let rows: Vec<Vec<f32>> = (0..n).map(|_| (0..p).map(|_| rng.random_range(-3.0..3.0)).collect()).collect();
            let points = Points::of(&Tensor::from_slice(&rows.concat()).view([n, p])).unwrap();
            let norms = points.norms();
            for i in 0..n as usize {
                let norm: f64 = rows[i].iter().map(|a| (*a as f64).powi(2)).sum::<f64>().sqrt();
                assert!((norms[i] - norm).abs() < 1e-6 * norm, "{n} {p}");
                for j in 0..n as usize {
                    let truth: f64 = rows[i].iter().zip(&rows[j]).map(|(a, b)| (*a as f64 - *b as f64).powi(2)).sum();
                    assert!((points.squared_distance(i, j) - truth).abs() <= 1e-8 * truth + 1e-12, "{n} {p}");
                }
            }
        }
    }

    #[test]
    fn a_row_that_is_not_finite_is_infinitely_far_from_all_and_takes_nothing_from_the_others() {
        let rows = Tensor::from_slice2(&[[1.0_f32, 2.0], [f32::NAN, 0.0], [1.0, 4.0], [f32::INFINITY, 1.0]]);
        let points = Points::of(&rows).unwrap();
        let inf = f64::INFINITY;
        assert_eq!(points.distances()[0], [0.0, inf, 4.0, inf]);
        assert_eq!(points.distances()[1], [inf; 4]);
        assert_eq!(points.finite(), [0, 2]);
    }

    #[test]
    fn mixtures_of_points_are_points_of_mixtures() {
        let rows = Tensor::from_slice2(&[[1.0_f32, 2.0], [3.0, 8.0], [-1.0, 4.0]]);
        let mix = [vec![0.5, 0.5, 0.0], vec![0.25, 0.0, 0.0], vec![0.5, 0.5, 0.0]];
        let points = Points::of(&rows).unwrap().mixed(mix.to_vec());
        let direct = Points::of(&Tensor::from_slice2(&[[2.0_f32, 5.0], [0.25, 0.5], [2.0, 5.0]])).unwrap();
        for (a, b) in points.distances().concat().iter().zip(direct.distances().concat()) {
            assert!((a - b).abs() < 1e-9, "{a} is not {b}");
        }
        assert!((points.norms()[1] - direct.norms()[1]).abs() < 1e-9);
        assert_eq!(points.distances()[0][2], 0.0);
    }

    #[test]
    fn numbers_equal_but_for_rounding_rank_the_same() {
        assert_eq!(rank(0.1 + 0.2), rank(0.3));
        assert_eq!((rank(0.0), rank(f64::INFINITY), rank(25.0)), (0.0, f64::INFINITY, 25.0));
        assert!(rank(1.0) < rank(1.0 + 1e-9));
    }
}
