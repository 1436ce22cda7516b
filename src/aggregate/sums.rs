//! Sums in f64 over blocks of rows on a CPU: lengths, distances from a point, steps from a point, votes; and over short lists.
//!
//! A sum runs in [`LANES`] partial sums side by side, which compilers turn into vector instructions (`pulp` picks the
//! widest that the CPU has). Their number is fixed and what is fused is so everywhere: any of them give the same bytes. The
//! loops are plain ones: closures given to iterators would be compiled for the oldest CPU.

use pulp::{Arch, Simd};

/// Partial sums side by side.
const LANES: usize = 8;

/// Sum of a list.
#[pulp::with_simd(sum = Arch::new())]
#[inline(always)]
pub(super) fn sum_with<S: Simd>(_simd: S, a: &[f64]) -> f64 {
    let (a, rest) = pulp::as_arrays::<LANES, _>(a);
    let mut sums = [0.0; LANES];
    for a in a {
        for lane in 0..LANES {
            sums[lane] += a[lane];
        }
    }
    sums.iter().sum::<f64>() + rest.iter().sum::<f64>()
}

/// Inner product of two lists of one length.
#[pulp::with_simd(dot = Arch::new())]
#[inline(always)]
pub(super) fn dot_with<S: Simd>(_simd: S, a: &[f64], b: &[f64]) -> f64 {
    let ((a, a_rest), (b, b_rest)) = (pulp::as_arrays::<LANES, _>(a), pulp::as_arrays::<LANES, _>(b));
    let (mut sums, mut rest) = ([0.0; LANES], 0.0);
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    for (a, b) in a_rest.iter().zip(b_rest) {
        rest += a * b;
    }
    sums.iter().sum::<f64>() + rest
}

/// Squared distance of two lists of one length.
#[pulp::with_simd(squared_distance = Arch::new())]
#[inline(always)]
pub(super) fn squared_distance_with<S: Simd>(_simd: S, a: &[f64], b: &[f64]) -> f64 {
    let ((a, a_rest), (b, b_rest)) = (pulp::as_arrays::<LANES, _>(a), pulp::as_arrays::<LANES, _>(b));
    let (mut sums, mut rest) = ([0.0; LANES], 0.0);
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            sums[lane] += (a[lane] - b[lane]) * (a[lane] - b[lane]);
        }
    }
    for (a, b) in a_rest.iter().zip(b_rest) {
        rest += (a - b) * (a - b);
    }
    sums.iter().sum::<f64>() + rest
}

/// `y + c x` into `y`.
#[pulp::with_simd(add_scaled = Arch::new())]
#[inline(always)]
pub(super) fn add_scaled_with<S: Simd>(_simd: S, y: &mut [f64], c: f64, x: &[f64]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y += c * x;
    }
}

/// `‖x_i‖²` of each row of a block `[n, w]`.
#[pulp::with_simd(squared_lengths = Arch::new())]
#[inline(always)]
pub(super) fn squared_lengths_with<S: Simd>(_simd: S, block: &[f32], n: usize) -> Vec<f64> {
    let mut made = Vec::with_capacity(n);
    for row in block.chunks_exact(block.len() / n) {
        made.push(squared(row, std::iter::repeat(&[0.0; LANES]), &[0.0; LANES]));
    }
    made
}

/// `‖x_i − v‖²` of each row, `v` `[w]`.
#[pulp::with_simd(squared_distances = Arch::new())]
#[inline(always)]
pub(super) fn squared_distances_with<S: Simd>(_simd: S, block: &[f32], n: usize, v: &[f64]) -> Vec<f64> {
    let (chunks, rest) = pulp::as_arrays::<LANES, _>(v);
    let rest = filled(rest);
    let mut made = Vec::with_capacity(n);
    for row in block.chunks_exact(v.len()) {
        made.push(squared(row, chunks, &rest));
    }
    made
}

/// `Σ (x − v)²`; `v` by chunks of [`LANES`], and what is left of it filled up with zeros.
#[inline(always)]
fn squared<'a>(row: &[f32], v: impl IntoIterator<Item = &'a [f64; LANES]>, v_rest: &[f64; LANES]) -> f64 {
    let (chunks, rest) = pulp::as_arrays::<LANES, _>(row);
    let mut sums = [0.0; LANES];
    for (chunk, v) in chunks.iter().zip(v) {
        add_squares(&mut sums, chunk, v);
    }
    if !rest.is_empty() {
        add_squares(&mut sums, &filled(rest), v_rest);
    }
    sums.iter().sum()
}

#[inline(always)]
fn add_squares(sums: &mut [f64; LANES], chunk: &[f32; LANES], v: &[f64; LANES]) {
    for lane in 0..LANES {
        let x = f64::from(chunk[lane]) - v[lane];
        sums[lane] = x.mul_add(x, sums[lane]);
    }
}

/// Fewer numbers than [`LANES`], and zeros.
#[inline(always)]
fn filled<T: Copy + Default>(rest: &[T]) -> [T; LANES] {
    let mut made = [T::default(); LANES];
    made[..rest.len()].copy_from_slice(rest);
    made
}

/// `Σ_i c_i x_i`, `[w]`; rows with a coefficient of 0 are not looked at, whatever they hold.
#[pulp::with_simd(combined = Arch::new())]
#[inline(always)]
pub(super) fn combined_with<S: Simd>(_simd: S, block: &[f32], shares: &[f64]) -> Vec<f64> {
    let width = block.len() / shares.len();
    let mut made = vec![0.0; width];
    let mut used = Vec::with_capacity(shares.len());
    for (row, &share) in block.chunks_exact(width).zip(shares) {
        if share != 0.0 {
            used.push((row, share));
        }
    }
    let (fours, rest) = used.as_chunks::<4>();
    // Four at once: what is made is read and written once for all of them.
    for [(a, p), (b, q), (c, r), (d, s)] in fours {
        for ((((made, &a), &b), &c), &d) in made.iter_mut().zip(*a).zip(*b).zip(*c).zip(*d) {
            let two = f64::from(b).mul_add(*q, f64::from(a).mul_add(*p, *made));
            *made = f64::from(d).mul_add(*s, f64::from(c).mul_add(*r, two));
        }
    }
    for (row, share) in rest {
        for (made, &x) in made.iter_mut().zip(*row) {
            *made = f64::from(x).mul_add(*share, *made);
        }
    }
    made
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

/// `Σ_i c_i (x_i − v)`, `[w]`; rows with a coefficient of 0 are not looked at, whatever they hold.
#[pulp::with_simd(moves = Arch::new())]
#[inline(always)]
pub(super) fn moves_with<S: Simd>(_simd: S, block: &[f32], shares: &[f64], v: &[f64]) -> Vec<f64> {
    let mut made = vec![0.0; v.len()];
    for (row, &share) in block.chunks_exact(v.len()).zip(shares) {
        if share != 0.0 {
            for ((made, &x), &v) in made.iter_mut().zip(row).zip(v) {
                *made = (f64::from(x) - v).mul_add(share, *made);
            }
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
    fn lengths_distances_and_steps_are_those_of_plain_sums() {
        for (n, width) in [(1, 1), (3, 8), (4, 29), (11, 17)] {
            let block = random(n * width);
            let v: Vec<f64> = random(width).into_iter().map(f64::from).collect();
            let (lengths, distances) = (squared_lengths(&block, n), squared_distances(&block, n, &v));
            for (i, row) in block.chunks_exact(width).enumerate() {
                close(lengths[i], row.iter().map(|&x| f64::from(x).powi(2)).sum());
                close(distances[i], row.iter().zip(&v).map(|(&x, v)| (f64::from(x) - v).powi(2)).sum());
            }
            let shares: Vec<f64> = (0..n).map(|i| 0.25 * i as f64).collect();
            let moves_by_columns = moves(&block, &shares, &v).into_iter().zip(moved(&block, &shares, &v)).enumerate();
            for (k, (moves, moved)) in moves_by_columns {
                let plain: f64 = (0..n).map(|i| shares[i] * (f64::from(block[i * width + k]) - v[k])).sum();
                close(moves, plain);
                close(moved, v[k] + plain);
            }
            for (k, made) in combined(&block, &shares).into_iter().enumerate() {
                close(made, (0..n).map(|i| shares[i] * f64::from(block[i * width + k])).sum());
            }
        }
    }

    #[test]
    fn short_lists_have_the_products_and_distances_of_plain_sums() {
        for count in [1, 7, 8, 19] {
            let [a, b] = [count, count + 100]
                .map(|seed| random(seed)[..count].iter().map(|&x| f64::from(x)).collect::<Vec<_>>());
            close(sum(&a), a.iter().sum());
            close(dot(&a, &b), a.iter().zip(&b).map(|(a, b)| a * b).sum());
            close(squared_distance(&a, &b), a.iter().zip(&b).map(|(a, b)| (a - b).powi(2)).sum());
            let mut sum = a.clone();
            add_scaled(&mut sum, -0.5, &b);
            assert!(sum.iter().zip(a.iter().zip(&b)).all(|(sum, (a, b))| *sum == a - 0.5 * b));
        }
    }

    #[test]
    fn a_row_without_a_share_may_hold_anything() {
        let block = [1.0, 2.0, f32::NAN, f32::INFINITY, 5.0, -2.0];
        assert_eq!(combined(&block, &[0.5, 0.0, 1.0]), [5.5, -1.0]);
        assert_eq!(moves(&block, &[0.5, 0.0, 1.0], &[1.0, 0.0]), [4.0, -1.0]);
    }

    #[test]
    fn what_is_not_finite_shows_in_the_length_of_its_row_alone() {
        let lengths = squared_lengths(&[1.0, f32::NAN, 2.0, f32::MAX, 0.0, f32::INFINITY], 3);
        assert!(lengths[0].is_nan() && lengths[1].is_finite() && lengths[2] == f64::INFINITY);
    }
}
