//! A word that many threads change: every transition is applied by
//! compare-and-swap, so none is lost and of many that would probe one does.

use std::sync::atomic::{AtomicU64, Ordering};

use super::moment::Moment;
use super::word::{Admit, Word};

/// What a cell needs of an atomic word. The second one there is is a model
/// checker's.
pub trait Atom {
    /// A word in memory.
    fn new(bits: u64) -> Self;
    /// Reads it.
    fn load(&self) -> u64;
    /// Sets it where it still is what it was; else says what it is.
    ///
    /// # Errors
    /// What it is.
    fn exchange(&self, was: u64, is: u64) -> Result<(), u64>;
}

impl Atom for AtomicU64 {
    fn new(bits: u64) -> Self {
        Self::new(bits)
    }

    #[inline]
    fn load(&self) -> u64 {
        self.load(Ordering::Acquire)
    }

    #[inline]
    fn exchange(&self, was: u64, is: u64) -> Result<(), u64> {
        self.compare_exchange_weak(was, is, Ordering::AcqRel, Ordering::Acquire)
            .map(drop)
    }
}

/// A word that many threads change.
#[derive(Debug)]
pub struct Cell<A = AtomicU64>(A);

impl<A: Atom> Default for Cell<A> {
    fn default() -> Self {
        Self(A::new(Word::default().bits()))
    }
}

impl<A: Atom> Cell<A> {
    /// The word as it is now.
    #[inline]
    pub fn word(&self) -> Word {
        Word::from_bits(self.0.load())
    }

    /// Applies a transition to whatever the word is by then. Gives the word
    /// before and after; one that stays the same is not written.
    pub fn change(&self, transition: impl Fn(Word) -> Word) -> (Word, Word) {
        let mut was = self.word();
        loop {
            let is = transition(was);
            if is == was {
                return (was, is);
            }
            match self.0.exchange(was.bits(), is.bits()) {
                Ok(()) => return (was, is),
                Err(now) => was = Word::from_bits(now),
            }
        }
    }

    /// Admits a request, as the probe where one is due and nobody else was
    /// quicker.
    ///
    /// # Errors
    /// Why not.
    pub fn admit(&self, now: Moment) -> Result<Claimed, Admit> {
        let mut was = self.word();
        loop {
            match was.admit(now) {
                Admit::Pass => return Ok(Claimed::Nothing(was)),
                Admit::Due(is) => match self.0.exchange(was.bits(), is.bits()) {
                    Ok(()) => return Ok(Claimed::Probe),
                    Err(now) => was = Word::from_bits(now),
                },
                refused @ (Admit::Cooling(_) | Admit::Open(_) | Admit::Probing) => {
                    return Err(refused);
                }
            }
        }
    }
}

/// What an admission took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claimed {
    /// Nothing: the word admits everyone.
    Nothing(Word),
    /// The one probe's place.
    Probe,
}
