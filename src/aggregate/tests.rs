//! The pipeline as a whole.

use super::*;
use crate::seed::Stream;
use crate::strategy;

fn updates(rows: &[[f32; 2]]) -> Updates {
    let samples = (1..=rows.len()).map(|k| k as f64).collect();
    Updates { rows: Tensor::from_slice2(rows), samples }
}

fn build(text: &str) -> Pipeline {
    toml::from_str::<strategy::Custom>(text).unwrap().build(0.1, &[])
}

#[test]
fn rows_with_a_nan_or_an_infinity_are_set_aside_with_their_samples() {
    let rows = [[1.0, 2.0], [f32::NAN, 0.0], [f32::INFINITY, 1.0], [3.0, 4.0], [0.0, f32::NEG_INFINITY]];
    let (left, excluded) = updates(&rows).exclude_non_finite().unwrap();
    assert_eq!(excluded, 3);
    assert_eq!(left.samples, [1.0, 4.0]);
    assert_eq!(left.rows, Tensor::from_slice2(&[[1.0_f32, 2.0], [3.0, 4.0]]));
}

#[test]
fn defect_4_byzfl_one_row_of_nan_takes_no_rule_with_it() {
    // There Median, GeometricMedian, Krum and Meamed give NaN.
    let mut rows: Vec<[f32; 2]> = (0..9).map(|i| [1.0 + 0.1 * i as f32, 2.0]).collect();
    rows.push([f32::NAN, f32::NAN]);
    let zero = Tensor::from_slice(&[0.0_f32, 0.0]);
    // These need to be told more than rows.
    let told = ["foolsgold", "fltrust", "torchscript"];
    for name in rule::CHOICES.iter().map(|about| about.name).filter(|name| !told.contains(name)) {
        let mut pipeline = build(&format!("aggregate.{name} = {{}}"));
        let made = pipeline.step(&zero, updates(&rows), &Stream::root(1)).unwrap();
        assert_eq!(made.excluded, 1, "{name}");
        assert!(numbers(&made.weights).unwrap().iter().all(|x| x.is_finite()), "{name}");
    }
}

#[test]
fn the_largest_finite_numbers_stay() {
    let (left, excluded) = updates(&[[f32::MAX, f32::MAX], [f32::MIN, f32::MIN]]).exclude_non_finite().unwrap();
    assert_eq!((left.len(), excluded), (2, 0));
}

#[test]
fn a_round_of_bad_rows_leaves_weights_and_state_as_they_are() {
    let mut pipeline = build("server.sgd = { momentum = 0.9 }");
    let weights = Tensor::from_slice(&[1.0_f32, -1.0]);
    let bad = updates(&[[f32::NAN, 0.0], [0.0, f32::INFINITY]]);
    let Stepped { weights: after, excluded, .. } = pipeline.step(&weights, bad, &Stream::root(1)).unwrap();
    assert_eq!((after, excluded), (weights, 2));
    assert!(pipeline.state().is_empty());
}

#[test]
fn a_round_without_rows_changes_nothing() {
    let weights = Tensor::from_slice(&[1.0_f32, -1.0]);
    let nobody = Updates { rows: Tensor::zeros([0, 2], (Kind::Float, Device::Cpu)), samples: vec![] };
    let Stepped { weights: after, excluded, .. } = build("").step(&weights, nobody, &Stream::root(1)).unwrap();
    assert_eq!((after, excluded), (weights, 0));
}

#[test]
fn plain_fedavg_is_the_sample_weighted_mean_of_the_local_weights() {
    // (1 · [1, 2] + 2 · [4, 5]) / 3 = [3, 4]; from [10, 20] to [13, 24].
    let weights = Tensor::from_slice(&[10.0_f32, 20.0]);
    let Stepped { weights: after, .. } =
        build("").step(&weights, updates(&[[1.0, 2.0], [4.0, 5.0]]), &Stream::root(1)).unwrap();
    assert!(after.allclose(&Tensor::from_slice(&[13.0_f32, 24.0]), 1e-6, 0.0, false));
}

#[test]
fn a_restored_pipeline_continues_to_the_same_bytes() {
    let text = "pre = [{ bucketing = { size = 2 } }]\nserver.yogi = {}";
    let (mut one, mut other) = (build(text), build(text));
    let start = Tensor::from_slice(&[0.5_f32, -0.5]);
    let rows = [[0.3, 0.1], [0.2, -0.4], [0.7, 0.9]];
    let stream = Stream::root(5);
    let Stepped { weights: middle, .. } = one.step(&start, updates(&rows), &stream.at(0)).unwrap();
    let names: Vec<String> = one.state().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["server.m", "server.v"]);
    other.restore(&one.state());
    let Stepped { weights: a, .. } = one.step(&middle, updates(&rows), &stream.at(1)).unwrap();
    let Stepped { weights: b, .. } = other.step(&middle, updates(&rows), &stream.at(1)).unwrap();
    assert_eq!(a, b);
    assert_ne!(a, middle);
}

#[test]
fn what_becomes_of_a_row_with_a_nan_is_for_the_user_to_say() {
    let rows = [[1.0, 1.0], [f32::NAN, 0.0], [3.0, 3.0]];
    let zero = Tensor::from_slice(&[0.0_f32, 0.0]);
    let step = |text: &str| build(text).step(&zero, updates(&rows), &Stream::root(1));
    let Stepped { weights: median, excluded, .. } = step("aggregate.median = {}").unwrap();
    assert_eq!((numbers(&median).unwrap(), excluded), (vec![2.0, 2.0], 1));
    let Stepped { weights: median, excluded, .. } = step("aggregate.median = {}\nnan = 'propagate'").unwrap();
    assert!(numbers(&median).unwrap()[0].is_nan() && excluded == 0);
    let Stepped { weights: nearest, .. } = step("aggregate.mda = { f = 1 }\nnan = 'propagate'").unwrap();
    assert_eq!(numbers(&nearest).unwrap(), [2.0, 2.0]);
    assert_eq!(
        step("aggregate.median = {}\nnan = 'error'").unwrap_err().to_string(),
        "row 2 of the 3 updates of the round holds a NaN or an infinity (1 such rows), and nan = \"error\"; \
         nan = \"exclude\" sets such rows aside"
    );
}

#[test]
fn a_rule_behind_linear_pre_aggregators_sees_the_points_of_the_rows_it_gets() {
    // The chain computes one Gram product; the rule must decide as if it had computed its own.
    let rows: Vec<[f32; 2]> =
        (0..9).map(|i| [(i * i % 7) as f32, (i * 5 % 11) as f32 * if i == 8 { 1e6 } else { 1.0 }]).collect();
    let zero = Tensor::from_slice(&[0.0_f32, 0.0]);
    let stream = Stream::root(3);
    for pre in
        ["{ clip = { norm = 4.0 } }", "{ arc = { f = 2 } }", "{ nnm = { f = 2 } }", "{ bucketing = { size = 2 } }"]
    {
        let chain = format!("pre = [{{ nnm = {{ f = 1 }} }}, {pre}]\naggregate.multi-krum = {{ f = 1, m = 2 }}");
        let Stepped { weights: made, .. } = build(&chain).step(&zero, updates(&rows), &stream).unwrap();
        let mut pipeline = build(&chain);
        let mut apart = updates(&rows);
        for (place, pre) in pipeline.chains[0].pre.iter_mut().enumerate() {
            apart = pre.apply(apart, &stream.named("pre").at(place as u64)).unwrap();
        }
        assert_eq!(made, pipeline.chains[0].rule.aggregate(&apart, &stream).unwrap(), "{pre}");
        for rule in ["caf = { f = 1 }", "smea = { f = 1 }", "dnc = { f = 1 }", "monna = { f = 1 }"] {
            let mut pipeline = build(&chain.replace("multi-krum = { f = 1, m = 2 }", rule));
            let alone = pipeline.chains[0].rule.aggregate(&apart, &stream).unwrap();
            let Stepped { weights: made, .. } = pipeline.step(&zero, updates(&rows), &stream).unwrap();
            assert!(made.allclose(&alone, 1e-5, 1e-5, false), "{pre} {rule}: {made} is not {alone}");
        }
    }
}

#[test]
fn clients_that_are_told_reach_a_rule_that_remembers_them() {
    let mut pipeline = build("aggregate.foolsgold = {}");
    let zero = Tensor::from_slice(&[0.0_f32, 0.0]);
    let rows = [[1.0, 0.0], [f32::NAN, 0.0], [0.0, 1.0]];
    let senders = Senders { clients: Some(&[7, 8, 9]), ..Senders::default() };
    let stepped = pipeline.step_of(&zero, updates(&rows), &senders, &Stream::root(1)).unwrap();
    assert_eq!((stepped.excluded, stepped.stayed), (1, 0));
    let names: Vec<String> = pipeline.state().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["rule.history.7", "rule.history.9"]);
    assert!(build("aggregate.foolsgold = {}").step(&zero, updates(&rows), &Stream::root(1)).is_err());
}

#[test]
fn a_pipeline_may_move_to_another_thread() {
    fn sendable<T: Send>(_: &T) {}
    sendable(&build(""));
}

#[test]
fn a_round_with_too_few_rows_ends_the_run_or_is_skipped() {
    let weights = Tensor::from_slice(&[1.0_f32, -1.0]);
    let rows = [[1.0, 2.0], [3.0, 4.0]];
    let mut strict = build("aggregate.krum = { f = 1 }");
    let error = strict.step(&weights, updates(&rows), &Stream::root(1)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "krum with f = 1 met a round with 2 rows; it needs at least 5. Lower f, or draw a larger cohort."
    );
    let mut lenient = build("aggregate.krum = { f = 1 }\nserver.sgd = { momentum = 0.9 }\ntoo-few = 'skip'");
    let stepped = lenient.step(&weights, updates(&rows), &Stream::root(1)).unwrap();
    assert_eq!((stepped.weights, stepped.stayed, lenient.state().len()), (weights.shallow_clone(), 1, 0));
    let stepped = lenient.step(&weights, updates(&[[1.0, 1.0]; 5]), &Stream::root(1)).unwrap();
    assert_eq!((numbers(&stepped.weights).unwrap(), stepped.stayed), (vec![2.0, 0.0], 0));
    // Other errors are none of its business.
    let mut bad = build("nan = 'error'\ntoo-few = 'skip'");
    assert!(bad.step(&weights, updates(&[[f32::NAN, 0.0]]), &Stream::root(1)).is_err());
}
