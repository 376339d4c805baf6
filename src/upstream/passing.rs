//! A request that goes to a provider as it is: its head, below the provider's
//! base URL. Its body follows piece by piece.

use std::io::Write;

use http::uri::PathAndQuery;
use http::{Method, Request, Uri, Version, header};
use pingora_http::RequestHeader;

use super::line::Line;
use crate::wire::Lines;

/// Most heads fit.
const USUAL_HEAD: usize = 1024;

/// The head of a request that goes to a provider as it is.
#[derive(Clone, Debug)]
pub struct Passing<'a> {
    /// As the client sent it.
    pub method: Method,
    /// The whole path at the provider, and the client's query.
    pub path: PathAndQuery,
    /// The client's headers that cross, and the request id.
    pub headers: &'a Lines,
    /// Of the body.
    pub length: Length,
}

/// How long a request's body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// So many bytes, by the client's word.
    Bytes(u64),
    /// There is none.
    Nothing,
    /// It ends when it ends.
    Unknown,
}

impl Length {
    pub(super) fn is_nothing(self) -> bool {
        matches!(self, Self::Bytes(0) | Self::Nothing)
    }

    pub(super) fn is_chunked(self) -> bool {
        self == Self::Unknown
    }
}

impl Line {
    /// The head as HTTP/2 wants it.
    pub(super) fn passing(&self, request: &Passing<'_>) -> Option<RequestHeader> {
        let uri = Uri::builder()
            .path_and_query(request.path.clone())
            .scheme(if self.url.tls { "https" } else { "http" })
            .authority(self.authority.as_bytes());
        let mut head = Request::new(()).into_parts().0;
        head.method = request.method.clone();
        head.uri = uri.build().ok()?;
        head.version = Version::HTTP_2;
        for (name, value) in self.headers(request.headers, None, &self.key.load()) {
            head.headers.append(name.clone(), value.clone());
        }
        if let Length::Bytes(length) = request.length {
            head.headers.insert(header::CONTENT_LENGTH, length.into());
        }
        Some(RequestHeader::from(head))
    }

    /// The same as HTTP/1.1 writes it (RFC 9112).
    pub(super) fn written_passing(&self, request: &Passing<'_>) -> Vec<u8> {
        let mut head = Vec::with_capacity(USUAL_HEAD);
        head.extend_from_slice(request.method.as_str().as_bytes());
        head.push(b' ');
        head.extend_from_slice(request.path.as_str().as_bytes());
        head.extend_from_slice(b" HTTP/1.1\r\nhost: ");
        head.extend_from_slice(self.authority.as_bytes());
        for (name, value) in self.headers(request.headers, None, &self.key.load()) {
            head.extend_from_slice(b"\r\n");
            head.extend_from_slice(name.as_str().as_bytes());
            head.extend_from_slice(b": ");
            head.extend_from_slice(value.as_bytes());
        }
        // Writing to memory does not fail.
        let _ = match request.length {
            Length::Bytes(length) => write!(head, "\r\ncontent-length: {length}"),
            Length::Nothing => Ok(()),
            Length::Unknown => write!(head, "\r\ntransfer-encoding: chunked"),
        };
        head.extend_from_slice(b"\r\n\r\n");
        head
    }
}
