//! What a sweep makes of runs that break in the middle: the others go on.

use super::study::Study;
use super::wave::{Seat, Workers, play};
use crate::data::Labels;
use crate::record::Stop;
use crate::run::Run;
use crate::run::world::World;
use std::sync::Arc;
use tch::Device;

const SCENARIO: &str = "question = 'Who breaks?'\nseeds = [1, 2, 3, 4]\nstrategy = 'fedavg'\n\
    data.synthetic = { samples = 60, classes = 3, clients = 4, modalities.sound = { width = 3 } }\n\
    model = { encoder.mlp.hidden = 4, head = 4 }\ntrain = { rounds = 3, cohort = 1.0 }\n";

/// Plays two rounds of four runs whose worlds were harmed before the second, on so many threads; gives how each stands.
fn two_rounds(threads: usize, harm: impl Fn(usize, &mut World)) -> Vec<Option<Stop>> {
    let study = Study::new(crate::scenario::read_str("x.toml", SCENARIO, &[]).unwrap(), Device::Cpu).unwrap();
    let engines = [study.engine(0, 8).unwrap()];
    let seat = |run: usize, harmed: bool| {
        let mut world = study.world(0, study.plan.runs[run].seed).unwrap();
        if harmed {
            harm(run, &mut world);
        }
        Seat::new(Run::new(study.spec(run), Arc::new(world), &engines[0]), 0)
    };
    let workers = Workers::new(threads).unwrap();
    let mut seats: Vec<Seat> = (0..4).map(|run| seat(run, false)).collect();
    play(&mut seats, &engines, &workers);
    for (run, before) in seats.iter_mut().enumerate() {
        let mut after = seat(run, true);
        after.run.restore(1, before.run.state()).unwrap();
        *before = after;
    }
    play(&mut seats, &engines, &workers);
    seats.into_iter().map(|seat| seat.broken).collect()
}

#[test]
fn a_panic_in_any_step_of_a_round_breaks_its_own_run_in_that_round() {
    for threads in [0, 2] {
        let broken = two_rounds(threads, |run, world| match run {
            // Asking for jobs meets a client that is not there.
            1 => world.usable.truncate(2),
            // Training meets a sample that is not there.
            2 => {
                let mut samples = (*world.usable[0]).clone();
                samples.rows[0] = 1_000_000;
                world.usable[0] = Arc::new(samples);
            }
            // Scoring meets a class that is not there.
            3 => world.test.truth = Labels::Single(vec![99; world.test.rows.len()]),
            _ => {}
        });
        assert_eq!(broken[0], None);
        for (run, stop) in broken.iter().enumerate().skip(1) {
            let Some(Stop::Failed { round, message }) = stop else { panic!("run {run} went on: {stop:?}") };
            assert_eq!(*round, 2, "run {run}: {message}");
            assert!(message.contains("index"), "run {run}: {message}");
        }
    }
}
