//! A request that is not a client's: one body to one address, and its answer.

use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use parking_lot::Mutex;
use pingora_core::connectors::ConnectorOptions;
use pingora_core::connectors::http::v2::Connector;

use super::http1::Session;
use super::place::{Connection, Place, Secured};
use super::trust::Trust;
use crate::config::{BaseUrl, HttpVersion};
use crate::seam::{Broken, Head};
use crate::tls::server_name;
use crate::transport::Transport;
use crate::wire::Body;

/// Of an answer so much is read; nothing that is asked here says more.
const MAX_ANSWER: usize = 64 << 10;

/// Room in the connector's own pool, which keeps HTTP/2 connections: none are
/// made here.
const NONE_KEPT: usize = 1;

/// Connections of its own, apart from those to providers.
pub struct Post {
    connector: Connector,
    /// Where the last request went, and the way there.
    last: Mutex<Option<(BaseUrl, Arc<Place>)>>,
    idle: Arc<AtomicUsize>,
    /// Nothing where the system's certificates cannot be read.
    public: Option<Trust>,
}

impl Post {
    /// With no connection yet. A [`Pool`](super::Pool) has to be there before:
    /// it says where the system's certificates cannot be read.
    pub fn new() -> Self {
        Self {
            connector: Connector::new(Some(ConnectorOptions::new(NONE_KEPT))),
            last: Mutex::new(None),
            idle: Arc::default(),
            public: Trust::public().ok(),
        }
    }

    /// Posts a JSON body to a path below an address, over HTTP/1.1, and gives
    /// the answer with as much of its body as is worth reading. Has no time
    /// limit of its own, and may be dropped at any await.
    ///
    /// # Errors
    /// No connection, or one that broke before the answer's head had come.
    pub async fn post(
        &self,
        url: &BaseUrl,
        path: &str,
        headers: &[(HeaderName, HeaderValue)],
        body: Bytes,
    ) -> Result<(Head, Vec<u8>), Broken> {
        let (mut session, place) = self.session(url).await?;
        let request = head(url, path, headers, body.len());
        // What breaks while it is sent may have been answered all the same.
        let sent = session.send(request, &Body::from(body)).await;
        sent.map_err(|_| Broken::Reset)?;
        let head = session.head().await.map_err(|_| Broken::Reset)?;
        let mut answer = Vec::new();
        let is_whole = loop {
            match session.read().await {
                Ok(Some(piece)) if answer.len() + piece.len() <= MAX_ANSWER => {
                    answer.extend_from_slice(&piece);
                }
                Ok(None) => break true,
                Ok(Some(_)) | Err(_) => break false,
            }
        };
        if let Some(transport) = session.into_idle().filter(|_| is_whole) {
            place.idle.put(transport);
        }
        Ok((head, answer))
    }

    /// The first of the addresses that takes a connection.
    async fn session(&self, url: &BaseUrl) -> Result<(Session<Transport>, Arc<Place>), Broken> {
        let addresses: Vec<SocketAddr> = match url.host.parse::<IpAddr>() {
            Ok(address) => vec![SocketAddr::new(address, url.port)],
            Err(_) => tokio::net::lookup_host((url.host.as_str(), url.port))
                .await
                .map_err(|_| Broken::Connect)?
                .collect(),
        };
        let tls = url.tls.then(|| self.secured(url)).transpose()?;
        for address in addresses {
            let place = self.place(url, address, tls.as_ref());
            if let Ok(opened) = place.open(&self.connector, false).await
                && let Connection::Http1(transport) = opened.connection
            {
                *self.last.lock() = Some((url.clone(), Arc::clone(&place)));
                return Ok((Session::new(transport), place));
            }
        }
        Err(Broken::Connect)
    }

    fn secured(&self, url: &BaseUrl) -> Result<Secured, Broken> {
        let trust = self.public.as_ref().ok_or(Broken::Connect)?;
        Ok(Secured {
            name: server_name(&url.host).map_err(|_| Broken::Connect)?,
            trust: trust.offering(HttpVersion::Http1),
        })
    }

    /// The place at an address: the last one, if it is that.
    fn place(&self, url: &BaseUrl, address: SocketAddr, tls: Option<&Secured>) -> Arc<Place> {
        let last = self.last.lock();
        let is_last = |(at, place): &&(BaseUrl, Arc<Place>)| at == url && place.is(&address, tls);
        match last.as_ref().filter(is_last) {
            Some((_, place)) => Arc::clone(place),
            None => {
                let http = HttpVersion::Http1;
                Arc::new(Place::new(address, tls.cloned(), url, http, &self.idle))
            }
        }
    }
}

impl Default for Post {
    fn default() -> Self {
        Self::new()
    }
}

/// The request's head (RFC 9112); what is given takes the place of our own.
fn head(
    url: &BaseUrl,
    path: &str,
    headers: &[(HeaderName, HeaderValue)],
    length: usize,
) -> Vec<u8> {
    let mut head = Vec::new();
    let agent = concat!("standin/", env!("CARGO_PKG_VERSION"));
    // Writing to memory does not fail.
    let _ = write!(
        head,
        "POST {}{path} HTTP/1.1\r\nhost: {}\r\ncontent-length: {length}\r\n",
        url.path,
        url.authority(),
    );
    for (name, value) in [("content-type", "application/json"), ("user-agent", agent)] {
        if headers.iter().all(|(given, _)| given != name) {
            let _ = write!(head, "{name}: {value}\r\n");
        }
    }
    for (name, value) in headers {
        head.extend_from_slice(name.as_str().as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    head
}
