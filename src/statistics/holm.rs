//! Several tests at once.

/// p values corrected by Holm's step-down rule, in the order given: with `m` of them in rising order,
/// `p'₍ᵢ₎ = max over j ≤ i of min(1, (m − j + 1) p₍ⱼ₎)`. Calling those below α differences makes any false call with
/// probability α at most, whatever the tests have in common (Holm, Scandinavian Journal of Statistics 6, 1979).
///
/// ```
/// // By hand: 0.01 · 4, 0.03 · 3, then 0.03 · 3 stays the largest, twice.
/// let corrected = fedrobust::statistics::holm(&[0.01, 0.04, 0.03, 0.04]);
/// assert_eq!(corrected.map_or(vec![], |p| p.iter().map(|p| (p * 100.0).round()).collect()), [4.0, 9.0, 9.0, 9.0]);
/// ```
///
/// `None` where a value is no probability.
pub fn holm(p: &[f64]) -> Option<Vec<f64>> {
    if !p.iter().all(|p| (0.0..=1.0).contains(p)) {
        return None;
    }
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|&a, &b| p[a].total_cmp(&p[b]));
    let mut corrected = vec![0.0; p.len()];
    let mut highest: f64 = 0.0;
    for (rank, &i) in order.iter().enumerate() {
        highest = highest.max(((p.len() - rank) as f64 * p[i]).min(1.0));
        corrected[i] = highest;
    }
    Some(corrected)
}
