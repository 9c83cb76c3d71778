//! A socket that reports what it does, and fails if its peer takes no byte for too long.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

use super::activity::Activity;

/// A socket of an HTTP client.
///
/// Linux reports a full socket as writable when a third of its buffer is free, so a peer that takes a byte now and then
/// does not reset the time.
#[derive(Debug)]
pub(super) struct WatchedStream {
    stream: TcpStream,
    activity: Activity,
    write_timeout: Duration,
    /// Runs while the socket takes no more bytes.
    stall: Option<Pin<Box<Sleep>>>,
}

impl WatchedStream {
    pub(super) const fn new(stream: TcpStream, activity: Activity, write_timeout: Duration) -> Self {
        Self { stream, activity, write_timeout, stall: None }
    }

    /// The result of a write; an error if the socket has been full for too long.
    fn watch<T>(&mut self, result: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if result.is_ready() {
            if self.stall.take().is_some() {
                self.activity.set_write_blocked(false);
            }
            return result;
        }
        let stall = self.stall.get_or_insert_with(|| {
            self.activity.set_write_blocked(true);
            Box::pin(tokio::time::sleep(self.write_timeout))
        });
        ready!(stall.as_mut().poll(context));
        self.activity.set_stalled();
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for WatchedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.activity.record_received();
        }
        result
    }
}

impl AsyncWrite for WatchedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watch(result, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.watch(result, context)
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
