//! `fedrobust gate` from the shell, and the proof that the shipped gate rests on.

use super::support::{Bench, Ran, TINY};
use std::path::Path;
use std::process::{Command, Output};

fn gate(bench: &Bench, more: &[&str], set: &[(&str, &str)]) -> Ran {
    let base = ["gate", "x.toml", "--baseline", "deep/x.json", "--device", "cpu", "--quiet"];
    let mut command = bench.command(&[&base, more].concat());
    command.env_remove("GITHUB_ACTIONS").env_remove("GITHUB_STEP_SUMMARY").envs(set.iter().copied());
    let output: Output = command.output().unwrap();
    output.into()
}

#[test]
fn a_baseline_is_blessed_held_and_broken() {
    let bench = Bench::new(TINY);
    let wrote = "wrote deep/x.json: 1 cells × 2 seeds, margin ±0.02\n";
    let blessed = gate(&bench, &["--bless", "--reason", "the first"], &[]);
    assert_eq!(blessed, Ran { code: Some(0), out: wrote.into(), err: String::new() });
    let passed = "gate passed: of 1 cells 1 identical, 0 equivalent, 0 changed
compared to the digit: machine, libtorch and seeds are those of the baseline

";
    assert_eq!(gate(&bench, &["--threads", "1"], &[]), Ran { code: Some(0), out: passed.into(), err: String::new() });

    // Another digest and another score, as a bug would leave them.
    let text = bench.read("deep/x.json");
    let mut baseline: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&baseline["reason"], &baseline["format"]), (&"the first".into(), &2.into()));
    let run = &mut baseline["cells"][0]["runs"][1];
    run["digest"] = "0123456789abcdef".into();
    bench.write("deep/x.json", &baseline.to_string());
    let digest = gate(&bench, &[], &[]);
    assert_eq!(digest.code, Some(1));
    assert!(digest.out.contains("why: digests of seed 2 differ, though scores are equivalent\n"), "{}", digest.out);
    assert_eq!(gate(&bench, &["--no-digest"], &[]).code, Some(0));
    // Elsewhere it is another machine: kernels that round otherwise must not cry.
    let elsewhere = gate(&bench, &[], &[("ATEN_CPU_CAPABILITY", "default")]);
    assert!(elsewhere.code == Some(0) && elsewhere.out.contains("the machine is another one"), "{}", elsewhere.out);

    baseline["cells"][0]["runs"][1]["score"] = 0.0.into();
    bench.write("deep/x.json", &baseline.to_string());
    let set = [("GITHUB_ACTIONS", "true"), ("GITHUB_STEP_SUMMARY", "summary.md")];
    let broken = gate(&bench, &["--no-digest", "--junit", "a/x.xml", "--markdown", "x.md"], &set);
    assert_eq!(broken.code, Some(1), "{}", broken.out);
    assert!(
        broken.out.contains("\n::error file=x.toml,title=fedrobust gate%3A changed::fedavg: score "),
        "{}",
        broken.out
    );
    assert!(bench.read("a/x.xml").contains("failures=\"1\""));
    assert!(bench.read("x.md").starts_with("## fedrobust gate: x\n\ngate FAILED"));
    assert_eq!(bench.read("summary.md"), bench.read("x.md"));

    let again = gate(&bench, &["--bless", "--reason", "meant", "--margin", "0.05"], &[]);
    assert!(again.out.contains("digests of seed 2 differ") && again.out.ends_with("margin ±0.05\n"), "{}", again.out);
    let other_seeds = gate(&bench, &["--set", "seeds=[7, 8]"], &[]);
    assert!(other_seeds.out.contains("the seeds are others"), "{}", other_seeds.out);
}

#[test]
fn a_run_that_fails_is_told_in_every_form_and_never_blessed() {
    // With so few labels a round of seed 1 has one client to train, and the rule wants three.
    let strategy = "strategy = { trimmed-mean = { f = 1 } }\ncorrupt.missing-labels.rate = 0.93";
    let bench = Bench::new(&TINY.replace("strategy = \"fedavg\"", strategy));
    let failed = "failed in round 1: trimmed-mean with f = 1 met a round with 1 rows; it needs at least 3. Lower f, or draw a larger cohort";
    let refused = gate(&bench, &["--bless", "--reason", "x"], &[]);
    let err = format!("a baseline needs runs that end: trimmed-mean (f 1), seed 1 {failed}\n");
    assert_eq!(refused, Ran { code: Some(1), out: String::new(), err });
    assert!(!bench.path("deep/x.json").exists());

    assert_eq!(gate(&bench, &["--bless", "--reason", "x", "--set", "seeds=[2, 4]"], &[]).code, Some(0));
    let ran = gate(&bench, &["--junit", "x.xml", "--markdown", "x.md"], &[("GITHUB_ACTIONS", "true")]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(1), ""));
    for told in [ran.out, bench.read("x.xml"), bench.read("x.md")] {
        assert!(told.contains(&format!("no run broke off before, now one {failed};")), "{told}");
    }
}

#[test]
fn a_wrong_gate_is_refused_before_anything_runs() {
    let bench = Bench::new(TINY);
    let refused = |more: &[&str], err: &str| {
        assert_eq!(gate(&bench, more, &[]), Ran { code: Some(2), out: String::new(), err: format!("{err}\n") });
    };
    refused(&[], "deep/x.json: there is no such baseline; make it with --bless --reason 'WHY', on code that you trust");
    refused(&["--bless"], "--bless: needs a reason for who reads the diff: add --reason 'WHY'");
    refused(&["--bless", "--reason", " "], "--bless: needs a reason for who reads the diff: add --reason 'WHY'");
    refused(&["--reason", "x"], "--reason: says why a baseline is made; add --bless, or leave it out");
    refused(&["--margin", "0.1"], "--margin: belongs to the baseline; add --bless --reason 'WHY' to make one with it");
    refused(
        &["--bless", "--reason", "x", "--margin", "nan"],
        "--margin NaN: is not a number above 0; allowed: for example 0.02",
    );
    assert!(!bench.path("deep").exists());
    bench.write("file", "");
    bench.write("deep", "");
    let ran = gate(&bench, &["--bless", "--reason", "x"], &[]);
    let said = "cannot make deep: File exists (os error 17); a part of this path is a file: choose another folder\n";
    assert_eq!((ran.code, ran.err.as_str()), (Some(3), said));
    std::fs::remove_file(bench.path("deep")).unwrap();
    let blessed = gate(&bench, &["--bless", "--reason", "x", "--junit", "file/not-asked-for.xml"], &[]);
    assert_eq!(blessed.code, Some(0), "{}", blessed.err);
    let ran = gate(&bench, &["--junit", "file/x.xml"], &[]);
    let said = "cannot make file: File exists (os error 17); a part of this path is a file: choose another folder\n";
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (Some(3), "", said));
    let ran = gate(&bench, &["--markdown", "."], &[]);
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (Some(3), "", "cannot write .: is a directory\n"));
    let other = gate(&bench, &["--set", "train.rounds=2"], &[]);
    let remedy = "a baseline answers for one scenario: make it anew with --bless --reason 'WHY'";
    let err = format!("the baseline does not have the cell 'fedavg' as it is now; {remedy}\n");
    assert_eq!((other.code, other.err), (Some(2), err));
}

#[test]
fn every_mutation_of_the_proof_has_its_place() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let ran = Command::new("python3").args(["-B", "scripts/mutations.py", "--check"]).current_dir(root).output();
    match ran {
        Ok(output) => {
            let ran = Ran::from(output);
            assert_eq!((ran.code, ran.out.as_str()), (Some(0), "20 mutations apply\n"), "{}", ran.err);
        }
        Err(error) => eprintln!("skipped: there is no python3 ({error})"),
    }
}
