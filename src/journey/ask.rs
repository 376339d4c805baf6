//! What a client asks.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::span::Span;
use crate::base::{Endpoint, ModelName};
use crate::config::{Config, Model};
use crate::refusal::Refusal;
use crate::wire::drill::Drill;
use crate::wire::{Lines, Peek, TraceParent, headers};

/// `x-request-id`, both ways.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest model name, in bytes. Names come back in headers, logs and
/// errors; no provider's comes near this.
const MAX_NAME: usize = 256;

/// Tokens of an answer whose request sets no bound.
const USUAL_ANSWER: u64 = 1024;

/// Tokens of an answer that are reserved at most.
const LONG_ANSWER: u64 = 8192;

/// Answers to one prompt: OpenAI's most.
const MOST_ANSWERS: u64 = 128;

/// One name of a request's list, and the model that it stands for.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// As the client or the configuration wrote it.
    pub name: ModelName,
    /// Nothing where no model of that name is known.
    pub model: Option<Arc<Model>>,
    /// How it is to fail on purpose, where it is.
    pub drill: Option<Drill>,
}

/// One request, read as far as Standin needs to.
#[derive(Debug)]
pub struct Ask {
    /// Which operation.
    pub endpoint: Endpoint,
    /// `x-request-id`: the client's own, or made.
    pub id: HeaderValue,
    /// `model` first, then `models`, or the model's own fallbacks; repeats
    /// dropped; never empty.
    pub candidates: Vec<Candidate>,
    /// The body as it came.
    pub body: Bytes,
    /// Where its members stand.
    pub peek: Peek,
    /// Whether the answer is to be streamed.
    pub stream: bool,
    /// The client's headers that go upstream, with the request id.
    pub headers: Lines,
    /// Whether one of these speaks of rights of the client's own at a
    /// provider: what is refused then may be refused to them alone.
    pub brings_rights: bool,
    /// The trace that the client's request stands in, where it says; where
    /// spans are exported, with the request's own span in it.
    pub trace: Option<TraceParent>,
    /// The request's own span; nothing where none are exported.
    pub span: Option<Span>,
}

impl Ask {
    /// Reads a request.
    ///
    /// # Errors
    /// The body is not what the endpoint takes, or names too many models, or
    /// none that is known.
    pub fn read(
        endpoint: Endpoint,
        id: HeaderValue,
        from: &HeaderMap,
        body: Bytes,
        config: &Config,
    ) -> Result<Self, Refusal> {
        let peek = Peek::read(&body).map_err(Refusal::BadBody)?;
        let candidates = candidates(endpoint, &peek, &body, config)?;
        if let Some(name) = peek.duplicate_of(&body, edited(&candidates)) {
            return Err(Refusal::DuplicateMember(name));
        }
        let mut headers = headers::up(from);
        let brings_rights = headers::brings_rights(&headers);
        headers.push(REQUEST_ID, id.clone());
        if !headers.contains(&header::CONTENT_TYPE) {
            let json = HeaderValue::from_static("application/json");
            headers.push(header::CONTENT_TYPE, json);
        }
        let identity = HeaderValue::from_static("identity");
        headers.push(header::ACCEPT_ENCODING, identity);
        headers.push(header::VIA, headers::VIA);
        Ok(Self {
            endpoint,
            id,
            candidates,
            stream: peek.stream() && endpoint != Endpoint::Embeddings,
            body,
            peek,
            headers,
            brings_rights,
            trace: TraceParent::read(from),
            span: None,
        })
    }

    /// About how many tokens the prompt has, to compare with what a provider
    /// says is left: a quarter of its bytes. English prose comes to that within
    /// a fifth; code and indented text need fewer, other scripts up to three
    /// times more. What it may answer is not in it. The data of pictures is not
    /// counted: what they take has nothing to do with their bytes.
    pub fn tokens(&self) -> u64 {
        (prose(&self.body) as u64).div_ceil(4)
    }

    /// How many tokens the answer may have, to reserve by: what the request
    /// allows, up to a bound, since many allow far more than any answer takes;
    /// as many times over as answers are asked for.
    pub fn answer_tokens(&self) -> u64 {
        const NAMES: [&str; 3] = ["max_completion_tokens", "max_tokens", "max_output_tokens"];
        const TIMES: [&str; 2] = ["n", "best_of"];
        match self.endpoint {
            Endpoint::Embeddings => 0,
            Endpoint::Chat | Endpoint::Completions | Endpoint::Responses => {
                let allowed = self.peek.whole_number(&self.body, &NAMES);
                let times = self.peek.whole_number(&self.body, &TIMES).unwrap_or(1);
                allowed.unwrap_or(USUAL_ANSWER).min(LONG_ANSWER) * times.clamp(1, MOST_ANSWERS)
            }
        }
    }

    /// Whether usage is asked for on the client's behalf, and what that adds
    /// to the stream then kept from it.
    pub fn adds_usage(&self) -> bool {
        let reports = match self.endpoint {
            Endpoint::Chat | Endpoint::Completions => true,
            Endpoint::Embeddings | Endpoint::Responses => false,
        };
        self.stream && reports && !self.peek.asks_usage()
    }
}

/// The members that a model of this request wants otherwise: what stands
/// twice, two readers would not agree on. A name may come more than once.
fn edited(candidates: &[Candidate]) -> impl Iterator<Item = &str> {
    candidates
        .iter()
        .filter_map(|candidate| candidate.model.as_ref())
        .flat_map(|model| &model.targets)
        .flat_map(|target| target.edits.names())
}

fn candidates(
    endpoint: Endpoint,
    peek: &Peek,
    body: &[u8],
    config: &Config,
) -> Result<Vec<Candidate>, Refusal> {
    let most = config.limits.max_candidates;
    let mut list: Vec<Candidate> = Vec::with_capacity(4);
    let candidate = |name: ModelName| Candidate {
        model: config.model(&name),
        drill: None,
        name,
    };
    for name in peek.names(body) {
        if list.iter().any(|known| known.name.as_str() == name) {
            continue;
        }
        if name.len() > MAX_NAME {
            return Err(Refusal::LongName(MAX_NAME));
        }
        if list.len() == most {
            return Err(Refusal::TooManyCandidates(most));
        }
        list.push(candidate(ModelName::from(name.as_ref())));
    }
    if !peek.brought_models() && endpoint.takes_fallbacks() {
        let own = list.first().and_then(|first| first.model.clone());
        for name in own.iter().flat_map(|model| &model.fallbacks) {
            if list.len() < most && list.iter().all(|known| known.name != *name) {
                list.push(candidate(name.clone()));
            }
        }
    }
    Ok(list)
}

/// The bytes of a body without the data of its `data:` URLs, which ends with
/// their string. A space ends it too: what is said after it is prose, whatever
/// stands before.
fn prose(body: &[u8]) -> usize {
    const MARK: &[u8] = b";base64,";
    let marks = memchr::memmem::Finder::new(MARK);
    let (mut prose, mut rest) = (0, body);
    while let Some(at) = marks.find(rest) {
        prose += at + MARK.len();
        let data = rest.get(at + MARK.len()..).unwrap_or_default();
        let end = memchr::memchr2(b'"', b' ', data).unwrap_or(data.len());
        rest = data.get(end..).unwrap_or_default();
    }
    prose + rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_data_of_pictures_is_no_prose() {
        for (body, bytes) in [
            ("", 0),
            ("abc", 3),
            (";base64,", 8),
            (";base64,AAAA", 8),
            ("{\"a\":\";base64,AAAA\"}", 16),
            ("x;base64,AA\"y;base64,AAA\"z", 21),
            ("x;base64,AA said y", 16),
            // Found once, as far as it goes.
            (";base64,;base64,;base64,", 8),
            (";base64,;base64, ;base64,;base64", 17),
        ] {
            assert_eq!(prose(body.as_bytes()), bytes, "{body}");
        }
    }
}
