//! The server's own data: what `fltrust` takes out of the training side before corruption comes, and trains on each round.

use super::Run;
use crate::aggregate::rule::fltrust::{Config, SAMPLES};
use crate::corrupt::Samples;
use crate::data::{Dataset, Labels};
use crate::fault::{Error, Result};
use crate::lane::{Job, Trained};
use crate::partition::Share;
use crate::seed::Stream;
use rand::seq::index;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Where the rule stands, for messages.
const KEY: &str = "strategy.custom.aggregate.fltrust";

/// Takes the root data out of the clients' shares; gives its rows, ascending. Named clients leave the population; a client
/// whose samples were all drawn stays with none.
///
/// # Errors
/// More samples than there are, or a client that is not there.
pub fn take(config: &Config, shares: &mut Vec<Share>, stream: &Stream) -> Result<Vec<u32>> {
    let mut rows: Vec<u32> = match config.clients.is_empty() {
        false => named(&config.clients, shares)?,
        true => drawn(config, shares, stream)?,
    };
    rows.sort_unstable();
    Ok(rows)
}

fn named(clients: &[String], shares: &mut Vec<Share>) -> Result<Vec<u32>> {
    if let Some(name) = clients.iter().find(|name| shares.iter().all(|share| share.name != **name)) {
        let names: Vec<&str> = shares.iter().take(20).map(|share| share.name.as_str()).collect();
        let more = if shares.len() > 20 { ", …" } else { "" };
        let allowed = names.join(", ");
        return Err(Error::Invalid(format!("{KEY}.clients: {name} is no client; allowed: {allowed}{more}")));
    }
    let (root, left): (Vec<Share>, Vec<Share>) =
        std::mem::take(shares).into_iter().partition(|share| clients.contains(&share.name));
    *shares = left;
    if shares.is_empty() {
        return Err(Error::Invalid(format!("{KEY}.clients: leaves no client to train; name fewer")));
    }
    Ok(root.into_iter().flat_map(|share| share.rows).collect())
}

fn drawn(config: &Config, shares: &mut [Share], stream: &Stream) -> Result<Vec<u32>> {
    let all: Vec<u32> = shares.iter().flat_map(|share| share.rows.iter().copied()).collect();
    let (key, count) = match config.share {
        Some(share) => ("share", ((share * all.len() as f64).round() as usize).max(1)),
        None => ("samples", config.samples.unwrap_or(SAMPLES)),
    };
    if count >= all.len() {
        return Err(Error::Invalid(format!(
            "{KEY}.{key}: {count} samples for the server leave none of the {} training samples to the clients; take fewer",
            all.len()
        )));
    }
    let picked: BTreeSet<u32> =
        index::sample(&mut stream.named("root").rng(), all.len(), count).iter().map(|i| all[i]).collect();
    shares.iter_mut().for_each(|share| share.rows.retain(|row| !picked.contains(row)));
    Ok(picked.into_iter().collect())
}

/// What the server trains on: clean labels, and every modality that the data has of a sample.
pub fn samples(data: &Dataset, rows: Vec<u32>) -> Samples {
    let modalities = data.modalities.len();
    let everything = if modalities >= 32 { u32::MAX } else { (1 << modalities) - 1 };
    let having = data.having();
    let present =
        rows.iter().map(|&row| having.as_ref().map_or(everything, |having| having[row as usize] & everything));
    let labels = match &data.labels {
        Labels::Single(labels) => rows.iter().map(|&row| labels[row as usize]).collect(),
        Labels::Multi(_) => Vec::new(),
    };
    Samples { present: present.collect(), labels, rows, forged: None, own: None }
}

impl Run {
    /// The server's own training of the round, behind the `clients` of the cohort that train, where the strategy has one.
    pub(super) fn server_job(&self, clients: usize) -> Option<Job> {
        let root = self.world.root.as_ref().filter(|_| clients > 0)?;
        Some(self.job(clients, u64::MAX, Arc::clone(root), &self.weights))
    }

    /// Takes the server's own result out of the round's.
    pub(super) fn server_row(&self, trained: &mut Vec<Trained>, clients: usize) -> Option<tch::Tensor> {
        self.world.root.as_ref()?;
        let place = trained.iter().position(|t| t.place == clients)?;
        Some(trained.remove(place).delta)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares() -> Vec<Share> {
        let share = |(name, rows): (&str, Vec<u32>)| Share { name: name.into(), natural: None, rows };
        [("ann", vec![0, 1, 2, 3]), ("bob", vec![4, 5, 6]), ("cy", vec![7, 8, 9])].into_iter().map(share).collect()
    }

    fn config(text: &str) -> Config {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn drawn_samples_are_taken_out_of_the_clients() {
        for (text, count) in [("samples = 4", 4), ("share = 0.3", 3), ("share = 0.01", 1)] {
            let mut left = shares();
            let root = take(&config(text), &mut left, &Stream::root(1)).unwrap();
            assert!(root.len() == count && root.is_sorted(), "{text}: {root:?}");
            let mut all: Vec<u32> = left.iter().flat_map(|share| share.rows.clone()).chain(root.clone()).collect();
            all.sort_unstable();
            assert_eq!(all, (0..10).collect::<Vec<u32>>());
            assert_eq!(left.len(), 3);
            assert_eq!(take(&config(text), &mut shares(), &Stream::root(1)).unwrap(), root, "the seed decides");
        }
        let with = |seed| take(&config("samples = 4"), &mut shares(), &Stream::root(seed)).unwrap();
        assert!((2..9).any(|seed| with(seed) != with(1)));
    }

    #[test]
    fn named_clients_become_the_servers() {
        let mut left = shares();
        assert_eq!(
            take(&config("clients = ['cy', 'ann']"), &mut left, &Stream::root(1)).unwrap(),
            [0, 1, 2, 3, 7, 8, 9]
        );
        assert_eq!(left.iter().map(|share| share.name.as_str()).collect::<Vec<_>>(), ["bob"]);
    }

    #[test]
    fn what_cannot_be_taken_is_said() {
        let said = |text: &str| take(&config(text), &mut shares(), &Stream::root(1)).unwrap_err().to_string();
        assert_eq!(said("clients = ['dee']"), format!("{KEY}.clients: dee is no client; allowed: ann, bob, cy"));
        assert_eq!(
            said("clients = ['ann', 'bob', 'cy']"),
            format!("{KEY}.clients: leaves no client to train; name fewer")
        );
        assert_eq!(
            said(""),
            format!(
                "{KEY}.samples: 100 samples for the server leave none of the 10 training samples to the clients; take fewer"
            )
        );
    }
}
