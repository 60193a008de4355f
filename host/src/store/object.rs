//! Reading an object as a file is read, over requests for ranges of its bytes.

use super::bucket::{Bucket, Found, get, same};
use super::windows::Rolling;
use crate::{Error, Result};
use bytes::Bytes;
use object_store::Error as Refusal;
use object_store::path::Path as Key;
use std::io;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinHandle};

/// Bytes of a request after a jump: whoever jumps may want little.
pub(crate) const LEAST: u64 = 64 << 10;

/// Bytes of a request where all is read: larger ones are no faster, and one that fails is repeated.
pub(crate) const MOST: u64 = 8 << 20;

/// Requests of a source at one time.
pub(super) const AT_ONCE: usize = 8;

/// What the requests of a source may take, of all its objects together.
#[derive(Debug)]
pub(crate) struct Means {
    /// Bytes that may be fetched before they are asked for.
    pub(super) read_ahead: u64,
    /// A folder with room for a row group, once there is one.
    scratch: OnceLock<PathBuf>,
    requests: Arc<Semaphore>,
    /// Who puts bytes on disk: one row group after the other.
    pub(super) staging: Arc<Semaphore>,
}

impl Means {
    /// With so many bytes of memory.
    pub(crate) fn new(read_ahead: u64) -> Arc<Self> {
        let (scratch, requests) = (OnceLock::new(), Arc::new(Semaphore::new(AT_ONCE)));
        Arc::new(Self { read_ahead, scratch, requests, staging: Arc::new(Semaphore::new(1)) })
    }

    /// Names the folder; the first one counts.
    pub(crate) fn use_folder(&self, folder: &Path) {
        let _ = self.scratch.set(folder.to_owned());
    }

    pub(super) fn scratch(&self) -> Option<&Path> {
        self.scratch.get().map(PathBuf::as_path)
    }
}

/// An object as it was when it was found.
#[derive(Clone, Debug)]
pub(crate) struct Object {
    pub(super) bucket: Arc<Bucket>,
    key: Key,
    tag: Option<String>,
    pub(crate) bytes: u64,
    pub(crate) means: Arc<Means>,
}

/// The errors of a source are those of its decoders, which keep no causes: what went wrong with an object waits here.
#[derive(Clone, Debug, Default)]
pub(crate) struct Failure(Arc<Mutex<Option<Error>>>);

impl Failure {
    /// What went wrong, if anything did.
    pub(crate) fn take(&self) -> Option<Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(super) fn put(&self, error: Error) -> io::Error {
        let message = error.to_string();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        io::Error::other(message)
    }
}

/// Bytes on their way.
type Fetch = JoinHandle<Result<Bytes, Lost>>;

pub(super) enum Lost {
    Refused(Refusal),
    Changed,
    Gone,
}

impl Object {
    pub(crate) fn new(bucket: &Arc<Bucket>, found: &Found, means: &Arc<Means>) -> Result<Self> {
        let (key, tag, bytes) = (bucket.key(&found.key)?, found.tag.clone(), found.bytes);
        Ok(Self { bucket: bucket.clone(), key, tag, bytes, means: means.clone() })
    }

    /// Begins to fetch some bytes.
    pub(super) fn fetch(&self, range: Range<u64>) -> Fetch {
        let Self { bucket, key, tag, bytes, means } = self.clone();
        let (client, requests) = (bucket.client.clone(), means.requests.clone());
        bucket.threads.handle.spawn(async move {
            let _permit = requests.acquire_owned().await;
            let expected = range.end - range.start;
            let (meta, content) =
                get(client.as_ref(), &key, tag.clone(), range).await.map_err(|refusal| match refusal {
                    Refusal::Precondition { .. } | Refusal::NotModified { .. } => Lost::Changed,
                    Refusal::NotFound { .. } => Lost::Gone,
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
        self.fetched(self.bucket.threads.wait(fetch)?)
    }

    /// What came of a request.
    pub(super) fn fetched(&self, fetched: Result<Result<Bytes, Lost>, JoinError>) -> Result<Bytes> {
        match fetched {
            Ok(Ok(bytes)) => Ok(bytes),
            Ok(Err(Lost::Changed)) => Err(Error::source("the object changed while it was read")
                .file(self.bucket.at(self.key.as_ref()).to_string())
                .hint("start again once nothing writes to it")),
            Ok(Err(Lost::Gone)) => Err(Error::source("the object is not there any more")
                .file(self.bucket.at(self.key.as_ref()).to_string())
                .hint("it was when the run began: start again once nothing removes what it reads")),
            Ok(Err(Lost::Refused(refusal))) => {
                Err(self.bucket.explain("the object cannot be read", self.key.as_ref(), &refusal))
            }
            Err(error) => Err(Error::internal("a request ended early").because(error)),
        }
    }
}

/// Bytes of an object that were fetched together, or are being fetched.
pub(super) enum Piece {
    Fetching(Fetch),
    Here(Bytes),
    Lost,
}

impl Piece {
    pub(super) fn bytes(&mut self, object: &Object) -> Result<&Bytes> {
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

impl Piece {
    /// The bytes, for those who wait asynchronously.
    pub(super) async fn arrive(&mut self, object: &Object) -> Result<Bytes> {
        match self {
            Self::Fetching(fetch) => object.fetched(fetch.await),
            Self::Here(bytes) => Ok(bytes.clone()),
            Self::Lost => Err(Error::internal("a request that failed is waited for again")),
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

/// An object as a file that is open.
pub(crate) struct ObjectReader {
    rolling: Rolling,
    bytes: u64,
    position: u64,
    failure: Failure,
}

impl ObjectReader {
    pub(crate) fn new(object: &Object) -> Self {
        let rolling = Rolling::new(object, 0..object.bytes, object.means.read_ahead);
        Self { rolling, bytes: object.bytes, position: 0, failure: Failure::default() }
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
            SeekFrom::End(offset) => self.bytes.checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        self.position = moved.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.position)
    }
}
