use super::baseline::{Baseline, Cell, Run};
use super::judge::{How, Outcome, Verdict, judge};
use super::show;
use crate::record::Origin;
use crate::seed::Stream;
use rand::Rng;
use rand_distr::StandardNormal;

fn run(seed: u64, digest: &str, score: f64) -> Run {
    let (score, log_loss) = (Some(score), Some(-score));
    Run { seed, stop: "finished".into(), digest: digest.into(), score, log_loss }
}

fn cell(label: &str, runs: Vec<Run>) -> Cell {
    Cell { label: label.into(), point: label.into(), runs }
}

fn baseline(cells: Vec<Cell>) -> Baseline {
    Baseline {
        format: 2,
        scenario: "ci".into(),
        reason: "first".into(),
        origin: Origin {
            version: "0.1.0".into(),
            commit: None,
            libtorch: "2.11.0".into(),
            device: "cpu".into(),
            threads: 2,
            numerics: 2,
            machine: "here".into(),
        },
        metric: "macro-F1".into(),
        margin: 0.02,
        cells,
    }
}

/// Two cells of three seeds.
fn then() -> Baseline {
    let runs = |from: f64| (0..3).map(|i| run(i, &format!("{from}{i}"), from + 0.01 * i as f64)).collect();
    baseline(vec![cell("median", runs(0.8)), cell("a | <b>", runs(0.6))])
}

/// The same with the scores of the second cell moved, and other digests there.
fn moved(by: [f64; 3]) -> Baseline {
    let mut now = then();
    for (run, by) in now.cells[1].runs.iter_mut().zip(by) {
        run.score = run.score.map(|score| score + by);
        run.log_loss = run.log_loss.map(|loss| loss - by);
        run.digest = format!("moved {by}");
    }
    now
}

fn elsewhere(mut now: Baseline) -> Baseline {
    now.origin.machine = "there".into();
    now
}

fn verdicts(outcome: &Outcome) -> Vec<Verdict> {
    outcome.cells.iter().map(|cell| cell.verdict).collect()
}

#[test]
fn on_the_same_machine_the_smallest_change_is_seen() {
    let same = judge(&then(), &then(), true).unwrap();
    assert_eq!((same.how, verdicts(&same), same.passed()), (How::Digests, vec![Verdict::Identical; 2], true));
    let outcome = judge(&then(), &moved([1e-9; 3]), true).unwrap();
    assert_eq!(verdicts(&outcome), [Verdict::Identical, Verdict::Changed]);
    assert_eq!(outcome.cells[1].why, "digests of seeds 0, 1, 2 differ, though scores are equivalent");
}

#[test]
fn one_seed_is_compared_to_the_digit_or_not_at_all() {
    let one = || {
        let mut one = then();
        one.cells.iter_mut().for_each(|cell| cell.runs.truncate(1));
        one
    };
    assert!(judge(&one(), &one(), true).unwrap().passed());
    let remedy = "needed: two seeds or more in the scenario and in the baseline, made anew with --bless --reason 'WHY'";
    let refused = |then: &Baseline, now: &Baseline| judge(then, now, true).unwrap_err().to_string();
    let elsewhere = refused(&one(), &elsewhere(one()));
    assert_eq!(elsewhere, format!("one seed shows no equivalence (the machine is another one); {remedy}"));
    let fewer = refused(&then(), &one());
    assert_eq!(fewer, format!("one seed shows no equivalence (the seeds are others); {remedy}"));
}

#[test]
fn a_baseline_has_the_same_seeds_in_every_cell_in_any_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.json");
    let read = |change: &dyn Fn(&mut Baseline)| {
        let mut baseline = then();
        change(&mut baseline);
        baseline.write(&path).unwrap();
        Baseline::read(&path).map_err(|error| error.to_string().replace(&path.display().to_string(), "FILE"))
    };
    assert_eq!(read(&|_| {}).unwrap(), then());
    assert_eq!(read(&|baseline| baseline.cells[1].runs.reverse()).unwrap(), then());
    let remedy =
        "every cell needs the same; take it from version control again, or make it anew with --bless --reason 'WHY'";
    for (cut, name, has) in [(1, "a | <b>", "seeds 0, 1"), (0, "a | <b>", "seeds 0, 1, 2")] {
        let error = read(&|baseline| drop(baseline.cells[cut].runs.pop())).unwrap_err();
        let wanted = if cut == 1 { "seeds 0, 1, 2" } else { "seeds 0, 1" };
        assert_eq!(error, format!("FILE: the cell '{name}' has runs of {has}, the first cell of {wanted}; {remedy}"));
    }
    let empty = read(&|baseline| baseline.cells.iter_mut().for_each(|cell| cell.runs.clear())).unwrap_err();
    assert_eq!(empty, format!("FILE: the cell 'median' has runs of no seed, the first cell of no seed; {remedy}"));
}

#[test]
fn digests_speak_only_where_machine_libtorch_device_and_seeds_are_the_same() {
    let now = moved([1e-9; 3]);
    let how =
        |now: &Baseline, digests| judge(&then(), now, digests).map(|o| (o.how, o.because, o.cells[1].verdict)).unwrap();
    let equivalent = |because: &str| (How::Paired, because.to_string(), Verdict::Equivalent);
    assert_eq!(how(&now, false), equivalent("digests were left out"));
    assert_eq!(how(&elsewhere(now.clone()), true), equivalent("the machine is another one"));
    let other = |set: fn(&mut Origin)| {
        let mut now = now.clone();
        set(&mut now.origin);
        now
    };
    assert_eq!(how(&other(|o| o.libtorch = "2.12.0".into()), true), equivalent("libtorch is another one"));
    assert_eq!(how(&other(|o| o.device = "cuda:0".into()), true), equivalent("a GPU may round otherwise each time"));
    assert_eq!(how(&other(|o| o.threads = 8), true).0, How::Digests, "threads change no digit");
}

#[test]
fn elsewhere_equivalence_must_be_shown_and_a_wide_interval_is_no_proof() {
    let changed = |by| !judge(&then(), &elsewhere(moved(by)), true).unwrap().passed();
    assert!(!changed([0.001, -0.002, 0.0005]));
    assert!(changed([0.03, 0.03, 0.03]), "beyond the margin");
    assert!(changed([0.0, 0.0, 0.03]), "within it on average, but not surely");
    assert!(changed([0.019, 0.0, -0.019]), "no difference on average, but three seeds that say so of nothing");
}

#[test]
fn a_run_that_ends_otherwise_is_a_change() {
    let mut now = elsewhere(then());
    now.cells[0].runs[2].stop = "diverged in round 3".into();
    let outcome = judge(&then(), &now, true).unwrap();
    assert_eq!(outcome.cells[0].why, "seed 2 finished and now diverged in round 3");
    now.cells[1].runs[0].score = None;
    let outcome = judge(&then(), &now, true).unwrap();
    assert_eq!(outcome.cells[1].why, "seed 0 has scores in only one of the two");
}

#[test]
fn another_scenario_is_no_change_but_a_wrong_call() {
    let said = |now: &Baseline| judge(&then(), now, true).unwrap_err();
    let mut now = then();
    now.cells[1].point = "other".into();
    let remedy = "a baseline answers for one scenario: make it anew with --bless --reason 'WHY'";
    assert_eq!(said(&now).to_string(), format!("the baseline does not have the cell 'a | <b>' as it is now; {remedy}"));
    assert_eq!(said(&now).exit_code(), 2);
    now.cells.pop();
    assert_eq!(said(&now).to_string(), format!("the scenario no longer has the baseline's cell 'a | <b>'; {remedy}"));
    let mut now = then();
    now.cells.reverse();
    assert_eq!(said(&now).to_string(), format!("the cells stand in another order than in the baseline; {remedy}"));
    let accuracy = Baseline { metric: "accuracy".into(), ..then() };
    assert_eq!(
        said(&accuracy).to_string(),
        format!("the baseline holds macro-F1, the scenario asks for accuracy; {remedy}")
    );
}

/// A study of `cells` cells with other levels and a deviation of 0.02 over `n` seeds.
fn drawn(cells: usize, n: u64, first: u64, shift: f64) -> Baseline {
    let mut rng = Stream::root(first).named("scores").rng();
    let mut draw = |c: usize| -> Vec<Run> {
        (0..n)
            .map(|i| run(first + i, "", 0.3 + 0.01 * c as f64 + shift + 0.02 * rng.sample::<f64, _>(StandardNormal)))
            .collect()
    };
    baseline((0..cells).map(|c| cell(&format!("cell {c}"), draw(c))).collect())
}

#[test]
fn other_seeds_cry_seldom_and_a_large_change_is_seen() {
    let gates: Vec<(Baseline, u64)> = (0..200).map(|i| (drawn(20, 5, 1000 * i, 0.0), 1000 * i + 500)).collect();
    let cries = gates.iter().filter(|(then, first)| {
        let outcome = judge(then, &drawn(20, 5, *first, 0.0), true).unwrap();
        assert_eq!((outcome.how, outcome.because.as_str()), (How::OtherSeeds, "the seeds are others"));
        !outcome.passed()
    });
    let cries = cries.count();
    assert!(cries <= 8, "{cries} of 200 gates cried, about 2 should");
    assert!(gates.iter().all(|(then, first)| !judge(then, &drawn(20, 5, *first, 0.1), true).unwrap().passed()));
}

#[test]
fn a_run_that_diverges_on_other_seeds_is_a_change() {
    let (then, mut now) = (drawn(3, 5, 0, 0.0), drawn(3, 5, 500, 0.0));
    now.cells[1].runs[0].stop = "diverged in round 2".into();
    let outcome = judge(&then, &now, true).unwrap();
    assert_eq!(outcome.cells[1].why, "no run broke off before, now one diverged in round 2");
}

#[test]
fn a_run_that_fails_is_a_change_that_says_why() {
    let (then, mut now) = (drawn(3, 5, 0, 0.0), drawn(3, 5, 0, 0.0));
    assert!(now.failed().is_none());
    let run = &mut now.cells[2].runs[1];
    run.stop = "failed in round 2: the rule wants 5 rows".into();
    (run.digest, run.score, run.log_loss) = ("other".into(), None, None);
    let seed = now.failed().unwrap().1.seed;
    for digests in [true, false] {
        let outcome = judge(&then, &now, digests).unwrap();
        let why = &outcome.cells[2].why;
        assert!(
            why.contains(&format!("seed {seed} finished and now failed in round 2: the rule wants 5 rows")),
            "{why}"
        );
        assert!(
            show::junit(&outcome, &then, 1.0)
                .is_ok_and(|xml| String::from_utf8_lossy(&xml).contains("the rule wants 5 rows"))
        );
    }
}

#[test]
fn the_table_names_what_changed_and_why() {
    let outcome = judge(&then(), &elsewhere(moved([0.03; 3])), true).unwrap();
    let expected = "gate FAILED: of 2 cells 0 identical, 1 equivalent, 1 changed
compared by equivalence over 3 paired seeds: the machine is another one; margin ±0.02 of macro-F1 and of the log loss; a change as large as the margin passes in at most 5 of 100

changed  a | <b>
         score then: 0.6100
         now: 0.6400
         difference: +0.0300 (+0.0300 to +0.0300, margin 0.0200)
         log loss difference: -0.0300 (-0.0300 to -0.0300, margin 0.0200)
         why: score +0.0300, from +0.0300 to +0.0300, is not within ±0.02; log loss -0.0300, from -0.0300 to -0.0300, is not within ±0.02
";
    assert_eq!(show::text(&outcome, &then()), expected);
}

#[test]
fn markdown_junit_and_annotations_escape_what_labels_hold() {
    let now = elsewhere(moved([0.03; 3]));
    let outcome = judge(&then(), &now, true).unwrap();
    let markdown = show::markdown(&outcome, &then(), &now);
    let head = "## fedrobust gate: ci\n\ngate FAILED: of 2 cells 0 identical, 1 equivalent, 1 changed\n\ncompared by ";
    assert!(markdown.starts_with(head), "{markdown}");
    assert!(markdown.contains("\n| a \\| <b> | 0.6100 | 0.6400 |"), "{markdown}");
    let xml = String::from_utf8(show::junit(&outcome, &then(), 1.5).unwrap()).unwrap();
    assert!(xml.contains("tests=\"2\" skipped=\"0\" failures=\"1\" errors=\"0\""), "{xml}");
    assert!(xml.contains("<testcase name=\"a | &lt;b&gt;\" classname=\"fedrobust.gate.ci\">"), "{xml}");
    assert!(xml.contains("<failure message=\"score +0.0300, from +0.0300"), "{xml}");
    let annotations = show::annotations(&outcome, &then(), "scenarios/ci.toml");
    assert!(
        annotations
            .starts_with("::error file=scenarios/ci.toml,title=fedrobust gate%3A changed::a | <b>: score +0.0300"),
        "{annotations}"
    );
    assert_eq!(annotations.lines().count(), 1);
    let same = judge(&then(), &then(), true).unwrap();
    let notice = show::annotations(&same, &then(), "a,b.toml");
    assert!(notice.starts_with("::notice file=a%2Cb.toml,title=fedrobust gate::gate passed: of 2 cells 2 identical, 0 equivalent, 0 changed%0Acompared to the digit"), "{notice}");
}

#[test]
fn a_score_that_some_seeds_lack_is_a_change() {
    let mut now = moved([0.0; 3]);
    now.cells[1].runs[2].score = None;
    let paired = judge(&elsewhere(then()), &now, true).unwrap();
    assert_eq!(paired.cells[1].why, "seed 2 has scores in only one of the two");
    now.cells.iter_mut().flat_map(|cell| &mut cell.runs).for_each(|run| run.seed += 10);
    let others = judge(&then(), &now, true).unwrap();
    assert_eq!(others.cells[1].why, "only one of the two has a score for every seed");
    assert_eq!(others.cells[0].verdict, Verdict::Equivalent);
}

#[test]
fn a_baseline_is_read_as_it_was_written_and_a_damaged_one_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/ci.json");
    then().write(&path).unwrap();
    assert_eq!(Baseline::read(&path).unwrap(), then());
    let text = std::fs::read_to_string(&path).unwrap();
    let said = |text: &str| {
        std::fs::write(&path, text).unwrap();
        let error = Baseline::read(&path).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        error.to_string().replace(&path.display().to_string(), "ci.json")
    };
    let remedy = "take it from version control again, or make it anew with --bless --reason 'WHY'";
    assert_eq!(
        said(&text.replace("\"format\": 2", "\"format\": 9")),
        "ci.json: is a baseline of format 9, this is format 2; use the fedrobust that made it, or a newer one"
    );
    assert_eq!(
        said(&text.replace("\"format\": 2", "\"format\": 1")),
        "ci.json: is a baseline of format 1, this is format 2; make it anew with --bless --reason 'WHY'"
    );
    assert_eq!(said("{}"), format!("ci.json: is no baseline (it names no format); {remedy}"));
    assert_eq!(
        said(&text.replace("\"margin\": 0.02", "\"margin\": -1.0")),
        format!("ci.json: margin = -1: is not a number above 0; {remedy}")
    );
    assert!(said(&text[..text.len() / 2]).starts_with("ci.json: is no baseline (EOF while parsing"));
    assert!(
        said(&text.replace("\"reason\"", "\"raison\"")).starts_with("ci.json: is no baseline (unknown field `raison`")
    );
    std::fs::remove_file(&path).unwrap();
    let none = Baseline::read(&path).unwrap_err().to_string().replace(&path.display().to_string(), "ci.json");
    assert_eq!(none, "ci.json: there is no such baseline; make it with --bless --reason 'WHY', on code that you trust");
}
