//! Time of each rule: `cargo bench --bench rules [-- NAME] [--threads T] [--n N] [--p P]`, a line a case:
//! `rule n P seconds GB/s GFLOP/s roofline`.
//!
//! Cases: n of 10, 100, 1,000 by P of 10 k, 420 k, 10 M, where the rows stay below 2 GB, or 4.1 GB where both are named. GB/s are bytes of the rows by time
//! (a mean reads them once), GFLOP/s those of a Gram product, 2 n² P, for rules that rest on one. The roofline is the share of
//! what the machine can do in the same time: rows read and a result written at its copy speed, or the Gram product at its f32
//! GEMM peak (2048³) if that takes longer; both are measured before the first rule and after the last.
//! `rules_against_pytorch.py` runs this in turn with straightforward PyTorch versions of the same rules.

use fedrobust::aggregate::{Updates, rule};
use fedrobust::seed::Stream;
use std::time::Instant;
use tch::{Device, Kind, Tensor};

/// Rules, and whether their time goes to a Gram product.
const RULES: [(&str, bool); 16] = [
    ("mean = {}", false),
    ("median = {}", false),
    ("trimmed-mean = {}", false),
    ("meamed = {}", false),
    ("centered-clipping = {}", false),
    ("sign-vote = {}", false),
    ("krum = {}", true),
    ("multi-krum = {}", true),
    ("bulyan = {}", true),
    ("geometric-median = {}", true),
    ("mda = {}", true),
    ("caf = {}", true),
    ("monna = {}", true),
    ("clipped-clustering = {}", true),
    ("flame = {}", true),
    ("signguard = {}", false),
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
    println!("{:<18} {:>5} {:>9} {:>10} {:>7} {:>8} {:>9}", "rule", "n", "P", "seconds", "GB/s", "GFLOP/s", "roofline");
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
            println!("{name:<18} {n:>5} {p:>9}    refused");
            return;
        };
        let (bytes, flops) = ((4 * n * p) as f64, (2 * n * n * p) as f64);
        let moved = (bytes + 4.0 * *p as f64) / machine.bytes;
        let limit = if self.gram { moved.max(flops / machine.flops) } else { moved };
        let rate = if self.gram { format!("{:.1}", flops / seconds / 1e9) } else { "-".to_string() };
        println!(
            "{name:<18} {n:>5} {p:>9} {seconds:>10.6} {:>7.1} {rate:>8} {:>9.2}",
            bytes / seconds / 1e9,
            limit / seconds
        );
    }
}

fn cases(n: i64, p: i64, wanted: &str) -> Vec<Line> {
    let rows = Tensor::randn([n, p], (Kind::Float, Device::Cpu));
    let updates = Updates { rows, samples: vec![1.0; n as usize] };
    let mut lines = Vec::new();
    for (spec, gram) in RULES {
        let name = spec.split(' ').next().unwrap_or_default().to_string();
        let config = toml::from_str::<rule::Config>(spec).expect("a rule");
        if wanted.is_empty() || name == wanted {
            let works = config.build().aggregate(&updates, &Stream::root(0)).is_ok();
            let seconds = works.then(|| best(|| drop(config.build().aggregate(&updates, &Stream::root(0)))));
            lines.push(Line { name, gram, n, p, seconds });
        }
    }
    lines
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
