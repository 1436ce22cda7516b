//! GRU over all samples of a batch, step by step, as [`crate::model::layer::Gru`].

use super::over_rows::{add_products, add_rows};
use super::tanh::{sigmoid, tanh};
use super::tile::{Pair, Panels, Rows, breadth, load, store};
use pulp::{Arch, Simd};

/// The layer with its weights packed.
#[derive(Debug)]
pub struct Gru {
    /// `[I, 3H]`, with all biases but that of n's state.
    input: Panels,
    /// `[H, H]` of r, z and n.
    state: [Panels; 3],
    /// What r, z and n receive from a state of zeros: the biases, `[0, H]`.
    begin: [Panels; 3],
    /// `[3H, H]`, only where there is a backward.
    to_state: Option<Panels>,
    /// `[3H, I]`, only where the gradient of the input is wanted.
    to_input: Option<Panels>,
}

/// What the backward needs.
#[derive(Debug)]
pub struct Kept {
    /// Input `[T, B, I]`.
    x: Vec<f32>,
    /// r, z, n, `[T, B, 3H]`.
    gates: Vec<f32>,
    /// What n received from the state, `[T, B, H]`.
    sent: Vec<f32>,
    /// The zero state, then the states after every step, `[T + 1, B, H]`.
    states: Vec<f32>,
}

impl Kept {
    /// The states after every step `[T, B, H]`, of so many numbers a step.
    pub fn after(&self, step: usize) -> &[f32] {
        &self.states[step..]
    }
}

impl Gru {
    /// Packs the weights `[I, 3H]` and `[H, 3H]` and the biases `[3H]`; `to_input` where a backward gives the gradient of the
    /// input.
    pub fn new([[input, state], [input_bias, state_bias]]: [[&[f32]; 2]; 2], backward: bool, to_input: bool) -> Self {
        let width = input_bias.len();
        let hidden = width / 3;
        let mut bias = input_bias.to_vec();
        for (bias, more) in bias.iter_mut().zip(&state_bias[..2 * hidden]) {
            *bias += more;
        }
        let none = vec![0.0; hidden];
        let biases = [&none, &none, &state_bias[2 * hidden..]];
        let gates = |state: &[f32]| [0, 1, 2].map(|i| Panels::plain(state, width, i * hidden, biases[i]));
        Self {
            input: Panels::plain(input, width, 0, &bias),
            state: gates(state),
            begin: gates(&[]),
            to_state: backward.then(|| Panels::transposed(state, width)),
            to_input: to_input.then(|| Panels::transposed(input, width)),
        }
    }

    /// Numbers of both weights and both biases.
    pub fn sizes(&self) -> [usize; 4] {
        let width = self.input.columns();
        [self.input.depth() * width, self.hidden() * width, width, width]
    }

    /// Units H.
    pub fn hidden(&self) -> usize {
        self.state[0].columns()
    }

    /// States of all steps of `x [T, B, I]`, from a zero state; gates are kept where `keep` says so.
    pub fn forward(&self, x: Vec<f32>, count: usize, time: usize, keep: bool) -> Kept {
        let (step, depth) = (count * self.hidden(), x.len() / (count * time));
        let kept = if keep { time } else { 1 };
        let (mut gates, mut sent) = (vec![0.0; kept * 3 * step], vec![0.0; kept * step]);
        let mut states = vec![0.0; (time + 1) * step];
        for t in 0..time {
            let at = if keep { t } else { 0 };
            let (gates, sent) = (&mut gates[at * 3 * step..][..3 * step], &mut sent[at * step..][..step]);
            let (before, after) = states.split_at_mut((t + 1) * step);
            self.input.product(Rows { data: &x[t * count * depth..], count }, gates);
            let state = if t > 0 { &self.state } else { &self.begin };
            next(state, gates, sent, &before[t * step..], &mut after[..step]);
        }
        Kept { x, gates, sent, states }
    }

    /// Adds the gradients of both weights and both biases, and gives that of the input `[T, B, I]` where it is wanted, else nothing;
    /// `g [T, B, H]` is that of the states, which this uses up.
    pub fn backward(&self, kept: Kept, mut g: Vec<f32>, count: usize, gradients: [&mut [f32]; 4]) -> Vec<f32> {
        let hidden = self.hidden();
        let Kept { x, mut gates, mut sent, states } = kept;
        let (step, rows) = (count * hidden, g.len() / hidden);
        let time = rows / count;
        let Some(to_state) = &self.to_state else { unreachable!("a backward is of weights packed for one") };
        for t in (0..time).rev() {
            let (before, g) = g.split_at_mut(t * step);
            let (gates, sent) = (&mut gates[t * 3 * step..][..3 * step], &mut sent[t * step..][..step]);
            // `gates` becomes the gradient of what they receive from the state, `sent` that of what n receives from the input.
            derive(hidden, &mut g[..step], gates, sent, &states[t * step..][..step]);
            if t > 0 {
                let before = &mut before[(t - 1) * step..];
                add_rows(&g[..step], before);
                to_state.add_product(Rows { data: gates, count }, before);
            }
        }
        let [input_weight, state_weight, input_bias, state_bias] = gradients;
        if time > 1 {
            // The state before the first step is zero.
            let before = Rows { data: &states[step..], count: rows - count };
            add_products(before, &gates[3 * step..], state_weight);
        }
        add_rows(&gates, state_bias);
        for (gates, new) in gates.chunks_exact_mut(3 * hidden).zip(sent.chunks_exact(hidden)) {
            gates[2 * hidden..].copy_from_slice(new);
        }
        add_products(Rows { data: &x, count: rows }, &gates, input_weight);
        add_rows(&gates, input_bias);
        let Some(to_input) = &self.to_input else { return Vec::new() };
        let mut gx = x;
        to_input.product(Rows { data: &gates, count: rows }, &mut gx);
        gx
    }
}

/// The states `[B, H]` after a step; what the gates receive from the input, `[B, 3H]`, becomes the gates.
#[pulp::with_simd(next = Arch::new())]
#[inline(always)]
fn next_with<S: Simd>(
    simd: S,
    panels: &[Panels; 3],
    gates: &mut [f32],
    sent: &mut [f32],
    before: &[f32],
    after: &mut [f32],
) {
    if S::REGISTER_COUNT >= 32 {
        next_by::<S, 8>(simd, panels, gates, sent, before, after);
    } else {
        next_by::<S, 4>(simd, panels, gates, sent, before, after);
    }
}

#[inline(always)]
fn next_by<S: Simd, const R: usize>(
    simd: S,
    panels: &[Panels; 3],
    gates: &mut [f32],
    sent: &mut [f32],
    before: &[f32],
    after: &mut [f32],
) {
    let hidden = panels[0].columns();
    let rows = Rows { data: before, count: before.len() / hidden };
    for column in (0..hidden).step_by(breadth::<S>()) {
        for first in (0..rows.count).step_by(R) {
            let reset = panels[0].tile::<S, R>(simd, rows, first, column);
            let update = panels[1].tile::<S, R>(simd, rows, first, column);
            let new = panels[2].tile::<S, R>(simd, rows, first, column);
            for r in 0..R.min(rows.count - first) {
                let (row, place) = (first + r, (first + r) * hidden + column..(first + r + 1) * hidden);
                let gates = &mut gates[3 * row * hidden..][..3 * hidden];
                let mut open = [[simd.splat_f32s(0.0); 2]; 3];
                for (gate, open) in open.iter_mut().enumerate() {
                    *open = load(simd, &gates[gate * hidden..][column..hidden]);
                }
                let state = load(simd, &before[place.clone()]);
                let next = opened(simd, &mut open, [reset[r], update[r], new[r]], state);
                for (gate, open) in open.iter().enumerate() {
                    store(simd, &mut gates[gate * hidden..][column..hidden], *open);
                }
                store(simd, &mut sent[place.clone()], new[r]);
                store(simd, &mut after[place], next);
            }
        }
    }
}

/// The next states of a pair of units; what their gates receive from the input becomes the gates.
#[inline(always)]
fn opened<S: Simd>(simd: S, gates: &mut [Pair<S>; 3], sent: [Pair<S>; 3], state: Pair<S>) -> Pair<S> {
    let mut next = state;
    for v in 0..2 {
        let reset = sigmoid(simd, simd.add_f32s(gates[0][v], sent[0][v]));
        let update = sigmoid(simd, simd.add_f32s(gates[1][v], sent[1][v]));
        let new = tanh(simd, simd.mul_add_f32s(reset, sent[2][v], gates[2][v]));
        next[v] = simd.mul_add_f32s(update, simd.sub_f32s(state[v], new), new);
        (gates[0][v], gates[1][v], gates[2][v]) = (reset, update, new);
    }
    next
}

/// Through a step's gates, sample by sample: the gradient `g` of the states becomes what goes straight to the states before, the
/// gates the gradients of what they receive from the state, and `sent` that of what n receives from the input.
#[pulp::with_simd(derive = Arch::new())]
#[inline(always)]
fn derive_with<S: Simd>(_simd: S, hidden: usize, g: &mut [f32], gates: &mut [f32], sent: &mut [f32], before: &[f32]) {
    let samples = g.chunks_exact_mut(hidden).zip(gates.chunks_exact_mut(3 * hidden));
    for ((g, gates), (sent, before)) in samples.zip(sent.chunks_exact_mut(hidden).zip(before.chunks_exact(hidden))) {
        let (reset, rest) = gates.split_at_mut(hidden);
        let (update, new) = rest.split_at_mut(hidden);
        for i in 0..hidden {
            let (r, z, n) = (reset[i], update[i], new[i]);
            let by_new = g[i] * (1.0 - z) * (1.0 - n * n);
            reset[i] = by_new * sent[i] * r * (1.0 - r);
            update[i] = g[i] * (before[i] - n) * z * (1.0 - z);
            new[i] = by_new * r;
            sent[i] = by_new;
            g[i] *= z;
        }
    }
}
