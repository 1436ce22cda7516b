//! The judgement for people and machines: a table, Markdown, JUnit XML, GitHub annotations.

use super::baseline::Baseline;
use super::judge::{ALPHA, BETA, How, Judged, Measured, Outcome, Verdict};
use crate::fault::{Error, Result};
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

const HEADER: [&str; 5] = ["cell", "score then", "now", "difference", "log loss difference"];

/// Cells of a row under [`HEADER`].
fn row(cell: &Judged) -> Vec<String> {
    let score = |score: Option<f64>| score.map_or("–".to_string(), |s| format!("{s:.4}"));
    let measured = |measured: Option<Measured>| match measured {
        Some(m) => {
            format!("{:+.4} ({:+.4} to {:+.4}, margin {:.4})", m.difference, m.interval.0, m.interval.1, m.margin)
        }
        None => "–".to_string(),
    };
    vec![cell.label.clone(), score(cell.scores.0), score(cell.scores.1), measured(cell.score), measured(cell.loss)]
}

fn changed(outcome: &Outcome) -> Vec<&Judged> {
    outcome.cells.iter().filter(|cell| cell.verdict == Verdict::Changed).collect()
}

/// `gate: FAILED, 2 of 40 cells changed (38 identical); …`.
pub fn headline(outcome: &Outcome, then: &Baseline) -> String {
    let all = outcome.cells.len();
    let word = if outcome.passed() { "passed" } else { "FAILED" };
    let [same, like, other] =
        [Verdict::Identical, Verdict::Equivalent, Verdict::Changed].map(|verdict| outcome.count(verdict));
    format!("gate {word}: of {all} cells {same} identical, {like} equivalent, {other} changed\n{}", test(outcome, then))
}

/// The test and its error rates, in a sentence.
fn test(outcome: &Outcome, then: &Baseline) -> String {
    let because = &outcome.because;
    let (n, misses) = (then.seeds().len(), ALPHA * 100.0);
    match outcome.how {
        How::Digests => format!("compared to the digit: {because}"),
        How::Paired => format!(
            "compared by equivalence over {n} paired seeds: {because}; margin ±{} of {} and of the log loss; a change as large as the margin passes in at most {misses} of 100",
            then.margin, then.metric
        ),
        How::OtherSeeds => format!(
            "compared by equivalence of means over seeds: {because}; nothing new cries in about {} of 100 gates, a change as large as a cell's margin passes in at most {misses} of 100",
            BETA * 100.0
        ),
    }
}

/// The headline, then what changed.
pub fn text(outcome: &Outcome, then: &Baseline) -> String {
    let mut text = headline(outcome, then);
    text.push('\n');
    for cell in changed(outcome) {
        text.push_str(&format!("\nchanged  {}\n", cell.label));
        for (name, value) in HEADER.iter().zip(row(cell)).skip(1) {
            text.push_str(&format!("         {name}: {value}\n"));
        }
        text.push_str(&format!("         why: {}\n", cell.why));
    }
    text
}

/// A summary for a page of a CI system.
pub fn markdown(outcome: &Outcome, then: &Baseline, now: &Baseline) -> String {
    let escape = |text: &str| text.replace('|', "\\|").replace('\n', " ");
    let head: Vec<String> = headline(outcome, then).lines().map(escape).collect();
    let mut text = format!("## fedrobust gate: {}\n\n{}\n\n", escape(&now.scenario), head.join("\n\n"));
    text.push_str(&format!(
        "Baseline: fedrobust {}, libtorch {}, {} ({}). Now: fedrobust {}, libtorch {}, {}.\n",
        then.origin.version,
        then.origin.libtorch,
        escape(&then.origin.machine),
        escape(&then.reason),
        now.origin.version,
        now.origin.libtorch,
        escape(&now.origin.machine)
    ));
    let changed = changed(outcome);
    if !changed.is_empty() {
        text.push_str(&format!("\n| {} | why |\n|---|---|---|---|---|---|\n", HEADER.join(" | ")));
        for cell in changed {
            let cells: Vec<String> = row(cell).iter().chain([&cell.why]).map(|cell| escape(cell)).collect();
            text.push_str(&format!("| {} |\n", cells.join(" | ")));
        }
    }
    text
}

/// JUnit XML: a suite with a case a cell.
///
/// # Errors
/// The XML cannot be written.
pub fn junit(outcome: &Outcome, then: &Baseline, seconds: f64) -> Result<Vec<u8>> {
    let mut suite = TestSuite::new(format!("fedrobust gate {}", then.scenario));
    for cell in &outcome.cells {
        let status = match cell.verdict {
            Verdict::Identical | Verdict::Equivalent => TestCaseStatus::success(),
            Verdict::Changed => {
                let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
                status.set_message(&cell.why).set_type("changed");
                status.set_description(
                    HEADER.iter().zip(row(cell)).map(|(k, v)| format!("{k}: {v}\n")).collect::<String>(),
                );
                status
            }
        };
        let mut case = TestCase::new(cell.label.clone(), status);
        case.set_classname(format!("fedrobust.gate.{}", then.scenario));
        suite.add_test_case(case);
    }
    let time = std::time::Duration::from_secs_f64(seconds.max(0.0));
    suite.set_time(time);
    let mut report = Report::new("fedrobust gate");
    report.set_time(time).add_test_suite(suite);
    let mut out = Vec::new();
    report.serialize(&mut out).map_err(|e| Error::Failed(format!("cannot write JUnit XML: {e}")))?;
    Ok(out)
}

/// Workflow commands for GitHub: an error a changed cell (it shows the first ten), or a notice that all is well.
pub fn annotations(outcome: &Outcome, then: &Baseline, scenario: &str) -> String {
    let data = |text: &str| text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    let property = |text: &str| data(text).replace(':', "%3A").replace(',', "%2C");
    let file = property(scenario);
    if outcome.passed() {
        return format!("::notice file={file},title=fedrobust gate::{}\n", data(&headline(outcome, then)));
    }
    let line = |cell: &&Judged| {
        format!(
            "::error file={file},title=fedrobust gate%3A changed::{}\n",
            data(&format!("{}: {}", cell.label, cell.why))
        )
    };
    changed(outcome).iter().map(line).collect()
}
