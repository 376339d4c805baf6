//! Which reply a request gets.

use super::*;

const CHAT: &str = "/v1/chat/completions";

fn asking(model: &str) -> String {
    format!(r#"{{"model":"{model}"}}"#)
}

async fn statuses(mock: &Mock, models: &[&str]) -> Vec<u16> {
    let mut peer = Peer::to(mock).await;
    let mut statuses = Vec::new();
    for model in models {
        statuses.push(peer.ask(CHAT, &asking(model)).await.status());
    }
    statuses
}

#[tokio::test]
async fn a_sequence_goes_on_with_its_last_reply() {
    let script = Script::sequence([
        Reply::rate_limited(Some("1")),
        Reply::unavailable(),
        Reply::answer("hello"),
    ]);
    let mock = Mock::start(script).await.unwrap();
    assert_eq!(statuses(&mock, &["m"; 4]).await, [429, 503, 200, 200]);
}

#[tokio::test]
async fn models_have_scripts_and_sequences_of_their_own() {
    let script = Script::by_model([
        ("good", Script::from(Reply::answer("hello"))),
        (
            "shaky",
            Script::sequence([Reply::overloaded(), Reply::answer("hello")]),
        ),
    ]);
    let mock = Mock::start(script).await.unwrap();
    let models = ["good", "shaky", "good", "shaky", "none"];
    assert_eq!(statuses(&mock, &models).await, [200, 529, 200, 200, 404]);
}

#[tokio::test]
async fn other_models_have_a_script_too() {
    let script =
        Script::by_model([("good", Reply::answer("hello"))]).otherwise(Reply::unavailable());
    let mock = Mock::start(script).await.unwrap();
    assert_eq!(statuses(&mock, &["good", "none"]).await, [200, 503]);
}

#[tokio::test]
async fn a_provider_lists_its_models_and_knows_no_others() {
    let script = Script::provider(["a", "b/c"], &Reply::answer("hello"));
    let mock = Mock::start(script).await.unwrap();
    let mut peer = Peer::to(&mock).await;
    peer.send("GET /v1/models HTTP/1.1\r\n\r\n").await;
    let list = peer.answer().await.json();
    assert_eq!(
        (&list["data"][0]["id"], &list["data"][1]["id"]),
        (&"a".into(), &"b/c".into())
    );
    peer.send("GET /v1/models/b/c HTTP/1.1\r\n\r\n").await;
    assert_eq!(peer.answer().await.json()["id"], "b/c");
    peer.send("GET /v1/models/d HTTP/1.1\r\n\r\n").await;
    assert_eq!(peer.answer().await.status(), 404);
    let absent = peer.ask(CHAT, &asking("d")).await.json();
    assert_eq!(absent["error"]["code"], "model_not_found");
    assert!(absent["error"]["message"].as_str().unwrap().contains("`d`"));
}

#[tokio::test]
async fn a_closure_sees_the_whole_request() {
    let script = Script::new(|seen| match seen.json()["n"].as_u64() {
        Some(2) => Reply::rejected(),
        _ => Reply::answer("hello"),
    });
    let mock = Mock::start(script).await.unwrap();
    let mut peer = Peer::to(&mock).await;
    assert_eq!(peer.ask(CHAT, r#"{"n":1}"#).await.status(), 200);
    assert_eq!(peer.ask(CHAT, r#"{"n":2}"#).await.status(), 400);
}

#[tokio::test]
async fn the_same_seed_picks_the_same_replies() {
    let script = |seed| {
        Script::random(
            seed,
            [
                (6, Reply::answer("hello")),
                (3, Reply::unavailable()),
                (0, Reply::auth()),
                (1, Reply::rate_limited(None)),
            ],
        )
    };
    let mut runs = Vec::new();
    for seed in [7, 7, 8] {
        let mock = Mock::start(script(seed)).await.unwrap();
        runs.push(statuses(&mock, &["m"; 300]).await);
    }
    assert_eq!(runs[0], runs[1]);
    assert_ne!(runs[0], runs[2]);
    let share = |status| runs[0].iter().filter(|have| **have == status).count();
    assert!((150..=210).contains(&share(200)), "{}", share(200));
    assert!((60..=120).contains(&share(503)), "{}", share(503));
    assert!((10..=55).contains(&share(429)), "{}", share(429));
    assert_eq!(share(401), 0);
}

#[tokio::test]
async fn a_script_without_replies_says_so() {
    for script in [Script::sequence([]), Script::random(1, [])] {
        let mock = Mock::start(script).await.unwrap();
        assert_eq!(statuses(&mock, &["m"]).await, [500]);
    }
}

#[tokio::test]
async fn a_script_can_be_changed_under_way() {
    let mock = Mock::start(Reply::unavailable()).await.unwrap();
    let mut peer = Peer::to(&mock).await;
    assert_eq!(peer.ask(CHAT, "{}").await.status(), 503);
    mock.play(Reply::answer("back"));
    assert_eq!(peer.ask(CHAT, "{}").await.status(), 200);
    assert_eq!(mock.seen().len(), 2);
}

#[tokio::test]
async fn a_head_decides_where_the_script_says_so() {
    let script = Script::at_head(|seen| match seen.header("x-test-id") {
        Some("t1") => Reply::forbidden().early(),
        _ => Reply::answer("hello"),
    });
    let mock = Mock::start(script).await.unwrap();
    assert_eq!(statuses(&mock, &["m"]).await, [403]);
    assert_eq!(mock.last().unwrap().arrived, Arrived::Unread);
}
