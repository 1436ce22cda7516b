//! Two strategies on the same seeds.

use super::summary::{Summary, summarise};
use statrs::distribution::{ContinuousCDF, StudentsT};

/// Most differences for which all sign changes are counted.
const EXACT: usize = 16;

/// A comparison over paired seeds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Paired {
    /// The differences: number, mean, deviation, 95 % interval.
    pub difference: Summary,
    /// Two-sided p of [`Paired::test`], not corrected; `None` for one seed.
    pub p: Option<f64>,
    /// Two-sided p of the exact sign-flip test; `None` for one seed or more than 16. At least `2 / 2ⁿ`.
    pub flip: Option<f64>,
}

impl Paired {
    /// The test that gives p: `paired t-test`, or `sign-flip test` where all differences are equal.
    pub fn test(&self) -> &'static str {
        if flat(&self.difference) { "sign-flip test" } else { "paired t-test" }
    }
}

/// Whether all differences are equal. The mean of equal numbers may be off by rounding, and so may be a deviation that is 0.
fn flat(difference: &Summary) -> bool {
    difference.sd.is_some_and(|sd| sd <= 1e-12 * difference.mean.abs())
}

/// Compares by the differences `d` of paired seeds: mean, interval, and the paired t-test `t = d̄ / (s / √n)` with `n − 1`
/// degrees of freedom (Student, 1908). `None` without differences.
///
/// The t-test, because with the few seeds of a study no test that only counts signs or ranks can speak: the sign-flip and
/// Wilcoxon tests cannot go below `2 / 2ⁿ`, 0.25 for three seeds and 0.06 for five. Its price is the assumption that
/// differences are about normal; for scores over seeds Colas, Sigaud and Oudeyer (2019, arXiv:1904.06979) found its error
/// rates near the nominal ones even for small n, where bootstrap tests were far off. Where all differences are equal there is no
/// spread to judge by, and the sign-flip test takes its place; where all are 0, p is 1.
///
/// By hand: 0.1, 0.2 and 0.3 have mean 0.2 and deviation 0.1, so t = 2 √3 = 3.464 and p = 0.0742.
pub fn paired(differences: &[f64]) -> Option<Paired> {
    let difference = summarise(differences)?;
    let flip = sign_flip(differences);
    let p = match difference.sd {
        None => None,
        Some(0.0) if difference.mean == 0.0 => Some(1.0),
        Some(_) if flat(&difference) => flip.or(Some(2f64.powi(1 - difference.n.min(1000) as i32))),
        Some(sd) => {
            let t = difference.mean.abs() / (sd / (difference.n as f64).sqrt());
            Some((2.0 * StudentsT::new(0.0, 1.0, (difference.n - 1) as f64).ok()?.sf(t)).min(1.0))
        }
    };
    Some(Paired { difference, p, flip })
}

/// Exact two-sided sign-flip (permutation) test of differences around 0: the share of the `2ⁿ` ways to change their signs
/// whose sum is as far from 0 as the one seen (Fisher, The Design of Experiments, 1935, § 21). It assumes only that under
/// no difference each sign is as likely as the other. `None` for fewer than 2 or more than 16 differences.
///
/// By hand: of 1, 2 and 3 the sum 6 is reached by two of eight sign changes: p = 0.25.
pub fn sign_flip(differences: &[f64]) -> Option<f64> {
    let n = differences.len();
    if !(2..=EXACT).contains(&n) || !differences.iter().all(|d| d.is_finite()) {
        return None;
    }
    let size: f64 = differences.iter().map(|d| d.abs()).sum();
    let seen = differences.iter().sum::<f64>().abs() - 1e-12 * size;
    let flipped = |mask: &u32| {
        let signed = differences.iter().enumerate().map(|(i, d)| if mask >> i & 1 == 1 { -d } else { *d });
        signed.sum::<f64>().abs() >= seen
    };
    // The last sign stays: turning all of them changes nothing.
    let half = 1u32 << (n - 1);
    Some((0..half).filter(flipped).count() as f64 / f64::from(half))
}
