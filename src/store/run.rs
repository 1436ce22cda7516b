//! One run's folder while the run is under way: rows appended, checkpoints replaced, the manifest last.

use super::files::{remove, replace, sweep_up, sync_names};
use super::rows::{self, HEADER};
use super::tensors::{self, Tensors};
use super::{CHECKPOINT, MANIFEST, MODEL, ROUNDS, read_bytes, seal};
use crate::fault::{Error, Result};
use crate::record::{Manifest, RoundRow};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{Seek, SeekFrom};
use std::path::PathBuf;
use tch::Tensor;

/// Texts of a checkpoint: the round after which it was taken, and the digest of the rows up to it.
const ROUND: &str = "round";
const DIGEST: &str = "rows";

/// Writes the folder of one run. Its rows are those of earlier, interrupted attempts until [`RunWriter::go_back_to`].
#[derive(Debug)]
pub struct RunWriter {
    folder: PathBuf,
    file: File,
    /// Rows in the file, and their length in bytes with the header.
    rows: Vec<RoundRow>,
    length: u64,
    /// Rows of an earlier attempt beyond its checkpoint, by round.
    expected: BTreeMap<usize, RoundRow>,
    notes: Vec<String>,
}

impl RunWriter {
    /// Opens the folder, makes it where there is none, and cuts off what is not a whole row in its turn. A manifest goes:
    /// the run is not finished any more.
    pub(super) fn open(folder: PathBuf) -> Result<Self> {
        fs::create_dir_all(&folder).map_err(|e| Error::io(format!("cannot make {}", folder.display()), &e))?;
        sweep_up(&folder, true);
        remove(&folder.join(MANIFEST))?;
        let path = folder.join(ROUNDS);
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let file = opened.map_err(|e| Error::io(format!("cannot open {}", path.display()), &e))?;
        let bytes = read_bytes(&path)?;
        let (found, length) = rows::read(&String::from_utf8_lossy(&bytes));
        let mut notes = Vec::new();
        if length < bytes.len() {
            let (cut, rows) = (bytes.len() - length, found.len());
            notes.push(format!("{}: {cut} bytes after round {rows} were damaged and are dropped", path.display()));
        }
        let length = length as u64;
        let mut writer = RunWriter { folder, file, rows: found, length, expected: BTreeMap::new(), notes };
        let begun = writer.begin().map_err(|e| Error::io(format!("cannot write {}", path.display()), &e));
        begun.map(|()| writer)
    }

    /// Cuts the file to its whole rows; an empty one gets its header.
    fn begin(&mut self) -> std::io::Result<()> {
        self.file.set_len(self.length)?;
        self.file.seek(SeekFrom::End(0))?;
        if self.length == 0 {
            rows::write_line(&mut self.file, HEADER)?;
            self.length = HEADER.len() as u64 + 1;
        }
        Ok(())
    }

    /// Rounds in the file.
    pub fn rows(&self) -> &[RoundRow] {
        &self.rows
    }

    /// Hash of the results in the file ([`super::digest`]).
    pub fn digest(&self) -> String {
        rows::digest(&self.rows)
    }

    /// Notes something for [`RunWriter::take_notes`].
    pub fn note(&mut self, what: String) {
        self.notes.push(what);
    }

    /// What was repaired or could not be used since the last call.
    pub fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    /// Appends one round and hands it to the system at once: a kill loses at most this line, and a line that does not fit
    /// on the disk is taken back.
    pub fn append(&mut self, row: &RoundRow) -> Result<()> {
        let line = rows::cells(row).join(",");
        if let Err(error) = rows::write_line(&mut self.file, &line) {
            // Best effort: a reader drops a cut line anyway.
            let _ = self.file.set_len(self.length);
            let _ = self.file.seek(SeekFrom::End(0));
            return Err(Error::io(format!("cannot write {}", self.path(ROUNDS).display()), &error));
        }
        self.length += line.len() as u64 + 1;
        self.rows.push(row.clone());
        Ok(())
    }

    /// Goes back to `round`: later rows leave the file and become what [`RunWriter::expected`] tells.
    pub fn go_back_to(&mut self, round: usize) -> Result<()> {
        let path = self.path(ROUNDS);
        let bytes = read_bytes(&path)?;
        let kept: usize = bytes.split_inclusive(|&b| b == b'\n').take(round + 1).map(<[u8]>::len).sum();
        let cut = |file: &mut File| -> std::io::Result<()> {
            file.set_len(kept as u64)?;
            file.seek(SeekFrom::End(0)).map(|_| ())
        };
        cut(&mut self.file).map_err(|e| Error::io(format!("cannot write {}", path.display()), &e))?;
        self.length = kept as u64;
        let later = self.rows.split_off(round.min(self.rows.len()));
        self.expected = later.into_iter().map(|row| (row.round, row)).collect();
        Ok(())
    }

    /// The row that an earlier attempt wrote for `round`, beyond its checkpoint: what is computed again must equal it
    /// ([`super::same_result`]).
    pub fn expected(&self, round: usize) -> Option<&RoundRow> {
        self.expected.get(&round)
    }

    /// Replaces the checkpoint by the state after the last row; rows written before it are on the disk first.
    pub fn checkpoint(&mut self, tensors: &[(String, Tensor)]) -> Result<()> {
        self.sync()?;
        let meta =
            BTreeMap::from([(ROUND.to_string(), self.rows.len().to_string()), (DIGEST.to_string(), self.digest())]);
        replace(&self.path(CHECKPOINT), &tensors::encode(tensors, &meta)?)?;
        sync_names(&self.folder)
    }

    /// The checkpoint's round and state, on the CPU. `None` where there is none, it is damaged, or the rows up to its round
    /// are not those that it was taken after: the run starts again then, and a note says why.
    pub fn load_checkpoint(&mut self) -> Option<(usize, Tensors)> {
        let path = self.path(CHECKPOINT);
        if !path.exists() {
            return None;
        }
        let read = fs::read(&path).ok().and_then(|bytes| tensors::decode(&bytes));
        let round = |meta: &BTreeMap<String, String>| meta.get(ROUND)?.parse::<usize>().ok();
        let why = match read {
            None => "is damaged".to_string(),
            Some((tensors, meta)) => match round(&meta) {
                None => "is damaged".to_string(),
                Some(round) if round > self.rows.len() => {
                    format!("is of round {round}, but {ROUNDS} beside it has {}", self.rows.len())
                }
                Some(round) if meta.get(DIGEST) != Some(&rows::digest(&self.rows[..round])) => {
                    format!("was taken after other numbers than those of {ROUNDS} beside it")
                }
                Some(round) => return Some((round, tensors)),
            },
        };
        self.notes.push(format!("{}: {why}; the run starts again", path.display()));
        None
    }

    /// Writes the trained global model.
    pub fn save_model(&self, tensors: &[(String, Tensor)]) -> Result<PathBuf> {
        let path = self.path(MODEL);
        replace(&path, &tensors::encode(tensors, &BTreeMap::new())?)?;
        Ok(path)
    }

    /// Writes the manifest, which says that all else is whole, then removes the checkpoint.
    pub fn finish(&mut self, manifest: &Manifest) -> Result<()> {
        self.sync()?;
        replace(&self.path(MANIFEST), seal(manifest)?.as_bytes())?;
        sync_names(&self.folder)?;
        remove(&self.path(CHECKPOINT))
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.join(file)
    }

    fn sync(&self) -> Result<()> {
        let failed = |e: std::io::Error| Error::io(format!("cannot write {}", self.path(ROUNDS).display()), &e);
        self.file.sync_data().map_err(failed)
    }
}
