//! Passes of one model on a CPU without libtorch.
//!
//! The layers that cost most: convolutions with two fifths of the multiplications of a direct sum, and gates and tanh applied to
//! products that are still in registers. The weights are packed first: once for all samples that are scored, and for every step
//! of training. What is left (masks, heads, pooled features, several models at once, and everything on a GPU) is done by
//! [`super::layer`], which gives the same within rounding. A backward is only asked of weights that were packed for one.

mod attention;
mod conv;
mod gru;
mod over_rows;
mod steps;
mod tanh;
#[cfg(test)]
mod testing;
mod tile;
mod winograd;

pub use attention::{Attention, Kept as Pooled};
pub use conv::Conv;
pub use gru::Gru;

use super::layer::Masks;
use steps::Steps;
use tch::Tensor;

/// Samples that are scored go through the blocks so many at once: what one block hands to the next stays in a second-level cache.
const TOGETHER: usize = 8;

/// An encoder with its weights packed.
#[derive(Debug)]
pub enum Encoder {
    /// Three conv blocks, then a GRU.
    ConvGru(Box<[Conv; 3]>, Gru),
    /// A GRU.
    Gru(Gru),
}

/// What the backward needs.
#[derive(Debug)]
pub struct Kept {
    /// Of the blocks, where there are some.
    samples: Option<Samples>,
    gru: gru::Kept,
    /// The multiplier of what dropout keeps.
    multiplier: f32,
}

/// Samples on their way through the blocks.
#[derive(Debug)]
struct Samples {
    /// The input, then the output of every block.
    steps: [Steps; 4],
    /// Who won in the pools of every block, where that is kept.
    won: Option<[Steps; 3]>,
}

/// What a forward pass of training does more than one of scoring.
#[derive(Debug, Clone, Copy)]
pub struct Training<'a> {
    /// Dropout's multipliers.
    pub masks: Option<&'a Masks>,
}

impl Encoder {
    /// States `[1, B, S, H]` of samples `[1, B, T, D]`, in which convolutions find so many steps each, or all.
    pub fn forward(
        &self,
        values: &Tensor,
        found: Option<&Tensor>,
        training: Option<Training>,
    ) -> (Tensor, Option<Kept>) {
        let [count, time] = [values.size()[1] as usize, values.size()[2] as usize];
        let mut samples = None;
        let (gru, x, left) = match self {
            Encoder::Gru(gru) => (gru, numbers(&values.transpose(1, 2)), time),
            Encoder::ConvGru(blocks, gru) => {
                let found = found.map_or_else(|| vec![time; count], whole_numbers);
                let x = convolved(blocks, &numbers(values), [count, time], &found, training, &mut samples);
                (gru, x, time >> blocks.len())
            }
        };
        let kept = gru.forward(x, count, left, training.is_some());
        let states = Tensor::from_slice(kept.after(count * gru.hidden()));
        let states = states.view([left as i64, count as i64, gru.hidden() as i64]).transpose(0, 1).unsqueeze(0);
        let multiplier = training.and_then(|training| training.masks).map_or(1.0, |masks| masks.kept() as f32);
        (states, training.map(|_| Kept { samples, gru: kept, multiplier }))
    }

    /// The gradients of all weights in the order of the layout, one after another; `gstates [1, B, S, H]` is that of the states.
    pub fn backward(&self, kept: Kept, gstates: &Tensor) -> Vec<f32> {
        let count = gstates.size()[1] as usize;
        let g = numbers(&gstates.transpose(1, 2));
        match self {
            Encoder::Gru(gru) => {
                let mut all = vec![0.0; gru.sizes().iter().sum()];
                gru.backward(kept.gru, g, count, Gradient(&mut all).of_gru(gru));
                all
            }
            Encoder::ConvGru(blocks, gru) => {
                let convs: usize = blocks.iter().flat_map(Conv::sizes).sum();
                let mut all = vec![0.0; convs + gru.sizes().iter().sum::<usize>()];
                let mut gradient = Gradient(&mut all);
                let [mut a, mut b, mut c] = [0, 1, 2].map(|i| gradient.of_conv(&blocks[i]));
                let gx = gru.backward(kept.gru, g, count, gradient.of_gru(gru));
                if let Some(samples) = kept.samples {
                    let gy = Steps::of_sequences(&gx, count, blocks[2].output());
                    samples.backward(blocks, gy, kept.multiplier, [&mut a, &mut b, &mut c]);
                }
                all
            }
        }
    }
}

/// What the blocks make of samples `[B, T, D]`: `[T/8, B, C]`. In training all samples are kept.
fn convolved(
    blocks: &[Conv; 3],
    values: &[f32],
    [count, time]: [usize; 2],
    found: &[usize],
    training: Option<Training>,
    kept: &mut Option<Samples>,
) -> Vec<f32> {
    let mask = |i: usize, masks: &Masks| {
        let shape = [count, time >> (i + 1), blocks[i].output()].map(|n| n as i64);
        numbers(&masks.take(&shape))
    };
    let masks = training.and_then(|training| training.masks).map(|masks| [0, 1, 2].map(|i| mask(i, masks)));
    let together = if training.is_some() { count } else { TOGETHER.min(count) };
    let channels = blocks[2].output();
    let mut sequences = vec![0.0; (time >> blocks.len()) * count * channels];
    let mut samples = Samples::new(blocks, together, time, training.is_some());
    let parts = values.chunks(together * time * blocks[0].input()).zip(found.chunks(together));
    for (part, (values, found)) in parts.enumerate() {
        samples.forward(blocks, values, found, masks.as_ref());
        for i in 0..found.len() {
            let last = samples.steps[3].sample_mut(i);
            for (t, step) in last.chunks_exact(channels).enumerate() {
                sequences[(t * count + part * together + i) * channels..][..channels].copy_from_slice(step);
            }
        }
    }
    *kept = training.map(|_| samples);
    sequences
}

impl Samples {
    fn new(blocks: &[Conv; 3], count: usize, time: usize, keep: bool) -> Self {
        let after = |i: usize| Steps::new(count, time >> (i + 1), blocks[i].output());
        let steps = [Steps::new(count, time, blocks[0].input()), after(0), after(1), after(2)];
        Self { steps, won: keep.then(|| [0, 1, 2].map(after)) }
    }

    /// Samples `[B, T, D]`, of which convolutions find so many steps each, through all blocks, with dropout's multipliers.
    fn forward(&mut self, blocks: &[Conv; 3], values: &[f32], found: &[usize], masks: Option<&[Vec<f32>; 3]>) {
        for (i, values) in values.chunks_exact(values.len() / found.len()).enumerate() {
            self.steps[0].sample_mut(i).copy_from_slice(values);
        }
        for (i, block) in blocks.iter().enumerate() {
            let (before, after) = self.steps.split_at_mut(i + 1);
            block.forward(found.len(), &before[i], &mut after[0], self.won.as_mut().map(|won| &mut won[i]));
            for (sample, &found) in found.iter().enumerate() {
                let left = (found >> (i + 1)).min(after[0].time());
                let steps = after[0].sample_mut(sample);
                if let Some(masks) = masks {
                    let mask = &masks[i][sample * steps.len()..][..steps.len()];
                    steps.iter_mut().zip(mask).for_each(|(step, mask)| *step *= mask);
                }
                steps[left * block.output()..].fill(0.0);
            }
        }
    }

    /// Back through all blocks, adding to the gradients of their weights and biases; `gy` is that of the last one's output.
    fn backward(self, blocks: &[Conv; 3], gy: Steps, kept: f32, gradients: [&mut [&mut [f32]; 2]; 3]) {
        let Some(won) = &self.won else { unreachable!("a backward is of samples that were kept for one") };
        let mut gy = Some(gy);
        for (i, [weight, bias]) in gradients.into_iter().enumerate().rev() {
            gy = gy.and_then(|gy| {
                let passed = conv::Passed { x: &self.steps[i], y: &self.steps[i + 1], won: &won[i], gy: &gy, kept };
                blocks[i].backward(passed, [weight, bias])
            });
        }
    }
}

/// What is left of a row of gradients.
struct Gradient<'a>(&'a mut [f32]);

impl<'a> Gradient<'a> {
    /// The next so many numbers.
    fn take(&mut self, count: usize) -> &'a mut [f32] {
        let (next, rest) = std::mem::take(&mut self.0).split_at_mut(count);
        self.0 = rest;
        next
    }

    fn of_conv(&mut self, conv: &Conv) -> [&'a mut [f32]; 2] {
        conv.sizes().map(|size| self.take(size))
    }

    fn of_gru(&mut self, gru: &Gru) -> [&'a mut [f32]; 4] {
        gru.sizes().map(|size| self.take(size))
    }
}

/// The numbers of a tensor.
pub fn numbers(tensor: &Tensor) -> Vec<f32> {
    let mut numbers = vec![0.0; tensor.numel()];
    tensor.contiguous().copy_data(&mut numbers, tensor.numel());
    numbers
}

/// Whole numbers of steps.
fn whole_numbers(tensor: &Tensor) -> Vec<usize> {
    let mut numbers = vec![0i64; tensor.numel()];
    tensor.contiguous().copy_data(&mut numbers, tensor.numel());
    numbers.into_iter().map(|n| usize::try_from(n).unwrap_or(0)).collect()
}
