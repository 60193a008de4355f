//! Read sessions: what is read of which table, in how many streams.

use crate::catalog::{Catalog, Entry, Table, TableName};
use crate::content::{Codec, Content, Length};
use crate::fault::{Failure, Plan};
use crate::random::Random;
use crate::serving::Serving;
use crate::stream::Stream;
use arrow_array::RecordBatch;
use arrow_schema::ArrowError;
use googleapis_tonic_google_cloud_bigquery_storage_v1::google::cloud::bigquery::storage::v1 as api;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
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
    /// How often each fault of a session may still strike.
    faults_left: Mutex<Vec<Option<usize>>>,
}

impl Sessions {
    pub(crate) fn new(catalog: Catalog, billing_project: String, serving: Serving) -> Self {
        let faults_left = Mutex::new(serving.session_faults.iter().map(|fault| fault.times).collect());
        let (plan, streams, created) = (serving.plan(), Mutex::default(), AtomicU64::new(0));
        Self { catalog, billing_project, serving, plan, streams, created, faults_left }
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
        let table = self.table(&session.table)?;
        let options = session.read_options.clone().unwrap_or_default();
        if !options.row_restriction.is_empty() || options.sample_percentage.is_some() {
            return Err(Status::unimplemented("this server neither filters nor samples rows"));
        }
        let columns = selected(&table, &options.selected_fields)?;
        let length = match self.serving.message_bytes {
            Some(bytes) => Length::Bytes(bytes),
            None => Length::Rows(self.serving.message_rows),
        };
        let content = Arc::new(Content::new(&table, &columns, codec(&options)?, length).map_err(internal)?);
        let rows = content.rows();
        let created = self.created.fetch_add(1, Ordering::Relaxed);
        let expires = SystemTime::now() + self.serving.lifetime();
        session.name = format!("{parent}/locations/us/sessions/s{created}");
        session.expire_time = Some(expires.into());
        let serialized_schema = content.schema_message.clone();
        session.schema = Some(api::read_session::Schema::ArrowSchema(api::ArrowSchema { serialized_schema }));
        session.estimated_row_count = (table.rows * table.times) as i64;
        session.estimated_total_bytes_scanned = (bytes(&table, &columns) * table.times) as i64;
        let mut ranges = ranges(rows, streams(request.max_stream_count, self.serving.max_streams)?);
        if !ranges.is_empty() {
            ranges.extend(std::iter::repeat_n(rows..rows, self.serving.empty_streams));
        }
        for (index, rows) in ranges.into_iter().enumerate() {
            let name = format!("{}/streams/{index}", session.name);
            let faults = self.plan.faults(index, rows.len());
            let seed = Random::new(self.serving.seed(), index as u64).next();
            let stream = Stream { name: name.clone(), content: content.clone(), rows, faults, seed, expires };
            self.streams.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone(), Arc::new(stream));
            session.streams.push(api::ReadStream { name });
        }
        Ok(session)
    }

    fn table(&self, resource: &str) -> Result<Arc<Table>, Status> {
        let name = TableName::parse_resource(resource).ok_or_else(|| {
            Status::invalid_argument(format!("request failed: the table name '{resource}' has an invalid format"))
        })?;
        match self.catalog.get(&name) {
            Some(Entry::Table(table)) => Ok(table.clone()),
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

/// The positions of the selected columns, in the order of the table, as BigQuery gives them.
fn selected(table: &Table, fields: &[String]) -> Result<Vec<usize>, Status> {
    if fields.is_empty() {
        return Ok((0..table.schema.fields().len()).collect());
    }
    let position = |name: &String| {
        table.schema.index_of(name).map_err(|_| {
            let message = "The following selected fields do not exist in the table schema:";
            Status::invalid_argument(format!("request failed: {message} {name}"))
        })
    };
    let mut columns = fields.iter().map(position).collect::<Result<Vec<_>, _>>()?;
    columns.sort_unstable();
    columns.dedup();
    Ok(columns)
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
    if options.response_compression_codec.unwrap_or(0) != 0 {
        return Err(Status::unimplemented("this server compresses buffers, not responses"));
    }
    let Some(Serialization::ArrowSerializationOptions(arrow)) = &options.output_format_serialization_options else {
        return Ok(Codec::None);
    };
    Ok(match arrow.buffer_compression() {
        CompressionCodec::CompressionUnspecified => Codec::None,
        CompressionCodec::Lz4Frame => Codec::Lz4Buffers,
        CompressionCodec::Zstd => Codec::ZstdBuffers,
    })
}

fn bytes(table: &Table, columns: &[usize]) -> usize {
    let of_batch = |batch: &RecordBatch| -> usize {
        columns.iter().map(|column| batch.column(*column).get_array_memory_size()).sum()
    };
    table.batches.iter().map(of_batch).sum()
}

fn internal(error: ArrowError) -> Status {
    Status::internal(error.to_string())
}
