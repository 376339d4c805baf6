//! Where an HTTP/1 request ends: whether two readers could disagree.

use http::{HeaderMap, Version, header};
use pingora_core::protocols::http::ServerSession;

/// Whether two readers could see different ends of this request. pingora has
/// refused different lengths and has dropped a `content-length` beside
/// `transfer-encoding` by now, so the raw head is looked at.
pub(super) fn is_in_doubt(session: &ServerSession) -> bool {
    let Some(h1) = session.as_http1() else {
        return false;
    };
    let head = session.req_header();
    let mut codings = head.headers.get_all(header::TRANSFER_ENCODING).iter();
    let Some(coding) = codings.next() else {
        return false;
    };
    let is_chunked = coding
        .as_bytes()
        .trim_ascii()
        .eq_ignore_ascii_case(b"chunked");
    !is_chunked
        || codings.next().is_some()
        || head.version != Version::HTTP_11
        || says_length(&h1.get_headers_raw_bytes())
}

fn says_length(head: &[u8]) -> bool {
    head.split(|byte| *byte == b'\n')
        .filter_map(|line| line.split(|byte| *byte == b':').next())
        .any(|name| name.trim_ascii().eq_ignore_ascii_case(b"content-length"))
}

/// Whether a body is announced at all.
pub(super) fn has_length(headers: &HeaderMap) -> bool {
    headers.contains_key(header::CONTENT_LENGTH) || headers.contains_key(header::TRANSFER_ENCODING)
}
