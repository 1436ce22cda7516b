//! Who is asked to train in a round.

use crate::lane::config::{Config as Train, Draw};
use crate::seed::Stream;
use crate::seed::numpy::Legacy;
use rand::seq::index;

/// Who of `all` clients trains in a round (from 0), in the order in which they are drawn; `name` tells a client's name, and
/// `stream` is the run's root.
pub fn draw<'a>(
    train: &Train,
    all: usize,
    name: impl Fn(usize) -> &'a str,
    round: usize,
    stream: &Stream,
) -> Vec<usize> {
    let size = train.cohort.size(all);
    match train.draw {
        None => {
            let mut rng = stream.named("cohort").at(round as u64).rng();
            index::sample(&mut rng, all, size).into_vec()
        }
        Some(Draw::Fedmultimodal(_)) => {
            let mut by_name: Vec<usize> = (0..all).collect();
            by_name.sort_by_key(|&client| name(client));
            let places = Legacy::new(round as u32).choice(all, size);
            places.into_iter().map(|place| by_name[place]).collect()
        }
    }
}
