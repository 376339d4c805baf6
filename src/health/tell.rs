//! One line in the log for each change of state.

use std::fmt;

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
    let what = What(place, wish);
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
    let said = Said(status);
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

/// What has changed, in words.
struct What<'a>(Place, Wish<'a>);

impl fmt::Display for What<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(place, wish) = self;
        let provider = wish.target.provider.name.as_str();
        let model = wish.target.upstream_model.escape_debug();
        match place {
            Place::Connection => write!(f, "provider {provider}"),
            Place::Credential => write!(f, "credential of provider {provider}"),
            Place::Endpoint => {
                let path = wish.endpoint.path();
                write!(f, "target {provider}/{model} on {path}")
            }
            Place::Target => write!(f, "target {provider}/{model}"),
        }
    }
}

/// A status behind the reason, where there is one.
struct Said(Option<u16>);

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(status) => write!(f, " {status}"),
            None => Ok(()),
        }
    }
}
