//! One request and its answer over an HTTP/1.1 connection (RFC 9112).
//!
//! What is read goes through one buffer of the thread's, and only what came
//! is kept: a connection that waits holds no room for what may come.

use std::cell::Cell;
use std::future::poll_fn;
use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::answer::{Framing, Heads, Opening};
use crate::patience::within;
use crate::seam::Head;
use crate::wire::Body;
use crate::wire::http1::{Chunk, Malformed};

/// How long one write may block. A provider that has answered already may
/// have stopped reading: then its answer is looked for.
pub(super) const WRITE: Duration = Duration::from_secs(10);

/// How long an answer is looked for after a write has failed.
pub(super) const LAST_LOOK: Duration = Duration::from_millis(200);

/// A body up to this size goes out in one write. A larger one is written in
/// pieces of this size, and between them the answer is looked for.
pub(super) const PIECE: usize = 64 << 10;

/// A body up to this size is copied behind its head: that costs less than a
/// write of several parts.
pub(super) const SMALL: usize = 4 << 10;

/// So many parts go out in one write.
const PARTS: usize = 16;

/// So much is read at once.
const READ: usize = 64 << 10;

thread_local! {
    /// What is read into; empty until this thread first reads.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Why there is no answer, or no more of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The connection has ended, or is as good as that.
    Lost(ErrorKind),
    /// What came is no HTTP.
    Malformed,
}

impl From<Malformed> for Fault {
    fn from(Malformed: Malformed) -> Self {
        Self::Malformed
    }
}

/// An HTTP/1.1 connection while it serves one request.
#[derive(Debug)]
pub(super) struct Session<S> {
    stream: S,
    state: State,
    /// Read and not yet taken. Holds no memory while nothing is left over.
    come: BytesMut,
    /// Something has been read.
    heard: bool,
    /// The whole request has been written.
    sent: bool,
    /// Whatever its head says, no body follows: the request was a HEAD.
    bodiless: bool,
}

/// Where the answer is.
#[derive(Debug)]
enum State {
    /// Its own head has not come.
    Wanting(Heads),
    /// The head has come and may not have been asked for; of the body so much
    /// is still to come. The last one says whether the connection may serve
    /// again.
    Come(Option<Head>, Framing, bool),
}

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    /// Nothing has been sent on this connection that is not answered.
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream,
            state: State::Wanting(Heads::default()),
            come: BytesMut::new(),
            heard: false,
            sent: false,
            bodiless: false,
        }
    }

    /// The answer has no body, whatever its head says (RFC 9112 section 6.3).
    pub(super) fn expect_no_body(&mut self) {
        self.bodiless = true;
    }

    /// Whether the answer's head has come.
    pub(super) fn is_answered(&self) -> bool {
        matches!(self.state, State::Come(..))
    }

    /// Sends some of a request, as [`Session::send`] does all of it.
    ///
    /// # Errors
    /// The same.
    pub(super) async fn send_some(&mut self, before: Vec<u8>, piece: &Body) -> Result<(), Fault> {
        let sent = self.send(before, piece).await;
        self.sent = false;
        sent
    }

    /// Whether any byte of an answer has come.
    pub(super) fn has_heard(&self) -> bool {
        self.heard
    }

    /// Sends a request, whose head may have room for a small body behind it.
    /// Returns early where the answer's head comes before all is written.
    ///
    /// # Errors
    /// It cannot be written, and there is no answer all the same; or what
    /// came meanwhile is none.
    pub(super) async fn send(&mut self, mut head: Vec<u8>, body: &Body) -> Result<(), Fault> {
        let (parts, size) = (body.parts(), body.len());
        let splits = parts.len() >= PARTS || !self.stream.is_write_vectored();
        let mut parts = if size <= SMALL || size <= PIECE && splits {
            parts.iter().for_each(|part| head.extend_from_slice(part));
            [].iter()
        } else {
            parts.iter()
        };
        let mut before = &*head;
        let mut rest: &[u8] = &[];
        loop {
            let mut slices = [IoSlice::new(&[]); PARTS];
            let mut count = 0;
            let mut room = PIECE;
            for slice in &mut slices {
                if !before.is_empty() {
                    *slice = IoSlice::new(std::mem::take(&mut before));
                    count += 1;
                    continue;
                }
                if rest.is_empty() {
                    rest = parts.next().map_or(&[], |part| part);
                }
                if rest.is_empty() || room == 0 {
                    break;
                }
                let (now, later) = rest.split_at(rest.len().min(room));
                *slice = IoSlice::new(now);
                (rest, room, count) = (later, room - now.len(), count + 1);
            }
            let mut slices = slices.get_mut(..count).unwrap_or_default();
            let write = poll_fn(|context| self.poll_write(context, &mut slices));
            match within(WRITE, write).await {
                Some(Ok(Wrote::All)) => {}
                Some(Ok(Wrote::Answered(come))) => return come,
                Some(Err(_)) | None => return self.last_look().await,
            }
            if rest.is_empty() && parts.as_slice().is_empty() {
                self.sent = true;
                return Ok(());
            }
            let mut context = Context::from_waker(Waker::noop());
            if let Poll::Ready(come) = self.poll_head(&mut context) {
                return come;
            }
        }
    }

    /// Writes it all, and looks for the answer while that has to wait.
    fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        left: &mut &mut [IoSlice<'_>],
    ) -> Poll<io::Result<Wrote>> {
        while !left.is_empty() {
            match Pin::new(&mut self.stream).poll_write_vectored(context, left) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(wrote)) => IoSlice::advance_slices(left, wrote),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    let come = self.poll_head(context);
                    return come.map(|come| Ok(Wrote::Answered(come)));
                }
            }
        }
        match Pin::new(&mut self.stream).poll_flush(context) {
            Poll::Ready(flushed) => Poll::Ready(flushed.map(|()| Wrote::All)),
            Poll::Pending => {
                let come = self.poll_head(context);
                come.map(|come| Ok(Wrote::Answered(come)))
            }
        }
    }

    /// A write has failed: the provider may have answered all the same.
    async fn last_look(&mut self) -> Result<(), Fault> {
        let come = within(LAST_LOOK, poll_fn(|context| self.poll_head(context)));
        let late = Err(Fault::Lost(ErrorKind::TimedOut));
        come.await.unwrap_or(late)
    }

    /// Waits for the answer's own head, behind interim ones.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn poll_head(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        while let State::Wanting(heads) = &mut self.state {
            if let Some(Opening { head, body, keeps }) = heads.next(&mut self.come)? {
                let body = if self.bodiless { Framing::Over } else { body };
                self.state = State::Come(Some(head), body, keeps);
                break;
            }
            let come = &mut self.come;
            let read = poll_read(&mut self.stream, context, |read| {
                come.extend_from_slice(read);
                read.len()
            });
            if ready!(read).map_err(|error| Fault::Lost(error.kind()))? == 0 {
                return Poll::Ready(Err(Fault::Lost(ErrorKind::UnexpectedEof)));
            }
            self.heard = true;
        }
        Poll::Ready(Ok(()))
    }

    /// The answer's head, once.
    ///
    /// # Errors
    /// There is none.
    pub(super) async fn head(&mut self) -> Result<Head, Fault> {
        poll_fn(|context| self.poll_head(context)).await?;
        match &mut self.state {
            State::Come(head, ..) => head.take().ok_or(Fault::Malformed),
            State::Wanting(_) => Err(Fault::Malformed),
        }
    }

    /// The next piece of the answer's body: what one read gave, if that is not
    /// nothing; nothing at its end.
    ///
    /// # Errors
    /// It ended too soon, or is not framed as it says.
    pub(super) async fn read(&mut self) -> Result<Option<Bytes>, Fault> {
        poll_fn(|context| self.poll_body(context)).await
    }

    fn poll_body(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Fault>> {
        ready!(self.poll_head(context))?;
        let State::Come(_, body, _) = &mut self.state else {
            return Poll::Ready(Err(Fault::Malformed));
        };
        let mut next = body.next(&mut self.come)?;
        loop {
            match next {
                Chunk::Data(piece) => return Poll::Ready(Ok(Some(piece))),
                Chunk::End => return Poll::Ready(Ok(None)),
                Chunk::Wanting => {}
            }
            let come = &mut self.come;
            let read = poll_read(&mut self.stream, context, |read| {
                if read.is_empty() {
                    let lost = Fault::Lost(ErrorKind::UnexpectedEof);
                    return if body.end() {
                        Ok(Chunk::End)
                    } else {
                        Err(lost)
                    };
                }
                if come.is_empty() {
                    return Ok(body.read(read, come)?);
                }
                come.extend_from_slice(read);
                Ok(body.next(come)?)
            });
            next = ready!(read).map_err(|error| Fault::Lost(error.kind()))??;
        }
    }

    /// The connection, where it may serve another request.
    pub(super) fn into_idle(self) -> Option<S> {
        let State::Come(_, body, keeps) = &self.state else {
            return None;
        };
        let serves = self.sent && *keeps && body.is_over() && self.come.is_empty();
        serves.then_some(self.stream)
    }
}

/// What came of a write.
enum Wrote {
    /// It is out.
    All,
    /// It had to wait, and the answer came first.
    Answered(Result<(), Fault>),
}

/// Reads what is there, and gives it to be taken; nothing at the end.
fn poll_read<S: AsyncRead + Unpin, T>(
    stream: &mut S,
    context: &mut Context<'_>,
    take: impl FnOnce(&[u8]) -> T,
) -> Poll<io::Result<T>> {
    let mut scratch = SCRATCH.take();
    scratch.resize(READ, 0);
    let mut into = ReadBuf::new(&mut scratch);
    let read = Pin::new(stream).poll_read(context, &mut into);
    let taken = read.map_ok(|()| take(into.filled()));
    SCRATCH.set(scratch);
    taken
}

#[cfg(test)]
mod tests;
