//! Dropout multipliers of one step, handed out layer by layer.

use std::cell::Cell;
use tch::Tensor;

/// Multipliers of L lanes, 0 or `kept` = 1/(1−p): windows of one pool, one a lane. The layers of a pass take theirs in
/// order, each when it needs them, so that they are still in cache when they are used.
#[derive(Debug)]
pub struct Masks {
    pool: Tensor,
    starts: Tensor,
    kept: f64,
    batch: i64,
    used: Cell<i64>,
}

impl Masks {
    /// Lane l's multipliers are those of `pool [size]` from `starts [L]` on, of `batch` samples layer by layer.
    pub fn new(pool: Tensor, starts: Tensor, kept: f64, batch: i64) -> Self {
        Self { pool, starts, kept, batch, used: Cell::new(0) }
    }

    /// The multiplier of what is kept.
    pub fn kept(&self) -> f64 {
        self.kept
    }

    /// The multipliers of the next layer, `[L, shape…]`; the first of `shape` is a number of samples. A sample's do not depend
    /// on how many come after it.
    pub fn take(&self, shape: &[i64]) -> Tensor {
        let (start, count) = (self.used.get(), shape.iter().product::<i64>());
        self.used.set(start + self.batch * shape[1..].iter().product::<i64>());
        let mut full = self.starts.size();
        full.extend(shape);
        // Overlapping windows as rows of a matrix: the gather copies L contiguous pieces.
        let places = self.pool.size()[0] - count + 1;
        let windows = self.pool.as_strided([places, count], [1, 1], None);
        windows.index_select(0, &(&self.starts + start)).view(full.as_slice())
    }
}
