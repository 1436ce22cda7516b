//! Sums over rows, as gradients of weights and biases are.
//!
//! Both factors are laid out first: a few columns of all rows side by side. Rows of a power of two are as many lines of a cache in
//! the same few places otherwise.

use super::tile::{Pair, Rows, breadth, filled, load, store, sum};
use pulp::{Arch, Simd};

/// Rows summed up before the sums are written: a pair of their columns is at most as large as a first-level cache.
const BLOCK: usize = 256;

/// Adds `xᵀ g`, `[K, N]`, for rows `x` of length K and `g [count, N]`.
#[pulp::with_simd(add_products = Arch::new())]
#[inline(always)]
pub fn add_products_with<S: Simd>(simd: S, x: Rows<'_>, g: &[f32], sums: &mut [f32]) {
    if S::REGISTER_COUNT >= 32 {
        add_products_by::<S, 8>(simd, x, g, sums);
    } else {
        add_products_by::<S, 4>(simd, x, g, sums);
    }
}

#[inline(always)]
fn add_products_by<S: Simd, const R: usize>(simd: S, x: Rows, g: &[f32], sums: &mut [f32]) {
    let width = g.len() / x.count;
    let depth = sums.len() / width;
    let (mut across, mut columns) = (Vec::new(), Vec::new());
    for (i, g) in g.chunks(BLOCK * width).enumerate() {
        let rows = Rows { data: &x.data[i * BLOCK * depth..], count: g.len() / width };
        rows.across(depth, &mut across);
        for column in (0..width).step_by(breadth::<S>()) {
            columns.clear();
            columns.extend(g.chunks_exact(width).map(
                #[inline(always)]
                |g| load(simd, &g[column..]),
            ));
            for (x, sums) in across.chunks_exact(rows.count).zip(sums.chunks_mut(R * width)) {
                let tile = summed::<S, R>(simd, x, &columns);
                for (sums, pair) in sums.chunks_exact_mut(width).zip(tile) {
                    let place = &mut sums[column..];
                    store(simd, place, sum(simd, load(simd, place), pair));
                }
            }
        }
    }
}

impl Rows<'_> {
    /// R columns after R columns, each of all rows.
    #[inline(always)]
    fn across<const R: usize>(self, depth: usize, across: &mut Vec<[f32; R]>) {
        across.clear();
        for first in (0..depth).step_by(R) {
            let used = R.min(depth - first);
            across.extend((0..self.count).map(
                #[inline(always)]
                |row| {
                    let from = &self.data[row * depth + first..][..used];
                    from.first_chunk().copied().unwrap_or_else(
                        #[inline(always)]
                        || filled(from),
                    )
                },
            ));
        }
    }
}

/// `xᵀ g` of a few columns of x by two vectors of columns of g.
#[inline(always)]
fn summed<S: Simd, const R: usize>(simd: S, x: &[[f32; R]], g: &[Pair<S>]) -> [Pair<S>; R] {
    let mut tile = [[simd.splat_f32s(0.0); 2]; R];
    for (x, g) in x.iter().zip(g) {
        for r in 0..R {
            let x = simd.splat_f32s(x[r]);
            tile[r][0] = simd.mul_add_f32s(x, g[0], tile[r][0]);
            tile[r][1] = simd.mul_add_f32s(x, g[1], tile[r][1]);
        }
    }
    tile
}

/// Adds up the columns of `g [count, N]`.
pub fn add_rows(g: &[f32], sums: &mut [f32]) {
    for g in g.chunks_exact(sums.len()) {
        for (sum, g) in sums.iter_mut().zip(g) {
            *sum += g;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_near, numbers, on_all_vectors};
    use super::*;

    /// Rows, numbers of a row of either factor; 300 rows are two blocks.
    const SHAPES: [[usize; 3]; 5] = [[1, 1, 1], [5, 4, 16], [64, 9, 33], [256, 3, 7], [300, 17, 21]];

    #[test]
    fn sums_are_those_of_plain_products() {
        for [count, depth, width] in SHAPES {
            let (x, g) = (numbers(count * depth, 1), numbers(count * width, 2));
            // Added to what is there.
            let mut sums = vec![1.0; depth * width];
            add_products(Rows { data: &x, count }, &g, &mut sums);
            let sum = |k: usize, n: usize| -> f64 {
                (0..count).map(|i| f64::from(x[i * depth + k]) * f64::from(g[i * width + n])).sum::<f64>() + 1.0
            };
            let expected: Vec<f64> = (0..depth * width).map(|i| sum(i / width, i % width)).collect();
            assert_near(&format!("{count} rows, {depth} by {width}"), &sums, &expected, 1e-6);
        }
    }

    #[test]
    fn any_vectors_give_the_same_bytes() {
        for [count, depth, width] in SHAPES {
            let (x, g) = (numbers(count * depth, 1), numbers(count * width, 2));
            let mut here = vec![1.0; depth * width];
            add_products(Rows { data: &x, count }, &g, &mut here);
            let rows = Rows { data: &x, count };
            on_all_vectors!(|simd| {
                let (mut by_four, mut by_eight) = (vec![1.0; depth * width], vec![1.0; depth * width]);
                add_products_by::<_, 4>(simd, rows, &g, &mut by_four);
                add_products_by::<_, 8>(simd, rows, &g, &mut by_eight);
                assert_eq!([&by_four, &by_eight], [&here, &here]);
            });
        }
    }
}
