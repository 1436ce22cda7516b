//! One lock-step of many runs: everybody's lanes train together, then everybody aggregates, then everybody is scored.

use crate::fault::Result;
use crate::lane::task::caught;
use crate::lane::torch::TorchEngine;
use crate::lane::{Broken, Engine, Scored, Task, Trained};
use crate::record::{RoundRow, Stop};
use crate::run::Run;
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::time::Instant;

/// A run under way, and the engine that trains it.
pub struct Seat {
    /// The run.
    pub run: Run,
    /// Index of its engine.
    pub engine: usize,
    /// The round under way, from 1.
    round: usize,
    /// Why it had to stop before its time.
    pub broken: Option<Stop>,
    /// The row of the round just ended.
    pub row: Option<RoundRow>,
}

/// Where tasks are done: on a pool of threads with one intra-op thread each (CPU), or one after another (GPU).
pub struct Workers {
    pool: Option<rayon::ThreadPool>,
}

impl Workers {
    /// `threads` workers; 0 for one at a time on the calling thread.
    ///
    /// # Errors
    /// The system gives no threads.
    pub fn new(threads: usize) -> Result<Self> {
        if threads == 0 {
            return Ok(Self { pool: None });
        }
        tch::set_num_threads(1);
        let built =
            rayon::ThreadPoolBuilder::new().num_threads(threads).start_handler(|_| tch::set_num_threads(1)).build();
        let pool = built.map_err(|e| crate::fault::Error::Machine(format!("cannot start {threads} threads: {e}")))?;
        Ok(Self { pool: Some(pool) })
    }

    /// Does all tasks; what broke is apart.
    pub fn perform<T: Send>(&self, tasks: Vec<Task<T>>) -> (Vec<T>, Vec<Broken>) {
        let results: Vec<_> = match &self.pool {
            Some(pool) => pool.install(|| in_turn(tasks)),
            None => tasks.into_iter().map(Task::perform).collect(),
        };
        let mut done = Vec::new();
        let mut broken = Vec::new();
        for result in results {
            match result {
                Ok(items) => done.extend(items),
                Err(error) => broken.push(error),
            }
        }
        (done, broken)
    }

    /// Something for each seat that is still whole; an error or a panic breaks that seat and no other.
    fn each(&self, seats: &mut [Seat], work: impl Fn(&mut Seat) -> Result<()> + Sync) {
        let whole = |seat: &&mut Seat| seat.broken.is_none();
        let guarded = |seat: &mut Seat| {
            if let Err(error) = caught(|| work(seat)) {
                seat.breaks(&error.to_string());
            }
        };
        match &self.pool {
            Some(pool) => pool.install(|| seats.par_iter_mut().filter(whole).for_each(guarded)),
            None => seats.iter_mut().filter(whole).for_each(guarded),
        }
    }
}

/// Workers take one task after another in the order given, and not halves of the list as rayon's indexed iterators do:
/// tasks come longest first, so that all workers end at about the same time. Results are in the order of the tasks.
fn in_turn<T: Send>(tasks: Vec<Task<T>>) -> Vec<std::result::Result<Vec<T>, Broken>> {
    let tasks = tasks.into_iter().enumerate().par_bridge();
    let mut results: Vec<_> = tasks.map(|(place, task)| (place, task.perform())).collect();
    results.sort_by_key(|(place, _)| *place);
    results.into_iter().map(|(_, result)| result).collect()
}

/// Plays one round of every seat. Afterwards each seat has its row, or says how it broke.
pub fn play(seats: &mut [Seat], engines: &[TorchEngine], workers: &Workers) {
    let started = Instant::now();
    seats.iter_mut().for_each(|seat| seat.round = seat.run.round() + 1);
    let tasks = by_engine(seats, engines, |seat| seat.run.jobs(), Engine::train);
    let (trained, broken) = workers.perform(tasks);
    mark(seats, broken);
    let trained = Inbox::new(trained, |t: &Trained| t.run);
    workers.each(seats, |seat| seat.run.absorb(trained.take(seat.run.spec().index)));

    let tasks = by_engine(seats, engines, |seat| seat.run.evaluations(), Engine::evaluate);
    let (scored, broken) = workers.perform(tasks);
    mark(seats, broken);
    let scored = Inbox::new(scored, |s: &Scored| s.run);
    let seconds = started.elapsed().as_secs_f64() / seats.len().max(1) as f64;
    workers.each(seats, |seat| {
        seat.row = Some(seat.run.record(&scored.take(seat.run.spec().index), seconds)?);
        Ok(())
    });
}

impl Seat {
    /// A run before the next round that it plays.
    pub fn new(run: Run, engine: usize) -> Self {
        Self { run, engine, round: 0, broken: None, row: None }
    }

    /// Breaks in the round under way; what broke first is what is told.
    fn breaks(&mut self, message: &str) {
        let round = self.round;
        self.broken.get_or_insert_with(|| Stop::Failed { round, message: message.to_string() });
    }
}

/// Collects what every whole seat asks for and packs it, engine by engine.
fn by_engine<J, T>(
    seats: &mut [Seat],
    engines: &[TorchEngine],
    ask: impl Fn(&mut Seat) -> Vec<J>,
    pack: impl Fn(&TorchEngine, Vec<J>) -> Vec<Task<T>>,
) -> Vec<Task<T>> {
    let mut jobs: BTreeMap<usize, Vec<J>> = BTreeMap::new();
    for seat in seats.iter_mut().filter(|seat| seat.broken.is_none()) {
        match caught(|| Ok(ask(seat))) {
            Ok(wanted) => jobs.entry(seat.engine).or_default().extend(wanted),
            Err(error) => seat.breaks(&error.to_string()),
        }
    }
    jobs.into_iter().flat_map(|(engine, jobs)| pack(&engines[engine], jobs)).collect()
}

fn mark(seats: &mut [Seat], broken: Vec<Broken>) {
    for Broken { runs, message } in broken {
        for seat in seats.iter_mut().filter(|seat| runs.contains(&seat.run.spec().index)) {
            seat.breaks(&message);
        }
    }
}

/// Results by run, to be taken once each from any thread (tensors may move between threads, but not be shared).
struct Inbox<T>(std::sync::Mutex<BTreeMap<usize, Vec<T>>>);

impl<T> Inbox<T> {
    fn new(items: Vec<T>, run: impl Fn(&T) -> usize) -> Self {
        let mut by_run: BTreeMap<usize, Vec<T>> = BTreeMap::new();
        for item in items {
            by_run.entry(run(&item)).or_default().push(item);
        }
        Self(std::sync::Mutex::new(by_run))
    }

    fn take(&self, run: usize) -> Vec<T> {
        let mut inbox = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        inbox.remove(&run).unwrap_or_default()
    }
}
