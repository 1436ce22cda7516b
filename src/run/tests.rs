//! The runner against a learner whose training has a closed form: no model, no data, milliseconds.

mod blocks;
mod byzantine;
mod local;

use super::world::{EvalSet, World};
use super::{Run, Spec, cohort};
use crate::aggregate::privacy;
use crate::corrupt::{Client, Samples};
use crate::data::Labels;
use crate::lane::config::{Cohort, Config as Train, Draw, Optimizer, Sgd};
use crate::lane::{Engine, EvalJob, Job, Scored, Task, Trained};
use crate::record::{Metric, RoundRow, Stop};
use crate::seed::Stream;
use crate::strategy;
use ndarray::Array2;
use std::collections::BTreeSet;
use std::sync::Arc;
use tch::Tensor;

/// Clients minimise ½(w − c)² with c the mean of their labels; a step of rate η takes w to w + η (c − w), so S steps move
/// it by (c − w)(1 − (1 − η)^S). Scoring says class ⌊w⌋ for every sample.
struct ClosedForm;

impl Engine for ClosedForm {
    fn parameters(&self) -> usize {
        1
    }

    fn init(&self, _stream: &Stream) -> Tensor {
        Tensor::from_slice(&[0.0f32])
    }

    fn train(&self, jobs: Vec<Job>) -> Vec<Task<Trained>> {
        let train = |job: Job| {
            let centre = job.samples.labels.iter().sum::<u32>() as f64 / job.samples.len() as f64;
            let moved = 1.0 - (1.0 - job.hyper.lr).powi(job.steps() as i32);
            let delta = (centre - &job.weights) * moved;
            let samples = job.order.iter().map(Vec::len).sum();
            let steps = job.steps();
            Trained { run: job.run, place: job.place, delta, samples, steps, loss: centre, loss_batch_mean: centre }
        };
        // In reverse, one task each: the runner may not rely on an order.
        let task = |job: Job| Task::new([job.run].into_iter(), move || Ok(vec![train(job)]));
        jobs.into_iter().rev().map(task).collect()
    }

    fn evaluate(&self, jobs: Vec<EvalJob>) -> Vec<Task<Scored>> {
        let score = |job: EvalJob| {
            let class = job.weights.double_value(&[0]) as usize;
            let logits = Array2::from_shape_fn((job.rows.len(), 4), |(_, c)| if c == class { 1.0 } else { 0.0 });
            Scored { run: job.run, place: job.place, start: 0, logits }
        };
        let task = |job: EvalJob| Task::new([job.run].into_iter(), move || Ok(vec![score(job)]));
        jobs.into_iter().map(task).collect()
    }
}

/// A world whose clients have these labels.
fn world(labels: &[&[u32]]) -> Arc<World> {
    let client = |(i, labels): (usize, &&[u32])| Client {
        name: i.to_string(),
        natural: None,
        rows: (0..labels.len() as u32).collect(),
        labels: labels.to_vec(),
        labelled: vec![true; labels.len()],
        present: vec![1; labels.len()],
    };
    let clients: Vec<Client> = labels.iter().enumerate().map(client).collect();
    let usable = clients.iter().map(|client| Arc::new(client.usable()) as Arc<Samples>).collect();
    let test =
        EvalSet { rows: Arc::new(vec![0, 1]), present: None, truth: Labels::Single(vec![1, 2]), owner: vec![0, 1] };
    let natural_names = vec!["ann".to_string(), "bob".to_string()];
    let held = labels.iter().map(|labels| BTreeSet::from_iter(labels.iter().copied()).into_iter().collect()).collect();
    Arc::new(World {
        clients,
        usable,
        held,
        root: None,
        affine: None,
        dev: None,
        test,
        realised: Vec::new(),
        natural_names,
        classes: 4,
        modalities: vec!["a".into()],
        crowd: None,
    })
}

fn spec(strategy: &str, rounds: usize, cohort: f64) -> Spec {
    let optimizer = Optimizer::Sgd(Sgd { lr: 0.5, ..Sgd::default() });
    Spec {
        index: 7,
        seed: 1,
        train: Train { rounds, cohort: Cohort::Fraction(cohort), batch: 1, optimizer, ..Train::default() },
        strategy: serde_json::from_str::<strategy::Config>(strategy).unwrap(),
        attack: None,
        every: 2,
        metric: Metric::Accuracy,
        top_k: 1,
        multilabel: false,
    }
}

fn start(strategy: &str, rounds: usize, labels: &[&[u32]]) -> Run {
    Run::new(spec(strategy, rounds, 1.0), world(labels), &ClosedForm)
}

fn perform<T>(tasks: Vec<Task<T>>) -> Vec<T> {
    tasks.into_iter().flat_map(|task| task.perform().unwrap()).collect()
}

fn round(run: &mut Run) -> RoundRow {
    let jobs = run.jobs();
    run.absorb(perform(ClosedForm.train(jobs))).unwrap();
    run.record(&perform(ClosedForm.evaluate(run.evaluations())), 0.25).unwrap()
}

fn weight(run: &Run) -> f64 {
    run.weights().double_value(&[0])
}

#[test]
fn fedavg_follows_its_closed_form() {
    // Clients at 3 (one sample) and 0 (two samples): deltas (3 − w)/2 and (0 − w)·3/4, weights 1/3 and 2/3.
    let mut run = start(r#"{"fedavg":{}}"#, 3, &[&[3], &[0, 0]]);
    let mut w = 0.0f64;
    for _ in 0..3 {
        round(&mut run);
        w += (3.0 - w) * 0.5 / 3.0 - w * 0.75 * 2.0 / 3.0;
        assert!((weight(&run) - w).abs() < 1e-6, "{} is not {w}", weight(&run));
    }
    assert_eq!(run.stop(), Some(&Stop::Finished));
}

#[test]
fn a_row_tells_who_trained_on_what() {
    let mut run = start(r#"{"fedavg":{}}"#, 2, &[&[3], &[], &[1, 1]]);
    let row = round(&mut run);
    let expected = RoundRow {
        round: 1,
        train_loss: Some((3.0 + 1.0 * 2.0) / 3.0),
        clients: 2,
        skipped: 1,
        samples: 3,
        excluded: 0,
        byzantine: 0,
        stayed: 0,
        bytes: 2 * 4 * 2,
        dev: None,
        test: None,
        attack_success: None,
        epsilon: None,
        epsilon_fixed: None,
        seconds: 0.25,
    };
    assert_eq!(row, expected, "round 1 of 2 is not evaluated when every = 2");
    let scores = round(&mut run).test.unwrap();
    assert_eq!(scores.accuracy, Some(0.5), "w is between 1 and 2, so class 1 is said for truths 1 and 2");
    assert_eq!(scores.worst_10, Some(0.0), "bob's only sample is wrong");
    let names: Vec<&str> = run.client_scores().iter().map(|c| c.client.as_str()).collect();
    assert_eq!(names, ["ann", "bob"]);
}

#[test]
fn a_round_with_nobody_keeps_the_weights() {
    let mut run = start(r#"{"fedadam":{}}"#, 1, &[&[], &[]]);
    let row = round(&mut run);
    assert_eq!((row.train_loss, row.clients, row.skipped, row.bytes), (None, 0, 2, 0));
    assert_eq!(weight(&run), 0.0);
    assert_eq!(run.stop(), Some(&Stop::Finished));
}

#[test]
fn the_order_in_which_results_come_back_does_not_matter() {
    let labels: &[&[u32]] = &[&[3], &[0, 0], &[1], &[2, 3, 3]];
    let mut reversed = start(r#"{"median":{}}"#, 2, labels);
    let mut forward = start(r#"{"median":{}}"#, 2, labels);
    for _ in 0..2 {
        round(&mut reversed);
        let jobs = forward.jobs();
        let mut trained = perform(ClosedForm.train(jobs));
        trained.reverse();
        forward.absorb(trained).unwrap();
        assert_eq!(weight(&reversed), weight(&forward));
    }
}

#[test]
fn centralised_trains_one_model_on_the_pooled_cohort() {
    // One client at the pooled mean 1 with 3 steps: w = 1 · (1 − 0.5³).
    let mut run = start(r#"{"centralised":{}}"#, 1, &[&[3], &[0, 0]]);
    let row = round(&mut run);
    assert_eq!(weight(&run), 0.875);
    assert_eq!((row.clients, row.bytes), (2, 0), "nobody sends a model");
}

#[test]
fn local_only_keeps_a_model_for_each_client_and_pools_their_predictions() {
    let mut run = start(r#"{"local-only":{}}"#, 2, &[&[2], &[3, 3, 3, 3]]);
    round(&mut run);
    let row = round(&mut run);
    assert_eq!(weight(&run), 0.0, "the global weights are never trained");
    let own: Vec<f64> = run.own.values().map(|w| w.double_value(&[0])).collect();
    assert_eq!(own, [1.5, 3.0 * (1.0 - 0.5f64.powi(8))]);
    // Models say class 1 and class 2: of four predictions two are right.
    assert_eq!(row.test.unwrap().accuracy, Some(0.5));
    assert_eq!(row.bytes, 0);
}

#[test]
fn a_restored_run_goes_on_to_the_same_bytes() {
    let labels: &[&[u32]] = &[&[3], &[0, 0], &[1, 2]];
    for strategy in [r#"{"fedavg":{}}"#, r#"{"fedadam":{}}"#, r#"{"fedopt":{}}"#, r#"{"local-only":{}}"#] {
        let mut whole = start(strategy, 4, labels);
        for _ in 0..2 {
            round(&mut whole);
        }
        let mut resumed = start(strategy, 4, labels);
        resumed.restore(2, whole.state()).unwrap();
        for _ in 0..2 {
            assert_eq!(round(&mut whole), round(&mut resumed), "{strategy}");
        }
        assert_eq!(weight(&whole), weight(&resumed));
        assert_eq!(resumed.stop(), Some(&Stop::Finished));
    }
}

#[test]
fn a_checkpoint_of_another_model_is_refused() {
    let mut run = start(r#"{"fedavg":{}}"#, 1, &[&[1]]);
    let state = vec![("weights".to_string(), Tensor::from_slice(&[1.0f32, 2.0]))];
    assert_eq!(run.restore(1, state).unwrap_err().to_string(), "the checkpoint holds no weights of this model");
    assert_eq!((run.round(), weight(&run)), (0, 0.0));
}

#[test]
fn a_row_that_is_not_finite_is_set_aside_and_counted() {
    let mut run = start(r#"{"fedavg":{}}"#, 1, &[&[3], &[1]]);
    let mut trained = perform(ClosedForm.train(run.jobs()));
    trained[0].delta = Tensor::from_slice(&[f32::NAN]);
    let kept = trained[1].delta.double_value(&[0]);
    run.absorb(trained).unwrap();
    assert_eq!(run.record(&[], 0.0).unwrap().excluded, 1);
    assert_eq!(weight(&run), kept);
}

#[test]
fn weights_that_are_not_finite_end_the_run() {
    let mut run = start(r#"{"centralised":{}}"#, 9, &[&[3]]);
    let mut trained = perform(ClosedForm.train(run.jobs()));
    trained[0].delta = Tensor::from_slice(&[f32::INFINITY]);
    run.absorb(trained).unwrap();
    assert_eq!(run.stop(), Some(&Stop::Diverged { round: 1 }));
    assert!(run.evaluations().is_empty(), "there is nothing to score");
}

#[test]
fn a_round_in_which_no_update_is_finite_ends_the_run() {
    let mut run = start(r#"{"fedavg":{}}"#, 9, &[&[3], &[1]]);
    let mut trained = perform(ClosedForm.train(run.jobs()));
    trained.iter_mut().for_each(|t| t.delta = Tensor::from_slice(&[f32::NAN]));
    run.absorb(trained).unwrap();
    assert_eq!(run.stop(), Some(&Stop::Diverged { round: 1 }));
    assert_eq!(weight(&run), 0.0, "the last weights that were finite");
}

#[test]
fn cohorts_depend_on_seed_and_round_alone() {
    let labels: Vec<&[u32]> = vec![&[1]; 20];
    let drawn = |strategy: &str, seed: u64| {
        let spec = Spec { seed, ..spec(strategy, 3, 0.25) };
        let mut run = Run::new(spec, world(&labels), &ClosedForm);
        (0..3).map(|_| (round(&mut run), run.cohort.clone()).1).collect::<Vec<_>>()
    };
    let cohorts = drawn(r#"{"fedavg":{}}"#, 1);
    assert_eq!(cohorts, drawn(r#"{"median":{}}"#, 1), "paired across strategies");
    assert_ne!(cohorts, drawn(r#"{"fedavg":{}}"#, 2));
    assert_ne!(cohorts[0], cohorts[1]);
    assert!(cohorts.iter().all(|cohort| cohort.len() == 5));
}

#[test]
fn a_rule_with_a_memory_of_its_clients_is_told_whose_rows_it_sees() {
    let mut run = start(r#"{"custom":{"aggregate":{"foolsgold":{}}}}"#, 2, &[&[3], &[0, 0], &[1, 2]]);
    (0..2).for_each(|_| assert_eq!(round(&mut run).clients, 3));
    assert_eq!(run.stop(), Some(&Stop::Finished));
}

#[test]
fn cohorts_of_fedmultimodal_are_those_of_its_generator_over_names_sorted_as_text() {
    let labels: Vec<&[u32]> = vec![&[1]; 105];
    let world = world(&labels);
    let train = Train {
        cohort: Cohort::Fraction(0.1),
        draw: Some(Draw::Fedmultimodal(Default::default())),
        ..Train::default()
    };
    let names = |round: usize, seed: u64| {
        let drawn =
            cohort::draw(&train, world.size(), |client| &world.clients[client].name, round, &Stream::root(seed));
        drawn.into_iter().map(|client| world.clients[client].name.clone()).collect::<Vec<_>>()
    };
    // Published places among the 105 clients in rounds 0 and 1, here of the names 0, 1, 10, 100, 101, …
    let mut sorted: Vec<String> = (0..105).map(|i| i.to_string()).collect();
    sorted.sort();
    let places = [[26, 61, 2, 62, 85, 48, 16, 100, 56, 45], [65, 35, 42, 93, 38, 39, 54, 86, 31, 77]];
    for (round, places) in places.iter().enumerate() {
        let wanted: Vec<String> = places.iter().map(|&place: &usize| sorted[place].clone()).collect();
        assert_eq!(names(round, 1), wanted);
        assert_eq!(names(round, 2), wanted);
    }
}

#[test]
fn what_noise_has_spent_is_in_every_row() {
    let mut run = start(r#"{"custom":{"aggregate":{"dp-mean":{"noise":4.0}}}}"#, 2, &[&[3], &[0, 0], &[1, 2]]);
    for rounds in 1..=2 {
        let row = round(&mut run);
        assert_eq!(row.epsilon, Some(privacy::epsilon(1.0, 4.0, rounds, 1e-5)));
        assert_eq!(row.epsilon_fixed, Some(privacy::epsilon_fixed(1.0, 4.0, rounds, 1e-5)));
    }
    assert_eq!(round(&mut start(r#"{"fedavg":{}}"#, 1, &[&[1]])).epsilon, None);
}

#[test]
fn the_server_trains_behind_the_cohort_and_is_no_client() {
    // The server's root data says 2, so g = 1; of clients at 3 and 0, moves 1.5 and 0, only the first points its way.
    let mut own = Arc::unwrap_or_clone(world(&[&[3], &[0]]));
    own.root = Some(Arc::new(Samples { rows: vec![5], labels: vec![2], present: vec![1], forged: None, own: None }));
    let strategy = r#"{"custom":{"aggregate":{"fltrust":{}}}}"#;
    let mut run = Run::new(spec(strategy, 2, 1.0), Arc::new(own), &ClosedForm);
    let row = round(&mut run);
    assert_eq!((row.clients, row.samples, row.train_loss, weight(&run)), (2, 2, Some(1.5), 1.0));
    assert_eq!(row.bytes, 2 * 4 * 2);
}

#[test]
fn copies_of_a_blurred_model_vote_where_a_defence_says_so() {
    let mut run = start(r#"{"custom":{"server":{"crfl":{"norm":10.0,"noise":0.3,"votes":101}}}}"#, 3, &[&[3]]);
    let mut row = round(&mut run);
    assert!(row.test.is_none() && run.evaluations().is_empty());
    let jobs = run.jobs();
    run.absorb(perform(ClosedForm.train(jobs))).unwrap();
    let jobs = run.evaluations();
    let mut votes = [0.0; 4];
    jobs.iter().for_each(|job| votes[job.weights.double_value(&[0]) as usize] += 1.0);
    assert_eq!((jobs.len(), votes.iter().sum::<f64>()), (101, 101.0));
    assert!(votes[1] > 0.0 && votes[2] > 0.0, "{votes:?}");
    row = run.record(&perform(ClosedForm.evaluate(jobs)), 0.25).unwrap();
    let test = row.test.unwrap();
    // The samples are of classes 1 and 2; one of them is right, and the loss is that of the shares of votes.
    let share = |class: usize| ((votes[class] + 1.0) / 105.0).ln();
    assert_eq!(test.accuracy, Some(0.5));
    let loss = test.loss.unwrap();
    assert!((loss + (share(1) + share(2)) / 2.0).abs() < 1e-5, "{loss} {votes:?}");
}
