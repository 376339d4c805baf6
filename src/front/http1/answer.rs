//! Answers: their heads, and how their bodies end (RFC 9112 section 6).

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Version, header};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use super::{Http1, date};
use crate::seam::{Gone, Head};
use crate::wire::Lines;

/// A head of ours with its lines' ends is seldom longer.
const USUAL_HEAD: usize = 1 << 10;

/// How the body of the answer that has begun goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// As it is: its length is known, or the connection's end is its own.
    Bare,
    /// In chunks.
    Chunks,
    /// Not at all.
    Withheld,
}

impl<T: AsyncRead + AsyncWrite + Unpin> Http1<T> {
    /// Says that the body may come.
    pub(in crate::front) async fn go_on(&mut self) -> Result<(), Gone> {
        self.out.put(b"HTTP/1.1 100 Continue\r\n\r\n");
        self.flush().await
    }

    /// Begins an answer. Its head goes out with what follows, or when nothing
    /// does. Without a length the body comes in pieces, to an end.
    pub(in crate::front) fn begin(&mut self, head: &Head<Lines>, length: Option<usize>) {
        let has_none = matches!(
            head.status,
            StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
        );
        let is_chunked = length.is_none() && !has_none && self.head.version == Version::HTTP_11;
        self.framing = if has_none || self.head.method == Method::HEAD {
            Framing::Withheld
        } else if is_chunked {
            Framing::Chunks
        } else {
            Framing::Bare
        };
        // A body that nobody has read would be taken for the next request, and
        // one that tells no length ends with its connection.
        let ends_it = length.is_none() && self.framing == Framing::Bare;
        self.closes |= ends_it || !self.is_body_done();
        self.out.reserve(USUAL_HEAD);
        self.put_status(head.status);
        self.put_headers(&head.headers);
        match length {
            Some(length) if !has_none => {
                self.out.put(b"content-length: ");
                self.out.put(Digits::<10>::of(length).as_bytes());
                self.out.put(b"\r\n");
            }
            None if is_chunked => self.out.put(b"transfer-encoding: chunked\r\n"),
            Some(_) | None => {}
        }
        self.out.put(b"date: ");
        self.out.put(&date::now());
        self.out.put(if self.closes {
            b"\r\nconnection: close\r\n\r\n"
        } else {
            b"\r\nconnection: keep-alive\r\n\r\n"
        });
        if length.is_none() {
            // It may go on for long, and nobody asks any more.
            self.head.headers = HeaderMap::new();
        }
    }

    fn put_status(&mut self, status: StatusCode) {
        if status == StatusCode::OK {
            self.out.put(b"HTTP/1.1 200 OK\r\n");
            return;
        }
        self.out.put(b"HTTP/1.1 ");
        self.out.put(status.as_str().as_bytes());
        // The blank stays without a phrase too (RFC 9112 section 4).
        self.out.put(b" ");
        let phrase = status.canonical_reason().unwrap_or_default();
        self.out.put(phrase.as_bytes());
        self.out.put(b"\r\n");
    }

    /// All but those that are this connection's own.
    fn put_headers(&mut self, headers: &Lines) {
        for (name, value) in headers.iter() {
            let is_own = name == header::CONNECTION
                || name == header::CONTENT_LENGTH
                || name == header::DATE
                || name == header::TRANSFER_ENCODING;
            if !is_own {
                self.out.put(name.as_str().as_bytes());
                self.out.put(b": ");
                self.out.put(value.as_bytes());
                self.out.put(b"\r\n");
            }
        }
    }

    /// Sends the body of an answer whose length was told.
    pub(in crate::front) async fn whole(&mut self, body: Vec<Bytes>) -> Result<(), Gone> {
        if self.framing != Framing::Withheld {
            self.out.push_all(body);
        }
        self.flush().await
    }

    /// Sends some of the body, now.
    pub(in crate::front) async fn write(&mut self, bytes: Bytes) -> Result<(), Gone> {
        match self.framing {
            // It would be the last chunk.
            Framing::Chunks if bytes.is_empty() => {}
            Framing::Chunks => {
                self.out.put(Digits::<16>::of(bytes.len()).as_bytes());
                self.out.put(b"\r\n");
                self.out.push(bytes);
                self.out.put(b"\r\n");
            }
            Framing::Bare => self.out.push(bytes),
            Framing::Withheld => {}
        }
        self.flush().await
    }

    /// Ends the answer.
    pub(in crate::front) async fn end(&mut self) -> Result<(), Gone> {
        if self.framing == Framing::Chunks {
            self.out.put(b"0\r\n\r\n");
        }
        self.flush().await
    }

    /// Ends the connection in the middle of an answer.
    pub(in crate::front) async fn break_off(&mut self) {
        self.closes = true;
        self.is_cut = true;
        // Where only the connection's end is the body's, TLS tells one that is
        // meant from one that is not: nothing is said here.
        if self.flush().await.is_ok() && self.framing != Framing::Bare {
            // An error says that it has ended already.
            let _ = self.transport.shutdown().await;
        }
    }
}

/// A number as text.
struct Digits<const BASE: usize> {
    text: [u8; 20],
    begins: usize,
}

impl<const BASE: usize> Digits<BASE> {
    fn of(mut number: usize) -> Self {
        let mut text = [b'0'; 20];
        let mut begins = text.len();
        for (at, place) in text.iter_mut().enumerate().rev() {
            *place = b"0123456789abcdef"[number % BASE];
            begins = at;
            number /= BASE;
            if number == 0 {
                break;
            }
        }
        Self { text, begins }
    }

    fn as_bytes(&self) -> &[u8] {
        self.text.get(self.begins..).unwrap_or_default()
    }
}
