//! Scenarios: from a TOML file to checked grid points.
//!
//! A [`Scenario`] is one resolved point. [`load()`] reads a file, applies `--set`, expands the `[[grid]]` tables and checks
//! every point; what is wrong is said all at once, each fault with file, line, path, value, what is allowed and the remedy.
//!
//! ```toml
//! question = "Which strategy keeps its F1 when a sensor is lost?"
//! seeds = [8, 16, 24]            # required, paired across points
//! data = "shoulder"              # any choice without parameters may be written as its name
//! train = { rounds = 25, cohort = 0.5 }
//!
//! [[grid]]                       # every combination; several grids are a union, equal points run once
//! "corrupt.missing-modality.rate" = [0.0, 0.4, 0.8]
//! "strategy" = ["fedavg", { fedprox = { mu = 0.1 } }]
//! skip-impossible = false        # true drops impossible cells instead of refusing them
//! ```

mod check;
mod de;
mod faults;
mod grid;
mod identity;
mod inline;
mod load;
mod points;
mod population;
mod read;
mod source;
mod tree;

pub use identity::{Identity, fingerprint};
pub use inline::{read_attack, read_defence, read_source};
pub use load::{Loaded, load, read_str};
pub use points::{Point, Points};

use crate::fault::{Error, Result};
use crate::record::{Metric, Reading};
use crate::{attack, corrupt, data, lane, model, partition, strategy};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use toml::Value;

/// One resolved point: everything a run needs but its seed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Scenario {
    /// The question it asks, in a sentence.
    pub question: String,
    /// Seeds; every point runs with each.
    pub seeds: Vec<u64>,
    /// Keep the trained global model.
    #[serde(default)]
    pub save_model: bool,
    /// Least seconds between two checkpoints of a run.
    #[serde(default = "checkpoint_seconds")]
    pub checkpoint_seconds: f64,
    /// Data.
    pub data: data::Config,
    /// Normalisation of the features.
    #[serde(default)]
    pub normalise: data::prepare::Normalise,
    /// Development and test samples where the data has no official ones.
    #[serde(default)]
    pub split: data::prepare::Config,
    /// Samples to clients.
    #[serde(default)]
    pub partition: partition::Config,
    /// What happens to the clients' data.
    #[serde(default)]
    pub corrupt: corrupt::Config,
    /// What byzantine clients do; nothing by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attack: Option<attack::Config>,
    /// The model.
    #[serde(default)]
    pub model: model::Config,
    /// Rounds, cohort and the local optimiser.
    #[serde(default)]
    pub train: lane::config::Config,
    /// What clients minimise and the server does.
    pub strategy: strategy::Config,
    /// When and by what a model is scored.
    #[serde(default)]
    pub evaluate: Evaluate,
}

/// `[evaluate]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Evaluate {
    /// Rounds between evaluations; the last round is always evaluated.
    pub every: usize,
    /// The score that selects rounds and is plotted.
    pub metric: Metric,
    /// k of top-k accuracy.
    pub top_k: usize,
    /// Which round speaks for a run in tables, plots and the verdict; the best development round where there is a
    /// development set, else the last, by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reading: Option<Reading>,
}

impl Default for Evaluate {
    fn default() -> Self {
        Self { every: 1, metric: Metric::MacroF1, top_k: 2, reading: None }
    }
}

fn checkpoint_seconds() -> f64 {
    30.0
}

/// Keys that say nothing about what a run computes.
const NOT_IDENTITY: [&str; 4] = ["question", "seeds", "save-model", "checkpoint-seconds"];

impl Scenario {
    /// What the results depend on, in one spelling: equal texts are equal points. Compact JSON with sorted keys, without
    /// question, seeds, `save-model` and `checkpoint-seconds`, and without corruptions and an attack that do nothing.
    ///
    /// # Errors
    /// A number that TOML cannot hold.
    pub fn canonical(&self) -> Result<String> {
        let attack = self.attack.clone().filter(|attack| !attack.does_nothing());
        // How results are read does not change them.
        let evaluate = Evaluate { reading: None, ..self.evaluate.clone() };
        let resolved = Self { corrupt: self.corrupt.canonical(), attack, evaluate, ..self.clone() };
        let mut value = resolved.to_value()?;
        if let Value::Table(table) = &mut value {
            NOT_IDENTITY.iter().for_each(|key| drop(table.remove(*key)));
        }
        Ok(json(&value))
    }

    /// The [canonical](Self::canonical) form for identities: without the paths of the data, of files that are replayed and of
    /// custom rules, whose content counts, so that a results folder stays valid when they move.
    ///
    /// # Errors
    /// A number that TOML cannot hold.
    pub fn portable(&self) -> Result<String> {
        let mut moved = self.clone();
        for path in moved.data.path_mut().into_iter().chain(moved.partition.path_mut()) {
            *path = PathBuf::new();
        }
        if let Some(replay) = moved.corrupt.replay.as_mut().filter(|replay| !replay.does_nothing()) {
            *replay = replay.portable();
        }
        moved.strategy.modules().into_iter().for_each(|module| module.path = PathBuf::new());
        moved.canonical()
    }

    /// The resolved scenario as a value tree, defaults included.
    ///
    /// # Errors
    /// A number that TOML cannot hold.
    fn to_value(&self) -> Result<Value> {
        Value::try_from(self)
            .map_err(|error| Error::Invalid(format!("the scenario cannot be written as TOML: {error}")))
    }
}

/// Compact JSON, keys sorted. JSON has no infinities, so they are strings.
fn json(value: &Value) -> String {
    match value {
        Value::Integer(number) => number.to_string(),
        Value::Boolean(truth) => truth.to_string(),
        Value::Float(number) if number.is_finite() => format!("{:?}", number + 0.0), // −0 is 0
        Value::Float(number) => format!("\"{number}\""),
        Value::String(text) => text_json(text),
        Value::Datetime(date) => text_json(&date.to_string()),
        Value::Array(values) => format!("[{}]", values.iter().map(json).collect::<Vec<_>>().join(",")),
        Value::Table(table) => {
            let mut pairs: Vec<String> =
                table.iter().map(|(key, value)| format!("{}:{}", text_json(key), json(value))).collect();
            pairs.sort();
            format!("{{{}}}", pairs.join(","))
        }
    }
}

fn text_json(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests;
