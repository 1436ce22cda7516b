//! Whether two things are the same, which no test of difference can show: two one-sided tests against a margin (TOST;
//! Schuirmann, Journal of Pharmacokinetics and Biopharmaceutics 15, 1987). Equal within the margin is what must be shown, so
//! too little data is no proof of it.

use super::summary::summarise;
use statrs::distribution::{ContinuousCDF, Normal, StudentsT};

/// The interval `mean ± t(1 − α, n − 1) · sd / √n` of paired differences: the two things are equivalent at level α where
/// it lies within ± margin. For one difference, or where all are equal, the interval is that value. `None` without
/// differences.
///
/// By hand: 0.01, 0.02 and 0.03 at α = 0.05: t(0.95, 2) = 2.9200, so 0.02 ± 0.0169.
pub fn interval(differences: &[f64], alpha: f64) -> Option<(f64, f64)> {
    let s = summarise(differences)?;
    let Some(sd) = s.sd else { return Some((s.mean, s.mean)) };
    let t = StudentsT::new(0.0, 1.0, (s.n - 1) as f64).ok()?.inverse_cdf(1.0 - alpha);
    let half = t * sd / (s.n as f64).sqrt();
    Some((s.mean - half, s.mean + half))
}

/// Two independent means of `n` and `m` seeds whose deviation over seeds is taken as known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Margin {
    /// Largest distance of the means that passes.
    pub limit: f64,
    /// True distance that passes with probability α at most.
    pub margin: f64,
}

/// The limit that means of `n` and of `m` seeds with deviation `sd` pass by chance with probability `beta`, and the margin
/// that the test then has: with `e = sd · √(1/n + 1/m)`, `limit = z(1 − β/2) · e` and `margin = limit + z(1 − α) · e`.
/// `None` for no seeds or values out of range.
///
/// By hand: sd 0.1, 5 and 5 seeds, β = 0.05, α = 0.05: e = 0.06325, limit 0.1240, margin 0.2280.
pub fn margin(sd: f64, n: usize, m: usize, beta: f64, alpha: f64) -> Option<Margin> {
    let level = |p: f64| p > 0.0 && p < 1.0;
    if n == 0 || m == 0 || !(sd >= 0.0 && sd.is_finite()) || !level(beta) || !level(alpha) {
        return None;
    }
    let error = sd * (1.0 / n as f64 + 1.0 / m as f64).sqrt();
    let z = |p: f64| Normal::standard().inverse_cdf(p);
    let limit = z(1.0 - beta / 2.0) * error;
    Some(Margin { limit, margin: limit + z(1.0 - alpha) * error })
}
