//! A key of one configuration, and what its name has used so far.

use std::sync::Arc;

use super::account::Account;
use super::entered::Entered;
use crate::base::{ModelName, Place};
use crate::config::ClientKey;
use crate::health::Moment;
use crate::refusal::Refusal;

/// Who holds a key.
#[derive(Debug)]
pub struct Holder {
    pub(super) key: Arc<ClientKey>,
    pub(super) account: Arc<Account>,
}

impl Holder {
    /// The configuration's name for the key.
    pub fn name(&self) -> &Arc<str> {
        &self.key.name
    }

    /// What stands in each of the key's ledger rows: a JSON object.
    pub fn tags(&self) -> &str {
        &self.key.tags
    }

    /// Whether the key may use a model, by the name that the client gave.
    pub fn may(&self, model: &ModelName) -> bool {
        self.key.may(model)
    }

    /// Whether the key has a budget, so that only what has a price can be
    /// used with it.
    pub fn has_budget(&self) -> bool {
        self.key.budget.is_some()
    }

    /// Whether its requests may name candidates that are to fail on purpose.
    pub fn may_drill(&self) -> bool {
        self.key.drills
    }

    /// Takes one of the places that the key's requests have at once, where
    /// they are counted; they are from when a head has been read to the
    /// answer's end.
    ///
    /// # Errors
    /// [`Refusal::ConcurrentRequests`]
    pub fn place(&self) -> Result<Option<Place<'_>>, Refusal> {
        let Some(most) = self.key.concurrent_requests else {
            return Ok(None);
        };
        let place = self.account.inside.take(1, most as usize);
        place.map(Some).ok_or(Refusal::ConcurrentRequests(most))
    }

    /// Lets one request in, that may take so many tokens, input and output
    /// together. A refused one counts for nothing.
    ///
    /// # Errors
    /// [`Refusal::RequestLimit`] and [`Refusal::TokenLimit`]; of the two the
    /// one that holds longer.
    pub fn enter(self: &Arc<Self>, estimate: u64, now: Moment) -> Result<Entered, Refusal> {
        // What takes nothing would pass a spent limit.
        let estimate = estimate.max(1);
        let (requests, tokens) = (self.key.requests_per_minute, self.key.tokens_per_minute);
        let at = self.account.enter(requests, tokens, estimate, now)?;
        Ok(Entered::new(
            Arc::clone(self),
            at,
            tokens.map_or(0, |_| estimate),
        ))
    }
}
