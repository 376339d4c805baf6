//! `standin usage`: what the ledger says was used and what it cost.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use chrono::{DateTime, SecondsFormat, Utc};
use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};

use super::{Failed, print};
use crate::base;
use crate::ledger::{By, Gone, Reader, Sums, Totals};
use crate::server::Source;
use crate::usage::Tokens;

/// What is asked.
#[derive(Debug, Args)]
pub(super) struct Question {
    /// The configuration file, which names the ledger; else as for `serve`
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// How far back: 24h, 90m, 30d
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = age)]
    since: Duration,
    /// What to group by
    #[arg(long, value_enum, default_value_t = Grouping::Model)]
    by: Grouping,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// List the attempts that were thrown away, for which a provider may
    /// charge though no client was billed
    #[arg(long, conflicts_with = "by")]
    reconcile: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Grouping {
    Model,
    Key,
    Provider,
    Day,
}

/// A duration as in the configuration, or in days.
fn age(text: &str) -> Result<Duration, String> {
    let days = text.strip_suffix('d').and_then(|days| days.parse().ok());
    let hours = days.and_then(|days: u32| days.checked_mul(24));
    match hours {
        Some(hours) => Ok(Duration::from_hours(hours.into())),
        None => base::duration(text).map_err(|error| error.to_string()),
    }
}

pub(super) fn run(question: Question) -> Result<(), Failed> {
    let source = Source::find(question.config);
    let config = source.load().map_err(Failed::Configuration)?;
    let Some(ledger) = config.ledger else {
        let why = "the configuration has no `ledger`, so nothing is written down";
        return Err(Failed::Configuration(why.to_owned()));
    };
    #[expect(clippy::disallowed_methods, reason = "people read the wall clock")]
    let now = SystemTime::now();
    let since = now.checked_sub(question.since);
    let since = since.unwrap_or(SystemTime::UNIX_EPOCH);
    let reader = Reader::open(&ledger.path).map_err(Failed::Running)?;
    let text = if question.reconcile {
        let gone = reader.discarded(since).map_err(Failed::Running)?;
        match question.json {
            true => gone_as_json(since, &gone),
            false => gone_as_text(since, &gone),
        }
    } else {
        let by = match question.by {
            Grouping::Day => By::Day,
            Grouping::Key => By::Key,
            Grouping::Model => By::Model,
            Grouping::Provider => By::Provider,
        };
        let totals = reader.totals(since, by).map_err(Failed::Running)?;
        match question.json {
            true => as_json(since, by, &totals),
            false => as_text(since, by, &totals),
        }
    };
    print(&text)
}

fn moment(time: SystemTime) -> String {
    DateTime::<Utc>::from(time).to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn total(totals: &Totals) -> Sums {
    let mut total = Sums::default();
    for sums in totals.values() {
        total.merge(sums);
    }
    total
}

fn sums(into: &mut Map<String, Value>, sums: &Sums) {
    let cost = sums.known_cost().map(|cost| cost.to_string());
    for (name, value) in [
        ("requests", json!(sums.requests)),
        ("input_tokens", json!(sums.input)),
        ("cached_tokens", json!(sums.cached)),
        ("output_tokens", json!(sums.output)),
        ("reasoning_tokens", json!(sums.reasoning)),
        ("cost_usd", json!(cost)),
        ("unpriced_requests", json!(sums.unpriced)),
    ] {
        into.insert(name.to_owned(), value);
    }
}

fn as_json(since: SystemTime, by: By, totals: &Totals) -> String {
    let rows = totals.iter().map(|(name, of_row)| {
        let mut row = Map::new();
        row.insert(by.label().to_owned(), json!(name));
        sums(&mut row, of_row);
        Value::Object(row)
    });
    let rows: Vec<Value> = rows.collect();
    let mut all = Map::new();
    sums(&mut all, &total(totals));
    let out = json!({ "since": moment(since), "rows": rows, "total": all });
    format!("{out:#}\n")
}

const NAMES: [&str; 6] = [
    "requests",
    "input",
    "cached",
    "output",
    "reasoning",
    "cost USD",
];

fn as_text(since: SystemTime, by: By, totals: &Totals) -> String {
    let line = |name: &str, sums: &Sums| {
        let cost = match sums.known_cost() {
            None => "unknown".to_owned(),
            Some(cost) if sums.unpriced > 0 => format!("{cost} + unknown"),
            Some(cost) => cost.to_string(),
        };
        let counts = [
            sums.requests,
            sums.input,
            sums.cached,
            sums.output,
            sums.reasoning,
        ];
        let counts = counts.iter().map(u64::to_string);
        std::iter::once(shown(name))
            .chain(counts)
            .chain([cost])
            .collect::<Vec<_>>()
    };
    let mut table = vec![
        [by.label()]
            .iter()
            .chain(&NAMES)
            .map(|&n| n.to_owned())
            .collect(),
    ];
    for (name, sums) in totals {
        table.push(line(name.as_deref().unwrap_or("(none)"), sums));
    }
    let all = total(totals);
    table.push(line("total", &all));
    let mut out = format!("since {}\n\n{}", moment(since), aligned(&table, 1));
    if all.unpriced > 0 {
        let _ = write!(
            out,
            "\n{} of {} requests have no known price and are not in the cost\n",
            all.unpriced, all.requests
        );
    }
    out
}

/// Columns side by side; those from `numbers` on to the right.
fn aligned(table: &[Vec<String>], numbers: usize) -> String {
    let columns = table.iter().map(Vec::len).max().unwrap_or(0);
    let width = |at: usize| {
        let cells = table.iter().filter_map(|line| line.get(at));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = String::new();
    for line in table {
        let mut text = String::new();
        for (at, (cell, width)) in line.iter().zip(&widths).enumerate() {
            let gap = if at > 0 { "  " } else { "" };
            let _ = match at < numbers {
                true => write!(text, "{gap}{cell:<width$}"),
                false => write!(text, "{gap}{cell:>width$}"),
            };
        }
        out.push_str(text.trim_end());
        out.push('\n');
    }
    out
}

/// A client's words on an operator's terminal: nothing that moves its cursor.
fn shown(name: &str) -> String {
    name.chars()
        .map(|c| if c.is_control() { '\u{FFFD}' } else { c })
        .collect()
}

fn known(gone: &[Gone]) -> Tokens {
    let mut tokens = Tokens::default();
    for it in gone {
        tokens += it.tokens.unwrap_or_default();
    }
    tokens
}

fn gone_as_json(since: SystemTime, gone: &[Gone]) -> String {
    let rows = gone.iter().map(|it| {
        json!({
            "time": DateTime::<Utc>::from(it.time).to_rfc3339_opts(SecondsFormat::Millis, true),
            "request_id": it.request_id,
            "key": it.key,
            "model": it.model,
            "provider": it.provider,
            "upstream_model": it.upstream_model,
            "outcome": it.outcome,
            "status": it.status,
            "input_tokens": it.tokens.map(|tokens| tokens.input),
            "output_tokens": it.tokens.map(|tokens| tokens.output),
            "upstream_request_id": it.upstream_request_id,
        })
    });
    let rows: Vec<Value> = rows.collect();
    let tokens = known(gone);
    let out = json!({
        "since": moment(since),
        "rows": rows,
        "total": {
            "attempts": gone.len(),
            "input_tokens": tokens.input,
            "output_tokens": tokens.output,
        },
    });
    format!("{out:#}\n")
}

fn gone_as_text(since: SystemTime, gone: &[Gone]) -> String {
    let names = [
        "time",
        "provider",
        "upstream model",
        "outcome",
        "upstream id",
        "status",
        "input",
        "output",
    ];
    let mut table = vec![names.map(str::to_owned).to_vec()];
    for it in gone {
        let count = |of: fn(&Tokens) -> u64| match &it.tokens {
            Some(tokens) => of(tokens).to_string(),
            None => "-".to_owned(),
        };
        table.push(vec![
            moment(it.time),
            shown(&it.provider),
            shown(&it.upstream_model),
            shown(&it.outcome),
            shown(it.upstream_request_id.as_deref().unwrap_or("-")),
            it.status
                .map_or_else(|| "-".to_owned(), |status| status.to_string()),
            count(|tokens| tokens.input),
            count(|tokens| tokens.output),
        ]);
    }
    format!(
        "since {}: {} attempts were thrown away that a provider may charge for\n\n{}",
        moment(since),
        gone.len(),
        aligned(&table, 5)
    )
}
