//! `mda`: the mean of the n − f rows with the smallest diameter.
//!
//! The diameter is the largest distance between two of them. Subsets are not enumerated: for a diameter δ, the rows to drop
//! are a vertex cover of the graph that joins rows further apart than δ, which a bounded search finds or refutes; δ is found
//! by bisection over the distances. Of several such subsets the first in lexicographic order is taken. The search gives up,
//! with an error, after 300 million comparisons of two rows (seconds), which takes far larger rounds than enumeration would stand. Needs `2f < n`.
//!
//! By hand: f = 1, rows `[0]`, `[5]`, `[4]`: `{5, 4}` has diameter 1: `[4.5]`.

use super::krum::F;
use super::weigh::{Weigh, mean_of};
use crate::aggregate::points::Points;
use crate::aggregate::{check_f, declared, need};
use crate::fault::{About, Checker, Error, Result};
use serde::{Deserialize, Serialize};

/// Parameters.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Config {
    /// Rows that may be bad.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub f: Option<usize>,
}

const LEAST: (usize, usize) = (2, 1);
/// Comparisons of two rows after which the search gives up: seconds.
const MOST_PAIRS: usize = 300_000_000;

impl Config {
    /// `2f` is below the number of rows a round.
    pub fn check(&self, c: &mut Checker, rows: usize) {
        check_f(c, self.f, rows, LEAST);
    }
}

/// Entry of `fedrobust list aggregate`.
pub const ABOUT: About = About {
    name: "mda",
    summary: "The mean of the n - f updates with the smallest largest distance between two (minimum diameter averaging).",
    formula: "mean of argmin_{|S| = n - f} max_{i, j in S} |x_i - x_j|; first in lexicographic order on ties; tolerates 2 f < n",
    source: "El Mhamdi et al., Collaborative Learning in the Jungle, NeurIPS 2021 (MDA); after Rousseeuw, 1985",
    parameters: &[F],
};

/// Searches and averages.
#[derive(Debug)]
pub(super) struct Mda(pub Config);

/// Which rows are further apart than a diameter.
struct Apart<'a> {
    distances: &'a [Vec<f64>],
    diameter: f64,
    pairs: usize,
}

/// Rows, ascending, with the number of others among them that are too far from each.
#[derive(Clone)]
struct Left {
    rows: Vec<usize>,
    degrees: Vec<usize>,
}

impl Apart<'_> {
    fn joined(&self, i: usize, j: usize) -> bool {
        i != j && self.distances[i][j] > self.diameter
    }

    /// Counts comparisons; too many are an error.
    fn look(&mut self, pairs: usize) -> Result<()> {
        self.pairs += pairs;
        if self.pairs <= MOST_PAIRS {
            return Ok(());
        }
        let n = self.distances.len();
        Err(Error::Failed(format!(
            "mda gave up on {n} rows after 300 million comparisons of its search; lower f, or use multi-krum"
        )))
    }

    fn all(&mut self) -> Result<Left> {
        let n = self.distances.len();
        self.look(n * n)?;
        let degree = |i: usize| (0..n).filter(|&j| self.joined(i, j)).count();
        Ok(Left { rows: (0..n).collect(), degrees: (0..n).map(degree).collect() })
    }

    /// Takes the row at this place out.
    fn remove(&mut self, left: &mut Left, at: usize) -> Result<usize> {
        let row = left.rows.remove(at);
        left.degrees.remove(at);
        self.look(left.rows.len())?;
        for (&other, degree) in left.rows.iter().zip(&mut left.degrees) {
            *degree -= usize::from(self.joined(row, other));
        }
        Ok(row)
    }

    /// What is left when all that are too far from `row` go.
    fn near(&mut self, left: &Left, row: usize) -> Result<Left> {
        let mut near = left.clone();
        for at in (0..left.rows.len()).rev() {
            if self.joined(row, left.rows[at]) {
                self.remove(&mut near, at)?;
            }
        }
        Ok(near)
    }

    /// Whether dropping at most `drop` of the rows in `left` leaves no two too far apart.
    fn coverable(&mut self, mut left: Left, mut drop: usize) -> Result<bool> {
        loop {
            let most = left.degrees.iter().copied().max().unwrap_or(0);
            if most == 0 {
                return Ok(true);
            }
            // `drop` rows end at most `drop · most` pairs.
            if drop == 0 || left.degrees.iter().sum::<usize>() > 2 * drop * most {
                return Ok(false);
            }
            let worst = left.degrees.iter().position(|&d| d == most).unwrap_or(0);
            let row = self.remove(&mut left, worst)?;
            if most <= drop && most > 1 {
                // Either this row goes, or all that are too far from it do.
                let near = self.near(&left, row)?;
                if self.coverable(near, drop - most)? {
                    return Ok(true);
                }
            }
            drop -= 1;
        }
    }

    /// The first `keep` rows in lexicographic order with at most this diameter; there must be some.
    fn first(&mut self, keep: usize) -> Result<Vec<usize>> {
        let mut open = self.all()?;
        let mut chosen: Vec<usize> = Vec::new();
        for i in 0..self.distances.len() {
            if chosen.len() == keep {
                break;
            }
            let Some(at) = open.rows.iter().position(|&j| j == i) else { continue };
            let near = self.near(&open, i)?;
            if near.rows.len() >= keep && self.coverable(near.clone(), near.rows.len() - keep)? {
                open = near;
                chosen.push(i);
            } else {
                self.remove(&mut open, at)?;
            }
        }
        Ok(chosen)
    }
}

/// The `keep` rows with the smallest diameter.
fn smallest(distances: &[Vec<f64>], keep: usize) -> Result<Vec<usize>> {
    let n = distances.len();
    let mut diameters: Vec<f64> = (0..n).flat_map(|i| distances[i][..=i].iter().copied()).collect();
    diameters.push(0.0);
    diameters.sort_by(f64::total_cmp);
    diameters.dedup();
    let (mut low, mut high) = (0, diameters.len() - 1);
    let mut apart = Apart { distances, diameter: 0.0, pairs: 0 };
    while low < high {
        let middle = (low + high) / 2;
        apart.diameter = diameters[middle];
        let all = apart.all()?;
        if apart.coverable(all, n - keep)? {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    apart.diameter = diameters[low];
    apart.first(keep)
}

impl Weigh for Mda {
    fn weigh(&mut self, points: &Points) -> Result<Vec<f64>> {
        let n = points.len();
        let f = declared(self.0.f, n, LEAST);
        need("mda", n, f, 2 * f + 1)?;
        Ok(mean_of(&smallest(&points.distances(), n - f)?, n))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::made;
    use super::*;
    use crate::seed::Stream;
    use rand::Rng;

    #[test]
    fn by_hand() {
        assert_eq!(made("mda = { f = 1 }", &[[0.0], [5.0], [4.0]]), [4.5]);
        assert_eq!(made("mda = { f = 1 }", &[[1.0], [4.0], [7.0]]), [2.5]);
    }

    #[test]
    fn the_search_finds_what_enumeration_finds() {
        let mut rng = Stream::root(4).rng();
        for n in 3..=9_usize {
            for _ in 0..20 {
                // Few distinct distances, so that ties are common.
                let half: Vec<Vec<f64>> =
                    (0..n).map(|i| (0..i).map(|_| f64::from(rng.random_range(0..6_u8))).collect()).collect();
                let apart = |i: usize, j: usize| if i == j { 0.0 } else { half[i.max(j)][i.min(j)] };
                let distances: Vec<Vec<f64>> = (0..n).map(|i| (0..n).map(|j| apart(i, j)).collect()).collect();
                for keep in n.div_ceil(2)..=n {
                    let diameter = |set: &[usize]| {
                        set.iter()
                            .flat_map(|&i| set.iter().map(move |&j| (i, j)))
                            .fold(0.0, |a, (i, j)| distances[i][j].max(a))
                    };
                    let mut sets: Vec<Vec<usize>> = (0..1_u32 << n)
                        .filter(|bits| bits.count_ones() as usize == keep)
                        .map(|bits| (0..n).filter(|i| bits >> i & 1 == 1).collect())
                        .collect();
                    sets.sort();
                    let best =
                        sets.iter().fold(&sets[0], |best, set| if diameter(set) < diameter(best) { set } else { best });
                    assert_eq!(&smallest(&distances, keep).unwrap(), best, "{distances:?}");
                }
            }
        }
    }

    #[test]
    fn many_rows_without_an_order_are_refused_in_seconds() {
        let mut rng = Stream::root(4).rng();
        let rows: Vec<Vec<f32>> = (0..300).map(|_| (0..20).map(|_| rng.random_range(-1.0..1.0)).collect()).collect();
        let distances: Vec<Vec<f64>> = rows.iter().map(|a| rows.iter().map(|b| apart(a, b)).collect()).collect();
        let refused = smallest(&distances, 200).unwrap_err().to_string();
        let expected =
            "mda gave up on 300 rows after 300 million comparisons of its search; lower f, or use multi-krum";
        assert!(refused.contains(expected), "{refused}");
    }

    fn apart(a: &[f32], b: &[f32]) -> f64 {
        a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>().sqrt()
    }

    #[test]
    fn forty_rows_with_twelve_bad_ones_take_no_enumeration() {
        // 40 over 12 is 5.6 billion subsets.
        let rows: Vec<[f32; 1]> =
            (0..40).map(|i| [if i % 10 < 3 { 50.0 + (i * i % 17) as f32 } else { (i % 7) as f32 }]).collect();
        let honest: Vec<f64> = rows.iter().map(|row| row[0] as f64).filter(|x| *x < 50.0).collect();
        let expected = honest.iter().sum::<f64>() / honest.len() as f64;
        assert!((made("mda = { f = 12 }", &rows)[0] - expected).abs() < 1e-5);
    }
}
