//! What a key may send and use in a minute.

use standin::mock::{At, Gate, Mock, Reply, Step, Usage};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::{KEY, ask, bearer, entry, is_refused, keys, post};
use crate::house::{House, soon};
use crate::talk::{Answer, Talk, chat};

/// A refusal's `retry-after`, in seconds.
fn retry_after(answer: &Answer) -> u64 {
    answer.header("retry-after").unwrap().parse().unwrap()
}

/// A plain chat request for `p/m` whose answer may have so many tokens.
fn up_to(max_tokens: u64) -> String {
    chat(&["p/m"], false).replacen('{', &format!("{{\"max_tokens\":{max_tokens},"), 1)
}

#[tokio::test]
async fn of_a_thousand_at_once_a_hundred_pass() {
    let gate = Gate::new();
    let held = Reply::answer("Hello").at(At::Start, Step::Hold(gate.clone()));
    let mock = Mock::start(held).await.unwrap();
    let other = entry("other", "another", "");
    let limited = entry("team", KEY, ", requests_per_minute: 100");
    let house = House::before(&[("p", &mock)], &keys(&[limited, other])).await;
    let mut talks = Vec::new();
    for _ in 0..1000 {
        talks.push(house.talk().await);
    }
    let (tell, mut told) = mpsc::unbounded_channel();
    let mut asking = JoinSet::new();
    for mut talk in talks {
        let tell = tell.clone();
        asking.spawn(async move {
            let body = chat(&["p/m"], false);
            let lines = [&bearer(KEY)[..]];
            talk.request("POST", super::CHAT, &lines, body.as_bytes())
                .await;
            // Those who pass wait for the gate, and so for the others.
            let (status, headers) = soon("a head", talk.head()).await;
            tell.send((status, headers)).unwrap();
            status
        });
    }
    for _ in 0..900 {
        let (status, headers) = soon("a refusal", told.recv()).await.unwrap();
        assert_eq!(status, 429);
        let after = headers.iter().find(|(name, _)| name == "retry-after");
        let after: u64 = after.unwrap().1.parse().unwrap();
        assert!((1..=61).contains(&after), "{after}");
    }
    mock.wait_for(100).await;
    gate.open();
    let mut passed = 0;
    while let Some(status) = soon("an answer", asking.join_next()).await {
        passed += u32::from(status.unwrap() == 200);
    }
    assert_eq!((passed, mock.seen().len()), (100, 100));
    let mut talk = house.talk().await;
    let refused = ask(&mut talk, KEY, &["p/m"]).await;
    is_refused(&refused, 429, "requests_per_minute");
    assert_eq!(refused.json()["error"]["type"], "requests");
    assert!((1..=61).contains(&retry_after(&refused)));
    // The limit is the key's.
    assert_eq!(ask(&mut talk, "another", &["p/m"]).await.status, 200);
}

#[tokio::test]
async fn what_is_refused_for_itself_counts_for_nothing() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let may = ", models: [\"p/m\"], requests_per_minute: 2";
    let house = House::before(&[("p", &mock)], &keys(&[entry("team", KEY, may)])).await;
    let mut talk = house.talk().await;
    for _ in 0..3 {
        assert_eq!(post(&mut talk, KEY, "{").await.status, 400);
        assert_eq!(ask(&mut talk, KEY, &["p/other"]).await.status, 403);
        assert_eq!(ask(&mut talk, KEY, &["nowhere/x"]).await.status, 404);
        talk.request("GET", "/v1/models", &[&bearer(KEY)], b"")
            .await;
        assert_eq!(talk.answer().await.status, 200);
    }
    for status in [200, 200, 429, 429] {
        assert_eq!(ask(&mut talk, KEY, &["p/m"]).await.status, status);
    }
}

#[tokio::test]
async fn failures_count_as_requests_but_use_no_tokens() {
    let mock = Mock::start(Reply::unavailable()).await.unwrap();
    let may = ", requests_per_minute: 4, tokens_per_minute: 1500";
    let house = House::before(&[("p", &mock)], &keys(&[entry("team", KEY, may)])).await;
    let mut talk = house.talk().await;
    for _ in 0..4 {
        assert_eq!(post(&mut talk, KEY, &up_to(1000)).await.status, 503);
    }
    let refused = post(&mut talk, KEY, &up_to(1000)).await;
    is_refused(&refused, 429, "requests_per_minute");
}

#[tokio::test]
async fn tokens_are_reserved_at_the_start_and_settled_at_the_end() {
    let gate = Gate::new();
    let usage = |output| Usage {
        input: 20,
        output,
        ..Usage::default()
    };
    let held = Reply::answer("Hello").usage(usage(80));
    let held = held.at(At::Start, Step::Hold(gate.clone()));
    let mock = Mock::start(held).await.unwrap();
    let may = ", tokens_per_minute: 2400";
    let house = House::before(&[("p", &mock)], &keys(&[entry("team", KEY, may)])).await;
    let at = house.at;
    let mut held = JoinSet::new();
    for _ in 0..2 {
        held.spawn(async move {
            let mut talk = Talk::to(at).await;
            post(&mut talk, KEY, &up_to(1000)).await.status
        });
    }
    mock.wait_for(2).await;
    let mut talk = house.talk().await;
    let refused = post(&mut talk, KEY, &up_to(1000)).await;
    is_refused(&refused, 429, "tokens_per_minute");
    assert_eq!(refused.json()["error"]["type"], "tokens");
    // Those in flight may end at any time.
    assert_eq!(retry_after(&refused), 1);
    gate.open();
    while let Some(status) = soon("an answer", held.join_next()).await {
        assert_eq!(status.unwrap(), 200);
    }
    // 200 were used of the 2000 that were reserved. Now 1900 are.
    mock.play(Reply::answer("Hello").usage(usage(1680)));
    assert_eq!(post(&mut talk, KEY, &up_to(1000)).await.status, 200);
    let refused = post(&mut talk, KEY, &up_to(1000)).await;
    is_refused(&refused, 429, "tokens_per_minute");
    assert!((2..=61).contains(&retry_after(&refused)));
    // A smaller one still fits, and counts as what it used: more than allowed.
    mock.play(Reply::answer("Hello").usage(usage(4000)));
    assert_eq!(post(&mut talk, KEY, &up_to(100)).await.status, 200);
    let refused = post(&mut talk, KEY, &up_to(0)).await;
    is_refused(&refused, 429, "tokens_per_minute");
    assert_eq!(mock.seen().len(), 4);
}

#[tokio::test]
async fn what_can_never_fit_is_not_told_to_come_again() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let may = ", tokens_per_minute: 500";
    let house = House::before(&[("p", &mock)], &keys(&[entry("team", KEY, may)])).await;
    let mut talk = house.talk().await;
    let refused = post(&mut talk, KEY, &up_to(500)).await;
    is_refused(&refused, 429, "tokens_per_minute");
    assert_eq!(refused.header("retry-after"), None);
    assert_eq!(refused.header("x-should-retry"), Some("false"));
    assert_eq!(post(&mut talk, KEY, &up_to(400)).await.status, 200);
    assert_eq!(mock.seen().len(), 1);
}
