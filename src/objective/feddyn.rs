//! `feddyn`: dynamic regularisation. Each client's objective is moved so that its optimum agrees with the global one.
//!
//! ```text
//! client: min_w F_k(w) − ⟨ĝ_k, w⟩ + (α/2) ‖w − w_global‖²;   ĝ_k ← ĝ_k − α Δ_k          (0 at first)
//! server: h ← h − α (n/m) Δ;   w ← w + Δ − h/α     (Δ the rule's result over n of m clients, h = 0 at first)
//! ```
//!
//! The linear and the quadratic term join the gradient behind its clip and enter the momentum buffer, as the proximal term
//! does. h needs nothing but the rule's result: clients send their models alone, and a byzantine client moves h as far as
//! the rule lets it. Its own ĝ_k follows its honest training. The server optimiser gets Δ − h/α in place of Δ; the preset
//! averages uniformly, as the paper does. An update that is not finite leaves its client's ĝ_k.
//!
//! By hand: α = 0.5, two of two clients, Δ = −2: h = 1, w moves by −2 − 2 = −4; then Δ = 0: w moves by −2.

use super::memory::Memory;
use super::{Correction, Objective, Path, Place, State, Terms, Trainee};
use crate::fault::{About, Checker, Parameter, Result};
use serde::{Deserialize, Serialize};
use tch::Tensor;

/// Parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Config {
    /// Weight α of the regularisation.
    pub alpha: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { alpha: 0.01 }
    }
}

impl Config {
    /// α is positive.
    pub fn check(&self, c: &mut Checker) {
        c.positive("alpha", self.alpha);
    }
}

/// Entry of `fedrobust list local`.
pub const ABOUT: About = About {
    name: "feddyn",
    summary: "Dynamic regularisation moves each client's objective so that its optimum agrees with the global one.",
    formula: "client: min_w F_k(w) - <g_k, w> + (alpha/2) |w - w_global|^2, g_k = g_k - alpha Delta_k; server: h = h - alpha (n/m) Delta, w = w + Delta - h/alpha",
    source: "Acar et al., Federated Learning Based on Dynamic Regularization, ICLR 2021, Algorithm 1",
    parameters: &[Parameter {
        name: "alpha",
        default: "0.01",
        meaning: "weight of the regularisation, above 0; tune it",
    }],
};

/// h of the server, ĝ_k of the clients that have trained.
#[derive(Debug)]
pub struct Feddyn {
    alpha: f64,
    gradients: Memory,
}

impl Feddyn {
    /// All gradients 0.
    pub fn new(config: &Config) -> Self {
        Self { alpha: config.alpha, gradients: Memory::default() }
    }
}

impl Objective for Feddyn {
    fn terms(&self, who: Trainee) -> Terms {
        let minus = self.gradients.of(who.client);
        let correction = minus.map(|g| Correction { plus: None, minus: Some(g), place: Place::Gradient });
        Terms { correction, ..Terms::default() }
    }

    fn learn(&mut self, client: usize, _weights: &Tensor, delta: &Tensor, _path: Path) -> Result<()> {
        let change = delta.f_mul_scalar(-self.alpha)?;
        let next = match self.gradients.clients.get(&client) {
            Some(old) => change.f_add(old)?,
            None => change,
        };
        self.gradients.clients.insert(client, next);
        Ok(())
    }

    fn shift(&mut self, sum: &Tensor) -> Result<Option<Tensor>> {
        let change = sum.f_mul_scalar(-self.alpha)?;
        let h = match &self.gradients.server {
            Some(old) => change.f_add(old)?,
            None => change,
        };
        let shift = h.f_div_scalar(-self.alpha)?;
        self.gradients.server = Some(h);
        Ok(Some(shift))
    }

    fn state(&self) -> State {
        self.gradients.state()
    }

    fn restore(&mut self, state: State) {
        self.gradients.restore(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let mut feddyn = Feddyn::new(&Config { alpha: 0.5 });
        let mut moved = |delta: f32| {
            let shift = feddyn.shift(&Tensor::from_slice(&[delta])).unwrap().unwrap();
            f64::from(delta) + shift.double_value(&[0])
        };
        assert_eq!((moved(-2.0), moved(0.0)), (-4.0, -2.0));
    }

    #[test]
    fn a_client_sums_up_its_own_changes() {
        let mut feddyn = Feddyn::new(&Config { alpha: 0.5 });
        let path = Path { lr: 0.1, steps: 1, effective: 1.0 };
        let one = |x: f32| Tensor::from_slice(&[x]);
        feddyn.learn(4, &one(0.0), &one(2.0), path).unwrap();
        feddyn.learn(4, &one(9.0), &one(1.0), path).unwrap();
        let terms = feddyn.terms(Trainee { client: 4, seen: &[], held: &[], classes: 2 });
        assert_eq!(terms.correction.unwrap().minus.unwrap().double_value(&[0]), -1.5);
        assert!(feddyn.terms(Trainee { client: 5, seen: &[], held: &[], classes: 2 }).correction.is_none());
    }
}
