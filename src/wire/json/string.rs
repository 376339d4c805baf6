//! The inside of a JSON string: where it ends, and that its escapes and its
//! UTF-8 are right on the way there.

use super::lanes::{Lanes, Masks, Wide};
use super::scan::{fault, unexpected};
use super::{Fault, Syntax};

/// Checks the string whose inside begins at `start`, and returns where its
/// closing quote ends.
#[inline(always)]
pub(super) fn string<L: Lanes>(doc: &[u8], start: usize, lanes: L) -> Result<usize, Syntax> {
    // Most strings are keys, roles and ids: short, plain and done at a glance.
    let rest = doc.get(start..).unwrap_or_default();
    let glance = match (rest.first_chunk(), doc.last_chunk()) {
        (Some(head), _) => Some((head, 0)),
        (None, Some(head)) => Some((head, 32 - rest.len())),
        (None, None) => None,
    };
    if let Some((head, before)) = glance {
        let (quotes, others) = lanes.glance(head);
        let (quotes, others) = (u64::from(quotes) >> before, u64::from(others) >> before);
        let up_to_quote = quotes ^ quotes.wrapping_sub(1);
        if quotes != 0 && others & up_to_quote == 0 {
            return Ok(start + quotes.trailing_zeros() as usize + 1);
        }
    }
    lanes.text(doc, start)
}

/// [`string`] for strings of any length and content.
///
/// Goes on by a block of 64 bytes; by less where its end would part what
/// belongs together, so that every block begins with a whole character.
#[inline(always)]
pub(super) fn text<L: Lanes>(doc: &[u8], start: usize, lanes: L) -> Result<usize, Syntax> {
    let mut at = start;
    while let Some(bytes) = doc.get(at..).and_then(<[u8]>::first_chunk) {
        let masks = lanes.block(bytes);
        if masks.is_plain() {
            at += 64;
            continue;
        }
        let block = Block::of(masks);
        let cut = if masks.wide != 0 {
            utf8(doc, at, &lanes.wide(bytes), block.stops)?
        } else {
            64
        };
        if let Some(end) = block.end(doc, at)? {
            return Ok(end + 1);
        }
        // The usual step is a constant of its own, so that the processor can
        // begin the next block before it is done with this one.
        if cut < 64 || block.hangs {
            at += short_step(cut, block.hangs);
        } else {
            at += 64;
        }
    }
    lanes.tail(doc, at)
}

#[cold]
#[inline(never)]
fn short_step(cut: usize, hangs: bool) -> usize {
    if hangs { cut.min(63) } else { cut }
}

/// [`text`] for the fewer than 64 bytes from `at` to the document's end.
#[inline(always)]
pub(super) fn tail<L: Lanes>(doc: &[u8], at: usize, lanes: L) -> Result<usize, Syntax> {
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
    let masks = lanes.block(bytes).from(before);
    let block = Block::of(masks);
    let Some(end) = block.end(doc, at)? else {
        return Err(fault(doc.len(), Fault::Truncated));
    };
    if masks.wide != 0 {
        utf8(doc, at, &lanes.wide(bytes).from(before), block.stops)?;
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
            odd: escaped & !masks.tame,
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
        let escaped = at + odd.trailing_zeros() as usize;
        odd &= odd - 1;
        match doc.get(escaped) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {}
            Some(b'u') => {
                for digit in escaped + 1..escaped + 5 {
                    if !doc.get(digit).is_some_and(u8::is_ascii_hexdigit) {
                        return Err(unexpected(doc, digit));
                    }
                }
            }
            _ => return Err(unexpected(doc, escaped)),
        }
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
    if wrong | delicate != 0 {
        delicate_utf8(doc, at, wrong, delicate)?;
    }
    Ok(whole.trailing_zeros() as usize)
}

/// Looks at what the bytes at `delicate` begin, besides what is known to be
/// `wrong`; both are counted from `at`.
#[inline(never)]
fn delicate_utf8(doc: &[u8], at: usize, wrong: u64, delicate: u64) -> Result<(), Syntax> {
    let mut wrong = wrong;
    let mut delicate = delicate;
    while delicate != 0 {
        let place = delicate.trailing_zeros() as usize;
        let lead = doc.get(at + place).copied().unwrap_or_default();
        let second = doc.get(at + place + 1).copied().unwrap_or_default();
        // No longer forms than needed, no surrogates, nothing past U+10FFFF.
        let allowed = match lead {
            0xE0 => second >= 0xA0,
            0xED => second < 0xA0,
            0xF0 => second >= 0x90,
            0xF1..=0xF3 => true,
            0xF4 => second < 0x90,
            _ => false,
        };
        if !allowed {
            wrong |= delicate & delicate.wrapping_neg();
        }
        delicate &= delicate - 1;
    }
    if wrong == 0 {
        return Ok(());
    }
    let place = wrong.trailing_zeros() as usize;
    Err(fault(at + place, Fault::NotUtf8))
}
