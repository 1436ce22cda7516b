//! Products of rows with a packed weight, in tiles of a few rows by two vectors of columns that stay in registers.
//!
//! What is made of a tile (a gate, a tanh) is made of it while it is there, so most layers take no pass of their own over their
//! products. Every sum runs over the depth in order and is fused, whatever vectors a CPU has: any of them give the same bytes.
//! Closures are marked `#[inline(always)]` because they would be compiled for the oldest CPU otherwise.

use pulp::{Arch, Simd};

/// Columns of a panel: one of the widest vectors.
const WIDTH: usize = 16;

/// Columns of a panel at one depth: a line of a cache.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
struct Line([f32; WIDTH]);

const NOTHING: Line = Line([0.0; WIDTH]);

impl Line {
    /// A few numbers, and zeros.
    fn of(numbers: &[f32]) -> Self {
        Self(numbers.first_chunk().copied().unwrap_or_else(|| filled(numbers)))
    }
}

/// Two vectors side by side.
pub type Pair<S> = [<S as Simd>::f32s; 2];

/// Numbers of a pair.
pub fn breadth<S: Simd>() -> usize {
    2 * S::F32_LANES
}

/// Rows of one length, one after another.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    /// The numbers from the first row on.
    pub data: &'a [f32],
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
    /// Packs a weight `[K, N]`, given line by line (depth, first column, columns), with its bias `[N]`.
    fn new(depth: usize, bias: &[f32], line: impl Fn(usize, usize, usize) -> Line) -> Self {
        let mut lines = Vec::with_capacity(bias.len().div_ceil(WIDTH) * depth);
        for first in (0..bias.len()).step_by(WIDTH) {
            let used = WIDTH.min(bias.len() - first);
            lines.extend((0..depth).map(|k| line(k, first, used)));
        }
        Self { lines, bias: bias.chunks(WIDTH).map(Line::of).collect(), depth, columns: bias.len() }
    }

    /// Packs the columns from `first` on of a matrix, as many as there are biases.
    pub fn plain(weight: &[f32], stride: usize, first: usize, bias: &[f32]) -> Self {
        let line = |k: usize, column: usize, used: usize| Line::of(&weight[k * stride + first + column..][..used]);
        Self::new(weight.len() / stride, bias, line)
    }

    /// Packs the transpose `[N, K]` of a weight `[K, N]`, without a bias.
    pub fn transposed(weight: &[f32], columns: usize) -> Self {
        let line = |k: usize, row: usize, used: usize| {
            let mut line = NOTHING;
            let numbers = weight[row * columns + k..].iter().step_by(columns);
            line.0[..used].iter_mut().zip(numbers).for_each(|(place, &number)| *place = number);
            line
        };
        Self::new(columns, &vec![0.0; weight.len() / columns], line)
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
    pub fn multiply<S: Simd>(&self, simd: S, rows: Rows, mut made: impl FnMut(usize, usize, &[Pair<S>])) {
        for column in (0..self.columns).step_by(breadth::<S>()) {
            self.multiply_columns(
                simd,
                rows,
                column,
                #[inline(always)]
                |first, tile| made(first, column, tile),
            );
        }
    }

    /// Hands the tiles of one pair of columns to `made`: first row, and a pair a row.
    #[inline(always)]
    pub fn multiply_columns<S: Simd>(&self, simd: S, rows: Rows, column: usize, made: impl FnMut(usize, &[Pair<S>])) {
        // As many rows at once as there are registers for their sums.
        if S::REGISTER_COUNT >= 32 {
            self.multiply_by::<S, 8>(simd, rows, column, made);
        } else {
            self.multiply_by::<S, 6>(simd, rows, column, made);
        }
    }

    #[inline(always)]
    fn multiply_by<S: Simd, const R: usize>(
        &self,
        simd: S,
        rows: Rows,
        column: usize,
        mut made: impl FnMut(usize, &[Pair<S>]),
    ) {
        // Up to four rows at the end are a smaller tile.
        let mut first = 0;
        while first < rows.count {
            let left = rows.count - first;
            if left > 4 {
                let tile = self.tile::<S, R>(simd, rows, first, column);
                made(first, &tile[..R.min(left)]);
                first += R;
            } else {
                let tile = self.tile::<S, 4>(simd, rows, first, column);
                made(first, &tile[..left]);
                first += 4;
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

    /// The tile from a row and a column on; the last row and the last panel stand in for those beyond them.
    #[inline(always)]
    pub fn tile<S: Simd, const R: usize>(&self, simd: S, rows: Rows, first: usize, column: usize) -> [Pair<S>; R] {
        let [left, right] = [column, column + S::F32_LANES];
        let (bias, weight) = ([self.bias(left), self.bias(right)], [self.lines(left), self.lines(right)]);
        let part = [left % WIDTH / S::F32_LANES, right % WIDTH / S::F32_LANES];
        let mut x: [&[f32]; R] = [&[]; R];
        for (r, x) in x.iter_mut().enumerate() {
            *x = &rows.data[(first + r).min(rows.count - 1) * self.depth..][..self.depth];
        }
        let mut sums = [[vector::<S>(bias[0], part[0]), vector::<S>(bias[1], part[1])]; R];
        for k in 0..self.depth {
            let weight = [vector::<S>(&weight[0][k], part[0]), vector::<S>(&weight[1][k], part[1])];
            for r in 0..R {
                let x = simd.splat_f32s(x[r][k]);
                sums[r][0] = simd.mul_add_f32s(x, weight[0], sums[r][0]);
                sums[r][1] = simd.mul_add_f32s(x, weight[1], sums[r][1]);
            }
        }
        sums
    }

    /// The lines of a column's panel.
    #[inline(always)]
    fn lines(&self, column: usize) -> &[Line] {
        &self.lines[self.panel(column) * self.depth..][..self.depth]
    }

    /// The biases of a column's panel.
    #[inline(always)]
    fn bias(&self, column: usize) -> &Line {
        &self.bias[self.panel(column)]
    }

    #[inline(always)]
    fn panel(&self, column: usize) -> usize {
        (column / WIDTH).min(self.bias.len() - 1)
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

/// Fewer numbers than R, and zeros.
#[inline(always)]
pub fn filled<const R: usize>(rest: &[f32]) -> [f32; R] {
    let mut filled = [0.0; R];
    filled[..rest.len()].copy_from_slice(rest);
    filled
}

/// A vector of a line.
#[inline(always)]
fn vector<S: Simd>(line: &Line, part: usize) -> S::f32s {
    S::as_simd_f32s(&line.0).0[part]
}

/// The sum of two pairs.
#[inline(always)]
pub fn sum<S: Simd>(simd: S, a: Pair<S>, b: Pair<S>) -> Pair<S> {
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

/// Writes a vector to the beginning of a row's rest, as much as there is room for.
#[inline(always)]
pub fn store_vector<S: Simd>(simd: S, rest: &mut [f32], vector: S::f32s) {
    match rest.get_mut(..S::F32_LANES) {
        Some(place) => S::as_mut_simd_f32s(place).0[0] = vector,
        None => simd.partial_store_f32s(rest, vector),
    }
}

/// Reads a vector from the beginning of a row's rest, with zeros for what it lacks.
#[inline(always)]
pub fn load_vector<S: Simd>(simd: S, rest: &[f32]) -> S::f32s {
    match rest.get(..S::F32_LANES) {
        Some(place) => S::as_simd_f32s(place).0[0],
        None => simd.partial_load_f32s(rest),
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

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_near, numbers, on_all_vectors};
    use super::*;

    /// Rows, depth, columns.
    const SHAPES: [[usize; 3]; 7] =
        [[1, 1, 1], [3, 5, 7], [4, 0, 9], [5, 9, 16], [9, 12, 17], [13, 4, 33], [17, 33, 48]];

    #[test]
    fn a_product_is_that_of_plain_sums() {
        for [count, depth, columns] in SHAPES {
            let (x, weight, bias) = (numbers(count * depth, 1), numbers(depth * columns, 2), numbers(columns, 3));
            let expected: Vec<f64> = (0..count * columns)
                .map(|i| {
                    let (row, column) = (i / columns, i % columns);
                    let term = |k: usize| f64::from(x[row * depth + k]) * f64::from(weight[k * columns + column]);
                    f64::from(bias[column]) + (0..depth).map(term).sum::<f64>()
                })
                .collect();
            let panels = Panels::plain(&weight, columns, 0, &bias);
            let mut y = vec![f32::NAN; count * columns];
            panels.product(Rows { data: &x, count }, &mut y);
            assert_near(&format!("{count} rows, {depth} by {columns}"), &y, &expected, 1e-6);
        }
    }

    #[test]
    fn any_vectors_give_the_same_bytes() {
        for [count, depth, columns] in SHAPES {
            let (x, weight, bias) = (numbers(count * depth, 1), numbers(depth * columns, 2), numbers(columns, 3));
            let panels = Panels::plain(&weight, columns, 0, &bias);
            let rows = Rows { data: &x, count };
            let mut here = vec![0.0; count * columns];
            panels.product(rows, &mut here);
            on_all_vectors!(|simd| {
                let mut y = vec![0.0; count * columns];
                write_with(simd, &panels, rows, &mut y, false);
                assert_eq!(y, here);
                // As many rows as where there are 32 registers.
                for column in (0..columns).step_by(breadth_of(simd)) {
                    panels.multiply_by::<_, 8>(simd, rows, column, |first, tile| {
                        for (row, &pair) in (first..).zip(tile) {
                            store(simd, &mut y[row * columns..][column..columns], pair);
                        }
                    });
                }
                assert_eq!(y, here);
            });
        }
    }

    fn breadth_of<S: Simd>(_simd: S) -> usize {
        breadth::<S>()
    }
}
