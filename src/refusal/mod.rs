//! Standin's own errors, in OpenAI's shape. The only place that writes them.

mod failed;

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use serde_json::{Value, json};

pub use self::failed::{Failed, drilled};
use crate::wire::PeekError;
use crate::wire::drill::{DrillError, FAIL};

/// Whoever takes its place can be asked.
const SHUTTING_DOWN: &str = "This proxy is shutting down; send the request again.";

/// Why Standin itself says no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The body is not what the endpoint takes.
    BadBody(PeekError),
    /// What is to fail on purpose cannot.
    BadDrill(DrillError),
    /// The request's head cannot be read, or its framing is in doubt. The
    /// connection is closed.
    BadRequest,
    /// The body did not come in time.
    BodyTimeout,
    /// The key's budget is spent, or would be with this request.
    Budget {
        /// `day` or `month`.
        per: &'static str,
        /// Until it may be sent again; `None` where it alone costs more than
        /// the whole budget.
        wait: Option<Duration>,
    },
    /// As many requests of the key are being served as it may have at once.
    ConcurrentRequests(u32),
    /// Standin is shutting down.
    Draining,
    /// A top-level member that a model's `request` edits stands twice.
    DuplicateMember(String),
    /// The head did not come in time.
    HeaderTimeout,
    /// The head is longer than `limits.header_bytes`, or has too many headers.
    /// The connection is closed.
    HeadersTooLarge,
    /// HTTP/1.1 without `content-length` and without chunks.
    LengthRequired,
    /// A model's name is longer than this many bytes.
    LongName(usize),
    /// The request has been with Standin this many times: some provider of
    /// one is another, and leads back.
    Loop(usize),
    /// The path takes another method: this one.
    MethodNotAllowed(&'static str),
    /// The body is larger than `limits.request_body`, in bytes.
    TooLarge(usize),
    /// The request has no key, and needs one.
    NoKey,
    /// The key may not use what is passed through; why not, in a sentence.
    NoPassthrough(&'static str),
    /// The key may use none of the models; the first of them.
    NotAllowed(String),
    /// Standin has as much to do as it may have at once.
    Overloaded(Scarce),
    /// More requests than the key may send in a minute.
    RequestLimit {
        /// `requests_per_minute`
        most: u32,
        /// Until the next one fits.
        wait: Duration,
    },
    /// What came is no TLS, where that is spoken. The connection is closed.
    SpeaksTls,
    /// More tokens than the key may use in a minute.
    TokenLimit {
        /// `tokens_per_minute`
        most: u32,
        /// What this request was estimated at.
        asked: u64,
        /// Until it fits; `None` where it alone is more than the limit.
        wait: Option<Duration>,
    },
    /// What an answer costs could not be written down, and the operator wants
    /// no answer then.
    Unrecorded,
    /// More names than `limits.max_candidates`.
    TooManyCandidates(usize),
    /// The request's key is none that is known.
    UnknownKey,
    /// None of the names is known.
    UnknownModel(String),
    /// No such path.
    UnknownPath,
    /// A body that is no JSON, or a compressed one.
    UnsupportedMedia,
}

/// What there is no more of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scarce {
    /// `limits.buffered_bytes`
    Bytes,
    /// `limits.connections`
    Connections,
    /// `limits.concurrent_requests`
    Requests,
}

impl Scarce {
    /// All of them, in their own order.
    pub const ALL: [Self; 3] = [Self::Bytes, Self::Connections, Self::Requests];

    /// The configuration's word for its limit.
    pub fn label(self) -> &'static str {
        match self {
            Self::Bytes => "buffered_bytes",
            Self::Connections => "connections",
            Self::Requests => "concurrent_requests",
        }
    }
}

impl Refusal {
    /// The HTTP status it has.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::BadBody(_)
            | Self::BadDrill(_)
            | Self::BadRequest
            | Self::DuplicateMember(_)
            | Self::LongName(_)
            | Self::SpeaksTls
            | Self::TooManyCandidates(_) => StatusCode::BAD_REQUEST,
            Self::BodyTimeout | Self::HeaderTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::Budget { .. }
            | Self::ConcurrentRequests(_)
            | Self::RequestLimit { .. }
            | Self::TokenLimit { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Draining | Self::Overloaded(_) | Self::Unrecorded => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::HeadersTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::LengthRequired => StatusCode::LENGTH_REQUIRED,
            Self::Loop(_) => StatusCode::LOOP_DETECTED,
            Self::MethodNotAllowed(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::NoKey | Self::UnknownKey => StatusCode::UNAUTHORIZED,
            Self::NoPassthrough(_) | Self::NotAllowed(_) => StatusCode::FORBIDDEN,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnknownModel(_) | Self::UnknownPath => StatusCode::NOT_FOUND,
            Self::UnsupportedMedia => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        }
    }

    /// Its name, in the error's `code` and in the log.
    pub fn code(&self) -> &'static str {
        match self {
            Self::BadBody(error) => match error {
                PeekError::Duplicate(_) => "duplicate_member",
                PeekError::EmptyName(_) | PeekError::NotText(_) => "invalid_model",
                PeekError::NoModel => "no_model",
                PeekError::Syntax(_) => "bad_json",
                PeekError::TooLong => "request_too_large",
                PeekError::TooManyMembers => "too_many_members",
                PeekError::WrongType { .. } => "wrong_type",
            },
            Self::BadDrill(_) => "bad_drill",
            Self::BadRequest => "bad_request",
            Self::BodyTimeout | Self::HeaderTimeout => "request_timeout",
            Self::Budget { .. } => "budget",
            Self::ConcurrentRequests(_) => "concurrent_requests",
            Self::Draining => "draining",
            Self::DuplicateMember(_) => "duplicate_member",
            Self::HeadersTooLarge => "headers_too_large",
            Self::LengthRequired => "length_required",
            Self::LongName(_) => "invalid_model",
            Self::Loop(_) => "loop",
            Self::MethodNotAllowed(_) => "method_not_allowed",
            Self::NoKey => "no_key",
            Self::NoPassthrough(_) | Self::NotAllowed(_) => "not_allowed",
            Self::Overloaded(_) => "overloaded",
            Self::RequestLimit { .. } => "requests_per_minute",
            Self::SpeaksTls => "speaks_tls",
            Self::TokenLimit { .. } => "tokens_per_minute",
            Self::TooLarge(_) => "request_too_large",
            Self::TooManyCandidates(_) => "too_many_candidates",
            Self::UnknownKey => "unknown_key",
            Self::UnknownModel(_) => "model_not_found",
            Self::UnknownPath => "not_found",
            Self::Unrecorded => "ledger_unavailable",
            Self::UnsupportedMedia => "unsupported_media_type",
        }
    }

    fn param(&self) -> Option<&str> {
        match self {
            Self::BadBody(error) => error.param(),
            Self::BadDrill(_) => Some(FAIL),
            Self::DuplicateMember(name) => Some(name),
            Self::TooManyCandidates(_) => Some("models"),
            Self::LongName(_) | Self::NotAllowed(_) | Self::UnknownModel(_) => Some("model"),
            Self::BadRequest
            | Self::BodyTimeout
            | Self::Budget { .. }
            | Self::ConcurrentRequests(_)
            | Self::Draining
            | Self::HeaderTimeout
            | Self::HeadersTooLarge
            | Self::LengthRequired
            | Self::Loop(_)
            | Self::MethodNotAllowed(_)
            | Self::NoKey
            | Self::NoPassthrough(_)
            | Self::Overloaded(_)
            | Self::RequestLimit { .. }
            | Self::SpeaksTls
            | Self::TokenLimit { .. }
            | Self::TooLarge(_)
            | Self::UnknownKey
            | Self::UnknownPath
            | Self::Unrecorded
            | Self::UnsupportedMedia => None,
        }
    }

    fn message(&self) -> Cow<'static, str> {
        match self {
            Self::BadBody(error) => error.to_string().into(),
            Self::BadDrill(error) => error.to_string().into(),
            Self::BadRequest => "The request's head cannot be read, or its framing is ambiguous.".into(),
            Self::BodyTimeout => "The request's body did not arrive in time.".into(),
            Self::Budget { per, wait: Some(_) } => {
                format!("This key's budget for the {per} is spent, or would be with this request.").into()
            }
            Self::Budget { per, wait: None } => {
                format!("This request may cost more than this key's whole budget for a {per}: make it smaller, or take a cheaper model.").into()
            }
            Self::ConcurrentRequests(most) => {
                format!("This key may have {most} requests at once, and has.").into()
            }
            Self::Draining => SHUTTING_DOWN.into(),
            Self::DuplicateMember(name) => {
                format!("The member `{name}` stands twice at the top level of the body.").into()
            }
            Self::HeaderTimeout => "The request's head did not arrive in time.".into(),
            Self::HeadersTooLarge => "The request's head is too long, or has too many headers.".into(),
            Self::LengthRequired => {
                "A body needs `content-length` or `transfer-encoding: chunked`.".into()
            }
            Self::LongName(limit) => {
                format!("A model's name is longer than {limit} bytes.").into()
            }
            Self::Loop(times) => {
                format!("This request has been with this kind of proxy {times} times: a provider's `base_url` leads back to where it came from.").into()
            }
            Self::MethodNotAllowed(takes) => format!("This path takes {takes} only.").into(),
            Self::NoKey => {
                "This proxy needs a key: `Authorization: Bearer KEY`, once.".into()
            }
            Self::NoPassthrough(why) => (*why).into(),
            Self::NotAllowed(name) => {
                format!("This key may use no model of this request; the first is `{name}`.").into()
            }
            Self::Overloaded(_) => {
                "This proxy has as much to do as it may have at once; send the request again.".into()
            }
            Self::RequestLimit { most, .. } => {
                format!("This key may send {most} requests a minute, and has.").into()
            }
            Self::SpeaksTls => "This port speaks TLS: the address begins with `https://`. Where it asks for a certificate, connect anew with yours.".into(),
            Self::TokenLimit { most, asked, wait: Some(_) } => {
                format!("This key may use {most} tokens a minute; this request, taken for {asked}, does not fit in yet.").into()
            }
            Self::TokenLimit { most, asked, wait: None } => {
                format!("This key may use {most} tokens a minute, and this request alone is taken for {asked}: make it shorter, or ask for fewer tokens.").into()
            }
            Self::TooLarge(limit) => {
                format!("The request's body is larger than {limit} bytes.").into()
            }
            Self::TooManyCandidates(limit) => {
                format!("`model` and `models` name more than {limit} models.").into()
            }
            Self::UnknownKey => "This proxy does not know this key.".into(),
            Self::UnknownModel(name) => {
                format!("No model of this request is known here; the first is `{name}`. See GET /v1/models.").into()
            }
            Self::UnknownPath => {
                "There is nothing at this path. Known: /v1/chat/completions, /v1/completions, /v1/embeddings, /v1/responses, /v1/models.".into()
            }
            Self::Unrecorded => {
                "What this request would cost cannot be written down at the moment; send it again later.".into()
            }
            Self::UnsupportedMedia => {
                "The body must be JSON (`content-type: application/json`), not compressed.".into()
            }
        }
    }

    /// Whether the connection it came over cannot be used any more: where the
    /// next request begins is unknown, or nothing good comes of it.
    pub fn closes(&self) -> bool {
        match self {
            Self::BadRequest
            | Self::BodyTimeout
            | Self::Draining
            | Self::HeaderTimeout
            | Self::HeadersTooLarge
            | Self::LengthRequired
            | Self::SpeaksTls
            | Self::TooLarge(_) => true,
            Self::BadBody(_)
            | Self::BadDrill(_)
            | Self::Budget { .. }
            | Self::ConcurrentRequests(_)
            | Self::DuplicateMember(_)
            | Self::LongName(_)
            | Self::Loop(_)
            | Self::MethodNotAllowed(_)
            | Self::NoKey
            | Self::NoPassthrough(_)
            | Self::NotAllowed(_)
            | Self::Overloaded(_)
            | Self::RequestLimit { .. }
            | Self::TokenLimit { .. }
            | Self::TooManyCandidates(_)
            | Self::UnknownKey
            | Self::UnknownModel(_)
            | Self::UnknownPath
            | Self::Unrecorded
            | Self::UnsupportedMedia => false,
        }
    }

    /// `retry-after`, in seconds and at least one: when the same request may
    /// be taken, where that is known.
    pub fn retry_after(&self) -> Option<u64> {
        let wait = match self {
            Self::Budget { wait, .. } | Self::TokenLimit { wait, .. } => (*wait)?,
            Self::RequestLimit { wait, .. } => *wait,
            // When one of them ends, nobody knows.
            Self::ConcurrentRequests(_) | Self::Overloaded(_) => Duration::from_secs(1),
            Self::BadBody(_)
            | Self::BadDrill(_)
            | Self::BadRequest
            | Self::BodyTimeout
            | Self::Draining
            | Self::DuplicateMember(_)
            | Self::HeaderTimeout
            | Self::HeadersTooLarge
            | Self::LengthRequired
            | Self::LongName(_)
            | Self::Loop(_)
            | Self::MethodNotAllowed(_)
            | Self::NoKey
            | Self::NoPassthrough(_)
            | Self::NotAllowed(_)
            | Self::SpeaksTls
            | Self::TooLarge(_)
            | Self::TooManyCandidates(_)
            | Self::UnknownKey
            | Self::UnknownModel(_)
            | Self::UnknownPath
            | Self::Unrecorded
            | Self::UnsupportedMedia => return None,
        };
        let part = u64::from(wait.subsec_nanos() > 0);
        Some(wait.as_secs().saturating_add(part).max(1))
    }

    /// OpenAI's `type` of it.
    fn kind(&self) -> &'static str {
        match self {
            Self::Budget { .. } => "insufficient_quota",
            Self::ConcurrentRequests(_) | Self::RequestLimit { .. } => "requests",
            Self::TokenLimit { .. } => "tokens",
            Self::BadBody(_)
            | Self::BadDrill(_)
            | Self::BadRequest
            | Self::BodyTimeout
            | Self::Draining
            | Self::DuplicateMember(_)
            | Self::HeaderTimeout
            | Self::HeadersTooLarge
            | Self::LengthRequired
            | Self::LongName(_)
            | Self::Loop(_)
            | Self::MethodNotAllowed(_)
            | Self::NoKey
            | Self::NoPassthrough(_)
            | Self::NotAllowed(_)
            | Self::Overloaded(_)
            | Self::SpeaksTls
            | Self::TooLarge(_)
            | Self::TooManyCandidates(_)
            | Self::UnknownKey
            | Self::UnknownModel(_)
            | Self::UnknownPath
            | Self::Unrecorded
            | Self::UnsupportedMedia => kind(self.status()),
        }
    }

    /// The body of the answer.
    pub fn body(&self) -> Bytes {
        error_body(&self.message(), self.kind(), self.param(), self.code())
            .to_string()
            .into()
    }
}

/// OpenAI's `type` for a status.
fn kind(status: StatusCode) -> &'static str {
    if status.is_server_error() {
        "server_error"
    } else {
        "invalid_request_error"
    }
}

fn error_body(message: &str, kind: &str, param: Option<&str>, code: &str) -> Value {
    json!({"error": {"message": message, "type": kind, "param": param, "code": code}})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_openai_s_shape() {
        let body = Refusal::TooManyCandidates(16).body();
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["error"]["type"], "invalid_request_error");
        assert_eq!(body["error"]["code"], "too_many_candidates");
        assert_eq!(body["error"]["param"], "models");
        assert!(body["error"]["message"].as_str().unwrap().contains("16"));
        let keyless: Value = serde_json::from_slice(&Refusal::NoKey.body()).unwrap();
        assert_eq!(keyless["error"]["type"], "invalid_request_error");
        assert_eq!(keyless["error"]["code"], "no_key");
        let drain: Value = serde_json::from_slice(&Refusal::Draining.body()).unwrap();
        assert_eq!(drain["error"]["type"], "server_error");
        assert_eq!(drain["error"]["param"], Value::Null);
    }

    #[test]
    fn who_has_to_wait_is_told_how_long_in_whole_seconds() {
        let wait = Duration::from_millis;
        let limit = |ms| Refusal::RequestLimit {
            most: 100,
            wait: wait(ms),
        };
        for (ms, seconds) in [(0, 1), (1, 1), (1000, 1), (1001, 2), (60_001, 61)] {
            assert_eq!(limit(ms).retry_after(), Some(seconds), "{ms}");
        }
        let budget = |wait| Refusal::Budget { per: "day", wait };
        assert_eq!(budget(Some(wait(86_400_000))).retry_after(), Some(86_400));
        assert_eq!(budget(None).retry_after(), None);
        assert_eq!(Refusal::Draining.retry_after(), None);
        assert_eq!(Refusal::Overloaded(Scarce::Bytes).retry_after(), Some(1));
        assert_eq!(Refusal::ConcurrentRequests(3).retry_after(), Some(1));
        let body: Value = serde_json::from_slice(&limit(5).body()).unwrap();
        assert_eq!(body["error"]["type"], "requests");
        assert_eq!(body["error"]["code"], "requests_per_minute");
    }
}
