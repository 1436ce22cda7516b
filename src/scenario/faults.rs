//! Faults as a user reads them: file, line, path, value, what is wrong, what is allowed, what to do.

use super::de::Problem;
use super::tree::Path;
use crate::fault::{Error, plural};
use std::fmt;

/// Where a fault came from.
#[derive(Debug, Clone, PartialEq)]
pub enum Place {
    /// A line of the file; none for what the file lacks as a whole.
    File(Option<usize>),
    /// An argument of `--set`.
    Set(String),
}

/// A fault with its place and the value found.
#[derive(Debug, Clone, PartialEq)]
pub struct Located {
    /// Where.
    pub place: Place,
    /// Dotted path.
    pub path: String,
    /// The value found, where there is one.
    pub value: Option<String>,
    /// What is wrong, allowed, and to do.
    pub said: Said,
}

/// What is wrong, what is allowed, what to do; the last two may be empty.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Said {
    /// What is wrong.
    pub problem: String,
    /// What is allowed.
    pub allowed: String,
    /// What to do.
    pub remedy: String,
}

impl Said {
    /// From its parts.
    pub fn new(problem: impl Into<String>, allowed: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { problem: problem.into(), allowed: allowed.into(), remedy: remedy.into() }
    }
}

/// All faults of a scenario.
#[derive(Debug, Default)]
pub struct Report {
    file: String,
    faults: Vec<Located>,
}

impl Report {
    /// Nothing wrong yet.
    pub fn new(file: &str) -> Self {
        Self { file: file.to_string(), faults: Vec::new() }
    }

    /// Adds a fault; the same one twice is one.
    pub fn push(&mut self, fault: Located) {
        if !self.faults.contains(&fault) {
            self.faults.push(fault);
        }
    }

    /// Ends with the faults, if there are any: by line, those of `--set` last.
    ///
    /// # Errors
    /// All faults.
    pub fn done(&mut self) -> Result<(), Error> {
        if self.faults.is_empty() {
            return Ok(());
        }
        self.faults.sort_by_key(|fault| match fault.place {
            Place::File(line) => line.unwrap_or(0),
            Place::Set(_) => usize::MAX,
        });
        Err(Error::Invalid(self.to_string()))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        for fault in &self.faults {
            let subject = match &fault.value {
                Some(value) => format!("{} = {value}", short(&fault.path)),
                None => short(&fault.path),
            };
            match &fault.place {
                Place::File(Some(line)) => writeln!(f, "{}:{line}: {subject}", self.file)?,
                Place::File(None) => writeln!(f, "{}: {subject}", self.file)?,
                Place::Set(argument) if names(argument, &fault.path) => writeln!(f, "--set {}", short(argument))?,
                Place::Set(argument) => writeln!(f, "--set {}: {subject}", short(argument))?,
            }
            writeln!(f, "  {}", fault.said)?;
        }
        let s = if self.faults.len() == 1 { "" } else { "s" };
        write!(f, "{} fault{s} in {}", self.faults.len(), self.file)
    }
}

fn names(argument: &str, path: &str) -> bool {
    argument.split('=').next().is_some_and(|key| key.trim() == path)
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.problem)?;
        if !self.allowed.is_empty() {
            write!(f, "; allowed: {}", self.allowed)?;
        }
        f.write_str(".")?;
        if !self.remedy.is_empty() {
            write!(f, " {}", self.remedy)?;
        }
        Ok(())
    }
}

/// A value cut to what fits a line.
pub fn short(text: &str) -> String {
    const WIDTH: usize = 80;
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    match line.char_indices().nth(WIDTH) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// A problem of deserialisation in a user's words.
pub fn say(problem: &Problem, path: &Path) -> Said {
    let last = path.last().map_or("", String::as_str);
    match problem {
        Problem::UnknownKey(allowed) => {
            let section = match path.split_last() {
                Some((_, section)) if !section.is_empty() => format!("[{}]", section.join(".")),
                _ => "a scenario".to_string(),
            };
            // The grids are the file's, not a point's, so serde does not know them.
            let root = if path.len() == 1 { &["grid"][..] } else { &[] };
            let allowed: Vec<&str> = allowed.iter().chain(root).copied().collect();
            let remedy = did_you_mean(last, &allowed);
            Said::new(format!("is not a key of {section}"), listed(&allowed), remedy)
        }
        Problem::UnknownChoice(name, allowed) => {
            let remedy = did_you_mean(name, allowed);
            Said::new(format!("is not {}", noun(path)), allowed.join(", "), remedy)
        }
        Problem::Choices(found, allowed) if found.is_empty() => {
            Said::new("names no choice", format!("one of {}", allowed.join(", ")), "")
        }
        Problem::Choices(found, allowed) => Said::new(
            format!("names {} choices ({})", found.len(), short(&found.join(", "))),
            format!("one of {}", allowed.join(", ")),
            format!("Set the whole choice: {last} = {{ NAME = {{ … }} }}."),
        ),
        Problem::Missing => missing(path),
        Problem::Type(found, allowed) => Said::new(format!("is {found}"), allowed.as_str(), ""),
        Problem::Range(allowed) => Said::new("is out of range", allowed.as_str(), ""),
        Problem::Length(length, allowed) => {
            Said::new(format!("has {}", plural(*length, "value")), allowed.as_str(), "")
        }
        Problem::Other(text) => Said::new(format!("is refused: {}", short(text)), "", ""),
    }
}

fn missing(path: &Path) -> Said {
    let names = |about: &[crate::fault::About]| about.iter().map(|about| about.name).collect::<Vec<_>>().join(", ");
    match path.join(".").as_str() {
        "question" => Said::new("is missing", "", "Say what the scenario asks: question = \"…\"."),
        "seeds" => Said::new("is missing", "a list of whole numbers from 0", "Write seeds = [8, 16, 24]."),
        "data" => Said::new("is missing", names(crate::data::CHOICES), "Write data = \"shoulder\"."),
        "strategy" => {
            let remedy = "Write strategy = \"fedavg\", or make it an axis of every grid.";
            Said::new("is missing", names(crate::strategy::CHOICES), remedy)
        }
        _ => Said::new("is missing and has no default", "", ""),
    }
}

fn listed(allowed: &[&str]) -> String {
    if allowed.is_empty() { "no key at all".to_string() } else { allowed.join(", ") }
}

/// What a choice at a path is called.
fn noun(path: &Path) -> String {
    let mut keys = path.iter().rev().map(String::as_str);
    match (keys.next().unwrap_or_default(), keys.next().unwrap_or_default()) {
        ("data", _) => "a data source".into(),
        ("partition", _) => "a partition".into(),
        ("strategy", _) => "a strategy".into(),
        ("encoder", _) | (_, "encoders") => "an encoder".into(),
        ("fusion", _) => "a fusion".into(),
        ("optimizer", _) => "an optimizer".into(),
        ("local", _) => "a local objective".into(),
        ("kind", "attack") => "an attack".into(),
        ("aggregate", _) => "a rule".into(),
        ("server", _) => "a server optimiser".into(),
        (_, "pre") => "a pre-aggregator".into(),
        ("metric", _) => "a metric".into(),
        (key, _) => format!("a choice of {key}"),
    }
}

/// `Did you mean x?` for the nearest name, where one is near.
pub fn did_you_mean(found: &str, names: &[&str]) -> String {
    if found.len() > 64 {
        return String::new();
    }
    let nearest = names.iter().map(|name| (strsim::osa_distance(found, name), name)).min();
    match nearest {
        Some((distance, name)) if distance <= (found.chars().count() / 3).max(1) => format!("Did you mean {name}?"),
        _ => String::new(),
    }
}
