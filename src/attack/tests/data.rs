//! Attacks on data: what a byzantine client trains on.

use super::*;
use crate::corrupt::Paint;

fn samples() -> Samples {
    Samples { rows: vec![10, 11, 12, 13], labels: vec![0, 1, 2, 6], present: vec![3, 3, 1, 3], forged: None, own: None }
}

fn poisoned(spec: &str, seed: u64) -> Option<Samples> {
    let names = ["audio".to_string(), "text".to_string()];
    let stream = Stream::root(seed);
    kind(spec).build().unwrap().poison(&samples(), &Place { classes: 7, modalities: &names, stream: &stream })
}

#[test]
fn update_attacks_leave_the_data_alone() {
    assert_eq!(poisoned("alie = {}", 1), None);
}

#[test]
fn flipped_labels_count_from_the_other_end() {
    let made = poisoned("label-flip = {}", 1).unwrap();
    assert_eq!(made, Samples { labels: vec![6, 5, 4, 0], ..samples() });
}

#[test]
fn a_shuffled_modality_comes_from_another_sample_and_each_is_used_once() {
    for seed in 0..20 {
        let made = poisoned("modality-poison = { modality = 'text' }", seed).unwrap();
        assert_eq!((&made.rows, &made.labels), (&samples().rows, &samples().labels));
        let (modality, donors) = made.forged.unwrap().donors.clone().unwrap();
        assert_eq!(modality, 1);
        assert!(donors.iter().zip(&made.rows).all(|(donor, own)| donor != own));
        let mut sorted = donors.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, made.rows);
    }
}

#[test]
fn a_flat_modality_is_painted_with_zeros_from_end_to_end() {
    let forged = poisoned("modality-poison = { modality = 'audio', how = 'flat' }", 1).unwrap().forged.unwrap();
    assert_eq!(forged.painted, [true; 4]);
    assert_eq!(forged.paint, [Paint { modality: 0, steps: usize::MAX, value: 0.0 }]);
}

#[test]
fn triggered_samples_are_labelled_as_the_target_and_a_higher_rate_keeps_those_of_a_lower() {
    let hit = |rate: f64| {
        let made =
            poisoned(&format!("backdoor = {{ rate = {rate:?}, target = 5, modalities = ['text'] }}"), 4).unwrap();
        let forged = made.forged.unwrap();
        assert_eq!(forged.paint, [Paint { modality: 1, steps: 5, value: 3.0 }]);
        for (i, painted) in forged.painted.iter().enumerate() {
            assert_eq!(made.labels[i], if *painted { 5 } else { samples().labels[i] });
        }
        forged.painted.clone()
    };
    assert_eq!((hit(0.0), hit(1.0)), (vec![false; 4], vec![true; 4]));
    assert!(hit(0.4).iter().zip(hit(0.8)).all(|(low, high)| !low || high));
}

#[test]
fn a_backdoor_update_is_boosted() {
    let own = tensor(&[vec![1.0, -2.0]]);
    let made = forge_with(&kind("backdoor = { boost = 3.0 }"), &own, &own, None, None, Knowledge::Omniscient);
    assert_eq!(rows(&made), [[3.0, -6.0]]);
}
