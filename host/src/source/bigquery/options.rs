//! How a table of BigQuery is read.

use crate::{Error, Result};
use google_cloud_wkt::Timestamp;
use std::path::PathBuf;
use std::time::Duration;

/// How a table is read; the defaults read all of it, as it is now, with the credentials that this machine has.
#[derive(Clone, Debug)]
pub struct BigQueryOptions {
    /// The columns, where a field of a struct is `column.field`; all of them where there are none.
    pub columns: Vec<String>,
    /// A condition on rows, in the words of SQL.
    pub filter: Option<String>,
    /// The table's state at this time; the time at which the source is opened where it is not given.
    pub snapshot: Option<Timestamp>,
    /// The project that pays.
    pub billing_project: Option<String>,
    /// Who asks, and whom.
    pub access: Access,
    /// Where queries run, such as `EU`; where their tables are by default.
    pub location: Option<String>,
    /// Whether the Storage API is used.
    pub storage_api: bool,
    /// Streams of a session at most.
    pub max_streams: u16,
    /// Bytes that all passes together may be billed for.
    pub max_bytes: Option<u64>,
    /// How buffers are compressed on their way.
    pub compression: BufferCompression,
    /// Bytes of rows that are fetched before they are asked for.
    pub read_ahead: usize,
    /// How long a stream may be silent before it is opened anew.
    pub silence: Duration,
    /// How long a stream is tried again and again, without a row in between, before it is given up.
    pub patience: Duration,
}

/// Who asks, and whom.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// Who asks.
    pub credentials: CredentialsFrom,
    /// A service account in whose name the others ask.
    pub impersonate: Option<String>,
    /// Another address of the Storage API, such as `http://127.0.0.1:9060`.
    pub storage_endpoint: Option<String>,
    /// Another address of the REST API.
    pub rest_endpoint: Option<String>,
}

/// Where credentials come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum CredentialsFrom {
    /// What Google calls Application Default Credentials.
    #[default]
    Environment,
    /// A file such as a service account's key.
    File(PathBuf),
    /// There are none.
    Anonymous,
}

/// The compression of buffers within Arrow messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BufferCompression {
    /// None.
    #[default]
    None,
    /// Fast: for networks slower than about a gigabit per second.
    Lz4,
    /// Small.
    Zstd,
}

/// Streams of a session: the same on every machine, as the order of rows depends on it.
pub const MAX_STREAMS: u16 = 16;

/// Streams that a session may be asked for: each has a connection of its own.
pub const MOST_STREAMS: u16 = 256;

/// Rows that are fetched before they are asked for.
const READ_AHEAD: usize = 256 << 20;

/// Longer than the server needs to begin with a row of a selective filter, as far as it is known.
const SILENCE: Duration = Duration::from_secs(120);

/// Long enough for the outages that happen, short enough that somebody looks after a run that hangs.
const PATIENCE: Duration = Duration::from_secs(900);

impl Default for BigQueryOptions {
    fn default() -> Self {
        Self {
            columns: Vec::new(),
            filter: None,
            snapshot: None,
            billing_project: None,
            access: Access::default(),
            location: None,
            storage_api: true,
            max_streams: MAX_STREAMS,
            max_bytes: None,
            compression: BufferCompression::default(),
            read_ahead: READ_AHEAD,
            silence: SILENCE,
            patience: PATIENCE,
        }
    }
}

/// Parses a time such as `2026-11-01T08:30:00Z`.
///
/// # Errors
/// Where it is none.
pub fn parse_snapshot(text: &str) -> Result<Timestamp> {
    Timestamp::try_from(text).map_err(|error| {
        Error::usage(format!("`{text}` is no time")).because(error).hint("write it as `2026-11-01T08:30:00Z`")
    })
}
