//! CSV files of a data set with a header.

use super::folder::Folder;
use crate::fault::Result;

/// A table: names of its columns, then rows as long.
#[derive(Debug)]
pub(super) struct Table {
    names: Vec<String>,
    pub rows: Vec<Vec<String>>,
    file: String,
}

/// Reads a file below the folder.
///
/// # Errors
/// A file that is missing or no CSV.
pub(super) fn read(folder: &Folder, file: &str, what: &str) -> Result<Table> {
    let bytes = folder.read(file, what)?;
    // Some of these files are in Latin-1: names and numbers, which are all that is read, are the same in both.
    let text = String::from_utf8_lossy(&bytes);
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let wrong = |error: csv::Error| folder.wrong(format!("{file}: is no CSV ({error})"));
    let names =
        reader.headers().map_err(wrong)?.iter().map(|name| name.trim_start_matches('\u{feff}').to_string()).collect();
    let mut rows = Vec::new();
    for row in reader.records() {
        rows.push(row.map_err(wrong)?.iter().map(|cell| cell.trim().to_string()).collect());
    }
    Ok(Table { names, rows, file: file.to_string() })
}

impl Table {
    /// Place of a column.
    ///
    /// # Errors
    /// A column that is not there.
    pub fn column(&self, folder: &Folder, name: &str) -> Result<usize> {
        self.names.iter().position(|found| found == name).ok_or_else(|| {
            let found = self.names.join(", ");
            folder.wrong(format!("{}: has no column {name}; it has: {found}", self.file))
        })
    }
}
