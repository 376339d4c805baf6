//! From a reply to bytes and pauses.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use http::StatusCode;

use super::content::{Content, Said};
use super::reply::{Closing, Reply};
use super::seen::Seen;
use super::step::{At, Framing, Step};

/// An answer as it is played.
pub(super) struct Message {
    pub(super) steps: Vec<Step>,
    /// Whether the connection is closed after it.
    pub(super) closes: bool,
}

impl Message {
    /// This reply to this request.
    pub(super) fn new(reply: &Reply, seen: &Seen) -> Self {
        let mut closes = reply.closing != Closing::Kept || seen.wants_close();
        let steps = match &reply.said {
            Said::Steps(steps) => steps.clone(),
            Said::Absent
            | Said::Body(_)
            | Said::Events(_)
            | Said::Inside(_)
            | Said::Models(_)
            | Said::Words(_) => Writer::new(reply).write(seen, &mut closes),
        };
        let steps = interrupted(steps, &reply.events);
        Self {
            steps: match reply.trickle {
                Some((bytes, pause)) => trickled(steps, bytes, pause),
                None => steps,
            },
            closes,
        }
    }
}

pub(super) fn status_line(out: &mut BytesMut, version: &str, status: u16) {
    let reason = StatusCode::from_u16(status)
        .ok()
        .and_then(|status| status.canonical_reason())
        .unwrap_or("Unknown");
    out.put_slice(format!("{version} {status} {reason}\r\n").as_bytes());
}

pub(super) fn header(out: &mut BytesMut, name: &str, value: &[u8]) {
    out.put_slice(name.as_bytes());
    out.put_slice(b": ");
    out.put_slice(value);
    out.put_slice(b"\r\n");
}

/// What a [`Framing`] comes to for one body.
struct Frame {
    version: &'static str,
    /// The body's true length.
    length: usize,
    /// Each becomes a `content-length`.
    lengths: Vec<usize>,
    chunked: bool,
    /// The connection ends after the body.
    closes: bool,
    /// And the head says so.
    announces: bool,
}

impl Frame {
    fn new(framing: &Framing, streamed: bool, length: usize) -> Self {
        let plain = Self {
            version: "HTTP/1.1",
            length,
            lengths: Vec::new(),
            chunked: false,
            closes: false,
            announces: false,
        };
        let with = |lengths: &[usize]| lengths.to_vec();
        match framing {
            Framing::Usual if !streamed => Self {
                lengths: with(&[length]),
                ..plain
            },
            Framing::Usual | Framing::Chunked | Framing::ChunkedBy(_) => Self {
                chunked: true,
                ..plain
            },
            Framing::Length => Self {
                lengths: with(&[length]),
                ..plain
            },
            Framing::UntilClose => Self {
                closes: true,
                announces: true,
                ..plain
            },
            Framing::Http10 => Self {
                version: "HTTP/1.0",
                closes: true,
                ..plain
            },
            Framing::Claims(claimed) => Self {
                lengths: with(&[*claimed]),
                closes: *claimed > length,
                ..plain
            },
            Framing::TwoLengths => Self {
                lengths: with(&[length, length + 1]),
                ..plain
            },
            Framing::LengthAndChunked => Self {
                lengths: with(&[length]),
                chunked: true,
                ..plain
            },
        }
    }
}

/// Joins bytes until something other than bytes has to happen, so that an
/// answer without pauses is one write.
struct Writer<'a> {
    reply: &'a Reply,
    steps: Vec<Step>,
    out: BytesMut,
    /// Bytes of the body so far.
    written: usize,
}

impl<'a> Writer<'a> {
    fn new(reply: &'a Reply) -> Self {
        Self {
            reply,
            steps: Vec::new(),
            out: BytesMut::new(),
            written: 0,
        }
    }

    fn write(mut self, seen: &Seen, closes: &mut bool) -> Vec<Step> {
        let mut content = Content::of(self.reply, seen);
        content.pieces.truncate(self.reply.only);
        if let Framing::ChunkedBy(size) = self.reply.framing {
            content.pieces = recut(&content.pieces, size.max(1));
        }
        let length = content.pieces.iter().map(Bytes::len).sum();
        let frame = Frame::new(&self.reply.framing, content.streamed, length);

        self.out.put_slice(&self.reply.interim);
        self.happens(At::Start);
        let announced = frame.announces || (*closes && self.reply.closing != Closing::Silent);
        self.head(seen, content.kind, &frame, announced);
        self.happens(At::Head);
        self.happens(At::Byte(0));
        self.happens(At::Event(0));
        for (at, piece) in content.pieces.iter().enumerate() {
            if at > 0 && self.reply.between > Duration::ZERO {
                self.step(Step::Wait(self.reply.between));
            }
            self.piece(piece, frame.chunked);
            self.happens(At::Event(at + 1));
        }
        self.happens(At::End);
        if frame.chunked {
            self.out.put_slice(b"0\r\n\r\n");
        }
        *closes |= frame.closes;
        self.flush();
        self.steps
    }

    fn head(&mut self, seen: &Seen, kind: &str, frame: &Frame, announced: bool) {
        let reply = self.reply;
        status_line(&mut self.out, frame.version, reply.status);
        let usual = |name: &str| {
            !reply
                .without
                .iter()
                .any(|left| left.eq_ignore_ascii_case(name))
        };
        if usual("content-type") && frame.length > 0 {
            header(&mut self.out, "content-type", kind.as_bytes());
        }
        if usual("x-request-id") {
            let id = format!("req_mock{}", seen.number);
            header(&mut self.out, "x-request-id", id.as_bytes());
        }
        if let (true, Some(id)) = (reply.voice.echo, seen.test_id()) {
            header(&mut self.out, "x-test-id", id.as_bytes());
        }
        for (name, value) in &reply.headers {
            header(&mut self.out, name, value);
        }
        if frame.chunked {
            header(&mut self.out, "transfer-encoding", b"chunked");
        }
        for length in &frame.lengths {
            let digits = length.to_string();
            header(&mut self.out, "content-length", digits.as_bytes());
        }
        if announced {
            header(&mut self.out, "connection", b"close");
        }
        self.out.put_slice(b"\r\n");
    }

    /// One piece of the body, and what is to happen inside it.
    fn piece(&mut self, piece: &Bytes, chunked: bool) {
        if piece.is_empty() {
            // As a chunk it would be the last one.
            return;
        }
        if chunked {
            self.out
                .put_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        }
        let end = self.written + piece.len();
        let mut places: Vec<usize> = self
            .reply
            .events
            .iter()
            .filter_map(|(place, _)| match place {
                At::Byte(at) if *at > self.written && *at < end => Some(*at),
                At::Byte(_) | At::End | At::Event(_) | At::Head | At::Start | At::Wire(_) => None,
            })
            .collect();
        places.sort_unstable();
        places.dedup();
        let begin = self.written;
        for place in places {
            self.out
                .put_slice(&piece[self.written - begin..place - begin]);
            self.written = place;
            self.happens(At::Byte(place));
        }
        self.out.put_slice(&piece[self.written - begin..]);
        self.written = end;
        if chunked {
            self.out.put_slice(b"\r\n");
        }
        self.happens(At::Byte(end));
    }

    /// Does what is scripted for this place.
    fn happens(&mut self, here: At) {
        for (place, step) in &self.reply.events {
            if *place == here {
                self.step(step.clone());
            }
        }
    }

    fn step(&mut self, step: Step) {
        self.flush();
        self.steps.push(step);
    }

    fn flush(&mut self) {
        if !self.out.is_empty() {
            self.steps.push(Step::Send(self.out.split().freeze()));
        }
    }
}

/// The same steps, and what is to happen after so many bytes of them.
fn interrupted(steps: Vec<Step>, events: &[(At, Step)]) -> Vec<Step> {
    let mut places: Vec<(usize, &Step)> = events
        .iter()
        .filter_map(|(place, step)| match place {
            At::Wire(at) => Some((*at, step)),
            At::Byte(_) | At::End | At::Event(_) | At::Head | At::Start => None,
        })
        .collect();
    if places.is_empty() {
        return steps;
    }
    places.sort_by_key(|(at, _)| *at);
    let mut places = places.into_iter().peekable();
    let mut all = Vec::with_capacity(steps.len() + 2);
    let mut written = 0;
    for step in steps {
        let Step::Send(mut bytes) = step else {
            all.push(step);
            continue;
        };
        let end = written + bytes.len();
        while let Some((at, event)) = places.next_if(|(at, _)| *at <= end) {
            let before = bytes.split_to(at - written);
            written = at;
            if !before.is_empty() {
                all.push(Step::Send(before));
            }
            all.push(event.clone());
        }
        if !bytes.is_empty() {
            all.push(Step::Send(bytes));
        }
        written = end;
    }
    all
}

/// The same bytes in pieces of this size.
fn recut(pieces: &[Bytes], size: usize) -> Vec<Bytes> {
    let whole = Bytes::from(pieces.concat());
    (0..whole.len())
        .step_by(size)
        .map(|at| whole.slice(at..whole.len().min(at + size)))
        .collect()
}

/// The same steps, written a few bytes at a time.
fn trickled(steps: Vec<Step>, size: usize, pause: Duration) -> Vec<Step> {
    let mut slow = Vec::new();
    for step in steps {
        match step {
            Step::Send(bytes) => {
                for piece in recut(&[bytes], size) {
                    if !slow.is_empty() {
                        slow.push(Step::Wait(pause));
                    }
                    slow.push(Step::Send(piece));
                }
            }
            Step::Cut | Step::Hold(_) | Step::Reset | Step::Stall | Step::Wait(_) => {
                slow.push(step);
            }
        }
    }
    slow
}
