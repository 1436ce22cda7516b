//! Files that nobody vouches for, spoilt at random: a short run of what `fuzz/` does for as long as one likes.
//!
//! `FEDROBUST_FUZZ_SECONDS=120 cargo test hostile` goes on for so long a reader; `FEDROBUST_FUZZ_SEED` repeats a run.

#[path = "../../fuzz/checks.rs"]
mod checks;

use super::support::{Asked, Bench, Npz, TINY};
use checks::{CHECKS, RUN, results};
use fedrobust::record::Plan;
use fedrobust::report;
use npyz::zip::{CompressionMethod, ZipWriter, write::FileOptions};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use std::fs;
use std::io::{Cursor, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

/// Mutations of each reader's samples in a plain run.
const TRIES: usize = 400;

/// A baseline of two seeds.
const BASELINE: &str = r#"{ "format": 2, "scenario": "x", "reason": "?", "metric": "macro-F1", "margin": 0.02,
"origin": { "version": "0.1.0", "commit": null, "libtorch": "2.11.0", "device": "cpu", "threads": 2, "numerics": 2, "machine": "?" },
"cells": [{ "label": "fedavg", "point": "00", "runs": [
{ "seed": 1, "stop": "finished", "digest": "a", "score": 0.5, "log_loss": -0.5 },
{ "seed": 2, "stop": "diverged in round 3", "digest": "b", "score": null, "log_loss": null }] }] }"#;

/// Whole files to begin with, by reader, and a results folder that they belong to.
struct Samples {
    bench: Bench,
    plan: Vec<u8>,
    manifest: Vec<u8>,
    rows: Vec<u8>,
}

impl Samples {
    fn new() -> Self {
        let bench = Bench::new(&TINY.replace("seeds = [1, 2]", "seeds = [1]\nsave-model = true"));
        bench.sweep("out", &Asked::default());
        let mut plan: Plan = serde_json::from_str(&bench.read("out/plan.json")).unwrap();
        let name = std::mem::replace(&mut plan.runs[0].fingerprint, RUN.to_string());
        let of_run = |file: &str| bench.read(&format!("out/runs/{name}/{file}")).replace(&name, RUN);
        let manifest = of_run("manifest.json").split_once('\n').unwrap().1.strip_suffix("}\n").unwrap().into();
        let rows = of_run("rounds.csv").into_bytes();
        fs::rename(bench.path(&format!("out/runs/{name}/model.safetensors")), bench.path("model")).unwrap();
        Npz::create(&bench.path("x.npz"))
            .with("sound", &[6, 2, 3], (0..36).map(|i| i as f32))
            .with("label", &[6], [0i64, 1, 2, 0, 1, 2])
            .with("client", &[6], [0i64, 0, 0, 1, 1, 1])
            .done();
        let matrix = tch::Tensor::from_slice2(&[[1.5, 2.0], [-3.0, 0.25]]);
        fedrobust::data::matrix::write(&matrix, Some(&bench.path("x.npy")), |_| {}).unwrap();
        Self { plan: serde_json::to_vec(&plan).unwrap(), manifest, rows, bench }
    }

    /// A folder in its whole state.
    fn fill(&self, folder: &Path) {
        let _ = fs::remove_dir_all(folder);
        fs::create_dir_all(folder).unwrap();
        for (which, bytes) in [(0, self.plan.as_slice()), (1, &self.rows), (2, &self.manifest), (3, b"1/1\n")] {
            results(&[&[which], bytes].concat(), folder);
        }
        fs::write(folder.join("scenario.toml"), "seeds = [1]\n").unwrap();
    }

    fn of(&self, reader: &str) -> Vec<Vec<u8>> {
        let file = |name: &str| fs::read(self.bench.path(name)).unwrap();
        let led = |which: u8, bytes: &[u8]| [&[which], bytes].concat();
        match reader {
            "scenario" => vec![file("x.toml"), b"seeds = [1]\n[[grid]]\n\"train.rounds\" = [1, 2]\n".to_vec()],
            "npz" => vec![file("x.npz")],
            "pickle" => pickles(),
            "results" => {
                vec![led(0, &self.plan), led(1, &self.rows), led(2, &self.manifest), led(3, b"1/1\n")]
            }
            "tensors" => vec![file("model")],
            "baseline" => vec![BASELINE.as_bytes().to_vec()],
            "sources" => (0..).zip(checks::published()).map(|(which, (_, content))| led(which, &content)).collect(),
            _ => vec![file("x.npy"), b"1,2.5\n-3e7,inf\n".to_vec()],
        }
    }
}

/// What NumPy wrote in every protocol.
fn pickles() -> Vec<Vec<u8>> {
    let hex: BTreeMap<String, String> = serde_json::from_str(include_str!("../fixtures/pickles.json")).unwrap();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    hex.values().map(|hex| hex.as_bytes().chunks(2).map(byte).collect()).collect()
}

/// Changes bytes as files are spoilt and as somebody with bad intentions would.
fn spoil(rng: &mut ChaCha8Rng, bytes: &mut Vec<u8>) {
    const PIECES: [&[u8]; 14] = [
        b"../../",
        b"\xff\xff\xff\xff",
        b"18446744073709551615",
        b"-1",
        b"1e999",
        b"nan",
        b"[[[[[[[[",
        b"{\"",
        b"\0",
        b"}",
        b"9999999999",
        b"null",
        b"\"\"",
        b"\n",
    ];
    for _ in 0..rng.random_range(1..6) {
        let at = rng.random_range(0..=bytes.len());
        let end = (at + rng.random_range(0..20usize)).min(bytes.len());
        match rng.random_range(0..6) {
            0 if at < bytes.len() => bytes[at] ^= 1 << rng.random_range(0..8),
            1 => bytes.truncate(at),
            2 => drop(bytes.drain(at..end)),
            3 => drop(bytes.splice(at..at, PIECES[rng.random_range(0..PIECES.len())].iter().copied())),
            4 => drop(bytes.splice(at..end, PIECES[rng.random_range(0..PIECES.len())].iter().copied())),
            _ => {
                let piece = bytes[at..end].to_vec();
                let to = rng.random_range(0..=bytes.len());
                bytes.splice(to..to, piece);
            }
        }
    }
}

/// How something ended, and the most memory that it held at once.
fn measured(work: impl FnOnce()) -> (std::thread::Result<()>, u64) {
    let mut ended = Ok(());
    let held = allocation_counter::measure(|| ended = catch_unwind(AssertUnwindSafe(work)));
    (ended, held.bytes_max)
}

/// The memory that a reader may hold: some for itself, and a multiple of its file.
fn allowed(file: &[u8]) -> u64 {
    (4 << 20) + 64 * file.len() as u64
}

/// A `.npy` of this type, shape and content.
fn npy(descr: &str, shape: &str, values: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
    let header = format!("{header:<117}\n");
    [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), values].concat()
}

/// An archive whose modality is declared larger than it is.
fn archive(shape: &str, method: CompressionMethod) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in [("sound.npy", npy("<f4", shape, &[0; 144])), ("label.npy", npy("<i8", "(6,)", &[0; 48]))] {
        archive.start_file(name, FileOptions::default().compression_method(method)).unwrap();
        archive.write_all(&bytes).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

/// Small files that declare much.
fn boasts() -> Vec<(&'static str, Vec<u8>)> {
    let shapes = ["(4000000000, 4000000000)", "(1000000000, 2)", "(6, 1000000000000)", "(6, 400000000, 3)"];
    let mut files: Vec<(&str, Vec<u8>)> = Vec::new();
    for shape in shapes {
        files.push(("matrix", npy("<f4", shape, &[0; 16])));
        for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
            files.push(("npz", archive(shape, method)));
        }
    }
    let lengths = [1u64 << 32, 1 << 40, 1 << 62, u64::MAX];
    for length in lengths.map(u64::to_le_bytes) {
        files.push(("tensors", [length.as_slice(), b"{}"].concat()));
        for opcode in [b"\x95", b"\x8d", b"\x8e", b"\x96"] {
            files.push(("pickle", [b"\x80\x05", opcode.as_slice(), &length, b"x."].concat()));
        }
    }
    let tensor = br#"{"w":{"dtype":"F32","shape":[9000000000],"data_offsets":[0,36000000000]}}"#;
    files.push(("tensors", [(tensor.len() as u64).to_le_bytes().as_slice(), tensor].concat()));
    for opcode in [b"T", b"B", b"X"] {
        files.push(("pickle", [b"\x80\x02", opcode.as_slice(), b"\xff\xff\xff\x7fx."].concat()));
    }
    let long = [b"\x80\x02\x8b\xff\xff\xff\x7fx.".as_slice(), b"\x80\x02cnumpy\nempty\n(J\xff\xff\xff\x7ftR."];
    files.extend(long.map(|file| ("pickle", file.to_vec())));
    files
}

#[test]
fn a_file_that_declares_much_takes_little_memory() {
    let bench = Bench::new(TINY);
    let folder = bench.path("spoilt");
    for (reader, file) in boasts() {
        let (_, check) = CHECKS.into_iter().find(|(name, _)| *name == reader).unwrap();
        bench.write("spoilt/plan.json", checks::PLAN);
        let (ended, taken) = measured(|| check(&file, &folder));
        assert!(ended.is_ok() && taken <= allowed(&file), "{reader}, {:?}: {taken} bytes", file.escape_ascii());
    }
}

#[test]
fn a_large_matrix_is_read_piece_by_piece() {
    let bench = Bench::new(TINY);
    let path = bench.path("large.npy");
    fs::write(&path, npy("<f4", "(8, 1000000)", &[0; 32_000_000])).unwrap();
    let mut rows = None;
    let (ended, taken) = measured(|| rows = fedrobust::data::matrix::read(&path).ok());
    assert_eq!((ended.is_ok(), rows.unwrap().size()), (true, vec![8, 1_000_000]));
    assert!(taken < 10_000_000, "{taken} bytes besides the matrix itself");
}

#[test]
fn no_reader_panics_on_spoilt_files() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seed = number("FEDROBUST_FUZZ_SEED").unwrap_or_else(rand::random);
    let time = number("FEDROBUST_FUZZ_SECONDS").map(Duration::from_secs);
    println!("FEDROBUST_FUZZ_SEED={seed}");
    let samples = Samples::new();
    let folder = samples.bench.path("spoilt");
    for (reader, check) in CHECKS {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        samples.fill(&folder);
        let whole = samples.of(reader);
        let (started, mut tries) = (Instant::now(), 0);
        while time.map_or(tries < TRIES, |time| started.elapsed() < time) {
            tries += 1;
            let mut bytes = whole[rng.random_range(0..whole.len())].clone();
            spoil(&mut rng, &mut bytes);
            let (ended, taken) = measured(|| check(&bytes, &folder));
            let wrong = match ended {
                Err(panic) => Some(format!("panics: {}", fedrobust::lane::task::panic_message(panic.as_ref()))),
                Ok(()) => (taken > allowed(&bytes)).then(|| format!("takes {taken} bytes for {}", bytes.len())),
            };
            if let Some(wrong) = wrong {
                let kept = std::env::temp_dir().join(format!("fedrobust-hostile-{reader}"));
                fs::write(&kept, &bytes).unwrap();
                panic!("{reader} {wrong}; try {tries} of seed {seed}, kept in {}", kept.display());
            }
            if reader == "results" {
                samples.fill(&folder);
            }
        }
        println!("{reader}: {tries} spoilt files");
    }
    let outside: Vec<_> = fs::read_dir(samples.bench.path(".")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(outside.len(), 6, "nothing was written outside the folder: {outside:?}");
}

#[test]
fn what_fuzzing_begins_with_is_whole() {
    let bench = Bench::new(TINY);
    bench.write("out/plan.json", checks::PLAN);
    assert_eq!(fedrobust::store::Store::read(&bench.path("out")).unwrap().plan().unwrap().runs[0].fingerprint, RUN);
    bench.write("x.json", BASELINE);
    assert_eq!(fedrobust::gate::Baseline::read(&bench.path("x.json")).unwrap().seeds(), [1, 2]);
    for (name, content) in checks::published() {
        checks::put(&bench.path("sources"), &name, &content);
    }
    let samples = |source| checks::load(source, &bench.path("sources")).unwrap();
    let sources = ["uci-har", "ku-har", "ptb-xl", "crema-d", "meld", "partition"];
    assert_eq!(sources.map(samples), [2, 1, 1, 1, 3, 1]);
}

#[test]
fn a_report_of_spoilt_results_is_made_or_refused_and_never_panics() {
    let samples = Samples::new();
    let folder = samples.bench.path("spoilt");
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let mut made = 0;
    for _ in 0..40 {
        samples.fill(&folder);
        let mut bytes = samples.of("results")[rng.random_range(0..4)].clone();
        // The byte that says which file it is stays.
        let mut rest = bytes.split_off(1);
        spoil(&mut rng, &mut rest);
        results(&[bytes, rest].concat(), &folder);
        made += usize::from(report::write(&folder).is_ok());
    }
    assert!(made > 5, "{made} reports were made: are the files spoilt beyond reading?");
}
