//! Some bytes of an object on this machine's disk, where neither all of them fit into memory nor a fair window of each column: they are
//! fetched in few large requests, put into a file, and read from there.

use super::object::{AT_ONCE, LEAST, MOST, Object, Piece};
use crate::{Error, Result};
use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Some bytes of an object that are being put on disk, in order.
pub(super) struct Staged {
    object: Object,
    file: Arc<File>,
    /// What is fetched by one request each, in ascending order.
    pieces: Vec<Range<u64>>,
    /// How many of them are on disk.
    here: watch::Receiver<usize>,
    /// Nothing once it has failed.
    task: Option<JoinHandle<Result<()>>>,
    folder: PathBuf,
}

impl Staged {
    /// Of these ranges, which do not overlap, in a file without a name in `folder`: no crash leaves it behind.
    pub(super) fn begin(object: &Object, ranges: &[Range<u64>], folder: &Path) -> Result<Self> {
        let folder = folder.to_owned();
        let file = Arc::new(tempfile::tempfile_in(&folder).map_err(|error| cannot_write(&folder, error))?);
        let (size, at_once) = requests(object.means.read_ahead / 2);
        let pieces = cut(ranges, size);
        let (told, here) = watch::channel(0);
        let staging = stage(object.clone(), pieces.clone(), at_once, file.clone(), folder.clone(), told);
        let task = Some(object.bucket.threads.handle.spawn(staging));
        Ok(Self { object: object.clone(), file, pieces, here, task, folder })
    }

    /// From the first byte to the last.
    pub(super) fn range(&self) -> Range<u64> {
        base(&self.pieces)..self.pieces.last().map_or(0, |piece| piece.end)
    }

    pub(super) fn read(&mut self, position: u64, buffer: &mut [u8]) -> Result<usize> {
        let index = self.pieces.partition_point(|piece| piece.end <= position);
        let Some(piece) = self.pieces.get(index).filter(|piece| piece.contains(&position)) else { return Ok(0) };
        let length = usize::try_from(piece.end - position).unwrap_or(usize::MAX).min(buffer.len());
        self.wait_for(index)?;
        let buffer = &mut buffer[..length];
        let read = self.file.read_exact_at(buffer, position - base(&self.pieces));
        read.map(|()| length)
            .map_err(|error| Error::source("what was fetched cannot be read").file(&self.folder).because(error))
    }

    /// Waits until a piece is on disk.
    fn wait_for(&mut self, index: usize) -> Result<()> {
        let threads = &self.object.bucket.threads;
        if threads.wait(self.here.wait_for(|here| *here > index))?.is_ok() {
            return Ok(());
        }
        // it has ended before, so that it tells why
        let ended = self.task.take().map(|task| threads.wait(task)).transpose()?;
        match ended {
            Some(Ok(Err(error))) => Err(error),
            Some(Err(error)) => Err(Error::internal("what fetches an object ended early").because(error)),
            _ => Err(Error::internal("a request that failed is waited for again")),
        }
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// Bytes of a request and requests at one time, of which so many bytes are in memory at most.
fn requests(memory: u64) -> (u64, usize) {
    // two at least, so that the next one is on its way while one is written
    let size = (memory / 2).clamp(LEAST, MOST);
    let at_once = usize::try_from(memory / size).unwrap_or(AT_ONCE);
    (size, at_once.clamp(1, AT_ONCE))
}

fn cut(ranges: &[Range<u64>], size: u64) -> Vec<Range<u64>> {
    let pieces = |range: &Range<u64>| {
        let end = range.end;
        (range.start..end).step_by(size as usize).map(move |start| start..start.saturating_add(size).min(end))
    };
    ranges.iter().flat_map(pieces).collect()
}

/// The place of a byte in the file is that in the object behind the first one: what lies between ranges stays a hole.
fn base(pieces: &[Range<u64>]) -> u64 {
    pieces.first().map_or(0, |piece| piece.start)
}

async fn stage(
    object: Object,
    pieces: Vec<Range<u64>>,
    at_once: usize,
    file: Arc<File>,
    folder: PathBuf,
    told: watch::Sender<usize>,
) -> Result<()> {
    let _alone = object.means.staging.clone().acquire_owned().await;
    let (base, mut waiting, mut under_way) = (base(&pieces), pieces.into_iter(), VecDeque::new());
    loop {
        while under_way.len() < at_once
            && let Some(piece) = waiting.next()
        {
            under_way.push_back((piece.start - base, Piece::Fetching(object.fetch(piece))));
        }
        let Some((offset, piece)) = under_way.front_mut() else { return Ok(()) };
        let (offset, file) = (*offset, file.clone());
        let bytes = piece.arrive(&object).await?;
        let written = tokio::task::spawn_blocking(move || file.write_all_at(&bytes, offset)).await;
        written.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(|error| cannot_write(&folder, error))?;
        under_way.pop_front();
        told.send_modify(|here| *here += 1);
    }
}

fn cannot_write(folder: &Path, error: io::Error) -> Error {
    Error::output("the columns of a row group cannot be kept on disk while they are read")
        .file(folder)
        .because(error)
        .hint("make room on that disk, write to another one with `--out` or `--work`, or raise `--memory`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_cut_into_requests_and_those_of_one_time_fit_into_memory() {
        assert_eq!(cut(&[5..26, 30..31], 10), [5..15, 15..25, 25..26, 30..31]);
        assert_eq!(requests(32 << 20), (8 << 20, 4));
        assert_eq!(requests(1 << 30), (8 << 20, AT_ONCE));
        assert_eq!(requests(4 << 20), (2 << 20, 2));
        assert_eq!(requests(0), (LEAST, 1));
    }
}
