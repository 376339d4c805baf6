//! What a request costs in memory before it is sent on: nothing to read it or
//! to ask live state, and a few small pieces to splice it, whatever its size.
//! And what is nothing too: an answer that says nothing of limits, metering, and
//! counting. The way to a provider and back costs a few pieces more.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};
use standin::base::{Endpoint, ModelName};
use standin::config::{self, LogFormat, Nothing};
use standin::dialect::{Event, Plain, tokens};
use standin::health::{Board, Failed, Moment, Wish};
use standin::journey::{Ask, Charged, End, Receipt, Trail};
use standin::logs::Log;
use standin::metrics::{Answered, Counts, Ended};
use standin::outcome::{Blame, Outcome, Skip};
use standin::seam::{Exchange, Out, Outgoing};
use standin::upstream::{Pool, Ways};
use standin::usage::{Price, PriceSet, Rates, Tokens, Usd, per_million};
use standin::wire::Edits;
use standin::wire::Peek;
use standin::wire::json;
use standin::wire::{Left, Lines, Quota, Splice, splice};

thread_local! {
    /// Allocations of this thread and their bytes; tests run beside each
    /// other.
    static COUNTED: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
}

struct Counting;

#[expect(
    unsafe_code,
    reason = "an allocator's functions are unsafe; these hand everything on to the system's"
)]
// SAFETY: every call goes to the system's allocator as it came. Counting uses
// a thread local without a destructor, which does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let (times, bytes) = COUNTED.get();
        COUNTED.set((times + 1, bytes + layout.size()));
        // SAFETY: the caller keeps `alloc`'s contract, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: `at` came from the system's allocator with this layout.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What `work` allocated: how often, and how many bytes.
fn counted<T>(work: impl FnOnce() -> T) -> (T, usize, usize) {
    let before = COUNTED.get();
    let done = work();
    let after = COUNTED.get();
    (done, after.0 - before.0, after.1 - before.1)
}

fn body(size: usize) -> Bytes {
    let text = "A \\\"line\\\" of a caf\u{e9}\\n".repeat(size / 20);
    Bytes::from(format!(
        r#"{{"messages":[{{"role":"user","content":"{text}"}}],"seed":1,"models":["a\u0041","b"],"max_tokens":5,"stream":true}}"#
    ))
}

#[test]
fn a_body_is_read_without_allocating() {
    for size in [200, 20_000, 2_000_000] {
        let body = body(size);
        let (peek, times, _) = counted(|| Peek::read(&body));
        assert!(peek.is_ok());
        assert_eq!(times, 0);
        let (_, times, _) = counted(|| json::value(&body));
        assert_eq!(times, 0);
        let (broken, times, _) = counted(|| Peek::read(&body[..body.len() - 1]));
        assert!(broken.is_err());
        assert_eq!(times, 0);
    }
    let nested = "[".repeat(1_000_000);
    let (_, times, _) = counted(|| json::value(nested.as_bytes()));
    assert_eq!(times, 0);
}

#[test]
fn a_splice_costs_the_same_whatever_the_bodys_size() {
    let edits = Edits {
        drop: vec!["seed".into()],
        rename: vec![("max_tokens".into(), "max_completion_tokens".into())],
        set: vec![("store".into(), Bytes::from_static(b"false"))],
    };
    for edits in [&Edits::default(), &edits] {
        let mut costs = Vec::new();
        for size in [200, 20_000, 2_000_000] {
            let body = body(size);
            let peek = Peek::read(&body).expect("a valid body");
            let wish = Splice {
                model: "gpt-4o",
                edits,
                ask_usage: true,
            };
            let (made, times, bytes) = counted(|| splice(&body, &peek, &wish));
            assert!(made.len() + 200 > body.len());
            assert!(times <= 24 && bytes <= 4_096, "{times} for {bytes} bytes");
            costs.push((times, bytes));
        }
        assert!(costs.iter().all(|cost| *cost == costs[0]), "{costs:?}");
    }
}

#[test]
fn an_answer_that_says_nothing_of_limits_is_looked_at_without_allocating() {
    let now = std::time::SystemTime::UNIX_EPOCH;
    let mut headers = HeaderMap::new();
    for name in [
        "content-type",
        "date",
        "openai-processing-ms",
        "x-request-id",
    ] {
        headers.insert(name, HeaderValue::from_static("1"));
    }
    let (quota, times, _) = counted(|| Quota::read(&headers, now));
    assert_eq!((quota, times), (Quota::default(), 0));
    let left = HeaderValue::from_static("5");
    headers.insert("x-ratelimit-remaining-requests", left);
    let (quota, times, _) = counted(|| Quota::read(&headers, now));
    let is = Left {
        remaining: 5,
        reset: None,
    };
    assert_eq!(quota.requests, Some(is));
    assert!(times > 0, "the count counts");
}

#[test]
fn a_target_is_admitted_or_passed_over_without_allocating() {
    let text = "
providers: { p: { base_url: 'http://p/v1' } }
models: { plain: { provider: p }, limited: { provider: p }, counted: { provider: p } }
";
    let config = config::load("t.yaml", text.as_bytes(), &Nothing).expect("it is valid");
    let board = Board::new(&config, None, tokio::time::Instant::now().into_std());
    let now = Moment::from_millis(1);
    let names = ["plain", "limited", "counted", "p/made-up", "p/unheard-of"];
    let targets = names.map(|name| {
        let model = config.model(&ModelName::from(name)).expect("it is known");
        Arc::clone(&model.targets[0])
    });
    let wish = |at: usize| Wish {
        target: &targets[at],
        endpoint: Endpoint::Chat,
        now,
        dice: 7,
    };
    let admitted = |at| board.admit(wish(at), || 5).expect("it is healthy");
    let limited = Failed {
        outcome: Outcome::RateLimited(Blame::Target),
        status: Some(429),
        wait: Some(Duration::from_secs(9)),
    };
    admitted(1).failed(limited, now);
    let left = Some(Left {
        remaining: 100,
        reset: Some(Duration::from_secs(9)),
    });
    let quota = Quota {
        requests: left,
        tokens: left,
    };
    admitted(2).headed(&quota, now);
    admitted(3).finished(now);
    // That it counts: what is first heard of a name has to be put somewhere.
    let (_, times, _) = counted(|| admitted(4).headed(&quota, now));
    assert!(times > 0);
    for (at, name) in names.iter().enumerate() {
        for _ in 0..3 {
            let (is_admitted, times, _) = counted(|| board.admit(wish(at), || 5).is_ok());
            assert_eq!(is_admitted, *name != "limited", "{name}");
            assert_eq!(times, 0, "{name}");
        }
    }
}

#[test]
fn usage_is_read_and_priced_without_allocating() {
    let usage = br#"{"prompt_tokens":2006,"completion_tokens":300,"total_tokens":2306,"prompt_tokens_details":{"cached_tokens":1920,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":128}}"#;
    let rates = |input, output| Rates {
        input: per_million(input).expect("a price"),
        cached_input: None,
        cache_write: None,
        input_audio: None,
        output: per_million(output).expect("a price"),
        output_audio: None,
    };
    let set = PriceSet {
        rates: rates("2.50", "10.00"),
        long_context: Some((200_000, rates("5", "15"))),
    };
    let price = Price::new(set, vec![("flex", set)]);
    let (cost, times, _) = counted(|| {
        let used = tokens(usage).expect("it says what was used");
        price.cost(&used, Some("flex"))
    });
    assert_eq!((cost.to_string().as_str(), times), ("0.008015", 0));

    let delta = br#"{"id":"1","choices":[{"index":0,"delta":{"content":"Hello \"you\"","tool_calls":[{"function":{"arguments":"{}"}}]},"finish_reason":null}],"service_tier":"flex","usage":{"prompt_tokens":1}}"#;
    let (event, times, _) = counted(|| Event::read(Endpoint::Chat, None, delta));
    let event = event.expect("valid JSON");
    assert_eq!((event.said_bytes, event.service_tier), (15, Some("flex")));
    assert!(event.usage.is_some() && times == 0);
    let answer = br#"{"choices":[{"message":{"content":"Hello"},"finish_reason":"length"}],"usage":{"prompt_tokens":1}}"#;
    let (plain, times, _) = counted(|| Plain::read(Endpoint::Chat, answer, false));
    assert!(matches!(plain, Plain::Answer { usage: Some(_), .. }));
    assert_eq!(times, 0);
}

#[test]
fn what_a_request_adds_to_the_metrics_is_counted_without_allocating() {
    let text = "providers: { p: { base_url: \"http://127.0.0.1:1\" } }\n\
                models: { gpt: { provider: p, upstream_model: m } }\n";
    let config = config::load("t.yaml", text.as_bytes(), &Nothing).expect("a good one");
    let counts = Counts::new(&config, None);
    let provider = config.providers.first().map(|provider| &**provider);
    let names = [ModelName::from("gpt"), ModelName::from("p/made-up")];
    let count = || {
        for name in &names {
            let at = counts.at(name, provider);
            at.skipped(Skip::Cooling);
            at.attempted(Some(Outcome::Unavailable));
            at.attempted(None);
            at.answered(&Answered {
                endpoint: Endpoint::Chat,
                key: None,
                first: Some(Duration::from_millis(300)),
                took: Duration::from_secs(3),
                per_token: Some(Duration::from_millis(20)),
                tokens: Tokens::default(),
                cost: Some(Usd::from_pico(1)),
            });
        }
        counts.worked(Duration::from_micros(80));
        counts.ended(Some(Endpoint::Chat), Ended::Answered);
    };
    let ((), times, _) = counted(count);
    assert!(times > 0, "the first one resolves its handles");
    let ((), times, _) = counted(count);
    assert_eq!(times, 0);
}

#[test]
fn a_request_is_logged_without_allocating() {
    let text = "providers: { p: { base_url: \"http://127.0.0.1:1\" } }\n\
                models: { gpt: { provider: p, upstream_model: m } }\n";
    let config = config::load("test.yaml", text.as_bytes(), &Nothing).unwrap();
    let body = Bytes::from_static(br#"{"models":["gpt","none/\"such\""],"messages":[]}"#);
    let id = HeaderValue::from_static("6f1c0d4a9b2e4c7f");
    let ask = Ask::read(Endpoint::Chat, id, &HeaderMap::new(), body, &config).unwrap();
    let mut trail = Trail::default();
    for candidate in &ask.candidates {
        let target = candidate
            .model
            .as_ref()
            .map(|model| model.targets[0].clone());
        trail.skipped(candidate.name.clone(), target, Skip::Open);
    }
    let receipt = Receipt {
        endpoint: Endpoint::Chat,
        key: Some("search-team".into()),
        trail,
        answered: None,
        streamed: true,
        charged: Some(Charged {
            tokens: Tokens::default(),
            estimated: false,
            cost: Some(Usd::from_pico(1_234_567)),
            after: Duration::ZERO,
        }),
        end: End::Answered,
        status: Some(StatusCode::OK),
        first: Some(Duration::from_millis(7)),
        took: Duration::from_millis(8),
        worked: Duration::from_micros(9),
        sent: 10,
        started: tokio::time::Instant::now(),
    };
    for format in [LogFormat::Json, LogFormat::Text] {
        let log = Log::new(format, io::sink()).unwrap();
        // The first line of a thread makes its buffer; of a second, its time.
        let fewest = (0..100).map(|_| counted(|| log.request(&ask, &receipt)).1);
        assert_eq!(fewest.min(), Some(0), "{format:?}");
    }
}

/// Answers whatever it is asked with this, over and over, on one connection.
fn provider(answer: Vec<u8>, asked: usize) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let at = listener.local_addr().expect("it is bound");
    std::thread::spawn(move || {
        let (mut client, _) = listener.accept().expect("a client");
        let mut come = vec![0; 64 << 10];
        let mut size = 0;
        while let Ok(read @ 1..) = client.read(&mut come) {
            size += read;
            // Every request ends in this, and has it nowhere else.
            if come[..read].ends_with(b"}") {
                assert!(size > asked);
                size = 0;
                client.write_all(&answer).expect("the client is there");
            }
        }
    });
    at
}

/// What one request to a provider over a kept connection allocates: from the
/// pool, there and back.
#[test]
fn a_request_to_a_provider_allocates_little() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let body: standin::wire::Body = [&b"{\"model\":"[..], &[b'x'; 2000], b"}"]
        .into_iter()
        .map(Bytes::copy_from_slice)
        .collect();
    let said = "y".repeat(2000);
    let head = "HTTP/1.1 200 OK\r\ndate: now\r\ncontent-type: application/json\r\n";
    let length = format!("{head}content-length: {}\r\n\r\n{said}", said.len());
    let chunked = format!(
        "{head}transfer-encoding: chunked\r\n\r\n{:x}\r\n{said}\r\n0\r\n\r\n",
        said.len()
    );
    for (answer, most) in [(length, 8), (chunked, 8)] {
        let at = provider(answer.into_bytes(), body.len());
        let text = format!("providers: {{ p: {{ base_url: 'http://{at}/v1', api_key: k }} }}\n");
        let config = config::load("t.yaml", text.as_bytes(), &Nothing).expect("it is valid");
        let model = config.model(&ModelName::from("p/m")).expect("it is known");
        let pool = Pool::new().expect("certificates");
        let ways = Ways::new(&config, &pool, None).expect("no files");
        let mut headers = Lines::default();
        let json = HeaderValue::from_static("application/json");
        headers.push(http::header::CONTENT_TYPE, json);
        let request = Outgoing {
            endpoint: Endpoint::Chat,
            headers: &headers,
            trace: None,
            body: body.clone(),
        };
        let ask = async || {
            let opened = ways.open(&model.targets[0], false).await;
            let mut exchange = opened.expect("it listens");
            exchange.send(&request).await.expect("it reads");
            let head = exchange.head().await.expect("it answers");
            let mut size = 0;
            while let Some(piece) = exchange.read().await.expect("its body") {
                size += piece.len();
            }
            exchange.release().await;
            (head.status, size)
        };
        let fewest = runtime.block_on(async {
            let mut fewest = (usize::MAX, 0);
            for _ in 0..20 {
                let before = COUNTED.get();
                assert_eq!(ask().await, (StatusCode::OK, said.len()));
                let after = COUNTED.get();
                fewest = fewest.min((after.0 - before.0, after.1 - before.1));
            }
            fewest
        });
        assert!(fewest.0 <= most, "{fewest:?}");
    }
}
