//! Reads flatbuffers as they stand in Arrow's metadata, and writes the structs in them.
//!
//! `arrow-ipc` does it too, but its verifier alone is half as large as a plugin should be. What points outside of the bytes
//! reads as absent. Format: <https://flatbuffers.dev/internals/>

use flatbuffers::{Push, PushAlignment, VOffsetT};

/// A table: numbered fields, each of which may be absent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Table<'a> {
    bytes: &'a [u8],
    at: usize,
}

fn read<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

/// Where the offset at `at` points to.
fn follow(bytes: &[u8], at: usize) -> Option<usize> {
    at.checked_add(u32::from_le_bytes(read(bytes, at)?) as usize)
}

impl<'a> Table<'a> {
    /// The table that the whole buffer is about.
    pub(crate) fn root(bytes: &'a [u8]) -> Option<Self> {
        Some(Self { bytes, at: follow(bytes, 0)? })
    }

    fn position(self, field: u16) -> Option<usize> {
        let back = i32::from_le_bytes(read(self.bytes, self.at)?);
        let vtable = usize::try_from(self.at as i64 - i64::from(back)).ok()?;
        let entry = slot(field);
        if u16::from_le_bytes(read(self.bytes, vtable)?) < entry + 2 {
            return None;
        }
        match u16::from_le_bytes(read(self.bytes, vtable + usize::from(entry))?) {
            0 => None,
            offset => Some(self.at + usize::from(offset)),
        }
    }

    fn scalar<const N: usize>(self, field: u16) -> Option<[u8; N]> {
        read(self.bytes, self.position(field)?)
    }

    /// Whether a field is there.
    pub(crate) fn has(self, field: u16) -> bool {
        self.position(field).is_some()
    }

    pub(crate) fn u8(self, field: u16) -> u8 {
        self.scalar(field).map_or(0, u8::from_le_bytes)
    }

    pub(crate) fn bool(self, field: u16) -> bool {
        self.u8(field) != 0
    }

    pub(crate) fn i16(self, field: u16, default: i16) -> i16 {
        self.scalar(field).map_or(default, i16::from_le_bytes)
    }

    pub(crate) fn i32(self, field: u16, default: i32) -> i32 {
        self.scalar(field).map_or(default, i32::from_le_bytes)
    }

    pub(crate) fn i64(self, field: u16) -> i64 {
        self.scalar(field).map_or(0, i64::from_le_bytes)
    }

    pub(crate) fn table(self, field: u16) -> Option<Self> {
        Some(Self { bytes: self.bytes, at: follow(self.bytes, self.position(field)?)? })
    }

    /// Where the first item of a vector is, and how many there are.
    fn vector(self, field: u16) -> Option<(usize, usize)> {
        let at = follow(self.bytes, self.position(field)?)?;
        Some((at.checked_add(4)?, u32::from_le_bytes(read(self.bytes, at)?) as usize))
    }

    pub(crate) fn text(self, field: u16) -> Option<&'a str> {
        let (start, length) = self.vector(field)?;
        std::str::from_utf8(self.bytes.get(start..)?.get(..length)?).ok()
    }

    pub(crate) fn tables(self, field: u16) -> impl Iterator<Item = Self> {
        let (start, count) = self.vector(field).unwrap_or_default();
        (0..count).map_while(move |index| Some(Self { bytes: self.bytes, at: follow(self.bytes, start + 4 * index)? }))
    }

    pub(crate) fn pairs(self, field: u16) -> impl Iterator<Item = Pair> {
        let (start, count) = self.vector(field).unwrap_or_default();
        let number = move |at| read(self.bytes, at).map(i64::from_le_bytes);
        (0..count).map_while(move |index| Some(Pair(number(start + 16 * index)?, number(start + 16 * index + 8)?)))
    }
}

/// Where a field's position stands in the table of positions.
pub(crate) const fn slot(field: u16) -> VOffsetT {
    4 + 2 * field
}

/// A struct of two numbers: a node (its length and how many of it are null), or a buffer (its offset and length).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pair(pub(crate) i64, pub(crate) i64);

impl Push for Pair {
    type Output = Self;

    // The trait's function is unsafe since others write through pointers; this one indexes, and so panics where it must not write.
    unsafe fn push(&self, target: &mut [u8], _: usize) {
        target[..8].copy_from_slice(&self.0.to_le_bytes());
        target[8..16].copy_from_slice(&self.1.to_le_bytes());
    }

    fn size() -> usize {
        16
    }

    fn alignment() -> PushAlignment {
        PushAlignment::new(8)
    }
}
