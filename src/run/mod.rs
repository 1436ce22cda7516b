//! One run as a state machine: who trains next, what becomes of their updates, what is scored.
//!
//! A run does not know the engine. Whoever drives it asks for [`Run::jobs`], trains them anyhow, gives the results to
//! [`Run::absorb`], and, where [`Run::evaluations`] wants any, the logits to [`Run::record`]. All of a run's state is its
//! round, its weights and its strategy's state: the random streams have none.

mod aggregate;
mod byzantine;
pub mod cohort;
pub mod crowd;
mod evaluate;
mod foe;
mod job;
mod local;
mod privacy;
pub mod root;
pub mod score;
mod vote;
pub mod world;

#[cfg(test)]
mod tests;

use crate::aggregate::privacy::Spending;
use crate::aggregate::{Pipeline, State};
use crate::attack;
use crate::fault::{Error, Result};
use crate::lane::config::{Config as Train, Optimizer, Sgd};
use crate::lane::{Engine, Job, Trained};
use crate::model::Block;
use crate::objective::Trainee;
use crate::record::{ClientScore, Metric, RoundRow, Stop};
use crate::seed::Stream;
use crate::strategy::{self, Shape};
use crowd::Member;
use foe::Foe;
use local::Local;
use std::collections::BTreeMap;
use std::sync::Arc;
use tch::Tensor;
use world::World;

/// Name of the last change of the weights in a checkpoint.
const MOVED: &str = "attack.moved";
/// Before the names of what attackers learned, in a checkpoint.
const LEARNED: &str = "attack.learned.";

/// Most clients that are told of one by one.
pub const PICTURED: usize = 200;

/// What a run does, as far as the scenario says.
#[derive(Debug, Clone)]
pub struct Spec {
    /// Number of the run in its sweep; names its jobs.
    pub index: usize,
    /// Seed.
    pub seed: u64,
    /// Rounds, cohort and local optimiser.
    pub train: Train,
    /// Strategy.
    pub strategy: strategy::Config,
    /// Attack, where there is one.
    pub attack: Option<attack::Config>,
    /// Rounds between evaluations; the last round is always evaluated.
    pub every: usize,
    /// Selection metric.
    pub metric: Metric,
    /// k of top-k.
    pub top_k: usize,
    /// Whether samples may have several labels.
    pub multilabel: bool,
}

/// A run between two rounds.
pub struct Run {
    spec: Spec,
    world: Arc<World>,
    stream: Stream,
    shape: Shape,
    local: Local,
    /// The parts of the model that a strategy may aggregate apart.
    blocks: Vec<Block>,
    pipeline: Pipeline,
    /// What a round spends of its clients' privacy, where it is bounded.
    spending: Option<Spending>,
    foe: Option<Foe>,
    /// Who is byzantine this round, one flag a client; empty where nobody is.
    byzantine: Vec<bool>,
    /// The last change of the global weights, where attackers remember it.
    moved: Option<Tensor>,
    weights: Tensor,
    /// Copies that vote at the evaluation of the round; none where the weights themselves predict.
    voters: Vec<Tensor>,
    /// Clients' own weights (`local-only`), by client, where they have trained.
    own: BTreeMap<usize, Tensor>,
    round: usize,
    cohort: Vec<usize>,
    /// Who of the cohort has something to train on, in its order, and what the run knows of them.
    able: Vec<usize>,
    members: BTreeMap<usize, Member>,
    row: Option<RoundRow>,
    stop: Option<Stop>,
    client_scores: Vec<ClientScore>,
    dev_client_scores: Vec<ClientScore>,
}

impl Run {
    /// A run before its first round.
    pub fn new(spec: Spec, world: Arc<World>, engine: &dyn Engine) -> Self {
        let stream = Stream::root(spec.seed);
        let parts = spec.strategy.parts();
        let Optimizer::Sgd(sgd) = &spec.train.optimizer;
        let blocks = engine.blocks();
        Self {
            shape: spec.strategy.shape(),
            local: Local::new(&parts, sgd.lr, &blocks),
            pipeline: parts.build(sgd.lr, &blocks),
            spending: parts.spending(&blocks),
            blocks,
            foe: Foe::new(spec.attack.as_ref(), &world, &stream),
            byzantine: Vec::new(),
            moved: None,
            weights: engine.init(&stream.named("init")),
            voters: Vec::new(),
            own: BTreeMap::new(),
            round: 0,
            cohort: Vec::new(),
            able: Vec::new(),
            members: BTreeMap::new(),
            row: None,
            stop: None,
            client_scores: Vec::new(),
            dev_client_scores: Vec::new(),
            stream,
            spec,
            world,
        }
    }

    /// Rounds done.
    pub fn round(&self) -> usize {
        self.round
    }

    /// Why it ended, once it has.
    pub fn stop(&self) -> Option<&Stop> {
        self.stop.as_ref()
    }

    /// What it was made of.
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// Its data.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// The global weights `[P]`.
    pub fn weights(&self) -> &Tensor {
        &self.weights
    }

    /// Scores by natural client of the test samples at the last evaluation.
    pub fn client_scores(&self) -> &[ClientScore] {
        &self.client_scores
    }

    /// Scores by natural client of the development samples at the last evaluation; empty above 200 clients.
    pub fn dev_client_scores(&self) -> &[ClientScore] {
        &self.dev_client_scores
    }

    /// Draws the next round's cohort and gives its local trainings. Clients with nothing to train on are skipped, not
    /// replaced.
    pub fn jobs(&mut self) -> Vec<Job> {
        let name = |client: usize| self.world.clients.get(client).map_or("", |client| client.name.as_str());
        self.cohort = cohort::draw(&self.spec.train, self.world.size(), name, self.round, &self.stream);
        self.byzantine = self.foe.as_ref().map(|foe| foe.members(self.round)).unwrap_or_default();
        self.members = self.cohort.iter().map(|&client| (client, self.world.member(client))).collect();
        let trains = |client: &usize| !self.members[client].usable.is_empty();
        self.able = self.cohort.iter().copied().filter(trains).collect();
        if self.shape == Shape::Centralised {
            return self.pooled_job(&self.able).into_iter().collect();
        }
        let job = |(place, &client): (usize, &usize)| {
            let weights = match self.shape {
                Shape::LocalOnly => self.own.get(&client).unwrap_or(&self.weights),
                _ => &self.weights,
            };
            let samples = self.samples(client);
            let terms = self.local.objective.terms(Trainee {
                client,
                seen: &samples.labels,
                held: &self.members[&client].held,
                classes: self.world.classes,
            });
            Job { terms, ..self.job(place, client as u64, samples, weights) }
        };
        self.able.iter().enumerate().map(job).chain(self.server_job(self.able.len())).collect()
    }

    fn sgd(&self) -> &Sgd {
        let Optimizer::Sgd(sgd) = &self.spec.train.optimizer;
        sgd
    }

    /// Takes the round's local results, in any order, and makes the server step.
    ///
    /// # Errors
    /// A rule that cannot work with the rows it got.
    pub fn absorb(&mut self, mut trained: Vec<Trained>) -> Result<()> {
        trained.sort_by_key(|t| t.place);
        let able = std::mem::take(&mut self.able);
        let server = self.server_row(&mut trained, able.len());
        let samples: usize = trained.iter().map(|t| t.samples).sum();
        let loss: f64 = trained.iter().map(|t| t.loss * t.samples as f64).sum();
        let sent = trained.len();
        let mut row = RoundRow {
            round: self.round + 1,
            train_loss: (samples > 0).then(|| loss / samples as f64),
            clients: able.len(),
            skipped: self.cohort.len() - able.len(),
            samples,
            excluded: 0,
            byzantine: able.iter().filter(|&&client| self.is_byzantine(client)).count(),
            stayed: 0,
            bytes: 0,
            dev: None,
            test: None,
            attack_success: None,
            epsilon: None,
            epsilon_fixed: None,
            seconds: 0.0,
        };
        match self.shape {
            Shape::Federated => {
                row.bytes = self.local.vectors * 4 * (trained.len() * self.weights.numel()) as u64;
                (row.excluded, row.stayed) = self.aggregate(&trained, &able, server.as_ref())?;
                (row.epsilon, row.epsilon_fixed) = self.spent();
            }
            Shape::Centralised => {
                for t in trained {
                    self.weights = &self.weights + t.delta;
                }
            }
            Shape::LocalOnly => {
                for t in trained {
                    let client = able[t.place];
                    let own = self.own.get(&client).unwrap_or(&self.weights) + t.delta;
                    self.own.insert(client, own);
                }
            }
        }
        self.round += 1;
        // With every update set aside the weights stand still: the clients' weights are what became NaN or infinite.
        let nobody = sent > 0 && row.excluded == sent;
        self.row = Some(row);
        if nobody || !self.is_finite()? {
            self.stop = Some(Stop::Diverged { round: self.round });
        } else if self.round == self.spec.train.rounds {
            self.stop = Some(Stop::Finished);
        }
        self.voters = if self.is_due() { self.voters()? } else { Vec::new() };
        Ok(())
    }

    fn is_finite(&self) -> Result<bool> {
        let finite = |weights: &Tensor| -> Result<bool> { Ok(weights.f_isfinite()?.f_all()?.f_int64_value(&[])? == 1) };
        for weights in std::iter::once(&self.weights).chain(self.own.values()) {
            if !finite(weights)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The state after a whole round, for a checkpoint.
    pub fn state(&self) -> State {
        let mut state = vec![("weights".to_string(), self.weights.shallow_clone())];
        state.extend(self.own.iter().map(|(client, weights)| (format!("own.{client}"), weights.shallow_clone())));
        state.extend(self.moved.iter().map(|moved| (MOVED.to_string(), moved.shallow_clone())));
        let learned = self.foe.as_ref().map(Foe::state).unwrap_or_default();
        state.extend(learned.into_iter().map(|(name, tensor)| (format!("{LEARNED}{name}"), tensor)));
        state.extend(self.local.state());
        state.extend(self.pipeline.state().into_iter().map(|(name, tensor)| (format!("strategy.{name}"), tensor)));
        state
    }

    /// Goes on from a checkpoint taken after `round` rounds.
    ///
    /// # Errors
    /// A checkpoint that lacks the weights or has another model's.
    pub fn restore(&mut self, round: usize, state: State) -> Result<()> {
        let device = self.weights.device();
        let (mut strategy, mut learned, mut local) = (State::new(), State::new(), State::new());
        let mut found = false;
        for (name, tensor) in state {
            let tensor = tensor.f_to_device(device)?;
            if name == "weights" && tensor.size() == self.weights.size() {
                self.weights = tensor;
                found = true;
            } else if name == MOVED {
                self.moved = Some(tensor);
            } else if let Some(client) = name.strip_prefix("own.").and_then(|client| client.parse().ok()) {
                self.own.insert(client, tensor);
            } else if let Some(name) = name.strip_prefix(LEARNED) {
                learned.push((name.to_string(), tensor));
            } else if let Some(name) = name.strip_prefix("strategy.") {
                strategy.push((name.to_string(), tensor));
            } else {
                local.push((name, tensor));
            }
        }
        if !found {
            return Err(Error::Failed("the checkpoint holds no weights of this model".into()));
        }
        self.pipeline.restore(&strategy);
        if let Some(foe) = &mut self.foe {
            foe.restore(learned);
        }
        self.local.restore(&local);
        self.round = round;
        Ok(())
    }
}
