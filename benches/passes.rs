//! Time of a model's passes on one CPU thread: `cargo bench --bench passes`.
//!
//! The model of UCI-HAR (two modalities of 128 steps, attention, hidden 128): training passes (forward, loss, backward) of
//! 16 samples by lanes in a group (one is done by hand, several are stacked), scoring by hand by samples in a task, and
//! libtorch's products of a task by themselves. Rates count useful multiplications and additions, 18.94
//! million a sample forward and twice that backward; the peak is a f32 product of 2048³, taken before each table.

use fedrobust::data::ModalityShape;
use fedrobust::model::layer::{Masks, loss};
use fedrobust::model::{Config, Input, Model};
use std::hint::black_box;
use std::time::Instant;
use tch::{Device, Kind, Tensor};

const FLOAT: (Kind, Device) = (Kind::Float, Device::Cpu);
const FORWARD: f64 = 18.94e6;
const BATCH: i64 = 16;

fn main() {
    tch::set_num_threads(1);
    let _guard = tch::no_grad_guard();
    let shape = |name: &str| ModalityShape { name: name.into(), time: 128, width: 3, sequence: true };
    let model = Model::new(&Config::default(), &[shape("accelerometer"), shape("gyroscope")], 6);
    let multipliers = Tensor::rand([1 << 22], FLOAT).ge(0.1).to_kind(Kind::Float) / 0.9;

    let top = peak();
    println!("{:<20} {:>8} {:>8} {:>6}", "training, lanes", "ms/step", "GFLOP/s", "peak");
    for lanes in [1, 2, 3, 5, 10] {
        let weights = Tensor::randn([lanes, model.parameters() as i64], FLOAT) * 0.05;
        let (inputs, grads) = (inputs(lanes, BATCH), weights.empty_like());
        let labels = Tensor::zeros([lanes, BATCH], (Kind::Int64, Device::Cpu));
        let weight = Tensor::full([lanes, BATCH], 1.0 / BATCH as f64, FLOAT);
        let seconds = best(|| {
            let starts = Tensor::arange(lanes, (Kind::Int64, Device::Cpu)) * 1000;
            let masks = Masks::new(multipliers.shallow_clone(), starts, 1.0 / 0.9, BATCH);
            let (logits, saved) = model.forward(&weights, &inputs, Some(&masks));
            let (_, gradient) = loss::cross_entropy(&logits, &labels, &weight);
            model.backward(&weights, saved, &gradient, &grads);
        });
        line(&format!("{lanes}"), 1e3, seconds / lanes as f64, 3.0 * BATCH as f64, top);
    }

    let top = peak();
    println!("{:<20} {:>8} {:>8} {:>6}", "scoring, samples", "us/each", "GFLOP/s", "peak");
    let weights = Tensor::randn([1, model.parameters() as i64], FLOAT) * 0.05;
    for samples in [16, 32, 64, 128, 256] {
        let inputs = inputs(1, samples);
        let packed = model.packed(&weights, false);
        let seconds = best(|| {
            drop(black_box(model.score(&weights, &inputs, Some(&packed))));
        });
        line(&format!("{samples}"), 1e6, seconds / samples as f64, 1.0, top);
    }
    products(peak());
}

/// The products of a scoring task of 64 samples by themselves.
fn products(top: f64) {
    const SHAPES: [(&str, [i64; 3]); 7] = [
        ("block 1", [64 * 128, 15, 32]),
        ("block 2", [64 * 64, 160, 64]),
        ("block 3", [64 * 32, 320, 128]),
        ("gates, input", [64 * 16, 128, 384]),
        ("gates, state", [64, 128, 256]),
        ("attention", [64 * 32, 128, 512]),
        ("heads", [64 * 32, 512, 6]),
    ];
    println!("{:<20} {:>8} {:>8} {:>6}", "product", "us", "GFLOP/s", "peak");
    for (name, [m, k, n]) in SHAPES {
        let (a, b) = (Tensor::randn([1, m, k], FLOAT), Tensor::randn([1, k, n], FLOAT));
        let out = Tensor::empty([1, m, n], FLOAT);
        let seconds = best(|| drop(black_box(a.bmm_out(&out, &b))));
        line(name, 1e6, seconds, (2 * m * k * n) as f64 / FORWARD, top);
    }
}

fn inputs(lanes: i64, batch: i64) -> Vec<Input> {
    let input =
        |_| Input { values: Tensor::randn([lanes, batch, 128, 3], FLOAT), lengths: None, present: None, longest: None };
    (0..2).map(input).collect()
}

/// One line: time of one in some unit, its rate, and the share of the peak.
fn line(name: &str, unit: f64, seconds: f64, forwards: f64, top: f64) {
    let rate = forwards * FORWARD / seconds;
    println!("{name:<20} {:>8.2} {:>8.1} {:>4.0} %", seconds * unit, rate / 1e9, 100.0 * rate / top);
}

/// FLOP/s of a f32 product of 2048³.
fn peak() -> f64 {
    let (a, b) = (Tensor::randn([2048, 2048], FLOAT), Tensor::randn([2048, 2048], FLOAT));
    let top = 2.0 * 2048f64.powi(3) / best(|| drop(black_box(a.matmul(&b))));
    println!("\npeak {:.1} GFLOP/s", top / 1e9);
    top
}

/// The best of what fits into a second and a half, after one to warm up.
fn best(mut work: impl FnMut()) -> f64 {
    work();
    let begun = Instant::now();
    let mut least = f64::INFINITY;
    while begun.elapsed().as_secs_f64() < 1.5 {
        let start = Instant::now();
        work();
        least = least.min(start.elapsed().as_secs_f64());
    }
    least
}
