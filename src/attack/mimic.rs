//! `mimic`: attackers copy one honest client, so that its data weighs more than it should.
//!
//! Nothing about the row is wrong, so no rule can exclude it; it harms where clients differ. Needs `knowledge = "omniscient"`.
//!
//! A number for `target` is an honest row of the round, in the order of the clients' numbers (0 is the first). `"learned"` is
//! the paper's: during the first `warmup` rounds, those with an honest row, the attackers learn the direction z along which
//! honest updates vary most, by one step of Oja's iteration a round (Oja, 1982), from a random start. With t the rounds seen
//! before and x_i the honest rows of the round:
//!
//! - `μ ← t/(1+t) μ + 1/(1+t) mean(x)`,
//! - `c = Σ_i ((x_i − μ)·z) (x_i − μ)`, `z ← t/(1+t) z + 1/(1+t) c/‖c‖`, scaled to length 1.
//!
//! In these rounds they copy the row with the largest `x_i·z`; the client of the last of them is the target for good. In rounds
//! whose cohort lacks it they copy the row with the largest `x_i·z` again (the paper has no cohorts). z, μ, t and the target
//! are part of a checkpoint.
//!
//! By hand: rows `[1, 2]`, `[3, 4]` with target 1 are answered by `[3, 4]`. Learned from rows `[0, 0]`, `[6, 0]`: μ is
//! `[3, 0]`, z is `[1, 0]` or `[−1, 0]`, attackers send `[6, 0]` or `[0, 0]`.

use super::geometry::{mean, numbers};
use super::{Attack, Scene, Target};
use crate::aggregate::State;
use crate::fault::{About, Checker, Parameter, Result};
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// Rounds of learning where nothing is said.
pub const WARMUP: usize = 10;

/// Parameters.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Config {
    /// Who is copied.
    pub target: Target,
    /// Rounds during which a learned target is learned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warmup: Option<usize>,
}

/// Entry of `fedrobust list attack`.
pub const ABOUT: About = About {
    name: "mimic",
    summary: "Attackers copy one honest client, so that its data weighs more than it should.",
    formula: "x_target; learned: argmax_i x_i . z, z the top direction of variance of the honest rows by Oja's iteration over the warm-up",
    source: "Karimireddy et al., Byzantine-Robust Learning on Heterogeneous Datasets via Bucketing, ICLR 2022, section 3.2 and the authors' code; a fixed target as ByzFL",
    parameters: &[
        Parameter {
            name: "target",
            default: "0",
            meaning: "which honest row of the round, by client number from 0, the last one where there are fewer; or learned (the paper's)",
        },
        Parameter {
            name: "warmup",
            default: "10 if learned",
            meaning: "rounds during which a learned target is learned, from 1",
        },
    ],
};

impl Config {
    /// Ranges.
    pub fn check(&self, c: &mut Checker) {
        if let Some(warmup) = self.warmup {
            c.at_least("warmup", warmup, 1);
            if self.target != Target::Learned {
                let remedy = "Remove it, or write target = \"learned\".";
                c.fault("warmup", "is for a learned target, and the target is given", "", remedy);
            }
        }
    }
}

/// Copies, and learns whom.
#[derive(Debug)]
pub struct Mimic {
    config: Config,
    learnt: Option<Learnt>,
}

impl Mimic {
    /// Before the first round.
    pub fn new(config: Config) -> Self {
        Self { config, learnt: None }
    }
}

/// What is known of the honest clients.
#[derive(Debug)]
struct Learnt {
    /// Direction of variance `[P]` of length 1, in f64.
    direction: Tensor,
    /// Mean of the rounds' means `[P]`, in f64.
    mean: Tensor,
    /// Rounds learned from.
    rounds: usize,
    /// The client furthest out in the last of them.
    target: u64,
}

impl Learnt {
    /// After one round more; `start` is the direction of one who has seen none.
    fn next(before: Option<&Learnt>, scene: &Scene, start: impl FnOnce() -> Result<Tensor>) -> Result<Self> {
        let rounds = before.map_or(0, |learnt| learnt.rounds);
        let share = 1.0 / (1 + rounds) as f64;
        let (mut mean, old) = (mean(scene.seen)?, before.map_or_else(start, |l| Ok(l.direction.shallow_clone()))?);
        if let Some(before) = before {
            mean = &before.mean * (1.0 - share) + mean * share;
        }
        let mut spread = mean.f_zeros_like()?;
        for i in 0..scene.seen.size()[0] {
            let apart = scene.seen.f_get(i)?.f_to_kind(Kind::Double)?.f_sub(&mean)?;
            spread += &apart * apart.f_dot(&old)?;
        }
        let length = numbers(&spread.f_norm()?)?[0];
        // Equal rows, or a direction in which nothing varies, teach nothing.
        let direction = if length > 0.0 && length.is_finite() {
            let kept = if before.is_some() { 1.0 - share } else { 0.0 };
            let turned = &old * kept + spread * ((1.0 - kept) / length);
            turned.f_div(&turned.f_norm()?.f_clamp_min(f64::MIN_POSITIVE)?)?
        } else {
            old
        };
        let target = scene.senders[furthest(scene.seen, &direction)?];
        Ok(Self { direction, mean, rounds: rounds + 1, target })
    }
}

/// The row with the largest product with a direction, the first among equals.
fn furthest(rows: &Tensor, direction: &Tensor) -> Result<usize> {
    let mut best = (0, f64::NEG_INFINITY);
    for i in 0..rows.size()[0] {
        let along = rows.f_get(i)?.f_to_kind(Kind::Double)?.f_dot(direction)?.f_double_value(&[])?;
        if along > best.1 {
            best = (i as usize, along);
        }
    }
    Ok(best.0)
}

impl Attack for Mimic {
    fn learn(&mut self, scene: &Scene) -> Result<()> {
        let learns = self.config.target == Target::Learned
            && self.learnt.as_ref().is_none_or(|learnt| learnt.rounds < self.config.warmup.unwrap_or(WARMUP));
        if learns {
            let start = || {
                let mut rng = scene.stream.named("direction").rng();
                let drawn: Vec<f64> = (0..scene.seen.size()[1]).map(|_| StandardNormal.sample(&mut rng)).collect();
                let drawn = Tensor::f_from_slice(&drawn)?.f_to_device(scene.seen.device())?;
                Ok(drawn.f_div(&drawn.f_norm()?.f_clamp_min(f64::MIN_POSITIVE)?)?)
            };
            self.learnt = Some(Learnt::next(self.learnt.as_ref(), scene, start)?);
        }
        Ok(())
    }

    fn forge(&self, scene: &Scene) -> Result<Tensor> {
        let last = scene.seen.size()[0] as usize - 1;
        let row = match (self.config.target, &self.learnt) {
            (Target::Row(row), _) => row.min(last),
            (Target::Learned, None) => 0,
            (Target::Learned, Some(learnt)) => match scene.senders.iter().position(|client| *client == learnt.target) {
                Some(row) => row,
                None => furthest(scene.seen, &learnt.direction)?,
            },
        };
        scene.copies(&scene.seen.f_get(row as i64)?)
    }

    fn state(&self) -> State {
        let Some(Learnt { direction, mean, rounds, target }) = &self.learnt else { return State::new() };
        let counts = Tensor::from_slice(&[*rounds as i64, *target as i64]);
        let named = [("direction", direction.shallow_clone()), ("mean", mean.shallow_clone()), ("counts", counts)];
        named.into_iter().map(|(name, tensor)| (name.to_string(), tensor)).collect()
    }

    fn restore(&mut self, state: State) {
        let take =
            |wanted: &str| state.iter().find(|(name, _)| name == wanted).map(|(_, tensor)| tensor.shallow_clone());
        let (Some(direction), Some(mean)) = (take("direction"), take("mean")) else { return };
        let Some(counts) = take("counts").and_then(|counts| numbers(&counts).ok()) else { return };
        let [rounds, target] = counts[..] else { return };
        self.learnt = Some(Learnt { direction, mean, rounds: rounds as usize, target: target as u64 });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attack::Knowledge;
    use crate::seed::Stream;
    use serde_json::Value;

    fn scene<'a>(seen: &'a Tensor, own: &'a Tensor, senders: &'a [u64], stream: &'a Stream) -> Scene<'a> {
        let knowledge = Knowledge::Omniscient;
        Scene { seen, own, senders, knowledge, clients: 9, defence: None, previous: None, stream }
    }

    #[test]
    fn learned_targets_are_those_of_the_worked_example() {
        let examples: Vec<Value> =
            serde_json::from_str(include_str!("../../tests/fixtures/attack_learned.json")).unwrap();
        assert_eq!(examples.len(), 3);
        for example in examples {
            let list =
                |value: &Value| value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect::<Vec<_>>();
            let config: Config = serde_json::from_value(example["spec"]["mimic"].clone()).unwrap();
            let mut mimic = Mimic::new(config.clone());
            let start = Tensor::from_slice(&list(&example["start"]));
            for (t, round) in example["rounds"].as_array().unwrap().iter().enumerate() {
                let rows: Vec<Vec<f64>> = round["rows"].as_array().unwrap().iter().map(list).collect();
                let seen = Tensor::from_slice(&rows.concat()).view([rows.len() as i64, -1]);
                let senders: Vec<u64> = list(&round["clients"]).into_iter().map(|c| c as u64).collect();
                let (own, stream) = (seen.narrow(0, 0, 1), Stream::root(0));
                let scene = scene(&seen, &own, &senders, &stream);
                if t < config.warmup.unwrap() {
                    let start = || Ok(start.shallow_clone());
                    mimic.learnt = Some(Learnt::next(mimic.learnt.as_ref(), &scene, start).unwrap());
                } else {
                    mimic.learn(&scene).unwrap();
                }
                let direction = numbers(&mimic.learnt.as_ref().unwrap().direction).unwrap();
                let expected = list(&round["direction"]);
                let near = direction.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-9);
                assert!(near, "round {t}: {direction:?} is not {expected:?}");
                let made = numbers(&mimic.forge(&scene).unwrap()).unwrap();
                assert_eq!(made, rows[round["copied"].as_u64().unwrap() as usize], "round {t}");
            }
        }
    }

    #[test]
    fn by_hand_one_round_finds_the_only_direction_there_is() {
        let seen = Tensor::from_slice2(&[[0.0_f32, 0.0], [6.0, 0.0]]);
        let (own, stream) = (seen.narrow(0, 0, 1), Stream::root(5));
        let mut mimic = Mimic::new(Config { target: Target::Learned, warmup: None });
        mimic.learn(&scene(&seen, &own, &[3, 7], &stream)).unwrap();
        let learnt = mimic.learnt.as_ref().unwrap();
        let direction = numbers(&learnt.direction).unwrap();
        assert!((direction[0].abs() - 1.0).abs() < 1e-12 && direction[1] == 0.0, "{direction:?}");
        assert_eq!((learnt.target, learnt.rounds), (if direction[0] > 0.0 { 7 } else { 3 }, 1));
    }

    #[test]
    fn equal_rows_teach_nothing_and_break_nothing() {
        let seen = Tensor::from_slice2(&[[1.0_f32, 2.0], [1.0, 2.0]]);
        let (own, stream) = (seen.narrow(0, 0, 1), Stream::root(5));
        let mut mimic = Mimic::new(Config { target: Target::Learned, warmup: Some(2) });
        for _ in 0..3 {
            mimic.learn(&scene(&seen, &own, &[3, 7], &stream)).unwrap();
        }
        assert_eq!(mimic.learnt.as_ref().unwrap().rounds, 2);
        assert_eq!(numbers(&mimic.forge(&scene(&seen, &own, &[3, 7], &stream)).unwrap()).unwrap(), [1.0, 2.0]);
    }

    #[test]
    fn a_warm_up_needs_something_to_learn() {
        let mut c = Checker::default();
        Config { target: Target::Row(2), warmup: Some(0) }.check(&mut c);
        let problems: Vec<&str> = c.faults.iter().map(|fault| fault.problem.as_str()).collect();
        assert_eq!(problems, ["is too small", "is for a learned target, and the target is given"]);
    }
}
