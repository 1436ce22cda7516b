//! How often a backdoor works: the share of triggered test samples taken for its target, by strategy and condition.

use super::panel::{Panel, Row};
use super::read::Study;
use crate::statistics::{Summary, summarise};

/// The rate of a point at the last evaluated round, over its seeds; none where no backdoor was scored.
fn rate(study: &Study, point: usize) -> Option<Summary> {
    let last = study.of(point).filter_map(|run| run.rounds.iter().rev().find_map(|row| row.attack_success));
    summarise(&last.collect::<Vec<_>>())
}

/// A table for every panel with a backdoor in it, for the terminal; empty without one.
pub fn text(study: &Study, panels: &[Panel]) -> String {
    let mut text = String::new();
    for panel in panels {
        let cells: Vec<Vec<Option<Summary>>> = panel.rows.iter().map(|row| rates(study, row)).collect();
        if cells.iter().flatten().all(Option::is_none) {
            continue;
        }
        text.push_str(&format!("\nattack success at the last evaluated round, {}\n", panel.title));
        let first = panel.rows.iter().map(|row| row.strategy.chars().count()).max().unwrap_or(0);
        let shown = |cell: &Option<Summary>| cell.map_or("–".to_string(), |summary| summary.text());
        let widths = panel.columns.iter().map(|column| column.chars().count());
        let width = cells.iter().flatten().map(|cell| shown(cell).chars().count()).chain(widths).max().unwrap_or(0) + 2;
        let line = |name: &str, cells: Vec<String>| {
            let cells: String = cells.iter().map(|cell| format!("{cell:>width$}")).collect();
            format!("{}\n", format!(" {name:<first$}{cells}").trim_end())
        };
        text.push_str(&line("", panel.columns.clone()));
        for (row, cells) in panel.rows.iter().zip(&cells) {
            text.push_str(&line(&row.strategy, cells.iter().map(shown).collect()));
        }
    }
    text
}

fn rates(study: &Study, row: &Row) -> Vec<Option<Summary>> {
    row.points.iter().map(|point| point.and_then(|point| rate(study, point))).collect()
}

#[cfg(test)]
mod tests {
    use super::super::panel::panels;
    use super::super::worst_tests::study;
    use super::text;

    #[test]
    fn the_terminal_shows_how_often_a_backdoor_works() {
        let mut study = study(&["backdoor"], &["fedavg", "median"], &["0.0", "0.2"], &["0.0"], |_| Some(0.5));
        let panels = panels(&study.plan);
        assert_eq!(text(&study, &panels), "", "nobody scored a backdoor");
        for (run, success) in study.runs.iter_mut().zip([Some(0.04), Some(0.02), Some(0.87), None]) {
            run.rounds[0].attack_success = success;
        }
        let expected = "
attack success at the last evaluated round, byzantine, kind = backdoor, missing modality rate = 0.0
          0.0   0.2
 fedavg  0.04  0.87
 median  0.02     –
";
        assert_eq!(text(&study, &panels), expected);
    }
}
