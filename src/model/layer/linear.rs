//! Linear layer: `y = x W + b`.

use super::sum_into;
use crate::model::layout::{Layout, Slot};
use tch::Tensor;

/// `x [L, N, I] → [L, N, O]`; W is stored `[I, O]` (PyTorch's transposed), so that no product needs a copy.
#[derive(Debug, Clone)]
pub struct Linear {
    weight: Slot,
    bias: Slot,
}

impl Linear {
    /// Adds the layer's weights to a layout.
    pub fn new(layout: &mut Layout, name: &str, input: i64, output: i64) -> Self {
        Self {
            weight: layout.add(&format!("{name}.weight"), &[input, output], input),
            bias: layout.add(&format!("{name}.bias"), &[output], input),
        }
    }

    /// Its weight's place.
    pub fn weight(&self) -> &Slot {
        &self.weight
    }

    /// Its bias in flat rows, `[L, 1, O]`.
    pub fn bias(&self, rows: &Tensor) -> Tensor {
        self.bias.bias(rows)
    }

    /// W and b within a flat row `[P]`.
    pub fn within<'a>(&self, row: &'a [f32]) -> [&'a [f32]; 2] {
        [self.weight.within(row), self.bias.within(row)]
    }

    /// `y = x W + b`. The backward needs `x` again.
    pub fn forward(&self, weights: &Tensor, x: &Tensor) -> Tensor {
        self.bias.bias(weights).baddbmm(x, &self.weight.of(weights), 1.0, 1.0)
    }

    /// `∂W = xᵀ gy`, `∂b = Σ gy`; gives `gx = gy Wᵀ`.
    pub fn backward(&self, weights: &Tensor, x: &Tensor, gy: &Tensor, grads: &Tensor) -> Tensor {
        self.weight_gradients(x, gy, grads);
        gy.bmm(&self.weight.of(weights).transpose(1, 2))
    }

    /// As [`Linear::backward`], with `gx` added to what is there.
    pub fn backward_onto(
        &self,
        mut there: Tensor,
        weights: &Tensor,
        x: &Tensor,
        gy: &Tensor,
        grads: &Tensor,
    ) -> Tensor {
        self.weight_gradients(x, gy, grads);
        there.baddbmm_(gy, &self.weight.of(weights).transpose(1, 2))
    }

    /// Only the gradients of the weights, for a layer whose input needs none.
    pub fn weight_gradients(&self, x: &Tensor, gy: &Tensor, grads: &Tensor) {
        let _ = x.transpose(1, 2).bmm_out(&self.weight.of(grads), gy);
        sum_into(&self.bias.of(grads), gy, 1);
    }
}
