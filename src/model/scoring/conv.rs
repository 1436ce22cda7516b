//! Convolution (kernel 5, padding 2) → max-pool 2 → ReLU of one sample.

use super::tile::{Panels, Rows, store};
use pulp::{Arch, Simd};

/// Steps of zeros on either side.
pub const PADDING: usize = 2;

/// The block, as [`crate::model::layer::ConvBlock`].
#[derive(Debug)]
pub struct Conv {
    /// `[5 · C, O]`: a window is a row, so nothing is copied.
    pub weight: Panels,
    /// Channels C of the input.
    pub input: usize,
}

impl Conv {
    /// From `x [time + 2 · PADDING, C]` to `y [⌊time/2⌋ + 2 · PADDING, O]`, both with zeros around; steps from `found` on become
    /// zeros too.
    pub fn forward(&self, x: &[f32], time: usize, found: usize, y: &mut Vec<f32>) {
        let (half, width) = (time / 2, self.weight.columns());
        y.clear();
        y.resize((half + 2 * PADDING) * width, 0.0);
        let steps = &mut y[PADDING * width..][..half * width];
        pooled(self, x, steps);
        steps[found.min(half) * width..].fill(0.0);
    }
}

#[pulp::with_simd(pooled = Arch::new())]
#[inline(always)]
fn pooled_with<S: Simd>(simd: S, conv: &Conv, x: &[f32], steps: &mut [f32]) {
    let width = conv.weight.columns();
    let rows = Rows { data: x, stride: conv.input, count: 2 * (steps.len() / width) };
    let zero = simd.splat_f32s(0.0);
    conv.weight.multiply(
        simd,
        rows,
        #[inline(always)]
        |first, column, tile| {
            for (i, two) in tile.chunks_exact(2).enumerate() {
                let (a, b, at) = (two[0], two[1], first / 2 + i);
                let larger = [simd.max_f32s(a[0], b[0]), simd.max_f32s(a[1], b[1])];
                let cut = [simd.max_f32s(zero, larger[0]), simd.max_f32s(zero, larger[1])];
                store(simd, &mut steps[at * width + column..(at + 1) * width], cut);
            }
        },
    );
}
