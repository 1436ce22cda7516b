//! Time of each rule: `cargo bench --bench rules [-- NAME] [--threads T] [--n N] [--p P]`, a line a case:
//! `rule n P seconds GB/s GFLOP/s roofline`.
//!
//! Cases: n of 10, 100, 1,000 by P of 10 k, 420 k, 10 M, where the rows stay below 2 GB, or 4.1 GB where both are named. GB/s are bytes of the rows by time
//! (a mean reads them once), GFLOP/s those of a Gram product, 2 n² P, for rules that rest on one. The roofline is the share of
//! what the machine can do in the same time: rows read and a result written at its copy speed, or the Gram product at its f32
//! GEMM peak (2048³) if that takes longer; both are measured before the first rule and after the last. The first line of a size,
//! `(copied-out)`, is no rule: rows are copied out of libtorch block by block, as safe code has to, and nothing else is done.
//! `rules_against_pytorch.py` runs this in turn with straightforward PyTorch versions of the same rules.

use fedrobust::aggregate::{Known, Updates, pre, rule};
use fedrobust::seed::Stream;
use rayon::prelude::*;
use std::time::Instant;
use tch::{Device, Kind, Tensor};

/// Rules, the last four behind a pre-aggregator, and whether their time goes to a Gram product; `F` stands for n / 5.
const RULES: [(&str, &str, bool); 25] = [
    ("", "mean = {}", false),
    ("", "median = {}", false),
    ("", "trimmed-mean = {}", false),
    ("", "meamed = {}", false),
    ("", "centered-clipping = {}", false),
    ("", "sign-vote = {}", false),
    ("", "krum = {}", true),
    ("", "multi-krum = {}", true),
    ("", "bulyan = {}", true),
    ("", "geometric-median = {}", true),
    ("", "mda = {}", true),
    ("", "smea = {}", true),
    ("", "caf = {}", true),
    ("", "monna = {}", false),
    ("", "clipped-clustering = {}", true),
    ("", "flame = {}", true),
    ("", "foolsgold = { memory = false }", true),
    ("", "dnc = {}", false),
    ("", "signguard = {}", false),
    ("", "fltrust = {}", false),
    ("", "dp-mean = {}", false),
    ("clip = { norm = 10.0 }", "mean = {}", false),
    ("arc = { f = F }", "mean = {}", false),
    ("bucketing = {}", "median = {}", false),
    ("nnm = { f = F }", "trimmed-mean = {}", true),
];
/// Largest rows that are tried, in bytes.
const MOST: i64 = 2_000_000_000;
/// The same where n and P are both named: rules take up to twice as much beside.
const MOST_NAMED: i64 = 4_100_000_000;

struct Arguments {
    name: String,
    threads: usize,
    n: Option<i64>,
    p: Option<i64>,
}

fn arguments() -> Arguments {
    let mut found = Arguments { name: String::new(), threads: 2, n: None, p: None };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut number = || words.next().and_then(|number| number.parse::<i64>().ok());
        match word.as_str() {
            "--threads" => found.threads = number().unwrap_or(2) as usize,
            "--n" => found.n = number(),
            "--p" => found.p = number(),
            "--bench" => {}
            name => found.name = name.to_string(),
        }
    }
    found
}

fn main() {
    let arguments = arguments();
    // As in a sweep: a pool of threads, one intra-op thread in each.
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(arguments.threads)
        .start_handler(|_| tch::set_num_threads(1))
        .build()
        .expect("threads");
    let before = Machine::measure(arguments.threads);
    let most = if arguments.n.is_some() && arguments.p.is_some() { MOST_NAMED } else { MOST };
    let mut lines = Vec::new();
    for n in [10_i64, 100, 1000].into_iter().filter(|n| arguments.n.is_none_or(|wanted| wanted == *n)) {
        for p in [10_000_i64, 420_000, 10_000_000].into_iter().filter(|p| arguments.p.is_none_or(|wanted| wanted == *p))
        {
            if n * p * 4 <= most {
                let name = arguments.name.clone();
                lines.extend(pool.install(move || cases(n, p, &name)));
            }
        }
    }
    let machine = before.best(Machine::measure(arguments.threads));
    println!(
        "copy {:.1} GB/s, GEMM {:.0} GFLOP/s, {} threads",
        machine.bytes / 1e9,
        machine.flops / 1e9,
        arguments.threads
    );
    println!("{:<20} {:>5} {:>9} {:>10} {:>7} {:>8} {:>9}", "rule", "n", "P", "seconds", "GB/s", "GFLOP/s", "roofline");
    for line in lines {
        line.print(&machine);
    }
}

/// What the machine can do, a second.
struct Machine {
    bytes: f64,
    flops: f64,
}

impl Machine {
    fn measure(threads: usize) -> Self {
        tch::set_num_threads(threads as i32);
        let source = Tensor::zeros([64 << 20], (Kind::Float, Device::Cpu));
        let mut target = source.copy();
        let copy = best(|| target.copy_(&source));
        let square = Tensor::randn([2048, 2048], (Kind::Float, Device::Cpu));
        let gemm = best(|| {
            let _ = square.matmul(&square);
        });
        tch::set_num_threads(1);
        Self { bytes: 2.0 * 4.0 * (64 << 20) as f64 / copy, flops: 2.0 * 2048_f64.powi(3) / gemm }
    }

    fn best(self, other: Self) -> Self {
        Self { bytes: self.bytes.max(other.bytes), flops: self.flops.max(other.flops) }
    }
}

struct Line {
    name: String,
    gram: bool,
    n: i64,
    p: i64,
    seconds: Option<f64>,
}

impl Line {
    fn print(&self, machine: &Machine) {
        let Self { name, n, p, .. } = self;
        let Some(seconds) = self.seconds else {
            println!("{name:<20} {n:>5} {p:>9}    refused");
            return;
        };
        let (bytes, flops) = ((4 * n * p) as f64, (2 * n * n * p) as f64);
        let moved = (bytes + 4.0 * *p as f64) / machine.bytes;
        let limit = if self.gram { moved.max(flops / machine.flops) } else { moved };
        let rate = if self.gram { format!("{:.1}", flops / seconds / 1e9) } else { "-".to_string() };
        println!(
            "{name:<20} {n:>5} {p:>9} {seconds:>10.6} {:>7.1} {rate:>8} {:>9.2}",
            bytes / seconds / 1e9,
            limit / seconds
        );
    }
}

fn cases(n: i64, p: i64, wanted: &str) -> Vec<Line> {
    let rows = Tensor::randn([n, p], (Kind::Float, Device::Cpu));
    let server = Tensor::randn([p], (Kind::Float, Device::Cpu));
    let case = |(before, spec, gram): &(&str, &str, bool)| {
        let name = |spec: &str| spec.split(' ').next().unwrap_or_default().to_string();
        let name = if before.is_empty() { name(spec) } else { name(before) + "+" + &name(spec) };
        if !(wanted.is_empty() || name == wanted) {
            return None;
        }
        let aggregate = || aggregate(before, spec, &rows, &server);
        let seconds = aggregate().is_ok().then(|| best(|| drop(aggregate())));
        Some(Line { name, gram: *gram, n, p, seconds })
    };
    let copied = wanted.is_empty().then(|| copied_out(&rows));
    let copied = copied.map(|seconds| Line { name: "(copied-out)".into(), gram: false, n, p, seconds: Some(seconds) });
    copied.into_iter().chain(RULES.iter().filter_map(case)).collect()
}

/// Seconds to copy all rows out of libtorch into caches, block by block on all threads: what a rule by hand on a CPU cannot be
/// faster than.
fn copied_out(rows: &Tensor) -> f64 {
    const WIDTH: i64 = 1 << 14;
    const HEIGHT: i64 = 4;
    let (n, p) = rows.size2().expect("rows");
    let starts = |end: i64, step: i64| (0..end).step_by(step as usize);
    best(|| {
        let block = |i, k| rows.narrow(0, i, HEIGHT.min(n - i)).narrow(1, k, WIDTH.min(p - k));
        let blocks: Vec<Tensor> =
            starts(p, WIDTH).flat_map(|k| starts(n, HEIGHT).map(move |i| (i, k))).map(|(i, k)| block(i, k)).collect();
        blocks.into_par_iter().for_each_init(
            || vec![0.0_f32; (HEIGHT * WIDTH) as usize],
            |numbers, block| {
                let (height, width) = block.size2().expect("a block");
                if block.is_contiguous() {
                    block.copy_data(numbers, block.numel());
                } else {
                    (0..height).for_each(|i| block.get(i).copy_data(numbers, width as usize));
                }
            },
        );
    })
}

/// One round of a rule that has no state yet, behind a pre-aggregator or none.
fn aggregate(before: &str, spec: &str, rows: &Tensor, server: &Tensor) -> fedrobust::fault::Result<Tensor> {
    let n = rows.size()[0];
    let filled = |spec: &str| spec.replace('F', &(n / 5).to_string());
    let mut updates = Updates { rows: rows.shallow_clone(), samples: vec![1.0; n as usize] };
    let mut known = Known::new(None, Some(server.shallow_clone()));
    if !before.is_empty() {
        let config = toml::from_str::<pre::Config>(&filled(before)).expect("a pre-aggregator");
        updates = config.build().apply_known(updates, &mut known, &Stream::root(1))?;
    }
    let config = toml::from_str::<rule::Config>(&filled(spec)).expect("a rule");
    config.build().aggregate_known(&updates, &mut known, &Stream::root(0))
}

/// The best of a few calls, within about two seconds.
fn best(mut work: impl FnMut()) -> f64 {
    let (begun, mut least) = (Instant::now(), f64::INFINITY);
    for _ in 0..20 {
        let start = Instant::now();
        work();
        least = least.min(start.elapsed().as_secs_f64());
        if begun.elapsed().as_secs_f64() > 2.0 {
            break;
        }
    }
    least
}
