//! Places that are taken and given back: how a bound on what is there at once
//! is kept, without a queue and without a lock.

use std::sync::atomic::{AtomicUsize, Ordering};

/// How many places are taken.
#[derive(Debug, Default)]
pub struct Places(AtomicUsize);

/// Some of the [`Places`], until it is dropped.
#[derive(Debug)]
#[must_use = "dropped, it gives its places back"]
pub struct Place<'a> {
    of: &'a AtomicUsize,
    size: usize,
}

impl Places {
    /// How many are taken.
    pub fn taken(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// None yet: it can grow.
    pub fn place(&self) -> Place<'_> {
        Place {
            of: &self.0,
            size: 0,
        }
    }

    /// Takes so many where no more than `most` are taken then; nothing
    /// otherwise. Who asks for more than there is can, for the moment of its
    /// asking, be in the way of another who would just have fitted in: never
    /// are more given than there are.
    pub fn take(&self, size: usize, most: usize) -> Option<Place<'_>> {
        let mut place = self.place();
        place.grow(size, most).then_some(place)
    }
}

impl Place<'_> {
    /// Becomes so large, where no more than `most` are taken then; stays as it
    /// is otherwise. Never shrinks.
    pub fn grow(&mut self, to: usize, most: usize) -> bool {
        let more = to.saturating_sub(self.size);
        let before = self.of.fetch_add(more, Ordering::Relaxed);
        let fits = before.checked_add(more).is_some_and(|all| all <= most);
        if fits {
            self.size += more;
        } else {
            self.of.fetch_sub(more, Ordering::Relaxed);
        }
        fits
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.of.fetch_sub(self.size, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
