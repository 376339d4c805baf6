//! How an attempt can end, and what follows from each end.
//!
//! Dialects make an [`Outcome`]; plan, trail and the final answer consume it.
//! Every decision here is an exhaustive match: a new outcome does not compile
//! until somebody has decided what it means.

/// How one attempt ended without an answer that the client can have whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// 401 or 402: the provider does not take the credential.
    Auth(Blame),
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
    Forbidden(Blame),
    /// The provider's content policy refused the prompt or filtered the answer.
    Moderated,
    /// 404 that names the model or the deployment.
    NotFound(Blame),
    /// 429.
    RateLimited(Blame),
    /// Another 4xx.
    Rejected,
    /// The connection broke before commit.
    Reset(Blame),
    /// No first token, or no head, in time.
    Timeout(Blame),
    /// 5xx.
    Unavailable,
}

/// What a failed 200 says about its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Says {
    /// The target is at fault.
    Broken,
    /// The provider does not take our credential.
    Credential,
    /// The prompt is at fault.
    Prompt,
    /// The target is rate limited.
    RateLimited,
}

/// Whose doing an outcome is, where its name alone does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Blame {
    /// The one request's: its own time ran out, it is larger than any limit,
    /// it brought rights of its own. Says nothing of the target.
    Request,
    /// The target's.
    Target,
}

/// What the plan does after an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The next candidate is tried.
    Candidate,
    /// The request has ended.
    Stop,
}

/// What an outcome does to live state: to whose, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The provider's credential cools down, for all its models.
    Credential,
    /// The target cools down, on the endpoint that was asked.
    Endpoint,
    /// Nothing: the outcome says nothing about the target.
    None,
    /// A failure of the provider, whatever the model.
    Provider,
    /// The target cools down until the provider takes requests again.
    RateLimit,
    /// A failure of the target.
    Target,
}

/// What an outcome shows to be in order, whatever else failed. So a probe can
/// tell that the provider is back though the model is not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Proof {
    /// The provider was reached and spoke HTTP.
    pub connection: bool,
    /// The provider took our credential.
    pub credential: bool,
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
            Self::Auth(_) => "auth",
            Self::BadAnswer(_) => "bad_answer",
            Self::ClientGone => "client_gone",
            Self::Connect => "connect",
            Self::ContextLength => "context_length",
            Self::Cut => "cut",
            Self::Forbidden(_) => "forbidden",
            Self::Moderated => "moderated",
            Self::NotFound(_) => "not_found",
            Self::RateLimited(_) => "rate_limited",
            Self::Rejected => "rejected",
            Self::Reset(_) => "reset",
            Self::Timeout(_) => "timeout",
            Self::Unavailable => "unavailable",
        }
    }

    /// Whether another candidate may still answer this request.
    pub fn next(self) -> Next {
        match self {
            Self::Auth(_)
            | Self::BadAnswer(_)
            | Self::Connect
            | Self::ContextLength
            | Self::Forbidden(_)
            | Self::Moderated
            | Self::NotFound(_)
            | Self::RateLimited(_)
            | Self::Rejected
            | Self::Reset(_)
            | Self::Timeout(_)
            | Self::Unavailable => Next::Candidate,
            Self::ClientGone | Self::Cut => Next::Stop,
        }
    }

    /// What it does to live state. Nothing that one client sends may make
    /// another's candidate be skipped: what a request can bring about by
    /// itself has no effect.
    pub fn effect(self) -> Effect {
        match self {
            Self::Auth(Blame::Target) | Self::BadAnswer(Says::Credential) => Effect::Credential,
            Self::Forbidden(Blame::Target) | Self::NotFound(Blame::Target) => Effect::Endpoint,
            Self::Connect | Self::Reset(Blame::Target) => Effect::Provider,
            Self::BadAnswer(Says::RateLimited) | Self::RateLimited(Blame::Target) => {
                Effect::RateLimit
            }
            Self::BadAnswer(Says::Broken)
            | Self::Cut
            | Self::Timeout(Blame::Target)
            | Self::Unavailable => Effect::Target,
            Self::Auth(Blame::Request)
            | Self::BadAnswer(Says::Prompt)
            | Self::ClientGone
            | Self::ContextLength
            | Self::Forbidden(Blame::Request)
            | Self::Moderated
            | Self::NotFound(Blame::Request)
            | Self::RateLimited(Blame::Request)
            | Self::Rejected
            | Self::Reset(Blame::Request)
            | Self::Timeout(Blame::Request) => Effect::None,
        }
    }

    /// What it shows to be in order.
    pub fn proves(self) -> Proof {
        match self {
            Self::BadAnswer(Says::Prompt | Says::RateLimited)
            | Self::ContextLength
            | Self::Cut
            | Self::Moderated
            | Self::NotFound(_)
            | Self::RateLimited(Blame::Target) => Proof {
                connection: true,
                credential: true,
            },
            // Refused for a reason that may come before the credential is
            // looked at, or for another one's.
            Self::Auth(_)
            | Self::BadAnswer(Says::Broken | Says::Credential)
            | Self::Forbidden(_)
            | Self::RateLimited(Blame::Request)
            | Self::Rejected
            | Self::Unavailable => Proof {
                connection: true,
                credential: false,
            },
            Self::ClientGone | Self::Connect | Self::Reset(_) | Self::Timeout(_) => {
                Proof::default()
            }
        }
    }
}

/// Why a candidate or a target is passed over without an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Skip {
    /// It is left alone for a time.
    Cooling,
    /// Its provider does not take our credential.
    Credential,
    /// The client's key may not use it.
    NotAllowed,
    /// It failed too often.
    Open,
    /// Another request is finding out whether it is back.
    Probing,
    /// Its last answers said that nothing, or too little, is left.
    Quota,
    /// No model of that name is known.
    Unknown,
}

impl Skip {
    /// The contract's name for it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Cooling => "cooling",
            Self::Credential => "credential",
            Self::NotAllowed => "not_allowed",
            Self::Open => "open",
            Self::Probing => "probing",
            Self::Quota => "quota",
            Self::Unknown => "unknown",
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
