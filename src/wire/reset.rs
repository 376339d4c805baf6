//! When a rate limit ends, in every form that providers write it.
//!
//! Forms: `retry-after` in seconds or as an HTTP date (RFC 9110 section
//! 10.2.3), `retry-after-ms` (OpenAI), `x-ms-retry-after-ms` (Azure),
//! `x-ratelimit-reset-*` as `6m0s` (OpenAI, Azure, Groq), as seconds with a
//! fraction (Cerebras) or as epoch milliseconds (OpenRouter),
//! `anthropic-ratelimit-*-reset` as RFC 3339, and Google's `retryDelay` in an
//! error's body.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderValue};

/// A provider's own reset time is believed up to a day: beyond it the value
/// is a mistake, or of another unit than it seems.
pub const LONGEST: Duration = Duration::from_hours(24);

/// How long from `now` until the provider says that it takes requests again;
/// nothing where it says nothing.
///
/// The plain `retry-after` wins over windows; of windows the longest that is
/// exhausted counts; `in_body` is what the error's body said.
pub fn wait(headers: &HeaderMap, in_body: Option<Duration>, now: SystemTime) -> Option<Duration> {
    retry_after(headers, now)
        .or_else(|| windows(headers, now))
        .or(in_body)
        .map(|wait| wait.min(LONGEST))
}

/// What `retry-after` alone says, in any of its spellings.
pub fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let milliseconds = ["retry-after-ms", "x-ms-retry-after-ms"]
        .into_iter()
        .filter_map(|name| number(headers.get(name)?))
        .map(|ms| seconds(ms / 1000.0))
        .next();
    milliseconds.or_else(|| moment(text(headers.get("retry-after")?)?, now))
}

/// The longest window that has nothing left. A window that does not say how
/// much is left counts as empty: the answer was a refusal.
fn windows(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    headers
        .iter()
        .filter_map(|(name, value)| {
            let name = name.as_str();
            if !name.contains("ratelimit") || !name.contains("reset") {
                return None;
            }
            let left = headers.get(name.replace("reset", "remaining"));
            let is_empty = left.and_then(number).is_none_or(|left| left <= 0.0);
            if is_empty {
                moment(text(value)?, now)
            } else {
                None
            }
        })
        .max()
}

fn text(value: &HeaderValue) -> Option<&str> {
    value.to_str().ok().map(str::trim)
}

fn number(value: &HeaderValue) -> Option<f64> {
    text(value)?.parse().ok().filter(|n: &f64| n.is_finite())
}

/// Reads one moment in any form, as the time from `now` until then; a moment
/// that has passed is no time at all.
pub fn moment(value: &str, now: SystemTime) -> Option<Duration> {
    if let Ok(number) = value.parse::<f64>() {
        return from_number(number, now);
    }
    if let Some(length) = spelled(value) {
        return Some(length);
    }
    let then = chrono::DateTime::parse_from_rfc3339(value)
        .ok()
        .and_then(|then| u64::try_from(then.timestamp_millis()).ok())
        .map(|ms| UNIX_EPOCH + Duration::from_millis(ms))
        .or_else(|| httpdate::parse_http_date(value).ok())?;
    Some(then.duration_since(now).unwrap_or_default().min(LONGEST))
}

/// Seconds from now, or seconds or milliseconds since 1970. No wait is as
/// long as 30 years, and no clock that is right shows a year before 2001.
fn from_number(number: f64, now: SystemTime) -> Option<Duration> {
    if !number.is_finite() || number < 0.0 {
        return None;
    }
    let epoch = match number {
        n if n >= 1e12 => n / 1000.0,
        n if n >= 1e9 => n,
        n => return Some(seconds(n)),
    };
    let now = now.duration_since(UNIX_EPOCH).ok()?.as_secs_f64();
    Some(seconds((epoch - now).max(0.0)))
}

fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds.max(0.0))
        .unwrap_or(LONGEST)
        .min(LONGEST)
}

/// `1s`, `6m0s`, `12ms`, `2m59.56s`, `1h2m3s`, `1d2h`.
fn spelled(value: &str) -> Option<Duration> {
    let mut rest = value;
    let mut total = 0.0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..end].parse().ok()?;
        rest = &rest[end..];
        let unit = rest
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(rest.len());
        total += number
            * match &rest[..unit] {
                "ns" => 1e-9,
                "us" | "µs" | "μs" => 1e-6,
                "ms" => 1e-3,
                "s" => 1.0,
                "m" => 60.0,
                "h" => 3600.0,
                "d" => 86400.0,
                _ => return None,
            };
        rest = &rest[unit..];
    }
    (!value.is_empty()).then(|| seconds(total))
}

#[cfg(test)]
mod tests {
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
            ("retry-after", "Wed, 31 Dec 2025 23:00:00 GMT", ms(0)),
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
        assert_eq!(wait(&headers, ms(34_000), now()), ms(34_000));
    }
}
