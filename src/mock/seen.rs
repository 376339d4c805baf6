//! A request as it arrived.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;

/// How much of a request arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrived {
    /// The connection ended inside the head or the body; `body` holds what
    /// came.
    Broken,
    /// It is no HTTP/1, its framing is in doubt, or it is larger than the mock
    /// takes. Where the head could not be read, `method` is empty and `body`
    /// holds the raw bytes.
    Malformed(&'static str),
    /// The answer was scripted to come before the body was read.
    Unread,
    /// Every byte.
    Whole,
}

/// One request.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Which of the mock's connections brought it, from 0 in order of accept.
    pub connection: u64,
    /// Its place among the mock's requests, from 0 in order of their heads.
    pub number: u64,
    /// As written.
    pub method: String,
    /// Path and query, as written.
    pub target: String,
    /// Names and values as written, in order.
    pub headers: Vec<(String, Bytes)>,
    /// Without its chunked framing.
    pub body: Bytes,
    /// Whether that is all of it.
    pub arrived: Arrived,
    /// What the body asks for; empty until it has been read.
    pub(super) ask: Ask,
}

/// The members of a request's body that shape an answer.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Ask {
    #[serde(default)]
    model: Value,
    #[serde(default)]
    stream: Value,
    #[serde(default)]
    stream_options: Value,
}

/// Which of a provider's endpoints a path is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Also every path that is nothing else here.
    Chat,
    Completions,
    Embeddings,
    /// The list, or below it one model.
    Models,
    Responses,
}

impl Seen {
    /// The path, without the query.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// The first header of that name, in any case, where it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self
            .headers
            .iter()
            .find(|(have, _)| have.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(value).ok()
    }

    /// The model that was asked for: the body's member (a body that serde does
    /// not take, for a member that stands twice or for its depth, has none), else the deployment in
    /// an Azure path, else the name below `/models/`.
    pub fn model(&self) -> Option<&str> {
        if let Some(name) = self.ask.model.as_str() {
            return Some(name);
        }
        let path = self.path();
        if let Some((_, rest)) = path.split_once("/deployments/") {
            return rest.split('/').next();
        }
        path.split_once("/models/").map(|(_, name)| name)
    }

    /// Whether `stream` is true.
    pub fn stream(&self) -> bool {
        self.ask.stream == Value::Bool(true)
    }

    /// Whether `stream_options.include_usage` is true.
    pub fn include_usage(&self) -> bool {
        self.ask.stream_options.get("include_usage") == Some(&Value::Bool(true))
    }

    /// The body as JSON; `Null` where it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The request's `x-test-id`, which echoing replies carry.
    pub fn test_id(&self) -> Option<&str> {
        self.header("x-test-id")
    }

    /// Whether the client wants the connection closed after the answer.
    pub(super) fn wants_close(&self) -> bool {
        self.header("connection").is_some_and(|value| {
            value
                .split(',')
                .any(|token| token.trim().eq_ignore_ascii_case("close"))
        })
    }

    pub(super) fn place(&self) -> Place {
        let path = self.path().trim_end_matches('/');
        if path.ends_with("/models") || path.contains("/models/") {
            Place::Models
        } else if path.ends_with("/embeddings") {
            Place::Embeddings
        } else if path.ends_with("/responses") {
            Place::Responses
        } else if path.ends_with("/completions") && !path.ends_with("/chat/completions") {
            Place::Completions
        } else {
            Place::Chat
        }
    }

    /// Takes the body in, and what it asks for.
    pub(super) fn with_body(mut self, body: Bytes, arrived: Arrived) -> Self {
        if arrived == Arrived::Whole && !body.is_empty() {
            self.ask = serde_json::from_slice(&body).unwrap_or_default();
        }
        self.body = body;
        self.arrived = arrived;
        self
    }
}
