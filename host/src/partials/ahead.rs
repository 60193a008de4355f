//! An iterator on a thread of its own, a little ahead of the one who takes its items: those are made while earlier ones are worked on.

use crate::{Error, Result};
use crossbeam_channel::{Receiver, bounded};
use std::thread::JoinHandle;

/// Items that wait to be taken. Beside them one is being made, and one worked on.
const WAITING: usize = 1;

/// The items of an iterator up to its first error. The thread that runs it ends with this value.
pub(super) struct Ahead<T> {
    items: Option<Receiver<Result<T>>>,
    thread: Option<JoinHandle<()>>,
}

impl<T: Send + 'static> Ahead<T> {
    /// Begins to run an iterator, in a thread with a name.
    ///
    /// # Errors
    /// Where there can be no other thread.
    pub(super) fn start(name: &str, items: impl Iterator<Item = Result<T>> + Send + 'static) -> Result<Self> {
        let (sender, receiver) = bounded(WAITING);
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            for item in items {
                let last = item.is_err();
                // Who takes the items may go away at any time.
                if sender.send(item).is_err() || last {
                    break;
                }
            }
        });
        let thread = thread.map_err(|error| Error::output("cannot start a thread").because(error))?;
        Ok(Self { items: Some(receiver), thread: Some(thread) })
    }
}

impl<T> Ahead<T> {
    /// Waits for the thread, which takes a moment, and tells whether it panicked.
    fn end(&mut self) -> bool {
        self.items = None;
        self.thread.take().is_some_and(|thread| thread.join().is_err())
    }
}

impl<T> Iterator for Ahead<T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.items.as_ref()?.recv() {
            Ok(item) => Some(item),
            // There are no more, or no thread that could make some.
            Err(_) => self.end().then(|| Err(Error::internal("a thread that merges partials panicked"))),
        }
    }
}

impl<T> Drop for Ahead<T> {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn all_items_come_in_their_order() {
        let items: Result<Vec<usize>> = Ahead::start("test", (0..1_000).map(Ok)).unwrap().collect();
        assert_eq!(items.unwrap(), (0..1_000).collect::<Vec<_>>());
    }

    #[test]
    fn nothing_is_made_behind_an_error() {
        let items = (0..).map(|item| if item < 3 { Ok(item) } else { Err(Error::internal(format!("{item}"))) });
        let items: Vec<_> =
            Ahead::start("test", items).unwrap().map(|item| item.map_err(|it| it.message().to_owned())).collect();
        assert_eq!(items, [Ok(0), Ok(1), Ok(2), Err("3".to_owned())]);
    }

    #[test]
    fn a_panic_is_an_error_and_not_an_end() {
        let items = (0..5).map(|item| if item < 3 { Ok(item) } else { panic!("on purpose") });
        let mut ahead = Ahead::start("test", items).unwrap();
        assert_eq!(ahead.by_ref().take(3).collect::<Result<Vec<_>>>().unwrap(), [0, 1, 2]);
        assert_eq!(ahead.next().unwrap().unwrap_err().message(), "a thread that merges partials panicked");
        assert!(ahead.next().is_none());
    }

    #[test]
    fn no_more_is_made_than_fits_between_and_the_thread_ends_with_the_taker() {
        let made = Arc::new(AtomicUsize::new(0));
        let counter = made.clone();
        let mut ahead =
            Ahead::start("test", std::iter::from_fn(move || Some(Ok(counter.fetch_add(1, Ordering::Relaxed)))));
        assert_eq!(ahead.as_mut().unwrap().next().unwrap().unwrap(), 0);
        drop(ahead);
        // One was taken, and one waited; another can have been made while the taker went away.
        assert!(made.load(Ordering::Relaxed) <= 2 + WAITING);
        assert_eq!(Arc::strong_count(&made), 1, "the thread is still there");
    }
}
