//! Sums in f64 over blocks of rows on a CPU: lengths, distances from a point, Gram products, steps from a point.
//!
//! A sum runs in [`LANES`] partial sums side by side, which compilers turn into vector instructions (`pulp` picks the
//! widest that the CPU has). Their number is fixed and what is fused is so everywhere: any of them give the same bytes. The
//! loops are plain ones: closures given to iterators would be compiled for the oldest CPU.

use pulp::{Arch, Simd};
use std::ops::Range;

/// Partial sums side by side.
const LANES: usize = 8;
/// Rows of a group: a tile of a Gram matrix is one group by half of another.
const GROUP: usize = 4;
/// Numbers in f64 of a block of a Gram product: they fit the second-level cache of a core.
const PACKED: usize = 1 << 17;
/// Rows from which a matrix product of the tensor library is the faster Gram product.
pub(super) const MANY: usize = 256;

/// Aligned, so that no vector lies in two lines of a cache.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
pub(super) struct Lanes([f64; LANES]);

/// `‖x_i‖²` of each row of a block `[n, w]`.
#[pulp::with_simd(squared_lengths = Arch::new())]
#[inline(always)]
pub(super) fn squared_lengths_with<S: Simd>(_simd: S, block: &[f32], n: usize) -> Vec<f64> {
    let mut made = Vec::with_capacity(n);
    for row in block.chunks_exact(block.len() / n) {
        made.push(squared(row, |_| 0.0));
    }
    made
}

/// `‖x_i − v‖²` of each row, `v` `[w]`.
#[pulp::with_simd(squared_distances = Arch::new())]
#[inline(always)]
pub(super) fn squared_distances_with<S: Simd>(_simd: S, block: &[f32], n: usize, v: &[f64]) -> Vec<f64> {
    let mut made = Vec::with_capacity(n);
    for row in block.chunks_exact(v.len()) {
        made.push(squared(row, |k| v[k]));
    }
    made
}

#[inline(always)]
fn squared(row: &[f32], from: impl Fn(usize) -> f64) -> f64 {
    let (chunks, rest) = pulp::as_arrays::<LANES, _>(row);
    let mut sums = [0.0; LANES];
    for (c, chunk) in chunks.iter().enumerate() {
        for lane in 0..LANES {
            let x = f64::from(chunk[lane]) - from(c * LANES + lane);
            sums[lane] = x.mul_add(x, sums[lane]);
        }
    }
    for (lane, &x) in rest.iter().enumerate() {
        let x = f64::from(x) - from(row.len() - rest.len() + lane);
        sums[lane] = x.mul_add(x, sums[lane]);
    }
    sums.iter().sum()
}

/// `v + Σ_i c_i (x_i − v)`, `[w]`.
#[pulp::with_simd(moved = Arch::new())]
#[inline(always)]
pub(super) fn moved_with<S: Simd>(_simd: S, block: &[f32], shares: &[f64], v: &[f64]) -> Vec<f64> {
    let mut made = v.to_vec();
    for (row, &share) in block.chunks_exact(v.len()).zip(shares) {
        for ((made, &x), &v) in made.iter_mut().zip(row).zip(v) {
            // Not fused: opposite moves of one length cancel to the last bit.
            *made += (f64::from(x) - v) * share;
        }
    }
    made
}

/// Of each column of a block `[n, w]` its positive numbers minus its negative ones.
#[pulp::with_simd(votes = Arch::new())]
#[inline(always)]
pub(super) fn votes_with<S: Simd>(_simd: S, block: &[f32], n: usize) -> Vec<f32> {
    let width = block.len() / n;
    let mut made = vec![0.0; width];
    for row in block.chunks_exact(width) {
        for (made, &x) in made.iter_mut().zip(row) {
            *made += if x > 0.0 { 1.0 } else { 0.0 } - if x < 0.0 { 1.0 } else { 0.0 };
        }
    }
    made
}

/// Adds to `sum`, `n + 1` by `n + 1`, the inner products of the rows of a block `[n, w]` and of the zero vector, the last,
/// all minus row `centre`; the upper triangle (what lies below it is left undefined).
#[pulp::with_simd(add_gram = Arch::new())]
#[inline(always)]
pub(super) fn add_gram_with<S: Simd>(
    simd: S,
    sum: &mut [f64],
    block: &[f32],
    n: usize,
    centre: usize,
    packed: &mut Vec<Lanes>,
) {
    let (width, step) = (block.len() / n, (PACKED / (n + 1) / LANES).max(1) * LANES);
    for start in (0..width).step_by(step) {
        pack(packed, block, n, centre, start..width.min(start + step));
        add_packed(simd, sum, packed, n);
    }
}

#[inline(always)]
fn add_packed<S: Simd>(simd: S, sum: &mut [f64], packed: &[Lanes], n: usize) {
    let groups = (n + 1).div_ceil(GROUP);
    let length = packed.len() / groups;
    for i in 0..groups {
        let above = pulp::as_arrays::<GROUP, _>(&packed[i * length..][..length]).0;
        for j in i..groups {
            let beside = pulp::as_arrays::<GROUP, _>(&packed[j * length..][..length]).0;
            for half in [0, GROUP / 2] {
                let tile = tile(simd, above, beside, half);
                add_tile(sum, n + 1, &tile, i * GROUP, j * GROUP + half);
            }
        }
    }
}

/// Columns of a block in f64, centred, with the zero vector below: group by group of rows, in each [`LANES`] columns of all
/// its rows after the other, filled up with zeros.
#[inline(always)]
fn pack(packed: &mut Vec<Lanes>, block: &[f32], n: usize, centre: usize, columns: Range<usize>) {
    let (stride, width) = (block.len() / n, columns.len());
    let steps = width.div_ceil(LANES);
    packed.clear();
    packed.resize((n + 1).div_ceil(GROUP) * GROUP * steps, Lanes([0.0; LANES]));
    let centre = &block[centre * stride + columns.start..][..width];
    for i in 0..=n {
        let to = (i / GROUP) * GROUP * steps + i % GROUP;
        let row = (i < n).then(|| &block[i * stride + columns.start..][..width]);
        for step in 0..steps {
            let start = step * LANES;
            let lanes = &mut packed[to + step * GROUP].0;
            if start + LANES <= width {
                for lane in 0..LANES {
                    let x = row.map_or(0.0, |row| row[start + lane]);
                    lanes[lane] = f64::from(x) - f64::from(centre[start + lane]);
                }
            } else {
                for k in start..width {
                    lanes[k - start] = f64::from(row.map_or(0.0, |row| row[k])) - f64::from(centre[k]);
                }
            }
        }
    }
}

/// The inner products of a group with half of another. Vector by vector, which the compiler does not find by itself.
#[inline(always)]
fn tile<S: Simd>(
    simd: S,
    above: &[[Lanes; GROUP]],
    beside: &[[Lanes; GROUP]],
    half: usize,
) -> [[f64; GROUP / 2]; GROUP] {
    let mut sums = [[[0.0; LANES]; GROUP / 2]; GROUP];
    for part in 0..LANES / S::F64_LANES {
        let mut vectors = [[simd.splat_f64s(0.0); GROUP / 2]; GROUP];
        for (above, beside) in above.iter().zip(beside) {
            let beside = if half == 0 { [&beside[0], &beside[1]] } else { [&beside[2], &beside[3]] };
            let beside = beside.map(|lanes| S::as_simd_f64s(&lanes.0).0[part]);
            for i in 0..GROUP {
                let above = S::as_simd_f64s(&above[i].0).0[part];
                for j in 0..GROUP / 2 {
                    vectors[i][j] = simd.mul_add_f64s(above, beside[j], vectors[i][j]);
                }
            }
        }
        for i in 0..GROUP {
            for j in 0..GROUP / 2 {
                S::as_mut_simd_f64s(&mut sums[i][j]).0[part] = vectors[i][j];
            }
        }
    }
    let mut made = [[0.0; GROUP / 2]; GROUP];
    for i in 0..GROUP {
        for j in 0..GROUP / 2 {
            made[i][j] = sums[i][j].iter().sum();
        }
    }
    made
}

#[inline(always)]
fn add_tile(sum: &mut [f64], size: usize, tile: &[[f64; GROUP / 2]; GROUP], top: usize, left: usize) {
    for (i, row) in tile.iter().enumerate().take(size.saturating_sub(top)) {
        for (j, x) in row.iter().enumerate().take(size.saturating_sub(left)) {
            sum[(top + i) * size + left + j] += x;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Stream;
    use rand::Rng;

    fn random(count: usize) -> Vec<f32> {
        let mut rng = Stream::root(4).at(count as u64).rng();
        (0..count).map(|_| rng.random_range(-2.0..2.0)).collect()
    }

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() <= 1e-12 * b.abs().max(1.0), "{a} is not {b}");
    }

    #[test]
    fn gram_products_are_those_of_plain_sums() {
        for (n, width) in [(1, 1), (2, 7), (3, 8), (4, 30), (7, 16), (11, 23), (240, 560)] {
            let block = random(n * width);
            let at = |i: usize, k: usize| {
                let centre = f64::from(block[(n / 2) * width + k]);
                if i < n { f64::from(block[i * width + k]) - centre } else { -centre }
            };
            let mut sum = vec![1.0; (n + 1) * (n + 1)];
            add_gram(&mut sum, &block, n, n / 2, &mut Vec::new());
            for i in 0..=n {
                for j in i..=n {
                    let plain: f64 = (0..width).map(|k| at(i, k) * at(j, k)).sum();
                    close(sum[i * (n + 1) + j], 1.0 + plain);
                }
            }
        }
    }

    #[test]
    fn lengths_distances_and_steps_are_those_of_plain_sums() {
        for (n, width) in [(1, 1), (3, 8), (4, 29)] {
            let block = random(n * width);
            let v: Vec<f64> = random(width).into_iter().map(f64::from).collect();
            let (lengths, distances) = (squared_lengths(&block, n), squared_distances(&block, n, &v));
            for (i, row) in block.chunks_exact(width).enumerate() {
                close(lengths[i], row.iter().map(|&x| f64::from(x).powi(2)).sum());
                close(distances[i], row.iter().zip(&v).map(|(&x, v)| (f64::from(x) - v).powi(2)).sum());
            }
            let shares: Vec<f64> = (0..n).map(|i| 0.25 * i as f64).collect();
            for (k, made) in moved(&block, &shares, &v).into_iter().enumerate() {
                let steps = (0..n).map(|i| shares[i] * (f64::from(block[i * width + k]) - v[k]));
                close(made, v[k] + steps.sum::<f64>());
            }
        }
    }

    #[test]
    fn what_is_not_finite_shows_in_the_length_of_its_row_alone() {
        let lengths = squared_lengths(&[1.0, f32::NAN, 2.0, f32::MAX, 0.0, f32::INFINITY], 3);
        assert!(lengths[0].is_nan() && lengths[1].is_finite() && lengths[2] == f64::INFINITY);
    }
}
