//! What was counted in the last minute: sliding, exact to the millisecond.

use std::collections::VecDeque;
use std::time::Duration;

use crate::health::Moment;

/// Milliseconds for which an entry counts beyond its own. A moment is a whole
/// number of milliseconds, rounded down: two of them have to be a millisecond
/// further apart for the times that they stand for to be a minute apart.
const MINUTE: u64 = 60_000;

/// How long one waits for what others have reserved: when they end is not
/// known, and they may end at any time.
pub(super) const SOON: Duration = Duration::from_secs(1);

/// Entries that are kept room for when nothing is counted any more.
const SPARE: usize = 64;

/// A limit's minute. Not locked: [`super::account`] does.
#[derive(Debug, Default)]
pub(super) struct Window {
    /// What was counted and when, in order, one entry for each millisecond;
    /// nothing older than a minute, so at most 60 001 entries, and no more
    /// than the limit.
    log: VecDeque<(Moment, u64)>,
    /// The sum of the entries.
    sum: u64,
    /// Reserved by requests that have not ended.
    held: u64,
}

/// Why something does not fit in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Full {
    /// For so long at least.
    Until(Duration),
    /// It is larger than the limit.
    TooLarge,
}

impl Full {
    pub(super) fn wait(self) -> Option<Duration> {
        match self {
            Self::Until(wait) => Some(wait),
            Self::TooLarge => None,
        }
    }
}

impl Window {
    /// Whether so much more keeps within `most`.
    pub(super) fn fits(&mut self, amount: u64, most: u64, now: Moment) -> Result<(), Full> {
        if amount > most {
            return Err(Full::TooLarge);
        }
        let now = self.forget(now);
        let all = self.sum.saturating_add(self.held).saturating_add(amount);
        let Some(over) = all.checked_sub(most).filter(|over| *over > 0) else {
            return Ok(());
        };
        let mut freed: u64 = 0;
        for (at, counted) in &self.log {
            freed = freed.saturating_add(*counted);
            if freed >= over {
                return Err(Full::Until(end(*at).from(now)));
            }
        }
        Err(Full::Until(SOON))
    }

    /// Counts so much; when, is the answer: never before what was counted
    /// last, as threads read the clock before they come here.
    pub(super) fn count(&mut self, amount: u64, now: Moment) -> Moment {
        let now = self.forget(now);
        if amount == 0 {
            return now;
        }
        self.sum = self.sum.saturating_add(amount);
        match self.log.back_mut() {
            Some((at, counted)) if *at == now => *counted = counted.saturating_add(amount),
            Some(_) | None => self.log.push_back((now, amount)),
        }
        now
    }

    /// Takes back what was counted at that moment; nothing where it does not
    /// count any more.
    pub(super) fn take_back(&mut self, amount: u64, at: Moment) {
        let Ok(place) = self.log.binary_search_by_key(&at, |(at, _)| *at) else {
            return;
        };
        if let Some((_, counted)) = self.log.get_mut(place) {
            let less = amount.min(*counted);
            *counted -= less;
            self.sum = self.sum.saturating_sub(less);
        }
    }

    /// Reserves so much.
    pub(super) fn hold(&mut self, amount: u64) {
        self.held = self.held.saturating_add(amount);
    }

    /// Gives back what was reserved.
    pub(super) fn release(&mut self, amount: u64) {
        self.held = self.held.saturating_sub(amount);
    }

    /// Forgets what is older than a minute. The answer is the moment, or that
    /// of the last entry where it is later.
    fn forget(&mut self, now: Moment) -> Moment {
        let now = self.log.back().map_or(now, |(last, _)| now.max(*last));
        while let Some((at, counted)) = self.log.front().copied()
            && end(at) <= now
        {
            self.sum = self.sum.saturating_sub(counted);
            self.log.pop_front();
        }
        if self.log.is_empty() && self.log.capacity() > SPARE {
            self.log.shrink_to(SPARE);
        }
        now
    }
}

/// The first moment at which an entry does not count any more.
fn end(at: Moment) -> Moment {
    Moment::from_millis(at.as_millis().saturating_add(MINUTE + 1))
}
