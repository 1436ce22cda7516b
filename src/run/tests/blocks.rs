//! Runs that aggregate each block of the model over the clients that own it.

use super::*;
use crate::attack;
use crate::model::Block;

/// Three weights, one a block: encoders of two modalities, and what they share. Every client moves each by the mean of
/// its labels, so that a test sees who counted where.
struct Blocked;

impl Engine for Blocked {
    fn parameters(&self) -> usize {
        3
    }

    fn blocks(&self) -> Vec<Block> {
        let block = |name: &str, modality, offset| Block { name: name.into(), modality, offset, len: 1 };
        vec![block("a", Some(0), 0), block("b", Some(1), 1), block("fusion", None, 2)]
    }

    fn init(&self, _stream: &Stream) -> Tensor {
        Tensor::from_slice(&[0.0f32; 3])
    }

    fn train(&self, jobs: Vec<Job>) -> Vec<Task<Trained>> {
        let train = |job: Job| {
            let mean = job.samples.labels.iter().sum::<u32>() as f32 / job.samples.len() as f32;
            let (delta, samples) = (Tensor::from_slice(&[mean; 3]), job.samples.len());
            Trained { run: job.run, place: job.place, delta, samples, steps: 1, loss: 0.0, loss_batch_mean: 0.0 }
        };
        jobs.into_iter().map(|job| Task::new([job.run].into_iter(), move || Ok(vec![train(job)]))).collect()
    }

    fn evaluate(&self, _jobs: Vec<EvalJob>) -> Vec<Task<Scored>> {
        Vec::new()
    }
}

/// Clients with one sample each: its label, and the modalities it has.
fn owners(samples: &[(u32, u32)]) -> Arc<World> {
    let labels: Vec<[u32; 1]> = samples.iter().map(|(label, _)| [*label]).collect();
    let mut world = Arc::unwrap_or_clone(world(&labels.iter().map(|l| l.as_slice()).collect::<Vec<_>>()));
    for (client, (_, present)) in world.clients.iter_mut().zip(samples) {
        client.present = vec![*present];
    }
    world.usable = world.clients.iter().map(|client| Arc::new(client.usable())).collect();
    world.modalities = vec!["a".into(), "b".into()];
    Arc::new(world)
}

/// The weights after a round, and the blocks that stayed.
fn after(strategy: &str, attack: Option<&str>, samples: &[(u32, u32)]) -> (Vec<f64>, usize) {
    let attack = attack.map(|text| toml::from_str::<attack::Config>(text).unwrap());
    let mut run = Run::new(Spec { attack, ..spec(strategy, 1, 1.0) }, owners(samples), &Blocked);
    let jobs = run.jobs();
    run.absorb(perform(Blocked.train(jobs))).unwrap();
    let row = run.record(&[], 0.0).unwrap();
    (Vec::<f64>::try_from(run.weights().to_kind(tch::Kind::Double)).unwrap(), row.stayed)
}

#[test]
fn a_block_is_the_mean_over_those_who_own_it() {
    let samples = [(1, 3), (2, 1), (6, 1)];
    assert_eq!(after(r#"{"custom":{"per-block":true}}"#, None, &samples), (vec![3.0, 1.0, 3.0], 0));
    assert_eq!(after(r#"{"custom":{}}"#, None, &samples), (vec![3.0, 3.0, 3.0], 0));
}

#[test]
fn a_block_that_nobody_owns_stays_and_is_counted() {
    let samples = [(1, 1), (2, 1)];
    assert_eq!(after(r#"{"custom":{"per-block":true}}"#, None, &samples), (vec![1.5, 0.0, 1.5], 1));
    let nobody = (vec![0.0; 3], 3);
    assert_eq!(after(r#"{"custom":{"per-block":true}}"#, None, &[(1, 0), (2, 0)]), nobody);
}

#[test]
fn attackers_who_forge_their_updates_claim_every_block_and_those_who_forge_data_do_not() {
    // Two of three clients have only a. Whoever is byzantine, zeros count in b too; two honest ones are left in a.
    let samples = [(3, 1), (3, 1), (3, 1)];
    let (made, stayed) = after(r#"{"custom":{"per-block":true}}"#, Some("byzantine = 1\nkind.zero = {}"), &samples);
    assert_eq!((made, stayed), (vec![2.0, 0.0, 2.0], 0));
    let (made, stayed) =
        after(r#"{"custom":{"per-block":true}}"#, Some("byzantine = 1\nkind.label-flip = {}"), &samples);
    assert_eq!((made, stayed), (vec![2.0, 0.0, 2.0], 1), "a flipped 3 is a 0, and b has no owner");
}

#[test]
fn attackers_imagine_the_defence_block_by_block() {
    // IPM's optimised factor needs the defence; in b the attacker meets no honest row.
    let samples = [(3, 3), (2, 1), (1, 1), (2, 1), (3, 1)];
    let strategy = r#"{"custom":{"per-block":true,"aggregate":{"median":{}}}}"#;
    let (made, _) = after(strategy, Some("byzantine = 2\nkind.ipm.scale = 'optimised'"), &samples);
    assert!(made.iter().all(|w| w.is_finite()), "{made:?}");
}

#[test]
fn the_memory_of_an_objective_counts_the_owners_of_each_block() {
    // Changes 1, 2 and 6, all in one step of rate one half; only the first client owns b. FedDyn: h/α = −(sum of owners'
    // changes) / 3, so a moves by 3 + 9/3 and b by 1 + 1/3; SCAFFOLD: c = −(sum of owners' changes) / (3 · ½).
    let samples = [(1, 3), (2, 1), (6, 1)];
    let played = |local: &str, rounds: usize| {
        let strategy = format!(r#"{{"custom":{{"per-block":true,"local":{{"{local}":{{}}}}}}}}"#);
        let mut run = Run::new(spec(&strategy, rounds, 1.0), owners(&samples), &Blocked);
        let jobs = run.jobs();
        run.absorb(perform(Blocked.train(jobs))).unwrap();
        run
    };
    let row = |tensor: &Tensor| {
        let values = Vec::<f64>::try_from(tensor.to_kind(tch::Kind::Double)).unwrap();
        values.iter().map(|x| (x * 1e4).round() / 1e4).collect::<Vec<f64>>()
    };
    assert_eq!(row(played("feddyn", 1).weights()), [6.0, 1.3333, 6.0]);
    let state = played("scaffold", 1).state();
    let (_, c) = state.iter().find(|(name, _)| name == "local.server").unwrap();
    assert_eq!(row(c), [-6.0, -0.6667, -6.0]);
}

#[test]
fn a_block_that_stays_takes_no_shift_of_an_objective() {
    let strategy = r#"{"custom":{"per-block":true,"local":{"feddyn":{}}}}"#;
    assert_eq!(after(strategy, None, &[(1, 1), (2, 1)]), (vec![3.0, 0.0, 3.0], 1));
}
