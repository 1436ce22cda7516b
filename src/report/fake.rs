//! Results that nobody computed, for tests and for looking at figures: 3 corruptions × 5 rates × 4 strategies × seeds, and
//! two yardsticks. Written through the store, so that a test reads what a sweep would leave.

use crate::record::*;
use crate::shard::Shard;
use crate::store::Store;
use std::path::Path;

/// What to make up.
pub struct Fake {
    pub seeds: Vec<u64>,
    /// How far the strategies are apart at the highest rate, beside a noise of 0.01.
    pub gap: f64,
    pub dev: bool,
    pub grids: bool,
    pub clients: usize,
    /// Folds of a cross-validation; no axis for one.
    pub folds: usize,
    pub question: &'static str,
    /// What the sweep took on.
    pub shard: Shard,
}

impl Default for Fake {
    fn default() -> Self {
        Fake {
            seeds: vec![8, 16, 24],
            gap: 0.12,
            dev: true,
            grids: true,
            clients: 24,
            folds: 1,
            shard: Shard::WHOLE,
            question: "Which strategy keeps its F1 when wearables lose a sensor, their labels, or get them wrong?",
        }
    }
}

const STRATEGIES: [&str; 4] = ["fedavg", "fedprox (mu 0.1)", "median", "trimmed-mean (f 2)"];
const HARMS: [&str; 3] = ["corrupt.missing-modality.rate", "corrupt.missing-labels.rate", "corrupt.label-noise.rate"];
const RATES: [f64; 5] = [0.0, 0.2, 0.4, 0.6, 0.8];
pub const ROUNDS: usize = 25;

/// A number in [−1, 1] from any whole numbers: noise without a generator.
fn noise(parts: &[usize]) -> f64 {
    let mut hasher = blake3::Hasher::new();
    parts.iter().for_each(|p| {
        hasher.update(&p.to_le_bytes());
    });
    let bytes = hasher.finalize();
    f64::from(bytes.as_bytes()[0]) / 127.5 - 1.0
}

fn axis(path: &str, labels: &[&str]) -> Axis {
    let numbers = labels.iter().map(|l| l.parse().ok()).collect();
    Axis { path: path.into(), labels: labels.iter().map(|l| l.to_string()).collect(), numbers }
}

/// Every cell once a fold.
fn fold(folds: usize, grids: &mut [Grid], points: &mut Vec<PointInfo>) {
    const PATH: &str = "split.test.fold.fold";
    let count = points.len();
    let labels: Vec<String> = (1..=folds).map(|fold| fold.to_string()).collect();
    let of_fold = |label: &String| {
        let with = |mut point: PointInfo| {
            point.settings.push((PATH.into(), label.clone()));
            point
        };
        points.iter().cloned().map(with).collect::<Vec<_>>()
    };
    *points = labels.iter().flat_map(of_fold).collect();
    for grid in grids {
        let of_fold =
            |f: usize| grid.cells.iter().map(move |(cell, p)| ([&[f], cell.as_slice()].concat(), p + f * count));
        grid.cells = (0..folds).flat_map(of_fold).collect();
        grid.axes.insert(0, axis(PATH, &labels.iter().map(String::as_str).collect::<Vec<_>>()));
    }
}

impl Fake {
    pub fn plan(&self) -> Plan {
        let mut points: Vec<PointInfo> = Vec::new();
        let mut add = |strategy: &str, settings: Vec<(String, String)>| {
            points.push(PointInfo { strategy: strategy.into(), settings });
            points.len() - 1
        };
        let mut grids = Vec::new();
        let rates: Vec<String> = RATES.iter().map(f64::to_string).collect();
        let rates: Vec<&str> = rates.iter().map(String::as_str).collect();
        let clean: Vec<usize> = STRATEGIES.map(|s| add(s, vec![("strategy".into(), s.into())])).to_vec();
        for harm in HARMS.iter().filter(|_| self.grids) {
            let mut cells = Vec::new();
            for (r, rate) in rates.iter().enumerate() {
                for (s, strategy) in STRATEGIES.iter().enumerate() {
                    let settings =
                        vec![(harm.to_string(), rate.to_string()), ("strategy".into(), strategy.to_string())];
                    cells.push((vec![r, s], if r == 0 { clean[s] } else { add(strategy, settings) }));
                }
            }
            grids.push(Grid { axes: vec![axis(harm, &rates), axis("strategy", &STRATEGIES)], cells });
        }
        if self.grids {
            let names = ["centralised", "local-only"];
            let cells =
                names.iter().enumerate().map(|(i, n)| (vec![i], add(n, vec![("strategy".into(), n.to_string())])));
            grids.push(Grid { cells: cells.collect(), axes: vec![axis("strategy", &names)] });
        } else {
            let cells = clean.iter().enumerate().map(|(i, &p)| (vec![i], p)).collect();
            grids.push(Grid { axes: vec![axis("strategy", &STRATEGIES)], cells });
        }
        if self.folds > 1 {
            fold(self.folds, &mut grids, &mut points);
        }
        let run = |point: usize, &seed: &u64| RunInfo {
            point,
            seed,
            rounds: ROUNDS,
            fingerprint: format!("{point:024x}{seed:08x}"),
        };
        Plan {
            format: FORMAT,
            name: "quickstart".into(),
            question: self.question.into(),
            metric: Metric::MacroF1,
            reading: None,
            multilabel: false,
            classes: 7,
            seeds: self.seeds.clone(),
            rounds: ROUNDS,
            runs: (0..points.len()).flat_map(|p| self.seeds.iter().map(move |s| run(p, s))).collect(),
            grids,
            points,
        }
    }

    /// What a point ends at without noise.
    fn level(&self, point: &PointInfo) -> f64 {
        let strategy = STRATEGIES.iter().position(|s| *s == point.strategy);
        let Some(strategy) = strategy else { return if point.strategy == "centralised" { 0.93 } else { 0.52 } };
        let loss = |(path, value): &(String, String)| {
            let harm = HARMS.iter().position(|h| h == path)?;
            let rate: f64 = value.parse().ok()?;
            let rank = (strategy + harm) % 4;
            Some(rate.powi(2) * (0.35 + 0.1 * harm as f64) + self.gap * rank as f64 * rate / 0.8)
        };
        0.88 - point.settings.iter().filter_map(loss).sum::<f64>()
    }

    fn scores(&self, point: usize, info: &PointInfo, seed: u64, round: usize, dev: usize) -> Scores {
        let rise = 1.0 - (-(round as f64) / 5.0).exp();
        let own = 0.012 * noise(&[point, seed as usize]) + 0.008 * noise(&[point, seed as usize, round, dev]);
        let f1 = (0.03 + (self.level(info) - 0.03) * rise + own).clamp(0.0, 1.0);
        // Short numbers, so that whole lines can be compared.
        let f1 = (f1 * 1000.0).round() / 1000.0;
        Scores {
            loss: Some(2.0 - 1.9 * f1),
            accuracy: Some((f1 + 0.02).min(1.0)),
            macro_f1: Some(f1),
            uar: Some((f1 + 0.01).min(1.0)),
            top_k: None,
            worst_10: Some((f1 - 0.2).max(0.0)),
        }
    }

    pub fn row(&self, plan: &Plan, run: &RunInfo, round: usize) -> RoundRow {
        let evaluated = round == 1 || round.is_multiple_of(3) || round == ROUNDS;
        let scores = |dev| self.scores(run.point, &plan.points[run.point], run.seed, round, dev);
        RoundRow {
            round,
            train_loss: Some(2.0 / round as f64),
            clients: 12,
            skipped: round % 2,
            samples: 640,
            excluded: 0,
            byzantine: 0,
            stayed: 0,
            bytes: 12 * 2 * 4 * 61_447,
            dev: (evaluated && self.dev).then(|| scores(1)),
            test: evaluated.then(|| scores(0)),
            attack_success: None,
            epsilon: None,
            epsilon_fixed: None,
            seconds: 0.25,
        }
    }

    pub fn manifest(&self, plan: &Plan, run: &RunInfo) -> Manifest {
        let point = &plan.points[run.point];
        let rates = point.settings.iter().filter_map(|(path, value)| {
            let name = path.strip_prefix("corrupt.")?.strip_suffix(".rate")?;
            let hit = value.parse::<f64>().ok()? * 1000.0 + 12.0 * noise(&[run.point, run.seed as usize, 7]);
            Some(Realised { name: name.into(), hit: hit.max(0.0) as usize, of: 1000 })
        });
        let count = |client: usize, class: usize| (90.0 * noise(&[client, class, 3]) - 30.0).max(0.0) as u32;
        let client = |i: usize| {
            let scores =
                Scores { macro_f1: Some((self.level(point) + 0.1 * noise(&[i])).clamp(0.0, 1.0)), ..Scores::default() };
            ClientScore { client: format!("person {i}"), samples: 90, scores, lacks: Vec::new() }
        };
        // The first three people train without a gyroscope, the fourth in part, where a modality is lost.
        let missing = rates.clone().next().is_some_and(|of| of.name == "missing-modality" && of.hit > 0);
        let trainee = |i: usize| {
            let share = if missing { [1.0, 1.0, 1.0, 0.5].get(i).copied() } else { None };
            let lacks = share.map(|share| Lack { modality: "gyroscope".into(), share });
            ClientScore { lacks: lacks.into_iter().collect(), ..client(i) }
        };
        Manifest {
            format: FORMAT,
            fingerprint: run.fingerprint.clone(),
            label: format!("strategy = {}, seed {}", point.strategy, run.seed),
            seed: run.seed,
            stop: Stop::Finished,
            rounds: ROUNDS,
            digest: String::new(),
            parameters: 61_447,
            clients: self.clients,
            realised: rates.collect(),
            client_scores: (0..10).map(client).collect(),
            dev_client_scores: if self.dev { (0..7).map(trainee).collect() } else { Vec::new() },
            class_counts: (0..self.clients).map(|c| (0..7).map(|k| count(c, k)).collect()).collect(),
            client_names: (0..self.clients).map(|c| format!("{}-{}", c / 4, c % 4)).collect(),
            bytes: ROUNDS as u64 * 12 * 2 * 4 * 61_447,
            origin: Origin {
                version: "0.1.0".into(),
                commit: Some("3827049".into()),
                libtorch: "2.11.0".into(),
                device: "cpu".into(),
                threads: 2,
                numerics: 1,
                machine: "x86_64 linux, AMD EPYC, avx2".into(),
            },
            seconds: 2.5,
        }
    }

    /// Writes plan, rounds and manifests; `ended` may change a manifest, or say that the run is not finished.
    pub fn write(&self, folder: &Path, ended: impl Fn(usize, Manifest) -> Option<Manifest>) -> Plan {
        let plan = self.plan();
        let store = Store::open(folder).unwrap();
        store.write_plan(&plan, "question = \"<why>\"\n", self.shard).unwrap();
        for (i, run) in plan.runs.iter().enumerate() {
            let Some(manifest) = ended(i, self.manifest(&plan, run)) else { continue };
            // Straight to the file: a thousand forced writes would take a test minutes.
            let rows: Vec<RoundRow> = (1..=manifest.rounds).map(|round| self.row(&plan, run, round)).collect();
            let lines = rows.iter().map(|row| crate::store::cells(row).join(",") + "\n");
            let path = folder.join("runs").join(&run.fingerprint);
            std::fs::create_dir_all(&path).unwrap();
            let text = format!("{}\n{}", crate::store::HEADER, lines.collect::<String>());
            std::fs::write(path.join("rounds.csv"), text).unwrap();
            let digest = crate::store::digest(&rows);
            store.run(&run.fingerprint).unwrap().finish(&Manifest { digest, ..manifest }).unwrap();
        }
        plan
    }
}
