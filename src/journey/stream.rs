//! A stream of events on its way: held before commit, tapped all the way.

use std::ops::Range;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::time::timeout;

use super::meter::Meter;
use crate::base::Endpoint;
use crate::dialect::{ErrorSays, Event, Worth, in_200};
use crate::outcome::{Outcome, Says};
use crate::seam::{Broken, Exchange};
use crate::wire::json;
use crate::wire::sse::{Frame, Framer};

/// Events that say nothing are held up to this many, and all that is held up
/// to this size: enough for every opening seen, small beside any answer.
const MAX_HELD_EVENTS: usize = 64;
const MAX_HELD_BYTES: usize = 256 << 10;

/// Reads events as they pass, sets `model` in them and keeps back what only
/// asking for usage put there.
#[derive(Debug)]
pub(super) struct Tap {
    endpoint: Endpoint,
    /// The answering candidate's name, as a JSON string.
    model: Bytes,
    hides_usage: bool,
    /// As in [`in_200`].
    brings_rights: bool,
    /// A finish reason, a terminal event or `[DONE]` has passed.
    finished: bool,
    /// An error event that clients take for one has passed.
    told: bool,
    /// The last `sequence_number` of the Responses API.
    sequence: Option<u64>,
    meter: Meter,
}

/// What the holding of a stream came to.
#[derive(Debug)]
pub(super) enum Held {
    /// It broke.
    Broken(Broken),
    /// It is no answer.
    Failed(Outcome, ErrorSays),
    /// It was filtered before anything was said, and has ended.
    Filtered,
    /// Something is said.
    Said,
}

/// What one more read of a stream brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    /// It has ended as it should.
    Ended,
    /// It has ended, or broken, as it should not.
    Cut,
    /// An error event came and is the last thing to be passed on.
    Error,
    /// It goes on.
    On,
}

impl Tap {
    /// `model` is the JSON string that `model` becomes.
    pub(super) fn new(
        endpoint: Endpoint,
        model: Bytes,
        hides_usage: bool,
        brings_rights: bool,
    ) -> Self {
        Self {
            endpoint,
            model,
            hides_usage,
            brings_rights,
            finished: false,
            told: false,
            sequence: None,
            meter: Meter::default(),
        }
    }

    /// Passes one frame on into `out`, and says what it is worth; nothing for
    /// frames without data and for what is no event of this API.
    fn pass(&mut self, frame: &Frame, out: &mut BytesMut) -> Option<Worth> {
        let Some(data) = frame.data().filter(|data| !data.trim_ascii().is_empty()) else {
            out.extend_from_slice(&frame.raw);
            return None;
        };
        let Ok(event) = Event::read(self.endpoint, frame.event(), &data) else {
            if frame.event() == Some(b"error") {
                return Some(Worth::Error);
            }
            out.extend_from_slice(&frame.raw);
            return None;
        };
        self.meter.note(&event, || {
            let at = event.model.clone()?;
            json::string(data.get(at)?).map(Into::into)
        });
        self.finished |= event.finishes;
        self.told |= event.tells_error;
        self.sequence = event.sequence.or(self.sequence);
        let is_added = self.hides_usage && event.is_usage_only;
        match event.worth {
            // An error that is none to a client is told anew.
            Worth::Error if !event.tells_error => return Some(Worth::Error),
            Worth::Polite if is_added => return Some(Worth::Polite),
            Worth::Done | Worth::Error | Worth::Filtered | Worth::Polite | Worth::Said => {}
        }
        let introduction;
        let model = match (event.model, event.no_model) {
            (Some(at), _) => Some((at, &*self.model)),
            (None, Some(at)) => {
                introduction = [br#""model":"#, &*self.model, b","].concat();
                Some((at..at, &*introduction))
            }
            (None, None) => None,
        };
        let usage = event.null_usage.filter(|_| self.hides_usage);
        let usage = usage.map(|at| (at, &b""[..]));
        match (model, usage) {
            (None, None) => out.extend_from_slice(&frame.raw),
            (Some(one), None) | (None, Some(one)) => frame.write(&[one], out),
            (Some(model), Some(usage)) => frame.write(&in_order(model, usage), out),
        }
        Some(event.worth)
    }
}

type Edit<'a> = (Range<usize>, &'a [u8]);

/// The first one goes first where both begin at one place.
fn in_order<'a>(a: Edit<'a>, b: Edit<'a>) -> [Edit<'a>; 2] {
    if a.0.start <= b.0.start {
        [a, b]
    } else {
        [b, a]
    }
}

/// A stream and what of it has not been passed on.
#[derive(Debug)]
pub(super) struct EventStream<X> {
    exchange: X,
    framer: Framer,
    tap: Tap,
    /// Ready to go to the client.
    ready: BytesMut,
    filtered: bool,
}

impl<X: Exchange> EventStream<X> {
    /// A stream whose head has just come.
    pub(super) fn new(exchange: X, tap: Tap) -> Self {
        Self {
            exchange,
            framer: Framer::default(),
            tap,
            ready: BytesMut::new(),
            filtered: false,
        }
    }

    /// What it has used, as far as it has come.
    pub(super) fn meter(&self) -> &Meter {
        &self.tap.meter
    }

    /// Whether the content policy has ended it.
    pub(super) fn is_filtered(&self) -> bool {
        self.filtered
    }

    /// Whether it has come to its proper end.
    pub(super) fn is_finished(&self) -> bool {
        self.tap.finished
    }

    /// The number that an error event of ours has in the Responses API.
    pub(super) fn next_sequence(&self) -> u64 {
        self.tap.sequence.map_or(0, |last| last + 1)
    }

    /// How many bytes are ready to go to the client.
    pub(super) fn ready(&self) -> usize {
        self.ready.len()
    }

    /// What is ready to go to the client.
    pub(super) fn take(&mut self) -> Bytes {
        self.ready.split().freeze()
    }

    /// Reads until something is said, or until it is clear that nothing will
    /// be. Once it is filtered, no silence may last longer than `idle`.
    pub(super) async fn hold(&mut self, idle: Duration) -> Held {
        let mut events = 0;
        loop {
            let read = self.exchange.read();
            let read = if self.filtered {
                timeout(idle, read).await.unwrap_or(Err(Broken::Reset))
            } else {
                read.await
            };
            let chunk = match read {
                Ok(Some(chunk)) => chunk,
                Ok(None) => return self.held_to_end(),
                Err(_) if self.filtered => return Held::Filtered,
                Err(broken) => return Held::Broken(broken),
            };
            self.framer.push(chunk);
            loop {
                let frame = match self.framer.next() {
                    Ok(Some(frame)) => frame,
                    Ok(None) => break,
                    Err(_) => return broken_answer(),
                };
                if let Some(held) = self.hold_frame(&frame, &mut events) {
                    return held;
                }
            }
            if self.ready.len() > MAX_HELD_BYTES {
                return Held::Said;
            }
        }
    }

    /// The stream has ended with nothing said.
    fn held_to_end(&mut self) -> Held {
        if let Some(last) = self.unfinished() {
            let before = self.ready.len();
            let held = self.hold_frame(&last, &mut 0);
            self.close_event(before);
            if let Some(held) = held {
                return held;
            }
        }
        if self.filtered {
            Held::Filtered
        } else {
            broken_answer()
        }
    }

    fn hold_frame(&mut self, frame: &Frame, events: &mut usize) -> Option<Held> {
        let has_data = frame
            .data()
            .is_some_and(|data| !data.trim_ascii().is_empty());
        let worth = self.tap.pass(frame, &mut self.ready);
        match worth {
            None if has_data => return Some(broken_answer()),
            None => {}
            Some(Worth::Said) => {
                // What the same read brought goes out with it.
                return Some(Held::Said);
            }
            Some(Worth::Error) => {
                let says = ErrorSays::read(&frame.data().unwrap_or_default());
                return Some(Held::Failed(in_200(&says, self.tap.brings_rights), says));
            }
            Some(Worth::Done) if self.filtered => return Some(Held::Filtered),
            Some(Worth::Done) => return Some(broken_answer()),
            Some(Worth::Filtered) => {
                self.filtered = true;
                // The Responses API ends with this event.
                if self.tap.endpoint == Endpoint::Responses {
                    return Some(Held::Filtered);
                }
            }
            Some(Worth::Polite) => {}
        }
        *events += usize::from(has_data);
        (*events > MAX_HELD_EVENTS || self.ready.len() > MAX_HELD_BYTES).then_some(Held::Said)
    }

    /// Reads once more and passes on the whole frames that this brought. What
    /// is ready is in [`Self::take`].
    pub(super) async fn flow(&mut self) -> Flow {
        match self.exchange.read().await {
            Ok(Some(chunk)) => {
                self.framer.push(chunk);
                self.pass_frames()
            }
            Ok(None) => {
                if let Some(last) = self.unfinished() {
                    let before = self.ready.len();
                    let worth = self.tap.pass(&last, &mut self.ready);
                    self.close_event(before);
                    if worth == Some(Worth::Error) {
                        return self.failed();
                    }
                }
                self.ended()
            }
            // What broke before its terminal event may lack its usage, or more.
            Err(_) if self.tap.endpoint == Endpoint::Responses => self.ended(),
            Err(_) => Flow::Cut,
        }
    }

    /// Passes on every whole frame that has come.
    pub(super) fn pass_frames(&mut self) -> Flow {
        loop {
            match self.framer.next() {
                Ok(Some(frame)) => match self.tap.pass(&frame, &mut self.ready) {
                    Some(Worth::Error) => return self.failed(),
                    Some(Worth::Done) => return Flow::Ended,
                    Some(Worth::Filtered | Worth::Polite | Worth::Said) | None => {}
                },
                Ok(None) => return Flow::On,
                Err(_) => return Flow::Cut,
            }
        }
    }

    /// Ends the event that its sender did not, where it was passed on.
    fn close_event(&mut self, before: usize) {
        if self.ready.len() > before {
            self.ready.extend_from_slice(b"\n\n");
        }
    }

    /// An error event has come.
    fn failed(&self) -> Flow {
        if self.tap.told {
            Flow::Error
        } else {
            Flow::Cut
        }
    }

    fn ended(&self) -> Flow {
        if self.tap.finished {
            Flow::Ended
        } else {
            Flow::Cut
        }
    }

    /// An event whose empty line did not come, where it is whole for all
    /// that: some servers leave the last one out.
    fn unfinished(&mut self) -> Option<Frame> {
        let frame = std::mem::take(&mut self.framer).finish()?;
        let data = frame.data()?;
        Event::read(self.tap.endpoint, frame.event(), &data).ok()?;
        Some(frame)
    }

    /// Lets go of the upstream after the stream's proper end: what little it
    /// may still send is read, so that its connection can serve again.
    pub(super) async fn release(mut self) {
        while let Ok(Some(_)) = self.exchange.read().await {}
        self.exchange.release().await;
    }
}

fn broken_answer() -> Held {
    Held::Failed(Outcome::BadAnswer(Says::Broken), ErrorSays::default())
}
