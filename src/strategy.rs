//! Strategies: a local objective, pre-aggregators, a rule and a server optimiser under one name.
//!
//! A preset is a name for a combination that a paper made known; `custom` names the parts. Two yardsticks run on the same
//! curves: `centralised` (each round the cohort's data is pooled and one model trains on it: what federation costs) and
//! `local-only` (every client trains alone and its model is never averaged: what federation is worth).

pub mod blocks;
mod choices;

use crate::aggregate::{Chain, Nan, Pipeline, Servers, TooFew, on, pre, rule, server};
use crate::fault::{About, Checker};
use crate::model::Block;
use crate::objective;
pub use choices::CHOICES;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A preset or a combination.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Config {
    /// Weighted mean.
    Fedavg(Empty),
    /// Weighted mean, clients with a proximal term.
    Fedprox(objective::prox::Config),
    /// Control variates.
    Scaffold(Scaffold),
    /// Restricted softmax.
    Fedrs(objective::fedrs::Config),
    /// Normalised averaging.
    Fednova(objective::fednova::Config),
    /// Dynamic regularisation.
    Feddyn(objective::feddyn::Config),
    /// Model-contrastive term.
    Moon(objective::moon::Config),
    /// Server momentum on the pseudo-gradient divided by the client learning rate.
    Fedopt(Fedopt),
    /// Server momentum.
    Fedavgm(Fedavgm),
    /// Adagrad on the server.
    Fedadagrad(server::adagrad::Config),
    /// Adam on the server.
    Fedadam(server::adam::Config),
    /// Yogi on the server.
    Fedyogi(server::yogi::Config),
    /// Coordinate-wise median.
    Median(rule::median::Config),
    /// Coordinate-wise trimmed mean.
    TrimmedMean(rule::trimmed_mean::Config),
    /// Yardstick: the cohort's data pooled.
    Centralised(Empty),
    /// Yardstick: nobody shares anything.
    LocalOnly(Empty),
    /// The parts by name.
    Custom(Custom),
}

impl Default for Config {
    fn default() -> Self {
        Config::Fedavg(Empty {})
    }
}

/// No parameters.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Empty {}

/// Parameters of `scaffold`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Scaffold {
    /// Server learning rate.
    pub lr: f64,
    /// Where c − c_k joins a local step.
    pub correction: objective::scaffold::Joins,
}

impl Default for Scaffold {
    fn default() -> Self {
        Self { lr: 1.0, correction: objective::scaffold::Joins::default() }
    }
}

/// Parameters of `fedopt`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Fedopt {
    /// Server learning rate.
    pub lr: f64,
    /// Server momentum.
    pub momentum: f64,
}

impl Default for Fedopt {
    fn default() -> Self {
        Self { lr: 0.025, momentum: 0.9 }
    }
}

/// Parameters of `fedavgm`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Fedavgm {
    /// Server learning rate.
    pub lr: f64,
    /// Server momentum.
    pub momentum: f64,
}

impl Default for Fedavgm {
    fn default() -> Self {
        Self { lr: 1.0, momentum: 0.9 }
    }
}

/// `custom = { local, pre, aggregate, server, nan, on, too-few, per-block, blocks }`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Custom {
    /// Local objective.
    pub local: objective::Config,
    /// Pre-aggregators, first to last.
    pub pre: Vec<pre::Config>,
    /// The rule.
    pub aggregate: rule::Config,
    /// The server optimiser.
    pub server: server::Config,
    /// What becomes of updates with a NaN or an infinity.
    #[serde(skip_serializing_if = "Nan::is_default")]
    pub nan: Nan,
    /// What pre-aggregators and rule act on.
    #[serde(skip_serializing_if = "on::Config::is_default")]
    pub on: on::Config,
    /// What becomes of a round with fewer rows than a member needs.
    #[serde(skip_serializing_if = "TooFew::is_default")]
    pub too_few: TooFew,
    /// Whether pre-aggregators and rule act on each block of the model by itself, over the clients that own it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub per_block: bool,
    /// What is different in a block, by its name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub blocks: BTreeMap<String, blocks::Config>,
}

/// Who trains on what, and what is averaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// The cohort trains apart, the server aggregates.
    Federated,
    /// The cohort's data is pooled and trains as one client.
    Centralised,
    /// Every client keeps its own model.
    LocalOnly,
}

impl Config {
    /// The parts a preset stands for; those of a yardstick are the plain ones.
    pub fn parts(&self) -> Custom {
        let plain = Custom::default();
        let mean = rule::mean::Config { weights: rule::mean::Weights::Uniform, ..rule::mean::Config::default() };
        let uniform = Custom { aggregate: rule::Config::Mean(mean), ..Custom::default() };
        match self.clone() {
            Config::Fedavg(_) | Config::Centralised(_) | Config::LocalOnly(_) => plain,
            Config::Fedprox(config) => Custom { local: objective::Config::Prox(config), ..plain },
            Config::Scaffold(Scaffold { lr, correction }) => {
                let local = objective::Config::Scaffold(objective::scaffold::Config { correction });
                let server = server::Config::Sgd(server::sgd::Config { lr, ..server::sgd::Config::default() });
                Custom { local, server, ..uniform }
            }
            Config::Fedrs(config) => Custom { local: objective::Config::Fedrs(config), ..plain },
            Config::Fednova(config) => Custom { local: objective::Config::Fednova(config), ..plain },
            Config::Feddyn(config) => Custom { local: objective::Config::Feddyn(config), ..uniform },
            Config::Moon(config) => Custom { local: objective::Config::Moon(config), ..plain },
            Config::Fedopt(Fedopt { lr, momentum }) => {
                let server = server::Config::Sgd(server::sgd::Config { lr, momentum, per_client_lr: true });
                Custom { server, ..plain }
            }
            Config::Fedavgm(Fedavgm { lr, momentum }) => {
                let server = server::Config::Sgd(server::sgd::Config { lr, momentum, per_client_lr: false });
                Custom { server, ..plain }
            }
            Config::Fedadagrad(config) => Custom { server: server::Config::Adagrad(config), ..plain },
            Config::Fedadam(config) => Custom { server: server::Config::Adam(config), ..plain },
            Config::Fedyogi(config) => Custom { server: server::Config::Yogi(config), ..plain },
            Config::Median(config) => Custom { aggregate: rule::Config::Median(config), ..plain },
            Config::TrimmedMean(config) => Custom { aggregate: rule::Config::TrimmedMean(config), ..plain },
            Config::Custom(custom) => custom,
        }
    }

    /// Who trains on what.
    pub fn shape(&self) -> Shape {
        match self {
            Config::Centralised(_) => Shape::Centralised,
            Config::LocalOnly(_) => Shape::LocalOnly,
            _ => Shape::Federated,
        }
    }

    /// Short name for legends and tables, with the parameters that differ from the defaults: `fedprox (mu 0.1)`; for
    /// `custom` the chain of its parts: `nnm (f 2) + trimmed-mean (f 2)`.
    pub fn label(&self) -> String {
        match self {
            Config::Custom(custom) => custom.label(),
            preset => label(preset, CHOICES),
        }
    }

    /// Ranges, given the number of clients drawn a round.
    pub fn check(&self, c: &mut Checker, cohort: usize) {
        match self {
            Config::Fedavg(_) | Config::Median(_) | Config::Centralised(_) | Config::LocalOnly(_) => {}
            Config::Fedprox(config) => c.inside("fedprox", |c| config.check(c)),
            Config::Scaffold(config) => c.inside("scaffold", |c| c.positive("lr", config.lr)),
            Config::Fedrs(config) => c.inside("fedrs", |c| config.check(c)),
            Config::Fednova(config) => c.inside("fednova", |c| config.check(c)),
            Config::Feddyn(config) => c.inside("feddyn", |c| config.check(c)),
            Config::Moon(config) => c.inside("moon", |c| config.check(c)),
            Config::Fedopt(Fedopt { lr, momentum }) => c.inside("fedopt", |c| check_momentum(c, *lr, *momentum)),
            Config::Fedavgm(Fedavgm { lr, momentum }) => c.inside("fedavgm", |c| check_momentum(c, *lr, *momentum)),
            Config::Fedadagrad(config) => c.inside("fedadagrad", |c| config.check(c)),
            Config::Fedadam(config) => c.inside("fedadam", |c| config.check(c)),
            Config::Fedyogi(config) => c.inside("fedyogi", |c| config.check(c)),
            Config::TrimmedMean(config) => c.inside("trimmed-mean", |c| config.check(c, cohort)),
            Config::Custom(custom) => c.inside("custom", |c| custom.check(c, cohort)),
        }
    }
}

impl Config {
    /// What needs the data: names of blocks, labels that an objective can work with.
    pub fn check_data(&self, c: &mut Checker, modalities: &[String], multilabel: bool) {
        match self {
            Config::Custom(custom) => c.inside("custom", |c| {
                custom.check_names(c, modalities);
                c.inside("local", |c| custom.local.check_data(c, multilabel));
            }),
            preset => preset.parts().local.check_data(c, multilabel),
        }
    }

    /// Where the server has data of its own, what it takes.
    pub fn root(&self) -> Option<&rule::fltrust::Config> {
        match self {
            Config::Custom(custom) => custom.root(),
            _ => None,
        }
    }

    /// Every custom module that it names.
    pub fn modules(&mut self) -> Vec<&mut rule::torchscript::Config> {
        match self {
            Config::Custom(custom) => custom.modules(),
            _ => Vec::new(),
        }
    }

    /// Whether blocks are aggregated apart, so that it counts who owns which.
    pub fn per_block(&self) -> bool {
        matches!(self, Config::Custom(custom) if custom.per_block)
    }
}

fn check_momentum(c: &mut Checker, lr: f64, momentum: f64) {
    c.positive("lr", lr);
    c.below_one("momentum", momentum);
}

impl Custom {
    /// Builds what the server does with a model of these blocks; `client_lr` is what some pseudo-gradients are divided by.
    pub fn build(&self, client_lr: f64, blocks: &[Block]) -> Pipeline {
        let chains: Vec<Chain> = match self.per_block {
            true => blocks.iter().map(|block| self.chain_of(&block.name).build(Some(block.clone()))).collect(),
            false => vec![self.chain().build(None)],
        };
        let server = || self.server.build(client_lr);
        let servers = match self.per_block && self.server.by_weight() {
            true => Servers::Apart(chains.iter().map(|_| server()).collect()),
            false => Servers::Whole(server()),
        };
        Pipeline { nan: self.nan, too_few: self.too_few, chains, servers }
    }

    /// Whether aggregation holds the rows a second time: as pre-aggregators leave them, or block by block.
    pub fn copies_rows(&self) -> bool {
        self.per_block || !self.pre.is_empty()
    }

    /// Whether pre-aggregators (all of which do) and rule ask whole rows for nothing but lengths, angles and distances.
    pub fn sees_only_distances(&self) -> bool {
        !self.per_block && self.aggregate.sees_only_distances()
    }

    /// Ranges; a pre-aggregator that makes fewer rows leaves fewer for those behind it.
    fn check(&self, c: &mut Checker, cohort: usize) {
        c.inside("local", |c| self.local.check(c));
        self.chain().check(c, cohort);
        c.inside("server", |c| self.server.check(c));
        c.inside("on", |c| self.on.check(c));
        self.check_blocks(c, cohort);
        self.check_root(c);
    }

    /// The parts in the order they act, without a plain local objective and plain server.
    fn label(&self) -> String {
        let (local, server) = (label(&self.local, objective::CHOICES), label(&self.server, server::CHOICES));
        let mut chain: Vec<String> = Vec::new();
        chain.extend((local != "plain").then_some(local));
        chain.extend(self.pre.iter().map(|pre| label(pre, pre::CHOICES)));
        chain.push(label(&self.aggregate, rule::CHOICES));
        chain.extend((server != "sgd").then_some(server));
        match self.nan {
            Nan::Exclude => {}
            Nan::Propagate => chain.push("nan propagate".into()),
            Nan::Error => chain.push("nan error".into()),
        }
        chain.extend((self.too_few == TooFew::Skip).then(|| "too-few skip".into()));
        chain.extend(self.per_block.then(|| self.blocks_label()));
        if !self.on.is_default() {
            chain.push(format!("on {}", label(&self.on, on::CHOICES)));
        }
        chain.join(" + ")
    }
}

/// Name of a choice with the parameters that are not at the default that its entry declares.
fn label(choice: &impl Serialize, about: &[About]) -> String {
    let value = serde_json::to_value(choice).unwrap_or_default();
    let Some((name, config)) = value.as_object().and_then(|variants| variants.iter().next()) else {
        return String::new();
    };
    let parameters = about.iter().find(|about| about.name == name).map_or(&[][..], |about| about.parameters);
    let changed: Vec<String> = parameters
        .iter()
        .filter_map(|parameter| {
            let value = config.get(parameter.name)?;
            let default = serde_json::from_str(parameter.default).ok();
            (default.as_ref() != Some(value)).then(|| format!("{} {}", parameter.name, plain(value)))
        })
        .collect();
    if changed.is_empty() { name.clone() } else { format!("{name} ({})", changed.join(", ")) }
}

fn plain(value: &serde_json::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_string)
}

#[cfg(test)]
mod tests;
