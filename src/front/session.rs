//! A client's request and the way back to it, whichever HTTP it speaks:
//! HTTP/1 is ours, HTTP/2 is pingora's.

use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{Method, Response, header};
use pingora_core::protocols::http::ServerSession;
use pingora_http::ResponseHeader;

use super::body::{Body, Lost};
use super::http1::Http1;
use crate::patience::within;
use crate::seam::{Gone, Head};
use crate::transport::Transport;
use crate::wire::Lines;

/// A request whose head has been read.
pub struct Session<'a>(Spoken<'a>);

enum Spoken<'a> {
    Http1(&'a mut Http1<Transport>),
    /// With how long one write may block.
    Http2(&'a mut ServerSession, Duration),
}

impl<'a> Session<'a> {
    pub(super) fn http1(connection: &'a mut Http1<Transport>) -> Self {
        Self(Spoken::Http1(connection))
    }

    /// One stream, to which one write may block so long.
    pub(super) fn http2(stream: &'a mut ServerSession, write: Duration) -> Self {
        Self(Spoken::Http2(stream, write))
    }

    /// The same one, lent.
    pub(super) fn lend(&mut self) -> Session<'_> {
        match &mut self.0 {
            Spoken::Http1(connection) => Session(Spoken::Http1(connection)),
            Spoken::Http2(stream, write) => Session(Spoken::Http2(stream, *write)),
        }
    }

    /// Method, target, version and headers.
    pub fn head(&self) -> &Parts {
        match &self.0 {
            Spoken::Http1(connection) => connection.head(),
            Spoken::Http2(stream, _) => stream.req_header(),
        }
    }

    pub(super) fn is_http2(&self) -> bool {
        match &self.0 {
            Spoken::Http1(_) => false,
            Spoken::Http2(..) => true,
        }
    }

    /// The next request could not be told from the rest of this one's body.
    pub(super) fn is_body_in_the_way(&self) -> bool {
        match &self.0 {
            Spoken::Http1(connection) => !connection.is_body_done(),
            Spoken::Http2(..) => false,
        }
    }

    /// An answer to this request has no body.
    pub(super) fn is_bodiless(&self) -> bool {
        self.head().method == Method::HEAD
    }

    /// Adds the next piece of the request's body; false at its end.
    ///
    /// # Errors
    /// There will be no end.
    pub(crate) async fn read(&mut self, body: &mut Body) -> Result<bool, Lost> {
        match &mut self.0 {
            Spoken::Http1(connection) => connection.read(body).await,
            Spoken::Http2(stream, _) => match stream.read_request_body().await {
                Ok(Some(piece)) => {
                    body.add(piece);
                    Ok(true)
                }
                Ok(None) => Ok(false),
                Err(error) => {
                    // No more of the error: it may quote the body.
                    log::debug!("a body that broke: {}", error.etype().as_str());
                    Err(Lost::Gone)
                }
            },
        }
    }

    /// Says that the body may come.
    pub(super) async fn go_on(&mut self) -> Result<(), Gone> {
        match &mut self.0 {
            Spoken::Http1(connection) => connection.go_on().await,
            // Only HTTP/1.1 is asked for it.
            Spoken::Http2(..) => Ok(()),
        }
    }

    /// No request follows on this connection. HTTP/2 has its own goodbye.
    pub(super) fn close_after(&mut self) {
        match &mut self.0 {
            Spoken::Http1(connection) => connection.close_after(),
            Spoken::Http2(..) => {}
        }
    }

    /// Begins an answer that goes on.
    pub(super) async fn begin(&mut self, head: Head<Lines>) -> Result<(), Gone> {
        self.begin_of(head, None).await
    }

    /// The same where its length may be known: then so many bytes must follow,
    /// unless the answer has no body.
    pub(super) async fn begin_of(
        &mut self,
        head: Head<Lines>,
        length: Option<usize>,
    ) -> Result<(), Gone> {
        match &mut self.0 {
            Spoken::Http1(connection) => {
                connection.begin(&head, length);
                Ok(())
            }
            Spoken::Http2(stream, write) => http2_head(stream, *write, head, length).await,
        }
    }

    /// How long the request's body says it is; nothing where it ends when it
    /// ends.
    pub(super) fn claims(&mut self) -> Option<u64> {
        let headers = &self.head().headers;
        let length = headers.get(header::CONTENT_LENGTH);
        let length = length.and_then(|length| length.to_str().ok()?.trim().parse().ok());
        let has_none = match &mut self.0 {
            Spoken::Http1(connection) => connection.is_body_done(),
            Spoken::Http2(stream, _) => stream.is_body_empty(),
        };
        length.or(has_none.then_some(0))
    }

    /// Gives a whole answer.
    pub(super) async fn reply(&mut self, head: Head<Lines>, body: Vec<Bytes>) -> Result<(), Gone> {
        let length = body.iter().map(Bytes::len).sum();
        match &mut self.0 {
            Spoken::Http1(connection) => {
                connection.begin(&head, Some(length));
                connection.whole(body).await
            }
            Spoken::Http2(stream, write) => {
                http2_head(stream, *write, head, Some(length)).await?;
                let body = match <[Bytes; 1]>::try_from(body) {
                    Ok([whole]) => whole,
                    Err(pieces) => pieces.concat().into(),
                };
                let written = stream.write_response_body(body, true).await;
                written.map_err(|_| Gone::Left)
            }
        }
    }

    /// Sends some of an answer that goes on, now.
    pub(super) async fn write(&mut self, bytes: Bytes) -> Result<(), Gone> {
        match &mut self.0 {
            Spoken::Http1(connection) => connection.write(bytes).await,
            Spoken::Http2(stream, _) => {
                let written = stream.write_response_body(bytes, false).await;
                written.map_err(|_| Gone::Left)
            }
        }
    }

    /// Ends an answer that went on.
    pub(super) async fn end(&mut self) -> Result<(), Gone> {
        match &mut self.0 {
            Spoken::Http1(connection) => connection.end().await,
            Spoken::Http2(stream, _) => {
                let ended = stream.write_response_body(Bytes::new(), true).await;
                ended.map_err(|_| Gone::Left)
            }
        }
    }

    /// Ends it so that nobody takes it for whole.
    pub(super) async fn break_off(&mut self) {
        match &mut self.0 {
            Spoken::Http1(connection) => connection.break_off().await,
            Spoken::Http2(stream, _) => stream.shutdown_with_reason(h2::Reason::INTERNAL_ERROR),
        }
    }

    /// Ends when the client has left.
    pub(super) async fn gone(&mut self) {
        match &mut self.0 {
            Spoken::Http1(connection) => connection.gone().await,
            // Nothing is expected any more.
            Spoken::Http2(stream, _) => while stream.read_body_or_idle(true).await.is_ok() {},
        }
    }
}

async fn http2_head(
    stream: &mut ServerSession,
    write: Duration,
    head: Head<Lines>,
    length: Option<usize>,
) -> Result<(), Gone> {
    let mut parts = Response::new(()).into_parts().0;
    parts.status = head.status;
    parts.headers = head.headers.into();
    if let Some(length) = length {
        parts.headers.insert(header::CONTENT_LENGTH, length.into());
    }
    let head = stream.write_response_header(Box::new(ResponseHeader::from(parts)));
    // pingora bounds the writing of bodies only.
    let written = within(write, head).await.ok_or(Gone::Left)?;
    written.map_err(|_| Gone::Left)
}
