//! Whole models: mixed encoders, lengths, presence, dropout, both fusions and both losses, against autograd; and what may
//! never matter to a prediction or a gradient.

use super::reference::{Sample, Weights};
use super::{assert_close, assert_close_by_hand, bits, random, unwritten};
use crate::data::ModalityShape;
use crate::model::config::{Attention, Concat, ConvGru, Hidden, Identity, Mask, Mean};
use crate::model::layer::{Masks, loss};
use crate::model::{Block, Config, EncoderConfig, FusionConfig, Input, Model};
use std::collections::BTreeMap;
use tch::{Kind, Reduction, Tensor};

const LANES: i64 = 2;
const BATCH: i64 = 4;
const CLASSES: i64 = 4;

/// A model on random samples.
struct Case {
    config: Config,
    shapes: Vec<ModalityShape>,
    model: Model,
    weights: Tensor,
    inputs: Vec<Input>,
    /// Multipliers `[L, B, …]` by layer, in the order of the pass.
    masks: Vec<(String, Tensor)>,
    weight: Tensor,
}

fn shape(name: &str, time: usize, width: usize, sequence: bool) -> ModalityShape {
    ModalityShape { name: name.into(), time, width, sequence }
}

/// The first so many of four modalities; lengths where `cut`, absent modalities where `gated`.
fn case(modalities: usize, fusion: FusionConfig, cut: bool, gated: bool, dropped: bool) -> Case {
    tch::set_num_threads(1);
    let mut shapes = vec![
        shape("conv", 21, 2, true),
        // So many that the backward of attention takes them in parts.
        shape("steps", 20, 3, true),
        shape("pooled", 1, 5, false),
        shape("other", 16, 1, true),
    ];
    shapes.truncate(modalities);
    let conv = EncoderConfig::ConvGru(ConvGru { channels: [3, 4, 5], hidden: 6, ..ConvGru::default() });
    let encoders = BTreeMap::from([
        ("conv".into(), conv.clone()),
        ("steps".into(), EncoderConfig::Gru(Hidden { hidden: 6 })),
        ("pooled".into(), EncoderConfig::Mlp(Hidden { hidden: 6 })),
        ("other".into(), conv),
    ]);
    let config = Config { encoders, fusion, head: 7, dropout: if dropped { 0.3 } else { 0.0 }, ..Config::default() };
    let model = Model::new(&config, &shapes, CLASSES as usize);
    let weights = random("weights", &[LANES, model.parameters() as i64]);
    let input = |shape: &ModalityShape| {
        let lengths = (cut && shape.sequence).then(|| lengths(&shape.name, shape.time as i64));
        let present = gated.then(|| bits(&format!("present {}", shape.name), &[LANES, BATCH], 0.6));
        let values = random(&shape.name, &[LANES, BATCH, shape.time as i64, shape.width as i64]);
        let mut input = Input { values, lengths, present, longest: None };
        input.values *= kept(&input);
        input
    };
    let inputs = shapes.iter().map(input).collect();
    let masks = if dropped { masks(&config, &shapes) } else { Vec::new() };
    let weight = random("weight", &[LANES, BATCH]).abs();
    Case { config, shapes, model, weights, inputs, masks, weight }
}

/// From shorter than the pools to full; the second sample keeps too little for the pools.
fn lengths(name: &str, time: i64) -> Tensor {
    let lengths = ((random(name, &[LANES, BATCH]) + 1.0) * (time as f64 / 2.0)).ceil().clamp(1.0, time as f64);
    let _ = lengths.select(1, 1).fill_(3.0);
    lengths.to_kind(Kind::Int64)
}

/// 1 for the steps that a sample has, `[L, B, T, 1]`.
fn kept(input: &Input) -> Tensor {
    let steps = Tensor::arange(input.values.size()[2], (Kind::Int64, input.values.device()));
    let mut kept = Tensor::ones(&input.values.size()[..3], (Kind::Float, input.values.device()));
    if let Some(lengths) = &input.lengths {
        kept *= steps.less_tensor(&lengths.unsqueeze(-1)).to_kind(Kind::Float);
    }
    if let Some(present) = &input.present {
        kept *= present.unsqueeze(-1);
    }
    kept.unsqueeze(-1)
}

fn masks(config: &Config, shapes: &[ModalityShape]) -> Vec<(String, Tensor)> {
    let mut masks = Vec::new();
    let mut add = |name: String, units: &[i64]| {
        let mask = bits(&format!("mask {name}"), &[&[LANES, BATCH], units].concat(), 0.7) / 0.7;
        masks.push((name, mask));
    };
    for shape in shapes {
        match config.encoder_of(shape) {
            EncoderConfig::ConvGru(conv) => {
                for (i, channels) in conv.channels.iter().enumerate() {
                    add(format!("{}.conv{}", shape.name, i + 1), &[shape.time as i64 >> (i + 1), *channels as i64]);
                }
            }
            EncoderConfig::Gru(_) | EncoderConfig::Identity(_) => {}
            EncoderConfig::Mlp(mlp) => add(format!("{}.linear1", shape.name), &[1, mlp.hidden as i64]),
        }
    }
    if config.head_dropout {
        add("head".into(), &[1, config.head as i64]);
    }
    masks
}

impl Case {
    /// The multipliers as the engine gets them; a fresh copy, because a pass uses them up.
    fn given(&self) -> Option<Masks> {
        let flat: Vec<Tensor> = self.masks.iter().map(|(_, mask)| mask.reshape([self.lanes(), -1])).collect();
        (!flat.is_empty()).then(|| super::masks(&Tensor::cat(&flat, 1), 1.0 / 0.7, BATCH))
    }

    fn logits(&self) -> Tensor {
        self.model.forward(&self.weights, &self.inputs, self.given().as_ref()).0
    }

    /// Losses and gradients of the engine.
    fn found(&self, multilabel: bool) -> (Tensor, Tensor) {
        let grads = unwritten(&self.weights);
        let (logits, saved) = self.model.forward(&self.weights, &self.inputs, self.given().as_ref());
        let (loss, glogits) = match multilabel {
            true => loss::binary_cross_entropy(&logits, &labels().narrow(0, 0, self.lanes()), &self.weight),
            false => loss::cross_entropy(&logits, &classes().narrow(0, 0, self.lanes()), &self.weight),
        };
        self.model.backward(&self.weights, saved, &glogits, &grads);
        (loss, grads)
    }

    fn lanes(&self) -> i64 {
        self.weights.size()[0]
    }

    /// The first lane alone, whose passes are done by hand.
    fn alone(&self) -> Case {
        let lane = |tensor: &Tensor| tensor.narrow(0, 0, 1);
        Case {
            config: self.config.clone(),
            shapes: self.shapes.clone(),
            model: self.model.clone(),
            weights: lane(&self.weights),
            inputs: of_lane(&self.inputs, 0),
            masks: self.masks.iter().map(|(name, mask)| (name.clone(), lane(mask))).collect(),
            weight: lane(&self.weight),
        }
    }

    fn sample(&self, l: i64, b: i64) -> Sample {
        let values = |input: &Input| {
            let at = |t: &Tensor| t.get(l).get(b);
            let present = input.present.as_ref().is_none_or(|p| at(p).double_value(&[]) == 1.0);
            let length = input.lengths.as_ref().map_or(input.values.size()[2], |n| at(n).int64_value(&[]));
            present.then(|| at(&input.values).narrow(0, 0, length))
        };
        let values = self.inputs.iter().map(values).collect();
        let masks = self.masks.iter().map(|(name, mask)| (name.clone(), mask.get(l).get(b))).collect();
        Sample { values, masks }
    }

    /// Losses and gradients of the reference.
    fn expected(&self, multilabel: bool) -> (Tensor, Tensor) {
        let weights = self.weights.copy().set_requires_grad(true);
        let lane = |l: i64| {
            let w = Weights::of(&self.model.layout, &weights.get(l));
            let sample = |b: i64| self.sample(l, b).logits(&self.config, &self.shapes, &w);
            Tensor::stack(&(0..BATCH).map(sample).collect::<Vec<_>>(), 0)
        };
        let logits = Tensor::stack(&(0..LANES).map(lane).collect::<Vec<_>>(), 0);
        let loss =
            match multilabel {
                true => logits
                    .binary_cross_entropy_with_logits::<Tensor>(&labels(), None, None, Reduction::None)
                    .mean_dim([-1].as_slice(), false, Kind::Float),
                false => logits
                    .view([-1, CLASSES])
                    .cross_entropy_loss::<Tensor>(&classes().view(-1), None, Reduction::None, -100, 0.0)
                    .view([LANES, BATCH]),
            };
        (&loss * &self.weight).sum(Kind::Float).backward();
        (loss.detach(), weights.grad())
    }
}

fn classes() -> Tensor {
    ((random("classes", &[LANES, BATCH]) + 1.0) * 2.0).to_kind(Kind::Int64)
}

fn labels() -> Tensor {
    bits("labels", &[LANES, BATCH, CLASSES], 0.4)
}

fn fusions() -> [FusionConfig; 2] {
    [
        FusionConfig::Attention(Attention { heads: 2, units: 9, ..Attention::default() }),
        FusionConfig::Concat(Concat::default()),
    ]
}

/// Lengths, gates, dropout, multilabel.
const SWITCHES: [[bool; 4]; 5] = [
    [false, false, false, false],
    [true, false, false, true],
    [false, true, false, false],
    [false, false, true, false],
    [true, true, true, true],
];

#[test]
fn whole_models_agree_with_autograd() {
    for fusion in fusions() {
        for modalities in [1, 2, 4] {
            for [cut, gated, dropped, multilabel] in SWITCHES {
                let name = format!(
                    "{fusion:?}, {modalities} modalities, lengths {cut}, gates {gated}, dropout {dropped}, multilabel {multilabel}"
                );
                let case = case(modalities, fusion.clone(), cut, gated, dropped);
                assert_gradients(&name, &case, multilabel);
            }
        }
    }
}

fn assert_gradients(name: &str, case: &Case, multilabel: bool) {
    let (loss, grads) = case.found(multilabel);
    let (expected_loss, expected) = case.expected(multilabel);
    assert_close(&format!("{name}: loss"), &loss, &expected_loss, 0.0);
    let scale = expected.norm().double_value(&[]);
    let (loss_alone, grads_alone) = case.alone().found(multilabel);
    assert_close_by_hand(&format!("{name}: loss by hand"), &loss_alone, &expected_loss.narrow(0, 0, 1), 0.0);
    let named = |rows: &Tensor, l: i64| case.model.layout.split(&rows.get(l));
    for l in 0..LANES {
        for ((weight, found), (_, expected)) in named(&grads, l).iter().zip(named(&expected, l)) {
            assert_close(&format!("{name}: lane {l}, {weight}"), found, &expected, scale);
        }
    }
    for ((weight, found), (_, expected)) in named(&grads_alone, 0).iter().zip(named(&expected, 0)) {
        assert_close_by_hand(&format!("{name}: by hand, {weight}"), found, &expected, scale);
    }
}

/// The case again, with another configuration of the same shapes.
fn with(mut case: Case, change: impl Fn(&mut Config)) -> Case {
    change(&mut case.config);
    case.model = Model::new(&case.config, &case.shapes, CLASSES as usize);
    case.weights = random("weights", &[LANES, case.model.parameters() as i64]);
    if !case.masks.is_empty() {
        case.masks = masks(&case.config, &case.shapes);
    }
    case
}

#[test]
fn the_ways_of_the_reference_agree_with_autograd() {
    let padded = || FusionConfig::Concat(Concat { mean: Mean::Padded, dead_weights: 17 });
    for [cut, gated, dropped, multilabel] in SWITCHES {
        let case = with(case(4, padded(), cut, gated, dropped), |config| {
            config.head_dropout = false;
            config.encoders.insert("pooled".into(), EncoderConfig::Identity(Identity {}));
        });
        assert_gradients(&format!("padded, lengths {cut}, gates {gated}, dropout {dropped}"), &case, multilabel);
    }
}

#[test]
fn scoring_gives_the_logits_of_a_pass_without_dropout() {
    for fusion in fusions() {
        for [cut, gated] in [[false, false], [false, true], [true, false], [true, true]] {
            let case = case(4, fusion.clone(), cut, gated, false);
            assert_scores(&case);
        }
    }
    assert_scores(&with(case(2, fusions()[0].clone(), true, true, false), wide));
    assert_scores(&with(case(1, fusions()[0].clone(), true, true, false), masked_heads));
}

/// Layers wider than a panel of packed weights, with a rest.
fn wide(config: &mut Config) {
    let conv = ConvGru { channels: [33, 40, 70], hidden: 45, ..ConvGru::default() };
    config.encoders.insert("conv".into(), EncoderConfig::ConvGru(conv));
    config.encoders.insert("steps".into(), EncoderConfig::Gru(Hidden { hidden: 45 }));
    config.fusion = FusionConfig::Attention(Attention { units: 50, heads: 37, ..Attention::default() });
}

fn masked_heads(config: &mut Config) {
    let conv = ConvGru { channels: [3, 4, 5], hidden: 6, absent_step: true };
    config.encoders.insert("conv".into(), EncoderConfig::ConvGru(conv));
    config.fusion = FusionConfig::Attention(Attention { mask: Mask::Heads, ..Attention::default() });
}

#[test]
fn wide_layers_agree_with_autograd() {
    for [cut, gated, dropped, multilabel] in SWITCHES {
        let mut case = with(case(2, fusions()[0].clone(), cut, gated, dropped), wide);
        // So that rounding decides no pool: sums of many.
        case.weights *= 0.2;
        assert_gradients(&format!("wide, lengths {cut}, gates {gated}, dropout {dropped}"), &case, multilabel);
    }
}

/// (`tests/it/padding.rs` holds the stacked ones against FedMultimodal's.)
#[test]
fn masked_heads_have_the_same_gradients_by_hand() {
    for gated in [false, true] {
        let case = with(case(1, fusions()[0].clone(), true, gated, true), masked_heads);
        let ((loss, grads), (alone, by_hand)) = (case.found(false), case.alone().found(false));
        assert_close_by_hand("loss", &alone, &loss.narrow(0, 0, 1), 0.0);
        assert_close_by_hand("gradients", &by_hand, &grads.narrow(0, 0, 1), 0.0);
    }
}

/// Scoring, stacked and by hand, gives a forward pass's logits.
fn assert_scores(case: &Case) {
    let expected = case.logits();
    assert_close("logits, stacked", &case.model.score(&case.weights, &case.inputs, None), &expected, 0.0);
    for l in 0..LANES {
        let weights = case.weights.narrow(0, l, 1);
        let packed = case.model.packed(&weights, false);
        let logits = case.model.score(&weights, &of_lane(&case.inputs, l), Some(&packed));
        assert_close_by_hand("logits, by hand", &logits, &expected.narrow(0, l, 1), 0.0);
    }
}

/// One lane's inputs.
fn of_lane(inputs: &[Input], l: i64) -> Vec<Input> {
    let lane = |tensor: &Tensor| tensor.narrow(0, l, 1);
    let input = |input: &Input| Input {
        values: lane(&input.values),
        lengths: input.lengths.as_ref().map(lane),
        present: input.present.as_ref().map(lane),
        longest: input.longest.as_ref().map(|longest| longest.map(lane)),
    };
    inputs.iter().map(input).collect()
}

#[test]
fn dead_weights_are_counted_and_never_move() {
    let alive = case(2, fusions()[1].clone(), false, false, false);
    let dead = with(case(2, fusions()[1].clone(), false, false, false), |config| {
        config.fusion = FusionConfig::Concat(Concat { dead_weights: 17, ..Concat::default() });
    });
    assert_eq!(dead.model.parameters(), alive.model.parameters() + 17);
    let rows = random("delta", &[LANES, dead.model.parameters() as i64]);
    let before = rows.copy();
    dead.model.keep_dead(&rows);
    let changed = rows.ne_tensor(&before).sum(Kind::Int64).int64_value(&[]);
    assert_eq!(changed, 17 * LANES, "only the dead ones are kept as they were");
}

#[test]
fn dropout_decides_on_as_many_units_as_the_layers_take() {
    let case = case(4, fusions()[0].clone(), false, false, true);
    let units: i64 = case.masks.iter().map(|(_, mask)| mask.numel() as i64 / LANES).sum();
    assert_eq!(case.model.dropout_units(BATCH), units);
    let without = self::case(4, fusions()[0].clone(), false, false, false);
    assert_eq!(without.model.dropout_units(BATCH), 0);
}

#[test]
fn what_an_absent_modality_holds_never_reaches_the_logits() {
    for fusion in fusions() {
        let mut case = case(4, fusion, true, true, true);
        let before = case.logits();
        for input in &mut case.inputs {
            let absent: Tensor = 1.0 - input.present.as_ref().unwrap();
            let noise = random("noise", &input.values.size()) * 1e6;
            input.values += noise * absent.unsqueeze(-1).unsqueeze(-1);
        }
        assert_eq!(case.logits(), before);
    }
}

#[test]
fn blocks_cover_the_row_and_an_encoder_that_met_no_sample_gets_no_gradient() {
    for fusion in fusions() {
        let mut case = case(3, fusion, false, true, false);
        let blocks = case.model.blocks();
        let names: Vec<&str> = blocks.iter().map(|block| block.name.as_str()).collect();
        assert_eq!(names, ["conv", "steps", "pooled", "fusion"]);
        let ends: Vec<i64> = blocks.iter().map(|block| block.offset + block.len).collect();
        let starts: Vec<i64> = blocks.iter().map(|block| block.offset).collect();
        assert_eq!((starts[0], &starts[1..], ends[3]), (0, &ends[..3], case.model.layout.len()));
        assert_eq!(blocks.iter().map(|block| block.modality).collect::<Vec<_>>(), [Some(0), Some(1), Some(2), None]);
        let _ = case.inputs[1].present.as_mut().unwrap().zero_();
        let (_, grads) = case.found(false);
        let moved = |block: &Block| grads.narrow(1, block.offset, block.len).abs().sum(Kind::Float).double_value(&[]);
        assert_eq!(blocks.iter().map(|block| moved(block) > 0.0).collect::<Vec<_>>(), [true, false, true, true]);
    }
}

#[test]
fn a_sample_without_weight_changes_no_gradient() {
    for fusion in fusions() {
        for multilabel in [false, true] {
            let mut case = case(4, fusion.clone(), true, true, true);
            let _ = case.weight.select(1, 2).zero_();
            let (loss, grads) = case.found(multilabel);
            for input in &mut case.inputs {
                let mut sample = input.values.select(1, 2);
                sample += random("noise", &sample.size());
            }
            let (other_loss, other_grads) = case.found(multilabel);
            assert_ne!(loss.select(1, 2), other_loss.select(1, 2), "the sample did change");
            assert_eq!(grads, other_grads);
        }
    }
}

#[test]
fn padding_beyond_every_length_changes_no_logits() {
    for fusion in fusions() {
        let mut case = case(4, fusion, true, true, false);
        let before = case.logits();
        for (input, shape) in case.inputs.iter_mut().zip(&mut case.shapes).filter(|(input, _)| input.lengths.is_some())
        {
            shape.time += 9;
            input.values = input.values.constant_pad_nd([0, 0, 0, 9]);
        }
        case.model = Model::new(&case.config, &case.shapes, CLASSES as usize);
        assert_close("logits", &case.logits(), &before, 0.0);
    }
}

#[test]
fn a_lanes_gradient_does_not_depend_on_its_neighbours() {
    for fusion in fusions() {
        let mut case = case(4, fusion, true, true, true);
        let (loss, grads) = case.found(false);
        case.weights
            .narrow(0, 1, LANES - 1)
            .copy_(&random("other weights", &case.weights.narrow(0, 1, LANES - 1).size()));
        for input in &mut case.inputs {
            let mut others = input.values.narrow(0, 1, LANES - 1);
            others *= -0.5;
        }
        let (other_loss, other_grads) = case.found(false);
        assert_eq!((loss.get(0), grads.get(0)), (other_loss.get(0), other_grads.get(0)));
        assert_ne!(grads.get(1), other_grads.get(1));
    }
}
