use super::*;
use crate::fault::Fault;

fn parse(text: &str) -> Config {
    #[derive(Deserialize)]
    struct File {
        strategy: Config,
    }
    toml::from_str::<File>(&format!("strategy.{text}")).unwrap().strategy
}

fn faults(text: &str, cohort: usize) -> Vec<(String, String)> {
    let mut c = Checker::default();
    parse(text).check(&mut c, cohort);
    c.faults.into_iter().map(|Fault { path, problem, .. }| (path, problem)).collect()
}

#[test]
fn a_label_shows_what_differs_from_the_defaults() {
    for (text, expected) in [
        ("fedavg = {}", "fedavg"),
        ("fedprox = {}", "fedprox"),
        ("fedprox = { mu = 0.1 }", "fedprox (mu 0.1)"),
        ("fedprox = { mu = 1 }", "fedprox (mu 1.0)"),
        ("fedopt = { lr = 0.025 }", "fedopt"),
        ("fedavgm = { lr = 0.5, momentum = 0.0 }", "fedavgm (lr 0.5, momentum 0.0)"),
        ("fedadagrad = {}", "fedadagrad"),
        ("fedadam = { tau = 0.01 }", "fedadam (tau 0.01)"),
        ("fedyogi = {}", "fedyogi"),
        ("median = {}", "median"),
        ("trimmed-mean = {}", "trimmed-mean"),
        ("trimmed-mean = { f = 2 }", "trimmed-mean (f 2)"),
        ("trimmed-mean = { share = 0.1 }", "trimmed-mean (share 0.1)"),
        ("centralised = {}", "centralised"),
        ("local-only = {}", "local-only"),
        ("custom = {}", "mean"),
        ("custom = { aggregate.mean = { weights = 'uniform' } }", "mean (weights uniform)"),
        (
            "custom = { pre = [{ nnm = { f = 2 } }], aggregate.trimmed-mean = { f = 2 } }",
            "nnm (f 2) + trimmed-mean (f 2)",
        ),
        (
            "custom = { local.prox = { mu = 1.0 }, pre = [{ clip = { norm = 1.5 } }, { bucketing = {} }], server.adam = {} }",
            "prox (mu 1.0) + clip (norm 1.5) + bucketing + mean + adam",
        ),
        ("custom = { aggregate.krum = { f = 2, neighbours = 'n-f-1' } }", "krum (f 2, neighbours n-f-1)"),
        ("custom = { aggregate.geometric-median = {}, nan = 'propagate' }", "geometric-median + nan propagate"),
        ("custom = { server.sgd = { per-client-lr = true } }", "mean + sgd (per-client-lr true)"),
        ("scaffold = { correction = 'step' }", "scaffold (correction step)"),
        ("fedrs = { alpha = 0.9, bias = false }", "fedrs (alpha 0.9, bias false)"),
        (
            "custom = { local.moon = { mu = 5.0 }, aggregate.median = {}, on.gradient = {} }",
            "moon (mu 5.0) + median + on gradient",
        ),
        (
            "custom = { aggregate.centered-clipping = { tau = 1.0 }, on.momentum = { beta = 0.99 } }",
            "centered-clipping (tau 1.0) + on momentum (beta 0.99)",
        ),
    ] {
        assert_eq!(parse(text).label(), expected);
    }
}

#[test]
fn presets_stand_for_their_parts() {
    for (preset, custom) in [
        ("fedavg = {}", "custom = {}"),
        ("fedprox = { mu = 0.1 }", "custom = { local.prox = { mu = 0.1 } }"),
        (
            "scaffold = { lr = 0.5, correction = 'step' }",
            "custom = { local.scaffold = { correction = 'step' }, aggregate.mean = { weights = 'uniform' }, server.sgd = { lr = 0.5 } }",
        ),
        ("fedrs = { alpha = 0.9 }", "custom = { local.fedrs = { alpha = 0.9 } }"),
        ("fednova = { mu = 0.1 }", "custom = { local.fednova = { mu = 0.1 } }"),
        (
            "feddyn = { alpha = 0.1 }",
            "custom = { local.feddyn = { alpha = 0.1 }, aggregate.mean = { weights = 'uniform' } }",
        ),
        ("moon = {}", "custom = { local.moon = {} }"),
        ("fedopt = {}", "custom = { server.sgd = { lr = 0.025, momentum = 0.9, per-client-lr = true } }"),
        ("fedavgm = {}", "custom = { server.sgd = { lr = 1.0, momentum = 0.9 } }"),
        ("fedadagrad = { lr = 1.0 }", "custom = { server.adagrad = { lr = 1.0 } }"),
        ("fedadam = {}", "custom = { server.adam = {} }"),
        ("fedyogi = {}", "custom = { server.yogi = {} }"),
        ("median = {}", "custom = { aggregate.median = {} }"),
        ("trimmed-mean = { f = 1 }", "custom = { aggregate.trimmed-mean = { f = 1 } }"),
        ("centralised = {}", "custom = {}"),
        ("local-only = {}", "custom = {}"),
    ] {
        assert_eq!(Config::Custom(parse(preset).parts()), parse(custom), "{preset}");
    }
}

#[test]
fn only_the_yardsticks_are_not_federated() {
    for about in CHOICES {
        let expected = match about.name {
            "centralised" => Shape::Centralised,
            "local-only" => Shape::LocalOnly,
            _ => Shape::Federated,
        };
        assert_eq!(parse(&format!("{} = {{}}", about.name)).shape(), expected);
    }
}

#[test]
fn a_strategy_survives_being_written_and_read() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct File {
        strategy: Config,
    }
    for about in CHOICES {
        let file = File { strategy: parse(&format!("{} = {{}}", about.name)) };
        let text = toml::to_string(&file).unwrap();
        assert_eq!(toml::from_str::<File>(&text).unwrap(), file, "{text}");
    }
}

#[test]
fn every_entry_names_the_fields_of_its_config_and_their_defaults() {
    let listed: Vec<(&str, &[About], &str)> = vec![
        ("", CHOICES, "strategy"),
        ("custom.local.", objective::CHOICES, "local"),
        ("custom.aggregate.", rule::CHOICES, "aggregate"),
        ("custom.server.", server::CHOICES, "server"),
        ("custom.on.", on::CHOICES, "on"),
    ];
    for (prefix, choices, family) in listed {
        for about in choices.iter().filter(|about| about.parameters.iter().all(|p| p.default != "required")) {
            // Written out in full with its declared defaults, every choice must be the same as written short.
            let declared: Vec<String> = about
                .parameters
                .iter()
                .filter(|parameter| !["\"plain\"", "\"mean\"", "\"sgd\"", "\"delta\""].contains(&parameter.default))
                // What is not a value, "a fifth of the rows", describes what happens where nothing is given.
                .filter(|parameter| toml::from_str::<toml::Table>(&format!("x = {}", parameter.default)).is_ok())
                .filter(|parameter| parameter.name != "share")
                .map(|parameter| format!("{} = {}", parameter.name, parameter.default))
                .collect();
            let full = parse(&format!("{prefix}{} = {{ {} }}", about.name, declared.join(", ")));
            assert_eq!(full, parse(&format!("{prefix}{} = {{}}", about.name)), "{family} {}", about.name);
            assert!(!about.summary.is_empty(), "{family} {}", about.name);
        }
    }
}

#[test]
fn faults_name_the_path_of_the_value() {
    assert_eq!(
        faults(
            "custom = { pre = [{ clip = { norm = -1.0 } }, { nnm = { f = 5 } }], aggregate.trimmed-mean = { f = 6 }, server.adam = { lr = 0.0 } }",
            10
        ),
        [
            ("custom.pre.0.clip.norm", "is not a positive number"),
            ("custom.pre.1.nnm.f", "is too large for 10 rows a round (2 f = 10 of them)"),
            ("custom.aggregate.trimmed-mean.f", "is too large for 10 rows a round (2 f = 12 of them)"),
            ("custom.server.adam.lr", "is not a positive number"),
        ]
        .map(|(path, problem)| (path.to_string(), problem.to_string()))
    );
    assert_eq!(faults("trimmed-mean = { f = 2 }", 4)[0].0, "trimmed-mean.f");
    assert_eq!(faults("fedopt = { momentum = 1.0 }", 4)[0].0, "fedopt.momentum");
    assert_eq!(faults("fedavgm = { lr = nan }", 4)[0].0, "fedavgm.lr");
    assert_eq!(faults("fedprox = { mu = -1.0 }", 4)[0].0, "fedprox.mu");
    assert_eq!(faults("fedyogi = { tau = 0.0 }", 4)[0].0, "fedyogi.tau");
    assert_eq!(faults("scaffold = { lr = 0.0 }", 4)[0].0, "scaffold.lr");
    assert_eq!(faults("fedrs = { alpha = 1.5 }", 4)[0].0, "fedrs.alpha");
    assert_eq!(faults("fednova = { mu = nan }", 4)[0].0, "fednova.mu");
    assert_eq!(faults("feddyn = { alpha = 0.0 }", 4)[0].0, "feddyn.alpha");
    assert_eq!(faults("moon = { tau = 0.0 }", 4)[0].0, "moon.tau");
    assert_eq!(faults("custom = { on.momentum = { beta = 1.0 } }", 4)[0].0, "custom.on.momentum.beta");
}

#[test]
fn a_restricted_softmax_is_refused_for_multilabel_data() {
    let faults = |text: &str, multilabel: bool| {
        let mut c = Checker::default();
        parse(text).check_data(&mut c, &[], multilabel);
        c.faults.into_iter().map(|fault| format!("{} {}", fault.path, fault.problem)).collect::<Vec<_>>()
    };
    let problem = "restricts a softmax over classes, and multilabel data has none";
    assert_eq!(faults("fedrs = {}", true), [format!("fedrs {problem}")]);
    assert_eq!(faults("custom = { local.fedrs = {} }", true), [format!("custom.local.fedrs {problem}")]);
    assert!(faults("fedrs = {}", false).is_empty() && faults("moon = {}", true).is_empty());
}

#[test]
fn bucketing_leaves_fewer_rows_to_those_behind_it() {
    let chain = "custom = { pre = [{ bucketing = { size = 2 } }], aggregate.trimmed-mean = { f = 2 } }";
    assert!(faults(chain, 9).is_empty());
    assert_eq!(faults(chain, 8)[0].1, "is too large for 4 rows a round (2 f = 4 of them)");
}

#[test]
fn faults_of_blocks_name_the_block() {
    let said =
        |text: &str| faults(text, 8).into_iter().map(|(path, problem)| format!("{path} {problem}")).collect::<Vec<_>>();
    assert_eq!(
        said("custom = { aggregate.krum = { f = 2 }, blocks.gyro.f = 1 }"),
        ["custom.blocks is given, but blocks are not aggregated apart"]
    );
    assert_eq!(
        said("custom = { per-block = true, aggregate = { krum = { f = 2 } }, blocks.gyro.f = 3 }"),
        ["custom.blocks.gyro.f is too large for 8 rows a round (it needs 2 f + 3 = 9 of them)"]
    );
    assert_eq!(
        said("custom = { per-block = true, aggregate = { krum = { f = 3 } }, blocks.gyro.f = 1 }"),
        ["custom.aggregate.krum.f is too large for 8 rows a round (it needs 2 f + 3 = 9 of them)"]
    );
    assert_eq!(
        said("custom = { per-block = true, blocks.gyro = { f = 1, aggregate.median = {} } }"),
        ["custom.blocks.gyro.f is given, but no member of the block's chain takes one"]
    );
    assert_eq!(
        said(
            "custom = { per-block = true, blocks.fusion = { pre = [{ clip = { norm = 0.0 } }], aggregate.mda = { f = 4 } } }"
        ),
        [
            "custom.blocks.fusion.pre.0.clip.norm is not a positive number",
            "custom.blocks.fusion.aggregate.mda.f is too large for 8 rows a round (it needs 2 f + 1 = 9 of them)"
        ]
    );
}

#[test]
fn blocks_are_those_of_the_data() {
    let said = |text: &str, modalities: &[&str]| {
        let mut c = Checker::default();
        let modalities: Vec<String> = modalities.iter().map(|name| name.to_string()).collect();
        parse(text).check_data(&mut c, &modalities, false);
        c.faults.into_iter().map(|f| format!("{} {}; {}", f.path, f.problem, f.allowed)).collect::<Vec<_>>()
    };
    let text = "custom = { per-block = true, aggregate.krum = {}, blocks.gyro.f = 1, blocks.fusion.f = 1 }";
    assert!(said(text, &["acc", "gyro"]).is_empty());
    assert_eq!(said(text, &["acc"]), ["custom.blocks.gyro names no block of the model; acc, fusion"]);
    assert_eq!(
        said("custom = { per-block = true }", &["fusion"]),
        ["custom.per-block cannot tell the modality fusion from the block fusion of what modalities share; false"]
    );
    assert!(said("custom = {}", &["fusion"]).is_empty());
}

#[test]
fn a_label_tells_of_blocks_and_of_rounds_with_too_few_rows() {
    let label = |text: &str| parse(text).label();
    assert_eq!(label("custom = { per-block = true }"), "mean + per-block");
    assert_eq!(
        label(
            "custom = { per-block = true, too-few = 'skip', aggregate = { krum = { f = 2 } }, blocks = { gyro = { f = 1 }, fusion = { aggregate = { median = {} } } } }"
        ),
        "krum (f 2) + too-few skip + per-block (fusion: median, gyro: f 1)"
    );
}

#[test]
fn only_clipped_rows_with_noise_bound_what_a_client_changes() {
    let blocks = |n: i64| -> Vec<Block> {
        (0..n).map(|i| Block { name: format!("m{i}"), modality: Some(i as usize), offset: i, len: 1 }).collect()
    };
    let spent = |text: &str, n| {
        let spending = parse(text).parts().spending(&blocks(n))?;
        Some(((spending.noise * 1e6).round() / 1e6, spending.delta))
    };
    assert_eq!(spent("custom.aggregate.dp-mean = { noise = 2.0 }", 4), Some((2.0, 1e-5)));
    let clipped = "custom = { pre = [{ clip = { norm = 1.0 } }], aggregate.dp-mean = { noise = 2.0, delta = 1e-3 } }";
    assert_eq!(spent(clipped, 4), Some((2.0, 1e-3)));
    assert_eq!(spent("custom = { pre = [{ nnm = { f = 1 } }], aggregate.dp-mean = {} }", 1), None);
    assert_eq!(spent("custom = { pre = [{ bucketing = {} }], aggregate.dp-mean = {} }", 1), None);
    assert_eq!(spent("fedavg = {}", 1), None);
    // Four blocks with noise 2 each are published together: as much as one with noise 1.
    assert_eq!(spent("custom = { per-block = true, aggregate.dp-mean = { noise = 2.0 } }", 4), Some((1.0, 1e-5)));
    assert_eq!(
        spent("custom = { local.scaffold = {}, aggregate.dp-mean = { noise = 8.0 } }", 1),
        Some((5.656854, 1e-5))
    );
    assert_eq!(
        spent("custom = { per-block = true, aggregate.dp-mean = {}, blocks.m0.aggregate.median = {} }", 2),
        None
    );
}
