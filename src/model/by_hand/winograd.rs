//! Winograd's F(4, 5): four outputs of a kernel of five steps by eight multiplications instead of twenty.
//!
//! ```text
//! y = Aᵀ [(G w) ⊙ (Bᵀ x)]    x: 8 steps, w: 5 weights, y: 4 outputs, y_t = Σ_k w_k x_{t+k}
//! ```
//!
//! Polynomials are multiplied by their values at the points 0, ±1, ±2, ±1/2 and ∞ (Lavin and Gray, "Fast Algorithms for
//! Convolutional Neural Networks", 2016). Summed over channels, ⊙ is a matrix product a point. The gradients pass through the same
//! matrices: `∂(G w) = (Bᵀ x) ⊙ (A ∂y)` and `∂x = B [(G w) ⊙ (A ∂y)]`. In f32 the error is two to four times that of direct sums
//! for steps of one scale (`tests/fixtures/winograd.py`); beside an outlier it is relative to that, in all outputs of the tile.

use pulp::{Arch, Simd};

/// Steps of a kernel.
pub const KERNEL: usize = 5;
/// Outputs of a tile.
pub const OUTPUTS: usize = 4;
/// Points, and steps of the input that a tile reads.
pub const POINTS: usize = OUTPUTS + KERNEL - 1;

/// G, a row a point.
const G: [[f32; KERNEL]; POINTS] = [
    [1.0, 0.0, 0.0, 0.0, 0.0],
    powers(-2.0 / 9.0, 1.0),
    powers(-2.0 / 9.0, -1.0),
    powers(1.0 / 90.0, 2.0),
    powers(1.0 / 90.0, -2.0),
    powers(32.0 / 45.0, 0.5),
    powers(32.0 / 45.0, -0.5),
    [0.0, 0.0, 0.0, 0.0, 1.0],
];
// Bᵀ. The rows of two points ±p have the same coefficients of even steps and opposite ones of odd steps.
/// Of steps 2, 4 and 6 at the points 1, 2 and 1/2.
const B_EVEN: [[f32; 3]; 3] = [[1.0, -4.25, 1.0], [0.25, -1.25, 1.0], [4.0, -5.0, 1.0]];
/// Of steps 1, 3 and 5.
const B_ODD: [[f32; 3]; 3] = [[1.0, -4.25, 1.0], [0.5, -2.5, 2.0], [2.0, -2.5, 0.5]];
/// Of steps 4 and 2 (negative) at 0, and of steps 3 and 5 (negative) at ∞.
const B_ENDS: f32 = 5.25;
/// Aᵀ: p², and p and p³, at the points 1, 2 and 1/2.
const A_EVEN: [f32; 3] = [1.0, 4.0, 0.25];
const A_ODD: [[f32; 3]; 2] = [[1.0, 2.0, 0.5], [1.0, 8.0, 0.125]];

const fn powers(first: f32, p: f32) -> [f32; KERNEL] {
    [first, first * p, first * p * p, first * p * p * p, first * p * p * p * p]
}

/// `Bᵀ x`.
#[inline(always)]
pub fn of_input<S: Simd>(simd: S, x: [S::f32s; POINTS]) -> [S::f32s; POINTS] {
    let mut v = x;
    v[0] = ends(simd, [x[0], x[2], x[4], x[6]]);
    v[7] = ends(simd, [x[7], x[5], x[3], x[1]]);
    for i in 0..3 {
        let even = dot(simd, B_EVEN[i], [x[2], x[4], x[6]]);
        let odd = dot(simd, B_ODD[i], [x[1], x[3], x[5]]);
        (v[1 + 2 * i], v[2 + 2 * i]) = (simd.add_f32s(even, odd), simd.sub_f32s(even, odd));
    }
    v
}

/// `B v`, the transpose of [`of_input`].
#[inline(always)]
pub fn to_input<S: Simd>(simd: S, v: [S::f32s; POINTS]) -> [S::f32s; POINTS] {
    let (even, odd) = halves(simd, v);
    let (first, last) = (simd.mul_f32s(v[0], simd.splat_f32s(B_ENDS)), simd.mul_f32s(v[7], simd.splat_f32s(B_ENDS)));
    let column = |of: [[f32; 3]; 3], step: usize| [of[0][step], of[1][step], of[2][step]];
    let mut x = v;
    x[2] = simd.sub_f32s(dot(simd, column(B_EVEN, 0), even), first);
    x[4] = simd.add_f32s(dot(simd, column(B_EVEN, 1), even), first);
    x[6] = simd.sub_f32s(dot(simd, column(B_EVEN, 2), even), v[0]);
    x[1] = simd.sub_f32s(dot(simd, column(B_ODD, 0), odd), v[7]);
    x[3] = simd.add_f32s(dot(simd, column(B_ODD, 1), odd), last);
    x[5] = simd.sub_f32s(dot(simd, column(B_ODD, 2), odd), last);
    x
}

/// `Aᵀ m`.
#[inline(always)]
pub fn to_output<S: Simd>(simd: S, m: [S::f32s; POINTS]) -> [S::f32s; OUTPUTS] {
    let (even, odd) = halves(simd, m);
    [
        simd.add_f32s(dot(simd, [1.0; 3], even), m[0]),
        dot(simd, A_ODD[0], odd),
        dot(simd, A_EVEN, even),
        simd.add_f32s(dot(simd, A_ODD[1], odd), m[7]),
    ]
}

/// `A y`, the transpose of [`to_output`].
#[inline(always)]
pub fn of_output<S: Simd>(simd: S, y: [S::f32s; OUTPUTS]) -> [S::f32s; POINTS] {
    let mut m = [y[0]; POINTS];
    m[7] = y[3];
    for i in 0..3 {
        let even = simd.mul_add_f32s(y[2], simd.splat_f32s(A_EVEN[i]), y[0]);
        let odd = simd.mul_f32s(y[1], simd.splat_f32s(A_ODD[0][i]));
        let odd = simd.mul_add_f32s(y[3], simd.splat_f32s(A_ODD[1][i]), odd);
        (m[1 + 2 * i], m[2 + 2 * i]) = (simd.add_f32s(even, odd), simd.sub_f32s(even, odd));
    }
    m
}

/// `G w` for weights `[5, N]`: `[8, N]`.
pub fn of_weight(weight: &[f32]) -> Vec<f32> {
    let size = weight.len() / KERNEL;
    let mut points = vec![0.0; POINTS * size];
    for (g, point) in G.iter().zip(points.chunks_exact_mut(size)) {
        for (&g, weight) in g.iter().zip(weight.chunks_exact(size)) {
            add_times(point, g, weight);
        }
    }
    points
}

/// Adds `Gᵀ u` to weights `[5, N]` for `u [8, N]`, the transpose of [`of_weight`].
pub fn add_to_weight(points: &[f32], weight: &mut [f32]) {
    let size = weight.len() / KERNEL;
    for (k, weight) in weight.chunks_exact_mut(size).enumerate() {
        for (g, point) in G.iter().zip(points.chunks_exact(size)) {
            add_times(weight, g[k], point);
        }
    }
}

#[pulp::with_simd(add_times = Arch::new())]
#[inline(always)]
fn add_times_with<S: Simd>(_simd: S, sums: &mut [f32], factor: f32, x: &[f32]) {
    for (sum, x) in sums.iter_mut().zip(x) {
        *sum = factor.mul_add(*x, *sum);
    }
}

/// Sums and differences of the values at ±1, ±2 and ±1/2.
#[inline(always)]
fn halves<S: Simd>(simd: S, v: [S::f32s; POINTS]) -> ([S::f32s; 3], [S::f32s; 3]) {
    let (mut even, mut odd) = ([v[0]; 3], [v[0]; 3]);
    for i in 0..3 {
        let (plus, minus) = (v[1 + 2 * i], v[2 + 2 * i]);
        (even[i], odd[i]) = (simd.add_f32s(plus, minus), simd.sub_f32s(plus, minus));
    }
    (even, odd)
}

/// `a + 5.25 (c − b) − d`.
#[inline(always)]
fn ends<S: Simd>(simd: S, [a, b, c, d]: [S::f32s; 4]) -> S::f32s {
    simd.mul_add_f32s(simd.sub_f32s(c, b), simd.splat_f32s(B_ENDS), simd.sub_f32s(a, d))
}

#[inline(always)]
fn dot<S: Simd>(simd: S, a: [f32; 3], b: [S::f32s; 3]) -> S::f32s {
    let sum = simd.mul_f32s(simd.splat_f32s(a[0]), b[0]);
    let sum = simd.mul_add_f32s(simd.splat_f32s(a[1]), b[1], sum);
    simd.mul_add_f32s(simd.splat_f32s(a[2]), b[2], sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pulp::Scalar;

    /// Numbers that repeat in no pattern of a tile.
    fn numbers<const N: usize>(seed: f32) -> [f32; N] {
        std::array::from_fn(|i| ((i as f32 + seed) * 2.399_963).sin())
    }

    fn dot_of(a: &[f32], b: &[f32]) -> f64 {
        a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
    }

    #[test]
    fn four_outputs_are_those_of_direct_sums() {
        let (x, w) = (numbers::<POINTS>(1.0), numbers::<KERNEL>(20.0));
        let (u, v) = (of_weight(&w), of_input(Scalar, x));
        let y = to_output(Scalar, std::array::from_fn(|p| u[p] * v[p]));
        for (t, y) in y.into_iter().enumerate() {
            let direct = dot_of(&w, &x[t..]);
            assert!((f64::from(y) - direct).abs() < 2e-6, "output {t}: {y}, directly {direct}");
        }
    }

    #[test]
    fn the_ways_back_are_the_transposes() {
        let (x, v, y) = (numbers::<POINTS>(3.0), numbers::<POINTS>(40.0), numbers::<OUTPUTS>(60.0));
        let pairs = [
            (dot_of(&of_input(Scalar, x), &v), dot_of(&x, &to_input(Scalar, v))),
            (dot_of(&to_output(Scalar, v), &y), dot_of(&v, &of_output(Scalar, y))),
        ];
        let w = numbers::<KERNEL>(80.0);
        let mut back = [0.0; KERNEL];
        add_to_weight(&v, &mut back);
        let weights = (dot_of(&of_weight(&w), &v), dot_of(&w, &back));
        for (there, back) in pairs.into_iter().chain([weights]) {
            assert!((there - back).abs() < 1e-5, "{there} is not {back}");
        }
    }
}
