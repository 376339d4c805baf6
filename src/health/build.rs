//! A board for a configuration: what is known of targets and providers that
//! stay goes on being known.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use super::board::{Board, Known};
use super::cell::Cell;
use super::moment::Moment;
use super::rules::Rules;
use super::target::TargetHealth;
use super::word::{Event, Sent};
use crate::base::{Endpoint, ProviderName};
use crate::config::{Config, Provider};

impl Board {
    /// A board for this configuration. What `before` knows of targets and
    /// providers that stay is kept; a provider with another credential is
    /// asked again at once.
    pub fn new(config: &Config, before: Option<&Self>, now: Instant) -> Self {
        let mut board = Self {
            rules: Rules::new(config.health),
            started: before.map_or(now, |before| before.started),
            providers: Vec::with_capacity(config.providers.len()),
            targets: Vec::with_capacity(config.targets.len()),
            made_up: before.map_or_else(Arc::default, |before| Arc::clone(&before.made_up)),
            last_number: before.map_or(0, |before| before.last_number),
        };
        for provider in &config.providers {
            let known = before.and_then(|before| before.same_place(provider));
            let known = board.know(provider, known);
            board.providers.push(known);
        }
        let mut left = before.map_or_else(HashMap::new, Self::by_name);
        for target in &config.targets {
            let name = (board.known(target).number, &*target.upstream_model);
            let health = left.remove(&name).map(Arc::clone);
            let health = health.or_else(|| board.made_up.look(name.0, name.1, Arc::clone));
            let health = health.unwrap_or_default();
            board.targets.push((Arc::clone(target), health));
        }
        // A client can still name what the configuration no longer does, and
        // requests under the old one still report of it.
        let moment = board.moment(now);
        for ((number, model), health) in left {
            let health = Arc::clone(health);
            board.made_up.keep(number, model, health, moment);
        }
        for provider in &config.providers {
            let known = before.and_then(|before| before.same_place(provider));
            let asks_alike = |known: &Known| {
                known.provider.has_same_credential(provider)
                    && known.provider.api_version == provider.api_version
            };
            if !known.is_none_or(asks_alike) {
                board.credential_changed(&provider.name, moment);
            }
        }
        board
    }

    fn know(&mut self, provider: &Arc<Provider>, before: Option<&Known>) -> Known {
        let (number, health) = match before {
            Some(known) => (known.number, Arc::clone(&known.health)),
            None => {
                self.last_number += 1;
                (self.last_number, Arc::default())
            }
        };
        Known {
            number,
            provider: Arc::clone(provider),
            health,
        }
    }

    fn same_place(&self, provider: &Provider) -> Option<&Known> {
        let mut known = self.providers.iter();
        known.find(|known| known.provider.is_same_place(provider))
    }

    /// Configured targets by provider's number and model.
    fn by_name(&self) -> HashMap<(u64, &str), &Arc<TargetHealth>> {
        let named = self.targets.iter().map(|(target, health)| {
            let name = (self.known(target).number, &*target.upstream_model);
            (name, health)
        });
        named.collect()
    }

    /// A provider has another credential: what the old one was refused for is
    /// asked again at once, by one probe each.
    pub fn credential_changed(&self, provider: &ProviderName, now: Moment) {
        let due = |cell: &Cell| {
            cell.change(|word| word.after(Sent::AsLastResort, Event::Due, now, &self.rules, 0));
        };
        let mut providers = self.providers.iter();
        let Some(known) = providers.find(|known| known.provider.name == *provider) else {
            return;
        };
        due(&known.health.credential);
        let endpoints = |health: &TargetHealth| {
            for endpoint in Endpoint::ALL {
                due(health.at(endpoint));
            }
        };
        for (target, health) in &self.targets {
            if self.known(target).number == known.number {
                endpoints(health);
            }
        }
        self.made_up.each(|number, _, health| {
            if number == known.number {
                endpoints(health);
            }
        });
    }
}
