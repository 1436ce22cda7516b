//! `custom.per-block` and `custom.blocks`: a rule for each block of a multimodal model.
//!
//! With `per-block = true` the chain of pre-aggregators and rule acts on the encoder of each modality and on fusion and head
//! (the block `fusion`) by itself, over those clients of the cohort that own the block. `blocks.NAME` says what is
//! different in one block.

use super::{Custom, label};
use crate::aggregate::privacy::Spending;
use crate::aggregate::rule::{fltrust, torchscript};
use crate::aggregate::{Chain, pre, rule};
use crate::fault::Checker;
use crate::model::Block;
use crate::model::layout::SHARED;
use serde::{Deserialize, Serialize};

/// What is different in a block.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Config {
    /// f of every member of the block's chain that takes one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub f: Option<usize>,
    /// Pre-aggregators instead of the strategy's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pre: Option<Vec<pre::Config>>,
    /// The rule instead of the strategy's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aggregate: Option<rule::Config>,
}

/// Pre-aggregators and a rule as they are asked for.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Members {
    pre: Vec<pre::Config>,
    rule: rule::Config,
}

impl Members {
    /// The chain of a block, or over whole rows.
    pub(super) fn build(&self, block: Option<Block>) -> Chain {
        Chain { block, pre: self.pre.iter().map(pre::Config::build).collect(), rule: self.rule.build() }
    }

    /// Ranges; a pre-aggregator that makes fewer rows leaves fewer for those behind it.
    pub(super) fn check(&self, c: &mut Checker, mut rows: usize) {
        c.inside("pre", |c| {
            for (place, pre) in self.pre.iter().enumerate() {
                c.inside(&place.to_string(), |c| pre.check(c, rows));
                rows = pre.rows(rows);
            }
        });
        c.inside("aggregate", |c| self.rule.check(c, rows));
    }

    /// What its noise spends, where clipped rows and noise are all there is.
    fn spending(&self) -> Option<Spending> {
        match &self.rule {
            rule::Config::DpMean(config) if self.pre.iter().all(pre::Config::keeps_rows_apart) => {
                Some(Spending { noise: config.noise, delta: config.delta })
            }
            _ => None,
        }
    }

    /// The same with another f where a member takes one; none where no member does.
    fn with_f(&self, f: usize) -> Option<Self> {
        let pre: Vec<Option<pre::Config>> = self.pre.iter().map(|pre| pre.with_f(f)).collect();
        let rule = self.rule.with_f(f);
        if rule.is_none() && pre.iter().all(Option::is_none) {
            return None;
        }
        let pre = pre.into_iter().zip(&self.pre).map(|(new, old)| new.unwrap_or_else(|| old.clone())).collect();
        Some(Self { pre, rule: rule.unwrap_or_else(|| self.rule.clone()) })
    }
}

impl Custom {
    /// The chain over whole rows, and of every block that says nothing else.
    pub(super) fn chain(&self) -> Members {
        Members { pre: self.pre.clone(), rule: self.aggregate.clone() }
    }

    /// The chain of a block.
    pub(super) fn chain_of(&self, block: &str) -> Members {
        let chain = self.chain();
        let Some(config) = self.blocks.get(block) else { return chain };
        let chain = Members {
            pre: config.pre.clone().unwrap_or(chain.pre),
            rule: config.aggregate.clone().unwrap_or(chain.rule),
        };
        config.f.and_then(|f| chain.with_f(f)).unwrap_or(chain)
    }

    /// Ranges of what is different in a block, given the number of clients drawn a round: as many may own it.
    pub(super) fn check_blocks(&self, c: &mut Checker, cohort: usize) {
        if !self.blocks.is_empty() && !self.per_block {
            let remedy = "Write per-block = true, or remove it.";
            c.fault("blocks", "is given, but blocks are not aggregated apart", "", remedy);
        }
        for (name, config) in &self.blocks {
            c.inside("blocks", |c| c.inside(name, |c| self.check_block(c, name, config, cohort)));
        }
    }

    fn check_block(&self, c: &mut Checker, name: &str, config: &Config, cohort: usize) {
        let chain = self.chain_of(name);
        if config.f.is_some_and(|f| chain.with_f(f).is_none()) {
            c.fault("f", "is given, but no member of the block's chain takes one", "", "Remove it.");
        }
        let mut found = Checker::default();
        chain.check(&mut found, cohort);
        for fault in found.faults {
            let own = (fault.path.starts_with("pre") && config.pre.is_some())
                || (fault.path.starts_with("aggregate") && config.aggregate.is_some());
            // The strategy's own chain tells of itself.
            if config.f.is_some() && fault.path.ends_with(".f") {
                c.fault("f", fault.problem, fault.allowed, fault.remedy);
            } else if own {
                c.fault(&fault.path, fault.problem, fault.allowed, fault.remedy);
            }
        }
    }

    /// What a round spends of its clients' privacy; none where a chain is no plain `dp-mean`. Blocks are published
    /// together: noise z_b in each is noise `(Σ_b z_b⁻²)^(−1/2)` in all.
    pub fn spending(&self, blocks: &[Block]) -> Option<Spending> {
        let chains: Vec<Members> = match self.per_block {
            true => blocks.iter().map(|block| self.chain_of(&block.name)).collect(),
            false => vec![self.chain()],
        };
        let parts: Option<Vec<Spending>> = chains.iter().map(Members::spending).collect();
        let parts = parts?;
        // What some objectives send besides goes through noise of its own and is published with it.
        let published = (self.local.vectors() / 2).max(1) as f64;
        let inverse: f64 = published * parts.iter().map(|part| part.noise.powi(-2)).sum::<f64>();
        let delta = parts.iter().map(|part| part.delta).fold(f64::INFINITY, f64::min);
        Some(Spending { noise: inverse.powf(-0.5), delta })
    }

    /// The rules of all chains, the strategy's own first.
    fn rules(&self) -> impl Iterator<Item = &rule::Config> {
        std::iter::once(&self.aggregate).chain(self.blocks.values().filter_map(|block| block.aggregate.as_ref()))
    }

    /// Where the server has data of its own, what it takes.
    pub(super) fn root(&self) -> Option<&fltrust::Config> {
        self.rules().find_map(|rule| match rule {
            rule::Config::Fltrust(config) => Some(config),
            _ => None,
        })
    }

    /// The server's own update is a change of the weights, made on one set of data.
    pub(super) fn check_root(&self, c: &mut Checker) {
        let Some(root) = self.root() else { return };
        if self.rules().any(|rule| matches!(rule, rule::Config::Fltrust(other) if other != root)) {
            c.fault("blocks", "give fltrust other root data than the first", "one root data", "Write it the same.");
        }
        if !self.on.is_default() {
            c.fault("on", "is not what fltrust's server makes", "\"delta\"", "Leave it out, or name another rule.");
        }
        if self.local.vectors() > 2 {
            c.fault("local", "sends what fltrust's server does not make", "", "Name another objective or rule.");
        }
    }

    /// Every custom module that its chains name.
    pub(super) fn modules(&mut self) -> Vec<&mut torchscript::Config> {
        let rules = self.blocks.values_mut().filter_map(|block| block.aggregate.as_mut());
        std::iter::once(&mut self.aggregate)
            .chain(rules)
            .filter_map(|rule| match rule {
                rule::Config::Torchscript(config) => Some(config),
                _ => None,
            })
            .collect()
    }

    /// What needs the data: names of blocks.
    pub(super) fn check_names(&self, c: &mut Checker, modalities: &[String]) {
        if !self.per_block {
            return;
        }
        if modalities.iter().any(|name| name == SHARED) {
            let problem = format!("cannot tell the modality {SHARED} from the block {SHARED} of what modalities share");
            c.fault("per-block", problem, "false", "Give the modality another name.");
        }
        for name in self.blocks.keys().filter(|name| *name != SHARED && !modalities.contains(name)) {
            let allowed = modalities.iter().map(String::as_str).chain([SHARED]).collect::<Vec<_>>().join(", ");
            c.inside("blocks", |c| c.fault(name, "names no block of the model", allowed, ""));
        }
    }

    /// `per-block`, with what is different where: `per-block (gyroscope: f 1, fusion: median)`.
    pub(super) fn blocks_label(&self) -> String {
        let told = |(name, config): (&String, &Config)| {
            let mut parts: Vec<String> = Vec::new();
            parts.extend(config.pre.iter().flatten().map(|pre| label(pre, pre::CHOICES)));
            parts.extend(config.aggregate.iter().map(|rule| label(rule, rule::CHOICES)));
            parts.extend(config.f.map(|f| format!("f {f}")));
            format!("{name}: {}", parts.join(" + "))
        };
        let different: Vec<String> = self.blocks.iter().map(told).collect();
        if different.is_empty() { "per-block".into() } else { format!("per-block ({})", different.join(", ")) }
    }
}
