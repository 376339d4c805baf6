//! The way to one provider: its addresses and its credential.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue};
use parking_lot::Mutex;
use pingora_core::connectors::http::v2::Connector;
use pingora_error::ErrorType;
use tokio::time::{Instant, timeout};

use super::Pool;
use super::place::{NoWay, Opened, Place, Secured};
use super::trust::{Made, Own, Trust};
use crate::base::{Endpoint, Secret};
use crate::config::{BaseUrl, Credential, HttpVersion, Provider};
use crate::dialect::{Kind, api_key_header, path};
use crate::patience::within;
use crate::seam::Broken;
use crate::tls::server_name;
use crate::transport::Files;

/// How soon a look-up that failed is tried again: a crowd of requests for a
/// name that is not there asks once a second.
const LOOK_UP_AGAIN: Duration = Duration::from_secs(1);

/// How long the background waits for one name before it turns to the next.
const LONGEST_LOOK_UP: Duration = Duration::from_secs(10);

type Peers = Vec<Arc<Place>>;

pub(super) type KeyHeader = Option<(HeaderName, HeaderValue)>;

/// The way to one provider.
pub(super) struct Line {
    pub(super) kind: Kind,
    pub(super) url: BaseUrl,
    http: HttpVersion,
    pub(super) authority: HeaderValue,
    pub(super) api_version: Option<String>,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    /// By endpoint, where no model is named in them.
    pub(super) paths: Option<[Option<PathAndQuery>; 4]>,
    pub(super) key: ArcSwap<KeyHeader>,
    file: Option<KeyFile>,
    tls: Option<Tls>,
    /// Where the provider is; nothing until that is first needed.
    peers: ArcSwapOption<Peers>,
    /// Held while the places are set up anew, by their addresses or by how
    /// they are met.
    moves: Mutex<()>,
    /// Held while the first look-up runs, so that it runs once; when the last
    /// one failed.
    first: tokio::sync::Mutex<Option<Instant>>,
    /// Counts idle connections, whosever they are.
    idle: Arc<AtomicUsize>,
}

/// A credential's file.
struct KeyFile {
    path: PathBuf,
    files: Files,
}

/// How a provider is met by TLS.
struct Tls {
    now: ArcSwap<Secured>,
    /// Where it is not as everyone is: its files, and what they held.
    own: Option<(Own, Mutex<Made>)>,
}

impl Tls {
    /// What was made of the same files before stays, and so do connections.
    fn new(provider: &Provider, public: &Trust, before: Option<&Self>) -> Result<Self, String> {
        let name = server_name(&provider.base_url.host)?;
        let http = provider.http;
        let Some(wanted) = &provider.tls else {
            let trust = public.offering(http);
            return Ok(Self {
                now: ArcSwap::from_pointee(Secured { name, trust }),
                own: None,
            });
        };
        let own = Own::new(wanted);
        let known = before.and_then(|before| before.own.as_ref());
        let known = known.filter(|(files, _)| files.is_like(&own));
        let known = known.map(|(_, made)| made.lock().clone());
        let made = own.read(public, http, known.as_ref())?;
        let trust = made.trust.clone();
        Ok(Self {
            now: ArcSwap::from_pointee(Secured { name, trust }),
            own: Some((own, Mutex::new(made))),
        })
    }
}

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
                let files = Files::new(vec![path.clone()]);
                let key = read_key(path).map_err(|error| {
                    format!("provider {}: {}: {error}", provider.name, path.display())
                })?;
                file = Some(KeyFile {
                    path: path.clone(),
                    files,
                });
                Some(key)
            }
        };
        let key = key.and_then(|key| api_key_header(provider.kind, &key));
        let same_place = before.filter(|before| before.url == url && before.http == provider.http);
        let known = same_place.and_then(|before| before.tls.as_ref());
        let tls = url.tls.then(|| Tls::new(provider, &pool.public, known));
        let tls = tls.transpose();
        let tls = tls.map_err(|why| format!("provider {}: {why}", provider.name))?;
        let known = same_place.and_then(|before| before.peers.load_full());
        let line = Self {
            kind: provider.kind,
            http: provider.http,
            authority,
            api_version: provider.api_version.clone(),
            headers: provider.headers.clone(),
            paths: paths(provider),
            key: ArcSwap::from_pointee(key),
            file,
            tls,
            peers: ArcSwapOption::empty(),
            moves: Mutex::new(()),
            first: tokio::sync::Mutex::new(None),
            idle: Arc::clone(&pool.idle),
            url,
        };
        if let Some(known) = known {
            let addresses: Vec<SocketAddr> = known.iter().map(|place| place.address()).collect();
            line.settle(&addresses, &known);
        }
        Ok(line)
    }

    /// Whether the path of a request says which model is asked.
    pub(super) fn names_models(&self) -> bool {
        self.paths.is_none()
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
            // An address that swallows everything leaves time for the others.
            let left = u32::try_from(peers.len() - nth).unwrap_or(u32::MAX);
            match within(longest / left, place.open(connector, fresh)).await {
                Some(Ok(opened)) => return Ok(opened),
                Some(Err(NoWay::Http2(kind))) if !fresh && kind == ErrorType::H2Error => {
                    let kind = kind.as_str();
                    log::debug!("a dead connection to {}: {kind}", place.address());
                    return Err(Broken::Stale);
                }
                Some(Err(why)) => log::debug!("connecting to {}: {why}", place.address()),
                None => log::debug!("connecting to {}: out of time", place.address()),
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
        Ok(self.settle(&addresses, &[]))
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

    /// From now on these are the addresses. What is known of one stays with it,
    /// if it is met as before.
    fn settle(&self, addresses: &[SocketAddr], known: &[Arc<Place>]) -> Arc<Peers> {
        let _moves = self.moves.lock();
        let tls = self.tls.as_ref().map(|tls| tls.now.load_full());
        let tls = tls.as_deref();
        let place = |address: &SocketAddr| {
            if let Some(place) = known.iter().find(|place| place.is(address, tls)) {
                return Arc::clone(place);
            }
            let (url, http) = (&self.url, self.http);
            Arc::new(Place::new(*address, tls.cloned(), url, http, &self.idle))
        };
        let peers: Arc<Peers> = Arc::new(addresses.iter().map(place).collect());
        self.peers.store(Some(Arc::clone(&peers)));
        peers
    }

    /// Reads the certificates again, if their files have changed. Connections
    /// that were made with the old ones serve what they are serving, and
    /// nothing else.
    pub(super) fn refresh_trust(&self, public: &Trust) {
        let Some(tls) = &self.tls else { return };
        let Some((own, made)) = tls.own.as_ref().filter(|(own, _)| own.has_changed()) else {
            return;
        };
        let host = self.url.host.as_str();
        let before = made.lock().clone();
        match own.read(public, self.http, Some(&before)) {
            Ok(now) => {
                let name = tls.now.load().name.clone();
                let trust = now.trust.clone();
                tls.now.store(Arc::new(Secured { name, trust }));
                *made.lock() = now;
                if let Some(peers) = self.peers.load_full() {
                    let addresses: Vec<_> = peers.iter().map(|place| place.address()).collect();
                    self.settle(&addresses, &peers);
                }
                log::info!(
                    event = "certificate", host, result = "accepted";
                    "certificates for {host} read again"
                );
            }
            Err(why) => log::error!(
                event = "certificate", host, result = "rejected";
                "certificates for {host}: {why}; the old ones stay"
            ),
        }
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
        if let Ok(Some(found)) = timeout(LONGEST_LOOK_UP, self.look_up()).await {
            self.is_at(&found);
        }
    }

    /// From now on it is here.
    fn is_at(&self, found: &[SocketAddr]) {
        let known = self.peers.load_full();
        let known: &[_] = known.as_ref().map_or(&[], |peers| peers);
        let is_known = |address: &SocketAddr| known.iter().any(|place| place.address() == *address);
        if found.len() != known.len() || !found.iter().all(is_known) {
            let host = self.url.host.as_str();
            log::info!(event = "address", host; "{host} is at {found:?}");
            self.settle(found, known);
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
        if !file.files.have_changed() {
            return false;
        }
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
}

/// The paths of a provider's operations, where they are the same for all of
/// its models; nothing at one that cannot stand in a head.
fn paths(provider: &Provider) -> Option<[Option<PathAndQuery>; 4]> {
    let (kind, url) = (provider.kind, &provider.base_url);
    match kind {
        Kind::OpenAi => {
            let to = |endpoint| path(kind, &url.path, endpoint, "", None);
            Some(Endpoint::ALL.map(|endpoint| PathAndQuery::try_from(to(endpoint)).ok()))
        }
        Kind::Azure => None,
    }
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

#[cfg(test)]
mod tests;
