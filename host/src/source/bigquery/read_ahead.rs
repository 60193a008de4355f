//! How much is fetched before it is asked for: a budget of bytes that the streams of a session share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Bytes of a message as long as none has come: the most that BigQuery sends.
const LARGEST: usize = 128 << 20;

/// Messages that are fetched at once, beside the one that is due: where they are suddenly larger than all before, this bounds the memory.
const FETCHES: usize = 4;

/// The budget. A stream asks for room before it fetches a message; the one whose turn it is gets some in any case when nothing of it
/// is waiting, as the others give none back before it has gone on.
pub(super) struct ReadAhead {
    budget: usize,
    state: Mutex<State>,
    changed: Notify,
}

struct State {
    used: usize,
    /// Messages that are on their way, of which only the size of earlier ones is known.
    fetching: usize,
    /// Of the messages so far, which says how large the next may be.
    largest: Option<usize>,
    /// The stream whose rows are due.
    turn: usize,
    /// Of each stream the messages that wait or are on their way, and their bytes.
    waiting: Vec<(usize, usize)>,
}

/// Room for a message, given back when it is dropped.
pub(super) struct Room {
    read_ahead: Arc<ReadAhead>,
    stream: usize,
    bytes: usize,
    fetching: bool,
}

impl ReadAhead {
    pub(super) fn new(budget: usize, streams: usize) -> Arc<Self> {
        let state = State { used: 0, fetching: 0, largest: None, turn: 0, waiting: vec![(0, 0); streams] };
        Arc::new(Self { budget, state: Mutex::new(state), changed: Notify::new() })
    }

    /// Waits until there is room for one more message of a stream.
    pub(super) async fn room(self: &Arc<Self>, stream: usize) -> Room {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // What changes from here on is not missed.
            changed.as_mut().enable();
            if let Some(bytes) = self.state().take(stream, self.budget) {
                return Room { read_ahead: self.clone(), stream, bytes, fetching: true };
            }
            changed.await;
        }
    }

    /// Says whose rows are due.
    pub(super) fn turn(&self, stream: usize) {
        self.state().turn = stream;
        self.changed.notify_waiters();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take(&mut self, stream: usize, budget: usize) -> Option<usize> {
        let bytes = self.largest.unwrap_or(LARGEST.min(budget));
        let (messages, own) = self.waiting[stream];
        let is_due = self.turn == stream && messages == 0;
        // A stream that is far ahead leaves the processor to those that lag behind.
        let is_ahead = messages > 0 && own.saturating_add(bytes) > budget / self.waiting.len();
        if is_ahead || !is_due && (self.fetching >= FETCHES || self.used.saturating_add(bytes) > budget) {
            return None;
        }
        self.used += bytes;
        self.fetching += 1;
        self.waiting[stream] = (messages + 1, own + bytes);
        Some(bytes)
    }
}

impl Room {
    /// Of the message.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Says how large the message is.
    pub(super) fn fit(&mut self, bytes: usize) {
        let mut state = self.read_ahead.state();
        state.used = state.used - self.bytes + bytes;
        let (_, own) = &mut state.waiting[self.stream];
        *own = *own - self.bytes + bytes;
        state.largest = state.largest.max(Some(bytes));
        state.fetching -= usize::from(self.fetching);
        self.fetching = false;
        self.bytes = bytes;
        drop(state);
        self.read_ahead.changed.notify_waiters();
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let mut state = self.read_ahead.state();
        state.used -= self.bytes;
        state.fetching -= usize::from(self.fetching);
        let (messages, own) = &mut state.waiting[self.stream];
        (*messages, *own) = (*messages - 1, *own - self.bytes);
        drop(state);
        self.read_ahead.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    fn poll(future: impl Future<Output = Room>) -> Option<Room> {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(room) => Some(room),
            Poll::Pending => None,
        }
    }

    #[test]
    fn streams_wait_for_room_except_for_the_one_that_is_due() {
        let read_ahead = ReadAhead::new(100, 3);
        // As long as no message is known, one may fill the budget.
        let mut first = poll(read_ahead.room(1)).unwrap();
        assert!(poll(read_ahead.room(2)).is_none());
        let due = poll(read_ahead.room(0)).unwrap();
        assert!(poll(read_ahead.room(0)).is_none(), "one of it is on its way already");
        first.fit(40);
        drop(due);
        let second = poll(read_ahead.room(2)).unwrap();
        assert!(poll(read_ahead.room(1)).is_none());
        read_ahead.turn(1);
        assert!(poll(read_ahead.room(1)).is_none(), "its first message waits");
        drop(first);
        assert!(poll(read_ahead.room(1)).is_some());
        drop(second);
        assert_eq!(read_ahead.state().used, 0);
    }
}
