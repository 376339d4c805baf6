//! What can happen on the wire, and where in an answer.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;

/// One thing that the mock does on a connection. After the last one of an
/// answer the connection waits for its next request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Closes with FIN; nothing follows.
    Cut,
    /// Does nothing until the gate is opened, or until the peer leaves.
    Hold(Gate),
    /// Closes with RST; nothing follows.
    Reset,
    /// Writes exactly these bytes.
    Send(Bytes),
    /// Does nothing more until the peer leaves; nothing follows.
    Stall,
    /// Does nothing for so long, or until the peer leaves.
    Wait(Duration),
}

impl Step {
    /// [`Step::Send`], from text or bytes.
    pub fn send(bytes: impl Into<Bytes>) -> Self {
        Self::Send(bytes.into())
    }
}

/// Holds answers back until it is opened, once and for all. Clones are the
/// same gate.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<watch::Sender<bool>>);

impl Gate {
    /// A closed one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets everything through, now and later.
    pub fn open(&self) {
        self.0.send_replace(true);
    }

    /// Waits until it is opened.
    pub(super) async fn opened(&self) {
        // The sender is ours, so there is always one to wait for.
        let _ = self.0.subscribe().wait_for(|open| *open).await;
    }
}

impl PartialEq for Gate {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Gate {}

/// A place in an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// Before the first byte of the final head (interim heads are out).
    Start,
    /// After the head, before the body.
    Head,
    /// After so many bytes of the body, its framing not counted. In a chunked
    /// answer that is inside the chunk, whose size has been announced, unless
    /// the chunk ends there.
    Byte(usize),
    /// After so many whole pieces of the body: the events of a stream, the
    /// chunks of [`Framing::ChunkedBy`].
    Event(usize),
    /// After the body; of a chunked one the closing `0` chunk is still missing.
    End,
    /// After so many bytes of the whole answer as it goes over the wire, status
    /// line, headers and framing among them. What is beyond its end has no
    /// effect.
    Wire(usize),
}

/// How the body's end is told. The last three are or may be wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Framing {
    /// A stream as [`Framing::Chunked`], all else by [`Framing::Length`].
    #[default]
    Usual,
    /// One chunk for each event, or one for a plain body.
    Chunked,
    /// Chunks of so many bytes, wherever that cuts events; 0 counts as 1.
    ChunkedBy(usize),
    /// `content-length`.
    Length,
    /// The connection's end; HTTP/1.1 with `connection: close`.
    UntilClose,
    /// The same, under an `HTTP/1.0` status line.
    Http10,
    /// A `content-length` of so many bytes, true or not. Where the body is
    /// shorter the connection is cut after it; where it is longer the rest
    /// goes out all the same and the connection stays open.
    Claims(usize),
    /// The true `content-length`, and a second, different one.
    TwoLengths,
    /// A `content-length` beside `transfer-encoding: chunked`, the body chunked.
    LengthAndChunked,
}
