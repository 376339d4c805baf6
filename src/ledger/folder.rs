//! The folder of a journal: its files' names, and the right to write them.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// What segments' names end with.
pub(super) const ENDING: &str = ".frames";

/// The folder of a ledger's segments.
pub(super) fn folder(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(".journal");
    PathBuf::from(name)
}

/// The segments of a folder with the numbers of their first records, oldest
/// first.
pub(super) fn segments(folder: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut segments = Vec::new();
    for file in fs::read_dir(folder)? {
        let path = file?.path();
        if let Some((first, _)) = parts(&path) {
            segments.push((first, path));
        }
    }
    segments.sort_unstable();
    Ok(segments)
}

/// What a segment's name says: its first number, and the file that it was
/// adopted from.
fn parts(path: &Path) -> Option<(u64, Option<&str>)> {
    let name = path.file_name()?.to_str()?.strip_suffix(ENDING)?;
    match name.split_once('.') {
        Some((first, from)) => Some((first.parse().ok()?, Some(from))),
        None => Some((name.parse().ok()?, None)),
    }
}

/// The file that a segment was adopted from.
pub(super) fn origin(segment: &Path) -> Option<PathBuf> {
    let (_, from) = parts(segment)?;
    Some(segment.with_file_name(from?))
}

/// The segment of what was adopted from a file.
pub(super) fn adopted(from: &Path, first: u64) -> PathBuf {
    let mut name = OsString::from(format!("{first:020}."));
    name.push(from.file_name().unwrap_or_default());
    name.push(ENDING);
    from.with_file_name(name)
}

/// Removes a file that may be gone.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// A segment without a whole frame gives up its name.
pub(super) fn give_up(path: &Path) -> io::Result<()> {
    if fs::metadata(path).is_ok_and(|data| data.len() > 0) {
        return fs::rename(path, path.with_extension("torn"));
    }
    remove(path)
}

/// The right to write a ledger; ends with the process.
#[derive(Debug)]
pub(super) struct Lock {
    pub(super) folder: PathBuf,
    _file: File,
}

impl Lock {
    /// # Errors
    /// Another process has it, or the folder cannot be made.
    pub(super) fn take(database: &Path) -> Result<Self, String> {
        let folder = folder(database);
        let tell = |error| format!("ledger: {}: {error}", folder.display());
        fs::create_dir_all(&folder).map_err(tell)?;
        Self::of(&folder)
    }

    /// The same, by the folder of the journal.
    ///
    /// # Errors
    /// Another process has it.
    pub(super) fn of(folder: &Path) -> Result<Self, String> {
        let tell = |error| format!("ledger: {}: {error}", folder.display());
        let mut open = OpenOptions::new();
        open.create(true).write(true).truncate(false);
        let file = open.open(folder.join("lock")).map_err(tell)?;
        match file.try_lock() {
            Ok(()) => Ok(Self {
                folder: folder.to_owned(),
                _file: file,
            }),
            Err(TryLockError::Error(error)) => Err(tell(error)),
            Err(TryLockError::WouldBlock) => Err(format!(
                "ledger: {} is already written by another process; give each its own `ledger.path`",
                folder.with_extension("").display()
            )),
        }
    }

    /// Whether there was ever a journal here.
    pub(super) fn has_segments(&self) -> bool {
        segments(&self.folder).is_ok_and(|segments| !segments.is_empty())
    }
}
