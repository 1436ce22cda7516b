//! Small output folders in FedMultimodal's layout: pickles of features, the partition's JSON, simulations.

use super::support::Bench;
use serde_json::{Value, json};
use std::fs;

/// A sample as the reference's lists name it.
pub struct Sample {
    /// What its values are made of.
    pub id: usize,
    pub key: String,
    /// A row of the official files, or the path of a file.
    pub place: Value,
    pub label: u32,
    /// Steps of each modality; 0 where the reference could extract no features.
    pub steps: [usize; 2],
}

/// A data set's folder.
pub struct Folder {
    /// Folders of the modalities below `output/feature`.
    pub features: [&'static str; 2],
    /// Features a step.
    pub widths: [usize; 2],
    /// NumPy's type of the arrays, `f8` or `f4`.
    pub dtype: &'static str,
    /// Clients, `dev` and `test` with their samples, in the order of the partition file.
    pub entries: Vec<(&'static str, Vec<Sample>)>,
}

/// What was done to sample i of a client: the last element of its item in a simulation file.
pub type Done<'a> = &'a dyn Fn(&str, usize, &Sample) -> Value;

/// What a feature is: a wave of the class, and what tells samples apart.
pub fn value(modality: usize, sample: &Sample, step: usize, feature: usize) -> f64 {
    let wave = f64::from(sample.label + 1) * (step + modality + 1) as f64 * 0.7 + feature as f64;
    wave.sin() + (sample.id * 31 + step * 17 + feature * 5 + modality * 3) as f64 % 19.0 / 40.0
}

impl Folder {
    /// Writes the pickles of both modalities.
    pub fn write_features(&self, bench: &Bench) {
        for (modality, folder) in self.features.iter().enumerate() {
            let folder = bench.path("output/feature").join(folder);
            fs::create_dir_all(&folder).unwrap();
            for (client, samples) in &self.entries {
                fs::write(folder.join(format!("{client}.pkl")), self.pickle(modality, samples)).unwrap();
            }
        }
    }

    /// A partition file; with `done` a simulation file.
    pub fn listing(&self, done: Option<Done>) -> String {
        let item = |client: &str, i: usize, sample: &Sample| {
            let mut item = vec![json!(sample.key), sample.place.clone(), json!(sample.label)];
            item.extend(done.map(|done| done(client, i, sample)));
            Value::from(item)
        };
        let entry = |(client, samples): &(&str, Vec<Sample>)| {
            let items: Vec<Value> = samples.iter().enumerate().map(|(i, sample)| item(client, i, sample)).collect();
            format!("{}: {}", json!(client), Value::from(items))
        };
        format!("{{{}}}", self.entries.iter().map(entry).collect::<Vec<_>>().join(", "))
    }

    /// All samples as they are read: clients by their names as text, then `dev`, then `test`.
    pub fn in_reading_order(&self) -> Vec<(&'static str, &Sample)> {
        let mut entries: Vec<&(&str, Vec<Sample>)> = self.entries.iter().collect();
        let part = |client: &str| ["dev", "test"].iter().position(|part| *part == client).map_or(0, |at| at + 1);
        entries.sort_by_key(|(client, _)| (part(client), *client));
        entries.iter().flat_map(|(client, samples)| samples.iter().map(|sample| (*client, sample))).collect()
    }

    /// The list of `[key, place, label, array]` in protocol 5, arrays as NumPy 2 writes them.
    fn pickle(&self, modality: usize, samples: &[Sample]) -> Vec<u8> {
        let mut bytes = b"\x80\x05](".to_vec();
        for sample in samples {
            bytes.extend(b"](");
            text(&mut bytes, &sample.key);
            match sample.place.as_str() {
                Some(path) => text(&mut bytes, path),
                None => int(&mut bytes, sample.place.as_u64().unwrap() as usize),
            }
            int(&mut bytes, sample.label as usize);
            self.array(&mut bytes, modality, sample);
            bytes.push(b'e');
        }
        bytes.extend(b"e.");
        bytes
    }

    fn array(&self, bytes: &mut Vec<u8>, modality: usize, sample: &Sample) {
        let (steps, width) = (sample.steps[modality], self.widths[modality]);
        if steps == 0 {
            return bytes.push(b'N');
        }
        let mut values = Vec::new();
        for (step, feature) in (0..steps).flat_map(|step| (0..width).map(move |feature| (step, feature))) {
            let value = value(modality, sample, step, feature);
            match self.dtype {
                "f4" => values.extend((value as f32).to_le_bytes()),
                _ => values.extend(value.to_le_bytes()),
            }
        }
        bytes.extend(b"cnumpy._core.numeric\n_frombuffer\n(\x96");
        bytes.extend((values.len() as u64).to_le_bytes());
        bytes.extend(values);
        bytes.extend(b"cnumpy\ndtype\n");
        text(bytes, self.dtype);
        bytes.extend(b"\x85R(");
        int(bytes, steps);
        int(bytes, width);
        bytes.push(b't');
        text(bytes, "C");
        bytes.extend(b"tR");
    }
}

fn text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend([0x8c, u8::try_from(text.len()).unwrap()]);
    bytes.extend(text.as_bytes());
}

fn int(bytes: &mut Vec<u8>, number: usize) {
    bytes.push(b'J');
    bytes.extend(i32::try_from(number).unwrap().to_le_bytes());
}
