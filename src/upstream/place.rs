//! One address of a provider, and the connections to it.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use pingora_core::connectors::http::v2::{Connector, H2HandshakeSettings, handshake};
use pingora_core::protocols::http::v2::client::Http2Session;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_error::{Error, ErrorType};
use tokio_rustls::rustls::pki_types::ServerName;

use super::idle::Idle;
use super::trust::Trust;
use crate::config::{BaseUrl, HttpVersion};
use crate::transport::{Socket, Transport};

/// Streams on one HTTP/2 connection; servers allow 100 or more.
const H2_STREAMS: usize = 100;

/// How often an HTTP/2 connection is asked whether it still lives: behind a
/// dead one every request would wait for its own timeout.
const H2_PING: Duration = Duration::from_secs(20);

/// Of what the other end is said to be so much is logged, in characters.
const SAID: usize = 200;

/// How TLS is spoken at a place.
#[derive(Clone, Debug)]
pub(super) struct Secured {
    pub(super) name: ServerName<'static>,
    pub(super) trust: Trust,
}

/// One address of a provider.
#[derive(Debug)]
pub(super) struct Place {
    address: SocketAddr,
    tls: Option<Secured>,
    http: HttpVersion,
    /// What the pool of HTTP/2 connections knows it by.
    pub(super) peer: HttpPeer,
    pub(super) idle: Idle,
}

impl Place {
    /// Nothing is connected yet. `all` counts the idle connections to all
    /// places.
    pub(super) fn new(
        address: SocketAddr,
        tls: Option<Secured>,
        url: &BaseUrl,
        http: HttpVersion,
        all: &Arc<AtomicUsize>,
    ) -> Self {
        let mut peer = HttpPeer::new(address, url.tls, url.host.clone());
        peer.options.max_h2_streams = H2_STREAMS;
        peer.group_key = tls.as_ref().map_or(0, |tls| tls.trust.number);
        Self {
            address,
            tls,
            http,
            peer,
            idle: Idle::new(Arc::clone(all)),
        }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether it is this address, met in this way.
    pub(super) fn is(&self, address: &SocketAddr, tls: Option<&Secured>) -> bool {
        let number = |tls: &Secured| tls.trust.number;
        self.address == *address && self.tls.as_ref().map(number) == tls.map(number)
    }

    /// Whether HTTP/2 may be spoken.
    fn may_multiplex(&self) -> bool {
        match self.http {
            HttpVersion::Auto => self.tls.is_some(),
            HttpVersion::Http1 => false,
            HttpVersion::Http2 => true,
        }
    }

    /// A connection; a `fresh` one has not served before.
    ///
    /// # Errors
    /// None can be had.
    pub(super) async fn open(
        self: &Arc<Self>,
        pool: &Connector,
        fresh: bool,
    ) -> Result<Opened, NoWay> {
        let reused = if fresh { None } else { self.reuse(pool).await? };
        let is_reused = reused.is_some();
        let connection = match reused {
            Some(connection) => connection,
            // On the heap, like all that most requests do without.
            None => Box::pin(self.connect(pool)).await?,
        };
        Ok(Opened {
            connection,
            place: Arc::clone(self),
            reused: is_reused,
        })
    }

    async fn reuse(&self, from: &Connector) -> Result<Option<Connection>, NoWay> {
        if self.may_multiplex()
            && let Some(session) = from.reused_http_session(&self.peer).await?
        {
            return Ok(Some(Connection::Http2(Box::new(session))));
        }
        // The server may know nothing newer.
        let speaks_http1 = self.http != HttpVersion::Http2;
        let idle = speaks_http1.then(|| self.idle.take()).flatten();
        Ok(idle.map(Connection::Http1))
    }

    async fn connect(&self, pool: &Connector) -> Result<Connection, NoWay> {
        let mut transport = Transport::connect(self.address).await.map_err(NoWay::Tcp)?;
        if let Some(Secured { name, trust }) = &self.tls {
            let secured = transport.secure(name.clone(), trust.config());
            transport = secured.await.map_err(NoWay::Tls)?;
        }
        let speaks_http2 = match self.http {
            HttpVersion::Auto => transport.protocol() == Some(b"h2"),
            HttpVersion::Http1 => false,
            // Without TLS it is known beforehand.
            HttpVersion::Http2 => transport.protocol() == Some(b"h2") || self.tls.is_none(),
        };
        if speaks_http2 {
            let session = self.multiplex(transport, pool).await?;
            return Ok(Connection::Http2(Box::new(session)));
        }
        if self.http == HttpVersion::Http2 {
            return Err(NoWay::NoHttp2);
        }
        Ok(Connection::Http1(transport))
    }

    /// HTTP/2 over a connection, which others may use from now on.
    async fn multiplex(&self, over: Transport, pool: &Connector) -> Result<Http2Session, NoWay> {
        let mut settings = H2HandshakeSettings::new();
        settings.max_streams = H2_STREAMS;
        settings.ping_interval = Some(H2_PING);
        let id = over.id();
        let connection = handshake(Box::new(Socket::new(over, id, b"")), settings).await?;
        let session = connection.spawn_stream().await?;
        let session = session.ok_or(NoWay::Http2(ErrorType::H2Error))?;
        if connection.more_streams_allowed() {
            let pool = pool.in_use_pool();
            pool.insert(peer_key(&self.peer), connection);
        }
        Ok(session)
    }
}

/// What the pool keeps a peer's connections under.
fn peer_key(peer: &HttpPeer) -> u64 {
    use pingora_core::upstreams::peer::Peer;
    peer.reuse_hash()
}

/// Why there is no connection. What is shown of it may be logged: it has
/// nothing of a credential, and of what the other end says only the names of
/// its certificate.
#[derive(Debug)]
pub(super) enum NoWay {
    Http2(ErrorType),
    /// It has agreed to something else.
    NoHttp2,
    Tcp(io::Error),
    Tls(io::Error),
}

impl From<Box<Error>> for NoWay {
    fn from(error: Box<Error>) -> Self {
        Self::Http2(error.etype().clone())
    }
}

impl fmt::Display for NoWay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http2(kind) => f.write_str(kind.as_str()),
            Self::NoHttp2 => f.write_str("no HTTP/2 there"),
            Self::Tcp(error) => error.fmt(f),
            Self::Tls(error) => {
                let said = error.to_string();
                let said = said.chars().filter(|c| !c.is_control()).take(SAID);
                write!(f, "TLS: {}", said.collect::<String>())
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
