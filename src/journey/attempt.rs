//! One request to one target: to its failure, or to where it may commit.

use std::future::Future;
use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, timeout, timeout_at};

use super::ask::Ask;
use super::failure::{Failure, wait};
use super::meter::Meter;
use super::plan::Pass;
use super::stream::{EventStream, Held, Tap};
use crate::config::Timeouts;
use crate::dialect::{ErrorSays, Plain, verdict};
use crate::outcome::{Blame, Outcome, Says};
use crate::patience::within;
use crate::seam::{Broken, Exchange, Head, Out, Outgoing};
use crate::wire::headers::{self, Media};
use crate::wire::rewrite::Rewriter;
use crate::wire::{Splice, json, splice};

/// A plain 200 is held up to this size, so that what is wrong with it falls
/// over; past it, it is committed and streams.
const MAX_HELD_PLAIN: usize = 1 << 20;

/// A server may break the connection for the size of a request above this.
const LARGE_REQUEST: usize = 1 << 20;

/// An error's body is read up to this size and this long: what it says stands
/// at its beginning, and the next candidate waits.
const MAX_ERROR: usize = 64 << 10;
const MAX_ERROR_TIME: Duration = Duration::from_millis(500);

/// An attempt that may commit.
#[derive(Debug)]
pub(super) enum Answer<X> {
    /// Too long to be held: what came so far, and how it goes on.
    Long(Head, Vec<Bytes>, Rewriter, X),
    /// A whole plain answer.
    Plain(Head, Vec<Bytes>, Meter),
    /// A stream in which something has been said.
    Stream(Head, Box<EventStream<X>>),
}

impl<X> Answer<X> {
    /// The upstream's status and headers.
    pub(super) fn head(&self) -> &Head {
        match self {
            Self::Long(head, ..) | Self::Plain(head, ..) | Self::Stream(head, _) => head,
        }
    }
}

/// Sends the request to one target and reads as much of the answer as it
/// takes to know whether it is one.
///
/// # Errors
/// Anything but an answer.
pub(super) async fn run<O: Out>(
    ask: &Ask,
    pass: &Pass,
    out: &O,
) -> Result<Answer<O::Exchange>, Failure> {
    let target = &*pass.target;
    let adds_usage = ask.adds_usage() && target.provider.stream_usage;
    let body = splice(
        &ask.body,
        &ask.peek,
        &Splice {
            model: &target.upstream_model,
            edits: &target.edits,
            ask_usage: adds_usage,
        },
    );
    let request = Outgoing {
        endpoint: ask.endpoint,
        headers: &ask.headers,
        trace: ask.span.as_ref().map(|span| span.header(pass.turn)),
        body,
    };
    let times = Times {
        timeouts: target.timeouts,
        stream: ask.stream,
        is_last: pass.is_last(),
    };
    let mut came = answered(out, pass, &request, &times, false).await;
    if matches!(came, Err(Unanswered::Broken(Broken::Stale))) {
        came = answered(out, pass, &request, &times, true).await;
    }
    let (head, exchange, deadline) = came?;
    if !head.status.is_success() {
        return Err(error(head, exchange, ask.brings_rights).await);
    }
    if headers::is_coded(&head.headers) {
        // It was asked not to, and nothing in it can be read.
        return Err(Failure::with_head(Outcome::BadAnswer(Says::Broken), head));
    }
    let mut model = Vec::new();
    json::write_string(&mut model, pass.candidate.as_str());
    let model = Bytes::from(model);
    match (headers::media(&head.headers), ask.stream) {
        (Media::EventStream | Media::None | Media::Other, true) => {
            let tap = Tap::new(ask.endpoint, model, adds_usage, ask.brings_rights);
            // Goes through many hands, each of which keeps room for it.
            let stream = Box::new(EventStream::new(exchange, tap));
            held_stream(head, stream, deadline, times.timeouts.idle).await
        }
        (Media::Json, _) | (Media::EventStream | Media::None | Media::Other, false) => {
            held_plain(ask, head, model, exchange, times.timeouts.idle).await
        }
    }
}

/// What bounds the parts of an attempt.
struct Times {
    timeouts: Timeouts,
    stream: bool,
    is_last: bool,
}

impl Times {
    /// Until when the first token, or the head, must have come. The last one
    /// of the plan gets all the time there is: nobody waits behind it.
    fn deadline(&self) -> Option<Instant> {
        let longest = if self.stream {
            self.timeouts.first_token
        } else {
            self.timeouts.answer
        };
        (!self.is_last).then(|| Instant::now() + longest)
    }
}

/// Why no head came.
enum Unanswered {
    Broken(Broken),
    Late,
    /// It broke under a large request: it may not have been taken whole.
    Laden,
}

impl Unanswered {
    /// Broken before there was a head. Whether the request had been taken
    /// whole by then is not known: its end may stand in buffers on the way.
    fn before_head(broken: Broken, request: &Outgoing<'_>, fresh: bool) -> Self {
        let is_retried = broken == Broken::Stale && !fresh;
        if request.body.len() > LARGE_REQUEST && !is_retried {
            Self::Laden
        } else {
            Self::Broken(broken)
        }
    }
}

impl From<Broken> for Unanswered {
    fn from(broken: Broken) -> Self {
        Self::Broken(broken)
    }
}

impl From<Unanswered> for Failure {
    fn from(unanswered: Unanswered) -> Self {
        match unanswered {
            Unanswered::Broken(broken) => broken.into(),
            Unanswered::Late => late(),
            Unanswered::Laden => Self::bare(Outcome::Reset(Blame::Request)),
        }
    }
}

fn late() -> Failure {
    Failure::bare(Outcome::Timeout(Blame::Target))
}

/// Connects, sends and waits for the head; gives also the deadline that
/// started with the request's end.
async fn answered<O: Out>(
    out: &O,
    pass: &Pass,
    request: &Outgoing<'_>,
    times: &Times,
    fresh: bool,
) -> Result<(Head, O::Exchange, Option<Instant>), Unanswered> {
    let open = out.open(&pass.target, fresh);
    let mut exchange = within(times.timeouts.connect, open)
        .await
        .unwrap_or(Err(Broken::Connect))?;
    let broke = |broken| Unanswered::before_head(broken, request, fresh);
    exchange.send(request).await.map_err(broke)?;
    let deadline = times.deadline();
    let head = by(deadline, exchange.head())
        .await
        .ok_or(Unanswered::Late)?
        .map_err(broke)?;
    Ok((head, exchange, deadline))
}

/// Waits for something of the target's until its own deadline; nothing where
/// that has passed.
async fn by<T>(deadline: Option<Instant>, future: impl Future<Output = T>) -> Option<T> {
    match deadline {
        None => Some(future.await),
        Some(deadline) => timeout_at(deadline, future).await.ok(),
    }
}

/// Reads an error's body as far as its bounds go, and what it says.
async fn error<X: Exchange>(head: Head, mut exchange: X, brings_rights: bool) -> Failure {
    let mut body = Vec::new();
    let mut is_whole = false;
    let drained = timeout(MAX_ERROR_TIME, async {
        while body.len() < MAX_ERROR {
            match exchange.read().await {
                Ok(Some(piece)) => body.extend_from_slice(&piece),
                Ok(None) => {
                    is_whole = true;
                    break;
                }
                Err(_) => break,
            }
        }
    });
    // Out of time is as good as out of room: what came says what it can.
    let _ = drained.await;
    if is_whole {
        exchange.release().await;
    }
    // A coded body can be neither read nor added to.
    is_whole &= !headers::is_coded(&head.headers);
    let says = ErrorSays::read(&body);
    let outcome = verdict(head.status.as_u16(), &says, brings_rights);
    Failure {
        wait: wait(outcome, &head, &says),
        outcome,
        head: Some(head),
        body: body.into(),
        is_whole,
        says,
        usage: None,
    }
}

/// Reads a stream until something is said in it.
async fn held_stream<X: Exchange>(
    head: Head,
    mut stream: Box<EventStream<X>>,
    deadline: Option<Instant>,
    idle: Duration,
) -> Result<Answer<X>, Failure> {
    let held = match by(deadline, stream.hold(idle)).await {
        Some(held) => held,
        // What was filtered is known to be, though the end did not come.
        None if stream.is_filtered() => Held::Filtered,
        None => return Err(late()),
    };
    match held {
        Held::Said => Ok(Answer::Stream(head, stream)),
        Held::Failed(outcome, says) => Err(Failure {
            wait: wait(outcome, &head, &says),
            says,
            usage: stream.meter().usage,
            ..Failure::with_head(outcome, head)
        }),
        Held::Filtered => Err(Failure {
            usage: stream.meter().usage,
            body: stream.take(),
            is_whole: true,
            ..Failure::with_head(Outcome::Moderated, head)
        }),
        Held::Broken(broken) => Err(Failure {
            head: Some(head),
            usage: stream.meter().usage,
            ..broken.into()
        }),
    }
}

/// Reads a plain answer to its end, or to where it is too long to be held.
async fn held_plain<X: Exchange>(
    ask: &Ask,
    head: Head,
    model: Bytes,
    mut exchange: X,
    idle: Duration,
) -> Result<Answer<X>, Failure> {
    let mut pieces: Vec<Bytes> = Vec::new();
    let mut size = 0;
    loop {
        match within(idle, exchange.read()).await {
            None => return Err(Failure::with_head(Outcome::Timeout(Blame::Target), head)),
            Some(Err(broken)) => {
                return Err(Failure {
                    head: Some(head),
                    ..broken.into()
                });
            }
            Some(Ok(Some(piece))) => {
                size += piece.len();
                pieces.push(piece);
            }
            Some(Ok(None)) => break,
        }
        if size > MAX_HELD_PLAIN {
            let mut rewriter = Rewriter::new(model);
            let mut first = Vec::with_capacity(pieces.len() + 2);
            for piece in &pieces {
                rewriter.push(piece, |piece| first.push(piece));
            }
            return Ok(Answer::Long(head, first, rewriter, exchange));
        }
    }
    exchange.release().await;
    let body = match <[Bytes; 1]>::try_from(pieces) {
        Ok([whole]) => whole,
        Err(pieces) => pieces.concat().into(),
    };
    match Plain::read(ask.endpoint, &body, ask.brings_rights) {
        Plain::Answer {
            model: at,
            usage,
            service_tier: tier,
            said_bytes,
        } => {
            let reported = at.as_ref().and_then(|at| json::string(&body[at.clone()]));
            let meter = Meter {
                usage,
                said: said_bytes.into(),
                tier,
                model: reported.map(Into::into),
            };
            let pieces = match at {
                None => introduced(&body, &model),
                Some(at) => named(&body, at, model).into(),
            };
            Ok(Answer::Plain(head, pieces, meter))
        }
        Plain::Filtered {
            model: at, usage, ..
        } => Err(Failure {
            usage,
            body: match at {
                None => body,
                Some(at) => named(&body, at, model).concat().into(),
            },
            is_whole: true,
            ..Failure::with_head(Outcome::Moderated, head)
        }),
        Plain::Failed(outcome, says, usage) => Err(Failure {
            wait: wait(outcome, &head, &says),
            says,
            usage,
            ..Failure::with_head(outcome, head)
        }),
    }
}

/// The answer with the candidate's name, where the upstream has told none. It
/// is an object that has a member, or it were no answer.
fn introduced(body: &Bytes, model: &[u8]) -> Vec<Bytes> {
    let inside = memchr::memchr(b'{', body).map_or(0, |at| at + 1);
    let member = [br#""model":"#, model, b","].concat();
    vec![body.slice(..inside), member.into(), body.slice(inside..)]
}

/// The answer with the candidate's name where the upstream's stood.
fn named(body: &Bytes, at: Range<usize>, model: Bytes) -> [Bytes; 3] {
    [body.slice(..at.start), model, body.slice(at.end..)]
}
