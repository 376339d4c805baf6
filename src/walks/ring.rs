//! The latest walks: a ring, each place with a lock of its own.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::Walk;

/// How many are kept: more than fit on a screen. Each holds on to its names
/// and targets, at most 256 bytes for a name that a client made up.
pub const KEPT: usize = 50;

/// Walks by number; a place's number is 0 until it is taken.
#[derive(Debug)]
pub(super) struct Ring {
    count: AtomicU64,
    places: [Mutex<(u64, Option<Walk>)>; KEPT],
}

/// Which walk was last seen in each place. A place's lock may be had before
/// an earlier walk has come to its own: so one number would not do.
#[derive(Clone, Debug)]
pub struct Seen([u64; KEPT]);

impl Default for Seen {
    fn default() -> Self {
        Self([0; KEPT])
    }
}

impl Default for Ring {
    fn default() -> Self {
        Self {
            count: AtomicU64::new(0),
            places: std::array::from_fn(|_| Mutex::new((0, None))),
        }
    }
}

impl Ring {
    /// Puts one in the place of the oldest.
    pub(super) fn put(&self, walk: Walk) {
        let number = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        let Some(place) = self.places.get(place(number)) else {
            return;
        };
        let mut held = place.lock();
        // Who was overtaken by a whole round is too late.
        if held.0 > number {
            return;
        }
        held.0 = number;
        let before = held.1.replace(walk);
        drop(held);
        // Freed where nobody waits for it.
        drop(before);
    }

    /// Looks at those that are new, oldest first.
    pub(super) fn look(&self, seen: &mut Seen, mut look: impl FnMut(u64, &Walk)) {
        let end = place(self.count.load(Ordering::Relaxed) + 1);
        let all = self.places.iter().zip(&mut seen.0);
        let (mut older, mut newer) = (Vec::with_capacity(KEPT), Vec::with_capacity(KEPT));
        for (at, both) in all.enumerate() {
            if at < end { &mut newer } else { &mut older }.push(both);
        }
        for (place, seen) in older.into_iter().chain(newer) {
            let held = place.lock();
            if let (number, Some(walk)) = &*held
                && *number != *seen
            {
                *seen = *number;
                look(*number, walk);
            }
        }
    }
}

fn place(number: u64) -> usize {
    usize::try_from(number % KEPT as u64).unwrap_or_default()
}
