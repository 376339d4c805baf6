//! Requests that hide behind others: who stands before Standin has not seen
//! them, so nobody here may either.

use standin::mock::{Mock, Reply};

use crate::house::House;
use crate::talk::chat;

const CHAT: &str = "/v1/chat/completions";

#[tokio::test]
async fn what_hides_behind_a_request_is_not_served() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let house = House::before(&[("p", &mock)], "").await;
    let body = chat(&["p/m"], false);
    let post = |lines: &str, body: &str| {
        format!("POST {CHAT} HTTP/1.1\r\nhost: h\r\n{lines}\r\n\r\n{body}")
    };
    let length = |body: &str| format!("content-length: {}", body.len());
    let hidden = post(&length(&body), &body);
    let chunk = |body: &str| format!("{:x}\r\n{body}\r\n0\r\n", body.len());
    let chunked = "transfer-encoding: chunked";
    let get = |lines: &str, body: &str| {
        format!("GET /v1/models HTTP/1.1\r\nhost: h\r\n{lines}\r\n\r\n{body}")
    };
    let cases = [
        ("a body nobody reads", 200, get(&length(&hidden), &hidden)),
        (
            "chunks nobody reads",
            200,
            get(chunked, &format!("{}\r\n", chunk(&hidden))),
        ),
        (
            "behind the last answer",
            200,
            get("connection: close", &hidden),
        ),
        (
            "behind a tunnel that is none",
            400,
            format!("CONNECT admin:1 HTTP/1.1\r\nhost: h\r\n{chunked}\r\n\r\n{hidden}"),
        ),
        ("trailers", 400, post(chunked, &(chunk(&body) + &hidden))),
        (
            "an extension of a chunk",
            400,
            post(
                chunked,
                &format!("{:x};a\n{body}\r\n0\r\n\r\n{hidden}", body.len()),
            ),
        ),
        ("an empty line to some", 400, get("x: a\n", &hidden)),
        (
            "an end of a line to some",
            400,
            post(
                &format!("{}\ncontent-length: 0", length(&body)),
                &(body.clone() + &hidden),
            ),
        ),
        (
            "chunks to some",
            400,
            format!("POST {CHAT} HTTP/1.0\r\n{chunked}\r\n\r\n0\r\n\r\n{hidden}"),
        ),
        (
            "a path to some",
            400,
            format!("GET /v1/models#/../none HTTP/1.1\r\nhost: h\r\n\r\n{hidden}"),
        ),
        (
            "another protocol",
            400,
            format!("PRI * HTTP/2.0\r\n\r\n{hidden}"),
        ),
    ];
    for (what, status, wire) in cases {
        let mut talk = house.talk().await;
        talk.send(wire).await;
        let answer = talk.answer().await;
        assert_eq!(answer.status, status, "{what}: {}", answer.text());
        talk.closed().await;
        assert!(mock.seen().is_empty(), "{what}: {:?}", mock.seen());
    }
    let mut talk = house.talk().await;
    talk.send(hidden).await;
    assert_eq!(talk.answer().await.status, 200, "alone it is one");
}

#[tokio::test]
async fn an_upgrade_is_not_made_and_goes_nowhere() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let house = House::before(&[("p", &mock)], "").await;
    let mut talk = house.talk().await;
    for to in ["h2c", "websocket", "TLS/1.2"] {
        let upgrade = format!("Upgrade: {to}");
        let lines = [
            "Connection: Upgrade, HTTP2-Settings, x-mine, content-length, host",
            &upgrade,
            "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA",
            "x-mine: 1",
        ];
        let answer = talk.post_with(CHAT, &lines, &chat(&["p/m"], false)).await;
        assert_eq!(answer.status, 200, "{to}: {}", answer.text());
        let arrived = mock.last().unwrap();
        for name in ["upgrade", "http2-settings", "x-mine"] {
            assert_eq!(arrived.header(name), None, "{to}: {name}");
        }
        assert!(arrived.header("host").is_some());
        assert!(!arrived.body.is_empty());
    }
    // Who goes on as if it had been made is told that it was not.
    talk.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    assert_eq!(talk.answer().await.status, 400);
    talk.closed().await;
}
