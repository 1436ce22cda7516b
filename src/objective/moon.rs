//! `moon`: a model-contrastive term. A client's representation of its samples is pulled to that of the global model and away
//! from that of its own previous local model.
//!
//! ```text
//! ℓ = F_k + μ mean_i log(1 + exp((cos(z, z_previous) − cos(z, z_global)) / τ))
//! ```
//!
//! z is what the output layer gets: the hidden layer of the head behind its ReLU and dropout (the paper's R_w, "the network
//! before the last layer"; our head's first layer is its projection). The global model (from which the client starts) and
//! the previous one (which the client sent last, or would have, were it not byzantine) represent the same samples without
//! dropout, and no gradient goes through them. A vector shorter than 10⁻⁸ counts as that long, and takes no gradient. A
//! client without a previous model minimises its loss alone, as in the paper, where all models start equal. The training
//! loss reported is F_k.
//!
//! By hand: z = (1, 0), z_global = (1, 0), z_previous = (0, 1), τ = 1: ℓ_con = log(1 + e⁻¹) = 0.3133, and the gradient by z
//! is σ(−1) ((0, 1) − (0, 0)) = (0, 0.2689).

use super::memory::Memory;
use super::{Contrast, Objective, Path, State, Terms, Trainee};
use crate::fault::{About, Checker, Parameter, Result};
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// Parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Config {
    /// Weight μ of the term.
    pub mu: f64,
    /// Temperature τ.
    pub tau: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { mu: 1.0, tau: 0.5 }
    }
}

impl Config {
    /// μ is not negative, τ positive.
    pub fn check(&self, c: &mut Checker) {
        c.not_negative("mu", self.mu);
        c.positive("tau", self.tau);
    }
}

/// Entry of `fedrobust list local`.
pub const ABOUT: About = About {
    name: "moon",
    summary: "Pulls a client's representation to the global model's and away from its own previous one.",
    formula: "F_k + mu mean_i log(1 + exp((cos(z, z_previous) - cos(z, z_global)) / tau)), z the head's hidden layer",
    source: "Li, He and Song, Model-Contrastive Federated Learning, CVPR 2021, equation 3",
    parameters: &[
        Parameter {
            name: "mu",
            default: "1.0",
            meaning: "weight of the contrastive term, from 0; tune it (paper: 0.1 to 10)",
        },
        Parameter { name: "tau", default: "0.5", meaning: "temperature, above 0" },
    ],
};

/// The last local model of each client that has trained.
#[derive(Debug)]
pub struct Moon {
    config: Config,
    previous: Memory,
}

impl Moon {
    /// Nobody has a previous model.
    pub fn new(config: &Config) -> Self {
        Self { config: config.clone(), previous: Memory::default() }
    }
}

impl Objective for Moon {
    fn terms(&self, who: Trainee) -> Terms {
        let Config { mu, tau } = self.config;
        let previous = self.previous.of(who.client).filter(|_| mu > 0.0);
        Terms { contrast: previous.map(|previous| Contrast { previous, mu, tau }), ..Terms::default() }
    }

    fn learn(&mut self, client: usize, weights: &Tensor, delta: &Tensor, _path: Path) -> Result<()> {
        self.previous.clients.insert(client, weights.f_add(delta)?);
        Ok(())
    }

    fn state(&self) -> State {
        self.previous.state()
    }

    fn restore(&mut self, state: State) {
        self.previous.restore(state);
    }
}

/// The gradient by `z [L, B, H]` of `Σ weight · log(1 + exp((cos(z, previous) − cos(z, global)) / τ))`; `weight` (with μ in
/// it) and `tau` are `[L, B]` or broadcast to it.
pub fn gradient(z: &Tensor, global: &Tensor, previous: &Tensor, weight: &Tensor, tau: &Tensor) -> Tensor {
    let unit = |x: &Tensor| {
        let length = x.square().sum_dim_intlist([-1].as_slice(), true, Kind::Float).sqrt().clamp_min(SHORTEST);
        (x / &length, length)
    };
    let cosine = |a: &Tensor, b: &Tensor| (a * b).sum_dim_intlist([-1].as_slice(), true, Kind::Float);
    let ((own, length), (global, _), (previous, _)) = (unit(z), unit(global), unit(previous));
    let (to_global, to_previous) = (cosine(&own, &global), cosine(&own, &previous));
    let tau = tau.unsqueeze(-1);
    let pull = ((&to_previous - &to_global) / &tau).sigmoid() * weight.unsqueeze(-1) / tau;
    // ∂cos(z, a)/∂z = (â − cos ẑ) / |z|.
    pull * (previous - global - (to_previous - to_global) * own) / &length * length.gt(SHORTEST)
}

const SHORTEST: f64 = 1e-8;

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    #[test]
    fn by_hand() {
        let row = |x: [f32; 2]| Tensor::from_slice(&x).view([1, 1, 2]);
        let one = Tensor::ones([1, 1], (Kind::Float, Device::Cpu));
        let found = gradient(&row([1.0, 0.0]), &row([1.0, 0.0]), &row([0.0, 1.0]), &one, &one);
        assert!(found.allclose(&row([0.0, 0.26894143]), 1e-6, 1e-7, false), "{found}");
    }

    #[test]
    fn the_gradient_is_that_of_autograd() {
        let double = (Kind::Double, Device::Cpu);
        let values = |step: f64| (Tensor::arange(60, double) * step).sin().view([3, 5, 4]);
        let (z, global, previous) = (values(1.7).set_requires_grad(true), values(0.9) * 2.0, values(2.3) * 3.0);
        let weight = Tensor::arange(15, double).view([3, 5]) / 15.0;
        let tau = Tensor::from_slice(&[0.5, 1.0, 2.0]).unsqueeze(1);
        let cosine = |a: &Tensor, b: &Tensor| Tensor::cosine_similarity(a, b, -1, SHORTEST);
        let u = (cosine(&z, &previous) - cosine(&z, &global)) / &tau;
        ((u.exp() + 1.0).log() * &weight).sum(Kind::Double).backward();
        let f32 = |x: &Tensor| x.detach().to_kind(Kind::Float);
        let found = gradient(&f32(&z), &f32(&global), &f32(&previous), &f32(&weight), &f32(&tau));
        assert!(found.allclose(&f32(&z.grad()), 1e-4, 1e-6, false));
    }

    #[test]
    fn a_vector_of_zeros_has_no_direction_and_no_gradient() {
        let zeros = Tensor::zeros([1, 2, 3], (Kind::Float, Device::Cpu));
        let ones = Tensor::ones([1, 2, 3], (Kind::Float, Device::Cpu));
        let weight = Tensor::ones([1, 2], (Kind::Float, Device::Cpu));
        assert_eq!(gradient(&zeros, &ones, &zeros, &weight, &weight), zeros);
    }

    #[test]
    fn a_client_is_contrasted_with_the_model_it_sent_last() {
        let one = |x: f32| Tensor::from_slice(&[x]);
        let mut moon = Moon::new(&Config::default());
        let path = Path { lr: 0.1, steps: 1, effective: 1.0 };
        moon.learn(2, &one(1.0), &one(0.5), path).unwrap();
        let terms = |moon: &Moon, client| moon.terms(Trainee { client, seen: &[], held: &[], classes: 2 }).contrast;
        assert_eq!(terms(&moon, 2).unwrap().previous.double_value(&[0]), 1.5);
        assert!(terms(&moon, 3).is_none());
        let mut off = Moon::new(&Config { mu: 0.0, tau: 0.5 });
        off.learn(2, &one(1.0), &one(0.5), path).unwrap();
        assert!(terms(&off, 2).is_none(), "a weight of 0 spares the two forwards");
    }
}
