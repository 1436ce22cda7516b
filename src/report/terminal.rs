//! The table for the terminal: strategies by conditions, at most 100 columns wide.

use super::panel::{Panel, is_yardstick};
use super::read::{Run, Study};
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

/// Widest line.
const WIDTH: usize = 100;

/// What the mark of diverged runs means, where there are any.
pub fn legend(study: &Study) -> &'static str {
    if study.runs.iter().any(Run::diverged) { "; † some or all runs diverged" } else { "" }
}

/// All panels as tables, each under its title. `*` marks the best of a column, yardsticks aside.
pub fn table(study: &Study, panels: &[Panel]) -> String {
    let mut text = format!("{}\n* best of its column, yardsticks aside{}\n", study.measure(), legend(study));
    for panel in panels {
        for part in parts(study, panel) {
            text.push_str(&format!("\n{}\n{part}\n", panel.title));
        }
    }
    text
}

/// Texts of a panel's cells, `[rows][columns]`, with whether each is the best of its column; `–` without a result, `†` after
/// that of runs some of which diverged.
pub fn cells(study: &Study, panel: &Panel) -> Vec<Vec<(String, bool)>> {
    let summaries: Vec<Vec<_>> =
        panel.rows.iter().map(|row| row.points.iter().map(|p| p.and_then(|p| study.summary(p))).collect()).collect();
    let highest: Vec<f64> = (0..panel.columns.len())
        .map(|c| {
            let rivals = panel.rows.iter().zip(&summaries).filter(|(row, _)| !is_yardstick(&row.strategy));
            rivals.filter_map(|(_, s)| s[c].map(|s| s.mean)).fold(f64::NEG_INFINITY, f64::max)
        })
        .collect();
    let cell = |row: usize, c: usize| match summaries[row][c] {
        Some(s) => {
            let diverged = panel.rows[row].points[c].is_some_and(|point| study.diverged(point));
            let text = s.text() + if diverged { "†" } else { "" };
            (text, !is_yardstick(&panel.rows[row].strategy) && s.mean == highest[c])
        }
        None => ("–".to_string(), false),
    };
    (0..panel.rows.len()).map(|row| (0..panel.columns.len()).map(|c| cell(row, c)).collect()).collect()
}

/// A panel as one table, or as several where it is too wide for one.
fn parts(study: &Study, panel: &Panel) -> Vec<String> {
    let cells = cells(study, panel);
    let width = |text: &str| text.chars().count() + 2;
    let first = panel.rows.iter().map(|row| width(&row.strategy)).max().unwrap_or(0);
    let widest = cells.iter().flatten().map(|(text, _)| width(text) + 1);
    let widest = widest.chain(panel.columns.iter().map(|c| width(c))).max().unwrap_or(1);
    let at_once = (WIDTH.saturating_sub(first) / widest).max(1);
    let columns: Vec<usize> = (0..panel.columns.len()).collect();
    columns
        .chunks(at_once)
        .map(|columns| {
            let mut table = Table::new();
            table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
            if columns.iter().any(|&c| !panel.columns[c].is_empty()) {
                table.set_header(std::iter::once("").chain(columns.iter().map(|&c| panel.columns[c].as_str())));
            }
            for (row, cells) in panel.rows.iter().zip(&cells) {
                let marked = columns.iter().map(|&c| format!("{}{}", cells[c].0, if cells[c].1 { "*" } else { " " }));
                table.add_row(std::iter::once(row.strategy.clone()).chain(marked));
            }
            for column in table.column_iter_mut().skip(1) {
                column.set_cell_alignment(CellAlignment::Right);
            }
            table.lines().map(|line| line.trim_end().to_string()).collect::<Vec<_>>().join("\n")
        })
        .collect()
}

/// A plain table; the columns after the first `words` are set to the right.
pub fn plain(header: &[String], rows: &[Vec<String>], words: usize) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header);
    table.add_rows(rows);
    for column in table.column_iter_mut().skip(words) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.lines().map(|line| line.trim_end().to_string()).collect::<Vec<_>>().join("\n")
}
