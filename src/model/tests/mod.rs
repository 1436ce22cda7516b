//! Holds the explicit backward of every layer, and of whole models, against autograd.

mod counts;
mod layers;
mod models;
mod reference;

use super::layer::Masks;
use crate::seed::Stream;
use rand::Rng;
use tch::{Device, Kind, Tensor};

/// Numbers uniform in ±1, the same for the same name.
pub(super) fn random(name: &str, shape: &[i64]) -> Tensor {
    let mut rng = Stream::root(1).named(name).rng();
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| rng.random_range(-1.0..1.0)).collect();
    Tensor::from_slice(&values).view(shape)
}

/// Zeros and ones, a one with this share.
fn bits(name: &str, shape: &[i64], share: f64) -> Tensor {
    random(name, shape).lt(2.0 * share - 1.0).to_kind(Kind::Float)
}

/// Multipliers `[L, U]` of so many samples, given.
fn masks(multipliers: &Tensor, kept: f64, batch: i64) -> Masks {
    let [lanes, units] = [multipliers.size()[0], multipliers.size()[1]];
    let starts = Tensor::arange(lanes, (Kind::Int64, Device::Cpu)) * units;
    Masks::new(multipliers.reshape([-1]), starts, kept, batch)
}

/// Gradient rows that no layer has written yet: a slot left out stays NaN.
fn unwritten(weights: &Tensor) -> Tensor {
    Tensor::full(weights.size(), f64::NAN, (Kind::Float, Device::Cpu))
}

/// Whether two tensors agree: relative to the expected one, and to `scale` where that is (mathematically) zero.
#[track_caller]
fn assert_close(what: &str, found: &Tensor, expected: &Tensor, scale: f64) {
    assert_within(1e-5, what, found, expected, scale);
}

/// [`assert_close`] of passes by hand, whose convolutions round more (Winograd's products).
#[track_caller]
fn assert_close_by_hand(what: &str, found: &Tensor, expected: &Tensor, scale: f64) {
    assert_within(4e-5, what, found, expected, scale);
}

#[track_caller]
fn assert_within(relative: f64, what: &str, found: &Tensor, expected: &Tensor, scale: f64) {
    assert_eq!(found.size(), expected.size(), "{what}: shape");
    let norm = |t: &Tensor| t.to_kind(Kind::Double).norm().double_value(&[]);
    let (error, size) = (norm(&(found - expected)), norm(expected));
    assert!(error <= relative * (size + 0.1 * scale), "{what}: error {error:.3e} against a norm of {size:.3e}");
}
