//! How an attempt can end, and what follows from each end.
//!
//! Dialects make an [`Outcome`]; plan, trail and the final answer consume it.
//! Every decision here is an exhaustive match: a new outcome does not compile
//! until somebody has decided what it means.

/// How one attempt ended without an answer that the client can have whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// 401 or 402: the provider does not take our credential.
    Auth,
    /// A 200 that is none: an error in its body, nothing in it, an early end.
    BadAnswer(Says),
    /// The client left before there was an answer.
    ClientGone,
    /// DNS, connect or TLS failed.
    Connect,
    /// The prompt does not fit the model.
    ContextLength,
    /// The answer broke off after commit.
    Cut,
    /// 403 that is not about the prompt.
    Forbidden,
    /// The provider's content policy refused the prompt or filtered the answer.
    Moderated,
    /// 404 that names the model or the deployment.
    NotFound,
    /// 429.
    RateLimited,
    /// Another 4xx.
    Rejected,
    /// The connection broke before commit.
    Reset,
    /// No first token, or no head, in time.
    Timeout(Clock),
    /// 5xx.
    Unavailable,
}

/// What a failed 200 says about its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Says {
    /// The target is at fault.
    Broken,
    /// The prompt is at fault.
    Prompt,
    /// The target is rate limited.
    RateLimited,
}

/// Whose time ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Clock {
    /// The target's own timeout.
    Target,
    /// The request's total, or its share of it: says nothing of the target.
    Request,
}

/// What the plan does after an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The next candidate is tried.
    Candidate,
    /// The request has ended.
    Stop,
}

impl Outcome {
    /// Every name that an outcome has in trails, metrics, logs and
    /// `return_at_once`.
    pub const LABELS: [&'static str; 14] = [
        "auth",
        "bad_answer",
        "client_gone",
        "connect",
        "context_length",
        "cut",
        "forbidden",
        "moderated",
        "not_found",
        "rate_limited",
        "rejected",
        "reset",
        "timeout",
        "unavailable",
    ];

    /// The contract's name for it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::BadAnswer(_) => "bad_answer",
            Self::ClientGone => "client_gone",
            Self::Connect => "connect",
            Self::ContextLength => "context_length",
            Self::Cut => "cut",
            Self::Forbidden => "forbidden",
            Self::Moderated => "moderated",
            Self::NotFound => "not_found",
            Self::RateLimited => "rate_limited",
            Self::Rejected => "rejected",
            Self::Reset => "reset",
            Self::Timeout(_) => "timeout",
            Self::Unavailable => "unavailable",
        }
    }

    /// Whether another candidate may still answer this request.
    pub fn next(self) -> Next {
        match self {
            Self::Auth
            | Self::BadAnswer(_)
            | Self::Connect
            | Self::ContextLength
            | Self::Forbidden
            | Self::Moderated
            | Self::NotFound
            | Self::RateLimited
            | Self::Rejected
            | Self::Reset
            | Self::Timeout(_)
            | Self::Unavailable => Next::Candidate,
            Self::ClientGone | Self::Cut => Next::Stop,
        }
    }
}

/// The operator's `failover.return_at_once`: failures that the client is to
/// see instead of the next candidate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReturnAtOnce {
    /// Outcomes, by label; each one of [`Outcome::LABELS`].
    pub labels: Vec<&'static str>,
    /// HTTP statuses, 400 to 599.
    pub statuses: Vec<u16>,
}

impl ReturnAtOnce {
    /// Whether this failure is one of them.
    pub fn holds(&self, outcome: Outcome, status: Option<u16>) -> bool {
        self.labels.contains(&outcome.label())
            || status.is_some_and(|status| self.statuses.contains(&status))
    }
}
