//! What is known of a request when it has ended: the one source of its log
//! line, and of whatever else is to be told of it.

use std::time::Duration;

use http::StatusCode;

use super::plan::Pass;
use super::trail::Trail;
use crate::usage::{Tokens, Usd};

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The client has the whole answer.
    Answered,
    /// The client left.
    ClientGone,
    /// The answer broke off after commit.
    Cut,
    /// Every candidate failed.
    Failed,
}

impl End {
    /// Its name in logs.
    pub fn label(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::ClientGone => "client_gone",
            Self::Cut => "cut",
            Self::Failed => "failed",
        }
    }
}

/// What an answer is charged at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charged {
    /// What it used.
    pub tokens: Tokens,
    /// Whether that is a guess, since the provider did not say.
    pub estimated: bool,
    /// What it costs, where its price is known.
    pub cost: Option<Usd>,
}

/// What is known of a request when it has ended.
#[derive(Debug)]
pub struct Receipt {
    /// What happened to each candidate.
    pub trail: Trail,
    /// The target that answered.
    pub answered: Option<Pass>,
    /// What that one is charged at.
    pub charged: Option<Charged>,
    /// How it ended.
    pub end: End,
    /// The status the client was given, where it was given one.
    pub status: Option<StatusCode>,
    /// From the request's body to commit.
    pub first: Option<Duration>,
    /// From the request's body to the end.
    pub took: Duration,
    /// Body bytes given to the client.
    pub sent: u64,
}
