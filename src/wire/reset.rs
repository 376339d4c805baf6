//! When a rate limit ends, in every form that providers write it.
//!
//! Forms: `retry-after` in seconds or as an HTTP date (RFC 9110 section
//! 10.2.3), `retry-after-ms` (OpenAI), `x-ms-retry-after-ms` (Azure), windows
//! that reset after `6m0s` (OpenAI, Azure, Groq), after seconds with a fraction
//! (Cerebras), at an epoch millisecond (OpenRouter) or at an RFC 3339 time
//! (Anthropic), and what an error's body says.

use std::time::{Duration, SystemTime};

use http::HeaderMap;

use super::moment::{Clock, Read};
pub use super::moment::{LONGEST, Moment};
use super::window;

/// How long it is until the provider takes requests again; nothing where it
/// says nothing, or only of a moment that has passed.
///
/// The plain `retry-after` wins over windows; of windows the longest that is
/// exhausted counts; `in_body` is what the error's body said. `now` is our
/// wall clock: it counts only for moments that are dates, and only where the
/// answer does not show the provider's own.
pub fn wait(headers: &HeaderMap, in_body: Option<Moment>, now: SystemTime) -> Option<Duration> {
    let clock = Clock::of(headers, now);
    in_headers(headers, &clock)
        .or_else(|| windows(headers, now))
        .or_else(|| clock.until(in_body?))
}

/// The same without regard to windows, for answers that do not speak of rates.
pub fn retry_after(
    headers: &HeaderMap,
    in_body: Option<Moment>,
    now: SystemTime,
) -> Option<Duration> {
    let clock = Clock::of(headers, now);
    in_headers(headers, &clock).or_else(|| clock.until(in_body?))
}

/// `retry-after` in any of its spellings, the finer ones first; the longest
/// where a header comes more than once.
fn in_headers(headers: &HeaderMap, clock: &Clock<'_>) -> Option<Duration> {
    let spellings: [(&str, Read); 3] = [
        ("retry-after-ms", Moment::of_milliseconds),
        ("x-ms-retry-after-ms", Moment::of_milliseconds),
        ("retry-after", Moment::read),
    ];
    spellings.into_iter().find_map(|(name, read)| {
        let lines = headers.get_all(name).iter();
        lines.filter_map(|line| clock.longest(line, read)).max()
    })
}

/// The longest window that has nothing left. A window that does not say how
/// much is left counts as empty: the answer was a refusal.
fn windows(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    window::read(headers, now)
        .into_iter()
        .filter(|window| window.remaining.is_none_or(|left| left == 0))
        .filter_map(|window| window.reset)
        .max()
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    /// 2026-01-01T00:00:00Z
    const NOW: u64 = 1_767_225_600;

    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(NOW)
    }

    fn wait_of(lines: &[(&'static str, &str)]) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        wait(&headers, None, now())
    }

    fn ms(ms: u64) -> Option<Duration> {
        Some(Duration::from_millis(ms))
    }

    #[test]
    fn every_form_is_read() {
        let later_ms = (NOW * 1000 + 90_000).to_string();
        let later_s = (NOW + 90).to_string();
        for (name, value, is) in [
            ("retry-after", "7", ms(7000)),
            ("retry-after", " 7 ", ms(7000)),
            ("retry-after", "1.5", ms(1500)),
            ("retry-after", "Thu, 01 Jan 2026 00:01:30 GMT", ms(90_000)),
            ("retry-after", "Wed, 31 Dec 2025 23:00:00 GMT", None),
            ("retry-after", "0", ms(0)),
            ("retry-after", "7, 9", ms(9000)),
            ("retry-after-ms", later_ms.as_str(), ms(90_000)),
            ("retry-after-ms", "-5", None),
            ("x-ratelimit-reset", "-1", None),
            ("x-ratelimit-reset", "1767225599", None),
            ("ratelimit-reset", "30", ms(30_000)),
            ("ratelimit", "\"a\";r=0;t=30, \"b\";r=5;t=90", ms(30_000)),
            ("ratelimitbysize-reset", "22", ms(22_000)),
            ("x-tokenlimit-reset", "3", ms(3000)),
            ("retry-after-ms", "1250", ms(1250)),
            ("x-ms-retry-after-ms", "40", ms(40)),
            ("x-ratelimit-reset-requests", "1s", ms(1000)),
            ("x-ratelimit-reset-tokens", "6m0s", ms(360_000)),
            ("x-ratelimit-reset-tokens", "12ms", ms(12)),
            ("x-ratelimit-reset-tokens", "2m59.56s", ms(179_560)),
            ("x-ratelimit-reset-requests-day", "331.5", ms(331_500)),
            ("x-ratelimit-reset", later_ms.as_str(), ms(90_000)),
            ("x-ratelimit-reset", later_s.as_str(), ms(90_000)),
            (
                "anthropic-ratelimit-tokens-reset",
                "2026-01-01T00:00:30Z",
                ms(30_000),
            ),
            (
                "anthropic-ratelimit-tokens-reset",
                "2026-01-01T01:00:30+01:00",
                ms(30_000),
            ),
            ("retry-after", "-3", None),
            ("retry-after", "soon", None),
            ("retry-after", "NaN", None),
            ("retry-after", "inf", None),
            ("retry-after", "", None),
            ("retry-after", "500000", Some(LONGEST)),
            ("retry-after-ms", "1e300", Some(LONGEST)),
            ("x-ratelimit-reset", "9e15", Some(LONGEST)),
        ] {
            assert_eq!(wait_of(&[(name, value)]), is, "{name}: {value}");
        }
        assert_eq!(wait_of(&[]), None);
    }

    #[test]
    fn the_longest_exhausted_window_counts() {
        let windows = [
            ("x-ratelimit-remaining-requests", "0"),
            ("x-ratelimit-reset-requests", "8s"),
            ("x-ratelimit-remaining-tokens", "0"),
            ("x-ratelimit-reset-tokens", "2m0s"),
            ("x-ratelimit-remaining-requests-day", "17"),
            ("x-ratelimit-reset-requests-day", "33011.38"),
        ];
        assert_eq!(wait_of(&windows), ms(120_000));
    }

    #[test]
    fn retry_after_wins_over_windows_and_milliseconds_over_seconds() {
        assert_eq!(
            wait_of(&[("retry-after", "3"), ("x-ratelimit-reset-tokens", "2m0s")]),
            ms(3000)
        );
        assert_eq!(
            wait_of(&[("retry-after", "3"), ("retry-after-ms", "2750")]),
            ms(2750)
        );
    }

    #[test]
    fn the_body_speaks_where_headers_are_silent() {
        let headers = HeaderMap::new();
        let body = Moment::read("34s");
        assert_eq!(wait(&headers, body, now()), ms(34_000));
        assert_eq!(retry_after(&headers, body, now()), ms(34_000));
        let mut past = HeaderMap::new();
        past.insert("retry-after", "-1".parse().unwrap());
        past.insert("x-ratelimit-reset", "1000000000".parse().unwrap());
        assert_eq!(wait(&past, body, now()), ms(34_000));
        assert_eq!(wait(&past, None, now()), None);
    }

    #[test]
    fn a_source_that_says_nothing_leaves_the_word_to_the_next() {
        assert_eq!(
            wait_of(&[
                ("retry-after-ms", "-1"),
                ("retry-after", "Wed, 31 Dec 2025 23:00:00 GMT"),
                ("x-ratelimit-reset-tokens", "2s"),
            ]),
            ms(2000)
        );
        assert_eq!(
            wait_of(&[("retry-after-ms", "soon"), ("retry-after", "3")]),
            ms(3000)
        );
    }

    #[test]
    fn lines_that_come_twice_confuse_nobody() {
        for two in [["3", "8"], ["8", "3"], ["8", "soon"], ["soon", "8"]] {
            let two = two.map(|value| ("retry-after", value));
            assert_eq!(wait_of(&two), ms(8000), "{two:?}");
        }
        let windows = [
            ("x-ratelimit-remaining-requests", "0"),
            ("x-ratelimit-remaining-requests", "40"),
            ("x-ratelimit-reset-requests", "2s"),
            ("x-ratelimit-reset-requests", "50s"),
        ];
        assert_eq!(wait_of(&windows), ms(2000));
    }

    #[test]
    fn moments_stand_on_the_providers_clock() {
        let far = [UNIX_EPOCH, now() + Duration::from_hours(300_000)];
        for (name, value) in [
            ("retry-after", "Thu, 01 Jan 2026 00:00:30 GMT"),
            ("x-ratelimit-reset", "1767225630"),
            ("x-ratelimit-reset", "1767225630000"),
            ("anthropic-ratelimit-tokens-reset", "2026-01-01T00:00:30Z"),
            ("retry-after", "30"),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            headers.append("date", "today".parse().unwrap());
            headers.append("date", "Thu, 01 Jan 2026 00:00:00 GMT".parse().unwrap());
            for ours in far {
                assert_eq!(wait(&headers, None, ours), ms(30_000), "{value}");
            }
        }
        let mut headers = HeaderMap::new();
        headers.insert("date", "Thu, 01 Jan 2026 00:00:00 GMT".parse().unwrap());
        let body = Moment::read("1767225630000");
        for ours in far {
            assert_eq!(wait(&headers, body, ours), ms(30_000));
        }
    }
}
