//! The log: lines on standard error, as text or JSON.

use std::io::Write;
use std::time::SystemTime;

use env_logger::{Builder, Target, WriteStyle};
use log::{LevelFilter, Record};

use crate::config::{Log, LogFormat};

/// Libraries whose details are not ours to judge: at their debug levels they
/// print headers and bodies, and so keys and prompts.
const QUIET: [&str; 8] = [
    "pingora_core",
    "pingora_http",
    "pingora_pool",
    "pingora_runtime",
    "h2",
    "rustls",
    "tokio_rustls",
    "mio",
];

/// Starts the log of the process. Later calls change nothing; the level is
/// changed by [`log::set_max_level`].
pub fn start_log(log: Log) {
    let mut builder = Builder::new();
    builder
        .target(Target::Stderr)
        .write_style(WriteStyle::Never)
        .filter_level(LevelFilter::Trace)
        .format(move |out, record| {
            let now = now();
            match log.format {
                LogFormat::Text => {
                    writeln!(out, "{now} {:<5} {}", record.level(), record.args())
                }
                LogFormat::Json => writeln!(out, "{}", json(record)),
            }
        });
    for library in QUIET {
        builder.filter_module(library, LevelFilter::Off);
    }
    // A second start, in tests, finds the first one's log.
    if builder.try_init().is_ok() {
        log::set_max_level(log.level);
    }
}

fn json(record: &Record<'_>) -> serde_json::Value {
    serde_json::json!({
        "time": now(),
        "level": record.level().as_str(),
        "message": record.args().to_string(),
    })
}

/// The time of day, in UTC, as RFC 3339 writes it.
#[expect(
    clippy::disallowed_methods,
    reason = "a log line carries the time of day"
)]
fn now() -> String {
    let now = chrono::DateTime::<chrono::Utc>::from(SystemTime::now());
    now.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}
