//! How the last 30 seconds went: a window that slides and never tumbles.
//!
//! A ring of 300 buckets of 100 ms. Each is one atomic word that knows its own
//! time, so a bucket of the last lap is never counted, none is cleared by
//! anybody but the first event of its new time, and no count is lost. What is
//! counted is exactly what happened in the current tenth of a second and the
//! 299 before it.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use super::moment::Moment;

const BUCKETS: usize = 300;
const WIDTH: u64 = 100;

/// Good and bad endings of the last 30 s. A few machine words until the first.
#[derive(Debug, Default)]
pub(super) struct Window {
    buckets: OnceLock<Box<[AtomicU64]>>,
    /// The first tick that counts: what was before the last recovery is over.
    since: AtomicU64,
}

/// A bucket, unpacked: `tick` 32 | bad 16 | good 16. Counts stay at what they
/// can hold.
#[derive(Clone, Copy)]
struct Bucket {
    tick: u64,
    bad: u16,
    good: u16,
}

impl Bucket {
    #[expect(clippy::cast_possible_truncation, reason = "the fields are cut out")]
    fn of(word: u64) -> Self {
        Self {
            tick: word >> 32,
            bad: (word >> 16) as u16,
            good: word as u16,
        }
    }

    fn word(self) -> u64 {
        self.tick << 32 | u64::from(self.bad) << 16 | u64::from(self.good)
    }
}

/// Ticks begin at one: an empty bucket is of no time.
fn tick(now: Moment) -> u64 {
    (now.as_millis() / WIDTH + 1).min(u64::from(u32::MAX))
}

impl Window {
    /// Counts an ending.
    pub(super) fn note(&self, is_good: bool, now: Moment) {
        let buckets = self
            .buckets
            .get_or_init(|| (0..BUCKETS).map(|_| AtomicU64::new(0)).collect());
        let tick = tick(now);
        let Some(bucket) = buckets.get(slot(tick)) else {
            return;
        };
        let add = |word: u64| {
            let mut counts = Bucket::of(word);
            if counts.tick > tick {
                // A lap ahead of a thread that slept for one.
                return None;
            }
            if counts.tick < tick {
                counts = Bucket {
                    tick,
                    bad: 0,
                    good: 0,
                };
            }
            let count = if is_good {
                &mut counts.good
            } else {
                &mut counts.bad
            };
            *count = count.saturating_add(1);
            Some(counts.word())
        };
        // What is a lap too late has no place to be counted in.
        let _ = bucket.fetch_update(Ordering::AcqRel, Ordering::Acquire, add);
    }

    /// Good and bad endings within the last 30 s.
    pub(super) fn counts(&self, now: Moment) -> (u32, u32) {
        let Some(buckets) = self.buckets.get() else {
            return (0, 0);
        };
        let last = tick(now);
        let first = (last + 1)
            .saturating_sub(BUCKETS as u64)
            .max(self.since.load(Ordering::Acquire));
        buckets
            .iter()
            .map(|bucket| Bucket::of(bucket.load(Ordering::Acquire)))
            .filter(|bucket| (first..=last).contains(&bucket.tick))
            .fold((0, 0), |(good, bad), bucket| {
                (good + u32::from(bucket.good), bad + u32::from(bucket.bad))
            })
    }

    /// What has happened until now is over.
    pub(super) fn begin_anew(&self, now: Moment) {
        self.since.fetch_max(tick(now) + 1, Ordering::AcqRel);
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "below the number of buckets"
)]
fn slot(tick: u64) -> usize {
    (tick % BUCKETS as u64) as usize
}
