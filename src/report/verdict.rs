//! The answer in sentences, from the numbers alone. A sentence is a family of tests: all pairs of strategies at its column,
//! because which two are first and second is read off the same numbers.

use super::judgements::at_column;
use super::panel::{Panel, is_yardstick};
use super::read::{Reading, Study};
use super::repeats::Repeats;
use super::versus::{Group, Pair, needed_phrase, p_phrase};
use crate::record::Stop;

/// One sentence a panel with numbers, at its highest value; else one about the whole. Then what is missing.
pub fn sentences(study: &Study, panels: &[Panel]) -> Vec<String> {
    let mut out = Vec::new();
    for panel in panels.iter().filter(|panel| panel.rows.iter().any(|row| !is_yardstick(&row.strategy))) {
        for column in judged(panel) {
            out.push(of_column(study, panel, column));
        }
    }
    if study.repeats.is_one() && !out.is_empty() {
        out.push("One seed says nothing about chance: run more seeds before believing a difference.".into());
    }
    out.extend(missing(study));
    out
}

/// The columns to speak of: the highest number, or each where they are names.
pub(super) fn judged(panel: &Panel) -> Vec<usize> {
    match panel.numbers {
        Some(_) => vec![panel.columns.len() - 1],
        None => (0..panel.columns.len()).collect(),
    }
}

fn of_column(study: &Study, panel: &Panel, column: usize) -> String {
    let head = match (panel.axis.is_empty(), panel.title.strip_prefix(&panel.axis)) {
        (true, _) => "Over all runs".to_string(),
        (false, facet) => format!("At {} {}{}", panel.axis, panel.columns[column], facet.unwrap_or_default()),
    };
    let (groups, pairs) = at_column(study, panel, column);
    let Some(first) = groups.first() else { return format!("{head}, no run has a result.") };
    let from = clean(study, panel, &first.name, column).map(|v| format!(" (from {v})")).unwrap_or_default();
    let score = |group: &Group| group.summary().map(|s| s.text()).unwrap_or_default();
    let told = format!("{} {}{from}", study.metric(), score(first));
    let Some(second) = groups.get(1) else {
        return format!("{head}, {} has {told}; there is no other strategy to compare with.", first.name);
    };
    judged_pair(&head, &told, "keeps most", study.repeats, &groups, &pairs).unwrap_or_else(|| {
        let lead = first.summary().zip(second.summary()).map_or(0.0, |(a, b)| a.mean - b.mean);
        let (name, second_score) = (&first.name, score(second));
        format!("{head}, {name} is highest: {told}, {lead:.2} ahead of {} with {second_score}.", second.name)
    })
}

/// What the tests say of the first and the second, the first ahead in the words of `ahead`; `None` where they could not be
/// tested.
pub(super) fn judged_pair(
    head: &str,
    told: &str,
    ahead: &str,
    repeats: Repeats,
    groups: &[Group],
    pairs: &[Pair],
) -> Option<String> {
    let pair = pairs.iter().find(|pair| (pair.a, pair.b) == (0, 1))?;
    let p = p_phrase(pair)?;
    let (first, second, lead) = (&groups[0].name, &groups[1].name, pair.paired.difference.text());
    let second_score = groups[1].summary()?.text();
    if pair.differs() {
        return Some(format!("{head}, {first} {ahead}: {told}, {lead} ahead of {second} with {second_score} ({p})."));
    }
    let like = |pair: &&Pair| pair.a == 0 && pair.b > 1 && !pair.differs();
    let others: Vec<&str> = pairs.iter().filter(like).map(|pair| groups[pair.b].name.as_str()).collect();
    let others = match others.as_slice() {
        [] => String::new(),
        names => format!(" Not told from {first} either: {}.", names.join(", ")),
    };
    let (n, unit) = (pair.paired.difference.n, repeats.unit());
    if pair.equal() {
        return Some(format!(
            "{head}, {first} and {second} have equal scores on all {n} paired {unit} ({first}: {told}).{others}"
        ));
    }
    Some(format!(
        "{head}, no difference found: {first} with {told} and {second} with {second_score} differ by {lead} over {n} paired {unit} ({p}); {}.{others}",
        needed_phrase(pair, repeats)
    ))
}

/// `0.82 at 0`: what a strategy has at the lowest value of the axis.
fn clean(study: &Study, panel: &Panel, strategy: &str, column: usize) -> Option<String> {
    panel.numbers.as_ref()?;
    let row = panel.rows.iter().find(|row| row.strategy == strategy)?;
    let summary = study.summary(row.points[0]?)?;
    (column > 0).then(|| format!("{:.2} at {}", summary.mean, panel.columns[0]))
}

/// What is not there: failed, diverged and unfinished runs.
fn missing(study: &Study) -> Vec<String> {
    let all = study.runs.len();
    let count = |status: &[&str]| study.runs.iter().filter(|run| status.contains(&run.status())).count();
    let mut out = Vec::new();
    let elsewhere = study.runs.iter().filter(|run| run.elsewhere).count();
    if elsewhere > 0 {
        out.push(format!(
            "{elsewhere} of {all} runs are of other shards than {}, which this folder is of: fedrobust merge brings all together.",
            study.shard
        ));
    }
    match count(&["missing", "unfinished"]) - elsewhere {
        0 => {}
        n => out
            .push(format!("{n} of {all} runs are not finished and are left out: the same command goes on with them.")),
    }
    match count(&["diverged"]) {
        0 => {}
        n => out.push(format!(
            "{n} of {all} runs diverged (weights NaN or infinite): {}; {}.",
            diverged(study),
            of_diverged(study.reading())
        )),
    }
    match count(&["failed"]) {
        0 => {}
        n => {
            let first = study.runs.iter().filter_map(|run| run.manifest.as_ref()).find_map(|m| match &m.stop {
                Stop::Failed { round, message } => {
                    Some(format!("{} in round {round}: {}", m.label, message.trim_end_matches('.')))
                }
                _ => None,
            });
            let first = first.map(|f| format!("; the first: {f}")).unwrap_or_default();
            out.push(format!("{n} of {all} runs failed and are left out{first}."));
        }
    }
    out
}

/// What a run that diverged has by a reading.
pub(super) fn of_diverged(reading: Reading) -> &'static str {
    match reading {
        Reading::Best => "each has the score of its best development round before, or 0 without one",
        Reading::Last | Reading::Mean5 => "each scores 0",
    }
}

/// `3 of fedavg, 1 of median`: runs that diverged, most first.
fn diverged(study: &Study) -> String {
    let mut counts: Vec<(usize, &str)> = Vec::new();
    for run in study.runs.iter().filter(|run| run.status() == "diverged") {
        let strategy = study.plan.points[run.info.point].strategy.as_str();
        match counts.iter_mut().find(|(_, name)| *name == strategy) {
            Some((n, _)) => *n += 1,
            None => counts.push((1, strategy)),
        }
    }
    counts.sort_by_key(|&(n, _)| std::cmp::Reverse(n));
    counts.iter().map(|(n, name)| format!("{n} of {name}")).collect::<Vec<_>>().join(", ")
}
