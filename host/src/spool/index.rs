//! What a spool holds; it is written last, so that a spool without one is no spool.

use super::{ROWS, cannot_read, cannot_spool};
use crate::{Result, durable, plain_file, sealed};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The name of the index, in the spool's folder.
pub const INDEX: &str = "index.json";

/// The layout of the folder that this host writes and reads.
const FORMAT: u32 = 2;

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
    /// What stands behind the batches.
    pub(super) footer: Footer,
    /// Bytes that reading was billed for, where it is.
    pub(super) billed_bytes: Option<u64>,
    /// The names of the source's fragments.
    pub(super) fragments: Vec<String>,
    /// For each batch in the order of the rows, the fragment that it is of, and how many rows it has.
    pub(super) batches: Vec<(usize, usize)>,
}

/// The end of the file of rows: it tells the columns, and where the batches lie.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Footer {
    /// Where it starts, and so where the batches end.
    pub(super) start: u64,
    /// The XXH3 of all up to the end of the file.
    pub(super) checksum: u64,
}

impl Index {
    pub(super) fn new(columns: Vec<usize>) -> Self {
        Self {
            format: FORMAT,
            columns,
            rows: 0,
            bytes: 0,
            footer: Footer::default(),
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

    /// Reads the index of a folder; nothing where there is none, it is damaged, or its rows are not what it says.
    pub(super) fn read(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(INDEX);
        let sealed = match plain_file::read(&path, MOST) {
            Ok(sealed) => sealed,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(cannot_read(&path).because(error)),
        };
        let Ok(index) = sealed::open::<Self>(&sealed) else { return Ok(None) };
        let whole = folder.join(ROWS).metadata().is_ok_and(|rows| rows.len() == index.bytes);
        let known = index.batches.iter().all(|(fragment, _)| *fragment < index.fragments.len());
        Ok(Some(index).filter(|index| index.format == FORMAT && whole && known))
    }

    /// Writes it, which completes the spool.
    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        let path = folder.join(INDEX);
        let sealed = sealed::seal(self).map_err(|error| cannot_spool(&path, error))?;
        durable::write(&path, &sealed).map_err(|error| cannot_spool(&path, error))
    }
}
