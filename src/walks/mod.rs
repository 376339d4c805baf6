//! What has just happened: the latest walks, what each target has answered
//! and failed, and how many requests have ended lately. For people who look;
//! gone with the process, and kept over reloads. What is exact and lasts is
//! in metrics and ledger.
//!
//! A request pays for it with a few relaxed additions and one short lock that
//! it hardly ever shares: nothing is made of a receipt until somebody looks.

mod pulse;
mod ring;
mod tally;

use std::collections::HashMap;
use std::sync::Arc;

use http::HeaderValue;

use self::pulse::Pulse;
use self::ring::Ring;
use self::tally::MadeUp;
use crate::config::{Config, Target};
use crate::health::Moment;
use crate::journey::{Entry, Receipt};
use crate::outcome::Outcome;

pub use self::pulse::{Lately, Sums};
pub use self::ring::{KEPT, Seen};
pub use self::tally::{FIRSTS, Tallied, Tally};

/// One request's walk, at its end.
#[derive(Debug)]
pub struct Walk {
    /// When it ended.
    pub at: Moment,
    /// Its `x-request-id`.
    pub id: HeaderValue,
    /// All that is known of it.
    pub receipt: Receipt,
}

/// What has just happened, for the targets of one configuration.
#[derive(Debug)]
pub struct Walks {
    ring: Arc<Ring>,
    pulse: Arc<Pulse>,
    /// By [`Target::index`].
    tallies: Vec<Arc<Tally>>,
    made_up: Arc<MadeUp>,
}

impl Walks {
    /// Goes on from what was remembered of the same targets `before`, and of
    /// that configuration.
    pub fn new(config: &Config, before: Option<(&Self, &Config)>) -> Self {
        let made_up = before.map_or_else(Arc::default, |(walks, _)| Arc::clone(&walks.made_up));
        let mut known = HashMap::new();
        if let Some((walks, config)) = before {
            for (target, tally) in config.targets.iter().zip(&walks.tallies) {
                known.insert(pair(target), tally);
            }
        }
        let tally = |target: &Arc<Target>| match known.get(&pair(target)) {
            Some(tally) => Arc::clone(tally),
            None => made_up.take(target).unwrap_or_default(),
        };
        Self {
            ring: before.map_or_else(Arc::default, |(walks, _)| Arc::clone(&walks.ring)),
            pulse: before.map_or_else(Arc::default, |(walks, _)| Arc::clone(&walks.pulse)),
            tallies: config.targets.iter().map(tally).collect(),
            made_up,
        }
    }

    /// Takes in a request that has ended.
    pub fn remember(&self, walk: Walk) {
        let receipt = &walk.receipt;
        // Drills are nothing that a target did.
        for tried in receipt.trail.tried().filter(|tried| !tried.is_drill) {
            let target = &tried.pass.target;
            match receipt.outcome(tried) {
                // Says nothing of the target.
                Some(Outcome::ClientGone) => {}
                Some(_) => self.at(target, Tally::failed),
                None => {
                    let first = receipt.streamed.then_some(tried.took);
                    self.at(target, |tally| tally.answered(first));
                }
            }
        }
        let over = failed_over(receipt);
        if let Some((from, to)) = over {
            self.at(from, Tally::left);
            self.at(to, Tally::reached);
        }
        self.pulse.ended(receipt.end, over.is_some(), walk.at);
        self.ring.put(walk);
    }

    /// What a target has answered and failed so far.
    pub fn tallied(&self, target: &Target) -> Tallied {
        let tallied = match self.configured(target) {
            Some(tally) => Some(tally.told()),
            None => self
                .made_up
                .look(target.provider.name.as_str(), &target.upstream_model),
        };
        tallied.unwrap_or_default()
    }

    /// The same of one that is not configured.
    pub fn tallied_made_up(&self, provider: &str, model: &str) -> Tallied {
        self.made_up.look(provider, model).unwrap_or_default()
    }

    /// Every target that is not configured and was tried.
    pub fn made_up(&self, mut look: impl FnMut(&str, &str)) {
        self.made_up.each(&mut look);
    }

    /// Looks at the walks that came since `seen`, by number from 1, oldest
    /// first; at most [`KEPT`] of them.
    pub fn look(&self, seen: &mut Seen, look: impl FnMut(u64, &Walk)) {
        self.ring.look(seen, look);
    }

    /// What has ended lately.
    pub fn lately(&self, now: Moment) -> Lately {
        self.pulse.lately(now)
    }

    fn configured(&self, target: &Target) -> Option<&Tally> {
        let tally = target.index.and_then(|index| self.tallies.get(index));
        tally.map(|tally| &**tally)
    }

    fn at(&self, target: &Target, note: impl FnOnce(&Tally)) {
        match self.configured(target) {
            Some(tally) => note(tally),
            None => self.made_up.note(target, note),
        }
    }
}

/// What makes a target the same one in two configurations.
fn pair(target: &Target) -> (&str, &str) {
    (target.provider.name.as_str(), &target.upstream_model)
}

/// The target that was first in line and the one that answered in its place.
fn failed_over(receipt: &Receipt) -> Option<(&Arc<Target>, &Arc<Target>)> {
    let from = match receipt.failed_over_from()? {
        Entry::Skipped(_, target, _) => target.as_ref()?,
        Entry::Tried(tried) if tried.is_drill => return None,
        Entry::Tried(tried) => &tried.pass.target,
    };
    Some((from, &receipt.answered.as_ref()?.target))
}

#[cfg(test)]
mod tests;
