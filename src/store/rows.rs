//! Rounds as CSV lines, and back.
//!
//! Numbers are written as Rust's shortest text that reads back to the same bits, undefined scores as nothing.

use crate::record::{RoundRow, Scores};
use std::io::Write;

/// The columns of a run's `rounds.csv`.
pub const HEADER: &str = "round,train_loss,clients,skipped,samples,excluded,byzantine,stayed,bytes,\
    dev_loss,dev_accuracy,dev_macro_f1,dev_uar,dev_top_k,dev_worst_10,\
    test_loss,test_accuracy,test_macro_f1,test_uar,test_top_k,test_worst_10,attack_success,\
    epsilon,epsilon_fixed,seconds";

/// Takes one score out of all.
pub type Score = fn(&Scores) -> Option<f64>;

/// A score's column name and where it is in [`Scores`], in column order.
pub const SCORES: [(&str, Score); 6] = [
    ("loss", |s| s.loss),
    ("accuracy", |s| s.accuracy),
    ("macro_f1", |s| s.macro_f1),
    ("uar", |s| s.uar),
    ("top_k", |s| s.top_k),
    ("worst_10", |s| s.worst_10),
];

/// A number as in every table: the shortest text that reads back the same; nothing for `None`.
pub fn number(value: Option<f64>) -> String {
    value.map(|v| v.to_string()).unwrap_or_default()
}

/// The cells of a row, one a column of [`HEADER`].
pub fn cells(row: &RoundRow) -> Vec<String> {
    let mut cells = vec![row.round.to_string(), number(row.train_loss)];
    cells.extend(
        [row.clients, row.skipped, row.samples, row.excluded, row.byzantine, row.stayed].map(|n| n.to_string()),
    );
    cells.push(row.bytes.to_string());
    for scores in [&row.dev, &row.test] {
        cells.extend(SCORES.map(|(_, get)| number(scores.as_ref().and_then(get))));
    }
    cells.extend([row.attack_success, row.epsilon, row.epsilon_fixed].map(number));
    cells.push(row.seconds.to_string());
    cells
}

/// Whether two rows tell the same result: equal in every column but `seconds`.
///
/// ```
/// # use fedrobust::{record::RoundRow, store::same_result};
/// # let row = RoundRow { round: 1, train_loss: None, clients: 1, skipped: 0, samples: 8, excluded: 0,
/// #     byzantine: 0, stayed: 0, bytes: 0, dev: None, test: None, attack_success: None, epsilon: None,
/// #     epsilon_fixed: None, seconds: 0.5 };
/// assert!(same_result(&row, &RoundRow { seconds: 9.0, ..row.clone() }));
/// assert!(!same_result(&row, &RoundRow { samples: 7, ..row.clone() }));
/// ```
pub fn same_result(a: &RoundRow, b: &RoundRow) -> bool {
    // As text, so that a NaN equals itself.
    result(a) == result(b)
}

/// The cells of a row that tell its result, as a line: all but `seconds`.
fn result(row: &RoundRow) -> String {
    let mut cells = cells(row);
    cells.pop();
    cells.join(",")
}

/// Names the results of rows: a BLAKE3 hash of every column but `seconds`, in hex.
pub fn digest(rows: &[RoundRow]) -> String {
    let mut hasher = blake3::Hasher::new();
    for row in rows {
        hasher.update(result(row).as_bytes()).update(b"\n");
    }
    hasher.finalize().to_hex().to_string()
}

/// Writes one whole line, and hands it to the system at once.
pub(super) fn write_line(file: &mut impl Write, line: &str) -> std::io::Result<()> {
    file.write_all(format!("{line}\n").as_bytes())?;
    file.flush()
}

/// Reads one line; `None` when it is not a row.
fn parse(line: &str) -> Option<RoundRow> {
    let cells: Vec<&str> = line.split(',').collect();
    if cells.len() != HEADER.split(',').count() {
        return None;
    }
    let optional = |i: usize| if cells[i].is_empty() { Some(None) } else { cells[i].parse().ok().map(Some) };
    let scores = |from: usize| -> Option<Option<Scores>> {
        let scores = Scores {
            loss: optional(from)?,
            accuracy: optional(from + 1)?,
            macro_f1: optional(from + 2)?,
            uar: optional(from + 3)?,
            top_k: optional(from + 4)?,
            worst_10: optional(from + 5)?,
        };
        Some((scores != Scores::default()).then_some(scores))
    };
    Some(RoundRow {
        round: cells[0].parse().ok()?,
        train_loss: optional(1)?,
        clients: cells[2].parse().ok()?,
        skipped: cells[3].parse().ok()?,
        samples: cells[4].parse().ok()?,
        excluded: cells[5].parse().ok()?,
        byzantine: cells[6].parse().ok()?,
        stayed: cells[7].parse().ok()?,
        bytes: cells[8].parse().ok()?,
        dev: scores(9)?,
        test: scores(15)?,
        attack_success: optional(21)?,
        epsilon: optional(22)?,
        epsilon_fixed: optional(23)?,
        seconds: cells[24].parse().ok()?,
    })
}

/// Reads a `rounds.csv`: its rows up to the first line that is cut, damaged or out of turn, and the length in bytes of
/// what was read. A kill can only cut the last line; what follows a damaged one is not trusted.
pub(super) fn read(text: &str) -> (Vec<RoundRow>, usize) {
    let mut rows: Vec<RoundRow> = Vec::new();
    let mut length = 0;
    for (i, line) in text.split_inclusive('\n').enumerate() {
        let Some(whole) = line.strip_suffix('\n') else { break };
        if i == 0 {
            if whole != HEADER {
                break;
            }
        } else {
            match parse(whole) {
                Some(row) if row.round == rows.len() + 1 => rows.push(row),
                _ => break,
            }
        }
        length += line.len();
    }
    (rows, length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn row(round: usize, loss: Option<f64>, f1: f64) -> RoundRow {
        let test = Scores { macro_f1: Some(f1), worst_10: Some(0.25), ..Scores::default() };
        RoundRow {
            round,
            train_loss: loss,
            clients: 5,
            skipped: 1,
            samples: 320,
            excluded: 0,
            byzantine: 2,
            stayed: 3,
            bytes: 1_000_000,
            dev: None,
            test: Some(test),
            attack_success: None,
            epsilon: Some(1.5),
            epsilon_fixed: None,
            seconds: 0.5,
        }
    }

    fn text(rows: &[RoundRow]) -> String {
        let lines = rows.iter().map(|row| cells(row).join(",") + "\n");
        format!("{HEADER}\n{}", lines.collect::<String>())
    }

    #[test]
    fn a_row_is_one_line_with_nothing_for_what_is_undefined() {
        assert_eq!(
            cells(&row(3, Some(0.1), 0.5)).join(","),
            "3,0.1,5,1,320,0,2,3,1000000,,,,,,,,,0.5,,,0.25,,1.5,,0.5"
        );
        assert_eq!(cells(&row(3, None, 0.5)).len(), HEADER.split(',').count());
    }

    #[test]
    fn a_line_cut_short_and_what_follows_a_damaged_one_are_dropped() {
        let whole = text(&[row(1, Some(1.0), 0.5), row(2, None, 0.6)]);
        assert_eq!(read(&whole).0.len(), 2);
        for cut in 1..cells(&row(2, None, 0.6)).join(",").len() {
            assert_eq!(read(&whole[..whole.len() - cut]).0, vec![row(1, Some(1.0), 0.5)], "{cut} bytes cut");
        }
        assert_eq!(read(&whole.replace("1,1,5", "1,x,5")).0, vec![]);
        assert_eq!(read(&text(&[row(1, None, 0.1), row(3, None, 0.1)])).0.len(), 1);
        assert_eq!(read("something else\n"), (vec![], 0));
    }

    #[test]
    fn a_full_disk_is_an_error_of_the_write_and_not_a_panic() {
        let mut full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let error = write_line(&mut full, "1,2,3").unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    }

    proptest! {
        #[test]
        fn every_number_reads_back_to_the_same_bits(loss in any::<f64>(), f1 in any::<f64>(), seconds in 0.0..1e6) {
            let mut written = row(1, Some(loss), f1);
            written.seconds = seconds;
            let (rows, _) = read(&text(std::slice::from_ref(&written)));
            prop_assert!(same_result(&rows[0], &written));
            prop_assert_eq!(rows[0].seconds.to_bits(), seconds.to_bits());
            if !loss.is_nan() {
                prop_assert_eq!(rows[0].train_loss.unwrap().to_bits(), loss.to_bits());
            }
        }
    }
}
