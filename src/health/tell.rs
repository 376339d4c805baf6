//! One line in the log for each change of state.

use super::board::{Place, Wish};
use super::moment::Moment;
use super::story::LastError;
use super::word::{Phase, State};

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
    let wait = now_is.until.from(now).as_millis();
    let why = last.map_or("nothing", |last| last.outcome.label());
    let status = last.and_then(|last| last.status);
    let status = status.map_or_else(String::new, |status| format!(" {status}"));
    match now_is.phase {
        Phase::Healthy => log::info!("{what} is healthy"),
        Phase::Cooling => log::warn!("{what} is cooling for {wait} ms: {why}{status}"),
        Phase::Open => log::warn!(
            "{what} is open for {wait} ms: {why}{status}, consecutive failures: {}",
            now_is.failures.max(now_is.cuts)
        ),
    }
}
