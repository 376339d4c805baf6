//! An answer, read piece by piece as it comes, for little time: its status,
//! its length, its events and its last bytes.

use memchr::memmem;

/// The last event of a stream.
pub(super) const DONE: &[u8] = b"data: [DONE]\n\n";
/// Longer heads than any of the proxies makes.
const MAX_HEAD: usize = 16 << 10;

/// Where in an answer the next byte stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Head,
    /// A body of known length; so much is left.
    Body(u64),
    /// In the line of a chunk's size, …
    Size(u64),
    /// … behind its `\r`.
    SizeEnd(u64),
    /// So much of the chunk is left, its line end among it.
    Chunk(u64),
    /// In the line behind the last chunk, of which so much is left.
    Last(u8),
    End,
}

/// One answer.
#[derive(Debug)]
pub(super) struct Answer {
    place: Place,
    /// The head, where it comes in more than one piece.
    head: Vec<u8>,
    pub(super) status: u16,
    /// Bytes of the body so far, without the framing.
    pub(super) length: u64,
    /// Ends of events so far.
    pub(super) events: u64,
    /// Whether the head holds what was looked for.
    pub(super) marked: bool,
    /// Whether the connection ends with it.
    pub(super) closes: bool,
    last: [u8; DONE.len()],
}

impl Answer {
    pub(super) fn new() -> Self {
        Self {
            place: Place::Head,
            head: Vec::new(),
            status: 0,
            length: 0,
            events: 0,
            marked: false,
            closes: false,
            last: [0; DONE.len()],
        }
    }

    /// For the next one on the same connection.
    pub(super) fn begin(&mut self) {
        let head = std::mem::take(&mut self.head);
        *self = Self {
            head,
            ..Self::new()
        };
        self.head.clear();
    }

    /// Whether it ends as a whole stream does.
    pub(super) fn is_done(&self) -> bool {
        self.last == DONE
    }

    /// Reads on; whether it is whole now. `mark` is looked for in the head.
    pub(super) fn read(&mut self, mut bytes: &[u8], mark: &[u8]) -> Result<bool, String> {
        while !bytes.is_empty() {
            bytes = match self.place {
                Place::Head => self.head(bytes, mark)?,
                Place::Body(left) => {
                    let (data, rest) = split(bytes, left);
                    self.data(data);
                    self.place = match left - count(data) {
                        0 => Place::End,
                        left => Place::Body(left),
                    };
                    rest
                }
                Place::Size(size) => {
                    let (digit, rest) = first(bytes);
                    self.place = match char::from(digit).to_digit(16) {
                        Some(digit) => Place::Size(size << 4 | u64::from(digit)),
                        None if digit == b'\r' => Place::SizeEnd(size),
                        None => return Err(format!("a chunk size with {digit:#x}")),
                    };
                    rest
                }
                Place::SizeEnd(size) => {
                    self.place = match size {
                        0 => Place::Last(2),
                        size => Place::Chunk(size + 2),
                    };
                    first(bytes).1
                }
                Place::Chunk(left) => {
                    let (data, rest) = split(bytes, left);
                    // The line end is no part of the body.
                    let (body, _) = split(data, left.saturating_sub(2));
                    self.data(body);
                    self.place = match left - count(data) {
                        0 => Place::Size(0),
                        left => Place::Chunk(left),
                    };
                    rest
                }
                Place::Last(left) => {
                    self.place = match left {
                        1 => Place::End,
                        left => Place::Last(left - 1),
                    };
                    first(bytes).1
                }
                Place::End => return Err("bytes behind an answer".to_owned()),
            };
        }
        Ok(self.place == Place::End)
    }

    fn head<'a>(&mut self, bytes: &'a [u8], mark: &[u8]) -> Result<&'a [u8], String> {
        let before = self.head.len();
        // Mostly it comes in one piece, and is then not copied.
        let whole = match before {
            0 => memmem::find(bytes, b"\r\n\r\n").map(|at| at + 4),
            _ => {
                self.head.extend_from_slice(bytes);
                memmem::find(&self.head, b"\r\n\r\n").map(|at| at + 4 - before)
            }
        };
        let Some(end) = whole else {
            if before == 0 {
                self.head.extend_from_slice(bytes);
            }
            return match self.head.len() {
                length if length > MAX_HEAD => Err("a head without end".to_owned()),
                _ => Ok(&[]),
            };
        };
        let (head, rest) = bytes.split_at(end);
        let mut kept = std::mem::take(&mut self.head);
        kept.truncate(before + end);
        let found = self.line_by_line(if before == 0 { head } else { &kept }, mark);
        self.head = kept;
        found.map(|()| rest)
    }

    fn line_by_line(&mut self, head: &[u8], mark: &[u8]) -> Result<(), String> {
        let status = head
            .strip_prefix(b"HTTP/1.1 ")
            .and_then(|rest| rest.get(..3));
        let status = status.and_then(|status| std::str::from_utf8(status).ok()?.parse().ok());
        self.status = status.ok_or("no status line")?;
        self.marked = !mark.is_empty() && memmem::find(head, mark).is_some();
        self.place = Place::End;
        for (name, value) in headers(head) {
            if name.eq_ignore_ascii_case(b"content-length") {
                self.place = match number(value).ok_or("a bad content-length")? {
                    0 => Place::End,
                    length => Place::Body(length),
                };
            } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
                self.place = Place::Size(0);
            } else if name.eq_ignore_ascii_case(b"connection") {
                self.closes = value.eq_ignore_ascii_case(b"close");
            }
        }
        Ok(())
    }

    fn data(&mut self, data: &[u8]) {
        if data.first() == Some(&b'\n') && self.last.last() == Some(&b'\n') {
            self.events += 1;
        }
        self.events += memmem::find_iter(data, b"\n\n").count() as u64;
        self.length += count(data);
        let kept = self.last.len();
        match data.len().checked_sub(kept) {
            Some(before) => self.last.copy_from_slice(&data[before..]),
            None => {
                self.last.copy_within(data.len().., 0);
                self.last[kept - data.len()..].copy_from_slice(data);
            }
        }
    }
}

/// The header lines of a head, as they stand there.
pub(super) fn headers(head: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let lines = head.split(|byte| *byte == b'\n').skip(1);
    lines.filter_map(|line| {
        let colon = memchr::memchr(b':', line)?;
        Some((line.get(..colon)?, line.get(colon + 1..)?.trim_ascii()))
    })
}

/// A decimal number and nothing else.
pub(super) fn number(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

pub(super) fn count(bytes: &[u8]) -> u64 {
    bytes.len() as u64
}

/// So many bytes at most, and the rest.
pub(super) fn split(bytes: &[u8], most: u64) -> (&[u8], &[u8]) {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    bytes.split_at(most.min(bytes.len()))
}

fn first(bytes: &[u8]) -> (u8, &[u8]) {
    bytes
        .split_first()
        .map_or((0, bytes), |(one, rest)| (*one, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nx-a: here\r\n\r\n\
        a\r\ndata: one\n\r\n1\r\n\n\r\nE\r\ndata: [DONE]\n\n\r\n0\r\n\r\n";

    #[test]
    fn a_stream_is_the_same_however_it_is_cut() {
        for at in 1..STREAM.len() {
            let mut answer = Answer::new();
            assert!(!answer.read(&STREAM[..at], b"here").unwrap(), "{at}");
            assert!(answer.read(&STREAM[at..], b"here").unwrap(), "{at}");
            let found = (answer.status, answer.length, answer.events);
            assert_eq!(found, (200, 25, 2), "{at}");
            assert!(answer.is_done() && answer.marked && !answer.closes, "{at}");
        }
    }

    #[test]
    fn a_stream_byte_by_byte_is_the_same_and_the_next_begins_anew() {
        let mut answer = Answer::new();
        for _ in 0..2 {
            let last = STREAM.len() - 1;
            for (at, byte) in STREAM.iter().enumerate() {
                assert_eq!(answer.read(&[*byte], b"not").unwrap(), at == last);
            }
            assert_eq!((answer.length, answer.events), (25, 2));
            assert!(answer.is_done() && !answer.marked);
            answer.begin();
        }
    }

    #[test]
    fn a_body_ends_where_its_length_says() {
        let whole = b"HTTP/1.1 429 No\r\ncontent-length: 5\r\nConnection: close\r\n\r\nhello";
        let mut answer = Answer::new();
        assert!(!answer.read(&whole[..whole.len() - 1], b"").unwrap());
        assert!(answer.read(b"o", b"").unwrap());
        assert_eq!(
            (answer.status, answer.length, answer.closes),
            (429, 5, true)
        );
        assert!(answer.read(b"x", b"").is_err());
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        assert!(Answer::new().read(b"HTTP/1.0 200 OK\r\n\r\n", b"").is_err());
        assert!(Answer::new().read(&[b'a'; MAX_HEAD + 1], b"").is_err());
        let chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n";
        assert!(Answer::new().read(chunked, b"").is_err());
    }
}
