//! Training rows that stay in memory for later passes: from the source's first row on, as many as there is room for. They need not be read,
//! nor asked about by the split, again.

use super::scan::Batch;
use super::table::Table;
use crate::Result;
use crate::memory::{Pressure, Relief, column_size};
use crate::source::{Cut, Position, SourceBatch};
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch, StringArray, make_array};
use arrow_data::transform::MutableArrayData;
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
        let columns = batch.schema_ref().fields().iter().zip(batch.columns());
        let next = columns.filter(|(field, _)| self.next.contains(field.name()));
        let bytes = next.map(|(_, column)| column_size(column.as_ref())).sum();
        let mut batches = self.lock();
        if batches.is_closed || batches.bytes + bytes > self.most || !self.pressure.has_room() {
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
                Some(last) if last.offsets().ptr_eq(words.offsets()) => size.saturating_sub(column_size(words)),
                _ => size,
            }
        });
        let origins = recalled.position.rows.as_ref().map_or(0, |rows| size_of_val(&**rows));
        // A bit for each row of the batch, and the part of each that is left.
        BATCH_SIZE + recalled.of / 8 + rows.num_rows() + origins + columns.sum::<usize>()
    }
}

/// The words of a column that are behind a dictionary.
fn words(column: &dyn Array) -> Option<&StringArray> {
    column.as_any_dictionary_opt()?.values().as_string_opt()
}

/// A column in memory of its own, where it is a small part of what it lies in, such as a message with many columns.
fn alone(column: &ArrayRef) -> ArrayRef {
    let size = column_size(column.as_ref());
    if column.get_buffer_memory_size() <= 2 * size + COLUMN_SIZE || column.as_any_dictionary_opt().is_some() {
        return column.clone();
    }
    let data = column.to_data();
    let copy = MutableArrayData::try_new(vec![&data], false, data.len()).and_then(|mut copy| {
        copy.try_extend(0, 0, data.len())?;
        Ok(make_array(copy.freeze()))
    });
    // What cannot be copied stays where it is.
    copy.unwrap_or_else(|_| column.clone())
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
        let batches = match &mut self.batches {
            Some(batches) => batches,
            None => match self.remembered.recall(self.number) {
                Some(None) => return Ok(None),
                Some(Some(recalled)) => {
                    self.number += 1;
                    self.rows += recalled.of as u64;
                    return Ok(Some(Input::Recalled(recalled)));
                }
                None => self.batches.insert((self.read)(self.rows)?),
            },
        };
        let Some(batch) = batches.next().transpose()? else {
            self.remembered.end(self.number);
            return Ok(None);
        };
        let admitted = self.remembered.admit(self.number, &batch.batch);
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
                    let (start, rows) = (batch.position.start, batch.batch.num_rows() as u64);
                    let mut table = Table::new(batch.batch, 5);
                    let bits = (start..start + rows).map(|row| row % 3 != 0).collect::<BooleanBuffer>();
                    table.keep_as_training(bits).unwrap();
                    if let Some(admitted) = admitted {
                        remembered.keep(admitted, &table, &batch.position).unwrap();
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
        for most in [0, 3_000, 8_000, 1 << 20] {
            let mut remembered = Remembered::new(most, Pressure::default());
            let names = ["n", "word"];
            assert_eq!(pass(&mut remembered, &["n", "again", "word"], &names), (all(), 10));
            let (seen, read) = pass(&mut remembered, &names, &["n"]);
            assert_eq!(seen, all());
            match most {
                0 => assert_eq!(read, 10),
                3_000 | 8_000 => assert!((1..10).contains(&read), "{read} of {most}"),
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
                remembered.keep(admitted, &Table::new(batch.batch, 5), &batch.position).unwrap();
            }
        }
        remembered.end_pass().unwrap();
        remembered.begin_pass(&columns(&["n"]), columns(&["n"]));
        let inputs = Inputs::new(&remembered, |start| Ok(read(&words, start)));
        let recalled = inputs.map(|input| matches!(input.unwrap(), Input::Recalled(_))).collect::<Vec<_>>();
        assert_eq!(recalled, [[true; 3].as_slice(), &[false; 7]].concat());
    }

    #[test]
    fn where_memory_is_short_nothing_is_remembered() {
        let mut remembered = Remembered::new(1 << 20, Pressure::of(1, |_| {}));
        pass(&mut remembered, &["n"], &["n"]);
        assert_eq!(pass(&mut remembered, &["n"], &["n"]), (all(), 10));
    }

    #[test]
    fn what_is_let_go_of_at_any_moment_is_read() {
        for moment in 0..12 {
            let mut remembered = Remembered::new(1 << 20, Pressure::default());
            pass(&mut remembered, &["n"], &["n"]);
            remembered.begin_pass(&columns(&["n"]), columns(&["n"]));
            let (mut seen, words) = (Vec::new(), words());
            for (number, input) in Inputs::new(&remembered, |start| Ok(read(&words, start))).enumerate() {
                if number == moment {
                    assert!(remembered.batches.relieve());
                }
                match input.unwrap() {
                    Input::Recalled(recalled) => seen.extend(numbers(&recalled.table)),
                    Input::Read(batch, None) => {
                        let mut table = Table::new(batch.batch, 5);
                        let rows = batch.position.start..batch.position.start + table.rows() as u64;
                        table.keep_as_training(rows.map(|row| row % 3 != 0).collect::<BooleanBuffer>()).unwrap();
                        seen.extend(numbers(&table));
                    }
                    Input::Read(_, Some(_)) => panic!("there would be a gap before it"),
                }
            }
            assert_eq!(seen, all(), "{moment}");
            remembered.end_pass().unwrap();
            // The first half is still there, but for the last of the moments, which were never.
            assert_eq!(pass(&mut remembered, &["n"], &["n"]), (all(), if moment < 10 { 5 } else { 0 }));
        }
        // Until nothing is left.
        let mut remembered = Remembered::new(1 << 20, Pressure::default());
        pass(&mut remembered, &["n"], &["n"]);
        assert_eq!((0..6).filter(|_| remembered.batches.relieve()).count(), 4);
        assert_eq!(remembered.lock().bytes, 0);
        assert_eq!(pass(&mut remembered, &["n"], &[]), (all(), 10));
    }

    #[test]
    fn a_source_that_is_remembered_whole_is_not_opened_again() {
        let mut remembered = Remembered::new(1 << 20, Pressure::default());
        pass(&mut remembered, &["n"], &["n"]);
        remembered.begin_pass(&columns(&["n"]), columns(&["n"]));
        assert_eq!(Inputs::new(&remembered, |_| panic!("it is opened")).count(), 10);
    }

    #[test]
    fn a_column_of_a_large_message_is_kept_alone() {
        let message: ArrayRef = Arc::new(Int64Array::from_iter_values(0..10_000));
        let (part, whole) = (alone(&message.slice(70, 10)), alone(&message));
        assert_eq!(&part, &message.slice(70, 10));
        assert!(part.get_buffer_memory_size() < 500);
        assert!(whole.to_data().ptr_eq(&message.to_data()));
    }

    #[test]
    fn words_that_batches_share_count_once_and_rows_know_where_they_stood() {
        let mut remembered = Remembered::new(1 << 20, Pressure::default());
        pass(&mut remembered, &["n", "word"], &["n", "word"]);
        let batches = remembered.lock();
        let beside = 10 * (BATCH_SIZE + 2 * COLUMN_SIZE);
        let bytes = batches.bytes - beside;
        assert!((1_000..2_000 + 14 * ROWS as usize).contains(&bytes), "{bytes}");
        let Recalled { table, position, of, .. } = &batches.by_number[&2];
        assert_eq!((numbers(table), position.start, *of), (vec![20, 22, 23, 25, 26, 28, 29], 20, 10));
        assert_eq!(position.place(table.place(Error::plugin("x").rows([2]))).place().rows, [23]);
    }
}
