//! Other endpoints, which go to one provider as they are.

use bytes::Bytes;
use standin::config::Digest;
use standin::mock::{At, Framing, Gate, Mock, Reply, Script, Step};

use crate::h2_provider::{Act, H2Provider};
use crate::house::{House, soon};
use crate::http2::H2;
use crate::raw::Raw;
use crate::talk::Talk;

const SPEECH: &str = "/v1/audio/speech";

/// Everything below `/v1/audio/` and `/v1/files` goes to `p`.
const PATHS: &str = "passthrough: { \"/v1/audio/*\": p, \"/v1/files\": p, \"/v1/files/*\": p }\n";

fn yaml(base_url: &str, more: &str) -> String {
    format!("providers:\n  p: {{ base_url: \"{base_url}\", api_key: sk-ours }}\n{PATHS}{more}")
}

/// A multipart body with a file of so many bytes in it.
fn multipart(size: usize) -> Vec<u8> {
    let mut body = b"--xyz\r\ncontent-disposition: form-data; name=\"file\"; \
        filename=\"a.wav\"\r\n\r\n"
        .to_vec();
    body.extend((0..size).map(|at| u8::try_from(at % 251).unwrap()));
    body.extend_from_slice(b"\r\n--xyz--\r\n");
    body
}

const MULTIPART: &str = "content-type: multipart/form-data; boundary=xyz";

#[tokio::test]
async fn an_upload_arrives_byte_for_byte_below_the_base_url() {
    let mock = Mock::start(Reply::json(200, r#"{"text":"hello","model":"theirs"}"#)).await;
    let mock = mock.unwrap();
    let house = House::before(&[("p", &mock)], PATHS).await;
    let mut talk = house.talk().await;
    let body = multipart(2 << 20);
    let headers = [
        MULTIPART,
        "authorization: Bearer client",
        "cookie: a=b",
        "x-request-id: mine",
        "openai-beta: yes",
    ];
    let path = "/v1/audio/transcriptions?language=en&x=%2F";
    talk.request("POST", path, &headers, &body).await;
    let answer = talk.answer().await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.text(), r#"{"text":"hello","model":"theirs"}"#);
    assert_eq!(answer.header("x-standin-provider"), Some("p"));
    assert_eq!(answer.header("x-request-id"), Some("mine"));
    assert_eq!(answer.header("content-length"), Some("33"));
    let seen = mock.last().unwrap();
    assert_eq!(seen.method, "POST");
    assert_eq!(seen.target, "/v1/audio/transcriptions?language=en&x=%2F");
    assert_eq!(seen.body, body);
    assert_eq!(seen.header("authorization"), Some("Bearer sk-test-p"));
    assert_eq!(seen.header("x-request-id"), Some("mine"));
    assert_eq!(seen.header("openai-beta"), Some("yes"));
    assert_eq!(seen.header("cookie"), None);
    let length = body.len().to_string();
    assert_eq!(seen.header("content-length"), Some(&*length));
    assert!(
        seen.header("content-type")
            .unwrap()
            .contains("boundary=xyz")
    );

    // The connection serves on, with a small body over the pool this time.
    let image = talk.post(SPEECH, r#"{"input":"x"}"#).await;
    assert_eq!(image.status, 200);
    assert_eq!(mock.last().unwrap().body, r#"{"input":"x"}"#);

    let line = house.logged("bytes_in").await;
    let told = ["/v1/audio/*", "answered", "provider=p", "bytes=33"];
    assert!(told.iter().all(|word| line.contains(word)), "{line}");
    assert!(!line.contains("language"), "{line}");
    let metrics = Talk::to(house.admin).await.get("/metrics").await.text();
    let counted = r#"standin_requests_total{endpoint="passthrough",outcome="answered"} 2"#;
    assert!(metrics.contains(counted), "{metrics}");
}

#[tokio::test]
async fn a_body_goes_on_while_it_comes() {
    let raw = Raw::start().await;
    let house = House::start(&yaml(&raw.base_url(), "")).await;
    let mut talk = house.talk().await;
    talk.send(format!(
        "POST {SPEECH} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n"
    ))
    .await;
    let mut wire = raw.accept().await;
    let head = wire.head().await;
    assert!(
        head.starts_with("post /v1/audio/speech http/1.1\r\n"),
        "{head}"
    );
    assert!(head.contains("transfer-encoding: chunked"), "{head}");
    assert_eq!(wire.body(8).await, b"5\r\nfirst");
    talk.send("6\r\nsecond\r\n").await;
    assert_eq!(wire.body(11).await, b"\r\n6\r\nsecond");
    talk.send("0\r\n\r\n").await;
    assert_eq!(wire.body(7).await, b"\r\n0\r\n\r\n");
    wire.send("HTTP/1.1 201 X\r\ncontent-type: audio/mpeg\r\ntransfer-encoding: chunked\r\n\r\n")
        .await;
    wire.send("3\r\none\r\n").await;
    let (status, headers) = talk.head().await;
    assert_eq!(status, 201);
    assert!(headers.contains(&("content-type".into(), "audio/mpeg".into())));
    assert_eq!(talk.chunk().await.unwrap(), b"one");
    wire.send("3\r\ntwo\r\n").await;
    assert_eq!(talk.chunk().await.unwrap(), b"two");
    wire.send("0\r\n\r\n").await;
    assert_eq!(talk.chunk().await.unwrap(), b"");
}

#[tokio::test]
async fn any_method_goes_on_and_its_answer_as_it_came() {
    let raw = Raw::start().await;
    let house = House::start(&yaml(&raw.base_url(), "")).await;
    let mut talk = house.talk().await;
    talk.request("GET", "/v1/files?limit=2", &[], b"").await;
    let mut wire = raw.accept().await;
    let (head, _) = wire.request().await;
    assert!(
        head.starts_with("get /v1/files?limit=2 http/1.1\r\n"),
        "{head}"
    );
    assert!(!head.contains("content-length"), "{head}");
    wire.answer(418, "{}").await;
    assert_eq!(talk.answer().await.status, 418);

    talk.request("DELETE", "/v1/files/f-1", &[], b"").await;
    let (head, _) = wire.request().await;
    assert!(head.starts_with("delete /v1/files/f-1 "), "{head}");
    wire.send("HTTP/1.1 204 X\r\n\r\n").await;
    assert_eq!(talk.head().await.0, 204);

    // An answer to HEAD tells a length and has no body, on both sides: the
    // next one follows at once.
    for _ in 0..2 {
        talk.request("HEAD", "/v1/files/f-1/content", &[], b"")
            .await;
        let (head, _) = wire.request().await;
        assert!(head.starts_with("head /v1/files/f-1/content "), "{head}");
        wire.send("HTTP/1.1 200 X\r\ncontent-length: 12345\r\n\r\n")
            .await;
        let (status, headers) = talk.head().await;
        assert_eq!(status, 200);
        assert!(headers.contains(&("content-length".into(), "12345".into())));
    }

    talk.request("TRACE", "/v1/files/f-1", &[], b"").await;
    let answer = talk.answer().await;
    assert_eq!(
        (answer.status, &*answer.code()),
        (405, "method_not_allowed")
    );
}

#[tokio::test]
async fn only_plain_paths_below_a_pattern_go_anywhere() {
    let mock = Mock::start(Reply::json(200, "{}")).await.unwrap();
    let house = House::before(&[("p", &mock)], PATHS).await;
    let mut talk = house.talk().await;
    for path in [
        "/v1/images/generations",
        "/v1/audio",
        "/v1/audio/",
        "/v1/audiobooks",
        "/v1/files/../models",
        "/v1/files/%2e%2e/models",
        "/v1/files/.%2E/models",
        "/v1/files/..%2fmodels",
        "/v1/files/%2e%2e%5cmodels",
        "/v1/files/%252e%252e/models",
        "/v1/files//etc",
        "/v1/files/./x",
        "/v1/files/..;/x",
        "//v1/files/x",
        "/v1/../v1/files/x",
        "/V1/files/x",
        "/audio/speech",
    ] {
        talk.request("GET", path, &[], b"").await;
        let answer = talk.answer().await;
        assert_eq!(
            (answer.status, &*answer.code()),
            (404, "not_found"),
            "{path}"
        );
    }
    // Nor do our own endpoints.
    talk.request("GET", "/v1/models", &[], b"").await;
    assert_eq!(talk.answer().await.status, 200);
    assert_eq!(mock.counts().seen, 0);
}

#[tokio::test]
async fn the_longest_pattern_says_which_provider() {
    let one = Mock::start(Reply::json(200, "1")).await.unwrap();
    let two = Mock::start(Reply::json(200, "2")).await.unwrap();
    let paths = "passthrough: { \"/v1/a/*\": one, \"/v1/a/b/*\": two, \"/v1/a/b/c\": one }\n";
    let house = House::before(&[("one", &one), ("two", &two)], paths).await;
    let mut talk = house.talk().await;
    for (path, said) in [("/v1/a/b", "1"), ("/v1/a/b/d", "2"), ("/v1/a/b/c", "1")] {
        assert_eq!(talk.get(path).await.text(), said, "{path}");
    }
}

#[tokio::test]
async fn a_key_may_use_it_where_it_may_use_all_of_the_provider_unpriced() {
    let mock = Mock::start(Reply::json(200, "{}")).await.unwrap();
    let entry = |name: &str, more: &str| {
        let sha256 = Digest::of(name.as_bytes());
        format!("  - {{ name: {name}, sha256: \"{sha256}\"{more} }}\n")
    };
    let keys = [
        entry("free", ""),
        entry("all-of-p", ", models: [\"p/*\"]"),
        entry("some-of-p", ", models: [\"p/gpt-*\", \"p/tts\"]"),
        entry("all-of-q", ", models: [\"q/*\"]"),
        entry("poor", ", budget: { usd: 1, per: day }"),
        entry("slow", ", requests_per_minute: 1"),
    ];
    let more = format!("{PATHS}keys:\n{}", keys.concat());
    let house = House::before(&[("p", &mock), ("q", &mock)], &more).await;
    for (key, status, code) in [
        (None, 401, "no_key"),
        (Some("nobody"), 401, "unknown_key"),
        (Some("free"), 200, ""),
        (Some("all-of-p"), 200, ""),
        (Some("some-of-p"), 403, "not_allowed"),
        (Some("all-of-q"), 403, "not_allowed"),
        (Some("poor"), 403, "not_allowed"),
        (Some("slow"), 200, ""),
        (Some("slow"), 429, "requests_per_minute"),
    ] {
        let header = key.map(|key| format!("authorization: Bearer {key}"));
        let headers: Vec<&str> = header.as_deref().into_iter().collect();
        // One whose body is not read ends its connection.
        let mut talk = house.talk().await;
        let answer = talk.post_with(SPEECH, &headers, "{}").await;
        assert_eq!(answer.status, status, "{key:?}");
        if status != 200 {
            assert_eq!(answer.code(), code, "{key:?}");
        }
    }
    assert_eq!(mock.counts().seen, 3);
}

#[tokio::test]
async fn a_body_that_is_or_grows_too_large_is_refused() {
    let raw = Raw::start().await;
    let more = "limits: { request_body: 100KiB }\n";
    let house = House::start(&yaml(&raw.base_url(), more)).await;
    let mut talk = house.talk().await;
    talk.send(format!(
        "POST {SPEECH} HTTP/1.1\r\nhost: x\r\ncontent-length: 102401\r\n\r\n"
    ))
    .await;
    let answer = talk.answer().await;
    assert_eq!((answer.status, &*answer.code()), (413, "request_too_large"));

    let mut talk = house.talk().await;
    talk.send(format!(
        "POST {SPEECH} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
    ))
    .await;
    let mut wire = raw.accept().await;
    wire.head().await;
    for _ in 0..11 {
        talk.send(format!("2800\r\n{}\r\n", "x".repeat(0x2800)))
            .await;
    }
    let answer = talk.answer().await;
    assert_eq!((answer.status, &*answer.code()), (413, "request_too_large"));
    // Cut, without an end that could be taken for whole.
    wire.closed().await;
}

#[tokio::test]
async fn a_body_that_stops_coming_is_given_up() {
    let raw = Raw::start().await;
    let more = "limits: { body_timeout: 200ms }\n";
    let house = House::start(&yaml(&raw.base_url(), more)).await;
    let mut talk = house.talk().await;
    talk.send(format!(
        "POST {SPEECH} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n"
    ))
    .await;
    let mut wire = raw.accept().await;
    let answer = talk.answer().await;
    assert_eq!((answer.status, &*answer.code()), (408, "request_timeout"));
    wire.closed().await;
}

#[tokio::test]
async fn without_an_answer_it_is_502_or_504() {
    let mock = Mock::start(Reply::json(200, "{}").stall(At::Start))
        .await
        .unwrap();
    let refused = Mock::refused().unwrap();
    let yaml = format!(
        "providers:\n  slow: {{ base_url: \"{}\", timeouts: {{ answer: 1s }} }}\n  \
         none: {{ base_url: \"{}\" }}\n\
         passthrough: {{ \"/v1/slow\": slow, \"/v1/none\": none }}\n",
        mock.base_url(),
        refused.base_url(),
    );
    let house = House::start(&yaml).await;
    let mut talk = house.talk().await;
    for (path, status, code) in [
        ("/v1/slow", 504, "upstream_timeout"),
        ("/v1/none", 502, "upstream_unavailable"),
    ] {
        let answer = talk.post(path, "{}").await;
        assert_eq!((answer.status, &*answer.code()), (status, code));
        assert!(answer.header("x-request-id").is_some());
    }
    mock.play(Reply::json(
        401,
        r#"{"error":{"message":"sk-ours is wrong"}}"#,
    ));
    let answer = talk.post("/v1/slow", "{}").await;
    assert_eq!((answer.status, &*answer.code()), (502, "upstream_auth"));
    assert!(!answer.text().contains("sk-ours"));
    // An error is the client's to see, as it came.
    mock.play(Reply::rate_limited(Some("7")));
    let answer = talk.post("/v1/slow", "{}").await;
    assert_eq!(answer.status, 429);
    assert_eq!(answer.header("retry-after"), Some("7"));
    // And nothing of all that says anything of the provider's models.
    mock.play(Reply::answer("Hello"));
    assert_eq!(talk.chat(&["slow/m"], false).await.walk(), "slow/m=200");
}

#[tokio::test]
async fn a_dead_connection_from_the_pool_is_no_failure() {
    let mock = Mock::start(Script::from(Reply::json(200, "{}")).stale_after(1)).await;
    let mock = mock.unwrap();
    let house = House::before(&[("p", &mock)], PATHS).await;
    let mut talk = house.talk().await;
    for _ in 0..3 {
        assert_eq!(talk.post(SPEECH, r#"{"input":"x"}"#).await.status, 200);
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_breaks_off_visibly() {
    let body = "x".repeat(1000);
    for framing in [Framing::Length, Framing::Chunked] {
        let reply = Reply::plain(200, "audio/mpeg", body.clone()).framing(framing);
        let mock = Mock::start(reply.cut(At::Byte(500))).await.unwrap();
        let house = House::before(&[("p", &mock)], PATHS).await;
        let mut talk = house.talk().await;
        let answer = talk.post(SPEECH, "{}").await;
        assert_eq!((answer.status, answer.whole), (200, false));
        house.logged("ended=cut").await;
    }
}

#[tokio::test]
async fn who_leaves_takes_the_upstream_s_request_along() {
    let gate = Gate::new();
    let reply = Reply::plain(200, "audio/mpeg", "begun").framing(Framing::ChunkedBy(1));
    let mock = Mock::start(reply.at(At::Byte(2), Step::Hold(gate.clone()))).await;
    let mock = mock.unwrap();
    let house = House::before(&[("p", &mock)], PATHS).await;
    let mut talk = house.talk().await;
    talk.request("POST", SPEECH, &[], b"{}").await;
    assert_eq!(talk.head().await.0, 200);
    drop(talk);
    soon("a cancel", mock.wait_cancelled(1)).await;
    // Also one that waits for a head, and one that still sends.
    mock.play(Reply::json(200, "{}").stall(At::Start));
    let mut talk = house.talk().await;
    talk.request("POST", SPEECH, &[], b"{}").await;
    soon("a request", mock.wait_for(2)).await;
    drop(talk);
    soon("a cancel", mock.wait_cancelled(2)).await;
    gate.open();
    let raw = Raw::start().await;
    let house = House::start(&yaml(&raw.base_url(), "")).await;
    let mut talk = house.talk().await;
    let head = format!("POST {SPEECH} HTTP/1.1\r\nhost: x\r\ncontent-length: 900000\r\n\r\nx");
    talk.send(head).await;
    let mut wire = raw.accept().await;
    wire.head().await;
    drop(talk);
    wire.closed().await;
    house.logged("ended=client_gone").await;
}

#[tokio::test]
async fn an_answer_that_comes_before_the_body_s_end_is_handed_on() {
    let mock = Mock::start(Reply::json(413, "{}").early()).await.unwrap();
    let house = House::before(&[("p", &mock)], PATHS).await;
    let mut talk = house.talk().await;
    talk.request("POST", SPEECH, &[MULTIPART], &multipart(4 << 20))
        .await;
    assert_eq!(talk.answer().await.status, 413);
}

#[tokio::test]
async fn what_is_in_flight_finishes_in_a_drain_and_nothing_new_begins() {
    let raw = Raw::start().await;
    let mut house = House::start(&yaml(&raw.base_url(), "")).await;
    let mut talk = house.talk().await;
    talk.request("POST", SPEECH, &[], b"{}").await;
    let mut wire = raw.accept().await;
    wire.request().await;
    house.signal("TERM");
    house.logged("draining: 1 requests in flight").await;
    let late = house.talk().await.post(SPEECH, "{}").await;
    assert_eq!((late.status, &*late.code()), (503, "draining"));
    wire.answer(200, "whole").await;
    let answer = talk.answer().await;
    assert_eq!((answer.status, &*answer.text()), (200, "whole"));
    assert_eq!(answer.header("connection"), Some("close"));
    assert!(house.ended().await.success());
}

#[tokio::test]
async fn clients_and_providers_may_speak_http_2() {
    let mock = Mock::start(Reply::json(200, r#"{"a":1}"#)).await.unwrap();
    let house = House::before(&[("p", &mock)], PATHS).await;
    let client = H2::to(house.at).await;
    let body = "x".repeat(3 << 20);
    let answer = client.post(SPEECH, &body).await;
    assert_eq!((answer.status, answer.json()["a"].as_i64()), (200, Some(1)));
    assert_eq!(mock.last().unwrap().body.len(), body.len());
    assert_eq!(client.post("/v1/audio/..%2fx", "").await.status, 404);
    // Piece by piece, too.
    let (answer, mut send) = client.begin(SPEECH).await;
    for _ in 0..3 {
        send.send_data(Bytes::from_static(b"abc"), false).unwrap();
    }
    send.send_data(Bytes::new(), true).unwrap();
    assert_eq!(soon("an answer", answer).await.unwrap().status(), 200);
    assert_eq!(mock.last().unwrap().body, "abcabcabc");

    let provider = H2Provider::start(|_, _| Act::Answer, None).await;
    let yaml = format!(
        "providers:\n  p: {{ base_url: \"http://{}/v1\", http: \"2\" }}\n{PATHS}",
        provider.at
    );
    let house = House::start(&yaml).await;
    let mut talk = house.talk().await;
    for size in [0, 10, 3 << 20] {
        talk.request("PUT", "/v1/files/f?x=1", &[MULTIPART], &vec![1; size])
            .await;
        assert_eq!(talk.answer().await.status, 200);
        let arrived = provider.arrived();
        let arrived = arrived.last().unwrap();
        assert_eq!(arrived.body, size);
        assert_eq!(arrived.request.method(), "PUT");
        assert_eq!(arrived.request.uri().path(), "/v1/files/f");
        assert_eq!(arrived.request.uri().query(), Some("x=1"));
    }
}
