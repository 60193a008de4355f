//! Tables of BigQuery, through its Storage Read API: a fragment is a stream of a read session, and each pass has a session of its
//! own on the one snapshot.

mod connector;
mod credentials;
mod explain;
mod name;
mod options;
mod price;
mod read_ahead;
mod session;
mod stream;
mod turns;

pub use name::{SCHEME, TableName};
pub use options::{
    Access, BigQueryOptions, BufferCompression, CredentialsFrom, MAX_STREAMS, MOST_STREAMS, parse_snapshot,
};

pub use price::Price;

use super::agree::distinct;
use super::normalize::{convert, logical_type};
use super::{BatchReader, Context, Fragment, Source};
use crate::{Error, Result, Stop};
use arrow_schema::{DataType, SchemaRef};
use connector::Connector;
use explain::{Refusal, explain};
use google_cloud_gax::error::rpc::Code;
use google_cloud_wkt::Timestamp;
use read_ahead::ReadAhead;
use session::{Session, SessionRequest};
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};
use stream::Reading;
use tokio::runtime::{Handle, Runtime};
use turns::Turns;

/// A table of BigQuery.
pub struct BigQuerySource {
    runtime: Runtime,
    connector: Connector,
    table: TableName,
    billing_project: String,
    options: BigQueryOptions,
    /// The state of the table that all passes read.
    snapshot: Option<Timestamp>,
    schema: SchemaRef,
    fragments: Vec<Fragment>,
    rows: u64,
    bytes: u64,
    /// Bytes of the passes so far.
    billed: AtomicU64,
    context: Context,
}

impl BigQuerySource {
    /// Opens a table: a session is created, of which nothing is read.
    ///
    /// # Errors
    /// Where there are no credentials, BigQuery refuses, or a pass is larger than the options allow.
    pub fn open(table: TableName, options: BigQueryOptions, context: Context) -> Result<Self> {
        let runtime = runtime()?;
        let connector = {
            // Credentials refresh themselves, in a task of their own.
            let _entered = runtime.enter();
            let credentials = credentials::credentials(&options.access)?;
            Connector { endpoint: options.access.storage_endpoint.clone(), credentials }
        };
        let billing_project =
            credentials::billing_project(options.billing_project.as_deref(), &options.access, Some(&table))?;
        let opening = Opening {
            runtime: runtime.handle(),
            connector: &connector,
            table: &table,
            billing_project: &billing_project,
            options: &options,
            context: &context,
        };
        let (session, snapshot) = opening.open()?;
        let schema = convert(&session.schema, logical_type);
        distinct(&schema).map_err(|error| error.file(format!("{SCHEME}{table}")))?;
        let streams = session.streams.iter();
        let fragments = streams.map(|name| Fragment { name: name.as_str().into(), rows: None, bytes: None });
        Ok(Self {
            fragments: fragments.collect(),
            schema: schema.into(),
            rows: session.rows,
            bytes: session.bytes,
            snapshot,
            runtime,
            connector,
            table,
            billing_project,
            options,
            billed: AtomicU64::new(0),
            context,
        })
    }

    /// The fields to ask for, so that these columns come.
    fn fields(&self, columns: &[usize]) -> Vec<String> {
        let names = columns.iter().map(|column| self.schema.field(*column).name());
        if self.options.columns.is_empty() {
            return names.cloned().collect();
        }
        let selected = self.options.columns.iter();
        let names: Vec<_> = names.collect();
        let is_of = |field: &str| {
            let root = field.split('.').next().unwrap_or(field);
            names.iter().any(|name| name.eq_ignore_ascii_case(root))
        };
        selected.filter(|field| is_of(field)).cloned().collect()
    }

    /// The column that costs least, to count rows.
    fn cheapest(&self) -> Option<usize> {
        let cost = |data_type: &DataType| match data_type {
            DataType::Boolean => 1,
            data_type if data_type.is_nested() => usize::MAX,
            data_type => data_type.primitive_width().unwrap_or(usize::MAX / 2),
        };
        (0..self.schema.fields().len()).min_by_key(|column| cost(self.schema.field(*column).data_type()))
    }

    fn session(&self, columns: &[usize]) -> Result<Session> {
        let request = SessionRequest {
            table: &self.table,
            billing_project: &self.billing_project,
            fields: self.fields(columns),
            snapshot: self.snapshot,
            options: &self.options,
        };
        let created = wait(self.runtime.handle(), &self.context.stop, request.create(&self.connector))?;
        created.map_err(|refusal| explain("no read session", refusal, &self.billing_project))?
    }
}

impl Source for BigQuerySource {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn fragments(&self) -> &[Fragment] {
        &self.fragments
    }

    fn estimated_rows(&self) -> Option<u64> {
        Some(self.rows)
    }

    fn estimated_bytes(&self) -> Option<u64> {
        Some(self.bytes)
    }

    fn price(&self) -> Option<Price> {
        Some(Price::of(self.bytes))
    }

    fn read(&self, columns: &[usize], batch_rows: usize) -> Result<BatchReader<'_>> {
        let failed = |error: Error| error.file(format!("{SCHEME}{}", self.table));
        // A session has a column at least.
        let asked = if columns.is_empty() { Vec::from_iter(self.cheapest()) } else { columns.to_vec() };
        let session = self.session(&asked).map_err(failed)?;
        let earlier = self.billed.fetch_add(session.bytes, Ordering::Relaxed);
        check_bytes(earlier, session.bytes, self.options.max_bytes).map_err(failed)?;
        let sent = convert(&session.schema, logical_type);
        let schema = self.schema.project(columns).map_err(|error| Error::internal("no such column").because(error))?;
        let position = |field: &arrow_schema::FieldRef| match sent.index_of(field.name()) {
            Ok(index) if sent.field(index) == field.as_ref() => Ok(index),
            _ => {
                let changed = Error::source("the column has changed since the table was opened");
                Err(failed(changed.column(field.name()).hint("run again, once nobody changes the table's columns")))
            }
        };
        let order = schema.fields().iter().map(position).collect::<Result<Vec<_>>>()?;
        let reading = Reading {
            connector: self.connector.clone(),
            billing_project: self.billing_project.clone(),
            read_ahead: ReadAhead::new(self.options.read_ahead, session.streams.len()),
            session,
            order,
            schema: schema.into(),
            silence: self.options.silence,
        };
        let whole = self.options.filter.is_none();
        let turns = Turns::start(self.runtime.handle(), reading, batch_rows.max(1), whole, self.context.stop.clone());
        Ok(Box::new(turns))
    }
}

/// What opening a table needs.
struct Opening<'a> {
    runtime: &'a Handle,
    connector: &'a Connector,
    table: &'a TableName,
    billing_project: &'a str,
    options: &'a BigQueryOptions,
    context: &'a Context,
}

impl Opening<'_> {
    /// Creates a session on the table as it is now, so that later ones can be on the same state.
    fn open(&self) -> Result<(Session, Option<Timestamp>)> {
        let failed = |error: Error| error.file(format!("{SCHEME}{}", self.table));
        let refused = |refusal| failed(explain("no read session", refusal, self.billing_project));
        let snapshot = match self.options.snapshot {
            Some(snapshot) => Some(snapshot),
            None => Timestamp::try_from(SystemTime::now()).ok(),
        };
        let (session, snapshot) = match self.session(snapshot)? {
            Ok(session) => (session, snapshot),
            // Some tables have no earlier states, and clocks differ.
            Err(refusal) if self.options.snapshot.is_none() && is_about_snapshot(&refusal) => {
                let session = self.session(None)?.map_err(refused)?;
                (self.context.warn)(&format!(
                    "the state of `{}` cannot be pinned: a change between passes would be seen",
                    self.table
                ));
                (session, None)
            }
            Err(refusal) => return Err(refused(refusal)),
        };
        let session = session.map_err(failed)?;
        check_bytes(0, session.bytes, self.options.max_bytes).map_err(failed)?;
        Ok((session, snapshot))
    }

    fn session(&self, snapshot: Option<Timestamp>) -> Result<Result<Result<Session>, Refusal>> {
        let request = SessionRequest {
            table: self.table,
            billing_project: self.billing_project,
            fields: self.options.columns.clone(),
            snapshot,
            options: self.options,
        };
        wait(self.runtime, &self.context.stop, request.create(self.connector))
    }
}

fn is_about_snapshot(refusal: &Refusal) -> bool {
    refusal.status().is_some_and(|status| {
        matches!(status.code, Code::InvalidArgument | Code::FailedPrecondition)
            && status.message.to_ascii_lowercase().contains("snapshot")
    })
}

/// Refuses a pass which is larger than what is left.
fn check_bytes(earlier: u64, bytes: u64, most: Option<u64>) -> Result<()> {
    use crate::memory::format_size;
    let Some(most) = most.filter(|most| earlier.saturating_add(bytes) > *most) else { return Ok(()) };
    let earlier = match earlier {
        0 => String::new(),
        earlier => format!(" after the {} of earlier passes", format_size(earlier)),
    };
    let message = format!("a pass would read {}{earlier}, and {} are allowed", format_size(bytes), format_size(most));
    Err(Error::source(message).hint("read fewer `columns`, or allow more with `max_bytes` or `--max-bytes`"))
}

/// Threads that decode.
fn runtime() -> Result<Runtime> {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let built = builder.worker_threads(threads).thread_name("bigquery").enable_all().build();
    built.map_err(|error| Error::internal("no threads for BigQuery").because(error))
}

/// Waits for what BigQuery answers, unless the user asks to stop.
fn wait<T>(runtime: &Handle, stop: &Stop, work: impl Future<Output = T>) -> Result<T> {
    const TICK: Duration = Duration::from_millis(50);
    runtime.block_on(async {
        tokio::pin!(work);
        loop {
            match tokio::time::timeout(TICK, work.as_mut()).await {
                Ok(done) => return Ok(done),
                Err(_) => stop.check()?,
            }
        }
    })
}
