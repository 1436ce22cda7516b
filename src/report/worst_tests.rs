use super::plot;
use super::read::{Run, Study};
use super::repeats::{Repeat, Together, together};
use super::worst::{boards, table, text};
use crate::record::*;
use crate::shard::Shard;

const ATTACKS: [&str; 7] =
    ["sign-flip", "none", "alie (z 1.5)", "min-max", "fang-trimmed-mean", "mimic (target learned)", "label-flip"];

fn axis(path: &str, labels: &[&str]) -> Axis {
    let numbers = labels.iter().map(|l| l.parse().ok()).collect();
    Axis { path: path.into(), labels: labels.iter().map(|l| l.to_string()).collect(), numbers }
}

/// Shares × missing rates × attacks × strategies with one evaluated round a run; `score` is told the cell in that order.
pub(super) fn study(
    attacks: &[&str],
    strategies: &[&str],
    shares: &[&str],
    rates: &[&str],
    score: impl Fn(&[usize]) -> Option<f64>,
) -> Study {
    let axes = vec![
        axis("attack.kind", attacks),
        axis("attack.byzantine", shares),
        axis("corrupt.missing-modality.rate", rates),
        axis("strategy", strategies),
    ];
    let (mut points, mut runs, mut cells) = (Vec::new(), Vec::new(), Vec::new());
    let counts: Vec<usize> = axes.iter().map(|axis| axis.labels.len()).collect();
    for flat in 0..counts.iter().product() {
        let mut rest = flat;
        let mut cell: Vec<usize> = counts.iter().rev().map(|n| (rest % n, rest /= n).0).collect();
        cell.reverse();
        let settings = axes.iter().zip(&cell).map(|(axis, &i)| (axis.path.clone(), axis.labels[i].clone())).collect();
        let score = score(&cell);
        cells.push((cell, flat));
        points.push(PointInfo { strategy: strategies[flat % strategies.len()].into(), settings });
        runs.push((flat, score));
    }
    let info = |point| RunInfo { point, seed: 8, rounds: 3, fingerprint: format!("{point:032x}") };
    let plan = Plan {
        name: "byzantine".into(),
        seeds: vec![8],
        rounds: 1,
        runs: runs.iter().map(|&(point, _)| info(point)).collect(),
        grids: vec![Grid { axes, cells }],
        points,
        ..super::fake::Fake::default().plan()
    };
    let runs = runs.into_iter().map(|(point, score)| run(&plan, info(point), score)).collect();
    let Together { plan, count, .. } = together(&plan);
    let shard = Shard::WHOLE;
    Study {
        whole: plan.clone(),
        plan,
        repeats: count,
        scenario: String::new(),
        runs,
        notes: vec![],
        has_dev: false,
        shard,
    }
}

fn run(plan: &Plan, info: RunInfo, score: Option<f64>) -> Run {
    let fake = super::fake::Fake { clients: 2, ..Default::default() };
    let manifest = score.map(|_| fake.manifest(plan, &info));
    let row = |macro_f1| RoundRow {
        round: 1,
        train_loss: None,
        clients: 16,
        skipped: 0,
        samples: 255,
        excluded: 0,
        byzantine: 0,
        stayed: 0,
        bytes: 0,
        dev: None,
        test: Some(Scores { macro_f1: Some(macro_f1), ..Scores::default() }),
        attack_success: None,
        epsilon: None,
        epsilon_fixed: None,
        seconds: 0.0,
    };
    let repeat = Repeat { seed: info.seed, fold: String::new() };
    let rounds = score.map(row).into_iter().collect();
    Run { info, repeat, manifest, rounds, elsewhere: false, has_dev: false }
}

fn small(score: impl Fn(&[usize]) -> Option<f64>) -> Study {
    study(&["sign-flip", "none", "alie"], &["fedavg", "median"], &["0.1", "0.2"], &["0.0"], score)
}

/// Attacks 0 and 2 cost fedavg 0.5 and 0.1 times the share's place, the median 0.2 and 0.3.
fn plain(cell: &[usize]) -> Option<f64> {
    let cost = [[0.5, 0.2], [0.0, 0.0], [0.1, 0.3]][cell[0]][cell[3]];
    Some(0.9 - cost * (1 + cell[1]) as f64 / 2.0)
}

#[test]
fn the_worst_is_the_attack_with_the_lowest_mean_and_never_the_clean_column() {
    // fedavg gains under every attack here: the clean cell is lowest and must not count.
    let study = small(|cell| Some(if cell[0] == 1 { 0.1 } else { plain(cell)? }));
    let board = &boards(&study)[0];
    assert_eq!(board.attacks, ["none", "sign-flip", "alie"]);
    let worst: Vec<(String, String)> = board.facets[1]
        .rows
        .iter()
        .map(|row| board.worst(&study, row).unwrap())
        .map(|worst| (worst.attack.to_string(), worst.summary.text()))
        .collect();
    assert_eq!(worst, [("sign-flip".to_string(), "0.40".to_string()), ("alie".into(), "0.60".into())]);
}

#[test]
fn the_terminal_names_the_worst_attack_of_each_strategy() {
    let expected = "
worst of 2 attacks, byzantine = 0.1, missing modality rate = 0.0
fedavg  0.65   sign-flip
median  0.75*  alie

worst of 2 attacks, byzantine = 0.2, missing modality rate = 0.0
fedavg  0.40   sign-flip
median  0.60*  alie
";
    assert_eq!(text(&small(plain)), expected);
}

#[test]
fn worst_csv_has_a_row_a_strategy_and_place_and_leaves_out_what_is_not_finished() {
    let study = small(|cell| if cell == [2, 1, 0, 0] { None } else { plain(cell) });
    let csv = String::from_utf8(table(&study).unwrap().unwrap()).unwrap();
    let expected = "strategy,byzantine,missing modality rate,attacks,worst_attack,n,mean,low,high
fedavg,0.1,0.0,2,sign-flip,1,0.65,,
median,0.1,0.0,2,alie,1,0.75,,
median,0.2,0.0,2,alie,1,0.6000000000000001,,
";
    assert_eq!(csv, expected);
}

#[test]
fn a_grid_with_one_attack_is_no_board() {
    let study = study(&["none", "alie"], &["fedavg"], &["0.1", "0.2"], &["0.0", "0.4"], |_| Some(0.5));
    assert!(boards(&study).is_empty() && text(&study).is_empty() && table(&study).unwrap().is_none());
}

#[test]
fn the_map_has_every_strategy_attack_and_place_and_the_worst_last() {
    let strategies = ["fedavg", "nnm (f 3) + trimmed-mean (f 3)"];
    let score = |cell: &[usize]| {
        let wave = ((cell[0] * 7 + cell[3] * 5 + cell[1] * 3) % 11) as f64 / 11.0;
        (cell != [0, 0, 0, 1]).then(|| 0.88 - 0.6 * wave * (cell[1] + 1) as f64 / 3.0 - 0.1 * cell[2] as f64)
    };
    let study = study(&ATTACKS, &strategies, &["0.1"], &["0.0", "0.4"], score);
    let panels = super::panel::panels(&study.plan);
    let figures = plot::figures(&study, &panels).unwrap();
    let map = figures.iter().find(|figure| figure.name == "attacks").unwrap();
    for word in
        ATTACKS.iter().chain(&strategies).chain(&["worst attack", "byzantine = 0.1, missing modality rate = 0.4"])
    {
        assert!(map.svg.contains(word), "{word}");
    }
    assert!(figures.iter().all(|figure| figure.name != "heatmap"), "shown once");
}

#[test]
fn the_values_of_narrow_blocks_are_not_cut() {
    let study = study(&["sign-flip", "none", "alie"], &["fedavg"], &["0.1"], &["0.0", "0.25"], |_| Some(0.5));
    let panels = super::panel::panels(&study.plan);
    let figures = plot::figures(&study, &panels).unwrap();
    let map = figures.iter().find(|figure| figure.name == "attacks").unwrap();
    assert!(map.svg.contains("rate = 0.25") && !map.svg.contains('…'), "{}", map.svg);
}
