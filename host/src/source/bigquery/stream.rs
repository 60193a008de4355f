//! Reads one stream to its end, whatever happens on the way, each row once.

use super::connector::Connector;
use super::explain::{Refusal, asked_delay, explain};
use super::read_ahead::{ReadAhead, Room};
use super::session::{BROKEN, Session};
use crate::ipc::{Cause, decode_foreign_batch, decode_schema};
use crate::source::normalize::conform;
use crate::{Error, Result};
use arrow_array::{Array, RecordBatch};
use arrow_schema::SchemaRef;
use crossbeam_channel::Sender;
use google_cloud_bigquery::model::ReadRowsResponse;
use google_cloud_bigquery::model::read_rows_response::{Rows as SentRows, Schema as SentSchema};
use google_cloud_bigquery::read::retry_policy::RetryableErrors;
use google_cloud_gax::backoff_policy::BackoffPolicy;
use google_cloud_gax::error::rpc::Code;
use google_cloud_gax::exponential_backoff::{ExponentialBackoff, ExponentialBackoffBuilder};
use google_cloud_gax::retry_policy::RetryPolicy;
use google_cloud_gax::retry_result::RetryResult;
use google_cloud_gax::retry_state::RetryState;
use google_cloud_gax::streaming::ResponseStream;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::time::{Instant, sleep, timeout};

/// The silence that is borne doubles each time, up to this.
const LONGEST_SILENCE: Duration = Duration::from_secs(900);

/// Progress that is one, as a share of the stream.
const STEP: f64 = 1e-4;

/// What the streams of a session share.
pub(super) struct Reading {
    pub(super) connector: Connector,
    pub(super) billing_project: String,
    pub(super) session: Session,
    /// For each column of `schema` its position in what is sent.
    pub(super) order: Vec<usize>,
    /// Of the batches that are made.
    pub(super) schema: SchemaRef,
    pub(super) read_ahead: Arc<ReadAhead>,
    /// Whether all rows of the table are asked for, so that it is known how many must come.
    pub(super) whole: bool,
    /// How long batches may be once they are uncompressed; nothing where they must not be compressed.
    pub(super) uncompressed: Option<usize>,
    pub(super) silence: Duration,
    pub(super) patience: Duration,
}

/// Rows that were fetched.
pub(super) struct Rows {
    pub(super) batch: RecordBatch,
    /// Is given back with the rows.
    pub(super) room: Room,
}

/// What comes out of a stream, in the order of its rows. The last is no `Rows`.
pub(super) enum Event {
    Rows(Rows),
    /// So many rows came, and there are no more.
    End(u64),
    Failed(Error),
}

/// Why reading was interrupted.
enum Trouble {
    Refused(Refusal),
    /// Nothing came for so long.
    Silent(Duration),
    /// It ended, and there are more rows.
    Truncated,
}

/// What a look at the rows from some offset on found.
#[derive(Debug, PartialEq, Eq)]
enum Probe {
    Rows,
    End,
    /// The stream has no such row.
    Beyond,
}

/// A stream that is being read.
pub(super) struct StreamReader {
    reading: Arc<Reading>,
    stream: usize,
    /// Rows that came.
    row: u64,
    /// How far the server says it has come: 1 at the end.
    progress: f64,
    /// How far it had come when that was last taken for a sign of life.
    advanced: f64,
    /// Of opening it, without a row in between.
    attempts: u32,
    /// Whether the server told where the stream ends, by its refusal of what is beyond.
    told: bool,
    /// When the first of them failed.
    troubled: Option<Instant>,
    backoff: ExponentialBackoff,
}

impl StreamReader {
    pub(super) fn new(reading: Arc<Reading>, stream: usize) -> Self {
        let backoff = ExponentialBackoffBuilder::new()
            .with_initial_delay(Duration::from_millis(100))
            .with_maximum_delay(Duration::from_secs(30))
            .clamp();
        Self {
            reading,
            stream,
            row: 0,
            progress: 0.0,
            advanced: 0.0,
            attempts: 0,
            told: false,
            troubled: None,
            backoff,
        }
    }

    /// One that has read all of its rows.
    pub(super) fn at_end(reading: Arc<Reading>, stream: usize, rows: u64) -> Self {
        Self { row: rows, ..Self::new(reading, stream) }
    }

    /// Makes sure that the stream has no more rows than those it gave, and no fewer.
    ///
    /// # Errors
    /// Where it has.
    pub(super) async fn confirm_end(mut self) -> Result<()> {
        loop {
            match self.check_end().await? {
                None if self.told => return Ok(()),
                None => {
                    let message = "other rows came than were announced, and the server does not tell where streams end";
                    return Err(self.place(Error::source(message).hint(BROKEN)));
                }
                Some(Trouble::Truncated) => {
                    let message = "the stream ended before its last row, though it said that it was complete";
                    return Err(
                        self.place(Error::source(message).hint("run again; if it happens again, report it to Google"))
                    );
                }
                Some(trouble) => {
                    let recovered = self.recover(trouble).await;
                    recovered.map_err(|error| self.place(error))?;
                }
            }
        }
    }

    /// Reads to the end, or until nobody takes what is read.
    pub(super) async fn run(mut self, events: Sender<Event>) {
        let last = match self.read(&events).await {
            Ok(()) => Event::End(self.row),
            Err(error) => Event::Failed(self.place(error)),
        };
        let _ = events.send(last);
    }

    fn name(&self) -> &str {
        &self.reading.session.streams[self.stream]
    }

    fn place(&self, error: Error) -> Error {
        error.rows([self.row]).fragment(self.stream).file(self.name())
    }

    async fn read(&mut self, events: &Sender<Event>) -> Result<()> {
        loop {
            let trouble = match self.fetch(events).await? {
                Some(trouble) => trouble,
                // Its word is enough where the rows are counted in the end.
                None if self.progress >= 1.0 && self.reading.whole => return Ok(()),
                None => match self.check_end().await? {
                    None => return Ok(()),
                    Some(trouble) => trouble,
                },
            };
            self.recover(trouble).await?;
        }
    }

    /// Reads on, to a clean end or to some trouble.
    async fn fetch(&mut self, events: &Sender<Event>) -> Result<Option<Trouble>> {
        let mut messages = match self.open(self.row).await {
            Ok(messages) => messages,
            Err(trouble) => return Ok(Some(trouble)),
        };
        let mut silent = Duration::ZERO;
        loop {
            let room = self.reading.read_ahead.room(self.stream).await;
            let (start, silence) = (Instant::now(), self.silence());
            let response = match timeout(silence.saturating_sub(silent), messages.next()).await {
                Err(_) => return Ok(Some(Trouble::Silent(silence))),
                Ok(None) => return Ok(None),
                Ok(Some(Err(refusal))) => return Ok(Some(Trouble::Refused(refusal))),
                Ok(Some(Ok(response))) => response,
            };
            // Messages that bring nothing are no sign of life.
            silent = if self.take(response, room, events)? { Duration::ZERO } else { silent + start.elapsed() };
            if silent > Duration::ZERO && SystemTime::now() >= self.reading.session.expires {
                return Err(expired());
            }
        }
    }

    /// Opens the stream at a row, over a new connection.
    async fn open(&self, row: u64) -> Result<ResponseStream<ReadRowsResponse>, Trouble> {
        let offset = i64::try_from(row).unwrap_or(i64::MAX);
        let opening = async {
            let client = self.reading.connector.connect().await?;
            client.read_rows().set_read_stream(self.name()).set_offset(offset).send().await
        };
        let silence = self.silence();
        match timeout(silence, opening).await {
            Err(_) => Err(Trouble::Silent(silence)),
            Ok(opened) => opened.map_err(Trouble::Refused),
        }
    }

    fn silence(&self) -> Duration {
        self.reading.silence.saturating_mul(1 << self.attempts.min(10)).min(LONGEST_SILENCE.max(self.reading.silence))
    }

    /// Passes a message's rows on, and tells whether it brought anything.
    fn take(&mut self, response: ReadRowsResponse, mut room: Room, events: &Sender<Event>) -> Result<bool> {
        let progress = response.stats.as_ref().and_then(|stats| stats.progress.as_ref());
        let progress = progress.map_or(self.progress, |progress| progress.at_response_end);
        self.progress = progress;
        // A filter that finds nothing for long is at work as long as it comes on.
        let advanced = progress - self.advanced >= STEP;
        if advanced {
            self.advanced = progress;
        }
        let broken = |cause: Cause| Error::source("a message cannot be decoded").because(cause).hint(BROKEN);
        if let Some(SentSchema::ArrowSchema(schema)) = &response.schema {
            self.check_schema(&schema.serialized_schema)?;
        }
        let rows = u64::try_from(response.row_count).map_err(|error| broken(error.into()))?;
        let Some(SentRows::ArrowRecordBatch(sent)) = &response.rows else {
            return if rows == 0 {
                Ok(advanced)
            } else {
                Err(broken("it has rows that are not in Arrow's format".into()))
            };
        };
        let sent = &sent.serialized_record_batch;
        if sent.is_empty() && rows == 0 {
            return Ok(advanced);
        }
        let batch =
            decode_foreign_batch(&self.reading.session.schema, sent, self.reading.uncompressed).map_err(broken)?;
        if batch.num_rows() as u64 != rows {
            let message = format!("it announces {rows} rows and has {}", batch.num_rows());
            return Err(broken(message.into()));
        }
        if rows == 0 {
            return Ok(advanced);
        }
        let batch = batch.project(&self.reading.order).and_then(|batch| conform(batch, &self.reading.schema));
        let batch = batch.map_err(|error| broken(error.into()))?;
        room.fit(sent.len().max(bytes(&batch)));
        self.row = self.row.checked_add(rows).ok_or_else(|| broken("it has too many rows".into()))?;
        (self.attempts, self.troubled) = (0, None);
        // Whoever does not take it any more has ended this task too.
        let _ = events.send(Event::Rows(Rows { batch, room }));
        Ok(true)
    }

    fn check_schema(&self, serialized: &[u8]) -> Result<()> {
        let session = &self.reading.session;
        if serialized == session.serialized_schema {
            return Ok(());
        }
        let changed = |error: Error| error.hint("the table may have changed while it was read: run again");
        match decode_schema(serialized) {
            Ok(schema) if schema.fields() == session.schema.fields() => Ok(()),
            Ok(_) => Err(changed(Error::source("the stream has another schema than its session"))),
            Err(cause) => Err(changed(Error::source("the stream's schema cannot be decoded").because(cause))),
        }
    }

    /// Makes sure that a stream which ended did so at its last row: BigQuery refuses offsets beyond that.
    async fn check_end(&mut self) -> Result<Option<Trouble>> {
        let mut found = Vec::new();
        for beyond in 0..=2 {
            match self.probe(self.row + beyond).await {
                Ok(Probe::Rows) => return Ok(Some(Trouble::Truncated)),
                Ok(probe) => found.push(probe),
                Err(trouble) => return Ok(Some(trouble)),
            }
        }
        self.told = found.contains(&Probe::Beyond);
        match found.as_slice() {
            [Probe::Beyond, ..] => Err(self.place(Error::source("the stream gave more rows than it has").hint(BROKEN))),
            // It ends one row further on.
            [Probe::End, Probe::End, Probe::Beyond] => Ok(Some(Trouble::Truncated)),
            // Of a server that takes any offset only its own words are known.
            [Probe::End, Probe::End, Probe::End] if self.progress > 0.0 && self.progress < 1.0 => {
                Ok(Some(Trouble::Truncated))
            }
            _ => Ok(None),
        }
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

    /// Waits until it makes sense to open the stream again.
    async fn recover(&mut self, trouble: Trouble) -> Result<()> {
        self.attempts += 1;
        let state = RetryState::new(true).set_attempt_count(self.attempts);
        let mut delay = self.backoff.on_failure(&state);
        let mut troubled = *self.troubled.get_or_insert_with(Instant::now);
        let trouble = match trouble {
            Trouble::Refused(refusal) if is_expired(&refusal) => return Err(expired()),
            Trouble::Refused(refusal) => {
                delay += asked_delay(&refusal).unwrap_or_default();
                match RetryableErrors.on_error(&state, refusal) {
                    RetryResult::Continue(refusal) => Trouble::Refused(refusal),
                    RetryResult::Permanent(refusal) | RetryResult::Exhausted(refusal) => {
                        return Err(explain("reading failed", refusal, &self.reading.billing_project));
                    }
                }
            }
            Trouble::Silent(silence) => {
                // It began when nothing came any more.
                troubled -= if self.attempts == 1 { silence } else { Duration::ZERO };
                self.troubled = Some(troubled);
                Trouble::Silent(silence)
            }
            Trouble::Truncated => Trouble::Truncated,
        };
        if troubled.elapsed().saturating_add(delay) > self.reading.patience {
            return Err(self.give_up(trouble, delay));
        }
        if SystemTime::now() + delay >= self.reading.session.expires {
            return Err(expired());
        }
        sleep(delay).await;
        Ok(())
    }

    fn give_up(&self, trouble: Trouble, delay: Duration) -> Error {
        let times = match self.attempts {
            1 => "once".to_owned(),
            attempts => format!("{attempts} times in a row"),
        };
        match trouble {
            Trouble::Refused(refusal) => {
                let wait = match asked_delay(&refusal) {
                    Some(_) => format!(", and the server asks to wait for {:.0} s more", delay.as_secs_f64().ceil()),
                    None => String::new(),
                };
                explain(format!("reading failed {times}{wait}"), refusal, &self.reading.billing_project)
            }
            Trouble::Silent(silence) => {
                let message = format!("the stream was silent {times}, the last time for {} s", silence.as_secs());
                let hint = "check the network; a filter that finds few rows may need a longer `silence_seconds`";
                Error::source(message).hint(hint)
            }
            Trouble::Truncated => Error::source(format!("the stream ended {times} before its last row"))
                .hint("run again; if it happens again, report it to Google"),
        }
    }
}

fn is_expired(refusal: &Refusal) -> bool {
    refusal.status().is_some_and(|status| {
        status.code == Code::FailedPrecondition && status.message.to_ascii_lowercase().contains("expired")
    })
}

fn expired() -> Error {
    Error::source("the read session has expired")
        .hint("sessions last for six hours: read fewer columns or rows, or more at once with `max_streams`")
}

fn bytes(batch: &RecordBatch) -> usize {
    let sizes = batch.columns().iter().map(|column| column.to_data().get_slice_memory_size().unwrap_or(usize::MAX));
    sizes.fold(0, usize::saturating_add)
}
