//! What members of a chain know of the rows besides the rows.

use super::Updates;
use super::points::{Points, rank};
use crate::fault::Result;
use tch::Tensor;

/// Which client sent a row, and the rows as points: computed once, by whoever asks first, and carried along by members that
/// change rows linearly.
#[derive(Debug, Default)]
pub struct Known {
    /// The client behind each row, where rows still belong to clients and the caller said which.
    clients: Option<Vec<u64>>,
    /// The server's own update.
    server: Option<Tensor>,
    points: Option<Points>,
}

impl Known {
    /// The clients, and the server's own update where it makes one.
    pub fn new(clients: Option<Vec<u64>>, server: Option<Tensor>) -> Self {
        Self { clients, server, points: None }
    }

    /// The server's own update, `[P]` or the block's part of it.
    pub fn server(&self) -> Option<&Tensor> {
        self.server.as_ref()
    }

    /// The client behind each row.
    pub fn clients(&self) -> Option<&[u64]> {
        self.clients.as_deref()
    }

    /// Whether somebody asked for the rows as points.
    pub(super) fn has_points(&self) -> bool {
        self.points.is_some()
    }

    /// The rows as points.
    pub(super) fn points(&mut self, updates: &Updates) -> Result<&Points> {
        if self.points.is_none() {
            self.points = Some(Points::of(&updates.rows)?);
        }
        Ok(self.points.get_or_insert_default())
    }

    /// Follows the rows through a linear map; row i is still client i's.
    pub(super) fn mix(&mut self, coefficients: &[Vec<f64>]) {
        self.points = self.points.take().map(|points| points.mixed(coefficients.to_vec()));
    }

    /// The rows are nobody's any more.
    pub(super) fn forget_clients(&mut self) {
        self.clients = None;
    }

    /// Follows the rows through factors, one a row.
    pub(super) fn scale(&mut self, factors: &[f64]) {
        if self.points.is_some() {
            let n = factors.len();
            let diagonal = |i: usize| (0..n).map(|j| if i == j { factors[i] } else { 0.0 }).collect();
            self.mix(&(0..n).map(diagonal).collect::<Vec<Vec<f64>>>());
        }
    }
}

/// The `count` rows nearest to row `i`, itself first if it is finite, ties to the lowest index.
pub(super) fn nearest(points: &Points, i: usize, count: usize) -> Vec<usize> {
    nearest_by((0..points.len()).map(|j| points.squared_distance(i, j)).collect(), i, count)
}

/// The same from squared distances, which are not finite for rows that are not.
pub(super) fn nearest_by(squares: Vec<f64>, i: usize, count: usize) -> Vec<usize> {
    let seen = |square: f64| if square.is_finite() { rank(square) } else { f64::INFINITY };
    let distances: Vec<f64> = squares.into_iter().map(seen).collect();
    let itself = |j: usize| j == i && distances[j].is_finite();
    let mut order: Vec<usize> = (0..distances.len()).collect();
    order.sort_by(|&a, &b| itself(b).cmp(&itself(a)).then(distances[a].total_cmp(&distances[b])));
    order.truncate(count);
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_its_own_first_neighbour_and_ties_go_to_the_lowest_index() {
        let points = Points::of(&Tensor::from_slice2(&[[5.0_f32], [5.0], [4.0], [6.0]])).unwrap();
        assert_eq!(nearest(&points, 1, 4), [1, 0, 2, 3]);
        assert_eq!(nearest(&points, 0, 3), [0, 1, 2]);
    }
}
