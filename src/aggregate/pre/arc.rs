//! `arc`: adaptive robust clipping.
//!
//! With `k = ⌊2 (f / n) (n − f)⌋` the k longest rows are clipped to the length of the longest of the others. Lengths in f64;
//! ties to the lowest index, which changes nothing: equal lengths are clipped to themselves. Needs `2f < n`.
//!
//! By hand: f = 1, rows `[1]`, `[2]`, `[9]`: k = ⌊4/3⌋ = 1: `[1]`, `[2]`, `[2]`.

use super::Pre;
use super::clip::shorten;
use crate::aggregate::lengths::squared_norms;
use crate::aggregate::{Known, Updates, check_2f, need_more_than_2f};
use crate::fault::{About, Checker, Parameter, Result};
use crate::seed::Stream;
use serde::{Deserialize, Serialize};

/// Parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// Rows that may be bad.
    pub f: usize,
}

impl Config {
    /// `2f` is below the number of rows a round.
    pub fn check(&self, c: &mut Checker, rows: usize) {
        check_2f(c, self.f, rows);
    }
}

/// Entry of `fedrobust list pre`.
pub const ABOUT: About = About {
    name: "arc",
    summary: "Clips the longest updates to the length of the longest of the others.",
    formula: "k = floor(2 (f/n) (n - f)); the k longest rows are scaled to the length of the (k+1)-th longest",
    source: "Allouah et al., Adaptive Gradient Clipping for Robust Federated Learning, ICLR 2025 (ARC), Algorithm 2",
    parameters: &[Parameter {
        name: "f",
        default: "required",
        meaning: "rows that may be bad; 2 f below the rows of a round",
    }],
};

/// Clips adaptively.
#[derive(Debug)]
pub struct Arc(pub Config);

impl Pre for Arc {
    fn apply_known(&mut self, updates: Updates, known: &mut Known, _stream: &Stream) -> Result<Updates> {
        let (n, f) = (updates.len(), self.0.f);
        need_more_than_2f("arc", n, f)?;
        let norms: Vec<f64> = squared_norms(&updates.rows)?.into_iter().map(f64::sqrt).collect();
        let mut order: Vec<usize> = (0..n).collect();
        order.sort_by(|&a, &b| norms[a].total_cmp(&norms[b]));
        let short = n - 2 * f * (n - f) / n;
        let mut bounds = norms.clone();
        if let Some(&longest) = short.checked_sub(1).and_then(|last| order.get(last)) {
            order[short..].iter().for_each(|&i| bounds[i] = norms[longest]);
        }
        shorten(updates, known, &norms, &bounds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aggregate::numbers;
    use tch::Tensor;

    #[test]
    fn by_hand_and_the_callers_rows_stay_as_they_are() {
        let rows = Tensor::from_slice2(&[[1.0_f32], [2.0], [9.0]]);
        let updates = Updates { rows: rows.shallow_clone(), samples: vec![1.0; 3] };
        let made = Arc(Config { f: 1 }).apply(updates, &Stream::root(0)).unwrap();
        assert_eq!(numbers(&made.rows).unwrap(), [1.0, 2.0, 2.0]);
        assert_eq!(numbers(&rows).unwrap(), [1.0, 2.0, 9.0]);
    }

    #[test]
    fn with_no_bad_rows_nothing_is_clipped() {
        let updates = Updates { rows: Tensor::from_slice2(&[[1.0_f32], [1e30]]), samples: vec![1.0; 2] };
        let made = Arc(Config { f: 0 }).apply(updates, &Stream::root(0)).unwrap();
        assert_eq!(made.rows, Tensor::from_slice2(&[[1.0_f32], [1e30]]));
    }
}
