//! Walks over blocks of columns of the rows `[n, P]`, so that temporaries stay small beside them and in the caches. What needs no
//! column as a whole is faster by [`super::pieces`].

use crate::fault::{Error, Result};
use rayon::prelude::*;
use std::cell::Cell;
use tch::{Device, Kind, Tensor};

/// Numbers of a block on a CPU at most.
const CPU_NUMBERS: i64 = 1 << 23;
/// Columns of a block on a CPU at most: long enough that a row's piece is worth the calls that copy it, short enough that
/// there are blocks for many threads.
const CPU_COLUMNS: i64 = 1 << 14;
/// Numbers of a block on a CPU that stays in the second-level cache of a core.
const CACHED_NUMBERS: i64 = 1 << 17;
/// Numbers of a block that a thread keeps the memory of, at most; 4 MB.
const MOST_KEPT: usize = 1 << 20;
/// Numbers of a block on a GPU: enough to fill it.
const GPU_NUMBERS: i64 = 1 << 26;
/// A block has a multiple of so many columns, but for the last.
const MULTIPLE: i64 = 64;
/// Numbers of a row's piece from which copying it is worth a call.
const LONG: i64 = 2048;

thread_local! {
    /// What a thread copies blocks to. New memory for each costs as much as the copy.
    static NUMBERS: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
}

/// Columns of a block of n rows.
pub(super) fn width(device: Device, n: i64) -> i64 {
    let (numbers, most) = if device == Device::Cpu { (CPU_NUMBERS, CPU_COLUMNS) } else { (GPU_NUMBERS, GPU_NUMBERS) };
    (numbers / n.max(1)).min(most).max(MULTIPLE) / MULTIPLE * MULTIPLE
}

/// Columns of a block of n rows on a CPU that stays in the second-level cache of a core, up to 2,048 rows.
pub(super) fn cached_width(n: i64) -> i64 {
    (CACHED_NUMBERS / n.max(1)).max(MULTIPLE) / MULTIPLE * MULTIPLE
}

/// What `work` makes of each block `[n, w]` and its first column, in order.
///
/// On a CPU the blocks are done by the threads of the pool that the caller is in. The blocks do not depend on their number,
/// so neither does a sum of what comes back.
pub(super) fn walk<T: Send>(rows: &Tensor, work: impl Fn(Tensor, i64) -> Result<T> + Sync) -> Result<Vec<T>> {
    walk_by(rows, width(rows.device(), rows.size()[0]), work)
}

/// The blocks of a walk, each with its first column.
pub(super) fn blocks(rows: &Tensor) -> Result<Vec<(Tensor, i64)>> {
    placed(rows, width(rows.device(), rows.size()[0]))
}

/// The same in blocks of so many columns.
pub(super) fn walk_by<T: Send>(
    rows: &Tensor,
    width: i64,
    work: impl Fn(Tensor, i64) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    perform(rows.device(), placed(rows, width)?, |(block, start)| work(block, start))
}

/// The same on a CPU with the numbers of each block, row by row; blocks of few rows stay in a cache.
pub(super) fn walk_numbers<T: Send>(rows: &Tensor, work: impl Fn(&[f32], i64) -> Result<T> + Sync) -> Result<Vec<T>> {
    let one = |(block, start)| with_numbers(&block, |numbers| work(numbers, start))?;
    placed(rows, cached_width(rows.size()[0]))?.into_par_iter().map(one).collect()
}

/// What `work` makes of the numbers of a block on a CPU, row by row.
pub(super) fn with_numbers<T>(block: &Tensor, work: impl FnOnce(&[f32]) -> T) -> Result<T> {
    // Taken, so that nothing is lost but its use where `work` comes here again.
    let mut numbers = NUMBERS.take();
    read(block, &mut numbers)?;
    let made = work(&numbers);
    if numbers.len() <= MOST_KEPT {
        NUMBERS.set(numbers);
    }
    Ok(made)
}

/// The same with the blocks themselves, and with scratch that a thread uses again.
pub(super) fn walk_with<S, T: Send>(
    rows: &Tensor,
    width: i64,
    scratch: impl Fn() -> S + Sync + Send,
    work: impl Fn(&mut S, Tensor) -> Result<T> + Sync + Send,
) -> Result<Vec<T>> {
    pieces(rows, 1, width)?.into_par_iter().map_init(scratch, work).collect()
}

/// `[m, P]` on a CPU: the `[m, w]` that `work` makes of the numbers of each block, row by row, and its first column. The blocks are
/// small, since no column knows of another, and what is made of them is written where it belongs by who made it.
pub(super) fn fill_numbers(
    rows: &Tensor,
    m: i64,
    work: impl Fn(&[f32], i64) -> Result<Vec<f32>> + Sync,
) -> Result<Tensor> {
    let width = cached_width(rows.size()[0]);
    let made = Tensor::f_empty([m, rows.size()[1]], (Kind::Float, Device::Cpu))?;
    let blocks: Vec<_> = placed(rows, width)?.into_iter().zip(pieces(&made, 1, width)?).collect();
    blocks.into_par_iter().try_for_each(|((block, start), mut place)| {
        let columns = with_numbers(&block, |numbers| work(numbers, start))??;
        place.f_copy_(&Tensor::f_from_slice(&columns)?.f_view([m, -1])?)?;
        Ok::<_, Error>(())
    })?;
    Ok(made)
}

/// The numbers of a block, row by row. Long pieces of rows that do not follow each other are copied one by one, which saves the
/// copy of the whole that makes a block contiguous.
pub(super) fn read(block: &Tensor, numbers: &mut Vec<f32>) -> Result<()> {
    let count = block.numel();
    numbers.resize(count, 0.0);
    match *block.size().as_slice() {
        [n, width] if width >= LONG && block.kind() == Kind::Float && !block.is_contiguous() => {
            for (i, row) in (0..n).zip(numbers.chunks_exact_mut(width as usize)) {
                block.f_get(i)?.f_copy_data(row, width as usize)?;
            }
        }
        _ => block.f_to_kind(Kind::Float)?.f_contiguous()?.f_copy_data(numbers, count)?,
    }
    Ok(())
}

/// The same with the piece of a vector `[P]` that lies beside a block instead of the block's place.
pub(super) fn walk_beside<T: Send>(
    rows: &Tensor,
    vector: &Tensor,
    work: impl Fn(Tensor, Tensor) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let width = width(rows.device(), rows.size()[0]);
    let blocks = pieces(rows, 1, width)?.into_iter().zip(pieces(vector, 0, width)?).collect();
    perform(rows.device(), blocks, |(block, beside)| work(block, beside))
}

/// `[m, P]` of the `[m, w]` that `work` makes of each block, written where it belongs, so that it lies in memory once.
pub(super) fn fill(rows: &Tensor, m: i64, work: impl Fn(Tensor) -> Result<Tensor> + Sync) -> Result<Tensor> {
    let made = Tensor::f_empty([m, rows.size()[1]], (Kind::Float, rows.device()))?;
    let width = width(rows.device(), rows.size()[0]);
    let blocks = pieces(rows, 1, width)?.into_iter().zip(pieces(&made, 1, width)?).collect();
    perform(rows.device(), blocks, |(block, mut place): (Tensor, Tensor)| {
        place.f_copy_(&work(block)?)?;
        Ok(())
    })?;
    Ok(made)
}

fn placed(rows: &Tensor, width: i64) -> Result<Vec<(Tensor, i64)>> {
    Ok(pieces(rows, 1, width)?.into_iter().zip((0..).step_by(width as usize)).collect())
}

fn pieces(tensor: &Tensor, dimension: i64, width: i64) -> Result<Vec<Tensor>> {
    let length = tensor.size()[dimension as usize];
    let piece = |start| Ok(tensor.f_narrow(dimension, start, width.min(length - start))?);
    (0..length).step_by(width as usize).map(piece).collect()
}

fn perform<B: Send, T: Send>(device: Device, blocks: Vec<B>, work: impl Fn(B) -> Result<T> + Sync) -> Result<Vec<T>> {
    if device == Device::Cpu && blocks.len() > 1 {
        blocks.into_par_iter().map(&work).collect()
    } else {
        blocks.into_iter().map(&work).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Kind;

    #[test]
    fn every_column_is_met_once_and_in_order() {
        for (n, columns) in [(1, 1), (10, 40_000), (3000, 130), (70_000, 65)] {
            let rows = Tensor::zeros([n, columns], (Kind::Float, Device::Cpu));
            let met = walk(&rows, |block, start| Ok((start, block.size()))).unwrap();
            let mut next = 0;
            for (start, size) in met {
                assert_eq!((start, size[0]), (next, n));
                next += size[1];
            }
            assert_eq!(next, columns);
        }
    }

    #[test]
    fn what_is_made_of_blocks_lies_where_they_lay() {
        let rows = Tensor::arange(3 * 40_000, (Kind::Float, Device::Cpu)).view([3, 40_000]);
        let made = fill(&rows, 2, |block| Ok(block.narrow(0, 1, 2) * 2.0)).unwrap();
        assert_eq!(made, rows.narrow(0, 1, 2) * 2.0);
    }
}
