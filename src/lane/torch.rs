//! The engine on libtorch: packs jobs into groups for one device.

use super::batch::DeviceData;
use super::halve::halving;
use super::pool::BitPool;
use super::{Engine, EvalJob, Job, Scored, Task, Trained, evaluate, train};
use crate::data::Dataset;
use crate::fault::Result;
use crate::model::{Block, Model, Packed};
use crate::seed::Stream;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use tch::{Device, Tensor};

/// Lanes a CPU group holds at most: what one layer hands to the next stays in a core's cache, no lane is padded to another's
/// batch, and there are groups enough for all workers to end together.
pub const CPU_LANES: usize = 1;
/// Samples a scoring task takes at most on the CPU; the same weighing.
const CPU_SAMPLES: usize = 64;
/// Samples (models × samples) a scoring task takes at most on a GPU.
const GPU_SAMPLES: usize = 16_384;

/// One architecture over one data set on one device.
#[derive(Debug)]
pub struct TorchEngine {
    model: Arc<Model>,
    data: DeviceData,
    pool: BitPool,
    /// Lanes a group may hold: [`CPU_LANES`], on a GPU what the budget allows; fewer once memory did not suffice.
    lanes: Arc<AtomicUsize>,
}

impl TorchEngine {
    /// Uploads the data and the dropout pool. `batch` is the largest batch size that will be asked for, `lanes` the most
    /// lanes that one group may hold on a GPU.
    ///
    /// # Errors
    /// Too little memory on the device.
    pub fn new(model: Model, data: &Dataset, batch: usize, lanes: usize, device: Device) -> Result<Self> {
        let pool = BitPool::new(model.dropout_units(batch as i64), model.dropout, device);
        let lanes = if device == Device::Cpu { CPU_LANES } else { lanes.max(1) };
        let lanes = Arc::new(AtomicUsize::new(lanes));
        Ok(Self { model: Arc::new(model), data: DeviceData::new(data, device)?, pool, lanes })
    }

    /// The architecture.
    pub fn model(&self) -> &Model {
        &self.model
    }

    fn on_cpu(&self) -> bool {
        self.data.device() == Device::Cpu
    }

    fn training(&self, jobs: Vec<Job>) -> Task<Trained> {
        let (model, data, pool, lanes) = (self.model.clone(), self.data.share(), self.pool.share(), self.lanes.clone());
        let runs: Vec<usize> = jobs.iter().map(|job| job.run).collect();
        Task::new(runs.into_iter(), move || {
            halving(&jobs, &lanes, &|jobs| train::Group { model: &model, data: &data, pool: &pool, jobs }.train())
        })
    }

    /// Too little memory halves the models, and for one model the samples. It is not remembered: scoring takes little.
    fn scoring(
        &self,
        jobs: Vec<EvalJob>,
        start: usize,
        count: usize,
        packed: Option<Arc<OnceLock<Packed>>>,
    ) -> Task<Scored> {
        let (model, data, fits) = (self.model.clone(), self.data.share(), AtomicUsize::new(usize::MAX));
        let runs: Vec<usize> = jobs.iter().map(|job| job.run).collect();
        Task::new(runs.into_iter(), move || {
            let range: Vec<usize> = (start..start + count).collect();
            let score = |jobs: &[EvalJob], range: &[usize]| {
                let (start, count) = (range.first().copied().unwrap_or(start), range.len());
                evaluate::Group { model: &model, data: &data, jobs, start, count, packed: packed.as_deref() }.evaluate()
            };
            halving(&jobs, &fits, &|jobs| match jobs {
                [_] => halving(&range, &fits, &|range| score(jobs, range)),
                _ => score(jobs, &range),
            })
        })
    }

    /// On the CPU: every run's jobs by themselves, those of like length in a group. On a GPU: all runs' jobs
    /// together. Longest first, so that workers which take one group after another end at about the same time.
    fn groups(&self, mut jobs: Vec<Job>) -> Vec<Vec<Job>> {
        jobs.sort_by_key(|job| std::cmp::Reverse(job.steps()));
        let mut apart: BTreeMap<(usize, usize), Vec<Job>> = BTreeMap::new();
        for job in jobs {
            let run = if self.on_cpu() { job.run } else { 0 };
            apart.entry((run, job.hyper.batch)).or_default().push(job);
        }
        apart.into_values().flat_map(|jobs| self.deal(jobs)).collect()
    }

    fn deal(&self, jobs: Vec<Job>) -> Vec<Vec<Job>> {
        let lanes = self.lanes.load(Ordering::Relaxed);
        let mut jobs = jobs.into_iter().peekable();
        let mut groups = Vec::new();
        while jobs.peek().is_some() {
            groups.push(jobs.by_ref().take(lanes).collect());
        }
        groups
    }
}

impl Engine for TorchEngine {
    fn parameters(&self) -> usize {
        self.model.parameters()
    }

    fn blocks(&self) -> Vec<Block> {
        self.model.blocks()
    }

    fn init(&self, stream: &Stream) -> Tensor {
        Tensor::from_slice(&self.model.layout.init(stream)).to_device(self.data.device())
    }

    fn train(&self, jobs: Vec<Job>) -> Vec<Task<Trained>> {
        self.groups(jobs).into_iter().map(|jobs| self.training(jobs)).collect()
    }

    fn evaluate(&self, jobs: Vec<EvalJob>) -> Vec<Task<Scored>> {
        let mut tasks = Vec::new();
        if self.on_cpu() {
            for job in jobs {
                let packed = Arc::new(OnceLock::new());
                for start in (0..job.rows.len()).step_by(CPU_SAMPLES) {
                    let count = CPU_SAMPLES.min(job.rows.len() - start);
                    tasks.push(self.scoring(vec![share(&job)], start, count, Some(packed.clone())));
                }
            }
            return tasks;
        }
        let mut alike: BTreeMap<usize, Vec<EvalJob>> = BTreeMap::new();
        for job in jobs {
            alike.entry(job.rows.len()).or_default().push(job);
        }
        for (samples, jobs) in alike {
            let models = (GPU_SAMPLES / samples.max(1)).clamp(1, jobs.len());
            for jobs in jobs.chunks(models) {
                for start in (0..samples).step_by(GPU_SAMPLES) {
                    let count = GPU_SAMPLES.min(samples - start);
                    tasks.push(self.scoring(jobs.iter().map(share).collect(), start, count, None));
                }
            }
        }
        tasks
    }
}

fn share(job: &EvalJob) -> EvalJob {
    EvalJob {
        run: job.run,
        place: job.place,
        weights: job.weights.shallow_clone(),
        rows: job.rows.clone(),
        present: job.present.clone(),
        affine: job.affine.clone(),
        paint: job.paint.clone(),
    }
}
