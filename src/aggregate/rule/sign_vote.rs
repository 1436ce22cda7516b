//! `sign-vote`: the majority of signs.
//!
//! `Δ = lr · sign(Σ_i sign(x_i))` per coordinate; a draw gives 0. Unweighted. A bad row has one vote, whatever it holds; NaN
//! has none.
//!
//! By hand: lr = 0.1, rows `[1, 2]`, `[-3, 1]`, `[5, 0]`: votes 1 and 2: `[0.1, 0.1]`.

use super::Rule;
use crate::aggregate::columns::walk;
use crate::aggregate::pieces::{Block, down_columns};
use crate::aggregate::{Updates, sums};
use crate::fault::{About, Checker, Parameter, Result};
use crate::seed::Stream;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

/// Parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Config {
    /// Length of the step in each coordinate.
    pub lr: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { lr: 1e-3 }
    }
}

impl Config {
    /// The step is positive.
    pub fn check(&self, c: &mut Checker) {
        c.positive("lr", self.lr);
    }
}

/// Entry of `fedrobust list aggregate`.
pub const ABOUT: About = About {
    name: "sign-vote",
    summary: "A step of fixed length in each coordinate, in the direction most updates agree on.",
    formula: "lr sign(sum_i sign(x_i)) per coordinate; a draw gives 0; for fewer than n / 2 bad rows",
    source: "Bernstein et al., signSGD with Majority Vote is Communication Efficient and Fault Tolerant, ICLR 2019, Algorithm 1",
    parameters: &[Parameter {
        name: "lr",
        default: "1e-3",
        meaning: "length of the step in each weight, above 0; tune it",
    }],
};

/// Counts votes.
#[derive(Debug)]
pub struct SignVote(pub Config);

impl Rule for SignVote {
    fn aggregate(&mut self, updates: &Updates, _stream: &Stream) -> Result<Tensor> {
        let steps = if updates.rows.device() == Device::Cpu { on_cpu } else { on_gpu };
        steps(&updates.rows, self.0.lr)
    }
}

/// `lr` times the sign of rows that are for more minus rows that are for less, in each coordinate.
fn on_cpu(rows: &Tensor, lr: f64) -> Result<Tensor> {
    let count = |votes: &mut [f32], block: Block| block.pieces().for_each(|piece| sums::add_votes(votes, piece));
    down_columns(rows, count, |votes, _| sums::scale_signs(votes, lr as f32))
}

fn on_gpu(rows: &Tensor, lr: f64) -> Result<Tensor> {
    let votes = walk(rows, |block, _| {
        let signs = block.f_sign()?.f_nan_to_num_(0.0, None, None)?;
        Ok(signs.f_sum_dim_intlist([0_i64].as_slice(), false, Kind::Float)?)
    })?;
    Ok(Tensor::f_cat(&votes, 0)?.f_sign_()?.f_mul_scalar_(lr)?)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{close, faults, made};
    use super::*;

    #[test]
    fn by_hand() {
        close(&made("sign-vote = { lr = 0.1 }", &[[1.0, 2.0], [-3.0, 1.0], [5.0, 0.0]]), &[0.1, 0.1]);
        close(&made("sign-vote = { lr = 0.1 }", &[[1.0, -2.0], [-1e30, -0.1]]), &[0.0, -0.1]);
    }

    #[test]
    fn a_cpu_and_the_tensor_operations_of_a_gpu_agree_and_a_nan_abstains() {
        let mut values: Vec<f32> = (0..70).map(|i| (i as f32 * 0.7).sin().max(0.0) - 0.3).collect();
        (values[3], values[12], values[20]) = (f32::NAN, f32::INFINITY, 0.0);
        let rows = Tensor::from_slice(&values).view([7, 10]);
        assert_eq!(on_cpu(&rows, 0.3).unwrap(), on_gpu(&rows, 0.3).unwrap());
    }

    #[test]
    fn ranges() {
        assert_eq!(faults("sign-vote = { lr = 0.0 }", 5), ["sign-vote.lr is not a positive number"]);
    }
}
