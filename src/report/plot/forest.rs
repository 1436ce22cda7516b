//! Paired differences with their intervals, one a row, under headings: a forest plot.

use super::axes::{fit, ticks};
use super::scene::{Scene, Side, Text, text_width};
use super::style::{FAINT, GRID, INK, SMALL, TEXT};
use super::{Figure, WIDTH};
use crate::fault::Result;
use plotters::style::RGBColor;

/// Room for a row and for a heading.
const ROW: f64 = 24.0;
const HEAD: f64 = 34.0;
/// Widest label.
const LABEL: f64 = 300.0;
/// Of differences that the corrected test calls so, and of the others.
const FOUND: RGBColor = RGBColor(0, 114, 178);

/// One difference.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// `a − b`.
    pub label: String,
    /// Mean difference.
    pub mean: f64,
    /// Ends of its interval; `None` for one seed.
    pub interval: Option<(f64, f64)>,
    /// Whether the corrected test calls it a difference.
    pub differs: bool,
}

/// Rows under a heading.
#[derive(Debug, Clone, PartialEq)]
pub struct Block {
    /// The condition.
    pub heading: String,
    /// Its differences.
    pub rows: Vec<Row>,
}

/// The figure; intervals that are wild are cut at three times the largest mean difference and marked by an arrow's tip.
pub fn draw(name: &str, caption: String, axis: &str, blocks: &[Block]) -> Result<Figure> {
    let rows = || blocks.iter().flat_map(|block| &block.rows);
    let labels = rows().map(|row| text_width(&row.label, SMALL)).fold(0.0, f64::max).min(LABEL);
    let left = labels + 26.0;
    let height: f64 = blocks.iter().map(|block| HEAD + ROW * block.rows.len() as f64).sum();
    let mut scene = Scene::new(WIDTH, height + 66.0);
    let span = span(&rows().cloned().collect::<Vec<_>>());
    let at = |v: f64| left + (v.clamp(-span, span) + span) / (2.0 * span) * (WIDTH - 24.0 - left);
    frame(&mut scene, blocks, axis, (left, height + 12.0), (span, &at));
    let mut y = 12.0;
    for block in blocks {
        let heading = fit(&block.heading, TEXT, WIDTH - 20.0);
        scene.put(Text::new((10.0, y + HEAD / 2.0 + 3.0), heading, TEXT, Side::Left).bold());
        y += HEAD;
        for row in &block.rows {
            let middle = y + ROW / 2.0;
            scene.text((left - 12.0, middle), fit(&row.label, SMALL, LABEL), SMALL, Side::Right);
            let color = if row.differs { FOUND } else { FAINT };
            if let Some((low, high)) = row.interval {
                scene.line(&[(at(low), middle), (at(high), middle)], color, 2.0, &[]);
                for (end, tip) in [(low, -6.0), (high, 6.0)] {
                    let x = at(end);
                    if end.abs() > span {
                        scene.area(vec![(x, middle - 4.0), (x + tip, middle), (x, middle + 4.0)], color, 1.0);
                    } else {
                        scene.line(&[(x, middle - 4.0), (x, middle + 4.0)], color, 2.0, &[]);
                    }
                }
            }
            scene.circle((at(row.mean), middle), 4.4, color);
            y += ROW;
        }
    }
    Figure::new(name.to_string(), caption, &scene)
}

/// Grid lines between the headings, ticks, the line at 0 and the label of the axis.
fn frame(
    scene: &mut Scene,
    blocks: &[Block],
    axis: &str,
    (left, bottom): (f64, f64),
    (span, at): (f64, &dyn Fn(f64) -> f64),
) {
    for tick in ticks((-span, span), 6) {
        let mut top = 12.0;
        for block in blocks {
            let end = top + HEAD + ROW * block.rows.len() as f64;
            scene.line(&[(at(tick), top + HEAD), (at(tick), end)], GRID, 1.0, &[]);
            top = end;
        }
        let text = format!("{tick:+.3}").trim_end_matches('0').trim_end_matches('.').to_string();
        let text = if tick.abs() < 1e-12 { "0".to_string() } else { text };
        scene.text((at(tick), bottom + 15.0), text, SMALL, Side::Centre);
    }
    scene.line(&[(at(0.0), 12.0), (at(0.0), bottom)], INK, 1.4, &[]);
    scene.text(((left + WIDTH) / 2.0, bottom + 39.0), fit(axis, TEXT, WIDTH - left), TEXT, Side::Centre);
}

/// Half the width of the axis: all intervals, but no more than three times the largest mean difference.
fn span(rows: &[Row]) -> f64 {
    let mean = rows.iter().map(|row| row.mean.abs()).fold(0.0, f64::max);
    let ends = rows.iter().filter_map(|row| row.interval).flat_map(|(low, high)| [low.abs(), high.abs()]);
    let widest = ends.fold(mean, f64::max);
    let span = if mean > 0.0 { widest.min(3.0 * mean) } else { widest };
    if span > 0.0 && span.is_finite() { span * 1.05 } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(mean: f64, half: f64) -> Row {
        Row { label: "a − b".into(), mean, interval: Some((mean - half, mean + half)), differs: half < mean }
    }

    #[test]
    fn the_axis_holds_the_intervals_unless_they_are_wild() {
        assert!((span(&[row(0.1, 0.05)]) - 0.15 * 1.05).abs() < 1e-12);
        assert!((span(&[row(0.1, 9.0)]) - 0.3 * 1.05).abs() < 1e-12);
        assert_eq!((span(&[]), span(&[row(0.0, 0.0)])), (1.0, 1.0));
    }

    #[test]
    fn every_difference_is_drawn_with_its_label() {
        let rows = vec![row(0.1, 0.05), row(0.02, 0.5)];
        let block = Block { heading: "missing modality rate 0.8".into(), rows };
        let figure = draw("compare", "Differences.".into(), "difference of test macro-F1", &[block]).unwrap();
        assert_eq!(figure.svg.matches("a − b").count(), 2);
        assert!(figure.svg.contains("missing modality rate 0.8") && figure.svg.contains("difference of test macro-F1"));
    }
}
