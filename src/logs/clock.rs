//! The time of day as a line has it: RFC 3339 in UTC, with milliseconds.

use std::time::{SystemTime, UNIX_EPOCH};

use chrono::{DateTime, SecondsFormat, Utc};

/// `2026-03-01T12:30:45.678Z`
const LENGTH: usize = 24;

const FIRST: [u8; LENGTH] = *b"1970-01-01T00:00:00.000Z";

/// Where its milliseconds stand.
const MILLIS: usize = 20;

/// Writes times; the last one's date and second are kept, since the next one
/// mostly has the same.
#[derive(Debug)]
pub(super) struct Clock {
    /// Since 1970, of what is written; nothing before the first.
    second: Option<u64>,
    text: [u8; LENGTH],
}

impl Default for Clock {
    fn default() -> Self {
        Self {
            second: None,
            text: FIRST,
        }
    }
}

impl Clock {
    /// A time as text, from 1970 to the year 9999.
    pub(super) fn read(&mut self, now: SystemTime) -> &[u8] {
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        if self.second != Some(since.as_secs()) {
            let second = i64::try_from(since.as_secs()).unwrap_or_default();
            let time = DateTime::<Utc>::from_timestamp(second, 0).unwrap_or_default();
            let text = time.to_rfc3339_opts(SecondsFormat::Millis, true);
            self.text = text.as_bytes().try_into().unwrap_or(FIRST);
            self.second = Some(since.as_secs());
        }
        let millis = since.subsec_millis();
        for (place, scale) in [(MILLIS, 100), (MILLIS + 1, 10), (MILLIS + 2, 1)] {
            self.text[place] = b'0' + u8::try_from(millis / scale % 10).unwrap_or_default();
        }
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_are_written_as_chrono_writes_them() {
        let mut clock = Clock::default();
        let mut millis = 1_772_368_245_678;
        for step in [
            0,
            1,
            321,
            1,
            999,
            1000,
            3_600_000,
            86_400_000,
            31_536_000_000,
        ] {
            millis += step;
            let now = UNIX_EPOCH + Duration::from_millis(millis);
            let wanted = DateTime::<Utc>::from(now).to_rfc3339_opts(SecondsFormat::Millis, true);
            assert_eq!(clock.read(now), wanted.as_bytes());
        }
        let before = UNIX_EPOCH + Duration::from_secs(3);
        assert_eq!(clock.read(before), b"1970-01-01T00:00:03.000Z");
        let early = UNIX_EPOCH - Duration::from_secs(3);
        assert_eq!(clock.read(early), FIRST);
        let late = UNIX_EPOCH + Duration::from_hours(24 * 366 * 9000);
        assert_eq!(clock.read(late), FIRST);
    }
}
