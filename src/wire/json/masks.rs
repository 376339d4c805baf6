//! The inside of a string by masks, 64 bytes at a time, whatever stands in it.
//!
//! This is the way for strings that [`super::vector`] cannot pass over as
//! plain: every escape and every character is found by a few operations on
//! words of which each bit stands for one byte.

use super::scan::fault;
use super::words::{escape, may_follow};
use super::{Fault, Syntax};

/// One bit for each of 64 bytes, the first byte's lowest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Masks {
    /// Quotes and control characters: what can end a string.
    pub(super) stops: u64,
    /// Backslashes.
    pub(super) backslashes: u64,
    /// Characters that may stand after a backslash and need no second look. It
    /// is enough that the frequent ones are among them; `u` must not be.
    pub(super) tame: u64,
    /// Zero if all bytes are ASCII; [`Blocks::wide`] says which are not.
    pub(super) wide: u64,
}

impl Masks {
    /// Without the first `count` bytes, fewer than 64.
    fn from(self, count: usize) -> Self {
        Self {
            stops: self.stops >> count,
            backslashes: self.backslashes >> count,
            tame: self.tame >> count,
            wide: self.wide,
        }
    }

    /// Whether these are nothing but the inside of a string, in ASCII and
    /// without two backslashes in a row.
    #[inline(always)]
    fn is_plain(self) -> bool {
        let followers = self.backslashes << 1;
        let hangs = self.backslashes >> 63;
        let tame = self.tame & !self.backslashes;
        (self.stops & !followers) | (followers & !tame) | self.wide | hangs == 0
    }

    /// The bytes that a backslash escapes, where the first byte is not one.
    ///
    /// In a run of backslashes every second one is escaped, and the byte after
    /// the run where its length is odd. So these are the bytes after each
    /// backslash whose distance from the run's start is odd: the odd places
    /// for a run that starts at an even one, and the other way round. Adding
    /// the starts to the runs carries through a run and so marks the whole of
    /// those that start at even places.
    #[inline(always)]
    pub(super) fn escaped(self) -> u64 {
        const EVEN: u64 = 0x5555_5555_5555_5555;
        let runs = self.backslashes;
        let followers = runs << 1;
        let even_starts = runs & !followers & EVEN;
        let even_runs = runs.wrapping_add(even_starts) ^ runs;
        followers & (even_runs ^ EVEN)
    }
}

/// The bits of 64 bytes by which UTF-8 is told: bit 7 of each byte, and so on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wide {
    pub(super) bit7: u64,
    pub(super) bit6: u64,
    pub(super) bit5: u64,
    pub(super) bit4: u64,
    /// The bytes 0xC0, 0xC1, 0xE0 and 0xED: some of what they could begin is
    /// not allowed. The same goes for bytes from 0xF0 on.
    pub(super) delicate: u64,
}

impl Wide {
    /// Without the first `count` bytes, fewer than 64.
    fn from(self, count: usize) -> Self {
        Self {
            bit7: self.bit7 >> count,
            bit6: self.bit6 >> count,
            bit5: self.bit5 >> count,
            bit4: self.bit4 >> count,
            delicate: self.delicate >> count,
        }
    }
}

/// A way to find the masks of 64 bytes.
pub(super) trait Blocks: Copy {
    /// What the escapes and the end are told by.
    fn block(self, bytes: &[u8; 64]) -> Masks;

    /// What the UTF-8 is told by, where some bytes are not ASCII.
    fn wide(self, bytes: &[u8; 64]) -> Wide;
}

/// Where a walk over blocks came to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Walk {
    /// The string's end, after its closing quote.
    End(usize),
    /// Within the string, with a block before it that was plain.
    Plain(usize),
}

/// Checks the inside of a string from `start` on, where a whole character
/// begins that is not escaped: up to the string's end, or past the first plain
/// block if `until_plain`.
///
/// Goes on by a block of 64 bytes; by less where its end would part what
/// belongs together, so that every block begins with a whole character.
#[inline(always)]
pub(super) fn walk<B: Blocks>(
    doc: &[u8],
    start: usize,
    until_plain: bool,
    blocks: B,
) -> Result<Walk, Syntax> {
    let mut at = start;
    while let Some(bytes) = doc.get(at..).and_then(<[u8]>::first_chunk) {
        let masks = blocks.block(bytes);
        if masks.is_plain() {
            at += 64;
            if until_plain {
                return Ok(Walk::Plain(at));
            }
            continue;
        }
        let block = Block::of(masks);
        let cut = if masks.wide != 0 {
            utf8(doc, at, &blocks.wide(bytes), block.stops)?
        } else {
            64
        };
        if let Some(end) = block.end(doc, at)? {
            return Ok(Walk::End(end + 1));
        }
        // The usual step is a constant of its own, so that the processor can
        // begin the next block before it is done with this one.
        if cut < 64 || block.hangs {
            at += short_step(cut, block.hangs);
        } else {
            at += 64;
        }
    }
    Ok(Walk::End(tail(doc, at, blocks)?))
}

#[cold]
#[inline(never)]
fn short_step(cut: usize, hangs: bool) -> usize {
    if hangs { cut.min(63) } else { cut }
}

/// [`walk`] for the fewer than 64 bytes from `at` to the document's end.
#[inline(always)]
fn tail<B: Blocks>(doc: &[u8], at: usize, blocks: B) -> Result<usize, Syntax> {
    let rest = doc.get(at..).unwrap_or_default();
    let mut padded = [b' '; 64];
    let (bytes, before) = match doc.last_chunk() {
        _ if rest.is_empty() => return Err(fault(doc.len(), Fault::Truncated)),
        // What stands before `at` is looked at again, and shifted out.
        Some(bytes) => (bytes, 64 - rest.len()),
        None => {
            for (to, from) in padded.iter_mut().zip(rest) {
                *to = *from;
            }
            (&padded, 0)
        }
    };
    let masks = blocks.block(bytes).from(before);
    let block = Block::of(masks);
    let Some(end) = block.end(doc, at)? else {
        return Err(fault(doc.len(), Fault::Truncated));
    };
    if masks.wide != 0 {
        utf8(doc, at, &blocks.wide(bytes).from(before), block.stops)?;
    }
    Ok(end + 1)
}

/// What 64 bytes within a string come to, the first of them not escaped.
struct Block {
    /// Control characters, and quotes that are not escaped.
    stops: u64,
    /// Escaped characters that have to be looked at.
    odd: u64,
    /// The last byte escapes the one after it.
    hangs: bool,
}

impl Block {
    #[inline(always)]
    fn of(masks: Masks) -> Self {
        let escaped = masks.escaped();
        Self {
            stops: masks.stops & !escaped,
            odd: escaped & !(masks.tame | masks.backslashes),
            hangs: masks.backslashes & !escaped & (1 << 63) != 0,
        }
    }

    /// Where the string's closing quote is, if it is in this block, which
    /// begins at `at`.
    #[inline(always)]
    fn end(&self, doc: &[u8], at: usize) -> Result<Option<usize>, Syntax> {
        let odd = self.odd & below(self.stops);
        if odd != 0 {
            escapes(doc, at, odd)?;
        }
        if self.stops == 0 {
            return Ok(None);
        }
        let stop = at + self.stops.trailing_zeros() as usize;
        match doc.get(stop) {
            Some(b'"') => Ok(Some(stop)),
            _ => Err(fault(stop, Fault::ControlCharacter)),
        }
    }
}

/// The bits below the lowest one that is set; all where none is.
#[inline(always)]
fn below(bits: u64) -> u64 {
    bits.wrapping_sub(1) & !bits
}

/// Checks the escaped characters at `odd`, counted from `at`.
#[inline(never)]
fn escapes(doc: &[u8], at: usize, mut odd: u64) -> Result<(), Syntax> {
    while odd != 0 {
        escape(doc, at + odd.trailing_zeros() as usize)?;
        odd &= odd - 1;
    }
    Ok(())
}

/// Checks the UTF-8 of the 64 bytes from `at` on, of which the first begins a
/// character: up to the lowest of `stops`, which is none of its bytes; where
/// there is none, up to a character that the end cuts. Returns how many bytes
/// that are.
#[inline(always)]
fn utf8(doc: &[u8], at: usize, wide: &Wide, stops: u64) -> Result<usize, Syntax> {
    let leads = wide.bit7 & wide.bit6;
    let leads_of_three = leads & wide.bit5;
    let leads_of_four = leads_of_three & wide.bit4;
    let follow = wide.bit7 & !wide.bit6;
    let should_follow = leads << 1 | leads_of_three << 2 | leads_of_four << 3;

    let cut = leads & 1 << 63 | leads_of_three & 1 << 62 | leads_of_four & 1 << 61;
    let whole = if stops == 0 { cut } else { stops };
    // Neither a stop nor another lead may stand where a byte should follow.
    let looked_at = below(whole) | (whole & whole.wrapping_neg());

    let wrong = (follow ^ should_follow) & looked_at;
    let delicate = (wide.delicate | leads_of_four) & below(whole);
    if wrong != 0 {
        return Err(fault(at + wrong.trailing_zeros() as usize, Fault::NotUtf8));
    }
    if delicate != 0 {
        delicate_utf8(doc, at, delicate)?;
    }
    Ok(whole.trailing_zeros() as usize)
}

/// Looks at what the bytes at `delicate` begin, counted from `at`.
#[inline(never)]
fn delicate_utf8(doc: &[u8], at: usize, mut delicate: u64) -> Result<(), Syntax> {
    while delicate != 0 {
        let lead = at + delicate.trailing_zeros() as usize;
        let byte = |at: usize| doc.get(at).copied().unwrap_or_default();
        if !may_follow(byte(lead), byte(lead + 1)) {
            return Err(fault(lead, Fault::NotUtf8));
        }
        delicate &= delicate - 1;
    }
    Ok(())
}

/// Where the walk may take over from a pass over plain bytes that came to
/// `at`: what the last byte before began, an escape or a character, is looked
/// at again from its beginning.
#[inline(always)]
pub(super) fn whole_from(doc: &[u8], at: usize) -> usize {
    match doc.get(at.wrapping_sub(1)) {
        Some(b'\\') => at - 1,
        Some(0x80..) => character_from(doc, at),
        _ => at,
    }
}

#[cold]
#[inline(never)]
fn character_from(doc: &[u8], at: usize) -> usize {
    let before = doc.get(at.saturating_sub(4)..at).unwrap_or_default();
    let lead = before.iter().rposition(|byte| *byte >= 0xC0);
    // Where there is no lead the walk is to find that out: it must not begin
    // with ASCII then.
    at - before.len() + lead.unwrap_or(before.len().saturating_sub(1))
}
