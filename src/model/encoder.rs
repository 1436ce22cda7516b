//! Encoders: one modality's samples to a sequence of hidden states.

use super::by_hand;
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
    /// How long the longest sample of each sample's batch is, where samples differ and a batch is padded to it.
    pub longest: Option<Longest>,
}

/// Steps of the longest sample of each sample's batch, `[L, B]` or `[L, 1]`.
#[derive(Debug)]
pub struct Longest {
    /// An absent sample is as long as the array: so far convolutions read.
    pub all: Tensor,
    /// An absent sample has no steps: what is left of so many is packed.
    pub present: Tensor,
}

impl Longest {
    /// The same of a part of the batches, or laid out otherwise.
    pub fn map(&self, part: impl Fn(&Tensor) -> Tensor) -> Self {
        Self { all: part(&self.all), present: part(&self.present) }
    }
}

impl Input {
    /// Steps that convolutions find, where samples differ: beyond them they find zeros, however deep they lie.
    fn found(&self) -> Option<Tensor> {
        match (&self.longest, &self.lengths, &self.present) {
            (Some(longest), _, _) => Some(longest.all.shallow_clone()),
            (None, Some(lengths), Some(present)) => Some(lengths.masked_fill(&present.eq(0.0), self.values.size()[2])),
            (None, lengths, _) => lengths.as_ref().map(Tensor::shallow_clone),
        }
    }
}

/// An encoder's output.
#[derive(Debug)]
pub struct Encoded {
    /// States `[L, B, S, H]`.
    pub states: Tensor,
    /// 1 where a state is valid, else 0, `[L, B, S]`; `None` when all are.
    pub valid: Option<Tensor>,
    /// As `valid`, of a sample's length alone; all steps where it lacks the modality and shows none.
    pub within: Option<Tensor>,
    /// States of the longest sample of the batch, `[L, B]` or `[L, 1]`, where a batch is padded to it.
    pub longest: Option<Tensor>,
}

/// An encoder.
#[derive(Debug, Clone)]
pub enum Encoder {
    /// Three conv blocks, then a GRU; whether what is absent shows a step.
    ConvGru(Box<[ConvBlock; 3]>, Gru, bool),
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
    /// Of an encoder by hand.
    ByHand(Box<by_hand::Kept>),
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
                Encoder::ConvGru(Box::new(blocks), Gru::new(layout, "gru", d, hidden), c.absent_step)
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
            Encoder::ConvGru(blocks, ..) => blocks.iter().enumerate().map(|(i, b)| b.units(time >> i)).sum(),
            Encoder::Gru(_) | Encoder::Identity => 0,
            Encoder::Mlp(_, _, hidden) => *hidden,
        }
    }

    /// Numbers that a step keeps and makes, a sample; a count from above.
    pub fn activations(&self, shape: &ModalityShape) -> i64 {
        let (time, width) = (shape.time as i64, shape.width as i64);
        let recurrent = |steps: i64, gru: &Gru| steps * (24 * gru.hidden() + 1024);
        match self {
            Encoder::ConvGru(blocks, gru, _) => {
                let conv: i64 = blocks.iter().enumerate().map(|(i, b)| b.activations(time >> i)).sum();
                time * width + conv + recurrent(time >> 3, gru)
            }
            Encoder::Gru(gru) => time * width * 4 + recurrent(time, gru),
            Encoder::Mlp(_, _, hidden) => width + 8 * hidden,
            Encoder::Identity => 4 * width,
        }
    }

    /// The encoder by hand, with the weights of a flat row `[P]`, where it is worth it; whether there is a backward.
    pub fn packed(&self, row: &[f32], backward: bool) -> Option<by_hand::Encoder> {
        match self {
            Encoder::ConvGru(blocks, gru, _) => {
                let conv = |i: usize| by_hand::Conv::new(blocks[i].within(row), backward && i > 0);
                let gru = by_hand::Gru::new(gru.within(row), backward, backward);
                Some(by_hand::Encoder::ConvGru(Box::new([0, 1, 2].map(conv)), gru))
            }
            Encoder::Gru(gru) => Some(by_hand::Encoder::Gru(by_hand::Gru::new(gru.within(row), backward, false))),
            Encoder::Mlp(..) | Encoder::Identity => None,
        }
    }

    /// Forward of one model by hand.
    pub fn forward_by_hand(
        &self,
        packed: &by_hand::Encoder,
        input: &Input,
        training: Option<by_hand::Training>,
    ) -> (Encoded, Option<Saved>) {
        let (states, kept) = packed.forward(&input.values, input.found().as_ref(), training);
        (self.encoded(states, input), kept.map(|kept| Saved::ByHand(Box::new(kept))))
    }

    /// Backward of one model by hand.
    pub fn backward_by_hand(&self, packed: &by_hand::Encoder, kept: by_hand::Kept, gstates: &Tensor, grads: &Tensor) {
        let first = match self {
            Encoder::ConvGru(blocks, ..) => blocks[0].first(),
            Encoder::Gru(gru) => gru.first(),
            Encoder::Mlp(..) | Encoder::Identity => return,
        };
        first.write_from(grads, &packed.backward(kept, gstates));
    }

    /// Forward. What a backward needs is kept where `keep` says so, else let go layer by layer.
    pub fn forward(
        &self,
        weights: &Tensor,
        input: &Input,
        masks: Option<&Masks>,
        keep: bool,
    ) -> (Encoded, Option<Saved>) {
        let time = input.values.size()[2];
        let (states, saved) = match self {
            Encoder::ConvGru(blocks, gru, _) => {
                let found = input.found();
                let mut x = input.values.shallow_clone();
                let mut kept = Vec::new();
                for (i, block) in (1..).zip(blocks.iter()) {
                    let valid = found.as_ref().map(|l| steps_below(&halved(l, i), time >> i));
                    let (y, saved) = block.forward(weights, &x, masks, valid.as_ref());
                    kept.extend(keep.then_some(saved));
                    x = y;
                }
                let (states, saved) = gru.forward(weights, &x);
                (states, Saved::ConvGru(kept, saved))
            }
            Encoder::Gru(gru) => {
                let (states, saved) = gru.forward(weights, &input.values);
                (states, Saved::Gru(saved))
            }
            Encoder::Mlp(first, second, hidden) => {
                let x = input.values.squeeze_dim(2);
                let pre = first.forward(weights, &x);
                let mut gate = pre.gt(0.0).to_kind(Kind::Float);
                if let Some(masks) = masks {
                    gate *= masks.take(&[x.size()[1], *hidden]);
                }
                let y = pre * &gate;
                (second.forward(weights, &y).unsqueeze(2), Saved::Mlp(x, y, gate))
            }
            Encoder::Identity => (input.values.shallow_clone(), Saved::Identity),
        };
        (self.encoded(states, input), keep.then_some(saved))
    }

    /// The states with what is valid of them.
    fn encoded(&self, states: Tensor, input: &Input) -> Encoded {
        match self {
            Encoder::ConvGru(_, _, true) => Encoded::showing_a_step(states, input, Some(3)),
            Encoder::ConvGru(_, _, false) => Encoded::new(states, input, Some(3)),
            Encoder::Gru(_) => Encoded::new(states, input, Some(0)),
            Encoder::Mlp(..) | Encoder::Identity => Encoded::new(states, input, None),
        }
    }

    /// Backward from the gradient of the states.
    pub fn backward(&self, weights: &Tensor, saved: Saved, gstates: &Tensor, grads: &Tensor) {
        match (self, saved) {
            (Encoder::ConvGru(blocks, gru, _), Saved::ConvGru(kept, saved)) => {
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

impl Encoded {
    /// The states of an input whose steps were halved so many times; `None` where its steps are gone.
    fn new(states: Tensor, input: &Input, halvings: Option<i64>) -> Self {
        let steps = states.size()[2];
        let left = input.lengths.as_ref().and_then(|lengths| Some(halved(lengths, halvings?)));
        let by_length = left.map(|left| steps_below(&left, steps));
        let by_presence = input.present.as_ref().map(|p| p.unsqueeze(-1).expand([-1, -1, steps], false));
        let valid = match (&by_length, by_presence) {
            (Some(a), Some(b)) => Some(a * b),
            (a, b) => b.or_else(|| a.as_ref().map(Tensor::shallow_clone)),
        };
        let within = match (by_length, &input.present) {
            (Some(length), Some(present)) => Some(length.maximum(&(1.0 - present.unsqueeze(-1)))),
            (length, _) => length,
        };
        let longest = input.longest.as_ref().and_then(|longest| Some(halved(&longest.all, halvings?)));
        Self { states, valid, within, longest }
    }

    /// The same where a sample without a step shows its first one, so that sequences are packed, with an absent one of one step.
    fn showing_a_step(states: Tensor, input: &Input, halvings: Option<i64>) -> Self {
        let Self { states, valid, .. } = Self::new(states, input, halvings);
        let valid = valid.map(|valid| {
            let shown = valid.copy();
            let _ = shown.narrow(2, 0, 1).fill_(1.0);
            shown
        });
        let packed = |longest: &Longest| Some(halved(&longest.present, halvings?).clamp_min(1));
        let longest = input.longest.as_ref().and_then(packed);
        Self { states, within: valid.as_ref().map(Tensor::shallow_clone), valid, longest }
    }
}

/// What halvings leave of lengths, each rounded down.
fn halved(lengths: &Tensor, halvings: i64) -> Tensor {
    lengths.floor_divide_scalar(1i64 << halvings)
}

/// `[L, B, steps]`: 1 where the step lies below the sample's length.
pub(super) fn steps_below(lengths: &Tensor, steps: i64) -> Tensor {
    let positions = Tensor::arange(steps, (Kind::Int64, lengths.device()));
    positions.less_tensor(&lengths.unsqueeze(-1)).to_kind(Kind::Float)
}
