//! What byzantine clients do to a run: what they train on, what they send, how a backdoor is scored.

use super::foe::{Foe, Known};
use super::{Run, score};
use crate::aggregate::{Senders, Updates};
use crate::attack::Defence;
use crate::corrupt::{Present, Samples};
use crate::fault::Result;
use crate::lane::{EvalJob, Scored, Trained};
use std::sync::Arc;
use tch::Tensor;

/// Place of the triggered test samples among a run's evaluations, after test and development samples.
const TRIGGERED: usize = 2;

impl Run {
    /// What a client trains on.
    pub(super) fn samples(&self, client: usize) -> Arc<Samples> {
        let samples = &self.members[&client].usable;
        let foe = self.foe.as_ref().filter(|_| self.is_byzantine(client));
        foe.and_then(|foe| foe.poisoned(client, samples, &self.world)).unwrap_or_else(|| samples.clone())
    }

    pub(super) fn is_byzantine(&self, client: usize) -> bool {
        self.byzantine.get(client).copied().unwrap_or(false)
    }

    /// The modalities that each of these clients has in any sample it trains on, where the strategy asks; one that forges its
    /// update says that it has all.
    pub(super) fn owned(&self, clients: &[u64]) -> Option<Vec<Present>> {
        let forges = self.foe.as_ref().is_some_and(Foe::forges);
        let owned = |&client: &u64| match self.is_byzantine(client as usize) && forges {
            true => Present::MAX,
            false => self.samples(client as usize).present.iter().fold(0, |all, present| all | present),
        };
        self.spec.strategy.per_block().then(|| clients.iter().map(owned).collect())
    }

    /// Puts what byzantine clients send in place of their honest rows; `back` is what a row is multiplied by to become a change
    /// of the weights. Those who imagine the defence are given the server's own update: the worst case.
    pub(super) fn forge(
        &mut self,
        rows: &mut [Tensor],
        trained: &[Trained],
        able: &[usize],
        back: f64,
        server: Option<&Tensor>,
    ) -> Result<()> {
        if self.foe.is_none() {
            return Ok(());
        }
        let client = |&i: &usize| able[trained[i].place];
        let mut order: Vec<usize> = (0..rows.len()).collect();
        order.sort_by_key(client);
        let (bad, good): (Vec<usize>, Vec<usize>) = order.into_iter().partition(|i| self.is_byzantine(client(i)));
        let _guard = tch::no_grad_guard();
        let stack = |of: &[usize]| match of {
            [] => self.weights.f_zeros_like()?.f_unsqueeze(0)?.f_narrow(0, 0, 0),
            of => Tensor::f_stack(&of.iter().map(|&i| &rows[i]).collect::<Vec<_>>(), 0),
        };
        let (honest, own) = (stack(&good)?, stack(&bad)?);
        let samples: Vec<f64> = good.iter().chain(&bad).map(|&i| trained[i].samples as f64).collect();
        let clients: Vec<u64> = good.iter().chain(&bad).map(|&i| able[trained[i].place] as u64).collect();
        let previous = self.moved.as_ref().map(|moved| moved.f_div_scalar(back)).transpose()?;
        let (round, previous) = (self.round, previous.as_ref());
        let known = Known { round, honest: &honest, clients: &clients, own: &own, defence: None, previous };
        if let Some(foe) = &mut self.foe {
            foe.learn(known)?;
        }
        let Some(foe) = self.foe.as_ref().filter(|_| !bad.is_empty()) else { return Ok(()) };
        let aggregate = |rows: &Tensor| self.imagine(foe, rows, &samples, (&clients, server));
        let sees_only_distances = self.spec.strategy.parts().sees_only_distances();
        let defence = Some(Defence { aggregate: &aggregate, sees_only_distances });
        let forged = foe.forge(Known { defence, ..known })?;
        for (row, &i) in bad.iter().enumerate() {
            rows[i] = forged.f_get(row as i64)?;
        }
        Ok(())
    }

    /// What pre-aggregators and rule would make of these rows, on a copy: their state stays as it is.
    fn imagine(
        &self,
        foe: &Foe,
        rows: &Tensor,
        samples: &[f64],
        (clients, server): (&[u64], Option<&Tensor>),
    ) -> Result<Tensor> {
        let mut copy = self.spec.strategy.parts().build(self.sgd().lr, &self.blocks);
        copy.restore(&self.pipeline.state());
        // Not the weights' number of columns where the search runs in the span of the rows.
        let updates = Updates { rows: rows.f_to_kind(self.weights.kind())?, samples: samples.to_vec() };
        let zero = Tensor::f_zeros([rows.size()[1]], (self.weights.kind(), rows.device()))?;
        let owned = self.owned(clients);
        let senders = Senders { clients: Some(clients), owned: owned.as_deref(), server };
        let made = copy.aggregate(updates, &senders, &foe.imagined(self.round))?;
        copy.whole(&zero, &made.parts, |_| 1.0)
    }

    /// The test samples with the trigger of a backdoor, where there is one, for each model that predicts.
    pub(super) fn triggered(&self) -> Vec<EvalJob> {
        self.predicting().into_iter().filter_map(|weights| self.triggered_for(weights)).collect()
    }

    fn triggered_for(&self, weights: &tch::Tensor) -> Option<EvalJob> {
        let trigger = self.foe.as_ref()?.trigger.as_ref().filter(|trigger| !trigger.rows.is_empty())?;
        let present = self.world.test.present.as_ref();
        Some(EvalJob {
            run: self.spec.index,
            place: TRIGGERED,
            weights: weights.shallow_clone(),
            rows: trigger.rows.clone(),
            present: present.map(|present| Arc::new(trigger.places.iter().map(|&i| present[i]).collect())),
            affine: self.world.affine.clone(),
            paint: Some(trigger.paint.clone()),
        })
    }

    /// The share of triggered samples that are taken for the backdoor's target.
    pub(super) fn attack_success(&self, scored: &[Scored]) -> Option<f64> {
        let target = self.foe.as_ref()?.trigger.as_ref()?.target;
        let pieces = || scored.iter().filter(|piece| piece.place == TRIGGERED);
        let of: usize = pieces().map(|piece| piece.logits.nrows()).sum();
        let hit: usize = pieces().map(|piece| score::taken_for(&piece.logits, target)).sum();
        (of > 0).then(|| hit as f64 / of as f64)
    }
}
