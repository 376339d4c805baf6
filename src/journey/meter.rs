//! What an answer has used, as far as it has come.

use std::sync::Arc;

use crate::dialect::Event;
use crate::usage::{Tokens, estimate};

/// What an answer has used and said of itself, as far as it has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Meter {
    /// What the provider says; the last word counts.
    pub(super) usage: Option<Tokens>,
    /// Bytes of what was said, to estimate by.
    pub(super) said: u64,
    /// The tier that serves it, where that may have prices of its own.
    pub(super) tier: Option<&'static str>,
    /// What the provider calls the model that it ran.
    pub(super) model: Option<Arc<str>>,
}

impl Meter {
    /// Reads off one event; `model` is the text of its model, asked for only
    /// once.
    pub(super) fn note(&mut self, event: &Event, model: impl FnOnce() -> Option<Arc<str>>) {
        self.usage = event.usage.or(self.usage);
        self.said += u64::from(event.said_bytes);
        self.tier = event.service_tier.or(self.tier);
        if self.model.is_none() && event.model.is_some() {
            self.model = model();
        }
    }

    /// What was used, and whether that is a guess: by about how many tokens the
    /// prompt has, which is only then asked, and by what was said.
    pub(super) fn tokens(&self, prompt: impl FnOnce() -> u64) -> (Tokens, bool) {
        match self.usage {
            Some(usage) => (usage, false),
            None => {
                let guess = Tokens {
                    input: prompt(),
                    ..estimate(0, self.said)
                };
                (guess, true)
            }
        }
    }
}
