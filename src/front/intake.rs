//! A request's body: whole, within its bounds, or a refusal.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Version, header};
use pingora_core::protocols::http::ServerSession;
use tokio::time::{Instant, timeout, timeout_at};

use super::framing;
use crate::config::Limits;
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
pub(super) async fn body(session: &mut ServerSession, limits: &Limits) -> Result<Bytes, NoBody> {
    let head = session.req_header();
    if !session.is_http2() && !framing::has_length(&head.headers) {
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
        let went = timeout(limits.body_timeout, session.write_continue_response()).await;
        if !matches!(went, Ok(Ok(()))) {
            return Err(NoBody::Gone);
        }
        // pingora takes any answer before the body's end for a last one.
        session.set_keepalive(Some(0));
    }
    read(session, limits).await
}

async fn read(session: &mut ServerSession, limits: &Limits) -> Result<Bytes, NoBody> {
    let began = Instant::now();
    let mut first: Option<Bytes> = None;
    let mut more = BytesMut::new();
    let mut size = 0;
    loop {
        let silence = Instant::now() + limits.body_timeout;
        let rate = Duration::from_secs(size as u64 / LEAST_RATE);
        let slowest = began + limits.body_timeout + rate;
        let read = timeout_at(silence.min(slowest), session.read_request_body()).await;
        let piece = match read {
            Err(_) => return Err(Refusal::BodyTimeout.into()),
            Ok(Err(error)) => return Err(broken(session, &error)),
            Ok(Ok(None)) => break,
            Ok(Ok(Some(piece))) => piece,
        };
        size += piece.len();
        if size > limits.request_body {
            return Err(Refusal::TooLarge(limits.request_body).into());
        }
        match first.take() {
            None if more.is_empty() => first = Some(piece),
            None => more.extend_from_slice(&piece),
            Some(earlier) => {
                more.extend_from_slice(&earlier);
                more.extend_from_slice(&piece);
            }
        }
    }
    Ok(first.unwrap_or_else(|| more.freeze()))
}

/// A body that broke: by the client's leaving, or by framing that makes no
/// sense.
fn broken(session: &ServerSession, error: &pingora_error::Error) -> NoBody {
    // No more of the error: it may quote the body.
    log::debug!("a body that broke: {}", error.etype().as_str());
    let is_nonsense = matches!(
        error.etype(),
        pingora_error::ErrorType::Custom(_) | pingora_error::ErrorType::InvalidHTTPHeader
    );
    if is_nonsense && !session.is_http2() {
        NoBody::Refused(Refusal::BadRequest)
    } else {
        NoBody::Gone
    }
}
