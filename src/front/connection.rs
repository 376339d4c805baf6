//! One client's connection: which HTTP it speaks, its requests one after the
//! other, and its end.
//!
//! The accept loop is ours and so is this: every wait for a client has a
//! deadline, heads that cannot be read get an answer in our shape, and a
//! drain finds every idle connection.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::HeaderValue;
use pingora_core::apps::{HttpServerApp, HttpServerOptions, ReusedHttpStream, ServerApp};
use pingora_core::protocols::Stream;
use pingora_core::protocols::http::ServerSession;
use pingora_core::protocols::l4::stream::Stream as L4Stream;
use pingora_core::server::ShutdownWatch;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;

use super::client::refuse;
use super::drain::Drain;
use crate::refusal::Refusal;

/// How long a connection may lie idle between two requests: longer than the
/// 60 s of the usual load balancers, so that they close first.
const IDLE: Duration = Duration::from_secs(75);

/// How long one write to a client may block before the client counts as gone.
const WRITE: Duration = Duration::from_secs(60);

/// What is read of a client that is still sending while its connection is
/// closed, so that it sees its answer before the reset: so long and so much.
const LINGER: Duration = Duration::from_secs(2);
const MAX_LINGER: usize = 4 << 20;

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
    /// Serves one request whose head has been read, to its end.
    fn serve(&self, session: &mut ServerSession) -> impl Future<Output = Kept> + Send;

    /// How long a request's head may take.
    fn header_timeout(&self) -> Duration;

    /// An id for a request whose own could not be read.
    fn new_id(&self) -> HeaderValue;

    /// Whether requests are still taken.
    fn drain(&self) -> &Arc<Drain>;
}

/// Serves a connection to its end.
pub async fn serve<D: Door>(door: Arc<D>, tcp: TcpStream) {
    // An event is never held back for the next one.
    if tcp.set_nodelay(true).is_err() {
        return;
    }
    let Ok(Some(is_h2)) = timeout(door.header_timeout(), speaks_h2(&tcp)).await else {
        return;
    };
    let stream: Stream = Box::new(L4Stream::from(tcp));
    if is_h2 {
        http2(door, stream).await;
    } else {
        http1(door, stream).await;
    }
}

/// Looks at the first bytes without taking them; nothing where the client
/// leaves.
async fn speaks_h2(tcp: &TcpStream) -> Option<bool> {
    let mut first = [0; H2_PREFACE.len()];
    loop {
        let come = tcp.peek(&mut first).await.ok()?;
        if come == 0 {
            return None;
        }
        if !H2_PREFACE.starts_with(&first[..come]) {
            return Some(false);
        }
        if come == H2_PREFACE.len() {
            return Some(true);
        }
        // A piece of the preface: the socket stays readable, so there is
        // nothing to wait for but time.
        tokio::time::sleep(Duration::from_millis(2)).await;
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

    fn server_options(&self) -> Option<&HttpServerOptions> {
        Some(&self.options)
    }
}

async fn http1<D: Door>(door: Arc<D>, stream: Stream) {
    let mut draining = door.drain().watch();
    let mut session = ServerSession::new_http1(stream);
    loop {
        session.set_keepalive(Some(IDLE.as_secs()));
        session.set_write_timeout(Some(WRITE));
        session.set_pipelining_enabled(true);
        let kept = match timeout(door.header_timeout(), session.read_request()).await {
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
                log::debug!("a head that cannot be read: {error}");
                refuse(&mut session, &Refusal::BadRequest, door.new_id()).await
            }
            Err(_) => refuse(&mut session, &Refusal::HeaderTimeout, door.new_id()).await,
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
        session = ServerSession::new_http1(stream);
        if let Some(prefix) = prefix {
            session.set_pipelined_prefix(prefix);
        }
    }
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
    let mut left = MAX_LINGER;
    let drained = timeout(LINGER, async {
        while let Ok(read @ 1..) = stream.read(&mut sink).await {
            left = left.saturating_sub(read);
            if left == 0 {
                break;
            }
        }
    });
    // What it still sends after that meets the reset.
    let _ = drained.await;
}
