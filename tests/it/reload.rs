//! Another configuration in the midst of service: all of it or nothing.

use standin::mock::{At, Mock, Reply, Script};
use tokio::task::JoinSet;

use crate::house::{House, providers, soon};
use crate::talk::{Talk, chat};

const OLD: &str = "models:\n  gpt: { provider: p, upstream_model: old }\n";
const NEW: &str = "models:\n  gpt: { provider: p, upstream_model: new }\n";

async fn asks(house: &House) -> String {
    let answer = house.talk().await.chat(&["gpt"], false).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer
        .header("x-standin-upstream-model")
        .unwrap()
        .to_owned()
}

#[tokio::test]
async fn a_signal_swaps_the_configuration() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let house = House::before(&[("p", &mock)], OLD).await;
    assert_eq!(asks(&house).await, "old");
    house.rewrite(&providers(&[("p", &mock)], NEW));
    assert_eq!(asks(&house).await, "old");
    house.signal("HUP");
    house.logged("configuration reloaded").await;
    assert_eq!(asks(&house).await, "new");
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
    assert_eq!(asks(&house).await, "old");
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
    assert_eq!(asks(&house).await, "old");
    house.rewrite(&providers(&[("p", &mock)], NEW));
    assert_eq!(admin.post("/-/reload", "").await.status, 200);
    assert_eq!(asks(&house).await, "new");
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
