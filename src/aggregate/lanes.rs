//! Coordinate-wise order statistics on a CPU: many columns side by side in the vectors of a CPU (`pulp` picks the widest).
//!
//! Columns are sorted; the median of many rows is selected. Minima, maxima and sums in f64 of the kept values in their
//! order give the same bytes with any vectors, and the same as the tensor operations of [`super::middle`] give on a GPU. A column
//! with a NaN gives NaN.

use super::selection::neighbours;
use super::sorting::{EIGHT, merge, sorted};
use pulp::{Arch, Simd, WithSimd};

/// Rows up to which two vectors of each fit in half of a first-level cache of 32 KiB, or 48 where vectors are wide.
const PAIRS: usize = 256;
/// Numbers of the widest vector.
const WIDEST: usize = 16;

/// What is made of the sorted values of a column.
#[derive(Debug, Clone, Copy)]
pub(super) enum Keep<'a> {
    /// The mean without the so many smallest and largest.
    Middle { drop: usize },
    /// The mean of the `keep` closest to the median, or to `around` `[w]`; of two values equally far, on either side, the
    /// lower, or with `first` the one in the first row.
    Closest { keep: usize, around: Option<&'a [f32]>, first: bool },
}

/// `[w]`: what is made of each column of a block `[n, w]`, row by row.
pub(super) fn columns(block: &[f32], n: usize, keep: Keep) -> Vec<f32> {
    let width = block.len() / n;
    let (mut made, suspicious) = Arch::new().dispatch(Block { rows: block, n, width, keep });
    if suspicious {
        for row in block.chunks_exact(width) {
            for (made, _) in made.iter_mut().zip(row).filter(|(_, x)| x.is_nan()) {
                *made = f32::NAN;
            }
        }
    }
    made
}

struct Block<'a> {
    rows: &'a [f32],
    n: usize,
    width: usize,
    keep: Keep<'a>,
}

impl WithSimd for Block<'_> {
    /// What is made of the columns, and whether one of them may hold a NaN.
    type Output = (Vec<f32>, bool);

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Self::Output {
        match self.n {
            1 => self.few::<S, 1>(simd),
            2 => self.few::<S, 2>(simd),
            3 => self.few::<S, 3>(simd),
            4 => self.few::<S, 4>(simd),
            5 => self.few::<S, 5>(simd),
            6 => self.few::<S, 6>(simd),
            7 => self.few::<S, 7>(simd),
            8 => self.few::<S, 8>(simd),
            9 => self.few::<S, 9>(simd),
            10 => self.few::<S, 10>(simd),
            11 => self.few::<S, 11>(simd),
            12 => self.few::<S, 12>(simd),
            13 => self.few::<S, 13>(simd),
            14 => self.few::<S, 14>(simd),
            15 => self.few::<S, 15>(simd),
            16 => self.few::<S, 16>(simd),
            n if n <= PAIRS => self.many::<S, 2>(simd),
            n if matches!(self.keep, Keep::Middle { drop } if drop == (n - 1) / 2) => self.medians(simd),
            _ => self.many::<S, 1>(simd),
        }
    }
}

impl Block<'_> {
    /// Sorts N rows in registers.
    #[inline(always)]
    fn few<S: Simd, const N: usize>(self, simd: S) -> (Vec<f32>, bool) {
        let mut made = vec![0.0; self.width];
        let (mut sum, mut slots) = (simd.splat_f32s(0.0), Vec::new());
        for (start, made) in (0..).step_by(S::F32_LANES).zip(made.chunks_mut(S::F32_LANES)) {
            let mut x = [simd.splat_f32s(0.0); N];
            for (i, x) in x.iter_mut().enumerate() {
                *x = self.load(simd, i, start);
                sum = simd.add_f32s(sum, *x);
            }
            let x = sorted(simd, x);
            self.keep(simd, &x, start, &mut slots, made);
        }
        (made, simd.reduce_sum_f32s(sum).is_nan())
    }

    /// Sorts any number of rows, V vectors of each side by side.
    #[inline(always)]
    fn many<S: Simd, const V: usize>(self, simd: S) -> (Vec<f32>, bool) {
        let (n, lanes) = (self.n, V * S::F32_LANES);
        let wanted = match self.keep {
            Keep::Middle { drop } => drop..n - drop,
            Keep::Closest { .. } => 0..n,
        };
        let mut made = vec![0.0; self.width];
        let (mut sum, mut slots) = (simd.splat_f32s(0.0), Vec::new());
        let mut values = vec![[simd.splat_f32s(0.0); V]; n.next_multiple_of(EIGHT)];
        let mut column = vec![simd.splat_f32s(0.0); n];
        for (start, made) in (0..).step_by(lanes).zip(made.chunks_mut(lanes)) {
            for (first, values) in (0..n).step_by(EIGHT).zip(values.as_chunks_mut::<EIGHT>().0) {
                for (v, start) in (start..).step_by(S::F32_LANES).take(V).enumerate() {
                    let mut x = [simd.splat_f32s(f32::INFINITY); EIGHT];
                    for (x, i) in x.iter_mut().zip(first..n) {
                        *x = self.load(simd, i, start);
                        sum = simd.add_f32s(sum, *x);
                    }
                    let x = sorted(simd, x);
                    for (values, x) in values.iter_mut().zip(x) {
                        values[v] = x;
                    }
                }
            }
            merge(simd, &mut values, wanted.clone());
            for (v, made) in made.chunks_mut(S::F32_LANES).enumerate() {
                for i in wanted.clone() {
                    column[i] = values[i][v];
                }
                self.keep(simd, &column, start + v * S::F32_LANES, &mut slots, made);
            }
        }
        (made, simd.reduce_sum_f32s(sum).is_nan())
    }

    /// Selects the medians of many rows; columns that this does not settle are sorted one by one.
    #[inline(always)]
    fn medians<S: Simd>(self, simd: S) -> (Vec<f32>, bool) {
        let (n, zero, one) = (self.n, simd.splat_f32s(0.0), simd.splat_f32s(1.0));
        let mut made = vec![0.0; self.width];
        let (mut sum, mut values) = (zero, vec![zero; n]);
        for (start, made) in (0..).step_by(S::F32_LANES).zip(made.chunks_mut(S::F32_LANES)) {
            for (i, x) in values.iter_mut().enumerate() {
                *x = self.load(simd, i, start);
                sum = simd.add_f32s(sum, *x);
            }
            let middle = neighbours(simd, &values, n / 2);
            mean::<S>(&[if n.is_multiple_of(2) { middle.below } else { middle.at }, middle.at], made);
            let found = [simd.select_f32s(middle.found, one, zero)];
            let found: &[f32] = pulp::bytemuck::cast_slice(&found);
            for (lane, made) in made.iter_mut().enumerate().filter(|(lane, _)| found[*lane] == 0.0) {
                *made = median_of(self.column(start + lane));
            }
        }
        (made, simd.reduce_sum_f32s(sum).is_nan())
    }

    fn column(&self, column: usize) -> Vec<f32> {
        self.rows.iter().skip(column).step_by(self.width).copied().collect()
    }

    /// A vector of row i from column `start` on; zeros beyond its end.
    #[inline(always)]
    fn load<S: Simd>(&self, simd: S, i: usize, start: usize) -> S::f32s {
        vector(simd, &self.rows[i * self.width..][..self.width], start)
    }

    /// Writes what is made of columns in order.
    #[inline(always)]
    fn keep<S: Simd>(&self, simd: S, sorted: &[S::f32s], start: usize, slots: &mut Vec<S::f32s>, made: &mut [f32]) {
        let n = self.n;
        match self.keep {
            Keep::Middle { drop } => mean::<S>(&sorted[drop..n - drop], made),
            Keep::Closest { keep, around, first } => {
                let centre = match around {
                    Some(around) => vector(simd, around, start),
                    None => {
                        let mut middle = [simd.splat_f32s(0.0)];
                        mean::<S>(&sorted[(n - 1) / 2..=n / 2], pulp::bytemuck::cast_slice_mut(&mut middle));
                        middle[0]
                    }
                };
                let ties = closest(simd, sorted, keep, centre, slots);
                mean::<S>(slots, made);
                let (ties, centre) = (&[ties], &[centre]);
                let (ties, centre) = (pulp::bytemuck::cast_slice::<_, f32>(ties), pulp::bytemuck::cast_slice(centre));
                for (lane, made) in made.iter_mut().enumerate().filter(|(lane, _)| first && ties[*lane] != 0.0) {
                    *made = closest_by_row(self.column(start + lane), keep, centre[lane]);
                }
            }
        }
    }
}

/// A vector of a row from a column on; zeros beyond its end.
#[inline(always)]
fn vector<S: Simd>(simd: S, row: &[f32], start: usize) -> S::f32s {
    match row.get(start..start + S::F32_LANES) {
        Some(whole) => S::as_simd_f32s(whole).0[0],
        None => simd.partial_load_f32s(row.get(start..).unwrap_or_default()),
    }
}

/// The mean, summed in f64, of as many columns as are asked for.
#[inline(always)]
fn mean<S: Simd>(values: &[S::f32s], made: &mut [f32]) {
    let mut sum = [0.0_f64; WIDEST];
    let sum = &mut sum[..S::F32_LANES];
    let numbers: &[f32] = pulp::bytemuck::cast_slice(values);
    for row in numbers.chunks_exact(S::F32_LANES) {
        for lane in 0..S::F32_LANES {
            sum[lane] += f64::from(row[lane]);
        }
    }
    let count = values.len() as f64;
    for (made, sum) in made.iter_mut().zip(sum) {
        *made = (*sum / count) as f32;
    }
}

/// The median of one column.
fn median_of(mut column: Vec<f32>) -> f32 {
    column.sort_by(f32::total_cmp);
    let n = column.len();
    // From 0, as `mean` does: two negative zeros give 0.
    ((0.0 + f64::from(column[(n - 1) / 2]) + f64::from(column[n / 2])) / 2.0) as f32
}

/// Fills `slots` with the `keep` values closest to a centre, which are neighbours in sorted order. Their window starts at the
/// lowest values and moves up by one wherever the value it would win is closer than the one it would lose. A slot holds the
/// one value of each residue that is in the window, so that what leaves it never enters a sum. Gives 1 where the window
/// stopped between two different values equally far, else 0.
#[inline(always)]
fn closest<S: Simd>(simd: S, sorted: &[S::f32s], keep: usize, centre: S::f32s, slots: &mut Vec<S::f32s>) -> S::f32s {
    let (zero, one) = (simd.splat_f32s(0.0), simd.splat_f32s(1.0));
    let (mut moving, mut ties) = (simd.less_than_f32s(zero, one), simd.less_than_f32s(one, zero));
    slots.clear();
    slots.extend_from_slice(&sorted[..keep]);
    for j in 0..sorted.len() - keep {
        let (low, high) = (sorted[j], sorted[j + keep]);
        let (below, above) = (simd.sub_f32s(centre, low), simd.sub_f32s(high, centre));
        let tie = simd.and_m32s(simd.equal_f32s(below, above), simd.less_than_f32s(low, high));
        ties = simd.or_m32s(ties, simd.and_m32s(moving, tie));
        moving = simd.and_m32s(moving, simd.greater_than_f32s(below, above));
        slots[j % keep] = simd.select_f32s(moving, high, slots[j % keep]);
    }
    simd.select_f32s(ties, one, zero)
}

/// The mean of the `keep` values closest to a centre, of those equally far the ones in the first rows.
fn closest_by_row(mut column: Vec<f32>, keep: usize, centre: f32) -> f32 {
    column.sort_by(|a, b| (a - centre).abs().total_cmp(&(b - centre).abs()));
    (column[..keep].iter().map(|x| f64::from(*x)).sum::<f64>() / keep as f64) as f32
}
