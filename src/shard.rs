//! A sweep in parts: every n-th run of the plan, so that as many machines share it.

use std::str::FromStr;

/// Part `index` of `of` equal parts, from 1. Runs are dealt in turn, in the order of the plan: it depends on nothing but the
/// scenario, so machines need not talk to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    index: usize,
    of: usize,
}

impl Shard {
    /// Everything.
    pub const WHOLE: Shard = Shard { index: 1, of: 1 };

    /// What it takes of all, for example of the distinct runs of a plan: every `of`-th from the `index`-th.
    pub fn share<T>(self, all: impl IntoIterator<Item = T>) -> impl Iterator<Item = T> {
        all.into_iter().skip(self.index - 1).step_by(self.of)
    }

    /// Whether it is a part and not everything.
    pub fn is_part(self) -> bool {
        self.of > 1
    }
}

impl std::fmt::Display for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "{}/{}", self.index, self.of)
    }
}

impl FromStr for Shard {
    type Err = String;

    /// Reads `K/N`.
    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('/').and_then(|(k, n)| Some((k.parse().ok()?, n.parse().ok()?)));
        match parts {
            Some((index, of)) if index >= 1 && index <= of => Ok(Shard { index, of }),
            _ => Err("allowed: K/N with K from 1 to N, for example 3/16".to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_run_is_of_one_shard_and_sizes_differ_by_one_at_most(of in 1usize..20, runs in 0usize..100) {
            let shards: Vec<Shard> = (1..=of).map(|index| format!("{index}/{of}").parse().unwrap()).collect();
            let sizes = shards.iter().map(|shard| shard.share(0..runs).count());
            let (least, most) = sizes.clone().fold((runs, 0), |(least, most), size| (least.min(size), most.max(size)));
            prop_assert_eq!(sizes.sum::<usize>(), runs);
            prop_assert!(most - least.min(most) <= 1);
            let mut taken: Vec<usize> = shards.iter().flat_map(|shard| shard.share(0..runs)).collect();
            taken.sort_unstable();
            prop_assert_eq!(taken, (0..runs).collect::<Vec<_>>());
        }
    }

    #[test]
    fn what_is_no_shard_is_refused() {
        for text in ["", "3", "0/4", "5/4", "a/b", "-1/2", "1/0", "1/2/3"] {
            assert!(text.parse::<Shard>().is_err(), "{text}");
        }
        assert_eq!("3/16".parse::<Shard>().unwrap().to_string(), "3/16");
    }
}
