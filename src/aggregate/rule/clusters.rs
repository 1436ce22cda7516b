//! Clusterings that rules need, all deterministic: ties go to the lowest index.

use crate::aggregate::points::rank;
use crate::aggregate::sums::squared_distance;

/// Agglomerative clustering with average linkage, down to two clusters: the members of the larger, on a tie of the one with
/// the lowest index.
pub(super) fn larger_by_average_linkage(distances: &[Vec<f64>]) -> Vec<usize> {
    let n = distances.len();
    let mut clusters: Vec<Vec<usize>> = (0..n).map(|i| vec![i]).collect();
    let mut apart = distances.to_vec();
    let mut left: Vec<usize> = (0..n).collect();
    // Of each cluster the closest before it, so that a join asks those again whose closest it changed and no others.
    let mut closest: Vec<(f64, usize)> = (0..n).map(|i| closest_of(&apart[i], &left[..i])).collect();
    while left.len() > 2 {
        let i = left.iter().copied().reduce(|a, b| if closest[b].0 < closest[a].0 { b } else { a }).unwrap_or_default();
        let j = closest[i].1;
        let (a, b) = (clusters[i].len() as f64, clusters[j].len() as f64);
        left.retain(|k| *k != i);
        for &k in &left {
            let joined = (a * apart[i][k] + b * apart[j][k]) / (a + b);
            (apart[j][k], apart[k][j]) = (joined, joined);
        }
        let moved = std::mem::take(&mut clusters[i]);
        clusters[j].extend(moved);
        for (place, &k) in left.iter().enumerate() {
            let joined = (rank(apart[k][j]), j);
            if k == j || closest[k].1 == i || closest[k].1 == j {
                closest[k] = closest_of(&apart[k], &left[..place]);
            } else if k > j && joined < closest[k] {
                closest[k] = joined;
            }
        }
    }
    larger(clusters)
}

/// The least distance to some clusters and the first that is so far.
fn closest_of(distances: &[f64], clusters: &[usize]) -> (f64, usize) {
    let ranked = clusters.iter().map(|&j| (rank(distances[j]), j));
    ranked.reduce(|a, b| if b.0 < a.0 { b } else { a }).unwrap_or((f64::INFINITY, 0))
}

/// Single linkage, from the closest pair on, until a cluster holds more than half of all: its members. With these numbers it
/// is what HDBSCAN gives for a least cluster size of ⌊n/2⌋ + 1, one sample a neighbourhood and a single cluster allowed.
///
/// Pairs that are equally far join at once. The joins are those of a shortest spanning tree (Gower and Ross, Minimum Spanning
/// Trees and Single Linkage Cluster Analysis, 1969).
pub(super) fn majority_by_single_linkage(distances: &[Vec<f64>]) -> Vec<usize> {
    let n = distances.len();
    let mut clusters: Vec<Vec<usize>> = (0..n).map(|i| vec![i]).collect();
    let mut of: Vec<usize> = (0..n).collect();
    let mut joins = spanning_tree(distances);
    joins.sort_by(|a, b| a.0.total_cmp(&b.0));
    for level in joins.chunk_by(|a, b| a.0 == b.0) {
        for &(_, i, j) in level {
            let moved = std::mem::take(&mut clusters[of[i]]);
            moved.iter().for_each(|&member| of[member] = of[j]);
            clusters[of[j]].extend(moved);
        }
        if let Some(found) = clusters.iter().find(|cluster| cluster.len() > n / 2) {
            let mut members = found.clone();
            members.sort_unstable();
            return members;
        }
    }
    (0..n).collect()
}

/// The n − 1 pairs of a shortest tree that spans all, each with its distance (Prim).
fn spanning_tree(distances: &[Vec<f64>]) -> Vec<(f64, usize, usize)> {
    let mut tree = Vec::new();
    let mut outside: Vec<(f64, usize, usize)> = (1..distances.len()).map(|i| (rank(distances[i][0]), i, 0)).collect();
    while let Some(place) = (0..outside.len()).reduce(|a, b| if outside[b].0 < outside[a].0 { b } else { a }) {
        let next = outside.swap_remove(place);
        for (apart, i, j) in &mut outside {
            let from_next = rank(distances[*i][next.1]);
            if from_next < *apart {
                (*apart, *j) = (from_next, next.1);
            }
        }
        tree.push(next);
    }
    tree
}

/// Two means, begun at the two points furthest apart, to convergence: the members of the larger, on a tie of the one with
/// the lowest index.
pub(super) fn larger_of_two_means(points: &[Vec<f64>]) -> Vec<usize> {
    let n = points.len();
    let (mut most, mut ends) = (0.0, (0, 0));
    for i in 0..n {
        for j in i + 1..n {
            let d = rank(squared_distance(&points[i], &points[j]));
            if d > most {
                (most, ends) = (d, (i, j));
            }
        }
    }
    let mut centres = [points[ends.0].clone(), points[ends.1].clone()];
    let mut clusters = vec![(0..n).collect(), Vec::new()];
    for _ in 0..100 {
        let second = |i: &usize| {
            rank(squared_distance(&points[*i], &centres[1])) < rank(squared_distance(&points[*i], &centres[0]))
        };
        let (b, a): (Vec<usize>, Vec<usize>) = (0..n).partition(second);
        if clusters == [a.clone(), b.clone()] || a.is_empty() || b.is_empty() {
            break;
        }
        for (centre, members) in centres.iter_mut().zip([&a, &b]) {
            for (d, c) in centre.iter_mut().enumerate() {
                *c = members.iter().map(|&i| points[i][d]).sum::<f64>() / members.len() as f64;
            }
        }
        clusters = vec![a, b];
    }
    larger(clusters)
}

fn larger(mut clusters: Vec<Vec<usize>>) -> Vec<usize> {
    clusters.iter_mut().for_each(|cluster| cluster.sort_unstable());
    clusters.sort();
    clusters.retain(|cluster| !cluster.is_empty());
    let most = clusters.iter().map(Vec::len).max().unwrap_or(0);
    clusters.into_iter().find(|cluster| cluster.len() == most).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Stream;
    use rand::Rng;

    fn on_a_line(places: &[f64]) -> Vec<Vec<f64>> {
        places.iter().map(|a| places.iter().map(|b| (a - b).abs()).collect()).collect()
    }

    #[test]
    fn average_linkage_keeps_the_larger_of_two_and_the_first_of_equals() {
        assert_eq!(larger_by_average_linkage(&on_a_line(&[9.0, 0.0, 1.0, 8.5, 0.4])), [1, 2, 4]);
        assert_eq!(larger_by_average_linkage(&on_a_line(&[9.0, 0.0, 1.0, 8.5])), [0, 3]);
        assert_eq!(larger_by_average_linkage(&on_a_line(&[3.0])), [0]);
    }

    /// Distances of few values, so that many are equal.
    fn random(n: usize) -> Vec<Vec<f64>> {
        let mut rng = Stream::root(6).at(n as u64).rng();
        let half: Vec<Vec<f64>> =
            (0..n).map(|i| (0..i).map(|_| f64::from(rng.random_range(1..40_u8))).collect()).collect();
        let of = |i: usize, j: usize| if i == j { 0.0 } else { half[i.max(j)][i.min(j)] };
        (0..n).map(|i| (0..n).map(|j| of(i, j)).collect()).collect()
    }

    #[test]
    fn average_linkage_is_that_of_a_search_over_all_pairs() {
        for n in [3, 4, 8, 30, 61] {
            let mut apart = random(n);
            let mut clusters: Vec<Vec<usize>> = (0..n).map(|i| vec![i]).collect();
            while clusters.len() > 2 {
                let pairs = (0..clusters.len()).flat_map(|i| (0..i).map(move |j| (i, j)));
                let (i, j) =
                    pairs.reduce(|a, b| if rank(apart[b.0][b.1]) < rank(apart[a.0][a.1]) { b } else { a }).unwrap();
                let (a, b) = (clusters[i].len() as f64, clusters[j].len() as f64);
                let join = |(x, y): (&f64, &f64)| (a * x + b * y) / (a + b);
                let joined: Vec<f64> = apart[i].iter().zip(&apart[j]).map(join).collect();
                apart.iter_mut().zip(&joined).for_each(|(row, d)| row[j] = *d);
                apart[j] = joined;
                apart.remove(i);
                for row in &mut apart {
                    row.remove(i);
                }
                let moved = clusters.remove(i);
                clusters[j].extend(moved);
            }
            assert_eq!(larger_by_average_linkage(&random(n)), larger(clusters), "{n}");
        }
    }

    #[test]
    fn single_linkage_is_that_of_joining_level_by_level() {
        for n in [2, 3, 9, 40] {
            let distances = random(n);
            let members = |level: f64| {
                let mut of: Vec<usize> = (0..n).collect();
                for (i, j) in
                    (0..n).flat_map(|i| (0..i).map(move |j| (i, j))).filter(|(i, j)| distances[*i][*j] <= level)
                {
                    let (a, b) = (of[i], of[j]);
                    of.iter_mut().filter(|c| **c == a).for_each(|c| *c = b);
                }
                let found = (0..n).find(|&c| of.iter().filter(|o| **o == c).count() > n / 2)?;
                Some((0..n).filter(|&i| of[i] == found).collect::<Vec<_>>())
            };
            let expected = (1..40).find_map(|level| members(f64::from(level))).unwrap();
            assert_eq!(majority_by_single_linkage(&distances), expected, "{n}");
        }
    }

    #[test]
    fn single_linkage_stops_at_a_majority() {
        assert_eq!(majority_by_single_linkage(&on_a_line(&[0.0, 1.0, 2.5, 4.5, 9.0])), [0, 1, 2]);
        assert_eq!(majority_by_single_linkage(&on_a_line(&[0.0, 5.0, 1.0, 6.0, 2.0])), [0, 2, 4]);
        assert_eq!(majority_by_single_linkage(&on_a_line(&[1.0, 1.0, 1.0])), [0, 1, 2]);
    }

    #[test]
    fn two_means_keep_the_larger_and_equal_points_together() {
        let points: Vec<Vec<f64>> = [0.0, 0.2, 0.9, 1.0, 0.8].iter().map(|x| vec![*x, 1.0]).collect();
        assert_eq!(larger_of_two_means(&points), [2, 3, 4]);
        assert_eq!(larger_of_two_means(&vec![vec![0.5]; 4]), [0, 1, 2, 3]);
    }
}
