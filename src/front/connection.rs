//! One client's connection: which HTTP it speaks, its requests one after the
//! other, and its end.
//!
//! The accept loop is ours and so is this: every wait for a client has a
//! deadline, heads that cannot be read get an answer in our shape, and a
//! drain finds every idle connection.

use std::future::Future;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::HeaderValue;
use pingora_core::apps::{HttpServerApp, HttpServerOptions, ReusedHttpStream, ServerApp};
use pingora_core::protocols::Stream;
use pingora_core::protocols::http::ServerSession;
use pingora_core::protocols::http::v2::server::{H2Options, default_h2_options};
use pingora_core::server::ShutdownWatch;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};

use super::client::refuse;
use super::drain::Drain;
use super::framing;
use super::socket::Socket;
use crate::logs::{self, Brief};
use crate::refusal::Refusal;

/// How long a connection may lie idle between two requests: longer than the
/// 60 s of the usual load balancers, so that they close first.
const IDLE: Duration = Duration::from_secs(75);

/// How long one write to a client may block before the client counts as gone.
pub(super) const WRITE: Duration = Duration::from_secs(60);

/// How long a client that is still sending is read on while its connection is
/// closed, so that it sees its answer before the reset. Not bounded in bytes:
/// a client that reads only when all is written has the whole body to send.
const LINGER: Duration = Duration::from_secs(5);

/// What an HTTP/2 client may send before it hears from us. The protocol's own
/// 64 KiB let a body of 30 MB take half a minute where the way is 50 ms long.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 4 << 20;

/// RFC 9113 section 3.4
const H2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What becomes of a connection after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// Closed at once.
    Close,
    /// Serves the next request.
    Keep,
    /// Closed, but the client may still be sending.
    Linger,
}

/// Who serves the requests of a connection.
pub trait Door: Send + Sync + 'static {
    /// Serves one request whose head has been read, to its end. Its framing
    /// is beyond doubt.
    fn serve(&self, session: &mut ServerSession) -> impl Future<Output = Kept> + Send;

    /// How long a request's head may take.
    fn header_timeout(&self) -> Duration;

    /// An id for a request whose own could not be read.
    fn new_id(&self) -> HeaderValue;

    /// Whether requests are still taken.
    fn drain(&self) -> &Arc<Drain>;
}

/// Serves a connection to its end.
pub async fn serve<D: Door>(door: Arc<D>, mut tcp: TcpStream) {
    let _open = door.drain().open();
    // An event is never held back for the next one.
    if tcp.set_nodelay(true).is_err() {
        return;
    }
    let deadline = Instant::now() + door.header_timeout();
    let mut first = First::default();
    let mut draining = door.drain().watch();
    tokio::select! {
        biased;
        // Out of time with a piece of a head is for HTTP/1.1 to say.
        _ = timeout_at(deadline, first.read(&mut tcp)) => {}
        // Who has said nothing when a drain begins finds another door; who
        // comes later is told why.
        _ = draining.changed() => {}
    }
    if first.come().is_empty() {
        return;
    }
    let id = tcp.as_raw_fd();
    let stream: Stream = Box::new(Socket::new(tcp, id, first.come()));
    if first.come() == H2_PREFACE {
        http2(door, stream).await;
    } else {
        http1(door, stream, deadline).await;
    }
}

/// The first bytes of a connection: as many as tell which HTTP it speaks.
#[derive(Default)]
struct First {
    bytes: [u8; H2_PREFACE.len()],
    come: usize,
}

impl First {
    fn come(&self) -> &[u8] {
        &self.bytes[..self.come]
    }

    /// Reads until they are no preface of HTTP/2 or the whole of it, or the
    /// client has left.
    async fn read(&mut self, tcp: &mut TcpStream) {
        while self.come < H2_PREFACE.len() && H2_PREFACE.starts_with(self.come()) {
            match tcp.read(&mut self.bytes[self.come..]).await {
                Ok(read @ 1..) => self.come += read,
                Ok(0) | Err(_) => return,
            }
        }
    }
}

/// HTTP/2 is served by pingora's own loop, which bounds malformed streams and
/// says goodbye when a drain begins.
async fn http2<D: Door>(door: Arc<D>, stream: Stream) {
    let draining = door.drain().watch();
    let mut options = HttpServerOptions::default();
    options.h2c = true;
    options.h2_idle_timeout = Some(IDLE);
    let app = Arc::new(Http2 { door, options });
    app.process_new(stream, &draining).await;
}

struct Http2<D> {
    door: Arc<D>,
    options: HttpServerOptions,
}

#[async_trait]
impl<D: Door> HttpServerApp for Http2<D> {
    async fn process_new_http(
        self: &Arc<Self>,
        mut session: ServerSession,
        _draining: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        session.set_write_timeout(Some(WRITE));
        if let Ok(true) = session.read_request().await
            && serve_one(&*self.door, &mut session).await == Kept::Keep
        {
            // The stream has its end already; an error here is the client's
            // having left.
            let _ = session.finish().await;
        }
        None
    }

    fn h2_options(&self) -> Option<H2Options> {
        let mut options = default_h2_options();
        options
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW);
        Some(options)
    }

    fn server_options(&self) -> Option<&HttpServerOptions> {
        Some(&self.options)
    }
}

/// `deadline` is that of the first head.
async fn http1<D: Door>(door: Arc<D>, stream: Stream, mut deadline: Instant) {
    let mut draining = door.drain().watch();
    let mut session = ServerSession::new_http1(stream);
    loop {
        // Every wait is bounded here and where bodies are read.
        session.set_keepalive(Some(0));
        session.set_read_timeout(None);
        session.set_write_timeout(Some(WRITE));
        session.set_pipelining_enabled(true);
        let kept = match timeout_at(deadline, session.read_request()).await {
            Ok(Ok(true)) if framing::is_in_doubt(&session) => {
                unread(&*door, &mut session, &Refusal::BadRequest).await
            }
            Ok(Ok(true)) => {
                let kept = serve_one(&*door, &mut session).await;
                if door.drain().is_draining() && kept == Kept::Keep {
                    Kept::Linger
                } else {
                    kept
                }
            }
            Ok(Ok(false)) => Kept::Close,
            Ok(Err(error)) => {
                // No more of the error: it quotes the head, and so keys.
                log::debug!("a head that cannot be read: {}", error.etype().as_str());
                unread(&*door, &mut session, &Refusal::BadRequest).await
            }
            Err(_) => unread(&*door, &mut session, &Refusal::HeaderTimeout).await,
        };
        match kept {
            Kept::Close => return,
            Kept::Linger => return linger(session).await,
            Kept::Keep => {}
        }
        let Ok(Some(reusable)) = session.finish().await else {
            return;
        };
        let (mut stream, prefix) = reusable.into_parts();
        if prefix.is_none() && !has_next(&mut stream, &mut draining).await {
            return;
        }
        deadline = Instant::now() + door.header_timeout();
        session = ServerSession::new_http1(stream);
        if let Some(prefix) = prefix {
            session.set_pipelined_prefix(prefix);
        }
    }
}

/// Says no to a request of which nothing is known.
async fn unread<D: Door>(door: &D, session: &mut ServerSession, refusal: &Refusal) -> Kept {
    let id = door.new_id();
    logs::brief(&Brief::refused(&id, refusal));
    refuse(session, refusal, id).await
}

/// Waits for the first byte of the next request.
async fn has_next(stream: &mut Stream, draining: &mut watch::Receiver<bool>) -> bool {
    let mut first = [0; 1];
    tokio::select! {
        biased;
        peeked = timeout(IDLE, stream.try_peek(&mut first)) => {
            matches!(peeked, Ok(Ok(true)))
        }
        _ = draining.wait_for(|draining| *draining) => false,
    }
}

async fn serve_one<D: Door>(door: &D, session: &mut ServerSession) -> Kept {
    let _in_flight = door.drain().enter();
    door.serve(session).await
}

/// Closes our side and reads on for a moment: a socket that is closed with
/// unread bytes in it resets, and a reset can overtake the answer.
async fn linger(session: ServerSession) {
    let ServerSession::H1(h1) = session else {
        return;
    };
    let mut stream = h1.into_inner();
    if stream.shutdown().await.is_err() {
        return;
    }
    let mut sink = vec![0; 16 << 10];
    let drained = timeout(LINGER, async {
        while let Ok(1..) = stream.read(&mut sink).await {}
    });
    // What it still sends after that meets the reset.
    let _ = drained.await;
}
