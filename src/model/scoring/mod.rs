//! Forward passes on a CPU, for scoring: what costs most of it, without libtorch.
//!
//! Scoring needs nothing but the logits, so layers can be done in one pass each: a convolution reads its windows where they
//! lie, and pool, gates and tanh are applied to products that are still in registers. The weights of a model are packed once,
//! and serve all of its samples. A sample's states and pooled vector do not depend on its neighbours. What is left (masks, heads, pooled
//! features, and everything on a GPU) is done by the layers of [`super::layer`], which give the same within rounding.

mod attention;
mod conv;
mod gru;
mod tanh;
mod tile;

pub use attention::Attention;
pub use conv::Conv;
pub use gru::Gru;
pub use tile::Panels;

use gru::Samples;
use tch::Tensor;

/// An encoder with its weights packed.
#[derive(Debug)]
pub enum Encoder {
    /// Three conv blocks, then a GRU.
    ConvGru([Conv; 3], Gru),
    /// A GRU.
    Gru(Gru),
}

impl Encoder {
    /// States `[1, B, S, H]` of samples `[1, B, T, D]`, in which convolutions find so many steps each, or all.
    pub fn states(&self, values: &Tensor, found: Option<&Tensor>) -> Tensor {
        let [count, time, width] = [values.size()[1] as usize, values.size()[2] as usize, values.size()[3] as usize];
        let (gru, states) = match self {
            Encoder::Gru(gru) => {
                let values = numbers(&values.transpose(1, 2));
                (gru, gru.forward(Samples { values: &values, count, time }))
            }
            Encoder::ConvGru(blocks, gru) => {
                let (values, time_left) = (numbers(values), time >> blocks.len());
                let found = found.map_or_else(|| vec![time; count], steps);
                let channels = blocks[2].weight.columns();
                let mut sequences = vec![0.0; time_left * count * channels];
                let mut room = [Vec::new(), Vec::new()];
                for (i, (sample, &found)) in values.chunks_exact(time * width).zip(&found).enumerate() {
                    let sequence = convolved(blocks, sample, time, found, &mut room);
                    for (t, step) in sequence.chunks_exact(channels).enumerate() {
                        sequences[(t * count + i) * channels..][..channels].copy_from_slice(step);
                    }
                }
                (gru, gru.forward(Samples { values: &sequences, count, time: time_left }))
            }
        };
        let hidden = gru.hidden() as i64;
        Tensor::from_slice(&states).view([-1, count as i64, hidden]).transpose(0, 1).unsqueeze(0)
    }
}

/// What the blocks make of a sample `[time, D]`: `[time/8, C]`.
fn convolved<'a>(
    blocks: &[Conv; 3],
    sample: &[f32],
    time: usize,
    found: usize,
    [x, y]: &'a mut [Vec<f32>; 2],
) -> &'a [f32] {
    let around = vec![0.0; conv::PADDING * blocks[0].input];
    x.clear();
    for part in [&around, sample, &around] {
        x.extend_from_slice(part);
    }
    for (i, block) in blocks.iter().enumerate() {
        block.forward(x, time >> i, found >> (i + 1), y);
        std::mem::swap(x, y);
    }
    let around = conv::PADDING * blocks[2].weight.columns();
    &x[around..x.len() - around]
}

/// The numbers of a tensor.
pub fn numbers(tensor: &Tensor) -> Vec<f32> {
    let mut numbers = vec![0.0; tensor.numel()];
    tensor.contiguous().copy_data(&mut numbers, tensor.numel());
    numbers
}

/// Whole numbers of steps.
fn steps(tensor: &Tensor) -> Vec<usize> {
    let mut numbers = vec![0i64; tensor.numel()];
    tensor.contiguous().copy_data(&mut numbers, tensor.numel());
    numbers.into_iter().map(|n| usize::try_from(n).unwrap_or(0)).collect()
}
