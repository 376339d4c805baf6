//! From commit to the end: there is no way back.

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde_json::json;
use tokio::time::timeout;

use super::account::Bill;
use super::ask::{Ask, REQUEST_ID};
use super::attempt::Answer;
use super::meter::Meter;
use super::plan::Pass;
use super::receipt::End;
use super::stream::{EventStream, Flow};
use super::taker::Taker;
use super::trail::{Trail, printable};
use crate::base::Endpoint;
use crate::dialect::{service_tier, tokens};
use crate::ledger::Ended;
use crate::patience::{Patience, at_once};
use crate::refusal::Failed;
use crate::seam::{Client, Committed, Exchange, Gone, Head};
use crate::wire::json;
use crate::wire::rewrite::{Kept, Rewriter};
use crate::wire::{Lines, headers};

/// `x-standin-attempts`
pub(super) const ATTEMPTS: HeaderName = HeaderName::from_static("x-standin-attempts");
const MODEL: HeaderName = HeaderName::from_static("x-standin-model");
const PROVIDER: HeaderName = HeaderName::from_static("x-standin-provider");
const UPSTREAM_MODEL: HeaderName = HeaderName::from_static("x-standin-upstream-model");
const UPSTREAM_REQUEST_ID: HeaderName = HeaderName::from_static("x-standin-upstream-request-id");

/// How long the rest of an upstream's stream is awaited after its proper end,
/// to keep the connection. The client has its answer already.
const MAX_TAIL_TIME: Duration = Duration::from_millis(500);

/// Events that have come together go out together, up to this size.
const MAX_WRITTEN: usize = 64 << 10;

/// The upstream's headers as the client gets them, with those that say who
/// was tried.
pub(super) fn headers_down(ask: &Ask, trail: &Trail, from: &HeaderMap) -> Lines {
    let mut to = headers::down(from);
    if let Some(id) = from.get(REQUEST_ID) {
        to.push(UPSTREAM_REQUEST_ID, id.clone());
    }
    to.push(REQUEST_ID, ask.id.clone());
    to.push(ATTEMPTS, trail.header());
    to
}

/// Says in headers whose answer it is.
pub(super) fn name_who(headers: &mut Lines, pass: &Pass) {
    for (name, value) in [
        (MODEL, pass.candidate.as_str()),
        (PROVIDER, pass.target.provider.name.as_str()),
        (UPSTREAM_MODEL, &pass.target.upstream_model),
    ] {
        if let Ok(value) = HeaderValue::from_str(&printable(value)) {
            headers.push(name, value);
        }
    }
}

fn head_down(ask: &Ask, trail: &Trail, pass: &Pass, from: &Head) -> Head<Lines> {
    let mut headers = headers_down(ask, trail, &from.headers);
    name_who(&mut headers, pass);
    Head {
        status: from.status,
        headers,
    }
}

/// What came of giving an answer to the client.
pub(super) struct Relayed {
    /// How it ended.
    pub(super) end: End,
    /// Bytes of the body that went out.
    pub(super) sent: u64,
    /// The process ended, or the client kept the provider waiting: a cut says
    /// nothing of the target.
    pub(super) is_ours: bool,
}

/// Gives the answer to the client, to its end.
pub(super) async fn run<X: Exchange, C: Client>(
    ask: &Ask,
    trail: &Trail,
    pass: &Pass,
    answer: Answer<X>,
    client: C,
    bill: &mut Bill<'_>,
) -> Relayed {
    let mut is_ours = false;
    let way = (client, &mut is_ours);
    let (end, sent) = relay(ask, trail, pass, answer, way, bill).await;
    bill.close(end.ended());
    Relayed { end, sent, is_ours }
}

async fn relay<X: Exchange, C: Client>(
    ask: &Ask,
    trail: &Trail,
    pass: &Pass,
    answer: Answer<X>,
    (client, is_ours): (C, &mut bool),
    bill: &mut Bill<'_>,
) -> (End, u64) {
    let idle = pass.target.timeouts.idle;
    let mut head = head_down(ask, trail, pass, answer.head());
    // A client that is told nothing would not know how to read it.
    let usual = match &answer {
        Answer::Long(..) | Answer::Plain(..) => "application/json",
        Answer::Stream(..) => "text/event-stream",
    };
    if !head.headers.contains(&header::CONTENT_TYPE) {
        let usual = HeaderValue::from_static(usual);
        head.headers.push(header::CONTENT_TYPE, usual);
    }
    match answer {
        Answer::Plain(_, body, meter) => {
            let size = length(&body);
            bill.meter = meter;
            bill.close(Ended::Answered);
            match client.reply(head, body).await {
                Ok(()) => (End::Answered, size),
                Err(gone) => (ended(gone, is_ours), 0),
            }
        }
        Answer::Long(_, first, rewriter, exchange) => {
            bill.meter.said = length(&first);
            let client = match client.commit(head).await {
                Ok(client) => client,
                Err(gone) => return (ended(gone, is_ours), 0),
            };
            let client = Taker { client, is_ours };
            long(first, rewriter, exchange, client, idle, bill).await
        }
        Answer::Stream(_, stream) => {
            bill.meter.clone_from(stream.meter());
            let client = match client.commit(head).await {
                Ok(client) => client,
                Err(gone) => return (ended(gone, is_ours), 0),
            };
            let client = Taker { client, is_ours };
            events(ask.endpoint, stream, client, idle, bill).await
        }
    }
}

/// How an answer ends that the client does not get to its end.
fn ended(gone: Gone, is_ours: &mut bool) -> End {
    *is_ours |= gone == Gone::CutOff;
    End::from(gone)
}

/// Waits for the upstream, but not longer than the client is to be served.
async fn unless_gone<T>(
    client: &mut impl Committed,
    upstream: impl Future<Output = T>,
) -> Result<T, Gone> {
    // An upstream that always has more is never waited for.
    if client.is_cut_off() {
        return Err(client.gone().await);
    }
    tokio::select! {
        biased;
        read = upstream => Ok(read),
        gone = client.gone() => Err(gone),
    }
}

async fn events<X: Exchange, C: Committed>(
    endpoint: Endpoint,
    mut stream: Box<EventStream<X>>,
    mut client: C,
    idle: Duration,
    bill: &mut Bill<'_>,
) -> (End, u64) {
    let mut sent = 0;
    let mut silence = Patience::default();
    let mut flow = stream.pass_frames();
    loop {
        bill.meter.clone_from(stream.meter());
        // The Responses API's last event is its end; only little may follow.
        let is_over = endpoint == Endpoint::Responses && stream.is_finished();
        // What is ready has the end in it: it is written down before it is seen.
        match flow {
            Flow::Ended => bill.close(Ended::Answered),
            Flow::On if is_over => bill.close(Ended::Answered),
            Flow::On => {}
            Flow::Cut | Flow::Error => bill.close(Ended::Cut),
        }
        let ready = stream.take();
        sent += ready.len() as u64;
        if !ready.is_empty()
            && let Err(gone) = client.write(ready).await
        {
            return (gone.into(), sent);
        }
        match flow {
            Flow::On => {}
            Flow::Ended => {
                if let Err(gone) = client.end().await {
                    return (gone.into(), sent);
                }
                // Out of time only costs the connection.
                let _ = timeout(MAX_TAIL_TIME, stream.release()).await;
                return (End::Answered, sent);
            }
            Flow::Error => return (cut(client, None).await, sent),
            Flow::Cut => {
                let error = error_event(endpoint, Failed::Cut, stream.next_sequence());
                sent += error.len() as u64;
                return (cut(client, Some(error)).await, sent);
            }
        }
        let patience = if is_over { MAX_TAIL_TIME } else { idle };
        let next = silence.within(patience, stream.flow());
        flow = match unless_gone(&mut client, next).await {
            Err(Gone::Left) => return (End::ClientGone, sent),
            Ok(None) | Err(Gone::CutOff) if is_over => Flow::Ended,
            Err(Gone::CutOff) => {
                bill.close(Ended::Cut);
                let error = error_event(endpoint, Failed::Draining, stream.next_sequence());
                // Its provider need not work while the client is told.
                drop(stream);
                sent += error.len() as u64;
                return (cut(client, Some(error)).await, sent);
            }
            Ok(None) => Flow::Cut,
            Ok(Some(flow)) => flow,
        };
        // What else is there goes out with it; what is not is not waited for.
        while flow == Flow::On && stream.ready() < MAX_WRITTEN {
            match at_once(pin!(stream.flow())).await {
                Some(more) => flow = more,
                None => break,
            }
        }
    }
}

/// Ends a stream that broke: with one error event, and without `[DONE]`.
async fn cut<C: Committed>(mut client: C, error: Option<Bytes>) -> End {
    if let Some(error) = error
        && let Err(gone) = client.write(error).await
    {
        return gone.into();
    }
    match client.end().await {
        Ok(()) => End::Cut,
        Err(gone) => gone.into(),
    }
}

/// The event that ends a stream that broke, in the endpoint's own form.
fn error_event(endpoint: Endpoint, why: Failed, sequence: u64) -> Bytes {
    let mut event = why.error();
    match endpoint {
        Endpoint::Chat | Endpoint::Completions | Endpoint::Embeddings => {
            format!("data: {event}\n\n").into()
        }
        Endpoint::Responses => {
            event["type"] = json!("error");
            event["code"] = event["error"]["code"].clone();
            event["message"] = event["error"]["message"].clone();
            event["param"] = json!(null);
            event["sequence_number"] = json!(sequence);
            format!("event: error\ndata: {event}\n\n").into()
        }
    }
}

async fn long<X: Exchange, C: Committed>(
    first: Vec<Bytes>,
    mut rewriter: Rewriter,
    mut exchange: X,
    mut client: C,
    idle: Duration,
    bill: &mut Bill<'_>,
) -> (End, u64) {
    let mut sent = 0;
    let mut silence = Patience::default();
    let mut pieces = first;
    loop {
        // The last bytes wait until the upstream has ended too: then they are
        // the answer's end, which is written down before it is seen.
        if !rewriter.is_complete() {
            bill.meter.said = sent + length(&pieces);
            for piece in pieces.drain(..) {
                sent += piece.len() as u64;
                if let Err(gone) = client.write(piece).await {
                    return (gone.into(), sent);
                }
            }
        }
        let next = silence.within(idle, exchange.read());
        let chunk = match unless_gone(&mut client, next).await {
            Err(Gone::Left) => return (End::ClientGone, sent),
            Ok(Some(Ok(Some(chunk)))) => chunk,
            Ok(Some(Ok(None))) if rewriter.is_complete() => break,
            Ok(Some(Ok(None) | Err(_)) | None) | Err(Gone::CutOff) => {
                bill.close(Ended::Cut);
                client.break_off().await;
                return (End::Cut, sent);
            }
        };
        rewriter.push(&chunk, |piece| pieces.push(piece));
    }
    bill.meter = read_off(&rewriter, sent);
    bill.close(Ended::Answered);
    for piece in pieces {
        sent += piece.len() as u64;
        if let Err(gone) = client.write(piece).await {
            return (gone.into(), sent);
        }
    }
    if let Err(gone) = client.end().await {
        return (gone.into(), sent);
    }
    exchange.release().await;
    (End::Answered, sent)
}

fn length(pieces: &[Bytes]) -> u64 {
    pieces.iter().map(|piece| piece.len() as u64).sum()
}

/// What a long answer says of itself, `said` bytes of which have been passed on.
fn read_off(rewriter: &Rewriter, said: u64) -> Meter {
    let text = |member| json::string(rewriter.kept(member)?);
    Meter {
        usage: rewriter.kept(Kept::Usage).and_then(tokens),
        said,
        tier: rewriter.kept(Kept::ServiceTier).and_then(service_tier),
        model: text(Kept::Model).map(Into::into),
    }
}
