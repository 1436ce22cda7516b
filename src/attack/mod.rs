//! Attacks: what byzantine clients send, or train on.
//!
//! | choice | what attackers send | made against | source |
//! |---|---|---|---|
//! | `sign-flip` | `−mean(x)`, or the negative of their own update | the mean | Li et al., AAAI 2019 |
//! | `ipm` | `−ε mean(x)` | the mean, Krum | Xie et al., UAI 2019 |
//! | `alie` | `mean(x) + z std(x)` | rules that look at one coordinate, or at distances | Baruch et al., NeurIPS 2019 |
//! | `min-max` | `mean(x) − γ d`, no further from any row than rows are from each other | distance-based rules | Shejwalkar and Houmansadr, NDSS 2021 |
//! | `min-sum` | the same with sums of squared distances | distance-based rules | Shejwalkar and Houmansadr, NDSS 2021 |
//! | `fang-trimmed-mean` | just beyond the honest extremes | trimmed mean, median | Fang et al., USENIX Security 2020 |
//! | `fang-krum` | `−λ sign(mean(x))`, as long as Krum chooses it | Krum | Fang et al., USENIX Security 2020 |
//! | `mimic` | a copy of one honest row, given or learned | anything, where clients differ | Karimireddy et al., ICLR 2022 |
//! | `rop` | the previous aggregate, pushed at an angle | centered clipping | Ozfatura et al., IEEE TIFS 2024 |
//! | `gaussian`, `zero`, `nan`, `infinity` | noise, or one value everywhere | carelessness | Blanchard et al., NeurIPS 2017 |
//! | `label-flip` | honest training on labels turned round | | Tolpegin et al., ESORICS 2020 |
//! | `modality-poison` | honest training on one forged modality | | |
//! | `backdoor` | honest training on triggered samples, boosted | norm bounds | Bagdasaryan et al., AISTATS 2020 |
//!
//! Attackers collude: all know what one knows. `knowledge = "omniscient"` shows them every honest update of the round,
//! `"own"` only the updates of their own honest training, which then stand for the honest ones in every formula.
//!
//! Rows are client deltas (local minus global weights), where the papers speak of gradients. Every formula commutes with
//! `x → −c x`, so it means the same on both, but for `alie` (its `side` names the side), `gaussian` (its mean) and `rop` (ones).
//!
//! Whatever attackers do draws from streams of its own: turning an attack on moves no other number of the run.

pub mod alie;
pub mod backdoor;
mod byzantine;
pub mod constant;
pub mod envelope;
mod factor;
pub mod fang_krum;
pub mod fang_trimmed_mean;
pub mod gaussian;
pub mod geometry;
pub mod ipm;
mod label;
pub mod label_flip;
pub mod line_search;
pub mod mimic;
pub mod min_max;
pub mod min_sum;
pub mod modality_poison;
pub mod rop;
pub mod sign_flip;
mod target;
#[cfg(test)]
mod tests;

use crate::aggregate::State;
use crate::corrupt::Samples;
use crate::fault::{About, Checker, Parameter, Result};
use crate::seed::Stream;
pub use byzantine::Byzantine;
pub use factor::Factor;
use serde::{Deserialize, Serialize};
pub use target::Target;
use tch::Tensor;

/// `[attack]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Config {
    /// Byzantine clients among all: an integer is a count, a number with a point a share.
    pub byzantine: Byzantine,
    /// When they are drawn.
    pub members: Members,
    /// What they know.
    pub knowledge: Knowledge,
    /// What they do.
    pub kind: Kind,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            byzantine: Byzantine::Share(0.2),
            members: Members::default(),
            knowledge: Knowledge::default(),
            kind: Kind::default(),
        }
    }
}

/// When the byzantine clients are drawn, of all clients either way: a cohort meets them hypergeometrically.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Members {
    /// Once a run.
    #[default]
    Fixed,
    /// Every round anew.
    EachRound,
}

/// What attackers know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Knowledge {
    /// All honest updates of the round.
    #[default]
    Omniscient,
    /// The updates of their own honest training.
    Own,
}

/// No parameters.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Empty {}

/// What byzantine clients do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// They are honest.
    None(Empty),
    /// The negative of the mean.
    SignFlip(sign_flip::Config),
    /// Inner product manipulation.
    Ipm(ipm::Config),
    /// A little is enough.
    Alie(alie::Config),
    /// Min-Max.
    MinMax(min_max::Config),
    /// Min-Sum.
    MinSum(min_sum::Config),
    /// Fang's against trimmed mean and median.
    FangTrimmedMean(fang_trimmed_mean::Config),
    /// Fang's against Krum.
    FangKrum(fang_krum::Config),
    /// Copies of one honest row.
    Mimic(mimic::Config),
    /// Relocated orthogonal perturbation.
    Rop(rop::Config),
    /// Normal noise.
    Gaussian(gaussian::Config),
    /// Zeros.
    Zero(Empty),
    /// NaN.
    Nan(Empty),
    /// Infinity.
    Infinity(Empty),
    /// Training on labels turned round.
    LabelFlip(Empty),
    /// Training on one forged modality.
    ModalityPoison(modality_poison::Config),
    /// Training on triggered samples.
    Backdoor(backdoor::Config),
}

impl Default for Kind {
    fn default() -> Self {
        Kind::None(Empty {})
    }
}

const NONE: About = About {
    name: "none",
    summary: "Byzantine clients are honest: the clean column of a grid.",
    formula: "",
    source: "",
    parameters: &[],
};

/// Every choice, for `fedrobust list attack`.
pub const CHOICES: &[About] = &[
    NONE,
    sign_flip::ABOUT,
    ipm::ABOUT,
    alie::ABOUT,
    min_max::ABOUT,
    min_sum::ABOUT,
    fang_trimmed_mean::ABOUT,
    fang_krum::ABOUT,
    mimic::ABOUT,
    rop::ABOUT,
    gaussian::ABOUT,
    constant::ZERO,
    constant::NAN,
    constant::INFINITY,
    label_flip::ABOUT,
    modality_poison::ABOUT,
    backdoor::ABOUT,
];

/// `search` of attacks whose factor may be optimised, in listings.
const SEARCH: Parameter = Parameter {
    name: "search",
    default: "{ evals = 20, start = 0.0, delta = 10.0, ratio = 0.8 }",
    meaning: "how an optimised factor is searched: evaluations of the defence, first factor, first step, what a failed step shrinks by",
};

/// The whole defence as attackers imagine it.
#[derive(Clone, Copy)]
pub struct Defence<'a> {
    /// Rows `[n, P]`, those known first, to the aggregate `[P]`; changes no state.
    pub aggregate: &'a dyn Fn(&Tensor) -> Result<Tensor>,
    /// Whether every member asks rows for nothing but lengths, angles and distances, so that it may be asked about rows of any
    /// number of columns.
    pub sees_only_distances: bool,
}

/// One round as attackers see it.
pub struct Scene<'a> {
    /// The rows known, `[k, P]`, k ≥ 1: the honest ones in the order of the clients' numbers, or the attackers' own.
    pub seen: &'a Tensor,
    /// The client behind each of these rows.
    pub senders: &'a [u64],
    /// What honest training would have given the attackers of the round, `[b, P]`, b ≥ 1.
    pub own: &'a Tensor,
    /// Which of the two `seen` is.
    pub knowledge: Knowledge,
    /// Rows that the server gets this round.
    pub clients: usize,
    /// The defence, where the attackers know it.
    pub defence: Option<Defence<'a>>,
    /// The last change of the global model, `[P]`; none in the first round.
    pub previous: Option<&'a Tensor>,
    /// The attackers' stream of this round.
    pub stream: &'a Stream,
}

impl Scene<'_> {
    /// Rows to forge b.
    pub fn forged(&self) -> i64 {
        self.own.size()[0]
    }

    /// One row `[P]` for every attacker, `[b, P]` in the kind of the rows.
    fn copies(&self, row: &Tensor) -> Result<Tensor> {
        let row = row.f_to_kind(self.seen.kind())?;
        Ok(row.f_unsqueeze(0)?.f_expand([self.forged(), row.numel() as i64], false)?.f_contiguous()?)
    }
}

/// Where a byzantine client poisons its data.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// Number of classes C.
    pub classes: usize,
    /// Names of the modalities.
    pub modalities: &'a [String],
    /// The client's own stream.
    pub stream: &'a Stream,
}

/// An attack.
pub trait Attack {
    /// Looks at what is known of a round before anything is sent, for attacks that learn over rounds; `scene.own` may be empty.
    ///
    /// # Errors
    /// Too little memory.
    fn learn(&mut self, _scene: &Scene) -> Result<()> {
        Ok(())
    }

    /// What the attackers send, `[b, P]` in the kind of the rows known.
    ///
    /// # Errors
    /// An optimised factor without a defence, a defence that cannot work with the rows, too little memory.
    fn forge(&self, scene: &Scene) -> Result<Tensor>;

    /// What a byzantine client trains on instead of its samples; none where it trains as an honest one.
    fn poison(&self, _samples: &Samples, _place: &Place) -> Option<Samples> {
        None
    }

    /// What was learned, to checkpoint.
    fn state(&self) -> State {
        State::new()
    }

    /// Takes a checkpointed state back.
    fn restore(&mut self, _state: State) {}
}

impl Kind {
    /// The attack; none where byzantine clients are honest.
    pub fn build(&self) -> Option<Box<dyn Attack + Send>> {
        Some(match self.clone() {
            Kind::None(_) => return None,
            Kind::SignFlip(config) => Box::new(config),
            Kind::Ipm(config) => Box::new(config),
            Kind::Alie(config) => Box::new(config),
            Kind::MinMax(config) => Box::new(config),
            Kind::MinSum(config) => Box::new(config),
            Kind::FangTrimmedMean(config) => Box::new(config),
            Kind::FangKrum(config) => Box::new(config),
            Kind::Mimic(config) => Box::new(mimic::Mimic::new(config)),
            Kind::Rop(config) => Box::new(config),
            Kind::Gaussian(config) => Box::new(config),
            Kind::Zero(_) => Box::new(constant::Constant(0.0)),
            Kind::Nan(_) => Box::new(constant::Constant(f64::NAN)),
            Kind::Infinity(_) => Box::new(constant::Constant(f64::INFINITY)),
            Kind::LabelFlip(_) => Box::new(label_flip::LabelFlip),
            Kind::ModalityPoison(config) => Box::new(config),
            Kind::Backdoor(config) => Box::new(config),
        })
    }

    /// Whether attackers forge what they train on, not what they send.
    pub fn on_data(&self) -> bool {
        matches!(self, Kind::LabelFlip(_) | Kind::ModalityPoison(_) | Kind::Backdoor(_))
    }

    /// Whether the factor is optimised against the defence.
    pub fn optimised(&self) -> bool {
        matches!(
            self,
            Kind::Ipm(ipm::Config { scale: Factor::Optimised, .. })
                | Kind::Alie(alie::Config { z: Factor::Optimised, .. })
        )
    }

    /// Ranges.
    pub fn check(&self, c: &mut Checker) {
        match self {
            Kind::Ipm(config) => c.inside("ipm", |c| config.check(c)),
            Kind::Alie(config) => c.inside("alie", |c| config.check(c)),
            Kind::MinMax(config) => c.inside("min-max", |c| config.check(c)),
            Kind::MinSum(config) => c.inside("min-sum", |c| config.check(c)),
            Kind::FangTrimmedMean(config) => c.inside("fang-trimmed-mean", |c| config.check(c)),
            Kind::FangKrum(config) => c.inside("fang-krum", |c| config.check(c)),
            Kind::Mimic(config) => c.inside("mimic", |c| config.check(c)),
            Kind::Rop(config) => c.inside("rop", |c| config.check(c)),
            Kind::Gaussian(config) => c.inside("gaussian", |c| config.check(c)),
            Kind::Backdoor(config) => c.inside("backdoor", |c| config.check(c)),
            Kind::None(_)
            | Kind::SignFlip(_)
            | Kind::Zero(_)
            | Kind::Nan(_)
            | Kind::Infinity(_)
            | Kind::LabelFlip(_)
            | Kind::ModalityPoison(_) => {}
        }
    }

    /// What needs the data: names of modalities, a target that is a class, labels that can be turned round.
    fn check_data(&self, c: &mut Checker, modalities: &[String], classes: usize, multilabel: bool) {
        let unknown = |name: &String| !modalities.contains(name);
        let allowed = || modalities.join(", ");
        if multilabel && matches!(self, Kind::LabelFlip(_) | Kind::Backdoor(_)) {
            c.fault("", "is not defined for multilabel data", "an attack that leaves labels alone", "");
        }
        match self {
            Kind::ModalityPoison(config) if unknown(&config.modality) => c.inside("modality-poison", |c| {
                c.fault("modality", "names no modality of the data", allowed(), "");
            }),
            Kind::Backdoor(config) => c.inside("backdoor", |c| {
                if config.target as usize >= classes {
                    let problem = format!("is not one of the {classes} classes");
                    c.fault("target", problem, format!("a whole number from 0 to {}", classes.saturating_sub(1)), "");
                }
                if let Some(name) = config.modalities.iter().find(|name| unknown(name)) {
                    c.fault("modalities", format!("name {name}, no modality of the data"), allowed(), "");
                }
            }),
            _ => {}
        }
    }
}

impl Config {
    /// Whether it changes or records nothing. A backdoor without attackers still records how often an honest model falls for
    /// the trigger.
    pub fn does_nothing(&self) -> bool {
        let measured = matches!(self.kind, Kind::Backdoor(_));
        matches!(self.kind, Kind::None(_)) || (self.byzantine.is_none() && !measured)
    }

    /// Ranges; `federated` says whether the strategy has clients that send updates.
    pub fn check(&self, c: &mut Checker, federated: bool) {
        if let Byzantine::Share(share) = self.byzantine {
            c.below_one("byzantine", share);
        }
        c.inside("kind", |c| self.kind.check(c));
        if self.does_nothing() {
            return;
        }
        if !federated {
            let remedy = "Leave the attack out, set skip-impossible = true in the grid, or name another strategy.";
            c.fault("kind", "has no updates to act on: the strategy sends none", "none", remedy);
        }
        let blind = self.knowledge == Knowledge::Own;
        if blind && (self.kind.optimised() || matches!(self.kind, Kind::Mimic(_))) {
            let problem = "is too little for this attack, which needs the updates of others";
            c.fault("knowledge", problem, "omniscient", "");
        }
    }

    /// What needs the data and the number of clients.
    pub fn check_data(&self, c: &mut Checker, modalities: &[String], classes: usize, multilabel: bool, clients: usize) {
        if let Byzantine::Count(count) = self.byzantine
            && count >= clients
        {
            let problem = format!("leaves none of the {clients} clients honest");
            let allowed = format!("a whole number from 0 to {}", clients.saturating_sub(1));
            c.fault("byzantine", problem, allowed, "");
        }
        c.inside("kind", |c| self.kind.check_data(c, modalities, classes, multilabel));
    }
}
