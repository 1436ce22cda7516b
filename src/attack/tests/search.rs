//! Factors optimised in the span of the rows are those that brute force finds.

use super::*;
use crate::aggregate::Updates;
use crate::strategy::Custom;

/// Chains all of whose members see only distances.
const CHAINS: [&str; 12] = [
    "aggregate.mean.weights = 'uniform'",
    "pre = [{ clip = { norm = 4.0 } }]",
    "aggregate.krum = { f = 3 }",
    "aggregate.multi-krum = { f = 3 }",
    "aggregate.geometric-median = {}",
    "aggregate.mda = { f = 3 }",
    "aggregate.monna = { f = 3 }",
    "aggregate.caf = { f = 3 }",
    "aggregate.smea = { f = 3 }",
    "aggregate.clipped-clustering = {}",
    "pre = [{ nnm = { f = 3 } }]\naggregate.geometric-median = {}",
    "pre = [{ arc = { f = 3 } }, { bucketing = { size = 2 } }, { nnm = { f = 1 } }]\naggregate.multi-krum = { f = 1 }",
];

/// What attackers of 9 honest rows send, and how many columns the defence was asked about at most.
fn forged(chain: &str, spec: &str, seed: i64, in_span: bool) -> (Vec<f64>, i64) {
    let chain: Custom = toml::from_str(chain).unwrap();
    assert!(chain.sees_only_distances());
    let widest = std::cell::Cell::new(0);
    let aggregate = |rows: &Tensor| {
        widest.set(rows.size()[1].max(widest.get()));
        let updates = Updates { rows: rows.to_kind(Dtype::Float), samples: vec![1.0; rows.size()[0] as usize] };
        let zero = Tensor::zeros([rows.size()[1]], (Dtype::Float, tch::Device::Cpu));
        Ok(chain.build(1.0, &[]).step(&zero, updates, &Stream::root(1))?.weights)
    };
    let wave = |i: i64, j: i64| 0.4 + ((i * 37 + j * 101 + seed * 13) as f64).sin() + ((i + 3) as f64 * j as f64).cos();
    let honest: Vec<f64> = (0..9 * 400).map(|k| wave(k / 400, k % 400)).collect();
    let honest = Tensor::from_slice(&honest).view([9, 400]).to_kind(Dtype::Float);
    let own = Tensor::zeros([3, 400], (Dtype::Float, tch::Device::Cpu));
    let defence = Defence { aggregate: &aggregate, sees_only_distances: in_span };
    let made = forge_with(&kind(spec), &honest, &own, Some(defence), None, Knowledge::Omniscient);
    (numbers(&made).unwrap(), widest.get())
}

#[test]
fn a_search_in_the_span_of_the_rows_finds_what_brute_force_finds() {
    for chain in CHAINS {
        for (spec, seed) in [("ipm = { scale = 'optimised' }", 1), ("alie = { z = 'optimised' }", 2)] {
            let (fast, width) = forged(chain, spec, seed, true);
            let (slow, all) = forged(chain, spec, seed, false);
            assert!(fast == slow, "{chain}: {spec}: {} is not {}", fast[0], slow[0]);
            assert_eq!(all, 400);
            assert!(width <= 12, "{chain}: {width} columns are no span of 11 rows");
        }
    }
}

#[test]
fn rules_that_look_at_coordinates_are_asked_about_whole_rows() {
    for rule in ["median", "trimmed-mean", "meamed", "bulyan", "dnc", "signguard", "sign-vote", "centered-clipping"] {
        let chain: Custom = toml::from_str(&format!("aggregate.{rule} = {{}}")).unwrap();
        assert!(!chain.sees_only_distances(), "{rule}");
    }
    let apart: Custom = toml::from_str("aggregate.krum = {}\nper-block = true").unwrap();
    assert!(!apart.sees_only_distances(), "blocks have distances of their own");
}
