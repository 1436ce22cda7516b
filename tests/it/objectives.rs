//! Whole federations under every local objective that `tests/fixtures/objectives.py` computed in plain PyTorch.

use crate::fixture::{data, model, pool, vector};
use crate::pytorch::{Tensors, error_of_change, fixture, row};
use crate::server::Server;
use fedrobust::corrupt::Samples;
use fedrobust::lane::batch::DeviceData;
use fedrobust::lane::{Hyper, Job, train::Group};
use fedrobust::model::Model;
use fedrobust::objective::Trainee;
use fedrobust::seed::Stream;
use serde_json::Value;
use std::sync::Arc;
use tch::{Device, Tensor};

struct Fixture {
    tensors: Tensors,
    whole: Value,
    model: Arc<Model>,
    hyper: Hyper,
}

impl Fixture {
    fn open() -> Self {
        let (tensors, whole) = fixture("objectives");
        let model = Arc::new(model(&data(&tensors, false), true));
        let number = |key: &str| whole["hyper"][key].as_f64().unwrap();
        let [lr, momentum, weight_decay, clip] = ["lr", "momentum", "weight_decay", "clip"].map(number);
        let hyper = Hyper { lr, momentum, weight_decay, clip, mu: 0.0, batch: number("batch") as usize };
        Self { tensors, whole, model, hyper }
    }

    fn weights(&self, of: impl std::fmt::Display) -> Tensor {
        row(&self.model.layout, &self.tensors, |name| format!("{of}.{name}"))
    }

    fn job(&self, place: usize, client: usize, weights: &Tensor, server: &Server) -> Job {
        let of = &self.whole["clients"][client];
        let samples = Samples {
            rows: vector(&of["rows"]),
            labels: vector(&of["labels"]),
            present: vector(&of["present"]),
            forged: None,
            own: None,
        };
        let held: Vec<u32> = vector(&of["held"]);
        let terms = server.objective.terms(Trainee { client, seen: &samples.labels, held: &held, classes: 3 });
        Job {
            run: 0,
            place,
            weights: weights.shallow_clone(),
            samples: Arc::new(samples),
            order: vec![vector(&of["order"])],
            affine: None,
            dropout: Stream::root(0),
            hyper: Hyper { mu: server.mu, ..self.hyper },
            terms,
        }
    }

    /// Plays one case; gives the error of the change and the largest difference of a training loss.
    fn play(&self, case: &Value) -> (Tensor, f64) {
        let mut server = Server::new(&case["strategy"].to_string(), self.hyper.lr);
        let (mut weights, mut worst) = (self.weights("start"), 0.0f64);
        for (cohort, losses) in self.whole["cohorts"].as_array().unwrap().iter().zip(case["losses"].as_array().unwrap())
        {
            let cohort: Vec<usize> = vector(cohort);
            let mut jobs: Vec<Job> =
                cohort.iter().enumerate().map(|(place, &client)| self.job(place, client, &weights, &server)).collect();
            jobs.sort_by_key(|job| std::cmp::Reverse(job.steps()));
            let group = Group {
                model: &self.model,
                data: &DeviceData::new(&data(&self.tensors, false), Device::Cpu).unwrap(),
                pool: &pool(&self.tensors["kept"]),
                jobs: &jobs,
            };
            let mut trained = group.train().unwrap();
            trained.sort_by_key(|t| t.place);
            for (t, loss) in trained.iter().zip(losses.as_array().unwrap()) {
                worst = worst.max((t.loss - loss.as_f64().unwrap()).abs());
            }
            weights = server.step(&weights, &trained, &self.hyper, &cohort, 3);
        }
        (weights, worst)
    }
}

#[test]
fn every_objective_goes_where_pytorch_goes() {
    tch::set_num_threads(1);
    let fixture = Fixture::open();
    let start = fixture.weights("start");
    let mut names = std::collections::BTreeSet::new();
    for (place, case) in fixture.whole["cases"].as_array().unwrap().iter().enumerate() {
        let (end, loss) = fixture.play(case);
        let (strategy, error) = (&case["strategy"], error_of_change(&end, &fixture.weights(place), &start));
        println!("fixture {strategy}: relative error of the change {error:.1e}, of losses {loss:.1e}");
        assert!(error < 1e-4 && loss < 1e-5, "{strategy}: {error:.3e}, loss {loss:.3e}");
        names.extend(strategy.as_object().unwrap().keys().cloned());
    }
    assert_eq!(Vec::from_iter(names), ["fedavg", "feddyn", "fednova", "fedrs", "moon", "scaffold"]);
}
