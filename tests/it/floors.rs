//! Imports point down only: a module may use modules of lower floors, and those of its own floor that are listed here.

use std::fs;
use std::path::{Path, PathBuf};

/// The map of `src/lib.rs`, bottom first.
const FLOORS: &[&[&str]] = &[
    &["fault", "seed", "record", "device", "machine", "memory", "shard", "torchscript"],
    &["data", "metric", "statistics"],
    &["partition", "corrupt", "model", "objective", "attack", "aggregate"],
    &["lane", "strategy"],
    &["scenario"],
    &["run", "store"],
    &["sweep", "report"],
    &["gate"],
];

/// Imports inside a floor that are meant: a corruption works on a partition's shares, an attack on a client's samples and on
/// rows as rules see them, a rule on the blocks of a model, and a missing device is a fault, as are too little memory and a file that is no
/// module.
const SIDEWAYS: &[(&str, &str)] = &[
    ("corrupt", "partition"),
    ("attack", "corrupt"),
    ("attack", "aggregate"),
    ("aggregate", "model"),
    ("device", "fault"),
    ("memory", "fault"),
    ("torchscript", "fault"),
];

fn floor(module: &str) -> usize {
    FLOORS.iter().position(|floor| floor.contains(&module)).unwrap_or_else(|| panic!("{module} has no floor"))
}

pub fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// Modules named after `crate::` in `use` lines and paths, tests left out.
fn imports(text: &str) -> Vec<String> {
    let code = text.split("#[cfg(test)]").next().unwrap();
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    let mut found = Vec::new();
    for line in lines {
        for piece in line.split("crate::").skip(1) {
            match piece.strip_prefix('{') {
                Some(group) => found.extend(group.split(',').filter_map(|part| module(part.trim()))),
                None => found.extend(module(piece)),
            }
        }
    }
    found
}

fn module(path: &str) -> Option<String> {
    let name: String = path.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
    (!name.is_empty()).then_some(name)
}

#[test]
fn imports_point_down() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let mut checked = 0;
    for file in files {
        let place = file.strip_prefix(&root).unwrap();
        let own = place.components().next().unwrap().as_os_str().to_string_lossy().replace(".rs", "");
        let test_file = place.components().any(|c| {
            matches!(c.as_os_str().to_str(), Some("tests" | "tests.rs" | "fake.rs" | "laws.rs" | "vectors.rs"))
        });
        if ["main", "lib", "cli"].contains(&own.as_str()) || test_file {
            continue;
        }
        for import in imports(&fs::read_to_string(&file).unwrap()) {
            let meant = import == own || SIDEWAYS.contains(&(own.as_str(), import.as_str()));
            assert!(
                meant || floor(&import) < floor(&own),
                "{} imports {import}, which is not below it",
                file.display()
            );
            checked += 1;
        }
    }
    assert!(checked > 100, "only {checked} imports were found: does the scan still work?");
}
