//! Tests of splits and normalisation.

use super::*;
use crate::data::{ModalityShape, shoulder};
use ndarray::{Array3, array};

/// One modality `[n, 2, 1]` with values 0, 1, 2, …
fn world(labels: &[u32], client: &[u32], parts: Option<Vec<Part>>) -> Dataset {
    let n = labels.len();
    let shape = ModalityShape { name: "x".to_string(), time: 2, width: 1, sequence: true };
    let values = Array3::from_shape_fn((n, 2, 1), |(i, t, _)| (2 * i + t) as f32);
    let clients = client.iter().max().map_or(0, |m| m + 1);
    Dataset {
        name: "toy".to_string(),
        modalities: vec![Modality { shape, values, lengths: None }],
        labels: Labels::Single(labels.to_vec()),
        classes: 2,
        class_names: None,
        client: client.to_vec(),
        client_names: (0..clients).map(|c| c.to_string()).collect(),
        parts,
        keys: None,
        checksum: String::new(),
    }
}

fn fraction(share: f64) -> Test {
    Test::Fraction(Share { share })
}

#[test]
fn a_fraction_takes_the_last_block_of_each_class() {
    let labels = [[0; 10].as_slice(), [1; 5].as_slice()].concat();
    let split =
        split(&world(&labels, &[0; 15], None), &Config { dev: 0.0, test: fraction(0.2) }, &Stream::root(0)).unwrap();
    assert_eq!(split.test, [8, 9, 14]);
    assert_eq!(split.dev, Vec::<u32>::new());
    assert_eq!(split.train.len(), 12);
}

#[test]
fn multilabel_takes_one_block_a_client() {
    let mut data = world(&[0; 10], &[0, 0, 0, 0, 0, 1, 1, 1, 1, 1], None);
    data.labels = Labels::Multi(ndarray::Array2::zeros((10, 3)));
    let split = split(&data, &Config { dev: 0.0, test: fraction(0.4) }, &Stream::root(0)).unwrap();
    assert_eq!(split.test, [3, 4, 8, 9]);
}

#[test]
fn official_parts_win_and_a_missing_one_is_carved() {
    use Part::{Dev, Test as T, Train};
    let data = world(&[0; 6], &[0; 6], Some(vec![Train, Train, Dev, T, Train, Train]));
    let split_of =
        |data: &Dataset| split(data, &Config { dev: 0.25, test: Test::default() }, &Stream::root(0)).unwrap();
    assert_eq!(split_of(&data), Split { train: vec![0, 1, 4, 5], dev: vec![2], test: vec![3] });
    let data = world(&[0; 6], &[0; 6], Some(vec![Train, Train, T, T, Train, Train]));
    assert_eq!(split_of(&data), Split { train: vec![0, 1, 4], dev: vec![5], test: vec![2, 3] });
}

#[test]
fn held_out_clients_are_whole_drawn_by_the_seed_and_never_all() {
    let data = shoulder::load().unwrap();
    let config = Config::default();
    let held = |seed| {
        let split = split(&data, &config, &Stream::root(seed)).unwrap();
        assert_eq!((split.train.len(), split.dev.len(), split.test.len()), (7 * 84, 7 * 21, 3 * 105));
        split.test.iter().map(|&r| data.client[r as usize]).collect::<BTreeSet<_>>()
    };
    assert!((1..9).any(|seed| held(seed) != held(0)));
    for (share, wanted) in [(0.999, 9), (0.001, 1)] {
        let config = Config { dev: 0.0, test: Test::HeldOutClients(Share { share }) };
        let test = split(&data, &config, &Stream::root(0)).unwrap().test;
        assert_eq!(test.len(), wanted * 105);
    }
}

#[test]
fn what_cannot_be_split_says_why() {
    let data = world(&[0; 4], &[0; 4], None);
    let message = |data: &Dataset, test| {
        split(data, &Config { dev: 0.2, test }, &Stream::root(0)).err().map(|e| e.to_string()).unwrap_or_default()
    };
    assert_eq!(
        message(&data, Test::default()),
        "split.test.held-out-clients: toy has only one natural client, so none can be held out; use split.test = { fraction = { share = 0.3 } }"
    );
    assert_eq!(
        message(&data, fraction(0.01)),
        "split: no sample of toy is left for testing; raise the share of split.test or use held-out-clients"
    );
    assert_eq!(
        message(&world(&[0; 4], &[0; 4], Some(vec![Part::Test; 4])), Test::default()),
        "split: no training sample of toy is left; lower split.dev or the share of split.test, or mend the data's `split`"
    );
}

#[test]
fn shares_out_of_range_are_faults() {
    let mut c = Checker::default();
    Config { dev: 1.0, test: fraction(f64::NAN) }.check(&mut c);
    let paths: Vec<&str> = c.faults.iter().map(|f| f.path.as_str()).collect();
    assert_eq!(paths, ["dev", "test.fraction.share"]);
}

#[test]
fn normalisation_sees_the_valid_steps_of_training_samples_only() {
    let mut data = world(&[0; 3], &[0; 3], None);
    data.modalities[0].lengths = Some(vec![2, 1, 2]);
    let split = Split { train: vec![0, 1], dev: vec![], test: vec![2] };
    // Values 0, 1 and 2: mean 1, variance 2/3.
    let affine_of = |how| affine(&data, &split, how);
    let found = affine_of(Normalise::TrainingSet).unwrap();
    assert_eq!(found[0].mean, [1.0]);
    assert!((found[0].scale[0] - 1.5f32.sqrt()).abs() < 1e-6);
    assert_eq!(affine_of(Normalise::PerWindow), None);
    assert_eq!(affine_of(Normalise::None), None);
}

#[test]
fn a_constant_feature_keeps_scale_one() {
    let mut data = world(&[0; 2], &[0; 2], None);
    data.modalities[0].values.fill(7.0);
    let split = Split { train: vec![0], dev: vec![], test: vec![1] };
    assert_eq!(affine(&data, &split, Normalise::TrainingSet), Some(vec![Affine { mean: vec![7.0], scale: vec![1.0] }]));
}

#[test]
fn a_window_is_normalised_by_itself_and_zeros_beyond_its_length_stay() {
    let mut data = world(&[0; 2], &[0; 2], None);
    data.modalities[0].values = array![[[1.0], [3.0]], [[5.0], [0.0]]];
    data.modalities[0].lengths = Some(vec![2, 1]);
    Normalise::PerWindow.normalise(&mut data);
    let one = 1.0 / 1.00001;
    let wanted = [-one, one, 0.0, 0.0];
    assert!(data.modalities[0].values.iter().zip(wanted).all(|(x, w)| (x - w).abs() < 1e-6));
}

#[test]
fn a_client_is_normalised_by_its_own_samples() {
    let mut data = world(&[0; 4], &[5, 2, 5, 2], None);
    data.modalities[0].values = array![[[1.0], [3.0]], [[5.0], [0.0]], [[1.0], [3.0]], [[9.0], [7.0]]];
    data.modalities[0].lengths = Some(vec![2, 1, 2, 2]);
    Normalise::PerClient.normalise(&mut data);
    // Client 5: mean 2, deviation 1. Client 2: 5, 9 and 7: mean 7, deviation √(8/3).
    let (one, far) = (1.0 / 1.00001, 2.0 / (8f32 / 3.0).sqrt());
    let wanted = [-one, one, -far, 0.0, -one, one, far, 0.0];
    assert!(data.modalities[0].values.iter().zip(wanted).all(|(x, w)| (x - w).abs() < 2e-5));
}

#[test]
fn folds_hold_every_client_out_once_whatever_the_seed() {
    let client: Vec<u32> = (0..14).map(|i| i / 2).collect();
    let data = world(&[0; 14], &client, None);
    let held = |fold, of, seed| {
        let config = Config { dev: 0.0, test: Test::Fold(Fold { fold, of }) };
        let split = split(&data, &config, &Stream::root(seed)).unwrap();
        split.test.iter().map(|&r| client[r as usize]).collect::<BTreeSet<_>>()
    };
    // KFold(3) of 7: 3, 2 and 2 clients.
    let folds: Vec<Vec<u32>> = (1..=3).map(|fold| held(fold, 3, 0).into_iter().collect()).collect();
    assert_eq!(folds, [vec![0, 1, 2], vec![3, 4], vec![5, 6]]);
    assert_eq!(held(2, 3, 0), held(2, 3, 9));
    let config = Config { dev: 0.0, test: Test::Fold(Fold { fold: 1, of: 8 }) };
    let error = split(&data, &config, &Stream::root(0)).unwrap_err().to_string();
    assert_eq!(error, "split.test.fold.of = 8: toy has 7 natural clients; a whole number from 2 to 7 is possible");
    let mut c = Checker::default();
    Config { dev: 0.0, test: Test::Fold(Fold { fold: 6, of: 5 }) }.check(&mut c);
    assert_eq!(
        (c.faults[0].path.as_str(), c.faults[0].allowed.as_str()),
        ("test.fold.fold", "a whole number from 1 to 5")
    );
}
