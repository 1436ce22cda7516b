//! What a run leaves behind, and that it depends on nothing but what names it.

use super::support::{Bench, Npz, TINY, table};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const GRID: &str = "\n[[grid]]\n\"corrupt.missing-labels.rate\" = [0.0, 0.5]\nstrategy = [\"fedavg\", \"median\"]\n";

/// The tiny scenario without its strategy, with a grid.
fn grid(grid: &str) -> String {
    TINY.replace("strategy = \"fedavg\"\n", "") + grid
}

#[test]
fn the_smoke_scenario_leaves_every_file_and_shows_its_effect() {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/smoke.toml")).unwrap();
    let bench = Bench::new(&text);
    let ran = bench.run("out", &[]);
    assert_eq!(ran.err, "", "progress is silent where there is no terminal");
    let mut files = vec!["plan.json", "scenario.toml", "runs.csv", "rounds.csv", "summary.csv", "report.html"];
    let plots = ["robustness", "convergence", "partition", "heatmap"];
    let plots: Vec<String> =
        plots.iter().flat_map(|plot| ["svg", "png"].map(|kind| format!("plots/{plot}.{kind}"))).collect();
    files.extend(plots.iter().map(String::as_str));
    for file in files {
        let length = fs::metadata(bench.path("out").join(file)).map_or(0, |meta| meta.len());
        assert!(length > 200, "{file} has {length} bytes");
    }
    let runs = table(&bench.read("out/runs.csv"));
    assert_eq!(runs.len(), 18, "6 distinct points × 3 seeds");
    assert_eq!(table(&bench.read("out/rounds.csv")).len(), 180);
    assert!(runs.iter().all(|run| run["status"] == "finished"));

    let (strong, weak) = ("corrupt.missing-modality.rates.strong", "corrupt.missing-modality.rates.weak");
    let mean = |strategy: &str, axis: &str, rate: &str| {
        let of = runs.iter().filter(|run| run["strategy"] == strategy && run[axis] == rate);
        let scores: Vec<f64> = of.map(|run| run["best_macro_f1"].parse().unwrap()).collect();
        assert_eq!(scores.len(), 3);
        scores.iter().sum::<f64>() / 3.0
    };
    for strategy in ["fedavg", "median"] {
        let clean = mean(strategy, strong, "0.0");
        assert!(clean > 0.8, "{strategy} does not learn: {clean}");
        assert!(mean(strategy, strong, "0.8") < clean - 0.15, "losing the strong modality costs {strategy} much");
        assert!(mean(strategy, weak, "0.8") > clean - 0.1, "losing the weak modality costs {strategy} little");
    }
}

#[test]
fn tables_have_the_columns_that_are_promised() {
    let bench = Bench::new(&grid(GRID));
    bench.run("out", &[]);
    let header = |file: &str| bench.read(file).lines().next().unwrap().to_string();
    let scores = "loss,accuracy,macro_f1,uar,top_k,worst_10";
    let of = |prefix: &str| scores.split(',').map(|s| format!("{prefix}_{s}")).collect::<Vec<_>>().join(",");
    let read = |prefix: &str| format!("{},{prefix}_attack_success", of(prefix));
    let axes = "strategy,corrupt.missing-labels.rate";
    assert_eq!(
        header("out/rounds.csv"),
        format!(
            "fingerprint,seed,{axes},round,train_loss,clients,skipped,samples,excluded,byzantine,stayed,bytes,{},{},attack_success,epsilon,epsilon_fixed,seconds",
            of("dev"),
            of("test")
        )
    );
    assert_eq!(
        header("out/runs.csv"),
        format!(
            "fingerprint,seed,{axes},status,message,rounds,{},{},{},realised.missing-labels,realised.clients-without-samples,clients,skipped,stayed,epsilon,epsilon_fixed,parameters,bytes,seconds",
            read("last"),
            read("best"),
            read("mean5")
        )
    );
    assert_eq!(header("out/summary.csv"), format!("{axes},reading,metric,n,mean,low,high,sd"));
    assert_eq!(table(&bench.read("out/runs.csv")).len(), 8);
    assert_eq!(table(&bench.read("out/rounds.csv")).len(), 24);
}

#[test]
fn a_second_run_repeats_nothing_and_says_so() {
    let bench = Bench::new(&grid(GRID));
    let first = bench.run("out", &[]);
    let files = ["runs.csv", "rounds.csv", "summary.csv", "report.html", "scenario.toml", "plots/robustness.svg"];
    let read = || files.map(|file| bench.read(&format!("out/{file}")));
    let before = read();
    let second = bench.run("out", &[]);
    assert_eq!(second.out, first.out);
    assert_eq!(second.err, "8 of 8 runs were finished before and are not repeated\n");
    assert_eq!(bench.run("out", &["--quiet"]).err, "");
    assert!(read() == before, "times too are those of the first run");
}

#[test]
fn a_report_draws_everything_again() {
    let bench = Bench::new(&grid(GRID));
    let run = bench.run("out", &[]);
    let files = ["runs.csv", "rounds.csv", "summary.csv", "report.html", "plots/robustness.svg"];
    let before = files.map(|file| bench.read(&format!("out/{file}")));
    files.iter().for_each(|file| fs::remove_file(bench.path("out").join(file)).unwrap());
    let ran = bench.ran(&["report", "out"]);
    assert_eq!((ran.code, ran.out, ran.err.as_str()), (Some(0), run.out, ""));
    assert!(files.map(|file| bench.read(&format!("out/{file}"))) == before);
}

#[test]
fn results_are_the_same_at_any_number_of_threads_alone_or_together_and_in_any_order() {
    let bench = Bench::new(&grid(GRID));
    bench.run("one", &["--threads", "1"]);
    let rows = bench.rounds("one");
    assert_eq!(rows.len(), 24);
    for threads in ["2", "8"] {
        bench.run(threads, &["--threads", threads]);
        assert_eq!(bench.rounds(threads), rows, "{threads} threads");
    }

    let reversed = "\n[[grid]]\nstrategy = [\"median\", \"fedavg\"]\n\"corrupt.missing-labels.rate\" = [0.5, 0.0]\n";
    bench.write("x.toml", &grid(reversed).replace("seeds = [1, 2]", "seeds = [2, 1]"));
    bench.run("reversed", &["--threads", "3"]);
    assert_eq!(bench.rounds("reversed"), rows);

    bench.write("x.toml", &TINY.replace("seeds = [1, 2]", "seeds = [2]"));
    bench.run("alone", &["--set", "corrupt.missing-labels.rate=0.5", "--set", "strategy=median"]);
    let alone = bench.rounds("alone");
    assert_eq!(alone.len(), 3);
    assert!(alone.iter().all(|row| rows.contains(row)), "a run alone has the bytes that it has in a sweep");
}

#[test]
fn what_changes_results_changes_the_name_of_a_run_and_nothing_else_does() {
    let bench = Bench::new(TINY);
    let names = |sets: &[&str]| -> BTreeSet<String> {
        bench.checked(sets).unwrap().plan.runs.into_iter().map(|run| run.fingerprint).collect()
    };
    let base = names(&[]);
    assert_eq!(base.len(), 2);
    for same in ["question=Why", "save-model=true", "checkpoint-seconds=1", "corrupt.missing-labels.rate=0.0"] {
        assert_eq!(names(&[same]), base, "{same}");
    }
    assert_eq!(names(&["strategy={ fedavg = {} }"]), base);
    for other in ["train.rounds=2", "train.optimizer.sgd.lr=0.2", "seeds=[3]", "data.synthetic.noise=0.4"] {
        assert!(names(&[other]).is_disjoint(&base), "{other}");
    }
}

#[test]
fn defect_12_byzfl_runs_that_differ_in_a_parameter_lie_apart_and_iid_ones_are_not_repeated() {
    // There a folder is named by the rule without its parameters, and runs on IID data are never found again.
    let axes = "\n[[grid]]\n\"train.batch\" = [8, 16]\nstrategy = [\n    \
                { custom = { aggregate.centered-clipping = { tau = 1.0 } } },\n    \
                { custom = { aggregate.centered-clipping = { tau = 2.0 } } },\n]\n";
    let bench = Bench::new(&grid(axes).replace("seeds = [1, 2]\n", "seeds = [1, 2]\npartition.iid.clients = 5\n"));
    bench.run("out", &[]);
    let rows = bench.rounds("out");
    let distinct: BTreeSet<&String> = rows.iter().collect();
    assert_eq!((rows.len(), distinct.len()), (24, 24));
    assert_eq!(bench.run("out", &[]).err, "8 of 8 runs were finished before and are not repeated\n");
}

#[test]
fn a_saved_model_scores_as_its_last_round_did() {
    let bench = Bench::new(&grid(GRID));
    bench.run("out", &["--set", "save-model=true", "--set", "seeds=[2]"]);
    for run in table(&bench.read("out/runs.csv")).iter().skip(2) {
        let model = format!("out/runs/{}/model.safetensors", run["fingerprint"]);
        let ran = bench.ran(&["eval", &model, "x.toml", "--device", "cpu"]);
        assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
        let [rate, strategy, seed] = ["corrupt.missing-labels.rate", "strategy", "seed"].map(|key| &run[key]);
        let first = format!("{model} on x (corrupt.missing-labels.rate = {rate}, strategy = {strategy}, seed {seed})");
        assert_eq!(ran.out.lines().next(), Some(first.as_str()));
        let score = |name: &str| format!("{:.4}", run[name].parse::<f64>().unwrap());
        let scores = format!(
            "  loss {}  accuracy {}  macro-F1 {}  UAR {}  top-k {}  worst 10 % {}",
            score("last_loss"),
            score("last_accuracy"),
            score("last_macro_f1"),
            score("last_uar"),
            score("last_top_k"),
            score("last_worst_10")
        );
        let test = ran.out.lines().nth(1).unwrap();
        assert!(test.starts_with("  test  ") && test.ends_with(&scores), "{test}\nshould have{scores}");
    }
}

#[test]
fn a_model_that_does_not_fit_the_scenario_is_refused() {
    let bench = Bench::new(&TINY.replace("seeds = [1, 2]", "seeds = [1]\nsave-model = true"));
    bench.run("out", &[]);
    let run = table(&bench.read("out/runs.csv"))[0]["fingerprint"].clone();
    fs::copy(bench.path(&format!("out/runs/{run}/model.safetensors")), bench.path("m.safetensors")).unwrap();
    let said = |model: &str, set: &[&str]| {
        let ran = bench.ran(&[&["eval", model, "x.toml", "--device", "cpu"], set].concat());
        assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""));
        ran.err
    };
    assert_eq!(
        said("m.safetensors", &["--set", "model.head=8"]),
        "m.safetensors: weight head.linear1.weight has shape [8, 4], the scenario's [model] needs [8, 8]; name the scenario that it was trained by\n"
    );
    assert_eq!(
        said("m.safetensors", &["--set", "model.fusion=attention"]),
        "m.safetensors: has no weight fusion.first.weight, which the scenario's [model] needs; name the scenario that it was trained by\n"
    );
    let attention = "model.fusion={ attention = { heads = 2, units = 4 } }";
    bench.run("wider", &["--set", attention]);
    let run = table(&bench.read("wider/runs.csv"))[0]["fingerprint"].clone();
    let wider = format!("wider/runs/{run}/model.safetensors");
    assert_eq!(
        said(&wider, &[]),
        format!(
            "{wider}: has a weight fusion.first.bias, which the scenario's [model] lacks; name the scenario that it was trained by\n"
        )
    );
    assert_eq!(
        said("nowhere.safetensors", &[]),
        "nowhere.safetensors: there is no such file; `save-model = true` in a scenario keeps runs/<run>/model.safetensors in its results folder\n"
    );
    assert_eq!(said("x.toml", &[]), "x.toml: is not a safetensors file of f32 or i64 tensors, or is cut short\n");
    bench.write("x.toml", &grid(GRID));
    assert_eq!(
        said("m.safetensors", &[]),
        "x.toml: its grids make 4 points, and a model is scored in one; name a model in the folder of one of its runs (<results>/runs/<run>/model.safetensors), or a copy of the scenario without [[grid]]\n"
    );
}

#[test]
fn the_resolved_scenario_runs_from_where_it_lies_and_makes_the_same_runs() {
    let bench = Bench::new("");
    let model = TINY.lines().skip_while(|line| *line != "[model]").collect::<Vec<_>>().join("\n");
    let text = format!(
        "question = \"?\"\nseeds = [1]\n\n{model}\n\n[[grid]]\n\"data.npz.path\" = [\"../arrays/mine.npz\"]\nstrategy = [\"fedavg\", \"median\"]\n"
    );
    bench.write("scenarios/y.toml", &text);
    bench.write(
        "scenarios/z.toml",
        &text.replace(
            "\n[[grid]]\n\"data.npz.path\" = [\"../arrays/mine.npz\"]\nstrategy = [\"fedavg\", \"median\"]\n",
            "\n[data.npz]\npath = \"../arrays/mine.npz\"\n\n[[grid]]\nstrategy = [\"fedavg\", \"median\"]\n",
        ),
    );
    fs::create_dir(bench.path("arrays")).unwrap();
    Npz::create(&bench.path("arrays/mine.npz"))
        .with("motion", &[60, 3], (0..180).map(|x| (x % 7) as f32))
        .with("label", &[60], (0..60).map(|i| i64::from(i % 2)))
        .with("client", &[60], (0..60).map(|i| i64::from(i / 15)))
        .done();
    for name in ["y", "z"] {
        let out = format!("out/{name}");
        let ran = bench.ran(&["run", &format!("scenarios/{name}.toml"), "--device", "cpu", "--out", &out]);
        assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
        let resolved = format!("{out}/scenario.toml");
        assert_eq!(bench.ran(&["plan", &resolved, "--no-calibrate"]).code, Some(0), "{}", bench.read(&resolved));
        let again = bench.ran(&["run", &resolved, "--device", "cpu", "--out", &out]);
        assert_eq!(again.err, "2 of 2 runs were finished before and are not repeated\n");
    }
    // The content of the data names a run, not where it lies.
    fs::rename(bench.path("arrays"), bench.path("moved")).unwrap();
    bench.write("scenarios/z.toml", &bench.read("scenarios/z.toml").replace("arrays", "moved"));
    let moved = bench.ran(&["run", "scenarios/z.toml", "--device", "cpu", "--out", "out/z"]);
    assert_eq!(moved.err, "2 of 2 runs were finished before and are not repeated\n");
}
