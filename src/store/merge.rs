//! Several results folders of one scenario into one: the parts of a split sweep.

use super::{CHECKPOINT, MANIFEST, MODEL, Outcome, PLAN, ROUNDS, Store, files, plan, read_bytes};
use crate::fault::{Error, Result};
use crate::record::{Manifest, Origin, Plan, Stop};
use crate::shard::Shard;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// What a merge found and did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Merged {
    /// Distinct runs of the plan.
    pub runs: usize,
    /// Finished runs (diverged ones among them) that are there now.
    pub finished: usize,
    /// Diverged ones among them.
    pub diverged: usize,
    /// Finished runs that were copied.
    pub copied: usize,
    /// Runs under way whose rows and checkpoint were copied, so that the merged folder goes on from them.
    pub begun: usize,
    /// Runs that failed wherever they were tried.
    pub failed: usize,
    /// Damaged files, folders in use, machines that differ.
    pub notes: Vec<String>,
}

/// A finished run somewhere.
struct Found<'a> {
    store: &'a Store,
    manifest: Manifest,
}

impl Found<'_> {
    fn failed(&self) -> bool {
        matches!(self.manifest.stop, Stop::Failed { .. })
    }
}

/// Copies into `out` what the runs of `sources` left. The plans must agree, and a run that is finished in several folders must
/// have the same numbers in all; both are checked before the first byte is copied. Merging again changes nothing.
///
/// # Errors
/// Folders that hold no results, plans or numbers that differ, files that cannot be read or written.
pub fn merge(sources: &[impl AsRef<Path>], out: &Path) -> Result<Merged> {
    let sources: Vec<Store> = sources.iter().map(|source| Store::read(source.as_ref())).collect::<Result<_>>()?;
    let Some(first) = sources.first() else {
        return Err(Error::Invalid("merge: no folder is named; name the results folders of all parts".into()));
    };
    let plan = first.plan()?;
    for other in &sources[1..] {
        agree((first.folder(), &plan), (other.folder(), &other.plan()?))?;
    }
    if let Ok(plan::Found::Ours) = plan::format(out)
        && let Ok(earlier) = plan::read(out)
    {
        agree((first.folder(), &plan), (out, &earlier))?;
    }
    let sources: Vec<Store> = sources.into_iter().filter(|source| !same_folder(source.folder(), out)).collect();
    let store = Store::open(out)?;
    let mut merged = Merged { notes: store.notes().to_vec(), ..Merged::default() };
    let names: BTreeSet<&String> = plan.runs.iter().map(|run| &run.fingerprint).collect();
    merged.runs = names.len();
    let mut whole = BTreeMap::new();
    for &name in &names {
        whole.insert(name, finished(name, &store, &sources, &mut merged)?);
    }
    merged.notes.extend(machines(&whole));
    if let Some(source) = sources.first() {
        store.write_plan(&plan, &source.scenario()?, Shard::WHOLE)?;
    }
    for (name, found) in whole {
        take(name, &found, &store, &sources, &mut merged)?;
    }
    let busy = sources.iter().filter(|source| source.in_use());
    merged.notes.extend(busy.map(|source| {
        format!("{}: a sweep still writes here; merge again when it has ended", source.folder().display())
    }));
    Ok(merged)
}

fn same_folder(a: &Path, b: &Path) -> bool {
    fs::canonicalize(a).is_ok_and(|a| fs::canonicalize(b).is_ok_and(|b| a == b))
}

/// Refuses two plans that differ.
fn agree(a: (&Path, &Plan), b: (&Path, &Plan)) -> Result<()> {
    let ((one, a), (other, b)) = (a, b);
    let names = |plan: &Plan| plan.runs.iter().map(|run| run.fingerprint.clone()).collect::<BTreeSet<_>>();
    let shared = names(a).intersection(&names(b)).count();
    let what = if a == b {
        return Ok(());
    } else if names(a) != names(b) {
        let (a, b) = (names(a).len(), names(b).len());
        format!("of {a} and {b} runs they have {shared} in common (other keys, data, version or kind of device)")
    } else {
        format!("their runs are the same, but not what {PLAN} says of them (name, question, grids)")
    };
    Err(Error::Invalid(format!(
        "{} and {}: are not parts of one sweep: {what}; name folders of one scenario, run with the same fedrobust",
        one.display(),
        other.display()
    )))
}

/// Where a run is finished, the output folder first; refuses numbers that differ.
fn finished<'a>(name: &str, out: &'a Store, sources: &'a [Store], merged: &mut Merged) -> Result<Vec<Found<'a>>> {
    let mut found: Vec<Found> = Vec::new();
    for store in std::iter::once(out).chain(sources) {
        match store.outcome(name)? {
            Outcome::Whole(manifest) => found.push(Found { store, manifest: *manifest }),
            Outcome::Unfinished => {}
            Outcome::Damaged(why) => merged.notes.push(why),
        }
    }
    let mut ended = found.iter().filter(|found| !found.failed());
    if let Some(first) = ended.next()
        && let Some(other) = ended.find(|other| other.manifest.digest != first.manifest.digest)
    {
        let (a, b) = (first.store.rounds(name)?, other.store.rounds(name)?);
        let round = a.iter().zip(&b).take_while(|(a, b)| super::same_result(a, b)).count() + 1;
        return Err(Error::Invalid(format!(
            "{} and {}: disagree on {} from round {round} on (runs/{name}); machines of different kinds do not compute the same bytes, and a file may have been edited. Nothing was merged: remove this run in one of the two, or merge folders of one kind of machine",
            first.store.folder().display(),
            other.store.folder().display(),
            first.manifest.label
        )));
    }
    // A run that ended goes before one that failed; the sort is stable, so the output folder goes before others.
    found.sort_by_key(Found::failed);
    Ok(found)
}

/// Says that runs come from machines or versions that differ.
fn machines(whole: &BTreeMap<&String, Vec<Found>>) -> Option<String> {
    let origins = || whole.values().filter_map(|found| found.first()).map(|found| &found.manifest.origin);
    // Runs of older versions do not name their processor, which then cannot be told from another.
    let named = origins().all(|origin| !origin.machine.is_empty());
    let origin = |origin: &Origin| {
        let kind = match origin.device.split(':').next().unwrap_or_default() {
            "cpu" if named => &origin.machine,
            kind => kind,
        };
        format!("fedrobust {}, libtorch {}, {kind}", origin.version, origin.libtorch)
    };
    let origins: BTreeSet<String> = origins().map(origin).collect();
    let list: Vec<String> = origins.into_iter().collect();
    (list.len() > 1).then(|| format!("the runs come from different origins: {}", list.join("; ")))
}

/// Copies one run, where that adds something.
fn take(name: &str, found: &[Found], out: &Store, sources: &[Store], merged: &mut Merged) -> Result<()> {
    let Some(best) = found.first() else { return take_begun(name, out, sources, merged) };
    if best.failed() {
        merged.failed += 1;
    } else {
        merged.finished += 1;
        merged.diverged += usize::from(best.manifest.stop.diverged());
    }
    let there = std::ptr::eq(best.store, out);
    if !there {
        copy(name, best.store, out, &[ROUNDS, MODEL])?;
        copy(name, best.store, out, &[MANIFEST])?;
        files::remove(&out.run_folder(name).join(CHECKPOINT))?;
        merged.copied += usize::from(!best.failed());
    } else if !out.has_model(name)
        && let Some(other) = found.iter().find(|other| other.store.has_model(name) && !other.failed())
    {
        copy(name, other.store, out, &[MODEL])?;
    }
    Ok(())
}

/// Copies the rows and the checkpoint of a run that is finished nowhere, from where it has come furthest.
fn take_begun(name: &str, out: &Store, sources: &[Store], merged: &mut Merged) -> Result<()> {
    let mut furthest = (out.rounds(name)?.len(), None);
    for source in sources.iter().filter(|source| !source.in_use()) {
        let rows = source.rounds(name)?.len();
        if rows > furthest.0 {
            furthest = (rows, Some(source));
        }
    }
    if let (_, Some(source)) = furthest {
        // An older checkpoint does not fit newer rows.
        files::remove(&out.run_folder(name).join(CHECKPOINT))?;
        copy(name, source, out, &[ROUNDS, CHECKPOINT])?;
        merged.begun += 1;
    }
    Ok(())
}

/// Copies files of a run that are there, in this order.
fn copy(name: &str, from: &Store, to: &Store, files: &[&str]) -> Result<()> {
    let folder = to.run_folder(name);
    fs::create_dir_all(&folder).map_err(|e| Error::io(format!("cannot make {}", folder.display()), &e))?;
    for file in files {
        let source = from.run_folder(name).join(file);
        if source.exists() {
            files::replace(&folder.join(file), &read_bytes(&source)?)?;
        }
    }
    files::sync_names(&folder)
}
