//! Rules as users meet them: of their own, block by block, private, with their limits.

use super::support::{Bench, TINY, table};
use fedrobust::aggregate::rule::limits::LIMITS;
use std::fs;
use std::path::Path;

/// A bench with the custom modules beside its scenario.
fn bench(strategy: &str, more: &str) -> Bench {
    let bench = Bench::new(&(TINY.replace("strategy = \"fedavg\"", &format!("strategy.custom = {strategy}")) + more));
    for name in ["weighted_median.pt", "faulty.pt"] {
        fs::copy(fixtures().join(name), bench.path(name)).unwrap();
    }
    bench
}

fn fixtures() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/torchscript")
}

fn names(bench: &Bench) -> Vec<String> {
    bench.checked(&[]).unwrap().plan.runs.into_iter().map(|run| run.fingerprint).collect()
}

#[test]
fn a_rule_of_ones_own_runs_from_a_scenario_and_its_content_names_the_run() {
    let module = |path: &str| format!("{{ aggregate.torchscript = {{ path = '{path}' }} }}");
    let first = bench(&module("weighted_median.pt"), "");
    assert!(first.run("out", &[]).err.is_empty() || first.path("out/runs.csv").exists());
    assert!(table(&first.read("out/runs.csv")).iter().all(|run| run["status"] == "finished"));
    let moved = bench(&module("elsewhere/rule.pt"), "");
    fs::create_dir(moved.path("elsewhere")).unwrap();
    fs::copy(fixtures().join("weighted_median.pt"), moved.path("elsewhere/rule.pt")).unwrap();
    assert_eq!(names(&first), names(&moved));
    fs::copy(fixtures().join("faulty.pt"), moved.path("elsewhere/rule.pt")).unwrap();
    assert_ne!(names(&first), names(&moved));
}

#[test]
fn a_custom_rule_that_fails_ends_its_run_with_the_round_and_the_file() {
    let bench = bench("{ aggregate.torchscript = { path = 'faulty.pt' } }", "");
    let ran = bench.ran(&["run", "x.toml", "--device", "cpu", "--out", "out", "--set", "train.cohort=2"]);
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    let runs = table(&bench.read("out/runs.csv"));
    for run in &runs {
        assert_eq!((run["status"].as_str(), run["rounds"].as_str()), ("failed", "0"));
        assert!(
            run["message"].contains("faulty.pt: gave a tensor of shape [2, 127]; a rule gives [P] = [127]"),
            "{}",
            run["message"]
        );
    }
    assert!(ran.err.contains("round 1") && ran.err.contains("faulty.pt"), "{}", ran.err);
}

#[test]
fn a_custom_rule_that_is_not_there_is_refused_before_anything_runs() {
    let bench = bench("{ aggregate.torchscript = { path = 'none.pt' } }", "");
    let said = bench.refused(&[]);
    let start = "x.toml:3: none.pt: cannot read this custom rule: No such file or directory (os error 2); ";
    assert!(said.starts_with(start), "{said}");
}

#[test]
fn a_custom_rule_works_on_a_matrix_from_the_shell() {
    let bench = bench("{}", "");
    bench.write("rows.csv", "1,9\n2,8\n5,1\n");
    let spec = "torchscript = { path = 'weighted_median.pt' }";
    let ran = bench.ran(&["aggregate", spec, "rows.csv"]);
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (Some(0), "2,8\n", ""));
    let weighted = bench.ran(&["aggregate", spec, "rows.csv", "--samples", "1,1,7"]);
    assert_eq!(weighted.out, "5,1\n");
}

#[test]
fn blocks_are_aggregated_over_their_owners_and_those_without_one_are_counted() {
    let lost = "[corrupt]\nmissing-modality = { rate = 0.0, rates.motion = 1.0, per = 'client' }\n";
    let apart = bench("{ per-block = true }", lost);
    apart.run("out", &[]);
    let rows = table(&apart.read("out/rounds.csv"));
    assert!(rows.len() == 6 && rows.iter().all(|row| row["stayed"] == "1"), "nobody has motion");
    let whole = bench("{}", lost);
    whole.run("out", &[]);
    assert!(table(&whole.read("out/rounds.csv")).iter().all(|row| row["stayed"] == "0"));
}

#[test]
fn a_block_of_another_name_is_refused_with_those_there_are() {
    let said = bench("{ per-block = true, aggregate.krum.f = 0, blocks.smell.f = 0 }", "").refused(&[]);
    let expected = "x.toml:3: strategy.custom.blocks.smell = { f = 0 }\n  names no block of the model; allowed: motion, sound, fusion.\n\
        1 fault in x.toml";
    assert_eq!(said, expected);
}

#[test]
fn a_round_with_too_few_rows_fails_the_run_or_is_counted() {
    let sparse = "[corrupt]\nmissing-modality = { rate = 0.0, rates.motion = 0.8, per = 'client', exact = true }\n";
    let strict = bench("{ per-block = true, aggregate.trimmed-mean = { f = 1 } }", sparse);
    let ran = strict.ran(&["run", "x.toml", "--device", "cpu", "--out", "out"]);
    assert_eq!(ran.code, Some(1));
    let message = &table(&strict.read("out/runs.csv"))[0]["message"];
    assert!(message.starts_with("block motion: trimmed-mean with f = 1 met a round with 1 rows"), "{message}");
    let lenient = bench("{ per-block = true, too-few = 'skip', aggregate.trimmed-mean = { f = 1 } }", sparse);
    lenient.run("out", &[]);
    assert!(table(&lenient.read("out/runs.csv")).iter().all(|run| run["stayed"] == "3" && run["status"] == "finished"));
}

#[test]
fn what_privacy_was_spent_stands_in_rows_runs_and_report() {
    let bench = bench("{ aggregate.dp-mean = { noise = 4.0, delta = 1e-3 } }", "");
    bench.run("out", &[]);
    let spent: Vec<f64> =
        table(&bench.read("out/rounds.csv"))[..3].iter().map(|row| row["epsilon"].parse().unwrap()).collect();
    assert!(spent.is_sorted() && spent[0] > 0.0 && spent[2] > spent[0], "{spent:?}");
    assert_eq!(table(&bench.read("out/runs.csv"))[0]["epsilon"].parse::<f64>().unwrap(), spent[2]);
    let page = bench.read("out/report.html");
    assert!(page.contains("Privacy") && page.contains("cohort of fixed size"));
}

#[test]
fn the_listing_tells_what_every_rule_assumes_where_it_breaks_and_what_it_costs() {
    let bench = Bench::new("");
    let out = bench.ran(&["list", "aggregate"]).out;
    let choices: Vec<&str> = out.split("\n\n").skip(1).collect();
    assert_eq!(choices.len(), LIMITS.len());
    for (choice, limits) in choices.iter().zip(LIMITS) {
        assert!(choice.starts_with(&format!("{}\n", limits.name)), "{choice}");
        for (name, text) in [("assumes  ", limits.assumes), ("breakdown", limits.breakdown), ("cost     ", limits.cost)]
        {
            assert!(
                choice.contains(&format!("\n  {name} {text}\n")) || choice.ends_with(&format!("  {name} {text}")),
                "{choice}"
            );
        }
        assert!(choice.contains("\n  formula   "), "{choice}");
        assert!(choice.contains("\n  source    ") || limits.name == "torchscript", "{choice}");
    }
}

#[test]
fn the_server_trains_on_data_of_its_own_and_trusts_what_agrees_with_it() {
    let attack = "[attack]\nbyzantine = 1\nkind.ipm = { scale = 20.0 }\n";
    let taken = bench("{ aggregate.fltrust = { samples = 20 } }", attack);
    taken.run("out", &["--set", "train.rounds=8", "--set", "train.batch=4"]);
    let rows = table(&taken.read("out/rounds.csv"));
    assert!(rows.iter().all(|row| row["clients"] == "3" && row["byzantine"] == "1"), "the server is no client");
    let last = |bench: &Bench| {
        let losses = table(&bench.read("out/runs.csv"))
            .iter()
            .map(|run| run["last_loss"].parse::<f64>().ok())
            .collect::<Vec<_>>();
        losses.into_iter().map(|loss| loss.unwrap_or(f64::INFINITY)).fold(0.0, f64::max)
    };
    let averaged = bench("{}", attack);
    averaged.ran(&[
        "run",
        "x.toml",
        "--device",
        "cpu",
        "--out",
        "out",
        "--set",
        "train.rounds=8",
        "--set",
        "train.batch=4",
    ]);
    assert!(last(&taken) < last(&averaged), "{} {}", last(&taken), last(&averaged));
}

#[test]
fn named_clients_leave_the_population_and_become_the_servers() {
    let named = bench("{ aggregate.fltrust = { clients = ['NAME'] } }", "");
    let said = named.refused(&[]);
    let clients = said.split("allowed: ").nth(1).unwrap().split(['.', '\n']).next().unwrap();
    let first = clients.split(", ").next().unwrap();
    assert!(said.contains("strategy.custom.aggregate.fltrust.clients") && said.contains("NAME is no client"), "{said}");
    let text = named.read("x.toml").replace("NAME", first);
    named.write("x.toml", &text);
    let all = bench("{}", "").checked(&[]).unwrap().clients[0];
    assert_eq!(named.checked(&[]).unwrap().clients, [all - 1]);
}

#[test]
fn root_data_that_cannot_be_is_refused_before_anything_runs() {
    let said = |strategy: &str| bench(strategy, "").refused(&[]);
    assert!(said("{ aggregate = 'fltrust' }").contains("100 samples for the server leave none of the "));
    let on = said("{ on.gradient = {}, aggregate.fltrust.samples = 5 }");
    assert!(on.contains("strategy.custom.on") && on.contains("is not what fltrust's server makes"), "{on}");
    let local = said("{ local.scaffold = {}, aggregate.fltrust.samples = 5 }");
    assert!(
        local.contains("strategy.custom.local") && local.contains("sends what fltrust's server does not make"),
        "{local}"
    );
}

#[test]
fn fltrust_works_on_a_matrix_from_the_shell_with_the_servers_row() {
    let bench = bench("{}", "");
    bench.write("rows.csv", "3,4\n-1,0\n");
    bench.write("own.csv", "2,0\n");
    let ran = bench.ran(&["aggregate", "fltrust", "rows.csv", "--server", "own.csv"]);
    let numbers: Vec<f64> = ran.out.trim().split(',').map(|x| x.parse().unwrap()).collect();
    assert!((numbers[0] - 1.2).abs() < 1e-6 && (numbers[1] - 1.6).abs() < 1e-6, "{}", ran.out);
    let ran = bench.ran(&["aggregate", "fltrust", "rows.csv"]);
    assert_eq!((ran.code, ran.err.contains("--server FILE (one row)")), (Some(2), true), "{}", ran.err);
    let ran = bench.ran(&["aggregate", "fltrust", "rows.csv", "--server", "rows.csv"]);
    let said = "--server rows.csv: holds 2 rows of 2 numbers; give one row of 2, as long as the updates";
    assert!(ran.code == Some(2) && ran.err.contains(said), "{}", ran.err);
}
