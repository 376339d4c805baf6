//! The way to one provider: its addresses, its credential, what every request
//! to it carries.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::{ArcSwap, ArcSwapOption};
use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, Method, Request, Uri, Version, header};
use pingora_core::connectors::http::v2::Connector;
use pingora_core::protocols::Stream;
use pingora_core::protocols::http::client::HttpSession;
use pingora_core::protocols::http::v2::client::Http2Session;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_error::{Error, ErrorType, Result as Pingora};
use pingora_http::RequestHeader;
use tokio::time::{Instant, timeout};

use super::Pool;
use super::idle::Idle;
use crate::base::Secret;
use crate::config::{BaseUrl, Credential, HttpVersion, Provider};
use crate::dialect::{Kind, api_key_header, path};
use crate::seam::{Broken, Outgoing};

/// Streams on one HTTP/2 connection; servers allow 100 or more.
const H2_STREAMS: usize = 100;

/// How often an HTTP/2 connection is asked whether it still lives: behind a
/// dead one every request would wait for its own timeout.
const H2_PING: Duration = Duration::from_secs(20);

/// How soon a look-up that failed is tried again: a crowd of requests for a
/// name that is not there asks once a second.
const LOOK_UP_AGAIN: Duration = Duration::from_secs(1);

/// How long the background waits for one name before it turns to the next.
const LONGEST_LOOK_UP: Duration = Duration::from_secs(10);

/// One address of a provider.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) peer: HttpPeer,
    pub(super) idle: Idle,
}

impl Place {
    fn is_at(&self, address: &SocketAddr) -> bool {
        self.peer._address.as_inet() == Some(address)
    }

    /// The newest version of HTTP that is spoken there.
    fn newest(&self) -> u8 {
        self.peer.options.alpn.get_max_http_version()
    }

    fn opened(self: &Arc<Self>, connection: Connection, reused: bool) -> Opened {
        Opened {
            connection,
            place: Arc::clone(self),
            reused,
        }
    }

    /// A connection, and whether it has served before; a `fresh` one has not.
    async fn connect(&self, to: &Connector, fresh: bool) -> Pingora<(Connection, bool)> {
        let alpn = &self.peer.options.alpn;
        if !fresh {
            if self.newest() == 2
                && let Some(session) = to.reused_http_session(&self.peer).await?
            {
                return Ok((Connection::Http2(Box::new(session)), true));
            }
            // The server may know nothing newer.
            if alpn.get_min_http_version() == 1
                && let Some(stream) = self.idle.take()
            {
                return Ok((Connection::Http1(stream), true));
            }
        }
        // On the heap, like all that most requests do without.
        let connection = match self.newest() {
            1 => Connection::Http1(Box::pin(to.transport().new_stream(&self.peer)).await?),
            _ => match Box::pin(to.new_http_session::<_, ()>(&self.peer)).await? {
                HttpSession::H1(session) => Connection::Http1(session.into_inner()),
                HttpSession::H2(session) => Connection::Http2(Box::new(session)),
                HttpSession::Custom(()) => {
                    return Error::e_explain(ErrorType::InternalError, "no custom protocol is set");
                }
            },
        };
        Ok((connection, false))
    }
}

/// A connection that serves one request.
pub(super) enum Connection {
    Http1(Stream),
    Http2(Box<Http2Session>),
}

/// A connection, and where it leads.
pub(super) struct Opened {
    pub(super) connection: Connection,
    pub(super) place: Arc<Place>,
    /// It has served before, so it may have died since.
    pub(super) reused: bool,
}

type Peers = Vec<Arc<Place>>;
/// Most heads fit.
const USUAL_HEAD: usize = 1024;

type KeyHeader = Option<(HeaderName, HeaderValue)>;

/// The way to one provider.
pub(super) struct Line {
    kind: Kind,
    url: BaseUrl,
    http: HttpVersion,
    authority: HeaderValue,
    api_version: Option<String>,
    headers: Vec<(HeaderName, HeaderValue)>,
    key: ArcSwap<KeyHeader>,
    file: Option<KeyFile>,
    /// Where the provider is; nothing until that is first needed.
    peers: ArcSwapOption<Peers>,
    /// Held while the first look-up runs, so that it runs once; when the last
    /// one failed.
    first: tokio::sync::Mutex<Option<Instant>>,
    /// Counts idle connections, whosever they are.
    idle: Arc<AtomicUsize>,
}

/// A credential's file and what it looked like when it was last read.
struct KeyFile {
    path: PathBuf,
    seen: Mutex<Look>,
}

/// What a file looks like from outside: changed when, and how long.
type Look = Option<(SystemTime, u64)>;

impl Line {
    pub(super) fn new(
        provider: &Provider,
        pool: &Pool,
        before: Option<&Self>,
    ) -> Result<Self, String> {
        let url = provider.base_url.clone();
        let authority = HeaderValue::from_str(&url.authority()).map_err(|_| {
            format!(
                "provider {}: its host cannot stand in a header",
                provider.name
            )
        })?;
        let mut file = None;
        let key = match &provider.credential {
            Credential::None => None,
            Credential::Inline(key) => Some(key.clone()),
            Credential::File(path) => {
                // Looked at first: what is written in between is read again.
                let seen = Mutex::new(look(path));
                let key = read_key(path).map_err(|error| {
                    format!("provider {}: {}: {error}", provider.name, path.display())
                })?;
                file = Some(KeyFile {
                    path: path.clone(),
                    seen,
                });
                Some(key)
            }
        };
        let key = key.and_then(|key| api_key_header(provider.kind, &key));
        let same_place = before.filter(|before| before.url == url && before.http == provider.http);
        let peers = same_place.and_then(|before| before.peers.load_full());
        Ok(Self {
            kind: provider.kind,
            http: provider.http,
            authority,
            api_version: provider.api_version.clone(),
            headers: provider.headers.clone(),
            key: ArcSwap::from_pointee(key),
            file,
            peers: ArcSwapOption::new(peers),
            first: tokio::sync::Mutex::new(None),
            idle: Arc::clone(&pool.idle),
            url,
        })
    }

    /// Gets a connection: at the first of the addresses that takes one.
    pub(super) async fn open(
        &self,
        connector: &Connector,
        longest: Duration,
        fresh: bool,
    ) -> Result<Opened, Broken> {
        let known = self.peers.load_full();
        let peers = match known {
            Some(peers) => peers,
            // On the heap, like all that most requests do without.
            None => Box::pin(self.peers()).await?,
        };
        for (nth, place) in peers.iter().enumerate() {
            if !fresh
                && place.newest() == 1
                && let Some(stream) = place.idle.take()
            {
                return Ok(place.opened(Connection::Http1(stream), true));
            }
            // An address that swallows everything leaves time for the others.
            let left = u32::try_from(peers.len() - nth).unwrap_or(u32::MAX);
            match timeout(longest / left, place.connect(connector, fresh)).await {
                Ok(Ok((connection, reused))) => return Ok(place.opened(connection, reused)),
                Ok(Err(error)) if !fresh && *error.etype() == ErrorType::H2Error => {
                    let kind = error.etype().as_str();
                    log::debug!("a dead connection to {}: {kind}", place.peer._address);
                    return Err(Broken::Stale);
                }
                // No more of the error: it may quote what the other end says.
                Ok(Err(error)) => {
                    let kind = error.etype().as_str();
                    log::debug!("connecting to {}: {kind}", place.peer._address);
                }
                Err(_) => log::debug!("connecting to {}: out of time", place.peer._address),
            }
        }
        Err(Broken::Connect)
    }

    async fn peers(&self) -> Result<Arc<Peers>, Broken> {
        if let Some(peers) = self.peers.load_full() {
            return Ok(peers);
        }
        let mut failed = self.first.lock().await;
        if let Some(peers) = self.peers.load_full() {
            return Ok(peers);
        }
        if failed.is_some_and(|at| at.elapsed() < LOOK_UP_AGAIN) {
            return Err(Broken::Connect);
        }
        let Some(addresses) = self.look_up().await else {
            *failed = Some(Instant::now());
            return Err(Broken::Connect);
        };
        let peers = Arc::new(self.peers_at(&addresses, &[]));
        self.peers.store(Some(Arc::clone(&peers)));
        Ok(peers)
    }

    async fn look_up(&self) -> Option<Vec<SocketAddr>> {
        if let Ok(address) = self.url.host.parse::<IpAddr>() {
            return Some(vec![SocketAddr::new(address, self.url.port)]);
        }
        match tokio::net::lookup_host((self.url.host.as_str(), self.url.port)).await {
            Ok(found) => Some(found.collect::<Vec<_>>()).filter(|all| !all.is_empty()),
            Err(error) => {
                let host = self.url.host.as_str();
                log::warn!(event = "look_up", host; "looking up {host}: {error}");
                None
            }
        }
    }

    /// What is known of an address stays with it.
    fn peers_at(&self, addresses: &[SocketAddr], known: &[Arc<Place>]) -> Peers {
        let place = |address: &SocketAddr| {
            if let Some(place) = known.iter().find(|place| place.is_at(address)) {
                return Arc::clone(place);
            }
            let mut peer = HttpPeer::new(*address, self.url.tls, self.url.host.clone());
            let (most, least) = match self.http {
                HttpVersion::Auto if self.url.tls => (2, 1),
                HttpVersion::Auto | HttpVersion::Http1 => (1, 1),
                HttpVersion::Http2 => (2, 2),
            };
            peer.options.set_http_version(most, least);
            peer.options.max_h2_streams = H2_STREAMS;
            peer.options.h2_ping_interval = Some(H2_PING);
            Arc::new(Place {
                peer,
                idle: Idle::new(Arc::clone(&self.idle)),
            })
        };
        addresses.iter().map(place).collect()
    }

    /// Lets idle connections go that are closed or too old.
    pub(super) fn sweep(&self) {
        for place in self.peers.load_full().iter().flat_map(|peers| peers.iter()) {
            place.idle.sweep();
        }
    }

    /// Looks the addresses up, also those that nobody has needed yet: a look-up
    /// that takes longer than a request waits still comes to its end here. One
    /// that fails leaves the old addresses.
    pub(super) async fn refresh_addresses(&self) {
        if self.url.host.parse::<IpAddr>().is_ok() {
            return;
        }
        let Ok(Some(found)) = timeout(LONGEST_LOOK_UP, self.look_up()).await else {
            return;
        };
        let known = self.peers.load_full();
        let known: &[_] = known.as_ref().map_or(&[], |peers| peers);
        let is_known = |address| known.iter().any(|place| place.is_at(address));
        if found.len() != known.len() || !found.iter().all(is_known) {
            let host = self.url.host.as_str();
            log::info!(event = "address", host; "{host} is at {found:?}");
            let peers = self.peers_at(&found, known);
            self.peers.store(Some(Arc::new(peers)));
        }
    }

    /// Whether the other one asks with the same key, wherever it is from.
    pub(super) fn has_same_key(&self, other: &Self) -> bool {
        *self.key.load() == *other.key.load()
    }

    /// Reads the credential again, if its file has changed; says whether there
    /// is another one now.
    pub(super) fn refresh_credential(&self) -> bool {
        let Some(file) = &self.file else {
            return false;
        };
        let now = look(&file.path);
        let mut seen = file.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::replace(&mut *seen, now) == now {
            return false;
        }
        drop(seen);
        match read_key(&file.path) {
            Ok(key) => {
                self.key.store(Arc::new(api_key_header(self.kind, &key)));
                let path = file.path.display();
                log::info!(
                    event = "credential_file", path:%, result = "accepted";
                    "credential file {path} read again"
                );
                true
            }
            Err(error) => {
                let path = file.path.display();
                log::warn!(
                    event = "credential_file", path:%, result = "rejected";
                    "credential file {path}: {error}; the old one stays"
                );
                false
            }
        }
    }

    /// Where a request goes; nothing where that cannot stand in a head.
    fn path(&self, request: &Outgoing<'_>, upstream_model: &str) -> Option<PathAndQuery> {
        let to = path(
            self.kind,
            &self.url.path,
            request.endpoint,
            upstream_model,
            self.api_version.as_deref(),
        );
        PathAndQuery::try_from(to).ok()
    }

    /// The head's headers beside `host` and `content-length`: what the client
    /// sent, but not where the configuration or the credential says otherwise.
    fn headers<'a>(
        &'a self,
        request: &'a Outgoing<'_>,
        key: &'a KeyHeader,
    ) -> impl Iterator<Item = (&'a HeaderName, &'a HeaderValue)> {
        let own = move || self.headers.iter().chain(key);
        let trace = request.trace.iter().map(|(name, value)| (name, value));
        let theirs = request.headers.iter().chain(trace);
        let theirs = theirs.filter(move |(name, _)| own().all(|own| own.0 != **name));
        theirs.chain(own().map(|(name, value)| (name, value)))
    }

    /// The request's head for this provider. HTTP/2 wants an absolute URI and
    /// no `host`.
    pub(super) fn head(
        &self,
        request: &Outgoing<'_>,
        upstream_model: &str,
        is_h2: bool,
    ) -> Option<RequestHeader> {
        let mut uri = Uri::builder().path_and_query(self.path(request, upstream_model)?);
        if is_h2 {
            let scheme = if self.url.tls { "https" } else { "http" };
            uri = uri.scheme(scheme).authority(self.authority.as_bytes());
        }
        let mut head = Request::new(()).into_parts().0;
        head.method = Method::POST;
        head.uri = uri.build().ok()?;
        head.version = if is_h2 {
            Version::HTTP_2
        } else {
            Version::HTTP_11
        };
        head.headers
            .reserve(request.headers.len() + self.headers.len() + 4);
        if !is_h2 {
            head.headers.insert(header::HOST, self.authority.clone());
        }
        for (name, value) in self.headers(request, &self.key.load()) {
            head.headers.append(name.clone(), value.clone());
        }
        let length = HeaderValue::from(request.body.len());
        head.headers.insert(header::CONTENT_LENGTH, length);
        Some(RequestHeader::from(head))
    }

    /// The same as HTTP/1.1 writes it (RFC 9112), with room behind it for
    /// `more` bytes.
    pub(super) fn written_head(
        &self,
        request: &Outgoing<'_>,
        upstream_model: &str,
        more: usize,
    ) -> Option<Vec<u8>> {
        let path = self.path(request, upstream_model)?;
        let mut head = Vec::with_capacity(USUAL_HEAD + more);
        head.extend_from_slice(b"POST ");
        head.extend_from_slice(path.as_str().as_bytes());
        head.extend_from_slice(b" HTTP/1.1\r\nhost: ");
        head.extend_from_slice(self.authority.as_bytes());
        for (name, value) in self.headers(request, &self.key.load()) {
            head.extend_from_slice(b"\r\n");
            head.extend_from_slice(name.as_str().as_bytes());
            head.extend_from_slice(b": ");
            head.extend_from_slice(value.as_bytes());
        }
        head.extend_from_slice(b"\r\ncontent-length: ");
        head.extend_from_slice(HeaderValue::from(request.body.len()).as_bytes());
        head.extend_from_slice(b"\r\n\r\n");
        Some(head)
    }
}

fn look(path: &PathBuf) -> Look {
    let data = std::fs::metadata(path).ok()?;
    Some((
        data.modified().unwrap_or(SystemTime::UNIX_EPOCH),
        data.len(),
    ))
}

/// A key from its file, without the newline that editors put at its end.
fn read_key(path: &PathBuf) -> std::io::Result<Secret> {
    let text = std::fs::read_to_string(path)?;
    let key = text.trim();
    if key.is_empty() || HeaderValue::from_str(key).is_err() {
        return Err(std::io::Error::other("no key in it"));
    }
    Ok(Secret::from(key))
}
