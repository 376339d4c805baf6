//! A request that was let in, and what is reserved for it.

use std::sync::Arc;
use std::time::SystemTime;

use super::holder::Holder;
use crate::base::ModelName;
use crate::health::Moment;
use crate::outcome::Skip;
use crate::refusal::Refusal;
use crate::usage::{Tokens, Usd};

/// A request's place. Dropped, it gives back the tokens and the money that
/// are reserved for it; the request itself still counts.
#[derive(Debug)]
#[must_use = "dropped, it gives back what is reserved"]
pub struct Entered {
    holder: Arc<Holder>,
    /// When the request was counted.
    at: Moment,
    /// Reserved tokens.
    tokens: u64,
    /// Reserved money.
    cost: Usd,
}

impl Entered {
    pub(super) fn new(holder: Arc<Holder>, at: Moment, tokens: u64) -> Self {
        Self {
            holder,
            at,
            tokens,
            cost: Usd::ZERO,
        }
    }

    /// Whose it is.
    pub fn holder(&self) -> &Arc<Holder> {
        &self.holder
    }

    /// Why a candidate is passed over, if it is: its name is not among those
    /// that the key may use, or the key has a budget and what the candidate
    /// costs is not known.
    pub fn may(&self, model: &ModelName, is_priced: bool) -> Option<Skip> {
        let may = self.holder.may(model) && (is_priced || !self.holder.has_budget());
        (!may).then_some(Skip::NotAllowed)
    }

    /// Reserves what an attempt may cost, in place of what is reserved for
    /// the one before it, which is given back in any case. Nothing to do for
    /// a key without a budget.
    ///
    /// # Errors
    /// [`Refusal::Budget`] where the budget has no room for it. A cheaper
    /// candidate may still have.
    pub fn reserve(&mut self, cost: Usd, today: SystemTime) -> Result<(), Refusal> {
        let Some(budget) = self.holder.key.budget else {
            return Ok(());
        };
        let instead = std::mem::take(&mut self.cost);
        let account = &self.holder.account;
        account.reserve(cost, instead, budget, today)?;
        self.cost = cost;
        Ok(())
    }

    /// The request was refused after all: it counts for nothing.
    pub fn withdraw(self) {
        if self.holder.key.requests_per_minute.is_some() {
            self.holder.account.take_back(self.at);
        }
    }

    /// The request has ended: what it used, and what that cost where it has a
    /// price, counts from now on in place of what is reserved. A request that
    /// went on past midnight is paid for in the day in which it ended.
    pub fn settle(mut self, used: &Tokens, cost: Option<Usd>, now: Moment, today: SystemTime) {
        let reserved = (
            std::mem::take(&mut self.tokens),
            std::mem::take(&mut self.cost),
        );
        let limited = self.holder.key.tokens_per_minute.is_some();
        let tokens = if limited {
            used.input.saturating_add(used.output)
        } else {
            0
        };
        let account = &self.holder.account;
        account.settle(reserved, (tokens, cost.unwrap_or_default()), (now, today));
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        if self.tokens > 0 || self.cost > Usd::ZERO {
            self.holder.account.release(self.tokens, self.cost);
        }
    }
}
