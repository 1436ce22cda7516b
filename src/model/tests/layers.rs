//! Every layer by itself: value, gradients of the weights, gradient of the input.

use super::reference::{self, Weights};
use super::{assert_close, bits, masks, random, unwritten};
use crate::model::config::{Attention, Concat};
use crate::model::encoder::Encoded;
use crate::model::fusion::Fusion;
use crate::model::layer::attention::Hidden;
use crate::model::layer::{AttentionPool, ConvBlock, Gru, Linear, loss};
use crate::model::{FusionConfig, Layout};
use tch::{Kind, Reduction, Tensor};

const LANES: i64 = 3;
const BATCH: i64 = 4;

/// A layout in which one layer called `it.…` was made, and different weights for every lane.
fn layer<T>(make: impl FnOnce(&mut Layout) -> T) -> (T, Layout, Tensor) {
    tch::set_num_threads(1);
    let mut layout = Layout::default();
    layout.enter("it");
    let made = make(&mut layout);
    let weights = random("weights", &[LANES, layout.len()]);
    (made, layout, weights)
}

/// The reference over all lanes and samples of `xs [L, B, …]`: value, gradients of the weights, and of every input under
/// the output gradient `gy`.
fn expected(
    layout: &Layout,
    weights: &Tensor,
    xs: &[&Tensor],
    gy: &Tensor,
    one: impl Fn(&Weights, &[Tensor], i64, i64) -> Tensor,
) -> (Tensor, Tensor, Vec<Tensor>) {
    let leaf = |t: &Tensor| t.copy().set_requires_grad(true);
    let (weights, xs) = (leaf(weights), xs.iter().map(|x| leaf(x)).collect::<Vec<_>>());
    let lane = |l: i64| {
        let w = Weights::of(layout, &weights.get(l));
        let sample = |b: i64| one(&w, &xs.iter().map(|x| x.get(l).get(b)).collect::<Vec<_>>(), l, b);
        Tensor::stack(&(0..BATCH).map(sample).collect::<Vec<_>>(), 0)
    };
    let y = Tensor::stack(&(0..LANES).map(lane).collect::<Vec<_>>(), 0);
    (&y * gy).sum(Kind::Float).backward();
    let grad = |t: &Tensor| if t.grad().defined() { t.grad() } else { t.zeros_like() };
    (y.detach(), grad(&weights), xs.iter().map(grad).collect())
}

#[test]
fn linear_agrees_with_autograd() {
    let (linear, layout, weights) = layer(|layout| Linear::new(layout, "a", 5, 7));
    let (x, gy) = (random("x", &[LANES, BATCH, 5]), random("gy", &[LANES, BATCH, 7]));
    let grads = unwritten(&weights);
    let y = linear.forward(&weights, &x);
    let gx = linear.backward(&weights, &x, &gy, &grads);
    let one = |w: &Weights, x: &[Tensor], _, _| reference::linear(w, "it.a", &x[0].unsqueeze(0)).squeeze_dim(0);
    let (ey, egrads, egx) = expected(&layout, &weights, &[&x], &gy, one);
    assert_close("value", &y, &ey, 0.0);
    assert_close("weights", &grads, &egrads, 0.0);
    assert_close("input", &gx, &egx[0], 0.0);
}

#[test]
fn conv_block_agrees_with_autograd_at_any_length_with_and_without_masks() {
    for time in [2, 3, 5, 8, 13] {
        for (masked, cut) in [(false, false), (true, false), (false, true), (true, true)] {
            let (half, name) = (time / 2, format!("time {time}, masked {masked}, cut {cut}"));
            let (conv, layout, weights) = layer(|layout| ConvBlock::new(layout, "a", 3, 6));
            assert_eq!(conv.units(time), half * 6);
            let x = random(&name, &[LANES, BATCH, time, 3]);
            let gy = random("gy", &[LANES, BATCH, half, 6]);
            let mask = bits("mask", &[LANES, BATCH, half, 6], 0.7) / 0.7;
            let masks = masked.then(|| masks(&mask.reshape([LANES, -1]), 1.0 / 0.7, BATCH));
            let valid = bits("valid", &[LANES, BATCH, half], 0.7);
            let grads = unwritten(&weights);
            let (y, saved) = conv.forward(&weights, &x, masks.as_ref(), cut.then_some(&valid));
            let gx = conv.backward(&weights, saved, &gy, &grads, true).unwrap();
            let one = |w: &Weights, x: &[Tensor], l: i64, b: i64| {
                let mut y = reference::conv_block(w, "it.a", &x[0]);
                if masked {
                    y *= mask.get(l).get(b);
                }
                if cut { y * valid.get(l).get(b).unsqueeze(1) } else { y }
            };
            let (ey, egrads, egx) = expected(&layout, &weights, &[&x], &gy, one);
            assert_close(&format!("{name}: value"), &y, &ey, 0.0);
            assert_close(&format!("{name}: weights"), &grads, &egrads, 0.0);
            assert_close(&format!("{name}: input"), &gx, &egx[0], 0.0);
        }
    }
}

#[test]
fn a_layer_whose_input_gradient_nobody_wants_still_writes_its_weights() {
    let (conv, _, weights) = layer(|layout| ConvBlock::new(layout, "a", 3, 6));
    let (x, gy) = (random("x", &[LANES, BATCH, 7, 3]), random("gy", &[LANES, BATCH, 3, 6]));
    let [wanted, unwanted] = [true, false].map(|want| {
        let grads = unwritten(&weights);
        let saved = conv.forward(&weights, &x, None, None).1;
        assert_eq!(conv.backward(&weights, saved, &gy, &grads, want).is_some(), want);
        grads
    });
    assert_eq!(wanted, unwanted);
    let (gru, _, weights) = layer(|layout| Gru::new(layout, "a", 3, 6));
    let gy = random("gy", &[LANES, BATCH, 7, 6]);
    let [wanted, unwanted] = [true, false].map(|want| {
        let grads = unwritten(&weights);
        let saved = gru.forward(&weights, &x).1;
        assert_eq!(gru.backward(&weights, saved, &gy, &grads, want).is_some(), want);
        grads
    });
    assert_eq!(wanted, unwanted);
}

#[test]
fn gru_agrees_with_autograd() {
    for time in [1, 2, 7] {
        let (gru, layout, weights) = layer(|layout| Gru::new(layout, "a", 4, 5));
        let (x, gy) = (random("x", &[LANES, BATCH, time, 4]), random("gy", &[LANES, BATCH, time, 5]));
        let grads = unwritten(&weights);
        let (y, saved) = gru.forward(&weights, &x);
        let gx = gru.backward(&weights, saved, &gy, &grads, true).unwrap();
        let one = |w: &Weights, x: &[Tensor], _, _| reference::gru(w, "it.a", &x[0]);
        let (ey, egrads, egx) = expected(&layout, &weights, &[&x], &gy, one);
        assert_close(&format!("time {time}: value"), &y, &ey, 0.0);
        assert_close(&format!("time {time}: weights"), &grads, &egrads, 0.0);
        assert_close(&format!("time {time}: input"), &gx, &egx[0], 0.0);
    }
}

/// The steps of a sample that are valid.
fn valid_steps(x: &Tensor, valid: &Tensor) -> Tensor {
    x.index_select(0, &valid.nonzero().squeeze_dim(1))
}

#[test]
fn attention_pool_agrees_with_autograd_and_ignores_what_is_not_valid() {
    for cut in [false, true] {
        let (pool, layout, weights) = layer(|layout| AttentionPool::new(layout, 4, 9, 3));
        let (x, gy) = (random("x", &[LANES, BATCH, 6, 4]), random("gy", &[LANES, BATCH, 12]));
        let valid = bits("valid", &[LANES, BATCH, 6], 0.6);
        let _ = valid.get(1).get(2).zero_();
        let grads = unwritten(&weights);
        let (y, saved) =
            pool.forward(&weights, x.copy(), Hidden { steps: cut.then(|| valid.shallow_clone()), heads: None });
        let gx = pool.backward(&weights, saved, &gy, &grads);
        let one = |w: &Weights, x: &[Tensor], l: i64, b: i64| {
            let x = if cut { valid_steps(&x[0], &valid.get(l).get(b)) } else { x[0].shallow_clone() };
            reference::attention(w, "it", &x)
        };
        let (ey, egrads, egx) = expected(&layout, &weights, &[&x], &gy, one);
        assert_close("value", &y, &ey, 0.0);
        assert_close("weights", &grads, &egrads, 0.0);
        assert_close("input", &gx, &egx[0], 0.0);
        if cut {
            assert_eq!(y.get(1).get(2).abs().max().double_value(&[]), 0.0, "nothing valid gives exactly zero");
        }
    }
}

#[test]
fn fusions_agree_with_autograd_for_any_mix_of_validity() {
    let attention = FusionConfig::Attention(Attention { heads: 2, units: 5, ..Attention::default() });
    for config in [attention, FusionConfig::Concat(Concat::default())] {
        for (first, second) in [(false, false), (true, false), (true, true)] {
            let name = format!("{config:?}, valid {first} {second}");
            let ((fusion, width), layout, weights) = layer(|layout| Fusion::new(layout, &config, &[4, 4]));
            let xs = [random("a", &[LANES, BATCH, 5, 4]), random("b", &[LANES, BATCH, 3, 4])];
            let valid = [
                first.then(|| bits("va", &[LANES, BATCH, 5], 0.5)),
                second.then(|| bits("vb", &[LANES, BATCH, 3], 0.5)),
            ];
            let gy = random("gy", &[LANES, BATCH, width]);
            let grads = unwritten(&weights);
            let encoded = |m: usize| Encoded {
                states: xs[m].copy(),
                valid: valid[m].as_ref().map(Tensor::copy),
                within: None,
                longest: None,
            };
            let (y, saved) = fusion.forward(&weights, &[encoded(0), encoded(1)], None, true);
            let gstates = fusion.backward(&weights, saved, &gy, None, &grads);
            let one = |w: &Weights, x: &[Tensor], l: i64, b: i64| {
                let cut = |(x, valid): (&Tensor, &Option<Tensor>)| match valid {
                    Some(valid) => valid_steps(x, &valid.get(l).get(b)),
                    None => x.shallow_clone(),
                };
                let states: Vec<Tensor> = x.iter().zip(&valid).map(cut).collect();
                match config {
                    FusionConfig::Attention(_) => reference::attention(w, "it", &Tensor::cat(&states, 0)),
                    FusionConfig::Concat(_) => reference::concat(&states),
                }
            };
            let (ey, egrads, egx) = expected(&layout, &weights, &[&xs[0], &xs[1]], &gy, one);
            assert_close(&format!("{name}: value"), &y, &ey, 0.0);
            assert_close(&format!("{name}: weights"), &grads, &egrads, 0.0);
            for (m, (found, expected)) in gstates.iter().zip(&egx).enumerate() {
                assert_close(&format!("{name}: states {m}"), found, expected, 0.0);
            }
        }
    }
}

#[test]
fn cross_entropy_agrees_with_autograd_also_at_large_logits() {
    for scale in [1.0, 60.0] {
        let logits = (random("logits", &[LANES, BATCH, 5]) * scale).set_requires_grad(true);
        let labels = (random("labels", &[LANES, BATCH]) * 2.5 + 2.5).to_kind(Kind::Int64);
        let weight = random("weight", &[LANES, BATCH]).abs();
        let (loss, gradient) = loss::cross_entropy(&logits.detach(), &labels, &weight);
        let expected = logits
            .view([-1, 5])
            .cross_entropy_loss::<Tensor>(&labels.view(-1), None, Reduction::None, -100, 0.0)
            .view([LANES, BATCH]);
        (&expected * &weight).sum(Kind::Float).backward();
        assert_close("loss", &loss, &expected.detach(), 0.0);
        assert_close("gradient", &gradient, &logits.grad(), 0.0);
    }
}

#[test]
fn binary_cross_entropy_agrees_with_autograd_also_at_large_logits() {
    for scale in [1.0, 60.0] {
        let logits = (random("logits", &[LANES, BATCH, 5]) * scale).set_requires_grad(true);
        let labels = bits("labels", &[LANES, BATCH, 5], 0.4);
        let weight = random("weight", &[LANES, BATCH]).abs();
        let (loss, gradient) = loss::binary_cross_entropy(&logits.detach(), &labels, &weight);
        let expected = logits
            .binary_cross_entropy_with_logits::<Tensor>(&labels, None, None, Reduction::None)
            .mean_dim([-1].as_slice(), false, Kind::Float);
        (&expected * &weight).sum(Kind::Float).backward();
        assert_close("loss", &loss, &expected.detach(), 0.0);
        assert_close("gradient", &gradient, &logits.grad(), 0.0);
    }
}
