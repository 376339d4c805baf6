//! What a client is told where providers have failed, or were to.

use bytes::Bytes;
use http::StatusCode;
use serde_json::Value;

use super::{Refusal, SHUTTING_DOWN, error_body, kind};
use crate::wire::drill::FAIL;

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
    /// Standin ends, and could not wait for the answer.
    Draining,
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
            Self::Draining => Refusal::Draining.status(),
            Self::Timeout => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// The contract's name for it.
    pub fn code(self) -> &'static str {
        match self {
            Self::Auth => "upstream_auth",
            Self::BadAnswer => "upstream_bad_answer",
            Self::Cut => "upstream_cut",
            Self::Draining => Refusal::Draining.code(),
            Self::Timeout => "upstream_timeout",
            Self::Unavailable => "upstream_unavailable",
        }
    }

    fn message(self) -> &'static str {
        match self {
            Self::Auth => "The provider refused this proxy's credential.",
            Self::BadAnswer => "The provider's answer was none.",
            Self::Cut => "The provider's answer broke off.",
            Self::Draining => SHUTTING_DOWN,
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

/// What a drill answers in a provider's place: the body of an error that it
/// would have to have a status for.
pub fn drilled(status: StatusCode) -> Bytes {
    let message = format!(
        "A drill asked for this {}: the request's `{FAIL}` names this candidate, and nothing was sent to its provider.",
        status.as_u16()
    );
    let error = error_body(&message, kind(status), None, "drill");
    error.to_string().into()
}
