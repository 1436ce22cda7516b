//! Models that see padding as FedMultimodal's do, against `tests/fixtures/padding.py`, which runs padded batches through
//! PyTorch's layers whole: convolutions that read padding, audio that always shows a step, heads masked in place of steps,
//! means over the batch's longest sample.

use crate::fixture::vector;
use crate::pytorch::{Tensors, error_of_change, fixture, row};
use fedrobust::corrupt::Samples;
use fedrobust::data::{Dataset, Labels, Modality, ModalityShape};
use fedrobust::lane::batch::DeviceData;
use fedrobust::lane::pool::BitPool;
use fedrobust::lane::{EvalJob, Hyper, Job, evaluate, train};
use fedrobust::model::config::{Attention, Concat, ConvGru, Hidden, Mask, Mean};
use fedrobust::model::{Config, EncoderConfig, FusionConfig, Model, Padding};
use fedrobust::objective::Terms;
use fedrobust::seed::Stream;
use ndarray::Array3;
use serde_json::Value;
use std::sync::{Arc, OnceLock};
use tch::{Device, Kind, Tensor};

const CLASSES: usize = 3;

fn data(tensors: &Tensors, modalities: &[&str]) -> Dataset {
    let modality = |name: &&str| {
        let values = &tensors[&format!("data.{name}.values")];
        let size: Vec<usize> = values.size().iter().map(|&n| n as usize).collect();
        let floats: Vec<f32> = values.contiguous().view([-1]).try_into().unwrap();
        let lengths = Vec::<i64>::try_from(&tensors[&format!("data.{name}.lengths")]).unwrap();
        Modality {
            shape: ModalityShape { name: name.to_string(), time: size[1], width: size[2], sequence: true },
            values: Array3::from_shape_vec((size[0], size[1], size[2]), floats).unwrap(),
            lengths: Some(lengths.into_iter().map(|n| n as u32).collect()),
        }
    };
    let modalities: Vec<Modality> = modalities.iter().map(modality).collect();
    let samples = modalities[0].values.shape()[0];
    Dataset {
        name: "padding".into(),
        modalities,
        labels: Labels::Single(vec![0; samples]),
        classes: CLASSES,
        class_names: None,
        client: vec![0; samples],
        client_names: vec!["all".into()],
        parts: None,
        keys: None,
        checksum: String::new(),
    }
}

/// The model of a case, with its ways or with ours.
fn model(case: &Value, data: &Dataset, padding: Padding) -> Model {
    let conv = ConvGru { channels: [3, 4, 5], hidden: 5, absent_step: case["absent-step"].as_bool().unwrap() };
    let attention = |mask| FusionConfig::Attention(Attention { heads: 6, units: 7, mask });
    let config = Config {
        encoders: [("audio", EncoderConfig::ConvGru(conv)), ("text", EncoderConfig::Gru(Hidden { hidden: 5 }))]
            .map(|(name, encoder)| (name.to_string(), encoder))
            .into(),
        fusion: match case["fusion"].as_str().unwrap() {
            "concat" => FusionConfig::Concat(Concat { mean: Mean::Padded, dead_weights: 0 }),
            "heads" => attention(Mask::Heads),
            _ => attention(Mask::Steps),
        },
        padding,
        head: 4,
        dropout: 0.0,
        ..Config::default()
    };
    Model::new(&config, &data.shapes(), CLASSES)
}

/// Presence bits of the rows of a job: all modalities, but for audio where it is absent.
fn present(job: &Value, modalities: &[&str], rows: &[u32]) -> Vec<u32> {
    let absent: Vec<u32> = vector(&job["absent"]);
    let has = |name: &str, row: &u32| name != "audio" || !absent.contains(row);
    let bits = |row| modalities.iter().enumerate().map(|(m, name)| u32::from(has(name, row)) << m).sum();
    rows.iter().map(bits).collect()
}

fn training(job: &Value, place: usize, modalities: &[&str], weights: &Tensor) -> Job {
    let rows: Vec<u32> = vector(&job["rows"]);
    Job {
        run: 0,
        place,
        weights: weights.shallow_clone(),
        order: vec![(0..rows.len() as u32).collect()],
        samples: Arc::new(Samples {
            labels: vector(&job["labels"]),
            present: present(job, modalities, &rows),
            rows,
            forged: None,
            own: None,
        }),
        affine: None,
        dropout: Stream::root(0),
        hyper: Hyper { lr: 0.1, momentum: 0.9, weight_decay: 0.0, clip: f64::INFINITY, mu: 0.0, batch: 4 },
        terms: Terms::default(),
    }
}

/// The logits of all jobs in pieces of so many samples, `[J, N, C]`, all at once or one by one with its weights packed.
fn logits(model: &Model, data: &DeviceData, jobs: &[EvalJob], piece: usize, packed: bool) -> Tensor {
    if packed && jobs.len() > 1 {
        let alone = jobs.iter().map(|job| logits(model, data, std::slice::from_ref(job), piece, true));
        return Tensor::cat(&alone.collect::<Vec<_>>(), 0);
    }
    let (samples, cell) = (jobs[0].rows.len(), OnceLock::new());
    let packed = packed.then_some(&cell);
    let pieces = (0..samples).step_by(piece).map(|start| {
        let group = evaluate::Group { model, data, jobs, start, count: piece.min(samples - start), packed };
        let scored = group.evaluate().unwrap();
        let logits = |s: &fedrobust::lane::Scored| Tensor::from_slice(s.logits.as_slice().unwrap());
        let stacked = Tensor::stack(&scored.iter().map(logits).collect::<Vec<_>>(), 0);
        stacked.view([jobs.len() as i64, -1, CLASSES as i64])
    });
    Tensor::cat(&pieces.collect::<Vec<_>>(), 1)
}

/// One client's training after another.
fn assert_trained(case: &Case) {
    let jobs =
        (0..).zip(&case.jobs).map(|(place, job)| training(job, place, &case.modalities, &case.weights(place, "start")));
    let (jobs, pool) = (jobs.collect::<Vec<_>>(), BitPool::of(&[0], 0.0, Device::Cpu));
    let group = train::Group { model: &case.theirs, data: &case.on_device, pool: &pool, jobs: &jobs };
    for trained in group.train().unwrap() {
        let (name, place) = (&case.name, trained.place);
        let start = case.weights(place, "start");
        let error = error_of_change(&(&start + &trained.delta), &case.weights(place, "end"), &start);
        println!("{name}, lane {place}: relative error of the change {error:.1e}");
        assert!(error < 1e-4, "{name}, lane {place}: {error:.3e}");
    }
}

/// The same logits whatever the pieces, and others where padding is as good as absent.
fn assert_scored(case: &Case) {
    let evaluation = |(place, job): (usize, &Value)| {
        let rows: Vec<u32> = vector(&job["scored"]);
        let present = Some(Arc::new(present(job, &case.modalities, &rows)));
        let weights = case.weights(place, "start");
        EvalJob { run: 0, place, weights, rows: Arc::new(rows), present, affine: None, paint: None }
    };
    let jobs: Vec<EvalJob> = case.jobs.iter().enumerate().map(evaluation).collect();
    let expected = |place: usize| case.tensors[&format!("{}.{place}.logits", case.name)].shallow_clone();
    let expected = Tensor::stack(&(0..jobs.len()).map(expected).collect::<Vec<_>>(), 0).to_kind(Kind::Float);
    let error = |model: &Model, piece: usize, packed: bool| {
        (logits(model, &case.on_device, &jobs, piece, packed) - &expected).abs().max().double_value(&[])
    };
    for (piece, packed) in [(7, false), (50, false), (1000, false), (7, true), (50, true), (1000, true)] {
        let error = error(&case.theirs, piece, packed);
        assert!(error < 1e-5, "{}, pieces of {piece}, packed {packed}: {error:.3e}", case.name);
    }
    let ours = error(&case.ours, 1000, true);
    println!("{}: logits differ by {ours:.1e} where padding is absent", case.name);
    assert!(ours > 1e-3, "{}: {ours:.3e}", case.name);
}

/// A model of the fixture.
struct Case<'a> {
    tensors: &'a Tensors,
    name: String,
    modalities: Vec<&'a str>,
    jobs: Vec<Value>,
    on_device: DeviceData,
    theirs: Model,
    /// The same but for what lies beyond a sample's last step.
    ours: Model,
}

impl<'a> Case<'a> {
    fn new(tensors: &'a Tensors, case: &'a Value) -> Self {
        let names = case["modalities"].as_array().unwrap();
        let modalities: Vec<&str> = names.iter().map(|name| name.as_str().unwrap()).collect();
        let data = data(tensors, &modalities);
        Self {
            tensors,
            name: case["name"].as_str().unwrap().to_string(),
            modalities,
            jobs: case["jobs"].as_array().unwrap().clone(),
            on_device: DeviceData::new(&data, Device::Cpu).unwrap(),
            theirs: model(case, &data, Padding::Batch),
            ours: model(case, &data, Padding::Absent),
        }
    }

    fn weights(&self, place: usize, when: &str) -> Tensor {
        row(&self.theirs.layout, self.tensors, |ours| format!("{}.{place}.{when}.{ours}", self.name))
    }
}

#[test]
fn padding_is_seen_as_the_reference_sees_it() {
    tch::set_num_threads(1);
    let (tensors, cases) = fixture("padding");
    for case in cases.as_array().unwrap() {
        let case = Case::new(&tensors, case);
        assert_trained(&case);
        assert_scored(&case);
    }
}
