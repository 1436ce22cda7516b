//! `trimmed-mean`: the mean of each coordinate without its extremes.
//!
//! Per coordinate the f smallest and the f largest values are dropped and the n − 2f others averaged. Unweighted. f is a
//! count, or by `share` the part `⌊share · n⌋` of the rows that a round has. With up to f bad rows, whatever they hold, each
//! coordinate stays within the range of the honest ones. The mean is computed from the kept values alone: adding all and
//! subtracting the extremes would lose every digit beside a value of 1e8. Needs `2f < n`.
//!
//! By hand: f = 1, rows `[1]`, `[2]`, `[4]`, `[100]`: `(2 + 4) / 2 = 3`.

use super::Rule;
use crate::aggregate::middle::middle_mean;
use crate::aggregate::{Updates, check_2f, need_more_than_2f};
use crate::fault::{About, Checker, Parameter, Result};
use crate::seed::Stream;
use serde::{Deserialize, Serialize};
use tch::Tensor;

/// Parameters: a count or a share; neither means [`SHARE`].
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Config {
    /// Values dropped at each end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub f: Option<usize>,
    /// The same as a share of the round's rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share: Option<f64>,
}

/// The share dropped at each end where neither `f` nor `share` is given.
pub const SHARE: f64 = 0.2;

impl Config {
    /// Not both are given; `2f` is below the number of rows a round; the share is below one half.
    pub fn check(&self, c: &mut Checker, rows: usize) {
        if self.f.is_some() && self.share.is_some() {
            c.fault("share", "is given besides f", "one of f and share", "Remove one of the two.");
        }
        if let Some(f) = self.f {
            check_2f(c, f, rows);
        }
        if let Some(share) = self.share
            && !(0.0..0.5).contains(&share)
        {
            c.fault("share", "is not a share of the rows at one end", "a number from 0 to below 0.5", "");
        }
    }

    /// Values dropped at each end of n.
    pub fn dropped(&self, n: usize) -> usize {
        match self.f {
            Some(f) => f,
            // The small addition makes 0.29 of 100 rows 29, not 28.
            None => {
                let share = (self.share.unwrap_or(SHARE) * n as f64 + 1e-9) as usize;
                share.min(n.saturating_sub(1) / 2)
            }
        }
    }
}

/// Entry of `fedrobust list aggregate`.
pub const ABOUT: About = About {
    name: "trimmed-mean",
    summary: "The mean of each coordinate without its f smallest and f largest values.",
    formula: "per coordinate, with sorted values x_(1) ... x_(n): (1 / (n - 2f)) sum_{i = f+1}^{n-f} x_(i); unweighted",
    source: "Yin et al., Byzantine-Robust Distributed Learning: Towards Optimal Statistical Rates, ICML 2018, Definition 2",
    parameters: &[
        Parameter {
            name: "f",
            default: "by share",
            meaning: "values dropped at each end, 2 f below the rows of a round; instead of share",
        },
        Parameter {
            name: "share",
            default: "0.2",
            meaning: "the same as a share of the round's rows, rounded down, from 0 to below 0.5",
        },
    ],
};

/// Trims and averages.
#[derive(Debug)]
pub struct TrimmedMean(pub Config);

impl Rule for TrimmedMean {
    fn aggregate(&mut self, updates: &Updates, _stream: &Stream) -> Result<Tensor> {
        let f = self.0.dropped(updates.len());
        need_more_than_2f("trimmed-mean", updates.len(), f)?;
        middle_mean(&updates.rows, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aggregate::numbers;
    use crate::fault::Fault;

    fn trim(f: usize, rows: &[f32]) -> Result<f64> {
        let updates = Updates { rows: Tensor::from_slice(rows).view([-1, 1]), samples: vec![1.0; rows.len()] };
        let mean = TrimmedMean(Config { f: Some(f), share: None }).aggregate(&updates, &Stream::root(0))?;
        Ok(numbers(&mean)?[0])
    }

    fn faults(config: Config, rows: usize) -> Vec<Fault> {
        let mut c = Checker::default();
        config.check(&mut c, rows);
        c.faults
    }

    #[test]
    fn by_hand() {
        assert_eq!(trim(1, &[1.0, 2.0, 4.0, 100.0]).unwrap(), 3.0);
        assert_eq!(trim(0, &[1.0, 2.0, 4.0, 101.0]).unwrap(), 27.0);
    }

    #[test]
    fn defect_6_blades_trimmed_mean_no_digit_is_lost_beside_1e8_or_1e30() {
        // Blades finds −0.29 beside 1e8 where the answer is 1.08.
        let honest = [1.02, 0.97, 1.11, 1.05, 0.94, 1.08, 1.0, 1.2];
        let expected = ([1.05, 1.11, 1.08, 1.02, 1.0, 1.2].iter().map(|x: &f32| *x as f64).sum::<f64>() / 6.0) as f32;
        for bad in [1e4_f32, 1e8, 1e30, f32::MAX] {
            let rows = [honest.as_slice(), &[bad, bad]].concat();
            assert_eq!(trim(2, &rows).unwrap(), expected as f64, "beside {bad}");
        }
    }

    #[test]
    fn a_share_follows_the_rows_of_the_round() {
        let share = |share, n| Config { f: None, share: Some(share) }.dropped(n);
        assert_eq!((share(0.2, 10), share(0.2, 9), share(0.29, 100), share(0.0, 7)), (2, 1, 29, 0));
        assert_eq!((share(0.4999999999, 2), share(0.4, 1)), (0, 0));
        assert_eq!(Config::default().dropped(10), 2);
    }

    #[test]
    fn too_few_rows_are_an_error() {
        assert_eq!(
            trim(2, &[1.0, 2.0, 3.0, 4.0]).unwrap_err().to_string(),
            "trimmed-mean with f = 2 met a round with 4 rows; it needs at least 5. Lower f, or draw a larger cohort."
        );
    }

    #[test]
    fn an_f_too_large_for_the_cohort_is_a_fault_that_names_both() {
        assert_eq!(
            faults(Config { f: Some(2), share: None }, 4),
            [Fault {
                path: "f".into(),
                problem: "is too large for 4 rows a round (2 f = 4 of them)".into(),
                allowed: "a whole number up to 1".into(),
                remedy: "Lower f, or raise train.cohort.".into(),
            }]
        );
        assert!(faults(Config { f: Some(2), share: None }, 5).is_empty());
    }

    #[test]
    fn a_share_is_below_one_half_and_stands_alone() {
        for share in [-0.1, 0.5, f64::NAN] {
            let found = faults(Config { f: None, share: Some(share) }, 10);
            assert_eq!(found[0].problem, "is not a share of the rows at one end", "{share}");
        }
        let both = faults(Config { f: Some(1), share: Some(0.1) }, 10);
        assert_eq!((both.len(), both[0].problem.as_str()), (1, "is given besides f"));
    }
}
