//! `plan.json`: its format, and whether what it says holds together. A report indexes by it, and names of folders stand in
//! it, so a plan that somebody wrote by hand is checked like any other input.

use super::{PLAN, read_text};
use crate::fault::{Error, Result};
use crate::record::{FORMAT, Plan};
use std::path::Path;

/// What the plan of a folder is.
pub(super) enum Found {
    /// There is none.
    Absent,
    /// It is of this format; the rest is not looked at yet.
    Ours,
    /// It is no JSON with a format.
    Damaged,
}

/// Looks at the format of a folder's plan.
///
/// # Errors
/// Another format, with the remedy.
pub(super) fn format(folder: &Path) -> Result<Found> {
    let path = folder.join(PLAN);
    if !path.is_file() {
        return Ok(Found::Absent);
    }
    let value = serde_json::from_slice::<serde_json::Value>(&super::read_bytes(&path)?).ok();
    let known = u64::from(FORMAT);
    match value.as_ref().and_then(|v| v.get("format")).and_then(serde_json::Value::as_u64) {
        Some(format) if format == known => Ok(Found::Ours),
        Some(format) if format > known => Err(Error::Invalid(format!(
            "{}: was made by a newer fedrobust (format {format}, this one knows {FORMAT}); use that one, or run the scenario into another folder (--out DIR)",
            folder.display()
        ))),
        Some(format) => Err(Error::Invalid(format!(
            "{}: was made by an older fedrobust (format {format}, this one knows {FORMAT}); run the scenario again into another folder (--out DIR)",
            folder.display()
        ))),
        None => Ok(Found::Damaged),
    }
}

/// Refuses what is no results folder of this format.
pub(super) fn must_be_ours(folder: &Path) -> Result<()> {
    let give = "give one that 'fedrobust run' made, for example results/quickstart";
    if !folder.is_dir() {
        return Err(Error::Invalid(format!("{}: there is no such folder; {give}", folder.display())));
    }
    match format(folder)? {
        Found::Ours => Ok(()),
        Found::Absent => {
            Err(Error::Invalid(format!("{}: is no results folder (it has no {PLAN}); {give}", folder.display())))
        }
        Found::Damaged => Err(damaged(folder, "it is not JSON with a format")),
    }
}

/// Reads the plan of a folder and checks it.
///
/// # Errors
/// A plan that is damaged or does not hold together.
pub(super) fn read(folder: &Path) -> Result<Plan> {
    let text = read_text(&folder.join(PLAN))?;
    let plan: Plan = serde_json::from_str(&text).map_err(|e| damaged(folder, &e.to_string()))?;
    check(&plan).map_err(|why| damaged(folder, &why))?;
    Ok(plan)
}

fn damaged(folder: &Path, why: &str) -> Error {
    Error::Invalid(format!(
        "{}: is damaged ({why}); run the scenario again into this folder: it writes the plan anew and keeps finished runs",
        folder.join(PLAN).display()
    ))
}

/// Whether a text can name a run: 32 hex digits, so that no name leads out of the results folder.
pub(super) fn is_fingerprint(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

fn check(plan: &Plan) -> std::result::Result<(), String> {
    // A report of merged parts goes to a folder of this name.
    if ["", ".", ".."].contains(&plan.name.as_str()) || plan.name.contains(['/', '\\', '\0']) {
        return Err(format!("its name {:?} cannot name a folder", plan.name));
    }
    let points = plan.points.len();
    for run in &plan.runs {
        if !is_fingerprint(&run.fingerprint) {
            return Err(format!("the fingerprint {:?} is not 32 hex digits", run.fingerprint));
        }
        if run.point >= points {
            return Err(format!("a run is of point {} of {points}", run.point));
        }
    }
    for grid in &plan.grids {
        for axis in &grid.axes {
            let numbers = axis.numbers.as_ref().map_or(axis.labels.len(), Vec::len);
            if axis.labels.is_empty() || numbers != axis.labels.len() {
                return Err(format!("the axis {} has {} labels and {numbers} numbers", axis.path, axis.labels.len()));
            }
        }
        for (cell, point) in &grid.cells {
            let fits = cell.len() == grid.axes.len()
                && cell.iter().zip(&grid.axes).all(|(&value, axis)| value < axis.labels.len());
            if !fits || *point >= points {
                return Err(format!("there is no cell {cell:?} with point {point}"));
            }
        }
    }
    Ok(())
}
