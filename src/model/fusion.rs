//! Fusion: the encoders' states to one vector a sample.

use super::by_hand;
use super::config::{FusionConfig, Mask, Mean};
use super::encoder::{Encoded, steps_below};
use super::layer::attention::{self, AttentionPool, Hidden};
use super::layout::Layout;
use tch::{Kind, Tensor};

/// A fusion.
#[derive(Debug, Clone)]
pub enum Fusion {
    /// Attention pooling over the steps of all modalities.
    Attention(AttentionPool, Mask),
    /// Mean over steps, side by side.
    Concat(Mean),
}

/// What the backward needs.
#[derive(Debug)]
pub enum Saved {
    /// Of attention, and the steps of each modality.
    Attention(Pooled, Vec<i64>),
    /// Of attention with masked heads, and which states are no padding.
    MaskedHeads(Pooled, Option<Tensor>),
    /// Of concat: each modality's share of a step in its mean `[L, B, S, 1]`, and its width.
    Concat(Vec<(Tensor, i64)>),
}

/// What the backward needs of attention.
#[derive(Debug)]
pub enum Pooled {
    /// Of several models at once.
    Stacked(attention::Saved),
    /// Of one model by hand; nothing where there is no backward.
    ByHand(Option<by_hand::Pooled>),
}

impl Fusion {
    /// Adds the fusion's weights to a layout; gives it with the width of its output.
    pub fn new(layout: &mut Layout, config: &FusionConfig, widths: &[i64]) -> (Self, i64) {
        match config {
            FusionConfig::Attention(a) => {
                let (width, heads) = (widths.first().copied().unwrap_or(1), a.heads as i64);
                (Fusion::Attention(AttentionPool::new(layout, width, a.units as i64, heads), a.mask), heads * width)
            }
            FusionConfig::Concat(concat) => (Fusion::Concat(concat.mean), widths.iter().sum()),
        }
    }

    /// Forward: `[L, B, F]`; attention of one model by hand where it is packed. What a backward needs is kept where `keep` says so.
    pub fn forward(
        &self,
        weights: &Tensor,
        encoded: &[Encoded],
        packed: Option<&by_hand::Attention>,
        keep: bool,
    ) -> (Tensor, Saved) {
        match self {
            Fusion::Attention(pool, mask) => {
                let (states, hidden) = attended(pool, *mask, encoded);
                let (pooled, saved) = match packed {
                    Some(packed) => {
                        let (pooled, kept) = packed.forward(&states, &hidden, keep);
                        (pooled, Pooled::ByHand(kept))
                    }
                    None => {
                        let (pooled, saved) = pool.forward(weights, states, hidden);
                        (pooled, Pooled::Stacked(saved))
                    }
                };
                let saved = match mask {
                    Mask::Heads => Saved::MaskedHeads(saved, encoded[0].valid.as_ref().map(Tensor::shallow_clone)),
                    Mask::Steps => Saved::Attention(saved, encoded.iter().map(|e| e.states.size()[2]).collect()),
                };
                (pooled, saved)
            }
            Fusion::Concat(mean) => {
                let share = |e: &Encoded| match mean {
                    Mean::Valid => valid_shares(e),
                    Mean::Padded => padded_shares(e),
                };
                let shares: Vec<Tensor> = encoded.iter().map(share).collect();
                let mean = |(e, share): (&Encoded, &Tensor)| {
                    (&e.states * share).sum_dim_intlist([2].as_slice(), false, Kind::Float)
                };
                let pooled: Vec<Tensor> = encoded.iter().zip(&shares).map(mean).collect();
                let widths = pooled.iter().map(|p| p.size()[2]);
                let saved = shares.into_iter().zip(widths).collect();
                (Tensor::cat(&pooled, 2), Saved::Concat(saved))
            }
        }
    }

    /// Attention by hand, with the weights of a flat row `[P]`; whether there is a backward.
    pub fn packed(&self, row: &[f32], backward: bool) -> Option<by_hand::Attention> {
        match self {
            Fusion::Attention(pool, _) => Some(by_hand::Attention::new(pool.within(row), backward)),
            Fusion::Concat(_) => None,
        }
    }

    /// Backward: the gradient of each modality's states.
    pub fn backward(
        &self,
        weights: &Tensor,
        saved: Saved,
        gy: &Tensor,
        packed: Option<&by_hand::Attention>,
        grads: &Tensor,
    ) -> Vec<Tensor> {
        let mut start = 0;
        match (self, saved) {
            (Fusion::Attention(pool, _), Saved::MaskedHeads(saved, valid)) => {
                let gstates = unpooled(pool, weights, saved, gy, packed, grads);
                vec![valid.map_or_else(|| gstates.shallow_clone(), |valid| &gstates * valid.unsqueeze(-1))]
            }
            (Fusion::Attention(pool, _), Saved::Attention(saved, steps)) => {
                let gstates = unpooled(pool, weights, saved, gy, packed, grads);
                let mut piece = |steps: i64| {
                    start += steps;
                    gstates.narrow(2, start - steps, steps)
                };
                steps.into_iter().map(&mut piece).collect()
            }
            (Fusion::Concat(_), Saved::Concat(saved)) => {
                let mut piece = |(share, width): (Tensor, i64)| {
                    start += width;
                    gy.narrow(2, start - width, width).unsqueeze(2) * share
                };
                saved.into_iter().map(&mut piece).collect()
            }
            _ => unreachable!("a fusion gets back what it saved"),
        }
    }
}

/// Back through attention: the gradient of the states.
fn unpooled(
    pool: &AttentionPool,
    weights: &Tensor,
    saved: Pooled,
    gy: &Tensor,
    packed: Option<&by_hand::Attention>,
    grads: &Tensor,
) -> Tensor {
    match (saved, packed) {
        (Pooled::Stacked(saved), _) => pool.backward(weights, saved, gy, grads),
        (Pooled::ByHand(Some(kept)), Some(packed)) => {
            let (gradients, gstates) = packed.backward(kept, gy);
            pool.first().write_from(grads, &gradients);
            gstates
        }
        _ => unreachable!("attention gets back what it kept"),
    }
}

/// The states of all modalities on one time axis, and what of them takes no part.
fn attended(pool: &AttentionPool, mask: Mask, encoded: &[Encoded]) -> (Tensor, Hidden) {
    if mask == Mask::Heads {
        return masked_heads(pool, &encoded[0]);
    }
    let states: Vec<&Tensor> = encoded.iter().map(|e| &e.states).collect();
    (Tensor::cat(&states, 2).contiguous(), Hidden { steps: joint_validity(encoded), heads: None })
}

/// One modality in FedMultimodal's way: a sample's length masks heads, which then weigh all steps alike, and padding
/// takes part, as zeros, up to the longest sample of the batch.
fn masked_heads(pool: &AttentionPool, encoded: &Encoded) -> (Tensor, Hidden) {
    let Encoded { states, valid, longest, .. } = encoded;
    let [lanes, batch, steps] = [states.size()[0], states.size()[1], states.size()[2]];
    let left = match valid {
        Some(valid) => valid.sum_dim_intlist([2].as_slice(), false, Kind::Int64),
        None => Tensor::full([lanes, batch], steps, (Kind::Int64, states.device())),
    };
    let hidden = Hidden {
        steps: longest.as_ref().map(|longest| steps_below(longest, steps).expand([lanes, batch, steps], false)),
        heads: Some(steps_below(&left, pool.heads())),
    };
    let states = valid.as_ref().map_or_else(|| states.shallow_clone(), |valid| states * valid.unsqueeze(-1));
    (states.contiguous(), hidden)
}

/// Validity of the joint time axis; `None` when every step of every modality is valid.
fn joint_validity(encoded: &[Encoded]) -> Option<Tensor> {
    encoded.iter().any(|e| e.valid.is_some()).then(|| {
        let ones = |e: &Encoded| Tensor::ones(&e.states.size()[..3], (Kind::Float, e.states.device()));
        let parts: Vec<Tensor> =
            encoded.iter().map(|e| e.valid.as_ref().map_or_else(|| ones(e), Tensor::shallow_clone)).collect();
        Tensor::cat(&parts, 2)
    })
}

/// Weight of each step in its modality's mean: 1/(valid steps), 0 for steps that are not valid.
fn valid_shares(encoded: &Encoded) -> Tensor {
    match &encoded.valid {
        None => equal_shares(encoded),
        Some(valid) => {
            let count = valid.sum_dim_intlist([2].as_slice(), true, Kind::Float).clamp_min(1.0);
            (valid / count).unsqueeze(-1)
        }
    }
}

/// As the reference: every step counts (of the array, or up to the longest sample of the batch), those beyond a sample's length
/// as zeros; absence is not masked.
fn padded_shares(encoded: &Encoded) -> Tensor {
    let equal = match &encoded.longest {
        None => equal_shares(encoded),
        Some(longest) => longest.clamp_min(1).to_kind(Kind::Float).reciprocal().unsqueeze(-1).unsqueeze(-1),
    };
    encoded.within.as_ref().map_or_else(|| equal.copy(), |within| within.unsqueeze(-1) * &equal)
}

/// 1/(steps) for every step.
fn equal_shares(encoded: &Encoded) -> Tensor {
    let steps = encoded.states.size()[2];
    Tensor::full([1, 1, steps, 1], 1.0 / steps as f64, (Kind::Float, encoded.states.device()))
}
