//! FedMultimodal's partition and simulation files replayed: by hand, through a scenario, and the reference's own.

use super::support::{Bench, Npz};
use fedrobust::corrupt::{self, Client};
use fedrobust::data::listing::{self, Label, Listing};
use fedrobust::data::{Dataset, Labels, npz, prepare};
use fedrobust::partition;
use fedrobust::run::world::{Recipe, Replayed, World};
use fedrobust::seed::Stream;
use std::path::Path;

fn world(data: &Dataset, partition: &Listing, simulation: Option<&Listing>) -> World {
    let how: partition::Config = toml::from_str("replay = { path = 'p.json' }").unwrap();
    let simulated: corrupt::Config = toml::from_str("replay = { path = 's.json' }").unwrap();
    let recipe = Recipe {
        split: &prepare::Config::default(),
        normalise: prepare::Normalise::None,
        partition: &how,
        corrupt: if simulation.is_some() { &simulated } else { &corrupt::Config::default() },
        replayed: Replayed { partition: Some(partition), corrupt: simulation },
        root: None,
        population: None,
    };
    World::new(data, recipe, &Stream::root(3)).unwrap()
}

/// Two clients, a development sample, two test samples; `b` comes first in the file and lacks the second modality.
const PARTITION: &str = r#"{"test": [["9", 0, 1], ["9", 1, 0]], "dev": [["1", 2, 0]],
    "b": [["1", 4, 1], ["1", 1, 1]], "a": [["2", 3, 2], ["2", 0, 0]]}"#;
const SIMULATION: &str = r#"{"test": [["9", 0, 1, [1, 1, 0, 1]], ["9", 1, 0, [0, 0, 0, 0]]], "dev": [["1", 2, 0, [0, 0, 0, 0]]],
    "b": [["1", 4, 1, [0, 1, 2, 0]], ["1", 1, 1, [0, 1, 2, 0]]], "a": [["2", 3, 2, [0, 0, 2, 1]], ["2", 0, 0, [0, 0, 0, 0]]]}"#;

const SCENARIO: &str = r#"question = "What does the reference's file do?"
seeds = [1]
strategy = "fedavg"
data.npz = { path = "mine.npz" }
partition.replay = { path = "p.json" }
corrupt.replay = { path = "sim", alpha = 0.1 }
model = { encoder.mlp.hidden = 4, head = 4 }
train = { rounds = 1, cohort = 2 }

[[grid]]
"corrupt.replay.missing-modality" = [0.0, 0.3]
"#;

fn bench() -> Bench {
    let bench = Bench::new(SCENARIO);
    let values = |scale: f32| (0..14).map(move |i| scale * (i * i % 5) as f32);
    Npz::create(&bench.path("mine.npz"))
        .with("sound", &[7, 2], values(1.0))
        .with("motion", &[7, 2], values(-1.0))
        .with("label", &[7], [0i64, 1, 0, 2, 1, 1, 0])
        .with("split", &[7], [0u8, 0, 0, 0, 0, 2, 2])
        .done();
    bench.write("p.json", PARTITION);
    bench.write("sim/mm03_alpha01.json", SIMULATION);
    bench
}

#[test]
fn a_scenario_replays_partition_and_corruption_to_the_letter() {
    let bench = bench();
    let study = bench.checked(&[]).unwrap();
    assert_eq!((study.plan.points.len(), study.clients.as_slice()), (2, &[2, 2][..]));
    let [clean, hit] = [0, 1].map(|point| study.world(point, 1).unwrap());
    let names = |world: &World| world.clients.iter().map(|c| (c.name.clone(), c.rows.clone())).collect::<Vec<_>>();
    assert_eq!(names(&clean), [("a".to_string(), vec![3, 0]), ("b".to_string(), vec![4, 1])]);
    assert_eq!(names(&hit), names(&clean));
    assert_eq!((&*clean.dev.as_ref().unwrap().rows, &*clean.test.rows), (&vec![2], &vec![5, 6]));
    assert_eq!(hit.clients[0].labels, [2, 0]);
    assert_eq!(hit.clients[0].labelled, [false, true]);
    assert_eq!((hit.clients[1].labels.as_slice(), hit.clients[1].present.as_slice()), (&[2, 2][..], &[1, 1][..]));
    assert_eq!(clean.realised, []);
    let realised: Vec<(&str, usize, usize)> = hit.realised.iter().map(|r| (r.name.as_str(), r.hit, r.of)).collect();
    let wanted = [
        ("label-noise", 2, 4),
        ("missing-labels", 1, 4),
        ("missing-modality.motion", 2, 4),
        ("missing-modality.clients.motion", 1, 2),
    ];
    assert_eq!(realised, wanted);
    assert_eq!(hit.test.present, None);
}

#[test]
fn what_a_file_says_names_a_run_and_where_it_lies_does_not() {
    let bench = bench();
    let prints = |sets: &[&str]| -> Vec<String> {
        bench.checked(sets).unwrap().plan.runs.iter().map(|run| run.fingerprint.clone()).collect()
    };
    let before = prints(&[]);
    bench.write("elsewhere/p.json", PARTITION);
    bench.write("elsewhere/sim/mm03_alpha01.json", SIMULATION);
    let moved = ["corrupt.replay.path=elsewhere/sim", "partition.replay.path=elsewhere/p.json"];
    assert_eq!(prints(&moved), before);
    bench.write("sim/mm03_alpha01.json", &SIMULATION.replacen("[0, 1, 2, 0]", "[0, 0, 2, 0]", 1));
    let after = prints(&[]);
    assert_eq!(after[0], before[0]);
    assert_ne!(after[1], before[1]);
}

#[test]
fn files_of_other_clients_are_refused() {
    let bench = bench();
    let remedy =
        "replay the partition that the file was made from (partition.replay, or natural on data.fedmultimodal)";
    for (from, to, wanted) in [
        ("\"a\"", "\"c\"", "client \"a\": is not in the file"),
        ("[\"2\", 3, 2, [0, 0, 2, 1]], ", "", "client \"a\": has 2 samples here and 1 in the file"),
        ("3, 2, [0, 0, 2, 1]", "3, 1, [0, 0, 2, 1]", "client \"a\": sample 0 has another label in the file"),
        ("[0, 0, 2, 1]", "[0, 0, 9, 1]", "client \"a\": sample 0 gets the label 9, the data has 3 classes"),
    ] {
        bench.write("sim/mm03_alpha01.json", &SIMULATION.replace(from, to));
        let said = bench.refused(&[]);
        let wanted = format!("{wanted}; {remedy}.");
        assert!(said.starts_with("x.toml:6: corrupt.replay.path") && said.contains(&wanted), "{said}");
    }
    bench.write("sim/mm03_alpha01.json", PARTITION);
    let said = bench.refused(&[]);
    assert!(said.contains("this is a partition file"), "{said}");
    let said = bench.refused(&["corrupt.missing-labels.rate=0.1"]);
    assert!(said.contains("cannot be combined with other corruption of training data"), "{said}");
    bench.write("p.json", &PARTITION.replace("3, 2]", "9, 2]"));
    let said = bench.refused(&[]);
    let wanted = "client \"a\", sample 0: mine has no sample \"9\"; it is a file of other data.";
    assert!(said.starts_with("x.toml:5: partition.replay.path") && said.contains(wanted), "{said}");
}

fn shared(name: &str) -> Option<std::path::PathBuf> {
    let root = std::env::var_os("FEDROBUST_DATA").map(std::path::PathBuf::from);
    if root.is_none() {
        eprintln!("{name} skipped: FEDROBUST_DATA does not name the folder with data/ and reference/");
    }
    root
}

#[test]
fn the_references_files_are_replayed_on_its_data() {
    let Some(root) = shared("replay of the reference's files") else { return };
    let config = npz::Config { path: "data/uci_har.npz".into(), modalities: None, classes: None };
    let data = npz::load(&config, &root).unwrap();
    let read =
        |path: &str| listing::read("path", Path::new(&format!("reference/fedmultimodal/{path}")), &root, "").unwrap();
    for alpha in ["01", "50"] {
        let partition = read(&format!("partition/partition_alpha{alpha}.json"));
        let world = world(&data, &partition, None);
        assert_eq!((world.clients.len(), world.test.rows.len()), (105, 2947));
        assert!(world.clients.is_sorted_by(|a, b| a.name < b.name));
    }
    let partition = read("partition/partition_alpha01.json");
    for name in ["mm01", "mm03", "mm05", "ln04", "ml03"] {
        let simulation = read(&format!("simulation/{name}_alpha01.json"));
        let world = world(&data, &partition, Some(&simulation));
        for client in &world.clients {
            let (_, items) = simulation.clients.iter().find(|(key, _)| *key == client.name).unwrap();
            for (i, item) in items.iter().enumerate() {
                let wanted = item.simulated.as_ref().unwrap();
                let present = u32::from(!wanted.missing[0]) | u32::from(!wanted.missing[1]) << 1;
                assert_eq!(client.rows[i] as usize, item.row.unwrap());
                assert_eq!((client.present[i], client.labelled[i]), (present, !wanted.unlabelled), "{name}");
                assert_eq!(Label::Class(client.labels[i]), wanted.label, "{name}");
            }
            one_wrong_label_a_class(&data, client);
        }
        let hit = |what: &str| world.realised.iter().find(|r| r.name == what).map_or(0, |r| r.hit);
        let clients = ["accelerometer", "gyroscope"].map(|m| hit(&format!("missing-modality.clients.{m}")));
        // The counts that the reference's own law gives for 105 clients.
        let wanted = match name {
            "mm01" => [8, 11],
            "mm03" => [27, 32],
            "mm05" => [49, 50],
            _ => [0, 0],
        };
        assert_eq!(clients, wanted, "{name}");
        assert_eq!((hit("label-noise") > 0, hit("missing-labels") > 0), (name == "ln04", name == "ml03"));
    }
}

/// The reference's noise: all samples of a class in a client get the same label.
fn one_wrong_label_a_class(data: &Dataset, client: &Client) {
    let Labels::Single(clean) = &data.labels else { unreachable!() };
    let mut seen = [None; 6];
    for (row, label) in client.rows.iter().zip(&client.labels) {
        let class = clean[*row as usize] as usize;
        assert_eq!(*seen[class].get_or_insert(*label), *label);
    }
}

#[test]
fn a_source_is_converted_and_is_the_same_data() {
    let bench = bench();
    let checksum = |source: &str| {
        let told = bench.ran(&["data", "info", source]);
        assert_eq!((told.code, told.err.as_str()), (Some(0), ""));
        told.out.lines().last().unwrap().to_string()
    };
    let ran = bench.ran(&["data", "convert", "shoulder", "out.npz"]);
    let said = "out.npz: 1050 samples of shoulder; read it by data.npz = { path = \"out.npz\", classes = 7 }\n";
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (Some(0), said, ""));
    assert_eq!(checksum("out.npz"), checksum("shoulder"));
    let refused = bench.ran(&["data", "convert", "shoulder", "out.csv"]);
    let said = "out.csv: is not a name of an .npz file; allowed: OUT.npz. Add the ending.\n";
    assert_eq!((refused.code, refused.err.as_str()), (Some(2), said));
    let absent = bench.ran(&["data", "convert", "{ uci-har = { path = 'there' } }", "out.npz"]);
    assert_eq!(absent.code, Some(3));
    assert!(absent.err.starts_with("data.uci-har.path = there: there is no folder "), "{}", absent.err);
}
