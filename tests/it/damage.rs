//! Every file of a results folder, cut and spoilt in every way that a power cut, an editor or a bad disk may: a sweep goes on
//! from what is whole, says what it found, and ends with the numbers of one that nothing happened to.

use super::support::{Asked, Bench, TINY};
use fedrobust::report;
use std::fs;

/// Six rounds of two runs.
fn six() -> Bench {
    Bench::new(&TINY.replace("rounds = 3", "rounds = 6"))
}

/// Six rounds of one run.
fn alone() -> Bench {
    Bench::new(&TINY.replace("rounds = 3", "rounds = 6").replace("seeds = [1, 2]", "seeds = [1]"))
}

/// The ways in which the bytes of a file may come out wrong, each with its name.
fn harms(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let n = bytes.len();
    let lines: Vec<usize> = bytes.iter().enumerate().filter(|(_, b)| **b == b'\n').map(|(i, _)| i + 1).collect();
    let mut cuts = vec![0, 1, 8, n / 2, n.saturating_sub(1)];
    cuts.extend(lines.iter().take(2).flat_map(|&end| [end - 1, end, end + 1]));
    cuts.retain(|&cut| cut < n);
    cuts.sort_unstable();
    cuts.dedup();
    let mut harmed: Vec<(String, Vec<u8>)> =
        cuts.into_iter().map(|cut| (format!("cut to {cut} of {n} bytes"), bytes[..cut].to_vec())).collect();
    let tail = |with: &dyn Fn(usize) -> u8| -> Vec<u8> {
        let half = bytes[n / 2..].iter().enumerate().map(|(i, _)| with(i));
        bytes[..n / 2].iter().copied().chain(half).collect()
    };
    harmed.push(("second half zero".into(), tail(&|_| 0)));
    harmed.push(("second half noise".into(), tail(&|i| (i * 167 + 13) as u8)));
    harmed.push(("zeros behind".into(), [bytes, &[0; 512]].concat()));
    harmed.push(("text behind".into(), [bytes, b"7,what,is,this\n\"{"].concat()));
    if n > 0 {
        let mut flipped = bytes.to_vec();
        flipped[n / 3] ^= 4;
        harmed.push(("a bit in the first third".into(), flipped));
    }
    harmed
}

/// Harms one file of a copy of `from` in every way, sweeps on, and compares; gives the notes of all ways.
fn each_harm(bench: &Bench, from: &str, file: &dyn Fn(&str) -> String, asked: &Asked) -> Vec<(String, Vec<String>)> {
    let bytes = fs::read(bench.path(&file(from))).unwrap();
    let expected = bench.rounds("whole");
    let mut told = Vec::new();
    for (i, (name, harmed)) in harms(&bytes).into_iter().enumerate() {
        let out = format!("{from}-{i}");
        bench.copy(from, &out);
        fs::write(bench.path(&file(&out)), harmed).unwrap();
        let ended = bench.sweep(&out, asked);
        assert!(ended.failed.is_empty(), "{} {name}: {:?}", file(from), ended.failed);
        assert_eq!(bench.rounds(&out), expected, "{} {name}", file(from));
        told.push((name, ended.notes));
        fs::remove_dir_all(bench.path(&out)).unwrap();
    }
    told
}

fn first_run(bench: &Bench, out: &str) -> String {
    let mut names: Vec<String> = fs::read_dir(bench.path(out).join("runs"))
        .unwrap()
        .map(|run| run.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names.remove(0)
}

#[test]
fn a_sweep_goes_on_from_files_spoilt_in_any_way_and_says_what_it_found() {
    let bench = alone();
    bench.sweep("whole", &Asked::default());
    let stopped = bench.sweep("half", &Asked { rows: Some(3), ..Asked::default() });
    assert!(stopped.stopped);
    let run = first_run(&bench, "half");
    // A row beyond the checkpoint, as a kill leaves it.
    let whole = bench.read(&format!("whole/runs/{run}/rounds.csv"));
    bench.write(&format!("half/runs/{run}/rounds.csv"), &whole.split_inclusive('\n').take(5).collect::<String>());
    let of_run = |name: &'static str| {
        let run = run.clone();
        move |out: &str| format!("{out}/runs/{run}/{name}")
    };
    for (from, name) in [("half", "rounds.csv"), ("half", "checkpoint.safetensors"), ("whole", "manifest.json")] {
        for (harm, notes) in each_harm(&bench, from, &of_run(name), &Asked::default()) {
            // A table that ends with a whole row is what an earlier moment left; a checkpoint of zero bytes is none.
            let silent = name == "rounds.csv" && harm.starts_with("cut") && notes.is_empty();
            assert!(silent || notes.iter().any(|note| note.contains(name)), "{name} {harm}: {notes:?}");
        }
    }
    // Rows of a finished run: the manifest tells that they are not those that were computed.
    for (harm, notes) in each_harm(&bench, "whole", &of_run("rounds.csv"), &Asked::default()) {
        assert!(notes.iter().any(|note| note.contains("rounds.csv")), "rounds.csv {harm}: {notes:?}");
    }
    let length = bench.read("half/plan.json").len();
    // Without its last line break it is still a plan, and a bit may hit a text in it; both are written anew anyway.
    let sound = [format!("cut to {} of {length} bytes", length - 1), "a bit in the first third".to_string()];
    for (harm, notes) in each_harm(&bench, "half", &|out| format!("{out}/plan.json"), &Asked::default()) {
        let noted = notes.iter().any(|note| note.ends_with("plan.json: was damaged and is written anew"));
        assert!(noted || sound.contains(&harm), "{harm}: {notes:?}");
    }
    for name in ["scenario.toml", ".lock"] {
        each_harm(&bench, "half", &|out| format!("{out}/{name}"), &Asked::default());
    }
}

#[test]
fn a_kept_model_that_is_spoilt_is_computed_again() {
    let bench = six();
    let asked = Asked { sets: vec!["save-model=true".into()], ..Asked::default() };
    bench.sweep("whole", &asked);
    let run = first_run(&bench, "whole");
    let model = |out: &str| format!("{out}/runs/{run}/model.safetensors");
    let bytes = fs::read(bench.path(&model("whole"))).unwrap();
    for spoilt in [&bytes[..bytes.len() - 1], b"", &[bytes.as_slice(), b"\0"].concat()] {
        fs::write(bench.path(&model("whole")), spoilt).unwrap();
        let ended = bench.sweep("whole", &asked);
        assert_eq!((ended.before, ended.finished), (1, 1));
        assert_eq!(fs::read(bench.path(&model("whole"))).unwrap(), bytes);
    }
}

#[test]
fn tables_after_repairs_equal_those_of_an_undisturbed_sweep() {
    let bench = six();
    bench.sweep("whole", &Asked::default());
    report::write(&bench.path("whole")).unwrap();
    bench.sweep("torn", &Asked { rows: Some(4), ..Asked::default() });
    report::write(&bench.path("torn")).unwrap();
    let run = first_run(&bench, "torn");
    for file in ["plan.json", "runs.csv", "report.html", &format!("runs/{run}/checkpoint.safetensors")] {
        let path = bench.path("torn").join(file);
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    }
    let ended = bench.sweep("torn", &Asked::default());
    assert_eq!(ended.notes.len(), 2, "{:?}", ended.notes);
    report::write(&bench.path("torn")).unwrap();
    assert_eq!(bench.tables("torn"), bench.tables("whole"));
}

#[test]
fn a_row_that_was_edited_is_told_by_its_round() {
    let bench = six();
    bench.sweep("out", &Asked::default());
    let whole = bench.rounds("out");
    let run = first_run(&bench, "out");
    let rows = format!("out/runs/{run}/rounds.csv");
    let text = bench.read(&rows);
    let line = text.lines().nth(3).unwrap();
    let (round, rest) = line.split_once(',').unwrap();
    let (_loss, rest) = rest.split_once(',').unwrap();
    bench.write(&rows, &text.replace(line, &format!("{round},0.125,{rest}")));
    let notes = bench.sweep("out", &Asked::default()).notes;
    let ending = |end: &str| notes.iter().filter(|note| note.ends_with(end)).count();
    let edited = "tells of other numbers than rounds.csv beside it, so one of the two was edited; the run counts as not finished";
    assert_eq!(ending(edited), 1, "{notes:?}");
    assert_eq!(ending("round 3 came out different from the row of an earlier attempt"), 1, "{notes:?}");
    assert_eq!(notes.len(), 2, "{notes:?}");
    assert_eq!(bench.rounds("out"), whole);
}
