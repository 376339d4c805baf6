//! What HTTP/1 knows besides one request and its answer.

use standin::mock::{Mock, Reply};

use crate::house::House;
use crate::talk::{Talk, chat};

const CHAT: &str = "/v1/chat/completions";
const LIMITS: &str = "limits: { request_body: 64KiB }\n";

#[tokio::test]
async fn expecting_clients_are_told_to_go_on_or_not_to() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let house = House::before(&[("p", &mock)], LIMITS).await;
    let body = chat(&["p/m"], false);
    let head = |path: &str, length: usize| {
        format!(
            "POST {path} HTTP/1.1\r\nhost: h\r\nExpect: 100-Continue\r\ncontent-length: {length}\r\n\r\n"
        )
    };
    let mut talk = house.talk().await;
    for _ in 0..2 {
        talk.send(head(CHAT, body.len())).await;
        let (status, _) = talk.head().await;
        assert_eq!(status, 100);
        talk.send(&body).await;
        assert_eq!(talk.answer().await.status, 200);
    }
    let arrived = mock.last().unwrap();
    assert_eq!(arrived.header("expect"), None);
    for (path, length, status) in [(CHAT, 1 << 20, 413), ("/none", 10, 404)] {
        let mut talk = house.talk().await;
        talk.send(head(path, length)).await;
        let (refused, headers) = talk.head().await;
        assert_eq!(refused, status);
        assert!(headers.contains(&("connection".into(), "close".into())));
    }
}

/// Two requests in one write, and what HTTP/1.0 knows.
#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let mock = Mock::start(Reply::answer("Hello").echo()).await.unwrap();
    let house = House::before(&[("p", &mock)], LIMITS).await;
    let body = chat(&["p/m"], false);
    let one = |id: &str| {
        format!(
            "POST {CHAT} HTTP/1.1\r\nhost: h\r\nx-request-id: {id}\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let mut talk = house.talk().await;
    talk.send(format!("{}\r\n{}{}", one("1"), one("2"), one("3")))
        .await;
    for id in ["1", "2", "3"] {
        let answer = talk.answer().await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("x-request-id"), Some(id));
    }
}

#[tokio::test]
async fn http_1_0_is_spoken() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let house = House::before(&[("p", &mock)], LIMITS).await;
    let send = async |talk: &mut Talk, more: &str, stream: bool| {
        let body = chat(&["p/m"], stream);
        talk.send(format!(
            "POST {CHAT} HTTP/1.0\r\n{more}content-length: {}\r\n\r\n{body}",
            body.len()
        ))
        .await;
        talk.answer().await
    };
    let mut talk = house.talk().await;
    let kept = send(&mut talk, "connection: keep-alive\r\n", false).await;
    assert_eq!(kept.status, 200);
    let stream = send(&mut talk, "connection: keep-alive\r\n", true).await;
    assert_eq!(stream.header("transfer-encoding"), None);
    assert_eq!(stream.events().last().unwrap(), "[DONE]");
    talk.closed().await;
    let mut talk = house.talk().await;
    assert_eq!(send(&mut talk, "", false).await.status, 200);
    talk.closed().await;
}
