//! The body of an HTTP response whose bytes are ours to choose: a part of a message, no trailers, or an error in the middle.

use crate::connection::{Cut, Line};
use http::HeaderMap;
use http_body::Frame;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::sync::mpsc::Receiver;
use tokio::time::{Sleep, sleep};
use tonic::codegen::Bytes;

/// How long what was sent before a break may take to leave this machine; a reset throws away what has not left.
const DEPARTURE: Duration = Duration::from_millis(25);

/// A piece of a body.
pub(crate) enum Piece {
    Data(Bytes),
    Trailers(HeaderMap),
    Break(Break),
}

/// An end that HTTP does not provide for.
#[derive(Clone)]
pub(crate) enum Break {
    /// RST_STREAM, with error code 2 (INTERNAL_ERROR).
    Stream,
    /// Of the whole connection.
    Connection(Line, Cut),
}

/// A body of pieces, as they come.
pub(crate) struct Pieces {
    pieces: Receiver<Piece>,
    breaking: Option<(Break, Pin<Box<Sleep>>)>,
}

impl Pieces {
    pub(crate) fn new(pieces: Receiver<Piece>) -> Self {
        Self { pieces, breaking: None }
    }
}

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        loop {
            if let Some((broken, departure)) = &mut self.breaking {
                ready!(departure.as_mut().poll(context));
                return match broken {
                    Break::Stream => Poll::Ready(Some(Err(io::ErrorKind::Other.into()))),
                    Break::Connection(line, cut) => {
                        line.cut(*cut);
                        Poll::Pending
                    }
                };
            }
            match ready!(self.pieces.poll_recv(context)) {
                None => return Poll::Ready(None),
                Some(Piece::Data(bytes)) => return Poll::Ready(Some(Ok(Frame::data(bytes)))),
                Some(Piece::Trailers(trailers)) => return Poll::Ready(Some(Ok(Frame::trailers(trailers)))),
                // Asked for here, all pieces before have found room in the client's window.
                Some(Piece::Break(broken)) => self.breaking = Some((broken, Box::pin(sleep(DEPARTURE)))),
            }
        }
    }
}
