//! Read sessions: what is read of a table, in which streams.

use super::TableName;
use super::connector::Connector;
use super::explain::{BROKEN, Refusal};
use super::options::{BigQueryOptions, BufferCompression};
use crate::ipc::{MOST_COLUMNS, decode_schema};
use crate::{Error, Result};
use arrow_schema::SchemaRef;
use google_cloud_bigquery::model::arrow_serialization_options::CompressionCodec;
use google_cloud_bigquery::model::read_session::{Schema as SentSchema, TableModifiers, TableReadOptions};
use google_cloud_bigquery::model::{ArrowSerializationOptions, DataFormat, ReadSession};
use google_cloud_bigquery::read::retry_policy::RetryableErrors;
use google_cloud_gax::exponential_backoff::ExponentialBackoffBuilder;
use google_cloud_gax::options::RequestOptionsBuilder;
use google_cloud_gax::retry_policy::RetryPolicyExt;
use google_cloud_wkt::Timestamp;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Who tells people which program a session belongs to.
const TRACE: &str = concat!("wafermill:", env!("CARGO_PKG_VERSION"));

/// How often a session is asked for where somebody waits to see anything at all: where nobody listens this ends after about three
/// seconds.
const ATTEMPTS: u32 = 5;

/// Rows from which on a stream is worth a split.
const LONG: u64 = 100_000;

/// How long a stream's split is waited for.
const SPLIT: Duration = Duration::from_secs(20);

/// Bytes of a stream's name.
const NAME: usize = 1_024;

/// How long BigQuery's sessions last.
const LIFETIME: Duration = Duration::from_secs(6 * 60 * 60);

/// A session that was created.
#[derive(Debug)]
pub(super) struct Session {
    /// As it was sent: streams repeat it.
    pub(super) serialized_schema: Vec<u8>,
    pub(super) schema: SchemaRef,
    /// The streams' names.
    pub(super) streams: Vec<String>,
    /// Rows of the table before any filter, as far as BigQuery knows.
    pub(super) rows: u64,
    /// Bytes that are billed when all of it is read, as far as BigQuery knows.
    pub(super) bytes: u64,
    /// When its streams can no longer be read.
    pub(super) expires: SystemTime,
}

/// What a session is asked for.
pub(super) struct SessionRequest<'a> {
    pub(super) table: &'a TableName,
    pub(super) billing_project: &'a str,
    /// All of them where there are none.
    pub(super) fields: Vec<String>,
    pub(super) filter: Option<&'a str>,
    pub(super) snapshot: Option<Timestamp>,
    pub(super) options: &'a BigQueryOptions,
}

/// How long a session is asked for, while BigQuery fails in a way that passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Retry {
    /// Somebody sits before a terminal.
    Briefly,
    /// Hours of work would be lost: as long as streams are tried.
    Patiently,
}

impl SessionRequest<'_> {
    /// Creates the session.
    ///
    /// # Errors
    /// What BigQuery refuses; what it sends in vain is an error of its own.
    pub(super) async fn create(self, connector: &Connector, retry: Retry) -> Result<Result<Session>, Refusal> {
        let options = self.options;
        let codec = match options.compression {
            BufferCompression::None => CompressionCodec::CompressionUnspecified,
            BufferCompression::Lz4 => CompressionCodec::Lz4Frame,
            BufferCompression::Zstd => CompressionCodec::Zstd,
        };
        let read_options = TableReadOptions::new()
            .set_selected_fields(self.fields)
            .set_row_restriction(self.filter.unwrap_or_default())
            .set_arrow_serialization_options(ArrowSerializationOptions::new().set_buffer_compression(codec));
        let mut session = ReadSession::new()
            .set_table(self.table.resource())
            .set_data_format(DataFormat::Arrow)
            .set_trace_id(TRACE)
            .set_read_options(read_options);
        if let Some(snapshot) = self.snapshot {
            session = session.set_table_modifiers(TableModifiers::new().set_snapshot_time(snapshot));
        }
        let backoff = ExponentialBackoffBuilder::new().with_initial_delay(Duration::from_millis(200)).clamp();
        let client = connector.connect().await?;
        let request = client
            .create_read_session()
            .set_parent(format!("projects/{}", self.billing_project))
            .set_read_session(session)
            .set_max_stream_count(options.max_streams)
            .with_attempt_timeout(options.silence)
            .with_backoff_policy(backoff);
        let request = match retry {
            Retry::Briefly => request.with_retry_policy(RetryableErrors.with_attempt_limit(ATTEMPTS)),
            Retry::Patiently => request.with_retry_policy(RetryableErrors.with_time_limit(options.patience)),
        };
        let session = request.send().await?;
        Ok(Session::of(session, options.max_streams))
    }
}

impl Session {
    fn of(sent: ReadSession, max_streams: u16) -> Result<Self> {
        let broken = |message: &str| Error::source(format!("a session {message}")).hint(BROKEN);
        let Some(SentSchema::ArrowSchema(schema)) = &sent.schema else {
            return Err(broken("came without an Arrow schema"));
        };
        let serialized_schema = schema.serialized_schema.to_vec();
        let schema = decode_schema(&serialized_schema, MOST_COLUMNS)
            .map_err(|error| broken("has a damaged schema").because(error))?;
        if sent.streams.len() > usize::from(max_streams) {
            return Err(broken("has more streams than were asked for"));
        }
        if !are_names(sent.streams.iter().map(|stream| stream.name.as_str())) {
            return Err(Error::source("a session has a stream without a name of its own").hint(BROKEN));
        }
        let longest = SystemTime::now() + LIFETIME;
        Ok(Self {
            schema: Arc::new(schema),
            serialized_schema,
            streams: sent.streams.into_iter().map(|stream| stream.name).collect(),
            rows: u64::try_from(sent.estimated_row_count).unwrap_or(0),
            bytes: u64::try_from(sent.estimated_total_bytes_scanned).unwrap_or(0),
            expires: sent.expire_time.and_then(|time| SystemTime::try_from(time).ok()).unwrap_or(longest).min(longest),
        })
    }
}

impl Session {
    /// The streams, some split in halves where the session has fewer than were asked for and they are long. Only now, as long as
    /// nothing was read: a split of a stream that lags behind would make the order of rows depend on time. Where it does not work, the
    /// streams are what they were: that is only slower.
    pub(super) async fn split(&self, connector: &Connector, wanted: usize) -> Vec<String> {
        let mut streams = self.streams.clone();
        let Ok(client) = connector.connect().await else { return streams };
        while streams.len() < wanted && self.rows / (streams.len() as u64).max(1) >= LONG {
            let mut room = wanted - streams.len();
            let before = streams.len();
            let mut halves = Vec::new();
            for name in &streams {
                let answer = match room {
                    0 => None,
                    _ => client
                        .split_read_stream()
                        .set_name(name)
                        .set_fraction(0.5)
                        .with_attempt_timeout(SPLIT)
                        .with_retry_policy(RetryableErrors.with_attempt_limit(ATTEMPTS))
                        .send()
                        .await
                        .ok(),
                };
                match answer.and_then(|answer| answer.primary_stream.zip(answer.remainder_stream)) {
                    Some((primary, remainder)) => {
                        halves.extend([primary.name, remainder.name]);
                        room -= 1;
                    }
                    None => halves.push(name.clone()),
                }
            }
            if halves.len() == before || !are_names(halves.iter().map(String::as_str)) {
                break;
            }
            streams = halves;
        }
        streams
    }
}

/// Whether these can be the names of streams, each one of its own.
fn are_names<'a>(names: impl Iterator<Item = &'a str>) -> bool {
    let mut known = HashSet::new();
    let is_name = |name: &str| !name.is_empty() && name.len() <= NAME && !name.contains(char::is_control);
    names.into_iter().all(|name| is_name(name) && known.insert(name))
}
