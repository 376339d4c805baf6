//! The proxy port: which path is asked, and the journey behind it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Method, StatusCode};
use tokio::time::Instant;
use tokio_rustls::rustls::ServerConfig;

use super::client::{Guest, answer_json, refuse};
use super::connection::{Door, Kept};
use super::crowd::Seat;
use super::drain::Drain;
use super::http1::Bounds;
use super::ids::Ids;
use super::session::Session;
use super::{intake, models, passthrough};
use crate::access::{Entered, Holder};
use crate::base::{Endpoint, Place};
use crate::config::Passthrough;
use crate::house::{Current, House};
use crate::journey::{self, Ask, Means};
use crate::logs::{self, Brief, Passed};
use crate::metrics::Ended;
use crate::refusal::{Refusal, Scarce};
use crate::walks::Walk;
use crate::wire::{TraceParent, headers};

/// A request that has been with Standin more often than this goes round in a
/// loop, and each time it may be sent on to several candidates.
const MOST_TIMES: usize = 3;

/// The proxy port.
pub struct Gate {
    house: Current,
    drain: Arc<Drain>,
    ids: Arc<Ids>,
    /// The address as it is configured, and which of those that are the same.
    at: (SocketAddr, usize),
}

/// What is known of a request before it is read.
#[derive(Clone, Copy)]
struct At<'a> {
    house: &'a House,
    endpoint: Option<Endpoint>,
    /// The path, where it is one that is known.
    path: Option<&'a str>,
    /// It goes to one provider as it is.
    is_passed: bool,
    key: Option<&'a Arc<Holder>>,
}

impl At<'_> {
    /// Counts how it ended.
    fn count(self, ended: Ended) {
        if self.is_passed {
            self.house.counts.passed(ended);
        } else {
            self.house.counts.ended(self.endpoint, ended);
        }
    }

    /// Tells of a request that was never on its way.
    fn log(self, session: &Session<'_>, id: &HeaderValue, ended: Ended, refusal: Option<&Refusal>) {
        logs::brief(&Brief {
            endpoint: self.path,
            key: self.key.map(|holder| &**holder.name()),
            trace: TraceParent::read(&session.head().headers),
            ..Brief::new(id, ended, refusal)
        });
    }
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

    /// Without what is the client's own in it.
    fn path(&self) -> &'static str {
        match self {
            Self::Model(_) | Self::Models => "/v1/models",
            Self::Operation(endpoint) => endpoint.route(),
        }
    }
}

impl Gate {
    /// Requests take the house that is current when they come. `at` is the
    /// address as it is configured, and which of those that are the same.
    pub fn new(house: Current, drain: Arc<Drain>, ids: Arc<Ids>, at: (SocketAddr, usize)) -> Self {
        Self {
            house,
            drain,
            ids,
            at,
        }
    }

    /// Takes a request's places: among its key's, and among all.
    fn places<'a>(&'a self, at: At<'a>) -> Result<[Option<Place<'a>>; 2], Refusal> {
        let own = at.key.map(|holder| holder.place()).transpose()?;
        let most = at.house.config.limits.concurrent_requests;
        let all = self.drain.room().requests.take(1, most);
        let all = all.ok_or(Refusal::Overloaded(Scarce::Requests))?;
        Ok([own.flatten(), Some(all)])
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

    /// Says no, counts it and tells of it: a refusal is how a request ends, too.
    async fn refuse(
        &self,
        session: &mut Session<'_>,
        refusal: &Refusal,
        id: HeaderValue,
        at: At<'_>,
    ) -> Kept {
        at.count(Ended::Refused);
        if let Refusal::Overloaded(what) = refusal {
            at.house.counts.overloaded(*what);
        }
        at.log(session, &id, Ended::Refused, Some(refusal));
        refuse(session, refusal, id).await
    }

    fn id(&self, session: &Session<'_>) -> HeaderValue {
        let headers = &session.head().headers;
        headers::request_id(headers)
            .and_then(|_| headers.get(&journey::REQUEST_ID))
            .cloned()
            .unwrap_or_else(|| self.ids.request_id())
    }

    /// Hands a request on to one provider, as it is.
    async fn pass(
        &self,
        session: &mut Session<'_>,
        to: (&Passthrough, &str),
        id: HeaderValue,
        at: At<'_>,
    ) -> Kept {
        let _places = match self.places(at) {
            Ok(places) => places,
            Err(refusal) => return self.refuse(session, &refusal, id, at).await,
        };
        let began = Instant::now();
        let trace = TraceParent::read(&session.head().headers);
        let way = passthrough::Way {
            house: at.house,
            entry: to.0,
            below: to.1,
            key: at.key,
            id: &id,
            drain: &self.drain,
        };
        // On the heap, as journeys are.
        let told = match Box::pin(passthrough::run(session, &way)).await {
            Ok(told) => told,
            Err(refusal) => return self.refuse(session, &refusal, id, at).await,
        };
        at.count(told.ended);
        logs::brief(&Brief {
            endpoint: at.path,
            key: at.key.map(|holder| &**holder.name()),
            trace,
            status: told.status.map(|status| status.as_u16()),
            passed: Some(Passed {
                provider: to.0.provider.name.as_str(),
                took: began.elapsed(),
                received: told.received,
                sent: told.sent,
            }),
            ..Brief::new(&id, told.ended, None)
        });
        told.kept
    }

    async fn operation(
        &self,
        session: &mut Session<'_>,
        endpoint: Endpoint,
        id: HeaderValue,
        at: At<'_>,
    ) -> Kept {
        let house = at.house;
        let _places = match self.places(at) {
            Ok(places) => places,
            Err(refusal) => return self.refuse(session, &refusal, id, at).await,
        };
        let mut held = self.drain.room().bodies.place();
        let body = intake::body(session, &house.config.limits, &mut held);
        let body = self.drain.unless_cut_off(body).await;
        let body = match body.unwrap_or(Err(Refusal::Draining.into())) {
            Ok(body) => body,
            Err(intake::NoBody::Gone) => {
                at.count(Ended::ClientGone);
                at.log(session, &id, Ended::ClientGone, None);
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
        let from = &session.head().headers;
        let mut ask = match Ask::read(endpoint, id.clone(), from, body, &house.config) {
            Ok(ask) => ask,
            Err(refusal) => return self.refuse(session, &refusal, id, at).await,
        };
        if let Err(refusal) = ask.drill(from, &house.config, at.key.map(|key| &**key)) {
            return self.refuse(session, &refusal, id, at).await;
        }
        let entered = match self.enter(&ask, at.key, house) {
            Ok(entered) => entered,
            Err(refusal) => return self.refuse(session, &refusal, id, at).await,
        };
        if let Some(spans) = &house.spans {
            spans.begin(&mut ask, || self.ids.dice());
        }
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
        // On the heap, and nowhere else: what a journey holds across its awaits
        // is the largest part of a connection's task, and most connections are
        // idle.
        let journey = Box::pin(journey::run(&ask, &means, entered, guest));
        let (ended, worked) = journey::worked(journey).await;
        let refusal = match ended {
            Ok(mut receipt) => {
                receipt.worked = read + worked;
                receipt.count(&house.counts);
                logs::request(&ask, &receipt);
                if let Some(spans) = &house.spans {
                    spans.end(&ask, receipt.clone());
                }
                let walk = Walk {
                    at: house
                        .board
                        .moment((receipt.started + receipt.took).into_std()),
                    id: ask.id,
                    receipt,
                };
                house.walks.remember(walk);
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
    async fn serve(&self, session: &mut Session<'_>) -> Kept {
        let house = self.house.load_full();
        let id = self.id(session);
        // Shares its bytes.
        let uri = session.head().uri.clone();
        let route = Route::of(uri.path());
        let passed = match &route {
            Some(_) => None,
            None => house.config.passed(uri.path()),
        };
        let pattern = passed.map(|(entry, _)| entry.pattern.as_str());
        let mut at = At {
            house: &house,
            endpoint: route.as_ref().and_then(Route::endpoint),
            path: route.as_ref().map(Route::path).or(pattern),
            is_passed: passed.is_some(),
            key: None,
        };
        if self.drain.refuses() {
            return self.refuse(session, &Refusal::Draining, id, at).await;
        }
        let head = session.head();
        let is = |method: &Method| head.method == *method;
        let reads = is(&Method::GET) || is(&Method::HEAD);
        let asks = match house.access.who(&head.headers) {
            Ok(asks) => asks,
            Err(refusal) => return self.refuse(session, &refusal, id, at).await,
        };
        at.key = asks;
        let times = headers::times_here(&head.headers);
        if times > MOST_TIMES {
            return self.refuse(session, &Refusal::Loop(times), id, at).await;
        }
        if let Some(to) = passed {
            return self.pass(session, to, id, at).await;
        }
        match route {
            None => self.refuse(session, &Refusal::UnknownPath, id, at).await,
            Some(Route::Operation(endpoint)) if is(&Method::POST) => {
                self.operation(session, endpoint, id, at).await
            }
            Some(Route::Models) if reads => {
                let list = models::list(&house.config, asks);
                at.log(session, &id, Ended::Answered, None);
                answer_json(session, StatusCode::OK, id, &list).await
            }
            Some(Route::Model(name)) if reads => match models::one(&house.config, name, asks) {
                Some(model) => {
                    at.log(session, &id, Ended::Answered, None);
                    answer_json(session, StatusCode::OK, id, &model).await
                }
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

    fn tls(&self) -> Option<Arc<ServerConfig>> {
        let (at, nth) = self.at;
        self.house.load().certified.at(at, nth)
    }

    fn asks_who_comes(&self) -> bool {
        let (at, nth) = self.at;
        self.house.load().certified.asks_who_comes(at, nth)
    }

    fn handshake_failed(&self) {
        self.house.load().counts.handshake_failed();
    }

    fn header_timeout(&self) -> Duration {
        self.house.load().config.limits.header_timeout
    }

    fn bounds(&self) -> Bounds {
        let limits = &self.house.load().config.limits;
        Bounds {
            head: limits.header_bytes,
            write: limits.write_timeout,
        }
    }

    fn seat(&self) -> Seat<'_> {
        let house = self.house.load();
        let room = self.drain.room();
        let most = house.config.limits.connections.min(room.fitting);
        let seat = room.crowd.seat(most);
        match seat {
            Seat::Taken(_) => {}
            Seat::Full(_) | Seat::Crammed => house.counts.overloaded(Scarce::Connections),
        }
        seat
    }

    fn new_id(&self) -> HeaderValue {
        self.ids.request_id()
    }

    fn drain(&self) -> &Arc<Drain> {
        &self.drain
    }
}
