//! The scenarios that are shipped: each can be planned, asks a question and is in the list.

use fedrobust::fault::Error;
use fedrobust::sweep::outline::Outline;
use fedrobust::sweep::study::Study;
use std::fs;
use std::path::{Path, PathBuf};

fn shipped(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            shipped(&path, found);
        } else if path.extension().is_some_and(|end| end == "toml") {
            found.push(path);
        }
    }
}

#[test]
fn every_shipped_scenario_can_be_planned_and_is_listed_with_its_question() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let list = fs::read_to_string(root.join("README.md")).unwrap();
    let mut files = Vec::new();
    shipped(&root, &mut files);
    assert!(files.len() >= 8, "{files:?}");
    for file in files {
        let loaded = fedrobust::scenario::load(&file, &[]).unwrap_or_else(|e| panic!("{e}"));
        let question = match Study::new(loaded, tch::Device::Cpu) {
            Ok(study) => study.plan.question,
            // Data that cannot be shipped: everything else is checked.
            Err(Error::Absent(_)) => {
                let loaded = fedrobust::scenario::load(&file, &[]).unwrap();
                Outline::new(loaded).unwrap_or_else(|e| panic!("{e}")).loaded.question
            }
            Err(e) => panic!("{e}"),
        };
        let place = file.strip_prefix(&root).unwrap().display().to_string();
        let row = list.lines().find(|line| line.contains(&format!("({place})")));
        let row = row.unwrap_or_else(|| panic!("{place} is not in scenarios/README.md"));
        assert!(row.contains(&question), "{place}: the list does not give its question\n{row}\n{question}");
    }
}
