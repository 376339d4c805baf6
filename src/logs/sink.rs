//! The way out of lines: a thread of its own writes what has gathered in one
//! piece. Who brings a line never waits for that; where nobody takes them in
//! time they are dropped, counted, and told of as soon as that can be written.

use std::io::{self, ErrorKind, Write};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime};

use log::Level;
use parking_lot::{Condvar, Mutex};

use super::clock::Clock;
use super::line::Line;
use crate::config::LogFormat;

/// Bytes that may wait, while as many are being written: a second of lines at
/// ten thousand requests a second.
const MOST: usize = 4 << 20;

/// What a buffer has room for from the first, and keeps when a crowd of lines
/// has been written.
const USUAL: usize = 256 << 10;

/// How long lines gather after the first: waking the thread costs more than
/// many lines do, and nobody reads a log within so short a time.
const GATHER: Duration = Duration::from_millis(10);

/// How soon it is tried again where the other end takes nothing now and does
/// not let us wait for it.
const AGAIN: Duration = Duration::from_millis(5);

/// The way out.
#[derive(Debug)]
pub(super) struct Sink(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    /// There is something to write.
    come: Condvar,
    /// Something has been written.
    gone: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    bytes: Vec<u8>,
    /// Dropped since these bytes were full: they belong behind them.
    lost: u64,
    /// As the last line is to look: the one that tells of lost ones does, too.
    format: Option<LogFormat>,
    /// The thread waits for a first line.
    sleeps: bool,
    /// Nothing more is to be gathered.
    hurries: bool,
    /// Turns of the thread that have begun and ended. What is pushed now is
    /// written in the next to begin.
    begun: u64,
    ended: u64,
    stops: bool,
}

impl Sink {
    /// Starts the thread.
    pub(super) fn new(out: impl Write + Send + 'static) -> io::Result<Self> {
        let shared = Shared::default();
        shared.waiting.lock().bytes.reserve(USUAL);
        let shared = Arc::new(shared);
        let its = Arc::clone(&shared);
        let work = move || its.run(Out::new(out));
        let named = thread::Builder::new().name("standin-log".to_owned());
        thread::Builder::spawn(named, work)?;
        Ok(Self(shared))
    }

    /// Brings whole lines.
    pub(super) fn push(&self, lines: &[u8], hurries: bool, format: LogFormat) {
        let mut waiting = self.0.waiting.lock();
        if waiting.bytes.len().saturating_add(lines.len()) > MOST {
            waiting.lost += 1;
            return;
        }
        waiting.bytes.extend_from_slice(lines);
        waiting.format = Some(format);
        let wakes = waiting.sleeps || (hurries && !waiting.hurries);
        waiting.sleeps = false;
        waiting.hurries |= hurries;
        drop(waiting);
        if wakes {
            self.0.come.notify_one();
        }
    }

    /// Waits until all that was brought before is written.
    pub(super) fn flush(&self, longest: Duration) -> bool {
        let mut waiting = self.0.waiting.lock();
        let turn = waiting.begun + u64::from(!waiting.bytes.is_empty());
        waiting.hurries = true;
        self.0.come.notify_one();
        let is_open = |waiting: &mut Waiting| waiting.ended < turn;
        let waited = self.0.gone.wait_while_for(&mut waiting, is_open, longest);
        !waited.timed_out()
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.0.waiting.lock().stops = true;
        self.0.come.notify_one();
    }
}

impl Shared {
    fn run(&self, mut out: Out<impl Write>) {
        let mut batch = Vec::with_capacity(USUAL);
        loop {
            let mut waiting = self.waiting.lock();
            while waiting.bytes.is_empty() {
                if waiting.stops {
                    return;
                }
                waiting.sleeps = true;
                waiting.hurries = false;
                self.come.wait(&mut waiting);
            }
            waiting.sleeps = false;
            let gathers = |waiting: &mut Waiting| !waiting.hurries && !waiting.stops;
            self.come.wait_while_for(&mut waiting, gathers, GATHER);
            waiting.hurries = false;
            waiting.begun += 1;
            let format = waiting.format.unwrap_or(LogFormat::Json);
            let lost = std::mem::take(&mut waiting.lost);
            std::mem::swap(&mut waiting.bytes, &mut batch);
            drop(waiting);
            out.write(&batch, lost, format);
            batch.clear();
            batch.shrink_to(USUAL);
            self.waiting.lock().ended += 1;
            self.gone.notify_all();
        }
    }
}

/// The other end, and what it has not been told.
struct Out<W> {
    to: W,
    clock: Clock,
    /// Lines that are lost and not told of.
    untold: u64,
    /// A line was written in part.
    is_torn: bool,
}

impl<W: Write> Out<W> {
    fn new(to: W) -> Self {
        Self {
            to,
            clock: Clock::default(),
            untold: 0,
            is_torn: false,
        }
    }

    /// Writes lines, and how many are lost behind them.
    fn write(&mut self, batch: &[u8], lost: u64, format: LogFormat) {
        self.tell(format);
        if let Err(written) = self.whole(batch) {
            let (_, rest) = batch.split_at_checked(written).unwrap_or_default();
            self.untold += memchr::memchr_iter(b'\n', rest).count() as u64;
        }
        self.untold += lost;
        self.tell(format);
    }

    /// Says how many are lost, if any are.
    #[expect(
        clippy::disallowed_methods,
        reason = "a line carries the time of day at which it was written"
    )]
    fn tell(&mut self, format: LogFormat) {
        if self.untold == 0 {
            return;
        }
        let lost = self.untold;
        let mut bytes = Vec::new();
        let message = format!("{lost} lines of the log are lost: nobody took them in time");
        let time = self.clock.read(SystemTime::now());
        let mut line = Line::begin(&mut bytes, format, time, Level::Warn, &message);
        if line.is_json() {
            line.text("event", "log_lost");
            line.number("lines", lost);
        }
        line.end();
        if self.whole(&bytes).is_ok() {
            self.untold = 0;
        }
    }

    /// Writes all of these bytes; else how many of them were.
    fn whole(&mut self, bytes: &[u8]) -> Result<(), usize> {
        if self.is_torn {
            self.piece(b"\n").map_err(|_| 0_usize)?;
            self.is_torn = false;
        }
        let mut written = 0;
        while let Some(rest @ [_, ..]) = bytes.get(written..) {
            match self.piece(rest) {
                Ok(more) => written += more,
                Err(_) => {
                    self.is_torn = written > 0 && bytes.get(written - 1) != Some(&b'\n');
                    return Err(written);
                }
            }
        }
        Ok(())
    }

    /// One write, repeated for as long as the other end only is not ready.
    fn piece(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.to.write(bytes) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(AGAIN),
                other => return other,
            }
        }
    }
}
