//! The most harmful factor by line search against the whole defence, as ByzFL searches.
//!
//! The harm of τ is `‖defence(rows, b copies of u + τ w) − mean(rows)‖`. From τ = `start`, a step of `delta` is tried; while
//! it does more harm it is kept and doubled, and from the first failure on it is kept where it does more harm and shrunk by
//! `ratio` after every trial; `evals` evaluations in all. More by less than a part in 10⁵ is rounding and counts as none.
//!
//! Every evaluation runs the defence once. Where the whole defence asks rows for nothing but lengths, angles and distances
//! ([`super::Defence::sees_only_distances`]), those of `u + τ w` are known for every τ from one Gram product of the honest rows,
//! u and w (squared distances are quadratics in τ): the search runs on [`coordinates`] in the span of these rows, and no
//! evaluation makes a pass over the weights.

use super::geometry::{mean, numbers};
use super::{Defence, Scene};
use crate::aggregate::coordinates;
use crate::fault::{Checker, Error, Result};
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// More harm by less than this share is rounding.
const ROUNDING: f64 = 1e-5;

/// Parameters of the search.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Search {
    /// Evaluations of the defence.
    pub evals: usize,
    /// First factor.
    pub start: f64,
    /// First step.
    pub delta: f64,
    /// What a step shrinks by.
    pub ratio: f64,
}

impl Default for Search {
    fn default() -> Self {
        Self { evals: 20, start: 0.0, delta: 10.0, ratio: 0.8 }
    }
}

impl Search {
    /// Ranges.
    pub fn check(&self, c: &mut Checker) {
        c.at_least("evals", self.evals, 1);
        c.not_negative("start", self.start);
        c.positive("delta", self.delta);
        if !(self.ratio > 0.5 && self.ratio < 1.0) {
            c.fault("ratio", "is out of range", "a number between 0.5 and 1", "");
        }
    }

    /// The most harmful τ for rows `u + τ w`, both `[P]` in f64.
    pub(super) fn maximise(&self, scene: &Scene, u: &Tensor, w: &Tensor) -> Result<f64> {
        let Some(defence) = scene.defence else {
            return Err(Error::Invalid(
                "an optimised factor needs the defence that it is optimised against; give a fixed factor, or the defence"
                    .into(),
            ));
        };
        let (known, forged) = (scene.seen.size()[0], scene.forged());
        let spanned = if defence.sees_only_distances { in_span(scene.seen, u, w)? } else { None };
        let (seen, u, w) = match spanned {
            Some(short) => (short.f_narrow(0, 0, known)?, short.f_get(known)?, short.f_get(known + 1)?),
            None => (scene.seen.shallow_clone(), u.shallow_clone(), w.shallow_clone()),
        };
        let copies = |row: &Tensor| row.f_to_kind(seen.kind())?.f_unsqueeze(0)?.f_expand([forged, -1], false);
        let honest = mean(&seen)?;
        let rows = Tensor::f_cat(&[seen.shallow_clone(), copies(&u)?], 0)?;
        let Defence { aggregate, .. } = defence;
        let mut harm = |factor: f64| -> Result<f64> {
            rows.f_narrow(0, known, forged)?.f_copy_(&copies(&(&u + &w * factor))?)?;
            let made = aggregate(&rows)?.f_to_kind(Kind::Double)?;
            Ok(numbers(&made.f_sub(&honest)?.f_norm()?)?[0])
        };
        self.search(&mut harm)
    }

    fn search(&self, harm: &mut dyn FnMut(f64) -> Result<f64>) -> Result<f64> {
        let mut best = (self.start, harm(self.start)?);
        let (mut delta, mut expanding) = (self.delta, true);
        for _ in 1..self.evals {
            let factor = best.0 + delta;
            let harmed = harm(factor)?;
            // A clipped row does the same harm at any length: what rounding adds in f32 is no more harm.
            let better = harmed > best.1 + ROUNDING * best.1.abs();
            if better {
                best = (factor, harmed);
            }
            expanding &= better;
            delta *= if expanding { 2.0 } else { self.ratio };
        }
        Ok(best.0)
    }
}

/// The rows, u and w, in this order, in coordinates of their span; none where one is not finite.
fn in_span(rows: &Tensor, u: &Tensor, w: &Tensor) -> Result<Option<Tensor>> {
    let row = |vector: &Tensor| vector.f_to_kind(rows.kind())?.f_unsqueeze(0);
    coordinates(&Tensor::f_cat(&[rows.shallow_clone(), row(u)?, row(w)?], 0)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_doubled_until_the_first_failure_and_then_shrunk() {
        let mut tried = Vec::new();
        let search = Search { evals: 6, start: 0.0, delta: 1.0, ratio: 0.75 };
        // Harm grows up to 3.
        let best = search.search(&mut |t| {
            tried.push(t);
            Ok(-(t - 3.0).abs())
        });
        // 0, then 1 and 3 succeed, 7 fails, and so do 3 + 3 and 3 + 2.25.
        assert_eq!((best.unwrap(), tried), (3.0, vec![0.0, 1.0, 3.0, 7.0, 6.0, 5.25]));
    }
}
