use super::*;
use crate::record::{Metric, Origin, Scores, Stop};
use std::collections::BTreeMap;
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
    store.write_plan(&plan(), "seeds = [8]\n").unwrap();
    let read = Store::read(folder.path()).unwrap();
    assert_eq!((read.plan().unwrap(), read.scenario().unwrap()), (plan(), "seeds = [8]\n".to_string()));
}

#[test]
fn a_run_that_goes_to_its_end_leaves_rows_and_manifest_and_no_checkpoint() {
    let (folder, store) = open();
    let mut run = store.run(RUN).unwrap();
    assert_eq!(store.outcome(RUN).unwrap(), Outcome::Unfinished);
    run.append(&row(1)).unwrap();
    run.checkpoint(&[("w".into(), Tensor::from_slice(&[1f32]))], &BTreeMap::new()).unwrap();
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
    let meta = BTreeMap::from([("round".to_string(), "1".to_string())]);
    run.checkpoint(&[("w".into(), Tensor::from_slice(&[2.5f32]))], &meta).unwrap();
    run.append(&row(2)).unwrap();
    drop(run);
    let path = folder.path().join(RUNS).join(RUN).join(ROUNDS);
    let mut file = OpenOptions::new().append(true).open(path).unwrap();
    file.write_all(b"3,0.5,2").unwrap();

    let mut run = store.run(RUN).unwrap();
    let (tensors, texts) = run.load_checkpoint().unwrap();
    assert_eq!((tensors[0].1.double_value(&[0]), texts), (2.5, meta));
    assert_eq!(run.truncate_after(1).unwrap(), 1);
    assert_eq!(store.rounds(RUN).unwrap(), [row(1)]);
    assert_eq!((run.expected(1), run.expected(2), run.expected(3)), (None, Some(&row(2)), None));
    run.append(&row(2)).unwrap();
    assert_eq!(store.rounds(RUN).unwrap(), [row(1), row(2)]);
}

#[test]
fn a_checkpoint_later_than_the_rows_is_told_by_the_count() {
    let (_folder, store) = open();
    let mut run = store.run(RUN).unwrap();
    run.append(&row(1)).unwrap();
    assert_eq!(run.truncate_after(5).unwrap(), 1);
    assert_eq!(store.rounds(RUN).unwrap(), [row(1)]);
}

#[test]
fn a_damaged_checkpoint_is_none() {
    let (folder, store) = open();
    let mut run = store.run(RUN).unwrap();
    assert!(run.load_checkpoint().is_none());
    run.checkpoint(&[("w".into(), Tensor::from_slice(&[1f32]))], &BTreeMap::new()).unwrap();
    let path = folder.path().join(RUNS).join(RUN).join(CHECKPOINT);
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    assert!(run.load_checkpoint().is_none());
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
    fs::write(&path, "{\"format\": 0}").unwrap();
    assert_eq!(
        message(),
        format!(
            "{shown}: was made by an older fedrobust (format 0, this one knows {FORMAT}); run the scenario again into another folder (--out DIR)"
        )
    );
    fs::write(&path, "{").unwrap();
    assert_eq!(message(), format!("{}: is damaged; remove it and run the scenario again", path.display()));
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
