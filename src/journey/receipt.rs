//! What is known of a request when it has ended: the one source of its log
//! line, and of whatever else is to be told of it.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tokio::time::Instant;

use super::plan::Pass;
use super::trail::{Entry, Trail, Tried};
use crate::base::Endpoint;
use crate::metrics::{Answered, Counts, Ended};
use crate::outcome::Outcome;
use crate::seam::Gone;
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

/// How an answer ends that its client does not get to the end.
impl From<Gone> for End {
    fn from(gone: Gone) -> Self {
        match gone {
            Gone::CutOff => Self::Cut,
            Gone::Left => Self::ClientGone,
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
    /// From the request's body to the answer's end, as it came: before the
    /// client could see it.
    pub after: Duration,
}

/// What is known of a request when it has ended.
#[derive(Clone, Debug)]
pub struct Receipt {
    /// What was asked for.
    pub endpoint: Endpoint,
    /// The name of the key that asked, where clients need one.
    pub key: Option<Arc<str>>,
    /// What happened to each candidate.
    pub trail: Trail,
    /// The target that answered.
    pub answered: Option<Pass>,
    /// Whether it answered with a stream.
    pub streamed: bool,
    /// What that one is charged at.
    pub charged: Option<Charged>,
    /// How it ended.
    pub end: End,
    /// The status the client was given, where it was given one.
    pub status: Option<StatusCode>,
    /// From the request's body to commit.
    pub first: Option<Duration>,
    /// When the request's body was there.
    pub started: Instant,
    /// From the request's body to the end.
    pub took: Duration,
    /// How long it was worked on, and not waited for others, where whoever
    /// ran it has [measured](super::worked) that.
    pub worked: Duration,
    /// Body bytes given to the client.
    pub sent: u64,
}

impl Receipt {
    /// Adds all of it to what is counted.
    pub fn count(&self, into: &Counts) {
        into.ended(Some(self.endpoint), self.counted());
        into.worked(self.worked);
        let over = self.failed_over_from().map(|first| match first {
            Entry::Skipped(_, _, why) => why.label(),
            Entry::Tried(tried) => tried.reason(),
        });
        let mut first = None;
        for entry in self.trail.entries() {
            let provider = match entry {
                Entry::Skipped(_, target, _) => target.as_ref().map(|target| &target.provider),
                Entry::Tried(tried) => Some(&tried.pass.target.provider),
            };
            let at = into.at(entry.candidate(), provider.map(AsRef::as_ref));
            let first = *first.get_or_insert(at);
            match entry {
                Entry::Skipped(_, _, why) => at.skipped(*why),
                Entry::Tried(tried) => {
                    match self.outcome(tried) {
                        Some(outcome) if tried.is_drill => at.drilled(outcome),
                        outcome => at.attempted(outcome),
                    }
                    // An answer is the last of its trail.
                    if tried.outcome.is_none() {
                        if let Some(charged) = &self.charged {
                            at.answered(&self.answer(charged));
                        }
                        if let Some(reason) = over {
                            first.failed_over(at, reason);
                        }
                    }
                }
            }
        }
    }

    /// As what it is counted: where a candidate failed on purpose, that none
    /// answered is nobody's failure.
    fn counted(&self) -> Ended {
        match self.end {
            End::Answered => Ended::Answered,
            End::ClientGone => Ended::ClientGone,
            End::Cut => Ended::Cut,
            End::Failed if self.is_drilled() => Ended::Drilled,
            End::Failed => Ended::Failed,
        }
    }

    /// Whether a candidate of it failed on purpose.
    pub fn is_drilled(&self) -> bool {
        self.trail.tried().any(|tried| tried.is_drill)
    }

    /// How an attempt ended; nothing where it answered to the end, or for as
    /// long as the client stayed.
    pub fn outcome(&self, tried: &Tried) -> Option<Outcome> {
        let broke_off = tried.outcome.is_none() && self.end == End::Cut;
        tried.outcome.or(broke_off.then_some(Outcome::Cut))
    }

    /// The first candidate's turn, where another candidate answered in its
    /// place; another home of the same one is none.
    pub fn failed_over_from(&self) -> Option<&Entry> {
        let answered = self.answered.as_ref()?;
        let first = self.trail.entries().first()?;
        (*first.candidate() != answered.candidate).then_some(first)
    }

    fn answer(&self, charged: &Charged) -> Answered<'_> {
        let first = self.first.filter(|_| self.streamed);
        let is_whole = self.end == End::Answered && !charged.estimated;
        let others = charged.tokens.output.saturating_sub(1);
        let others = u32::try_from(others).ok().filter(|others| *others > 0);
        Answered {
            endpoint: self.endpoint,
            key: self.key.as_ref(),
            first,
            took: charged.after,
            per_token: first
                .zip(others)
                .filter(|_| is_whole)
                .map(|(first, others)| charged.after.saturating_sub(first) / others),
            tokens: charged.tokens,
            cost: charged.cost,
        }
    }
}
