//! The streams of a session: which rows each has, and for how long.

use crate::content::Content;
use crate::fault::{Failure, Faults};
use prost_types::Timestamp;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::SystemTime;
use tonic::Status;

/// Some rows of what a session reads.
pub(crate) struct Stream {
    pub(crate) name: String,
    pub(crate) session: Arc<Session>,
    /// Of the table.
    pub(crate) table_rows: Range<usize>,
    /// Of the content.
    pub(crate) rows: Range<usize>,
    pub(crate) faults: Faults,
    /// Of what is random in its faults.
    pub(crate) seed: u64,
}

/// What the streams of a session share.
pub(crate) struct Session {
    pub(crate) name: String,
    pub(crate) content: Arc<Content>,
    pub(crate) expires: SystemTime,
    /// How many streams it has had.
    pub(crate) streams: AtomicUsize,
}

impl Stream {
    /// The row at which reading begins, counted from the stream's first.
    pub(crate) fn start(&self, offset: i64) -> Result<usize, Status> {
        self.alive()?;
        usize::try_from(offset).ok().filter(|offset| *offset <= self.rows.len()).ok_or_else(|| {
            Status::failed_precondition(format!("{}: offset {offset} is out of range", self.operating()))
        })
    }

    /// Refuses what is asked of a session that is over.
    pub(crate) fn alive(&self) -> Result<(), Status> {
        if SystemTime::now() < self.session.expires {
            return Ok(());
        }
        let seconds = Timestamp { nanos: 0, ..self.session.expires.into() }.to_string().replace('Z', "+00:00");
        Err(Status::failed_precondition(format!("{}: session expired at {seconds}", self.operating())))
    }

    pub(crate) fn status(&self, failure: Failure) -> Status {
        failure.status(&self.operating(), &self.name, "bigquery.readsessions.getData")
    }

    /// How Google's messages about a stream begin.
    fn operating(&self) -> String {
        format!("there was an error operating on '{}'", self.name)
    }

    /// How much of the stream lies before a row.
    pub(crate) fn progress(&self, row: usize) -> f64 {
        // What was left out of the table counts as well: before the first row nothing is done, after the last row all is.
        let passed = match row {
            0 => 0,
            row if row == self.rows.len() => self.table_rows.len(),
            row => self.session.content.place(self.rows.start + row) - self.table_rows.start,
        };
        passed as f64 / self.table_rows.len().max(1) as f64
    }

    /// Where a message that begins at a row ends.
    pub(crate) fn message_end(&self, row: usize) -> usize {
        let end = self.session.content.message_end(self.rows.start + row).min(self.rows.end) - self.rows.start;
        self.faults.next_row(row).map_or(end, |next| next.min(end))
    }

    /// Divides the table's rows of the stream at a fraction, unless one part had none.
    pub(crate) fn split(&self, fraction: f64) -> Option<[Range<usize>; 2]> {
        let Range { start, end } = self.table_rows;
        let middle = start + ((end - start) as f64 * fraction) as usize;
        (start < middle && middle < end).then_some([start..middle, middle..end])
    }

    /// Rows of the stream as rows of the content.
    pub(crate) fn within(&self, rows: Range<usize>) -> Range<usize> {
        self.rows.start + rows.start..self.rows.start + rows.end
    }
}
