//! What a client's key means: who it is, which models it may use, how much.

use std::sync::Arc;

use super::digest::Digest;
use super::lookup::matches;
use crate::base::ModelName;
use crate::usage::Usd;

/// A client's key. The key itself is not known, only its digest.
#[derive(Clone, Debug)]
pub struct ClientKey {
    /// The configuration's name for it; no other key has it.
    pub name: Arc<str>,
    /// The key's SHA-256; no other key has it.
    pub sha256: Digest,
    /// Globs over the names that clients use; never empty.
    pub models: Vec<String>,
    /// Requests in any 60 seconds; at least 1.
    pub requests_per_minute: Option<u32>,
    /// Tokens in any 60 seconds, input and output together; at least 1.
    pub tokens_per_minute: Option<u32>,
    /// Requests that are served at once; at least 1.
    pub concurrent_requests: Option<u32>,
    /// What it may spend.
    pub budget: Option<Budget>,
    /// Whether its requests may name candidates that are to fail on purpose.
    pub drills: bool,
    /// Stand in each of its ledger rows: a JSON object of texts, in the order
    /// of the file.
    pub tags: Box<str>,
}

impl ClientKey {
    /// Whether it may use a model, by the name that the client gave.
    pub fn may(&self, model: &ModelName) -> bool {
        let mut globs = self.models.iter();
        globs.any(|glob| matches(glob, model.as_str()))
    }
}

/// What a key may spend in each period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Above zero.
    pub usd: Usd,
    /// How often it begins anew.
    pub per: Period,
}

/// How often a budget begins anew, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    /// At midnight.
    Day,
    /// At midnight before the first of the month.
    Month,
}

impl Period {
    /// The contract's word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Month => "month",
        }
    }
}

/// What is wrong with a key's name, if anything is.
pub fn wrong_key_name(name: &str) -> Option<&'static str> {
    let good = |b: u8| b.is_ascii_alphanumeric() || b"._@-".contains(&b);
    let is_good = (1..=64).contains(&name.len()) && name.bytes().all(good);
    (!is_good).then_some("it takes up to 64 letters, digits, `.`, `_`, `@` and `-`")
}
