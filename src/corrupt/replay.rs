//! `replay`: what a simulation file of FedMultimodal did to each training sample, to the letter.
//!
//! Sample i of a client is what entry i of that client says: it lacks modality A or B, has the label seen there (the
//! reference's noise gives all samples of a class in a client one fixed wrong label), or has no label. So the clients must be
//! those of the file: `partition = "natural"` of the source `fedmultimodal`, or a `replay` of its partition file.
//!
//! `path` is such a file (`….json`), or the folder that holds them; then the rates name the file as the reference does:
//! `mm` missing modality, `ln` erroneous labels, `ml` missing labels, `alpha` of the partition, each as Python writes the number,
//! without the point. With every rate 0 nothing happens.
//!
//! By hand: `{ path = "simulation_feature/uci-har", missing-modality = 0.3, alpha = 0.1 }` is `mm03_alpha01.json`; an entry
//! `[…, [0, 1, 4, 0]]` of it keeps A, lacks B, has label 4 and is labelled.

use super::{Client, Facts, everything};
use crate::data::Labels;
use crate::data::listing::{self, Item, Label, Listing};
use crate::fault::{About, Checker, Parameter, Result};
use crate::partition::Share;
use crate::record::Realised;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::PathBuf;

/// Parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// A simulation file or the folder that holds them; relative to the scenario's folder.
    pub path: PathBuf,
    /// Rate of missing modality in the file's name.
    #[serde(default)]
    pub missing_modality: f64,
    /// Level of erroneous labels in the file's name.
    #[serde(default)]
    pub label_noise: f64,
    /// Rate of missing labels in the file's name.
    #[serde(default)]
    pub missing_labels: f64,
    /// Concentration of the partition in the file's name; none for data sets with natural clients.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alpha: Option<f64>,
    /// Which modalities are A and B; the first two of the data by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modalities: Option<[String; 2]>,
}

/// Entry of `fedrobust list corrupt`.
pub const ABOUT: About = About {
    name: "replay",
    summary: "What a simulation file of FedMultimodal did to each training sample, to the letter.",
    formula: "",
    source: "Feng et al., FedMultimodal, KDD 2023, section 3",
    parameters: &[
        Parameter {
            name: "path",
            default: "required",
            meaning: "a simulation file, or the folder that holds them, relative to the scenario's folder",
        },
        Parameter {
            name: "missing-modality",
            default: "0.0",
            meaning: "rate in the file's name, where path is a folder",
        },
        Parameter { name: "label-noise", default: "0.0", meaning: "level in the file's name, where path is a folder" },
        Parameter {
            name: "missing-labels",
            default: "0.0",
            meaning: "rate in the file's name, where path is a folder",
        },
        Parameter { name: "alpha", default: "none", meaning: "alpha in the file's name, where path is a folder" },
        Parameter {
            name: "modalities",
            default: "the first two of the data",
            meaning: "names of the modalities that the file calls A and B",
        },
    ],
};

impl Config {
    /// Ranges.
    pub fn check(&self, c: &mut Checker) {
        for (name, rate) in self.rates() {
            c.rate(name, rate);
        }
        if let Some(alpha) = self.alpha {
            c.positive("alpha", alpha);
        }
        if self.is_file() && (self.alpha.is_some() || self.rates().iter().any(|(_, rate)| *rate != 0.0)) {
            let remedy = "Drop the rates and alpha, or name the folder that holds the file.";
            c.fault("path", "is a file, so rates and alpha would change nothing", "a folder, with rates", remedy);
        }
    }

    /// What needs the data: which modalities are A and B.
    pub fn check_data(&self, c: &mut Checker, facts: &Facts) {
        if self.modalities.is_none() && facts.modalities.len() != 2 {
            let problem = format!("is needed, because the data has {} modalities", facts.modalities.len());
            c.fault("modalities", problem, "two names, the file's A and B", "");
        }
    }

    fn rates(&self) -> [(&'static str, f64); 3] {
        [
            ("missing-modality", self.missing_modality),
            ("label-noise", self.label_noise),
            ("missing-labels", self.missing_labels),
        ]
    }

    fn is_file(&self) -> bool {
        self.path.extension().is_some_and(|end| end == "json")
    }

    /// Whether nothing is replayed.
    pub fn does_nothing(&self) -> bool {
        !self.is_file() && self.rates().iter().all(|(_, rate)| *rate == 0.0)
    }

    /// The same for identities: without what names the file, whose content counts.
    pub fn portable(&self) -> Self {
        let path = PathBuf::from("file.json");
        Self { path, missing_modality: 0.0, label_noise: 0.0, missing_labels: 0.0, alpha: None, ..self.clone() }
    }

    /// The simulation file.
    pub fn file(&self) -> PathBuf {
        if self.is_file() {
            return self.path.clone();
        }
        let tags = ["mm", "ln", "ml"];
        let rates = tags.iter().zip(self.rates()).filter(|(_, (_, rate))| *rate != 0.0);
        let mut name: Vec<String> = rates.map(|(tag, (_, rate))| listing::tagged(tag, rate)).collect();
        name.extend(self.alpha.map(|alpha| listing::tagged("alpha", alpha)));
        self.path.join(format!("{}.json", name.join("_")))
    }
}

/// Does to every client's samples what the file says; `labels` are the clean ones of the data.
///
/// # Errors
/// Clients or samples that are not those of the file.
pub fn apply(
    config: &Config,
    listing: &Listing,
    shares: Vec<Share>,
    facts: &Facts,
    labels: &Labels,
) -> Result<(Vec<Client>, Vec<Realised>)> {
    let entries: HashMap<&str, &[Item]> =
        listing.clients.iter().map(|(name, items)| (name.as_str(), items.as_slice())).collect();
    let letters = letters(config, facts);
    let one = |share: Share| {
        let name = share.name.clone();
        let wrong = |problem: String| listing.wrong(format!("client \"{name}\": {problem}; {REMEDY}"));
        let items = entries.get(name.as_str()).ok_or_else(|| wrong("is not in the file".to_string()))?;
        if items.len() != share.rows.len() {
            return Err(wrong(format!("has {} samples here and {} in the file", share.rows.len(), items.len())));
        }
        let mut client = super::clean(share, facts);
        for (i, item) in items.iter().enumerate() {
            let row = client.rows[i];
            if !listing::same_label(labels, row, &item.label) {
                return Err(wrong(format!("sample {i} has another label in the file")));
            }
            simulate(&mut client, i, item, &letters, facts)
                .map_err(|problem| wrong(format!("sample {i} {problem}")))?;
        }
        Ok(client)
    };
    let clients = shares.into_iter().map(one).collect::<Result<Vec<Client>>>()?;
    let realised = realised(&clients, facts);
    Ok((clients, realised))
}

const REMEDY: &str =
    "replay the partition that the file was made from (partition.replay, or natural on data.fedmultimodal)";

/// The data's modality behind A and B, where it is used.
fn letters(config: &Config, facts: &Facts) -> [Option<usize>; 2] {
    match &config.modalities {
        Some(names) => [0, 1].map(|i| facts.modalities.iter().position(|name| *name == names[i])),
        None => [Some(0), Some(1)],
    }
}

fn simulate(
    client: &mut Client,
    i: usize,
    item: &Item,
    letters: &[Option<usize>; 2],
    facts: &Facts,
) -> std::result::Result<(), String> {
    let Some(simulated) = &item.simulated else {
        return Err("has no [missing A, missing B, label, label missing]: this is a partition file".to_string());
    };
    for (modality, _) in letters.iter().zip(simulated.missing).filter(|(_, missing)| *missing) {
        if let Some(modality) = modality {
            client.present[i] &= !(1 << modality);
        }
    }
    client.labelled[i] = !simulated.unlabelled;
    match &simulated.label {
        Label::Class(class) if (*class as usize) < facts.classes && !client.labels.is_empty() => {
            client.labels[i] = *class;
        }
        Label::Classes(_) if simulated.label == item.label => {}
        Label::Class(class) => return Err(format!("gets the label {class}, the data has {} classes", facts.classes)),
        Label::Classes(_) => return Err("gets other labels, which multilabel data cannot".to_string()),
    }
    Ok(())
}

/// What was hit, under the names that our own corruptions use; what the file does not touch is left out.
fn realised(clients: &[Client], facts: &Facts) -> Vec<Realised> {
    let of: usize = clients.iter().map(|client| client.rows.len()).sum();
    let mut realised = Vec::new();
    let mut report = |name: &str, hit: usize, of: usize| {
        if hit > 0 {
            realised.push(Realised { name: name.to_string(), hit, of });
        }
    };
    let clean = |client: &Client, i: usize| facts.labels[client.rows[i] as usize];
    let wrong = |client: &Client| (0..client.labels.len()).filter(|&i| client.labels[i] != clean(client, i)).count();
    report("label-noise", clients.iter().map(wrong).sum(), of);
    report("missing-labels", clients.iter().flat_map(|client| &client.labelled).filter(|l| !**l).count(), of);
    let present = || clients.iter().map(|client| &client.present);
    for (m, name) in facts.modalities.iter().enumerate() {
        report(&format!("missing-modality.{name}"), present().flatten().filter(|p| **p & (1 << m) == 0).count(), of);
        let lost = present().filter(|mine| !mine.is_empty() && mine.iter().all(|p| p & (1 << m) == 0)).count();
        report(&format!("missing-modality.clients.{name}"), lost, clients.len());
    }
    report(
        "samples-without-any-modality",
        present().flatten().filter(|p| **p & everything(facts.modalities.len()) == 0).count(),
        of,
    );
    let without = clients.iter().filter(|client| client.usable().is_empty()).count();
    report("clients-without-samples", without, clients.len());
    realised
}

/// How to get a file of either kind.
pub const GET: &str = "make it with FedMultimodal's scripts (github.com/usc-sail/fed-multimodal)";

/// A fault of combining it with what else happens to training data.
pub(super) fn alone(c: &mut Checker) {
    let remedy = "Drop one: the file says what happens to every training sample.";
    c.fault(
        "replay",
        "cannot be combined with other corruption of training data",
        "it alone, with corrupt.test",
        remedy,
    );
}
