//! The bytes of one column chunk. The head of each page is looked at before the parquet crate makes room for what it says.

use super::header::read_head;
use crate::source::input::{ChunkRead, Chunks};
use bytes::Bytes;
use parquet::basic::Compression;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::reader::{ChunkReader, Length};
use std::io::{BufReader, Cursor, Read};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes that a page may have whatever its footer says: some writers count wrong.
const UNACCOUNTED: u64 = 8 << 20;

/// Bytes of most heads.
const HEAD: usize = 256;

/// One chunk's part of a file.
pub(super) struct ChunkBytes {
    file: Arc<Chunks>,
    /// Bytes of all pages, uncompressed, as their footer has it.
    whole: u64,
    /// How many bytes one may become.
    ratio: u64,
    /// The page whose head was read last, until it is read itself: where it begins, and its bytes.
    page: Mutex<Option<(u64, u64)>>,
}

impl ChunkBytes {
    pub(super) fn new(file: Arc<Chunks>, chunk: &ColumnChunkMetaData) -> Self {
        let whole = u64::try_from(chunk.uncompressed_size()).unwrap_or(0);
        Self { file, whole, ratio: ratio(chunk), page: Mutex::default() }
    }

    fn check(&self, uncompressed: u64, compressed: u64) -> Result<()> {
        if self.ratio == 1 {
            // no room is made for what it says
            return Ok(());
        }
        if uncompressed > self.whole.max(UNACCOUNTED) {
            let message =
                format!("a page says that it has {uncompressed} bytes, its footer that all have {}", self.whole);
            return Err(ParquetError::General(message));
        }
        if uncompressed > compressed.saturating_mul(self.ratio).saturating_add(HEAD as u64) {
            let message = format!("a page says that its {compressed} bytes become {uncompressed}, which they cannot");
            return Err(ParquetError::General(message));
        }
        Ok(())
    }
}

/// How many bytes one may become: what the formats can do at the best.
fn ratio(chunk: &ColumnChunkMetaData) -> u64 {
    match chunk.compression() {
        Compression::UNCOMPRESSED => 1,
        // a copy of 64 bytes in 3
        Compression::SNAPPY => 22,
        // a copy of 255 in 1
        Compression::LZ4 | Compression::LZ4_RAW => 256,
        Compression::GZIP(_) => 1 << 11,
        // a block of 128 KiB in 4
        _ => 1 << 16,
    }
}

/// Bytes of a chunk's pages at most, uncompressed, in a file of `length` bytes.
pub(super) fn held(chunk: &ColumnChunkMetaData, length: u64) -> u64 {
    let size = |bytes| u64::try_from(bytes).unwrap_or(0);
    let stored = size(chunk.compressed_size()).min(length);
    size(chunk.uncompressed_size()).min(stored.saturating_mul(ratio(chunk)))
}

impl Length for ChunkBytes {
    fn len(&self) -> u64 {
        self.file.len()
    }
}

impl ChunkReader for ChunkBytes {
    type T = Cursor<Vec<u8>>;

    /// The head of the page at `start`. Where that is the page itself, whose head was read before, its bytes come by the other way.
    fn get_read(&self, start: u64) -> Result<Cursor<Vec<u8>>> {
        let mut page = self.page.lock().unwrap_or_else(PoisonError::into_inner);
        if page.is_some_and(|(begin, _)| begin == start) {
            return Ok(Cursor::default());
        }
        let head = match &*self.file {
            Chunks::File(file) => read_head(BufReader::with_capacity(HEAD, At { file, position: start })),
            Chunks::Object(regions, _) => read_head(ChunkRead::Object(Arc::clone(regions), start)),
        };
        let head =
            head.map_err(|error| ParquetError::General(format!("the head of a page cannot be read: {error}")))?;
        self.check(head.uncompressed, head.compressed)?;
        *page = Some((start.saturating_add(head.bytes.len() as u64), head.compressed));
        Ok(Cursor::new(head.bytes))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        let page = self.page.lock().unwrap_or_else(PoisonError::into_inner).take();
        if page != Some((start, length as u64)) {
            return Err(ParquetError::General("the head of a page can be read in two ways".to_owned()));
        }
        if length as u64 > UNACCOUNTED && start.saturating_add(length as u64) > self.file.len() {
            return Err(ParquetError::General(format!(
                "a page says that it has {length} bytes, which the file has not"
            )));
        }
        self.file.get_bytes(start, length)
    }
}

/// A file from a position on.
struct At<'a> {
    file: &'a std::fs::File,
    position: u64,
}

impl Read for At<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.file.read_at(buffer, self.position)?;
        self.position = self.position.saturating_add(read as u64);
        Ok(read)
    }
}
