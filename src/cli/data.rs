//! `fedrobust data info` and `fedrobust data convert`.

use super::say;
use fedrobust::data::{Dataset, Labels, Part, features, write};
use fedrobust::fault::{Error, Result};
use fedrobust::scenario::read_source;
use std::path::Path;

/// Reads a source, relative to the folder that the command was called in.
fn read(source: &str) -> Result<Dataset> {
    if source.ends_with(".npz") && !Path::new(source).exists() {
        return Err(Error::Invalid(format!("{source}: there is no such file; allowed: an .npz file. Check the path.")));
    }
    read_source(source)?.load(Path::new(""))
}

/// Writes a source as an npz file, with the features that modules make of it.
pub fn convert(source: &str, out: &Path, through: &[String]) -> Result<u8> {
    if out.extension().is_none_or(|end| end != "npz") {
        let text = format!("{}: is not a name of an .npz file; allowed: OUT.npz. Add the ending.", out.display());
        return Err(Error::Invalid(text));
    }
    let wrong = |text: &String| {
        let text = format!(
            "--through {text}: is no modality with a module; allowed: MODALITY=MODULE.pt, as audio=network.pt."
        );
        Error::Invalid(text)
    };
    let through: Vec<(&str, &str)> =
        through.iter().map(|text| text.split_once('=').ok_or_else(|| wrong(text))).collect::<Result<_>>()?;
    let mut data = read(source)?;
    for (modality, module) in through {
        features::extract(&mut data, modality, Path::new(module))?;
    }
    write::write(&data, out)?;
    let (n, shown) = (data.len(), out.display());
    say(&format!(
        "{shown}: {n} samples of {}; read it by data.npz = {{ path = \"{shown}\", classes = {} }}",
        data.name, data.classes
    ));
    Ok(0)
}

/// Prints shapes, classes, clients and balance.
pub fn info(source: &str) -> Result<u8> {
    let data = read(source)?;
    say(&format!("{}: {} samples, {} natural clients", data.name, data.len(), data.client_names.len()));
    for modality in &data.modalities {
        let shape = &modality.shape;
        let size =
            if shape.sequence { format!("[{}, {}]", shape.time, shape.width) } else { format!("[{}]", shape.width) };
        let lengths = modality.lengths.as_ref().map_or(String::new(), |l| {
            format!(", lengths {} to {}", l.iter().min().unwrap_or(&0), l.iter().max().unwrap_or(&0))
        });
        say(&format!("  modality    {} {size}{lengths}", shape.name));
    }
    say(&format!("  classes     {}", classes(&data)));
    say(&format!("  clients     {}", clients(&data)));
    say(&format!("  parts       {}", parts(&data)));
    say(&format!("  checksum    {}", data.checksum));
    Ok(0)
}

fn classes(data: &Dataset) -> String {
    let mut counts = vec![0usize; data.classes];
    match &data.labels {
        Labels::Single(labels) => labels.iter().for_each(|&label| counts[label as usize] += 1),
        Labels::Multi(labels) => {
            for row in labels.rows() {
                row.iter().zip(&mut counts).filter(|(value, _)| **value > 0.5).for_each(|(_, count)| *count += 1);
            }
        }
    }
    let name = |class: usize| data.class_names.as_ref().map_or(class.to_string(), |names| names[class].clone());
    let shares: Vec<String> = counts.iter().enumerate().map(|(class, n)| format!("{} {n}", name(class))).collect();
    let kind = if data.multilabel() { ", several a sample" } else { "" };
    format!("{}{kind}: {}", data.classes, shares.join(", "))
}

fn clients(data: &Dataset) -> String {
    let mut sizes = vec![0usize; data.client_names.len()];
    data.client.iter().for_each(|&client| sizes[client as usize] += 1);
    sizes.sort_unstable();
    let [least, most] = [sizes.first(), sizes.last()].map(|n| n.copied().unwrap_or(0));
    let median = sizes.get(sizes.len() / 2).copied().unwrap_or(0);
    format!("{}, samples each: least {least}, median {median}, most {most}", sizes.len())
}

fn parts(data: &Dataset) -> String {
    let Some(parts) = &data.parts else {
        return "none official; split by [split]".to_string();
    };
    let count = |part: Part| parts.iter().filter(|p| **p == part).count();
    format!("official: train {}, dev {}, test {}", count(Part::Train), count(Part::Dev), count(Part::Test))
}
