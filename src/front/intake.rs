//! A request's body: whole, within its bounds, or a refusal.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Version, header};
use tokio::time::Instant;

use super::body::{Body, Lost};
use super::deadline::by;
use super::session::Session;
use crate::base::Place;
use crate::config::Limits;
use crate::patience::within;
use crate::refusal::{Refusal, Scarce};
use crate::wire::headers::{self, Media};

/// After `body_timeout` a body must have come at this many bytes a second on
/// average: slow for a phone, too fast for holding a connection open byte by
/// byte.
const LEAST_RATE: u64 = 64 << 10;

/// A body that is taken piece by piece is read so much at once.
const PIECE: usize = 64 << 10;

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

/// Reads the body of a request whose head has been read. What of it is there
/// takes room in `held`.
pub(super) async fn body(
    session: &mut Session<'_>,
    limits: &Limits,
    held: &mut Place<'_>,
) -> Result<Bytes, NoBody> {
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
    expect(session, limits).await?;
    read(session, limits, held).await
}

/// Has the body come, unless it is known to be too large.
pub(super) async fn expect(session: &mut Session<'_>, limits: &Limits) -> Result<(), NoBody> {
    let head = session.head();
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
    Ok(())
}

/// Whether a body is announced at all.
fn has_length(headers: &HeaderMap) -> bool {
    headers.contains_key(header::CONTENT_LENGTH) || headers.contains_key(header::TRANSFER_ENCODING)
}

/// Reads all of it; what has come is counted as `held`.
pub(super) async fn read(
    session: &mut Session<'_>,
    limits: &Limits,
    held: &mut Place<'_>,
) -> Result<Bytes, NoBody> {
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
            Ok(true) if !held.grow(body.len(), limits.buffered_bytes) => {
                return Err(Refusal::Overloaded(Scarce::Bytes).into());
            }
            Ok(true) => {}
            Err(Lost::Gone) => return Err(NoBody::Gone),
            Err(Lost::Malformed) => return Err(Refusal::BadRequest.into()),
        }
    }
}

/// A body that is taken piece by piece, within the same bounds. Only time spent
/// waiting for the client counts against it.
#[derive(Debug)]
pub(super) struct Pieces<'a> {
    limits: &'a Limits,
    /// So many bytes have come.
    size: usize,
    waited: Duration,
}

impl<'a> Pieces<'a> {
    /// Nothing has been read.
    pub(super) fn new(limits: &'a Limits) -> Self {
        Self {
            limits,
            size: 0,
            waited: Duration::ZERO,
        }
    }

    /// Bytes that have come.
    pub(super) fn size(&self) -> u64 {
        self.size as u64
    }

    /// The next piece; nothing at the body's end.
    pub(super) async fn next(
        &mut self,
        session: &mut Session<'_>,
    ) -> Result<Option<Bytes>, NoBody> {
        let longest = self.limits.body_timeout;
        let mut began = None;
        let mut body = Body::in_steps_of(PIECE);
        let rate = Duration::from_secs(self.size as u64 / LEAST_RATE);
        let left = (longest + rate).saturating_sub(self.waited);
        let end = || *began.insert(Instant::now()) + longest.min(left);
        let more = by(end, session.read(&mut body)).await;
        self.waited += began.map_or(Duration::ZERO, |began| began.elapsed());
        match more.ok_or(Refusal::BodyTimeout)? {
            Ok(false) => Ok(None),
            Ok(true) => {
                self.size += body.len();
                if self.size > self.limits.request_body {
                    return Err(Refusal::TooLarge(self.limits.request_body).into());
                }
                Ok(Some(body.freeze()))
            }
            Err(Lost::Gone) => Err(NoBody::Gone),
            Err(Lost::Malformed) => Err(Refusal::BadRequest.into()),
        }
    }
}
