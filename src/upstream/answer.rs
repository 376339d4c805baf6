//! An HTTP/1.1 answer taken apart (RFC 9112): its head, how its body is
//! framed, and what that says of the connection. Pure: bytes come in, pieces
//! of the body go out.

use std::mem::{self, MaybeUninit};

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, StatusCode, header};
use httparse::{ParserConfig, Response, Status};

use super::MAX_INTERIM;
use crate::seam::Head;
use crate::wire::http1::{
    Chunk, Chunks, Found, MAX_HEADERS, Malformed, content_length, has_token, header_map,
};

/// A head longer than this, with the empty lines before it, is refused.
pub(crate) const MAX_HEAD: usize = (1 << 20) - 1;

/// What every head begins with. Who says something else will not come to a
/// head's end.
const BEGINNING: &[u8] = b"HTTP/1.";

/// Chunks below this that came together are handed on together; from here on
/// it costs less to hand one on as it lies than to copy it.
const SMALL: usize = 4 << 10;

/// An answer's own head, and what follows from it.
#[derive(Debug)]
pub(crate) struct Opening {
    pub(crate) head: Head,
    pub(crate) body: Framing,
    /// The connection may serve another request behind this answer.
    pub(crate) keeps: bool,
}

/// Finds the answer's own head behind the interim ones.
#[derive(Debug, Default)]
pub(crate) struct Heads {
    /// So much of what has come has been looked through for the head's end.
    looked: usize,
    /// Bytes of empty lines before it (RFC 9112 section 2.2).
    empty: usize,
    /// Interim heads before it.
    interim: usize,
}

impl Heads {
    /// Takes the head out of what has come, and interim ones before it;
    /// nothing where its end has not come.
    ///
    /// # Errors
    /// What has come is no head, or no end of heads.
    pub(crate) fn next(&mut self, come: &mut BytesMut) -> Result<Option<Opening>, Malformed> {
        loop {
            let Some(end) = self.end(come)? else {
                let is_too_long = come.len() + self.empty > MAX_HEAD;
                return if is_too_long {
                    Err(Malformed)
                } else {
                    Ok(None)
                };
            };
            let head = split(come, end);
            if let Some(opening) = opening(&head)? {
                return Ok(Some(opening));
            }
            self.looked = 0;
            self.interim += 1;
            if self.interim > MAX_INTERIM {
                return Err(Malformed);
            }
        }
    }

    /// So much is not looked at again.
    #[cfg(test)]
    pub(crate) fn looked(&self) -> usize {
        self.looked
    }

    /// How long the head at the beginning is; nothing where its end has not
    /// come. Each byte is looked at once, however they come. Where a value
    /// goes on in the next line it is made one line (RFC 9112 section 5.2).
    fn end(&mut self, come: &mut BytesMut) -> Result<Option<usize>, Malformed> {
        while self.looked == 0 {
            let size = match &**come {
                [b'\n', ..] => 1,
                [b'\r', b'\n', ..] => 2,
                [] | [b'\r'] => return Ok(None),
                [..] => break,
            };
            come.advance(size);
            self.empty += size;
        }
        let mut begun = come.iter().zip(BEGINNING);
        if begun.any(|(is, should)| is != should) {
            return Err(Malformed);
        }
        while let Some(line) = come
            .get(self.looked..)
            .and_then(|rest| memchr::memchr(b'\n', rest))
        {
            let end = self.looked + line;
            match come.get(end + 1..) {
                Some([b'\n', ..]) => return Ok(Some(end + 2)),
                Some([b'\r', b'\n', ..]) => return Ok(Some(end + 3)),
                None | Some([] | [b'\r']) => {
                    self.looked = end;
                    return Ok(None);
                }
                Some([b' ' | b'\t', ..]) => {
                    for byte in come.iter_mut().take(end + 1).skip(end.saturating_sub(1)) {
                        if matches!(byte, b'\r' | b'\n') {
                            *byte = b' ';
                        }
                    }
                }
                Some([..]) => {}
            }
            self.looked = end + 1;
        }
        self.looked = come.len();
        Ok(None)
    }
}

/// Takes so many bytes off the beginning. Where that is all, nothing is left
/// behind that holds memory.
fn split(come: &mut BytesMut, size: usize) -> Bytes {
    if size >= come.len() {
        mem::take(come).freeze()
    } else {
        come.split_to(size).freeze()
    }
}

/// Reads a whole head; nothing where it is an interim one.
fn opening(head: &Bytes) -> Result<Option<Opening>, Malformed> {
    let mut room = [const { MaybeUninit::uninit() }; MAX_HEADERS];
    let mut response = Response::new(&mut []);
    let mut parser = ParserConfig::default();
    parser.allow_spaces_after_header_name_in_responses(true);
    match parser.parse_response_with_uninit_headers(&mut response, head, &mut room) {
        Ok(Status::Complete(end)) if end == head.len() => {}
        Ok(Status::Complete(_) | Status::Partial) | Err(_) => return Err(Malformed),
    }
    let code = response.code.ok_or(Malformed)?;
    let status = StatusCode::from_u16(code).map_err(|_| Malformed)?;
    if status.is_informational() {
        // Nothing was asked for that it could switch to.
        let is_known = status != StatusCode::SWITCHING_PROTOCOLS;
        return if is_known { Ok(None) } else { Err(Malformed) };
    }
    let mut headers = header_map(response.headers, head)?;
    let (body, keeps) = framing(status, &mut headers, response.version == Some(1))?;
    let head = Head { status, headers };
    Ok(Some(Opening { head, body, keeps }))
}

/// How the body is framed (RFC 9112 section 6.3), and whether the connection
/// may serve again (section 9.3).
fn framing(
    status: StatusCode,
    headers: &mut HeaderMap,
    is_http_1_1: bool,
) -> Result<(Framing, bool), Malformed> {
    let coding = headers.get_all(header::TRANSFER_ENCODING);
    let is_coded = coding.iter().next_back().is_some();
    let last = coding.iter().next_back().and_then(|codings| {
        let last = codings.as_bytes().rsplit(|byte| *byte == b',').next();
        last.map(<[u8]>::trim_ascii)
    });
    let is_chunked = last.is_some_and(|last| last.eq_ignore_ascii_case(b"chunked"));
    // Together they may be an attempt to have two readers read two answers.
    let is_doubtful = is_coded && headers.remove(header::CONTENT_LENGTH).is_some();
    let length = content_length(headers.get_all(header::CONTENT_LENGTH))?;
    let body = match status {
        StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED => Framing::Over,
        _ if is_chunked => Framing::Chunks(Chunks::default()),
        _ if is_coded => Framing::Close,
        _ => length.map_or(Framing::Close, |length| match length {
            0 => Framing::Over,
            length => Framing::Length(length),
        }),
    };
    let said = |token| has_token(headers.get_all(header::CONNECTION), token);
    let ends_with_it = matches!(body, Framing::Close);
    let keeps = if ends_with_it {
        false
    } else if is_http_1_1 {
        !is_doubtful && !said("close")
    } else {
        !is_coded && said("keep-alive") && !said("close")
    };
    Ok((body, keeps))
}

/// How much of a body is still to come.
#[derive(Debug)]
pub(crate) enum Framing {
    /// Chunks (RFC 9112 section 7.1).
    Chunks(Chunks),
    /// All until the connection ends.
    Close,
    /// So many bytes.
    Length(u64),
    /// Nothing.
    Over,
}

impl Framing {
    /// Whether the body has come to its end.
    pub(crate) fn is_over(&self) -> bool {
        match self {
            Self::Chunks(chunks) => chunks.is_over(),
            Self::Close | Self::Length(_) => false,
            Self::Over => true,
        }
    }

    /// The connection has ended: says whether that is the body's end.
    pub(crate) fn end(&mut self) -> bool {
        if matches!(self, Self::Close) {
            *self = Self::Over;
        }
        self.is_over()
    }

    /// What comes next in the body; takes it out of what has come.
    ///
    /// # Errors
    /// It is not framed as it says.
    pub(crate) fn next(&mut self, come: &mut BytesMut) -> Result<Chunk, Malformed> {
        match self {
            Self::Over => Ok(Chunk::End),
            Self::Close | Self::Length(_) if come.is_empty() => Ok(Chunk::Wanting),
            Self::Close => Ok(Chunk::Data(mem::take(come).freeze())),
            Self::Length(left) => {
                let size = usize::try_from(*left).map_or(come.len(), |left| left.min(come.len()));
                self.took(size);
                Ok(Chunk::Data(split(come, size)))
            }
            Self::Chunks(chunks) => {
                let next = chunks.next(come)?;
                let next = match next {
                    Chunk::Data(first) if first.len() < SMALL => {
                        // An error is met again behind what was good.
                        let (found, used, _) = gather(chunks, &first, come);
                        let all = match found {
                            Gathered::One(_) => None,
                            Gathered::Many(all) => Some(all.freeze()),
                        };
                        come.advance(used);
                        Chunk::Data(all.unwrap_or(first))
                    }
                    Chunk::Data(_) | Chunk::Wanting | Chunk::End => next,
                };
                if come.is_empty() {
                    *come = BytesMut::new();
                }
                Ok(next)
            }
        }
    }

    /// The same where nothing was left over and this has been read: what
    /// belongs to the body is copied off, and only what is left is kept.
    ///
    /// # Errors
    /// It is not framed as it says.
    pub(crate) fn read(&mut self, read: &[u8], come: &mut BytesMut) -> Result<Chunk, Malformed> {
        let (piece, used, found) = match self {
            Self::Close => (Bytes::copy_from_slice(read), read.len(), Ok(())),
            Self::Length(left) => {
                let size = usize::try_from(*left).map_or(read.len(), |left| left.min(read.len()));
                let piece = Bytes::copy_from_slice(read.get(..size).unwrap_or_default());
                self.took(size);
                (piece, size, Ok(()))
            }
            Self::Chunks(chunks) => {
                let (all, used, found) = gather(chunks, &[], read);
                let piece = match all {
                    Gathered::One(data) => Bytes::copy_from_slice(data),
                    Gathered::Many(all) => all.freeze(),
                };
                (piece, used, found)
            }
            Self::Over => (Bytes::new(), 0, Ok(())),
        };
        come.extend_from_slice(read.get(used..).unwrap_or_default());
        if !piece.is_empty() {
            return Ok(Chunk::Data(piece));
        }
        found?;
        Ok(if self.is_over() {
            Chunk::End
        } else {
            Chunk::Wanting
        })
    }

    /// So many bytes of a body of known length have been taken.
    fn took(&mut self, size: usize) {
        if let Self::Length(left) = self {
            *left = left.saturating_sub(size as u64);
            if *left == 0 {
                *self = Self::Over;
            }
        }
    }
}

/// The data of chunks that have come together.
enum Gathered<'a> {
    /// As it lies there; may be empty.
    One(&'a [u8]),
    /// Copied behind each other.
    Many(BytesMut),
}

/// Takes all chunks apart that are there, and puts their data behind `first`,
/// which may be empty. Gives also how many bytes they took, and what is wrong
/// with the next one.
fn gather<'a>(
    chunks: &mut Chunks,
    first: &'a [u8],
    come: &'a [u8],
) -> (Gathered<'a>, usize, Result<(), Malformed>) {
    let mut rest = come;
    let mut all = Gathered::One(first);
    let found = loop {
        let (size, is_data) = match chunks.find(rest) {
            Ok(Found::Data(size)) => (size, true),
            Ok(Found::Framing(size)) => (size, false),
            Ok(Found::Wanting | Found::End) => break Ok(()),
            Err(Malformed) => break Err(Malformed),
        };
        let (now, later) = rest.split_at_checked(size).unwrap_or((rest, &[]));
        if is_data {
            all = match all {
                Gathered::One([]) => Gathered::One(now),
                Gathered::One(one) => {
                    let mut all = BytesMut::with_capacity(one.len() + rest.len());
                    all.extend_from_slice(one);
                    all.extend_from_slice(now);
                    Gathered::Many(all)
                }
                Gathered::Many(mut all) => {
                    all.extend_from_slice(now);
                    Gathered::Many(all)
                }
            };
        }
        rest = later;
    };
    (all, come.len() - rest.len(), found)
}
