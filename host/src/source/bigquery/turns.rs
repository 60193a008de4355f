//! Puts the rows of all streams into one order: in turn, so many rows of each, for as long as it has some.
//!
//! The order depends on the streams alone, not on which of them is faster or how the server cuts its messages; and as all are read at
//! once, none has to be kept for long.

use super::cloud::{Cloud, TICK};
use super::explain::BROKEN;
use super::read_ahead::Room;
use super::session::Session;
use super::stream::{Event, Reading, Rows, StreamReader};
use crate::source::{Position, SourceBatch};
use crate::{Error, Result, Stop};
use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use arrow_select::concat::concat_batches;
use crossbeam_channel::{Receiver, RecvTimeoutError, unbounded};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokio::task::AbortHandle;

/// Rows of a turn at most.
const TURN_ROWS: u64 = 8_192;

/// Bytes of a turn, as far as the session tells how long rows are, and of messages that are joined.
const TURN_BYTES: usize = 2 << 20;

/// After which time a rate says something.
const SETTLED: Duration = Duration::from_secs(60);

/// Messages with fewer rows are joined.
const SMALL: usize = 1_024;

/// The batches of a session's streams.
pub(super) struct Turns {
    cloud: Arc<Cloud>,
    reading: Arc<Reading>,
    streams: Vec<Queue>,
    tasks: Vec<AbortHandle>,
    /// The stream whose turn it is.
    turn: usize,
    /// Rows of a turn.
    turn_rows: usize,
    /// Those which were given.
    taken: usize,
    batch_rows: usize,
    /// Of the first batch, until it is known whether the session lasts.
    start: Option<Instant>,
    ended: bool,
}

/// What was fetched of a stream.
struct Queue {
    name: Arc<str>,
    events: Receiver<Event>,
    rest: Option<Rows>,
    /// Rows that were taken.
    rows: u64,
    ended: bool,
    /// Whether the server said that there are no more.
    confirmed: bool,
}

impl Turns {
    pub(super) fn start(cloud: Arc<Cloud>, reading: Reading, batch_rows: usize) -> Self {
        let reading = Arc::new(reading);
        let turn_rows = turn_rows(&reading.session);
        let (mut streams, mut tasks) = (Vec::new(), Vec::new());
        for (stream, name) in reading.session.streams.iter().enumerate() {
            let (sender, events) = unbounded();
            tasks.push(cloud.handle.spawn(StreamReader::new(reading.clone(), stream).run(sender)).abort_handle());
            streams.push(Queue {
                name: name.as_str().into(),
                events,
                rest: None,
                rows: 0,
                ended: false,
                confirmed: false,
            });
        }
        Self {
            cloud,
            reading,
            streams,
            tasks,
            turn: 0,
            turn_rows,
            taken: 0,
            batch_rows,
            start: Some(Instant::now()),
            ended: false,
        }
    }

    fn next_batch(&mut self) -> Result<Option<SourceBatch>> {
        while self.streams.iter().any(|stream| !stream.ended) {
            let most = self.batch_rows.min(self.turn_rows - self.taken);
            let stream = &mut self.streams[self.turn];
            let start = stream.rows;
            // Room is given back once it is known whose turn is next: until then another stream would be fetched in vain.
            let (batch, _rooms) = stream.take(most, &self.reading.schema, &self.cloud.context.stop)?;
            if let Some(batch) = &batch {
                self.taken += batch.num_rows();
            }
            let position = Position::new(self.turn, stream.name.clone(), start);
            if batch.is_none() || self.taken == self.turn_rows {
                self.taken = 0;
                self.turn = (self.turn + 1) % self.streams.len();
                self.reading.read_ahead.turn(self.turn);
            }
            if let Some(batch) = batch {
                self.look_ahead();
                return Ok(Some(SourceBatch { position, batch }));
            }
        }
        self.check_rows()?;
        Ok(None)
    }

    /// Says so, once, where at this rate the session will have expired before all rows came.
    fn look_ahead(&mut self) {
        let Some(elapsed) = self.start.map(|start| start.elapsed()).filter(|elapsed| *elapsed > SETTLED) else {
            return;
        };
        self.start = None;
        let Reading { session, .. } = &*self.reading;
        let rows: u64 = self.streams.iter().map(|stream| stream.rows).sum();
        let left = session.rows.saturating_sub(rows) as f64 / rows.max(1) as f64 * elapsed.as_secs_f64();
        let lasts = session.expires.duration_since(SystemTime::now()).unwrap_or_default();
        if self.reading.whole && left > lasts.as_secs_f64() {
            self.cloud.warn(&format!(
                "at this rate the rest takes {:.1} hours, and the read session lasts for {:.1} more: read fewer columns, or a part of the rows",
                left / 3_600.0,
                lasts.as_secs_f64() / 3_600.0
            ));
        }
    }

    /// What the session told is an estimate, but one that is exact for most tables: it is what is left to go by where a server does not
    /// confirm where its streams end.
    fn check_rows(&self) -> Result<()> {
        let rows: u64 = self.streams.iter().map(|stream| stream.rows).sum();
        if !self.reading.whole || rows == self.reading.session.rows {
            return Ok(());
        }
        if self.streams.is_empty() {
            let message = format!("the session has no streams, and announces {} rows", self.reading.session.rows);
            return Err(Error::source(message).hint(BROKEN));
        }
        match self.streams.iter().find(|stream| !stream.confirmed) {
            None => Ok(()),
            Some(stream) => {
                let announced = self.reading.session.rows;
                let message = format!(
                    "{rows} rows came and {announced} were announced, and the server does not tell where streams end"
                );
                Err(Error::source(message).file(&*stream.name).hint(BROKEN))
            }
        }
    }
}

impl Iterator for Turns {
    type Item = Result<SourceBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = self.next_batch();
        self.ended = !matches!(next, Ok(Some(_)));
        next.transpose()
    }
}

impl Drop for Turns {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

impl Queue {
    /// The next rows, `most` at most, with the room of the messages that are used up; no rows at the end.
    fn take(&mut self, most: usize, schema: &SchemaRef, stop: &Stop) -> Result<(Option<RecordBatch>, Vec<Room>)> {
        let mut pieces: Vec<RecordBatch> = Vec::new();
        let mut rooms: Vec<Room> = Vec::new();
        let (mut rows, mut bytes) = (0, 0);
        while !self.ended && rows < most.min(SMALL) {
            if self.events.is_empty() {
                // A stream gets room for its next message in any case only where none of it waits, and these rows do no more.
                rooms.clear();
            }
            let Some(Rows { batch, room }) = self.next(stop)? else { break };
            // Long rows are passed on as they came: to join them costs memory, and saves nothing.
            if rows > 0 && room.bytes().saturating_add(bytes) > TURN_BYTES {
                self.rest = Some(Rows { batch, room });
                break;
            }
            bytes += room.bytes();
            let wanted = most - rows;
            if batch.num_rows() > wanted {
                let rest = batch.slice(wanted, batch.num_rows() - wanted);
                self.rest = Some(Rows { batch: rest, room });
                pieces.push(batch.slice(0, wanted));
                rows = most;
            } else {
                rows += batch.num_rows();
                pieces.push(batch);
                rooms.push(room);
            }
        }
        self.rows += rows as u64;
        let joined = match pieces.len() {
            0 | 1 => pieces.pop(),
            _ => {
                let joined = concat_batches(schema, &pieces);
                Some(joined.map_err(|error| Error::source("rows cannot be joined").because(error).file(&*self.name))?)
            }
        };
        Ok((joined, rooms))
    }

    fn next(&mut self, stop: &Stop) -> Result<Option<Rows>> {
        if let Some(rest) = self.rest.take() {
            return Ok(Some(rest));
        }
        loop {
            match self.events.recv_timeout(TICK) {
                Ok(Event::Rows(rows)) => return Ok(Some(rows)),
                Ok(Event::End { confirmed }) => {
                    (self.ended, self.confirmed) = (true, confirmed);
                    return Ok(None);
                }
                Ok(Event::Failed(error)) => return Err(error),
                Err(RecvTimeoutError::Timeout) => stop.check()?,
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Error::internal("the reader of a stream panicked").file(&*self.name));
                }
            }
        }
    }
}

/// Rows of a turn: a power of two, so that batches of a power of two fill it.
fn turn_rows(session: &Session) -> usize {
    let row = (session.bytes / session.rows.max(1)).max(1);
    let rows = (TURN_BYTES as u64 / row).clamp(1, TURN_ROWS);
    1 << rows.ilog2()
}

#[cfg(test)]
mod tests {
    use super::super::read_ahead::ReadAhead;
    use super::*;
    use arrow_array::{ArrayRef, Int64Array};
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    fn room(read_ahead: &Arc<ReadAhead>) -> Option<Room> {
        match pin!(read_ahead.room(0)).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(room) => Some(room),
            Poll::Pending => None,
        }
    }

    #[test]
    fn rows_that_wait_to_be_joined_do_not_keep_their_stream_from_fetching_more() {
        let column: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
        let batch = RecordBatch::try_from_iter([("x", column)]).unwrap();
        let message = |mut room: Room| {
            room.fit(40);
            Event::Rows(Rows { batch: batch.clone(), room })
        };
        // Of two streams each may keep a message, and no second one.
        let read_ahead = ReadAhead::new(100, 2);
        let (sender, events) = unbounded();
        let mut queue = Queue { name: "s".into(), events, rest: None, rows: 0, ended: false, confirmed: false };
        sender.send(message(room(&read_ahead).unwrap())).unwrap();
        let (schema, stop) = (batch.schema(), Stop::default());
        let (taken, more) = std::thread::scope(|scope| {
            let taking = scope.spawn(|| queue.take(8_192, &schema, &stop).map(|(batch, _)| batch.unwrap().num_rows()));
            let more = (0..2_000).find_map(|_| {
                std::thread::sleep(Duration::from_millis(1));
                room(&read_ahead)
            });
            let found = more.is_some();
            more.into_iter().for_each(|room| sender.send(message(room)).unwrap());
            sender.send(Event::End { confirmed: true }).unwrap();
            (taking.join().unwrap().unwrap(), found)
        });
        assert!(more, "its first message keeps the room of the second");
        assert_eq!(taken, 6);
    }
}
