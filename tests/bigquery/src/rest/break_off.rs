//! Answers that break off.

use axum::body::{Body, to_bytes};
use axum::response::Response;
use http::header::CONTENT_LENGTH;
use std::io::{Error, ErrorKind};
use tokio::task::yield_now;
use tokio_stream::StreamExt;

/// Sends half of an answer whose length was announced, and then breaks the connection.
pub(crate) async fn halfway(response: Response) -> Response {
    let (mut head, body) = response.into_parts();
    let mut bytes = to_bytes(body, usize::MAX).await.unwrap_or_default();
    head.headers.insert(CONTENT_LENGTH, bytes.len().into());
    bytes.truncate(bytes.len() / 2);
    let broken = Error::from(ErrorKind::ConnectionReset);
    // What was given is sent only once there is nothing to give for a moment.
    let pieces = tokio_stream::iter([Ok(bytes), Err(broken)]).then(async |piece| {
        yield_now().await;
        piece
    });
    Response::from_parts(head, Body::from_stream(pieces))
}
