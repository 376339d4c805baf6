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

mod adopt;
mod any;
mod folder;
mod frame;
mod import;
mod journal;
mod leaving;
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

use self::folder::Lock;
use self::import::{Importer, Open, Progress, Sink};
use self::journal::Journal;
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
    /// Whether another process is to write the ledger.
    lend: bool,
    /// Whether it may.
    is_lent: bool,
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
        let (sink, floor) = import::begin(&mut open, &lock)?;
        let journal = Arc::new(Journal::open(lock, floor, segment, Arc::clone(&now))?);
        // What fails is tried again, and told, by the thread's first turn.
        let _ = journal.adopt();
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

    /// The folder of its journal, by which two processes know that they mean
    /// the same ledger; `None` where there is none yet.
    pub fn place(path: &Path) -> Option<PathBuf> {
        folder::folder(path).canonicalize().ok()
    }

    /// Lets another process open it. Records that are appended here from now
    /// on are durable all the same, and that process gives them their numbers.
    /// Waits for what is being imported.
    ///
    /// # Errors
    /// It is not free in so much time, and stays as it was.
    pub fn hand_over(&self, longest: Duration) -> Result<(), String> {
        let mut turn = self.turns.inner.lock();
        turn.lend = true;
        self.turns.changed.notify_all();
        let changed = &self.turns.changed;
        changed.wait_while_for(&mut turn, |turn| !turn.is_lent, longest);
        if !turn.is_lent {
            turn.lend = false;
            return Err("ledger: its database is busy".to_owned());
        }
        Ok(())
    }

    /// Writes it again, as soon as no other process does.
    pub fn take_back(&self) {
        self.turns.inner.lock().lend = false;
        self.turns.changed.notify_all();
    }

    /// Makes a record durable: its number, 0 where that is given by the process
    /// that it was handed over to. Safe against the process's death
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

    /// Waits until the database has what was appended before; where another
    /// process writes it, until that one can get it.
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
        let mut is_lent = false;
        loop {
            let (asked, stop, lend) = {
                let turn = self.inner.lock();
                (turn.asked, turn.stop, turn.lend)
            };
            journal.retry();
            let back = match (is_lent, lend) {
                (true, false) => importer.take_back(),
                (true, true) | (false, _) => Ok(()),
            };
            is_lent = is_lent && (lend || back.is_err());
            let done = if is_lent {
                back
            } else {
                // Where there is no room to adopt, what is imported makes some.
                let adopted = journal.adopt().map_err(|error| error.to_string());
                importer.run(now()).and(adopted)
            };
            if lend && !is_lent {
                importer.lend();
                is_lent = true;
            }
            let mut turn = self.inner.lock();
            turn.is_lent = is_lent;
            turn.progress = importer.progress;
            turn.note(done, now);
            turn.done = asked;
            self.changed.notify_all();
            if stop {
                return;
            }
            if turn.asked == asked && turn.lend == lend && !turn.stop {
                self.changed.wait_for(&mut turn, PAUSE);
            }
        }
    }
}

impl Turn {
    /// Tells when trouble begins and ends.
    fn note(&mut self, done: Result<(), String>, now: &Clock) {
        match done {
            Ok(()) if self.trouble.take().is_some() => {
                log::warn!(
                    event = "ledger", part = "database", state = "well";
                    "ledger: the database takes records again"
                );
            }
            Ok(()) => {}
            Err(why) => {
                if Trouble::begin(&mut self.trouble, &why, now) {
                    log::error!(
                        event = "ledger", part = "database", state = "trouble", why = why.as_str();
                        "ledger: the database takes no records: {why}"
                    );
                }
            }
        }
    }
}
