//! Sorts columns side by side in vectors by minima and maxima: a few rows in registers, more by bitonic merges of eights.
//!
//! A comparator puts the smaller of two places in the first and the larger in the second. A pass over memory does as many of
//! them as registers hold: three levels of a merge on eight places, where one at a time would load and store as often as it
//! compares. (Batcher, Sorting networks and their applications, AFIPS 1968; Knuth, The Art of Computer Programming vol. 3,
//! 5.3.4.) Compilers find the registers because every place is a literal.

use pulp::Simd;
use std::ops::Range;

/// Rows that are sorted in registers before merges begin.
pub(super) const EIGHT: usize = 8;

macro_rules! exchange {
    ($simd:ident, $x:ident, $n:expr; $($a:literal $b:literal),*) => { $(
        if $b < $n {
            // In this order both are kept where neither is smaller, as a zero and a negative zero are.
            let (low, high) = ($simd.min_f32s($x[$a], $x[$b]), $simd.max_f32s($x[$b], $x[$a]));
            ($x[$a], $x[$b]) = (low, high);
        }
    )* };
}

/// N vectors in order, N up to 16: Batcher's merge exchange of 16 (algorithm 5.2.2M), without the places that are not there.
#[inline(always)]
pub(super) fn sorted<S: Simd, const N: usize>(simd: S, mut x: [S::f32s; N]) -> [S::f32s; N] {
    exchange!(simd, x, N; 0 8, 1 9, 2 10, 3 11, 4 12, 5 13, 6 14, 7 15);
    exchange!(simd, x, N; 0 4, 1 5, 2 6, 3 7, 8 12, 9 13, 10 14, 11 15, 4 8, 5 9, 6 10, 7 11);
    exchange!(simd, x, N; 0 2, 1 3, 4 6, 5 7, 8 10, 9 11, 12 14, 13 15, 2 8, 3 9, 6 12, 7 13, 2 4, 3 5, 6 8, 7 9, 10 12, 11 13);
    exchange!(simd, x, N; 0 1, 2 3, 4 5, 6 7, 8 9, 10 11, 12 13, 14 15, 1 8, 3 10, 5 12, 7 14, 1 4, 3 6, 5 8, 7 10, 9 12, 11 14);
    exchange!(simd, x, N; 1 2, 3 4, 5 6, 7 8, 9 10, 11 12, 13 14);
    x
}

/// Merges eights in order into one order, of which only the `wanted` places need to be right. `values` are a multiple of
/// eight; beyond them infinities are imagined, up to a power of two.
///
/// Two runs of one length merge by comparing mirror images, place j of the pair with place k − 1 − j, which leaves the lower
/// half of the values in the lower run; then places a stride apart, with strides k / 4, k / 8, ..., 1.
#[inline(always)]
pub(super) fn merge<S: Simd, const V: usize>(simd: S, values: &mut [[S::f32s; V]], wanted: Range<usize>) {
    let n = values.len();
    let mut k = 2 * EIGHT;
    while k / 2 < n {
        let wanted = if k < n { 0..n } else { wanted.clone() };
        for start in (0..n).step_by(k).filter(|start| start + k / 2 < n) {
            let mut stride = mirror(simd, &mut values[start..], k);
            let run = start..n.min(start + k);
            while stride > EIGHT / 2 {
                for first in aligned(&run, 2 * stride, &wanted) {
                    quarters(simd, &mut values[first..], stride);
                }
                stride /= 4;
            }
            for first in aligned(&run, EIGHT, &wanted) {
                within_eight(simd, &mut values[first..]);
            }
        }
        k *= 2;
    }
}

/// The starts of the spans of a run that hold wanted places.
fn aligned(run: &Range<usize>, span: usize, wanted: &Range<usize>) -> impl Iterator<Item = usize> {
    let (low, high) = (wanted.start, wanted.end);
    run.clone().step_by(span).filter(move |first| first + span > low && *first < high)
}

/// Compares mirror images and, in the same registers, as many strides as leave an even number before the last three. Returns
/// the next stride.
#[inline(always)]
fn mirror<S: Simd, const V: usize>(simd: S, values: &mut [[S::f32s; V]], k: usize) -> usize {
    let stride = k / 4;
    let before_the_last_three = k.ilog2() - 4;
    if before_the_last_three == 0 {
        for a in 0..k / 2 {
            let places = [a, k - 1 - a];
            on(
                simd,
                values,
                places,
                #[inline(always)]
                |mut x| {
                    exchange!(simd, x, 2; 0 1);
                    x
                },
            );
        }
        stride
    } else if before_the_last_three % 2 == 1 {
        for a in 0..stride {
            let b = k - 1 - a;
            let places = [a, a + stride, b - stride, b];
            on(
                simd,
                values,
                places,
                #[inline(always)]
                |mut x| {
                    exchange!(simd, x, 4; 0 3, 1 2, 0 1, 2 3);
                    x
                },
            );
        }
        stride / 2
    } else {
        let next = stride / 2;
        for a in 0..next {
            let b = k - 1 - a;
            let upper = [b - stride - next, b - stride, b - next, b];
            let places = [a, a + next, a + stride, a + stride + next, upper[0], upper[1], upper[2], upper[3]];
            on(
                simd,
                values,
                places,
                #[inline(always)]
                |mut x| {
                    exchange!(simd, x, 8; 0 7, 1 6, 2 5, 3 4, 0 2, 1 3, 4 6, 5 7, 0 1, 2 3, 4 5, 6 7);
                    x
                },
            );
        }
        stride / 4
    }
}

/// Two strides of a merge on the first `2 · stride` places.
#[inline(always)]
fn quarters<S: Simd, const V: usize>(simd: S, values: &mut [[S::f32s; V]], stride: usize) {
    let next = stride / 2;
    for a in 0..next {
        let places = [a, a + next, a + stride, a + stride + next];
        on(
            simd,
            values,
            places,
            #[inline(always)]
            |mut x| {
                exchange!(simd, x, 4; 0 2, 1 3, 0 1, 2 3);
                x
            },
        );
    }
}

/// The last three strides.
#[inline(always)]
fn within_eight<S: Simd, const V: usize>(simd: S, values: &mut [[S::f32s; V]]) {
    on(
        simd,
        values,
        [0, 1, 2, 3, 4, 5, 6, 7],
        #[inline(always)]
        |mut x| {
            exchange!(simd, x, 8; 0 4, 1 5, 2 6, 3 7, 0 2, 1 3, 4 6, 5 7, 0 1, 2 3, 4 5, 6 7);
            x
        },
    );
}

/// Does `work` on the vectors at so many places; those beyond the end are infinite and stay so.
#[inline(always)]
fn on<S: Simd, const V: usize, const W: usize>(
    simd: S,
    values: &mut [[S::f32s; V]],
    places: [usize; W],
    work: impl Fn([S::f32s; W]) -> [S::f32s; W],
) {
    for v in 0..V {
        let mut x = [simd.splat_f32s(f32::INFINITY); W];
        for (x, &place) in x.iter_mut().zip(&places) {
            if let Some(vectors) = values.get(place) {
                *x = vectors[v];
            }
        }
        let x = work(x);
        for (x, &place) in x.iter().zip(&places) {
            if let Some(vectors) = values.get_mut(place) {
                vectors[v] = *x;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pulp::{Arch, WithSimd};

    struct Sort<'a, const N: usize>(&'a [f32]);

    impl<const N: usize> WithSimd for Sort<'_, N> {
        type Output = Vec<f32>;

        fn with_simd<S: Simd>(self, simd: S) -> Vec<f32> {
            let mut x = [simd.splat_f32s(0.0); N];
            for (x, value) in x.iter_mut().zip(self.0) {
                *x = simd.splat_f32s(*value);
            }
            sorted(simd, x).iter().map(|x| pulp::bytemuck::cast_slice::<_, f32>(std::slice::from_ref(x))[0]).collect()
        }
    }

    fn sorts<const N: usize>() {
        // The 0-1 principle: a network that sorts these sorts everything.
        for pattern in 0..1_u32 << N {
            let values: Vec<f32> = (0..N).map(|i| (pattern >> i & 1) as f32).collect();
            assert!(Arch::new().dispatch(Sort::<N>(&values)).is_sorted(), "{N} values, pattern {pattern:b}");
        }
    }

    #[test]
    fn few_values_are_sorted_whatever_their_order() {
        sorts::<1>();
        sorts::<2>();
        sorts::<7>();
        sorts::<8>();
        sorts::<10>();
        sorts::<13>();
        sorts::<16>();
    }

    struct Merge<'a>(&'a [f32], Range<usize>);

    impl WithSimd for Merge<'_> {
        type Output = Vec<f32>;

        fn with_simd<S: Simd>(self, simd: S) -> Vec<f32> {
            let mut values: Vec<[S::f32s; 1]> = self.0.iter().map(|x| [simd.splat_f32s(*x)]).collect();
            merge(simd, &mut values, self.1);
            values.iter().map(|x| pulp::bytemuck::cast_slice::<_, f32>(x)[0]).collect()
        }
    }

    #[test]
    fn merges_of_zeros_and_ones_are_in_order_where_that_is_wanted() {
        // All orders of ones in eights that are in order themselves, up to five eights; then two runs of many.
        for eights in 1..=5_u32 {
            for pattern in 0..9_u32.pow(eights) {
                let ones = |eight: u32| (pattern / 9_u32.pow(eight) % 9) as usize;
                let values: Vec<f32> = (0..eights)
                    .flat_map(|e| (0..EIGHT).map(move |i| f32::from(u8::from(i + ones(e) >= EIGHT))))
                    .collect();
                check(&values, 0..values.len());
            }
        }
    }

    #[test]
    fn many_eights_are_merged_and_only_what_is_wanted_need_be() {
        for eights in [6, 7, 8, 9, 12, 16, 17, 31, 33, 64, 65, 125_usize] {
            let mut values: Vec<f32> = (0..eights * EIGHT).map(|i| (i * 7919 % 1009) as f32).collect();
            values.chunks_mut(EIGHT).for_each(|eight| eight.sort_by(f32::total_cmp));
            let n = values.len();
            for wanted in [0..n, n / 2 - 1..n / 2 + 1, n / 5..n - n / 5, 0..1, n - 1..n] {
                check(&values, wanted);
            }
        }
    }

    fn check(values: &[f32], wanted: Range<usize>) {
        let mut expected = values.to_vec();
        expected.sort_by(f32::total_cmp);
        let merged = Arch::new().dispatch(Merge(values, wanted.clone()));
        assert_eq!(merged[wanted.clone()], expected[wanted.clone()], "{} values, {wanted:?}", values.len());
    }
}
