//! Runs with byzantine clients.

use super::super::foe::{Foe, Known};
use super::*;
use crate::attack;

const LABELS: [&[u32]; 8] = [&[3], &[0, 0], &[1], &[2, 3, 3], &[1, 1], &[0], &[3, 3], &[2]];

fn config(text: &str) -> attack::Config {
    toml::from_str(text).unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn attacked(strategy: &str, attack: &str, cohort: f64) -> Run {
    let spec = Spec { attack: Some(config(attack)), ..spec(strategy, 4, cohort) };
    Run::new(spec, world(&LABELS), &ClosedForm)
}

/// Rows and weights of all four rounds.
fn course(mut run: Run) -> Vec<(RoundRow, f64)> {
    (0..4).map(|_| (round(&mut run), weight(&run))).collect()
}

#[test]
fn an_attack_that_does_nothing_changes_no_byte() {
    let clean = course(Run::new(spec(r#"{"fedavg":{}}"#, 4, 0.5), world(&LABELS), &ClosedForm));
    for attack in ["kind.none = {}", "byzantine = 0\nkind.alie = {}", "byzantine = 0.0\nkind.label-flip = {}"] {
        assert_eq!(course(attacked(r#"{"fedavg":{}}"#, attack, 0.5)), clean, "{attack}");
    }
}

#[test]
fn an_attack_moves_no_other_draw() {
    let mut clean = Run::new(spec(r#"{"fedavg":{}}"#, 4, 0.5), world(&LABELS), &ClosedForm);
    let mut bad = attacked(r#"{"fedavg":{}}"#, "byzantine = 4\nmembers = 'each-round'\nkind.gaussian = {}", 0.5);
    for _ in 0..4 {
        let (a, b) = (clean.jobs(), bad.jobs());
        assert_eq!(clean.cohort, bad.cohort);
        for (a, b) in a.iter().zip(&b) {
            assert_eq!((&a.order, &a.dropout, &a.samples), (&b.order, &b.dropout, &b.samples));
        }
        clean.absorb(perform(ClosedForm.train(a))).unwrap();
        bad.absorb(perform(ClosedForm.train(b))).unwrap();
    }
    assert_ne!(weight(&clean), weight(&bad));
}

#[test]
fn attackers_send_zeros_in_place_of_their_updates() {
    // Client deltas from w = 0 in one step each: half the label; weights by samples.
    let labels: &[&[u32]] = &[&[2], &[2], &[2], &[2]];
    let spec = Spec { attack: Some(config("byzantine = 3\nkind.zero = {}")), ..spec(r#"{"fedavg":{}}"#, 1, 1.0) };
    let mut run = Run::new(spec, world(labels), &ClosedForm);
    let row = round(&mut run);
    assert_eq!((weight(&run), row.byzantine, row.clients), (0.25, 3, 4));
}

#[test]
fn nan_is_set_aside_and_counted_as_excluded_and_byzantine() {
    let mut run = attacked(r#"{"fedavg":{}}"#, "byzantine = 3\nkind.nan = {}", 1.0);
    let row = round(&mut run);
    assert_eq!((row.excluded, row.byzantine), (3, 3));
    assert!(weight(&run).is_finite());
}

#[test]
fn fixed_members_stay_and_a_cohort_meets_as_many_as_it_draws() {
    let members = |text: &str| {
        let run = attacked(r#"{"fedavg":{}}"#, text, 0.5);
        let foe = run.foe.as_ref().unwrap();
        (0..4).map(|round| foe.members(round)).collect::<Vec<_>>()
    };
    let fixed = members("byzantine = 0.25\nkind.zero = {}");
    assert!(fixed.iter().all(|flags| *flags == fixed[0] && flags.iter().filter(|f| **f).count() == 2));
    let drawn = members("byzantine = 0.25\nmembers = 'each-round'\nkind.zero = {}");
    assert!(drawn.iter().all(|flags| flags.iter().filter(|f| **f).count() == 2));
    assert!(drawn.iter().any(|flags| *flags != drawn[0]));
    let mut run = attacked(r#"{"fedavg":{}}"#, "byzantine = 0.5\nkind.zero = {}", 0.5);
    for _ in 0..4 {
        let row = round(&mut run);
        assert_eq!(row.byzantine, run.cohort.iter().filter(|&&client| run.byzantine[client]).count());
    }
}

fn forged(attack: &str, honest: &[f32], own: &[f32]) -> Vec<f64> {
    let foe = Foe::new(Some(&config(attack)), &world(&LABELS), &Stream::root(1)).unwrap();
    let rows = |values: &[f32]| Tensor::from_slice(values).view([-1, 1]);
    let (honest, own) = (rows(honest), rows(own));
    let clients: Vec<u64> = (0..(honest.size()[0] + own.size()[0]) as u64).collect();
    let known = Known { round: 0, honest: &honest, clients: &clients, own: &own, defence: None, previous: None };
    Vec::<f64>::try_from(foe.forge(known).unwrap().to_kind(tch::Kind::Double).view([-1])).unwrap()
}

#[test]
fn attackers_who_know_only_their_own_do_not_see_the_honest() {
    for kind in ["sign-flip", "ipm", "alie", "min-max", "min-sum", "fang-trimmed-mean", "fang-krum", "rop", "gaussian"]
    {
        let attack = |knowledge: &str| format!("knowledge = '{knowledge}'\nkind.{kind} = {{}}");
        let made = |knowledge: &str, honest: &[f32]| forged(&attack(knowledge), honest, &[1.0, 2.0, 4.0]);
        assert_eq!(made("own", &[5.0, 6.0]), made("own", &[-70.0, 0.25]), "{kind}");
        if kind != "gaussian" {
            assert_ne!(made("omniscient", &[5.0, 6.0, 9.0]), made("omniscient", &[-70.0, 0.25, 1.0]), "{kind}");
        }
    }
}

#[test]
fn attackers_among_themselves_send_their_own_updates() {
    assert_eq!(forged("kind.alie = {}", &[], &[1.0, 2.0]), [1.0, 2.0]);
}

#[test]
fn only_byzantine_clients_train_on_poisoned_data() {
    let mut run = attacked(r#"{"fedavg":{}}"#, "byzantine = 3\nkind.label-flip = {}", 1.0);
    let jobs = run.jobs();
    for job in jobs {
        let client = run.cohort[job.place];
        let flipped: Vec<u32> = LABELS[client].iter().map(|y| 3 - y).collect();
        let expected = if run.byzantine[client] { flipped } else { LABELS[client].to_vec() };
        assert_eq!(job.samples.labels, expected);
    }
}

#[test]
fn an_optimised_factor_harms_at_least_as_much_and_leaves_the_servers_state_alone() {
    let strategy = r#"{"custom":{"aggregate":{"median":{}},"server":{"sgd":{"momentum":0.9}}}}"#;
    let plain = course(Run::new(spec(strategy, 4, 1.0), world(&LABELS), &ClosedForm))[0].1;
    let moved = |scale: &str| {
        let run = attacked(strategy, &format!("byzantine = 3\nkind.ipm.scale = {scale}"), 1.0);
        (course(run)[0].1 - plain).abs()
    };
    assert!(moved("'optimised'") >= moved("0.0") && moved("'optimised'") >= moved("10.0"));
    let mut run = attacked(strategy, "byzantine = 3\nkind.ipm.scale = 'optimised'", 1.0);
    round(&mut run);
    let names: Vec<String> = run.state().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names.iter().filter(|name| name.starts_with("strategy.server")).count(), 1, "{names:?}");
}

#[test]
fn what_attackers_remember_survives_a_checkpoint() {
    // A warm-up of 3 rounds ends after the checkpoint.
    for kind in ["rop = {}", "mimic = { target = 'learned', warmup = 3 }"] {
        let start = || attacked(r#"{"fedavgm":{}}"#, &format!("byzantine = 3\nkind.{kind}"), 0.5);
        let mut whole = start();
        for _ in 0..2 {
            round(&mut whole);
        }
        let mut resumed = start();
        let state = whole.state();
        assert!(state.iter().any(|(name, _)| name.starts_with("attack.")), "{kind}");
        resumed.restore(2, state).unwrap();
        for _ in 0..2 {
            assert_eq!(round(&mut whole), round(&mut resumed), "{kind}");
            assert_eq!(weight(&whole), weight(&resumed), "{kind}");
        }
    }
}

#[test]
fn a_backdoor_is_scored_on_the_triggered_samples_of_other_classes() {
    // Test truths are 1 and 2: for target 1 the second sample is triggered. FedAvg of labels 1 stays below 1, of 3 passes 1.
    for (label, expected) in [(1, 0.0), (3, 1.0)] {
        let labels: &[&[u32]] = &[&[label], &[label], &[label]];
        let attack = config("byzantine = 0\nkind.backdoor.target = 1");
        let spec = Spec { attack: Some(attack), every: 1, ..spec(r#"{"fedavg":{}}"#, 1, 1.0) };
        let mut run = Run::new(spec, world(labels), &ClosedForm);
        let trained = run.jobs();
        run.absorb(perform(ClosedForm.train(trained))).unwrap();
        let jobs = run.evaluations();
        let triggered: Vec<&EvalJob> = jobs.iter().filter(|job| job.paint.is_some()).collect();
        assert_eq!((triggered.len(), triggered[0].rows.as_slice()), (1, &[1][..]));
        let row = run.record(&perform(ClosedForm.evaluate(jobs)), 0.0).unwrap();
        assert_eq!(row.attack_success, Some(expected));
    }
}

/// P(k of the cohort are byzantine) for `bad` of `all` clients and a cohort of `drawn`.
fn hypergeometric(k: u64, all: u64, bad: u64, drawn: u64) -> f64 {
    use statrs::distribution::{Discrete, Hypergeometric};
    Hypergeometric::new(all, bad, drawn).unwrap().pmf(k)
}

#[test]
fn a_cohort_meets_its_attackers_hypergeometrically() {
    // 30 clients, 9 of them byzantine, cohorts of 10, 3,000 rounds; chi-squared over 1 … 5 and the two tails.
    let labels: Vec<&[u32]> = vec![&[1]; 30];
    for members in ["fixed", "each-round"] {
        let attack = config(&format!("byzantine = 0.3\nmembers = '{members}'\nkind.zero = {{}}"));
        let spec = Spec { attack: Some(attack), ..spec(r#"{"fedavg":{}}"#, 5000, 1.0 / 3.0) };
        let mut run = Run::new(spec, world(&labels), &ClosedForm);
        let mut seen = [0.0; 7];
        for _ in 0..3000 {
            run.jobs();
            let met = run.cohort.iter().filter(|&&client| run.is_byzantine(client)).count();
            seen[met.min(6)] += 1.0;
            run.round += 1;
        }
        let tail: f64 = (6..=9).map(|k| hypergeometric(k, 30, 9, 10)).sum();
        let expected: Vec<f64> =
            (0..6).map(|k| hypergeometric(k, 30, 9, 10)).chain([tail]).map(|p| 3000.0 * p).collect();
        let distance: f64 = seen.iter().zip(&expected).map(|(o, e): (&f64, &f64)| (o - e) * (o - e) / e).sum();
        // The 99.9 % quantile with 6 degrees of freedom; draws by independent coins would give about 190.
        assert!(distance < 22.46, "{members}: {distance}, {seen:?} beside {expected:?}");
    }
}
