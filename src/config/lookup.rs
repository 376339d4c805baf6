//! Names → models, and what a provider's rules say of a model.

use std::sync::Arc;

use super::meant::{Config, Model, Provider, Target};
use crate::base::ModelName;
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
            weight: 1,
            edits: provider.rule(upstream_model),
            timeouts: provider.timeouts,
        };
        Some(Arc::new(Model {
            name: name.clone(),
            targets: vec![Arc::new(target)],
            weighted: false,
            fallbacks: Vec::new(),
        }))
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
