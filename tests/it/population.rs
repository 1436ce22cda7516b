//! Clients that are made when they are drawn: they give what clients give that are all there.

use super::support::Bench;
use fedrobust::corrupt::Present;
use fedrobust::data::prepare::{self, Normalise};
use fedrobust::data::{Dataset, Labels, Modality, Part, population};
use fedrobust::lane::torch::TorchEngine;
use fedrobust::lane::{Engine, Task};
use fedrobust::partition;
use fedrobust::record::RoundRow;
use fedrobust::run::Run;
use fedrobust::run::world::{Recipe, World};
use fedrobust::scenario::read_str;
use fedrobust::seed::Stream;
use fedrobust::sweep::study::Study;
use ndarray::{Axis, concatenate};
use std::sync::Arc;
use tch::Device;

const SCENARIO: &str = "question = 'Does it scale?'
seeds = [3]
strategy = 'fedavg'
normalise = 'none'
train = { rounds = 2, cohort = 4, batch = 4, epochs = 1 }
evaluate = { every = 1, metric = 'accuracy' }

[data.population]
clients = 12
samples = 7
test-clients = 3
alpha = 1.0
client-shift = 0.4
modalities = { sound = { time = 8, width = 3 }, motion = { time = 5, width = 4 } }

[model]
encoder.gru.hidden = 4
head = 4

[corrupt]
missing-modality = { rate = 0.4 }
missing-labels = { rate = 0.3 }
label-noise = { rate = 0.3 }
";

/// All clients of a population and its test samples, as one data set.
fn together(config: &population::Config) -> Dataset {
    let clients: Vec<Dataset> = (0..config.clients).map(|k| config.client(k)).chain([config.test()]).collect();
    let modality = |m: usize| {
        let values: Vec<_> = clients.iter().map(|data| data.modalities[m].values.view()).collect();
        Modality { values: concatenate(Axis(0), &values).unwrap(), ..clients[0].modalities[m].clone() }
    };
    let labels = |data: &Dataset| match &data.labels {
        Labels::Single(labels) => labels.clone(),
        Labels::Multi(_) => unreachable!(),
    };
    let part = |k: usize| if k < config.clients { Part::Train } else { Part::Test };
    let every = |of: &dyn Fn(usize) -> usize| -> Vec<usize> {
        clients
            .iter()
            .enumerate()
            .flat_map(|(k, data)| (0..data.len()).map(move |i| (k, i)))
            .map(|(k, i)| k * 1000 + i)
            .map(of)
            .collect()
    };
    let test = clients.last().unwrap();
    let natural = |at: usize| match at / 1000 {
        k if k < config.clients => k,
        k => k + test.client[at % 1000] as usize,
    };
    Dataset {
        modalities: (0..test.modalities.len()).map(modality).collect(),
        labels: Labels::Single(clients.iter().flat_map(labels).collect()),
        client: every(&natural).into_iter().map(|k| k as u32).collect(),
        client_names: (0..config.clients + config.test_clients).map(|k| format!("{k:03}")).collect(),
        parts: Some(every(&|at| at / 1000).into_iter().map(part).collect()),
        ..test.clone()
    }
}

fn rounds(mut run: Run, engine: &TorchEngine) -> (Vec<RoundRow>, Vec<f32>) {
    fn perform<T>(tasks: Vec<Task<T>>) -> Vec<T> {
        tasks.into_iter().flat_map(|task| task.perform().unwrap()).collect()
    }
    let mut rows = Vec::new();
    while run.stop().is_none() {
        let jobs = run.jobs();
        run.absorb(perform(engine.train(jobs))).unwrap();
        rows.push(run.record(&perform(engine.evaluate(run.evaluations())), 0.0).unwrap());
    }
    (rows, Vec::try_from(run.weights()).unwrap())
}

fn equal(more: &str) {
    let loaded = read_str("x.toml", &format!("{SCENARIO}{more}"), &[]).unwrap();
    let study = Study::new(loaded, Device::Cpu).unwrap();
    let scenario = study.scenario(0);
    let config = scenario.data.population().unwrap();
    let drawn = Run::new(study.spec(0), Arc::new(study.world(0, 3).unwrap()), &study.engine(0, 2).unwrap());
    let drawn = rounds(drawn, &study.engine(0, 2).unwrap());

    let data = together(config);
    let recipe = Recipe {
        split: &prepare::Config { dev: 0.0, ..Default::default() },
        normalise: Normalise::None,
        partition: &partition::Config::default(),
        corrupt: &scenario.corrupt,
        replayed: Default::default(),
        root: None,
        population: None,
    };
    let world = Arc::new(World::new(&data, recipe, &Stream::root(3)).unwrap());
    assert_eq!(world.clients.len(), 12);
    let engine = TorchEngine::new(study.model(0), &data, 4, 2, Device::Cpu).unwrap();
    let kept = rounds(Run::new(study.spec(0), world, &engine), &engine);
    assert!(drawn.0[0].clients > 1 && drawn.0[1].test.is_some());
    assert_eq!(drawn.0, kept.0);
    assert!(drawn.1 == kept.1, "the weights differ");
}

#[test]
fn clients_made_when_they_are_drawn_give_the_same_bytes_as_clients_that_are_all_there() {
    equal("");
    equal("[attack]\nbyzantine = 0.5\nkind = { modality-poison = { modality = 'sound' } }\n");
}

#[test]
fn a_member_is_corrupted_as_among_all() {
    let study = Study::new(read_str("x.toml", SCENARIO, &[]).unwrap(), Device::Cpu).unwrap();
    let world = study.world(0, 3).unwrap();
    let members: Vec<_> = (0..world.size()).map(|k| world.member(k).usable).collect();
    let lost = |bit: Present| members.iter().filter(|m| m.present.iter().any(|p| p & bit == 0)).count();
    assert!(world.clients.is_empty() && (1..12).contains(&lost(1)) && (1..12).contains(&lost(2)));
    assert!(members.iter().map(|m| m.len()).sum::<usize>() < 12 * 7 * 8 / 10, "labels are missing");
    assert_eq!(world.member(5).usable, members[5], "the same at every asking");
}

#[test]
fn a_million_clients_take_no_more_than_a_few() {
    let text = SCENARIO.replace("clients = 12\n", "clients = 1000000\n");
    let bench = Bench::new(&text);
    let planned = bench.ran(&["plan", "x.toml", "--no-calibrate"]);
    assert!(planned.out.contains("clients     1000000"), "{}", planned.out);
    bench.run("out", &[]);
    let rows = bench.rounds("out");
    assert_eq!(rows.len(), 2);
    // What is kept of a world does not grow with it.
    let study = Study::new(read_str("x.toml", &text, &[]).unwrap(), Device::Cpu).unwrap();
    let held = allocation_counter::measure(|| drop(study.world(0, 3).unwrap()));
    assert!(held.bytes_max < 1 << 20, "{} bytes", held.bytes_max);
}

#[test]
fn what_needs_all_clients_is_refused() {
    let text = SCENARIO
        .replace("normalise = 'none'\n", "")
        .replace("strategy = 'fedavg'", "strategy = 'centralised'\npartition.iid.clients = 3\nsplit.dev = 0.1")
        .replace("missing-modality = { rate = 0.4 }", "missing-modality = { rate = 0.4, exact = true }");
    let said = read_str("x.toml", &text, &[]).unwrap_err().to_string();
    let expected = "x.toml: normalise = \"training-set\" (default)
  looks at samples of all clients, and those of a population are never there together; allowed: none. Write normalise = \"none\": the features have deviation 1 or so.
x.toml:3: strategy = 'centralised'
  trains on or with all clients, and those of a population are never there together; allowed: a federated strategy.
x.toml:4: partition
  deals samples, and a population has its clients; allowed: natural. Leave it out.
x.toml:5: split
  holds samples out, and a population has its own for testing; allowed: no split: the test samples are those of data.population.test-clients. Leave it out.
x.toml:22: corrupt.missing-modality.exact = true
  counts all clients of a population; allowed: false, or per = \"sample\".
5 faults in x.toml";
    assert_eq!(said, expected);
    let refused = |old: &str, new: &str| {
        let said = read_str("x.toml", &SCENARIO.replace(old, new), &[]).unwrap_err().to_string();
        said.lines().nth(1).unwrap().to_string()
    };
    assert_eq!(
        refused("'fedavg'", "{ custom = { aggregate.fltrust = {} } }"),
        "  has a rule whose server takes samples of clients, and a population is not there before it is drawn; allowed: a rule without root data."
    );
    let law = "  is FedMultimodal's law of clients in order of their names; allowed: no draw. Leave it out.";
    for rate in ["missing-modality = { rate = 0.4", "missing-labels = { rate = 0.3"] {
        assert_eq!(refused(rate, &format!("{rate}, draw = {{ fedmultimodal = {{}} }}")), law);
    }
    assert_eq!(
        refused("epochs = 1", "epochs = 1, draw = { fedmultimodal = {} }"),
        "  orders all clients by name; allowed: no draw. Leave it out."
    );
}
