//! HTTP/1.1's framing (RFC 9112), the same in both directions: heads, and
//! bodies in chunks.

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};

/// A head with more headers than this is refused.
pub const MAX_HEADERS: usize = 256;

/// A chunk's size line, and all trailers together, may be this long: nobody
/// here makes use of what can stand in them.
const MAX_LINE: usize = 4 << 10;
const MAX_TRAILERS: usize = 64 << 10;

/// The other side does not speak HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// A head's headers; their values share its bytes. `parsed` are those that
/// were found in `head`.
///
/// # Errors
/// A name or a value that no header may have, or too many of them.
pub fn header_map(parsed: &[httparse::Header<'_>], head: &Bytes) -> Result<HeaderMap, Malformed> {
    let room = HeaderMap::try_with_capacity(parsed.len());
    let mut headers = room.map_err(|_| Malformed)?;
    for header in parsed {
        let name = HeaderName::from_bytes(header.name.as_bytes()).map_err(|_| Malformed)?;
        let value = HeaderValue::from_maybe_shared(head.slice_ref(header.value));
        let value = value.map_err(|_| Malformed)?;
        headers.try_append(name, value).map_err(|_| Malformed)?;
    }
    Ok(headers)
}

/// Whether a list of tokens such as `connection` has this one in it
/// (RFC 9110 section 5.6.1); tokens know no case.
pub fn has_token<'a>(values: impl IntoIterator<Item = &'a HeaderValue>, token: &str) -> bool {
    let tokens = |value: &'a HeaderValue| value.as_bytes().split(|byte| *byte == b',');
    values
        .into_iter()
        .flat_map(tokens)
        .any(|is| is.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}

/// A `content-length` (RFC 9110 section 8.6), which may stand there several
/// times if it says the same; nothing where there is none.
///
/// # Errors
/// No number, or different ones.
pub fn content_length<'a>(
    values: impl IntoIterator<Item = &'a HeaderValue>,
) -> Result<Option<u64>, Malformed> {
    let mut length = None;
    for value in values {
        let number = decimal(value.as_bytes()).ok_or(Malformed)?;
        if length.is_some_and(|length| length != number) {
            return Err(Malformed);
        }
        length = Some(number);
    }
    Ok(length)
}

fn decimal(digits: &[u8]) -> Option<u64> {
    let add = |sum: u64, digit: &u8| {
        let digit = digit.is_ascii_digit().then(|| digit - b'0')?;
        sum.checked_mul(10)?.checked_add(digit.into())
    };
    (!digits.is_empty()).then(|| digits.iter().try_fold(0, add))?
}

/// What [`Chunks`] finds next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chunk {
    /// Some of the body; never empty.
    Data(Bytes),
    /// More bytes have to come first.
    Wanting,
    /// The body is over. What is left in the buffer belongs to no body.
    End,
}

/// What [`Chunks`] finds at the beginning of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// So many bytes of framing, which is none of the body.
    Framing(usize),
    /// So many bytes of the body; never none.
    Data(usize),
    /// More bytes have to come first.
    Wanting,
    /// The body is over.
    End,
}

/// Takes a body in chunks apart (RFC 9112 section 7.1). Extensions and
/// trailers are read over.
#[derive(Debug, Default)]
pub struct Chunks {
    state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Before a size line.
    #[default]
    Size,
    /// So much of a chunk is still to come.
    Data(u64),
    /// Before the line's end behind a chunk.
    Close,
    /// Behind the last chunk; so many bytes of trailers have been there.
    Trailers(usize),
    Over,
}

impl Chunks {
    /// Whether the last chunk and what belongs to it have been read.
    pub fn is_over(&self) -> bool {
        self.state == State::Over
    }

    /// What comes next in the body; takes it out of the buffer.
    ///
    /// # Errors
    /// No chunk can be read there, and nothing behind it.
    pub fn next(&mut self, come: &mut BytesMut) -> Result<Chunk, Malformed> {
        loop {
            match self.find(come)? {
                Found::Framing(size) => come.advance(size),
                Found::Data(size) => return Ok(Chunk::Data(come.split_to(size).freeze())),
                Found::Wanting => return Ok(Chunk::Wanting),
                Found::End => return Ok(Chunk::End),
            }
        }
    }

    /// What stands at the beginning of what has come. What is found there is
    /// taken by that: the next call is about what follows it.
    ///
    /// # Errors
    /// No chunk can be read there, and nothing behind it.
    pub fn find(&mut self, come: &[u8]) -> Result<Found, Malformed> {
        match self.state {
            State::Size => {
                let Some(end) = line(come, MAX_LINE)? else {
                    return Ok(Found::Wanting);
                };
                let size = size(come.get(..end).unwrap_or_default()).ok_or(Malformed)?;
                self.state = match size {
                    0 => State::Trailers(0),
                    size => State::Data(size),
                };
                Ok(Found::Framing(end + 2))
            }
            State::Data(_) if come.is_empty() => Ok(Found::Wanting),
            State::Data(left) => {
                let size = usize::try_from(left).map_or(come.len(), |left| left.min(come.len()));
                self.state = match left - size as u64 {
                    0 => State::Close,
                    left => State::Data(left),
                };
                Ok(Found::Data(size))
            }
            State::Close => match come {
                [b'\r', b'\n', ..] => {
                    self.state = State::Size;
                    Ok(Found::Framing(2))
                }
                [] | [b'\r'] => Ok(Found::Wanting),
                [_, ..] => Err(Malformed),
            },
            State::Trailers(read) => {
                let Some(end) = line(come, MAX_TRAILERS - read)? else {
                    return Ok(Found::Wanting);
                };
                self.state = match come.get(..end).unwrap_or_default() {
                    [] => State::Over,
                    line if is_field(line) => State::Trailers((read + end).min(MAX_TRAILERS)),
                    [..] => return Err(Malformed),
                };
                Ok(Found::Framing(end + 2))
            }
            State::Over => Ok(Found::End),
        }
    }
}

/// How long the line at the beginning is, without its end; nothing where that
/// has not come yet. A line ends as RFC 9112 has it: one that other readers
/// could end elsewhere is malformed.
fn line(come: &[u8], longest: usize) -> Result<Option<usize>, Malformed> {
    let within = come.get(..longest + 2).unwrap_or(come);
    let Some(end) = memchr::memchr2(b'\r', b'\n', within) else {
        return if come.len() > longest {
            Err(Malformed)
        } else {
            Ok(None)
        };
    };
    match within.get(end..end + 2) {
        Some(b"\r\n") => Ok(Some(end)),
        None if within.get(end) == Some(&b'\r') && come.len() <= longest + 1 => Ok(None),
        Some(_) | None => Err(Malformed),
    }
}

/// Whether a line has a name and a value, as in a head. The first line of a
/// request has not, and that is what stands here where somebody else saw the
/// body's end before.
fn is_field(line: &[u8]) -> bool {
    let colon = memchr::memchr(b':', line);
    let parts = colon.and_then(|at| Some((line.get(..at)?, line.get(at + 1..)?)));
    parts.is_some_and(|(name, value)| {
        HeaderName::from_bytes(name).is_ok() && HeaderValue::from_bytes(value).is_ok()
    })
}

/// A chunk's size, from its line.
fn size(line: &[u8]) -> Option<u64> {
    let digits = line
        .iter()
        .take_while(|byte| byte.is_ascii_hexdigit())
        .count();
    let (digits, rest) = line.split_at_checked(digits)?;
    // Extensions begin with a semicolon, before which there may be blanks.
    let is_plain = matches!(rest.trim_ascii_start(), [] | [b';', ..]);
    if digits.is_empty() || digits.len() > 16 || !is_plain {
        return None;
    }
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes a body apart that comes in pieces of this size.
    fn body(wire: &[u8], piece: usize) -> Result<(Vec<u8>, bool, usize), Malformed> {
        let mut chunks = Chunks::default();
        let (mut come, mut body) = (BytesMut::new(), Vec::new());
        for piece in wire.chunks(piece) {
            come.extend_from_slice(piece);
            while let Chunk::Data(data) = chunks.next(&mut come)? {
                assert!(!data.is_empty());
                body.extend_from_slice(&data);
            }
        }
        Ok((body, chunks.is_over(), come.len()))
    }

    #[test]
    fn a_body_is_the_same_however_it_is_cut() {
        let wire =
            b"5\r\nhello\r\n1;x=\"y\"\r\n,\r\n00a \t;z\r\n wor\r\nld!!\r\n0\r\nx: y\r\nz:\r\n\r\n";
        for piece in 1..=wire.len() {
            let whole = (b"hello, wor\r\nld!!".to_vec(), true, 0);
            assert_eq!(body(wire, piece), Ok(whole), "{piece}");
        }
    }

    #[test]
    fn what_follows_the_end_is_left() {
        let wire = b"1\r\na\r\n0\r\n\r\nPOST";
        assert_eq!(body(wire, wire.len()), Ok((b"a".to_vec(), true, 4)));
    }

    #[test]
    fn an_end_that_has_not_come_is_none() {
        let wire = b"3\r\nabc\r\n0\r\nx: y\r\n\r\n";
        for end in 0..wire.len() {
            let (_, is_over, _) = body(&wire[..end], 1).unwrap();
            assert!(!is_over, "{end}");
        }
    }

    #[test]
    fn what_two_could_read_in_two_ways_is_refused() {
        for wire in [
            "g\r\n",
            "\r\n",
            " 1\r\na\r\n",
            "+1\r\na\r\n",
            "0x1\r\na\r\n",
            "1\na\n0\n\n",
            "1\ra\r\n",
            "1\r\nab\r\n",
            "1\r\na\n",
            "1\r\na\rb",
            "1 1\r\n",
            "1, 1\r\n",
            "-1\r\n",
            "10000000000000000\r\n",
            "0\r\nx: y\n\r\n",
            "0\r\nno colon\r\n\r\n",
            "0\r\n: y\r\n\r\n",
            "0\r\nx : y\r\n\r\n",
            "0\r\nx: y\0\r\n\r\n",
            "0\r\nx: y\r\n folded\r\n\r\n",
            "0\r\nGET http://h/ HTTP/1.1\r\n\r\n",
        ] {
            for piece in [1, 2, wire.len()] {
                assert_eq!(body(wire.as_bytes(), piece), Err(Malformed), "{wire:?}");
            }
        }
    }

    #[test]
    fn lines_without_end_are_not_kept() {
        let long = |before: &str, size| format!("{before}{}", "x".repeat(size));
        assert!(body(long("1;", MAX_LINE - 2).as_bytes(), 7).is_ok());
        assert_eq!(body(long("1;", MAX_LINE).as_bytes(), 7), Err(Malformed));
        let trailer = format!("0\r\n{}", "x: y\r\n".repeat(MAX_TRAILERS));
        assert_eq!(body(trailer.as_bytes(), 1000), Err(Malformed));
    }

    #[test]
    fn a_huge_chunk_is_passed_on_as_it_comes() {
        let wire = b"ffffffffffffffff\r\nabc";
        assert_eq!(body(wire, 20), Ok((b"abc".to_vec(), false, 0)));
    }

    fn value(text: &str) -> HeaderValue {
        HeaderValue::from_str(text).unwrap()
    }

    #[test]
    fn a_length_is_one_number() {
        let length = |texts: &[&str]| {
            let values: Vec<HeaderValue> = texts.iter().map(|text| value(text)).collect();
            content_length(&values)
        };
        assert_eq!(length(&[]), Ok(None));
        assert_eq!(length(&["17"]), Ok(Some(17)));
        assert_eq!(length(&["17", "17"]), Ok(Some(17)));
        assert_eq!(length(&["18446744073709551615"]), Ok(Some(u64::MAX)));
        for bad in ["", "+1", "-1", "1 ", "1,1", "0x1", "18446744073709551616"] {
            assert_eq!(length(&[bad]), Err(Malformed), "{bad:?}");
        }
        assert_eq!(length(&["1", "2"]), Err(Malformed));
    }

    #[test]
    fn tokens_stand_in_lists_in_any_case() {
        let has = |text: &str| has_token([&value(text)], "close");
        assert!(has("close") && has("Keep-Alive, CLOSE ") && has(",close,"));
        assert!(!has("") && !has("closed") && !has("close x"));
    }

    #[test]
    fn headers_share_the_bytes_of_their_head() {
        let head = Bytes::from_static(b"HTTP/1.1 200 OK\r\nA: 1\r\nx-b:  two \r\na: 3\r\n\r\n");
        let mut room = [httparse::EMPTY_HEADER; 4];
        let mut response = httparse::Response::new(&mut room);
        response.parse(&head).unwrap();
        let headers = header_map(response.headers, &head).unwrap();
        let all: Vec<_> = headers.get_all("a").iter().collect();
        assert_eq!(all, ["1", "3"]);
        assert_eq!(headers["x-b"], "two");
    }
}
