//! A ledger in a folder of its own, with made-up records and a clock that is
//! set by hand.

mod any;
mod damage;
mod death;
mod frames;
mod handing;
mod keeping;
mod reading;

use std::borrow::Cow;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use super::import::{Open, Sink};
use super::store::Store;
use super::*;
use crate::config::OnError;
use crate::usage::{Tokens, Usd};

/// 2026-03-01, half past noon, in seconds.
const START: u64 = 1_772_368_200;

struct Place {
    folder: PathBuf,
    config: config::Ledger,
    seconds: Arc<AtomicU64>,
}

impl Place {
    fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("standin-ledger-{}-{count}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).unwrap();
        Self::at(folder)
    }

    fn at(folder: PathBuf) -> Self {
        let config = config::Ledger {
            path: folder.join("usage.db"),
            on_error: OnError::Serve,
            retention: None,
        };
        Self {
            folder,
            config,
            seconds: Arc::new(AtomicU64::new(START)),
        }
    }

    fn clock(&self) -> Clock {
        let seconds = Arc::clone(&self.seconds);
        Arc::new(move || at(seconds.load(Ordering::Relaxed)))
    }

    fn open(&self) -> Ledger {
        self.try_open().unwrap()
    }

    fn try_open(&self) -> Result<Ledger, String> {
        let now = self.clock();
        Ledger::open(&self.config, move || now())
    }

    /// One with short segments.
    fn open_short(&self) -> Ledger {
        let path = self.config.path.clone();
        let open: Open = Box::new(move || Ok(Box::new(Store::open(&path)?) as Box<dyn Sink>));
        Ledger::with(&self.config, open, 4096, self.clock()).unwrap()
    }

    /// One whose database takes nothing.
    fn open_stuck(&self) -> Ledger {
        let open: Open = Box::new(|| Ok(Box::new(Stuck) as Box<dyn Sink>));
        Ledger::with(&self.config, open, 4096, self.clock()).unwrap()
    }

    fn reader(&self) -> Reader {
        Reader::open(&self.config.path).unwrap()
    }

    /// The endings of the files in the journal.
    fn files(&self, ending: &str) -> Vec<PathBuf> {
        let files = fs::read_dir(folder::folder(&self.config.path)).unwrap();
        let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
        files.retain(|path| path.extension().is_some_and(|e| e == ending));
        files.sort();
        files
    }

    /// Number and request id of every row.
    fn rows(&self) -> Vec<(u64, String)> {
        let page = self.reader().after(0, usize::MAX).unwrap();
        let rows = page.rows.iter().map(|row| {
            let row: serde_json::Value = serde_json::from_str(row).unwrap();
            let id = row["request_id"].as_str().unwrap().to_owned();
            (row["seq"].as_u64().unwrap(), id)
        });
        rows.collect()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

struct Stuck;

impl Sink for Stuck {
    fn position(&mut self) -> Result<u64, String> {
        Ok(0)
    }

    fn take(&mut self, _: u64, _: u64, _: &[(u64, Entry<'_>)]) -> Result<(), String> {
        Err("stuck".to_owned())
    }

    fn trim(&mut self, _: i64, _: usize) -> Result<usize, String> {
        Err("stuck".to_owned())
    }
}

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn record(id: &str) -> Record<'_> {
    Record {
        time: at(START),
        request_id: id.into(),
        key: Some("team".into()),
        tags: r#"{"cost-centre":"7"}"#.into(),
        requested: vec!["openai/gpt-4o".into(), "a \"quoted\"\nname".into()],
        model: "openai/gpt-4o".into(),
        provider: "openai".into(),
        upstream_model: "gpt-4o".into(),
        reported_model: Some("gpt-4o-2024-08-06".into()),
        upstream_request_id: Some("req_1".into()),
        endpoint: "/v1/chat/completions".into(),
        tokens: Tokens {
            input: 1000,
            cached: 100,
            cache_write: 1,
            input_audio: 2,
            output: 50,
            reasoning: 20,
            output_audio: 3,
        },
        estimated: false,
        service_tier: Some("default".into()),
        cost: Some(Usd::from_pico(3_000_001_000_007)),
        prices: Some(r#"{"input":"2.50"}"#.into()),
        trail: r#"[{"model":"openai/gpt-4o","status":200}]"#.into(),
        first_token: Some(Duration::from_millis(210)),
        duration: Some(Duration::from_millis(1900)),
        streamed: true,
        ended: Ended::Answered,
    }
}

fn usage(id: &str) -> Entry<'_> {
    Entry::Usage(record(id))
}

fn thrown_away(id: &str) -> Discarded<'_> {
    Discarded {
        time: at(START),
        request_id: id.into(),
        key: None,
        model: "openai/gpt-4o".into(),
        provider: "openai".into(),
        upstream_model: "gpt-4o".into(),
        outcome: Cow::Borrowed("timeout"),
        status: Some(200),
        tokens: Some(Tokens {
            input: 9,
            ..Tokens::default()
        }),
        upstream_request_id: Some("req_9".into()),
    }
}

/// Numbers that look random and are the same each time (xorshift64*).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % sides
    }
}
