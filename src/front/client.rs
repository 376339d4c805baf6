//! The way back to a client, on a pingora session.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Version, header};
use pingora_core::protocols::http::ServerSession;
use pingora_http::ResponseHeader;
use serde_json::Value;
use tokio::time::timeout;

use super::connection::{Kept, WRITE};
use super::drain::Drain;
use crate::journey::REQUEST_ID;
use crate::refusal::Refusal;
use crate::seam::{Client, Committed, Gone, Head};

/// A client whose request has been read. `kept` says afterwards whether its
/// connection can serve another.
pub(crate) struct Guest<'a> {
    session: &'a mut ServerSession,
    kept: &'a mut Kept,
    /// Once it has begun, an answer says that no other follows.
    drain: Option<&'a Drain>,
}

impl<'a> Guest<'a> {
    /// `kept` is [`Kept::Close`] until an answer has been given to its end.
    pub(crate) fn new(session: &'a mut ServerSession, kept: &'a mut Kept) -> Self {
        *kept = Kept::Close;
        Self {
            session,
            kept,
            drain: None,
        }
    }

    /// Its answer tells of a drain that has begun.
    pub(crate) fn until(mut self, drain: &'a Drain) -> Self {
        self.drain = Some(drain);
        self
    }

    async fn head(&mut self, head: Head, length: Option<usize>) -> Result<(), Gone> {
        if self.drain.is_some_and(Drain::is_draining) {
            self.session.set_keepalive(None);
        }
        let mut parts = Response::new(()).into_parts().0;
        parts.status = head.status;
        parts.headers = head.headers;
        match length {
            Some(length) => {
                parts.headers.insert(header::CONTENT_LENGTH, length.into());
            }
            None if self.takes_chunks() => {
                let chunked = HeaderValue::from_static("chunked");
                parts.headers.insert(header::TRANSFER_ENCODING, chunked);
            }
            None => {}
        }
        let response = ResponseHeader::from(parts);
        let head = self.session.write_response_header(Box::new(response));
        // pingora bounds the writing of bodies only.
        let written = timeout(WRITE, head).await.map_err(|_| Gone)?;
        written.map_err(|_| Gone)
    }

    /// HTTP/2 has its own framing, and HTTP/1.0 ends with its connection.
    fn takes_chunks(&self) -> bool {
        self.session.req_header().version == Version::HTTP_11
    }
}

/// Ends when the client has left.
async fn gone(session: &mut ServerSession) {
    loop {
        // Nothing is expected any more: anything but an error is the client's
        // next request, which waits its turn.
        if session.read_body_or_idle(true).await.is_err() {
            return;
        }
    }
}

impl<'a> Client for Guest<'a> {
    type Committed = Seated<'a>;

    async fn gone(&mut self) {
        gone(self.session).await;
    }

    async fn commit(mut self, head: Head) -> Result<Seated<'a>, Gone> {
        self.head(head, None).await?;
        Ok(Seated(self))
    }

    async fn reply(mut self, head: Head, body: Vec<Bytes>) -> Result<(), Gone> {
        let length = body.iter().map(Bytes::len).sum();
        self.head(head, Some(length)).await?;
        let body = match <[Bytes; 1]>::try_from(body) {
            Ok([whole]) => whole,
            Err(pieces) => pieces.concat().into(),
        };
        let written = self.session.write_response_body(body, true).await;
        written.map_err(|_| Gone)?;
        *self.kept = Kept::Keep;
        Ok(())
    }
}

/// A client whose answer has begun.
pub(crate) struct Seated<'a>(Guest<'a>);

impl Committed for Seated<'_> {
    async fn gone(&mut self) {
        gone(self.0.session).await;
    }

    async fn write(&mut self, bytes: Bytes) -> Result<(), Gone> {
        let written = self.0.session.write_response_body(bytes, false).await;
        written.map_err(|_| Gone)
    }

    async fn end(self) -> Result<(), Gone> {
        let ended = self.0.session.write_response_body(Bytes::new(), true).await;
        ended.map_err(|_| Gone)?;
        *self.0.kept = Kept::Keep;
        Ok(())
    }

    async fn break_off(self) {
        let session = self.0.session;
        if session.is_http2() {
            session.shutdown_with_reason(h2::Reason::INTERNAL_ERROR);
        } else {
            session.shutdown().await;
        }
    }
}

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// Says no. The connection is closed where the refusal or an unread body
/// asks for it.
pub(crate) async fn refuse(
    session: &mut ServerSession,
    refusal: &Refusal,
    id: HeaderValue,
) -> Kept {
    let mut headers = HeaderMap::new();
    headers.insert(REQUEST_ID, id);
    if let Refusal::MethodNotAllowed(takes) = *refusal {
        headers.insert(header::ALLOW, HeaderValue::from_static(takes));
    }
    if refusal.status() == StatusCode::UNAUTHORIZED {
        let scheme = HeaderValue::from_static("Bearer");
        headers.insert(header::WWW_AUTHENTICATE, scheme);
    }
    if let Some(seconds) = refusal.retry_after() {
        headers.insert(header::RETRY_AFTER, seconds.into());
    } else if refusal.status() == StatusCode::TOO_MANY_REQUESTS {
        // SDKs would try it again at once, and it will never fit.
        headers.insert(SHOULD_RETRY, HeaderValue::from_static("false"));
    }
    answer(
        session,
        refusal.status(),
        headers,
        refusal.body(),
        refusal.closes(),
    )
    .await
}

/// Answers with a document of our own.
pub(crate) async fn answer_json(
    session: &mut ServerSession,
    status: StatusCode,
    id: HeaderValue,
    body: &Value,
) -> Kept {
    let mut headers = HeaderMap::new();
    headers.insert(REQUEST_ID, id);
    answer_text(session, status, headers, body.to_string()).await
}

/// The same, of any kind, with these headers.
pub(crate) async fn answer_text(
    session: &mut ServerSession,
    status: StatusCode,
    headers: HeaderMap,
    body: String,
) -> Kept {
    // HTTP/1.1 keeps it back by itself, and tells its length.
    let is_left_out = session.is_http2() && session.req_header().method == Method::HEAD;
    let body = if is_left_out {
        Bytes::new()
    } else {
        body.into()
    };
    answer(session, status, headers, body, false).await
}

async fn answer(
    session: &mut ServerSession,
    status: StatusCode,
    mut headers: HeaderMap,
    body: Bytes,
    closes: bool,
) -> Kept {
    headers.entry(header::CONTENT_TYPE).or_insert(JSON);
    // A client that is still sending would have its body taken for its next
    // request.
    let closes = closes || (!session.is_http2() && !session.is_body_done());
    if closes {
        session.set_keepalive(None);
    }
    let mut kept = Kept::Close;
    let reply = Guest::new(session, &mut kept).reply(Head { status, headers }, vec![body]);
    let replied = reply.await;
    if closes && replied.is_ok() {
        Kept::Linger
    } else {
        kept
    }
}
