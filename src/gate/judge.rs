//! The judgement: what a scenario gives now against what it gave.

use super::baseline::{Baseline, Cell, Run};
use crate::fault::{Error, Result};
use crate::statistics::equivalence::{interval, margin};
use crate::statistics::summarise;

/// Level of the tests of equivalence: a change as large as the margin passes in at most 5 of 100 gates.
pub const ALPHA: f64 = 0.05;
/// Share of whole gates with other seeds that cry though nothing changed, where scores over seeds are normal.
pub const BETA: f64 = 0.01;

/// How a baseline was compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// To the digit: the machine, libtorch and the seeds are those of the baseline.
    Digests,
    /// By equivalence over paired seeds.
    Paired,
    /// By equivalence over other seeds.
    OtherSeeds,
}

/// What became of a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Every run has its digest.
    Identical,
    /// Equivalence was shown.
    Equivalent,
    /// It was not.
    Changed,
}

/// One quantity of a cell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    /// Mean now minus mean then.
    pub difference: f64,
    /// What must lie within the margin: ends of the interval of the difference.
    pub interval: (f64, f64),
    /// The margin.
    pub margin: f64,
}

/// The judgement of one cell.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// The cell's label.
    pub label: String,
    /// What became of it.
    pub verdict: Verdict,
    /// Why, where it changed, in a phrase.
    pub why: String,
    /// The score.
    pub score: Option<Measured>,
    /// The logarithm of the loss.
    pub loss: Option<Measured>,
    /// Mean score then and now.
    pub scores: (Option<f64>, Option<f64>),
}

/// The judgement of a scenario.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// How it was compared, and why so.
    pub how: How,
    /// For people: `the machine is another one`.
    pub because: String,
    /// Cell by cell, in the order of the scenario.
    pub cells: Vec<Judged>,
}

impl Outcome {
    /// Cells with a verdict.
    pub fn count(&self, verdict: Verdict) -> usize {
        self.cells.iter().filter(|cell| cell.verdict == verdict).count()
    }

    /// Whether nothing changed.
    pub fn passed(&self) -> bool {
        self.count(Verdict::Changed) == 0
    }
}

/// Judges `now` against `then`; digests are left out of it on request.
///
/// # Errors
/// [`Error::Invalid`] where the two are not the same scenario.
pub fn judge(then: &Baseline, now: &Baseline, digests: bool) -> Result<Outcome> {
    same_scenario(then, now)?;
    let (how, because) = how(then, now, digests);
    // One difference has no spread, so that nothing would be shown by its lying within a margin.
    if how != How::Digests && then.seeds().len().min(now.seeds().len()) < 2 {
        return Err(Error::Invalid(format!(
            "one seed shows no equivalence ({because}); needed: two seeds or more in the scenario and in the baseline, made anew with --bless --reason 'WHY'"
        )));
    }
    let pairs = || then.cells.iter().zip(&now.cells);
    let cells = match how {
        How::Digests => pairs().map(|(a, b)| by_digest(a, b, then.margin)).collect(),
        How::Paired => pairs().map(|(a, b)| by_pairs(a, b, then.margin)).collect(),
        How::OtherSeeds => {
            let spread = Spread::of(then);
            pairs().map(|(a, b)| by_means(a, b, &spread)).collect()
        }
    };
    Ok(Outcome { how, because, cells })
}

fn same_scenario(then: &Baseline, now: &Baseline) -> Result<()> {
    let remedy = "a baseline answers for one scenario: make it anew with --bless --reason 'WHY'";
    if then.metric != now.metric {
        return Err(Error::Invalid(format!(
            "the baseline holds {}, the scenario asks for {}; {remedy}",
            then.metric, now.metric
        )));
    }
    let lacks =
        |a: &Baseline, b: &Baseline| a.cells.iter().find(|cell| b.cells.iter().all(|c| c.point != cell.point)).cloned();
    if let Some(cell) = lacks(now, then) {
        return Err(Error::Invalid(format!(
            "the baseline does not have the cell '{}' as it is now; {remedy}",
            cell.label
        )));
    }
    if let Some(cell) = lacks(then, now) {
        return Err(Error::Invalid(format!(
            "the scenario no longer has the baseline's cell '{}'; {remedy}",
            cell.label
        )));
    }
    if then.cells.iter().zip(&now.cells).any(|(a, b)| a.point != b.point) {
        return Err(Error::Invalid(format!("the cells stand in another order than in the baseline; {remedy}")));
    }
    Ok(())
}

fn how(then: &Baseline, now: &Baseline, digests: bool) -> (How, String) {
    if then.seeds() != now.seeds() {
        return (How::OtherSeeds, "the seeds are others".into());
    }
    let other = [
        (!digests, "digests were left out"),
        (then.origin.device != "cpu" || now.origin.device != "cpu", "a GPU may round otherwise each time"),
        (then.origin.libtorch != now.origin.libtorch, "libtorch is another one"),
        (then.origin.machine != now.origin.machine, "the machine is another one"),
    ];
    match other.iter().find(|(is, _)| *is) {
        Some((_, why)) => (How::Paired, why.to_string()),
        None => (How::Digests, "machine, libtorch and seeds are those of the baseline".into()),
    }
}

type Value = fn(&Run) -> Option<f64>;
const SCORE: Value = |run| run.score;
const LOSS: Value = |run| run.log_loss;

fn mean(cell: &Cell, value: Value) -> Option<f64> {
    summarise(&cell.runs.iter().filter_map(value).collect::<Vec<_>>()).map(|s| s.mean)
}

fn judged(a: &Cell, b: &Cell, measured: [Option<Measured>; 2], why: Vec<String>) -> Judged {
    let verdict = if why.is_empty() { Verdict::Equivalent } else { Verdict::Changed };
    let [score, loss] = measured;
    Judged {
        label: b.label.clone(),
        verdict,
        why: why.join("; "),
        score,
        loss,
        scores: (mean(a, SCORE), mean(b, SCORE)),
    }
}

fn by_digest(a: &Cell, b: &Cell, margin: f64) -> Judged {
    let differ: Vec<u64> =
        a.runs.iter().zip(&b.runs).filter(|(x, y)| x.digest != y.digest).map(|(x, _)| x.seed).collect();
    let by_pairs = by_pairs(a, b, margin);
    if differ.is_empty() {
        return Judged { verdict: Verdict::Identical, why: String::new(), ..by_pairs };
    }
    let seeds = differ.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
    let which = if differ.len() == 1 { "seed" } else { "seeds" };
    let why = match by_pairs.verdict {
        Verdict::Changed => format!("digests of {which} {seeds} differ; {}", by_pairs.why),
        _ => format!("digests of {which} {seeds} differ, though scores are equivalent"),
    };
    Judged { verdict: Verdict::Changed, why, ..by_pairs }
}

fn by_pairs(a: &Cell, b: &Cell, margin: f64) -> Judged {
    let mut why = Vec::new();
    for (x, y) in a.runs.iter().zip(&b.runs) {
        let has = |run: &Run| (run.score.is_some(), run.log_loss.is_some());
        if x.stop != y.stop {
            why.push(format!("seed {} {} and now {}", x.seed, x.stop, y.stop));
        } else if has(x) != has(y) {
            why.push(format!("seed {} has scores in only one of the two", x.seed));
        }
    }
    let mut measured = [None, None];
    for (i, (name, value)) in [("score", SCORE), ("log loss", LOSS)].into_iter().enumerate() {
        let differences: Vec<f64> =
            a.runs.iter().zip(&b.runs).filter_map(|(x, y)| Some(value(y)? - value(x)?)).collect();
        let Some(interval) = interval(&differences, ALPHA) else { continue };
        let difference = (interval.0 + interval.1) / 2.0;
        measured[i] = Some(Measured { difference, interval, margin });
        if !(-margin < interval.0 && interval.1 < margin) {
            why.push(format!(
                "{name} {difference:+.4}, from {:+.4} to {:+.4}, is not within ±{margin}",
                interval.0, interval.1
            ));
        }
    }
    judged(a, b, measured, why)
}

/// Deviation over seeds of each quantity, pooled over the cells.
struct Spread {
    pooled: [f64; 2],
    tests: usize,
}

impl Spread {
    fn of(then: &Baseline) -> Self {
        let pooled = [SCORE, LOSS].map(|value| {
            let squares: Vec<f64> =
                then.cells.iter().filter_map(|cell| deviation(cell, value)).map(|sd| sd * sd).collect();
            summarise(&squares).map_or(0.0, |s| s.mean.sqrt())
        });
        Spread { pooled, tests: 2 * then.cells.len() }
    }
}

fn deviation(cell: &Cell, value: Value) -> Option<f64> {
    summarise(&cell.runs.iter().filter_map(value).collect::<Vec<_>>())?.sd
}

fn by_means(a: &Cell, b: &Cell, spread: &Spread) -> Judged {
    let mut why = Vec::new();
    let broken = |cell: &Cell| cell.runs.iter().find(|run| run.stop != "finished").map(|run| run.stop.clone());
    if let (None, Some(stop)) = (broken(a), broken(b)) {
        why.push(format!("no run broke off before, now one {stop}"));
    }
    let mut measured = [None, None];
    for (i, (name, value)) in [("score", SCORE), ("log loss", LOSS)].into_iter().enumerate() {
        // A mean over some of the seeds says nothing of the others.
        let whole = |cell: &Cell| cell.runs.iter().all(|run| value(run).is_some());
        if whole(a) != whole(b) {
            why.push(format!("only one of the two has a {name} for every seed"));
        }
        let (Some(then), Some(now)) = (mean(a, value), mean(b, value)) else { continue };
        // The larger of the two, so that a cell whose few seeds happened to agree does not cry.
        let sd = deviation(a, value).unwrap_or(0.0).max(spread.pooled[i]);
        let count = |cell: &Cell| cell.runs.iter().filter_map(value).count();
        let Some(bound) = margin(sd, count(a), count(b), BETA / spread.tests as f64, ALPHA) else { continue };
        let (difference, half) = (now - then, bound.margin - bound.limit);
        measured[i] =
            Some(Measured { difference, interval: (difference - half, difference + half), margin: bound.margin });
        if difference.abs() > bound.limit {
            why.push(format!("{name} {difference:+.4} is further from 0 than chance makes it (±{:.4})", bound.limit));
        }
    }
    judged(a, b, measured, why)
}
