//! What each rule assumes, where it breaks and what it costs, side by side: `fedrobust list aggregate`.
//!
//! n rows of P weights, f of them declared bad. The breakdown point is the largest share of bad rows, whatever they hold,
//! with which the result stays bounded by the honest rows.

/// The limits of one rule.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Name of the rule.
    pub name: &'static str,
    /// What must hold of f.
    pub assumes: &'static str,
    /// Breakdown point.
    pub breakdown: &'static str,
    /// Operations.
    pub cost: &'static str,
}

const fn of(name: &'static str, assumes: &'static str, breakdown: &'static str, cost: &'static str) -> Limits {
    Limits { name, assumes, breakdown, cost }
}

const BELOW_HALF: &str = "2 f < n";
const DECLARED: &str = "f of n, as declared, below 1/2";

/// Every rule, in the order of the listing.
pub const LIMITS: &[Limits] = &[
    of("mean", "no bad row", "0: one bad row moves it anywhere", "n P"),
    of("median", "2 f < n; takes no f", "1/2", "n log^2 n P"),
    of("trimmed-mean", BELOW_HALF, DECLARED, "n log^2 n P"),
    of("meamed", BELOW_HALF, DECLARED, "n log^2 n P"),
    of("krum", "2 f + 2 < n (2 f < n by other conventions)", "f of n, as declared, at most (n - 3) / 2 rows", "n^2 P"),
    of(
        "multi-krum",
        "2 f + 2 < n (2 f < n by other conventions)",
        "f of n, as declared, at most (n - 3) / 2 rows",
        "n^2 P",
    ),
    of("bulyan", "4 f + 3 <= n", "f of n, as declared, at most (n - 3) / 4 rows", "n^2 P + n^3"),
    of("geometric-median", "2 f < n; takes no f", "1/2", "steps n P, or n^2 P + steps n^2"),
    of(
        "centered-clipping",
        "10 f < n, as proved; takes no f",
        "1 in a round: a bad row moves it by at most steps tau / n; over rounds as proved, 1/10",
        "steps n P",
    ),
    of("mda", BELOW_HALF, DECLARED, "n^2 P + search, exponential in f at worst"),
    of(
        "monna",
        "2 f < n, and the trusted row is honest",
        "f of n, as declared, below 1/2; 0 if the trusted row is bad",
        "n P",
    ),
    of("caf", BELOW_HALF, DECLARED, "n^2 P + f n^3"),
    of("smea", BELOW_HALF, DECLARED, "n^2 P + search, exponential in f at worst"),
    of("dnc", BELOW_HALF, DECLARED, "iterations n min(P, sub-dim) + n P"),
    of(
        "clipped-clustering",
        "2 f < n; takes no f",
        "1/2 by its clipping length, the median of all lengths so far",
        "n^2 P + n^3",
    ),
    of("signguard", "2 f < n; takes no f", "1/2 by its clipping length, the median of the round", "n P"),
    of("sign-vote", "2 f < n; takes no f", "1/2 for the direction; the length is lr in any case", "n P"),
    of(
        "foolsgold",
        "bad rows are alike and honest ones are not; takes no f",
        "0: one bad row that is like no other keeps its weight",
        "n^2 P",
    ),
    of("flame", "2 f < n; takes no f", "1/2", "n^2 P"),
    of(
        "fltrust",
        "the root data is clean and like the clients'; takes no f",
        "1 while the root data is clean: the result is never longer than the server's update",
        "n P, and a local training of the server",
    ),
    of("dp-mean", "takes no f", "1: a row moves it by at most 2 norm / n", "n P"),
    of("torchscript", "what the module assumes", "the module's", "the module's"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_says_what_it_assumes_where_it_breaks_and_what_it_costs() {
        let names = |of: &[&'static str]| of.to_vec();
        let listed: Vec<&str> = super::super::CHOICES.iter().map(|about| about.name).collect();
        assert_eq!(names(&LIMITS.iter().map(|limits| limits.name).collect::<Vec<_>>()), listed);
        for limits in LIMITS {
            let told = [limits.assumes, limits.breakdown, limits.cost];
            assert!(told.iter().all(|text| !text.is_empty()), "{}", limits.name);
        }
    }
}
