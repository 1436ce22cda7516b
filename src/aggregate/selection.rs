//! Selects neighbours in the order of columns, many columns side by side in the vectors of a CPU.
//!
//! A pivot's place is the number of values below it: a comparison and an addition a value, where a sort by comparators needs
//! about log² n / 4 minima and maxima. The first two pivots are of a sample that is sorted in registers, on either side of where
//! the place should be (Floyd and Rivest, Expected Time Bounds for Selection, CACM 1975); the next ones interpolate between the
//! counts, every third lies halfway. Where these do not find it, because values are equal or far apart, the values
//! next to the bounds are looked at, which closes in on equal ones.

use super::sorting::sorted;
use pulp::Simd;

/// Values of a sample; so many rows are needed.
const SAMPLE: usize = 16;
/// Places in the sample on either side of the expected one: 1.5 standard deviations at the median.
const ASIDE: usize = 3;
/// Pivots until values are looked at, most often fewer.
const PIVOTS: usize = 9;
/// Times that values are looked at. Columns that these do not settle hold values of many magnitudes.
const LOOKS: usize = 4;

/// Neighbours in the order: the value at a place and the one below it. Where `found` is not set they are wrong.
pub(super) struct Neighbours<S: Simd> {
    pub below: S::f32s,
    pub at: S::f32s,
    pub found: S::m32s,
}

/// The values at place `k`, from 1, and k − 1 of columns of [`SAMPLE`] rows or more.
#[inline(always)]
pub(super) fn neighbours<S: Simd>(simd: S, values: &[S::f32s], k: usize) -> Neighbours<S> {
    let mut bounds = Bounds::new(simd, values, k);
    let mut looks = 1;
    let mut pivots = bounds.pivots(simd, false);
    loop {
        for pivot in 1..=PIVOTS {
            if bounds.are_settled(simd) {
                break;
            }
            bounds.narrow(simd, pivots, count_below(simd, values, pivots));
            pivots = bounds.pivots(simd, pivot % 3 == 2);
        }
        let (found, highest) = bounds.look(simd, values);
        if looks == LOOKS || is_everywhere(simd, found.found) {
            return found;
        }
        looks += 1;
        pivots = highest;
    }
}

/// How many values are below a pivot.
#[inline(always)]
fn count_below<S: Simd>(simd: S, values: &[S::f32s], pivots: S::f32s) -> S::f32s {
    let (zero, one) = (simd.splat_u32s(0), simd.splat_u32s(1));
    // Counts side by side, so that none waits for the one before.
    let mut counts = [zero; 4];
    let (fours, rest) = values.as_chunks::<4>();
    for four in fours {
        for i in 0..4 {
            let below = simd.less_than_f32s(four[i], pivots);
            counts[i] = simd.add_u32s(counts[i], simd.select_u32s(below, one, zero));
        }
    }
    let [a, b, c, d] = counts;
    let mut count = simd.add_u32s(simd.add_u32s(a, b), simd.add_u32s(c, d));
    for x in rest {
        let below = simd.less_than_f32s(*x, pivots);
        count = simd.add_u32s(count, simd.select_u32s(below, one, zero));
    }
    // A whole number below 2²³ is the last bits of itself and 2²³ in f32.
    let shift = simd.splat_f32s(8_388_608.0);
    let shifted = simd.or_u32s(simd.transmute_u32s_f32s(shift), count);
    simd.sub_f32s(simd.transmute_f32s_u32s(shifted), shift)
}

#[inline(always)]
fn is_everywhere<S: Simd>(simd: S, mask: S::m32s) -> bool {
    let missing = simd.select_f32s(mask, simd.splat_f32s(0.0), simd.splat_f32s(1.0));
    simd.reduce_sum_f32s(missing) == 0.0
}

/// Bounds of a place in columns: `low ≤ x < high`, and how many values are below each.
struct Bounds<S: Simd> {
    k: S::f32s,
    low: S::f32s,
    high: S::f32s,
    below_low: S::f32s,
    below_high: S::f32s,
    least: S::f32s,
    most: S::f32s,
}

impl<S: Simd> Bounds<S> {
    /// From a sample.
    #[inline(always)]
    fn new(simd: S, values: &[S::f32s], k: usize) -> Self {
        let n = values.len();
        let (mut least, mut most) = (values[0], values[0]);
        for x in values {
            least = simd.min_f32s(least, *x);
            most = simd.max_f32s(most, *x);
        }
        let mut bounds = Self {
            k: simd.splat_f32s(k as f32),
            low: least,
            high: simd.splat_f32s(f32::INFINITY),
            below_low: simd.splat_f32s(0.0),
            below_high: simd.splat_f32s(n as f32),
            least,
            most,
        };
        let mut sample = [simd.splat_f32s(0.0); SAMPLE];
        for (i, x) in sample.iter_mut().enumerate() {
            *x = values[i * n / SAMPLE];
        }
        let (sample, expected) = (sorted(simd, sample), k * SAMPLE / n);
        for place in [expected.saturating_sub(ASIDE), (expected + ASIDE).min(SAMPLE - 1)] {
            bounds.narrow(simd, sample[place], count_below(simd, values, sample[place]));
        }
        bounds
    }

    /// Moves one bound of each column to a pivot between them.
    #[inline(always)]
    fn narrow(&mut self, simd: S, pivots: S::f32s, counts: S::f32s) {
        let few = simd.less_than_or_equal_f32s(counts, self.k);
        let up = simd.and_m32s(few, simd.greater_than_f32s(pivots, self.low));
        let many = simd.greater_than_f32s(counts, self.k);
        let down = simd.and_m32s(many, simd.less_than_f32s(pivots, self.high));
        self.low = simd.select_f32s(up, pivots, self.low);
        self.below_low = simd.select_f32s(up, counts, self.below_low);
        self.high = simd.select_f32s(down, pivots, self.high);
        self.below_high = simd.select_f32s(down, counts, self.below_high);
    }

    /// Whether the place is that of the first value from the lower bound on, in every column.
    #[inline(always)]
    fn are_settled(&self, simd: S) -> bool {
        is_everywhere(simd, simd.equal_f32s(self.below_low, self.k))
    }

    /// The next pivots: where the place would be if the values between the bounds were spread evenly, or halfway.
    #[inline(always)]
    fn pivots(&self, simd: S, halfway: bool) -> S::f32s {
        let (low, high) = (self.low, simd.min_f32s(self.high, self.most));
        let between = simd.sub_f32s(self.below_high, self.below_low);
        let evenly = simd.div_f32s(simd.sub_f32s(self.k, self.below_low), between);
        let share = if halfway { simd.splat_f32s(0.5) } else { evenly };
        // Not low + share (high − low), whose difference may be too large for a number.
        let rest = simd.sub_f32s(simd.splat_f32s(1.0), share);
        let pivots = simd.add_f32s(simd.mul_f32s(rest, low), simd.mul_f32s(share, high));
        // Rounding may leave it on the lower bound, where it would tell nothing.
        simd.select_f32s(simd.greater_than_f32s(pivots, low), pivots, high)
    }

    /// Looks at the values next to the bounds, takes what they settle and moves the lower bounds up to the values above them.
    /// Gives also the highest values below the higher bounds, as pivots: how many values are below those is not known.
    #[inline(always)]
    fn look(&mut self, simd: S, values: &[S::f32s]) -> (Neighbours<S>, S::f32s) {
        let infinite = simd.splat_f32s(f32::INFINITY);
        let (mut above_low, mut below_low, mut below_high) = (infinite, self.least, self.least);
        for x in values {
            let low = simd.less_than_f32s(*x, self.low);
            above_low = simd.min_f32s(above_low, simd.select_f32s(low, infinite, *x));
            below_low = simd.max_f32s(below_low, simd.select_f32s(low, *x, self.least));
            let high = simd.less_than_f32s(*x, self.high);
            below_high = simd.max_f32s(below_high, simd.select_f32s(high, *x, self.least));
        }
        self.low = above_low;
        let first = simd.equal_f32s(self.below_low, self.k);
        let equal = simd.equal_f32s(above_low, below_high);
        // The highest bound says nothing of infinities.
        let finite = simd.less_than_f32s(simd.max_f32s(self.most, simd.neg_f32s(self.least)), infinite);
        let neighbours = Neighbours {
            below: simd.select_f32s(first, below_low, above_low),
            at: above_low,
            found: simd.and_m32s(finite, simd.or_m32s(first, equal)),
        };
        (neighbours, below_high)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Stream;
    use pulp::{Arch, WithSimd};
    use rand::Rng;

    struct Place<'a>(&'a [[f32; 16]], usize);

    impl WithSimd for Place<'_> {
        type Output = Vec<Option<(f32, f32)>>;

        fn with_simd<S: Simd>(self, simd: S) -> Self::Output {
            let Place(rows, k) = self;
            let values: Vec<S::f32s> = rows.iter().map(|row| S::as_simd_f32s(row).0[0]).collect();
            let found = neighbours(simd, &values, k);
            let was = simd.select_f32s(found.found, simd.splat_f32s(1.0), simd.splat_f32s(0.0));
            let [below, at, was] = [found.below, found.at, was]
                .map(|x| pulp::bytemuck::cast_slice::<_, f32>(std::slice::from_ref(&x)).to_vec());
            (0..below.len()).map(|lane| (was[lane] == 1.0).then_some((below[lane], at[lane]))).collect()
        }
    }

    /// How many of the columns were found; those that were are right.
    fn found(n: usize, value: impl Fn(usize, &mut dyn FnMut() -> f32) -> f32) -> f64 {
        let mut rng = Stream::root(5).at(n as u64).rng();
        let mut uniform = || rng.random::<f32>();
        let (mut all, mut were) = (0, 0);
        for round in 0..10 {
            let rows: Vec<[f32; 16]> =
                (0..n).map(|i| std::array::from_fn(|_| value(i * 7919 % n + round * n, &mut uniform))).collect();
            for k in [n / 2, 1, n / 5, n - n / 5, n - 1] {
                for (column, found) in Arch::new().dispatch(Place(&rows, k)).into_iter().enumerate() {
                    let mut sorted: Vec<f32> = rows.iter().map(|row| row[column]).collect();
                    sorted.sort_by(f32::total_cmp);
                    all += 1;
                    if let Some((below, at)) = found {
                        assert_eq!((below, at), (sorted[k - 1], sorted[k]), "n = {n}, k = {k}");
                        were += 1;
                    }
                }
            }
        }
        f64::from(were) / f64::from(all)
    }

    #[test]
    fn what_is_found_is_right_and_of_usual_values_all_is_found() {
        for n in [16, 17, 24, 31, 100, 101, 333, 1000] {
            // Sums of uniform numbers; many equal ones; most equal; two clusters; long tails; a fifth of 1e30.
            assert_eq!(found(n, |_, uniform| uniform() + uniform() + uniform() - 1.5), 1.0, "{n}");
            assert_eq!(found(n, |_, uniform| (uniform() * 8.0).floor() - 4.0), 1.0, "{n}");
            assert_eq!(found(n, |_, uniform| (uniform() - 0.8).max(0.0)), 1.0, "{n}");
            assert_eq!(found(n, |i, uniform| if i % 2 == 0 { 1e4 } else { -1.0 } + 0.01 * uniform()), 1.0, "{n}");
            assert!(found(n, |_, uniform| (uniform() - 0.5).powi(-3)) > 0.98, "{n}");
            assert!(found(n, |i, uniform| if i % 5 == 0 { -1e30 } else { uniform() }) > 0.98, "{n}");
        }
    }

    #[test]
    fn the_largest_numbers_and_infinities_are_found_or_known_not_to_be() {
        for n in [16, 50, 300] {
            found(n, |i, uniform| {
                if i % 3 == 0 {
                    f32::MAX
                } else if i % 3 == 1 {
                    f32::MIN
                } else {
                    uniform()
                }
            });
            found(n, |i, uniform| {
                if i % 3 == 0 {
                    f32::INFINITY
                } else if i % 3 == 1 {
                    f32::NEG_INFINITY
                } else {
                    uniform()
                }
            });
        }
    }
}
