//! What one target has answered and failed, and how soon it began to speak.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use papaya::{Equivalent, HashMap};

use crate::config::Target;

/// First-token times that are kept of each target.
pub const FIRSTS: usize = 32;

/// Targets that clients made up and a tally is kept of; some 300 bytes each.
const MAX_TARGETS: usize = 1024;

/// One target's.
#[derive(Debug, Default)]
pub struct Tally {
    answered: AtomicU64,
    failed: AtomicU64,
    from: AtomicU64,
    to: AtomicU64,
    /// How many have been written into `firsts`.
    count: AtomicU64,
    /// In milliseconds, around.
    firsts: [AtomicU32; FIRSTS],
}

/// The same, told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tallied {
    /// Attempts that answered.
    pub answered: u64,
    /// Attempts that did not, but for those whose client left.
    pub failed: u64,
    /// Requests that it was first in line for and another model answered.
    pub from: u64,
    /// Requests that it answered and another model was first in line for.
    pub to: u64,
    /// From the attempt's begin to its first word, in milliseconds, of its
    /// latest streams; the oldest first.
    pub firsts: Vec<u32>,
}

impl Tally {
    /// With the time to the first word, of a stream.
    pub(super) fn answered(&self, first: Option<Duration>) {
        self.answered.fetch_add(1, Ordering::Relaxed);
        if let Some(first) = first {
            let at = self.count.fetch_add(1, Ordering::Relaxed);
            let ms = u32::try_from(first.as_millis()).unwrap_or(u32::MAX);
            if let Some(place) = self.firsts.get(place(at)) {
                place.store(ms, Ordering::Relaxed);
            }
        }
    }

    pub(super) fn failed(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    /// Another model answered in its place.
    pub(super) fn left(&self) {
        self.from.fetch_add(1, Ordering::Relaxed);
    }

    /// It answered in another model's place.
    pub(super) fn reached(&self) {
        self.to.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn told(&self) -> Tallied {
        let count = self.count.load(Ordering::Relaxed);
        let numbers = count.saturating_sub(FIRSTS as u64)..count;
        let firsts = numbers.filter_map(|at| self.firsts.get(place(at)));
        Tallied {
            answered: self.answered.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            from: self.from.load(Ordering::Relaxed),
            to: self.to.load(Ordering::Relaxed),
            firsts: firsts.map(|ms| ms.load(Ordering::Relaxed)).collect(),
        }
    }
}

fn place(number: u64) -> usize {
    usize::try_from(number % FIRSTS as u64).unwrap_or_default()
}

/// A provider's name and its own name for a model.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Key(Box<str>, Box<str>);

/// The same, borrowed. Hashes alike, since its fields do.
#[derive(Hash)]
struct Asked<'a>(&'a str, &'a str);

impl Equivalent<Key> for Asked<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        *self.0 == *key.0 && *self.1 == *key.1
    }
}

impl<'a> Asked<'a> {
    fn of(target: &'a Target) -> Self {
        Self(target.provider.name.as_str(), &target.upstream_model)
    }
}

/// Those of targets that exist only because a client named them.
#[derive(Debug, Default)]
pub(super) struct MadeUp(HashMap<Key, Arc<Tally>>);

impl MadeUp {
    pub(super) fn note(&self, target: &Target, note: impl FnOnce(&Tally)) {
        let all = self.0.pin();
        if let Some(tally) = all.get(&Asked::of(target)) {
            return note(tally);
        }
        if all.len() >= MAX_TARGETS {
            // Names that were never answered go first; where that is not
            // enough, sums begin anew, which costs least for whom it hurts.
            all.retain(|_, tally| tally.answered.load(Ordering::Relaxed) > 0);
            if all.len() > MAX_TARGETS / 2 {
                all.clear();
            }
        }
        let Asked(provider, model) = Asked::of(target);
        let key = Key(provider.into(), model.into());
        note(all.get_or_insert_with(key, Arc::default));
    }

    pub(super) fn look(&self, provider: &str, model: &str) -> Option<Tallied> {
        let all = self.0.pin();
        all.get(&Asked(provider, model)).map(|tally| tally.told())
    }

    /// One that is configured from now on.
    pub(super) fn take(&self, target: &Target) -> Option<Arc<Tally>> {
        self.0.pin().remove(&Asked::of(target)).map(Arc::clone)
    }

    pub(super) fn each(&self, look: &mut impl FnMut(&str, &str)) {
        for (key, _) in &self.0.pin() {
            look(&key.0, &key.1);
        }
    }
}
