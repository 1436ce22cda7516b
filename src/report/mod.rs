//! Reads the store and tells what is in it: tables, figures, a verdict, one page. Never runs anything.
//!
//! | file | is |
//! |---|---|
//! | `runs.csv`, `rounds.csv`, `summary.csv` | the numbers, one fact a row |
//! | `worst.csv` | strategies against the worst of their attacks, where a grid has several |
//! | `comparisons.csv`, `robustness.csv`, `fairness.csv` | what they amount to |
//! | `plots/*.svg`, `plots/*.png` | the figures |
//! | `report.html` | all of it on one page that needs nothing else |

pub mod board;
pub mod compare;
mod fairness;
mod html;
mod judged;
mod judgements;
mod panel;
mod plot;
mod read;
mod repeats;
mod robust;
mod sections;
pub mod standing;
mod success;
mod tables;
mod terminal;
mod verdict;
mod versus;
mod worst;

#[cfg(test)]
mod fake;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod worst_tests;

use crate::fault::Result;
use crate::store::{Output, Store};
use read::Study;
use std::path::{Path, PathBuf};

/// What a report found, for whoever shows it; nothing is printed here.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Strategies by conditions, at most 100 columns wide.
    pub table: String,
    /// The answer, sentence by sentence, then what is missing or failed.
    pub verdict: Vec<String>,
    /// Damaged files met on the way.
    pub notes: Vec<String>,
    /// The page.
    pub page: PathBuf,
    /// Every file written: tables, plots, the page last.
    pub paths: Vec<PathBuf>,
    /// Runs that ended with an error.
    pub failed: usize,
}

impl Report {
    /// Table, verdict and paths as the command line shows them.
    pub fn plain(&self) -> String {
        let mut text = format!("{}\n", self.table);
        for sentence in &self.verdict {
            text.push_str(sentence);
            text.push('\n');
        }
        for note in &self.notes {
            text.push_str(&format!("note: {note}\n"));
        }
        let folder = self.page.parent().unwrap_or(Path::new("."));
        text.push_str(&format!("\nreport  {}\n", self.page.display()));
        text.push_str(&format!("plots   {}\n", folder.join("plots").display()));
        text.push_str(&format!(
            "tables  {}\n",
            folder.join("{runs,rounds,summary,comparisons,robustness,fairness}.csv").display()
        ));
        text
    }
}

/// Writes tables, plots and page anew from what the runs left in `folder`.
///
/// # Errors
/// [`crate::fault::Error::Invalid`] where `folder` holds no results; [`crate::fault::Error::Machine`] where it cannot be read
/// or written.
pub fn write(folder: &Path) -> Result<Report> {
    let store = Store::read(folder)?;
    let study = Study::read(&store)?;
    let panels = panel::panels(&study.plan);
    let mut paths = vec![
        store.save(Output::Runs, &tables::runs(&study)?)?,
        store.save(Output::Rounds, &tables::rounds(&study)?)?,
        store.save(Output::Summary, &tables::summary(&study)?)?,
        store.save(Output::Comparisons, &judgements::comparisons(&study, &panels)?)?,
        store.save(Output::Robustness, &judgements::robustness(&study, &panels)?)?,
        store.save(Output::Fairness, &judgements::fairness(&study)?)?,
    ];
    if let Some(worst) = worst::table(&study)? {
        paths.push(store.save(Output::Worst, &worst)?);
    }
    let figures = plot::figures(&study, &panels)?;
    let mut names = Vec::new();
    for figure in &figures {
        for (ending, bytes) in [("svg", figure.svg_alone().as_bytes()), ("png", &figure.png)] {
            let name = format!("{}.{ending}", figure.name);
            paths.push(store.save(Output::Plot(&name), bytes)?);
            names.push(name);
        }
    }
    store.keep_plots(&names, &plot::KINDS)?;
    let verdict = verdict::sentences(&study, &panels);
    let page = html::Page { study: &study, panels: &panels, verdict: &verdict, figures: &figures };
    let page = store.save(Output::Report, html::page(&page).as_bytes())?;
    paths.push(page.clone());
    Ok(Report {
        table: terminal::table(&study, &panels) + &worst::text(&study) + &success::text(&study, &panels),
        verdict,
        failed: study.runs.iter().filter(|run| run.status() == "failed").count(),
        notes: study.notes,
        page,
        paths,
    })
}
