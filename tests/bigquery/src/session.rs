//! Read sessions: what is read of which table, in how many streams.

use crate::catalog::{Catalog, Entry, Table, TableName};
use crate::ipc;
use arrow_array::RecordBatch;
use arrow_ipc::CompressionType;
use arrow_schema::{ArrowError, SchemaRef};
use googleapis_tonic_google_cloud_bigquery_storage_v1::google::cloud::bigquery::storage::v1 as api;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use tonic::Status;

/// How long a session lives.
const LIFETIME: Duration = Duration::from_secs(6 * 60 * 60);

/// All sessions, with the tables that they read.
pub(crate) struct Sessions {
    catalog: Catalog,
    billing_project: String,
    max_streams: usize,
    message_rows: usize,
    streams: Mutex<HashMap<String, Arc<Stream>>>,
    created: AtomicU64,
}

/// Some rows of a session's table.
pub(crate) struct Stream {
    name: String,
    table: Arc<Table>,
    schema: SchemaRef,
    /// The columns, by their positions in the table.
    columns: Vec<usize>,
    rows: Range<usize>,
    compression: Option<CompressionType>,
    message_rows: usize,
}

impl Sessions {
    pub(crate) fn new(catalog: Catalog, billing_project: String, max_streams: usize, message_rows: usize) -> Self {
        let (streams, created) = (Mutex::default(), AtomicU64::new(0));
        Self { catalog, billing_project, max_streams, message_rows: message_rows.max(1), streams, created }
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
        let schema = Arc::new(table.schema.project(&columns).map_err(internal)?);
        let created = self.created.fetch_add(1, Ordering::Relaxed);
        session.name = format!("{parent}/locations/us/sessions/s{created}");
        session.expire_time = Some((SystemTime::now() + LIFETIME).into());
        let serialized_schema = ipc::schema(&schema).map_err(internal)?.into();
        session.schema = Some(api::read_session::Schema::ArrowSchema(api::ArrowSchema { serialized_schema }));
        session.estimated_row_count = table.rows as i64;
        session.estimated_total_bytes_scanned = bytes(&table, &columns) as i64;
        let compression = compression(&options)?;
        let ranges = ranges(table.rows, streams(request.max_stream_count, self.max_streams)?);
        for (index, rows) in ranges.into_iter().enumerate() {
            let name = format!("{}/streams/{index}", session.name);
            let (table, schema, columns) = (table.clone(), schema.clone(), columns.clone());
            let message_rows = self.message_rows;
            let stream = Stream { name: name.clone(), table, schema, columns, rows, compression, message_rows };
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

impl Stream {
    /// The rows from an offset on, one response after the other.
    pub(crate) fn read(
        self: Arc<Self>,
        offset: i64,
    ) -> Result<impl Iterator<Item = Result<api::ReadRowsResponse, Status>> + Send + use<>, Status> {
        let start = usize::try_from(offset).ok().filter(|offset| *offset <= self.rows.len()).ok_or_else(|| {
            let name = &self.name;
            Status::failed_precondition(format!(
                "there was an error operating on '{name}': offset {offset} is out of range"
            ))
        })?;
        let mut next = self.rows.start + start;
        let mut first = true;
        Ok(std::iter::from_fn(move || {
            let end = (next + self.message_rows).min(self.rows.end);
            if next >= end {
                return None;
            }
            let response = self.response(next..end, std::mem::replace(&mut first, false));
            next = end;
            Some(response.map_err(internal))
        }))
    }

    /// Some of the table's rows as one batch of the selected columns.
    fn slice(&self, rows: Range<usize>) -> Result<RecordBatch, ArrowError> {
        let mut pieces = Vec::new();
        let mut start = 0;
        for batch in &self.table.batches {
            let end = start + batch.num_rows();
            let (from, to) = (rows.start.max(start), rows.end.min(end));
            if from < to {
                pieces.push(batch.project(&self.columns)?.slice(from - start, to - from));
            }
            start = end;
        }
        arrow_select::concat::concat_batches(&self.schema, &pieces)
    }

    fn response(&self, rows: Range<usize>, with_schema: bool) -> Result<api::ReadRowsResponse, ArrowError> {
        let batch = self.slice(rows.clone())?;
        let serialized_record_batch = ipc::batch(&batch, self.compression)?.into();
        // The count of rows in the batch is deprecated, and still set by Google.
        #[expect(deprecated, reason = "clients of some age read it")]
        let batch = api::ArrowRecordBatch { serialized_record_batch, row_count: rows.len() as i64 };
        let done = |row: usize| (row - self.rows.start) as f64 / self.rows.len().max(1) as f64;
        let progress =
            api::stream_stats::Progress { at_response_start: done(rows.start), at_response_end: done(rows.end) };
        let schema = match with_schema {
            true => Some(api::read_rows_response::Schema::ArrowSchema(api::ArrowSchema {
                serialized_schema: ipc::schema(&self.schema)?.into(),
            })),
            false => None,
        };
        Ok(api::ReadRowsResponse {
            row_count: rows.len() as i64,
            stats: Some(api::StreamStats { progress: Some(progress) }),
            rows: Some(api::read_rows_response::Rows::ArrowRecordBatch(batch)),
            schema,
            ..Default::default()
        })
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

fn compression(options: &api::read_session::TableReadOptions) -> Result<Option<CompressionType>, Status> {
    use api::arrow_serialization_options::CompressionCodec;
    use api::read_session::table_read_options::OutputFormatSerializationOptions as Serialization;
    if options.response_compression_codec.unwrap_or(0) != 0 {
        return Err(Status::unimplemented("this server compresses buffers, not responses"));
    }
    let Some(Serialization::ArrowSerializationOptions(arrow)) = &options.output_format_serialization_options else {
        return Ok(None);
    };
    Ok(match arrow.buffer_compression() {
        CompressionCodec::CompressionUnspecified => None,
        CompressionCodec::Lz4Frame => Some(CompressionType::LZ4_FRAME),
        CompressionCodec::Zstd => Some(CompressionType::ZSTD),
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
