//! Puts rows in an order that depends on their content only, by an external sort on a hash of each row, before `concat` writes them.
//!
//! Rows fill a buffer (`buffer`) under a key of their part and their hash (`key`). Past its budget the buffer is sorted and written to
//! a run in the scratch directory (`run`), in pieces of limited bytes. In the end the runs are merged (`merge`), in several levels
//! where there are too many, and the parts are written one after the other.

mod buffer;
mod form;
mod key;
mod merge;
mod run;

pub use key::{Keyed, Keyer};

use super::concat::Concat;
use super::{Aggregate, Summary};
use crate::memory::batch_size;
use crate::run::{Running, Stage, Watcher};
use crate::{Result, Stop};
use buffer::Buffer;
use form::{Form, Piece};
use merge::Merge;
use run::Run;
use std::path::PathBuf;
use std::sync::Arc;

/// Runs that are merged at once where memory allows it: 64 buffers of 90 MiB are more than 5 GB, in one level.
const FAN_IN: usize = 64;

/// Pieces that an open run holds at most: the one that it is read from, and the one before until its rows are copied.
const HELD_PIECES: usize = 2;

/// How rows are shuffled. None of it changes a byte of the dataset.
#[derive(Clone, Debug)]
pub struct ShuffleOptions {
    /// Bytes of rows in memory past which they are sorted and spilled.
    pub buffer: usize,
    /// Bytes that the runs of a merge may hold together.
    pub merge: usize,
    /// Bytes of a piece of a run; a row that is larger is a piece of its own.
    pub piece: usize,
    /// Runs of a merge at most; two at least.
    pub fan_in: usize,
    /// The directory of spill files.
    pub scratch: PathBuf,
}

impl ShuffleOptions {
    /// Uses about `memory` bytes for rows of so many columns, with spill files in `scratch`.
    pub fn within(memory: usize, columns: usize, scratch: impl Into<PathBuf>) -> Self {
        // Every buffer of every column of a piece is padded and described, so that wide rows need larger pieces.
        let least = (64 << 10).max(columns << 10);
        let piece = (memory / (2 * HELD_PIECES * FAN_IN)).min(1 << 20).max(least);
        Self { buffer: memory / 2, merge: memory / 2, piece, fan_in: FAN_IN, scratch: scratch.into() }
    }
}

/// Writes one directory of files per part, each in the order of its rows' hashes.
pub struct Shuffle {
    concat: Concat,
    options: ShuffleOptions,
    stop: Stop,
    form: Arc<Form>,
    buffer: Buffer,
    runs: Vec<Run>,
    spilled_bytes: u64,
    peak_buffered: usize,
}

impl Shuffle {
    /// Shuffles what `concat` is to write; `stop` ends that early.
    pub fn new(concat: Concat, options: ShuffleOptions, stop: Stop) -> Self {
        let form = Arc::new(Form::new(concat.schema()));
        let (buffer, runs) = (Buffer::default(), Vec::new());
        Self { concat, options, stop, form, buffer, runs, spilled_bytes: 0, peak_buffered: 0 }
    }

    /// Sorts and spills what is in memory.
    fn spill(&mut self) -> Result<()> {
        let rows = std::mem::take(&mut self.buffer).sorted(Arc::clone(&self.form), self.options.piece);
        self.write_run(rows)?;
        // Each run keeps a file open, and a process may have a few hundred at the least.
        while self.runs.len() >= 2 * self.options.fan_in.max(2) {
            self.merge_smallest()?;
        }
        Ok(())
    }

    fn write_run(&mut self, rows: impl Iterator<Item = Result<Piece>>) -> Result<()> {
        let run = Run::write(&self.form, &self.options.scratch, rows, &self.stop)?;
        self.spilled_bytes += run.bytes;
        self.runs.push(run);
        Ok(())
    }

    /// Merges some of the smallest runs into one.
    fn merge_smallest(&mut self) -> Result<()> {
        let watcher = self.concat.watcher().clone();
        self.runs.sort_by_key(|run| run.bytes);
        // No more than it takes to have few enough in the end: each merge writes all of its rows again.
        let most = self.mergeable();
        let surplus = self.runs.len() - most + 1;
        let smallest: Vec<Run> = self.runs.drain(..most.min(surplus.max(2))).collect();
        self.peak_buffered = self.peak_buffered.max(held(&smallest));
        let _merging = Running::begin(&*watcher, &Stage::named("merge runs"), Some(rows(&smallest)));
        let merged = Merge::open(smallest, Arc::clone(&self.form), self.options.piece)?;
        self.write_run(merged.inspect(|piece| tell(&watcher, piece)))
    }

    /// How many of the first runs can be merged at once.
    fn mergeable(&self) -> usize {
        let most = self.options.fan_in.min(self.runs.len());
        let fits = |count: &usize| held(&self.runs[..*count]) <= self.options.merge;
        (2..=most).rev().find(fits).unwrap_or(2).min(self.runs.len())
    }

    /// Writes all rows, which come in their order, while `held` bytes are in memory.
    fn write(&mut self, rows: impl Iterator<Item = Result<Piece>>, held: usize) -> Result<()> {
        let watcher = self.concat.watcher().clone();
        let mut open = 0;
        for piece in rows {
            self.stop.check()?;
            tell(&watcher, &piece);
            for (part, rows) in piece?.into_parts() {
                // Memory of a part that has ended is free for the next one.
                if std::mem::replace(&mut open, part) != part {
                    self.concat.end_segment(&self.stop)?;
                }
                self.concat.append(part, rows)?;
            }
            self.peak_buffered = self.peak_buffered.max(held + self.concat.measure());
        }
        Ok(())
    }
}

/// Tells how far a merge has come.
fn tell(watcher: &Watcher, piece: &Result<Piece>) {
    if let Ok(piece) = piece {
        watcher.advance(piece.rows.num_rows() as u64);
        watcher.bytes(batch_size(&piece.rows) as u64);
    }
}

/// Rows of some runs.
fn rows(runs: &[Run]) -> u64 {
    runs.iter().map(|run| run.rows).sum()
}

/// Bytes that runs hold at most while they are merged.
fn held(runs: &[Run]) -> usize {
    runs.iter().map(|run| HELD_PIECES * run.largest).sum()
}

impl Aggregate for Shuffle {
    type Prepare = Keyer;

    fn preparation(&self) -> Keyer {
        Keyer::new(Arc::clone(self.concat.schema()), self.concat.parts())
    }

    fn push(&mut self, rows: Keyed) -> Result<()> {
        self.buffer.push(rows);
        self.peak_buffered = self.peak_buffered.max(self.buffer.bytes());
        if self.buffer.bytes() > self.options.buffer { self.spill() } else { Ok(()) }
    }

    fn spilled_bytes(&self) -> u64 {
        self.spilled_bytes
    }

    fn finish(mut self, stop: &Stop) -> Result<Summary> {
        let watcher = self.concat.watcher().clone();
        let merging = |rows| Running::begin(&*watcher, &Stage::named("merge"), Some(rows));
        if self.runs.is_empty() {
            let _merging = merging(self.buffer.rows());
            let held = self.buffer.bytes();
            let rows = std::mem::take(&mut self.buffer).sorted(Arc::clone(&self.form), self.options.piece);
            self.write(rows, held)?;
        } else {
            if !self.buffer.is_empty() {
                self.spill()?;
            }
            while self.mergeable() < self.runs.len() {
                self.merge_smallest()?;
            }
            let runs = std::mem::take(&mut self.runs);
            let _merging = merging(rows(&runs));
            let held = held(&runs);
            let rows = Merge::open(runs, Arc::clone(&self.form), self.options.piece)?;
            self.write(rows, held)?;
        }
        let (spilled_bytes, peak_buffered) = (self.spilled_bytes, self.peak_buffered);
        let mut summary = self.concat.finish(stop)?;
        summary.spilled_bytes += spilled_bytes;
        summary.peak_buffered = summary.peak_buffered.max(peak_buffered);
        Ok(summary)
    }
}
