//! Holds the documentation to the program: what it shows is read, what it names exists, what it leaves out is missed.
//!
//! Blocks of TOML say what they are: `scenario` is a whole one, `fragment` lacks keys that are required, `faults` is refused
//! with exactly the `text` block behind it; any other must be TOML.

mod pages;

use fedrobust::data;
use fedrobust::model::Model;
use fedrobust::scenario::read_str;
use fedrobust::store::HEADER;
use pages::{Page, page, pages, root};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Families whose pages are tables with a row a parameter.
const TABLES: [(&str, &str); 12] = [
    ("data", "data"),
    ("split", "data"),
    ("partition", "partitions"),
    ("corrupt", "corruptions"),
    ("encoder", "models"),
    ("fusion", "models"),
    ("optimizer", "scenario"),
    ("strategy", "strategies"),
    ("local", "strategies"),
    ("server", "strategies"),
    ("pre", "rules"),
    ("aggregate", "rules"),
];

fn output(arguments: &[&str]) -> String {
    let run = Command::new(env!("CARGO_BIN_EXE_fedrobust")).args(arguments).output().unwrap();
    assert!(run.status.success(), "fedrobust {}: {}", arguments.join(" "), String::from_utf8_lossy(&run.stderr));
    String::from_utf8(run.stdout).unwrap()
}

/// `fedrobust list` as families with the names of their choices.
fn families() -> Vec<(String, Vec<String>)> {
    let mut families: Vec<(String, Vec<String>)> = Vec::new();
    let listed = output(&["list"]);
    for line in listed.lines().filter(|line| !line.starts_with("fedrobust")) {
        match line.strip_prefix("  ") {
            Some(choice) => families.last_mut().unwrap().1.extend(choice.split(' ').next().map(String::from)),
            None => families.extend(line.split_once(':').map(|(name, _)| (name.to_string(), Vec::new()))),
        }
    }
    families
}

/// Parameters of a family's choices with their defaults, from `fedrobust list FAMILY`.
fn parameters(family: &str) -> Vec<(String, String, String)> {
    let mut choice = String::new();
    let mut found = Vec::new();
    for line in output(&["list", family]).lines().skip(1) {
        match (line.strip_prefix("  "), line.rsplit_once("  (default ")) {
            (Some(told), Some((_, default))) => {
                let name = told.split(' ').next().unwrap().to_string();
                found.push((choice.clone(), name, default.strip_suffix(')').unwrap().to_string()));
            }
            (None, _) if !line.is_empty() => choice = line.to_string(),
            _ => {}
        }
    }
    found
}

/// A fragment with the required keys that it lacks, in front.
fn completed(fragment: &str) -> String {
    let table: toml::Table = fragment.parse().unwrap();
    let grids = table.get("grid").and_then(toml::Value::as_array).cloned().unwrap_or_default();
    let axes = |key: &str| !grids.is_empty() && grids.iter().all(|grid| grid.get(key).is_some());
    let required =
        [("question", "'none'"), ("seeds", "[1]"), ("data", "'shoulder'"), ("strategy", "'fedavg'")].into_iter();
    let missing = required.filter(|(key, _)| !table.contains_key(*key) && !axes(key));
    missing.map(|(key, value)| format!("{key} = {value}\n")).collect::<String>() + fragment
}

#[test]
fn every_scenario_of_the_docs_is_read_and_every_fault_is_as_shown() {
    let mut read = 0;
    for page in pages() {
        let blocks = page.blocks();
        for (i, block) in blocks.iter().enumerate().filter(|(_, block)| block.info.starts_with("toml")) {
            let place = format!("{}:{}", page.name(), block.line);
            let text = match block.info.as_str() {
                "toml scenario" | "toml faults" => block.text.clone(),
                "toml fragment" => completed(&block.text),
                _ => {
                    assert!(block.text.parse::<toml::Table>().is_ok(), "{place}: is not TOML");
                    continue;
                }
            };
            read += 1;
            let said = read_str("mine.toml", &text, &[]).err().map(|error| format!("{error}\n"));
            match block.info.as_str() {
                "toml faults" => assert_eq!(said.as_ref(), Some(&blocks[i + 1].text), "{place}"),
                _ => assert_eq!(said, None, "{place}"),
            }
        }
    }
    assert!(read > 8, "only {read} blocks were found: does the scan still work?");
}

#[test]
fn the_model_whose_weights_are_counted_has_so_many() {
    let models = page("models");
    let block = models.blocks().into_iter().find(|block| block.info == "toml scenario").unwrap();
    let weights = |sets: &[String]| {
        let point = read_str("har.toml", &block.text, sets).unwrap().points.points.remove(0);
        let data: data::Dataset = point.scenario.data.load(Path::new(".")).unwrap();
        Model::new(&point.scenario.model, &data.shapes(), data.classes).parameters()
    };
    let mut compared = 0;
    for row in models.tables().iter().flatten().filter(|row| row[0].starts_with("`fedrobust plan har.toml")) {
        let sets: Vec<String> = row[0].trim_matches('`').split(" --set ").skip(1).map(String::from).collect();
        assert_eq!(row[1].replace(',', ""), weights(&sets).to_string(), "{}", row[0]);
        compared += 1;
    }
    assert_eq!(compared, 3);
}

/// `fedrobust …` of a line that calls it, by its name, by a path or by `cargo run`.
fn command(line: &str) -> Option<String> {
    let line = line.trim_start_matches("$ ");
    let (program, rest) = match line.strip_prefix("cargo run") {
        Some(rest) => ("fedrobust", rest.split_once(" -- ")?.1),
        None => line.split_once(' ')?,
    };
    let named = program == "fedrobust" || program.ends_with("/fedrobust");
    named.then(|| format!("fedrobust {}", rest.split(" #").next().unwrap_or(rest)))
}

/// Checks one command line against the help of its subcommand; helps are asked for once.
fn check_command(line: &str, place: &str, helps: &mut BTreeMap<Vec<String>, String>) {
    let mut help = |command: &[&str]| {
        let key = command.iter().map(|word| word.to_string()).collect();
        helps.entry(key).or_insert_with(|| output(&[command, &["--help"]].concat())).clone()
    };
    let words: Vec<&str> = line.split_whitespace().collect();
    let depth = if words.get(1) == Some(&"data") { 2 } else { 1 };
    let command: Vec<&str> = words.iter().skip(1).take(depth).copied().collect();
    if command.first().is_none_or(|word| word.starts_with('-')) {
        return;
    }
    assert!(help(&[]).contains(&format!("\n  {} ", command[0])), "{place}: there is no command `{line}`");
    let help = help(&command);
    for flag in words.iter().filter(|word| word.starts_with("--")) {
        let flag = flag.split('=').next().unwrap().trim_end_matches([']', '…']);
        assert!(help.split([' ', '\n', ',']).any(|word| word == flag), "{place}: `{line}` has no option {flag}");
    }
}

#[test]
fn every_command_of_the_docs_exists_with_its_options() {
    let mut helps = BTreeMap::new();
    let mut checked = 0;
    for page in pages() {
        let place = page.name();
        let blocks = page.blocks();
        let shell = blocks.iter().filter(|b| ["sh", "console", "text"].contains(&b.info.as_str()));
        let lines = shell.flat_map(|block| block.text.lines().map(String::from));
        for line in lines.chain(page.code()).filter_map(|line| command(&line)) {
            check_command(&line, &place, &mut helps);
            checked += 1;
        }
    }
    assert!(checked > 10, "only {checked} commands were found: does the scan still work?");
}

#[test]
fn every_choice_is_told_and_tables_tell_of_no_others() {
    let pages = pages();
    let told: BTreeSet<String> = pages.iter().flat_map(Page::code).collect();
    for (family, choices) in families() {
        for choice in &choices {
            assert!(told.contains(choice), "no page tells of `{choice}` of the family {family}");
        }
        // A table headed by the family's name has a choice a row, or a parameter a row of the choice above.
        let head = format!("`{family}`");
        for page in &pages {
            for table in page.tables().iter().filter(|table| table[0][0] == head) {
                for cell in table[1..].iter().map(|row| row[0].trim_matches('`')).filter(|cell| !cell.is_empty()) {
                    assert!(choices.iter().any(|choice| choice == cell), "{}: {cell} is no {family}", page.name());
                }
            }
        }
    }
}

#[test]
fn every_parameter_stands_in_the_table_of_its_choice_with_its_default() {
    for (family, name) in TABLES {
        let tables = page(name).tables();
        // Choices that another page tells of have their parameters there.
        let here = |choice: &str| {
            let mut rows = tables.iter().filter(|table| table[0][0] == format!("`{family}`")).flatten();
            rows.any(|row| row[0] == format!("`{choice}`"))
        };
        let told: Vec<_> = parameters(family).into_iter().filter(|(choice, ..)| here(choice)).collect();
        assert!(!told.is_empty(), "docs/{name}.md has no table of {family}");
        for (choice, parameter, default) in told {
            assert!(
                tables.iter().any(|table| tells(table, family, &choice, &parameter, &default)),
                "docs/{name}.md has no row of `{parameter}` of {choice} with the default {default}"
            );
        }
    }
}

/// Whether a table has the row: one of its family with the choice in front, or in a choice's own section one of parameters.
fn tells(table: &[Vec<String>], family: &str, choice: &str, parameter: &str, default: &str) -> bool {
    let of_family = table[0][0] == format!("`{family}`");
    let mut front = String::new();
    table[1..].iter().any(|row| {
        if !row[0].is_empty() {
            front.clone_from(&row[0]);
        }
        let own = if of_family { front == format!("`{choice}`") } else { table[0][0] == "parameter" };
        let named = row.iter().take(2).any(|cell| *cell == format!("`{parameter}`"));
        own && named && row.iter().any(|cell| cell.trim_matches('`') == default)
    })
}

#[test]
fn every_key_of_a_section_is_on_the_page_of_the_scenario() {
    let told: BTreeSet<String> = page("scenario").code().iter().flat_map(|code| keys(code)).collect();
    for section in ["", "[train]", "[split]", "[model]", "[evaluate]", "[corrupt]"] {
        let text = completed(&format!("{section}\nnonsense = 1\n"));
        let said = read_str("x.toml", &text, &[]).unwrap_err().to_string();
        let allowed = said.split("allowed: ").nth(1).unwrap().split('.').next().unwrap();
        for key in allowed.split(", ").filter(|key| *key != "attack") {
            assert!(told.contains(key), "docs/scenario.md does not tell of `{key}` of {section}: {allowed}");
        }
    }
}

/// The parts of a dotted path, without brackets.
fn keys(code: &str) -> Vec<String> {
    code.trim_matches(['[', ']']).split(['.', ' ']).map(String::from).collect()
}

#[test]
fn every_column_of_the_tables_is_on_the_page_of_results() {
    let scenario = "question = 'Does it run?'\nseeds = [1]\nstrategy = 'fedavg'\ntrain = { rounds = 1, cohort = 1 }\n\
        data.synthetic = { samples = 90, modalities.sound = { width = 4 } }\nmodel = { encoder.mlp.hidden = 4, head = 4 }\n\
        corrupt.missing-labels.rate = 0.5\n";
    let folder = tempfile::tempdir().unwrap();
    let (file, out) = (folder.path().join("x.toml"), folder.path().join("out"));
    fs::write(&file, scenario).unwrap();
    output(&["run", file.to_str().unwrap(), "--out", out.to_str().unwrap(), "--device", "cpu", "--threads", "1"]);
    let told: BTreeSet<String> = ["results", "statistics"].iter().flat_map(|name| page(name).code()).collect();
    assert_eq!(fs::read_dir(out.join("runs")).unwrap().count(), 1);
    for table in ["runs.csv", "rounds.csv", "summary.csv", "comparisons.csv", "robustness.csv", "fairness.csv"] {
        let text = fs::read_to_string(out.join(table)).unwrap();
        let header = text.lines().next().unwrap();
        for column in header.split(',').chain(HEADER.split(',')) {
            let known = told.contains(column) || column.starts_with("realised.");
            assert!(known, "docs/results.md does not tell of the column {column} of {table}");
        }
    }
}

#[test]
fn links_and_paths_lead_somewhere() {
    let mut checked = 0;
    for page in pages() {
        let (prose, name) = (page.prose(), page.name());
        for piece in prose.split("](").skip(1) {
            let target = piece.split(')').next().unwrap();
            if target.contains("://") {
                continue;
            }
            let (file, anchor) = target.split_once('#').map_or((target, None), |(file, anchor)| (file, Some(anchor)));
            let path = if file.is_empty() { page.path.clone() } else { page.path.parent().unwrap().join(file) };
            assert!(path.exists(), "{name}: the link {target} leads nowhere");
            if let Some(anchor) = anchor {
                let text = fs::read_to_string(&path).unwrap();
                let heads = text.lines().filter(|line| line.starts_with('#')).map(slug);
                assert!(heads.into_iter().any(|head| head == anchor), "{name}: there is no heading for {target}");
            }
            checked += 1;
        }
        let folders = ["src/", "tests/", "benches/", "scripts/", "scenarios/", "docs/", "assets/"];
        for code in page.code().iter().filter(|code| folders.iter().any(|folder| code.starts_with(folder))) {
            let path = code.split([' ', '*']).next().unwrap();
            assert!(path.contains("NAME") || root().join(path).exists(), "{name}: there is no {path}");
        }
    }
    assert!(checked > 20, "only {checked} links were found: does the scan still work?");
}

/// The anchor of a heading, as GitHub makes it.
fn slug(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text.chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
    kept.collect::<String>().replace(' ', "-")
}

#[test]
fn every_page_is_in_the_index() {
    let index = page("README").text;
    for page in pages().iter().filter(|page| page.path.parent() == Some(&root().join("docs"))) {
        let file = page.path.file_name().unwrap().to_string_lossy().into_owned();
        assert!(file == "README.md" || index.contains(&format!("]({file})")), "docs/README.md does not list {file}");
    }
}

#[test]
fn every_test_that_the_docs_name_exists() {
    let mut sources = Vec::new();
    read_sources(&root().join("src"), &mut sources);
    read_sources(&root().join("tests"), &mut sources);
    let mut checked = 0;
    for page in pages() {
        let names = page.code().into_iter().filter(|code| {
            code.matches('_').count() > 3
                && code.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        });
        for name in names {
            let declared = format!("fn {name}(");
            assert!(sources.iter().any(|text| text.contains(&declared)), "{}: there is no test {name}", page.name());
            checked += 1;
        }
    }
    assert!(checked > 5, "only {checked} tests were found: does the scan still work?");
}

fn read_sources(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(fs::read_to_string(&path).unwrap());
        }
    }
}
