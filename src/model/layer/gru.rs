//! GRU, one layer, one direction, PyTorch's form:
//!
//! ```text
//! r = σ(x Wr + br + h Ur + cr)    z = σ(x Wz + bz + h Uz + cz)
//! n = tanh(x Wn + bn + r ⊙ (h Un + cn))    h' = (1 − z) ⊙ n + z ⊙ h
//! ```
//!
//! The input projections of all steps are one product before the loop, the weight gradients one product after it; the
//! loop holds what depends on the step before, and its products add to what is there. Everything inside is time-major, `[L, T, B, …]`.

use super::sum_into;
use crate::model::layout::{Layout, Slot};

use tch::{Kind, Tensor};

/// `x [L, B, T, I] → [L, B, T, H]`. Weights are stored `[I, 3H]` and `[H, 3H]`, gates in the order r, z, n.
#[derive(Debug, Clone)]
pub struct Gru {
    input_weight: Slot,
    hidden_weight: Slot,
    input_bias: Slot,
    hidden_bias: Slot,
    hidden: i64,
}

/// What the backward needs; all `[L, T, B, …]`.
#[derive(Debug)]
pub struct Saved {
    /// Input.
    x: Tensor,
    /// r, z, n after their nonlinearity, `3H` wide.
    gates: Tensor,
    /// `h Un + cn`, `H` wide.
    recurrent: Tensor,
    /// The zero state, then the states after every step, `T + 1` of them.
    states: Tensor,
}

impl Gru {
    /// Adds the layer's weights to a layout.
    pub fn new(layout: &mut Layout, name: &str, input: i64, hidden: i64) -> Self {
        Self {
            input_weight: layout.add(&format!("{name}.weight_ih"), &[input, 3 * hidden], hidden),
            hidden_weight: layout.add(&format!("{name}.weight_hh"), &[hidden, 3 * hidden], hidden),
            input_bias: layout.add(&format!("{name}.bias_ih"), &[3 * hidden], hidden),
            hidden_bias: layout.add(&format!("{name}.bias_hh"), &[3 * hidden], hidden),
            hidden,
        }
    }

    /// Units H.
    pub fn hidden(&self) -> i64 {
        self.hidden
    }

    /// The weights of input and state within a flat row `[P]`, and their biases.
    pub fn within<'a>(&self, row: &'a [f32]) -> [[&'a [f32]; 2]; 2] {
        [[&self.input_weight, &self.hidden_weight], [&self.input_bias, &self.hidden_bias]]
            .map(|slots| slots.map(|slot| slot.within(row)))
    }

    /// Its first weight, where all gradients of an encoder that begins with it are written.
    pub fn first(&self) -> &Slot {
        &self.input_weight
    }

    /// States of all steps, from a zero state.
    ///
    /// `σ(a) = (1 + tanh(a/2))/2`, because libtorch's tanh takes a fifth of the time of its sigmoid: the products of r and
    /// z are halved by halving their weights.
    pub fn forward(&self, weights: &Tensor, x: &Tensor) -> (Tensor, Saved) {
        let [lanes, batch, time, input] = dims(x);
        let (h, kind) = (self.hidden, (Kind::Float, x.device()));
        let x = x.transpose(1, 2).contiguous();
        let hidden_bias = self.hidden_bias.bias(weights);
        let bias = self.input_bias.bias(weights).copy();
        let _ = bias.narrow(2, 0, 2 * h).g_add_(&hidden_bias.narrow(2, 0, 2 * h));
        let rows = x.view([lanes, time * batch, input]);
        let gates = bias.baddbmm(&rows, &self.input_weight.of(weights), 1.0, 1.0).view([lanes, time, batch, 3 * h]);
        let mut both = gates.narrow(3, 0, 2 * h);
        both *= 0.5;

        let weight = self.hidden_weight.of(weights);
        let (weight, weight_new) = (weight.narrow(2, 0, 2 * h) * 0.5, weight.narrow(2, 2 * h, h));
        let bias_new = hidden_bias.narrow(2, 2 * h, h);
        let one = Tensor::ones([1i64; 0], kind);
        let recurrent = Tensor::empty([lanes, time, batch, h], kind);
        let states = Tensor::empty([lanes, time + 1, batch, h], kind);
        let mut state = states.select(1, 0).zero_();
        for t in 0..time {
            let (gate, sent) = (gates.select(1, t), recurrent.select(1, t));
            let mut open = gate.narrow(2, 0, 2 * h);
            let _ = open.baddbmm_(&state, &weight).tanh_().lerp_(&one, 0.5);
            let _ = bias_new.baddbmm_out(&sent, &state, &weight_new);
            let mut new = gate.narrow(2, 2 * h, h);
            let _ = new.addcmul_(&open.narrow(2, 0, h), &sent).tanh_();
            let next = states.select(1, t + 1);
            let _ = new.lerp_tensor_out(&next, &state, &open.narrow(2, h, h));
            state = next;
        }
        (states.narrow(1, 1, time).transpose(1, 2), Saved { x, gates, recurrent, states })
    }

    /// Backward through all steps; the gradient of the input is only computed where it is wanted.
    pub fn backward(
        &self,
        weights: &Tensor,
        saved: Saved,
        gy: &Tensor,
        grads: &Tensor,
        want_input: bool,
    ) -> Option<Tensor> {
        let h = self.hidden;
        let [lanes, time, batch, input] = dims(&saved.x);
        let update = saved.gates.narrow(3, h, h);
        let (by_new, sent) = saved.derivatives(h);

        // Gradient of every state, from the last one back; `sent` becomes that of what its gates receive from the state.
        let through = Tensor::empty([lanes, time, batch, h], (Kind::Float, gy.device()));
        through.shallow_clone().copy_(&gy.transpose(1, 2));
        let weight = self.hidden_weight.of(weights).transpose(1, 2);
        for t in (0..time).rev() {
            let (g, sent) = (through.select(1, t), sent.select(1, t));
            let _ = sent.view([lanes, batch, 3, h]).g_mul_(&g.unsqueeze(2));
            if t > 0 {
                let _ = through.select(1, t - 1).addcmul_(&g, &update.select(1, t)).baddbmm_(&sent, &weight);
            }
        }

        let rows = |tensor: &Tensor, width: i64| tensor.view([lanes, time * batch, width]);
        let before = saved.states.narrow(1, 0, time);
        let sent = rows(&sent, 3 * h);
        let _ = rows(&before, h).transpose(1, 2).bmm_out(&self.hidden_weight.of(grads), &sent);
        sum_into(&self.hidden_bias.of(grads), &sent, 1);
        // The input projections get the same gradients, but for n, whose recurrent half passed through r.
        let received = sent;
        let _ = rows(&by_new, h).mul_out(&received.narrow(2, 2 * h, h), &rows(&through, h));
        let _ = rows(&saved.x, input).transpose(1, 2).bmm_out(&self.input_weight.of(grads), &received);
        sum_into(&self.input_bias.of(grads), &received, 1);
        want_input.then(|| {
            let gx = received.bmm(&self.input_weight.of(weights).transpose(1, 2));
            gx.view([lanes, time, batch, input]).transpose(1, 2)
        })
    }
}

impl Saved {
    /// `∂h'/∂n` before its tanh, `H` wide, and `∂h'/∂(h U + c)` of r, z and n, `3H` wide, for all steps at once.
    fn derivatives(&self, h: i64) -> (Tensor, Tensor) {
        let [reset, update, new] = [0, 1, 2].map(|gate| self.gates.narrow(3, gate * h, h));
        let before = self.states.narrow(1, 0, self.x.size()[1]);
        let all = self.gates.empty_like();
        let [by_reset, by_update, by_sent] = [0, 1, 2].map(|gate| all.narrow(3, gate * h, h));
        let by_new = Tensor::tanh_backward(&(1.0 - &update), &new);
        let _ = before.subtract_out(&by_update, &new);
        let _ = Tensor::sigmoid_backward_grad_input(&by_update, &by_update, &update);
        let _ = by_new.mul_out(&by_reset, &self.recurrent);
        let _ = Tensor::sigmoid_backward_grad_input(&by_reset, &by_reset, &reset);
        let _ = by_new.mul_out(&by_sent, &reset);
        (by_new, all)
    }
}

fn dims(x: &Tensor) -> [i64; 4] {
    let size = x.size();
    [size[0], size[1], size[2], size[3]]
}
