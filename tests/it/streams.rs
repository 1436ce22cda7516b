//! The first numbers of every named stream: what changes them changes every published result.
//!
//! `tests/fixtures/streams.csv` has a line a stream: its path from the root of seed 8 (names, and numbers for places), then
//! two numbers. A new stream gets a line with its path; `FEDROBUST_GOLDEN=write cargo test streams` fills in the numbers.

use fedrobust::seed::Stream;
use rand::Rng;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/streams.csv")
}

/// `cohort/3`: the stream `cohort` at 3.
fn first_numbers(path: &str) -> [u64; 2] {
    let step = |stream: Stream, part: &str| match part.parse() {
        Ok(place) => stream.at(place),
        Err(_) => stream.named(part),
    };
    let mut rng = path.split('/').fold(Stream::root(8), step).rng();
    [rng.random(), rng.random()]
}

/// Names in `.named("…")` and `stream("…")` of the sources, tests left out.
fn names() -> BTreeSet<String> {
    let mut files = Vec::new();
    super::floors::sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    let is_test = |path: &PathBuf| {
        let test = |part: &std::ffi::OsStr| part.to_string_lossy().contains("tests") || part == "laws.rs";
        path.iter().any(test) || path.ends_with("src/seed.rs")
    };
    let mut found = BTreeSet::new();
    for file in files.iter().filter(|file| !is_test(file)) {
        let text = fs::read_to_string(file).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        for line in code.lines().filter(|line| !line.trim_start().starts_with("//")) {
            let calls = line.split("named(\"").skip(1).chain(line.split("stream(\"").skip(1));
            found.extend(calls.map(|rest| rest.split('"').next().unwrap().to_string()));
        }
    }
    found
}

#[test]
fn every_named_stream_is_pinned() {
    let text = fs::read_to_string(fixture()).unwrap();
    let paths: Vec<&str> = text.lines().map(|line| line.split(',').next().unwrap()).collect();
    let line = |path: &str| {
        let [a, b] = first_numbers(path);
        format!("{path},{a},{b}\n")
    };
    let found: String = paths.iter().map(|path| line(path)).collect();
    if std::env::var_os("FEDROBUST_GOLDEN").is_some() {
        fs::write(fixture(), &found).unwrap();
    } else {
        assert_eq!(found, text, "a change here changes every result ever published");
    }
    let pinned: BTreeSet<&str> = paths.iter().flat_map(|path| path.split('/')).collect();
    let names = names();
    assert!(names.len() > 25, "only {} streams were found: does the scan still work?", names.len());
    for name in &names {
        assert!(pinned.contains(name.as_str()), "the stream {name} has no line in tests/fixtures/streams.csv");
    }
}
