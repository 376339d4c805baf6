//! What a record costs the request that it belongs to, and what it costs
//! afterwards on its way into the database.
//!
//! `cargo bench --bench ledger`; the README beside this file says how to read
//! it. Writes to the folder of temporary files.

use std::hint::black_box;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use standin::config;
use standin::ledger::{Ended, Entry, Ledger, Record};
use standin::usage::{Tokens, Usd};

/// Records of one import.
const IMPORT: u64 = 10_000;

/// As an answer after one failover leaves it.
fn entry() -> Entry<'static> {
    Entry::Usage(Record {
        time: SystemTime::UNIX_EPOCH + Duration::from_secs(1_772_368_200),
        request_id: "6f1c0d4a9b2e4c7f8a3d5e6f7a8b9c0d".into(),
        key: Some("search-team".into()),
        tags: r#"{"cost-centre":"4711","stage":"production"}"#.into(),
        requested: vec!["openai/gpt-4o".into(), "google/gemini-2.5-flash".into()],
        model: "google/gemini-2.5-flash".into(),
        provider: "google".into(),
        upstream_model: "gemini-2.5-flash".into(),
        reported_model: Some("gemini-2.5-flash".into()),
        upstream_request_id: Some("chatcmpl-AbCdEfGhIjKlMnOpQrStUvWx".into()),
        endpoint: "/v1/chat/completions".into(),
        tokens: Tokens {
            input: 1834,
            cached: 1024,
            output: 412,
            reasoning: 128,
            ..Tokens::default()
        },
        estimated: false,
        service_tier: Some("default".into()),
        cost: Some(Usd::from_pico(1_580_200_000)),
        prices: Some(r#"{"input":"0.30","cached_input":"0.075","output":"2.50"}"#.into()),
        trail: r#"[{"model":"openai/gpt-4o","provider":"openai","outcome":"rate_limited","status":429,"ms":187},{"model":"google/gemini-2.5-flash","provider":"google","outcome":"answered","status":200,"ms":2310}]"#.into(),
        first_token: Some(Duration::from_millis(640)),
        duration: Some(Duration::from_millis(2497)),
        streamed: true,
        ended: Ended::Answered,
    })
}

struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let name = format!("standin-bench-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).expect("the folder of temporary files can be written");
        Self(folder)
    }

    fn open(&self) -> Ledger {
        let config = config::Ledger {
            path: self.0.join("usage.db"),
            on_error: config::OnError::Serve,
            retention: None,
        };
        let opened = Ledger::open(&config, || SystemTime::UNIX_EPOCH);
        opened.expect("nobody else writes it")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn record(c: &mut Criterion) {
    let folder = Folder::new();
    let ledger = folder.open();
    let entry = entry();
    // The import's thread works beside it, as it does in life.
    c.bench_function("ledger/append", |b| {
        b.iter(|| ledger.append(black_box(&entry)));
    });
    let mut group = c.benchmark_group("ledger");
    group
        .throughput(Throughput::Elements(IMPORT))
        .sample_size(10);
    group.bench_function("import", |b| {
        b.iter_batched(
            || {
                let _ = ledger.flush();
                for _ in 0..IMPORT {
                    let _ = ledger.append(&entry);
                }
            },
            |()| ledger.flush(),
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group!(benches, record);
criterion_main!(benches);
