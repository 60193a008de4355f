//! Later passes: the rows from disk, in the order in which they came.

use super::blocks::Blocks;
use super::index::{INDEX, Index};
use super::sums::{SUMS, Sums};
use super::{ROWS, cannot_read};
use crate::ipc::Cause;
use crate::source::{Position, SourceBatch, too_few};
use crate::{Error, Result};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The batches of a spool.
pub(super) struct Replay<'a> {
    folder: PathBuf,
    index: &'a Index,
    blocks: Blocks,
    sums: Sums,
    batch_rows: usize,
    names: Vec<Arc<str>>,
    /// Rows of each fragment that were loaded, or skipped.
    given: Vec<u64>,
    next: usize,
    /// Rows of the next batch to leave out.
    skip: usize,
    /// What is left of a batch that is longer than wanted.
    rest: Option<SourceBatch>,
}

impl<'a> Replay<'a> {
    /// Starts at a row of all.
    pub(super) fn open(
        folder: &Path,
        index: &'a Index,
        columns: &[usize],
        batch_rows: usize,
        start: u64,
    ) -> Result<Self> {
        if start > index.rows {
            return Err(too_few());
        }
        let unreadable = |name, error: std::io::Error| cannot_read(&folder.join(name)).because(error);
        let file = File::open(folder.join(ROWS)).map_err(|error| unreadable(ROWS, error))?;
        let sums = Sums::open(folder, index.columns.len()).map_err(|error| unreadable(SUMS, error))?;
        let blocks = Blocks::new(file, index, columns).map_err(|error| damaged(folder, ROWS, error))?;
        if blocks.len() != index.batches.len() {
            return Err(damaged(folder, ROWS, "it has not the batches that its index tells of".into()));
        }
        let names = index.fragments.iter().map(|name| name.as_str().into()).collect();
        let given = vec![0; index.fragments.len()];
        let batch_rows = batch_rows.max(1);
        let folder = folder.to_owned();
        let mut replay = Self { folder, index, blocks, sums, batch_rows, names, given, next: 0, skip: 0, rest: None };
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
        let rest = self.rest.take().map(|rest| Ok(Some(rest)));
        let Some(mut read) = rest.unwrap_or_else(|| self.load())? else { return Ok(None) };
        self.rest = read.split_off(self.batch_rows);
        Ok(Some(read))
    }

    fn load(&mut self) -> Result<Option<SourceBatch>> {
        let Some((fragment, rows)) = self.index.batches.get(self.next).copied() else { return Ok(None) };
        let sums = self.sums.read(self.next).map_err(|error| damaged(&self.folder, SUMS, error))?;
        let batch = self.blocks.read(self.next, &sums).map_err(|error| damaged(&self.folder, ROWS, error))?;
        if batch.num_rows() != rows {
            return Err(damaged(&self.folder, ROWS, "a batch has not the rows that its index tells of".into()));
        }
        self.next += 1;
        let skipped = std::mem::take(&mut self.skip).min(rows);
        let start = self.given[fragment] + skipped as u64;
        self.given[fragment] += rows as u64;
        let position = Position::new(fragment, self.names[fragment].clone(), start);
        Ok(Some(SourceBatch { position, batch: batch.slice(skipped, rows - skipped) }))
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

/// Tells that a file is damaged. Without its index the spool is none, so that a run that goes on reads the source again.
fn damaged(folder: &Path, name: &str, error: Cause) -> Error {
    let _ = std::fs::remove_file(folder.join(INDEX));
    let error = Error::source("the spool is damaged").file(folder.join(name)).because(error);
    error.hint("see to that disk; `wafermill resume` reads the source again, or run again after `wafermill clean`")
}
