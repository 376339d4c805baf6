//! Which brackets are open, as one bit for each.

use super::scan::fault;
use super::{Fault, MAX_DEPTH, Syntax};

/// The innermost open brackets, at most 63 of them: one bit for each, set for
/// an object, the innermost one's lowest. A bit that is set stands above them,
/// so that this says how many they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Brackets(u64);

impl Brackets {
    const NONE: Self = Self(1);

    /// How many these are; there is always at least the bit above them.
    #[inline(always)]
    fn count(self) -> usize {
        self.0.checked_ilog2().unwrap_or_default() as usize
    }

    #[inline(always)]
    fn is_full(self) -> bool {
        self.0 >> 63 == 1
    }
}

/// Which brackets are open.
#[derive(Debug)]
pub(super) struct Nest {
    top: Brackets,
    /// How many are open, with those around the value.
    depth: usize,
    /// The ones beneath `top`, where there are too many for it.
    under: [Brackets; MAX_DEPTH.div_ceil(63)],
    under_count: usize,
}

impl Nest {
    #[inline(always)]
    pub(super) fn new(outer: usize) -> Self {
        Self {
            top: Brackets::NONE,
            depth: outer,
            under: [Brackets::NONE; MAX_DEPTH.div_ceil(63)],
            under_count: 0,
        }
    }

    #[inline(always)]
    pub(super) fn open(&mut self, object: bool, at: usize) -> Result<(), Syntax> {
        if self.depth >= MAX_DEPTH {
            return Err(fault(at, Fault::TooDeep));
        }
        if self.top.is_full() {
            self.spill();
        }
        self.top = Brackets(self.top.0 << 1 | u64::from(object));
        self.depth += 1;
        Ok(())
    }

    #[inline(always)]
    pub(super) fn close(&mut self) {
        self.depth -= 1;
        self.top.0 >>= 1;
        if self.top == Brackets::NONE && self.under_count > 0 {
            self.unspill();
        }
    }

    #[cold]
    #[inline(never)]
    fn spill(&mut self) {
        if let Some(place) = self.under.get_mut(self.under_count) {
            *place = self.top;
            self.under_count += 1;
            self.top = Brackets::NONE;
        }
    }

    #[cold]
    #[inline(never)]
    fn unspill(&mut self) {
        self.under_count -= 1;
        if let Some(place) = self.under.get(self.under_count) {
            self.top = *place;
        }
    }

    /// All open brackets of the value, if they are few.
    #[inline(always)]
    pub(super) fn all(&self) -> Option<Brackets> {
        (self.under_count == 0).then_some(self.top)
    }

    /// Makes `all` what is open, where [`Nest::all`] are known.
    #[inline(always)]
    pub(super) fn set_all(&mut self, all: Brackets) {
        self.depth = self.depth + all.count() - self.top.count();
        self.top = all;
    }

    /// How many brackets are open, with those around the value.
    #[inline(always)]
    pub(super) fn depth(&self) -> usize {
        self.depth
    }

    /// Whether the innermost one is an object's.
    #[inline(always)]
    pub(super) fn in_object(&self) -> bool {
        self.top.0 & 1 == 1
    }
}
