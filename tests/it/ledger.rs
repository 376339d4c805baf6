//! The ledger of a whole process: who may write and read it, and what a drain
//! or a reload does to it.

use standin::mock::{At, Gate, Mock, Reply, Script, Step};

use crate::books::{Books, close, collect};
use crate::house::{House, providers, soon};
use crate::talk::{Talk, chat};

const CHAT: &str = "/v1/chat/completions";

async fn provider() -> Mock {
    let hello = Reply::answer("Hello you");
    let stuck = hello.clone().stall(At::Event(3));
    let script = Script::by_model([("m", hello), ("stuck", stuck)]);
    Mock::start(script).await.unwrap()
}

#[tokio::test]
async fn streams_that_end_in_the_drain_are_written_down() {
    let (books, gate) = (Books::new(), Gate::new());
    let reply = Reply::answer("Hello you").at(At::Event(2), Step::Hold(gate.clone()));
    let mock = Mock::start(reply).await.unwrap();
    let yaml = providers(&[("p", &mock)], &books.yaml("serve"));
    let mut house = House::start(&yaml).await;
    let mut talks = Vec::new();
    for n in 0..5 {
        let mut talk = house.talk().await;
        let id = format!("x-request-id: r{n}");
        let body = chat(&["p/m"], true);
        talk.request("POST", CHAT, &[&id], body.as_bytes()).await;
        assert_eq!(talk.head().await.0, 200);
        talks.push(talk);
    }
    house.signal("TERM");
    house.logged("draining: 5 requests in flight").await;
    assert!(books.rows().is_empty());
    gate.open();
    for talk in &mut talks {
        let mut text = String::new();
        while let Some(chunk) = soon("a chunk", talk.chunk()).await {
            if chunk.is_empty() {
                break;
            }
            text += std::str::from_utf8(&chunk).unwrap();
        }
        assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
    }
    assert_eq!(house.ended().await.code(), Some(0));
    let rows = books.rows();
    assert_eq!(rows.len(), 5);
    assert!(
        rows.iter()
            .all(|row| row["ended"] == "answered" && row["estimated"] == false)
    );
}

#[tokio::test]
async fn a_second_process_may_not_write_the_same_ledger() {
    let (books, mock) = (Books::new(), provider().await);
    let yaml = providers(&[("p", &mock)], &books.yaml("serve"));
    let house = House::start(&yaml).await;
    let path = books.folder.write(
        "second.yaml",
        &format!("listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\n{yaml}"),
    );
    let mut second = tokio::process::Command::new(env!("CARGO_BIN_EXE_standin"));
    second.args(["serve", "-c"]).arg(&path).kill_on_drop(true);
    let out = soon("its end", second.output()).await.unwrap();
    assert_eq!(out.status.code(), Some(1));
    let said = String::from_utf8(out.stderr).unwrap();
    assert!(
        said.contains("is already written by another process"),
        "{said}"
    );
    close(house).await;
}

#[tokio::test]
async fn collectors_page_through_the_rows_and_are_told_what_is_wrong() {
    let (books, mock) = (Books::new(), provider().await);
    let house = House::before(&[("p", &mock)], &books.yaml("serve")).await;
    let mut talk = house.talk().await;
    for n in 0..5 {
        let id = format!("x-request-id: r{n}");
        talk.post_with(CHAT, &[&id], &chat(&["p/m"], false)).await;
    }
    let mut admin = Talk::to(house.admin).await;
    let all = admin.get("/-/usage").await;
    assert_eq!(all.header("content-type"), Some("application/x-ndjson"));
    assert_eq!(all.text().lines().count(), 5);
    assert!(all.text().ends_with('\n'));
    let (mut after, mut ids) = (0, Vec::new());
    loop {
        let page = collect(&mut admin, after, 2).await;
        let Some(last) = page.last() else { break };
        after = last["seq"].as_u64().unwrap();
        ids.extend(
            page.iter()
                .map(|row| row["request_id"].as_str().unwrap().to_owned()),
        );
    }
    assert_eq!(ids, ["r0", "r1", "r2", "r3", "r4"]);
    for wrong in [
        "after=x",
        "after=-1",
        "limit=0",
        "limit=10001",
        "since=1",
        "after",
    ] {
        let answer = admin.get(&format!("/-/usage?{wrong}")).await;
        assert_eq!(answer.status, 400, "{wrong}");
        assert!(answer.text().contains("after=SEQ"), "{}", answer.text());
    }
}

#[tokio::test]
async fn rows_are_for_those_who_may_see_them() {
    let mock = provider().await;
    let house = House::before(&[("p", &mock)], "").await;
    let mut admin = Talk::to(house.admin).await;
    assert_eq!(admin.get("/-/usage").await.status, 404);
    for (more, with) in [("", 401), ("admin_token: t0ken\n", 200)] {
        let books = Books::new();
        let more = format!("admin: 0.0.0.0:0\n{more}{}", books.yaml("serve"));
        let house = House::before(&[("p", &mock)], &more).await;
        let mut admin = Talk::to(house.admin).await;
        assert_eq!(admin.get("/-/usage").await.status, 401);
        let right = "authorization: Bearer t0ken";
        admin.request("GET", "/-/usage", &[right], b"").await;
        assert_eq!(admin.answer().await.status, with);
    }
}

#[tokio::test]
async fn what_the_drain_cuts_off_is_written_down() {
    let (books, mock) = (Books::new(), provider().await);
    for signals in [&["TERM"][..], &["TERM", "INT"]] {
        let drain = if signals.len() == 1 { "200ms" } else { "1h" };
        let more = format!("shutdown: {{ drain: {drain} }}\n{}", books.yaml("serve"));
        let mut house = House::before(&[("p", &mock)], &more).await;
        let mut talk = house.talk().await;
        let id = format!("x-request-id: r{}", signals.len());
        let body = chat(&["p/stuck"], true);
        talk.request("POST", CHAT, &[&id], body.as_bytes()).await;
        assert_eq!(talk.head().await.0, 200);
        for signal in signals {
            house.signal(signal);
            house.logged("draining").await;
        }
        assert_eq!(house.ended().await.code(), Some(0));
        let rows = books.rows();
        assert_eq!(rows.len(), signals.len());
        assert_eq!(rows[signals.len() - 1]["ended"], "cut");
    }
}

#[tokio::test]
async fn a_reload_keeps_the_ledger_that_is_open() {
    let (books, mock) = (Books::new(), provider().await);
    let (keys, other) = (Books::keys(), Books::new());
    let with = |ledger: &str| providers(&[("p", &mock)], &format!("{keys}{ledger}"));
    let house = House::start(&with(&books.yaml("serve"))).await;
    let mut admin = Talk::to(house.admin).await;
    let right = "authorization: Bearer sk-red";
    for (count, ledger) in [&other.yaml("serve"), "", &books.yaml("refuse")]
        .iter()
        .enumerate()
    {
        let body = chat(&["p/m"], false);
        let answer = house.talk().await.post_with(CHAT, &[right], &body).await;
        assert_eq!(answer.status, 200);
        assert_eq!(collect(&mut admin, 0, 100).await.len(), count + 1);
        house.rewrite(&with(ledger));
        let reloaded = admin.post("/-/reload", "").await;
        assert_eq!(reloaded.status, 200, "{}", reloaded.text());
        // Another one is begun by another process.
        assert_eq!(collect(&mut admin, 0, 100).await.len(), count + 1);
    }
}
