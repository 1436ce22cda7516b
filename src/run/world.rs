//! The world of a run: clients and their corrupted data, and what is scored, for one point and seed.

use super::crowd::{Crowd, Member};
use super::root;
use crate::aggregate::rule::fltrust;
use crate::corrupt::{self, Client, Facts, Present, Samples};
use crate::data::listing::Listing;
use crate::data::prepare::{self, Affine, Normalise, Split};
use crate::data::{Dataset, Labels, population};
use crate::fault::Result;
use crate::partition::{self, Share};
use crate::record::{Lack, Realised};
use crate::seed::Stream;
use ndarray::{Array2, Axis};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Samples that are scored, with their clean labels.
#[derive(Debug, Clone)]
pub struct EvalSet {
    /// Sample indices.
    pub rows: Arc<Vec<u32>>,
    /// Modalities present, where any is missing at test time.
    pub present: Option<Arc<Vec<Present>>>,
    /// Clean labels of these samples.
    pub truth: Labels,
    /// Natural client of each sample.
    pub owner: Vec<u32>,
}

/// Everything a run reads and never changes.
#[derive(Debug, Clone)]
pub struct World {
    /// The partition's clients after corruption.
    pub clients: Vec<Client>,
    /// What each client can train on; may be empty.
    pub usable: Vec<Arc<Samples>>,
    /// Clean classes of each client's samples, unlabelled ones included, ascending; empty for multilabel data.
    pub held: Vec<Vec<u32>>,
    /// The server's own data, where the strategy has some.
    pub root: Option<Arc<Samples>>,
    /// Normalisation, where the data is not normalised already.
    pub affine: Option<Arc<Vec<Affine>>>,
    /// Development samples; `None` when there are none.
    pub dev: Option<EvalSet>,
    /// Test samples.
    pub test: EvalSet,
    /// Realised corruption.
    pub realised: Vec<Realised>,
    /// Names of the natural clients.
    pub natural_names: Vec<String>,
    /// Number of classes.
    pub classes: usize,
    /// Names of the modalities.
    pub modalities: Vec<String>,
    /// Clients that are made when they are drawn, instead of `clients`, `usable` and `held`.
    pub crowd: Option<Crowd>,
}

/// The parts of a scenario that make a world.
#[derive(Debug, Clone, Copy)]
pub struct Recipe<'a> {
    /// Splits.
    pub split: &'a prepare::Config,
    /// Normalisation.
    pub normalise: Normalise,
    /// Partition.
    pub partition: &'a partition::Config,
    /// Corruption.
    pub corrupt: &'a corrupt::Config,
    /// The files that are replayed.
    pub replayed: Replayed<'a>,
    /// What the server takes of the training samples for itself.
    pub root: Option<&'a fltrust::Config>,
    /// Clients that are made when they are drawn; the data set is then what is scored, and nothing is dealt.
    pub population: Option<&'a population::Config>,
}

/// Files of FedMultimodal that a recipe replays.
#[derive(Debug, Clone, Copy, Default)]
pub struct Replayed<'a> {
    /// The clients.
    pub partition: Option<&'a Listing>,
    /// The corruption.
    pub corrupt: Option<&'a Listing>,
}

impl World {
    /// Splits, deals and corrupts. Everything is drawn from `stream` (the run's root) by purpose, so that two points
    /// with the same seed differ only in what their recipes differ in.
    ///
    /// # Errors
    /// A split or a partition that cannot be.
    pub fn new(data: &Dataset, recipe: Recipe, stream: &Stream) -> Result<Self> {
        let (split, shares, root) = deal(data, recipe, stream)?;
        let modalities: Vec<String> = data.modalities.iter().map(|m| m.shape.name.clone()).collect();
        let labels: &[u32] = match &data.labels {
            Labels::Single(labels) => labels,
            Labels::Multi(_) => &[],
        };
        let facts = Facts { labels, classes: data.classes, modalities: &modalities };
        let (mut clients, mut realised) = corrupted(data, recipe, shares, &facts, stream)?;
        if let Some(having) = data.having() {
            for client in &mut clients {
                let rows = client.rows.iter().map(|&row| having[row as usize]);
                client.present.iter_mut().zip(rows).for_each(|(present, has)| *present &= has);
            }
        }
        let dev = eval_set(data, &split.dev, &recipe, &facts, &stream.named("corrupt-dev"));
        let test = eval_set(data, &split.test, &recipe, &facts, &stream.named("corrupt-test"));
        realised.extend(test.1);
        Ok(Self {
            held: clients.iter().map(|client| held(&client.rows, labels)).collect(),
            usable: clients.iter().map(|client| Arc::new(client.usable())).collect(),
            clients,
            root: root.map(|rows| Arc::new(root::samples(data, rows))),
            affine: prepare::affine(data, &split, recipe.normalise).map(Arc::new),
            dev: (!split.dev.is_empty()).then_some(dev.0),
            test: test.0,
            realised,
            natural_names: data.client_names.clone(),
            classes: data.classes,
            modalities,
            crowd: recipe.population.map(|population| Crowd::new(population, &recipe, stream)),
        })
    }

    /// Clients, whether they are kept or made when they are drawn.
    pub fn size(&self) -> usize {
        self.crowd.as_ref().map_or(self.clients.len(), Crowd::len)
    }

    /// One client.
    pub fn member(&self, client: usize) -> Member {
        match &self.crowd {
            Some(crowd) => crowd.member(client),
            None => Member { usable: self.usable[client].clone(), held: self.held[client].clone() },
        }
    }

    /// Samples by client and class as strategies see them, `[clients][classes]`; unlabelled samples do not count.
    /// Multilabel data gives the total in one column.
    pub fn class_counts(&self) -> Vec<Vec<u32>> {
        let count = |samples: &Arc<Samples>| {
            if samples.labels.is_empty() {
                return vec![samples.len() as u32];
            }
            let mut counts = vec![0; self.classes];
            for &label in &samples.labels {
                counts[label as usize] += 1;
            }
            counts
        };
        self.usable.iter().map(count).collect()
    }
}

/// The distinct labels of these samples.
pub(super) fn held(rows: &[u32], labels: &[u32]) -> Vec<u32> {
    let classes: BTreeSet<u32> = rows.iter().filter_map(|&row| labels.get(row as usize).copied()).collect();
    classes.into_iter().collect()
}

impl World {
    /// What the natural clients lack in training: all training samples of a person count, whichever of its clients has
    /// them. Clients that lie in no natural one count nowhere.
    pub fn lacks_in_training(&self) -> BTreeMap<u32, Vec<Lack>> {
        let of = |client: &Client| {
            let natural = client.natural;
            client.present.clone().into_iter().filter_map(move |present| Some((natural?, present)))
        };
        self.lacks(self.clients.iter().flat_map(of))
    }

    /// What the natural clients of the test samples lack at test time.
    pub fn lacks_at_test(&self) -> BTreeMap<u32, Vec<Lack>> {
        let present = self.test.present.iter().flat_map(|present| present.iter());
        self.lacks(self.test.owner.iter().copied().zip(present.copied()))
    }

    /// Shares by owner of samples without a modality.
    fn lacks(&self, samples: impl Iterator<Item = (u32, Present)>) -> BTreeMap<u32, Vec<Lack>> {
        let mut counts: BTreeMap<u32, (usize, Vec<usize>)> = BTreeMap::new();
        for (owner, present) in samples {
            let (all, without) = counts.entry(owner).or_insert_with(|| (0, vec![0; self.modalities.len()]));
            *all += 1;
            for (m, count) in without.iter_mut().enumerate() {
                *count += usize::from(present >> m & 1 == 0);
            }
        }
        let lacks = |(owner, (all, without)): (u32, (usize, Vec<usize>))| {
            let named = self.modalities.iter().zip(without).filter(|(_, count)| *count > 0);
            let lack =
                |(name, count): (&String, usize)| Lack { modality: name.clone(), share: count as f64 / all as f64 };
            (owner, named.map(lack).collect())
        };
        counts.into_iter().map(lacks).collect()
    }
}

/// Splits the data and deals the training samples, the server's own apart: the part of a world that corruption does not
/// touch.
///
/// # Errors
/// A split or a partition that cannot be, or root data that is not there.
pub fn deal(data: &Dataset, recipe: Recipe, stream: &Stream) -> Result<(Split, Vec<Share>, Option<Vec<u32>>)> {
    if recipe.population.is_some() {
        let test = (0..data.len() as u32).collect();
        return Ok((Split { train: Vec::new(), dev: Vec::new(), test }, Vec::new(), None));
    }
    let (split, mut shares) = recipe.partition.deal(data, recipe.split, recipe.replayed.partition, stream)?;
    let root = recipe.root.map(|config| root::take(config, &mut shares, stream)).transpose()?;
    Ok((split, shares, root))
}

/// The clients after corruption, and how much was hit.
fn corrupted(
    data: &Dataset,
    recipe: Recipe,
    shares: Vec<Share>,
    facts: &Facts,
    stream: &Stream,
) -> Result<(Vec<Client>, Vec<Realised>)> {
    match (&recipe.corrupt.replay, recipe.replayed.corrupt) {
        (Some(config), Some(listing)) => corrupt::replay::apply(config, listing, shares, facts, &data.labels),
        _ => Ok(recipe.corrupt.apply(shares, facts, &stream.named("corrupt"))),
    }
}

fn eval_set(data: &Dataset, rows: &[u32], recipe: &Recipe, facts: &Facts, stream: &Stream) -> (EvalSet, Vec<Realised>) {
    let owner: Vec<u32> = rows.iter().map(|&row| data.client[row as usize]).collect();
    let (mut present, realised) = recipe.corrupt.apply_to_test(rows, &data.client, facts, stream);
    if let Some(having) = data.having() {
        let have = rows.iter().map(|&row| having[row as usize]);
        present = Some(match present {
            Some(present) => present.iter().zip(have).map(|(present, has)| present & has).collect(),
            None => have.collect(),
        });
    }
    let truth = match &data.labels {
        Labels::Single(labels) => Labels::Single(rows.iter().map(|&row| labels[row as usize]).collect()),
        Labels::Multi(labels) => {
            let rows: Vec<usize> = rows.iter().map(|&row| row as usize).collect();
            let picked: Array2<f32> = labels.select(Axis(0), &rows);
            Labels::Multi(picked)
        }
    };
    (EvalSet { rows: Arc::new(rows.to_vec()), present: present.map(Arc::new), truth, owner }, realised)
}
