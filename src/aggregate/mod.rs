//! Aggregation: pre-aggregators, one rule, one server optimiser, on `[n, P]` on the device.
//!
//! The rows are *client deltas*: row k is `w_k − w`, the local weights minus the global ones (or what [`on`] makes of them).
//! The rule turns them into one row `[P]`, the server optimiser turns that into the step of the global weights.
//!
//! What holds for every member:
//!
//! - Rows with a NaN or an infinity are set aside first; they count as byzantine and are reported ([`Nan`]).
//! - Pre-aggregators and rules never write into the rows they are given.
//! - Ties go to the lowest index.
//! - `f` is what the user declares, whatever the true number of bad rows; a round with too few rows for it is an error.
//!
//! `docs/rules.md` is the page of law: rows, ties, NaN, f, and the table of the peers' conventions.

mod chain;
mod columns;
mod combine;
mod eigen;
mod gram;
mod known;
mod lanes;
#[cfg(test)]
mod laws;
mod lengths;
mod middle;
mod nan;
mod network;
mod noise;
pub mod on;
mod passes;
mod pieces;
mod pipeline;
mod points;
pub mod pre;
pub mod privacy;
pub mod rule;
mod selection;
pub mod server;
mod sorting;
mod span;
mod sums;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;

use crate::fault::{Error, Result};
pub use chain::Chain;
pub use known::Known;
pub use nan::Nan;
pub use pipeline::{Aggregated, Pipeline, Senders, Servers, Stepped, TooFew};
pub use span::coordinates;
use tch::{Device, Kind, Tensor};

/// What a round's updates look like to pre-aggregators and rules.
#[derive(Debug)]
pub struct Updates {
    /// Client deltas `[n, P]`, f32, in cohort order.
    pub rows: Tensor,
    /// Samples each client used, `[n]`: the weights of the weighted mean.
    pub samples: Vec<f64>,
}

impl Updates {
    /// Number of rows n.
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// Whether nobody sent anything.
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// The same rows for another reader; no copy.
    fn share(&self) -> Self {
        Self { rows: self.rows.shallow_clone(), samples: self.samples.clone() }
    }

    /// Sets aside rows with a NaN or an infinity (they count as byzantine); says how many.
    ///
    /// # Errors
    /// libtorch runs out of memory.
    pub fn exclude_non_finite(self) -> Result<(Self, usize)> {
        let (updates, _, excluded) = Nan::Exclude.apply(self)?;
        Ok((updates, excluded))
    }
}

/// State of a rule or server optimiser as named tensors, for checkpoints.
pub type State = Vec<(String, Tensor)>;

/// A state with something in front of its names.
fn prefixed(prefix: &str, state: State) -> State {
    state.into_iter().map(|(name, tensor)| (format!("{prefix}{name}"), tensor)).collect()
}

/// What stands behind a prefix, without it.
fn stripped(prefix: &str, state: &State) -> State {
    let behind =
        |(name, tensor): &(String, Tensor)| Some((name.strip_prefix(prefix)?.to_string(), tensor.shallow_clone()));
    state.iter().filter_map(behind).collect()
}

/// The tensor of a name in a state.
fn take(state: &State, name: &str) -> Option<Tensor> {
    state.iter().find(|(found, _)| found == name).map(|(_, tensor)| tensor.shallow_clone())
}

/// A small tensor as numbers.
fn numbers(tensor: &Tensor) -> Result<Vec<f64>> {
    Ok(Vec::<f64>::try_from(tensor.f_to_device(Device::Cpu)?.f_to_kind(Kind::Double)?.f_flatten(0, -1)?)?)
}

/// The error of a member that declares `f` bad rows and meets fewer rows than it needs.
fn need(who: &str, n: usize, f: usize, least: usize) -> Result<()> {
    if n >= least {
        return Ok(());
    }
    Err(Error::TooFew(format!(
        "{who} with f = {f} met a round with {n} rows; it needs at least {least}. Lower f, or draw a larger cohort."
    )))
}

/// The same for members that need `2f < n`.
fn need_more_than_2f(who: &str, n: usize, f: usize) -> Result<()> {
    need(who, n, f, 2 * f + 1)
}

/// The same at check time, where the number of rows a round is known: `k f + d ≤ n`.
fn check_f(c: &mut crate::fault::Checker, f: Option<usize>, rows: usize, (k, d): (usize, usize)) {
    if rows < d {
        let problem = format!("needs at least {d} rows a round, also with f = 0, and gets {rows}");
        c.fault("", problem, "", "Raise train.cohort.");
    } else if let Some(least) = f.map(|f| f.saturating_mul(k).saturating_add(d))
        && least > rows
    {
        c.fault(
            "f",
            format!("is too large for {rows} rows a round (it needs {k} f + {d} = {least} of them)"),
            format!("a whole number up to {}", (rows - d) / k),
            "Lower f, or raise train.cohort.",
        );
    }
}

/// The f of a round: as declared, else a fifth of the rows, or what `k f + d ≤ n` allows if that is less.
fn declared(f: Option<usize>, n: usize, (k, d): (usize, usize)) -> usize {
    f.unwrap_or_else(|| (n / 5).min(n.saturating_sub(d) / k))
}

/// The same at check time for members that need `2f < n`.
fn check_2f(c: &mut crate::fault::Checker, f: usize, rows: usize) {
    let twice = f.saturating_mul(2);
    if twice >= rows {
        c.fault(
            "f",
            format!("is too large for {rows} rows a round (2 f = {twice} of them)"),
            format!("a whole number up to {}", rows.saturating_sub(1) / 2),
            "Lower f, or raise train.cohort.",
        );
    }
}
