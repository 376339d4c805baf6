//! What rows add up to.

use super::record::Record;
use super::store::{believed, counted};
use crate::usage::Usd;

/// What some requests used and cost, to the last digit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Requests that were answered.
    pub requests: u64,
    /// Of these: without a known price, so without a part in the cost.
    pub unpriced: u64,
    /// Tokens of the prompts.
    pub input: u64,
    /// Of these: from a provider's cache.
    pub cached: u64,
    /// Tokens of the answers.
    pub output: u64,
    /// Of these: thoughts.
    pub reasoning: u64,
    /// What the requests with a price cost.
    pub cost: Usd,
}

impl Sums {
    pub(super) fn add(&mut self, record: &Record<'_>) {
        self.merge(&Self {
            requests: 1,
            unpriced: u64::from(record.cost.is_none()),
            input: counted(record.tokens.input),
            cached: counted(record.tokens.cached),
            output: counted(record.tokens.output),
            reasoning: counted(record.tokens.reasoning),
            cost: record.cost.map(believed).unwrap_or_default(),
        });
    }

    /// Both together.
    pub fn merge(&mut self, other: &Self) {
        self.requests = self.requests.saturating_add(other.requests);
        self.unpriced = self.unpriced.saturating_add(other.unpriced);
        self.input = self.input.saturating_add(other.input);
        self.cached = self.cached.saturating_add(other.cached);
        self.output = self.output.saturating_add(other.output);
        self.reasoning = self.reasoning.saturating_add(other.reasoning);
        self.cost += other.cost;
    }

    /// What they cost; `None` where no price is known for any of them.
    pub fn known_cost(&self) -> Option<Usd> {
        (self.requests == 0 || self.unpriced < self.requests).then_some(self.cost)
    }
}
