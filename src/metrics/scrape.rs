//! What is told at `GET /metrics`, in Prometheus' text format 0.0.4
//! (prometheus.io/docs/instrumenting/exposition_formats).

use std::collections::BTreeMap;

use prometheus::{IntCounter, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder};

use super::counts::Counts;
use super::families::registered;
use crate::config::Config;
use crate::health::{Board, Moment, Shown};
use crate::ledger;

/// Every state's place: where a model has several homes at one provider, the
/// worst of them is told.
const STATES: [Shown; 4] = [Shown::Healthy, Shown::Probing, Shown::Cooling, Shown::Open];

/// What live state says of a model at a provider.
#[derive(Default)]
struct Row {
    /// In [`STATES`].
    state: usize,
    requests: Option<u64>,
    tokens: Option<u64>,
}

/// What is on the proxy port at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Inside {
    /// Clients' connections.
    pub connections: usize,
    /// Requests that are being served.
    pub requests: usize,
}

/// Everything, as text: the counters, and live state at this moment; the
/// ledger's where there is one.
pub fn scrape(
    counts: &Counts,
    (config, board): (&Config, &Board),
    inside: Inside,
    ledger: Option<&ledger::State>,
    now: Moment,
) -> String {
    let mut families = counts.metrics.registry.gather();
    families.extend(gauges(config, board, inside, now).gather());
    families.extend(ledger.into_iter().flat_map(|state| books(state).gather()));
    let encoder = TextEncoder::new();
    // It fails for a family without a value, which is not gathered.
    encoder.encode_to_string(&families).unwrap_or_default()
}

/// Made anew each time: what is no longer configured has no state.
fn gauges(config: &Config, board: &Board, inside: Inside, now: Moment) -> Registry {
    let registry = Registry::new();
    let vec = |name: &str, help: &str, labels: &[&str]| {
        registered(&registry, IntGaugeVec::new(Opts::new(name, help), labels))
    };
    let states = vec(
        "standin_target_state",
        "1 for the state that a model is in at a provider, the worst one of its targets there, and 0 for the others.",
        &["model", "provider", "state"],
    );
    let remaining = vec(
        "standin_ratelimit_remaining",
        "Requests and tokens that are left by the provider's last word, while it holds.",
        &["model", "provider", "kind"],
    );
    let gauge = |name: &str, help: &str| registered(&registry, IntGauge::new(name, help));
    gauge(
        "standin_in_flight",
        "Requests on the proxy port that are being served.",
    )
    .set(whole(inside.requests as u64));
    gauge(
        "standin_connections",
        "Clients' connections to the proxy port.",
    )
    .set(whole(inside.connections as u64));
    for ((model, provider), row) in rows(config, board, now) {
        for (at, state) in STATES.into_iter().enumerate() {
            let labels = [&*model, &*provider, state.label()];
            let is_it = i64::from(at == row.state);
            states.with_label_values(&labels).set(is_it);
        }
        for (kind, left) in [("requests", row.requests), ("tokens", row.tokens)] {
            if let Some(left) = left {
                let labels = [&*model, &*provider, kind];
                remaining.with_label_values(&labels).set(whole(left));
            }
        }
    }
    registry
}

/// How the ledger is.
fn books(state: &ledger::State) -> Registry {
    let registry = Registry::new();
    let gauge = |name: &str, help: &str| registered(&registry, IntGauge::new(name, help));
    let counter = |name: &str, help: &str| registered(&registry, IntCounter::new(name, help));
    let waiting = state.waiting as u64;
    let pending = state.appended.saturating_sub(state.imported);
    gauge(
        "standin_ledger_pending",
        "Records that are not in the database yet, those that wait in memory among them.",
    )
    .set(whole(pending.saturating_add(waiting)));
    let help = "1 while records cannot be made durable (journal) or do not reach the database (database), else 0.";
    let options = Opts::new("standin_ledger_trouble", help);
    let troubles = registered(&registry, IntGaugeVec::new(options, &["part"]));
    for (part, trouble) in [("database", &state.database), ("journal", &state.journal)] {
        let is_there = i64::from(trouble.is_some());
        troubles.with_label_values(&[part]).set(is_there);
    }
    counter(
        "standin_ledger_lost_total",
        "Records that could not be kept: memory was full while they could not be written.",
    )
    .inc_by(state.lost);
    counter(
        "standin_ledger_damaged_total",
        "Records that were durable and cannot be read any more; their segments are kept aside.",
    )
    .inc_by(state.damaged);
    registry
}

/// By model and provider, for every listed name.
fn rows(config: &Config, board: &Board, now: Moment) -> BTreeMap<(String, String), Row> {
    let mut rows = BTreeMap::new();
    for name in &config.listed {
        let model = config.model(name);
        for target in model.iter().flat_map(|model| &model.targets) {
            let status = board.status(target, now);
            let provider = target.provider.name.to_string();
            let row: &mut Row = rows.entry((name.to_string(), provider)).or_default();
            let state = STATES.iter().position(|state| *state == status.state);
            row.state = row.state.max(state.unwrap_or_default());
            for (least, report) in [
                (&mut row.requests, status.requests),
                (&mut row.tokens, status.tokens),
            ] {
                let left = report.map(|report| report.remaining);
                *least = least.iter().copied().chain(left).min();
            }
        }
    }
    rows
}

fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
