//! How often a backdoor works: the share of triggered test samples taken for its target, by strategy and condition.

use super::html;
use super::panel::Panel;
use super::read::Study;
use super::terminal::plain;
use crate::statistics::{Summary, summarise};

/// A panel with a backdoor in it.
struct Table<'a> {
    panel: &'a Panel,
    /// Mean and interval over seeds, strategies by columns; none where no backdoor was scored.
    cells: Vec<Vec<Option<Summary>>>,
}

fn tables<'a>(study: &Study, panels: &'a [Panel]) -> Vec<Table<'a>> {
    let rate = |point: usize| {
        let of_runs = study.of(point).filter_map(|run| run.attack_success(study.reading(), study.plan.metric));
        summarise(&of_runs.collect::<Vec<_>>())
    };
    let table = |panel: &'a Panel| {
        let cells = panel.rows.iter().map(|row| row.points.iter().map(|point| point.and_then(rate)).collect());
        Table { panel, cells: cells.collect() }
    };
    panels.iter().map(table).filter(|table| table.cells.iter().flatten().any(Option::is_some)).collect()
}

impl Table<'_> {
    /// A strategy's name and its cells as texts.
    fn rows(&self) -> Vec<Vec<String>> {
        let shown = |cell: &Option<Summary>| cell.map_or("–".to_string(), |summary| summary.text());
        let rows = self.panel.rows.iter().zip(&self.cells);
        rows.map(|(row, cells)| std::iter::once(row.strategy.clone()).chain(cells.iter().map(shown)).collect())
            .collect()
    }

    fn header(&self, first: &str) -> Vec<String> {
        std::iter::once(first.to_string()).chain(self.panel.columns.iter().cloned()).collect()
    }
}

/// A table for every panel with a backdoor in it, for the terminal; empty without one.
pub fn text(study: &Study, panels: &[Panel]) -> String {
    let text = |table: Table| {
        let title = format!("attack success {}, {}", study.reading().caption(), table.panel.title);
        format!("\n{title}\n{}\n", plain(&table.header(""), &table.rows(), 1))
    };
    tables(study, panels).into_iter().map(text).collect()
}

/// The same for the page.
pub fn section(study: &Study, panels: &[Panel]) -> String {
    let tables = tables(study, panels);
    if tables.is_empty() {
        return String::new();
    }
    let shown: String = tables.iter().map(|t| html::table(1, &t.header(&t.panel.title), &t.rows())).collect();
    format!(
        "<p>Share of test samples of other classes than the target that are taken for it once they carry the trigger, {}. Without attackers it is how often an honest model errs so.</p>\n{shown}",
        study.reading().caption()
    )
}

#[cfg(test)]
mod tests {
    use super::super::panel::panels;
    use super::super::tables;
    use super::super::worst_tests::study;
    use super::{section, text};

    #[test]
    fn terminal_page_and_tables_tell_how_often_a_backdoor_works() {
        let mut study = study(&["backdoor"], &["fedavg", "median"], &["0.0", "0.2"], &["0.0"], |_| Some(0.5));
        let panels = panels(&study.plan);
        assert_eq!(text(&study, &panels) + &section(&study, &panels), "", "nobody scored a backdoor");
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
        let page = section(&study, &panels);
        let row = "<tr><td class=\"word\">fedavg</td><td>0.04</td><td>0.87</td></tr>";
        assert!(page.contains(row) && page.contains("at the last evaluated round. Without attackers"), "{page}");
        let summary = String::from_utf8(tables::summary(&study).unwrap()).unwrap();
        let told = summary.lines().filter(|line| line.contains("last,attack_success"));
        let told: Vec<&str> = told.map(|line| line.rsplit_once("attack_success,").unwrap().1).collect();
        assert_eq!(told, ["1,0.04,,,", "1,0.02,,,", "1,0.87,,,"]);
    }
}
