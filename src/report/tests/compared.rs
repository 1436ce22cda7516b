//! Comparisons, robustness and fairness: tables, page, and `fedrobust compare`.

use super::*;

#[test]
fn comparisons_have_every_pair_of_a_column_once_with_corrected_tests() {
    let (_folder, study, panels) = study(&Fake::default(), all);
    let lines = lines(judgements::comparisons(&study, &panels).unwrap());
    assert_eq!(lines[0], "panel,at,a,b,n,difference,low,high,sd,p,p_holm,p_sign_flip,seeds_needed");
    // 3 panels × 5 rates × 6 pairs; yardsticks do not compete.
    assert_eq!(lines.len() - 1, 3 * 5 * 6);
    let row = lines.iter().find(|l| l.starts_with("missing modality rate,0.8,fedavg,fedprox (mu 0.1),3,0.1")).unwrap();
    let cells: Vec<f64> = row.split(',').skip(5).map(|cell| cell.parse().unwrap()).collect();
    let [difference, low, high, _, p, holm, flip, needed] = cells[..] else { panic!("{row}") };
    assert!(low < difference && difference < high && p < holm && holm < 0.05, "{row}");
    assert_eq!((flip, needed), (0.25, 4.0), "{row}");
}

#[test]
fn robustness_is_told_in_three_numbers_with_their_seeds() {
    let (_folder, study, panels) = study(&Fake::default(), all);
    let found = robust::all(&study, &panels);
    assert_eq!(found.len(), 3 * 4);
    let of = |strategy: &str| {
        found.iter().find(|r| r.panel == "missing modality rate" && r.strategy == strategy).unwrap().clone()
    };
    let (best, worst) = (of("fedavg"), of("trimmed-mean (f 2)"));
    // From 0.88, the one loses 0.35 x², the other 0.36 / 0.8 x besides; chance is 1 / 7, half of the gain 0.51.
    assert_eq!((best.half, best.half_interval), (Some(f64::INFINITY), Some((f64::INFINITY, f64::INFINITY))));
    let (low, high) = worst.half_interval.unwrap();
    let half = worst.half.unwrap();
    assert!((half - 0.57).abs() < 0.02 && low <= half && half <= high && high - low < 0.08, "{half} {low} {high}");
    assert!(best.area.unwrap().mean > 0.88 && worst.area.unwrap().mean < 0.75);
    assert_eq!(worst.worst.as_ref().map(|(at, _)| at.as_str()), Some("0.8"));
    let lines = lines(judgements::robustness(&study, &panels).unwrap());
    assert_eq!((lines[0].as_str(), lines.len() - 1), ("panel,strategy,summary,n,value,low,high,at", 3 * 12));
    assert!(lines.iter().any(|l| l == "missing modality rate,fedavg,half_loss,3,inf,inf,inf,"), "{lines:?}");
}

#[test]
fn a_seed_without_a_score_at_one_rate_has_no_curve_and_the_others_have() {
    // The first run beyond the clean points, which all panels share.
    let broken = |i: usize, manifest: Manifest| (i != 4 * 3).then_some(manifest);
    let (_folder, study, panels) = study(&Fake::default(), broken);
    let seeds: Vec<usize> = robust::all(&study, &panels).iter().map(|r| r.repeats).collect();
    let of = |n: usize| seeds.iter().filter(|seeds| **seeds == n).count();
    assert_eq!((of(2), of(3)), (1, 11));
}

#[test]
fn fairness_tells_the_spread_and_who_lacks_what() {
    let (_folder, study, panels) = study(&Fake::default(), all);
    let lines = lines(judgements::fairness(&study).unwrap());
    assert!(lines[0].ends_with("part,summary,clients,n,mean,low,high,sd"), "{}", lines[0]);
    let of = |what: &str| lines.iter().filter(|l| l.contains(what)).count();
    // Four numbers for test and development people of each point, and three groups where the modality is lost.
    assert_eq!((of(",test,gini,30,3,"), of(",dev,worst_10,21,3,")), (54, 54));
    let groups = [",dev,complete,9,3,", ",dev,without gyroscope,9,3,", ",dev,partly without gyroscope,3,3,"];
    assert_eq!(groups.map(of), [16, 16, 16]);
    let rows = fairness::by_lack(&study, &panels);
    assert_eq!(rows[0][..4], ["fedavg", "missing modality rate 0.8", "complete in training", "3.0"]);
    let page = judged::lacks(&study, &panels);
    assert!(page.contains("without gyroscope in training"), "{page}");
}

fn compared(fake: &Fake, options: impl Fn(&mut compare::Options)) -> Result<compare::Comparison> {
    let folder = tempfile::tempdir().unwrap();
    fake.write(folder.path(), all);
    let mut of = compare::Options { by: "strategy".into(), against: None, metric: None, reading: None, strict: false };
    options(&mut of);
    compare::compare(&[folder.path().to_path_buf()], &of)
}

#[test]
fn a_comparison_has_every_condition_with_its_sentence_and_a_figure() {
    let found = compared(&Fake::default(), |_| {}).unwrap();
    let start = "Test macro-F1 at the best development round, by strategy
a − b over paired seeds: mean and 95 % interval (Student's t); p: paired t-test; Holm: p corrected for the comparisons of each condition
flip: exact sign-flip test, not corrected; needs: seeds that would find such a difference in 80 % of studies

missing modality rate 0
";
    assert!(found.text.starts_with(start), "{}", found.text);
    assert!(
        found.text.contains("At missing modality rate 0.8, fedavg keeps most: macro-F1 0.65 ±0.01"),
        "{}",
        found.text
    );
    assert!(found.text.contains("\nrobustness over missing modality rate ("), "{}", found.text);
    let rows = lines(found.csv);
    assert_eq!(rows[0], "condition,a,b,n,difference,low,high,sd,p,p_holm,p_sign_flip,seeds_needed");
    assert_eq!(rows.len() - 1, 3 * 5 * 6);
    let (svg, png) = found.figure.unwrap();
    assert!(svg.contains("fedavg − fedprox (mu 0.1)") && svg.contains("@font-face") && png.starts_with(b"\x89PNG"));
}

#[test]
fn a_reference_narrows_the_family_and_a_strict_one_widens_it() {
    let holm = |options: fn(&mut compare::Options)| {
        let rows = lines(compared(&Fake::default(), options).unwrap().csv);
        let pair = |l: &&String| {
            let at = "missing modality rate 0.8";
            l.starts_with(&format!("{at},median,fedavg,")) || l.starts_with(&format!("{at},fedavg,median,"))
        };
        let cells: Vec<&str> = rows.iter().find(pair).unwrap().split(',').collect();
        (cells[9].parse::<f64>().unwrap(), rows.len() - 1)
    };
    let (usual, all_pairs) = holm(|_| {});
    let (against, some) = holm(|o| o.against = Some("fedavg".into()));
    let (strict, _) = holm(|o| o.strict = true);
    assert_eq!((all_pairs, some), (90, 45));
    assert!(against <= usual && usual < strict, "{against} {usual} {strict}");
    // The six pairs of the clean cells stand in all three grids, and count once.
    let strict = compared(&Fake::default(), |o| o.strict = true).unwrap().text;
    assert!(strict.contains("Holm: p corrected for all 78 comparisons together\n"), "{strict}");
    assert!(strict.contains("after Holm's correction for 78 comparisons"), "{strict}");
    let text = compared(&Fake::default(), |o| o.against = Some("fedavg".into())).unwrap().text;
    let said = "At missing modality rate 0.8, higher than fedavg: none; lower: fedprox (mu 0.1), median, trimmed-mean (f 2); no difference found: none.";
    assert!(text.contains(said), "{text}");
}

#[test]
fn by_an_axis_strategies_are_part_of_the_condition() {
    let found = compared(&Fake::default(), |o| o.by = "corrupt.label-noise.rate".into()).unwrap();
    let rows = lines(found.csv);
    assert_eq!(rows.len() - 1, 4 * 10);
    assert!(rows[1].starts_with("fedavg,label noise rate 0"), "{}", rows[1]);
    assert!(found.text.contains(" is highest: ") && !found.text.contains("keeps most"), "{}", found.text);
}

#[test]
fn what_cannot_be_compared_is_refused_with_what_can() {
    let said = |options: fn(&mut compare::Options)| {
        let error = compared(&Fake::default(), options).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        error.to_string()
    };
    assert_eq!(
        said(|o| o.by = "train.rounds".into()),
        "--by train.rounds: is no axis of these results; allowed: strategy, folder, corrupt.label-noise.rate, corrupt.missing-labels.rate, corrupt.missing-modality.rate"
    );
    assert_eq!(
        said(|o| o.against = Some("fedsgd".into())),
        "--against fedsgd: is no group of --by strategy; allowed: fedavg, fedprox (mu 0.1), median, trimmed-mean (f 2)"
    );
}

#[test]
fn folders_are_taken_together_compared_or_refused_where_they_contradict() {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let paths: Vec<_> = folders.iter().map(|f| f.path().to_path_buf()).collect();
    small().write(&paths[0], all);
    let of = |by: &str| compare::Options { by: by.into(), against: None, metric: None, reading: None, strict: false };
    let once = compare::compare(&paths[..1], &of("strategy")).unwrap();
    let twice = compare::compare(&[paths[0].clone(), paths[0].join(".")], &of("strategy")).unwrap();
    assert_eq!(twice, once, "a folder named twice is one");

    // Runs are made up point by point, so that another point has other scores for the same strategy.
    Fake { seeds: vec![9, 16, 24], ..small() }
        .write(&paths[1], |i, manifest| Some(Manifest { rounds: 20 + i % 3, ..manifest }));
    let error = compare::compare(&paths, &of("strategy")).unwrap_err();
    assert_eq!(error.exit_code(), 2);
    let said = error.to_string();
    assert!(said.contains("has another score of fedavg (all runs, seed 16) than"), "{said}");
    assert!(said.ends_with("compare them with --by folder, or give folders that do not overlap"), "{said}");
    let rows = lines(compare::compare(&paths, &of("folder")).unwrap().csv);
    assert_eq!(rows.len() - 1, 4, "a pair of folders for each strategy");
    let alone = compare::compare(&paths[..1], &of("folder")).unwrap().text;
    assert!(alone.contains("; there is nothing to compare it with.\n"), "{alone}");
    assert!(
        rows[1].starts_with("fedavg,") && rows[1].split(',').nth(3) == Some("2"),
        "two seeds are shared: {}",
        rows[1]
    );

    Fake { dev: false, ..small() }.write(&paths[1], all);
    let error = compare::compare(&paths, &of("strategy")).unwrap_err().to_string();
    assert!(error.contains("speaks of macro-F1 at the last evaluated round"), "{error}");
}

#[test]
fn equal_scores_are_called_equal() {
    for seeds in [3, 17] {
        let folder = tempfile::tempdir().unwrap();
        // Two strategies that always diverge at once, and two that never ran.
        Fake { seeds: (0..seeds).collect(), ..small() }.write(folder.path(), |i, manifest| {
            (i < 2 * seeds as usize).then_some(Manifest { stop: Stop::Diverged { round: 1 }, rounds: 0, ..manifest })
        });
        let of = compare::Options { by: "strategy".into(), against: None, metric: None, reading: None, strict: false };
        let text = compare::compare(&[folder.path().to_path_buf()], &of).unwrap().text;
        let said = format!(
            "At all runs, fedavg and fedprox (mu 0.1) have equal scores on all {seeds} paired seeds (fedavg: macro-F1 0.00 ±0.00).\n"
        );
        assert!(text.contains(&said) && !text.contains("1000") && text.contains(" 1.000 "), "{text}");
        let diverged = format!("{} runs diverged (weights NaN or infinite): each scores 0\n", 2 * seeds);
        assert!(text.contains(&diverged), "{text}");
    }
}

#[test]
fn one_seed_is_compared_without_a_test() {
    let found = compared(&Fake { seeds: vec![8], ..small() }, |_| {}).unwrap();
    assert!(found.text.contains("one seed says nothing about chance."), "{}", found.text);
    assert!(!found.text.contains('*'), "{}", found.text);
    let strict = compared(&Fake { seeds: vec![8], ..small() }, |o| o.strict = true).unwrap().text;
    assert!(strict.contains("Holm: p corrected for all comparisons together\n"), "{strict}");
}
