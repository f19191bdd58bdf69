//! Whether a connection is in use: whoever says nothing and hears nothing holds no place, nor does whoever takes
//! too long to say what they want.

use std::{
    cell::Cell,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Instant,
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::config::Limits;

/// How a connection of HTTP/2 begins (RFC 9113, section 3.4); no method does.
const HTTP2: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How a connection was used.
pub(crate) struct Use {
    /// Requests that are being answered, and streams that go on.
    open: Cell<usize>,
    /// Since when there is none.
    idle: Cell<Instant>,
    /// Whether there was one.
    asked: Cell<bool>,
    /// Since when a head comes that is not whole yet.
    head: Cell<Option<Instant>>,
    /// First bytes that were like those of HTTP/2; none once they were not.
    alike: Cell<Option<usize>>,
}

impl Default for Use {
    fn default() -> Self {
        Self {
            open: Cell::new(0),
            idle: Cell::new(Instant::now()),
            asked: Cell::new(false),
            head: Cell::new(None),
            alike: Cell::new(Some(0)),
        }
    }
}

impl Use {
    /// From now until what comes back is dropped, the connection is in use.
    pub(crate) fn begin(self: &Rc<Self>) -> Using {
        self.open.set(self.open.get() + 1);
        self.asked.set(true);
        self.head.set(None);
        Using(self.clone())
    }

    /// Whether nobody has asked for too long: the first request has to come soon, later ones may take their
    /// time; but once one of HTTP/1.1 begins, its head has to come as soon.
    ///
    /// hyper's own clock for heads runs from the end of the request before, so that it cannot tell a client
    /// that waits from one that sends a byte now and then. Frames of HTTP/2 are no heads, and have no such
    /// clock: pings are frames, too.
    pub(crate) fn is_over(&self, limits: &Limits) -> bool {
        let may = if self.asked.get() { limits.idle } else { limits.patience };
        let slow = self.head.get().is_some_and(|since| since.elapsed() >= limits.patience);
        self.open.get() == 0 && (slow || self.idle.get().elapsed() >= may)
    }

    /// Bytes came.
    fn heard(&self, bytes: &[u8]) {
        if let Some(alike) = self.alike.get()
            && alike < HTTP2.len()
        {
            let expected = HTTP2.get(alike..).unwrap_or_default();
            let begins = bytes.iter().zip(expected).all(|(byte, expected)| byte == expected);
            self.alike.set(begins.then(|| alike + bytes.len().min(expected.len())));
        }
        let is_http2 = self.alike.get().is_some_and(|alike| alike == HTTP2.len());
        if self.open.get() == 0 && self.head.get().is_none() && !is_http2 {
            self.head.set(Some(Instant::now()));
        }
    }
}

/// A request that is being answered, or a stream that goes on.
pub(crate) struct Using(Rc<Use>);

impl Drop for Using {
    fn drop(&mut self) {
        self.0.open.set(self.0.open.get().saturating_sub(1));
        self.0.idle.set(Instant::now());
    }
}

/// What a client says, noted when it says it.
pub(crate) struct Heard<S> {
    stream: S,
    used: Rc<Use>,
}

impl<S> Heard<S> {
    pub(crate) fn new(stream: S, used: Rc<Use>) -> Self {
        Self { stream, used }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Heard<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = ready!(Pin::new(&mut self.stream).poll_read(context, buffer));
        if let Some(bytes) = buffer.filled().get(before..).filter(|bytes| !bytes.is_empty()) {
            self.used.heard(bytes);
        }
        Poll::Ready(read)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Heard<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
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
