//! From logits to scores: over all samples, and by natural client.

use super::Run;
use super::world::EvalSet;
use crate::data::Labels;
use crate::lane::Scored;
use crate::metric::{Counts, Truth, worst_10};
use crate::record::{ClientScore, Lack, Metric, Scores};
use ndarray::{Array2, ArrayView1, ArrayView2, Axis, s};
use std::collections::BTreeMap;

/// Rows of logits `[n, C]` whose highest score is that of `class`, the lowest class on a tie.
pub fn taken_for(logits: &Array2<f32>, class: usize) -> usize {
    logits.rows().into_iter().filter(|row| predicted(*row) == class).count()
}

/// The class of highest score, the lowest on a tie.
pub(super) fn predicted(logits: ArrayView1<f32>) -> usize {
    let start = (0, f32::NEG_INFINITY);
    logits.iter().enumerate().fold(start, |best, (i, &score)| if score > best.1 { (i, score) } else { best }).0
}

/// Counts of one evaluation, by natural client.
#[derive(Debug)]
pub struct Tally {
    by_client: BTreeMap<u32, Counts>,
    zero: Counts,
    k: usize,
}

impl Tally {
    /// Nothing counted yet; `k` of top-k.
    pub fn new(classes: usize, multilabel: bool, k: usize) -> Self {
        Self { by_client: BTreeMap::new(), zero: Counts::new(classes, multilabel), k }
    }

    /// Counts the logits `[n, C]` of the samples from `start` on. Several models may be counted one after another: their
    /// predictions are pooled.
    pub fn add(&mut self, set: &EvalSet, start: usize, logits: &Array2<f32>) {
        let mut rows: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        for i in 0..logits.nrows() {
            rows.entry(set.owner[start + i]).or_default().push(i);
        }
        for (owner, rows) in rows {
            let logits = logits.select(Axis(0), &rows);
            let counts = self.by_client.entry(owner).or_insert_with(|| self.zero.clone());
            match &set.truth {
                Labels::Single(truth) => {
                    let truth: Vec<u32> = rows.iter().map(|i| truth[start + i]).collect();
                    counts.add(logits.view(), Truth::Single(&truth), self.k);
                }
                Labels::Multi(truth) => {
                    let truth: ArrayView2<f32> = truth.slice(s![start.., ..]);
                    let truth = truth.select(Axis(0), &rows);
                    counts.add(logits.view(), Truth::Multi(truth.view()), self.k);
                }
            }
        }
    }

    /// The scores over all samples, with the worst tenth of the natural clients by `metric`.
    pub fn scores(&self, metric: Metric) -> Scores {
        let mut all = self.zero.clone();
        self.by_client.values().for_each(|counts| all.merge(counts));
        let each: Vec<f64> = self.by_client.values().filter_map(|counts| metric.of(&counts.scores())).collect();
        Scores { worst_10: worst_10(&each), ..all.scores() }
    }

    /// The scores of each natural client, with what it lacks.
    pub fn by_client(&self, names: &[String], lacks: &BTreeMap<u32, Vec<Lack>>) -> Vec<ClientScore> {
        let score = |(&owner, counts): (&u32, &Counts)| ClientScore {
            client: names.get(owner as usize).cloned().unwrap_or_else(|| owner.to_string()),
            samples: counts.samples(),
            scores: counts.scores(),
            lacks: lacks.get(&owner).cloned().unwrap_or_default(),
        };
        self.by_client.iter().map(score).collect()
    }
}

impl Run {
    /// Counts what one of its evaluations gave.
    pub(super) fn tally(&self, place: usize, set: &EvalSet, scored: &[Scored]) -> Tally {
        let mut tally = Tally::new(self.world.classes, self.spec.multilabel, self.spec.top_k);
        for piece in scored.iter().filter(|piece| piece.place == place) {
            tally.add(set, piece.start, &piece.logits);
        }
        tally
    }
}
