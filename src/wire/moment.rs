//! One moment, in every form that providers write it, and the clock that it
//! is measured from.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderValue, header};

/// A provider's own reset time is believed up to a day: beyond it the value
/// is a mistake, or of another unit than it seems.
pub const LONGEST: Duration = Duration::from_hours(24);

/// A moment to come, as a provider wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// So long after the answer.
    After(Duration),
    /// By the provider's clock.
    At(SystemTime),
}

impl Moment {
    /// Reads a number of seconds or a time since 1970, a length with its
    /// units, an RFC 3339 time or an HTTP date. A negative number is none.
    pub fn read(value: &str) -> Option<Self> {
        let value = value.trim();
        if let Ok(number) = value.parse() {
            return Self::of_seconds(number);
        }
        if let Some(length) = spelled(value) {
            return Some(Self::After(length));
        }
        let then = chrono::DateTime::parse_from_rfc3339(value)
            .ok()
            .and_then(|then| u64::try_from(then.timestamp_millis()).ok())
            .and_then(|ms| UNIX_EPOCH.checked_add(Duration::from_millis(ms)))
            .or_else(|| httpdate::parse_http_date(value).ok())?;
        Some(Self::At(then))
    }

    /// Seconds from now, or since 1970 in any unit. No wait is as long as 30
    /// years, and no clock that is right shows a year before 2001.
    fn of_seconds(number: f64) -> Option<Self> {
        let per_second = match number {
            n if !n.is_finite() || n < 0.0 => return None,
            n if n >= 1e18 => 1e9,
            n if n >= 1e15 => 1e6,
            n if n >= 1e12 => 1e3,
            n if n >= 1e9 => 1.0,
            n => return Some(Self::After(seconds(n))),
        };
        // A float of this size is no finer than a millisecond.
        let then = Duration::try_from_secs_f64(number / per_second)
            .ok()
            .and_then(|since| u64::try_from(since.as_millis()).ok())
            .and_then(|ms| UNIX_EPOCH.checked_add(Duration::from_millis(ms)));
        Some(then.map_or(Self::After(LONGEST), Self::At))
    }

    /// Milliseconds from now, or since 1970.
    pub(super) fn of_milliseconds(value: &str) -> Option<Self> {
        let number: f64 = value.trim().parse().ok()?;
        if number >= 1e12 {
            return Self::of_seconds(number);
        }
        (number >= 0.0).then(|| Self::After(seconds(number / 1000.0)))
    }
}

/// A way to read moments.
pub(super) type Read = fn(&str) -> Option<Moment>;

/// The clock that a provider's moments are measured from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock<'a> {
    headers: &'a HeaderMap,
    ours: SystemTime,
}

impl<'a> Clock<'a> {
    /// The clock of the provider that wrote these headers; ours where it does
    /// not show its own.
    pub(super) fn of(headers: &'a HeaderMap, ours: SystemTime) -> Self {
        Self { headers, ours }
    }

    /// How long it is until then, up to [`LONGEST`]; nothing where it has
    /// passed.
    pub(super) fn until(&self, moment: Moment) -> Option<Duration> {
        let wait = match moment {
            Moment::After(wait) => wait,
            Moment::At(then) => then.duration_since(self.now()).ok()?,
        };
        Some(wait.min(LONGEST))
    }

    /// The longest time that the value says. Lines that were folded into one
    /// have commas between them, and so have dates.
    pub(super) fn longest(&self, value: &HeaderValue, read: Read) -> Option<Duration> {
        let text = value.to_str().ok()?;
        match read(text) {
            Some(moment) => self.until(moment),
            None => text
                .split(',')
                .filter_map(|piece| self.until(read(piece)?))
                .max(),
        }
    }

    /// What its own clock showed when it answered. Where our clock is set
    /// wrong, or is set right in between, no moment moves with it.
    fn now(&self) -> SystemTime {
        self.headers
            .get_all(header::DATE)
            .iter()
            .find_map(|date| httpdate::parse_http_date(date.to_str().ok()?.trim()).ok())
            .unwrap_or(self.ours)
    }
}

fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds)
        .unwrap_or(LONGEST)
        .min(LONGEST)
}

/// `1s`, `6m0s`, `12ms`, `2m59.56s`, `1h2m3s`, `1d2h`, `34.074824224s`.
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

    #[test]
    fn a_moment_is_relative_or_absolute_by_its_size() {
        let after = |ms| Some(Moment::After(Duration::from_millis(ms)));
        let at = |ms| Some(Moment::At(UNIX_EPOCH + Duration::from_millis(ms)));
        for (value, is) in [
            ("0", after(0)),
            ("7", after(7000)),
            (" 1.5 ", after(1500)),
            ("34.5s", after(34_500)),
            ("1d2h", Some(Moment::After(LONGEST))),
            ("1767225690", at(1_767_225_690_000)),
            ("1767225690500", at(1_767_225_690_500)),
            ("1767225690500000", at(1_767_225_690_500)),
            ("1767225690500000000", at(1_767_225_690_500)),
            ("2026-01-01T00:01:30.5Z", at(1_767_225_690_500)),
            ("2026-01-01T01:01:30+01:00", at(1_767_225_690_000)),
            ("Thu, 01 Jan 2026 00:01:30 GMT", at(1_767_225_690_000)),
            ("Thursday, 01-Jan-26 00:01:30 GMT", at(1_767_225_690_000)),
            ("1e300", Some(Moment::After(LONGEST))),
            ("-1", None),
            ("-5s", None),
            ("1969-12-31T23:59:59Z", None),
            ("1e400", None),
            ("NaN", None),
            ("5x", None),
            (".s", None),
            ("s", None),
            ("", None),
        ] {
            assert_eq!(Moment::read(value), is, "{value}");
        }
    }
}
