//! Who may come in, which models they may use, and how much: clients' keys
//! with their limits and budgets.
//!
//! Pure: time is an argument. A request is let in once ([`Holder::enter`]),
//! asks for each candidate ([`Entered::may`]) and for each attempt
//! ([`Entered::reserve`]), and says at its end what it used
//! ([`Entered::settle`]). What a key has used stays with its name: it
//! survives a reload, and the key's replacement under the same name.
//!
//! Limits and budgets hold for one process.

mod account;
mod entered;
mod holder;
mod spend;
mod window;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use subtle::ConstantTimeEq;

use self::account::Account;
pub use self::entered::Entered;
pub use self::holder::Holder;
use crate::config::{Config, Digest};
use crate::refusal::Refusal;
use crate::usage::Usd;

/// What a key has cost since a moment, as the ledger has it: by the key's
/// name and the moment, for answers that ended at it or after it.
pub type Spent<'a> = &'a dyn Fn(&str, SystemTime) -> Usd;

/// Who may come in, for one configuration.
#[derive(Debug)]
pub struct Access {
    /// Sorted by digest; empty where clients need no key.
    holders: Vec<Arc<Holder>>,
    /// By the key's name: of all keys that this process has ever had, so that
    /// one that is taken out and put back begins nothing anew.
    accounts: HashMap<Arc<str>, Arc<Account>>,
}

impl Access {
    /// Who may come in by this configuration. What `before` knows of a key's
    /// name is kept. A name that is new to the process is asked for twice in
    /// `spent`: since the day's beginning in UTC and since the month's, the
    /// same two moments for all names, whether or not it has a budget now.
    pub fn new(
        config: &Config,
        before: Option<&Self>,
        spent: Spent<'_>,
        today: SystemTime,
    ) -> Self {
        let mut accounts = before.map_or_else(HashMap::new, |before| before.accounts.clone());
        let mut holders = Vec::with_capacity(config.keys.len());
        for key in &config.keys {
            let account = accounts
                .entry(Arc::clone(&key.name))
                .or_insert_with(|| Arc::new(Account::new(&key.name, spent, today)));
            holders.push(Arc::new(Holder {
                key: Arc::clone(key),
                account: Arc::clone(account),
            }));
        }
        holders.sort_unstable_by_key(|holder| holder.key.sha256);
        Self { holders, accounts }
    }

    /// Whose request this is; `None` where clients need no key. The key is
    /// `Authorization: Bearer KEY`, else `x-api-key`, else `api-key`.
    ///
    /// # Errors
    /// [`Refusal::NoKey`] where there is none, or more than one in the header
    /// that counts; [`Refusal::UnknownKey`].
    pub fn who(&self, headers: &HeaderMap) -> Result<Option<&Arc<Holder>>, Refusal> {
        if self.holders.is_empty() {
            return Ok(None);
        }
        let key = presented(headers).ok_or(Refusal::NoKey)?;
        let holder = self.holder(&Digest::of(key));
        holder.map(Some).ok_or(Refusal::UnknownKey)
    }

    /// The digests that begin with the same eight bytes are compared in
    /// constant time. The way to them is not constant: how long it takes
    /// depends on the first bytes of the digests on both sides. Nobody can use
    /// that: to steer the digest of a key that one presents is to hash at
    /// random, and whoever learnt those eight bytes would still look for a key
    /// of 256 random bits. In exchange a thousand keys cost what one does.
    fn holder(&self, digest: &Digest) -> Option<&Arc<Holder>> {
        let start = |digest: &Digest| digest.bytes().first_chunk::<8>().copied();
        let wanted = start(digest);
        let first = self
            .holders
            .partition_point(|holder| start(&holder.key.sha256) < wanted);
        let alike = self.holders.iter().skip(first);
        let mut alike = alike.take_while(|holder| start(&holder.key.sha256) == wanted);
        alike.find(|holder| holder.key.sha256.bytes().ct_eq(digest.bytes()).into())
    }
}

/// The key that a request comes with; not empty.
fn presented(headers: &HeaderMap) -> Option<&[u8]> {
    if headers.contains_key(AUTHORIZATION) {
        // Another scheme is for someone on the way here.
        if let Some(key) = bearer(only(headers, AUTHORIZATION.as_str())?) {
            return (!key.is_empty()).then_some(key);
        }
    }
    let name = ["x-api-key", "api-key"];
    let name = name.into_iter().find(|name| headers.contains_key(*name))?;
    let key = only(headers, name)?.trim_ascii();
    (!key.is_empty()).then_some(key)
}

/// A header's value, where it stands there once.
fn only<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h [u8]> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    values.next().is_none().then(|| value.as_bytes())
}

/// What follows the scheme, whose case counts for nothing (RFC 9110, 11.1).
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let value = value.trim_ascii();
    let end = value.iter().position(u8::is_ascii_whitespace);
    let (scheme, key) = value.split_at(end.unwrap_or(value.len()));
    let is_bearer = scheme.eq_ignore_ascii_case(b"bearer");
    is_bearer.then(|| key.trim_ascii())
}
