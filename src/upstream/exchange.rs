//! One request to a provider and its answer, on a pingora session.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::{StatusCode, Version};
use pingora_core::connectors::http::v2::Connector;
use pingora_core::protocols::Stream;
use pingora_core::protocols::http::client::HttpSession;
use pingora_core::protocols::http::v1::client::HttpSession as Http1Session;
use pingora_core::protocols::http::v2::client::Http2Session;
use pingora_error::RetryType;
use pingora_http::RequestHeader;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use super::MAX_INTERIM;
use super::idle::IDLE;
use super::line::Line;
use super::place::{Connection, Opened, Place};
use crate::seam::{Broken, Exchange, Head, Outgoing};
use crate::wire::Body;

/// How long one write may block. A provider that has answered already may
/// have stopped reading: then its answer is looked for.
const WRITE: Duration = Duration::from_secs(10);

/// How long an answer is looked for after a write has failed.
const LAST_LOOK: Duration = Duration::from_millis(200);

/// A body up to this size goes out in one write. A larger one is written in
/// pieces of this size, and between them the answer is looked for.
const PIECE: usize = 64 << 10;

/// One request to a provider and its answer.
pub struct Call {
    connector: Arc<Connector>,
    line: Arc<Line>,
    upstream_model: String,
    /// Until the request is sent; nothing after that.
    unused: Option<Connection>,
    /// Nothing before the request is sent, and once it has been given back.
    session: Option<HttpSession>,
    place: Arc<Place>,
    /// It has served before, so it may have died since.
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
        opened: Opened,
    ) -> Box<Self> {
        Box::new(Self {
            connector,
            line,
            upstream_model,
            unused: Some(opened.connection),
            session: None,
            place: opened.place,
            reused: opened.reused,
            sent: false,
            answered: false,
            interim: 0,
        })
    }

    /// Takes a session into use.
    fn begin(&mut self, mut session: HttpSession) {
        session.set_write_timeout(Some(WRITE));
        self.session = Some(session);
    }

    fn begin_http1(&mut self, stream: Stream) {
        let session = Http1Session::new_with_options(stream, &self.place.peer);
        self.begin(HttpSession::H1(session));
    }

    fn hand_back(&self, session: Http2Session) {
        self.connector
            .release_http_session(session, &self.place.peer, Some(IDLE));
    }

    fn session(&mut self) -> Result<&mut HttpSession, Broken> {
        self.session.as_mut().ok_or(Broken::Reset)
    }

    /// No more of the error: it quotes what the provider sent.
    fn log(&self, error: &pingora_error::Error) {
        log::debug!(
            "upstream {}: {}",
            self.place.peer._address,
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

    /// Head and body in one write, so that they leave in as few packets as
    /// they can.
    async fn send_at_once(
        &mut self,
        mut stream: Stream,
        request: &Outgoing<'_>,
    ) -> Result<(), Broken> {
        let size = request.body.len();
        let head = self.line.written_head(request, &self.upstream_model, size);
        let mut all = head.ok_or(Broken::Reset)?;
        for part in request.body.parts() {
            all.extend_from_slice(part);
        }
        let written = timeout(WRITE, async {
            stream.write_all(&all).await?;
            stream.flush().await
        });
        let written = matches!(written.await, Ok(Ok(())));
        self.begin_http1(stream);
        if !written {
            return self.last_look().await;
        }
        self.sent = true;
        Ok(())
    }

    /// A body in pieces, and between them a look for the answer.
    async fn send_in_pieces(&mut self, body: &Body) -> Result<(), Broken> {
        let mut left = body.len();
        let whole;
        let parts = if left > PIECE {
            body.parts()
        } else {
            whole = [body.parts().concat().into()];
            &whole
        };
        for part in parts {
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
        if self.session()?.finish_request_body().await.is_err() {
            return self.last_look().await;
        }
        self.sent = true;
        Ok(())
    }

    async fn write_head(&mut self, head: RequestHeader) -> Result<(), Broken> {
        let Err(error) = self.session()?.write_request_header(Box::new(head)).await else {
            return Ok(());
        };
        let broken = self.broken(&error);
        Err(if self.reused { Broken::Stale } else { broken })
    }

    async fn write(&mut self, piece: Bytes, end: bool) -> bool {
        match self.session() {
            Ok(session) => session.write_request_body(piece, end).await.is_ok(),
            Err(_) => false,
        }
    }
}

/// On the heap, since it goes through many hands.
impl Exchange for Box<Call> {
    async fn send(&mut self, request: &Outgoing<'_>) -> Result<(), Broken> {
        match self.unused.take().ok_or(Broken::Reset)? {
            Connection::Http1(stream) if request.body.len() <= PIECE => {
                return self.send_at_once(stream, request).await;
            }
            Connection::Http1(stream) => self.begin_http1(stream),
            Connection::Http2(session) => self.begin(HttpSession::H2(*session)),
        }
        let is_h2 = self.session()?.as_http2().is_some();
        let head = self.line.head(request, &self.upstream_model, is_h2);
        self.write_head(head.ok_or(Broken::Reset)?).await?;
        self.send_in_pieces(&request.body).await
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
        if !self.sent {
            return;
        }
        match self.session.take() {
            Some(HttpSession::H1(mut session)) => {
                session.respect_keepalive();
                // Waits for nothing but the goodbye of one that is closed.
                let reuse = pin!(session.reuse());
                let mut context = Context::from_waker(Waker::noop());
                if let Poll::Ready(Some(stream)) = reuse.poll(&mut context) {
                    self.place.idle.put(stream);
                }
            }
            Some(HttpSession::H2(session)) => self.hand_back(session),
            Some(HttpSession::Custom(())) | None => {}
        }
    }
}

impl Drop for Call {
    /// An exchange that is dropped is cancelled. An HTTP/1.1 connection goes
    /// with it; an HTTP/2 stream is reset and its connection handed back, or
    /// the pool would believe it busy for ever.
    fn drop(&mut self) {
        let mut session = match (self.session.take(), self.unused.take()) {
            (Some(HttpSession::H2(session)), _) => session,
            (_, Some(Connection::Http2(session))) => *session,
            (Some(HttpSession::H1(_) | HttpSession::Custom(())) | None, _) => return,
        };
        session.shutdown();
        self.hand_back(session);
    }
}
