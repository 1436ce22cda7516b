//! `fedrobust compare`: groups of runs from one or more results folders, in pairs over the seeds and folds that they share.

use super::judgements::{COMPARED, compared};
use super::panel::{humane, is_yardstick, panels};
use super::plot::forest::{self, Block};
use super::read::Study;
use super::repeats::{Repeat, Repeats};
use super::tables::csv;
use super::verdict::{judged_pair, of_diverged};
use super::versus::{Group, Pair, correct, p_text, pairs, ranked};
use super::{robust, terminal};
use crate::fault::{Error, Result, plural};
use crate::record::{Grid, Metric, Reading};
use crate::statistics::Summary;
use crate::store::Store;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What is compared, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// `strategy`, `folder`, or the dotted path of an axis.
    pub by: String,
    /// Compare with this group only; all pairs otherwise.
    pub against: Option<String>,
    /// Another score than the scenario's.
    pub metric: Option<Metric>,
    /// Another reading than the report's first.
    pub reading: Option<Reading>,
    /// Correct for all comparisons together, not condition by condition.
    pub strict: bool,
}

/// What a comparison found.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// Tables and sentences for the terminal.
    pub text: String,
    /// All pairs as CSV.
    pub csv: Vec<u8>,
    /// The figure as SVG that stands alone, and as PNG; `None` where there is no pair.
    pub figure: Option<(String, Vec<u8>)>,
}

/// All groups under one condition.
struct Condition {
    label: String,
    groups: Vec<Group>,
    pairs: Vec<Pair>,
}

/// Most rows of the figure; with more pairs it shows each condition's highest against the others.
const DRAWN: usize = 60;

/// Compares what `folders` hold.
///
/// # Errors
/// [`Error::Invalid`] where a folder holds no results, no grid has the axis, folders contradict each other, or the scores
/// are of different kinds.
pub fn compare(folders: &[PathBuf], options: &Options) -> Result<Comparison> {
    let mut seen = BTreeSet::new();
    // A folder that is named twice is one.
    let folders: Vec<&PathBuf> =
        folders.iter().filter(|folder| seen.insert(folder.canonicalize().unwrap_or(folder.to_path_buf()))).collect();
    let studies: Vec<(&Path, Study)> =
        folders.iter().map(|&f| Ok((f.as_path(), Study::read(&Store::read(f)?)?))).collect::<Result<_>>()?;
    let Some((_, first)) = studies.first() else {
        return Err(Error::Invalid("compare: needs a results folder".into()));
    };
    let metric = options.metric.unwrap_or(first.plan.metric);
    let reading = options.reading.unwrap_or(first.reading());
    let repeats = first.repeats;
    for (folder, study) in &studies {
        let (metric_here, reading_here) =
            (options.metric.unwrap_or(study.plan.metric), options.reading.unwrap_or(study.reading()));
        if (metric_here, reading_here) != (metric, reading) {
            return Err(Error::Invalid(format!(
                "{}: speaks of {} {}, {} of {} {}; say which with --metric and --reading",
                folder.display(),
                metric_here.names().1,
                reading_here.caption(),
                folders[0].display(),
                metric.names().1,
                reading.caption()
            )));
        }
    }
    let mut conditions = gather(&studies, options, metric, reading)?;
    judge(&mut conditions, options)?;
    let measure = format!("Test {} {}", metric.names().1, reading.caption());
    Ok(Comparison {
        text: text(&studies, &conditions, options, &measure, reading, repeats),
        csv: table(&conditions)?,
        figure: figure(&conditions, options, &measure)?,
    })
}

/// The runs of all folders by condition and group, in the order in which they are met.
fn gather(studies: &[(&Path, Study)], options: &Options, metric: Metric, reading: Reading) -> Result<Vec<Condition>> {
    let mut conditions: Vec<Condition> = Vec::new();
    let mut from: BTreeMap<(String, String, Repeat), &Path> = BTreeMap::new();
    for (folder, study) in studies {
        for (grid, cell, point) in study.plan.grids.iter().flat_map(|g| g.cells.iter().map(move |(c, p)| (g, c, *p))) {
            let Some((name, label)) = place(study, folder, grid, cell, point, &options.by) else { continue };
            let scores = study.of(point).filter_map(|run| {
                let value = run.read(reading, study.plan.metric, |scores| metric.of(scores))?;
                value.is_finite().then_some((run.repeat.clone(), value))
            });
            let at = conditions.iter().position(|c| c.label == label).unwrap_or_else(|| {
                conditions.push(Condition { label: label.clone(), groups: Vec::new(), pairs: Vec::new() });
                conditions.len() - 1
            });
            let groups = &mut conditions[at].groups;
            let at = groups.iter().position(|g| g.name == name).unwrap_or_else(|| {
                groups.push(Group { name: name.clone(), by_repeat: BTreeMap::new(), runs: BTreeSet::new() });
                groups.len() - 1
            });
            groups[at].runs.extend(study.of(point).map(|run| run.info.fingerprint.clone()));
            for (repeat, value) in scores {
                let earlier = groups[at].by_repeat.insert(repeat.clone(), value);
                let other = from.insert((label.clone(), name.clone(), repeat.clone()), folder);
                if let (Some(earlier), Some(other)) = (earlier, other)
                    && earlier.to_bits() != value.to_bits()
                {
                    return Err(contradiction(folder, other, &name, &label, &repeat));
                }
            }
        }
    }
    if conditions.is_empty() {
        let paths: BTreeSet<&str> = studies
            .iter()
            .flat_map(|(_, s)| &s.plan.grids)
            .flat_map(|g| &g.axes)
            .map(|a| a.path.as_str())
            .filter(|path| *path != "strategy")
            .collect();
        let allowed: Vec<&str> = ["strategy", "folder"].into_iter().chain(paths).collect();
        return Err(Error::Invalid(format!(
            "--by {}: is no axis of these results; allowed: {}",
            options.by,
            allowed.join(", ")
        )));
    }
    Ok(conditions)
}

fn contradiction(folder: &Path, other: &Path, name: &str, label: &str, repeat: &Repeat) -> Error {
    let (folder, other) = (folder.display(), other.display());
    let remedy = "compare them with --by folder, or give folders that do not overlap";
    Error::Invalid(format!("{folder}: has another score of {name} ({label}, {repeat}) than {other}; {remedy}"))
}

/// The group of a cell and its condition; `None` where its grid lacks the axis, and for yardsticks among strategies.
fn place(
    study: &Study,
    folder: &Path,
    grid: &Grid,
    cell: &[usize],
    point: usize,
    by: &str,
) -> Option<(String, String)> {
    let strategy = &study.plan.points[point].strategy;
    let of_strategy = |path: &str| path == "strategy" || path.starts_with("strategy.");
    let rest = |left_out: &dyn Fn(&str) -> bool| {
        let axes = grid.axes.iter().zip(cell).filter(|(axis, _)| !of_strategy(&axis.path) && !left_out(&axis.path));
        axes.map(|(axis, &i)| format!("{} {}", humane(&axis.path), axis.labels[i])).collect::<Vec<_>>()
    };
    let (name, mut parts) = match by {
        "strategy" if is_yardstick(strategy) => return None,
        "strategy" => (strategy.clone(), rest(&|_| false)),
        "folder" => (folder.display().to_string(), [vec![strategy.clone()], rest(&|_| false)].concat()),
        path => {
            let i = grid.axes.iter().position(|axis| axis.path == path)?;
            let name = format!("{} {}", humane(path), grid.axes[i].labels[cell[i]]);
            (name, [vec![strategy.clone()], rest(&|other| other == path)].concat())
        }
    };
    if parts.is_empty() {
        parts.push("all runs".into());
    }
    Some((name, parts.join(", ")))
}

/// Ranks the groups, makes the pairs and corrects them.
fn judge(conditions: &mut [Condition], options: &Options) -> Result<()> {
    if let Some(against) = &options.against {
        let names: BTreeSet<&str> = conditions.iter().flat_map(|c| &c.groups).map(|g| g.name.as_str()).collect();
        if !names.contains(against.as_str()) {
            let names: Vec<&str> = names.into_iter().collect();
            return Err(Error::Invalid(format!(
                "--against {against}: is no group of --by {}; allowed: {}",
                options.by,
                names.join(", ")
            )));
        }
    }
    for condition in conditions.iter_mut() {
        condition.groups = ranked(std::mem::take(&mut condition.groups));
        condition.pairs = pairs(&condition.groups, options.against.as_deref());
        correct(&mut condition.pairs.iter_mut().collect::<Vec<_>>());
    }
    if options.strict {
        correct_together(conditions);
    }
    Ok(())
}

/// Corrects for all comparisons together. Grids share cells, for example the clean one: a comparison that stands in several
/// conditions counts once.
fn correct_together(conditions: &mut [Condition]) {
    // The runs of the two, whichever stands first.
    let of = |groups: &[Group], pair: &Pair| BTreeSet::from([pair.a, pair.b].map(|group| groups[group].runs.clone()));
    let mut distinct: BTreeMap<BTreeSet<BTreeSet<String>>, Pair> = BTreeMap::new();
    for Condition { groups, pairs, .. } in conditions.iter() {
        for pair in pairs {
            distinct.entry(of(groups, pair)).or_insert_with(|| pair.clone());
        }
    }
    correct(&mut distinct.values_mut().collect::<Vec<_>>());
    for Condition { groups, pairs, .. } in conditions {
        for pair in pairs {
            if let Some(same) = distinct.get(&of(groups, pair)) {
                (pair.corrected, pair.family) = (same.corrected, same.family);
            }
        }
    }
}

fn text(
    studies: &[(&Path, Study)],
    conditions: &[Condition],
    options: &Options,
    measure: &str,
    reading: Reading,
    repeats: Repeats,
) -> String {
    let family = match options.strict {
        true => {
            let tested = conditions.iter().flat_map(|c| &c.pairs).filter(|pair| pair.corrected.is_some());
            let count = tested.map(|pair| format!("{} ", pair.family)).next().unwrap_or_default();
            format!("for all {count}comparisons together")
        }
        false => "for the comparisons of each condition".to_string(),
    };
    let (unit, more) = (repeats.unit(), repeats.more());
    let mut text = format!(
        "{measure}, by {}\na − b over paired {unit}: mean and 95 % interval (Student's t); p: paired t-test; Holm: p corrected {family}\n\
         flip: exact sign-flip test, not corrected; needs: {more} that would find such a difference in 80 % of studies\n",
        options.by
    );
    let diverged = studies.iter().flat_map(|(_, study)| &study.runs).filter(|run| run.diverged()).count();
    if diverged > 0 {
        text += &format!("{} diverged (weights NaN or infinite): {}\n", plural(diverged, "run"), of_diverged(reading));
    }
    for condition in conditions {
        text.push_str(&format!(
            "\n{}\n{}\n{}\n",
            condition.label,
            pair_table(condition, repeats),
            sentence(condition, options, measure, repeats)
        ));
    }
    // Curves follow the scenario's own metric and the report's reading.
    if options.by == "strategy" && options.metric.is_none() && options.reading.is_none() {
        for (folder, study) in studies {
            let found = robust::all(study, &panels(&study.plan));
            let mut titles: Vec<&str> = found.iter().map(|r| r.panel.as_str()).collect();
            titles.dedup();
            for title in titles {
                let (header, rows) = robust::rows(&found.iter().filter(|r| r.panel == title).collect::<Vec<_>>());
                text.push_str(&format!(
                    "\nrobustness over {title} ({})\n{}\n",
                    folder.display(),
                    terminal::plain(&header, &rows, 1)
                ));
            }
        }
    }
    text
}

fn pair_table(condition: &Condition, repeats: Repeats) -> String {
    let header = ["a", "b", "a − b", repeats.unit(), "p", "Holm", "flip", "needs"].map(String::from);
    let row = |pair: &Pair| {
        let p = |p: Option<f64>| p.map_or("–".to_string(), p_text);
        let difference = pair.paired.difference;
        let spread = match difference.half {
            Some(half) => format!("{:+.3} ±{half:.3}{}", difference.mean, if pair.differs() { " *" } else { "  " }),
            None => format!("{:+.3}  ", difference.mean),
        };
        let names = [&condition.groups[pair.a].name, &condition.groups[pair.b].name].map(String::clone);
        [
            names.to_vec(),
            vec![
                spread,
                difference.n.to_string(),
                p(pair.paired.p),
                p(pair.corrected),
                p(pair.paired.flip),
                pair.needed_text(),
            ],
        ]
        .concat()
    };
    terminal::plain(&header, &condition.pairs.iter().map(row).collect::<Vec<_>>(), 2)
}

/// What the tests of one condition say.
fn sentence(condition: &Condition, options: &Options, measure: &str, repeats: Repeats) -> String {
    let Condition { label, groups, pairs } = condition;
    let head = format!("At {label}");
    let score = |group: &Group| group.summary().map(|s| s.text()).unwrap_or_default();
    let Some(first) = groups.first() else { return format!("{head}, no run has a result.") };
    let Some(pair) = pairs.first() else {
        let why =
            if groups.len() == 1 { "there is nothing to compare it with" } else { "it shares no seed with another" };
        return format!("{head}, {} has {}; {why}.", first.name, score(first));
    };
    if pair.corrected.is_none() {
        return format!("{head}, {} is highest with {}; one seed says nothing about chance.", first.name, score(first));
    }
    if let Some(reference) = &options.against {
        let named = |wanted: &dyn Fn(&Pair) -> bool| {
            let names: Vec<&str> = pairs.iter().filter(|p| wanted(p)).map(|p| groups[p.a].name.as_str()).collect();
            if names.is_empty() { "none".to_string() } else { names.join(", ") }
        };
        let [higher, lower, same] = [
            named(&|p| p.differs() && p.paired.difference.mean > 0.0),
            named(&|p| p.differs() && p.paired.difference.mean < 0.0),
            named(&|p| !p.differs()),
        ];
        return format!("{head}, higher than {reference}: {higher}; lower: {lower}; no difference found: {same}.");
    }
    let metric = measure.split(' ').nth(1).unwrap_or_default();
    let told = format!("{metric} {}", score(first));
    let ahead = if options.by == "strategy" { "keeps most" } else { "is highest" };
    judged_pair(&head, &told, ahead, repeats, groups, pairs)
        .unwrap_or_else(|| format!("{head}, the first two share no seed."))
}

fn table(conditions: &[Condition]) -> Result<Vec<u8>> {
    let header = ["condition"].iter().chain(&COMPARED).map(|c| c.to_string()).collect();
    let of = |c: &Condition| {
        c.pairs.iter().map(|pair| [vec![c.label.clone()], compared(&c.groups, pair)].concat()).collect::<Vec<_>>()
    };
    csv(header, conditions.iter().flat_map(of))
}

fn figure(conditions: &[Condition], options: &Options, measure: &str) -> Result<Option<(String, Vec<u8>)>> {
    let count: usize = conditions.iter().map(|c| c.pairs.len()).sum();
    let shown = |pair: &&Pair| count <= DRAWN || options.against.is_some() || pair.a == 0;
    let block = |condition: &Condition| {
        let row = |pair: &Pair| {
            let Summary { mean, .. } = pair.paired.difference;
            let interval = pair.paired.difference.low().zip(pair.paired.difference.high());
            let label = format!("{} − {}", condition.groups[pair.a].name, condition.groups[pair.b].name);
            forest::Row { label, mean, interval, differs: pair.differs() }
        };
        Block { heading: condition.label.clone(), rows: condition.pairs.iter().filter(shown).map(row).collect() }
    };
    let blocks: Vec<Block> = conditions.iter().map(block).filter(|block| !block.rows.is_empty()).collect();
    if blocks.is_empty() {
        return Ok(None);
    }
    let which =
        if count > DRAWN && options.against.is_none() { ", each condition's highest against the others" } else { "" };
    let caption = format!(
        "{measure}: paired differences by {}{which}, mean and 95 % interval (Student's t). Blue: a difference after Holm's correction.",
        options.by
    );
    let figure =
        forest::draw("compare", caption, &format!("difference of {}", measure.replacen("Test", "test", 1)), &blocks)?;
    Ok(Some((figure.svg_alone(), figure.png)))
}
