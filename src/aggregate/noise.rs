//! Gaussian noise of a server, from a named stream.

use crate::fault::Result;
use crate::seed::Stream;
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;
use tch::Tensor;

/// Numbers of one stream, so that threads share the work and their number does not show.
const SEGMENT: usize = 4096;

/// `made` with independent N(0, deviation²) added to each number.
pub(super) fn add_noise(made: Tensor, deviation: f64, stream: &Stream) -> Result<Tensor> {
    if deviation == 0.0 {
        return Ok(made);
    }
    let mut drawn = vec![0.0_f32; made.numel()];
    drawn.par_chunks_mut(SEGMENT).enumerate().for_each(|(segment, drawn)| {
        let mut rng = stream.at(segment as u64).rng();
        for x in drawn {
            let unit: f64 = StandardNormal.sample(&mut rng);
            *x = (deviation * unit) as f32;
        }
    });
    let drawn = Tensor::f_from_slice(&drawn)?.f_to_device(made.device())?;
    Ok(made.f_add(&drawn)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    #[test]
    fn no_segment_has_the_noise_of_another_and_all_have_its_deviation() {
        let made = Tensor::full([3 * SEGMENT as i64 + 5], 7.0, (Kind::Float, Device::Cpu));
        let noisy = Vec::<f32>::try_from(add_noise(made, 0.5, &Stream::root(1)).unwrap()).unwrap();
        let segments: Vec<&[f32]> = noisy.chunks_exact(SEGMENT).collect();
        for (i, segment) in segments.iter().enumerate() {
            let variance = segment.iter().map(|x| (x - 7.0).powi(2)).sum::<f32>() / SEGMENT as f32;
            assert!((variance - 0.25).abs() < 0.02 && !segments[..i].contains(segment), "{i}: {variance}");
        }
        assert!(noisy[3 * SEGMENT..].iter().all(|x| *x != 7.0));
    }
}
