//! `foolsgold`: less weight to clients whose updates are too alike.
//!
//! The histories `H_i = Σ x_i` over the rounds client i took part in (a state, in checkpoints too) are compared:
//! `c_ij = cos(H_i, H_j)`, `m_i = max_j c_ij`; pardoning: `c_ij ← c_ij m_i / m_j` where `m_i < m_j`; then
//! `v_i = 1 − max_j c_ij` in [0, 1], divided by the largest, 1 taken as 0.99, and
//! `v_i ← κ (ln(v_i / (1 − v_i)) + 0.5)`, cut to [0, 1]. The result is `(1/n) Σ v_i x_i`. With `memory = false` the round's
//! updates stand for the histories. No bound on f: it looks for copies, and a single attacker is no copy.
//!
//! By hand: rows `[1, 0]`, `[0, 1]`, `[0, 1]`: v = 1, 0, 0, the first taken as 0.99, which ends at 1: `[1/3, 0]`.

use super::Rule;
use crate::aggregate::combine::combine;
use crate::aggregate::points::Points;
use crate::aggregate::{Known, State, Updates};
use crate::fault::{About, Checker, Error, Parameter, Result};
use crate::seed::Stream;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tch::Tensor;

/// Parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Config {
    /// Confidence κ.
    pub kappa: f64,
    /// Whether all rounds of a client count.
    pub memory: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self { kappa: 1.0, memory: true }
    }
}

impl Config {
    /// κ is positive.
    pub fn check(&self, c: &mut Checker) {
        c.positive("kappa", self.kappa);
    }
}

/// Entry of `fedrobust list aggregate`.
pub const ABOUT: About = About {
    name: "foolsgold",
    summary: "Weighs clients down whose histories of updates point the same way.",
    formula: "(1/n) sum_i v_i x_i, v_i = kappa (ln(u_i / (1 - u_i)) + 0.5) in [0, 1], u_i = 1 - max_j cos(H_i, H_j) after pardoning, by the largest",
    source: "Fung, Yoon and Beschastnikh, The Limitations of Federated Learning in Sybil Settings, RAID 2020, Algorithm 1",
    parameters: &[
        Parameter { name: "kappa", default: "1.0", meaning: "confidence, above 0" },
        Parameter {
            name: "memory",
            default: "true",
            meaning: "true compares sums of all updates of a client, false those of the round",
        },
    ],
};

/// Remembers and weighs.
#[derive(Debug)]
pub struct FoolsGold {
    config: Config,
    histories: BTreeMap<u64, Tensor>,
}

/// Weights from the cosines between histories.
fn weights(mut cosines: Vec<Vec<f64>>, kappa: f64) -> Vec<f64> {
    let n = cosines.len();
    (0..n).for_each(|i| cosines[i][i] = 0.0);
    let most = |row: &Vec<f64>| row.iter().fold(f64::NEG_INFINITY, |a, b| a.max(*b));
    let alike: Vec<f64> = cosines.iter().map(most).collect();
    for i in 0..n {
        for j in 0..n {
            if i != j && alike[i] < alike[j] {
                cosines[i][j] *= alike[i] / alike[j];
            }
        }
    }
    let unlike: Vec<f64> = cosines.iter().map(|row| (1.0 - most(row)).clamp(0.0, 1.0)).collect();
    let largest = most(&unlike);
    let weigh = |u: &f64| {
        // All alike: nobody is believed.
        let share = if largest > 1e-12 { u / largest } else { 0.0 };
        let share = if share == 1.0 { 0.99 } else { share };
        (kappa * ((share / (1.0 - share)).ln() + 0.5)).clamp(0.0, 1.0)
    };
    unlike.iter().map(weigh).collect()
}

impl FoolsGold {
    /// Before its first round.
    pub fn new(config: &Config) -> Self {
        Self { config: config.clone(), histories: BTreeMap::new() }
    }

    /// Adds the round to the histories of its clients, and gives these.
    fn remember(&mut self, updates: &Updates, clients: Option<&[u64]>) -> Result<Tensor> {
        let Some(clients) = clients else {
            return Err(Error::Failed(
                "foolsgold with memory = true must know whose updates it sees; it cannot stand behind a \
                 pre-aggregator that mixes clients (bucketing); use memory = false"
                    .into(),
            ));
        };
        for (i, client) in clients.iter().enumerate() {
            let row = updates.rows.f_get(i as i64)?;
            let sum = match self.histories.get(client) {
                Some(history) => history.f_to_device(row.device())?.f_add(&row)?,
                None => row.f_detach_copy()?,
            };
            self.histories.insert(*client, sum);
        }
        let rows: Vec<&Tensor> = clients.iter().filter_map(|client| self.histories.get(client)).collect();
        Ok(Tensor::f_stack(&rows, 0)?)
    }
}

impl Rule for FoolsGold {
    fn aggregate(&mut self, updates: &Updates, stream: &Stream) -> Result<Tensor> {
        self.aggregate_known(updates, &mut Known::default(), stream)
    }

    fn aggregate_known(&mut self, updates: &Updates, known: &mut Known, _stream: &Stream) -> Result<Tensor> {
        let cosines = if self.config.memory {
            Points::of(&self.remember(updates, known.clients())?)?.cosines()
        } else {
            known.points(updates)?.cosines()
        };
        let n = updates.len() as f64;
        let coefficients = weights(cosines, self.config.kappa).into_iter().map(|v| v / n).collect();
        Ok(combine(&updates.rows, &[coefficients])?.f_squeeze_dim(0)?)
    }

    fn state(&self) -> State {
        self.histories.iter().map(|(client, sum)| (format!("history.{client}"), sum.shallow_clone())).collect()
    }

    fn restore(&mut self, state: State) {
        let history = |(name, sum): (String, Tensor)| Some((name.strip_prefix("history.")?.parse().ok()?, sum));
        self.histories = state.into_iter().filter_map(history).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{close, config, faults, made, refused, updates};
    use super::*;
    use crate::aggregate::numbers;

    const ONE_ROUND: &str = "foolsgold = { memory = false }";

    #[test]
    fn by_hand() {
        close(&made(ONE_ROUND, &[[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]), &[1.0 / 3.0, 0.0]);
        close(&made(ONE_ROUND, &[[0.0, 1.0], [0.0, 1.0]]), &[0.0, 0.0]);
    }

    #[test]
    fn a_clients_history_is_its_own_in_whatever_order_rows_come() {
        let round = |rule: &mut Box<dyn Rule>, rows: &[[f32; 2]], clients: &[u64]| {
            let mut known = Known::new(Some(clients.to_vec()), None);
            numbers(&rule.aggregate_known(&updates(rows), &mut known, &Stream::root(0)).unwrap()).unwrap()
        };
        let mut rule = config("foolsgold = {}").build();
        round(&mut rule, &[[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]], &[4, 7, 9]);
        // Client 9 turns away this round, but its history is still like that of 7 and unlike that of 4.
        let made = round(&mut rule, &[[0.0, 0.01], [0.01, 0.0], [1.0, 0.0]], &[9, 7, 4]);
        assert!(made[0] > 0.33 && made[1] < 1e-6, "{made:?}");
        let mut other = config("foolsgold = {}").build();
        other.restore(rule.state());
        let next = [[0.5, 0.1], [0.2, 0.7], [0.1, 0.3]];
        assert_eq!(round(&mut rule, &next, &[4, 7, 9]), round(&mut other, &next, &[4, 7, 9]));
    }

    #[test]
    fn it_says_when_it_cannot_know_whose_rows_it_sees() {
        assert_eq!(
            refused("foolsgold = {}", &[[1.0], [2.0]]),
            "foolsgold with memory = true must know whose updates it sees; it cannot stand behind a pre-aggregator that \
             mixes clients (bucketing); use memory = false"
        );
        assert_eq!(faults("foolsgold = { kappa = 0.0 }", 5), ["foolsgold.kappa is not a positive number"]);
    }
}
