//! A request that goes to one provider as it is, and its answer: both piece by
//! piece, without list, failover or live state.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use tokio::time::{Instant, timeout};

use super::client::answer_json;
use super::connection::Kept;
use super::drain::Drain;
use super::intake::{self, NoBody, Pieces};
use super::session::Session;
use crate::access::{Entered, Holder};
use crate::config::Passthrough;
use crate::house::House;
use crate::journey::REQUEST_ID;
use crate::metrics::Ended;
use crate::patience::{Patience, within};
use crate::refusal::{Failed, Refusal};
use crate::seam::{Broken, Exchange, Gone, Head, Out};
use crate::upstream::{Length, Passing, Ways};
use crate::wire::http1::content_length;
use crate::wire::{Lines, headers};

const PROVIDER: HeaderName = HeaderName::from_static("x-standin-provider");
const UPSTREAM_REQUEST_ID: HeaderName = HeaderName::from_static("x-standin-upstream-request-id");

/// A body up to this size is read whole before it is sent, so that it can be
/// sent again where the connection from the pool turns out to be dead. A longer
/// one is worth a connection of its own, and is not kept.
const REPEATABLE: u64 = 64 << 10;

/// Methods that a provider is asked with. `TRACE` would show the client our
/// credential.
const METHODS: [Method; 7] = [
    Method::DELETE,
    Method::GET,
    Method::HEAD,
    Method::OPTIONS,
    Method::PATCH,
    Method::POST,
    Method::PUT,
];

/// The same, to be told.
const TAKES: &str = "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT";

/// Where a request goes, and whose it is.
pub(super) struct Way<'a> {
    pub(super) house: &'a House,
    pub(super) entry: &'a Passthrough,
    /// Its path below the provider's base URL.
    pub(super) below: &'a str,
    pub(super) key: Option<&'a Arc<Holder>>,
    pub(super) id: &'a HeaderValue,
    pub(super) drain: &'a Drain,
}

/// What became of it.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) ended: Ended,
    /// The client was given.
    pub(super) status: Option<StatusCode>,
    /// Bytes of its body.
    pub(super) received: u64,
    /// Bytes of the answer's body.
    pub(super) sent: u64,
    /// Whether its connection serves another request.
    pub(super) kept: Kept,
}

impl Told {
    fn new(ended: Ended, status: Option<StatusCode>) -> Self {
        Self {
            ended,
            status,
            received: 0,
            sent: 0,
            kept: Kept::Close,
        }
    }
}

type Call = <Ways as Out>::Exchange;

/// Why a provider gives no answer.
enum Unanswered {
    Broken(Broken),
    /// The process ends.
    CutOff,
    /// The client left.
    Gone,
    Late,
    Refused(Refusal),
}

impl From<Broken> for Unanswered {
    fn from(broken: Broken) -> Self {
        Self::Broken(broken)
    }
}

impl From<NoBody> for Unanswered {
    fn from(none: NoBody) -> Self {
        match none {
            NoBody::Gone => Self::Gone,
            NoBody::Refused(refusal) => Self::Refused(refusal),
        }
    }
}

/// Hands a request on, and the answer back.
///
/// # Errors
/// It is refused: nothing has been answered yet.
pub(super) async fn run(session: &mut Session<'_>, way: &Way<'_>) -> Result<Told, Refusal> {
    if !METHODS.contains(&session.head().method) {
        return Err(Refusal::MethodNotAllowed(TAKES));
    }
    // Until the end, though nothing is reserved that could be measured.
    let _entered = enter(way)?;
    let limits = &way.house.config.limits;
    let mut pieces = Pieces::new(limits);
    let answered = async {
        intake::expect(session, limits).await?;
        answered(session, way, &mut pieces).await
    };
    let answered = way.drain.unless_cut_off(answered).await;
    let told = match answered.unwrap_or(Err(Unanswered::CutOff)) {
        Ok((head, _)) if is_ours(head.status) => fail(session, way, Failed::Auth).await,
        Ok((head, call)) => relay(session, way, head, call).await,
        Err(Unanswered::Broken(_)) => fail(session, way, Failed::Unavailable).await,
        Err(Unanswered::CutOff) => fail(session, way, Failed::Draining).await,
        Err(Unanswered::Late) => fail(session, way, Failed::Timeout).await,
        Err(Unanswered::Gone) => Told::new(Ended::ClientGone, None),
        Err(Unanswered::Refused(refusal)) => return Err(refusal),
    };
    Ok(Told {
        received: pieces.size(),
        ..told
    })
}

/// Lets it in under its key's limits. What it asks for is not known, so only a
/// key that may use all of the provider, and needs no price, may send it.
fn enter(way: &Way<'_>) -> Result<Option<Entered>, Refusal> {
    let Some(key) = way.key else {
        return Ok(None);
    };
    if !key.may(&way.entry.scope) {
        let why =
            "This key may not use this path: its `models` do not admit all of the provider's.";
        return Err(Refusal::NoPassthrough(why));
    }
    if key.has_budget() {
        let why = "This key has a budget, and what this path costs is not known.";
        return Err(Refusal::NoPassthrough(why));
    }
    let now = way.house.board.moment(Instant::now().into_std());
    key.enter(0, now).map(Some)
}

/// Whether a status is about our credential, not the client's.
fn is_ours(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::UNAUTHORIZED | StatusCode::PAYMENT_REQUIRED
    )
}

/// Sends the request, to the head of its answer.
async fn answered(
    session: &mut Session<'_>,
    way: &Way<'_>,
    pieces: &mut Pieces<'_>,
) -> Result<(Head, Call), Unanswered> {
    let claims = session.claims();
    let headers = headers_up(&session.head().headers, way.id);
    let passing = Passing {
        method: session.head().method.clone(),
        path: path(way, session.head().uri.query())?,
        headers: &headers,
        length: match claims {
            Some(length) => length_of(&session.head().method, length),
            None => Length::Unknown,
        },
    };
    if claims.is_none_or(|length| length > REPEATABLE) {
        let mut call = open(way, true).await?;
        call.begin(&passing).await?;
        loop {
            let Some(piece) = pieces.next(session).await? else {
                call.finish().await?;
                break;
            };
            if !call.push(piece).await? {
                break;
            }
        }
        return head(session, way, call).await;
    }
    let mut body = Vec::new();
    while let Some(piece) = pieces.next(session).await? {
        body.push(piece);
    }
    match send(session, way, &passing, &body, false).await {
        Err(Unanswered::Broken(Broken::Stale)) => send(session, way, &passing, &body, true).await,
        answered => answered,
    }
}

/// Without a body only those tell its length that usually have one.
fn length_of(method: &Method, length: u64) -> Length {
    let tells = [Method::PATCH, Method::POST, Method::PUT].contains(method);
    if length == 0 && !tells {
        Length::Nothing
    } else {
        Length::Bytes(length)
    }
}

async fn open(way: &Way<'_>, fresh: bool) -> Result<Call, Broken> {
    let provider = &way.entry.provider;
    let open = way.house.ways.pass(provider, fresh);
    let opened = within(provider.timeouts.connect, open).await;
    opened.unwrap_or(Err(Broken::Connect))
}

/// Sends a body that has come.
async fn send(
    session: &mut Session<'_>,
    way: &Way<'_>,
    passing: &Passing<'_>,
    body: &[Bytes],
    fresh: bool,
) -> Result<(Head, Call), Unanswered> {
    let mut call = open(way, fresh).await?;
    call.begin(passing).await?;
    let mut wants = true;
    for piece in body {
        wants = wants && call.push(piece.clone()).await?;
    }
    if wants && !body.is_empty() {
        call.finish().await?;
    }
    head(session, way, call).await
}

async fn head(
    session: &mut Session<'_>,
    way: &Way<'_>,
    mut call: Call,
) -> Result<(Head, Call), Unanswered> {
    let head = tokio::select! {
        biased;
        head = timeout(way.entry.provider.timeouts.answer, call.head()) => head,
        () = session.gone() => return Err(Unanswered::Gone),
    };
    let head = head.map_err(|_| Unanswered::Late)??;
    Ok((head, call))
}

/// The whole path at the provider, and the client's query.
fn path(way: &Way<'_>, query: Option<&str>) -> Result<PathAndQuery, Refusal> {
    let mut path = [&way.entry.provider.base_url.path, way.below].concat();
    if let Some(query) = query {
        path.push('?');
        path.push_str(query);
    }
    PathAndQuery::try_from(path).map_err(|_| Refusal::BadRequest)
}

impl From<Refusal> for Unanswered {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// The client's headers that cross.
fn headers_up(from: &HeaderMap, id: &HeaderValue) -> Lines {
    let mut to = headers::up(from);
    // The body goes as it is.
    for coding in from.get_all(header::CONTENT_ENCODING) {
        to.push(header::CONTENT_ENCODING, coding.clone());
    }
    to.push(REQUEST_ID, id.clone());
    let identity = HeaderValue::from_static("identity");
    to.push(header::ACCEPT_ENCODING, identity);
    to.push(header::VIA, headers::VIA);
    to
}

/// The provider's headers as the client gets them.
fn headers_down(from: &HeaderMap, way: &Way<'_>) -> Lines {
    let mut to = headers::down(from);
    if let Some(id) = from.get(REQUEST_ID) {
        to.push(UPSTREAM_REQUEST_ID, id.clone());
    }
    to.push(REQUEST_ID, way.id.clone());
    if let Ok(provider) = HeaderValue::from_str(way.entry.provider.name.as_str()) {
        to.push(PROVIDER, provider);
    }
    to
}

/// Says that there is no answer.
async fn fail(session: &mut Session<'_>, way: &Way<'_>, failed: Failed) -> Told {
    let status = failed.status();
    if way.drain.is_draining() {
        session.close_after();
    }
    let kept = answer_json(session, status, way.id.clone(), &failed.error()).await;
    Told {
        kept,
        ..Told::new(Ended::Failed, Some(status))
    }
}

/// Gives the answer to the client, to its end.
async fn relay(session: &mut Session<'_>, way: &Way<'_>, head: Head, mut call: Call) -> Told {
    let mut told = Told::new(Ended::ClientGone, Some(head.status));
    let length = content_length(head.headers.get_all(header::CONTENT_LENGTH));
    let length = length.ok().flatten();
    let down = Head {
        status: head.status,
        headers: headers_down(&head.headers, way),
    };
    if way.drain.is_draining() || session.is_body_in_the_way() {
        session.close_after();
    }
    let length = length.and_then(|length| usize::try_from(length).ok());
    if session.begin_of(down, length).await.is_err() {
        return told;
    }
    told.ended = body(session, way, &mut call, &mut told.sent).await;
    match told.ended {
        Ended::Answered => {
            call.release().await;
            told.kept = if session.is_body_in_the_way() {
                Kept::Linger
            } else {
                Kept::Keep
            };
        }
        Ended::Cut => {
            let broken = way.drain.unless_cut_off(session.break_off());
            // The connection's end says it too.
            let _ = broken.await;
        }
        Ended::ClientGone | Ended::Drilled | Ended::Failed | Ended::Refused => {}
    }
    told
}

/// Each piece goes on when it comes, and the next one is read when it is gone.
async fn body(session: &mut Session<'_>, way: &Way<'_>, call: &mut Call, sent: &mut u64) -> Ended {
    let idle: Duration = way.entry.provider.timeouts.idle;
    let mut patience = Patience::default();
    while !way.drain.is_cut_off() {
        let read = async {
            tokio::select! {
                biased;
                read = patience.within(idle, call.read()) => Ok(read),
                () = session.gone() => Err(Gone::Left),
            }
        };
        let read = match way.drain.unless_cut_off(read).await {
            None => return Ended::Cut,
            Some(Err(_)) => return Ended::ClientGone,
            Some(Ok(read)) => read,
        };
        let (wrote, is_over) = match read {
            Some(Ok(Some(piece))) => {
                *sent += piece.len() as u64;
                (way.drain.unless_cut_off(session.write(piece)).await, false)
            }
            Some(Ok(None)) => (way.drain.unless_cut_off(session.end()).await, true),
            Some(Err(_)) | None => return Ended::Cut,
        };
        match wrote {
            None => return Ended::Cut,
            Some(Err(_)) => return Ended::ClientGone,
            Some(Ok(())) if is_over => return Ended::Answered,
            Some(Ok(())) => {}
        }
    }
    Ended::Cut
}
