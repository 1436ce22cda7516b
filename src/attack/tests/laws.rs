//! Laws of attacks, on random rows.

use super::*;
use crate::attack::geometry::{Spread, deviation, mean};
use proptest::prelude::*;

/// One spelling or more of every attack that forges updates and needs no defence.
const ATTACKS: [&str; 19] = [
    "sign-flip = {}",
    "sign-flip = { of = 'own' }",
    "ipm = { scale = 0.5 }",
    "alie = {}",
    "alie = { z = 1.5, side = 'below' }",
    "min-max = {}",
    "min-max = { direction = 'std', search.optimum = {} }",
    "min-sum = { direction = 'sign' }",
    "min-sum = { bound = 'smallest', search.optimum = {} }",
    "fang-trimmed-mean = {}",
    "fang-trimmed-mean = { shared = true }",
    "fang-krum = {}",
    "mimic = { target = 1 }",
    "mimic = { target = 'learned' }",
    "rop = {}",
    "gaussian = {}",
    "gaussian = { shared = true, std = 0.1 }",
    "zero = {}",
    "backdoor = { boost = 2.0 }",
];

fn length(row: &[f64]) -> f64 {
    row.iter().map(|x| x * x).sum::<f64>().sqrt()
}

fn apart(a: &[f64], b: &[f64]) -> f64 {
    length(&a.iter().zip(b).map(|(a, b)| a - b).collect::<Vec<_>>())
}

/// Honest rows `[h, P]`, own rows `[b, P]`.
fn cases() -> impl Strategy<Value = (Vec<Vec<f64>>, Vec<Vec<f64>>)> {
    (2..=10_usize, 1..=4_usize, 1..=6_usize).prop_flat_map(|(h, b, p)| {
        let row = move || prop::collection::vec(-10.0_f64..10.0, p);
        (prop::collection::vec(row(), h), prop::collection::vec(row(), b))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_attacker_gets_one_finite_row_of_the_kind_of_the_others((honest, own) in cases()) {
        for dtype in [Dtype::Float, Dtype::Double] {
            let (honest, own) = (tensor(&honest).to_kind(dtype), tensor(&own).to_kind(dtype));
            for spec in ATTACKS {
                let made = forge_with(&kind(spec), &honest, &own, None, None, Knowledge::Omniscient);
                prop_assert_eq!(made.size(), own.size(), "{}", spec);
                prop_assert_eq!(made.kind(), dtype, "{}", spec);
                prop_assert!(rows(&made).concat().iter().all(|x| x.is_finite()), "{}", spec);
            }
        }
    }

    #[test]
    fn the_same_scene_gives_the_same_bytes_and_changes_nothing_in_it((honest, own) in cases()) {
        let (honest, own) = (tensor(&honest), tensor(&own));
        let before = (rows(&honest), rows(&own));
        for spec in ATTACKS {
            let once = forge_with(&kind(spec), &honest, &own, None, None, Knowledge::Omniscient);
            let again = forge_with(&kind(spec), &honest, &own, None, None, Knowledge::Omniscient);
            prop_assert_eq!(rows(&once), rows(&again), "{}", spec);
        }
        prop_assert_eq!(before, (rows(&honest), rows(&own)));
    }

    #[test]
    fn min_max_stays_within_the_largest_distance_between_honest_rows((honest, _) in cases()) {
        let most = honest.iter().flat_map(|a| honest.iter().map(move |b| apart(a, b))).fold(0.0, f64::max);
        for direction in ["unit-vector", "std", "sign"] {
            for search in ["halving", "optimum"] {
                let spec = format!("min-max = {{ direction = '{direction}', search.{search} = {{}} }}");
                let made = rows(&forge(&kind(&spec), &tensor(&honest), 1));
                let far = honest.iter().map(|row| apart(row, &made[0])).fold(0.0, f64::max);
                prop_assert!(far <= most * (1.0 + 1e-9), "{spec}: {far} is more than {most}");
            }
        }
    }

    #[test]
    fn min_sum_stays_within_the_largest_sum_of_an_honest_row((honest, _) in cases()) {
        let sum = |row: &[f64]| honest.iter().map(|other| apart(row, other).powi(2)).sum::<f64>();
        let most = honest.iter().map(|row| sum(row)).fold(0.0, f64::max);
        for search in ["halving", "optimum"] {
            let made = rows(&forge(&kind(&format!("min-sum = {{ search.{search} = {{}} }}")), &tensor(&honest), 1));
            prop_assert!(sum(&made[0]) <= most * (1.0 + 1e-9));
        }
    }

    #[test]
    fn the_optimum_pushes_at_least_as_far_as_the_halving_search((honest, _) in cases()) {
        let honest = tensor(&honest);
        let centre = numbers(&mean(&honest).unwrap()).unwrap();
        for attack in ["min-max", "min-sum"] {
            let pushed = |search: &str| {
                let made = rows(&forge(&kind(&format!("{attack} = {{ search.{search} = {{}} }}")), &honest, 1));
                apart(&made[0], &centre)
            };
            prop_assert!(pushed("optimum") >= pushed("halving") - 1e-7);
        }
    }

    #[test]
    fn alie_is_z_standard_deviations_from_the_mean((honest, _) in cases(), z in 0.0_f64..3.0) {
        let honest = tensor(&honest);
        let centre = numbers(&mean(&honest).unwrap()).unwrap();
        let std = numbers(&deviation(&honest, Spread::Sample).unwrap()).unwrap();
        let made = rows(&forge(&kind(&format!("alie = {{ z = {z:?} }}")), &honest, 2));
        for ((x, m), s) in made[1].iter().zip(centre).zip(std) {
            prop_assert!(((x - m) - z * s).abs() < 1e-9);
        }
    }

    #[test]
    fn fangs_values_lie_beyond_the_honest_ones_against_their_mean((honest, _) in cases()) {
        let made = rows(&forge(&kind("fang-trimmed-mean = {}"), &tensor(&honest), 3));
        for column in 0..honest[0].len() {
            let values = || honest.iter().map(|row| row[column]);
            let (least, most) = (values().fold(f64::MAX, f64::min), values().fold(f64::MIN, f64::max));
            let falling = values().sum::<f64>() < 0.0;
            for row in &made {
                let beyond = if falling { row[column] >= most } else { row[column] <= least };
                prop_assert!(beyond, "{row:?}");
            }
        }
    }

    #[test]
    fn rop_is_z_away_from_where_it_stands((honest, own) in cases(), z in 0.1_f64..5.0, angle in 10.0_f64..170.0) {
        prop_assume!(honest[0].len() > 1);
        let previous = Tensor::from_slice(&own[0]);
        let kind = kind(&format!("rop = {{ z = {z:?}, angle = {angle:?} }}"));
        let made = rows(&forge_with(&kind, &tensor(&honest), &tensor(&own), None, Some(&previous), Knowledge::Omniscient));
        prop_assert!((apart(&made[0], &own[0]) - z).abs() < 1e-9 * z.max(1.0));
    }

    #[test]
    fn formulas_of_deltas_are_those_of_gradients((honest, own) in cases(), lr in 0.01_f64..2.0) {
        let along = ["sign-flip = {}", "ipm = {}", "min-max = { search.optimum = {}, direction = 'sign' }",
            "min-sum = { search.optimum = {} }", "fang-trimmed-mean = {}", "mimic = {}"];
        let deltas = |rows: &[Vec<f64>]| rows.iter().map(|row| row.iter().map(|x| -lr * x).collect()).collect::<Vec<_>>();
        for spec in along {
            let of_gradients = forge_with(&kind(spec), &tensor(&honest), &tensor(&own), None, None, Knowledge::Omniscient);
            let of_deltas = forge_with(
                &kind(spec), &tensor(&deltas(&honest)), &tensor(&deltas(&own)), None, None, Knowledge::Omniscient);
            for (a, b) in deltas(&rows(&of_gradients)).concat().iter().zip(rows(&of_deltas).concat()) {
                prop_assert!((a - b).abs() <= 1e-6 * (1.0 + a.abs()), "{spec}: {a} is not {b}");
            }
        }
    }
}
