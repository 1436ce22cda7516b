//! One block of the reference's encoder: convolution (kernel 5, padding 2) → ReLU → max-pool 2 → dropout, in one layer.
//!
//! `x [L, B, T, C] → [L, B, ⌊T/2⌋, O]`, channels last. Because `relu(max(a, b)) = max(relu(a), relu(b))`, the pool comes
//! first, and bias and ReLU work on half the values. The backward reads from the output what was not cut off, and from
//! the pairs which of the two won (the first on a tie, as PyTorch's max-pool).

use super::Masks;
use crate::model::layout::{Layout, Slot};

use tch::{Kind, Tensor};

const KERNEL: i64 = 5;
const PADDING: i64 = 2;

/// The block. W is stored `[5 · C, O]`: the rows of PyTorch's `[O, C, 5]` in the order of a window's memory.
#[derive(Debug, Clone)]
pub struct ConvBlock {
    weight: Slot,
    bias: Slot,
    input: i64,
    output: i64,
}

/// What the backward needs.
#[derive(Debug)]
pub struct Saved {
    windows: Tensor,
    /// Both candidates of every pool, without the bias, `[L, B, ⌊T/2⌋, 2, O]`; the backward works in their place.
    pairs: Tensor,
    output: Tensor,
    /// The multiplier of what dropout keeps.
    kept: f64,
    time: i64,
}

impl ConvBlock {
    /// Adds the block's weights to a layout.
    pub fn new(layout: &mut Layout, name: &str, input: i64, output: i64) -> Self {
        let fan = KERNEL * input;
        Self {
            weight: layout.add(&format!("{name}.weight"), &[fan, output], fan),
            bias: layout.add(&format!("{name}.bias"), &[output], fan),
            input,
            output,
        }
    }

    /// Units that dropout decides on, a sample of `time` steps.
    pub fn units(&self, time: i64) -> i64 {
        time / 2 * self.output
    }

    /// Numbers that a step keeps and makes, a sample of `time` steps.
    pub fn activations(&self, time: i64) -> i64 {
        time * (2 * KERNEL * self.input + 4 * self.output)
    }

    /// W and b within a flat row `[P]`.
    pub fn within<'a>(&self, row: &'a [f32]) -> [&'a [f32]; 2] {
        [self.weight.within(row), self.bias.within(row)]
    }

    /// Its first weight, where all gradients of an encoder that begins with it are written.
    pub fn first(&self) -> &Slot {
        &self.weight
    }

    /// Forward; `valid [L, B, ⌊T/2⌋]` is 0 beyond a sample's length, so that padding stays as good as absent.
    pub fn forward(
        &self,
        weights: &Tensor,
        x: &Tensor,
        masks: Option<&Masks>,
        valid: Option<&Tensor>,
    ) -> (Tensor, Saved) {
        let [lanes, batch, time] = [x.size()[0], x.size()[1], x.size()[2]];
        let half = time / 2;
        let windows = self.windows(x, half * 2);
        let pairs = windows.bmm(&self.weight.of(weights)).view([lanes, batch, half, 2, self.output]);
        let mut output = pairs.select(3, 0).maximum(&pairs.select(3, 1));
        let _ = output.g_add_(&self.bias.of(weights).view([lanes, 1, 1, self.output])).relu_();
        if let Some(masks) = masks {
            output *= masks.take(&[batch, half, self.output]);
        }
        if let Some(valid) = valid {
            output *= valid.unsqueeze(-1);
        }
        let kept = masks.map_or(1.0, Masks::kept);
        (output.shallow_clone(), Saved { windows, pairs, output, kept, time })
    }

    /// Backward; the gradient of the input is only computed where it is wanted.
    pub fn backward(
        &self,
        weights: &Tensor,
        saved: Saved,
        gy: &Tensor,
        grads: &Tensor,
        want_input: bool,
    ) -> Option<Tensor> {
        let [lanes, batch, half] = [gy.size()[0], gy.size()[1], gy.size()[2]];
        let mut gated = saved.output.threshold_backward(gy, 0.0);
        if saved.kept != 1.0 {
            gated *= saved.kept;
        }
        let _ = gated.sum_intlist_out(&self.bias.of(grads), [1, 2].as_slice(), false, Kind::Float);
        let (first, mut second) = (saved.pairs.select(3, 0), saved.pairs.select(3, 1));
        second -= &first;
        let _ = second.threshold_backward_grad_input(&second, &gated, 0.0);
        let _ = gated.subtract_out(&first, &second);
        let rows = saved.pairs.view([lanes, batch * half * 2, self.output]);
        let _ = saved.windows.transpose(1, 2).bmm_out(&self.weight.of(grads), &rows);
        want_input.then(|| {
            let windows = rows.bmm(&self.weight.of(weights).transpose(1, 2));
            self.scatter(&windows.view([lanes, batch, half * 2, KERNEL, self.input]), saved.time)
        })
    }

    /// Windows `[L, B · steps, 5 · C]` of the first `steps` positions: one strided copy.
    fn windows(&self, x: &Tensor, steps: i64) -> Tensor {
        let [lanes, batch, time] = [x.size()[0], x.size()[1], x.size()[2]];
        let (c, padded) = (self.input, time + 2 * PADDING);
        let x = x.constant_pad_nd([0, 0, PADDING, PADDING]);
        x.as_strided([lanes, batch, steps, KERNEL * c], [batch * padded * c, padded * c, c, 1], None)
            .contiguous()
            .view([lanes, batch * steps, KERNEL * c])
    }

    /// Adds window gradients `[L, B, steps, 5, C]` back to the positions they were read from: `[L, B, time, C]`.
    fn scatter(&self, windows: &Tensor, time: i64) -> Tensor {
        let [lanes, batch, steps] = [windows.size()[0], windows.size()[1], windows.size()[2]];
        let padded = Tensor::zeros([lanes, batch, time + 2 * PADDING, self.input], (Kind::Float, windows.device()));
        for k in 0..KERNEL {
            let _ = padded.narrow(2, k, steps).g_add_(&windows.select(3, k));
        }
        padded.narrow(2, PADDING, time)
    }
}
