//! A request that is not a client's: one body to one address, and its answer.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Uri, Version, header};
use pingora_core::connectors::ConnectorOptions;
use pingora_core::connectors::http::Connector;
use pingora_core::protocols::http::client::HttpSession;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_http::RequestHeader;

use super::MAX_INTERIM;
use crate::config::BaseUrl;
use crate::seam::{Broken, Head};

/// Of an answer so much is read; nothing that is asked here says more.
const MAX_ANSWER: usize = 64 << 10;

/// Idle connections that are kept; one is used at a time.
const MAX_IDLE: usize = 2;

/// How long the connection is kept for the next.
const IDLE: Duration = Duration::from_secs(30);

/// Connections of its own, apart from those to providers.
pub struct Post(Connector);

impl Post {
    /// With no connection yet. A [`Pool`](super::Pool) has to be there before:
    /// it says where the system's certificates cannot be read.
    pub fn new() -> Self {
        Self(Connector::new(Some(ConnectorOptions::new(MAX_IDLE))))
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
        let (mut session, peer) = self.session(url).await?;
        let request = head(url, path, headers, body.len()).ok_or(Broken::Connect)?;
        let written = session.write_request_header(Box::new(request)).await;
        written.map_err(|_| Broken::Reset)?;
        // What breaks from here on may have been answered all the same.
        let mut is_sent = session.write_request_body(body, true).await.is_ok();
        is_sent &= session.finish_request_body().await.is_ok();
        let head = answer_head(&mut session).await?;
        let mut answer = Vec::new();
        let is_whole = loop {
            match session.read_response_body().await {
                Ok(Some(piece)) if answer.len() + piece.len() <= MAX_ANSWER => {
                    answer.extend_from_slice(&piece);
                }
                Ok(None) => break true,
                Ok(Some(_)) | Err(_) => break false,
            }
        };
        if is_sent && is_whole {
            self.0
                .release_http_session(session, &*peer, Some(IDLE))
                .await;
        }
        Ok((head, answer))
    }

    /// The first of the addresses that takes a connection.
    async fn session(&self, url: &BaseUrl) -> Result<(HttpSession, Arc<HttpPeer>), Broken> {
        let addresses: Vec<SocketAddr> = match url.host.parse::<IpAddr>() {
            Ok(address) => vec![SocketAddr::new(address, url.port)],
            Err(_) => tokio::net::lookup_host((url.host.as_str(), url.port))
                .await
                .map_err(|_| Broken::Connect)?
                .collect(),
        };
        for address in addresses {
            let mut peer = HttpPeer::new(address, url.tls, url.host.clone());
            peer.options.set_http_version(1, 1);
            if let Ok((session, _)) = self.0.get_http_session(&peer).await {
                return Ok((session, Arc::new(peer)));
            }
        }
        Err(Broken::Connect)
    }
}

impl Default for Post {
    fn default() -> Self {
        Self::new()
    }
}

fn head(
    url: &BaseUrl,
    path: &str,
    headers: &[(HeaderName, HeaderValue)],
    length: usize,
) -> Option<RequestHeader> {
    let mut head = http::Request::new(()).into_parts().0;
    head.method = Method::POST;
    head.uri = Uri::try_from(format!("{}{path}", url.path)).ok()?;
    head.version = Version::HTTP_11;
    let host = HeaderValue::from_str(&url.authority()).ok()?;
    let json = HeaderValue::from_static("application/json");
    let agent = HeaderValue::from_static(concat!("standin/", env!("CARGO_PKG_VERSION")));
    head.headers.insert(header::HOST, host);
    head.headers.insert(header::CONTENT_TYPE, json);
    head.headers.insert(header::USER_AGENT, agent);
    head.headers
        .insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    for (name, value) in headers {
        head.headers.insert(name.clone(), value.clone());
    }
    Some(RequestHeader::from(head))
}

async fn answer_head(session: &mut HttpSession) -> Result<Head, Broken> {
    for _ in 0..=MAX_INTERIM {
        let read = session.read_response_header().await;
        read.map_err(|_| Broken::Reset)?;
        let head = session.response_header().ok_or(Broken::Reset)?;
        if !head.status.is_informational() {
            return Ok(Head {
                status: head.status,
                headers: head.headers.clone(),
            });
        }
    }
    Err(Broken::Reset)
}
