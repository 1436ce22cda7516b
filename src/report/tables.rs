//! The three tables: `runs.csv`, `rounds.csv`, `summary.csv`. One fact a row, rows in the order of the plan.

use super::read::{Reading, Run, Study};
use crate::fault::{Error, Result};
use crate::record::{Metric, Plan, RunInfo, Stop};
use crate::statistics::summarise;
use crate::store::{HEADER, SCORES, cells, number};
use std::collections::BTreeMap;

/// What a run is read for: the test scores, and how often a backdoor worked.
fn measures() -> Vec<&'static str> {
    SCORES.iter().map(|(name, _)| *name).chain(["attack_success"]).collect()
}

/// The values of [`measures`].
fn measured(run: &Run, reading: Reading, metric: Metric) -> Vec<Option<f64>> {
    let scores = SCORES.iter().map(|(_, score)| run.read(reading, metric, score));
    scores.chain([run.attack_success(reading, metric)]).collect()
}

/// Dotted paths of all axes of all grids but the strategy, which has a column of its own; in file order.
fn paths(plan: &Plan) -> Vec<&str> {
    let mut paths: Vec<&str> = Vec::new();
    for axis in plan.grids.iter().flat_map(|grid| &grid.axes) {
        if axis.path != "strategy" && !paths.contains(&axis.path.as_str()) {
            paths.push(&axis.path);
        }
    }
    paths
}

/// Strategy and axis values of a point; nothing where the point's grids do not set an axis.
pub(super) fn point_cells(plan: &Plan, point: usize) -> Vec<String> {
    let info = &plan.points[point];
    let value = |path: &&str| {
        let values = info.settings.iter().filter(|(p, _)| p == path).map(|(_, value)| value.as_str());
        let mut values: Vec<&str> = values.collect();
        values.dedup();
        values.join(" | ")
    };
    std::iter::once(info.strategy.clone()).chain(paths(plan).iter().map(value)).collect()
}

pub(super) fn point_header(plan: &Plan) -> Vec<String> {
    std::iter::once("strategy").chain(paths(plan)).map(String::from).collect()
}

pub(super) fn csv(header: Vec<String>, rows: impl Iterator<Item = Vec<String>>) -> Result<Vec<u8>> {
    let failed = |e: &dyn std::fmt::Display| Error::Failed(format!("cannot write CSV: {e}"));
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(header).map_err(|e| failed(&e))?;
    for row in rows {
        writer.write_record(row).map_err(|e| failed(&e))?;
    }
    writer.into_inner().map_err(|e| failed(&e))
}

/// `runs.csv`: one row a run, with its scores by all three readings and the corruption that there really was.
pub fn runs(study: &Study) -> Result<Vec<u8>> {
    let mut realised: Vec<&str> = Vec::new();
    for of in study.runs.iter().filter_map(|run| run.manifest.as_ref()).flat_map(|m| &m.realised) {
        if !realised.contains(&of.name.as_str()) {
            realised.push(&of.name);
        }
    }
    let mut header = vec!["fingerprint".to_string(), "seed".into()];
    header.extend(point_header(&study.whole));
    header.extend(["status", "message", "rounds"].map(String::from));
    for reading in Reading::ALL {
        header.extend(measures().iter().map(|measure| format!("{}_{measure}", reading.name())));
    }
    header.extend(realised.iter().map(|name| format!("realised.{name}")));
    header.extend(
        ["clients", "skipped", "stayed", "epsilon", "epsilon_fixed", "parameters", "bytes", "seconds"]
            .map(String::from),
    );
    let places = study.runs.iter().zip(&study.whole.runs);
    csv(header, places.map(|(run, place)| run_row(study, run, place, &realised)))
}

fn run_row(study: &Study, run: &Run, place: &RunInfo, realised: &[&str]) -> Vec<String> {
    let manifest = run.manifest.as_ref();
    let message = match manifest.map(|m| &m.stop) {
        Some(Stop::Failed { message, .. }) => message.clone(),
        Some(Stop::Diverged { round }) => format!("the weights became NaN or infinite after round {round}"),
        _ => String::new(),
    };
    let mut row = vec![place.fingerprint.clone(), place.seed.to_string()];
    row.extend(point_cells(&study.whole, place.point));
    row.extend([run.status().to_string(), message, run.rounds.len().to_string()]);
    for reading in Reading::ALL {
        row.extend(measured(run, reading, study.plan.metric).into_iter().map(number));
    }
    let rates: BTreeMap<&str, f64> =
        manifest.iter().flat_map(|m| &m.realised).map(|of| (of.name.as_str(), of.rate())).collect();
    row.extend(realised.iter().map(|name| number(rates.get(name).copied())));
    let skipped: usize = run.rounds.iter().map(|r| r.skipped).sum();
    let bytes: u64 = run.rounds.iter().map(|r| r.bytes).sum();
    row.push(manifest.map(|m| m.clients.to_string()).unwrap_or_default());
    row.push(skipped.to_string());
    row.push(run.rounds.iter().map(|r| r.stayed).sum::<usize>().to_string());
    let last = run.rounds.last();
    row.extend([last.and_then(|r| r.epsilon), last.and_then(|r| r.epsilon_fixed)].map(number));
    row.push(manifest.map(|m| m.parameters.to_string()).unwrap_or_default());
    row.push(bytes.to_string());
    row.push(number(manifest.map(|m| m.seconds)));
    row
}

/// `rounds.csv`: the rounds of all runs, each with what its run is.
pub fn rounds(study: &Study) -> Result<Vec<u8>> {
    let mut header = vec!["fingerprint".to_string(), "seed".into()];
    header.extend(point_header(&study.whole));
    header.extend(HEADER.split(',').map(String::from));
    let rows = study.runs.iter().zip(&study.whole.runs).flat_map(|(run, place)| {
        let mut front = vec![place.fingerprint.clone(), place.seed.to_string()];
        front.extend(point_cells(&study.whole, place.point));
        run.rounds.iter().map(move |row| front.iter().cloned().chain(cells(row)).collect())
    });
    csv(header, rows)
}

/// `summary.csv`: mean, 95 % interval and deviation over the seeds and folds of each point, for every reading and score.
pub fn summary(study: &Study) -> Result<Vec<u8>> {
    let mut header = point_header(&study.plan);
    header.extend(["reading", "metric", "n", "mean", "low", "high", "sd"].map(String::from));
    let mut rows = Vec::new();
    for point in 0..study.plan.points.len() {
        let front = point_cells(&study.plan, point);
        for reading in Reading::ALL {
            let of_runs: Vec<_> = study.of(point).map(|run| measured(run, reading, study.plan.metric)).collect();
            for (i, name) in measures().into_iter().enumerate() {
                let values: Vec<f64> = of_runs.iter().filter_map(|of_run| of_run[i]).collect();
                let Some(s) = summarise(&values) else { continue };
                let mut row = front.clone();
                row.extend([reading.name().to_string(), name.to_string(), s.n.to_string(), s.mean.to_string()]);
                row.extend([s.low(), s.high(), s.sd].map(number));
                rows.push(row);
            }
        }
    }
    csv(header, rows.into_iter())
}
