//! Every key that a configuration may have: name, form, default, meaning.
//!
//! The one place that says so. Reading, unknown keys and the JSON Schema all
//! come from these tables.

mod client;
mod file;
mod known;
mod price;
mod ledger;
mod otlp;
mod tls;

pub(super) use file::ROOT;
pub(super) use known::CATALOGUE;
pub(super) use price::PRICES;
pub(super) use tls::LISTENER;

use crate::outcome::Outcome;

/// What a key takes.
#[derive(Debug)]
pub(super) enum Form {
    /// Any mapping from member names to YAML values.
    Anything,
    /// `IP:PORT`
    Address,
    /// One address, or a list of them; each alone, or a mapping that says more.
    Addresses(&'static Section),
    /// `true` or `false`
    Bool,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// 64 hexadecimal digits.
    Digest,
    /// `250ms`, `5s`, `2m`, `1h`; whether `0s` is allowed.
    Duration { zero: bool },
    /// A list of outcomes' labels and HTTP statuses.
    Failures,
    /// A list of mappings.
    List(&'static Section),
    /// A path of a file.
    Path,
    /// USD for a million tokens.
    Price,
    /// Text that is never shown.
    Secret,
    /// A mapping with keys of its own.
    Section(&'static Section),
    /// A mapping from names to mappings.
    Sections(&'static Section),
    /// A number from 0 to 1.
    Ratio,
    /// A number above 0 and up to 1.
    Share,
    /// `64KiB`, `32MiB`; the smallest and the largest allowed.
    Size(usize, usize),
    /// Text.
    Text,
    /// A list of texts.
    Texts,
    /// A mapping from texts to texts.
    Pairs,
    /// A base URL.
    Url,
    /// An amount of US dollars.
    Usd,
    /// A whole number; the smallest and the largest allowed.
    Whole(u32, u32),
}

/// One key.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) form: Form,
    /// As it would be written in the file; empty where there is none.
    pub(super) default: &'static str,
    pub(super) doc: &'static str,
}

/// A mapping's keys.
#[derive(Debug)]
pub(super) struct Section {
    /// What the mapping is, for messages: "`tls` is no key of a provider".
    pub(super) name: &'static str,
    pub(super) keys: &'static [Key],
    /// Keys that have to be there.
    pub(super) required: &'static [&'static str],
}

impl Section {
    /// The table's own entry.
    pub(super) fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }
}

/// A key without a default.
const fn key(name: &'static str, form: Form, doc: &'static str) -> Key {
    Key {
        name,
        form,
        default: "",
        doc,
    }
}

const fn with(name: &'static str, form: Form, default: &'static str, doc: &'static str) -> Key {
    Key {
        name,
        form,
        default,
        doc,
    }
}

/// A duration that is not zero.
const TIME: Form = Form::Duration { zero: false };

/// Outcomes that the client can be given instead of the next candidate's
/// answer: those before commit, with a client still there.
pub(super) fn returnable() -> impl Iterator<Item = &'static str> {
    Outcome::LABELS
        .into_iter()
        .filter(|label| !matches!(*label, "client_gone" | "cut"))
}
