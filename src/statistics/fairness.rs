//! Evenness over clients.

/// Gini coefficient of scores `x` that are not negative: `Σᵢ Σⱼ |xᵢ − xⱼ| / (2 n² x̄)` (Gini, 1912). 0: all equal;
/// `(n − 1) / n`: one client has everything. Where all are 0, all are equal. `None` for none, or for a negative one.
///
/// By hand: of 1, 2 and 3 the differences sum to 8 (each pair counted twice), `8 / (2 · 9 · 2) = 2/9`.
pub fn gini(values: &[f64]) -> Option<f64> {
    if values.is_empty() || !values.iter().all(|v| *v >= 0.0 && v.is_finite()) {
        return None;
    }
    let n = values.len() as f64;
    let total: f64 = values.iter().sum();
    if total == 0.0 {
        return Some(0.0);
    }
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    // Σᵢ Σⱼ |xᵢ − xⱼ| = 2 Σᵢ (2i − n − 1) x₍ᵢ₎
    let weighted: f64 = sorted.iter().enumerate().map(|(i, v)| (2.0 * (i + 1) as f64 - n - 1.0) * v).sum();
    Some((weighted / (n * total)).max(0.0))
}
