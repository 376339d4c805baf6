//! Reading a ledger back, also while another process writes it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use chrono::DateTime;
use rusqlite::{Row, params};

use super::record::{Entry, Record, millis, of_row};
use super::rows::{self, Gone};
use super::schema::tell;
use super::store::{HOUR, MICRO};
use super::sums::Sums;
use super::view::View;
use crate::usage::{Tokens, Usd};

/// What totals are grouped by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// Days, in UTC.
    Day,
    /// The client keys' names; requests without a key have none.
    Key,
    /// The candidates that answered.
    Model,
    /// Their providers.
    Provider,
}

impl By {
    /// Its name on the command line and in JSON.
    pub fn label(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Key => "key",
            Self::Model => "model",
            Self::Provider => "provider",
        }
    }

    /// The name of a row's group.
    fn group(self, (time, model, provider, key): (i64, &str, &str, &str)) -> Option<String> {
        let name = match self {
            Self::Day => {
                let day = DateTime::from_timestamp_millis(time);
                return day.map(|day| day.date_naive().to_string());
            }
            Self::Key => key,
            Self::Model => model,
            Self::Provider => provider,
        };
        (!name.is_empty()).then(|| name.to_owned())
    }
}

/// Sums by group, in the order of the groups' names.
pub type Totals = BTreeMap<Option<String>, Sums>;

/// Rows as JSON objects, one a line's worth.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Each with `instance` and `seq`.
    pub rows: Vec<String>,
    /// The number to ask after next: the last row's.
    pub last: u64,
}

/// Reads one ledger. Opens it for each question, so that it may be anywhere
/// between not yet there and long replaced.
#[derive(Clone, Debug)]
pub struct Reader {
    path: PathBuf,
}

impl Reader {
    /// The ledger of that database.
    ///
    /// # Errors
    /// It is not there, or cannot be read.
    pub fn open(path: &Path) -> Result<Self, String> {
        View::take(path)?;
        Ok(Self {
            path: path.to_owned(),
        })
    }

    /// Everything since then, added up.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub fn totals(&self, since: SystemTime, by: By) -> Result<Totals, String> {
        let mut totals = Totals::new();
        self.add_up(since, |time, model, provider, key, sums| {
            let group = by.group((time, model, provider, key));
            totals.entry(group).or_default().merge(sums);
        })?;
        Ok(totals)
    }

    /// What a client key has cost since then. Requests without a known price
    /// are not in it.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub fn spent_since(&self, key: &str, since: SystemTime) -> Result<Usd, String> {
        let mut spent = Usd::ZERO;
        self.add_up(since, |_, _, _, whose, sums| {
            if whose == key {
                spent += sums.cost;
            }
        })?;
        Ok(spent)
    }

    /// Whole hours from their sums, what is before the first of them from the
    /// rows, and what is not in the database from the journal.
    fn add_up(
        &self,
        since: SystemTime,
        mut add: impl FnMut(i64, &str, &str, &str, &Sums),
    ) -> Result<(), String> {
        let view = View::take(&self.path)?;
        let since = millis::of(since).max(view.kept_since);
        let hour = since.saturating_add(HOUR - 1) / HOUR;
        if let Some(database) = &view.database {
            let mut add_all = |sql: &str, values: &[i64]| {
                let mut rows = database.prepare(sql)?;
                let mut rows = rows.query(rusqlite::params_from_iter(values))?;
                while let Some(row) = rows.next()? {
                    let text = |at: usize| row.get_ref(at)?.as_str().map_err(rusqlite::Error::from);
                    let (model, provider, key) = (text(1)?, text(2)?, text(3)?);
                    add(row.get(0)?, model, provider, key, &sums(row)?);
                }
                Ok(())
            };
            add_all(HOURS, &[hour]).map_err(tell(&self.path))?;
            let part = [since, hour.saturating_mul(HOUR), hour.saturating_sub(1)];
            add_all(ROWS, &part).map_err(tell(&self.path))?;
        }
        view.pending(|_, entry| {
            if let Entry::Usage(record) = entry
                && entry.millis() >= since
            {
                let mut one = Sums::default();
                one.add(record);
                let key = record.key.as_deref().unwrap_or_default();
                add(entry.millis(), &record.model, &record.provider, key, &one);
            }
            true
        })
    }

    /// The next rows of `usage` after that number, in order. Numbers ascend
    /// but have gaps: discarded attempts have numbers too.
    ///
    /// # Errors
    /// Why they cannot be read.
    pub fn after(&self, seq: u64, limit: usize) -> Result<Page, String> {
        let view = View::take(&self.path)?;
        let mut page = Page {
            rows: Vec::new(),
            last: seq,
        };
        // Without its database the ledger has no name yet.
        let Some(database) = &view.database else {
            return Ok(page);
        };
        let sql = "SELECT value FROM meta WHERE name = 'instance'";
        let instance = database.query_row(sql, [], |row| row.get::<_, String>(0));
        let instance = instance.map_err(tell(&self.path))?;
        let mut read = || {
            let mut rows = database.prepare(rows::AFTER)?;
            let from = i64::try_from(seq).unwrap_or(i64::MAX);
            let most = i64::try_from(limit).unwrap_or(i64::MAX);
            let mut rows = rows.query(params![from, most])?;
            while let Some(row) = rows.next()? {
                let (seq, record) = rows::record(row)?;
                page.push(&instance, seq, &record);
            }
            Ok(())
        };
        read().map_err(tell(&self.path))?;
        view.pending(|number, entry| {
            if page.rows.len() >= limit {
                return false;
            }
            if let Entry::Usage(record) = entry
                && number > seq
            {
                page.push(&instance, number, record);
            }
            true
        })?;
        Ok(page)
    }

    /// Attempts that were thrown away since then, oldest first.
    ///
    /// # Errors
    /// Why they cannot be read.
    pub fn discarded(&self, since: SystemTime) -> Result<Vec<Gone>, String> {
        let view = View::take(&self.path)?;
        let since = millis::of(since).max(view.kept_since);
        let mut all = Vec::new();
        if let Some(database) = &view.database {
            let mut read = || {
                let mut rows = database.prepare(rows::DISCARDED)?;
                let mut rows = rows.query([since])?;
                while let Some(row) = rows.next()? {
                    all.push(rows::discarded(row)?);
                }
                Ok(())
            };
            read().map_err(tell(&self.path))?;
        }
        view.pending(|_, entry| {
            if let Entry::Discarded(discarded) = entry
                && entry.millis() >= since
            {
                all.push(rows::owned(discarded));
            }
            true
        })?;
        Ok(all)
    }
}

impl Page {
    fn push(&mut self, instance: &str, seq: u64, record: &Record<'_>) {
        self.rows.push(rows::json(instance, seq, record));
        self.last = seq;
    }
}

const HOURS: &str = "SELECT hour * 3600000, model, provider, key, requests, unpriced, \
    input_tokens, cached_tokens, output_tokens, reasoning_tokens, cost_micro, cost_pico \
    FROM hourly WHERE hour >= ?1";

const ROWS: &str = "SELECT time, model, provider, ifnull(key, ''), 1, cost_micro IS NULL, \
    input_tokens, cached_tokens, output_tokens, reasoning_tokens, \
    ifnull(cost_micro, 0), ifnull(cost_pico, 0) \
    FROM usage WHERE seq BETWEEN (SELECT min(first_seq) FROM hourly WHERE hour = ?3) \
    AND (SELECT max(last_seq) FROM hourly WHERE hour = ?3) AND time >= ?1 AND time < ?2";

/// The sums of a row of [`HOURS`] or [`ROWS`].
fn sums(row: &Row<'_>) -> rusqlite::Result<Sums> {
    let number = |at| row.get::<_, i64>(at).map(i64::unsigned_abs);
    Ok(Sums {
        requests: number(4)?,
        unpriced: number(5)?,
        input: number(6)?,
        cached: number(7)?,
        output: number(8)?,
        reasoning: number(9)?,
        cost: usd(number(10)?, number(11)?),
    })
}

/// The amount of the two columns.
pub(super) fn usd(micro: u64, pico: u64) -> Usd {
    Usd::from_pico(u128::from(micro) * MICRO + u128::from(pico))
}

/// Tokens from that column on.
pub(super) fn tokens(row: &Row<'_>, from: usize) -> rusqlite::Result<Option<Tokens>> {
    let mut counts = [0; 7];
    for (at, count) in (from..).zip(&mut counts) {
        match row.get::<_, Option<i64>>(at)? {
            Some(number) => *count = number.unsigned_abs(),
            None => return Ok(None),
        }
    }
    Ok(Some(of_row(counts)))
}
