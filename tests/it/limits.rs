//! How much is let in at once: connections, requests, bytes of their bodies,
//! heads. What is too much is refused at once, and whoever is inside notices
//! nothing.

use standin::mock::{At, Gate, Mock, Reply, Step};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::house::{House, soon};
use crate::talk::{Answer, Talk, chat};

const CHAT: &str = "/v1/chat/completions";

/// The digest of `key`.
const SHA256: &str = "2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683";

#[track_caller]
pub(crate) fn is_overloaded(answer: &Answer) {
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert_eq!(answer.code(), "overloaded");
    assert_eq!(answer.json()["error"]["type"], "server_error");
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert!(answer.header("x-request-id").is_some());
}

/// A mock whose answers wait for the gate.
async fn held() -> (Mock, Gate) {
    let gate = Gate::new();
    let reply = Reply::answer("Hello").at(At::Start, Step::Hold(gate.clone()));
    (Mock::start(reply).await.unwrap(), gate)
}

/// The value of a series in `/metrics`; none is nothing.
async fn counted(house: &House, series: &str) -> u64 {
    let text = Talk::to(house.admin).await.get("/metrics").await.text();
    let line = text.lines().find_map(|line| line.strip_prefix(series));
    line.map_or(0, |value| value.trim().parse().unwrap())
}

/// Asks again until it is let in: a connection's place is free a moment after
/// its client has seen its end.
async fn let_in(house: &House) -> Talk {
    soon("a place", async {
        loop {
            let mut talk = house.talk().await;
            let answer = talk.get("/v1/models").await;
            if answer.status == 200 {
                return talk;
            }
            is_overloaded(&answer);
        }
    })
    .await
}

#[tokio::test]
async fn one_connection_too_many_is_told_so_and_the_others_go_on() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let house = House::before(&[("p", &mock)], "limits: { connections: 3 }\n").await;
    let mut seated = Vec::new();
    for _ in 0..3 {
        let mut talk = house.talk().await;
        assert_eq!(talk.get("/v1/models").await.status, 200);
        seated.push(talk);
    }
    for asks in [true, false, true, true] {
        let mut talk = house.talk().await;
        if asks {
            let head = format!("POST {CHAT} HTTP/1.1\r\nhost: h\r\ncontent-length: 2\r\n\r\n{{}}");
            talk.send(head).await;
        }
        // Also who has not asked for anything yet.
        let answer = talk.answer().await;
        is_overloaded(&answer);
        assert_eq!(answer.header("connection"), Some("close"));
        talk.closed().await;
    }
    assert_eq!(
        counted(&house, "standin_overloaded_total{limit=\"connections\"}").await,
        4
    );
    assert_eq!(counted(&house, "standin_connections").await, 3);
    for talk in &mut seated {
        assert_eq!(talk.chat(&["p/m"], false).await.status, 200);
    }
    let told = |house: &House| {
        let lines = house.log().into_iter();
        lines
            .filter(|line| line.contains("more are turned away"))
            .count()
    };
    assert_eq!(told(&house), 1, "{:#?}", house.log());
    drop(seated);
    let_in(&house).await;
    assert_eq!(mock.seen().len(), 3);
}

#[tokio::test]
async fn a_full_house_can_still_be_watched_and_reloaded() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let house = House::before(&[("p", &mock)], "limits: { connections: 1 }\n").await;
    let mut seated = house.talk().await;
    assert_eq!(seated.get("/v1/models").await.status, 200);
    is_overloaded(&house.talk().await.answer().await);
    for path in ["/healthz", "/readyz", "/metrics", "/status"] {
        let answer = Talk::to(house.admin).await.get(path).await;
        assert_eq!(answer.status, 200, "{path}");
    }
    // A larger limit counts from the reload on.
    house.rewrite(&crate::house::providers(
        &[("p", &mock)],
        "limits: { connections: 2 }\n",
    ));
    house.signal("HUP");
    house.logged("configuration reloaded").await;
    let mut second = house.talk().await;
    assert_eq!(second.get("/v1/models").await.status, 200);
    is_overloaded(&house.talk().await.answer().await);
}

#[tokio::test]
async fn all_listeners_share_the_bound() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let yaml = "listen: [\"127.0.0.1:0\", \"127.0.0.2:0\"]\nlimits: { connections: 1 }\n";
    let house = House::before(&[("p", &mock)], yaml).await;
    let line = house.logged("listening on 127.0.0.2:").await;
    let second = line.split("listening on ").nth(1).unwrap();
    let second = second.split_whitespace().next().unwrap().parse().unwrap();
    let mut seated = house.talk().await;
    assert_eq!(seated.get("/v1/models").await.status, 200);
    is_overloaded(&Talk::to(second).await.answer().await);
}

#[tokio::test]
async fn one_request_too_many_is_503_before_its_body_is_read() {
    let (mock, gate) = held().await;
    let limits = "limits: { concurrent_requests: 2 }\n";
    let house = House::before(&[("p", &mock)], limits).await;
    let body = chat(&["p/m"], false);
    let mut inside = Vec::new();
    for _ in 0..2 {
        let mut talk = house.talk().await;
        talk.request("POST", CHAT, &[], body.as_bytes()).await;
        inside.push(talk);
    }
    mock.wait_for(2).await;
    let mut third = house.talk().await;
    third
        .send(format!(
            "POST {CHAT} HTTP/1.1\r\nhost: h\r\ncontent-length: 1000\r\n\r\n"
        ))
        .await;
    let refused = third.answer().await;
    is_overloaded(&refused);
    assert_eq!(refused.header("connection"), Some("close"));
    // Nothing of it is held for what costs nothing.
    assert_eq!(house.talk().await.get("/v1/models").await.status, 200);
    gate.open();
    for talk in &mut inside {
        assert_eq!(talk.answer().await.status, 200);
    }
    assert_eq!(inside[0].chat(&["p/m"], false).await.status, 200);
    let series = "standin_overloaded_total{limit=\"concurrent_requests\"}";
    assert_eq!(counted(&house, series).await, 1);
    assert_eq!(mock.seen().len(), 3);
}

#[tokio::test]
async fn a_key_s_own_bound_is_429_and_another_key_does_not_meet_it() {
    let (mock, gate) = held().await;
    // The digests of `key` and of `other`.
    let keys = format!(
        "keys:\n  - {{ name: a, sha256: {SHA256}, concurrent_requests: 1 }}\n  - {{ name: b, sha256: d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa, concurrent_requests: 1 }}\n"
    );
    let house = House::before(&[("p", &mock)], &keys).await;
    let body = chat(&["p/m"], false);
    let (mine, theirs) = ("authorization: Bearer key", "authorization: Bearer other");
    let mut first = house.talk().await;
    first.request("POST", CHAT, &[mine], body.as_bytes()).await;
    mock.wait_for(1).await;
    let mut second = house.talk().await;
    let refused = second.post_with(CHAT, &[mine], &body).await;
    assert_eq!(refused.status, 429, "{}", refused.text());
    assert_eq!(refused.code(), "concurrent_requests");
    assert_eq!(refused.json()["error"]["type"], "requests");
    assert_eq!(refused.header("retry-after"), Some("1"));
    let mut other = house.talk().await;
    other
        .request("POST", CHAT, &[theirs], body.as_bytes())
        .await;
    mock.wait_for(2).await;
    gate.open();
    assert_eq!(first.answer().await.status, 200);
    assert_eq!(other.answer().await.status, 200);
    // On its own connection, since a place is given back just behind the end of
    // the answer.
    let again = first.post_with(CHAT, &[mine], &body).await;
    assert_eq!(again.status, 200, "{}", again.text());
}

#[tokio::test]
async fn bodies_have_room_together_and_give_it_back() {
    let (mock, gate) = held().await;
    let limits = "limits: { request_body: 64KiB, buffered_bytes: 100KiB }\n";
    let house = House::before(&[("p", &mock)], limits).await;
    let large =
        chat(&["p/m"], false).replacen('{', &format!("{{\"user\":\"{}\",", "x".repeat(60_000)), 1);
    let mut first = house.talk().await;
    first.request("POST", CHAT, &[], large.as_bytes()).await;
    mock.wait_for(1).await;
    // What is only claimed takes none.
    let mut claim = house.talk().await;
    claim
        .send(format!(
            "POST {CHAT} HTTP/1.1\r\nhost: h\r\ncontent-length: 65000\r\n\r\n"
        ))
        .await;
    let mut small = house.talk().await;
    small
        .request("POST", CHAT, &[], chat(&["p/m"], false).as_bytes())
        .await;
    mock.wait_for(2).await;
    let mut second = house.talk().await;
    // It may be refused before all of it has gone out.
    let head = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: h\r\ncontent-length: {}\r\n\r\n{large}",
        large.len()
    );
    let _ = second.stream.write_all(head.as_bytes()).await;
    is_overloaded(&second.answer().await);
    gate.open();
    assert_eq!(first.answer().await.status, 200);
    assert_eq!(small.answer().await.status, 200);
    assert_eq!(first.post(CHAT, &large).await.status, 200);
    let series = "standin_overloaded_total{limit=\"buffered_bytes\"}";
    assert_eq!(counted(&house, series).await, 1);
}

#[tokio::test]
async fn a_head_that_is_too_large_is_431() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let house = House::before(&[("p", &mock)], "").await;
    let of = |lines: String| format!("GET /v1/models HTTP/1.1\r\nhost: h\r\n{lines}\r\n");
    let long = |bytes: usize| of(format!("x: {}\r\n", "a".repeat(bytes)));
    let room = (64 << 10) - long(0).len();
    for fits in [long(room), of("x: 1\r\n".repeat(255))] {
        let mut talk = house.talk().await;
        talk.send(fits).await;
        assert_eq!(talk.answer().await.status, 200);
    }
    for (what, head) in [
        ("one byte", long(room + 1)),
        ("two MiB", long(2 << 20)),
        ("without an end", long(65 << 10).trim_end().to_owned()),
        (
            "a long target",
            format!("GET /{} HTTP/1.1\r\nhost: h\r\n\r\n", "a".repeat(70_000)),
        ),
        ("257 headers", of("x: 1\r\n".repeat(256))),
        ("many headers", of("x: 1\r\n".repeat(5000))),
    ] {
        let mut talk = house.talk().await;
        // It may be answered and closed before all of it has gone out.
        let _ = talk.stream.write_all(head.as_bytes()).await;
        let answer = talk.answer().await;
        assert_eq!(answer.status, 431, "{what}: {}", answer.text());
        assert_eq!(answer.code(), "headers_too_large", "{what}");
        assert_eq!(answer.header("connection"), Some("close"), "{what}");
        talk.closed().await;
    }
    let small = "limits: { header_bytes: 4KiB }\n";
    let house = House::before(&[("p", &mock)], small).await;
    let mut talk = house.talk().await;
    talk.send(long(5000)).await;
    assert_eq!(talk.answer().await.status, 431);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_crash_leaves_no_core_file_unless_one_is_asked_for() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let yaml = crate::house::providers(&[("p", &mock)], "");
    let core = |house: &House| {
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", house.pid())).unwrap();
        let line = limits
            .lines()
            .find(|line| line.starts_with("Max core file size"));
        line.unwrap()
            .split_whitespace()
            .skip(4)
            .take(2)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let house = House::start(&yaml).await;
    assert_eq!(core(&house), ["0", "0"]);
    let asked = House::start_with(&yaml, |command| {
        command.env("STANDIN_CORE_DUMPS", "1");
    })
    .await;
    let own = std::fs::read_to_string("/proc/self/limits").unwrap();
    let own = own
        .lines()
        .find(|line| line.starts_with("Max core file size"));
    let own: Vec<_> = own.unwrap().split_whitespace().skip(4).take(2).collect();
    assert_eq!(core(&asked), own);
}

/// Whoever takes nothing of its answer loses it.
#[tokio::test]
async fn a_client_that_reads_nothing_counts_as_gone() {
    let text = "x".repeat(8 << 20);
    let mock = Mock::start(Reply::answer(&text)).await.unwrap();
    let limits = "limits: { write_timeout: 300ms }\n";
    let house = House::before(&[("p", &mock)], limits).await;
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream: TcpStream = socket.connect(house.at).await.unwrap();
    let body = chat(&["p/m"], true);
    let request = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: h\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    house.logged("ended=client_gone").await;
}
