//! One accepted socket: requests in, steps out.

use std::io;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::TcpStream;
use tokio::time::{Duration, sleep, timeout};

use super::seen::{Arrived, Ask, Seen};
use super::step::Step;

/// Larger heads are malformed.
const MAX_HEAD: usize = 256 << 10;
/// More header lines than any client sends.
const MAX_HEADERS: usize = 128;
/// Larger bodies are malformed.
const MAX_BODY: usize = 64 << 20;
/// Longest chunk-size line, and longest trailer section.
const MAX_LINE: usize = 16 << 10;
/// How much of a next request is kept while an answer still plays. Behind it
/// the peer's leaving is no longer noticed.
const MAX_AHEAD: usize = 256 << 10;
/// How long a connection whose request was left unread stays after FIN, so
/// that the reset which closing it causes does not overtake the answer.
const LINGER: Duration = Duration::from_secs(2);

/// What reading brought.
pub(super) enum Came<T> {
    /// The connection ended inside it; what there was of it.
    Broken(Bytes),
    /// It cannot be read on.
    Malformed(&'static str, Bytes),
    /// The connection ended before its first byte.
    Nothing,
    Whole(T),
}

/// How playing an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Played {
    /// The script closed the connection.
    Closed,
    /// The peer left first.
    Left,
    /// To its end; the connection can go on.
    Whole,
}

/// How a request's body is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Body {
    Chunked,
    Length(usize),
}

pub(super) struct Wire {
    stream: TcpStream,
    /// What was read and not yet taken.
    buffer: BytesMut,
    /// The request's body stays in the kernel: nothing may be read any more.
    unread: bool,
}

impl Wire {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            buffer: BytesMut::new(),
            unread: false,
        }
    }

    /// From now on nothing is read from this connection.
    pub(super) fn leave_unread(&mut self) {
        self.unread = true;
    }

    /// Reads once more; false where the connection has ended.
    async fn fill(&mut self) -> bool {
        if self.buffer.capacity() - self.buffer.len() < 4096 {
            self.buffer.reserve(16 << 10);
        }
        matches!(self.stream.read_buf(&mut self.buffer).await, Ok(read) if read > 0)
    }

    /// Waits for the first byte of a next request; false where none comes.
    pub(super) async fn next(&mut self) -> bool {
        !self.buffer.is_empty() || self.fill().await
    }

    /// Reads the next request's head.
    pub(super) async fn head(&mut self, connection: u64) -> Came<Seen> {
        loop {
            if !self.buffer.is_empty() {
                match parse(&self.buffer, connection) {
                    Ok(Some((length, seen))) => {
                        drop(self.buffer.split_to(length));
                        return Came::Whole(seen);
                    }
                    Ok(None) if self.buffer.len() <= MAX_HEAD => {}
                    Ok(None) => return Came::Malformed("head too large", self.rest()),
                    Err(_) => return Came::Malformed("no HTTP/1 head", self.rest()),
                }
            }
            if !self.fill().await {
                return match self.buffer.is_empty() {
                    true => Came::Nothing,
                    false => Came::Broken(self.rest()),
                };
            }
        }
    }

    /// Reads the body that this head announces.
    pub(super) async fn body(&mut self, seen: &Seen) -> Came<Bytes> {
        match framing(seen) {
            Err(why) => Came::Malformed(why, Bytes::new()),
            Ok(Body::Chunked) => self.chunks().await,
            Ok(Body::Length(length)) => {
                while self.buffer.len() < length {
                    if !self.fill().await {
                        return Came::Broken(self.rest());
                    }
                }
                Came::Whole(self.buffer.split_to(length).freeze())
            }
        }
    }

    async fn chunks(&mut self) -> Came<Bytes> {
        let mut body = BytesMut::new();
        loop {
            let line = match self.line().await {
                Came::Whole(line) => line,
                Came::Malformed(why, _) => return Came::Malformed(why, body.freeze()),
                Came::Broken(_) | Came::Nothing => return Came::Broken(body.freeze()),
            };
            let Some(size) = chunk_size(&line) else {
                return Came::Malformed("bad chunk size", body.freeze());
            };
            if size == 0 {
                return self.trailers(body.freeze()).await;
            }
            if body.len() + size > MAX_BODY {
                return Came::Malformed("body too large", body.freeze());
            }
            while self.buffer.len() < size + 2 {
                if !self.fill().await {
                    let rest = self.rest();
                    body.extend_from_slice(&rest[..rest.len().min(size)]);
                    return Came::Broken(body.freeze());
                }
            }
            body.extend_from_slice(&self.buffer.split_to(size));
            if &self.buffer.split_to(2)[..] != b"\r\n" {
                return Came::Malformed("chunk without its end", body.freeze());
            }
        }
    }

    async fn trailers(&mut self, body: Bytes) -> Came<Bytes> {
        let mut read = 0;
        while read <= MAX_LINE {
            match self.line().await {
                Came::Whole(line) if line.is_empty() => return Came::Whole(body),
                Came::Whole(line) => read += line.len() + 2,
                Came::Malformed(why, _) => return Came::Malformed(why, body),
                Came::Broken(_) | Came::Nothing => return Came::Broken(body),
            }
        }
        Came::Malformed("trailers too large", body)
    }

    /// One line, without its CR LF.
    async fn line(&mut self) -> Came<Bytes> {
        let mut looked = 0;
        loop {
            if let Some(at) = self.buffer[looked..].windows(2).position(|w| w == b"\r\n") {
                let line = self.buffer.split_to(looked + at).freeze();
                drop(self.buffer.split_to(2));
                return Came::Whole(line);
            }
            if self.buffer.len() > MAX_LINE {
                return Came::Malformed("line too long", Bytes::new());
            }
            looked = self.buffer.len().saturating_sub(1);
            if !self.fill().await {
                return Came::Broken(Bytes::new());
            }
        }
    }

    /// All that was read and not yet taken.
    fn rest(&mut self) -> Bytes {
        self.buffer.split().freeze()
    }

    /// Writes these bytes; false where the peer does not take them.
    pub(super) async fn send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).await.is_ok()
    }

    /// Plays an answer. A peer that closes its half counts as one that left.
    pub(super) async fn play(&mut self, steps: &[Step]) -> Played {
        for step in steps {
            match step {
                Step::Cut => {
                    self.cut().await;
                    return Played::Closed;
                }
                Step::Hold(gate) => tokio::select! {
                    () = gate.opened() => {}
                    () = self.left() => return Played::Left,
                },
                Step::Reset => {
                    self.reset();
                    return Played::Closed;
                }
                Step::Send(bytes) => {
                    if !self.send(bytes).await {
                        return Played::Left;
                    }
                }
                Step::Stall => {
                    self.left().await;
                    return Played::Left;
                }
                Step::Wait(time) => tokio::select! {
                    () = sleep(*time) => {}
                    () = self.left() => return Played::Left,
                },
            }
        }
        Played::Whole
    }

    /// Sends FIN. The socket itself closes when the wire is dropped.
    pub(super) async fn cut(&mut self) {
        // A peer that has already gone needs no FIN.
        let _ = self.stream.shutdown().await;
        if self.unread {
            // However this ends, the connection closes next.
            let _ = timeout(LINGER, self.left()).await;
        }
    }

    /// Lets the drop send RST instead of FIN.
    pub(super) fn reset(&self) {
        // Where the option cannot be set the socket is no longer connected.
        let _ = self.stream.set_zero_linger();
    }

    /// Returns when the peer has left.
    pub(super) async fn left(&mut self) {
        if self.unread {
            while let Ok(ready) = self.stream.ready(Interest::READABLE).await {
                if ready.is_read_closed() {
                    return;
                }
                // Says that there is nothing to read, so that ready() waits for
                // news. That would make a later read miss what is there, but
                // an unread connection has no later read.
                let _ = self.stream.try_io(Interest::READABLE, || {
                    io::Result::<()>::Err(io::ErrorKind::WouldBlock.into())
                });
            }
            return;
        }
        while self.buffer.len() < MAX_AHEAD {
            if !self.fill().await {
                return;
            }
        }
        std::future::pending().await
    }
}

/// A head's length and what it says, once all of it is there.
fn parse(bytes: &[u8], connection: u64) -> Result<Option<(usize, Seen)>, httparse::Error> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut head = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(length) = head.parse(bytes)? else {
        return Ok(None);
    };
    let seen = Seen {
        connection,
        number: 0,
        method: head.method.unwrap_or_default().into(),
        target: head.path.unwrap_or_default().into(),
        headers: head
            .headers
            .iter()
            .map(|header| (header.name.into(), Bytes::copy_from_slice(header.value)))
            .collect(),
        body: Bytes::new(),
        arrived: Arrived::Unread,
        ask: Ask::default(),
    };
    Ok(Some((length, seen)))
}

/// Strict, so that a request which two servers could read in two ways is
/// noticed here.
fn framing(seen: &Seen) -> Result<Body, &'static str> {
    let mut found = None;
    for (name, value) in &seen.headers {
        let body = if name.eq_ignore_ascii_case("transfer-encoding") {
            if !value.eq_ignore_ascii_case(b"chunked") {
                return Err("unknown transfer-encoding");
            }
            Body::Chunked
        } else if name.eq_ignore_ascii_case("content-length") {
            let digits = std::str::from_utf8(value).unwrap_or_default();
            if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
                return Err("bad content-length");
            }
            match digits.parse() {
                Ok(length) if length <= MAX_BODY => Body::Length(length),
                Ok(_) | Err(_) => return Err("body too large"),
            }
        } else {
            continue;
        };
        if found.replace(body).is_some() {
            return Err("framed twice");
        }
    }
    Ok(found.unwrap_or(Body::Length(0)))
}

/// The number at a chunk's start; extensions are passed over.
fn chunk_size(line: &[u8]) -> Option<usize> {
    let digits = line.split(|b| *b == b';').next()?.trim_ascii_end();
    if digits.is_empty() || digits.len() > 8 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    usize::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}
