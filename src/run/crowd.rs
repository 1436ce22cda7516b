//! Clients of a population: each is made, and corrupted, when it is asked for.

use super::world::{Recipe, held};
use crate::corrupt::{self, Facts, Samples};
use crate::data::{Labels, population};
use crate::partition::Share;
use crate::seed::Stream;
use std::sync::Arc;

/// A population as the runs of one point and seed meet it.
#[derive(Debug, Clone)]
pub struct Crowd {
    population: population::Config,
    corrupt: corrupt::Config,
    /// The stream of the corruption.
    stream: Stream,
    modalities: Vec<String>,
}

/// What a run knows of one client.
#[derive(Debug, Clone)]
pub struct Member {
    /// What it trains on; may be empty.
    pub usable: Arc<Samples>,
    /// Clean classes of its samples, unlabelled ones included, ascending.
    pub held: Vec<u32>,
}

impl Crowd {
    /// The crowd of a recipe with a population; `stream` is the run's root.
    pub(super) fn new(population: &population::Config, recipe: &Recipe, stream: &Stream) -> Self {
        Self {
            population: population.clone(),
            corrupt: recipe.corrupt.clone(),
            stream: stream.named("corrupt"),
            modalities: population.modalities.keys().cloned().collect(),
        }
    }

    /// Clients.
    pub fn len(&self) -> usize {
        self.population.clients
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Makes client k. What happens to it depends on its number alone, as it does to clients that are all kept.
    pub fn member(&self, k: usize) -> Member {
        let data = self.population.client(k);
        let labels: &[u32] = match &data.labels {
            Labels::Single(labels) => labels,
            Labels::Multi(_) => &[],
        };
        let facts = Facts { labels, classes: data.classes, modalities: &self.modalities };
        let rows: Vec<u32> = (0..data.len() as u32).collect();
        let held = held(&rows, labels);
        let share = Share { name: k.to_string(), natural: None, rows };
        let (clients, _) = self.corrupt.apply_from(k, vec![share], &facts, &self.stream);
        let usable = clients.first().map(corrupt::Client::usable).unwrap_or_default();
        Member { usable: Arc::new(Samples { own: Some(Arc::new(data)), ..usable }), held }
    }
}
