//! Products of rows with a packed weight, in tiles of a few rows by two vectors of columns that stay in registers.
//!
//! What is made of a tile (a pool, a gate) is made of it while it is there, so no layer takes a pass of its own over its
//! products. Every sum runs over the depth in order and is fused, whatever vectors a CPU has: any of them give the same bytes.
//! Closures are marked `#[inline(always)]` because they would be compiled for the oldest CPU otherwise.

use pulp::{Arch, Simd};

/// Columns of a panel: two of the widest vectors.
const WIDTH: usize = 32;

/// Columns of a panel at one depth; aligned, so that no vector lies in two lines of a cache.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
struct Line([f32; WIDTH]);

const NOTHING: Line = Line([0.0; WIDTH]);

/// Two vectors side by side.
pub type Pair<S> = [<S as Simd>::f32s; 2];

/// Numbers of a pair.
pub fn breadth<S: Simd>() -> usize {
    2 * S::F32_LANES
}

/// Rows of one length, a stride apart in memory; they may overlap, as the windows of a convolution do.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    /// The memory, from the first row on.
    pub data: &'a [f32],
    /// From one row to the next.
    pub stride: usize,
    /// Number of rows.
    pub count: usize,
}

/// `x W + b` for a weight `[K, N]`, packed in panels of [`WIDTH`] columns that are read in order.
#[derive(Debug)]
pub struct Panels {
    lines: Vec<Line>,
    bias: Vec<Line>,
    depth: usize,
    columns: usize,
}

impl Panels {
    /// Packs a weight `[K, N]`, given number by number, with its bias `[N]`.
    pub fn new(depth: usize, bias: &[f32], at: impl Fn(usize, usize) -> f32) -> Self {
        let mut lines = vec![NOTHING; bias.len().div_ceil(WIDTH) * depth];
        for (panel, lines) in lines.chunks_exact_mut(depth).enumerate() {
            let first = panel * WIDTH;
            let used = WIDTH.min(bias.len() - first);
            for (k, line) in lines.iter_mut().enumerate() {
                for (column, place) in (first..).zip(&mut line.0[..used]) {
                    *place = at(k, column);
                }
            }
        }
        let line = |bias: &[f32]| {
            let mut line = NOTHING;
            line.0[..bias.len()].copy_from_slice(bias);
            line
        };
        Self { lines, bias: bias.chunks(WIDTH).map(line).collect(), depth, columns: bias.len() }
    }

    /// Packs the columns from `first` on of a matrix, as many as there are biases.
    pub fn plain(weight: &[f32], stride: usize, first: usize, bias: &[f32]) -> Self {
        Self::new(weight.len() / stride, bias, |k, column| weight[k * stride + first + column])
    }

    /// Packs the transpose `[N, K]` of a weight `[K, N]`, without a bias.
    pub fn transposed(weight: &[f32], columns: usize) -> Self {
        Self::new(columns, &vec![0.0; weight.len() / columns], |k, column| weight[column * columns + k])
    }

    /// Length K of a row.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// Number of columns N.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Hands every tile of `x W + b` to `made`: its first row, its first column, and a pair a row.
    #[inline(always)]
    pub fn multiply<S: Simd>(&self, simd: S, rows: Rows, made: impl FnMut(usize, usize, &[Pair<S>])) {
        // As many sums at once as there are registers for.
        if S::REGISTER_COUNT >= 32 {
            self.multiply_by::<S, 8>(simd, rows, made);
        } else {
            self.multiply_by::<S, 4>(simd, rows, made);
        }
    }

    #[inline(always)]
    fn multiply_by<S: Simd, const R: usize>(
        &self,
        simd: S,
        rows: Rows,
        mut made: impl FnMut(usize, usize, &[Pair<S>]),
    ) {
        for column in (0..self.columns).step_by(breadth::<S>()) {
            for first in (0..rows.count).step_by(R) {
                let tile = self.tile::<S, R>(simd, rows, first, column);
                made(first, column, &tile[..R.min(rows.count - first)]);
            }
        }
    }

    /// `x W + b`, `[count, N]`, into `y`.
    pub fn product(&self, rows: Rows, y: &mut [f32]) {
        write(self, rows, y, false);
    }

    /// Adds `x W + b`, `[count, N]`, to `y`.
    pub fn add_product(&self, rows: Rows, y: &mut [f32]) {
        write(self, rows, y, true);
    }

    /// The tile from a row and a column on; the last row stands in for those beyond it.
    #[inline(always)]
    pub fn tile<S: Simd, const R: usize>(&self, simd: S, rows: Rows, first: usize, column: usize) -> [Pair<S>; R] {
        let (panel, part) = (column / WIDTH, column % WIDTH / S::F32_LANES);
        let lines = &self.lines[panel * self.depth..][..self.depth];
        let mut x: [&[f32]; R] = [&[]; R];
        for (r, x) in x.iter_mut().enumerate() {
            *x = &rows.data[(first + r).min(rows.count - 1) * rows.stride..][..lines.len()];
        }
        let mut sums = [pair::<S>(&self.bias[panel], part); R];
        for k in 0..lines.len() {
            let weight = pair::<S>(&lines[k], part);
            for r in 0..R {
                let x = simd.splat_f32s(x[r][k]);
                sums[r][0] = simd.mul_add_f32s(x, weight[0], sums[r][0]);
                sums[r][1] = simd.mul_add_f32s(x, weight[1], sums[r][1]);
            }
        }
        sums
    }
}

#[pulp::with_simd(write = Arch::new())]
#[inline(always)]
fn write_with<S: Simd>(simd: S, panels: &Panels, rows: Rows<'_>, y: &mut [f32], add: bool) {
    let width = panels.columns;
    panels.multiply(
        simd,
        rows,
        #[inline(always)]
        |first, column, tile| {
            for (row, &pair) in (first..).zip(tile) {
                let place = &mut y[row * width..][column..width];
                let pair = if add { sum(simd, load(simd, place), pair) } else { pair };
                store(simd, place, pair);
            }
        },
    );
}

/// Rows summed up before the sums are written: so many fit into a first-level cache.
const BLOCK: usize = 64;

/// Adds `xᵀ g`, `[K, N]`, for rows `x` of length K and `g [count, N]`.
pub fn add_products(x: Rows, g: &[f32], sums: &mut [f32]) {
    let (width, depth) = (g.len() / x.count, sums.len() / (g.len() / x.count));
    for (i, g) in g.chunks(BLOCK * width).enumerate() {
        let rows = Rows { data: &x.data[i * BLOCK * x.stride..], count: g.len() / width, ..x };
        add_block(rows, depth, g, sums);
    }
}

#[pulp::with_simd(add_block = Arch::new())]
#[inline(always)]
fn add_block_with<S: Simd>(simd: S, x: Rows<'_>, depth: usize, g: &[f32], sums: &mut [f32]) {
    if S::REGISTER_COUNT >= 32 {
        add_block_by::<S, 8>(simd, x, depth, g, sums);
    } else {
        add_block_by::<S, 4>(simd, x, depth, g, sums);
    }
}

#[inline(always)]
fn add_block_by<S: Simd, const R: usize>(simd: S, x: Rows<'_>, depth: usize, g: &[f32], sums: &mut [f32]) {
    let width = sums.len() / depth;
    for column in (0..width).step_by(breadth::<S>()) {
        for first in (0..depth).step_by(R) {
            let used = R.min(depth - first);
            let mut tile = [[simd.splat_f32s(0.0); 2]; R];
            for (i, g) in g.chunks_exact(width).enumerate() {
                let g = load(simd, &g[column..]);
                let from = &x.data[i * x.stride + first..];
                let x: [f32; R] = match from.first_chunk() {
                    Some(x) => *x,
                    None => filled(from),
                };
                for r in 0..R {
                    let x = simd.splat_f32s(x[r]);
                    tile[r][0] = simd.mul_add_f32s(x, g[0], tile[r][0]);
                    tile[r][1] = simd.mul_add_f32s(x, g[1], tile[r][1]);
                }
            }
            for (r, pair) in tile[..used].iter().enumerate() {
                let place = &mut sums[(first + r) * width..][column..width];
                store(simd, place, sum(simd, load(simd, place), *pair));
            }
        }
    }
}

/// Fewer numbers than R, and zeros.
#[inline(always)]
fn filled<const R: usize>(rest: &[f32]) -> [f32; R] {
    let mut filled = [0.0; R];
    filled[..rest.len()].copy_from_slice(rest);
    filled
}

/// Adds up the columns of `g [count, N]`.
pub fn add_rows(g: &[f32], sums: &mut [f32]) {
    for g in g.chunks_exact(sums.len()) {
        for (sum, g) in sums.iter_mut().zip(g) {
            *sum += g;
        }
    }
}

/// The pair of a line from a vector on.
#[inline(always)]
fn pair<S: Simd>(line: &Line, part: usize) -> Pair<S> {
    let vectors = S::as_simd_f32s(&line.0).0;
    [vectors[part], vectors[part + 1]]
}

#[inline(always)]
fn sum<S: Simd>(simd: S, a: Pair<S>, b: Pair<S>) -> Pair<S> {
    [simd.add_f32s(a[0], b[0]), simd.add_f32s(a[1], b[1])]
}

/// Writes a pair to the beginning of a row's rest, as much as there is room for.
#[inline(always)]
pub fn store<S: Simd>(simd: S, rest: &mut [f32], pair: Pair<S>) {
    if let Some(place) = rest.get_mut(..breadth::<S>()) {
        S::as_mut_simd_f32s(place).0.copy_from_slice(&pair);
    } else {
        let (first, second) = rest.split_at_mut(S::F32_LANES.min(rest.len()));
        simd.partial_store_f32s(first, pair[0]);
        simd.partial_store_f32s(second, pair[1]);
    }
}

/// Reads a pair from the beginning of a row's rest, with zeros for what it lacks.
#[inline(always)]
pub fn load<S: Simd>(simd: S, rest: &[f32]) -> Pair<S> {
    match rest.get(..breadth::<S>()) {
        Some(place) => {
            let vectors = S::as_simd_f32s(place).0;
            [vectors[0], vectors[1]]
        }
        None => {
            let (first, second) = rest.split_at(S::F32_LANES.min(rest.len()));
            [simd.partial_load_f32s(first), simd.partial_load_f32s(second)]
        }
    }
}
