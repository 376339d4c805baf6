//! What the client is told when every candidate has failed, over the wire.

use standin::mock::{Mock, Reply};

use crate::house::House;
use crate::talk::Answer;

async fn after(a: Reply, b: Reply, stream: bool) -> Answer {
    let a = Mock::start(a).await.unwrap();
    let b = Mock::start(b).await.unwrap();
    let house = House::before(&[("a", &a), ("b", &b)], "").await;
    house.talk().await.chat(&["a/m", "b/m"], stream).await
}

#[tokio::test]
async fn the_last_error_is_handed_on_with_the_attempts() {
    for stream in [false, true] {
        let answer = after(Reply::rate_limited(Some("30")), Reply::rejected(), stream).await;
        assert_eq!((answer.status, answer.walk()), (400, "a/m=429, b/m=400"));
        assert_eq!(answer.header("content-type"), Some("application/json"));
        let json = answer.json();
        assert_eq!(json["error"]["code"], "unsupported_parameter");
        let attempts = json["attempts"].as_array().unwrap();
        assert_eq!(attempts[0]["outcome"], "rate_limited");
        assert_eq!(attempts[0]["code"], "rate_limit_exceeded");
        assert_eq!(attempts[1]["outcome"], "rejected");
        assert_eq!(attempts[1]["param"], "max_tokens");
        let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=30).contains(&wait), "{wait}");
        assert_eq!(answer.header("x-should-retry"), Some("false"));
    }
}

#[tokio::test]
async fn rate_limits_that_end_soon_leave_the_retry_to_the_sdk() {
    let answer = after(
        Reply::rate_limited(Some("5")),
        Reply::gemini_rate_limited("7s"),
        false,
    )
    .await;
    assert_eq!(answer.status, 429);
    assert_eq!(answer.header("x-should-retry"), None);
    assert_eq!(answer.json()["error"]["status"], "RESOURCE_EXHAUSTED");
    assert_eq!(answer.json()["attempts"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_page_in_html_is_handed_on_as_it_came() {
    let answer = after(Reply::unavailable(), Reply::bad_gateway(), false).await;
    assert_eq!(answer.status, 502);
    assert_eq!(answer.header("content-type"), Some("text/html"));
    assert!(answer.text().starts_with("<html>"));
}

#[tokio::test]
async fn a_refused_credential_is_standin_s_own_affair() {
    for reply in [Reply::auth(), Reply::payment_required(), Reply::forbidden()] {
        let answer = after(Reply::unavailable(), reply, false).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (502, "upstream_auth")
        );
        assert!(!answer.text().contains("sk-mock"));
    }
    let answer = after(Reply::unavailable(), Reply::openrouter_moderated(), false).await;
    assert_eq!(answer.status, 403);
}

#[tokio::test]
async fn what_to_return_at_once_is_not_walked_past() {
    let bad = Mock::start(Reply::context_length()).await.unwrap();
    let never = Mock::start(Reply::answer("never")).await.unwrap();
    let more = "failover: { return_at_once: [context_length, 422] }\n";
    let house = House::before(&[("a", &bad), ("b", &never)], more).await;
    for stream in [false, true] {
        let answer = house.talk().await.chat(&["a/m", "b/m"], stream).await;
        assert_eq!((answer.status, answer.walk()), (400, "a/m=400"));
        assert_eq!(answer.code(), "context_length_exceeded");
    }
    bad.play(Reply::rejected().status(422));
    let answer = house.talk().await.chat(&["a/m", "b/m"], false).await;
    assert_eq!(answer.status, 422);
    assert!(never.seen().is_empty());
}
