//! `fedrs`: restricted softmax. Logits of classes that a client does not hold are scaled down in its training, so that it
//! pushes their rows of the classifier less.
//!
//! ```text
//! z_c ← s_c z_c,   s_c = 1 for classes among the client's labels, else α      cross-entropy on z
//! ```
//!
//! The paper's classifier has no bias; ours has one, which is scaled with its logit. `bias = false` is FedMultimodal's form:
//! z_c = s_c ⟨W_c, h⟩ in training, and the bias takes no step at all, not even that of weight decay, though it is used in
//! evaluation. FedMultimodal also has α = 0.9 and takes the clean labels of all samples (`labels = "clean"`), unlabelled
//! ones included; a client in the field knows only the labels it sees. A byzantine client with poisoned labels restricts by
//! those. With α = 1 and a bias it is the loss alone, as it is for a client that holds every class.
//!
//! By hand: h = 1, W = (2, 2), b = 0, α = 0.5, the client holds class 0: z = (2, 1).

use super::{Objective, Restriction, Terms, Trainee};
use crate::fault::{About, Checker, Parameter};
use serde::{Deserialize, Serialize};

/// Parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Config {
    /// Factor α of the logits of classes that the client does not hold.
    pub alpha: f64,
    /// Whether logits have their bias in training.
    pub bias: bool,
    /// Which labels say what a client holds.
    pub labels: Labels,
}

/// Which labels say what a client holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Labels {
    /// Those it trains on, as it sees them.
    #[default]
    Seen,
    /// The clean ones of all its samples.
    Clean,
}

impl Default for Config {
    fn default() -> Self {
        Self { alpha: 0.5, bias: true, labels: Labels::Seen }
    }
}

impl Config {
    /// α is a fraction.
    pub fn check(&self, c: &mut Checker) {
        c.rate("alpha", self.alpha);
    }
}

/// A softmax over classes is needed.
pub fn check_data(c: &mut Checker, multilabel: bool) {
    if multilabel {
        let problem = "restricts a softmax over classes, and multilabel data has none";
        c.fault("", problem, "data with one class a sample, or another local objective", "");
    }
}

/// Entry of `fedrobust list local`.
pub const ABOUT: About = About {
    name: "fedrs",
    summary: "Restricted softmax: logits of classes that a client does not hold are scaled down in training.",
    formula: "z_c = s_c z_c in training, s_c = 1 for classes among the client's labels, else alpha",
    source: "Li and Zhan, FedRS: Federated Learning with Restricted Softmax for Label Distribution Non-IID Data, KDD 2021",
    parameters: &[
        Parameter {
            name: "alpha",
            default: "0.5",
            meaning: "factor of logits of classes not held, from 0 to 1 (FedMultimodal: 0.9)",
        },
        Parameter {
            name: "bias",
            default: "true",
            meaning: "false: no bias in the logits of training, and none of its steps (FedMultimodal)",
        },
        Parameter {
            name: "labels",
            default: "\"seen\"",
            meaning: "what a client holds: \"seen\" (the labels it trains on) or \"clean\" (of all its samples, as FedMultimodal)",
        },
    ],
};

/// Restricts.
#[derive(Debug)]
pub struct Fedrs(pub Config);

impl Objective for Fedrs {
    fn terms(&self, who: Trainee) -> Terms {
        let held = match self.0.labels {
            Labels::Seen => who.seen,
            Labels::Clean => who.held,
        };
        let mut scales = vec![self.0.alpha as f32; who.classes];
        for &class in held {
            scales[class as usize] = 1.0;
        }
        let whole = self.0.bias && scales.iter().all(|&scale| scale == 1.0);
        Terms { restriction: (!whole).then_some(Restriction { scales, bias: self.0.bias }), ..Terms::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn restriction(text: &str) -> Option<Restriction> {
        let fedrs = Fedrs(toml::from_str(text).unwrap());
        fedrs.terms(Trainee { client: 0, seen: &[2, 0, 2], held: &[0, 1, 2], classes: 4 }).restriction
    }

    #[test]
    fn classes_that_are_not_held_are_scaled() {
        assert_eq!(restriction("").unwrap(), Restriction { scales: vec![1.0, 0.5, 1.0, 0.5], bias: true });
        let reference = restriction("alpha = 0.9\nbias = false\nlabels = 'clean'").unwrap();
        assert_eq!(reference, Restriction { scales: vec![1.0, 1.0, 1.0, 0.9], bias: false });
    }

    #[test]
    fn nothing_is_restricted_where_every_factor_is_one() {
        assert_eq!(restriction("alpha = 1.0"), None);
        assert!(restriction("alpha = 1.0\nbias = false").is_some(), "the bias still takes no step");
    }
}
