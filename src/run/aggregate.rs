//! From the round's local results to the new global weights.

use super::Run;
use super::foe::Foe;
use super::local::Local;
use crate::aggregate::{Aggregated, Senders, Updates};
use crate::fault::{Error, Result};
use crate::lane::Trained;
use crate::objective::{Path, effective_steps};
use crate::seed::Stream;
use tch::Tensor;

/// A round's updates on their way to the server, in cohort order.
struct Sent {
    /// Changes of the weights, normalised where the objective says so.
    deltas: Vec<Tensor>,
    /// What the rule acts on.
    rows: Vec<Tensor>,
    samples: Vec<f64>,
    clients: Vec<u64>,
    paths: Vec<Path>,
    /// How far unit gradients carry each row, η A_k.
    reaches: Vec<f64>,
    /// Their mean by samples.
    reach: f64,
}

impl Run {
    /// The server step; gives the number of rows set aside and that of blocks that stay. A round with nobody keeps the
    /// weights.
    pub(super) fn aggregate(
        &mut self,
        trained: &[Trained],
        able: &[usize],
        server: Option<&Tensor>,
    ) -> Result<(usize, usize)> {
        if trained.is_empty() {
            return Ok((0, self.pipeline.chains.len()));
        }
        let _guard = tch::no_grad_guard();
        let mut sent = self.sent(trained, able)?;
        let back = self.local.space.back(sent.reach);
        self.forge(&mut sent.rows, trained, able, back, server)?;
        let stream = self.stream.named("aggregate").at(self.round as u64);
        let updates = Updates { rows: Tensor::f_stack(&sent.rows, 0)?, samples: sent.samples.clone() };
        let owned = self.owned(&sent.clients);
        let senders = Senders { clients: Some(&sent.clients), owned: owned.as_deref(), server };
        let mut made = self.pipeline.aggregate(updates, &senders, &stream)?;
        self.aggregate_second(&sent, back, &senders, &stream)?;
        if back != 1.0 {
            for part in made.parts.iter_mut().flatten() {
                *part = part.f_mul_scalar(back)?;
            }
        }
        self.shift(&mut made)?;
        let (excluded, stayed) = (made.excluded, made.stayed());
        let weights = self.pipeline.serve(&self.weights, made.parts, &stream)?;
        if self.foe.as_ref().is_some_and(Foe::remembers) {
            self.moved = Some(weights.f_sub(&self.weights)?);
        }
        self.weights = weights;
        Ok((excluded, stayed))
    }

    /// The objective's part of the server step, on changes of the weights.
    fn shift(&mut self, made: &mut Aggregated) -> Result<()> {
        if self.local.shifts {
            let sum = self.pipeline.whole(&self.weights, &made.parts, |part| self.share(made.rows[part]))?;
            if let Some(shift) = self.local.objective.shift(&sum)? {
                self.pipeline.add(&mut made.parts, &shift)?;
            }
        }
        Ok(())
    }

    /// The part of all clients that so many are.
    fn share(&self, rows: usize) -> f64 {
        rows as f64 / self.world.size() as f64
    }

    /// What clients send when all are honest; the objective and the momenta learn of it.
    fn sent(&mut self, trained: &[Trained], able: &[usize]) -> Result<Sent> {
        let paths = trained.iter().map(|t| self.path(t.steps)).collect::<Result<Vec<Path>>>()?;
        let mut reaches: Vec<f64> = paths.iter().map(|path| path.lr * path.effective).collect();
        let samples: Vec<f64> = trained.iter().map(|t| t.samples as f64).collect();
        let weighted: f64 = reaches.iter().zip(&samples).map(|(reach, n)| reach * n).sum();
        let reach = weighted / samples.iter().sum::<f64>();
        let mut deltas = Vec::with_capacity(trained.len());
        for (t, &path) in trained.iter().zip(&paths) {
            if t.delta.f_isfinite()?.f_all()?.f_int64_value(&[])? == 1 {
                self.local.objective.learn(able[t.place], &self.weights, &t.delta, path)?;
            }
            deltas.push(t.delta.shallow_clone());
        }
        if self.local.normalises {
            for (delta, own) in deltas.iter_mut().zip(&mut reaches) {
                *delta = delta.f_mul_scalar(reach / *own)?;
                *own = reach;
            }
        }
        let clients: Vec<u64> = trained.iter().map(|t| able[t.place] as u64).collect();
        let rows = self.local.space.rows(&deltas, &reaches, &clients)?;
        Ok(Sent { deltas, rows, samples, clients, paths, reaches, reach })
    }

    /// How far unit gradients carry a client in so many steps.
    fn path(&self, steps: usize) -> Result<Path> {
        let (sgd, mu) = (self.sgd(), self.local.mu);
        let effective = effective_steps(steps, sgd.momentum, sgd.lr * mu);
        if self.local.needs_paths && !(effective > 0.0 && effective.is_finite()) {
            return Err(Error::Failed(format!(
                "{steps} local steps count as {effective} effective ones: mu = {mu} is too large for a learning rate of {}",
                sgd.lr
            )));
        }
        Ok(Path { lr: sgd.lr, steps, effective })
    }

    /// What some objectives send besides, through members of its own, in the units of the rows, so that thresholds mean the
    /// same. That of a byzantine client follows from the row it forged.
    fn aggregate_second(&mut self, sent: &Sent, back: f64, senders: &Senders, stream: &Stream) -> Result<()> {
        if self.local.second.is_none() {
            return Ok(());
        }
        let mut deltas: Vec<Tensor> = sent.deltas.iter().map(Tensor::shallow_clone).collect();
        for (i, &client) in sent.clients.iter().enumerate() {
            if self.is_byzantine(client as usize) {
                deltas[i] = sent.rows[i].f_mul_scalar(self.local.space.back(sent.reaches[i]))?;
            }
        }
        let all = self.world.size() as f64;
        let Local { objective, second: Some(pipeline), .. } = &mut self.local else { return Ok(()) };
        let Some(seconds) = objective.second(&Tensor::f_stack(&deltas, 0)?, &sent.paths)? else { return Ok(()) };
        let unit = -sent.reach / back;
        let updates = Updates { rows: seconds.f_mul_scalar(unit)?, samples: sent.samples.clone() };
        let made = pipeline.aggregate(updates, senders, stream)?;
        let sum = pipeline.whole(&self.weights, &made.parts, |part| made.rows[part] as f64 / all / unit)?;
        objective.hear(&sum)
    }
}
