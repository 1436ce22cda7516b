//! Convolution (kernel 5, padding 2) → max-pool 2 → ReLU, as [`crate::model::layer::ConvBlock`], by Winograd's products.
//!
//! The products of a few tiles at all points are laid down once; what becomes of them (the way back, bias, pools, ReLU) is done in
//! registers, since a tile of four outputs is two pools.

use super::over_rows::add_products;
use super::steps::{Steps, Tiles};
use super::tile::{Panels, Rows, breadth, load_vector, store_vector};
use super::winograd::{self, KERNEL, OUTPUTS, POINTS};
use pulp::{Arch, Simd};

/// The block with its weights packed.
#[derive(Debug)]
pub struct Conv {
    /// `G w`, `[C, O]` a point.
    weight: [Panels; POINTS],
    bias: Vec<f32>,
    /// `[O, C]` a point; only where the gradient of the input is wanted.
    back: Option<[Panels; POINTS]>,
}

/// What the backward reads.
#[derive(Debug, Clone, Copy)]
pub struct Passed<'a> {
    /// The input.
    pub x: &'a Steps,
    /// The output, behind dropout.
    pub y: &'a Steps,
    /// Who won in the pools.
    pub won: &'a Steps,
    /// The gradient of the output.
    pub gy: &'a Steps,
    /// The multiplier of what dropout kept.
    pub kept: f32,
}

impl Conv {
    /// Packs `W [5 · C, O]` and `b [O]`; `to_input` where the gradient of the input is wanted.
    pub fn new([weight, bias]: [&[f32]; 2], to_input: bool) -> Self {
        let (input, output) = (weight.len() / bias.len() / KERNEL, bias.len());
        let points = winograd::of_weight(weight);
        let point = |p: usize| &points[p * input * output..][..input * output];
        let none = vec![0.0; output];
        Self {
            weight: std::array::from_fn(|p| Panels::plain(point(p), output, 0, &none)),
            bias: bias.to_vec(),
            back: to_input.then(|| std::array::from_fn(|p| Panels::transposed(point(p), output))),
        }
    }

    /// Channels C of the input.
    pub fn input(&self) -> usize {
        self.weight[0].depth()
    }

    /// Channels O of the output.
    pub fn output(&self) -> usize {
        self.bias.len()
    }

    /// Numbers of W and of b.
    pub fn sizes(&self) -> [usize; 2] {
        [KERNEL * self.input() * self.output(), self.output()]
    }

    /// From the first samples of `x [B, T, C]`, so many, to `y [B, ⌊T/2⌋, O]`; where it is wanted, `won [B, ⌊T/2⌋, O]` becomes the second
    /// candidate of every pool minus the first.
    pub fn forward(&self, count: usize, x: &Steps, y: &mut Steps, mut won: Option<&mut Steps>) {
        let mut points = Vec::new();
        for tiles in Tiles::of(count, y.time()) {
            spread(x, tiles, &mut points);
            pooled(self, &points, tiles, y, won.as_deref_mut());
        }
    }

    /// Adds the gradients of W and b, and gives that of the input `[B, T, C]` where it is wanted.
    pub fn backward(&self, passed: Passed, [weight, bias]: [&mut [f32]; 2]) -> Option<Steps> {
        let (x, input) = (passed.x, self.input());
        let size = input * self.output();
        let mut gx = self.back.is_some().then(|| Steps::new(x.count(), x.time(), input));
        let (mut points, mut gpoints, mut sums) = (Vec::new(), Vec::new(), vec![0.0; POINTS * size]);
        for tiles in Tiles::of(x.count(), passed.y.time()) {
            spread(x, tiles, &mut points);
            apart(passed, tiles, &mut gpoints, bias);
            let each = points.chunks_exact(tiles.count * input).zip(gpoints.chunks_exact(tiles.count * self.output()));
            for ((points, gpoints), sums) in each.zip(sums.chunks_exact_mut(size)) {
                add_products(Rows { data: points, count: tiles.count }, gpoints, sums);
            }
            if let (Some(back), Some(gx)) = (&self.back, &mut gx) {
                gather(back, &gpoints, tiles, gx);
            }
        }
        winograd::add_to_weight(&sums, weight);
        gx
    }
}

/// `Bᵀ x` of tiles, `[8, rows, C]`.
#[pulp::with_simd(spread = Arch::new())]
#[inline(always)]
fn spread_with<S: Simd>(simd: S, x: &Steps, tiles: Tiles, points: &mut Vec<f32>) {
    let width = x.channels();
    points.resize(POINTS * tiles.count * width, 0.0);
    for (row, tile) in tiles.enumerate() {
        let steps = x.around(tile);
        for column in (0..width).step_by(S::F32_LANES) {
            let mut input = [simd.splat_f32s(0.0); POINTS];
            for (input, step) in input.iter_mut().zip(steps.chunks_exact(width)) {
                *input = load_vector(simd, &step[column..]);
            }
            for (p, point) in winograd::of_input(simd, input).into_iter().enumerate() {
                store_vector(simd, &mut points[(p * tiles.count + row) * width..][column..width], point);
            }
        }
    }
}

/// Hands `v [8, rows, K]` times the weights `[8, K, N]` to `made`: row, column, a vector a point.
#[inline(always)]
fn multiplied<S: Simd>(
    simd: S,
    weight: &[Panels; POINTS],
    points: &[f32],
    count: usize,
    mut made: impl FnMut(usize, usize, [S::f32s; POINTS]),
) {
    let (depth, width) = (weight[0].depth(), weight[0].columns());
    let mut products = vec![[[simd.splat_f32s(0.0); POINTS]; 2]; count];
    for column in (0..width).step_by(breadth::<S>()) {
        for (p, weight) in weight.iter().enumerate() {
            let rows = Rows { data: &points[p * count * depth..], count };
            weight.multiply_columns(
                simd,
                rows,
                column,
                #[inline(always)]
                |first, tile| {
                    for (product, pair) in products[first..].iter_mut().zip(tile) {
                        (product[0][p], product[1][p]) = (pair[0], pair[1]);
                    }
                },
            );
        }
        for (row, product) in products.iter().enumerate() {
            made(row, column, product[0]);
            if column + S::F32_LANES < width {
                made(row, column + S::F32_LANES, product[1]);
            }
        }
    }
}

/// The outputs of tiles, pooled and cut off at zero.
#[pulp::with_simd(pooled = Arch::new())]
#[inline(always)]
fn pooled_with<S: Simd>(
    simd: S,
    conv: &Conv,
    points: &[f32],
    tiles: Tiles,
    y: &mut Steps,
    mut won: Option<&mut Steps>,
) {
    let (width, zero) = (conv.output(), simd.splat_f32s(0.0));
    multiplied(
        simd,
        &conv.weight,
        points,
        tiles.count,
        #[inline(always)]
        |row, column, product| {
            let tile = tiles.at(row);
            let bias = load_vector(simd, &conv.bias[column..]);
            let outputs = winograd::to_output(simd, product);
            for (pool, two) in outputs.chunks_exact(2).take(y.pools(tile)).enumerate() {
                let place = tile.pool(pool);
                let larger = simd.add_f32s(simd.max_f32s(two[0], two[1]), bias);
                store_vector(simd, &mut y.step_mut(place)[column..width], simd.max_f32s(zero, larger));
                if let Some(won) = &mut won {
                    store_vector(simd, &mut won.step_mut(place)[column..width], simd.sub_f32s(two[1], two[0]));
                }
            }
        },
    );
}

/// `A ∂` of tiles, `[8, rows, O]`, for the gradients ∂ before the pools: that of the output where it was not cut off, for the candidate
/// that won (the first of two equal ones); added up to that of the bias.
#[pulp::with_simd(apart = Arch::new())]
#[inline(always)]
fn apart_with<S: Simd>(simd: S, passed: Passed<'_>, tiles: Tiles, points: &mut Vec<f32>, bias: &mut [f32]) {
    let Passed { y, won, gy, kept, .. } = passed;
    let (width, zero, kept) = (bias.len(), simd.splat_f32s(0.0), simd.splat_f32s(kept));
    points.resize(POINTS * tiles.count * width, 0.0);
    for (row, tile) in tiles.enumerate() {
        for column in (0..width).step_by(S::F32_LANES) {
            let (mut before, mut sum) = ([zero; OUTPUTS], load_vector(simd, &bias[column..]));
            for pool in 0..y.pools(tile) {
                let [y, won, gy] = [y, won, gy].map(
                    #[inline(always)]
                    |steps| load_vector(simd, &steps.step(tile.pool(pool))[column..]),
                );
                let g = simd.select_f32s(simd.greater_than_f32s(y, zero), simd.mul_f32s(gy, kept), zero);
                let second = simd.select_f32s(simd.greater_than_f32s(won, zero), g, zero);
                (before[2 * pool], before[2 * pool + 1]) = (simd.sub_f32s(g, second), second);
                sum = simd.add_f32s(sum, g);
            }
            store_vector(simd, &mut bias[column..], sum);
            for (p, point) in winograd::of_output(simd, before).into_iter().enumerate() {
                store_vector(simd, &mut points[(p * tiles.count + row) * width..][column..width], point);
            }
        }
    }
}

/// Adds the gradients of the input of tiles.
#[pulp::with_simd(gather = Arch::new())]
#[inline(always)]
fn gather_with<S: Simd>(simd: S, back: &[Panels; POINTS], points: &[f32], tiles: Tiles, gx: &mut Steps) {
    let width = gx.channels();
    multiplied(
        simd,
        back,
        points,
        tiles.count,
        #[inline(always)]
        |row, column, product| {
            let steps = gx.around_mut(tiles.at(row));
            for (step, g) in steps.chunks_exact_mut(width).zip(winograd::to_input(simd, product)) {
                let sum = simd.add_f32s(load_vector(simd, &step[column..]), g);
                store_vector(simd, &mut step[column..], sum);
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_near, numbers, on_all_vectors};
    use super::*;

    /// Samples, steps, channels in and out.
    const SHAPES: [[usize; 4]; 8] = [
        [1, 2, 1, 1],
        [1, 3, 3, 8],
        [2, 7, 8, 3],
        [9, 8, 17, 5],
        [3, 13, 2, 33],
        [1, 17, 3, 16],
        [9, 61, 4, 17],
        [40, 16, 5, 9],
    ];

    /// A block on numbers, with whatever the backward needs.
    struct Case {
        shape: [usize; 4],
        conv: Conv,
        weight: Vec<f32>,
        x: Vec<f32>,
        gy: Vec<f32>,
    }

    fn case(shape: [usize; 4]) -> Case {
        let [count, time, input, output] = shape;
        let (weight, bias) = (numbers(KERNEL * input * output, 1), numbers(output, 2));
        let (x, gy) = (numbers(count * time * input, 3), numbers(count * (time / 2) * output, 4));
        Case { shape, conv: Conv::new([&weight, &bias], true), weight, x, gy }
    }

    fn filled(count: usize, time: usize, data: &[f32]) -> Steps {
        let size = data.len() / count;
        let mut steps = Steps::new(count, time, size / time);
        data.chunks_exact(size).enumerate().for_each(|(i, data)| steps.sample_mut(i).copy_from_slice(data));
        steps
    }

    fn all(steps: &mut Steps) -> Vec<f32> {
        (0..steps.count()).flat_map(|i| steps.sample_mut(i).to_vec()).collect()
    }

    /// Output, then the gradients of input, weight and bias.
    fn passes(case: &Case) -> [Vec<f32>; 4] {
        let [count, time, input, output] = case.shape;
        let (x, gy) = (filled(count, time, &case.x), filled(count, time / 2, &case.gy));
        let (mut y, mut won) = (Steps::new(count, time / 2, output), Steps::new(count, time / 2, output));
        case.conv.forward(count, &x, &mut y, Some(&mut won));
        let (mut weight, mut bias) = (vec![0.0; KERNEL * input * output], vec![0.0; output]);
        let passed = Passed { x: &x, y: &y, won: &won, gy: &gy, kept: 1.25 };
        let gx = case.conv.backward(passed, [&mut weight, &mut bias]);
        [all(&mut y), all(&mut gx.expect("packed for it")), weight, bias]
    }

    /// The same by direct sums in f64.
    fn directly(case: &Case) -> [Vec<f64>; 4] {
        let [count, time, input, output] = case.shape;
        let pools = time / 2;
        let mut y = vec![0.0; count * pools * output];
        let (mut gx, mut weight, mut bias) = (vec![0.0; case.x.len()], vec![0.0; case.weight.len()], vec![0.0; output]);
        for sample in 0..count {
            for (pool, o) in (0..pools).flat_map(|pool| (0..output).map(move |o| (pool, o))) {
                // Numbers of the input that the kernel's step k meets at a time.
                let at = |t: usize, k: usize| (t + k).checked_sub(KERNEL / 2).filter(|t| *t < time);
                let terms = |t: usize| {
                    (0..KERNEL * input).filter_map(move |i| {
                        let place = (sample * time + at(t, i / input)?) * input + i % input;
                        Some((place, i * output + o))
                    })
                };
                let before =
                    |t: usize| terms(t).map(|(x, w)| f64::from(case.x[x]) * f64::from(case.weight[w])).sum::<f64>();
                let (first, second) = (before(2 * pool), before(2 * pool + 1));
                let place = (sample * pools + pool) * output + o;
                y[place] = (first.max(second) + f64::from(case.conv.bias[o])).max(0.0);
                let g = if y[place] > 0.0 { 1.25 * f64::from(case.gy[place]) } else { 0.0 };
                bias[o] += g;
                for (x, w) in terms(2 * pool + usize::from(second > first)) {
                    gx[x] += g * f64::from(case.weight[w]);
                    weight[w] += g * f64::from(case.x[x]);
                }
            }
        }
        [y, gx, weight, bias]
    }

    #[test]
    fn a_block_and_its_gradients_are_those_of_direct_sums() {
        for shape in SHAPES {
            let case = case(shape);
            for (what, (found, expected)) in
                ["output", "input", "weight", "bias"].iter().zip(passes(&case).iter().zip(directly(&case)))
            {
                assert_near(&format!("{shape:?}, {what}"), found, &expected, 1e-5);
            }
        }
    }

    #[test]
    fn a_sample_gives_the_same_bytes_alone_and_among_others() {
        let whole = case([9, 13, 4, 17]);
        let [count, time, input, output] = whole.shape;
        let pooled = |count: usize, x: &[f32]| {
            let mut y = Steps::new(count, time / 2, output);
            whole.conv.forward(count, &filled(count, time, x), &mut y, None);
            all(&mut y)
        };
        let alone: Vec<f32> = whole.x.chunks_exact(time * input).flat_map(|x| pooled(1, x)).collect();
        assert_eq!(pooled(count, &whole.x), alone);
    }

    #[test]
    fn any_vectors_give_the_same_bytes() {
        for shape in SHAPES {
            let case = case(shape);
            let [count, time, _, output] = shape;
            let (x, gy) = (filled(count, time, &case.x), filled(count, time / 2, &case.gy));
            on_all_vectors!(|simd| {
                let (mut y, mut won) = (Steps::new(count, time / 2, output), Steps::new(count, time / 2, output));
                let (mut points, mut gpoints, mut bias) = (Vec::new(), Vec::new(), vec![0.0; output]);
                let mut gx = Steps::new(count, time, case.conv.input());
                let mut made = Vec::new();
                for tiles in Tiles::of(count, time / 2) {
                    spread_with(simd, &x, tiles, &mut points);
                    pooled_with(simd, &case.conv, &points, tiles, &mut y, Some(&mut won));
                    let passed = Passed { x: &x, y: &y, won: &won, gy: &gy, kept: 1.25 };
                    apart_with(simd, passed, tiles, &mut gpoints, &mut bias);
                    gather_with(simd, case.conv.back.as_ref().expect("packed for it"), &gpoints, tiles, &mut gx);
                    made.extend([points.clone(), gpoints.clone()]);
                }
                made.extend([all(&mut y), all(&mut won), all(&mut gx), bias]);
                made
            });
        }
    }
}
