//! How evenly a strategy serves clients: the worst tenth, the Gini coefficient, and by which modality a client lacks.

use super::panel::Panel;
use super::read::{Run, Study};
use crate::metric::worst_10;
use crate::record::{ClientScore, Lack};
use crate::statistics::{Summary, gini, summarise};
use std::collections::BTreeSet;

/// One number about the clients of a point, over its seeds.
#[derive(Debug, Clone, PartialEq)]
pub struct Fact {
    /// Point.
    pub point: usize,
    /// Whose samples: `test` or `dev`.
    pub part: &'static str,
    /// What, for example `gini` or `without gyroscope`.
    pub name: String,
    /// Clients behind it, of all seeds.
    pub clients: usize,
    /// Mean and interval over seeds.
    pub summary: Summary,
}

/// A number about the clients of one run.
type About = fn(&[f64]) -> Option<f64>;

const ABOUT: [(&str, About); 4] = [
    ("worst_10", worst_10),
    ("lowest", |scores| scores.iter().copied().min_by(f64::total_cmp)),
    ("highest", |scores| scores.iter().copied().max_by(f64::total_cmp)),
    ("gini", gini),
];

/// Everything about the clients of a point: for test and development people the worst tenth, lowest, highest and Gini
/// coefficient of their scores in each run; then the mean score of each group of people that lack the same.
pub fn of_point(study: &Study, point: usize) -> Vec<Fact> {
    let mut facts = Vec::new();
    for part in ["test", "dev"] {
        let runs: Vec<Vec<(&ClientScore, f64)>> = study.of(point).map(|run| scored(study, run, part)).collect();
        for (name, about) in ABOUT {
            let values = runs.iter().filter_map(|run| about(&run.iter().map(|(_, score)| *score).collect::<Vec<_>>()));
            facts.extend(fact(point, part, name.into(), runs.iter().map(Vec::len).sum(), values.collect()));
        }
        let groups: BTreeSet<String> = runs.iter().flatten().map(|(client, _)| group(&client.lacks)).collect();
        if groups.len() < 2 {
            continue;
        }
        for name in groups {
            let of_group = |run: &Vec<(&ClientScore, f64)>| -> Vec<f64> {
                run.iter().filter(|(client, _)| group(&client.lacks) == name).map(|(_, score)| *score).collect()
            };
            let members: Vec<Vec<f64>> = runs.iter().map(of_group).collect();
            let means = members.iter().filter_map(|scores| summarise(scores)).map(|s| s.mean);
            facts.extend(fact(point, part, name, members.iter().map(Vec::len).sum(), means.collect()));
        }
    }
    facts
}

fn fact(point: usize, part: &'static str, name: String, clients: usize, values: Vec<f64>) -> Option<Fact> {
    summarise(&values).map(|summary| Fact { point, part, name, clients, summary })
}

/// The people of one part of a run that have a score of the selection metric.
fn scored<'a>(study: &Study, run: &'a Run, part: &str) -> Vec<(&'a ClientScore, f64)> {
    let Some(manifest) = &run.manifest else { return Vec::new() };
    let clients = if part == "test" { &manifest.client_scores } else { &manifest.dev_client_scores };
    clients.iter().filter_map(|client| Some((client, study.plan.metric.of(&client.scores)?))).collect()
}

/// What a client lacks, in words: `complete`, `without gyroscope`, `partly without gyroscope`.
fn group(lacks: &[Lack]) -> String {
    let names = |whole: bool| {
        let of: Vec<&str> =
            lacks.iter().filter(|lack| (lack.share >= 1.0) == whole).map(|lack| lack.modality.as_str()).collect();
        (!of.is_empty()).then(|| format!("{}without {}", if whole { "" } else { "partly " }, of.join(" and ")))
    };
    let parts: Vec<String> = [names(true), names(false)].into_iter().flatten().collect();
    if parts.is_empty() { "complete".into() } else { parts.join(", ") }
}

/// Rows by what a client lacks, for the page: strategy, condition, group, clients, score; at the highest value of each grid.
pub fn by_lack(study: &Study, panels: &[Panel]) -> Vec<Vec<String>> {
    let mut seen = BTreeSet::new();
    let mut rows = Vec::new();
    for panel in panels {
        let last = panel.columns.len() - 1;
        for row in &panel.rows {
            let Some(point) = row.points[last].filter(|point| seen.insert(*point)) else { continue };
            let of_group = |fact: &&Fact| ABOUT.iter().all(|(name, _)| *name != fact.name);
            for fact in of_point(study, point).iter().filter(of_group) {
                let condition = format!("{} {}", panel.title, panel.columns[last]);
                let when = if fact.part == "dev" { "in training" } else { "at test time" };
                let seeds = study.of(point).count().max(1);
                rows.push(vec![
                    row.strategy.clone(),
                    condition,
                    format!("{} {when}", fact.name),
                    format!("{:.1}", fact.clients as f64 / seeds as f64),
                    fact.summary.text(),
                ]);
            }
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_lacks_is_told_in_words() {
        let lack = |modality: &str, share| Lack { modality: modality.into(), share };
        assert_eq!(group(&[]), "complete");
        assert_eq!(group(&[lack("gyroscope", 1.0)]), "without gyroscope");
        assert_eq!(group(&[lack("a", 0.2), lack("b", 1.0), lack("c", 1.0)]), "without b and c, partly without a");
    }
}
