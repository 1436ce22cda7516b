//! Convolution (kernel 5, padding 2) → max-pool 2 → ReLU of one sample, as [`crate::model::layer::ConvBlock`].

use super::tile::{Panels, Rows, add_products, store};
use pulp::{Arch, Simd};

/// Steps of zeros on either side.
pub const PADDING: usize = 2;
const KERNEL: usize = 2 * PADDING + 1;

/// The block with its weights packed.
#[derive(Debug)]
pub struct Conv {
    /// `[5 · C, O]`: a window is a row, so nothing is copied.
    weight: Panels,
    /// `[5 · O, C]`, which takes windows of the output's gradient to the input's; only where that is wanted.
    back: Option<Panels>,
    input: usize,
}

impl Conv {
    /// Packs `W [5 · C, O]` and `b [O]`; `to_input` where the gradient of the input is wanted.
    pub fn new([weight, bias]: [&[f32]; 2], to_input: bool) -> Self {
        let (input, output) = (weight.len() / bias.len() / KERNEL, bias.len());
        let flipped = |row: usize, column: usize| {
            let (step, channel) = (row / output, row % output);
            weight[((KERNEL - 1 - step) * input + column) * output + channel]
        };
        Self {
            weight: Panels::plain(weight, output, 0, bias),
            back: to_input.then(|| Panels::new(KERNEL * output, &vec![0.0; input], flipped)),
            input,
        }
    }

    /// Channels C of the input.
    pub fn input(&self) -> usize {
        self.input
    }

    /// Channels O of the output.
    pub fn output(&self) -> usize {
        self.weight.columns()
    }

    /// Numbers of W and of b.
    pub fn sizes(&self) -> [usize; 2] {
        [KERNEL * self.input * self.output(), self.output()]
    }

    /// Numbers of a sample of `time` steps with the zeros around.
    pub fn padded(channels: usize, time: usize) -> usize {
        (time + 2 * PADDING) * channels
    }

    /// From `x [time + 4, C]` to `y [⌊time/2⌋ + 4, O]`, both with zeros around; `won [⌊time/2⌋, O]` becomes the second
    /// candidate of every pool minus the first.
    pub fn forward(&self, x: &[f32], y: &mut [f32], won: Option<&mut [f32]>) {
        pooled(self, x, inner(y, self.output()), won);
    }

    /// Adds a sample's gradients to those of W and b, and gives that of the input `[time, C]` where it is wanted, else nothing.
    pub fn backward(&self, sample: Sample, [weight, bias]: [&mut [f32]; 2]) -> Vec<f32> {
        let width = self.output();
        let time = sample.x.len() / self.input - 2 * PADDING;
        let mut pairs = vec![0.0; Self::padded(width, time)];
        apart(&sample, inner(&mut pairs, width), bias);
        let count = 2 * (sample.gy.len() / width);
        let rows = Rows { data: sample.x, stride: self.input, count };
        add_products(rows, &pairs[PADDING * width..][..count * width], weight);
        let Some(back) = &self.back else { return Vec::new() };
        let mut gx = vec![0.0; time * self.input];
        back.product(Rows { data: &pairs, stride: width, count: time }, &mut gx);
        gx
    }
}

/// What the backward of one sample reads.
#[derive(Debug, Clone, Copy)]
pub struct Sample<'a> {
    /// The input, with zeros around.
    pub x: &'a [f32],
    /// The output, behind dropout.
    pub y: &'a [f32],
    /// Who won in the pools.
    pub won: &'a [f32],
    /// The gradient of the output.
    pub gy: &'a [f32],
    /// The multiplier of what dropout kept.
    pub kept: f32,
}

/// The steps of a sample without the zeros around it.
pub fn inner(padded: &mut [f32], channels: usize) -> &mut [f32] {
    let around = PADDING * channels;
    let end = padded.len() - around;
    &mut padded[around..end]
}

#[pulp::with_simd(pooled = Arch::new())]
#[inline(always)]
fn pooled_with<S: Simd>(simd: S, conv: &Conv, x: &[f32], steps: &mut [f32], mut won: Option<&mut [f32]>) {
    let width = conv.output();
    let rows = Rows { data: x, stride: conv.input, count: 2 * (steps.len() / width) };
    let zero = simd.splat_f32s(0.0);
    conv.weight.multiply(
        simd,
        rows,
        #[inline(always)]
        |first, column, tile| {
            for (i, two) in tile.chunks_exact(2).enumerate() {
                let (a, b, at) = (two[0], two[1], first / 2 + i);
                let place = at * width + column..(at + 1) * width;
                let larger = [simd.max_f32s(a[0], b[0]), simd.max_f32s(a[1], b[1])];
                let cut = [simd.max_f32s(zero, larger[0]), simd.max_f32s(zero, larger[1])];
                store(simd, &mut steps[place.clone()], cut);
                if let Some(won) = &mut won {
                    store(simd, &mut won[place], [simd.sub_f32s(b[0], a[0]), simd.sub_f32s(b[1], a[1])]);
                }
            }
        },
    );
}

/// The gradient before the pool: that of the output where it was not cut off, for the candidate that won (the first of two
/// equal ones); added up to that of the bias.
#[pulp::with_simd(apart = Arch::new())]
#[inline(always)]
fn apart_with<S: Simd>(_simd: S, sample: &Sample<'_>, pairs: &mut [f32], bias: &mut [f32]) {
    let width = bias.len();
    let steps = sample.y.chunks_exact(width).zip(sample.won.chunks_exact(width)).zip(sample.gy.chunks_exact(width));
    for (((y, won), gy), pair) in steps.zip(pairs.chunks_exact_mut(2 * width)) {
        let (first, second) = pair.split_at_mut(width);
        for i in 0..width {
            let g = if y[i] > 0.0 { gy[i] * sample.kept } else { 0.0 };
            second[i] = if won[i] > 0.0 { g } else { 0.0 };
            first[i] = g - second[i];
            bias[i] += g;
        }
    }
}
