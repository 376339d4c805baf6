//! Bodies of every size, in both framings, byte for byte.

use standin::mock::{Mock, Reply, Script};

use crate::house::House;

const CHAT: &str = "/v1/chat/completions";
const MIB: usize = 1 << 20;

/// A body of exactly this size whose every part differs from its neighbours.
fn body(size: usize) -> Vec<u8> {
    let (open, close) = (br#"{"model":"p/m","pad":""#, br#""}"#);
    let mut body = open.to_vec();
    let pad = size - open.len() - close.len();
    body.extend((0..pad).map(|n| b'a' + (n.wrapping_mul(2_654_435_761) >> 13) as u8 % 26));
    body.extend_from_slice(close);
    body
}

fn as_sent(body: &[u8]) -> Vec<u8> {
    let mut sent = br#"{"model":"m""#.to_vec();
    sent.extend_from_slice(&body[br#"{"model":"p/m""#.len()..]);
    sent
}

fn chunked(body: &[u8], size: usize) -> Vec<u8> {
    let mut request =
        format!("POST {CHAT} HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n")
            .into_bytes();
    for chunk in body.chunks(size) {
        request.extend_from_slice(format!("{:x};ext=1\r\n", chunk.len()).as_bytes());
        request.extend_from_slice(chunk);
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"0\r\nx-trailer: 1\r\n\r\n");
    request
}

#[tokio::test]
async fn every_size_up_to_the_limit_arrives_byte_for_byte() {
    let script = Script::from(Reply::answer("Hello"));
    let mock = Mock::start(script).await.unwrap();
    let house = House::before(&[("p", &mock)], "").await;
    let mut talk = house.talk().await;
    let sizes = [
        24,
        4095,
        4096,
        4097,
        65_535,
        65_536,
        65_537,
        (64 << 10) + 2,
        MIB - 1,
        MIB,
        5 * MIB + 3,
        30_000_000,
        32 * MIB - 1,
        32 * MIB,
    ];
    for size in sizes {
        let body = body(size);
        talk.request("POST", CHAT, &[], &body).await;
        let answer = talk.answer().await;
        assert_eq!(answer.status, 200, "{size}: {}", answer.text());
        assert!(mock.last().unwrap().body == as_sent(&body), "{size}");
        let piece = if size > MIB { 100_000 } else { 1 + size / 50 };
        talk.send(chunked(&body, piece)).await;
        let answer = talk.answer().await;
        assert_eq!(answer.status, 200, "{size} in chunks: {}", answer.text());
        let seen = mock.last().unwrap();
        assert!(seen.body == as_sent(&body), "{size} in chunks");
        assert_eq!(seen.header("x-trailer"), None);
    }
    assert_eq!(mock.seen().len(), 2 * sizes.len());
    assert!(mock.connections() < 5, "they are kept");
    for request in [body(32 * MIB + 1), chunked(&body(32 * MIB + 1), 100_000)] {
        let mut talk = house.talk().await;
        if request.starts_with(b"POST") {
            talk.send(request).await;
        } else {
            talk.request("POST", CHAT, &[], &request).await;
        }
        let answer = talk.answer().await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (413, "request_too_large")
        );
    }
    assert_eq!(mock.seen().len(), 2 * sizes.len());
}

#[tokio::test]
async fn a_body_byte_by_byte_is_a_body() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let house = House::before(&[("p", &mock)], "").await;
    let body = body(600);
    let mut talk = house.talk().await;
    for request in [chunked(&body, 1), {
        let mut plain = format!(
            "POST {CHAT} HTTP/1.1\r\nhost: h\r\ncontent-length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        plain.extend_from_slice(&body);
        plain
    }] {
        for byte in request {
            talk.send([byte]).await;
        }
        assert_eq!(talk.answer().await.status, 200);
        assert!(mock.last().unwrap().body == as_sent(&body));
    }
}

#[tokio::test]
async fn the_next_candidate_gets_the_same_bytes() {
    let busy = Mock::start(Reply::rate_limited(None)).await.unwrap();
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let house = House::before(&[("q", &busy), ("p", &mock)], "").await;
    let rest = format!(
        r#","x":[1, 2.50,  "\u00e9"],"pad":"{}"}}"#,
        "x".repeat(20 * MIB)
    );
    let body = format!(r#"{{"models":["p/n"],"model":"q/m"{rest}"#);
    let mut talk = house.talk().await;
    let answer = talk.post(CHAT, &body).await;
    assert_eq!(answer.walk(), "q/m=429, p/n=200");
    for (mock, name) in [(&busy, "m"), (&mock, "n")] {
        let seen = mock.last().unwrap();
        let sent = format!(r#"{{"model":"{name}"{rest}"#);
        assert!(seen.body == sent.as_bytes());
    }
}

#[tokio::test]
async fn a_long_plain_answer_comes_whole() {
    let text = "word ".repeat(MIB);
    let mock = Mock::start(Reply::completion(&text)).await.unwrap();
    let house = House::before(&[("p", &mock)], "").await;
    let mut talk = house.talk().await;
    for _ in 0..4 {
        let answer = talk.chat(&["p/m"], false).await;
        assert!(answer.whole);
        assert_eq!(answer.json()["model"], "p/m");
        let said = &answer.json()["choices"][0]["message"]["content"];
        assert!(*said == text);
    }
    assert!(mock.connections() < 3, "they are kept");
}
