//! What it costs per request that its client has a key, that its answer is
//! charged for and written down, and that its spans are exported: whole journeys without sockets, from the
//! request's read body to the client's reply, with and without.
//!
//! `cargo bench --bench receipt`; the README beside this file says how to read
//! it. Writes to the folder of temporary files.

mod world;

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use http::HeaderMap;
use standin::access::{Access, Holder};
use standin::config::{self, Config, Digest};
use standin::health::{Board, Moment};
use standin::journey::{self, Ask, Means};
use standin::ledger::Ledger;
use standin::spans::{Batch, Clock, Outlet, Spans};
use standin::usage::Usd;

use world::{Guest, World};

const KEY: &str = "sk-standin-00000000000000000000000000000000000000000000000000000000000000ff";

/// A plain chat's answer, as OpenAI's have it.
const ANSWER: &str = r#"{"id":"chatcmpl-AbCdEfGhIjKlMnOpQrStUvWx","object":"chat.completion","created":1772368200,"model":"gpt-4o-2024-08-06","choices":[{"index":0,"message":{"role":"assistant","content":"It is raining in Lisbon today, and it will stay so until the evening. Take an umbrella, or go tomorrow.","refusal":null,"annotations":[]},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":1834,"completion_tokens":412,"total_tokens":2246,"prompt_tokens_details":{"cached_tokens":1024,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":128,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}},"service_tier":"default","system_fingerprint":"fp_6b68a8204b"}"#;

/// The words of a stream, one event each; then its finish and its usage.
const PIECES: usize = 50;

fn provider(stream: bool) -> World {
    let event = |choice: &str, rest: &str| {
        Bytes::from(format!(
            "data: {{\"id\":\"chatcmpl-AbCd\",\"object\":\"chat.completion.chunk\",\"created\":1772368200,\
             \"model\":\"gpt-4o-2024-08-06\",\"choices\":[{choice}]{rest}}}\n\n"
        ))
    };
    let word = r#"{"index":0,"delta":{"content":" rain"},"finish_reason":null}"#;
    let stop = r#"{"index":0,"delta":{},"finish_reason":"stop"}"#;
    let usage =
        ",\"usage\":{\"prompt_tokens\":1834,\"completion_tokens\":50,\"total_tokens\":1884}";
    let (kind, body) = if stream {
        let words = (0..PIECES).map(|_| event(word, ""));
        let end = [
            event(stop, ""),
            event("", usage),
            Bytes::from_static(b"data: [DONE]\n\n"),
        ];
        ("text/event-stream", words.chain(end).collect())
    } else {
        (
            "application/json",
            vec![Bytes::from_static(ANSWER.as_bytes())],
        )
    };
    World::new(kind, body)
}

struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Everything that a request needs.
struct House {
    config: Config,
    board: Board,
    access: Access,
    ledger: Option<Ledger>,
    spans: Option<Arc<Spans>>,
}

impl House {
    fn new(keyed: bool, ledger: Option<&Path>, traced: bool) -> Self {
        let mut text = "providers: { p: { base_url: \"http://127.0.0.1:1\" } }\n\
             models: { p/gpt-4o: { price: { input: 2.50, cached_input: 1.25, output: 10.00 } } }\n"
            .to_owned();
        if keyed {
            text += &format!(
                "keys: [ {{ name: load, sha256: \"{}\", models: [\"p/*\"], \
                 requests_per_minute: 1000000, tokens_per_minute: 2000000000, \
                 budget: {{ usd: 1000000 }} }} ]\n",
                Digest::of(KEY.as_bytes())
            );
        }
        if traced {
            text += "otlp: { endpoint: \"http://127.0.0.1:1\" }\n";
        }
        let config = world::config(&text);
        let ledger = ledger.map(|path| {
            let settings = config::Ledger {
                path: path.to_owned(),
                on_error: config::OnError::Serve,
                retention: None,
            };
            Ledger::open(&settings, || SystemTime::UNIX_EPOCH).expect("nobody else writes it")
        });
        Self {
            board: Board::new(&config, None, clock()),
            access: Access::new(&config, None, &|_, _| Usd::ZERO, SystemTime::UNIX_EPOCH),
            spans: Spans::of(config.otlp.as_ref(), None),
            config,
            ledger,
        }
    }

    async fn serve(&self, headers: &HeaderMap, ask: &mut Ask, provider: &World, now: Duration) {
        let who = self.access.who(headers).expect("a known key");
        let now = Moment::at(now);
        let enter = |who: &Arc<Holder>| Arc::clone(who).enter(1000, now).expect("room");
        if let Some(spans) = &self.spans {
            ask.trace = None;
            spans.begin(ask, || 0x9E37_79B9_7F4A_7C15);
        }
        let means = Means {
            config: &self.config,
            board: &self.board,
            out: provider,
            ledger: self.ledger.as_ref(),
            dice: 0,
        };
        let done = journey::run(ask, &means, who.map(enter), Guest).await;
        let receipt = done.ok().expect("it is not refused");
        assert!(receipt.charged.is_some());
        if let Some(spans) = &self.spans {
            spans.end(ask, receipt);
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a bench reads the clock")]
fn clock() -> Instant {
    Instant::now()
}

/// Makes of what waits what is sent.
#[expect(clippy::disallowed_methods, reason = "a bench reads the clock")]
fn write(outlet: &mut Outlet) {
    let clock = Clock {
        now: Instant::now().into(),
        wall: SystemTime::now(),
    };
    let mut batch = Batch::new(outlet.settings());
    outlet.fill(&mut batch, &clock);
    black_box(batch.take());
}

fn ask(config: &Config, stream: bool) -> Ask {
    let prompt = "x".repeat(1900);
    let body = format!(
        r#"{{"model":"p/gpt-4o","stream":{stream},"messages":[{{"role":"user","content":"{prompt}"}}]}}"#
    );
    world::ask(config, body)
}

fn receipt(c: &mut Criterion) {
    let folder = std::env::temp_dir().join(format!("standin-receipt-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("the folder of temporary files can be written");
    let folder = Folder(folder);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    let mut headers = HeaderMap::new();
    let key = format!("Bearer {KEY}").parse().expect("a header's value");
    headers.insert("authorization", key);
    let mut group = c.benchmark_group("receipt");
    for stream in [false, true] {
        let kind = if stream { "stream" } else { "plain" };
        let provider = provider(stream);
        let path = folder.0.join(format!("{kind}.db"));
        for (name, house) in [
            ("neither", House::new(false, None, false)),
            ("key", House::new(true, None, false)),
            ("key and ledger", House::new(true, Some(&path), false)),
            ("spans", House::new(false, None, true)),
        ] {
            let mut export = house.spans.as_ref().and_then(|spans| spans.outlet());
            let mut ask = ask(&house.config, stream);
            // A request every 100 µs: more than a minute may hold otherwise.
            let mut micros = 0;
            group.bench_function(format!("{kind}, {name}"), |b| {
                b.iter(|| {
                    micros += 100;
                    let now = Duration::from_micros(micros);
                    let served = house.serve(&headers, black_box(&mut ask), &provider, now);
                    runtime.block_on(served);
                    // As often as the sender does, and within the time.
                    if let Some(outlet) = &mut export
                        && micros % 20_000 == 0
                    {
                        write(outlet);
                    }
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, receipt);
criterion_main!(benches);
