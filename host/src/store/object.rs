//! Reading an object as a file is read, over requests for ranges of its bytes.

use super::bucket::{Bucket, Found, get, same};
use crate::{Error, Result};
use bytes::Bytes;
use object_store::Error as Refusal;
use object_store::path::Path as Key;
use std::io;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// Bytes of a request after a jump: whoever jumps may want little.
pub(crate) const LEAST: u64 = 64 << 10;

/// Bytes of a request where all is read: larger ones are no faster, and one that fails is repeated.
pub(crate) const MOST: u64 = 8 << 20;

/// Requests of a source at one time.
const AT_ONCE: usize = 8;

/// An object as it was when it was found.
#[derive(Clone, Debug)]
pub(crate) struct Object {
    bucket: Arc<Bucket>,
    key: Key,
    tag: Option<String>,
    pub(crate) bytes: u64,
    /// Bytes that may be fetched before they are asked for.
    pub(crate) read_ahead: u64,
    requests: Arc<Semaphore>,
}

/// The errors of a source are those of its decoders, which keep no causes: what went wrong with an object waits here.
#[derive(Clone, Debug, Default)]
pub(crate) struct Failure(Arc<Mutex<Option<Error>>>);

impl Failure {
    /// What went wrong, if anything did.
    pub(crate) fn take(&self) -> Option<Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn put(&self, error: Error) -> io::Error {
        let message = error.to_string();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        io::Error::other(message)
    }
}

/// Bytes on their way.
type Fetch = JoinHandle<Result<Bytes, Lost>>;

enum Lost {
    Refused(Refusal),
    Changed,
}

impl Object {
    pub(crate) fn new(bucket: &Arc<Bucket>, found: &Found, read_ahead: u64, requests: &Arc<Semaphore>) -> Result<Self> {
        let (key, tag, bytes) = (bucket.key(&found.key)?, found.tag.clone(), found.bytes);
        Ok(Self { bucket: bucket.clone(), key, tag, bytes, read_ahead, requests: requests.clone() })
    }

    /// What limits the requests of a source.
    pub(crate) fn requests() -> Arc<Semaphore> {
        Arc::new(Semaphore::new(AT_ONCE))
    }

    /// Begins to fetch some bytes.
    fn fetch(&self, range: Range<u64>) -> Fetch {
        let Self { bucket, key, tag, bytes, requests, .. } = self.clone();
        let client = bucket.client.clone();
        bucket.threads.handle.spawn(async move {
            let _permit = requests.acquire_owned().await;
            let expected = range.end - range.start;
            let (meta, content) =
                get(client.as_ref(), &key, tag.clone(), range).await.map_err(|refusal| match refusal {
                    Refusal::Precondition { .. } | Refusal::NotFound { .. } | Refusal::NotModified { .. } => {
                        Lost::Changed
                    }
                    refusal => Lost::Refused(refusal),
                })?;
            // A server may not know conditions.
            match meta.size == bytes && same(&tag, &meta.e_tag) && content.len() as u64 == expected {
                true => Ok(content),
                false => Err(Lost::Changed),
            }
        })
    }

    /// Waits for bytes that were begun to be fetched.
    fn wait(&self, fetch: &mut Fetch) -> Result<Bytes> {
        match self.bucket.threads.wait(fetch)? {
            Ok(Ok(bytes)) => Ok(bytes),
            Ok(Err(Lost::Changed)) => Err(Error::source("the object changed while it was read")
                .file(self.bucket.at(self.key.as_ref()).to_string())
                .hint("start again once nothing writes to it")),
            Ok(Err(Lost::Refused(refusal))) => {
                Err(self.bucket.explain("the object cannot be read", self.key.as_ref(), &refusal))
            }
            Err(error) => Err(Error::internal("a request ended early").because(error)),
        }
    }
}

/// Bytes of an object that were fetched together, or are being fetched.
enum Piece {
    Fetching(Fetch),
    Here(Bytes),
    Lost,
}

impl Piece {
    fn bytes(&mut self, object: &Object) -> Result<&Bytes> {
        if let Self::Fetching(fetch) = self {
            let fetched = object.wait(fetch);
            // a task that has ended must not be waited for again
            *self = fetched.as_ref().map_or(Self::Lost, |bytes| Self::Here(bytes.clone()));
            fetched?;
        }
        match self {
            Self::Here(bytes) => Ok(bytes),
            _ => Err(Error::internal("a request that failed is waited for again")),
        }
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        if let Self::Fetching(fetch) = self {
            fetch.abort();
        }
    }
}

/// Some bytes of an object, all of which are fetched at once and kept.
pub(super) struct Whole {
    object: Object,
    range: Range<u64>,
    pieces: Vec<Piece>,
}

impl Whole {
    pub(super) fn begin(object: &Object, range: Range<u64>) -> Self {
        let starts = (range.start..range.end).step_by(MOST as usize);
        let pieces = starts.map(|start| Piece::Fetching(object.fetch(start..(start + MOST).min(range.end))));
        Self { object: object.clone(), pieces: pieces.collect(), range }
    }

    fn read(&mut self, position: u64, buffer: &mut [u8]) -> Result<usize> {
        let offset = position - self.range.start;
        let Some(piece) = self.pieces.get_mut((offset / MOST) as usize) else { return Ok(0) };
        Ok(copy(piece.bytes(&self.object)?, (offset % MOST) as usize, buffer))
    }
}

/// Some bytes of an object that are read from their start to their end, more or less: a window of them is here, and the next one
/// on its way.
pub(super) struct Rolling {
    object: Object,
    limits: Range<u64>,
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

    fn read(&mut self, position: u64, buffer: &mut [u8]) -> Result<usize> {
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

/// An object as a file that is open.
pub(crate) struct ObjectReader {
    rolling: Rolling,
    position: u64,
    failure: Failure,
}

impl ObjectReader {
    pub(crate) fn new(object: &Object) -> Self {
        let rolling = Rolling::new(object, 0..object.bytes, object.read_ahead);
        Self { rolling, position: 0, failure: Failure::default() }
    }

    /// What decoders are not told.
    pub(crate) fn failure(&self) -> Failure {
        self.failure.clone()
    }
}

impl Read for ObjectReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.rolling.read(self.position, buffer).map_err(|error| self.failure.put(error))?;
        self.position += read as u64;
        Ok(read)
    }
}

impl Seek for ObjectReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let moved = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(offset) => self.rolling.object.bytes.checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        self.position = moved.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.position)
    }
}

/// How some bytes of an object are read.
pub(super) enum Region {
    Whole(Whole),
    Rolling(Rolling),
}

impl Region {
    pub(super) fn range(&self) -> Range<u64> {
        match self {
            Self::Whole(whole) => whole.range.clone(),
            Self::Rolling(rolling) => rolling.limits.clone(),
        }
    }

    fn read(&mut self, position: u64, buffer: &mut [u8]) -> Result<usize> {
        match self {
            Self::Whole(whole) => whole.read(position, buffer),
            Self::Rolling(rolling) => rolling.read(position, buffer),
        }
    }
}

/// Parts of an object, each of which is read in its own way, by turns.
pub(crate) struct Regions {
    /// In ascending order.
    regions: Vec<Mutex<Region>>,
    starts: Vec<u64>,
    whole: bool,
    failure: Failure,
}

impl Regions {
    pub(super) fn new(regions: Vec<Region>) -> Self {
        let starts = regions.iter().map(|region| region.range().start).collect();
        let whole = regions.iter().all(|region| matches!(region, Region::Whole(_)));
        let regions = regions.into_iter().map(Mutex::new).collect();
        Self { regions, starts, whole, failure: Failure::default() }
    }

    /// What decoders are not told.
    pub(crate) fn failure(&self) -> Failure {
        self.failure.clone()
    }

    /// Whether all of them are fetched at once.
    pub(crate) fn are_whole(&self) -> bool {
        self.whole
    }

    /// Reads bytes at a position: as many as there are in one go, and none where nothing was to be read.
    pub(crate) fn read(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let index = self.starts.partition_point(|start| *start <= position);
        let Some(region) = index.checked_sub(1).and_then(|index| self.regions.get(index)) else { return Ok(0) };
        let mut region = region.lock().unwrap_or_else(PoisonError::into_inner);
        if !region.range().contains(&position) {
            return Ok(0);
        }
        region.read(position, buffer).map_err(|error| self.failure.put(error))
    }
}
