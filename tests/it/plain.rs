//! Plain answers over the wire.

use serde_json::json;
use standin::mock::{At, Framing, Mock, Reply};

use crate::house::House;

async fn one(reply: Reply) -> (Mock, House) {
    let mock = Mock::start(reply).await.unwrap();
    let house = House::before(&[("a", &mock)], "").await;
    (mock, house)
}

fn completion(size: usize) -> String {
    let text = "x".repeat(size);
    format!(r#"{{"choices":[{{"message":{{"content":"{text}"}}}}],"model":"m-2024"}}"#)
}

#[tokio::test]
async fn all_bytes_but_the_model_come_as_they_were_sent() {
    for size in [10, 100_000, 3 << 20] {
        for framing in [
            Framing::Usual,
            Framing::ChunkedBy(10_000),
            Framing::UntilClose,
        ] {
            let body = completion(size);
            let (_mock, house) = one(Reply::json(200, body.clone()).framing(framing.clone())).await;
            let answer = house.talk().await.chat(&["a/m"], false).await;
            assert!(answer.whole, "{size} {framing:?}");
            assert!(
                answer.text() == body.replace("m-2024", "a/m"),
                "{size} {framing:?}"
            );
            let is_held = size < 1 << 20;
            assert_eq!(answer.header("content-length").is_some(), is_held);
        }
    }
}

#[tokio::test]
async fn a_long_answer_that_is_cut_is_visibly_so() {
    for reply in [
        Reply::json(200, completion(3 << 20)).framing(Framing::Length),
        Reply::json(200, completion(3 << 20)).framing(Framing::Chunked),
        // Here only the JSON tells.
        Reply::json(200, completion(3 << 20)).framing(Framing::UntilClose),
    ] {
        // A reset would take what has not been read yet with it.
        let reply = reply.cut(At::Byte(2 << 20));
        let bad = Mock::start(reply.clone()).await.unwrap();
        let never = Mock::start(Reply::answer("never")).await.unwrap();
        let house = House::before(&[("a", &bad), ("b", &never)], "").await;
        let answer = house.talk().await.chat(&["a/m", "b/m"], false).await;
        assert_eq!((answer.status, answer.walk()), (200, "a/m=200"));
        assert!(!answer.whole, "{reply:?}");
        assert!(never.seen().is_empty());
    }
}

#[tokio::test]
async fn each_endpoint_answers_in_its_own_form() {
    let (mock, house) = one(Reply::answer("Hello")).await;
    for (path, member) in [
        ("/v1/chat/completions", "choices"),
        ("/v1/completions", "choices"),
        ("/v1/embeddings", "data"),
        ("/v1/responses", "output"),
    ] {
        let body = json!({"models": ["a/m"], "input": "x", "prompt": "x"}).to_string();
        let answer = house.talk().await.post(path, &body).await;
        assert_eq!((answer.status, answer.walk()), (200, "a/m=200"), "{path}");
        assert!(answer.json()[member].is_array(), "{path}");
        assert_eq!(answer.json()["model"], "a/m", "{path}");
        assert_eq!(mock.last().unwrap().json()["model"], "m");
        assert!(mock.last().unwrap().json().get("models").is_none());
    }
}

#[tokio::test]
async fn a_filtered_answer_is_handed_on_where_there_is_no_other() {
    let (_mock, house) = one(Reply::filtered()).await;
    let answer = house.talk().await.chat(&["a/m"], false).await;
    assert_eq!((answer.status, answer.walk()), (200, "a/m=moderated"));
    assert_eq!(
        answer.json()["choices"][0]["finish_reason"],
        "content_filter"
    );
    let answer = house.talk().await.chat(&["a/m"], true).await;
    assert_eq!((answer.status, answer.walk()), (200, "a/m=moderated"));
    let kind = answer.header("content-type").unwrap();
    assert!(kind.starts_with("text/event-stream"), "{kind}");
    assert_eq!(answer.events().last().unwrap(), "[DONE]");
    assert!(answer.text().contains("content_filter") && !answer.text().contains("usage"));
}
