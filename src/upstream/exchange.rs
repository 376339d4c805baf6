//! One request to a provider and its answer, whichever HTTP it speaks.

use std::mem;
use std::sync::Arc;

use bytes::Bytes;
use http::Method;
use pingora_core::connectors::http::v2::Connector;

use super::http1::{Fault, Session};
use super::http2::Streamed;
use super::idle::IDLE;
use super::line::Line;
use super::passing::Passing;
use super::place::{Connection, Opened, Place};
use crate::seam::{Broken, Exchange, Head, Outgoing};
use crate::transport::Transport;
use crate::wire::Body;

/// One request to a provider and its answer.
pub struct Call {
    connector: Arc<Connector>,
    line: Arc<Line>,
    /// Where the path has to name it.
    upstream_model: String,
    way: Way,
    place: Arc<Place>,
    /// It has served before, so it may have died since.
    reused: bool,
    /// The request's body goes out in chunks; whether one has.
    chunks: Option<bool>,
}

/// What it goes over.
enum Way {
    /// It has been given back.
    Gone,
    Http1(Session<Transport>),
    Http2(Box<Streamed>),
}

impl Call {
    pub(super) fn new(
        connector: Arc<Connector>,
        line: Arc<Line>,
        upstream_model: String,
        opened: Opened,
    ) -> Box<Self> {
        let Opened {
            connection,
            place,
            reused,
        } = opened;
        let way = match connection {
            Connection::Http1(transport) => Way::Http1(Session::new(transport)),
            Connection::Http2(session) => Way::Http2(Box::new(Streamed::new(*session, reused))),
        };
        Box::new(Self {
            connector,
            line,
            upstream_model,
            way,
            place,
            reused,
            chunks: None,
        })
    }

    /// Gives the connection back, where it may serve another request. An
    /// HTTP/1.1 connection that may not is closed; an HTTP/2 stream is reset
    /// and its connection handed back, or the pool would believe it busy for
    /// ever.
    fn give_back(&mut self, is_over: bool) {
        match mem::replace(&mut self.way, Way::Gone) {
            Way::Gone => {}
            Way::Http1(session) => {
                if let Some(transport) = session.into_idle().filter(|_| is_over) {
                    self.place.idle.put(transport);
                }
            }
            Way::Http2(streamed) => {
                let (mut session, is_sent) = streamed.into_inner();
                if !is_over || !is_sent {
                    session.shutdown();
                }
                self.connector
                    .release_http_session(session, &self.place.peer, Some(IDLE));
            }
        }
    }
}

/// A request whose body comes piece by piece.
impl Call {
    /// Sends the head of a request that is passed through.
    ///
    /// # Errors
    /// It cannot be written, or stand in a head.
    pub async fn begin(&mut self, request: &Passing<'_>) -> Result<(), Broken> {
        let is_whole = request.length.is_nothing();
        match &mut self.way {
            Way::Gone => Err(Broken::Reset),
            Way::Http1(session) => {
                self.chunks = request.length.is_chunked().then_some(false);
                if request.method == Method::HEAD {
                    session.expect_no_body();
                }
                let head = self.line.written_passing(request);
                let none = Body::default();
                let sent = if is_whole {
                    session.send(head, &none).await
                } else {
                    session.send_some(head, &none).await
                };
                sent.map_err(|fault| broken(fault, session, &self.place, self.reused))
            }
            Way::Http2(streamed) => {
                let head = self.line.passing(request).ok_or(Broken::Reset)?;
                streamed.begin(head, is_whole)
            }
        }
    }

    /// Sends more of its body; says whether the rest is wanted, which it is not
    /// where the answer has begun.
    ///
    /// # Errors
    /// It cannot be written, and there is no answer all the same.
    pub async fn push(&mut self, piece: Bytes) -> Result<bool, Broken> {
        if piece.is_empty() {
            return Ok(true);
        }
        match &mut self.way {
            Way::Gone => Err(Broken::Reset),
            Way::Http1(session) => {
                let before = match &mut self.chunks {
                    Some(begun) => {
                        let end = if *begun { "\r\n" } else { "" };
                        *begun = true;
                        format!("{end}{:x}\r\n", piece.len()).into_bytes()
                    }
                    None => Vec::new(),
                };
                let sent = session.send_some(before, &Body::from(piece)).await;
                sent.map_err(|fault| broken(fault, session, &self.place, self.reused))?;
                Ok(!session.is_answered())
            }
            Way::Http2(streamed) => streamed.push(piece).await,
        }
    }

    /// Sends the body's end.
    ///
    /// # Errors
    /// It cannot be written, and there is no answer all the same.
    pub async fn finish(&mut self) -> Result<(), Broken> {
        match &mut self.way {
            Way::Gone => Err(Broken::Reset),
            Way::Http1(session) => {
                let end: &[u8] = match self.chunks {
                    Some(true) => b"\r\n0\r\n\r\n",
                    Some(false) => b"0\r\n\r\n",
                    None => b"",
                };
                let sent = session.send(end.to_vec(), &Body::default()).await;
                sent.map_err(|fault| broken(fault, session, &self.place, self.reused))
            }
            Way::Http2(streamed) => streamed.finish().await,
        }
    }
}

/// How it broke, where no head has come yet.
fn broken(fault: Fault, session: &Session<Transport>, place: &Place, reused: bool) -> Broken {
    log::debug!("upstream {}: {fault:?}", place.address());
    match fault {
        Fault::Lost(_) if reused && !session.has_heard() => Broken::Stale,
        Fault::Lost(_) | Fault::Malformed => Broken::Reset,
    }
}

/// On the heap, since it goes through many hands.
impl Exchange for Box<Call> {
    async fn send(&mut self, request: &Outgoing<'_>) -> Result<(), Broken> {
        let call = &mut **self;
        match &mut call.way {
            Way::Gone => Err(Broken::Reset),
            Way::Http1(session) => {
                let head = call.line.written_head(request, &call.upstream_model);
                let sent = session.send(head.ok_or(Broken::Reset)?, &request.body);
                let sent = sent.await;
                sent.map_err(|fault| broken(fault, session, &call.place, call.reused))
            }
            Way::Http2(streamed) => {
                let head = call.line.head(request, &call.upstream_model);
                Box::pin(streamed.send(head.ok_or(Broken::Reset)?, &request.body)).await
            }
        }
    }

    async fn head(&mut self) -> Result<Head, Broken> {
        let call = &mut **self;
        match &mut call.way {
            Way::Gone => Err(Broken::Reset),
            Way::Http1(session) => {
                let head = session.head().await;
                head.map_err(|fault| broken(fault, session, &call.place, call.reused))
            }
            Way::Http2(streamed) => streamed.head().await,
        }
    }

    async fn read(&mut self) -> Result<Option<Bytes>, Broken> {
        let call = &mut **self;
        match &mut call.way {
            Way::Gone => Err(Broken::Reset),
            Way::Http1(session) => session.read().await.map_err(|fault| {
                log::debug!("upstream {}: {fault:?}", call.place.address());
                Broken::Reset
            }),
            Way::Http2(streamed) => streamed.read().await,
        }
    }

    async fn release(mut self) {
        self.give_back(true);
    }
}

impl Drop for Call {
    /// An exchange that is dropped is cancelled.
    fn drop(&mut self) {
        self.give_back(false);
    }
}
