//! Another configuration in the midst of service: all of it or nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use standin::mock::{At, Mock, Reply, Script};
use tokio::task::JoinSet;

use crate::house::{House, providers, soon};
use crate::talk::{Talk, chat};

const OLD: &str = "models:\n  gpt: { provider: p, upstream_model: old }\n";
const NEW: &str = "models:\n  gpt: { provider: p, upstream_model: new }\n";

#[tokio::test]
async fn a_signal_swaps_the_configuration() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let house = House::before(&[("p", &mock)], OLD).await;
    assert_eq!(house.answering("gpt").await, "old");
    house.rewrite(&providers(&[("p", &mock)], NEW));
    assert_eq!(house.answering("gpt").await, "old");
    house.signal("HUP");
    house.logged("configuration reloaded").await;
    assert_eq!(house.answering("gpt").await, "new");
    assert!(mock.connections() < 3, "connections survive");
}

#[tokio::test]
async fn a_bad_file_leaves_the_old_one_serving() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let house = House::before(&[("p", &mock)], OLD).await;
    let bad = format!(
        "{}nonsense: sk-secret-value\n",
        providers(&[("p", &mock)], NEW)
    );
    house.rewrite(&bad);
    house.signal("HUP");
    house.logged("configuration not reloaded").await;
    house.logged("nonsense").await;
    assert_eq!(house.answering("gpt").await, "old");
    let mut admin = Talk::to(house.admin).await;
    let told = admin.post("/-/reload", "").await;
    assert_eq!(told.status, 422);
    let message = told.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(
        message.contains("standin.yaml:") && message.contains("nonsense"),
        "{message}"
    );
    // A credential that is gone is as bad as a file that is.
    let more = "  q: { base_url: \"http://127.0.0.1:1/v1\", api_key_file: /none/such }\n";
    house.rewrite(&providers(&[("p", &mock)], &format!("{more}{NEW}")));
    assert_eq!(admin.post("/-/reload", "").await.status, 422);
    std::fs::remove_file(house.folder.file("standin.yaml")).unwrap();
    assert_eq!(admin.post("/-/reload", "").await.status, 422);
    assert_eq!(house.answering("gpt").await, "old");
    house.rewrite(&providers(&[("p", &mock)], NEW));
    assert_eq!(admin.post("/-/reload", "").await.status, 200);
    assert_eq!(house.answering("gpt").await, "new");
    let log = house.log().join("\n");
    assert!(
        !log.contains("sk-secret") && !log.contains("sk-test"),
        "{log}"
    );
}

#[tokio::test]
async fn a_request_keeps_the_configuration_that_it_came_under() {
    let slow = Script::by_model([
        ("old", Reply::answer("Hello").stall(At::Start)),
        ("older", Reply::answer("Hello")),
    ]);
    let mock = Mock::start(slow).await.unwrap();
    let both = "failover: { answer_timeout: 1s }\nmodels:\n  gpt: { provider: p, upstream_model: old, fallbacks: [gpt2] }\n  \
                gpt2: { provider: p, upstream_model: older }\n";
    let house = House::before(&[("p", &mock)], both).await;
    let mut talk = house.talk().await;
    talk.request(
        "POST",
        "/v1/chat/completions",
        &[],
        chat(&["gpt"], false).as_bytes(),
    )
    .await;
    soon("the request", mock.wait_for(1)).await;
    let other = Mock::start(Reply::answer("Hello")).await.unwrap();
    house.rewrite(&providers(&[("other", &other)], ""));
    house.signal("HUP");
    house.logged("configuration reloaded").await;
    // Its second candidate no longer exists for those that come now.
    let answer = talk.answer().await;
    assert_eq!(answer.walk(), "gpt=timeout, gpt2=200");
    assert_eq!(talk.chat(&["gpt"], false).await.status, 404);
    assert_eq!(talk.chat(&["other/m"], false).await.status, 200);
}

#[tokio::test]
async fn no_request_notices_a_reload() {
    let mock = Mock::start(Reply::answer("Hello you there")).await.unwrap();
    let house = House::before(&[("p", &mock)], OLD).await;
    let at = house.at;
    let mut clients = JoinSet::new();
    for client in 0..8 {
        clients.spawn(async move {
            let mut talk = Talk::to(at).await;
            for turn in 0..25 {
                let answer = talk.chat(&["gpt"], (client + turn) % 2 == 0).await;
                assert_eq!(answer.status, 200, "{}", answer.text());
                assert!(answer.whole);
            }
        });
    }
    let mut admin = Talk::to(house.admin).await;
    let mut turn = 0;
    while !clients.is_empty() {
        turn += 1;
        let yaml = [OLD, NEW, "nonsense: 1\n"][turn % 3];
        house.rewrite(&providers(&[("p", &mock)], yaml));
        let told = admin.post("/-/reload", "").await;
        assert_eq!(told.status == 200, turn % 3 != 2);
        while let Some(done) = clients.try_join_next() {
            done.unwrap();
        }
    }
    assert_eq!(mock.seen().len(), 200);
}

#[tokio::test]
async fn a_reload_changes_how_much_is_logged() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let text = |level: &str| {
        let log = format!("log: {{ format: text, level: {level} }}\n");
        providers(&[("p", &mock)], &format!("{OLD}{log}"))
    };
    let house = House::start(&text("info")).await;
    let mut admin = Talk::to(house.admin).await;
    for (level, id) in [("warn", "quiet-1"), ("info", "loud-1")] {
        house.rewrite(&text(level));
        assert_eq!(admin.post("/-/reload", "").await.status, 200);
        let mut talk = house.talk().await;
        let line = format!("x-request-id: {id}");
        let body = chat(&["gpt"], false);
        let answer = talk
            .post_with("/v1/chat/completions", &[&line], &body)
            .await;
        assert_eq!(answer.status, 200);
        // The next one is served when all is said of this one.
        assert_eq!(talk.get("/v1/models").await.status, 200);
    }
    house.logged("loud-1").await;
    let quiet = house.log().iter().any(|line| line.contains("quiet-1"));
    assert!(!quiet, "{:#?}", house.log());
}

/// Fails, and then answers under the same configuration or tells that it was
/// another: its version stands in the provider's own name of the model.
fn witnesses() -> [Script; 2] {
    let failed = Arc::<Mutex<HashMap<String, String>>>::default();
    let seen_before = Arc::clone(&failed);
    let fails = Script::new(move |seen| {
        let id = seen.test_id().unwrap().to_owned();
        let version = seen.model().unwrap().to_owned();
        failed.lock().unwrap().insert(id, version);
        // Says nothing of the target, so the next request asks it, too.
        Reply::json(400, r#"{"error":{"message":"no"}}"#)
    });
    let answers = Script::new(move |seen| {
        let before = seen_before.lock().unwrap().remove(seen.test_id().unwrap());
        match before.as_deref() == seen.model() {
            true => Reply::answer("Hello you there"),
            false => Reply::json(400, r#"{"error":{"message":"two configurations"}}"#),
        }
    });
    [fails, answers]
}

#[tokio::test]
async fn addresses_models_and_mistakes_come_and_go_under_load() {
    const RELOADS: usize = 40;
    let [fails, answers] = witnesses();
    let (fails, answers) = (Mock::start(fails).await, Mock::start(answers).await);
    let limited = Mock::start(Reply::rate_limited(Some("3600")))
        .await
        .unwrap();
    let (fails, answers) = (fails.unwrap(), answers.unwrap());
    let yaml = |turn: usize| {
        let listen = ["127.0.0.1:0", "[127.0.0.1:0, 127.0.0.2:0]"][turn % 2];
        let wrong = if turn % 5 == 4 { "nonsense: 1\n" } else { "" };
        let more = format!(
            "listen: {listen}\n{wrong}models:\n  \
             limited/m: {{}}\n  fails/m: {{ upstream_model: v{turn} }}\n  \
             answers/m: {{ upstream_model: v{turn} }}\n"
        );
        let mocks = [
            ("limited", &limited),
            ("fails", &fails),
            ("answers", &answers),
        ];
        providers(&mocks, &more)
    };
    let house = House::start(&yaml(0)).await;
    // Known from now on, whatever is reloaded.
    let first = ["limited/m", "fails/m", "answers/m"];
    let ask = move |client: usize, turn: usize| {
        let body = chat(&first, turn.is_multiple_of(2));
        (format!("x-test-id: {client}-{turn}"), body)
    };
    let (id, body) = ask(99, 0);
    let path = "/v1/chat/completions";
    let answer = house.talk().await.post_with(path, &[&id], &body).await;
    assert_eq!(answer.walk(), "limited/m=429, fails/m=400, answers/m=200");
    let (at, stop) = (house.at, Arc::new(tokio::sync::Notify::new()));
    let over = tokio::sync::watch::Sender::new(false);
    let mut clients = JoinSet::new();
    for client in 0..8 {
        let (over, stop) = (over.subscribe(), Arc::clone(&stop));
        clients.spawn(async move {
            let mut talk = Talk::to(at).await;
            let mut turn = 0;
            while !*over.borrow() {
                turn += 1;
                let (id, body) = ask(client, turn);
                let answer = talk.post_with(path, &[&id], &body).await;
                assert_eq!(answer.status, 200, "{}", answer.text());
                assert!(answer.whole);
                let walk = "limited/m=skipped:cooling, fails/m=400, answers/m=200";
                assert_eq!(answer.walk(), walk);
                stop.notify_one();
            }
            turn
        });
    }
    let mut admin = Talk::to(house.admin).await;
    for turn in 1..=RELOADS {
        house.rewrite(&yaml(turn));
        let told = admin.post("/-/reload", "").await;
        let expected = if turn % 5 == 4 { 422 } else { 200 };
        assert_eq!(told.status, expected, "{}", told.text());
        soon("an answer", stop.notified()).await;
    }
    over.send_replace(true);
    let mut requests = 0;
    while let Some(turns) = soon("a client's end", clients.join_next()).await {
        requests += turns.unwrap();
    }
    assert!(requests >= RELOADS);
    assert_eq!(limited.counts().seen, 1);
}
