//! The results folder, and the only code that knows its paths.
//!
//! ```text
//! results/<scenario>/
//!   plan.json  scenario.toml        what is to run, before the first run
//!   shard.txt                       K/N, where the latest sweep here took a part of it only
//!   runs/<fingerprint>/             one folder a run
//!     rounds.csv                    one row a round, appended
//!     checkpoint.safetensors        the state to go on from; removed at the end
//!     model.safetensors             the trained model, by option
//!     manifest.json                 written last: its presence means that the run is whole
//!   runs.csv  rounds.csv  summary.csv  comparisons.csv  robustness.csv  fairness.csv
//!   plots/  report.html             written by the report from the above
//!   .lock                           held while a sweep writes here
//! ```
//!
//! What reaches the disk when: whole files are written beside their place, synced (`fsync`) and renamed, so that a kill or a
//! power cut leaves the old file or the new one. Rows are handed to the system line by line (a kill loses none) and synced
//! before every checkpoint and every manifest; a power cut may take the rows since then, which are computed again. The
//! names in a folder are synced before a checkpoint goes, so that a run always has one of the two. Every row counts only if
//! it is whole, in turn, and what the checkpoint or the manifest says of it.

mod files;
mod merge;
mod plan;
mod rows;
mod run;
mod tensors;
#[cfg(test)]
mod tests;

pub use merge::{Merged, merge};
pub use rows::{HEADER, SCORES, Score, cells, digest, number, same_result};
pub use run::RunWriter;
pub use tensors::Tensors;

use crate::fault::{Error, Result};
use crate::record::{FORMAT, Manifest, Plan, RoundRow};
use crate::shard::Shard;
use files::{lock, probe, remove, replace, sweep_up, sync_names};
use plan::Found;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

const PLAN: &str = "plan.json";
const SCENARIO: &str = "scenario.toml";
const SHARD: &str = "shard.txt";
const RUNS: &str = "runs";
const ROUNDS: &str = "rounds.csv";
const CHECKPOINT: &str = "checkpoint.safetensors";
const MANIFEST: &str = "manifest.json";
const MODEL: &str = "model.safetensors";
const PLOTS: &str = "plots";
/// What names the results folder.
const OPTION: &str = "--out DIR";

/// One results folder, opened to write (a sweep, locked) or to read (a report).
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    notes: Vec<String>,
    /// Held open: closing it gives the lock back.
    _lock: Option<File>,
}

/// What the folder of a run says about it.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The run ended and all of it is there.
    Whole(Box<Manifest>),
    /// There is no manifest: the run was not started or is not finished.
    Unfinished,
    /// There is a manifest, but it cannot be trusted, for this reason; the run counts as not finished.
    Damaged(String),
}

impl Outcome {
    /// Whether the run's weights became NaN or infinite.
    pub fn diverged(&self) -> bool {
        matches!(self, Outcome::Whole(manifest) if manifest.stop.diverged())
    }
}

/// A file that the report writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output<'a> {
    /// `runs.csv`: one row a run.
    Runs,
    /// `rounds.csv`: one row a round of a run.
    Rounds,
    /// `summary.csv`: mean and interval over seeds.
    Summary,
    /// `worst.csv`: strategies against the worst of their attacks.
    Worst,
    /// `comparisons.csv`: pairs of strategies.
    Comparisons,
    /// `robustness.csv`: curves as few numbers.
    Robustness,
    /// `fairness.csv`: evenness over clients.
    Fairness,
    /// `report.html`.
    Report,
    /// `plots/<name>`.
    Plot(&'a str),
}

impl Store {
    /// Opens `folder` to write: makes it, tries to write in it, and locks it.
    ///
    /// # Errors
    /// [`Error::Machine`] where the folder cannot be written or another process holds it; [`Error::Invalid`] where it
    /// holds results of another format.
    pub fn open(folder: &Path) -> Result<Self> {
        let folder = folder.to_path_buf();
        // Another format is refused before anything is touched.
        let found = plan::format(&folder)?;
        fs::create_dir_all(folder.join(RUNS))
            .map_err(|e| Error::io_by(format!("cannot make the results folder {}", folder.display()), &e, OPTION))?;
        probe(&folder).map_err(|e| {
            Error::io_by(format!("cannot write to the results folder {}", folder.display()), &e, OPTION)
        })?;
        let lock = lock(&folder)?;
        let mut notes = Vec::new();
        if let Found::Damaged = found {
            notes.push(format!("{}: was damaged and is written anew", folder.join(PLAN).display()));
        }
        [&folder, &folder.join(PLOTS)].iter().for_each(|folder| sweep_up(folder, false));
        Ok(Store { folder, notes, _lock: Some(lock) })
    }

    /// Opens `folder` to read what a sweep left there; takes no lock.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it is no results folder or holds another format.
    pub fn read(folder: &Path) -> Result<Self> {
        plan::must_be_ours(folder)?;
        Ok(Store { folder: folder.to_path_buf(), notes: Vec::new(), _lock: None })
    }

    /// What was repaired when the folder was opened to write.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Whether a process writes here now.
    pub fn in_use(&self) -> bool {
        files::locked(&self.folder)
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes what is going to run, the resolved scenario, and the part of the runs that is taken on.
    pub fn write_plan(&self, plan: &Plan, scenario: &str, shard: Shard) -> Result<()> {
        let path = self.folder.join(SHARD);
        match shard.is_part() {
            true => replace(&path, format!("{shard}\n").as_bytes())?,
            false => remove(&path)?,
        }
        // A comparison of other runs says nothing of these.
        if !self.plan().is_ok_and(|earlier| earlier == *plan) {
            ["compare.csv", "compare.svg", "compare.png", "worst.csv"]
                .iter()
                .try_for_each(|name| remove(&self.folder.join(name)))?;
        }
        replace(&self.folder.join(SCENARIO), scenario.as_bytes())?;
        replace(&self.folder.join(PLAN), json(plan)?.as_bytes())?;
        sync_names(&self.folder)
    }

    /// The plan.
    pub fn plan(&self) -> Result<Plan> {
        plan::read(&self.folder)
    }

    /// The part of the plan that the latest sweep took on: everything, where the folder does not say a part.
    ///
    /// # Errors
    /// [`Error::Invalid`] where what it says is no part.
    pub fn shard(&self) -> Result<Shard> {
        let path = self.folder.join(SHARD);
        if !path.is_file() {
            return Ok(Shard::WHOLE);
        }
        let text = read_text(&path)?;
        text.trim().parse().map_err(|allowed| {
            Error::Invalid(format!(
                "{}: holds {:?}; {allowed}; remove the file: the next sweep writes it anew",
                path.display(),
                text.trim().chars().take(40).collect::<String>()
            ))
        })
    }

    /// The text of the resolved scenario.
    pub fn scenario(&self) -> Result<String> {
        read_text(&self.folder.join(SCENARIO))
    }

    /// How the run of this fingerprint ended.
    pub fn outcome(&self, fingerprint: &str) -> Result<Outcome> {
        let path = self.run_folder(fingerprint).join(MANIFEST);
        let text = match fs::read(&path) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Outcome::Unfinished),
            Err(e) => return Err(Error::io(format!("cannot read {}", path.display()), &e)),
        };
        let damaged =
            |why: String| Outcome::Damaged(format!("{}: {why}; the run counts as not finished", path.display()));
        let Some(manifest) = unseal(&text) else { return Ok(damaged("is cut or was edited".into())) };
        if manifest.format != FORMAT {
            return Ok(damaged(format!("is of format {}, this is format {FORMAT}", manifest.format)));
        }
        if manifest.fingerprint != fingerprint {
            return Ok(damaged(format!("belongs to run {}", manifest.fingerprint)));
        }
        let (rows, whole) = self.read_rows(fingerprint)?;
        if !whole {
            return Ok(damaged(format!("stands beside a {ROUNDS} with bytes that are no rows")));
        }
        if rows.len() != manifest.rounds {
            let found = rows.len();
            return Ok(damaged(format!("tells of {} rounds, but {ROUNDS} beside it has {found}", manifest.rounds)));
        }
        if rows::digest(&rows) != manifest.digest {
            return Ok(damaged(format!(
                "tells of other numbers than {ROUNDS} beside it, so one of the two was edited"
            )));
        }
        Ok(Outcome::Whole(Box::new(manifest)))
    }

    /// Whether the trained model of a run is there, whole.
    pub fn has_model(&self, fingerprint: &str) -> bool {
        let bytes = fs::read(self.run_folder(fingerprint).join(MODEL));
        bytes.is_ok_and(|bytes| tensors::decode(&bytes).is_some())
    }

    /// The rounds of a run so far; none when it was not started.
    pub fn rounds(&self, fingerprint: &str) -> Result<Vec<RoundRow>> {
        Ok(self.read_rows(fingerprint)?.0)
    }

    /// The rows of a run, and whether the file holds nothing else.
    fn read_rows(&self, fingerprint: &str) -> Result<(Vec<RoundRow>, bool)> {
        let path = self.run_folder(fingerprint).join(ROUNDS);
        match fs::read(&path) {
            Ok(bytes) => {
                let (rows, length) = rows::read(&String::from_utf8_lossy(&bytes));
                Ok((rows, length == bytes.len()))
            }
            Err(e) if e.kind() == ErrorKind::NotFound => Ok((Vec::new(), true)),
            Err(e) => Err(Error::io(format!("cannot read {}", path.display()), &e)),
        }
    }

    /// Opens a run's folder to write.
    pub fn run(&self, fingerprint: &str) -> Result<RunWriter> {
        let writer = RunWriter::open(self.run_folder(fingerprint))?;
        sync_names(&self.folder.join(RUNS))?;
        Ok(writer)
    }

    /// Writes a file of the report and gives its path.
    pub fn save(&self, output: Output, bytes: &[u8]) -> Result<PathBuf> {
        let path = match output {
            Output::Runs => self.folder.join("runs.csv"),
            Output::Rounds => self.folder.join(ROUNDS),
            Output::Summary => self.folder.join("summary.csv"),
            Output::Worst => self.folder.join("worst.csv"),
            Output::Comparisons => self.folder.join("comparisons.csv"),
            Output::Robustness => self.folder.join("robustness.csv"),
            Output::Fairness => self.folder.join("fairness.csv"),
            Output::Report => self.folder.join("report.html"),
            Output::Plot(name) => {
                let plots = self.folder.join(PLOTS);
                fs::create_dir_all(&plots).map_err(|e| Error::io(format!("cannot make {}", plots.display()), &e))?;
                plots.join(name)
            }
        };
        replace(&path, bytes)?;
        Ok(path)
    }

    /// Removes plots of earlier reports that are not among `names`; other files are left alone.
    pub fn keep_plots(&self, names: &[String], kinds: &[&str]) -> Result<()> {
        let plots = self.folder.join(PLOTS);
        let Ok(entries) = fs::read_dir(&plots) else { return Ok(()) };
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let ours =
                kinds.iter().any(|kind| name.starts_with(kind)) && (name.ends_with(".svg") || name.ends_with(".png"));
            if ours && !names.contains(&name) {
                fs::remove_file(entry.path())
                    .map_err(|e| Error::io(format!("cannot remove {}", entry.path().display()), &e))?;
            }
        }
        Ok(())
    }

    fn run_folder(&self, fingerprint: &str) -> PathBuf {
        self.folder.join(RUNS).join(fingerprint)
    }
}

/// Reads a model file: tensors by name.
///
/// # Errors
/// [`Error::Machine`] where it cannot be read, [`Error::Invalid`] where it is no safetensors file.
pub fn read_model(path: &Path) -> Result<Tensors> {
    let bytes = fs::read(path).map_err(|e| match e.kind() {
        ErrorKind::NotFound => Error::Invalid(format!(
            "{}: there is no such file; `save-model = true` in a scenario keeps runs/<run>/model.safetensors in its results folder",
            path.display()
        )),
        _ => Error::io(format!("cannot read {}", path.display()), &e),
    })?;
    tensors::decode_plain(&bytes).ok_or_else(|| {
        Error::Invalid(format!("{}: is not a safetensors file of f32 or i64 tensors, or is cut short", path.display()))
    })
}

fn read_bytes(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|e| Error::io(format!("cannot read {}", path.display()), &e))
}

/// A text; bytes that are no UTF-8 are marked as such, so that damage is found by whoever reads on.
fn read_text(path: &Path) -> Result<String> {
    Ok(String::from_utf8_lossy(&read_bytes(path)?).into_owned())
}

fn json(value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string_pretty(value)
        .map(|text| text + "\n")
        .map_err(|e| Error::Failed(format!("cannot write JSON: {e}")))
}

/// Writes a whole file outside a results folder, the folder made where there is none; gives its path.
///
/// # Errors
/// [`Error::Machine`] where it cannot be written.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<PathBuf> {
    make_place(path)?;
    replace(path, bytes)?;
    Ok(path.to_path_buf())
}

/// Tries whether [`write_file`] will be able to write here, for a file that is written after long work.
///
/// # Errors
/// [`Error::Machine`] where it will not.
pub fn can_write(path: &Path) -> Result<()> {
    make_place(path)?;
    let failed = |e: &std::io::Error| Error::io(format!("cannot write {}", path.display()), e);
    if path.is_dir() {
        return Err(failed(&ErrorKind::IsADirectory.into()));
    }
    probe(place(path)).map_err(|e| failed(&e))
}

/// The folder of a file.
fn place(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn make_place(path: &Path) -> Result<()> {
    let folder = place(path);
    fs::create_dir_all(folder).map_err(|e| Error::io(format!("cannot make {}", folder.display()), &e))
}

/// A manifest as JSON, with a hash of its text in front, so that a cut or edited one is told from a whole one.
fn seal(manifest: &Manifest) -> Result<String> {
    let body = json(manifest)?;
    Ok(format!("{{ \"hash\": \"{}\", \"manifest\":\n{body}}}\n", blake3::hash(body.as_bytes()).to_hex()))
}

fn unseal(text: &str) -> Option<Manifest> {
    let (head, rest) = text.split_once('\n')?;
    let body = rest.strip_suffix("}\n")?;
    let hash = head.strip_prefix("{ \"hash\": \"")?.strip_suffix("\", \"manifest\":")?;
    if hash != blake3::hash(body.as_bytes()).to_hex().as_str() {
        return None;
    }
    serde_json::from_str(body).ok()
}
