//! The streams of a session: which rows each has, and for how long.

use crate::content::Content;
use crate::fault::{Failure, Faults, failure};
use prost_types::Timestamp;
use std::ops::Range;
use std::sync::Arc;
use std::time::SystemTime;
use tonic::Status;

/// Some rows of what a session reads.
pub(crate) struct Stream {
    pub(crate) name: String,
    pub(crate) content: Arc<Content>,
    pub(crate) rows: Range<usize>,
    pub(crate) faults: Faults,
    /// Of what is random in its faults.
    pub(crate) seed: u64,
    pub(crate) expires: SystemTime,
}

impl Stream {
    /// The row at which reading begins, counted from the stream's first.
    pub(crate) fn start(&self, offset: i64) -> Result<usize, Status> {
        self.alive()?;
        usize::try_from(offset).ok().filter(|offset| *offset <= self.rows.len()).ok_or_else(|| {
            let name = &self.name;
            Status::failed_precondition(format!(
                "there was an error operating on '{name}': offset {offset} is out of range"
            ))
        })
    }

    /// Refuses what is asked of a session that is over.
    pub(crate) fn alive(&self) -> Result<(), Status> {
        if SystemTime::now() < self.expires {
            return Ok(());
        }
        let seconds = Timestamp { nanos: 0, ..self.expires.into() };
        Err(failure::expired(&self.name, &seconds.to_string().replace('Z', "+00:00")))
    }

    pub(crate) fn status(&self, failure: Failure) -> Status {
        failure.status(&self.name, "bigquery.readsessions.getData")
    }

    /// How much of the stream lies before a row.
    pub(crate) fn progress(&self, row: usize) -> f64 {
        row as f64 / self.rows.len().max(1) as f64
    }

    /// Where a message that begins at a row ends.
    pub(crate) fn message_end(&self, row: usize) -> usize {
        let end = self.content.message_end(self.rows.start + row).min(self.rows.end) - self.rows.start;
        self.faults.next_row(row).map_or(end, |next| next.min(end))
    }

    /// Rows of the stream as rows of the content.
    pub(crate) fn within(&self, rows: Range<usize>) -> Range<usize> {
        self.rows.start + rows.start..self.rows.start + rows.end
    }
}
