//! A study before it runs: data read, every point checked against it, every run named.

use super::sources::Sources;
use crate::data::Dataset;
use crate::device;
use crate::fault::{Error, Result};
use crate::lane::torch::TorchEngine;
use crate::model::Model;
use crate::record::{FORMAT, Plan, RunInfo};
use crate::run::Spec;
use crate::run::world::World;
use crate::scenario::{Identity, Loaded, Scenario, fingerprint};
use crate::seed::Stream;
use crate::strategy;
use std::path::Path;
use std::sync::Arc;
use tch::Device;

/// Raised whenever a change alters the numbers of a run, so that old results are not taken for new ones.
pub const NUMERICS: u32 = 3;

/// Everything a sweep needs to know before its first round.
pub struct Study {
    /// The checked scenario and its points.
    pub loaded: Loaded,
    /// What will run.
    pub plan: Plan,
    /// The data of each point.
    data: Vec<Arc<Dataset>>,
    /// What the points read.
    sources: Sources,
    /// The strategy of each point, with its custom rules read.
    strategies: Vec<strategy::Config>,
    /// Clients of each point, for its first seed.
    pub clients: Vec<usize>,
    device: Device,
}

impl Study {
    /// Reads the data of every point, checks every point against it, deals its clients once, and names the runs.
    ///
    /// # Errors
    /// Faults of the scenario that only the data shows, and data that cannot be read.
    pub fn new(mut loaded: Loaded, device: Device) -> Result<Self> {
        let sources = Sources::new(&loaded)?;
        loaded.check_against(|scenario| (sources.data(scenario), sources.clients(scenario)))?;
        let scenarios = || loaded.points.points.iter().map(|point| &point.scenario);
        let data: Vec<Arc<Dataset>> = scenarios().map(|scenario| sources.data(scenario).clone()).collect();
        let clients = scenarios().map(|scenario| sources.clients(scenario).unwrap_or_default()).collect();
        let strategies: Result<Vec<_>> = scenarios().map(|scenario| with_modules(scenario, &loaded.base)).collect();
        let strategies = strategies.map_err(|error| loaded.placed("strategy", error))?;
        let plan = plan(&loaded, &sources, &data, &strategies, device)?;
        Ok(Self { loaded, plan, data, sources, strategies, clients, device })
    }

    /// The scenario of a point.
    pub fn scenario(&self, point: usize) -> &Scenario {
        &self.loaded.points.points[point].scenario
    }

    /// The data of a point.
    pub fn data(&self, point: usize) -> &Arc<Dataset> {
        &self.data[point]
    }

    /// The device that computes.
    pub fn device(&self) -> Device {
        self.device
    }

    /// The world of a point and seed.
    ///
    /// # Errors
    /// A split or a partition that cannot be with this seed.
    pub fn world(&self, point: usize, seed: u64) -> Result<World> {
        World::new(&self.data[point], self.sources.recipe(self.scenario(point)), &Stream::root(seed))
    }

    /// What a run does.
    pub fn spec(&self, run: usize) -> Spec {
        let RunInfo { point, seed, .. } = self.plan.runs[run];
        let scenario = self.scenario(point);
        Spec {
            index: run,
            seed,
            train: scenario.train.clone(),
            strategy: self.strategies[point].clone(),
            attack: scenario.attack.clone(),
            every: scenario.evaluate.every,
            metric: scenario.evaluate.metric,
            top_k: scenario.evaluate.top_k,
            multilabel: self.data[point].multilabel(),
        }
    }

    /// The architecture of a point.
    pub fn model(&self, point: usize) -> Model {
        let data = &self.data[point];
        Model::new(&self.scenario(point).model, &data.shapes(), data.classes)
    }

    /// The engine of a point; points with the same data, normalisation and model share one ([`Study::engine_key`]).
    ///
    /// # Errors
    /// Too little memory on the device.
    pub fn engine(&self, point: usize, lanes: usize) -> Result<TorchEngine> {
        let key = self.engine_key(point);
        let alike = (0..self.data.len()).filter(|&other| self.engine_key(other) == key);
        let batch = alike.map(|other| self.scenario(other).train.batch).max().unwrap_or(1);
        TorchEngine::new(self.model(point), &self.data[point], batch, lanes, self.device)
    }

    /// Names what an engine is made of.
    pub fn engine_key(&self, point: usize) -> String {
        let scenario = self.scenario(point);
        let key = (&scenario.data, scenario.normalise, &scenario.model);
        serde_json::to_string(&key).unwrap_or_default()
    }

    /// A label for people: `strategy = fedavg, corrupt.missing-modality.rate = 0.4, seed 8`.
    pub fn label(&self, run: usize) -> String {
        let RunInfo { point, seed, .. } = &self.plan.runs[run];
        let settings = &self.plan.points[*point].settings;
        let mut parts: Vec<String> = settings.iter().map(|(path, value)| format!("{path} = {value}")).collect();
        parts.push(format!("seed {seed}"));
        parts.join(", ")
    }
}

/// The strategy of a point with every custom rule found from the scenario's folder, hashed, and loaded once for a check.
fn with_modules(scenario: &Scenario, base: &Path) -> Result<strategy::Config> {
    let mut strategy = scenario.strategy.clone();
    for module in strategy.modules() {
        *module = module.resolved(base)?;
    }
    Ok(strategy)
}

fn plan(
    loaded: &Loaded,
    sources: &Sources,
    data: &[Arc<Dataset>],
    strategies: &[strategy::Config],
    device: Device,
) -> Result<Plan> {
    let points = &loaded.points.points;
    let Some(first) = data.first() else {
        return Err(Error::Invalid(format!("{}: its grids leave no point to run", loaded.name)));
    };
    let mut runs = Vec::new();
    for (index, point) in points.iter().enumerate() {
        let canonical = point.scenario.portable()?;
        let mut strategy = strategies[index].clone();
        let modules = strategy.modules().into_iter().filter_map(|module| module.hash.clone());
        let files: Vec<String> = sources.hashes(&point.scenario).into_iter().chain(modules).collect();
        for &seed in &loaded.seeds {
            let identity = Identity {
                canonical: &canonical,
                seed,
                data: &data[index].checksum,
                format: FORMAT,
                numerics: NUMERICS,
                device: device::kind(device, device::tf32()),
                files: &files,
            };
            let rounds = point.scenario.train.rounds;
            runs.push(RunInfo { point: index, seed, rounds, fingerprint: fingerprint(&identity) });
        }
    }
    Ok(Plan {
        format: FORMAT,
        name: loaded.name.clone(),
        question: loaded.question.clone(),
        metric: points[0].scenario.evaluate.metric,
        reading: points[0].scenario.evaluate.reading,
        multilabel: first.multilabel(),
        classes: first.classes,
        seeds: loaded.seeds.clone(),
        rounds: points.iter().map(|p| p.scenario.train.rounds).max().unwrap_or(0),
        grids: loaded.points.grids.clone(),
        points: points.iter().map(|p| p.info.clone()).collect(),
        runs,
    })
}
