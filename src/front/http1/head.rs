//! A request's head: found among the bytes that come, taken apart, and held to
//! the rules that let no two readers see different requests (RFC 9112).

use std::mem::MaybeUninit;

use bytes::{Buf, Bytes, BytesMut};
use http::request::Parts;
use http::{HeaderMap, Method, Request, Uri, Version, header};

use crate::wire::http1::{Chunks, MAX_HEADERS, Malformed, content_length, has_token, header_map};

/// Why a head cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::front) enum Unread {
    /// It is none, or in doubt.
    Malformed,
    /// It is too long, or has too many headers.
    TooLarge,
}

impl From<Malformed> for Unread {
    fn from(Malformed: Malformed) -> Self {
        Self::Malformed
    }
}

impl From<httparse::Error> for Unread {
    fn from(error: httparse::Error) -> Self {
        if error == httparse::Error::TooManyHeaders {
            Self::TooLarge
        } else {
            Self::Malformed
        }
    }
}

/// What is still to come of a request's body.
#[derive(Debug)]
pub(super) enum Left {
    /// Chunks, to the last one.
    Chunks(Chunks),
    /// So many bytes.
    Length(u64),
}

impl Left {
    /// Nothing more.
    pub(super) const NONE: Self = Self::Length(0);

    pub(super) fn is_none(&self) -> bool {
        match self {
            Self::Chunks(chunks) => chunks.is_over(),
            Self::Length(left) => *left == 0,
        }
    }
}

/// Looks for the end of a head that may trickle in, and looks at each byte
/// only a few times.
#[derive(Debug)]
pub(super) struct Finder {
    /// The longest head, in bytes.
    most: usize,
    /// So many bytes hold no end.
    looked: usize,
    /// So many bytes can be the beginning of a head.
    tried: usize,
}

impl Finder {
    /// For heads up to so many bytes.
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            looked: 0,
            tried: 0,
        }
    }

    /// Takes a whole head off the buffer; nothing where more must come first.
    ///
    /// # Errors
    /// It will not become a head, whatever comes.
    pub(super) fn take(&mut self, come: &mut BytesMut) -> Result<Option<Bytes>, Unread> {
        self.skip_blank(come);
        if let Some(end) = self.end(come)? {
            if end > self.most {
                return Err(Unread::TooLarge);
            }
            let head = come.split_to(end).freeze();
            if come.is_empty() {
                *come = BytesMut::new();
            }
            return Ok(Some(head));
        }
        // Who speaks something else may wait for an answer before it sends an
        // empty line.
        if come.len() > self.tried * 2 {
            self.tried = come.len();
            let mut room = [const { MaybeUninit::uninit() }; MAX_HEADERS];
            let mut request = httparse::Request::new(&mut []);
            let begun = request.parse_with_uninit_headers(come, &mut room);
            begun?;
        }
        if come.len() > self.most {
            return Err(Unread::TooLarge);
        }
        Ok(None)
    }

    /// Empty lines before a request are none of it (RFC 9112 section 2.2).
    fn skip_blank(&mut self, come: &mut BytesMut) {
        loop {
            match come.as_ref() {
                [b'\r', b'\n', ..] => come.advance(2),
                _ => return,
            }
            *self = Self::new(self.most);
        }
    }

    /// Where the empty line ends.
    ///
    /// # Errors
    /// A line ends without a CR. RFC 9112 section 2.2 leaves it to the reader
    /// whether that is an end; so a proxy before this one may have taken for
    /// one header what would be two here.
    fn end(&mut self, come: &BytesMut) -> Result<Option<usize>, Malformed> {
        let from = self.looked;
        self.looked = come.len();
        let new = come.get(from..).unwrap_or_default();
        for at in memchr::memchr_iter(b'\n', new) {
            match come.get(..from + at) {
                Some([.., b'\n', b'\r']) => return Ok(Some(from + at + 1)),
                Some([.., b'\r']) => {}
                Some(_) | None => return Err(Malformed),
            }
        }
        Ok(None)
    }
}

/// A head of which nothing is known.
pub(super) fn unknown() -> Parts {
    Request::new(()).into_parts().0
}

/// Takes a head apart; what it says shares its bytes.
///
/// # Errors
/// It is none, or two readers could take it for different requests.
pub(super) fn read(head: &Bytes) -> Result<(Parts, Left), Unread> {
    let mut room = [const { MaybeUninit::uninit() }; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut []);
    let read = request.parse_with_uninit_headers(head, &mut room);
    let httparse::Status::Complete(size) = read? else {
        return Err(Unread::Malformed);
    };
    let (Some(method), Some(path)) = (request.method, request.path) else {
        return Err(Unread::Malformed);
    };
    if size != head.len() {
        return Err(Unread::Malformed);
    }
    // No target has a fragment (RFC 9112 section 3.2), and what follows it would
    // be lost: who stands before us may have judged by it.
    if memchr::memchr(b'#', path.as_bytes()).is_some() {
        return Err(Unread::Malformed);
    }
    let mut parts = unknown();
    parts.method = Method::from_bytes(method.as_bytes()).map_err(|_| Malformed)?;
    let uri = Uri::from_maybe_shared(head.slice_ref(path.as_bytes()));
    parts.uri = uri.map_err(|_| Malformed)?;
    parts.version = match request.version {
        Some(1) => Version::HTTP_11,
        Some(0) => Version::HTTP_10,
        Some(_) | None => return Err(Unread::Malformed),
    };
    parts.headers = header_map(request.headers, head)?;
    check_host(&parts)?;
    let left = framing(&parts.headers, parts.version)?;
    Ok((parts, left))
}

/// Where the body ends. Any doubt is an error: what one reader takes for the
/// body is the next request to another (RFC 9112 section 11.2).
fn framing(headers: &HeaderMap, version: Version) -> Result<Left, Malformed> {
    let length = content_length(headers.get_all(header::CONTENT_LENGTH))?;
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let Some(coding) = codings.next() else {
        return Ok(Left::Length(length.unwrap_or_default()));
    };
    let is_chunked = coding.as_bytes().eq_ignore_ascii_case(b"chunked");
    let is_only = codings.next().is_none() && length.is_none();
    if is_chunked && is_only && version == Version::HTTP_11 {
        Ok(Left::Chunks(Chunks::default()))
    } else {
        Err(Malformed)
    }
}

/// One host, without a user's name in it, and the same that an absolute target
/// names (RFC 9112 section 3.2).
fn check_host(parts: &Parts) -> Result<(), Malformed> {
    let target = parts.uri.authority().map(|authority| authority.as_str());
    let mut hosts = parts.headers.get_all(header::HOST).iter();
    let host = hosts.next().map(|host| host.as_bytes());
    let differ = |host: &[u8]| target.is_some_and(|target| target.as_bytes() != host);
    let names_user = target.is_some_and(|target| target.contains('@'))
        || host.is_some_and(|host| host.contains(&b'@'));
    if hosts.next().is_some() || names_user || host.is_some_and(differ) {
        return Err(Malformed);
    }
    Ok(())
}

/// Whether the client wants to send another request on this connection
/// (RFC 9112 section 9.3).
pub(super) fn is_kept(parts: &Parts) -> bool {
    let said = parts.headers.get_all(header::CONNECTION);
    let says = |token| has_token(&said, token);
    !says("close") && (parts.version == Version::HTTP_11 || says("keep-alive"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_that_trickles_in_is_not_looked_at_again_and_again() {
        let line = b"x: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n";
        let head = [b"GET / HTTP/1.1\r\n", line.repeat(200).as_slice(), b"\r\n"].concat();
        let (mut finder, mut come) = (Finder::new(1 << 20), BytesMut::new());
        let mut tried = Vec::new();
        for (at, byte) in head.iter().enumerate() {
            come.extend_from_slice(&[*byte]);
            let found = finder.take(&mut come).unwrap();
            assert_eq!(found.is_some(), at + 1 == head.len(), "{at}");
            assert_eq!(finder.looked, at + 1);
            tried.push(finder.tried);
        }
        tried.dedup();
        assert!(tried.len() <= 15, "parsed {} times", tried.len());
    }
}
