//! Folds over people, as scikit-learn's `KFold` without shuffling: consecutive blocks, the first `n mod k` one larger.

/// The test block of fold `fold` (from 1) of `folds` over `n` things.
///
/// By hand: 7 things in 3 folds are 0..3, 3..5, 5..7.
pub(super) fn block(n: usize, folds: usize, fold: usize) -> std::ops::Range<usize> {
    let start = |k: usize| k * (n / folds) + k.min(n % folds);
    start(fold - 1)..start(fold)
}

#[cfg(test)]
mod tests {
    #[test]
    fn folds_are_blocks_and_the_first_are_larger() {
        let blocks: Vec<_> = (1..=3).map(|fold| super::block(7, 3, fold)).collect();
        assert_eq!(blocks, [0..3, 3..5, 5..7]);
        assert_eq!(super::block(91, 5, 1), 0..19);
    }
}
