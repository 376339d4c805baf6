//! A house without sockets whose spans are read back.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::base::Endpoint;
use crate::config::{self, Config, Nothing, Target};
use crate::health::Board;
use crate::journey::{Ask, Means, Receipt, run};
use crate::seam::{Broken, Client, Committed, Exchange, Gone, Head, Out, Outgoing};
use crate::spans::{Batch, Clock, Filled, Outlet, Spans};
use crate::wire::drill::Drill;
use crate::wire::{Lines, TRACEPARENT};

/// What no span may have: the prompt, the answer, the provider's words.
pub(super) const SECRETS: [&str; 4] = ["a-prompt", "an-answer", "their-words", "their-code"];

/// The wall's clock when spans are written, since 1970.
pub(super) const WALL: Duration = Duration::from_nanos(1_800_000_000_123_456_789);

/// A house and the other end of its queue.
pub(super) struct Stage {
    pub(super) config: Config,
    pub(super) spans: Arc<Spans>,
    pub(super) outlet: Outlet,
    board: Board,
    dice: Mutex<u64>,
}

impl Stage {
    /// With more in its `otlp`.
    pub(super) fn new(more: &str) -> Self {
        let yaml = format!(
            "providers:\n  p: {{ base_url: \"https://p.test:8443/v1\" }}\n  q: {{ base_url: \"http://q.test\" }}\n\
             models:\n  q/hello: {{ provider: q, price: {{ input: 2, output: 4 }} }}\n\
             otlp: {{ endpoint: \"http://collector.test\"{more} }}\n"
        );
        let config = match config::load("t.yaml", yaml.as_bytes(), &Nothing) {
            Ok(config) => config,
            Err(problems) => panic!("{problems}"),
        };
        let spans = Spans::of(config.otlp.as_ref(), None).unwrap();
        Self {
            board: Board::new(&config, None, Instant::now().into_std()),
            outlet: spans.outlet().unwrap(),
            spans,
            config,
            dice: Mutex::new(1),
        }
    }

    /// One request to its end, and what its providers read in `traceparent`.
    /// The client leaves after so many seconds.
    pub(super) async fn ask(
        &self,
        models: &[&str],
        stream: bool,
        client: Option<&str>,
        leaves: Option<u64>,
    ) -> (Ask, Vec<String>) {
        let ask = self.begin(models, stream, client);
        let world = World::default();
        let leaves = leaves.map(Duration::from_secs);
        let receipt = self.journey(&ask, &world, Guest { leaves }).await;
        self.spans.end(&ask, receipt);
        let sent = world.sent.lock().unwrap().clone();
        (ask, sent)
    }

    /// One request whose first candidate fails on purpose.
    pub(super) async fn drill(&self, models: &[&str], drill: Drill) {
        let mut ask = self.begin(models, false, None);
        ask.candidates[0].drill = Some(drill);
        let world = World::default();
        let receipt = self.journey(&ask, &world, Guest { leaves: None }).await;
        self.spans.end(&ask, receipt);
    }

    /// So many requests whose providers never answer, and beside them one
    /// more, which is told.
    pub(super) async fn crowd(&self, models: &[&str], others: usize) {
        let world = World {
            hangs: true,
            ..World::default()
        };
        let asks: Vec<Ask> = (0..others)
            .map(|_| self.begin(models, false, None))
            .collect();
        let mut under_way: Vec<Pin<Box<dyn Future<Output = Receipt> + '_>>> = Vec::new();
        for ask in &asks {
            under_way.push(Box::pin(self.journey(ask, &world, Guest { leaves: None })));
        }
        let mut context = Context::from_waker(Waker::noop());
        for journey in &mut under_way {
            assert!(journey.as_mut().poll(&mut context).is_pending());
        }
        let ask = self.begin(models, false, None);
        let receipt = self.journey(&ask, &world, Guest { leaves: None }).await;
        self.spans.end(&ask, receipt);
    }

    fn begin(&self, models: &[&str], stream: bool, client: Option<&str>) -> Ask {
        let mut headers = HeaderMap::new();
        if let Some(client) = client {
            headers.insert("traceparent", client.parse().unwrap());
        }
        let body = json!({"models": models, "stream": stream,
            "messages": [{"role": "user", "content": SECRETS[0]}]});
        let id = HeaderValue::from_static("id-1");
        let body = body.to_string().into();
        let mut ask = Ask::read(Endpoint::Chat, id, &headers, body, &self.config).unwrap();
        self.spans.begin(&mut ask, || {
            let mut dice = self.dice.lock().unwrap();
            *dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            *dice
        });
        ask
    }

    async fn journey(&self, ask: &Ask, world: &World, guest: Guest) -> Receipt {
        let means = Means {
            config: &self.config,
            board: &self.board,
            out: world,
            ledger: None,
            dice: 0,
        };
        match run(ask, &means, None, guest).await {
            Ok(receipt) => receipt,
            Err((_, refusal)) => panic!("refused: {refusal:?}"),
        }
    }

    /// The next batch, as far as it is filled.
    pub(super) fn batch(&mut self) -> (Filled, Vec<Value>) {
        let mut batch = Batch::new(self.outlet.settings());
        let filled = self.outlet.fill(&mut batch, &clock());
        let count = batch.spans();
        let spans = spans(&batch.take());
        assert_eq!((spans.len(), batch.spans()), (count, 0));
        (filled, spans)
    }

    /// All that waits, and the text it stands in.
    pub(super) fn told(&mut self) -> (Vec<Value>, String) {
        let mut batch = Batch::new(self.outlet.settings());
        self.outlet.fill(&mut batch, &clock());
        let body = batch.take();
        (spans(&body), String::from_utf8(body.to_vec()).unwrap())
    }
}

fn clock() -> Clock {
    Clock {
        now: Instant::now(),
        wall: SystemTime::UNIX_EPOCH + WALL,
    }
}

fn spans(body: &[u8]) -> Vec<Value> {
    let body: Value = serde_json::from_slice(body).unwrap();
    let spans = &body["resourceSpans"][0]["scopeSpans"][0]["spans"];
    spans.as_array().unwrap().clone()
}

/// The value of one attribute, `null` where it is not there.
pub(super) fn attribute<'v>(of: &'v Value, key: &str) -> &'v Value {
    let all = of["attributes"].as_array().unwrap();
    let mut all = all.iter().filter(|one| one["key"] == key);
    let first = all.next();
    assert!(all.next().is_none(), "{key} stands twice");
    first.map_or(&Value::Null, |one| &one["value"])
}

/// Whether a member is an id of so many hexadecimal digits, and not 0.
pub(super) fn has_id(span: &Value, name: &str, digits: usize) -> bool {
    let id = span[name].as_str().unwrap();
    let is_hex = id.bytes().all(|b| b.is_ascii_hexdigit());
    id.len() == digits && is_hex && id.bytes().any(|b| b != b'0')
}

/// From when to when.
pub(super) fn nanos(span: &Value) -> (u64, u64) {
    let at = |name| span[name].as_str().unwrap().parse().unwrap();
    (at("startTimeUnixNano"), at("endTimeUnixNano"))
}

/// How a span stands in a header.
pub(super) fn traceparent(span: &Value) -> String {
    let (trace, id) = (&span["traceId"], &span["spanId"]);
    format!("00-{}-{}-01", trace.as_str().unwrap(), id.as_str().unwrap())
}

/// Providers whose models do what their names say.
#[derive(Default)]
struct World {
    hangs: bool,
    sent: Arc<Mutex<Vec<String>>>,
}

/// One attempt on its way.
struct Played {
    model: String,
    sent: Arc<Mutex<Vec<String>>>,
    turn: usize,
}

impl Out for World {
    type Exchange = Played;

    async fn open(&self, target: &Target, _: bool) -> Result<Played, Broken> {
        let model = target.upstream_model.clone();
        if model == "refuse" {
            return Err(Broken::Connect);
        }
        let model = if self.hangs { "silent".into() } else { model };
        Ok(Played {
            model,
            sent: Arc::clone(&self.sent),
            turn: 0,
        })
    }
}

impl Exchange for Played {
    async fn send(&mut self, request: &Outgoing<'_>) -> Result<(), Broken> {
        assert!(request.headers.get(&TRACEPARENT).is_none());
        let (name, value) = request.trace.as_ref().expect("each attempt has a span");
        assert_eq!(name, "traceparent");
        let value = value.to_str().unwrap().to_owned();
        self.sent.lock().unwrap().push(value);
        Ok(())
    }

    async fn head(&mut self) -> Result<Head, Broken> {
        let (status, kind) = match &*self.model {
            "silent" => std::future::pending().await,
            "busy" => (429, "application/json"),
            "stream" | "cut" => (200, "text/event-stream"),
            _ => (200, "application/json"),
        };
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static(kind));
        headers.insert("retry-after", HeaderValue::from_static("60"));
        Ok(Head {
            status: StatusCode::from_u16(status).unwrap(),
            headers,
        })
    }

    async fn read(&mut self) -> Result<Option<Bytes>, Broken> {
        const BUSY: &str = r#"{"error":{"message":"their-words","type":"t","code":"their-code"}}"#;
        const HELLO: &str = r#"{"model":"hello","choices":[{"index":0,"message":{"role":"assistant","content":"an-answer"},"finish_reason":"stop"}],"usage":{"prompt_tokens":20,"completion_tokens":11,"total_tokens":31,"prompt_tokens_details":{"cached_tokens":4},"completion_tokens_details":{"reasoning_tokens":2}}}"#;
        const WORD: &str =
            "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"an-answer\"}}]}\n\n";
        const END: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
        self.turn += 1;
        let piece = match (&*self.model, self.turn) {
            ("busy", 1) => BUSY,
            ("stream" | "cut", 1) => {
                sleep(Duration::from_secs(2)).await;
                WORD
            }
            ("cut", 2) => return Err(Broken::Reset),
            ("stream", 2) => {
                sleep(Duration::from_secs(3)).await;
                END
            }
            ("busy" | "stream" | "cut", _) => return Ok(None),
            (_, 1) => HELLO,
            _ => return Ok(None),
        };
        Ok(Some(Bytes::from_static(piece.as_bytes())))
    }

    async fn release(self) {}
}

/// A client that takes everything at once, and may leave.
struct Guest {
    leaves: Option<Duration>,
}

impl Client for Guest {
    type Committed = Self;

    async fn gone(&mut self) -> Gone {
        match &mut self.leaves {
            None => std::future::pending().await,
            Some(left) => {
                // It is asked anew at each wait.
                while !left.is_zero() {
                    sleep(Duration::from_millis(500)).await;
                    *left = left.saturating_sub(Duration::from_millis(500));
                }
                Gone::Left
            }
        }
    }

    async fn commit(self, _: Head<Lines>) -> Result<Self, Gone> {
        Ok(self)
    }

    async fn reply(self, _: Head<Lines>, _: Vec<Bytes>) -> Result<(), Gone> {
        Ok(())
    }
}

impl Committed for Guest {
    async fn gone(&mut self) -> Gone {
        Client::gone(self).await
    }

    async fn write(&mut self, _: Bytes) -> Result<(), Gone> {
        Ok(())
    }

    async fn end(self) -> Result<(), Gone> {
        Ok(())
    }

    async fn break_off(self) {}
}
