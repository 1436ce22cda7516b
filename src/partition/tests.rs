//! Tests of the family: what holds for every partition, and what each one does.

use super::*;
use crate::data::{prepare, synthetic};
use proptest::prelude::*;

fn world() -> (Dataset, Split) {
    let data = synthetic::generate(&synthetic::Config { samples: 240, clients: 5, ..Default::default() });
    let config = prepare::Config::default();
    let split = prepare::split(&data, &config, &Stream::root(0));
    (data, split.unwrap())
}

fn message<T>(result: Result<T>) -> String {
    result.err().map(|e| e.to_string()).unwrap_or_default()
}

#[test]
fn natural_leaves_out_the_clients_that_are_held_out() {
    let (data, split) = world();
    let shares = natural::deal(&data, &split).unwrap();
    assert_eq!(shares.len(), 3);
    for share in shares {
        let natural = share.natural.unwrap();
        assert_eq!(share.name, data.client_names[natural as usize]);
        assert!(share.rows.iter().all(|&r| data.client[r as usize] == natural));
    }
}

#[test]
fn iid_shares_differ_by_one_at_most_and_cannot_outnumber_the_samples() {
    let (data, split) = world();
    let n = split.train.len();
    let shares = iid::deal(&iid::Config { clients: 7 }, &data, &split, &Stream::root(1)).unwrap();
    assert!(shares.iter().all(|s| s.rows.len() == n / 7 || s.rows.len() == n / 7 + 1));
    assert_eq!(
        message(iid::deal(&iid::Config { clients: n + 1 }, &data, &split, &Stream::root(1))),
        format!(
            "partition.iid.clients = {}: there are {n} training samples; from 1 to {n} clients are possible",
            n + 1
        )
    );
}

#[test]
fn dirichlet_inside_natural_clients_stays_inside_them() {
    let (data, split) = world();
    let config = dirichlet::Config { within: dirichlet::Within::Client, clients: 2, alpha: 1.0, ..Default::default() };
    let shares = dirichlet::deal(&config, &data, &split, &Stream::root(2)).unwrap();
    assert_eq!(shares.len(), 6);
    for (i, share) in shares.iter().enumerate() {
        let natural = share.natural.unwrap();
        assert_eq!(share.name, format!("{}-{}", data.client_names[natural as usize], i % 2));
        assert!(share.rows.len() >= 5 && share.rows.iter().all(|&r| data.client[r as usize] == natural));
    }
}

#[test]
fn a_small_alpha_skews_and_a_large_one_does_not() {
    let (data, split) = world();
    let labels = (0..data.len()).map(|i| i / 5 % 4).collect::<Vec<_>>();
    let largest = |alpha| {
        let config = dirichlet::Config { clients: 4, alpha, min_size: 1, ..Default::default() };
        let shares = dirichlet::deal(&config, &data, &split, &Stream::root(3)).unwrap();
        let share = |s: &Share| {
            let most = (0..4).map(|c| s.rows.iter().filter(|&&r| labels[r as usize] == c).count()).max().unwrap_or(0);
            most as f64 / s.rows.len() as f64
        };
        shares.iter().map(share).sum::<f64>() / 4.0
    };
    assert!(largest(0.05) > 0.6, "{}", largest(0.05));
    assert!(largest(1000.0) < 0.35, "{}", largest(1000.0));
}

#[test]
fn a_deal_that_cannot_be_says_what_would_work() {
    let (data, split) = world();
    let n = split.train.len();
    let config = dirichlet::Config { clients: 100, ..Default::default() };
    assert_eq!(
        message(dirichlet::deal(&config, &data, &split, &Stream::root(2))),
        format!(
            "partition.dirichlet: all training samples ({n}) cannot give 100 clients min-size = 5 each; lower clients or min-size"
        )
    );
    let config = dirichlet::Config { clients: 20, alpha: 1e-6, ..Default::default() };
    assert_eq!(
        message(dirichlet::deal(&config, &data, &split, &Stream::root(2))),
        format!(
            "partition.dirichlet: 1000 draws of all training samples ({n}) over 20 clients with alpha = 0.000001 gave no client fewer than 0 samples at best, min-size is 5; lower min-size or clients, or raise alpha"
        )
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn every_training_sample_goes_to_exactly_one_client(seed in 0u64..1000, clients in 1usize..8, which in 0usize..4) {
        let (data, _) = world();
        let config = match which {
            0 => Config::default(),
            1 => Config::Iid(iid::Config { clients }),
            3 => Config::Fedmultimodal(fedmultimodal::Config { clients, alpha: 2.0, min_size: 1, ..Default::default() }),
            _ => Config::Dirichlet(dirichlet::Config { clients, alpha: 2.0, min_size: 1, ..Default::default() }),
        };
        let deal = || config.deal(&data, &prepare::Config::default(), None, &Stream::root(seed)).unwrap();
        let (split, shares) = deal();
        prop_assert_eq!(&shares, &deal().1);
        prop_assert!(shares.iter().all(|s| !s.rows.is_empty() && (which == 3 || s.rows.is_sorted())));
        let mut all: Vec<u32> = shares.iter().flat_map(|s| s.rows.iter().copied()).collect();
        all.sort_unstable();
        prop_assert_eq!(all, split.train);
    }
}

#[test]
fn fedmultimodal_splits_and_deals_alike_for_every_seed() {
    let data = synthetic::generate(&synthetic::Config { samples: 240, clients: 5, ..Default::default() });
    let how = prepare::Config { dev: 0.2, test: prepare::Test::Fold(prepare::Fold::default()) };
    for (within, clients) in
        [(dirichlet::Within::Client, 3), (dirichlet::Within::Client, 1), (dirichlet::Within::All, 7)]
    {
        let config = Config::Fedmultimodal(fedmultimodal::Config { within, clients, alpha: 1.0, min_size: 2 });
        let (split, shares) = config.deal(&data, &how, None, &Stream::root(1)).unwrap();
        assert_eq!((split.clone(), shares.clone()), config.deal(&data, &how, None, &Stream::root(2)).unwrap());
        // A fifth of the training samples, rounded down, is for development: of each client, or of all.
        let mut pieces: BTreeMap<u32, usize> = BTreeMap::new();
        split
            .train
            .iter()
            .chain(&split.dev)
            .for_each(|&row| *pieces.entry(data.client[row as usize]).or_default() += 1);
        let dev: usize = match within {
            dirichlet::Within::Client => pieces.values().map(|n| n / 5).sum(),
            dirichlet::Within::All => pieces.values().sum::<usize>() / 5,
        };
        assert_eq!(split.dev.len(), dev);
        let mut dealt: Vec<u32> = shares.iter().flat_map(|share| share.rows.iter().copied()).collect();
        assert!(!dealt.is_sorted(), "the order of the deal is kept");
        dealt.sort_unstable();
        assert_eq!(dealt, split.train);
        let natural = |share: &Share| share.natural.map(|natural| data.client_names[natural as usize].clone());
        match (within, clients) {
            (dirichlet::Within::All, _) => assert_eq!(shares[6].name, "6"),
            (_, 1) => assert!(shares.iter().all(|share| natural(share).as_ref() == Some(&share.name))),
            _ => assert_eq!(shares[1].name, format!("{}-1", natural(&shares[1]).unwrap())),
        }
    }
}

#[test]
fn fedmultimodal_says_what_it_cannot_deal() {
    let (mut data, split) = world();
    let n = split.train.len();
    let all = |clients, alpha| fedmultimodal::Config { within: dirichlet::Within::All, clients, alpha, min_size: 5 };
    assert_eq!(
        message(all(100, 1.0).deal(&data, split.clone(), 0.0)),
        format!(
            "partition.fedmultimodal: all training samples ({n}) cannot give 100 clients min-size = 5 each; lower clients or min-size"
        )
    );
    assert_eq!(
        message(all(20, 1e-6).deal(&data, split.clone(), 0.0)),
        format!(
            "partition.fedmultimodal: 1000 draws of all training samples ({n}) over 20 clients with alpha = 0.000001 left a client with fewer than min-size = 5 samples; lower min-size or clients, or raise alpha"
        )
    );
    data.labels = crate::data::Labels::Multi(ndarray::Array2::zeros((data.len(), 3)));
    assert_eq!(
        message(all(2, 1.0).deal(&data, split, 0.0)),
        "partition.fedmultimodal: deals by one class a sample, the data is multilabel; use partition = \"natural\", as the reference does for PTB-XL"
    );
}

#[test]
fn the_list_names_every_parameter() {
    let fields = |config: toml::Table| config.keys().cloned().collect::<std::collections::BTreeSet<_>>();
    let names = |about: &About| about.parameters.iter().map(|p| p.name.to_string()).collect();
    assert_eq!(fields(toml::Table::try_from(dirichlet::Config::default()).unwrap()), names(&dirichlet::ABOUT));
    assert_eq!(fields(toml::Table::try_from(iid::Config::default()).unwrap()), names(&iid::ABOUT));
    assert_eq!(fields(toml::Table::try_from(fedmultimodal::Config::default()).unwrap()), names(&fedmultimodal::ABOUT));
}
