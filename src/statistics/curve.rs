//! A score against how much corruption there is, as few numbers.

/// Area under the curve relative to clean: the mean over the range of `x` (rising) of `y(x) / y(x₀)`, straight lines between
/// points. 1: nothing is lost; 0: everything at once. `None` for fewer than two points, or where the clean score is not
/// positive.
///
/// By hand: 0.8, 0.6 and 0.4 at 0, 0.5 and 1: `(0.5 · 0.7 + 0.5 · 0.5) / 0.8 = 0.75`.
pub fn area(x: &[f64], y: &[f64]) -> Option<f64> {
    let (first, last) = (*x.first()?, *x.last()?);
    let clean = *y.first()?;
    if x.len() != y.len() || !(last > first && clean > 0.0) {
        return None;
    }
    let pieces = x.windows(2).zip(y.windows(2)).map(|(x, y)| (x[1] - x[0]) * (y[0] + y[1]) / 2.0);
    Some(pieces.sum::<f64>() / (last - first) / clean)
}

/// The first `x` at which the score has lost half of its gain over `chance`: where it falls to `(y(x₀) + chance) / 2`,
/// straight lines between points. Infinite where it never does within the range; `None` where the clean score is not above
/// chance, so that there is nothing to lose.
///
/// By hand: 0.9, 0.7 and 0.3 at 0, 0.5 and 1 with chance 0.1: half is 0.5, met midway between 0.5 and 1, at 0.75.
pub fn half_loss(x: &[f64], y: &[f64], chance: f64) -> Option<f64> {
    let clean = *y.first()?;
    if x.len() != y.len() || clean <= chance || chance.is_nan() {
        return None;
    }
    let half = (clean + chance) / 2.0;
    for (x, y) in x.windows(2).zip(y.windows(2)) {
        if y[1] <= half {
            return Some(x[0] + (x[1] - x[0]) * (y[0] - half) / (y[0] - y[1]));
        }
    }
    Some(f64::INFINITY)
}
