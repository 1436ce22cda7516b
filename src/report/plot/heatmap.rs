//! Strategies by conditions as coloured cells with their numbers, a block a grid.

use super::super::panel::{Panel, is_yardstick, panels_of};
use super::super::worst::is_board;
use super::axes::fit;
use super::scene::{Scene, Side, Text, text_width};
use super::style::{INK, SMALL, TEXT, shade};
use super::{Figure, Source, WIDTH};
use crate::fault::Result;
use plotters::style::{RGBColor, WHITE};

const CELL: (f64, f64) = (47.0, 33.0);
/// Room above a block for its title and the values of its axis.
const HEAD: f64 = 58.0;
const GAP: f64 = 26.0;
/// How much wider bold letters are.
const BOLD: f64 = 1.1;
/// Widest strategy label.
const LABEL: f64 = 180.0;

/// One figure of all panels with columns, but for grids of attacks, which have their own; none where there are none.
pub fn draw(source: &Source) -> Result<Vec<Figure>> {
    let panels = panels_of(&source.study.plan, |grid| !is_board(grid));
    let panels: Vec<&Panel> = panels.iter().filter(|p| !p.axis.is_empty()).collect();
    if panels.is_empty() { Ok(Vec::new()) } else { Ok(vec![figure(source, &panels)?]) }
}

/// A piece of a panel that fits beside the labels.
struct Block<'a> {
    panel: &'a Panel,
    columns: std::ops::Range<usize>,
}

impl Block<'_> {
    /// Of its cells.
    fn width(&self) -> f64 {
        self.columns.len() as f64 * CELL.0
    }

    /// Of its cells and of its title, which may be wider, up to `most`.
    fn room(&self, most: f64) -> f64 {
        self.width().max((BOLD * text_width(&self.panel.title, TEXT)).min(most))
    }
}

/// Blocks in rows: beside each other while they fit and have the same strategies.
fn shelves<'a>(panels: &[&'a Panel], room: f64) -> Vec<Vec<Block<'a>>> {
    let at_once = ((room / CELL.0) as usize).max(1);
    let mut shelves: Vec<Vec<Block>> = Vec::new();
    for panel in panels {
        for from in (0..panel.columns.len()).step_by(at_once) {
            let block = Block { panel, columns: from..(from + at_once).min(panel.columns.len()) };
            let names = |p: &Panel| p.rows.iter().map(|row| row.strategy.clone()).collect::<Vec<_>>();
            match shelves.last_mut() {
                Some(shelf)
                    if names(shelf[0].panel) == names(panel)
                        && shelf.iter().map(|b| b.room(room) + GAP).sum::<f64>() + block.room(room) <= room =>
                {
                    shelf.push(block);
                }
                _ => shelves.push(vec![block]),
            }
        }
    }
    shelves
}

fn figure(source: &Source, panels: &[&Panel]) -> Result<Figure> {
    let means = panels.iter().flat_map(|panel| &panel.rows).flat_map(|row| row.points.iter().flatten());
    let means: Vec<f64> = means.filter_map(|&point| source.study.summary(point)).map(|s| s.mean).collect();
    let (low, high) = means.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), &v| (l.min(v), h.max(v)));
    let (low, high) = if low < high { (low, high) } else { (0.0, 1.0) };
    let names = panels.iter().flat_map(|panel| &panel.rows).map(|row| text_width(&row.strategy, TEXT));
    let left = names.fold(0.0, f64::max).min(LABEL) + 22.0;
    let room = WIDTH - left - 10.0;
    let shelves = shelves(panels, room);
    let rows = |shelf: &[Block]| shelf[0].panel.rows.len() as f64;
    let height: f64 = shelves.iter().map(|shelf| HEAD + rows(shelf) * CELL.1 + 12.0).sum();
    let mut scene = Scene::new(WIDTH, height + 62.0);
    let mut top = 0.0;
    for shelf in &shelves {
        let mut x = left;
        for (i, row) in shelf[0].panel.rows.iter().enumerate() {
            let y = top + HEAD + (i as f64 + 0.5) * CELL.1;
            scene.text((left - 9.0, y), fit(&row.strategy, TEXT, LABEL), TEXT, Side::Right);
        }
        for part in shelf {
            block(source, &mut scene, part, room, (x, top), (low, high));
            x += part.room(room) + GAP;
        }
        top += HEAD + rows(shelf) * CELL.1 + 12.0;
    }
    scale(&mut scene, (left, top + 14.0), (low, high), source.study.metric());
    let caption = format!(
        "Strategies by conditions. {}; the number in a cell is the mean. Empty: no finished run.",
        source.study.measure().replace(", mean and 95 % interval (Student's t) over", ", over")
    );
    Figure::new("heatmap".into(), caption, &scene)
}

fn block(
    source: &Source,
    scene: &mut Scene,
    block: &Block,
    most: f64,
    (left, top): (f64, f64),
    (low, high): (f64, f64),
) {
    let (width, room) = (block.width(), block.room(most));
    let title = fit(&block.panel.title, TEXT, room);
    // Over its cells, or from where they begin where it is wider.
    let (x, side) = if room > width { (left, Side::Left) } else { (left + width / 2.0, Side::Centre) };
    scene.put(Text::new((x, top + 18.0), title, TEXT, side).bold());
    for (i, column) in block.columns.clone().enumerate() {
        let x = left + i as f64 * CELL.0;
        let label = fit(&block.panel.columns[column], SMALL, CELL.0 - 2.0);
        scene.text((x + CELL.0 / 2.0, top + HEAD - 14.0), label, SMALL, Side::Centre);
        for (row, strategy) in block.panel.rows.iter().enumerate() {
            let y = top + HEAD + row as f64 * CELL.1;
            let Some(summary) = strategy.points[column].and_then(|point| source.study.summary(point)) else {
                scene.rectangle((x + 0.5, y + 0.5), (CELL.0 - 1.0, CELL.1 - 1.0), RGBColor(240, 240, 240));
                continue;
            };
            let (color, dark) = shade((summary.mean - low) / (high - low));
            scene.rectangle((x + 0.5, y + 0.5), (CELL.0 - 1.0, CELL.1 - 1.0), color);
            let at = (x + CELL.0 / 2.0, y + CELL.1 / 2.0);
            let text = Text::new(at, format!("{:.2}", summary.mean), SMALL + 0.5, Side::Centre);
            let text = text.color(if dark { WHITE } else { INK });
            scene.put(if is_yardstick(&strategy.strategy) { text } else { text.bold() });
        }
    }
}

/// The colours from the lowest to the highest mean.
pub(super) fn scale(scene: &mut Scene, (left, top): (f64, f64), (low, high): (f64, f64), metric: &str) {
    let (width, steps) = (220.0, 110);
    for i in 0..steps {
        let step = width / steps as f64;
        let (color, _) = shade(i as f64 / (steps - 1) as f64);
        scene.rectangle((left + i as f64 * step, top), (step + 0.3, 14.0), color);
    }
    scene.text((left, top + 28.0), format!("{low:.2}"), SMALL, Side::Left);
    scene.text((left + width, top + 28.0), format!("{high:.2}"), SMALL, Side::Right);
    scene.text((left + width + 14.0, top + 7.0), format!("test {metric}"), SMALL, Side::Left);
}

#[cfg(test)]
mod tests {
    use super::super::super::panel::Row;
    use super::*;

    #[test]
    fn blocks_with_long_titles_stand_so_far_apart_that_none_is_cut() {
        let row = Row { strategy: "fedavg".into(), points: vec![None; 2] };
        let panel = Panel {
            title: "missing modality rates strong".into(),
            axis: "rate".into(),
            harm: true,
            columns: vec!["0".into(), "1".into()],
            numbers: None,
            rows: vec![row],
        };
        let title = text_width(&panel.title, TEXT);
        assert!(title > 2.0 * CELL.0, "the title is wider than its cells");
        let of = |room: f64| shelves(&[&panel, &panel], room).len();
        assert_eq!((of(2.0 * title), of(2.0 * BOLD * title + GAP + 1.0)), (2, 1));
        let block = Block { panel: &panel, columns: 0..2 };
        assert!(fit(&panel.title, TEXT, block.room(WIDTH)) == panel.title);
    }
}
