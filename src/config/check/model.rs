//! Models: their targets, fallbacks and edits.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::edits::edits;
use super::price::price;
use super::provider::timeouts;
use crate::base::{ModelName, ProviderName};
use crate::config::meant::{Config, Model, Provider, Target};
use crate::config::near::nearest;
use crate::config::node::{Key, Scalar, What};
use crate::config::problem::{Found, Place, shown};
use crate::config::shape::Fields;
use crate::usage::Price;

/// The file's providers by name; `None` for one that could not be read, so
/// that what refers to it is not wrong for that.
pub(super) type Providers = HashMap<ProviderName, Option<Arc<Provider>>>;

/// What a model may refer to.
pub(super) struct Around<'a> {
    pub(super) providers: &'a Providers,
    /// The name, whether or not it could be read.
    pub(super) default_provider: Option<&'a ProviderName>,
    /// Names of all models of the file.
    pub(super) names: &'a HashSet<&'a str>,
}

/// A model's home before it is put together: its provider, whether or not it
/// could be read, and the model's name there.
struct Home<'n> {
    provider: Option<Arc<Provider>>,
    upstream_model: &'n str,
    weight: Option<u32>,
    price: Option<Arc<Price>>,
    place: Place,
}

impl Around<'_> {
    /// A provider that something refers to.
    ///
    /// The outer `None` is told; the inner one was told where the provider
    /// stands.
    pub(super) fn provider(
        &self,
        name: &Scalar,
        place: Place,
        found: &mut Found,
    ) -> Option<Option<Arc<Provider>>> {
        let provider = self.providers.get(&*name.text).cloned();
        if provider.is_none() {
            let known = self.providers.keys().map(ProviderName::as_str);
            let near = found.has_few().then(|| nearest(&name.text, known));
            let hint = match near.flatten().filter(|_| !name.expanded) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "define it under `providers`".to_owned(),
            };
            let name = name.shown();
            found.add(place, format!("no provider is called {name}: {hint}"));
        }
        provider
    }

    /// The name after a known provider's prefix, else all of it.
    fn own_name<'n>(&self, name: &'n str) -> &'n str {
        match name.split_once('/') {
            Some((prefix, rest)) if self.providers.contains_key(prefix) => rest,
            _ => name,
        }
    }

    /// Whether a client could ask for this name.
    fn resolves(&self, name: &str) -> bool {
        if self.names.contains(name) {
            return true;
        }
        match name.split_once('/') {
            Some((prefix, rest)) if self.providers.contains_key(prefix) => !rest.is_empty(),
            _ => self.default_provider.is_some(),
        }
    }

    /// Reads one model and places its targets. `None` where no target of it can be put together.
    pub(super) fn model(
        &self,
        name: &Key,
        fields: &Fields<'_>,
        config: &mut Config,
        found: &mut Found,
    ) -> Option<Arc<Model>> {
        if name.text.is_empty() || name.text.len() > 256 || name.text.contains(char::is_control) {
            let shown = shown(&name.text);
            found.add(name.place, format!("`{shown}` cannot name a model: a name has 1 to 256 bytes, none of them a control character"));
        }
        let homes = if fields.node("targets").is_some() {
            self.homes(name, fields, found)
        } else {
            self.home(name, fields, found)
        };
        let own = fields.node("request").map(|_| {
            let request = fields.section("request", found);
            edits(&request, found)
        });
        let limits = fields.section("timeouts", found);
        let costs = price(fields, found);
        let fallbacks = self.fallbacks(name, fields, found);
        let weights: Vec<u32> = homes.iter().filter_map(|home| home.weight).collect();
        if !weights.is_empty() && weights.len() < homes.len() {
            let bare = homes.iter().find(|home| home.weight.is_none());
            let place = bare.map_or(name.place, |home| home.place);
            found.add(
                place,
                "this target has no `weight`, but another one has: give all of them one, or none",
            );
        }
        if !name.text.is_empty() && homes.iter().any(|home| home.upstream_model.is_empty()) {
            found.add(name.place, "nothing follows the provider's prefix: add the model's name there, or `upstream_model`");
        }
        let mut targets = Vec::with_capacity(homes.len());
        for home in homes {
            let provider = home.provider?;
            let edits = match &own {
                Some(own) => Arc::clone(own),
                None => provider.rule(home.upstream_model),
            };
            targets.push(
                config.place(Target {
                    timeouts: timeouts(&limits, &provider.timeouts, found),
                    upstream_model: home.upstream_model.to_owned(),
                    index: None,
                    weight: home.weight.unwrap_or(1),
                    edits,
                    price: home
                        .price
                        .or_else(|| costs.clone())
                        .or_else(|| provider.price(home.upstream_model)),
                    provider,
                }),
            );
        }
        if targets.is_empty() {
            return None;
        }
        Some(Arc::new(Model {
            name: ModelName::from(&*name.text),
            targets,
            weighted: weights.windows(2).any(|pair| pair[0] != pair[1]),
            fallbacks,
        }))
    }

    /// The one home of a model without `targets`.
    fn home<'n>(&self, name: &'n Key, fields: &Fields<'n>, found: &mut Found) -> Vec<Home<'n>> {
        let upstream = fields.text("upstream_model", found);
        let provider = if fields.node("provider").is_some() {
            let given = fields.text("provider", found);
            given.and_then(|(provider, place)| self.provider(provider, place, found))
        } else {
            let prefix = name.text.split_once('/').map(|(prefix, _)| prefix);
            let by_prefix = prefix.and_then(|prefix| self.providers.get(prefix));
            let by_default = self
                .default_provider
                .and_then(|name| self.providers.get(name));
            let provider = by_prefix.or(by_default).cloned();
            if provider.is_none() && self.default_provider.is_none() {
                let why = "nothing says which provider has this model: add `provider`, \
                           or begin its name with a provider's and a slash";
                found.add(name.place, why);
            }
            provider
        };
        let upstream_model = match upstream {
            Some((upstream, _)) => &*upstream.text,
            None => self.own_name(&name.text),
        };
        vec![Home {
            provider: provider.flatten(),
            upstream_model,
            weight: None,
            price: None,
            place: name.place,
        }]
    }

    /// The homes under `targets`.
    fn homes<'n>(&self, name: &'n Key, fields: &Fields<'n>, found: &mut Found) -> Vec<Home<'n>> {
        for other in ["provider", "upstream_model"] {
            if let Some(node) = fields.node(other) {
                let why = format!(
                    "`{other}` and `targets` are both there: put it into the targets, or leave them out"
                );
                found.add(node.place, why);
            }
        }
        let listed = fields.list("targets", found);
        if let Some(node) = fields.node("targets")
            && matches!(&node.what, What::List(targets) if targets.is_empty())
        {
            let why = "`targets` is empty: name at least one, or leave the key out";
            found.add(node.place, why);
        }
        let mut homes: Vec<Home<'n>> = Vec::new();
        for target in &listed {
            let provider = target
                .text("provider", found)
                .and_then(|(provider, place)| self.provider(provider, place, found))
                .flatten();
            let upstream_model = match target.text("upstream_model", found) {
                Some((upstream, _)) => &*upstream.text,
                None => self.own_name(&name.text),
            };
            let twice = homes.iter().any(|home| {
                home.upstream_model == upstream_model
                    && provider.is_some()
                    && home.provider.as_ref().map(|p| &p.name) == provider.as_ref().map(|p| &p.name)
            });
            if twice {
                found.add(
                    target.place,
                    "this target stands twice in the list: it would only be asked the same again",
                );
            }
            homes.push(Home {
                provider,
                upstream_model,
                weight: target
                    .whole("weight", found)
                    .or(target.node("weight").map(|_| 1)),
                price: price(target, found),
                place: target.place,
            });
        }
        homes
    }

    fn fallbacks(&self, name: &Key, fields: &Fields<'_>, found: &mut Found) -> Vec<ModelName> {
        let mut fallbacks: Vec<ModelName> = Vec::new();
        for (fallback, place) in fields.texts("fallbacks", found) {
            let why = if fallback.text == name.text {
                "a model cannot stand in for itself: leave it out of its `fallbacks`".to_owned()
            } else if fallbacks
                .iter()
                .any(|other| other.as_str() == &*fallback.text)
            {
                format!("`fallbacks` names {} twice", fallback.shown())
            } else if self.resolves(&fallback.text) {
                fallbacks.push(ModelName::from(&*fallback.text));
                continue;
            } else {
                let names = self.names.iter().copied();
                let near = found.has_few().then(|| nearest(&fallback.text, names));
                let hint = match near.flatten().filter(|_| !fallback.expanded) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => {
                        "define it under `models`, or begin it with a provider's name and a slash"
                            .to_owned()
                    }
                };
                format!(
                    "the fallback {} is no known model: {hint}",
                    fallback.shown()
                )
            };
            found.add(place, why);
        }
        fallbacks
    }
}
