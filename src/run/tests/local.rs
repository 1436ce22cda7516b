//! Local objectives with a memory, and what rules act on, against the same formulas written out in f64.

use super::*;
use crate::attack;
use crate::objective::Place;

/// Clients minimise ½(w − c)², c the mean of their labels, step by step as the engine does: momentum, proximal term,
/// corrections.
struct Descent;

const LR: f64 = 0.1;
const MOMENTUM: f64 = 0.5;

/// One local training from `w`: its change.
fn descend(w: f64, centre: f64, steps: usize, mu: f64, [gradient, step]: [f64; 2]) -> f64 {
    let (mut here, mut velocity) = (w, 0.0);
    for _ in 0..steps {
        velocity = MOMENTUM * velocity + (here - centre) + mu * (here - w) + gradient;
        here -= LR * (velocity + step);
    }
    here - w
}

fn corrections(job: &Job) -> [f64; 2] {
    let value = |row: &Option<Tensor>| row.as_ref().map_or(0.0, |row| row.double_value(&[0]));
    let Some(correction) = &job.terms.correction else { return [0.0, 0.0] };
    let by = value(&correction.plus) - value(&correction.minus);
    if correction.place == Place::Gradient { [by, 0.0] } else { [0.0, by] }
}

impl Engine for Descent {
    fn parameters(&self) -> usize {
        1
    }

    fn init(&self, _stream: &Stream) -> Tensor {
        Tensor::from_slice(&[0.5f32])
    }

    fn train(&self, jobs: Vec<Job>) -> Vec<Task<Trained>> {
        let train = |job: Job| {
            let centre = job.samples.labels.iter().sum::<u32>() as f64 / job.samples.len() as f64;
            let (steps, start) = (job.steps(), job.weights.double_value(&[0]));
            let delta = descend(start, centre, steps, job.hyper.mu, corrections(&job)) as f32;
            let samples = job.order.iter().map(Vec::len).sum();
            let delta = Tensor::from_slice(&[delta]);
            Trained { run: job.run, place: job.place, delta, samples, steps, loss: centre, loss_batch_mean: centre }
        };
        let task = |job: Job| Task::new([job.run].into_iter(), move || Ok(vec![train(job)]));
        jobs.into_iter().map(task).collect()
    }

    fn evaluate(&self, _jobs: Vec<EvalJob>) -> Vec<Task<Scored>> {
        Vec::new()
    }
}

/// Optima 3, 0 and 1, in 1, 2 and 3 steps a round.
const LABELS: [&[u32]; 3] = [&[3], &[0, 0], &[1, 1, 1]];
const CENTRES: [f64; 3] = [3.0, 0.0, 1.0];

fn spec_of(strategy: &str, cohort: f64) -> Spec {
    let optimizer = Optimizer::Sgd(Sgd { lr: LR, momentum: MOMENTUM, ..Sgd::default() });
    let spec = spec(strategy, 60, cohort);
    Spec { train: Train { optimizer, ..spec.train.clone() }, every: 100, ..spec }
}

fn run_of(strategy: &str, cohort: f64) -> Run {
    Run::new(spec_of(strategy, cohort), world(&LABELS), &Descent)
}

fn play(run: &mut Run) -> RoundRow {
    let jobs = run.jobs();
    run.absorb(perform(Descent.train(jobs))).unwrap();
    run.record(&[], 0.0).unwrap()
}

fn course(strategy: &str, rounds: usize) -> Vec<f64> {
    let mut run = run_of(strategy, 1.0);
    (0..rounds).map(|_| (play(&mut run), weight(&run)).1).collect()
}

#[track_caller]
fn assert_near(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-5), "{found:?} is not {expected:?}");
}

/// ‖a‖₁ for momentum one half, written out for 1, 2 and 3 steps.
const EFFECTIVE: [f64; 3] = [1.0, 2.5, 4.25];

#[test]
fn scaffold_follows_its_algorithm_in_both_forms() {
    for step in [false, true] {
        let (mut w, mut c, mut own) = (0.5, 0.0, [0.0; 3]);
        let expected: Vec<f64> = (0..5)
            .map(|_| {
                let (mut moved, mut changes) = (0.0, 0.0);
                for k in 0..3 {
                    let by = c - own[k];
                    let delta = descend(w, CENTRES[k], k + 1, 0.0, if step { [0.0, by] } else { [by, 0.0] });
                    let next = own[k] - c - delta / (LR * if step { k as f64 + 1.0 } else { EFFECTIVE[k] });
                    changes += next - own[k];
                    own[k] = next;
                    moved += delta / 3.0;
                }
                w += moved;
                c += changes / 3.0;
                w
            })
            .collect();
        let strategy = if step { r#"{"scaffold":{"correction":"step"}}"# } else { r#"{"scaffold":{}}"# };
        assert_near(&course(strategy, 5), &expected);
    }
}

#[test]
fn scaffold_feddyn_and_normalised_steps_reach_an_optimum_that_fedavg_misses() {
    // The mean of the optima is 4/3; by samples it is (3 + 0 + 3) / 6 = 1.
    let last = |strategy: &str| course(strategy, 60)[59];
    let uniform = r#"{"custom":{"aggregate":{"mean":{"weights":"uniform"}}}}"#;
    assert!((last(uniform) - 4.0 / 3.0).abs() > 0.1, "{}", last(uniform));
    assert!((last(r#"{"scaffold":{}}"#) - 4.0 / 3.0).abs() < 1e-3);
    assert!((last(r#"{"feddyn":{"alpha":1.0}}"#) - 4.0 / 3.0).abs() < 1e-3);
    let (fedavg, fednova) = ((last(r#"{"fedavg":{}}"#) - 1.0).abs(), (last(r#"{"fednova":{}}"#) - 1.0).abs());
    assert!(fednova < fedavg / 2.0, "{fednova} is not much less than {fedavg}");
}

#[test]
fn feddyn_follows_its_algorithm() {
    let (alpha, mut w, mut h, mut own) = (0.3, 0.5, 0.0, [0.0; 3]);
    let expected: Vec<f64> = (0..5)
        .map(|_| {
            let deltas: Vec<f64> = (0..3).map(|k| descend(w, CENTRES[k], k + 1, alpha, [-own[k], 0.0])).collect();
            (0..3).for_each(|k| own[k] -= alpha * deltas[k]);
            h -= alpha / 3.0 * deltas.iter().sum::<f64>();
            w += deltas.iter().sum::<f64>() / 3.0 - h / alpha;
            w
        })
        .collect();
    assert_near(&course(r#"{"feddyn":{"alpha":0.3}}"#, 5), &expected);
}

#[test]
fn fednova_averages_changes_per_effective_step() {
    let mut w = 0.5;
    let expected: Vec<f64> = (0..4)
        .map(|_| {
            let share = |k: usize| (k as f64 + 1.0) / 6.0;
            let tau: f64 = (0..3).map(|k| share(k) * EFFECTIVE[k]).sum();
            w += (0..3)
                .map(|k| share(k) * tau * descend(w, CENTRES[k], k + 1, 0.0, [0.0; 2]) / EFFECTIVE[k])
                .sum::<f64>();
            w
        })
        .collect();
    assert_near(&course(r#"{"fednova":{}}"#, 4), &expected);
    assert_near(&course(r#"{"custom":{"on":{"gradient":{}}}}"#, 4), &expected);
    assert_near(&course(r#"{"custom":{"local":{"fednova":{}},"on":{"gradient":{}}}}"#, 4), &expected);
}

#[test]
fn rules_on_gradients_meet_thresholds_in_their_units() {
    // Gradients at 0.5 in the first step are −2.5, 0.5 and −0.5; one step each by batches of three.
    let one_step = |strategy: &str| {
        let mut spec = spec_of(strategy, 1.0);
        spec.train.batch = 3;
        let mut run = Run::new(spec, world(&LABELS), &Descent);
        play(&mut run);
        weight(&run)
    };
    let clipped =
        r#"{"custom":{"pre":[{"clip":{"norm":1.0}}],"aggregate":{"mean":{"weights":"uniform"}},"on":{"gradient":{}}}}"#;
    assert_near(&[one_step(clipped)], &[0.5 - LR * (-1.0 + 0.5 - 0.5) / 3.0]);
    let delta = r#"{"custom":{"aggregate":{"median":{}}}}"#;
    let gradient = r#"{"custom":{"aggregate":{"median":{}},"on":{"gradient":{}}}}"#;
    assert_near(&[one_step(delta)], &[one_step(gradient)]);
}

#[test]
fn momenta_belong_to_clients() {
    let (mut w, mut momenta) = (0.5, [None; 3]);
    let expected: Vec<f64> = (0..4)
        .map(|_| {
            for k in 0..3 {
                let gradient = -descend(w, CENTRES[k], k + 1, 0.0, [0.0; 2]) / (LR * EFFECTIVE[k]);
                momenta[k] = Some(momenta[k].map_or(gradient, |old: f64| 0.8 * old + 0.2 * gradient));
            }
            let mean = (1.0 * EFFECTIVE[0] + 2.0 * EFFECTIVE[1] + 3.0 * EFFECTIVE[2]) / 6.0;
            w -= LR * mean * momenta.iter().flatten().sum::<f64>() / 3.0;
            w
        })
        .collect();
    let strategy = r#"{"custom":{"aggregate":{"mean":{"weights":"uniform"}},"on":{"momentum":{"beta":0.8}}}}"#;
    assert_near(&course(strategy, 4), &expected);
}

const WITH_MEMORY: [&str; 5] = [
    r#"{"scaffold":{}}"#,
    r#"{"feddyn":{}}"#,
    r#"{"moon":{}}"#,
    r#"{"custom":{"aggregate":{"median":{}},"on":{"momentum":{}}}}"#,
    r#"{"custom":{"local":{"scaffold":{}},"aggregate":{"centered-clipping":{"tau":0.2}},"on":{"momentum":{}}}}"#,
];

#[test]
fn a_memory_survives_a_checkpoint() {
    for strategy in WITH_MEMORY {
        let start = || Run::new(spec_of(strategy, 0.67), world(&LABELS), &Descent);
        let mut whole = start();
        (0..3).for_each(|_| assert_eq!(play(&mut whole).excluded, 0));
        let mut resumed = start();
        resumed.restore(3, whole.state()).unwrap();
        for _ in 0..3 {
            let (a, b) = (whole.jobs(), resumed.jobs());
            for (a, b) in a.iter().zip(&b) {
                let previous = |job: &Job| job.terms.contrast.as_ref().map(|c| c.previous.double_value(&[0]));
                assert_eq!((corrections(a), previous(a)), (corrections(b), previous(b)), "{strategy}");
            }
            assert_eq!(play(&mut whole), play(&mut resumed), "{strategy}");
        }
        assert_eq!(weight(&whole), weight(&resumed), "{strategy}");
    }
}

#[test]
fn only_clients_that_have_trained_leave_a_row_behind() {
    for strategy in WITH_MEMORY {
        let mut run = run_of(strategy, 0.34);
        play(&mut run);
        let client = run.cohort[0];
        let rows = |run: &Run| -> Vec<String> {
            let names = run.state().into_iter().map(|(name, _)| name);
            names.filter(|name| name.starts_with("local.client.") || name.starts_with("momentum.")).collect()
        };
        assert!(rows(&run).iter().all(|name| name.ends_with(&format!(".{client}"))), "{strategy}: {:?}", rows(&run));
        assert!(!rows(&run).is_empty());
    }
}

#[test]
fn what_clients_get_and_send_is_counted() {
    for (strategy, vectors) in [
        (r#"{"fedavg":{}}"#, 2),
        (r#"{"scaffold":{}}"#, 4),
        (r#"{"fedrs":{}}"#, 2),
        (r#"{"fednova":{}}"#, 2),
        (r#"{"feddyn":{}}"#, 2),
        (r#"{"moon":{}}"#, 2),
    ] {
        assert_eq!(play(&mut run_of(strategy, 1.0)).bytes, vectors * 4 * 3, "{strategy}");
    }
}

#[test]
fn moon_remembers_the_model_a_client_had_at_the_end_of_its_training() {
    let mut run = run_of(r#"{"moon":{}}"#, 1.0);
    assert!(run.jobs().iter().all(|job| job.terms.contrast.is_none()));
    play(&mut run);
    for job in run.jobs() {
        let client = run.cohort[job.place];
        let expected = 0.5 + descend(0.5, CENTRES[client], client + 1, 0.0, [0.0; 2]);
        assert_near(&[job.terms.contrast.unwrap().previous.double_value(&[0])], &[expected]);
    }
}

#[test]
fn a_client_restricts_by_the_labels_it_trains_on_or_by_the_clean_ones() {
    let mut noisy = World::clone(&world(&LABELS));
    noisy.held[0] = vec![1, 3];
    let scales = |strategy: &str| {
        let mut run = Run::new(spec_of(strategy, 1.0), Arc::new(noisy.clone()), &Descent);
        let jobs = run.jobs();
        let job = jobs.into_iter().find(|job| run.cohort[job.place] == 0).unwrap();
        job.terms.restriction.unwrap().scales
    };
    assert_eq!(scales(r#"{"fedrs":{}}"#), [0.5, 0.5, 0.5, 1.0]);
    assert_eq!(scales(r#"{"fedrs":{"labels":"clean"}}"#), [0.5, 1.0, 0.5, 1.0]);
}

fn attacked(strategy: &str, attack: &str) -> Run {
    let attack: attack::Config = toml::from_str(attack).unwrap();
    Run::new(Spec { attack: Some(attack), ..spec_of(strategy, 1.0) }, world(&LABELS), &Descent)
}

#[test]
fn the_control_of_a_byzantine_client_follows_from_the_row_it_forged() {
    // A change of zero says that the mean gradient was −c + …: with c = 0 the control's change is 0.
    let mut run = attacked(r#"{"scaffold":{}}"#, "byzantine = 1\nkind.zero = {}");
    play(&mut run);
    let bad = (0..3).find(|&k| run.byzantine[k]).unwrap();
    let honest = |k: usize| -descend(0.5, CENTRES[k], k + 1, 0.0, [0.0; 2]) / (LR * EFFECTIVE[k]);
    let expected: f64 = (0..3).filter(|&k| k != bad).map(honest).sum::<f64>() / 3.0;
    let row = |name: &str| run.state().into_iter().find(|(found, _)| found == name).unwrap().1.double_value(&[0]);
    assert_near(&[row("local.server")], &[expected]);
    assert_near(&[row(&format!("local.client.{bad}"))], &[honest(bad)]);
}

#[test]
fn attackers_forge_what_the_rule_acts_on() {
    for (on, unit) in [("delta", 1.0), ("gradient", -1.0)] {
        let strategy =
            format!(r#"{{"custom":{{"aggregate":{{"mean":{{"weights":"uniform"}}}},"on":{{"{on}":{{}}}}}}}}"#);
        let mut run = attacked(&strategy, "byzantine = 1\nkind.gaussian = { mean = 7.0, std = 1e-9 }");
        play(&mut run);
        let bad = (0..3).find(|&k| run.byzantine[k]).unwrap();
        let mean = (1.0 * EFFECTIVE[0] + 2.0 * EFFECTIVE[1] + 3.0 * EFFECTIVE[2]) / 6.0;
        let row = |k: usize| {
            let delta = descend(0.5, CENTRES[k], k + 1, 0.0, [0.0; 2]);
            if on == "delta" { delta } else { -delta / (LR * EFFECTIVE[k]) }
        };
        let sum: f64 = 7.0 + (0..3).filter(|&k| k != bad).map(row).sum::<f64>();
        let back = if on == "delta" { 1.0 } else { LR * mean };
        assert_near(&[weight(&run)], &[0.5 + unit * back * sum / 3.0]);
    }
}

#[test]
fn a_row_that_is_not_finite_leaves_its_client_as_it_was() {
    for strategy in WITH_MEMORY {
        let mut run = run_of(strategy, 1.0);
        let mut trained = perform(Descent.train(run.jobs()));
        trained[0].delta = Tensor::from_slice(&[f32::NAN]);
        let client = run.cohort[0];
        run.absorb(trained).unwrap();
        let names: Vec<String> = run.state().into_iter().map(|(name, _)| name).collect();
        assert!(!names.iter().any(|name| name.ends_with(&format!(".{client}"))), "{strategy}: {names:?}");
        assert!(weight(&run).is_finite(), "{strategy}");
    }
}

#[test]
fn a_proximal_term_too_strong_for_its_learning_rate_is_refused_where_steps_are_counted() {
    let mut run = run_of(r#"{"fednova":{"mu":1e300}}"#, 1.0);
    let trained = perform(Descent.train(run.jobs()));
    let said = run.absorb(trained).unwrap_err().to_string();
    assert!(said.contains("effective ones: mu = 1"), "{said}");
}
