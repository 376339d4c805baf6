//! What is remembered of one target, and of one provider.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use super::cell::Cell;
use super::moment::Moment;
use super::remaining::Remaining;
use super::story::Story;
use super::window::Window;
use super::word::Word;
use crate::base::Endpoint;

/// Last-resort attempts at one target at a time. Enough to notice that it
/// answers after all; too few to trample on it.
const MAX_LAST_RESORTS: u32 = 8;

/// What is remembered of one target.
#[derive(Debug, Default)]
pub(super) struct TargetHealth {
    /// Of all endpoints: its breaker, and its rate limit.
    pub(super) whole: Cell,
    /// Of one endpoint each: a model may be there for chat and not for
    /// embeddings.
    pub(super) endpoints: [Cell; 4],
    pub(super) window: Window,
    pub(super) remaining: Remaining,
    pub(super) story: Story,
    pub(super) last_resorts: AtomicU32,
    /// It has answered once: the name means something to its provider.
    answered: AtomicBool,
}

impl TargetHealth {
    /// Its state on one endpoint.
    #[inline]
    pub(super) fn at(&self, endpoint: Endpoint) -> &Cell {
        let [chat, completions, embeddings, responses] = &self.endpoints;
        match endpoint {
            Endpoint::Chat => chat,
            Endpoint::Completions => completions,
            Endpoint::Embeddings => embeddings,
            Endpoint::Responses => responses,
        }
    }

    /// Takes one of the places for last-resort attempts.
    pub(super) fn takes_last_resort(&self) -> bool {
        let takes = self.last_resorts.fetch_add(1, Ordering::Relaxed) < MAX_LAST_RESORTS;
        if !takes {
            self.ends_last_resort();
        }
        takes
    }

    /// Gives it back.
    pub(super) fn ends_last_resort(&self) {
        self.last_resorts.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn has_answered(&self) -> bool {
        self.answered.load(Ordering::Relaxed)
    }

    /// Notes that it has answered.
    pub(super) fn answers(&self) {
        if !self.has_answered() {
            self.answered.store(true, Ordering::Relaxed);
        }
    }

    /// Whether forgetting it would change nothing.
    pub(super) fn is_clear(&self, now: Moment) -> bool {
        let is_new = |cell: &Cell| cell.word() == Word::default();
        let (requests, tokens) = self.remaining.reports(now);
        is_new(&self.whole)
            && self.endpoints.iter().all(is_new)
            && requests.is_none()
            && tokens.is_none()
    }
}

/// What is remembered of one provider, for all its models.
#[derive(Debug, Default)]
pub(super) struct ProviderHealth {
    /// Whether it can be reached.
    pub(super) connection: Cell,
    /// Whether it takes our credential.
    pub(super) credential: Cell,
    pub(super) window: Window,
    pub(super) story: Story,
}

/// A target's memory, however it was found.
#[derive(Clone, Debug)]
pub(super) enum Held<'a> {
    /// One of the configuration's.
    Configured(&'a TargetHealth),
    /// One of a client's making; nothing where nothing is remembered of it.
    MadeUp(Option<Arc<TargetHealth>>),
}

impl Held<'_> {
    #[inline]
    pub(super) fn health(&self) -> Option<&TargetHealth> {
        match self {
            Self::Configured(health) => Some(health),
            Self::MadeUp(health) => health.as_deref(),
        }
    }
}
