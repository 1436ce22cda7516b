//! What a lane's result may depend on: its job, and nothing else.

use super::batch::DeviceData;
use super::pool::BitPool;
use super::torch::TorchEngine;
use super::{Engine, EvalJob, Hyper, Job, Scored, Task, Trained, evaluate, train};
use crate::corrupt::Samples;
use crate::data::prepare::Affine;
use crate::data::{Dataset, Labels, Modality, ModalityShape};
use crate::model::config::{Attention, Concat, ConvGru, Hidden};
use crate::model::{Config, EncoderConfig, FusionConfig, Model};
use crate::objective::Terms;
use crate::seed::Stream;
use ndarray::{Array3, ArrayView2};
use rand::Rng;
use rand::seq::SliceRandom;
use std::sync::{Arc, OnceLock};
use tch::{Device, Tensor};

const SAMPLES: usize = 60;
const CLASSES: usize = 4;

fn rng(name: &str) -> rand_chacha::ChaCha8Rng {
    Stream::root(2).named(name).rng()
}

/// Three modalities of different kinds; the samples of the first two differ in length.
fn data() -> Dataset {
    let modality = |name: &str, time: usize, width: usize| {
        let mut rng = rng(name);
        let lengths: Option<Vec<u32>> =
            (time > 1).then(|| (0..SAMPLES).map(|_| rng.random_range(1..=time as u32)).collect());
        let mut values = Array3::from_shape_simple_fn((SAMPLES, time, width), || rng.random_range(-1.0f32..1.0));
        for (i, &length) in lengths.iter().flatten().enumerate() {
            values.slice_mut(ndarray::s![i, length as usize.., ..]).fill(0.0);
        }
        let shape = ModalityShape { name: name.into(), time, width, sequence: time > 1 };
        Modality { shape, values, lengths }
    };
    Dataset {
        name: "test".into(),
        modalities: vec![modality("conv", 32, 3), modality("steps", 6, 2), modality("pooled", 1, 5)],
        labels: Labels::Single((0..SAMPLES as u32).map(|i| i % CLASSES as u32).collect()),
        classes: CLASSES,
        class_names: None,
        client: vec![0; SAMPLES],
        client_names: vec!["all".into()],
        parts: None,
        keys: None,
        checksum: String::new(),
    }
}

fn model(data: &Dataset, fusion: FusionConfig) -> Model {
    let encoders = [
        ("conv", EncoderConfig::ConvGru(ConvGru { channels: [8, 16, 32], hidden: 24, ..ConvGru::default() })),
        ("steps", EncoderConfig::Gru(Hidden { hidden: 24 })),
        ("pooled", EncoderConfig::Mlp(Hidden { hidden: 24 })),
    ];
    let encoders = encoders.map(|(name, encoder)| (name.to_string(), encoder)).into();
    let config = Config { encoders, fusion, head: 16, dropout: 0.2, ..Config::default() };
    Model::new(&config, &data.shapes(), CLASSES)
}

fn fusions() -> [FusionConfig; 2] {
    [
        FusionConfig::Attention(Attention { heads: 3, units: 64, ..Attention::default() }),
        FusionConfig::Concat(Concat::default()),
    ]
}

fn affine(data: &Dataset, place: usize) -> Arc<Vec<Affine>> {
    let one = |m: &Modality| Affine {
        mean: vec![0.1 * place as f32; m.shape.width],
        scale: vec![1.0 + 0.2 * place as f32; m.shape.width],
    };
    Arc::new(data.modalities.iter().map(one).collect())
}

/// Jobs that differ in everything but the batch size; the second has everything present.
fn job(model: &Model, data: &Dataset, place: usize) -> Job {
    let mut rng = rng(&format!("job {place}"));
    let count = [13, 5, 22, 9, 1, 17, 8, 30][place];
    let samples = Samples {
        rows: (0..count).map(|_| rng.random_range(0..SAMPLES as u32)).collect(),
        labels: (0..count).map(|_| rng.random_range(0..CLASSES as u32)).collect(),
        present: (0..count).map(|_| if place == 1 { 7 } else { rng.random_range(1..8) }).collect(),
        forged: None,
        own: None,
    };
    let mut order: Vec<u32> = (0..count as u32).collect();
    let mut epoch = || {
        order.shuffle(&mut rng);
        order.clone()
    };
    Job {
        run: 0,
        place,
        order: (0..1 + place % 2).map(|_| epoch()).collect(),
        weights: Tensor::from_slice(&model.layout.init(&Stream::root(place as u64))),
        samples: Arc::new(samples),
        affine: (place != 3).then(|| affine(data, place)),
        dropout: Stream::root(9).at(place as u64),
        hyper: Hyper {
            lr: 0.05 + 0.01 * place as f64,
            momentum: 0.9,
            weight_decay: if place == 2 { 0.0 } else { 1e-3 },
            clip: if place == 0 { f64::INFINITY } else { 0.3 },
            mu: if place.is_multiple_of(3) { 0.1 } else { 0.0 },
            batch: 4,
        },
        terms: Terms::default(),
    }
}

fn train_together(data: &Dataset, model: &Arc<Model>, places: &[usize]) -> Vec<Trained> {
    tch::set_num_threads(1);
    let mut jobs: Vec<Job> = places.iter().map(|&place| job(model, data, place)).collect();
    jobs.sort_by_key(|job| std::cmp::Reverse(job.steps()));
    let pool = BitPool::new(model.dropout_units(4), model.dropout, Device::Cpu);
    let data = DeviceData::new(data, Device::Cpu).unwrap();
    let mut trained = train::Group { model, data: &data, pool: &pool, jobs: &jobs }.train().unwrap();
    trained.sort_by_key(|t| t.place);
    trained
}

/// Everything of a result, bit by bit.
fn bits(trained: &Trained) -> (usize, Vec<u32>, usize, u64, u64) {
    let delta = Vec::<f32>::try_from(&trained.delta).unwrap();
    assert!(delta.iter().all(|x| x.is_finite()) && delta.iter().any(|&x| x != 0.0));
    let delta = delta.into_iter().map(f32::to_bits).collect();
    (trained.place, delta, trained.samples, trained.loss.to_bits(), trained.loss_batch_mean.to_bits())
}

/// Alone passes are done by hand, among others they are stacked: two ways of rounding, over several steps with momentum. Equal
/// bytes are promised for equal groups, which on the CPU depend on a run's jobs alone.
#[test]
fn a_job_gives_the_same_result_alone_and_packed_with_up_to_seven_others() {
    let data = data();
    for fusion in fusions() {
        let model = Arc::new(model(&data, fusion));
        let alone: Vec<_> = (0..8).map(|place| train_together(&data, &model, &[place]).remove(0)).collect();
        for packed in [&[0, 1][..], &[2, 4, 7], &[1, 3, 5, 6], &[0, 2, 3, 4, 6], &[0, 1, 2, 3, 4, 5, 6, 7]] {
            for found in train_together(&data, &model, packed) {
                let expected = &alone[found.place];
                let norm = |t: &Tensor| t.norm().double_value(&[]);
                let error = norm(&(&found.delta - &expected.delta)) / norm(&expected.delta);
                assert!(error < 1e-5, "job {} among {packed:?}: {error:.3e}", found.place);
                assert_eq!(found.samples, expected.samples);
                assert!((found.loss - expected.loss).abs() < 1e-6);
            }
            let again = || train_together(&data, &model, packed).iter().map(bits).collect::<Vec<_>>();
            assert!(again() == again(), "the same group twice: {packed:?}");
        }
    }
}

#[test]
fn one_and_two_threads_give_the_same_bytes() {
    let data = data();
    let engine = TorchEngine::new(model(&data, fusions()[0].clone()), &data, 4, 8, Device::Cpu).unwrap();
    let tasks = || engine.train((0..8).map(|place| job(engine.model(), &data, place)).collect());
    let run = |tasks: Vec<Task<Trained>>| -> Vec<_> {
        tch::set_num_threads(1);
        tasks.into_iter().flat_map(|task| task.perform().unwrap()).map(|t| bits(&t)).collect()
    };
    let mut one = run(tasks());
    let (mut first, mut second) = (tasks(), Vec::new());
    second.extend(first.pop());
    let mut two = std::thread::scope(|scope| {
        let other = scope.spawn(|| run(second));
        let mut two = run(first);
        two.extend(other.join().unwrap());
        two
    });
    one.sort();
    two.sort();
    assert_eq!(one.iter().map(|job| job.0).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5, 6, 7], "every job comes back once");
    assert!(one == two);
}

#[test]
fn what_absent_modalities_and_padding_hold_never_matters_in_training() {
    let data = data();
    for fusion in fusions() {
        let model = Arc::new(model(&data, fusion));
        let before: Vec<_> = train_together(&data, &model, &[0, 2]).iter().map(bits).collect();
        // The samples that neither job uses, the modalities that the jobs' samples lack, and the steps beyond every length.
        let jobs = [0, 2].map(|place| job(&model, &data, place));
        let mut other = data.clone();
        for (m, modality) in other.modalities.iter_mut().enumerate() {
            for row in 0..SAMPLES {
                let has = |job: &Job| {
                    let pairs = job.samples.rows.iter().zip(&job.samples.present);
                    pairs.clone().any(|(&r, bits)| r as usize == row && bits >> m & 1 == 1)
                };
                let length = modality.lengths.as_ref().map_or(modality.shape.time, |l| l[row] as usize);
                let from = if jobs.iter().any(has) { length } else { 0 };
                modality.values.slice_mut(ndarray::s![row, from.., ..]).fill(1e6);
            }
        }
        assert_ne!(data.modalities[0].values, other.modalities[0].values);
        let after: Vec<_> = train_together(&other, &model, &[0, 2]).iter().map(bits).collect();
        assert!(before == after);
    }
}

fn scores(data: &Dataset, model: &Arc<Model>, jobs: Vec<EvalJob>) -> Vec<Scored> {
    tch::set_num_threads(1);
    let (data, count) = (DeviceData::new(data, Device::Cpu).unwrap(), jobs[0].rows.len());
    let packed = OnceLock::new();
    let packed = (jobs.len() == 1).then_some(&packed);
    evaluate::Group { model, data: &data, jobs: &jobs, start: 0, count, packed }.evaluate().unwrap()
}

fn eval_job(model: &Model, data: &Dataset, place: usize, present: Option<u32>) -> EvalJob {
    EvalJob {
        run: 0,
        place,
        weights: Tensor::from_slice(&model.layout.init(&Stream::root(place as u64))),
        rows: Arc::new((0..SAMPLES as u32).rev().collect()),
        present: present.map(|bits| Arc::new(vec![bits; SAMPLES])),
        affine: (place != 1).then(|| affine(data, place)),
        paint: None,
    }
}

/// Equal but for rounding (see the training test on why).
#[track_caller]
fn assert_near(found: &ArrayView2<f32>, expected: &ArrayView2<f32>) {
    assert_eq!(found.dim(), expected.dim());
    assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{found} is not {expected}");
}

#[test]
fn models_score_the_same_alone_and_together_and_in_pieces() {
    let data = data();
    for fusion in fusions() {
        let model = Arc::new(model(&data, fusion));
        let make = |place: usize| eval_job(&model, &data, place, (place == 2).then_some(5));
        let together = scores(&data, &model, (0..3).map(make).collect());
        for scored in &together {
            assert_near(&scored.logits.view(), &scores(&data, &model, vec![make(scored.place)])[0].logits.view());
            let data = DeviceData::new(&data, Device::Cpu).unwrap();
            let jobs = vec![make(scored.place)];
            let packed = OnceLock::new();
            let group = evaluate::Group {
                model: &model,
                data: &data,
                jobs: &jobs,
                start: 20,
                count: 15,
                packed: Some(&packed),
            };
            let piece = group.evaluate().unwrap();
            assert_eq!(piece[0].start, 20);
            assert_near(&piece[0].logits.view(), &scored.logits.slice(ndarray::s![20..35, ..]));
        }
        assert_ne!(together[0].logits, together[1].logits);
    }
}

#[test]
fn what_absent_modalities_and_padding_hold_never_matters_in_scoring() {
    let data = data();
    let mut other = data.clone();
    other.modalities[1].values.fill(1e6);
    for (row, &length) in data.modalities[0].lengths.iter().flatten().enumerate() {
        other.modalities[0].values.slice_mut(ndarray::s![row, length as usize.., ..]).fill(-1e6);
    }
    for fusion in fusions() {
        let model = Arc::new(model(&data, fusion));
        for place in [0, 1] {
            let make = || vec![eval_job(&model, &data, place, Some(0b101))];
            assert_eq!(scores(&data, &model, make())[0].logits, scores(&other, &model, make())[0].logits);
        }
    }
}

#[test]
fn an_evaluation_comes_back_whole_whatever_its_pieces() {
    let data = data();
    let engine = TorchEngine::new(model(&data, fusions()[1].clone()), &data, 4, 8, Device::Cpu).unwrap();
    let mut job = eval_job(engine.model(), &data, 0, None);
    job.rows = Arc::new((0..300).map(|i| i % SAMPLES as u32).collect());
    let mut pieces: Vec<Scored> =
        engine.evaluate(vec![job]).into_iter().flat_map(|task| task.perform().unwrap()).collect();
    pieces.sort_by_key(|piece| piece.start);
    let mut next = 0;
    for piece in &pieces {
        assert_eq!(piece.start, next);
        next += piece.logits.nrows();
    }
    assert_eq!(next, 300);
}
