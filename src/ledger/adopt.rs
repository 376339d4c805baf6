//! Takes up what other processes [leave](super::leaving): their frames get
//! numbers, in a segment whose name tells which file they came from.
//!
//! 1. The segment is written under another name.
//! 2. It gets its own: this is the moment from which on its records are in
//!    the ledger.
//! 3. The file that it came from goes.
//!
//! Who dies after the second finds the segment, and removes the file without
//! reading it; [`Journal::part`] gives out no segment before that is done. So
//! each record comes in once, whatever moment anybody dies at.

use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::path::Path;
use std::sync::Arc;

use super::folder::{adopted, give_up, origin, remove, segments};
use super::frame::Frames;
use super::journal::{Inner, Journal, Segment};
use super::leaving::left;

impl Journal {
    /// Takes up all that is finished. Only with the right to give out numbers.
    ///
    /// # Errors
    /// What the file system says. It is tried again at any time.
    pub(super) fn adopt(&self) -> io::Result<()> {
        for (path, mut file) in left(&self.folder)? {
            let mut bytes = Vec::new();
            file.rewind()?;
            file.read_to_end(&mut bytes)?;
            let known = segments(&self.folder)?;
            let is_known = known
                .iter()
                .any(|(_, segment)| origin(segment).as_ref() == Some(&path));
            let frames = || Frames::of(&bytes);
            let whole: usize = frames().map(|frame| frame.size()).sum();
            if !is_known && whole > 0 {
                self.inner.lock().adopt(&self.folder, &path, frames())?;
            }
            stop::here()?;
            if whole < bytes.len() {
                let why = bytes.len() - whole;
                log::error!(
                    event = "ledger", part = "journal", state = "damaged";
                    "ledger: {}: {why} bytes are no records; they are kept", path.display()
                );
                fs::rename(&path, path.with_extension("damaged"))?;
            } else {
                remove(&path)?;
            }
            stop::here()?;
        }
        Ok(())
    }
}

impl Inner {
    fn adopt<'a>(
        &mut self,
        folder: &Path,
        from: &Path,
        frames: impl Iterator<Item = super::frame::Frame<'a>>,
    ) -> io::Result<()> {
        let (first, mut next) = (self.next, self.next);
        let mut bytes = Vec::new();
        for frame in frames {
            frame.renumbered(next, &mut bytes);
            next += 1;
        }
        let (new, path) = (from.with_extension("adopting"), adopted(from, first));
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&new)?;
        stop::here()?;
        file.write_all(&bytes)?;
        stop::here()?;
        fs::rename(&new, &path)?;
        // Nothing may fail before all this is noted: its numbers are taken.
        self.next = next;
        let stopped = stop::here();
        let begun = stopped.and_then(|()| Segment::begin(folder, next));
        let active = begun.unwrap_or_else(|_| Segment {
            first: next,
            path: path.clone(),
            file: Arc::new(file),
            length: 0,
            torn: true,
        });
        let full = std::mem::replace(&mut self.active, active);
        let stood_in = self.sealed.iter().any(|(_, path)| *path == full.path);
        if full.length > 0 {
            self.sealed.push_back((full.first, full.path));
        } else if !stood_in {
            // One that stays has no whole frame, and is found so.
            let _ = give_up(&full.path);
        }
        self.sealed.push_back((first, path));
        Ok(())
    }
}

/// Where a test lets it end.
mod stop {
    use std::io;

    #[cfg(test)]
    thread_local! {
        /// So many places are passed, and the next is none.
        pub(super) static AFTER: std::cell::Cell<Option<u32>> = const { std::cell::Cell::new(None) };
    }

    #[cfg(not(test))]
    pub(super) fn here() -> io::Result<()> {
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn here() -> io::Result<()> {
        AFTER.with(|after| match after.get() {
            Some(0) => Err(io::Error::other("stopped")),
            Some(more) => {
                after.set(Some(more - 1));
                Ok(())
            }
            None => Ok(()),
        })
    }
}

/// Lets this thread's adoptions end after so many of their steps; they go on
/// again with nothing.
#[cfg(test)]
pub(super) fn stop_after(steps: Option<u32>) {
    stop::AFTER.with(|after| after.set(steps));
}
