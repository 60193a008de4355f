//! Reads one stream to its end, whatever happens on the way, each row once.

use super::connector::Connector;
use super::end::End;
use super::explain::{BROKEN, Refusal, asked_delay, explain};
use super::read_ahead::{ReadAhead, Room};
use super::recycled::Recycled;
use super::session::Session;
use crate::ipc::{Cause, MOST_COLUMNS, decode_foreign_batch, decode_schema};
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
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};
use tokio::time::{Instant, sleep, timeout};

/// The silence that is borne doubles each time, up to this.
const LONGEST_SILENCE: Duration = Duration::from_secs(900);

/// What is left of patience may be nothing.
const SHORTEST_SILENCE: Duration = Duration::from_millis(100);

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
    pub(super) recycled: Arc<Recycled>,
    /// Whether all rows of the table are asked for, so that it is known how many must come.
    pub(super) whole: bool,
    /// How long batches may be once they are uncompressed; nothing where they must not be compressed.
    pub(super) uncompressed: Option<usize>,
    pub(super) silence: Duration,
    pub(super) patience: Duration,
    /// How often a stream was opened again.
    pub(super) restarts: Arc<AtomicU64>,
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
    /// There are no more. What the server says of other offsets may have confirmed it.
    End {
        confirmed: bool,
    },
    Failed(Error),
}

/// Why reading was interrupted.
pub(super) enum Trouble {
    Refused(Refusal),
    /// Nothing came for so long.
    Silent(Duration),
    /// It ended, and there are more rows.
    Truncated,
}

/// A stream that is being read.
pub(super) struct StreamReader {
    reading: Arc<Reading>,
    stream: usize,
    /// Rows that came.
    pub(super) row: u64,
    /// How far the server says it has come: 1 at the end.
    pub(super) progress: f64,
    /// How far it had come, at the most, when that was last taken for an end of trouble.
    furthest: f64,
    /// Of opening it, without a row in between.
    attempts: u32,
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
        Self { reading, stream, row: 0, progress: 0.0, furthest: 0.0, attempts: 0, troubled: None, backoff }
    }

    /// Reads to the end, or until nobody takes what is read.
    pub(super) async fn run(mut self, events: Sender<Event>) {
        let last = match self.read(&events).await {
            Ok(confirmed) => Event::End { confirmed },
            Err(error) => Event::Failed(self.place(error)),
        };
        let _ = events.send(last);
    }

    fn name(&self) -> &str {
        &self.reading.session.streams[self.stream]
    }

    pub(super) fn place(&self, error: Error) -> Error {
        error.rows([self.row]).fragment(self.stream).file(self.name())
    }

    /// Reads all rows, and tells whether the server confirmed where they end.
    async fn read(&mut self, events: &Sender<Event>) -> Result<bool> {
        loop {
            let trouble = match self.fetch(events).await? {
                Some(trouble) => trouble,
                None => match self.check_end().await? {
                    Ok(end) => return Ok(end == End::Confirmed),
                    Err(trouble) => trouble,
                },
            };
            self.recover(trouble).await?;
        }
    }

    /// Reads on, to a clean end or to some trouble.
    async fn fetch(&mut self, events: &Sender<Event>) -> Result<Option<Trouble>> {
        // A call that is open while it waits for room could be cut off for that.
        let mut room = Some(self.room().await);
        let mut messages = match self.open(self.row).await {
            Ok(messages) => messages,
            Err(trouble) => return Ok(Some(trouble)),
        };
        let mut silent = Duration::ZERO;
        // A stream that is opened anew may begin to look for rows where it did before.
        let mut advanced = None;
        loop {
            let room = match room.take() {
                Some(room) => room,
                None => self.room().await,
            };
            let (start, silence) = (Instant::now(), self.silence());
            if silent >= silence {
                return Ok(Some(Trouble::Silent(silence)));
            }
            let response = match timeout(silence.saturating_sub(silent), messages.next()).await {
                Err(_) => return Ok(Some(Trouble::Silent(silence))),
                Ok(None) => return Ok(None),
                Ok(Some(Err(refusal))) => return Ok(Some(Trouble::Refused(refusal))),
                Ok(Some(Ok(response))) => response,
            };
            // Messages that bring nothing are no sign of life.
            silent = if self.take(response, room, events, &mut advanced)? {
                Duration::ZERO
            } else {
                silent + start.elapsed()
            };
            if silent > Duration::ZERO && SystemTime::now() >= self.reading.session.expires {
                return Err(expired());
            }
        }
    }

    /// Room for a message. Waiting for it is no trouble of the stream's.
    async fn room(&mut self) -> Room {
        let start = Instant::now();
        let room = self.reading.read_ahead.room(self.stream).await;
        if let Some(troubled) = &mut self.troubled {
            *troubled += start.elapsed();
        }
        room
    }

    /// Opens the stream at a row, over a new connection.
    pub(super) async fn open(&self, row: u64) -> Result<ResponseStream<ReadRowsResponse>, Trouble> {
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

    /// How long the stream may be silent now: longer each time, but not beyond patience.
    pub(super) fn silence(&self) -> Duration {
        let Reading { silence, patience, .. } = *self.reading;
        let longer = silence.saturating_mul(1 << self.attempts.min(10)).min(LONGEST_SILENCE.max(silence));
        let left = self.troubled.map_or(patience, |troubled| patience.saturating_sub(troubled.elapsed()));
        longer.min(left).max(SHORTEST_SILENCE)
    }

    /// Passes a message's rows on, and tells whether it brought anything.
    fn take(
        &mut self,
        response: ReadRowsResponse,
        mut room: Room,
        events: &Sender<Event>,
        advanced: &mut Option<f64>,
    ) -> Result<bool> {
        let progress = response.stats.as_ref().and_then(|stats| stats.progress.as_ref());
        let progress = progress.map_or(self.progress, |progress| progress.at_response_end);
        self.progress = progress;
        let advanced = self.advances(progress, advanced);
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
        let Reading { session, uncompressed, recycled, .. } = &*self.reading;
        let batch = decode_foreign_batch(&session.schema, sent, *uncompressed, |body| recycled.copy(body));
        let batch = batch.map_err(broken)?;
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

    /// Whether progress is a sign of life: a filter that finds nothing for long is at work as long as it comes on.
    fn advances(&mut self, progress: f64, since: &mut Option<f64>) -> bool {
        let before = *since.get_or_insert(progress);
        let advances = progress - before >= STEP;
        if advances {
            *since = Some(progress);
        }
        // What was looked through before ends no trouble: it could be looked through for ever.
        if progress - self.furthest >= STEP {
            self.furthest = progress;
            (self.attempts, self.troubled) = (0, None);
        }
        advances
    }

    fn check_schema(&self, serialized: &[u8]) -> Result<()> {
        let session = &self.reading.session;
        if serialized == session.serialized_schema {
            return Ok(());
        }
        let changed = |error: Error| error.hint("the table may have changed while it was read: run again");
        match decode_schema(serialized, MOST_COLUMNS) {
            Ok(schema) if schema.fields() == session.schema.fields() => Ok(()),
            Ok(_) => Err(changed(Error::source("the stream has another schema than its session"))),
            Err(cause) => Err(changed(Error::source("the stream's schema cannot be decoded").because(cause))),
        }
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
        self.reading.restarts.fetch_add(1, Ordering::Relaxed);
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

pub(super) fn is_expired(refusal: &Refusal) -> bool {
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
