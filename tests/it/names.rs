//! Names: who is asked, under which name, and who answered.

use serde_json::json;
use standin::mock::{Mock, Reply, Script};

use crate::house::House;

#[tokio::test]
async fn a_prefix_ends_at_the_first_slash_and_all_else_goes_to_the_default() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let house = House::before(&[("a", &mock)], "default_provider: a\n").await;
    for (name, upstream) in [
        ("a/m", "m"),
        ("a/meta/llama:free", "meta/llama:free"),
        ("meta/llama", "meta/llama"),
        ("plain", "plain"),
    ] {
        let answer = house.talk().await.chat(&[name], false).await;
        assert_eq!(mock.last().unwrap().model(), Some(upstream), "{name}");
        assert_eq!(answer.json()["model"], name);
        assert_eq!(answer.header("x-standin-model"), Some(name));
        assert_eq!(answer.header("x-standin-provider"), Some("a"));
        assert_eq!(answer.header("x-standin-upstream-model"), Some(upstream));
    }
}

#[tokio::test]
async fn an_unknown_name_is_skipped_and_none_known_is_a_404() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let house = House::before(&[("a", &mock)], "").await;
    let answer = house.talk().await.chat(&["who/x", "a/m"], false).await;
    assert_eq!(
        (answer.status, answer.walk()),
        (200, "who/x=skipped:unknown, a/m=200")
    );
    let answer = house.talk().await.chat(&["who/x", "what"], false).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (404, "model_not_found")
    );
}

#[tokio::test]
async fn names_of_all_sorts_come_back_as_they_were() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let house = House::before(&[("a", &mock)], "").await;
    for name in [
        "a/\u{e9}\u{1f600}",
        "a/\"quoted\\\"",
        "a/tab\there",
        "a/m\r\nx-evil: 1",
    ] {
        for stream in [false, true] {
            let answer = house.talk().await.chat(&[name], stream).await;
            assert_eq!(answer.status, 200, "{name:?}");
            assert_eq!(answer.header("x-evil"), None);
            assert!(answer.walk().is_ascii());
            let model = if stream {
                let first: serde_json::Value = serde_json::from_str(&answer.events()[0]).unwrap();
                first["model"].clone()
            } else {
                answer.json()["model"].clone()
            };
            assert_eq!(model, name);
        }
    }
}

#[tokio::test]
async fn one_model_s_homes_and_another_s_fallbacks_are_walked() {
    let a = Mock::start(Script::by_model([("one", Reply::unavailable())]))
        .await
        .unwrap();
    let b = Mock::start(Script::by_model([
        ("two", Reply::unavailable()),
        ("spare", Reply::answer("x")),
    ]))
    .await
    .unwrap();
    let models = "models:
  house/best:
    targets: [ { provider: a, upstream_model: one }, { provider: b, upstream_model: two } ]
    fallbacks: [b/spare]
";
    let house = House::before(&[("a", &a), ("b", &b)], models).await;
    let answer = house.talk().await.chat(&["house/best"], true).await;
    assert_eq!(answer.walk(), "house/best=503, house/best=503, b/spare=200");
    let body = json!({"model": "house/best", "models": []}).to_string();
    let answer = house.talk().await.post("/v1/chat/completions", &body).await;
    assert_eq!(answer.walk(), "house/best=503, house/best=503");
}
