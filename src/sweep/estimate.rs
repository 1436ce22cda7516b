//! What a sweep will take: memory by counting, time by a short calibration.

use super::study::Study;
use super::wave::Workers;
use crate::device;
use crate::fault::Result;
use crate::lane::torch::CPU_LANES;
use crate::lane::{Engine, Job};
use crate::memory;
use crate::run::Run;
use crate::strategy::Shape;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;
use tch::Device;

/// Bytes a CPU sweep may use for runs and lanes, and a GPU one where the device does not say how much is free.
const CPU_BYTES: u64 = 4 << 30;
const GPU_BYTES: u64 = 8 << 30;

/// Bytes of a device that data, runs and lanes may use: what is free, less a fifth for what a step needs besides.
fn room(device: Device) -> u64 {
    device::free_memory(device).map_or(GPU_BYTES, |free| free / 5 * 4)
}

/// How many runs are under way at once, and how many lanes share a group on a GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Runs.
    pub runs: usize,
    /// Lanes.
    pub lanes: usize,
    /// Bytes that the runs, their lanes and the data take together.
    pub bytes: u64,
    /// Bytes of this machine's memory that one run with one lane takes beside the data; none where a GPU holds them.
    pub least: u64,
}

/// The budget of a study: the largest model, batch and cohort of its points decide.
pub fn budget(study: &Study, threads: usize) -> Budget {
    let mut lane = 0u64;
    let mut cohort = 1;
    let mut deltas = 1u64;
    let mut parameters = 0u64;
    let mut remembered = 0u64;
    let mut votes = 0u64;
    let mut made = 0u64;
    for point in 0..study.plan.points.len() {
        let scenario = study.scenario(point);
        let model = study.model(point);
        let p = model.parameters() as u64;
        let drawn = scenario.train.cohort.size(study.clients[point]);
        let parts = scenario.strategy.parts();
        // Corrections and previous models lie beside a lane's weights; a contrast's forwards beside its activations.
        let rows = if parts.local.remembers() { 7 } else { 5 };
        // On the CPU so do the weights read out, packed for both directions at eight points instead of five steps, and sums at those.
        let rows = if study.device() == Device::Cpu { rows + 6 } else { rows };
        let activations = model.activations(scenario.train.batch as i64) as u64;
        let stays = parts.local.forwards().saturating_mul(activations);
        lane = lane.max((rows * p).saturating_add(stays).saturating_mul(4));
        let trained = study.clients[point].min(drawn.saturating_mul(scenario.train.rounds)) as u64;
        remembered = remembered.max(trained * (u64::from(parts.local.remembers()) + u64::from(parts.on.remembers())));
        votes = votes.max(parts.server.votes() as u64);
        cohort = cohort.max(drawn);
        let own = u64::from(scenario.strategy.root().is_some());
        deltas = deltas.max((drawn as u64 + own) * if parts.copies_rows() { 2 } else { 1 });
        parameters = parameters.max(p);
        made = made.max(
            scenario.data.population().map_or(0, |population| population.client_bytes().saturating_mul(drawn as u64)),
        );
    }
    // A run keeps its weights, its strategy's state, what clients leave behind, the deltas of the cohort (and of the server's own
    // client) with what pre-aggregators make of them, copies that vote, and clients that were made for the round.
    let run = (4 * parameters).saturating_mul(deltas + remembered + votes + 4).saturating_add(made);
    let data: u64 = study.data(0).modalities.iter().map(|m| 4 * m.values.len() as u64).sum();
    let wanted = study.plan.runs.len().max(1);
    if study.device() == Device::Cpu {
        let fits = (CPU_BYTES / run.max(1)).max(1) as usize;
        let runs = wanted.min(4 * threads.max(1)).min(fits);
        let lanes = CPU_LANES * threads.max(1);
        return Budget { runs, lanes, bytes: sum(data, (runs, run), (lanes, lane)), least: run.saturating_add(lane) };
    }
    let half = room(study.device()).saturating_sub(data) / 2;
    let runs = wanted.min((half / run.max(1)).max(1) as usize);
    let lanes = (half / lane.max(1)).max(1) as usize;
    let lanes = lanes.min(runs * cohort);
    Budget { runs, lanes, bytes: sum(data, (runs, run), (lanes, lane)), least: 0 }
}

/// Data, runs and lanes in bytes.
fn sum(data: u64, runs: (usize, u64), lanes: (usize, u64)) -> u64 {
    let of = |(count, each): (usize, u64)| each.saturating_mul(count as u64);
    data.saturating_add(of(runs)).saturating_add(of(lanes))
}

impl Budget {
    /// Refuses a study of which not even one run with one client at a time fits into this machine.
    ///
    /// # Errors
    /// [`Error::Machine`](crate::fault::Error::Machine).
    pub fn check(&self) -> Result<()> {
        let remedy = "lower train.batch, train.cohort, the widths of the model, or what its strategy keeps";
        memory::check("one run takes", self.least, remedy)
    }
}

/// Seconds a local step and a scored sample take on one thread (CPU) or on the whole device (GPU).
#[derive(Debug, Clone, Copy)]
struct Pace {
    step: f64,
    sample: f64,
}

/// Seconds that the whole study will take: every architecture is timed for one round after a warm-up, then the steps and
/// samples of all runs are counted.
///
/// # Errors
/// A run that cannot be built, breaks in its first rounds, or does not fit into memory.
pub fn seconds(study: &Study, threads: usize) -> Result<f64> {
    budget(study, threads).check()?;
    let mut paces: BTreeMap<String, Pace> = BTreeMap::new();
    let mut total = 0.0;
    for (index, info) in study.plan.runs.iter().enumerate() {
        let key = study.engine_key(info.point);
        let pace = match paces.get(&key) {
            Some(&pace) => pace,
            None => calibrate(study, index)?,
        };
        paces.insert(key, pace);
        total += run_seconds(study, index, pace)?;
    }
    Ok(total / if study.device() == Device::Cpu { threads.max(1) as f64 } else { 1.0 })
}

/// Times the second round of a run.
fn calibrate(study: &Study, index: usize) -> Result<Pace> {
    let workers = Workers::new(if study.device() == Device::Cpu { 1 } else { 0 })?;
    let info = &study.plan.runs[index];
    let engine = study.engine(info.point, 64)?;
    let world = Arc::new(study.world(info.point, info.seed)?);
    let mut run = Run::new(study.spec(index), world, &engine);
    let mut pace = Pace { step: 0.0, sample: 0.0 };
    for _ in 0..2 {
        let jobs = run.jobs();
        let steps: usize = jobs.iter().map(Job::steps).sum();
        let started = Instant::now();
        let (trained, _) = workers.perform(engine.train(jobs));
        pace.step = started.elapsed().as_secs_f64() / steps.max(1) as f64;
        run.absorb(trained)?;
        let jobs = run.evaluations();
        let samples: usize = jobs.iter().map(|job| job.rows.len()).sum();
        let started = Instant::now();
        let (scored, _) = workers.perform(engine.evaluate(jobs));
        if samples > 0 {
            pace.sample = started.elapsed().as_secs_f64() / samples as f64;
        }
        run.record(&scored, 0.0)?;
        if run.stop().is_some() {
            break;
        }
    }
    Ok(pace)
}

/// The work of one run, counted: cohort × mean steps a client × rounds, and the samples of every evaluation.
fn run_seconds(study: &Study, index: usize, pace: Pace) -> Result<f64> {
    let info = &study.plan.runs[index];
    let scenario = study.scenario(info.point);
    let world = study.world(info.point, info.seed)?;
    let train = &scenario.train;
    let steps_of = |samples: usize| samples.div_ceil(train.batch) * train.epochs;
    let clients = world.size().max(1);
    let steps: usize = match scenario.data.population() {
        Some(population) => steps_of(population.samples) * clients,
        None => world.usable.iter().map(|samples| steps_of(samples.len())).sum(),
    };
    let lanes = train.cohort.size(clients) * train.rounds;
    let voters = scenario.strategy.parts().server.votes().max(1);
    let models = if scenario.strategy.shape() == Shape::LocalOnly { clients } else { voters };
    let samples = world.test.rows.len() + world.dev.as_ref().map_or(0, |dev| dev.rows.len());
    let evaluations = train.rounds.div_ceil(scenario.evaluate.every);
    Ok(pace.step * steps as f64 / clients as f64 * lanes as f64 + pace.sample * (samples * evaluations * models) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::read_str;

    #[test]
    fn what_clients_leave_behind_counts() {
        let bytes = |strategy: &str| {
            let text = format!(
                "question = 'How much?'\nseeds = [1]\nstrategy = {strategy}\npartition.iid.clients = 9\n\
                 data.synthetic = {{ samples = 90, modalities.sound = {{ width = 4 }} }}\n\
                 train = {{ rounds = 2, cohort = 3 }}\nmodel = {{ encoder.mlp.hidden = 4, head = 4 }}\n"
            );
            let study = Study::new(read_str("x.toml", &text, &[]).unwrap(), Device::Cpu).unwrap();
            (budget(&study, 1).bytes, 4 * study.model(0).parameters() as u64)
        };
        let (plain, row) = bytes("'fedavg'");
        // Six of nine clients can have trained in two rounds; a momentum costs no lane anything.
        assert_eq!(bytes("{ custom = { on = 'momentum' } }").0, plain + 6 * row);
        // Mixed rows, and those of one block, lie beside the three of the cohort.
        assert_eq!(bytes("{ custom = { pre = [{ nnm = { f = 1 } }] } }").0, plain + 3 * row);
        assert_eq!(bytes("{ custom = { per-block = true } }").0, plain + 3 * row);
        // On the CPU a thread has a group of lanes, with two rows more each.
        assert_eq!(bytes("'scaffold'").0, plain + (6 + 2 * CPU_LANES as u64) * row);
    }
}
