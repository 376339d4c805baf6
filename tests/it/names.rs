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

#[tokio::test]
async fn the_models_that_are_configured_are_listed() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let models = "models:
  b/second: {}
  house/first: { provider: b, upstream_model: x }
  plain \u{e9}: { provider: b }
";
    let house = House::before(&[("b", &mock)], models).await;
    let mut talk = house.talk().await;
    let list = talk.get("/v1/models").await;
    assert_eq!(
        (list.status, list.header("content-type")),
        (200, Some("application/json"))
    );
    let one = |id: &str| json!({"id": id, "object": "model", "created": 0, "owned_by": "b"});
    let names = ["b/second", "house/first", "plain \u{e9}"];
    assert_eq!(
        list.json(),
        json!({"object": "list", "data": names.map(one)})
    );
    for (path, id) in [
        ("b/second", names[0]),
        ("b%2Fsecond", names[0]),
        ("house/first?x=1", names[1]),
        ("plain%20%C3%A9", names[2]),
    ] {
        let answer = talk.get(&format!("/v1/models/{path}")).await;
        assert_eq!((answer.status, answer.json()), (200, one(id)), "{path}");
        assert!(answer.header("x-request-id").is_some());
    }
    assert_eq!(mock.seen().len(), 0);
}

#[tokio::test]
async fn the_longest_list_is_the_operator_s_to_say() {
    let mock = Mock::start(Reply::unavailable()).await.unwrap();
    let house = House::before(&[("a", &mock)], "limits: { max_candidates: 2 }\n").await;
    let mut talk = house.talk().await;
    // Repeats are no candidates.
    let two = talk
        .chat(&["a/one", "a/two", "a/one", "a/two"], false)
        .await;
    assert_eq!(two.walk(), "a/one=503, a/two=503");
    let three = talk.chat(&["a/one", "a/two", "a/three"], false).await;
    assert_eq!(
        (three.status, three.code().as_str()),
        (400, "too_many_candidates")
    );
}

#[tokio::test]
async fn sixteen_that_fail_are_all_tried_in_order() {
    let mock = Mock::start(Reply::unavailable()).await.unwrap();
    let house = House::before(&[("a", &mock)], "").await;
    let names: Vec<String> = (0..16).map(|n| format!("a/m{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for stream in [false, true] {
        let answer = house.talk().await.chat(&names, stream).await;
        assert_eq!(
            (answer.status, answer.header("x-should-retry")),
            (503, Some("false"))
        );
        let walk: Vec<String> = names.iter().map(|name| format!("{name}=503")).collect();
        assert_eq!(answer.walk(), walk.join(", "));
        assert_eq!(answer.json()["attempts"].as_array().unwrap().len(), 16);
    }
    assert_eq!(mock.seen().len(), 32);
}
