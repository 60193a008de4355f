//! A parallel map over the batches of a source whose results come in the order of its rows.

use crate::source::{BatchReader, Source};
use crate::{Error, Result};
use arrow_array::RecordBatch;
use crossbeam_channel::{Receiver, Sender, bounded};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

/// Batches that may be under way for each worker: enough that none waits, few enough that memory stays small.
const AHEAD: usize = 4;

/// What is read, by how many.
pub(super) struct Scan<'a> {
    /// The source.
    pub(super) source: &'a dyn Source,
    /// The columns, by their positions in the source's schema.
    pub(super) columns: Vec<usize>,
    /// Rows of a batch at most.
    pub(super) batch_rows: usize,
    /// Threads.
    pub(super) workers: usize,
    /// Set where the user asks to stop.
    pub(super) stop: &'a AtomicBool,
}

/// A batch with its place in the source.
pub(super) struct InputBatch {
    pub(super) fragment: usize,
    /// Rows of the fragment before it.
    pub(super) start: u64,
    pub(super) batch: RecordBatch,
}

impl InputBatch {
    /// Places an error, whose rows are counted from the start of the batch.
    pub(super) fn place(&self, error: Error) -> Error {
        error.offset_rows(self.start).fragment(self.fragment)
    }
}

/// What each worker does.
pub(super) trait Work {
    /// What a batch becomes.
    type Output: Send;

    /// Works on a batch.
    fn process(&mut self, batch: InputBatch) -> Result<Self::Output>;

    /// Is called once there are no more batches.
    fn end(&mut self) -> Result<()> {
        Ok(())
    }
}

/// Hands out batches one after the other.
struct Feed<'a> {
    scan: &'a Scan<'a>,
    fragment: usize,
    reader: Option<BatchReader>,
    start: u64,
    sequence: usize,
    ended: bool,
}

impl Feed<'_> {
    fn next(&mut self) -> Option<(usize, Result<InputBatch>)> {
        let sequence = self.sequence;
        if self.ended {
            return None;
        }
        if self.scan.stop.load(Ordering::Relaxed) {
            self.ended = true;
            return Some((sequence, Err(Error::interrupted())));
        }
        self.sequence += 1;
        match self.pull() {
            Ok(batch) => Some((sequence, Ok(batch?))),
            Err(error) => {
                self.ended = true;
                Some((sequence, Err(error.fragment(self.fragment))))
            }
        }
    }

    fn pull(&mut self) -> Result<Option<InputBatch>> {
        let Scan { source, columns, batch_rows, .. } = self.scan;
        loop {
            let reader = match &mut self.reader {
                Some(reader) => reader,
                None if self.fragment == source.fragments().len() => {
                    self.ended = true;
                    return Ok(None);
                }
                None => self.reader.insert(source.read(self.fragment, columns, *batch_rows)?),
            };
            match reader.next().transpose()? {
                Some(batch) => {
                    let start = self.start;
                    self.start += batch.num_rows() as u64;
                    return Ok(Some(InputBatch { fragment: self.fragment, start, batch }));
                }
                None => {
                    self.reader = None;
                    self.fragment += 1;
                    self.start = 0;
                }
            }
        }
    }
}

impl Scan<'_> {
    /// Runs workers made by `work` over all batches and hands their results to `take`, in the order of the rows.
    ///
    /// # Errors
    /// The first error, in the order of the rows.
    pub(super) fn run<W: Work>(
        &self,
        work: impl Fn() -> Result<W> + Sync,
        mut take: impl FnMut(W::Output) -> Result<()>,
    ) -> Result<()> {
        let feed = Mutex::new(Feed { scan: self, fragment: 0, reader: None, start: 0, sequence: 0, ended: false });
        // A worker needs a ticket to take a batch, and the ticket comes back when the batch's result was taken in order.
        let (tickets, free_tickets) = bounded(self.workers * AHEAD);
        for _ in 0..self.workers * AHEAD {
            let _ = tickets.send(());
        }
        let (results, incoming) = bounded(self.workers * AHEAD + self.workers);
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..self.workers)
                .map(|_| {
                    let (results, free_tickets, feed, work) = (results.clone(), free_tickets.clone(), &feed, &work);
                    scope.spawn(move || drive(work, feed, &free_tickets, &results))
                })
                .collect();
            drop(results);
            let mut outcome = in_order(&incoming, &tickets, &mut take);
            if outcome.is_err() {
                if let Ok(mut feed) = feed.lock() {
                    feed.ended = true;
                }
                // Workers that wait for a ticket or for room go on and end.
                drop(tickets);
                incoming.iter().for_each(drop);
            }
            for worker in workers {
                let ended = worker.join().unwrap_or_else(|_| Err(Error::internal("a worker panicked")));
                outcome = outcome.and(ended);
            }
            outcome
        })
    }
}

type Message<T> = (usize, Result<T>);

fn drive<W: Work>(
    work: &(impl Fn() -> Result<W> + Sync),
    feed: &Mutex<Feed<'_>>,
    tickets: &Receiver<()>,
    results: &Sender<Message<W::Output>>,
) -> Result<()> {
    let mut work = work()?;
    while tickets.recv().is_ok() {
        let next = feed.lock().map_err(|_| Error::internal("a worker panicked"))?.next();
        let Some((sequence, batch)) = next else { break };
        let result = batch.and_then(|batch| work.process(batch));
        let failed = result.is_err();
        if results.send((sequence, result)).is_err() || failed {
            return Ok(());
        }
    }
    work.end()
}

/// Takes results in the order of their numbers; those that came early wait.
fn in_order<T>(
    incoming: &Receiver<Message<T>>,
    tickets: &Sender<()>,
    take: &mut impl FnMut(T) -> Result<()>,
) -> Result<()> {
    let mut early = BTreeMap::new();
    let mut next = 0;
    for (sequence, result) in incoming {
        early.insert(sequence, result);
        while let Some(result) = early.remove(&next) {
            next += 1;
            take(result?)?;
            let _ = tickets.try_send(());
        }
    }
    // A worker failed before it could say so: the results behind it never become due, and its join tells why.
    match early.into_values().find_map(Result::err) {
        Some(error) => Err(error),
        None => Ok(()),
    }
}
