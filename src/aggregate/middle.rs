//! The mean of the middle values of each coordinate, the heart of the median and the trimmed mean, and the mean of those
//! closest to a reference, the heart of Meamed and Bulyan.
//!
//! Columns are sorted by minima and maxima (the median of many rows is selected by counting on a CPU): on a CPU many columns side by
//! side in vector registers ([`super::lanes`]), on a
//! GPU over whole rows by a network ([`super::network`]). Both only move values and add the kept
//! ones in their order, so both are exact and give the same bytes.

use super::columns::{blocks, fill_numbers};
use super::lanes::{self, Keep};
use super::network::{Comparator, middle_of};
use crate::fault::{Error, Result};
use tch::{Device, Kind, Tensor};

/// Up to so many rows a GPU uses the network; more are sorted by libtorch.
const NETWORK_ROWS: usize = 256;

/// `[P]`: for each column of `rows` `[n, P]`, the mean of what is left without the `drop` smallest and `drop` largest
/// values; needs `2 · drop < n`. Summed in f64 over the kept values alone, so that 1e30 among the dropped costs nothing.
pub(super) fn middle_mean(rows: &Tensor, drop: usize) -> Result<Tensor> {
    by_column(rows, None, Keep::Middle { drop })
}

/// `[P]`: the median of each column; the mean of the two middle values where n is even.
pub(super) fn median(rows: &Tensor) -> Result<Tensor> {
    middle_mean(rows, (rows.size()[0] as usize).saturating_sub(1) / 2)
}

/// `[P]`: for each column the mean of the `keep` values closest to `around`, or to the column's median; of two equally far
/// the lower is kept. Like [`middle_mean`] it adds the kept values alone.
pub(super) fn closest_mean(rows: &Tensor, keep: usize, around: Option<&Tensor>) -> Result<Tensor> {
    by_column(rows, around, Keep::Closest { keep, around: None, first: false })
}

/// The same about the median, but of values equally far the one in the first row is kept.
pub(super) fn closest_mean_by_index(rows: &Tensor, keep: usize) -> Result<Tensor> {
    by_column(rows, None, Keep::Closest { keep, around: None, first: true })
}

fn by_column(rows: &Tensor, around: Option<&Tensor>, keep: Keep) -> Result<Tensor> {
    if rows.device() == Device::Cpu { on_cpu(rows, around, keep) } else { on_gpu(rows, around, keep) }
}

fn on_cpu(rows: &Tensor, around: Option<&Tensor>, keep: Keep) -> Result<Tensor> {
    let around: Option<Vec<f32>> =
        around.map(|around| Ok::<_, Error>(around.f_contiguous()?.try_into()?)).transpose()?;
    let n = rows.size()[0] as usize;
    let middles = fill_numbers(rows, 1, |block, start| {
        let keep = match keep {
            Keep::Closest { keep, first, .. } => {
                let around = around.as_ref().map(|around| &around[start as usize..][..block.len() / n]);
                Keep::Closest { keep, around, first }
            }
            middle => middle,
        };
        Ok(lanes::columns(block, n, keep))
    })?;
    Ok(middles.f_squeeze_dim(0)?)
}

/// The same in tensor operations.
fn on_gpu(rows: &Tensor, around: Option<&Tensor>, keep: Keep) -> Result<Tensor> {
    let drop = if let Keep::Middle { drop } = keep { drop } else { 0 };
    let network = middle_of(rows.size()[0] as usize, drop);
    let mut parts = Vec::new();
    for (block, start) in blocks(rows)? {
        parts.push(match keep {
            Keep::Middle { drop } if block.size()[0] as usize <= NETWORK_ROWS => {
                let sorted = by_comparators(&block, &network)?;
                mean_of(&sorted[drop..sorted.len() - drop])?
            }
            Keep::Middle { drop } => by_sort(&block, drop)?,
            Keep::Closest { keep, first: true, .. } => by_distance(&block, keep)?,
            Keep::Closest { keep, .. } => {
                let sorted = sorted(&block, &network)?;
                let around = match around {
                    Some(around) => around.f_narrow(0, start, block.size()[1])?,
                    None => mean_of(&sorted[(sorted.len() - 1) / 2..=sorted.len() / 2])?,
                };
                closest(&sorted, keep, &around)?
            }
        });
    }
    Ok(Tensor::f_cat(&parts, 0)?)
}

fn by_sort(block: &Tensor, drop: usize) -> Result<Tensor> {
    let (sorted, _) = block.f_transpose(0, 1)?.f_contiguous()?.f_sort(1, false)?;
    let kept = sorted.f_narrow(1, drop as i64, sorted.size()[1] - 2 * drop as i64)?;
    Ok(kept.f_mean_dim([1_i64].as_slice(), false, Kind::Double)?.f_to_kind(Kind::Float)?)
}

/// The mean of the `keep` values closest to the median, in a stable order by distance.
fn by_distance(block: &Tensor, keep: usize) -> Result<Tensor> {
    let n = block.size()[0] as usize;
    let middle = sorted(block, &middle_of(n, (n - 1) / 2))?;
    let middle = mean_of(&middle[(n - 1) / 2..=n / 2])?;
    let away = block.f_sub(&middle)?.f_abs()?.f_transpose(0, 1)?.f_contiguous()?;
    let (_, order) = away.f_sort_stable(true, 1, false)?;
    let kept = block.f_transpose(0, 1)?.f_gather(1, &order.f_narrow(1, 0, keep as i64)?, false)?;
    Ok(kept.f_mean_dim([1_i64].as_slice(), false, Kind::Double)?.f_to_kind(Kind::Float)?)
}

/// As [`lanes`] does it: the window of the closest values moves up while what it would win is closer.
fn closest(sorted: &[Tensor], keep: usize, around: &Tensor) -> Result<Tensor> {
    let mut slots: Vec<Tensor> = sorted[..keep].iter().map(Tensor::shallow_clone).collect();
    for j in 0..sorted.len() - keep {
        let (low, high) = (&sorted[j], &sorted[j + keep]);
        let moves = around.f_sub(low)?.f_gt_tensor(&high.f_sub(around)?)?;
        slots[j % keep] = high.f_where_self(&moves, &slots[j % keep])?;
    }
    mean_of(&slots)
}

/// The rows of a block with each column in order.
fn sorted(block: &Tensor, network: &[Comparator]) -> Result<Vec<Tensor>> {
    if block.size()[0] as usize <= NETWORK_ROWS {
        return by_comparators(block, network);
    }
    let (sorted, _) = block.f_transpose(0, 1)?.f_contiguous()?.f_sort(1, false)?;
    Ok(sorted.f_transpose(0, 1)?.f_contiguous()?.f_unbind(0)?)
}

fn by_comparators(block: &Tensor, network: &[Comparator]) -> Result<Vec<Tensor>> {
    let mut rows = block.f_unbind(0)?;
    for c in network {
        let (a, b) = (c.a as usize, c.b as usize);
        let low = c.low.then(|| rows[a].f_minimum(&rows[b])).transpose()?;
        let high = c.high.then(|| rows[a].f_maximum(&rows[b])).transpose()?;
        if let Some(low) = low {
            rows[a] = low;
        }
        if let Some(high) = high {
            rows[b] = high;
        }
    }
    Ok(rows)
}

/// The mean of rows, summed in f64.
fn mean_of(rows: &[Tensor]) -> Result<Tensor> {
    if let [only] = rows {
        return Ok(only.f_detach_copy()?);
    }
    let mut sum = rows[0].f_to_kind(Kind::Double)?;
    for row in &rows[1..] {
        sum = sum.f_add_(row)?;
    }
    Ok(sum.f_div_scalar_(rows.len() as f64)?.f_to_kind(Kind::Float)?)
}

#[cfg(test)]
mod tests {
    use super::super::numbers;
    use super::*;
    use crate::seed::Stream;
    use rand::Rng;

    fn random(n: usize, columns: usize) -> Tensor {
        let mut rng = Stream::root(3).at(n as u64).rng();
        let values: Vec<f32> = (0..n * columns).map(|_| (rng.random::<f32>() * 16.0).floor() - 8.0).collect();
        Tensor::from_slice(&values).view([n as i64, columns as i64])
    }

    #[test]
    fn a_cpu_and_the_tensor_operations_of_a_gpu_agree_to_the_last_bit() {
        for n in (1..=20).chain([24, 31, 33, 48, 65, 128, 129, 256, 257, 300, 301, 520]) {
            let rows = random(n, 150);
            let mut keeps: Vec<Keep> =
                (0..=(n - 1) / 2).step_by(1 + n / 10).map(|drop| Keep::Middle { drop }).collect();
            keeps.push(Keep::Middle { drop: (n - 1) / 2 });
            for keep in [1, n.div_ceil(2), n] {
                keeps.extend([false, true].map(|first| Keep::Closest { keep, around: None, first }));
            }
            for keep in keeps {
                let (a, b) = (on_cpu(&rows, None, keep), on_gpu(&rows, None, keep));
                assert_eq!(a.unwrap(), b.unwrap(), "n = {n}, {keep:?}");
            }
        }
    }

    #[test]
    fn the_closest_values_are_those_of_a_plain_search() {
        for (n, keep) in [(1, 1), (5, 2), (6, 5), (9, 3), (300, 201)] {
            let rows = random(n, 6);
            let middle = numbers(&median(&rows).unwrap()).unwrap();
            let made = numbers(&closest_mean(&rows, keep, None).unwrap()).unwrap();
            for (column, around) in middle.iter().enumerate() {
                let mut values = numbers(&rows.select(1, column as i64)).unwrap();
                values.sort_by(|a, b| (a - around).abs().total_cmp(&(b - around).abs()).then(a.total_cmp(b)));
                let mean = values[..keep].iter().sum::<f64>() / keep as f64;
                assert!((made[column] - mean).abs() < 1e-6, "n = {n}, keep = {keep}: {} is not {mean}", made[column]);
            }
        }
    }

    #[test]
    fn the_median_of_many_rows_is_the_middle_of_sorted_columns_whatever_they_hold() {
        for n in [257, 300] {
            let mut rng = Stream::root(9).at(n).rng();
            let mut value = |column: usize| match column % 4 {
                0 => rng.random_range(-1.0_f32..1.0),
                1 => rng.random_range(-1.0_f32..1.0) * 10_f32.powi(rng.random_range(-35..38)),
                2 => rng.random_range(-1.0_f32..0.5).max(0.0),
                _ => [f32::NEG_INFINITY, f32::INFINITY, 1.5, -0.5][rng.random_range(0..4)],
            };
            let values: Vec<f32> = (0..n as usize * 37).map(|i| value(i % 37)).collect();
            let made = numbers(&median(&Tensor::from_slice(&values).view([n as i64, 37])).unwrap()).unwrap();
            for (column, made) in made.into_iter().enumerate() {
                let mut sorted: Vec<f32> = values.iter().skip(column).step_by(37).copied().collect();
                sorted.sort_by(f32::total_cmp);
                let [low, high] = [(n - 1) / 2, n / 2].map(|place| f64::from(sorted[place as usize]));
                let middle = ((low + high) / 2.0) as f32;
                assert!(
                    made == f64::from(middle) || middle.is_nan(),
                    "n = {n}, column {column}: {made} is not {middle}"
                );
            }
        }
    }

    #[test]
    fn of_two_values_equally_far_the_lower_or_the_one_in_the_first_row_is_kept() {
        let rows = Tensor::from_slice2(&[[3.0_f32, 1.0], [2.0, 2.0], [1.0, 3.0]]);
        assert_eq!(closest_mean(&rows, 2, None).unwrap(), Tensor::from_slice(&[1.5_f32, 1.5]));
        assert_eq!(closest_mean_by_index(&rows, 2).unwrap(), Tensor::from_slice(&[2.5_f32, 1.5]));
    }

    #[test]
    fn blocks_of_columns_join_without_a_seam() {
        let rows = random(60, 5000);
        let whole = middle_mean(&rows, 7).unwrap();
        for start in [0, 2040, 4990] {
            let piece = middle_mean(&rows.narrow(1, start, 10), 7).unwrap();
            assert_eq!(whole.narrow(0, start, 10), piece);
        }
    }

    #[test]
    fn a_column_with_a_nan_gives_nan_and_leaves_the_others_alone() {
        for n in [3, 300] {
            let rows = random(n, 40);
            let _ = rows.get(1).get(5).fill_(f64::NAN);
            for made in [middle_mean(&rows, 1).unwrap(), median(&rows).unwrap(), closest_mean(&rows, 2, None).unwrap()]
            {
                let made = numbers(&made).unwrap();
                let wrong: Vec<usize> = (0..40).filter(|&i| made[i].is_nan()).collect();
                assert_eq!(wrong, [5], "n = {n}");
            }
        }
    }

    #[test]
    fn the_input_is_left_alone_also_where_a_single_row_is_kept() {
        let rows = Tensor::from_slice2(&[[1.0_f32, 2.0]]);
        let mut made = middle_mean(&rows, 0).unwrap();
        let _ = made.fill_(9.0);
        assert_eq!(rows, Tensor::from_slice2(&[[1.0_f32, 2.0]]));
    }
}
