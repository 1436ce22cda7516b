//! `fedrobust compare` from the shell.

use super::support::{Bench, Ran, TINY};

const GRID: &str = "\n[[grid]]\n\"corrupt.missing-labels.rate\" = [0.0, 0.5]\nstrategy = [\"fedavg\", \"median\"]\n";

#[test]
fn a_folder_is_compared_printed_and_drawn() {
    let bench = Bench::new(&(TINY.replace("strategy = \"fedavg\"\n", "") + GRID));
    bench.run("out", &["--quiet"]);
    let ran = bench.ran(&["compare", "out"]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
    assert!(ran.out.starts_with("Test macro-F1 at the best development round, by strategy\n"), "{}", ran.out);
    assert!(ran.out.contains("\nmissing labels rate 0.5\n"), "{}", ran.out);
    assert!(ran.out.contains("over 2 paired seeds (p = "), "{}", ran.out);
    assert!(ran.out.ends_with("wrote out/compare.csv\nwrote out/compare.svg\nwrote out/compare.png\n"), "{}", ran.out);
    assert_eq!(bench.read("out/compare.csv").lines().count(), 1 + 2);
    let elsewhere = bench.ran(&[
        "compare",
        "out",
        "--by",
        "corrupt.missing-labels.rate",
        "--out",
        "new/place",
        "--metric",
        "accuracy",
    ]);
    assert_eq!(elsewhere.code, Some(0), "{}", elsewhere.err);
    assert!(elsewhere.out.starts_with("Test accuracy at the best"), "{}", elsewhere.out);
    assert!(bench.path("new/place/compare.png").exists());
    // The same scenario again keeps the comparison; another one in this folder does not.
    bench.run("out", &["--quiet"]);
    assert!(bench.path("out/compare.csv").exists());
    bench.run("out", &["--quiet", "--set", "train.rounds=2"]);
    assert!(["csv", "svg", "png"].iter().all(|ending| !bench.path(&format!("out/compare.{ending}")).exists()));
}

#[test]
fn a_wrong_comparison_says_what_is_allowed() {
    let bench = Bench::new(&(TINY.replace("strategy = \"fedavg\"\n", "") + GRID));
    bench.run("out", &["--quiet"]);
    let said = |arguments: &[&str]| bench.ran(&[&["compare", "out"], arguments].concat());
    let refused = |err: &str| Ran { code: Some(2), out: String::new(), err: err.into() };
    assert_eq!(
        said(&["--by", "train.batch"]),
        refused(
            "--by train.batch: is no axis of these results; allowed: strategy, folder, corrupt.missing-labels.rate\n"
        )
    );
    assert_eq!(
        said(&["--against", "krum"]),
        refused("--against krum: is no group of --by strategy; allowed: fedavg, median\n")
    );
    let metric = said(&["--metric", "f1"]);
    assert!(metric.code == Some(2) && metric.err.contains("allowed: accuracy, macro-f1, uar, top-k"), "{}", metric.err);
    assert!(!bench.path("out/compare.csv").exists());
}
