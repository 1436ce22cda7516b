//! The sections of the page that judge: robustness, comparisons, what clients get that lack a modality.

use super::fairness;
use super::html::{escape, table};
use super::judgements::at_column;
use super::panel::Panel;
use super::read::Study;
use super::robust::{Robust, all, rows};
use super::verdict::judged;
use super::versus::p_text;

fn texts(cells: &[&str]) -> Vec<String> {
    cells.iter().map(|cell| cell.to_string()).collect()
}

/// A table of few numbers for each panel with an amount of corruption.
pub fn robustness(study: &Study, panels: &[Panel]) -> String {
    let found = all(study, panels);
    let mut titles: Vec<&str> = found.iter().map(|r| r.panel.as_str()).collect();
    titles.dedup();
    if titles.is_empty() {
        return String::new();
    }
    let (metric, unit) = (escape(study.metric()), study.repeats.unit());
    let gain = match study.chance() {
        Some(chance) => format!(
            "Half lost at: where the mean curve has lost half of its gain over a guess ({chance:.2}), straight lines between the values that were run, with a bootstrap interval over {unit}; never: not within the range."
        ),
        None => "This metric has no level of chance, so nothing is said of the loss of half the gain.".to_string(),
    };
    let mut out = format!(
        "<p>Area relative to clean: mean {metric} over the range, as a share of that at its lowest value; 95 % interval (Student's t) over {unit}. {gain} Worst case: the lowest mean.</p>\n"
    );
    for title in titles {
        let of: Vec<&Robust> = found.iter().filter(|r| r.panel == title).collect();
        let (header, rows) = rows(&of);
        if !rows.is_empty() {
            out.push_str(&format!("<h3>{}</h3>\n{}", escape(title), table(1, &header, &rows)));
        }
    }
    out
}

/// The best strategy of each judged column against the others.
pub fn comparisons(study: &Study, panels: &[Panel]) -> String {
    let mut cells = Vec::new();
    for panel in panels {
        for column in judged(panel) {
            let (groups, pairs) = at_column(study, panel, column);
            for pair in pairs.iter().filter(|pair| pair.a == 0) {
                let Some(corrected) = pair.corrected else { continue };
                cells.push(vec![
                    format!("{} {}", panel.title, panel.columns[column]),
                    format!("{} − {}", groups[0].name, groups[pair.b].name),
                    pair.paired.difference.text(),
                    pair.paired.p.map_or("–".into(), p_text),
                    p_text(corrected),
                    pair.needed_text(),
                ]);
            }
        }
    }
    if cells.is_empty() {
        return String::new();
    }
    let (unit, more) = (study.repeats.unit(), study.repeats.more());
    let header = texts(&["condition", "difference", "mean and 95 % interval", "p", "p (Holm)", more]);
    format!(
        "<p>The highest of each condition against the others, over paired {unit}: paired t-test, corrected by Holm's rule for all pairs of strategies of the condition. The last column: how many {more} would find a difference of this size in 80 % of studies. All pairs are in <code>comparisons.csv</code>.</p>\n{}",
        table(2, &header, &cells)
    )
}

/// What people get that lack a modality.
pub fn lacks(study: &Study, panels: &[Panel]) -> String {
    let rows = fairness::by_lack(study, panels);
    if rows.is_empty() {
        return String::new();
    }
    let header = texts(&["strategy", "condition", "people", "how many", "mean and 95 % interval"]);
    format!(
        "<p>Test {metric} of people by what they lack at test time, development {metric} of people by what they lack in training (their development samples are whole unless <code>corrupt.test</code> says otherwise), at the last evaluated round and the highest value of each grid; means over the people of a run, then over {unit}.</p>\n{}",
        table(3, &header, &rows),
        metric = escape(study.metric()),
        unit = study.repeats.unit()
    )
}
