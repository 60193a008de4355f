//! The head of a page as it lies in a file, in Thrift's compact protocol: how large the page is, before anything makes room for it.
//!
//! The parquet crate goes by the types that it expects, not by those that are written down. Where they differ the two could read
//! different heads from the same bytes, so that is an error here.

use std::io::{Error, ErrorKind, Read, Result};

/// What a page says of itself.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PageHead {
    pub(super) uncompressed: u64,
    pub(super) compressed: u64,
    /// Bytes of the head itself, as they were read.
    pub(super) bytes: Vec<u8>,
}

/// Bytes of a head at most: it may have the smallest and the largest value of its page.
const LONGEST: usize = 16 << 20;

/// Structs within each other at most, as for the parquet crate.
const DEPTH: u8 = 60;

const BOOL: [u8; 2] = [1, 2];
const I32: u8 = 5;
const STRUCT: u8 = 12;

/// Reads the head of a page.
///
/// # Errors
/// Where there is none.
pub(super) fn read_head(input: impl Read) -> Result<PageHead> {
    let mut thrift = Thrift { input, bytes: Vec::with_capacity(64) };
    let (mut uncompressed, mut compressed, mut id) = (None, None, 0);
    while let Some(kind) = thrift.field(&mut id)? {
        match (id, kind) {
            (2, I32) => uncompressed = Some(thrift.int()?),
            (3, I32) => compressed = Some(thrift.int()?),
            (1 | 4, I32) => drop(thrift.int()?),
            (5, STRUCT) => thrift.structure(4, 0)?,
            (6, STRUCT) => thrift.structure(0, 0)?,
            (7, STRUCT) => thrift.structure(2, 3)?,
            (8, STRUCT) => thrift.structure(6, 7)?,
            (1..=8, _) => return Err(malformed()),
            _ => thrift.skip(kind, 0)?,
        }
    }
    let size = |size: Option<i32>| u64::try_from(size.ok_or_else(malformed)?).map_err(|_| malformed());
    Ok(PageHead { uncompressed: size(uncompressed)?, compressed: size(compressed)?, bytes: thrift.bytes })
}

fn malformed() -> Error {
    Error::new(ErrorKind::InvalidData, "it makes no sense")
}

struct Thrift<R> {
    input: R,
    bytes: Vec<u8>,
}

impl<R: Read> Thrift<R> {
    fn byte(&mut self) -> Result<u8> {
        let mut byte = [0];
        self.input.read_exact(&mut byte)?;
        self.bytes.push(byte[0]);
        if self.bytes.len() > LONGEST { Err(malformed()) } else { Ok(byte[0]) }
    }

    fn pass(&mut self, count: u64) -> Result<()> {
        let count = usize::try_from(count).ok().filter(|count| self.bytes.len().saturating_add(*count) <= LONGEST);
        let count = count.ok_or_else(malformed)? as u64;
        let read = self.input.by_ref().take(count).read_to_end(&mut self.bytes)?;
        if read as u64 == count { Ok(()) } else { Err(ErrorKind::UnexpectedEof.into()) }
    }

    fn varint(&mut self) -> Result<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(malformed())
    }

    fn int(&mut self) -> Result<i32> {
        let zigzag = self.varint()?;
        i32::try_from((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64)).map_err(|_| malformed())
    }

    /// The type of the next field; nothing at the end of a struct.
    fn field(&mut self, id: &mut i16) -> Result<Option<u8>> {
        let byte = self.byte()?;
        let (step, kind) = (i16::from(byte >> 4), byte & 0xf);
        if kind == 0 {
            return Ok(None);
        }
        *id = match step {
            0 => i16::try_from(self.int()?).map_err(|_| malformed())?,
            _ => id.checked_add(step).ok_or_else(malformed)?,
        };
        Ok(Some(kind))
    }

    /// A struct whose fields up to `ints` are numbers and up to `bools` truth values. The parquet crate passes over the others.
    fn structure(&mut self, ints: i16, bools: i16) -> Result<()> {
        let mut id = 0;
        while let Some(kind) = self.field(&mut id)? {
            match kind {
                I32 if (1..=ints).contains(&id) => drop(self.int()?),
                _ if (1..=ints).contains(&id) => return Err(malformed()),
                _ if (1..=bools).contains(&id) && !BOOL.contains(&kind) => return Err(malformed()),
                _ => self.skip(kind, 0)?,
            }
        }
        Ok(())
    }

    /// Passes over a value, as the parquet crate does: truth values have no bytes even within lists.
    fn skip(&mut self, kind: u8, depth: u8) -> Result<()> {
        if depth > DEPTH {
            return Err(malformed());
        }
        match kind {
            1 | 2 => Ok(()),
            3 => self.pass(1),
            4..=6 => self.varint().map(drop),
            7 => self.pass(8),
            8 => self.varint().and_then(|count| self.pass(count)),
            12 => {
                let mut id = 0;
                while let Some(kind) = self.field(&mut id)? {
                    self.skip(kind, depth + 1)?;
                    id = 0;
                }
                Ok(())
            }
            // No page has lists, and one of truth values would take no bytes.
            _ => Err(malformed()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_with_what_stands_in_it_and_no_further() {
        let head =
            [0x15, 0, 0x15, 0x80, 1, 0x15, 20, 0x2c, 0x15, 16, 0x15, 0, 0x15, 6, 0x15, 6, 0x1c, 0x18, 2, 7, 7, 0, 0, 0];
        let file = [&head[..], b"page"].concat();
        assert_eq!(read_head(&file[..]).unwrap(), PageHead { uncompressed: 64, compressed: 10, bytes: head.to_vec() });
        for end in 0..head.len() {
            assert!(read_head(&head[..end]).is_err(), "{end}");
        }
    }

    #[test]
    fn a_head_that_two_readers_could_take_for_two_is_refused() {
        // sizes as i64 or negative, and a head of data whose count is a text
        for head in [
            &[0x15, 0, 0x16, 8, 0x15, 8, 0][..],
            &[0x15, 0, 0x15, 1, 0x15, 8, 0],
            &[0x15, 0, 0x15, 8, 0x15, 8, 0x2c, 0x18, 0, 0, 0],
        ] {
            assert!(read_head(head).is_err(), "{head:?}");
        }
    }
}
