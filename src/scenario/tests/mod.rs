mod grids;

use super::*;
use crate::data::{Dataset, Labels, Modality, ModalityShape};
use proptest::prelude::*;

const BASE: &str = r#"question = "Does it hold?"
seeds = [8, 16]
data = "shoulder"
strategy = "fedavg"

[train]
rounds = 3
optimizer.sgd = { lr = 0.1 }
"#;

fn read(text: &str, sets: &[&str]) -> Result<Loaded> {
    let sets: Vec<String> = sets.iter().map(|set| set.to_string()).collect();
    read_str("x.toml", text, &sets)
}

/// The message of a scenario that must be refused.
fn refused(text: &str, sets: &[&str]) -> String {
    read(text, sets).expect_err("must be refused").to_string()
}

fn good(text: &str, sets: &[&str]) -> Loaded {
    read(text, sets).unwrap_or_else(|error| panic!("{error}"))
}

fn with(more: &str) -> String {
    format!("{BASE}{more}")
}

#[test]
fn a_scenario_without_grids_is_one_point() {
    let loaded = good(BASE, &[]);
    assert_eq!((loaded.name.as_str(), loaded.seeds.as_slice()), ("x", &[8, 16][..]));
    assert_eq!(loaded.points.points.len(), 1);
    assert_eq!(loaded.points.grids, [crate::record::Grid { axes: vec![], cells: vec![(vec![], 0)] }]);
    let scenario = &loaded.points.points[0].scenario;
    assert_eq!((scenario.train.rounds, scenario.evaluate.top_k, scenario.save_model), (3, 2, false));
}

#[test]
fn faults_of_every_kind_are_reported_at_once() {
    let text = r#"question = "?"
seeds = [8, 8]
data = "shouldr"
strategy = { fedprox = { mu = "big" } }
colour = 1

[train]
roundz = 3
batch = -1
epochs = "two"
cohort = nan
optimizer.sgd = { lr = 0.0 }

[model.encoder]
gru = {}
mlp = {}

[corrupt.missing-modality]
rate = 0.2
rat = 0.3
"#;
    let expected = r#"x.toml:2: seeds.1 = 8
  is there twice; allowed: every seed once. Remove one 8.
x.toml:3: data = "shouldr"
  is not a data source; allowed: shoulder, synthetic, population, npz, uci-har, ku-har, ptb-xl, crema-d, meld, fedmultimodal. Did you mean shoulder?
x.toml:4: strategy.fedprox.mu = "big"
  is a string; allowed: a number.
x.toml:5: colour = 1
  is not a key of a scenario; allowed: question, seeds, save-model, checkpoint-seconds, data, normalise, split, partition, corrupt, attack, model, train, strategy, evaluate, grid.
x.toml:8: train.roundz = 3
  is not a key of [train]; allowed: rounds, cohort, draw, batch, epochs, optimizer. Did you mean rounds?
x.toml:9: train.batch = -1
  is out of range; allowed: a whole number from 0.
x.toml:10: train.epochs = "two"
  is a string; allowed: a whole number from 0.
x.toml:11: train.cohort = nan
  is not a share of the clients; allowed: a number above 0 up to 1.0, or a whole number of clients.
x.toml:12: train.optimizer.sgd.lr = 0.0
  is not a positive number; allowed: a finite number above 0.
x.toml:14: model.encoder
  names 2 choices (gru, mlp); allowed: one of conv-gru, gru, mlp, identity. Set the whole choice: encoder = { NAME = { … } }.
x.toml:20: corrupt.missing-modality.rat = 0.3
  is not a key of [corrupt.missing-modality]; allowed: rate, per, exact, rates, draw. Did you mean rate?
11 faults in x.toml"#;
    assert_eq!(refused(text, &[]), expected);
}

#[test]
fn every_missing_key_is_named_with_its_remedy() {
    let about = crate::strategy::CHOICES.iter().map(|about| about.name).collect::<Vec<_>>().join(", ");
    let expected = format!(
        "x.toml: question
  is missing. Say what the scenario asks: question = \"…\".
x.toml: seeds
  is missing; allowed: a list of whole numbers from 0. Write seeds = [8, 16, 24].
x.toml: data
  is missing; allowed: shoulder, synthetic, population, npz, uci-har, ku-har, ptb-xl, crema-d, meld, fedmultimodal. Write data = \"shoulder\".
x.toml: strategy
  is missing; allowed: {about}. Write strategy = \"fedavg\", or make it an axis of every grid.
4 faults in x.toml"
    );
    assert_eq!(refused("", &[]), expected);
}

#[test]
fn a_required_key_of_a_choice_is_missing_at_its_section() {
    let text = BASE.replace("data = \"shoulder\"", "data.npz = { classes = 3 }");
    let expected = "x.toml:3: data.npz.path\n  is missing and has no default.\n1 fault in x.toml";
    assert_eq!(refused(&text, &[]), expected);
}

#[test]
fn text_that_is_not_toml_is_refused_with_line_and_column() {
    let expected =
        "x.toml:2:9: is not TOML\n  string values must be quoted, expected literal string\n1 fault in x.toml";
    assert_eq!(refused("question = \"?\"\nseeds = eight\n", &[]), expected);
}

#[test]
fn a_list_in_place_of_a_section_is_refused() {
    let text = BASE.replace("[train]\nrounds = 3\noptimizer.sgd = { lr = 0.1 }\n", "train = [3]\n");
    let expected = "x.toml:6: train = [3]
  is a list; allowed: a section with the keys rounds, cohort, draw, batch, epochs, optimizer.
1 fault in x.toml";
    assert_eq!(refused(&text, &[]), expected);
}

#[test]
fn a_list_of_another_length_is_refused() {
    let text = with("[model.encoder.conv-gru]\nchannels = [1, 2, 3, 4]\n");
    let expected = "x.toml:10: model.encoder.conv-gru.channels = [1, 2, 3, 4]
  has 4 values; allowed: a list of 3 values.
1 fault in x.toml";
    assert_eq!(refused(&text, &[]), expected);
}

/// A data set of two samples in two modalities, one of them shorter than a conv-gru takes.
fn tiny(classes: usize, multilabel: bool) -> Dataset {
    let modality = |name: &str, time: usize| Modality {
        shape: ModalityShape { name: name.to_string(), time, width: 3, sequence: true },
        values: ndarray::Array3::zeros((2, time, 3)),
        lengths: None,
    };
    let labels = match multilabel {
        true => Labels::Multi(ndarray::Array2::zeros((2, classes))),
        false => Labels::Single(vec![0, 0]),
    };
    Dataset {
        name: "tiny".into(),
        modalities: vec![modality("a", 16), modality("b", 4)],
        labels,
        classes,
        class_names: None,
        client: vec![0, 1],
        client_names: vec!["p".into(), "q".into()],
        parts: None,
        keys: None,
        checksum: String::new(),
    }
}

#[test]
fn what_does_not_fit_the_data_is_a_fault_at_its_line_or_a_default() {
    let text = with("cohort = 5\n[model]\nencoder = \"conv-gru\"\nencoders.c = \"gru\"\n")
        .replace("optimizer.sgd = { lr = 0.1 }\n", "");
    let data = tiny(1, false);
    let message = good(&text, &[]).check_against(|_| (&data, Ok(4))).unwrap_err().to_string();
    let expected = "x.toml: evaluate.top-k = 2 (default)
  is more than the 1 classes of the data; allowed: a whole number from 1 to 1.
x.toml:8: train.cohort = 5
  is more than the 4 clients of the partition; allowed: a whole number from 1 to 4.
x.toml:10: model.encoder.conv-gru
  cannot encode modality b, whose samples are [4, 3]; allowed: sequences of 8 steps or more. Use gru or mlp for it, under model.encoders.
x.toml:11: model.encoders.c = \"gru\"
  names no modality of the data; allowed: a, b.
4 faults in x.toml";
    assert_eq!(message, expected);
}

#[test]
fn the_best_development_round_needs_development_samples() {
    let data = tiny(3, false);
    let text = with("[split]\ndev = 0.0\n[evaluate]\nreading = \"best\"\n");
    let expected = "x.toml:12: evaluate.reading = \"best\"
  needs development samples, and there are none; allowed: last, mean5. Give split.dev a share above 0.
1 fault in x.toml";
    assert_eq!(good(&text, &[]).check_against(|_| (&data, Ok(2))).unwrap_err().to_string(), expected);
    assert!(good(&text.replace("best", "last"), &[]).check_against(|_| (&data, Ok(10))).is_ok());
}

#[test]
fn top_k_does_not_select_on_multilabel_data() {
    let data = tiny(3, true);
    let text = with("[evaluate]\nmetric = \"top-k\"\n");
    let expected = "x.toml:10: evaluate.metric = \"top-k\"
  is not defined for multilabel data; allowed: macro-f1, accuracy, uar.
1 fault in x.toml";
    assert_eq!(good(&text, &[]).check_against(|_| (&data, Ok(2))).unwrap_err().to_string(), expected);
}

#[test]
fn cells_that_do_not_fit_the_data_are_dropped_where_the_grid_says_so() {
    let data = tiny(3, false);
    let text =
        with("[[grid]]\nskip-impossible = true\n\"train.cohort\" = [9, 2]\n[[grid]]\n\"train.cohort\" = [2, 1]\n");
    let mut loaded = good(&text, &[]);
    assert_eq!(loaded.points.points.len(), 3);
    loaded.check_against(|_| (&data, Ok(2))).unwrap();
    assert_eq!((loaded.points.points.len(), loaded.points.impossible), (2, 1));
    assert_eq!(loaded.points.grids[0].cells, [(vec![1], 0)]);
    assert_eq!(loaded.points.grids[1].cells, [(vec![0], 0), (vec![1], 1)]);
    let text = text.replace("skip-impossible = true\n", "");
    let expected = "x.toml:10: train.cohort = 9
  is more than the 2 clients of the partition; allowed: a whole number from 1 to 2.
1 fault in x.toml";
    assert_eq!(good(&text, &[]).check_against(|_| (&data, Ok(2))).unwrap_err().to_string(), expected);
}

#[test]
fn short_and_long_names_of_a_choice_are_the_same_point() {
    let long = BASE.replace("\"fedavg\"", "{ fedavg = {} }").replace("data = \"shoulder\"", "data.shoulder = {}");
    let short = &good(BASE, &[]).points.points[0];
    assert_eq!(short.canonical, good(&long, &[]).points.points[0].canonical);
    let nested = with("[strategy.custom]\npre = [\"nnm\"]\n").replace("strategy = \"fedavg\"\n", "");
    let message = refused(&nested, &[]);
    assert!(message.contains("strategy.custom.pre.0.nnm.f\n  is missing"), "{message}");
}

#[test]
fn set_changes_the_base_and_a_whole_choice() {
    let loaded = good(BASE, &["train.rounds=7", "strategy={ fedprox = { mu = 0.5 } }", "normalise = none"]);
    let scenario = &loaded.points.points[0].scenario;
    assert_eq!(scenario.train.rounds, 7);
    assert_eq!(scenario.strategy.label(), "fedprox (mu 0.5)");
    assert_eq!(scenario.normalise, crate::data::prepare::Normalise::None);
}

#[test]
fn faults_of_set_name_the_argument() {
    let text = with("[[grid]]\n\"train.batch\" = [4, 8]\n");
    let sets =
        ["train.rounds=0", "train.batch=2", "train.epochs", "trian.rounds=1", "grid=[]", "grid.x=[]", "model.head=[1"];
    let expected = "--set grid=[]
  names no grid: none has a name. Write name = \"…\" in a [[grid]].
--set train.batch=2
  is varied by a grid in line 10, so setting it would change nothing; allowed: a key that no grid varies. Shorten that axis in the file.
--set train.epochs
  is not an assignment; allowed: path=value, such as train.rounds=10.
--set grid.x=[]
  would set a grid; allowed: any other key, or grid=NAME. Change the grid in the file, or set a key that no grid varies.
--set model.head=[1
  has a value that is not TOML (unclosed array, expected `]`); allowed: a number, a name, a list, a table.
--set trian.rounds=1: trian = { rounds = 1 }
  is not a key of a scenario; allowed: question, seeds, save-model, checkpoint-seconds, data, normalise, split, partition, corrupt, attack, model, train, strategy, evaluate, grid. Did you mean train?
--set train.rounds=0
  is too small; allowed: a whole number from 1.
7 faults in x.toml";
    assert_eq!(refused(&text, &sets), expected);
}

#[test]
fn canonical_forms_ignore_what_changes_no_result() {
    let canonical = |text: &str| good(text, &[]).points.points[0].canonical.clone();
    let same = BASE.replace("Does it hold?", "Why?").replace("[8, 16]", "[1]");
    let same = format!("save-model = true\ncheckpoint-seconds = 1\n{same}[corrupt.missing-modality]\nrate = -0.0\n");
    assert_eq!(canonical(BASE), canonical(&same));
    let read = format!("{BASE}[evaluate]\nreading = \"mean5\"\n");
    assert_eq!(canonical(BASE), canonical(&read), "how results are read does not change them");
    assert_ne!(canonical(BASE), canonical(&BASE.replace("rounds = 3", "rounds = 4")));
    let infinite = BASE.replace("lr = 0.1", "lr = 0.1, clip = inf");
    assert!(canonical(&infinite).contains("\"clip\":\"inf\""));
}

#[test]
fn the_resolved_scenario_has_the_same_points() {
    let text = with(
        "[[grid]]\nskip-impossible = true\nstrategy = [\"fedavg\", { fedprox = { mu = 1e-3 } }]\n\"corrupt.label-noise.rate\" = [0, 0.25]\n[[grid]]\nstrategy = [\"median\"]\n",
    )
    .replace("strategy = \"fedavg\"\n\n", "\n");
    let first = good(&text, &["train.rounds=9"]);
    assert!(!first.resolved.starts_with("strategy"));
    let again = good(&first.resolved, &[]);
    let canonical = |loaded: &Loaded| loaded.points.points.iter().map(|p| p.canonical.clone()).collect::<Vec<_>>();
    assert_eq!(canonical(&first), canonical(&again));
    assert_eq!(first.points.grids, again.points.grids);
    assert_eq!(first.resolved, again.resolved);
}

#[test]
fn files_that_cannot_be_read_say_why() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let message =
        |path: &std::path::Path| load(path, &[]).unwrap_err().to_string().replace(dir.path().to_str().unwrap(), "D");
    assert_eq!(message(&at("a.toml")), "D/a.toml: there is no such file; allowed: a scenario file. Check the path.");
    assert_eq!(message(dir.path()), "D: is a folder; allowed: a scenario file. Name the .toml file in it.");
    std::fs::write(at("b.toml"), b"a = 1\nb = \"\xff\"").unwrap();
    let expected = "D/b.toml:2: is not UTF-8 text; allowed: TOML in UTF-8. Save the file as UTF-8.";
    assert_eq!(message(&at("b.toml")), expected);
    std::fs::write(at("quick.toml"), BASE).unwrap();
    let loaded = load(&at("quick.toml"), &[]).unwrap();
    assert_eq!((loaded.name.as_str(), loaded.base.as_path()), ("quick", dir.path()));
}

#[test]
fn a_file_is_named_by_its_stem_and_never_leads_to_another_folder() {
    for (file, name) in
        [("a/b.toml", "b"), ("b.c.toml", "b.c"), (".toml", ".toml"), ("..toml", "scenario"), ("...toml", "scenario")]
    {
        assert_eq!(read_str(file, BASE, &[]).unwrap().name, name);
    }
}

const RICH: &str = r#"question = "Does it hold?"
seeds = [8, 16]
data.npz = { path = "a.npz", modalities = ["a", "b"] }
[model]
encoder.conv-gru = { channels = [1, 2, 3], hidden = 4 }
encoders.b = "gru"
[train]
cohort = 2
[corrupt.missing-modality]
rate = 0.5
[[grid]]
"train.rounds" = [1, 2]
"strategy" = ["fedavg", { fedprox = { mu = 0.5 } }, { custom = { pre = [], aggregate = "median" } }]
"#;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_mutation_of_a_scenario_makes_it_panic(
        edits in proptest::collection::vec((0..RICH.len(), 0..4u8, any::<u8>()), 1..6),
    ) {
        let mut bytes = RICH.as_bytes().to_vec();
        for (at, how, byte) in edits {
            let at = at % bytes.len();
            match how {
                0 => bytes[at] = byte,
                1 => drop(bytes.remove(at)),
                2 => bytes.insert(at, b"\"[]{}=.,\n19a-"[byte as usize % 13]),
                _ => bytes.swap(at, byte as usize),
            }
        }
        let _ = read(&String::from_utf8_lossy(&bytes), &[]);
    }

    #[test]
    fn no_set_argument_makes_it_panic(argument in "(train|model|strategy|corrupt|.{0,4})[.a-z]{0,12}(=.{0,16})?", any in ".*") {
        let _ = read(RICH, &[&argument, &any]);
    }
}
