//! Local trainings that `tests/fixtures/engine.py` did in plain PyTorch: an active clip, dropout multipliers, lengths,
//! absent modalities, two epochs, FedProx's mu, both losses and fusions, four modalities of mixed kinds.

use crate::pytorch::{Tensors, error_of_change, fixture, row};
use fedrobust::corrupt::Samples;
use fedrobust::data::{Dataset, Labels, Modality, ModalityShape};
use fedrobust::lane::batch::DeviceData;
use fedrobust::lane::pool::BitPool;
use fedrobust::lane::{Hyper, Job, train::Group};
use fedrobust::model::config::{Attention, Concat, ConvGru, Hidden};
use fedrobust::model::{Config, EncoderConfig, FusionConfig, Model};
use fedrobust::objective::Terms;
use fedrobust::seed::Stream;
use ndarray::{Array2, Array3};
use serde_json::Value;
use std::sync::Arc;
use tch::{Device, Tensor};

const HIDDEN: usize = 6;
const CLASSES: usize = 3;

pub fn vector<T: TryFrom<i64>>(value: &Value) -> Vec<T> {
    let number = |v: &Value| v.as_i64().and_then(|n| T::try_from(n).ok()).unwrap();
    value.as_array().unwrap().iter().map(number).collect()
}

fn floats(tensor: &Tensor) -> Vec<f32> {
    tensor.contiguous().view([-1]).try_into().unwrap()
}

pub fn data(tensors: &Tensors, multilabel: bool) -> Dataset {
    let modality = |name: &str| {
        let values = &tensors[&format!("data.{name}.values")];
        let size: Vec<usize> = values.size().iter().map(|&n| n as usize).collect();
        let values = Array3::from_shape_vec((size[0], size[1], size[2]), floats(values)).unwrap();
        let lengths = Vec::<i64>::try_from(&tensors[&format!("data.{name}.lengths")]).unwrap();
        let sequence = name != "picture";
        let lengths = sequence.then(|| lengths.into_iter().map(|n| n as u32).collect());
        let shape = ModalityShape { name: name.into(), time: size[1], width: size[2], sequence };
        Modality { shape, values, lengths }
    };
    let modalities: Vec<Modality> = ["motion", "text", "picture", "pulse"].map(modality).into();
    let samples = modalities[0].values.shape()[0];
    let labels = match multilabel {
        true => Labels::Multi(Array2::from_shape_vec((samples, CLASSES), floats(&tensors["data.labels"])).unwrap()),
        false => Labels::Single(vec![0; samples]),
    };
    Dataset {
        name: "fixture".into(),
        modalities,
        labels,
        classes: CLASSES,
        class_names: None,
        client: vec![0; samples],
        client_names: vec!["all".into()],
        parts: None,
        keys: None,
        checksum: String::new(),
    }
}

pub fn model(data: &Dataset, attention: bool) -> Model {
    let conv = EncoderConfig::ConvGru(ConvGru { channels: [3, 4, 5], hidden: HIDDEN, ..ConvGru::default() });
    let encoders = [
        ("motion", conv.clone()),
        ("text", EncoderConfig::Gru(Hidden { hidden: HIDDEN })),
        ("picture", EncoderConfig::Mlp(Hidden { hidden: HIDDEN })),
        ("pulse", conv),
    ];
    let config = Config {
        encoders: encoders.map(|(name, encoder)| (name.to_string(), encoder)).into(),
        fusion: match attention {
            true => FusionConfig::Attention(Attention { heads: 2, units: 7, ..Attention::default() }),
            false => FusionConfig::Concat(Concat::default()),
        },
        head: 5,
        dropout: 0.5,
        ..Config::default()
    };
    Model::new(&config, &data.shapes(), CLASSES)
}

/// A pool whose only window holds the given decisions.
pub fn pool(kept: &Tensor) -> BitPool {
    let kept = Vec::<i16>::try_from(kept).unwrap();
    let kept: Vec<i16> = kept.iter().map(|&kept| if kept == 1 { i16::MAX } else { i16::MIN }).collect();
    BitPool::of(&kept, 0.5, Device::Cpu)
}

fn job(place: usize, case: &Value, weights: &Tensor) -> Job {
    let number = |key: &str| case[key].as_f64().unwrap();
    let samples = Samples {
        rows: vector(&case["rows"]),
        labels: vector(&case["labels"]),
        present: vector(&case["present"]),
        forged: None,
        own: None,
    };
    Job {
        run: 0,
        place,
        weights: weights.shallow_clone(),
        samples: Arc::new(samples),
        order: case["order"].as_array().unwrap().iter().map(vector).collect(),
        affine: None,
        dropout: Stream::root(0),
        hyper: Hyper {
            lr: number("lr"),
            momentum: number("momentum"),
            weight_decay: number("weight_decay"),
            clip: number("clip"),
            mu: number("mu"),
            batch: number("batch") as usize,
        },
        terms: Terms::default(),
    }
}

#[test]
fn lanes_train_as_pytorch_trains_each_client_alone() {
    tch::set_num_threads(1);
    let (tensors, cases) = fixture("engine");
    for case in cases.as_array().unwrap() {
        let fusion = case["fusion"].as_str().unwrap();
        let data = data(&tensors, case["multilabel"].as_bool().unwrap());
        let model = Arc::new(model(&data, fusion == "attention"));
        let weights =
            |place: usize, when: &str| row(&model.layout, &tensors, |name| format!("{fusion}.{place}.{when}.{name}"));
        let jobs = case["jobs"].as_array().unwrap();
        let lanes = jobs.iter().enumerate().map(|(place, case)| job(place, case, &weights(place, "start")));
        let group = Group {
            model: &model,
            data: &DeviceData::new(&data, Device::Cpu).unwrap(),
            pool: &pool(&tensors[&format!("{fusion}.kept")]),
            jobs: &lanes.collect::<Vec<_>>(),
        };
        for trained in group.train().unwrap() {
            let (place, expected) = (trained.place, &jobs[trained.place]);
            let start = weights(place, "start");
            let error = error_of_change(&(&start + &trained.delta), &weights(place, "end"), &start);
            println!("fixture {fusion}, lane {place}: relative error of the change {error:.1e}");
            assert!(error < 1e-4, "{fusion}, lane {place}: {error:.3e}");
            for (found, key) in [(trained.loss, "loss"), (trained.loss_batch_mean, "loss_batch_mean")] {
                let expected = expected[key].as_f64().unwrap();
                assert!((found - expected).abs() < 1e-5, "{fusion}, lane {place}: {key} {found} is not {expected}");
            }
        }
    }
}
