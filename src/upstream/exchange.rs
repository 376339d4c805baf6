//! One request to a provider and its answer, on a pingora session.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::{StatusCode, Version};
use pingora_core::connectors::http::Connector;
use pingora_core::protocols::http::client::HttpSession;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_error::RetryType;
use tokio::time::timeout;

use super::line::Line;
use crate::seam::{Broken, Exchange, Head, Outgoing};

/// How long an idle connection is kept. Providers close theirs after a minute
/// or more.
const IDLE: Duration = Duration::from_secs(55);

/// How long one write may block. A provider that has answered already may
/// have stopped reading: then its answer is looked for.
const WRITE: Duration = Duration::from_secs(10);

/// How long an answer is looked for after a write has failed.
const LAST_LOOK: Duration = Duration::from_millis(200);

/// A body up to this size goes out in one write. A larger one is written in
/// pieces of this size, and between them the answer is looked for.
const PIECE: usize = 64 << 10;

/// More interim answers than this are no HTTP that makes sense.
const MAX_INTERIM: usize = 16;

/// One request to a provider and its answer.
pub struct Call {
    connector: Arc<Connector>,
    line: Arc<Line>,
    upstream_model: String,
    /// Nothing once it has been given back.
    session: Option<HttpSession>,
    peer: Arc<HttpPeer>,
    /// From the pool, so it may have died there.
    reused: bool,
    /// The whole request has been written: only then may the connection
    /// serve another.
    sent: bool,
    /// The answer's own head has come.
    answered: bool,
    /// Interim heads that came before it.
    interim: usize,
}

impl Call {
    pub(super) fn new(
        connector: Arc<Connector>,
        line: Arc<Line>,
        upstream_model: String,
        mut session: HttpSession,
        peer: Arc<HttpPeer>,
        reused: bool,
    ) -> Self {
        session.set_write_timeout(Some(WRITE));
        Self {
            connector,
            line,
            upstream_model,
            session: Some(session),
            peer,
            reused,
            sent: false,
            answered: false,
            interim: 0,
        }
    }

    fn session(&mut self) -> Result<&mut HttpSession, Broken> {
        self.session.as_mut().ok_or(Broken::Reset)
    }

    /// No more of the error: it quotes what the provider sent.
    fn log(&self, error: &pingora_error::Error) {
        log::debug!(
            "upstream {}: {}",
            self.peer._address,
            error.etype().as_str()
        );
    }

    /// How it broke, where no byte of an answer has come yet.
    fn broken(&self, error: &pingora_error::Error) -> Broken {
        self.log(error);
        let again = match error.retry {
            RetryType::Decided(again) => again,
            RetryType::ReusedOnly => self.reused,
        };
        if again && !self.answered && self.interim == 0 {
            Broken::Stale
        } else {
            Broken::Reset
        }
    }

    /// Reads the answer's own head; may be dropped and taken up again, but
    /// not after an error.
    async fn read_head(&mut self) -> Result<(), Broken> {
        while !self.answered {
            let read = self.session()?.read_response_header().await;
            read.map_err(|error| self.broken(&error))?;
            let head = self.session()?.response_header().ok_or(Broken::Reset)?;
            if !head.status.is_informational() {
                self.answered = true;
                break;
            }
            let is_h1 = head.version != Version::HTTP_2;
            let switches = head.status == StatusCode::SWITCHING_PROTOCOLS;
            self.interim += 1;
            if self.interim > MAX_INTERIM || !is_h1 || switches {
                return Err(Broken::Reset);
            }
        }
        Ok(())
    }

    /// A write has failed: the provider may have answered all the same.
    async fn last_look(&mut self) -> Result<(), Broken> {
        match timeout(LAST_LOOK, self.read_head()).await {
            Ok(come) => come,
            Err(_) if self.reused && self.interim == 0 => Err(Broken::Stale),
            Err(_) => Err(Broken::Reset),
        }
    }

    /// Whether the answer's head is there before the request is out.
    fn has_answer(&mut self) -> Result<bool, Broken> {
        let mut context = Context::from_waker(Waker::noop());
        match pin!(self.read_head()).poll(&mut context) {
            Poll::Ready(come) => come.map(|()| true),
            Poll::Pending => Ok(false),
        }
    }

    async fn write(&mut self, piece: Bytes, end: bool) -> bool {
        match self.session() {
            Ok(session) => session.write_request_body(piece, end).await.is_ok(),
            Err(_) => false,
        }
    }
}

impl Exchange for Call {
    async fn send(&mut self, request: &Outgoing<'_>) -> Result<(), Broken> {
        let is_h2 = self.session()?.as_http2().is_some();
        let head = self
            .line
            .head(request, &self.upstream_model, is_h2)
            .ok_or(Broken::Reset)?;
        if let Err(error) = self.session()?.write_request_header(Box::new(head)).await {
            let broken = self.broken(&error);
            return if self.reused {
                Err(Broken::Stale)
            } else {
                Err(broken)
            };
        }
        let mut left = request.body.len();
        if left <= PIECE {
            let whole = match request.body.parts() {
                [one] => one.clone(),
                parts => parts.concat().into(),
            };
            if !self.write(whole, true).await {
                return self.last_look().await;
            }
        } else {
            for part in request.body.parts() {
                let mut part = part.clone();
                while !part.is_empty() {
                    let piece = part.split_to(part.len().min(PIECE));
                    left -= piece.len();
                    if !self.write(piece, left == 0).await {
                        return self.last_look().await;
                    }
                    if left > 0 && self.has_answer()? {
                        return Ok(());
                    }
                }
            }
        }
        if self.session()?.finish_request_body().await.is_err() {
            return self.last_look().await;
        }
        self.sent = true;
        Ok(())
    }

    async fn head(&mut self) -> Result<Head, Broken> {
        self.read_head().await?;
        let head = self.session()?.response_header().ok_or(Broken::Reset)?;
        Ok(Head {
            status: head.status,
            headers: head.headers.clone(),
        })
    }

    async fn read(&mut self) -> Result<Option<Bytes>, Broken> {
        loop {
            match self.session()?.read_response_body().await {
                Ok(Some(piece)) if piece.is_empty() => {}
                Ok(piece) => return Ok(piece),
                Err(error) => {
                    self.log(&error);
                    return Err(Broken::Reset);
                }
            }
        }
    }

    async fn release(mut self) {
        // One that was not fully written is dropped, and so cancelled.
        if self.sent
            && let Some(session) = self.session.take()
        {
            self.connector
                .release_http_session(session, &*self.peer, Some(IDLE))
                .await;
        }
    }
}

impl Drop for Call {
    /// An exchange that is dropped is cancelled. An HTTP/1.1 connection goes
    /// with it; an HTTP/2 stream is reset and its connection handed back, or
    /// the pool would believe it busy for ever.
    fn drop(&mut self) {
        let Some(HttpSession::H2(mut session)) = self.session.take() else {
            return;
        };
        session.shutdown();
        let session = HttpSession::H2(session);
        let release = self
            .connector
            .release_http_session(session, &*self.peer, Some(IDLE));
        // For HTTP/2 this never waits.
        let _ = pin!(release).poll(&mut Context::from_waker(Waker::noop()));
    }
}
