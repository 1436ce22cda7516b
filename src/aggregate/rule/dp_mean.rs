//! `dp-mean`: DP-FedAvg's clipped mean with Gaussian noise.
//!
//! `Δ = (1/n) (Σ x_i min(1, c / ‖x_i‖) + N(0, (z c)²))`, unweighted, with the clipping norm c (`norm`) and the noise
//! multiplier z (`noise`). What privacy that buys depends on how clients are drawn and for how many rounds:
//! [`crate::aggregate::privacy`] counts it. n counts the rows of the round.
//!
//! By hand: c = 1, z = 0, rows `[3, 4]`, `[0, 0.5]`: `([0.6, 0.8] + [0, 0.5]) / 2 = [0.3, 0.65]`.

use super::Rule;
use crate::aggregate::Updates;
use crate::aggregate::combine::combine;
use crate::aggregate::lengths::squared_norms;
use crate::aggregate::noise::add_noise;
use crate::fault::{About, Checker, Parameter, Result};
use crate::seed::Stream;
use serde::{Deserialize, Serialize};
use tch::Tensor;

/// Parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Config {
    /// Largest norm of a row.
    pub norm: f64,
    /// Noise multiplier.
    pub noise: f64,
    /// δ for which ε is reported.
    #[serde(skip_serializing_if = "usual")]
    pub delta: f64,
}

/// δ where nothing is said: below one in as many clients as studies have.
const DELTA: f64 = 1e-5;

fn usual(delta: &f64) -> bool {
    *delta == DELTA
}

impl Default for Config {
    fn default() -> Self {
        Self { norm: 1.0, noise: 1.0, delta: DELTA }
    }
}

impl Config {
    /// The norm is positive, the noise not negative, δ a probability.
    pub fn check(&self, c: &mut Checker) {
        c.positive("norm", self.norm);
        c.not_negative("noise", self.noise);
        if !(self.delta > 0.0 && self.delta < 1.0) {
            c.fault("delta", "is no probability", "a number above 0 and below 1", "Take less than 1 / clients.");
        }
    }
}

/// Entry of `fedrobust list aggregate`.
pub const ABOUT: About = About {
    name: "dp-mean",
    summary: "The mean of clipped updates with Gaussian noise (DP-FedAvg).",
    formula: "(1/n) (sum_i x_i min(1, c / |x_i|) + N(0, (z c)^2)); no bound on f, each row moves it by at most c / n",
    source: "McMahan et al., Learning Differentially Private Recurrent Language Models, ICLR 2018, Algorithm 1",
    parameters: &[
        Parameter { name: "norm", default: "1.0", meaning: "largest length c of an update, above 0; tune it" },
        Parameter { name: "noise", default: "1.0", meaning: "noise multiplier z, from 0" },
        Parameter {
            name: "delta",
            default: "1e-5",
            meaning: "delta for which the columns epsilon are reported, above 0 and below 1; changes no update",
        },
    ],
};

/// Clips, averages and blurs.
#[derive(Debug)]
pub struct DpMean(pub Config);

impl Rule for DpMean {
    fn aggregate(&mut self, updates: &Updates, stream: &Stream) -> Result<Tensor> {
        let (n, norm) = (updates.len() as f64, self.0.norm);
        let factor = |squared: f64| if squared.sqrt() > norm { norm / squared.sqrt() / n } else { 1.0 / n };
        let coefficients = squared_norms(&updates.rows)?.into_iter().map(factor).collect();
        let mean = combine(&updates.rows, &[coefficients])?.f_squeeze_dim(0)?;
        add_noise(mean, self.0.noise * norm / n, stream)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{close, faults, made, rounds};

    #[test]
    fn by_hand() {
        close(&made("dp-mean = { norm = 1.0, noise = 0.0 }", &[[3.0, 4.0], [0.0, 0.5]]), &[0.3, 0.65]);
    }

    #[test]
    fn the_noise_is_the_multiplier_times_the_norm_by_the_rows_and_new_each_round() {
        let noise = rounds("dp-mean = { norm = 4.0, noise = 2.0 }", &[[0.0_f32; 4096]; 5], 2);
        let spread = (noise[0].iter().map(|x| x * x).sum::<f64>() / 4096.0).sqrt();
        assert!((spread / 1.6 - 1.0).abs() < 0.05, "{spread}");
        assert_ne!(noise[0], noise[1]);
        assert_eq!(
            faults("dp-mean = { norm = 0.0, noise = nan }", 5),
            ["dp-mean.norm is not a positive number", "dp-mean.noise is negative or not finite"]
        );
    }
}
