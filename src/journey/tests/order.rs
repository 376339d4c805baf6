//! Who is tried, and in which order.

use serde_json::json;

use super::journey::Trip;
use super::play::Play;
use crate::base::Endpoint;

fn failing() -> Play {
    Play::error(503, "x")
}

const HOMES: &str = "models:
  house/best:
    targets:
      - { provider: a, upstream_model: one }
      - { provider: b, upstream_model: two }
";

#[tokio::test(start_paused = true)]
async fn candidates_are_tried_from_the_top_and_repeats_once() {
    let fail = [failing()];
    let came = Trip::plain(&[])
        .body(json!({"model": "c/z", "models": ["a/x", "c/z", "b/y", "a/x"]}))
        .run(&[("c/z", &fail), ("a/x", &fail), ("b/y", &[Play::hello()])])
        .await;
    assert_eq!(came.targets(), ["c/z", "a/x", "b/y"]);
    assert_eq!(came.walk(), "c/z=503, a/x=503, b/y=200");
    assert_eq!(came.header("x-standin-provider"), Some("b"));
    assert_eq!(came.header("x-standin-upstream-model"), Some("y"));
    assert_eq!(came.header("x-request-id"), Some("id-1"));
}

#[tokio::test(start_paused = true)]
async fn each_target_is_sent_its_own_name_and_no_list() {
    let came = Trip::plain(&["a/x", "house/best"])
        .config(HOMES)
        .run(&[
            ("a/x", &[failing()]),
            ("a/one", &[failing()]),
            ("b/two", &[Play::hello()]),
        ])
        .await;
    let sent: Vec<serde_json::Value> = came
        .tried
        .iter()
        .map(|tried| serde_json::from_slice(&tried.body).unwrap())
        .collect();
    let names: Vec<_> = sent
        .iter()
        .map(|body| body["model"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["x", "one", "two"]);
    assert!(sent.iter().all(|body| body.get("models").is_none()));
    assert_eq!(came.json()["model"], "house/best");
}

#[tokio::test(start_paused = true)]
async fn a_candidate_has_failed_when_all_its_targets_have() {
    let plays: [(&str, &[Play]); 3] = [
        ("a/one", &[failing()]),
        ("b/two", &[Play::error(429, "x")]),
        ("c/z", &[Play::hello()]),
    ];
    let came = Trip::plain(&["house/best", "c/z"])
        .config(HOMES)
        .run(&plays)
        .await;
    assert_eq!(came.targets(), ["a/one", "b/two", "c/z"]);
    assert_eq!(came.walk(), "house/best=503, house/best=429, c/z=200");
    let came = Trip::plain(&["house/best", "c/z"])
        .config(HOMES)
        .run(&[("a/one", &[failing()]), ("b/two", &[Play::hello()])])
        .await;
    assert_eq!(came.header("x-standin-model"), Some("house/best"));
    assert_eq!(came.header("x-standin-provider"), Some("b"));
}

#[tokio::test(start_paused = true)]
async fn weights_draw_the_first_target_and_the_rest_follow_in_order() {
    let config = "models:
  m:
    targets:
      - { provider: a, upstream_model: one, weight: 1 }
      - { provider: b, upstream_model: two, weight: 3 }
      - { provider: c, upstream_model: three, weight: 2 }
";
    let fail = [failing()];
    let mut firsts = [0; 3];
    for dice in 0..600 {
        let came = Trip::plain(&["m"])
            .config(config)
            .dice(dice)
            .run(&[("a/one", &fail), ("b/two", &fail), ("c/three", &fail)])
            .await;
        let (first, order) = match came.targets()[0] {
            "a/one" => (0, ["a/one", "b/two", "c/three"]),
            "b/two" => (1, ["b/two", "a/one", "c/three"]),
            _ => (2, ["c/three", "a/one", "b/two"]),
        };
        assert_eq!(came.targets(), order);
        firsts[first] += 1;
    }
    assert_eq!(firsts, [100, 300, 200]);
}

#[tokio::test(start_paused = true)]
async fn equal_weights_keep_the_order() {
    let config = HOMES.replace(" }", ", weight: 5 }");
    for dice in 0..20 {
        let came = Trip::plain(&["house/best"])
            .config(&config)
            .dice(dice)
            .run(&[("a/one", &[failing()]), ("b/two", &[failing()])])
            .await;
        assert_eq!(came.targets(), ["a/one", "b/two"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_model_s_fallbacks_serve_requests_without_a_list() {
    let config = "models: { a/x: { fallbacks: [b/y, c/z] } }\n";
    let fail = [failing()];
    let plays: [(&str, &[Play]); 3] = [("a/x", &fail), ("b/y", &fail), ("c/z", &fail)];
    for (body, endpoint, tried) in [
        (
            json!({"model": "a/x"}),
            Endpoint::Chat,
            &["a/x", "b/y", "c/z"][..],
        ),
        (
            json!({"model": "a/x"}),
            Endpoint::Completions,
            &["a/x", "b/y", "c/z"],
        ),
        (
            json!({"model": "a/x", "models": null}),
            Endpoint::Chat,
            &["a/x", "b/y", "c/z"],
        ),
        (
            json!({"model": "a/x", "models": ["c/z"]}),
            Endpoint::Chat,
            &["a/x", "c/z"],
        ),
        (json!({"models": ["a/x"]}), Endpoint::Chat, &["a/x"]),
        // Neither an embedding nor a stored response means the same elsewhere.
        (json!({"model": "a/x"}), Endpoint::Embeddings, &["a/x"]),
        (json!({"model": "a/x"}), Endpoint::Responses, &["a/x"]),
    ] {
        let trip = Trip::plain(&[])
            .body(body.clone())
            .at(endpoint)
            .config(config);
        let came = trip.run(&plays).await;
        assert_eq!(came.targets(), tried, "{body} {endpoint:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_unknown_name_among_known_ones_is_skipped() {
    let came = Trip::plain(&["nobody/x", "a/x", "what"])
        .run(&[("a/x", &[Play::hello()])])
        .await;
    assert_eq!(came.walk(), "nobody/x=skipped:unknown, a/x=200");
    let came = Trip::plain(&["nobody/x", "a/x", "what"])
        .run(&[("a/x", &[failing()])])
        .await;
    assert_eq!(
        came.walk(),
        "nobody/x=skipped:unknown, a/x=503, what=skipped:unknown"
    );
    let attempts = &came.json()["attempts"];
    assert_eq!(
        attempts[0],
        json!({"model": "nobody/x", "provider": null, "outcome": "skipped", "reason": "unknown"})
    );
    assert_eq!(attempts[1]["status"], 503);
    assert_eq!(attempts.as_array().unwrap().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn what_is_to_be_returned_at_once_is() {
    for (list, status, code, stops) in [
        ("[context_length]", 400, "context_length_exceeded", true),
        ("[context_length]", 400, "x", false),
        ("[422]", 422, "x", true),
        ("[422]", 400, "x", false),
        ("[rejected]", 418, "x", true),
        ("[unavailable]", 529, "x", true),
        ("[529]", 503, "x", false),
        ("[moderated, 418]", 418, "x", true),
        ("[]", 422, "x", false),
    ] {
        let came = Trip::plain(&["a/x", "b/y"])
            .config(&format!("failover: {{ return_at_once: {list} }}\n"))
            .run(&[
                ("a/x", &[Play::error(status, code)]),
                ("b/y", &[Play::hello()]),
            ])
            .await;
        let is = if stops { status } else { 200 };
        assert_eq!(came.status(), is, "{list} {status} {code}");
        assert_eq!(came.tried.len(), if stops { 1 } else { 2 });
    }
    for (list, play, status) in [
        ("[connect]", Play::refused(), 502),
        ("[bad_answer]", Play::json(200, ""), 502),
        ("[timeout]", Play::silent(), 504),
        ("[moderated]", Play::json(200, super::play::FILTERED), 200),
    ] {
        let came = Trip::plain(&["house/best", "c/z"])
            .config(&format!("{HOMES}failover: {{ return_at_once: {list} }}\n"))
            .run(&[("a/one", &[play])])
            .await;
        assert_eq!((came.status(), came.tried.len()), (status, 1), "{list}");
    }
}
