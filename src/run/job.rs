//! One local training as a job for the engine.

use super::Run;
use crate::corrupt::Samples;
use crate::lane::{Hyper, Job};
use crate::objective::Terms;
use rand::seq::SliceRandom;
use std::sync::Arc;
use tch::Tensor;

impl Run {
    /// The cohort's samples as one client.
    pub(super) fn pooled_job(&self, able: &[usize]) -> Option<Job> {
        let mut pool = Samples::default();
        for &client in able {
            let samples = &self.members[&client].usable;
            pool.rows.extend(&samples.rows);
            pool.labels.extend(&samples.labels);
            pool.present.extend(&samples.present);
        }
        (!pool.is_empty()).then(|| self.job(0, u64::MAX, Arc::new(pool), &self.weights))
    }

    /// Training of `client`, whose number names its draws, from `weights`.
    pub(super) fn job(&self, place: usize, client: u64, samples: Arc<Samples>, weights: &Tensor) -> Job {
        let sgd = self.sgd();
        let stream = |purpose: &str| self.stream.named(purpose).at(client).at(self.round as u64);
        let epoch = |epoch: usize| {
            let mut order: Vec<u32> = (0..samples.len() as u32).collect();
            order.shuffle(&mut stream("order").at(epoch as u64).rng());
            order
        };
        Job {
            run: self.spec.index,
            place,
            weights: weights.shallow_clone(),
            order: (0..self.spec.train.epochs).map(epoch).collect(),
            affine: self.world.affine.clone(),
            dropout: stream("dropout"),
            hyper: Hyper {
                lr: sgd.lr,
                momentum: sgd.momentum,
                weight_decay: sgd.weight_decay,
                clip: sgd.clip,
                mu: self.local.mu,
                batch: self.spec.train.batch,
            },
            samples,
            terms: Terms::default(),
        }
    }
}
