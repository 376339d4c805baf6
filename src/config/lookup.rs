//! Names → models, pairs of provider and upstream model → configured targets,
//! and what a provider's rules say of a model.

use std::sync::Arc;

use super::meant::{Config, Model, Provider, Target};
use crate::base::{ModelName, Named};
use crate::usage::Price;
use crate::wire::Edits;

impl Config {
    /// The model that a client's name stands for: a configured one, else
    /// `provider/anything` at a known provider, else the whole name at the
    /// default provider. The prefix ends at the first slash.
    pub fn model(&self, name: &ModelName) -> Option<Arc<Model>> {
        if let Some(model) = self.models.get(name) {
            return Some(Arc::clone(model));
        }
        let by_prefix = name.prefix().and_then(|(prefix, rest)| {
            let mut providers = self.providers.iter();
            let provider = providers.find(|provider| provider.name.as_str() == prefix)?;
            Some((provider, rest))
        });
        let (provider, upstream_model) = match by_prefix {
            Some(found) => found,
            None => (self.default_provider.as_ref()?, name.as_str()),
        };
        if upstream_model.is_empty() {
            return None;
        }
        let target = Target {
            provider: Arc::clone(provider),
            upstream_model: upstream_model.to_owned(),
            index: self.indices.of(provider, upstream_model),
            weight: 1,
            edits: provider.rule(upstream_model),
            timeouts: provider.timeouts,
            price: provider.price(upstream_model),
        };
        Some(Arc::new(Model {
            name: name.clone(),
            targets: vec![Arc::new(target)],
            weighted: false,
            fallbacks: Vec::new(),
        }))
    }

    /// Takes in a target of the file: it gets its pair's index, and stands
    /// for the pair where it is the first that has it.
    pub(super) fn place(&mut self, mut target: Target) -> Arc<Target> {
        let next = self.targets.len();
        let index = self
            .indices
            .place(&target.provider, &target.upstream_model, next);
        target.index = Some(index);
        let target = Arc::new(target);
        if index == next {
            self.targets.push(Arc::clone(&target));
        }
        target
    }
}

/// Where pairs of provider and upstream model stand in `Config::targets`: a
/// table for each provider, by its index, so that a look-up allocates nothing.
#[derive(Clone, Debug, Default)]
pub(super) struct Indices(Vec<Named<Box<str>, usize>>);

impl Indices {
    fn of(&self, provider: &Provider, upstream_model: &str) -> Option<usize> {
        self.0.get(provider.index)?.get(upstream_model).copied()
    }

    /// A pair's place: `next` where it has none yet.
    fn place(&mut self, provider: &Provider, upstream_model: &str, next: usize) -> usize {
        if let Some(index) = self.of(provider, upstream_model) {
            return index;
        }
        if self.0.len() <= provider.index {
            self.0.resize_with(provider.index + 1, Named::default);
        }
        if let Some(table) = self.0.get_mut(provider.index) {
            table.insert(upstream_model.into(), next);
        }
        next
    }
}

impl Provider {
    /// What the first rule that matches wants; nothing where none does.
    pub(super) fn rule(&self, upstream_model: &str) -> Arc<Edits> {
        let mut rules = self.rules.iter();
        rules
            .find(|rule| matches(&rule.models, upstream_model))
            .map(|rule| Arc::clone(&rule.edits))
            .unwrap_or_default()
    }
}

impl Provider {
    /// What the built-in list says a model costs.
    pub(super) fn price(&self, upstream_model: &str) -> Option<Arc<Price>> {
        let mut rules = self.prices.iter();
        rules
            .find(|rule| matches(&rule.models, upstream_model))
            .map(|rule| Arc::clone(&rule.price))
    }
}

/// Whether a glob, in which `*` stands for anything, matches all of a text.
/// Takes time in proportion to the product of their lengths at worst.
pub(super) fn matches(glob: &str, text: &str) -> bool {
    let mut parts = glob.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else {
        return false;
    };
    let Some(last) = parts.next_back() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_anything() {
        for (glob, text, want) in [
            ("gpt-5", "gpt-5", true),
            ("gpt-5", "gpt-5-mini", false),
            ("gpt-5*", "gpt-5", true),
            ("*-chat*", "gpt-5-chat-latest", true),
            ("*.azure.com", "x.azure.com", true),
            ("*.azure.com", "azure.com", false),
            ("a*b*c", "a_b_b_c", true),
            ("a*b*c", "a_c_b", false),
            ("ab*ba", "aba", false),
            ("*", "", true),
            ("", "", true),
            ("", "x", false),
        ] {
            assert_eq!(matches(glob, text), want, "{glob} {text}");
        }
    }
}
