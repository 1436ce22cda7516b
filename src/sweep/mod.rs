//! Sweeps: all runs of a scenario in lock-step on one device, rows and checkpoints written as they go.

pub mod estimate;
pub mod outline;
mod sources;
pub mod study;
pub mod wave;

use crate::fault::Result;
use crate::lane::torch::TorchEngine;
use crate::record::{Event, FORMAT, Manifest, Origin, Stop};
use crate::run::{PICTURED, Run};
use crate::store::{Outcome, RunWriter, Store, same_result};
use crate::strategy::Shape;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};
use study::{NUMERICS, Study};
use tch::Device;
use wave::{Seat, Workers, play};

/// How a sweep uses the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Worker threads on the CPU.
    pub threads: usize,
}

/// How a sweep ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ended {
    /// Runs that were finished before.
    pub before: usize,
    /// Runs finished now.
    pub finished: usize,
    /// Runs that diverged, with the label and the round.
    pub diverged: Vec<(String, usize)>,
    /// Runs that failed, with the label, the round and the message.
    pub failed: Vec<(String, usize, String)>,
    /// What was noticed on the way: damaged manifests, rows that differ from those of an earlier attempt.
    pub notes: Vec<String>,
}

/// A seat with its place in the store.
struct Place {
    run: usize,
    writer: RunWriter,
    checkpointed: Instant,
    seconds: f64,
    bytes: u64,
    rounds: usize,
}

/// Runs everything that is not finished yet.
///
/// # Errors
/// The store cannot be written. Runs that fail by themselves do not end the sweep: they are in what it returns.
pub fn run(study: &Study, store: &Store, options: Options, watch: &mut dyn FnMut(&Event)) -> Result<Ended> {
    store.write_plan(&study.plan, &study.loaded.resolved)?;
    let mut ended = Ended::default();
    let mut waiting = VecDeque::new();
    let mut named = BTreeSet::new();
    for (index, run) in study.plan.runs.iter().enumerate() {
        // Points that read equal data from two files have the same runs.
        if !named.insert(&run.fingerprint) {
            continue;
        }
        match store.outcome(&run.fingerprint)? {
            Outcome::Whole(manifest) if !runs_again(study, store, index, &manifest) => ended.before += 1,
            Outcome::Whole(_) | Outcome::Unfinished => waiting.push_back(index),
            Outcome::Damaged(why) => {
                ended.notes.push(why);
                waiting.push_back(index);
            }
        }
    }
    let rounds = waiting.iter().map(|&run| study.spec(run).train.rounds).sum();
    watch(&Event::Started { runs: study.plan.runs.len(), done: ended.before, rounds });
    Sweep::new(study, store, options)?.go(waiting, &mut ended, watch)?;
    Ok(ended)
}

/// A finished run is repeated in two cases: it failed (the cause may be gone), or its model is wanted only now.
fn runs_again(study: &Study, store: &Store, run: usize, manifest: &Manifest) -> bool {
    match manifest.stop {
        Stop::Failed { .. } => true,
        Stop::Diverged { .. } => false,
        Stop::Finished => keeps_model(study, run) && !store.has_model(&manifest.fingerprint),
    }
}

/// Whether the run's global model is to be kept; local-only training has none.
fn keeps_model(study: &Study, run: usize) -> bool {
    let scenario = study.scenario(study.plan.runs[run].point);
    scenario.save_model && scenario.strategy.shape() != Shape::LocalOnly
}

struct Sweep<'a> {
    study: &'a Study,
    store: &'a Store,
    workers: Workers,
    threads: usize,
    engines: Vec<TorchEngine>,
    by_key: BTreeMap<String, usize>,
    /// Runs under way at once, and lanes that share a group on a GPU.
    seats: usize,
    lanes: usize,
}

impl<'a> Sweep<'a> {
    fn new(study: &'a Study, store: &'a Store, options: Options) -> Result<Self> {
        let on_cpu = study.device() == Device::Cpu;
        let threads = if on_cpu { options.threads.max(1) } else { 0 };
        let budget = estimate::budget(study, threads)?;
        let workers = Workers::new(threads)?;
        let (seats, lanes) = (budget.runs, budget.lanes);
        Ok(Self { study, store, workers, threads, engines: Vec::new(), by_key: BTreeMap::new(), seats, lanes })
    }

    fn go(mut self, mut waiting: VecDeque<usize>, ended: &mut Ended, watch: &mut dyn FnMut(&Event)) -> Result<()> {
        let mut seats: Vec<Seat> = Vec::new();
        let mut places: Vec<Place> = Vec::new();
        loop {
            while seats.len() < self.seats
                && let Some(run) = waiting.pop_front()
            {
                let (seat, place) = self.seat(run, ended)?;
                seats.push(seat);
                places.push(place);
            }
            if seats.is_empty() {
                return Ok(());
            }
            play(&mut seats, &self.engines, &self.workers);
            for i in (0..seats.len()).rev() {
                if self.after_round(&mut seats[i], &mut places[i], ended, watch)? {
                    seats.swap_remove(i);
                    places.swap_remove(i);
                }
            }
        }
    }

    /// Builds a run, from its checkpoint where there is one.
    fn seat(&mut self, index: usize, ended: &mut Ended) -> Result<(Seat, Place)> {
        let info = &self.study.plan.runs[index];
        let engine = self.engine(info.point)?;
        let world = Arc::new(self.study.world(info.point, info.seed)?);
        let mut run = Run::new(self.study.spec(index), world, &self.engines[engine]);
        let mut writer = self.store.run(&info.fingerprint)?;
        let mut round = 0;
        if let Some((state, meta)) = writer.load_checkpoint()
            && let Some(saved) = meta.get("round").and_then(|round| round.parse().ok())
            && self.store.rounds(&info.fingerprint)?.len() >= saved
        {
            match run.restore(saved, state) {
                Ok(()) => round = saved,
                Err(error) => ended.notes.push(format!("{}: {error}; it starts again", self.study.label(index))),
            }
        }
        writer.truncate_after(round)?;
        let earlier = self.store.rounds(&info.fingerprint)?;
        let place = Place {
            run: index,
            writer,
            checkpointed: Instant::now(),
            seconds: earlier.iter().map(|row| row.seconds).sum(),
            bytes: earlier.iter().map(|row| row.bytes).sum(),
            rounds: round,
        };
        Ok((Seat { run, engine, broken: None, row: None }, place))
    }

    fn engine(&mut self, point: usize) -> Result<usize> {
        let key = self.study.engine_key(point);
        if let Some(&engine) = self.by_key.get(&key) {
            return Ok(engine);
        }
        self.engines.push(self.study.engine(point, self.lanes)?);
        self.by_key.insert(key, self.engines.len() - 1);
        Ok(self.engines.len() - 1)
    }

    /// Writes the row of the round just played; says whether the run has ended.
    fn after_round(
        &self,
        seat: &mut Seat,
        place: &mut Place,
        ended: &mut Ended,
        watch: &mut dyn FnMut(&Event),
    ) -> Result<bool> {
        let label = self.study.label(place.run);
        if let Some(row) = seat.row.take() {
            if let Some(expected) = place.writer.expected(row.round)
                && !same_result(expected, &row)
            {
                ended.notes.push(format!(
                    "{label}: round {} came out different from the row of an earlier attempt",
                    row.round
                ));
            }
            place.writer.append(&row)?;
            place.seconds += row.seconds;
            place.bytes += row.bytes;
            place.rounds = row.round;
            watch(&Event::Round { run: label.clone(), round: row.round });
        }
        let Some(stop) = seat.broken.clone().or_else(|| seat.run.stop().cloned()) else {
            self.checkpoint(seat, place)?;
            return Ok(false);
        };
        self.finish(seat, place, &label, stop.clone())?;
        match &stop {
            Stop::Finished => ended.finished += 1,
            Stop::Diverged { round } => ended.diverged.push((label.clone(), *round)),
            Stop::Failed { round, message } => ended.failed.push((label.clone(), *round, message.clone())),
        }
        watch(&Event::Ended { run: label, stop });
        Ok(true)
    }

    fn checkpoint(&self, seat: &Seat, place: &mut Place) -> Result<()> {
        let scenario = self.study.scenario(self.study.plan.runs[place.run].point);
        if place.checkpointed.elapsed() < Duration::from_secs_f64(scenario.checkpoint_seconds) {
            return Ok(());
        }
        let meta = BTreeMap::from([("round".to_string(), seat.run.round().to_string())]);
        place.writer.checkpoint(&seat.run.state(), &meta)?;
        place.checkpointed = Instant::now();
        Ok(())
    }

    fn finish(&self, seat: &Seat, place: &mut Place, label: &str, stop: Stop) -> Result<()> {
        let info = &self.study.plan.runs[place.run];
        let model = self.study.model(info.point);
        if keeps_model(self.study, place.run) && stop == Stop::Finished {
            place.writer.save_model(&model.layout.split(seat.run.weights()))?;
        }
        let world = seat.run.world();
        let pictured = world.clients.len() <= PICTURED;
        place.writer.finish(&Manifest {
            format: FORMAT,
            fingerprint: info.fingerprint.clone(),
            label: label.to_string(),
            seed: info.seed,
            stop,
            rounds: place.rounds,
            parameters: model.parameters(),
            clients: world.clients.len(),
            realised: world.realised.clone(),
            client_scores: seat.run.client_scores().to_vec(),
            dev_client_scores: seat.run.dev_client_scores().to_vec(),
            class_counts: if pictured { world.class_counts() } else { Vec::new() },
            client_names: if pictured { world.clients.iter().map(|c| c.name.clone()).collect() } else { Vec::new() },
            bytes: place.bytes,
            origin: origin(self.study.device(), self.threads),
            seconds: place.seconds,
        })
    }
}

/// Versions and machine behind a run.
pub fn origin(device: Device, threads: usize) -> Origin {
    Origin {
        version: env!("CARGO_PKG_VERSION").to_string(),
        commit: option_env!("FEDROBUST_COMMIT").map(str::to_string),
        libtorch: crate::device::LIBTORCH.to_string(),
        device: crate::device::name(device),
        threads,
        numerics: NUMERICS,
    }
}
