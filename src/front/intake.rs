//! A request's body: whole, within its bounds, or a refusal.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Version, header};
use tokio::time::Instant;

use super::body::{Body, Lost};
use super::deadline::by;
use super::session::Session;
use crate::config::Limits;
use crate::patience::within;
use crate::refusal::Refusal;
use crate::wire::headers::{self, Media};

/// After `body_timeout` a body must have come at this many bytes a second on
/// average: slow for a phone, too fast for holding a connection open byte by
/// byte.
const LEAST_RATE: u64 = 64 << 10;

/// Why there is no body.
#[derive(Debug)]
pub(super) enum NoBody {
    /// The client left.
    Gone,
    /// It is refused.
    Refused(Refusal),
}

impl From<Refusal> for NoBody {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// Reads the body of a request whose head has been read.
pub(super) async fn body(session: &mut Session<'_>, limits: &Limits) -> Result<Bytes, NoBody> {
    let head = session.head();
    if !session.is_http2() && !has_length(&head.headers) {
        return Err(Refusal::LengthRequired.into());
    }
    match headers::media(&head.headers) {
        Media::Json | Media::None => {}
        Media::EventStream | Media::Other => return Err(Refusal::UnsupportedMedia.into()),
    }
    if headers::is_coded(&head.headers) {
        return Err(Refusal::UnsupportedMedia.into());
    }
    // Known too large is refused before a byte of it is read. The length is
    // only a claim otherwise: room is made for what comes.
    let claimed = head.headers.get(header::CONTENT_LENGTH);
    let claimed = claimed.and_then(|length| length.to_str().ok()?.trim().parse::<u64>().ok());
    if claimed.is_some_and(|length| length > limits.request_body as u64) {
        return Err(Refusal::TooLarge(limits.request_body).into());
    }
    let expects = head.headers.get(header::EXPECT);
    let expects = expects.is_some_and(|e| e.as_bytes().eq_ignore_ascii_case(b"100-continue"));
    // HTTP/1.0 has no interim answers.
    if expects && head.version == Version::HTTP_11 {
        let went = within(limits.body_timeout, session.go_on()).await;
        if !matches!(went, Some(Ok(()))) {
            return Err(NoBody::Gone);
        }
    }
    read(session, limits).await
}

/// Whether a body is announced at all.
fn has_length(headers: &HeaderMap) -> bool {
    headers.contains_key(header::CONTENT_LENGTH) || headers.contains_key(header::TRANSFER_ENCODING)
}

async fn read(session: &mut Session<'_>, limits: &Limits) -> Result<Bytes, NoBody> {
    // Since when it has been waited for.
    let mut began = None;
    let mut body = Body::default();
    loop {
        let size = body.len();
        let end = || {
            let now = Instant::now();
            let began = *began.get_or_insert(now);
            let silence = now + limits.body_timeout;
            let rate = Duration::from_secs(size as u64 / LEAST_RATE);
            silence.min(began + limits.body_timeout + rate)
        };
        let more = by(end, session.read(&mut body)).await;
        match more.ok_or(Refusal::BodyTimeout)? {
            Ok(false) => return Ok(body.freeze()),
            Ok(true) if body.len() > limits.request_body => {
                return Err(Refusal::TooLarge(limits.request_body).into());
            }
            Ok(true) => {}
            Err(Lost::Gone) => return Err(NoBody::Gone),
            Err(Lost::Malformed) => return Err(Refusal::BadRequest.into()),
        }
    }
}
