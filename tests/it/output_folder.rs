//! The way of someone who has used FedMultimodal: its output folder, made small here, is told, converted and trained on through the
//! command line, with its partition and its corruption replayed.

use super::folders::{Folder, Sample, value};
use super::support::{Bench, scores, table};
use fedrobust::data::{Dataset, Labels, Part, fedmultimodal, npz};
use serde_json::{Value, json};

/// Rows in the order in which its partition deals them: not ascending, so that a reader which counts is found out. Nobody has
/// class 5, so that the number of classes must be told with the npz.
fn activities() -> Folder {
    let sample = |test: bool, person: &str, row: usize| {
        let id = if test { 1000 + row } else { row };
        Sample { id, key: person.into(), place: json!(row), label: row as u32 % 5, steps: [16, 16] }
    };
    let dealt: Vec<usize> = (0..25).map(|i| i * 7 % 25).collect();
    let train = |person: &str, rows: &[usize]| rows.iter().map(|&row| sample(false, person, row)).collect();
    let dev = ["1", "3", "11"].iter().zip(&dealt[22..]).map(|(person, &row)| sample(false, person, row)).collect();
    let test = (0..8).map(|row| sample(true, if row < 4 { "2" } else { "4" }, row)).collect();
    Folder {
        features: ["acc/uci-har/alpha01", "gyro/uci-har/alpha01"],
        widths: [3, 3],
        dtype: "f8",
        entries: vec![
            ("test", test),
            ("dev", dev),
            ("1-0", train("1", &dealt[..6])),
            ("1-1", train("1", &dealt[6..11])),
            ("3-0", train("3", &dealt[11..17])),
            ("11-0", train("11", &dealt[17..22])),
        ],
    }
}

/// Sequences of different lengths; the second sample of everybody has no video.
fn emotions() -> Folder {
    let mut next = 0;
    let mut samples = |speakers: &[&str]| -> Vec<Sample> {
        let one = |(i, speaker): (usize, &&str)| {
            next += 1;
            let name = format!("{speaker}_{next}_ANG_XX");
            let steps = [3 + next % 5, if i == 1 { 0 } else { 1 + i % 3 }];
            let place = json!(format!("AudioWAV/{name}.wav"));
            Sample { id: next, key: format!("{speaker}/{name}"), place, label: next as u32 % 4, steps }
        };
        speakers.iter().enumerate().map(one).collect()
    };
    Folder {
        features: ["audio/mfcc/crema_d/fold1", "video/mobilenet_v2/crema_d/fold1"],
        widths: [4, 2],
        dtype: "f4",
        entries: vec![
            ("dev", samples(&["1001", "1002", "1003"])),
            ("test", samples(&["1010", "1010", "1011", "1011", "1011"])),
            ("1001", samples(&["1001"; 5])),
            ("1002", samples(&["1002"; 6])),
            ("1003", samples(&["1003"; 4])),
            ("1004", samples(&["1004"; 5])),
        ],
    }
}

/// What the partition's clients 2, 3 and 4 lose at rate 0.3: a modality each, and both.
fn lost(folder: &Folder) -> impl Fn(&str, usize, &Sample) -> Value {
    let names: Vec<&str> = folder.entries[3..].iter().map(|(name, _)| *name).collect();
    move |client, _, sample| match names.iter().position(|name| *name == client) {
        Some(0) => json!([1, 0, sample.label, 0]),
        Some(1) => json!([0, 1, sample.label, 0]),
        Some(2) => json!([1, 1, sample.label, 0]),
        _ => json!([0, 0, sample.label, 0]),
    }
}

/// The first client takes every class for the next one, and everybody's first label is lost.
fn mislabelled(folder: &Folder) -> impl Fn(&str, usize, &Sample) -> Value {
    let first = folder.entries[2].0;
    move |client, i, sample| {
        let seen = if client == first { (sample.label + 1) % 4 } else { sample.label };
        json!([0, 0, seen, u8::from(i == 0 && !["dev", "test"].contains(&client))])
    }
}

/// Everything of the folder in `output`, with `x.toml` on it; `alpha` is what its file names end in.
fn bench(folder: &Folder, source: &str, set: &str, alpha: &str) -> Bench {
    let rate = if alpha.is_empty() { "" } else { ", alpha = 0.1" };
    let bench = Bench::new(&format!(
        r#"question = "Do a folder and the npz made of it give one answer?"
seeds = [8]
strategy = "fedavg"
data = {source}
corrupt.replay = {{ path = "output/simulation_feature/{set}"{rate} }}
model = {{ encoder.gru.hidden = 4, fusion.attention = {{ heads = 2, units = 4 }}, head = 4 }}
train = {{ rounds = 2, cohort = 1.0, batch = 4 }}

[[grid]]
"corrupt.replay.missing-modality" = [0.0, 0.3]

[[grid]]
"corrupt.replay.label-noise" = [0.4]
"corrupt.replay.missing-labels" = [0.1]
"#
    ));
    folder.write_features(&bench);
    bench.write(&format!("output/partition/{set}/partition{alpha}.json"), &folder.listing(None));
    let simulation = |name: &str| format!("output/simulation_feature/{set}/{name}{alpha}.json");
    bench.write(&simulation("mm03"), &folder.listing(Some(&lost(folder))));
    bench.write(&simulation("ln04_ml01"), &folder.listing(Some(&mislabelled(folder))));
    bench
}

/// `data convert` of the source: what was read from the folder and what the npz holds.
fn converted(bench: &Bench, source: &str, classes: usize) -> [Dataset; 2] {
    let told = |source: &str| {
        let ran = bench.ran(&["data", "info", source]);
        assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
        ran.out.lines().last().unwrap().to_string()
    };
    let ran = bench.ran(&["data", "convert", source, "mine.npz"]);
    let read = format!("read it by data.npz = {{ path = \"mine.npz\", classes = {classes} }}\n");
    assert!(ran.code == Some(0) && ran.out.ends_with(&read), "{ran:?}");
    assert_eq!(told(&format!("{{ npz = {{ path = 'mine.npz', classes = {classes} }} }}")), told(source));
    let config: toml::Table = format!("source = {source}").parse().unwrap();
    let config: fedmultimodal::Config = config["source"]["fedmultimodal"].clone().try_into().unwrap();
    let base = bench.path("");
    let read = fedmultimodal::load(&config, &base).unwrap();
    let config = npz::Config { path: "mine.npz".into(), modalities: None, classes: Some(classes) };
    [read, npz::load(&config, &base).unwrap()]
}

/// The npz holds what was written into the pickles, in reading order, and says the same of it as the folder.
fn assert_holds(folder: &Folder, [read, npz]: &[Dataset; 2]) {
    let samples = folder.in_reading_order();
    let (name, keys) = (read.name.clone(), read.keys.clone());
    assert_eq!(*read, Dataset { name, keys, ..npz.clone() });
    assert_eq!(npz.labels, Labels::Single(samples.iter().map(|(_, sample)| sample.label).collect()));
    for (i, (client, sample)) in samples.iter().enumerate() {
        let (part, owner) = match *client {
            "dev" => (Part::Dev, sample.key.split('/').next().unwrap()),
            "test" => (Part::Test, sample.key.split('/').next().unwrap()),
            client => (Part::Train, client),
        };
        assert_eq!((npz.parts.as_ref().unwrap()[i], &*npz.client_names[npz.client[i] as usize]), (part, owner));
        for (m, modality) in npz.modalities.iter().enumerate() {
            let length = modality.lengths.as_ref().map_or(modality.shape.time, |lengths| lengths[i] as usize);
            assert_eq!((length, modality.shape.width), (sample.steps[m], folder.widths[m]));
            for ((step, feature), &found) in modality.values.index_axis(ndarray::Axis(0), i).indexed_iter() {
                let wanted = if step < length { value(m, sample, step, feature) as f32 } else { 0.0 };
                assert_eq!(found, wanted, "{client}, sample {}", sample.key);
            }
        }
    }
}

/// The scores of every point, round by round; all runs are finished.
fn courses(bench: &Bench, out: &str, sets: &[&str]) -> Vec<[String; 2]> {
    let sets: Vec<&str> = sets.iter().flat_map(|set| ["--set", set]).collect();
    bench.run(out, &sets);
    assert!(table(&bench.read(&format!("{out}/runs.csv"))).iter().all(|run| run["status"] == "finished"));
    let rounds = table(&bench.read(&format!("{out}/rounds.csv")));
    rounds.chunks(2).map(|rows| [scores(&rows[0]), scores(&rows[1])]).collect()
}

/// Runs on the folder, on the folder with the partition file replayed, and on the npz: one course a point, three points.
fn assert_one_answer(bench: &Bench, partition: &str, classes: usize) {
    let folder = courses(bench, "folder", &[]);
    assert_eq!(folder.len(), 3);
    assert!(folder[0] != folder[1] && folder[1] != folder[2] && folder[0] != folder[2], "{folder:?}");
    let partition = format!("partition.replay.path={partition}");
    assert_eq!(courses(bench, "replayed", &[&partition]), folder);
    let npz = format!("data={{ npz = {{ path = 'mine.npz', classes = {classes} }} }}");
    assert_eq!(courses(bench, "npz", &[&npz]), folder);
    // The names by which a partition file finds samples are not in an npz.
    let said = bench.refused(&[&npz, &partition]);
    assert!(said.contains("it is a file of other data"), "{said}");
}

/// A realised rate of a run, as a fraction of `of`.
fn realised(bench: &Bench, run: usize, name: &str, of: f64) -> f64 {
    let rate: f64 = table(&bench.read("folder/runs.csv"))[run][&format!("realised.{name}")].parse().unwrap();
    rate * of
}

#[test]
fn a_folder_of_activities_is_told_converted_and_trained_on_with_its_partition_and_corruption_replayed() {
    let folder = activities();
    let source = "{ fedmultimodal = { path = 'output', dataset = 'uci-har', alpha = 0.1 } }";
    let bench = bench(&folder, source, "uci-har", "_alpha01");
    let ran = bench.ran(&["data", "info", source]);
    let told = "uci-har: 33 samples, 9 natural clients
  modality    accelerometer [16, 3]
  modality    gyroscope [16, 3]
  classes     6: 0 7, 1 7, 2 7, 3 6, 4 6, 5 0
  clients     9, samples each: least 1, median 4, most 6
  parts       official: train 22, dev 3, test 8
";
    assert_eq!((ran.code, ran.err.as_str(), ran.out.split("  checksum").next()), (Some(0), "", Some(told)));
    assert_holds(&folder, &converted(&bench, source, 6));
    assert_one_answer(&bench, "output/partition/uci-har/partition_alpha01.json", 6);

    let rounds = table(&bench.read("folder/rounds.csv"));
    let trained: Vec<[&str; 3]> =
        rounds.iter().map(|row| ["clients", "skipped", "samples"].map(|column| row[column].as_str())).collect();
    let of = |clean: [&'static str; 3]| [clean; 2];
    assert_eq!(trained, [of(["4", "0", "22"]), of(["3", "1", "17"]), of(["4", "0", "18"])].concat());
    for (run, name, hit, of) in [
        (1, "missing-modality.accelerometer", 10.0, 22.0),
        (1, "missing-modality.gyroscope", 11.0, 22.0),
        (1, "missing-modality.clients.gyroscope", 2.0, 4.0),
        (1, "clients-without-samples", 1.0, 4.0),
        (2, "label-noise", 6.0, 22.0),
        (2, "missing-labels", 4.0, 22.0),
    ] {
        assert!((realised(&bench, run, name, of) - hit).abs() < 1e-9, "{name}");
    }
}

#[test]
fn a_folder_of_sequences_of_different_lengths_some_of_them_missing_goes_the_same_way() {
    let folder = emotions();
    let source = "{ fedmultimodal = { path = 'output', dataset = 'crema-d', fold = 1 } }";
    let bench = bench(&folder, source, "crema_d/fold1", "");
    let ran = bench.ran(&["data", "info", source]);
    let told = "crema_d: 28 samples, 6 natural clients
  modality    audio [7, 4], lengths 3 to 7
  modality    video [3, 2], lengths 0 to 3
  classes     4: 0 7, 1 7, 2 7, 3 7
  clients     6, samples each: least 2, median 5, most 7
  parts       official: train 20, dev 3, test 5
";
    assert_eq!((ran.code, ran.err.as_str(), ran.out.split("  checksum").next()), (Some(0), "", Some(told)));
    assert_holds(&folder, &converted(&bench, source, 4));
    assert_one_answer(&bench, "output/partition/crema_d/fold1/partition.json", 4);
}
