//! What counting one request costs: one receipt into the metrics.

use std::hint::black_box;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use http::{HeaderMap, HeaderValue, StatusCode};
use standin::base::Endpoint;
use standin::config::{Config, Surroundings, Target, load};
use standin::health::Board;
use standin::journey::{Ask, Means, Receipt, run};
use standin::metrics::{Counts, scrape};
use standin::seam::{Broken, Client, Committed, Exchange, Gone, Head, Out, Outgoing};
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

struct Played(bool, Option<Bytes>);

const ANSWER: &str = "data: {\"id\":\"c\",\"model\":\"up\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hello\"}}],\"usage\":{\"prompt_tokens\":1000,\"completion_tokens\":200}}\n\ndata: [DONE]\n\n";

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

    async fn read(&mut self) -> Result<Option<Bytes>, Broken> {
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

    async fn reply(self, _: Head, _: Vec<Bytes>) -> Result<(), Gone> {
        Ok(())
    }
}

impl Committed for Guest {
    async fn gone(&mut self) {
        std::future::pending().await
    }

    async fn write(&mut self, _: Bytes) -> Result<(), Gone> {
        Ok(())
    }

    async fn end(self) -> Result<(), Gone> {
        Ok(())
    }

    async fn break_off(self) {}
}

fn config(models: usize) -> Config {
    let mut text = "providers:\n  p: { base_url: \"http://127.0.0.1:1\" }\n  \
                    bad: { base_url: \"http://127.0.0.1:2\" }\nmodels:\n"
        .to_owned();
    for number in 0..models {
        text.push_str(&format!(
            "  house/model-{number}: {{ provider: p, upstream_model: m{number}, price: {{ input: 2, output: 4 }} }}\n  \
             bad/model-{number}: {{ provider: bad, upstream_model: m{number} }}\n"
        ));
    }
    load("bench.yaml", text.as_bytes(), &Nowhere).expect("a good configuration")
}

fn receipt(config: &Config, board: &Board, models: &[&str]) -> Receipt {
    let body = serde_json::json!({"models": models, "messages": [], "stream": true});
    let ask = Ask::read(
        Endpoint::Chat,
        HeaderValue::from_static("id"),
        &HeaderMap::new(),
        body.to_string().into(),
        config,
    );
    let ask = ask.expect("a good request");
    let means = Means {
        config,
        board,
        out: &World,
        ledger: None,
        dice: 0,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let ended = runtime
        .expect("a runtime")
        .block_on(run(&ask, &means, None, Guest));
    ended.map_err(|(_, refusal)| refusal).expect("an answer")
}

fn count(c: &mut Criterion) {
    for models in [10, 1000] {
        let config = config(models);
        let board = Board::new(&config, None, Instant::now().into_std());
        let counts = Counts::new(&config, None);
        let mut group = c.benchmark_group(format!("metrics/{models} models"));
        for (name, models) in [
            ("answered", &["house/model-7"][..]),
            ("made up", &["p/made-up"]),
            ("failed over", &["bad/model-7", "house/model-7"]),
        ] {
            let receipt = receipt(&config, &board, models);
            assert!(receipt.answered.is_some() && receipt.charged.is_some());
            group.bench_function(name, |b| b.iter(|| black_box(&receipt).count(&counts)));
        }
        let shared = receipt(&config, &board, &["house/model-7"]);
        let ends = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !ends.load(Relaxed) {
                    shared.count(&counts);
                }
            });
            group.bench_function("answered, another thread at the same", |b| {
                b.iter(|| black_box(&shared).count(&counts));
            });
            ends.store(true, Relaxed);
        });
        group.bench_function("scrape", |b| {
            let now = board.moment(Instant::now().into_std());
            b.iter(|| scrape(&counts, (&config, &board), 0, None, now).len());
        });
        group.finish();
    }
}

criterion_group!(benches, count);
criterion_main!(benches);
