//! Memory of messages that were worked on, for those that come: the system would clear each page of what is allocated anew.

use arrow_buffer::{Buffer, MutableBuffer};
use bytes::Bytes;
use std::sync::{Arc, Mutex, PoisonError};

/// Memory for a message is not smaller: what is allocated is aligned to it.
const SMALL: usize = 64;

/// Memory that nobody uses, for messages to come.
#[derive(Debug)]
pub(super) struct Recycled {
    /// Bytes of it at most.
    most: usize,
    spare: Mutex<Vec<MutableBuffer>>,
}

impl Recycled {
    /// Nothing yet, and never more than so many bytes.
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, spare: Mutex::default() })
    }

    /// A copy of these bytes, aligned as Arrow likes it. Its memory comes back when the last one who looks at it lets go.
    pub(super) fn copy(self: &Arc<Self>, bytes: &[u8]) -> Buffer {
        let mut memory = self.take(bytes.len());
        memory.extend_from_slice(bytes);
        Bytes::from_owner(Lent { memory, home: self.clone() }).into()
    }

    /// What came back last, as it is still in a cache, of what is neither too small nor more than twice as large.
    fn take(&self, bytes: usize) -> MutableBuffer {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        let fitting = spare.iter().rposition(|memory| (bytes..=(2 * bytes).max(SMALL)).contains(&memory.capacity()));
        let memory = fitting.map(|position| spare.remove(position));
        drop(spare);
        memory.unwrap_or_else(|| MutableBuffer::with_capacity(bytes))
    }

    /// Keeps it; where there is no room, the oldest ones go, which nothing may fit any more.
    fn give_back(&self, mut memory: MutableBuffer) {
        memory.clear();
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        spare.push(memory);
        let mut bytes: usize = spare.iter().map(MutableBuffer::capacity).sum();
        while bytes > self.most {
            bytes -= spare.remove(0).capacity();
        }
    }
}

struct Lent {
    memory: MutableBuffer,
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
        recycled.spare.lock().unwrap().iter().map(MutableBuffer::capacity).collect()
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
        let again = recycled.copy(b"9876543210");
        assert_eq!((again.as_slice(), again.as_ptr().addr()), (&b"9876543210"[..], place));
        assert_eq!(place % 64, 0);
        let large: Vec<Buffer> = (0..3).map(|_| recycled.copy(&vec![0; MOST / 2])).collect();
        drop((again, large));
        let large = MOST / 2;
        assert_eq!(spare(&recycled), [large; 2]);
        // A small message does not keep a large one's memory.
        drop(recycled.copy(b"abc"));
        assert_eq!(spare(&recycled), [large, 64]);
    }
}
