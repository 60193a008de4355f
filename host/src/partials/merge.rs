//! Merges sorted runs into one, a batch at a time.

use super::PartialTable;
use super::cut::{Bounds, weights};
use super::keys::{KeyCodec, prefix};
use super::reduce::{OutOfRange, Reduced, reduce};
use super::run::{Run, RunReader};
use crate::Result;
use crate::tournament::Tournament;
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_row::Rows;
use arrow_select::interleave::interleave;
use std::sync::Arc;

/// The merged batches of some runs: ascending keys, each once. Where the batches are cut means nothing.
pub(super) struct Merge {
    table: Arc<PartialTable>,
    codec: Arc<KeyCodec>,
    cursors: Vec<Cursor>,
    tournament: Tournament,
    /// What the cursors stand in, and what they left since the last batch was made.
    batches: Vec<RecordBatch>,
    /// What a batch may come to.
    piece: Bounds,
    out_of_range: OutOfRange,
}

/// The next row of a run.
struct Cursor {
    reader: RunReader,
    /// Position of its batch in `Merge::batches`.
    batch: usize,
    row: usize,
    /// Bytes of its batch's rows.
    weights: Vec<u64>,
    /// None at the run's end.
    keys: Option<Rows>,
    prefix: u128,
}

impl Cursor {
    fn key(&self) -> Option<&[u8]> {
        self.keys.as_ref().map(|keys| keys.row(self.row).data())
    }

    fn less(&self, other: &Self) -> bool {
        match (&self.keys, &other.keys) {
            (Some(keys), Some(others)) => {
                let by_prefix = self.prefix.cmp(&other.prefix);
                by_prefix.then_with(|| keys.row(self.row).cmp(&others.row(other.row))).is_lt()
            }
            (keys, _) => keys.is_some(),
        }
    }

    /// Goes to the next row.
    fn step(&mut self, table: &PartialTable, codec: &KeyCodec, batches: &mut Vec<RecordBatch>) -> Result<()> {
        self.row += 1;
        if self.keys.as_ref().is_none_or(|keys| self.row >= keys.num_rows()) {
            self.load(table, codec, batches)?;
        }
        self.prefix = self.key().map_or(u128::MAX, prefix);
        Ok(())
    }

    /// Goes to the start of the next batch that has rows.
    fn load(&mut self, table: &PartialTable, codec: &KeyCodec, batches: &mut Vec<RecordBatch>) -> Result<()> {
        self.keys = None;
        self.row = 0;
        for batch in self.reader.by_ref() {
            let batch = batch?;
            if batch.num_rows() > 0 {
                self.weights = weights(table, &batch);
                self.keys = Some(codec.encode(batch.columns(), batch.num_rows())?);
                self.batch = batches.len();
                batches.push(batch);
                break;
            }
        }
        Ok(())
    }
}

impl Merge {
    /// Opens the runs, for batches that come to such pieces before equal keys are combined.
    pub(super) fn new(
        table: Arc<PartialTable>,
        codec: Arc<KeyCodec>,
        runs: Vec<Run>,
        piece: Bounds,
        out_of_range: OutOfRange,
    ) -> Result<Self> {
        let mut batches = Vec::new();
        let mut cursors = Vec::with_capacity(runs.len());
        for run in runs {
            let mut cursor =
                Cursor { reader: run.open()?, batch: 0, row: 0, weights: Vec::new(), keys: None, prefix: 0 };
            cursor.step(&table, &codec, &mut batches)?;
            cursors.push(cursor);
        }
        let tournament = Tournament::new(cursors.len(), |a, b| cursors[a].less(&cursors[b]));
        Ok(Self { table, codec, cursors, tournament, batches, piece, out_of_range })
    }

    fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        let mut rows: Vec<(usize, usize)> = Vec::new();
        let mut starts: Vec<u32> = Vec::new();
        let mut bytes = 0;
        // Of the rows of the last key, and from how many on they are combined before all of them are here.
        let (mut of_key, mut most) = (0, self.piece.bytes);
        let (mut last_prefix, mut last_key) = (0, Vec::new());
        while let Some(cursor) = self.cursors.get_mut(self.tournament.winner()) {
            let Some(key) = cursor.key() else { break };
            if starts.is_empty() || cursor.prefix != last_prefix || key != last_key {
                if rows.len() >= self.piece.rows || bytes >= self.piece.bytes {
                    break;
                }
                starts.push(rows.len() as u32);
                (of_key, most) = (0, self.piece.bytes);
                last_prefix = cursor.prefix;
                last_key.clear();
                last_key.extend_from_slice(key);
            }
            rows.push((cursor.batch, cursor.row));
            let weight = cursor.weights.get(cursor.row).copied().unwrap_or_default();
            (bytes, of_key) = (bytes + weight, of_key + weight);
            cursor.step(&self.table, &self.codec, &mut self.batches)?;
            self.tournament.replay(|a, b| self.cursors[a].less(&self.cursors[b]));
            let start = starts.last().map_or(0, |start| *start as usize);
            if of_key >= most && rows.len() > start + 1 {
                of_key = self.fold(&mut rows, start)?;
                // Rows whose sums are out of range stay apart, and are not to be looked at again for each that comes.
                most = self.piece.bytes.max(of_key.saturating_mul(2));
            }
        }
        if rows.is_empty() {
            return Ok(None);
        }
        let batch = self.gather(&rows, &starts, self.out_of_range)?;
        self.forget();
        Ok(Some(batch))
    }

    /// Combines the chosen rows from `start` on, which have one key, as far as they can be, and lets go of what they stood in. Gives
    /// their bytes.
    fn fold(&mut self, rows: &mut Vec<(usize, usize)>, start: usize) -> Result<u64> {
        let folded = self.gather(&rows[start..], &[0], OutOfRange::Keep)?;
        let bytes = weights(&self.table, &folded).iter().sum();
        rows.truncate(start);
        let mut kept = Vec::with_capacity(self.cursors.len());
        let cursors = self.cursors.iter_mut().filter(|cursor| cursor.keys.is_some()).map(|cursor| &mut cursor.batch);
        let mut places = vec![None; self.batches.len()];
        for batch in cursors.chain(rows.iter_mut().map(|(batch, _)| batch)) {
            *batch = *places[*batch].get_or_insert_with(|| {
                kept.push(self.batches[*batch].clone());
                kept.len() - 1
            });
        }
        rows.extend((0..folded.num_rows()).map(|row| (kept.len(), row)));
        kept.push(folded);
        self.batches = kept;
        Ok(bytes)
    }

    /// The chosen rows as one batch, with the values of each group combined.
    fn gather(&self, rows: &[(usize, usize)], starts: &[u32], out_of_range: OutOfRange) -> Result<RecordBatch> {
        let column = |position: usize, rows: &[(usize, usize)]| -> Result<ArrayRef> {
            let arrays: Vec<&dyn Array> = self.batches.iter().map(|batch| batch.column(position).as_ref()).collect();
            interleave(&arrays, rows).map_err(|error| self.table.broken(error))
        };
        let values = self.table.values().map(|(position, ..)| column(position, rows)).collect::<Result<Vec<_>>>()?;
        let reduced = match starts.len() == rows.len() {
            true => Reduced { starts: starts.into(), values },
            false => reduce(&self.table, &values, starts, out_of_range)?,
        };
        let firsts: Vec<_> = reduced.starts.iter().map(|start| rows[*start as usize]).collect();
        let mut columns = (0..self.table.keys()).map(|at| column(at, &firsts)).collect::<Result<Vec<_>>>()?;
        columns.extend(reduced.values);
        self.table.batch(columns, firsts.len())
    }

    /// Drops the batches that no cursor stands in.
    fn forget(&mut self) {
        let mut kept = Vec::with_capacity(self.cursors.len());
        for cursor in self.cursors.iter_mut().filter(|cursor| cursor.keys.is_some()) {
            kept.push(self.batches[cursor.batch].clone());
            cursor.batch = kept.len() - 1;
        }
        self.batches = kept;
    }
}

impl Iterator for Merge {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_batch().transpose()
    }
}
