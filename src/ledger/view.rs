//! One moment of a ledger: the database as of one transaction, and from the
//! journal what that transaction does not have.
//!
//! The segments are opened first: a record that is imported and whose segment
//! is removed while we look is then in one of the two, and told by its number
//! it is never counted twice.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::folder::{folder, segments};
use super::frame::Frames;
use super::record::Entry;
use super::schema::{for_reading, meta, tell};

pub(super) struct View {
    pub(super) path: PathBuf,
    pub(super) database: Option<Connection>,
    /// The last number that the database has.
    pub(super) position: u64,
    /// Milliseconds since 1970: what is older has been let go.
    pub(super) kept_since: i64,
    segments: Vec<File>,
}

impl View {
    /// # Errors
    /// Neither is there, or what is wrong with one of them.
    pub(super) fn take(path: &Path) -> Result<Self, String> {
        let folder = folder(path);
        let told = |error| format!("{}: {error}", folder.display());
        let listed = match listed(&folder) {
            Ok(listed) => listed,
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(told(error)),
        };
        let mut files = Vec::with_capacity(listed.len());
        for (_, segment) in &listed {
            match File::open(segment) {
                Ok(file) => files.push(file),
                // Imported since it was listed.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(told(error)),
            }
        }
        let database = for_reading(path)?;
        if database.is_none() && listed.is_empty() {
            return Err(format!(
                "{}: no ledger is there; `standin serve` makes it where the configuration has a `ledger`",
                path.display()
            ));
        }
        let number = |name| match &database {
            Some(database) => meta(database, name).map_err(tell(path)),
            None => Ok(0),
        };
        Ok(Self {
            position: number("position")?.unsigned_abs(),
            kept_since: number("kept_since")?,
            path: path.to_owned(),
            segments: files,
            database,
        })
    }

    /// Goes through what the database does not have yet, until told to stop.
    ///
    /// # Errors
    /// A segment cannot be read.
    pub(super) fn pending(
        &self,
        mut each: impl FnMut(u64, &Entry<'_>) -> bool,
    ) -> Result<(), String> {
        for mut file in &self.segments {
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)
                .map_err(|error| format!("{}: {error}", folder(&self.path).display()))?;
            for frame in Frames::of(&bytes) {
                if frame.seq > self.position
                    && let Some(entry) = frame.entry()
                    && !each(frame.seq, &entry)
                {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

/// How often a folder is listed until nothing has changed meanwhile.
const LISTINGS: usize = 100;

/// The segments of a folder as they were at one moment: two come at once where
/// one is adopted, and a single listing may have the second without the first.
fn listed(folder: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut before = segments(folder)?;
    for _ in 0..LISTINGS {
        let now = segments(folder)?;
        if now == before {
            return Ok(now);
        }
        before = now;
    }
    Err(io::Error::other("its segments change all the time"))
}
