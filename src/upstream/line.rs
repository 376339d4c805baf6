//! The way to one provider: its addresses and its credential.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::{ArcSwap, ArcSwapOption};
use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue};
use pingora_core::connectors::http::v2::Connector;
use pingora_error::ErrorType;
use tokio::time::{Instant, timeout};

use super::Pool;
use super::place::{Opened, Place};
use crate::base::{Endpoint, Secret};
use crate::config::{BaseUrl, Credential, HttpVersion, Provider};
use crate::dialect::{Kind, api_key_header, path};
use crate::patience::within;
use crate::seam::Broken;

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
            paths: paths(provider),
            key: ArcSwap::from_pointee(key),
            file,
            peers: ArcSwapOption::new(peers),
            first: tokio::sync::Mutex::new(None),
            idle: Arc::clone(&pool.idle),
            url,
        })
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
                Some(Err(error)) if !fresh && *error.etype() == ErrorType::H2Error => {
                    let kind = error.etype().as_str();
                    log::debug!("a dead connection to {}: {kind}", place.peer._address);
                    return Err(Broken::Stale);
                }
                // No more of the error: it may quote what the other end says.
                Some(Err(error)) => {
                    let kind = error.etype().as_str();
                    log::debug!("connecting to {}: {kind}", place.peer._address);
                }
                None => log::debug!("connecting to {}: out of time", place.peer._address),
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
            Arc::new(Place::new(*address, &self.url, self.http, &self.idle))
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
