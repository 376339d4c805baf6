//! Many clients at once.

use standin::mock::{Mock, Reply};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::house::{House, soon};
use crate::talk::{Talk, chat};

/// Resident memory of a process, in KiB.
pub(crate) fn memory(pid: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_thousand_idle_connections_cost_little() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let house = House::before(&[("p", &mock)], "").await;
    for _ in 0..50 {
        assert_eq!(house.talk().await.chat(&["p/m"], false).await.status, 200);
    }
    let before = memory(house.pid());
    let mut idle = Vec::new();
    for _ in 0..1000 {
        let mut talk = house.talk().await;
        assert_eq!(talk.get("/v1/models").await.status, 200);
        idle.push(talk);
    }
    let grown = memory(house.pid()).saturating_sub(before);
    assert!(grown < 32 << 10, "{grown} KiB for 1000 connections");
    assert_eq!(house.talk().await.chat(&["p/m"], false).await.status, 200);
    for talk in &mut idle {
        assert_eq!(talk.get("/v1/models").await.status, 200);
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn what_is_claimed_takes_no_room() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let house = House::before(&[("p", &mock)], "limits: { request_body: 1MiB }\n").await;
    let mut talk = house.talk().await;
    assert_eq!(talk.chat(&["p/m"], false).await.status, 200);
    let before = memory(house.pid());
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: h\r\ncontent-length: 1048576\r\n\r\n{";
    // What is claimed takes no room.
    let mut claims = Vec::new();
    for _ in 0..200 {
        let mut talk = house.talk().await;
        talk.send(head).await;
        claims.push(talk);
    }
    assert_eq!(talk.chat(&["p/m"], false).await.status, 200);
    let grown = memory(house.pid()).saturating_sub(before);
    assert!(grown < 32 << 10, "{grown} KiB for 200 claims of 1 MiB");
}

#[tokio::test]
async fn a_flood_of_connections_is_survived() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let house = House::before(&[("p", &mock)], "limits: { header_timeout: 500ms }\n").await;
    let at = house.at;
    let mut flood = JoinSet::new();
    for _ in 0..2000 {
        flood.spawn(async move {
            let mut silent = TcpStream::connect(at).await.unwrap();
            // Nothing is said, and nothing is heard but the end.
            assert_eq!(silent.read(&mut [0; 16]).await.unwrap_or(0), 0);
        });
    }
    let answer = house.talk().await.chat(&["p/m"], false).await;
    assert_eq!(answer.status, 200);
    while let Some(ended) = soon("a silent one's end", flood.join_next()).await {
        ended.unwrap();
    }
}

#[tokio::test]
async fn many_at_once_get_each_its_own_answer() {
    let mock = Mock::start(Reply::answer("Hello").echo()).await.unwrap();
    let house = House::before(&[("p", &mock)], "").await;
    let at = house.at;
    let mut clients = JoinSet::new();
    for client in 0..40 {
        clients.spawn(async move {
            let mut talk = Talk::to(at).await;
            for turn in 0..10 {
                let id = format!("x-test-id: id-{client}-{turn}");
                let body = chat(&["p/m"], turn % 2 == 0);
                let answer = talk.post_with("/v1/chat/completions", &[&id], &body).await;
                assert!(
                    answer.text().contains(&id["x-test-id: ".len()..]),
                    "{}",
                    answer.text()
                );
            }
        });
    }
    while let Some(done) = soon("a client's end", clients.join_next()).await {
        done.unwrap();
    }
}
