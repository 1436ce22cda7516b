//! Sorting networks: the pairs of places to compare and exchange that sort any n values.
//!
//! Batcher's merge exchange (Knuth, The Art of Computer Programming vol. 3, algorithm 5.2.2M), about n log² n / 4 pairs. Only
//! the comparators are kept that a wanted place depends on.

/// Puts the smaller of two places into `a` and the larger into `b`, where those are still asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Comparator {
    /// The lower place.
    pub a: u32,
    /// The higher place.
    pub b: u32,
    /// Whether the smaller value is asked for.
    pub low: bool,
    /// Whether the larger is.
    pub high: bool,
}

/// The comparators that the places `drop..n − drop` of n sorted values depend on.
pub(super) fn middle_of(n: usize, drop: usize) -> Vec<Comparator> {
    let mut wanted: Vec<bool> = (0..n).map(|place| (drop..n - drop).contains(&place)).collect();
    let mut kept = Vec::new();
    for &(a, b) in merge_exchange(n).iter().rev() {
        let (low, high) = (wanted[a], wanted[b]);
        if low || high {
            kept.push(Comparator { a: a as u32, b: b as u32, low, high });
            (wanted[a], wanted[b]) = (true, true);
        }
    }
    kept.reverse();
    kept
}

fn merge_exchange(n: usize) -> Vec<(usize, usize)> {
    let mut pairs = Vec::new();
    let top = n.next_power_of_two() / 2;
    let mut p = top;
    while p > 0 {
        let (mut q, mut r, mut d) = (top, 0, p);
        loop {
            pairs.extend((0..n.saturating_sub(d)).filter(|i| i & p == r).map(|i| (i, i + d)));
            if q == p {
                break;
            }
            (d, q, r) = (q - p, q / 2, p);
        }
        p /= 2;
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_sorts_every_pattern_of_zeros_and_ones() {
        // The 0-1 principle: a network that sorts these sorts everything.
        for n in 1..=12_usize {
            let network = merge_exchange(n);
            for pattern in 0..1_u32 << n {
                let mut values: Vec<u32> = (0..n).map(|i| pattern >> i & 1).collect();
                for &(a, b) in &network {
                    if values[a] > values[b] {
                        values.swap(a, b);
                    }
                }
                assert!(values.is_sorted(), "n = {n}, pattern {pattern:b}");
            }
        }
    }

    #[test]
    fn the_median_asks_for_fewer_comparators() {
        assert_eq!((middle_of(10, 0).len(), middle_of(1, 0).len()), (31, 0));
        let median = middle_of(10, 4);
        assert!(median.len() <= 31 && median.iter().any(|c| !c.low || !c.high));
    }
}
