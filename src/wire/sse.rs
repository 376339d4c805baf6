//! Framing of server-sent events over any chunking.
//!
//! The format is the WHATWG HTML standard's, section "Server-sent events":
//! lines end in LF, CRLF or CR, an empty line ends an event, a byte order
//! mark may open the stream. A frame keeps the bytes as they came; what is
//! read out of it are ranges into them. The mark alone is left out: it means
//! nothing only at the very beginning, and the client's stream may have begun
//! with a comment of ours.

use std::borrow::Cow;
use std::ops::Range;

use bytes::{Buf, Bytes, BytesMut};
use memchr::memchr2;

/// The longest event that is taken: beyond it the stream counts as broken.
pub const MAX_EVENT: usize = 16 << 20;

/// The byte order mark in UTF-8.
const MARK: &[u8] = b"\xEF\xBB\xBF";

/// An event, or blank lines and comments between events, that grew past
/// [`MAX_EVENT`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge;

/// Cuts a stream into frames. Each byte is looked at once; a frame that lies
/// in one chunk is a slice of that chunk.
#[derive(Debug, Default)]
pub struct Framer {
    /// What has come and is not framed yet, without `held`.
    chunk: Bytes,
    /// The beginning of a frame whose end has not come.
    held: BytesMut,
    /// Whether the current line has a byte already.
    line_started: bool,
    /// Whether the last byte was a CR, whose LF may still come.
    after_cr: bool,
    /// Whether a frame has been given out.
    opened: bool,
}

/// One event with its end, or a run of comments, or an empty line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The bytes as they came, without a byte order mark.
    pub raw: Bytes,
    /// Where the values of its `data` lines stand in `raw`.
    data: Lines,
    /// Where the value of its `event` line stands.
    event: Option<Range<usize>>,
}

/// `data` lines: nearly every event has one.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Lines {
    None,
    One(Range<usize>),
    Many(Vec<Range<usize>>),
}

impl Framer {
    /// Takes the next bytes. What came before must have been framed: call
    /// [`Self::next`] until it gives nothing.
    pub fn push(&mut self, chunk: Bytes) {
        debug_assert!(self.chunk.is_empty(), "frames were left in the last chunk");
        self.chunk = chunk;
    }

    /// The next whole frame, if it has come.
    ///
    /// # Errors
    /// The unfinished frame is larger than [`MAX_EVENT`].
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator ends, a framer waits for the next chunk"
    )]
    pub fn next(&mut self) -> Result<Option<Frame>, TooLarge> {
        let chunk = std::mem::take(&mut self.chunk);
        if chunk.is_empty() {
            return Ok(None);
        }
        if self.after_cr && self.held.is_empty() && chunk[0] == b'\n' {
            // The frame before went out with its CR: this is the LF to it.
            self.after_cr = false;
            self.chunk = chunk.slice(1..);
            return Ok(Some(self.frame(chunk.slice(..1))));
        }
        let Some(end) = self.end_of_frame(&chunk) else {
            self.held.extend_from_slice(&chunk);
            return if self.held.len() > MAX_EVENT {
                Err(TooLarge)
            } else {
                Ok(None)
            };
        };
        let mut rest = chunk;
        let last = rest.split_to(end);
        self.chunk = rest;
        let raw = if self.held.is_empty() {
            last
        } else {
            self.held.extend_from_slice(&last);
            self.held.split().freeze()
        };
        if raw.len() > MAX_EVENT {
            return Err(TooLarge);
        }
        Ok(Some(self.frame(raw)))
    }

    /// What is left when the stream has ended: an event without its end, or
    /// nothing.
    pub fn finish(mut self) -> Option<Frame> {
        let raw = self.held.split().freeze();
        let last = self.frame(raw);
        (!last.raw.is_empty()).then_some(last)
    }

    fn frame(&mut self, mut raw: Bytes) -> Frame {
        let is_first = !std::mem::replace(&mut self.opened, true);
        if is_first && raw.starts_with(MARK) {
            raw.advance(MARK.len());
        }
        Frame::read(raw)
    }

    /// Where the frame ends in these bytes, after its empty line.
    ///
    /// A CR ends the frame at once, though an LF may follow that belongs to
    /// it: an event is never held for a byte that may not come. Such an LF
    /// is then a frame of its own, which says nothing.
    fn end_of_frame(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = usize::from(self.after_cr && bytes.first() == Some(&b'\n'));
        self.after_cr = false;
        loop {
            let Some(length) = memchr2(b'\n', b'\r', &bytes[at..]) else {
                self.line_started |= at < bytes.len();
                return None;
            };
            let empty = length == 0 && !self.line_started;
            self.line_started = false;
            let is_cr = bytes[at + length] == b'\r';
            at += length + 1;
            if is_cr {
                match bytes.get(at) {
                    Some(b'\n') => at += 1,
                    Some(_) => {}
                    None => self.after_cr = true,
                }
            }
            if empty {
                return Some(at);
            }
        }
    }
}

impl Frame {
    /// Reads one frame.
    pub(crate) fn read(raw: Bytes) -> Self {
        let mut frame = Self {
            data: Lines::None,
            event: None,
            raw,
        };
        let mut at = 0;
        while at < frame.raw.len() {
            let line = &frame.raw[at..];
            let length = memchr2(b'\n', b'\r', line).unwrap_or(line.len());
            let line = &line[..length];
            let name = memchr::memchr(b':', line).unwrap_or(length);
            let value = match line.get(name..) {
                Some([b':', b' ', ..]) => name + 2,
                Some([b':', ..]) => name + 1,
                _ => length,
            };
            let value = at + value..at + length;
            match &line[..name] {
                b"data" => frame.data.add(value),
                b"event" => frame.event = Some(value),
                _ => {}
            }
            at += length + 1;
        }
        frame
    }

    /// The event's name, where it has one.
    pub fn event(&self) -> Option<&[u8]> {
        self.event.clone().map(|at| &self.raw[at])
    }

    /// The event's data: its `data` lines, joined by LF. Nothing for frames
    /// that carry none.
    pub fn data(&self) -> Option<Cow<'_, [u8]>> {
        match &self.data {
            Lines::None => None,
            Lines::One(at) => Some(Cow::Borrowed(&self.raw[at.clone()])),
            Lines::Many(lines) => {
                let lines: Vec<&[u8]> = lines.iter().map(|at| &self.raw[at.clone()]).collect();
                Some(Cow::Owned(lines.join(&b'\n')))
            }
        }
    }

    /// Writes the frame with changed data: `edits` are ranges of
    /// [`Self::data`] in order and what stands there instead. All other bytes
    /// are written as they came, unless an edit spans lines: then the data
    /// lines are written anew.
    pub fn write(&self, edits: &[(Range<usize>, &[u8])], out: &mut BytesMut) {
        let one;
        let lines = match &self.data {
            Lines::None => &[][..],
            Lines::One(at) => {
                one = [at.clone()];
                &one[..]
            }
            Lines::Many(lines) => lines,
        };
        let mut written = 0;
        let mut edits = edits.iter().peekable();
        let mut line_start = 0;
        for line in lines {
            let line_end = line_start + line.len();
            while let Some((at, new)) = edits.next_if(|(at, _)| at.start < line_end) {
                if at.end > line_end {
                    // Spans lines: from here on the text of all lines is
                    // joined into one, which is the same data to a reader.
                    out.extend_from_slice(&self.raw[written..line.start + at.start - line_start]);
                    return self.write_joined(at.clone(), new, edits, out);
                }
                out.extend_from_slice(&self.raw[written..line.start + at.start - line_start]);
                out.extend_from_slice(new);
                written = line.start + at.end - line_start;
            }
            line_start = line_end + 1;
        }
        out.extend_from_slice(&self.raw[written..]);
    }

    /// The rest of an event whose edit at `at` spans lines, on the line that
    /// has begun.
    fn write_joined<'a>(
        &self,
        at: Range<usize>,
        new: &[u8],
        edits: impl Iterator<Item = &'a (Range<usize>, &'a [u8])>,
        out: &mut BytesMut,
    ) {
        let data = self.data().unwrap_or_default();
        let mut text = new.to_vec();
        let mut written = at.end;
        for (at, new) in edits {
            text.extend_from_slice(&data[written..at.start]);
            text.extend_from_slice(new);
            written = at.end;
        }
        text.extend_from_slice(&data[written..]);
        for (nth, line) in text.split(|byte| *byte == b'\n').enumerate() {
            if nth > 0 {
                out.extend_from_slice(b"\ndata: ");
            }
            out.extend_from_slice(line);
        }
        // What stands behind the data: its line's end, other fields, the end.
        if let Lines::Many(lines) = &self.data
            && let Some(last) = lines.last()
        {
            out.extend_from_slice(&self.raw[last.end..]);
        }
    }
}

impl Lines {
    fn add(&mut self, line: Range<usize>) {
        *self = match std::mem::replace(self, Self::None) {
            Self::None => Self::One(line),
            Self::One(first) => Self::Many(vec![first, line]),
            Self::Many(mut lines) => {
                lines.push(line);
                Self::Many(lines)
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(chunks: &[&[u8]]) -> Vec<Frame> {
        let mut framer = Framer::default();
        let mut frames = Vec::new();
        for chunk in chunks {
            framer.push(Bytes::copy_from_slice(chunk));
            while let Some(frame) = framer.next().unwrap() {
                frames.push(frame);
            }
        }
        frames.extend(framer.finish());
        frames
    }

    fn data(frames: &[Frame]) -> Vec<Vec<u8>> {
        frames
            .iter()
            .filter_map(|frame| frame.data().map(Cow::into_owned))
            .collect()
    }

    const SAMPLES: [&[u8]; 7] = [
        b"data: {\"a\":1}\n\ndata: {\"b\":2}\n\ndata: [DONE]\n\n",
        b"data: 1\r\n\r\ndata: 2\r\n\r\n",
        b"data: 1\r\rdata: 2\r\r",
        b"\xEF\xBB\xBFdata: 1\n\n",
        b": ping\n\nevent: x\ndata: 1\ndata: 2\nid: 7\n\n",
        b"data: 1\n\n\n\ndata:2\n\ndata\n\n",
        b"event: a\r\ndata: 1\ndata: 2\r\r\ndata: tail",
    ];

    #[test]
    fn any_chunking_gives_the_same_events() {
        for sample in SAMPLES {
            let whole = frames(&[sample]);
            for cut in 0..=sample.len() {
                let split = frames(&[&sample[..cut], &sample[cut..]]);
                assert_eq!(data(&split), data(&whole), "cut at {cut}");
                let joined: Vec<u8> = split.iter().flat_map(|f| f.raw.to_vec()).collect();
                let said = sample.strip_prefix(MARK).unwrap_or(sample);
                assert_eq!(joined, said, "no byte is lost at {cut}");
            }
            let bytes: Vec<&[u8]> = sample.chunks(1).collect();
            assert_eq!(data(&frames(&bytes)), data(&whole));
        }
    }

    #[test]
    fn lines_end_in_lf_crlf_or_cr() {
        assert_eq!(data(&frames(&[SAMPLES[1]])), [b"1", b"2"]);
        assert_eq!(data(&frames(&[SAMPLES[2]])), [b"1", b"2"]);
        assert_eq!(data(&frames(&[SAMPLES[3]])), [b"1"]);
        let mixed = frames(&[SAMPLES[4]]);
        assert_eq!(mixed[0].data(), None);
        assert_eq!(mixed[1].data().unwrap().as_ref(), b"1\n2");
        assert_eq!(mixed[1].event(), Some(&b"x"[..]));
        assert_eq!(data(&frames(&[SAMPLES[5]])), [&b"1"[..], b"2", b""]);
    }

    #[test]
    fn a_byte_order_mark_is_left_out_where_it_opens_the_stream() {
        let marked = frames(&[b"\xEF\xBB", b"\xBFdata: 1\n\n", b"\xEF\xBB\xBFdata: 2\n\n"]);
        assert_eq!(marked[0].raw.as_ref(), b"data: 1\n\n");
        assert_eq!(marked[1].raw.as_ref(), b"\xEF\xBB\xBFdata: 2\n\n");
        assert_eq!(data(&marked), [b"1"], "the second is a field nobody knows");
        assert_eq!(frames(&[MARK]), []);
    }

    #[test]
    fn a_bare_cr_ends_an_event_at_once() {
        let mut framer = Framer::default();
        framer.push(Bytes::from_static(b"data: 1\r\r"));
        assert!(framer.next().unwrap().is_some());
        framer.push(Bytes::from_static(b"\ndata: 2\r\n\r\n"));
        assert_eq!(framer.next().unwrap().unwrap().raw.as_ref(), b"\n");
        let next = framer.next().unwrap().unwrap();
        assert_eq!(next.data().unwrap().as_ref(), b"2");
        assert_eq!(next.raw.as_ref(), b"data: 2\r\n\r\n");
    }

    #[test]
    fn an_event_in_one_chunk_is_not_copied() {
        let chunk = Bytes::from_static(SAMPLES[0]);
        let mut framer = Framer::default();
        framer.push(chunk.clone());
        let frame = framer.next().unwrap().unwrap();
        assert_eq!(frame.raw.as_ptr(), chunk.as_ptr());
    }

    #[test]
    fn an_endless_event_is_refused() {
        let mut framer = Framer::default();
        let megabyte = Bytes::from(vec![b'x'; 1 << 20]);
        let mut refused = false;
        for _ in 0..20 {
            framer.push(megabyte.clone());
            refused |= framer.next() == Err(TooLarge);
        }
        assert!(refused);
    }

    fn edited(frame: &[u8], old: &str, new: &str) -> String {
        let frame = &frames(&[frame])[0];
        let data = frame.data().unwrap();
        let text = std::str::from_utf8(&data).unwrap();
        let start = text.find(old).unwrap();
        let mut out = BytesMut::new();
        frame.write(&[(start..start + old.len(), new.as_bytes())], &mut out);
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn an_edit_leaves_the_other_bytes() {
        assert_eq!(
            edited(b"id: 1\r\ndata:  {\"m\":\"a\"}\r\n\r\n", "\"a\"", "\"bb\""),
            "id: 1\r\ndata:  {\"m\":\"bb\"}\r\n\r\n"
        );
        assert_eq!(
            edited(
                b"data: {\ndata: \"m\":\"a\"\ndata: }\n\n",
                "\"a\"",
                "\"bb\""
            ),
            "data: {\ndata: \"m\":\"bb\"\ndata: }\n\n"
        );
        let spanning = edited(b"data: {\"x\":1\ndata: ,\"m\":2}\n\n", "1\n,", "3,");
        assert_eq!(spanning, "data: {\"x\":3,\"m\":2}\n\n");
        let more = edited(
            b"id: 1\ndata: {\"x\":1\r\ndata: ,\"m\":2\ndata: }\r\nevent: e\n\n",
            "1\n,",
            "3,",
        );
        assert_eq!(
            more,
            "id: 1\ndata: {\"x\":3,\"m\":2\ndata: }\r\nevent: e\n\n"
        );
    }
}
