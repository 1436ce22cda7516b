//! The store as one study in memory: runs with their rows, read in three ways, and the grids as panels.

use super::repeats::{Repeat, Repeats, Together, together};
use crate::fault::Result;
pub use crate::record::Reading;
use crate::record::{Manifest, Metric, Plan, RoundRow, RunInfo, Scores, Stop};
use crate::shard::Shard;
use crate::statistics::{Summary, summarise};
use crate::store::{Outcome, Store};
use std::collections::{BTreeMap, BTreeSet};

/// A results folder, read.
#[derive(Debug)]
pub struct Study {
    /// What was to run, folds taken together.
    pub plan: Plan,
    /// What was to run, every fold by itself.
    pub whole: Plan,
    /// Seeds and folds.
    pub repeats: Repeats,
    /// The resolved scenario.
    pub scenario: String,
    /// All runs of the plan, in its order.
    pub runs: Vec<Run>,
    /// Damaged files met while reading.
    pub notes: Vec<String>,
    /// Whether runs were scored on a development set.
    pub has_dev: bool,
    /// The part of the plan that the folder is of.
    pub shard: Shard,
}

/// One run and what there is of it.
#[derive(Debug)]
pub struct Run {
    /// Its place in the plan, folds taken together.
    pub info: RunInfo,
    /// Its seed and its fold.
    pub repeat: Repeat,
    /// What it says of itself, when it ended.
    pub manifest: Option<Manifest>,
    /// Its rounds so far.
    pub rounds: Vec<RoundRow>,
    /// Whether it is of another shard than the folder's.
    pub elsewhere: bool,
    /// Whether the study has development scores, so that a best round is asked for.
    pub has_dev: bool,
}

impl Run {
    /// Whether the run ended with a result: all rounds done, or diverged (which is a result of the strategy).
    pub fn counts(&self) -> bool {
        matches!(&self.manifest, Some(m) if !matches!(m.stop, Stop::Failed { .. }))
    }

    /// `finished`, `diverged`, `failed`, `unfinished` or `missing`.
    pub fn status(&self) -> &'static str {
        match &self.manifest {
            Some(Manifest { stop: Stop::Finished, .. }) => "finished",
            Some(Manifest { stop: Stop::Diverged { .. }, .. }) => "diverged",
            Some(Manifest { stop: Stop::Failed { .. }, .. }) => "failed",
            None if self.rounds.is_empty() => "missing",
            None => "unfinished",
        }
    }

    /// Whether its weights became NaN or infinite.
    pub fn diverged(&self) -> bool {
        self.manifest.as_ref().is_some_and(|manifest| manifest.stop.diverged())
    }

    /// A test score by one of the three readings. A run that diverged ends with a model that is of no use: it scores 0,
    /// but for a best development round before that.
    pub fn read(&self, reading: Reading, metric: Metric, score: impl Fn(&Scores) -> Option<f64>) -> Option<f64> {
        let value = |row: &RoundRow| row.test.as_ref().and_then(&score);
        match (self.diverged(), reading) {
            (false, _) => self.read_rows(reading, metric, value),
            (true, Reading::Best) if !self.has_dev || self.best(metric).is_some() => {
                self.read_rows(reading, metric, value)
            }
            (true, _) => score(&NOTHING),
        }
    }

    /// The share of triggered test samples that a backdoor turned to its target, by one of the three readings.
    pub fn attack_success(&self, reading: Reading, metric: Metric) -> Option<f64> {
        self.read_rows(reading, metric, |row| row.attack_success)
    }

    fn tested(&self) -> impl DoubleEndedIterator<Item = &RoundRow> {
        self.rounds.iter().filter(|row| row.test.is_some())
    }

    /// The tested round with the highest development score, the first among equals.
    fn best(&self, metric: Metric) -> Option<&RoundRow> {
        let mut best: Option<(f64, &RoundRow)> = None;
        for row in self.tested() {
            let Some(dev) = row.dev.as_ref().and_then(|dev| metric.of(dev)) else { continue };
            if best.is_none_or(|(highest, _)| dev > highest) {
                best = Some((dev, row));
            }
        }
        best.map(|(_, row)| row)
    }

    fn read_rows(&self, reading: Reading, metric: Metric, value: impl Fn(&RoundRow) -> Option<f64>) -> Option<f64> {
        match reading {
            Reading::Last => value(self.tested().next_back()?),
            Reading::Best => value(self.best(metric)?),
            Reading::Mean5 => {
                let last: Vec<f64> = self.tested().rev().take(5).filter_map(value).collect();
                summarise(&last).map(|s| s.mean)
            }
        }
    }
}

impl Study {
    /// Reads all that the folder holds; damaged files become notes.
    pub fn read(store: &Store) -> Result<Study> {
        let (whole, scenario, shard) = (store.plan()?, store.scenario()?, store.shard()?);
        let taken: BTreeSet<&String> = shard.share(whole.distinct()).map(|run| &whole.runs[run].fingerprint).collect();
        let Together { plan, repeats, count } = together(&whole);
        let mut notes = Vec::new();
        let mut runs = Vec::with_capacity(plan.runs.len());
        for (info, repeat) in plan.runs.iter().zip(repeats) {
            let manifest = match store.outcome(&info.fingerprint)? {
                Outcome::Whole(manifest) => Some(*manifest),
                Outcome::Unfinished => None,
                Outcome::Damaged(why) => {
                    notes.push(why);
                    None
                }
            };
            let rounds = store.rounds(&info.fingerprint)?;
            let elsewhere = !taken.contains(&info.fingerprint) && manifest.is_none();
            runs.push(Run { info: info.clone(), repeat, manifest, rounds, elsewhere, has_dev: false });
        }
        let has_dev = runs.iter().flat_map(|run| &run.rounds).any(|row| row.dev.is_some());
        runs.iter_mut().for_each(|run| run.has_dev = has_dev);
        Ok(Study { plan, whole, repeats: count, scenario, runs, notes, has_dev, shard })
    }

    /// The reading that is shown first: the one that the scenario names, else the best development round where there is a
    /// development set, else the last.
    pub fn reading(&self) -> Reading {
        let otherwise = if self.has_dev { Reading::Best } else { Reading::Last };
        self.plan.reading.unwrap_or(otherwise)
    }

    /// Runs of a point that count, in the order of the plan.
    pub fn of(&self, point: usize) -> impl Iterator<Item = &Run> {
        self.runs.iter().filter(move |run| run.info.point == point && run.counts())
    }

    /// The selection metric of a run by the first reading.
    pub fn value(&self, run: &Run) -> Option<f64> {
        let metric = self.plan.metric;
        run.read(self.reading(), metric, |scores| metric.of(scores)).filter(|value| value.is_finite())
    }

    /// The selection metric of a point over its repeats.
    pub fn summary(&self, point: usize) -> Option<Summary> {
        summarise(&self.of(point).filter_map(|run| self.value(run)).collect::<Vec<_>>())
    }

    /// Score of a guess: one in the number of classes, where that is one.
    pub fn chance(&self) -> Option<f64> {
        use Metric::{Accuracy, MacroF1, Uar};
        let plan = &self.plan;
        let known = matches!(plan.metric, Accuracy | MacroF1 | Uar) && !plan.multilabel && plan.classes > 1;
        known.then(|| 1.0 / plan.classes as f64)
    }

    /// The selection metric of a point by repeat.
    pub fn by_repeat(&self, point: usize) -> BTreeMap<Repeat, f64> {
        self.of(point).filter_map(|run| Some((run.repeat.clone(), self.value(run)?))).collect()
    }

    /// Label of the selection metric, for example `macro-F1`.
    pub fn metric(&self) -> &'static str {
        self.plan.metric.names().1
    }

    /// `Test macro-F1 at the best development round, mean and 95 % interval over 3 seeds`.
    pub fn measure(&self) -> String {
        let over = match (self.repeats.is_one(), self.repeats.text()) {
            (true, one) => one,
            (false, n) => format!("mean and 95 % interval (Student's t) over {n}"),
        };
        format!("Test {} {}, {over}", self.metric(), self.reading().caption())
    }

    /// Whether a run of the point diverged.
    pub fn diverged(&self, point: usize) -> bool {
        self.of(point).any(Run::diverged)
    }
}

/// What a model scores that predicts nothing: a sample with a NaN logit counts as wrong. It has no loss.
const NOTHING: Scores = Scores {
    loss: None,
    accuracy: Some(0.0),
    macro_f1: Some(0.0),
    uar: Some(0.0),
    top_k: Some(0.0),
    worst_10: Some(0.0),
};
