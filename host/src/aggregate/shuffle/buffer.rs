//! Rows in memory, to be sorted.

use super::super::chunk::CHUNK_ROWS;
use super::form::{Form, Piece};
use super::key::Keyed;
use crate::Result;
use crate::memory::batch_size;
use arrow_array::RecordBatch;
use std::sync::Arc;

/// What a column takes beside its values: small batches are made of little else.
const COLUMN_BYTES: usize = 256;

/// Rows that wait in whatever order they came.
#[derive(Default)]
pub(super) struct Buffer {
    batches: Vec<RecordBatch>,
    entries: Vec<Entry>,
    /// Bytes of `batches`.
    bytes: usize,
}

/// A row.
#[derive(Clone, Copy)]
struct Entry {
    key: u128,
    batch: u32,
    row: u32,
    weight: u32,
}

impl Buffer {
    /// Takes the rows of a batch.
    pub(super) fn push(&mut self, Keyed { rows, keys, weights }: Keyed) {
        if rows.num_rows() == 0 {
            return;
        }
        let batch = self.batches.len() as u32;
        let numbered = (0..).zip(keys).zip(weights);
        self.entries.extend(numbered.map(|((row, key), weight)| Entry { key, batch, row, weight }));
        self.bytes += batch_size(&rows) + COLUMN_BYTES * rows.num_columns();
        self.batches.push(rows);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// How many rows wait.
    pub(super) fn rows(&self) -> u64 {
        self.entries.len() as u64
    }

    /// Bytes in memory.
    pub(super) fn bytes(&self) -> usize {
        self.bytes + self.entries.len() * size_of::<Entry>()
    }

    /// The rows in the order of their keys, in pieces of about `piece` bytes.
    pub(super) fn sorted(mut self, form: Arc<Form>, piece: usize) -> Sorted {
        self.entries.sort_unstable_by_key(|entry| entry.key);
        Sorted { buffer: self, next: 0, form, piece }
    }
}

/// Says when a piece has enough rows.
#[derive(Default)]
pub(super) struct Fill {
    rows: usize,
    bytes: usize,
}

impl Fill {
    /// Counts a row.
    pub(super) fn add(&mut self, weight: u32) {
        self.rows += 1;
        self.bytes += weight as usize;
    }

    /// Whether a further row of this weight would be too much, for a piece of about so many bytes.
    pub(super) fn refuses(&self, weight: u32, most: usize) -> bool {
        self.rows == CHUNK_ROWS || (self.rows > 0 && self.bytes + weight as usize > most)
    }
}

/// The rows of a buffer in the order of their keys.
pub(super) struct Sorted {
    buffer: Buffer,
    next: usize,
    form: Arc<Form>,
    piece: usize,
}

impl Iterator for Sorted {
    type Item = Result<Piece>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut fill = Fill::default();
        let rest = &self.buffer.entries[self.next..];
        let fits = rest.iter().take_while(|entry| {
            let fits = !fill.refuses(entry.weight, self.piece);
            fill.add(entry.weight);
            fits
        });
        let entries = &rest[..fits.count()];
        if entries.is_empty() {
            return None;
        }
        self.next += entries.len();
        let chosen: Vec<_> = entries.iter().map(|entry| (entry.batch as usize, entry.row as usize)).collect();
        let keys = entries.iter().map(|entry| entry.key).collect();
        Some(self.form.gather(&self.buffer.batches, &chosen).map(|rows| Piece { keys, rows }))
    }
}
