//! What the points of a scenario read: data, replayed files, and the clients dealt from them. What is equal is read and
//! dealt once.

use crate::corrupt::{self, Facts};
use crate::data::listing::{self, Listing};
use crate::data::{Dataset, Labels};
use crate::fault::{Error, Result};
use crate::partition;
use crate::run::world::{self, Recipe, Replayed};
use crate::scenario::{Loaded, Scenario};
use crate::seed::Stream;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Everything read.
#[derive(Default)]
pub struct Sources {
    /// By [`data_key`].
    data: BTreeMap<String, Arc<Dataset>>,
    /// By path as the scenario gives it.
    listings: BTreeMap<PathBuf, Arc<Listing>>,
    /// By [`partition_key`]: clients of the first seed, or why they cannot be.
    clients: BTreeMap<String, std::result::Result<usize, String>>,
}

fn data_key(scenario: &Scenario) -> String {
    let normalise = scenario.normalise;
    serde_json::to_string(&(&scenario.data, normalise.before_split().then_some(normalise))).unwrap_or_default()
}

fn partition_key(scenario: &Scenario) -> String {
    let key = (&scenario.data, &scenario.split, &scenario.partition, corruption(scenario), scenario.strategy.root());
    serde_json::to_string(&key).unwrap_or_default()
}

/// The partition file that a point replays.
fn clients_file(scenario: &Scenario) -> Option<&Path> {
    match &scenario.partition {
        partition::Config::Replay(config) => Some(&config.path),
        _ => None,
    }
}

/// What a point replays of corruption.
fn corruption(scenario: &Scenario) -> Option<&corrupt::replay::Config> {
    scenario.corrupt.replay.as_ref().filter(|config| !config.does_nothing())
}

impl Sources {
    /// Reads the data and the files of every point and deals its clients for every seed: a partition that one seed cannot
    /// make is found before the first round.
    ///
    /// # Errors
    /// [`Error::Absent`] with all that is not there; data or files that cannot be read.
    pub fn new(loaded: &Loaded) -> Result<Self> {
        let mut sources = Sources::default();
        let mut absent: Vec<String> = Vec::new();
        for point in &loaded.points.points {
            for read in sources.read(&point.scenario, &loaded.base) {
                match read.map_err(|error| loaded.placed("data", error)) {
                    Err(Error::Absent(what)) if !absent.contains(&what) => absent.push(what),
                    Err(Error::Absent(_)) | Ok(()) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        if !absent.is_empty() {
            return Err(Error::Absent(absent.join("\n")));
        }
        loaded.points.points.iter().for_each(|point| sources.deal(&point.scenario));
        Ok(sources)
    }

    /// Reads what a point names, each file or folder with its own outcome.
    fn read(&mut self, scenario: &Scenario, base: &Path) -> Vec<Result<()>> {
        let mut read = vec![self.take(scenario, base)];
        if let Some(path) = clients_file(scenario) {
            read.push(self.listing("partition.replay.path", path.to_path_buf(), base));
        }
        if let Some(config) = corruption(scenario) {
            read.push(self.listing("corrupt.replay.path", config.file(), base));
        }
        read
    }

    fn take(&mut self, scenario: &Scenario, base: &Path) -> Result<()> {
        if let Entry::Vacant(place) = self.data.entry(data_key(scenario)) {
            let mut data = scenario.data.load(base)?;
            scenario.normalise.normalise(&mut data);
            place.insert(Arc::new(data));
        }
        Ok(())
    }

    fn listing(&mut self, key: &str, path: PathBuf, base: &Path) -> Result<()> {
        if let Entry::Vacant(place) = self.listings.entry(path) {
            let listing = listing::read(key, place.key(), base, corrupt::replay::GET)?;
            place.insert(Arc::new(listing));
        }
        Ok(())
    }

    /// Deals the clients of a point for every seed, unless an equal point did.
    fn deal(&mut self, scenario: &Scenario) {
        let key = partition_key(scenario);
        if !self.clients.contains_key(&key) {
            let counts: Result<Vec<usize>> = scenario.seeds.iter().map(|&seed| self.count(scenario, seed)).collect();
            let first = counts.map(|counts| counts.first().copied().unwrap_or_default());
            self.clients.insert(key, first.map_err(|error| error.to_string()));
        }
    }

    /// Number of clients; a replayed corruption is tried on them.
    fn count(&self, scenario: &Scenario, seed: u64) -> Result<usize> {
        if let Some(population) = scenario.data.population() {
            return Ok(population.clients);
        }
        let (data, recipe) = (self.data(scenario), self.recipe(scenario));
        let (_, shares, _) = world::deal(data, recipe, &Stream::root(seed))?;
        let count = shares.len();
        if let (Some(config), Some(listing)) = (corruption(scenario), recipe.replayed.corrupt) {
            let modalities: Vec<String> = data.modalities.iter().map(|m| m.shape.name.clone()).collect();
            let labels: &[u32] = match &data.labels {
                Labels::Single(labels) => labels,
                Labels::Multi(_) => &[],
            };
            let facts = Facts { labels, classes: data.classes, modalities: &modalities };
            // A replay that does not know which modalities are meant is a fault of its own.
            if config.modalities.is_some() || modalities.len() == 2 {
                corrupt::replay::apply(config, listing, shares, &facts, &data.labels)?;
            }
        }
        Ok(count)
    }

    /// The data of a point.
    pub fn data(&self, scenario: &Scenario) -> &Arc<Dataset> {
        &self.data[&data_key(scenario)]
    }

    /// Clients of a point for its first seed, or why they cannot be.
    pub fn clients(&self, scenario: &Scenario) -> std::result::Result<usize, String> {
        self.clients[&partition_key(scenario)].clone()
    }

    /// What makes the world of a point.
    pub fn recipe<'a>(&'a self, scenario: &'a Scenario) -> Recipe<'a> {
        let find = |path: &Path| self.listings.get(path).map(Arc::as_ref);
        Recipe {
            split: &scenario.split,
            normalise: scenario.normalise,
            partition: &scenario.partition,
            corrupt: &scenario.corrupt,
            replayed: Replayed {
                partition: clients_file(scenario).and_then(find),
                corrupt: corruption(scenario).and_then(|config| find(&config.file())),
            },
            root: scenario.strategy.root(),
            population: scenario.data.population(),
        }
    }

    /// Hashes of the files that a point replays.
    pub fn hashes(&self, scenario: &Scenario) -> Vec<String> {
        let Replayed { partition, corrupt } = self.recipe(scenario).replayed;
        let tagged = [("partition", partition), ("corrupt", corrupt)];
        tagged.iter().filter_map(|(tag, listing)| listing.map(|listing| format!("{tag} {}", listing.hash))).collect()
    }
}
