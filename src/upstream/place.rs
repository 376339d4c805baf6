//! One address of a provider, and the connections to it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use pingora_core::connectors::http::v2::Connector;
use pingora_core::protocols::http::client::HttpSession;
use pingora_core::protocols::http::v2::client::Http2Session;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_error::{Error, ErrorType, OrErr, Result as Pingora};

use super::idle::Idle;
use super::transport::Transport;
use crate::config::{BaseUrl, HttpVersion};

/// Streams on one HTTP/2 connection; servers allow 100 or more.
const H2_STREAMS: usize = 100;

/// How often an HTTP/2 connection is asked whether it still lives: behind a
/// dead one every request would wait for its own timeout.
const H2_PING: Duration = Duration::from_secs(20);

/// One address of a provider.
#[derive(Debug)]
pub(super) struct Place {
    address: SocketAddr,
    tls: bool,
    pub(super) peer: HttpPeer,
    pub(super) idle: Idle,
}

impl Place {
    /// Nothing is connected yet. `all` counts the idle connections to all
    /// places.
    pub(super) fn new(
        address: SocketAddr,
        url: &BaseUrl,
        http: HttpVersion,
        all: &Arc<AtomicUsize>,
    ) -> Self {
        let mut peer = HttpPeer::new(address, url.tls, url.host.clone());
        let (most, least) = match http {
            HttpVersion::Auto if url.tls => (2, 1),
            HttpVersion::Auto | HttpVersion::Http1 => (1, 1),
            HttpVersion::Http2 => (2, 2),
        };
        peer.options.set_http_version(most, least);
        peer.options.max_h2_streams = H2_STREAMS;
        peer.options.h2_ping_interval = Some(H2_PING);
        Self {
            address,
            tls: url.tls,
            peer,
            idle: Idle::new(Arc::clone(all)),
        }
    }

    pub(super) fn is_at(&self, address: &SocketAddr) -> bool {
        self.address == *address
    }

    /// A connection; a `fresh` one has not served before.
    ///
    /// # Errors
    /// None can be had.
    pub(super) async fn open(self: &Arc<Self>, to: &Connector, fresh: bool) -> Pingora<Opened> {
        let reused = if fresh { None } else { self.reuse(to).await? };
        let is_reused = reused.is_some();
        let connection = match reused {
            Some(connection) => connection,
            // On the heap, like all that most requests do without.
            None => Box::pin(self.connect(to)).await?,
        };
        Ok(Opened {
            connection,
            place: Arc::clone(self),
            reused: is_reused,
        })
    }

    async fn reuse(&self, from: &Connector) -> Pingora<Option<Connection>> {
        let alpn = &self.peer.options.alpn;
        if alpn.get_max_http_version() == 2
            && let Some(session) = from.reused_http_session(&self.peer).await?
        {
            return Ok(Some(Connection::Http2(Box::new(session))));
        }
        // The server may know nothing newer.
        let speaks_http1 = alpn.get_min_http_version() == 1;
        let idle = speaks_http1.then(|| self.idle.take()).flatten();
        Ok(idle.map(Connection::Http1))
    }

    async fn connect(&self, by: &Connector) -> Pingora<Connection> {
        if self.peer.options.alpn.get_max_http_version() == 1 {
            let transport = if self.tls {
                Transport::Tls(by.transport().new_stream(&self.peer).await?)
            } else {
                let plain = Transport::plain(self.address).await;
                plain.or_err(ErrorType::ConnectError, "connecting")?
            };
            return Ok(Connection::Http1(transport));
        }
        match by.new_http_session::<_, ()>(&self.peer).await? {
            // The server knows nothing newer.
            HttpSession::H1(session) => Ok(Connection::Http1(Transport::Tls(session.into_inner()))),
            HttpSession::H2(session) => Ok(Connection::Http2(Box::new(session))),
            HttpSession::Custom(()) => {
                Error::e_explain(ErrorType::InternalError, "no custom protocol is set")
            }
        }
    }
}

/// A connection that serves one request.
pub(super) enum Connection {
    Http1(Transport),
    Http2(Box<Http2Session>),
}

/// A connection, and where it leads.
pub(super) struct Opened {
    pub(super) connection: Connection,
    pub(super) place: Arc<Place>,
    /// It has served before, so it may have died since.
    pub(super) reused: bool,
}
