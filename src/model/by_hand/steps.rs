//! Steps of a few samples, as convolutions read and write them: in tiles of four, zeros around.

use super::winograd::{KERNEL, OUTPUTS, POINTS};

/// Steps of zeros before a sample.
const PADDING: usize = KERNEL / 2;
/// Tiles done at once: what belongs to them fits into a second-level cache.
const TOGETHER: usize = 64;

/// `[B, T, C]`, with so many zeros around every sample that all tiles can be read.
#[derive(Debug, Clone)]
pub struct Steps {
    data: Vec<f32>,
    count: usize,
    time: usize,
    channels: usize,
}

/// Four steps of a sample from `4 · number` on.
#[derive(Debug, Clone, Copy)]
pub struct Tile {
    sample: usize,
    number: usize,
}

/// A few tiles of the tiles of all samples.
#[derive(Debug, Clone, Copy)]
pub struct Tiles {
    /// How many.
    pub count: usize,
    first: usize,
    of_sample: usize,
}

impl Steps {
    /// Zeros.
    pub fn new(count: usize, time: usize, channels: usize) -> Self {
        let data = vec![0.0; count * room(time) * channels];
        Self { data, count, time, channels }
    }

    /// The samples of `[T, B, C]`.
    pub fn of_sequences(all: &[f32], count: usize, channels: usize) -> Self {
        let mut steps = Self::new(count, all.len() / (count * channels), channels);
        for (i, step) in all.chunks_exact(channels).enumerate() {
            steps.step_mut((i % count, i / count)).copy_from_slice(step);
        }
        steps
    }

    /// Samples B.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Steps T of a sample.
    pub fn time(&self) -> usize {
        self.time
    }

    /// Numbers C of a step.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// A sample's steps `[T, C]`.
    pub fn sample_mut(&mut self, sample: usize) -> &mut [f32] {
        let from = self.at((sample, 0));
        &mut self.data[from..][..self.time * self.channels]
    }

    /// A sample's step.
    pub fn step(&self, place: (usize, usize)) -> &[f32] {
        &self.data[self.at(place)..][..self.channels]
    }

    /// A sample's step.
    pub fn step_mut(&mut self, place: (usize, usize)) -> &mut [f32] {
        let from = self.at(place);
        &mut self.data[from..][..self.channels]
    }

    fn at(&self, (sample, step): (usize, usize)) -> usize {
        (sample * room(self.time) + PADDING + step) * self.channels
    }

    /// The eight steps that a tile's outputs are made of.
    pub fn around(&self, tile: Tile) -> &[f32] {
        &self.data[self.before(tile)..][..POINTS * self.channels]
    }

    /// The same to add gradients to; the zeros around do not stay such then, so only [`Steps::step`] reads them.
    pub fn around_mut(&mut self, tile: Tile) -> &mut [f32] {
        let from = self.before(tile);
        &mut self.data[from..][..POINTS * self.channels]
    }

    fn before(&self, tile: Tile) -> usize {
        (tile.sample * room(self.time) + tile.number * OUTPUTS) * self.channels
    }

    /// How many pools of a tile are steps of these outputs.
    pub fn pools(&self, tile: Tile) -> usize {
        (self.time - tile.number * OUTPUTS / 2).min(OUTPUTS / 2)
    }
}

/// Steps of a sample with the zeros around.
fn room(time: usize) -> usize {
    time.next_multiple_of(OUTPUTS) + POINTS - OUTPUTS
}

impl Tile {
    /// The place of a pool among the steps of pooled samples.
    pub fn pool(self, pool: usize) -> (usize, usize) {
        (self.sample, self.number * OUTPUTS / 2 + pool)
    }
}

impl Tiles {
    /// All tiles of so many samples, a few at once, for so many steps behind the pools.
    pub fn of(count: usize, pools: usize) -> impl Iterator<Item = Self> {
        let of_sample = pools.div_ceil(OUTPUTS / 2);
        let all = count * of_sample;
        (0..all).step_by(TOGETHER).map(move |first| Self { count: TOGETHER.min(all - first), first, of_sample })
    }

    /// The tile of a row.
    pub fn at(self, row: usize) -> Tile {
        let all = self.first + row;
        Tile { sample: all / self.of_sample, number: all % self.of_sample }
    }

    /// All rows with their tiles.
    pub fn enumerate(self) -> impl Iterator<Item = (usize, Tile)> {
        (0..self.count).map(move |row| (row, self.at(row)))
    }
}
