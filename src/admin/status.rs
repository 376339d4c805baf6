//! `GET /status`: every target's live state and why, as JSON.

use std::time::SystemTime;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};

use crate::base::Endpoint;
use crate::health::{LastError, Moment, ProviderStatus, Report, Shown, TargetStatus, WordStatus};
use crate::house::House;

/// Both clocks, read at once: what is remembered is told in the wall's time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clocks {
    /// Live state's.
    pub(super) now: Moment,
    /// The wall's.
    pub(super) wall: SystemTime,
}

impl Clocks {
    /// A moment as RFC 3339 in UTC.
    fn tell(self, moment: Moment) -> Value {
        let wall = if moment > self.now {
            self.wall.checked_add(moment.from(self.now))
        } else {
            self.wall.checked_sub(self.now.from(moment))
        };
        wall.map(|wall| DateTime::<Utc>::from(wall).to_rfc3339_opts(SecondsFormat::Millis, true))
            .into()
    }

    fn tell_error(self, error: Option<LastError>) -> Value {
        error.map_or(Value::Null, |error| {
            json!({
                "outcome": error.outcome.label(),
                "status": error.status,
                "at": self.tell(error.at),
            })
        })
    }
}

/// All of it: configured models first, by name; then what clients made up and
/// something is remembered of.
pub(super) fn status(house: &House, clocks: Clocks) -> Value {
    let mut models: Vec<_> = house.config.models.values().collect();
    models.sort_by(|a, b| a.name.cmp(&b.name));
    let mut targets: Vec<Value> = Vec::new();
    for model in models {
        for target in &model.targets {
            let status = house.board.status(target, clocks.now);
            let (provider, upstream) = (target.provider.name.as_str(), &*target.upstream_model);
            targets.push(row(
                model.name.as_str(),
                provider,
                upstream,
                &status,
                clocks,
            ));
        }
    }
    let configured = targets.len();
    house
        .board
        .made_up(clocks.now, |provider, upstream, status| {
            let name = format!("{provider}/{upstream}");
            targets.push(row(&name, provider.as_str(), upstream, &status, clocks));
        });
    if let Some(made_up) = targets.get_mut(configured..) {
        made_up.sort_by(|a, b| a["model"].as_str().cmp(&b["model"].as_str()));
    }
    let providers = house.board.provider_statuses();
    let providers: Vec<Value> = providers.map(|status| provider(&status, clocks)).collect();
    json!({"targets": targets, "providers": providers})
}

fn row(
    model: &str,
    provider: &str,
    upstream_model: &str,
    status: &TargetStatus,
    clocks: Clocks,
) -> Value {
    let held_by = status.held_by.map(|(by, _)| by.label());
    let why = status.held_by.map(|(_, why)| why);
    let left = |report: Option<Report>| report.map(|report| report.remaining);
    let until = |report: Option<Report>| report.map(|report| clocks.tell(report.until));
    json!({
        "model": model,
        "provider": provider,
        "upstream_model": upstream_model,
        "state": status.state.label(),
        "since": clocks.tell(status.since),
        "until": status.until.map(|until| clocks.tell(until)),
        "why": why,
        "held_by": held_by,
        "last_error": clocks.tell_error(status.last_error),
        "consecutive_failures": status.consecutive_failures,
        "remaining": {
            "requests": left(status.requests),
            "requests_until": until(status.requests),
            "tokens": left(status.tokens),
            "tokens_until": until(status.tokens),
        },
        "endpoints": endpoints(&status.endpoints, clocks),
    })
}

/// Only those that are not as healthy as the rest.
fn endpoints(all: &[(Endpoint, WordStatus)], clocks: Clocks) -> Value {
    let bad = all.iter().filter(|(_, word)| word.state != Shown::Healthy);
    let told = bad.map(|(endpoint, status)| {
        let name = endpoint.path().trim_start_matches('/').to_owned();
        (name, word(status, clocks))
    });
    Value::Object(told.collect::<Map<_, _>>())
}

fn provider(status: &ProviderStatus, clocks: Clocks) -> Value {
    json!({
        "provider": status.name.as_str(),
        "connection": word(&status.connection, clocks),
        "credential": word(&status.credential, clocks),
        "since": clocks.tell(status.since),
        "last_error": clocks.tell_error(status.last_error),
    })
}

fn word(status: &WordStatus, clocks: Clocks) -> Value {
    json!({
        "state": status.state.label(),
        "until": status.until.map(|until| clocks.tell(until)),
        "consecutive_failures": status.consecutive_failures,
    })
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn moments_are_told_in_the_walls_time() {
        let clocks = Clocks {
            now: Moment::from_millis(5000),
            wall: UNIX_EPOCH + Duration::from_secs(1_767_225_600),
        };
        assert_eq!(
            clocks.tell(Moment::from_millis(5000)),
            "2026-01-01T00:00:00.000Z"
        );
        assert_eq!(
            clocks.tell(Moment::from_millis(35_250)),
            "2026-01-01T00:00:30.250Z"
        );
        assert_eq!(
            clocks.tell(Moment::from_millis(4000)),
            "2025-12-31T23:59:59.000Z"
        );
    }
}
