//! Sums over rows, or pieces of them, on a CPU: lengths, distances from a point, moves from a point, signs; and over short lists.
//!
//! A sum runs in [`LANES`] partial sums side by side, over rows in [`STRANDS`] of them, which compilers turn into vector instructions (`pulp` picks the
//! widest that the CPU has). Their number is fixed and what is fused is so everywhere: any of them give the same bytes. The
//! loops are plain ones: closures given to iterators would be compiled for the oldest CPU.

use pulp::{Arch, Simd};

/// Partial sums side by side.
const LANES: usize = 8;
/// Of such lanes over long rows.
const STRANDS: usize = 4;

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

/// `‖x‖²`, also of a piece of a row.
#[pulp::with_simd(squared_length = Arch::new())]
#[inline(always)]
pub(super) fn squared_length_with<S: Simd>(_simd: S, x: &[f32]) -> f64 {
    sum_beside(x, x, |x, _| {
        let x = f64::from(x);
        [x, x]
    })
}

/// `‖x − v‖²`, also of pieces that lie beside each other.
#[pulp::with_simd(squared_length_from = Arch::new())]
#[inline(always)]
pub(super) fn squared_length_from_with<S: Simd>(_simd: S, x: &[f32], v: &[f64]) -> f64 {
    sum_beside(x, v, |x, v| {
        let away = f64::from(x) - v;
        [away, away]
    })
}

/// The same where v is in f32.
#[pulp::with_simd(squared_length_between = Arch::new())]
#[inline(always)]
pub(super) fn squared_length_between_with<S: Simd>(_simd: S, x: &[f32], v: &[f32]) -> f64 {
    sum_beside(x, v, |x, v| {
        let away = f64::from(x) - f64::from(v);
        [away, away]
    })
}

/// `x · v`, also of pieces that lie beside each other.
#[pulp::with_simd(along = Arch::new())]
#[inline(always)]
pub(super) fn along_with<S: Simd>(_simd: S, x: &[f32], v: &[f32]) -> f64 {
    sum_beside(x, v, |x, v| [f64::from(x), f64::from(v)])
}

/// The sum of products of what is made of numbers that lie beside each other. In [`STRANDS`], so that a CPU does not wait for the
/// sum before.
#[inline(always)]
fn sum_beside<V: Copy + Default>(x: &[f32], v: &[V], factors: impl Fn(f32, V) -> [f64; 2]) -> f64 {
    let ((x, x_rest), (v, v_rest)) = (pulp::as_arrays::<LANES, _>(x), pulp::as_arrays::<LANES, _>(v));
    let ((x, x_left), (v, v_left)) = (pulp::as_arrays::<STRANDS, _>(x), pulp::as_arrays::<STRANDS, _>(v));
    let [mut a, mut b, mut c, mut d] = [[0.0; LANES]; STRANDS];
    for (x, v) in x.iter().zip(v) {
        add(&mut a, &x[0], &v[0], &factors);
        add(&mut b, &x[1], &v[1], &factors);
        add(&mut c, &x[2], &v[2], &factors);
        add(&mut d, &x[3], &v[3], &factors);
    }
    for (x, v) in x_left.iter().zip(v_left) {
        add(&mut a, x, v, &factors);
    }
    if !x_rest.is_empty() {
        add(&mut a, &filled(x_rest), &filled(v_rest), &factors);
    }
    for lane in 0..LANES {
        a[lane] += b[lane] + (c[lane] + d[lane]);
    }
    a.iter().sum()
}

#[inline(always)]
fn add<V: Copy>(sums: &mut [f64; LANES], x: &[f32; LANES], v: &[V; LANES], factors: &impl Fn(f32, V) -> [f64; 2]) {
    for lane in 0..LANES {
        let [one, other] = factors(x[lane], v[lane]);
        sums[lane] = one.mul_add(other, sums[lane]);
    }
}

/// Fewer numbers than [`LANES`], and zeros.
#[inline(always)]
fn filled<T: Copy + Default>(rest: &[T]) -> [T; LANES] {
    let mut made = [T::default(); LANES];
    made[..rest.len()].copy_from_slice(rest);
    made
}

/// `Σ c x_i`, `[w]`, over rows i of a block `[n, w]` and their coefficients.
#[pulp::with_simd(combined = Arch::new())]
#[inline(always)]
pub(super) fn combined_with<S: Simd>(_simd: S, block: &[f32], width: usize, shares: &[(usize, f64)]) -> Vec<f64> {
    let mut made = vec![0.0; width];
    let mut used = Vec::with_capacity(shares.len());
    for &(i, share) in shares {
        used.push((&block[i * width..][..width], share));
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

/// Adds `c (x − v)` to each of `sums`.
#[pulp::with_simd(add_move = Arch::new())]
#[inline(always)]
pub(super) fn add_move_with<S: Simd>(_simd: S, sums: &mut [f64], c: f64, x: &[f32], v: &[f64]) {
    for ((sum, &x), &v) in sums.iter_mut().zip(x).zip(v) {
        // Not fused: opposite moves of one length cancel to the last bit.
        *sum += (f64::from(x) - v) * c;
    }
}

/// Adds 1 to the votes where x is positive, and −1 where it is negative.
#[pulp::with_simd(add_votes = Arch::new())]
#[inline(always)]
pub(super) fn add_votes_with<S: Simd>(_simd: S, votes: &mut [f32], x: &[f32]) {
    for (votes, &x) in votes.iter_mut().zip(x) {
        *votes += if x > 0.0 { 1.0 } else { 0.0 } - if x < 0.0 { 1.0 } else { 0.0 };
    }
}

/// `c · sign(x)` in place of each x.
#[pulp::with_simd(scale_signs = Arch::new())]
#[inline(always)]
pub(super) fn scale_signs_with<S: Simd>(_simd: S, x: &mut [f32], c: f32) {
    for x in x {
        *x = if *x > 0.0 { c } else { 0.0 } - if *x < 0.0 { c } else { 0.0 };
    }
}

/// What counts of the positive, negative and zero numbers among x; up to 2²⁴ numbers of which each counts as 0 or 1.
#[pulp::with_simd(signs = Arch::new())]
#[inline(always)]
pub(super) fn signs_with<S: Simd>(simd: S, x: &[f32], counts: &[f32]) -> [f64; 3] {
    let mut sums = [simd.splat_f32s(0.0); 3];
    let ((x, x_rest), (counts, counts_rest)) = (S::as_simd_f32s(x), S::as_simd_f32s(counts));
    for (x, counts) in x.iter().zip(counts) {
        add_signs(simd, &mut sums, *x, *counts);
    }
    add_signs(simd, &mut sums, simd.partial_load_f32s(x_rest), simd.partial_load_f32s(counts_rest));
    sums.map(|sum| f64::from(simd.reduce_sum_f32s(sum)))
}

#[inline(always)]
fn add_signs<S: Simd>(simd: S, sums: &mut [S::f32s; 3], x: S::f32s, counts: S::f32s) {
    let zero = simd.splat_f32s(0.0);
    sums[0] = simd.add_f32s(sums[0], simd.select_f32s(simd.greater_than_f32s(x, zero), counts, zero));
    sums[1] = simd.add_f32s(sums[1], simd.select_f32s(simd.less_than_f32s(x, zero), counts, zero));
    sums[2] = simd.add_f32s(sums[2], simd.select_f32s(simd.equal_f32s(x, zero), counts, zero));
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

    fn as_f64(x: &[f32]) -> Vec<f64> {
        x.iter().map(|&x| f64::from(x)).collect()
    }

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() <= 1e-12 * b.abs().max(1.0), "{a} is not {b}");
    }

    #[test]
    fn lengths_distances_and_moves_are_those_of_plain_sums() {
        for width in [1, 8, 32, 77] {
            let (x, sums) = (random(width), random(width + 100));
            let sums = &sums[..width];
            let (v, before) = (as_f64(&random(width + 200)[..width]), as_f64(sums));
            let away: Vec<f64> = x.iter().zip(&v).map(|(&x, v)| f64::from(x) - v).collect();
            close(squared_length(&x), x.iter().map(|&x| f64::from(x).powi(2)).sum());
            close(along(&x, sums), x.iter().zip(sums).map(|(&x, &v)| f64::from(x) * f64::from(v)).sum());
            let between = x.iter().zip(sums).map(|(&x, &v)| (f64::from(x) - f64::from(v)).powi(2)).sum();
            close(squared_length_between(&x, sums), between);
            close(squared_length_from(&x, &v), away.iter().map(|a| a * a).sum());
            let mut sums = before.clone();
            add_move(&mut sums, 0.3, &x, &v);
            assert!(sums.iter().zip(before.iter().zip(&away)).all(|(sum, (before, away))| *sum == before + away * 0.3));
        }
    }

    #[test]
    fn rows_are_combined_as_plain_sums_are() {
        for (n, width) in [(1, 1), (3, 8), (4, 29), (11, 17)] {
            let block = random(n * width);
            let shares: Vec<(usize, f64)> = (0..n).rev().filter(|i| i % 5 != 1).map(|i| (i, 0.25 * i as f64)).collect();
            for (k, made) in combined(&block, width, &shares).into_iter().enumerate() {
                close(made, shares.iter().map(|&(i, share)| share * f64::from(block[i * width + k])).sum());
            }
        }
    }

    #[test]
    fn signs_count_where_they_are_asked_for() {
        let x = [1.0, -2.0, 0.0, -0.0, f32::NAN, f32::INFINITY, -1e-40, 3.0, -5.0, 0.0, 7.0];
        assert_eq!(signs(&x, &[1.0; 11]), [4.0, 3.0, 3.0]);
        assert_eq!(signs(&x, &[1.0, 1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0]), [1.0, 2.0, 2.0]);
        let mut votes = vec![1.0; 11];
        add_votes(&mut votes, &x);
        assert_eq!(votes, [2.0, 0.0, 1.0, 1.0, 1.0, 2.0, 0.0, 2.0, 0.0, 1.0, 2.0]);
        let mut signs = [3.0, -0.5, 0.0, -7.0];
        scale_signs(&mut signs, 0.1);
        assert_eq!(signs, [0.1, -0.1, 0.0, -0.1]);
    }

    #[test]
    fn short_lists_have_the_products_and_distances_of_plain_sums() {
        for count in [1, 7, 8, 19] {
            let [a, b] = [count, count + 100].map(|seed| as_f64(&random(seed)[..count]));
            close(sum(&a), a.iter().sum());
            close(dot(&a, &b), a.iter().zip(&b).map(|(a, b)| a * b).sum());
            close(squared_distance(&a, &b), a.iter().zip(&b).map(|(a, b)| (a - b).powi(2)).sum());
            let mut sum = a.clone();
            add_scaled(&mut sum, -0.5, &b);
            assert!(sum.iter().zip(a.iter().zip(&b)).all(|(sum, (a, b))| *sum == a - 0.5 * b));
        }
    }

    #[test]
    fn what_is_not_finite_shows_in_the_length_of_its_row_alone() {
        assert!(squared_length(&[1.0, f32::NAN]).is_nan());
        assert!(squared_length(&[2.0, f32::MAX]).is_finite());
        assert_eq!(squared_length(&[0.0, f32::INFINITY]), f64::INFINITY);
    }
}
