//! What a collector's answer means, and how long to wait before it is asked
//! again (<https://opentelemetry.io/docs/specs/otlp/#otlphttp-response>).

use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::seam::{Broken, Head};
use crate::wire::reset;

/// How often one export is tried. With the pauses between, a collector may be
/// away for a quarter of a minute.
const TRIES: u32 = 6;

/// The first pause, doubled by each failure.
const FIRST: Duration = Duration::from_millis(500);

/// The longest pause, also where the collector asks for more: meanwhile the
/// queue fills.
const LONGEST: Duration = Duration::from_secs(30);

/// What became of an export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may be tried again; after this time, where the collector says so.
    Again(Option<Duration>),
    /// It will never be taken.
    Lost,
    /// It has been taken, but for so many spans.
    Taken(u64),
}

/// What an answer means. `now` is the wall's clock.
pub fn verdict(answer: Result<(&Head, &[u8]), Broken>, now: SystemTime) -> Verdict {
    let (head, body) = match answer {
        Ok(answer) => answer,
        Err(Broken::Connect | Broken::Reset | Broken::Stale) => return Verdict::Again(None),
    };
    match head.status.as_u16() {
        200..=299 => Verdict::Taken(rejected(body)),
        429 | 502 | 503 | 504 => Verdict::Again(reset::retry_after(&head.headers, None, now)),
        _ => Verdict::Lost,
    }
}

/// `partialSuccess.rejectedSpans`: a number, or a string as 64-bit integers
/// are in protobuf's JSON.
fn rejected(body: &[u8]) -> u64 {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let spans = &body["partialSuccess"]["rejectedSpans"];
    let number = spans.as_u64();
    let number = number.or_else(|| spans.as_str()?.parse().ok());
    number.unwrap_or_default()
}

/// The pauses between the tries of one export.
#[derive(Clone, Debug, Default)]
pub struct Pauses {
    failed: u32,
}

impl Pauses {
    /// How long to wait after another failure; nothing where it has failed
    /// often enough. `asked` is what the collector asks for, else the pause
    /// doubles each time, and `dice` take up to half of it off.
    pub fn next(&mut self, asked: Option<Duration>, dice: u64) -> Option<Duration> {
        self.failed += 1;
        if self.failed >= TRIES {
            return None;
        }
        let pause = asked.unwrap_or_else(|| {
            let whole = FIRST * 2_u32.pow(self.failed - 1);
            let parts = u32::try_from(dice % 1000).unwrap_or_default();
            whole - whole * parts / 2000
        });
        Some(pause.min(LONGEST))
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, StatusCode};

    use super::*;

    fn said(status: u16, retry_after: Option<&str>, body: &str) -> Verdict {
        let mut headers = HeaderMap::new();
        if let Some(value) = retry_after {
            headers.insert("retry-after", value.parse().unwrap());
        }
        let head = Head {
            status: StatusCode::from_u16(status).unwrap(),
            headers,
        };
        verdict(Ok((&head, body.as_bytes())), SystemTime::UNIX_EPOCH)
    }

    #[test]
    fn four_statuses_and_broken_connections_are_tried_again() {
        for status in [429, 502, 503, 504] {
            assert_eq!(said(status, None, ""), Verdict::Again(None), "{status}");
            let after = Some(Duration::from_secs(7));
            assert_eq!(said(status, Some("7"), ""), Verdict::Again(after));
        }
        for broken in [Broken::Connect, Broken::Reset, Broken::Stale] {
            let verdict = verdict(Err(broken), SystemTime::UNIX_EPOCH);
            assert_eq!(verdict, Verdict::Again(None));
        }
        for status in [301, 400, 401, 403, 404, 413, 500, 501] {
            assert_eq!(said(status, Some("7"), ""), Verdict::Lost, "{status}");
        }
    }

    #[test]
    fn what_is_taken_may_be_taken_in_part() {
        for (body, rejected) in [
            ("", 0),
            ("{}", 0),
            ("{\"partialSuccess\":{}}", 0),
            ("{\"partialSuccess\":{\"rejectedSpans\":\"3\"}}", 3),
            ("{\"partialSuccess\":{\"rejectedSpans\":3}}", 3),
            ("{\"partialSuccess\":{\"rejectedSpans\":-3}}", 0),
            ("no JSON", 0),
        ] {
            assert_eq!(said(200, None, body), Verdict::Taken(rejected), "{body}");
        }
    }

    #[test]
    fn pauses_double_and_end() {
        for dice in [0, 500, 999, u64::MAX] {
            let mut pauses = Pauses::default();
            let mut whole = FIRST;
            for _ in 1..TRIES {
                let pause = pauses.next(None, dice).unwrap();
                assert!(pause <= whole && pause >= whole / 2, "{pause:?}");
                whole *= 2;
            }
            assert_eq!(pauses.next(None, dice), None);
        }
        let mut pauses = Pauses::default();
        assert_eq!(pauses.next(Some(Duration::ZERO), 0), Some(Duration::ZERO));
        let asked = Duration::from_hours(1);
        assert_eq!(pauses.next(Some(asked), 0), Some(LONGEST));
    }
}
