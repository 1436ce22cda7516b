//! 80-bin log-mel features of audio, as Kaldi's `compute-fbank-feats` and torchaudio's `compliance.kaldi.fbank` make them.
//!
//! The signal is cut into frames of `length` ms every `shift` ms, whole frames only (`snip-edges`). Of each frame: the mean is
//! taken off, `x_t − 0.97 x_{t−1}` (the first sample stands for the one before it), times a Hamming window
//! `0.54 − 0.46 cos(2πt/(n−1))`, zeros to the next power of two, power spectrum. Bin b of B = 80 weighs it by a triangle that
//! rises from mel `m_b` to `m_{b+1}` and falls to `m_{b+2}`, with `m_b` equally spaced from mel(20 Hz) to mel(8000 Hz),
//! `mel(f) = 1127 ln(1 + f/700)`; the feature is `ln max(E, ε)`, ε = 2⁻²³. No dither, no energy.
//!
//! Everything is computed in f64 in a fixed order and rounded once, so that the features, whose bytes name a run, are the same on
//! every machine; a SIMD library of transforms adds in an order that depends on the processor. torchaudio computes in f32: the
//! largest difference on the recorded signals is held below 2e-3 (`tests/fixtures/fbank.json`).
//!
//! By hand: 16,000 samples are 1 + (16000 − 400) / 160 = 98 frames of 25 ms every 10 ms.

use std::f64::consts::PI;

/// Samples a second.
pub(super) const RATE: usize = 16_000;
/// Features a frame.
pub(super) const BINS: usize = 80;
const LOW: f64 = 20.0;
const PREEMPHASIS: f64 = 0.97;
const EPSILON: f64 = f32::EPSILON as f64;

/// Everything that all frames of a kind share.
#[derive(Debug)]
pub(super) struct Fbank {
    /// Samples between two frames.
    shift: usize,
    window: Vec<f64>,
    /// `exp(−2πik/n)` for k < n/2.
    twiddles: Vec<(f64, f64)>,
    /// Of each bin: the first place of the spectrum and the weights from there.
    bins: Vec<(usize, Vec<f64>)>,
}

impl Fbank {
    /// Frames of `length` ms every `shift` ms at 16 kHz.
    pub fn new(length: usize, shift: usize) -> Self {
        let (samples, shift) = (length * RATE / 1000, shift * RATE / 1000);
        let padded = samples.next_power_of_two();
        let window = (0..samples).map(|t| 0.54 - 0.46 * (2.0 * PI * t as f64 / (samples as f64 - 1.0)).cos()).collect();
        let twiddles = (0..padded / 2).map(|k| (2.0 * PI * k as f64 / padded as f64).sin_cos()).map(|(s, c)| (c, -s));
        Self { shift, window, twiddles: twiddles.collect(), bins: bins(padded) }
    }

    /// Features `[frames, 80]` of a signal in [−1, 1] at 16 kHz, row by row; none of a signal shorter than a frame.
    pub fn features(&self, signal: &[f32]) -> Vec<f32> {
        let n = self.window.len();
        let frames = if signal.len() < n { 0 } else { 1 + (signal.len() - n) / self.shift };
        (0..frames).flat_map(|i| self.frame(&signal[i * self.shift..i * self.shift + n])).collect()
    }

    fn frame(&self, samples: &[f32]) -> Vec<f32> {
        let mean = samples.iter().map(|&x| f64::from(x)).sum::<f64>() / samples.len() as f64;
        let centred: Vec<f64> = samples.iter().map(|&x| f64::from(x) - mean).collect();
        let before = |t: usize| centred[t.saturating_sub(1)];
        let mut spectrum: Vec<(f64, f64)> =
            (0..samples.len()).map(|t| ((centred[t] - PREEMPHASIS * before(t)) * self.window[t], 0.0)).collect();
        spectrum.resize(2 * self.twiddles.len(), (0.0, 0.0));
        transform(&mut spectrum, &self.twiddles);
        let power = |&(re, im): &(f64, f64)| re * re + im * im;
        let energy = |(first, weights): &(usize, Vec<f64>)| {
            weights.iter().zip(&spectrum[*first..]).map(|(weight, value)| weight * power(value)).sum::<f64>()
        };
        self.bins.iter().map(|bin| energy(bin).max(EPSILON).ln() as f32).collect()
    }
}

fn mel(frequency: f64) -> f64 {
    1127.0 * (1.0 + frequency / 700.0).ln()
}

fn bins(padded: usize) -> Vec<(usize, Vec<f64>)> {
    let (low, high) = (mel(LOW), mel(RATE as f64 / 2.0));
    let step = (high - low) / (BINS + 1) as f64;
    let places: Vec<f64> = (0..padded / 2).map(|k| mel(k as f64 * RATE as f64 / padded as f64)).collect();
    let bin = |b: usize| {
        let left = low + b as f64 * step;
        let weight = |m: &f64| ((m - left) / step).min((left + 2.0 * step - m) / step);
        let first = places.iter().position(|m| weight(m) > 0.0).unwrap_or(0);
        (first, places[first..].iter().map(weight).take_while(|&weight| weight > 0.0).collect())
    };
    (0..BINS).map(bin).collect()
}

/// Fourier transform in place, radix 2, of a power of two.
fn transform(values: &mut [(f64, f64)], twiddles: &[(f64, f64)]) {
    let n = values.len();
    let bits = n.trailing_zeros();
    for i in 0..n {
        let j = i.reverse_bits() >> (usize::BITS - bits);
        if i < j {
            values.swap(i, j);
        }
    }
    let mut half = 1;
    while half < n {
        for block in values.chunks_exact_mut(2 * half) {
            let (low, high) = block.split_at_mut(half);
            for (k, (a, b)) in low.iter_mut().zip(high).enumerate() {
                let (c, s) = twiddles[k * (n / 2 / half)];
                let (re, im) = (b.0 * c - b.1 * s, b.0 * s + b.1 * c);
                *b = (a.0 - re, a.1 - im);
                *a = (a.0 + re, a.1 + im);
            }
        }
        half *= 2;
    }
}

/// Changes the rate of a signal to 16 kHz as torchaudio's `resample` does: a sinc of 6 zero crossings at 0.99 of the lower
/// Nyquist frequency under a Hann window.
///
/// Source: torchaudio, `functional.resample` (`sinc_interp_hann`); J. O. Smith, Digital Audio Resampling Home Page.
pub(super) fn resample(signal: &[f32], rate: usize) -> Vec<f32> {
    const CROSSINGS: f64 = 6.0;
    let divisor = gcd(rate, RATE);
    let (from, to) = (rate / divisor, RATE / divisor);
    if from == to {
        return signal.to_vec();
    }
    let base = from.min(to) as f64 * 0.99;
    let reach = CROSSINGS * from as f64 / base;
    // One kernel a place between two output samples that fall together with input samples: its first input sample and its
    // weights, beyond which the window is zero.
    let kernel = |phase: usize| {
        let centre = (phase * from) as f64 / to as f64;
        let (first, last) = ((centre - reach).ceil() as i64, (centre + reach).floor() as i64);
        let weight = |i: i64| {
            let t = ((i as f64 - centre) / from as f64 * base).clamp(-CROSSINGS, CROSSINGS);
            let window = (t * PI / CROSSINGS / 2.0).cos().powi(2);
            let sinc = if t == 0.0 { 1.0 } else { (t * PI).sin() / (t * PI) };
            sinc * window * base / from as f64
        };
        (first, (first..=last).map(weight).collect::<Vec<f64>>())
    };
    let count = (to * signal.len()).div_ceil(from);
    let kernels: Vec<(i64, Vec<f64>)> = (0..to.min(count)).map(kernel).collect();
    let one = |k: usize| {
        let (first, weights) = &kernels[k % to];
        let start = (k / to * from) as i64 + first;
        let value = |(i, weight): (i64, &f64)| {
            let at = usize::try_from(start + i).ok()?;
            signal.get(at).map(|&x| weight * f64::from(x))
        };
        (0..).zip(weights).filter_map(value).sum::<f64>() as f32
    };
    (0..count).map(one).collect()
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn recorded() -> Value {
        serde_json::from_str(include_str!("../../tests/fixtures/fbank.json")).unwrap()
    }

    /// The signal of `tests/fixtures/fbank.py`.
    fn tone(rate: usize, count: usize) -> Vec<f32> {
        let value = |i: usize| {
            let t = i as f64 / rate as f64;
            let x = 0.3 * (2.0 * PI * (200.0 + 900.0 * t) * t).sin() + 0.1 * (2.0 * PI * 3000.0 * t).sin() + 0.05;
            ((x * 32768.0).round_ties_even() / 32768.0) as f32
        };
        (0..count).map(value).collect()
    }

    fn list(value: &Value) -> Vec<f64> {
        value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
    }

    #[test]
    fn features_are_those_of_torchaudio() {
        let recorded = recorded();
        let signal = tone(16_000, 8000);
        for (length, shift) in [(25, 10), (40, 20)] {
            let wanted = &recorded[format!("{length} ms, {shift} ms")];
            let found = Fbank::new(length, shift).features(&signal);
            assert_eq!(found.len() / BINS, wanted["frames"].as_u64().unwrap() as usize);
            let mut worst = 0f64;
            for (row, values) in list(&wanted["rows"]).iter().zip(wanted["values"].as_array().unwrap()) {
                for (bin, value) in list(&wanted["bins"]).iter().zip(list(values)) {
                    worst = worst.max((f64::from(found[*row as usize * BINS + *bin as usize]) - value).abs());
                }
            }
            assert!(worst < 2e-3, "{length} ms: {worst}");
            let mean = found.iter().map(|&x| f64::from(x)).sum::<f64>() / found.len() as f64;
            assert!((mean - wanted["mean"].as_f64().unwrap()).abs() < 2e-4, "{mean}");
        }
    }

    #[test]
    fn resampling_is_that_of_torchaudio() {
        for rate in [44_100, 48_000, 8_000] {
            let wanted = &recorded()[format!("resample {rate}")];
            let found = resample(&tone(rate, rate / 4), rate);
            assert_eq!(found.len(), wanted["samples"].as_u64().unwrap() as usize);
            for (at, value) in list(&wanted["at"]).iter().zip(list(&wanted["values"])) {
                let found = f64::from(found[*at as usize]);
                assert!((found - value).abs() < 2e-6, "{rate}, {at}: {found} {value}");
            }
        }
        assert_eq!(resample(&[0.5, -0.5], RATE), [0.5, -0.5]);
    }

    #[test]
    fn a_rate_that_shares_no_divisor_takes_no_more_memory_than_its_signal_asks_for() {
        // A kernel for each of 16,000 places, each over all the 383,999 samples between two common ones, would be 49 GB.
        for rate in [44_101, 383_999, 1_009] {
            let found = resample(&tone(rate, 400), rate);
            assert_eq!(found.len(), (RATE * 400).div_ceil(rate));
        }
        // A tone far below both rates stays what it is, away from the ends.
        let sine = |rate: usize, i: usize| (2.0 * PI * 200.0 * i as f64 / rate as f64).sin() as f32;
        let signal: Vec<f32> = (0..9000).map(|i| sine(44_101, i)).collect();
        let found = resample(&signal, 44_101);
        assert!((100..3000).all(|k| (found[k] - sine(RATE, k)).abs() < 2e-3));
    }

    #[test]
    fn frames_are_whole() {
        let fbank = Fbank::new(25, 10);
        for (samples, frames) in [(0, 0), (399, 0), (400, 1), (559, 1), (560, 2), (16_000, 98)] {
            assert_eq!(fbank.features(&vec![0.0; samples]).len(), frames * BINS);
        }
        assert!(fbank.features(&[0.0; 400]).iter().all(|&x| (x - EPSILON.ln() as f32).abs() < 1e-6));
    }
}
