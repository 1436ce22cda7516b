//! Reads the pickles of a data set's clients and puts them side by side.

use super::sets::{Modality as About, Owner, Source};
use super::{Config, GET};
use crate::data::folder::Folder;
use crate::data::listing::{stem, tagged};
use crate::data::pickle::{self, View};
use crate::data::{Dataset, Labels, Modality, ModalityShape, Part};
use crate::fault::{Error, Result};
use ndarray::{Array2, Array3};
use std::collections::BTreeMap;
use std::path::Path;

/// Padded values a value read, at most: a file with one endless sample takes no endless memory.
const PADDING: usize = 64;

/// What one pickle holds of a sample.
struct Sample {
    /// What identifies it in the other modality's file.
    key: String,
    /// What a partition calls it.
    name: String,
    /// Whose it is, for development and test samples.
    owner: String,
    label: Vec<f32>,
    steps: Steps,
}

/// Values `[T, D]`; none where the reference could not extract the features.
#[derive(Debug, Default)]
struct Steps {
    time: usize,
    width: usize,
    values: Vec<f32>,
}

/// One modality of all files, in reading order.
struct Column {
    about: About,
    files: Vec<(String, Vec<Sample>)>,
}

/// Reads the folder.
///
/// # Errors
/// A folder that is not there, files that are missing or not of the layout.
pub(super) fn load(config: &Config, base: &Path) -> Result<Dataset> {
    let folder = Folder::open("fedmultimodal", &config.path, base, GET)?;
    let source = config.source();
    let wanted = crate::data::picked(&source.modalities, config.modalities.as_deref());
    let columns: Result<Vec<Column>> = wanted.iter().map(|about| column(config, &folder, source, *about)).collect();
    let columns = columns?;
    aligned(&folder, &columns)?;
    assemble(&folder, source, columns)
}

/// Folder of a modality's pickles.
fn place(config: &Config, source: &Source, about: &About) -> String {
    let mut parts = vec!["feature", about.folder];
    parts.extend(config.features.get(about.name).map(String::as_str).or(about.features));
    parts.push(source.folder);
    let alpha = config.alpha.map(|alpha| tagged("alpha", alpha));
    parts.extend(alpha.as_deref());
    let fold = config.fold.map(|fold| format!("fold{fold}"));
    parts.extend(fold.as_deref());
    parts.join("/")
}

fn column(config: &Config, folder: &Folder, source: &Source, about: About) -> Result<Column> {
    let place = place(config, source, &about);
    let mut files = Vec::new();
    for name in folder.names(&place, &format!("one .pkl a client, {}", about.name))? {
        // `feature.pkl` is a cache of the reference.
        let Some(client) = name.strip_suffix(".pkl").filter(|client| *client != "feature") else { continue };
        let path = format!("{place}/{name}");
        let bytes = folder.read(&path, "a client's features")?;
        let samples = samples(&bytes, client, source).map_err(|problem| folder.wrong(format!("{path}: {problem}")))?;
        files.push((client.to_string(), samples));
    }
    if !files.iter().any(|(client, _)| client != "dev" && client != "test") {
        return Err(
            folder.wrong(format!("{place} holds no client's .pkl file; run the reference's feature extraction"))
        );
    }
    Ok(Column { about, files })
}

/// The samples of one pickle.
fn samples(bytes: &[u8], client: &str, source: &Source) -> std::result::Result<Vec<Sample>, String> {
    let pickle = pickle::read(bytes).map_err(|error| error.to_string())?;
    let root = pickle.root();
    let Some(items) = root.items() else { return Err(format!("holds {}, not a list of samples", root.what())) };
    let one =
        |(i, item): (usize, &View)| sample(item, client, source).map_err(|problem| format!("sample {i}: {problem}"));
    items.iter().enumerate().map(one).collect()
}

fn sample(item: &View, client: &str, source: &Source) -> std::result::Result<Sample, String> {
    // The length first: an item may be referred to any number of times.
    let items = match item.len() {
        Some(4..=16) => item.items().unwrap_or_default(),
        _ => return Err("is not [key, path, …, label, array]".to_string()),
    };
    let [key, path, .., label, array] = items.as_slice() else {
        return Err("is not [key, path, …, label, array]".to_string());
    };
    let word = |view: &View| {
        view.text()
            .map(str::to_string)
            .or_else(|| view.int().map(|number| number.to_string()))
            .ok_or_else(|| format!("is named by {}, not by a text or a whole number", view.what()))
    };
    let (first, second) = (word(key)?, word(path)?);
    let owner = match (client, source.owner) {
        ("dev" | "test", Owner::Key) => first.clone(),
        ("dev" | "test", Owner::Before) => first.split('/').next().unwrap_or_default().to_string(),
        ("dev" | "test", Owner::File) => stem(&second).split('_').next().unwrap_or_default().to_string(),
        _ => client.to_string(),
    };
    let part = part(client);
    let name = if path.int().is_some() {
        // Rows count the official training file, which the development samples are of too.
        format!("{}/{second}", if client == "test" { "test" } else { "train" })
    } else if key.int().is_some() {
        format!("{}#{first}", stem(&second))
    } else {
        format!("{part}/{}", stem(&second))
    };
    let (key, label, steps) = (format!("{first} {second}"), labels(label, source)?, steps(array)?);
    Ok(Sample { key, name, owner, label, steps })
}

fn part(client: &str) -> &'static str {
    match client {
        "dev" => "dev",
        "test" => "test",
        _ => "train",
    }
}

/// The class, or zero and one a class.
fn labels(label: &View, source: &Source) -> std::result::Result<Vec<f32>, String> {
    let classes = source.classes;
    if source.multilabel {
        let flags = match label.len() {
            Some(n) if n == classes => label.items().unwrap_or_default(),
            _ => return Err(format!("has a label that is not a list of {classes} numbers")),
        };
        let flag = |view: &View| view.number().filter(|x| *x == 0.0 || *x == 1.0).map(|x| x as f32);
        let flags: Option<Vec<f32>> = flags.iter().map(flag).collect();
        return flags.ok_or_else(|| "has a label that is not 0 or 1 a class".to_string());
    }
    let class = label.number().filter(|class| class.fract() == 0.0 && (0.0..classes as f64).contains(class));
    let what = label.number().map_or_else(|| label.what().to_string(), |number| number.to_string());
    class
        .map(|class| vec![class as f32])
        .ok_or_else(|| format!("has the label {what}; 0 to {} are allowed", classes - 1))
}

fn steps(array: &View) -> std::result::Result<Steps, String> {
    if array.is_none() {
        return Ok(Steps::default());
    }
    let Some(array) = array.array() else { return Err(format!("ends with {}, not with an array", array.what())) };
    let (time, width) = match *array.shape() {
        [width] => (1, width),
        [time, width] => (time, width),
        _ => return Err(format!("has an array of shape {:?}; [steps, features] is needed", array.shape())),
    };
    if width == 0 {
        return Err("has an array without features".to_string());
    }
    let values = array.floats().ok_or("shares its array with others: together they are larger than the file")?;
    let values = match array.fortran() {
        true => (0..time * width).map(|i| values[i % width * time + i / width]).collect(),
        false => values,
    };
    if values.iter().any(|x| !x.is_finite()) {
        return Err("holds a NaN or infinity".to_string());
    }
    Ok(Steps { time, width, values })
}

/// The reference aligns modalities by position; that this is right is checked.
fn aligned(folder: &Folder, columns: &[Column]) -> Result<()> {
    let Some((first, rest)) = columns.split_first() else { return Ok(()) };
    for other in rest {
        let (a, b) = (first.about.name, other.about.name);
        let names = |column: &Column| column.files.iter().map(|(client, _)| client.clone()).collect::<Vec<_>>();
        let (mine, theirs) = (names(first), names(other));
        if let Some(lone) = mine.iter().find(|c| !theirs.contains(c)).or(theirs.iter().find(|c| !mine.contains(c))) {
            return Err(folder.wrong(format!("client {lone} has a file of one of {a} and {b}, not of the other")));
        }
        for ((client, a_samples), (_, b_samples)) in first.files.iter().zip(&other.files) {
            let (n, m) = (a_samples.len(), b_samples.len());
            if n != m {
                return Err(folder.wrong(format!("client {client} has {n} samples of {a} and {m} of {b}")));
            }
            let differ = |(a, b): (&Sample, &Sample)| a.key != b.key || a.label != b.label;
            if let Some(i) = a_samples.iter().zip(b_samples).position(differ) {
                return Err(folder.wrong(format!("client {client}: sample {i} of {a} is another than that of {b}")));
            }
        }
    }
    Ok(())
}

/// Puts clients and modalities together: training clients first, then development, then test.
fn assemble(folder: &Folder, source: &Source, columns: Vec<Column>) -> Result<Dataset> {
    let place = |client: &str| ["train", "dev", "test"].iter().position(|part| *part == self::part(client));
    let Some(first) = columns.first() else { return Err(folder.wrong("no modality is wanted")) };
    let mut order: Vec<usize> = (0..first.files.len()).collect();
    order.sort_by_key(|&file| place(&first.files[file].0));
    let all = || order.iter().flat_map(|&file| first.files[file].1.iter().map(move |s| (&first.files[file].0, s)));
    let owners: Vec<String> = all().map(|(_, sample)| sample.owner.clone()).collect();
    let parts: Vec<Part> = all()
        .map(|(client, _)| match part(client) {
            "dev" => Part::Dev,
            "test" => Part::Test,
            _ => Part::Train,
        })
        .collect();
    let n = owners.len();
    if n == 0 {
        return Err(folder.wrong("holds no sample"));
    }
    let values: Vec<f32> = all().flat_map(|(_, sample)| sample.label.iter().copied()).collect();
    let labels = match source.multilabel {
        true => Labels::Multi(Array2::from_shape_vec((n, source.classes), values).map_err(|e| folder.wrong(e))?),
        false => Labels::Single(values.iter().map(|&class| class as u32).collect()),
    };
    // As text, as the reference reads its clients.
    let places: BTreeMap<&String, u32> = owners.iter().map(|name| (name, 0)).collect();
    let places: BTreeMap<&String, u32> = places.into_keys().zip(0..).collect();
    let client = owners.iter().map(|name| places[name]).collect();
    let client_names = places.keys().map(|name| name.to_string()).collect();
    let keys = all().map(|(_, sample)| sample.name.clone()).collect();
    let modalities: Result<Vec<Modality>> = columns.iter().map(|column| padded(folder, column, &order, n)).collect();
    let mut data = Dataset {
        name: source.folder.to_string(),
        modalities: modalities?,
        labels,
        classes: source.classes,
        class_names: None,
        client,
        client_names,
        parts: Some(parts),
        keys: Some(keys),
        checksum: String::new(),
    };
    data.checksum = crate::data::checksum(&data);
    Ok(data)
}

/// `[N, T, D]` with T the longest sample's; lengths where they differ. A sample without features has length 0.
fn padded(folder: &Folder, column: &Column, order: &[usize], n: usize) -> Result<Modality> {
    let name = column.about.name;
    let samples = || order.iter().flat_map(|&file| &column.files[file].1);
    let time = samples().map(|sample| sample.steps.time).max().unwrap_or(0);
    let width = samples().map(|sample| sample.steps.width).max().unwrap_or(0);
    if time == 0 {
        return Err(folder.wrong(format!("no sample has features of {name}")));
    }
    if let Some(other) = samples().find(|sample| sample.steps.time > 0 && sample.steps.width != width) {
        let (found, key) = (other.steps.width, crate::data::shown(&other.key));
        return Err(folder.wrong(format!("{name} has {found} features in sample {key} and {width} in others")));
    }
    let read: usize = samples().map(|sample| sample.steps.values.len()).sum();
    let padded = n.checked_mul(time).and_then(|steps| steps.checked_mul(width));
    let Some(padded) = padded.filter(|&padded| padded <= read.saturating_mul(PADDING).max(1 << 24)) else {
        let problem = format!("{name} has one sample of {time} steps, and padding the other {} to it", n - 1);
        return Err(folder.wrong(format!("{problem} would take more than {PADDING} times the space; shorten it")));
    };
    let mut values = Vec::with_capacity(padded);
    for sample in samples() {
        values.extend_from_slice(&sample.steps.values);
        values.resize(values.len() + (time - sample.steps.time) * width, 0.0);
    }
    let values =
        Array3::from_shape_vec((n, time, width), values).map_err(|error| Error::Failed(format!("{name}: {error}")))?;
    let lengths: Vec<u32> = samples().map(|sample| sample.steps.time as u32).collect();
    let lengths = lengths.iter().any(|&length| length as usize != time).then_some(lengths);
    let shape = match column.about.time {
        1 if time == 1 => ModalityShape::pooled(name, width),
        _ => ModalityShape::sequence(name, time, width),
    };
    Ok(Modality { shape, values, lengths })
}
