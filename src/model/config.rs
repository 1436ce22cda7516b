//! `[model]`: encoders, fusion and head, and what they need of the data.

use crate::data::ModalityShape;
use crate::fault::{About, Checker, Parameter};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// `[model]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Config {
    /// Encoder of every modality that `encoders` does not name; by default `conv-gru` for sequences of 8 steps or more,
    /// `gru` for shorter ones, `mlp` for pooled features.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoder: Option<EncoderConfig>,
    /// Encoder by modality, where one differs.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub encoders: BTreeMap<String, EncoderConfig>,
    /// How the modalities are joined.
    pub fusion: FusionConfig,
    /// What lies beyond a sample's last step.
    #[serde(skip_serializing_if = "Padding::is_default")]
    pub padding: Padding,
    /// Units of the head's hidden layer.
    pub head: usize,
    /// Dropout probability, after every conv block, in the mlp and in the head.
    pub dropout: f64,
    /// Whether the head drops units too; FedMultimodal's HAR and ECG models with concat fusion do not.
    #[serde(skip_serializing_if = "is_true")]
    pub head_dropout: bool,
}

/// What is left out of the canonical form.
fn is_true(value: &bool) -> bool {
    *value
}

/// What is left out of the canonical form.
fn is_false(value: &bool) -> bool {
    !*value
}

impl Default for Config {
    fn default() -> Self {
        Self {
            encoder: None,
            encoders: BTreeMap::new(),
            fusion: FusionConfig::default(),
            padding: Padding::default(),
            head: 64,
            dropout: 0.1,
            head_dropout: true,
        }
    }
}

/// What lies beyond a sample's last step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Padding {
    /// Nothing: every layer finds zeros there, so that no result depends on the batch.
    #[default]
    Absent,
    /// As FedMultimodal: zeros up to the longest sample of the batch, and then what the layers make of them.
    Batch,
}

impl Padding {
    fn is_default(&self) -> bool {
        *self == Padding::Absent
    }
}

/// An encoder: samples of one modality to a sequence of `hidden` features.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EncoderConfig {
    /// Three blocks of convolution, then a GRU.
    ConvGru(ConvGru),
    /// A GRU.
    Gru(Hidden),
    /// Two linear layers for pooled features.
    Mlp(Hidden),
    /// Pooled features as they are.
    Identity(Identity),
}

/// Parameters of `conv-gru`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct ConvGru {
    /// Channels of the three blocks.
    pub channels: [usize; 3],
    /// Units of the GRU.
    pub hidden: usize,
    /// Whether a sample that is absent, or too short to leave a step, still shows one step, as in FedMultimodal's models of
    /// speech and of one modality.
    #[serde(skip_serializing_if = "is_false")]
    pub absent_step: bool,
}

impl Default for ConvGru {
    fn default() -> Self {
        Self { channels: [32, 64, 128], hidden: 128, absent_step: false }
    }
}

/// Parameters of `gru` and `mlp`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Hidden {
    /// Units.
    pub hidden: usize,
}

impl Default for Hidden {
    fn default() -> Self {
        Self { hidden: 128 }
    }
}

/// No parameters.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {}

/// How the modalities are joined.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FusionConfig {
    /// Attention pooling over the time steps of all modalities.
    Attention(Attention),
    /// Mean over time, side by side.
    Concat(Concat),
}

impl Default for FusionConfig {
    fn default() -> Self {
        FusionConfig::Attention(Attention::default())
    }
}

/// Parameters of `attention`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Attention {
    /// Heads.
    pub heads: usize,
    /// Units of the scoring layer.
    pub units: usize,
    /// What a sample's length masks.
    #[serde(skip_serializing_if = "Mask::is_default")]
    pub mask: Mask,
}

impl Default for Attention {
    fn default() -> Self {
        Self { heads: 6, units: 512, mask: Mask::default() }
    }
}

/// What a sample's length masks in attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mask {
    /// The steps from its length on.
    #[default]
    Steps,
    /// As FedMultimodal's models of one modality: the heads from its length on, which then weigh all steps alike; padding
    /// takes part as zeros.
    Heads,
}

impl Mask {
    fn is_default(&self) -> bool {
        *self == Mask::Steps
    }
}

/// Parameters of `concat`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Concat {
    /// Over which steps the mean goes.
    #[serde(skip_serializing_if = "Mean::is_default")]
    pub mean: Mean,
    /// Weights that are made, sent and averaged but never used, as FedMultimodal's concat models carry them.
    #[serde(skip_serializing_if = "is_zero")]
    pub dead_weights: usize,
}

/// What is left out of the canonical form.
fn is_zero(n: &usize) -> bool {
    *n == 0
}

/// Over which steps a mean goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mean {
    /// A sample's valid steps; an absent modality gives zeros.
    #[default]
    Valid,
    /// All steps of the array, padding as zeros; an absent modality gives what its encoder makes of zeros.
    Padded,
}

impl Mean {
    fn is_default(&self) -> bool {
        *self == Mean::Valid
    }
}

/// Most units of a layer: so that the number of weights of any model can be counted.
const WIDEST: usize = 100_000;
const SOURCE: &str = "Feng et al., FedMultimodal, KDD 2023";
const HIDDEN: Parameter = Parameter { name: "hidden", default: "128", meaning: "units, from 1" };

/// Encoders, for `fedrobust list encoder`.
pub const ENCODERS: &[About] = &[
    About {
        name: "conv-gru",
        summary: "Three blocks of convolution (kernel 5), ReLU, max-pool 2 and dropout, then a GRU. Sequences of 8 steps or more.",
        formula: "x [T, D] -> [T/2, c1] -> [T/4, c2] -> [T/8, c3] -> GRU [T/8, hidden]",
        source: SOURCE,
        parameters: &[
            Parameter {
                name: "channels",
                default: "[32, 64, 128]",
                meaning: "channels of the three blocks, each from 1",
            },
            HIDDEN,
            Parameter {
                name: "absent-step",
                default: "false",
                meaning: "true: an absent sample, or one too short to leave a step, still shows one, as FedMultimodal's audio of MELD and its models of one modality",
            },
        ],
    },
    About {
        name: "gru",
        summary: "One GRU layer over the raw steps. Sequences of any length.",
        formula: "x [T, D] -> GRU [T, hidden]",
        source: SOURCE,
        parameters: &[HIDDEN],
    },
    About {
        name: "mlp",
        summary: "Two linear layers with ReLU and dropout between them, for pooled features; gives one step.",
        formula: "x [D] -> W2 dropout(relu(W1 x + b1)) + b2 [1, hidden]",
        source: SOURCE,
        parameters: &[HIDDEN],
    },
    About {
        name: "identity",
        summary: "Pooled features as they are, one step: with concat and one modality the head alone is the model.",
        formula: "x [D] -> [1, D]",
        source: "",
        parameters: &[],
    },
];

/// Fusions, for `fedrobust list fusion`.
pub const FUSIONS: &[About] = &[
    About {
        name: "attention",
        summary: "Structured self-attentive pooling over the time steps of all modalities; absent modalities and steps beyond a sample's length get no weight.",
        formula: "S = W2 tanh(W1 x + b1) + b2 [S, heads]; P = softmax over steps; output = heads weighted sums, flattened",
        source: "Lin et al., A Structured Self-attentive Sentence Embedding, ICLR 2017; Feng et al., FedMultimodal, KDD 2023 (fuse_base)",
        parameters: &[
            Parameter { name: "heads", default: "6", meaning: "weighted sums, from 1" },
            Parameter { name: "units", default: "512", meaning: "units of the scoring layer, from 1" },
            Parameter {
                name: "mask",
                default: "valid steps",
                meaning: "what a sample's length masks: steps, or heads, as FedMultimodal's models of one modality",
            },
        ],
    },
    About {
        name: "concat",
        summary: "Mean over a sample's valid steps, modalities side by side; an absent modality is zeros.",
        formula: "[mean_t h_A, mean_t h_B, ...]",
        source: SOURCE,
        parameters: &[
            Parameter {
                name: "mean",
                default: "valid steps",
                meaning: "valid, or padded: over all steps, padding as zeros and an absent modality not masked, as FedMultimodal",
            },
            Parameter {
                name: "dead-weights",
                default: "none",
                meaning: "weights that are made, sent and averaged but never used, from 0; FedMultimodal: 148608 (HAR)",
            },
        ],
    },
];

impl EncoderConfig {
    /// Features a step of its output, of samples of this shape.
    pub fn output(&self, shape: &ModalityShape) -> usize {
        match self {
            EncoderConfig::ConvGru(c) => c.hidden,
            EncoderConfig::Gru(c) | EncoderConfig::Mlp(c) => c.hidden,
            EncoderConfig::Identity(_) => shape.width,
        }
    }

    fn name(&self) -> &'static str {
        match self {
            EncoderConfig::ConvGru(_) => "conv-gru",
            EncoderConfig::Gru(_) => "gru",
            EncoderConfig::Mlp(_) => "mlp",
            EncoderConfig::Identity(_) => "identity",
        }
    }

    fn check(&self, c: &mut Checker) {
        c.inside(self.name(), |c| match self {
            EncoderConfig::ConvGru(conv) => {
                c.count("hidden", conv.hidden, 1, WIDEST);
                if conv.channels.contains(&0) {
                    c.fault("channels", "has a block without channels", "three whole numbers from 1", "");
                }
                if conv.channels.iter().any(|&channels| channels > WIDEST) {
                    c.fault("channels", "is too large", format!("three whole numbers from 1 to {WIDEST}"), "");
                }
            }
            EncoderConfig::Gru(config) | EncoderConfig::Mlp(config) => c.count("hidden", config.hidden, 1, WIDEST),
            EncoderConfig::Identity(_) => {}
        });
    }

    fn check_shape(&self, c: &mut Checker, shape: &ModalityShape) {
        let what =
            if shape.sequence { format!("[{}, {}]", shape.time, shape.width) } else { format!("[{}]", shape.width) };
        let problem = format!("cannot encode modality {}, whose samples are {what}", shape.name);
        match self {
            EncoderConfig::ConvGru(_) if shape.time < 8 => {
                c.fault(
                    "conv-gru",
                    problem,
                    "sequences of 8 steps or more",
                    "Use gru or mlp for it, under model.encoders.",
                );
            }
            EncoderConfig::Mlp(_) | EncoderConfig::Identity(_) if shape.sequence => {
                c.fault(self.name(), problem, "pooled features", "Use conv-gru or gru for it, under model.encoders.");
            }
            _ => {}
        }
    }
}

impl Config {
    /// Ranges.
    pub fn check(&self, c: &mut Checker) {
        c.count("head", self.head, 1, WIDEST);
        c.below_one("dropout", self.dropout);
        if let Some(encoder) = &self.encoder {
            c.inside("encoder", |c| encoder.check(c));
        }
        for (name, encoder) in &self.encoders {
            c.inside("encoders", |c| c.inside(name, |c| encoder.check(c)));
        }
        c.inside("fusion", |c| match &self.fusion {
            FusionConfig::Attention(attention) => c.inside("attention", |c| {
                c.count("heads", attention.heads, 1, WIDEST);
                c.count("units", attention.units, 1, WIDEST);
            }),
            FusionConfig::Concat(concat) => {
                c.inside("concat", |c| c.count("dead-weights", concat.dead_weights, 0, 1_000_000_000));
            }
        });
    }

    /// What needs the data: names of modalities, encoders that fit their shapes, one width for attention.
    pub fn check_shapes(&self, c: &mut Checker, shapes: &[ModalityShape]) {
        for name in self.encoders.keys().filter(|name| shapes.iter().all(|s| s.name != **name)) {
            let names: Vec<&str> = shapes.iter().map(|s| s.name.as_str()).collect();
            c.inside("encoders", |c| c.fault(name, "names no modality of the data", names.join(", "), ""));
        }
        for shape in shapes {
            let encoder = self.encoder_of(shape);
            match self.encoders.contains_key(&shape.name) {
                true => c.inside("encoders", |c| c.inside(&shape.name, |c| encoder.check_shape(c, shape))),
                false => c.inside("encoder", |c| encoder.check_shape(c, shape)),
            }
        }
        let masks_heads = matches!(&self.fusion, FusionConfig::Attention(a) if a.mask == Mask::Heads);
        if masks_heads && !matches!(shapes, [one] if one.sequence) {
            c.inside("fusion", |c| {
                c.inside("attention", |c| {
                    c.fault(
                        "mask",
                        "masks heads by the length of one modality, a sequence, which is not what the data has",
                        "steps, or data of one modality that is a sequence",
                        "Leave mask out, or choose one modality.",
                    );
                });
            });
        }
        let widths: Vec<usize> = shapes.iter().map(|s| self.encoder_of(s).output(s)).collect();
        if matches!(self.fusion, FusionConfig::Attention(_)) && widths.windows(2).any(|w| w[0] != w[1]) {
            c.inside("fusion", |c| {
                c.fault(
                    "attention",
                    format!("joins encoders of different width {widths:?}"),
                    "one `hidden` for all modalities",
                    "Give every encoder the same `hidden`, or use concat.",
                );
            });
        }
    }

    /// The encoder of a modality.
    pub fn encoder_of(&self, shape: &ModalityShape) -> EncoderConfig {
        let chosen = self.encoders.get(&shape.name).or(self.encoder.as_ref()).cloned();
        chosen.unwrap_or_else(|| match (shape.sequence, shape.time) {
            (false, _) => EncoderConfig::Mlp(Hidden::default()),
            (true, 8..) => EncoderConfig::ConvGru(ConvGru::default()),
            (true, _) => EncoderConfig::Gru(Hidden::default()),
        })
    }
}
