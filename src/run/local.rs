//! A run's local objective, and the space in which its rules act.

use crate::aggregate::on::Space;
use crate::aggregate::{Pipeline, State};
use crate::model::Block;
use crate::objective::Objective;
use crate::strategy::Custom;

/// The objective with its memory, and what the rule acts on.
pub(super) struct Local {
    pub objective: Box<dyn Objective>,
    pub space: Space,
    /// Pre-aggregators and rule for what clients send besides their updates, where they do.
    pub second: Option<Pipeline>,
    /// μ of the lanes.
    pub mu: f64,
    /// Whether clients send their change per effective step.
    pub normalises: bool,
    /// Whether the server adds to the aggregated change.
    pub shifts: bool,
    /// Whether anything divides by effective steps.
    pub needs_paths: bool,
    /// Vectors `[P]` that a client gets and sends a round.
    pub vectors: u64,
}

const OBJECTIVE: &str = "local.";
const SPACE: &str = "momentum.";
const SECOND: &str = "second.";

impl Local {
    /// At the start of a run.
    pub fn new(parts: &Custom, lr: f64, blocks: &[Block]) -> Self {
        let vectors = parts.local.vectors();
        Self {
            objective: parts.local.build(),
            space: Space::new(parts.on.clone()),
            second: (vectors > 2).then(|| parts.build(lr, blocks)),
            mu: parts.local.mu(),
            normalises: parts.local.normalises(),
            shifts: parts.local.shifts(),
            needs_paths: parts.local.normalises() || vectors > 2 || !parts.on.is_default(),
            vectors,
        }
    }

    /// Memory of clients and server, for a checkpoint.
    pub fn state(&self) -> State {
        let second = self.second.as_ref().map(Pipeline::state).unwrap_or_default();
        let parts = [(OBJECTIVE, self.objective.state()), (SPACE, self.space.state()), (SECOND, second)];
        let named = |(prefix, state): (&'static str, State)| {
            state.into_iter().map(move |(name, tensor)| (format!("{prefix}{name}"), tensor))
        };
        parts.into_iter().flat_map(named).collect()
    }

    /// Takes it back; names of others are ignored.
    pub fn restore(&mut self, state: &State) {
        let of = |prefix: &str| -> State {
            let inside = |(name, tensor): &(String, tch::Tensor)| {
                Some((name.strip_prefix(prefix)?.to_string(), tensor.shallow_clone()))
            };
            state.iter().filter_map(inside).collect()
        };
        self.objective.restore(of(OBJECTIVE));
        self.space.restore(of(SPACE));
        if let Some(second) = &mut self.second {
            second.restore(&of(SECOND));
        }
    }
}
