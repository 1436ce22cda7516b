//! What to do when the device has too little memory for a group: the same in halves.

use super::task::caught;
use crate::fault::{Error, Result};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Does the work to all items at once; where memory does not suffice, to each half by itself, and so on down to one item.
/// `fits` becomes the largest number that was not too many, for whoever packs next.
///
/// # Errors
/// What the work says, also that memory does not suffice for one item.
pub fn halving<J, T>(items: &[J], fits: &AtomicUsize, work: &impl Fn(&[J]) -> Result<Vec<T>>) -> Result<Vec<T>> {
    match caught(|| work(items)) {
        Err(error) if items.len() > 1 && out_of_memory(&error) => {
            let half = items.len().div_ceil(2);
            fits.fetch_min(half, Ordering::Relaxed);
            let (first, second) = items.split_at(half);
            let mut done = halving(first, fits, work)?;
            done.extend(halving(second, fits, work)?);
            Ok(done)
        }
        ended => ended,
    }
}

/// Whether libtorch says that the device (`out of memory`) or the machine (`can't allocate memory`) has too little.
fn out_of_memory(error: &Error) -> bool {
    let text = error.to_string();
    text.contains("out of memory") || text.contains("can't allocate memory")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use tch::{Device, Kind, Tensor};

    #[test]
    fn too_many_items_are_done_in_halves_and_none_is_lost() {
        let (fits, seen) = (AtomicUsize::new(usize::MAX), RefCell::new(Vec::new()));
        let work = |items: &[usize]| {
            seen.borrow_mut().push(items.len());
            match items.len() {
                // libtorch's words, as tch's panic and as its error.
                6.. => panic!(
                    "called `Result::unwrap()` on an `Err` value: Torch(\"CUDA out of memory. Tried to allocate 2.00 GiB\")"
                ),
                4.. => Err(Error::Failed("CUDA out of memory. Tried to allocate 2.00 GiB".into())),
                _ => Ok(items.to_vec()),
            }
        };
        let items: Vec<usize> = (0..11).collect();
        assert_eq!(halving(&items, &fits, &work).unwrap(), items);
        assert_eq!(*seen.borrow(), [11, 6, 3, 3, 5, 3, 2]);
        assert_eq!(fits.into_inner(), 3);
    }

    #[test]
    fn one_item_that_does_not_fit_and_other_errors_end_it() {
        let fits = AtomicUsize::new(8);
        let tries = RefCell::new(0);
        let no_memory = |_: &[u8]| -> Result<Vec<u8>> {
            *tries.borrow_mut() += 1;
            Err(Error::Failed("CUDA out of memory.".into()))
        };
        assert_eq!(halving(&[1, 2, 3, 4], &fits, &no_memory).unwrap_err().to_string(), "CUDA out of memory.");
        assert_eq!((tries.into_inner(), fits.into_inner()), (3, 1));
        let fits = AtomicUsize::new(8);
        let other = |_: &[u8]| -> Result<Vec<u8>> { Err(Error::Failed("too few rows".into())) };
        assert_eq!(halving(&[1, 2], &fits, &other).unwrap_err().to_string(), "too few rows");
        assert_eq!(fits.into_inner(), 8);
    }

    #[test]
    fn libtorchs_own_words_are_known() {
        let huge = Tensor::f_empty([1 << 55], (Kind::Float, Device::Cpu)).unwrap_err();
        assert!(out_of_memory(&huge.into()));
    }
}
