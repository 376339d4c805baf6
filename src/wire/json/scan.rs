//! The grammar of JSON as one loop over bytes.
//!
//! What is open is remembered as one bit for each level, so that nothing
//! recurses. The functions marked `inline(always)` are compiled once for each
//! set of [`Lanes`], within a function that may use its instructions.

use super::lanes::Lanes;
use super::string::string;
use super::{Fault, MAX_DEPTH, Syntax};

#[cold]
pub(super) fn fault(at: usize, fault: Fault) -> Syntax {
    Syntax { at, fault }
}

/// The fault of a byte that does not fit, or of its absence.
#[cold]
pub(super) fn unexpected(doc: &[u8], at: usize) -> Syntax {
    if at < doc.len() {
        fault(at, Fault::Unexpected)
    } else {
        fault(doc.len(), Fault::Truncated)
    }
}

/// The first place from `at` on that is no white space.
#[inline(always)]
pub(super) fn blank(doc: &[u8], at: usize) -> usize {
    match doc.get(at) {
        Some(b' ' | b'\n' | b'\r' | b'\t') => more_blank(doc, at + 1),
        _ => at,
    }
}

#[inline(never)]
fn more_blank(doc: &[u8], mut at: usize) -> usize {
    const INDENT: [u8; 8] = [b' '; 8];
    loop {
        if doc.get(at..).and_then(<[u8]>::first_chunk) == Some(&INDENT) {
            at += INDENT.len();
            continue;
        }
        match doc.get(at) {
            Some(b' ' | b'\n' | b'\r' | b'\t') => at += 1,
            _ => return at,
        }
    }
}

/// Where the value begins, after the colon that must follow a key.
#[inline(always)]
pub(super) fn colon(doc: &[u8], key_end: usize) -> Result<usize, Syntax> {
    let at = blank(doc, key_end);
    if doc.get(at) != Some(&b':') {
        return Err(unexpected(doc, at));
    }
    Ok(blank(doc, at + 1))
}

/// Which brackets are open: one bit for each level, set for an object.
struct Nest {
    levels: [u64; MAX_DEPTH / 64],
    depth: usize,
    in_object: bool,
}

impl Nest {
    #[inline(always)]
    fn open(&mut self, object: bool, at: usize) -> Result<(), Syntax> {
        let Some(word) = self.levels.get_mut(self.depth / 64) else {
            return Err(fault(at, Fault::TooDeep));
        };
        let bit = 1 << (self.depth % 64);
        *word = if object { *word | bit } else { *word & !bit };
        self.depth += 1;
        self.in_object = object;
        Ok(())
    }

    #[inline(always)]
    fn close(&mut self) {
        self.depth -= 1;
        // The level below the outermost one is never asked for.
        let below = self.depth.wrapping_sub(1);
        self.in_object = self
            .levels
            .get(below / 64)
            .is_some_and(|word| word >> (below % 64) & 1 == 1);
    }
}

/// Checks the value that begins at `start`, `outer` levels deep, and returns
/// where it ends.
#[inline(always)]
pub(super) fn value<L: Lanes>(
    doc: &[u8],
    start: usize,
    outer: usize,
    lanes: L,
) -> Result<usize, Syntax> {
    let mut nest = Nest {
        levels: [0; MAX_DEPTH / 64],
        depth: outer,
        in_object: false,
    };
    let mut at = start;
    loop {
        at = match doc.get(at) {
            Some(b'"') => string(doc, at + 1, lanes)?,
            Some(b'{') => {
                nest.open(true, at)?;
                at = blank(doc, at + 1);
                if doc.get(at) != Some(&b'}') {
                    at = key(doc, at, lanes)?;
                    continue;
                }
                nest.close();
                at + 1
            }
            Some(b'[') => {
                nest.open(false, at)?;
                at = blank(doc, at + 1);
                if doc.get(at) != Some(&b']') {
                    continue;
                }
                nest.close();
                at + 1
            }
            Some(b'-' | b'0'..=b'9') => number(doc, at)?,
            Some(b't') => literal(doc, at, b"true")?,
            Some(b'f') => literal(doc, at, b"false")?,
            Some(b'n') => literal(doc, at, b"null")?,
            _ => return Err(unexpected(doc, at)),
        };
        loop {
            if nest.depth == outer {
                return Ok(at);
            }
            at = blank(doc, at);
            match doc.get(at) {
                Some(b',') => {
                    at = blank(doc, at + 1);
                    if nest.in_object {
                        at = key(doc, at, lanes)?;
                    }
                    break;
                }
                Some(b'}') if nest.in_object => nest.close(),
                Some(b']') if !nest.in_object => nest.close(),
                _ => return Err(unexpected(doc, at)),
            }
            at += 1;
        }
    }
}

/// A key and its colon; returns where the value begins.
#[inline(always)]
fn key<L: Lanes>(doc: &[u8], at: usize, lanes: L) -> Result<usize, Syntax> {
    if doc.get(at) != Some(&b'"') {
        return Err(unexpected(doc, at));
    }
    colon(doc, string(doc, at + 1, lanes)?)
}

#[inline(always)]
fn literal(doc: &[u8], at: usize, word: &[u8]) -> Result<usize, Syntax> {
    let rest = doc.get(at..).unwrap_or_default();
    if rest.starts_with(word) {
        return Ok(at + word.len());
    }
    let alike = rest.iter().zip(word).take_while(|(a, b)| a == b).count();
    Err(unexpected(doc, at + alike))
}

#[inline(always)]
fn number(doc: &[u8], start: usize) -> Result<usize, Syntax> {
    let mut at = start + usize::from(doc.get(start) == Some(&b'-'));
    at = match doc.get(at) {
        Some(b'0') => at + 1,
        _ => digits(doc, at)?,
    };
    if doc.get(at) == Some(&b'.') {
        at = digits(doc, at + 1)?;
    }
    if let Some(b'e' | b'E') = doc.get(at) {
        let signed = matches!(doc.get(at + 1), Some(b'+' | b'-'));
        at = digits(doc, at + 1 + usize::from(signed))?;
    }
    Ok(at)
}

/// One digit or more.
#[inline(always)]
fn digits(doc: &[u8], start: usize) -> Result<usize, Syntax> {
    let mut at = start;
    while doc.get(at).is_some_and(u8::is_ascii_digit) {
        at += 1;
    }
    if at == start {
        return Err(unexpected(doc, at));
    }
    Ok(at)
}
