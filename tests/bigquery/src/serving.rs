//! How tables are served: streams, messages, the life of sessions, and what goes wrong on purpose.

use crate::fault::{Fault, Plan, SessionFault};
use clap::{Args, value_parser};
use std::time::Duration;

/// How tables are served.
#[derive(Clone, Debug, Args)]
pub(crate) struct Serving {
    /// Streams of a session at most, whatever a client asks for
    #[arg(long, default_value_t = 1_000)]
    pub(crate) max_streams: usize,
    /// Streams without rows that a session has besides: reading one ends at once, with no schema
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) empty_streams: usize,
    /// Rows of a message at most
    #[arg(long, value_name = "ROWS", default_value_t = 1_000, value_parser = at_least_one)]
    pub(crate) message_rows: usize,
    /// Bytes of a message at most, but for a row that is larger, instead of a number of rows
    #[arg(long, value_name = "BYTES", conflicts_with = "message_rows")]
    pub(crate) message_bytes: Option<usize>,
    /// Seconds that a session lives; then its streams are FAILED_PRECONDITION
    #[arg(long, value_name = "SECONDS", default_value_t = 6 * 60 * 60, value_parser = value_parser!(u64).range(..=1 << 32))]
    session_seconds: u64,
    /// What goes wrong in ReadRows, as STREAM:ROW:KIND; may be given several times
    ///
    /// STREAM is the index of a stream in its session, or `*` for each. ROW is how many rows of the stream are sent before the
    /// fault strikes; a message ends there. Beyond the last row it strikes after that, before the clean end. `KIND*N` strikes the
    /// first N calls that reach the row, `KIND**` all, KIND alone the first. Each stream of a session counts for itself, and a
    /// stream that was split off has the next free index.
    ///
    /// KIND is one of these:
    ///
    /// - a status: unavailable, internal, aborted, cancelled, deadline-exceeded, unknown, permission-denied, not-found,
    ///   unauthenticated, session-expired, resource-exhausted, or resource-exhausted=MILLISECONDS with RetryInfo.
    ///   A call that begins at the row fails at once, without a message
    ///
    /// - rst-stream: HTTP/2 resets the stream; tcp-reset: the connection is reset after half of a message; tcp-close: it is
    ///   closed after a message
    ///
    /// - stall: nothing more is sent; stall-connect: a call that begins at the row is never answered;
    ///   slow=BYTES: so many bytes per second from here on
    ///
    /// - end: a clean end too early; end-lying: the same, and the last message says that the stream is complete
    ///
    /// - throttle=PERCENT: messages say so from here on; schema-only: a message with a schema alone; empty: one with nothing;
    ///   repeat: the last message is sent once more
    ///
    /// - in the next message: corrupt (bits are flipped), truncated (half is missing), garbage (random bytes), rows-lie (one row
    ///   more is promised), negative-rows, schema-change (the first column has another type), schema-change-silent (and
    ///   no schema says so), bomb (a compressed buffer claims a length of 2^40)
    #[arg(long = "fault", value_name = "STREAM:ROW:KIND", value_parser = Fault::parse)]
    faults: Vec<Fault>,
    /// Without --fault: zero to three faults per stream from which a reader can recover, each striking one to three times; with
    /// it: chooses the bits that `corrupt` flips
    #[arg(long, value_name = "SEED")]
    fault_seed: Option<u64>,
    /// The faults of --fault-seed have no stalls, so that a test is quick
    #[arg(long)]
    fault_stall_free: bool,
    /// What goes wrong in CreateReadSession: a status of --fault, or `stall`; `KIND*N` for the first N calls, `KIND**` for all
    #[arg(long = "session-fault", value_name = "KIND", value_parser = SessionFault::parse)]
    pub(crate) session_faults: Vec<SessionFault>,
}

impl Serving {
    pub(crate) fn lifetime(&self) -> Duration {
        Duration::from_secs(self.session_seconds)
    }

    /// What the streams of each session suffer.
    pub(crate) fn plan(&self) -> Plan {
        match self.fault_seed {
            Some(seed) if self.faults.is_empty() => Plan::Random { seed, stalls: !self.fault_stall_free },
            _ => Plan::Given(self.faults.clone()),
        }
    }

    pub(crate) fn seed(&self) -> u64 {
        self.fault_seed.unwrap_or(0)
    }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(rows @ 1..) => Ok(rows),
        _ => Err("a message has at least one row".to_owned()),
    }
}
