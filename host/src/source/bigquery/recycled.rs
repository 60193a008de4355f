//! Memory of messages that were worked on, for those that come: the system would clear each page of what is allocated anew.

use arrow_buffer::Buffer;
use bytes::Bytes;
use std::sync::{Arc, Mutex, PoisonError};

/// Memory that nobody uses, for messages to come.
#[derive(Debug)]
pub(super) struct Recycled {
    /// Bytes of it at most.
    most: usize,
    spare: Mutex<Vec<Vec<u8>>>,
}

impl Recycled {
    /// Nothing yet, and never more than so many bytes.
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, spare: Mutex::default() })
    }

    /// A copy of these bytes, where values are aligned. Its memory comes back when the last one who looks at it lets go.
    pub(super) fn copy(self: &Arc<Self>, bytes: &[u8]) -> Buffer {
        let mut memory = self.take();
        memory.extend_from_slice(bytes);
        Bytes::from_owner(Lent { memory, home: self.clone() }).into()
    }

    /// What came back last, as it is still in a cache.
    fn take(&self) -> Vec<u8> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    fn give_back(&self, mut memory: Vec<u8>) {
        memory.clear();
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.iter().map(Vec::capacity).sum::<usize>().saturating_add(memory.capacity()) <= self.most {
            spare.push(memory);
        }
    }
}

struct Lent {
    memory: Vec<u8>,
    home: Arc<Recycled>,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.memory
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.home.give_back(std::mem::take(&mut self.memory));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: usize = 1 << 20;

    fn spare(recycled: &Recycled) -> Vec<usize> {
        recycled.spare.lock().unwrap().iter().map(Vec::capacity).collect()
    }

    #[test]
    fn memory_comes_back_once_nobody_looks_at_it_and_no_more_than_some_is_kept() {
        let recycled = Recycled::new(MOST);
        let copy = recycled.copy(b"0123456789");
        let slice = copy.slice(4);
        drop(copy);
        assert_eq!((slice.as_slice(), spare(&recycled).len()), (&b"456789"[..], 0));
        let place = slice.as_ptr().addr() - 4;
        drop(slice);
        assert_eq!(spare(&recycled).len(), 1);
        let again = recycled.copy(b"abc");
        assert_eq!((again.as_slice(), again.as_ptr().addr()), (&b"abc"[..], place));
        let large: Vec<Buffer> = (0..3).map(|_| recycled.copy(&vec![0; MOST / 2 - 64])).collect();
        drop((again, large));
        let spare = spare(&recycled);
        assert!(spare.len() > 1 && spare.iter().sum::<usize>() <= MOST, "{spare:?}");
    }
}
