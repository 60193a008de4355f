//! Read sessions: what is read of which table, in how many streams.

use crate::catalog::{Catalog, Entry, Table, TableName};
use crate::content::{Codec, Content, Length};
use crate::fault::{Failure, Plan};
use crate::filter::Filter;
use crate::random::Random;
use crate::selection::Selection;
use crate::serving::Serving;
use crate::stream::{Session, Stream};
use googleapis_tonic_google_cloud_bigquery_storage_v1::google::cloud::bigquery::storage::v1 as api;
use prost_types::Timestamp;
use std::collections::HashMap;
use std::collections::hash_map::Entry::{Occupied, Vacant};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;
use tonic::Status;

/// All sessions, with the tables that they read.
pub(crate) struct Sessions {
    catalog: Catalog,
    billing_project: String,
    serving: Serving,
    plan: Plan,
    streams: Mutex<HashMap<String, Arc<Stream>>>,
    created: AtomicU64,
    contents: Mutex<HashMap<(usize, Selection, Codec), Arc<Content>>>,
    /// How often each fault of a session may still strike.
    faults_left: Mutex<Vec<Option<usize>>>,
}

impl Sessions {
    pub(crate) fn new(catalog: Catalog, billing_project: String, serving: Serving) -> Self {
        let faults_left = Mutex::new(serving.session_faults.iter().map(|fault| fault.times).collect());
        let (streams, created, contents) = (Mutex::default(), AtomicU64::new(0), Mutex::default());
        Self { catalog, billing_project, plan: serving.plan(), serving, streams, created, contents, faults_left }
    }

    /// The fault that strikes this call to create a session, if any: it fails, or it is never answered.
    pub(crate) fn fault(&self) -> Option<Option<Failure>> {
        let mut left = self.faults_left.lock().unwrap_or_else(PoisonError::into_inner);
        let mut faults = self.serving.session_faults.iter().zip(left.iter_mut());
        let (fault, left) = faults.find(|(_, left)| **left != Some(0))?;
        if let Some(left) = left {
            *left -= 1;
        }
        Some(fault.failure)
    }

    /// Creates a session, and refuses what BigQuery refuses.
    pub(crate) fn create(&self, request: api::CreateReadSessionRequest) -> Result<api::ReadSession, Status> {
        let parent = request.parent;
        if parent != format!("projects/{}", self.billing_project) {
            let message = "the user does not have 'bigquery.readsessions.create' permission for";
            return Err(Status::permission_denied(format!("request failed: {message} '{parent}'")));
        }
        let mut session =
            request.read_session.ok_or_else(|| Status::invalid_argument("request failed: no read session"))?;
        if session.data_format != api::DataFormat::Arrow as i32 {
            return Err(Status::unimplemented("this server gives Arrow only"));
        }
        let snapshot = session.table_modifiers.and_then(|modifiers| modifiers.snapshot_time);
        let table = self.table(&session.table, snapshot)?;
        let options = session.read_options.clone().unwrap_or_default();
        if options.sample_percentage.is_some() {
            return Err(Status::unimplemented("this server does not sample rows"));
        }
        let content = self.content(&table, &options)?;
        let created = self.created.fetch_add(1, Ordering::Relaxed);
        let expires = SystemTime::now() + self.serving.lifetime();
        session.name = format!("{parent}/locations/us/sessions/s{created}");
        session.expire_time = Some(expires.into());
        let serialized_schema = content.schema_message.clone();
        session.schema = Some(api::read_session::Schema::ArrowSchema(api::ArrowSchema { serialized_schema }));
        let rows = table.rows * table.times;
        session.estimated_row_count = rows as i64;
        session.estimated_total_bytes_scanned = content.bytes as i64;
        let mut ranges = ranges(rows, streams(request.max_stream_count, self.serving.max_streams)?);
        if content.rows() == 0 {
            ranges.clear();
        }
        if !ranges.is_empty() {
            ranges.extend(std::iter::repeat_n(rows..rows, self.serving.empty_streams));
        }
        let shared = Session { name: session.name.clone(), content, expires, streams: AtomicUsize::new(0) };
        let shared = Arc::new(shared);
        session.streams = ranges.into_iter().map(|rows| self.open(&shared, rows)).collect();
        Ok(session)
    }

    /// The rows and fields of a table that a session reads.
    fn content(
        &self,
        table: &Arc<Table>,
        options: &api::read_session::TableReadOptions,
    ) -> Result<Arc<Content>, Status> {
        let filter = Filter::new(&options.row_restriction, &table.schema)?;
        let selection = Selection::new(&options.selected_fields, &table.schema)?;
        let codec = codec(options)?;
        let new = || {
            let length = match self.serving.message_bytes {
                Some(bytes) => Length::Bytes(bytes),
                None => Length::Rows(self.serving.message_rows),
            };
            Content::new(table, &selection, filter.as_ref(), codec, length)
                .map(Arc::new)
                .map_err(|error| Status::internal(error.to_string()))
        };
        if filter.is_some() || table.times == 1 {
            return new();
        }
        // The messages that it keeps serve every session that reads the same.
        let mut contents = self.contents.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(match contents.entry((Arc::as_ptr(table) as usize, selection.clone(), codec)) {
            Vacant(place) => place.insert(new()?).clone(),
            Occupied(place) => place.get().clone(),
        })
    }

    /// Opens a stream of a session, for some rows of the table.
    fn open(&self, session: &Arc<Session>, table_rows: Range<usize>) -> api::ReadStream {
        let index = session.streams.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}/streams/{index}", session.name);
        let rows = session.content.left_of(&table_rows);
        let faults = self.plan.faults(index, rows.len());
        let seed = Random::new(self.serving.seed(), index as u64).next();
        let stream = Stream { name: name.clone(), session: session.clone(), table_rows, rows, faults, seed };
        self.streams.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone(), Arc::new(stream));
        api::ReadStream { name }
    }

    /// Splits a stream in two, which read the same rows; the stream itself stays.
    pub(crate) fn split(&self, request: &api::SplitReadStreamRequest) -> Result<api::SplitReadStreamResponse, Status> {
        let stream = self.stream(&request.name)?;
        stream.alive()?;
        // A fraction that is not set is zero.
        let fraction = if request.fraction == 0.0 { 0.5 } else { request.fraction };
        if !(fraction > 0.0 && fraction < 1.0) {
            return Err(Status::invalid_argument("request failed: fraction must be in the range (0.0, 1.0)"));
        }
        Ok(match stream.split(fraction) {
            Some([primary, remainder]) => api::SplitReadStreamResponse {
                primary_stream: Some(self.open(&stream.session, primary)),
                remainder_stream: Some(self.open(&stream.session, remainder)),
            },
            None => api::SplitReadStreamResponse::default(),
        })
    }

    /// A table as it was at a time, or as it is.
    fn table(&self, resource: &str, snapshot: Option<Timestamp>) -> Result<Arc<Table>, Status> {
        let name = TableName::parse_resource(resource).ok_or_else(|| {
            Status::invalid_argument(format!("request failed: the table name '{resource}' has an invalid format"))
        })?;
        match self.catalog.get(&name) {
            Some(Entry::Table(table)) => at(table, &name, snapshot),
            Some(Entry::View) => {
                Err(Status::invalid_argument("request failed: non-table entities cannot be read with the storage API"))
            }
            None => Err(Status::not_found(format!("request failed: Not found: Table {name}"))),
        }
    }

    pub(crate) fn stream(&self, name: &str) -> Result<Arc<Stream>, Status> {
        let streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        let found = streams.get(name).cloned();
        found.ok_or_else(|| Status::not_found(format!("request failed: stream '{name}' was not found")))
    }
}

/// The state of a table at a time.
fn at(newest: &Arc<Table>, name: &TableName, snapshot: Option<Timestamp>) -> Result<Arc<Table>, Status> {
    let Some(snapshot) = snapshot else {
        return Ok(newest.clone());
    };
    let invalid = |why: &str| {
        let milliseconds = snapshot.seconds.saturating_mul(1000).saturating_add(i64::from(snapshot.nanos) / 1_000_000);
        Status::invalid_argument(format!(
            "request failed: Invalid snapshot time {milliseconds} for table {name}: {snapshot} is {why}"
        ))
    };
    let time = SystemTime::try_from(snapshot).map_err(|_| invalid("out of range"))?;
    if time > SystemTime::now() {
        return Err(invalid("in the future"));
    }
    let mut states = std::iter::successors(Some(newest), |table| table.before.as_ref());
    states.find(|table| table.since <= time).cloned().ok_or_else(|| invalid("before the table's creation"))
}

/// How many streams a session gets.
fn streams(wanted: i32, most: usize) -> Result<usize, Status> {
    match usize::try_from(wanted) {
        Ok(0) => Ok(most.min(4)),
        Ok(wanted) => Ok(wanted.min(most)),
        Err(_) => Err(Status::invalid_argument("request failed: max_stream_count must not be negative")),
    }
}

/// Divides rows among streams; a table without rows has none.
fn ranges(rows: usize, streams: usize) -> Vec<Range<usize>> {
    let streams = streams.min(rows);
    (0..streams).map(|stream| rows * stream / streams..rows * (stream + 1) / streams).collect()
}

fn codec(options: &api::read_session::TableReadOptions) -> Result<Codec, Status> {
    use api::arrow_serialization_options::CompressionCodec;
    use api::read_session::table_read_options::OutputFormatSerializationOptions as Serialization;
    use api::read_session::table_read_options::ResponseCompressionCodec;
    let buffers = match &options.output_format_serialization_options {
        Some(Serialization::ArrowSerializationOptions(arrow)) => arrow.buffer_compression(),
        _ => CompressionCodec::CompressionUnspecified,
    };
    match (buffers, options.response_compression_codec()) {
        (CompressionCodec::CompressionUnspecified, ResponseCompressionCodec::Unspecified) => Ok(Codec::None),
        (CompressionCodec::CompressionUnspecified, ResponseCompressionCodec::Lz4) => Ok(Codec::Lz4Response),
        (CompressionCodec::Lz4Frame, ResponseCompressionCodec::Unspecified) => Ok(Codec::Lz4Buffers),
        (CompressionCodec::Zstd, ResponseCompressionCodec::Unspecified) => Ok(Codec::ZstdBuffers),
        _ => Err(Status::invalid_argument(
            "request failed: both response compression and Arrow buffer compression are set; choose at most one",
        )),
    }
}
