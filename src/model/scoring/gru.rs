//! GRU over all samples of a task, step by step.

use super::tanh::{sigmoid, tanh};
use super::tile::{Pair, Panels, Rows, breadth, load, store};
use pulp::{Arch, Simd};

/// The layer, as [`crate::model::layer::Gru`].
#[derive(Debug)]
pub struct Gru {
    /// `[I, 3H]`, with all biases but that of n's state.
    pub input: Panels,
    /// `[H, H]` of r, z and n.
    pub state: [Panels; 3],
}

/// Samples of a task.
#[derive(Debug, Clone, Copy)]
pub struct Samples<'a> {
    /// `[T, B, I]`.
    pub values: &'a [f32],
    /// Samples B.
    pub count: usize,
    /// Steps T.
    pub time: usize,
}

impl Gru {
    /// Units H.
    pub fn hidden(&self) -> usize {
        self.state[0].columns()
    }

    /// States of all steps, from a zero state: `[T, B, H]`.
    pub fn forward(&self, samples: Samples) -> Vec<f32> {
        let (step, width) = (samples.count * self.hidden(), self.input.columns());
        let mut gates = vec![0.0; samples.count * width];
        let mut states = vec![0.0; (samples.time + 1) * step];
        for t in 0..samples.time {
            let (before, after) = states.split_at_mut((t + 1) * step);
            inputs(self, samples, t, &mut gates);
            next(self, &gates, &before[t * step..], &mut after[..step]);
        }
        states.drain(..step);
        states
    }
}

/// What the gates receive from step `t` of the input, `[B, 3H]`.
#[pulp::with_simd(inputs = Arch::new())]
#[inline(always)]
fn inputs_with<S: Simd>(simd: S, gru: &Gru, samples: Samples<'_>, t: usize, gates: &mut [f32]) {
    let width = gru.input.columns();
    let step = samples.values.len() / samples.time;
    let rows = Rows { data: &samples.values[t * step..], stride: step / samples.count, count: samples.count };
    gru.input.multiply(
        simd,
        rows,
        #[inline(always)]
        |first, column, tile| {
            for (row, &pair) in (first..).zip(tile) {
                store(simd, &mut gates[row * width + column..(row + 1) * width], pair);
            }
        },
    );
}

/// The states `[B, H]` after a step.
#[pulp::with_simd(next = Arch::new())]
#[inline(always)]
fn next_with<S: Simd>(simd: S, gru: &Gru, gates: &[f32], before: &[f32], after: &mut [f32]) {
    if S::REGISTER_COUNT >= 32 {
        next_by::<S, 8>(simd, gru, gates, before, after);
    } else {
        next_by::<S, 4>(simd, gru, gates, before, after);
    }
}

#[inline(always)]
fn next_by<S: Simd, const R: usize>(simd: S, gru: &Gru, gates: &[f32], before: &[f32], after: &mut [f32]) {
    let hidden = gru.hidden();
    let rows = Rows { data: before, stride: hidden, count: before.len() / hidden };
    for column in (0..hidden).step_by(breadth::<S>()) {
        for first in (0..rows.count).step_by(R) {
            let reset = gru.state[0].tile::<S, R>(simd, rows, first, column);
            let update = gru.state[1].tile::<S, R>(simd, rows, first, column);
            let new = gru.state[2].tile::<S, R>(simd, rows, first, column);
            for r in 0..R.min(rows.count - first) {
                let row = first + r;
                let mut inputs = [[simd.splat_f32s(0.0); 2]; 3];
                for (gate, pair) in inputs.iter_mut().enumerate() {
                    *pair = load(simd, &gates[(3 * row + gate) * hidden..][column..hidden]);
                }
                let place = row * hidden + column..(row + 1) * hidden;
                let state = load(simd, &before[place.clone()]);
                store(simd, &mut after[place], opened(simd, inputs, [reset[r], update[r], new[r]], state));
            }
        }
    }
}

/// The next states of a pair of units, from what their gates receive from input and state.
#[inline(always)]
fn opened<S: Simd>(simd: S, inputs: [Pair<S>; 3], states: [Pair<S>; 3], state: Pair<S>) -> Pair<S> {
    let mut next = state;
    for v in 0..2 {
        let reset = sigmoid(simd, simd.add_f32s(inputs[0][v], states[0][v]));
        let update = sigmoid(simd, simd.add_f32s(inputs[1][v], states[1][v]));
        let new = tanh(simd, simd.mul_add_f32s(reset, states[2][v], inputs[2][v]));
        next[v] = simd.mul_add_f32s(update, simd.sub_f32s(state[v], new), new);
    }
    next
}
