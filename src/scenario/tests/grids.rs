use super::*;

#[test]
fn a_grid_sets_every_combination_last_axis_fastest() {
    let text = with(
        "[[grid]]\n\"corrupt.missing-modality.rate\" = [0, 0.5]\n\"strategy\" = [\"fedavg\", { fedprox = { mu = 0.5 } }]\n",
    );
    let points = good(&text, &[]).points;
    let grid = &points.grids[0];
    assert_eq!(grid.axes[0].path, "corrupt.missing-modality.rate");
    assert_eq!(grid.axes[0].labels, ["0", "0.5"]);
    assert_eq!(grid.axes[0].numbers, Some(vec![0.0, 0.5]));
    assert_eq!(grid.axes[1].labels, ["fedavg", "fedprox (mu 0.5)"]);
    assert_eq!(grid.axes[1].numbers, None);
    let cells = [(vec![0, 0], 0), (vec![0, 1], 1), (vec![1, 0], 2), (vec![1, 1], 3)];
    assert_eq!(grid.cells, cells);
    let info = &points.points[3].info;
    assert_eq!(info.strategy, "fedprox (mu 0.5)");
    let settings = [("corrupt.missing-modality.rate", "0.5"), ("strategy", "fedprox (mu 0.5)")];
    assert_eq!(info.settings, settings.map(|(a, b)| (a.to_string(), b.to_string())));
}

#[test]
fn equal_points_of_several_grids_run_once() {
    let text = with(
        "[[grid]]\n\"corrupt.missing-modality.rate\" = [0.0, 0.5]\n[[grid]]\n\"corrupt.label-noise.rate\" = [0.0, 0.5]\n",
    );
    let points = good(&text, &[]).points;
    assert_eq!(points.points.len(), 3);
    assert_eq!(points.grids[1].cells, [(vec![0], 0), (vec![1], 2)]);
    assert_eq!(points.points[0].info.settings.len(), 2);
}

#[test]
fn what_every_grid_sets_may_be_missing_from_the_base() {
    let text = with("[[grid]]\nstrategy = [\"fedavg\", \"median\"]\n").replace("strategy = \"fedavg\"\n", "");
    assert_eq!(good(&text, &[]).points.points.len(), 2);
    let message = refused(&format!("{text}[[grid]]\n\"train.rounds\" = [1]\n"), &[]);
    assert!(message.starts_with("x.toml: strategy\n  is missing"), "{message}");
}

#[test]
fn faults_of_axes_name_their_line_and_value_once() {
    let text = with(
        r#"[[grid]]
"corrupt.mising-modality.rate" = [0.0, 0.5]
"train.rounds" = [0, 1, "many"]
"strategy" = ["fedavg", "fedvag"]
"train.batch" = 16
"train.epochs" = []
seeds = [1]
train.cohort = [1]
"model.head" = [8, 8]
"#,
    );
    let choices = crate::strategy::CHOICES.iter().map(|about| about.name).collect::<Vec<_>>().join(", ");
    let expected = format!(
        r#"x.toml:10: corrupt.mising-modality
  is not a key of [corrupt]; allowed: label-noise, missing-labels, missing-modality, replay, test. Did you mean missing-modality?
x.toml:11: train.rounds = 0
  is too small; allowed: a whole number from 1.
x.toml:11: train.rounds = "many"
  is a string; allowed: a whole number from 0.
x.toml:12: strategy = "fedvag"
  is not a strategy; allowed: {choices}. Did you mean fedavg?
x.toml:13: train.batch = 16
  is not an axis; allowed: a list of values. Write "train.batch" = [16].
x.toml:14: train.epochs = []
  has no values; allowed: a list of at least one value. Remove the axis or give it values.
x.toml:15: seeds
  cannot be an axis; allowed: a key of data, model, train, strategy, …. Every point runs with every seed, so that points are compared seed by seed: write seeds = […] at the top.
x.toml:16: train
  overlaps the axis train.rounds; allowed: axes of different keys. Merge the two, or write two grids.
x.toml:17: model.head
  holds 8 twice; allowed: every value once. Remove one.
9 faults in x.toml"#
    );
    assert_eq!(refused(&text, &[]), expected);
}

#[test]
fn an_unquoted_axis_path_is_told_to_be_quoted() {
    let expected = "x.toml:10: train
  is not an axis; allowed: a list of values. Quote the whole path: \"a.b\" = [ … ].
1 fault in x.toml";
    assert_eq!(refused(&with("[[grid]]\ntrain.rounds = [1]\n"), &[]), expected);
}

#[test]
fn an_impossible_cell_names_the_settings_it_was_met_with() {
    let text = with("[[grid]]\n\"train.cohort\" = [2, 5]\n\"strategy\" = [\"fedavg\", { trimmed-mean = { f = 2 } }]\n");
    let message = refused(&text, &[]);
    assert!(message.starts_with("x.toml:11: strategy.trimmed-mean.f = 2\n"), "{message}");
    assert!(message.ends_with(" First met with train.cohort = 2.\n1 fault in x.toml"), "{message}");
    let points = good(&text.replace("[[grid]]", "[[grid]]\nskip-impossible = true"), &[]).points;
    assert_eq!((points.impossible, points.points.len()), (1, 3));
    assert_eq!(points.grids[0].cells, [(vec![0, 0], 0), (vec![1, 0], 1), (vec![1, 1], 2)]);
}

#[test]
fn all_grids_together_have_a_limit_of_cells() {
    let list = |n: usize| (1..=n).map(|i| i.to_string()).collect::<Vec<_>>().join(", ");
    let large = format!("[[grid]]\n\"train.rounds\" = [{}]\n\"train.batch\" = [{}]\n", list(400), list(250));
    let message = refused(&with(&format!("[[grid]]\n\"train.rounds\" = [1, 2]\n\n{large}")), &[]);
    let expected = "x.toml:12: grid
  has too many cells; allowed: up to 100000 in all grids. Shorten its axes.
1 fault in x.toml";
    assert_eq!(message, expected);
}

#[test]
fn a_grid_of_which_nothing_is_left_is_a_fault() {
    let text = with("[[grid]]\nskip-impossible = true\n\"train.rounds\" = [0]\n");
    let expected = "x.toml:9: grid
  has no possible cell; the first one: train.rounds is too small; allowed: a whole number from 1; allowed: a grid with at least one possible cell.
1 fault in x.toml";
    assert_eq!(refused(&text, &[]), expected);
}

#[test]
fn a_fault_of_the_base_is_one_fault_however_many_cells_have_it() {
    let text = with("[[grid]]\n\"train.batch\" = [4, 8, 16]\n").replace("rounds = 3", "rounds = 0");
    let expected = "x.toml:7: train.rounds = 0\n  is too small; allowed: a whole number from 1.\n1 fault in x.toml";
    assert_eq!(refused(&text, &[]), expected);
}

#[test]
fn two_choices_at_once_are_refused() {
    let text = with("[[grid]]\n\"strategy.fedprox.mu\" = [0.1]\n");
    let message = refused(&text, &[]);
    assert!(
        message.starts_with("x.toml:10: strategy\n  names 2 choices (fedavg, fedprox); allowed: one of "),
        "{message}"
    );
}

#[test]
fn an_attack_is_an_axis_and_its_clean_cells_are_one_point() {
    let text = with(
        "[[grid]]\n\"attack.kind\" = [\"none\", \"sign-flip\", { alie = { z = 1.5 } }]\n\"attack.byzantine\" = [0.0, 0.2]\n",
    );
    let loaded = good(&text, &[]);
    let points = &loaded.points;
    assert_eq!(points.grids[0].axes[0].labels, ["none", "sign-flip", "alie (z 1.5)"]);
    let cells: Vec<usize> = points.grids[0].cells.iter().map(|(_, point)| *point).collect();
    assert_eq!(cells, [0, 0, 0, 1, 0, 2]);
    assert_eq!(points.points[0].canonical, good(BASE, &[]).points.points[0].canonical, "no attack is no attack");
}

#[test]
fn an_attack_on_a_yardstick_is_refused_or_left_out() {
    let attack = BASE.replace("[train]", "[attack]\nkind = \"zero\"\n\n[train]");
    let grid = "[[grid]]\nstrategy = [\"fedavg\", \"centralised\"]\n";
    let message = refused(&format!("{attack}{grid}"), &[]);
    let expected = "x.toml:7: attack.kind = \"zero\"\n  has no updates to act on: the strategy sends none; allowed: none. Leave \
        the attack out, set skip-impossible = true in the grid, or name another strategy. First met with strategy = centralised.\n\
        1 fault in x.toml";
    assert_eq!(message, expected);
    assert_eq!(good(&format!("{attack}{grid}skip-impossible = true\n"), &[]).points.points.len(), 1);
}

#[test]
fn set_picks_a_grid_by_its_name() {
    let text = with(
        "[[grid]]\nname = \"labels\"\n\"corrupt.missing-labels.rate\" = [0.1, 0.5]\n\
        [[grid]]\nname = \"sensors\"\n\"corrupt.missing-modality.rate\" = [0.1, 0.3, 0.5]\n",
    );
    assert_eq!(good(&text, &[]).points.points.len(), 5);
    let picked = good(&text, &["train.rounds=2", "grid=sensors"]);
    assert_eq!((picked.points.points.len(), picked.points.grids.len()), (3, 1));
    assert_eq!(picked.points.points[0].scenario.train.rounds, 2);
    // What is written to the results runs the same again; without a choice the names stay.
    assert_eq!(good(&picked.resolved, &[]).points.points.len(), 3);
    assert_eq!(good(&good(&text, &[]).resolved, &["grid=labels"]).points.points.len(), 2);
    let expected = "--set grid=sensor
  names no grid; allowed: labels, sensors. Did you mean sensors?
1 fault in x.toml";
    assert_eq!(refused(&text, &["grid=sensor"]), expected);
    let expected = "x.toml:12: grid.name = labels
  is the name of another grid; allowed: every name once.
1 fault in x.toml";
    assert_eq!(refused(&text.replace("sensors", "labels"), &[]), expected);
}

#[test]
fn scales_of_scores_cannot_vary_over_a_grid() {
    let text = with("[[grid]]\n\"evaluate.metric\" = [\"accuracy\", \"uar\"]\n\"evaluate.every\" = [1, 2]\n");
    let said = refused(&text, &[]);
    let expected = "evaluate.metric\n  cannot be an axis; allowed: a key of data, model, train, strategy, …. Points of one study are compared on one scale, and runs.csv has every metric anyway: set it once, at the top.\n1 fault in x.toml";
    assert!(said.ends_with(expected), "{said}");
    let whole = with("[[grid]]\nevaluate = [{ metric = \"uar\" }]\n");
    assert!(refused(&whole, &[]).contains("Write the keys that vary one by one."));
}
