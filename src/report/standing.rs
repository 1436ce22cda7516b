//! How a sweep stands while it runs: best and worst cell so far, runs and rounds done, the time that is left.

use crate::fault::Result;
use crate::record::{Plan, RoundRow, Stop};
use crate::store::{Outcome, Store};
use std::collections::BTreeMap;
use std::path::Path;

/// The latest test score of every run, to find the best and the worst cell.
#[derive(Debug, Default)]
pub struct Cells {
    /// By run.
    latest: BTreeMap<usize, f64>,
}

impl Cells {
    /// Takes in a row of a run.
    pub fn take(&mut self, plan: &Plan, run: usize, row: &RoundRow) {
        if let Some(score) = row.test.as_ref().and_then(|test| plan.metric.of(test)).filter(|score| score.is_finite()) {
            self.latest.insert(run, score);
        }
    }

    /// Takes in that a run diverged: it scores 0, whatever it scored before.
    pub fn diverged(&mut self, run: usize) {
        self.latest.insert(run, 0.0);
    }

    /// The best and the worst cell by the mean of their runs' latest scores, as `0.83 strategy = fedavg`; the first among
    /// equals. `None` before there are two cells with a score.
    pub fn ends(&self, plan: &Plan) -> Option<(String, String)> {
        let mut cells: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
        for (&run, &score) in &self.latest {
            cells.entry(plan.runs[run].point).or_default().push(score);
        }
        let mean = |scores: &[f64]| scores.iter().sum::<f64>() / scores.len() as f64;
        let means: Vec<(usize, f64)> = cells.into_iter().map(|(point, scores)| (point, mean(&scores))).collect();
        let told = |&(point, mean): &(usize, f64)| format!("{mean:.3}  {}", cell(plan, point));
        let best = means.iter().reduce(|best, next| if next.1 > best.1 { next } else { best })?;
        let worst = means.iter().reduce(|worst, next| if next.1 < worst.1 { next } else { worst })?;
        (means.len() > 1).then(|| (told(best), told(worst)))
    }
}

/// What sets a point apart.
fn cell(plan: &Plan, point: usize) -> String {
    let info = &plan.points[point];
    if info.settings.is_empty() {
        return info.strategy.clone();
    }
    info.settings.iter().map(|(path, value)| format!("{path} = {value}")).collect::<Vec<_>>().join(", ")
}

/// A results folder at one moment, for people at another terminal.
#[derive(Debug)]
pub struct Standing {
    name: String,
    runs: usize,
    finished: usize,
    diverged: usize,
    failed: usize,
    /// Runs with rows that have not ended.
    begun: usize,
    rounds: usize,
    rounds_left: usize,
    /// Seconds that the rounds so far took together.
    seconds: f64,
    ends: Option<(String, String)>,
    metric: &'static str,
    /// Whether a sweep writes to the folder now.
    pub under_way: bool,
}

impl Standing {
    /// Reads a results folder; a sweep may be writing there. Of a shard it counts the runs of that shard.
    ///
    /// # Errors
    /// A folder that holds no results or cannot be read.
    pub fn read(folder: &Path) -> Result<Self> {
        let store = Store::read(folder)?;
        let plan = store.plan()?;
        let (metric, under_way, shard) = (plan.metric.names().1, store.in_use(), store.shard()?);
        let part = if shard.is_part() { format!(", shard {shard}") } else { String::new() };
        let mut standing = Standing {
            name: format!("{}{part}", plan.name),
            runs: 0,
            finished: 0,
            diverged: 0,
            failed: 0,
            begun: 0,
            rounds: 0,
            rounds_left: 0,
            seconds: 0.0,
            ends: None,
            metric,
            under_way,
        };
        let mut cells = Cells::default();
        for run in shard.share(plan.distinct()) {
            let info = &plan.runs[run];
            let rows = store.rounds(&info.fingerprint)?;
            rows.iter().for_each(|row| cells.take(&plan, run, row));
            let outcome = store.outcome(&info.fingerprint)?;
            if outcome.diverged() {
                cells.diverged(run);
            }
            standing.count(outcome, &rows, info.rounds);
        }
        standing.ends = cells.ends(&plan);
        Ok(standing)
    }

    fn count(&mut self, outcome: Outcome, rows: &[RoundRow], rounds: usize) {
        self.runs += 1;
        self.rounds += rows.len();
        self.seconds += rows.iter().map(|row| row.seconds).sum::<f64>();
        match outcome {
            Outcome::Whole(manifest) => match manifest.stop {
                Stop::Finished => self.finished += 1,
                Stop::Diverged { .. } => self.diverged += 1,
                Stop::Failed { .. } => self.failed += 1,
            },
            Outcome::Unfinished | Outcome::Damaged(_) => {
                self.begun += usize::from(!rows.is_empty());
                self.rounds_left += rounds.saturating_sub(rows.len());
            }
        }
    }

    /// Whether every run has ended.
    pub fn done(&self) -> bool {
        self.finished + self.diverged + self.failed == self.runs
    }

    /// A few lines of text.
    pub fn text(&self) -> String {
        let Standing { name, runs, finished, diverged, failed, begun, rounds, rounds_left, .. } = self;
        let state = match (self.done(), self.under_way) {
            (true, _) => "it has ended",
            (false, true) => "a sweep is running",
            (false, false) => "no sweep is running: the command that began it goes on",
        };
        let ended = format!("{finished} finished, {diverged} diverged, {failed} failed");
        let mut text = format!("{name}: {state}\nruns    {ended}, {begun} under way, of {runs}\n");
        let all = rounds + rounds_left;
        let share = if all == 0 { 100.0 } else { 100.0 * *rounds as f64 / all as f64 };
        text += &format!("rounds  {rounds} of {all} ({share:.0} %)");
        if self.seconds > 0.0 && *rounds > 0 {
            let rate = *rounds as f64 / self.seconds;
            text += &format!(", {rate:.1} a second");
            if *rounds_left > 0 {
                text += &format!(", about {} left", duration(*rounds_left as f64 / rate));
            }
        }
        text.push('\n');
        if let Some((best, worst)) = &self.ends {
            text += &format!("best    {best}\nworst   {worst}\n");
            text +=
                &format!("        (cells by test {} at each run's latest evaluation, mean over seeds)\n", self.metric);
        }
        text
    }
}

/// `40 s`, `12 min`, `3.4 h`.
fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 90.0 => format!("{s:.0} s"),
        s if s < 5_400.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3_600.0),
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake::Fake;
    use super::*;
    use crate::record::Scores;

    #[test]
    fn the_standing_counts_runs_and_rounds_and_names_the_ends() {
        let folder = tempfile::tempdir().unwrap();
        let fake = Fake { grids: false, seeds: vec![8, 9], ..Fake::default() };
        // Eight runs of 25 rounds: one diverged, one failed in its 13th round, one not begun.
        fake.write(folder.path(), |i, manifest| match i {
            0 => Some(crate::record::Manifest { stop: Stop::Diverged { round: 25 }, ..manifest }),
            1 => Some(crate::record::Manifest {
                stop: Stop::Failed { round: 13, message: "x".into() },
                rounds: 12,
                ..manifest
            }),
            7 => None,
            _ => Some(manifest),
        });
        let text = Standing::read(folder.path()).unwrap().text();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "quickstart: no sweep is running: the command that began it goes on");
        assert_eq!(lines[1], "runs    5 finished, 1 diverged, 1 failed, 0 under way, of 8");
        assert_eq!(lines[2], "rounds  162 of 187 (87 %), 4.0 a second, about 6 s left");
        assert!(lines[3].starts_with("best    0.8") && lines[4].starts_with("worst   0.4"), "{text}");
        assert_eq!(lines[5], "        (cells by test macro-F1 at each run's latest evaluation, mean over seeds)");
    }

    #[test]
    fn a_shard_has_ended_when_its_own_runs_have() {
        let folder = tempfile::tempdir().unwrap();
        let fake = Fake { grids: false, seeds: vec![8, 9], shard: "2/3".parse().unwrap(), ..Fake::default() };
        // Of eight runs the second of three shards has the second, the fifth and the eighth.
        fake.write(folder.path(), |i, manifest| [1, 4, 7].contains(&i).then_some(manifest));
        let standing = Standing::read(folder.path()).unwrap();
        assert!(standing.done());
        let text = standing.text();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "quickstart, shard 2/3: it has ended");
        assert_eq!(lines[1], "runs    3 finished, 0 diverged, 0 failed, 0 under way, of 3");
        assert_eq!(lines[2], "rounds  75 of 75 (100 %), 4.0 a second");
        std::fs::write(folder.path().join("shard.txt"), "4/3\n").unwrap();
        let error = Standing::read(folder.path()).unwrap_err().to_string();
        assert!(error.ends_with("shard.txt: holds \"4/3\"; allowed: K/N with K from 1 to N, for example 3/16; remove the file: the next sweep writes it anew"), "{error}");
    }

    #[test]
    fn the_ends_are_those_of_the_latest_scores() {
        let fake = Fake { grids: false, seeds: vec![8, 9], ..Fake::default() };
        let plan = fake.plan();
        let mut cells = Cells::default();
        let row = |score: f64| RoundRow {
            test: Some(Scores { macro_f1: Some(score), ..Scores::default() }),
            ..fake.row(&plan, &plan.runs[0], 1)
        };
        cells.take(&plan, 0, &row(0.9));
        assert_eq!(cells.ends(&plan), None, "one cell has no other to be better than");
        for (run, score) in [(0, 0.4), (1, 0.6), (2, 0.7), (4, 0.1), (4, f64::NAN)] {
            cells.take(&plan, run, &row(score));
        }
        let (best, worst) = cells.ends(&plan).unwrap();
        assert_eq!((best.as_str(), worst.as_str()), ("0.700  strategy = fedprox (mu 0.1)", "0.100  strategy = median"));
        cells.diverged(2);
        let (best, worst) = cells.ends(&plan).unwrap();
        assert_eq!((best.as_str(), worst.as_str()), ("0.500  strategy = fedavg", "0.000  strategy = fedprox (mu 0.1)"));
    }
}
