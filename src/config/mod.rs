//! A configuration: source (YAML with places) → shape (what is written) →
//! check (all problems) → [`Config`] (what is meant).
//!
//! Reads no clock, no environment and no file by itself: [`Surroundings`]
//! does.

mod catalogue;
mod check;
mod client;
mod digest;
mod foreign;
mod keys;
mod lookup;
mod meant;
mod near;
mod node;
mod passthrough;
mod prices;
mod problem;
mod schema;
mod shape;
mod source;
mod tls;
mod tree;
mod url;
mod variable;

#[cfg(test)]
mod tests;

pub use check::{Nothing, Surroundings};
pub use client::{Budget, ClientKey, Period, wrong_key_name};
pub use digest::{Digest, NoDigest};
pub use foreign::{foreign, wrong_base_url, wrong_header, wrong_provider_name};
pub use meant::{
    BaseUrl, Config, Credential, Health, HttpVersion, Ledger, Limits, Log, LogFormat, Model,
    OnError, Otlp, PriceRule, Provider, Rule, Target, Timeouts,
};
pub use passthrough::{Passthrough, Pattern};
pub use problem::{Problem, Problems};
pub use schema::schema;
pub use tls::{ClientTls, IdentityFiles, Listen, ServerTls};

use problem::Found;

/// Reads a configuration file; `name` is what messages call it.
///
/// # Errors
/// Everything that is wrong with it, in the order of its lines.
pub fn load(name: &str, text: &[u8], around: &dyn Surroundings) -> Result<Config, Problems> {
    let mut found = Found::default();
    let root = source::read(text, &|name| around.var(name), &mut found);
    let config = root.map(|root| check::config(&root, around, &mut found));
    finish(config, found, name)
}

/// The configuration that holds where there is no file: every well-known
/// provider whose environment variable is set and not empty, the first of
/// them being the default provider.
///
/// # Errors
/// Where none is set; the text then names the variables. Or what is wrong
/// with one that is.
pub fn builtin(around: &dyn Surroundings) -> Result<Config, Problems> {
    let mut found = Found::default();
    let config = catalogue::config(around, &mut found);
    finish(Some(config), found, catalogue::FILE)
}

fn finish(config: Option<Config>, found: Found, name: &str) -> Result<Config, Problems> {
    match config {
        Some(config) if found.is_empty() => Ok(config),
        _ => Err(found.into_problems(name)),
    }
}
