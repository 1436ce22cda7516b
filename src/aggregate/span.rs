//! Rows in a basis of what they span: as short as there are rows, with every length, angle and distance as before.

use super::points::Points;
use crate::fault::Result;
use tch::Tensor;

/// The rows `[m, P]` as `[m, d]` in f64, `d ≤ m + 1`, by one Gram product; none where a row is not finite.
///
/// What only asks for lengths, angles, distances and linear combinations of rows decides the same on these as on the rows
/// themselves, so that it can be asked many times about combinations of them without a pass over the P columns.
///
/// # Errors
/// libtorch runs out of memory.
pub fn coordinates(rows: &Tensor) -> Result<Option<Tensor>> {
    let points = Points::of(rows)?;
    if points.finite().len() < points.len() {
        return Ok(None);
    }
    let from_origin = |at: &Vec<f64>| at.iter().zip(points.origin()).map(|(a, o)| a - o).collect::<Vec<f64>>();
    let short: Vec<f64> = points.at().iter().flat_map(from_origin).collect();
    Ok(Some(Tensor::f_from_slice(&short)?.f_view([points.len() as i64, -1])?))
}

#[cfg(test)]
mod tests {
    use super::super::numbers;
    use super::*;

    #[test]
    fn lengths_angles_and_mixtures_are_those_of_the_rows() {
        let rows = Tensor::randn([5, 300], (tch::Kind::Float, tch::Device::Cpu)) + 3.0;
        let short = coordinates(&rows).unwrap().unwrap();
        assert!(short.size()[1] <= 6, "{:?}", short.size());
        let gram =
            |x: &Tensor| numbers(&x.to_kind(tch::Kind::Double).matmul(&x.to_kind(tch::Kind::Double).tr())).unwrap();
        for (a, b) in gram(&rows).iter().zip(gram(&short)) {
            assert!((a - b).abs() < 1e-9 * b.abs(), "{a} is not {b}");
        }
    }

    #[test]
    fn a_row_that_is_not_finite_has_no_coordinates() {
        assert!(coordinates(&Tensor::from_slice2(&[[1.0_f32, 2.0], [f32::NAN, 0.0]])).unwrap().is_none());
    }
}
