//! SCAFFOLD and FedRS where FedMultimodal's cannot run: models joined by `concat`, weights that nothing trains, several labels a
//! sample.

use super::support::{Bench, Npz, scores, table};

/// The average that SCAFFOLD's server takes too: what differs from it is the correction.
const UNIFORM: &str = "{ custom = { aggregate.mean.weights = 'uniform' } }";
const STEP: &str = "{ scaffold = { correction = 'step' } }";

/// The rounds of a scenario, all of whose runs are finished.
struct Played(Vec<std::collections::BTreeMap<String, String>>);

impl Played {
    fn new(bench: &Bench) -> Self {
        bench.run("out", &[]);
        let runs = table(&bench.read("out/runs.csv"));
        assert!(runs.len() > 1 && runs.iter().all(|run| run["status"] == "finished"), "{runs:?}");
        Self(table(&bench.read("out/rounds.csv")))
    }

    fn course(&self, strategy: &str, fusion: &str) -> Vec<String> {
        let of = self.0.iter().filter(|row| row["strategy"] == strategy && row["model.fusion"] == fusion);
        let course: Vec<String> = of.map(scores).collect();
        assert_eq!(course.len(), 4, "{strategy}, {fusion}");
        course
    }

    /// In the first round all controls are 0; from the second on they correct.
    #[track_caller]
    fn assert_corrected(&self, fusion: &str) {
        let [plain, gradient, step] = ["mean (weights uniform)", "scaffold", "scaffold (correction step)"]
            .map(|strategy| self.course(strategy, fusion));
        assert!(gradient[0] == plain[0] && step[0] == plain[0], "{fusion}: {plain:?}\n{gradient:?}\n{step:?}");
        for round in 1..4 {
            assert_ne!(gradient[round], plain[round], "{fusion}, round {}", round + 1);
            assert_ne!(step[round], plain[round], "{fusion}, round {}", round + 1);
            assert_ne!(step[round], gradient[round], "{fusion}, round {}", round + 1);
        }
        let fedavg = self.course("fedavg", fusion);
        assert!((0..4).all(|round| gradient[round] != fedavg[round]), "{fusion}: {fedavg:?}\n{gradient:?}");
    }
}

#[test]
fn scaffold_and_fedrs_act_on_models_joined_by_concat_and_dead_weights_change_nothing() {
    let dead = "{ concat = { dead-weights = 40 } }";
    let played = Played::new(&Bench::new(&format!(
        r#"question = "Do corrections reach every weight?"
seeds = [1]

[data.synthetic]
samples = 240
classes = 4
clients = 6
modalities.sound = {{ time = 10, width = 3, informativeness = 0.9 }}
modalities.motion = {{ width = 3, informativeness = 0.7 }}

[partition.dirichlet]
within = "all"
clients = 6
alpha = 0.3

[model]
encoders.sound.conv-gru = {{ channels = [4, 4, 4], hidden = 6 }}
encoders.motion.mlp = {{ hidden = 5 }}
head = 6

[train]
rounds = 4
cohort = 1.0
batch = 8
epochs = 3
optimizer.sgd.lr = 0.1

[[grid]]
"model.fusion" = ["concat", {dead}]
strategy = ["fedavg", {UNIFORM}, "scaffold", {STEP}, "fedrs", {{ fedrs = {{ alpha = 1.0 }} }}]
"#
    )));
    played.assert_corrected("concat");
    let [fedavg, fedrs, loose] =
        ["fedavg", "fedrs", "fedrs (alpha 1.0)"].map(|strategy| played.course(strategy, "concat"));
    assert!((0..4).all(|round| fedrs[round] != fedavg[round]), "{fedavg:?}\n{fedrs:?}");
    assert_eq!(loose, fedavg, "with factors of 1 nothing is restricted");
    for strategy in ["fedavg", "scaffold", "scaffold (correction step)", "fedrs"] {
        assert_eq!(played.course(strategy, dead), played.course(strategy, "concat"), "{strategy}");
    }
}

/// Five clients of unequal size with labels of their own kind: any of three a sample, also none.
fn several_labels(strategies: &str) -> Bench {
    let bench = Bench::new(&format!(
        r#"question = "Do corrections reach data with several labels?"
seeds = [1]
data.npz.path = "mine.npz"
model = {{ encoders.sound.gru.hidden = 5, encoders.motion.mlp.hidden = 5, head = 6 }}
train = {{ rounds = 4, cohort = 1.0, batch = 4, epochs = 3, optimizer.sgd.lr = 0.1 }}

[[grid]]
"model.fusion" = ["concat", {{ attention = {{ heads = 2, units = 5 }} }}]
strategy = [{strategies}]
"#
    ));
    let owner = |i: u64| [0u64, 0, 0, 1, 2, 3, 4][i as usize % 7];
    let flags = |i: u64| [i / 7 % 2, u64::from(owner(i) < 2), u64::from(owner(i) > i / 28)];
    let value = |i: u64, d: u64| flags(i)[d as usize % 3] as f32 + (i * 13 + d * 7) as f32 % 11.0 / 20.0;
    Npz::create(&bench.path("mine.npz"))
        .with("sound", &[140, 2, 3], (0..840).map(|x| value(x / 6, x % 6)))
        .with("motion", &[140, 3], (0..420).map(|x| value(x / 3, x % 3)))
        .with("label", &[140, 3], (0..140).flat_map(flags).map(|flag| flag as u8))
        .with("client", &[140], (0..140).map(owner))
        .with("split", &[140], (0..140).map(|i| [0u8, 0, 0, 1, 2][i / 7 % 5]))
        .done();
    bench
}

#[test]
fn scaffold_corrects_where_samples_have_several_labels_and_fedrs_is_refused() {
    let played = Played::new(&several_labels(&format!("'fedavg', {UNIFORM}, 'scaffold', {STEP}")));
    played.assert_corrected("concat");
    played.assert_corrected("{ attention = { heads = 2, units = 5 } }");
    let said = several_labels("'fedrs'").refused(&[]);
    assert!(said.contains("restricts a softmax over classes, and multilabel data has none"), "{said}");
}
