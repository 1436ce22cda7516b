//! Recordings of speech as features: what `crema-d` and `meld` share.

use super::fbank::{BINS, Fbank, RATE, resample};
use super::folder::Folder;
use super::{Modality, ModalityShape};
use crate::fault::{Error, Result};
use ndarray::Array3;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::Cursor;

/// Over what every feature is brought to mean 0 and deviation 1: `(x − mean) / (std + 1e-5)`, before `normalise` of the
/// scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// As it is.
    #[default]
    None,
    /// All frames of a speaker, as FedMultimodal does.
    Speaker,
    /// The frames of an utterance.
    Utterance,
    /// A speaker's in training, an utterance's in development and test: what FedMultimodal does to MELD by mistake.
    Mixed,
}

/// Features of one recording, `[frames, 80]`.
type Frames = Vec<f32>;

/// Log-mel features of recordings, cut to `most` frames; frames of 25 ms every 10 ms.
pub(super) fn read(folder: &Folder, files: &[String], most: usize) -> Result<Vec<Frames>> {
    let fbank = Fbank::new(25, 10);
    let one = |file: &String| {
        let signal =
            signal(&folder.read(file, "a recording")?).map_err(|problem| folder.wrong(format!("{file}: {problem}")))?;
        let mut frames = fbank.features(&signal);
        frames.truncate(most * BINS);
        if frames.is_empty() {
            return Err(folder.wrong(format!("{file}: is shorter than a frame of 25 ms; drop it from the table")));
        }
        Ok(frames)
    };
    files.par_iter().map(one).collect()
}

/// The mean of a recording's channels in [−1, 1], at 16 kHz.
fn signal(bytes: &[u8]) -> std::result::Result<Vec<f32>, String> {
    let wrong = |error: hound::Error| format!("is no WAV file that can be read ({error}); convert it to 16-bit PCM");
    let mut reader = hound::WavReader::new(Cursor::new(bytes)).map_err(wrong)?;
    let spec = reader.spec();
    if !(1000..=384_000).contains(&spec.sample_rate) || spec.channels == 0 {
        return Err(format!("has {} channels at {} Hz", spec.channels, spec.sample_rate));
    }
    let samples: std::result::Result<Vec<f32>, hound::Error> = match spec.sample_format {
        hound::SampleFormat::Float => reader.samples::<f32>().collect(),
        hound::SampleFormat::Int => {
            let one = (1i64 << (spec.bits_per_sample.clamp(1, 32) - 1)) as f32;
            reader.samples::<i32>().map(|sample| sample.map(|x| x as f32 / one)).collect()
        }
    };
    let samples = samples.map_err(wrong)?;
    if samples.iter().any(|x| !x.is_finite()) {
        return Err("holds a NaN or infinity".to_string());
    }
    let channels = usize::from(spec.channels);
    let mono: Vec<f32> = samples.chunks_exact(channels).map(|all| all.iter().sum::<f32>() / channels as f32).collect();
    let rate = spec.sample_rate as usize;
    Ok(if rate == RATE { mono } else { resample(&mono, rate) })
}

/// Brings every feature of the frames of a group to mean 0 and deviation 1; `groups` names each recording's group.
pub(super) fn level(recordings: &mut [Frames], groups: &[String]) {
    let mut members: BTreeMap<&String, Vec<usize>> = BTreeMap::new();
    for (i, group) in groups.iter().enumerate() {
        members.entry(group).or_default().push(i);
    }
    for members in members.values() {
        for bin in 0..BINS {
            let values = || members.iter().flat_map(|&i| recordings[i].iter().skip(bin).step_by(BINS));
            let n = values().count().max(1) as f64;
            let mean = values().map(|&x| f64::from(x)).sum::<f64>() / n;
            let std = (values().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / n).sqrt();
            for &i in members {
                let mine = recordings[i].iter_mut().skip(bin).step_by(BINS);
                mine.for_each(|x| *x = ((f64::from(*x) - mean) / (std + 1e-5)) as f32);
            }
        }
    }
}

/// Recordings as one modality, padded with zeros to the longest.
pub(super) fn modality(recordings: &[Frames]) -> Result<Modality> {
    let lengths: Vec<u32> = recordings.iter().map(|frames| (frames.len() / BINS) as u32).collect();
    let time = lengths.iter().copied().max().unwrap_or(0) as usize;
    let mut values = Vec::with_capacity(recordings.len() * time * BINS);
    for frames in recordings {
        values.extend_from_slice(frames);
        values.resize(values.len() + time * BINS - frames.len(), 0.0);
    }
    let values = Array3::from_shape_vec((recordings.len(), time, BINS), values)
        .map_err(|error| Error::Failed(format!("audio: {error}")))?;
    let differ = lengths.iter().any(|&length| length as usize != time);
    Ok(Modality { shape: ModalityShape::sequence("audio", time, BINS), values, lengths: differ.then_some(lengths) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wav(rate: u32, channels: u16, samples: &[i16]) -> Vec<u8> {
        let spec = hound::WavSpec {
            channels,
            sample_rate: rate,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut bytes = Cursor::new(Vec::new());
        let mut writer = hound::WavWriter::new(&mut bytes, spec).unwrap();
        samples.iter().for_each(|&sample| writer.write_sample(sample).unwrap());
        writer.finalize().unwrap();
        bytes.into_inner()
    }

    #[test]
    fn channels_are_averaged_and_rates_changed() {
        assert_eq!(signal(&wav(16_000, 2, &[16384, 0, -32768, -32768])).unwrap(), [0.25, -1.0]);
        assert_eq!(signal(&wav(8_000, 1, &[0; 100])).unwrap(), [0.0; 200]);
        let said = signal(b"RIFF").unwrap_err();
        assert!(said.starts_with("is no WAV file that can be read ("), "{said}");
        assert_eq!(signal(&wav(10, 1, &[0])).unwrap_err(), "has 1 channels at 10 Hz");
        let cut = wav(16_000, 1, &[1; 50]);
        assert!(signal(&cut[..80]).is_err());
    }

    #[test]
    fn a_group_has_mean_zero_and_deviation_one() {
        let recording = |values: [f32; 2]| values.iter().flat_map(|&x| [x; BINS]).collect::<Vec<_>>();
        let mut all = [recording([1.0, 3.0]), recording([5.0, 7.0]), recording([2.0, 2.0])];
        level(&mut all, &["a", "a", "b"].map(String::from));
        let wanted = (5.0f64).sqrt() + 1e-5;
        for (found, x) in [all[0][0], all[0][BINS + 79], all[1][5]].iter().zip([-3.0, -1.0, 1.0]) {
            assert!((f64::from(*found) - x / wanted).abs() < 1e-6, "{found}");
        }
        assert_eq!(all[2][0], 0.0);
    }

    #[test]
    fn recordings_are_padded_to_the_longest() {
        let modality = modality(&[vec![1.0; BINS], vec![2.0; 3 * BINS]]).unwrap();
        assert_eq!((modality.shape.time, modality.lengths), (3, Some(vec![1, 3])));
        assert_eq!(modality.values[[0, 1, 0]], 0.0);
    }
}
