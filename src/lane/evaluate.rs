//! Scoring: logits of models on samples, several models stacked.

use super::batch::{DeviceData, gates, upload_affine};
use super::forge::{Forgery, Ink};
use super::{EvalJob, Scored};
use crate::corrupt::Present;
use crate::fault::Result;
use crate::model::{Longest, Model, Packed};
use ndarray::Array2;
use std::sync::OnceLock;
use tch::{Device, Tensor};

/// Samples of a batch in FedMultimodal's scoring: where a batch is padded to its longest sample, what that is.
const BATCH: usize = 64;

/// Models that are scored together on `count` samples each, from sample `start` on.
#[derive(Debug)]
pub struct Group<'a> {
    /// The architecture.
    pub model: &'a Model,
    /// The data.
    pub data: &'a DeviceData,
    /// The evaluations; each has at least `start + count` samples.
    pub jobs: &'a [EvalJob],
    /// First sample.
    pub start: usize,
    /// Samples.
    pub count: usize,
    /// The weights of the model, packed by the first group that needs them, where there is one model and it is on a CPU.
    pub packed: Option<&'a OnceLock<Packed>>,
}

impl Group<'_> {
    /// Scores all models.
    ///
    /// # Errors
    /// None of its own; the signature is that of a task.
    pub fn evaluate(&self) -> Result<Vec<Scored>> {
        let _guard = tch::no_grad_guard();
        let device = self.data.device();
        let range = self.start..self.start + self.count;
        let shape = [self.jobs.len() as i64, self.count as i64];
        let rows: Vec<i64> =
            self.jobs.iter().flat_map(|job| &job.rows[range.clone()]).map(|&row| i64::from(row)).collect();
        let rows = Tensor::from_slice(&rows).to_device(device).view(shape);
        let all = vec![u32::MAX; self.count];
        let present = |job: &EvalJob| job.present.as_ref().map_or(all.clone(), |p| p[range.clone()].to_vec());
        let present: Vec<u32> = self.jobs.iter().flat_map(present).collect();
        let gates = gates(&present, self.data.modalities(), &shape, device);
        let affine: Vec<_> = self.jobs.iter().map(|job| job.affine.as_deref().map(Vec::as_slice)).collect();
        let affine = upload_affine(&affine, device);
        let weights = match self.jobs {
            [job] => job.weights.unsqueeze(0),
            jobs => Tensor::stack(&jobs.iter().map(|job| &job.weights).collect::<Vec<_>>(), 0),
        };
        let paint: Vec<_> = self.jobs.iter().map(|job| job.paint.as_deref().map_or(&[][..], Vec::as_slice)).collect();
        let forgery = Ink::new(&paint, self.data.modalities(), device).map(|ink| {
            let painted: Vec<f32> = paint.iter().flat_map(|p| vec![f32::from(!p.is_empty()); self.count]).collect();
            let painted = Tensor::from_slice(&painted).to_device(device).view(shape);
            Forgery { donors: None, painted: Some((painted, ink)) }
        });
        let mut inputs = self.data.inputs(&rows, gates.as_ref(), affine.as_deref(), forgery.as_ref());
        if self.model.pads_by_batch() {
            for (input, longest) in inputs.iter_mut().zip(self.longest(device)) {
                input.longest = longest;
            }
        }
        let packed = self.packed.map(|packed| packed.get_or_init(|| self.model.packed(&weights, false)));
        let logits = self.model.score(&weights, &inputs, packed);
        let classes = logits.size()[2] as usize;
        let flat = Vec::<f32>::try_from(logits.to_device(Device::Cpu).contiguous().view([-1]))?;
        let scored = |(job, flat): (&EvalJob, &[f32])| {
            let logits = Array2::from_shape_fn((self.count, classes), |(i, c)| flat[i * classes + c]);
            Scored { run: job.run, place: job.place, start: self.start, logits }
        };
        Ok(self.jobs.iter().zip(flat.chunks_exact((self.count * classes).max(1))).map(scored).collect())
    }

    /// Steps of the longest sample of each sample's batch, by modality, `[L, count]`: batches of an evaluation in order, whole
    /// whatever piece of it this is.
    fn longest(&self, device: Device) -> Vec<Option<Longest>> {
        let first = self.start / BATCH * BATCH;
        let last = (self.start + self.count).next_multiple_of(BATCH);
        let shape = [self.jobs.len() as i64, ((last - first) / BATCH) as i64, BATCH as i64];
        let cells = || self.jobs.iter().flat_map(|job| (first..last).map(move |i| (job, i)));
        let row = |(job, i): (&EvalJob, usize)| job.rows.get(i).map_or(0, |&row| i64::from(row));
        let real = |(job, i): (&EvalJob, usize)| f32::from(i < job.rows.len());
        let present = |(job, i): (&EvalJob, usize)| job.present.as_ref().and_then(|p| p.get(i).copied());
        let upload = |tensor: Tensor| tensor.to_device(device).view(shape);
        let rows = upload(Tensor::from_slice(&cells().map(row).collect::<Vec<_>>()));
        let real = upload(Tensor::from_slice(&cells().map(real).collect::<Vec<_>>()));
        let present: Vec<Present> = cells().map(|cell| present(cell).unwrap_or(Present::MAX)).collect();
        let gates = gates(&present, self.data.modalities(), &shape, device);
        let of_each = |longest: &Tensor| {
            let of_each = longest.expand(shape, false).reshape([shape[0], -1]);
            of_each.narrow(1, (self.start - first) as i64, self.count as i64)
        };
        let longest = self.data.longest(&rows, &real, gates.as_ref(), None);
        longest.into_iter().map(|longest| longest.map(|longest| longest.map(of_each))).collect()
    }
}
