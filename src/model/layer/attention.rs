//! Structured self-attentive pooling over time (Lin et al., ICLR 2017): K weighted means of a sequence.
//!
//! ```text
//! S = tanh(x W₁ + b₁) W₂ + b₂   [T, K]      P = softmax over T of S      y = Pᵀ x   [K, H], flattened
//! ```
//!
//! Hidden steps (padding, an absent modality) get the score −10³⁰ and weight 0; a sample without any other step gives y = 0, so
//! that nothing absent ever reaches the prediction. Hidden heads get the score −10⁵ everywhere: the plain mean.

use super::Linear;
use crate::model::layout::{Layout, Slot};
use tch::{Kind, Tensor};

/// Score of a hidden step.
pub const HIDDEN_STEP: f32 = -1e30;
/// Score of a hidden head.
pub const HIDDEN_HEAD: f32 = -1e5;

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
    hidden_heads: Option<Tensor>,
}

/// What takes no part; `None` where all do.
#[derive(Debug, Default)]
pub struct Hidden {
    /// 0 for hidden steps, else 1, `[L, B, T]`.
    pub steps: Option<Tensor>,
    /// 0 for hidden heads, else 1, `[L, B, K]`.
    pub heads: Option<Tensor>,
}

impl AttentionPool {
    /// Adds the layer's weights to a layout.
    pub fn new(layout: &mut Layout, width: i64, units: i64, heads: i64) -> Self {
        let first = Linear::new(layout, "first", width, units);
        let second = Linear::new(layout, "second", units, heads);
        Self { first, second, heads }
    }

    /// The weights of both layers within a flat row `[P]`, and their biases.
    pub fn within<'a>(&self, row: &'a [f32]) -> [[&'a [f32]; 2]; 2] {
        let ([first, units], [second, heads]) = (self.first.within(row), self.second.within(row));
        [[first, second], [units, heads]]
    }

    /// Its first weight, where all its gradients are written.
    pub fn first(&self) -> &Slot {
        self.first.weight()
    }

    /// Number of heads K.
    pub fn heads(&self) -> i64 {
        self.heads
    }

    /// Forward.
    pub fn forward(&self, weights: &Tensor, x: Tensor, Hidden { steps, heads }: Hidden) -> (Tensor, Saved) {
        let [lanes, batch, time, width] = dims(&x);
        let hidden_heads = heads.map(|heads| heads.eq(0.0).unsqueeze(2));
        let hidden = self.first.forward(weights, &x.view([lanes, batch * time, width])).tanh_();
        let scores = self.second.forward(weights, &hidden).view([lanes, batch, time, self.heads]);
        let scores = match &hidden_heads {
            None => scores,
            Some(heads) => scores.masked_fill(heads, f64::from(HIDDEN_HEAD)),
        };
        let shares = match steps {
            None => scores.softmax(2, Kind::Float),
            Some(steps) => {
                let steps = steps.unsqueeze(-1);
                scores.masked_fill(&steps.eq(0.0), f64::from(HIDDEN_STEP)).softmax(2, Kind::Float) * steps
            }
        };
        let pooled = flat(&shares).transpose(1, 2).bmm(&flat(&x));
        (pooled.view([lanes, batch, self.heads * width]), Saved { x, hidden, shares, hidden_heads })
    }

    /// Backward.
    pub fn backward(&self, weights: &Tensor, saved: Saved, gy: &Tensor, grads: &Tensor) -> Tensor {
        let Saved { x, hidden, shares, hidden_heads } = saved;
        let [lanes, batch, time, width] = dims(&x);
        let gy = gy.contiguous().view([lanes * batch, self.heads, width]);
        let gshares = flat(&x).bmm(&gy.transpose(1, 2));
        let weighted = flat(&shares) * gshares;
        let gscores = &weighted - flat(&shares) * weighted.sum_dim_intlist([1].as_slice(), true, Kind::Float);
        let gscores = gscores.view([lanes, batch, time, self.heads]);
        let gscores = hidden_heads.map_or_else(|| gscores.shallow_clone(), |heads| gscores.masked_fill(&heads, 0.0));
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
