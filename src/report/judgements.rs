//! The tables of judgements: `comparisons.csv`, `robustness.csv`, `fairness.csv`.

use super::panel::{Panel, Row, is_yardstick};
use super::read::Study;
use super::tables::{csv, point_cells, point_header};
use super::versus::{Group, Pair, correct, pairs, ranked};
use super::{fairness, robust};
use crate::fault::Result;
use crate::statistics::Summary;
use crate::store::number;

/// The strategies that compete at a column of a panel, by falling mean, and all pairs of them, corrected as one family.
pub fn at_column(study: &Study, panel: &Panel, column: usize) -> (Vec<Group>, Vec<Pair>) {
    let rivals = panel.rows.iter().filter(|row| !is_yardstick(&row.strategy));
    let of = |row: &Row| {
        let point = row.points[column]?;
        let runs = study.of(point).map(|run| run.info.fingerprint.clone()).collect();
        Some(Group { name: row.strategy.clone(), by_repeat: study.by_repeat(point), runs })
    };
    let groups = ranked(rivals.filter_map(of).collect());
    let mut pairs = pairs(&groups, None);
    correct(&mut pairs.iter_mut().collect::<Vec<_>>());
    (groups, pairs)
}

/// The columns that every table of comparisons ends with.
pub const COMPARED: [&str; 11] =
    ["a", "b", "n", "difference", "low", "high", "sd", "p", "p_holm", "p_sign_flip", "seeds_needed"];

/// The cells under [`COMPARED`].
pub fn compared(groups: &[Group], pair: &Pair) -> Vec<String> {
    let Summary { n, mean, sd, .. } = pair.paired.difference;
    let mut cells = vec![groups[pair.a].name.clone(), groups[pair.b].name.clone(), n.to_string(), mean.to_string()];
    let difference = pair.paired.difference;
    cells
        .extend([difference.low(), difference.high(), sd, pair.paired.p, pair.corrected, pair.paired.flip].map(number));
    cells.push(pair.needed().map(|n| n.to_string()).unwrap_or_default());
    cells
}

/// `comparisons.csv`: every pair of strategies at every column of every panel.
pub fn comparisons(study: &Study, panels: &[Panel]) -> Result<Vec<u8>> {
    let mut rows = Vec::new();
    for panel in panels {
        for (column, label) in panel.columns.iter().enumerate() {
            let (groups, pairs) = at_column(study, panel, column);
            let row = |pair: &Pair| [vec![panel.title.clone(), label.clone()], compared(&groups, pair)].concat();
            rows.extend(pairs.iter().map(row));
        }
    }
    csv(["panel", "at"].iter().chain(&COMPARED).map(|c| c.to_string()).collect(), rows.into_iter())
}

/// `robustness.csv`: three rows a strategy and panel.
pub fn robustness(study: &Study, panels: &[Panel]) -> Result<Vec<u8>> {
    let header = ["panel", "strategy", "summary", "n", "value", "low", "high", "at"].map(String::from).to_vec();
    let mut rows = Vec::new();
    for r in robust::all(study, panels) {
        let row = |name: &str, n: usize, values: [Option<f64>; 3], at: &str| {
            let mut row = vec![r.panel.clone(), r.strategy.clone(), name.to_string(), n.to_string()];
            row.extend(values.map(number));
            row.push(at.to_string());
            row
        };
        let three = |s: &Summary| [Some(s.mean), s.low(), s.high()];
        rows.extend(r.area.map(|s| row("area", s.n, three(&s), "")));
        let (low, high) = r.half_interval.unzip();
        rows.extend(r.half.map(|half| row("half_loss", r.repeats, [Some(half), low, high], "")));
        rows.extend(r.worst.as_ref().map(|(column, s)| row("worst", s.n, three(s), column)));
    }
    csv(header, rows.into_iter())
}

/// `fairness.csv`: what clients get, at every point.
pub fn fairness(study: &Study) -> Result<Vec<u8>> {
    let mut header = point_header(&study.plan);
    header.extend(["part", "summary", "clients", "n", "mean", "low", "high", "sd"].map(String::from));
    let facts = (0..study.plan.points.len()).flat_map(|point| fairness::of_point(study, point));
    let rows = facts.map(|fact| {
        let s = fact.summary;
        let mut row = point_cells(&study.plan, fact.point);
        row.extend([fact.part.to_string(), fact.name, fact.clients.to_string(), s.n.to_string(), s.mean.to_string()]);
        row.extend([s.low(), s.high(), s.sd].map(number));
        row
    });
    csv(header, rows)
}
