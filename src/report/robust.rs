//! Robustness as few numbers: how much of the clean score a strategy keeps over a range of corruption, where half of its gain
//! over chance is gone, and its worst case.

use super::panel::{Panel, is_yardstick};
use super::read::Study;
use super::repeats::Repeat;
use crate::statistics::{Summary, area, bootstrap, half_loss, summarise};
use std::collections::{BTreeMap, BTreeSet};

/// One strategy over the values of one panel.
#[derive(Debug, Clone, PartialEq)]
pub struct Robust {
    /// Title of the panel.
    pub panel: String,
    /// Label of the strategy.
    pub strategy: String,
    /// Area under the curve relative to the lowest value of the axis, over seeds and folds.
    pub area: Option<Summary>,
    /// Where the mean curve has lost half of its gain over chance; infinite beyond the range. `None` where the metric has
    /// no level of chance, or the strategy is no better from the start.
    pub half: Option<f64>,
    /// 95 % bootstrap interval of `half` over seeds and folds.
    pub half_interval: Option<(f64, f64)>,
    /// Column of the lowest mean, and what it is.
    pub worst: Option<(String, Summary)>,
    /// Repeats (seeds, and folds) with a score at every value.
    pub repeats: usize,
}

/// Every strategy of every panel whose axis is an amount of corruption or attack; yardsticks too where they are in it.
pub fn all(study: &Study, panels: &[Panel]) -> Vec<Robust> {
    let wide = panels.iter().filter(|p| p.harm && p.numbers.as_ref().is_some_and(|n| n.len() > 1));
    wide.flat_map(|panel| panel.rows.iter().filter_map(|row| one(study, panel, row))).collect()
}

fn one(study: &Study, panel: &Panel, row: &super::panel::Row) -> Option<Robust> {
    let numbers = panel.numbers.as_deref()?;
    let there: Vec<usize> = (0..numbers.len()).filter(|&c| row.points[c].is_some()).collect();
    let x: Vec<f64> = there.iter().map(|&c| numbers[c]).collect();
    let scores: Vec<BTreeMap<Repeat, f64>> =
        there.iter().filter_map(|&c| Some(study.by_repeat(row.points[c]?))).collect();
    // Only repeats with a score at every value have a curve.
    let mut repeats: BTreeSet<&Repeat> = scores.first()?.keys().collect();
    scores.iter().for_each(|scores| repeats.retain(|&repeat| scores.contains_key(repeat)));
    let curves: Vec<Vec<f64>> =
        repeats.iter().map(|&repeat| scores.iter().map(|scores| scores[repeat]).collect()).collect();
    let areas: Vec<f64> = curves.iter().filter_map(|curve| area(&x, curve)).collect();
    let lowest = |c: &usize| row.points[*c].and_then(|p| study.summary(p)).map(|s| (panel.columns[*c].clone(), s));
    let worst = there.iter().filter_map(lowest).min_by(|a, b| a.1.mean.total_cmp(&b.1.mean));
    let chance = study.chance().filter(|_| !curves.is_empty());
    let half_of = |draw: &[usize], chance| half_loss(&x, &mean_curve(&curves, draw), chance);
    let every: Vec<usize> = (0..curves.len()).collect();
    let half = chance.and_then(|chance| half_of(&every, chance));
    let half_interval = chance.filter(|_| half.is_some()).and_then(|chance| {
        // A draw that is no better than chance from the start has lost everything there.
        bootstrap(curves.len(), |draw| half_of(draw, chance).unwrap_or(x[0]))
    });
    let (panel, strategy) = (panel.title.clone(), row.strategy.clone());
    Some(Robust { panel, strategy, area: summarise(&areas), half, half_interval, worst, repeats: repeats.len() })
}

fn mean_curve(curves: &[Vec<f64>], draw: &[usize]) -> Vec<f64> {
    let width = curves[draw[0]].len();
    (0..width).map(|c| draw.iter().map(|&i| curves[i][c]).sum::<f64>() / draw.len() as f64).collect()
}

/// A place on the axis for people: `0.47`, `never` where it is beyond the range.
pub fn place(x: f64) -> String {
    if x.is_infinite() { "never".into() } else { format!("{x:.2}") }
}

/// Header and rows of the summary as a table: one row a strategy, of one panel.
pub fn rows(robust: &[&Robust]) -> (Vec<String>, Vec<Vec<String>>) {
    let header = ["strategy", "area relative to clean", "half lost at", "95 % interval", "worst case", "at"];
    let row = |r: &&Robust| {
        let interval = match r.half_interval {
            Some((low, high)) => format!("{} to {}", place(low), place(high)),
            None => "–".into(),
        };
        let mut cells = vec![r.strategy.clone(), r.area.map_or("–".into(), |area| area.text())];
        cells.extend([r.half.map_or("–".into(), place), interval]);
        match &r.worst {
            Some((column, summary)) => cells.extend([summary.text(), column.clone()]),
            None => cells.extend(["–".to_string(), "–".into()]),
        }
        cells
    };
    (header.map(String::from).to_vec(), robust.iter().filter(|r| !is_yardstick(&r.strategy)).map(row).collect())
}
