//! The way that needs nothing but integers: words of eight bytes, and single
//! bytes where something in a word is special.
//!
//! What it finds wrong with a document, and where, is what every other way is
//! to report.

use super::lanes::{Lanes, Owed};
use super::scan::{fault, unexpected};
use super::{Fault, Syntax};

/// Words of eight bytes as [`Lanes`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Words;

/// A byte in each of eight places.
const fn each(byte: u8) -> u64 {
    u64::from_le_bytes([byte; 8])
}

/// Nonzero where not all bytes are plain ASCII within a string; the lowest bit
/// is then in the first that is not. The bits above say nothing, as a hit
/// borrows from the bytes above it.
#[inline(always)]
fn special(word: &[u8; 8]) -> u64 {
    const ONE: u64 = each(1);
    let word = u64::from_le_bytes(*word);
    let quote = word ^ each(b'"');
    let backslash = word ^ each(b'\\');
    let low = quote.wrapping_sub(ONE) | backslash.wrapping_sub(ONE);
    // Of a byte in ASCII, each difference has the high bit only where it fell
    // below zero; any other byte is special anyway.
    (low | word.wrapping_sub(each(0x20)) | word) & each(0x80)
}

/// The first place from `at` on whose byte is special, or near the end.
#[inline(always)]
fn skip(doc: &[u8], mut at: usize) -> usize {
    let rest = doc.get(at..).unwrap_or_default();
    for four in rest.as_chunks::<32>().0 {
        let [a, b, c, d] = four.as_chunks::<8>().0 else {
            break;
        };
        if special(a) | special(b) | special(c) | special(d) != 0 {
            break;
        }
        at += 32;
    }
    let rest = doc.get(at..).unwrap_or_default();
    for word in rest.as_chunks::<8>().0 {
        let special = special(word);
        if special != 0 {
            return at + special.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    at
}

/// Checks the string whose inside begins at `start`, and returns where its
/// closing quote ends.
pub(super) fn text(doc: &[u8], start: usize) -> Result<usize, Syntax> {
    let mut at = start;
    loop {
        at = skip(doc, at);
        at = match doc.get(at) {
            Some(b'"') => return Ok(at + 1),
            Some(b'\\') => escape(doc, at + 1)?,
            Some(0..=0x1F) => return Err(fault(at, Fault::ControlCharacter)),
            Some(0x80..) => character(doc, at)?,
            Some(_) => at + 1,
            None => return Err(fault(doc.len(), Fault::Truncated)),
        };
    }
}

/// Checks the escaped character at `at`; returns where the escape ends.
#[inline]
pub(super) fn escape(doc: &[u8], at: usize) -> Result<usize, Syntax> {
    match doc.get(at) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(at + 1),
        Some(b'u') => {
            for digit in at + 1..at + 5 {
                if !doc.get(digit).is_some_and(u8::is_ascii_hexdigit) {
                    return Err(unexpected(doc, digit));
                }
            }
            Ok(at + 5)
        }
        _ => Err(unexpected(doc, at)),
    }
}

/// Checks the character at `at`, which is not ASCII, and those after it up to
/// the next that is; returns where they end.
fn character(doc: &[u8], mut at: usize) -> Result<usize, Syntax> {
    while let Some(lead @ 0x80..) = doc.get(at).copied() {
        // Three bytes, as most scripts beyond the Latin one take, at a glance.
        let three = doc.get(at..).and_then(<[u8]>::first_chunk);
        if let Some(three) = three.map(|four| u32::from_le_bytes(*four))
            && three & 0x00C0_C0F0 == 0x0080_80E0
            && lead != 0xE0
            && lead != 0xED
        {
            at += 3;
            continue;
        }
        let length = match lead {
            0xC2..=0xDF => 2,
            0xE0..=0xEF => 3,
            0xF0..=0xF4 => 4,
            _ => return Err(fault(at, Fault::NotUtf8)),
        };
        for place in 1..length {
            let Some(byte) = doc.get(at + place) else {
                return Err(fault(doc.len(), Fault::Truncated));
            };
            if byte & 0xC0 != 0x80 || place == 1 && !may_follow(lead, *byte) {
                return Err(fault(at, Fault::NotUtf8));
            }
        }
        at += length;
    }
    Ok(at)
}

/// Whether a character may begin with `lead`, and then go on with `second`,
/// known to be one of those bytes that only go on: no longer forms than
/// needed, no surrogates, nothing past U+10FFFF.
#[inline]
pub(super) fn may_follow(lead: u8, second: u8) -> bool {
    match lead {
        0xE0 => second >= 0xA0,
        0xED => second < 0xA0,
        0xF0 => second >= 0x90,
        0xF4 => second < 0x90,
        0xC2..=0xF3 => true,
        _ => false,
    }
}

impl Lanes for Words {
    #[inline(always)]
    fn short(self, doc: &[u8], start: usize) -> Option<usize> {
        let rest = doc.get(start..)?;
        let mut at = start;
        for word in rest.as_chunks::<8>().0.iter().take(4) {
            let special = special(word);
            if special != 0 {
                at += special.trailing_zeros() as usize / 8;
                break;
            }
            at += 8;
        }
        (doc.get(at) == Some(&b'"')).then_some(at + 1)
    }

    #[inline(never)]
    fn long(self, doc: &[u8], start: usize, _: &mut Owed) -> Result<usize, Syntax> {
        text(doc, start)
    }

    #[inline(never)]
    fn exact(self, doc: &[u8], start: usize) -> Result<usize, Syntax> {
        text(doc, start)
    }

    fn settle(self, _: &[u8], _: &mut Owed) -> bool {
        true
    }

    #[inline(always)]
    fn alike(self, one: &[u8; 64], other: &[u8; 64]) -> usize {
        let words = one.as_chunks::<8>().0.iter().zip(other.as_chunks::<8>().0);
        let mut count = 0;
        for (one, other) in words {
            let differs = u64::from_le_bytes(*one) ^ u64::from_le_bytes(*other);
            if differs != 0 {
                return count + differs.trailing_zeros() as usize / 8;
            }
            count += 8;
        }
        count
    }
}
