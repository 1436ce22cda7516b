//! Server optimisers: from the aggregated delta `Δ [P]` to the new global weights. The pseudo-gradient is `−Δ`.
//!
//! | choice | step | source |
//! |---|---|---|
//! | `sgd` | `m = β m − Δ`, `w ← w − η m` | McMahan et al., AISTATS 2017; Hsu et al., 2019 |
//! | `adagrad` | `v = v + Δ²`, `w ← w + η m / (√v + τ)` | Reddi et al., ICLR 2021 |
//! | `adam` | `v = β2 v + (1 − β2) Δ²`, same step | Reddi et al., ICLR 2021 |
//! | `yogi` | `v = v − (1 − β2) Δ² sign(v − Δ²)`, same step | Reddi et al., ICLR 2021 |
//! | `crfl` | `w ← clip(w + η Δ) + noise` | Xie et al., ICML 2021 |
pub mod adagrad;
pub mod adam;
mod adaptive;
pub mod crfl;
pub mod sgd;
pub mod yogi;

use super::noise::add_noise;
use super::{State, take};
use crate::fault::{About, Checker, Result};
use crate::seed::Stream;
use serde::{Deserialize, Serialize};
use tch::Tensor;

/// The server optimiser.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Config {
    /// SGD with optional momentum; lr 1 without momentum is plain FedAvg.
    Sgd(sgd::Config),
    /// FedAdagrad.
    Adagrad(adagrad::Config),
    /// FedAdam.
    Adam(adam::Config),
    /// FedYogi.
    Yogi(yogi::Config),
    /// CRFL's clipped and blurred weights.
    Crfl(crfl::Config),
}

impl Default for Config {
    fn default() -> Self {
        Config::Sgd(sgd::Config::default())
    }
}

/// Every choice, for `fedrobust list server`.
pub const CHOICES: &[About] = &[sgd::ABOUT, adagrad::ABOUT, adam::ABOUT, yogi::ABOUT, crfl::ABOUT];

/// Copies of a model that vote on a prediction.
#[derive(Debug)]
pub struct Voters {
    /// What they are copies of, `[P]`.
    pub weights: Tensor,
    /// Standard deviation of the noise of each.
    pub noise: f64,
    /// How many there are.
    pub count: usize,
}

impl Voters {
    /// One of them, with the noise of a stream.
    ///
    /// # Errors
    /// libtorch runs out of memory.
    pub fn draw(&self, stream: &Stream) -> Result<Tensor> {
        add_noise(self.weights.shallow_clone(), self.noise, stream)
    }
}

/// A server optimiser with its state.
pub trait Server: Send {
    /// The new global weights from the old ones and the aggregated delta, all `[P]`.
    ///
    /// # Errors
    /// libtorch runs out of memory.
    fn step(&mut self, weights: &Tensor, delta: &Tensor) -> Result<Tensor>;

    /// The same for what draws random numbers; `stream` is its own in this round.
    ///
    /// # Errors
    /// As [`Server::step`].
    fn step_drawn(&mut self, weights: &Tensor, delta: &Tensor, _stream: &Stream) -> Result<Tensor> {
        self.step(weights, delta)
    }

    /// Who votes on predictions after the last step; nobody where the new weights themselves predict.
    fn voters(&self) -> Option<Voters> {
        None
    }

    /// State to checkpoint; empty before the first step, and always for what is stateless.
    fn state(&self) -> State {
        Vec::new()
    }

    /// Takes a checkpointed state back, from any device.
    fn restore(&mut self, _state: State) {}
}

impl Config {
    /// Ranges.
    pub fn check(&self, c: &mut Checker) {
        match self {
            Config::Sgd(config) => c.inside("sgd", |c| config.check(c)),
            Config::Adagrad(config) => c.inside("adagrad", |c| config.check(c)),
            Config::Adam(config) => c.inside("adam", |c| config.check(c)),
            Config::Yogi(config) => c.inside("yogi", |c| config.check(c)),
            Config::Crfl(config) => c.inside("crfl", |c| config.check(c)),
        }
    }

    /// Whether it treats every weight by itself, so that blocks of weights may have one each.
    pub fn by_weight(&self) -> bool {
        !matches!(self, Config::Crfl(_))
    }

    /// Copies of the model that vote at an evaluation.
    pub fn votes(&self) -> usize {
        if let Config::Crfl(config) = self { config.votes } else { 0 }
    }

    /// Builds it; `client_lr` is what some pseudo-gradients are divided by.
    pub fn build(&self, client_lr: f64) -> Box<dyn Server> {
        match self {
            Config::Sgd(config) => Box::new(sgd::Sgd::new(config, client_lr)),
            Config::Adagrad(config) => Box::new(config.build()),
            Config::Adam(config) => Box::new(config.build()),
            Config::Yogi(config) => Box::new(config.build()),
            Config::Crfl(config) => Box::new(crfl::Crfl::new(config)),
        }
    }
}
