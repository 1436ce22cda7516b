//! What the command-line tests share: the binary, a tiny scenario, npz files, tables.

use fedrobust::record::Event;
use fedrobust::store::Store;
use fedrobust::sweep::study::Study;
use fedrobust::sweep::{self, Ended, Options};
use npyz::npz::NpzWriter;
use npyz::{AutoSerialize, WriterBuilder};
use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// A scenario that trains in a moment: two runs of three rounds.
pub const TINY: &str = r#"question = "Does it run?"
seeds = [1, 2]
strategy = "fedavg"

[data.synthetic]
samples = 90
classes = 3
clients = 5
modalities.sound = { width = 4, informativeness = 0.9 }
modalities.motion = { width = 3, informativeness = 0.6 }

[model]
encoder.mlp = { hidden = 4 }
fusion = "concat"
head = 4

[train]
rounds = 3
cohort = 1.0
optimizer.sgd = { lr = 0.1 }
"#;

/// How a command ended and what it said.
#[derive(Debug, PartialEq)]
pub struct Ran {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

/// A temporary folder to run commands in, with a scenario file `x.toml`.
pub struct Bench(TempDir);

impl Bench {
    pub fn new(scenario: &str) -> Self {
        let bench = Bench(tempfile::tempdir().unwrap());
        bench.write("x.toml", scenario);
        bench
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    /// The command in this folder, not yet started.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fedrobust"));
        command.current_dir(self.0.path()).args(arguments).stdin(Stdio::null());
        command
    }

    pub fn ran(&self, arguments: &[&str]) -> Ran {
        self.command(arguments).output().unwrap().into()
    }

    /// Runs `x.toml` on the CPU into `out`; it must end well.
    pub fn run(&self, out: &str, more: &[&str]) -> Ran {
        let ran = self.ran(&[&["run", "x.toml", "--device", "cpu", "--out", out], more].concat());
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        ran
    }

    /// Checks `x.toml` as every command does, in this process: starting the binary takes a third of a second.
    pub fn checked(&self, sets: &[&str]) -> fedrobust::fault::Result<Study> {
        let sets: Vec<String> = sets.iter().map(|set| set.to_string()).collect();
        let loaded = fedrobust::scenario::load(&self.path("x.toml"), &sets)?;
        Study::new(loaded, tch::Device::Cpu)
    }

    /// What is said of `x.toml` where it is refused, as from its own folder.
    pub fn refused(&self, sets: &[&str]) -> String {
        let error = self.checked(sets).err().expect("a scenario that is refused");
        assert_eq!(error.exit_code(), 2, "{error}");
        error.to_string().replace(&format!("{}/", self.0.path().display()), "")
    }

    /// The rounds of all runs without their times, in an order that does not depend on the grid: `fingerprint,round,…`.
    pub fn rounds(&self, out: &str) -> Vec<String> {
        let mut rows = Vec::new();
        for run in fs::read_dir(self.path(out).join("runs")).unwrap() {
            let run = run.unwrap();
            let text = fs::read_to_string(run.path().join("rounds.csv")).unwrap();
            for line in text.lines().skip(1) {
                let (results, _seconds) = line.rsplit_once(',').unwrap();
                rows.push(format!("{},{results}", run.file_name().to_string_lossy()));
            }
        }
        rows.sort();
        rows
    }
}

/// The rows of a CSV without quotes, each by column name.
pub fn table(text: &str) -> Vec<std::collections::BTreeMap<String, String>> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    reader.deserialize().map(|row| row.unwrap()).collect()
}

/// Losses and scores of a row of `rounds.csv`, as text: what runs that compute the same have in common.
pub fn scores(row: &std::collections::BTreeMap<String, String>) -> String {
    let of = |column: &str| ["train_", "dev_", "test_"].iter().any(|start| column.starts_with(start));
    let scores: Vec<&str> = row.iter().filter(|(column, _)| of(column)).map(|(_, score)| score.as_str()).collect();
    assert_eq!(scores.len(), 13);
    scores.join(",")
}

/// An npz file in the making.
pub struct Npz(NpzWriter<BufWriter<File>>);

impl Npz {
    pub fn create(path: &Path) -> Self {
        Npz(NpzWriter::create(path).unwrap())
    }

    pub fn with<T: AutoSerialize>(mut self, name: &str, shape: &[u64], values: impl IntoIterator<Item = T>) -> Self {
        let array = self.0.array::<T>(name, Default::default()).unwrap();
        let mut writer = array.default_dtype().shape(shape).begin_nd().unwrap();
        writer.extend(values).unwrap();
        writer.finish().unwrap();
        self
    }

    pub fn done(mut self) {
        self.0.zip_writer().finish().unwrap();
    }
}

/// What a sweep in this process is asked for besides its scenario.
#[derive(Clone, Default)]
pub struct Asked {
    /// `--set` arguments.
    pub sets: Vec<String>,
    /// `K/N`; everything where empty.
    pub shard: String,
    /// Stop after so many rows.
    pub rows: Option<usize>,
}

impl Bench {
    /// Sweeps `x.toml` into `out` in this process, on one thread: starting the binary takes a third of a second.
    pub fn sweep(&self, out: &str, asked: &Asked) -> Ended {
        let sets: Vec<&str> = asked.sets.iter().map(String::as_str).collect();
        let study = self.checked(&sets).unwrap();
        let store = Store::open(&self.path(out)).unwrap();
        let mut options = Options::threads(1);
        if !asked.shard.is_empty() {
            options.shard = asked.shard.parse().unwrap();
        }
        let (stop, mut seen) = (options.stop.clone(), 0);
        let mut watch = |event: &Event| {
            seen += usize::from(matches!(event, Event::Round { .. }));
            stop.store(asked.rows.is_some_and(|rows| seen >= rows), std::sync::atomic::Ordering::Relaxed);
        };
        sweep::run(&study, &store, &options, &mut watch).unwrap()
    }

    /// The tables of a folder without times, one text.
    pub fn tables(&self, out: &str) -> String {
        let rows = |name: &str| -> Vec<String> {
            let text = self.read(&format!("{out}/{name}"));
            let timed = text.lines().next().unwrap().ends_with(",seconds");
            let untimed = |line: &str| match timed {
                true => line.rsplit_once(',').unwrap().0.to_string(),
                false => line.to_string(),
            };
            text.lines().map(untimed).collect()
        };
        ["runs.csv", "rounds.csv", "summary.csv", "fairness.csv", "robustness.csv", "comparisons.csv"]
            .map(|name| rows(name).join("\n"))
            .join("\n\n")
    }

    /// Copies a folder.
    pub fn copy(&self, from: &str, to: &str) {
        for entry in fs::read_dir(self.path(from)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let (from, to) = (format!("{from}/{name}"), format!("{to}/{name}"));
            if self.path(&from).is_dir() {
                self.copy(&from, &to);
            } else {
                fs::create_dir_all(self.path(&to).parent().unwrap()).unwrap();
                fs::copy(self.path(&from), self.path(&to)).unwrap();
            }
        }
    }
}
