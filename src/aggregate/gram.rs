//! Gram products in f64: the inner products of the rows `[n, P]` and of the zero vector, all minus one of the rows.
//!
//! On a CPU they are multiplied by hand: a block of columns is laid out in f64, [`GROUP`] rows side by side, and each pair of
//! groups adds to [`LANES`] partial sums a pair of rows. Their number is fixed and what is fused is so everywhere, so that every
//! CPU gives the same bytes (`pulp` picks the widest vectors it has). Of few rows, threads take strands of columns, whose sums
//! are added up; of many, pairs of blocks of rows, since the sums of a strand would be as large as the rows. On a GPU the
//! tensor library multiplies.

use super::columns::{cached_width, read, walk_by, walk_with, width};
use super::numbers;
use super::points::added;
use crate::fault::{Error, Result};
use pulp::{Arch, Simd};
use rayon::prelude::*;
use std::ops::Range;
use tch::{Device, Kind, Tensor};

/// Partial sums side by side.
const LANES: usize = 8;
/// Rows of a group.
const GROUP: usize = 4;
/// Numbers in f64 that are laid out at once, at most: a fraction of the second-level cache of a core.
const PACKED: usize = 1 << 15;
/// Columns of them at most: two groups fit the first-level cache.
const COLUMNS: usize = 512;
/// Numbers of few rows that are laid out at once: all of them fit the first-level cache.
const PACKED_FEW: usize = 3 << 10;
/// Columns of them at least, so that a tile is worth to be taken up.
const COLUMNS_FEW: usize = 128;
/// Rows from which threads take pairs of blocks of rows.
const MANY: i64 = 256;
/// Groups of such a block: laid out, it fits the second-level cache.
const BLOCK: usize = 16;
/// Strands of columns whose products are added up apart, whatever the number of threads.
const STRANDS: i64 = 16;
/// Columns of a block in a product of tensors at the least, so that the product is worth its start.
const LEAST_INNER: i64 = 1024;
/// Rows of a tile in a product of tensors: what lies below the diagonal is not computed.
const TILE: i64 = 64;

/// `[n + 1, n + 1]`, the zero vector last; only the upper triangle is meant.
pub(super) fn gram(rows: &Tensor, centre: i64) -> Result<Vec<f64>> {
    let (n, columns) = rows.size2()?;
    let strand = |width: i64| (columns / STRANDS + 1).max(width);
    let strands = if rows.device() == Device::Cpu && n >= MANY {
        return of_many(rows, centre);
    } else if rows.device() == Device::Cpu {
        let width = cached_width(n);
        let scratch = || (Vec::new(), Vec::new());
        walk_with(rows, strand(width), scratch, |scratch, strand| of_numbers(&strand, width, centre, scratch))?
    } else {
        let width = width(rows.device(), n).max(LEAST_INNER);
        walk_by(rows, strand(width), |strand, _| of_tensors(&strand, width, centre))?
    };
    Ok(added(strands, ((n + 1) * (n + 1)) as usize))
}

fn of_numbers(
    strand: &Tensor,
    width: i64,
    centre: i64,
    (block, packed): &mut (Vec<f32>, Vec<Lanes>),
) -> Result<Vec<f64>> {
    let (n, columns) = strand.size2()?;
    // Blocks of one width, so that none is a sliver.
    let width = columns / (columns / width + 1) + 1;
    let mut products = Products::new(n as usize, centre as usize);
    for start in (0..columns).step_by(width as usize) {
        read(&strand.f_narrow(1, start, width.min(columns - start))?, block)?;
        products.add(block, packed);
    }
    Ok(products.sums())
}

fn of_tensors(strand: &Tensor, width: i64, centre: i64) -> Result<Vec<f64>> {
    let (n, columns) = strand.size2()?;
    let sum = Tensor::f_zeros([n + 1, n + 1], (Kind::Double, strand.device()))?;
    for start in (0..columns).step_by(width as usize) {
        add_products(&sum, &strand.f_narrow(1, start, width.min(columns - start))?, centre)?;
    }
    numbers(&sum)
}

/// Adds the products of a block of columns, tile by tile of the upper triangle.
fn add_products(sum: &Tensor, block: &Tensor, centre: i64) -> Result<()> {
    let (n, width) = block.size2()?;
    let centred = Tensor::f_zeros([n + 1, width], (Kind::Double, block.device()))?;
    centred.f_narrow(0, 0, n)?.f_copy_(block)?;
    let origin = centred.f_get(centre)?.f_neg()?;
    let centred = centred.f_add(&origin)?;
    let tiles: Vec<(i64, i64)> = (0..=n).step_by(TILE as usize).map(|at| (at, TILE.min(n + 1 - at))).collect();
    for (i, &(top, height)) in tiles.iter().enumerate() {
        let above = centred.f_narrow(0, top, height)?;
        for &(left, breadth) in &tiles[i..] {
            let beside = centred.f_narrow(0, left, breadth)?.f_transpose(0, 1)?;
            let _ = sum.f_narrow(0, top, height)?.f_narrow(1, left, breadth)?.f_addmm_(&above, &beside)?;
        }
    }
    Ok(())
}

/// Aligned, so that no vector lies in two lines of a cache.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
struct Lanes([f64; LANES]);

const NOTHING: Lanes = Lanes([0.0; LANES]);

/// Partial sums of a group of rows by another.
type Tile = [[Lanes; GROUP]; GROUP];

/// Products that are being summed.
struct Products {
    n: usize,
    centre: usize,
    /// Of each group by itself and by those after it.
    tiles: Vec<Tile>,
}

impl Products {
    fn new(n: usize, centre: usize) -> Self {
        let groups = (n + 1).div_ceil(GROUP);
        let tiles = vec![[[NOTHING; GROUP]; GROUP]; groups * (groups + 1) / 2];
        Self { n, centre, tiles }
    }

    /// Adds the products of a block `[n, w]`, laid out in `packed`.
    fn add(&mut self, block: &[f32], packed: &mut Vec<Lanes>) {
        let width = block.len() / self.n;
        let few = PACKED_FEW / (self.n + 1);
        let columns = if few >= COLUMNS_FEW { few } else { PACKED / (self.n + 1) };
        let step = (columns.min(COLUMNS) / LANES).max(1) * LANES;
        for start in (0..width).step_by(step) {
            let columns = start..width.min(start + step);
            let groups = (self.n + 1).div_ceil(GROUP);
            packed.resize(groups * laid_out(columns.len()), NOTHING);
            let centre = &block[self.centre * width..][columns.clone()];
            pack(packed, Piece { block, width, columns }, centre);
            add_packed(&mut self.tiles, packed, groups);
        }
    }

    /// `[n + 1, n + 1]`, the upper triangle.
    fn sums(&self) -> Vec<f64> {
        let size = self.n + 1;
        let mut sums = vec![0.0; size * size];
        let groups = size.div_ceil(GROUP);
        let places = (0..groups).flat_map(|i| (i..groups).map(move |j| (i * GROUP, j * GROUP)));
        for ((top, left), tile) in places.zip(&self.tiles) {
            for (i, row) in tile.iter().enumerate().take(size - top) {
                for (j, lanes) in row.iter().enumerate().take(size - left) {
                    sums[(top + i) * size + left + j] = lanes.0.iter().sum();
                }
            }
        }
        sums
    }
}

/// Products of many rows, block of columns by block: all rows are laid out, then pairs of blocks of them multiplied.
fn of_many(rows: &Tensor, centre: i64) -> Result<Vec<f64>> {
    let (n, columns) = rows.size2()?;
    let size = n as usize + 1;
    let blocks = size.div_ceil(GROUP).div_ceil(BLOCK);
    let mut pairs: Vec<Pair> = (0..blocks).flat_map(|i| (i..blocks).map(move |j| Pair::new(i, j))).collect();
    let (mut packed, mut about) = (Vec::new(), Vec::new());
    for start in (0..columns).step_by(COLUMNS) {
        let width = (COLUMNS as i64).min(columns - start);
        let length = laid_out(width as usize);
        packed.resize(size.div_ceil(GROUP) * length, NOTHING);
        let strand = rows.f_narrow(1, start, width)?;
        read(&strand.f_narrow(0, centre, 1)?, &mut about)?;
        let block = |first: i64| Ok(strand.f_narrow(0, first, (MEMBERS as i64).min(n - first))?);
        let blocks = (0..=n).step_by(MEMBERS).map(block).collect::<Result<Vec<Tensor>>>()?;
        let places: Vec<_> = packed.chunks_mut(BLOCK * length).zip(blocks).collect();
        places.into_par_iter().try_for_each_init(Vec::new, |numbers, (place, block)| {
            read(&block, numbers)?;
            let width = about.len();
            pack(place, Piece { block: numbers, width, columns: 0..width }, &about);
            Ok::<_, Error>(())
        })?;
        pairs.par_iter_mut().for_each(|pair| add_pair(pair, &packed, length));
    }
    let mut sums = vec![0.0; size * size];
    for pair in &pairs {
        pair.write(&mut sums, size);
    }
    Ok(sums)
}

/// Rows of a block.
const MEMBERS: usize = BLOCK * GROUP;

/// Sums of a block of rows by another.
struct Pair {
    i: usize,
    j: usize,
    sums: Vec<f64>,
}

impl Pair {
    fn new(i: usize, j: usize) -> Self {
        Self { i, j, sums: vec![0.0; MEMBERS * MEMBERS] }
    }

    fn write(&self, sums: &mut [f64], size: usize) {
        let (top, left) = (self.i * MEMBERS, self.j * MEMBERS);
        let width = MEMBERS.min(size - left);
        for (row, pair) in sums.chunks_exact_mut(size).skip(top).zip(self.sums.chunks_exact(MEMBERS)) {
            row[left..][..width].copy_from_slice(&pair[..width]);
        }
    }
}

/// Adds the products of two blocks of all rows, which are laid out in `length` places a group.
#[pulp::with_simd(add_pair = Arch::new())]
#[inline(always)]
fn add_pair_with<S: Simd>(simd: S, pair: &mut Pair, packed: &[Lanes], length: usize) {
    for (i, above) in packed.chunks_exact(length).skip(pair.i * BLOCK).take(BLOCK).enumerate() {
        let above = pulp::as_arrays::<GROUP, _>(above).0;
        let first = if pair.i == pair.j { i } else { 0 };
        for (j, beside) in packed.chunks_exact(length).skip(pair.j * BLOCK).take(BLOCK).enumerate().skip(first) {
            let mut tile = [[NOTHING; GROUP]; GROUP];
            add_tile(simd, &mut tile, above, pulp::as_arrays::<GROUP, _>(beside).0);
            for (row, tile) in pair.sums.chunks_exact_mut(MEMBERS).skip(i * GROUP).zip(&tile) {
                for (sum, lanes) in row[j * GROUP..].iter_mut().zip(tile) {
                    *sum += lanes.0.iter().sum::<f64>();
                }
            }
        }
    }
}

/// Some columns of rows of one width.
struct Piece<'a> {
    block: &'a [f32],
    width: usize,
    columns: Range<usize>,
}

/// Places of a group of so many columns.
fn laid_out(columns: usize) -> usize {
    GROUP * columns.div_ceil(LANES)
}

/// Lays out rows in f64 and minus their centre, with zero vectors below: group by group of rows, in each [`LANES`] columns of all
/// its rows after the other, filled up with zeros.
#[pulp::with_simd(pack = Arch::new())]
#[inline(always)]
fn pack_with<S: Simd>(_simd: S, packed: &mut [Lanes], piece: Piece<'_>, centre: &[f32]) {
    let Piece { block, width, columns } = piece;
    let (n, zeros) = (block.len() / width, vec![0.0; columns.len()]);
    let row = |i: usize| if i < n { &block[i * width..][columns.clone()] } else { &zeros[..] };
    let (centre, centre_rest) = pulp::as_arrays::<LANES, _>(centre);
    for (g, group) in packed.chunks_exact_mut(laid_out(columns.len())).enumerate() {
        let (places, _) = pulp::as_arrays_mut::<GROUP, _>(group);
        for member in 0..GROUP {
            let (row, rest) = pulp::as_arrays::<LANES, _>(row(g * GROUP + member));
            for ((place, row), centre) in places.iter_mut().zip(row).zip(centre) {
                // Apart, because the compiler makes vectors of this and not of numbers written one by one.
                let mut lanes = [0.0; LANES];
                for lane in 0..LANES {
                    lanes[lane] = f64::from(row[lane]) - f64::from(centre[lane]);
                }
                place[member] = Lanes(lanes);
            }
            if let Some(place) = places.get_mut(centre.len()) {
                place[member] = NOTHING;
                for (lane, (&x, &centre)) in rest.iter().zip(centre_rest).enumerate() {
                    place[member].0[lane] = f64::from(x) - f64::from(centre);
                }
            }
        }
    }
}

#[pulp::with_simd(add_packed = Arch::new())]
#[inline(always)]
fn add_packed_with<S: Simd>(simd: S, tiles: &mut [Tile], packed: &[Lanes], groups: usize) {
    let length = packed.len() / groups;
    let mut tiles = tiles.iter_mut();
    for i in 0..groups {
        let above = pulp::as_arrays::<GROUP, _>(&packed[i * length..][..length]).0;
        for (j, tile) in (i..groups).zip(&mut tiles) {
            let beside = pulp::as_arrays::<GROUP, _>(&packed[j * length..][..length]).0;
            add_tile(simd, tile, above, beside);
        }
    }
}

/// Adds the products of a group by another.
#[inline(always)]
fn add_tile<S: Simd>(simd: S, tile: &mut Tile, above: &[[Lanes; GROUP]], beside: &[[Lanes; GROUP]]) {
    for part in 0..LANES / S::F64_LANES {
        // As many sums at once as a CPU with such vectors has registers for.
        if S::F64_LANES == LANES {
            add_part::<S, GROUP>(simd, tile, above, beside, [part, 0]);
        } else {
            add_part::<S, 2>(simd, tile, above, beside, [part, 0]);
            add_part::<S, 2>(simd, tile, above, beside, [part, 2]);
        }
    }
}

/// Adds one vector of the partial sums, of a group by `J` rows of another from `left` on. Vector by vector, which the compiler
/// does not find by itself.
#[inline(always)]
fn add_part<S: Simd, const J: usize>(
    simd: S,
    tile: &mut Tile,
    above: &[[Lanes; GROUP]],
    beside: &[[Lanes; GROUP]],
    [part, left]: [usize; 2],
) {
    let mut vectors = [[simd.splat_f64s(0.0); J]; GROUP];
    for i in 0..GROUP {
        for j in 0..J {
            vectors[i][j] = S::as_simd_f64s(&tile[i][left + j].0).0[part];
        }
    }
    for (above, beside) in above.iter().zip(beside) {
        let mut right = [simd.splat_f64s(0.0); J];
        for j in 0..J {
            right[j] = S::as_simd_f64s(&beside[left + j].0).0[part];
        }
        for i in 0..GROUP {
            let above = S::as_simd_f64s(&above[i].0).0[part];
            for j in 0..J {
                vectors[i][j] = simd.mul_add_f64s(above, right[j], vectors[i][j]);
            }
        }
    }
    for i in 0..GROUP {
        for j in 0..J {
            S::as_mut_simd_f64s(&mut tile[i][left + j].0).0[part] = vectors[i][j];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Stream;
    use rand::Rng;

    #[test]
    fn products_are_those_of_plain_sums() {
        for (n, width) in
            [(1, 1), (2, 7), (3, 8), (4, 30), (7, 16), (11, 23), (11, 700), (63, 1030), (64, 9), (240, 560)]
        {
            let mut rng = Stream::root(4).at(n as u64).rng();
            let block: Vec<f32> = (0..n * width).map(|_| rng.random_range(-2.0..2.0)).collect();
            let centre = n / 2;
            let at = |i: usize, k: usize| {
                let centre = f64::from(block[centre * width + k]);
                if i < n { f64::from(block[i * width + k]) - centre } else { -centre }
            };
            let mut products = Products::new(n, centre);
            let mut packed = Vec::new();
            products.add(&block, &mut packed);
            products.add(&block, &mut packed);
            let sums = products.sums();
            let rows = Tensor::from_slice(&block).view([n as i64, -1]);
            let by_tensors = of_tensors(&rows, 5, centre as i64).unwrap();
            let by_pairs = of_many(&rows, centre as i64).unwrap();
            for i in 0..=n {
                for j in i..=n {
                    let plain: f64 = (0..width).map(|k| at(i, k) * at(j, k)).sum();
                    let place = i * (n + 1) + j;
                    for (what, found, plain) in [
                        ("by hand", sums[place], 2.0 * plain),
                        ("by tensors", by_tensors[place], plain),
                        ("by pairs", by_pairs[place], plain),
                    ] {
                        assert!(
                            (found - plain).abs() <= 1e-12 * plain.abs().max(1.0),
                            "{what}: {found} is not {plain}"
                        );
                    }
                }
            }
        }
    }
}
