//! W3C trace context: the header `traceparent`.

use std::fmt;
use std::io::Write as _;

use http::{HeaderMap, HeaderName, HeaderValue};

/// `traceparent`, which says in which trace a request stands
/// (<https://www.w3.org/TR/trace-context/>, section 3.2).
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Version, trace id, parent id and flags, with the hyphens between.
const LENGTH: usize = 55;

/// In which trace a request stands, and under which span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParent {
    /// The trace; never 0.
    pub trace: u128,
    /// The span that sent the request; never 0.
    pub span: u64,
    /// Whether whoever began the trace may have recorded it.
    pub is_sampled: bool,
}

impl TraceParent {
    /// Reads it; nothing where there is none, more than one, or one that the
    /// format does not allow: such a trace is to be begun anew.
    pub fn read(headers: &HeaderMap) -> Option<Self> {
        let mut all = headers.get_all(TRACEPARENT).iter();
        let (Some(value), None) = (all.next(), all.next()) else {
            return None;
        };
        Self::parse(value.as_bytes())
    }

    /// As the header's value.
    pub fn value(&self) -> HeaderValue {
        let mut text = [0; LENGTH];
        // It has exactly that length, and nothing in it that a header has not.
        let _ = write!(&mut text[..], "{self}");
        HeaderValue::from_bytes(&text).unwrap_or(HeaderValue::from_static(""))
    }

    fn parse(text: &[u8]) -> Option<Self> {
        let (known, rest) = text.split_at_checked(LENGTH)?;
        let mut fields = known.split(|byte| *byte == b'-');
        let version = hex(fields.next()?, 2)?;
        let trace = hex(fields.next()?, 32)?;
        let span = hex(fields.next()?, 16)?;
        let flags = hex(fields.next()?, 2)?;
        // A later version may only add fields.
        let is_whole = match version {
            0 => rest.is_empty(),
            0xff => false,
            _ => rest.first().is_none_or(|byte| *byte == b'-'),
        };
        let is_some = trace != 0 && span != 0;
        (is_whole && is_some && fields.next().is_none()).then_some(Self {
            trace,
            span: u64::try_from(span).ok()?,
            is_sampled: flags & 1 == 1,
        })
    }
}

/// Lower case only, as the format has it.
fn hex(field: &[u8], digits: usize) -> Option<u128> {
    let is_hex = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if field.len() != digits || !field.iter().all(is_hex) {
        return None;
    }
    u128::from_str_radix(std::str::from_utf8(field).ok()?, 16).ok()
}

/// As the header's value, in version 00.
impl fmt::Display for TraceParent {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (trace, span) = (self.trace, self.span);
        let flags = u8::from(self.is_sampled);
        write!(to, "00-{trace:032x}-{span:016x}-{flags:02x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn read(values: &[&str]) -> Option<TraceParent> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(TRACEPARENT, HeaderValue::from_str(value).unwrap());
        }
        TraceParent::read(&headers)
    }

    #[test]
    fn a_header_says_trace_span_and_whether_it_is_recorded() {
        let parent = read(&[GOOD]).unwrap();
        assert_eq!(parent.trace, 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736);
        assert_eq!(parent.span, 0x00f0_67aa_0ba9_02b7);
        assert!(parent.is_sampled);
        assert_eq!(parent.to_string(), GOOD);
        assert_eq!(parent.value(), GOOD);
        let unrecorded = GOOD.replace("-01", "-00");
        let parent = read(&[&unrecorded]).unwrap();
        assert!(!parent.is_sampled);
        assert_eq!(parent.to_string(), unrecorded);
    }

    #[test]
    fn a_later_version_may_say_more_at_its_end() {
        let later = GOOD.replacen("00", "cc", 1);
        assert!(read(&[&later]).is_some());
        assert!(read(&[&format!("{later}-more")]).is_some());
        assert!(read(&[&format!("{later}more")]).is_none());
        assert!(read(&[&format!("{GOOD}-more")]).is_none());
    }

    #[test]
    fn what_the_format_does_not_allow_is_none() {
        for wrong in [
            "",
            "00",
            &GOOD[..54],
            &GOOD.to_uppercase(),
            &GOOD.replace('-', "_"),
            &GOOD.replacen("00", "ff", 1),
            &GOOD.replace("4bf9", "4bg9"),
            &GOOD.replace("4bf9", "+bf9"),
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e47360-0f067aa0ba902b7-01",
        ] {
            assert_eq!(read(&[wrong]), None, "{wrong}");
        }
        assert_eq!(read(&[GOOD, GOOD]), None);
        assert_eq!(read(&[]), None);
    }
}
