//! The command line itself: calls that are wrong, devices, threads, pipes, `plan`, `data info`.

use super::support::{Bench, Npz, Ran, TINY};
use std::process::Stdio;

fn said(arguments: &[&str]) -> Ran {
    Bench::new(TINY).ran(arguments)
}

#[test]
fn help_and_version_are_answers_and_a_wrong_call_is_not() {
    let help = said(&["--help"]);
    assert_eq!((help.code, help.err.as_str()), (Some(0), ""));
    for command in ["run", "plan", "report", "compare", "gate", "list", "data", "eval"] {
        assert!(help.out.contains(&format!("\n  {command} ")), "{command}");
    }
    assert!(help.out.contains("Exit codes: 0 done;"));
    assert_eq!(said(&["--version"]).out, format!("fedrobust {}\n", env!("CARGO_PKG_VERSION")));
    for wrong in [&["run"][..], &["frobnicate"], &[]] {
        let ran = said(wrong);
        assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{wrong:?}");
        assert!(ran.err.contains("Usage: fedrobust"), "{}", ran.err);
    }
}

#[test]
fn a_device_that_is_no_device_is_a_wrong_call() {
    let ran = said(&["run", "x.toml", "--device", "tpu"]);
    let err = "--device tpu: is not a device; allowed: auto, cpu, cuda, cuda:N (N = 0, 1, …)\n";
    assert_eq!(ran, Ran { code: Some(2), out: String::new(), err: err.into() });
}

#[test]
fn a_device_that_the_machine_lacks_is_the_machines_fault() {
    if fedrobust::device::choose("cuda").is_ok() {
        eprintln!("skipped: this machine has a CUDA device");
        return;
    }
    let ran = said(&["run", "x.toml", "--device", "cuda"]);
    let err = "--device cuda: this machine shows no CUDA device to libtorch; use --device cpu, or check the driver (nvidia-smi) and that libtorch is the CUDA build (libtorch_cuda.so in its lib folder)\n";
    assert_eq!(ran, Ran { code: Some(3), out: String::new(), err: err.into() });
}

#[test]
fn no_threads_at_all_is_refused_before_anything_is_made() {
    let bench = Bench::new(TINY);
    let err = "--threads 0: is too small; allowed: a whole number from 1. Leave it out to use all cores.\n";
    let ran = bench.ran(&["run", "x.toml", "--threads", "0"]);
    assert_eq!(ran, Ran { code: Some(2), out: String::new(), err: err.into() });
    assert!(!bench.path("results").exists());
}

#[test]
fn a_report_needs_a_folder_with_results() {
    let bench = Bench::new(TINY);
    let said = |folder: &str| {
        let ran = bench.ran(&["report", folder]);
        assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""));
        ran.err
    };
    let made = "give one that 'fedrobust run' made, for example results/quickstart\n";
    assert_eq!(said("nowhere"), format!("nowhere: there is no such folder; {made}"));
    assert_eq!(said("."), format!(".: is no results folder (it has no plan.json); {made}"));
}

#[test]
fn a_reader_that_goes_away_is_no_fault() {
    let bench = Bench::new(TINY);
    for arguments in [&["list", "strategy"][..], &["--help"]] {
        let mut command = bench.command(arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let ran = Ran::from(child.wait_with_output().unwrap());
        assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{arguments:?}");
    }
    let mut child = bench.command(&["run", "nowhere.toml"]).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stderr.take());
    assert_eq!(child.wait().unwrap().code(), Some(2));
}

#[test]
fn a_plan_tells_runs_clients_parameters_and_memory() {
    let bench = Bench::new(&format!("{TINY}\n[[grid]]\n\"corrupt.missing-labels.rate\" = [0.0, 0.5]\n"));
    let expected = "x: Does it run?
  runs        4 = 2 points × 2 seeds
              corrupt.missing-labels.rate = 0.0, seed 1
              corrupt.missing-labels.rate = 0.0, seed 2
              corrupt.missing-labels.rate = 0.5, seed 1
              corrupt.missing-labels.rate = 0.5, seed 2
  clients     3
  parameters  127
  memory      about 1 MB for data and 4 runs at a time
  device      cpu
";
    let ran = bench.ran(&["plan", "x.toml", "--no-calibrate", "--device", "cpu", "--threads", "1"]);
    assert_eq!(ran, Ran { code: Some(0), out: expected.into(), err: String::new() });
    assert!(!bench.path("results").exists(), "a plan writes nothing");

    let timed = bench.ran(&["plan", "x.toml", "--device", "cpu", "--threads", "1"]);
    let last = timed.out.lines().last().unwrap();
    assert!(last.starts_with("  time        about "), "{last}");
    assert!(last.ends_with(" on cpu (1 threads), by two rounds of training"), "{last}");
}

#[test]
fn data_info_takes_a_name_a_file_or_inline_toml() {
    let bench = Bench::new(TINY);
    let ran = bench.ran(&["data", "info", "shoulder"]);
    assert!(ran.out.starts_with("shoulder: 1050 samples, 10 natural clients\n"), "{ran:?}");
    let inline = bench.ran(&["data", "info", "{ synthetic = { samples = 90, classes = 3 } }"]);
    assert!(inline.out.starts_with("synthetic: 90 samples, 10 natural clients\n"), "{inline:?}");

    let label = (0..6).map(|i| i64::from(i % 2));
    Npz::create(&bench.path("mine.npz"))
        .with("motion", &[6, 4, 1], (0..24).map(|x| x as f32))
        .with("motion_length", &[6], [4i64, 4, 3, 4, 1, 4])
        .with("label", &[6], label)
        .done();
    let ran = bench.ran(&["data", "info", "mine.npz"]);
    let expected = "mine: 6 samples, 1 natural clients
  modality    motion [4, 1], lengths 1 to 4
  classes     2: 0 3, 1 3
  clients     1, samples each: least 6, median 6, most 6
  parts       none official; split by [split]
";
    let (shown, checksum) = ran.out.split_once("  checksum    ").unwrap();
    assert_eq!((shown, checksum.len()), (expected, 65));
}

#[test]
fn data_info_says_what_is_no_data() {
    let said = |source: &str| {
        let ran = said(&["data", "info", source]);
        assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""));
        ran.err
    };
    assert_eq!(
        said("foo"),
        "data = \"foo\"\n  is not a data source; allowed: shoulder, synthetic, population, npz, uci-har, ku-har, ptb-xl, crema-d, meld, fedmultimodal.\n"
    );
    assert_eq!(said("foo.npz"), "foo.npz: there is no such file; allowed: an .npz file. Check the path.\n");
    assert_eq!(
        said("{ synthetic = { samples = 0 } }"),
        "data.synthetic.samples = 0\n  is too small; allowed: a whole number from 1.\n"
    );
}
