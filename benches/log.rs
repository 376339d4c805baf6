//! What one line of the log costs the thread of its request: in JSON and in
//! text, beside `format!` through env_logger, into nothing.
//!
//! `cargo bench --bench log`; the README beside this file says how to read it.

mod walk;
mod world;

use std::fs::OpenOptions;
use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use env_logger::{Builder, Logger, Target, WriteStyle};
use log::{Level, LevelFilter, Log as _, Record};
use standin::config::LogFormat;
use standin::health::Board;
use standin::journey::{Ask, Entry, Receipt};
use standin::logs::Log;
use tokio::time::Instant;

use world::World;

const ANSWER: &str = r#"{"id":"c","model":"up","choices":[{"index":0,"message":{"role":"assistant","content":"Hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1000,"completion_tokens":200}}"#;

/// A request that the first candidates fail and the last answers.
fn ended(models: &[&str]) -> (Ask, Receipt) {
    let config = world::config(
        "providers:\n  p: { base_url: \"http://127.0.0.1:1\" }\n  \
         bad: { base_url: \"http://127.0.0.1:2\" }\nmodels:\n  \
         p/gpt-4o: { price: { input: 2.5, output: 10 } }\n",
    );
    let board = Board::new(&config, None, Instant::now().into_std());
    let body = serde_json::json!({"models": models, "messages": []});
    let ask = world::ask(&config, body.to_string());
    let world = World::new("application/json", vec![ANSWER.into()]);
    let mut receipt = walk::receipt(&world, &config, &board, &ask);
    assert!(
        receipt
            .charged
            .is_some_and(|charged| charged.cost.is_some())
    );
    receipt.worked = Duration::from_micros(47);
    (ask, receipt)
}

fn nothing() -> std::fs::File {
    let nothing = OpenOptions::new().write(true).open("/dev/null");
    nothing.expect("a place for nothing")
}

/// `format!` through env_logger: a sentence with fewer facts.
fn usual(format: LogFormat) -> Logger {
    let mut builder = Builder::new();
    builder
        .target(Target::Pipe(Box::new(nothing())))
        .write_style(WriteStyle::Never)
        .filter_level(LevelFilter::Trace)
        .format(move |out, record| {
            use std::io::Write;
            let now = now();
            match format {
                LogFormat::Text => writeln!(out, "{now} {:<5} {}", record.level(), record.args()),
                LogFormat::Json => {
                    let line = serde_json::json!({
                        "time": now,
                        "level": record.level().as_str(),
                        "message": record.args().to_string(),
                    });
                    writeln!(out, "{line}")
                }
            }
        });
    builder.build()
}

#[expect(clippy::disallowed_methods, reason = "a line carries the time of day")]
fn now() -> String {
    let now = chrono::DateTime::<chrono::Utc>::from(std::time::SystemTime::now());
    now.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}

/// What `usual` is given.
fn sentence(to: &Logger, ask: &Ask, receipt: &Receipt) {
    let walk = receipt.trail.header();
    let entries = receipt.trail.entries().iter().rev();
    let last = entries.filter_map(|entry| match entry {
        Entry::Tried(tried) => Some(tried.pass.target.provider.name.as_str()),
        Entry::Skipped(..) => None,
    });
    let last = last.take(1).next();
    let cost = receipt.charged.and_then(|charged| charged.cost);
    to.log(
        &Record::builder()
            .level(Level::Info)
            .target("standin::front::gate")
            .args(format_args!(
                "request {} {}: {} [{}] status={} provider={} tokens={} cost={} first_ms={} ms={} bytes={}",
                ask.id.to_str().unwrap_or_default(),
                ask.endpoint.path(),
                receipt.end.label(),
                walk.to_str().unwrap_or_default(),
                receipt.status.map_or(0, |status| status.as_u16()),
                last.unwrap_or_default(),
                receipt.charged.map_or_else(String::new, |charged| {
                    format!("{}/{}", charged.tokens.input, charged.tokens.output)
                }),
                cost.map_or_else(String::new, |cost| cost.to_string()),
                receipt.first.map_or(0, |first| first.as_millis()),
                receipt.took.as_millis(),
                receipt.sent,
            ))
            .build(),
    );
}

fn lines(c: &mut Criterion) {
    for (walk, models) in [
        ("answered", &["p/gpt-4o"][..]),
        ("third answers", &["bad/gpt-4o", "bad/o1", "p/gpt-4o"]),
    ] {
        let (ask, receipt) = ended(models);
        let mut group = c.benchmark_group(format!("log/{walk}"));
        for (name, format) in [("json", LogFormat::Json), ("text", LogFormat::Text)] {
            let log = Log::new(format, nothing()).expect("a thread");
            group.bench_function(name, |b| {
                b.iter(|| log.request(black_box(&ask), black_box(&receipt)));
            });
            let logger = usual(format);
            group.bench_function(format!("{name}, env_logger"), |b| {
                b.iter(|| sentence(&logger, black_box(&ask), black_box(&receipt)));
            });
        }
        group.finish();
    }
}

criterion_group!(benches, lines);
criterion_main!(benches);
