//! The journal: the durable point. One append is one `write(2)` to a segment
//! file, from the thread of the request; what the page cache has survives the
//! process, and the power's end is not the concern here.
//!
//! Segments are named after the number of their first record, so that the
//! newest one alone tells where the numbers ended. A new process begins a new
//! segment and leaves torn tails alone; a whole segment goes when all of it
//! has been imported.
//!
//! One process at a time may do all that. Another that has handed the ledger
//! over writes what it still has into [files of its own](super::leaving), and
//! whoever has the right [adopts](super::adopt) them as segments, whose names
//! then tell where they came from.

use std::collections::VecDeque;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::folder::{ENDING, Lock, origin, remove, segments};
use super::frame::{self, Frames};
use super::leaving::Leaving;
use super::record::Entry;
use super::state::{Clock, Trouble};

/// Bytes from which on a segment is followed by the next: some ten thousand
/// records, read and skipped in a moment.
pub(super) const SEGMENT: u64 = 8 << 20;

/// Records that wait in memory while nothing can be written, and their bytes.
/// A disk that stays full must not take the memory as well.
const WAITING: usize = 4096;
const WAITING_BYTES: usize = 16 << 20;

/// Why a record is not durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AppendError {
    /// Nothing can be written, and no more can wait: the record is lost.
    Lost(String),
    /// It is larger than any request can make it: the record is lost.
    TooLong,
    /// It waits in memory, to be appended before all later ones.
    Waits(String),
}

impl fmt::Display for AppendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost(why) => write!(f, "a usage record is lost: {why}"),
            Self::TooLong => f.write_str("a usage record is lost: it is too long"),
            Self::Waits(why) => write!(f, "a usage record waits in memory: {why}"),
        }
    }
}

impl std::error::Error for AppendError {}

pub(super) struct Journal {
    pub(super) inner: Mutex<Inner>,
    pub(super) folder: PathBuf,
    pub(super) now: Clock,
}

/// Whether this process may give out numbers.
pub(super) enum Right {
    Held {
        _lock: Lock,
    },
    /// Another process has it.
    Lent(Leaving),
}

pub(super) struct Inner {
    right: Right,
    /// The next record's number.
    pub(super) next: u64,
    /// [`SEGMENT`], or a test's.
    longest: u64,
    pub(super) active: Segment,
    /// Those before the active one that still have to be imported.
    pub(super) sealed: Sealed,
    /// Frames without numbers.
    waiting: VecDeque<Vec<u8>>,
    waiting_bytes: usize,
    lost: u64,
    trouble: Option<Trouble>,
}

/// Segments with their first numbers.
type Sealed = VecDeque<(u64, PathBuf)>;

pub(super) struct Segment {
    pub(super) first: u64,
    pub(super) path: PathBuf,
    pub(super) file: Arc<File>,
    /// Up to here there are whole frames.
    pub(super) length: u64,
    /// Whether something torn lies behind them that could not be cut off, or
    /// no more may come for another reason.
    pub(super) torn: bool,
}

/// What is there to import.
pub(super) struct Part {
    /// The segment's first number, which is its name.
    pub(super) first: u64,
    pub(super) file: Option<Arc<File>>,
    /// Bytes of whole frames; `None`: to the file's end.
    pub(super) length: Option<u64>,
    /// The first number after it, where no more will come into it.
    pub(super) end: Option<u64>,
}

/// The next number, a segment that begins with it, and those before.
fn begin(folder: &Path, floor: u64) -> io::Result<(u64, Segment, Sealed)> {
    let mut sealed: Sealed = segments(folder)?.into();
    let mut next = floor.saturating_add(1);
    if let Some((first, path)) = sealed.back() {
        let bytes = fs::read(path)?;
        let last = Frames::of(&bytes).map(|frame| frame.seq).last();
        next = next.max(*first).max(last.unwrap_or(0).saturating_add(1));
    }
    let active = Segment::begin(folder, next)?;
    sealed.retain(|(first, _)| *first != next);
    Ok((next, active, sealed))
}

/// How the journal is.
pub(super) struct Condition {
    pub(super) next: u64,
    pub(super) waiting: usize,
    pub(super) lost: u64,
    pub(super) trouble: Option<Trouble>,
}

impl Journal {
    /// Begins a segment. `floor` is the last number that the database has.
    ///
    /// # Errors
    /// The folder cannot be read or written.
    pub(super) fn open(lock: Lock, floor: u64, longest: u64, now: Clock) -> Result<Self, String> {
        let folder = lock.folder.clone();
        let tell = |error| format!("ledger: {}: {error}", folder.display());
        let (next, active, sealed) = begin(&folder, floor).map_err(tell)?;
        Ok(Self {
            inner: Mutex::new(Inner {
                right: Right::Held { _lock: lock },
                next,
                longest,
                active,
                sealed,
                waiting: VecDeque::new(),
                waiting_bytes: 0,
                lost: 0,
                trouble: None,
            }),
            folder,
            now,
        })
    }

    /// Lets another process write the ledger. What comes from now on goes into
    /// files that are adopted.
    pub(super) fn lend(&self) {
        let leaving = Leaving::new(&self.folder, (self.now)());
        self.inner.lock().right = Right::Lent(leaving);
    }

    /// Goes on where whoever had it has stopped. `floor` as for
    /// [`Journal::open`].
    ///
    /// # Errors
    /// As there; it stays lent.
    pub(super) fn take_back(&self, lock: Lock, floor: u64) -> io::Result<()> {
        let (next, active, sealed) = begin(&self.folder, floor)?;
        let mut inner = self.inner.lock();
        (inner.next, inner.active, inner.sealed) = (next, active, sealed);
        // What was written meanwhile is closed with this, and can be adopted.
        inner.right = Right::Held { _lock: lock };
        Ok(())
    }

    /// Appends one record; its number when it is durable.
    ///
    /// # Errors
    /// Where it is not.
    pub(super) fn append(&self, entry: &Entry<'_>) -> Result<u64, AppendError> {
        let Some(mut frame) = frame::encode(entry) else {
            self.inner.lock().lost += 1;
            return Err(AppendError::TooLong);
        };
        let mut inner = self.inner.lock();
        let written = self.settle(&mut inner);
        match written.and_then(|()| inner.write(&self.folder, &mut frame)) {
            Ok(seq) => {
                self.mended(&mut inner);
                Ok(seq)
            }
            Err(error) => Err(self.wait(&mut inner, frame, &error)),
        }
    }

    /// Writes what waits. Where the ledger is lent, what was written since the
    /// last time is let go to be adopted.
    pub(super) fn retry(&self) {
        let mut inner = self.inner.lock();
        if !inner.waiting.is_empty() && self.settle(&mut inner).is_ok() {
            self.mended(&mut inner);
        }
        if let Right::Lent(leaving) = &mut inner.right {
            leaving.close();
        }
    }

    fn settle(&self, inner: &mut Inner) -> io::Result<()> {
        while let Some(mut frame) = inner.waiting.pop_front() {
            if let Err(error) = inner.write(&self.folder, &mut frame) {
                inner.waiting.push_front(frame);
                return Err(error);
            }
            inner.waiting_bytes -= frame.len();
        }
        Ok(())
    }

    fn mended(&self, inner: &mut Inner) {
        if inner.trouble.take().is_some() {
            log::warn!(
                event = "ledger", part = "journal", state = "well";
                "ledger: records are written again"
            );
        }
    }

    fn wait(&self, inner: &mut Inner, frame: Vec<u8>, error: &io::Error) -> AppendError {
        let place = match &inner.right {
            Right::Held { .. } => &inner.active.path,
            Right::Lent(_) => &self.folder,
        };
        let why = format!("{}: {error}", place.display());
        if Trouble::begin(&mut inner.trouble, &why, &self.now) {
            log::error!(
                event = "ledger", part = "journal", state = "trouble", why = why.as_str();
                "ledger: records cannot be written: {why}"
            );
        }
        let full = inner.waiting.len() >= WAITING
            || inner.waiting_bytes.saturating_add(frame.len()) > WAITING_BYTES;
        if full {
            inner.lost += 1;
            return AppendError::Lost(why);
        }
        inner.waiting_bytes += frame.len();
        inner.waiting.push_back(frame);
        AppendError::Waits(why)
    }

    pub(super) fn condition(&self) -> Condition {
        let inner = self.inner.lock();
        Condition {
            next: inner.next,
            waiting: inner.waiting.len(),
            lost: inner.lost,
            trouble: inner.trouble.clone(),
        }
    }

    /// The oldest segment.
    ///
    /// # Errors
    /// It cannot be opened, or what it was adopted from cannot be removed. One
    /// that is gone has no file.
    pub(super) fn part(&self) -> io::Result<Part> {
        let inner = self.inner.lock();
        let active = &inner.active;
        let Some((first, path)) = inner.sealed.front() else {
            return Ok(Part {
                first: active.first,
                file: Some(Arc::clone(&active.file)),
                length: Some(active.length),
                end: None,
            });
        };
        if let Some(origin) = origin(path) {
            // When this one is gone nobody knows that that was adopted.
            remove(&origin)?;
        }
        let end = inner.sealed.get(1).map_or(active.first, |next| next.0);
        let file = match File::open(path) {
            Ok(file) => Some(Arc::new(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        Ok(Part {
            first: *first,
            file,
            length: None,
            end: Some(end),
        })
    }

    /// The oldest segment has been imported, and goes; one that is damaged is
    /// kept aside.
    ///
    /// # Errors
    /// It cannot be removed.
    pub(super) fn imported(&self, first: u64, damaged: bool) -> io::Result<()> {
        let mut inner = self.inner.lock();
        let Some((_, path)) = inner.sealed.front().filter(|front| front.0 == first) else {
            return Ok(());
        };
        let done = if damaged {
            fs::rename(path, path.with_extension("damaged"))
        } else {
            fs::remove_file(path)
        };
        match done {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        inner.sealed.pop_front();
        Ok(())
    }
}

impl Inner {
    /// Writes one frame; nothing of it stays where that fails.
    fn write(&mut self, folder: &Path, frame: &mut [u8]) -> io::Result<u64> {
        if let Right::Lent(leaving) = &mut self.right {
            frame::number(frame, frame::UNNUMBERED);
            return leaving.write(frame).map(|()| frame::UNNUMBERED);
        }
        if self.active.torn || self.active.length >= self.longest {
            match Segment::begin(folder, self.next) {
                Ok(next) => {
                    let full = std::mem::replace(&mut self.active, next);
                    // One without a whole frame has just given up its name.
                    if full.first < self.next {
                        self.sealed.push_back((full.first, full.path));
                    }
                }
                // The old one still takes it, whatever its size.
                Err(_) if !self.active.torn => {}
                Err(error) => return Err(error),
            }
        }
        let seq = self.next;
        frame::number(frame, seq);
        let mut file = &*self.active.file;
        if let Err(error) = file.write_all(frame) {
            self.active.torn = file.set_len(self.active.length).is_err();
            return Err(error);
        }
        self.active.length += frame.len() as u64;
        self.next = seq.saturating_add(1);
        Ok(seq)
    }
}

impl Segment {
    pub(super) fn begin(folder: &Path, first: u64) -> io::Result<Self> {
        let path = folder.join(format!("{first:020}{ENDING}"));
        // One that holds a torn first record only, or none at all.
        if fs::metadata(&path).is_ok_and(|data| data.len() > 0) {
            fs::rename(&path, path.with_extension("torn"))?;
        }
        let mut open = OpenOptions::new();
        let file = open.append(true).read(true).create(true).open(&path)?;
        Ok(Self {
            first,
            path,
            file: Arc::new(file),
            length: 0,
            torn: false,
        })
    }
}
