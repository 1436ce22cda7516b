//! A scenario whose data is not on this machine: what can be said and checked of it without.

use crate::data::Dataset;
use crate::fault::{Error, Result};
use crate::model::Model;
use crate::scenario::Loaded;
use std::collections::BTreeMap;

/// Stands for the number of clients that only the data shows: no scenario asks for so many.
const CLIENTS: usize = 1 << 32;

/// A scenario checked as far as it can be.
pub struct Outline {
    /// The checked scenario and its points.
    pub loaded: Loaded,
    /// Weights of each point's model.
    pub parameters: Vec<usize>,
}

impl Outline {
    /// Checks every point against what is known of its data: the whole where it is there, else the modalities, their largest
    /// shapes and the classes that its source has.
    ///
    /// # Errors
    /// Faults of the scenario; data that is there and cannot be read, or is not there and has no fixed layout.
    pub fn new(mut loaded: Loaded) -> Result<Self> {
        let mut known: BTreeMap<String, Dataset> = BTreeMap::new();
        let key = |data: &crate::data::Config| serde_json::to_string(data).unwrap_or_default();
        for point in &loaded.points.points {
            let config = &point.scenario.data;
            if known.contains_key(&key(config)) {
                continue;
            }
            let data = match (config.load(&loaded.base), config.outline()) {
                (Err(Error::Absent(_)), Some(outline)) => outline,
                (data, _) => data.map_err(|error| loaded.placed("data", error))?,
            };
            known.insert(key(config), data);
        }
        loaded.check_against(|scenario| (&known[&key(&scenario.data)], Ok(CLIENTS)))?;
        let scenarios = loaded.points.points.iter().map(|point| &point.scenario);
        let weights = |scenario: &crate::scenario::Scenario| {
            let data = &known[&key(&scenario.data)];
            Model::new(&scenario.model, &data.shapes(), data.classes).parameters()
        };
        let parameters = scenarios.map(weights).collect();
        Ok(Self { loaded, parameters })
    }
}
