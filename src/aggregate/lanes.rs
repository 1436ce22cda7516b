//! Coordinate-wise order statistics on a CPU: a block of columns at a time, many columns side by side.
//!
//! The columns of a block are sorted by a network of minima and maxima, which compilers turn into vector instructions
//! (`pulp` picks the widest that the CPU has). Minima, maxima and sums in f64 of the kept values in their order give the
//! same bytes with any of them, and the same as the tensor operations of [`super::middle`] give on a GPU. A column with a
//! NaN gives NaN.

use super::network::Comparator;
use pulp::{Arch, Simd, WithSimd};

/// Columns side by side: enough that what a comparator costs beside its minima and maxima counts little.
const MANY: usize = 64;
/// Rows up to which so many columns fit in a first-level cache of 32 KiB.
const MANY_ROWS: usize = 128;
/// Columns side by side of more rows.
const FEW: usize = 32;

type Lanes<const L: usize> = [f32; L];

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
pub(super) fn columns(block: &[f32], n: usize, network: &[Comparator], keep: Keep) -> Vec<f32> {
    if n <= MANY_ROWS {
        Arch::new().dispatch(Block::<MANY> { block, n, network, keep })
    } else {
        Arch::new().dispatch(Block::<FEW> { block, n, network, keep })
    }
}

struct Block<'a, const L: usize> {
    block: &'a [f32],
    n: usize,
    network: &'a [Comparator],
    keep: Keep<'a>,
}

impl<const L: usize> WithSimd for Block<'_, L> {
    type Output = Vec<f32>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) -> Vec<f32> {
        let width = self.block.len() / self.n;
        let mut made = Vec::with_capacity(width + L);
        let mut values = vec![[0.0; L]; self.n];
        for start in (0..width).step_by(L) {
            let used = L.min(width - start);
            for (i, lanes) in values.iter_mut().enumerate() {
                let row = &self.block[i * width + start..];
                match row.first_chunk() {
                    Some(whole) if used == L => *lanes = *whole,
                    _ => lanes[..used].copy_from_slice(&row[..used]),
                }
            }
            let poison = nan(&values);
            sort(&mut values, self.network);
            let mut means = match self.keep {
                Keep::Middle { drop } => mean(&values[drop..self.n - drop]),
                Keep::Closest { keep, around, first } => {
                    let mut centre = mean(&values[(self.n - 1) / 2..=self.n / 2]);
                    if let Some(around) = around {
                        centre[..used].copy_from_slice(&around[start..][..used]);
                    }
                    let (mut means, ties) = closest(&values, keep, &centre);
                    if first {
                        for lane in (0..used).filter(|&lane| ties[lane]) {
                            let column = (0..self.n).map(|i| self.block[i * width + start + lane]).collect();
                            means[lane] = closest_by_row(column, keep, centre[lane]);
                        }
                    }
                    means
                }
            };
            for lane in 0..L {
                means[lane] = if poison[lane] { f32::NAN } else { means[lane] };
            }
            made.extend(means);
        }
        made.truncate(width);
        made
    }
}

/// Which columns hold a NaN.
#[inline(always)]
fn nan<const L: usize>(values: &[Lanes<L>]) -> [bool; L] {
    let mut found = [false; L];
    for lanes in values {
        for lane in 0..L {
            found[lane] |= lanes[lane].is_nan();
        }
    }
    found
}

#[inline(always)]
fn sort<const L: usize>(values: &mut [Lanes<L>], network: &[Comparator]) {
    for c in network {
        let (a, b) = (values[c.a as usize], values[c.b as usize]);
        let (mut low, mut high) = (a, b);
        for lane in 0..L {
            low[lane] = if a[lane] < b[lane] { a[lane] } else { b[lane] };
            high[lane] = if a[lane] < b[lane] { b[lane] } else { a[lane] };
        }
        if c.low {
            values[c.a as usize] = low;
        }
        if c.high {
            values[c.b as usize] = high;
        }
    }
}

/// The mean, summed in f64; a single value is itself.
#[inline(always)]
fn mean<const L: usize>(values: &[Lanes<L>]) -> Lanes<L> {
    let mut sum = [0.0_f64; L];
    for lanes in values {
        for lane in 0..L {
            sum[lane] += f64::from(lanes[lane]);
        }
    }
    sum.map(|sum| (sum / values.len() as f64) as f32)
}

/// The `keep` values closest to a centre are neighbours in sorted order. Their window starts at the lowest values and
/// moves up by one wherever the value it would win is closer than the one it would lose. A slot holds the one value of
/// each residue that is in the window, so that what leaves it never enters a sum. Also says where the window stopped
/// between two different values equally far.
#[inline(always)]
fn closest<const L: usize>(sorted: &[Lanes<L>], keep: usize, centre: &Lanes<L>) -> (Lanes<L>, [bool; L]) {
    let mut slots: Vec<Lanes<L>> = sorted[..keep].to_vec();
    let (mut moving, mut ties) = ([true; L], [false; L]);
    for j in 0..sorted.len() - keep {
        let (low, high, slot) = (&sorted[j], &sorted[j + keep], &mut slots[j % keep]);
        for lane in 0..L {
            let (below, above) = (centre[lane] - low[lane], high[lane] - centre[lane]);
            ties[lane] |= moving[lane] & (below == above) & (low[lane] != high[lane]);
            moving[lane] &= below > above;
            slot[lane] = if moving[lane] { high[lane] } else { slot[lane] };
        }
    }
    (mean(&slots), ties)
}

/// The mean of the `keep` values closest to a centre, of those equally far the ones in the first rows.
fn closest_by_row(mut column: Vec<f32>, keep: usize, centre: f32) -> f32 {
    column.sort_by(|a, b| (a - centre).abs().total_cmp(&(b - centre).abs()));
    (column[..keep].iter().map(|x| f64::from(*x)).sum::<f64>() / keep as f64) as f32
}
