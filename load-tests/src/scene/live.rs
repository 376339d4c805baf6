//! Two providers that answer until one of them is told to play another part.

use std::sync::OnceLock;
use std::time::Duration;

use standin::config::Digest;
use standin::mock::{At, Reply, Script};
use tokio::time::Instant;

use super::Scene;
use crate::ask::{KEY, WORDS};
use crate::modes::{MODE, WELL};

/// The candidate that goes bad.
pub(crate) const PRIMARY: &str = "primary/m";
/// The one behind it.
pub(crate) const BACKUP: &str = "backup/m";

/// Configured, so that their state is there from the start.
const MODELS: &str = "models: { primary/m: {}, backup/m: {} }\n";

/// In an outage: how long silence is borne, …
pub(crate) const TIMEOUT: Duration = Duration::from_secs(1);
/// … how many consecutive failures open a breaker, …
pub(crate) const FAILURES: usize = 5;
/// … for how long at first, …
pub(crate) const COOLDOWN: Duration = Duration::from_secs(1);
/// … and at most.
pub(crate) const MAX_COOLDOWN: Duration = Duration::from_secs(4);

/// How long the first answer after a rate limit takes: time for others to be
/// let through before it is there, if anything lets them.
const PROBE: Duration = Duration::from_millis(500);

pub(super) fn scene() -> Scene {
    Scene {
        part,
        ..Scene::new(providers(), MODELS)
    }
}

pub(super) fn scene_with_prices() -> Scene {
    let price = "{ price: { input: 2.50, cached_input: 1.25, output: 10.00 } }";
    let config = format!(
        "models: {{ {PRIMARY}: {price}, {BACKUP}: {price} }}\n\
         keys: [ {{ name: load, sha256: \"{}\", models: [\"*\"] }} ]\n",
        Digest::of(KEY.as_bytes())
    );
    Scene {
        part,
        ..Scene::new(providers(), config)
    }
}

pub(super) fn scene_of_outage() -> Scene {
    let [timeout, cooldown, max_cooldown] = [TIMEOUT, COOLDOWN, MAX_COOLDOWN];
    let config = format!(
        "{MODELS}failover: {{ connect_timeout: {timeout:?}, first_token_timeout: {timeout:?}, \
         answer_timeout: {timeout:?} }}\n\
         health: {{ failures: {FAILURES}, cooldown: {cooldown:?}, max_cooldown: {max_cooldown:?} }}\n"
    );
    Scene {
        part,
        ..Scene::new(providers(), config)
    }
}

fn providers() -> Vec<(&'static str, Script)> {
    ["primary", "backup"].map(|name| (name, well())).into()
}

/// `well`, `hangs`, or `limited SECONDS`.
fn part(words: &[&str]) -> Option<Script> {
    match words {
        ["hangs"] => Some(playing(Reply::answer("never").stall(At::Start))),
        ["limited", seconds] => Some(limited(seconds.parse().ok()?)),
        ["well"] => Some(well()),
        _ => None,
    }
}

fn well() -> Script {
    playing(answer(WELL))
}

fn answer(mode: &str) -> Reply {
    Reply::answer(WORDS).echo().header(MODE, mode)
}

fn playing(reply: Reply) -> Script {
    Script::from(reply).remember(0)
}

/// Refuses for so many seconds from its first request on, and says so in each
/// refusal. The first answer after that takes its time, and whoever is let
/// through before it is there gets one that is marked as wrong.
fn limited(seconds: u64) -> Script {
    let (first, probe) = (OnceLock::new(), OnceLock::new());
    let refusal = Reply::rate_limited(Some(&seconds.to_string()));
    Script::at_head(move |_| {
        let now = Instant::now();
        if now < *first.get_or_init(|| now) + Duration::from_secs(seconds) {
            return refusal.clone();
        }
        let mut is_probe = false;
        let probed = *probe.get_or_init(|| {
            is_probe = true;
            now
        });
        match (is_probe, now < probed + PROBE) {
            (true, _) => answer(WELL).after(PROBE),
            (false, true) => answer("a second probe"),
            (false, false) => answer(WELL),
        }
    })
    .remember(0)
}
