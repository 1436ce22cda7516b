//! Convolution (kernel 5, padding 2) → max-pool 2 → ReLU, as [`crate::model::layer::ConvBlock`], by Winograd's products.
//!
//! A tile of four outputs is two pools, so what is pooled is in registers.

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
    input: usize,
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
            input,
        }
    }

    /// Channels C of the input.
    pub fn input(&self) -> usize {
        self.input
    }

    /// Channels O of the output.
    pub fn output(&self) -> usize {
        self.bias.len()
    }

    /// Numbers of W and of b.
    pub fn sizes(&self) -> [usize; 2] {
        [KERNEL * self.input * self.output(), self.output()]
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
        let (x, size) = (passed.x, self.input * self.output());
        let mut gx = self.back.is_some().then(|| Steps::new(x.count(), x.time(), self.input));
        let (mut points, mut gpoints, mut sums) = (Vec::new(), Vec::new(), vec![0.0; POINTS * size]);
        for tiles in Tiles::of(x.count(), passed.y.time()) {
            spread(x, tiles, &mut points);
            apart(passed, tiles, &mut gpoints, bias);
            let each =
                points.chunks_exact(tiles.count * self.input).zip(gpoints.chunks_exact(tiles.count * self.output()));
            for ((points, gpoints), sums) in each.zip(sums.chunks_exact_mut(size)) {
                add_products(Rows { data: points, stride: self.input, count: tiles.count }, gpoints, sums);
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
            let rows = Rows { data: &points[p * count * depth..], stride: depth, count };
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
