//! A parallel map over the batches of a source whose results come in the order of its rows.

#[cfg(test)]
mod tests;
mod under_way;

use crate::memory::{Pressure, batch_size};
use crate::sandbox::GuestMemory;
use crate::source::{Cut, Source, SourceBatch};
use crate::{Error, Result, Stop};
use crossbeam_channel::{Receiver, Sender, bounded};
use std::collections::BTreeMap;
use std::sync::{Mutex, TryLockError};
use under_way::{Closing, UnderWay};

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
    /// Where it is high, batches come one at a time.
    pub(super) pressure: Pressure,
    /// What the instances of all workers take, and beyond which of it a worker ends early, as long as another one is left.
    pub(super) guests: Option<(&'a GuestMemory, usize)>,
    /// Set where the user asks to stop.
    pub(super) stop: &'a Stop,
}

/// What each worker does.
pub(super) trait Work {
    /// What a batch becomes.
    type Output: Send;

    /// Works on a batch.
    fn process(&mut self, batch: SourceBatch) -> Result<Self::Output>;

    /// Bytes of a result that waits to be taken.
    fn weigh(_: &Self::Output) -> usize {
        0
    }

    /// Is called once there are no more batches for this worker.
    fn end(&mut self) -> Result<()> {
        Ok(())
    }
}

/// Hands out batches one after the other.
struct Feed<'a> {
    reader: Cut<'a>,
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
        let reader = Cut::new(self.source.read_from(self.start, &self.columns, self.batch_rows)?);
        let under_way = &UnderWay::new(self.under_way, self.pressure.clone());
        let feed = Feed { reader, under_way, stop: self.stop, sequence: 0, ended: false, given_up: false };
        let shared = &Shared { feed: Mutex::new(feed), guests: self.guests, active: Mutex::new(self.workers) };
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
                    let (results, free_tickets, work) = (results.clone(), free_tickets.clone(), &work);
                    scope.spawn(move || guarded(work, shared, &free_tickets, &results))
                })
                .collect();
            drop(results);
            let mut outcome = in_order(&incoming, &tickets, under_way, &mut take);
            if outcome.is_err() {
                under_way.close();
                if let Ok(mut feed) = shared.feed.lock() {
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

/// What the workers share.
struct Shared<'a> {
    feed: Mutex<Feed<'a>>,
    guests: Option<(&'a GuestMemory, usize)>,
    /// Workers that go on.
    active: Mutex<usize>,
}

impl Shared<'_> {
    /// Ends a worker where instances take too much memory, unless it is the last one: no result depends on how many there are.
    fn retire<W: Work>(&self, mut work: W) -> Result<Option<W>> {
        let crowded = || self.guests.is_some_and(|(memory, most)| memory.bytes() > most);
        if !crowded() {
            return Ok(Some(work));
        }
        // Another one that ends may make room: it is not waited for.
        let mut active = match self.active.try_lock() {
            Ok(active) => active,
            Err(TryLockError::WouldBlock) => return Ok(Some(work)),
            Err(TryLockError::Poisoned(_)) => return Err(panicked()),
        };
        if *active < 2 || !crowded() {
            return Ok(Some(work));
        }
        *active -= 1;
        work.end()?;
        drop(work);
        Ok(None)
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
    shared: &Shared<'_>,
    tickets: &Receiver<()>,
    results: &Sender<Message<W::Output>>,
) -> Result<()> {
    let driven = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drive(work, shared, tickets, results)));
    driven.unwrap_or_else(|_| {
        let _ = results.send((AT_ONCE, 0, Err(panicked())));
        Ok(())
    })
}

fn drive<W: Work>(
    work: &(impl Fn() -> W + Sync),
    shared: &Shared<'_>,
    tickets: &Receiver<()>,
    results: &Sender<Message<W::Output>>,
) -> Result<()> {
    let mut work = work();
    // Without a ticket the scan was given up, and what the worker holds is of no use.
    while tickets.recv().is_ok() {
        let mut source = shared.feed.lock().map_err(|_| panicked())?;
        let Some((sequence, batch)) = source.next() else {
            return if source.given_up { Ok(()) } else { work.end() };
        };
        let (read, under_way) = (batch.as_ref().map_or(0, |read| batch_size(&read.batch)), source.under_way);
        under_way.add(read);
        drop(source);
        let result = batch.and_then(|batch| work.process(batch));
        let made = result.as_ref().map_or(0, W::weigh);
        under_way.replace(read, made);
        let failed = result.is_err();
        if results.send((sequence, made, result)).is_err() || failed {
            return Ok(());
        }
        // An error of its end counts after those of rows, as at the end of the source.
        work = match shared.retire(work)? {
            Some(work) => work,
            None => return Ok(()),
        };
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
