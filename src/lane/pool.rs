//! Random bits for dropout: a pool on the device, read at places that streams draw.
//!
//! libtorch's generator is one global state, so masks come from elsewhere. A fixed pool of 16-bit numbers is drawn once; a
//! unit is kept when its number is at least p · 65,536. The pool holds the multipliers that follow from them, and a step of
//! a lane reads a window that starts where the lane's own stream says. So a lane's masks depend on its stream alone, and
//! making them costs one gather.

use crate::model::layer::Masks;
use crate::seed::Stream;
use rand::{Rng, RngCore};
use tch::{Device, Kind, Tensor};

const SMALLEST: i64 = 1 << 22;

/// The pool, multipliers 0 or 1/(1−p), `[size]`.
#[derive(Debug)]
pub struct BitPool {
    multipliers: Tensor,
    kept: f64,
}

impl BitPool {
    /// A pool for dropout of probability `p` in steps of up to `units` units a lane: at least 4 times as many numbers, and
    /// at least 4 Mi. Without dropout (`units` 0) there is no pool.
    pub fn new(units: i64, p: f64, device: Device) -> Self {
        let size = if units == 0 { 0 } else { SMALLEST.max(4 * units) };
        let mut bytes = vec![0u8; 2 * size as usize];
        Stream::root(0).named("dropout-pool").rng().fill_bytes(&mut bytes);
        let numbers: Vec<i16> = bytes.chunks_exact(2).map(|b| i16::from_le_bytes([b[0], b[1]])).collect();
        Self::of(&numbers, p, device)
    }

    /// A pool of these numbers. Exactly as many as a step has units leave no choice, so every step gets the same masks;
    /// tests that give the masks use that.
    pub fn of(numbers: &[i16], p: f64, device: Device) -> Self {
        let (threshold, kept) = ((p * 65_536.0).round() as i64 - 32_768, 1.0 / (1.0 - p));
        let multipliers = Tensor::from_slice(numbers).ge(threshold).to_kind(Kind::Float) * kept;
        Self { multipliers: multipliers.to_device(device), kept }
    }

    /// Another handle on the same memory.
    pub fn share(&self) -> Self {
        Self { multipliers: self.multipliers.shallow_clone(), kept: self.kept }
    }

    /// Where the windows of `units` units begin, one a stream.
    pub fn starts(&self, streams: impl Iterator<Item = Stream>, units: i64) -> Vec<i64> {
        let places = self.multipliers.size()[0] - units + 1;
        streams.map(|stream| stream.rng().random_range(0..places)).collect()
    }

    /// The multipliers of one step of at most `batch` samples; `starts [L]` on the device are from [`BitPool::starts`].
    pub fn masks(&self, starts: Tensor, batch: i64) -> Masks {
        Masks::new(self.multipliers.shallow_clone(), starts, self.kept, batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(streams: &[Stream], p: f64) -> Tensor {
        let pool = BitPool::new(1000, p, Device::Cpu);
        let masks = |batch| pool.masks(Tensor::from_slice(&pool.starts(streams.iter().cloned(), 1000)), batch);
        let (whole, halves) = (masks(1).take(&[1, 1000]), masks(1));
        // Layer by layer or at once: the same numbers.
        assert_eq!(whole, Tensor::cat(&[halves.take(&[1, 400]), halves.take(&[1, 600])], 2));
        let (full, part) = (masks(4), masks(4));
        for width in [100, 50, 25] {
            let of_three = full.take(&[4, width]).narrow(1, 0, 3);
            assert_eq!(part.take(&[3, width]), of_three, "a sample's masks must not depend on those after it");
        }
        whole
    }

    fn masks(seed: u64, p: f64) -> Tensor {
        let root = Stream::root(seed);
        take(&[root.at(0), root.at(1)], p)
    }

    #[test]
    fn the_share_dropped_is_p_and_what_is_kept_is_scaled() {
        for p in [0.1, 0.5] {
            let masks = masks(3, p);
            let kept = masks.gt(0.0).to_kind(Kind::Float).mean(Kind::Float).double_value(&[]);
            assert!((kept - (1.0 - p)).abs() < 0.04, "kept {kept} at p = {p}");
            assert!((masks.max().double_value(&[]) - 1.0 / (1.0 - p)).abs() < 1e-6);
        }
    }

    #[test]
    fn masks_depend_on_the_stream_alone() {
        assert_eq!(masks(3, 0.3), masks(3, 0.3));
        assert_ne!(masks(3, 0.3), masks(4, 0.3));
        let alone = take(&[Stream::root(3).at(1)], 0.3);
        assert_eq!(alone.get(0), masks(3, 0.3).get(1), "a lane's masks must not depend on its neighbours");
    }
}
