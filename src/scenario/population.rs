//! What a scenario cannot ask of clients that are made when they are drawn and never all there.

use super::Scenario;
use crate::corrupt::missing_modality::Per;
use crate::data::prepare::{self, Normalise};
use crate::fault::Checker;
use crate::partition;
use crate::strategy::Shape;

impl Scenario {
    /// Faults of a scenario whose data is a population; none with other data.
    pub(super) fn check_population(&self, c: &mut Checker) {
        if self.data.population().is_none() {
            return;
        }
        if self.partition != partition::Config::default() {
            c.fault("partition", "deals samples, and a population has its clients", "natural", "Leave it out.");
        }
        if self.split != prepare::Config::default() {
            let allowed = "no split: the test samples are those of data.population.test-clients";
            c.fault("split", "holds samples out, and a population has its own for testing", allowed, "Leave it out.");
        }
        if self.normalise != Normalise::None {
            let problem = "looks at samples of all clients, and those of a population are never there together";
            c.fault("normalise", problem, "none", "Write normalise = \"none\": the features have deviation 1 or so.");
        }
        c.inside("corrupt", |c| self.check_corrupt_of_population(c));
        if self.train.draw.is_some() {
            c.inside("train", |c| c.fault("draw", "orders all clients by name", "no draw", "Leave it out."));
        }
        if self.strategy.shape() != Shape::Federated {
            let problem = "trains on or with all clients, and those of a population are never there together";
            c.fault("strategy", problem, "a federated strategy", "");
        } else if self.strategy.root().is_some() {
            let problem =
                "has a rule whose server takes samples of clients, and a population is not there before it is drawn";
            c.fault("strategy", problem, "a rule without root data", "");
        }
    }

    fn check_corrupt_of_population(&self, c: &mut Checker) {
        let corrupt = self.corrupt.canonical();
        let law = ("is FedMultimodal's law of clients in order of their names", "no draw", "Leave it out.");
        if let Some(missing) = &corrupt.missing_modality {
            c.inside("missing-modality", |c| {
                if missing.exact && missing.per == Per::Client {
                    c.fault("exact", "counts all clients of a population", "false, or per = \"sample\"", "");
                }
                if missing.draw.is_some() {
                    c.fault("draw", law.0, law.1, law.2);
                }
            });
        }
        if corrupt.missing_labels.is_some_and(|missing| missing.draw.is_some()) {
            c.inside("missing-labels", |c| c.fault("draw", law.0, law.1, law.2));
        }
        if corrupt.replay.is_some() {
            c.fault("replay", "is of clients in a file, and a population has others", "no replay", "Leave it out.");
        }
    }
}
