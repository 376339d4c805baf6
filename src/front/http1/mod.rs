//! A client's connection that speaks HTTP/1 (RFC 9112): its requests, one after
//! the other, and their answers.
//!
//! Every future here may be dropped at any await: what has been read and what
//! is still to be written stay with the connection. While it waits, it keeps
//! no buffer to read into.

mod answer;
mod date;
mod head;
mod out;
mod seen;
#[cfg(test)]
mod tests;

use std::future::{pending, poll_fn};
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{BufMut, BytesMut};
use http::request::Parts;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

use self::answer::Framing;
pub(super) use self::head::Unread;
use self::head::{Finder, Left};
use self::out::Out;
pub(crate) use self::seen::{Seen, all as seen};
use super::body::{Body, Lost};
use crate::patience::within;
use crate::seam::Gone;
use crate::transport::Transport;
use crate::wire::http1::{Chunk, Malformed};

/// What is read at once: more than most requests are long, and little enough
/// for a stack.
const READ: usize = 16 << 10;

/// What a client may send before its answer has ended, in bytes: after that it
/// is read no further.
const EARLY: usize = 16 << 10;

/// What a client may ask of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The longest head of a request, in bytes.
    pub head: usize,
    /// How long one write to a client may block before the client counts as
    /// gone.
    pub write: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            head: 64 << 10,
            write: Duration::from_secs(60),
        }
    }
}

/// How long a client that is still sending is read on while its connection is
/// closed, so that it sees its answer before the reset. Not bounded in bytes:
/// a client that reads only when all is written has the whole body to send.
const LINGER: Duration = Duration::from_secs(5);

/// A client's connection.
#[derive(Debug)]
pub(crate) struct Http1<T> {
    transport: T,
    bounds: Bounds,
    /// Read, and of no request yet.
    come: BytesMut,
    out: Out,
    head: Parts,
    /// Of the request's body.
    left: Left,
    /// No request follows this one.
    closes: bool,
    framing: Framing,
    /// The answer was broken off: its end is to look like none.
    is_cut: bool,
}

/// How long a client may take to be told that its connection ends.
const GOODBYE: Duration = Duration::from_secs(1);

impl Http1<Transport> {
    /// Tells the client that the connection ends, where closing it does not.
    pub(super) async fn goodbye(&mut self) {
        if self.transport.is_tls() && !self.is_cut {
            // Whoever does not listen is not told.
            let _ = within(GOODBYE, self.transport.goodbye()).await;
        }
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> Http1<T> {
    /// Nothing has been read from it.
    pub(crate) fn new(transport: T, bounds: Bounds) -> Self {
        Self {
            transport,
            bounds,
            come: BytesMut::new(),
            out: Out::default(),
            head: head::unknown(),
            left: Left::NONE,
            closes: false,
            framing: Framing::Bare,
            is_cut: false,
        }
    }

    /// What has been read, and what it was read from.
    pub(super) fn into_parts(self) -> (T, BytesMut) {
        (self.transport, self.come)
    }

    /// What has been read and belongs to no request yet.
    pub(super) fn come(&self) -> &[u8] {
        &self.come
    }

    /// Reads what is there, up to so many bytes; false at the end.
    pub(super) fn poll_come(
        &mut self,
        context: &mut Context<'_>,
        most: usize,
    ) -> Poll<io::Result<bool>> {
        let mut room = [const { MaybeUninit::uninit() }; READ];
        let room = room.get_mut(..most.min(READ)).unwrap_or_default();
        let mut into = ReadBuf::uninit(room);
        ready!(Pin::new(&mut self.transport).poll_read(context, &mut into))?;
        self.come.extend_from_slice(into.filled());
        Poll::Ready(Ok(!into.filled().is_empty()))
    }

    /// Reads what there is; false at the end.
    pub(super) async fn more(&mut self) -> io::Result<bool> {
        poll_fn(|context| self.poll_come(context, READ)).await
    }

    /// Gives up what nothing is in.
    fn give_up_come(&mut self) {
        if self.come.is_empty() {
            self.come = BytesMut::new();
        }
    }

    /// Reads the next request's head; false where none comes. Until it has
    /// come, and if it never does, this is a connection that is to be closed.
    ///
    /// # Errors
    /// What comes is no request, or in doubt.
    pub(super) async fn read_head(&mut self) -> Result<bool, Unread> {
        self.forget();
        if !self.come.is_empty() {
            // Without a read, nothing else would let other tasks run.
            tokio::task::consume_budget().await;
        }
        let mut finder = Finder::new(self.bounds.head);
        let head = loop {
            if let Some(head) = finder.take(&mut self.come)? {
                break head;
            }
            match self.more().await {
                Ok(true) => {}
                Ok(false) if !self.come.is_empty() => return Err(Unread::Malformed),
                Ok(false) | Err(_) => return Ok(false),
            }
        };
        (self.head, self.left) = head::read(&head)?;
        self.closes = !head::is_kept(&self.head);
        Ok(true)
    }

    /// Gives up all that the last request and its answer needed.
    pub(super) fn forget(&mut self) {
        self.head = head::unknown();
        self.left = Left::NONE;
        self.closes = true;
        self.framing = Framing::Bare;
        self.out.give_up();
    }

    /// The request's head.
    pub(super) fn head(&self) -> &Parts {
        &self.head
    }

    /// No request follows the answer.
    pub(super) fn close_after(&mut self) {
        self.closes = true;
    }

    /// Whether another request may follow once the answer has ended.
    pub(super) fn is_kept(&self) -> bool {
        !self.closes && self.is_body_done()
    }

    /// The request's body has been read to its end.
    pub(super) fn is_body_done(&self) -> bool {
        self.left.is_none()
    }

    /// Reads the body's next piece; false at its end.
    ///
    /// # Errors
    /// There will be no end.
    pub(super) async fn read(&mut self, body: &mut Body) -> Result<bool, Lost> {
        match &mut self.left {
            Left::Length(0) => Ok(false),
            Left::Length(left) if self.come.is_empty() => {
                let room = body.room(*left);
                let most = usize::try_from(*left).unwrap_or(usize::MAX);
                let read = self.transport.read_buf(&mut room.limit(most)).await;
                match read {
                    Ok(read @ 1..) => *left -= read as u64,
                    Ok(0) | Err(_) => return Err(Lost::Gone),
                }
                Ok(true)
            }
            Left::Length(left) => {
                let come = self.come.len();
                let size = usize::try_from(*left).map_or(come, |left| left.min(come));
                *left -= size as u64;
                body.add(self.come.split_to(size).freeze());
                self.give_up_come();
                Ok(true)
            }
            Left::Chunks(_) => self.read_chunk(body).await,
        }
    }

    async fn read_chunk(&mut self, body: &mut Body) -> Result<bool, Lost> {
        while let Left::Chunks(chunks) = &mut self.left {
            match chunks.next(&mut self.come) {
                Ok(Chunk::Data(data)) => {
                    body.add(data);
                    self.give_up_come();
                    return Ok(true);
                }
                Ok(Chunk::End) => {
                    self.left = Left::NONE;
                    self.give_up_come();
                }
                Ok(Chunk::Wanting) => match self.more().await {
                    Ok(true) => {}
                    Ok(false) | Err(_) => return Err(Lost::Gone),
                },
                Err(Malformed) => return Err(Lost::Malformed),
            }
        }
        Ok(false)
    }

    /// Sends what is to go out.
    async fn flush(&mut self) -> Result<(), Gone> {
        let out = poll_fn(|context| self.out.poll_out(context, &mut self.transport));
        let out = within(self.bounds.write, out).await.ok_or(Gone::Left)?;
        out.map_err(|_| Gone::Left)
    }

    /// Ends when the client has left. What it sends meanwhile waits its turn;
    /// when that is too much, it is no longer seen to leave.
    pub(super) async fn gone(&mut self) {
        if !self.out.is_empty() && self.flush().await.is_err() {
            return;
        }
        while self.come.len() < EARLY {
            let most = EARLY - self.come.len();
            let read = poll_fn(|context| self.poll_come(context, most)).await;
            if !matches!(read, Ok(true)) {
                return;
            }
        }
        pending().await
    }

    /// Closes our side and reads on for a moment: a socket that is closed with
    /// unread bytes in it resets, and a reset can overtake the answer.
    pub(super) async fn linger(&mut self) {
        let closed = within(self.bounds.write, self.transport.shutdown()).await;
        if !matches!(closed, Some(Ok(()))) {
            return;
        }
        let drained = within(LINGER, async {
            loop {
                self.come.clear();
                if !matches!(self.more().await, Ok(true)) {
                    return;
                }
            }
        });
        // What it still sends after that meets the reset.
        let _ = drained.await;
    }
}
