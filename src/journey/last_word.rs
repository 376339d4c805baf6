//! What the client is told when every candidate has failed.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use tokio::time::Instant;

use super::ask::Ask;
use super::failure::Failure;
use super::relay::{headers_down, name_who};
use super::trail::{Trail, Tried};
use crate::outcome::{Blame, Outcome, Says};
use crate::refusal::Failed;
use crate::seam::Head;
use crate::wire::{Lines, json};

const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");
const X_MS_RETRY_AFTER_MS: HeaderName = HeaderName::from_static("x-ms-retry-after-ms");
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// A rate limit that ends within this time is worth the SDK's own retry.
const WORTH_WAITING: Duration = Duration::from_secs(10);

/// The last failure as the client gets it. `back` is how long it takes until a
/// candidate may be back, where that is known.
pub(super) fn last_word(
    ask: &Ask,
    trail: &Trail,
    failure: Failure,
    back: Option<Duration>,
    now: Instant,
) -> (Head<Lines>, Vec<Bytes>) {
    let is_upstream_s = hands_on(&failure);
    let empty = HeaderMap::new();
    let from = match &failure.head {
        Some(head) if is_upstream_s => &head.headers,
        _ => &empty,
    };
    let mut headers = headers_down(ask, trail, from);
    let (status, body) = match &failure.head {
        Some(head) if is_upstream_s => {
            if hands_on_filtered(&failure) {
                // An answer after all, so it says whose.
                if let Some(tried) = trail.tried().last() {
                    name_who(&mut headers, &tried.pass);
                }
                (head.status, failure.body.clone())
            } else {
                (head.status, upstream_s(&failure, head.status, trail))
            }
        }
        _ => {
            let failed = own(failure.outcome);
            let mut error = failed.error();
            error["attempts"] = trail.attempts();
            (failed.status(), error.to_string().into())
        }
    };
    let is_json = json::kind(body.trim_ascii_start()) == Some(json::Kind::Object);
    if !is_upstream_s || is_json && status.as_u16() >= 400 {
        let json = HeaderValue::from_static("application/json");
        headers.set(header::CONTENT_TYPE, json);
    }
    headers.remove(&header::CONTENT_ENCODING);
    if let Some(wait) = back {
        headers.set(header::RETRY_AFTER, seconds_up(wait));
        // They speak of one target; `retry-after` speaks of all.
        headers.remove(&RETRY_AFTER_MS);
        headers.remove(&X_MS_RETRY_AFTER_MS);
    }
    if trail.tried().count() >= 2 && !trail.tried().all(|tried| is_worth_waiting(tried, now)) {
        headers.set(SHOULD_RETRY, HeaderValue::from_static("false"));
    }
    (Head { status, headers }, vec![body])
}

/// What a client is told whose request cannot be waited for.
pub(super) fn cut_off(ask: &Ask, trail: &Trail) -> (Head<Lines>, Vec<Bytes>) {
    let failed = Failed::Draining;
    let mut headers = headers_down(ask, trail, &HeaderMap::new());
    let json = HeaderValue::from_static("application/json");
    headers.set(header::CONTENT_TYPE, json);
    let mut error = failed.error();
    error["attempts"] = trail.attempts();
    let status = failed.status();
    (Head { status, headers }, vec![error.to_string().into()])
}

/// Whether it is a filtered answer that goes to the client.
pub(super) fn hands_on_filtered(failure: &Failure) -> bool {
    let head = failure.head.as_ref();
    failure.outcome == Outcome::Moderated && head.is_some_and(|head| head.status.is_success())
}

/// Whether the upstream's own status and body go to the client: those that
/// are about its request. A credential is Standin's own affair.
fn hands_on(failure: &Failure) -> bool {
    match failure.outcome {
        Outcome::ContextLength
        | Outcome::Moderated
        | Outcome::NotFound(_)
        | Outcome::RateLimited(_)
        | Outcome::Rejected
        | Outcome::Unavailable => failure.head.is_some(),
        Outcome::Auth(_)
        | Outcome::BadAnswer(_)
        | Outcome::ClientGone
        | Outcome::Connect
        | Outcome::Cut
        | Outcome::Forbidden(_)
        | Outcome::Reset(_)
        | Outcome::Timeout(_) => false,
    }
}

fn own(outcome: Outcome) -> Failed {
    match outcome {
        Outcome::Auth(_) | Outcome::Forbidden(_) => Failed::Auth,
        Outcome::BadAnswer(Says::Broken | Says::Credential | Says::Prompt | Says::RateLimited) => {
            Failed::BadAnswer
        }
        Outcome::Cut => Failed::Cut,
        Outcome::Timeout(_) => Failed::Timeout,
        Outcome::ClientGone
        | Outcome::Connect
        | Outcome::ContextLength
        | Outcome::Moderated
        | Outcome::NotFound(_)
        | Outcome::RateLimited(_)
        | Outcome::Rejected
        | Outcome::Reset(_)
        | Outcome::Unavailable => Failed::Unavailable,
    }
}

/// The upstream's error body with `attempts` in it, where it is a JSON
/// object; one of ours under the same status where it is not whole.
fn upstream_s(failure: &Failure, status: StatusCode, trail: &Trail) -> Bytes {
    let body = failure.body.trim_ascii();
    if failure.is_whole {
        // Gemini puts its error into an array of one.
        let inner = match json::value(body) {
            Ok(json::Kind::Array) => {
                let mut elements = json::elements(body);
                match (elements.next(), elements.next()) {
                    (Some(one), None) => &body[one],
                    _ => body,
                }
            }
            _ => body,
        };
        return with_attempts(inner, trail).unwrap_or_else(|| failure.body.clone());
    }
    let mut error = Failed::instead(status);
    error["attempts"] = trail.attempts();
    error.to_string().into()
}

/// The object with the member `attempts`, its other bytes as they came;
/// nothing where it is no object.
fn with_attempts(body: &[u8], trail: &Trail) -> Option<Bytes> {
    let mut own = None;
    let mut is_empty = true;
    json::object(body, |member| {
        is_empty = false;
        if member.key.is("attempts") {
            own = Some(member.value_at);
        }
    })
    .ok()?;
    let attempts = trail.attempts().to_string();
    let mut out = Vec::with_capacity(body.len() + attempts.len() + 16);
    // Another Standin behind this one has told of its own attempts; the
    // client asked this one.
    if let Some(at) = own {
        out.extend_from_slice(&body[..at.start]);
        out.extend_from_slice(attempts.as_bytes());
        out.extend_from_slice(&body[at.end..]);
    } else {
        let end = body.iter().rposition(|byte| *byte == b'}')?;
        out.extend_from_slice(&body[..end]);
        out.extend_from_slice(if is_empty { b"" } else { b"," });
        out.extend_from_slice(b"\"attempts\":");
        out.extend_from_slice(attempts.as_bytes());
        out.extend_from_slice(&body[end..]);
    }
    Some(out.into())
}

fn is_worth_waiting(tried: &Tried, now: Instant) -> bool {
    let is_limit = matches!(
        tried.outcome,
        Some(Outcome::RateLimited(Blame::Target) | Outcome::BadAnswer(Says::RateLimited))
    );
    is_limit
        && tried
            .until
            .is_some_and(|until| until <= now + WORTH_WAITING)
}

/// Whole seconds, rounded up: a client that comes back must not be early.
fn seconds_up(wait: Duration) -> HeaderValue {
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    HeaderValue::from(seconds)
}
