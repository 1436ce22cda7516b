//! What a run has scored after a round, and what becomes of the logits.

use super::score::Tally;
use super::world::EvalSet;
use super::{PICTURED, Run};
use crate::fault::{Error, Result};
use crate::lane::{EvalJob, Scored};
use crate::record::{RoundRow, Scores, Stop};
use crate::strategy::Shape;
use tch::Tensor;

impl Run {
    /// What is to be scored after the round just absorbed; empty when the round is not evaluated.
    pub fn evaluations(&self) -> Vec<EvalJob> {
        if !self.is_due() {
            return Vec::new();
        }
        let models: Vec<&Tensor> = match self.shape {
            Shape::LocalOnly => (0..self.world.size())
                .filter(|&client| !self.world.usable[client].is_empty())
                .map(|client| self.own.get(&client).unwrap_or(&self.weights))
                .collect(),
            _ => self.predicting(),
        };
        let jobs = |weights: &Tensor| {
            let job = |(place, set): (usize, &EvalSet)| EvalJob {
                run: self.spec.index,
                place,
                weights: weights.shallow_clone(),
                rows: set.rows.clone(),
                present: set.present.clone(),
                affine: self.world.affine.clone(),
                paint: None,
            };
            self.sets().into_iter().map(job).collect::<Vec<_>>()
        };
        models.into_iter().flat_map(jobs).chain(self.triggered()).collect()
    }

    /// Whether the round just absorbed is evaluated.
    pub(super) fn is_due(&self) -> bool {
        let due = self.round.is_multiple_of(self.spec.every) || self.stop == Some(Stop::Finished);
        due && !self.stop.as_ref().is_some_and(Stop::diverged)
    }

    /// The models that predict together: the global one, or the voters.
    pub(super) fn predicting(&self) -> Vec<&Tensor> {
        if self.voters.is_empty() { vec![&self.weights] } else { self.voters.iter().collect() }
    }

    /// What is scored, by place: the test samples, then the development samples where there are any.
    fn sets(&self) -> Vec<(usize, &EvalSet)> {
        std::iter::once(&self.world.test).chain(&self.world.dev).enumerate().collect()
    }

    /// Ends the round with the logits of its evaluations (none when there were none), and gives its row.
    ///
    /// # Errors
    /// Called before a round was absorbed.
    pub fn record(&mut self, scored: &[Scored], seconds: f64) -> Result<RoundRow> {
        let Some(mut row) = self.row.take() else {
            return Err(Error::Failed("a round was recorded before it was trained".into()));
        };
        let counted = self.counted(scored);
        let scored = counted.as_deref().unwrap_or(scored);
        self.voters.clear();
        if !scored.is_empty() {
            let tallies: Vec<Tally> =
                self.sets().into_iter().map(|(place, set)| self.tally(place, set, scored)).collect();
            let scores: Vec<Scores> = tallies.iter().map(|tally| tally.scores(self.spec.metric)).collect();
            row.test = scores.first().copied();
            row.dev = scores.get(1).copied();
            row.attack_success = self.attack_success(scored);
            let names = &self.world.natural_names;
            self.client_scores = tallies[0].by_client(names, &self.world.lacks_at_test());
            if let Some(dev) = tallies.get(1).filter(|_| self.stop.is_some() && self.world.size() <= PICTURED) {
                self.dev_client_scores = dev.by_client(names, &self.world.lacks_in_training());
            }
        }
        row.seconds = seconds;
        Ok(row)
    }
}
