//! Labels that are not the configuration's own names.

use crate::base::Endpoint;
use crate::outcome::Outcome;

/// The label of a name that is not listed: anybody can make one up.
pub(super) const OTHER: &str = "other";

/// The label where there is nothing to name: an unknown path's endpoint, an
/// unknown name's provider, the key of a client who needs none.
pub(super) const NONE: &str = "none";

/// The endpoint's label of all that is passed through.
pub(super) const PASSED: &str = "passthrough";

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The client has the whole answer.
    Answered,
    /// The client left.
    ClientGone,
    /// The answer broke off after it had begun.
    Cut,
    /// Every candidate failed, at least one of them on purpose.
    Drilled,
    /// Every candidate failed.
    Failed,
    /// Nothing was tried.
    Refused,
}

impl Ended {
    pub(super) const ALL: [Self; 6] = [
        Self::Answered,
        Self::ClientGone,
        Self::Cut,
        Self::Drilled,
        Self::Failed,
        Self::Refused,
    ];

    /// Its name in metrics and in the log.
    pub fn label(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::ClientGone => "client_gone",
            Self::Cut => "cut",
            Self::Drilled => "drilled",
            Self::Failed => "failed",
            Self::Refused => "refused",
        }
    }
}

/// As `/status` calls it.
pub(super) fn endpoint_label(endpoint: Endpoint) -> &'static str {
    endpoint.path().trim_start_matches('/')
}

/// The conventions' well-known names; they have none of its own for what is
/// asked of `/v1/responses`, which is a chat as well.
pub fn operation(endpoint: Endpoint) -> &'static str {
    match endpoint {
        Endpoint::Chat | Endpoint::Responses => "chat",
        Endpoint::Completions => "text_completion",
        Endpoint::Embeddings => "embeddings",
    }
}

/// A number for each outcome's name; 0 is an answer's.
pub(super) fn place_of(outcome: Outcome) -> usize {
    match outcome {
        Outcome::Auth(_) => 1,
        Outcome::BadAnswer(_) => 2,
        Outcome::ClientGone => 3,
        Outcome::Connect => 4,
        Outcome::ContextLength => 5,
        Outcome::Cut => 6,
        Outcome::Forbidden(_) => 7,
        Outcome::Moderated => 8,
        Outcome::NotFound(_) => 9,
        Outcome::RateLimited(_) => 10,
        Outcome::Rejected => 11,
        Outcome::Reset(_) => 12,
        Outcome::Timeout(_) => 13,
        Outcome::Unavailable => 14,
    }
}
