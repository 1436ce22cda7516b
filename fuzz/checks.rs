//! What may be done with bytes that nobody vouches for: no panic, whatever they are. Shared by the fuzz targets and by a short
//! run of mutations in `tests/it/hostile.rs`.

use fedrobust::data::{self, crema_d, ku_har, listing, matrix, meld, ptb_xl, uci_har};
use fedrobust::gate::{Baseline, judge, show};
use fedrobust::report::standing::Standing;
use fedrobust::scenario::read_str;
use fedrobust::store::{self, Store};
use std::fs;
use std::path::{Path, PathBuf};

/// A reader of bytes, with the folder that it may use.
pub type Check = fn(&[u8], &Path);

/// All, by name.
pub const CHECKS: [(&str, Check); 8] = [
    ("scenario", scenario),
    ("npz", npz),
    ("pickle", pickles),
    ("results", results),
    ("tensors", tensors),
    ("matrix", matrices),
    ("baseline", baseline),
    ("sources", sources),
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

/// A file of a data set as its authors publish it, the others whole: the first byte says which, the rest is its content.
pub fn sources(bytes: &[u8], folder: &Path) {
    let Some((which, rest)) = bytes.split_first() else { return };
    let whole = published();
    let (spoilt, _) = &whole[usize::from(*which) % whole.len()];
    let source = spoilt.split('/').next().unwrap_or_default();
    let root = folder.join("sources");
    let _ = fs::remove_dir_all(&root);
    for (name, content) in whole.iter().filter(|(name, _)| name.starts_with(source)) {
        put(&root, name, if name == spoilt { rest } else { content });
    }
    let _ = load(source, &root);
}

/// Loads one of the data sets of [`published`] from a folder with its files.
pub fn load(source: &str, root: &Path) -> fedrobust::fault::Result<usize> {
    let path = PathBuf::from(source);
    let config = match source {
        "uci-har" => data::Config::UciHar(uci_har::Config { path, modalities: None }),
        "ku-har" => data::Config::KuHar(ku_har::Config {
            path,
            fold: None,
            half_windows: false,
            exclude: Vec::new(),
            min_windows: 1,
            modalities: None,
        }),
        "ptb-xl" => {
            data::Config::PtbXl(ptb_xl::Config { path, labels: ptb_xl::Rule::Any, min_records: 1, modalities: None })
        }
        "crema-d" => {
            data::Config::CremaD(crema_d::Config { path, fold: None, frames: 100, level: data::audio::Level::Speaker })
        }
        "meld" => data::Config::Meld(meld::Config {
            path,
            frames: 100,
            min_utterances: 0,
            level: data::audio::Level::Utterance,
        }),
        _ => return listing::read("x.path", &path.join("partition.json"), root, "").map(|read| read.clients.len()),
    };
    config.load(root).map(|data| data.len())
}

/// Small whole data sets in the layouts of their authors: names of files, the data set first, and their content.
pub fn published() -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<(String, Vec<u8>)> = Vec::new();
    let mut file = |name: &str, content: Vec<u8>| files.push((name.to_string(), content));
    for part in ["train", "test"] {
        file(&format!("uci-har/{part}/y_{part}.txt"), b"5\n".to_vec());
        file(&format!("uci-har/{part}/subject_{part}.txt"), b"1\n".to_vec());
        for signal in ["body_acc", "body_gyro", "total_acc"] {
            for axis in ["x", "y", "z"] {
                let name = format!("uci-har/{part}/Inertial Signals/{signal}_{axis}_{part}.txt");
                file(&name, ("  1.8085150e-004".repeat(128) + "\n").into_bytes());
            }
        }
    }
    let step = |i: usize| format!("{},0.5,1,-2,{},0.25,3,9.5\n", i as f32 / 100.0, i as f32 / 100.0);
    file("ku-har/0.Stand/1001_A_1.csv", (0..260).map(step).collect::<String>().into_bytes());
    file("ptb-xl/scp_statements.csv", b",diagnostic,diagnostic_class\nNORM,1.0,NORM\nSR,,\n".to_vec());
    let records =
        "site,scp_codes,strat_fold,filename_lr\n0.0,\"{'NORM': 100.0, 'SR': 0.0}\",3.0,records100/00000/00001_lr\n";
    file("ptb-xl/ptbxl_database.csv", records.as_bytes().to_vec());
    let leads = ["I", "II", "III", "AVR", "AVL", "AVF", "V1", "V2", "V3", "V4", "V5", "V6"];
    let lead = |name: &str| format!("00001_lr.dat 16 1000.0(0)/mV 16 0 0 0 0 {name}\n");
    let header = "00001_lr 12 100 1000\n".to_string() + &leads.map(lead).concat();
    file("ptb-xl/records100/00000/00001_lr.hea", header.into_bytes());
    file("ptb-xl/records100/00000/00001_lr.dat", vec![0; 24_000]);
    file("crema-d/processedResults/summaryTable.csv", b"\"\",\"FileName\",\"MultiModalVote\"\n1,1001_A,A\n".to_vec());
    file("crema-d/AudioWAV/1001_A.wav", wav(16_000));
    let clips = b"Speaker,Emotion,Dialogue_ID,Utterance_ID,Season\nRoss,joy,0,0,1\n";
    for part in ["train", "dev", "test"] {
        file(&format!("meld/{part}_sent_emo.csv"), clips.to_vec());
        file(&format!("meld/waves/{part}/dia0_utt0.wav"), wav(8_000));
    }
    let listed = br#"{ "1": [[1, 0, 4, [0, 1, 4, 0]]], "dev": [["x", "a/b.wav", [0, 1]]], "test": [[1, 2, 0]] }"#;
    file("partition/partition.json", listed.to_vec());
    files
}

/// A sixteenth of a second at 16 kHz of 16-bit PCM, said to be of this rate.
fn wav(rate: u32) -> Vec<u8> {
    let samples: Vec<u8> = (0..1000i16).flat_map(|i| (i % 40 * 100).to_le_bytes()).collect();
    let mut bytes =
        [b"RIFF".as_slice(), &(36 + samples.len() as u32).to_le_bytes(), b"WAVEfmt \x10\0\0\0\x01\0\x01\0"].concat();
    bytes.extend([rate.to_le_bytes(), (2 * rate).to_le_bytes()].concat());
    bytes.extend([b"\x02\0\x10\0data".as_slice(), &(samples.len() as u32).to_le_bytes(), &samples].concat());
    bytes
}

/// Bytes as the file of this name.
pub fn put(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
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
