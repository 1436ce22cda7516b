//! Predictions by vote: what is scored where a defence's model is many blurred copies of one.
//!
//! Each copy has a vote a sample, its class (of several labels, each label by itself). The votes become logits, so that every
//! score and the success of an attack follow from them: of `m` copies, `v` for a class, `ln(v + 1)`, whose softmax is
//! `(v + 1) / (m + C)`; of several labels, with `v` copies for a label, `ln((v + 1) / (m − v + 1))`. A draw goes to the lowest
//! class, and to the absence of a label.

use super::Run;
use super::score::predicted;
use crate::fault::Result;
use crate::lane::Scored;
use ndarray::Array2;
use std::collections::BTreeMap;
use tch::Tensor;

impl Run {
    /// The copies that vote after the round just absorbed; none where one model predicts.
    pub(super) fn voters(&self) -> Result<Vec<Tensor>> {
        let Some(voters) = self.pipeline.voters() else { return Ok(Vec::new()) };
        let stream = self.stream.named("votes").at(self.round as u64);
        (0..voters.count).map(|copy| voters.draw(&stream.at(copy as u64))).collect()
    }

    /// The logits of one model: those of its votes where there are voters.
    pub(super) fn counted(&self, scored: &[Scored]) -> Option<Vec<Scored>> {
        (!self.voters.is_empty()).then(|| count(scored, self.spec.multilabel))
    }
}

fn count(scored: &[Scored], multilabel: bool) -> Vec<Scored> {
    let mut pieces: BTreeMap<(usize, usize), Vec<&Scored>> = BTreeMap::new();
    for piece in scored {
        pieces.entry((piece.place, piece.start)).or_default().push(piece);
    }
    let vote = |((place, start), copies): ((usize, usize), Vec<&Scored>)| {
        let mut votes = Array2::zeros(copies[0].logits.raw_dim());
        copies.iter().for_each(|copy| add_votes(&mut votes, &copy.logits, multilabel));
        let against = |votes: f32| if multilabel { copies.len() as f32 - votes + 1.0 } else { 1.0 };
        votes.mapv_inplace(|v| ((v + 1.0) / against(v)).ln());
        Scored { run: copies[0].run, place, start, logits: votes }
    };
    pieces.into_iter().map(vote).collect()
}

fn add_votes(votes: &mut Array2<f32>, logits: &Array2<f32>, multilabel: bool) {
    if multilabel {
        votes.zip_mut_with(logits, |votes, &logit| *votes += f32::from(u8::from(logit > 0.0)));
        return;
    }
    for (mut votes, logits) in votes.rows_mut().into_iter().zip(logits.rows()) {
        votes[predicted(logits)] += 1.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    fn scored(place: usize, start: usize, logits: Array2<f32>) -> Scored {
        Scored { run: 0, place, start, logits }
    }

    #[test]
    fn the_class_of_most_copies_wins_whatever_their_certainty() {
        let copies = [
            scored(0, 0, array![[9.0, 0.0, 0.0]]),
            scored(0, 64, array![[0.0, 0.0, 1.0]]),
            scored(0, 0, array![[0.1, 0.2, 0.0]]),
            scored(0, 0, array![[0.1, 0.2, 0.0]]),
            scored(1, 0, array![[1.0, 0.0, 0.0]]),
        ];
        let made = count(&copies, false);
        let places: Vec<(usize, usize)> = made.iter().map(|piece| (piece.place, piece.start)).collect();
        assert_eq!(places, [(0, 0), (0, 64), (1, 0)]);
        assert_eq!(made[0].logits, array![[2.0_f32.ln(), 3.0_f32.ln(), 0.0]]);
    }

    #[test]
    fn labels_are_voted_on_one_by_one() {
        let copies = [[1.0, -1.0], [0.5, -1.0], [-9.0, 2.0]].map(|row| scored(0, 0, array![row]));
        let logits = &count(&copies, true)[0].logits;
        assert_eq!(logits, array![[(3.0_f32 / 2.0).ln(), (2.0_f32 / 3.0).ln()]]);
        assert!(logits[(0, 0)] > 0.0 && logits[(0, 1)] < 0.0);
    }
}
