//! `x-standin-fail`: which candidates a client wants to fail on purpose, and
//! how. Whether it may is not decided here.
//!
//! `NAME=FAILURE, NAME=FAILURE`: a list as HTTP has it (RFC 9110, 5.6.1), with
//! names written as in `x-standin-attempts`, so that one can be made from the
//! other by hand.

use std::borrow::Cow;
use std::fmt;

use http::HeaderMap;

/// The header's name.
pub const FAIL: &str = "x-standin-fail";

/// Bytes of a client's own text that an error quotes.
const SHOWN: usize = 80;

/// A failure that is asked for: what a provider could answer, or what could
/// become of an attempt without an answer. Ordered as the contract's page is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drill {
    /// It cannot be reached.
    Connect,
    /// The connection breaks.
    Reset,
    /// Nothing comes in time.
    Timeout,
    /// A 200 that is none.
    BadAnswer,
    /// An error status, 400 to 599, with nothing in its body.
    Status(u16),
}

impl Drill {
    fn read(word: &[u8]) -> Option<Self> {
        Some(match word {
            b"connect" => Self::Connect,
            b"reset" => Self::Reset,
            b"timeout" => Self::Timeout,
            b"bad_answer" => Self::BadAnswer,
            [
                first @ b'4'..=b'5',
                second @ b'0'..=b'9',
                third @ b'0'..=b'9',
            ] => {
                let digit = |byte: &u8| u16::from(byte - b'0');
                Self::Status(100 * digit(first) + 10 * digit(second) + digit(third))
            }
            _ => return None,
        })
    }
}

/// Why an `x-standin-fail` cannot be carried out. A drill that silently drills
/// nothing would pass for one that went well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DrillError {
    /// The header is there and names nobody.
    Empty,
    /// This is no way to fail.
    Failure(String),
    /// This name has a `%` that stands for nothing.
    Name(String),
    /// This entry has no `=`, or nothing before it.
    NoPair(String),
    /// This one is no candidate of the request.
    NotListed(String),
    /// This candidate is named twice.
    Twice(String),
    /// This candidate stands for no model that is known.
    Unknown(String),
}

impl fmt::Display for DrillError {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        const FAILURES: &str =
            "an HTTP status from 400 to 599, `connect`, `reset`, `timeout` or `bad_answer`";
        write!(to, "`{FAIL}` ")?;
        match self {
            Self::Empty => write!(
                to,
                "names no candidate: it takes `NAME=FAILURE`, with commas between several; a failure is {FAILURES}."
            ),
            Self::Failure(failure) => {
                write!(to, "has `{failure}` for a failure, which is {FAILURES}.")
            }
            Self::Name(name) => write!(
                to,
                "has the name `{name}`, whose `%` is not followed by two hexadecimal digits; `%` itself is `%25`."
            ),
            Self::NoPair(entry) => write!(
                to,
                "has the entry `{entry}`, but takes `NAME=FAILURE`; `,` and `=` in a name are `%2C` and `%3D`."
            ),
            Self::NotListed(name) => {
                write!(to, "names `{name}`, which is no candidate of this request.")
            }
            Self::Twice(name) => write!(to, "names `{name}` more than once."),
            Self::Unknown(name) => write!(
                to,
                "names `{name}`, which no model is known by: it is skipped, and cannot fail."
            ),
        }
    }
}

/// What is asked for, entry by entry; several headers are one list. Whoever
/// stops at the first entry that is wrong looks at few, however many there are.
///
/// # Errors
/// An entry that is no name and failure.
pub fn drills(
    headers: &HeaderMap,
) -> impl Iterator<Item = Result<(Cow<'_, [u8]>, Drill), DrillError>> {
    let values = headers.get_all(FAIL).into_iter();
    let entries = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    // Empty ones count for nothing in HTTP's lists.
    let entries = entries.map(<[u8]>::trim_ascii);
    entries.filter(|entry| !entry.is_empty()).map(entry)
}

fn entry(entry: &[u8]) -> Result<(Cow<'_, [u8]>, Drill), DrillError> {
    let at = entry.iter().position(|byte| *byte == b'=');
    let (name, failure) = at
        .and_then(|at| Some((entry.get(..at)?.trim_ascii(), entry.get(at + 1..)?)))
        .filter(|(name, _)| !name.is_empty())
        .ok_or_else(|| DrillError::NoPair(shown(entry)))?;
    let failure = failure.trim_ascii();
    let drill = Drill::read(failure).ok_or_else(|| DrillError::Failure(shown(failure)))?;
    let name = decoded(name).ok_or_else(|| DrillError::Name(shown(name)))?;
    Ok((name, drill))
}

/// The name that a percent-encoded one stands for.
fn decoded(name: &[u8]) -> Option<Cow<'_, [u8]>> {
    if !name.contains(&b'%') {
        return Some(name.into());
    }
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let mut out = Vec::with_capacity(name.len());
    let mut bytes = name.iter().copied();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => {
                let (high, low) = (digit(bytes.next()?)?, digit(bytes.next()?)?);
                u8::try_from(16 * high + low).ok()?
            }
            _ => byte,
        });
    }
    Some(out.into())
}

/// A client's text as an error quotes it.
pub fn shown(text: &[u8]) -> String {
    match text.get(..SHOWN) {
        Some(start) if text.len() > SHOWN => format!("{}…", String::from_utf8_lossy(start)),
        _ => String::from_utf8_lossy(text).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn read(values: &[&str]) -> Result<Vec<(String, Drill)>, DrillError> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(FAIL, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let text = |name: Cow<'_, [u8]>| String::from_utf8(name.into_owned()).unwrap();
        drills(&headers)
            .map(|entry| entry.map(|(name, drill)| (text(name), drill)))
            .collect()
    }

    #[test]
    fn names_and_failures_are_read_as_http_writes_lists() {
        let pair = |name: &str, drill| (name.to_owned(), drill);
        for (values, drills) in [
            (&["a=429"][..], vec![pair("a", Drill::Status(429))]),
            (&["a=400"], vec![pair("a", Drill::Status(400))]),
            (&["a=599"], vec![pair("a", Drill::Status(599))]),
            (&["a=connect"], vec![pair("a", Drill::Connect)]),
            (&["a=reset"], vec![pair("a", Drill::Reset)]),
            (&["a=timeout"], vec![pair("a", Drill::Timeout)]),
            (&["a=bad_answer"], vec![pair("a", Drill::BadAnswer)]),
            (
                &["openai/gpt-4o=429, openai/o1=timeout"],
                vec![
                    pair("openai/gpt-4o", Drill::Status(429)),
                    pair("openai/o1", Drill::Timeout),
                ],
            ),
            (
                &[" ,\ta \t= 500 ,, b=reset\t,"],
                vec![pair("a", Drill::Status(500)), pair("b", Drill::Reset)],
            ),
            (
                &["a=500", "", "b=501, c=502"],
                vec![
                    pair("a", Drill::Status(500)),
                    pair("b", Drill::Status(501)),
                    pair("c", Drill::Status(502)),
                ],
            ),
            (
                &["p/x%3D200%2C p/y=429"],
                vec![pair("p/x=200, p/y", Drill::Status(429))],
            ),
            (
                &["mod%c3%A8le%25=429"],
                vec![pair("modèle%", Drill::Status(429))],
            ),
            // Raw bytes are themselves.
            (&["modèle=429"], vec![pair("modèle", Drill::Status(429))]),
            (&["%20a =429"], vec![pair(" a", Drill::Status(429))]),
            (&[], vec![]),
            (&["", " , ,"], vec![]),
        ] {
            assert_eq!(read(values), Ok(drills), "{values:?}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_told_with_the_entry_that_is_wrong() {
        let text = str::to_owned;
        for (value, error) in [
            ("a", DrillError::NoPair(text("a"))),
            ("a=429, b", DrillError::NoPair(text("b"))),
            ("=429", DrillError::NoPair(text("=429"))),
            ("  = 429", DrillError::NoPair(text("= 429"))),
            ("a:429", DrillError::NoPair(text("a:429"))),
            ("a=429; b=500", DrillError::Failure(text("429; b=500"))),
            ("a=", DrillError::Failure(text(""))),
            ("a=200", DrillError::Failure(text("200"))),
            ("a=399", DrillError::Failure(text("399"))),
            ("a=600", DrillError::Failure(text("600"))),
            ("a=4290", DrillError::Failure(text("4290"))),
            ("a=42", DrillError::Failure(text("42"))),
            ("a=+42", DrillError::Failure(text("+42"))),
            ("a=4x9", DrillError::Failure(text("4x9"))),
            ("a=TIMEOUT", DrillError::Failure(text("TIMEOUT"))),
            ("a=cut", DrillError::Failure(text("cut"))),
            ("a=rate_limited", DrillError::Failure(text("rate_limited"))),
            ("a=skipped:open", DrillError::Failure(text("skipped:open"))),
            ("a=b=429", DrillError::Failure(text("b=429"))),
            ("a%=429", DrillError::Name(text("a%"))),
            ("a%4=429", DrillError::Name(text("a%4"))),
            ("a%4g=429", DrillError::Name(text("a%4g"))),
            ("a%+4=429", DrillError::Name(text("a%+4"))),
        ] {
            assert_eq!(read(&[value]), Err(error), "{value}");
        }
    }

    #[test]
    fn an_error_quotes_only_so_much() {
        let long = "é".repeat(5000);
        let Err(error) = read(&[&long]) else {
            panic!("it is no pair");
        };
        let said = error.to_string();
        assert!(said.contains("éé…`") && said.len() < 400, "{said}");
    }
}
