//! `fedrobust compare`.

use super::{CompareArguments, say};
use fedrobust::fault::Result;
use fedrobust::record::Metric;
use fedrobust::record::Reading;
use fedrobust::report::compare::{self as comparing, Options};
use fedrobust::store::write_file;

/// Prints the comparison, and writes it as a table and a figure.
pub fn compare(arguments: &CompareArguments) -> Result<u8> {
    let options = Options {
        by: arguments.by.clone(),
        against: arguments.against.clone(),
        metric: arguments.metric,
        reading: arguments.reading,
        strict: arguments.strict,
    };
    let found = comparing::compare(&arguments.dirs, &options)?;
    let folder = arguments.out.as_ref().unwrap_or(&arguments.dirs[0]);
    let mut written = vec![write_file(&folder.join("compare.csv"), &found.csv)?];
    if let Some((svg, png)) = &found.figure {
        written.push(write_file(&folder.join("compare.svg"), svg.as_bytes())?);
        written.push(write_file(&folder.join("compare.png"), png)?);
    }
    say(&found.text);
    for path in written {
        say(&format!("wrote {}", path.display()));
    }
    Ok(0)
}

/// Reads a metric as a scenario names it.
pub fn metric(name: &str) -> std::result::Result<Metric, String> {
    let all = [Metric::Accuracy, Metric::MacroF1, Metric::Uar, Metric::TopK];
    let found = all.into_iter().find(|metric| metric.names().0.replace('_', "-") == name);
    found.ok_or_else(|| "allowed: accuracy, macro-f1, uar, top-k".into())
}

/// Reads the name of a reading.
pub fn reading(name: &str) -> std::result::Result<Reading, String> {
    let found = Reading::ALL.into_iter().find(|reading| reading.name() == name);
    found.ok_or_else(|| "allowed: last, best, mean5".into())
}
