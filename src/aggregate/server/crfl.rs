//! `crfl`: the new weights clipped and blurred, so that a backdoor that is a small move away cannot hide in them.
//!
//! `w ← w + η Δ`, `w ← w min(1, ρ / ‖w‖)`, `w ← w + N(0, σ²)`, each round. With `votes = m` what predicts, at every evaluation, is
//! the majority of m copies of the clipped weights, each with noise of its own (the paper's Algorithm 2; it takes 1,000 of the
//! last round's); the paper leaves the noise out of the last round for it, so the copies start before that noise. Without votes
//! the weights that are evaluated are blurred once. The certified radius is not given: it needs a Lipschitz constant that the
//! paper has for logistic regression only.
//!
//! By hand: η = 1, ρ = 5, σ = 0, w = `[5, 8]`, Δ = `[1, 0]`: `[6, 8]` is 10 long: `[3, 4]`.

use super::{Server, State, Voters, take};
use crate::aggregate::noise::add_noise;
use crate::fault::{About, Checker, Parameter, Result};
use crate::seed::Stream;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// Parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Config {
    /// Server learning rate η.
    pub lr: f64,
    /// Largest norm ρ of the weights.
    pub norm: f64,
    /// Standard deviation σ of the noise.
    pub noise: f64,
    /// Copies that vote at an evaluation; 0 scores the blurred weights themselves.
    pub votes: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { lr: 1.0, norm: 15.0, noise: 0.01, votes: 0 }
    }
}

impl Config {
    /// η and ρ are positive, σ is not negative.
    pub fn check(&self, c: &mut Checker) {
        c.positive("lr", self.lr);
        c.positive("norm", self.norm);
        c.not_negative("noise", self.noise);
    }
}

/// Entry of `fedrobust list server`.
pub const ABOUT: About = About {
    name: "crfl",
    summary: "Adds the aggregated update, clips the weights and blurs them.",
    formula: "w = w + lr Delta; w = w min(1, norm / |w|); w = w + N(0, noise^2)",
    source: "Xie et al., CRFL: Certifiably Robust Federated Learning against Backdoor Attacks, ICML 2021, Algorithms 1 and 2",
    parameters: &[
        Parameter { name: "lr", default: "1.0", meaning: "server learning rate, above 0" },
        Parameter { name: "norm", default: "15.0", meaning: "largest length of all weights, above 0; tune it" },
        Parameter { name: "noise", default: "0.01", meaning: "standard deviation of the noise, from 0" },
        Parameter {
            name: "votes",
            default: "0",
            meaning: "blurred copies whose majority predicts at an evaluation (each is scored); 0: the weights themselves",
        },
    ],
};

/// Clips and blurs.
#[derive(Debug)]
pub struct Crfl {
    config: Config,
    /// The weights before their noise, where copies of them vote.
    clipped: Option<Tensor>,
}

impl Crfl {
    /// Before its first round.
    pub fn new(config: &Config) -> Self {
        Self { config: config.clone(), clipped: None }
    }
}

impl Server for Crfl {
    fn step(&mut self, weights: &Tensor, delta: &Tensor) -> Result<Tensor> {
        let moved = weights.f_add(&delta.f_mul_scalar(self.config.lr)?)?;
        let norm = moved.f_norm_scalaropt_dtype(2, Kind::Double)?.f_double_value(&[])?;
        Ok(if norm > self.config.norm { moved.f_mul_scalar(self.config.norm / norm)? } else { moved })
    }

    fn step_drawn(&mut self, weights: &Tensor, delta: &Tensor, stream: &Stream) -> Result<Tensor> {
        let clipped = self.step(weights, delta)?;
        self.clipped = (self.config.votes > 0).then(|| clipped.shallow_clone());
        add_noise(clipped, self.config.noise, stream)
    }

    fn voters(&self) -> Option<Voters> {
        let clipped = self.clipped.as_ref()?.shallow_clone();
        Some(Voters { weights: clipped, noise: self.config.noise, count: self.config.votes })
    }

    fn state(&self) -> State {
        self.clipped.iter().map(|clipped| ("clipped".to_string(), clipped.shallow_clone())).collect()
    }

    fn restore(&mut self, state: State) {
        self.clipped = take(&state, "clipped");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aggregate::numbers;

    #[test]
    fn by_hand() {
        let (w, delta) = (Tensor::from_slice(&[5.0_f32, 8.0]), Tensor::from_slice(&[1.0_f32, 0.0]));
        let made = Crfl::new(&Config { norm: 5.0, noise: 0.0, ..Config::default() })
            .step_drawn(&w, &delta, &Stream::root(0))
            .unwrap();
        assert!(made.allclose(&Tensor::from_slice(&[3.0_f32, 4.0]), 1e-6, 0.0, false));
    }

    #[test]
    fn the_noise_has_the_deviation_asked_for_and_is_new_each_round() {
        let zero = Tensor::from_slice(&[0.0_f32; 4096]);
        let mut crfl = Crfl::new(&Config { norm: 1e9, noise: 0.2, ..Config::default() });
        let mut at = |round| numbers(&crfl.step_drawn(&zero, &zero, &Stream::root(0).at(round)).unwrap()).unwrap();
        let (a, b) = (at(0), at(1));
        let spread = (a.iter().map(|x| x * x).sum::<f64>() / 4096.0).sqrt();
        assert!((spread / 0.2 - 1.0).abs() < 0.05 && a != b, "{spread}");
    }

    #[test]
    fn voters_are_the_clipped_weights_each_with_noise_of_its_own() {
        let (w, delta) = (Tensor::from_slice(&[5.0_f32, 8.0]), Tensor::from_slice(&[1.0_f32, 0.0]));
        let mut crfl = Crfl::new(&Config { norm: 5.0, noise: 0.1, votes: 3, ..Config::default() });
        assert!(crfl.voters().is_none());
        let blurred = crfl.step_drawn(&w, &delta, &Stream::root(0)).unwrap();
        let voters = crfl.voters().unwrap();
        assert!(voters.weights.allclose(&Tensor::from_slice(&[3.0_f32, 4.0]), 1e-6, 0.0, false));
        let copies: Vec<Tensor> = (1..3).map(|copy| voters.draw(&Stream::root(0).at(copy)).unwrap()).collect();
        assert!(copies[0] != copies[1] && copies[0] != blurred && voters.count == 3);
        // A round without updates after a checkpoint still has voters.
        let mut again = Crfl::new(&crfl.config);
        again.restore(crfl.state());
        assert_eq!(again.voters().unwrap().draw(&Stream::root(0).at(1)).unwrap(), copies[0]);
    }

    #[test]
    fn ranges() {
        let mut c = Checker::default();
        Config { lr: 0.0, norm: f64::NAN, noise: -1.0, votes: 0 }.check(&mut c);
        let paths: Vec<&str> = c.faults.iter().map(|fault| fault.path.as_str()).collect();
        assert_eq!(paths, ["lr", "norm", "noise"]);
    }
}
