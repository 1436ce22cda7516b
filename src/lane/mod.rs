//! Lanes: the local training of many clients, stacked on a GPU and one by one on a CPU's threads.
//!
//! A *lane* is one client's local training in one round. Runs hand in [`Job`]s, an [`Engine`] packs them into tasks that
//! share nothing, and whoever drives it runs the tasks on as many threads as it likes. All randomness of a job is in the
//! job (batch order, dropout stream), so a result does not depend on what it was packed with.

pub mod batch;
pub mod config;
pub mod evaluate;
mod forge;
mod halve;
pub mod pool;
pub mod task;
mod terms;
#[cfg(test)]
mod tests;
pub mod torch;
pub mod train;

use crate::corrupt::{Paint, Present, Samples};
use crate::data::prepare::Affine;
use crate::model::layout::{Block, SHARED};
use crate::objective::Terms;
use crate::seed::Stream;
use ndarray::Array2;
use std::sync::Arc;
pub use task::{Broken, Task};
use tch::Tensor;

/// Hyperparameters of a lane; those of lanes trained together may differ, but for the batch size.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hyper {
    /// Learning rate η.
    pub lr: f64,
    /// Momentum m.
    pub momentum: f64,
    /// Weight decay λ.
    pub weight_decay: f64,
    /// Bound of the gradient's norm; infinite for none.
    pub clip: f64,
    /// μ of the proximal term.
    pub mu: f64,
    /// Samples a step.
    pub batch: usize,
}

/// One client's local training in one round.
#[derive(Debug)]
pub struct Job {
    /// Whose it is: given back with the result, and never mixed with another's on the CPU.
    pub run: usize,
    /// Place in the run's cohort, given back with the result.
    pub place: usize,
    /// Weights to start from, `[P]` on the device.
    pub weights: Tensor,
    /// What the client trains on; not empty.
    pub samples: Arc<Samples>,
    /// Positions in `samples`, one order a local epoch.
    pub order: Vec<Vec<u32>>,
    /// Normalisation of each modality, where the data is not normalised already.
    pub affine: Option<Arc<Vec<Affine>>>,
    /// Dropout's stream; a step draws from `dropout.at(step)`.
    pub dropout: Stream,
    /// Hyperparameters.
    pub hyper: Hyper,
    /// What the local objective adds to the loss.
    pub terms: Terms,
}

impl Job {
    /// Local steps: ⌈n / batch⌉ an epoch.
    pub fn steps(&self) -> usize {
        self.order.iter().map(|epoch| epoch.len().div_ceil(self.hyper.batch)).sum()
    }
}

/// What a lane gives back.
#[derive(Debug)]
pub struct Trained {
    /// Whose it is.
    pub run: usize,
    /// Place in the run's cohort.
    pub place: usize,
    /// Local weights minus the weights it started from, `[P]` on the device.
    pub delta: Tensor,
    /// Samples used, local epochs counted.
    pub samples: usize,
    /// Local steps.
    pub steps: usize,
    /// Mean loss over those samples.
    pub loss: f64,
    /// Mean over batches of their mean loss, as FedMultimodal reports it.
    pub loss_batch_mean: f64,
}

/// One model to score on some samples.
#[derive(Debug)]
pub struct EvalJob {
    /// Whose it is.
    pub run: usize,
    /// Which of the run's evaluations, given back with the result.
    pub place: usize,
    /// Weights `[P]` on the device.
    pub weights: Tensor,
    /// Sample indices.
    pub rows: Arc<Vec<u32>>,
    /// Modalities present, where any is missing.
    pub present: Option<Arc<Vec<Present>>>,
    /// Normalisation of each modality.
    pub affine: Option<Arc<Vec<Affine>>>,
    /// What every sample is painted with: the trigger of a backdoor.
    pub paint: Option<Arc<Vec<Paint>>>,
}

/// Logits of one evaluation, or of a piece of it.
#[derive(Debug)]
pub struct Scored {
    /// Whose it is.
    pub run: usize,
    /// Which of the run's evaluations.
    pub place: usize,
    /// First sample of this piece.
    pub start: usize,
    /// Logits `[n, C]` on the host.
    pub logits: Array2<f32>,
}

/// What trains and scores. The runner knows nothing else of it; tests use a closed-form one.
pub trait Engine: Send {
    /// Number of weights P.
    fn parameters(&self) -> usize;

    /// The parts of the model that can be aggregated by themselves; one of everything where an engine knows no parts.
    fn blocks(&self) -> Vec<Block> {
        vec![Block { name: SHARED.to_string(), modality: None, offset: 0, len: self.parameters() as i64 }]
    }

    /// Initial weights `[P]` on the device.
    fn init(&self, stream: &Stream) -> Tensor;

    /// Packs training jobs into tasks. Which jobs share a task may not depend on the number of threads.
    fn train(&self, jobs: Vec<Job>) -> Vec<Task<Trained>>;

    /// Packs evaluations into tasks; one evaluation may come back in several pieces.
    fn evaluate(&self, jobs: Vec<EvalJob>) -> Vec<Task<Scored>>;
}
