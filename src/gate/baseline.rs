//! What a scenario gave: versions, machine, margin, and of every run its digest and its scores. Kept as JSON beside the
//! scenario, made to be read in a diff.

use crate::fault::{Error, Result};
use crate::record::{Manifest, Origin, RoundRow, Scores, Stop};
use crate::store::{Outcome, Store, write_file};
use crate::sweep::study::Study;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

/// Version of the file.
const FORMAT: u32 = 2;

/// A baseline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    /// Version of the file.
    pub format: u32,
    /// Name of the scenario.
    pub scenario: String,
    /// Why it was made, in a sentence.
    pub reason: String,
    /// Versions, device, threads and kind of machine.
    pub origin: Origin,
    /// Which score the cells hold, for example `macro-F1`.
    pub metric: String,
    /// Margin of the paired test: of scores as they are, of losses as a ratio (0.02: 2 %).
    pub margin: f64,
    /// Every point of the scenario.
    pub cells: Vec<Cell>,
}

/// One point with its runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cell {
    /// Label for people.
    pub label: String,
    /// Hash of the resolved point and its data: another one is another question.
    pub point: String,
    /// Its runs, in the order of the seeds.
    pub runs: Vec<Run>,
}

/// One run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// Seed.
    pub seed: u64,
    /// `finished`, `diverged in round 3`, `failed in round 3: why`.
    pub stop: String,
    /// Hash of the losses, scores and counts of every round.
    pub digest: String,
    /// Mean test score over the evaluated rounds.
    pub score: Option<f64>,
    /// Mean of the natural logarithm of the test loss over the evaluated rounds.
    pub log_loss: Option<f64>,
}

impl Baseline {
    /// What the finished sweep of `study` left in `store`.
    ///
    /// # Errors
    /// [`Error::Failed`] where a run is not there; the store cannot be read.
    pub fn collect(study: &Study, store: &Store, origin: Origin, margin: f64, reason: &str) -> Result<Self> {
        let plan = &study.plan;
        let mut cells: Vec<Cell> = Vec::new();
        for point in 0..plan.points.len() {
            let mut runs = Vec::new();
            for run in plan.runs.iter().filter(|run| run.point == point) {
                let manifest = match store.outcome(&run.fingerprint)? {
                    Outcome::Whole(manifest) => manifest,
                    Outcome::Unfinished => return Err(Error::Failed(format!("run {} did not end", run.fingerprint))),
                    Outcome::Damaged(why) => return Err(Error::Failed(why)),
                };
                let metric = plan.metric;
                runs.push(Run::of(&manifest, &store.rounds(&run.fingerprint)?, |scores| metric.of(scores)));
            }
            runs.sort_by_key(|run| run.seed);
            let settings: Vec<String> =
                plan.points[point].settings.iter().map(|(path, value)| format!("{path} = {value}")).collect();
            let label = if settings.is_empty() { plan.points[point].strategy.clone() } else { settings.join(", ") };
            let identity = format!("{}\n{}", study.scenario(point).portable()?, study.data(point).checksum);
            let point = blake3::hash(identity.as_bytes()).to_hex()[..16].to_string();
            cells.push(Cell { label, point, runs });
        }
        Ok(Baseline {
            format: FORMAT,
            scenario: plan.name.clone(),
            reason: reason.to_string(),
            origin,
            metric: plan.metric.names().1.to_string(),
            margin,
            cells,
        })
    }

    /// Reads a baseline.
    ///
    /// # Errors
    /// [`Error::Invalid`] where there is none, it is damaged or of another version.
    pub fn read(path: &Path) -> Result<Self> {
        let shown = path.display();
        let text = fs::read_to_string(path).map_err(|e| match e.kind() {
            ErrorKind::NotFound => Error::Invalid(format!(
                "{shown}: there is no such baseline; make it with --bless --reason 'WHY', on code that you trust"
            )),
            _ => Error::io(format!("cannot read {shown}"), &e),
        })?;
        let remedy = "take it from version control again, or make it anew with --bless --reason 'WHY'";
        let value: serde_json::Value = serde_json::from_str(&text)
            .map_err(|e| Error::Invalid(format!("{shown}: is no baseline ({e}); {remedy}")))?;
        match value.get("format").and_then(serde_json::Value::as_u64) {
            Some(format) if format == u64::from(FORMAT) => {}
            Some(format) => {
                let remedy = match format < u64::from(FORMAT) {
                    true => "make it anew with --bless --reason 'WHY'",
                    false => "use the fedrobust that made it, or a newer one",
                };
                return Err(Error::Invalid(format!(
                    "{shown}: is a baseline of format {format}, this is format {FORMAT}; {remedy}"
                )));
            }
            None => return Err(Error::Invalid(format!("{shown}: is no baseline (it names no format); {remedy}"))),
        }
        let mut baseline: Baseline = serde_json::from_value(value)
            .map_err(|e| Error::Invalid(format!("{shown}: is no baseline ({e}); {remedy}")))?;
        if !(baseline.margin > 0.0 && baseline.margin.is_finite()) {
            return Err(Error::Invalid(format!(
                "{shown}: margin = {}: is not a number above 0; {remedy}",
                baseline.margin
            )));
        }
        baseline.cells.iter_mut().for_each(|cell| cell.runs.sort_by_key(|run| run.seed));
        let seeds = baseline.seeds();
        let other = |cell: &&Cell| cell.runs.is_empty() || cell.seeds() != seeds;
        if let Some(cell) = baseline.cells.iter().find(other) {
            let (has, wanted) = (listed(&cell.seeds()), listed(&seeds));
            return Err(Error::Invalid(format!(
                "{shown}: the cell '{}' has runs of {has}, the first cell of {wanted}; every cell needs the same; {remedy}",
                cell.label
            )));
        }
        Ok(baseline)
    }

    /// Writes it.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self).map_err(|e| Error::Failed(format!("cannot write JSON: {e}")))?;
        write_file(path, (text + "\n").as_bytes()).map(drop)
    }

    /// A run that failed, with its cell's label: its rule panicked or refused its input.
    pub fn failed(&self) -> Option<(&str, &Run)> {
        let runs = self.cells.iter().flat_map(|cell| cell.runs.iter().map(|run| (cell.label.as_str(), run)));
        runs.into_iter().find(|(_, run)| run.stop.starts_with(FAILED))
    }

    /// The seeds of its first cell, rising; every cell has the same.
    pub fn seeds(&self) -> Vec<u64> {
        self.cells.first().map(Cell::seeds).unwrap_or_default()
    }
}

impl Cell {
    fn seeds(&self) -> Vec<u64> {
        self.runs.iter().map(|run| run.seed).collect()
    }
}

/// How a run that failed begins to tell of it.
const FAILED: &str = "failed in round";

/// `seeds 1, 2`, `no seed`.
fn listed(seeds: &[u64]) -> String {
    match seeds {
        [] => "no seed".into(),
        seeds => format!("seeds {}", seeds.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")),
    }
}

impl Run {
    fn of(manifest: &Manifest, rows: &[RoundRow], score: impl Fn(&Scores) -> Option<f64>) -> Self {
        let stop = match &manifest.stop {
            Stop::Finished => "finished".to_string(),
            Stop::Diverged { round } => format!("diverged in round {round}"),
            Stop::Failed { round, message } => format!("{FAILED} {round}: {}", message.trim_end_matches('.')),
        };
        let mean = |values: Vec<Option<f64>>| -> Option<f64> {
            let values: Vec<f64> = values.into_iter().collect::<Option<_>>()?;
            (!values.is_empty())
                .then(|| values.iter().sum::<f64>() / values.len() as f64)
                .filter(|mean| mean.is_finite())
        };
        let tested: Vec<&Scores> = rows.iter().filter_map(|row| row.test.as_ref()).collect();
        // A loss of nothing is as good as the smallest that there is.
        let log = |loss: f64| loss.max(1e-12).ln();
        Run {
            seed: manifest.seed,
            digest: digest(rows, &stop),
            stop,
            score: mean(tested.iter().map(|scores| score(scores)).collect()),
            log_loss: mean(tested.iter().map(|scores| scores.loss.map(log)).collect()),
        }
    }
}

/// Hash of the bits of all that the rounds say but their times, and of how the run ended.
fn digest(rows: &[RoundRow], stop: &str) -> String {
    let mut hasher = blake3::Hasher::new();
    let mut number = |value: Option<f64>| {
        hasher.update(&[u8::from(value.is_some())]).update(&value.unwrap_or_default().to_bits().to_le_bytes());
    };
    for row in rows {
        number(row.train_loss);
        for count in [row.round, row.clients, row.skipped, row.samples, row.excluded, row.byzantine] {
            number(Some(count as f64));
        }
        for scores in [&row.dev, &row.test] {
            let s = scores.unwrap_or_default();
            for score in [s.loss, s.accuracy, s.macro_f1, s.uar, s.top_k, s.worst_10] {
                number(score);
            }
        }
        number(row.attack_success);
    }
    hasher.update(stop.as_bytes());
    hasher.finalize().to_hex()[..16].to_string()
}
