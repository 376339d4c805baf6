//! What a provider says is left, on an answer that it gave.

use std::time::{Duration, SystemTime};

use http::HeaderMap;

use super::window::{self, Kind, Window};

/// What is left of a provider's limits, as far as it says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// Requests.
    pub requests: Option<Left>,
    /// Tokens, of the sort that is nearest to its end.
    pub tokens: Option<Left>,
}

/// What is left of one limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    /// How many.
    pub remaining: u64,
    /// Time until there are more, up to [`super::reset::LONGEST`]; nothing
    /// where that is not said, or lies in the past.
    pub reset: Option<Duration>,
}

impl Quota {
    /// Reads an answer's headers. `now` is our wall clock; it counts only
    /// where the answer has no date of its own. Costs a look at each name,
    /// and no allocation, where no header speaks of a limit.
    pub fn read(headers: &HeaderMap, now: SystemTime) -> Self {
        let windows = window::read(headers, now);
        Self {
            requests: least(&windows, Kind::Requests),
            tokens: least(&windows, Kind::Tokens),
        }
    }
}

/// The window with the least left; of several, the one that lasts longest.
fn least(windows: &[Window], kind: Kind) -> Option<Left> {
    windows
        .iter()
        .filter(|window| window.kind == kind)
        .filter_map(|window| {
            Some(Left {
                remaining: window.remaining?,
                reset: window.reset,
            })
        })
        .min_by(|a, b| {
            let longest_first = || b.reset.cmp(&a.reset);
            a.remaining.cmp(&b.remaining).then_with(longest_first)
        })
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn quota(lines: &[(&'static str, &str)]) -> Quota {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        Quota::read(&headers, UNIX_EPOCH + Duration::from_secs(1_767_225_600))
    }

    fn left(remaining: u64, reset: Option<u64>) -> Option<Left> {
        Some(Left {
            remaining,
            reset: reset.map(Duration::from_millis),
        })
    }

    #[test]
    fn answers_that_say_nothing_leave_nothing() {
        assert_eq!(quota(&[]), Quota::default());
        let silent = [
            ("content-type", "application/json"),
            ("x-ratelimit-limit-requests", "100"),
            ("x-ratelimit-reset-requests", "1s"),
            ("x-ratelimit-remaining-images", "0"),
            ("x-ratelimit-remaining-tokens", "-1"),
        ];
        assert_eq!(quota(&silent), Quota::default());
    }

    #[test]
    fn of_windows_with_something_left_the_least_counts_with_its_own_reset() {
        let read = quota(&[
            ("x-ratelimit-remaining-requests-minute", "29"),
            ("x-ratelimit-reset-requests-minute", "12.5"),
            ("x-ratelimit-remaining-requests-day", "14000"),
            ("x-ratelimit-reset-requests-day", "33011.4"),
            ("x-ratelimit-remaining-tokens-minute", "7000"),
        ]);
        assert_eq!(read.requests, left(29, Some(12_500)));
        assert_eq!(read.tokens, left(7000, None));
    }

    #[test]
    fn of_exhausted_windows_the_longest_counts() {
        let read = quota(&[
            ("anthropic-ratelimit-tokens-remaining", "0"),
            ("anthropic-ratelimit-tokens-reset", "2026-01-01T00:00:08Z"),
            ("anthropic-ratelimit-input-tokens-remaining", "0"),
            (
                "anthropic-ratelimit-input-tokens-reset",
                "2026-01-01T00:01:00Z",
            ),
            ("anthropic-ratelimit-output-tokens-remaining", "5000"),
            (
                "anthropic-ratelimit-output-tokens-reset",
                "2026-01-01T01:00:00Z",
            ),
        ]);
        assert_eq!(read.tokens, left(0, Some(60_000)));
        assert_eq!(read.requests, None);
    }

    #[test]
    fn a_reset_that_has_passed_says_nothing() {
        let read = quota(&[
            ("anthropic-ratelimit-requests-remaining", "3"),
            ("anthropic-ratelimit-requests-reset", "2025-12-31T23:59:59Z"),
        ]);
        assert_eq!(read.requests, left(3, None));
    }

    #[test]
    fn absolute_resets_stand_on_the_providers_clock() {
        let read = quota(&[
            ("date", "Thu, 01 Jan 2037 00:00:00 GMT"),
            ("anthropic-ratelimit-requests-remaining", "3"),
            ("anthropic-ratelimit-requests-reset", "2037-01-01T00:00:02Z"),
        ]);
        assert_eq!(read.requests, left(3, Some(2000)));
    }
}
