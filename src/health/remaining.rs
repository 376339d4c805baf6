//! What a target's last answers said is left of its quota, and what is on its
//! way to it since.
//!
//! **The estimate.** What is left for one more request is what the last report
//! said, less the requests (and their tokens) that have been sent and not yet
//! been answered. So of fifty concurrent requests only one takes a "1
//! remaining". How wrong it can be:
//!
//! - Too low by what is on its way and was counted by the provider before it
//!   wrote the report: at most the number of requests in flight. It corrects
//!   itself with their answers, and nothing in flight is no error.
//! - Too high by what others take of the same quota (another replica, another
//!   process), by requests that were sent before the first report, and, since
//!   the last answer to come counts as the last report, by answers that
//!   overtake each other. The price is a live 429.
//! - A request's tokens are themselves an estimate: see `Ask::tokens`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::moment::Moment;
use crate::wire::{Left, Quota};

/// How long a report without a reset holds where something is left: the
/// shortest window that providers have.
const USUAL_WINDOW: Duration = Duration::from_mins(1);

/// Bits for what is left; the rest is when that ends.
const COUNT: u32 = 26;
const MAX_COUNT: u64 = (1 << COUNT) - 1;
/// In flight: requests above, tokens below.
const TOKENS: u32 = 44;
const MAX_TOKENS: u64 = (1 << TOKENS) - 1;
/// The most tokens that one request is counted for, so that a million of them
/// fit.
const MAX_REQUEST: u64 = 1 << 24;

/// What is left of a target's quota.
#[derive(Debug, Default)]
pub(super) struct Remaining {
    requests: AtomicU64,
    tokens: AtomicU64,
    pub(super) in_flight: AtomicU64,
}

/// What a request is counted for while it is on its way. Whoever has it gives
/// it back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counted(u64);

/// One kind's report while it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// Requests or tokens.
    pub remaining: u64,
    /// When the window ends.
    pub until: Moment,
}

impl Report {
    fn of(word: u64, now: Moment) -> Option<Self> {
        let until = Moment::from_millis(word >> COUNT);
        (until > now).then_some(Self {
            remaining: word & MAX_COUNT,
            until,
        })
    }

    fn word(self) -> u64 {
        let until = self.until.as_millis().min(u64::MAX >> COUNT);
        until << COUNT | self.remaining.min(MAX_COUNT)
    }
}

impl Remaining {
    /// What the last reports said of requests and of tokens, while they hold.
    #[inline]
    pub(super) fn reports(&self, now: Moment) -> (Option<Report>, Option<Report>) {
        let report = |word: &AtomicU64| Report::of(word.load(Ordering::Relaxed), now);
        (report(&self.requests), report(&self.tokens))
    }

    /// Takes a request in. Without a report nothing is counted or written.
    ///
    /// # Errors
    /// When the quota that it does not fit in will be there again.
    #[inline]
    pub(super) fn admit(
        &self,
        tokens: impl FnOnce() -> u64,
        now: Moment,
    ) -> Result<Counted, Moment> {
        let (requests, left) = self.reports(now);
        if requests.is_none() && left.is_none() {
            return Ok(Counted::default());
        }
        let tokens = if left.is_some() {
            tokens().min(MAX_REQUEST)
        } else {
            0
        };
        let counted = 1 << TOKENS | tokens;
        let before = self.in_flight.fetch_add(counted, Ordering::Relaxed);
        let (sent, held) = (before >> TOKENS, before & MAX_TOKENS);
        let over = [
            requests.filter(|left| sent >= left.remaining),
            left.filter(|left| left.remaining == 0 || held + tokens > left.remaining),
        ];
        // Only both of them make room.
        match over.into_iter().flatten().map(|left| left.until).max() {
            None => Ok(Counted(counted)),
            Some(until) => {
                self.give_back(Counted(counted));
                Err(until)
            }
        }
    }

    /// Until when nothing is left at all, where that is so.
    pub(super) fn exhausted_until(&self, now: Moment) -> Option<Moment> {
        let (requests, tokens) = self.reports(now);
        let empty = |report: Option<Report>| {
            let report = report.filter(|report| report.remaining == 0)?;
            Some(report.until)
        };
        empty(requests).max(empty(tokens))
    }

    /// A request is no longer on its way.
    pub(super) fn give_back(&self, counted: Counted) {
        if counted.0 > 0 {
            self.in_flight.fetch_sub(counted.0, Ordering::Relaxed);
        }
    }

    /// Notes what an answer reports. What it is silent about stays as it was.
    /// An exhausted window that does not say when it ends is taken to end
    /// after `cooldown`.
    pub(super) fn report(&self, quota: &Quota, now: Moment, cooldown: Duration) {
        for (word, left) in [
            (&self.requests, quota.requests),
            (&self.tokens, quota.tokens),
        ] {
            if let Some(Left { remaining, reset }) = left {
                let usual = if remaining == 0 {
                    cooldown
                } else {
                    USUAL_WINDOW
                };
                let until = now.after(reset.unwrap_or(usual));
                word.store(Report { remaining, until }.word(), Ordering::Relaxed);
            }
        }
    }
}
