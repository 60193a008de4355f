//! Computes the checksums of a spool while it is written, on the way to its file: buffers pass by without being copied.

use super::layout::{Layout, PREFIX};
use crate::ipc::Cause;
use std::io::{Error, Result, Write};
use std::ops::Range;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

/// Writes, and computes the checksums of what is written.
pub(super) struct Summing<W> {
    inner: W,
    layout: Layout,
    written: u64,
    state: State,
}

/// What is being written.
enum State {
    /// What no pass reads.
    Unread,
    /// The prefix and the description of a batch, as far as they have come.
    Head(Vec<u8>),
    /// The body of a batch.
    Body(Box<Body>),
    /// What stands behind the batches.
    Tail(u64, Box<Xxh3>),
}

struct Body {
    /// Where the columns lie.
    spans: Vec<Range<usize>>,
    /// How much has come.
    length: usize,
    /// Of the open column, which is that behind those that have their sums.
    hash: Xxh3,
    /// Of the head, and of columns that are complete.
    sums: Vec<u64>,
}

impl<W> Summing<W> {
    pub(super) fn new(inner: W, layout: Layout) -> Self {
        Self { inner, layout, written: 0, state: State::Unread }
    }

    /// What comes now is a batch.
    pub(super) fn begin_batch(&mut self) {
        self.state = State::Head(Vec::new());
    }

    /// The batch has been written: the checksums of its head and of its columns.
    pub(super) fn end_batch(&mut self) -> std::result::Result<Vec<u64>, Cause> {
        match std::mem::replace(&mut self.state, State::Unread) {
            State::Body(body) if body.sums.len() == 1 + self.layout.columns() => Ok(body.sums),
            _ => Err("a batch was not written as a whole".into()),
        }
    }

    /// What comes now stands behind the batches.
    pub(super) fn begin_tail(&mut self) {
        self.state = State::Tail(self.written, Box::default());
    }

    /// What was written to, where the tail starts, and its checksum.
    pub(super) fn finish(self) -> (W, u64, u64) {
        match self.state {
            State::Tail(start, hash) => (self.inner, start, hash.digest()),
            _ => (self.inner, self.written, xxh3_64(&[])),
        }
    }

    fn take(&mut self, bytes: &[u8]) -> std::result::Result<(), Cause> {
        self.written += bytes.len() as u64;
        match &mut self.state {
            State::Unread => {}
            State::Tail(_, hash) => hash.update(bytes),
            State::Body(body) => body.take(bytes),
            State::Head(head) => {
                let rest = take_head(head, bytes);
                if is_whole(head) {
                    let mut body = Body {
                        spans: self.layout.spans(head)?,
                        length: 0,
                        hash: Xxh3::new(),
                        sums: vec![xxh3_64(head)],
                    };
                    body.take(rest);
                    self.state = State::Body(Box::new(body));
                }
            }
        }
        Ok(())
    }
}

/// Completes the head as far as the bytes go, and gives the others.
fn take_head<'b>(head: &mut Vec<u8>, mut bytes: &'b [u8]) -> &'b [u8] {
    while !bytes.is_empty() && !is_whole(head) {
        let missing = length(head).unwrap_or(PREFIX) - head.len();
        let (taken, rest) = bytes.split_at(missing.min(bytes.len()));
        head.extend_from_slice(taken);
        bytes = rest;
    }
    bytes
}

fn is_whole(head: &[u8]) -> bool {
    length(head).is_some_and(|length| head.len() >= length)
}

/// How long a head is, which its prefix tells.
fn length(head: &[u8]) -> Option<usize> {
    let told = head.get(PREFIX - size_of::<u32>()..PREFIX)?;
    let told = u32::from_le_bytes(told.try_into().ok()?);
    Some(PREFIX + told as usize)
}

impl Body {
    fn take(&mut self, bytes: &[u8]) {
        let (start, end) = (self.length, self.length + bytes.len());
        self.length = end;
        while let Some(span) = self.spans.get(self.sums.len() - 1) {
            let (from, to) = (span.start.max(start), span.end.min(end));
            if from < to {
                self.hash.update(&bytes[from - start..to - start]);
            }
            if span.end > end {
                break;
            }
            self.sums.push(self.hash.digest());
            self.hash.reset();
        }
    }
}

impl<W: Write> Write for Summing<W> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        let written = self.inner.write(bytes)?;
        self.take(&bytes[..written]).map_err(Error::other)?;
        Ok(written)
    }

    fn flush(&mut self) -> Result<()> {
        self.inner.flush()
    }
}
