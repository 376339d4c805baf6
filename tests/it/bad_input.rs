//! What no well-behaved client sends: each gets the contract's error in the
//! contract's shape, and the next client notices nothing.

use standin::mock::{Mock, Reply};

use crate::house::House;
use crate::talk::{Answer, Talk, chat};

const CHAT: &str = "/v1/chat/completions";

/// The contract's error, whole.
#[track_caller]
fn assert_refused(answer: &Answer, status: u16, code: &str, what: &str) {
    assert_eq!(answer.status, status, "{what}: {}", answer.text());
    let body = answer.json();
    let error = body["error"].as_object().expect(what);
    let mut members: Vec<_> = error.keys().map(String::as_str).collect();
    members.sort_unstable();
    assert_eq!(members, ["code", "message", "param", "type"], "{what}");
    assert_eq!(error["code"], code, "{what}");
    assert!(!error["message"].as_str().expect(what).is_empty(), "{what}");
    let kind = if status >= 500 {
        "server_error"
    } else {
        "invalid_request_error"
    };
    assert_eq!(error["type"], kind, "{what}");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert!(answer.header("x-request-id").is_some(), "{what}");
    assert!(answer.whole, "{what}");
}

/// A house before one mock, with small limits.
async fn house(mock: &Mock) -> House {
    let limits = "limits: { request_body: 64KiB, header_timeout: 200ms, body_timeout: 200ms }\n";
    House::before(&[("p", mock)], limits).await
}

async fn answers(house: &House) {
    let answer = house.talk().await.chat(&["p/m"], false).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[tokio::test]
async fn a_bad_body_is_refused_and_its_connection_serves_on() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let house = house(&mock).await;
    let bytes = |text: &str| text.as_bytes().to_vec();
    let names: Vec<_> = (0..17).map(|n| format!("p/m{n}")).collect();
    let names = serde_json::json!({ "models": names }).to_string();
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("empty", vec![], "bad_json"),
        ("blank", bytes(" \r\n"), "bad_json"),
        ("cut", bytes(r#"{"model":"p/m""#), "bad_json"),
        ("cut string", bytes(r#"{"model":"p/m"#), "bad_json"),
        ("two", bytes(r#"{"model":"p/m"}{}"#), "bad_json"),
        ("no JSON", bytes("model=p/m"), "bad_json"),
        ("open brackets", vec![b'['; 60_000], "bad_json"),
        (
            "open members",
            bytes(&r#"{"a":"#.repeat(12_000)),
            "bad_json",
        ),
        ("NUL", bytes("{\"model\":\"p/m\0\"}"), "bad_json"),
        ("not UTF-8", b"{\"model\":\"p/\xff\"}".to_vec(), "bad_json"),
        (
            "half a surrogate",
            bytes(r#"{"model":"p/\ud800"}"#),
            "invalid_model",
        ),
        ("no name", bytes(r#"{"model":""}"#), "invalid_model"),
        (
            "no name in the list",
            bytes(r#"{"models":["p/m",""]}"#),
            "invalid_model",
        ),
        ("none", bytes("{}"), "no_model"),
        ("null", bytes(r#"{"model":null,"models":null}"#), "no_model"),
        ("empty list", bytes(r#"{"models":[]}"#), "no_model"),
        ("number", bytes(r#"{"model":1}"#), "wrong_type"),
        ("list of numbers", bytes(r#"{"models":[1]}"#), "wrong_type"),
        (
            "string for a list",
            bytes(r#"{"models":"p/m"}"#),
            "wrong_type",
        ),
        (
            "stream as text",
            bytes(r#"{"model":"p/m","stream":"true"}"#),
            "wrong_type",
        ),
        (
            "twice",
            bytes(r#"{"model":"p/m","model":"p/n"}"#),
            "duplicate_member",
        ),
        (
            "twice, escaped",
            bytes(r#"{"model":"p/m","mod\u0065l":"p/m"}"#),
            "duplicate_member",
        ),
        ("too many", bytes(&names), "too_many_candidates"),
    ];
    let mut talk = house.talk().await;
    for (what, body, code) in cases {
        let head = ["content-type: application/json"];
        talk.request("POST", CHAT, &head, &body).await;
        assert_refused(&talk.answer().await, 400, code, what);
    }
    assert_eq!(talk.chat(&["p/m"], false).await.status, 200);
}

#[tokio::test]
async fn a_hundred_thousand_levels_are_refused() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let house = House::before(&[("p", &mock)], "").await;
    let levels = 100_000;
    let mut talk = house.talk().await;
    for (open, close) in [("[", "]"), (r#"{"a":"#, "}"), (r#"[{"a":"#, "}]")] {
        let value = format!("{}1{}", open.repeat(levels), close.repeat(levels));
        for name in ["x", "model", "models", "stream", "stream_options"] {
            let whole = format!(r#"{{"model":"p/m","{name}":{value}}}"#);
            for body in [&whole, &whole[..whole.len() / 2]] {
                let answer = talk.post(CHAT, body).await;
                assert_refused(&answer, 400, "bad_json", name);
            }
        }
    }
    assert_eq!(talk.chat(&["p/m"], false).await.status, 200);
}

#[tokio::test]
async fn what_is_no_json_is_unsupported_media() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let house = house(&mock).await;
    let body = chat(&["p/m"], false);
    for line in [
        "content-type: text/plain",
        "Content-Type: application/x-www-form-urlencoded",
        "CONTENT-TYPE: multipart/form-data; boundary=json",
        "content-type: application/jsonx",
        "content-encoding: gzip",
        "Content-Encoding: br",
        "content-encoding: identity, gzip",
    ] {
        let mut talk = house.talk().await;
        talk.request("POST", CHAT, &[line], body.as_bytes()).await;
        assert_refused(&talk.answer().await, 415, "unsupported_media_type", line);
        // Its body was not read, so where the next request begins is unknown.
        talk.closed().await;
    }
    for line in [
        "x-nothing: 1",
        "content-type:",
        "content-type: APPLICATION/JSON; charset=utf-8",
        "content-encoding: identity",
    ] {
        let mut talk = house.talk().await;
        talk.request("POST", CHAT, &[line], body.as_bytes()).await;
        assert_eq!(talk.answer().await.status, 200, "{line}");
    }
    assert_eq!(mock.seen().len(), 4);
}

#[tokio::test]
async fn other_paths_and_methods_are_refused() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let house = house(&mock).await;
    for (method, path, status, code) in [
        ("GET", "/", 404, "not_found"),
        ("POST", "/v1", 404, "not_found"),
        ("POST", "/v1/chat/completions/", 404, "not_found"),
        ("POST", "/v1/Chat/Completions", 404, "not_found"),
        ("POST", "/v1/images/generations", 404, "not_found"),
        ("POST", "/v1/../v1/chat/completions", 404, "not_found"),
        ("POST", "//v1/chat/completions", 404, "not_found"),
        ("OPTIONS", "*", 404, "not_found"),
        ("GET", CHAT, 405, "method_not_allowed"),
        ("PUT", CHAT, 405, "method_not_allowed"),
        ("post", CHAT, 405, "method_not_allowed"),
        ("BREW", "/v1/embeddings", 405, "method_not_allowed"),
        ("POST", "/v1/models", 405, "method_not_allowed"),
        ("DELETE", "/v1/models/p/m", 405, "method_not_allowed"),
        ("GET", "/v1/models/p/none", 404, "model_not_found"),
        ("GET", "/v1/models/%ff", 404, "model_not_found"),
        ("GET", "/v1/models/", 404, "model_not_found"),
    ] {
        let mut talk = house.talk().await;
        talk.request(method, path, &[], b"").await;
        let what = format!("{method} {path}");
        let answer = talk.answer().await;
        assert_refused(&answer, status, code, &what);
        let takes = if path.starts_with("/v1/models") {
            "GET, HEAD"
        } else {
            "POST"
        };
        let allow = (status == 405).then_some(takes);
        assert_eq!(answer.header("allow"), allow, "{what}");
        talk.request("POST", CHAT, &[], chat(&["p/m"], false).as_bytes())
            .await;
        assert_eq!(talk.answer().await.status, 200, "{what}");
    }
    let unknown = house.talk().await.chat(&["x/m", "y/m"], false).await;
    assert_refused(&unknown, 404, "model_not_found", "unknown names");
    assert_eq!(unknown.json()["error"]["param"], "model");
}

#[tokio::test]
async fn a_head_request_gets_a_head() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let house = house(&mock).await;
    let mut talk = house.talk().await;
    for (path, is) in [("/v1/models", 200), ("/v1/completions", 405)] {
        talk.request("HEAD", path, &[], b"").await;
        let (status, _) = talk.head().await;
        assert_eq!(status, is, "{path}");
    }
    let mut admin = Talk::to(house.admin).await;
    for path in ["/healthz", "/readyz"] {
        admin.request("HEAD", path, &[], b"").await;
        assert_eq!(admin.head().await.0, 200, "{path}");
    }
    // Anything of a body would be taken for this answer's head.
    assert_eq!(talk.chat(&["p/m"], false).await.status, 200);
}

#[tokio::test]
async fn a_body_above_the_limit_is_refused_before_it_is_read() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let house = house(&mock).await;
    let limit = 64 << 10;
    for claimed in [
        "65537",
        "33554433",
        "9223372036854775807",
        "18446744073709551615",
    ] {
        let mut talk = house.talk().await;
        let head = format!("POST {CHAT} HTTP/1.1\r\nhost: h\r\ncontent-length: {claimed}\r\n\r\n");
        talk.send(head).await;
        assert_refused(&talk.answer().await, 413, "request_too_large", claimed);
        talk.closed().await;
    }
    // One byte too much in chunks, and the sender goes on.
    let mut talk = house.talk().await;
    talk.send(format!(
        "POST {CHAT} HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n"
    ))
    .await;
    let chunk = vec![b' '; limit + 1];
    talk.send(format!("{:x}\r\n", chunk.len())).await;
    talk.send(&chunk).await;
    talk.send("\r\n0\r\n\r\n").await;
    assert_refused(&talk.answer().await, 413, "request_too_large", "chunked");
    talk.closed().await;
    // A client that writes all before it reads finds its answer too.
    let mut talk = house.talk().await;
    talk.request("POST", CHAT, &[], &vec![b' '; 3 << 20]).await;
    assert_refused(&talk.answer().await, 413, "request_too_large", "all first");
    talk.closed().await;
    assert!(mock.seen().is_empty());
    answers(&house).await;
}

#[tokio::test]
async fn nothing_is_sent_anywhere_while_framing_is_in_doubt() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let house = house(&mock).await;
    let body = chat(&["p/m"], false);
    let length = body.len();
    let chunked = format!("{length:x}\r\n{body}\r\n0\r\n\r\n");
    // What a smuggler hides behind it.
    let hidden =
        format!("POST {CHAT} HTTP/1.1\r\nhost: h\r\ncontent-length: {length}\r\n\r\n{body}");
    let heads = [
        format!("content-length: {length}\r\ntransfer-encoding: chunked"),
        format!("transfer-encoding: chunked\r\ncontent-length: {length}"),
        format!("TRANSFER-ENCODING: chunked\r\nCoNtEnT-lEnGtH: {length}"),
        "content-length: 0\r\ntransfer-encoding: chunked".into(),
        format!("content-length: {length}\r\ncontent-length: {}", length - 1),
        format!("content-length: {length}, {}", length + 1),
        format!("content-length: +{length}"),
        format!("content-length: -{length}"),
        format!("content-length: 0x{length:x}"),
        format!("content-length: {length} {length}"),
        "content-length: 99999999999999999999999".into(),
        "content-length:".into(),
        format!("content-length : {length}"),
        format!("content-length\t: {length}"),
        format!("x: 1\r\n content-length: {length}\r\ncontent-length: 0"),
        "transfer-encoding: gzip, chunked".into(),
        "transfer-encoding: chunked, gzip".into(),
        "transfer-encoding: chunked, chunked".into(),
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked".into(),
        "transfer-encoding: identity".into(),
        "transfer-encoding: xchunked".into(),
        "transfer-encoding: \"chunked\"".into(),
        "transfer-encoding: chunked;q=1".into(),
        "transfer-encoding : chunked".into(),
        "transfer-encoding:".into(),
    ];
    for path in [CHAT, "/v1/models", "/none"] {
        for head in &heads {
            let mut talk = house.talk().await;
            let method = if path == "/v1/models" { "GET" } else { "POST" };
            let request =
                format!("{method} {path} HTTP/1.1\r\nhost: h\r\n{head}\r\n\r\n{chunked}{hidden}");
            talk.send(request).await;
            let what = format!("{path} {head:?}");
            assert_refused(&talk.answer().await, 400, "bad_request", &what);
            talk.closed().await;
        }
    }
    assert!(mock.seen().is_empty(), "{:?}", mock.seen());
    answers(&house).await;
}

#[tokio::test]
async fn chunks_that_make_no_sense_are_refused() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let house = house(&mock).await;
    let whole = chat(&["p/m"], false);
    let length = whole.len();
    for body in [
        "zz\r\n".to_owned(),
        "-1\r\n".into(),
        "fffffffffffffffff\r\n".into(),
        "0x10\r\n".into(),
        format!("{length:x}\r\n{whole}XX0\r\n\r\n"),
        format!("{length:x}\n{whole}\n0\n\n"),
        format!("{:x}\r\n{whole}\r\n0\r\n\r\n", length - 1),
    ] {
        let mut talk = house.talk().await;
        talk.send(format!(
            "POST {CHAT} HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n{body}"
        ))
        .await;
        assert_refused(&talk.answer().await, 400, "bad_request", &body);
        talk.closed().await;
    }
    assert!(mock.seen().is_empty());
    answers(&house).await;
}

#[tokio::test]
async fn no_length_at_all_is_411() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let house = house(&mock).await;
    let mut talk = house.talk().await;
    talk.send(format!("POST {CHAT} HTTP/1.1\r\nhost: h\r\n\r\n"))
        .await;
    assert_refused(&talk.answer().await, 411, "length_required", "none");
    talk.closed().await;
}

#[tokio::test]
async fn a_head_that_is_none_is_400() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let house = house(&mock).await;
    for head in [
        "\0\r\n\r\n",
        "\x16\x03\x01\x02\0\x01\0\x01\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/3.0\r\n\r\n",
        "GET / HTTP/1.1\r\nno colon\r\n\r\n",
        "GET / HTTP/1.1\r\n: nameless\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: h\r\nx: a\0b\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: h\r\nx: a\rb: c\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: h\r\nx: a\nb: c\r\n\r\n",
        "GET / HTTP/1.1\nhost: h\n\n",
        "GET / HTTP/1.1\r\nhost: h\r\nhost: g\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: h\r\nx: 1\r\n folded\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
    ] {
        let mut talk = house.talk().await;
        // It may be answered and closed before all of it has gone out.
        let _ = tokio::io::AsyncWriteExt::write_all(&mut talk.stream, head.as_bytes()).await;
        let shown = &head[..head.len().min(60)];
        assert_refused(&talk.answer().await, 400, "bad_request", shown);
        talk.closed().await;
    }
    answers(&house).await;
}

#[tokio::test]
async fn what_comes_too_slowly_is_408() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let house = house(&mock).await;
    let body = chat(&["p/m"], false);
    let body_head = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: h\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let half = format!("{body_head}{}", &body[..body.len() / 2]);
    let chunk =
        format!("POST {CHAT} HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{{");
    let mut talks = Vec::new();
    for piece in [
        "G",
        "P",
        "PRI * HTT",
        "GET / HTTP/1.1\r\nhost: h\r\n",
        &body_head,
        &half,
        &chunk,
    ] {
        let mut talk = house.talk().await;
        talk.send(piece).await;
        talks.push((talk, piece));
    }
    for (mut talk, piece) in talks {
        assert_refused(&talk.answer().await, 408, "request_timeout", piece);
        talk.closed().await;
    }
    // The second request of a connection has the same bounds.
    let mut talk = house.talk().await;
    assert_eq!(talk.chat(&["p/m"], false).await.status, 200);
    talk.send("POST ").await;
    assert_refused(&talk.answer().await, 408, "request_timeout", "second");
    talk.closed().await;
    // Who says nothing at all is not answered.
    house.talk().await.closed().await;
    assert_eq!(mock.seen().len(), 1);
}

#[tokio::test]
async fn a_client_that_leaves_early_is_only_gone() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let house = house(&mock).await;
    let body = chat(&["p/m"], false);
    let whole = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: h\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    for length in 0..whole.len() {
        let mut talk = house.talk().await;
        talk.send(&whole[..length]).await;
        drop(talk);
    }
    answers(&house).await;
    assert_eq!(mock.seen().len(), 1);
}

#[tokio::test]
async fn the_client_s_own_request_id_stands_on_a_refusal_and_in_the_log() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let house = house(&mock).await;
    let mut talk = house.talk().await;
    let answer = talk.post_with(CHAT, &["X-Request-ID: mine-1"], "{}").await;
    assert_eq!(answer.header("x-request-id"), Some("mine-1"));
    let line = house.logged("request_id=mine-1 ").await;
    assert!(
        line.ends_with(" ended=refused status=400 code=no_model"),
        "{line}"
    );
    let other = talk.post_with(CHAT, &["x-request-id: no good"], "{}").await;
    assert_ne!(other.header("x-request-id"), Some("no good"));
}
