//! The log of the process: lines on standard error.

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::{self, PanicHookInfo};

use crate::config::Log;
use crate::logs;

/// Starts the log of the process, which also tells of panics. Later calls only
/// change it.
///
/// # Errors
/// The system has no thread left, in one sentence.
pub fn start_log(log: Log) -> Result<(), String> {
    logs::start(log, std::io::stderr()).map_err(|error| format!("the log's thread: {error}"))?;
    panic::set_hook(Box::new(panicked));
    Ok(())
}

/// Waits, for a moment at most, until all that was said is written.
pub fn flush_log() {
    log::logger().flush();
}

/// Says where a panic was. What it says itself only where that is part of the
/// program: the rest may quote what somebody sent.
fn panicked(info: &PanicHookInfo<'_>) {
    let at = info.location().map(ToString::to_string);
    let at = at.as_deref().unwrap_or("a place unknown");
    let why = words(info.payload());
    let way = Backtrace::capture();
    if way.status() == BacktraceStatus::Captured {
        log::error!(event = "panic", at, why; "panic at {at}: {why}\n{way}");
    } else {
        log::error!(event = "panic", at, why; "panic at {at}: {why}");
    }
    // The process may end with it.
    flush_log();
}

fn words(payload: &dyn Any) -> &'static str {
    let words = payload.downcast_ref::<&'static str>();
    words.copied().unwrap_or("its words are kept back")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_quotes_nobody() {
        assert_eq!(words(&"no such place"), "no such place");
        // As of slicing within a letter, or of an index out of bounds.
        let quotes = format!("byte index 1 is not a char boundary of `{}`", "prompt");
        assert_eq!(words(&quotes), "its words are kept back");
        assert_eq!(words(&7), "its words are kept back");
    }
}
