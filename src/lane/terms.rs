//! What local objectives add to the steps of a group: the terms of its jobs, stacked.

use super::Job;
use crate::model::{Input, Model};
use crate::objective::{Place, moon};
use tch::{Device, Tensor};

/// Vectors added to every step, `[L, P]`.
pub(super) struct Corrections {
    /// Those that join the gradient.
    pub gradient: Option<Tensor>,
    /// Those that join the step behind the momentum buffer.
    pub step: Option<Tensor>,
}

impl Corrections {
    /// Of jobs whose weights are `[L, P]`; a lane without a correction has a row of zeros.
    pub fn new(jobs: &[Job], weights: &Tensor) -> Self {
        let of = |place: Place| {
            let here = |job: &Job| job.terms.correction.as_ref().is_some_and(|correction| correction.place == place);
            jobs.iter().any(here).then(|| {
                let rows = weights.zeros_like();
                for (lane, job) in jobs.iter().enumerate().filter(|(_, job)| here(job)) {
                    let mut row = rows.get(lane as i64);
                    let correction = job.terms.correction.as_ref();
                    if let Some(plus) = correction.and_then(|c| c.plus.as_ref()) {
                        row += plus;
                    }
                    if let Some(minus) = correction.and_then(|c| c.minus.as_ref()) {
                        row -= minus;
                    }
                }
                rows
            })
        };
        Self { gradient: of(Place::Gradient), step: of(Place::Step) }
    }
}

/// Factors of the logits.
pub(super) struct Restrictions {
    /// `[L, 1, C]`
    scales: Tensor,
    /// 1 where logits keep their bias and it is trained, else 0, `[L, 1, 1]`; `None` when all do.
    bias: Option<Tensor>,
}

impl Restrictions {
    /// `None` when no job restricts; a job without a restriction among others has factors of 1.
    pub fn new(jobs: &[Job], device: Device) -> Option<Self> {
        let classes = jobs.iter().find_map(|job| job.terms.restriction.as_ref())?.scales.len();
        let of = |job: &Job| job.terms.restriction.as_ref().map_or(vec![1.0; classes], |r| r.scales.clone());
        let bias = |job: &Job| job.terms.restriction.as_ref().is_none_or(|r| r.bias);
        let lanes = jobs.len() as i64;
        let upload = |values: Vec<f32>| Tensor::from_slice(&values).to_device(device).view([lanes, 1, -1]);
        let kept: Vec<f32> = jobs.iter().map(|job| f32::from(u8::from(bias(job)))).collect();
        Some(Self {
            scales: upload(jobs.iter().flat_map(of).collect()),
            bias: (!jobs.iter().all(bias)).then(|| upload(kept)),
        })
    }

    fn prefix(of: &Tensor, like: &Tensor) -> Tensor {
        of.narrow(0, 0, like.size()[0])
    }

    /// The logits in training.
    pub fn logits(&self, model: &Model, weights: &Tensor, logits: &Tensor) -> Tensor {
        match &self.bias {
            None => self.scaled(logits),
            Some(bias) => self.scaled(&(logits - model.output_bias(weights) * (1.0 - Self::prefix(bias, logits)))),
        }
    }

    /// Times the factors: what the gradient of the logits goes through on its way back.
    pub fn scaled(&self, logits: &Tensor) -> Tensor {
        logits * Self::prefix(&self.scales, logits)
    }

    /// Takes the gradient of a bias that no logit has.
    pub fn still(&self, model: &Model, grads: &Tensor) {
        if let Some(bias) = &self.bias {
            let _ = model.output_bias(grads).g_mul_(&Self::prefix(bias, grads));
        }
    }

    /// Takes back the steps (of weight decay, of momentum) of such a bias.
    pub fn hold(&self, model: &Model, weights: &Tensor, global: &Tensor) {
        if let Some(bias) = &self.bias {
            let (here, start) = (model.output_bias(weights), model.output_bias(global));
            model.output_bias(weights).copy_(&start.lerp_tensor(&here, &Self::prefix(bias, weights)));
        }
    }
}

/// Contrasts with two other models.
pub(super) struct Contrasts {
    /// Weights of the models to get away from, `[L, P]`; a lane without one has those that it starts from.
    previous: Tensor,
    /// μ, 0 for a lane without a contrast, and τ, `[L, 1]`.
    mu: Tensor,
    tau: Tensor,
}

impl Contrasts {
    /// `None` when no job has one.
    pub fn new(jobs: &[Job], device: Device) -> Option<Self> {
        jobs.iter().find(|job| job.terms.contrast.is_some())?;
        let column = |part: &dyn Fn(&Job) -> f64| {
            let values: Vec<f32> = jobs.iter().map(|job| part(job) as f32).collect();
            Tensor::from_slice(&values).to_device(device).unsqueeze(1)
        };
        let previous: Vec<&Tensor> =
            jobs.iter().map(|job| job.terms.contrast.as_ref().map_or(&job.weights, |c| &c.previous)).collect();
        Some(Self {
            previous: Tensor::stack(&previous, 0),
            mu: column(&|job| job.terms.contrast.as_ref().map_or(0.0, |contrast| contrast.mu)),
            tau: column(&|job| job.terms.contrast.as_ref().map_or(1.0, |contrast| contrast.tau)),
        })
    }

    /// The gradient of the head's hidden layer `z [L, B, H]`; `weight [L, B]` is that of the loss.
    pub fn gradient(&self, model: &Model, inputs: &[Input], z: &Tensor, global: &Tensor, weight: &Tensor) -> Tensor {
        let prefix = |tensor: &Tensor| tensor.narrow(0, 0, z.size()[0]);
        let represent = |weights: &Tensor| model.forward(weights, inputs, None).1.hidden().shallow_clone();
        let (global, previous) = (represent(global), represent(&prefix(&self.previous)));
        moon::gradient(z, &global, &previous, &(weight * prefix(&self.mu)), &prefix(&self.tau))
    }
}
