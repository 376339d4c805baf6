//! For tests: all that is known of one target, at a glance.

use std::sync::atomic::Ordering;

use super::board::Board;
use super::target::Held;
use super::word::State;
use crate::config::Target;

/// Every word that a target is admitted by, and what is counted beside them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Glance {
    pub connection: State,
    pub credential: State,
    pub whole: State,
    /// In the order of [`crate::base::Endpoint::ALL`].
    pub endpoints: [State; 4],
    /// Last-resort attempts under way.
    pub last_resorts: u32,
    /// What is counted as on its way against a quota, packed.
    pub counted: u64,
}

impl Board {
    /// What is known of a target of the board's own configuration.
    pub(crate) fn glance(&self, target: &Target) -> Glance {
        let provider = &self.known(target).health;
        let mut glance = Glance {
            connection: provider.connection.word().state(),
            credential: provider.credential.word().state(),
            ..Glance::default()
        };
        let held: Held<'_> = self.held(target, |_| false);
        if let Some(health) = held.health() {
            glance.whole = health.whole.word().state();
            glance.endpoints = health.endpoints.each_ref().map(|cell| cell.word().state());
            glance.last_resorts = health.last_resorts.load(Ordering::Relaxed);
            glance.counted = health.remaining.in_flight.load(Ordering::Relaxed);
        }
        glance
    }
}

impl Glance {
    /// The four words of it.
    pub(crate) fn words(&self, endpoint: crate::base::Endpoint) -> [State; 4] {
        let at = crate::base::Endpoint::ALL
            .iter()
            .position(|one| *one == endpoint);
        let endpoint = self.endpoints[at.unwrap_or_default()];
        [self.connection, self.credential, self.whole, endpoint]
    }
}
