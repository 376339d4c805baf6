//! `date`, which an origin server should say (RFC 9110 section 6.6.1).

use std::cell::Cell;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// `Sun, 06 Nov 1994 08:49:37 GMT`
type Text = [u8; 29];

const FIRST: Text = *b"Thu, 01 Jan 1970 00:00:00 GMT";

thread_local! {
    /// The second that was told last, since 1970, and how.
    static LAST: Cell<(u64, Text)> = const { Cell::new((0, FIRST)) };
}

/// The time of day, written anew once a second.
#[expect(clippy::disallowed_methods, reason = "clients are told the wall clock")]
pub(super) fn now() -> Text {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    at(since.map_or(0, |since| since.as_secs()))
}

fn at(second: u64) -> Text {
    let (last, text) = LAST.get();
    if last == second {
        return text;
    }
    let time = UNIX_EPOCH + Duration::from_secs(second);
    let text = httpdate::fmt_http_date(time);
    let text = text.as_bytes().try_into().unwrap_or(FIRST);
    LAST.set((second, text));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_second_is_told_as_it_is() {
        for (second, wanted) in [
            (0, &FIRST),
            (784_111_777, b"Sun, 06 Nov 1994 08:49:37 GMT"),
            (784_111_777, b"Sun, 06 Nov 1994 08:49:37 GMT"),
            (784_111_778, b"Sun, 06 Nov 1994 08:49:38 GMT"),
            (0, &FIRST),
        ] {
            assert_eq!(&at(second), wanted);
        }
    }
}
