//! `clip`: no row is longer than c.
//!
//! `y_i = x_i min(1, c / ‖x_i‖)`, with the Euclidean norm over all P coordinates, computed in f64 so that a row of 1e30 has
//! one. Rows up to c long pass bit for bit, and so does a row of zeros.
//!
//! By hand: c = 2, rows `[3, 4]` (norm 5) and `[0, 1]`: `[1.2, 1.6]` and `[0, 1]`.

use super::Pre;
use crate::aggregate::columns::fill;
use crate::aggregate::lengths::squared_norms;
use crate::aggregate::{Known, Updates, pieces};
use crate::fault::{About, Checker, Parameter, Result};
use crate::seed::Stream;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

/// Parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// Largest norm c of a row.
    pub norm: f64,
}

impl Config {
    /// The norm is positive and finite.
    pub fn check(&self, c: &mut Checker) {
        c.positive("norm", self.norm);
    }
}

/// Entry of `fedrobust list pre`.
pub const ABOUT: About = About {
    name: "clip",
    summary: "Scales updates that are too long down to a given norm.",
    formula: "y_i = x_i min(1, c / |x_i|)",
    source: "Sun et al., Can You Really Backdoor Federated Learning?, 2019 (norm thresholding of updates)",
    parameters: &[Parameter {
        name: "norm",
        default: "required",
        meaning: "largest Euclidean norm c of a client's weight change, above 0",
    }],
};

/// Clips.
#[derive(Debug)]
pub struct Clip(pub Config);

impl Pre for Clip {
    fn apply_known(&mut self, updates: Updates, known: &mut Known, _stream: &Stream) -> Result<Updates> {
        let norms: Vec<f64> = squared_norms(&updates.rows)?.into_iter().map(f64::sqrt).collect();
        shorten(updates, known, &norms, &vec![self.0.norm; norms.len()])
    }
}

/// Rows scaled down to their bounds; those that are short enough pass bit for bit.
pub(super) fn shorten(updates: Updates, known: &mut Known, norms: &[f64], bounds: &[f64]) -> Result<Updates> {
    let factor = |i: usize| if norms[i] > bounds[i] { bounds[i] / norms[i] } else { 1.0 };
    let factors: Vec<f64> = (0..norms.len()).map(factor).collect();
    if factors.iter().all(|factor| *factor == 1.0) {
        return Ok(updates);
    }
    let scaled = if updates.rows.device() == Device::Cpu { pieces::scaled } else { scaled_on_gpu };
    let rows = scaled(&updates.rows, &factors)?;
    known.scale(&factors);
    Ok(Updates { rows, ..updates })
}

/// Each row by its factor, in f64, because c / ‖x‖ may be too small for an f32.
fn scaled_on_gpu(rows: &Tensor, factors: &[f64]) -> Result<Tensor> {
    fill(rows, factors.len() as i64, |block| {
        let factors = Tensor::f_from_slice(factors)?.f_to_device(block.device())?.f_unsqueeze(1)?;
        Ok(block.f_to_kind(Kind::Double)?.f_mul_(&factors)?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aggregate::numbers;

    fn clip(norm: f64, rows: &[[f32; 2]]) -> Vec<f64> {
        let updates = Updates { rows: Tensor::from_slice2(rows), samples: vec![1.0; rows.len()] };
        numbers(&Clip(Config { norm }).apply(updates, &Stream::root(0)).unwrap().rows).unwrap()
    }

    #[test]
    fn by_hand() {
        assert_eq!(clip(2.0, &[[3.0, 4.0], [0.0, 1.0]]), [1.2_f32 as f64, 1.6_f32 as f64, 0.0, 1.0]);
    }

    #[test]
    fn rows_that_are_short_enough_and_rows_of_zeros_pass_bit_for_bit() {
        assert_eq!(clip(5.0, &[[3.0, 4.0], [0.0, 0.0]]), [3.0, 4.0, 0.0, 0.0]);
    }

    #[test]
    fn the_longest_f32_rows_have_a_norm_too() {
        let clipped = clip(1e-3, &[[f32::MAX, 0.0], [0.0, -1e30]]);
        assert_eq!(clipped, [1e-3_f32 as f64, 0.0, 0.0, -1e-3_f32 as f64]);
    }

    #[test]
    fn a_cpu_and_the_tensor_operations_of_a_gpu_agree_to_the_bit() {
        let rows = Tensor::from_slice(&(0..700).map(|i| (i as f32 * 0.7).sin()).collect::<Vec<_>>()).view([7, 100]);
        let factors = [1.0, 0.3, 1e-40, 1.0, 0.77, 0.5, 1e-3];
        let (cpu, gpu) = (pieces::scaled(&rows, &factors).unwrap(), scaled_on_gpu(&rows, &factors).unwrap());
        assert_eq!((&cpu, cpu.get(3)), (&gpu, rows.get(3)));
    }

    #[test]
    fn defect_5_byzfl_clipping_the_callers_rows_stay_as_they_are() {
        let rows = Tensor::from_slice2(&[[3.0_f32, 4.0]]);
        let updates = Updates { rows: rows.shallow_clone(), samples: vec![1.0] };
        Clip(Config { norm: 1.0 }).apply(updates, &Stream::root(0)).unwrap();
        assert_eq!(rows, Tensor::from_slice2(&[[3.0_f32, 4.0]]));
    }

    #[test]
    fn a_norm_that_is_not_positive_is_a_fault() {
        for norm in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let mut c = Checker::default();
            Config { norm }.check(&mut c);
            assert_eq!(c.faults.len(), 1, "{norm}");
        }
    }
}
