//! `fedrobust run`, `fedrobust merge` and `fedrobust report`.

use super::progress::Progress;
use super::{MergeArguments, RunArguments, say, tell};
use fedrobust::fault::{Error, Result};
use fedrobust::record::Event;
use fedrobust::report::{self, board::Board};
use fedrobust::store::{self, Store};
use fedrobust::sweep::{self, Ended, Options};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// The exit code of a sweep that was stopped, as shells give it to what Ctrl-C ends.
pub(super) const STOPPED: u8 = 130;

/// Runs a scenario, then reports.
pub fn run(arguments: &RunArguments) -> Result<u8> {
    let threads = arguments.scenario.threads()?;
    let shard = arguments.shard;
    let study = arguments.scenario.study()?;
    let out = arguments.out.clone().unwrap_or_else(|| {
        let results = PathBuf::from("results");
        let part = || format!("{}-shards/{}", study.plan.name, shard.to_string().replace('/', "-of-"));
        if shard.is_part() { results.join(part()) } else { results.join(&study.plan.name) }
    });
    let store = Store::open(&out)?;
    let mut progress = Progress::new(arguments.quiet, &study.plan);
    let options = Options { threads, shard, stop: stop_on_signal()? };
    let mut board = match &arguments.tensorboard {
        Some(folder) => Some(Board::new(folder, &store, &study.plan)?),
        None => None,
    };
    let mut unwritten = None;
    let ended = sweep::run(&study, &store, &options, &mut |event| {
        progress.event(event);
        // Results go before pictures of them: a board that cannot be written ends no sweep.
        if let (Some(open), Event::Round { run, row }) = (&mut board, event)
            && let Err(error) = open.row(*run, row)
        {
            (unwritten, board) = (Some(error), None);
        }
    });
    progress.finish();
    let ended = ended?;
    if let Some(error) = unwritten {
        tell(&format!("note: TensorBoard files were not written on: {error}"));
    }
    if ended.before > 0 && !arguments.quiet {
        let (before, all) = (ended.before, ended.runs);
        tell(&format!("{before} of {all} runs were finished before and are not repeated"));
    }
    let code = outcome(&ended);
    if ended.stopped {
        let done = ended.before + ended.finished + ended.diverged.len() + ended.failed.len();
        let (all, command) = (ended.runs, command());
        tell(&format!(
            "stopped after the round under way: {done} of {all} runs have ended, the others are saved; to go on:\n  {command}"
        ));
        return Ok(STOPPED);
    }
    if shard.is_part() {
        let (folder, all) = (out.display(), ended.runs);
        say(&format!(
            "shard {shard}: {all} of {} runs are done, in {folder}; when all shards are: fedrobust merge DIR… --out DIR",
            study.plan.runs.len()
        ));
        return Ok(code);
    }
    Ok(report(&out)?.max(code))
}

/// Set by the first Ctrl-C (or SIGTERM, as schedulers send it); the second ends the process at once.
pub(super) fn stop_on_signal() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // In this order: the first signal finds the flag still down.
        let registered = flag::register_conditional_shutdown(signal, STOPPED.into(), stop.clone())
            .and_then(|_| flag::register(signal, stop.clone()));
        registered.map_err(|error| Error::io("cannot listen for Ctrl-C", &error))?;
    }
    Ok(stop)
}

/// The command line as it was given, for a shell.
fn command() -> String {
    let plain = |word: &str| !word.is_empty() && word.chars().all(|c| c.is_alphanumeric() || "-_=./,:+%@".contains(c));
    let quoted = |word: String| if plain(&word) { word } else { format!("'{}'", word.replace('\'', "'\\''")) };
    let words = std::env::args_os().map(|word| quoted(word.to_string_lossy().into_owned()));
    words.collect::<Vec<_>>().join(" ")
}

/// Brings the parts of a split sweep together, then reports.
pub fn merge(arguments: &MergeArguments) -> Result<u8> {
    let out = match &arguments.out {
        Some(out) => out.clone(),
        None => PathBuf::from("results").join(Store::read(&arguments.dirs[0])?.plan()?.name),
    };
    let merged = store::merge(&arguments.dirs, &out)?;
    let code = report(&out)?;
    for note in &merged.notes {
        tell(&format!("note: {note}"));
    }
    let missing = merged.runs - merged.finished - merged.failed;
    let begun = if merged.begun > 0 { format!(", {} of them begun", merged.begun) } else { String::new() };
    let diverged = if merged.diverged > 0 { format!(", {} of them diverged", merged.diverged) } else { String::new() };
    tell(&format!(
        "{} of {} runs are finished ({} copied now){diverged}, {} failed, {missing} are missing{begun}",
        merged.finished, merged.runs, merged.copied, merged.failed
    ));
    Ok(code)
}

/// Draws everything again and prints the table.
pub fn report(dir: &Path) -> Result<u8> {
    let report = report::write(dir)?;
    say(&report.plain());
    Ok(0)
}

/// Says what did not end well; gives the exit code.
fn outcome(ended: &Ended) -> u8 {
    for note in &ended.notes {
        tell(&format!("note: {note}"));
    }
    for (run, round) in &ended.diverged {
        tell(&format!("diverged in round {round}: {run}"));
    }
    for (run, round, message) in &ended.failed {
        tell(&format!("failed in round {round}: {run}: {message}"));
    }
    u8::from(!ended.failed.is_empty())
}
