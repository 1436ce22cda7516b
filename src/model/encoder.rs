//! Encoders: one modality's samples to a sequence of hidden states.

use super::config::EncoderConfig;
use super::layer::{ConvBlock, Gru, Linear, Masks, conv, gru};
use super::layout::Layout;
use crate::data::ModalityShape;
use tch::{Kind, Tensor};

/// One modality's samples of a step.
#[derive(Debug)]
pub struct Input {
    /// Values `[L, B, T, D]`; zero where the modality is absent and beyond a sample's length.
    pub values: Tensor,
    /// Valid steps `[L, B]`, where samples differ.
    pub lengths: Option<Tensor>,
    /// 1 where the sample has the modality, else 0, `[L, B]`; `None` when all have it.
    pub present: Option<Tensor>,
}

/// An encoder's output.
#[derive(Debug)]
pub struct Encoded {
    /// States `[L, B, S, H]`.
    pub states: Tensor,
    /// 1 where a state is valid, else 0, `[L, B, S]`; `None` when all are.
    pub valid: Option<Tensor>,
    /// As `valid`, of a sample's length alone; all steps where it lacks the modality.
    pub within: Option<Tensor>,
}

/// An encoder.
#[derive(Debug, Clone)]
pub enum Encoder {
    /// Three conv blocks, then a GRU.
    ConvGru(Box<[ConvBlock; 3]>, Gru),
    /// A GRU.
    Gru(Gru),
    /// Two linear layers.
    Mlp(Linear, Linear, i64),
    /// Nothing.
    Identity,
}

/// What the backward needs.
#[derive(Debug)]
pub enum Saved {
    /// Of `conv-gru`.
    ConvGru(Vec<conv::Saved>, gru::Saved),
    /// Of `gru`.
    Gru(gru::Saved),
    /// Of `mlp`: input, hidden layer, its multiplier.
    Mlp(Tensor, Tensor, Tensor),
    /// Of `identity`.
    Identity,
}

impl Encoder {
    /// Adds the encoder's weights to a layout.
    pub fn new(layout: &mut Layout, config: &EncoderConfig, shape: &ModalityShape) -> Self {
        let (width, hidden) = (shape.width as i64, config.output(shape) as i64);
        match config {
            EncoderConfig::ConvGru(c) => {
                let [a, b, d] = c.channels.map(|n| n as i64);
                let blocks = [
                    ConvBlock::new(layout, "conv1", width, a),
                    ConvBlock::new(layout, "conv2", a, b),
                    ConvBlock::new(layout, "conv3", b, d),
                ];
                Encoder::ConvGru(Box::new(blocks), Gru::new(layout, "gru", d, hidden))
            }
            EncoderConfig::Gru(_) => Encoder::Gru(Gru::new(layout, "gru", width, hidden)),
            EncoderConfig::Mlp(_) => Encoder::Mlp(
                Linear::new(layout, "linear1", width, hidden),
                Linear::new(layout, "linear2", hidden, hidden),
                hidden,
            ),
            EncoderConfig::Identity(_) => Encoder::Identity,
        }
    }

    /// Units that dropout decides on, a sample.
    pub fn units(&self, shape: &ModalityShape) -> i64 {
        let time = shape.time as i64;
        match self {
            Encoder::ConvGru(blocks, _) => blocks.iter().enumerate().map(|(i, b)| b.units(time >> i)).sum(),
            Encoder::Gru(_) | Encoder::Identity => 0,
            Encoder::Mlp(_, _, hidden) => *hidden,
        }
    }

    /// Numbers that a step keeps and makes, a sample; a count from above.
    pub fn activations(&self, shape: &ModalityShape) -> i64 {
        let (time, width) = (shape.time as i64, shape.width as i64);
        let recurrent = |steps: i64, gru: &Gru| steps * (24 * gru.hidden() + 1024);
        match self {
            Encoder::ConvGru(blocks, gru) => {
                let conv: i64 = blocks.iter().enumerate().map(|(i, b)| b.activations(time >> i)).sum();
                time * width + conv + recurrent(time >> 3, gru)
            }
            Encoder::Gru(gru) => time * width * 4 + recurrent(time, gru),
            Encoder::Mlp(_, _, hidden) => width + 8 * hidden,
            Encoder::Identity => 4 * width,
        }
    }

    /// Forward. What a backward needs is kept where `keep` says so, else let go layer by layer.
    pub fn forward(
        &self,
        weights: &Tensor,
        input: &Input,
        masks: Option<&Masks>,
        keep: bool,
    ) -> (Encoded, Option<Saved>) {
        let lengths = |halvings: i64| input.lengths.as_ref().map(|l| l.floor_divide_scalar(1i64 << halvings));
        let time = input.values.size()[2];
        let (states, saved, lengths) = match self {
            Encoder::ConvGru(blocks, gru) => {
                let mut x = input.values.shallow_clone();
                let mut kept = Vec::new();
                for (i, block) in (1..).zip(blocks.iter()) {
                    let valid = lengths(i).map(|l| steps_below(&l, time >> i));
                    let (y, saved) = block.forward(weights, &x, masks, valid.as_ref());
                    kept.extend(keep.then_some(saved));
                    x = y;
                }
                let (states, saved) = gru.forward(weights, &x);
                (states, Saved::ConvGru(kept, saved), lengths(3))
            }
            Encoder::Gru(gru) => {
                let (states, saved) = gru.forward(weights, &input.values);
                (states, Saved::Gru(saved), lengths(0))
            }
            Encoder::Mlp(first, second, hidden) => {
                let x = input.values.squeeze_dim(2);
                let pre = first.forward(weights, &x);
                let mut gate = pre.gt(0.0).to_kind(Kind::Float);
                if let Some(masks) = masks {
                    gate *= masks.take(&[x.size()[1], *hidden]);
                }
                let y = pre * &gate;
                (second.forward(weights, &y).unsqueeze(2), Saved::Mlp(x, y, gate), None)
            }
            Encoder::Identity => (input.values.shallow_clone(), Saved::Identity, None),
        };
        let steps = states.size()[2];
        let by_length = lengths.map(|l| steps_below(&l, steps));
        let by_presence = input.present.as_ref().map(|p| p.unsqueeze(-1).expand([-1, -1, steps], false));
        let valid = match (&by_length, by_presence) {
            (Some(a), Some(b)) => Some(a * b),
            (a, b) => b.or_else(|| a.as_ref().map(Tensor::shallow_clone)),
        };
        let within = match (by_length, &input.present) {
            (Some(length), Some(present)) => Some(length.maximum(&(1.0 - present.unsqueeze(-1)))),
            (length, _) => length,
        };
        (Encoded { states, valid, within }, keep.then_some(saved))
    }

    /// Backward from the gradient of the states.
    pub fn backward(&self, weights: &Tensor, saved: Saved, gstates: &Tensor, grads: &Tensor) {
        match (self, saved) {
            (Encoder::ConvGru(blocks, gru), Saved::ConvGru(kept, saved)) => {
                let mut g = gru.backward(weights, saved, gstates, grads, true);
                for ((i, block), saved) in blocks.iter().enumerate().zip(kept).rev() {
                    g = g.and_then(|g| block.backward(weights, saved, &g, grads, i > 0));
                }
            }
            (Encoder::Gru(gru), Saved::Gru(saved)) => {
                gru.backward(weights, saved, gstates, grads, false);
            }
            (Encoder::Mlp(first, second, _), Saved::Mlp(x, y, gate)) => {
                let g = second.backward(weights, &y, &gstates.squeeze_dim(2), grads) * gate;
                first.weight_gradients(&x, &g, grads);
            }
            (Encoder::Identity, Saved::Identity) => {}
            _ => unreachable!("an encoder gets back what it saved"),
        }
    }
}

/// `[L, B, steps]`: 1 where the step lies below the sample's length.
fn steps_below(lengths: &Tensor, steps: i64) -> Tensor {
    let positions = Tensor::arange(steps, (Kind::Int64, lengths.device()));
    positions.less_tensor(&lengths.unsqueeze(-1)).to_kind(Kind::Float)
}
