//! The ways to look at many bytes at once, and the choice among them.

use std::ops::Range;

use super::scan::{self, Memory};
#[cfg(target_arch = "x86_64")]
use super::vector::Avx2;
use super::words::Words;
use super::{Member, Syntax};

/// A way to look at many bytes at once.
pub(super) trait Lanes: Copy {
    /// Where the closing quote of the string ends whose inside begins at
    /// `start`, if the string is short and needs no second look. Most are keys,
    /// roles and ids, and done with by this.
    fn short(self, doc: &[u8], start: usize) -> Option<usize>;

    /// Checks the string whose inside begins at `start`, after its quote, and
    /// returns where its closing quote ends. Some of its UTF-8 may be left to
    /// `owed`.
    fn long(self, doc: &[u8], start: usize, owed: &mut Owed) -> Result<usize, Syntax>;

    /// [`Lanes::long`] with nothing left to be checked.
    fn exact(self, doc: &[u8], start: usize) -> Result<usize, Syntax>;

    /// Checks all that is owed, and forgets it; whether it was right.
    fn settle(self, doc: &[u8], owed: &mut Owed) -> bool;

    /// How many bytes are alike before the first that differs.
    fn alike(self, one: &[u8; 64], other: &[u8; 64]) -> usize;
}

/// Where blocks of 64 bytes stand whose UTF-8 is still to be checked.
///
/// Whether a block has anything but ASCII is hard for the processor to guess.
/// Noting it takes no guess, and checking many noted blocks in a row none
/// either.
#[derive(Debug)]
pub(super) struct Owed {
    #[cfg_attr(
        not(target_arch = "x86_64"),
        expect(dead_code, reason = "only vectors leave anything for later")
    )]
    pub(super) blocks: [usize; Self::MOST],
    pub(super) count: usize,
    /// Something that has been checked was wrong.
    pub(super) wrong: bool,
}

impl Owed {
    /// A power of two.
    pub(super) const MOST: usize = 32;

    #[inline(always)]
    pub(super) fn new() -> Self {
        Self {
            blocks: [0; Self::MOST],
            count: 0,
            wrong: false,
        }
    }

    /// Nothing is to be checked, and nothing was found wrong.
    #[inline(always)]
    pub(super) fn is_clear(&self) -> bool {
        self.count == 0 && !self.wrong
    }
}

/// The best lanes that this machine has; asked for once for each document.
#[derive(Clone, Copy, Debug)]
pub(super) enum Best {
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    Words,
}

impl Best {
    pub(super) fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if let Some(lanes) = Avx2::detect() {
                return Self::Avx2(lanes);
            }
        }
        Self::Words
    }

    /// Checks the value at `start`, `outer` levels deep; returns where it
    /// ends.
    pub(super) fn value(self, doc: &[u8], start: usize, outer: usize) -> Result<usize, Syntax> {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(lanes) => lanes.value(doc, start, outer),
            Self::Words => scan::alone(doc, start, outer, Words),
        }
    }

    /// Checks the member whose key begins at `at`, one level deep; returns
    /// where key and value stand.
    pub(super) fn member(
        self,
        doc: &[u8],
        at: usize,
    ) -> Result<(Range<usize>, Range<usize>), Syntax> {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(lanes) => lanes.member(doc, at),
            Self::Words => scan::member(doc, at, &mut Memory::new(), Words),
        }
    }

    /// Checks the members whose first key begins at `at`, up to the bracket
    /// that closes the object; returns where that stands.
    pub(super) fn members<'a>(
        self,
        doc: &'a [u8],
        at: usize,
        visit: impl FnMut(Member<'a>),
    ) -> Result<usize, Syntax> {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(lanes) => lanes.members(doc, at, visit),
            Self::Words => scan::members(doc, at, visit, Words),
        }
    }
}
