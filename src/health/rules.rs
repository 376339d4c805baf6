//! How long a bad state lasts.

use std::time::Duration;

use super::moment::Moment;
use crate::config::Health;

/// The jitter on a probe's moment: up to this part of the wait …
const JITTER_PART: u32 = 16;
/// … and at most this long: after hours of a rate limit nobody should wait
/// minutes more.
const MAX_JITTER: Duration = Duration::from_secs(2);

/// The shortest cool-down: a provider that says "now" in every 429 is asked
/// ten times a second and not as fast as it can refuse.
const MIN_COOLDOWN: Duration = Duration::from_millis(100);

/// The ratio counts from so many requests on: below that, one failure more or
/// less decides.
const MIN_REQUESTS: u32 = 20;

/// The operator's `health`, and what follows from it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rules(Health);

impl Rules {
    /// From what the configuration means.
    pub fn new(health: Health) -> Self {
        Self(health)
    }

    /// Consecutive failures that open a breaker.
    pub(super) fn failures(&self) -> u8 {
        self.0.failures
    }

    /// The first open period.
    pub(super) fn cooldown(&self) -> Duration {
        self.0.cooldown
    }

    /// Whether a window's requests and failures open a breaker.
    pub(super) fn trips(&self, good: u32, bad: u32) -> bool {
        let all = good.saturating_add(bad);
        all >= MIN_REQUESTS && f64::from(bad) >= self.0.failure_ratio * f64::from(all)
    }

    /// When the breaker's next probe is due: the cool-down doubles with each
    /// level up to `max_cooldown`.
    pub(super) fn probe_at(&self, level: u8, now: Moment, dice: u64) -> Moment {
        let doubled = self
            .0
            .cooldown
            .saturating_mul(1 << u32::from(level.min(30)));
        later(now, doubled.min(self.0.max_cooldown), dice)
    }

    /// When a target is back that said how long to stay away. Never earlier
    /// than that.
    pub(super) fn back_at(wait: Duration, now: Moment, dice: u64) -> Moment {
        later(now, wait.max(MIN_COOLDOWN), dice)
    }
}

/// The moment after `wait`, with jitter, so that a fleet does not probe in
/// step.
fn later(now: Moment, wait: Duration, dice: u64) -> Moment {
    let spread = (wait / JITTER_PART).min(MAX_JITTER);
    // The upper half of the dice, as a part of all that it can be.
    let part = f64::from(u32::try_from(dice >> 32).unwrap_or(u32::MAX)) / f64::from(u32::MAX);
    now.after(wait + spread.mul_f64(part))
}
