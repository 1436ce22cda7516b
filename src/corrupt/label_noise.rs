//! `label-noise`: labels become wrong.
//!
//! Every training sample's label changes with probability `rate` (with `exact`: exactly `round(rate · n)` of each client).
//! What it becomes is the kind:
//!
//! - `symmetric`: a uniformly random other class.
//! - `transition`: drawn, sample by sample, from the row of the true class in a row-stochastic matrix `[C, C]`: the diagonal is
//!   `1 − rate`, a share `sparsity` of the off-diagonal entries is zero, and the others of a row share `rate` equally. Every
//!   row keeps at least one, so at most `C (C − 2)` are zero. One matrix for the run, or one for every client (`scope`).
//!
//! - `class-map`: FedMultimodal's law as its code has it: one uniform number u a client, and a sparse matrix a client as above.
//!   Every sample of class y sees the first class j with `u < Σ_{i ≤ j} P(y, i)`, so all samples of a class in a client see
//!   the same label, right or wrong. With two classes a client is inverted whole where `u < rate`, else untouched.
//!
//! But for `class-map`, each sample has one uniform number that decides whether it is hit, whatever the rate, and its wrong label does not depend
//! on the rate: a higher rate makes wrong all that a lower one makes wrong, in the same way.
//!
//! By hand: C = 3, rate 0.3, sparsity 0.4: round(0.4 · 6) = 2 zeros, so one row is for example (0.7, 0, 0.3).

use super::Facts;
use crate::fault::{About, Checker, Parameter};
use crate::seed::Stream;
use rand::Rng;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

/// Parameters.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Config {
    /// Share of labels that change.
    pub rate: f64,
    /// What they become.
    pub kind: Kind,
    /// Exactly `round(rate · n)` of each client, not a coin a sample.
    pub exact: bool,
}

/// What a wrong label becomes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Any other class.
    Symmetric(Symmetric),
    /// By a sparse transition matrix.
    Transition(Transition),
    /// One label for each client and class.
    ClassMap(ClassMap),
}

impl Default for Kind {
    fn default() -> Self {
        Kind::Symmetric(Symmetric {})
    }
}

/// No parameters.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Symmetric {}

/// Parameters of `transition`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Transition {
    /// Share of off-diagonal entries that are zero.
    pub sparsity: f64,
    /// Whose matrix.
    pub scope: Scope,
}

impl Default for Transition {
    fn default() -> Self {
        Self { sparsity: 0.4, scope: Scope::Client }
    }
}

/// Parameters of `class-map`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct ClassMap {
    /// Share of off-diagonal entries that are zero.
    pub sparsity: f64,
}

impl Default for ClassMap {
    fn default() -> Self {
        Self { sparsity: 0.4 }
    }
}

/// Whose matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// Every client has its own.
    #[default]
    Client,
    /// One for all clients of a run.
    Run,
}

/// Entry of `fedrobust list corrupt`.
pub const ABOUT: About = About {
    name: "label-noise",
    summary: "Training labels become wrong: any other class, or by a sparse transition matrix.",
    formula: "P(seen = y) = 1 - rate; symmetric: P(seen = j) = rate/(C - 1); transition: rate shared by the row's entries that are not zero",
    source: "Zhang et al., FedAudio, ICASSP 2023; Feng et al., FedMultimodal, KDD 2023, section 3 (erroneous labels)",
    parameters: &[
        Parameter { name: "rate", default: "0.0", meaning: "share of labels that change, 0 to 1" },
        Parameter {
            name: "kind",
            default: "symmetric",
            meaning: "symmetric, { transition = { sparsity = 0.4, scope = \"client\" } } (scope: client or run), or { class-map = { sparsity = 0.4 } }",
        },
        Parameter { name: "exact", default: "false", meaning: "exactly round(rate n) labels of each client" },
    ],
};

impl Config {
    /// Ranges.
    pub fn check(&self, c: &mut Checker) {
        c.rate("rate", self.rate);
        match &self.kind {
            Kind::Symmetric(_) => {}
            Kind::Transition(transition) => {
                c.inside("kind", |c| c.inside("transition", |c| c.rate("sparsity", transition.sparsity)));
            }
            Kind::ClassMap(map) => {
                c.inside("kind", |c| c.inside("class-map", |c| c.rate("sparsity", map.sparsity)));
                if self.exact {
                    c.fault("exact", "cannot be had of a class map", "false", "Remove exact, or use transition.");
                }
            }
        }
    }

    /// What the data allows.
    pub fn check_data(&self, c: &mut Checker, facts: &Facts) {
        if facts.labels.is_empty() {
            c.fault(
                "",
                "needs one class a sample, the data is multilabel",
                "",
                "Use missing-labels or missing-modality.",
            );
        }
        if facts.classes < 2 {
            c.fault("", "needs another class to change to", "data of 2 classes or more", "");
        }
        if matches!(self.kind, Kind::Transition(_)) && facts.classes == 2 {
            let allowed = "data of 3 classes or more";
            c.inside("kind", |c| {
                c.fault("transition", "leaves nothing to choose with 2 classes", allowed, "Use symmetric.")
            });
        }
    }

    /// The labels that client `k` sees instead of `labels`.
    pub(super) fn seen(&self, labels: &[u32], classes: usize, k: usize, stream: &Stream) -> Vec<u32> {
        let run = stream.named("label-noise");
        let client = run.at(k as u64);
        let targets = match &self.kind {
            Kind::Symmetric(_) => targets(classes, 0.0, &run),
            Kind::Transition(t) if t.scope == Scope::Run => targets(classes, t.sparsity, &run.named("matrix")),
            Kind::Transition(t) => targets(classes, t.sparsity, &client.named("matrix")),
            Kind::ClassMap(map) => {
                let rows = targets(classes, map.sparsity, &client.named("matrix"));
                let u = super::uniforms(1, &client.named("class-map"))[0];
                let map = class_map(&rows, self.rate, u);
                return labels.iter().map(|&label| map[label as usize]).collect();
            }
        };
        let drawn = super::uniforms(labels.len(), &client);
        let hits = super::hits(&drawn, self.rate, self.exact);
        let mut rng = client.named("wrong").rng();
        let wrong = |(&label, hit): (&u32, bool)| {
            let u: f64 = rng.random();
            let row = &targets[label as usize];
            let choice = ((u * row.len() as f64) as usize).min(row.len().saturating_sub(1));
            if hit { row.get(choice).copied().unwrap_or(label) } else { label }
        };
        labels.iter().zip(hits).map(wrong).collect()
    }
}

/// What every class becomes: by the row `1 − rate` on the diagonal, `rate` shared by its targets, at the same u.
fn class_map(rows: &[Vec<u32>], rate: f64, u: f64) -> Vec<u32> {
    if rows.len() == 2 {
        return (0..2).map(|class| if u < rate { 1 - class } else { class }).collect();
    }
    let seen = |(class, targets): (usize, &Vec<u32>)| {
        let mut cumulated = 0.0;
        let mut shares = (0..rows.len() as u32).map(|j| {
            let own = if j == class as u32 { 1.0 - rate } else { 0.0 };
            cumulated += if targets.contains(&j) { rate / targets.len() as f64 } else { own };
            (j, cumulated)
        });
        // Rounding may leave the last sum a hair below 1; the last class of the row is meant.
        let last = targets.iter().copied().max().unwrap_or(0).max(class as u32);
        shares.find(|(_, sum)| u < *sum).map_or(last, |(j, _)| j)
    };
    rows.iter().enumerate().map(seen).collect()
}

/// The classes that each class may turn into: the off-diagonal entries that are not zero.
fn targets(classes: usize, sparsity: f64, stream: &Stream) -> Vec<Vec<u32>> {
    let all = classes as u32;
    let mut rows: Vec<Vec<u32>> = (0..all).map(|y| (0..all).filter(|&j| j != y).collect()).collect();
    let mut cells: Vec<(usize, u32)> =
        rows.iter().enumerate().flat_map(|(y, row)| row.iter().map(move |&j| (y, j))).collect();
    let mut zeros = (sparsity * cells.len() as f64).round() as usize;
    cells.shuffle(&mut stream.rng());
    for (y, j) in cells {
        if zeros > 0 && rows[y].len() > 1 {
            rows[y].retain(|&other| other != j);
            zeros -= 1;
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_matrix_has_the_zeros_asked_for_and_no_empty_row() {
        for (classes, sparsity, kept) in [(3, 0.4, 4), (6, 0.4, 18), (5, 1.0, 5), (4, 0.0, 12)] {
            let rows = targets(classes, sparsity, &Stream::root(1));
            assert_eq!(rows.iter().map(Vec::len).sum::<usize>(), kept);
            for (y, row) in rows.iter().enumerate() {
                assert!(!row.is_empty() && !row.contains(&(y as u32)));
            }
        }
    }

    #[test]
    fn symmetric_noise_reaches_every_other_class_equally_and_never_the_own() {
        let labels = vec![1u32; 3000];
        let config = Config { rate: 1.0, ..Default::default() };
        let seen = config.seen(&labels, 4, 0, &Stream::root(5));
        let count = |class| seen.iter().filter(|&&l| l == class).count();
        assert_eq!(count(1), 0);
        assert!([0, 2, 3].iter().all(|&class| (900..1100).contains(&count(class))));
    }

    #[test]
    fn a_class_map_gives_a_client_one_label_a_class_and_changes_the_share_asked_for() {
        // Row of class 1 of three, rate 0.4, no zeros: (0.2, 0.6, 0.2); sums 0.2, 0.8, 1.
        let rows = vec![vec![1, 2], vec![0, 2], vec![0, 1]];
        let of = |u| class_map(&rows, 0.4, u)[1];
        assert_eq!([of(0.1), of(0.3), of(0.79), of(0.9), of(0.999_999_999_999)], [0, 1, 1, 2, 2]);
        let kind = Kind::ClassMap(ClassMap::default());
        let config = Config { rate: 0.3, kind, exact: false };
        let labels: Vec<u32> = (0..60).map(|i| i % 6).collect();
        let (mut wrong, mut wholly) = (0, 0);
        for k in 0..400 {
            let seen = config.seen(&labels, 6, k, &Stream::root(3));
            assert!((6..60).all(|i| seen[i] == seen[i - 6]), "all samples of a class see the same label");
            let hit = (0..6).filter(|&i| seen[i] != labels[i]).count();
            wrong += hit;
            wholly += usize::from(hit == 6);
            // Two classes: the whole client or nothing.
            let two = config.seen(&[0, 1, 0, 1], 2, k, &Stream::root(3));
            assert!(two == [0, 1, 0, 1] || two == [1, 0, 1, 0]);
        }
        assert!((0.25..0.35).contains(&(wrong as f64 / 2400.0)), "{wrong} of 2400 are wrong");
        assert!(wholly < 400 / 4, "{wholly} clients are wrong throughout");
    }

    #[test]
    fn a_run_has_one_matrix_and_clients_have_their_own_and_samples_differ() {
        let labels = vec![0u32; 400];
        let reached = |scope, k| {
            let kind = Kind::Transition(Transition { sparsity: 0.5, scope });
            let seen = Config { rate: 1.0, kind, exact: false }.seen(&labels, 8, k, &Stream::root(9));
            let mut classes: Vec<u32> = seen;
            classes.sort_unstable();
            classes.dedup();
            classes
        };
        assert!(reached(Scope::Run, 0).len() > 1);
        assert!((1..8).all(|k| reached(Scope::Run, k) == reached(Scope::Run, 0)));
        assert!((1..8).any(|k| reached(Scope::Client, k) != reached(Scope::Client, 0)));
    }
}
