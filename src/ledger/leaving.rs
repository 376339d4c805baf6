//! Where a process that has handed its ledger over writes what it still has:
//! the records of streams that were in flight. It has no right to give out
//! numbers any more, so its frames have none.
//!
//! Each file is locked for as long as it is written. One whose lock is free is
//! finished, or its writer has died; it is [adopted](super::adopt) by whoever
//! writes the ledger now.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use super::record::millis;

const BEGINNING: &str = "leaving-";

/// No name is given twice by one process, whatever the clock does: what was
/// adopted is told by it.
static COUNT: AtomicU64 = AtomicU64::new(1);

/// One process's files, one after the other.
pub(super) struct Leaving {
    folder: PathBuf,
    /// The beginning of their names: no other process has had it, also where
    /// two in containers have the same id.
    name: String,
    file: Option<(File, u64)>,
}

impl Leaving {
    pub(super) fn new(folder: &Path, now: SystemTime) -> Self {
        let (process, since) = (std::process::id(), millis::of(now));
        Self {
            folder: folder.to_owned(),
            name: format!("{BEGINNING}{process}-{since}"),
            file: None,
        }
    }

    /// Writes one frame; nothing of it counts where that fails.
    pub(super) fn write(&mut self, frame: &[u8]) -> io::Result<()> {
        let (mut file, length) = match self.file.take() {
            Some(open) => open,
            None => (self.begin()?, 0),
        };
        match file.write_all(frame) {
            Ok(()) => {
                self.file = Some((file, length + frame.len() as u64));
                Ok(())
            }
            Err(error) => {
                // Else what is torn is the last of its file.
                if file.set_len(length).is_ok() {
                    self.file = Some((file, length));
                }
                Err(error)
            }
        }
    }

    /// Lets the file go to be adopted.
    pub(super) fn close(&mut self) {
        self.file = None;
    }

    /// It has its lock before it has the name by which it is found.
    fn begin(&self) -> io::Result<File> {
        loop {
            let count = COUNT.fetch_add(1, Ordering::Relaxed);
            let path = self.folder.join(format!("{}-{count}", self.name));
            let new = path.with_extension("new");
            if path.exists() {
                continue;
            }
            let file = match OpenOptions::new().append(true).create_new(true).open(&new) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                opened => opened?,
            };
            let named = file.try_lock().map_err(io::Error::from);
            return match named.and_then(|()| fs::rename(&new, &path)) {
                Ok(()) => Ok(file),
                Err(error) => {
                    // Nobody looks at it either.
                    let _ = fs::remove_file(&new);
                    Err(error)
                }
            };
        }
    }
}

/// The files of a folder that nobody writes any more, each with the lock that
/// says so.
pub(super) fn left(folder: &Path) -> io::Result<Vec<(PathBuf, File)>> {
    let mut left = Vec::new();
    for file in fs::read_dir(folder)? {
        let path = file?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        if !name.is_some_and(|name| name.starts_with(BEGINNING) && !name.contains('.')) {
            continue;
        }
        let file = match File::open(&path) {
            // Gone since it was listed.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            opened => opened?,
        };
        match file.try_lock() {
            Ok(()) => left.push((path, file)),
            Err(fs::TryLockError::WouldBlock) => {}
            Err(fs::TryLockError::Error(error)) => return Err(error),
        }
    }
    // As they were written, as far as one process's are concerned.
    left.sort_unstable_by(|(a, _), (b, _)| age(a).cmp(&age(b)));
    Ok(left)
}

/// By what files are sorted: their names, of which the shorter are older.
fn age(path: &Path) -> (usize, &Path) {
    (path.as_os_str().len(), path)
}
