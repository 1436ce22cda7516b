//! `fedrobust list` says what the code takes: serde itself is asked for every choice, key and default.

use super::support::Bench;
use fedrobust::fault::{About, Parameter};
use fedrobust::{aggregate, attack, corrupt, data, lane, model, objective, partition, strategy};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

/// A family as `list` shows it, and what its enum says.
struct Family {
    name: &'static str,
    choices: &'static [About],
    /// `{ name: {} }`, or what else is inside, to the configuration and back.
    through: fn(Value) -> Result<Value, String>,
}

fn through<T: DeserializeOwned + Serialize>(value: Value) -> Result<Value, String> {
    let config: T = serde_json::from_value(value).map_err(|error| error.to_string())?;
    serde_json::to_value(config).map_err(|error| error.to_string())
}

fn families() -> Vec<Family> {
    let family = |name, choices, through| Family { name, choices, through };
    vec![
        family("data", data::CHOICES, through::<data::Config>),
        family("split", data::prepare::CHOICES, through::<data::prepare::Test>),
        family("partition", partition::CHOICES, through::<partition::Config>),
        family("corrupt", corrupt::CHOICES, through::<corrupt::Config>),
        family("attack", attack::CHOICES, through::<attack::Kind>),
        family("encoder", model::config::ENCODERS, through::<model::config::EncoderConfig>),
        family("fusion", model::config::FUSIONS, through::<model::config::FusionConfig>),
        family("optimizer", lane::config::OPTIMIZERS, through::<lane::config::Optimizer>),
        family("strategy", strategy::CHOICES, through::<strategy::Config>),
        family("local", objective::CHOICES, through::<objective::Config>),
        family("pre", aggregate::pre::CHOICES, through::<aggregate::pre::Config>),
        family("aggregate", aggregate::rule::CHOICES, through::<aggregate::rule::Config>),
        family("on", aggregate::on::CHOICES, through::<aggregate::on::Config>),
        family("server", aggregate::server::CHOICES, through::<aggregate::server::Config>),
    ]
}

impl Family {
    fn choice(&self, name: &str, inside: Value) -> Result<Value, String> {
        (self.through)(json!({ name: inside }))
    }
}

/// The names that an error of serde lists: "unknown field `x`, expected one of `a`, `b`".
fn expected(error: &str) -> Vec<String> {
    let Some((_, list)) = error.split_once("expected ") else { return Vec::new() };
    let mut names: Vec<String> = list.split('`').skip(1).step_by(2).map(str::to_string).collect();
    names.sort();
    names
}

/// A value for a key that has no default.
fn example(choice: &str, key: &str) -> Value {
    match (choice, key) {
        ("npz", "path") => json!("mine.npz"),
        ("uci-har" | "ku-har" | "ptb-xl" | "crema-d" | "meld" | "fedmultimodal" | "replay", "path") => {
            json!("somewhere")
        }
        ("fedmultimodal", "dataset") => json!("uci-har"),
        ("clip", "norm") => json!(1.0),
        ("nnm" | "arc", "f") => json!(1),
        ("torchscript", "path") => json!("rule.pt"),
        ("modality-poison", "modality") => json!("audio"),
        _ => panic!("{choice}.{key} is required: give this test an example"),
    }
}

fn required(about: &About) -> Value {
    let keys = about.parameters.iter().filter(|parameter| parameter.default == "required");
    Value::Object(keys.map(|parameter| (parameter.name.to_string(), example(about.name, parameter.name))).collect())
}

#[test]
fn every_choice_of_every_family_is_listed() {
    for family in families() {
        let error = family.choice("no-such-choice", json!({})).unwrap_err();
        let mut listed: Vec<String> = family.choices.iter().map(|about| about.name.to_string()).collect();
        if family.name == "corrupt" {
            listed.push("test".to_string()); // where corruption happens, not a corruption
        }
        listed.sort();
        assert_eq!(expected(&error), listed, "{}: {error}", family.name);
    }
}

#[test]
fn the_parameters_of_every_choice_are_the_keys_that_it_takes() {
    for family in families() {
        for about in family.choices.iter().filter(|about| about.name != "shoulder") {
            let mut inside = required(about);
            inside["no-such-key"] = json!(1);
            let error = family.choice(about.name, inside).unwrap_err();
            let mut listed: Vec<String> = about.parameters.iter().map(|p| p.name.to_string()).collect();
            listed.sort();
            assert_eq!(expected(&error), listed, "{} {}: {error}", family.name, about.name);
        }
    }
}

/// Defaults that are told in words, because an unset key means something that depends on the rest.
const IN_WORDS: [(&str, &str); 6] = [
    ("npz", "modalities"),
    ("npz", "classes"),
    ("synthetic", "modalities"),
    ("population", "modalities"),
    ("trimmed-mean", "f"),
    ("trimmed-mean", "share"),
];

#[test]
fn every_default_that_is_shown_is_the_default() {
    let mut checked = 0;
    for family in families() {
        for about in family.choices.iter().filter(|about| about.name != "shoulder") {
            let real = family.choice(about.name, required(about)).unwrap();
            for parameter in about.parameters {
                let told = parameter.default == "required" || IN_WORDS.contains(&(about.name, parameter.name));
                if !told {
                    same_default(about.name, parameter, &real[about.name]);
                    checked += 1;
                }
            }
            for parameter in about.parameters.iter().filter(|parameter| parameter.default == "required") {
                let mut without: Map<String, Value> = required(about).as_object().unwrap().clone();
                without.remove(parameter.name);
                let error = family.choice(about.name, Value::Object(without)).unwrap_err();
                assert!(error.contains(&format!("missing field `{}`", parameter.name)), "{error}");
            }
        }
    }
    assert!(checked > 30, "only {checked} defaults were checked: does the walk still work?");
}

/// Defaults that are left out where a choice is written.
const UNSAID: [&str; 6] = ["none", "\"exclude\"", "\"error\"", "false", "\"delta\"", "1e-5"];

fn same_default(choice: &str, parameter: &Parameter, real: &Value) {
    let Parameter { name, default, .. } = parameter;
    let table: Result<toml::Table, _> = format!("x = {default}").parse();
    let shown = table.map_or(json!(default), |table| serde_json::to_value(&table["x"]).unwrap());
    let empty = shown == json!({}) || shown == json!([]);
    let same = match real.get(name) {
        // Unset means something that depends on the rest, told in words.
        None => empty || UNSAID.contains(default) || default.contains(' '),
        Some(Value::Object(one)) if shown.is_string() => one.keys().eq([shown.as_str().unwrap()]),
        Some(Value::Number(real)) => shown.as_f64() == real.as_f64(),
        Some(real) => *real == shown,
    };
    assert!(same, "{choice}.{name}: shown as {default}, is {:?}", real.get(name));
}

#[test]
fn the_command_shows_every_family_choice_parameter_formula_and_paper() {
    let bench = Bench::new("");
    let all = bench.ran(&["list"]);
    assert_eq!((all.code, all.err.as_str()), (Some(0), ""));
    for family in families() {
        assert!(all.out.contains(&format!("\n{}: ", family.name)) || all.out.starts_with(family.name));
        for about in family.choices {
            assert!(all.out.contains(&format!("  {:<18} {}\n", about.name, about.summary)), "{}", about.name);
        }
    }
    for family in families().iter().filter(|family| ["corrupt", "strategy"].contains(&family.name)) {
        let one = bench.ran(&["list", family.name]);
        assert_eq!((one.code, one.err.as_str()), (Some(0), ""));
        for about in family.choices {
            assert!(one.out.contains(&format!("\n{}\n  {}\n", about.name, about.summary)), "{}", one.out);
            assert!(one.out.contains(about.formula) && one.out.contains(about.source), "{}", about.name);
            for Parameter { name, default, meaning } in about.parameters {
                assert!(one.out.contains(&format!("  {name:<18} {meaning}  (default {default})\n")), "{}", one.out);
            }
        }
    }
    let unknown = bench.ran(&["list", "strategies"]);
    let names: Vec<&str> = families().iter().map(|family| family.name).collect();
    let said = format!("strategies: is not a family; allowed: {}\n", names.join(", "));
    assert_eq!((unknown.code, unknown.err), (Some(2), said));
}
