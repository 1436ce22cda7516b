//! A small run whose numbers are pinned: what changes them changes published results, so raise `sweep::study::NUMERICS`
//! with it and write the file again (`FEDROBUST_GOLDEN=write cargo test golden`).

use super::support::{Bench, table};
use std::fs;
use std::path::Path;

/// Four strategies on data with a sequence and pooled features, with every corruption at once.
const SCENARIO: &str = r#"question = "Do the numbers stay?"
seeds = [8]

[data.synthetic]
samples = 120
classes = 3
clients = 6
modalities.sound = { time = 16, width = 2, informativeness = 0.9 }
modalities.motion = { width = 3, informativeness = 0.6 }

[corrupt]
missing-modality = { rate = 0.3, per = "sample" }
missing-labels.rate = 0.2
label-noise.rate = 0.2

[model]
encoder.conv-gru = { channels = [4, 4, 4], hidden = 4 }
encoders.motion.mlp = { hidden = 4 }
fusion.attention = { heads = 2, units = 4 }
head = 8
dropout = 0.2

[train]
rounds = 4
cohort = 3
batch = 8
epochs = 2
optimizer.sgd = { lr = 0.1 }

[[grid]]
strategy = ["fedavg", { fedprox = { mu = 0.1 } }, "fedadam", "trimmed-mean"]
"#;

/// Absolute tolerance of scores and losses: another processor rounds otherwise.
const TOLERANCE: f64 = 1e-4;

#[test]
fn the_numbers_of_a_small_run_stay() {
    let bench = Bench::new(SCENARIO);
    bench.run("out", &[]);
    let text: String = bench
        .read("out/rounds.csv")
        .lines()
        .map(|line| line.split_once(',').unwrap().1.rsplit_once(',').unwrap().0.to_string() + "\n")
        .collect();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/golden.csv");
    if std::env::var_os("FEDROBUST_GOLDEN").is_some() {
        fs::write(&path, &text).unwrap();
    }
    let (found, pinned) = (table(&text), table(&fs::read_to_string(path).unwrap()));
    assert_eq!(found.len(), pinned.len());
    for (row, (found, pinned)) in found.iter().zip(&pinned).enumerate() {
        assert!(found.keys().eq(pinned.keys()));
        for (column, value) in found {
            let expected = &pinned[column];
            let near = match (value.parse::<f64>(), expected.parse::<f64>()) {
                (Ok(value), Ok(expected)) => (value - expected).abs() <= TOLERANCE,
                _ => value == expected,
            };
            assert!(near, "row {row}, {column}: {value}, pinned is {expected}");
        }
    }

    bench.run("again", &[]);
    assert_eq!(bench.rounds("again"), bench.rounds("out"), "on one machine every byte stays");
}

#[test]
fn a_gpu_gives_the_numbers_of_the_cpu_within_a_bound() {
    let bench = Bench::new(SCENARIO);
    let gpu = bench.ran(&["run", "x.toml", "--device", "cuda", "--out", "gpu"]);
    if gpu.code == Some(3) {
        eprintln!("skipped: this machine shows no CUDA device to libtorch");
        return;
    }
    assert_eq!(gpu.code, Some(0), "{}", gpu.err);
    bench.run("cpu", &[]);
    let (gpu, cpu) = (table(&bench.read("gpu/rounds.csv")), table(&bench.read("cpu/rounds.csv")));
    assert_eq!(gpu.len(), cpu.len());
    for (gpu, cpu) in gpu.iter().zip(&cpu) {
        for (column, value) in gpu.iter().filter(|(column, _)| !["seconds", "fingerprint"].contains(&column.as_str())) {
            let bound = if column.ends_with("loss") { 1e-3 } else { 0.05 };
            let near = match (value.parse::<f64>(), cpu[column].parse::<f64>()) {
                (Ok(value), Ok(expected)) => (value - expected).abs() <= bound,
                _ => *value == cpu[column],
            };
            assert!(near, "{column}: {value} on the GPU, {} on the CPU", cpu[column]);
        }
    }
}
