//! What the shipped strategies make of local trainings with given cohorts and orders: objective, members, server optimiser.

use fedrobust::aggregate::{Pipeline, Senders, Updates};
use fedrobust::lane::{Hyper, Trained};
use fedrobust::objective::{Objective, Path, effective_steps};
use fedrobust::seed::Stream;
use fedrobust::strategy;
use tch::Tensor;

pub struct Server {
    pub objective: Box<dyn Objective>,
    pub mu: f64,
    normalises: bool,
    pipeline: Pipeline,
    /// For what clients send besides.
    second: Pipeline,
}

impl Server {
    /// Of a strategy as JSON.
    pub fn new(strategy: &str, lr: f64) -> Self {
        let parts = serde_json::from_str::<strategy::Config>(strategy).unwrap().parts();
        let (objective, mu, normalises) = (parts.local.build(), parts.local.mu(), parts.local.normalises());
        Self { objective, mu, normalises, pipeline: parts.build(lr, &[]), second: parts.build(lr, &[]) }
    }

    /// The new global weights; `clients` says who trained, of `all`.
    pub fn step(
        &mut self,
        weights: &Tensor,
        trained: &[Trained],
        hyper: &Hyper,
        clients: &[usize],
        all: usize,
    ) -> Tensor {
        let effective = |steps| effective_steps(steps, hyper.momentum, hyper.lr * self.mu);
        let path = |t: &Trained| Path { lr: hyper.lr, steps: t.steps, effective: effective(t.steps) };
        let paths: Vec<Path> = trained.iter().map(path).collect();
        let samples: Vec<f64> = trained.iter().map(|t| t.samples as f64).collect();
        let mut deltas = Tensor::stack(&trained.iter().map(|t| &t.delta).collect::<Vec<_>>(), 0);
        let (stream, share) = (Stream::root(0), trained.len() as f64 / all as f64);
        let seconds = self.objective.second(&deltas, &paths).unwrap();
        for ((t, &client), &path) in trained.iter().zip(clients).zip(&paths) {
            self.objective.learn(client, weights, &t.delta, path).unwrap();
        }
        if let Some(rows) = seconds {
            let updates = Updates { rows, samples: samples.clone() };
            let made = self.second.aggregate(updates, &Senders::default(), &stream).unwrap();
            self.objective.hear(&self.second.whole(weights, &made.parts, |_| share).unwrap()).unwrap();
        }
        if self.normalises {
            let tau: f64 = paths.iter().zip(&samples).map(|(path, n)| path.effective * n).sum::<f64>()
                / samples.iter().sum::<f64>();
            let factors: Vec<f32> = paths.iter().map(|path| (tau / path.effective) as f32).collect();
            deltas *= Tensor::from_slice(&factors).unsqueeze(1);
        }
        let updates = Updates { rows: deltas, samples };
        let mut made = self.pipeline.aggregate(updates, &Senders::default(), &stream).unwrap();
        let sum = self.pipeline.whole(weights, &made.parts, |_| share).unwrap();
        if let Some(shift) = self.objective.shift(&sum).unwrap() {
            self.pipeline.add(&mut made.parts, &shift).unwrap();
        }
        self.pipeline.serve(weights, made.parts, &stream).unwrap()
    }
}
