//! `fedrobust gate`: a scenario runs again and is held against its baseline.

use super::progress::Progress;
use super::run::{STOPPED, stop_on_signal};
use super::{GateArguments, say, tell};
use fedrobust::fault::{Error, Result};
use fedrobust::gate::{Baseline, Outcome, judge, show};
use fedrobust::store::{Store, can_write, write_file};
use fedrobust::sweep::{self, Options, origin};
use std::io::Write;
use std::time::Instant;

/// Margin of a new baseline that names none.
const MARGIN: f64 = 0.02;

/// Judges, or blesses.
pub fn gate(arguments: &GateArguments) -> Result<u8> {
    let reason = reason(arguments)?;
    // A baseline that is not there should not cost a minute of runs.
    let then = match (Baseline::read(&arguments.baseline), &reason) {
        (Ok(then), _) => Some(then),
        (Err(error), None) => return Err(error),
        (Err(_), Some(_)) => None,
    };
    let margin = arguments.margin.or(then.as_ref().map(|then| then.margin)).unwrap_or(MARGIN);
    let began = Instant::now();
    let Some(now) = measure(arguments, margin, reason.as_deref().unwrap_or_default())? else {
        let kept = match &arguments.out {
            Some(folder) => format!("; what ran is kept in {}, and the same command goes on with it", folder.display()),
            None => "; nothing is kept without --out".into(),
        };
        tell(&format!("stopped after the round under way, without an answer{kept}"));
        return Ok(STOPPED);
    };
    if reason.is_some() {
        return bless(arguments, then.as_ref(), &now);
    }
    // Without a reason there is a baseline: its lack ended the command above.
    let Some(then) = then else { return Err(Error::Failed("there is no baseline".into())) };
    let outcome = judge(&then, &now, !arguments.no_digest)?;
    say(&show::text(&outcome, &then));
    if !outcome.passed() {
        say("Mean it? Then make it the new baseline: the same command with --bless --reason 'WHY'.");
    }
    write(arguments, &outcome, &then, &now, began.elapsed().as_secs_f64())?;
    Ok(u8::from(!outcome.passed()))
}

fn reason(arguments: &GateArguments) -> Result<Option<String>> {
    let reason = arguments.reason.as_deref().map(str::trim).unwrap_or_default();
    match (arguments.bless, reason.is_empty()) {
        (true, true) => {
            Err(Error::Invalid("--bless: needs a reason for who reads the diff: add --reason 'WHY'".into()))
        }
        (true, false) => Ok(Some(reason.to_string())),
        (false, false) => {
            Err(Error::Invalid("--reason: says why a baseline is made; add --bless, or leave it out".into()))
        }
        (false, true) if arguments.margin.is_some() => Err(Error::Invalid(
            "--margin: belongs to the baseline; add --bless --reason 'WHY' to make one with it".into(),
        )),
        (false, true) => match arguments.reason {
            Some(_) => Err(Error::Invalid("--reason: is empty; allowed: a sentence".into())),
            None => Ok(None),
        },
    }
}

/// Runs the scenario into a folder of its own, or into `--out`; nothing where it was stopped.
fn measure(arguments: &GateArguments, margin: f64, reason: &str) -> Result<Option<Baseline>> {
    if !(margin > 0.0 && margin.is_finite()) {
        return Err(Error::Invalid(format!("--margin {margin}: is not a number above 0; allowed: for example 0.02")));
    }
    let options = Options { stop: stop_on_signal()?, ..Options::threads(arguments.scenario.threads()?) };
    let study = arguments.scenario.study()?;
    // Nor should a file that cannot be written in the end.
    match arguments.bless {
        true => can_write(&arguments.baseline)?,
        false => [&arguments.junit, &arguments.markdown].into_iter().flatten().try_for_each(|path| can_write(path))?,
    }
    let aside = tempfile::tempdir().map_err(|e| Error::io("cannot make a temporary folder", &e))?;
    let store = Store::open(arguments.out.as_deref().unwrap_or(aside.path()))?;
    let mut progress = Progress::new(arguments.quiet, &study.plan);
    let ended = sweep::run(&study, &store, &options, &mut |event| progress.event(event));
    progress.finish();
    let ended = ended?;
    for note in &ended.notes {
        tell(&format!("note: {note}"));
    }
    if ended.stopped {
        return Ok(None);
    }
    Baseline::collect(&study, &store, origin(study.device(), options.threads), margin, reason).map(Some)
}

fn bless(arguments: &GateArguments, then: Option<&Baseline>, now: &Baseline) -> Result<u8> {
    if let Some((cell, run)) = now.failed() {
        return Err(Error::Failed(format!("a baseline needs runs that end: {cell}, seed {} {}", run.seed, run.stop)));
    }
    // What the new one replaces, for whoever reads the log; another scenario has nothing to compare.
    match then.map(|then| (then, judge(then, now, true))) {
        Some((then, Ok(outcome))) => say(&show::text(&outcome, then)),
        Some((_, Err(error))) => say(&error.to_string()),
        None => {}
    }
    now.write(&arguments.baseline)?;
    let (cells, seeds) = (now.cells.len(), now.seeds().len());
    if seeds < 2 {
        tell(
            "note: one seed can only be compared to the digit, on this kind of machine; equivalence needs two or more",
        );
    }
    say(&format!("wrote {}: {cells} cells × {seeds} seeds, margin ±{}", arguments.baseline.display(), now.margin));
    Ok(0)
}

/// What CI systems read.
fn write(arguments: &GateArguments, outcome: &Outcome, then: &Baseline, now: &Baseline, seconds: f64) -> Result<()> {
    if let Some(path) = &arguments.junit {
        write_file(path, &show::junit(outcome, then, seconds)?)?;
    }
    let markdown = show::markdown(outcome, then, now);
    if let Some(path) = &arguments.markdown {
        write_file(path, markdown.as_bytes())?;
    }
    if std::env::var_os("GITHUB_ACTIONS").is_some_and(|value| value == "true") {
        say(show::annotations(outcome, then, &arguments.scenario.file.display().to_string()).trim_end());
    }
    if let Some(path) = std::env::var_os("GITHUB_STEP_SUMMARY").filter(|path| !path.is_empty()) {
        let opened = std::fs::OpenOptions::new().append(true).create(true).open(&path);
        let written = opened.and_then(|mut file| file.write_all(markdown.as_bytes()));
        if let Err(error) = written {
            // The answer does not depend on it.
            tell(&format!("note: cannot write GITHUB_STEP_SUMMARY {}: {error}", path.to_string_lossy()));
        }
    }
    Ok(())
}
