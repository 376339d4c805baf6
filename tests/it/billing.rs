//! What stands in the ledger after each kind of answer, column by column.

use std::time::SystemTime;

use serde_json::{Value, json};
use standin::mock::{At, Mock, Reply, Script, Step, Usage};
use standin::usage::Usd;

use crate::books::Books;
use crate::house::{House, soon};
use crate::talk::{Answer, Talk};

const CHAT: &str = "/v1/chat/completions";

const MODELS: &str = r#"models:
  p/m: { price: { input: 2.500001, cached_input: 1.25, output: 10.00 } }
  p/zero: { price: { input: 2.50, output: 10.00 } }
  p/mute: { price: { input: 2.50, output: 10.00 } }
  p/torn: { price: { input: 2.50, output: 10.00 } }
  p/left: { price: { input: 2.50, output: 10.00 } }
  p/filtered: { price: { input: 2.50, output: 10.00 } }
  p/busy: { price: { input: 2.50, output: 10.00 } }
  p/slow: { price: { input: 2.50, output: 10.00 }, timeouts: { answer: 200ms } }
"#;

const USED: Usage = Usage {
    input: 1000,
    cached: 400,
    output: 70,
    reasoning: 20,
};

fn told(reply: Reply) -> Reply {
    named(reply.usage(USED).model("m-2026-01-01"))
}

/// With an id of the provider's own.
fn named(reply: Reply) -> Reply {
    reply.header("x-request-id", "up-7")
}

async fn provider() -> Mock {
    let long = "x".repeat(1_200_000);
    let script = Script::by_model([
        ("m", told(Reply::answer("Hello you"))),
        ("long", told(Reply::completion(&long))),
        ("free", told(Reply::answer("Hello"))),
        (
            "zero",
            named(Reply::answer("Hello").usage(Usage::default())),
        ),
        (
            "mute",
            named(Reply::stream([
                r#"{"choices":[{"index":0,"delta":{"content":"Hello you"}}]}"#,
                r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
                "[DONE]",
            ])),
        ),
        ("torn", named(Reply::answer("Hello you").cut(At::Event(3)))),
        (
            "left",
            named(Reply::answer("Hello you").stall(At::Event(3))),
        ),
        ("never", Reply::steps([Step::Stall])),
        ("filtered", named(Reply::filtered())),
        ("busy", Reply::unavailable()),
        ("slow", Reply::steps([Step::Stall])),
    ]);
    Mock::start(script).await.unwrap()
}

struct Till {
    books: Books,
    house: House,
    mock: Mock,
    opened: i64,
}

fn now() -> i64 {
    #[expect(clippy::disallowed_methods, reason = "the binary reads the wall clock")]
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    i64::try_from(now.unwrap().as_millis()).unwrap()
}

impl Till {
    async fn open() -> Self {
        let (books, mock) = (Books::new(), provider().await);
        let more = format!("{MODELS}{}{}", books.yaml("serve"), Books::keys());
        let opened = now();
        let house = House::before(&[("p", &mock)], &more).await;
        Self {
            books,
            house,
            mock,
            opened,
        }
    }

    async fn ask(&self, talk: &mut Talk, id: &str, path: &str, body: &Value) {
        let id = format!("x-request-id: {id}");
        let lines = [
            "content-type: application/json",
            "authorization: Bearer sk-red",
            &id,
        ];
        let body = body.to_string();
        talk.request("POST", path, &lines, body.as_bytes()).await;
    }

    async fn answer(&self, id: &str, path: &str, body: &Value) -> Answer {
        let mut talk = self.house.talk().await;
        self.ask(&mut talk, id, path, body).await;
        talk.answer().await
    }

    /// A request's row; what is another each time is looked at and taken out.
    fn row(&self, id: &str) -> Value {
        let mut row = self.books.row(id).unwrap_or_else(|| panic!("{id}: no row"));
        let columns = row.as_object_mut().unwrap();
        let time = columns.remove("time").unwrap().as_i64().unwrap();
        assert!((self.opened..=now()).contains(&time), "{time}");
        assert!(columns.remove("seq").unwrap().as_u64().unwrap() > 0);
        assert_eq!(
            columns.remove("instance").unwrap().as_str().unwrap().len(),
            32
        );
        let took = columns.remove("duration_ms").unwrap().as_u64().unwrap();
        let first = columns.remove("first_token_ms").unwrap();
        if columns["ended"] == "filtered" {
            assert!(first.is_null());
        } else {
            assert!(first.as_u64().unwrap() <= took);
        }
        assert!(i64::try_from(took).unwrap() <= now() - self.opened + 1);
        for tried in columns["trail"].as_array_mut().unwrap() {
            assert!(tried["ms"].is_u64());
            tried.as_object_mut().unwrap().remove("ms");
        }
        row
    }
}

/// The row of an answer of `p/m`, with these columns otherwise.
fn wanted(id: &str, otherwise: Value) -> Value {
    let mut row = json!({
        "request_id": id,
        "key": "red",
        "tags": {"colour": "red"},
        "requested": ["p/m"],
        "model": "p/m",
        "provider": "p",
        "upstream_model": "m",
        "reported_model": "m-2026-01-01",
        "upstream_request_id": "up-7",
        "endpoint": CHAT,
        "input_tokens": 1000,
        "cached_tokens": 400,
        "cache_write_tokens": 0,
        "input_audio_tokens": 0,
        "output_tokens": 70,
        "reasoning_tokens": 20,
        "output_audio_tokens": 0,
        "estimated": false,
        "service_tier": null,
        // 600 × 2.500001, 400 × 1.25 and 70 × 10, for a million.
        "cost_usd": "0.0027000006",
        "prices": {"input": "2.500001", "cached_input": "1.25", "output": "10.00"},
        "trail": [{"model": "p/m", "provider": "p", "outcome": "answered", "status": 200}],
        "streamed": false,
        "ended": "answered",
    });
    for (column, value) in otherwise.as_object().unwrap() {
        assert!(row.get(column).is_some(), "{column} is a column");
        row[column] = value.clone();
    }
    row
}

/// The columns of an answer of another model, which says nothing of itself.
fn silent(name: &str, more: &Value) -> Value {
    let mut row = json!({
        "requested": [format!("p/{name}")],
        "model": format!("p/{name}"),
        "upstream_model": name,
        "reported_model": name,
        "prices": {"input": "2.50", "output": "10.00"},
        "cached_tokens": 0,
        "reasoning_tokens": 0,
        "trail": [{"model": format!("p/{name}"), "provider": "p", "outcome": "answered", "status": 200}],
    });
    for (column, value) in more.as_object().unwrap() {
        row[column] = value.clone();
    }
    row
}

#[tokio::test]
async fn each_kind_of_answer_has_its_row_when_the_client_has_its_end() {
    let till = Till::open().await;
    let streamed = json!({"model": "p/m", "messages": [], "stream": true});
    let mut asked = streamed.clone();
    asked["stream_options"] = json!({"include_usage": true});
    let input = json!({"model": "p/m", "input": "Hello"});
    let mut input_streamed = input.clone();
    input_streamed["stream"] = true.into();
    let is_streamed = json!({"streamed": true});
    // An embedding says nothing of what was not used.
    let embedded = json!({
        "endpoint": "/v1/embeddings", "cached_tokens": 0, "output_tokens": 0, "reasoning_tokens": 0,
        "cost_usd": "0.002500001",
    });
    for (id, path, body, otherwise) in [
        (
            "plain",
            CHAT,
            &json!({"model": "p/m", "messages": []}),
            json!({}),
        ),
        ("hidden", CHAT, &streamed, is_streamed.clone()),
        ("asked", CHAT, &asked, is_streamed),
        (
            "text",
            "/v1/completions",
            &json!({"model": "p/m", "prompt": "Hello", "stream": true}),
            json!({"endpoint": "/v1/completions", "streamed": true}),
        ),
        ("vector", "/v1/embeddings", &input, embedded),
        (
            "response",
            "/v1/responses",
            &input,
            json!({"endpoint": "/v1/responses"}),
        ),
        (
            "responses",
            "/v1/responses",
            &input_streamed,
            json!({"endpoint": "/v1/responses", "streamed": true}),
        ),
    ] {
        let answer = till.answer(id, path, body).await;
        assert_eq!(answer.status, 200, "{id}: {}", answer.text());
        let has_usage = answer.text().contains("\"usage\"");
        assert_eq!(has_usage, id != "hidden" && id != "text", "{id}");
        assert_eq!(till.row(id), wanted(id, otherwise), "{id}");
        assert_eq!(till.books.discarded(id), []);
    }
}

#[tokio::test]
async fn what_is_not_said_is_estimated_and_a_zero_is_a_zero() {
    let till = Till::open().await;
    let body = json!({"model": "p/mute", "messages": [], "stream": true});
    till.answer("mute", CHAT, &body).await;
    // A quarter of the bytes, rounded up; `Hello you` has nine.
    let input = (body.to_string().len() as u64).div_ceil(4);
    let cost = Usd::from_pico(u128::from(input) * 2_500_000 + 3 * 10_000_000);
    let estimated = json!({
        "input_tokens": input, "output_tokens": 3, "estimated": true, "streamed": true,
        "cost_usd": cost.to_string(), "reported_model": null,
    });
    assert_eq!(till.row("mute"), wanted("mute", silent("mute", &estimated)));

    till.answer("zero", CHAT, &json!({"model": "p/zero", "messages": []}))
        .await;
    let zero = json!({
        "input_tokens": 0, "output_tokens": 0, "cost_usd": "0.00",
    });
    assert_eq!(till.row("zero"), wanted("zero", silent("zero", &zero)));

    for name in ["free", "long"] {
        let body = json!({"model": format!("p/{name}"), "messages": []});
        let answer = till.answer(name, CHAT, &body).await;
        assert!(answer.whole);
        assert!((name == "long") == (answer.body.len() > 1 << 20));
        let unknown = json!({
            "cost_usd": null, "prices": null, "cached_tokens": 400, "reasoning_tokens": 20,
            "reported_model": "m-2026-01-01",
        });
        assert_eq!(till.row(name), wanted(name, silent(name, &unknown)));
    }
}

#[tokio::test]
async fn only_the_answering_target_is_charged() {
    let till = Till::open().await;
    let failed = json!({"model": "p/busy", "models": ["p/m"], "messages": []});
    till.answer("over", CHAT, &failed).await;
    let trail = json!([
        {"model": "p/busy", "provider": "p", "outcome": "unavailable", "status": 503},
        {"model": "p/m", "provider": "p", "outcome": "answered", "status": 200},
    ]);
    let over = json!({"requested": ["p/busy", "p/m"], "trail": trail});
    assert_eq!(till.row("over"), wanted("over", over));
    assert_eq!(
        till.books.discarded("over"),
        [],
        "it was refused before any work"
    );

    let late = json!({"model": "p/slow", "models": ["p/m"], "messages": []});
    till.answer("late", CHAT, &late).await;
    let trail = json!([
        {"model": "p/slow", "provider": "p", "outcome": "timeout", "status": null},
        {"model": "p/m", "provider": "p", "outcome": "answered", "status": 200},
    ]);
    let late = json!({"requested": ["p/slow", "p/m"], "trail": trail});
    assert_eq!(till.row("late"), wanted("late", late));
    let gone = ("p/slow".to_owned(), "timeout".to_owned());
    assert_eq!(till.books.discarded("late"), [gone]);

    let failed = json!({"model": "p/busy", "messages": []});
    assert_eq!(till.answer("none", CHAT, &failed).await.status, 503);
    assert_eq!(till.books.row("none"), None);

    for stream in [false, true] {
        let id = if stream { "ate" } else { "eaten" };
        let body = json!({"model": "p/filtered", "messages": [], "stream": stream});
        assert_eq!(till.answer(id, CHAT, &body).await.status, 200);
        let filtered = json!({
            "input_tokens": 0, "output_tokens": 0, "cost_usd": "0.00", "ended": "filtered",
            "streamed": stream, "reported_model": null,
            "trail": [{"model": "p/filtered", "provider": "p", "outcome": "moderated", "status": null}],
        });
        assert_eq!(till.row(id), wanted(id, silent("filtered", &filtered)));
        let gone = ("p/filtered".to_owned(), "moderated".to_owned());
        assert_eq!(till.books.discarded(id), [gone]);
    }
}

#[tokio::test]
async fn what_broke_or_was_left_is_charged_with_what_is_known() {
    let till = Till::open().await;
    let body = |name: &str| json!({"model": format!("p/{name}"), "messages": [], "stream": true});
    let known = |name: &str, ended: &str| {
        let input = (body(name).to_string().len() as u64).div_ceil(4);
        let cost = Usd::from_pico(u128::from(input) * 2_500_000 + 3 * 10_000_000);
        json!({
            "input_tokens": input, "output_tokens": 3, "estimated": true, "streamed": true,
            "cost_usd": cost.to_string(), "ended": ended,
        })
    };
    let answer = till.answer("torn", CHAT, &body("torn")).await;
    assert!(answer.text().contains("upstream_cut"), "{}", answer.text());
    // Past the opening event both words have come.
    let torn = known("torn", "cut");
    assert_eq!(till.row("torn"), wanted("torn", silent("torn", &torn)));

    let mut talk = till.house.talk().await;
    till.ask(&mut talk, "left", CHAT, &body("left")).await;
    assert_eq!(talk.head().await.0, 200);
    let mut text = String::new();
    while !text.contains("you") {
        let chunk = soon("a chunk", talk.chunk()).await.unwrap();
        text += std::str::from_utf8(&chunk).unwrap();
    }
    drop(talk);
    till.house.logged("request_id=left ").await;
    let left = known("left", "client_gone");
    assert_eq!(till.row("left"), wanted("left", silent("left", &left)));
    assert_eq!(till.books.discarded("left"), []);

    let mut talk = till.house.talk().await;
    till.ask(&mut talk, "early", CHAT, &body("never")).await;
    let asked = till.mock.wait_until(|counts| counts.seen == 3);
    soon("the request", asked).await;
    drop(talk);
    till.house.logged("request_id=early ").await;
    assert_eq!(till.books.row("early"), None);
    let gone = ("p/never".to_owned(), "client_gone".to_owned());
    assert_eq!(till.books.discarded("early"), [gone]);
}
