//! The log: one line for each request, from its receipt, and one for each
//! record of the house, as JSON or text.
//!
//! Names, categories and numbers only. A prompt, an answer, a key, what a
//! provider said, a header's value or a query string stands in no line, at no
//! level; what libraries say may quote any of these, so it is kept back
//! whatever it is.
//!
//! Lines are written into a buffer of the thread they come from and handed to
//! a sink, whose own thread writes them out: nobody waits for whoever reads
//! the log.

mod clock;
mod line;
mod record;
mod request;
mod sink;

#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::io::Write;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use log::{Level, Metadata, Record};

use self::clock::Clock;
use self::line::Line;
pub use self::request::{Brief, Passed};
use self::sink::Sink;
use crate::config::{self, LogFormat};
use crate::journey::{Ask, Receipt};

/// How long the end of the process waits for whoever reads the log.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A line is rarely longer; what made one so need not be kept.
const USUAL_LINE: usize = 16 << 10;

static LOG: OnceLock<Log> = OnceLock::new();

/// Where lines go, and how they look.
#[derive(Debug)]
pub struct Log {
    sink: Sink,
    is_json: AtomicBool,
}

/// What a thread writes its lines with.
#[derive(Default)]
struct Desk {
    clock: Clock,
    bytes: Vec<u8>,
}

thread_local! {
    static DESK: RefCell<Desk> = RefCell::default();
}

impl Log {
    /// Starts the thread that writes to `out`.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn new(format: LogFormat, out: impl Write + Send + 'static) -> std::io::Result<Self> {
        Ok(Self {
            sink: Sink::new(out)?,
            is_json: AtomicBool::new(format == LogFormat::Json),
        })
    }

    /// Tells of a request that has ended.
    pub fn request(&self, ask: &Ask, receipt: &Receipt) {
        self.write(Level::Info, "request", false, |line| {
            request::fill(line, ask, receipt);
        });
    }

    /// Tells of a request that was never on its way.
    pub fn brief(&self, brief: &Brief<'_>) {
        self.write(Level::Info, "request", false, |line| brief.fill(line));
    }

    /// Waits until what has been said is written, for so long at most; says
    /// whether it is.
    pub fn flush(&self, longest: Duration) -> bool {
        self.sink.flush(longest)
    }

    fn format(&self) -> LogFormat {
        if self.is_json.load(Ordering::Relaxed) {
            LogFormat::Json
        } else {
            LogFormat::Text
        }
    }

    fn wear(&self, format: LogFormat) {
        let is_json = format == LogFormat::Json;
        self.is_json.store(is_json, Ordering::Relaxed);
    }

    /// Writes a line; what is rare does not wait for others to be written
    /// with.
    #[expect(
        clippy::disallowed_methods,
        reason = "a line carries the time of day at which it was written"
    )]
    fn write(&self, level: Level, message: &str, is_rare: bool, fill: impl Fn(&mut Line<'_>)) {
        let write = |desk: &mut Desk| {
            desk.bytes.clear();
            let time = desk.clock.read(SystemTime::now());
            let mut line = Line::begin(&mut desk.bytes, self.format(), time, level, message);
            fill(&mut line);
            line.end();
            self.sink.push(&desk.bytes, is_rare, self.format());
            if desk.bytes.capacity() > USUAL_LINE {
                desk.bytes.shrink_to(USUAL_LINE);
            }
        };
        let at_desk = DESK.try_with(|desk| match desk.try_borrow_mut() {
            Ok(mut desk) => {
                write(&mut desk);
                true
            }
            Err(_) => false,
        });
        // A thread that ends, or that panics over a line, has none any more.
        if !matches!(at_desk, Ok(true)) {
            write(&mut Desk::default());
        }
    }
}

impl log::Log for Log {
    fn enabled(&self, of: &Metadata<'_>) -> bool {
        record::is_ours(of) || record::may_be_placed(of)
    }

    fn log(&self, record: &Record<'_>) {
        let of = record.metadata();
        if !record::is_ours(of) {
            if record::may_be_placed(of) {
                let place = |line: &mut Line<'_>| record::place(line, record);
                self.write(record.level(), record::KEPT_BACK, true, place);
            }
            return;
        }
        let fill = |line: &mut Line<'_>| record::fill(line, record);
        match record.args().as_str() {
            Some(message) => self.write(record.level(), message, true, fill),
            None => self.write(record.level(), &record.args().to_string(), true, fill),
        }
    }

    fn flush(&self) {
        self.sink.flush(LAST_WORDS);
    }
}

/// Starts the log of the process, which goes to `out`. Later calls only
/// [change](set) it.
///
/// # Errors
/// The system has no thread left.
pub fn start(log: config::Log, out: impl Write + Send + 'static) -> std::io::Result<()> {
    if LOG.get().is_none() {
        let started = Log::new(log.format, out)?;
        // Another logger may be there first, in tests.
        let _ = log::set_logger(LOG.get_or_init(|| started));
    }
    set(log);
    Ok(())
}

/// Changes how the log looks and how much it says.
pub fn set(to: config::Log) {
    if let Some(log) = LOG.get() {
        log.wear(to.format);
    }
    log::set_max_level(to.level);
}

/// Where one line for each request is wanted.
fn of_requests() -> Option<&'static Log> {
    LOG.get().filter(|_| log::max_level() >= Level::Info)
}

/// One line for a request that has ended.
pub fn request(ask: &Ask, receipt: &Receipt) {
    if let Some(log) = of_requests() {
        log.request(ask, receipt);
    }
}

/// One line for a request that was never on its way.
pub fn brief(brief: &Brief<'_>) {
    if let Some(log) = of_requests() {
        log.brief(brief);
    }
}
