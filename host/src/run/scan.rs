//! A parallel map over the batches of a source whose results come in the order of its rows.

use crate::memory::batch_size;
use crate::source::{BatchReader, Source, SourceBatch};
use crate::{Error, Result, Stop};
use crossbeam_channel::{Receiver, Sender, bounded};
use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Batches that may be under way for each worker: enough that none waits, few enough that memory stays small.
const AHEAD: usize = 4;

/// What is read, by how many.
pub(super) struct Scan<'a> {
    /// The source.
    pub(super) source: &'a dyn Source,
    /// The first row.
    pub(super) start: u64,
    /// The columns, by their positions in the source's schema.
    pub(super) columns: Vec<usize>,
    /// Rows of a batch at most.
    pub(super) batch_rows: usize,
    /// Threads.
    pub(super) workers: usize,
    /// Bytes of batches that are under way at once: as soon as there are so many, no more are read.
    pub(super) under_way: usize,
    /// Set where the user asks to stop.
    pub(super) stop: &'a Stop,
}

/// What each worker does.
pub(super) trait Work {
    /// What a batch becomes.
    type Output: Send;

    /// Works on a batch.
    fn process(&mut self, batch: SourceBatch) -> Result<Self::Output>;

    /// Is called once there are no more batches.
    fn end(&mut self) -> Result<()> {
        Ok(())
    }
}

/// The bytes of the batches that were handed out, and whose results were not taken.
struct UnderWay {
    most: usize,
    /// Nothing once nobody takes results any more.
    bytes: Mutex<Option<usize>>,
    freed: Condvar,
}

impl UnderWay {
    fn new(most: usize) -> Self {
        Self { most, bytes: Mutex::new(Some(0)), freed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Option<usize>> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for room. One batch is under way at any rate, however large.
    fn wait(&self) {
        let full = |bytes: &mut Option<usize>| bytes.is_some_and(|bytes| bytes > 0 && bytes >= self.most);
        drop(self.freed.wait_while(self.lock(), full).unwrap_or_else(PoisonError::into_inner));
    }

    fn add(&self, bytes: usize) {
        self.lock().iter_mut().for_each(|sum| *sum += bytes);
    }

    fn remove(&self, bytes: usize) {
        self.lock().iter_mut().for_each(|sum| *sum -= bytes);
        self.freed.notify_all();
    }

    fn close(&self) {
        *self.lock() = None;
        self.freed.notify_all();
    }
}

/// Releases those who wait, whatever happens to who takes the results.
struct Closing<'a>(&'a UnderWay);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Hands out batches one after the other.
struct Feed<'a> {
    reader: BatchReader<'a>,
    under_way: &'a UnderWay,
    stop: &'a Stop,
    sequence: usize,
    ended: bool,
    /// Whether it ended before the source did.
    given_up: bool,
}

impl Feed<'_> {
    fn next(&mut self) -> Option<(usize, Result<SourceBatch>)> {
        if self.ended {
            return None;
        }
        self.under_way.wait();
        let sequence = self.sequence;
        self.sequence += 1;
        match self.stop.check().and_then(|()| self.reader.next().transpose()) {
            Ok(Some(batch)) => Some((sequence, Ok(batch))),
            Ok(None) => {
                self.ended = true;
                None
            }
            Err(error) => {
                self.give_up();
                Some((sequence, Err(error)))
            }
        }
    }

    fn give_up(&mut self) {
        self.ended = true;
        self.given_up = true;
    }
}

impl Scan<'_> {
    /// Runs workers made by `work` over all batches and hands their results to `take`, in the order of the rows.
    ///
    /// # Errors
    /// The first error, in the order of the rows.
    pub(super) fn run<W: Work>(
        &self,
        work: impl Fn() -> W + Sync,
        mut take: impl FnMut(W::Output) -> Result<()>,
    ) -> Result<()> {
        let reader = self.source.read_from(self.start, &self.columns, self.batch_rows)?;
        let under_way = &UnderWay::new(self.under_way);
        let feed = Feed { reader, under_way, stop: self.stop, sequence: 0, ended: false, given_up: false };
        let feed = Mutex::new(feed);
        // A worker needs a ticket to take a batch, and the ticket comes back when the batch's result was taken in order.
        let (tickets, free_tickets) = bounded(self.workers * AHEAD);
        for _ in 0..self.workers * AHEAD {
            let _ = tickets.send(());
        }
        let (results, incoming) = bounded(self.workers * AHEAD + self.workers);
        std::thread::scope(|scope| {
            let _released = Closing(under_way);
            let workers: Vec<_> = (0..self.workers)
                .map(|_| {
                    let (results, free_tickets, feed, work) = (results.clone(), free_tickets.clone(), &feed, &work);
                    scope.spawn(move || guarded(work, feed, &free_tickets, &results))
                })
                .collect();
            drop(results);
            let mut outcome = in_order(&incoming, &tickets, under_way, &mut take);
            if outcome.is_err() {
                under_way.close();
                if let Ok(mut feed) = feed.lock() {
                    feed.give_up();
                }
                // Workers that wait for a ticket or for room go on and end.
                drop(tickets);
                incoming.iter().for_each(drop);
            }
            for worker in workers {
                outcome = outcome.and(worker.join().unwrap_or_else(|_| Err(panicked())));
            }
            outcome
        })
    }
}

/// A batch's number, its bytes, and what became of it.
type Message<T> = (usize, usize, Result<T>);

/// The number of a result that is due at once: its worker panicked, so that others may never become due.
const AT_ONCE: usize = usize::MAX;

fn panicked() -> Error {
    Error::internal("a worker panicked").hint("run again with RUST_BACKTRACE=1 and report what it prints")
}

fn guarded<W: Work>(
    work: &(impl Fn() -> W + Sync),
    feed: &Mutex<Feed<'_>>,
    tickets: &Receiver<()>,
    results: &Sender<Message<W::Output>>,
) -> Result<()> {
    let driven = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drive(work, feed, tickets, results)));
    driven.unwrap_or_else(|_| {
        let _ = results.send((AT_ONCE, 0, Err(panicked())));
        Ok(())
    })
}

fn drive<W: Work>(
    work: &(impl Fn() -> W + Sync),
    feed: &Mutex<Feed<'_>>,
    tickets: &Receiver<()>,
    results: &Sender<Message<W::Output>>,
) -> Result<()> {
    let mut work = work();
    // Without a ticket the scan was given up, and what the worker holds is of no use.
    while tickets.recv().is_ok() {
        let mut source = feed.lock().map_err(|_| panicked())?;
        let Some((sequence, batch)) = source.next() else {
            return if source.given_up { Ok(()) } else { work.end() };
        };
        let bytes = batch.as_ref().map_or(0, |read| batch_size(&read.batch));
        source.under_way.add(bytes);
        drop(source);
        let result = batch.and_then(|batch| work.process(batch));
        let failed = result.is_err();
        if results.send((sequence, bytes, result)).is_err() || failed {
            return Ok(());
        }
    }
    Ok(())
}

/// Takes results in the order of their numbers; those that came early wait.
fn in_order<T>(
    incoming: &Receiver<Message<T>>,
    tickets: &Sender<()>,
    under_way: &UnderWay,
    take: &mut impl FnMut(T) -> Result<()>,
) -> Result<()> {
    let mut early = BTreeMap::new();
    let mut next = 0;
    for (sequence, bytes, result) in incoming {
        if sequence == AT_ONCE {
            result?;
            continue;
        }
        early.insert(sequence, (bytes, result));
        while let Some((bytes, result)) = early.remove(&next) {
            next += 1;
            take(result?)?;
            under_way.remove(bytes);
            let _ = tickets.try_send(());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{Fragment, Position};
    use arrow_array::{Int64Array, RecordBatch, cast::AsArray, types::Int64Type};
    use arrow_schema::{DataType, Field, Schema, SchemaRef};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Fragments of 0, 1, 2 … rows, numbered through.
    struct Numbers {
        schema: SchemaRef,
        fragments: Vec<Fragment>,
    }

    impl Numbers {
        fn new(fragments: u64) -> Self {
            let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)]));
            let fragment =
                |rows: u64| Fragment { name: rows.to_string().into(), rows: Some(rows), bytes: Some(8 * rows) };
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
        type Output = Vec<i64>;

        fn process(&mut self, input: SourceBatch) -> Result<Vec<i64>> {
            let numbers = input.batch.column(0).as_primitive::<Int64Type>().values().to_vec();
            for (row, number) in numbers.iter().enumerate() {
                (self.0)(*number).map_err(|error| input.position.place(error.rows([row as u64])))?;
            }
            Ok(numbers)
        }
    }

    fn scan(workers: usize, check: fn(i64) -> Result<()>) -> Result<Vec<i64>> {
        scan_within(1 << 20, workers, check)
    }

    fn scan_within(under_way: usize, workers: usize, check: fn(i64) -> Result<()>) -> Result<Vec<i64>> {
        let (source, stop) = (Numbers::new(60), Stop::default());
        let scan = Scan { source: &source, start: 0, columns: vec![0], batch_rows: 7, workers, under_way, stop: &stop };
        let mut all = Vec::new();
        scan.run(
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
        let scan =
            Scan { source: &source, start: 0, columns: vec![0], batch_rows: 7, workers: 2, under_way: 1, stop: &stop };
        let run = || scan.run(|| Check(|_| Ok(())), |_| panic!("on purpose"));
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).is_err());
    }

    #[test]
    fn little_memory_lets_one_batch_through_at_a_time_and_ends_with_an_error_too() {
        for workers in [1, 2, 7] {
            assert_eq!(scan_within(1, workers, |_| Ok(())).unwrap(), (0..60 * 59 / 2).collect::<Vec<_>>());
            let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
            let (source, stop) = (Numbers::new(60), Stop::default());
            let scan =
                Scan { source: &source, start: 0, columns: vec![0], batch_rows: 7, workers, under_way: 1, stop: &stop };
            scan.run(|| Together { now: &now, most: &most }, |()| Ok(())).unwrap();
            assert_eq!(most.into_inner(), 1);
            let failing = scan_within(1, workers, |n| if n >= 100 { Err(Error::plugin("enough")) } else { Ok(()) });
            assert_eq!(failing.unwrap_err().message(), "enough");
        }
    }

    #[test]
    fn the_first_error_in_the_order_of_the_rows_is_told_with_its_place() {
        for workers in [1, 2, 7] {
            let error =
                scan(workers, |n| if n >= 100 { Err(Error::plugin(n.to_string())) } else { Ok(()) }).unwrap_err();
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
        let scan = Scan {
            source: &source,
            start: 0,
            columns: vec![0],
            batch_rows: 7,
            workers: 2,
            under_way: 1 << 20,
            stop: &stop,
        };
        let error = scan.run(|| Check(|_| Ok(())), |_| Ok(())).unwrap_err();
        assert_eq!(error.kind(), crate::ErrorKind::Interrupted);
    }
}
