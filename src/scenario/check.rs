//! Ranges of a scenario, and what needs its data.

use super::Scenario;
use crate::corrupt::Facts;
use crate::data::{Dataset, Labels, Part};
use crate::fault::Checker;
use crate::lane::config::Cohort;
use crate::record::{Metric, Reading};
use crate::strategy::Shape;

impl Scenario {
    /// Every range that can be checked without the data.
    pub fn check(&self, c: &mut Checker) {
        if self.question.trim().is_empty() {
            c.fault("question", "is empty", "a sentence", "Say what the scenario asks.");
        }
        self.check_seeds(c);
        c.not_negative("checkpoint-seconds", self.checkpoint_seconds);
        c.inside("data", |c| self.data.check(c));
        c.inside("split", |c| self.split.check(c));
        c.inside("partition", |c| self.partition.check(c));
        c.inside("corrupt", |c| self.corrupt.check(c));
        if let Some(attack) = &self.attack {
            c.inside("attack", |c| attack.check(c, self.strategy.shape() == Shape::Federated));
        }
        c.inside("model", |c| self.model.check(c));
        c.inside("train", |c| self.train.check(c));
        c.inside("strategy", |c| self.strategy.check(c, self.largest_cohort()));
        c.inside("evaluate", |c| {
            c.at_least("every", self.evaluate.every, 1);
            c.at_least("top-k", self.evaluate.top_k, 1);
        });
        self.check_population(c);
    }

    fn check_seeds(&self, c: &mut Checker) {
        if self.seeds.is_empty() {
            c.fault("seeds", "is empty", "a list of whole numbers from 0", "Write seeds = [8, 16, 24].");
        }
        for (i, seed) in self.seeds.iter().enumerate().filter(|(i, seed)| self.seeds[..*i].contains(seed)) {
            c.inside("seeds", |c| {
                c.fault(&i.to_string(), "is there twice", "every seed once", format!("Remove one {seed}."));
            });
        }
    }

    /// The cohort where the file gives it as a count; no bound where it is a share of clients not yet known.
    fn largest_cohort(&self) -> usize {
        match self.train.cohort {
            Cohort::Count(n) => n,
            Cohort::Fraction(_) => usize::MAX,
        }
    }

    /// What needs the data and the number of clients that the partition deals: encoders that fit, modalities that exist,
    /// a cohort that the clients can fill, metrics that are defined.
    pub fn check_against(&self, data: &Dataset, clients: usize, c: &mut Checker) {
        c.inside("model", |c| self.model.check_shapes(c, &data.shapes()));
        c.inside("corrupt", |c| self.check_corrupt_against(c, data));
        if let Some(attack) = &self.attack {
            let names: Vec<String> = data.modalities.iter().map(|m| m.shape.name.clone()).collect();
            c.inside("attack", |c| attack.check_data(c, &names, data.classes, data.multilabel(), clients));
        }
        if let Cohort::Count(count) = self.train.cohort
            && count > clients
        {
            let problem = format!("is more than the {clients} clients of the partition");
            c.inside("train", |c| c.fault("cohort", problem, format!("a whole number from 1 to {clients}"), ""));
        }
        c.inside("strategy", |c| {
            self.strategy.check(c, self.train.cohort.size(clients));
            let names: Vec<String> = data.modalities.iter().map(|m| m.shape.name.clone()).collect();
            self.strategy.check_data(c, &names, data.multilabel());
        });
        c.inside("evaluate", |c| self.check_scores(c, data));
    }

    fn check_corrupt_against(&self, c: &mut Checker, data: &Dataset) {
        let names: Vec<String> = data.modalities.iter().map(|m| m.shape.name.clone()).collect();
        let labels = match &data.labels {
            Labels::Single(labels) => labels.as_slice(),
            Labels::Multi(_) => &[],
        };
        let facts = Facts { labels, classes: data.classes, modalities: &names };
        self.corrupt.check_data(c, &facts);
    }

    fn check_scores(&self, c: &mut Checker, data: &Dataset) {
        let official = data.parts.as_ref().is_some_and(|parts| parts.contains(&Part::Dev));
        if self.evaluate.reading == Some(Reading::Best) && !official && self.split.dev == 0.0 {
            let remedy = "Give split.dev a share above 0.";
            c.fault("reading", "needs development samples, and there are none", "last, mean5", remedy);
        }
        if data.multilabel() && self.evaluate.metric == Metric::TopK {
            c.fault("metric", "is not defined for multilabel data", "macro-f1, accuracy, uar", "");
        }
        if !data.multilabel() && self.evaluate.top_k > data.classes {
            let problem = format!("is more than the {} classes of the data", data.classes);
            c.fault("top-k", problem, format!("a whole number from 1 to {}", data.classes), "");
        }
    }
}
