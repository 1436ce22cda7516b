//! Scenarios whose data is not on this machine: what is checked, what is said, how it ends.

use super::support::Bench;

const SCENARIO: &str = r#"question = "What does a lost sensor cost?"
seeds = [8, 16]
strategy = "fedavg"
normalise = "per-window"

[data.uci-har]
path = "UCI HAR Dataset"

[partition.replay]
path = "partition_alpha01.json"

[model]
encoder.conv-gru = { channels = [4, 4, 4], hidden = 4 }
fusion = "concat"
head = 4

[[grid]]
"corrupt.missing-modality.rates.gyroscope" = [0.0, 0.5]
"#;

#[test]
fn a_scenario_without_its_data_is_planned_and_says_how_to_get_it() {
    let bench = Bench::new(SCENARIO);
    let ran = bench.ran(&["plan", "x.toml"]);
    assert_eq!(ran.code, Some(3), "{}", ran.err);
    let out = "x: What does a lost sensor cost?\n  runs        4 = 2 points × 2 seeds\n  parameters  770\n  \
        not there   the data, so clients, memory and time are unknown; all else was checked\n";
    assert_eq!(ran.out, out);
    let folder = std::fs::canonicalize(bench.path("")).unwrap();
    let err = format!(
        "x.toml:7: data.uci-har.path = UCI HAR Dataset: there is no folder {0}/UCI HAR Dataset; get \"UCI HAR Dataset.zip\" \
         from https://archive.ics.uci.edu/dataset/240 and unpack it there, or name where it is: --set data.uci-har.path=FOLDER\n\
         x.toml:10: partition.replay.path = partition_alpha01.json: there is no file {0}/partition_alpha01.json; make it with \
         FedMultimodal's scripts (github.com/usc-sail/fed-multimodal), or name where it is: --set partition.replay.path=FILE\n",
        folder.display()
    );
    assert_eq!(ran.err, err);
    let allowed = bench.ran(&["plan", "x.toml", "--allow-absent-data"]);
    assert_eq!((allowed.code, allowed.out, allowed.err), (Some(0), out.to_string(), err.clone()));
    let run = bench.ran(&["run", "x.toml"]);
    assert_eq!((run.code, run.out, run.err), (Some(3), String::new(), err));
}

#[test]
fn what_needs_no_samples_is_checked_without_the_data() {
    let bench = Bench::new(&SCENARIO.replace("rates.gyroscope", "rates.gyro"));
    let ran = bench.ran(&["plan", "x.toml", "--allow-absent-data", "--set", "model.encoder=mlp"]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""));
    assert!(ran.err.contains("names no modality of the data; allowed: accelerometer, gyroscope."), "{}", ran.err);
    assert!(ran.err.contains("cannot encode modality accelerometer, whose samples are [128, 3]"), "{}", ran.err);
}
