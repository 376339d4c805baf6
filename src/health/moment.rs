//! Time as live state knows it.

use std::time::Duration;

/// Milliseconds since the board's start, on a clock that never goes back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(u64);

impl Moment {
    /// So long after the board's start; a part of a millisecond is dropped.
    pub fn at(since_start: Duration) -> Self {
        Self(millis(since_start))
    }

    /// So many milliseconds after the board's start.
    pub const fn from_millis(ms: u64) -> Self {
        Self(ms)
    }

    /// Milliseconds since the board's start.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// So much later; a part of a millisecond counts as one, so that nothing
    /// is ever early.
    #[must_use]
    pub fn after(self, wait: Duration) -> Self {
        let part = u64::from(!wait.subsec_nanos().is_multiple_of(1_000_000));
        Self(self.0.saturating_add(millis(wait)).saturating_add(part))
    }

    /// From `now` until here; none where it has passed.
    pub fn from(self, now: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(now.0))
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
