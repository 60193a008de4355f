//! Training rows that stay in memory for later passes: from the source's first row on, as many as there is room for. They need not be read,
//! nor asked about by the split, again.

mod inputs;
#[cfg(test)]
mod tests;

pub(super) use inputs::Inputs;

use super::scan::Batch;
use super::table::Table;
use crate::Result;
use crate::copy_values::copy_values;
use crate::dictionary::{are_shared, words};
use crate::memory::{Pressure, Relief, column_size};
use crate::source::{Position, SourceBatch};
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch, StringArray, make_array};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a batch takes beside its rows, and each of its columns: schemas, names, arrays.
const BATCH_SIZE: usize = 1 << 10;
const COLUMN_SIZE: usize = 256;

/// What one pass leaves to the next.
#[derive(Debug)]
pub(super) struct Remembered {
    /// Bytes of it at most.
    most: usize,
    pressure: Pressure,
    /// The names of the columns that were remembered by earlier passes, and of those that this one is to remember.
    columns: BTreeSet<String>,
    next: BTreeSet<String>,
    batches: Arc<Mutex<Batches>>,
}

#[derive(Debug, Default)]
struct Batches {
    /// By their numbers, from the source's start on.
    by_number: BTreeMap<usize, Recalled>,
    /// How many the source has, where all of them are here.
    all: Option<usize>,
    /// Bytes of all of them, and of those that are to be added to them.
    bytes: usize,
    /// Whether no more are added: what is behind a gap is of no use.
    is_closed: bool,
    /// The words of the dictionary that a column had last, by its name: many batches share them.
    words: HashMap<String, StringArray>,
}

/// The training rows of a batch, before any step but the split.
#[derive(Clone, Debug)]
pub(super) struct Recalled {
    /// The rows.
    pub(super) table: Table,
    /// Where the batch begins.
    pub(super) position: Position,
    /// Rows of the batch, those that are not for training among them.
    pub(super) of: usize,
    /// Bytes of those columns of it that are remembered.
    pub(super) of_bytes: usize,
    bytes: usize,
}

/// A batch as a pass gets it.
#[derive(Debug)]
pub(super) enum Input {
    /// Read from the source; with it, where it is to be remembered, what [`Remembered::keep`] asks for.
    Read(SourceBatch, Option<Admitted>),
    /// Remembered.
    Recalled(Recalled),
}

/// A place for a batch among those that are remembered.
#[derive(Debug)]
pub(super) struct Admitted {
    number: usize,
    rows: usize,
    bytes: usize,
}

impl Batch for Input {
    fn bytes(&self) -> usize {
        match self {
            Self::Read(batch, _) => batch.bytes(),
            Self::Recalled(recalled) => recalled.bytes,
        }
    }
}

impl Remembered {
    /// Nothing yet, and never more than so many bytes; what is there is let go of where the memory is wanted.
    pub(super) fn new(most: usize, pressure: Pressure) -> Self {
        let ((columns, next), batches) = (Default::default(), Arc::default());
        pressure.relieve_by(&batches);
        Self { most, pressure, columns, next, batches }
    }

    /// Begins a pass in which steps look at the columns `wanted`. What is read is remembered with the columns `next`, at which those of later
    /// passes look; nothing is where there are none. Whether the pass begins with what is remembered.
    pub(super) fn begin_pass(&mut self, wanted: &BTreeSet<String>, next: BTreeSet<String>) -> bool {
        let mut batches = self.lock();
        let is_of_use = wanted.is_subset(&self.columns);
        if !is_of_use {
            *batches = Batches::default();
        }
        // What was remembered stays only where it is enough for later passes as well.
        let next = if !is_of_use || next.is_subset(&self.columns) { next } else { BTreeSet::new() };
        batches.is_closed = next.is_empty();
        let recalls = !batches.by_number.is_empty();
        drop(batches);
        self.next = next;
        recalls
    }

    /// Ends the pass: what later ones do not look at is let go of.
    ///
    /// # Errors
    /// Where rows cannot be put together.
    pub(super) fn end_pass(&mut self) -> Result<()> {
        self.columns = std::mem::take(&mut self.next);
        let mut batches = self.lock();
        let Batches { by_number, all, .. } = std::mem::take(&mut *batches);
        if self.columns.is_empty() {
            return Ok(());
        }
        for (number, (own, recalled)) in by_number.into_iter().enumerate() {
            if own != number {
                break;
            }
            let table = recalled.table.only(&self.columns, Clone::clone)?;
            batches.insert(number, Recalled { table, ..recalled });
        }
        batches.all = all.filter(|all| *all == batches.by_number.len());
        Ok(())
    }

    /// Remembers the training rows of a batch that was admitted, before any step but the split.
    ///
    /// # Errors
    /// Where rows cannot be put together.
    pub(super) fn keep(&self, admitted: Admitted, table: &Table, position: &Position) -> Result<()> {
        let Admitted { number, rows: of, bytes: of_bytes } = admitted;
        let table = table.only(&self.next, alone)?;
        let mut batches = self.lock();
        batches.bytes -= of_bytes;
        batches.insert(number, Recalled { table, position: position.clone(), of, of_bytes, bytes: 0 });
        Ok(())
    }

    /// Whether the batch of this number, the one behind all others, is to be remembered.
    fn admit(&self, number: usize, batch: &RecordBatch) -> Option<Admitted> {
        let mut batches = self.lock();
        if batches.is_closed {
            return None;
        }
        let columns = batch.schema_ref().fields().iter().zip(batch.columns());
        let next = columns.filter(|(field, _)| self.next.contains(field.name()));
        let bytes = next.map(|(_, column)| column_size(column.as_ref())).sum();
        if batches.bytes + bytes > self.most || !self.pressure.has_room() {
            batches.is_closed = true;
            return None;
        }
        batches.bytes += bytes;
        Some(Admitted { number, rows: batch.num_rows(), bytes })
    }

    /// Notes that the source has so many batches.
    fn end(&self, number: usize) {
        let mut batches = self.lock();
        batches.all = (!batches.is_closed).then_some(number);
    }

    /// The batch of this number, where it is remembered; nothing in it where the source has no more.
    fn recall(&self, number: usize) -> Option<Option<Recalled>> {
        let batches = self.lock();
        match batches.by_number.get(&number) {
            Some(recalled) => Some(Some(recalled.clone())),
            None => (batches.all == Some(number)).then_some(None),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Batches> {
        self.batches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Relief for Mutex<Batches> {
    /// Of the last half.
    fn relieve(&self) -> bool {
        let mut batches = self.lock().unwrap_or_else(PoisonError::into_inner);
        (batches.is_closed, batches.all) = (true, None);
        let half = batches.by_number.len() / 2;
        let Some(middle) = batches.by_number.keys().nth(half).copied() else { return false };
        let last = batches.by_number.split_off(&middle);
        batches.bytes -= last.values().map(|recalled| recalled.bytes).sum::<usize>();
        batches.words.clear();
        drop(batches);
        drop(last);
        true
    }
}

impl Batches {
    fn insert(&mut self, number: usize, mut recalled: Recalled) {
        recalled.bytes = self.size(&recalled);
        self.bytes += recalled.bytes;
        self.by_number.insert(number, recalled);
    }

    /// Bytes of a batch, without words that were counted with those before it.
    fn size(&mut self, recalled: &Recalled) -> usize {
        let rows = recalled.table.source();
        let columns = rows.schema_ref().fields().iter().zip(rows.columns());
        let columns = columns.map(|(field, column)| {
            let size = COLUMN_SIZE + column_size(column.as_ref());
            let Some(words) = words(column.as_ref()) else { return size };
            match self.words.insert(field.name().clone(), words.clone()) {
                Some(last) if are_shared(&last, words) => size.saturating_sub(column_size(words)),
                _ => size,
            }
        });
        let origins = recalled.position.rows.as_ref().map_or(0, |rows| size_of_val(&**rows));
        // A bit for each row of the batch, and the part of each that is left.
        BATCH_SIZE + recalled.of / 8 + rows.num_rows() + origins + columns.sum::<usize>()
    }
}

/// A column in memory of its own, where it is a small part of what it lies in, such as a message with many columns.
fn alone(column: &ArrayRef) -> ArrayRef {
    let size = column_size(column.as_ref());
    if column.get_buffer_memory_size() <= 2 * size + COLUMN_SIZE || column.as_any_dictionary_opt().is_some() {
        return column.clone();
    }
    // What cannot be copied stays where it is.
    copy_values(&[column.to_data()]).map_or_else(|_| column.clone(), make_array)
}
