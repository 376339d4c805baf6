//! What a key's name has used: its minute and its money, behind one lock, so
//! that what is asked together is counted together.

use std::time::SystemTime;

use parking_lot::Mutex;

use super::Spent;
use super::spend::{Broke, Spend};
use super::window::Window;
use crate::base::Places;
use crate::config::Budget;
use crate::health::Moment;
use crate::refusal::Refusal;
use crate::usage::Usd;

/// One for each name, whatever the configuration.
#[derive(Debug)]
pub(super) struct Account {
    used: Mutex<Used>,
    /// Requests that are being served.
    pub(super) inside: Places,
}

#[derive(Debug)]
struct Used {
    requests: Window,
    tokens: Window,
    spend: Spend,
}

impl Account {
    pub(super) fn new(name: &str, spent: Spent<'_>, today: SystemTime) -> Self {
        Self {
            used: Mutex::new(Used {
                requests: Window::default(),
                tokens: Window::default(),
                spend: Spend::new(&|since| spent(name, since), today),
            }),
            inside: Places::default(),
        }
    }

    /// Counts a request and reserves its tokens, or neither. The answer is
    /// the moment at which it was counted.
    pub(super) fn enter(
        &self,
        requests: Option<u32>,
        tokens: Option<u32>,
        estimate: u64,
        now: Moment,
    ) -> Result<Moment, Refusal> {
        if requests.is_none() && tokens.is_none() {
            return Ok(now);
        }
        let mut used = self.used.lock();
        let by_requests = requests.and_then(|most| {
            let full = used.requests.fits(1, u64::from(most), now).err()?;
            let wait = full.wait().unwrap_or_default();
            Some((full, Refusal::RequestLimit { most, wait }))
        });
        let by_tokens = tokens.and_then(|most| {
            let full = used.tokens.fits(estimate, u64::from(most), now).err()?;
            let (asked, wait) = (estimate, full.wait());
            Some((full, Refusal::TokenLimit { most, asked, wait }))
        });
        let refusals = by_requests.into_iter().chain(by_tokens);
        if let Some((_, refusal)) = refusals.max_by_key(|(full, _)| *full) {
            return Err(refusal);
        }
        if tokens.is_some() {
            used.tokens.hold(estimate);
        }
        Ok(match requests {
            Some(_) => used.requests.count(1, now),
            None => now,
        })
    }

    /// Reserves a cost in place of another one's.
    pub(super) fn reserve(
        &self,
        cost: Usd,
        instead: Usd,
        budget: Budget,
        now: SystemTime,
    ) -> Result<(), Refusal> {
        let reserved = self.used.lock().spend.reserve(cost, instead, budget, now);
        reserved.map_err(|Broke { wait }| Refusal::Budget {
            per: budget.per.word(),
            wait,
        })
    }

    /// Gives back what was reserved.
    pub(super) fn release(&self, tokens: u64, cost: Usd) {
        let mut used = self.used.lock();
        used.tokens.release(tokens);
        used.spend.release(cost);
    }

    /// Takes back a request that was counted at that moment.
    pub(super) fn take_back(&self, at: Moment) {
        self.used.lock().requests.take_back(1, at);
    }

    /// Gives back what was reserved and counts what was used.
    pub(super) fn settle(&self, reserved: (u64, Usd), used: (u64, Usd), now: (Moment, SystemTime)) {
        let mut account = self.used.lock();
        account.tokens.release(reserved.0);
        account.tokens.count(used.0, now.0);
        account.spend.release(reserved.1);
        account.spend.book(used.1, now.1);
    }
}
