//! Files of a disk become objects: small ones by one request, large ones in parts, a few at a time.

use super::address::Address;
use super::bucket::Bucket;
use super::journal::{Step, Steps};
use super::manifest::{Entry, cannot_read};
use super::progress::Progress;
use crate::{Error, Result};
use object_store::path::Path as Key;
use object_store::{Error as Refusal, ObjectStoreExt, PutPayload};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Bytes of a part, and of a file that needs no parts.
const PART: u64 = 8 << 20;

/// Stores take no more parts than that.
const MOST_PARTS: u64 = 10_000;

/// Parts, and small files, that are on their way at one time: what an upload holds in memory.
const AT_ONCE: usize = 4;

/// Uploads the files of a folder.
pub(super) struct Uploader {
    pub(super) bucket: Arc<Bucket>,
    pub(super) destination: Address,
    pub(super) folder: PathBuf,
    pub(super) steps: Steps,
    pub(super) progress: Arc<dyn Progress>,
}

impl Uploader {
    /// Aborts what earlier processes began and did not end: a store keeps its parts, and has them paid for.
    pub(super) fn abort_earlier(&self) -> Result<()> {
        let complete = self.steps.check();
        for (id, path) in &self.steps.begun {
            let key = self.key(path)?;
            match self.bucket.threads.wait(self.bucket.client.abort_multipart(&key, id))? {
                Ok(()) | Err(Refusal::NotFound { .. }) => self.steps.note(&Step::Ended { id: id.clone() })?,
                Err(refusal) => {
                    return Err(self.bucket.explain("an upload cannot be aborted", key.as_ref(), &refusal));
                }
            }
        }
        complete
    }

    /// Uploads some of the files. The first error ends it; what was uploaded until then stays, and is known.
    pub(super) fn upload(self: &Arc<Self>, files: Vec<Entry>) -> Result<()> {
        let permits = Arc::new(Semaphore::new(AT_ONCE));
        self.bucket.threads.wait(async {
            let (mut waiting, mut under_way) = (files.into_iter(), JoinSet::new());
            loop {
                while under_way.len() < AT_ONCE
                    && let Some(file) = waiting.next()
                {
                    under_way.spawn_on(self.clone().put(file, permits.clone()), &self.bucket.threads.handle);
                }
                match under_way.join_next().await {
                    None => return Ok(()),
                    Some(ended) => ended.unwrap_or_else(|error| Err(ended_early(error)))?,
                }
            }
        })?
    }

    async fn put(self: Arc<Self>, file: Entry, permits: Arc<Semaphore>) -> Result<()> {
        let key = self.key(&file.path)?;
        let tag = match file.bytes <= PART {
            true => {
                let _permit = permits.acquire().await;
                let payload = self.part(&file, 0, file.bytes).await?;
                let put = self.bucket.client.put(&key, payload).await;
                self.progress.advance(file.bytes);
                put.map_err(|refusal| self.refused(&key, &refusal))?.e_tag
            }
            false => self.clone().put_in_parts(&file, &key, permits).await?,
        };
        self.steps.note(&Step::Done { path: file.path, tag })
    }

    async fn put_in_parts(self: Arc<Self>, file: &Entry, key: &Key, permits: Arc<Semaphore>) -> Result<Option<String>> {
        let size = file.bytes.div_ceil(MOST_PARTS).max(PART);
        let client = &self.bucket.client;
        let id = client.create_multipart(key).await.map_err(|refusal| self.refused(key, &refusal))?;
        self.steps.note(&Step::Begun { path: file.path.clone(), id: id.clone() })?;
        let (mut parts, mut put) = (JoinSet::new(), Vec::new());
        for (number, start) in (0..file.bytes).step_by(size as usize).enumerate() {
            // taken before the task is made, so that there are no more tasks than parts in memory
            let permit = permits.clone().acquire_owned().await;
            while let Some(ended) = parts.try_join_next() {
                put.push(ended.unwrap_or_else(|error| Err(ended_early(error)))?);
            }
            let (uploader, file, key, id) = (self.clone(), file.clone(), key.clone(), id.clone());
            parts.spawn(async move {
                let _permit = permit;
                let length = size.min(file.bytes - start);
                let payload = uploader.part(&file, start, length).await?;
                let put = uploader.bucket.client.put_part(&key, &id, number, payload).await;
                uploader.progress.advance(length);
                put.map(|part| (number, part)).map_err(|refusal| uploader.refused(&key, &refusal))
            });
        }
        while let Some(ended) = parts.join_next().await {
            put.push(ended.unwrap_or_else(|error| Err(ended_early(error)))?);
        }
        put.sort_unstable_by_key(|(number, _)| *number);
        let put = put.into_iter().map(|(_, part)| part).collect();
        let completed =
            client.complete_multipart(key, &id, put).await.map_err(|refusal| self.refused(key, &refusal))?;
        self.steps.note(&Step::Ended { id })?;
        Ok(completed.e_tag)
    }

    /// Some bytes of a file.
    async fn part(&self, file: &Entry, start: u64, length: u64) -> Result<PutPayload> {
        let path = self.folder.join(&file.path);
        let read = tokio::task::spawn_blocking(move || {
            let mut bytes = vec![0; length as usize];
            let read = File::open(&path).and_then(|file| file.read_exact_at(&mut bytes, start));
            read.map(|()| bytes).map_err(|error| cannot_read(&path, error))
        });
        Ok(PutPayload::from(read.await.unwrap_or_else(|error| Err(ended_early(error)))?))
    }

    fn key(&self, path: &str) -> Result<Key> {
        self.bucket.key(self.destination.join(path).key())
    }

    fn refused(&self, key: &Key, refusal: &Refusal) -> Error {
        self.bucket.explain("the object cannot be written", key.as_ref(), refusal)
    }
}

fn ended_early(error: tokio::task::JoinError) -> Error {
    Error::internal("an upload ended early").because(error)
}
