//! Scoring: logits of models on samples, several models stacked.

use super::batch::{DeviceData, gates, upload_affine};
use super::forge::{Forgery, Ink};
use super::{EvalJob, Scored};
use crate::fault::Result;
use crate::model::Model;
use ndarray::Array2;
use tch::{Device, Tensor};

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
        let inputs = self.data.inputs(&rows, gates.as_ref(), affine.as_deref(), forgery.as_ref());
        let logits = self.model.score(&weights, &inputs);
        let classes = logits.size()[2] as usize;
        let flat = Vec::<f32>::try_from(logits.to_device(Device::Cpu).contiguous().view([-1]))?;
        let scored = |(job, flat): (&EvalJob, &[f32])| {
            let logits = Array2::from_shape_fn((self.count, classes), |(i, c)| flat[i * classes + c]);
            Scored { run: job.run, place: job.place, start: self.start, logits }
        };
        Ok(self.jobs.iter().zip(flat.chunks_exact((self.count * classes).max(1))).map(scored).collect())
    }
}
