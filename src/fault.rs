//! What can go wrong, said once: errors with their exit codes, and the faults a check collects.
//!
//! A [`Fault`] speaks of one key of a scenario. Checks do not stop at the first: they push faults into a [`Checker`],
//! and the scenario adds file, line and the value found.

use std::fmt::Display;

/// Everything that ends a command early. The exit code is part of the meaning.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The scenario or the call is wrong (exit code 2). The text is complete: what, where, value, allowed, remedy.
    #[error("{0}")]
    Invalid(String),
    /// The machine lacks something: a device, a library, disk space, permission (exit code 3).
    #[error("{0}")]
    Machine(String),
    /// Data or files that the scenario names are not on this machine (exit code 3): what, where, and how to get it. What can
    /// be checked without them can still be checked.
    #[error("{0}")]
    Absent(String),
    /// The work was done and failed, or the answer is no (exit code 1).
    #[error("{0}")]
    Failed(String),
    /// A round has fewer rows than a member of a strategy needs: a failure that a strategy may choose to live with.
    #[error("{0}")]
    TooFew(String),
}

/// Shorthand for results of this crate.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// The process exit code: 1 failed, 2 invalid, 3 machine.
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Failed(_) | Error::TooFew(_) => 1,
            Error::Invalid(_) => 2,
            Error::Machine(_) | Error::Absent(_) => 3,
        }
    }

    /// An input or output error with what was being done, for example `cannot write results/x/runs.csv`.
    pub fn io(doing: impl Display, error: &std::io::Error) -> Self {
        Self::io_by(doing, error, "")
    }

    /// The same where an option names the place, for example `--out DIR`.
    pub fn io_by(doing: impl Display, error: &std::io::Error, option: &str) -> Self {
        use std::io::ErrorKind::{
            AlreadyExists, NotADirectory, NotFound, PermissionDenied, ReadOnlyFilesystem, StorageFull,
        };
        let doing = doing.to_string();
        let reading = doing.starts_with("cannot read");
        let option = if option.is_empty() { String::new() } else { format!(" ({option})") };
        let elsewhere = format!("; choose a folder that you may write to{option}");
        let remedy = match error.kind() {
            StorageFull => "; free some space and run the same command again: what is finished is kept",
            PermissionDenied if reading => "; let this user read it (chmod), or name another file",
            _ if reading => "",
            // The second is what making a folder says where a file is in the way.
            NotADirectory | AlreadyExists => &format!("; a part of this path is a file: choose another folder{option}"),
            PermissionDenied | ReadOnlyFilesystem | NotFound => &elsewhere,
            // Kernel file systems (/proc, /sys) say this; it has no kind of its own.
            _ if error.raw_os_error() == Some(1) => &elsewhere,
            _ => "",
        };
        // Temporary files add a path that nobody chose.
        let what = error.to_string();
        let what = what.split(" at path ").next().unwrap_or_default();
        Error::Machine(format!("{doing}: {what}{remedy}"))
    }
}

/// `1 run`, `3 runs`.
pub fn plural(n: usize, one: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") }
}

impl From<tch::TchError> for Error {
    fn from(error: tch::TchError) -> Self {
        let text = error.to_string();
        let first = text.lines().next().unwrap_or_default();
        Error::Failed(format!("libtorch: {first}"))
    }
}

/// One thing wrong with one key.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// Dotted path of the key, for example `train.optimizer.sgd.lr`.
    pub path: String,
    /// What is wrong, as a phrase that continues `train.rounds = 0: `, for example `is too small`.
    pub problem: String,
    /// What is allowed, for example `a number in [0, 1]`; may be empty.
    pub allowed: String,
    /// What to do, as a sentence; may be empty.
    pub remedy: String,
}

/// Collects faults while a checked value is walked; knows the dotted path it stands at.
#[derive(Debug, Default)]
pub struct Checker {
    path: Vec<String>,
    /// All faults so far, in the order they were met.
    pub faults: Vec<Fault>,
}

impl Checker {
    /// Walks into `key` for the duration of `check`.
    pub fn inside(&mut self, key: &str, check: impl FnOnce(&mut Self)) {
        self.path.push(key.to_string());
        check(self);
        self.path.pop();
    }

    /// Records a fault of `key` below the current path; an empty `key` means the current path itself.
    pub fn fault(
        &mut self,
        key: &str,
        problem: impl Into<String>,
        allowed: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        let mut path = self.path.clone();
        if !key.is_empty() {
            path.push(key.to_string());
        }
        let (problem, allowed, remedy) = (problem.into(), allowed.into(), remedy.into());
        self.faults.push(Fault { path: path.join("."), problem, allowed, remedy });
    }

    /// A fraction: `value` in [0, 1]. NaN fails.
    pub fn rate(&mut self, key: &str, value: f64) {
        if !(0.0..=1.0).contains(&value) {
            self.fault(key, "is not a fraction", "a number from 0 to 1", "Write 0.3 for 30 %.");
        }
    }

    /// `value > 0` and finite. NaN fails.
    pub fn positive(&mut self, key: &str, value: f64) {
        if !(value > 0.0 && value.is_finite()) {
            self.fault(key, "is not a positive number", "a finite number above 0", "");
        }
    }

    /// `value ≥ 0` and finite. NaN fails.
    pub fn not_negative(&mut self, key: &str, value: f64) {
        if !(value >= 0.0 && value.is_finite()) {
            self.fault(key, "is negative or not finite", "a finite number from 0", "");
        }
    }

    /// A fraction below one: `value` in [0, 1). NaN fails.
    pub fn below_one(&mut self, key: &str, value: f64) {
        if !(0.0..1.0).contains(&value) {
            self.fault(key, "is out of range", "a number from 0 to below 1", "");
        }
    }

    /// A count from `least` to `most`.
    pub fn count(&mut self, key: &str, value: usize, least: usize, most: usize) {
        self.at_least(key, value, least);
        if value > most {
            self.fault(key, "is too large", format!("a whole number from {least} to {most}"), "");
        }
    }

    /// A count of at least `least`.
    pub fn at_least(&mut self, key: &str, value: usize, least: usize) {
        if value < least {
            self.fault(key, "is too small", format!("a whole number from {least}"), "");
        }
    }
}

/// One entry of `fedrobust list`: a choice of a family, as a user meets it.
#[derive(Debug, Clone, Copy)]
pub struct About {
    /// Name in a scenario.
    pub name: &'static str,
    /// One sentence: what it does.
    pub summary: &'static str,
    /// The formula in plain text, symbols explained; may be empty.
    pub formula: &'static str,
    /// Authors, title or venue, year, equation or algorithm; may be empty for what has no paper.
    pub source: &'static str,
    /// Its parameters; a test holds them equal to the fields of its `Config`.
    pub parameters: &'static [Parameter],
}

/// One parameter of a choice.
#[derive(Debug, Clone, Copy)]
pub struct Parameter {
    /// Key in a scenario.
    pub name: &'static str,
    /// Default as it would be written, or `required`.
    pub default: &'static str,
    /// Meaning, unit and allowed values.
    pub meaning: &'static str,
}
