//! `ptb-xl`: 12-lead electrocardiograms of 10 s at 100 Hz, from PhysioNet's files.
//!
//! The folder holds `ptbxl_database.csv`, `scp_statements.csv` and the records that `filename_lr` names (`records100/…`, see
//! `data/wfdb.rs`). Modalities: `limb_leads` (I, II, III, aVR, aVL, aVF) and `chest_leads` (V1 to V6), `[1000, 6]` each, in mV. A record
//! has any of five diagnostic superclasses, NORM, MI, STTC, CD, HYP: those of its SCP codes that `scp_statements.csv` calls
//! diagnostic. `labels = "any"` takes all of them, as the example of the data set's authors does; `"certain"` only those of likelihood
//! exactly 100, as FedMultimodal does, which leaves more records without any label. Natural clients are the recording sites; records
//! without a site are left out. Official parts: `strat_fold` 1 to 8 training, 9 development, 10 test.
//!
//! By hand: `{'IMI': 35.0, 'NORM': 100.0}` is MI and NORM for `any`, NORM for `certain`.
//!
//! Source: Wagner et al., PTB-XL, a large publicly available electrocardiography dataset, Scientific Data 7, 2020; CC BY 4.0.

use super::folder::Folder;
use super::{Dataset, Labels, Modality, ModalityShape, Part, wfdb};
use crate::fault::{About, Checker, Parameter, Result};
use ndarray::{Array2, Array3};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

/// Parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// The folder with `ptbxl_database.csv`; relative to the scenario's folder.
    pub path: PathBuf,
    /// Which SCP codes count.
    #[serde(default)]
    pub labels: Rule,
    /// Training records that a site needs; those of smaller sites are left out.
    #[serde(default = "one")]
    pub min_records: usize,
    /// Modalities to use, in this order; both by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modalities: Option<Vec<String>>,
}

/// Which SCP codes make a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// All, whatever their likelihood.
    #[default]
    Any,
    /// Those of likelihood exactly 100.
    Certain,
}

fn one() -> usize {
    1
}

const CLASSES: [&str; 5] = ["NORM", "MI", "STTC", "CD", "HYP"];
const LEADS: [(&str, [&str; 6]); 2] =
    [("limb_leads", ["I", "II", "III", "AVR", "AVL", "AVF"]), ("chest_leads", ["V1", "V2", "V3", "V4", "V5", "V6"])];
const STEPS: usize = 1000;
const GET: &str = "get it from https://physionet.org/content/ptb-xl/ and unpack it there";

/// Entry of `fedrobust list data`.
pub const ABOUT: About = About {
    name: "ptb-xl",
    summary: "PTB-XL from PhysioNet's files: 12-lead electrocardiograms, limb and chest leads [1000, 6], 5 labels of which several may hold.",
    formula: "",
    source: "Wagner et al., PTB-XL, a large publicly available electrocardiography dataset, Scientific Data, 2020",
    parameters: &[
        Parameter {
            name: "path",
            default: "required",
            meaning: "the folder with ptbxl_database.csv, relative to the scenario's folder",
        },
        Parameter {
            name: "labels",
            default: "any",
            meaning: "SCP codes that count: any, or certain (likelihood exactly 100, as FedMultimodal)",
        },
        Parameter {
            name: "min-records",
            default: "1",
            meaning: "training records that a site needs, from 1; FedMultimodal takes 10",
        },
        super::MODALITIES,
    ],
};

impl Config {
    /// Ranges.
    pub fn check(&self, c: &mut Checker) {
        c.at_least("min-records", self.min_records, 1);
        super::check_modalities(c, self.modalities.as_deref(), &LEADS.map(|(name, _)| name));
    }

    /// Shapes and classes, without reading anything.
    pub fn outline(&self) -> Dataset {
        let shapes = LEADS.map(|(name, _)| ModalityShape::sequence(name, STEPS, 6));
        super::outline("ptb-xl", super::picked(&shapes, self.modalities.as_deref()), CLASSES.len(), true)
    }
}

/// A row of `ptbxl_database.csv`.
struct Row {
    site: String,
    part: Part,
    labels: [f32; 5],
    file: String,
}

/// Reads the folder.
///
/// # Errors
/// A folder that is not there, files that are missing or not of the layout.
pub fn load(config: &Config, base: &Path) -> Result<Dataset> {
    let folder = Folder::open("ptb-xl", &config.path, base, GET)?;
    let classes = classes(&folder)?;
    let mut rows = rows(&folder, config, &classes)?;
    let mut train: HashMap<String, usize> = HashMap::new();
    for row in rows.iter().filter(|row| row.part == Part::Train) {
        *train.entry(row.site.clone()).or_default() += 1;
    }
    let enough = |row: &Row| train.get(&row.site).is_some_and(|&n| n >= config.min_records);
    rows.retain(|row| row.part != Part::Train || enough(row));
    if rows.is_empty() {
        return Err(folder.wrong("ptbxl_database.csv has no record with a site; lower min-records"));
    }
    let records: Vec<wfdb::Record> = rows.par_iter().map(|row| record(&folder, &row.file)).collect::<Result<_>>()?;
    let wanted = super::picked(&LEADS, config.modalities.as_deref());
    let modalities = wanted.iter().map(|(name, leads)| modality(&folder, name, leads, &rows, &records));
    let modalities = modalities.collect::<Result<Vec<Modality>>>()?;
    let values = rows.iter().flat_map(|row| row.labels).collect();
    let labels = Array2::from_shape_vec((rows.len(), CLASSES.len()), values).map_err(|error| folder.wrong(error))?;
    let sites: Vec<String> = rows.iter().map(|row| row.site.clone()).collect();
    let (client, client_names) = super::clients(&sites);
    let mut data = Dataset {
        name: "ptb-xl".to_string(),
        modalities,
        labels: Labels::Multi(labels),
        classes: CLASSES.len(),
        class_names: Some(CLASSES.map(str::to_string).to_vec()),
        client,
        client_names,
        parts: Some(rows.iter().map(|row| row.part).collect()),
        keys: Some(rows.iter().map(|row| super::listing::stem(&row.file).to_string()).collect()),
        checksum: String::new(),
    };
    data.checksum = super::checksum(&data);
    Ok(data)
}

/// Class of each diagnostic SCP code.
fn classes(folder: &Folder) -> Result<BTreeMap<String, usize>> {
    let file = "scp_statements.csv";
    let table = super::table::read(folder, file, "the SCP codes")?;
    let (code, class, diagnostic) = (0, table.column(folder, "diagnostic_class")?, table.column(folder, "diagnostic")?);
    let mut classes = BTreeMap::new();
    for row in &table.rows {
        let is_diagnostic = row[diagnostic].parse::<f64>().is_ok_and(|x| x == 1.0);
        if let Some(place) = CLASSES.iter().position(|name| *name == row[class]).filter(|_| is_diagnostic) {
            classes.insert(row[code].clone(), place);
        }
    }
    match classes.is_empty() {
        true => Err(folder.wrong(format!("{file} has no diagnostic code; take the file of the data set"))),
        false => Ok(classes),
    }
}

fn rows(folder: &Folder, config: &Config, classes: &BTreeMap<String, usize>) -> Result<Vec<Row>> {
    let file = "ptbxl_database.csv";
    let table = super::table::read(folder, file, "a record a row")?;
    let [site, codes, fold, name] =
        ["site", "scp_codes", "strat_fold", "filename_lr"].map(|name| table.column(folder, name));
    let (site, codes, fold, name) = (site?, codes?, fold?, name?);
    let mut rows = Vec::new();
    for (i, row) in table.rows.iter().enumerate().filter(|(_, row)| !row[site].is_empty()) {
        let line = i + 2;
        let part = match row[fold].parse::<f64>() {
            Ok(fold) if (1.0..=8.0).contains(&fold) => Part::Train,
            Ok(9.0) => Part::Dev,
            Ok(10.0) => Part::Test,
            _ => {
                let fold = super::shown(&row[fold]);
                return Err(folder.wrong(format!("{file}: row {line}: strat_fold {fold} is not 1 to 10")));
            }
        };
        let Some(codes) = scp_codes(&row[codes]) else {
            let codes = super::shown(&row[codes]);
            return Err(folder.wrong(format!("{file}: row {line}: scp_codes {codes} are not {{'CODE': number, …}}")));
        };
        let mut labels = [0.0; 5];
        for (code, likelihood) in codes {
            let counts = config.labels == Rule::Any || likelihood == 100.0;
            if let Some(&class) = classes.get(&code).filter(|_| counts) {
                labels[class] = 1.0;
            }
        }
        rows.push(Row { site: row[site].clone(), part, labels, file: row[name].clone() });
    }
    Ok(rows)
}

/// `{'NORM': 100.0, 'SR': 0.0}`
fn scp_codes(text: &str) -> Option<Vec<(String, f64)>> {
    let inside = text.trim().strip_prefix('{')?.strip_suffix('}')?;
    let pairs = inside.split(',').map(str::trim).filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (code, likelihood) = pair.split_once(':')?;
            Some((code.trim().trim_matches(['\'', '"']).to_string(), likelihood.trim().parse().ok()?))
        })
        .collect()
}

fn record(folder: &Folder, name: &str) -> Result<wfdb::Record> {
    let header = folder.text(&format!("{name}.hea"), "a record's header")?;
    let wrong = |problem: String| folder.wrong(format!("{name}.hea: {problem}; take the record again"));
    let Some(file) = wfdb::signal_file(&header).filter(|file| !file.contains(['/', '\\'])) else {
        return Err(wrong("names no signal file beside it".to_string()));
    };
    let beside = Path::new(name).parent().unwrap_or(Path::new("")).join(file);
    let bytes = folder.read(&beside.display().to_string(), "a record's signals")?;
    let record = wfdb::read(&header, &bytes).map_err(wrong)?;
    let steps = record.values.len() / record.names.len();
    match record.frequency == 100.0 && steps == STEPS {
        true => Ok(record),
        false => Err(wrong(format!("has {steps} samples at {} Hz, {STEPS} at 100 Hz are needed", record.frequency))),
    }
}

fn modality(
    folder: &Folder,
    name: &str,
    leads: &[&str; 6],
    rows: &[Row],
    records: &[wfdb::Record],
) -> Result<Modality> {
    let mut values = Array3::zeros((records.len(), STEPS, 6));
    for (i, record) in records.iter().enumerate() {
        for (d, lead) in leads.iter().enumerate() {
            let place = record.names.iter().position(|name| name.eq_ignore_ascii_case(lead));
            let place = place.ok_or_else(|| folder.wrong(format!("{}.hea: has no lead {lead}", rows[i].file)))?;
            for t in 0..STEPS {
                values[[i, t, d]] = record.values[t * record.names.len() + place];
            }
        }
    }
    Ok(Modality { shape: ModalityShape::sequence(name, STEPS, 6), values, lengths: None })
}

#[cfg(test)]
#[path = "ptb_xl_tests.rs"]
mod tests;
