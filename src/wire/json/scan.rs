//! The grammar of JSON as one loop over bytes.
//!
//! Nothing recurses: what is open is kept as bits. The functions marked
//! `inline(always)` are compiled once for each set of [`Lanes`], within a
//! function that may use its instructions.

use std::ops::Range;

use super::gaps::Gaps;
use super::lanes::{Lanes, Owed};
use super::nest::Nest;
use super::words::{Words, text};
use super::{Fault, Member, Syntax};

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

/// What is known of a document from what has been read of it.
pub(super) struct Memory {
    gaps: Gaps,
    owed: Owed,
}

impl Memory {
    #[inline(always)]
    pub(super) fn new() -> Self {
        Self {
            gaps: Gaps::new(),
            owed: Owed::new(),
        }
    }
}

/// Checks the value that begins at `start`, `outer` levels deep, and returns
/// where it ends.
#[inline(always)]
pub(super) fn alone<L: Lanes>(
    doc: &[u8],
    start: usize,
    outer: usize,
    lanes: L,
) -> Result<usize, Syntax> {
    // Lists of names are read by this one by one.
    if doc.get(start) == Some(&b'"')
        && let Some(end) = lanes.short(doc, start + 1)
    {
        return Ok(end);
    }
    value(doc, start, outer, &mut Memory::new(), lanes)
}

/// [`alone`] with what is known of the document already. With the same memory
/// `outer` is to be the same.
#[inline(always)]
pub(super) fn value<L: Lanes>(
    doc: &[u8],
    start: usize,
    outer: usize,
    memory: &mut Memory,
    lanes: L,
) -> Result<usize, Syntax> {
    let found = walk(doc, start, outer, memory, lanes);
    let settled = memory.owed.is_clear() || lanes.settle(doc, &mut memory.owed);
    match found {
        Ok(end) if settled => Ok(end),
        _ => again(doc, start, outer),
    }
}

/// [`value`] where something was wrong: what and where is told by the way that
/// leaves nothing for later, so that all report the same.
#[cold]
#[inline(never)]
fn again(doc: &[u8], start: usize, outer: usize) -> Result<usize, Syntax> {
    walk(doc, start, outer, &mut Memory::new(), Words)
}

#[inline(always)]
fn walk<L: Lanes>(
    doc: &[u8],
    start: usize,
    outer: usize,
    memory: &mut Memory,
    lanes: L,
) -> Result<usize, Syntax> {
    let mut nest = Nest::new(outer);
    let mut at = start;
    memory.gaps.begin();
    loop {
        at = match doc.get(at) {
            Some(b'"') => match lanes.short(doc, at + 1) {
                Some(end) => end,
                None => strings(doc, at + 1, &mut nest, memory, lanes)?,
            },
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
            if nest.depth() == outer {
                return Ok(at);
            }
            at = blank(doc, at);
            let in_object = nest.in_object();
            match doc.get(at) {
                Some(b',') => {
                    at = blank(doc, at + 1);
                    if in_object {
                        at = key(doc, at, lanes)?;
                    }
                    break;
                }
                Some(b'}') if in_object => nest.close(),
                Some(b']') if !in_object => nest.close(),
                _ => return Err(unexpected(doc, at)),
            }
            at += 1;
        }
    }
}

/// The string whose inside begins at `start`, and all that follow it after
/// gaps that are remembered; returns where the last one ends.
#[inline(always)]
fn strings<L: Lanes>(
    doc: &[u8],
    start: usize,
    nest: &mut Nest,
    memory: &mut Memory,
    lanes: L,
) -> Result<usize, Syntax> {
    memory.gaps.remember(doc, start, nest.all());
    let mut start = start;
    loop {
        let end = lanes.long(doc, start, &mut memory.owed)?;
        let Some((next, open)) = memory.gaps.pass(doc, end, nest.all(), lanes) else {
            return Ok(end);
        };
        nest.set_all(open);
        start = next;
    }
}

/// The members of an object whose first key begins at `at`, one level deep;
/// returns where the object's closing bracket stands.
#[inline(always)]
pub(super) fn members<'a, L: Lanes>(
    doc: &'a [u8],
    start: usize,
    mut visit: impl FnMut(Member<'a>),
    lanes: L,
) -> Result<usize, Syntax> {
    let mut memory = Memory::new();
    let mut at = start;
    loop {
        let (key_at, value_at) = member(doc, at, &mut memory, lanes)?;
        at = blank(doc, value_at.end);
        visit(Member::at(doc, key_at, value_at));
        match doc.get(at) {
            Some(b',') => at = blank(doc, at + 1),
            Some(b'}') => return Ok(at),
            _ => return Err(unexpected(doc, at)),
        }
    }
}

/// The member whose key begins at `at`, one level deep: where its key and its
/// value stand.
#[inline(always)]
pub(super) fn member<L: Lanes>(
    doc: &[u8],
    at: usize,
    memory: &mut Memory,
    lanes: L,
) -> Result<(Range<usize>, Range<usize>), Syntax> {
    if doc.get(at) != Some(&b'"') {
        return Err(unexpected(doc, at));
    }
    let key_end = string(doc, at + 1, lanes).or_else(|_| text(doc, at + 1))?;
    let start = colon(doc, key_end)?;
    let end = value(doc, start, 1, memory, lanes)?;
    Ok((at..key_end, start..end))
}

/// A string that is checked in full at once.
#[inline(always)]
fn string<L: Lanes>(doc: &[u8], start: usize, lanes: L) -> Result<usize, Syntax> {
    match lanes.short(doc, start) {
        Some(end) => Ok(end),
        None => lanes.exact(doc, start),
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
