//! One line in the log for each change of state.

use super::board::{Place, Wish};
use super::moment::Moment;
use super::story::LastError;
use super::word::{Phase, State};

const TARGET: &str = "target_state";

/// Says what something has become, and why. A model's name may be of a
/// client's making, so it is escaped.
pub(super) fn changed(
    place: Place,
    wish: Wish<'_>,
    now_is: State,
    last: Option<LastError>,
    now: Moment,
) {
    let provider = wish.target.provider.name.as_str();
    let model = wish.target.upstream_model.escape_debug();
    let what = match place {
        Place::Connection => format!("provider {provider}"),
        Place::Credential => format!("credential of provider {provider}"),
        Place::Endpoint => format!("target {provider}/{model} on {}", wish.endpoint.path()),
        Place::Target => format!("target {provider}/{model}"),
    };
    let (event, model, endpoint) = match place {
        Place::Connection => ("provider_state", None, None),
        Place::Credential => ("credential_state", None, None),
        Place::Endpoint => (TARGET, Some(wish), Some(wish.endpoint.route())),
        Place::Target => (TARGET, Some(wish), None),
    };
    let model = model.map(|wish| &*wish.target.upstream_model);
    let for_ms = u64::try_from(now_is.until.from(now).as_millis()).unwrap_or(u64::MAX);
    let why = last.map_or("nothing", |last| last.outcome.label());
    let status = last.and_then(|last| last.status);
    let said = status.map_or_else(String::new, |status| format!(" {status}"));
    match now_is.phase {
        Phase::Healthy => log::info!(
            event, provider, upstream_model = model, endpoint, state = "healthy";
            "{what} is healthy"
        ),
        Phase::Cooling => log::warn!(
            event, provider, upstream_model = model, endpoint, state = "cooling", for_ms, why, status;
            "{what} is cooling for {for_ms} ms: {why}{said}"
        ),
        Phase::Open => {
            let failures = now_is.failures.max(now_is.cuts);
            log::warn!(
                event, provider, upstream_model = model, endpoint, state = "open", for_ms, why,
                status, failures;
                "{what} is open for {for_ms} ms: {why}{said}, consecutive failures: {failures}"
            );
        }
    }
}
