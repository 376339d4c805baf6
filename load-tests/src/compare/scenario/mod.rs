//! The scenarios, by name.

mod failing;
mod memory;
mod plain;
mod soak;
mod stream;

pub(super) use self::failing::ALONE;

use super::bench::Bench;
use super::subject::Setting;

pub(super) const PLAIN_2K: &str = "plain-2k";
pub(super) const PLAIN_32K: &str = "plain-32k";
pub(super) const STREAM_FULL: &str = "sse-200-full";
pub(super) const STREAM_AT_50: &str = "sse-200-at-50";
pub(super) const SKIP: &str = "skip";
pub(super) const FAILOVER_429: &str = "failover-429";
pub(super) const FAILOVER_EVENT: &str = "failover-first-event";
pub(super) const BODY_1MB: &str = "body-1mb-failover";
pub(super) const STREAMS: &str = "streams-10000";
pub(super) const BODIES: &str = "bodies-40x8mb";
pub(super) const IDLE: &str = "idle";
pub(super) const SOAK: &str = "soak";

/// In the order in which they are run.
const ALL: &[&str] = &[
    IDLE,
    PLAIN_2K,
    PLAIN_32K,
    STREAM_FULL,
    STREAM_AT_50,
    SKIP,
    FAILOVER_429,
    FAILOVER_EVENT,
    BODY_1MB,
    STREAMS,
    BODIES,
];
/// Those that are run only where they are named.
const ASKED_FOR: &[&str] = &[SOAK];

/// What is to be run.
pub(super) fn chosen(names: &[String]) -> Result<Vec<&'static str>, String> {
    if names.is_empty() {
        return Ok(ALL.to_vec());
    }
    let known = || ALL.iter().chain(ASKED_FOR).copied();
    let named = names.iter().map(|name| {
        let found = known().find(|known| known == name);
        let all: Vec<&str> = known().collect();
        found.ok_or_else(|| format!("no scenario {name:?}: there are {}", all.join(", ")))
    });
    named.collect()
}

pub(super) async fn run(
    name: &'static str,
    bench: &mut Bench,
    setting: &Setting<'_>,
) -> Result<(), String> {
    match name {
        PLAIN_2K => plain::run(name, bench, 2 << 10).await,
        PLAIN_32K => plain::run(name, bench, 32 << 10).await,
        STREAM_FULL => stream::full_speed(name, bench).await,
        STREAM_AT_50 => stream::at_a_rate(name, bench).await,
        SKIP => failing::run(name, bench, &failing::SKIP).await,
        FAILOVER_429 => failing::run(name, bench, &failing::LIMITED).await,
        FAILOVER_EVENT => failing::run(name, bench, &failing::ERRS).await,
        BODY_1MB => failing::run(name, bench, &failing::LARGE).await,
        STREAMS => memory::streams(name, bench, setting).await,
        BODIES => memory::bodies(name, bench, setting).await,
        IDLE => memory::idle(name, bench, setting).await,
        SOAK => soak::run(name, bench, setting).await,
        other => Err(format!("no scenario {other:?}")),
    }
}
