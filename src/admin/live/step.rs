//! What is told of a walk: names, categories and numbers, never a prompt, an
//! answer, a key or a provider's words.

use serde::Serialize;

use crate::journey::{Entry, Receipt};
use crate::outcome::Outcome;
use crate::walks::Walk;

/// Steps that are told of one walk. A list may have more, but nobody reads
/// them; the last one, which says how it ended, always is.
const STEPS: usize = 12;

#[derive(Serialize)]
struct WalkTold<'a> {
    number: u64,
    at: u64,
    id: &'a str,
    endpoint: &'static str,
    key: Option<&'a str>,
    streamed: bool,
    end: &'static str,
    status: Option<u16>,
    first: Option<u64>,
    took: u64,
    tokens: Option<(u64, u64)>,
    estimated: bool,
    cost: Option<f64>,
    steps: Vec<Step<'a>>,
    /// Steps that are not told, before the last.
    left_out: usize,
}

#[derive(Serialize)]
struct Step<'a> {
    model: &'a str,
    provider: Option<&'a str>,
    outcome: &'static str,
    reason: Option<&'static str>,
    status: Option<u16>,
    ms: Option<u64>,
    last_resort: bool,
    drill: bool,
}

/// One walk as JSON.
pub(super) fn walk(number: u64, walk: &Walk) -> String {
    let receipt = &walk.receipt;
    let all = receipt.trail.entries();
    let mut steps: Vec<Step<'_>> = all
        .iter()
        .take(STEPS)
        .map(|entry| step(entry, receipt))
        .collect();
    let left_out = all.len().saturating_sub(STEPS);
    if let (Some(last), true) = (all.last(), left_out > 0) {
        steps.push(step(last, receipt));
    }
    let charged = receipt.charged.as_ref();
    let told = WalkTold {
        number,
        at: walk.at.as_millis(),
        id: walk.id.to_str().unwrap_or_default(),
        endpoint: receipt.endpoint.path().trim_start_matches('/'),
        key: receipt.key.as_deref(),
        streamed: receipt.streamed,
        end: receipt.end.label(),
        status: receipt.status.map(|status| status.as_u16()),
        first: receipt.first.map(millis),
        took: millis(receipt.took),
        tokens: charged.map(|charged| (charged.tokens.input, charged.tokens.output)),
        estimated: charged.is_some_and(|charged| charged.estimated),
        cost: charged.and_then(|charged| Some(charged.cost?.to_f64())),
        steps,
        left_out: left_out.saturating_sub(1),
    };
    // Names and numbers only: nothing of it can fail.
    serde_json::to_string(&told).unwrap_or_default()
}

fn step<'a>(entry: &'a Entry, receipt: &Receipt) -> Step<'a> {
    match entry {
        Entry::Skipped(name, target, why) => Step {
            model: name.as_str(),
            provider: target.as_ref().map(|target| target.provider.name.as_str()),
            outcome: "skipped",
            reason: Some(why.label()),
            status: None,
            ms: None,
            last_resort: false,
            drill: false,
        },
        Entry::Tried(tried) => Step {
            model: tried.pass.candidate.as_str(),
            provider: Some(tried.pass.target.provider.name.as_str()),
            outcome: receipt.outcome(tried).map_or("answered", Outcome::label),
            reason: None,
            status: tried.status,
            ms: Some(millis(tried.took)),
            last_resort: tried.pass.is_last_resort,
            drill: tried.is_drill,
        },
    }
}

fn millis(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
