//! Files that survive a kill and a power cut: whole files by temporary file, sync and rename; the lock; left-overs.

use crate::fault::{Error, Result};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Write};
use std::path::Path;
use std::time::Duration;

const LOCK: &str = ".lock";

/// Names of temporary files begin and end like this, so that those of a killed process are told from files of others.
const TEMPORARY: (&str, &str) = (".fedrobust-", ".tmp");

/// A temporary file that another process may still write is left alone for so long.
const FRESH: Duration = Duration::from_secs(600);

/// Writes a whole file: beside its place, to the disk, then renamed. A kill or a power cut leaves the old file or the new.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let write = || -> std::io::Result<()> {
        let mut builder = tempfile::Builder::new();
        builder.prefix(TEMPORARY.0).suffix(TEMPORARY.1).permissions(readable());
        let mut file = builder.tempfile_in(folder)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path).map(|_| ()).map_err(|e| e.error)
    };
    write().map_err(|e| Error::io(format!("cannot write {}", path.display()), &e))
}

/// Brings the names in a folder to the disk: a file renamed into it or made in it is there after a power cut.
pub(super) fn sync_names(folder: &Path) -> Result<()> {
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|e| Error::io(format!("cannot write {}", folder.display()), &e))
}

/// Removes a file that need not be there.
pub(super) fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(Error::io(format!("cannot remove {}", path.display()), &e)),
        _ => Ok(()),
    }
}

/// Removes temporary files that a killed process left in `folder`; those of the last minutes only where `all` (nobody else
/// writes here). Best effort: they are in nobody's way.
pub(super) fn sweep_up(folder: &Path, all: bool) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let old = || entry.metadata().and_then(|meta| meta.modified()).ok().and_then(|at| at.elapsed().ok());
        if name.starts_with(TEMPORARY.0) && name.ends_with(TEMPORARY.1) && (all || old().is_some_and(|age| age > FRESH))
        {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Temporary files are for their owner alone; results are for whoever the umask lets.
fn readable() -> fs::Permissions {
    use std::os::unix::fs::PermissionsExt;
    fs::Permissions::from_mode(0o666)
}

/// Writes a few bytes and takes them away again: a folder that cannot be written should fail before the first run.
pub(super) fn probe(folder: &Path) -> std::io::Result<()> {
    let mut file = tempfile::Builder::new().prefix(TEMPORARY.0).suffix(TEMPORARY.1).tempfile_in(folder)?;
    file.write_all(&[0; 4096])?;
    file.as_file().sync_all()
}

/// Locks a results folder for this process; closing the file gives the lock back.
pub(super) fn lock(folder: &Path) -> Result<File> {
    let path = folder.join(LOCK);
    let failed = |e: &std::io::Error| Error::io(format!("cannot lock {}", path.display()), e);
    let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
    let mut file = opened.map_err(|e| failed(&e))?;
    match file.try_lock() {
        Ok(()) => {
            let owner = format!("{}\n", std::process::id());
            let mut tell = || -> std::io::Result<()> {
                file.set_len(0)?;
                file.write_all(owner.as_bytes())
            };
            tell().map_err(|e| failed(&e))?;
            Ok(file)
        }
        Err(TryLockError::WouldBlock) => {
            let mut owner = String::new();
            // Only for the message; another system may not let us read it.
            let _ = (&file).take(64).read_to_string(&mut owner);
            let owner = if owner.trim().is_empty() { String::new() } else { format!(" (process {})", owner.trim()) };
            Err(Error::Machine(format!(
                "the results folder {} is in use by another fedrobust{owner}; wait until it has ended, or choose another folder (--out DIR)",
                folder.display()
            )))
        }
        Err(TryLockError::Error(e)) => Err(failed(&e)),
    }
}

/// Whether another process holds the lock of a results folder.
pub(super) fn locked(folder: &Path) -> bool {
    // Opened to read: the answer must not change the folder.
    File::open(folder.join(LOCK)).is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}
