//! Attention pooling, sample by sample.

use super::numbers;
use super::tanh::tanh;
use super::tile::{Panels, Rows, store};
use crate::model::layer::attention::{HIDDEN_HEAD, HIDDEN_STEP};
use pulp::{Arch, Simd};
use tch::Tensor;

/// The layer, as [`crate::model::layer::AttentionPool`].
#[derive(Debug)]
pub struct Attention {
    /// `[W, U]`.
    pub first: Panels,
    /// `[U, K]`.
    pub second: Panels,
}

impl Attention {
    /// Pooled states `[1, B, K · W]` of `x [1, B, T, W]`; `steps` is 0 for hidden steps, else 1, `[1, B, T]`, and `heads` likewise
    /// `[1, B, K]`.
    pub fn forward(&self, x: &Tensor, steps: Option<&Tensor>, heads: Option<&Tensor>) -> Tensor {
        let [count, time, width] = [x.size()[1] as usize, x.size()[2] as usize, x.size()[3] as usize];
        let k = self.second.columns();
        let shown = |shown: Option<&Tensor>, each: usize| shown.map_or_else(|| vec![1.0; count * each], numbers);
        let (steps, heads) = (shown(steps, time), shown(heads, k));
        let mut hidden = vec![0.0; time * self.first.columns()];
        let mut scores = vec![0.0; time * k];
        let mut pooled = vec![0.0; count * k * width];
        for (i, x) in numbers(x).chunks_exact(time * width).enumerate() {
            scored(self, x, &mut hidden, &mut scores);
            share(&mut scores, &steps[i * time..][..time], &heads[i * k..][..k]);
            average(&scores, x, &mut pooled[i * k * width..][..k * width], k);
        }
        Tensor::from_slice(&pooled).view([1, count as i64, (k * width) as i64])
    }
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

/// The scores `[T, K]` of a sample `x [T, W]`.
#[pulp::with_simd(scored = Arch::new())]
#[inline(always)]
fn scored_with<S: Simd>(simd: S, attention: &Attention, x: &[f32], hidden: &mut [f32], scores: &mut [f32]) {
    let (units, heads) = (attention.first.columns(), attention.second.columns());
    let count = scores.len() / heads;
    attention.first.multiply(
        simd,
        Rows { data: x, stride: x.len() / count, count },
        #[inline(always)]
        |first, column, tile| {
            for (row, pair) in (first..).zip(tile) {
                let pair = [tanh(simd, pair[0]), tanh(simd, pair[1])];
                store(simd, &mut hidden[row * units + column..(row + 1) * units], pair);
            }
        },
    );
    attention.second.multiply(
        simd,
        Rows { data: hidden, stride: units, count },
        #[inline(always)]
        |first, column, tile| {
            for (row, &pair) in (first..).zip(tile) {
                store(simd, &mut scores[row * heads + column..(row + 1) * heads], pair);
            }
        },
    );
}

/// `y [K, W] = sharesᵀ x` for shares `[T, K]` and `x [T, W]`.
#[pulp::with_simd(average = Arch::new())]
#[inline(always)]
fn average_with<S: Simd>(_simd: S, shares: &[f32], x: &[f32], y: &mut [f32], heads: usize) {
    let width = y.len() / heads;
    y.fill(0.0);
    for (shares, x) in shares.chunks_exact(heads).zip(x.chunks_exact(width)) {
        for (&share, y) in shares.iter().zip(y.chunks_exact_mut(width)) {
            for (y, &x) in y.iter_mut().zip(x) {
                *y = share.mul_add(x, *y);
            }
        }
    }
}
