//! Corruptions: what happens to a client's data before it trains, and to test samples before they are scored.
//!
//! | choice | what happens | source |
//! |---|---|---|
//! | `label-noise` | labels become wrong | FedAudio, ICASSP 2023 |
//! | `missing-labels` | samples lose their label | FedMultimodal, KDD 2023 |
//! | `missing-modality` | clients or samples lose a modality | FedMultimodal, KDD 2023 |
//! | `replay` | what a simulation file says | FedMultimodal, KDD 2023 |
//!
//! They combine, always in this order: label noise, missing labels, missing modality. Each draws from a stream of its own
//! (named by corruption, modality and client), so that turning one on does not move the others, and a higher rate hits
//! all that a lower rate hits.

pub mod draw;
mod forged;
pub mod label_noise;
pub mod missing_labels;
pub mod missing_modality;
pub mod replay;

use crate::data::Dataset;
use crate::fault::{About, Checker};
use crate::partition::Share;
use crate::record::Realised;
use crate::seed::Stream;
pub use forged::{Forged, Paint};
use missing_modality::{Group, Per};
use rand::Rng;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// `[corrupt]`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Config {
    /// Wrong labels in training data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label_noise: Option<label_noise::Config>,
    /// Unlabelled training samples.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing_labels: Option<missing_labels::Config>,
    /// Modalities missing in training data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing_modality: Option<missing_modality::Config>,
    /// What a simulation file says, instead of these.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replay: Option<replay::Config>,
    /// What happens to development and test samples; nothing by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test: Option<TestConfig>,
}

/// `[corrupt.test]`: corruption at test time.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct TestConfig {
    /// Modalities missing at test time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing_modality: Option<missing_modality::Config>,
}

/// Every choice, for `fedrobust list corrupt`.
pub const CHOICES: &[About] = &[label_noise::ABOUT, missing_labels::ABOUT, missing_modality::ABOUT, replay::ABOUT];

/// Modalities that a sample has: bit m is set when modality m is present. Up to 32 modalities.
pub type Present = u32;

/// One client's data as strategies see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// Name, from the partition.
    pub name: String,
    /// The natural client it lies in, where it lies in one.
    pub natural: Option<u32>,
    /// Sample indices.
    pub rows: Vec<u32>,
    /// The label seen, a sample; empty when multilabel (those labels are read from the data).
    pub labels: Vec<u32>,
    /// Whether the sample is labelled.
    pub labelled: Vec<bool>,
    /// Modalities the sample has.
    pub present: Vec<Present>,
}

/// What a client can train on: labelled samples with at least one modality.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Samples {
    /// Sample indices.
    pub rows: Vec<u32>,
    /// Labels seen; empty when multilabel.
    pub labels: Vec<u32>,
    /// Modalities present.
    pub present: Vec<Present>,
    /// Values that an attacker forged, where it did.
    pub forged: Option<Arc<Forged>>,
    /// The data that the rows are of, where it is not the run's data set but was made for this client.
    pub own: Option<Arc<Dataset>>,
}

impl Samples {
    /// Number of samples.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

impl Client {
    /// Labelled samples with at least one modality, in order.
    pub fn usable(&self) -> Samples {
        let mut samples = Samples::default();
        for i in (0..self.rows.len()).filter(|&i| self.labelled[i] && self.present[i] != 0) {
            samples.rows.push(self.rows[i]);
            samples.present.push(self.present[i]);
            samples.labels.extend(self.labels.get(i));
        }
        samples
    }
}

/// What corruptions need to know of the data.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// Clean class of every sample of the data set; empty when multilabel.
    pub labels: &'a [u32],
    /// Number of classes.
    pub classes: usize,
    /// Names of the modalities.
    pub modalities: &'a [String],
}

impl Config {
    /// The same without what does nothing (rate 0), so that equal points are recognised as equal.
    pub fn canonical(&self) -> Config {
        let modality = |config: &missing_modality::Config| {
            let mut config = config.clone();
            config.rates.retain(|_, rate| *rate != config.rate);
            (!config.does_nothing()).then_some(config)
        };
        let test = self.test.as_ref().and_then(|test| test.missing_modality.as_ref().and_then(modality));
        Config {
            label_noise: self.label_noise.clone().filter(|config| config.rate != 0.0),
            missing_labels: self.missing_labels.clone().filter(|config| config.rate != 0.0),
            missing_modality: self.missing_modality.as_ref().and_then(modality),
            replay: self.replay.clone().filter(|config| !config.does_nothing()),
            test: test.map(|config| TestConfig { missing_modality: Some(config) }),
        }
    }

    /// Ranges.
    pub fn check(&self, c: &mut Checker) {
        self.walk(c, |c, noise| noise.check(c), |c, missing| missing.check(c));
        if let Some(config) = &self.missing_labels {
            c.inside("missing-labels", |c| config.check(c));
        }
        let at_test = self.test.as_ref().and_then(|test| test.missing_modality.as_ref());
        if at_test.is_some_and(|config| config.draw.is_some()) {
            let (what, how) = ("is a law of training data: FedMultimodal tests on clean data", "Remove it here.");
            c.inside("test", |c| c.inside("missing-modality", |c| c.fault("draw", what, "no draw", how)));
        }
        if let Some(config) = &self.replay {
            c.inside("replay", |c| config.check(c));
            let active = self.canonical();
            let others =
                active.label_noise.is_some() || active.missing_labels.is_some() || active.missing_modality.is_some();
            if active.replay.is_some() && others {
                replay::alone(c);
            }
        }
    }

    /// What needs the data: names of modalities, enough classes, label noise on multilabel data.
    pub fn check_data(&self, c: &mut Checker, facts: &Facts) {
        self.walk(c, |c, noise| noise.check_data(c, facts), |c, missing| missing.check_data(c, facts));
        if let Some(config) = self.replay.as_ref().filter(|config| !config.does_nothing()) {
            c.inside("replay", |c| config.check_data(c, facts));
        }
    }

    fn walk(
        &self,
        c: &mut Checker,
        noise: impl Fn(&mut Checker, &label_noise::Config),
        missing: impl Fn(&mut Checker, &missing_modality::Config),
    ) {
        if let Some(config) = &self.label_noise {
            c.inside("label-noise", |c| noise(c, config));
        }
        if let Some(config) = &self.missing_modality {
            c.inside("missing-modality", |c| missing(c, config));
        }
        if let Some(config) = self.test.as_ref().and_then(|test| test.missing_modality.as_ref()) {
            c.inside("test", |c| c.inside("missing-modality", |c| missing(c, config)));
        }
    }

    /// Corrupts every client's share and says how much was hit. Rate 0 everywhere changes and reports nothing.
    pub fn apply(&self, shares: Vec<Share>, facts: &Facts, stream: &Stream) -> (Vec<Client>, Vec<Realised>) {
        self.apply_from(0, shares, facts, stream)
    }

    /// The same for the clients from number `first` on: what happens to a client depends on its number, and on others only
    /// where exact shares of clients are asked for.
    pub fn apply_from(
        &self,
        first: usize,
        shares: Vec<Share>,
        facts: &Facts,
        stream: &Stream,
    ) -> (Vec<Client>, Vec<Realised>) {
        let config = self.canonical();
        let mut clients: Vec<Client> = shares.into_iter().map(|share| clean(share, facts)).collect();
        let of = clients.iter().map(|client| client.rows.len()).sum();
        let places = draw::places(clients.iter().map(|client| client.name.as_str()));
        let mut realised = Vec::new();
        let mut report = |name: &str, hit, of| realised.push(Realised { name: name.to_string(), hit, of });
        if let Some(noise) = config.label_noise.filter(|_| !facts.labels.is_empty()) {
            let mut hit = 0;
            for (k, client) in clients.iter_mut().enumerate() {
                let seen = noise.seen(&client.labels, facts.classes, first + k, stream);
                hit += seen.iter().zip(&client.labels).filter(|(seen, clean)| seen != clean).count();
                client.labels = seen;
            }
            report("label-noise", hit, of);
        }
        if let Some(missing) = config.missing_labels {
            for (k, client) in clients.iter_mut().enumerate() {
                client.labelled = missing.labelled(client.rows.len(), first + k, places[k], stream);
            }
            report("missing-labels", clients.iter().flat_map(|c| &c.labelled).filter(|l| !**l).count(), of);
        }
        if let Some(missing) = config.missing_modality {
            let group =
                |(k, c): (usize, &Client)| Group { key: (first + k) as u64, place: places[k], samples: c.rows.len() };
            let groups: Vec<Group> = clients.iter().enumerate().map(group).collect();
            let present = missing.present(&groups, facts, stream);
            realised.extend(lost("", &present, facts, missing.per));
            clients.iter_mut().zip(present).for_each(|(client, present)| client.present = present);
        }
        if !realised.is_empty() {
            let without = clients.iter().filter(|client| client.usable().is_empty()).count();
            let name = "clients-without-samples".to_string();
            realised.push(Realised { name, hit: without, of: clients.len() });
        }
        (clients, realised)
    }

    /// Modalities present in each of `rows` (development or test samples); `owner` is the natural client of every sample of
    /// the data set. `None` when everything is present.
    pub fn apply_to_test(
        &self,
        rows: &[u32],
        owner: &[u32],
        facts: &Facts,
        stream: &Stream,
    ) -> (Option<Vec<Present>>, Vec<Realised>) {
        let Some(missing) = self.canonical().test.and_then(|test| test.missing_modality) else {
            return (None, Vec::new());
        };
        let mut places: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        for (i, &row) in rows.iter().enumerate() {
            places.entry(owner[row as usize]).or_default().push(i);
        }
        let groups: Vec<Group> = places
            .iter()
            .map(|(&key, at)| Group { key: u64::from(key), place: u64::from(key), samples: at.len() })
            .collect();
        let grouped = missing.present(&groups, facts, &stream.named("test"));
        let realised = lost("test.", &grouped, facts, missing.per);
        let mut present = vec![0; rows.len()];
        for (at, mine) in places.values().zip(&grouped) {
            at.iter().zip(mine).for_each(|(&i, &p)| present[i] = p);
        }
        (Some(present), realised)
    }
}

/// A share before any corruption.
fn clean(share: Share, facts: &Facts) -> Client {
    let n = share.rows.len();
    let labels = share.rows.iter().filter_map(|&row| facts.labels.get(row as usize).copied()).collect();
    let present = vec![everything(facts.modalities.len()); n];
    Client { name: share.name, natural: share.natural, rows: share.rows, labels, labelled: vec![true; n], present }
}

/// All of `modalities` present.
fn everything(modalities: usize) -> Present {
    if modalities >= 32 { Present::MAX } else { (1 << modalities) - 1 }
}

/// What was lost, by modality.
fn lost(prefix: &str, groups: &[Vec<Present>], facts: &Facts, per: Per) -> Vec<Realised> {
    let of = groups.iter().map(Vec::len).sum();
    let mut realised = Vec::new();
    for (m, name) in facts.modalities.iter().enumerate() {
        let gone = |p: &&Present| **p & (1 << m) == 0;
        let hit = groups.iter().flatten().filter(gone).count();
        realised.push(Realised { name: format!("{prefix}missing-modality.{name}"), hit, of });
        if per == Per::Client {
            let hit = groups.iter().filter(|g| g.first().as_ref().is_some_and(gone)).count();
            let name = format!("{prefix}missing-modality.clients.{name}");
            realised.push(Realised { name, hit, of: groups.len() });
        }
    }
    let hit = groups.iter().flatten().filter(|p| **p == 0).count();
    realised.push(Realised { name: format!("{prefix}samples-without-any-modality"), hit, of });
    realised
}

/// One uniform number in [0, 1) a unit.
fn uniforms(n: usize, stream: &Stream) -> Vec<f64> {
    let mut rng = stream.rng();
    (0..n).map(|_| rng.random()).collect()
}

/// Who is hit: `u < rate`, or exactly the `round(rate · n)` smallest u (ties to the lowest index).
fn hits(drawn: &[f64], rate: f64, exact: bool) -> Vec<bool> {
    if !exact {
        return drawn.iter().map(|&u| u < rate).collect();
    }
    let mut order: Vec<usize> = (0..drawn.len()).collect();
    order.sort_by(|&a, &b| drawn[a].total_cmp(&drawn[b]));
    let mut hit = vec![false; drawn.len()];
    order.iter().take((rate * drawn.len() as f64).round() as usize).for_each(|&i| hit[i] = true);
    hit
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
