//! Walks over the rows `[n, P]` on a CPU for what needs no column as a whole: sums along the rows, and down the columns.
//!
//! A block of some rows by some thousand columns is copied out of libtorch at a time: long enough that a copy is worth its call,
//! small enough that it stays in the second-level cache of a core until it has been used.

use super::columns::with_numbers;
use crate::fault::{Error, Result};
use rayon::prelude::*;
use std::ops::{AddAssign, Range};
use tch::kind::Element;
use tch::{Device, Kind, Tensor};

/// Numbers of a block.
const NUMBERS: usize = 1 << 15;
/// Columns of an area at most: whole rows of no more are copied by one call.
const WIDTH: usize = 1 << 14;
/// Areas to be done at the same time, at the least, where rows are so many that parts of them are worth it.
const AREAS: usize = 16;

/// Some rows of some columns.
pub(super) struct Block<'a> {
    /// Row by row.
    pub numbers: &'a [f32],
    pub rows: Range<usize>,
    pub columns: Range<usize>,
}

impl Block<'_> {
    /// The piece of each row.
    pub(super) fn pieces(&self) -> impl Iterator<Item = &[f32]> {
        self.numbers.chunks_exact(self.columns.len())
    }
}

/// Of each row the sums over its pieces of what `work` makes of one; it is given the columns too.
pub(super) fn along_rows<const M: usize>(
    rows: &Tensor,
    work: impl Fn(&[f32], Range<usize>) -> [f64; M] + Sync,
) -> Result<Vec<[f64; M]>> {
    let of_area = |area: Area| {
        let mut sums = Vec::with_capacity(area.rows.len());
        area.blocks(|block| {
            sums.extend(block.pieces().map(|piece| work(piece, block.columns.clone())));
        })?;
        Ok::<_, Error>((area.rows, sums))
    };
    let areas: Vec<Area> = areas(rows)?.into_iter().flatten().collect();
    let parts = areas.into_par_iter().map(of_area).collect::<Result<Vec<_>>>()?;
    let mut sums = vec![[0.0; M]; rows.size()[0] as usize];
    for (here, part) in parts {
        add(sums[here].as_flattened_mut(), part.as_flattened());
    }
    Ok(sums)
}

/// `[P]`: from zeros, what `work` adds of each block to the sums of its columns, and then what `finish` makes of the sums of some
/// columns. What is added must not depend on the sums.
pub(super) fn down_columns<T: Element + Copy + Default + Send + Sync + AddAssign>(
    rows: &Tensor,
    work: impl Fn(&mut [T], Block) + Sync,
    finish: impl Fn(&mut [T], Range<usize>) + Sync,
) -> Result<Tensor> {
    let of_area = |area: Area| {
        let mut sums = vec![T::default(); area.columns.len()];
        area.blocks(|block| work(&mut sums, block))?;
        Ok::<_, Error>(sums)
    };
    let made = Tensor::f_zeros([rows.size()[1]], (T::KIND, Device::Cpu))?;
    let mut strips = Vec::new();
    for areas in areas(rows)? {
        let columns = areas.first().map_or(0..0, |area| area.columns.clone());
        strips.push((made.f_narrow(0, columns.start as i64, columns.len() as i64)?, columns, areas));
    }
    strips.into_par_iter().try_for_each(|(mut place, columns, areas)| {
        let parts = areas.into_par_iter().map(of_area).collect::<Result<Vec<_>>>()?;
        if let Some(mut sums) = parts.into_iter().reduce(summed) {
            finish(&mut sums, columns);
            place.f_copy_(&Tensor::f_from_slice(&sums)?)?;
        }
        Ok::<_, Error>(())
    })?;
    Ok(made)
}

/// `[n, P]`: each row by its factor, in f64.
pub(super) fn scaled(rows: &Tensor, factors: &[f64]) -> Result<Tensor> {
    let made = Tensor::f_empty(rows.size(), (Kind::Float, Device::Cpu))?;
    let areas: Vec<_> = areas(rows)?.into_iter().flatten().zip(areas(&made)?.into_iter().flatten()).collect();
    areas.into_par_iter().try_for_each(|(area, place)| {
        for here in ranges(area.rows.len(), height(area.columns.len())) {
            let part = |of: &Tensor| of.f_narrow(0, here.start as i64, here.len() as i64);
            let scaled = with_numbers(&part(&area.part)?, |numbers| {
                let mut made = Vec::with_capacity(numbers.len());
                let factors = &factors[area.rows.start + here.start..];
                for (piece, factor) in numbers.chunks_exact(area.columns.len()).zip(factors) {
                    made.extend(piece.iter().map(|&x| (f64::from(x) * factor) as f32));
                }
                made
            })?;
            part(&place.part)?.f_copy_(&Tensor::f_from_slice(&scaled)?.f_view([here.len() as i64, -1])?)?;
        }
        Ok::<_, Error>(())
    })?;
    Ok(made)
}

/// What one thread does.
struct Area {
    part: Tensor,
    rows: Range<usize>,
    columns: Range<usize>,
}

impl Area {
    /// Its blocks, one after the other.
    fn blocks(&self, mut work: impl FnMut(Block)) -> Result<()> {
        for here in ranges(self.rows.len(), height(self.columns.len())) {
            let block = self.part.f_narrow(0, here.start as i64, here.len() as i64)?;
            let rows = self.rows.start + here.start..self.rows.start + here.end;
            with_numbers(&block, |numbers| work(Block { numbers, rows, columns: self.columns.clone() }))?;
        }
        Ok(())
    }
}

/// Strips of columns of one width, each in parts of rows; they do not depend on the number of threads.
fn areas(rows: &Tensor) -> Result<Vec<Vec<Area>>> {
    let (n, width) = (rows.size()[0] as usize, rows.size()[1] as usize);
    let strips = width.div_ceil(WIDTH).max(1);
    let step = width.div_ceil(strips).max(1);
    let rows_step = n.div_ceil(AREAS.div_ceil(strips)).max(height(step));
    let area = |here: Range<usize>, columns: Range<usize>| {
        let part = rows.f_narrow(1, columns.start as i64, columns.len() as i64)?;
        Ok(Area { part: part.f_narrow(0, here.start as i64, here.len() as i64)?, rows: here, columns })
    };
    let strip = |columns: Range<usize>| ranges(n, rows_step).map(|here| area(here, columns.clone())).collect();
    ranges(width, step).map(strip).collect()
}

/// Rows of a block of so many columns.
fn height(width: usize) -> usize {
    (NUMBERS / width.max(1)).max(1)
}

/// 0 to `end`, a step at a time.
fn ranges(end: usize, step: usize) -> impl Iterator<Item = Range<usize>> {
    (0..end).step_by(step).map(move |start| start..end.min(start + step))
}

fn add<T: Copy + AddAssign>(sums: &mut [T], part: &[T]) {
    sums.iter_mut().zip(part).for_each(|(sum, x)| *sum += *x);
}

fn summed<T: Copy + AddAssign>(mut sums: Vec<T>, part: Vec<T>) -> Vec<T> {
    add(&mut sums, &part);
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sizes around what parts blocks: whole rows or not, one block or more, and a last one that is a sliver.
    const SIZES: [(usize, usize); 8] =
        [(1, 1), (3, 7), (40, WIDTH), (5, WIDTH + 1), (50, WIDTH + 1), (9, 3 * WIDTH + 5), (700, 100), (2000, 33)];

    fn values(n: usize, p: usize) -> (Vec<f32>, Tensor) {
        let values: Vec<f32> = (0..n * p).map(|i| ((i * 7919 + i / p) % 31) as f32 - 15.0).collect();
        let rows = Tensor::from_slice(&values).view([n as i64, p as i64]);
        (values, rows)
    }

    #[test]
    fn every_number_is_in_the_sums_of_its_row_and_its_column_once() {
        for (n, p) in SIZES {
            let (values, rows) = values(n, p);
            let sums = along_rows(&rows, |piece, columns| {
                let weighed = piece.iter().zip(columns).map(|(x, k)| f64::from(*x) * (k % 13) as f64);
                [weighed.sum(), piece.len() as f64]
            });
            for (row, [sum, count]) in values.chunks_exact(p).zip(sums.unwrap()) {
                let plain = row.iter().enumerate().map(|(k, x)| f64::from(*x) * (k % 13) as f64).sum::<f64>();
                assert_eq!((sum, count), (plain, p as f64), "{n} {p}");
            }
            let add = |sums: &mut [f64], block: Block| {
                for (i, piece) in block.rows.clone().zip(block.pieces()) {
                    for ((sum, x), k) in sums.iter_mut().zip(piece).zip(block.columns.clone()) {
                        *sum += f64::from(*x) * ((i % 11) + k % 13) as f64;
                    }
                }
            };
            let finish = |sums: &mut [f64], columns| sums.iter_mut().zip(columns).for_each(|(sum, k)| *sum += k as f64);
            let sums = Vec::<f64>::try_from(down_columns(&rows, add, finish).unwrap()).unwrap();
            for (k, sum) in sums.into_iter().enumerate() {
                let plain = (0..n).map(|i| f64::from(values[i * p + k]) * ((i % 11) + k % 13) as f64).sum::<f64>();
                assert_eq!(sum, plain + k as f64, "{n} {p} {k}");
            }
            let factors: Vec<f64> = (0..n).map(|i| (i % 7) as f64 * 0.5).collect();
            let expected = &rows * Tensor::from_slice(&factors).to_kind(Kind::Float).unsqueeze(1);
            assert_eq!(scaled(&rows, &factors).unwrap(), expected, "{n} {p}");
        }
    }

    #[test]
    fn rows_that_do_not_lie_one_after_the_other_are_read_too() {
        let (_, rows) = values(300, 40);
        let across = rows.tr();
        let sums = along_rows(&across, |piece, _| [piece.iter().map(|x| f64::from(*x)).sum()]).unwrap();
        let plain = Vec::<f64>::try_from(rows.sum_dim_intlist([0_i64].as_slice(), false, Kind::Double)).unwrap();
        assert_eq!(sums.concat(), plain);
        let nothing = Tensor::zeros([0, 5], (Kind::Float, Device::Cpu));
        let none = down_columns(&nothing, |_: &mut [f32], _| {}, |_, _| {}).unwrap();
        assert_eq!(none, Tensor::zeros([5], (Kind::Float, Device::Cpu)));
    }
}
