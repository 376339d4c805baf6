//! The database's tables, and how it is opened.
//!
//! `hourly` holds the sums of each hour, brought by the same transactions as
//! the rows, so that years of usage are added up in a moment. It also says
//! among which numbers an hour's rows are: an index on their time would cost
//! each row as much as an eighth of its way here, for questions that are
//! seldom asked.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

/// Of everything in the database.
const SCHEMA: u32 = 2;

/// How long a writer waits for another one, such as a person's shell.
const PATIENCE: Duration = Duration::from_secs(1);

/// Large pages: rows come in batches and are seldom looked for one by one.
const PRAGMAS: &str = "
PRAGMA page_size = 16384;
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
";

const TABLES: &str = "
CREATE TABLE meta (name TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;
CREATE TABLE usage (
  seq INTEGER PRIMARY KEY,
  time INTEGER NOT NULL, -- milliseconds since 1970, UTC
  request_id TEXT NOT NULL,
  key TEXT,
  tags TEXT NOT NULL, -- JSON
  requested TEXT NOT NULL, -- JSON
  model TEXT NOT NULL,
  provider TEXT NOT NULL,
  upstream_model TEXT NOT NULL,
  reported_model TEXT,
  upstream_request_id TEXT,
  endpoint TEXT NOT NULL,
  input_tokens INTEGER NOT NULL,
  cached_tokens INTEGER NOT NULL,
  cache_write_tokens INTEGER NOT NULL,
  input_audio_tokens INTEGER NOT NULL,
  output_tokens INTEGER NOT NULL,
  reasoning_tokens INTEGER NOT NULL,
  output_audio_tokens INTEGER NOT NULL,
  estimated INTEGER NOT NULL,
  service_tier TEXT,
  cost_micro INTEGER, -- micro-dollars
  cost_pico INTEGER, -- and what is below, in 10^-12 dollars
  prices TEXT, -- JSON
  trail TEXT NOT NULL, -- JSON
  first_token_ms INTEGER,
  duration_ms INTEGER,
  streamed INTEGER NOT NULL,
  ended TEXT NOT NULL,
  cost_usd TEXT GENERATED ALWAYS AS
    (CASE WHEN cost_micro IS NOT NULL
      THEN printf('%d.%06d%06d', cost_micro / 1000000, cost_micro % 1000000, cost_pico) END) VIRTUAL
);
CREATE TABLE discarded (
  seq INTEGER PRIMARY KEY,
  time INTEGER NOT NULL,
  request_id TEXT NOT NULL,
  key TEXT,
  model TEXT NOT NULL,
  provider TEXT NOT NULL,
  upstream_model TEXT NOT NULL,
  outcome TEXT NOT NULL,
  status INTEGER,
  input_tokens INTEGER,
  cached_tokens INTEGER,
  cache_write_tokens INTEGER,
  input_audio_tokens INTEGER,
  output_tokens INTEGER,
  reasoning_tokens INTEGER,
  output_audio_tokens INTEGER,
  upstream_request_id TEXT
);
CREATE INDEX discarded_time ON discarded (time);
CREATE TABLE hourly (
  hour INTEGER NOT NULL, -- hours since 1970, UTC
  model TEXT NOT NULL,
  provider TEXT NOT NULL,
  key TEXT NOT NULL, -- '' for none
  requests INTEGER NOT NULL,
  unpriced INTEGER NOT NULL,
  input_tokens INTEGER NOT NULL,
  cached_tokens INTEGER NOT NULL,
  output_tokens INTEGER NOT NULL,
  reasoning_tokens INTEGER NOT NULL,
  cost_micro INTEGER NOT NULL,
  cost_pico INTEGER NOT NULL,
  first_seq INTEGER NOT NULL, -- the rows are among these, and others with them
  last_seq INTEGER NOT NULL,
  PRIMARY KEY (hour, model, provider, key)
) WITHOUT ROWID;
INSERT INTO meta VALUES ('instance', lower(hex(randomblob(16)))), ('position', 0), ('kept_since', 0);
";

/// What is wrong, with the database's name.
pub(super) fn tell(path: &Path) -> impl Fn(rusqlite::Error) -> String {
    move |error| format!("{}: {error}", path.display())
}

/// One of `meta`'s numbers.
pub(super) fn meta(connection: &Connection, name: &str) -> rusqlite::Result<i64> {
    let sql = "SELECT value FROM meta WHERE name = ?1";
    connection.query_row(sql, [name], |row| row.get(0))
}

/// Whether it is a ledger that this version knows.
///
/// # Errors
/// What it is instead.
pub(super) fn recognize(connection: &Connection, path: &Path) -> Result<bool, String> {
    let schema = connection.pragma_query_value(None, "user_version", |row| row.get::<_, u32>(0));
    match schema.map_err(tell(path))? {
        SCHEMA => Ok(true),
        0 => {
            let sql = "SELECT count(*) FROM sqlite_schema";
            let tables: i64 = connection
                .query_row(sql, [], |row| row.get(0))
                .map_err(tell(path))?;
            match tables {
                0 => Ok(false),
                _ => Err(format!("{}: a database, but no ledger", path.display())),
            }
        }
        older if older < SCHEMA => Err(format!(
            "{}: a ledger of version {older}; this standin knows {SCHEMA}: move it away",
            path.display()
        )),
        newer => Err(format!(
            "{}: a ledger of version {newer}, which a newer standin made; this one knows {SCHEMA}",
            path.display()
        )),
    }
}

/// Makes a database ready for writing, and a new one a ledger.
///
/// # Errors
/// In words: it is locked, read-only, damaged, something else, older, newer.
pub(super) fn prepare(connection: &mut Connection, path: &Path) -> Result<(), String> {
    connection.busy_timeout(PATIENCE).map_err(tell(path))?;
    if connection.is_readonly("main").map_err(tell(path))? {
        return Err(format!("{}: cannot be written", path.display()));
    }
    let is_there = recognize(connection, path)?;
    connection.execute_batch(PRAGMAS).map_err(tell(path))?;
    if !is_there {
        let mut make = || {
            let all = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            all.execute_batch(TABLES)?;
            all.pragma_update(None, "user_version", SCHEMA)?;
            all.commit()
        };
        make().map_err(tell(path))?;
    }
    Ok(())
}

/// A connection that reads only; `None` where there is no database yet.
///
/// # Errors
/// In words, as for writing.
pub(super) fn for_reading(path: &Path) -> Result<Option<Connection>, String> {
    if !path.exists() {
        return Ok(None);
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(tell(path))?;
    connection.busy_timeout(PATIENCE).map_err(tell(path))?;
    connection.execute_batch("BEGIN").map_err(tell(path))?;
    Ok(recognize(&connection, path)?.then_some(connection))
}
