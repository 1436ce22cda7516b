mod compared;

use super::fake::{Fake, ROUNDS};
use super::panel::Panel;
use super::*;
use crate::record::{Manifest, Reading, Stop};
use std::fs;

fn all(_: usize, manifest: Manifest) -> Option<Manifest> {
    Some(manifest)
}

fn report(fake: &Fake, ended: impl Fn(usize, Manifest) -> Option<Manifest>) -> (tempfile::TempDir, Report) {
    let folder = tempfile::tempdir().unwrap();
    fake.write(folder.path(), ended);
    let report = write(folder.path()).unwrap();
    (folder, report)
}

/// Only what words and numbers need: figures take seconds.
fn study(fake: &Fake, ended: impl Fn(usize, Manifest) -> Option<Manifest>) -> (tempfile::TempDir, Study, Vec<Panel>) {
    let folder = tempfile::tempdir().unwrap();
    fake.write(folder.path(), ended);
    let study = Study::read(&Store::read(folder.path()).unwrap()).unwrap();
    let panels = panel::panels(&study.plan);
    (folder, study, panels)
}

fn small() -> Fake {
    Fake { grids: false, clients: 6, ..Fake::default() }
}

#[test]
fn a_report_is_tables_figures_and_a_page() {
    let (folder, report) = report(&Fake::default(), all);
    let names: Vec<String> =
        report.paths.iter().map(|p| p.strip_prefix(folder.path()).unwrap().display().to_string()).collect();
    let expected = [
        "runs.csv",
        "rounds.csv",
        "summary.csv",
        "comparisons.csv",
        "robustness.csv",
        "fairness.csv",
        "plots/robustness.svg",
        "plots/robustness.png",
        "plots/heatmap.svg",
        "plots/heatmap.png",
        "plots/convergence.svg",
        "plots/convergence.png",
        "plots/partition.svg",
        "plots/partition.png",
        "report.html",
    ];
    assert_eq!(names, expected);
    assert_eq!((report.failed, report.notes.len()), (0, 0));
    for kind in ["robustness", "heatmap", "convergence"] {
        let svg = fs::read_to_string(folder.path().join(format!("plots/{kind}.svg"))).unwrap();
        for strategy in ["fedavg", "fedprox (mu 0.1)", "median", "trimmed-mean (f 2)"] {
            assert!(svg.contains(strategy), "{kind} without {strategy}");
        }
        assert!(svg.contains("@font-face"), "{kind} without its font");
    }
    let png = fs::read(folder.path().join("plots/robustness.png")).unwrap();
    let side = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().unwrap());
    assert_eq!((side(16), side(20)), (1400, 1176), "two pixels a point");
}

#[test]
fn the_page_needs_nothing_else_and_trusts_nothing() {
    let fake = Fake { question: "Is <script>alert(1)</script> \"safe\"?", ..small() };
    let (folder, _) = report(&fake, all);
    let page = fs::read_to_string(folder.path().join("report.html")).unwrap();
    assert!(page.contains("Is &lt;script&gt;alert(1)&lt;/script&gt; &quot;safe&quot;?"));
    assert!(page.contains("question = &quot;&lt;why&gt;&quot;"), "the scenario is shown");
    for outside in ["<script", "<link", "src=\"http", "url(http", "@import"] {
        assert!(!page.contains(outside), "{outside}");
    }
    for inside in
        ["prefers-color-scheme:dark", "@media print", "<svg", "fedrobust run quickstart.toml", "<dd>2.11.0</dd>"]
    {
        assert!(page.contains(inside), "{inside}");
    }
}

#[test]
fn a_second_report_of_the_same_runs_is_the_same_to_the_byte() {
    let (folder, first) = report(&small(), all);
    let bytes = |r: &Report| r.paths.iter().map(|p| fs::read(p).unwrap()).collect::<Vec<_>>();
    let before = bytes(&first);
    let second = write(folder.path()).unwrap();
    assert!(first == second && before == bytes(&second));
}

#[test]
fn without_a_grid_convergence_is_the_main_figure() {
    let (folder, report) = report(&small(), all);
    let page = fs::read_to_string(folder.path().join("report.html")).unwrap();
    let caption = "Convergence. Test macro-F1 after each evaluated round, mean over 3 seeds. Bands: 95 % interval of the mean. Dotted: a guess among 7 classes. Vertical axes from 0 to 1.";
    assert!(page.contains(caption), "{page}");
    let plots: Vec<String> = report
        .paths
        .iter()
        .filter(|p| p.extension().is_some_and(|e| e == "svg"))
        .map(|p| p.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    assert_eq!(plots, ["convergence.svg", "partition.svg"]);
}

#[test]
fn before_the_first_run_has_ended_there_are_words_and_no_figures() {
    let (_folder, report) = report(&small(), |_, _| None);
    assert_eq!(
        report.verdict,
        [
            "Over all runs, no run has a result.",
            "12 of 12 runs are not finished and are left out: the same command goes on with them."
        ]
    );
    assert_eq!(report.paths.len(), 7);
}

#[test]
fn the_terminal_table_fits_a_hundred_columns_and_marks_the_best() {
    let (_folder, study, panels) = study(&Fake::default(), all);
    let text = terminal::table(&study, &panels);
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    let start = "Test macro-F1 at the best development round, mean and 95 % interval (Student's t) over 3 seeds
* best of its column, yardsticks aside

missing modality rate
                               0          0.2          0.4          0.6          0.8
 fedavg              0.87 ±0.01   0.86 ±0.01*  0.82 ±0.02*  0.75 ±0.03*  0.65 ±0.01*
 fedprox (mu 0.1)    0.87 ±0.02   0.83 ±0.02   0.76 ±0.01   0.66 ±0.01   0.53 ±0.04
 median              0.88 ±0.02*  0.80 ±0.02   0.70 ±0.00   0.57 ±0.01   0.41 ±0.01
 trimmed-mean (f 2)  0.88 ±0.03*  0.77 ±0.01   0.64 ±0.01   0.48 ±0.03   0.30 ±0.01
";
    assert!(text.starts_with(start), "{text}");
    assert!(text.ends_with("yardsticks\n centralised  0.92 ±0.03\n local-only   0.51 ±0.01\n"), "{text}");
}

#[test]
fn a_clear_winner_is_named_with_its_lead() {
    let (_folder, study, panels) = study(&Fake::default(), all);
    assert_eq!(
        verdict::sentences(&study, &panels),
        [
            "At missing modality rate 0.8, fedavg keeps most: macro-F1 0.65 ±0.01 (from 0.87 at 0), 0.12 ±0.04 ahead of fedprox (mu 0.1) with 0.53 ±0.04 (p = 0.013 after Holm's correction for 6 comparisons).",
            "At missing labels rate 0.8, trimmed-mean (f 2) keeps most: macro-F1 0.59 ±0.02 (from 0.88 at 0), 0.11 ±0.04 ahead of fedavg with 0.48 ±0.02 (p = 0.005 after Holm's correction for 6 comparisons).",
            "At label noise rate 0.8, median keeps most: macro-F1 0.52 ±0.01 (from 0.88 at 0), 0.11 ±0.00 ahead of trimmed-mean (f 2) with 0.41 ±0.01 (p < 0.001 after Holm's correction for 6 comparisons).",
        ]
    );
}

#[test]
fn a_difference_within_chance_is_no_difference() {
    let (_folder, study, panels) = study(&small(), all);
    assert_eq!(
        verdict::sentences(&study, &panels),
        [
            "Over all runs, no difference found: median with macro-F1 0.88 ±0.02 and trimmed-mean (f 2) with 0.88 ±0.03 differ by 0.00 ±0.05 over 3 paired seeds (p = 1.000 after Holm's correction for 6 comparisons); to find a difference of this size in 80 % of studies takes more than 1,000 seeds. Not told from median either: fedavg, fedprox (mu 0.1)."
        ]
    );
}

#[test]
fn one_seed_has_no_interval_and_says_so() {
    let (_folder, study, panels) = study(&Fake { seeds: vec![8], dev: false, ..small() }, all);
    assert_eq!(
        verdict::sentences(&study, &panels),
        [
            "Over all runs, trimmed-mean (f 2) is highest: macro-F1 0.89, 0.02 ahead of median with 0.87.",
            "One seed says nothing about chance: run more seeds before believing a difference."
        ]
    );
    let start = "Test macro-F1 at the last evaluated round, one seed\n* best of its column, yardsticks aside\n";
    assert!(terminal::table(&study, &panels).starts_with(start));
}

#[test]
fn failed_diverged_and_unfinished_runs_are_said() {
    let (_folder, study, panels) = study(&small(), |i, manifest| match i {
        0 => {
            let stop = Stop::Failed { round: 3, message: "out of memory".into() };
            Some(Manifest { stop, rounds: 2, ..manifest })
        }
        1 | 3 | 4 => Some(Manifest { stop: Stop::Diverged { round: 9 }, rounds: 9, ..manifest }),
        2 => None,
        _ => Some(manifest),
    });
    assert_eq!(
        verdict::sentences(&study, &panels)[1..],
        [
            "1 of 12 runs are not finished and are left out: the same command goes on with them.",
            "3 of 12 runs diverged (weights NaN or infinite): 2 of fedprox (mu 0.1), 1 of fedavg; each has the score of its best development round before, or 0 without one.",
            "1 of 12 runs failed and are left out; the first: strategy = fedavg, seed 8 in round 3: out of memory."
        ]
    );
    let statuses: Vec<&str> = study.runs[..4].iter().map(|run| run.status()).collect();
    assert_eq!(statuses, ["failed", "diverged", "missing", "diverged"]);
    let page = sections::runs(&study);
    assert!(page.contains("12: 3 diverged, 1 failed, 7 finished, 1 missing"), "{page}");
    assert!(page.contains("<td class=\"word\">failed: out of memory</td>"), "{page}");
}

#[test]
fn a_run_that_diverged_scores_nothing_at_its_end() {
    // Both runs of the first strategy: one after nine rounds, one before anything was scored.
    let (_folder, mut study, panels) = study(&small(), |i, manifest| match i {
        0 => Some(Manifest { stop: Stop::Diverged { round: 9 }, rounds: 9, ..manifest }),
        1 => Some(Manifest { stop: Stop::Diverged { round: 1 }, rounds: 0, ..manifest }),
        _ => Some(manifest),
    });
    let values = |study: &Study| study.runs[..2].iter().map(|run| study.value(run)).collect::<Vec<_>>();
    let ninth = study.runs[0].rounds[8].test.and_then(|scores| scores.macro_f1);
    assert_eq!(values(&study), [ninth, Some(0.0)], "the best development round of nine was the last");
    for reading in [Reading::Last, Reading::Mean5] {
        study.plan.reading = Some(reading);
        assert_eq!(values(&study), [Some(0.0); 2]);
        let verdict = verdict::sentences(&study, &panels).join(" ");
        assert!(verdict.contains("2 of fedavg; each scores 0."), "{verdict}");
    }
    let runs = lines(tables::runs(&study).unwrap());
    assert!(runs[1].contains(",diverged,the weights became NaN or infinite after round 9,9,,0,0,0"), "{}", runs[1]);
    let table = terminal::table(&study, &panels);
    assert!(table.contains("\n* best of its column, yardsticks aside; † some or all runs diverged\n"), "{table}");
    let marked: Vec<&str> = table.lines().filter(|line| line.contains('†')).skip(1).collect();
    assert!(marked.len() == 1 && marked[0].contains("fedavg"), "{table}");
}

#[test]
fn without_a_development_set_a_diverged_run_has_no_best_round_either() {
    let fake = Fake { dev: false, ..small() };
    let (_folder, study, _) =
        study(&fake, |_, manifest| Some(Manifest { stop: Stop::Diverged { round: 9 }, rounds: 9, ..manifest }));
    let read = |reading| study.runs[0].read(reading, study.plan.metric, |scores| scores.macro_f1);
    assert_eq!((read(Reading::Best), read(Reading::Last)), (None, Some(0.0)));
}

#[test]
fn the_report_of_a_shard_does_not_miss_the_runs_of_others() {
    let fake = Fake { shard: "1/2".parse().unwrap(), ..small() };
    let (folder, study, panels) = study(&fake, |i, manifest| (i % 2 == 0 && i > 0).then_some(manifest));
    write(folder.path()).unwrap();
    let page = fs::read_to_string(folder.path().join("report.html")).unwrap();
    assert!(page.contains("fedrobust run quickstart.toml --shard 1/2</pre>"));
    let sentences = verdict::sentences(&study, &panels);
    assert_eq!(
        sentences[sentences.len() - 2..],
        [
            "6 of 12 runs are of other shards than 1/2, which this folder is of: fedrobust merge brings all together.",
            "1 of 12 runs are not finished and are left out: the same command goes on with them."
        ]
    );
}

#[test]
fn a_damaged_manifest_becomes_a_note_and_its_run_is_not_finished() {
    let folder = tempfile::tempdir().unwrap();
    let plan = small().write(folder.path(), all);
    let path = folder.path().join("runs").join(&plan.runs[0].fingerprint).join("manifest.json");
    fs::write(&path, "{").unwrap();
    let study = Study::read(&Store::read(folder.path()).unwrap()).unwrap();
    let note = format!("{}: is cut or was edited; the run counts as not finished", path.display());
    assert_eq!((study.runs[0].status(), study.notes), ("unfinished", vec![note]));
}

fn lines(bytes: Vec<u8>) -> Vec<String> {
    String::from_utf8(bytes).unwrap().lines().map(String::from).collect()
}

#[test]
fn runs_csv_has_a_row_a_run_with_all_three_readings() {
    let (_folder, study, _) = study(&Fake::default(), all);
    let lines = lines(tables::runs(&study).unwrap());
    assert_eq!(
        lines[0],
        "fingerprint,seed,strategy,corrupt.missing-modality.rate,corrupt.missing-labels.rate,corrupt.label-noise.rate,\
         status,message,rounds,last_loss,last_accuracy,last_macro_f1,last_uar,last_top_k,last_worst_10,last_attack_success,\
         best_loss,best_accuracy,best_macro_f1,best_uar,best_top_k,best_worst_10,best_attack_success,\
         mean5_loss,mean5_accuracy,mean5_macro_f1,mean5_uar,mean5_top_k,mean5_worst_10,mean5_attack_success,\
         realised.missing-modality,realised.missing-labels,realised.label-noise,clients,skipped,stayed,epsilon,epsilon_fixed,parameters,bytes,seconds"
    );
    assert_eq!(lines.len(), 1 + study.plan.runs.len());
    assert_eq!(
        lines[13],
        "00000000000000000000000400000008,8,fedavg,0.2,,,finished,,25,0.3527,0.887,0.867,0.877,,0.667,,\
         0.37170000000000014,0.877,0.857,0.867,,0.657,,\
         0.3853800000000001,0.8698,0.8497999999999999,0.8597999999999999,,0.6497999999999999,,\
         0.199,,,24,13,0,,,61447,147472800,2.5"
    );
}

#[test]
fn rounds_csv_has_a_row_a_round_with_what_its_run_is() {
    let (_folder, study, _) = study(&small(), all);
    let lines = lines(tables::rounds(&study).unwrap());
    assert_eq!(lines[0], format!("fingerprint,seed,strategy,{}", crate::store::HEADER));
    assert_eq!(lines.len(), 1 + 12 * ROUNDS);
    assert_eq!(lines[2], "00000000000000000000000000000008,8,fedavg,2,1,12,0,640,0,0,0,5898912,,,,,,,,,,,,,,,,0.25");
}

#[test]
fn summary_csv_has_a_row_a_point_reading_and_score() {
    let (_folder, study, _) = study(&small(), all);
    let lines = lines(tables::summary(&study).unwrap());
    assert_eq!(lines[0], "strategy,reading,metric,n,mean,low,high,sd");
    // Top-k is undefined here; 4 strategies, 3 readings, 5 scores.
    assert_eq!(lines.len(), 1 + 4 * 3 * 5);
    assert_eq!(lines[3], "fedavg,last,macro_f1,3,0.868,0.8566162508992097,0.8793837491007903,0.004582575694955844");
}

#[test]
fn a_numeric_axis_makes_columns_and_other_axes_make_panels() {
    use crate::record::{Axis, Grid, PointInfo};
    let axis = |path: &str, labels: &[&str]| Axis {
        path: path.into(),
        labels: labels.iter().map(|l| l.to_string()).collect(),
        numbers: labels.iter().map(|l| l.parse().ok()).collect(),
    };
    let mut plan = small().plan();
    let axes = vec![
        axis("partition.dirichlet.alpha", &["0.1", "5"]),
        axis("corrupt.label-noise.rate", &["0.4", "0"]),
        axis("strategy", &["a", "b"]),
    ];
    let cells = (0..8).map(|i| (vec![i / 4, i / 2 % 2, i % 2], i)).filter(|(_, point)| *point != 7).collect();
    plan.points = (0..8).map(|i| PointInfo { strategy: ["a", "b"][i % 2].into(), settings: vec![] }).collect();
    plan.grids = vec![Grid { axes, cells }];
    let panels = panel::panels(&plan);
    let titles: Vec<&str> = panels.iter().map(|p| p.title.as_str()).collect();
    assert_eq!(titles, ["label noise rate, dirichlet alpha = 0.1", "label noise rate, dirichlet alpha = 5"]);
    assert_eq!(
        (&panels[0].columns[..], panels[0].numbers.clone()),
        (&["0".to_string(), "0.4".into()][..], Some(vec![0.0, 0.4]))
    );
    let points: Vec<_> = panels[1].rows.iter().map(|row| (row.strategy.as_str(), row.points.clone())).collect();
    assert_eq!(points, [("a", vec![Some(6), Some(4)]), ("b", vec![None, Some(5)])]);
}

/// Writes a report to the folder in FEDROBUST_LOOK, for eyes.
#[test]
fn figures_to_look_at() {
    let Ok(folder) = std::env::var("FEDROBUST_LOOK") else {
        eprintln!("skipped: set FEDROBUST_LOOK to a folder to get a report to look at");
        return;
    };
    let folder = Path::new(&folder);
    Fake::default().write(&folder.join("full"), all);
    println!("{}", write(&folder.join("full")).unwrap().plain());
    let odd = Fake { grids: false, clients: 75, seeds: vec![1], dev: false, ..Fake::default() };
    odd.write(&folder.join("odd"), all);
    println!("{}", write(&folder.join("odd")).unwrap().plain());
}

#[test]
fn the_scenario_may_name_the_reading_that_is_shown_first() {
    let (_folder, mut study, _) = study(&small(), all);
    for reading in crate::record::Reading::ALL {
        study.plan.reading = Some(reading);
        let run = &study.runs[0];
        let wanted = run.read(reading, study.plan.metric, |scores| scores.macro_f1);
        assert_eq!((study.reading(), study.value(run)), (reading, wanted));
        assert!(study.measure().contains(reading.caption()), "{}", study.measure());
    }
    study.plan.reading = None;
    assert_eq!(study.reading(), crate::record::Reading::Best);
}

#[test]
fn folds_are_taken_together_as_seeds_are() {
    let (_folder, study, panels) = study(&Fake { seeds: vec![8], folds: 3, ..small() }, all);
    assert_eq!(panels, panel::panels(&Fake { seeds: vec![8], ..small() }.plan()));
    assert_eq!(
        study.measure(),
        "Test macro-F1 at the best development round, mean and 95 % interval (Student's t) over 3 folds"
    );
    let verdict = verdict::sentences(&study, &panels).join(" ");
    assert!(verdict.contains("over 3 paired folds (") && !verdict.contains("One seed"), "{verdict}");

    // A row a fold where a row is a run; a row a condition where it is a mean.
    let runs = lines(tables::runs(&study).unwrap());
    assert!(runs[0].starts_with("fingerprint,seed,strategy,split.test.fold.fold,status,"), "{}", runs[0]);
    let of_fedavg = runs.iter().map(|run| run.split(',').collect::<Vec<_>>()).filter(|run| run[2] == "fedavg");
    let (folds, scores): (Vec<String>, Vec<f64>) =
        of_fedavg.map(|run| (run[3].to_string(), run[9].parse::<f64>().unwrap())).unzip();
    assert_eq!(folds, ["1", "2", "3"]);
    let summary = lines(tables::summary(&study).unwrap());
    assert_eq!((summary[0].as_str(), summary.len()), ("strategy,reading,metric,n,mean,low,high,sd", 1 + 4 * 3 * 5));
    let mean = scores.iter().sum::<f64>() / 3.0;
    let row: Vec<&str> = summary[3].split(',').collect();
    assert_eq!(row[..4], ["fedavg", "last", "macro_f1", "3"]);
    assert!((row[4].parse::<f64>().unwrap() - mean).abs() < 1e-12, "{row:?} of {scores:?}");
}
