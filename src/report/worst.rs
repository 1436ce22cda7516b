//! Grids with an axis of attacks: strategies by attacks, and how each strategy fares against the worst of them.

use super::panel::{self, Row, humane, is_yardstick};
use super::read::Study;
use crate::fault::{Error, Result};
use crate::record::Grid;
use crate::statistics::Summary;
use crate::store::number;

/// The axis whose values are attacks.
const AXIS: &str = "attack.kind";
/// The attack that is none.
const CLEAN: &str = "none";

/// A grid with two attacks or more.
#[derive(Debug)]
pub struct Board {
    /// Attacks, the clean column first where there is one.
    pub attacks: Vec<String>,
    /// Names of the other axes that are not the strategy's.
    pub axes: Vec<String>,
    /// One for every combination of their values.
    pub facets: Vec<Facet>,
}

/// Strategies by attacks at one place on the other axes.
#[derive(Debug)]
pub struct Facet {
    /// Value on each of the board's axes, by its place there and as a label.
    pub at: Vec<(usize, String)>,
    /// Strategies with their point under each attack.
    pub rows: Vec<Row>,
}

/// The worst of a strategy's attacks.
#[derive(Debug, Clone, PartialEq)]
pub struct Worst<'a> {
    /// Which.
    pub attack: &'a str,
    /// The mean over seeds under it.
    pub summary: Summary,
}

/// Whether a grid makes a board.
pub fn is_board(grid: &Grid) -> bool {
    column(grid).is_some()
}

fn column(grid: &Grid) -> Option<usize> {
    let attacks = |labels: &[String]| labels.iter().filter(|label| *label != CLEAN).count();
    grid.axes.iter().position(|axis| axis.path == AXIS && attacks(&axis.labels) > 1)
}

/// The boards of the plan, in its order.
pub fn boards(study: &Study) -> Vec<Board> {
    study.plan.grids.iter().filter_map(|grid| Some(board(study, grid, column(grid)?))).collect()
}

fn board(study: &Study, grid: &Grid, column: usize) -> Board {
    let mut order: Vec<usize> = (0..grid.axes[column].labels.len()).collect();
    order.sort_by_key(|&i| grid.axes[column].labels[i] != CLEAN);
    let axes: Vec<usize> = (0..grid.axes.len()).filter(|&i| panel::is_facet(grid, Some(column), i)).collect();
    let facets = panel::by_column(&study.plan, grid, Some(column)).into_iter().map(|(values, panel)| {
        let at = axes.iter().zip(&values).map(|(&axis, &value)| (value, grid.axes[axis].labels[value].clone()));
        let reorder = |row: Row| Row { points: order.iter().map(|&i| row.points[i]).collect(), ..row };
        Facet { at: at.collect(), rows: panel.rows.into_iter().map(reorder).collect() }
    });
    Board {
        attacks: order.iter().map(|&i| grid.axes[column].labels[i].clone()).collect(),
        facets: facets.collect(),
        axes: axes.iter().map(|&i| humane(&grid.axes[i].path)).collect(),
    }
}

impl Board {
    /// Places of the columns that are attacks.
    pub fn hostile(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.attacks.len()).filter(|&c| self.attacks[c] != CLEAN)
    }

    /// The attack under which a strategy's mean is lowest, the first among equals; none while one of them has no result.
    pub fn worst(&self, study: &Study, row: &Row) -> Option<Worst<'_>> {
        let mut worst: Option<Worst> = None;
        for column in self.hostile() {
            let summary = study.summary(row.points[column]?)?;
            if worst.as_ref().is_none_or(|found| summary.mean < found.summary.mean) {
                worst = Some(Worst { attack: &self.attacks[column], summary });
            }
        }
        worst
    }

    /// The highest mean under the worst attack among a facet's strategies, yardsticks aside.
    pub fn best_worst(&self, study: &Study, facet: &Facet) -> Option<f64> {
        let rivals = facet.rows.iter().filter(|row| !is_yardstick(&row.strategy));
        let worst = rivals.filter_map(|row| self.worst(study, row)).map(|worst| worst.summary.mean);
        worst.max_by(f64::total_cmp)
    }
}

impl Facet {
    /// `byzantine = 0.1, missing modality rate = 0.4`.
    pub fn title(&self, axes: &[String]) -> String {
        let parts = axes.iter().zip(&self.at).map(|(axis, (_, value))| format!("{axis} = {value}"));
        parts.collect::<Vec<_>>().join(", ")
    }
}

/// Every strategy against its worst attack, for the terminal; empty without a board.
pub fn text(study: &Study) -> String {
    let mut text = String::new();
    for board in boards(study) {
        for facet in &board.facets {
            let title = facet.title(&board.axes);
            let title = if title.is_empty() { title } else { format!(", {title}") };
            text.push_str(&format!("\nworst of {} attacks{title}\n", board.hostile().count()));
            let (best, width) = (board.best_worst(study, facet), facet.rows.iter().map(|row| row.strategy.len()).max());
            for row in &facet.rows {
                let cell = match board.worst(study, row) {
                    None => "–".to_string(),
                    Some(worst) => {
                        let star = if Some(worst.summary.mean) == best { "*" } else { " " };
                        format!("{}{star}  {}", worst.summary.text(), worst.attack)
                    }
                };
                text.push_str(&format!("{:width$}  {cell}\n", row.strategy, width = width.unwrap_or(0)));
            }
        }
    }
    text
}

/// `worst.csv`: one row a strategy and place on the other axes of a grid of attacks; none without such a grid.
///
/// # Errors
/// The rows cannot be written as CSV.
pub fn table(study: &Study) -> Result<Option<Vec<u8>>> {
    let boards = boards(study);
    if boards.is_empty() {
        return Ok(None);
    }
    let mut axes: Vec<&String> = Vec::new();
    boards.iter().flat_map(|board| &board.axes).for_each(|axis| {
        if !axes.contains(&axis) {
            axes.push(axis);
        }
    });
    let failed = |e: &dyn std::fmt::Display| Error::Failed(format!("cannot write CSV: {e}"));
    let mut writer = csv::Writer::from_writer(Vec::new());
    let ends = ["attacks", "worst_attack", "n", "mean", "low", "high"];
    let header = std::iter::once("strategy").chain(axes.iter().map(|axis| axis.as_str())).chain(ends);
    writer.write_record(header).map_err(|e| failed(&e))?;
    for board in &boards {
        for (facet, row) in board.facets.iter().flat_map(|facet| facet.rows.iter().map(move |row| (facet, row))) {
            let Some(worst) = board.worst(study, row) else { continue };
            let place = |axis: &&String| {
                let found = board.axes.iter().position(|own| own == *axis);
                found.map(|i| facet.at[i].1.clone()).unwrap_or_default()
            };
            let mut cells = vec![row.strategy.clone()];
            cells.extend(axes.iter().map(place));
            cells.extend([board.hostile().count().to_string(), worst.attack.to_string()]);
            cells.extend([worst.summary.n.to_string(), worst.summary.mean.to_string()]);
            cells.extend([worst.summary.low(), worst.summary.high()].map(number));
            writer.write_record(cells).map_err(|e| failed(&e))?;
        }
    }
    writer.into_inner().map(Some).map_err(|e| failed(&e))
}
