//! How many seeds a difference needs.

use statrs::distribution::{ContinuousCDF, Normal, StudentsT};
use statrs::function::gamma::ln_gamma;

/// Most seeds that are asked for.
const MOST: usize = 1000;
/// Steps of the integral.
const STEPS: usize = 1000;

/// Power of the two-sided paired t-test at level `alpha` with `n` seeds, for a true difference of `effect` standard
/// deviations: the probability that `|T| > t(1 − α/2, ν)` for T of the noncentral t distribution with `ν = n − 1` degrees
/// of freedom and noncentrality `effect · √n`. `None` for fewer than 2 seeds or values out of range.
///
/// Computed as the mean over the deviation `S = √(χ²ᵥ / ν)` of `Φ(δ − tS) + Φ(−δ − tS)`, by the midpoint rule.
/// Cohen (Statistical Power Analysis, 1988): effect 0.5, 34 pairs, α = 0.05 have power 0.81.
pub fn power(effect: f64, n: usize, alpha: f64) -> Option<f64> {
    if n < 2 || !effect.is_finite() || !(alpha > 0.0 && alpha < 1.0) {
        return None;
    }
    let freedom = (n - 1) as f64;
    let critical = StudentsT::new(0.0, 1.0, freedom).ok()?.inverse_cdf(1.0 - alpha / 2.0);
    let shift = effect.abs() * (n as f64).sqrt();
    let normal = Normal::standard();
    let reach = 9.0 / (2.0 * freedom).sqrt();
    let (low, high) = ((1.0 - reach).max(0.0), 1.0 + reach);
    // Steps in √s: where t is large, all that counts lies near 0.
    let (low, high) = (low.sqrt(), high.sqrt());
    let step = (high - low) / STEPS as f64;
    let constant = 2f64.ln() + freedom / 2.0 * (freedom / 2.0).ln() - ln_gamma(freedom / 2.0);
    let part = |i: usize| {
        let root = low + (i as f64 + 0.5) * step;
        let s = root * root;
        let density = (constant + (freedom - 1.0) * s.ln() - freedom * s * s / 2.0).exp();
        2.0 * root * density * (normal.cdf(shift - critical * s) + normal.cdf(-shift - critical * s))
    };
    Some(((0..STEPS).map(part).sum::<f64>() * step).clamp(0.0, 1.0))
}

/// Fewest seeds, up to 1,000, with which the paired t-test at level `alpha` would find a true difference of `mean` with
/// deviation `sd` over seeds with probability `wanted`. `None` where more are needed, or where there is no difference.
/// It takes mean and deviation for the true ones, so it tells an order of magnitude.
pub fn seeds_needed(mean: f64, sd: f64, alpha: f64, wanted: f64) -> Option<usize> {
    if !(mean.abs() > 0.0 && sd >= 0.0 && alpha > 0.0 && alpha < 1.0) {
        return None;
    }
    if sd <= 1e-12 * mean.abs() {
        // Without spread the sign-flip test judges: 2 / 2ⁿ must be below α.
        return Some(((2.0 / alpha).log2().floor() as usize + 1).max(2));
    }
    let enough = |n: usize| power(mean / sd, n, alpha).is_some_and(|power| power >= wanted);
    if !enough(MOST) {
        return None;
    }
    let (mut short, mut long) = (1, MOST);
    while long - short > 1 {
        let middle = (short + long) / 2;
        if enough(middle) { long = middle } else { short = middle }
    }
    Some(long)
}
