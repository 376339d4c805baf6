//! What stands between two long strings, remembered.
//!
//! In a chat the same few bytes stand between one message's text and the next
//! one's: `"},{"role":"user","content":"`. A gap that has been read once need
//! not be read again.
//!
//! Why that is exact: the grammar reads a document from left to right, and all
//! it knows at any place, within one value of a document, is which brackets are
//! open there ([`Brackets`]). A gap is the bytes from just after a string that
//! was a value to just within the next such string. What is read of it, and
//! what is open at its end, follow from its bytes and from what is open at its
//! start: no token within it depends on a byte after it, as its last byte is a
//! quote. So where the same bytes come with the same brackets open, the same
//! comes of it. Only gaps without a fault are remembered.

use super::lanes::Lanes;
use super::nest::Brackets;

/// How many gaps are remembered. A chat with tools has about this many.
const GAPS: usize = 4;

/// One gap.
#[derive(Clone, Copy, Debug, Default)]
struct Gap {
    /// Where it stands. There are 64 bytes from here on.
    at: usize,
    /// Its length in bytes, at most 64.
    length: usize,
    /// What is open before it; none where there is no gap.
    from: Brackets,
    /// What is open after it.
    to: Brackets,
    /// Which gap came after this one the last time.
    next: usize,
}

/// The gaps that were last seen in a document.
#[derive(Debug)]
pub(super) struct Gaps {
    gaps: [Gap; GAPS],
    /// The last gap that was passed.
    last: usize,
    /// Which gap gives way to the next new one.
    oldest: usize,
    /// Where the last long string ended, and what was open there.
    end: Option<(usize, Brackets)>,
}

impl Gaps {
    #[inline(always)]
    pub(super) fn new() -> Self {
        Self {
            gaps: [Gap::default(); GAPS],
            last: 0,
            oldest: 0,
            end: None,
        }
    }

    /// A value begins: no gap reaches into it.
    #[inline(always)]
    pub(super) fn begin(&mut self) {
        self.end = None;
    }

    /// A long string begins at `start`, where the grammar came to by itself:
    /// what it passed on the way is remembered.
    pub(super) fn remember(&mut self, doc: &[u8], start: usize, to: Option<Brackets>) {
        let (Some((at, from)), Some(to)) = (self.end.take(), to) else {
            return;
        };
        let length = start - at;
        if length > 64 || doc.len() - at < 64 {
            return;
        }
        let place = self.oldest;
        self.oldest = (place + 1) % GAPS;
        if let Some(last) = self.gaps.get_mut(self.last) {
            last.next = place;
        }
        if let Some(gap) = self.gaps.get_mut(place) {
            *gap = Gap {
                at,
                length,
                from,
                to,
                next: place,
            };
            self.last = place;
        }
    }

    /// A long string ended at `at`: passes the gap that follows it, if it is
    /// remembered. Returns where the next string's inside begins, and what is
    /// open there.
    #[inline(always)]
    pub(super) fn pass<L: Lanes>(
        &mut self,
        doc: &[u8],
        at: usize,
        from: Option<Brackets>,
        lanes: L,
    ) -> Option<(usize, Brackets)> {
        let from = from?;
        let here = doc.get(at..).and_then(<[u8]>::first_chunk)?;
        let fits = |gap: &Gap| {
            let there = doc.get(gap.at..).and_then(<[u8]>::first_chunk);
            gap.from == from && there.is_some_and(|there| lanes.alike(here, there) >= gap.length)
        };
        // What followed the last gap before is likely to follow it again.
        let guess = self.gaps.get(self.last)?.next;
        let gap = self.gaps.get(guess)?;
        if fits(gap) {
            self.last = guess;
            return Some((at + gap.length, gap.to));
        }
        let other = self.gaps.iter().position(fits);
        let Some((place, gap)) = other.and_then(|place| Some((place, self.gaps.get(place)?)))
        else {
            self.end = Some((at, from));
            return None;
        };
        let passed = (at + gap.length, gap.to);
        if let Some(last) = self.gaps.get_mut(self.last) {
            last.next = place;
        }
        self.last = place;
        Some(passed)
    }
}
