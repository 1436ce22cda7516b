//! What `fedrobust list strategy` says of the presets.

use crate::fault::{About, Parameter};
use crate::objective;

const LR_ADAPTIVE: Parameter =
    Parameter { name: "lr", default: "0.01", meaning: "server learning rate, above 0; tune it" };
const BETA1: Parameter =
    Parameter { name: "beta1", default: "0.9", meaning: "decay of the first moment, from 0 to below 1" };
const BETA2: Parameter =
    Parameter { name: "beta2", default: "0.99", meaning: "decay of the second moment, from 0 to below 1" };
const TAU: Parameter =
    Parameter { name: "tau", default: "1e-3", meaning: "degree of adaptivity, above 0; smaller is more adaptive" };

/// Every preset, for `fedrobust list strategy`.
pub const CHOICES: &[About] = &[
    About {
        name: "fedavg",
        summary: "Clients take SGD steps, the server averages by samples.",
        formula: "w = sum_k n_k w_k / sum_k n_k",
        source: "McMahan et al., Communication-Efficient Learning of Deep Networks from Decentralized Data, AISTATS 2017, Algorithm 1",
        parameters: &[],
    },
    About {
        name: "fedprox",
        summary: "FedAvg with a proximal term that keeps clients near the global weights.",
        formula: "client: min_w F_k(w) + (mu/2) |w - w_global|^2; server: as fedavg",
        source: "Li et al., Federated Optimization in Heterogeneous Networks, MLSys 2020, Algorithm 2",
        parameters: &[Parameter { name: "mu", default: "0.01", meaning: "weight of the proximal term, from 0" }],
    },
    About {
        name: "scaffold",
        summary: "Control variates take the drift of a client out of its gradients; the server averages uniformly.",
        formula: "client: g = g - c_k + c; c_k = c_k - c - Delta_k / (eta A_k); server: w = w + lr mean(Delta), c = c + (n/N) mean(change of c_k)",
        source: "Karimireddy et al., SCAFFOLD: Stochastic Controlled Averaging for Federated Learning, ICML 2020, Algorithm 1, option II",
        parameters: &[
            Parameter { name: "lr", default: "1.0", meaning: "server learning rate, above 0" },
            objective::scaffold::CORRECTION,
        ],
    },
    About {
        name: "fedrs",
        summary: "FedAvg with a restricted softmax: logits of classes that a client does not hold are scaled down in training.",
        formula: objective::fedrs::ABOUT.formula,
        source: objective::fedrs::ABOUT.source,
        parameters: objective::fedrs::ABOUT.parameters,
    },
    About {
        name: "fednova",
        summary: "FedAvg on changes per effective step, so that clients with more steps do not pull harder.",
        formula: objective::fednova::ABOUT.formula,
        source: objective::fednova::ABOUT.source,
        parameters: objective::fednova::ABOUT.parameters,
    },
    About {
        name: "feddyn",
        summary: "Dynamic regularisation of the clients' objectives; the server averages uniformly and corrects.",
        formula: objective::feddyn::ABOUT.formula,
        source: objective::feddyn::ABOUT.source,
        parameters: objective::feddyn::ABOUT.parameters,
    },
    About {
        name: "moon",
        summary: "FedAvg with a model-contrastive term on the clients' representations.",
        formula: objective::moon::ABOUT.formula,
        source: objective::moon::ABOUT.source,
        parameters: objective::moon::ABOUT.parameters,
    },
    About {
        name: "fedopt",
        summary: "FedMultimodal's FedOpt: server momentum on the pseudo-gradient divided by the client learning rate.",
        formula: "G = (w - w_avg) / client lr; m = momentum m + G; w = w - lr m",
        source: "Feng et al., FedMultimodal: A Benchmark for Multimodal Federated Learning, KDD 2023; after Reddi et al., ICLR 2021, Algorithm 1",
        parameters: &[
            Parameter {
                name: "lr",
                default: "0.025",
                meaning: "server learning rate, above 0; the client learning rate makes it plain averaging",
            },
            Parameter { name: "momentum", default: "0.9", meaning: "server momentum, from 0 to below 1" },
        ],
    },
    About {
        name: "fedavgm",
        summary: "FedAvg with server momentum.",
        formula: "m = momentum m + (w - w_avg); w = w - lr m",
        source: "Hsu et al., Measuring the Effects of Non-Identical Data Distribution for Federated Visual Classification, 2019 (FedAvgM)",
        parameters: &[
            Parameter { name: "lr", default: "1.0", meaning: "server learning rate, above 0" },
            Parameter { name: "momentum", default: "0.9", meaning: "server momentum, from 0 to below 1" },
        ],
    },
    About {
        name: "fedadagrad",
        summary: "FedAvg with Adagrad on the server.",
        formula: "m = beta1 m + (1 - beta1) Delta; v = v + Delta^2, from tau^2; w = w + lr m / (sqrt(v) + tau)",
        source: "Reddi et al., Adaptive Federated Optimization, ICLR 2021, Algorithm 2",
        parameters: &[Parameter { default: "0.1", ..LR_ADAPTIVE }, Parameter { default: "0.0", ..BETA1 }, TAU],
    },
    About {
        name: "fedadam",
        summary: "FedAvg with Adam on the server.",
        formula: "m = beta1 m + (1 - beta1) Delta; v = beta2 v + (1 - beta2) Delta^2, from tau^2; w = w + lr m / (sqrt(v) + tau)",
        source: "Reddi et al., Adaptive Federated Optimization, ICLR 2021, Algorithm 2",
        parameters: &[LR_ADAPTIVE, BETA1, BETA2, TAU],
    },
    About {
        name: "fedyogi",
        summary: "FedAvg with Yogi on the server.",
        formula: "m = beta1 m + (1 - beta1) Delta; v = v - (1 - beta2) Delta^2 sign(v - Delta^2), from tau^2; w = w + lr m / (sqrt(v) + tau)",
        source: "Reddi et al., Adaptive Federated Optimization, ICLR 2021, Algorithm 2",
        parameters: &[LR_ADAPTIVE, BETA1, BETA2, TAU],
    },
    About {
        name: "median",
        summary: "The server takes the median of each coordinate.",
        formula: "w = w + median_k(w_k - w), per coordinate",
        source: "Yin et al., Byzantine-Robust Distributed Learning: Towards Optimal Statistical Rates, ICML 2018, Algorithm 1",
        parameters: &[],
    },
    About {
        name: "trimmed-mean",
        summary: "The server drops the f smallest and f largest values of each coordinate and averages the others.",
        formula: "w = w + trimmed-mean_k(w_k - w), per coordinate",
        source: "Yin et al., Byzantine-Robust Distributed Learning: Towards Optimal Statistical Rates, ICML 2018, Algorithm 1",
        parameters: crate::aggregate::rule::trimmed_mean::ABOUT.parameters,
    },
    About {
        name: "centralised",
        summary: "Yardstick: each round the cohort's data is pooled and one model trains on it. What federation costs.",
        formula: "",
        source: "",
        parameters: &[],
    },
    About {
        name: "local-only",
        summary: "Yardstick: every client trains alone and its model is never averaged. What federation is worth.",
        formula: "",
        source: "",
        parameters: &[],
    },
    About {
        name: "custom",
        summary: "Local objective, pre-aggregators, rule and server optimiser by name.",
        formula: "",
        source: "",
        parameters: &[
            Parameter { name: "local", default: "\"plain\"", meaning: "local objective (fedrobust list local)" },
            Parameter { name: "pre", default: "[]", meaning: "pre-aggregators, first to last (fedrobust list pre)" },
            Parameter { name: "aggregate", default: "\"mean\"", meaning: "rule (fedrobust list aggregate)" },
            Parameter { name: "server", default: "\"sgd\"", meaning: "server optimiser (fedrobust list server)" },
            Parameter {
                name: "nan",
                default: "\"exclude\"",
                meaning: "updates with a NaN or an infinity: \"exclude\" sets them aside, \"propagate\" lets rules meet them, \"error\" ends the run",
            },
            Parameter {
                name: "too-few",
                default: "\"error\"",
                meaning: "a round with fewer rows than a member needs: \"error\" ends the run, \"skip\" leaves the model (or the block) as it is and counts it",
            },
            Parameter {
                name: "per-block",
                default: "false",
                meaning: "true aggregates each modality's encoder, and fusion and head, apart, over the clients that own them",
            },
            Parameter {
                name: "blocks",
                default: "{}",
                meaning: "with per-block what is different in a block, a modality or fusion: { NAME = { f, pre, aggregate } }",
            },
            Parameter { name: "on", default: "\"delta\"", meaning: "what rules act on (fedrobust list on)" },
        ],
    },
];
