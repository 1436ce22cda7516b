//! The figures of a report, as SVG and PNG.

mod attack_map;
mod axes;
mod convergence;
pub mod forest;
mod glyphs;
mod heatmap;
mod partition;
mod robustness;
mod scene;
mod style;

pub use scene::font_css;

use super::panel::{Panel, levels, strategies};
use super::read::Study;
use crate::fault::Result;
use crate::statistics::Summary;
use scene::{At, Scene};
use style::Look;

/// Width of a figure in points, for two panels side by side.
const WIDTH: f64 = 700.0;
/// Most panels of a figure; more make further figures.
const MOST: usize = 6;
/// First words of the names of all figures.
pub const KINDS: [&str; 5] = ["robustness", "convergence", "partition", "heatmap", "attacks"];

/// One figure.
#[derive(Debug)]
pub struct Figure {
    /// File name without ending.
    pub name: String,
    /// What is shown, with everything needed to read it.
    pub caption: String,
    /// The picture as SVG, without its font.
    pub svg: String,
    /// The picture as PNG.
    pub png: Vec<u8>,
}

impl Figure {
    fn new(name: String, caption: String, scene: &Scene) -> Result<Figure> {
        Ok(Figure { svg: scene.svg(&caption)?, png: scene.png()?, name, caption })
    }

    /// The picture as SVG with its font inside, to stand alone.
    pub fn svg_alone(&self) -> String {
        self.svg.replacen("<title>", &format!("<style>{}</style>\n<title>", font_css()), 1)
    }
}

/// What all figures draw from.
struct Source<'a> {
    study: &'a Study,
    panels: &'a [Panel],
    /// All strategies, in the order of legends.
    strategies: Vec<String>,
    /// Yardsticks with one point for all panels.
    levels: Vec<(String, usize)>,
}

/// All figures that the study has something for.
pub fn figures(study: &Study, panels: &[Panel]) -> Result<Vec<Figure>> {
    if !study.runs.iter().any(|run| run.counts()) {
        return Ok(Vec::new());
    }
    let source = Source { study, panels, strategies: strategies(panels), levels: levels(panels) };
    let mut figures = robustness::draw(&source)?;
    figures.extend(attack_map::draw(&source)?);
    figures.extend(heatmap::draw(&source)?);
    figures.extend(convergence::draw(&source)?);
    figures.extend(partition::draw(&source)?);
    Ok(figures)
}

impl Source<'_> {
    fn look(&self, strategy: &str) -> Look {
        style::look(&self.strategies, strategy)
    }

    fn chance(&self) -> Option<f64> {
        self.study.chance()
    }

    fn chance_caption(&self) -> String {
        match self.chance() {
            Some(_) => format!(" Dotted: a guess among {} classes.", self.study.plan.classes),
            None => String::new(),
        }
    }

    fn band_caption(&self) -> &'static str {
        if self.study.repeats.is_one() { " One seed, so no bands." } else { " Bands: 95 % interval of the mean." }
    }

    /// The names among all strategies that a figure draws, in the order of legends.
    fn drawn(&self, names: &[&str]) -> Vec<String> {
        self.strategies.iter().filter(|name| names.contains(&name.as_str())).cloned().collect()
    }
}

/// Names of a figure's files: `robustness`, `robustness-2`, …
fn numbered(kind: &str, index: usize) -> String {
    if index == 0 { kind.to_string() } else { format!("{kind}-{}", index + 1) }
}

/// The frames of `n` panels, two beside each other, with a legend above or in the free cell.
struct Layout {
    scene: Scene,
    frames: Vec<(f64, f64, f64, f64)>,
}

/// Height of a panel with its title, ticks and label.
const CELL: f64 = 292.0;

fn layout(source: &Source, n: usize, names: &[String]) -> Layout {
    let per_row = n.min(2);
    let rows = n.div_ceil(2);
    let width = if n == 1 { 560.0 } else { WIDTH };
    let in_cell = n > 1 && n % 2 == 1 && names.len() <= 9;
    let above = if in_cell { 0.0 } else { style::legend_height(names, width - 20.0) + 6.0 };
    let mut scene = Scene::new(width, above + rows as f64 * CELL + 4.0);
    let cell = (width - 22.0) / per_row as f64;
    let frame = |i: usize| {
        let (left, top) = (22.0 + (i % per_row) as f64 * cell, above + (i / per_row) as f64 * CELL);
        (left + 44.0, top + 34.0, left + cell - 12.0, top + CELL - 52.0)
    };
    if in_cell {
        let (left, top, _, bottom) = frame(n);
        style::legend_column(&mut scene, &source.strategies, names, (left, (top + bottom) / 2.0));
    } else {
        style::legend(&mut scene, &source.strategies, names, 6.0);
    }
    Layout { scene, frames: (0..n).map(frame).collect() }
}

/// Draws a line with its band; yardsticks without one.
fn curve(scene: &mut Scene, axes: &axes::Axes, look: &Look, points: &[(f64, Summary)], marks: usize) {
    let place = |x: f64, y: f64| -> At { axes.at(x, y) };
    let banded: Vec<(f64, f64, f64)> = points.iter().filter_map(|(x, s)| Some((*x, s.low()?, s.high()?))).collect();
    if !look.yardstick && banded.len() > 1 {
        let upper = banded.iter().map(|&(x, _, high)| place(x, high));
        let lower = banded.iter().rev().map(|&(x, low, _)| place(x, low));
        scene.area(upper.chain(lower).collect(), look.color, 0.15);
    }
    let line: Vec<At> = points.iter().map(|(x, s)| place(*x, s.mean)).collect();
    if line.len() > 1 {
        scene.line(&line, look.color, if look.yardstick { 1.8 } else { 2.2 }, look.dash);
    }
    let every = line.len().div_ceil(marks).max(1);
    for at in line.iter().step_by(every) {
        look.mark(scene, *at);
    }
}

/// The values that a range of scores must hold: means, and bands as far as they are not wild.
fn reach<'a>(points: impl Iterator<Item = &'a (f64, Summary)>) -> Vec<f64> {
    points.flat_map(|(_, s)| [s.mean, s.low().unwrap_or(s.mean), s.high().unwrap_or(s.mean)]).collect()
}
