//! Configuration: names, parameters, ranges; and small scenes by hand.

use super::*;
use crate::fault::Fault;

fn config(text: &str) -> Config {
    toml::from_str(text).unwrap_or_else(|e| panic!("{text}: {e}"))
}

/// Path, problem and what is allowed.
fn faults(text: &str, federated: bool) -> Vec<(String, String, String)> {
    let mut c = Checker::default();
    config(text).check(&mut c, federated);
    c.faults.into_iter().map(|Fault { path, problem, allowed, .. }| (path, problem, allowed)).collect()
}

fn data_faults(text: &str, multilabel: bool) -> Vec<(String, String, String)> {
    let mut c = Checker::default();
    let names = ["audio".to_string(), "text".to_string()];
    config(text).check_data(&mut c, &names, 3, multilabel, 10);
    c.faults.into_iter().map(|Fault { path, problem, allowed, .. }| (path, problem, allowed)).collect()
}

fn said(path: &str, problem: &str, allowed: &str) -> Vec<(String, String, String)> {
    vec![(path.to_string(), problem.to_string(), allowed.to_string())]
}

#[test]
fn every_choice_is_listed_with_the_parameters_it_takes() {
    for about in CHOICES {
        let required = match about.name {
            "modality-poison" => "{ modality = 'audio' }",
            "mimic" => "{ target = 'learned', warmup = 3 }",
            _ => "{}",
        };
        let value = serde_json::to_value(kind(&format!("{} = {required}", about.name))).unwrap();
        let mut fields: Vec<&str> = value[about.name].as_object().unwrap().keys().map(String::as_str).collect();
        let mut listed: Vec<&str> = about.parameters.iter().map(|p| p.name).collect();
        fields.sort_unstable();
        listed.sort_unstable();
        assert_eq!(fields, listed, "{}", about.name);
    }
    let unknown = toml::from_str::<Config>("kind = 'x'").unwrap_err().to_string();
    assert!(CHOICES.iter().all(|about| unknown.contains(&format!("`{}`", about.name))), "{unknown}");
}

#[test]
fn a_config_reads_back_to_itself() {
    for text in [
        "byzantine = 3\nmembers = 'each-round'\nknowledge = 'own'\nkind = { alie = { z = 'z-max' } }",
        "byzantine = 0.25\nkind = { ipm = { scale = 'optimised' } }",
        "kind = { min-max = { search = { bisection = {} } } }",
    ] {
        let config = config(text);
        assert_eq!(serde_json::from_str::<Config>(&serde_json::to_string(&config).unwrap()).unwrap(), config);
    }
}

#[test]
fn ranges_are_checked_and_named() {
    for (text, expected) in [
        ("byzantine = 1.0", said("byzantine", "is out of range", "a number from 0 to below 1")),
        ("byzantine = nan", said("byzantine", "is out of range", "a number from 0 to below 1")),
        ("kind.ipm.scale = -1", said("kind.ipm.scale", "is negative or not finite", "a finite number from 0")),
        ("kind.ipm.scale = 'z-max'", said("kind.ipm.scale", "belongs to alie", "a number from 0, \"optimised\"")),
        ("kind.alie.z = inf", said("kind.alie.z", "is not finite", "a finite number, \"z-max\", \"optimised\"")),
        (
            "kind.alie.search.ratio = 1.0",
            said("kind.alie.search.ratio", "is out of range", "a number between 0.5 and 1"),
        ),
        (
            "kind.min-max.search.halving.start = 0.0",
            said("kind.min-max.search.halving.start", "is not a positive number", "a finite number above 0"),
        ),
        (
            "kind.fang-trimmed-mean.beta = 1.0",
            said("kind.fang-trimmed-mean.beta", "is out of range", "a finite number above 1"),
        ),
        ("kind.rop.angle = -1.0", said("kind.rop.angle", "is no angle in degrees", "a number from 0 to 360")),
        ("kind.backdoor.steps = 0", said("kind.backdoor.steps", "is too small", "a whole number from 1")),
        (
            "knowledge = 'own'\nkind = { mimic = {} }",
            said("knowledge", "is too little for this attack, which needs the updates of others", "omniscient"),
        ),
        (
            "knowledge = 'own'\nkind.alie.z = 'optimised'",
            said("knowledge", "is too little for this attack, which needs the updates of others", "omniscient"),
        ),
    ] {
        assert_eq!(faults(text, true), expected, "{text}");
    }
    assert_eq!(faults("kind = { rop = {} }", true), vec![]);
}

#[test]
fn strategies_that_send_nothing_cannot_be_attacked() {
    let expected = said("kind", "has no updates to act on: the strategy sends none", "none");
    assert_eq!(faults("kind = { zero = {} }", false), expected);
    assert_eq!(faults("byzantine = 0\nkind = { zero = {} }", false), vec![]);
    assert_eq!(faults("kind = { none = {} }", false), vec![]);
}

#[test]
fn what_the_data_lacks_is_named() {
    for (text, expected) in [
        ("byzantine = 10", said("byzantine", "leaves none of the 10 clients honest", "a whole number from 0 to 9")),
        (
            "kind.modality-poison.modality = 'video'",
            said("kind.modality-poison.modality", "names no modality of the data", "audio, text"),
        ),
        (
            "kind.backdoor.target = 3",
            said("kind.backdoor.target", "is not one of the 3 classes", "a whole number from 0 to 2"),
        ),
        (
            "kind.backdoor.modalities = ['text', 'video']",
            said("kind.backdoor.modalities", "name video, no modality of the data", "audio, text"),
        ),
    ] {
        assert_eq!(data_faults(text, false), expected, "{text}");
    }
    let expected = said("kind", "is not defined for multilabel data", "an attack that leaves labels alone");
    assert_eq!(data_faults("kind = { label-flip = {} }", true), expected);
    assert_eq!(data_faults("byzantine = 9\nkind = { alie = {} }", true), vec![]);
}

#[test]
fn an_attack_without_attackers_does_nothing_but_a_backdoor_is_still_measured() {
    assert!(config("byzantine = 0.0\nkind = { alie = {} }").does_nothing());
    assert!(config("byzantine = 0.5").does_nothing());
    assert!(!config("byzantine = 0\nkind = { backdoor = {} }").does_nothing());
}

#[test]
fn by_hand() {
    let line = |values: &[f64]| tensor(&values.iter().map(|x| vec![*x]).collect::<Vec<_>>());
    let pair = tensor(&[vec![1.0, 2.0], vec![3.0, 6.0]]);
    let one = |spec: &str, seen: &Tensor| rows(&forge(&kind(spec), seen, 1)).concat();
    assert_eq!(one("sign-flip = {}", &pair), [-2.0, -4.0]);
    assert_eq!(one("ipm = {}", &pair), [-4.0, -8.0]);
    assert_eq!(one("alie = { z = 1.5 }", &line(&[1.0, 4.0, 7.0])), [8.5]);
    for attack in ["min-max", "min-sum"] {
        assert_eq!(
            one(&format!("{attack} = {{ direction = 'sign', search = {{ optimum = {{}} }} }}"), &line(&[1.0, 3.0])),
            [1.0]
        );
    }
    assert_eq!(one("mimic = { target = 1 }", &pair), [3.0, 6.0]);
    assert_eq!(one("mimic = { target = 9 }", &pair), [3.0, 6.0]);
    assert_eq!(one("gaussian = { mean = 3, std = 0 }", &pair), [3.0, 3.0]);
    let first = one("rop = { location = 0 }", &tensor(&[vec![1.0, 0.0], vec![3.0, 0.0]]));
    assert!((first[0] - 2.0).abs() < 1e-12 && (first[1] - 1.0).abs() < 1e-12, "{first:?}");
    assert!(one("nan = {}", &pair).iter().all(|x| x.is_nan()));
    assert_eq!(rows(&forge(&kind("zero = {}"), &line(&[1.0, 2.0]), 2)), [[0.0], [0.0]]);
    // Three copies at distance 0, n − b − 2 = 1: chosen at once, so λ is the bound √(0.01/1) + 1.2.
    let krum = rows(&forge(&kind("fang-krum = {}"), &line(&[1.0, 1.1, 1.2]), 3)).concat();
    assert!(krum.iter().all(|x| (x + 1.3).abs() < 1e-9), "{krum:?}");
}

#[test]
fn partial_knowledge_of_fang_draws_three_to_four_deviations_away() {
    let own = tensor(&[vec![1.0, -5.0], vec![3.0, -7.0]]);
    let made = forge_with(&kind("fang-trimmed-mean = {}"), &own, &own, None, None, Knowledge::Own);
    let std = 2.0_f64.sqrt();
    for row in rows(&made) {
        assert!((2.0 - 4.0 * std..=2.0 - 3.0 * std).contains(&row[0]), "{row:?}");
        assert!((-6.0 + 3.0 * std..=-6.0 + 4.0 * std).contains(&row[1]), "{row:?}");
    }
}

#[test]
fn an_optimised_factor_without_a_defence_is_an_error() {
    let rows = tensor(&[vec![1.0], vec![2.0]]);
    let stream = Stream::root(0);
    let scene = Scene {
        seen: &rows,
        senders: &[0, 1],
        own: &rows,
        knowledge: Knowledge::Omniscient,
        clients: 4,
        defence: None,
        previous: None,
        stream: &stream,
    };
    let error = kind("ipm = { scale = 'optimised' }").build().unwrap().forge(&scene).unwrap_err();
    let expected =
        "an optimised factor needs the defence that it is optimised against; give a fixed factor, or the defence";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn a_nan_among_honest_rows_ends_every_search() {
    let rows = tensor(&[vec![1.0, 2.0], vec![f64::NAN, 0.0], vec![0.5, 1.0]]);
    for spec in [
        "min-max = {}",
        "min-max = { search = { bisection = {} } }",
        "min-sum = { search = { optimum = {} } }",
        "fang-krum = {}",
    ] {
        assert_eq!(forge(&kind(spec), &rows, 2).size(), [2, 2]);
    }
}
