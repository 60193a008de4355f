//! Training rows that stay in memory for later passes: from the source's first row on, as many as there is room for. They need not be read,
//! nor asked about by the split, again.

use super::scan::Batch;
use super::table::Table;
use crate::Result;
use crate::memory::{Pressure, column_size};
use crate::source::{Cut, Position, SourceBatch};
use arrow_array::cast::AsArray;
use arrow_array::{Array, RecordBatch};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What one pass leaves to the next.
#[derive(Debug)]
pub(super) struct Remembered {
    /// Bytes of it at most.
    most: usize,
    pressure: Pressure,
    /// The names of the columns that were remembered by earlier passes, and of those that this one is to remember.
    columns: BTreeSet<String>,
    next: BTreeSet<String>,
    batches: Mutex<Batches>,
}

#[derive(Debug, Default)]
struct Batches {
    /// By their numbers, from the source's start on.
    by_number: BTreeMap<usize, Recalled>,
    /// Bytes of all of them, and of those that are to be added to them.
    bytes: usize,
    /// Whether no more are added: what is behind a gap is of no use.
    is_closed: bool,
    /// Where the words lie that a column had last, by its name: many batches share them.
    words: HashMap<String, usize>,
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
    /// Nothing yet, and never more than so many bytes.
    pub(super) fn new(most: usize, pressure: Pressure) -> Self {
        let (columns, next) = Default::default();
        Self { most, pressure, columns, next, batches: Mutex::default() }
    }

    /// Begins a pass in which steps look at the columns `wanted`. What is read is remembered with the columns `next`, at which those of later
    /// passes look; nothing is where there are none.
    pub(super) fn begin_pass(&mut self, wanted: &BTreeSet<String>, next: BTreeSet<String>) {
        let batches = self.batches.get_mut().unwrap_or_else(PoisonError::into_inner);
        let is_of_use = wanted.is_subset(&self.columns);
        if !is_of_use {
            *batches = Batches::default();
        }
        // What was remembered stays only where it is enough for later passes as well.
        self.next = if !is_of_use || next.is_subset(&self.columns) { next } else { BTreeSet::new() };
        batches.is_closed = self.next.is_empty();
    }

    /// Ends the pass: what later ones do not look at is let go of, and all of it where memory is short.
    ///
    /// # Errors
    /// Where rows cannot be put together.
    pub(super) fn end_pass(&mut self) -> Result<()> {
        let batches = self.batches.get_mut().unwrap_or_else(PoisonError::into_inner);
        self.columns = std::mem::take(&mut self.next);
        let kept = std::mem::take(batches);
        if self.columns.is_empty() || !self.pressure.has_room() {
            return Ok(());
        }
        for (number, (own, recalled)) in kept.by_number.into_iter().enumerate() {
            if own != number {
                break;
            }
            batches.insert(number, recalled.only(&self.columns)?);
        }
        Ok(())
    }

    /// Remembers the training rows of a batch that was admitted, before any step but the split.
    ///
    /// # Errors
    /// Where rows cannot be put together.
    pub(super) fn keep(&self, admitted: Admitted, table: &Table, position: &Position, of: usize) -> Result<()> {
        let table = table.only(&self.next)?;
        let recalled = Recalled { table, position: position.clone(), of, bytes: 0 };
        let mut batches = self.lock();
        batches.bytes -= admitted.bytes;
        batches.insert(admitted.number, recalled);
        Ok(())
    }

    /// Whether the batch of this number, the one behind all others, is to be remembered. It takes so many bytes at most.
    fn admit(&self, number: usize, bytes: usize) -> Option<Admitted> {
        let mut batches = self.lock();
        if batches.is_closed || batches.bytes + bytes > self.most || !self.pressure.has_room() {
            batches.is_closed = true;
            return None;
        }
        batches.bytes += bytes;
        Some(Admitted { number, bytes })
    }

    fn recall(&self, number: usize) -> Option<Recalled> {
        self.lock().by_number.get(&number).cloned()
    }

    /// Lets go of the last half where memory is wanted for something else.
    fn relieve(&self) {
        if self.pressure.is_rising() {
            let mut batches = self.lock();
            batches.is_closed = true;
            let half = batches.by_number.len() / 2;
            let Some(middle) = batches.by_number.keys().nth(half).copied() else { return };
            let last = batches.by_number.split_off(&middle);
            drop(batches);
            drop(last);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Batches> {
        self.batches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Batches {
    fn insert(&mut self, number: usize, mut recalled: Recalled) {
        recalled.bytes = self.size(recalled.table.source());
        self.bytes += recalled.bytes;
        self.by_number.insert(number, recalled);
    }

    /// Bytes of rows, without words that were counted with those before them.
    fn size(&mut self, rows: &RecordBatch) -> usize {
        let columns = rows.schema_ref().fields().iter().zip(rows.columns());
        let sizes = columns.map(|(field, column)| {
            let Some(words) = shared_words(column.as_ref()) else { return column_size(column.as_ref()) };
            let whole = column_size(column.as_ref());
            match self.words.insert(field.name().clone(), words) == Some(words) {
                true => whole.saturating_sub(column_size(column.as_any_dictionary().values().as_ref())),
                false => whole,
            }
        });
        sizes.sum()
    }
}

/// Where the words of a column lie that are behind a dictionary.
fn shared_words(column: &dyn Array) -> Option<usize> {
    let words = column.as_any_dictionary_opt()?.values().as_string_opt::<i32>()?;
    Some(words.values().as_ptr().addr())
}

impl Recalled {
    /// Bytes of all rows of the batch, as its training rows have them.
    pub(super) fn bytes_of_all(&self) -> u64 {
        let (bytes, rows) = (self.bytes as u128, self.table.rows().max(1) as u128);
        u64::try_from(bytes * self.of as u128 / rows).unwrap_or(u64::MAX)
    }

    /// With some of its columns.
    fn only(self, columns: &BTreeSet<String>) -> Result<Self> {
        Ok(Self { table: self.table.only(columns)?, ..self })
    }
}

/// The batches of a pass: those that are remembered, and behind them those that are read.
pub(super) struct Inputs<'a, R> {
    remembered: &'a Remembered,
    /// Reads the source from a row on.
    read: R,
    /// Once it is read.
    batches: Option<Cut<'a>>,
    /// Batches so far, and their rows.
    number: usize,
    rows: u64,
}

impl<'a, R: FnMut(u64) -> Result<Cut<'a>>> Inputs<'a, R> {
    /// With what `read` reads of the source from a row on, whose training rows are remembered.
    pub(super) fn new(remembered: &'a Remembered, read: R) -> Self {
        Self { remembered, read, batches: None, number: 0, rows: 0 }
    }

    fn next_input(&mut self) -> Result<Option<Input>> {
        self.remembered.relieve();
        let batches = match &mut self.batches {
            Some(batches) => batches,
            None => {
                if let Some(recalled) = self.remembered.recall(self.number) {
                    self.number += 1;
                    self.rows += recalled.of as u64;
                    return Ok(Some(Input::Recalled(recalled)));
                }
                self.batches.insert((self.read)(self.rows)?)
            }
        };
        let Some(batch) = batches.next().transpose()? else { return Ok(None) };
        let admitted = self.remembered.admit(self.number, batch.bytes());
        self.number += 1;
        Ok(Some(Input::Read(batch, admitted)))
    }
}

impl<'a, R: FnMut(u64) -> Result<Cut<'a>>> Iterator for Inputs<'a, R> {
    type Item = Result<Input>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_input().transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use arrow_array::types::{Int32Type, Int64Type};
    use arrow_array::{ArrayRef, DictionaryArray, Int32Array, Int64Array, StringArray};
    use arrow_buffer::BooleanBuffer;
    use std::sync::Arc;

    /// Rows of the source, and of a batch.
    const ROWS: u64 = 95;
    const BATCH: u64 = 10;

    /// The source's batches from a row on: numbers, the same once more, and words that all of them share.
    fn read(words: &ArrayRef, start: u64) -> Cut<'static> {
        let words = words.clone();
        let starts = (start..ROWS).step_by(BATCH as usize);
        Cut::new(Box::new(starts.map(move |start| {
            let rows = start as i64..(start + BATCH).min(ROWS) as i64;
            let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(rows.clone()));
            let keys = Int32Array::from_iter_values(rows.map(|row| row as i32 % 2));
            let words: ArrayRef = Arc::new(DictionaryArray::<Int32Type>::new(keys, words.clone()));
            let batch = RecordBatch::try_from_iter([("n", numbers.clone()), ("again", numbers), ("word", words)]);
            Ok(SourceBatch { position: Position::new(0, "".into(), start), batch: batch.unwrap() })
        })))
    }

    fn words() -> ArrayRef {
        Arc::new(StringArray::from(vec!["x".repeat(1_000), "y".to_owned()]))
    }

    fn columns(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn numbers(table: &Table) -> Vec<i64> {
        table.source().column_by_name("n").unwrap().as_primitive::<Int64Type>().values().to_vec()
    }

    /// A pass that trains on the rows that are no multiple of three: the numbers that it saw, and how many batches were read for that.
    fn pass(remembered: &mut Remembered, wanted: &[&str], next: &[&str]) -> (Vec<i64>, usize) {
        remembered.begin_pass(&columns(wanted), columns(next));
        let (mut seen, mut read_batches, words) = (Vec::new(), 0, words());
        for input in Inputs::new(remembered, |start| Ok(read(&words, start))) {
            let table = match input.unwrap() {
                Input::Recalled(recalled) => recalled.table,
                Input::Read(batch, admitted) => {
                    read_batches += 1;
                    let rows = batch.batch.num_rows();
                    let mut table = Table::new(batch.batch, 5);
                    let start = batch.position.start;
                    let bits = (start..start + rows as u64).map(|row| row % 3 != 0).collect::<BooleanBuffer>();
                    table.keep_as_training(bits).unwrap();
                    if let Some(admitted) = admitted {
                        remembered.keep(admitted, &table, &batch.position, rows).unwrap();
                    }
                    table
                }
            };
            seen.extend(numbers(&table));
        }
        remembered.end_pass().unwrap();
        (seen, read_batches)
    }

    fn all() -> Vec<i64> {
        (0..ROWS as i64).filter(|row| row % 3 != 0).collect()
    }

    #[test]
    fn rows_come_once_whether_they_are_remembered_or_read() {
        for most in [0, 1_300, 2_400, 1 << 20] {
            let mut remembered = Remembered::new(most, Pressure::default());
            let names = ["n", "word"];
            assert_eq!(pass(&mut remembered, &["n", "again", "word"], &names), (all(), 10));
            let (seen, read) = pass(&mut remembered, &names, &["n"]);
            assert_eq!(seen, all());
            match most {
                0 => assert_eq!(read, 10),
                1_300 | 2_400 => assert!((1..10).contains(&read), "{read} of {most}"),
                _ => assert_eq!(read, 0),
            }
            // Without words there is room for more.
            assert_eq!(pass(&mut remembered, &["n"], &["n"]).0, all());
            let (seen, again) = pass(&mut remembered, &["n"], &[]);
            assert!(seen == all() && (again < read || read == 0 || most == 0), "{again} of {most}");
            // Nothing was wanted any more.
            assert_eq!(pass(&mut remembered, &["n"], &[]), (all(), 10));
        }
    }

    #[test]
    fn what_lacks_a_column_is_read_again() {
        let mut remembered = Remembered::new(1 << 20, Pressure::default());
        pass(&mut remembered, &["n", "again"], &["n"]);
        assert_eq!(pass(&mut remembered, &["n", "again"], &["n", "again"]), (all(), 10));
        assert_eq!(pass(&mut remembered, &["n"], &["n", "word"]), (all(), 0));
        assert_eq!(pass(&mut remembered, &["n"], &["n"]), (all(), 10));
    }

    #[test]
    fn behind_a_batch_that_was_not_kept_all_are_read() {
        let mut remembered = Remembered::new(1 << 20, Pressure::default());
        remembered.begin_pass(&columns(&["n"]), columns(&["n"]));
        let words = words();
        for input in Inputs::new(&remembered, |start| Ok(read(&words, start))).map(Result::unwrap).collect::<Vec<_>>() {
            let Input::Read(batch, Some(admitted)) = input else { panic!("nothing is remembered yet") };
            if batch.position.start != 30 {
                let rows = batch.batch.num_rows();
                remembered.keep(admitted, &Table::new(batch.batch, 5), &batch.position, rows).unwrap();
            }
        }
        remembered.end_pass().unwrap();
        remembered.begin_pass(&columns(&["n"]), columns(&["n"]));
        let inputs = Inputs::new(&remembered, |start| Ok(read(&words, start)));
        let recalled = inputs.map(|input| matches!(input.unwrap(), Input::Recalled(_))).collect::<Vec<_>>();
        assert_eq!(recalled, [[true; 3].as_slice(), &[false; 7]].concat());
    }

    #[test]
    fn where_memory_is_short_nothing_stays() {
        let pressure = Pressure::of(1, |_| {});
        while !pressure.is_rising() {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        let mut remembered = Remembered::new(1 << 20, pressure.clone());
        assert_eq!(pass(&mut remembered, &["n"], &["n"]), (all(), 10));
        // What was remembered before it became short is let go of while it is in use.
        let mut remembered = Remembered::new(1 << 20, Pressure::default());
        pass(&mut remembered, &["n"], &["n"]);
        remembered.pressure = pressure;
        let (seen, read) = pass(&mut remembered, &["n"], &["n"]);
        assert!(seen == all() && read > 0, "{read}");
        assert_eq!(pass(&mut remembered, &["n"], &["n"]), (all(), 10));
    }

    #[test]
    fn words_that_batches_share_count_once_and_rows_know_where_they_stood() {
        let mut remembered = Remembered::new(1 << 20, Pressure::default());
        pass(&mut remembered, &["n", "word"], &["n", "word"]);
        let batches = remembered.lock();
        assert!((1_000..2_000 + 12 * ROWS as usize).contains(&batches.bytes), "{}", batches.bytes);
        let Recalled { table, position, of, .. } = &batches.by_number[&2];
        assert_eq!((numbers(table), position.start, *of), (vec![20, 22, 23, 25, 26, 28, 29], 20, 10));
        assert_eq!(position.place(table.place(Error::plugin("x").rows([2]))).place().rows, [23]);
    }
}
