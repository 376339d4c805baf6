//! What a request's body says about its own way, found without parsing it:
//! which models it wants, and whether it streams.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use super::json::{self, Key, Kind, Member, Syntax};

/// How many members' places are kept; bodies with more are read again where
/// all members matter. Twice what any documented request has.
const KEPT: usize = 44;

/// The most top-level members that a body may have: a hundred times what any
/// documented request has, and few enough that reading them again costs
/// nothing worth naming.
const MOST_MEMBERS: usize = 2048;

/// The places of the members that decide a request's way, and its answers to
/// the questions that are asked often. Belongs to the very body it was read
/// from: with another one it gives nonsense, though nothing worse.
#[derive(Clone, Debug)]
pub struct Peek {
    /// `null` counts as a member here, as in the three below.
    pub(super) model: Option<Span>,
    pub(super) models: Option<Span>,
    pub(super) stream_options: Option<Span>,
    /// Where the value of `stream_options.include_usage` stands.
    pub(super) include_usage: Option<Range<usize>>,
    /// Whether `stream_options` is an object.
    pub(super) has_options: bool,
    stream: bool,
    asks_usage: bool,
    brought_models: bool,
    /// The first top-level members in order, whatever their name.
    spans: [Span; KEPT],
    /// How many top-level members there are; more than [`KEPT`] if not all of
    /// them are in `spans`.
    count: usize,
}

/// Where one top-level member stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    key: u32,
    key_end: u32,
    value: u32,
    end: u32,
}

impl Span {
    /// The document is known to be shorter than 4 GiB.
    fn of(member: &Member<'_>) -> Self {
        Self {
            key: member.key_at.start as u32,
            key_end: member.key_at.end as u32,
            value: member.value_at.start as u32,
            end: member.value_at.end as u32,
        }
    }

    /// The name's place, with its quotes.
    pub(super) fn key(&self) -> Range<usize> {
        self.key as usize..self.key_end as usize
    }

    /// The value's place.
    pub(super) fn value(&self) -> Range<usize> {
        self.value as usize..self.end as usize
    }

    /// The name itself.
    pub(super) fn name<'a>(&self, body: &'a [u8]) -> Key<'a> {
        let quoted = self.key();
        Key::within(body, quoted.start + 1..quoted.end.saturating_sub(1))
    }
}

/// Why a body cannot be sent anywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeekError {
    /// This member stands there twice.
    Duplicate(&'static str),
    /// A model's name is empty.
    EmptyName(&'static str),
    /// The body names no model.
    NoModel,
    /// A model's name holds half a surrogate pair, which no text does.
    NotText(&'static str),
    /// The body is not one JSON object.
    Syntax(Syntax),
    /// The body has 4 GiB or more.
    TooLong,
    /// The object has more members than any request has a use for.
    TooManyMembers,
    /// A member is of a type that it cannot be of.
    WrongType {
        /// The member's name.
        member: &'static str,
        /// What it should be.
        wants: &'static str,
    },
}

impl PeekError {
    /// The member that is to blame, if it is one.
    pub fn param(&self) -> Option<&'static str> {
        match self {
            Self::Duplicate(member)
            | Self::EmptyName(member)
            | Self::NotText(member)
            | Self::WrongType { member, .. } => Some(member),
            Self::NoModel => Some("model"),
            Self::Syntax(_) | Self::TooLong | Self::TooManyMembers => None,
        }
    }
}

impl fmt::Display for PeekError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Duplicate(member) => write!(f, "`{member}` stands in the body twice"),
            Self::EmptyName(member) => write!(f, "`{member}` holds an empty model name"),
            Self::NoModel => write!(f, "the body names no model: `model` or `models` is needed"),
            Self::NotText(member) => write!(
                f,
                "`{member}` holds a model name with half of a surrogate pair"
            ),
            Self::Syntax(syntax) => write!(f, "the body is not a valid JSON object: {syntax}"),
            Self::TooLong => write!(f, "the body is longer than 4 GiB"),
            Self::TooManyMembers => {
                write!(f, "the body has more than {MOST_MEMBERS} top-level members")
            }
            Self::WrongType { member, wants } => write!(f, "`{member}` must be {wants}"),
        }
    }
}

impl std::error::Error for PeekError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Syntax(syntax) => Some(syntax),
            Self::Duplicate(_) | Self::EmptyName(_) | Self::NoModel => None,
            Self::NotText(_) | Self::TooLong | Self::TooManyMembers | Self::WrongType { .. } => {
                None
            }
        }
    }
}

impl From<Syntax> for PeekError {
    fn from(syntax: Syntax) -> Self {
        Self::Syntax(syntax)
    }
}

/// One of the members that are looked for, while they are.
#[derive(Default)]
struct Slot {
    span: Option<Span>,
    twice: bool,
}

impl Slot {
    fn fill(&mut self, span: Span) {
        self.twice |= self.span.replace(span).is_some();
    }

    fn once(self, member: &'static str) -> Result<Option<Span>, PeekError> {
        if self.twice {
            return Err(PeekError::Duplicate(member));
        }
        Ok(self.span)
    }
}

impl Peek {
    /// The largest number that one of these top-level members has, where it is
    /// a whole one. Members beyond the first 44 are not looked at: what is
    /// asked here is estimated by, and nothing is decided by it.
    pub fn whole_number(&self, body: &[u8], names: &[&str]) -> Option<u64> {
        let kept = self.spans.iter().take(self.count);
        let named = kept.filter(|span| {
            let key = span.name(body);
            names.iter().any(|name| key.is(name))
        });
        named
            .filter_map(|span| {
                let value = body.get(span.value())?;
                std::str::from_utf8(value).ok()?.trim().parse().ok()
            })
            .max()
    }

    /// Checks that `body` is one JSON object that says which models it wants.
    ///
    /// `null` counts as absent for `model`, `models`, `stream` and
    /// `stream_options`. Neither allocates nor copies, whatever the body is.
    ///
    /// # Errors
    /// Everything that [`PeekError`] lists; a fault in the JSON comes before
    /// all others.
    pub fn read(body: &[u8]) -> Result<Self, PeekError> {
        if u32::try_from(body.len()).is_err() {
            return Err(PeekError::TooLong);
        }
        let [mut model, mut models, mut stream, mut options] = [(); 4].map(|()| Slot::default());
        // Filled where it is, as it is large.
        let mut peek = Self {
            model: None,
            models: None,
            stream_options: None,
            include_usage: None,
            has_options: false,
            stream: false,
            asks_usage: false,
            brought_models: false,
            spans: [Span::default(); KEPT],
            count: 0,
        };
        json::object(body, |member| {
            let span = Span::of(&member);
            if let Some(place) = peek.spans.get_mut(peek.count) {
                *place = span;
            }
            peek.count += 1;
            if peek.count > MOST_MEMBERS {
                return;
            }
            let key = member.key;
            if key.is("model") {
                model.fill(span);
            } else if key.is("models") {
                models.fill(span);
            } else if key.is("stream") {
                stream.fill(span);
            } else if key.is("stream_options") {
                options.fill(span);
            }
        })?;
        if peek.count > MOST_MEMBERS {
            return Err(PeekError::TooManyMembers);
        }
        let (model, models) = (model.once("model")?, models.once("models")?);
        let (stream, options) = (stream.once("stream")?, options.once("stream_options")?);

        let mut named = false;
        if let Some((_, value)) = given(body, model) {
            check_name(value, "model", "a string")?;
            named = true;
        }
        let mut brought_models = false;
        if let Some((_, list)) = given(body, models) {
            const WANTS: &str = "an array of strings";
            check_kind(list, Kind::Array, "models", WANTS)?;
            brought_models = true;
            for at in json::elements(list) {
                check_name(list.get(at).unwrap_or_default(), "models", WANTS)?;
                named = true;
            }
        }
        if !named {
            return Err(PeekError::NoModel);
        }
        let stream = given(body, stream).map(|(_, value)| value);
        if let Some(value) = stream {
            check_kind(value, Kind::Bool, "stream", "a boolean")?;
        }
        peek.model = model;
        peek.models = models;
        peek.stream_options = options;
        peek.stream = stream == Some(b"true");
        peek.brought_models = brought_models;
        if let Some((at, value)) = given(body, options) {
            check_kind(value, Kind::Object, "stream_options", "an object")?;
            peek.has_options = true;
            peek.read_options(at, value)?;
        }
        Ok(peek)
    }

    fn read_options(&mut self, at: usize, options: &[u8]) -> Result<(), PeekError> {
        const MEMBER: &str = "include_usage";
        for member in json::members(options).filter(|member| member.key.is(MEMBER)) {
            let Range { start, end } = member.value_at;
            if self.include_usage.replace(at + start..at + end).is_some() {
                return Err(PeekError::Duplicate(MEMBER));
            }
            let value = options.get(start..end).unwrap_or_default();
            self.asks_usage = value == b"true";
            if value != b"null" {
                check_kind(value, Kind::Bool, MEMBER, "a boolean")?;
            }
        }
        Ok(())
    }

    /// The models that the body wants, decoded: `model`, then `models` in
    /// order. Repeats are still among them.
    pub fn names<'a>(&self, body: &'a [u8]) -> impl Iterator<Item = Cow<'a, str>> + use<'a> {
        let value = |span: Option<Span>| given(body, span).map(|(_, value)| value);
        let model = value(self.model).and_then(json::string);
        let list = value(self.models).unwrap_or_default();
        let rest = json::elements(list).filter_map(|at| json::string(list.get(at)?));
        model.into_iter().chain(rest)
    }

    /// Whether the answer is wanted as a stream.
    pub fn stream(&self) -> bool {
        self.stream
    }

    /// Whether the request brought a list of models of its own, be it empty.
    pub fn brought_models(&self) -> bool {
        self.brought_models
    }

    /// Whether `stream_options.include_usage` is `true`.
    pub fn asks_usage(&self) -> bool {
        self.asks_usage
    }

    /// The first of `names`, by letter, that two top-level members have.
    pub fn duplicate_of<'n>(
        &self,
        body: &[u8],
        names: impl Iterator<Item = &'n str>,
    ) -> Option<String> {
        let mut seen: Vec<(&str, u32)> = names.map(|name| (name, 0)).collect();
        if seen.is_empty() {
            return None;
        }
        seen.sort_unstable();
        seen.dedup();
        // One pass over the members, as there may be many of them.
        for span in self.members(body) {
            let key = span.name(body);
            for (name, times) in &mut seen {
                *times += u32::from(key.is(name));
            }
        }
        let (name, _) = seen.into_iter().find(|(_, times)| *times > 1)?;
        Some(name.to_owned())
    }

    /// All top-level members in order.
    pub(super) fn members(&self, body: &[u8]) -> impl Iterator<Item = Span> {
        let (kept, again) = match self.spans.get(..self.count) {
            Some(spans) => (spans, &[][..]),
            None => (&[][..], body),
        };
        let again = json::members(again).map(|member| Span::of(&member));
        kept.iter().copied().chain(again)
    }
}

/// A member's value and where it begins, unless it is absent or `null`.
fn given(body: &[u8], span: Option<Span>) -> Option<(usize, &[u8])> {
    let at = span?.value();
    let value = body.get(at.clone())?;
    (value != b"null").then_some((at.start, value))
}

fn check_kind(
    value: &[u8],
    kind: Kind,
    member: &'static str,
    wants: &'static str,
) -> Result<(), PeekError> {
    if json::kind(value) == Some(kind) {
        return Ok(());
    }
    Err(PeekError::WrongType { member, wants })
}

fn check_name(value: &[u8], member: &'static str, wants: &'static str) -> Result<(), PeekError> {
    check_kind(value, Kind::String, member, wants)?;
    if value == br#""""# {
        return Err(PeekError::EmptyName(member));
    }
    if !json::is_text(value) {
        return Err(PeekError::NotText(member));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
