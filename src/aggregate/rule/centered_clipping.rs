//! `centered-clipping`: the last result, moved by clipped differences from it.
//!
//! `v ← v + (1/n) Σ (x_i − v) min(1, τ / ‖x_i − v‖)`, `steps` times a round; v is zero before the first round and is kept,
//! in checkpoints too. A bad row moves v by no more than τ / n a step. Computed in f64 row by row, so that a row of 1e30 is
//! clipped to τ and not to rounding noise. Peers: ByzFL τ = 100, 1 step; Blades τ = 5, 5 steps.
//!
//! By hand: τ = 1, rows `[0.5]`, `[9.5]`: `(0.5 + 1) / 2 = 0.75`; the next round: `0.75 + (−0.25 + 1) / 2 = 1.125`.

use super::Rule;
use crate::aggregate::columns::walk_beside;
use crate::aggregate::lengths::{squared_distances_on_cpu, squared_distances_on_gpu};
use crate::aggregate::pieces::{Block, down_columns};
use crate::aggregate::{State, Updates, sums};
use crate::fault::{About, Checker, Parameter, Result};
use crate::seed::Stream;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

/// Parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Config {
    /// Radius τ.
    pub tau: f64,
    /// Steps a round.
    pub steps: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { tau: 10.0, steps: 1 }
    }
}

impl Config {
    /// τ is positive, there is a step.
    pub fn check(&self, c: &mut Checker) {
        c.positive("tau", self.tau);
        c.count("steps", self.steps, 1, 100_000);
    }
}

/// Entry of `fedrobust list aggregate`.
pub const ABOUT: About = About {
    name: "centered-clipping",
    summary: "Moves the last result by the updates' differences from it, each clipped.",
    formula: "v = v + (1/n) sum_i (x_i - v) min(1, tau / |x_i - v|), steps times a round; v is kept between rounds, zero at first",
    source: "Karimireddy, He and Jaggi, Learning from History for Byzantine Robust Optimization, ICML 2021, Algorithm 2",
    parameters: &[
        Parameter {
            name: "tau",
            default: "10.0",
            meaning: "radius in units of a client's weight change, above 0; tune it",
        },
        Parameter { name: "steps", default: "1", meaning: "clipping steps a round, from 1" },
    ],
};

/// Clips about its last result.
#[derive(Debug)]
pub struct CenteredClipping {
    config: Config,
    /// In f64: the clipped moves may be far smaller than the place.
    centre: Option<Tensor>,
}

impl CenteredClipping {
    /// Before its first round.
    pub fn new(config: &Config) -> Self {
        Self { config: config.clone(), centre: None }
    }

    /// `f_i / n` of each row.
    fn shares(&self, squares: &[f64]) -> Vec<f64> {
        let share = |square: &f64| {
            // Positive form: a row as far as the centre has a norm of 0 and a factor of 1.
            let norm = square.sqrt();
            let factor = if norm > self.config.tau { self.config.tau / norm } else { 1.0 };
            factor / squares.len() as f64
        };
        squares.iter().map(share).collect()
    }

    /// All steps on a CPU, each in two walks over the rows.
    fn steps_on_cpu(&self, rows: &Tensor, centre: &Tensor) -> Result<Tensor> {
        let mut centre = centre.shallow_clone();
        for _ in 0..self.config.steps {
            let before = Vec::<f64>::try_from(&centre)?;
            let shares = self.shares(&squared_distances_on_cpu(rows, &before)?);
            centre = moved_on_cpu(rows, &before, &shares)?;
        }
        Ok(centre)
    }

    /// The same in tensor operations.
    fn steps_on_gpu(&self, rows: &Tensor, centre: &Tensor) -> Result<Tensor> {
        let mut centre = centre.shallow_clone();
        for _ in 0..self.config.steps {
            let shares = self.shares(&squared_distances_on_gpu(rows, &centre)?);
            centre = moved_on_gpu(rows, &centre, &shares)?;
        }
        Ok(centre)
    }
}

/// `v + Σ_i c_i (x_i − v)`.
fn moved_on_cpu(rows: &Tensor, centre: &[f64], shares: &[f64]) -> Result<Tensor> {
    let move_by = |moves: &mut [f64], block: Block| {
        let beside = &centre[block.columns.clone()];
        let shares = &shares[block.rows.clone()];
        block.pieces().zip(shares).for_each(|(piece, share)| sums::add_move(moves, *share, piece, beside));
    };
    down_columns(rows, move_by, |moves, columns| sums::add_scaled(moves, 1.0, &centre[columns]))
}

fn moved_on_gpu(rows: &Tensor, centre: &Tensor, shares: &[f64]) -> Result<Tensor> {
    let moved = walk_beside(rows, centre, |block, centre| {
        let shares = Tensor::f_from_slice(shares)?.f_to_device(block.device())?.f_unsqueeze(1)?;
        let moves = block.f_to_kind(Kind::Double)?.f_sub_(&centre)?.f_mul_(&shares)?;
        Ok(centre.f_add(&moves.f_sum_dim_intlist([0_i64].as_slice(), false, Kind::Double)?)?)
    })?;
    Ok(Tensor::f_cat(&moved, 0)?)
}

impl Rule for CenteredClipping {
    fn aggregate(&mut self, updates: &Updates, _stream: &Stream) -> Result<Tensor> {
        let (columns, device) = (updates.rows.size()[1], updates.rows.device());
        let before = match &self.centre {
            Some(centre) => centre.f_to_device(device)?,
            None => Tensor::f_zeros([columns], (Kind::Double, device))?,
        };
        let centre = if device == Device::Cpu {
            self.steps_on_cpu(&updates.rows, &before)?
        } else {
            self.steps_on_gpu(&updates.rows, &before)?
        };
        let made = centre.f_to_kind(Kind::Float)?;
        self.centre = Some(centre);
        Ok(made)
    }

    fn state(&self) -> State {
        self.centre.iter().map(|v| ("centre".to_string(), v.shallow_clone())).collect()
    }

    fn restore(&mut self, state: State) {
        self.centre = super::take(&state, "centre");
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{faults, made, rounds};
    use super::*;

    #[test]
    fn by_hand() {
        assert_eq!(rounds("centered-clipping = { tau = 1.0 }", &[[0.5], [9.5]], 2), [[0.75], [1.125]]);
    }

    #[test]
    fn two_steps_in_a_round_are_two_rounds_of_one() {
        assert_eq!(made("centered-clipping = { tau = 1.0, steps = 2 }", &[[0.5], [9.5]]), [1.125]);
    }

    #[test]
    fn defect_3_byzfl_centered_clipping_rows_at_the_centre_and_rows_of_1e30_are_no_trouble() {
        assert_eq!(made("centered-clipping = { tau = 1.0 }", &[[0.0, 0.0], [1e30, 0.0]]), [0.5, 0.0]);
        assert_eq!(made("centered-clipping = { tau = 1.0 }", &[[f32::MAX], [f32::MIN]]), [0.0]);
    }

    #[test]
    fn a_cpu_and_the_tensor_operations_of_a_gpu_agree() {
        let rows = Tensor::from_slice(&(0..70).map(|i| (i as f32 * 0.7).sin()).collect::<Vec<_>>()).view([7, 10]);
        let centre = rows.get(3).to_kind(Kind::Double) * 0.5;
        let rule = CenteredClipping::new(&Config { tau: 1.0, steps: 3 });
        let (a, b) = (rule.steps_on_cpu(&rows, &centre).unwrap(), rule.steps_on_gpu(&rows, &centre).unwrap());
        assert!(a.allclose(&b, 1e-12, 1e-12, false) && !a.allclose(&centre, 1e-3, 1e-3, false));
    }

    #[test]
    fn ranges() {
        assert_eq!(
            faults("centered-clipping = { tau = 0.0, steps = 0 }", 5),
            ["centered-clipping.tau is not a positive number", "centered-clipping.steps is too small"]
        );
    }
}
