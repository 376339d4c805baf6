//! The proxy port: which path is asked, and the journey behind it.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Method, StatusCode};
use pingora_core::protocols::http::ServerSession;
use tokio::time::Instant;

use super::client::{Guest, answer_json, refuse};
use super::connection::{Door, Kept};
use super::drain::Drain;
use super::ids::Ids;
use super::{intake, models};
use crate::access::{Entered, Holder};
use crate::base::Endpoint;
use crate::house::{Current, House};
use crate::journey::{self, Ask, Entry, Means, Receipt};
use crate::metrics::Ended;
use crate::refusal::Refusal;
use crate::wire::headers;

/// The proxy port.
pub struct Gate {
    house: Current,
    drain: Arc<Drain>,
    ids: Arc<Ids>,
}

/// What a path asks for.
enum Route<'a> {
    Model(&'a str),
    Models,
    Operation(Endpoint),
}

impl<'a> Route<'a> {
    fn of(path: &'a str) -> Option<Self> {
        let path = path.strip_prefix("/v1")?;
        if path == "/models" {
            return Some(Self::Models);
        }
        if let Some(id) = path.strip_prefix("/models/") {
            return Some(Self::Model(id));
        }
        let endpoint = Endpoint::ALL.into_iter().find(|e| e.path() == path)?;
        Some(Self::Operation(endpoint))
    }

    fn endpoint(&self) -> Option<Endpoint> {
        match self {
            Self::Operation(endpoint) => Some(*endpoint),
            Self::Model(_) | Self::Models => None,
        }
    }
}

impl Gate {
    /// Requests take the house that is current when they come.
    pub fn new(house: Current, drain: Arc<Drain>, ids: Arc<Ids>) -> Self {
        Self { house, drain, ids }
    }

    /// Lets a request in under its key's limits.
    fn enter(
        &self,
        ask: &Ask,
        asks: Option<&Arc<Holder>>,
        house: &House,
    ) -> Result<Option<Entered>, Refusal> {
        let Some(holder) = asks else {
            return Ok(None);
        };
        let guess = ask.tokens() + ask.answer_tokens();
        let now = house.board.moment(Instant::now().into_std());
        holder.enter(guess, now).map(Some)
    }

    /// Says no, and counts it: a refusal is how a request ends, too.
    async fn refuse(
        &self,
        session: &mut ServerSession,
        refusal: &Refusal,
        id: HeaderValue,
        (house, endpoint): (&House, Option<Endpoint>),
    ) -> Kept {
        house.counts.ended(endpoint, Ended::Refused);
        refuse(session, refusal, id).await
    }

    fn id(&self, session: &ServerSession) -> HeaderValue {
        headers::request_id(&session.req_header().headers)
            .and_then(|id| HeaderValue::from_str(id).ok())
            .unwrap_or_else(|| self.ids.request_id())
    }

    async fn operation(
        &self,
        session: &mut ServerSession,
        endpoint: Endpoint,
        id: HeaderValue,
        house: &House,
        asks: Option<&Arc<Holder>>,
    ) -> Kept {
        let at = (house, Some(endpoint));
        let body = match intake::body(session, &house.config.limits).await {
            Ok(body) => body,
            Err(intake::NoBody::Gone) => {
                house.counts.ended(at.1, Ended::ClientGone);
                return Kept::Close;
            }
            Err(intake::NoBody::Refused(refusal)) => {
                return self.refuse(session, &refusal, id, at).await;
            }
        };
        if !house.is_recorded() {
            return self.refuse(session, &Refusal::Unrecorded, id, at).await;
        }
        let began = Instant::now();
        let from = &session.req_header().headers;
        let ask = match Ask::read(endpoint, id.clone(), from, body, &house.config) {
            Ok(ask) => ask,
            Err(refusal) => return self.refuse(session, &refusal, id, at).await,
        };
        let entered = match self.enter(&ask, asks, house) {
            Ok(entered) => entered,
            Err(refusal) => return self.refuse(session, &refusal, id, at).await,
        };
        let read = began.elapsed();
        let mut kept = Kept::Close;
        let guest = Guest::new(session, &mut kept).until(&self.drain);
        let means = Means {
            config: &house.config,
            board: &house.board,
            out: &house.ways,
            ledger: house.ledger.as_deref(),
            dice: self.ids.dice(),
        };
        let journey = journey::run(&ask, &means, entered, guest);
        // On the heap: what a journey holds across its awaits is the largest
        // part of a connection's task, and most connections are idle.
        let (ended, worked) = journey::worked(Box::pin(journey)).await;
        let refusal = match ended {
            Ok(mut receipt) => {
                receipt.worked = read + worked;
                receipt.count(&house.counts);
                log_line(&ask, &receipt);
                None
            }
            Err((_, refusal)) => Some(refusal),
        };
        match refusal {
            None => kept,
            Some(refusal) => self.refuse(session, &refusal, id, at).await,
        }
    }
}

impl Door for Gate {
    async fn serve(&self, session: &mut ServerSession) -> Kept {
        let house = self.house.load_full();
        let id = self.id(session);
        let path = session.req_header().uri.path().to_owned();
        let route = Route::of(&path);
        let at = (&*house, route.as_ref().and_then(Route::endpoint));
        if self.drain.is_draining() {
            return self.refuse(session, &Refusal::Draining, id, at).await;
        }
        let head = session.req_header();
        let is = |method: &Method| head.method == *method;
        let reads = is(&Method::GET) || is(&Method::HEAD);
        let asks = match house.access.who(&head.headers) {
            Ok(asks) => asks,
            Err(refusal) => return self.refuse(session, &refusal, id, at).await,
        };
        match route {
            None => self.refuse(session, &Refusal::UnknownPath, id, at).await,
            Some(Route::Operation(endpoint)) if is(&Method::POST) => {
                self.operation(session, endpoint, id, &house, asks).await
            }
            Some(Route::Models) if reads => {
                let list = models::list(&house.config, asks);
                answer_json(session, StatusCode::OK, id, &list).await
            }
            Some(Route::Model(name)) if reads => match models::one(&house.config, name, asks) {
                Some(model) => answer_json(session, StatusCode::OK, id, &model).await,
                None => {
                    let refusal = Refusal::UnknownModel(name.to_owned());
                    self.refuse(session, &refusal, id, at).await
                }
            },
            Some(Route::Operation(_)) => {
                self.refuse(session, &Refusal::MethodNotAllowed("POST"), id, at)
                    .await
            }
            Some(Route::Model(_) | Route::Models) => {
                self.refuse(session, &Refusal::MethodNotAllowed("GET, HEAD"), id, at)
                    .await
            }
        }
    }

    fn header_timeout(&self) -> Duration {
        self.house.load().config.limits.header_timeout
    }

    fn new_id(&self) -> HeaderValue {
        self.ids.request_id()
    }

    fn drain(&self) -> &Arc<Drain> {
        &self.drain
    }
}

/// One line for each request: names, categories, numbers; never a prompt, an
/// answer or a provider's words.
fn log_line(ask: &Ask, receipt: &Receipt) {
    if !log::log_enabled!(log::Level::Info) {
        return;
    }
    let walk = receipt.trail.header();
    let walk = walk.to_str().unwrap_or_default();
    let last = receipt
        .trail
        .entries()
        .iter()
        .rev()
        .find_map(|entry| match entry {
            Entry::Tried(tried) => Some(tried.pass.target.provider.name.as_str()),
            Entry::Skipped(..) => None,
        });
    let cost = receipt.charged.and_then(|charged| charged.cost);
    log::info!(
        "request {} {}: {} [{walk}] status={} provider={} tokens={} cost={} first_ms={} ms={} bytes={}",
        ask.id.to_str().unwrap_or_default(),
        ask.endpoint.path(),
        receipt.end.label(),
        receipt.status.map_or(0, |status| status.as_u16()),
        last.unwrap_or_default(),
        receipt.charged.map_or_else(String::new, |charged| {
            let about = if charged.estimated { "~" } else { "" };
            format!("{about}{}/{}", charged.tokens.input, charged.tokens.output)
        }),
        cost.map_or_else(String::new, |cost| cost.to_string()),
        receipt.first.map_or(0, |first| first.as_millis()),
        receipt.took.as_millis(),
        receipt.sent,
    );
}
