//! A request's body as one target wants it: slices of what came, with small
//! pieces made anew between them.

use std::ops::Range;

use bytes::Bytes;

use super::edits::Edits;
use super::json;
use super::peek::{Peek, Span};

/// Members that no edit may touch: the way of the request hangs on them.
const PROTECTED: [&str; 3] = ["model", "models", "stream"];
const OPTIONS: &str = "stream_options";

/// A body in pieces. Cheap to clone: the pieces are shared.
#[derive(Clone, Debug, Default)]
pub struct Body {
    /// None of them is empty.
    parts: Vec<Bytes>,
    /// The sum of their lengths.
    len: usize,
}

impl Body {
    /// How many bytes it has.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The pieces in order.
    pub fn parts(&self) -> &[Bytes] {
        &self.parts
    }
}

impl FromIterator<Bytes> for Body {
    fn from_iter<I: IntoIterator<Item = Bytes>>(parts: I) -> Self {
        let parts: Vec<Bytes> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        let len = parts.iter().map(Bytes::len).sum();
        Self { parts, len }
    }
}

impl From<Bytes> for Body {
    fn from(whole: Bytes) -> Self {
        Self::from_iter([whole])
    }
}

/// What one target wants otherwise in the body.
#[derive(Clone, Copy, Debug)]
pub struct Splice<'a> {
    /// The provider's own name for the model.
    pub model: &'a str,
    /// What the model's configuration changes. Edits of `model`, `models` and
    /// `stream` are passed over.
    pub edits: &'a Edits,
    /// Sets `stream_options.include_usage`, unless the edits name
    /// `stream_options`: then they have their way.
    pub ask_usage: bool,
}

/// Makes the body for one target out of the one that came, which `peek` was
/// read from. All bytes that nothing asks to change stay, and stay uncopied.
///
/// `model` gets the target's name, and takes the place of `models` where it
/// did not stand for itself; otherwise `models` is left out. A member that
/// stands there more than once is edited each time.
pub fn splice(body: &Bytes, peek: &Peek, splice: &Splice<'_>) -> Body {
    let Plan { fates, added } = Plan::new(body, peek, splice.edits);
    let ask =
        splice.ask_usage && !peek.asks_usage() && !splice.edits.names().any(|name| name == OPTIONS);

    let mut cutter = Cutter::new(body);
    // Where the first member begins and the last one so far ended; whether one
    // has stayed yet. A member goes with the comma before it, or with the one
    // after it as long as none has stayed.
    let mut first = None;
    let mut end = 0;
    let mut stayed = false;
    for span in peek.members(body) {
        let start = *first.get_or_insert(span.key().start);
        let fate = fate_of(body, &span, &fates);
        let is_models = Some(span) == peek.models;
        if is_models && peek.model.is_some() || fate.is_some_and(|fate| fate.now.is_none()) {
            if stayed {
                cutter.cut(end..span.value().end);
            }
            end = span.value().end;
            continue;
        }
        if !stayed {
            cutter.cut(start..span.key().start);
            stayed = true;
        }
        end = span.value().end;
        if is_models {
            cutter.put(span.key(), |out| out.extend(b"\"model\""));
        }
        if is_models || Some(span) == peek.model {
            cutter.put(span.value(), |out| json::write_string(out, splice.model));
        } else if ask && Some(span) == peek.stream_options {
            ask_usage(&mut cutter, peek, &span);
        } else if let Some(fate) = fate {
            if let Some(now) = fate.now.filter(|now| *now != fate.name) {
                cutter.put(span.key(), |out| json::write_string(out, now));
            }
            if let Some(value) = fate.value {
                cutter.put(span.value(), |out| out.extend_from_slice(value));
            }
        }
    }
    // `model` has always stayed, so that a comma is always due.
    for (name, value) in added {
        cutter.put(end..end, |out| member(out, name, value));
    }
    if ask && peek.stream_options.is_none() {
        cutter.put(end..end, |out| {
            member(out, OPTIONS, br#"{"include_usage":true}"#);
        });
    }
    cutter.finish()
}

/// Writes `include_usage` into the options that came.
fn ask_usage(cutter: &mut Cutter<'_>, peek: &Peek, options: &Span) {
    let Range { start, end } = options.value();
    if !peek.has_options {
        cutter.put(start..end, |out| out.extend(br#"{"include_usage":true}"#));
    } else if let Some(value) = peek.include_usage.clone() {
        cutter.put(value, |out| out.extend(b"true"));
    } else {
        let object = cutter.body.get(start..end).unwrap_or_default();
        let alone = json::members(object).next().is_none();
        cutter.put(start + 1..start + 1, |out| {
            out.extend(br#""include_usage":true"#);
            out.extend((!alone).then_some(b','));
        });
    }
}

fn member(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.push(b',');
    json::write_string(out, name);
    out.push(b':');
    out.extend_from_slice(value);
}

/// What the edits come to for this body: they speak of names, and all members
/// of one name fare alike.
struct Plan<'e> {
    /// One for each name that the edits speak of and the body has.
    fates: Vec<Fate<'e>>,
    /// Members that the body does not have.
    added: Vec<(&'e str, &'e [u8])>,
}

/// What becomes of the members that came with one name.
struct Fate<'e> {
    /// The name they came with.
    name: &'e str,
    /// The name they leave with, if they do.
    now: Option<&'e str>,
    /// The value they leave with, where it is not their own.
    value: Option<&'e [u8]>,
}

impl<'e> Plan<'e> {
    fn new(body: &[u8], peek: &Peek, edits: &'e Edits) -> Self {
        let mut plan = Self {
            fates: Vec::new(),
            added: Vec::new(),
        };
        if edits.is_empty() {
            return plan;
        }
        plan.find(body, peek, edits);
        for name in edits.drop.iter().filter(|name| is_free(name)) {
            if let Some(fate) = plan.of_name(name) {
                fate.now = None;
            }
        }
        for (old, new) in &edits.rename {
            if old == new || !is_free(old) || !is_free(new) {
                continue;
            }
            let taken = plan.of_name(new).is_some();
            if let Some(fate) = plan.of_name(old) {
                fate.now = (!taken).then_some(new);
            }
        }
        for (name, value) in edits.set.iter().filter(|(name, _)| is_free(name)) {
            if let Some(fate) = plan.of_name(name) {
                fate.value = Some(value);
                continue;
            }
            plan.added.retain(|(added, _)| *added != name.as_ref());
            plan.added.push((name, value));
        }
        plan
    }

    /// Which of the names that the edits speak of the body has.
    fn find(&mut self, body: &[u8], peek: &Peek, edits: &'e Edits) {
        let mut wanted: Vec<&str> = edits.names().filter(|name| is_free(name)).collect();
        wanted.sort_unstable();
        wanted.dedup();
        for span in peek.members(body) {
            if wanted.is_empty() {
                return;
            }
            let key = span.name(body);
            if let Some(at) = wanted.iter().position(|name| key.is(name)) {
                let name = wanted.swap_remove(at);
                self.fates.push(Fate {
                    name,
                    now: Some(name),
                    value: None,
                });
            }
        }
    }

    /// The members that have `name` by now; no two fates ever share one.
    fn of_name(&mut self, name: &str) -> Option<&mut Fate<'e>> {
        self.fates.iter_mut().find(|fate| fate.now == Some(name))
    }
}

fn is_free(name: &str) -> bool {
    !PROTECTED.contains(&name)
}

fn fate_of<'p, 'e>(body: &[u8], span: &Span, fates: &'p [Fate<'e>]) -> Option<&'p Fate<'e>> {
    if fates.is_empty() {
        return None;
    }
    let key = span.name(body);
    fates.iter().find(|fate| key.is(fate.name))
}

/// Goes through a body from front to back and replaces parts of it.
struct Cutter<'b> {
    body: &'b Bytes,
    /// Up to where the body is dealt with.
    at: usize,
    /// All that is made anew, one piece after the other.
    made: Vec<u8>,
    pieces: Vec<Piece>,
}

/// A place in the body, or in what is made anew.
enum Piece {
    Kept(Range<usize>),
    Made(Range<usize>),
}

impl<'b> Cutter<'b> {
    fn new(body: &'b Bytes) -> Self {
        Self {
            body,
            at: 0,
            made: Vec::new(),
            pieces: Vec::new(),
        }
    }

    /// Leaves `place` out.
    fn cut(&mut self, place: Range<usize>) {
        self.put(place, |_| ());
    }

    /// Puts what `write` writes where `place` was.
    fn put(&mut self, place: Range<usize>, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.made.len();
        write(&mut self.made);
        if self.body.get(place.clone()) == self.made.get(start..) {
            self.made.truncate(start);
            return;
        }
        self.keep(place.start);
        self.at = place.end.clamp(self.at, self.body.len());
        let end = self.made.len();
        match self.pieces.last_mut() {
            Some(Piece::Made(last)) => last.end = end,
            _ if start == end => {}
            _ => self.pieces.push(Piece::Made(start..end)),
        }
    }

    /// Keeps the body as it is up to `end`.
    fn keep(&mut self, end: usize) {
        let end = end.clamp(self.at, self.body.len());
        if end > self.at {
            self.pieces.push(Piece::Kept(self.at..end));
            self.at = end;
        }
    }

    fn finish(mut self) -> Body {
        self.keep(self.body.len());
        let made = Bytes::from(self.made);
        let piece = |piece| match piece {
            Piece::Kept(place) => self.body.slice(place),
            Piece::Made(place) => made.slice(place),
        };
        self.pieces.into_iter().map(piece).collect()
    }
}

#[cfg(test)]
mod tests;
