//! Later passes: the rows from disk, in the order in which they came.

use super::ROWS;
use super::blocks::Blocks;
use super::index::Index;
use crate::source::{Position, SourceBatch};
use crate::{Error, Result};
use arrow_array::RecordBatch;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The batches of a spool.
pub(super) struct Replay<'a> {
    path: PathBuf,
    index: &'a Index,
    blocks: Blocks,
    batch_rows: usize,
    names: Vec<Arc<str>>,
    /// Rows of each fragment that were given, or skipped.
    given: Vec<u64>,
    next: usize,
    /// Rows of the next batch to leave out.
    skip: usize,
    /// What is left of a batch that is longer than wanted, and its fragment.
    rest: Option<(usize, RecordBatch)>,
}

impl<'a> Replay<'a> {
    /// Starts at a row of all.
    pub(super) fn open(
        folder: &Path,
        index: &'a Index,
        columns: Vec<usize>,
        batch_rows: usize,
        start: u64,
    ) -> Result<Self> {
        let path = folder.join(ROWS);
        let blocks = Blocks::open(&path, columns).map_err(|error| cannot_read(&path).because(error))?;
        if blocks.len() != index.batches.len() {
            return Err(cannot_read(&path));
        }
        let names = index.fragments.iter().map(|name| name.as_str().into()).collect();
        let given = vec![0; index.fragments.len()];
        let batch_rows = batch_rows.max(1);
        let mut replay = Self { path, index, blocks, batch_rows, names, given, next: 0, skip: 0, rest: None };
        replay.skip_to(start);
        Ok(replay)
    }

    fn skip_to(&mut self, start: u64) {
        let mut left = start;
        while let Some((fragment, rows)) = self.index.batches.get(self.next).filter(|(_, rows)| *rows as u64 <= left) {
            self.given[*fragment] += *rows as u64;
            left -= *rows as u64;
            self.next += 1;
        }
        self.skip = usize::try_from(left).unwrap_or(usize::MAX);
    }

    fn next_batch(&mut self) -> Result<Option<SourceBatch>> {
        let (fragment, batch) = match self.rest.take() {
            Some(rest) => rest,
            None => match self.load()? {
                Some(loaded) => loaded,
                None => return Ok(None),
            },
        };
        let rows = batch.num_rows().min(self.batch_rows);
        if rows < batch.num_rows() {
            self.rest = Some((fragment, batch.slice(rows, batch.num_rows() - rows)));
        }
        let position = Position::new(fragment, self.names[fragment].clone(), self.given[fragment]);
        self.given[fragment] += rows as u64;
        Ok(Some(SourceBatch { position, batch: batch.slice(0, rows) }))
    }

    fn load(&mut self) -> Result<Option<(usize, RecordBatch)>> {
        let Some((fragment, rows)) = self.index.batches.get(self.next).copied() else { return Ok(None) };
        let batch = self.blocks.read(self.next).map_err(|error| cannot_read(&self.path).because(error))?;
        if batch.num_rows() != rows {
            return Err(cannot_read(&self.path));
        }
        self.next += 1;
        let skipped = std::mem::take(&mut self.skip).min(rows);
        self.given[fragment] += skipped as u64;
        Ok(Some((fragment, batch.slice(skipped, rows - skipped))))
    }
}

impl Iterator for Replay<'_> {
    type Item = Result<SourceBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.next_batch();
        if next.is_err() {
            self.next = usize::MAX;
        }
        next.transpose()
    }
}

fn cannot_read(path: &Path) -> Error {
    let error = Error::source("the spool is damaged").file(path);
    error.hint("run again from the start: somebody or something has changed this file")
}
