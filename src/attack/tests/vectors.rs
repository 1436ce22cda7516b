//! Agreement with what other simulators publish or compute (`tests/fixtures/attack_vectors.json`), and with examples worked
//! out by an independent script (`tests/fixtures/attack_examples.py`).

use super::*;
use crate::aggregate::{Updates, pre, rule};
use serde_json::json;

fn vectors() -> Vec<Value> {
    serde_json::from_str(include_str!("../../../tests/fixtures/attack_vectors.json")).unwrap()
}

/// ByzFL's chains that factors are optimised against, as this crate spells them.
fn chain(params: &Value) -> (Vec<pre::Config>, rule::Config) {
    let f = &params["f"];
    let mut pre = vec![json!({ "nnm": { "f": f } })];
    if params.get("pre_agg_list").is_some() {
        assert_eq!(params["pre_agg_list"], json!(["NNM(f=1)", "Clipping(c=2)"]));
        pre.push(json!({ "clip": { "norm": 2.0 } }));
    }
    let pre = pre.into_iter().map(|value| serde_json::from_value(value).unwrap()).collect();
    (pre, serde_json::from_value(json!({ "trimmed-mean": { "f": f } })).unwrap())
}

fn defend(params: &Value, rows: &Tensor) -> Result<Tensor> {
    let (pre, rule) = chain(params);
    let stream = Stream::root(0);
    let mut updates = Updates { rows: rows.to_kind(Dtype::Float), samples: vec![1.0; rows.size()[0] as usize] };
    for pre in pre {
        updates = pre.build().apply(updates, &stream)?;
    }
    rule.build().aggregate(&updates, &stream)
}

/// The attack that a vector speaks of.
fn named(vector: &Value) -> Kind {
    let p = &vector["params"];
    let search = || json!({ "evals": p["evals"], "start": p["start"], "delta": p["delta"], "ratio": p["ratio"] });
    let spec = match vector["aggregator"].as_str().unwrap() {
        "attack/ByzFL/SignFlipping" => json!({ "sign-flip": {} }),
        "attack/ByzFL/InnerProductManipulation" => json!({ "ipm": { "scale": p["tau"] } }),
        "attack/ByzFL/ALittleIsEnough" => json!({ "alie": { "z": p["tau"] } }),
        "attack/ByzFL/Mimic" => json!({ "mimic": { "target": p["epsilon"] } }),
        "attack/ByzFL/Inf" => json!({ "infinity": {} }),
        "attack/ByzFL/Optimal_InnerProductManipulation" => {
            json!({ "ipm": { "scale": "optimised", "search": search() } })
        }
        "attack/ByzFL/Optimal_ALittleIsEnough" => json!({ "alie": { "z": "optimised", "search": search() } }),
        "attack/Blades/MinMaxAdversary" => json!({ "min-max": {
            "direction": "std", "search": { "bisection": { "high": p["high"], "tolerance": p["tol"] } } } }),
        "attack/NDSS21/MinMax" => json!({ "min-max": { "direction": p["dev_type"], "search": halving(p) } }),
        "attack/NDSS21/MinSum" => json!({ "min-sum": {
            "direction": p["dev_type"], "bound": "smallest", "search": halving(p) } }),
        "attack/Blades/AdaptiveAdversary (range)" => json!({ "fang-trimmed-mean": { "beta": 3.0, "shared": true } }),
        other => panic!("no attack for {other}"),
    };
    serde_json::from_value(spec).unwrap()
}

fn halving(params: &Value) -> Value {
    json!({ "halving": { "start": params["lambda_init"], "tolerance": params["tol"] } })
}

#[test]
fn every_vector_of_a_peer_is_met() {
    let (mut compared, mut ranges, mut quantiles) = (0, 0, 0);
    for vector in vectors() {
        let (name, set) = (vector["aggregator"].as_str().unwrap(), vector["set"].as_str().unwrap_or_default());
        let (what, params, expected) = (format!("{name} {set}"), &vector["params"], &vector["expected"]);
        if name == "attack/Blades/ALIE z_max" {
            let count = |key: &str| params[key].as_u64().unwrap() as usize;
            assert_close(&[alie::z_max(count("n"), count("m"))], &list(expected), &what);
            quantiles += 1;
            continue;
        }
        let honest = tensor(&matrix(&vector["input"]));
        let forged = params["f"].as_i64().unwrap_or(1);
        let own = Tensor::zeros([forged, honest.size()[1]], (Dtype::Double, tch::Device::Cpu));
        let aggregate = |rows: &Tensor| defend(params, rows);
        let defence = Defence { aggregate: &aggregate, sees_only_distances: false };
        let made = rows(&forge_with(&named(&vector), &honest, &own, Some(defence), None, Knowledge::Omniscient));
        assert_eq!(made.len() as i64, forged, "{what}");
        if expected.is_object() {
            let (lower, upper) = (list(&expected["lower"]), list(&expected["upper"]));
            for ((x, low), high) in made[0].iter().zip(lower).zip(upper) {
                assert!((low..=high).contains(x), "{what}: {x} is not in {low}..={high}");
            }
            ranges += 1;
            continue;
        }
        for (i, row) in made.iter().enumerate() {
            let expected = if expected[0].is_array() { list(&expected[i]) } else { list(expected) };
            assert_close(row, &expected, &what);
        }
        compared += 1;
    }
    assert_eq!((compared, ranges, quantiles), (64, 1, 4), "every entry of the file, none left out");
}

#[test]
fn every_worked_example_is_met() {
    let examples: Vec<Value> =
        serde_json::from_str(include_str!("../../../tests/fixtures/attack_examples.json")).unwrap();
    for example in &examples {
        let kind: Kind = serde_json::from_value(example["spec"].clone()).unwrap();
        let honest = tensor(&matrix(&example["honest"]));
        let forged = example["byzantine"].as_i64().unwrap();
        let own = example.get("own").map(|own| tensor(&matrix(own)));
        let own = own.unwrap_or_else(|| Tensor::zeros([forged, honest.size()[1]], (Dtype::Double, tch::Device::Cpu)));
        let previous = example.get("previous").map(|m| Tensor::from_slice(&list(m)));
        let made = forge_with(&kind, &honest, &own, None, previous.as_ref(), Knowledge::Omniscient);
        let what = example["spec"].to_string();
        assert_close(&rows(&made).concat(), &matrix(&example["expected"]).concat(), &what);
    }
    assert_eq!(examples.len(), 75);
}
