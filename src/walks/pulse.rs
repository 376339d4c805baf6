//! How many requests have ended, by the second: sums that only grow, and what
//! they were at the beginning of each second that had one.

use std::collections::VecDeque;
use std::ops::Sub;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::health::Moment;
use crate::journey::End;

/// Seconds that are told of together.
const MINUTES: u64 = 300;
/// The seconds of one bar, and how many bars there are of them.
const BAR: u64 = 5;
const BARS: u64 = MINUTES / BAR;
/// Seconds that "now" is the mean of.
const NOW: u64 = 10;

/// Requests that have ended, each in one of the first four.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// The client has the whole answer.
    pub answered: u64,
    /// The client left.
    pub gone: u64,
    /// The answer broke off.
    pub cut: u64,
    /// Every candidate failed.
    pub failed: u64,
    /// Of the answered and the cut: by another model than the first.
    pub failed_over: u64,
}

impl Sums {
    /// All of them.
    pub fn all(&self) -> u64 {
        self.answered + self.gone + self.cut + self.failed
    }
}

impl Sub for Sums {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self {
            answered: self.answered.saturating_sub(other.answered),
            gone: self.gone.saturating_sub(other.gone),
            cut: self.cut.saturating_sub(other.cut),
            failed: self.failed.saturating_sub(other.failed),
            failed_over: self.failed_over.saturating_sub(other.failed_over),
        }
    }
}

/// What has ended lately.
#[derive(Clone, Debug, PartialEq)]
pub struct Lately {
    /// In the last five minutes.
    pub minutes: Sums,
    /// Requests a second, over the last ten seconds.
    pub per_second: f64,
    /// Requests in each five seconds of these minutes; the oldest first, the
    /// last one still growing.
    pub bars: Vec<u64>,
}

#[derive(Debug, Default)]
pub(super) struct Pulse {
    /// In the order of [`Sums`].
    sums: [AtomicU64; 5],
    /// The last second that had a request, plus one.
    second: AtomicU64,
    /// The sums before each such second.
    before: Mutex<VecDeque<(u64, Sums)>>,
}

impl Pulse {
    pub(super) fn ended(&self, end: End, failed_over: bool, at: Moment) {
        let second = second(at);
        let last = self.second.load(Ordering::Acquire);
        // Once a second: one request, and whoever comes at the same time
        // counts after it. What the sums were is read before it is known that
        // somebody keeps them: so none of this second is among them.
        if last <= second {
            let sums = self.now();
            if self
                .second
                .compare_exchange(last, second + 1, Ordering::Release, Ordering::Acquire)
                .is_ok()
            {
                self.keep(second, sums);
            }
        }
        let [answered, gone, cut, failed, over] = &self.sums;
        let sum = match end {
            End::Answered => answered,
            End::ClientGone => gone,
            End::Cut => cut,
            End::Failed => failed,
        };
        sum.fetch_add(1, Ordering::Relaxed);
        if failed_over {
            over.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Keeps what the sums were before a second. Whoever does may be held up
    /// until the next second is kept: so each is put in its place.
    fn keep(&self, second: u64, sums: Sums) {
        let mut before = self.before.lock();
        let at = before.partition_point(|(had, _)| *had < second);
        before.insert(at, (second, sums));
        while before
            .front()
            .is_some_and(|(old, _)| old + MINUTES + BAR < second)
        {
            before.pop_front();
        }
    }

    fn now(&self) -> Sums {
        let [answered, gone, cut, failed, failed_over] =
            self.sums.each_ref().map(|sum| sum.load(Ordering::Relaxed));
        Sums {
            answered,
            gone,
            cut,
            failed,
            failed_over,
        }
    }

    pub(super) fn lately(&self, now: Moment) -> Lately {
        let before = self.before.lock();
        let sums = self.now();
        // What they were when a second began: as they were before the next
        // one that had a request.
        let at = |second: u64| {
            let next = before.partition_point(|(had, _)| *had < second);
            before.get(next).map_or(sums, |(_, sums)| *sums)
        };
        let second = second(now);
        let ago = |seconds: u64| (second + 1).saturating_sub(seconds);
        // Bars stand still while they grow: each begins at a multiple of its
        // seconds.
        let end = (second / BAR + 1) * BAR;
        let edges = (0..=BARS).map(|bar| (end + bar * BAR).saturating_sub(MINUTES));
        let edges: Vec<u64> = edges.map(|edge| at(edge).all()).collect();
        let recent = sums - at(ago(NOW));
        let span = NOW.min(second + 1);
        Lately {
            minutes: sums - at(ago(MINUTES)),
            per_second: float(recent.all()) / float(span),
            bars: edges
                .windows(2)
                .map(|pair| pair[1].saturating_sub(pair[0]))
                .collect(),
        }
    }
}

fn second(at: Moment) -> u64 {
    at.as_millis() / 1000
}

#[expect(
    clippy::cast_precision_loss,
    reason = "nobody ends 2⁵³ requests in minutes"
)]
fn float(number: u64) -> f64 {
    number as f64
}
