//! A sweep in parts, and the parts made whole.

use super::support::{Asked, Bench, TINY};
use std::collections::BTreeSet;
use std::fs;

const GRID: &str = "\n[[grid]]\n\"corrupt.missing-labels.rate\" = [0.0, 0.5]\nstrategy = [\"fedavg\", \"median\"]\n";

/// Eight runs of three rounds.
fn eight() -> Bench {
    Bench::new(&(TINY.replace("strategy = \"fedavg\"\n", "") + GRID))
}

fn shard(k: usize, n: usize) -> Asked {
    Asked { shard: format!("{k}/{n}"), ..Asked::default() }
}

fn merge(bench: &Bench, more: &[&str]) -> (Option<i32>, String, String) {
    let ran = bench.ran(&[&["merge"], more].concat());
    (ran.code, ran.out, ran.err)
}

#[test]
fn three_shards_merged_are_the_sweep_that_was_not_split() {
    let bench = eight();
    let whole = bench.run("whole", &[]);
    let mut names = BTreeSet::new();
    for k in 1..=3 {
        let ended = bench.sweep(&format!("parts/{k}"), &shard(k, 3));
        assert_eq!(ended.runs, if k == 3 { 2 } else { 3 });
        for run in fs::read_dir(bench.path(&format!("parts/{k}/runs"))).unwrap() {
            assert!(names.insert(run.unwrap().file_name()), "a run is of one shard");
        }
    }
    let parts = ["parts/1", "parts/2", "parts/3", "--out", "merged"];
    let (code, out, err) = merge(&bench, &parts);
    assert_eq!((code, err.as_str()), (Some(0), "8 of 8 runs are finished (8 copied now), 0 failed, 0 are missing\n"));
    assert_eq!(out, whole.out.replace("whole/", "merged/"));
    assert_eq!(bench.tables("merged"), bench.tables("whole"));
    let times = |out: &str| bench.read(&format!("{out}/rounds.csv"));
    let before = times("merged");

    let (code, _, err) = merge(&bench, &parts);
    assert_eq!((code, err.as_str()), (Some(0), "8 of 8 runs are finished (0 copied now), 0 failed, 0 are missing\n"));
    assert_eq!(times("merged"), before, "merging again changes nothing");
    assert_eq!(bench.run("merged", &[]).err, "8 of 8 runs were finished before and are not repeated\n");
}

#[test]
fn a_merge_takes_what_there_is_and_a_sweep_goes_on_from_it() {
    let bench = eight();
    bench.sweep("whole", &Asked::default());
    bench.sweep("parts/1", &shard(1, 2));
    // The second shard was stopped after a round of each of its runs.
    assert!(bench.sweep("parts/2", &Asked { rows: Some(4), ..shard(2, 2) }).stopped);
    let (code, out, err) = merge(&bench, &["parts/1", "parts/2", "--out", "merged"]);
    let told = "4 of 8 runs are finished (4 copied now), 0 failed, 4 are missing, 4 of them begun\n";
    assert_eq!((code, err.as_str()), (Some(0), told));
    assert!(out.contains("4 of 8 runs are not finished and are left out"), "{out}");
    let ended = bench.sweep("merged", &Asked::default());
    assert_eq!((ended.before, ended.finished, ended.notes), (4, 4, vec![]));
    assert_eq!(bench.rounds("merged"), bench.rounds("whole"));
}

#[test]
fn parts_that_disagree_are_refused_before_anything_is_copied() {
    let bench = eight();
    bench.sweep("a", &Asked::default());
    bench.copy("a", "b");
    let run = bench.read("a/plan.json").split("\"fingerprint\": \"").nth(1).unwrap()[..32].to_string();
    // The other machine computed another second round, and its manifest says so.
    let study = bench.checked(&[]).unwrap();
    let store = fedrobust::store::Store::open(&bench.path("b")).unwrap();
    let fedrobust::store::Outcome::Whole(mut manifest) = store.outcome(&run).unwrap() else { panic!() };
    let rows = store.rounds(&run).unwrap();
    let mut writer = store.run(&run).unwrap();
    writer.go_back_to(1).unwrap();
    for mut row in rows.into_iter().skip(1) {
        row.samples += 1;
        writer.append(&row).unwrap();
    }
    manifest.digest = writer.digest();
    writer.finish(&manifest).unwrap();
    drop(store);
    let label = study.label(0);
    let (code, out, err) = merge(&bench, &["a", "b", "--out", "merged"]);
    let expected = format!(
        "a and b: disagree on {label} from round 2 on (runs/{run}); machines of different kinds do not compute the same bytes, and a file may have been edited. Nothing was merged: remove this run in one of the two, or merge folders of one kind of machine\n"
    );
    assert_eq!((code, out.as_str(), err), (Some(2), "", expected));
    assert_eq!(fs::read_dir(bench.path("merged/runs")).unwrap().count(), 0);
}

#[test]
fn a_merge_says_what_diverged_and_where_processors_differ() {
    let bench = eight();
    bench.sweep("a", &shard(1, 2));
    bench.sweep("b", &shard(2, 2));
    let plan: fedrobust::record::Plan = serde_json::from_str(&bench.read("a/plan.json")).unwrap();
    let store = fedrobust::store::Store::open(&bench.path("b")).unwrap();
    let run = &plan.runs[1].fingerprint;
    let fedrobust::store::Outcome::Whole(mut manifest) = store.outcome(run).unwrap() else { panic!() };
    manifest.origin.machine = "x86_64 linux, another".into();
    manifest.stop = fedrobust::record::Stop::Diverged { round: 3 };
    store.run(run).unwrap().finish(&manifest).unwrap();
    drop(store);
    let (code, _, err) = merge(&bench, &["a", "b", "--out", "merged"]);
    let here = fedrobust::machine::kind();
    let mut origins = [here.as_str(), "x86_64 linux, another"];
    origins.sort_unstable();
    let origins = origins
        .map(|kind| format!("fedrobust {}, libtorch {}, {kind}", manifest.origin.version, manifest.origin.libtorch))
        .join("; ");
    let told = "8 of 8 runs are finished (8 copied now), 1 of them diverged, 0 failed, 0 are missing";
    assert_eq!((code, err), (Some(0), format!("note: the runs come from different origins: {origins}\n{told}\n")));
    // What an older version wrote names no processor, which then is not told from another.
    manifest.origin.machine.clear();
    let store = fedrobust::store::Store::open(&bench.path("b")).unwrap();
    store.run(run).unwrap().finish(&manifest).unwrap();
    drop(store);
    let (code, _, err) = merge(&bench, &["a", "b", "--out", "unnamed"]);
    assert_eq!((code, err), (Some(0), format!("{told}\n")));
}

#[test]
fn folders_of_other_sweeps_are_refused() {
    let bench = eight();
    bench.sweep("a", &shard(1, 4));
    bench.sweep("b", &Asked { sets: vec!["train.rounds=2".into()], ..shard(2, 4) });
    let (code, out, err) = merge(&bench, &["a", "b", "--out", "merged"]);
    let why = "are not parts of one sweep: of 8 and 8 runs they have 0 in common (other keys, data, version or kind of device); name folders of one scenario, run with the same fedrobust\n";
    assert_eq!((code, out.as_str(), err), (Some(2), "", format!("a and b: {why}")));
    assert!(!bench.path("merged").exists());
    bench.write("x.toml", &bench.read("x.toml").replace("Does it run?", "Why?"));
    bench.sweep("c", &shard(2, 4));
    let (code, _, err) = merge(&bench, &["a", "c", "--out", "merged"]);
    let why = "are not parts of one sweep: their runs are the same, but not what plan.json says of them (name, question, grids); name folders of one scenario, run with the same fedrobust\n";
    assert_eq!((code, err), (Some(2), format!("a and c: {why}")));
    let (code, _, err) = merge(&bench, &["a", "nowhere"]);
    let give = "give one that 'fedrobust run' made, for example results/quickstart";
    assert_eq!((code, err), (Some(2), format!("nowhere: there is no such folder; {give}\n")));
}

#[test]
fn a_shard_has_a_folder_of_its_own_and_says_how_to_go_on() {
    let bench = eight();
    let ran = bench.ran(&["run", "x.toml", "--device", "cpu", "--shard", "2/3"]);
    let said = "shard 2/3: 3 of 8 runs are done, in results/x-shards/2-of-3; when all shards are: fedrobust merge DIR… --out DIR\n";
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (Some(0), said, ""));
    assert_eq!(fs::read_dir(bench.path("results/x-shards/2-of-3/runs")).unwrap().count(), 3);
    let watched = bench.ran(&["watch", "results/x-shards/2-of-3"]);
    let said = "x, shard 2/3: it has ended\nruns    3 finished, 0 diverged, 0 failed, 0 under way, of 3\n";
    assert!(watched.code == Some(0) && watched.out.starts_with(said), "{}", watched.out);
    let report = bench.ran(&["report", "results/x-shards/2-of-3"]).out;
    assert!(report.contains("5 of 8 runs are of other shards than 2/3, which this folder is of"), "{report}");
    let refused = bench.ran(&["run", "x.toml", "--shard", "4/3"]);
    assert_eq!(refused.code, Some(2));
    assert!(refused.err.contains("allowed: K/N with K from 1 to N, for example 3/16"), "{}", refused.err);
}
