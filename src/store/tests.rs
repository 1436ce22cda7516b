use super::*;
use crate::record::{Metric, Origin, Scores, Stop};
use crate::shard::Shard;
use std::fs::OpenOptions;
use std::io::Write;
use tch::Tensor;

const RUN: &str = "0123456789abcdef0123456789abcdef";

fn plan() -> Plan {
    Plan {
        format: FORMAT,
        name: "t".into(),
        question: "?".into(),
        metric: Metric::MacroF1,
        reading: None,
        multilabel: false,
        classes: 2,
        seeds: vec![8],
        rounds: 3,
        grids: vec![],
        points: vec![],
        runs: vec![],
    }
}

fn row(round: usize) -> RoundRow {
    let test = Scores { macro_f1: Some(0.1 * round as f64), ..Scores::default() };
    RoundRow {
        round,
        train_loss: Some(1.0),
        clients: 2,
        skipped: 0,
        samples: 10,
        excluded: 0,
        byzantine: 0,
        stayed: 0,
        bytes: 80,
        dev: None,
        test: Some(test),
        attack_success: None,
        epsilon: None,
        epsilon_fixed: None,
        seconds: 0.1,
    }
}

fn manifest(rounds: usize) -> Manifest {
    Manifest {
        format: FORMAT,
        fingerprint: RUN.into(),
        label: "seed 8".into(),
        seed: 8,
        stop: Stop::Finished,
        rounds,
        digest: digest(&(1..=rounds).map(row).collect::<Vec<_>>()),
        parameters: 10,
        clients: 2,
        realised: vec![],
        client_scores: vec![],
        dev_client_scores: vec![],
        class_counts: vec![],
        client_names: vec![],
        bytes: 80,
        origin: Origin {
            version: "0.1.0".into(),
            commit: None,
            libtorch: "2.11.0".into(),
            device: "cpu".into(),
            threads: 1,
            numerics: 1,
            machine: "x86_64 linux".into(),
        },
        seconds: 1.5,
    }
}

fn open() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    (folder, store)
}

#[test]
fn a_plan_and_its_scenario_come_back() {
    let (folder, store) = open();
    store.write_plan(&plan(), "seeds = [8]\n", Shard::WHOLE).unwrap();
    let read = Store::read(folder.path()).unwrap();
    assert_eq!((read.plan().unwrap(), read.scenario().unwrap()), (plan(), "seeds = [8]\n".to_string()));
}

#[test]
fn a_run_that_goes_to_its_end_leaves_rows_and_manifest_and_no_checkpoint() {
    let (folder, store) = open();
    let mut run = store.run(RUN).unwrap();
    assert_eq!(store.outcome(RUN).unwrap(), Outcome::Unfinished);
    run.append(&row(1)).unwrap();
    run.checkpoint(&[("w".into(), Tensor::from_slice(&[1f32]))]).unwrap();
    run.append(&row(2)).unwrap();
    run.save_model(&[("w".into(), Tensor::from_slice(&[1f32]))]).unwrap();
    run.finish(&manifest(2)).unwrap();
    assert_eq!(store.rounds(RUN).unwrap(), [row(1), row(2)]);
    assert_eq!(store.outcome(RUN).unwrap(), Outcome::Whole(Box::new(manifest(2))));
    let mut names: Vec<_> =
        fs::read_dir(folder.path().join(RUNS).join(RUN)).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["manifest.json", "model.safetensors", "rounds.csv"]);
}

#[test]
fn a_killed_run_goes_on_from_its_checkpoint_and_is_held_to_the_rows_beyond_it() {
    let (folder, store) = open();
    let mut run = store.run(RUN).unwrap();
    run.append(&row(1)).unwrap();
    run.checkpoint(&[("w".into(), Tensor::from_slice(&[2.5f32]))]).unwrap();
    run.append(&row(2)).unwrap();
    drop(run);
    let path = folder.path().join(RUNS).join(RUN).join(ROUNDS);
    let mut file = OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(b"3,0.5,2").unwrap();

    let mut run = store.run(RUN).unwrap();
    let (round, tensors) = run.load_checkpoint().unwrap();
    assert_eq!((round, tensors[0].1.double_value(&[0])), (1, 2.5));
    let dropped = format!("{}: 7 bytes after round 2 were damaged and are dropped", path.display());
    assert_eq!(run.take_notes(), [dropped]);
    run.go_back_to(1).unwrap();
    assert_eq!(store.rounds(RUN).unwrap(), [row(1)]);
    assert_eq!((run.expected(1), run.expected(2), run.expected(3)), (None, Some(&row(2)), None));
    run.append(&row(2)).unwrap();
    assert_eq!(store.rounds(RUN).unwrap(), [row(1), row(2)]);
}

/// Two rows, a checkpoint after the second, and a third.
fn interrupted() -> (tempfile::TempDir, Store, PathBuf) {
    let (folder, store) = open();
    let mut run = store.run(RUN).unwrap();
    run.append(&row(1)).unwrap();
    run.append(&row(2)).unwrap();
    run.checkpoint(&[("w".into(), Tensor::from_slice(&[2.5f32]))]).unwrap();
    run.append(&row(3)).unwrap();
    let path = store.run_folder(RUN);
    (folder, store, path)
}

#[test]
fn a_checkpoint_that_does_not_fit_its_rows_is_not_used_and_a_note_says_why() {
    let refused = |harm: &dyn Fn(&Path)| {
        let (_folder, store, path) = interrupted();
        harm(&path);
        let mut run = store.run(RUN).unwrap();
        assert!(run.load_checkpoint().is_none());
        let shown = path.join(CHECKPOINT).display().to_string();
        run.take_notes().last().unwrap().replace(&shown, "checkpoint")
    };
    let rows = |path: &Path| fs::read_to_string(path.join(ROUNDS)).unwrap();
    let edited = refused(&|path| fs::write(path.join(ROUNDS), rows(path).replacen("1,1,2", "1,1.5,2", 1)).unwrap());
    assert_eq!(
        edited,
        "checkpoint: was taken after other numbers than those of rounds.csv beside it; the run starts again"
    );
    let cut = refused(&|path| {
        let text = rows(path);
        fs::write(path.join(ROUNDS), text.split_inclusive('\n').take(2).collect::<String>()).unwrap();
    });
    assert_eq!(cut, "checkpoint: is of round 2, but rounds.csv beside it has 1; the run starts again");
    let damaged = "checkpoint: is damaged; the run starts again";
    let bytes = |path: &Path| fs::read(path.join(CHECKPOINT)).unwrap();
    for keep in [0, 1, 8, 100] {
        assert_eq!(refused(&|path| fs::write(path.join(CHECKPOINT), &bytes(path)[..keep]).unwrap()), damaged);
    }
    // What a power cut may leave: the length of the file with nothing in it.
    assert_eq!(refused(&|path| fs::write(path.join(CHECKPOINT), vec![0; bytes(path).len()]).unwrap()), damaged);
}

#[test]
fn a_run_without_a_checkpoint_starts_again_without_a_word() {
    let (_folder, store) = open();
    let mut run = store.run(RUN).unwrap();
    assert!(run.load_checkpoint().is_none());
    assert!(run.take_notes().is_empty());
}

#[test]
fn what_killed_processes_left_is_swept_up_and_files_of_others_stay() {
    let (folder, store, path) = interrupted();
    drop(store);
    for place in [folder.path(), &path] {
        fs::write(place.join(".fedrobust-abc.tmp"), "x").unwrap();
        fs::write(place.join("mine.tmp"), "x").unwrap();
    }
    let store = Store::open(folder.path()).unwrap();
    store.run(RUN).unwrap();
    assert!(!path.join(".fedrobust-abc.tmp").exists() && path.join("mine.tmp").exists());
    let fresh = folder.path().join(".fedrobust-abc.tmp");
    assert!(fresh.exists(), "a report may be writing it at this moment");
    assert!(folder.path().join("mine.tmp").exists());
    files::sweep_up(folder.path(), true);
    assert!(!fresh.exists());
}

#[test]
fn opening_a_run_again_takes_its_manifest_away() {
    let (_folder, store, path) = interrupted();
    store.run(RUN).unwrap().finish(&manifest(3)).unwrap();
    assert!(matches!(store.outcome(RUN).unwrap(), Outcome::Whole(_)));
    store.run(RUN).unwrap();
    assert_eq!(store.outcome(RUN).unwrap(), Outcome::Unfinished);
    assert_eq!(store.rounds(RUN).unwrap().len(), 3, "its rows stay, and are what is computed again is held against");
    assert!(!path.join(CHECKPOINT).exists());
}

#[test]
fn a_manifest_that_is_cut_edited_or_disagrees_with_its_rows_is_not_a_finished_run() {
    let (folder, store) = open();
    let mut run = store.run(RUN).unwrap();
    run.append(&row(1)).unwrap();
    run.finish(&manifest(1)).unwrap();
    let path = folder.path().join(RUNS).join(RUN).join(MANIFEST);
    let whole = fs::read_to_string(&path).unwrap();
    let edited = format!("{}: is cut or was edited; the run counts as not finished", path.display());
    for text in ["", &whole[..whole.len() - 9], &whole.replace("\"seed\": 8", "\"seed\": 9")] {
        fs::write(&path, text).unwrap();
        assert_eq!(store.outcome(RUN).unwrap(), Outcome::Damaged(edited.clone()));
    }
    let edited = fs::read_to_string(path.with_file_name(ROUNDS)).unwrap().replacen("1,1,2", "1,1.5,2", 1);
    run.finish(&manifest(1)).unwrap();
    fs::write(path.with_file_name(ROUNDS), edited).unwrap();
    let other = "tells of other numbers than rounds.csv beside it, so one of the two was edited";
    let other = format!("{}: {other}; the run counts as not finished", path.display());
    assert_eq!(store.outcome(RUN).unwrap(), Outcome::Damaged(other));
    run.finish(&manifest(7)).unwrap();
    let disagrees = "tells of 7 rounds, but rounds.csv beside it has 1; the run counts as not finished";
    assert_eq!(store.outcome(RUN).unwrap(), Outcome::Damaged(format!("{}: {disagrees}", path.display())));
}

#[test]
fn a_second_process_is_refused_with_the_remedy_until_the_first_has_ended() {
    let (folder, store) = open();
    let error = Store::open(folder.path()).unwrap_err();
    assert_eq!(error.exit_code(), 3);
    assert_eq!(
        error.to_string(),
        format!(
            "the results folder {} is in use by another fedrobust (process {}); wait until it has ended, or choose another folder (--out DIR)",
            folder.path().display(),
            std::process::id()
        )
    );
    drop(store);
    Store::open(folder.path()).unwrap();
}

#[test]
fn a_folder_that_cannot_be_made_fails_at_once() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let folder = file.path().join("results");
    let error = Store::open(&folder).unwrap_err();
    assert_eq!(error.exit_code(), 3);
    let expected = format!(
        "cannot make the results folder {}: Not a directory (os error 20); a part of this path is a file: choose another folder (--out DIR)",
        folder.display()
    );
    assert_eq!(error.to_string(), expected);
}

#[test]
fn a_folder_that_holds_no_results_or_another_format_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let shown = folder.path().display();
    let message = || Store::read(folder.path()).unwrap_err().to_string();
    let give = "give one that 'fedrobust run' made, for example results/quickstart";
    assert_eq!(message(), format!("{shown}: is no results folder (it has no plan.json); {give}"));
    let path = folder.path().join(PLAN);
    fs::write(&path, "{\"format\": 99}").unwrap();
    assert_eq!(
        message(),
        format!(
            "{shown}: was made by a newer fedrobust (format 99, this one knows {FORMAT}); use that one, or run the scenario into another folder (--out DIR)"
        )
    );
    assert!(Store::open(folder.path()).is_err());
    assert!(!folder.path().join(RUNS).exists(), "nothing is touched");
    fs::write(&path, "{\"format\": 0}").unwrap();
    assert_eq!(
        message(),
        format!(
            "{shown}: was made by an older fedrobust (format 0, this one knows {FORMAT}); run the scenario again into another folder (--out DIR)"
        )
    );
    fs::write(&path, "{").unwrap();
    let again = "run the scenario again into this folder: it writes the plan anew and keeps finished runs";
    let damaged = format!("{}: is damaged (it is not JSON with a format); {again}", path.display());
    assert_eq!(message(), damaged);
    let absent = folder.path().join("absent");
    let error = Store::read(&absent).unwrap_err();
    assert_eq!(
        (error.exit_code(), error.to_string()),
        (2, format!("{}: there is no such folder; {give}", absent.display()))
    );
}

#[test]
fn plots_of_an_earlier_report_go_and_files_of_others_stay() {
    let (folder, store) = open();
    for name in ["robustness.svg", "robustness-2.svg", "mine.svg"] {
        store.save(Output::Plot(name), b"x").unwrap();
    }
    store.keep_plots(&["robustness.svg".to_string()], &["robustness"]).unwrap();
    let mut names: Vec<_> = fs::read_dir(folder.path().join(PLOTS)).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["mine.svg", "robustness.svg"]);
}

#[test]
fn a_damaged_plan_is_noted_and_written_anew_by_a_sweep() {
    let folder = tempfile::tempdir().unwrap();
    for text in ["", "{", "{\"format\"", "\0\0\0\0"] {
        fs::write(folder.path().join(PLAN), text).unwrap();
        let store = Store::open(folder.path()).unwrap();
        let note = format!("{}: was damaged and is written anew", folder.path().join(PLAN).display());
        assert_eq!(store.notes(), [note]);
        store.write_plan(&plan(), "", Shard::WHOLE).unwrap();
        assert_eq!(store.plan().unwrap(), plan());
    }
}

#[test]
fn a_plan_that_does_not_hold_together_is_refused() {
    let axis = |labels: usize, numbers: Option<usize>| crate::record::Axis {
        path: "train.rounds".into(),
        labels: vec!["1".into(); labels],
        numbers: numbers.map(|n| vec![1.0; n]),
    };
    let run = |point: usize, fingerprint: &str| crate::record::RunInfo {
        point,
        seed: 8,
        rounds: 3,
        fingerprint: fingerprint.into(),
    };
    let grid = |axis, cells: &[(Vec<usize>, usize)]| crate::record::Grid { axes: vec![axis], cells: cells.to_vec() };
    let point = crate::record::PointInfo { strategy: "fedavg".into(), settings: vec![] };
    let sound = Plan {
        points: vec![point],
        runs: vec![run(0, RUN)],
        grids: vec![grid(axis(1, Some(1)), &[(vec![0], 0)])],
        ..plan()
    };
    let said = |plan: Plan| {
        let (folder, store) = open();
        store.write_plan(&plan, "", Shard::WHOLE).unwrap();
        let said = store.plan().err().map(|e| e.to_string());
        said.map(|text| text.replace(&folder.path().join(PLAN).display().to_string(), "plan"))
    };
    assert_eq!(said(sound.clone()), None);
    let again = "run the scenario again into this folder: it writes the plan anew and keeps finished runs";
    let refused = |plan: Plan, why: &str| assert_eq!(said(plan), Some(format!("plan: is damaged ({why}); {again}")));
    for name in ["../../../../etc/../../../../tmp/abc", "0123456789ABCDEF0123456789abcdef", "", "0123"] {
        refused(
            Plan { runs: vec![run(0, name)], ..sound.clone() },
            &format!("the fingerprint {name:?} is not 32 hex digits"),
        );
    }
    for name in ["../../x", "/x", "..", ""] {
        refused(Plan { name: name.into(), ..sound.clone() }, &format!("its name {name:?} cannot name a folder"));
    }
    refused(Plan { runs: vec![run(1, RUN)], ..sound.clone() }, "a run is of point 1 of 1");
    let grids = |grid| Plan { grids: vec![grid], ..sound.clone() };
    refused(grids(grid(axis(0, None), &[])), "the axis train.rounds has 0 labels and 0 numbers");
    refused(grids(grid(axis(2, Some(1)), &[])), "the axis train.rounds has 2 labels and 1 numbers");
    refused(grids(grid(axis(1, None), &[(vec![1], 0)])), "there is no cell [1] with point 0");
    refused(grids(grid(axis(1, None), &[(vec![0, 0], 0)])), "there is no cell [0, 0] with point 0");
    refused(grids(grid(axis(1, None), &[(vec![0], 1)])), "there is no cell [0] with point 1");
}
