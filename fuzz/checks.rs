//! What may be done with bytes that nobody vouches for: no panic, whatever they are. Shared by the fuzz targets and by a short
//! run of mutations in `tests/it/hostile.rs`.

use fedrobust::data::{self, matrix};
use fedrobust::gate::{Baseline, judge, show};
use fedrobust::report::standing::Standing;
use fedrobust::scenario::read_str;
use fedrobust::store::{self, Store};
use std::fs;
use std::path::{Path, PathBuf};

/// A reader of bytes, with the folder that it may use.
pub type Check = fn(&[u8], &Path);

/// All, by name.
pub const CHECKS: [(&str, Check); 7] = [
    ("scenario", scenario),
    ("npz", npz),
    ("pickle", pickles),
    ("results", results),
    ("tensors", tensors),
    ("matrix", matrices),
    ("baseline", baseline),
];

/// The name of the one run of a results folder to be harmed.
pub const RUN: &str = "0123456789abcdef0123456789abcdef";

/// A plan of that run, for a folder to begin with.
pub const PLAN: &str = r#"{ "format": 3, "name": "x", "question": "?", "metric": "macro-f1", "multilabel": false,
"classes": 3, "seeds": [1], "rounds": 3, "grids": [{ "axes": [], "cells": [[[], 0]] }],
"points": [{ "strategy": "fedavg", "settings": [] }],
"runs": [{ "point": 0, "seed": 1, "rounds": 3, "fingerprint": "0123456789abcdef0123456789abcdef" }] }"#;

/// A scenario file.
pub fn scenario(bytes: &[u8], _folder: &Path) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = read_str("x.toml", text, &[]);
    }
}

/// An archive of arrays.
pub fn npz(bytes: &[u8], folder: &Path) {
    let path = put(folder, "x.npz", bytes);
    let config = data::npz::Config { path: PathBuf::from("x.npz"), modalities: None, classes: None };
    let _ = data::npz::load(&config, path.parent().unwrap_or(folder));
}

/// A pickle: everything in it is looked at.
pub fn pickles(bytes: &[u8], _folder: &Path) {
    let Ok(read) = data::pickle::read(bytes) else { return };
    let mut open = vec![read.root()];
    let mut steps = 0;
    while let Some(view) = open.pop().filter(|_| steps < 100_000) {
        steps += 1;
        let _ = (view.text(), view.number(), view.what(), view.array().and_then(|array| array.floats()));
        open.extend(view.items().into_iter().flatten());
        open.extend(view.pairs().into_iter().flatten().flat_map(|(key, value)| [key, value]));
    }
}

/// A file of a results folder: the first byte says which, the rest is its content. A manifest is sealed, so that what is in
/// it is reached.
pub fn results(bytes: &[u8], folder: &Path) {
    let Some((which, rest)) = bytes.split_first() else { return };
    let run = format!("runs/{RUN}");
    match which % 5 {
        0 => put(folder, "plan.json", rest),
        1 => put(folder, &format!("{run}/rounds.csv"), rest),
        2 => put(folder, &format!("{run}/manifest.json"), &seal(rest)),
        3 => put(folder, "shard.txt", rest),
        _ => put(folder, &format!("{run}/manifest.json"), rest),
    };
    let Ok(store) = Store::read(folder) else { return };
    let Ok(plan) = store.plan() else { return };
    for info in &plan.runs {
        let _ = store.outcome(&info.fingerprint);
    }
    let _ = Standing::read(folder).map(|standing| standing.text());
}

/// A checkpoint or a model.
pub fn tensors(bytes: &[u8], folder: &Path) {
    let path = put(folder, &format!("runs/{RUN}/model.safetensors"), bytes);
    let _ = store::read_model(&path);
    if let Ok(store) = Store::read(folder) {
        let _ = store.has_model(RUN);
    }
}

/// A matrix: as `.npy` and as `.csv`.
pub fn matrices(bytes: &[u8], folder: &Path) {
    for name in ["x.npy", "x.csv"] {
        let _ = matrix::read(&put(folder, name, bytes));
    }
}

/// A baseline of the gate, held against itself, against other digests, and against other seeds; every form of the answer.
pub fn baseline(bytes: &[u8], folder: &Path) {
    let Ok(read) = Baseline::read(&put(folder, "baseline.json", bytes)) else { return };
    let (mut other_digests, mut other_seeds) = (read.clone(), read.clone());
    other_digests.cells.iter_mut().flat_map(|cell| &mut cell.runs).for_each(|run| run.digest.push('x'));
    other_seeds.cells.iter_mut().flat_map(|cell| &mut cell.runs).for_each(|run| run.seed = run.seed.wrapping_add(1));
    for (now, digests) in [(&read, true), (&read, false), (&other_digests, true), (&other_seeds, true)] {
        let Ok(outcome) = judge(&read, now, digests) else { continue };
        let _ = show::junit(&outcome, &read, 1.0);
        let _ = (show::text(&outcome, &read), show::markdown(&outcome, &read, now));
        let _ = show::annotations(&outcome, &read, "x.toml");
    }
}

/// Bytes as the file of this name.
fn put(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    if let Some(parent) = path.parent() {
        let _ = fs::create_dir_all(parent);
    }
    let _ = fs::write(&path, bytes);
    path
}

/// A manifest's text with the hash that belongs to it.
pub fn seal(body: &[u8]) -> Vec<u8> {
    let head = format!("{{ \"hash\": \"{}\", \"manifest\":\n", blake3::hash(body).to_hex());
    [head.as_bytes(), body, b"}\n"].concat()
}
