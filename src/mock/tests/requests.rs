//! What the mock makes of what it is sent.

use super::*;

#[tokio::test]
async fn a_request_is_noted_as_it_came() {
    let mock = Mock::start(Reply::answer("hello")).await.unwrap();
    let mut peer = Peer::to(&mock).await;
    peer.send("POST /v1/chat/completions?a=b HTTP/1.1\r\nHost: x\r\nX-Twice: 1\r\nx-twice: 2\r\nContent-Length: 24\r\n\r\n")
        .await;
    peer.send(r#"{"model":"m","stream":1}"#).await;
    soon(mock.wait_for(1)).await;
    let seen = mock.last().unwrap();
    assert_eq!(seen.method, "POST");
    assert_eq!(seen.target, "/v1/chat/completions?a=b");
    assert_eq!(seen.path(), "/v1/chat/completions");
    let names: Vec<&str> = seen.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["Host", "X-Twice", "x-twice", "Content-Length"]);
    assert_eq!(seen.header("x-TWICE"), Some("1"));
    assert_eq!(&seen.body[..], br#"{"model":"m","stream":1}"#);
    assert_eq!(seen.arrived, Arrived::Whole);
    assert_eq!((seen.connection, seen.number), (0, 0));
    assert_eq!(seen.model(), Some("m"));
    assert!(!seen.stream());
    assert_eq!(seen.json()["model"], "m");
    assert_eq!((mock.asked("m"), mock.asked("other")), (1, 0));
}

#[tokio::test]
async fn connections_and_requests_are_numbered() {
    let mock = Mock::start(Reply::answer("hello")).await.unwrap();
    let (mut one, mut two) = (Peer::to(&mock).await, Peer::to(&mock).await);
    for peer in [&mut one, &mut two] {
        peer.ask("/v1/completions", "{}").await;
        peer.ask("/v1/completions", "{}").await;
    }
    let numbers: Vec<_> = mock
        .seen()
        .iter()
        .map(|seen| (seen.connection, seen.number))
        .collect();
    assert_eq!(numbers, [(0, 0), (0, 1), (1, 2), (1, 3)]);
    assert_eq!((mock.connections(), mock.open()), (2, 2));
    drop((one, two));
    soon(mock.wait_closed(0)).await;
    assert_eq!(mock.counts().answered, 4);
}

#[tokio::test]
async fn chunked_requests_are_read_however_they_are_cut() {
    let mock = Mock::start(Reply::answer("hello")).await.unwrap();
    let mut peer = Peer::to(&mock).await;
    let request = "POST /v1/completions HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n\
         5;ext=1\r\n{\"mod\r\n8\r\nel\":\"m\"}\r\n0\r\ntrailer: x\r\n\r\n";
    for size in [1, 2, 3, 7, 1000] {
        for bytes in request.as_bytes().chunks(size) {
            peer.send(bytes).await;
            tokio::task::yield_now().await;
        }
        assert_eq!(peer.answer().await.json()["model"], "m");
    }
    assert!(
        mock.seen()
            .iter()
            .all(|seen| &seen.body[..] == br#"{"model":"m"}"#)
    );
}

#[tokio::test]
async fn a_large_body_arrives_whole() {
    let mock = Mock::start(Reply::answer("hello")).await.unwrap();
    let mut peer = Peer::to(&mock).await;
    let text = "x".repeat(5 << 20);
    let body = format!(r#"{{"input":"{text}","model":"m"}}"#);
    assert_eq!(
        peer.ask("/v1/completions", &body).await.json()["model"],
        "m"
    );
    assert_eq!(mock.last().unwrap().body.len(), body.len());
}

#[tokio::test]
async fn a_connection_that_breaks_in_a_request_is_noted() {
    let mock = Mock::start(Reply::answer("hello")).await.unwrap();
    for (sent, body) in [
        ("POST /v1/comp", "POST /v1/comp"),
        (
            "POST / HTTP/1.1\r\ncontent-length: 9\r\n\r\n{\"mod",
            "{\"mod",
        ),
        (
            "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n3\r\n{\"m\r\n9\r\nod",
            "{\"mod",
        ),
    ] {
        let before = mock.counts().seen;
        let mut peer = Peer::to(&mock).await;
        peer.send(sent).await;
        drop(peer);
        soon(mock.wait_for(before + 1)).await;
        let seen = mock.last().unwrap();
        assert_eq!(seen.arrived, Arrived::Broken, "{sent}");
        assert_eq!(&seen.body[..], body.as_bytes());
    }
    soon(mock.wait_closed(0)).await;
    drop(Peer::to(&mock).await);
    soon(mock.wait_until(|counts| counts.accepted == 4 && counts.open == 0)).await;
    assert_eq!(mock.counts().seen, 3, "an idle connection is no request");
}

#[tokio::test]
async fn framing_in_doubt_is_refused_and_closed() {
    let mock = Mock::start(Reply::answer("hello")).await.unwrap();
    for (wrong, why) in [
        ("GARBAGE\r\n\r\n", "no HTTP/1 head"),
        (
            "POST / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 1\r\n\r\n",
            "framed twice",
        ),
        (
            "POST / HTTP/1.1\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
            "framed twice",
        ),
        (
            "POST / HTTP/1.1\r\ncontent-length: +1\r\n\r\n",
            "bad content-length",
        ),
        (
            "POST / HTTP/1.1\r\ncontent-length: 99999999999\r\n\r\n",
            "body too large",
        ),
        (
            "POST / HTTP/1.1\r\ntransfer-encoding: gzip\r\n\r\n",
            "unknown transfer-encoding",
        ),
        (
            "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n-1\r\n",
            "bad chunk size",
        ),
        (
            "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n5000000\r\n",
            "body too large",
        ),
        (
            "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1\r\nabc",
            "chunk without its end",
        ),
    ] {
        let mut peer = Peer::to(&mock).await;
        peer.send(wrong).await;
        assert_eq!(peer.answer().await.status(), 400, "{wrong}");
        assert_eq!(
            mock.last().unwrap().arrived,
            Arrived::Malformed(why),
            "{wrong}"
        );
    }
}

#[tokio::test]
async fn continue_is_said_before_the_body_is_read() {
    let mock = Mock::start(Reply::answer("hello")).await.unwrap();
    let mut peer = Peer::to(&mock).await;
    peer.send("POST / HTTP/1.1\r\nExpect: 100-continue\r\ncontent-length: 2\r\n\r\n")
        .await;
    assert_eq!(
        peer.until("\r\n\r\n").await,
        "HTTP/1.1 100 Continue\r\n\r\n"
    );
    assert_eq!(mock.counts().seen, 0);
    peer.send("{}").await;
    assert_eq!(peer.answer().await.status(), 200);
}

#[tokio::test]
async fn the_close_that_a_client_asks_for_is_announced_and_done() {
    let mock = Mock::start(Reply::answer("hello")).await.unwrap();
    let mut peer = Peer::to(&mock).await;
    peer.send("GET /v1/models HTTP/1.1\r\nconnection: close\r\n\r\n")
        .await;
    assert!(
        peer.answer()
            .await
            .head
            .contains("\r\nconnection: close\r\n")
    );
    assert_eq!(peer.rest().await, (String::new(), Ok(())));
}

#[tokio::test]
async fn only_so_many_requests_are_remembered_and_all_are_counted() {
    let script = Script::from(Reply::answer("hello")).remember(2);
    let mock = Mock::start(script).await.unwrap();
    let mut peer = Peer::to(&mock).await;
    for model in ["a", "b", "c", "c"] {
        peer.ask("/v1/completions", &format!(r#"{{"model":"{model}"}}"#))
            .await;
    }
    let models: Vec<_> = mock
        .seen()
        .iter()
        .map(|seen| seen.model().map(str::to_owned))
        .collect();
    assert_eq!(models, [Some("a".into()), Some("b".into())]);
    assert_eq!((mock.counts().seen, mock.asked("c")), (4, 2));
}

#[tokio::test]
async fn a_stopped_mock_is_gone_and_its_address_free() {
    let mut mock = Mock::start(Reply::answer("hello")).await.unwrap();
    let mut peer = Peer::to(&mock).await;
    peer.ask("/v1/completions", "{}").await;
    soon(mock.stop()).await;
    assert_eq!(mock.open(), 0);
    assert_eq!(peer.rest().await, (String::new(), Ok(())));
    assert!(TcpStream::connect(mock.addr()).await.is_err());
    assert_eq!(mock.seen().len(), 1);

    let again = Mock::bind(mock.addr(), Reply::answer("back"))
        .await
        .unwrap();
    assert_eq!(again.base_url(), mock.base_url());
    let mut peer = Peer::to(&again).await;
    assert_eq!(peer.ask("/v1/completions", "{}").await.status(), 200);
}

#[tokio::test]
async fn an_address_can_refuse_between_two_mocks() {
    let mut mock = Mock::start(Reply::answer("hello")).await.unwrap();
    let mut peer = Peer::to(&mock).await;
    peer.ask("/v1/completions", "{}").await;
    soon(mock.stop()).await;
    let refused = Mock::refused_at(mock.addr()).unwrap();
    assert_eq!(refused.base_url(), mock.base_url());
    let error = TcpStream::connect(refused.addr()).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);

    let again = Mock::bind(refused.addr(), Reply::answer("back"))
        .await
        .unwrap();
    let mut peer = Peer::to(&again).await;
    assert_eq!(peer.ask("/v1/completions", "{}").await.status(), 200);
    drop(refused);
    let mut peer = Peer::to(&again).await;
    assert_eq!(peer.ask("/v1/completions", "{}").await.status(), 200);
}

#[tokio::test]
async fn a_dropped_mock_closes_its_connections() {
    let mock = Mock::start(Reply::answer("hello")).await.unwrap();
    let mut peer = Peer::to(&mock).await;
    peer.ask("/v1/completions", "{}").await;
    drop(mock);
    assert_eq!(peer.rest().await, (String::new(), Ok(())));
}

#[tokio::test]
async fn what_never_ends_is_not_kept() {
    let mock = Mock::start(Reply::answer("hello")).await.unwrap();
    let endless = "x".repeat(600 << 10);
    for (sent, why) in [
        ("GET / HTTP/1.1\r\nx: ", "head too large"),
        (
            "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1;",
            "line too long",
        ),
        (
            "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n0\r\nx:",
            "line too long",
        ),
    ] {
        let before = mock.counts().seen;
        let mut peer = Peer::to(&mock).await;
        peer.send(sent).await;
        // The mock may close before it has taken all of it.
        let _ = soon(peer.stream.write_all(endless.as_bytes())).await;
        soon(mock.wait_for(before + 1)).await;
        assert_eq!(mock.last().unwrap().arrived, Arrived::Malformed(why));
    }
}

#[tokio::test]
async fn a_body_that_is_no_json_has_no_model() {
    let mock = Mock::start(Reply::answer("hello")).await.unwrap();
    let mut peer = Peer::to(&mock).await;
    let deep = "[".repeat(1 << 20);
    for body in ["", "{", "[]", r#"{"model":1}"#, &deep] {
        assert_eq!(peer.ask("/v1/chat/completions", body).await.status(), 200);
        assert_eq!(mock.last().unwrap().model(), None);
    }
    assert_eq!(mock.asked(""), 5);
    let spaced = peer
        .ask("/v1/chat/completions", " {\"mod\\u0065l\": \"m\"}")
        .await;
    assert_eq!(spaced.json()["model"], "m");
}
