//! What a run has spent of its clients' privacy.

use super::Run;
use crate::aggregate::privacy::{Spending, epsilon, epsilon_fixed};

impl Run {
    /// ε that the rounds up to this one have spent, drawn as coins and as a cohort of fixed size.
    pub(super) fn spent(&self) -> (Option<f64>, Option<f64>) {
        let Some(Spending { noise, delta }) = self.spending else { return (None, None) };
        let clients = self.world.size();
        let rate = self.spec.train.cohort.size(clients) as f64 / clients.max(1) as f64;
        let rounds = self.round as u64 + 1;
        (Some(epsilon(rate, noise, rounds, delta)), Some(epsilon_fixed(rate, noise, rounds, delta)))
    }
}
