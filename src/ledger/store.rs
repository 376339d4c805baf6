//! The database: SQLite, written by the import alone and read by whoever
//! likes.
//!
//! Money stands in two columns of whole numbers, micro-dollars and the parts
//! of 10⁻¹² dollars below one of them, so that `sum()` over either is exact:
//! one column of 10⁻¹² would overflow at nine million dollars, and text would
//! be added as floats. `cost_usd` beside them is the same as a decimal text.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, Statement, Transaction, TransactionBehavior, params};

use super::import::{Sink, breathe};
use super::record::{COLUMNS, Discarded, Entry, Record, millis, row};
use super::schema::{meta, prepare, tell};
use super::sums::Sums;
use crate::usage::Usd;

pub(super) const HOUR: i64 = 3_600_000;

/// Parts of 10⁻¹² dollars in a micro-dollar.
pub(super) const MICRO: u128 = 1_000_000;

/// No request is believed to cost or to use more: sums must not overflow
/// because of what one upstream says.
const MOST_MICROS: i64 = 1_000_000_000_000_000;
const MOST_TOKENS: i64 = 1_000_000_000_000;

/// The database of one ledger, open for writing.
pub(super) struct Store {
    path: PathBuf,
    connection: Connection,
}

impl Store {
    /// Opens it, and makes it where it is not there.
    ///
    /// # Errors
    /// In words: it is locked, read-only, damaged, something else, newer.
    pub(super) fn open(path: &Path) -> Result<Self, String> {
        let mut connection = Connection::open(path).map_err(tell(path))?;
        prepare(&mut connection, path)?;
        Ok(Self {
            path: path.to_owned(),
            connection,
        })
    }

    fn begin(&mut self) -> rusqlite::Result<Transaction<'_>> {
        let immediate = TransactionBehavior::Immediate;
        self.connection.transaction_with_behavior(immediate)
    }
}

impl Sink for Store {
    fn position(&mut self) -> Result<u64, String> {
        let position = meta(&self.connection, "position").map_err(tell(&self.path))?;
        Ok(position.unsigned_abs())
    }

    fn take(&mut self, from: u64, to: u64, batch: &[(u64, Entry<'_>)]) -> Result<(), String> {
        let path = self.path.clone();
        let mut take = || {
            let all = self.begin()?;
            let sql = "UPDATE meta SET value = ?2 WHERE name = 'position' AND value = ?1";
            let moved = all.execute(sql, params![whole(from), whole(to)])?;
            if moved == 1 {
                fill(&all, batch)?;
                all.commit()?;
            }
            Ok(moved == 1)
        };
        match take().map_err(tell(&path))? {
            true => Ok(()),
            false => Err(format!("{}: someone else wrote to it", path.display())),
        }
    }

    fn trim(&mut self, before: i64, most: usize) -> Result<usize, String> {
        let path = self.path.clone();
        let mut trim = || {
            let all = self.begin()?;
            // Readers look no further back, whether or not rows are left there.
            let sql = "UPDATE meta SET value = ?1 WHERE name = 'kept_since' AND value < ?1";
            all.execute(sql, [before])?;
            let hour = before / HOUR;
            let mut gone = 0;
            let sql = "SELECT max(last_seq) FROM hourly WHERE hour < ?1";
            if let Some(last) = all.query_row(sql, [hour], |row| row.get::<_, Option<i64>>(0))? {
                let sql = "DELETE FROM usage WHERE seq IN (SELECT seq FROM usage \
                     WHERE seq <= ?1 AND time < ?2 ORDER BY seq LIMIT ?3)";
                gone = all.execute(sql, params![last, before, whole(most as u64)])?;
                // Last, since they say where there are rows to go.
                if gone < most {
                    all.execute("DELETE FROM hourly WHERE hour < ?1", [hour])?;
                }
            }
            let sql = "DELETE FROM discarded WHERE seq IN (SELECT seq FROM discarded \
                 WHERE time < ?1 LIMIT ?2)";
            gone += all.execute(sql, params![before, whole((most - gone) as u64)])?;
            all.commit()?;
            Ok(gone)
        };
        trim().map_err(tell(&path))
    }
}

/// What `hourly` groups by: hour, model, provider, key.
type Group<'a> = (i64, &'a str, &'a str, &'a str);

fn fill(all: &Transaction<'_>, batch: &[(u64, Entry<'_>)]) -> rusqlite::Result<()> {
    // Kept by the connection from batch to batch.
    let mut usage = all.prepare_cached(&insert("usage", &USAGE))?;
    let mut discarded = all.prepare_cached(&insert("discarded", &DISCARDED))?;
    let mut hours: HashMap<Group<'_>, (Sums, [u64; 2])> = HashMap::new();
    for (place, (seq, entry)) in batch.iter().enumerate() {
        breathe(place);
        match entry {
            Entry::Usage(record) => {
                put_usage(&mut usage, *seq, record)?;
                let key = record.key.as_deref().unwrap_or_default();
                let hour = entry.millis() / HOUR;
                let group = (hour, &*record.model, &*record.provider, key);
                let (sums, [_, last]) = hours.entry(group).or_insert((Sums::default(), [*seq; 2]));
                sums.add(record);
                *last = *seq;
            }
            Entry::Discarded(record) => put_discarded(&mut discarded, *seq, record)?,
        }
    }
    let sums = "requests unpriced input_tokens cached_tokens output_tokens reasoning_tokens cost_micro cost_pico";
    let more: Vec<String> = sums
        .split(' ')
        .map(|sum| format!("{sum} = {sum} + excluded.{sum}"))
        .collect();
    let mut hourly = all.prepare_cached(&format!(
        "INSERT INTO hourly VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14) \
         ON CONFLICT DO UPDATE SET last_seq = excluded.last_seq, {}",
        more.join(", ")
    ))?;
    for ((hour, model, provider, key), (sums, [first, last])) in hours {
        let [micro, pico] = money(sums.cost);
        hourly.execute(params![
            hour,
            model,
            provider,
            key,
            whole(sums.requests),
            whole(sums.unpriced),
            whole(sums.input),
            whole(sums.cached),
            whole(sums.output),
            whole(sums.reasoning),
            micro,
            pico,
            whole(first),
            whole(last),
        ])?;
    }
    Ok(())
}

const USAGE: [&str; 21] = [
    "seq",
    "time",
    "request_id",
    "key",
    "tags",
    "requested",
    "model",
    "provider",
    "upstream_model",
    "reported_model",
    "upstream_request_id",
    "endpoint",
    "estimated",
    "service_tier",
    "cost_micro",
    "cost_pico",
    "prices",
    "trail",
    "first_token_ms",
    "duration_ms",
    "streamed",
];

const DISCARDED: [&str; 10] = [
    "seq",
    "time",
    "request_id",
    "key",
    "model",
    "provider",
    "upstream_model",
    "outcome",
    "status",
    "upstream_request_id",
];

fn insert(table: &str, columns: &[&str]) -> String {
    let mut columns = [columns, &COLUMNS].concat();
    if table == "usage" {
        columns.push("ended");
    }
    let places: Vec<String> = (1..=columns.len()).map(|n| format!("?{n}")).collect();
    let (columns, places) = (columns.join(", "), places.join(", "));
    format!("INSERT INTO {table} ({columns}) VALUES ({places})")
}

fn put_usage(to: &mut Statement<'_>, seq: u64, record: &Record<'_>) -> rusqlite::Result<()> {
    let requested = serde_json::to_string(&record.requested).unwrap_or_default();
    let cost = record.cost.map(believed).map(money);
    let period = |period: Option<Duration>| period.map(|p| i64::try_from(p.as_millis()).ok());
    let [a, b, c, d, e, f, g] = row(&record.tokens).map(tokens);
    let values = params![
        whole(seq),
        millis::of(record.time),
        record.request_id,
        record.key,
        record.tags,
        requested,
        record.model,
        record.provider,
        record.upstream_model,
        record.reported_model,
        record.upstream_request_id,
        record.endpoint,
        record.estimated,
        record.service_tier,
        cost.map(|cost| cost[0]),
        cost.map(|cost| cost[1]),
        record.prices,
        record.trail,
        period(record.first_token),
        period(record.duration),
        record.streamed,
        a,
        b,
        c,
        d,
        e,
        f,
        g,
        record.ended.label(),
    ];
    to.execute(values).map(drop)
}

fn put_discarded(to: &mut Statement<'_>, seq: u64, it: &Discarded<'_>) -> rusqlite::Result<()> {
    let counts = it.tokens.as_ref().map(|counts| row(counts).map(tokens));
    let [a, b, c, d, e, f, g] = match counts {
        Some(counts) => counts.map(Some),
        None => [None; 7],
    };
    let values = params![
        whole(seq),
        millis::of(it.time),
        it.request_id,
        it.key,
        it.model,
        it.provider,
        it.upstream_model,
        it.outcome,
        it.status,
        it.upstream_request_id,
        a,
        b,
        c,
        d,
        e,
        f,
        g,
    ];
    to.execute(values).map(drop)
}

fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn tokens(count: u64) -> i64 {
    whole(count).min(MOST_TOKENS)
}

/// The count that stands in the row, for sums beside it.
pub(super) fn counted(count: u64) -> u64 {
    tokens(count).unsigned_abs()
}

/// The cost that stands in the row, for sums beside it.
pub(super) fn believed(cost: Usd) -> Usd {
    let most = u128::from(MOST_MICROS.unsigned_abs()) * MICRO;
    Usd::from_pico(cost.pico().min(most))
}

/// Micro-dollars, and the parts of 10⁻¹² dollars below.
fn money(cost: Usd) -> [i64; 2] {
    let micro = i64::try_from(cost.pico() / MICRO).unwrap_or(i64::MAX);
    let pico = i64::try_from(cost.pico() % MICRO).unwrap_or_default();
    [micro, pico]
}
