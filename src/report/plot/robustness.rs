//! The main figure: the metric against how much of something there is, a line a strategy, a panel a corruption.

use super::super::panel::{Panel, is_yardstick};
use super::axes::{Axes, score_range};
use super::{Figure, MOST, Source, curve, layout, numbered, reach};
use crate::fault::Result;
use crate::statistics::Summary;

type Lines = Vec<(String, Vec<(f64, Summary)>)>;

/// One figure for every six panels with a numeric axis; none without.
pub fn draw(source: &Source) -> Result<Vec<Figure>> {
    let panels: Vec<&Panel> =
        source.panels.iter().filter(|p| p.numbers.as_ref().is_some_and(|n| n.len() > 1)).collect();
    panels.chunks(MOST).enumerate().map(|(i, panels)| figure(source, panels, numbered("robustness", i))).collect()
}

fn figure(source: &Source, panels: &[&Panel], name: String) -> Result<Figure> {
    let study = source.study;
    let lines: Vec<Lines> = panels.iter().map(|panel| lines(source, panel)).collect();
    let all = lines.iter().flatten().flat_map(|(_, points)| points);
    let y = score_range(reach(all).into_iter().chain(source.chance()));
    let names: Vec<&str> = lines.iter().flatten().map(|(name, _)| name.as_str()).collect();
    let names = source.drawn(&names);
    let mut page = layout(source, panels.len(), &names);
    for (i, (panel, lines)) in panels.iter().zip(&lines).enumerate() {
        let numbers = panel.numbers.clone().unwrap_or_default();
        let axes = Axes { frame: page.frames[i], x: padded(&numbers), y };
        let y_label = if i % 2 == 0 { format!("test {}", study.metric()) } else { String::new() };
        axes.draw(&mut page.scene, &heading(panel), &numbers, &panel.axis, &y_label);
        if let Some(level) = source.chance() {
            axes.chance(&mut page.scene, level);
        }
        // Yardsticks first, so that they lie behind.
        for wanted in [true, false] {
            for (name, points) in lines.iter().filter(|(name, _)| is_yardstick(name) == wanted) {
                curve(&mut page.scene, &axes, &source.look(name), points, 12);
            }
        }
    }
    let grey = if names.iter().any(|name| is_yardstick(name)) { " Grey: yardsticks." } else { "" };
    let levels = if source.levels.is_empty() { "" } else { " Level grey lines were run once, without the axis." };
    let caption = format!(
        "Robustness. {}.{}{grey}{levels}{} Vertical axes from {} to {}.",
        study.measure(),
        source.band_caption(),
        source.chance_caption(),
        y.0,
        y.1
    );
    Figure::new(name, caption, &page.scene)
}

/// Every strategy of a panel with its values, and the yardsticks that have one value for all.
fn lines(source: &Source, panel: &Panel) -> Lines {
    let numbers = panel.numbers.as_deref().unwrap_or_default();
    let mut lines: Lines = panel
        .rows
        .iter()
        .map(|row| {
            let at = |(x, point): (&f64, &Option<usize>)| Some((*x, source.study.summary((*point)?)?));
            (row.strategy.clone(), numbers.iter().zip(&row.points).filter_map(at).collect())
        })
        .collect();
    for (name, point) in &source.levels {
        let there = lines.iter().any(|(other, _)| other == name);
        if let (false, Some(summary)) = (there, source.study.summary(*point)) {
            let (x0, x1) = padded(numbers);
            lines.push((name.clone(), vec![(x0, summary), (x1, summary)]));
        }
    }
    lines.retain(|(_, points)| !points.is_empty());
    lines
}

/// The range of x with a little room, so that markers at the ends are whole.
fn padded(numbers: &[f64]) -> (f64, f64) {
    let (low, high) = numbers.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), &v| (l.min(v), h.max(v)));
    let room = (high - low) * 0.04;
    (low - room, high + room)
}

/// `Missing modality`: the axis without its last word `rate`, and what sets this panel apart.
fn heading(panel: &Panel) -> String {
    let facet = panel.title.strip_prefix(&panel.axis).unwrap_or_default();
    let name = panel.axis.strip_suffix(" rate").unwrap_or(&panel.axis);
    let mut letters = name.chars();
    let first = letters.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}{facet}", letters.as_str())
}
