//! TensorBoard event files: what researchers already look at while a sweep runs.
//!
//! One folder a run, named by its label, with one file in it. A file is a list of records, `length (u64), masked CRC-32C of
//! the length (u32), data, masked CRC-32C of the data (u32)`, all little-endian; the data is an `Event` of TensorFlow's
//! `event.proto` with one `Summary` of scalars a round. The rows in the store are the truth: a file is written anew from
//! them when a run goes on, so that it never tells a round twice.

use crate::fault::{Error, Result};
use crate::record::{Plan, RoundRow};
use crate::store::{Outcome, SCORES, Store};
use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

const FILE: &str = "events.out.tfevents.fedrobust";

/// Longest name of a run's folder, in characters.
const LONGEST: usize = 160;

/// A folder of event files.
pub struct Board<'a> {
    folder: PathBuf,
    store: &'a Store,
    plan: &'a Plan,
    /// Runs whose file is up to date.
    begun: BTreeSet<usize>,
}

impl<'a> Board<'a> {
    /// Makes `folder` and writes the runs that are finished already.
    ///
    /// # Errors
    /// A folder that cannot be written, a store that cannot be read.
    pub fn new(folder: &Path, store: &'a Store, plan: &'a Plan) -> Result<Self> {
        fs::create_dir_all(folder).map_err(|e| Error::io(format!("cannot make {}", folder.display()), &e))?;
        let mut board = Self { folder: folder.to_path_buf(), store, plan, begun: BTreeSet::new() };
        for (run, info) in plan.runs.iter().enumerate() {
            if let Outcome::Whole(_) = store.outcome(&info.fingerprint)? {
                board.begin(run)?;
            }
        }
        Ok(board)
    }

    /// Takes a row that the store has already.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn row(&mut self, run: usize, row: &RoundRow) -> Result<()> {
        if self.begun.contains(&run) {
            return self.write(run, &event(now(), row.round as i64, row), false);
        }
        self.begin(run)
    }

    /// Writes the file of a run anew from the rows of the store.
    fn begin(&mut self, run: usize) -> Result<()> {
        let rows = self.store.rounds(&self.plan.runs[run].fingerprint)?;
        let mut bytes = record(&version());
        // As if it had run without a break and ended now.
        let mut at = now() - rows.iter().map(|row| row.seconds).sum::<f64>();
        for row in &rows {
            at += row.seconds;
            bytes.extend(event(at, row.round as i64, row));
        }
        self.write(run, &bytes, true)?;
        self.begun.insert(run);
        Ok(())
    }

    fn write(&self, run: usize, bytes: &[u8], anew: bool) -> Result<()> {
        let folder = self.folder.join(folder_name(self.plan, run));
        let path = folder.join(FILE);
        let write = || -> std::io::Result<()> {
            fs::create_dir_all(&folder)?;
            let mut options = OpenOptions::new();
            options.create(true).write(true).append(!anew).truncate(anew);
            options.open(&path)?.write_all(bytes)
        };
        write().map_err(|e| Error::io(format!("cannot write {}", path.display()), &e))
    }
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// `strategy=fedavg,corrupt.missing-labels.rate=0.5,seed=1-3fa2b1c0`: what people know it by, safe as one folder's name, and
/// the start of its fingerprint.
fn folder_name(plan: &Plan, run: usize) -> String {
    let info = &plan.runs[run];
    let settings = plan.points[info.point].settings.iter().map(|(path, value)| format!("{path}={value},"));
    let label = settings.collect::<String>() + &format!("seed={}", info.seed);
    let safe = |c: char| if c.is_ascii_alphanumeric() || "._=,+-".contains(c) { c } else { '_' };
    let name: String = label.chars().map(safe).take(LONGEST).collect();
    format!("{}-{}", name.trim_start_matches('.'), &info.fingerprint[..8])
}

/// The scalars of a row, by tag; what is undefined is left out.
fn scalars(row: &RoundRow) -> Vec<(String, f64)> {
    let mut found = vec![
        ("train/clients".to_string(), Some(row.clients as f64)),
        ("train/excluded".to_string(), Some(row.excluded as f64)),
        ("train/loss".to_string(), row.train_loss),
        ("attack/success".to_string(), row.attack_success),
    ];
    for (part, scores) in [("dev", &row.dev), ("test", &row.test)] {
        found.extend(SCORES.iter().map(|(name, get)| (format!("{part}/{name}"), scores.as_ref().and_then(get))));
    }
    found.into_iter().filter_map(|(tag, value)| value.map(|value| (tag, value))).collect()
}

/// One record: an `Event` with the scalars of a round.
fn event(at: f64, step: i64, row: &RoundRow) -> Vec<u8> {
    let mut summary = Vec::new();
    for (tag, number) in scalars(row) {
        // Summary.Value: tag = 1 (text), simple_value = 2 (float).
        let mut value = Vec::new();
        field(&mut value, 1, tag.as_bytes());
        value.push(2 << 3 | 5);
        value.extend((number as f32).to_le_bytes());
        // Summary: value = 1.
        field(&mut summary, 1, &value);
    }
    // Event: wall_time = 1 (double), step = 2 (int64), summary = 5.
    let mut event = vec![1 << 3 | 1];
    event.extend(at.to_le_bytes());
    event.push(2 << 3);
    varint(&mut event, step as u64);
    field(&mut event, 5, &summary);
    record(&event)
}

/// The first event of a file: file_version = 3.
fn version() -> Vec<u8> {
    let mut event = vec![1 << 3 | 1];
    event.extend(0f64.to_le_bytes());
    field(&mut event, 3, b"brain.Event:2");
    event
}

/// A field of bytes: its number with wire type 2, length, content.
fn field(out: &mut Vec<u8>, number: u8, content: &[u8]) {
    out.push(number << 3 | 2);
    varint(out, content.len() as u64);
    out.extend(content);
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let masked = |bytes: &[u8]| crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes();
    [length.as_slice(), &masked(&length), data, &masked(data)].concat()
}

#[cfg(test)]
mod tests {
    use super::super::fake::Fake;
    use super::*;
    use crate::record::Scores;

    /// CRC-32C bit by bit, from its polynomial; shares nothing with the crate.
    fn crc(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(!0u32, |crc, &byte| {
            (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 })
        })
    }

    /// The data of every record, checked.
    fn records(mut bytes: &[u8]) -> Vec<Vec<u8>> {
        let mask = |crc: u32| crc.rotate_right(15).wrapping_add(0xa282_ead8);
        let word = |bytes: &[u8]| u32::from_le_bytes(bytes.try_into().unwrap());
        let mut found = Vec::new();
        while !bytes.is_empty() {
            let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
            assert_eq!(word(&bytes[8..12]), mask(crc(&bytes[..8])));
            let data = &bytes[12..12 + length];
            assert_eq!(word(&bytes[12 + length..16 + length]), mask(crc(data)));
            found.push(data.to_vec());
            bytes = &bytes[16 + length..];
        }
        found
    }

    /// Fields of a message: number, wire type, content (varints as bytes).
    fn fields(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
        let read = |bytes: &mut &[u8]| {
            let (mut value, mut shift) = (0u64, 0);
            loop {
                let byte = bytes[0];
                *bytes = &bytes[1..];
                value |= u64::from(byte & 0x7f) << shift;
                shift += 7;
                if byte < 0x80 {
                    return value;
                }
            }
        };
        let mut found = Vec::new();
        while !bytes.is_empty() {
            let key = read(&mut bytes);
            let length = match key & 7 {
                0 => {
                    found.push(((key >> 3) as u8, read(&mut bytes).to_le_bytes().to_vec()));
                    continue;
                }
                1 => 8,
                5 => 4,
                2 => read(&mut bytes) as usize,
                other => panic!("wire type {other}"),
            };
            found.push(((key >> 3) as u8, bytes[..length].to_vec()));
            bytes = &bytes[length..];
        }
        found
    }

    #[test]
    fn the_check_sum_is_that_of_the_rfc() {
        // RFC 3720, B.4: 32 bytes of zeros, and the numbers 0 to 31.
        assert_eq!((crc(&[0; 32]), crc32c::crc32c(&[0; 32])), (0x8a91_36aa, 0x8a91_36aa));
        let rising: Vec<u8> = (0..32).collect();
        assert_eq!((crc(&rising), crc32c::crc32c(&rising)), (0x46dd_794e, 0x46dd_794e));
    }

    #[test]
    fn a_row_is_an_event_with_its_scalars() {
        let folder = tempfile::tempdir().unwrap();
        let fake = Fake { grids: false, seeds: vec![8], ..Fake::default() };
        let plan = fake.write(&folder.path().join("out"), |_, manifest| Some(manifest));
        let store = Store::read(&folder.path().join("out")).unwrap();
        let mut board = Board::new(&folder.path().join("board"), &store, &plan).unwrap();
        let rows = store.rounds(&plan.runs[0].fingerprint).unwrap();
        let next = RoundRow {
            round: 1000,
            train_loss: None,
            dev: None,
            test: Some(Scores { accuracy: Some(0.25), ..Scores::default() }),
            attack_success: Some(0.5),
            ..rows[0].clone()
        };
        board.row(0, &next).unwrap();
        let path = folder.path().join("board").join(folder_name(&plan, 0)).join(FILE);
        let events: Vec<_> = records(&fs::read(path).unwrap()).iter().map(|data| fields(data)).collect();
        assert_eq!(events.len(), rows.len() + 2);
        assert_eq!(events[0][1], (3, b"brain.Event:2".to_vec()));
        let last = events.last().unwrap();
        assert_eq!(last[1], (2, 1000u64.to_le_bytes().to_vec()));
        let scalars: Vec<(String, f32)> = fields(&last[2].1)
            .iter()
            .map(|(number, value)| {
                assert_eq!(*number, 1);
                let value = fields(value);
                let number = f32::from_le_bytes(value[1].1.clone().try_into().unwrap());
                (String::from_utf8(value[0].1.clone()).unwrap(), number)
            })
            .collect();
        let expected =
            [("train/clients", 12.0), ("train/excluded", 0.0), ("attack/success", 0.5), ("test/accuracy", 0.25)];
        assert_eq!(scalars, expected.map(|(tag, value)| (tag.to_string(), value)));
        let all = fs::read_dir(folder.path().join("board")).unwrap().count();
        assert_eq!(all, plan.runs.len(), "runs that were finished before are there from the start");
    }

    #[test]
    fn no_label_leads_out_of_the_folder() {
        let mut plan = Fake { grids: false, ..Fake::default() }.plan();
        plan.points[0].settings = vec![("data.npz.path".into(), "../../etc/passwd".into())];
        assert_eq!(folder_name(&plan, 0), "data.npz.path=.._.._etc_passwd,seed=8-00000000");
        plan.points[0].settings = vec![("..".into(), "x".repeat(1000))];
        assert!(folder_name(&plan, 0).len() < 200 && !folder_name(&plan, 0).starts_with('.'));
    }
}
