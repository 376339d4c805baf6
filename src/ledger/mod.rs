//! The ledger: usage records, durable before the client sees the end of its
//! answer, and read back.
//!
//! [`Ledger::append`] writes a record to the journal with one `write(2)` from
//! the thread that asks: that is the durable point, against the process's
//! death and not against the power's. One thread of the ledger's own brings
//! the journal into SQLite in batches. [`Reader`] sees both.
//!
//! While the database is locked, damaged or full the journal goes on; while
//! the journal cannot be written records wait in memory, as many as fit.
//! [`Ledger::state`] tells all that.

mod any;
mod frame;
mod import;
mod journal;
mod payload;
mod reader;
mod record;
mod rows;
mod schema;
mod state;
mod store;
mod sums;
mod view;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, SystemTime};

use parking_lot::{Condvar, Mutex};

pub(crate) use self::any::any_bytes;
pub use self::journal::AppendError;
pub use self::reader::{By, Page, Reader, Totals};
pub use self::record::{Discarded, Ended, Entry, Record};
pub use self::rows::Gone;
pub use self::state::{Clock, State, Trouble};
pub use self::sums::Sums;

use self::import::{Importer, Open, Progress, Sink};
use self::journal::{Journal, Lock};
use self::store::Store;
use crate::config;

/// How long records wait for company on their way into the database.
const PAUSE: Duration = Duration::from_millis(250);

/// One ledger, open for writing. Dropped, it brings over what is left.
pub struct Ledger {
    path: PathBuf,
    journal: Arc<Journal>,
    turns: Arc<Turns>,
    thread: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Ledger").field(&self.state()).finish()
    }
}

/// What the import's thread and others tell each other.
#[derive(Default)]
struct Turns {
    inner: Mutex<Turn>,
    changed: Condvar,
}

#[derive(Default)]
struct Turn {
    asked: u64,
    done: u64,
    stop: bool,
    progress: Progress,
    trouble: Option<Trouble>,
}

impl Ledger {
    /// Opens the ledger, and makes it where it is not there. `now` is asked
    /// for the age of records and the beginning of trouble.
    ///
    /// A database that cannot be opened is no error: the journal keeps the
    /// records until it can.
    ///
    /// # Errors
    /// Another process writes it, its journal cannot be written, or it has a
    /// database that cannot be opened and no journal: then nobody knows which
    /// numbers are taken.
    pub fn open(
        config: &config::Ledger,
        now: impl Fn() -> SystemTime + Send + Sync + 'static,
    ) -> Result<Self, String> {
        let path = config.path.clone();
        let open: Open = Box::new(move || {
            let store = Store::open(&path)?;
            Ok(Box::new(store) as Box<dyn Sink>)
        });
        Self::with(config, open, journal::SEGMENT, Arc::new(now))
    }

    fn with(
        config: &config::Ledger,
        mut open: Open,
        segment: u64,
        now: Clock,
    ) -> Result<Self, String> {
        let lock = Lock::take(&config.path)?;
        let opened = open().and_then(|mut sink| {
            let position = sink.position()?;
            Ok((sink, position))
        });
        let (sink, floor) = match opened {
            Ok((sink, position)) => (Some(sink), position),
            Err(why) if !lock.has_segments() => return Err(format!("ledger: {why}")),
            // Told again by the thread's first turn.
            Err(_) => (None, 0),
        };
        let journal = Arc::new(Journal::open(lock, floor, segment, Arc::clone(&now))?);
        let turns = Arc::new(Turns::default());
        let importer = Importer::new(Arc::clone(&journal), open, sink, config.retention);
        let thread = {
            let (journal, turns) = (Arc::clone(&journal), Arc::clone(&turns));
            let run = move || turns.run(&journal, importer, &now);
            Builder::spawn(Builder::new().name("ledger".to_owned()), run)
        };
        Ok(Self {
            path: config.path.clone(),
            journal,
            turns,
            thread: Some(thread.map_err(|error| format!("ledger: its thread: {error}"))?),
        })
    }

    /// Its database, for a [`Reader`].
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes a record durable: its number. Safe against the process's death
    /// when this returns. From any thread; takes some microseconds.
    ///
    /// # Errors
    /// It is not durable, but may become so.
    pub fn append(&self, entry: &Entry<'_>) -> Result<u64, AppendError> {
        self.journal.append(entry)
    }

    /// How it is.
    pub fn state(&self) -> State {
        let journal = self.journal.condition();
        let turn = self.turns.inner.lock();
        State {
            journal: journal.trouble,
            database: turn.trouble.clone(),
            appended: journal.next - 1,
            imported: turn.progress.imported,
            waiting: journal.waiting,
            lost: journal.lost,
            damaged: turn.progress.damaged,
        }
    }

    /// Waits until the database has what was appended before.
    ///
    /// # Errors
    /// Why it has not.
    pub fn flush(&self) -> Result<(), String> {
        let mut turn = self.turns.inner.lock();
        turn.asked += 1;
        let mine = turn.asked;
        self.turns.changed.notify_all();
        while turn.done < mine {
            self.turns.changed.wait(&mut turn);
        }
        turn.trouble
            .as_ref()
            .map_or(Ok(()), |it| Err(it.why.clone()))
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        self.turns.inner.lock().stop = true;
        self.turns.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // One that has panicked has nothing left to wait for.
            let _ = thread.join();
        }
        let left = self.journal.condition().waiting;
        if left > 0 {
            log::error!(
                event = "ledger", part = "journal", state = "lost", records = left;
                "ledger: {left} records could not be written before the end"
            );
        }
    }
}

impl Turns {
    /// The import's thread.
    fn run(&self, journal: &Journal, mut importer: Importer, now: &Clock) {
        loop {
            let (asked, stop) = {
                let turn = self.inner.lock();
                (turn.asked, turn.stop)
            };
            journal.retry();
            let done = importer.run(now());
            let mut turn = self.inner.lock();
            turn.progress = importer.progress;
            match done {
                Ok(()) if turn.trouble.take().is_some() => {
                    log::warn!(
                        event = "ledger", part = "database", state = "well";
                        "ledger: the database takes records again"
                    );
                }
                Ok(()) => {}
                Err(why) => {
                    if Trouble::begin(&mut turn.trouble, &why, now) {
                        log::error!(
                            event = "ledger", part = "database", state = "trouble", why = why.as_str();
                            "ledger: the database takes no records: {why}"
                        );
                    }
                }
            }
            turn.done = asked;
            self.changed.notify_all();
            if stop {
                return;
            }
            if turn.asked == asked && !turn.stop {
                self.changed.wait_for(&mut turn, PAUSE);
            }
        }
    }
}
