//! The same mathematics in plain differentiable operations, in PyTorch's layouts: one lane and one sample at a time, cut
//! to its length, so that neither stacking nor padding nor masking can be wrong here.

use crate::data::ModalityShape;
use crate::model::config::Mean;
use crate::model::{Config, EncoderConfig, FusionConfig, Layout};
use std::collections::BTreeMap;
use tch::{Device, Kind, Tensor};

/// One lane's weights by name.
pub struct Weights(BTreeMap<String, Tensor>);

impl Weights {
    pub fn of(layout: &Layout, row: &Tensor) -> Self {
        Self(layout.split(row).into_iter().collect())
    }

    fn get(&self, name: &str) -> &Tensor {
        &self.0[name]
    }
}

/// `x [T, C] → [⌊T/2⌋, O]`, ReLU before the pool.
pub fn conv_block(w: &Weights, name: &str, x: &Tensor) -> Tensor {
    let (bias, channels) = (w.get(&format!("{name}.bias")), x.size()[1]);
    if x.size()[0] < 2 {
        return Tensor::zeros([0, bias.size()[0]], (Kind::Float, Device::Cpu));
    }
    let weight = w.get(&format!("{name}.weight")).view([5, channels, -1]).permute([2, 1, 0]);
    let y = x.transpose(0, 1).unsqueeze(0).conv1d(&weight, Some(bias), [1], [2], [1], 1).relu();
    y.max_pool1d([2], [2], [0], [1], false).squeeze_dim(0).transpose(0, 1)
}

/// `x [T, I] → [T, H]`, step by step.
pub fn gru(w: &Weights, name: &str, x: &Tensor) -> Tensor {
    let get = |part: &str| w.get(&format!("{name}.{part}"));
    let hidden = get("weight_hh").size()[0];
    let mut state = Tensor::zeros([1, hidden], (Kind::Float, Device::Cpu));
    let mut states = vec![Tensor::zeros([0, hidden], (Kind::Float, Device::Cpu))];
    for t in 0..x.size()[0] {
        let input = (x.narrow(0, t, 1).matmul(get("weight_ih")) + get("bias_ih")).chunk(3, 1);
        let sent = (state.matmul(get("weight_hh")) + get("bias_hh")).chunk(3, 1);
        let reset = (&input[0] + &sent[0]).sigmoid();
        let update = (&input[1] + &sent[1]).sigmoid();
        let new = (&input[2] + reset * &sent[2]).tanh();
        state = (1.0 - &update) * new + update * state;
        states.push(state.shallow_clone());
    }
    Tensor::cat(&states, 0)
}

/// `x [N, I] → [N, O]`.
pub fn linear(w: &Weights, name: &str, x: &Tensor) -> Tensor {
    x.matmul(w.get(&format!("{name}.weight"))) + w.get(&format!("{name}.bias"))
}

/// `x [S, H] → [K · H]`; zeros without a step.
pub fn attention(w: &Weights, block: &str, x: &Tensor) -> Tensor {
    let scores = linear(w, &format!("{block}.second"), &linear(w, &format!("{block}.first"), x).tanh());
    if x.size()[0] == 0 {
        return Tensor::zeros([scores.size()[1] * x.size()[1]], (Kind::Float, Device::Cpu));
    }
    scores.softmax(0, Kind::Float).transpose(0, 1).matmul(x).flatten(0, -1)
}

/// The mean of each `[S, H]`, side by side; zeros where there is no step.
pub fn concat(states: &[Tensor]) -> Tensor {
    let mean = |x: &Tensor| match x.size()[0] {
        0 => Tensor::zeros([x.size()[1]], (Kind::Float, Device::Cpu)),
        _ => x.mean_dim([0].as_slice(), false, Kind::Float),
    };
    Tensor::cat(&states.iter().map(mean).collect::<Vec<_>>(), 0)
}

/// As [`concat`], over `steps` steps: those that are not there count as zeros.
pub fn concat_padded(states: &[Tensor], steps: &[i64]) -> Tensor {
    let mean = |(x, &steps): (&Tensor, &i64)| x.sum_dim_intlist([0].as_slice(), false, Kind::Float) / steps as f64;
    Tensor::cat(&states.iter().zip(steps).map(mean).collect::<Vec<_>>(), 0)
}

/// One sample: the valid steps `[T, D]` of each modality (`None` where absent), and dropout's multipliers by layer.
pub struct Sample {
    pub values: Vec<Option<Tensor>>,
    pub masks: BTreeMap<String, Tensor>,
}

impl Sample {
    fn drop(&self, layer: &str, x: Tensor) -> Tensor {
        match self.masks.get(layer) {
            Some(mask) => &x * mask.narrow(0, 0, x.size()[0]),
            None => x,
        }
    }

    fn encode(&self, w: &Weights, encoder: &EncoderConfig, name: &str, x: &Tensor) -> Tensor {
        match encoder {
            EncoderConfig::ConvGru(_) => {
                let mut x = x.shallow_clone();
                for block in ["conv1", "conv2", "conv3"].map(|block| format!("{name}.{block}")) {
                    x = self.drop(&block, conv_block(w, &block, &x));
                }
                gru(w, &format!("{name}.gru"), &x)
            }
            EncoderConfig::Gru(_) => gru(w, &format!("{name}.gru"), x),
            EncoderConfig::Mlp(_) => {
                let hidden = self.drop(&format!("{name}.linear1"), linear(w, &format!("{name}.linear1"), x).relu());
                linear(w, &format!("{name}.linear2"), &hidden)
            }
            EncoderConfig::Identity(_) => x.shallow_clone(),
        }
    }

    /// Logits `[C]` of a whole model.
    pub fn logits(&self, config: &Config, shapes: &[ModalityShape], w: &Weights) -> Tensor {
        let padded = matches!(&config.fusion, FusionConfig::Concat(concat) if concat.mean == Mean::Padded);
        let states = |(shape, x): (&ModalityShape, &Option<Tensor>)| {
            let encoder = config.encoder_of(shape);
            match x {
                Some(x) => self.encode(w, &encoder, &shape.name, x),
                None if padded => {
                    let zeros = Tensor::zeros([shape.time as i64, shape.width as i64], (Kind::Float, Device::Cpu));
                    self.encode(w, &encoder, &shape.name, &zeros)
                }
                None => Tensor::zeros([0, encoder.output(shape) as i64], (Kind::Float, Device::Cpu)),
            }
        };
        let states: Vec<Tensor> = shapes.iter().zip(&self.values).map(states).collect();
        let fused = match config.fusion {
            FusionConfig::Attention(_) => attention(w, "fusion", &Tensor::cat(&states, 0)),
            FusionConfig::Concat(_) if padded => {
                let steps = |shape: &ModalityShape| match config.encoder_of(shape) {
                    EncoderConfig::ConvGru(_) => shape.time as i64 / 8,
                    _ => shape.time as i64,
                };
                concat_padded(&states, &shapes.iter().map(steps).collect::<Vec<_>>())
            }
            FusionConfig::Concat(_) => concat(&states),
        };
        let hidden = self.drop("head", linear(w, "head.linear1", &fused.unsqueeze(0)).relu());
        linear(w, "head.linear2", &hidden).squeeze_dim(0)
    }
}
