//! Tests of the family: what is hit, what is reported, and that higher rates hit supersets.

use super::*;
use proptest::prelude::*;

const LABELS: [u32; 60] = {
    let mut labels = [0; 60];
    let mut i = 0;
    while i < 60 {
        labels[i] = (i % 3) as u32;
        i += 1;
    }
    labels
};

fn names() -> Vec<String> {
    vec!["audio".to_string(), "video".to_string()]
}

fn facts(modalities: &[String]) -> Facts<'_> {
    Facts { labels: &LABELS, classes: 3, modalities }
}

/// Six clients of ten samples.
fn shares() -> Vec<Share> {
    let share = |k: u32| Share { name: k.to_string(), natural: None, rows: (10 * k..10 * k + 10).collect() };
    (0..6).map(share).collect()
}

fn modality(rate: f64, per: Per, exact: bool) -> Config {
    let missing = missing_modality::Config { rate, per, exact, ..Default::default() };
    Config { missing_modality: Some(missing), ..Default::default() }
}

fn labels(rate: f64, exact: bool) -> Config {
    Config { missing_labels: Some(missing_labels::Config { rate, exact, draw: None }), ..Default::default() }
}

fn noise(rate: f64, exact: bool) -> Config {
    let noise = label_noise::Config { rate, exact, ..Default::default() };
    Config { label_noise: Some(noise), ..Default::default() }
}

fn apply(config: &Config, seed: u64) -> (Vec<Client>, Vec<Realised>) {
    config.apply(shares(), &facts(&names()), &Stream::root(seed))
}

fn hit(realised: &[Realised], name: &str) -> (usize, usize) {
    realised.iter().find(|r| r.name == name).map(|r| (r.hit, r.of)).unwrap_or_default()
}

fn faults(config: &Config, facts: &Facts) -> Vec<String> {
    let mut c = Checker::default();
    config.check(&mut c);
    config.check_data(&mut c, facts);
    c.faults.iter().map(|f| format!("{}: {}; {}; {}", f.path, f.problem, f.allowed, f.remedy)).collect()
}

#[test]
fn rate_zero_everywhere_is_nothing_and_canonically_absent() {
    let all = Config {
        label_noise: noise(0.0, true).label_noise,
        missing_labels: labels(0.0, false).missing_labels,
        missing_modality: modality(0.0, Per::Sample, false).missing_modality,
        replay: Some(replay::Config {
            path: "simulation_feature/uci-har".into(),
            missing_modality: 0.0,
            label_noise: 0.0,
            missing_labels: 0.0,
            alpha: Some(0.1),
            modalities: None,
        }),
        test: Some(TestConfig { missing_modality: Some(missing_modality::Config::default()) }),
    };
    assert_eq!(all.canonical(), Config::default());
    assert_eq!(apply(&all, 1), apply(&Config::default(), 2));
    assert_eq!(apply(&all, 1).1, []);
    assert_eq!(all.apply_to_test(&[1, 2], &[0; 60], &facts(&names()), &Stream::root(1)), (None, Vec::new()));
}

#[test]
fn exact_hits_the_rounded_count_of_each_client() {
    for (rate, wanted) in [(0.25, 3), (0.5, 5), (1.0, 10)] {
        for client in apply(&labels(rate, true), 3).0 {
            assert_eq!(client.labelled.iter().filter(|l| !**l).count(), wanted);
        }
        for client in apply(&noise(rate, true), 3).0 {
            let wrong = client.rows.iter().zip(&client.labels).filter(|(r, l)| LABELS[**r as usize] != **l).count();
            assert_eq!(wrong, wanted);
        }
        for client in apply(&modality(rate, Per::Sample, true), 3).0 {
            assert_eq!(client.present.iter().filter(|p| **p & 1 == 0).count(), wanted);
        }
    }
    let realised = apply(&modality(0.5, Per::Client, true), 3).1;
    assert_eq!(hit(&realised, "missing-modality.audio"), (30, 60));
    assert_eq!(hit(&realised, "missing-modality.clients.video"), (3, 6));
}

#[test]
fn a_client_loses_a_modality_with_all_its_samples() {
    for client in apply(&modality(0.5, Per::Client, false), 4).0 {
        assert!(client.present.iter().all(|p| *p == client.present[0]));
    }
}

#[test]
fn rates_by_modality_override_the_rate() {
    let missing = missing_modality::Config { rates: [("video".to_string(), 1.0)].into(), ..Default::default() };
    let (clients, realised) = apply(&Config { missing_modality: Some(missing), ..Default::default() }, 5);
    assert!(clients.iter().all(|c| c.present.iter().all(|&p| p == 0b01)));
    assert_eq!(hit(&realised, "missing-modality.video"), (60, 60));
    assert_eq!(hit(&realised, "missing-modality.audio"), (0, 60));
}

#[test]
fn who_lost_everything_has_nothing_to_train_on() {
    let (clients, realised) = apply(&modality(1.0, Per::Client, false), 6);
    assert!(clients.iter().all(|c| c.usable().is_empty()));
    assert_eq!(hit(&realised, "samples-without-any-modality"), (60, 60));
    assert_eq!(hit(&realised, "clients-without-samples"), (6, 6));
    let (clients, realised) = apply(&labels(1.0, false), 6);
    assert!(clients.iter().all(|c| c.usable().is_empty()));
    assert_eq!(hit(&realised, "missing-labels"), (60, 60));
    assert_eq!(hit(&realised, "clients-without-samples"), (6, 6));
}

#[test]
fn one_corruption_does_not_move_another() {
    let mut both = noise(0.4, false);
    both.missing_labels = labels(0.3, false).missing_labels;
    both.missing_modality = modality(0.5, Per::Sample, false).missing_modality;
    let (all, _) = apply(&both, 7);
    let (noisy, _) = apply(&noise(0.4, false), 7);
    let (unlabelled, _) = apply(&labels(0.3, false), 7);
    let (partial, _) = apply(&modality(0.5, Per::Sample, false), 7);
    for k in 0..6 {
        assert_eq!(all[k].labels, noisy[k].labels);
        assert_eq!(all[k].labelled, unlabelled[k].labelled);
        assert_eq!(all[k].present, partial[k].present);
    }
}

#[test]
fn defect_11_fedmultimodal_label_noise_is_drawn_a_sample_and_modalities_are_lost_apart() {
    // There a client's samples of a class all get one label, and client k's second coin is client 2k's first.
    let share = |k: u32| Share { name: k.to_string(), natural: None, rows: (0..60).collect() };
    let config = Config { missing_modality: modality(0.5, Per::Client, false).missing_modality, ..noise(0.5, false) };
    let (clients, _) = config.apply((0..200).map(share).collect(), &facts(&names()), &Stream::root(11));
    for client in &clients {
        for class in 0..3 {
            let seen: Vec<u32> = (0..60).filter(|&i| LABELS[i] == class).map(|i| client.labels[i]).collect();
            assert!(seen.contains(&class) && seen.iter().any(|&label| label != class), "{seen:?}");
        }
    }
    let lost = |k: usize, modality: usize| clients[k].present[0] >> modality & 1 == 0;
    let agree = |pairs: &dyn Fn(usize) -> (bool, bool)| (1..100).filter(|&k| pairs(k).0 == pairs(k).1).count();
    // 99 fair coins: between 30 and 69 but for one seed in 10,000.
    for same in [agree(&|k| (lost(k, 0), lost(k, 1))), agree(&|k| (lost(k, 1), lost(2 * k, 0)))] {
        assert!((30..70).contains(&same), "{same} of 99 pairs agree");
    }
}

#[test]
fn a_natural_client_loses_a_modality_in_all_its_test_samples() {
    let config = Config {
        test: Some(TestConfig { missing_modality: modality(0.5, Per::Client, true).missing_modality }),
        ..Default::default()
    };
    let owner: Vec<u32> = (0..60).map(|i| i % 4).collect();
    let rows: Vec<u32> = (20..60).collect();
    let (present, realised) = config.apply_to_test(&rows, &owner, &facts(&names()), &Stream::root(8));
    let present = present.unwrap();
    assert!((4..40).all(|i| present[i] == present[i - 4]));
    assert_eq!(hit(&realised, "test.missing-modality.audio"), (20, 40));
    assert_eq!(hit(&realised, "test.missing-modality.clients.audio"), (2, 4));
}

#[test]
fn every_fault_is_found_and_says_where() {
    let names = names();
    let kind = label_noise::Kind::Transition(label_noise::Transition { sparsity: 1.5, ..Default::default() });
    let missing = missing_modality::Config { rates: [("vidoe".to_string(), 0.5)].into(), ..Default::default() };
    let config = Config {
        label_noise: Some(label_noise::Config { rate: f64::NAN, kind, exact: false }),
        missing_labels: labels(-0.1, false).missing_labels,
        missing_modality: modality(2.0, Per::Client, false).missing_modality,
        test: Some(TestConfig { missing_modality: Some(missing) }),
        ..Default::default()
    };
    let fraction = "is not a fraction; a number from 0 to 1; Write 0.3 for 30 %.";
    let found = faults(&config, &Facts { labels: &[], classes: 2, modalities: &names });
    assert_eq!(
        found,
        [
            format!("label-noise.rate: {fraction}"),
            format!("label-noise.kind.transition.sparsity: {fraction}"),
            format!("missing-modality.rate: {fraction}"),
            format!("missing-labels.rate: {fraction}"),
            "label-noise: needs one class a sample, the data is multilabel; ; Use missing-labels or missing-modality.".to_string(),
            "label-noise.kind.transition: leaves nothing to choose with 2 classes; data of 3 classes or more; Use symmetric."
                .to_string(),
            "test.missing-modality.rates.vidoe: names no modality of the data; audio, video; ".to_string(),
        ]
    );
    assert!(faults(&noise(0.3, false), &facts(&names)).is_empty());
}

/// Clients without the first modality, without the second, without both, with both.
fn losses(clients: usize, first: u32, rate: f64) -> [usize; 4] {
    let draw = Some(draw::Draw::Fedmultimodal(draw::Fedmultimodal { first }));
    let missing = missing_modality::Config { rate, draw, ..Default::default() };
    let share = |k: usize| Share { name: k.to_string(), natural: None, rows: vec![0, 1] };
    let config = Config { missing_modality: Some(missing), ..Default::default() };
    let (clients, _) = config.apply((0..clients).map(share).collect(), &facts(&names()), &Stream::root(1));
    let count = |wanted: &dyn Fn(u32) -> bool| {
        assert!(clients.iter().all(|c| c.present[0] == c.present[1]), "a client loses a modality with all its samples");
        clients.iter().filter(|c| wanted(c.present[0])).count()
    };
    [count(&|p| p & 1 == 0), count(&|p| p & 2 == 0), count(&|p| p == 0), count(&|p| p == 3)]
}

#[test]
fn modalities_are_lost_as_often_as_in_fedmultimodals_own_files() {
    // Clients, seed of the first, and what its scripts take at rates 0.1 to 0.5 (read from runs of its code).
    let tables = [
        (105, 2, [[8, 11, 1, 87], [20, 21, 3, 67], [27, 32, 6, 52], [36, 38, 11, 42], [49, 50, 24, 30]]),
        (65, 2, [[6, 5, 1, 55], [16, 12, 2, 39], [21, 19, 4, 29], [24, 23, 7, 25], [30, 28, 12, 19]]),
        (33, 2, [[2, 3, 0, 28], [8, 8, 1, 18], [11, 12, 2, 12], [13, 14, 4, 10], [17, 16, 8, 8]]),
        (100, 0, [[8, 9, 1, 84], [20, 19, 3, 64], [27, 30, 6, 49], [36, 36, 11, 39], [47, 49, 23, 27]]),
        (
            1000,
            0,
            [[90, 90, 8, 828], [200, 198, 32, 634], [293, 297, 70, 480], [388, 391, 140, 361], [481, 486, 225, 258]],
        ),
    ];
    for (clients, first, wanted) in tables {
        for (i, wanted) in wanted.into_iter().enumerate() {
            let rate = (i + 1) as f64 / 10.0;
            assert_eq!(losses(clients, first, rate), wanted, "{clients} clients at {rate}");
        }
    }
}

#[test]
fn fedmultimodals_law_refuses_what_it_does_not_have() {
    let names = names();
    let draw = Some(draw::Draw::Fedmultimodal(draw::Fedmultimodal::default()));
    let missing = missing_modality::Config { rate: 0.5, per: Per::Sample, exact: true, draw, ..Default::default() };
    let test = missing_modality::Config { rate: 0.5, draw, ..Default::default() };
    let config = Config {
        missing_labels: Some(missing_labels::Config { rate: 0.5, exact: true, draw }),
        missing_modality: Some(missing),
        test: Some(TestConfig { missing_modality: Some(test) }),
        ..Default::default()
    };
    let exact = "cannot be had of FedMultimodal's law; false; Remove exact or draw.";
    assert_eq!(
        faults(&config, &facts(&names)),
        [
            format!("missing-modality.exact: {exact}"),
            "missing-modality.per: cannot be had of FedMultimodal's law; client; Remove per or draw.".to_string(),
            format!("missing-labels.exact: {exact}"),
            "test.missing-modality.draw: is a law of training data: FedMultimodal tests on clean data; no draw; Remove it here."
                .to_string(),
        ]
    );
}

#[test]
fn a_scenario_may_write_a_transition() {
    let text = "[label-noise]\nrate = 0.4\nkind.transition = { sparsity = 0.2, scope = \"run\" }\n[missing-modality]\nrates = { audio = 0.5 }";
    let config: Config = toml::from_str(text).unwrap();
    let transition = label_noise::Transition { sparsity: 0.2, scope: label_noise::Scope::Run };
    assert_eq!(config.label_noise.unwrap().kind, label_noise::Kind::Transition(transition));
    assert_eq!(config.missing_modality.unwrap().rate_of("audio"), 0.5);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_higher_rate_hits_all_that_a_lower_rate_hits(
        low in 0.0f64..=1.0, more in 0.0f64..=1.0, seed in 0u64..100, exact: bool, sample: bool
    ) {
        let high = low + more * (1.0 - low);
        let per = if sample { Per::Sample } else { Per::Client };
        for make in [|r, e, _| labels(r, e), |r, e, _| noise(r, e), |r, e, p| modality(r, p, e)] {
            let ((few, _), (many, _)) = (apply(&make(low, exact, per), seed), apply(&make(high, exact, per), seed));
            for (few, many) in few.iter().zip(&many) {
                for i in 0..10 {
                    let clean = LABELS[few.rows[i] as usize];
                    prop_assert!(few.labelled[i] || !many.labelled[i]);
                    prop_assert!(few.labels[i] == clean || many.labels[i] == few.labels[i]);
                    prop_assert_eq!(many.present[i] & !few.present[i], 0);
                }
            }
        }
    }
}
