//! From the journal into the database, in batches: the database knows the
//! number up to which it has all records, and moves it in the transaction that
//! brings them. So whatever moment a process dies at, no row is missing and
//! none is there twice.

use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::folder::Lock;
use super::frame::Frames;
use super::journal::{Journal, Part};
use super::record::{Entry, millis};

/// Records of one transaction: enough that its own cost is nothing beside
/// theirs, and few enough that readers are not kept waiting.
const BATCH: usize = 2048;

/// After so many records others may run before the next: a quarter of a
/// second's requests are imported in one go, and on a core that is shared with
/// those who serve requests this would keep them waiting for milliseconds.
const BREATH: usize = 64;

/// Between two records: lets others run, every now and then.
pub(super) fn breathe(records: usize) {
    if records.is_multiple_of(BREATH) {
        std::thread::yield_now();
    }
}

/// Rows that one transaction of retention removes.
const TRIM: usize = 2048;

/// How often old rows are looked for, where none are left.
const TRIMS: Duration = Duration::from_mins(1);

const HOUR: i64 = 3_600_000;

/// Where records go: the database, or whatever else may follow it.
pub(super) trait Sink: Send {
    /// The last number that it has; 0 before the first.
    ///
    /// # Errors
    /// Why that cannot be told.
    fn position(&mut self) -> Result<u64, String>;

    /// Takes all or nothing, and with it moves the position.
    ///
    /// # Errors
    /// Why not; also where the position is not `from`.
    fn take(&mut self, from: u64, to: u64, batch: &[(u64, Entry<'_>)]) -> Result<(), String>;

    /// Removes at most so many of the oldest rows from before that time (in
    /// milliseconds, a whole hour); how many it removed.
    ///
    /// # Errors
    /// Why not.
    fn trim(&mut self, before: i64, most: usize) -> Result<usize, String>;
}

/// Opens the sink, again after each failure.
pub(super) type Open = Box<dyn FnMut() -> Result<Box<dyn Sink>, String> + Send>;

/// What has been done.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Progress {
    pub(super) imported: u64,
    pub(super) damaged: u64,
}

/// Opens a sink and tells its position; without it, the journal must know
/// which numbers are taken.
///
/// # Errors
/// Why neither does.
pub(super) fn begin(open: &mut Open, lock: &Lock) -> Result<(Option<Box<dyn Sink>>, u64), String> {
    let opened = open().and_then(|mut sink| {
        let position = sink.position()?;
        Ok((Some(sink), position))
    });
    match opened {
        Ok(both) => Ok(both),
        Err(why) if !lock.has_segments() => Err(format!("ledger: {why}")),
        // Told again by the thread's first turn.
        Err(_) => Ok((None, 0)),
    }
}

pub(super) struct Importer {
    journal: Arc<Journal>,
    open: Open,
    sink: Option<Box<dyn Sink>>,
    retention: Option<Duration>,
    trimmed: Option<SystemTime>,
    /// The segment that is being read, and how far it has been.
    segment: u64,
    offset: u64,
    damaged: bool,
    pub(super) progress: Progress,
}

impl Importer {
    pub(super) fn new(
        journal: Arc<Journal>,
        open: Open,
        sink: Option<Box<dyn Sink>>,
        retention: Option<Duration>,
    ) -> Self {
        Self {
            journal,
            open,
            sink,
            retention,
            trimmed: None,
            segment: 0,
            offset: 0,
            damaged: false,
            progress: Progress::default(),
        }
    }

    /// Brings everything over that is there now, and lets go what is old.
    ///
    /// # Errors
    /// What the database or the journal says. All is as it was, or further.
    pub(super) fn run(&mut self, now: SystemTime) -> Result<(), String> {
        let mut sink = match self.sink.take() {
            Some(sink) => sink,
            None => (self.open)()?,
        };
        // Where this fails the sink is opened anew: it may be another one.
        self.import(&mut *sink)?;
        self.trim(&mut *sink, now)?;
        self.sink = Some(sink);
        Ok(())
    }

    fn import(&mut self, sink: &mut dyn Sink) -> Result<(), String> {
        let mut position = sink.position()?;
        let next = self.journal.condition().next;
        if position >= next {
            return Err(format!(
                "the database has records up to {position}, the journal gives out {next}: they do not belong together"
            ));
        }
        self.progress.imported = position;
        loop {
            let part = self.journal.part().map_err(|error| error.to_string())?;
            if part.first != self.segment {
                (self.segment, self.offset, self.damaged) = (part.first, 0, false);
            }
            let bytes = self.unread(&part).map_err(|error| error.to_string())?;
            let known = position;
            // A new database misses nothing of what was before it.
            let mut seen = match position {
                0 => part.first.saturating_sub(1),
                position => position,
            };
            let mut frames = Frames::of(&bytes).filter(|frame| frame.seq > known);
            loop {
                let mut batch = Vec::with_capacity(BATCH);
                let (from, mut to, mut missing) = (position, position, 0);
                for frame in frames.by_ref().take(BATCH) {
                    breathe(batch.len());
                    missing += between(seen, frame.seq);
                    (seen, to) = (frame.seq, frame.seq);
                    match frame.entry() {
                        Some(entry) => batch.push((frame.seq, entry)),
                        None => missing += 1,
                    }
                }
                if to == from {
                    break;
                }
                sink.take(from, to, &batch)?;
                position = to;
                self.moved(to, missing);
            }
            self.offset += bytes.len() as u64;
            let Some(end) = part.end else {
                return Ok(());
            };
            let last = end.saturating_sub(1);
            if last > position {
                sink.take(position, last, &[])?;
                self.moved(last, between(seen, end));
                position = last;
            }
            let gone = self.journal.imported(part.first, self.damaged);
            gone.map_err(|error| error.to_string())?;
            self.forget();
        }
    }

    /// No segment is being read.
    fn forget(&mut self) {
        (self.segment, self.offset, self.damaged) = (0, 0, false);
    }

    /// Lets another process do this.
    pub(super) fn lend(&mut self) {
        self.sink = None;
        self.forget();
        self.journal.lend();
    }

    /// Goes on with it, where nobody else does any more.
    ///
    /// # Errors
    /// Somebody does, or what is wrong with the database or the journal.
    pub(super) fn take_back(&mut self) -> Result<(), String> {
        let lock = Lock::of(&self.journal.folder)?;
        let (sink, floor) = begin(&mut self.open, &lock)?;
        self.sink = sink;
        let back = self.journal.take_back(lock, floor);
        back.map_err(|error| error.to_string())
    }

    fn moved(&mut self, to: u64, missing: u64) {
        self.progress.imported = to;
        if missing > 0 {
            self.damaged = true;
            self.progress.damaged += missing;
            log::error!(
                event = "ledger", part = "journal", state = "damaged", records = missing;
                "ledger: {missing} records up to {to} are damaged; their segment is kept"
            );
        }
    }

    fn unread(&self, part: &Part) -> std::io::Result<Vec<u8>> {
        let Some(file) = &part.file else {
            return Ok(Vec::new());
        };
        let end = match part.length {
            Some(length) => length,
            None => file.metadata()?.len(),
        };
        let length = end.saturating_sub(self.offset);
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
        file.read_exact_at(&mut bytes, self.offset)?;
        Ok(bytes)
    }

    fn trim(&mut self, sink: &mut dyn Sink, now: SystemTime) -> Result<(), String> {
        let Some(before) = self.retention.and_then(|age| now.checked_sub(age)) else {
            return Ok(());
        };
        let is_due = |last: SystemTime| now.duration_since(last).is_ok_and(|age| age >= TRIMS);
        if !self.trimmed.is_none_or(is_due) {
            return Ok(());
        }
        let before = millis::of(before) / HOUR * HOUR;
        // The rest in the next turn: new records do not wait for old ones.
        if sink.trim(before, TRIM)? < TRIM {
            self.trimmed = Some(now);
        }
        Ok(())
    }
}

/// How many numbers lie between two.
fn between(last: u64, next: u64) -> u64 {
    next.saturating_sub(last).saturating_sub(1)
}
