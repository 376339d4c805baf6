//! What is known of an attempt that failed before commit.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use crate::dialect::ErrorSays;
use crate::health::{Failed, LastError};
use crate::outcome::{Blame, Outcome, Says};
use crate::seam::{Broken, Head};
use crate::usage::Tokens;
use crate::wire::reset;

/// An attempt that failed before commit.
#[derive(Debug)]
pub struct Failure {
    /// How.
    pub outcome: Outcome,
    /// The upstream's head, where one came.
    pub head: Option<Head>,
    /// The upstream's error body, or a filtered answer, as it came.
    pub body: Bytes,
    /// Whether `body` is all of it.
    pub is_whole: bool,
    /// What the error says.
    pub says: ErrorSays,
    /// What it says it used all the same.
    pub usage: Option<Tokens>,
    /// How long the provider asked us to stay away.
    pub wait: Option<Duration>,
}

impl Failure {
    /// A failure of which nothing else is known.
    pub fn bare(outcome: Outcome) -> Self {
        Self {
            outcome,
            head: None,
            body: Bytes::new(),
            is_whole: false,
            says: ErrorSays::default(),
            usage: None,
            wait: None,
        }
    }

    /// What others have failed with, in place of an attempt. Their error's own
    /// words are not this client's to read.
    pub(super) fn recalled(error: LastError) -> Self {
        let status = error.status.and_then(|s| StatusCode::from_u16(s).ok());
        Self {
            head: status.map(|status| Head {
                status,
                headers: HeaderMap::new(),
            }),
            ..Self::bare(error.outcome)
        }
    }

    /// The error status that came, if one did.
    pub fn status(&self) -> Option<u16> {
        let status = self.head.as_ref()?.status.as_u16();
        (status >= 400).then_some(status)
    }

    /// What live state is told of it.
    pub(super) fn report(&self) -> Failed {
        Failed {
            outcome: self.outcome,
            status: self.status(),
            wait: self.wait,
        }
    }

    pub(super) fn with_head(outcome: Outcome, head: Head) -> Self {
        Self {
            head: Some(head),
            ..Self::bare(outcome)
        }
    }
}

impl From<Broken> for Failure {
    fn from(broken: Broken) -> Self {
        Self::bare(match broken {
            Broken::Connect => Outcome::Connect,
            Broken::Reset | Broken::Stale => Outcome::Reset(Blame::Target),
        })
    }
}

/// How long the provider asks us to stay away.
pub(super) fn wait(outcome: Outcome, head: &Head, says: &ErrorSays) -> Option<Duration> {
    match outcome {
        Outcome::BadAnswer(Says::RateLimited) | Outcome::RateLimited(Blame::Target) => {
            reset::wait(&head.headers, says.retry, wall_clock())
        }
        // Its windows speak of a quota, not of when it works again.
        Outcome::Unavailable => reset::retry_after(&head.headers, says.retry, wall_clock()),
        Outcome::Auth(_)
        | Outcome::BadAnswer(Says::Broken | Says::Credential | Says::Prompt)
        | Outcome::ClientGone
        | Outcome::Connect
        | Outcome::ContextLength
        | Outcome::Cut
        | Outcome::Forbidden(_)
        | Outcome::Moderated
        | Outcome::NotFound(_)
        | Outcome::RateLimited(Blame::Request)
        | Outcome::Rejected
        | Outcome::Reset(_)
        | Outcome::Timeout(_) => None,
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "dates in headers are of the wall clock, read once for each answer"
)]
pub(super) fn wall_clock() -> std::time::SystemTime {
    std::time::SystemTime::now()
}
