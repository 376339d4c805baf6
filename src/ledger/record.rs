//! What is written down: one record for each answered request, one for each
//! attempt that reached a provider and was thrown away.
//!
//! Records borrow their texts; where one has to outlive its request it does so
//! as the bytes of its frame.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::usage::{Tokens, Usd};

/// How an answered request ended. The numbers stand in the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// The client has the whole answer.
    Answered = 0,
    /// The client left; with what is known till then.
    ClientGone = 1,
    /// The answer broke off; with what is known till then.
    Cut = 2,
    /// The provider's content policy ate the answer, and the client was given
    /// what was left of it.
    Filtered = 3,
}

impl Ended {
    /// Each of them, once.
    pub(super) const ALL: [Self; 4] = [Self::Answered, Self::ClientGone, Self::Cut, Self::Filtered];

    /// Its name in the table.
    pub fn label(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::ClientGone => "client_gone",
            Self::Cut => "cut",
            Self::Filtered => "filtered",
        }
    }
}

/// A request that was answered: a row of table `usage`.
#[derive(Clone, Debug, PartialEq)]
pub struct Record<'a> {
    /// When it ended. Milliseconds count.
    pub time: SystemTime,
    /// `x-request-id`
    pub request_id: Cow<'a, str>,
    /// The client key's name, where the client had one.
    pub key: Option<Cow<'a, str>>,
    /// The key's tags: a JSON object.
    pub tags: Cow<'a, str>,
    /// The candidates as the client listed them.
    pub requested: Vec<Cow<'a, str>>,
    /// The candidate that answered.
    pub model: Cow<'a, str>,
    /// Its target's provider.
    pub provider: Cow<'a, str>,
    /// Its target's name for the model.
    pub upstream_model: Cow<'a, str>,
    /// What the upstream says that it ran.
    pub reported_model: Option<Cow<'a, str>>,
    /// The upstream's own id of the request.
    pub upstream_request_id: Option<Cow<'a, str>>,
    /// `/v1/chat/completions`
    pub endpoint: Cow<'a, str>,
    /// What it used.
    pub tokens: Tokens,
    /// Whether the tokens are a guess, since the upstream did not say.
    pub estimated: bool,
    /// The upstream's service tier, where it names one.
    pub service_tier: Option<Cow<'a, str>>,
    /// What it cost; `None` where the price is not known, which is not zero.
    pub cost: Option<Usd>,
    /// The prices that were used: JSON.
    pub prices: Option<Cow<'a, str>>,
    /// What happened to each candidate: JSON.
    pub trail: Cow<'a, str>,
    /// From the request's body to the answer's first meaningful bit.
    pub first_token: Option<Duration>,
    /// From the request's body to the end.
    pub duration: Option<Duration>,
    /// Whether it was a stream.
    pub streamed: bool,
    /// How it ended.
    pub ended: Ended,
}

/// An attempt that reached a provider and was thrown away: a row of table
/// `discarded`. Billed to nobody; there to reconcile a provider's invoice.
#[derive(Clone, Debug, PartialEq)]
pub struct Discarded<'a> {
    /// When it was thrown away. Milliseconds count.
    pub time: SystemTime,
    /// `x-request-id`
    pub request_id: Cow<'a, str>,
    /// The client key's name, where the client had one.
    pub key: Option<Cow<'a, str>>,
    /// The candidate.
    pub model: Cow<'a, str>,
    /// Its target's provider.
    pub provider: Cow<'a, str>,
    /// Its target's name for the model.
    pub upstream_model: Cow<'a, str>,
    /// The outcome's name.
    pub outcome: Cow<'a, str>,
    /// The HTTP status, where one came.
    pub status: Option<u16>,
    /// What it used, where the upstream said so before its end.
    pub tokens: Option<Tokens>,
    /// The upstream's own id of the request.
    pub upstream_request_id: Option<Cow<'a, str>>,
}

/// What can be appended. Both kinds are numbered together.
#[derive(Clone, Debug, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "lives for one append, on the stack"
)]
pub enum Entry<'a> {
    /// A request that was answered.
    Usage(Record<'a>),
    /// An attempt that was thrown away.
    Discarded(Discarded<'a>),
}

impl Entry<'_> {
    /// Its time, in milliseconds since 1970.
    pub(super) fn millis(&self) -> i64 {
        millis::of(match self {
            Self::Usage(record) => record.time,
            Self::Discarded(discarded) => discarded.time,
        })
    }
}

/// A point in time as milliseconds since 1970 (UTC).
pub(super) mod millis {
    use super::SystemTime;

    /// Before 1970 is 1970: no clock that runs says so.
    pub(in crate::ledger) fn of(time: SystemTime) -> i64 {
        let since = time.duration_since(SystemTime::UNIX_EPOCH);
        i64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(i64::MAX)
    }
}

/// The columns of [`Tokens`], in the order of their values.
pub(super) const COLUMNS: [&str; 7] = [
    "input_tokens",
    "cached_tokens",
    "cache_write_tokens",
    "input_audio_tokens",
    "output_tokens",
    "reasoning_tokens",
    "output_audio_tokens",
];

/// The values of [`COLUMNS`].
pub(super) fn row(tokens: &Tokens) -> [u64; 7] {
    [
        tokens.input,
        tokens.cached,
        tokens.cache_write,
        tokens.input_audio,
        tokens.output,
        tokens.reasoning,
        tokens.output_audio,
    ]
}

/// [`Tokens`] from the values of [`COLUMNS`].
pub(super) fn of_row(row: [u64; 7]) -> Tokens {
    let [
        input,
        cached,
        cache_write,
        input_audio,
        output,
        reasoning,
        output_audio,
    ] = row;
    Tokens {
        input,
        cached,
        cache_write,
        input_audio,
        output,
        reasoning,
        output_audio,
    }
}
