//! Rules: `[n, P] → [P]`.
//!
//! | choice | formula | tolerates | cost | source |
//! |---|---|---|---|---|
//! | `mean` | `Σ a_k x_k`, `a` by samples or uniform | no bad row | n P | McMahan et al., AISTATS 2017 |
//! | `median` | per coordinate the middle value | f < n / 2 | n log² n P | Yin et al., ICML 2018 |
//! | `trimmed-mean` | per coordinate the mean without the f smallest and f largest | f < n / 2 | n log² n P | Yin et al., ICML 2018 |
//! | `meamed` | per coordinate the mean of the n − f values closest to the median | f < n / 2 | n log² n P | Xie et al., 2018 |
//! | `krum` | the row with the closest neighbours | 2f + 2 < n | n² P | Blanchard et al., NeurIPS 2017 |
//! | `multi-krum` | mean of the m best rows by Krum's score | 2f + 2 < n | n² P | Blanchard et al., NeurIPS 2017 |
//! | `bulyan` | Krum again and again, then the middle of each coordinate | 4f + 3 ≤ n | n² P | El Mhamdi et al., ICML 2018 |
//! | `geometric-median` | least sum of distances | f < n / 2 | n² P, or n P a step | Pillutla et al., IEEE TSP 2022 |
//! | `centered-clipping` | the last result moved by clipped differences | f < n / 10, as proved | n P | Karimireddy et al., ICML 2021 |
//! | `mda` | mean of the n − f rows with the smallest diameter | f < n / 2 | n² P + search | El Mhamdi et al., NeurIPS 2021 |
//! | `monna` | mean of the n − f rows nearest to a trusted one | f < n / 2 | n P | Farhadkhani et al., ICML 2023 |
//! | `caf` | filter along the top eigenvector | f < n / 2 | n² P + f n³ | Allouah et al. |
//! | `smea` | mean of the n − f rows with the smallest largest variance | f < n / 2 | n² P + search | Allouah et al., ICML 2023 |
//! | `dnc` | drops rows far out along the largest variance of random coordinates | f < n / 2 | n P | Shejwalkar and Houmansadr, NDSS 2021 |
//! | `clipped-clustering` | the larger of two clusters by angle, clipped | a minority | n² P | Li et al., IEEE TBD 2023 |
//! | `signguard` | rows of usual length and usual signs, clipped | a minority | n P | Xu et al., ICDCS 2022 |
//! | `sign-vote` | `lr · sign(Σ sign(x_i))` | a minority | n P | Bernstein et al., ICLR 2019 |
//! | `foolsgold` | less weight to clients that are alike | copies | n² P | Fung et al., RAID 2020 |
//! | `flame` | the majority by angle, clipped, with noise | a minority | n² P | Nguyen et al., USENIX Security 2022 |
//! | `fltrust` | rows that agree with the server's own update | any, while the root data is clean | n P | Cao et al., NDSS 2021 |
//! | `dp-mean` | clipped mean with Gaussian noise | each row by c / n | n P | McMahan et al., ICLR 2018 |
//! | `torchscript` | a module of the user's | as the module | as the module | |

pub mod bulyan;
pub mod caf;
pub mod centered_clipping;
pub mod clipped_clustering;
mod clusters;
pub mod dnc;
pub mod dp_mean;
pub mod flame;
pub mod fltrust;
pub mod foolsgold;
pub mod geometric_median;
pub mod krum;
pub mod limits;
pub mod mda;
pub mod meamed;
pub mod mean;
pub mod median;
pub mod monna;
pub mod multi_krum;
pub mod sign_vote;
pub mod signguard;
pub mod smea;
#[cfg(test)]
pub(super) mod testing;
pub mod torchscript;
pub mod trimmed_mean;
mod weigh;
mod weiszfeld;

use super::{Known, State, Updates, take};
use crate::fault::{About, Checker, Result};
use crate::seed::Stream;
use serde::{Deserialize, Serialize};
use tch::Tensor;
use weigh::Weighing;

/// The rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Config {
    /// Mean, weighted by samples by default.
    Mean(mean::Config),
    /// Coordinate-wise median.
    Median(median::Config),
    /// Coordinate-wise trimmed mean.
    TrimmedMean(trimmed_mean::Config),
    /// Coordinate-wise mean around the median.
    Meamed(meamed::Config),
    /// Krum.
    Krum(krum::Config),
    /// Multi-Krum.
    MultiKrum(multi_krum::Config),
    /// Bulyan.
    Bulyan(bulyan::Config),
    /// Geometric median.
    GeometricMedian(geometric_median::Config),
    /// Centered clipping.
    CenteredClipping(centered_clipping::Config),
    /// Minimum diameter averaging.
    Mda(mda::Config),
    /// Nearest neighbours of a trusted row.
    Monna(monna::Config),
    /// Covariance-bound-agnostic filter.
    Caf(caf::Config),
    /// Smallest maximum eigenvalue averaging.
    Smea(smea::Config),
    /// Divide and conquer.
    Dnc(dnc::Config),
    /// Clipping and clustering by angle.
    ClippedClustering(clipped_clustering::Config),
    /// Filter of lengths and signs.
    Signguard(signguard::Config),
    /// Majority of signs.
    SignVote(sign_vote::Config),
    /// Weights by likeness of histories.
    Foolsgold(foolsgold::Config),
    /// Majority by angle, clipped, with noise.
    Flame(flame::Config),
    /// Trust in what agrees with the server's update.
    Fltrust(fltrust::Config),
    /// Clipped mean with noise.
    DpMean(dp_mean::Config),
    /// A module of the user's.
    Torchscript(torchscript::Config),
}

impl Default for Config {
    fn default() -> Self {
        Config::Mean(mean::Config::default())
    }
}

/// Every choice, for `fedrobust list aggregate`.
pub const CHOICES: &[About] = &[
    mean::ABOUT,
    median::ABOUT,
    trimmed_mean::ABOUT,
    meamed::ABOUT,
    krum::ABOUT,
    multi_krum::ABOUT,
    bulyan::ABOUT,
    geometric_median::ABOUT,
    centered_clipping::ABOUT,
    mda::ABOUT,
    monna::ABOUT,
    caf::ABOUT,
    smea::ABOUT,
    dnc::ABOUT,
    clipped_clustering::ABOUT,
    signguard::ABOUT,
    sign_vote::ABOUT,
    foolsgold::ABOUT,
    flame::ABOUT,
    fltrust::ABOUT,
    dp_mean::ABOUT,
    torchscript::ABOUT,
];

/// A rule with its state.
pub trait Rule: Send {
    /// One delta `[P]` from the rows; called with at least one row, all finite unless `nan = "propagate"`. `stream` is its
    /// own in this round.
    ///
    /// # Errors
    /// Fewer rows than the rule needs; the message says how many.
    fn aggregate(&mut self, updates: &Updates, stream: &Stream) -> Result<Tensor>;

    /// The same with what the chain already knows of the rows.
    ///
    /// # Errors
    /// As [`Rule::aggregate`].
    fn aggregate_known(&mut self, updates: &Updates, _known: &mut Known, stream: &Stream) -> Result<Tensor> {
        self.aggregate(updates, stream)
    }

    /// State to checkpoint; stateless by default.
    fn state(&self) -> State {
        Vec::new()
    }

    /// Takes a checkpointed state back.
    fn restore(&mut self, _state: State) {}
}

impl Config {
    /// Ranges, given the number of rows that reach the rule in a round.
    pub fn check(&self, c: &mut Checker, rows: usize) {
        match self {
            Config::Mean(config) => c.inside("mean", |c| config.check(c)),
            Config::Median(_) => {}
            Config::TrimmedMean(config) => c.inside("trimmed-mean", |c| config.check(c, rows)),
            Config::Meamed(config) => c.inside("meamed", |c| config.check(c, rows)),
            Config::Krum(config) => c.inside("krum", |c| config.check(c, rows)),
            Config::MultiKrum(config) => c.inside("multi-krum", |c| config.check(c, rows)),
            Config::Bulyan(config) => c.inside("bulyan", |c| config.check(c, rows)),
            Config::GeometricMedian(config) => c.inside("geometric-median", |c| config.check(c)),
            Config::CenteredClipping(config) => c.inside("centered-clipping", |c| config.check(c)),
            Config::Mda(config) => c.inside("mda", |c| config.check(c, rows)),
            Config::Monna(config) => c.inside("monna", |c| config.check(c, rows)),
            Config::Caf(config) => c.inside("caf", |c| config.check(c, rows)),
            Config::Smea(config) => c.inside("smea", |c| config.check(c, rows)),
            Config::Dnc(config) => c.inside("dnc", |c| config.check(c, rows)),
            Config::ClippedClustering(config) => c.inside("clipped-clustering", |c| config.check(c)),
            Config::Signguard(config) => c.inside("signguard", |c| config.check(c)),
            Config::SignVote(config) => c.inside("sign-vote", |c| config.check(c)),
            Config::Foolsgold(config) => c.inside("foolsgold", |c| config.check(c)),
            Config::Flame(config) => c.inside("flame", |c| config.check(c)),
            Config::Fltrust(config) => c.inside("fltrust", |c| config.check(c)),
            Config::DpMean(config) => c.inside("dp-mean", |c| config.check(c)),
            Config::Torchscript(config) => c.inside("torchscript", |c| config.check(c)),
        }
    }

    /// The same with another f, where it takes one.
    pub fn with_f(&self, f: usize) -> Option<Self> {
        let mut config = self.clone();
        let slot = match &mut config {
            Config::TrimmedMean(config) => {
                config.share = None;
                &mut config.f
            }
            Config::Meamed(config) => &mut config.f,
            Config::Krum(config) => &mut config.f,
            Config::MultiKrum(config) => &mut config.f,
            Config::Bulyan(config) => &mut config.f,
            Config::Mda(config) => &mut config.f,
            Config::Monna(config) => &mut config.f,
            Config::Caf(config) => &mut config.f,
            Config::Smea(config) => &mut config.f,
            Config::Dnc(config) => &mut config.f,
            Config::Mean(_)
            | Config::Median(_)
            | Config::GeometricMedian(_)
            | Config::CenteredClipping(_)
            | Config::ClippedClustering(_)
            | Config::Signguard(_)
            | Config::SignVote(_)
            | Config::Foolsgold(_)
            | Config::Flame(_)
            | Config::Fltrust(_)
            | Config::DpMean(_)
            | Config::Torchscript(_) => return None,
        };
        *slot = Some(f);
        Some(config)
    }

    /// Whether it asks rows for nothing but lengths, angles and distances, and remembers no row: then it decides the same
    /// on [`coordinates`](crate::aggregate::coordinates) of the rows.
    pub fn sees_only_distances(&self) -> bool {
        matches!(
            self,
            Config::Mean(_)
                | Config::Krum(_)
                | Config::MultiKrum(_)
                | Config::GeometricMedian(_)
                | Config::Mda(_)
                | Config::Monna(_)
                | Config::Caf(_)
                | Config::Smea(_)
                | Config::ClippedClustering(_)
        )
    }

    /// Builds the rule.
    pub fn build(&self) -> Box<dyn Rule> {
        match self.clone() {
            Config::Mean(config) => Box::new(mean::Mean(config)),
            Config::Median(_) => Box::new(median::Median),
            Config::TrimmedMean(config) => Box::new(trimmed_mean::TrimmedMean(config)),
            Config::Meamed(config) => Box::new(meamed::Meamed(config)),
            Config::Krum(config) => Box::new(Weighing(krum::Krum(config))),
            Config::MultiKrum(config) => Box::new(Weighing(multi_krum::MultiKrum(config))),
            Config::Bulyan(config) => Box::new(bulyan::Bulyan(config)),
            Config::GeometricMedian(config) => Box::new(geometric_median::GeometricMedian(config)),
            Config::CenteredClipping(config) => Box::new(centered_clipping::CenteredClipping::new(&config)),
            Config::Mda(config) => Box::new(Weighing(mda::Mda(config))),
            Config::Monna(config) => Box::new(monna::Monna(config)),
            Config::Caf(config) => Box::new(Weighing(caf::Caf(config))),
            Config::Smea(config) => Box::new(Weighing(smea::Smea(config))),
            Config::Dnc(config) => Box::new(dnc::Dnc(config)),
            Config::ClippedClustering(config) => {
                Box::new(Weighing(clipped_clustering::ClippedClustering::new(&config)))
            }
            Config::Signguard(config) => Box::new(signguard::SignGuard(config)),
            Config::SignVote(config) => Box::new(sign_vote::SignVote(config)),
            Config::Foolsgold(config) => Box::new(foolsgold::FoolsGold::new(&config)),
            Config::Flame(config) => Box::new(flame::Flame(config)),
            Config::Fltrust(_) => Box::new(fltrust::FlTrust),
            Config::DpMean(config) => Box::new(dp_mean::DpMean(config)),
            Config::Torchscript(config) => Box::new(torchscript::TorchScript::new(config)),
        }
    }
}
