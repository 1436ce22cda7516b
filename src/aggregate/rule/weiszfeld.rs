//! Weiszfeld's steps towards the geometric median, with Vardi and Zhang's rule for points that coincide with a row (The
//! multivariate L1-median and associated data depth, PNAS 2000).

use crate::aggregate::passes::Passes;
use crate::aggregate::points::Points;
use crate::aggregate::sums::{add_scaled, dot, squared_distance};
use crate::fault::Result;

/// A step, or what it leaves to go, that is shorter than this share of the median distance is the last.
const TOLERANCE: f64 = 1e-12;
/// Steps are trusted to go on shrinking by this factor at best: after a row of 1e38 lost its hold one step may be a trillionth of
/// the one before.
const FASTEST: f64 = 1e-3;
/// Within this share of the median distance of a row, that row may be the median.
const NEAR: f64 = 1e-3;
/// A row that is closer than this share of the median distance is closer than half of the rows.
const CLOSER: f64 = 1.0 - 1e-9;

/// Where the steps are taken: among rows as points, or over the rows themselves.
pub(super) trait Space {
    /// `z = Σ_i c_i x_i` and its distance from each row.
    fn combined(&self, coefficients: &[f64]) -> Result<(Vec<f64>, Vec<f64>)>;

    /// `‖Σ_i w_i (x_i − z)‖`.
    fn pull(&self, weights: &[f64], point: &[f64]) -> Result<f64>;
}

impl Space for Points {
    fn combined(&self, coefficients: &[f64]) -> Result<(Vec<f64>, Vec<f64>)> {
        let point = Points::combined(self, coefficients);
        let distance = |at: &Vec<f64>| if at.is_empty() { f64::NAN } else { squared_distance(at, &point).sqrt() };
        let distances = self.at().iter().map(distance).collect();
        Ok((point, distances))
    }

    fn pull(&self, weights: &[f64], point: &[f64]) -> Result<f64> {
        let mut pull = vec![0.0; point.len()];
        for (weight, at) in weights.iter().zip(self.at()).filter(|(weight, _)| **weight != 0.0) {
            let away: Vec<f64> = at.iter().zip(point).map(|(x, z)| x - z).collect();
            add_scaled(&mut pull, *weight, &away);
        }
        Ok(dot(&pull, &pull).sqrt())
    }
}

impl Space for Passes<'_> {
    fn combined(&self, coefficients: &[f64]) -> Result<(Vec<f64>, Vec<f64>)> {
        let (point, squares) = Passes::combined(self, coefficients)?;
        Ok((point, squares.into_iter().map(f64::sqrt).collect()))
    }

    fn pull(&self, weights: &[f64], point: &[f64]) -> Result<f64> {
        Ok(Passes::pull(self, weights, point)?.sqrt())
    }
}

/// Coefficients of the rows, the point they make, and its distances from the rows.
pub(super) struct Place {
    pub coefficients: Vec<f64>,
    pub point: Vec<f64>,
    distances: Vec<f64>,
}

/// What ends a walk.
#[derive(Debug, Clone, Copy)]
pub(super) enum End {
    /// So many steps alone.
    Steps,
    /// The sum of distances changes by no more than this share of itself.
    Objective(f64),
    /// The median is reached.
    Median,
}

/// Steps among some of the rows.
pub(super) struct Walk<'a, S> {
    pub space: &'a S,
    /// The rows that have a say.
    pub rows: &'a [usize],
    /// Distances count as at least so much.
    pub nu: f64,
    pub end: End,
}

impl<S: Space> Walk<'_, S> {
    /// The place after `most` steps or at the end, and whether that is reached.
    pub(super) fn from(&self, coefficients: Vec<f64>, most: usize) -> Result<(Place, bool)> {
        let mut place = self.place(coefficients)?;
        let (mut before, mut tried) = (0.0, None);
        for _ in 0..most {
            if let Some(at) = self.row_beside(&place, &mut tried)? {
                return Ok((at, true));
            }
            let next = self.place(self.step(&place)?)?;
            let step = squared_distance(&next.point, &place.point).sqrt();
            let done = match self.end {
                End::Steps => false,
                End::Objective(share) => {
                    let [now, then] = [&next, &place].map(|place| self.objective(place));
                    (now - then).abs() <= share * now
                }
                End::Median => {
                    // What steps that shrink by one factor leave to go.
                    let factor = (step / before).max(FASTEST);
                    let left = if factor < 1.0 { step * factor / (1.0 - factor) } else { step };
                    step.min(left) <= TOLERANCE * self.median_distance(&next)
                }
            };
            (place, before) = (next, step);
            if done {
                return Ok((place, true));
            }
        }
        Ok((place, false))
    }

    /// Whether it goes to the median itself.
    pub(super) fn is_exact(&self) -> bool {
        matches!(self.end, End::Median) && self.nu == 0.0
    }

    fn place(&self, coefficients: Vec<f64>) -> Result<Place> {
        let (point, distances) = self.space.combined(&coefficients)?;
        Ok(Place { coefficients, point, distances })
    }

    fn objective(&self, place: &Place) -> f64 {
        self.rows.iter().map(|&i| place.distances[i]).sum()
    }

    fn median_distance(&self, place: &Place) -> f64 {
        let mut distances: Vec<f64> = self.rows.iter().map(|&i| place.distances[i]).collect();
        distances.sort_by(f64::total_cmp);
        distances.get(distances.len() / 2).copied().unwrap_or(0.0)
    }

    /// The coefficients of the next place. What stays where rows lie is given to those rows alone: the coefficients that led
    /// there may be of rows of 1e38, whose sum has lost the others.
    fn step(&self, place: &Place) -> Result<Vec<f64>> {
        let (mut coefficients, here) = self.weights(place, self.nu);
        let held = here.len() as f64;
        let stay = if here.is_empty() {
            0.0
        } else {
            let pull = self.space.pull(&coefficients, &place.point)?;
            if held >= pull { 1.0 } else { held / pull }
        };
        let total = coefficients.iter().sum::<f64>();
        if total > 0.0 {
            coefficients.iter_mut().for_each(|c| *c *= (1.0 - stay) / total);
        }
        here.iter().for_each(|&i| coefficients[i] = stay / held);
        Ok(coefficients)
    }

    /// `1 / max(ν, ‖x_i − z‖)` of each row, and the rows that z lies on, which have 0.
    fn weights(&self, place: &Place, nu: f64) -> (Vec<f64>, Vec<usize>) {
        let mut weights = vec![0.0; place.distances.len()];
        let mut here = Vec::new();
        for &i in self.rows {
            match place.distances[i].max(nu) {
                0.0 => here.push(i),
                distance => weights[i] = 1.0 / distance,
            }
        }
        (weights, here)
    }

    /// The row that the steps approach, or that half of the rows equal, if it is the median. Steps towards a row shrink slowly, if
    /// at all.
    fn row_beside(&self, place: &Place, tried: &mut Option<usize>) -> Result<Option<Place>> {
        if !self.is_exact() {
            return Ok(None);
        }
        let closer = |a: usize, b: usize| if place.distances[b] < place.distances[a] { b } else { a };
        let Some(row) = self.rows.iter().copied().reduce(closer) else { return Ok(None) };
        let (distance, median) = (place.distances[row], self.median_distance(place));
        if *tried == Some(row) || distance > NEAR * median && distance < CLOSER * median {
            return Ok(None);
        }
        *tried = Some(row);
        let at = self.place((0..place.coefficients.len()).map(|i| f64::from(i == row)).collect())?;
        Ok(self.is_median(&at)?.then_some(at))
    }

    /// Whether the unit vectors from a place to the rows pull less than the rows there hold.
    fn is_median(&self, place: &Place) -> Result<bool> {
        let (weights, here) = self.weights(place, 0.0);
        Ok(self.space.pull(&weights, &place.point)? < here.len() as f64 - 1e-9)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Stream;
    use rand::Rng;
    use tch::Tensor;

    /// Steps that a walk over the rows takes at most, and its result; none where it has not ended.
    fn walked(rows: &[Vec<f32>], most: usize) -> Option<Vec<f64>> {
        let rows = Tensor::from_slice(&rows.concat()).view([rows.len() as i64, -1]);
        let passes = Passes::over(&rows).unwrap();
        let walk = Walk { space: &passes, rows: passes.finite(), nu: 0.0, end: End::Median };
        let n = rows.size()[0] as usize;
        let (place, ended) = walk.from(vec![1.0 / n as f64; n], most).unwrap();
        ended.then_some(place.point)
    }

    #[test]
    fn a_row_that_holds_the_median_ends_the_walk() {
        let mut rng = Stream::root(2).rng();
        let mut rows: Vec<Vec<f32>> = (0..20).map(|_| (0..60).map(|_| rng.random_range(-1.0..1.0)).collect()).collect();
        let most = rows[5].clone();
        let expected: Vec<f64> = most.iter().map(|x| f64::from(*x)).collect();
        rows.iter_mut().take(10).for_each(|row| row.clone_from(&most));
        assert_eq!(walked(&rows, 60), Some(expected.clone()), "10 of 20 equal");
        rows.iter_mut().take(12).for_each(|row| row.clone_from(&most));
        assert_eq!(walked(&rows, 1), Some(expected), "12 of 20 equal");
    }

    #[test]
    fn a_walk_that_has_not_ended_says_so() {
        let line: Vec<Vec<f32>> = (0..21_u16).map(|i| vec![f32::from(i * i)]).collect();
        assert_eq!(walked(&line, 3), None);
    }
}
