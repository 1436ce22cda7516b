//! Stopped sweeps: killed at random moments, ended by Ctrl-C, ended at once by a second one.

use super::faults::{Started, long, rows, start, wait_until};
use super::support::{Asked, Bench, TINY};
use rand::{Rng, SeedableRng};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const KILLS: usize = 50;

#[test]
fn fifty_kills_at_random_moments_lose_nothing() {
    let given = std::env::var("FEDROBUST_KILL_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed: u64 = given.unwrap_or_else(rand::random);
    println!("moments of FEDROBUST_KILL_SEED={seed}");
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    let bench = Bench::new(&long(25).replace("checkpoint-seconds = 0", "checkpoint-seconds = 0.005"));
    let started = Instant::now();
    bench.run("whole", &["--threads", "1"]);
    let takes = started.elapsed();
    let (mut kills, mut folders, mut ends) = (0, 1, 0);
    let compare = |out: &str| assert_eq!(bench.tables(out), bench.tables("whole"), "{out} of seed {seed}");
    while kills < KILLS {
        let out = format!("killed-{folders}");
        let mut child = start(&bench, &out);
        std::thread::sleep(takes.mul_f64(rng.random_range(0.0..1.0)));
        child.0.kill().unwrap();
        match child.0.wait().unwrap().code() {
            None => kills += 1,
            code => {
                assert_eq!(code, Some(0), "{out} of seed {seed}");
                compare(&out);
                (folders, ends) = (folders + 1, ends + 1);
            }
        }
    }
    let out = format!("killed-{folders}");
    let rest = bench.run(&out, &[]);
    assert!(!rest.err.contains("different"), "{out} of seed {seed}: {}", rest.err);
    compare(&out);
    println!("{kills} kills over {folders} folders, {ends} ended before the kill");
}

#[test]
fn a_stopped_sweep_goes_on_to_the_same_tables() {
    let bench = Bench::new(&long(12));
    bench.sweep("whole", &Asked::default());
    for rows in [1, 4, 3, 2] {
        let ended = bench.sweep("stopped", &Asked { rows: Some(rows), ..Asked::default() });
        assert!(ended.stopped, "after {rows} rows");
        assert_eq!(ended.notes, [""; 0]);
    }
    let ended = bench.sweep("stopped", &Asked::default());
    assert!(!ended.stopped && ended.notes.is_empty());
    assert_eq!(bench.rounds("stopped"), bench.rounds("whole"));
}

fn signal(child: &Started, name: &str) {
    let pid = child.0.id().to_string();
    assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
}

fn start_heard(bench: &Bench, out: &str) -> Started {
    let mut command = bench.command(&["run", "x.toml", "--device", "cpu", "--out", out]);
    Started(command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap())
}

fn heard(child: &mut Started) -> (Option<i32>, String) {
    let mut text = String::new();
    std::io::Read::read_to_string(child.0.stderr.as_mut().unwrap(), &mut text).unwrap();
    (child.0.wait().unwrap().code(), text)
}

#[test]
fn ctrl_c_and_sigterm_end_after_the_round_with_everything_saved_and_tell_how_to_go_on() {
    // No checkpoint but the one of the signal.
    let bench = Bench::new(&long(100_000).replace("checkpoint-seconds = 0", "checkpoint-seconds = 1e6"));
    for (name, out) in [("-INT", "interrupted"), ("-TERM", "it's stopped")] {
        let mut child = start_heard(&bench, out);
        wait_until(|| rows(&bench.path(out).join("runs")).iter().any(|rows| rows.len() > 2));
        signal(&child, name);
        let (code, err) = heard(&mut child);
        let shown = if out == "interrupted" { out.to_string() } else { "'it'\\''s stopped'".to_string() };
        let command = format!("{} run x.toml --device cpu --out {shown}", env!("CARGO_BIN_EXE_fedrobust"));
        let expected = format!(
            "stopped after the round under way: 0 of 2 runs have ended, the others are saved; to go on:\n  {command}\n"
        );
        assert_eq!((code, err.as_str()), (Some(130), expected.as_str()));
        let rows = rows(&bench.path(out).join("runs"));
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[0].len(), rows[1].len(), "both runs ended their round");
        let runs = std::fs::read_dir(bench.path(out).join("runs")).unwrap();
        assert!(runs.into_iter().all(|run| run.unwrap().path().join("checkpoint.safetensors").exists()));
    }
}

#[test]
fn ctrl_c_ends_a_gate_after_the_round_without_an_answer() {
    let bench = Bench::new(TINY);
    let gate = ["gate", "x.toml", "--baseline", "x.json", "--device", "cpu", "--quiet"];
    assert_eq!(bench.ran(&[&gate[..], &["--bless", "--reason", "trusted"]].concat()).code, Some(0));
    bench.write("x.toml", &long(100_000));
    let mut command = bench.command(&[&gate[..], &["--out", "kept"]].concat());
    let mut child = Started(command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap());
    wait_until(|| rows(&bench.path("kept/runs")).iter().any(|rows| rows.len() > 2));
    signal(&child, "-INT");
    let expected = "stopped after the round under way, without an answer; what ran is kept in kept, and the same command goes on with it\n";
    assert_eq!(heard(&mut child), (Some(130), expected.to_string()));
}

#[test]
fn tf32_starts_the_program_again_with_libtorchs_switch_in_the_same_process() {
    let bench = Bench::new(&long(100_000));
    let mut command = bench.command(&["run", "x.toml", "--tf32", "--device", "cpu", "--out", "out"]);
    command.env_remove("TORCH_ALLOW_TF32_CUBLAS_OVERRIDE").stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = Started(command.spawn().unwrap());
    wait_until(|| rows(&bench.path("out/runs")).iter().any(|rows| rows.len() > 2));
    let environment = std::fs::read(format!("/proc/{}/environ", child.0.id())).unwrap();
    let switched = |variable: &[u8]| variable == b"TORCH_ALLOW_TF32_CUBLAS_OVERRIDE=1";
    assert!(environment.split(|&byte| byte == 0).any(switched));
    signal(&child, "-INT");
    let (code, err) = heard(&mut child);
    assert_eq!(code, Some(130));
    assert!(err.ends_with("run x.toml --tf32 --device cpu --out out\n"), "{err}");
}

#[test]
fn a_second_ctrl_c_ends_at_once() {
    // One round that takes tens of seconds.
    let slow = TINY.replace("rounds = 3", "rounds = 3\nepochs = 10000").replace("seeds = [1, 2]", "seeds = [1]");
    let bench = Bench::new(&slow);
    let mut child = start_heard(&bench, "out");
    wait_until(|| !rows(&bench.path("out/runs")).is_empty());
    signal(&child, "-INT");
    std::thread::sleep(Duration::from_millis(300));
    assert!(child.0.try_wait().unwrap().is_none(), "the first waits for the round");
    signal(&child, "-INT");
    assert_eq!(heard(&mut child), (Some(130), String::new()));
}
