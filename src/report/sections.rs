//! The sections of the page below its figures: clients, communication, corruption, provenance.

use super::html::{escape, table};
use super::panel::{Panel, humane, strategies};
use super::read::{Run, Study};
use crate::fault::plural;
use crate::record::Stop;
use crate::statistics::{gini, summarise};
use std::collections::{BTreeMap, BTreeSet};

fn texts(cells: &[&str]) -> Vec<String> {
    cells.iter().map(|cell| cell.to_string()).collect()
}

/// Scores of the natural clients of the test data: worst tenth, lowest, median, highest, by strategy, at the lowest and the
/// highest value of each grid.
pub fn clients(study: &Study, panels: &[Panel]) -> String {
    let mut rows = Vec::new();
    let mut seen = BTreeSet::new();
    let mut most = 0;
    for panel in panels {
        let last = panel.columns.len() - 1;
        for column in BTreeSet::from([0, last]) {
            for row in &panel.rows {
                let Some(point) = row.points[column].filter(|point| seen.insert(*point)) else { continue };
                let scores = client_scores(study, point);
                if scores.len() < 2 {
                    continue;
                }
                most = most.max(scores.len());
                let mut cells = vec![row.strategy.clone(), format!("{} {}", panel.title, panel.columns[column])];
                cells.extend(spread(&scores).map(|v| format!("{v:.2}")));
                cells.push(gini(&scores).map_or("–".into(), |v| format!("{v:.2}")));
                rows.push(cells);
            }
        }
    }
    if rows.is_empty() {
        return String::new();
    }
    format!(
        "<p>Test {} of single people or devices ({most} natural clients in the test data), at the last evaluated round, each a mean over {}. Worst 10 %: mean of the worst tenth. Gini: 0 where all are equal.</p>\n{}",
        escape(study.metric()),
        study.repeats.unit(),
        table(2, &texts(&["strategy", "condition", "worst 10 %", "lowest", "median", "highest", "Gini"]), &rows)
    )
}

/// Each natural client's score, mean over seeds and folds, in rising order.
fn client_scores(study: &Study, point: usize) -> Vec<f64> {
    let mut by_client: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for client in study.of(point).filter_map(|run| run.manifest.as_ref()).flat_map(|m| &m.client_scores) {
        if let Some(value) = study.plan.metric.of(&client.scores) {
            by_client.entry(&client.client).or_default().push(value);
        }
    }
    let mut means: Vec<f64> = by_client.values().filter_map(|v| summarise(v)).map(|s| s.mean).collect();
    means.sort_by(f64::total_cmp);
    means
}

/// Worst tenth, lowest, median, highest of values in rising order.
fn spread(sorted: &[f64]) -> [f64; 4] {
    let n = sorted.len();
    let worst = &sorted[..n.div_ceil(10)];
    let worst = worst.iter().sum::<f64>() / worst.len() as f64;
    let median = if n % 2 == 1 { sorted[n / 2] } else { (sorted[n / 2 - 1] + sorted[n / 2]) / 2.0 };
    [worst, sorted[0], median, sorted[n - 1]]
}

/// What the noise of `dp-mean` left of the clients' privacy, by strategy: the most that any run has spent.
pub fn privacy(study: &Study) -> String {
    let mut spent: BTreeMap<&str, (usize, f64, f64)> = BTreeMap::new();
    for run in &study.runs {
        let Some(last) = run.rounds.last() else { continue };
        let Some((coins, fixed)) = last.epsilon.zip(last.epsilon_fixed) else { continue };
        let of = spent.entry(&study.plan.points[run.info.point].strategy).or_default();
        *of = (of.0.max(last.round), of.1.max(coins), of.2.max(fixed));
    }
    if spent.is_empty() {
        return String::new();
    }
    let cells = |(strategy, (rounds, coins, fixed)): (&&str, &(usize, f64, f64))| {
        vec![strategy.to_string(), rounds.to_string(), format!("{coins:.3}"), format!("{fixed:.3}")]
    };
    let rows: Vec<Vec<String>> = spent.iter().map(cells).collect();
    let head = texts(&["strategy", "rounds", "epsilon, clients drawn by coins", "epsilon, cohort of fixed size"]);
    format!(
        "<p>The most that a run has spent at the delta of dp-mean (1e-5 unless it says otherwise). The first column is what is commonly reported: it takes the cohort's share for the probability of a coin that every client throws (adding or removing one client). The simulation draws a cohort of fixed size; the second column is a bound that holds for that (replacing one client).</p>\n{}",
        table(2, &head, &rows)
    )
}

/// What clients would have sent and received, by strategy.
pub fn communication(study: &Study, panels: &[Panel]) -> String {
    let mut rows = Vec::new();
    for strategy in strategies(panels) {
        let points: BTreeSet<usize> = panels
            .iter()
            .flat_map(|panel| &panel.rows)
            .filter(|row| row.strategy == strategy)
            .flat_map(|row| row.points.iter().flatten().copied())
            .collect();
        let runs: Vec<&Run> = points.iter().flat_map(|&point| study.of(point)).collect();
        let Some(parameters) = runs.iter().find_map(|run| run.manifest.as_ref()).map(|m| m.parameters) else {
            continue;
        };
        let total: u64 = runs.iter().flat_map(|run| &run.rounds).map(|row| row.bytes).sum();
        let turns: usize = runs.iter().flat_map(|run| &run.rounds).map(|row| row.clients).sum();
        let turn = if turns == 0 { 0.0 } else { total as f64 / turns as f64 };
        let n = runs.len() as f64;
        rows.push(vec![
            strategy,
            parameters.to_string(),
            format!("{:.0}", turns as f64 / n),
            bytes(turn),
            bytes(total as f64 / n),
            bytes(total as f64),
        ]);
    }
    if rows.is_empty() {
        return String::new();
    }
    let header = ["strategy", "weights", "client turns a run", "a client's turn", "a run", "all runs"];
    format!(
        "<p>Bytes that clients would have sent and received together, 4 a weight. A turn is one client in one round.</p>\n{}",
        table(1, &texts(&header), &rows)
    )
}

/// Bytes for people: `1.7 MB`, powers of 1000.
fn bytes(n: f64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB"];
    let power = (0..units.len() - 1).find(|&i| n < 999.5 * 1000f64.powi(i as i32)).unwrap_or(units.len() - 1);
    let value = n / 1000f64.powi(power as i32);
    if power == 0 || value >= 99.95 {
        format!("{value:.0} {}", units[power])
    } else {
        format!("{value:.1} {}", units[power])
    }
}

/// What the scenario asked for beside what it got, a row for each setting and corruption.
pub fn realised(study: &Study) -> String {
    let mut found: Vec<((String, String), Vec<f64>)> = Vec::new();
    for run in study.runs.iter().filter(|run| run.counts()) {
        let harm = |path: &str| path.starts_with("corrupt") || path.starts_with("attack");
        let settings = study.plan.points[run.info.point].settings.iter().filter(|(path, _)| harm(path));
        let asked = settings.map(|(path, value)| format!("{} {value}", humane(path))).collect::<Vec<_>>().join(", ");
        for of in run.manifest.iter().flat_map(|m| &m.realised) {
            let key = (if asked.is_empty() { "as in the scenario".into() } else { asked.clone() }, of.name.clone());
            match found.iter_mut().find(|(k, _)| *k == key) {
                Some((_, rates)) => rates.push(of.rate()),
                None => found.push((key, vec![of.rate()])),
            }
        }
    }
    if found.is_empty() {
        return String::new();
    }
    let rows: Vec<Vec<String>> = found
        .into_iter()
        .map(|((asked, name), rates)| {
            let mean = rates.iter().sum::<f64>() / rates.len() as f64;
            let low = rates.iter().copied().fold(f64::INFINITY, f64::min);
            let high = rates.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            vec![asked, name, format!("{mean:.3}"), format!("{low:.3}"), format!("{high:.3}"), rates.len().to_string()]
        })
        .collect();
    let header = texts(&["asked for", "corruption", "mean rate", "lowest", "highest", "runs"]);
    format!(
        "<details>\n<summary>Rates that the draws gave, over runs</summary>\n{}</details>\n",
        table(2, &header, &rows)
    )
}

/// Counts, versions and machine, and the runs that are not as they should be.
pub fn runs(study: &Study) -> String {
    let plan = &study.plan;
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for run in &study.runs {
        *counts.entry(run.status()).or_default() += 1;
    }
    let counts: Vec<String> = counts.iter().map(|(status, n)| format!("{n} {status}")).collect();
    let seeds: Vec<String> = plan.seeds.iter().map(u64::to_string).collect();
    let manifests: Vec<_> = study.runs.iter().filter_map(|run| run.manifest.as_ref()).collect();
    let distinct = |text: &dyn Fn(&crate::record::Manifest) -> String| {
        let texts = manifests.iter().map(|m| text(m)).filter(|text| !text.is_empty()).collect::<BTreeSet<_>>();
        texts.into_iter().collect::<Vec<_>>().join("; ")
    };
    let seconds: f64 = manifests.iter().map(|m| m.seconds).sum();
    let mut facts = vec![
        ("Runs", format!("{}: {}", plan.runs.len(), counts.join(", "))),
        ("Points", format!("{} in {}", study.whole.points.len(), plural(plan.grids.len(), "grid"))),
        ("Seeds", seeds.join(", ")),
        ("Rounds", plan.rounds.to_string()),
        ("Data", format!("{} classes{}", plan.classes, if plan.multilabel { ", multilabel" } else { "" })),
        ("Read", format!("test {} {}", study.metric(), study.reading().caption())),
    ];
    if !manifests.is_empty() {
        let commit = |m: &crate::record::Manifest| {
            let commit = m.origin.commit.as_ref().map(|c| format!(" ({c})")).unwrap_or_default();
            format!("{}{commit}, numerics {}", m.origin.version, m.origin.numerics)
        };
        facts.push(("Clients", distinct(&|m| m.clients.to_string())));
        facts.push(("Weights", distinct(&|m| m.parameters.to_string())));
        facts.push(("fedrobust", distinct(&commit)));
        facts.push(("libtorch", distinct(&|m| m.origin.libtorch.clone())));
        facts.push(("Device", distinct(&|m| format!("{}, {}", m.origin.device, plural(m.origin.threads, "thread")))));
        // Folders of older versions do not name it.
        facts.extend(Some(("Machine", distinct(&|m| m.origin.machine.clone()))).filter(|(_, text)| !text.is_empty()));
        facts.push(("Time", format!("{seconds:.0} s, summed over runs")));
    }
    let facts: String = facts.iter().map(|(k, v)| format!("<dt>{k}</dt><dd>{}</dd>\n", escape(v))).collect();
    format!("<dl>\n{facts}</dl>\n{}", troubled(study))
}

/// Runs that failed or diverged, with what they said.
fn troubled(study: &Study) -> String {
    let rows = study.runs.iter().filter_map(|run| run.manifest.as_ref()).filter_map(|m| match &m.stop {
        Stop::Finished => None,
        Stop::Diverged { round } => {
            Some(vec![m.label.clone(), round.to_string(), "diverged: the weights became NaN or infinite".into()])
        }
        Stop::Failed { round, message } => Some(vec![m.label.clone(), round.to_string(), format!("failed: {message}")]),
    });
    let rows: Vec<Vec<String>> = rows.collect();
    if rows.is_empty() { String::new() } else { table(3, &texts(&["run", "round", "what happened"]), &rows) }
}

/// The command and the resolved scenario.
pub fn reproduce(study: &Study) -> String {
    let shard = if study.shard.is_part() { format!(" --shard {}", study.shard) } else { String::new() };
    format!(
        "<p>Save the scenario below as <code>{name}.toml</code>, then:</p>\n<pre>fedrobust run {name}.toml{shard}</pre>\n\
         <details>\n<summary>The scenario, with all defaults</summary>\n<pre>{}</pre>\n</details>\n",
        escape(&study.scenario),
        name = escape(&study.plan.name)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spread_of_eleven_clients_has_two_in_its_worst_tenth() {
        let values: Vec<f64> = (0..11).map(|i| f64::from(i) / 10.0).collect();
        assert_eq!(spread(&values), [0.05, 0.0, 0.5, 1.0]);
        assert_eq!(spread(&[0.2, 0.4]), [0.2, 0.2, 0.30000000000000004, 0.4]);
    }

    #[test]
    fn bytes_are_told_in_powers_of_a_thousand() {
        let told = [0.0, 999.0, 1500.0, 123_456.0, 1.7e6, 2.5e13].map(bytes);
        assert_eq!(told, ["0 B", "999 B", "1.5 kB", "123 kB", "1.7 MB", "25.0 TB"]);
    }
}
