//! What remembering one request costs: its place among the latest walks, its
//! targets' tallies, and the second it ended in. The receipt is freed here
//! that would be freed anyway.

use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use http::{HeaderMap, HeaderValue, StatusCode};
use standin::base::Endpoint;
use standin::config::{Config, Surroundings, Target, load};
use standin::health::{Board, Moment};
use standin::journey::{Ask, Means, Receipt, run};
use standin::seam::{Broken, Client, Committed, Exchange, Gone, Head, Out, Outgoing};
use standin::walks::{Walk, Walks};
use tokio::time::Instant;

struct Nowhere;

impl Surroundings for Nowhere {
    fn var(&self, _: &str) -> Option<String> {
        None
    }

    fn file(&self, _: &Path) -> std::io::Result<Vec<u8>> {
        Err(std::io::ErrorKind::NotFound.into())
    }
}

/// Providers of which `bad` always fails.
struct World;

struct Played(bool, Option<bytes::Bytes>);

const ANSWER: &str = "data: {\"id\":\"c\",\"model\":\"up\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hello\"}}]}\n\ndata: [DONE]\n\n";

impl Out for World {
    type Exchange = Played;

    async fn open(&self, target: &Target, _: bool) -> Result<Played, Broken> {
        let answers = target.provider.name.as_str() != "bad";
        Ok(Played(answers, answers.then(|| ANSWER.into())))
    }
}

impl Exchange for Played {
    async fn send(&mut self, _: &Outgoing<'_>) -> Result<(), Broken> {
        Ok(())
    }

    async fn head(&mut self) -> Result<Head, Broken> {
        let mut headers = HeaderMap::new();
        let media = HeaderValue::from_static("text/event-stream");
        headers.insert("content-type", media);
        let status = if self.0 { 200 } else { 500 };
        let status = StatusCode::from_u16(status).map_err(|_| Broken::Reset)?;
        Ok(Head { status, headers })
    }

    async fn read(&mut self) -> Result<Option<bytes::Bytes>, Broken> {
        Ok(self.1.take())
    }

    async fn release(self) {}
}

struct Guest;

impl Client for Guest {
    type Committed = Self;

    async fn gone(&mut self) {
        std::future::pending().await
    }

    async fn commit(self, _: Head) -> Result<Self, Gone> {
        Ok(self)
    }

    async fn reply(self, _: Head, _: Vec<bytes::Bytes>) -> Result<(), Gone> {
        Ok(())
    }
}

impl Committed for Guest {
    async fn gone(&mut self) {
        std::future::pending().await
    }

    async fn write(&mut self, _: bytes::Bytes) -> Result<(), Gone> {
        Ok(())
    }

    async fn end(self) -> Result<(), Gone> {
        Ok(())
    }

    async fn break_off(self) {}
}

fn receipt(config: &Config, board: &Board, models: &[&str]) -> Receipt {
    let body = serde_json::json!({"models": models, "messages": [], "stream": true}).to_string();
    let id = HeaderValue::from_static("id");
    let ask = Ask::read(Endpoint::Chat, id, &HeaderMap::new(), body.into(), config);
    let ask = ask.expect("a good request");
    let means = Means {
        config,
        board,
        out: &World,
        ledger: None,
        dice: 0,
    };
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_time().build().expect("a runtime");
    let ended = runtime.block_on(run(&ask, &means, None, Guest));
    ended.map_err(|(_, refusal)| refusal).expect("a receipt")
}

fn walks(c: &mut Criterion) {
    let text = "providers:\n  p: { base_url: \"http://127.0.0.1:1\" }\n  \
                bad: { base_url: \"http://127.0.0.1:2\" }\n\
                models: { a: { provider: p, upstream_model: m }, b: { provider: bad, upstream_model: m } }\n";
    let config = load("bench.yaml", text.as_bytes(), &Nowhere).expect("a good configuration");
    let walks = Walks::new(&config, None);
    let mut group = c.benchmark_group("walks");
    for (name, models) in [
        ("answered", &["a"][..]),
        ("failed over", &["b", "a"]),
        ("answered, a made-up name", &["p/made-up"]),
    ] {
        let make = || {
            let board = Board::new(&config, None, Instant::now().into_std());
            Walk {
                at: Moment::at(Duration::from_secs(1)),
                id: HeaderValue::from_static("id"),
                receipt: receipt(&config, &board, models),
            }
        };
        group.bench_function(format!("{name}: dropped"), |b| {
            b.iter_batched(make, |walk| drop(black_box(walk)), BatchSize::SmallInput);
        });
        group.bench_function(format!("{name}: remembered"), |b| {
            b.iter_batched(
                make,
                |walk| walks.remember(black_box(walk)),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, walks);
criterion_main!(benches);
