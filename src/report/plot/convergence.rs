//! The metric against the round: one panel for the clean condition and one for the worst of each grid.

use super::super::panel::{Panel, is_yardstick};
use super::super::read::{Run, Study};
use super::axes::{Axes, score_range, ticks};
use super::{Figure, MOST, Source, curve, layout, numbered, reach};
use crate::fault::Result;
use crate::statistics::{Summary, summarise};
use std::collections::BTreeMap;

/// One panel: its title and the point of each strategy.
type Condition = (String, Vec<(String, usize)>);

/// One figure for every six conditions.
pub fn draw(source: &Source) -> Result<Vec<Figure>> {
    let conditions = conditions(source);
    conditions.chunks(MOST).enumerate().map(|(i, part)| figure(source, part, numbered("convergence", i))).collect()
}

fn conditions(source: &Source) -> Vec<Condition> {
    let mut all: Vec<Condition> = Vec::new();
    for panel in source.panels {
        if panel.rows.iter().all(|row| is_yardstick(&row.strategy)) && source.panels.len() > 1 {
            continue;
        }
        let columns: Vec<usize> = match panel.numbers {
            Some(_) if panel.columns.len() > 1 => vec![0, panel.columns.len() - 1],
            _ => (0..panel.columns.len()).collect(),
        };
        for column in columns {
            let mut condition = condition(panel, column);
            if all.is_empty() {
                condition.1.extend(source.levels.iter().cloned());
            }
            // The clean condition of several grids is one and the same.
            if !condition.1.is_empty() && !all.iter().any(|(_, points)| same(points, &condition.1)) {
                all.push(condition);
            }
        }
    }
    all
}

/// A strategy and its mean over seeds at each evaluated round.
type Line<'a> = (&'a str, Vec<(f64, Summary)>);

/// Whether two conditions have a competitor's point in common.
fn same(a: &[(String, usize)], b: &[(String, usize)]) -> bool {
    a.iter().any(|one| !is_yardstick(&one.0) && b.contains(one))
}

fn condition(panel: &Panel, column: usize) -> Condition {
    let points = panel.rows.iter().filter_map(|row| Some((row.strategy.clone(), row.points[column]?))).collect();
    let facet = panel.title.strip_prefix(&panel.axis).unwrap_or_default();
    let title = match panel.axis.is_empty() {
        true => String::new(),
        false => format!("{} {}{facet}", panel.axis, panel.columns[column]),
    };
    (title, points)
}

/// Mean and interval over seeds at every round that was evaluated.
fn over_rounds(study: &Study, point: usize) -> Vec<(f64, Summary)> {
    let mut rounds: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
    for row in study.of(point).flat_map(|run| &run.rounds) {
        if let Some(value) = row.test.as_ref().and_then(|s| study.plan.metric.of(s)).filter(|v| v.is_finite()) {
            rounds.entry(row.round).or_default().push(value);
        }
    }
    rounds.into_iter().filter_map(|(round, values)| Some((round as f64, summarise(&values)?))).collect()
}

fn figure(source: &Source, conditions: &[Condition], name: String) -> Result<Figure> {
    let study = source.study;
    let lines: Vec<Vec<Line>> = conditions
        .iter()
        .map(|(_, points)| points.iter().map(|(name, point)| (name.as_str(), over_rounds(study, *point))).collect())
        .collect();
    let all = || lines.iter().flatten().flat_map(|(_, points)| points);
    let y = score_range(reach(all()).into_iter().chain(source.chance()));
    let last = all().map(|(round, _)| *round).fold(1.0, f64::max);
    let names: Vec<&str> = lines.iter().flatten().map(|(name, _)| *name).collect();
    let mut page = layout(source, conditions.len(), &source.drawn(&names));
    for (i, ((title, _), lines)) in conditions.iter().zip(&lines).enumerate() {
        let axes = Axes { frame: page.frames[i], x: (0.0, last * 1.02), y };
        let y_label = if i % 2 == 0 { format!("test {}", study.metric()) } else { String::new() };
        axes.draw(&mut page.scene, title, &ticks((0.0, last), 5), "round", &y_label);
        if let Some(level) = source.chance() {
            axes.chance(&mut page.scene, level);
        }
        for wanted in [true, false] {
            for (name, points) in lines.iter().filter(|(name, _)| is_yardstick(name) == wanted) {
                curve(&mut page.scene, &axes, &source.look(name), points, 8);
            }
        }
    }
    let over = match (study.repeats.is_one(), study.repeats.text()) {
        (true, one) => one,
        (false, n) => format!("mean over {n}"),
    };
    let grids = source.panels.iter().any(|panel| panel.numbers.as_ref().is_some_and(|n| n.len() > 1));
    let ends = if grids { ", at the lowest and the highest value of each grid" } else { "" };
    let diverged = source.study.runs.iter().any(Run::diverged);
    let diverged = if diverged { " A run that diverged counts up to its last evaluation." } else { "" };
    let caption = format!(
        "Convergence. Test {} after each evaluated round, {over}{ends}.{diverged}{}{} Vertical axes from {} to {}.",
        study.metric(),
        source.band_caption(),
        source.chance_caption(),
        y.0,
        y.1
    );
    Figure::new(name, caption, &page.scene)
}
