//! A request's spans: one of its own, and below it one for each attempt.
//!
//! Names are of OpenTelemetry's conventions for generative AI
//! (<https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/>) and for
//! HTTP, where they have one; `standin.…` else. `gen_ai.provider.name` is the
//! configuration's name, as it is in metrics.

use std::io::Write as _;
use std::time::Duration;

use tokio::time::Instant;

use super::batch::Clock;
use super::queue::Told;
use super::text::{Attributes, id, time};
use crate::base::ModelName;
use crate::config::Target;
use crate::journey::{Charged, End, Entry, Receipt, Tried};
use crate::metrics::operation;
use crate::outcome::{Outcome, Skip};
use crate::wire::json;

/// Who asked whom: `Span.SpanKind` of OTLP.
#[derive(Clone, Copy)]
enum Kind {
    Server = 2,
    Client = 3,
}

/// `Status.StatusCode` of OTLP: an error.
const ERROR: &[u8] = b",\"status\":{\"code\":2}";

/// `Span.flags` of OTLP: the trace's own flags, here that it is sampled, and
/// whether it is known that the parent is another process's, and is.
const SAMPLED: u32 = 0x001;
const KNOWN: u32 = 0x100;
const REMOTE: u32 = 0x200;

/// How many spans a request has.
pub(super) fn count(told: &Told) -> usize {
    1 + sent(&told.receipt).count()
}

/// The attempts in which something was sent.
fn sent(receipt: &Receipt) -> impl Iterator<Item = (&Tried, Instant)> {
    let tried = receipt.trail.tried();
    tried.filter_map(|tried| Some((tried, tried.began?)))
}

/// Writes a request's spans, commas between them.
pub(super) fn write(out: &mut Vec<u8>, told: &Told, clock: &Clock) {
    request(out, told, clock);
    for (tried, began) in sent(&told.receipt) {
        out.push(b',');
        attempt(out, told, (tried, began), clock);
    }
}

/// What every span begins with, but for its parent.
struct Head<'a> {
    told: &'a Told,
    id: u64,
    parent: Option<u64>,
    kind: Kind,
    flags: u32,
    model: &'a str,
    began: Instant,
    took: Duration,
}

impl Head<'_> {
    fn write(&self, out: &mut Vec<u8>, clock: &Clock) {
        out.push(b'{');
        id(out, "traceId", self.told.span.trace, 32);
        id(out, "spanId", self.id.into(), 16);
        if let Some(parent) = self.parent {
            id(out, "parentSpanId", parent.into(), 16);
        }
        let (kind, flags) = (self.kind as u8, self.flags | SAMPLED);
        // Writing to memory cannot fail.
        let _ = write!(out, "\"flags\":{flags},\"kind\":{kind},\"name\":");
        let operation = operation(self.told.receipt.endpoint);
        json::write_string(out, &format!("{operation} {}", self.model));
        out.push(b',');
        let began = clock.nanos(self.began);
        let took = u64::try_from(self.took.as_nanos()).unwrap_or(u64::MAX);
        time(out, "startTimeUnixNano", began);
        time(out, "endTimeUnixNano", began.saturating_add(took));
    }
}

/// The request's own span: from its body to the answer's end.
fn request(out: &mut Vec<u8>, told: &Told, clock: &Clock) {
    let receipt = &told.receipt;
    let remote = if told.span.parent.is_some() {
        REMOTE
    } else {
        0
    };
    Head {
        told,
        id: told.span.id,
        parent: told.span.parent,
        kind: Kind::Server,
        flags: KNOWN | remote,
        model: told.model.as_str(),
        began: receipt.started,
        took: receipt.took,
    }
    .write(out, clock);
    let mut to = Attributes::begin(out);
    common(&mut to, told, told.model.as_str());
    to.text("http.request.method", "POST");
    to.text("http.route", receipt.endpoint.route());
    if let Some(status) = receipt.status {
        to.whole("http.response.status_code", status.as_u16().into());
    }
    let last = receipt.trail.tried().last();
    let pass = receipt.answered.as_ref();
    if let Some(pass) = pass.or(last.map(|tried| &tried.pass)) {
        to.text("gen_ai.provider.name", pass.target.provider.name.as_str());
    }
    if let Some(pass) = pass {
        to.text("gen_ai.response.model", pass.candidate.as_str());
    }
    used(&mut to, receipt.charged.as_ref());
    if let Some(first) = receipt.first.filter(|_| receipt.streamed) {
        to.real("gen_ai.response.time_to_first_chunk", first.as_secs_f64());
    }
    if let Some(why) = failed(receipt, last.and_then(|tried| tried.outcome)) {
        to.text("error.type", why);
    }
    let request_id = told.request_id.to_str().unwrap_or_default();
    to.text("standin.request_id", request_id);
    if let Some(key) = &receipt.key {
        to.text("standin.key", key);
    }
    to.text("standin.end", receipt.end.label());
    let attempts = sent(receipt).count();
    to.whole("standin.attempts", attempts as u64);
    to.flag("standin.failed_over", receipt.failed_over_from().is_some());
    if receipt.is_drilled() {
        to.flag("standin.drill", true);
    }
    if let Some(cost) = receipt.charged.and_then(|charged| charged.cost) {
        to.text("standin.cost_usd", &cost.to_string());
    }
    to.end();
    events(out, receipt, clock);
    match receipt.end {
        End::Cut | End::Failed => out.extend_from_slice(ERROR),
        End::Answered | End::ClientGone => {}
    }
    out.push(b'}');
}

/// One attempt's span: until it failed, or until the end of its answer.
fn attempt(out: &mut Vec<u8>, told: &Told, (tried, began): (&Tried, Instant), clock: &Clock) {
    let receipt = &told.receipt;
    let target = &*tried.pass.target;
    let took = match tried.outcome {
        Some(_) => tried.took,
        None => {
            let before = began.saturating_duration_since(receipt.started);
            receipt.took.saturating_sub(before)
        }
    };
    Head {
        told,
        id: told.span.attempt(tried.pass.turn).span,
        parent: Some(told.span.id),
        kind: Kind::Client,
        flags: KNOWN,
        model: &target.upstream_model,
        began,
        took,
    }
    .write(out, clock);
    let mut to = Attributes::begin(out);
    common(&mut to, told, &target.upstream_model);
    to.text("gen_ai.provider.name", target.provider.name.as_str());
    to.text("http.request.method", "POST");
    to.text("server.address", &target.provider.base_url.host);
    to.whole("server.port", target.provider.base_url.port.into());
    if let Some(status) = tried.status {
        to.whole("http.response.status_code", status.into());
    }
    let outcome = match tried.outcome {
        Some(outcome) => Some(outcome.label()),
        None => {
            used(&mut to, receipt.charged.as_ref());
            if receipt.streamed {
                let first = tried.took.as_secs_f64();
                to.real("gen_ai.response.time_to_first_chunk", first);
            }
            failed(receipt, None)
        }
    };
    if let Some(why) = outcome {
        to.text("error.type", why);
    }
    to.text("standin.model", tried.pass.candidate.as_str());
    if tried.pass.is_last_resort {
        to.flag("standin.last_resort", true);
    }
    to.end();
    if outcome.is_some_and(|why| why != Outcome::ClientGone.label()) {
        out.extend_from_slice(ERROR);
    }
    out.push(b'}');
}

/// What both kinds say of what was asked.
fn common(to: &mut Attributes<'_>, told: &Told, model: &str) {
    to.text("gen_ai.operation.name", operation(told.receipt.endpoint));
    to.text("gen_ai.request.model", model);
    if told.stream {
        to.flag("gen_ai.request.stream", true);
    }
}

/// What an answer used.
fn used(to: &mut Attributes<'_>, charged: Option<&Charged>) {
    let Some(charged) = charged else {
        return;
    };
    let tokens = &charged.tokens;
    to.whole("gen_ai.usage.input_tokens", tokens.input);
    to.whole("gen_ai.usage.output_tokens", tokens.output);
    if tokens.cached > 0 {
        to.whole("gen_ai.usage.cache_read.input_tokens", tokens.cached);
    }
    if tokens.reasoning > 0 {
        to.whole("gen_ai.usage.reasoning.output_tokens", tokens.reasoning);
    }
    if charged.estimated {
        to.flag("standin.usage_estimated", true);
    }
}

/// Why a request did not end with a whole answer; `last` is how its last
/// attempt failed.
fn failed(receipt: &Receipt, last: Option<Outcome>) -> Option<&'static str> {
    match receipt.end {
        End::Answered => None,
        End::ClientGone => Some(Outcome::ClientGone.label()),
        End::Cut => Some(Outcome::Cut.label()),
        End::Failed => Some(last.map_or(receipt.end.label(), Outcome::label)),
    }
}

/// What was passed over, when it was: between the attempts around it, which
/// takes no time.
fn events(out: &mut Vec<u8>, receipt: &Receipt, clock: &Clock) {
    let mut at = receipt.started;
    let mut is_first = true;
    for entry in receipt.trail.entries() {
        let event = match entry {
            Entry::Skipped(model, target, why) => Event::Skip(model, target.as_deref(), *why),
            Entry::Tried(tried) => match (tried.began, tried.outcome) {
                (None, Some(outcome)) if tried.is_drill => Event::Drill(tried, outcome),
                (None, Some(outcome)) => Event::Recall(tried, outcome),
                (began, _) => {
                    at = began.map_or(at, |began| began + tried.took);
                    continue;
                }
            },
        };
        let before: &[u8] = if is_first { b",\"events\":[{" } else { b",{" };
        out.extend_from_slice(before);
        is_first = false;
        time(out, "timeUnixNano", clock.nanos(at));
        event.write(out);
        out.push(b'}');
    }
    if !is_first {
        out.push(b']');
    }
}

/// Something that happened to a candidate without a request to its provider.
enum Event<'a> {
    /// It failed because the request asked for that.
    Drill(&'a Tried, Outcome),
    /// What others had failed with counted as its try.
    Recall(&'a Tried, Outcome),
    /// It was passed over.
    Skip(&'a ModelName, Option<&'a Target>, Skip),
}

impl Event<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        let name: &[u8] = match self {
            Self::Drill(..) => b"\"name\":\"standin.drill\",",
            Self::Recall(..) => b"\"name\":\"standin.recall\",",
            Self::Skip(..) => b"\"name\":\"standin.skip\",",
        };
        out.extend_from_slice(name);
        let mut to = Attributes::begin(out);
        let (model, target) = match self {
            Self::Drill(tried, _) | Self::Recall(tried, _) => {
                (&tried.pass.candidate, Some(&*tried.pass.target))
            }
            Self::Skip(model, target, _) => (*model, *target),
        };
        to.text("gen_ai.request.model", model.as_str());
        if let Some(target) = target {
            to.text("gen_ai.provider.name", target.provider.name.as_str());
        }
        match self {
            Self::Drill(_, outcome) | Self::Recall(_, outcome) => {
                to.text("error.type", outcome.label());
            }
            Self::Skip(_, _, why) => to.text("standin.skip.reason", why.label()),
        }
        to.end();
    }
}
