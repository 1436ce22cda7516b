//! Real data of other kinds (`data/` of the folder in `FEDROBUST_DATA`), end to end through the command line: several labels a
//! sample, three modalities of pooled features, four sensors of four lengths. Says that it was skipped where it is unset.

use super::support::{Bench, table};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The rounds of a scenario on one of the files; nothing where the folder is not known.
fn rounds(file: &str, scenario: &str) -> Option<Vec<BTreeMap<String, String>>> {
    let Some(root) = std::env::var_os("FEDROBUST_DATA").map(PathBuf::from) else {
        eprintln!("{file} skipped: FEDROBUST_DATA does not name the folder with data/ and reference/");
        return None;
    };
    let path = root.join("data").join(file);
    let head = format!("question = 'Is it learned?'\nseeds = [8]\ndata.npz.path = '{}'\n", path.display());
    let bench = Bench::new(&(head + scenario));
    bench.run("out", &[]);
    Some(table(&bench.read("out/rounds.csv")))
}

fn number(row: &BTreeMap<String, String>, column: &str) -> f64 {
    row[column].parse().unwrap_or_else(|_| panic!("{column} is {:?}", row[column]))
}

#[test]
fn several_diagnoses_a_record_are_learned_by_hospitals() {
    let scenario = "partition = 'natural'\nstrategy.fedopt = { lr = 0.05 }\n\
        [model]\nencoder.conv-gru = { channels = [4, 8, 8], hidden = 8 }\nfusion = 'concat'\nhead = 16\ndropout = 0.0\n\
        [train]\nrounds = 8\ncohort = 1.0\nbatch = 16\nepochs = 2\noptimizer.sgd = { lr = 0.1 }\n[evaluate]\nevery = 8\n";
    let Some(rounds) = rounds("ptbxl500.npz", scenario) else { return };
    // All 353 records of the official training part in both epochs: those without any diagnosis too.
    assert!(rounds.iter().all(|row| row["samples"] == "706" && row["clients"] == "4"), "{rounds:?}");
    let (first, last) = (&rounds[0], &rounds[7]);
    assert!(number(last, "train_loss") < number(first, "train_loss") - 0.05, "{first:?} {last:?}");
    for column in ["dev_macro_f1", "test_macro_f1", "test_uar", "test_accuracy"] {
        assert!((0.05..1.0).contains(&number(last, column)), "{column}: {last:?}");
    }
    assert_eq!(last["test_top_k"], "", "top-k is not defined for several labels");
}

#[test]
fn sentiment_is_learned_from_three_modalities_though_some_are_missing() {
    let scenario = "strategy = 'fedavg'\nmodel = { encoder.mlp.hidden = 16, fusion.attention = { heads = 2, units = 16 } }\n\
        [corrupt.missing-modality]\nper = 'sample'\nrates = { text = 0.3, audio = 0.3, video = 0.3 }\n\
        [train]\nrounds = 6\ncohort = 0.3\nbatch = 8\nepochs = 2\noptimizer.sgd = { lr = 0.05 }\n[evaluate]\nevery = 6\n";
    let Some(rounds) = rounds("mosi.npz", scenario) else { return };
    // Better than the larger class, which is 0.53 of all.
    assert!(number(&rounds[5], "test_accuracy") > 0.65, "{:?}", rounds[5]);
    assert!(number(&rounds[5], "train_loss") < number(&rounds[0], "train_loss"), "{rounds:?}");
}

#[test]
fn stress_is_learned_from_four_sensors_of_four_lengths() {
    let scenario = "strategy = 'fedavg'\n\
        model = { encoder.conv-gru = { channels = [4, 8, 8], hidden = 8 }, fusion.attention = { heads = 2, units = 16 } }\n\
        [train]\nrounds = 4\ncohort = 0.3\nbatch = 32\nepochs = 1\noptimizer.sgd = { lr = 0.05 }\n[evaluate]\nevery = 4\n";
    let Some(rounds) = rounds("stress.npz", scenario) else { return };
    assert!(number(&rounds[3], "train_loss") < number(&rounds[0], "train_loss"), "{rounds:?}");
    assert!(number(&rounds[3], "test_uar") >= 0.5, "{:?}", rounds[3]);
}
