//! Metrics from mergeable counts: the same mechanism gives a batch, a client, a whole test set and a mean over models.
//!
//! With `tp`, `fp`, `fn` of class c:
//!
//! - accuracy: samples predicted right / samples; multilabel: samples with every label right / samples.
//! - F1 of a class `2 tp / (2 tp + fp + fn)`; macro-F1 is its mean over the classes in truth or prediction.
//! - UAR: the mean of `tp / (tp + fn)` over the classes in truth.
//! - top-k: samples whose class is among the k highest logits / samples.
//! - loss: mean of `logsumexp(z) − z_y`; multilabel `max(z, 0) − z y + ln(1 + e^−|z|)`, averaged over the outputs too.
//!
//! A class is predicted where its logit is the highest (ties to the lowest index); multilabel where its logit is above 0.
//! A sample with a NaN logit counts as wrong. A loss that is not finite is reported as undefined.
//!
//! By hand: truth 0 0 1, predicted 0 1 1. F1 of class 0 is 2·1/(2·1+0+1) = 2/3, of class 1 2/3: macro-F1 = accuracy = 2/3;
//! recalls 1/2 and 1, so UAR = 3/4.
//!
//! Source: definitions as in scikit-learn (`f1_score(average="macro", zero_division=0)`, `balanced_accuracy_score`).

use crate::record::Scores;
use ndarray::{Array2, ArrayView1, ArrayView2};

/// Counts of one evaluation; merging adds them. A monoid: `Counts::new` is zero, `merge` is associative and commutative
/// (but for the rounding of the loss sum).
#[derive(Debug, Clone, PartialEq)]
pub struct Counts {
    samples: usize,
    right: usize,
    top_k: usize,
    loss: f64,
    multilabel: bool,
    /// tp, fp, fn of each class `[C, 3]`.
    classes: Array2<u64>,
}

/// The truth that logits are held against.
#[derive(Debug, Clone, Copy)]
pub enum Truth<'a> {
    /// One class a sample.
    Single(&'a [u32]),
    /// Zero or one a class, `[n, C]`.
    Multi(ArrayView2<'a, f32>),
}

impl Counts {
    /// Nothing counted yet.
    pub fn new(classes: usize, multilabel: bool) -> Self {
        Counts { samples: 0, right: 0, top_k: 0, loss: 0.0, multilabel, classes: Array2::zeros((classes, 3)) }
    }

    /// Counts `logits [n, C]` against the truth (n labels, each below C, of the kind given to `new`); `k` of top-k.
    pub fn add(&mut self, logits: ArrayView2<f32>, truth: Truth, k: usize) {
        debug_assert_eq!(self.multilabel, matches!(truth, Truth::Multi(_)), "the truth is of the kind given to new");
        match truth {
            Truth::Single(labels) => {
                for (row, &label) in logits.outer_iter().zip(labels) {
                    let label = label as usize;
                    let predicted = argmax(row);
                    count_single(&mut self.classes, predicted, label);
                    self.samples += 1;
                    self.right += usize::from(predicted == Some(label));
                    self.top_k += usize::from(predicted.is_some() && rank(row, label) < k);
                    self.loss += cross_entropy(row, label);
                }
            }
            Truth::Multi(labels) => {
                for (row, label) in logits.outer_iter().zip(labels.outer_iter()) {
                    self.samples += 1;
                    self.right += usize::from(count_multi(&mut self.classes, row, label));
                    self.loss += binary_cross_entropy(row, label);
                }
            }
        }
    }

    /// Adds another's counts, of the same classes and kind.
    pub fn merge(&mut self, other: &Counts) {
        self.samples += other.samples;
        self.right += other.right;
        self.top_k += other.top_k;
        self.loss += other.loss;
        debug_assert_eq!(self.multilabel, other.multilabel, "counts of different kinds do not merge");
        self.classes += &other.classes;
    }

    /// Samples counted.
    pub fn samples(&self) -> usize {
        self.samples
    }

    /// The scores; all `None` when nothing was counted. `worst_10` is left `None`.
    pub fn scores(&self) -> Scores {
        if self.samples == 0 {
            return Scores::default();
        }
        let n = self.samples as f64;
        let classes: Vec<[u64; 3]> = self.classes.outer_iter().map(|c| [c[0], c[1], c[2]]).collect();
        let f1 = classes.iter().filter(|c| c.iter().any(|&x| x > 0)).map(|&[tp, fp, fne]| ratio(2 * tp, fp + fne));
        let recall = classes.iter().filter(|[tp, _, fne]| tp + fne > 0).map(|&[tp, _, fne]| ratio(tp, fne));
        Scores {
            loss: Some(self.loss / n).filter(|loss| loss.is_finite()),
            accuracy: Some(self.right as f64 / n),
            macro_f1: mean(f1),
            uar: mean(recall),
            top_k: (!self.multilabel).then(|| self.top_k as f64 / n),
            worst_10: None,
        }
    }
}

/// Mean of the ⌈0.1 n⌉ smallest values; `None` when there is none. NaN counts as the smallest.
pub fn worst_10(values: &[f64]) -> Option<f64> {
    let mut sorted: Vec<f64> = values.iter().map(|v| if v.is_nan() { f64::NEG_INFINITY } else { *v }).collect();
    sorted.sort_by(f64::total_cmp);
    mean(sorted.into_iter().take(values.len().div_ceil(10)))
}

/// `part / (part + rest)`.
fn ratio(part: u64, rest: u64) -> f64 {
    part as f64 / (part + rest) as f64
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (n, sum) = values.fold((0usize, 0.0), |(n, sum), v| (n + 1, sum + v));
    (n > 0).then(|| sum / n as f64)
}

/// Counts one prediction (`None` without one) of a sample of class `label` in `classes [C, 3]`.
fn count_single(classes: &mut Array2<u64>, predicted: Option<usize>, label: usize) {
    if predicted == Some(label) {
        classes[[label, 0]] += 1;
        return;
    }
    classes[[label, 2]] += 1;
    if let Some(other) = predicted {
        classes[[other, 1]] += 1;
    }
}

/// The lowest index of the highest logit; `None` with a NaN.
fn argmax(row: ArrayView1<f32>) -> Option<usize> {
    let mut best = None;
    for (i, &x) in row.iter().enumerate() {
        if x.is_nan() {
            return None;
        }
        if best.is_none_or(|b: usize| x > row[b]) {
            best = Some(i);
        }
    }
    best
}

/// How many classes come before this one, ties in index order.
fn rank(row: ArrayView1<f32>, class: usize) -> usize {
    row.iter().enumerate().filter(|&(i, &x)| x > row[class] || (x == row[class] && i < class)).count()
}

fn cross_entropy(row: ArrayView1<f32>, label: usize) -> f64 {
    let highest = row.iter().fold(f64::NEG_INFINITY, |m, &x| m.max(x as f64));
    let sum: f64 = row.iter().map(|&x| (x as f64 - highest).exp()).sum();
    highest + sum.ln() - row[label] as f64
}

fn binary_cross_entropy(row: ArrayView1<f32>, label: ArrayView1<f32>) -> f64 {
    let one = |(&z, &y): (&f32, &f32)| {
        let (z, y) = (z as f64, y as f64);
        if z.is_nan() { f64::NAN } else { z.max(0.0) - z * y + (-z.abs()).exp().ln_1p() }
    };
    row.iter().zip(label).map(one).sum::<f64>() / row.len() as f64
}

/// Counts one sample; says whether every label was right.
fn count_multi(counts: &mut Array2<u64>, row: ArrayView1<f32>, label: ArrayView1<f32>) -> bool {
    let mut all = true;
    for (c, (&z, &y)) in row.iter().zip(label).enumerate() {
        let truth = y > 0.5;
        let predicted = if z.is_nan() { !truth } else { z > 0.0 };
        all &= predicted == truth;
        match (predicted, truth) {
            (true, true) => counts[[c, 0]] += 1,
            (true, false) => counts[[c, 1]] += 1,
            (false, true) => counts[[c, 2]] += 1,
            (false, false) => {}
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, array};
    use proptest::prelude::*;

    fn near(found: Option<f64>, wanted: f64) {
        assert!(found.is_some_and(|f| (f - wanted).abs() < 1e-9), "{found:?} is not {wanted}");
    }

    /// Logits that predict the given classes.
    fn predicting(classes: usize, predicted: &[usize]) -> Array2<f32> {
        Array2::from_shape_fn((predicted.len(), classes), |(i, c)| if predicted[i] == c { 1.0 } else { 0.0 })
    }

    #[test]
    fn the_example_of_the_docs_by_hand() {
        let mut counts = Counts::new(2, false);
        counts.add(predicting(2, &[0, 1, 1]).view(), Truth::Single(&[0, 0, 1]), 1);
        let scores = counts.scores();
        near(scores.accuracy, 2.0 / 3.0);
        near(scores.macro_f1, 2.0 / 3.0);
        near(scores.uar, 0.75);
        near(scores.top_k, 2.0 / 3.0);
        // Right: ln(1 + 1/e), wrong: 1 + that.
        near(scores.loss, (-1f64).exp().ln_1p() + 1.0 / 3.0);
    }

    #[test]
    fn macro_f1_counts_classes_in_truth_or_prediction_and_no_others() {
        // Truth 0 0 1 2 2 2, predicted 0 1 1 2 0 3; class 4 is in neither.
        // F1: 0: 2/(2+1+1) = 1/2; 1: 2/(2+1) = 2/3; 2: 2/(2+2) = 1/2; 3: 0. Recall: 1/2, 1, 1/3.
        let mut counts = Counts::new(5, false);
        counts.add(predicting(5, &[0, 1, 1, 2, 0, 3]).view(), Truth::Single(&[0, 0, 1, 2, 2, 2]), 1);
        near(counts.scores().macro_f1, (0.5 + 2.0 / 3.0 + 0.5) / 4.0);
        near(counts.scores().uar, (0.5 + 1.0 + 1.0 / 3.0) / 3.0);
        near(counts.scores().accuracy, 0.5);
    }

    #[test]
    fn ties_go_to_the_lowest_index_and_top_k_looks_further() {
        let mut counts = Counts::new(3, false);
        counts.add(array![[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [3.0, 2.0, 1.0]].view(), Truth::Single(&[0, 1, 2]), 2);
        near(counts.scores().accuracy, 1.0 / 3.0);
        near(counts.scores().top_k, 2.0 / 3.0);
    }

    #[test]
    fn a_nan_logit_is_wrong_and_leaves_the_loss_undefined() {
        let mut counts = Counts::new(2, false);
        counts.add(array![[f32::NAN, 0.0], [1.0, 0.0]].view(), Truth::Single(&[0, 0]), 2);
        let scores = counts.scores();
        assert_eq!(scores.loss, None);
        near(scores.accuracy, 0.5);
        near(scores.top_k, 0.5);
        near(scores.uar, 0.5);
        let mut counts = Counts::new(2, true);
        counts.add(array![[f32::NAN, -1.0]].view(), Truth::Multi(array![[0.0, 0.0]].view()), 1);
        near(counts.scores().accuracy, 0.0);
    }

    #[test]
    fn multilabel_ignores_classes_without_truth_or_prediction() {
        // Class 0: tp 1, fn 1 (F 2/3); class 1: tp 1, fp 1 (F 2/3); class 2: nothing.
        let logits = array![[2.0, 1.0, -1.0], [-1.0, 3.0, -2.0]];
        let truth = array![[1.0, 0.0, 0.0], [1.0, 1.0, 0.0]];
        let mut counts = Counts::new(3, true);
        counts.add(logits.view(), Truth::Multi(truth.view()), 1);
        let scores = counts.scores();
        near(scores.macro_f1, 2.0 / 3.0);
        near(scores.uar, 0.75);
        near(scores.accuracy, 0.0);
        assert_eq!(scores.top_k, None);
        // -ln σ of the margins 2, -1, 1, -1, 3, 2.
        let margins = [2.0, -1.0, 1.0, -1.0, 3.0, 2.0f64];
        near(scores.loss, margins.iter().map(|m| (-m).exp().ln_1p()).sum::<f64>() / 6.0);
    }

    #[test]
    fn the_loss_is_stable_for_huge_logits() {
        let mut counts = Counts::new(2, false);
        counts.add(array![[1e30f32, -1e30]].view(), Truth::Single(&[0]), 1);
        near(counts.scores().loss, 0.0);
        let mut counts = Counts::new(1, true);
        counts.add(array![[-1e4f32]].view(), Truth::Multi(array![[1.0]].view()), 1);
        near(counts.scores().loss, 1e4);
    }

    #[test]
    fn nothing_counted_has_no_scores() {
        assert_eq!(Counts::new(3, false).scores(), Scores::default());
        assert_eq!(Counts::new(3, true).scores(), Scores::default());
    }

    #[test]
    fn worst_10_is_the_mean_of_the_tenth_rounded_up() {
        assert_eq!(worst_10(&[]), None);
        assert_eq!(worst_10(&[0.5, 0.2]), Some(0.2));
        let eleven: Vec<f64> = (0..11).rev().map(f64::from).collect();
        assert_eq!(worst_10(&eleven), Some(0.5));
    }

    fn counts() -> impl Strategy<Value = Counts> {
        proptest::collection::vec((proptest::collection::vec(-8i8..8, 3), 0u32..3), 0..12).prop_map(|samples| {
            let mut counts = Counts::new(3, false);
            for (logits, label) in samples {
                let row = Array2::from_shape_fn((1, 3), |(_, c)| f32::from(logits[c]));
                counts.add(row.view(), Truth::Single(&[label]), 2);
            }
            counts.loss = counts.loss.round();
            counts
        })
    }

    fn merged(a: &Counts, b: &Counts) -> Counts {
        let mut sum = a.clone();
        sum.merge(b);
        sum
    }

    proptest! {
        #[test]
        fn merging_is_a_commutative_monoid(a in counts(), b in counts(), c in counts()) {
            prop_assert_eq!(merged(&a, &b), merged(&b, &a));
            prop_assert_eq!(merged(&merged(&a, &b), &c), merged(&a, &merged(&b, &c)));
            prop_assert_eq!(merged(&a, &Counts::new(3, false)), a);
        }
    }
}
