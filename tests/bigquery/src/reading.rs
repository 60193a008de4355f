//! One call of ReadRows: the messages of a stream from an offset on, and the faults that strike on the way.

use crate::body::{Break, Piece, Pieces};
use crate::connection::{Cut, Line};
use crate::fault::{Damage, Kind};
use crate::message::Message;
use crate::random::Random;
use crate::stream::Stream;
use http::{HeaderMap, HeaderValue, Response, header};
use std::future::pending;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{Sender, channel};
use tokio::time::sleep;
use tonic::Status;
use tonic::body::Body;

/// How often in a second a slow stream sends something.
const BEATS: u64 = 20;

/// What a call has come to.
struct Reading {
    stream: Arc<Stream>,
    line: Line,
    pieces: Sender<Piece>,
    /// The rows of the stream that were passed.
    row: usize,
    /// The rows of the last message.
    last: Range<usize>,
    schema_sent: bool,
    throttle: Option<i32>,
    /// In bytes per second.
    rate: Option<u64>,
}

/// Nothing more can be sent: the client is gone, or the call is over.
struct Over;

/// Answers a call, whose client is at the other end of `line`.
pub(crate) async fn read(stream: Arc<Stream>, offset: i64, line: Line) -> Result<Response<Body>, Status> {
    let row = stream.start(offset)?;
    let strikes = stream.faults.strike(row, true);
    match strikes.first() {
        Some(Kind::Fails(failure)) => return Err(stream.status(*failure)),
        Some(Kind::StallsConnecting) => pending().await,
        _ => {}
    }
    let (pieces, receiver) = channel(1);
    let reading = Reading {
        stream,
        line,
        pieces,
        row,
        last: row.saturating_sub(1)..row,
        schema_sent: false,
        throttle: None,
        rate: None,
    };
    tokio::spawn(reading.run(strikes));
    let mut response = Response::new(Body::new(Pieces::new(receiver)));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    Ok(response)
}

impl Reading {
    async fn run(mut self, mut strikes: Vec<Kind>) {
        while let Ok(damage) = self.suffer(strikes).await {
            if self.advance(damage).await.is_err() {
                break;
            }
            strikes = self.stream.faults.strike(self.row, false);
        }
    }

    /// Lets faults strike, and returns what is wrong with the next message.
    async fn suffer(&mut self, strikes: Vec<Kind>) -> Result<Option<Damage>, Over> {
        let mut damage = None;
        for kind in strikes {
            match kind {
                Kind::Fails(failure) => return self.end(Err(self.stream.status(failure))).await,
                Kind::ResetsStream => return self.break_off(Break::Stream).await,
                Kind::Cuts(Cut::Close) => {
                    return self.break_off(Break::Connection(self.line.clone(), Cut::Close)).await;
                }
                Kind::Cuts(Cut::Reset) => return self.reset_in_a_message().await,
                Kind::Stalls | Kind::StallsConnecting => {
                    self.pieces.closed().await;
                    return Err(Over);
                }
                Kind::Ends | Kind::EndsLying => return self.end(Ok(())).await,
                Kind::Slows(rate) => self.rate = Some(rate),
                Kind::Throttles(percent) => self.throttle = Some(percent),
                Kind::SchemaOnly => {
                    let schema = Some(self.stream.session.content.schema_message.clone());
                    let here = self.stream.progress(self.row);
                    let message =
                        Message { schema, progress: Some((here, here)), throttle: self.throttle, ..Message::default() };
                    self.schema_sent = true;
                    self.send(message).await?;
                }
                Kind::Empty => self.send(Message::default()).await?,
                Kind::Repeats if self.last.is_empty() => {}
                Kind::Repeats => {
                    let message = self.message(self.last.clone());
                    self.send_or_end(message).await?;
                }
                Kind::Damages(what) => damage = Some(what),
            }
        }
        Ok(damage)
    }

    /// Sends the next message; after the last row, the end.
    async fn advance(&mut self, damage: Option<Damage>) -> Result<(), Over> {
        if let Err(status) = self.stream.alive() {
            return self.end(Err(status)).await;
        }
        let complete = self.row == self.stream.rows.len();
        if complete && damage.is_none() {
            return self.end(Ok(())).await;
        }
        // A message is encoded only when the one before is on its way: there may be many streams, and messages of 100 MB.
        if self.pieces.reserve().await.is_err() {
            return Err(Over);
        }
        let end = if complete { self.row } else { self.stream.message_end(self.row) };
        let rows = self.row..end;
        let mut message = self.message(rows.clone());
        if let (Some(damage), Ok(message)) = (damage, &mut message) {
            let mut random = Random::new(self.stream.seed, self.row as u64);
            let content = &self.stream.session.content;
            if let Err(error) = damage.apply(message, content, self.stream.within(rows.clone()), &mut random) {
                return self.end(Err(Status::internal(error.to_string()))).await;
            }
        }
        self.schema_sent = true;
        self.send_or_end(message).await?;
        (self.last, self.row) = (rows, end);
        match complete {
            true => self.end(Ok(())).await,
            false => Ok(()),
        }
    }

    /// Sends half of the next message and resets the connection.
    async fn reset_in_a_message(&mut self) -> Result<Option<Damage>, Over> {
        let rows = self.row..self.stream.message_end(self.row);
        if let Ok(message) = self.message(rows) {
            let pieces = message.frame();
            let mut left = pieces.iter().map(|piece| piece.len()).sum::<usize>() / 2;
            for piece in pieces {
                let length = piece.len().min(left);
                left -= length;
                self.send_piece(Piece::Data(piece.slice(..length))).await?;
            }
        }
        self.break_off(Break::Connection(self.line.clone(), Cut::Reset)).await
    }

    /// The message with some rows of the stream.
    fn message(&self, rows: Range<usize>) -> Result<Message, Status> {
        let content = &self.stream.session.content;
        let batch = content.encode(self.stream.within(rows.clone()));
        let batch = batch.map_err(|error| Status::internal(error.to_string()))?;
        let end = if self.stream.faults.lies_at(rows.end) { 1.0 } else { self.stream.progress(rows.end) };
        Ok(Message {
            batch: Some(batch),
            rows: rows.len() as i64,
            schema: (!self.schema_sent).then(|| content.schema_message.clone()),
            progress: Some((self.stream.progress(rows.start), end)),
            throttle: self.throttle,
        })
    }

    async fn send_or_end(&mut self, message: Result<Message, Status>) -> Result<(), Over> {
        match message {
            Ok(message) => self.send(message).await,
            Err(status) => self.end(Err(status)).await,
        }
    }

    async fn send(&mut self, message: Message) -> Result<(), Over> {
        for mut bytes in message.frame() {
            while let Some(rate) = self.rate {
                let beat = ((rate / BEATS).max(1) as usize).min(bytes.len());
                self.send_piece(Piece::Data(bytes.split_to(beat))).await?;
                sleep(Duration::from_secs_f64(beat as f64 / rate as f64)).await;
                if bytes.is_empty() {
                    break;
                }
            }
            if !bytes.is_empty() {
                self.send_piece(Piece::Data(bytes)).await?;
            }
        }
        Ok(())
    }

    /// Ends the call with a status.
    async fn end<T>(&mut self, result: Result<(), Status>) -> Result<T, Over> {
        let status = result.err().unwrap_or_else(|| Status::ok(""));
        let mut trailers = HeaderMap::new();
        // Only a message that is no header could fail, and then the call has no status.
        if status.add_header(&mut trailers).is_ok() {
            self.send_piece(Piece::Trailers(trailers)).await?;
        }
        Err(Over)
    }

    async fn break_off<T>(&mut self, how: Break) -> Result<T, Over> {
        self.send_piece(Piece::Break(how)).await?;
        // The body is not to end by itself.
        self.pieces.closed().await;
        Err(Over)
    }

    async fn send_piece(&mut self, piece: Piece) -> Result<(), Over> {
        self.pieces.send(piece).await.map_err(|_| Over)
    }
}
