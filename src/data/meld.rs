//! `meld`: emotions in a television series, from the sound of MELD.
//!
//! The folder holds `train_sent_emo.csv`, `dev_sent_emo.csv`, `test_sent_emo.csv` (columns `Speaker`, `Emotion`, `Dialogue_ID`,
//! `Utterance_ID`, `Season`) and the sound of every clip as `waves/<part>/dia<d>_utt<u>.wav`. Four emotions are used, as by
//! FedMultimodal: neutral 0, sadness 1, joy 2, anger 3. One modality, `audio`: log-mel features `[T, 80]` of frames of 25 ms every 10 ms,
//! cut to `frames`. The natural client is a speaker within a season. Clips without a sound file are left out, and so are speakers
//! with `min-utterances` utterances or fewer in a part. Parts are the official ones.
//!
//! The reference's text features come from a pretrained network: for both modalities read its pickles (`fedmultimodal`).
//!
//! By hand: season 3, speaker Joey, is the client `3 Joey`.
//!
//! Source: Poria et al., MELD: A Multimodal Multi-Party Dataset for Emotion Recognition in Conversations, ACL 2019.

use super::audio::{self, Level};
use super::crema_d::LEVEL;
use super::fbank::BINS;
use super::folder::Folder;
use super::{Dataset, Labels, ModalityShape, Part, table};
use crate::fault::{About, Checker, Parameter, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// The folder with `train_sent_emo.csv`; relative to the scenario's folder.
    pub path: PathBuf,
    /// Frames of a clip at most.
    #[serde(default = "frames")]
    pub frames: usize,
    /// Speakers with so many utterances in a part, or fewer, are left out of it.
    #[serde(default)]
    pub min_utterances: usize,
    /// Over what features are normalised.
    #[serde(default)]
    pub level: Level,
}

fn frames() -> usize {
    1000
}

const CLASSES: [&str; 4] = ["neutral", "sadness", "joy", "anger"];
const GET: &str = "get MELD.Raw from https://github.com/declare-lab/MELD and write the sound of each clip there with \
    ffmpeg -i dia0_utt0.mp4 -ac 1 -ar 16000 waves/train/dia0_utt0.wav";

/// Entry of `fedrobust list data`.
pub const ABOUT: About = About {
    name: "meld",
    summary: "MELD from its clips' sound: emotions in a series, 4 classes, log-mel audio [up to 1000, 80].",
    formula: "",
    source: "Poria et al., MELD, ACL 2019",
    parameters: &[
        Parameter {
            name: "path",
            default: "required",
            meaning: "the folder with train_sent_emo.csv and waves, relative to the scenario's folder",
        },
        Parameter { name: "frames", default: "1000", meaning: "frames of a clip at most, from 1" },
        Parameter {
            name: "min-utterances",
            default: "0",
            meaning: "speakers with so many utterances in a part, or fewer, are left out of it; FedMultimodal takes 10",
        },
        LEVEL,
    ],
};

impl Config {
    /// Ranges.
    pub fn check(&self, c: &mut Checker) {
        c.at_least("frames", self.frames, 1);
    }

    /// Shapes and classes, without reading anything.
    pub fn outline(&self) -> Dataset {
        super::outline("meld", vec![ModalityShape::sequence("audio", self.frames, BINS)], CLASSES.len(), false)
    }
}

/// A clip.
struct Clip {
    speaker: String,
    label: u32,
    part: Part,
    key: String,
    file: String,
}

/// Reads the folder.
///
/// # Errors
/// A folder that is not there, files that are missing or not of the layout.
pub fn load(config: &Config, base: &Path) -> Result<Dataset> {
    let folder = Folder::open("meld", &config.path, base, GET)?;
    let mut clips = Vec::new();
    for (part, name) in [(Part::Train, "train"), (Part::Dev, "dev"), (Part::Test, "test")] {
        clips.extend(part_clips(&folder, config, part, name)?);
    }
    if !clips.iter().any(|clip| clip.part == Part::Train) {
        return Err(folder.wrong(format!("has no training clip of four emotions with its sound in waves/train; {GET}")));
    }
    let files: Vec<String> = clips.iter().map(|clip| clip.file.clone()).collect();
    let mut recordings = audio::read(&folder, &files, config.frames)?;
    if config.level != Level::None {
        let group = |clip: &Clip| match (config.level, clip.part) {
            (Level::Utterance, _) | (Level::Mixed, Part::Dev | Part::Test) => clip.key.clone(),
            _ => clip.speaker.clone(),
        };
        audio::level(&mut recordings, &clips.iter().map(group).collect::<Vec<_>>());
    }
    let speakers: Vec<String> = clips.iter().map(|clip| clip.speaker.clone()).collect();
    let (client, client_names) = super::clients(&speakers);
    let mut data = Dataset {
        name: "meld".to_string(),
        modalities: vec![audio::modality(&recordings)?],
        labels: Labels::Single(clips.iter().map(|clip| clip.label).collect()),
        classes: CLASSES.len(),
        class_names: Some(CLASSES.map(str::to_string).to_vec()),
        client,
        client_names,
        parts: Some(clips.iter().map(|clip| clip.part).collect()),
        keys: Some(clips.into_iter().map(|clip| clip.key).collect()),
        checksum: String::new(),
    };
    data.checksum = super::checksum(&data);
    Ok(data)
}

fn part_clips(folder: &Folder, config: &Config, part: Part, name: &str) -> Result<Vec<Clip>> {
    let table = table::read(folder, &format!("{name}_sent_emo.csv"), "the utterances")?;
    let [speaker, emotion, dialogue, utterance, season] =
        ["Speaker", "Emotion", "Dialogue_ID", "Utterance_ID", "Season"].map(|column| table.column(folder, column));
    let (speaker, emotion, dialogue, utterance, season) = (speaker?, emotion?, dialogue?, utterance?, season?);
    let mut clips = Vec::new();
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for row in &table.rows {
        let Some(label) = CLASSES.iter().position(|class| *class == row[emotion]) else { continue };
        let key = format!("{name}/dia{}_utt{}", row[dialogue], row[utterance]);
        let file = format!("waves/{key}.wav");
        if folder.has(&file) {
            let speaker = format!("{} {}", row[season], row[speaker]);
            *counts.entry(speaker.clone()).or_default() += 1;
            clips.push(Clip { speaker, label: label as u32, part, key, file });
        }
    }
    clips.retain(|clip| counts[&clip.speaker] > config.min_utterances);
    Ok(clips)
}
