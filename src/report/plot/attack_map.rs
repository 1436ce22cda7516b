//! Strategies by attacks as coloured cells, the worst attack in the last column, a block for every place on the other axes.

use super::super::panel::{Row, is_yardstick};
use super::super::worst::{Board, Facet, boards};
use super::axes::fit;
use super::heatmap::scale;
use super::scene::{At, Scene, Side, Text, text_width};
use super::style::{INK, shade};
use super::{Figure, Source, numbered};
use crate::fault::Result;
use plotters::style::{RGBColor, WHITE};

const CELL: (f64, f64) = (36.0, 25.0);
/// Between the attacks and the worst of them.
const APART: f64 = 9.0;
/// Between blocks.
const GAP: At = (26.0, 20.0);
/// Font sizes of names and of numbers.
const NAME: f64 = 14.5;
const NUMBER: f64 = 13.5;
/// Widest label of a strategy, highest one of an attack.
const LABEL: At = (290.0, 150.0);
/// Height of a line of a title.
const LINE: f64 = 19.0;
/// Widest figure.
const MOST: f64 = 1000.0;
const LAST: &str = "worst attack";
const EMPTY: RGBColor = RGBColor(238, 238, 238);

/// One figure a grid of attacks.
pub fn draw(source: &Source) -> Result<Vec<Figure>> {
    boards(source.study).iter().enumerate().map(|(i, board)| Map::new(source, board).figure(i)).collect()
}

/// Where things are.
struct Map<'a> {
    source: &'a Source<'a>,
    board: &'a Board,
    /// Facets in rows of blocks.
    shelves: Vec<Vec<&'a Facet>>,
    /// Width of the strategies' labels and height of the attacks'.
    label: At,
    /// Lowest and highest mean.
    range: (f64, f64),
}

/// The axis whose values stand beside each other: of those that fit the one with the most values, the last among equals.
fn across(board: &Board, at_once: usize) -> Option<usize> {
    let values = |axis: usize| {
        let mut values: Vec<usize> = board.facets.iter().map(|facet| facet.at[axis].0).collect();
        values.sort_unstable();
        values.dedup();
        values.len()
    };
    let fits = (0..board.axes.len()).filter(|&axis| (2..=at_once).contains(&values(axis)));
    fits.max_by_key(|&axis| values(axis))
}

impl<'a> Map<'a> {
    fn new(source: &'a Source, board: &'a Board) -> Self {
        let rows = || board.facets.iter().flat_map(|facet| &facet.rows);
        let widest = rows().map(|row| text_width(&row.strategy, NAME)).fold(0.0, f64::max).min(LABEL.0);
        let highest =
            board.attacks.iter().map(|name| text_width(name, NAME)).fold(text_width(LAST, NAME) * 1.1, f64::max);
        let means = rows().flat_map(|row| row.points.iter().flatten());
        let means = means.filter_map(|&point| source.study.summary(point)).map(|s| s.mean);
        let (low, high) = means.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
        let label = (widest + 20.0, highest.min(LABEL.1) + 10.0);
        let at_once = ((MOST - label.0 + GAP.0) / (width(board) + GAP.0)) as usize;
        let across = across(board, at_once);
        let mut shelves: Vec<Vec<&Facet>> = Vec::new();
        for facet in &board.facets {
            let rest = |facet: &Facet| {
                (0..facet.at.len()).filter(|&i| Some(i) != across).map(|i| facet.at[i].0).collect::<Vec<_>>()
            };
            match shelves.iter_mut().find(|shelf| across.is_some() && rest(shelf[0]) == rest(facet)) {
                Some(shelf) => shelf.push(facet),
                None => shelves.push(vec![facet]),
            }
        }
        let range = if low < high { (low, high) } else { (0.0, 1.0) };
        Map { source, board, shelves, label, range }
    }

    fn figure(&self, index: usize) -> Result<Figure> {
        let blocks = self.shelves.iter().map(Vec::len).max().unwrap_or(1) as f64;
        let wide = self.label.0 + blocks * (width(self.board) + GAP.0) - GAP.0 + 12.0;
        let rows = |shelf: &[&Facet]| shelf.iter().map(|facet| facet.rows.len()).max().unwrap_or(0) as f64;
        let tall: f64 = self.shelves.iter().map(|shelf| self.head() + rows(shelf) * CELL.1 + GAP.1).sum();
        let mut scene = Scene::new(wide.max(520.0), tall + 56.0);
        let mut top = 4.0;
        for shelf in &self.shelves {
            self.strategies(&mut scene, shelf[0], top + self.head());
            for (i, facet) in shelf.iter().enumerate() {
                self.block(&mut scene, facet, (self.label.0 + i as f64 * (width(self.board) + GAP.0), top));
            }
            top += self.head() + rows(shelf) * CELL.1 + GAP.1;
        }
        scale(&mut scene, (self.label.0, top + 6.0), self.range, self.source.study.metric());
        Figure::new(numbered("attacks", index), self.caption(), &scene)
    }

    /// Height of a shelf above its cells: titles, then the names of attacks.
    fn head(&self) -> f64 {
        let lines = self.board.facets.iter().map(|facet| self.title(facet).len()).max().unwrap_or(0);
        lines as f64 * LINE + 7.0 + self.label.1
    }

    /// What a block shows, in lines that fit above it: the values stand at the end and must not be cut.
    fn title(&self, facet: &Facet) -> Vec<String> {
        let (room, mut lines) = (width(self.board) + GAP.0 - 6.0, Vec::<String>::new());
        for word in facet.title(&self.board.axes).split(' ').filter(|word| !word.is_empty()) {
            match lines.last_mut() {
                // The heavier face is a little wider than the one that is measured.
                Some(line) if text_width(&format!("{line} {word}"), NAME) * 1.06 <= room => {
                    *line += &format!(" {word}")
                }
                _ => lines.push(word.to_string()),
            }
        }
        lines
    }

    fn caption(&self) -> String {
        let study = self.source.study;
        format!(
            "Strategies by attacks. {}; the number in a cell is the mean. Last column: the attack with the lowest mean; a frame marks the strategy that loses least to it. Empty: a run is missing.",
            study.measure().replace(", mean and 95 % interval (Student's t) over", ", over")
        )
    }

    fn strategies(&self, scene: &mut Scene, facet: &Facet, top: f64) {
        for (i, row) in facet.rows.iter().enumerate() {
            let y = top + (i as f64 + 0.5) * CELL.1;
            let name = Text::new((self.label.0 - 9.0, y), fit(&row.strategy, NAME, LABEL.0), NAME, Side::Right);
            scene.put(name);
        }
    }

    fn block(&self, scene: &mut Scene, facet: &Facet, (left, top): At) {
        for (i, line) in self.title(facet).into_iter().enumerate() {
            scene.put(Text::new((left, top + 11.0 + i as f64 * LINE), line, NAME, Side::Left).bold());
        }
        let cells = top + self.head();
        let hostile = self.board.attacks.len();
        for (column, attack) in self.board.attacks.iter().enumerate() {
            let at = (left + (column as f64 + 0.5) * CELL.0, cells - 6.0);
            scene.put(Text::new(at, fit(attack, NAME, LABEL.1), NAME, Side::Left).upward());
        }
        let last = left + hostile as f64 * CELL.0 + APART;
        scene.put(Text::new((last + CELL.0 / 2.0, cells - 6.0), LAST, NAME, Side::Left).upward().bold());
        let best = self.board.best_worst(self.source.study, facet);
        for (i, row) in facet.rows.iter().enumerate() {
            let y = cells + i as f64 * CELL.1;
            self.row(scene, row, (left, y));
            let worst = self.board.worst(self.source.study, row).map(|worst| worst.summary.mean);
            self.cell(scene, (last, y), worst, true);
            if worst.is_some() && worst == best && !is_yardstick(&row.strategy) {
                frame(scene, (last, y));
            }
        }
    }

    fn row(&self, scene: &mut Scene, row: &Row, (left, y): At) {
        for (column, point) in row.points.iter().enumerate() {
            let mean = point.and_then(|point| self.source.study.summary(point)).map(|summary| summary.mean);
            self.cell(scene, (left + column as f64 * CELL.0, y), mean, false);
        }
    }

    fn cell(&self, scene: &mut Scene, (x, y): At, mean: Option<f64>, bold: bool) {
        let size = (CELL.0 - 1.0, CELL.1 - 1.0);
        let Some(mean) = mean else { return scene.rectangle((x + 0.5, y + 0.5), size, EMPTY) };
        let (color, dark) = shade((mean - self.range.0) / (self.range.1 - self.range.0));
        scene.rectangle((x + 0.5, y + 0.5), size, color);
        let number = format!("{mean:.2}");
        let text = Text::new((x + CELL.0 / 2.0, y + CELL.1 / 2.0), number, NUMBER, Side::Centre);
        let text = text.color(if dark { WHITE } else { INK });
        scene.put(if bold { text.bold() } else { text });
    }
}

/// Width of a block's cells.
fn width(board: &Board) -> f64 {
    (board.attacks.len() + 1) as f64 * CELL.0 + APART
}

fn frame(scene: &mut Scene, (x, y): At) {
    let (right, bottom) = (x + CELL.0 - 0.5, y + CELL.1 - 0.5);
    let corners = [(x + 0.5, y + 0.5), (right, y + 0.5), (right, bottom), (x + 0.5, bottom), (x + 0.5, y + 0.5)];
    scene.line(&corners, INK, 2.4, &[]);
}
