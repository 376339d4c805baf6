//! The rate-limit windows that an answer's headers speak of, under every
//! provider's names.
//!
//! A window is two headers of one name but for the word `remaining` or
//! `reset` in it:
//! - OpenAI, Azure, Groq: `x-ratelimit-remaining-requests`, `-tokens`;
//! - Cerebras: `x-ratelimit-remaining-requests-day`, `-tokens-minute`;
//! - Anthropic: `anthropic-ratelimit-requests-remaining`, also `tokens`,
//!   `input-tokens` and `output-tokens`;
//! - OpenRouter, Kong: `x-ratelimit-remaining`;
//! - Mistral: `x-ratelimit-remaining-req-minute`, `-tokens-minute`, older
//!   `ratelimitbysize-remaining`, which counts tokens;
//! - Together: `x-ratelimit-remaining` and `x-tokenlimit-remaining`;
//! - Fireworks: `x-ratelimit-remaining-tokens-prompt`, `-tokens-generated`;
//! - IETF drafts to 06: `ratelimit-remaining`. Draft 07 has one header
//!   `ratelimit: limit=9, remaining=0, reset=5`, later ones
//!   `ratelimit: "name";r=0;t=5` (draft-ietf-httpapi-ratelimit-headers).

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderValue};

use super::moment::{Clock, Moment};

/// More windows than any provider has; what comes after them is not read.
const MAX: usize = 32;

/// What a window counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Something that an answer need not use: images, audio.
    Other,
    Requests,
    /// Tokens of whatever sort.
    Tokens,
}

/// One window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) kind: Kind,
    /// Nothing where it does not say, or says a negative number, which Azure
    /// does where it does not know.
    pub(super) remaining: Option<u64>,
    /// Time until it is full again; nothing where it does not say, or where
    /// that has passed.
    pub(super) reset: Option<Duration>,
}

/// A window that may still want one of its two headers.
struct Half<'a> {
    /// Its name, before and behind the word.
    name: (&'a str, &'a str),
    wants_remaining: bool,
    wants_reset: bool,
    window: Window,
}

/// Reads all windows in one pass over the headers. Where a header comes twice,
/// its first line belongs to the first line of its counterpart, the second to
/// the second.
pub(super) fn read(headers: &HeaderMap, now: SystemTime) -> Vec<Window> {
    let clock = Clock::of(headers, now);
    let mut halves = Vec::new();
    let mut whole = Vec::new();
    for (name, value) in headers {
        let name = name.as_str();
        if !name.contains("limit") || halves.len() + whole.len() >= MAX {
            continue;
        }
        if matches!(name, "ratelimit" | "x-ratelimit") {
            structured(value, &clock, &mut whole);
        } else if is_family(name) {
            if let Some(name) = around(name, "-remaining") {
                let half = half(&mut halves, name, |half| &mut half.wants_remaining);
                half.remaining = remaining(value);
            } else if let Some(name) = around(name, "-reset") {
                let half = half(&mut halves, name, |half| &mut half.wants_reset);
                half.reset = clock.longest(value, Moment::read);
            }
        }
    }
    whole.extend(halves.into_iter().map(|half| half.window));
    whole
}

fn is_family(name: &str) -> bool {
    ["ratelimit", "rate-limit", "tokenlimit"]
        .iter()
        .any(|family| name.contains(family))
}

/// What stands before and behind a word of a name.
fn around<'a>(name: &'a str, word: &str) -> Option<(&'a str, &'a str)> {
    let (before, behind) = name.split_once(word)?;
    let is_word = behind.is_empty() || behind.starts_with('-');
    is_word.then_some((before, behind))
}

/// The first window of this name that still wants this header, or a new one.
fn half<'h, 'a>(
    halves: &'h mut Vec<Half<'a>>,
    name: (&'a str, &'a str),
    wants: for<'b> fn(&'b mut Half<'a>) -> &'b mut bool,
) -> &'h mut Window {
    let at = halves
        .iter_mut()
        .position(|half| half.name == name && *wants(half))
        .unwrap_or(halves.len());
    if at == halves.len() {
        halves.push(Half {
            name,
            wants_remaining: true,
            wants_reset: true,
            window: Window {
                kind: kind(name),
                remaining: None,
                reset: None,
            },
        });
    }
    let half = &mut halves[at];
    *wants(half) = false;
    &mut half.window
}

/// What a window of this name counts. One that names nothing counts requests.
fn kind((before, behind): (&str, &str)) -> Kind {
    let mut words = before.split('-').chain(behind.split('-'));
    let has = |part: &str| before.contains(part) || behind.contains(part);
    if has("token") || has("bysize") {
        Kind::Tokens
    } else if has("request")
        || words.clone().any(|word| word == "req")
        || words.all(|word| {
            matches!(
                word,
                "" | "x"
                    | "ratelimit"
                    | "rate"
                    | "limit"
                    | "second"
                    | "minute"
                    | "hour"
                    | "day"
                    | "week"
                    | "month"
                    | "dynamic"
            )
        })
    {
        Kind::Requests
    } else {
        Kind::Other
    }
}

/// The least of the numbers, where lines were folded into one.
fn remaining(value: &HeaderValue) -> Option<u64> {
    let text = value.to_str().ok()?;
    text.split(',').filter_map(count).min()
}

fn count(text: &str) -> Option<u64> {
    let text = text.trim();
    if let Ok(whole) = text.parse() {
        return Some(whole);
    }
    let number: f64 = text.parse().ok()?;
    let is_count = number.is_finite() && number >= 0.0;
    is_count.then(|| Duration::try_from_secs_f64(number).map_or(u64::MAX, |n| n.as_secs()))
}

/// The one-header forms of the later IETF drafts.
fn structured(value: &HeaderValue, clock: &Clock<'_>, windows: &mut Vec<Window>) {
    let Ok(text) = value.to_str() else { return };
    let empty = |kind| Window {
        kind,
        remaining: None,
        reset: None,
    };
    // Draft 07: the members of one window, as items of the list.
    let mut flat = empty(Kind::Requests);
    let until = |text: &str| clock.until(Moment::read(text)?);
    for item in pieces(text, ',') {
        let mut members = pieces(item, ';').peekable();
        let is_tokens = members
            .peek()
            .is_some_and(|name| name.to_ascii_lowercase().contains("token"));
        let mut window = empty(if is_tokens {
            Kind::Tokens
        } else {
            Kind::Requests
        });
        for member in members {
            match member.trim().split_once('=') {
                Some(("r", value)) => window.remaining = count(value),
                Some(("t", value)) => window.reset = until(value),
                Some(("remaining", value)) => flat.remaining = count(value),
                Some(("reset", value)) => flat.reset = until(value),
                _ => {}
            }
        }
        windows.push(window);
    }
    windows.push(flat);
    windows.retain(|window| window.remaining.is_some() || window.reset.is_some());
    windows.truncate(MAX);
}

/// Splits where the mark stands outside of quotes.
fn pieces(text: &str, mark: char) -> impl Iterator<Item = &str> {
    let mut is_quoted = false;
    text.split(move |c| {
        is_quoted ^= c == '"';
        c == mark && !is_quoted
    })
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn of(lines: &[(&'static str, &str)]) -> Vec<(Kind, Option<u64>, Option<u64>)> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        read(&headers, UNIX_EPOCH)
            .into_iter()
            .map(|w| (w.kind, w.remaining, w.reset.map(|reset| reset.as_secs())))
            .collect()
    }

    #[test]
    fn what_a_window_counts_is_in_its_name() {
        for (name, kind) in [
            ("x-ratelimit-remaining", Kind::Requests),
            ("x-rate-limit-remaining", Kind::Requests),
            ("x-ratelimit-remaining-requests", Kind::Requests),
            ("x-ratelimit-remaining-requests-day", Kind::Requests),
            ("x-ratelimit-remaining-project-requests", Kind::Requests),
            ("x-ratelimit-remaining-req-minute", Kind::Requests),
            ("x-ratelimit-remaining-minute", Kind::Requests),
            ("x-ratelimit-remaining-dynamic", Kind::Requests),
            ("ratelimit-remaining", Kind::Requests),
            ("anthropic-ratelimit-requests-remaining", Kind::Requests),
            ("anthropic-ratelimit-input-tokens-remaining", Kind::Tokens),
            ("anthropic-ratelimit-output-tokens-remaining", Kind::Tokens),
            ("x-ratelimit-remaining-tokens-prompt", Kind::Tokens),
            ("x-ratelimit-remaining-tokens-generated", Kind::Tokens),
            ("x-ratelimit-remaining-tokens_usage_based", Kind::Tokens),
            ("x-tokenlimit-remaining", Kind::Tokens),
            ("ratelimitbysize-remaining", Kind::Tokens),
            ("x-ratelimitbysize-remaining-month", Kind::Tokens),
            ("x-ratelimit-remaining-images", Kind::Other),
            ("anthropic-ratelimit-unified-5h-remaining", Kind::Other),
        ] {
            assert_eq!(of(&[(name, "3")]), [(kind, Some(3), None)], "{name}");
        }
        for name in [
            "x-ratelimit-limit-requests",
            "x-ratelimit-tokens-query-cost",
            "x-ratelimit-timeremaining",
            "x-ratelimit-over-limit",
            "x-remaining-requests",
            "content-length-limit-reset",
        ] {
            assert_eq!(of(&[(name, "3")]), [], "{name}");
        }
    }

    #[test]
    fn the_two_headers_of_a_window_find_each_other() {
        assert_eq!(
            of(&[
                ("x-ratelimit-reset-tokens", "20s"),
                ("x-ratelimit-remaining-requests", "4"),
                ("x-ratelimit-remaining-tokens", "0"),
                ("x-ratelimit-reset-requests", "9"),
            ]),
            [
                (Kind::Tokens, Some(0), Some(20)),
                (Kind::Requests, Some(4), Some(9))
            ]
        );
    }

    #[test]
    fn lines_that_come_twice_are_two_windows() {
        assert_eq!(
            of(&[
                ("x-ratelimit-remaining", "0"),
                ("x-ratelimit-remaining", "100"),
                ("x-ratelimit-reset", "1"),
                ("x-ratelimit-reset", "60"),
            ]),
            [
                (Kind::Requests, Some(0), Some(1)),
                (Kind::Requests, Some(100), Some(60))
            ]
        );
        assert_eq!(
            of(&[
                ("x-ratelimit-remaining", "100, 0"),
                ("x-ratelimit-reset", "60, 1")
            ]),
            [(Kind::Requests, Some(0), Some(60))]
        );
        let many = [("x-ratelimit-remaining", "5"); 100];
        assert_eq!(of(&many).len(), MAX);
    }

    #[test]
    fn the_drafts_with_one_header_are_read() {
        for (value, is) in [
            (
                r#""default";r=50;t=30"#,
                &[(Kind::Requests, Some(50), Some(30))][..],
            ),
            (
                r#""a,b;r=7";r=0;t=3, "tokens-minute"; r=9"#,
                &[
                    (Kind::Requests, Some(0), Some(3)),
                    (Kind::Tokens, Some(9), None),
                ],
            ),
            (
                "limit=10, remaining=0, reset=5",
                &[(Kind::Requests, Some(0), Some(5))],
            ),
            ("default", &[]),
            (r#"""#, &[]),
        ] {
            assert_eq!(of(&[("ratelimit", value)]), is, "{value}");
        }
    }

    #[test]
    fn a_count_is_a_number_that_is_not_negative() {
        for (value, is) in [
            ("0", Some(0)),
            ("149984", Some(149_984)),
            ("29.9", Some(29)),
            ("1e400", None),
            ("1e300", Some(u64::MAX)),
            ("-1", None),
            ("many", None),
            ("", None),
        ] {
            assert_eq!(count(value), is, "{value}");
        }
    }
}
