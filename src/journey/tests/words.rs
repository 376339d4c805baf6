//! The last word: what the client is told when every candidate has failed.

use serde_json::json;

use super::journey::{Came, Trip, seconds};
use super::play::{Play, says};
use crate::seam::Broken;

async fn last(play: Play) -> Came {
    Trip::plain(&["a/x", "b/y"])
        .run(&[("a/x", &[Play::error(500, "x")]), ("b/y", &[play])])
        .await
}

async fn only(play: Play) -> Came {
    Trip::plain(&["a/x"]).run(&[("a/x", &[play])]).await
}

#[tokio::test(start_paused = true)]
async fn an_error_status_is_handed_on_with_its_body_and_the_attempts() {
    for status in [400, 404, 413, 418, 422, 429, 500, 503, 529] {
        let body = r#" {"error": {"message":"their words","code":"some-code"}, "x" : [1] } "#;
        let came = last(Play::json(status, body)).await;
        assert_eq!(came.status(), status);
        assert_eq!(came.header("content-type"), Some("application/json"));
        let json = came.json();
        assert_eq!(json["error"]["message"], "their words");
        assert_eq!(json["x"], json!([1]));
        let attempts = json["attempts"].as_array().unwrap();
        assert_eq!(attempts[0]["outcome"], "unavailable");
        assert_eq!(attempts[0]["status"], 500);
        assert_eq!(
            (&attempts[1]["model"], &attempts[1]["provider"]),
            (&json!("b/y"), &json!("b"))
        );
        assert_eq!(attempts[1]["status"], status);
        assert_eq!(attempts[1]["code"], "some-code");
        assert!(attempts[1]["ms"].is_u64());
        assert!(!json["attempts"].to_string().contains("their words"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_no_object_is_handed_on_as_it_came() {
    for (kind, body) in [
        ("text/html", "<html>502</html>"),
        ("text/plain", ""),
        ("application/json", "[1,2]"),
        ("application/json", "\"no\""),
        ("application/json", "{\"broken\": "),
    ] {
        let came = last(Play::json(502, body).header("content-type", kind)).await;
        assert_eq!((came.status(), came.text().as_str()), (502, body));
        assert_eq!(came.header("content-type"), Some(kind));
    }
}

#[tokio::test(start_paused = true)]
async fn gemini_s_array_is_unwrapped_and_an_attempts_of_theirs_replaced() {
    let came = last(Play::json(
        429,
        r#" [ {"error":{"code":429,"status":"RESOURCE_EXHAUSTED"}} ] "#,
    ))
    .await;
    assert_eq!(came.json()["error"]["code"], 429);
    assert_eq!(came.json()["attempts"].as_array().unwrap().len(), 2);
    let came = last(Play::json(503, r#"{"attempts":[1,2,3,4],"error":{}}"#)).await;
    assert_eq!(came.json()["attempts"].as_array().unwrap().len(), 2);
    assert_eq!(came.text().matches("attempts").count(), 1);
    let came = last(Play::json(503, "{}")).await;
    assert_eq!(came.json()["attempts"].as_array().unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_left_no_error_status_becomes_one_of_ours() {
    let coded = |status| Play::error(status, "x").header("content-encoding", "gzip");
    for (play, status, code) in [
        (Play::refused(), 502, "upstream_unavailable"),
        (Play::breaks(Broken::Reset), 502, "upstream_unavailable"),
        (Play::json(200, ""), 502, "upstream_bad_answer"),
        (Play::error(200, "x"), 502, "upstream_bad_answer"),
        (Play::head(302), 502, "upstream_bad_answer"),
        (
            Play::hello().header("content-encoding", "br"),
            502,
            "upstream_bad_answer",
        ),
        (Play::silent(), 504, "upstream_timeout"),
        (Play::error(401, "x"), 502, "upstream_auth"),
        (Play::error(402, "x"), 502, "upstream_auth"),
        (Play::error(403, "x"), 502, "upstream_auth"),
        // What it says cannot be read, nor added to.
        (coded(503), 503, "upstream_unavailable"),
        (coded(429), 429, "upstream_unavailable"),
        (Play::json(503, "{").hang(), 503, "upstream_unavailable"),
        (
            Play::json(500, "x".repeat(1 << 20)),
            500,
            "upstream_unavailable",
        ),
    ] {
        let came = last(play.clone()).await;
        assert_eq!(
            (came.status(), came.code().as_str()),
            (status, code),
            "{play:?}"
        );
        let json = came.json();
        let kind = if status < 500 {
            "invalid_request_error"
        } else {
            "server_error"
        };
        assert_eq!(json["error"]["type"], kind);
        assert!(json["error"]["message"].is_string());
        assert_eq!(json["attempts"].as_array().unwrap().len(), 2);
        assert_eq!(came.header("content-encoding"), None);
        assert_eq!(came.header("content-type"), Some("application/json"));
        assert_eq!(came.header("x-request-id"), Some("id-1"));
    }
    let moderated = last(Play::error(403, "moderation_blocked")).await;
    assert_eq!(moderated.status(), 403);
}

#[tokio::test(start_paused = true)]
async fn a_credential_s_refusal_tells_nothing_of_it() {
    let body =
        r#"{"error":{"message":"Incorrect API key provided: sk-secret","code":"sk secret"}}"#;
    let came = last(Play::json(401, body).header("x-note", "sk-secret")).await;
    assert!(!came.text().contains("secret"));
    assert_eq!(came.header("x-note"), None);
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_the_soonest_moment_known() {
    let busy = |value: &str| Play::error(429, "x").header("retry-after", value);
    let after = |a: Play, b: Play| async {
        let came = Trip::plain(&["a/x", "b/y"])
            .run(&[("a/x", &[a]), ("b/y", &[b])])
            .await;
        came.header("retry-after").map(str::to_owned)
    };
    let retry = |a: Play, b: Play| after(a, b);
    assert_eq!(retry(busy("30"), busy("7")).await.as_deref(), Some("7"));
    assert_eq!(retry(busy("7"), busy("30")).await.as_deref(), Some("7"));
    assert_eq!(
        retry(busy("7"), Play::refused()).await.as_deref(),
        Some("7")
    );
    assert_eq!(
        retry(busy("6.2"), Play::error(400, "x")).await.as_deref(),
        Some("7")
    );
    assert_eq!(retry(Play::refused(), Play::refused()).await, None);
    let down = Play::error(503, "x").header("retry-after", "12");
    assert_eq!(retry(busy("30"), down).await.as_deref(), Some("12"));
    // Windows say when a quota is back, not when a broken server is.
    let windows = Play::error(503, "x").header("x-ratelimit-reset-requests", "3s");
    assert_eq!(retry(busy("30"), windows).await.as_deref(), Some("30"));
    // Time has passed since the first one spoke: it is back after 10 s more.
    let slow = busy("20").after(seconds(20));
    assert_eq!(retry(busy("30"), slow.clone()).await.as_deref(), Some("10"));
    assert_eq!(retry(busy("5"), slow).await.as_deref(), Some("0"));
    // A rate limit inside a 200 is one too.
    let inside = r#"{"error":{"code":429,"details":[{"retryDelay":"4s"}]}}"#;
    assert_eq!(
        retry(busy("30"), Play::json(200, inside)).await.as_deref(),
        Some("4")
    );
    let came = only(Play::error(429, "x").header("retry-after-ms", "1500")).await;
    assert_eq!(came.header("retry-after"), Some("2"));
    assert_eq!(came.header("retry-after-ms"), None);
}

#[tokio::test(start_paused = true)]
async fn sdks_are_stopped_where_the_list_has_been_walked() {
    let busy = |value: &str| Play::error(429, "x").header("retry-after", value);
    let theirs = |play: Play| play.header("x-should-retry", "true");
    for (a, b, is) in [
        (
            Play::error(500, "x"),
            theirs(Play::error(500, "x")),
            Some("false"),
        ),
        (busy("5"), theirs(busy("10")), Some("true")),
        (busy("5"), busy("10"), None),
        (busy("5"), theirs(busy("11")), Some("false")),
        (busy("5"), Play::error(429, "x"), Some("false")),
        (
            busy("5"),
            theirs(Play::error(503, "x").header("retry-after", "5")),
            Some("false"),
        ),
        (Play::refused(), Play::refused(), Some("false")),
        (
            busy("5"),
            Play::json(
                200,
                r#"{"error":{"code":429,"details":[{"retryDelay":"4s"}]}}"#,
            ),
            None,
        ),
    ] {
        let came = Trip::plain(&["a/x", "b/y"])
            .run(&[
                ("a/x", std::slice::from_ref(&a)),
                ("b/y", std::slice::from_ref(&b)),
            ])
            .await;
        assert_eq!(came.header("x-should-retry"), is, "{a:?}, {b:?}");
    }
    // One target: there was no list to walk.
    assert_eq!(
        only(Play::error(500, "x")).await.header("x-should-retry"),
        None
    );
    let came = only(theirs(Play::error(500, "x"))).await;
    assert_eq!(came.header("x-should-retry"), Some("true"));
    // Two targets of one candidate are two.
    let config = "models: { m: { targets: [ { provider: a }, { provider: b } ] } }\n";
    let fail = [Play::error(500, "x")];
    let came = Trip::plain(&["m"])
        .config(config)
        .run(&[("a/m", &fail), ("b/m", &fail)])
        .await;
    assert_eq!(came.header("x-should-retry"), Some("false"));
}

#[tokio::test(start_paused = true)]
async fn a_stream_s_last_word_is_a_plain_error() {
    let came = Trip::stream(&["a/x", "b/y"])
        .run(&[
            ("a/x", &[Play::sse().broken(Broken::Reset)]),
            ("b/y", &[Play::sse().event(r#"{"error":{"message":"x"}}"#)]),
        ])
        .await;
    assert_eq!(
        (came.status(), came.code().as_str()),
        (502, "upstream_bad_answer")
    );
    assert_eq!(came.header("content-type"), Some("application/json"));
    assert_eq!(came.walk(), "a/x=reset, b/y=bad_answer");
    assert!(!came.text().contains(&says("")));
}

#[tokio::test(start_paused = true)]
async fn names_are_percent_encoded_in_the_walk() {
    let came = Trip::plain(&["a/modèle\n"])
        .run(&[("a/modèle\n", &[Play::hello()])])
        .await;
    assert_eq!(came.walk(), "a/mod%C3%A8le%0A=200");
    assert_eq!(came.header("x-standin-model"), Some("a/mod%C3%A8le%0A"));
    assert_eq!(came.json()["model"], "a/modèle\n");
}
