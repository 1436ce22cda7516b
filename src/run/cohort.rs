//! Who is asked to train in a round.

use crate::corrupt::Client;
use crate::lane::config::{Config as Train, Draw};
use crate::seed::Stream;
use crate::seed::numpy::Legacy;
use rand::seq::index;

/// The clients of a round (from 0), in the order in which they are drawn; `stream` is the run's root.
pub fn draw(train: &Train, clients: &[Client], round: usize, stream: &Stream) -> Vec<usize> {
    let size = train.cohort.size(clients.len());
    match train.draw {
        None => {
            let mut rng = stream.named("cohort").at(round as u64).rng();
            index::sample(&mut rng, clients.len(), size).into_vec()
        }
        Some(Draw::Fedmultimodal(_)) => {
            let mut by_name: Vec<usize> = (0..clients.len()).collect();
            by_name.sort_by_key(|&client| &clients[client].name);
            let places = Legacy::new(round as u32).choice(clients.len(), size);
            places.into_iter().map(|place| by_name[place]).collect()
        }
    }
}
