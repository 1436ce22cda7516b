//! The folder that a fuzz target writes its bytes to: one a process, in memory where the system has such a place.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

pub fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let memory = Path::new("/dev/shm");
        let root = if memory.is_dir() { memory.to_path_buf() } else { std::env::temp_dir() };
        let folder = root.join(format!("fedrobust-fuzz-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder to fuzz in");
        std::fs::write(folder.join("plan.json"), super::checks::PLAN).expect("a folder to fuzz in");
        folder
    })
}
