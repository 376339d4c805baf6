//! What a request's line says. Fields are called as the ledger's columns and
//! the metrics' labels are; what is not known is not there.

use std::time::Duration;

use http::HeaderValue;

use super::line::Line;
use crate::journey::{Ask, Entry, Receipt};
use crate::metrics::Ended;
use crate::outcome::Outcome;
use crate::refusal::Refusal;
use crate::wire::TraceParent;

/// A request that was never on its way: refused, left too early, or answered
/// by the house itself.
#[derive(Clone, Copy, Debug)]
pub struct Brief<'a> {
    /// `x-request-id`
    pub id: &'a HeaderValue,
    /// The path where it is one that is known: any other is the client's own
    /// words.
    pub endpoint: Option<&'a str>,
    /// The name of the key that asked.
    pub key: Option<&'a str>,
    /// `refused`, `client_gone` or `answered`.
    pub ended: &'static str,
    /// The status the client was given.
    pub status: Option<u16>,
    /// A refusal's code.
    pub code: Option<&'static str>,
    /// The trace that it stands in.
    pub trace: Option<TraceParent>,
    /// Where it went, if it was passed through.
    pub passed: Option<Passed<'a>>,
}

/// A request that was passed through, when it has ended.
#[derive(Clone, Copy, Debug)]
pub struct Passed<'a> {
    /// The provider's name.
    pub provider: &'a str,
    /// From its head to its end.
    pub took: Duration,
    /// Bytes of its body that came from the client.
    pub received: u64,
    /// Bytes of the answer's body that went out.
    pub sent: u64,
}

impl<'a> Brief<'a> {
    /// A request of which no more is known than how it ended.
    pub fn new(id: &'a HeaderValue, ended: Ended, refusal: Option<&Refusal>) -> Self {
        Self {
            id,
            endpoint: None,
            key: None,
            ended: ended.label(),
            status: match (refusal, ended) {
                (Some(refusal), _) => Some(refusal.status().as_u16()),
                (None, Ended::Answered) => Some(200),
                (
                    None,
                    Ended::ClientGone
                    | Ended::Cut
                    | Ended::Drilled
                    | Ended::Failed
                    | Ended::Refused,
                ) => None,
            },
            code: refusal.map(Refusal::code),
            trace: None,
            passed: None,
        }
    }

    /// One that was refused.
    pub fn refused(id: &'a HeaderValue, refusal: &Refusal) -> Self {
        Self::new(id, Ended::Refused, Some(refusal))
    }

    pub(super) fn fill(&self, line: &mut Line<'_>) {
        line.text("request_id", self.id.to_str().unwrap_or_default());
        if let Some(endpoint) = self.endpoint {
            line.text("endpoint", endpoint);
        }
        if let Some(key) = self.key {
            line.text("key", key);
        }
        line.text("ended", self.ended);
        if let Some(status) = self.status {
            line.number("status", status.into());
        }
        if let Some(code) = self.code {
            line.text("code", code);
        }
        if let Some(passed) = &self.passed {
            line.text("provider", passed.provider);
            line.number("duration_ms", millis(passed.took));
            line.number("bytes_in", passed.received);
            line.number("bytes", passed.sent);
        }
        trace(line, self.trace);
    }
}

/// Tells all of a request that has ended.
pub(super) fn fill(line: &mut Line<'_>, ask: &Ask, receipt: &Receipt) {
    line.text("request_id", ask.id.to_str().unwrap_or_default());
    line.text("endpoint", receipt.endpoint.route());
    if let Some(key) = &receipt.key {
        line.text("key", key);
    }
    line.text("ended", receipt.end.label());
    if let Some(status) = receipt.status {
        line.number("status", status.as_u16().into());
    }
    if let Some(pass) = &receipt.answered {
        line.text("model", pass.candidate.as_str());
        line.text("provider", pass.target.provider.name.as_str());
        line.text("upstream_model", &pass.target.upstream_model);
    }
    requested(line, ask);
    walk(line, receipt.trail.entries());
    line.flag("streamed", receipt.streamed);
    if let Some(charged) = &receipt.charged {
        line.number("input_tokens", charged.tokens.input);
        line.number("cached_tokens", charged.tokens.cached);
        line.number("output_tokens", charged.tokens.output);
        line.number("reasoning_tokens", charged.tokens.reasoning);
        line.flag("estimated", charged.estimated);
        if let Some(cost) = charged.cost {
            line.money("cost_usd", cost);
        }
    }
    if let Some(first) = receipt.first {
        line.number("first_token_ms", millis(first));
    }
    line.number("duration_ms", millis(receipt.took));
    let worked = u64::try_from(receipt.worked.as_micros());
    line.number("overhead_us", worked.unwrap_or(u64::MAX));
    line.number("bytes", receipt.sent);
    trace(line, ask.trace);
}

/// The list as the client sent it.
fn requested(line: &mut Line<'_>, ask: &Ask) {
    line.name("requested");
    let mut before: &[u8] = b"[";
    let between: &[u8] = if line.is_json() { b"," } else { b", " };
    for candidate in &ask.candidates {
        line.add(before);
        line.value(candidate.name.as_str());
        before = between;
    }
    line.add(b"]");
}

/// What happened to each candidate. A provider's own code for an error is
/// left out: any provider can make one up.
fn walk(line: &mut Line<'_>, entries: &[Entry]) {
    line.name("walk");
    line.add(b"[");
    for (nth, entry) in entries.iter().enumerate() {
        if line.is_json() {
            line.add(if nth == 0 {
                b"{\"model\":"
            } else {
                b",{\"model\":"
            });
            in_json(line, entry);
            line.add(b"}");
        } else {
            line.add(if nth == 0 { b"" } else { b", " });
            in_text(line, entry);
        }
    }
    line.add(b"]");
}

fn in_json(line: &mut Line<'_>, entry: &Entry) {
    match entry {
        Entry::Skipped(model, target, why) => {
            line.value(model.as_str());
            if let Some(target) = target {
                line.text("provider", target.provider.name.as_str());
            }
            line.text("outcome", "skipped");
            line.text("reason", why.label());
        }
        Entry::Tried(tried) => {
            line.value(tried.pass.candidate.as_str());
            line.text("provider", tried.pass.target.provider.name.as_str());
            line.text("outcome", tried.outcome.map_or("answered", Outcome::label));
            if let Some(status) = tried.status {
                line.number("status", status.into());
            }
            line.number("ms", millis(tried.took));
            if tried.pass.is_last_resort {
                line.flag("last_resort", true);
            }
            if tried.is_drill {
                line.flag("drill", true);
            }
        }
    }
}

/// `MODEL@PROVIDER rate_limited 429 12ms`
fn in_text(line: &mut Line<'_>, entry: &Entry) {
    match entry {
        Entry::Skipped(model, target, why) => {
            line.value(model.as_str());
            if let Some(target) = target {
                line.add(b"@");
                line.value(target.provider.name.as_str());
            }
            line.add(b" skipped:");
            line.add(why.label().as_bytes());
        }
        Entry::Tried(tried) => {
            line.value(tried.pass.candidate.as_str());
            line.add(b"@");
            line.value(tried.pass.target.provider.name.as_str());
            line.add(b" ");
            let outcome = tried.outcome.map_or("answered", Outcome::label);
            line.add(outcome.as_bytes());
            if let Some(status) = tried.status {
                line.add(b" ");
                line.digits(status.into());
            }
            line.add(b" ");
            line.digits(millis(tried.took));
            line.add(b"ms");
            if tried.pass.is_last_resort {
                line.add(b" last_resort");
            }
            if tried.is_drill {
                line.add(b" drill");
            }
        }
    }
}

fn trace(line: &mut Line<'_>, trace: Option<TraceParent>) {
    if let Some(trace) = trace {
        line.hex("trace_id", trace.trace, 32);
        line.hex("span_id", trace.span.into(), 16);
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
