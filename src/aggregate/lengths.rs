//! Squared lengths of the rows `[n, P]`, and squared distances from a point, in f64 by one pass over the rows.

use super::columns::{walk, walk_beside};
use super::numbers;
use super::pieces::along_rows;
use super::points::added;
use super::sums;
use crate::fault::Result;
use tch::{Device, Kind, Tensor};

/// `‖x_i‖²` of each row `[n, P]`, summed in f64 block by block; not finite exactly where the row is not.
pub(super) fn squared_norms(rows: &Tensor) -> Result<Vec<f64>> {
    if rows.device() == Device::Cpu {
        return Ok(along_rows(rows, |piece, _| [sums::squared_length(piece)])?.concat());
    }
    let parts = walk(rows, |block, _| {
        let squares = block.f_to_kind(Kind::Double)?.f_square()?;
        numbers(&squares.f_sum_dim_intlist([1_i64].as_slice(), false, Kind::Double)?)
    })?;
    Ok(added(parts, rows.size()[0] as usize))
}

/// `‖x_i − v‖²` of each row on a CPU.
pub(super) fn squared_distances_on_cpu(rows: &Tensor, point: &[f64]) -> Result<Vec<f64>> {
    Ok(along_rows(rows, |piece, columns| [sums::squared_length_from(piece, &point[columns])])?.concat())
}

/// The same from a point in f32.
pub(super) fn squared_distances_from_row(rows: &Tensor, row: &[f32]) -> Result<Vec<f64>> {
    Ok(along_rows(rows, |piece, columns| [sums::squared_length_between(piece, &row[columns])])?.concat())
}

/// The same in tensor operations, v in f64.
pub(super) fn squared_distances_on_gpu(rows: &Tensor, point: &Tensor) -> Result<Vec<f64>> {
    let parts = walk_beside(rows, point, |block, point| {
        let squares = block.f_to_kind(Kind::Double)?.f_sub_(&point)?.f_square_()?;
        numbers(&squares.f_sum_dim_intlist([1_i64].as_slice(), false, Kind::Double)?)
    })?;
    Ok(added(parts, rows.size()[0] as usize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand_on_a_cpu_and_by_the_tensor_operations_of_a_gpu() {
        let rows = Tensor::from_slice2(&[[3.0_f32, 4.0], [1.0, 1.0], [f32::NAN, 0.0], [f32::MAX, 0.0]]);
        let norms = squared_norms(&rows).unwrap();
        assert_eq!((norms[0], norms[1], norms[2].is_nan(), norms[3].is_finite()), (25.0, 2.0, true, true));
        let point = [1.0, 2.0];
        for squares in [
            squared_distances_on_cpu(&rows, &point).unwrap(),
            squared_distances_from_row(&rows, &[1.0, 2.0]).unwrap(),
            squared_distances_on_gpu(&rows, &Tensor::from_slice(&point)).unwrap(),
        ] {
            assert_eq!((squares[0], squares[1], squares[2].is_nan()), (8.0, 1.0, true));
        }
    }
}
