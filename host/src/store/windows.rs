//! Some bytes of an object, as they are fetched: all of them at once, or by windows that roll on.

use super::object::{LEAST, MOST, Object, Piece};
use crate::Result;
use bytes::Bytes;
use std::ops::Range;

/// Some bytes of an object, all of which are fetched at once and kept.
pub(super) struct Whole {
    object: Object,
    pub(super) range: Range<u64>,
    pieces: Vec<Piece>,
}

impl Whole {
    pub(super) fn begin(object: &Object, range: Range<u64>) -> Self {
        let starts = (range.start..range.end).step_by(MOST as usize);
        let pieces = starts.map(|start| Piece::Fetching(object.fetch(start..(start + MOST).min(range.end))));
        Self { object: object.clone(), pieces: pieces.collect(), range }
    }

    pub(super) fn read(&mut self, position: u64, buffer: &mut [u8]) -> Result<usize> {
        let offset = position - self.range.start;
        let Some(piece) = self.pieces.get_mut((offset / MOST) as usize) else { return Ok(0) };
        Ok(copy(piece.bytes(&self.object)?, (offset % MOST) as usize, buffer))
    }
}

/// Some bytes of an object that are read from their start to their end, more or less: a window of them is here, and the next one
/// on its way.
pub(super) struct Rolling {
    object: Object,
    pub(super) limits: Range<u64>,
    window: Bytes,
    start: u64,
    ahead: Option<(Range<u64>, Piece)>,
    step: u64,
    most: u64,
}

impl Rolling {
    /// Of `memory` bytes, or a little more where those are too few.
    pub(super) fn new(object: &Object, limits: Range<u64>, memory: u64) -> Self {
        let most = (memory / 2).clamp(LEAST, MOST);
        Self {
            object: object.clone(),
            start: limits.start,
            limits,
            window: Bytes::new(),
            ahead: None,
            step: LEAST,
            most,
        }
    }

    fn end(&self) -> u64 {
        self.start + self.window.len() as u64
    }

    pub(super) fn read(&mut self, position: u64, buffer: &mut [u8]) -> Result<usize> {
        if position >= self.limits.end || buffer.is_empty() {
            return Ok(0);
        }
        if !(self.start..self.end()).contains(&position) {
            self.move_to(position, buffer.len() as u64)?;
        }
        Ok(copy(&self.window, (position - self.start) as usize, buffer))
    }

    fn move_to(&mut self, position: u64, wanted: u64) -> Result<()> {
        let follows = position == self.end() && !self.window.is_empty();
        self.step = if follows { (2 * self.step).min(self.most) } else { LEAST };
        self.window = Bytes::new();
        let ahead = self.ahead.take().filter(|(range, _)| range.contains(&position));
        let (range, mut piece) = match ahead {
            Some(ahead) => ahead,
            None => {
                let range = self.range_at(position, self.step.max(wanted.min(self.most)));
                (range.clone(), Piece::Fetching(self.object.fetch(range)))
            }
        };
        // Begun before the one is waited for, so that they come together.
        let next = self.range_at(range.end, self.step);
        if follows && !next.is_empty() {
            self.ahead = Some((next.clone(), Piece::Fetching(self.object.fetch(next))));
        }
        self.start = range.start;
        self.window = piece.bytes(&self.object)?.clone();
        Ok(())
    }

    fn range_at(&self, start: u64, length: u64) -> Range<u64> {
        start..start.saturating_add(length).min(self.limits.end).max(start)
    }
}

fn copy(bytes: &[u8], offset: usize, buffer: &mut [u8]) -> usize {
    let rest = bytes.get(offset..).unwrap_or_default();
    let length = rest.len().min(buffer.len());
    buffer[..length].copy_from_slice(&rest[..length]);
    length
}
