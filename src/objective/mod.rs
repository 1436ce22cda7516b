//! Local objectives and corrections: what a client minimises besides its loss, and what client and server remember of it.
//!
//! | choice | client | server | source |
//! |---|---|---|---|
//! | `plain` | the loss | | McMahan et al., AISTATS 2017 |
//! | `prox` | the loss + (μ/2) ‖w − w_global‖² | | Li et al., MLSys 2020 |
//! | `scaffold` | gradients + c − c_k | c, the mean of all c_k | Karimireddy et al., ICML 2020 |
//! | `fedrs` | logits of classes it does not hold, times α | | Li and Zhan, KDD 2021 |
//! | `fednova` | the loss (+ prox); sends its change per effective step | | Wang et al., NeurIPS 2020 |
//! | `feddyn` | the loss − ⟨ĝ_k, w⟩ + (α/2) ‖w − w_global‖² | h, the mean of all ĝ_k | Acar et al., ICLR 2021 |
//! | `moon` | the loss + μ · contrast of its representation | | Li, He and Song, CVPR 2021 |
//!
//! [`Config`] is what a scenario says, [`Objective`] the same during a run, with its memory. The memory of a client is one
//! row `[P]`, kept from its first training on. What a client minimises enters a lane as [`Terms`]; the engine applies them
//! and knows no objective by name.

pub mod feddyn;
pub mod fednova;
pub mod fedrs;
mod memory;
pub mod moon;
pub mod plain;
pub mod prox;
pub mod scaffold;

use crate::fault::{About, Checker, Result};
use serde::{Deserialize, Serialize};
use tch::Tensor;

/// The local objective.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Config {
    /// The loss alone.
    Plain(plain::Config),
    /// With a proximal term.
    Prox(prox::Config),
    /// Gradients corrected by control variates.
    Scaffold(scaffold::Config),
    /// Restricted softmax.
    Fedrs(fedrs::Config),
    /// Changes normalised by effective steps.
    Fednova(fednova::Config),
    /// Dynamic regularisation.
    Feddyn(feddyn::Config),
    /// Model-contrastive term.
    Moon(moon::Config),
}

impl Default for Config {
    fn default() -> Self {
        Config::Plain(plain::Config::default())
    }
}

/// Every choice, for `fedrobust list local`.
pub const CHOICES: &[About] =
    &[plain::ABOUT, prox::ABOUT, scaffold::ABOUT, fedrs::ABOUT, fednova::ABOUT, feddyn::ABOUT, moon::ABOUT];

/// What an objective adds to one client's local steps; nothing by default. The proximal term is a hyperparameter of the lane.
#[derive(Debug, Default)]
pub struct Terms {
    /// A vector added to every step.
    pub correction: Option<Correction>,
    /// Logits that are held back.
    pub restriction: Option<Restriction>,
    /// A contrast with two other models.
    pub contrast: Option<Contrast>,
}

/// `plus − minus`, each `[P]` on the device, 0 where absent.
#[derive(Debug)]
pub struct Correction {
    /// What is added.
    pub plus: Option<Tensor>,
    /// What is subtracted.
    pub minus: Option<Tensor>,
    /// Where it joins.
    pub place: Place,
}

/// Where a correction joins a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The gradient, behind its clip: the momentum buffer sees it.
    Gradient,
    /// The step, behind the momentum buffer.
    Step,
}

/// Factors of the logits in training.
#[derive(Debug, Clone, PartialEq)]
pub struct Restriction {
    /// One a class.
    pub scales: Vec<f32>,
    /// Whether logits keep their bias; where not, the bias takes no step either.
    pub bias: bool,
}

/// Pulls the representation to that of the model the lane starts from, and away from that of another.
#[derive(Debug)]
pub struct Contrast {
    /// Weights `[P]` of the model to get away from.
    pub previous: Tensor,
    /// Weight μ of the term.
    pub mu: f64,
    /// Temperature τ.
    pub tau: f64,
}

/// A client about to train.
#[derive(Debug, Clone, Copy)]
pub struct Trainee<'a> {
    /// Its number.
    pub client: usize,
    /// Labels of the samples it trains on, as it sees them.
    pub seen: &'a [u32],
    /// Clean classes of all its samples.
    pub held: &'a [u32],
    /// Number of classes C.
    pub classes: usize,
}

/// How far unit gradients would have carried a client in its local training.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Path {
    /// Learning rate η.
    pub lr: f64,
    /// Local steps K.
    pub steps: usize,
    /// Effective steps ‖a‖₁ ([`effective_steps`]).
    pub effective: f64,
}

/// `‖a‖₁ = Σ_j a_j` where a change is `−η Σ_j a_j g_j` over the gradients g of `steps` steps of SGD with momentum m and
/// proximal term μ (`eta_mu = η μ`): equal to the steps for plain SGD (Wang et al., NeurIPS 2020, section 4).
///
/// By hand: m = 0.5, two steps: `v = 1, 1.5`, so 2.5. ημ = 0.1, two steps: `1 + (1 + 0.9) − 1 = 1.9`.
pub fn effective_steps(steps: usize, momentum: f64, eta_mu: f64) -> f64 {
    let (mut velocity, mut moved) = (0.0, 0.0);
    for _ in 0..steps {
        velocity = momentum * velocity + 1.0 - eta_mu * moved;
        moved += velocity;
    }
    moved
}

/// Named tensors of a checkpoint.
pub type State = Vec<(String, Tensor)>;

/// A local objective during a run.
pub trait Objective: Send {
    /// What it adds to a client's local steps.
    fn terms(&self, _who: Trainee) -> Terms {
        Terms::default()
    }

    /// Learns of a client's own local training: it went from `weights` to `weights + delta`, both `[P]` and finite.
    ///
    /// # Errors
    /// Too little memory, as for every call below.
    fn learn(&mut self, _client: usize, _weights: &Tensor, _delta: &Tensor, _path: Path) -> Result<()> {
        Ok(())
    }

    /// What clients send besides their changes `[n, P]`, in units of a gradient, `[n, P]`; none for most.
    ///
    /// # Errors
    /// Too little memory.
    fn second(&self, _deltas: &Tensor, _paths: &[Path]) -> Result<Option<Tensor>> {
        Ok(None)
    }

    /// The server hears of the seconds: `sum [P]` is their aggregate times the part of all clients that it speaks for.
    ///
    /// # Errors
    /// Too little memory.
    fn hear(&mut self, _sum: &Tensor) -> Result<()> {
        Ok(())
    }

    /// What the server adds to the aggregated change `[P]`, none for most; `sum` is that change times the part of all clients
    /// that it speaks for.
    ///
    /// # Errors
    /// Too little memory.
    fn shift(&mut self, _sum: &Tensor) -> Result<Option<Tensor>> {
        Ok(None)
    }

    /// Its memory, for a checkpoint.
    fn state(&self) -> State {
        Vec::new()
    }

    /// Takes a memory back.
    fn restore(&mut self, _state: State) {}
}

impl Config {
    /// Ranges.
    pub fn check(&self, c: &mut Checker) {
        match self {
            Config::Plain(_) | Config::Scaffold(_) => {}
            Config::Prox(config) => c.inside("prox", |c| config.check(c)),
            Config::Fedrs(config) => c.inside("fedrs", |c| config.check(c)),
            Config::Fednova(config) => c.inside("fednova", |c| config.check(c)),
            Config::Feddyn(config) => c.inside("feddyn", |c| config.check(c)),
            Config::Moon(config) => c.inside("moon", |c| config.check(c)),
        }
    }

    /// What needs the data.
    pub fn check_data(&self, c: &mut Checker, multilabel: bool) {
        if let Config::Fedrs(_) = self {
            c.inside("fedrs", |c| fedrs::check_data(c, multilabel));
        }
    }

    /// The objective at the start of a run.
    pub fn build(&self) -> Box<dyn Objective> {
        match self {
            Config::Plain(_) | Config::Prox(_) | Config::Fednova(_) => Box::new(plain::Plain),
            Config::Scaffold(config) => Box::new(scaffold::Scaffold::new(config)),
            Config::Fedrs(config) => Box::new(fedrs::Fedrs(config.clone())),
            Config::Feddyn(config) => Box::new(feddyn::Feddyn::new(config)),
            Config::Moon(config) => Box::new(moon::Moon::new(config)),
        }
    }

    /// μ of the proximal term of a lane.
    pub fn mu(&self) -> f64 {
        match self {
            Config::Prox(config) => config.mu,
            Config::Fednova(config) => config.mu,
            Config::Feddyn(config) => config.alpha,
            _ => 0.0,
        }
    }

    /// Whether clients send their change per effective step.
    pub fn normalises(&self) -> bool {
        matches!(self, Config::Fednova(_))
    }

    /// Whether the server adds to the aggregated change.
    pub fn shifts(&self) -> bool {
        matches!(self, Config::Feddyn(_))
    }

    /// Vectors `[P]` that a client gets and sends in a round.
    pub fn vectors(&self) -> u64 {
        if matches!(self, Config::Scaffold(_)) { 4 } else { 2 }
    }

    /// Activations that lie in memory at once, in those of one forward.
    pub fn forwards(&self) -> u64 {
        if matches!(self, Config::Moon(_)) { 2 } else { 1 }
    }

    /// Whether every client that has trained leaves a row `[P]` behind.
    pub fn remembers(&self) -> bool {
        matches!(self, Config::Scaffold(_) | Config::Feddyn(_) | Config::Moon(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn effective_steps_follow_the_closed_forms_of_the_paper() {
        for steps in [1, 2, 7, 40] {
            let k = steps as f64;
            assert_eq!(effective_steps(steps, 0.0, 0.0), k);
            let (m, near) = (0.9f64, |a: f64, b: f64| assert!((a - b).abs() < 1e-9 * b, "{a} is not {b}"));
            near(effective_steps(steps, m, 0.0), (k - m * (1.0 - m.powi(steps as i32)) / (1.0 - m)) / (1.0 - m));
            near(effective_steps(steps, 0.0, 0.01), (1.0 - 0.99f64.powi(steps as i32)) / 0.01);
        }
        assert_eq!(effective_steps(2, 0.5, 0.0), 2.5);
    }
}
