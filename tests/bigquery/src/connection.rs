//! TCP connections that a fault may end, with a reset or with an early end.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_stream::wrappers::TcpListenerStream;
use tokio_stream::{Stream, StreamExt};
use tonic::transport::server::Connected;

/// A client's connection.
pub(crate) struct Connection {
    stream: TcpStream,
    line: Line,
}

/// A hold on a connection, given to each request that comes over it.
#[derive(Clone, Default)]
pub(crate) struct Line(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    cut: Option<Cut>,
    reader: Option<Waker>,
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// By a TCP segment with RST.
    Reset,
    /// By one with FIN.
    Close,
}

/// The connections that clients open.
pub(crate) fn connections(listener: TcpListener) -> impl Stream<Item = io::Result<Connection>> {
    TcpListenerStream::new(listener).map(|stream| {
        let stream = stream?;
        stream.set_nodelay(true)?;
        Ok(Connection { stream, line: Line::default() })
    })
}

impl Line {
    pub(crate) fn cut(&self, cut: Cut) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.cut = Some(cut);
        // The server always waits for a client's next bytes, so this is enough to make it look.
        if let Some(reader) = state.reader.take() {
            reader.wake();
        }
    }

    fn is_cut(&self, context: Option<&Context<'_>>) -> Option<Cut> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(context) = context {
            state.reader = Some(context.waker().clone());
        }
        state.cut
    }
}

impl Connected for Connection {
    type ConnectInfo = Line;

    fn connect_info(&self) -> Line {
        self.line.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.line.is_cut(Some(context)) {
            None => Pin::new(&mut self.stream).poll_read(context, bytes),
            Some(Cut::Reset) => {
                // With no time to linger, the system resets the connection when it is dropped.
                self.stream.set_zero_linger()?;
                Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
            }
            Some(Cut::Close) => {
                ready!(Pin::new(&mut self.stream).poll_shutdown(context))?;
                // What the client still sends is read and forgotten: closed with bytes unread, the connection would be reset.
                let mut forgotten = [0; 4096];
                loop {
                    let mut forgotten = ReadBuf::new(&mut forgotten);
                    ready!(Pin::new(&mut self.stream).poll_read(context, &mut forgotten))?;
                    if forgotten.filled().is_empty() {
                        return Poll::Ready(Ok(()));
                    }
                }
            }
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.line.is_cut(None) {
            None => Pin::new(&mut self.stream).poll_write(context, bytes),
            Some(_) => Poll::Ready(Ok(bytes.len())),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.line.is_cut(None) {
            None => Pin::new(&mut self.stream).poll_write_vectored(context, slices),
            Some(_) => Poll::Ready(Ok(slices.iter().map(|slice| slice.len()).sum())),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
