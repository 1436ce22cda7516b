//! Attention pooling, sample by sample, as [`crate::model::layer::AttentionPool`].

use super::over_rows::{add_products, add_rows};
use super::tanh::tanh;
use super::tile::{Panels, Rows, load, store};
use super::{Gradient, numbers};
use crate::model::layer::attention::{HIDDEN_HEAD, HIDDEN_STEP, Hidden};
use pulp::{Arch, Simd};
use tch::Tensor;

/// Steps that the backward takes through the hidden layer at once: what belongs to them fits into a second-level cache.
const TOGETHER: usize = 64;

/// The layer with its weights packed.
#[derive(Debug)]
pub struct Attention {
    /// `[W, U]`.
    first: Panels,
    /// `[U, K]`.
    second: Panels,
    /// `[U, W]` and `[K, U]`; only where there is a backward.
    back: Option<[Panels; 2]>,
}

/// What the backward needs of all samples.
#[derive(Debug)]
pub struct Kept {
    /// States `[B, T, W]`.
    x: Vec<f32>,
    /// Hidden layer `[B, T, U]`.
    hidden: Vec<f32>,
    /// Shares `[B, T, K]`.
    shares: Vec<f32>,
    /// 0 for hidden heads, else 1, `[B, K]`.
    heads: Vec<f32>,
}

impl Attention {
    /// Packs `W₁ [W, U]` and `W₂ [U, K]` with their biases.
    pub fn new([[first, second], [units, heads]]: [[&[f32]; 2]; 2], backward: bool) -> Self {
        Self {
            first: Panels::plain(first, units.len(), 0, units),
            second: Panels::plain(second, heads.len(), 0, heads),
            back: backward.then(|| [Panels::transposed(first, units.len()), Panels::transposed(second, heads.len())]),
        }
    }

    /// Pooled states `[1, B, K · W]` of `x [1, B, T, W]`; what a backward needs is kept where `keep` says so.
    pub fn forward(&self, x: &Tensor, shown: &Hidden, keep: bool) -> (Tensor, Option<Kept>) {
        let [count, time, width] = [x.size()[1] as usize, x.size()[2] as usize, x.size()[3] as usize];
        let (x, units, k) = (numbers(x), time * self.first.columns(), self.second.columns());
        let of = |shown: &Option<Tensor>, each: usize| shown.as_ref().map_or_else(|| vec![1.0; count * each], numbers);
        let (steps, heads) = (of(&shown.steps, time), of(&shown.heads, k));
        let kept = if keep { count } else { 1 };
        let (mut hidden, mut shares) = (vec![0.0; kept * units], vec![0.0; kept * time * k]);
        let mut pooled = vec![0.0; count * k * width];
        for (i, x) in x.chunks_exact(time * width).enumerate() {
            let at = if keep { i } else { 0 };
            let (hidden, shares) = (&mut hidden[at * units..][..units], &mut shares[at * time * k..][..time * k]);
            hide(self, x, hidden);
            self.second.product(Rows { data: hidden, count: time }, shares);
            share(shares, &steps[i * time..][..time], &heads[i * k..][..k]);
            average(shares, x, &mut pooled[i * k * width..][..k * width], k);
        }
        let pooled = Tensor::from_slice(&pooled).view([1, count as i64, (k * width) as i64]);
        (pooled, keep.then_some(Kept { x, hidden, shares, heads }))
    }

    /// The gradients of both layers, weight and bias, one after another; and that of the states `[1, B, T, W]`. `gy [1, B, K · W]`
    /// is the gradient of the pooled states.
    pub fn backward(&self, kept: Kept, gy: &Tensor) -> (Vec<f32>, Tensor) {
        let Kept { x, hidden, shares, heads } = kept;
        let (gy, units, k) = (numbers(gy), self.first.columns(), self.second.columns());
        let (rows, count) = (shares.len() / k, heads.len() / k);
        let (time, width) = (rows / count, x.len() / rows);
        let mut all = vec![0.0; (width + 1) * units + (units + 1) * k];
        let mut gradient = Gradient(&mut all);
        let [first_weight, first_bias] = [gradient.take(width * units), gradient.take(units)];
        let [second_weight, second_bias] = [gradient.take(units * k), gradient.take(k)];
        let Some([first, second]) = &self.back else { unreachable!("a backward is of weights packed for one") };
        // Two ways lead to the states: as the values that are averaged, and through the scores.
        let (mut gx, mut gscores) = (vec![0.0; x.len()], vec![0.0; rows * k]);
        for (i, gy) in gy.chunks_exact(k * width).enumerate() {
            let (x, shares) = (&x[i * time * width..][..time * width], &shares[i * time * k..][..time * k]);
            let (gx, gscores) = (&mut gx[i * time * width..][..time * width], &mut gscores[i * time * k..][..time * k]);
            Panels::plain(gy, width, 0, &vec![0.0; width]).product(Rows { data: shares, count: time }, gx);
            Panels::transposed(gy, width).product(Rows { data: x, count: time }, gscores);
            unshare(shares, &heads[i * k..][..k], gscores);
        }
        add_products(Rows { data: &hidden, count: rows }, &gscores, second_weight);
        add_rows(&gscores, second_bias);
        let (together, mut ghidden) = (TOGETHER.min(rows), vec![0.0; TOGETHER.min(rows) * units]);
        let parts = x.chunks(together * width).zip(gx.chunks_mut(together * width));
        for (i, (x, gx)) in parts.enumerate() {
            let (first_row, count) = (i * together, x.len() / width);
            let (hidden, ghidden) = (&hidden[first_row * units..][..count * units], &mut ghidden[..count * units]);
            unhide(second, &gscores[first_row * k..][..count * k], hidden, ghidden);
            add_products(Rows { data: x, count }, ghidden, first_weight);
            add_rows(ghidden, first_bias);
            first.add_product(Rows { data: ghidden, count }, gx);
        }
        let gx = Tensor::from_slice(&gx).view([1, count as i64, time as i64, width as i64]);
        (all, gx)
    }
}

/// `tanh(x W₁ + b₁)`, `[T, U]`, of a sample `x [T, W]`.
#[pulp::with_simd(hide = Arch::new())]
#[inline(always)]
fn hide_with<S: Simd>(simd: S, attention: &Attention, x: &[f32], hidden: &mut [f32]) {
    let units = attention.first.columns();
    let count = hidden.len() / units;
    attention.first.multiply(
        simd,
        Rows { data: x, count },
        #[inline(always)]
        |first, column, tile| {
            for (row, pair) in (first..).zip(tile) {
                let pair = [tanh(simd, pair[0]), tanh(simd, pair[1])];
                store(simd, &mut hidden[row * units..][column..units], pair);
            }
        },
    );
}

/// The gradient of the hidden layer's sums, `[T, U]`, of that of the scores `[T, K]`: back through the second layer and the tanh
/// that gave `hidden`.
#[pulp::with_simd(unhide = Arch::new())]
#[inline(always)]
fn unhide_with<S: Simd>(simd: S, second: &Panels, gscores: &[f32], hidden: &[f32], ghidden: &mut [f32]) {
    let (units, one) = (second.columns(), simd.splat_f32s(1.0));
    second.multiply(
        simd,
        Rows { data: gscores, count: hidden.len() / units },
        #[inline(always)]
        |first, column, tile| {
            for (row, pair) in (first..).zip(tile) {
                let place = row * units + column..(row + 1) * units;
                let hidden = load(simd, &hidden[place.clone()]);
                let g = [0, 1].map(
                    #[inline(always)]
                    |v| simd.mul_f32s(pair[v], simd.negate_mul_add_f32s(hidden[v], hidden[v], one)),
                );
                store(simd, &mut ghidden[place], g);
            }
        },
    );
}

/// Makes shares of scores `[T, K]`: a softmax over the steps, head by head, with nothing for hidden steps.
fn share(scores: &mut [f32], steps: &[f32], heads: &[f32]) {
    for (k, &head) in heads.iter().enumerate() {
        let at = |t: usize| t * heads.len() + k;
        let mut most = f32::NEG_INFINITY;
        for (t, &step) in steps.iter().enumerate() {
            let score = &mut scores[at(t)];
            if step == 0.0 {
                *score = HIDDEN_STEP;
            } else if head == 0.0 {
                *score = HIDDEN_HEAD;
            }
            most = most.max(*score);
        }
        let mut sum = 0.0;
        for t in 0..steps.len() {
            scores[at(t)] = (scores[at(t)] - most).exp();
            sum += scores[at(t)];
        }
        for (t, &step) in steps.iter().enumerate() {
            scores[at(t)] *= step / sum;
        }
    }
}

/// Back through the softmax: the gradient of the shares `[T, K]` becomes that of the scores, nothing for hidden heads.
fn unshare(shares: &[f32], heads: &[f32], g: &mut [f32]) {
    for (k, &head) in heads.iter().enumerate() {
        let column = (k..shares.len()).step_by(heads.len());
        let sum: f32 = column.clone().map(|i| shares[i] * g[i]).sum();
        for i in column {
            g[i] = if head == 0.0 { 0.0 } else { shares[i] * (g[i] - sum) };
        }
    }
}

/// `y [K, W] = sharesᵀ x` for shares `[T, K]` and `x [T, W]`.
#[pulp::with_simd(average = Arch::new())]
#[inline(always)]
fn average_with<S: Simd>(_simd: S, shares: &[f32], x: &[f32], y: &mut [f32], heads: usize) {
    let width = y.len() / heads;
    for (shares, x) in shares.chunks_exact(heads).zip(x.chunks_exact(width)) {
        for (&share, y) in shares.iter().zip(y.chunks_exact_mut(width)) {
            for (y, &x) in y.iter_mut().zip(x) {
                *y = share.mul_add(x, *y);
            }
        }
    }
}
