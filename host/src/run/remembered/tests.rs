use super::*;
use crate::Error;
use crate::source::Cut;
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
