//! What a run reports: rows, summaries and events. Plain values; nothing here computes or writes.

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Scores of one evaluation. Fractions in [0, 1], not percent; `None` where a score is undefined.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Scores {
    /// Mean loss over samples: cross-entropy, or binary cross-entropy over all outputs when multilabel.
    pub loss: Option<f64>,
    /// Share of samples predicted right; multilabel: share with every label right.
    pub accuracy: Option<f64>,
    /// Macro-F1 as scikit-learn: over the classes in truth or prediction, 0 where undefined.
    pub macro_f1: Option<f64>,
    /// Unweighted average recall over the classes in truth.
    pub uar: Option<f64>,
    /// Share of samples whose class is among the k highest scores; `None` when multilabel.
    pub top_k: Option<f64>,
    /// Mean of the selection metric over the ⌈0.1 n⌉ worst natural clients.
    pub worst_10: Option<f64>,
}

/// Which score selects models, is plotted and is summarised first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Metric {
    /// Share predicted right.
    Accuracy,
    /// Macro-F1.
    #[default]
    MacroF1,
    /// Unweighted average recall.
    Uar,
    /// Top-k accuracy.
    TopK,
}

impl Metric {
    /// The score of this metric.
    pub fn of(self, scores: &Scores) -> Option<f64> {
        match self {
            Metric::Accuracy => scores.accuracy,
            Metric::MacroF1 => scores.macro_f1,
            Metric::Uar => scores.uar,
            Metric::TopK => scores.top_k,
        }
    }

    /// Column name and label: `macro_f1`, `macro-F1`.
    pub fn names(self) -> (&'static str, &'static str) {
        match self {
            Metric::Accuracy => ("accuracy", "accuracy"),
            Metric::MacroF1 => ("macro_f1", "macro-F1"),
            Metric::Uar => ("uar", "UAR"),
            Metric::TopK => ("top_k", "top-k accuracy"),
        }
    }
}

/// Which round of a run speaks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reading {
    /// The test score of the last evaluated round.
    Last,
    /// The test score at the best development round (the first, among equals).
    Best,
    /// The mean test score of the last five evaluated rounds.
    Mean5,
}

impl Reading {
    /// All readings, in column order.
    pub const ALL: [Reading; 3] = [Reading::Last, Reading::Best, Reading::Mean5];

    /// Prefix of column names.
    pub fn name(self) -> &'static str {
        match self {
            Reading::Last => "last",
            Reading::Best => "best",
            Reading::Mean5 => "mean5",
        }
    }

    /// For captions.
    pub fn caption(self) -> &'static str {
        match self {
            Reading::Last => "at the last evaluated round",
            Reading::Best => "at the best development round",
            Reading::Mean5 => "mean of the last five evaluated rounds",
        }
    }
}

/// One round of one run: one row of `rounds.csv`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RoundRow {
    /// Round, from 1.
    pub round: usize,
    /// Mean loss over the samples trained on; `None` when nobody trained.
    pub train_loss: Option<f64>,
    /// Clients that trained.
    pub clients: usize,
    /// Clients drawn that had nothing to train on.
    pub skipped: usize,
    /// Samples trained on, local epochs counted.
    pub samples: usize,
    /// Rows that the rule set aside because of a NaN or infinity.
    pub excluded: usize,
    /// Clients that trained and are byzantine.
    pub byzantine: usize,
    /// Blocks of the model that the round left as they were (the whole model is one where blocks are not aggregated apart):
    /// nobody sent a row for it, or too few for the rule under `too-few = "skip"`.
    pub stayed: usize,
    /// Bytes that the clients of the round would have sent and received, 4 a weight.
    pub bytes: u64,
    /// Development scores, where the round was evaluated.
    pub dev: Option<Scores>,
    /// Test scores, where the round was evaluated.
    pub test: Option<Scores>,
    /// Share of triggered test samples taken for a backdoor's target, where there is a backdoor and the round was evaluated.
    pub attack_success: Option<f64>,
    /// ε that the rounds so far have spent, at the δ of `dp-mean`, if each client had been drawn by a coin of its own; `None`
    /// where nothing bounds what a client changes.
    pub epsilon: Option<f64>,
    /// The same by the bound that holds for a cohort of fixed size.
    pub epsilon_fixed: Option<f64>,
    /// Wall-clock seconds; not part of the result.
    pub seconds: f64,
}

/// Scores of one natural client on its test samples, at the last evaluation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClientScore {
    /// Natural id.
    pub client: String,
    /// Test samples.
    pub samples: usize,
    /// Its scores.
    pub scores: Scores,
    /// Modalities that it lacks, in whole or in part; none where it has all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lacks: Vec<Lack>,
}

/// A modality that a client lacks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Lack {
    /// Name of the modality.
    pub modality: String,
    /// Share of its samples without it, above 0; 1 where it has the modality nowhere.
    pub share: f64,
}

/// How much corruption was asked for and how much there was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Realised {
    /// Name, for example `missing-modality.gyroscope` or `label-noise`.
    pub name: String,
    /// Units hit.
    pub hit: usize,
    /// Units that could have been hit.
    pub of: usize,
}

impl Realised {
    /// `hit / of`, 0 when there was nothing to hit.
    pub fn rate(&self) -> f64 {
        if self.of == 0 { 0.0 } else { self.hit as f64 / self.of as f64 }
    }
}

/// Why a run ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stop {
    /// All rounds done.
    Finished,
    /// The global weights became NaN or infinite after this round, or the update of every client was.
    Diverged {
        /// Round, from 1.
        round: usize,
    },
    /// An error or a panic in this round; the other runs went on.
    Failed {
        /// Round, from 1.
        round: usize,
        /// What happened.
        message: String,
    },
}

impl Stop {
    /// Whether it ended because it diverged.
    pub fn diverged(&self) -> bool {
        matches!(self, Stop::Diverged { .. })
    }
}

/// What a sweep tells whoever watches; progress bars, logs and tests listen, nothing prints inside.
#[derive(Debug, Clone)]
pub enum Event {
    /// Runs in the grid, those already finished, and rounds left to do.
    Started {
        /// All runs.
        runs: usize,
        /// Finished earlier.
        done: usize,
        /// Rounds still to train over all runs.
        rounds: usize,
    },
    /// What an earlier sweep left of a run that ended (`stop`) or goes on now.
    Before {
        /// Index of the run in the plan.
        run: usize,
        /// Its rows.
        rows: Vec<RoundRow>,
        /// Why it ended; `None` where it goes on.
        stop: Option<Stop>,
    },
    /// One round of one run ended.
    Round {
        /// Index of the run in the plan.
        run: usize,
        /// Its row.
        row: Box<RoundRow>,
    },
    /// One run ended.
    Ended {
        /// Index of the run in the plan.
        run: usize,
        /// The run's label.
        label: String,
        /// Why.
        stop: Stop,
    },
}

/// Format of everything in a results folder; raised when a reader of the old format would misread the new one.
pub const FORMAT: u32 = 3;

/// What a sweep is going to run, written to the results folder before the first run: all that a report needs besides the
/// runs themselves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// [`FORMAT`].
    pub format: u32,
    /// Name of the scenario: its file name without `.toml`.
    pub name: String,
    /// The question it asks.
    pub question: String,
    /// Selection metric.
    pub metric: Metric,
    /// The reading that is shown first, where the scenario names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reading: Option<Reading>,
    /// Whether the data is multilabel.
    pub multilabel: bool,
    /// Classes and natural clients of the data.
    pub classes: usize,
    /// Seeds, the same for every point.
    pub seeds: Vec<u64>,
    /// Rounds a run (the largest, where the grid varies it).
    pub rounds: usize,
    /// The grids, in file order; one grid without axes when the file declares none.
    pub grids: Vec<Grid>,
    /// The distinct points of all grids.
    pub points: Vec<PointInfo>,
    /// Every run: point × seed, by point then seed.
    pub runs: Vec<RunInfo>,
}

impl Plan {
    /// The runs, each once: points that read equal data from two files have the same. Shards are dealt from this list.
    pub fn distinct(&self) -> Vec<usize> {
        let mut named = BTreeSet::new();
        (0..self.runs.len()).filter(|&run| named.insert(&self.runs[run].fingerprint)).collect()
    }
}

/// One declared grid.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Grid {
    /// Its axes, in file order.
    pub axes: Vec<Axis>,
    /// Its cells in row-major order (last axis fastest): one index into each axis' values, and the point it resolves to.
    pub cells: Vec<(Vec<usize>, usize)>,
}

/// One axis of a grid.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Axis {
    /// Dotted path, for example `corrupt.missing-modality.rate` or `strategy`.
    pub path: String,
    /// Values as labels, for example `0.4` or `fedprox (mu 0.1)`.
    pub labels: Vec<String>,
    /// Values as numbers, where all are numbers: such an axis can be the x of a plot.
    pub numbers: Option<Vec<f64>>,
}

/// One distinct point: a resolved scenario without a seed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PointInfo {
    /// Legend label of its strategy.
    pub strategy: String,
    /// What the grids set, `path = value` by path; the same point met in two grids lists both.
    pub settings: Vec<(String, String)>,
}

/// One run of the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunInfo {
    /// Index into the points.
    pub point: usize,
    /// Seed.
    pub seed: u64,
    /// Rounds that it is to do.
    pub rounds: usize,
    /// Identity: 32 hex digits; names the run's folder.
    pub fingerprint: String,
}

/// What a finished run says of itself; written last, so that its presence means the run is whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: u32,
    /// Identity.
    pub fingerprint: String,
    /// Label for people, for example `strategy = fedavg, corrupt.missing-modality.rate = 0.4, seed 8`.
    pub label: String,
    /// Seed.
    pub seed: u64,
    /// Why it ended.
    pub stop: Stop,
    /// Rounds done.
    pub rounds: usize,
    /// Hash of the results in its rows, every column but times: an edited row is told by it, and two computations of one run
    /// are compared by it.
    pub digest: String,
    /// Weights of the model.
    pub parameters: usize,
    /// Clients of the partition.
    pub clients: usize,
    /// Realised corruption, training side first.
    pub realised: Vec<Realised>,
    /// Natural clients of the test samples, at the last evaluation; what they lack, they lack at test time. Empty for a run that
    /// did not finish.
    pub client_scores: Vec<ClientScore>,
    /// Natural clients of the development samples, at the last evaluation; what they lack, they lack in training. Empty
    /// without a development set, for a run that did not finish, and for populations above 200 clients.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dev_client_scores: Vec<ClientScore>,
    /// Training samples of each client by seen class, `[clients][classes]`; empty for populations above 200 clients.
    pub class_counts: Vec<Vec<u32>>,
    /// Names of the partition's clients, beside `class_counts`.
    pub client_names: Vec<String>,
    /// Bytes that clients would have sent and received over all rounds.
    pub bytes: u64,
    /// Where it was computed.
    pub origin: Origin,
    /// Wall-clock seconds; not part of the result.
    pub seconds: f64,
}

/// Versions and machine behind a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// fedrobust's version.
    pub version: String,
    /// Git commit of the binary, where known.
    pub commit: Option<String>,
    /// libtorch's version.
    pub libtorch: String,
    /// `cpu`, `cuda:0`.
    pub device: String,
    /// Worker threads.
    pub threads: usize,
    /// Version of the numerics; raised whenever a change alters results.
    pub numerics: u32,
    /// Kind of machine, from [`crate::machine::kind`]; on another one the last digits may differ.
    #[serde(default)]
    pub machine: String,
}
