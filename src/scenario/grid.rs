//! `[[grid]]`: declared axes, checked before anything is expanded.

use super::faults::{Located, Place, Report, Said, short};
use super::source::Source;
use super::tree::{self, Path};
use crate::record::Axis;
use toml::Value;
use toml_edit::{Item, TableLike};

/// Most cells of all grids together.
const CELLS: usize = 100_000;

const ONE_SCALE: &str =
    "Points of one study are compared on one scale, and runs.csv has every metric anyway: set it once, at the top.";

/// Keys that cannot vary over a grid, and why.
const FIXED: [(&str, &str); 9] = [
    (
        "seeds",
        "Every point runs with every seed, so that points are compared seed by seed: write seeds = […] at the top.",
    ),
    ("question", "Write the question once, at the top."),
    ("grid", "A grid holds no grids; write several [[grid]] tables for a union."),
    ("save-model", "It does not change results: set it once, at the top."),
    ("checkpoint-seconds", "It does not change results: set it once, at the top."),
    ("evaluate", "Write the keys that vary one by one."),
    ("evaluate.metric", ONE_SCALE),
    ("evaluate.top-k", ONE_SCALE),
    ("evaluate.reading", ONE_SCALE),
];

/// Whether a path is a fixed key or lies below one; below `evaluate` only the keys that are named are fixed.
fn is_fixed(fixed: &str, path: &Path) -> bool {
    fixed == path.join(".") || (fixed != "evaluate" && fixed == path[0])
}

/// One declared grid.
#[derive(Debug, Clone, Default)]
pub struct Spec {
    /// Axes, in file order.
    pub axes: Vec<AxisSpec>,
    /// Every path it declares an axis for, those left out for a fault too.
    pub declared: Vec<Path>,
    /// Its name, for `--set grid=NAME`.
    pub name: Option<String>,
    /// Whether impossible cells are dropped.
    pub skip_impossible: bool,
    /// Its line.
    pub line: Option<usize>,
}

/// One declared axis.
#[derive(Debug, Clone)]
pub struct AxisSpec {
    /// Where its values go.
    pub path: Path,
    /// The path as it is written.
    pub name: String,
    /// Its line.
    pub line: Option<usize>,
    /// Values with their lines.
    pub values: Vec<(Value, Option<usize>)>,
}

impl AxisSpec {
    /// The axis as records hold it.
    pub fn record(&self) -> Axis {
        let numbers = self.values.iter().map(|(value, _)| match value {
            Value::Integer(number) => Some(*number as f64),
            Value::Float(number) => Some(*number),
            _ => None,
        });
        let numbers = numbers.collect();
        let labels = self.values.iter().map(|(value, _)| tree::label(value)).collect();
        Axis { path: self.path.join("."), labels, numbers }
    }
}

/// Reads every grid of the file; what is wrong goes to the report, and the axis at fault is left out.
pub fn declared(source: &Source, report: &mut Report) -> Vec<Spec> {
    let tables: Vec<(&dyn TableLike, Option<usize>)> = match source.root("grid") {
        None => return Vec::new(),
        Some(Item::ArrayOfTables(tables)) => {
            tables.iter().map(|t| (t as &dyn TableLike, t.span().map(|s| source.line_of(s)))).collect()
        }
        Some(Item::Value(toml_edit::Value::Array(values))) if values.iter().all(|v| v.is_inline_table()) => {
            let tables = values.iter().filter_map(|v| v.as_inline_table());
            tables.map(|t| (t as &dyn TableLike, t.span().map(|s| source.line_of(s)))).collect()
        }
        Some(item) => {
            let said = Said::new(
                format!("is a {}", item.type_name()),
                "tables headed [[grid]]",
                "Write the header with two brackets.",
            );
            let line = source.line(&["grid".to_string()]);
            report.push(Located { place: Place::File(line), path: "grid".into(), value: None, said });
            return Vec::new();
        }
    };
    let mut reader = Reader { source, report, cells: 0 };
    let specs: Vec<Spec> = tables.into_iter().map(|(table, line)| reader.grid(table, line)).collect();
    for (i, spec) in specs.iter().enumerate() {
        if spec.name.is_some() && specs[..i].iter().any(|other| other.name == spec.name) {
            let said = Said::new("is the name of another grid", "every name once", "");
            let value = spec.name.as_deref().map(short);
            report.push(Located { place: Place::File(spec.line), path: "grid.name".into(), value, said });
        }
    }
    specs
}

struct Reader<'a> {
    source: &'a Source,
    report: &'a mut Report,
    /// Of the grids so far.
    cells: usize,
}

impl Reader<'_> {
    fn grid(&mut self, table: &dyn TableLike, line: Option<usize>) -> Spec {
        let mut spec = Spec { line, ..Spec::default() };
        for (key, item) in table.iter() {
            let line = table.key(key).and_then(toml_edit::Key::span).map(|span| self.source.line_of(span)).or(line);
            if key == "name" {
                match item.as_str() {
                    Some(name) => spec.name = Some(name.to_string()),
                    None => self.fault(line, key, Some(item), "is not a name", "text", ""),
                }
            } else if key == "skip-impossible" {
                match item.as_bool() {
                    Some(skip) => spec.skip_impossible = skip,
                    None => self.fault(line, key, Some(item), "is not true or false", "true, false", ""),
                }
            } else {
                let axis = self.axis(key, item, line, &spec.axes);
                spec.declared.extend(tree::path(key));
                spec.axes.extend(axis);
            }
        }
        let cells = spec.axes.iter().try_fold(1usize, |cells, axis| cells.checked_mul(axis.values.len()));
        match cells.and_then(|cells| cells.checked_add(self.cells)).filter(|cells| *cells <= CELLS) {
            Some(cells) => self.cells = cells,
            None => {
                let allowed = format!("up to {CELLS} in all grids");
                self.fault(line, "grid", None, "has too many cells", &allowed, "Shorten its axes.");
                spec.axes.clear();
            }
        }
        spec
    }

    fn axis(&mut self, key: &str, item: &Item, line: Option<usize>, others: &[AxisSpec]) -> Option<AxisSpec> {
        let Some(path) = tree::path(key) else {
            self.fault(line, key, None, "is not a dotted path", "keys joined by points, such as train.rounds", "");
            return None;
        };
        if let Some((_, why)) = FIXED.iter().find(|(fixed, _)| is_fixed(fixed, &path)) {
            self.fault(line, key, None, "cannot be an axis", "a key of data, model, train, strategy, …", why);
            return None;
        }
        if let Some(other) = others.iter().find(|other| tree::related(&other.path, &path)) {
            let problem = format!("overlaps the axis {}", short(&other.name));
            self.fault(line, key, None, &problem, "axes of different keys", "Merge the two, or write two grids.");
            return None;
        }
        let values = self.values(key, item, line)?;
        Some(AxisSpec { path, name: key.to_string(), line, values })
    }

    fn values(&mut self, key: &str, item: &Item, line: Option<usize>) -> Option<Vec<(Value, Option<usize>)>> {
        let Some(list) = item.as_array() else {
            let remedy = match item.is_table_like() {
                true => "Quote the whole path: \"a.b\" = [ … ].".to_string(),
                false => format!("Write \"{}\" = [{}].", short(key), short(&tree::inline(&tree::plain(item)))),
            };
            self.fault(line, key, Some(item), "is not an axis", "a list of values", &remedy);
            return None;
        };
        if list.is_empty() {
            self.fault(
                line,
                key,
                Some(item),
                "has no values",
                "a list of at least one value",
                "Remove the axis or give it values.",
            );
            return None;
        }
        let mut values: Vec<(Value, Option<usize>)> = Vec::new();
        for value in list.iter() {
            let plain = tree::plain_value(value);
            let line = value.span().map(|span| self.source.line_of(span)).or(line);
            if values.iter().any(|(other, _)| *other == plain) {
                let problem = format!("holds {} twice", short(&tree::inline(&plain)));
                self.fault(line, key, None, &problem, "every value once", "Remove one.");
            } else {
                values.push((plain, line));
            }
        }
        Some(values)
    }

    fn fault(
        &mut self,
        line: Option<usize>,
        key: &str,
        item: Option<&Item>,
        problem: &str,
        allowed: &str,
        remedy: &str,
    ) {
        let value = item.filter(|item| item.is_value()).map(|item| short(&tree::inline(&tree::plain(item))));
        let said = Said::new(problem, allowed, remedy);
        self.report.push(Located { place: Place::File(line), path: key.to_string(), value, said });
    }
}
