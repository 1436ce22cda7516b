//! `scaffold`: control variates take the drift of a client out of its gradients.
//!
//! ```text
//! client: g ← g − c_k + c in every step;   c_k⁺ = c_k − c − Δ_k / (η A_k)      (option II; c_k = 0 at first)
//! server: Δ as ever;                       c ← c + (n / N) · rule(c_k⁺ − c_k)   (n heard of N clients)
//! ```
//!
//! A_k are the effective steps ‖a‖₁ of [`super::effective_steps`]: the number of steps K for plain SGD, as in the paper,
//! which has no momentum. With momentum m a gradient moves the weights up to 1/(1 − m) times as far as its own step, so
//! dividing by K would make controls that much too large. `correction = "step"` is FedMultimodal's form: c − c_k joins
//! the step behind the momentum buffer and A_k is K.
//!
//! The preset averages uniformly, as the paper does. The server puts the changes of the controls through the same
//! pre-aggregators and rule as the changes of the weights, in the same units, with a state of their own. A control's change
//! follows from the change of the weights a client sent (the server knows c, η and A_k), so a byzantine client's is that
//! of its forged row. An update that is not finite changes no control of its client.
//!
//! By hand: c = 1, c_k = 0, η = 0.1, one step with g = 3: Δ = −0.1 · (3 + 1) = −0.4; c_k⁺ = 0 − 1 + 4 = 3 = g.

use super::memory::Memory;
use super::{Correction, Objective, Path, Place, State, Terms, Trainee};
use crate::fault::{About, Parameter, Result};
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// Parameters.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Config {
    /// Where c − c_k joins.
    pub correction: Joins,
}

/// Where the controls join a local step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Joins {
    /// The gradient, so that the momentum buffer sees them.
    #[default]
    Gradient,
    /// The step, behind the momentum buffer.
    Step,
}

/// `correction` in listings.
pub const CORRECTION: Parameter = Parameter {
    name: "correction",
    default: "\"gradient\"",
    meaning: "where c - c_k joins: \"gradient\" (before the momentum buffer; controls divide by effective steps) or \"step\" (behind it; by steps, as FedMultimodal)",
};

/// Entry of `fedrobust list local`.
pub const ABOUT: About = About {
    name: "scaffold",
    summary: "Control variates take the drift of a client out of its gradients.",
    formula: "client: g = g - c_k + c; c_k = c_k - c - Delta_k / (eta A_k), A_k its effective steps (K without momentum); server: c = c + (n/N) rule(change of c_k)",
    source: "Karimireddy et al., SCAFFOLD: Stochastic Controlled Averaging for Federated Learning, ICML 2020, Algorithm 1, option II",
    parameters: &[CORRECTION],
};

/// The controls: c of the server, c_k of the clients that have trained.
#[derive(Debug)]
pub struct Scaffold {
    joins: Joins,
    controls: Memory,
}

impl Scaffold {
    /// All controls 0.
    pub fn new(config: &Config) -> Self {
        Self { joins: config.correction, controls: Memory::default() }
    }

    /// η A_k.
    fn reach(&self, path: Path) -> f64 {
        match self.joins {
            Joins::Gradient => path.lr * path.effective,
            Joins::Step => path.lr * path.steps as f64,
        }
    }
}

impl Objective for Scaffold {
    fn terms(&self, who: Trainee) -> Terms {
        let place = match self.joins {
            Joins::Gradient => Place::Gradient,
            Joins::Step => Place::Step,
        };
        let (plus, minus) = (self.controls.served(), self.controls.of(who.client));
        let none = plus.is_none() && minus.is_none();
        Terms { correction: (!none).then_some(Correction { plus, minus, place }), ..Terms::default() }
    }

    fn learn(&mut self, client: usize, _weights: &Tensor, delta: &Tensor, path: Path) -> Result<()> {
        let mut next = delta.f_div_scalar(-self.reach(path))?;
        if let Some(c) = &self.controls.server {
            next = next.f_sub_(c)?;
        }
        if let Some(own) = self.controls.clients.get(&client) {
            next = next.f_add_(own)?;
        }
        self.controls.clients.insert(client, next);
        Ok(())
    }

    fn second(&self, deltas: &Tensor, paths: &[Path]) -> Result<Option<Tensor>> {
        let factors: Vec<f64> = paths.iter().map(|&path| -1.0 / self.reach(path)).collect();
        let factors = Tensor::f_from_slice(&factors)?.f_to_kind(Kind::Float)?.f_to_device(deltas.device())?;
        let changes = deltas.f_mul(&factors.f_unsqueeze(1)?)?;
        Ok(Some(match &self.controls.server {
            Some(c) => changes.f_sub(c)?,
            None => changes,
        }))
    }

    fn hear(&mut self, sum: &Tensor) -> Result<()> {
        self.controls.server = Some(match &self.controls.server {
            Some(c) => c.f_add(sum)?,
            None => sum.f_detach_copy()?,
        });
        Ok(())
    }

    fn state(&self) -> State {
        self.controls.state()
    }

    fn restore(&mut self, state: State) {
        self.controls.restore(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(value: f32) -> Tensor {
        Tensor::from_slice(&[value])
    }

    fn number(tensor: Option<&Tensor>) -> f64 {
        (tensor.unwrap().double_value(&[0]) * 1e6).round() / 1e6
    }

    const PATH: Path = Path { lr: 0.1, steps: 2, effective: 2.5 };

    fn after(joins: Joins) -> Scaffold {
        let mut scaffold = Scaffold::new(&Config { correction: joins });
        scaffold.hear(&row(1.0)).unwrap();
        scaffold.learn(7, &row(0.0), &row(-1.0), PATH).unwrap();
        scaffold
    }

    #[test]
    fn by_hand() {
        let mut scaffold = Scaffold::new(&Config::default());
        scaffold.hear(&row(1.0)).unwrap();
        scaffold.learn(3, &row(0.0), &row(-0.4), Path { lr: 0.1, steps: 1, effective: 1.0 }).unwrap();
        assert_eq!(number(scaffold.controls.clients.get(&3)), 3.0);
    }

    #[test]
    fn controls_divide_by_effective_steps_or_by_steps() {
        // c = 1; with η A = 0.25 c_k = −1 + 4 = 3, with η K = 0.2 c_k = −1 + 5 = 4.
        for (joins, expected) in [(Joins::Gradient, 3.0), (Joins::Step, 4.0)] {
            assert_eq!(number(after(joins).controls.clients.get(&7)), expected);
        }
    }

    #[test]
    fn what_a_client_sends_is_the_change_of_its_control() {
        let mut scaffold = after(Joins::Gradient);
        let before = number(scaffold.controls.clients.get(&7));
        let second = scaffold.second(&row(-0.5).unsqueeze(0), &[PATH]).unwrap().unwrap();
        scaffold.learn(7, &row(0.0), &row(-0.5), PATH).unwrap();
        assert_eq!(number(scaffold.controls.clients.get(&7)) - before, second.double_value(&[0, 0]));
    }

    #[test]
    fn a_lane_gets_the_controls_of_its_client_alone() {
        let scaffold = after(Joins::Step);
        let terms = |client| scaffold.terms(Trainee { client, seen: &[], held: &[], classes: 2 }).correction.unwrap();
        let (known, new) = (terms(7), terms(8));
        assert_eq!((number(known.plus.as_ref()), number(known.minus.as_ref())), (1.0, 4.0));
        assert!(new.minus.is_none() && new.place == Place::Step);
        assert!(
            Scaffold::new(&Config::default())
                .terms(Trainee { client: 0, seen: &[], held: &[], classes: 2 })
                .correction
                .is_none()
        );
    }
}
