//! What a provider answers, built in one expression.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};

use super::completion::Usage;
use super::content::Said;
use super::message;
use super::step::{At, Framing, Step};

/// One scripted answer. Without any further call it is what a well-behaved
/// provider sends.
#[derive(Clone, Debug)]
pub struct Reply {
    pub(super) said: Said,
    pub(super) status: u16,
    /// Added or replaced by the script, in order.
    pub(super) headers: Vec<(String, Bytes)>,
    /// Usual ones that are left out.
    pub(super) without: Vec<String>,
    pub(super) framing: Framing,
    /// Heads with a 1xx status, whole, that go out first.
    pub(super) interim: BytesMut,
    /// What happens in the midst of the answer.
    pub(super) events: Vec<(At, Step)>,
    /// Between two pieces of the body.
    pub(super) between: Duration,
    /// Bytes in one write, and the time between two writes.
    pub(super) trickle: Option<(usize, Duration)>,
    /// At most so many pieces of the body are sent, then a clean end.
    pub(super) only: usize,
    pub(super) reading: Reading,
    pub(super) closing: Closing,
    pub(super) voice: Voice,
}

/// When the request's body is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    After,
    Before,
    Never,
}

/// What becomes of the connection after the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Closing {
    Announced,
    Kept,
    Silent,
}

/// How a made-up answer is worded.
#[derive(Clone, Debug, Default)]
pub(super) struct Voice {
    pub(super) echo: bool,
    /// The model's name in the answer; else as asked.
    pub(super) model: Option<String>,
    pub(super) usage: Option<Usage>,
    /// Azure's filter results.
    pub(super) azure: bool,
    /// Raw stream bytes before the first event.
    pub(super) opening: Vec<Bytes>,
}

impl Reply {
    pub(super) fn saying(status: u16, said: Said) -> Self {
        Self {
            said,
            status,
            headers: Vec::new(),
            without: Vec::new(),
            framing: Framing::Usual,
            interim: BytesMut::new(),
            events: Vec::new(),
            between: Duration::ZERO,
            trickle: None,
            only: usize::MAX,
            reading: Reading::Before,
            closing: Closing::Kept,
            voice: Voice::default(),
        }
    }

    /// A good answer in the form that the request asks for: streamed word by
    /// word or plain, by its `stream`; chat, completion, embedding, response
    /// or list of models, by its path.
    pub fn answer(text: &str) -> Self {
        Self::stream_completion(text.split_inclusive(' '))
    }

    /// As [`Reply::answer`], streamed in these pieces.
    pub fn stream_completion<'a>(pieces: impl IntoIterator<Item = &'a str>) -> Self {
        Self::saying(200, Said::words(pieces, true))
    }

    /// As [`Reply::answer`], and plain even where a stream was asked for.
    pub fn completion(text: &str) -> Self {
        Self::saying(200, Said::words([text], false))
    }

    /// A 200 that the content filter ended before it said anything.
    pub fn filtered() -> Self {
        Self::saying(200, Said::filtered())
    }

    /// Any status with a JSON body, not checked.
    pub fn json(status: u16, body: impl Into<Bytes>) -> Self {
        Self::saying(status, Said::Body(body.into()))
    }

    /// Any status, content type and body.
    pub fn plain(status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        Self::json(status, body).header("content-type", content_type)
    }

    /// A 200 with nothing in it.
    pub fn empty() -> Self {
        Self::json(200, "")
    }

    /// An event stream with these `data` fields, also where none was asked
    /// for. `[DONE]` is one of them where it is wanted.
    pub fn stream<T: AsRef<str>>(data: impl IntoIterator<Item = T>) -> Self {
        Self::stream_raw(
            data.into_iter()
                .map(|data| format!("data: {}\n\n", data.as_ref())),
        )
    }

    /// An event stream of these bytes; each item counts as one event.
    pub fn stream_raw<T: Into<Bytes>>(items: impl IntoIterator<Item = T>) -> Self {
        Self::saying(200, Said::Events(items.into_iter().map(T::into).collect()))
    }

    /// The list of these models, and below it each of them.
    pub fn models<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        Self::saying(200, Said::models(names))
    }

    /// Exactly these steps, no head but what they send. All other settings
    /// but those of reading and closing are without effect.
    pub fn steps(steps: impl IntoIterator<Item = Step>) -> Self {
        Self::saying(200, Said::Steps(steps.into_iter().collect()))
    }

    /// Puts an error's body into a 200: as it is, or as the only event where a
    /// stream was asked for.
    #[must_use]
    pub fn inside_200(mut self) -> Self {
        self.said = match self.said {
            Said::Absent => Said::Inside(None),
            Said::Body(body) => Said::Inside(Some(body)),
            said @ (Said::Events(_)
            | Said::Inside(_)
            | Said::Models(_)
            | Said::Steps(_)
            | Said::Words(_)) => said,
        };
        self.status = 200;
        self
    }

    /// Another status.
    #[must_use]
    pub fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// Adds a header line, written as given; the usual line of that name
    /// (`content-type`, `x-request-id`) is then left out.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.without.push(name.into());
        self.headers
            .push((name.into(), Bytes::copy_from_slice(value.as_ref())));
        self
    }

    /// Leaves a usual header out.
    #[must_use]
    pub fn without_header(mut self, name: &str) -> Self {
        self.headers
            .retain(|(have, _)| !have.eq_ignore_ascii_case(name));
        self.without.push(name.into());
        self
    }

    /// How the body's end is told.
    #[must_use]
    pub fn framing(mut self, framing: Framing) -> Self {
        self.framing = framing;
        self
    }

    /// Sends a 1xx head first.
    #[must_use]
    pub fn interim(mut self, status: u16, headers: &[(&str, &str)]) -> Self {
        message::status_line(&mut self.interim, "HTTP/1.1", status);
        for (name, value) in headers {
            message::header(&mut self.interim, name, value.as_bytes());
        }
        self.interim.put_slice(b"\r\n");
        self
    }

    /// Does this in the midst of the answer. A [`Step::Cut`], [`Step::Reset`]
    /// or [`Step::Stall`] ends it. Steps at the same place come in the order
    /// of these calls; a place that the answer does not reach has no effect.
    #[must_use]
    pub fn at(mut self, place: At, step: Step) -> Self {
        self.events.push((place, step));
        self
    }

    /// Breaks off with FIN.
    #[must_use]
    pub fn cut(self, place: At) -> Self {
        self.at(place, Step::Cut)
    }

    /// Breaks off with RST.
    #[must_use]
    pub fn reset(self, place: At) -> Self {
        self.at(place, Step::Reset)
    }

    /// Falls silent until the peer leaves.
    #[must_use]
    pub fn stall(self, place: At) -> Self {
        self.at(place, Step::Stall)
    }

    /// Pauses.
    #[must_use]
    pub fn wait(self, place: At, time: Duration) -> Self {
        self.at(place, Step::Wait(time))
    }

    /// Pauses before the head.
    #[must_use]
    pub fn after(self, time: Duration) -> Self {
        self.wait(At::Start, time)
    }

    /// Pauses between two events.
    #[must_use]
    pub fn between(mut self, time: Duration) -> Self {
        self.between = time;
        self
    }

    /// Writes so many bytes at a time (0 counts as 1), with a pause between
    /// two writes.
    #[must_use]
    pub fn trickle(mut self, bytes: usize, pause: Duration) -> Self {
        self.trickle = Some((bytes.max(1), pause));
        self
    }

    /// Ends cleanly after so many events, without finish reason or `[DONE]`.
    #[must_use]
    pub fn only(mut self, events: usize) -> Self {
        self.only = events;
        self
    }

    /// Answers before the request's body is read, then reads it and keeps the
    /// connection. Needs a script that decides without the body.
    #[must_use]
    pub fn early(mut self) -> Self {
        self.reading = Reading::After;
        self
    }

    /// Answers without ever reading the request's body, then sends FIN and
    /// waits up to two seconds for the peer to close. Needs a script that
    /// decides without the body.
    #[must_use]
    pub fn unread(mut self) -> Self {
        self.reading = Reading::Never;
        self
    }

    /// Closes after the answer and says so: `connection: close`.
    #[must_use]
    pub fn close(mut self) -> Self {
        self.closing = Closing::Announced;
        self
    }

    /// Closes after the answer without a word, so that a pooled connection is
    /// stale.
    #[must_use]
    pub fn close_silently(mut self) -> Self {
        self.closing = Closing::Silent;
        self
    }

    /// Carries the request's `x-test-id` in a header of that name, and in a
    /// good answer's `id` and text, so that mixed-up answers are noticed.
    #[must_use]
    pub fn echo(mut self) -> Self {
        self.voice.echo = true;
        self
    }

    /// Calls the model so in the answer, for example with a date behind its
    /// name.
    #[must_use]
    pub fn model(mut self, name: &str) -> Self {
        self.voice.model = Some(name.into());
        self
    }

    /// What the answer says that it used. Without it: 12 in, and one out for
    /// each piece of text.
    #[must_use]
    pub fn usage(mut self, usage: Usage) -> Self {
        self.voice.usage = Some(usage);
        self
    }

    /// With Azure's filter results: in a chat stream an opening event without
    /// choices, in a plain chat answer a member.
    #[must_use]
    pub fn azure(mut self) -> Self {
        self.voice.azure = true;
        self
    }

    /// Raw bytes (comments, pings) before a stream's first event; they count
    /// as one event.
    #[must_use]
    pub fn opening(mut self, bytes: impl Into<Bytes>) -> Self {
        self.voice.opening.push(bytes.into());
        self
    }
}
