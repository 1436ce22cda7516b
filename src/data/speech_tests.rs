//! `crema-d` and `meld`: folders written here, of tones.

use super::audio::Level;
use super::{Dataset, Labels, Part, crema_d, meld};
use std::fs;
use std::path::Path;

/// A second of a tone, as 16-bit PCM.
fn tone(root: &Path, file: &str, frequency: f32, samples: usize) {
    let path = root.join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 16_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(path, spec).unwrap();
    for i in 0..samples {
        let sample = 8000.0 * (i as f32 * frequency * std::f32::consts::TAU / 16_000.0).sin();
        writer.write_sample(sample as i16).unwrap();
    }
    writer.finalize().unwrap();
}

fn crema(root: &Path) -> crema_d::Config {
    let rows = [
        ("1001_A_ANG_XX", "A"),
        ("1001_B_SAD_XX", "S"),
        ("1002_A_HAP_XX", "H"),
        ("1002_B_NEU_XX", "A:N"),
        ("1003_A_NEU_XX", "N"),
    ];
    let mut table = "\"\",\"FileName\",\"VoiceVote\",\"MultiModalVote\"\n".to_string();
    for (i, (name, vote)) in rows.iter().enumerate() {
        table += &format!("\"{i}\",\"{name}\",\"X\",\"{vote}\"\n");
        tone(root, &format!("AudioWAV/{name}.wav"), 300.0 * (i + 1) as f32, 4000 + 1600 * i);
    }
    table += "\"9\",\"1076_MTI_SAD_XX\",\"X\",\"S\"\n";
    fs::create_dir_all(root.join("processedResults")).unwrap();
    fs::write(root.join("processedResults/summaryTable.csv"), table).unwrap();
    toml::from_str(&format!("path = {:?}", root.display().to_string())).unwrap()
}

fn worst_mean(data: &Dataset, rows: &[usize]) -> f64 {
    let audio = &data.modalities[0];
    let length = |i: usize| audio.lengths.as_ref().map_or(audio.shape.time, |lengths| lengths[i] as usize);
    let mean = |bin: usize| {
        let values: Vec<f64> =
            rows.iter().flat_map(|&i| (0..length(i)).map(move |t| f64::from(audio.values[[i, t, bin]]))).collect();
        (values.iter().sum::<f64>() / values.len() as f64).abs()
    };
    (0..80).map(mean).fold(0.0, f64::max)
}

#[test]
fn crema_d_has_its_actors_single_votes_and_lengths() {
    let folder = tempfile::tempdir().unwrap();
    let config = crema(folder.path());
    let data = crema_d::load(&config, Path::new("")).unwrap();
    assert_eq!((data.labels.clone(), data.parts.clone()), (Labels::Single(vec![0, 1, 2, 3]), None));
    assert_eq!(
        (data.client.clone(), data.client_names.clone()),
        (vec![0, 0, 1, 2], ["1001", "1002", "1003"].map(String::from).to_vec())
    );
    // 1 + (n − 400) / 160 frames.
    assert_eq!(data.modalities[0].lengths, Some(vec![23, 33, 43, 63]));
    let tuned = crema_d::Config { frames: 30, fold: Some(1), level: Level::Speaker, ..config };
    let data = crema_d::load(&tuned, Path::new("")).unwrap();
    assert_eq!((data.modalities[0].shape.time, data.parts.clone().unwrap()[0]), (30, Part::Test));
    assert_eq!(data.shapes(), tuned.outline().shapes());
    assert!(worst_mean(&data, &[0, 1]) < 1e-4 && worst_mean(&data, &[0]) > 1e-2);
    let mixed = crema_d::load(&crema_d::Config { level: Level::Mixed, ..tuned }, Path::new("")).unwrap();
    assert!(worst_mean(&mixed, &[0]) < 1e-4, "actor 1001 is for testing");
}

#[test]
fn crema_d_says_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let config = crema(folder.path());
    let subject = format!("data.crema-d.path = {}", folder.path().display());
    let said = || crema_d::load(&config, Path::new("")).unwrap_err().to_string();
    tone(folder.path(), "AudioWAV/1001_A_ANG_XX.wav", 300.0, 200);
    let short = "AudioWAV/1001_A_ANG_XX.wav: is shorter than a frame of 25 ms; drop it from the table";
    assert_eq!(said(), format!("{subject}: {short}"));
    fs::remove_file(folder.path().join("AudioWAV/1001_A_ANG_XX.wav")).unwrap();
    let gone = "has no file AudioWAV/1001_A_ANG_XX.wav (a recording); name the folder that holds it";
    assert_eq!(said(), format!("{subject}: {gone}"));
    fs::write(folder.path().join("processedResults/summaryTable.csv"), "FileName\nx\n").unwrap();
    let column = "processedResults/summaryTable.csv: has no column MultiModalVote; it has: FileName";
    assert_eq!(said(), format!("{subject}: {column}"));
}

#[test]
fn meld_has_its_speakers_by_season_and_official_parts() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let head = "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode\n";
    for (part, rows) in [
        (
            "train",
            "1,\"Oh, hi\",Joey,joy,x,0,0,3,1\n2,No,Joey,anger,x,0,1,3,1\n3,x,Ross,fear,x,0,2,3,1\n4,x,Joey,neutral,x,1,0,4,1\n",
        ),
        ("dev", "1,x,Joey,sadness,x,0,0,3,1\n"),
        ("test", "1,x,Ross,neutral,x,0,0,3,1\n2,x,Ross,joy,x,9,9,3,1\n"),
    ] {
        fs::write(root.join(format!("{part}_sent_emo.csv")), format!("{head}{rows}")).unwrap();
        for (i, clip) in ["dia0_utt0", "dia0_utt1", "dia1_utt0"].iter().enumerate() {
            tone(root, &format!("waves/{part}/{clip}.wav"), 500.0 + 100.0 * i as f32, 4000 + 160 * i);
        }
    }
    let config: meld::Config = toml::from_str(&format!("path = {:?}", root.display().to_string())).unwrap();
    let data = meld::load(&config, Path::new("")).unwrap();
    assert_eq!(data.labels, Labels::Single(vec![2, 3, 0, 1, 0]));
    assert_eq!(data.client_names, ["3 Joey", "3 Ross", "4 Joey"]);
    assert_eq!(data.parts, Some(vec![Part::Train, Part::Train, Part::Train, Part::Dev, Part::Test]));
    assert_eq!(data.keys.as_ref().unwrap()[3..], ["dev/dia0_utt0", "test/dia0_utt0"]);
    assert_eq!(data.modalities[0].lengths, Some(vec![23, 24, 25, 23, 23]));
    let large = meld::load(&meld::Config { min_utterances: 1, ..config.clone() }, Path::new("")).unwrap();
    assert_eq!(large.client_names, ["3 Joey"]);
    let mixed = meld::load(&meld::Config { level: Level::Mixed, ..config }, Path::new("")).unwrap();
    assert!(worst_mean(&mixed, &[0, 1]) < 1e-4 && worst_mean(&mixed, &[3]) < 1e-4);
}
