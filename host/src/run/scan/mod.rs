//! A parallel map over batches whose results come in their order.

#[cfg(test)]
mod tests;
mod under_way;

use crate::memory::{Pressure, batch_size};
use crate::sandbox::GuestMemory;
use crate::source::SourceBatch;
use crate::{Error, Result, Stop};
use crossbeam_channel::{Receiver, Sender, bounded};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, TryLockError};
use under_way::{Closing, UnderWay};

/// Batches that may be under way for each worker: enough that none waits, few enough that memory stays small.
const AHEAD: usize = 8;

/// How batches are worked on.
pub(super) struct Scan<'a> {
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

/// What workers are given, one at a time.
pub(super) trait Batch: Send {
    /// Bytes that it takes on its way.
    fn bytes(&self) -> usize;
}

impl Batch for SourceBatch {
    fn bytes(&self) -> usize {
        batch_size(&self.batch)
    }
}

/// What each worker does.
pub(super) trait Work {
    /// What it is given.
    type Input: Batch;

    /// What a batch becomes.
    type Output: Send;

    /// Works on a batch.
    fn process(&mut self, batch: Self::Input) -> Result<Self::Output>;

    /// Bytes of a result that waits to be taken.
    fn weigh(_: &Self::Output) -> usize {
        0
    }

    /// Is called once there are no more batches for this worker.
    fn end(&mut self) -> Result<()> {
        Ok(())
    }
}

/// Reads one batch after the other, on a thread of its own.
struct Reader<'a, I> {
    batches: I,
    shared: &'a Shared<'a>,
}

impl<B: Batch, I: Iterator<Item = Result<B>>> Reader<'_, I> {
    /// Reads to the last batch, to the first error, or until nobody takes results any more.
    fn read_all(mut self, tickets: &Receiver<()>, batches: &Sender<Read<B>>) {
        let under_way = self.shared.under_way;
        for sequence in 0.. {
            // Without a ticket the scan was given up.
            if tickets.recv().is_err() {
                break;
            }
            under_way.wait();
            let batch = match self.shared.stop.check().and_then(|()| self.batches.next().transpose()) {
                Ok(None) => return,
                Ok(Some(batch)) => Ok(batch),
                Err(error) => Err(error),
            };
            let (bytes, failed) = (batch.as_ref().map_or(0, Batch::bytes), batch.is_err());
            under_way.add(bytes);
            if failed {
                self.shared.give_up();
            }
            if batches.send(Read { sequence, bytes, batch }).is_err() || failed {
                break;
            }
        }
        self.shared.give_up();
    }
}

/// A batch on its way to a worker.
struct Read<B> {
    sequence: usize,
    bytes: usize,
    batch: Result<B>,
}

impl Scan<'_> {
    /// Runs workers made by `work` over all batches and hands their results to `take`, in the order of the batches.
    ///
    /// # Errors
    /// The first error, in the order of the batches.
    pub(super) fn run<W: Work>(
        &self,
        batches: impl Iterator<Item = Result<W::Input>> + Send,
        work: impl Fn() -> W + Sync,
        mut take: impl FnMut(W::Output) -> Result<()>,
    ) -> Result<()> {
        let under_way = &UnderWay::new(self.under_way, self.pressure.clone());
        let shared = &Shared {
            stop: self.stop,
            under_way,
            guests: self.guests,
            active: Mutex::new(self.workers),
            given_up: AtomicBool::new(false),
            unwanted: AtomicBool::new(false),
        };
        let reader = Reader { batches, shared };
        // A batch needs a ticket to be read, and the ticket comes back when the batch's result was taken in order.
        let (tickets, free_tickets) = bounded(self.workers * AHEAD);
        for _ in 0..self.workers * AHEAD {
            let _ = tickets.send(());
        }
        let (read, to_do) = bounded(self.workers * AHEAD);
        let (results, incoming) = bounded(self.workers * AHEAD + self.workers + 1);
        std::thread::scope(|scope| {
            let _released = Closing(under_way);
            let failed = results.clone();
            scope.spawn(move || guarded(shared, &failed, || reader.read_all(&free_tickets, &read)));
            let workers: Vec<_> = (0..self.workers)
                .map(|_| {
                    let (results, to_do, work) = (results.clone(), to_do.clone(), &work);
                    scope.spawn(move || {
                        guarded(shared, &results, || drive(work, shared, &to_do, &results)).unwrap_or(Ok(()))
                    })
                })
                .collect();
            drop((results, to_do));
            let mut outcome = in_order(&incoming, &tickets, under_way, &mut take);
            if outcome.is_err() {
                shared.give_up();
                shared.unwanted.store(true, Ordering::Relaxed);
                under_way.close();
                // Who waits for a ticket or for room goes on and ends.
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

/// What the reader and the workers share.
struct Shared<'a> {
    stop: &'a Stop,
    under_way: &'a UnderWay,
    guests: Option<(&'a GuestMemory, usize)>,
    /// Workers that go on.
    active: Mutex<usize>,
    /// Whether reading ended before the source did.
    given_up: AtomicBool,
    /// Whether results are of no use any more.
    unwanted: AtomicBool,
}

impl Shared<'_> {
    fn give_up(&self) {
        self.given_up.store(true, Ordering::Relaxed);
    }

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

/// Does what a thread is for; nothing where it panics, which is told at once.
fn guarded<T, R>(shared: &Shared<'_>, results: &Sender<Message<R>>, what: impl FnOnce() -> T) -> Option<T> {
    let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(what));
    if done.is_err() {
        shared.give_up();
        let _ = results.send((AT_ONCE, 0, Err(panicked())));
    }
    done.ok()
}

fn drive<W: Work>(
    work: &(impl Fn() -> W + Sync),
    shared: &Shared<'_>,
    to_do: &Receiver<Read<W::Input>>,
    results: &Sender<Message<W::Output>>,
) -> Result<()> {
    let mut work = work();
    for Read { sequence, bytes, batch } in to_do {
        if shared.unwanted.load(Ordering::Relaxed) {
            continue;
        }
        let result = batch.and_then(|batch| shared.stop.check().and_then(|()| work.process(batch)));
        let made = result.as_ref().map_or(0, W::weigh);
        shared.under_way.replace(bytes, made);
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
    // What a worker holds of a part of the source is of no use.
    if shared.given_up.load(Ordering::Relaxed) { Ok(()) } else { work.end() }
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
