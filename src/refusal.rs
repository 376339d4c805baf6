//! Standin's own errors, in OpenAI's shape. The only place that writes them.

use std::borrow::Cow;

use bytes::Bytes;
use http::StatusCode;
use serde_json::{Value, json};

use crate::wire::PeekError;

/// Why Standin itself says no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The body is not what the endpoint takes.
    BadBody(PeekError),
    /// The request's head cannot be read, or its framing is in doubt. The
    /// connection is closed.
    BadRequest,
    /// The body did not come in time.
    BodyTimeout,
    /// Standin is shutting down.
    Draining,
    /// A top-level member that a model's `request` edits stands twice.
    DuplicateMember(String),
    /// The head did not come in time.
    HeaderTimeout,
    /// HTTP/1.1 without `content-length` and without chunks.
    LengthRequired,
    /// A model's name is longer than this many bytes.
    LongName(usize),
    /// The path takes another method: this one.
    MethodNotAllowed(&'static str),
    /// The body is larger than `limits.request_body`, in bytes.
    TooLarge(usize),
    /// More names than `limits.max_candidates`.
    TooManyCandidates(usize),
    /// None of the names is known.
    UnknownModel(String),
    /// No such path.
    UnknownPath,
    /// A body that is no JSON, or a compressed one.
    UnsupportedMedia,
}

impl Refusal {
    /// The HTTP status it has.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::BadBody(_)
            | Self::BadRequest
            | Self::DuplicateMember(_)
            | Self::LongName(_)
            | Self::TooManyCandidates(_) => StatusCode::BAD_REQUEST,
            Self::BodyTimeout | Self::HeaderTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::Draining => StatusCode::SERVICE_UNAVAILABLE,
            Self::LengthRequired => StatusCode::LENGTH_REQUIRED,
            Self::MethodNotAllowed(_) => StatusCode::METHOD_NOT_ALLOWED,
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
            Self::BadRequest => "bad_request",
            Self::BodyTimeout | Self::HeaderTimeout => "request_timeout",
            Self::Draining => "draining",
            Self::DuplicateMember(_) => "duplicate_member",
            Self::LengthRequired => "length_required",
            Self::LongName(_) => "invalid_model",
            Self::MethodNotAllowed(_) => "method_not_allowed",
            Self::TooLarge(_) => "request_too_large",
            Self::TooManyCandidates(_) => "too_many_candidates",
            Self::UnknownModel(_) => "model_not_found",
            Self::UnknownPath => "not_found",
            Self::UnsupportedMedia => "unsupported_media_type",
        }
    }

    fn param(&self) -> Option<&str> {
        match self {
            Self::BadBody(error) => error.param(),
            Self::DuplicateMember(name) => Some(name),
            Self::TooManyCandidates(_) => Some("models"),
            Self::LongName(_) | Self::UnknownModel(_) => Some("model"),
            Self::BadRequest
            | Self::BodyTimeout
            | Self::Draining
            | Self::HeaderTimeout
            | Self::LengthRequired
            | Self::MethodNotAllowed(_)
            | Self::TooLarge(_)
            | Self::UnknownPath
            | Self::UnsupportedMedia => None,
        }
    }

    fn message(&self) -> Cow<'static, str> {
        match self {
            Self::BadBody(error) => error.to_string().into(),
            Self::BadRequest => "The request's head cannot be read, or its framing is ambiguous.".into(),
            Self::BodyTimeout => "The request's body did not arrive in time.".into(),
            Self::Draining => "This proxy is shutting down; send the request again.".into(),
            Self::DuplicateMember(name) => {
                format!("The member `{name}` stands twice at the top level of the body.").into()
            }
            Self::HeaderTimeout => "The request's head did not arrive in time.".into(),
            Self::LengthRequired => {
                "A body needs `content-length` or `transfer-encoding: chunked`.".into()
            }
            Self::LongName(limit) => {
                format!("A model's name is longer than {limit} bytes.").into()
            }
            Self::MethodNotAllowed(takes) => format!("This path takes {takes} only.").into(),
            Self::TooLarge(limit) => {
                format!("The request's body is larger than {limit} bytes.").into()
            }
            Self::TooManyCandidates(limit) => {
                format!("`model` and `models` name more than {limit} models.").into()
            }
            Self::UnknownModel(name) => {
                format!("No model of this request is known here; the first is `{name}`. See GET /v1/models.").into()
            }
            Self::UnknownPath => {
                "There is nothing at this path. Known: /v1/chat/completions, /v1/completions, /v1/embeddings, /v1/responses, /v1/models.".into()
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
            | Self::LengthRequired
            | Self::TooLarge(_) => true,
            Self::BadBody(_)
            | Self::DuplicateMember(_)
            | Self::LongName(_)
            | Self::MethodNotAllowed(_)
            | Self::TooManyCandidates(_)
            | Self::UnknownModel(_)
            | Self::UnknownPath
            | Self::UnsupportedMedia => false,
        }
    }

    /// The body of the answer.
    pub fn body(&self) -> Bytes {
        error_body(
            &self.message(),
            kind(self.status()),
            self.param(),
            self.code(),
        )
        .to_string()
        .into()
    }
}

/// What all attempts together came to, where the last one left no error of
/// the upstream's own to hand on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failed {
    /// The provider does not take Standin's credential.
    Auth,
    /// A 200 that was none.
    BadAnswer,
    /// The answer broke off after it had begun.
    Cut,
    /// No answer in time.
    Timeout,
    /// Not reached, or the connection broke.
    Unavailable,
}

impl Failed {
    /// The HTTP status it has.
    pub fn status(self) -> StatusCode {
        match self {
            Self::Auth | Self::BadAnswer | Self::Cut | Self::Unavailable => StatusCode::BAD_GATEWAY,
            Self::Timeout => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// The contract's name for it.
    pub fn code(self) -> &'static str {
        match self {
            Self::Auth => "upstream_auth",
            Self::BadAnswer => "upstream_bad_answer",
            Self::Cut => "upstream_cut",
            Self::Timeout => "upstream_timeout",
            Self::Unavailable => "upstream_unavailable",
        }
    }

    fn message(self) -> &'static str {
        match self {
            Self::Auth => "The provider refused this proxy's credential.",
            Self::BadAnswer => "The provider's answer was none.",
            Self::Cut => "The provider's answer broke off.",
            Self::Timeout => "No provider answered in time.",
            Self::Unavailable => "The provider could not be reached.",
        }
    }

    /// The error object under a provider's status whose own body cannot be
    /// handed on.
    pub fn instead(status: StatusCode) -> Value {
        let message = format!(
            "The provider answered {}; its error cannot be handed on: too long, too slow, compressed, or the answer to an earlier request.",
            status.as_u16()
        );
        error_body(&message, kind(status), None, Self::Unavailable.code())
    }

    /// The error object, with room for `attempts` beside it.
    pub fn error(self) -> Value {
        error_body(self.message(), kind(self.status()), None, self.code())
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
        let drain: Value = serde_json::from_slice(&Refusal::Draining.body()).unwrap();
        assert_eq!(drain["error"]["type"], "server_error");
        assert_eq!(drain["error"]["param"], Value::Null);
    }
}
