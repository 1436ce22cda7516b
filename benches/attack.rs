//! Time of an optimised attack factor: `cargo bench --bench attack`, one line a case:
//! `defence n P seconds in the span, seconds by brute force, ratio, the factors found`.
//!
//! Both searches evaluate the defence 20 times; in the span of the rows that takes one Gram product and nothing of length P
//! after it. Cases: n of 10, 50, 100 rows, a fifth of them forged, by P of 10 k, 420 k.

use fedrobust::aggregate::Updates;
use fedrobust::attack::{Attack, Defence, Factor, Knowledge, Scene, ipm};
use fedrobust::seed::Stream;
use fedrobust::strategy::Custom;
use std::time::Instant;
use tch::{Device, Kind, Tensor};

const CHAINS: [&str; 4] = [
    "aggregate.krum = {}",
    "aggregate.geometric-median = {}",
    "aggregate.caf = {}",
    "pre = [{ nnm = { f = 1 } }]\naggregate.multi-krum = {}",
];

fn main() {
    println!("{:<28} {:>4} {:>7} {:>9} {:>9} {:>6}  factors", "defence", "n", "P", "span s", "brute s", "ratio");
    for (n, p) in [(10_i64, 10_000_i64), (50, 10_000), (100, 10_000), (10, 420_000), (50, 420_000), (100, 420_000)] {
        for spec in CHAINS {
            let Ok(chain) = toml::from_str::<Custom>(spec) else { continue };
            let honest = Tensor::randn([n - n / 5, p], (Kind::Float, Device::Cpu)) + 0.1;
            let (Some((span, a)), Some((brute, b))) =
                (best(&chain, &honest, n / 5, true), best(&chain, &honest, n / 5, false))
            else {
                println!("{:<28} {n:>4} {p:>7}   refused", name(spec));
                continue;
            };
            let (name, ratio) = (name(spec), brute / span);
            println!("{name:<28} {n:>4} {p:>7} {span:>9.4} {brute:>9.4} {ratio:>6.1}  {a:.4} {b:.4}");
        }
    }
}

/// A chain on one line.
fn name(spec: &str) -> String {
    spec.replace('\n', ", ").replace("aggregate.", "").replace(" = {}", "")
}

/// Least seconds of three, and the factor: the forged row is minus that many times the honest mean.
fn best(chain: &Custom, honest: &Tensor, forged: i64, in_span: bool) -> Option<(f64, f64)> {
    let aggregate = |rows: &Tensor| {
        let updates = Updates { rows: rows.to_kind(Kind::Float), samples: vec![1.0; rows.size()[0] as usize] };
        let zero = Tensor::zeros([rows.size()[1]], (Kind::Float, Device::Cpu));
        Ok(chain.build(1.0, &[]).step(&zero, updates, &Stream::root(0))?.weights)
    };
    let own = Tensor::zeros([forged, honest.size()[1]], (Kind::Float, Device::Cpu));
    let attack = ipm::Config { scale: Factor::Optimised, ..ipm::Config::default() };
    let senders: Vec<u64> = (0..honest.size()[0] as u64).collect();
    let scene = Scene {
        seen: honest,
        senders: &senders,
        own: &own,
        knowledge: Knowledge::Omniscient,
        clients: (honest.size()[0] + forged) as usize,
        defence: Some(Defence { aggregate: &aggregate, sees_only_distances: in_span }),
        previous: None,
        stream: &Stream::root(0),
    };
    let (mut least, mut factor) = (f64::INFINITY, 0.0);
    for _ in 0..3 {
        let start = Instant::now();
        let row = attack.forge(&scene).ok()?.get(0);
        least = least.min(start.elapsed().as_secs_f64());
        factor = -row.double_value(&[0]) / honest.narrow(1, 0, 1).mean(Kind::Double).double_value(&[]);
    }
    Some((least, factor))
}
