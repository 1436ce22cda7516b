//! Features of a network trained elsewhere: a modality's values through a TorchScript module.
//!
//! Its `forward(values [B, T, D])` gives `[B, T', D']`, or pooled features `[B, D']`, f32 on the CPU, in evaluation mode and
//! without autograd. Where samples differ in length each goes through by itself, cut to its length, so that no padding can
//! show in its features; otherwise 64 go together. A sample that lacks the modality goes on lacking it.

use super::{Dataset, Modality, ModalityShape, checksum};
use crate::fault::{Error, Result};
use crate::torchscript::{load, reason};
use ndarray::{Array3, s};
use std::ops::Range;
use std::path::Path;
use tch::{CModule, Device, Kind, Tensor};

/// Samples that go through together.
const BATCH: usize = 64;

/// Replaces the values of a modality by what the module in a file makes of them; on one thread, so that features do not depend
/// on the number of cores.
///
/// # Errors
/// A name that is none of the data's modalities; a file that is no TorchScript module; a module that fails, or gives anything but
/// finite features of one width, one list a sample, of a step at least.
pub fn extract(data: &mut Dataset, modality: &str, path: &Path) -> Result<()> {
    let option = format!("--through {modality}={}", path.display());
    let Some(modality) = data.modalities.iter_mut().find(|m| m.shape.name == modality) else {
        let names: Vec<&str> = data.modalities.iter().map(|m| m.shape.name.as_str()).collect();
        let text = format!("{option}: names no modality of the data; allowed: {}. Check the name.", names.join(", "));
        return Err(Error::Invalid(text));
    };
    let bytes = std::fs::read(path).map_err(|error| {
        Error::Invalid(format!("{option}: cannot read the module: {error}; give the path of a TorchScript module"))
    })?;
    tch::set_num_threads(1);
    let network = Network { module: load(path, &bytes, Device::Cpu)?, option };
    *modality = network.features(modality)?;
    data.checksum = checksum(data);
    Ok(())
}

struct Network {
    module: CModule,
    /// How the user named it.
    option: String,
}

impl Network {
    fn features(&self, modality: &Modality) -> Result<Modality> {
        let _guard = tch::no_grad_guard();
        let groups = groups(modality);
        let made = groups.iter().map(|group| self.ask(modality, group)).collect::<Result<Vec<Tensor>>>()?;
        let Some(one) = made.first() else {
            return Err(Error::Invalid(format!("{}: no sample of the data has it; leave it out", self.option)));
        };
        let (sequence, width) = (one.dim() == 3, last(one));
        let differs = |other: &Tensor| other.dim() != one.dim() || last(other) != width;
        if let Some(at) = made.iter().position(differs) {
            let text =
                format!("gave features {:?}, and {:?} at first; give all one width", made[at].size(), one.size());
            return Err(self.wrong(&groups[at].0, text));
        }
        let steps = |made: &Tensor| if sequence { made.size()[1] as usize } else { 1 };
        let time = made.iter().map(steps).max().unwrap_or(0);
        let samples = modality.values.dim().0;
        let mut values = Array3::zeros((samples, time, width));
        let mut lengths = vec![0; samples];
        for ((group, _), made) in groups.into_iter().zip(&made) {
            let shape = (group.len(), steps(made), width);
            lengths[group.clone()].fill(shape.1 as u32);
            let numbers = Vec::<f32>::try_from(made.contiguous().view([-1]))?;
            let numbers = Array3::from_shape_vec(shape, numbers);
            let numbers = numbers.map_err(|error| self.wrong(&group, error.to_string()))?;
            values.slice_mut(s![group, ..shape.1, ..]).assign(&numbers);
        }
        let name = modality.shape.name.clone();
        let shape = ModalityShape { name, time, width, sequence };
        let lengths = lengths.iter().any(|&length| length < time as u32).then_some(lengths);
        Ok(Modality { shape, values, lengths })
    }

    /// Features of the samples of a group, f32.
    fn ask(&self, modality: &Modality, (group, steps): &(Range<usize>, usize)) -> Result<Tensor> {
        let values = modality.values.slice(s![group.clone(), ..*steps, ..]);
        let (b, t, d) = values.dim();
        let flat: Vec<f32> = values.iter().copied().collect();
        let values = Tensor::f_from_slice(&flat)?.f_view([b as i64, t as i64, d as i64])?;
        let made = self.module.forward_ts(&[&values]);
        let made = made.map_err(|error| self.wrong(group, format!("failed in forward(values): {}", reason(&error))))?;
        let size = made.size();
        if !matches!(size.len(), 2 | 3) || size[0] != b as i64 || size.contains(&0) {
            let text =
                format!("gave {size:?} for values {:?}; features are [B, T, D] or [B, D], none of them 0", [b, t, d]);
            return Err(self.wrong(group, text));
        }
        let made = made.f_to_kind(Kind::Float)?;
        if made.f_isfinite()?.f_all()?.f_int64_value(&[])? != 1 {
            return Err(self.wrong(group, "gave a NaN or an infinity; features are finite numbers".to_string()));
        }
        Ok(made)
    }

    fn wrong(&self, group: &Range<usize>, what: String) -> Error {
        let samples = match group.len() {
            1 => format!("for sample {}", group.start),
            _ => format!("for samples {} to {}", group.start, group.end - 1),
        };
        Error::Invalid(format!("{}: {samples} the module {what}", self.option))
    }
}

fn last(made: &Tensor) -> usize {
    made.size().last().map_or(0, |&width| width as usize)
}

/// Samples that go through together, and their steps.
fn groups(modality: &Modality) -> Vec<(Range<usize>, usize)> {
    let (samples, time, _) = modality.values.dim();
    match &modality.lengths {
        Some(lengths) => {
            let alone = |(i, &length): (usize, &u32)| (length > 0).then_some((i..i + 1, length as usize));
            lengths.iter().enumerate().filter_map(alone).collect()
        }
        None => (0..samples).step_by(BATCH).map(|start| (start..samples.min(start + BATCH), time)).collect(),
    }
}
