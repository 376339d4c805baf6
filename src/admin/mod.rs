//! The admin port: health, readiness, metrics, live state, the page that shows
//! it, usage, reload.

mod live;
mod page;
mod reply;
mod rows;
mod session;
mod status;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use serde_json::{Value, json};
use subtle::ConstantTimeEq;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use self::live::Live;
use self::page::{LOGIN, PAGE};
use self::reply::{Reply, refused};
use self::session::{Login, Sessions};
use self::status::Clocks;
use crate::base::Secret;
use crate::front::{Crowd, Door, Drain, Ids, Kept, Seat, Session};
use crate::house::Current;
use crate::metrics;
use crate::wire::Lines;

/// A wish to reload, and where its result goes: an error is what `standin
/// check` would print.
pub type Reload = oneshot::Sender<Result<(), String>>;

/// The admin port.
pub struct Admin {
    house: Current,
    /// The proxy port's.
    proxy: Arc<Drain>,
    /// This port's own: it serves on while the proxy port drains.
    never: Arc<Drain>,
    ids: Arc<Ids>,
    reload: mpsc::Sender<Reload>,
    live: Arc<Live>,
    sessions: Sessions,
    /// Whether only this machine can reach it.
    is_local: bool,
    /// This port's connections: of its own, so that it can be reached when the
    /// proxy port is full.
    crowd: Crowd,
}

/// What is answered.
enum Answer {
    /// A document.
    Reply(Reply),
    /// What is so, for as long as it is watched.
    Live,
}

impl From<Reply> for Answer {
    fn from(reply: Reply) -> Self {
        Self::Reply(reply)
    }
}

/// Connections here: more than people, scrapers and collectors have, and few
/// beside the proxy port's.
const CONNECTIONS: usize = 256;

/// The longest head and idle time here: nobody has reason to be slow.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

impl Admin {
    /// `at` is where it listens; `drain` is the proxy port's.
    pub fn new(
        at: SocketAddr,
        house: Current,
        drain: Arc<Drain>,
        ids: Arc<Ids>,
        reload: mpsc::Sender<Reload>,
    ) -> Self {
        Self {
            live: Live::new(Arc::clone(&house), Arc::clone(&drain)),
            sessions: Sessions::new(at.port()),
            house,
            proxy: drain,
            never: Drain::new(),
            ids,
            reload,
            is_local: at.ip().is_loopback(),
            crowd: Crowd::new("the admin port"),
        }
    }

    /// What is asked, and by what right.
    async fn answer(&self, session: &mut Session<'_>) -> Answer {
        let head = session.head();
        let path = head.uri.path();
        let reads = matches!(head.method, Method::GET | Method::HEAD);
        let takes = match path {
            "/" | "/healthz" | "/readyz" | "/metrics" | "/status" | "/-/usage" => reads,
            "/-/live" => head.method == Method::GET,
            "/-/login" | "/-/reload" => head.method == Method::POST,
            _ => return refused(StatusCode::NOT_FOUND, "There is nothing at this path.").into(),
        };
        if !takes {
            let why = "This path does not take that method.";
            return refused(StatusCode::METHOD_NOT_ALLOWED, why).into();
        }
        let is_open = matches!(path, "/healthz" | "/readyz" | "/metrics");
        // Beyond this machine a name may well be this place's own, and health
        // and metrics are nobody's secret.
        if is_foreign(&head.headers, &head.uri, is_open && !self.is_local) {
            let why = "Requests of another origin or for another host are refused.";
            return refused(StatusCode::FORBIDDEN, why).into();
        }
        let reply = match path {
            "/healthz" => Reply::json(StatusCode::OK, &json!({"status": "alive"})),
            "/readyz" => self.readiness(),
            "/metrics" => self.metrics().await,
            "/-/login" => self.login(session).await,
            _ if !self.may(&head.headers, reads) => self.unknown(path),
            "/" => Reply::page(StatusCode::OK, &PAGE),
            "/-/live" => return Answer::Live,
            "/status" => Reply::json(StatusCode::OK, &self.status()),
            "/-/usage" => self.usage(head.uri.query()).await,
            _ => self.reload().await,
        };
        reply.into()
    }

    /// Trades the token for a session.
    async fn login(&self, session: &mut Session<'_>) -> Reply {
        let Some(token) = self.house.load().config.admin_token.clone() else {
            return refused(StatusCode::NOT_FOUND, "There is no admin_token.");
        };
        match self.sessions.login(session, &token).await {
            Login::Right(cookie) => Reply::empty().with(header::SET_COOKIE, Some(cookie)),
            Login::Wrong => refused(StatusCode::UNAUTHORIZED, "That is not the admin_token."),
            Login::Busy => {
                let why = "Too many wrong tokens come in at the same time.";
                let soon = HeaderValue::from_static("1");
                refused(StatusCode::TOO_MANY_REQUESTS, why).with(header::RETRY_AFTER, Some(soon))
            }
        }
    }

    /// Who has not said the token: a browser is asked for it.
    fn unknown(&self, path: &str) -> Reply {
        let has_token = self.house.load().config.admin_token.is_some();
        if path == "/" && has_token {
            return Reply::page(StatusCode::UNAUTHORIZED, &LOGIN);
        }
        let why = if has_token {
            "This needs `authorization: Bearer` with the admin_token."
        } else {
            "This needs an `admin_token` in the configuration, and `authorization: Bearer` with it."
        };
        refused(StatusCode::UNAUTHORIZED, why)
    }

    /// Everything that is told at `/-/live`, to one who may look.
    async fn show(&self, session: &mut Session<'_>, headers: Lines) -> Kept {
        let refusal = match self.live.seat() {
            _ if self.proxy.is_draining() => "Draining.",
            None => "Too many look already.",
            Some(_seat) => {
                let token = self.house.load().config.admin_token.clone();
                let may = || self.house.load().config.admin_token == token;
                return self.live.show(session, headers, may).await;
            }
        };
        let refusal = refused(StatusCode::SERVICE_UNAVAILABLE, refusal);
        refusal.send(session, self.ids.request_id()).await
    }

    fn readiness(&self) -> Reply {
        let (status, why) = if self.proxy.is_draining() {
            (StatusCode::SERVICE_UNAVAILABLE, "draining")
        } else if !self.house.load().is_recorded() {
            (StatusCode::SERVICE_UNAVAILABLE, "ledger_unavailable")
        } else {
            (StatusCode::OK, "ready")
        };
        Reply::json(status, &json!({"status": why}))
    }

    async fn metrics(&self) -> Reply {
        let house = self.house.load_full();
        let inside = metrics::Inside {
            connections: self.proxy.connections(),
            requests: self.proxy.in_flight(),
        };
        let now = house.board.moment(Instant::now().into_std());
        // A thousand models take milliseconds to write: no request waits for
        // that.
        let told = tokio::task::spawn_blocking(move || {
            let live = (&house.config, &house.board);
            let ledger = house.ledger.as_ref().map(|ledger| ledger.state());
            metrics::scrape(&house.counts, live, inside, ledger.as_ref(), now)
        });
        match told.await {
            Ok(body) => Reply::text("text/plain; version=0.0.4", body),
            Err(_) => refused(StatusCode::SERVICE_UNAVAILABLE, "Shutting down."),
        }
    }

    /// The ledger's rows after a number, oldest first, one JSON object a line:
    /// for collectors, which ask again after the last one's `seq`.
    async fn usage(&self, query: Option<&str>) -> Reply {
        let Some(asked) = rows::Asked::read(query) else {
            return refused(StatusCode::BAD_REQUEST, rows::USAGE);
        };
        let Some(ledger) = self.house.load().ledger.clone() else {
            let why = "There is no ledger: the configuration has no `ledger`.";
            return refused(StatusCode::NOT_FOUND, why);
        };
        // Files are read where nobody waits for the thread.
        let read = tokio::task::spawn_blocking(move || asked.rows(ledger.path()));
        match read.await {
            Ok(Ok(rows)) => Reply::text("application/x-ndjson", rows),
            Ok(Err(why)) => refused(StatusCode::SERVICE_UNAVAILABLE, &why),
            Err(_) => refused(StatusCode::SERVICE_UNAVAILABLE, "Shutting down."),
        }
    }

    fn status(&self) -> Value {
        let house = self.house.load();
        #[expect(clippy::disallowed_methods, reason = "people read the wall clock")]
        let wall = SystemTime::now();
        let now = house.board.moment(Instant::now().into_std());
        status::status(&house, Clocks { now, wall })
    }

    /// Beyond this machine the token is needed, and where there is one it is
    /// needed everywhere. A session may only do more than look where its own
    /// page asks.
    fn may(&self, headers: &HeaderMap, reads: bool) -> bool {
        let house = self.house.load();
        match &house.config.admin_token {
            None => self.is_local,
            Some(token) => {
                is_bearer(headers, token)
                    || (self.sessions.holds(headers, token) && (reads || is_own(headers)))
            }
        }
    }

    async fn reload(&self) -> Reply {
        let (tell, told) = oneshot::channel();
        let sent = self.reload.send(tell).await;
        let result = match sent {
            Ok(()) => told.await.ok(),
            Err(_) => None,
        };
        match result {
            Some(Ok(())) => Reply::json(StatusCode::OK, &json!({"result": "accepted"})),
            Some(Err(problems)) => refused(StatusCode::UNPROCESSABLE_ENTITY, &problems),
            None => refused(StatusCode::SERVICE_UNAVAILABLE, "Shutting down."),
        }
    }
}

impl Door for Admin {
    async fn serve(&self, session: &mut Session<'_>) -> Kept {
        match self.answer(session).await {
            Answer::Reply(reply) => reply.send(session, self.ids.request_id()).await,
            Answer::Live => {
                let headers = reply::stream(self.ids.request_id());
                self.show(session, headers).await
            }
        }
    }

    fn header_timeout(&self) -> Duration {
        HEADER_TIMEOUT
    }

    fn seat(&self) -> Seat<'_> {
        self.crowd.seat(CONNECTIONS)
    }

    fn new_id(&self) -> HeaderValue {
        self.ids.request_id()
    }

    fn drain(&self) -> &Arc<Drain> {
        &self.never
    }
}

const SCHEME: &[u8] = b"Bearer ";

/// Compares all of it whatever the first difference, so that its time says
/// nothing.
fn is_bearer(headers: &HeaderMap, token: &Secret) -> bool {
    let given = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.as_bytes().split_at_checked(SCHEME.len()))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case(SCHEME))
        .map(|(_, given)| given);
    let (Some(given), token) = (given, token.reveal().as_bytes()) else {
        return false;
    };
    given.ct_eq(token).into()
}

const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Whether a browser proves that this port's own page asks. An origin that is
/// not its own is refused before (w3.org/TR/fetch-metadata).
fn is_own(headers: &HeaderMap) -> bool {
    match headers.get(SITE) {
        Some(site) => site == "same-origin",
        None => headers.contains_key(header::ORIGIN),
    }
}

/// Whether a browser was sent here by another page, or by a name that
/// somebody has pointed at this address. Without `any_name` only an address
/// is surely this place; a request without a host is of no browser.
fn is_foreign(headers: &HeaderMap, uri: &Uri, any_name: bool) -> bool {
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok())
        .or_else(|| uri.authority().map(http::uri::Authority::as_str));
    let origin = headers.get(header::ORIGIN).map(HeaderValue::as_bytes);
    let Some(host) = host else {
        return origin.is_some();
    };
    let is_own = origin.is_none_or(|origin| {
        origin.strip_prefix(b"http://") == Some(host.as_bytes())
            || origin.strip_prefix(b"https://") == Some(host.as_bytes())
    });
    !is_own || !(any_name || is_address(host))
}

/// An IP address or `localhost`, with or without a port: what nobody else's
/// DNS can say.
fn is_address(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn foreign(host: &'static str, origin: Option<&'static str>) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static(host));
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, HeaderValue::from_static(origin));
        }
        is_foreign(&headers, &Uri::from_static("/-/reload"), false)
    }

    #[test]
    fn only_this_place_is_not_foreign() {
        assert!(!foreign("127.0.0.1:9090", None));
        assert!(!foreign("localhost:9090", None));
        assert!(!foreign("[::1]:9090", None));
        assert!(!foreign("10.1.2.3:9090", Some("http://10.1.2.3:9090")));
        assert!(foreign("evil.example:9090", None));
        assert!(foreign("127.0.0.1:9090", Some("http://evil.example")));
        assert!(foreign("127.0.0.1:9090", Some("null")));
    }

    #[test]
    fn the_token_is_compared_whole() {
        let with = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, HeaderValue::from_static(value));
            is_bearer(&headers, &Secret::from("t0ken"))
        };
        assert!(with("Bearer t0ken"));
        assert!(with("bearer t0ken"));
        assert!(!with("Bear"));
        assert!(!with("Bearer t0ke"));
        assert!(!with("Bearer t0ken2"));
        assert!(!with("t0ken"));
        assert!(!is_bearer(&HeaderMap::new(), &Secret::from("t")));
    }
}
