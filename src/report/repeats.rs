//! What repeats a condition: seeds, and the folds of a cross-validation. An axis of folds asks nothing by itself, it says what
//! is held out; so where every grid has it, its runs are taken together, as those of the seeds are.

use crate::record::{Grid, Plan, PointInfo};
use std::collections::BTreeMap;
use std::fmt;

/// What tells a run from the others of its condition.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Repeat {
    /// Its seed.
    pub seed: u64,
    /// Its folds as labels; empty where there are none.
    pub fold: String,
}

impl fmt::Display for Repeat {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "seed {}", self.seed)?;
        if self.fold.is_empty() { Ok(()) } else { write!(f, ", fold {}", self.fold) }
    }
}

/// How often every condition is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repeats {
    seeds: usize,
    folds: usize,
}

impl Repeats {
    /// What they are: `seeds`, `folds`, or `seeds and folds`.
    pub fn unit(self) -> &'static str {
        match self {
            Repeats { folds: 1, .. } => "seeds",
            Repeats { seeds: 1, .. } => "folds",
            _ => "seeds and folds",
        }
    }

    /// What there could be more of: seeds, or repeats where folds count among them.
    pub fn more(self) -> &'static str {
        if self.folds == 1 { "seeds" } else { "repeats" }
    }

    /// `one seed`, `3 seeds`, `5 folds`, `3 seeds × 5 folds`.
    pub fn text(self) -> String {
        match self {
            Repeats { seeds: 1, folds: 1 } => "one seed".into(),
            Repeats { seeds, folds: 1 } => format!("{seeds} seeds"),
            Repeats { seeds: 1, folds } => format!("{folds} folds"),
            Repeats { seeds, folds } => format!("{seeds} seeds × {folds} folds"),
        }
    }

    /// Whether nothing is repeated.
    pub fn is_one(self) -> bool {
        self.seeds == 1 && self.folds == 1
    }
}

/// A plan with its folds taken together.
pub struct Together {
    /// Its grids lack the axes of folds; a point stands for all its folds, and those that it stands for have no runs.
    pub plan: Plan,
    /// Of each run, in the order of the plan.
    pub repeats: Vec<Repeat>,
    /// How many there are of each.
    pub count: Repeats,
}

/// Takes together what differs only in the fold.
pub fn together(whole: &Plan) -> Together {
    let paths = fold_paths(whole);
    let is_fold = |path: &str| paths.iter().any(|p| p == path);
    let mut plan = whole.clone();
    let mut stands = (0..plan.points.len()).collect::<Vec<usize>>();
    for grid in &mut plan.grids {
        join(grid, &is_fold, &mut stands);
    }
    let stands: Vec<usize> = (0..stands.len()).map(|point| first(&stands, point)).collect();
    plan.grids.iter_mut().flat_map(|grid| &mut grid.cells).for_each(|(_, point)| *point = stands[*point]);
    let repeats: Vec<Repeat> = whole
        .runs
        .iter()
        .map(|run| Repeat { seed: run.seed, fold: fold_of(&whole.points[run.point], &paths) })
        .collect();
    plan.runs.iter_mut().for_each(|run| run.point = stands[run.point]);
    plan.points.iter_mut().for_each(|point| point.settings.retain(|(path, _)| !is_fold(path)));
    let mut folds: Vec<&str> = repeats.iter().map(|repeat| repeat.fold.as_str()).collect();
    folds.sort_unstable();
    folds.dedup();
    let count = Repeats { seeds: plan.seeds.len(), folds: folds.len().max(1) };
    Together { plan, repeats, count }
}

/// Axes of folds that every grid has.
fn fold_paths(plan: &Plan) -> Vec<String> {
    let has = |grid: &Grid, path: &str| grid.axes.iter().any(|axis| axis.path == path);
    let Some(grid) = plan.grids.first() else { return Vec::new() };
    let paths = grid.axes.iter().map(|axis| &axis.path).filter(|path| path.ends_with(".fold"));
    paths.filter(|path| plan.grids.iter().all(|grid| has(grid, path))).cloned().collect()
}

fn fold_of(point: &PointInfo, paths: &[String]) -> String {
    let value = |path| point.settings.iter().find(|(p, _)| p == path).map(|(_, value)| value.as_str());
    paths.iter().filter_map(value).collect::<Vec<_>>().join(", ")
}

/// Takes the axes of folds out of a grid and notes which points it joins.
fn join(grid: &mut Grid, is_fold: &dyn Fn(&str) -> bool, stands: &mut [usize]) {
    let kept: Vec<usize> = (0..grid.axes.len()).filter(|&i| !is_fold(&grid.axes[i].path)).collect();
    let mut cells: BTreeMap<Vec<usize>, usize> = BTreeMap::new();
    for (cell, point) in &grid.cells {
        let of = *cells.entry(kept.iter().map(|&i| cell[i]).collect()).or_insert(*point);
        let (a, b) = (first(stands, of), first(stands, *point));
        stands[a.max(b)] = a.min(b);
    }
    grid.axes.retain(|axis| !is_fold(&axis.path));
    grid.cells = cells.into_iter().collect();
}

/// The point that stands for this one.
fn first(stands: &[usize], mut point: usize) -> usize {
    while stands[point] != point {
        point = stands[point];
    }
    point
}

#[cfg(test)]
mod tests {
    use super::super::fake::Fake;
    use super::*;

    #[test]
    fn a_plan_without_folds_stays() {
        let plan = Fake::default().plan();
        let Together { plan: same, repeats, count } = together(&plan);
        assert_eq!(same, plan);
        assert!(repeats.iter().zip(&plan.runs).all(|(repeat, run)| repeat.seed == run.seed && repeat.fold.is_empty()));
        assert_eq!((count.unit(), count.text().as_str()), ("seeds", "3 seeds"));
    }

    #[test]
    fn folds_become_repeats() {
        let plan = |folds| Fake { seeds: vec![8], folds, ..Fake::default() }.plan();
        let (plan, whole) = (plan(1), plan(5));
        let Together { plan: seen, repeats, count } = together(&whole);
        assert_eq!(seen.grids, plan.grids);
        assert_eq!(seen.points[..plan.points.len()], plan.points);
        for point in 0..plan.points.len() {
            let of_point = seen.runs.iter().zip(&repeats).filter(|(run, _)| run.point == point);
            let folds: Vec<&str> = of_point.map(|(_, repeat)| repeat.fold.as_str()).collect();
            assert_eq!(folds, ["1", "2", "3", "4", "5"]);
        }
        assert_eq!((count.unit(), count.text().as_str(), count.is_one()), ("folds", "5 folds", false));
        assert_eq!(repeats[0].to_string(), "seed 8, fold 1");
    }

    #[test]
    fn an_axis_that_not_every_grid_has_stays() {
        let mut plan = Fake { folds: 2, ..Fake::default() }.plan();
        plan.grids[1].axes[0].path = "train.lr".into();
        assert_eq!(together(&plan).plan.grids, plan.grids);
    }
}
