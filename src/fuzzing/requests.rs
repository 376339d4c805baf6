//! Fuzz entry for clients' requests over HTTP/1.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use bytes::BytesMut;
use http::request::Parts;
use http::{HeaderMap, Method, Uri, Version};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::wire::chunks;
use crate::front::{Bounds, Http1, Seen, seen};
use crate::wire::http1::MAX_HEADERS;

/// The longest head: short, so that a fuzzer finds the bound.
const HEAD: usize = 2 << 10;

/// What one read brings at the most, and a chunk's line or its trailers with
/// what else came in that read.
const UNREAD: usize = (64 << 10) + (16 << 10);

/// A client that sends these pieces, one with each read, and leaves.
struct Client<I> {
    pieces: I,
    /// Of the last piece, where it did not fit.
    rest: BytesMut,
}

impl<'a, I: Iterator<Item = &'a [u8]> + Unpin> AsyncRead for Client<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.rest.is_empty() {
            let piece = self.pieces.next().unwrap_or_default();
            self.rest.extend_from_slice(piece);
        }
        let size = self.rest.len().min(into.remaining());
        into.put_slice(&self.rest.split_to(size));
        Poll::Ready(Ok(()))
    }
}

/// What it is told, it does not hear.
impl<I: Unpin> AsyncWrite for Client<I> {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A head's parts that can be compared.
type Head = (Method, Uri, Version, HeaderMap);

fn head(parts: &Parts) -> Head {
    let headers = parts.headers.clone();
    (
        parts.method.clone(),
        parts.uri.clone(),
        parts.version,
        headers,
    )
}

/// What comes of something that waits for nothing but its turn.
fn at_once<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(done) = future.as_mut().poll(&mut context) {
            return done;
        }
    }
}

fn read<'a>(pieces: impl Iterator<Item = &'a [u8]> + Unpin) -> (Vec<Seen>, Vec<Head>) {
    let rest = BytesMut::new();
    let bounds = Bounds {
        head: HEAD,
        ..Bounds::default()
    };
    let mut connection = Http1::new(Client { pieces, rest }, bounds);
    let mut heads = Vec::new();
    let look = |parts: Option<&Parts>, unread: usize| {
        assert!(unread <= UNREAD, "{unread} bytes are held");
        heads.extend(parts.map(head));
    };
    let all = at_once(seen(&mut connection, look));
    (all, heads)
}

/// Any cutting of a connection's bytes gives the same requests, of which none
/// says in one line what another reader would take for two.
pub fn http1_request(data: &[u8]) {
    let (rest, cut) = chunks(data);
    let whole = read(std::iter::once(rest));
    for (_, uri, _, headers) in &whole.1 {
        let lines = headers.values().map(|value| value.as_bytes());
        for line in lines.chain([uri.to_string().as_bytes()]) {
            let splits = |byte: &u8| matches!(byte, b'\r' | b'\n' | b'\0');
            assert!(!line.iter().any(splits), "one line");
        }
        assert!(headers.len() <= MAX_HEADERS, "{} headers", headers.len());
        let both = ["content-length", "transfer-encoding"];
        assert!(!both.iter().all(|name| headers.contains_key(*name)));
    }
    assert_eq!(read(cut), whole, "the same requests");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a fuzzer does not find soon by itself.
    #[test]
    fn requests_are_the_same_however_they_are_cut() {
        let wires = [
            "POST /a HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n3;x\r\nabc\r\n0\r\nt: 1\r\n\r\nGET / HTTP/1.0\r\n\r\n",
            "\r\nPOST /b HTTP/1.1\r\ncontent-length: 3\r\n\r\nabcGET / HTTP/1.1\r\nx: a\nb: c\r\n\r\n",
            "GET http://h/ HTTP/1.1\r\nhost: h\r\n\r\nGET http://h/ HTTP/1.1\r\nhost: g\r\n\r\n",
            "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1\r\nabc",
        ];
        let mut requests = 0;
        for wire in wires {
            for (size, end) in (0..32).flat_map(|size| (0..=wire.len()).map(move |end| (size, end)))
            {
                http1_request(&[&[size], &wire.as_bytes()[..end]].concat());
            }
            let (all, _) = read(std::iter::once(wire.as_bytes()));
            requests += all
                .iter()
                .filter(|seen| matches!(seen, Seen::Request(..)))
                .count();
        }
        assert_eq!(requests, 4, "they are requests");
    }
}
