//! What a spool holds; it is written last, so that a spool without one is no spool.

use super::{ROWS, cannot_spool};
use crate::durable;
use crate::{Error, Result, plain_file};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The name of the index, in the spool's folder.
pub const INDEX: &str = "index.json";

/// The layout of the folder that this host writes and reads.
const FORMAT: u32 = 1;

/// Bytes of an index: some ten million batches.
const MOST: u64 = 1 << 30;

/// What a spool holds.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Index {
    format: u32,
    /// The columns that are kept, by their positions in the source.
    pub(super) columns: Vec<usize>,
    /// All rows.
    pub(super) rows: u64,
    /// The size of the file of rows.
    pub(super) bytes: u64,
    /// Bytes that reading was billed for, where it is.
    pub(super) billed_bytes: Option<u64>,
    /// The names of the source's fragments.
    pub(super) fragments: Vec<String>,
    /// For each batch in the order of the rows, the fragment that it is of, and how many rows it has.
    pub(super) batches: Vec<(usize, usize)>,
}

impl Index {
    pub(super) fn new(columns: Vec<usize>) -> Self {
        Self {
            format: FORMAT,
            columns,
            rows: 0,
            bytes: 0,
            billed_bytes: None,
            fragments: Vec::new(),
            batches: Vec::new(),
        }
    }

    /// Adds the next batch.
    pub(super) fn push(&mut self, fragment: usize, name: &str, rows: usize) {
        if self.fragments.len() <= fragment {
            self.fragments.resize(fragment + 1, String::new());
        }
        if self.fragments[fragment].is_empty() {
            self.fragments[fragment] = name.to_owned();
        }
        self.rows += rows as u64;
        self.batches.push((fragment, rows));
    }

    /// Reads the index of a folder; nothing where there is none, or its rows are not what it says.
    pub(super) fn read(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(INDEX);
        let text = match plain_file::read_to_string(&path, MOST) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::source("the spool cannot be read").file(&path).because(error)),
        };
        let Ok(index) = serde_json::from_str::<Self>(&text) else { return Ok(None) };
        let whole = folder.join(ROWS).metadata().is_ok_and(|rows| rows.len() == index.bytes);
        let known = index.batches.iter().all(|(fragment, _)| *fragment < index.fragments.len());
        Ok(Some(index).filter(|index| index.format == FORMAT && whole && known))
    }

    /// Writes it, which completes the spool.
    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        let path = folder.join(INDEX);
        let json = serde_json::to_vec(self).map_err(|error| cannot_spool(&path, error))?;
        durable::write(&path, &json).map_err(|error| cannot_spool(&path, error))
    }
}
