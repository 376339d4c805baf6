//! Nothing that one client does makes another's candidate be skipped, however
//! often it is done. Here a single failure would open a breaker.

use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use standin::mock::{At, Mock, Reply, Script, Step};
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use crate::house::{House, soon};
use crate::http2::H2;
use crate::raw::{Raw, said};
use crate::talk::chat;

const CHAT: &str = "/v1/chat/completions";
const RESPONSES: &str = "/v1/responses";
const TIMES: u64 = 50;
/// How long a provider waits for somebody to read: more than Standin takes for
/// a client that is merely slow.
const GIVES_UP: Duration = Duration::from_secs(3);
const JSON: &str = "content-type: application/json";

/// One failure is too many, and nobody lives to see the end of it.
const STRICT: &str = "health: { failures: 1, cooldown: 1h, max_cooldown: 1h }\n";

/// Does what `x-act` says, and what a provider says to requests of that kind.
fn script() -> Script {
    Script::new(|seen| match seen.header("x-act") {
        Some("before the head") => Reply::steps([Step::Stall]),
        Some("in its stream") => Reply::answer("Hello you").stall(At::Event(2)),
        Some("before anything is said") => Reply::answer("Hello you").stall(At::Event(1)),
        Some("in a plain body") => Reply::answer("Hello you").stall(At::Byte(9)),
        Some("in a long body") => Reply::answer(&"word ".repeat(1 << 19)).stall(At::Byte(2 << 20)),
        Some("too long") => Reply::context_length(),
        Some("too large") => Reply::rejected().status(413),
        Some("moderated") => Reply::moderated(),
        Some("reasons") => Reply::openrouter_moderated(),
        Some("filtered") => Reply::filtered(),
        Some("unsupported") => Reply::rejected(),
        Some("no such file") => Reply::json(
            404,
            r#"{"error":{"message":"No such File object: file-x","type":"invalid_request_error","param":"file","code":null}}"#,
        ),
        Some("no such response") => Reply::json(
            404,
            r#"{"error":{"message":"Previous response with id 'resp_x' not found.","type":"invalid_request_error","param":"previous_response_id","code":"previous_response_not_found"}}"#,
        ),
        _ if seen.header("openai-organization").is_some() => Reply::auth(),
        _ => Reply::answer("Hello"),
    })
}

async fn rooms() -> (Mock, Mock, House) {
    let mock = Mock::start(script()).await.unwrap();
    let good = Mock::start(Reply::answer("Hello")).await.unwrap();
    let house = House::before(&[("p", &mock), ("good", &good)], STRICT).await;
    (mock, good, house)
}

/// Another client's first candidate answers, and nothing is held against it.
async fn answers(house: &House, context: &str) {
    for stream in [false, true] {
        let answer = house.talk().await.chat(&["p/m", "good/m"], stream).await;
        assert_eq!(answer.walk(), "p/m=200", "{context}");
    }
    let body = r#"{"model":"p/m","models":["good/m"],"input":"Hello"}"#;
    let answer = house.talk().await.post(RESPONSES, body).await;
    assert_eq!(answer.walk(), "p/m=200", "{context}");
    let told = house.provider("p").await;
    for word in ["connection", "credential"] {
        assert_eq!(told[word]["state"], "healthy", "{context}: {told}");
        assert_eq!(told[word]["consecutive_failures"], 0, "{context}: {told}");
    }
    let target = house.target("p/m").await;
    assert!(
        target.is_null() || target["state"] == "healthy" && target["consecutive_failures"] == 0,
        "{context}: {target}"
    );
    assert_eq!(house.lines(" is open for ").await, 0, "{context}");
    assert_eq!(house.lines(" is cooling for ").await, 0, "{context}");
}

#[tokio::test]
async fn leaving_before_the_answer_or_within_it_harms_nobody() {
    let (mock, _good, house) = rooms().await;
    let mut left = 0;
    for (act, stream, begins) in [
        ("before the head", false, false),
        ("before the head", true, false),
        ("before anything is said", true, false),
        ("in a plain body", false, false),
        ("in its stream", true, true),
        ("in a long body", false, true),
    ] {
        for _ in 0..TIMES {
            let mut talk = house.talk().await;
            let body = chat(&["p/m"], stream);
            let line = format!("x-act: {act}");
            let seen = mock.counts().seen;
            talk.request("POST", CHAT, &[JSON, &line], body.as_bytes())
                .await;
            if begins {
                assert_eq!(soon("a head", talk.head()).await.0, 200, "{act}");
            } else {
                soon("the request", mock.wait_for(seen + 1)).await;
            }
            drop(talk);
            left += 1;
            soon(act, mock.wait_cancelled(left)).await;
        }
        answers(&house, act).await;
    }
}

#[tokio::test]
async fn leaving_within_the_request_s_own_body_harms_nobody() {
    let (mock, _good, house) = rooms().await;
    let body = chat(&["p/m"], false);
    let half = &body[..body.len() / 2];
    for turn in 0..TIMES {
        let mut talk = house.talk().await;
        let length = body.len();
        let head = format!("POST {CHAT} HTTP/1.1\r\nhost: h\r\n{JSON}\r\ncontent-length: {length}");
        talk.send(format!("{head}\r\n\r\n{half}")).await;
        if turn % 2 == 0 {
            talk.stream.set_zero_linger().unwrap();
        }
        drop(talk);
    }
    // Of none of them anything has arrived.
    answers(&house, "within the body").await;
    assert_eq!(mock.seen().len(), 3);
}

#[tokio::test]
async fn a_stream_that_is_reset_harms_nobody() {
    let (mock, _good, house) = rooms().await;
    let client = H2::to(house.at).await;
    for turn in 1..=TIMES {
        let act = [("x-act", "before the head")];
        let (answer, mut send) = client.begin_with(CHAT, &act).await;
        let body = Bytes::from(chat(&["p/m"], turn % 2 == 0));
        send.send_data(body, true).unwrap();
        soon("the request", mock.wait_for(turn)).await;
        send.send_reset(if turn % 3 == 0 {
            Reason::INTERNAL_ERROR
        } else {
            Reason::CANCEL
        });
        drop(answer);
        soon("the cancel", mock.wait_cancelled(turn)).await;
    }
    answers(&house, "reset").await;
}

#[tokio::test]
async fn what_a_request_asks_for_harms_nobody() {
    let (_mock, _good, house) = rooms().await;
    for (act, path, walk) in [
        ("too long", CHAT, "p/m=400"),
        ("too large", CHAT, "p/m=413"),
        ("moderated", CHAT, "p/m=400"),
        ("reasons", CHAT, "p/m=403"),
        ("filtered", CHAT, "p/m=moderated"),
        ("unsupported", CHAT, "p/m=400"),
        ("no such file", CHAT, "p/m=404"),
        ("no such response", RESPONSES, "p/m=404"),
    ] {
        let mut talk = house.talk().await;
        let line = format!("x-act: {act}");
        for turn in 0..TIMES {
            let body = match path {
                RESPONSES => {
                    r#"{"model":"p/m","input":"x","previous_response_id":"resp_x"}"#.to_owned()
                }
                _ => chat(&["p/m"], turn % 2 == 0),
            };
            let answer = talk.post_with(path, &[&line], &body).await;
            assert_eq!(answer.walk(), walk, "{act}: {}", answer.text());
        }
        answers(&house, act).await;
    }
}

#[tokio::test]
async fn rights_that_a_client_brings_harm_nobody() {
    let (mock, _good, house) = rooms().await;
    let mut talk = house.talk().await;
    let lines = [
        "OpenAI-Organization: org-of-another",
        "OpenAI-Project: proj-of-another",
        "authorization: Bearer sk-wrong",
        "x-api-key: wrong",
        "api-key: wrong",
        "x-goog-api-key: wrong",
        "cookie: session=wrong",
        "proxy-authorization: Basic eDp5",
    ];
    for turn in 0..TIMES {
        let body = chat(&["p/m"], turn % 2 == 0);
        let answer = talk.post_with(CHAT, &lines, &body).await;
        assert_eq!(answer.walk(), "p/m=200");
    }
    answers(&house, "rights").await;
    for seen in mock.seen() {
        assert_eq!(seen.header("authorization"), Some("Bearer sk-test-p"));
        let all = format!("{:?}", seen.headers);
        assert!(!all.contains("another") && !all.contains("wrong"), "{all}");
    }
}

/// A provider gives up on whoever does not take its answer, in its own time;
/// that time is the client's doing.
#[tokio::test]
async fn not_reading_an_answer_harms_nobody() {
    let raw = Raw::start().await;
    let more = format!(
        "providers:\n  p: {{ base_url: \"{}\", http: 1 }}\n{STRICT}",
        raw.base_url()
    );
    let house = House::start(&more).await;
    let mut talk = house.talk().await;
    let body = chat(&["p/m"], true);
    talk.request("POST", CHAT, &[JSON], body.as_bytes()).await;
    let mut wire = raw.accept().await;
    wire.request().await;
    wire.send(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n",
    )
    .await;
    let text = "x".repeat(60 << 10);
    let event =
        format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n");
    let chunk = format!("{:x}\r\n{event}\r\n", event.len());
    // Nobody reads, so at some time nothing more is taken.
    let mut sent = 0;
    while timeout(GIVES_UP, wire.stream.write_all(chunk.as_bytes()))
        .await
        .is_ok()
    {
        sent += chunk.len();
    }
    wire.stream.set_zero_linger().unwrap();
    drop(wire);
    assert!(sent > 0);
    let answer = talk.answer().await;
    assert!(answer.text().contains("upstream_cut"));
    house.logged("ended=cut").await;
    let mut next = house.talk().await;
    next.request("POST", CHAT, &[JSON], chat(&["p/m"], false).as_bytes())
        .await;
    let mut wire = raw.accept().await;
    wire.request().await;
    wire.answer(200, &said("m", "Hello")).await;
    assert_eq!(next.answer().await.walk(), "p/m=200");
}
