//! Addresses that a reload brings and takes away.

use std::net::SocketAddr;

use standin::mock::{At, Gate, Mock, Reply, Script, Step};
use tokio::net::TcpStream;

use crate::house::{House, providers, soon};
use crate::http2::H2;
use crate::talk::{Talk, chat};

const CHAT: &str = "/v1/chat/completions";

/// Reloads with these addresses: the status, and what is wrong.
async fn reload(house: &House, mock: &Mock, listening: &str) -> (u16, String) {
    house.rewrite(&providers(&[("p", mock)], listening));
    let told = Talk::to(house.admin).await.post("/-/reload", "").await;
    (told.status, told.text())
}

/// The port that the system gave to this address.
async fn port_of(house: &House, ip: &str) -> SocketAddr {
    let before = format!("on {ip}:");
    let line = house.logged(&before).await;
    let port = line.split(&before).nth(1).unwrap();
    let digits = port.split(|c: char| !c.is_ascii_digit()).next().unwrap();
    format!("{ip}:{digits}").parse().unwrap()
}

async fn is_refused(at: SocketAddr) -> bool {
    soon("a connection", TcpStream::connect(at)).await.is_err()
}

#[tokio::test]
async fn an_address_comes_and_goes_and_the_others_stay() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let house = House::before(&[("p", &mock)], "").await;
    let mut first = house.talk().await;
    assert_eq!(first.chat(&["p/m"], false).await.status, 200);
    let two = "listen: [127.0.0.1:0, 127.0.0.2:0]\n";
    assert_eq!(reload(&house, &mock, two).await.0, 200);
    let second = port_of(&house, "127.0.0.2").await;
    let mut talk = Talk::to(second).await;
    assert_eq!(talk.chat(&["p/m"], false).await.status, 200);
    // Once more: nothing moves.
    assert_eq!(reload(&house, &mock, two).await.0, 200);
    assert_eq!(first.chat(&["p/m"], false).await.status, 200);
    assert_eq!(talk.chat(&["p/m"], false).await.status, 200);
    assert_eq!(house.talk().await.chat(&["p/m"], false).await.status, 200);
    // Gone: who is there is served once more and told, and nobody comes in.
    let one = "listen: [127.0.0.2:0]\n";
    assert_eq!(reload(&house, &mock, one).await.0, 200);
    assert!(is_refused(house.at).await);
    let last = first.chat(&["p/m"], false).await;
    assert_eq!(
        (last.status, last.header("connection")),
        (200, Some("close"))
    );
    first.closed().await;
    let stays = talk.chat(&["p/m"], false).await;
    assert_eq!(
        (stays.status, stays.header("connection")),
        (200, Some("keep-alive"))
    );
    // Back again, at the very address that was left.
    let both = format!("listen: [127.0.0.2:0, \"{}\"]\n", house.at);
    for _ in 0..5 {
        assert_eq!(
            reload(&house, &mock, &both).await,
            (200, "{\"result\":\"accepted\"}".to_owned())
        );
        assert_eq!(house.talk().await.chat(&["p/m"], false).await.status, 200);
        assert_eq!(reload(&house, &mock, one).await.0, 200);
        assert!(is_refused(house.at).await);
    }
}

#[tokio::test]
async fn what_an_address_that_goes_has_begun_is_finished() {
    let mock = Mock::start(Script::by_model([
        ("m", Reply::answer("Hello")),
        ("slow", Reply::answer("Hello").stall(At::Start)),
    ]));
    let mock = mock.await.unwrap();
    let times = "failover: { answer_timeout: 700ms, first_token_timeout: 700ms }\n";
    let house = House::before(&[("p", &mock)], times).await;
    let mut plain = house.talk().await;
    let body = chat(&["p/slow", "p/m"], false);
    plain.request("POST", CHAT, &[], body.as_bytes()).await;
    let idle = H2::to(house.at).await;
    assert_eq!(idle.chat(&["p/m"], false).await.status, 200);
    let busy = H2::to(house.at).await;
    let (answer, mut send) = busy.begin(CHAT).await;
    send.send_data(body.into(), true).unwrap();
    soon("the requests", mock.wait_for(3)).await;
    // One that has come and said nothing yet.
    let mut silent = house.talk().await;
    let other = format!("{times}listen: 127.0.0.2:0\n");
    assert_eq!(reload(&house, &mock, &other).await.0, 200);
    idle.ended().await.unwrap();
    assert_eq!(silent.chat(&["p/m"], true).await.status, 200);
    silent.closed().await;
    let answer = soon("an answer", crate::http2::taken(answer))
        .await
        .unwrap();
    assert_eq!(answer.walk(), "p/slow=timeout, p/m=200");
    busy.ended().await.unwrap();
    let answer = plain.answer().await;
    assert_eq!(answer.walk(), "p/slow=timeout, p/m=200");
    assert_eq!(answer.header("connection"), Some("close"));
    plain.closed().await;
}

#[tokio::test]
async fn who_was_not_told_in_time_is_served_once_more() {
    let gate = Gate::new();
    let held = Reply::answer("Hello").at(At::Event(2), Step::Hold(gate.clone()));
    let script = Script::by_model([("m", Reply::answer("Hello")), ("held", held)]);
    let mock = Mock::start(script).await.unwrap();
    let house = House::before(&[("p", &mock)], "").await;
    let mut talk = house.talk().await;
    let body = chat(&["p/held"], true);
    talk.request("POST", CHAT, &[], body.as_bytes()).await;
    let (_, head) = talk.head().await;
    assert!(head.contains(&("connection".to_owned(), "keep-alive".to_owned())));
    assert_eq!(reload(&house, &mock, "listen: 127.0.0.2:0\n").await.0, 200);
    gate.open();
    let mut streamed = Vec::new();
    loop {
        let chunk = talk.chunk().await.unwrap();
        if chunk.is_empty() {
            break;
        }
        streamed.extend(chunk);
    }
    assert!(streamed.ends_with(b"data: [DONE]\n\n"));
    let last = talk.chat(&["p/m"], false).await;
    let told = (last.status, last.header("connection"));
    assert_eq!(told, (200, Some("close")));
    talk.closed().await;
}

#[tokio::test]
async fn the_admin_port_moves() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let house = House::before(&[("p", &mock)], "").await;
    let mut old = Talk::to(house.admin).await;
    assert_eq!(reload(&house, &mock, "admin: 127.0.0.2:0\n").await.0, 200);
    let at = port_of(&house, "127.0.0.2").await;
    assert_eq!(old.get("/readyz").await.status, 200);
    old.closed().await;
    assert!(is_refused(house.admin).await);
    let mut new = Talk::to(at).await;
    assert_eq!(new.get("/readyz").await.status, 200);
    house.rewrite(&providers(&[("p", &mock)], ""));
    assert_eq!(new.post("/-/reload", "").await.status, 200);
    assert_eq!(house.talk().await.chat(&["p/m"], false).await.status, 200);
}

#[tokio::test]
async fn an_address_that_is_taken_rejects_the_whole_reload() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let house = House::before(&[("p", &mock)], "").await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap();
    let free = "127.0.0.3:0";
    for (listening, says) in [
        (format!("listen: [\"{free}\", \"{taken}\"]\n"), taken),
        (format!("listen: \"{free}\"\nadmin: \"{taken}\"\n"), taken),
        // What this very process has elsewhere.
        (
            format!(
                "listen: \"0.0.0.0:{}\"\nallow_anonymous: true\n",
                house.at.port()
            ),
            house.at,
        ),
        (
            format!("admin: \"{}\"\nlisten: \"{free}\"\n", house.at),
            house.at,
        ),
    ] {
        let models = "models:\n  other: { provider: p }\n";
        let (status, why) = reload(&house, &mock, &format!("{listening}{models}")).await;
        assert_eq!(status, 422, "{why}");
        assert!(
            why.contains("cannot listen on") && why.contains(&says.to_string()),
            "{why}"
        );
        // Nothing of it has happened.
        let mut talk = house.talk().await;
        assert_eq!(talk.chat(&["other"], false).await.status, 404);
        assert_eq!(talk.chat(&["p/m"], false).await.status, 200);
    }
    // A configuration that is wrong otherwise leaves no socket behind.
    let (status, _) = reload(&house, &mock, "listen: 127.0.0.3:0\nnonsense: 1\n").await;
    assert_eq!(status, 422);
    assert!(
        !house
            .log()
            .iter()
            .any(|line| line.contains("on 127.0.0.3:"))
    );
    assert_eq!(reload(&house, &mock, "").await.0, 200);
}
