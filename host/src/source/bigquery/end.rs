//! Whether a stream that ended did so at its last row.

use super::explain::{BROKEN, Refusal};
use super::stream::{StreamReader, Trouble, is_expired};
use crate::{Error, Result};
use google_cloud_gax::error::rpc::Code;
use tokio::time::timeout;

/// What is known of a stream's end.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The server refuses what is beyond it.
    Confirmed,
    /// The server takes any offset, and says nothing against it.
    Unknown,
}

/// What a look at the rows from some offset on found.
#[derive(Debug, PartialEq, Eq)]
enum Probe {
    Rows,
    End,
    /// The stream has no such row.
    Beyond,
}

impl StreamReader {
    /// Makes sure that a stream which ended did so at its last row: BigQuery refuses offsets beyond that.
    pub(super) async fn check_end(&mut self) -> Result<Result<End, Trouble>> {
        let mut found = Vec::new();
        for beyond in 0..=2 {
            match self.probe(self.row + beyond).await {
                Ok(Probe::Rows) => return Ok(Err(Trouble::Truncated)),
                Ok(probe) => found.push(probe),
                Err(trouble) => return Ok(Err(trouble)),
            }
            match found.as_slice() {
                [Probe::Beyond] => {
                    return Err(self.place(Error::source("the stream gave more rows than it has").hint(BROKEN)));
                }
                [Probe::End, Probe::Beyond] => return Ok(Ok(End::Confirmed)),
                // It ends one row further on.
                [Probe::End, Probe::End, Probe::Beyond] => return Ok(Err(Trouble::Truncated)),
                _ => {}
            }
        }
        // Of a server that takes any offset only its own words are known.
        Ok(if self.progress > 0.0 && self.progress < 1.0 { Err(Trouble::Truncated) } else { Ok(End::Unknown) })
    }

    async fn probe(&self, row: u64) -> Result<Probe, Trouble> {
        let refused = |refusal: Refusal| match refusal.status().map(|status| status.code) {
            Some(Code::FailedPrecondition | Code::OutOfRange | Code::InvalidArgument) if !is_expired(&refusal) => {
                Ok(Probe::Beyond)
            }
            _ => Err(Trouble::Refused(refusal)),
        };
        let mut messages = match self.open(row).await {
            Ok(messages) => messages,
            Err(Trouble::Refused(refusal)) => return refused(refusal),
            Err(trouble) => return Err(trouble),
        };
        let silence = self.silence();
        let first = async {
            loop {
                match messages.next().await {
                    None => return Ok(Probe::End),
                    Some(Err(refusal)) => return refused(refusal),
                    Some(Ok(response)) if response.row_count > 0 => return Ok(Probe::Rows),
                    Some(Ok(_)) => {}
                }
            }
        };
        timeout(silence, first).await.unwrap_or(Err(Trouble::Silent(silence)))
    }
}
