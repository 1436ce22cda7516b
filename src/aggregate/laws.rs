//! Laws that hold for every member of a kind, on random rows.

use super::*;
use crate::seed::Stream;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

/// Rules that commute with shift and scale, and do not mind the order of clients (but for ties).
const RULES: [&str; 15] = [
    "mean = {}",
    "mean = { weights = 'uniform' }",
    "mean = { cap = 30.0 }",
    "median = {}",
    "trimmed-mean = { f = 1 }",
    "trimmed-mean = { share = 0.3 }",
    "meamed = { f = 1 }",
    "krum = { f = 0 }",
    "multi-krum = { f = 1, neighbours = 'n-f-1' }",
    "geometric-median = {}",
    "mda = { f = 1 }",
    "caf = { f = 1 }",
    "smea = { f = 1 }",
    "dnc = { f = 1 }",
    "bulyan = { f = 0 }",
];

/// Rules that do not commute with a shift, because lengths and angles are from zero, but with a rotation of the order.
const FROM_ZERO: [&str; 8] = [
    "centered-clipping = { tau = 3.0, steps = 2 }",
    "geometric-median = { steps = 3, start = 'zero', nu = 0.1 }",
    "clipped-clustering = {}",
    "signguard = { coordinates = 1.0 }",
    "sign-vote = { lr = 0.1 }",
    "foolsgold = { memory = false }",
    "flame = { noise = 0.0 }",
    "dp-mean = { norm = 4.0, noise = 0.0 }",
];

/// A multiple of the honest spread, from n and f.
type Multiple = fn(f64, f64) -> f64;

/// Rules that stay near the honest rows, with how far their result may be from the honest mean as a multiple of the largest
/// distance of an honest row from it, for f of n rows (and what they need). Loose: proofs give better for some.
const NEAR: [(&str, usize, usize, Multiple); 9] = [
    ("median", 2, 1, |_, _| 3.0),
    ("krum", 2, 3, |_, _| 6.0),
    ("multi-krum", 2, 3, |n, f| 6.0 * n / (n - 2.0 * f)),
    ("bulyan", 4, 3, |_, _| 6.0),
    ("geometric-median", 2, 1, |n, f| 2.0 * (n - f) / (n - 2.0 * f)),
    ("mda", 2, 1, |n, f| 2.0 + 2.0 * f / (n - 2.0 * f)),
    ("smea", 2, 1, |n, f| 2.0 * n / (n - 2.0 * f)),
    ("caf", 2, 1, |n, f| 4.0 * n / (n - 2.0 * f)),
    ("meamed", 2, 1, |n, f| 4.0 * n / (n - f)),
];

fn aggregate(spec: &str, rows: &[Vec<f32>], samples: &[f64]) -> Vec<f64> {
    let mut rule = toml::from_str::<rule::Config>(spec).unwrap().build();
    numbers(&rule.aggregate(&updates(rows, samples), &Stream::root(0)).unwrap()).unwrap()
}

fn updates(rows: &[Vec<f32>], samples: &[f64]) -> Updates {
    let flat = Tensor::from_slice(&rows.concat()).view([rows.len() as i64, -1]);
    Updates { rows: flat, samples: samples.to_vec() }
}

fn close(a: &[f64], b: &[f64], size: f64) -> std::result::Result<(), TestCaseError> {
    prop_assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-5 * size), "{a:?} is not {b:?}");
    Ok(())
}

fn permuted<T: Clone>(values: &[T], order: &[usize]) -> Vec<T> {
    order.iter().map(|&i| values[i].clone()).collect()
}

/// Rows `[n, P]` of values in −10..10 with n from 3 to 12 and P from 1 to 6, samples, and an order of the rows.
fn cases() -> impl Strategy<Value = (Vec<Vec<f32>>, Vec<f64>, Vec<usize>)> {
    (3..=12_usize, 1..=6_usize).prop_flat_map(|(n, p)| {
        let rows = prop::collection::vec(prop::collection::vec(-10.0_f32..10.0, p), n);
        let samples = prop::collection::vec((1..100_u32).prop_map(f64::from), n);
        (rows, samples, Just((0..n).collect::<Vec<usize>>()).prop_shuffle())
    })
}

/// Values that an attacker likes.
fn hostile() -> impl Strategy<Value = f32> {
    prop_oneof![Just(1e30_f32), Just(-1e30), Just(f32::MAX), Just(f32::MIN), Just(0.0), -20.0_f32..20.0]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_order_of_clients_does_not_matter((rows, samples, order) in cases()) {
        for spec in RULES.iter().chain(&FROM_ZERO) {
            let straight = aggregate(spec, &rows, &samples);
            let other = aggregate(spec, &permuted(&rows, &order), &permuted(&samples, &order));
            // Where several choices are equally good, the lowest index is taken, and that does depend on the order.
            let halves = spec.starts_with("clipped-clustering") && rows.len() % 2 == 0;
            // Many subsets share the one pair that makes their diameter; signs are too coarse to tell rows apart.
            let coarse = spec.starts_with("mda") || spec.starts_with("signguard");
            let ties = rows.len() < 4 || rows[0].len() < 2 || halves || coarse;
            if !ties || spec.starts_with("me") || spec.starts_with("trimmed") {
                close(&straight, &other, 10.0).map_err(|e| TestCaseError::fail(format!("{spec}: {e}")))?;
            }
        }
    }

    #[test]
    fn shift_and_scale_commute_with_a_rule((rows, samples, _) in cases(), shift in -10.0_f32..10.0, scale in prop_oneof![-4.0_f32..-0.5, 0.5_f32..4.0]) {
        let moved: Vec<Vec<f32>> = rows.iter().map(|row| row.iter().map(|x| scale * x + shift).collect()).collect();
        for spec in RULES {
            let expected: Vec<f64> =
                aggregate(spec, &rows, &samples).iter().map(|x| scale as f64 * x + shift as f64).collect();
            // Rows on a line tie for rules that choose, and f32 rounds the ties apart.
            if rows[0].len() > 1 || spec.starts_with("me") || spec.starts_with("trimmed") {
                close(&expected, &aggregate(spec, &moved, &samples), 50.0)
                    .map_err(|e| TestCaseError::fail(format!("{spec}: {e}")))?;
            }
        }
    }

    #[test]
    fn equal_rows_give_that_row((rows, samples, _) in cases()) {
        let equal = vec![rows[0].clone(); rows.len()];
        let row: Vec<f64> = rows[0].iter().map(|x| *x as f64).collect();
        for spec in RULES {
            close(&row, &aggregate(spec, &equal, &samples), 10.0)?;
        }
        prop_assert_eq!(&row, &aggregate("median = {}", &equal, &samples));
        prop_assert_eq!(&row, &aggregate("trimmed-mean = { f = 1 }", &equal, &samples));
    }

    #[test]
    fn up_to_f_arbitrary_rows_do_not_lead_out_of_the_range_of_the_honest(
        (rows, _, order) in cases(),
        bad in prop::collection::vec(prop::collection::vec(hostile(), 6), 0..=5),
    ) {
        let f = bad.len().min((rows.len() - 1) / 2);
        let all: Vec<Vec<f32>> = rows.iter().cloned().chain(bad[..f].iter().map(|row| row[..rows[0].len()].to_vec())).collect();
        let order: Vec<usize> = order.into_iter().chain(rows.len()..all.len()).rev().collect();
        let samples = vec![1.0; all.len()];
        for spec in ["median = {}".to_string(), format!("trimmed-mean = {{ f = {f} }}")] {
            let made = aggregate(&spec, &permuted(&all, &order), &samples);
            for (column, value) in made.iter().enumerate() {
                let honest = rows.iter().map(|row| row[column] as f64);
                let (least, most) = honest.fold((f64::MAX, f64::MIN), |(a, b), x| (a.min(x), b.max(x)));
                prop_assert!((least..=most).contains(value), "{spec}: {value} is not in {least}..={most}");
            }
        }
    }

    #[test]
    fn up_to_f_arbitrary_rows_leave_the_result_near_the_honest_mean(
        (rows, _, order) in cases(),
        bad in prop::collection::vec(prop::collection::vec(hostile(), 6), 0..=5),
    ) {
        for (name, k, d, multiple) in NEAR {
            // The largest f that the rule takes when so many rows are added to the honest ones: k f + d ≤ h + f.
            let f = bad.len().min(rows.len().saturating_sub(d) / (k - 1));
            if rows.len() + f < k * f + d {
                continue;
            }
            let all: Vec<Vec<f32>> = rows.iter().cloned().chain(bad[..f].iter().map(|row| row[..rows[0].len()].to_vec())).collect();
            let order: Vec<usize> = order.iter().copied().chain(rows.len()..all.len()).rev().collect();
            let f_of = if ["median", "geometric-median"].contains(&name) { String::new() } else { format!("f = {f}") };
            let made = aggregate(&format!("{name} = {{ {f_of} }}"), &permuted(&all, &order), &vec![1.0; all.len()]);
            let columns = 0..rows[0].len();
            let mean: Vec<f64> = columns.map(|c| rows.iter().map(|row| row[c] as f64).sum::<f64>() / rows.len() as f64).collect();
            let away = |row: &[f64]| row.iter().zip(&mean).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
            let spread = rows.iter().map(|row| away(&row.iter().map(|x| *x as f64).collect::<Vec<f64>>())).fold(0.0, f64::max);
            // Coordinate by coordinate the bound holds for each, so over P of them for √P times as much.
            let bound = multiple(all.len() as f64, f as f64) * (rows[0].len() as f64).sqrt() * spread + 1e-4;
            prop_assert!(away(&made) <= bound, "{name}, f = {f}: {made:?} is {} from the honest mean, above {bound}", away(&made));
        }
    }

    #[test]
    fn rows_with_a_nan_or_an_infinity_do_what_their_absence_does(
        (rows, samples, order) in cases(),
        bad in prop::collection::vec(prop_oneof![Just(f32::NAN), Just(f32::INFINITY), Just(f32::NEG_INFINITY)], 0..=4),
    ) {
        let zero = Tensor::zeros([rows[0].len() as i64], (Kind::Float, Device::Cpu));
        let all: Vec<Vec<f32>> = rows.iter().cloned().chain(bad.iter().map(|x| vec![*x; rows[0].len()])).collect();
        let weights = [samples.clone(), vec![7.0; bad.len()]].concat();
        for spec in RULES.iter().chain(&FROM_ZERO) {
            let mut pipeline = toml::from_str::<crate::strategy::Custom>(&format!("aggregate.{spec}")).unwrap().build(0.1, &[]);
            // Bad rows anywhere among the honest ones, these in their order.
            let mut place: Vec<usize> = (0..rows.len()).collect();
            (0..bad.len()).for_each(|b| place.insert(order[b % order.len()] % (place.len() + 1), rows.len() + b));
            let Stepped { weights: made, excluded, .. } =
                pipeline.step(&zero, updates(&permuted(&all, &place), &permuted(&weights, &place)), &Stream::root(0)).unwrap();
            prop_assert_eq!(excluded, bad.len());
            prop_assert_eq!(numbers(&made).unwrap(), aggregate(spec, &rows, &samples), "{}", spec);
        }
    }

    #[test]
    fn the_state_of_a_rule_survives_a_checkpoint((rows, samples, _) in cases(), (more, ..) in cases()) {
        for spec in RULES.iter().chain(&FROM_ZERO) {
            let config = toml::from_str::<rule::Config>(spec).unwrap();
            let (mut one, mut other) = (config.build(), config.build());
            let stream = Stream::root(1);
            let _ = one.aggregate(&updates(&rows, &samples), &stream).unwrap();
            other.restore(one.state());
            let next: Vec<Vec<f32>> = more.iter().map(|row| (0..rows[0].len()).map(|c| row[c % row.len()]).collect()).collect();
            let next_samples = vec![2.0; next.len()];
            let again = [&mut one, &mut other].map(|rule| {
                numbers(&rule.aggregate(&updates(&next, &next_samples), &stream).unwrap()).unwrap()
            });
            prop_assert_eq!(&again[0], &again[1], "{}", spec);
        }
    }

    #[test]
    fn full_buckets_keep_the_mean((rows, _, _) in cases(), seed in 0..1000_u64) {
        let doubled = [rows.clone(), rows].concat();
        let before = updates(&doubled, &vec![1.0; doubled.len()]);
        let mean = numbers(&before.rows.mean_dim([0_i64].as_slice(), false, Kind::Double)).unwrap();
        let mut bucketing = pre::Config::Bucketing(pre::bucketing::Config { size: 2 }).build();
        let after = bucketing.apply(before, &Stream::root(seed)).unwrap();
        prop_assert_eq!(after.samples.iter().sum::<f64>(), doubled.len() as f64);
        close(&mean, &numbers(&after.rows.mean_dim([0_i64].as_slice(), false, Kind::Double)).unwrap(), 10.0)?;
    }

    #[test]
    fn clipped_rows_are_no_longer_than_asked_and_keep_their_direction((rows, samples, _) in cases(), norm in 0.01_f64..20.0) {
        let before = updates(&rows, &samples);
        let original = before.rows.copy();
        let after = pre::Config::Clip(pre::clip::Config { norm }).build().apply(before, &Stream::root(0)).unwrap();
        for (x, y) in original.unbind(0).iter().zip(after.rows.unbind(0)) {
            let length = |row: &Tensor| numbers(&row.to_kind(Kind::Double).norm()).unwrap()[0];
            prop_assert!(length(&y) <= norm * (1.0 + 1e-6));
            let along = numbers(&x.to_kind(Kind::Double).dot(&y.to_kind(Kind::Double))).unwrap()[0];
            prop_assert!((along - length(x) * length(&y)).abs() <= 1e-5 * along.abs() + 1e-9);
        }
    }

    #[test]
    fn mixing_stays_in_the_range_of_the_rows_and_leaves_equal_rows((rows, samples, _) in cases()) {
        let mut nnm = pre::Config::Nnm(pre::nnm::Config { f: 1 }).build();
        let mixed = nnm.apply(updates(&rows, &samples), &Stream::root(0)).unwrap();
        let (low, high) = (updates(&rows, &samples).rows.amin([0_i64].as_slice(), false), updates(&rows, &samples).rows.amax([0_i64].as_slice(), false));
        let inside = mixed.rows.ge_tensor(&(low - 1e-4)).logical_and(&mixed.rows.le_tensor(&(high + 1e-4))).all();
        prop_assert_eq!(numbers(&inside).unwrap(), vec![1.0]);
        prop_assert_eq!(mixed.samples, samples.clone());
        let equal = vec![rows[0].clone(); rows.len()];
        let same = nnm.apply(updates(&equal, &samples), &Stream::root(0)).unwrap();
        close(&numbers(&same.rows).unwrap(), &equal.concat().iter().map(|x| *x as f64).collect::<Vec<_>>(), 10.0)?;
    }
}
