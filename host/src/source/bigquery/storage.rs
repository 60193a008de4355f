//! A table over the Storage Read API: a fragment is a stream of a read session, and each pass has a session of its own on the one
//! snapshot.

use super::cloud::Cloud;
use super::explain::{Refusal, explain};
use super::options::BufferCompression;
use super::read_ahead::ReadAhead;
use super::recycled::Recycled;
use super::session::{Retry, Session, SessionRequest};
use super::stream::Reading;
use super::turns::Turns;
use super::{SCHEME, TableName, types};
use crate::memory::format_size;
use crate::source::agree::distinct;
use crate::source::bounds;
use crate::source::normalize::{convert, logical_type};
use crate::source::{BatchReader, Fragment, Price, Source};
use crate::{Error, ErrorKind, Result};
use arrow_schema::{DataType, SchemaRef};
use google_cloud_gax::error::rpc::Code;
use google_cloud_wkt::Timestamp;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

/// Bytes of a batch once it is uncompressed: BigQuery sends 128 MB at most.
const LARGEST: usize = 256 << 20;

/// How far this machine's clock may be ahead of Google's.
const CLOCKS: Duration = Duration::from_secs(60);

/// A table that is read over the Storage Read API.
pub(super) struct StorageSource {
    cloud: Arc<Cloud>,
    table: TableName,
    /// What is read of it.
    selection: Selection,
    /// The state of the table that all passes read.
    snapshot: Option<Timestamp>,
    schema: SchemaRef,
    fragments: Vec<Fragment>,
    rows: u64,
    bytes: u64,
    /// Bytes of the passes so far.
    billed: AtomicU64,
    /// Those of the last one.
    pass: AtomicU64,
    /// How often streams were opened again.
    restarts: Arc<AtomicU64>,
}

/// What is read of a table.
#[derive(Clone, Debug, Default)]
pub(super) struct Selection {
    /// All of them where there are none.
    pub(super) columns: Vec<String>,
    pub(super) filter: Option<String>,
    /// Which state of it.
    pub(super) snapshot: Snapshot,
    /// Bytes that all passes together may be billed for.
    pub(super) max_bytes: Option<u64>,
}

/// A state of a table.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Snapshot {
    /// As it is when it is opened, for all passes.
    #[default]
    Now,
    /// As it was.
    At(Timestamp),
    /// It never changes.
    Only,
}

impl StorageSource {
    /// Opens a table: a session is created, of which nothing is read. What BigQuery refuses is returned as it is.
    ///
    /// # Errors
    /// Where a pass is larger than the options allow, or the user asks to stop.
    pub(super) fn open(cloud: Arc<Cloud>, table: TableName, selection: Selection) -> Result<Result<Self, Refusal>> {
        let failed = |error: Error| error.file(format!("{SCHEME}{table}"));
        let request = |snapshot| SessionRequest {
            table: &table,
            billing_project: &cloud.billing_project,
            fields: selection.columns.clone(),
            filter: selection.filter.as_deref(),
            snapshot,
            options: &cloud.options,
        };
        let now = SystemTime::now();
        let snapshots = match selection.snapshot {
            // Clocks differ, and some tables have no earlier states.
            Snapshot::Now => vec![Timestamp::try_from(now).ok(), Timestamp::try_from(now - CLOCKS).ok(), None],
            Snapshot::At(time) => vec![Some(time)],
            Snapshot::Only => vec![None],
        };
        let mut tried = snapshots.iter().peekable();
        let (session, snapshot) = loop {
            let Some(snapshot) = tried.next() else { return Err(Error::internal("there is no state to read")) };
            match cloud.ask(request(*snapshot).create(&cloud.connector, Retry::Briefly))? {
                Ok(session) => break (session.map_err(failed)?, *snapshot),
                Err(refusal) if tried.peek().is_some() && is_about_snapshot(&refusal) => {}
                Err(refusal) => return Ok(Err(refusal)),
            }
        };
        if matches!(selection.snapshot, Snapshot::Now) && snapshot.is_none() {
            let what = "the state of the table cannot be pinned: a change between passes would be seen";
            cloud.warn(&format!("`{table}`: {what}"));
        }
        types::check(&session.schema).map_err(failed)?;
        check_bytes(0, session.bytes, selection.max_bytes).map_err(failed)?;
        let schema = convert(&session.schema, logical_type);
        distinct(&schema).and_then(|()| bounds::check(&schema)).map_err(failed)?;
        let streams = session.streams.iter();
        let fragments = streams.map(|name| Fragment { name: name.as_str().into(), rows: None, bytes: None });
        Ok(Ok(Self {
            fragments: fragments.collect(),
            schema: schema.into(),
            rows: session.rows,
            bytes: session.bytes,
            snapshot,
            table,
            selection,
            billed: AtomicU64::new(0),
            pass: AtomicU64::new(0),
            restarts: Arc::default(),
            cloud,
        }))
    }

    /// The fields to ask for, so that these columns come.
    fn fields(&self, columns: &[usize]) -> Vec<String> {
        let names = columns.iter().map(|column| self.schema.field(*column).name());
        if self.selection.columns.is_empty() {
            return names.cloned().collect();
        }
        let selected = self.selection.columns.iter();
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
            billing_project: &self.cloud.billing_project,
            fields: self.fields(columns),
            filter: self.selection.filter.as_deref(),
            snapshot: self.snapshot,
            options: &self.cloud.options,
        };
        let created = self.cloud.ask(request.create(&self.cloud.connector, Retry::Patiently))?;
        created.map_err(|refusal| explain("no read session", refusal, &self.cloud.billing_project))?
    }
}

impl Source for StorageSource {
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

    /// The service counts each value, and stores them as it likes.
    fn value_bytes(&self) -> Option<u64> {
        Some(self.bytes)
    }

    fn pass_bytes(&self) -> Option<u64> {
        Some(self.pass.load(Ordering::Relaxed))
    }

    /// Each pass has a session of its own, and each session its own streams.
    fn keeps_order(&self) -> bool {
        false
    }

    fn snapshot(&self) -> Option<String> {
        self.snapshot.map(String::from)
    }

    fn origin(&self) -> Option<String> {
        let state = self.snapshot.map(|snapshot| format!(" as of {}", String::from(snapshot)));
        Some(format!("{SCHEME}{}{}", self.table, state.unwrap_or_default()))
    }

    fn restarts(&self) -> Option<u64> {
        Some(self.restarts.load(Ordering::Relaxed))
    }

    fn billed_bytes(&self) -> Option<u64> {
        Some(self.billed.load(Ordering::Relaxed))
    }

    fn price(&self) -> Option<Price> {
        Some(Price::of(self.bytes))
    }

    fn read(&self, columns: &[usize], batch_rows: usize) -> Result<BatchReader<'_>> {
        let failed = |error: Error| error.file(format!("{SCHEME}{}", self.table));
        // A session has a column at least.
        let asked = if columns.is_empty() { Vec::from_iter(self.cheapest()) } else { columns.to_vec() };
        let mut session = self.session(&asked).map_err(failed)?;
        self.pass.store(session.bytes, Ordering::Relaxed);
        let earlier = self.billed.fetch_add(session.bytes, Ordering::Relaxed);
        check_bytes(earlier, session.bytes, self.selection.max_bytes).map_err(failed)?;
        let wanted = usize::from(self.cloud.options.max_streams);
        match self.cloud.ask(session.split(&self.cloud.connector, wanted)) {
            Ok(streams) => session.streams = streams,
            Err(error) if error.kind() == ErrorKind::Interrupted => return Err(error),
            Err(_) => {}
        }
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
            connector: self.cloud.connector.clone(),
            billing_project: self.cloud.billing_project.clone(),
            read_ahead: ReadAhead::new(self.cloud.options.read_ahead, session.streams.len()),
            recycled: Recycled::new(self.cloud.options.read_ahead / 4),
            session,
            order,
            schema: schema.into(),
            whole: self.selection.filter.is_none(),
            uncompressed: (self.cloud.options.compression != BufferCompression::None).then_some(LARGEST),
            silence: self.cloud.options.silence,
            patience: self.cloud.options.patience,
            restarts: self.restarts.clone(),
        };
        let turns = Turns::start(self.cloud.clone(), reading, batch_rows.max(1));
        Ok(Box::new(turns))
    }
}

fn is_about_snapshot(refusal: &Refusal) -> bool {
    refusal.status().is_some_and(|status| {
        matches!(status.code, Code::InvalidArgument | Code::FailedPrecondition)
            && status.message.to_ascii_lowercase().contains("snapshot")
    })
}

/// Refuses a pass which is larger than what is left.
pub(super) fn check_bytes(earlier: u64, bytes: u64, most: Option<u64>) -> Result<()> {
    let Some(most) = most.filter(|most| earlier.saturating_add(bytes) > *most) else { return Ok(()) };
    let earlier = match earlier {
        0 => String::new(),
        _ => {
            let sum = format_size(earlier.saturating_add(bytes));
            format!(" after the {} of earlier passes, {sum} in all", format_size(earlier))
        }
    };
    let message = format!("a pass would read {}{earlier}, and {} are allowed", format_size(bytes), format_size(most));
    Err(Error::source(message).hint("read fewer `columns`, or allow more with `max_bytes` or `--max-bytes`"))
}
