//! Targets that exist only because a client named them
//! (`provider/anything`): a lock-free map with a bound.

use std::sync::Arc;

use papaya::{Equivalent, HashMap};

use super::moment::Moment;
use super::target::TargetHealth;

/// Targets that are remembered. Some 3 KiB each at most; no set of providers
/// has so many models.
const MAX_TARGETS: usize = 4096;

/// A provider's number and its own name for a model.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Key {
    provider: u64,
    model: Box<str>,
}

/// The same, borrowed. Hashes alike, since its fields do.
#[derive(Hash)]
struct Asked<'a> {
    provider: u64,
    model: &'a str,
}

impl Equivalent<Key> for Asked<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        self.provider == key.provider && *self.model == *key.model
    }
}

/// Targets that clients made up.
#[derive(Debug, Default)]
pub(super) struct MadeUp(HashMap<Key, Arc<TargetHealth>>);

impl MadeUp {
    /// Looks at one, where anything is remembered of it.
    pub(super) fn look<R>(
        &self,
        provider: u64,
        model: &str,
        look: impl FnOnce(&Arc<TargetHealth>) -> R,
    ) -> Option<R> {
        // Most configurations are complete, and then this is all.
        if self.0.is_empty() {
            return None;
        }
        self.0.pin().get(&Asked { provider, model }).map(look)
    }

    /// One to remember something of. Where there is no room, one that is
    /// forgotten at once.
    pub(super) fn enter(&self, provider: u64, model: &str, now: Moment) -> Arc<TargetHealth> {
        if let Some(known) = self.look(provider, model, Arc::clone) {
            return known;
        }
        if self.0.len() >= MAX_TARGETS {
            self.sweep(now);
        }
        if self.0.len() >= MAX_TARGETS {
            return Arc::default();
        }
        let key = Key {
            provider,
            model: model.into(),
        };
        Arc::clone(self.0.pin().get_or_insert_with(key, Arc::default))
    }

    /// Goes on remembering what was a configured target.
    pub(super) fn keep(&self, provider: u64, model: &str, health: Arc<TargetHealth>, now: Moment) {
        if self.0.len() >= MAX_TARGETS && health.is_clear(now) {
            return;
        }
        let key = Key {
            provider,
            model: model.into(),
        };
        self.0.pin().insert(key, health);
    }

    /// Forgets names that never answered; where that makes no room, those of
    /// which nothing is known too; but none that a request has in hand. So no
    /// client can drive out what is known of a real model by making up others,
    /// nor that it is real.
    fn sweep(&self, now: Moment) {
        let is_held = |health: &Arc<TargetHealth>| Arc::strong_count(health) > 1;
        let names = self.0.pin();
        names.retain(|_, health| is_held(health) || health.has_answered());
        if names.len() >= MAX_TARGETS {
            names.retain(|_, health| is_held(health) || !health.is_clear(now));
        }
    }

    /// Every one of them.
    pub(super) fn each(&self, mut look: impl FnMut(u64, &str, &TargetHealth)) {
        for (key, health) in &self.0.pin() {
            look(key.provider, &key.model, health);
        }
    }
}
