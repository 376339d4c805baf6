//! Strings: names compared and decoded, and text written as JSON.

use std::borrow::Cow;
use std::ops::Range;

/// The name of a member, as it stands between its quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key<'a> {
    /// Valid UTF-8 with valid escapes: only the scanner makes keys.
    raw: &'a [u8],
    /// Whether there is an escape in it.
    escaped: bool,
}

impl<'a> Key<'a> {
    /// The key whose inside the scanner has found at `inside`.
    pub(in crate::wire) fn within(doc: &'a [u8], inside: Range<usize>) -> Self {
        let raw = doc.get(inside).unwrap_or_default();
        let escaped = raw.contains(&b'\\');
        Self { raw, escaped }
    }

    /// The bytes between the quotes, escapes and all.
    pub fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// Whether this is `name` once decoded: `"mod\u0065l"` is `model`. A half
    /// of a surrogate pair is like no character.
    #[inline]
    pub fn is(&self, name: &str) -> bool {
        if self.escaped {
            return self.is_once_decoded(name);
        }
        self.raw == name.as_bytes()
    }

    #[cold]
    fn is_once_decoded(&self, name: &str) -> bool {
        let Ok(mut raw) = str::from_utf8(self.raw) else {
            return false;
        };
        let mut name = name;
        while let Some((plain, escape)) = raw.split_once('\\') {
            let (decoded, rest) = unescape(escape);
            let after = decoded.and_then(|c| name.strip_prefix(plain)?.strip_prefix(c));
            let Some(after) = after else {
                return false;
            };
            (name, raw) = (after, rest);
        }
        name == raw
    }

    /// The name decoded, with U+FFFD for each half of a surrogate pair.
    pub fn decode(&self) -> Cow<'a, str> {
        decode(self.raw, Some(char::REPLACEMENT_CHARACTER)).unwrap_or_default()
    }
}

/// The text of a string value that [`super::object`] or [`super::value`] has
/// found valid. `None` where it is no string, or where it holds a half of a
/// surrogate pair, which is no text.
pub fn string(valid: &[u8]) -> Option<Cow<'_, str>> {
    decode(inside(valid)?, None)
}

/// Whether [`string`] would find a text, without making it.
pub fn is_text(valid: &[u8]) -> bool {
    let Some(inside) = inside(valid) else {
        return false;
    };
    if !inside.contains(&b'\\') {
        return true;
    }
    let Ok(mut rest) = str::from_utf8(inside) else {
        return false;
    };
    while let Some((_, escape)) = rest.split_once('\\') {
        let (Some(_), after) = unescape(escape) else {
            return false;
        };
        rest = after;
    }
    true
}

/// Appends `text` as a JSON string with its quotes. Only what JSON demands is
/// escaped.
pub fn write_string(out: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut rest = text.as_bytes();
    out.push(b'"');
    while let Some(at) = rest
        .iter()
        .position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20))
    {
        let (plain, tail) = rest.split_at(at);
        out.extend_from_slice(plain);
        let Some((byte, tail)) = tail.split_first() else {
            break;
        };
        match byte {
            b'"' | b'\\' => out.extend([b'\\', *byte]),
            b'\n' => out.extend(b"\\n"),
            b'\r' => out.extend(b"\\r"),
            b'\t' => out.extend(b"\\t"),
            byte => {
                let digit = |four: u8| HEX.get(usize::from(four)).copied().unwrap_or(b'0');
                out.extend(b"\\u00");
                out.extend([digit(byte >> 4), digit(byte & 15)]);
            }
        }
        rest = tail;
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

/// What stands between the quotes of a valid string.
fn inside(valid: &[u8]) -> Option<&[u8]> {
    valid.strip_prefix(b"\"")?.strip_suffix(b"\"")
}

/// What stands between the quotes, decoded; `half` for each half of a
/// surrogate pair, or `None` if there is one and nothing to put for it.
fn decode(raw: &[u8], half: Option<char>) -> Option<Cow<'_, str>> {
    let mut rest = str::from_utf8(raw).ok()?;
    if memchr::memchr(b'\\', raw).is_none() {
        return Some(Cow::Borrowed(rest));
    }
    let mut text = String::with_capacity(raw.len());
    while let Some((plain, escape)) = rest.split_once('\\') {
        let (decoded, after) = unescape(escape);
        text.push_str(plain);
        text.push(decoded.or(half)?);
        rest = after;
    }
    text.push_str(rest);
    Some(Cow::Owned(text))
}

/// What the escape stands for whose backslash is before `escape`, and what
/// follows it. `None` for a half of a surrogate pair.
fn unescape(escape: &str) -> (Option<char>, &str) {
    let mut chars = escape.chars();
    let decoded = match chars.next() {
        Some('b') => Some('\u{8}'),
        Some('f') => Some('\u{c}'),
        Some('n') => Some('\n'),
        Some('r') => Some('\r'),
        Some('t') => Some('\t'),
        Some('u') => return unescape_unicode(chars.as_str()),
        itself => itself,
    };
    (decoded, chars.as_str())
}

fn unescape_unicode(digits: &str) -> (Option<char>, &str) {
    let Some((unit, rest)) = utf16(digits) else {
        return (None, digits);
    };
    if let Some(c) = char::from_u32(unit.into()) {
        return (Some(c), rest);
    }
    if let Some((second, after)) = rest.strip_prefix("\\u").and_then(utf16)
        && let Some(Ok(c)) = char::decode_utf16([unit, second]).next()
    {
        return (Some(c), after);
    }
    (None, rest)
}

/// The UTF-16 unit of four hexadecimal digits, and what follows them.
fn utf16(digits: &str) -> Option<(u16, &str)> {
    let (four, rest) = digits.split_at_checked(4)?;
    Some((u16::from_str_radix(four, 16).ok()?, rest))
}
