//! Keys that come and go with the configuration.

use standin::mock::{At, Gate, Mock, Reply, Step, Usage};
use tokio::task::JoinSet;

use super::{CHAT, KEY, ask, bearer, entry, is_refused, is_unauthorized, keys};
use crate::house::{House, providers, soon};
use crate::talk::{Talk, chat};

const MODELS: &str = "models:\n  p/m: { provider: p, price: { input: 0, output: 1000 } }\n";

async fn reload(house: &House, mock: &Mock, entries: &[String]) {
    let more = MODELS.to_owned() + &keys(entries);
    house.rewrite(&providers(&[("p", mock)], &more));
    let told = Talk::to(house.admin).await.post("/-/reload", "").await;
    assert_eq!(told.status, 200, "{}", told.text());
}

async fn with_keys(mock: &Mock, entries: &[String]) -> House {
    House::before(&[("p", mock)], &(MODELS.to_owned() + &keys(entries))).await
}

async fn is_unknown(house: &House, key: &str) {
    let answer = ask(&mut house.talk().await, key, &["p/m"]).await;
    is_unauthorized(&answer, "unknown_key");
}

#[tokio::test]
async fn a_removed_key_stops_at_once_and_an_added_one_works() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let house = with_keys(&mock, &[entry("old", KEY, "")]).await;
    for _ in 0..3 {
        let mut talk = house.talk().await;
        assert_eq!(ask(&mut talk, KEY, &["p/m"]).await.status, 200);
        is_unknown(&house, "new").await;
        reload(&house, &mock, &[entry("new", "new", "")]).await;
        // Also on a connection that it came in by.
        is_unauthorized(&ask(&mut talk, KEY, &["p/m"]).await, "unknown_key");
        is_unknown(&house, KEY).await;
        let mut talk = house.talk().await;
        assert_eq!(ask(&mut talk, "new", &["p/m"]).await.status, 200);
        reload(&house, &mock, &[entry("old", KEY, "")]).await;
    }
    // A file that is refused takes no key away.
    house.rewrite(&providers(&[("p", &mock)], "keys: nonsense\n"));
    let told = Talk::to(house.admin).await.post("/-/reload", "").await;
    assert_eq!(told.status, 422);
    let mut talk = house.talk().await;
    assert_eq!(ask(&mut talk, KEY, &["p/m"]).await.status, 200);
}

#[tokio::test]
async fn requests_under_a_removed_key_finish_and_are_paid() {
    let gate = Gate::new();
    let held = Reply::answer("Hello you there").usage(Usage {
        output: 40,
        ..Usage::default()
    });
    let plain = held.clone().at(At::Start, Step::Hold(gate.clone()));
    let mock = Mock::start(plain).await.unwrap();
    let budget = entry("team", KEY, ", budget: { usd: 1.1, per: month }");
    let house = with_keys(&mock, std::slice::from_ref(&budget)).await;
    let at = house.at;
    let mut asking = JoinSet::new();
    for stream in [false, true] {
        // The stream is in its midst, the plain one before its head.
        let midst = held.clone().at(At::Event(2), Step::Hold(gate.clone()));
        if stream {
            mock.play(midst);
        }
        let body = chat(&["p/m"], stream).replacen('{', "{\"max_tokens\":100,", 1);
        asking.spawn(async move {
            let mut talk = Talk::to(at).await;
            talk.post_with(CHAT, &[&bearer(KEY)], &body).await
        });
        mock.wait_for(1 + u64::from(stream)).await;
    }
    reload(&house, &mock, &[entry("new", "new", "")]).await;
    is_unknown(&house, KEY).await;
    gate.open();
    while let Some(answer) = soon("an answer", asking.join_next()).await {
        let answer = answer.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(answer.whole);
    }
    // Put back, it has not forgotten the 0.08.
    reload(&house, &mock, &[budget]).await;
    let body = chat(&["p/m"], false);
    let mut talk = house.talk().await;
    for (max_tokens, status) in [(1021, 429), (1020, 200)] {
        let body = body.replacen('{', &format!("{{\"max_tokens\":{max_tokens},"), 1);
        let answer = super::post(&mut talk, KEY, &body).await;
        assert_eq!(answer.status, status, "{}", answer.text());
    }
}

#[tokio::test]
async fn limits_change_and_what_was_counted_stays() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let limit = |most: u32| entry("team", KEY, &format!(", requests_per_minute: {most}"));
    let house = with_keys(&mock, &[limit(2)]).await;
    let mut talk = house.talk().await;
    for (most, statuses) in [
        (2, &[200, 200, 429][..]),
        (4, &[200, 200, 429]),
        (1, &[429]),
        (5, &[200, 429]),
    ] {
        reload(&house, &mock, &[limit(most)]).await;
        for status in statuses {
            let answer = ask(&mut talk, KEY, &["p/m"]).await;
            assert_eq!(answer.status, *status, "{most}: {}", answer.text());
        }
    }
    // Another key under the same name goes on where the first one ended.
    let other = entry("team", "other", ", requests_per_minute: 5");
    reload(&house, &mock, &[other]).await;
    let refused = ask(&mut talk, "other", &["p/m"]).await;
    is_refused(&refused, 429, "requests_per_minute");
    // What it may use is a matter of the configuration, too.
    reload(
        &house,
        &mock,
        &[entry("team", KEY, ", models: [\"p/none\"]")],
    )
    .await;
    is_refused(&ask(&mut talk, KEY, &["p/m"]).await, 403, "not_allowed");
    reload(&house, &mock, &[entry("team", KEY, "")]).await;
    assert_eq!(ask(&mut talk, KEY, &["p/m"]).await.status, 200);
}
