//! Numbers of weights, against those of FedMultimodal's models (`reference/fedmultimodal/README.md`, section 2).

use crate::data::ModalityShape;
use crate::model::config::{Attention, Concat, ConvGru, Hidden, Identity};
use crate::model::{Config, EncoderConfig, FusionConfig, Model};
use std::collections::BTreeMap;

/// Names, steps, features; steps 0 for pooled features.
fn shape((name, time, width): (&str, usize, usize)) -> ModalityShape {
    ModalityShape { name: name.into(), time: time.max(1), width, sequence: time > 0 }
}

fn gru(hidden: usize) -> EncoderConfig {
    EncoderConfig::Gru(Hidden { hidden })
}

/// FedMultimodal's encoder of a modality: conv+GRU for signals and audio, a GRU for video and text, an MLP for images.
fn encoder(name: &str, hidden: usize) -> EncoderConfig {
    match name {
        "video" | "text" => gru(hidden),
        "image" => EncoderConfig::Mlp(Hidden { hidden }),
        _ => EncoderConfig::ConvGru(ConvGru { hidden, ..ConvGru::default() }),
    }
}

fn count(modalities: &[(&str, usize, usize)], classes: usize, hidden: usize, fusion: FusionConfig) -> usize {
    let shapes: Vec<ModalityShape> = modalities.iter().copied().map(shape).collect();
    let encoders: BTreeMap<String, EncoderConfig> =
        shapes.iter().map(|shape| (shape.name.clone(), encoder(&shape.name, hidden))).collect();
    Model::new(&Config { encoders, fusion, ..Config::default() }, &shapes, classes).parameters()
}

const HAR: &[(&str, usize, usize)] = &[("accelerometer", 128, 3), ("gyroscope", 128, 3)];
const ECG: &[(&str, usize, usize)] = &[("limb_leads", 1000, 6), ("chest_leads", 1000, 6)];
const ACTION: &[(&str, usize, usize)] = &[("audio", 500, 80), ("video", 10, 1280)];
const SPEECH: &[(&str, usize, usize)] = &[("audio", 1000, 80), ("text", 60, 512)];
const IMAGE: &[(&str, usize, usize)] = &[("image", 0, 1280), ("text", 32, 512)];

/// Whether docs/models.md tells a number.
#[track_caller]
fn assert_told(n: usize) {
    let text = format!("{},{:03}", n / 1000, n % 1000);
    assert!(include_str!("../../../docs/models.md").contains(&text), "docs/models.md does not tell {text}");
}

fn attention() -> FusionConfig {
    FusionConfig::Attention(Attention::default())
}

fn concat(dead_weights: usize) -> FusionConfig {
    FusionConfig::Concat(Concat { dead_weights, ..Concat::default() })
}

/// Two projections h -> h/2 and their biases.
const PROJECTIONS: usize = 2 * (128 * 64 + 64);
/// Two multi-head attention blocks: four matrices h x h with their biases each.
const BLOCKS: usize = 2 * 4 * (128 * 128 + 128);

#[test]
fn attention_models_have_the_weights_of_the_reference() {
    let table = [
        (HAR, 6, 128, 420_684),
        (HAR, 8, 128, 420_814),
        (ECG, 5, 128, 421_579),
        (ACTION, 4, 128, 823_338),
        (ACTION, 10, 128, 823_728),
        (ACTION, 51, 128, 826_393),
        (SPEECH, 4, 128, 528_426),
        (IMAGE, 8, 128, 545_870),
        (IMAGE, 2, 128, 545_480),
        (HAR, 6, 64, 239_692),
        (ECG, 5, 64, 240_587),
        (ACTION, 51, 64, 424_217),
        (SPEECH, 4, 64, 273_706),
        (IMAGE, 8, 64, 258_638),
    ];
    for (modalities, classes, hidden, wanted) in table {
        assert_eq!(count(modalities, classes, hidden, attention()), wanted, "{modalities:?}, {classes} classes");
        if hidden == 128 {
            assert_told(wanted);
        }
    }
}

#[test]
fn concat_models_have_the_weights_of_the_reference_less_its_dead_ones() {
    // As launched, and which of those are dead: the image-text model has none, the ECG model only the projections.
    let table = [
        (HAR, 6, 467_398, PROJECTIONS + BLOCKS),
        (HAR, 8, 467_528, PROJECTIONS + BLOCKS),
        (ECG, 5, 336_197, PROJECTIONS),
        (ACTION, 4, 870_052, PROJECTIONS + BLOCKS),
        (ACTION, 10, 870_442, PROJECTIONS + BLOCKS),
        (ACTION, 51, 873_107, PROJECTIONS + BLOCKS),
        (SPEECH, 4, 575_140, PROJECTIONS + BLOCKS),
        (IMAGE, 8, 443_976, 0),
        (IMAGE, 2, 443_586, 0),
    ];
    for (modalities, classes, launched, dead) in table {
        assert_eq!(count(modalities, classes, 128, concat(0)), launched - dead, "{modalities:?}, {classes} classes");
        assert_eq!(count(modalities, classes, 128, concat(dead)), launched, "{modalities:?}, {classes} classes");
        assert_told(launched);
        assert_told(launched - dead);
    }
    assert_eq!((PROJECTIONS, PROJECTIONS + BLOCKS), (16_512, 148_608));
}

#[test]
fn models_of_one_modality_have_the_weights_of_the_reference() {
    assert_eq!(count(&HAR[..1], 6, 128, attention()), 269_708);
    assert_eq!(count(&ACTION[1..], 51, 128, attention()), 663_097);
    // Its DNN, in -> 128 -> C: the head alone.
    let config = Config {
        encoder: Some(EncoderConfig::Identity(Identity {})),
        fusion: concat(0),
        head: 128,
        ..Config::default()
    };
    let model = Model::new(&config, &[shape(("image", 0, 1280))], 8);
    assert_eq!(model.parameters(), 1280 * 128 + 128 + 128 * 8 + 8);
}
