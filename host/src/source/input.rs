//! What readers of files read: a file of this machine, or an object of a store.

use crate::store::{Failure, Object, ObjectReader, Regions};
use crate::{Error, Result};
use bytes::Bytes;
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::reader::{ChunkReader, Length};
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::ops::Range;
use std::sync::Arc;

/// Where a file's bytes are, if that is no path of this machine. Two are equal where their files are: by path, size and version.
#[derive(Clone, Debug, Default)]
pub(super) struct Place(pub(super) Option<Object>);

impl PartialEq for Place {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Place {}

/// A file that is open, to be read from its start or from wherever a reader jumps to.
pub(super) enum Input {
    File(File),
    Object(Box<ObjectReader>),
}

impl Input {
    /// What went wrong beneath a decoder that only tells that something did.
    pub(super) fn failure(&self) -> Failure {
        match self {
            Self::File(_) => Failure::default(),
            Self::Object(reader) => reader.failure(),
        }
    }
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.read(buffer),
            Self::Object(reader) => reader.read(buffer),
        }
    }
}

impl Seek for Input {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match self {
            Self::File(file) => file.seek(to),
            Self::Object(reader) => reader.seek(to),
        }
    }
}

/// A Parquet file that is open, of which some parts are read by turns.
pub(super) enum Chunks {
    File(File),
    Object(Arc<Regions>, u64),
}

impl Chunks {
    /// The footer of a file.
    pub(super) fn of_footer(object: &Object) -> Self {
        Self::Object(Arc::new(Regions::of_footer(object)), object.bytes)
    }

    /// The columns of a row group, by their places in the file.
    pub(super) fn of_columns(object: &Object, columns: Vec<Range<u64>>) -> Result<Self> {
        Ok(Self::Object(Arc::new(Regions::of_columns(object, columns)?), object.bytes))
    }

    /// Whether they are fetched whole, to memory or to disk, and as much again may be fetched beside them.
    pub(super) fn leave_room(&self) -> bool {
        matches!(self, Self::Object(regions, _) if regions.are_whole())
    }

    /// As for [`Input::failure`].
    pub(super) fn failure(&self) -> Failure {
        match self {
            Self::File(_) => Failure::default(),
            Self::Object(regions, _) => regions.failure(),
        }
    }
}

impl Length for Chunks {
    fn len(&self) -> u64 {
        match self {
            Self::File(file) => Length::len(file),
            Self::Object(_, bytes) => *bytes,
        }
    }
}

impl ChunkReader for Chunks {
    type T = ChunkRead;

    fn get_read(&self, start: u64) -> ParquetResult<ChunkRead> {
        Ok(match self {
            Self::File(file) => ChunkRead::File(file.get_read(start)?),
            Self::Object(regions, _) => ChunkRead::Object(regions.clone(), start),
        })
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        if let Self::File(file) = self {
            return file.get_bytes(start, length);
        }
        let mut bytes = Vec::new();
        self.get_read(start)?.take(length as u64).read_to_end(&mut bytes)?;
        match bytes.len() == length {
            true => Ok(bytes.into()),
            false => Err(ParquetError::EOF(format!("{length} bytes were expected, {} are there", bytes.len()))),
        }
    }
}

/// Reads a chunk.
pub(super) enum ChunkRead {
    File(BufReader<File>),
    Object(Arc<Regions>, u64),
}

impl Read for ChunkRead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.read(buffer),
            Self::Object(regions, position) => {
                let read = regions.read(*position, buffer)?;
                *position += read as u64;
                Ok(read)
            }
        }
    }
}

/// What went wrong beneath a decoder, or else what it says itself.
pub(super) fn beneath(failure: &Failure, told: impl FnOnce() -> Error) -> Error {
    failure.take().unwrap_or_else(told)
}
