//! Pieces of work that share nothing with each other, and what becomes of one that breaks.

use crate::fault::Result;
use std::panic::{AssertUnwindSafe, catch_unwind};

type Work<T> = Box<dyn FnOnce() -> Result<Vec<T>> + Send>;

/// A piece of work for some runs.
pub struct Task<T> {
    runs: Vec<usize>,
    work: Work<T>,
}

/// Runs whose work broke, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// The runs, without repeats.
    pub runs: Vec<usize>,
    /// Error or panic message.
    pub message: String,
}

impl<T> Task<T> {
    /// Work for these runs.
    pub fn new(runs: impl Iterator<Item = usize>, work: impl FnOnce() -> Result<Vec<T>> + Send + 'static) -> Self {
        let mut runs: Vec<usize> = runs.collect();
        runs.dedup();
        Self { runs, work: Box::new(work) }
    }

    /// Does the work. An error or a panic (tch's calls panic on an error of libtorch) breaks these runs and no others.
    ///
    /// # Errors
    /// The runs that broke.
    pub fn perform(self) -> std::result::Result<Vec<T>, Broken> {
        caught(self.work).map_err(|error| Broken { runs: self.runs, message: error.to_string() })
    }
}

/// Does something; a panic in it becomes an error with the panic's message.
///
/// # Errors
/// Those of the work, and its panics.
pub fn caught<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    let panicked =
        |panic: Box<dyn std::any::Any + Send>| Err(crate::fault::Error::Failed(panic_message(panic.as_ref())));
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(panicked)
}

/// The first line of what a panic said.
pub fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    text.and_then(|text| text.lines().next()).unwrap_or("unknown panic").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Error;

    #[test]
    fn a_panic_and_an_error_break_only_their_own_runs() {
        let broken = |message: &str, runs: &[usize]| Err(Broken { runs: runs.to_vec(), message: message.into() });
        let panics = Task::<u8>::new([3, 3, 4].into_iter(), || panic!("no memory\nat a place"));
        assert_eq!(panics.perform(), broken("no memory", &[3, 4]));
        let fails = Task::<u8>::new([5].into_iter(), || Err(Error::Failed("too few rows".into())));
        assert_eq!(fails.perform(), broken("too few rows", &[5]));
        assert_eq!(Task::new([6].into_iter(), || Ok(vec![1])).perform(), Ok(vec![1]));
    }
}
