//! What an answer's headers say is left of a quota.

use std::time::Duration;

/// What is left of a target's quota, as one answer reports it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// Requests.
    pub requests: Option<Left>,
    /// Tokens.
    pub tokens: Option<Left>,
}

/// What is left of one window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    /// Requests or tokens.
    pub remaining: u64,
    /// Until the window begins anew, where that is said.
    pub reset: Option<Duration>,
}
