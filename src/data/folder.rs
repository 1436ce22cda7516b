//! The folder or file that a data source is read from, and what is said when it, or a part of it, is not there.

use crate::fault::{Error, Result};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// A folder of data as a scenario names it.
#[derive(Debug, Clone)]
pub(super) struct Folder {
    /// Where it is.
    root: PathBuf,
    /// The key that names it, for example `data.uci-har.path`.
    key: String,
    /// Its value.
    shown: String,
}

impl Folder {
    /// The folder that `source` (for example `uci-har`) names by `path`, relative to `base`; `get` says how to get the data.
    ///
    /// # Errors
    /// [`Error::Absent`] where there is no such folder, [`Error::Invalid`] where it is a file.
    pub fn open(source: &str, path: &Path, base: &Path, get: &str) -> Result<Self> {
        let (root, shown, key) = (base.join(path), path.display().to_string(), format!("data.{source}.path"));
        if !root.exists() {
            return Err(absent(&key, &root, &shown, "folder", get));
        }
        if !root.is_dir() {
            let text = format!("{key} = {shown}: is a file; name the folder of the data set");
            return Err(Error::Invalid(text));
        }
        Ok(Self { root, key, shown })
    }

    /// Path of something below it.
    pub fn path(&self, below: &str) -> PathBuf {
        self.root.join(below)
    }

    /// Whether something is there.
    pub fn has(&self, below: &str) -> bool {
        self.path(below).exists()
    }

    /// A fault of the folder or of something below it.
    pub fn wrong(&self, problem: impl std::fmt::Display) -> Error {
        Error::Invalid(format!("{} = {}: {problem}", self.key, self.shown))
    }

    /// The bytes of a file below it; `what` says what the file should be, where it is not there.
    ///
    /// # Errors
    /// A file that is missing or cannot be read.
    pub fn read(&self, below: &str, what: &str) -> Result<Vec<u8>> {
        std::fs::read(self.path(below)).map_err(|error| match error.kind() {
            ErrorKind::NotFound => self.wrong(format!("has no file {below} ({what}); name the folder that holds it")),
            _ => Error::io(format!("cannot read {}", self.path(below).display()), &error),
        })
    }

    /// The text of a file below it.
    ///
    /// # Errors
    /// As [`Self::read`], and text that is not UTF-8.
    pub fn text(&self, below: &str, what: &str) -> Result<String> {
        let bytes = self.read(below, what)?;
        String::from_utf8(bytes).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            let line = error.as_bytes()[..at].iter().filter(|&&byte| byte == b'\n').count() + 1;
            self.wrong(format!("{below}:{line}: is not UTF-8 text"))
        })
    }

    /// Names in a folder below it, ascending as strings.
    ///
    /// # Errors
    /// A folder that is missing or cannot be read.
    pub fn names(&self, below: &str, what: &str) -> Result<Vec<String>> {
        let entries = std::fs::read_dir(self.path(below)).map_err(|error| match error.kind() {
            ErrorKind::NotFound => self.wrong(format!("has no folder {below} ({what}); name the folder that holds it")),
            _ => Error::io(format!("cannot read {}", self.path(below).display()), &error),
        })?;
        let mut names = Vec::new();
        for entry in entries {
            let entry =
                entry.map_err(|error| Error::io(format!("cannot read {}", self.path(below).display()), &error))?;
            names.extend(entry.file_name().into_string());
        }
        names.sort();
        Ok(names)
    }
}

/// What is said of data that is not on this machine.
pub(super) fn absent(key: &str, at: &Path, shown: &str, kind: &str, get: &str) -> Error {
    let at = std::path::absolute(at).unwrap_or_else(|_| at.to_path_buf());
    Error::Absent(format!(
        "{key} = {shown}: there is no {kind} {}; {get}, or name where it is: --set {key}={}",
        at.display(),
        kind.to_uppercase()
    ))
}
