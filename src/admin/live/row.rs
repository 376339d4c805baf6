//! What is told of a target, and of a provider that is not in order. Times
//! are milliseconds on live state's clock, which never jumps; the page turns
//! them into the wall's.

use std::collections::HashMap;

use serde::Serialize;

use crate::base::Endpoint;
use crate::health::Moment;
use crate::health::{LastError, ProviderStatus, Report, Shown, TargetStatus, WordStatus};
use crate::house::House;
use crate::walks::Tallied;

/// A target as it is told: two parts of one JSON object.
#[derive(Debug)]
pub(super) struct Row {
    /// `provider/upstream model`
    pub(super) id: String,
    /// State, and all that changes with it.
    pub(super) state: String,
    /// Numbers, which change with every request.
    pub(super) numbers: String,
}

impl Row {
    /// The whole object.
    pub(super) fn json(&self) -> String {
        let state = self.state.trim_end_matches('}');
        let numbers = self.numbers.trim_start_matches('{');
        format!("{state},{numbers}")
    }
}

#[derive(Serialize)]
struct StateTold<'a> {
    id: &'a str,
    /// What clients call it, where it has a name of the configuration.
    names: &'a [&'a str],
    provider: &'a str,
    model: &'a str,
    state: &'static str,
    by: Option<&'static str>,
    why: Option<&'static str>,
    since: u64,
    until: Option<u64>,
    last: Option<ErrorTold>,
    endpoints: Vec<EndpointTold>,
    /// So that the object's end is not an inner one's.
    failures: u8,
}

#[derive(Serialize)]
struct NumbersTold<'a> {
    answered: u64,
    failed: u64,
    from: u64,
    to: u64,
    firsts: &'a [u32],
    requests: Option<(u64, u64)>,
    tokens: Option<(u64, u64)>,
}

#[derive(Serialize)]
struct ErrorTold {
    outcome: &'static str,
    status: Option<u16>,
    at: u64,
}

#[derive(Serialize)]
struct EndpointTold {
    name: &'static str,
    state: &'static str,
    until: Option<u64>,
}

#[derive(Serialize)]
struct WordTold {
    state: &'static str,
    until: Option<u64>,
    failures: u8,
}

#[derive(Serialize)]
pub(super) struct ProviderTold {
    name: String,
    connection: WordTold,
    credential: WordTold,
    since: u64,
    last: Option<ErrorTold>,
}

fn error(last: Option<LastError>) -> Option<ErrorTold> {
    last.map(|last| ErrorTold {
        outcome: last.outcome.label(),
        status: last.status,
        at: last.at.as_millis(),
    })
}

fn word(word: &WordStatus) -> WordTold {
    WordTold {
        state: word.state.label(),
        until: word.until.map(Moment::as_millis),
        failures: word.consecutive_failures,
    }
}

/// Providers that cannot be reached, or do not take our credential.
pub(super) fn providers(house: &House) -> Vec<ProviderTold> {
    let is_bad = |word: &WordStatus| word.state != Shown::Healthy;
    let all = house.board.provider_statuses();
    all.filter(|status| is_bad(&status.connection) || is_bad(&status.credential))
        .map(|status: ProviderStatus| ProviderTold {
            name: status.name.to_string(),
            connection: word(&status.connection),
            credential: word(&status.credential),
            since: status.since.as_millis(),
            last: error(status.last_error),
        })
        .collect()
}

/// Every configured target; then those that clients made up, where anything
/// is known of them.
pub(super) fn targets(house: &House, now: Moment) -> Vec<Row> {
    let mut names: Vec<Vec<&str>> = vec![Vec::new(); house.config.targets.len()];
    for model in house.config.models.values() {
        for index in model.targets.iter().filter_map(|target| target.index) {
            if let Some(names) = names.get_mut(index) {
                names.push(model.name.as_str());
            }
        }
    }
    let mut rows = Vec::with_capacity(names.len());
    for (target, names) in house.config.targets.iter().zip(&mut names) {
        names.sort_unstable();
        names.dedup();
        let provider = target.provider.name.as_str();
        let status = house.board.status(target, now);
        let tallied = house.walks.tallied(target);
        rows.push(row(
            (provider, &target.upstream_model),
            names,
            &status,
            &tallied,
        ));
    }
    made_up(house, now, &mut rows);
    rows
}

fn made_up(house: &House, now: Moment, rows: &mut Vec<Row>) {
    // Known to the board, or to the tallies, or to both.
    let mut known: HashMap<String, (String, String, Option<TargetStatus>)> = HashMap::new();
    house.walks.made_up(|provider, model| {
        let key = format!("{provider}/{model}");
        known.insert(key, (provider.to_owned(), model.to_owned(), None));
    });
    house.board.made_up(now, |provider, model, status| {
        let key = format!("{provider}/{model}");
        let pair = (provider.to_string(), model.to_owned(), Some(status));
        known.insert(key, pair);
    });
    for (provider, model, status) in known.into_values() {
        let tallied = house.walks.tallied_made_up(&provider, &model);
        let is_there = house
            .config
            .providers
            .iter()
            .any(|p| p.name.as_str() == provider);
        // What never answered and has nothing held against it is a name that
        // somebody mistyped.
        let is_bad = |s: &TargetStatus| s.state != Shown::Healthy || s.consecutive_failures > 0;
        let says = tallied.answered > 0 || status.as_ref().is_some_and(is_bad);
        if is_there && says {
            let status = status.unwrap_or_else(unknown);
            rows.push(row((&provider, &model), &[], &status, &tallied));
        }
    }
}

/// One of which nothing is remembered but that it answered.
fn unknown() -> TargetStatus {
    let healthy = WordStatus {
        state: Shown::Healthy,
        until: None,
        consecutive_failures: 0,
    };
    TargetStatus {
        state: Shown::Healthy,
        since: Moment::default(),
        until: None,
        held_by: None,
        last_error: None,
        consecutive_failures: 0,
        requests: None,
        tokens: None,
        endpoints: Endpoint::ALL.map(|endpoint| (endpoint, healthy)),
    }
}

fn row(
    (provider, model): (&str, &str),
    names: &[&str],
    status: &TargetStatus,
    tallied: &Tallied,
) -> Row {
    let id = format!("{provider}/{model}");
    let endpoints = status.endpoints.iter();
    let bad = endpoints.filter(|(_, word)| word.state != Shown::Healthy);
    let state = StateTold {
        id: &id,
        names,
        provider,
        model,
        state: status.state.label(),
        by: status.held_by.map(|(by, _)| by.label()),
        why: status.held_by.map(|(_, why)| why),
        since: status.since.as_millis(),
        until: status.until.map(Moment::as_millis),
        last: error(status.last_error),
        endpoints: bad
            .map(|(endpoint, word)| EndpointTold {
                name: endpoint.path().trim_start_matches('/'),
                state: word.state.label(),
                until: word.until.map(Moment::as_millis),
            })
            .collect(),
        failures: status.consecutive_failures,
    };
    let left =
        |report: Option<Report>| report.map(|report| (report.remaining, report.until.as_millis()));
    let numbers = NumbersTold {
        answered: tallied.answered,
        failed: tallied.failed,
        from: tallied.from,
        to: tallied.to,
        firsts: &tallied.firsts,
        requests: left(status.requests),
        tokens: left(status.tokens),
    };
    Row {
        // Names and numbers only: nothing of it can fail.
        state: serde_json::to_string(&state).unwrap_or_default(),
        numbers: serde_json::to_string(&numbers).unwrap_or_default(),
        id,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_parts_make_one_object() {
        let tallied = Tallied {
            firsts: vec![1, 2],
            ..Tallied::default()
        };
        let row = row(("p", "a}{b"), &["x}"], &unknown(), &tallied);
        let told: serde_json::Value = serde_json::from_str(&row.json()).unwrap();
        assert_eq!(told["id"], "p/a}{b");
        assert_eq!(told["failures"], 0);
        assert_eq!(told["answered"], 0);
        assert_eq!(told["firsts"], serde_json::json!([1, 2]));
    }
}
