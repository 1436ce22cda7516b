//! Structured self-attentive pooling over time (Lin et al., ICLR 2017): K weighted means of a sequence.
//!
//! ```text
//! S = tanh(x W₁ + b₁) W₂ + b₂   [T, K]      P = softmax over T of S      y = Pᵀ x   [K, H], flattened
//! ```
//!
//! Steps that are not valid (padding, an absent modality) get the score −10⁵ and weight 0; a sample without any valid step
//! gives y = 0, so that nothing absent ever reaches the prediction.

use super::Linear;
use crate::model::layout::Layout;
use tch::{Kind, Tensor};

const HIDDEN_SCORE: f64 = -1e5;

/// `x [L, B, T, H] → [L, B, K · H]`.
#[derive(Debug, Clone)]
pub struct AttentionPool {
    first: Linear,
    second: Linear,
    heads: i64,
}

/// What the backward needs.
#[derive(Debug)]
pub struct Saved {
    x: Tensor,
    hidden: Tensor,
    shares: Tensor,
}

impl AttentionPool {
    /// Adds the layer's weights to a layout.
    pub fn new(layout: &mut Layout, width: i64, units: i64, heads: i64) -> Self {
        let first = Linear::new(layout, "first", width, units);
        let second = Linear::new(layout, "second", units, heads);
        Self { first, second, heads }
    }

    /// Forward; `valid [L, B, T]` is 1 or 0, `None` when every step is valid.
    pub fn forward(&self, weights: &Tensor, x: Tensor, valid: Option<&Tensor>) -> (Tensor, Saved) {
        let [lanes, batch, time, width] = dims(&x);
        let hidden = self.first.forward(weights, &x.view([lanes, batch * time, width])).tanh_();
        let scores = self.second.forward(weights, &hidden).view([lanes, batch, time, self.heads]);
        let shares = match valid {
            None => scores.softmax(2, Kind::Float),
            Some(valid) => {
                let valid = valid.unsqueeze(-1);
                scores.masked_fill(&valid.eq(0.0), HIDDEN_SCORE).softmax(2, Kind::Float) * valid
            }
        };
        let pooled = flat(&shares).transpose(1, 2).bmm(&flat(&x));
        (pooled.view([lanes, batch, self.heads * width]), Saved { x, hidden, shares })
    }

    /// Backward.
    pub fn backward(&self, weights: &Tensor, saved: Saved, gy: &Tensor, grads: &Tensor) -> Tensor {
        let Saved { x, hidden, shares } = saved;
        let [lanes, batch, time, width] = dims(&x);
        let gy = gy.contiguous().view([lanes * batch, self.heads, width]);
        let gshares = flat(&x).bmm(&gy.transpose(1, 2));
        let weighted = flat(&shares) * gshares;
        let gscores = &weighted - flat(&shares) * weighted.sum_dim_intlist([1].as_slice(), true, Kind::Float);
        let gscores = gscores.view([lanes, batch * time, self.heads]);
        let ghidden = self.second.backward(weights, &hidden, &gscores, grads);
        let _ = Tensor::tanh_backward_grad_input(&ghidden, &ghidden, &hidden);
        // Two ways lead to the states: as the values that are averaged, and through the scores.
        let gx = flat(&shares).bmm(&gy).view([lanes, batch * time, width]);
        let gx = self.first.backward_onto(gx, weights, &x.view([lanes, batch * time, width]), &ghidden, grads);
        gx.view([lanes, batch, time, width])
    }
}

/// `[L, B, T, W] → [L · B, T, W]`.
fn flat(x: &Tensor) -> Tensor {
    let [lanes, batch, time, width] = dims(x);
    x.view([lanes * batch, time, width])
}

fn dims(x: &Tensor) -> [i64; 4] {
    let size = x.size();
    [size[0], size[1], size[2], size[3]]
}
