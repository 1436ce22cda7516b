//! Grids as panels: one picture's worth each. Rows are strategies, columns the values of one axis; further axes that are
//! not the strategy's make further panels.

use crate::record::{Axis, Grid, Plan};
use std::collections::BTreeSet;

/// One panel.
#[derive(Debug, Clone, PartialEq)]
pub struct Panel {
    /// For headings, for example `missing modality rate`; with further axes `…, alpha = 0.1`.
    pub title: String,
    /// Label of the column axis; empty when the grid has only the strategy's.
    pub axis: String,
    /// Whether the column axis is how much there is of a corruption or an attack.
    pub harm: bool,
    /// Values of the column axis as labels.
    pub columns: Vec<String>,
    /// Values of the column axis as numbers, where it can be the x of a plot.
    pub numbers: Option<Vec<f64>>,
    /// Strategies with their point in each column.
    pub rows: Vec<Row>,
}

/// One strategy of a panel.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Legend label.
    pub strategy: String,
    /// Its point in each column; `None` where the grid skips it.
    pub points: Vec<Option<usize>>,
}

/// Whether a strategy is a yardstick: it bounds the others and does not compete.
pub fn is_yardstick(strategy: &str) -> bool {
    ["centralised", "local-only"].iter().any(|name| strategy == *name || strategy.starts_with(&format!("{name} ")))
}

/// A dotted path for people: `corrupt.missing-modality.rate` becomes `missing modality rate`.
pub fn humane(path: &str) -> String {
    let path =
        ["corrupt.", "attack.", "train.", "partition."].iter().find_map(|f| path.strip_prefix(f)).unwrap_or(path);
    path.replace(['.', '-', '_'], " ")
}

fn of_strategy(axis: &Axis) -> bool {
    axis.path == "strategy" || axis.path.starts_with("strategy.")
}

fn of_harm(axis: &Axis) -> bool {
    axis.path.starts_with("corrupt") || axis.path.starts_with("attack")
}

/// The axis that makes the columns: a corruption or attack with numbers, else any with numbers, else any, but the
/// strategy's own only when it has numbers and nothing else is left.
fn column_axis(grid: &Grid) -> Option<usize> {
    let find = |wanted: &dyn Fn(&Axis) -> bool| grid.axes.iter().position(wanted);
    let numeric = |a: &Axis| a.numbers.is_some();
    find(&|a| numeric(a) && of_harm(a))
        .or_else(|| find(&|a| numeric(a) && !of_strategy(a)))
        .or_else(|| find(&|a| !of_strategy(a)))
        .or_else(|| find(&|a| numeric(a) && a.path != "strategy"))
}

/// All panels of the plan, grid by grid; cells that differ only in the strategy share a panel.
pub fn panels(plan: &Plan) -> Vec<Panel> {
    panels_of(plan, |_| true)
}

/// The panels of some grids.
pub(super) fn panels_of(plan: &Plan, wanted: impl Fn(&Grid) -> bool) -> Vec<Panel> {
    let grids = plan.grids.iter().filter(|grid| wanted(grid));
    grids.flat_map(|grid| of_grid(plan, grid)).filter(|panel| !panel.rows.is_empty()).collect()
}

fn of_grid(plan: &Plan, grid: &Grid) -> Vec<Panel> {
    by_column(plan, grid, column_axis(grid)).into_iter().map(|(_, panel)| panel).collect()
}

/// The panels of a grid with this axis as columns, each with its place on every other axis that is not the strategy's.
pub(super) fn by_column(plan: &Plan, grid: &Grid, column: Option<usize>) -> Vec<(Vec<usize>, Panel)> {
    let is_facet = |i: usize| is_facet(grid, column, i);
    let facet = |cell: &[usize]| -> Vec<usize> { (0..cell.len()).filter(|&i| is_facet(i)).map(|i| cell[i]).collect() };
    let facets: BTreeSet<Vec<usize>> = grid.cells.iter().map(|(cell, _)| facet(cell)).collect();
    facets
        .iter()
        .map(|of| {
            let cells: Vec<&(Vec<usize>, usize)> = grid.cells.iter().filter(|(cell, _)| facet(cell) == *of).collect();
            (of.clone(), one(plan, grid, column, &cells, &facet_title(grid, &is_facet, of)))
        })
        .collect()
}

/// Whether an axis makes panels: it is neither the columns' nor the strategy's.
pub(super) fn is_facet(grid: &Grid, column: Option<usize>, axis: usize) -> bool {
    Some(axis) != column && !of_strategy(&grid.axes[axis])
}

fn facet_title(grid: &Grid, is_facet: &dyn Fn(usize) -> bool, values: &[usize]) -> String {
    let axes = grid.axes.iter().enumerate().filter(|(i, _)| is_facet(*i)).map(|(_, axis)| axis);
    axes.zip(values).map(|(axis, &v)| format!(", {} = {}", humane(&axis.path), axis.labels[v])).collect()
}

fn one(plan: &Plan, grid: &Grid, column: Option<usize>, cells: &[&(Vec<usize>, usize)], suffix: &str) -> Panel {
    let axis = column.map(|i| &grid.axes[i]);
    // Columns in rising order, where they are numbers.
    let mut order: Vec<usize> = (0..axis.map_or(1, |a| a.labels.len())).collect();
    if let Some(numbers) = axis.and_then(|a| a.numbers.as_ref()) {
        order.sort_by(|&a, &b| numbers[a].total_cmp(&numbers[b]));
    }
    // A row is one combination of the strategy's own axes.
    let mut keys: Vec<(Vec<usize>, Row)> = Vec::new();
    for (cell, point) in cells {
        let own = |i: &usize| of_strategy(&grid.axes[*i]) && Some(*i) != column;
        let key: Vec<usize> = (0..cell.len()).filter(own).map(|i| cell[i]).collect();
        let at = column.and_then(|i| order.iter().position(|&v| v == cell[i])).unwrap_or(0);
        let found = keys.iter().position(|(k, _)| *k == key).unwrap_or_else(|| {
            let strategy = plan.points[*point].strategy.clone();
            keys.push((key, Row { strategy, points: vec![None; order.len()] }));
            keys.len() - 1
        });
        keys[found].1.points[at] = Some(*point);
    }
    let mut rows: Vec<Row> = keys.into_iter().map(|(_, row)| row).collect();
    number_equal_labels(&mut rows);
    let name = axis.map(|a| humane(&a.path)).unwrap_or_default();
    let head = match (name.is_empty(), rows.iter().all(|row| is_yardstick(&row.strategy))) {
        (true, true) => "yardsticks".to_string(),
        (true, false) => "all runs".to_string(),
        (false, _) => name.clone(),
    };
    Panel {
        title: format!("{head}{suffix}"),
        axis: name,
        harm: axis.is_some_and(of_harm),
        columns: axis.map_or(vec![String::new()], |a| order.iter().map(|&v| a.labels[v].clone()).collect()),
        numbers: axis.and_then(|a| a.numbers.as_ref()).map(|n| order.iter().map(|&v| n[v]).collect()),
        rows,
    }
}

/// Strategies whose labels are equal get numbers, so that no two rows are taken for one.
fn number_equal_labels(rows: &mut [Row]) {
    let labels: Vec<String> = rows.iter().map(|row| row.strategy.clone()).collect();
    for (i, row) in rows.iter_mut().enumerate() {
        if labels.iter().filter(|label| **label == row.strategy).count() > 1 {
            let nth = labels[..=i].iter().filter(|label| **label == labels[i]).count();
            row.strategy = format!("{} #{nth}", labels[i]);
        }
    }
}

/// All strategies in the order in which panels first name them, yardsticks last: the order of legends and colours.
pub fn strategies(panels: &[Panel]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for row in panels.iter().flat_map(|panel| &panel.rows) {
        if !names.contains(&row.strategy) {
            names.push(row.strategy.clone());
        }
    }
    names.sort_by_key(|name| is_yardstick(name));
    names
}

/// Yardsticks that stand in a grid of their own, without columns: they are a level on every panel with numbers.
pub fn levels(panels: &[Panel]) -> Vec<(String, usize)> {
    let alone = panels.iter().filter(|panel| panel.axis.is_empty());
    let rows = alone.flat_map(|panel| &panel.rows).filter(|row| is_yardstick(&row.strategy));
    rows.filter_map(|row| row.points[0].map(|point| (row.strategy.clone(), point))).collect()
}
