//! Models that see padding as FedMultimodal's do, against `tests/fixtures/padding.py`, which runs padded batches through
//! PyTorch's layers whole: convolutions that read padding, audio that always shows a step, heads masked in place of steps,
//! means over the batch's longest sample.

use crate::fixture::vector;
use crate::pytorch::{Tensors, error_of_change, read, row};
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
use std::path::Path;
use std::sync::Arc;
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

/// Presence bits of a job's samples: all modalities but the absent one.
fn present(job: &Value, modalities: &[&str], samples: usize) -> Vec<u32> {
    let bit = |name: &&str| u32::from(job["absent"].as_str() != Some(*name));
    vec![modalities.iter().enumerate().map(|(m, name)| bit(name) << m).sum(); samples]
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
            present: present(job, modalities, rows.len()),
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

/// The logits of all jobs in pieces of so many samples, `[J, N, C]`.
fn logits(model: &Model, data: &DeviceData, jobs: &[EvalJob], piece: usize) -> Tensor {
    let samples = jobs[0].rows.len();
    let pieces = (0..samples).step_by(piece).map(|start| {
        let group = evaluate::Group { model, data, jobs, start, count: piece.min(samples - start) };
        let scored = group.evaluate().unwrap();
        let logits = |s: &fedrobust::lane::Scored| Tensor::from_slice(s.logits.as_slice().unwrap());
        let stacked = Tensor::stack(&scored.iter().map(logits).collect::<Vec<_>>(), 0);
        stacked.view([jobs.len() as i64, -1, CLASSES as i64])
    });
    Tensor::cat(&pieces.collect::<Vec<_>>(), 1)
}

fn distance(a: &Tensor, b: &Tensor) -> f64 {
    (a - b).abs().max().double_value(&[])
}

#[test]
fn padding_is_seen_as_the_reference_sees_it() {
    tch::set_num_threads(1);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let tensors = read(&folder.join("padding.safetensors"));
    let cases: Value = serde_json::from_slice(&std::fs::read(folder.join("padding.json")).unwrap()).unwrap();
    for case in cases.as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        let modalities: Vec<&str> =
            case["modalities"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
        let data = data(&tensors, &modalities);
        let device_data = DeviceData::new(&data, Device::Cpu).unwrap();
        let theirs = model(case, &data, Padding::Batch);
        let weights =
            |place: usize, when: &str| row(&theirs.layout, &tensors, |ours| format!("{name}.{place}.{when}.{ours}"));
        let jobs = case["jobs"].as_array().unwrap();

        let lanes: Vec<Job> =
            (0..).zip(jobs).map(|(place, job)| training(job, place, &modalities, &weights(place, "start"))).collect();
        let pool = BitPool::of(&[0], 0.0, Device::Cpu);
        let group = train::Group { model: &theirs, data: &device_data, pool: &pool, jobs: &lanes };
        for trained in group.train().unwrap() {
            let start = weights(trained.place, "start");
            let error = error_of_change(&(&start + &trained.delta), &weights(trained.place, "end"), &start);
            println!("{name}, lane {}: relative error of the change {error:.1e}", trained.place);
            assert!(error < 1e-4, "{name}, lane {}: {error:.3e}", trained.place);
        }

        let evaluation = |(place, job): (usize, &Value)| {
            let rows: Vec<u32> = vector(&job["scored"]);
            let present = Some(Arc::new(present(job, &modalities, rows.len())));
            let weights = weights(place, "start");
            EvalJob { run: 0, place, weights, rows: Arc::new(rows), present, affine: None, paint: None }
        };
        let evaluations: Vec<EvalJob> = jobs.iter().enumerate().map(evaluation).collect();
        let expected: Vec<&Tensor> = (0..jobs.len()).map(|place| &tensors[&format!("{name}.{place}.logits")]).collect();
        let expected = Tensor::stack(&expected, 0).to_kind(Kind::Float);
        for piece in [7, 50, 1000] {
            let error = distance(&logits(&theirs, &device_data, &evaluations, piece), &expected);
            assert!(error < 1e-5, "{name}, pieces of {piece}: {error:.3e}");
        }
        let ours = distance(&logits(&model(case, &data, Padding::Absent), &device_data, &evaluations, 1000), &expected);
        println!("{name}: logits differ by {ours:.1e} where padding is absent");
        assert!(ours > 1e-3, "{name}: padding is as good as absent, {ours:.3e}");
    }
}
