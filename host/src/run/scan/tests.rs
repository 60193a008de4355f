use super::*;
use crate::source::{BatchReader, Fragment, Position, Source};
use arrow_array::{Int64Array, RecordBatch, cast::AsArray, types::Int64Type};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar};

/// Fragments of 0, 1, 2 … rows, numbered through.
struct Numbers {
    schema: SchemaRef,
    fragments: Vec<Fragment>,
}

impl Numbers {
    fn new(fragments: u64) -> Self {
        let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)]));
        let fragment = |rows: u64| Fragment { name: rows.to_string().into(), rows: Some(rows), bytes: Some(8 * rows) };
        Self { schema, fragments: (0..fragments).map(fragment).collect() }
    }
}

impl Source for Numbers {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn fragments(&self) -> &[Fragment] {
        &self.fragments
    }

    fn read(&self, _: &[usize], batch_rows: usize) -> Result<BatchReader<'_>> {
        let batches = self.fragments.iter().enumerate().flat_map(move |(index, fragment)| {
            let first = (0..index as i64).sum::<i64>();
            (0..index).step_by(batch_rows).map(move |start| {
                let rows = start..(start + batch_rows).min(index);
                let numbers = Int64Array::from_iter_values(rows.map(|row| first + row as i64));
                let position = Position::new(index, fragment.name.clone(), start as u64);
                let batch = RecordBatch::try_new(self.schema.clone(), vec![Arc::new(numbers)]).unwrap();
                Ok(SourceBatch { position, batch })
            })
        });
        Ok(Box::new(batches))
    }
}

struct Check(fn(i64) -> Result<()>);

impl Work for Check {
    type Input = SourceBatch;
    type Output = Vec<i64>;

    fn process(&mut self, input: SourceBatch) -> Result<Vec<i64>> {
        let numbers = input.batch.column(0).as_primitive::<Int64Type>().values().to_vec();
        for (row, number) in numbers.iter().enumerate() {
            (self.0)(*number).map_err(|error| input.position.place(error.rows([row as u64])))?;
        }
        Ok(numbers)
    }
}

/// A scan with room for all batches.
fn by(workers: usize, stop: &Stop) -> Scan<'_> {
    Scan { workers, under_way: 1 << 20, pressure: Pressure::default(), guests: None, stop }
}

/// All numbers, in batches of 7.
fn batches(source: &Numbers) -> BatchReader<'_> {
    source.read(&[0], 7).unwrap()
}

fn scan(workers: usize, check: fn(i64) -> Result<()>) -> Result<Vec<i64>> {
    scan_within(1 << 20, workers, check)
}

fn scan_within(under_way: usize, workers: usize, check: fn(i64) -> Result<()>) -> Result<Vec<i64>> {
    let (source, stop) = (Numbers::new(60), Stop::default());
    let scan = Scan { under_way, ..by(workers, &stop) };
    let mut all = Vec::new();
    scan.run(
        batches(&source),
        || Check(check),
        |numbers| {
            all.extend(numbers);
            Ok(())
        },
    )?;
    Ok(all)
}

#[test]
fn results_come_in_the_order_of_the_rows_from_any_number_of_workers() {
    for workers in [1, 2, 7] {
        assert_eq!(scan(workers, |_| Ok(())).unwrap(), (0..60 * 59 / 2).collect::<Vec<_>>());
    }
}

/// Counts how many batches are worked on at once.
struct Together<'a> {
    now: &'a AtomicUsize,
    most: &'a AtomicUsize,
}

impl Work for Together<'_> {
    type Input = SourceBatch;
    type Output = ();

    fn process(&mut self, _: SourceBatch) -> Result<()> {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        std::thread::sleep(std::time::Duration::from_micros(100));
        self.now.fetch_sub(1, Ordering::SeqCst);
        Ok(())
    }
}

#[test]
fn a_panic_of_who_takes_the_results_does_not_leave_workers_waiting() {
    let (source, stop) = (Numbers::new(60), Stop::default());
    let scan = Scan { under_way: 1, ..by(2, &stop) };
    let run = || scan.run(batches(&source), || Check(|_| Ok(())), |_| panic!("on purpose"));
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).is_err());
}

#[test]
fn little_memory_lets_one_batch_through_at_a_time_and_ends_with_an_error_too() {
    for workers in [1, 2, 7] {
        assert_eq!(scan_within(1, workers, |_| Ok(())).unwrap(), (0..60 * 59 / 2).collect::<Vec<_>>());
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let (source, stop) = (Numbers::new(60), Stop::default());
        let scan = Scan { under_way: 1, ..by(workers, &stop) };
        scan.run(batches(&source), || Together { now: &now, most: &most }, |()| Ok(())).unwrap();
        assert_eq!(most.into_inner(), 1);
        let failing = scan_within(1, workers, |n| if n >= 100 { Err(Error::plugin("enough")) } else { Ok(()) });
        assert_eq!(failing.unwrap_err().message(), "enough");
    }
}

#[test]
fn a_process_that_takes_too_much_lets_one_batch_through_at_a_time() {
    let (source, stop, pressure) = (Numbers::new(60), Stop::default(), Pressure::of(1, |_| {}));
    while !pressure.is_high() {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let scan = Scan { pressure, ..by(7, &stop) };
    scan.run(batches(&source), || Together { now: &now, most: &most }, |()| Ok(())).unwrap();
    assert_eq!(most.into_inner(), 1);
}

/// Takes memory as an instance does, and tells how many batches it saw.
struct Hungry<'a> {
    memory: &'a GuestMemory,
    seen: usize,
    of_all: &'a Mutex<Vec<usize>>,
}

impl Work for Hungry<'_> {
    type Input = SourceBatch;
    type Output = usize;

    fn process(&mut self, batch: SourceBatch) -> Result<usize> {
        self.seen += 1;
        Ok(batch.batch.num_rows())
    }

    fn end(&mut self) -> Result<()> {
        self.of_all.lock().unwrap().push(self.seen);
        self.memory.remove(1);
        Ok(())
    }
}

#[test]
fn workers_whose_instances_take_too_much_end_but_for_one_and_no_row_is_lost() {
    for workers in [1, 2, 7] {
        let (memory, of_all) = (GuestMemory::default(), Mutex::new(Vec::new()));
        let (source, stop) = (Numbers::new(60), Stop::default());
        let guests = Some((&memory, 0));
        let scan = Scan { under_way: 1, guests, ..by(workers, &stop) };
        let mut rows = 0;
        let hungry = || {
            memory.add(1);
            Hungry { memory: &memory, seen: 0, of_all: &of_all }
        };
        scan.run(batches(&source), hungry, |batch| {
            rows += batch;
            Ok(())
        })
        .unwrap();
        let mut seen = of_all.into_inner().unwrap();
        seen.sort_unstable();
        assert_eq!((rows, memory.bytes(), seen.len()), (60 * 59 / 2, 0, workers));
        // others that are done with one while this one ends go on
        assert!(workers == 1 || seen[0] <= 1, "{seen:?}");
    }
}

/// Does not end before others have done more than what they were at.
struct Reluctant<'a> {
    memory: &'a GuestMemory,
    done: &'a Mutex<usize>,
    more: &'a Condvar,
    ended: &'a AtomicUsize,
}

impl Work for Reluctant<'_> {
    type Input = SourceBatch;
    type Output = ();

    fn process(&mut self, _: SourceBatch) -> Result<()> {
        *self.done.lock().unwrap() += 1;
        self.more.notify_all();
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        self.memory.remove(1);
        if self.ended.fetch_add(1, Ordering::SeqCst) == 0 {
            let done = self.done.lock().unwrap();
            let least = *done + 2;
            let patience = std::time::Duration::from_secs(60);
            let waited = self.more.wait_timeout_while(done, patience, |done| *done < least).unwrap();
            assert!(!waited.1.timed_out(), "the other worker waits too");
        }
        Ok(())
    }
}

#[test]
fn a_worker_that_ends_early_keeps_none_from_going_on() {
    let (memory, ended, done, more) = (GuestMemory::default(), AtomicUsize::new(0), Mutex::new(0), Condvar::new());
    let (source, stop) = (Numbers::new(60), Stop::default());
    let scan = Scan { guests: Some((&memory, 0)), ..by(2, &stop) };
    let reluctant = || {
        memory.add(1);
        Reluctant { memory: &memory, done: &done, more: &more, ended: &ended }
    };
    scan.run(batches(&source), reluctant, |()| Ok(())).unwrap();
    assert_eq!(ended.into_inner(), 2);
}

#[test]
fn the_first_error_in_the_order_of_the_rows_is_told_with_its_place() {
    for workers in [1, 2, 7] {
        let error = scan(workers, |n| if n >= 100 { Err(Error::plugin(n.to_string())) } else { Ok(()) }).unwrap_err();
        assert_eq!(
            (error.message(), error.place().fragment, error.place().rows.as_slice()),
            ("100", Some(14), &[9][..])
        );
    }
}

#[test]
fn a_worker_that_panics_ends_the_scan_with_an_error() {
    for workers in [1, 2, 7] {
        let error = scan(workers, |n| if n == 900 { panic!("on purpose") } else { Ok(()) }).unwrap_err();
        assert_eq!(error.message(), "a worker panicked");
    }
}

#[test]
fn a_scan_that_is_stopped_says_so() {
    let (source, stop) = (Numbers::new(3), Stop::default());
    stop.set();
    let scan = by(2, &stop);
    let error = scan.run(batches(&source), || Check(|_| Ok(())), |_| Ok(())).unwrap_err();
    assert_eq!(error.kind(), crate::ErrorKind::Interrupted);
}
