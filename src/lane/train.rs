//! The local training of one group of lanes.

use super::batch::{DeviceAffine, DeviceData, gates, upload_affine};
use super::forge::{Filled, Forgery};
use super::pool::BitPool;
use super::terms::{Contrasts, Corrections, Restrictions};
use super::{Job, Trained};
use crate::corrupt::Present;
use crate::fault::Result;
use crate::model::{Longest, Model, layer::loss};
use tch::{Device, Kind, Tensor};

/// Lanes that train together: their jobs, longest first, and handles on what they share.
#[derive(Debug)]
pub struct Group<'a> {
    /// The architecture.
    pub model: &'a Model,
    /// The data.
    pub data: &'a DeviceData,
    /// Dropout's bits.
    pub pool: &'a BitPool,
    /// The jobs, by falling number of steps; all of one batch size.
    pub jobs: &'a [Job],
}

/// Everything that the steps of a group read, on the device: `[L, S, B]` for S steps of B samples.
struct Schedule {
    /// The data set of the run, or what the clients bring with them.
    data: DeviceData,
    rows: Tensor,
    labels: Option<Tensor>,
    gates: Option<Tensor>,
    /// 1/(real samples of the batch), 0 for padding.
    weight: Tensor,
    affine: Option<Vec<DeviceAffine>>,
    /// Where dropout's windows begin, `[S, L]`; `None` without dropout.
    dropout: Option<Tensor>,
    /// What attackers forged.
    forgery: Option<Forgery>,
    /// Steps of the longest sample of each batch, by modality, `[L, S, 1]`, where batches are padded to it.
    longest: Option<Vec<Option<Longest>>>,
    restrictions: Option<Restrictions>,
    contrasts: Option<Contrasts>,
    /// Local steps of each lane, falling.
    steps: Vec<usize>,
    /// Samples of the largest batch of each step: what lies beyond is padding in all lanes.
    real: Vec<i64>,
}

impl Group<'_> {
    /// Trains all lanes.
    ///
    /// # Errors
    /// Too little memory on the device.
    pub fn train(&self) -> Result<Vec<Trained>> {
        let _guard = tch::no_grad_guard();
        let device = self.data.device();
        let schedule = self.schedule(device)?;
        let starts: Vec<&Tensor> = self.jobs.iter().map(|job| &job.weights).collect();
        let global = Tensor::stack(&starts, 0);
        let weights = global.copy();
        let optimizer = Optimizer::new(self.jobs, &weights);
        let grads = weights.empty_like();
        let [lanes, longest] = [self.jobs.len(), schedule.steps.first().copied().unwrap_or(0)];
        let sums = Tensor::zeros([2, lanes as i64], (Kind::Double, device));
        for step in 0..longest {
            let active = schedule.steps.iter().take_while(|&&steps| steps > step).count() as i64;
            let prefix = |tensor: &Tensor| tensor.narrow(0, 0, active);
            let (weights, grads) = (prefix(&weights), prefix(&grads));
            let losses = self.step(&schedule, step, [&weights, &prefix(&global)], &grads);
            let _ = sums.narrow(1, 0, active).g_add_(&losses);
            optimizer.step(active, &weights, &grads, &global);
            if let Some(restrictions) = &schedule.restrictions {
                restrictions.hold(self.model, &weights, &prefix(&global));
            }
        }
        let delta = weights - global;
        self.model.keep_dead(&delta);
        let sums = Vec::<f64>::try_from(sums.to_device(Device::Cpu).view([-1]))?;
        let trained = |(l, job): (usize, &Job)| {
            let samples: usize = job.order.iter().map(Vec::len).sum();
            let steps = job.steps();
            let [loss, loss_batch_mean] = [sums[l] / samples as f64, sums[lanes + l] / steps as f64];
            Trained {
                run: job.run,
                place: job.place,
                delta: delta.get(l as i64),
                samples,
                steps,
                loss,
                loss_batch_mean,
            }
        };
        Ok(self.jobs.iter().enumerate().map(trained).collect())
    }

    /// One forward and backward of the active lanes; gives the sum of the sample losses and the batch mean, `[2, active]`.
    /// `weights` are those of the lanes and those that they started from.
    fn step(&self, schedule: &Schedule, step: usize, [weights, global]: [&Tensor; 2], grads: &Tensor) -> Tensor {
        let (active, real) = (weights.size()[0], schedule.real[step]);
        let lanes_at = |tensor: &Tensor| tensor.narrow(0, 0, active).select(1, step as i64);
        let at = |tensor: &Tensor| lanes_at(tensor).narrow(1, 0, real);
        let rows = at(&schedule.rows);
        let gates = schedule.gates.as_ref();
        let gates = gates.map(|g| g.narrow(1, 0, active).select(2, step as i64).narrow(2, 0, real));
        let forgery = schedule.forgery.as_ref().map(|forgery| forgery.at(active, step as i64, real));
        let mut inputs = schedule.data.inputs(&rows, gates.as_ref(), schedule.affine.as_deref(), forgery.as_ref());
        for (input, longest) in inputs.iter_mut().zip(schedule.longest.iter().flatten()) {
            input.longest = longest.as_ref().map(|longest| longest.map(lanes_at));
        }
        let starts = |starts: &Tensor| starts.get(step as i64).narrow(0, 0, active);
        let batch = schedule.rows.size()[2];
        let masks = schedule.dropout.as_ref().map(|all| self.pool.masks(starts(all), batch));
        let (logits, saved) = self.model.forward(weights, &inputs, masks.as_ref());
        let weight = at(&schedule.weight);
        let restrictions = schedule.restrictions.as_ref();
        let logits = restrictions.map_or_else(|| logits.shallow_clone(), |r| r.logits(self.model, weights, &logits));
        let ghidden = schedule
            .contrasts
            .as_ref()
            .map(|contrasts| contrasts.gradient(self.model, &inputs, saved.hidden(), global, &weight));
        let (loss, glogits) = match &schedule.labels {
            Some(labels) => loss::cross_entropy(&logits, &at(labels), &weight),
            None => loss::binary_cross_entropy(&logits, &schedule.data.labels(&rows), &weight),
        };
        let glogits = restrictions.map_or_else(|| glogits.shallow_clone(), |r| r.scaled(&glogits));
        self.model.backward_with(weights, saved, &glogits, ghidden.as_ref(), grads);
        if let Some(restrictions) = restrictions {
            restrictions.still(self.model, grads);
        }
        let sum = (&loss * weight.gt(0.0)).sum_dim_intlist([1].as_slice(), false, Kind::Double);
        let mean = (loss * weight).sum_dim_intlist([1].as_slice(), false, Kind::Double);
        Tensor::stack(&[sum, mean], 0)
    }

    /// Lays out every batch of every lane, padded to the longest lane and to full batches; a lane's rows begin where its data
    /// does.
    fn schedule(&self, device: Device) -> Result<Schedule> {
        let brought: Vec<_> = self.jobs.iter().map(|job| job.samples.own.as_deref()).collect();
        let (data, first) = match DeviceData::brought(&brought, device)? {
            Some(brought) => brought,
            None => (self.data.share(), vec![0; self.jobs.len()]),
        };
        let batch = self.jobs.first().map_or(1, |job| job.hyper.batch);
        let steps: Vec<usize> = self.jobs.iter().map(Job::steps).collect();
        let longest = steps.first().copied().unwrap_or(0);
        let shape = [self.jobs.len() as i64, longest as i64, batch as i64];
        let size = self.jobs.len() * longest * batch;
        let (mut rows, mut labels, mut weight) = (vec![0i64; size], vec![0i64; size], vec![0f32; size]);
        let mut present = vec![Present::MAX; size];
        let mut filled = Vec::new();
        let mut real = vec![0; longest];
        for (lane, job) in self.jobs.iter().enumerate() {
            let mut cells = Vec::new();
            let batches = job.order.iter().flat_map(|epoch| epoch.chunks(batch));
            for (step, positions) in batches.enumerate() {
                let start = (lane * longest + step) * batch;
                real[step] = real[step].max(positions.len() as i64);
                for (cell, &position) in (start..).zip(positions) {
                    let position = position as usize;
                    rows[cell] = first[lane] + i64::from(job.samples.rows[position]);
                    labels[cell] = job.samples.labels.get(position).map_or(0, |&label| i64::from(label));
                    present[cell] = job.samples.present[position];
                    weight[cell] = 1.0 / positions.len() as f32;
                    if job.samples.forged.is_some() {
                        cells.push((cell, position));
                    }
                }
            }
            filled.push(Filled { samples: &job.samples, cells, first: first[lane] });
        }
        let forgery = Forgery::new(&filled, &rows, self.data.modalities(), device);
        let upload = |values: &[i64]| Tensor::from_slice(values).to_device(device).view(shape);
        let forgery = forgery.map(|forgery| forgery.view(self.data.modalities(), shape));
        let affine: Vec<_> = self.jobs.iter().map(|job| job.affine.as_deref().map(Vec::as_slice)).collect();
        let (rows, weight) = (upload(&rows), Tensor::from_slice(&weight).to_device(device).view(shape));
        let gates = gates(&present, self.data.modalities(), &shape, device);
        let found = || data.longest(&rows, &weight, gates.as_ref(), forgery.as_ref());
        Ok(Schedule {
            longest: self.model.pads_by_batch().then(found),
            labels: (!self.data.multilabel()).then(|| upload(&labels)),
            affine: upload_affine(&affine, device),
            dropout: self.windows(longest, batch as i64).map(|starts| starts.to_device(device)),
            forgery,
            restrictions: Restrictions::new(self.jobs, device),
            contrasts: Contrasts::new(self.jobs, device),
            steps,
            real,
            data,
            rows,
            gates,
            weight,
        })
    }
}

impl Group<'_> {
    /// Where dropout's windows begin, `[S, L]`, in steps of `batch` samples; all at once, so that a step uploads nothing.
    fn windows(&self, steps: usize, batch: i64) -> Option<Tensor> {
        let units = self.model.dropout_units(batch);
        if units == 0 {
            return None;
        }
        let streams = (0..steps).flat_map(|step| self.jobs.iter().map(move |job| job.dropout.at(step as u64)));
        Some(Tensor::from_slice(&self.pool.starts(streams, units)).view([steps as i64, -1]))
    }
}

/// Numbers of each row set that the optimiser works on at once on the CPU: a few of these fit into a core's cache.
const BLOCK: i64 = 1 << 16;

/// SGD on flat rows `[L, P]`: `g ← g · min(1, clip/‖g‖)`, `v ← m v + g + λ w + μ (w − w₀) + c`, `w ← w − η (v + c')` with
/// the corrections c and c' of the local objective, 0 for most.
struct Optimizer {
    velocity: Tensor,
    lr: Tensor,
    momentum: Tensor,
    weight_decay: Option<Tensor>,
    clip: Option<Tensor>,
    mu: Option<Tensor>,
    corrections: Corrections,
}

impl Optimizer {
    fn new(jobs: &[Job], weights: &Tensor) -> Self {
        let column = |part: &dyn Fn(&Job) -> f64| {
            let values: Vec<f32> = jobs.iter().map(|job| part(job) as f32).collect();
            Tensor::from_slice(&values).to_device(weights.device()).unsqueeze(1)
        };
        let any = |wanted: &dyn Fn(&Job) -> bool| jobs.iter().any(wanted);
        Self {
            velocity: weights.zeros_like(),
            lr: column(&|job| -job.hyper.lr),
            momentum: column(&|job| job.hyper.momentum),
            weight_decay: any(&|job| job.hyper.weight_decay > 0.0).then(|| column(&|job| job.hyper.weight_decay)),
            clip: any(&|job| job.hyper.clip.is_finite()).then(|| column(&|job| job.hyper.clip)),
            mu: any(&|job| job.hyper.mu > 0.0).then(|| column(&|job| job.hyper.mu)),
            corrections: Corrections::new(jobs, weights),
        }
    }

    /// One step of the first `active` lanes, in place. On the CPU block by block, so that a block stays in cache for all
    /// that is done to it.
    fn step(&self, active: i64, weights: &Tensor, grads: &Tensor, global: &Tensor) {
        let prefix = |tensor: &Tensor| tensor.narrow(0, 0, active);
        let shrink = self.clip.as_ref().map(|clip| {
            let norm = grads.norm_scalaropt_dim(2.0, [1].as_slice(), true);
            (prefix(clip) / (norm + 1e-6)).clamp_max(1.0)
        });
        let total = weights.size()[1];
        let block = if weights.device() == Device::Cpu { (BLOCK / active).max(1) } else { total };
        for start in (0..total).step_by(block as usize) {
            let part = |tensor: &Tensor| tensor.narrow(0, 0, active).narrow(1, start, block.min(total - start));
            let (mut weights, grads, mut velocity) = (part(weights), part(grads), part(&self.velocity));
            velocity *= prefix(&self.momentum);
            let _ = match &shrink {
                Some(shrink) => velocity.addcmul_(&grads, shrink),
                None => velocity.g_add_(&grads),
            };
            if let Some(decay) = &self.weight_decay {
                let _ = velocity.addcmul_(&weights, &prefix(decay));
            }
            if let Some(mu) = &self.mu {
                let _ = velocity.addcmul_(&(&weights - part(global)), &prefix(mu));
            }
            if let Some(gradient) = &self.corrections.gradient {
                velocity += part(gradient);
            }
            let _ = weights.addcmul_(&velocity, &prefix(&self.lr));
            if let Some(step) = &self.corrections.step {
                let _ = weights.addcmul_(&part(step), &prefix(&self.lr));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corrupt::Samples;
    use crate::lane::Hyper;
    use crate::objective::{Correction, Place, Terms};
    use crate::seed::Stream;
    use serde_json::Value;
    use std::sync::Arc;

    fn list(value: &Value) -> Vec<f32> {
        value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap() as f32).collect()
    }

    /// A client with the vector's step size, proximal weight and, for SCAFFOLD, control of the server.
    fn client(vector: &Value) -> Job {
        let start = list(&vector["start"]);
        let number = |key: &str| vector[key].as_f64().unwrap();
        let correction = vector.get("control").map(|_| Correction {
            plus: Some(Tensor::full([start.len() as i64], number("control"), (Kind::Float, Device::Cpu))),
            minus: None,
            place: Place::Step,
        });
        Job {
            run: 0,
            place: 0,
            weights: Tensor::from_slice(&start),
            samples: Arc::new(Samples::default()),
            order: Vec::new(),
            affine: None,
            dropout: Stream::root(0),
            hyper: Hyper {
                lr: number("lr"),
                momentum: 0.0,
                weight_decay: 0.0,
                clip: f64::INFINITY,
                mu: number("mu"),
                batch: 1,
            },
            terms: Terms { correction, ..Terms::default() },
        }
    }

    /// What FedJAX and pfl-research publish of FedProx and SCAFFOLD, whose losses have gradients that do not depend on the
    /// weights. (pfl keeps its controls with the opposite sign, so only the weights are compared.)
    #[test]
    fn local_steps_are_those_that_others_publish() {
        let vectors: Vec<Value> =
            serde_json::from_str(include_str!("../../tests/fixtures/local_vectors.json")).unwrap();
        for vector in &vectors {
            let job = client(vector);
            let global = job.weights.unsqueeze(0);
            let weights = global.copy();
            let optimizer = Optimizer::new(std::slice::from_ref(&job), &weights);
            for gradient in vector["gradients"].as_array().unwrap() {
                optimizer.step(1, &weights, &Tensor::from_slice(&list(gradient)).unsqueeze(0), &global);
            }
            let change = Vec::<f32>::try_from((weights - global).view([-1])).unwrap();
            let near = |(a, b): (&f32, f32)| (a - b).abs() <= 2e-6 * b.abs().max(1.0);
            assert!(change.iter().zip(list(&vector["change"])).all(near), "{vector}: {change:?}");
        }
        assert_eq!(vectors.len(), 8);
    }
}
