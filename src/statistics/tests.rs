//! Held to SciPy and statsmodels (`tests/fixtures/statistics.py`), to laws, and to what the words promise: how often an
//! interval holds the truth, how often a test cries.

use super::*;
use crate::seed::Stream;
use proptest::prelude::*;
use rand::Rng;
use rand_distr::StandardNormal;
use serde_json::Value;

fn fixture(part: &str) -> Vec<Value> {
    let whole: Value = serde_json::from_str(include_str!("../../tests/fixtures/statistics.json")).unwrap();
    let part = whole[part].as_array().unwrap().clone();
    assert!(part.len() > 1);
    part
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(number).collect()
}

fn near(found: f64, expected: &Value, tolerance: f64, what: &Value) {
    let expected = number(expected);
    assert!((found - expected).abs() <= tolerance * expected.abs().max(1e-3), "{found}, expected {expected}: {what}");
}

#[test]
fn comparisons_are_those_of_scipy() {
    for case in fixture("paired") {
        let found = paired(&numbers(&case["differences"])).unwrap();
        near(found.difference.mean, &case["mean"], 1e-9, &case);
        near(found.difference.sd.unwrap(), &case["sd"], 1e-9, &case);
        near(found.difference.low().unwrap(), &case["low"], 1e-7, &case);
        near(found.difference.high().unwrap(), &case["high"], 1e-7, &case);
        near(found.p.unwrap(), &case["p"], 1e-7, &case);
        near(found.flip.unwrap(), &case["flip"], 1e-9, &case);
    }
}

#[test]
fn holm_is_that_of_statsmodels_and_of_hand() {
    for case in fixture("holm") {
        let found = holm(&numbers(&case["p"])).unwrap();
        for (found, expected) in found.iter().zip(case["corrected"].as_array().unwrap()) {
            near(*found, expected, 1e-12, &case);
        }
    }
    assert_eq!((holm(&[]), holm(&[0.1, f64::NAN]), holm(&[1.5])), (Some(vec![]), None, None));
}

#[test]
fn power_and_the_seeds_that_it_asks_for_are_those_of_statsmodels() {
    for case in fixture("power") {
        let n = case["n"].as_u64().unwrap() as usize;
        let found = power(number(&case["effect"]), n, number(&case["alpha"])).unwrap();
        assert!((found - number(&case["power"])).abs() < 2e-6, "{found}: {case}");
    }
    for case in fixture("needed") {
        let [mean, sd, alpha, wanted] = ["mean", "sd", "alpha", "power"].map(|key| number(&case[key]));
        assert_eq!(seeds_needed(mean, sd, alpha, wanted), case["n"].as_u64().map(|n| n as usize), "{case}");
    }
    assert_eq!(seeds_needed(1e-6, 1.0, 0.05, 0.8), None, "more than 1,000");
    assert_eq!(seeds_needed(0.0, 1.0, 0.05, 0.8), None);
    assert_eq!(seeds_needed(0.1, 0.0, 0.05, 0.8), Some(6), "2 / 2⁶ is the first below 0.05");
    assert_eq!((power(1.0, 1, 0.05), power(f64::NAN, 3, 0.05), power(1.0, 3, 0.0)), (None, None, None));
}

#[test]
fn intervals_of_equivalence_gini_and_curves_are_those_of_numpy() {
    for case in fixture("tost") {
        let (low, high) = equivalence::interval(&numbers(&case["differences"]), number(&case["alpha"])).unwrap();
        near(low, &case["interval"][0], 1e-7, &case);
        near(high, &case["interval"][1], 1e-7, &case);
    }
    for case in fixture("gini") {
        near(gini(&numbers(&case["values"])).unwrap(), &case["gini"], 1e-12, &case);
    }
    for case in fixture("curve") {
        let (x, y) = (numbers(&case["x"]), numbers(&case["y"]));
        near(area(&x, &y).unwrap(), &case["area"], 1e-12, &case);
        match half_loss(&x, &y, number(&case["chance"])).unwrap() {
            f64::INFINITY => assert!(case["half"].is_null(), "{case}"),
            half => assert!((half - number(&case["half"])).abs() < 1e-6, "{half}: {case}"),
        }
    }
}

#[test]
fn what_has_no_answer_gets_none() {
    assert_eq!((paired(&[]), sign_flip(&[1.0]), gini(&[]), gini(&[-1.0])), (None, None, None, None));
    assert_eq!(paired(&[0.1]).unwrap().p, None);
    assert_eq!((area(&[0.0], &[0.5]), area(&[0.0, 1.0], &[0.0, 0.0])), (None, None));
    assert_eq!(half_loss(&[0.0, 1.0], &[0.1, 0.0], 0.14), None, "no better than chance from the start");
    assert_eq!((bootstrap(1, |_| 0.5), equivalence::interval(&[], 0.05)), (None, None));
    assert_eq!(equivalence::margin(f64::NAN, 3, 3, 0.05, 0.05), None);
}

#[test]
fn equal_differences_leave_the_judgement_to_their_signs() {
    let found = paired(&[0.1, 0.1, 0.1]).unwrap();
    assert_eq!((found.p, found.flip, found.test()), (Some(0.25), Some(0.25), "sign-flip test"));
    assert_eq!(paired(&[0.1, 0.2, 0.3]).unwrap().test(), "paired t-test");
    assert_eq!((paired(&[0.0, 0.0]).unwrap().p, paired(&[0.0; 17]).unwrap().p), (Some(1.0), Some(1.0)));
}

#[test]
fn the_margin_by_hand() {
    let found = equivalence::margin(0.1, 5, 5, 0.05, 0.05).unwrap();
    assert!((found.limit - 0.12396).abs() < 1e-4 && (found.margin - 0.22800).abs() < 1e-4, "{found:?}");
}

#[test]
fn a_bootstrap_of_three_seeds_is_their_range_and_may_be_endless() {
    // The middle of the drawn values: exact, where a mean rounds.
    let middle_of = |values: &'static [f64]| {
        move |draw: &[usize]| {
            let mut drawn: Vec<f64> = draw.iter().map(|&i| values[i]).collect();
            drawn.sort_by(f64::total_cmp);
            drawn[drawn.len() / 2]
        }
    };
    assert_eq!(bootstrap(3, middle_of(&[0.1, 0.5, 0.3])), Some((0.1, 0.5)));
    assert_eq!(bootstrap(2, middle_of(&[0.25, f64::INFINITY])), Some((0.25, f64::INFINITY)));
    let seven = || bootstrap(7, middle_of(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]));
    assert_eq!((seven(), bootstrap(7, middle_of(&[0.5; 7]))), (seven(), Some((0.5, 0.5))));
    assert!(seven().is_some_and(|(low, high)| low < 3.0 && high > 5.0));
}

/// Standard normal samples of `n`, `times` of them.
fn samples(n: usize, times: usize) -> Vec<Vec<f64>> {
    let mut rng = Stream::root(1).named("samples").at(n as u64).rng();
    (0..times).map(|_| (0..n).map(|_| rng.sample(StandardNormal)).collect()).collect()
}

/// The share of samples for which something holds; its own deviation is below 0.005.
fn share(n: usize, holds: impl Fn(&[f64]) -> bool) -> f64 {
    let samples = samples(n, 10_000);
    samples.iter().filter(|sample| holds(sample)).count() as f64 / samples.len() as f64
}

#[test]
fn ninety_five_of_a_hundred_intervals_hold_the_mean() {
    for n in [2, 3, 5, 10] {
        let held = share(n, |sample| {
            let s = summarise(sample).unwrap();
            (s.low().unwrap()..=s.high().unwrap()).contains(&0.0)
        });
        assert!((held - 0.95).abs() < 0.01, "{n} seeds: {held}");
    }
}

#[test]
fn the_test_cries_in_five_of_a_hundred_and_its_power_is_as_computed() {
    for n in [3, 5] {
        let called = share(n, |sample| paired(sample).unwrap().p.unwrap() < 0.05);
        assert!((called - 0.05).abs() < 0.01, "{n} seeds: {called}");
        let found = share(n, |sample| {
            let moved: Vec<f64> = sample.iter().map(|v| v + 1.5).collect();
            paired(&moved).unwrap().p.unwrap() < 0.05
        });
        assert!((found - power(1.5, n, 0.05).unwrap()).abs() < 0.02, "{n} seeds: {found}");
        assert_eq!(share(n, |sample| sign_flip(sample).unwrap() < 0.05), 0.0, "{n} signs cannot say so");
    }
}

#[test]
fn six_comparisons_without_a_difference_are_called_one_in_at_most_five_of_a_hundred() {
    let samples = samples(5, 12_000);
    let studies: Vec<_> = samples.chunks(6).collect();
    let called = |study: &&[Vec<f64>]| {
        let p: Vec<f64> = study.iter().map(|sample| paired(sample).unwrap().p.unwrap()).collect();
        holm(&p).unwrap().iter().any(|p| *p < 0.05)
    };
    let rate = studies.iter().filter(|study| called(study)).count() as f64 / studies.len() as f64;
    assert!(rate < 0.065, "{rate}");
}

#[test]
fn bootstrap_intervals_hold_the_mean_as_often_as_the_docs_say() {
    let held = |n: usize| {
        let samples = samples(n, 1_000);
        let holds = |sample: &&Vec<f64>| {
            let ends = bootstrap(n, |draw| draw.iter().map(|&i| sample[i]).sum::<f64>() / n as f64).unwrap();
            (ends.0..=ends.1).contains(&0.0)
        };
        samples.iter().filter(holds).count() as f64 / samples.len() as f64
    };
    let (three, five) = (held(3), held(5));
    assert!((three - 0.75).abs() < 0.05, "3 seeds: {three}");
    assert!((five - 0.90).abs() < 0.03, "5 seeds: {five}");
}

#[test]
fn a_change_of_the_size_of_the_margin_passes_in_at_most_five_of_a_hundred() {
    let five = samples(10, 10_000);
    let bound = equivalence::margin(1.0, 5, 5, 0.01, 0.05).unwrap();
    let distance = |sample: &Vec<f64>| {
        let mean = |half: &[f64]| half.iter().sum::<f64>() / half.len() as f64;
        mean(&sample[5..]) - mean(&sample[..5])
    };
    let alarms = five.iter().filter(|s| distance(s).abs() > bound.limit).count() as f64 / 10_000.0;
    let missed = five.iter().filter(|s| (distance(s) + bound.margin).abs() <= bound.limit).count() as f64 / 10_000.0;
    assert!((alarms - 0.01).abs() < 0.004 && (missed - 0.05).abs() < 0.01, "{alarms} {missed}");
}

fn differences() -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec(-1.0..1.0f64, 2..9)
}

proptest! {
    #[test]
    fn the_order_of_seeds_does_not_matter_and_the_sign_only_turns_the_mean(values in differences(), turn in 0usize..9) {
        let (a, mut other) = (paired(&values).unwrap(), values.clone());
        other.rotate_left(turn % values.len());
        other.iter_mut().for_each(|v| *v = -*v);
        let b = paired(&other).unwrap();
        prop_assert!((a.difference.mean + b.difference.mean).abs() < 1e-12);
        prop_assert!((a.p.unwrap() - b.p.unwrap()).abs() < 1e-9 && a.flip == b.flip);
    }

    #[test]
    fn a_shift_of_both_scores_changes_no_comparison_and_scale_no_p(values in differences(), by in 0.01..10.0f64) {
        let scaled: Vec<f64> = values.iter().map(|v| v * by).collect();
        let (a, b) = (paired(&values).unwrap(), paired(&scaled).unwrap());
        prop_assert!((a.p.unwrap() - b.p.unwrap()).abs() < 1e-6);
    }

    #[test]
    fn holm_never_lowers_a_p_nor_changes_their_order(p in prop::collection::vec(0.0..=1.0f64, 1..12)) {
        let corrected = holm(&p).unwrap();
        for i in 0..p.len() {
            prop_assert!(corrected[i] >= p[i] && corrected[i] <= 1.0);
            for j in 0..p.len() {
                prop_assert!(p[i] > p[j] || corrected[i] <= corrected[j]);
            }
        }
    }

    #[test]
    fn gini_lies_in_its_range_and_knows_no_scale(values in prop::collection::vec(0.0..1.0f64, 1..12), by in 0.1..9.0f64) {
        let g = gini(&values).unwrap();
        let scaled: Vec<f64> = values.iter().rev().map(|v| v * by).collect();
        prop_assert!((0.0..1.0).contains(&g) && (g - gini(&scaled).unwrap()).abs() < 1e-9);
    }

    #[test]
    fn more_seeds_have_more_power(effect in 0.1..3.0f64, n in 2usize..30) {
        prop_assert!(power(effect, n, 0.05).unwrap() < power(effect, n + 1, 0.05).unwrap() + 1e-9);
    }

    #[test]
    fn half_of_a_falling_line_is_lost_where_the_line_says(clean in 0.5..1.0f64, chance in 0.0..0.4f64) {
        // From clean at 0 straight to chance at 1: half of the gain is gone at one half.
        let half = half_loss(&[0.0, 0.3, 1.0], &[clean, clean + 0.3 * (chance - clean), chance], chance).unwrap();
        prop_assert!((half - 0.5).abs() < 1e-9);
    }
}
