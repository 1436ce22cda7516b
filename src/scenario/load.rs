//! Reads a scenario: file, `--set`, grids, points.

use super::Scenario;
use super::faults::{Located, Place, Report, Said, did_you_mean, short};
use super::grid::{self, Spec};
use super::points::{Context, Points, Set, count};
use super::read::{self, Reading};
use super::source::Source;
use super::tree;
use crate::data::Dataset;
use crate::fault::{Checker, Error, Fault, Result};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use toml::Value;

/// A scenario that was read, expanded and checked as far as it can be without its data.
#[derive(Debug)]
pub struct Loaded {
    /// File name without `.toml`.
    pub name: String,
    /// The folder that relative paths are taken from.
    pub base: PathBuf,
    /// The question.
    pub question: String,
    /// Seeds, the same for every point.
    pub seeds: Vec<u64>,
    /// The points of all grids.
    pub points: Points,
    /// The scenario as TOML with `--set` applied and defaults written out; it has the same points.
    pub resolved: String,
    context: Context,
}

/// Reads the scenario in a file, with `--set` arguments (`path=value`).
///
/// # Errors
/// A file that cannot be read, or everything that is wrong with it.
pub fn load(path: &Path, sets: &[String]) -> Result<Loaded> {
    let shown = path.display();
    if path.is_dir() {
        let text = format!("{shown}: is a folder; allowed: a scenario file. Name the .toml file in it.");
        return Err(Error::Invalid(text));
    }
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let text = format!("{shown}: there is no such file; allowed: a scenario file. Check the path.");
            return Err(Error::Invalid(text));
        }
        Err(error) => return Err(Error::io(format!("cannot read {shown}"), &error)),
    };
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..at].iter().filter(|&&byte| byte == b'\n').count() + 1;
        Error::Invalid(format!("{shown}:{line}: is not UTF-8 text; allowed: TOML in UTF-8. Save the file as UTF-8."))
    })?;
    let base = path.parent().map(Path::to_path_buf).unwrap_or_default();
    let mut loaded = read_in(Some(&base), &shown.to_string(), &text, sets)?;
    loaded.base = base;
    Ok(loaded)
}

/// Reads a scenario from text; `file` names it in messages.
///
/// # Errors
/// Everything that is wrong with it.
pub fn read_str(file: &str, text: &str, sets: &[String]) -> Result<Loaded> {
    read_in(None, file, text, sets)
}

fn read_in(folder: Option<&Path>, file: &str, text: &str, sets: &[String]) -> Result<Loaded> {
    let mut report = Report::new(file);
    let source = Source::parse(file, text)?;
    let mut specs = grid::declared(&source, &mut report);
    if specs.is_empty() {
        specs.push(Spec::default());
    }
    let mut tree = source.tree();
    tree::remove(&mut tree, &["grid".to_string()]);
    let mut context = Context { source, sets: Vec::new(), specs };
    let (picks, sets): (Vec<&String>, Vec<&String>) = sets.iter().partition(|argument| grid_named(argument).is_some());
    for argument in picks {
        if let Err(fault) = context.pick(argument) {
            report.push(*fault);
        }
    }
    for argument in sets {
        match context.set(&mut tree, argument) {
            Ok(set) => context.sets.push(set),
            Err(fault) => report.push(*fault),
        }
    }
    let given = tree.clone();
    let base = read::read(tree, &|path| context.covers(path));
    for fault in &base.faults {
        report.push(context.locate(None, fault, &given));
    }
    let points = match base.scenario {
        Some(_) => context.expand(&base, &mut report)?,
        None => Points::default(),
    };
    report.done()?;
    let Some(scenario) = &base.scenario else {
        return Err(Error::Invalid(format!("{file}: is not a scenario")));
    };
    // A name of dots alone, as of `...toml`, would be another folder.
    let stem = Path::new(file).file_stem().map(|stem| stem.to_string_lossy().into_owned());
    Ok(Loaded {
        name: stem.filter(|stem| stem.contains(|c| c != '.')).unwrap_or_else(|| "scenario".to_string()),
        base: PathBuf::new(),
        question: scenario.question.clone(),
        seeds: scenario.seeds.clone(),
        points,
        resolved: resolved(scenario, &base, &context.specs, folder)?,
        context,
    })
}

impl Context {
    /// Whether every grid sets a key, so that the base need not hold it.
    fn covers(&self, path: &[String]) -> bool {
        self.specs.iter().all(|spec| spec.declared.iter().any(|axis| tree::related(axis, path)))
    }

    /// Leaves the one grid that `--set grid=NAME` names.
    fn pick(&mut self, argument: &str) -> std::result::Result<(), Box<Located>> {
        let name = grid_named(argument);
        if self.specs.iter().any(|spec| spec.name.as_deref() == name) {
            self.specs.retain(|spec| spec.name.as_deref() == name);
            return Ok(());
        }
        let names: Vec<&str> = self.specs.iter().filter_map(|spec| spec.name.as_deref()).collect();
        let said = match names.is_empty() {
            true => Said::new("names no grid: none has a name", "", "Write name = \"…\" in a [[grid]]."),
            false => Said::new("names no grid", names.join(", "), did_you_mean(name.unwrap_or_default(), &names)),
        };
        Err(Box::new(Located { place: Place::Set(argument.to_string()), path: "grid".to_string(), value: None, said }))
    }

    /// Applies one `--set` to the tree.
    fn set(&self, tree: &mut Value, argument: &str) -> std::result::Result<Set, Box<Located>> {
        let fault = |said: Said| {
            let path = argument.split('=').next().unwrap_or_default().trim().to_string();
            Box::new(Located { place: Place::Set(argument.to_string()), path, value: None, said })
        };
        let form = "path=value, such as train.rounds=10";
        let Some((key, text)) = argument.split_once('=') else {
            return Err(fault(Said::new("is not an assignment", form, "")));
        };
        let Some(path) = tree::path(key.trim()) else {
            return Err(fault(Said::new("does not begin with a dotted path", form, "")));
        };
        if path[0] == "grid" {
            let remedy = "Change the grid in the file, or set a key that no grid varies.";
            return Err(fault(Said::new("would set a grid", "any other key, or grid=NAME", remedy)));
        }
        let axes = self.specs.iter().flat_map(|spec| &spec.axes);
        if let Some(axis) = axes.into_iter().find(|axis| path.starts_with(&axis.path)) {
            let line = axis.line.map_or(String::new(), |line| format!(" in line {line}"));
            let problem = format!("is varied by a grid{line}, so setting it would change nothing");
            return Err(fault(Said::new(problem, "a key that no grid varies", "Shorten that axis in the file.")));
        }
        let value = value_of(text.trim()).map_err(|what| {
            fault(Said::new(format!("has a value that is not TOML ({what})"), "a number, a name, a list, a table", ""))
        })?;
        if !tree::set(tree, &path, value) {
            return Err(fault(Said::new("leads through a key that is not a section", "a key of the scenario", "")));
        }
        Ok(Set { argument: argument.to_string(), path })
    }
}

/// NAME of `grid=NAME`, plain or in quotes.
fn grid_named(argument: &str) -> Option<&str> {
    let (key, name) = argument.split_once('=')?;
    (key.trim() == "grid").then_some(name.trim().trim_matches(['"', '\'']))
}

/// The value of a `--set`: TOML, or a bare word.
fn value_of(text: &str) -> std::result::Result<Value, String> {
    match text.parse::<toml_edit::Value>() {
        Ok(value) => Ok(tree::plain_value(&value)),
        Err(error) if text.is_empty() || text.starts_with(['[', '{', '"', '\'']) => {
            Err(short(error.message().lines().next().unwrap_or("it is empty")))
        }
        Err(_) => Ok(Value::String(text.to_string())),
    }
}

/// Where the paths lie that a scenario takes from its own folder.
fn paths() -> Vec<[&'static str; 3]> {
    let data = crate::data::PATHS.iter().map(|[source, key]| ["data", source, key]);
    data.chain([["partition", "replay", "path"], ["corrupt", "replay", "path"]]).collect()
}

/// Makes the paths of files absolute; `at` is where `value` lies in the scenario.
fn settle(value: &mut Value, at: &[String], folder: Option<&Path>) {
    let Some(folder) = folder else { return };
    for keys in paths() {
        let leads = at.len() <= keys.len() && at.iter().zip(keys).all(|(key, file)| key == file);
        let rest: Vec<String> = keys.iter().skip(at.len()).map(|key| key.to_string()).collect();
        let Some(Value::String(path)) = tree::get(value, &rest).filter(|_| leads) else { continue };
        if let Ok(path) = std::path::absolute(folder.join(path)) {
            let path = Value::String(path.display().to_string());
            if rest.is_empty() {
                *value = path;
            } else {
                tree::set(value, &rest, path);
            }
        }
    }
}

/// The scenario as TOML: the resolved base without what only the grids set, then the grids. It lies in another folder than
/// the scenario, so the paths of files are absolute in it.
fn resolved(scenario: &Scenario, base: &Reading, specs: &[Spec], folder: Option<&Path>) -> Result<String> {
    let mut tree = scenario.to_value()?;
    settle(&mut tree, &[], folder);
    for path in &base.repaired {
        tree::remove(&mut tree, path);
    }
    let mut text =
        toml::to_string(&tree).map_err(|error| Error::Invalid(format!("cannot write the scenario: {error}")))?;
    for spec in specs.iter().filter(|spec| !spec.axes.is_empty() || spec.line.is_some()) {
        text += "\n[[grid]]\n";
        if let Some(name) = &spec.name {
            text += &format!("name = {}\n", tree::inline(&Value::String(name.clone())));
        }
        if spec.skip_impossible {
            text += "skip-impossible = true\n";
        }
        for axis in &spec.axes {
            let value = |value: &Value| {
                let mut value = value.clone();
                settle(&mut value, &axis.path, folder);
                tree::inline(&value)
            };
            let values: Vec<String> = axis.values.iter().map(|(given, _)| value(given)).collect();
            text += &format!("{} = [{}]\n", tree::quoted(&axis.name), values.join(", "));
        }
    }
    Ok(text)
}

impl Loaded {
    /// Checks every point against its data; `data_of` gives the data set and the number of clients that its partition deals,
    /// or why it cannot. Cells of grids with `skip-impossible` are dropped, with the points that only they met.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub fn check_against<'d>(&mut self, data_of: impl Fn(&Scenario) -> (&'d Dataset, Dealt)) -> Result<()> {
        let mut report = Report::new(&self.context.source.name);
        let checked = self.points.points.iter().map(|point| {
            let (data, clients) = data_of(&point.scenario);
            let mut checker = Checker::default();
            match clients {
                Ok(clients) => point.scenario.check_against(data, clients, &mut checker),
                Err(why) => checker.faults.push(undealt(&why)),
            }
            checker.faults
        });
        let checked: Vec<Vec<Fault>> = checked.collect();
        // A point that several grids meet is explained by the first; the others add only what their own axes say of it.
        let mut explained = BTreeSet::new();
        for (spec, grid) in self.context.specs.iter().zip(&mut self.points.grids) {
            let mut tally = Vec::new();
            let mut dropped = None;
            grid.cells.retain(|(cell, point)| {
                let scenario = &self.points.points[*point].scenario;
                let known = explained.contains(point);
                let mine = |path: &[String]| spec.axes.iter().any(|axis| tree::related(&axis.path, path));
                let keep = |path: &[String]| !known || mine(path) || self.context.source.holds(path);
                let mut faults = self.context.located(spec, cell, scenario, &checked[*point], keep);
                if spec.skip_impossible && !faults.is_empty() {
                    self.points.impossible += 1;
                    dropped = dropped.take().or(faults.drain(..).next());
                    return false;
                }
                if !faults.is_empty() {
                    explained.insert(*point);
                }
                faults.into_iter().for_each(|fault| count(&mut tally, fault, cell));
                true
            });
            if let Some(fault) = dropped.filter(|_| grid.cells.is_empty()) {
                report.push(self.context.empty(spec, &fault));
            }
            self.context.explain(spec, tally, &mut report);
        }
        self.points.drop_unmet();
        report.done()
    }
}

impl Loaded {
    /// An error of the data, with the line of the scenario that names it; `section` where the error begins with no key.
    pub fn placed(&self, section: &str, error: Error) -> Error {
        let (text, kind): (String, fn(String) -> Error) = match error {
            Error::Invalid(text) => (text, Error::Invalid),
            Error::Absent(text) => (text, Error::Absent),
            error => return error,
        };
        let key: String = text.chars().take_while(|c| c.is_ascii_alphanumeric() || "._-".contains(*c)).collect();
        let source = &self.context.source;
        let line = source.line(&tree::split(&key)).or_else(|| source.line(&[section.to_string()]));
        let line = line.map_or(String::new(), |line| format!("{line}:"));
        kind(format!("{}:{line} {text}", source.name))
    }
}

/// Number of clients that a partition deals, or why it cannot: `partition.iid.clients = 9: …`.
pub type Dealt = std::result::Result<usize, String>;

/// The fault of a partition that cannot be.
fn undealt(why: &str) -> Fault {
    let (subject, problem) = why.split_once(": ").unwrap_or(("partition", why));
    let path = subject.split(" = ").next().unwrap_or(subject).to_string();
    let (allowed, remedy) = (String::new(), String::new());
    Fault { path, problem: problem.to_string(), allowed, remedy }
}

impl Points {
    /// Drops points that no cell meets any more.
    fn drop_unmet(&mut self) {
        let met = |index: usize| self.grids.iter().any(|grid| grid.cells.iter().any(|(_, point)| *point == index));
        let met: Vec<bool> = (0..self.points.len()).map(met).collect();
        let new: Vec<usize> = (0..met.len()).map(|index| met[..index].iter().filter(|met| **met).count()).collect();
        let mut met = met.into_iter();
        self.points.retain(|_| met.next().unwrap_or(false));
        for (_, point) in self.grids.iter_mut().flat_map(|grid| &mut grid.cells) {
            *point = new[*point];
        }
    }
}
