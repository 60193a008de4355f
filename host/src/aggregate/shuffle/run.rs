//! A sorted run on disk.

use super::super::spill::{Spill, SpillReader, Spilled};
use super::form::{Form, Piece};
use crate::memory::batch_size;
use crate::{Result, Stop};
use std::path::Path;

/// Rows on disk, in the order of their keys.
pub(super) struct Run {
    /// How many there are.
    pub(super) rows: u64,
    /// What they take.
    pub(super) bytes: u64,
    /// Bytes in memory of the largest piece.
    pub(super) largest: usize,
    spilled: Spilled,
}

impl Run {
    /// Writes sorted rows to a new file in `scratch`.
    pub(super) fn write(
        form: &Form,
        scratch: &Path,
        rows: impl Iterator<Item = Result<Piece>>,
        stop: &Stop,
    ) -> Result<Self> {
        let mut spill = Spill::create(scratch, form.stored())?;
        let mut largest = 0;
        for piece in rows {
            stop.check()?;
            let stored = form.store(piece?)?;
            largest = largest.max(batch_size(&stored));
            spill.append(&stored)?;
        }
        let rows = spill.rows();
        let spilled = spill.end()?;
        Ok(Self { rows, bytes: spilled.bytes, largest, spilled })
    }

    /// Reads the rows once; the disk is free afterwards.
    pub(super) fn open(self) -> Result<SpillReader> {
        self.spilled.read()
    }
}
