//! What a key has cost, by day and by month, in UTC.

use std::time::{Duration, SystemTime};

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, Utc};

use super::window::SOON;
use crate::config::{Budget, Period};
use crate::usage::Usd;

const DAY: u64 = 86_400;

/// What a key has cost in the day and in the month that the clock last
/// showed. Both are kept whatever the budget is, so that a reload can change
/// it. Not locked: [`super::account`] does.
#[derive(Debug)]
pub(super) struct Spend {
    /// Days since 1970.
    day: u64,
    /// Years times twelve, and the month.
    month: i64,
    /// In that day.
    in_day: Usd,
    /// In that month.
    in_month: Usd,
    /// Reserved by requests that have not ended; counts in whichever period
    /// it is.
    held: Usd,
}

/// Why a cost does not fit in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Broke {
    /// Until it may; `None` where it alone is more than the budget.
    pub(super) wait: Option<Duration>,
}

impl Spend {
    /// With what was spent since a moment, as the ledger has it.
    pub(super) fn new(spent: &dyn Fn(SystemTime) -> Usd, now: SystemTime) -> Self {
        let date = date(now);
        Self {
            day: day(now),
            month: month(date),
            in_day: spent(midnight(date)),
            in_month: spent(midnight(date.with_day(1).unwrap_or(date))),
            held: Usd::ZERO,
        }
    }

    /// Reserves a cost in place of another one's, which is given back in any
    /// case.
    pub(super) fn reserve(
        &mut self,
        cost: Usd,
        instead: Usd,
        budget: Budget,
        now: SystemTime,
    ) -> Result<(), Broke> {
        self.turn(now);
        self.release(instead);
        let spent = match budget.per {
            Period::Day => self.in_day,
            Period::Month => self.in_month,
        };
        let wait = if cost > budget.usd {
            None
        } else if spent >= budget.usd || spent + cost > budget.usd {
            Some(until_end(budget.per, now))
        } else if spent + self.held + cost > budget.usd {
            Some(SOON)
        } else {
            self.held += cost;
            return Ok(());
        };
        Err(Broke { wait })
    }

    /// Gives back what was reserved.
    pub(super) fn release(&mut self, cost: Usd) {
        self.held = self.held.saturating_sub(cost);
    }

    /// Books a cost to the day and the month that it is now.
    pub(super) fn book(&mut self, cost: Usd, now: SystemTime) {
        self.turn(now);
        self.in_day += cost;
        self.in_month += cost;
    }

    /// Begins a new day, or month, where the clock says so. Threads read the
    /// clock before they come here, so that one may still bring yesterday:
    /// that is then paid for today. A clock that goes back further begins
    /// nothing anew; what was spent counts in the day that it shows.
    fn turn(&mut self, now: SystemTime) {
        let today = day(now);
        if today == self.day || today + 1 == self.day {
            return;
        }
        let this_month = month(date(now));
        if today > self.day {
            self.in_day = Usd::ZERO;
        }
        if this_month > self.month {
            self.in_month = Usd::ZERO;
        }
        self.day = today;
        self.month = this_month;
    }
}

fn day(now: SystemTime) -> u64 {
    let since = now.duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap_or_default().as_secs() / DAY
}

fn date(now: SystemTime) -> NaiveDate {
    let since = now.duration_since(SystemTime::UNIX_EPOCH);
    let seconds = i64::try_from(since.unwrap_or_default().as_secs());
    let moment = DateTime::<Utc>::from_timestamp(seconds.unwrap_or_default(), 0);
    moment.unwrap_or_default().date_naive()
}

fn month(date: NaiveDate) -> i64 {
    i64::from(date.year()) * 12 + i64::from(date.month0())
}

fn midnight(date: NaiveDate) -> SystemTime {
    let since = date.and_time(chrono::NaiveTime::MIN).and_utc().timestamp();
    SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(since).unwrap_or_default())
}

/// From now to the end of the day, or month.
fn until_end(per: Period, now: SystemTime) -> Duration {
    let today = date(now);
    let next = match per {
        Period::Day => today.checked_add_days(Days::new(1)),
        Period::Month => today
            .with_day(1)
            .and_then(|first| first.checked_add_months(Months::new(1))),
    };
    let end = midnight(next.unwrap_or(today));
    end.duration_since(now).unwrap_or_default()
}
