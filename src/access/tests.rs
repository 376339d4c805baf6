//! Keys, limits and budgets in virtual time.

mod budgets;
mod keys;
mod limits;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::HeaderMap;

use super::{Access, Holder};
use crate::config::{Config, Digest, Nothing, load};
use crate::health::Moment;
use crate::usage::{Tokens, Usd};

/// A configuration with these keys, each by its name and the rest of its
/// entry; `sk-NAME` is the key itself.
fn config(keys: &[(&str, &str)]) -> Config {
    let mut text = "providers: { p: { base_url: \"http://127.0.0.1:1\" } }\n".to_owned();
    if !keys.is_empty() {
        text.push_str("keys:\n");
    }
    for (name, rest) in keys {
        let sha256 = Digest::of(format!("sk-{name}").as_bytes());
        text.push_str(&format!("  - {{ name: {name}, sha256: \"{sha256}\""));
        if !rest.is_empty() {
            text.push_str(&format!(", {rest}"));
        }
        text.push_str(" }\n");
    }
    load("test.yaml", text.as_bytes(), &Nothing).unwrap_or_else(|problems| panic!("{problems}"))
}

fn nothing(_: &str, _: SystemTime) -> Usd {
    Usd::ZERO
}

/// 2026-02-27 at noon, UTC, and so many seconds.
fn noon(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_772_193_600 + seconds)
}

fn access(keys: &[(&str, &str)]) -> Access {
    Access::new(&config(keys), None, &nothing, noon(0))
}

fn bearer(key: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("authorization", format!("Bearer {key}").parse().unwrap());
    headers
}

fn holder(access: &Access, name: &str) -> Arc<Holder> {
    let who = access.who(&bearer(&format!("sk-{name}"))).unwrap();
    Arc::clone(who.unwrap())
}

/// The one key of an access, called `a`.
fn one(rest: &str) -> Arc<Holder> {
    holder(&access(&[("a", rest)]), "a")
}

fn at(ms: u64) -> Moment {
    Moment::from_millis(ms)
}

fn usd(text: &str) -> Usd {
    text.parse().unwrap()
}

fn tokens(input: u64, output: u64) -> Tokens {
    Tokens {
        input,
        output,
        ..Tokens::default()
    }
}

/// Pseudo-random numbers, the same for the same seed (Vigna's splitmix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % most
    }
}
