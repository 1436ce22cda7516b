//! Models: one encoder a modality, a fusion, a head. The mathematics of FedMultimodal's classifiers (Feng et al., KDD
//! 2023) for any set of modalities.
//!
//! | part | choices |
//! |---|---|
//! | encoder | `conv-gru`, `gru`, `mlp`, `identity` |
//! | fusion | `attention`, `concat` |
//! | head | linear → ReLU → dropout → linear |

pub mod by_hand;
pub mod config;
pub mod encoder;
pub mod fusion;
pub mod layer;
pub mod layout;
#[cfg(test)]
mod tests;

pub use config::{Config, EncoderConfig, FusionConfig, Padding};
pub use encoder::{Input, Longest};
pub use layout::{Block, Layout};

use crate::data::ModalityShape;
use encoder::Encoder;
use fusion::Fusion;
use layer::{Linear, Masks};
use layout::Slot;
use tch::{Device, Kind, Tensor};

/// A model's architecture; the weights live outside, in flat rows `[L, P]`.
#[derive(Debug, Clone)]
pub struct Model {
    /// Where each weight lies.
    pub layout: Layout,
    shapes: Vec<ModalityShape>,
    encoders: Vec<Encoder>,
    fusion: Fusion,
    first: Linear,
    second: Linear,
    head: i64,
    /// Weights that nothing uses.
    dead: Option<Slot>,
    /// Dropout probability.
    pub dropout: f64,
    head_dropout: bool,
    padding: Padding,
}

/// The weights of one model, packed for passes by hand, which a CPU makes of one model at a time.
#[derive(Debug)]
pub struct Packed {
    encoders: Vec<Option<by_hand::Encoder>>,
    fusion: Option<by_hand::Attention>,
}

/// What the backward needs.
#[derive(Debug)]
pub struct Saved {
    encoders: Vec<encoder::Saved>,
    fusion: fusion::Saved,
    fused: Tensor,
    hidden: Tensor,
    gate: Tensor,
    packed: Option<Packed>,
}

impl Saved {
    /// The head's hidden layer `[L, B, head]`, which the output layer gets.
    pub fn hidden(&self) -> &Tensor {
        &self.hidden
    }
}

impl Model {
    /// The output layer's bias in flat rows, `[L, 1, C]`; shares memory with them.
    pub fn output_bias(&self, rows: &Tensor) -> Tensor {
        self.second.bias(rows)
    }

    /// Builds a checked configuration for data of these shapes.
    pub fn new(config: &Config, shapes: &[ModalityShape], classes: usize) -> Self {
        let mut layout = Layout::default();
        let mut encoders = Vec::new();
        let mut widths = Vec::new();
        for shape in shapes {
            layout.enter(&shape.name);
            let encoder = config.encoder_of(shape);
            widths.push(encoder.output(shape) as i64);
            encoders.push(Encoder::new(&mut layout, &encoder, shape));
        }
        layout.enter("fusion");
        let (fusion, width) = Fusion::new(&mut layout, &config.fusion, &widths);
        layout.enter("head");
        let head = config.head as i64;
        let first = Linear::new(&mut layout, "linear1", width, head);
        let second = Linear::new(&mut layout, "linear2", head, classes as i64);
        let dead = dead_weights(&mut layout, &config.fusion, width);
        Self {
            layout,
            shapes: shapes.to_vec(),
            encoders,
            fusion,
            first,
            second,
            head,
            dead,
            dropout: config.dropout,
            head_dropout: config.head_dropout,
            padding: config.padding,
        }
    }

    /// Whether what a sample gives depends on the longest one of its batch: inputs then say how long that is.
    pub fn pads_by_batch(&self) -> bool {
        self.padding == Padding::Batch
    }

    /// Number of weights P.
    pub fn parameters(&self) -> usize {
        self.layout.len() as usize
    }

    /// The parts that can be aggregated by themselves, in the order of the flat row.
    pub fn blocks(&self) -> Vec<Block> {
        let modalities: Vec<String> = self.shapes.iter().map(|shape| shape.name.clone()).collect();
        self.layout.blocks(&modalities)
    }

    /// Units that dropout decides on in a step of `batch` samples; 0 without dropout.
    pub fn dropout_units(&self, batch: i64) -> i64 {
        if self.dropout == 0.0 {
            return 0;
        }
        let encoders: i64 = self.encoders.iter().zip(&self.shapes).map(|(e, s)| e.units(s)).sum();
        batch * (encoders + if self.head_dropout { self.head } else { 0 })
    }

    /// Numbers that a training step of `batch` samples keeps for its backward, a lane; a count from above for budgets.
    pub fn activations(&self, batch: i64) -> i64 {
        let encoders: i64 = self.encoders.iter().zip(&self.shapes).map(|(e, s)| e.activations(s)).sum();
        batch.saturating_mul(encoders + 8 * self.head)
    }

    /// Logits `[L, B, C]` of the inputs (one a modality); `masks` are the step's dropout multipliers. One model on a CPU is done by
    /// hand; several at once and those on a GPU are left to libtorch.
    pub fn forward(&self, weights: &Tensor, inputs: &[Input], masks: Option<&Masks>) -> (Tensor, Saved) {
        let alone = weights.size()[0] == 1 && weights.device() == Device::Cpu;
        let packed = alone.then(|| self.packed(weights, true));
        let encode = |(i, (encoder, input)): (usize, (&Encoder, &Input))| match encoder_of(packed.as_ref(), i) {
            Some(packed) => encoder.forward_by_hand(packed, input, Some(by_hand::Training { masks })),
            None => encoder.forward(weights, input, masks, true),
        };
        let (encoded, encoders): (Vec<_>, Vec<_>) = self.encoders.iter().zip(inputs).enumerate().map(encode).unzip();
        let encoders = encoders.into_iter().flatten().collect();
        let attention = packed.as_ref().and_then(|packed| packed.fusion.as_ref());
        let (fused, fusion) = self.fusion.forward(weights, &encoded, attention, true);
        let pre = self.first.forward(weights, &fused);
        let mut gate = pre.gt(0.0).to_kind(Kind::Float);
        if let Some(masks) = masks.filter(|_| self.head_dropout) {
            gate *= masks.take(&[fused.size()[1], self.head]);
        }
        let hidden = pre * &gate;
        let logits = self.second.forward(weights, &hidden);
        (logits, Saved { encoders, fusion, fused, hidden, gate, packed })
    }

    /// The weights `[P]` of one model, packed; whether there is a backward.
    pub fn packed(&self, weights: &Tensor, backward: bool) -> Packed {
        let row = by_hand::numbers(weights);
        Packed {
            encoders: self.encoders.iter().map(|encoder| encoder.packed(&row, backward)).collect(),
            fusion: self.fusion.packed(&row, backward),
        }
    }

    /// Logits `[L, B, C]` as [`Model::forward`] gives them, keeping nothing for a backward; by hand where the weights are packed.
    pub fn score(&self, weights: &Tensor, inputs: &[Input], packed: Option<&Packed>) -> Tensor {
        let encode = |(i, (encoder, input)): (usize, (&Encoder, &Input))| match encoder_of(packed, i) {
            Some(packed) => encoder.forward_by_hand(packed, input, None).0,
            None => encoder.forward(weights, input, None, false).0,
        };
        let encoded: Vec<_> = self.encoders.iter().zip(inputs).enumerate().map(encode).collect();
        let attention = packed.and_then(|packed| packed.fusion.as_ref());
        let (fused, _) = self.fusion.forward(weights, &encoded, attention, false);
        self.second.forward(weights, &self.first.forward(weights, &fused).relu_())
    }

    /// Writes the gradient of every weight into `grads [L, P]`.
    pub fn backward(&self, weights: &Tensor, saved: Saved, glogits: &Tensor, grads: &Tensor) {
        self.backward_with(weights, saved, glogits, None, grads);
    }

    /// The same with a gradient of the head's hidden layer `[L, B, head]` besides that of the logits.
    pub fn backward_with(
        &self,
        weights: &Tensor,
        saved: Saved,
        glogits: &Tensor,
        ghidden: Option<&Tensor>,
        grads: &Tensor,
    ) {
        if let Some(dead) = &self.dead {
            let _ = dead.of(grads).zero_();
        }
        let through = self.second.backward(weights, &saved.hidden, glogits, grads);
        let ghidden = ghidden.map_or_else(|| through.shallow_clone(), |more| &through + more) * saved.gate;
        let gfused = self.first.backward(weights, &saved.fused, &ghidden, grads);
        let packed = saved.packed.as_ref();
        let attention = packed.and_then(|packed| packed.fusion.as_ref());
        let gstates = self.fusion.backward(weights, saved.fusion, &gfused, attention, grads);
        for (i, ((encoder, saved), gstates)) in self.encoders.iter().zip(saved.encoders).zip(&gstates).enumerate() {
            match (saved, encoder_of(packed, i)) {
                (encoder::Saved::ByHand(kept), Some(packed)) => encoder.backward_by_hand(packed, *kept, gstates, grads),
                (saved, _) => encoder.backward(weights, saved, gstates, grads),
            }
        }
    }

    /// Takes weight decay on weights that nothing uses back out of a lane's change `[L, P]`, in place: they stay as they are.
    pub fn keep_dead(&self, delta: &Tensor) {
        if let Some(dead) = &self.dead {
            let _ = dead.of(delta).zero_();
        }
    }
}

fn encoder_of(packed: Option<&Packed>, i: usize) -> Option<&by_hand::Encoder> {
    packed.and_then(|packed| packed.encoders[i].as_ref())
}

/// The reference's unused layers as one piece, so that what is sent can be counted as it counts.
fn dead_weights(layout: &mut Layout, fusion: &FusionConfig, width: i64) -> Option<Slot> {
    match fusion {
        FusionConfig::Concat(concat) if concat.dead_weights > 0 => {
            layout.enter("dead");
            Some(layout.add("weight", &[concat.dead_weights as i64], width))
        }
        _ => None,
    }
}
