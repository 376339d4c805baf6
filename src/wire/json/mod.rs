//! JSON as bytes: what stands where in a document, without ever building it.
//!
//! A document is checked in full and once, by [`object`] or [`value`]: they
//! accept what `serde_json` accepts without its recursion limit, refuse
//! nesting beyond [`MAX_DEPTH`] and bytes that are no UTF-8, never recurse and
//! never allocate. What they have found valid can then be walked with
//! [`members`] and [`elements`].
//!
//! The rooms: `scan` is the grammar, over `nest`, the open brackets, and `gaps`,
//! what repeats between long strings. `lanes` chooses how a string is read:
//! by `words`, which is the measure of all, or by `vector`, `plain` and `masks`
//! with the processor's vectors. `text` reads and writes strings.

mod gaps;
#[cfg(test)]
pub(in crate::wire) mod grow;
mod lanes;
#[cfg(target_arch = "x86_64")]
mod masks;
mod nest;
#[cfg(target_arch = "x86_64")]
mod plain;
mod scan;
#[cfg(test)]
mod tests;
mod text;
#[cfg(target_arch = "x86_64")]
mod vector;
mod words;

use std::fmt;
use std::ops::Range;

use lanes::Best;
pub use text::{Key, is_text, string, write_string};

/// How deep arrays and objects may stand within each other. Far beyond what a
/// request needs, and small enough for the stack of open brackets to be a few
/// words of the machine's own.
pub const MAX_DEPTH: usize = 512;

/// Why a document is not acceptable JSON, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Syntax {
    /// Offset in bytes of what is wrong; the document's length where it ends
    /// too early.
    pub at: usize,
    /// What is wrong there.
    pub fault: Fault,
}

/// What can be wrong with a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The document begins with a byte order mark.
    ByteOrderMark,
    /// A control character stands within a string unescaped.
    ControlCharacter,
    /// The value is valid but no object, where an object is wanted.
    NotAnObject,
    /// A string is not UTF-8.
    NotUtf8,
    /// Arrays and objects stand deeper than [`MAX_DEPTH`] within each other.
    TooDeep,
    /// Something follows the value.
    Trailing,
    /// The document ends within its value.
    Truncated,
    /// A byte that cannot stand where it does.
    Unexpected,
}

impl fmt::Display for Syntax {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.at;
        match self.fault {
            Fault::ByteOrderMark => write!(f, "the JSON begins with a byte order mark"),
            Fault::ControlCharacter => {
                write!(f, "unescaped control character in a string at byte {at}")
            }
            Fault::NotAnObject => write!(f, "the JSON is no object"),
            Fault::NotUtf8 => write!(f, "a string is not valid UTF-8 at byte {at}"),
            Fault::TooDeep => write!(
                f,
                "the JSON is nested deeper than {MAX_DEPTH} levels at byte {at}"
            ),
            Fault::Trailing => write!(f, "something follows the JSON value at byte {at}"),
            Fault::Truncated => write!(f, "the JSON ends too early, after {at} bytes"),
            Fault::Unexpected => write!(f, "unexpected character in the JSON at byte {at}"),
        }
    }
}

impl std::error::Error for Syntax {}

/// The type of a JSON value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `[…]`
    Array,
    /// `true` or `false`
    Bool,
    /// `null`
    Null,
    /// A number of any form.
    Number,
    /// `{…}`
    Object,
    /// `"…"`
    String,
}

/// One member of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member<'a> {
    /// Its name.
    pub key: Key<'a>,
    /// Where the name stands, with its quotes.
    pub key_at: Range<usize>,
    /// Where the value stands, without white space around it.
    pub value_at: Range<usize>,
}

impl<'a> Member<'a> {
    fn at(doc: &'a [u8], key_at: Range<usize>, value_at: Range<usize>) -> Self {
        Self {
            key: Key::within(doc, key_at.start + 1..key_at.end - 1),
            key_at,
            value_at,
        }
    }
}

/// Checks that `doc` is one JSON object, and shows its members in order.
///
/// # Errors
/// [`Fault::NotAnObject`] where it is valid JSON of another type, else the
/// first thing that is wrong. Members that stand before a fault have been
/// shown by then.
pub fn object(doc: &[u8], visit: impl FnMut(Member<'_>)) -> Result<(), Syntax> {
    let start = scan::blank(doc, 0);
    if doc.get(start) != Some(&b'{') {
        value(doc)?;
        return Err(scan::fault(start, Fault::NotAnObject));
    }
    let mut at = scan::blank(doc, start + 1);
    if doc.get(at) != Some(&b'}') {
        at = Best::detect().members(doc, at, visit)?;
    }
    end(doc, at + 1)
}

/// Checks that `doc` is one JSON value of any type, and says which.
///
/// # Errors
/// The first thing that is wrong.
pub fn value(doc: &[u8]) -> Result<Kind, Syntax> {
    let start = scan::blank(doc, 0);
    let after = Best::detect()
        .value(doc, start, 0)
        .map_err(|syntax| match syntax.at {
            0 if doc.starts_with(b"\xEF\xBB\xBF") => scan::fault(0, Fault::ByteOrderMark),
            _ => syntax,
        })?;
    end(doc, after)?;
    doc.get(start..)
        .and_then(kind)
        .ok_or(scan::fault(start, Fault::Unexpected))
}

/// The members of an object that [`object`] or [`value`] has found valid. Over
/// anything else the walk ends early.
pub fn members(valid: &[u8]) -> Members<'_> {
    Members {
        lanes: Best::detect(),
        doc: valid,
        at: first_within(valid, b'{', b'}'),
    }
}

/// Where the elements of an array stand that [`object`] or [`value`] has found
/// valid. Over anything else the walk ends early.
pub fn elements(valid: &[u8]) -> Elements<'_> {
    Elements {
        lanes: Best::detect(),
        doc: valid,
        at: first_within(valid, b'[', b']'),
    }
}

/// The type of a value that is known to be valid, by its first byte; `None`
/// where no value begins with that byte.
pub fn kind(valid: &[u8]) -> Option<Kind> {
    Some(match valid.get(scan::blank(valid, 0))? {
        b'[' => Kind::Array,
        b't' | b'f' => Kind::Bool,
        b'n' => Kind::Null,
        b'-' | b'0'..=b'9' => Kind::Number,
        b'{' => Kind::Object,
        b'"' => Kind::String,
        _ => return None,
    })
}

/// The walk of [`members`].
#[derive(Clone, Debug)]
pub struct Members<'a> {
    lanes: Best,
    doc: &'a [u8],
    /// Where the next key begins; `None` at the end.
    at: Option<usize>,
}

impl<'a> Iterator for Members<'a> {
    type Item = Member<'a>;

    fn next(&mut self) -> Option<Member<'a>> {
        let (key_at, value_at) = self.lanes.member(self.doc, self.at.take()?).ok()?;
        self.at = after_comma(self.doc, value_at.end);
        Some(Member::at(self.doc, key_at, value_at))
    }
}

/// The walk of [`elements`].
#[derive(Clone, Debug)]
pub struct Elements<'a> {
    lanes: Best,
    doc: &'a [u8],
    /// Where the next element begins; `None` at the end.
    at: Option<usize>,
}

impl Iterator for Elements<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        let start = self.at.take()?;
        let end = self.lanes.value(self.doc, start, 1).ok()?;
        self.at = after_comma(self.doc, end);
        Some(start..end)
    }
}

/// Where the first thing within a pair of brackets begins, if there is one.
fn first_within(doc: &[u8], open: u8, close: u8) -> Option<usize> {
    let start = scan::blank(doc, 0);
    if doc.get(start) != Some(&open) {
        return None;
    }
    let at = scan::blank(doc, start + 1);
    (doc.get(at) != Some(&close)).then_some(at)
}

/// Where the next thing begins, if a comma follows the one that ended at `at`.
fn after_comma(doc: &[u8], at: usize) -> Option<usize> {
    let at = scan::blank(doc, at);
    (doc.get(at) == Some(&b',')).then(|| scan::blank(doc, at + 1))
}

/// Only white space may follow the document's value.
fn end(doc: &[u8], after: usize) -> Result<(), Syntax> {
    let at = scan::blank(doc, after);
    if at < doc.len() {
        return Err(scan::fault(at, Fault::Trailing));
    }
    Ok(())
}
