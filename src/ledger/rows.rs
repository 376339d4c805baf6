//! Single rows read back, and how they look in JSON.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use rusqlite::Row;
use rusqlite::types::Type;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::reader::{tokens, usd};
use super::record::{COLUMNS, Discarded, Ended, Record, millis, row as counts};
use crate::usage::Tokens;

/// An attempt that was thrown away, read back.
pub type Gone = Discarded<'static>;

pub(super) const AFTER: &str = "SELECT seq, time, request_id, key, tags, requested, model, \
    provider, upstream_model, reported_model, upstream_request_id, endpoint, estimated, \
    service_tier, cost_micro, cost_pico, prices, trail, first_token_ms, duration_ms, streamed, \
    ended, input_tokens, cached_tokens, cache_write_tokens, input_audio_tokens, output_tokens, \
    reasoning_tokens, output_audio_tokens FROM usage WHERE seq > ?1 ORDER BY seq LIMIT ?2";

pub(super) const DISCARDED: &str = "SELECT time, request_id, key, model, provider, \
    upstream_model, outcome, status, upstream_request_id, input_tokens, cached_tokens, \
    cache_write_tokens, input_audio_tokens, output_tokens, reasoning_tokens, \
    output_audio_tokens FROM discarded WHERE time >= ?1 ORDER BY time, seq";

fn text(row: &Row<'_>, at: usize) -> rusqlite::Result<Cow<'static, str>> {
    row.get::<_, String>(at).map(Cow::Owned)
}

fn maybe(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<Cow<'static, str>>> {
    Ok(row.get::<_, Option<String>>(at)?.map(Cow::Owned))
}

fn time(row: &Row<'_>, at: usize) -> rusqlite::Result<SystemTime> {
    let millis = row.get::<_, i64>(at)?.unsigned_abs();
    let time = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(millis));
    Ok(time.unwrap_or(SystemTime::UNIX_EPOCH))
}

/// A row of [`AFTER`] with its number.
pub(super) fn record(row: &Row<'_>) -> rusqlite::Result<(u64, Record<'static>)> {
    let number = |at| {
        let number = row.get::<_, Option<i64>>(at);
        number.map(|number| number.map(i64::unsigned_abs))
    };
    let wrong = |at| {
        move |error| rusqlite::Error::FromSqlConversionFailure(at, Type::Text, Box::new(error))
    };
    let cost = match (number(14)?, number(15)?) {
        (Some(micro), Some(pico)) => Some(usd(micro, pico)),
        _ => None,
    };
    let requested: Vec<String> = serde_json::from_str(&text(row, 5)?).map_err(wrong(5))?;
    let ended: Ended = serde_json::from_value(text(row, 21)?.into()).map_err(wrong(21))?;
    let record = Record {
        time: time(row, 1)?,
        request_id: text(row, 2)?,
        key: maybe(row, 3)?,
        tags: text(row, 4)?,
        requested: requested.into_iter().map(Cow::Owned).collect(),
        model: text(row, 6)?,
        provider: text(row, 7)?,
        upstream_model: text(row, 8)?,
        reported_model: maybe(row, 9)?,
        upstream_request_id: maybe(row, 10)?,
        endpoint: text(row, 11)?,
        estimated: row.get(12)?,
        service_tier: maybe(row, 13)?,
        cost,
        prices: maybe(row, 16)?,
        trail: text(row, 17)?,
        first_token: number(18)?.map(Duration::from_millis),
        duration: number(19)?.map(Duration::from_millis),
        streamed: row.get(20)?,
        ended,
        tokens: tokens(row, 22)?.unwrap_or_default(),
    };
    Ok((number(0)?.unwrap_or_default(), record))
}

/// A row of [`DISCARDED`].
pub(super) fn discarded(row: &Row<'_>) -> rusqlite::Result<Gone> {
    Ok(Discarded {
        time: time(row, 0)?,
        request_id: text(row, 1)?,
        key: maybe(row, 2)?,
        model: text(row, 3)?,
        provider: text(row, 4)?,
        upstream_model: text(row, 5)?,
        outcome: text(row, 6)?,
        status: row.get(7)?,
        upstream_request_id: maybe(row, 8)?,
        tokens: tokens(row, 9)?,
    })
}

/// The same, beyond the frame that it stands in.
pub(super) fn owned(it: &Discarded<'_>) -> Gone {
    let own = |text: &Cow<'_, str>| Cow::Owned(text.clone().into_owned());
    Discarded {
        time: it.time,
        request_id: own(&it.request_id),
        key: it.key.as_ref().map(own),
        model: own(&it.model),
        provider: own(&it.provider),
        upstream_model: own(&it.upstream_model),
        outcome: own(&it.outcome),
        status: it.status,
        tokens: it.tokens,
        upstream_request_id: it.upstream_request_id.as_ref().map(own),
    }
}

/// A row as collectors see it: the table's columns, JSON columns as JSON,
/// money as a decimal text.
#[derive(Serialize)]
struct Line<'a> {
    instance: &'a str,
    seq: u64,
    time: i64,
    request_id: &'a str,
    key: Option<&'a str>,
    tags: Box<RawValue>,
    requested: &'a [Cow<'a, str>],
    model: &'a str,
    provider: &'a str,
    upstream_model: &'a str,
    reported_model: Option<&'a str>,
    upstream_request_id: Option<&'a str>,
    endpoint: &'a str,
    #[serde(flatten)]
    tokens: Columns<'a>,
    estimated: bool,
    service_tier: Option<&'a str>,
    cost_usd: Option<String>,
    prices: Option<Box<RawValue>>,
    trail: Box<RawValue>,
    first_token_ms: Option<u64>,
    duration_ms: Option<u64>,
    streamed: bool,
    ended: Ended,
}

/// Tokens under the names of their columns.
pub(super) struct Columns<'a>(pub(super) &'a Tokens);

impl Serialize for Columns<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(COLUMNS.into_iter().zip(counts(self.0)))
    }
}

/// One row for a collector, on one line.
pub(super) fn json(instance: &str, seq: u64, record: &Record<'_>) -> String {
    let period = |period: Option<Duration>| period.and_then(|p| u64::try_from(p.as_millis()).ok());
    let line = Line {
        instance,
        seq,
        time: millis::of(record.time),
        request_id: &record.request_id,
        key: record.key.as_deref(),
        tags: embedded(&record.tags),
        requested: &record.requested,
        model: &record.model,
        provider: &record.provider,
        upstream_model: &record.upstream_model,
        reported_model: record.reported_model.as_deref(),
        upstream_request_id: record.upstream_request_id.as_deref(),
        endpoint: &record.endpoint,
        tokens: Columns(&record.tokens),
        estimated: record.estimated,
        service_tier: record.service_tier.as_deref(),
        cost_usd: record.cost.map(|cost| cost.to_string()),
        prices: record.prices.as_deref().map(embedded),
        trail: embedded(&record.trail),
        first_token_ms: period(record.first_token),
        duration_ms: period(record.duration),
        streamed: record.streamed,
        ended: record.ended,
    };
    serde_json::to_string(&line).unwrap_or_default()
}

/// JSON as it is, but never with a line's end in it; other text as a string.
fn embedded(text: &str) -> Box<RawValue> {
    let json = (!text.contains('\n')).then(|| RawValue::from_string(text.to_owned()));
    match json {
        Some(Ok(json)) => json,
        Some(Err(_)) | None => {
            let text = serde_json::value::to_raw_value(text);
            text.unwrap_or_else(|_| RawValue::NULL.to_owned())
        }
    }
}
