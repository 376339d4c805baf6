//! One client's connection: which HTTP it speaks, its requests one after the
//! other, and its end.
//!
//! The accept loop is ours and so is this: every wait for a client has a
//! deadline, heads that cannot be read get an answer in our shape, and a
//! drain finds every idle connection.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use http::HeaderValue;
use pingora_core::apps::{HttpServerApp, HttpServerOptions, ReusedHttpStream, ServerApp};
use pingora_core::protocols::Stream;
use pingora_core::protocols::http::ServerSession;
use pingora_core::protocols::http::v2::server::{H2Options, default_h2_options};
use pingora_core::server::ShutdownWatch;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::rustls::ServerConfig;

use super::client::refuse;
use super::crowd::{Seat, turn_away};
use super::deadline::by;
use super::drain::Drain;
use super::handshake::handshake;
use super::http1::{Bounds, Http1, Unread};
use super::session::Session;
use crate::logs::{self, Brief};
use crate::patience::{Patience, at_once, within};
use crate::refusal::{Refusal, Scarce};
use crate::transport::{Socket, Transport};
use crate::wire::http1::MAX_HEADERS;

/// How long a connection may lie idle between two requests: longer than the
/// 60 s of the usual load balancers, so that they close first.
const IDLE: Duration = Duration::from_secs(75);

/// How long one is waited for that leaves without having been told so, because
/// its answer had begun before: whoever asks on at once finds it open, and is
/// told then.
const UNTOLD: Duration = Duration::from_secs(5);

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
    /// is beyond doubt, and its task wakes when requests are cut off.
    fn serve(&self, session: &mut Session<'_>) -> impl Future<Output = Kept> + Send;

    /// How its clients are met; plainly where it says nothing.
    fn tls(&self) -> Option<Arc<ServerConfig>> {
        None
    }

    /// Whether they have to show a certificate by now.
    fn asks_who_comes(&self) -> bool {
        false
    }

    /// Counts a client that could not be met so.
    fn handshake_failed(&self) {}

    /// How long a request's head may take; the first one of a connection
    /// together with the handshake.
    fn header_timeout(&self) -> Duration;

    /// What else a client may ask of its connection.
    fn bounds(&self) -> Bounds {
        Bounds::default()
    }

    /// A place for one more connection.
    fn seat(&self) -> Seat<'_>;

    /// An id for a request whose own could not be read.
    fn new_id(&self) -> HeaderValue;

    /// Whether requests are still taken.
    fn drain(&self) -> &Arc<Drain>;
}

/// Serves a connection to its end.
pub async fn serve<D: Door>(door: Arc<D>, tcp: TcpStream) {
    let host = Arc::clone(&door);
    let _seat = match host.seat() {
        Seat::Taken(place) => place,
        Seat::Full(_told) => {
            let full = Refusal::Overloaded(Scarce::Connections);
            let told = turn_away(tcp, door.tls(), &full, door.new_id());
            return Box::pin(told).await;
        }
        Seat::Crammed => return,
    };
    let _open = door.drain().open();
    let mut cut_off = pin!(host.drain().until_cut_off());
    let _ = at_once(cut_off.as_mut()).await;
    // An event is never held back for the next one.
    if tcp.set_nodelay(true).is_err() {
        return;
    }
    let deadline = Instant::now() + door.header_timeout();
    let mut draining = door.drain().watch();
    let transport = match door.tls() {
        None => Transport::Tcp(tcp),
        // On the heap, and gone with the handshake.
        Some(config) => {
            let met = Box::pin(handshake(&*door, tcp, config, deadline, &mut draining)).await;
            let Some(transport) = met else { return };
            transport
        }
    };
    let is_certified = transport.is_certified();
    let mut connection = Http1::new(transport, door.bounds());
    tokio::select! {
        biased;
        // Out of time with a piece of a head is for HTTP/1 to say.
        _ = timeout_at(deadline, first(&mut connection)) => {}
        // Who has said nothing when a drain begins finds another door; who
        // comes later is told why.
        _ = draining.changed() => {}
    }
    if connection.come().starts_with(H2_PREFACE) {
        let (transport, come) = connection.into_parts();
        let id = transport.id();
        return http2(
            door,
            Box::new(Socket::new(transport, id, &come)),
            is_certified,
        )
        .await;
    }
    if !connection.come().is_empty() {
        http1(door, &mut connection, deadline, is_certified).await;
    }
    connection.goodbye().await;
}

/// Reads until it is clear which HTTP is spoken, or the client has left.
async fn first(connection: &mut Http1<Transport>) {
    let is_open = |come: &[u8]| come.len() < H2_PREFACE.len() && H2_PREFACE.starts_with(come);
    while is_open(connection.come()) && matches!(connection.more().await, Ok(true)) {}
}

/// HTTP/2 is served by pingora's own loop, which bounds malformed streams and
/// says goodbye when a drain begins.
async fn http2<D: Door>(door: Arc<D>, stream: Stream, is_certified: bool) {
    let draining = door.drain().goodbye();
    let mut options = HttpServerOptions::default();
    options.h2c = true;
    options.h2_idle_timeout = Some(IDLE);
    let bounds = door.bounds();
    let app = Arc::new(Http2 {
        door,
        options,
        bounds,
        is_certified,
    });
    app.process_new(stream, &draining).await;
}

struct Http2<D> {
    door: Arc<D>,
    options: HttpServerOptions,
    bounds: Bounds,
    is_certified: bool,
}

#[async_trait]
impl<D: Door> HttpServerApp for Http2<D> {
    async fn process_new_http(
        self: &Arc<Self>,
        mut session: ServerSession,
        _draining: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        // A stream has a task of its own.
        let mut cut_off = pin!(self.door.drain().until_cut_off());
        let _ = at_once(cut_off.as_mut()).await;
        let write = self.bounds.write;
        session.set_write_timeout(Some(write));
        let Ok(true) = session.read_request().await else {
            return None;
        };
        let is_large = session.req_header().headers.len() > MAX_HEADERS;
        let mut stream = Session::http2(&mut session, write);
        let kept = if is_large {
            unread(&*self.door, &mut stream, &Refusal::HeadersTooLarge).await
        } else {
            serve_one(&*self.door, self.is_certified, stream).await
        };
        if kept == Kept::Keep {
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
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(u32::try_from(self.bounds.head).unwrap_or(u32::MAX));
        Some(options)
    }

    fn server_options(&self) -> Option<&HttpServerOptions> {
        Some(&self.options)
    }
}

/// `first` is the deadline of the first head.
async fn http1<D: Door>(
    door: Arc<D>,
    connection: &mut Http1<Transport>,
    first: Instant,
    is_certified: bool,
) {
    let mut draining = door.drain().watch();
    let mut drains = pin!(async {
        // Without a drain there is no end to wait for either.
        let _ = draining.wait_for(|draining| *draining).await;
    });
    let mut silence = Patience::default();
    let mut first = Some(first);
    loop {
        let first = first.take();
        let end = || first.unwrap_or_else(|| Instant::now() + door.header_timeout());
        let kept = match by(end, connection.read_head()).await {
            Some(Ok(true)) => {
                let kept = serve_one(&*door, is_certified, Session::http1(connection)).await;
                let drain = door.drain();
                // Who was not told is served once more; but where requests
                // are refused nobody is waited for.
                let ends = drain.refuses() || !connection.is_kept();
                if kept == Kept::Keep && drain.is_draining() && ends {
                    Kept::Linger
                } else {
                    kept
                }
            }
            Some(Ok(false)) => Kept::Close,
            Some(Err(why)) => {
                let refusal = match why {
                    Unread::Malformed => Refusal::BadRequest,
                    Unread::TooLarge => Refusal::HeadersTooLarge,
                };
                log::debug!("a head that cannot be read");
                unread(&*door, &mut Session::http1(connection), &refusal).await
            }
            None => {
                let mut session = Session::http1(connection);
                unread(&*door, &mut session, &Refusal::HeaderTimeout).await
            }
        };
        match kept {
            Kept::Keep if connection.is_kept() => connection.forget(),
            Kept::Keep | Kept::Close => return,
            Kept::Linger => return connection.linger().await,
        }
        let untold = door.drain().is_draining();
        if !has_next(connection, untold, drains.as_mut(), &mut silence).await {
            return;
        }
    }
}

/// Says no to a request of which nothing is known.
async fn unread<D: Door>(door: &D, session: &mut Session<'_>, refusal: &Refusal) -> Kept {
    let id = door.new_id();
    logs::brief(&Brief::refused(&id, refusal));
    refuse(session, refusal, id).await
}

/// Waits for the first byte of the next request, which may be there already.
async fn has_next(
    connection: &mut Http1<Transport>,
    untold: bool,
    mut drains: Pin<&mut impl Future<Output = ()>>,
    silence: &mut Patience,
) -> bool {
    if !connection.come().is_empty() {
        return true;
    }
    let next = poll_fn(|context| {
        if let Poll::Ready(come) = connection.poll_come(context, usize::MAX) {
            return Poll::Ready(matches!(come, Ok(true)));
        }
        drains.as_mut().poll(context).map(|()| false)
    });
    let come = if untold {
        Box::pin(within(UNTOLD, next)).await
    } else {
        silence.within(IDLE, next).await
    };
    come.unwrap_or(false)
}

async fn serve_one<D: Door>(door: &D, is_certified: bool, mut session: Session<'_>) -> Kept {
    // A reload may ask for more than was asked when this connection came.
    if !is_certified && door.asks_who_comes() {
        return unread(door, &mut session, &Refusal::SpeaksTls).await;
    }
    let _in_flight = door.drain().enter();
    if door.drain().is_draining() {
        // Whatever it is, its answer says that no other follows.
        session.close_after();
    }
    door.serve(&mut session).await
}

#[cfg(test)]
mod tests;
