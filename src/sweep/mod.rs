//! Sweeps: all runs of a scenario in lock-step on one device, rows and checkpoints written as they go.

pub mod estimate;
pub mod outline;
mod sources;
pub mod study;
pub mod wave;

#[cfg(test)]
mod tests;

use crate::fault::Result;
use crate::lane::task::caught;
use crate::lane::torch::TorchEngine;
use crate::record::{Event, FORMAT, Manifest, Origin, Stop};
use crate::run::world::World;
use crate::run::{PICTURED, Run};
use crate::shard::Shard;
use crate::store::{Outcome, RunWriter, Store, same_result};
use crate::strategy::Shape;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use study::{NUMERICS, Study};
use tch::Device;
use wave::{Seat, Workers, play};

/// How a sweep uses the machine.
#[derive(Debug, Clone)]
pub struct Options {
    /// Worker threads on the CPU.
    pub threads: usize,
    /// Which runs.
    pub shard: Shard,
    /// Set by whoever wants the sweep to end after the round under way, with everything saved.
    pub stop: Arc<AtomicBool>,
}

impl Options {
    /// All runs on so many threads.
    pub fn threads(threads: usize) -> Self {
        Self { threads, shard: Shard::WHOLE, stop: Arc::default() }
    }
}

/// How a sweep ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ended {
    /// Runs that were to be done: all of the plan, or the shard's.
    pub runs: usize,
    /// Runs that were finished before.
    pub before: usize,
    /// Runs finished now.
    pub finished: usize,
    /// Runs that diverged, with the label and the round.
    pub diverged: Vec<(String, usize)>,
    /// Runs that failed, with the label, the round and the message.
    pub failed: Vec<(String, usize, String)>,
    /// Whether it was stopped before its end.
    pub stopped: bool,
    /// What was noticed on the way: damaged files, rows that differ from those of an earlier attempt.
    pub notes: Vec<String>,
}

/// A seat with its place in the store.
struct Place {
    run: usize,
    writer: RunWriter,
    checkpointed: Instant,
}

/// Runs everything that is not finished yet.
///
/// # Errors
/// The store cannot be written, or not one run fits into memory. Runs that fail by themselves do not end the sweep: they are
/// in what it returns.
pub fn run(study: &Study, store: &Store, options: &Options, watch: &mut dyn FnMut(&Event)) -> Result<Ended> {
    estimate::budget(study, options.threads).check()?;
    store.write_plan(&study.plan, &study.loaded.resolved, options.shard)?;
    let mut ended = Ended { notes: store.notes().to_vec(), ..Ended::default() };
    let mut waiting = VecDeque::new();
    let mut whole = Vec::new();
    for index in options.shard.share(study.plan.distinct()) {
        ended.runs += 1;
        match store.outcome(&study.plan.runs[index].fingerprint)? {
            Outcome::Whole(manifest) if !runs_again(study, store, index, &manifest) => {
                whole.push((index, manifest.stop))
            }
            Outcome::Whole(_) | Outcome::Unfinished => waiting.push_back(index),
            Outcome::Damaged(why) => {
                ended.notes.push(why);
                waiting.push_back(index);
            }
        }
    }
    ended.before = whole.len();
    let rounds = waiting.iter().map(|&run| study.spec(run).train.rounds).sum();
    watch(&Event::Started { runs: ended.runs, done: ended.before, rounds });
    for (run, stop) in whole {
        watch(&Event::Before { run, rows: store.rounds(&study.plan.runs[run].fingerprint)?, stop: Some(stop) });
    }
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
    stop: &'a AtomicBool,
    workers: Workers,
    origin: Origin,
    engines: Vec<TorchEngine>,
    by_key: BTreeMap<String, usize>,
    /// Runs under way at once, and lanes that share a group on a GPU.
    seats: usize,
    lanes: usize,
}

impl<'a> Sweep<'a> {
    fn new(study: &'a Study, store: &'a Store, options: &'a Options) -> Result<Self> {
        let on_cpu = study.device() == Device::Cpu;
        let threads = if on_cpu { options.threads.max(1) } else { 0 };
        let budget = estimate::budget(study, threads);
        let workers = Workers::new(threads)?;
        let (seats, lanes) = (budget.runs, budget.lanes);
        let stop = options.stop.as_ref();
        let origin = origin(study.device(), threads);
        Ok(Self { study, store, stop, workers, origin, engines: Vec::new(), by_key: BTreeMap::new(), seats, lanes })
    }

    fn go(mut self, mut waiting: VecDeque<usize>, ended: &mut Ended, watch: &mut dyn FnMut(&Event)) -> Result<()> {
        let mut seats: Vec<Seat> = Vec::new();
        let mut places: Vec<Place> = Vec::new();
        loop {
            while seats.len() < self.seats
                && let Some(run) = waiting.pop_front()
            {
                if let Some((seat, place)) = self.seat(run, ended, watch)? {
                    seats.push(seat);
                    places.push(place);
                }
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
            if self.stop.load(Ordering::Relaxed) && !(seats.is_empty() && waiting.is_empty()) {
                ended.stopped = true;
                return seats.iter().zip(&mut places).try_for_each(|(seat, place)| checkpoint(seat, place));
            }
        }
    }

    /// Builds a run, from its checkpoint where there is one; one that cannot be built has failed.
    fn seat(
        &mut self,
        index: usize,
        ended: &mut Ended,
        watch: &mut dyn FnMut(&Event),
    ) -> Result<Option<(Seat, Place)>> {
        let info = &self.study.plan.runs[index];
        let mut writer = self.store.run(&info.fingerprint)?;
        let built = caught(|| self.build(index, &mut writer));
        let label = self.study.label(index);
        ended.notes.extend(writer.take_notes().into_iter().map(|note| format!("{label}: {note}")));
        match built {
            Ok((run, engine)) => {
                writer.go_back_to(run.round())?;
                if run.round() > 0 {
                    watch(&Event::Before { run: index, rows: writer.rows().to_vec(), stop: None });
                }
                Ok(Some((Seat::new(run, engine), Place { run: index, writer, checkpointed: Instant::now() })))
            }
            Err(error) => {
                writer.go_back_to(0)?;
                let mut place = Place { run: index, writer, checkpointed: Instant::now() };
                let stop = Stop::Failed { round: 1, message: error.to_string() };
                self.ends(None, &mut place, stop, ended, watch)?;
                Ok(None)
            }
        }
    }

    fn build(&mut self, index: usize, writer: &mut RunWriter) -> Result<(Run, usize)> {
        let info = &self.study.plan.runs[index];
        let engine = self.engine(info.point)?;
        let world = Arc::new(self.study.world(info.point, info.seed)?);
        let mut run = Run::new(self.study.spec(index), world.clone(), &self.engines[engine]);
        if let Some((round, state)) = writer.load_checkpoint()
            && let Err(error) = run.restore(round, state)
        {
            writer.note(format!("{error}; the run starts again"));
            run = Run::new(self.study.spec(index), world, &self.engines[engine]);
        }
        Ok((run, engine))
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
        if let Some(row) = seat.row.take() {
            if let Some(expected) = place.writer.expected(row.round)
                && !same_result(expected, &row)
            {
                let (label, round) = (self.study.label(place.run), row.round);
                ended
                    .notes
                    .push(format!("{label}: round {round} came out different from the row of an earlier attempt"));
            }
            place.writer.append(&row)?;
            watch(&Event::Round { run: place.run, row: Box::new(row) });
        }
        let Some(stop) = seat.broken.clone().or_else(|| seat.run.stop().cloned()) else {
            let scenario = self.study.scenario(self.study.plan.runs[place.run].point);
            if place.checkpointed.elapsed() >= Duration::from_secs_f64(scenario.checkpoint_seconds) {
                checkpoint(seat, place)?;
            }
            return Ok(false);
        };
        self.ends(Some(seat), place, stop, ended, watch)?;
        Ok(true)
    }

    /// Writes the manifest of a run that ended, or that could not be built, and tells of it.
    fn ends(
        &self,
        seat: Option<&Seat>,
        place: &mut Place,
        stop: Stop,
        ended: &mut Ended,
        watch: &mut dyn FnMut(&Event),
    ) -> Result<()> {
        let label = self.study.label(place.run);
        if let Some(seat) = seat
            && keeps_model(self.study, place.run)
            && stop == Stop::Finished
        {
            let model = self.study.model(self.study.plan.runs[place.run].point);
            place.writer.save_model(&model.layout.split(seat.run.weights()))?;
        }
        let manifest = self.manifest(seat.map(|seat| &seat.run), place, &label, stop.clone());
        place.writer.finish(&manifest)?;
        match &stop {
            Stop::Finished => ended.finished += 1,
            Stop::Diverged { round } => ended.diverged.push((label.clone(), *round)),
            Stop::Failed { round, message } => ended.failed.push((label.clone(), *round, message.clone())),
        }
        watch(&Event::Ended { run: place.run, label, stop });
        Ok(())
    }

    fn manifest(&self, run: Option<&Run>, place: &Place, label: &str, stop: Stop) -> Manifest {
        let info = &self.study.plan.runs[place.run];
        let (rows, world) = (place.writer.rows(), run.map(Run::world));
        let pictured = world.filter(|world| world.size() <= PICTURED && world.crowd.is_none());
        // What people got of a run that broke off would depend on where it was interrupted before.
        let scored = run.filter(|_| stop == Stop::Finished);
        let names = |world: &World| world.clients.iter().map(|client| client.name.clone()).collect();
        Manifest {
            format: FORMAT,
            fingerprint: info.fingerprint.clone(),
            label: label.to_string(),
            seed: info.seed,
            stop,
            rounds: rows.len(),
            digest: place.writer.digest(),
            parameters: self.study.model(info.point).parameters(),
            clients: world.map_or(0, |world| world.size()),
            realised: world.map(|world| world.realised.clone()).unwrap_or_default(),
            client_scores: scored.map(|run| run.client_scores().to_vec()).unwrap_or_default(),
            dev_client_scores: scored.map(|run| run.dev_client_scores().to_vec()).unwrap_or_default(),
            class_counts: pictured.map(World::class_counts).unwrap_or_default(),
            client_names: pictured.map(names).unwrap_or_default(),
            bytes: rows.iter().map(|row| row.bytes).sum(),
            origin: self.origin.clone(),
            seconds: rows.iter().map(|row| row.seconds).sum(),
        }
    }
}

/// Saves what a run goes on from.
fn checkpoint(seat: &Seat, place: &mut Place) -> Result<()> {
    place.writer.checkpoint(&seat.run.state())?;
    place.checkpointed = Instant::now();
    Ok(())
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
        machine: crate::machine::kind(),
    }
}
