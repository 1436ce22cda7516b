//! Who is ahead of whom: groups of runs under one condition, compared in pairs over the seeds and folds that they share.

use super::repeats::{Repeat, Repeats};
use crate::statistics::{Paired, Summary, holm, paired, seeds_needed, summarise};
use std::collections::{BTreeMap, BTreeSet};

/// Level of every test.
pub const ALPHA: f64 = 0.05;
/// Power that the number of seeds is asked for.
pub const POWER: f64 = 0.8;

/// Scores of one group under one condition.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// Label, for example of a strategy.
    pub name: String,
    /// Score by seed and fold.
    pub by_repeat: BTreeMap<Repeat, f64>,
    /// Fingerprints of its runs.
    pub runs: BTreeSet<String>,
}

/// Two groups compared: `a − b`.
#[derive(Debug, Clone, PartialEq)]
pub struct Pair {
    /// Index of the first group.
    pub a: usize,
    /// Index of the second.
    pub b: usize,
    /// The comparison.
    pub paired: Paired,
    /// p corrected for the pairs of the family, once [`correct`] was there.
    pub corrected: Option<f64>,
    /// Tests that p was corrected for.
    pub family: usize,
}

impl Group {
    /// Mean and interval over its own repeats.
    pub fn summary(&self) -> Option<Summary> {
        summarise(&self.by_repeat.values().copied().collect::<Vec<_>>())
    }
}

impl Pair {
    /// Whether the two differ, by the corrected test.
    pub fn differs(&self) -> bool {
        self.corrected.is_some_and(|p| p < ALPHA)
    }

    /// Seeds with which a difference of this size would be found; `None` above 1,000.
    pub fn needed(&self) -> Option<usize> {
        let difference = self.paired.difference;
        seeds_needed(difference.mean, difference.sd?, ALPHA / self.family as f64, POWER)
    }

    /// [`Pair::needed`] for a table.
    pub fn needed_text(&self) -> String {
        match (self.paired.difference.sd, self.needed()) {
            (None, _) => "–".to_string(),
            _ if self.equal() => "–".to_string(),
            (_, Some(n)) => n.to_string(),
            (_, None) => "> 1000".to_string(),
        }
    }

    /// Whether no repeat tells the two apart.
    pub fn equal(&self) -> bool {
        let Summary { mean, sd, .. } = self.paired.difference;
        mean == 0.0 && sd.is_none_or(|sd| sd == 0.0)
    }
}

/// Groups by falling mean, without those that have no score.
pub fn ranked(mut groups: Vec<Group>) -> Vec<Group> {
    groups.retain(|group| !group.by_repeat.is_empty());
    let mean = |group: &Group| group.summary().map_or(f64::NEG_INFINITY, |s| s.mean);
    groups.sort_by(|a, b| mean(b).total_cmp(&mean(a)));
    groups
}

/// All pairs of groups, or those with the group `against`; where two share no repeat, there is no pair. Not yet corrected.
pub fn pairs(groups: &[Group], against: Option<&str>) -> Vec<Pair> {
    let mut out = Vec::new();
    for a in 0..groups.len() {
        for b in a + 1..groups.len() {
            if against.is_some_and(|name| groups[a].name != name && groups[b].name != name) {
                continue;
            }
            // The reference stands second, so that a difference above 0 speaks for the other.
            let (a, b) = if against == Some(groups[a].name.as_str()) { (b, a) } else { (a, b) };
            let other = &groups[b].by_repeat;
            let shared = groups[a].by_repeat.iter().filter_map(|(repeat, v)| other.get(repeat).map(|w| v - w));
            if let Some(paired) = paired(&shared.collect::<Vec<_>>()) {
                out.push(Pair { a, b, paired, corrected: None, family: 1 });
            }
        }
    }
    out
}

/// Corrects the tests of one family by Holm's rule.
pub fn correct(family: &mut [&mut Pair]) {
    let tested: Vec<usize> = (0..family.len()).filter(|&i| family[i].paired.p.is_some()).collect();
    let p: Vec<f64> = tested.iter().filter_map(|&i| family[i].paired.p).collect();
    let Some(corrected) = holm(&p) else { return };
    for (&i, corrected) in tested.iter().zip(corrected) {
        family[i].corrected = Some(corrected);
        family[i].family = tested.len();
    }
}

/// p for people: `0.012`, `< 0.001`.
pub fn p_text(p: f64) -> String {
    if p < 0.001 { "< 0.001".into() } else { format!("{p:.3}") }
}

/// `p = 0.012 after Holm's correction for 6 comparisons`; `None` before a test was corrected.
pub fn p_phrase(pair: &Pair) -> Option<String> {
    let p = pair.corrected?;
    let p = if p < 0.001 { "p < 0.001".to_string() } else { format!("p = {p:.3}") };
    Some(match pair.family {
        1 => format!("{p}, {}", pair.paired.test()),
        n => format!("{p} after Holm's correction for {n} comparisons"),
    })
}

/// `about 12 seeds`, `more than 1,000 seeds`: what finding a difference of this size would take.
pub fn needed_phrase(pair: &Pair, repeats: Repeats) -> String {
    let (power, more) = ((POWER * 100.0).round(), repeats.more());
    match pair.needed() {
        Some(n) => format!("to find a difference of this size in {power} % of studies takes about {n} {more}"),
        None => format!("to find a difference of this size in {power} % of studies takes more than 1,000 {more}"),
    }
}
