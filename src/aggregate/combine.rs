//! Linear combinations of rows: what means, buckets, nearest-neighbour mixing and every weighing rule have in common.

use super::columns::{fill, fill_numbers};
use super::lengths::squared_norms;
use super::sums;
use crate::fault::Result;
use tch::{Device, Kind, Tensor};

/// Lists that use a row, on average at most, so that rows are added up one by one.
const FEW: usize = 2;

/// `[m, P]` from the rows `[n, P]` and `m` lists of `n` coefficients, as f32 matrix products of blocks, or on a CPU, where a row
/// is used by few of them, as sums in f64.
///
/// Coefficients come in f64, so that normalising them costs no precision. A row that no list uses is left out where it is
/// not finite, so that a coefficient of 0 removes a row of infinities as it removes one of 1e30; where few are used, all others
/// are left out, which is faster than to multiply by 0.
pub(super) fn combine(rows: &Tensor, coefficients: &[Vec<f64>]) -> Result<Tensor> {
    let (m, n) = (coefficients.len() as i64, rows.size()[0]);
    let used: Vec<i64> = (0..n).filter(|&j| coefficients.iter().any(|row| row[j as usize] != 0.0)).collect();
    if used.is_empty() {
        return Ok(Tensor::f_zeros([m, rows.size()[1]], (Kind::Float, rows.device()))?);
    }
    let lists: Vec<_> = coefficients.iter().map(|row| shares(row)).collect();
    if rows.device() == Device::Cpu && m > 1 && lists.iter().map(Vec::len).sum::<usize>() <= FEW * n as usize {
        return sums_of_few(rows, &lists);
    }
    let few = used.len() <= n as usize / 2;
    let pick = few || used.len() < n as usize && !finite_but_for(rows, &used)?;
    let used = if pick { used } else { (0..n).collect() };
    let coefficients: Vec<f32> =
        coefficients.iter().flat_map(|row| used.iter().map(|&j| row[j as usize] as f32)).collect();
    fill(rows, m, |block| {
        let upload = |tensor: Tensor| tensor.f_to_device(block.device());
        let picked = if pick { Some(block.f_index_select(0, &upload(Tensor::f_from_slice(&used)?)?)?) } else { None };
        let coefficients = upload(Tensor::f_from_slice(&coefficients)?.f_view([m, -1])?)?;
        Ok(coefficients.f_matmul(picked.as_ref().unwrap_or(&block))?)
    })
}

/// The rows with a coefficient other than 0.
pub(super) fn shares(coefficients: &[f64]) -> Vec<(usize, f64)> {
    coefficients.iter().copied().enumerate().filter(|(_, share)| *share != 0.0).collect()
}

fn sums_of_few(rows: &Tensor, lists: &[Vec<(usize, f64)>]) -> Result<Tensor> {
    let n = rows.size()[0] as usize;
    fill_numbers(rows, lists.len() as i64, |block, _| {
        let width = block.len() / n;
        let mut made = Vec::with_capacity(lists.len() * width);
        for shares in lists {
            made.extend(sums::combined(block, width, shares).into_iter().map(|x| x as f32));
        }
        Ok(made)
    })
}

/// Whether the rows that are not `used` are finite.
fn finite_but_for(rows: &Tensor, used: &[i64]) -> Result<bool> {
    for j in (0..rows.size()[0]).filter(|j| !used.contains(j)) {
        if !squared_norms(&rows.f_narrow(0, j, 1)?)?[0].is_finite() {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_list_of_coefficients_gives_one_row() {
        let rows = Tensor::from_slice2(&[[1.0_f32, 2.0], [3.0, 4.0], [1e30, -1e30]]);
        let made = combine(&rows, &[vec![0.5, 0.5, 0.0], vec![0.0, 1.0, 0.0]]).unwrap();
        assert_eq!(made, Tensor::from_slice2(&[[2.0_f32, 3.0], [3.0, 4.0]]));
    }

    #[test]
    fn lists_of_few_rows_are_added_up_as_products_are() {
        let values: Vec<f32> = (0..9 * 5000).map(|i| (i as f32 * 0.37).sin()).collect();
        let rows = Tensor::from_slice(&values).view([9, 5000]);
        let pair = |i: usize| (0..9).map(|j| if j / 2 == i { 0.3 + j as f64 } else { 0.0 }).collect::<Vec<f64>>();
        let pairs: Vec<Vec<f64>> = (0..5).map(pair).collect();
        let expected = Tensor::from_slice(&pairs.concat()).view([5, 9]).matmul(&rows.to_kind(Kind::Double));
        assert!((combine(&rows, &pairs).unwrap() - expected).abs().max().double_value(&[]) < 1e-6);
    }

    #[test]
    fn a_row_of_infinities_without_a_share_leaves_no_trace() {
        let rows = Tensor::from_slice2(&[[1.0_f32, 2.0], [f32::INFINITY, f32::NAN], [3.0, 4.0]]);
        assert_eq!(combine(&rows, &[vec![0.5, 0.0, 0.5]]).unwrap(), Tensor::from_slice2(&[[2.0_f32, 3.0]]));
    }
}
