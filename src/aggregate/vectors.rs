//! Agreement with what other simulators publish or compute: `tests/fixtures/aggregator_vectors.json`, each with its source.
//!
//! The rows go straight to the members, without setting non-finite ones aside, as the peers do.

use super::*;
use crate::aggregate::rule::Rule;
use crate::aggregate::{pre, rule};
use crate::seed::Stream;
use serde_json::{Value, json};

/// What is in the file and is not held to it, and why: name, set (any where empty), reason.
const LEFT_OUT: &[(&str, &str, &str)] = &[
    ("ByzFL/pre/NNM", "n8_d3_f2_duplicates", TIES),
    ("ByzFL/pipeline NNM->GeometricMedian", "n8_d3_f2_duplicates", TIES),
    ("ByzFL/pipeline ARC->NNM->Median", "n8_d3_f2_duplicates", TIES),
    ("ByzFL/CenteredClipping", "n5_d2_f1_inf", "its note: the peer lets a NaN through, a defect"),
    ("ByzFL/pre/Clipping", "n5_d2_f1_inf", "its note: the peer lets a NaN through, a defect"),
    ("ByzFL/pre/ARC", "n5_d2_f1_inf", "its note: the peer lets a NaN through, a defect"),
    ("ByzFL/pre/Bucketing", "", "random; compared as a set below"),
    ("Blades/GeoMed", "without a number", "its note: no expected number; compared by optimality below"),
    ("FLSim/Aggregator SUM", "", "there is no such rule: a sum is not an average of updates"),
    ("FLSim/Aggregator WEIGHTED_SUM", "", "there is no such rule: a sum is not an average of updates"),
    ("TFF/zeroing", "", "there is no such pre-aggregator"),
];

const TIES: &str = "its note: ties are broken by the peer's unstable partition, not by a rule";

/// Vectors that are compared in the main test; one of several rounds counts as several.
const COMPARED: usize = 189;

fn vectors() -> Vec<Value> {
    serde_json::from_str(include_str!("../../tests/fixtures/aggregator_vectors.json")).unwrap()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| value.as_str().unwrap().parse().unwrap())
}

fn list(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(values) => values.iter().flat_map(list).collect(),
        one => vec![number(one)],
    }
}

fn input(vector: &Value) -> Updates {
    let n = vector["input"].as_array().unwrap().len() as i64;
    let rows = Tensor::from_slice(&list(&vector["input"])).to_kind(Kind::Float).view([n, -1]);
    let weights = ["weights", "num_examples"].iter().find_map(|key| vector["params"].get(key));
    Updates { rows, samples: weights.map_or(vec![1.0; n as usize], list) }
}

/// The members that a vector speaks of, as `custom` would spell them.
fn members(vector: &Value) -> (Vec<Value>, Option<Value>) {
    let (name, p) = (vector["aggregator"].as_str().unwrap(), &vector["params"]);
    let f = if p["f"].is_null() {
        if p["num_byzantine"].is_null() { &p["num_malicious"] } else { &p["num_byzantine"] }
    } else {
        &p["f"]
    };
    let clip = |norm: &Value| json!({ "clip": { "norm": norm } });
    let (nnm, arc) = (json!({ "nnm": { "f": f } }), json!({ "arc": { "f": f } }));
    let trim = json!({ "trimmed-mean": { "f": f } });
    let weiszfeld =
        |nu: &Value, steps: &Value| json!({ "geometric-median": { "start": "zero", "nu": nu, "steps": steps } });
    match name {
        "ByzFL/Average" | "Blades/Mean" | "FLSim/Aggregator AVERAGE" => {
            only(json!({ "mean": { "weights": "uniform" } }))
        }
        "Flower/aggregate (FedAvg)"
        | "FedJAX/mean_aggregator"
        | "FLSim/Aggregator WEIGHTED_AVERAGE"
        | "Flower/FedAvgM" => only(json!({ "mean": {} })),
        "ByzFL/Median" | "Blades/Median" | "Flower/FedMedian" => only(json!({ "median": {} })),
        "ByzFL/TrMean" | "Blades/Trimmedmean" => only(trim),
        "Flower/FedTrimmedAvg" => only(json!({ "trimmed-mean": { "share": p["beta"] } })),
        "ByzFL/Meamed" => only(json!({ "meamed": { "f": f } })),
        "Krum paper" => only(json!({ "krum": { "f": f } })),
        "ByzFL/Krum" => only(json!({ "krum": { "f": f, "neighbours": "n-f-1" } })),
        "Flower/Krum" => only(json!({ "krum": { "f": f, "neighbours": "n-f-2-or-1" } })),
        "ByzFL/MultiKrum" => only(json!({ "multi-krum": { "f": f, "neighbours": "n-f-1" } })),
        "Blades/Multikrum" => only(json!({ "multi-krum": { "f": f, "m": p["k"], "power": 4 } })),
        flower if flower.starts_with("Flower/MultiKrum") => {
            let m = ["to_keep", "num_clients_to_keep", "num_nodes_to_select"].iter().find_map(|key| p.get(key));
            only(json!({ "multi-krum": { "f": f, "m": m, "neighbours": "n-f-2-or-1" } }))
        }
        bulyan if bulyan.starts_with("Flower/Bulyan") => only(json!({ "bulyan": { "f": f } })),
        "ByzFL/GeometricMedian" => only(weiszfeld(&p["nu"], &p["T"])),
        "Blades/GeoMed" => only(
            json!({ "geometric-median": { "nu": p["eps"], "steps": p["maxiter"], "objective-tolerance": p["ftol"] } }),
        ),
        "ByzFL/CenteredClipping" => only(json!({ "centered-clipping": { "tau": p["tau"], "steps": p["L"] } })),
        "Blades/Centeredclipping first call" => {
            only(json!({ "centered-clipping": { "tau": p["tau"], "steps": p["n_iter"] } }))
        }
        "ByzFL/MDA" => only(json!({ "mda": { "f": f } })),
        "ByzFL/MoNNA" => only(json!({ "monna": { "f": f, "index": p["idx"] } })),
        "ByzFL/CAF" | "CAF exact" => only(json!({ "caf": { "f": f } })),
        "ByzFL/SMEA" | "SMEA exact" => only(json!({ "smea": { "f": f } })),
        "Blades/DnC" => only(
            json!({ "dnc": { "f": f, "sub-dim": p["sub_dim"], "iterations": p["num_iters"], "filter": p["filter_frac"] } }),
        ),
        "Blades/Clippedclustering" | "Blades/Clippedclustering first call" => {
            only(json!({ "clipped-clustering": { "max-tau": p["max_tau"] } }))
        }
        "ByzFL/pre/NNM" => (vec![nnm], None),
        "ByzFL/pre/ARC" => (vec![arc], None),
        "ByzFL/pre/Clipping" => (vec![clip(&p["c"])], None),
        "ByzFL/pipeline NNM->TrMean" => (vec![nnm], Some(trim)),
        "ByzFL/pipeline NNM->GeometricMedian" => (vec![nnm], Some(weiszfeld(&json!(0.1), &json!(3)))),
        "ByzFL/pipeline ARC->NNM->Median" => (vec![arc, nnm], Some(json!({ "median": {} }))),
        "ByzFL/pipeline Clipping(2)->NNM->TrMean" => (vec![clip(&json!(2.0)), nnm], Some(trim)),
        "ByzFL/pipeline Clipping(c=2)->NNM(f=1)->TrMean(f=1)" => (vec![clip(&p["c"]), nnm], Some(trim)),
        tff if tff.starts_with("TFF/clipping") => (vec![clip(&p["clip"])], Some(json!({ "mean": {} }))),
        other => panic!("no member for {other}"),
    }
}

fn only(rule: Value) -> (Vec<Value>, Option<Value>) {
    (vec![], Some(rule))
}

fn apply(vector: &Value) -> Vec<f64> {
    let (pre, rule) = members(vector);
    let mut updates = input(vector);
    let mut known = Known::default();
    let n = updates.len() as f64;
    for value in pre {
        let config: pre::Config = serde_json::from_value(value).unwrap();
        updates = config.build().apply_known(updates, &mut known, &Stream::root(0)).unwrap();
    }
    let Some(rule) = rule else {
        return numbers(&updates.rows).unwrap();
    };
    let config: rule::Config = serde_json::from_value(rule).unwrap();
    let delta = config.build().aggregate_known(&updates, &mut known, &Stream::root(0)).unwrap();
    match vector["aggregator"].as_str().unwrap() {
        "Flower/FedAvgM" => numbers(&server_step(vector, &delta)).unwrap(),
        sum if sum.contains("+sum") || sum.contains("+ sum") => {
            numbers(&delta).unwrap().into_iter().map(|x| x * n).collect()
        }
        _ => numbers(&delta).unwrap(),
    }
}

/// What should come out; where a vector lists the rows that are chosen, their mean.
fn expected(vector: &Value) -> Vec<f64> {
    if !vector["aggregator"].as_str().unwrap().ends_with("selected rows") {
        return list(&vector["expected"]);
    }
    let rows: Vec<Vec<f64>> =
        list(&vector["expected"]).into_iter().map(|i| list(&vector["input"][i as usize])).collect();
    (0..rows[0].len()).map(|c| rows.iter().map(|row| row[c]).sum::<f64>() / rows.len() as f64).collect()
}

fn server_step(vector: &Value, delta: &Tensor) -> Tensor {
    let p = &vector["params"];
    let config = json!({ "sgd": { "lr": p["server_learning_rate"], "momentum": p["server_momentum"] } });
    let current = Tensor::from_slice(&list(&p["current"])).to_kind(Kind::Float);
    serde_json::from_value::<server::Config>(config).unwrap().build(0.1).step(&current, delta).unwrap()
}

/// 1e-6 of the value or of the largest value, unless the vector was printed with fewer digits.
fn tolerance(vector: &Value) -> f64 {
    match vector["tolerance"].as_str() {
        Some("1e-3") => 1e-3,
        Some("atol 1e-4" | "torch.allclose default") => 1e-4,
        Some("rtol 1e-5") => 1e-5,
        _ => 1e-6,
    }
}

fn agree(made: &[f64], expected: &[f64], tolerance: f64) -> bool {
    let largest = expected.iter().filter(|x| x.is_finite()).fold(0.0_f64, |a, x| a.max(x.abs()));
    made.len() == expected.len()
        && made.iter().zip(expected).all(|(a, b)| a == b || (a - b).abs() <= tolerance * largest)
}

fn left_out(vector: &Value) -> bool {
    let name = vector["aggregator"].as_str().unwrap();
    let set =
        if vector["expected"].is_null() { "without a number" } else { vector["set"].as_str().unwrap_or_default() };
    LEFT_OUT.iter().any(|(n, s, _)| name.starts_with(n) && (s.is_empty() || *s == set))
}

#[test]
fn every_vector_of_a_peer_is_met() {
    let (mut compared, mut missed) = (0, Vec::new());
    let (stages, vectors): (Vec<Value>, Vec<Value>) =
        vectors().into_iter().partition(|vector| vector["aggregator"].as_str().unwrap().starts_with(STAGE));
    assert_eq!(stages.len(), 6);
    for vector in vectors.iter().filter(|vector| !left_out(vector)) {
        let rounds = vector["params"]["clip"].as_array().map_or(1, Vec::len);
        for round in 0..rounds {
            let mut one = vector.clone();
            if rounds > 1 {
                one["params"]["clip"] = vector["params"]["clip"][round].clone();
                one["expected"] = vector["expected"][round].clone();
            }
            let (made, expected) = (apply(&one), expected(&one));
            if !agree(&made, &expected, tolerance(&one)) {
                missed.push(format!("{} {}: {made:?} is not {expected:?}", one["aggregator"], one["set"]));
            }
            compared += 1;
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
    assert_eq!(compared, COMPARED);
}

/// Bulyan's second stage on its own, about a given reference.
const STAGE: &str = "Flower/Bulyan second stage";

#[test]
fn the_second_stage_of_bulyan_is_met_about_any_reference() {
    for vector in vectors().iter().filter(|vector| vector["aggregator"].as_str().unwrap().starts_with(STAGE)) {
        let around = Tensor::from_slice(&list(&vector["params"]["ref"])).to_kind(Kind::Float);
        let keep = vector["params"]["beta"].as_u64().unwrap() as usize;
        let made = numbers(&middle::closest_mean(&input(vector).rows, keep, Some(&around)).unwrap()).unwrap();
        assert!(agree(&made, &list(&vector["expected"]), 1e-6), "{made:?} is not {}", vector["expected"]);
    }
}

#[test]
fn the_geometric_median_of_blades_own_test_is_stationary() {
    let vector = vectors().into_iter().find(|vector| vector["expected"].is_null()).unwrap();
    let updates = input(&vector);
    let config: rule::Config = serde_json::from_value(json!({ "geometric-median": {} })).unwrap();
    let z = config.build().aggregate(&updates, &Stream::root(0)).unwrap().to_kind(Kind::Double);
    let away = updates.rows.to_kind(Kind::Double) - z;
    let pull =
        (&away / away.norm_scalaropt_dim(2, [1_i64].as_slice(), true)).sum_dim_intlist([0_i64].as_slice(), false, None);
    assert!(pull.norm().double_value(&[]) < 1e-5);
}

#[test]
fn krum_ranks_rows_as_the_reference_does() {
    for vector in vectors().iter().filter(|vector| vector["aggregator"] == "Krum paper") {
        let order: Vec<usize> = list(&vector["order"]).into_iter().map(|i| i as usize).collect();
        let rows = input(vector).rows;
        for m in 1..=order.len() {
            let spec = json!({ "multi-krum": { "f": vector["params"]["f"], "m": m } });
            let config: rule::Config = serde_json::from_value(spec).unwrap();
            let updates = Updates { rows: rows.shallow_clone(), samples: vec![1.0; order.len()] };
            let made = numbers(&config.build().aggregate(&updates, &Stream::root(0)).unwrap()).unwrap();
            let best = Tensor::from_slice(&order[..m].iter().map(|&i| i as i64).collect::<Vec<_>>());
            let mean = rows.index_select(0, &best).mean_dim([0_i64].as_slice(), false, Kind::Double);
            assert!(agree(&made, &numbers(&mean).unwrap(), 1e-6), "{} m = {m}", vector["set"]);
        }
    }
}

#[test]
fn bucketing_meets_the_published_buckets_under_some_order() {
    let vector = vectors().into_iter().find(|vector| vector["aggregator"] == "ByzFL/pre/Bucketing").unwrap();
    let expected = list(&vector["expected"]);
    let mut bucketing = pre::Config::Bucketing(pre::bucketing::Config { size: 2 }).build();
    let met = (0..50).any(|seed| {
        let made = bucketing.apply(input(&vector), &Stream::root(seed)).unwrap();
        agree(&numbers(&made.rows).unwrap(), &expected, 1e-6)
    });
    assert!(met);
}

#[test]
fn rules_without_a_peer_meet_an_independent_script() {
    let cases: Vec<Value> = serde_json::from_str(include_str!("../../tests/fixtures/rules.json")).unwrap();
    assert_eq!(cases.len(), 18);
    for case in cases {
        let updates = input(&case);
        let made = match case["rule"].get("fltrust") {
            Some(root) => {
                let mut known = Known::new(None, Some(Tensor::from_slice(&list(root))));
                rule::fltrust::FlTrust.aggregate_known(&updates, &mut known, &Stream::root(0)).unwrap()
            }
            None => {
                let config: rule::Config = serde_json::from_value(case["rule"].clone()).unwrap();
                config.build().aggregate(&updates, &Stream::root(0)).unwrap()
            }
        };
        let (made, expected) = (numbers(&made).unwrap(), list(&case["expected"]));
        assert!(agree(&made, &expected, 1e-6), "{}: {made:?} is not {expected:?}", case["rule"]);
    }
}
