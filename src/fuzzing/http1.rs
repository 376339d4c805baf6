//! Fuzz entry for providers' answers over HTTP/1.1.

use bytes::BytesMut;
use http::HeaderMap;

use super::wire::chunks;
use crate::upstream::answer::{Framing, Heads, Opening};
use crate::wire::http1::{Chunk, Malformed};

/// What has been read of an answer.
#[derive(Debug, Default, PartialEq)]
struct Came {
    status: Option<u16>,
    headers: HeaderMap,
    body: Vec<u8>,
    is_over: bool,
    is_malformed: bool,
    keeps: bool,
}

impl Came {
    /// Reads on as far as it goes.
    fn body(
        &mut self,
        framing: &mut Framing,
        mut next: Result<Chunk, Malformed>,
        come: &mut BytesMut,
    ) {
        while let Ok(Chunk::Data(data)) = &next {
            assert!(!data.is_empty(), "a piece has something in it");
            self.body.extend_from_slice(data);
            next = framing.next(come);
        }
        self.is_over = framing.is_over();
        self.is_malformed = next.is_err();
    }
}

fn read<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Came {
    let (mut heads, mut come) = (Heads::default(), BytesMut::new());
    let (mut came, mut body) = (Came::default(), None);
    for piece in pieces {
        if came.is_malformed || came.is_over {
            break;
        }
        match &mut body {
            Some(framing) if come.is_empty() => {
                let next = Framing::read(framing, piece, &mut come);
                came.body(framing, next, &mut come);
            }
            Some(framing) => {
                come.extend_from_slice(piece);
                let next = framing.next(&mut come);
                came.body(framing, next, &mut come);
            }
            None => {
                come.extend_from_slice(piece);
                match heads.next(&mut come) {
                    Ok(Some(Opening {
                        head,
                        body: mut framing,
                        keeps,
                    })) => {
                        (came.status, came.keeps) = (Some(head.status.as_u16()), keeps);
                        came.headers = head.headers;
                        let next = framing.next(&mut come);
                        came.body(&mut framing, next, &mut come);
                        body = Some(framing);
                    }
                    Ok(None) => {}
                    Err(Malformed) => came.is_malformed = true,
                }
            }
        }
    }
    came
}

/// Any chunking of an answer gives the same answer, and no value of its head
/// has a line's end in it.
pub fn http1_answer(data: &[u8]) {
    let (rest, cut) = chunks(data);
    let whole = read(std::iter::once(rest));
    for value in whole.headers.values() {
        let value = value.as_bytes();
        assert!(
            !value.contains(&b'\r') && !value.contains(&b'\n'),
            "one line"
        );
    }
    assert_eq!(read(cut), whole, "the same answer");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a fuzzer does not find soon by itself.
    #[test]
    fn answers_are_the_same_however_they_are_cut() {
        let heads = [
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nx: a\r\n b\r\ncontent-length: 9\r\n\r\n",
            "HTTP/1.1 100 C\r\n\r\nHTTP/1.0 200\n\n",
        ];
        let bodies = ["3\r\nabc\r\n1;x\r\nd\r\n0\r\n\r\nmore", "3\r\nabcd\r\n", ""];
        let mut bodied = 0;
        for (head, body) in heads
            .iter()
            .flat_map(|head| bodies.map(|body| (head, body)))
        {
            let wire = format!("{head}{body}");
            for (size, end) in (0..32).flat_map(|size| (0..=wire.len()).map(move |end| (size, end)))
            {
                http1_answer(&[&[size], &wire.as_bytes()[..end]].concat());
            }
            bodied += usize::from(!read(std::iter::once(wire.as_bytes())).body.is_empty());
        }
        assert_eq!(bodied, 6, "they are answers");
    }
}
