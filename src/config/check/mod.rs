//! What is written → what is meant, or everything that is wrong with it.

mod edits;
mod health;
mod keys;
mod ledger;
mod listen;
mod model;
mod otlp;
mod passthrough;
mod price;
mod provider;
mod tls;

use std::cell::Cell;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use self::listen::{Listening, leads_to};
use self::model::{Around, Providers};
use super::catalogue::Known;
use super::keys::{ROOT, returnable};
use super::lookup::Indices;
use super::meant::{BaseUrl, Config, Limits, Log, LogFormat, Timeouts};
use super::near::nearest;
use super::node::{Node, Sort, What};
use super::problem::Found;
use super::shape::{Fields, scalar};
use crate::base::{ModelName, Named, ProviderName};
use crate::outcome::{Outcome, ReturnAtOnce};

pub(super) use self::edits::{edits, number};
pub(super) use self::price::price;
pub(super) use self::provider::{free_header, kind, secret, wrong_name};

/// What a configuration may look at beside its own text.
pub trait Surroundings {
    /// An environment variable.
    fn var(&self, name: &str) -> Option<String>;

    /// A file's content.
    ///
    /// # Errors
    /// Where it cannot be read.
    fn file(&self, path: &Path) -> io::Result<Vec<u8>>;
}

/// No variable and no file: what stands in a text is all there is.
#[derive(Clone, Copy, Debug)]
pub struct Nothing;

impl Surroundings for Nothing {
    fn var(&self, _: &str) -> Option<String> {
        None
    }

    fn file(&self, _: &Path) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::NotFound.into())
    }
}

/// Reads a whole configuration. Where anything at all is wrong, it is told,
/// and what is returned must not be used.
pub(super) fn config(root: &Node, around: &dyn Surroundings, found: &mut Found) -> Config {
    let fields = Fields::of(root, &ROOT, found);
    let (mut config, usual) = frame(&fields, around, found);
    let mut by_name: Providers = HashMap::new();
    for (name, fields) in fields.sections("providers", found) {
        let index = config.providers.len();
        let provider = provider::provider(name, index, &fields, &usual, around, found);
        if let (Some(provider), Some(node)) = (&provider, fields.node("base_url"))
            && let Some(own) = own_address(&config, &provider.base_url)
        {
            let why = format!(
                "`base_url` leads to `{own}`, so this provider is Standin itself: \
                 name the place that answers"
            );
            found.add(node.place, why);
        }
        config.providers.extend(provider.clone());
        by_name.insert(ProviderName::from(&*name.text), provider);
    }
    if let Some(node) = fields.node("providers")
        && by_name.is_empty()
        && matches!(&node.what, What::Map(entries) if entries.is_empty())
    {
        let why = "`providers` is empty: name at least one place that answers";
        found.add(node.place, why);
    }

    let sections = fields.sections("models", found);
    let names: HashSet<&str> = sections.iter().map(|(name, _)| &*name.text).collect();
    let mut context = Around {
        providers: &by_name,
        default_provider: None,
        names: &names,
    };
    let given = fields.text("default_provider", found);
    let default_provider = given.and_then(|(name, place)| {
        context.provider(name, place, found)?;
        Some(ProviderName::from(&*name.text))
    });
    // One that is there and wrong is told once, not for each model as well.
    let unreadable = ProviderName::from("");
    context.default_provider = match (&default_provider, fields.node("default_provider")) {
        (None, Some(_)) => Some(&unreadable),
        (default, _) => default.as_ref(),
    };
    for (name, fields) in &sections {
        if let Some(model) = context.model(name, fields, &mut config, found) {
            config.models.insert(model.name.clone(), model);
        }
    }

    config.passthrough = passthrough::passthrough(&fields, &context, found);
    let models = keys::Models {
        names: &names,
        providers: &by_name,
        any: fields.node("default_provider").is_some(),
        patience: Cell::new(keys::PATIENCE),
    };
    config.keys = keys::keys(&fields, &models, found);

    let mut listed: BTreeSet<ModelName> = config.models.keys().cloned().collect();
    for provider in &config.providers {
        if let Some(known) = Known::at(&provider.base_url.host) {
            listed.extend(known.listed(&provider.name));
        }
    }
    config.listed = listed.into_iter().collect();
    config.default_provider = default_provider
        .and_then(|name| by_name.get(&name).cloned())
        .flatten();
    config
}

/// Which of the addresses that are listened on a provider's is.
fn own_address(config: &Config, url: &BaseUrl) -> Option<&'static str> {
    let leads = |own: SocketAddr| leads_to(url, own);
    if config.listen.iter().any(|own| leads(own.address)) {
        return Some("listen");
    }
    leads(config.admin).then_some("admin")
}

/// Everything but providers and models; and the timeouts that hold where
/// neither says otherwise.
pub(super) fn frame(
    fields: &Fields<'_>,
    around: &dyn Surroundings,
    found: &mut Found,
) -> (Config, Timeouts) {
    let listening = Listening::read(fields, around, found);
    let failover = fields.section("failover", found);
    let shutdown = fields.section("shutdown", found);
    let config = Config {
        listen: listening.listen,
        admin: listening.admin,
        admin_token: listening.admin_token,
        threads: fields.whole("threads", found).unwrap_or_default() as usize,
        limits: limits(&fields.section("limits", found), found),
        providers: Vec::new(),
        default_provider: None,
        models: Named::default(),
        targets: Vec::new(),
        indices: Indices::default(),
        listed: Vec::new(),
        passthrough: Vec::new(),
        return_at_once: return_at_once(&failover, found),
        drills: fields.boolean("drills", found).unwrap_or_default(),
        health: health::health(&fields.section("health", found), found),
        keys: Vec::new(),
        ledger: ledger::ledger(fields, found),
        otlp: otlp::otlp(fields, found),
        lead: shutdown.duration("lead", found).unwrap_or_default(),
        drain: shutdown.duration("drain", found).unwrap_or_default(),
        upgrade_socket: upgrade_socket(&shutdown, found),
        log: log(&fields.section("log", found), found),
    };
    (config, usual(&failover, found))
}

/// What holds where neither model nor provider says otherwise.
fn usual(failover: &Fields<'_>, found: &mut Found) -> Timeouts {
    Timeouts {
        connect: failover
            .duration("connect_timeout", found)
            .unwrap_or_default(),
        first_token: failover
            .duration("first_token_timeout", found)
            .unwrap_or_default(),
        answer: failover
            .duration("answer_timeout", found)
            .unwrap_or_default(),
        idle: failover.duration("idle_timeout", found).unwrap_or_default(),
        total: failover
            .duration("total_timeout", found)
            .unwrap_or_default(),
    }
}

fn limits(fields: &Fields<'_>, found: &mut Found) -> Limits {
    let request_body = fields.size("request_body", found);
    let buffered_bytes = fields.size("buffered_bytes", found);
    if let (Some(one), Some(all)) = (request_body, buffered_bytes)
        && all < one
    {
        let node = fields
            .node("buffered_bytes")
            .or(fields.node("request_body"));
        let why =
            "`buffered_bytes` is below `request_body`: the largest bodies would never have room";
        found.add(node.map_or(fields.place, |node| node.place), why.to_owned());
    }
    Limits {
        request_body: request_body.unwrap_or_default(),
        max_candidates: fields.whole("max_candidates", found).unwrap_or_default() as usize,
        buffered_bytes: buffered_bytes.unwrap_or_default(),
        header_bytes: fields.size("header_bytes", found).unwrap_or_default(),
        connections: fields.whole("connections", found).unwrap_or_default() as usize,
        concurrent_requests: fields
            .whole("concurrent_requests", found)
            .unwrap_or_default() as usize,
        write_timeout: fields.duration("write_timeout", found).unwrap_or_default(),
        header_timeout: fields.duration("header_timeout", found).unwrap_or_default(),
        body_timeout: fields.duration("body_timeout", found).unwrap_or_default(),
    }
}

/// The longest path of a Unix socket, with the zero that ends it one less than
/// the system's 108 bytes.
const LONGEST_SOCKET: usize = 107;

fn upgrade_socket(shutdown: &Fields<'_>, found: &mut Found) -> Option<PathBuf> {
    let (path, place) = shutdown.text("upgrade_socket", found)?;
    if path.text.len() > LONGEST_SOCKET || path.text.contains('\0') {
        let why = format!(
            "`upgrade_socket` is the path of a socket, which has {LONGEST_SOCKET} bytes at the most"
        );
        found.add(place, why);
    }
    Some(PathBuf::from(&*path.text))
}

fn log(fields: &Fields<'_>, found: &mut Found) -> Log {
    let format = match fields.choice("format", found) {
        Some("text") => LogFormat::Text,
        _ => LogFormat::Json,
    };
    let level = fields.choice("level", found);
    let level = level.and_then(|level| level.parse().ok());
    Log {
        format,
        level: level.unwrap_or(log::LevelFilter::Info),
    }
}

/// Outcomes before commit, and statuses of errors.
fn return_at_once(failover: &Fields<'_>, found: &mut Found) -> ReturnAtOnce {
    let mut out = ReturnAtOnce::default();
    for node in failover.items("return_at_once", found) {
        let Some(entry) = scalar(node, "an entry of `return_at_once`", found) else {
            continue;
        };
        let number = entry.plain && entry.text.bytes().all(|b| b.is_ascii_digit());
        if number || entry.sort() == Sort::Number {
            match entry.text.parse::<u16>() {
                Ok(status) if (400..=599).contains(&status) => {
                    if !out.statuses.contains(&status) {
                        out.statuses.push(status);
                    }
                }
                _ => found.add(
                    node.place,
                    "a status in `return_at_once` lies between 400 and 599",
                ),
            }
            continue;
        }
        match returnable().find(|label| *label == &*entry.text) {
            Some(label) => {
                if !out.labels.contains(&label) {
                    out.labels.push(label);
                }
            }
            None => {
                let digits =
                    !entry.text.is_empty() && entry.text.bytes().all(|b| b.is_ascii_digit());
                let why = if digits && !entry.expanded {
                    "is text: a status stands without quotes".to_owned()
                } else if Outcome::LABELS.contains(&&*entry.text) {
                    "comes too late for any choice, so it cannot be returned at once".to_owned()
                } else {
                    let names: Vec<&str> = returnable().collect();
                    let near = nearest(&entry.text, returnable()).filter(|_| !entry.expanded);
                    match near {
                        Some(near) => format!("is no outcome; did you mean `{near}`?"),
                        None => format!(
                            "is neither an HTTP status nor an outcome: {}",
                            names.join(", ")
                        ),
                    }
                };
                found.add(node.place, format!("{} {why}", entry.shown()));
            }
        }
    }
    out
}

/// Where a list's or a single value's texts are.
fn one_or_many(node: &Node) -> &[Node] {
    match &node.what {
        What::List(nodes) => nodes,
        What::Map(_) | What::Scalar(_) | What::Unknown => std::slice::from_ref(node),
    }
}
