//! Scenarios and data that are refused, each with the whole of what is said. Exit code 2 each.

use super::support::{Bench, Npz, Ran, TINY};

/// The tiny scenario with one piece replaced.
fn with(old: &str, new: &str) -> Bench {
    assert!(TINY.contains(old));
    Bench::new(&TINY.replacen(old, new, 1))
}

#[test]
fn an_unknown_key_is_named_with_its_line_and_the_nearest_one() {
    let expected = "x.toml:18: train.roundz = 3
  is not a key of [train]; allowed: rounds, cohort, draw, batch, epochs, optimizer. Did you mean rounds?
1 fault in x.toml";
    assert_eq!(with("rounds = 3", "roundz = 3").refused(&[]), expected);
}

#[test]
fn a_wrong_type_says_what_it_is_and_what_is_allowed() {
    let expected = "x.toml:18: train.rounds = \"three\"
  is a string; allowed: a whole number from 0.
1 fault in x.toml";
    assert_eq!(with("rounds = 3", "rounds = \"three\"").refused(&[]), expected);
}

#[test]
fn rates_that_are_no_fractions_are_refused_nan_among_them() {
    let bench = Bench::new(&format!("{TINY}\n[[grid]]\n\"corrupt.missing-labels.rate\" = [0.5, nan, 1.3, -0.1, 30]\n"));
    let expected = "x.toml:23: corrupt.missing-labels.rate = NaN
  is not a fraction; allowed: a number from 0 to 1. Write 0.3 for 30 %.
x.toml:23: corrupt.missing-labels.rate = 1.3
  is not a fraction; allowed: a number from 0 to 1. Write 0.3 for 30 %.
x.toml:23: corrupt.missing-labels.rate = -0.1
  is not a fraction; allowed: a number from 0 to 1. Write 0.3 for 30 %.
x.toml:23: corrupt.missing-labels.rate = 30.0
  is not a fraction; allowed: a number from 0 to 1. Write 0.3 for 30 %.
4 faults in x.toml";
    assert_eq!(bench.refused(&[]), expected);
}

#[test]
fn an_axis_that_names_nothing_is_refused() {
    let bench = Bench::new(&format!("{TINY}\n[[grid]]\n\"corrupt.missing-modalty.rate\" = [0.0, 0.5]\n"));
    let expected = "x.toml:23: corrupt.missing-modalty
  is not a key of [corrupt]; allowed: label-noise, missing-labels, missing-modality, replay, test. Did you mean missing-modality?
1 fault in x.toml";
    assert_eq!(bench.refused(&[]), expected);
}

#[test]
fn an_impossible_point_names_the_cell_and_may_be_left_out() {
    let grid = "\n[[grid]]\nstrategy = [\"fedavg\", { trimmed-mean = { f = 2 } }]\n\"train.cohort\" = [0.7, 1.0]\n";
    let expected = "x.toml:23: strategy.trimmed-mean.f = 2
  is too large for 2 rows a round (2 f = 4 of them); allowed: a whole number up to 0. Lower f, or raise train.cohort. First met with train.cohort = 0.7.
x.toml:23: strategy.trimmed-mean.f = 2
  is too large for 3 rows a round (2 f = 4 of them); allowed: a whole number up to 1. Lower f, or raise train.cohort. First met with train.cohort = 1.0.
2 faults in x.toml";
    assert_eq!(Bench::new(&format!("{TINY}{grid}")).refused(&[]), expected);

    let skipping = Bench::new(&format!("{TINY}{grid}skip-impossible = true\n"));
    let ran = skipping.ran(&["plan", "x.toml", "--no-calibrate"]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
    assert!(ran.out.contains("  runs        4 = 2 points × 2 seeds\n"), "{}", ran.out);
    assert!(ran.out.contains("  left out    2 impossible cells (skip-impossible = true)\n"), "{}", ran.out);
}

#[test]
fn a_point_that_two_grids_meet_is_blamed_on_the_axis_that_sets_it() {
    let grids = "\n[[grid]]\n\"corrupt.missing-modality.rates.noise\" = [0.0, 0.8]\n\n[[grid]]\n\"corrupt.missing-modality.rates.motion\" = [0.0, 0.8]\n";
    let expected = "x.toml:23: corrupt.missing-modality.rates.noise = 0.0
  names no modality of the data; allowed: motion, sound.
x.toml:23: corrupt.missing-modality.rates.noise = 0.8
  names no modality of the data; allowed: motion, sound.
2 faults in x.toml";
    assert_eq!(Bench::new(&format!("{TINY}{grids}")).refused(&[]), expected);
}

#[test]
fn faults_of_every_kind_are_said_at_once_in_order_of_their_lines() {
    let text = TINY
        .replace("seeds = [1, 2]", "seeds = []")
        .replace("\"fedavg\"", "\"fedavgg\"")
        .replace("classes = 3", "classes = 1")
        .replace("fusion = \"concat\"", "fuson = \"concat\"")
        .replace("cohort = 1.0", "cohort = 0.0")
        .replace("lr = 0.1", "lr = -1");
    let expected = "x.toml:2: seeds = []
  is empty; allowed: a list of whole numbers from 0. Write seeds = [8, 16, 24].
x.toml:3: strategy = \"fedavgg\"
  is not a strategy; allowed: fedavg, fedprox, scaffold, fedrs, fednova, feddyn, moon, fedopt, fedavgm, fedadagrad, fedadam, fedyogi, median, trimmed-mean, centralised, local-only, custom. Did you mean fedavg?
x.toml:7: data.synthetic.classes = 1
  is too small; allowed: a whole number from 2.
x.toml:14: model.fuson = \"concat\"
  is not a key of [model]; allowed: encoder, encoders, fusion, padding, head, dropout, head-dropout. Did you mean fusion?
x.toml:19: train.cohort = 0.0
  is not a share of the clients; allowed: a number above 0 up to 1.0, or a whole number of clients.
x.toml:20: train.optimizer.sgd.lr = -1
  is not a positive number; allowed: a finite number above 0.
--set evaluate.every=0
  is too small; allowed: a whole number from 1.
7 faults in x.toml";
    let ran = Bench::new(&text).ran(&["run", "x.toml", "--set", "evaluate.every=0"]);
    assert_eq!(ran, Ran { code: Some(2), out: String::new(), err: expected.to_string() + "\n" });
}

#[test]
fn a_scenario_that_is_not_there_or_not_toml_is_refused() {
    let bench = Bench::new("question = \"?\"\nseeds = [1, 2\n");
    let said = |file: &str| {
        let ran = bench.ran(&["run", file]);
        assert_eq!(ran.code, Some(2));
        ran.err
    };
    assert_eq!(said("y.toml"), "y.toml: there is no such file; allowed: a scenario file. Check the path.\n");
    assert_eq!(said("."), ".: is a folder; allowed: a scenario file. Name the .toml file in it.\n");
    assert_eq!(said("x.toml"), "x.toml:2:14: is not TOML\n  unclosed array, expected `]`\n1 fault in x.toml\n");
    assert!(!bench.path("results").exists(), "nothing was run, so nothing is made");
}

#[test]
fn every_fault_of_set_names_the_argument() {
    let bench = Bench::new(&format!("{TINY}\n[[grid]]\n\"train.batch\" = [8, 16]\n"));
    let said = |set: &str| bench.refused(&[set]);
    assert_eq!(
        said("train.rouds=5"),
        "--set train.rouds=5
  is not a key of [train]; allowed: rounds, cohort, draw, batch, epochs, optimizer. Did you mean rounds?
1 fault in x.toml"
    );
    assert_eq!(
        said("train.rounds"),
        "--set train.rounds
  is not an assignment; allowed: path=value, such as train.rounds=10.
1 fault in x.toml"
    );
    assert_eq!(
        said("train.batch=4"),
        "--set train.batch=4
  is varied by a grid in line 23, so setting it would change nothing; allowed: a key that no grid varies. Shorten that axis in the file.
1 fault in x.toml"
    );
    assert_eq!(
        said("strategy.fedprox.mu=-1"),
        "--set strategy.fedprox.mu=-1: strategy = { fedavg = {}, fedprox = { mu = -1 } }
  names 2 choices (fedavg, fedprox); allowed: one of fedavg, fedprox, scaffold, fedrs, fednova, feddyn, moon, fedopt, fedavgm, fedadagrad, fedadam, fedyogi, median, trimmed-mean, centralised, local-only, custom. Set the whole choice: strategy = { NAME = { … } }.
1 fault in x.toml"
    );
    assert_eq!(
        said("seeds=[1"),
        "--set seeds=[1
  has a value that is not TOML (unclosed array, expected `]`); allowed: a number, a name, a list, a table.
1 fault in x.toml"
    );
}

/// The tiny scenario on an npz file of 20 samples, 4 clients and 2 classes, changed by `change`.
fn npz(change: impl FnOnce(Npz) -> Npz) -> Bench {
    let data = TINY.lines().skip_while(|line| *line != "[model]").collect::<Vec<_>>().join("\n");
    let bench = Bench::new(&format!(
        "question = \"?\"\nseeds = [1]\nstrategy = \"fedavg\"\n\n[data.npz]\npath = \"mine.npz\"\n\n{data}\n"
    ));
    change(Npz::create(&bench.path("mine.npz"))).done();
    bench
}

fn motion(npz: Npz) -> Npz {
    npz.with("motion", &[20, 3], (0..60).map(|x| (x % 7) as f32))
}

fn label(npz: Npz) -> Npz {
    npz.with("label", &[20], (0..20).map(|i| i64::from(i % 2)))
}

fn client(npz: Npz) -> Npz {
    npz.with("client", &[20], (0..20).map(|i| i64::from(i / 5)))
}

#[test]
fn a_whole_npz_is_taken() {
    let bench = npz(|npz| client(label(motion(npz))));
    assert_eq!(bench.checked(&[]).unwrap().plan.runs.len(), 1);
}

#[test]
fn an_npz_that_is_not_there_is_named_with_the_line_that_wants_it() {
    let bench = npz(|npz| npz);
    std::fs::remove_file(bench.path("mine.npz")).unwrap();
    let expected = "x.toml:6: data.npz.path = mine.npz: there is no file mine.npz; a relative path starts at the scenario's folder";
    assert_eq!(bench.refused(&[]), expected);
}

#[test]
fn an_npz_without_labels_says_which_arrays_there_are() {
    let expected = "x.toml:5: mine.npz: has no array `label`; save the classes as `label`, [N] whole numbers from 0 (there are: motion, client)";
    assert_eq!(npz(|npz| client(motion(npz))).refused(&[]), expected);
}

#[test]
fn an_npz_without_a_modality_says_so() {
    let expected = "x.toml:5: mine.npz: has no modality; save at least one array [N, T, D] or [N, D] besides label, client and split";
    assert_eq!(npz(|npz| client(label(npz))).refused(&[]), expected);
}

#[test]
fn arrays_that_disagree_in_length_are_refused() {
    let bench = npz(|npz| label(motion(npz)).with("client", &[19], (0..19).map(i64::from)));
    let expected = "x.toml:5: mine.npz: array `client` has 19 rows, array `label` has 20; every array needs one row a sample, in the same order";
    assert_eq!(bench.refused(&[]), expected);
}

#[test]
fn labels_beyond_the_classes_are_refused() {
    let bench = npz(|npz| client(motion(npz)).with("label", &[20], (0..20).map(|i| i64::from(i % 3))));
    let expected = "x.toml:5: mine.npz: array `label` has 2 in row 2; labels go from 0 to 1 here; mend the label or raise data.npz.classes";
    assert_eq!(bench.refused(&["data.npz.classes=2"]), expected);
}

#[test]
fn a_client_without_samples_is_refused_before_anything_runs() {
    let bench = npz(|npz| client(label(motion(npz))));
    let expected = "--set partition.iid.clients=13
  there are 12 training samples; from 1 to 12 clients are possible.
1 fault in x.toml";
    assert_eq!(bench.refused(&["partition.iid.clients=13"]), expected);
}

#[test]
fn a_partition_that_cannot_be_is_an_impossible_point_and_may_be_left_out() {
    let grid = "\n[[grid]]\n\"partition.dirichlet.clients\" = [3, 50]\n";
    let bench = Bench::new(&format!("{TINY}{grid}"));
    let expected = "x.toml:23: partition.dirichlet
  all training samples (45) cannot give 50 clients min-size = 5 each; lower clients or min-size. First met with partition.dirichlet.clients = 50.
1 fault in x.toml";
    assert_eq!(bench.refused(&[]), expected);
    let bench = Bench::new(&format!("{TINY}{grid}skip-impossible = true\n"));
    let study = bench.checked(&[]).unwrap();
    assert_eq!((study.plan.points.len(), study.loaded.points.impossible), (1, 1));
}

#[test]
fn a_partition_that_only_a_later_seed_cannot_make_is_refused_before_the_first_round() {
    // One client of two holds 18 of 20 samples: held out, it leaves too little to train on.
    let bench = npz(|npz| label(motion(npz)).with("client", &[20], (0..20).map(|i| i64::from(i >= 18))));
    let refused = |seeds: &str| bench.checked(&[seeds, "partition.iid.clients=4"]).err().map(|error| error.to_string());
    let alone: Vec<bool> = (1..9).map(|seed| refused(&format!("seeds=[{seed}]")).is_some()).collect();
    let (good, bad) = (alone.iter().position(|bad| !bad).unwrap() + 1, alone.iter().position(|bad| *bad).unwrap() + 1);
    let both = refused(&format!("seeds=[{good}, {bad}]")).unwrap();
    let expected =
        "--set partition.iid.clients=4\n  there are 2 training samples; from 1 to 2 clients are possible.\n1 fault in ";
    assert!(both.starts_with(expected), "{both}");
}

#[test]
fn heads_are_masked_by_one_length_only() {
    let bench = Bench::new(TINY);
    let heads = r#"model.fusion={ attention = { mask = "heads" } }"#;
    let refused = bench.refused(&[heads]);
    let expected = "
  masks heads by the length of one modality, a sequence, which is not what the data has; allowed: steps, or data of one modality that is a sequence. Leave mask out, or choose one modality.
1 fault in x.toml";
    assert_eq!(refused, format!("--set {heads}: model.fusion.attention.mask = \"heads\"{expected}"));
}

/// An allocation that fails ends a process, so what no machine can hold is refused before it is asked for.
#[test]
fn numbers_without_measure_are_refused() {
    let bench = Bench::new(TINY);
    let most = |set: &str, allowed: &str| {
        let expected = format!("--set {set}\n  is too large; allowed: {allowed}.\n1 fault in x.toml");
        assert_eq!(bench.refused(&[set]), expected);
    };
    most("train.batch=9000000000000000000", "a whole number from 1 to 1000000");
    most("train.epochs=9000000000000000000", "a whole number from 1 to 10000");
    most("model.head=9000000000000", "a whole number from 1 to 100000");
    most("model.encoder.mlp.hidden=9000000000000", "a whole number from 1 to 100000");
    most("model.fusion.concat.dead-weights=9000000000000", "a whole number from 0 to 1000000000");
    most("data.synthetic.samples=9000000000000", "a whole number from 1 to 1000000000");
    most("data.synthetic.clients=9000000000000", "a whole number from 1 to 1000000000");
    most("data.synthetic.classes=9000000000000", "a whole number from 2 to 65536");
    most("data.synthetic.modalities.sound.time=9000000000000", "a whole number from 1 to 1000000");
    most("data.synthetic.modalities.sound.width=9000000000000", "a whole number from 1 to 1000000");
}

#[test]
fn one_value_is_called_one() {
    let ran = Bench::new(TINY).ran(&["plan", "x.toml", "--set", "model.encoder={conv-gru={channels=[4]}}"]);
    assert!(ran.err.contains("has 1 value; allowed: a list of 3 values"), "{}", ran.err);
}

#[test]
fn what_replaces_a_choice_has_limits_too() {
    let cases = [
        (
            "model.fusion={attention={heads=9000000000000}}",
            "model.fusion.attention.heads",
            "a whole number from 1 to 100000",
        ),
        (
            "model.fusion={attention={units=9000000000000}}",
            "model.fusion.attention.units",
            "a whole number from 1 to 100000",
        ),
        ("model.encoder={gru={hidden=9000000000000}}", "model.encoder.gru.hidden", "a whole number from 1 to 100000"),
        (
            "model.encoder={conv-gru={channels=[8, 900000000000, 8]}}",
            "model.encoder.conv-gru.channels",
            "three whole numbers from 1 to 100000",
        ),
        (
            "data={population={clients=9000000000000000}}",
            "data.population.clients",
            "a whole number from 1 to 1000000000000",
        ),
        ("data={population={samples=9000000000000000}}", "data.population.samples", "a whole number from 1 to 1000000"),
        (
            "data={population={test-clients=9000000000000}}",
            "data.population.test-clients",
            "a whole number from 1 to 1000000",
        ),
        ("data={population={classes=9000000000000}}", "data.population.classes", "a whole number from 2 to 65536"),
        (
            "strategy={custom={aggregate={geometric-median={steps=9000000000000000}}}}",
            "strategy.custom.aggregate.geometric-median.steps",
            "a whole number from 1 to 100000",
        ),
        (
            "strategy={custom={aggregate={centered-clipping={steps=9000000000000000}}}}",
            "strategy.custom.aggregate.centered-clipping.steps",
            "a whole number from 1 to 100000",
        ),
        (
            "strategy={custom={aggregate={dnc={iterations=9000000000000000}}}}",
            "strategy.custom.aggregate.dnc.iterations",
            "a whole number from 1 to 100000",
        ),
    ];
    for (set, key, allowed) in cases {
        let said = Bench::new(TINY).refused(&[set]);
        let line = format!("--set {set}: {key} = ");
        let mut after = said.lines().skip_while(|said| !said.starts_with(&line));
        assert!(after.next().is_some(), "{set}: {said}");
        assert_eq!(after.next(), Some(format!("  is too large; allowed: {allowed}.").as_str()), "{set}: {said}");
    }
    // Times 4 it would not be a number any more.
    let bulyan = "strategy={custom={aggregate={bulyan={f=9000000000000000000}}}}";
    let said = Bench::new(TINY).refused(&[bulyan]);
    assert!(said.contains("(it needs 4 f + 3 = 18446744073709551615 of them)"), "{said}");
}

#[test]
fn what_does_not_fit_into_memory_is_refused_before_anything_is_written() {
    let wide = "data.synthetic.modalities.sound.width=1000000";
    let cases = [
        (
            ["data.synthetic.samples=1000000000", wide],
            "data.synthetic takes about ",
            "lower samples, time or width of data.synthetic",
        ),
        (
            ["train.batch=1000000", "model.head=100000"],
            "one run takes about ",
            "lower train.batch, train.cohort, the widths of the model, or what its strategy keeps",
        ),
    ];
    for ([one, two], starts, ends) in cases {
        let bench = Bench::new(TINY);
        let ran = bench.ran(&["run", "x.toml", "--out", "out", "--set", one, "--set", two]);
        assert_eq!(ran.code, Some(3), "{}", ran.err);
        let line = ran.err.lines().last().unwrap();
        assert!(
            line.starts_with(starts) && line.ends_with(ends) && line.contains(" TB, and this machine has "),
            "{line}"
        );
        assert!(!bench.path("out/plan.json").exists());
    }
}
