//! Clients' keys: names, digests, models, limits, budgets.

use std::cell::Cell;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::Arc;

use super::model::Providers;
use crate::config::client::{Budget, ClientKey, Period, wrong_key_name};
use crate::config::digest::Digest;
use crate::config::lookup::matches;
use crate::config::near::nearest;
use crate::config::node::{Node, Scalar, What};
use crate::config::problem::{Found, Place, shown};
use crate::config::shape::{self, Fields};
use crate::usage::Usd;

/// What a glob may be over. Broken ones count too: they are told by
/// themselves.
pub(super) struct Models<'a> {
    pub(super) names: &'a HashSet<&'a str>,
    pub(super) providers: &'a Providers,
    /// Whether any name at all goes somewhere.
    pub(super) any: bool,
    /// Comparisons that are left before globs are taken on trust.
    pub(super) patience: Cell<usize>,
}

/// Enough for a thousand globs over two thousand names.
pub(super) const PATIENCE: usize = 2_000_000;

/// Reads all keys; none where clients need none.
pub(super) fn keys(
    fields: &Fields<'_>,
    models: &Models<'_>,
    found: &mut Found,
) -> Vec<Arc<ClientKey>> {
    let Some(node) = fields.node("keys") else {
        return Vec::new();
    };
    let list = fields.list("keys", found);
    if holds_nothing(node) {
        let why = "`keys` names nobody, so that nobody could come in: name at least one, or leave it out and nobody needs a key";
        found.add(node.place, why);
    }
    if let Some(anonymous) = fields.node("allow_anonymous")
        && fields.boolean("allow_anonymous", &mut Found::default()) == Some(true)
    {
        let why = "where there are `keys`, clients need one: leave out one of the two";
        found.add(anonymous.place, why);
    }
    let mut names = HashMap::new();
    let mut digests = HashMap::new();
    let mut all = Vec::with_capacity(list.len());
    for fields in &list {
        all.extend(key(fields, models, (&mut names, &mut digests), found));
    }
    all
}

/// An empty list, or nothing at all, which stands for one.
fn holds_nothing(node: &Node) -> bool {
    node.is_null() || matches!(&node.what, What::List(items) if items.is_empty())
}

/// Where what must not be there twice was met first.
type Lines<T> = HashMap<T, usize>;

fn key(
    fields: &Fields<'_>,
    models: &Models<'_>,
    (names, digests): (&mut Lines<Arc<str>>, &mut Lines<Digest>),
    found: &mut Found,
) -> Option<Arc<ClientKey>> {
    let name = fields.text("name", found).map(|(name, place)| {
        let why = match wrong_key_name(&name.text) {
            Some(why) => Some(format!("{} cannot name a key: {why}", name.shown())),
            None => met_before(Arc::clone(&name.text), place, names)
                .map(|line| format!("the key in line {line} has this name already")),
        };
        if let Some(why) = why {
            found.add(place, why);
        }
        Arc::clone(&name.text)
    });
    let sha256 = digest(fields, digests, found);
    let models = globs(fields, models, found);
    let limit = |name, found: &mut Found| fields.whole(name, found);
    let key = ClientKey {
        concurrent_requests: limit("concurrent_requests", found),
        requests_per_minute: limit("requests_per_minute", found),
        tokens_per_minute: limit("tokens_per_minute", found),
        budget: budget(fields, found),
        drills: fields.boolean("drills", found).unwrap_or_default(),
        tags: tags(fields, found),
        models,
        name: name?,
        sha256: sha256?,
    };
    Some(Arc::new(key))
}

/// Notes where something stands; the line where it stood before, if it did.
fn met_before<T: Eq + Hash>(what: T, place: Place, lines: &mut Lines<T>) -> Option<usize> {
    match lines.entry(what) {
        Entry::Occupied(entry) => Some(*entry.get()),
        Entry::Vacant(entry) => {
            entry.insert(place.line);
            None
        }
    }
}

/// What is written is never shown: it may be the key itself, by mistake.
fn digest(fields: &Fields<'_>, lines: &mut Lines<Digest>, found: &mut Found) -> Option<Digest> {
    let (scalar, place) = fields.scalar("sha256", found)?;
    let Ok(digest) = scalar.text.trim().parse::<Digest>() else {
        let why = "`sha256` has 64 hexadecimal digits, and is not the key itself: `standin key new NAME` prints both";
        found.add(place, why);
        return None;
    };
    if digest == Digest::of(b"") || digest == Digest::of(b"\n") {
        found.add(place, "this is the SHA-256 of nothing, not of a key");
    }
    if let Some(line) = met_before(digest, place, lines) {
        let why = format!(
            "the key in line {line} has this `sha256` already: who comes with it would be either"
        );
        found.add(place, why);
    }
    Some(digest)
}

fn globs(fields: &Fields<'_>, models: &Models<'_>, found: &mut Found) -> Vec<String> {
    let Some(node) = fields.node("models") else {
        return vec!["*".to_owned()];
    };
    if holds_nothing(node) {
        let why = "`models` names none, so that the key could be used for nothing: leave it out for all models";
        found.add(node.place, why);
    }
    let texts = fields.texts("models", found);
    for (glob, place) in &texts {
        if !models.has(&glob.text) {
            let why = models.unmatched(glob, found.has_few());
            found.add(*place, why);
        }
    }
    let texts = texts.into_iter();
    texts.map(|(glob, _)| (*glob.text).to_owned()).collect()
}

impl Models<'_> {
    /// Whether a glob can match a name that goes anywhere.
    fn has(&self, glob: &str) -> bool {
        if self.any || self.names.contains(glob) {
            return true;
        }
        let work = self.providers.len() + self.names.len();
        let Some(left) = self.patience.get().checked_sub(work) else {
            return true;
        };
        self.patience.set(left);
        if glob.contains('*') && self.names.iter().any(|name| matches(glob, name)) {
            return true;
        }
        let (head, open) = match glob.split_once('*') {
            Some((head, _)) => (head, true),
            None => (glob, false),
        };
        self.providers.keys().any(|provider| {
            let prefix = format!("{provider}/");
            match head.strip_prefix(&prefix) {
                Some(rest) => open || !rest.is_empty(),
                None => open && prefix.starts_with(head),
            }
        })
    }

    fn unmatched(&self, glob: &Scalar, search: bool) -> String {
        let what = format!("{} can match no model here", glob.shown());
        if !search || glob.expanded {
            return what;
        }
        let providers = self.providers.keys().map(|name| name.as_str());
        let by_provider = glob.text.split_once('/').and_then(|(prefix, rest)| {
            let near = nearest(prefix, providers).filter(|near| *near != prefix)?;
            Some(format!("{near}/{rest}"))
        });
        let by_name = || nearest(&glob.text, self.names.iter().copied()).map(str::to_owned);
        match by_name().or(by_provider) {
            Some(near) => format!("{what}; did you mean `{}`?", shown(&near)),
            None => what,
        }
    }
}

fn budget(fields: &Fields<'_>, found: &mut Found) -> Option<Budget> {
    fields.node("budget")?;
    let fields = fields.section("budget", found);
    let per = fields.choice("per", found).map(|word| match word {
        "month" => Period::Month,
        _ => Period::Day,
    });
    let (scalar, place) = fields.scalar("usd", found)?;
    let usd = scalar.text.parse::<Usd>();
    let why = match usd {
        Ok(Usd::ZERO) => {
            "`usd` is above 0: a key that may spend nothing is better left out".to_owned()
        }
        Ok(usd) if scalar.plain => return per.map(|per| Budget { usd, per }),
        Ok(_) => "`usd` is a number without quotes".to_owned(),
        Err(error) => format!("`usd` cannot be read: {error}"),
    };
    found.add(place, why);
    None
}

/// As the JSON object that stands in each row.
fn tags(fields: &Fields<'_>, found: &mut Found) -> Box<str> {
    let mut tags = serde_json::Map::new();
    for (name, node) in fields.pairs("tags", found) {
        if name.text.trim().is_empty() {
            found.add(name.place, "a tag has a name");
        }
        let what = "a tag's value";
        if let Some(value) = shape::text(node, what, found) {
            tags.insert((*name.text).to_owned(), (*value.text).into());
        }
    }
    serde_json::Value::Object(tags).to_string().into()
}
