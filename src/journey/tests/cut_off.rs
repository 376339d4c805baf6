//! The process ends and waits no longer: every client is told so.

use serde_json::Value;

use super::fakes::Ended;
use super::journey::{Came, Trip, ms, seconds};
use super::play::{Act, Play, role, says};
use crate::base::Endpoint;
use crate::journey::End;
use crate::outcome::Outcome;

/// A stream that was cut off ends with one error event and no `[DONE]`.
fn is_told(came: &Came) -> Value {
    let (text, events) = (came.text(), came.events());
    assert!(came.is_whole(), "the framing itself ends");
    assert!(text.ends_with("\n\n") && !text.contains("[DONE]"), "{text}");
    let last: Value = serde_json::from_str(events.last().unwrap()).unwrap();
    assert_eq!(last["error"]["code"], "draining", "{text}");
    assert_eq!(last["error"]["type"], "server_error");
    assert!(last["error"]["message"].is_string());
    assert_eq!(
        text.matches("\"error\"").count(),
        1 + text.matches("event: error").count()
    );
    last
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_with_one_error_event_and_nobody_is_to_blame() {
    let word = says("a");
    let half = Play::sse().event(&word).bytes("data: {\"choi");
    let many = (0..20).fold(Play::sse(), |play, _| play.event(&word).wait(seconds(1)));
    for play in [Play::sse().event(&word).hang(), half.hang(), many] {
        let came = Trip::stream(&["a/x", "b/y"])
            .cut_off(ms(4500))
            .run(&[("a/x", &[play])])
            .await;
        is_told(&came);
        assert_eq!(came.receipt.end, End::Cut);
        assert_eq!(came.took, ms(4500));
        assert_eq!(came.targets(), ["a/x"]);
        assert_eq!(came.tried[0].ended, Some(ms(4500)));
        assert!(!came.tried[0].released);
        assert_eq!(came.counted, 0);
        assert!(came.receipt.charged.unwrap().estimated);
    }
}

#[tokio::test(start_paused = true)]
async fn a_response_s_last_event_has_its_own_form_and_number() {
    let word = r#"{"type":"response.output_text.delta","sequence_number":7,"delta":"Hel"}"#;
    let came = Trip::stream(&["a/x"])
        .at(Endpoint::Responses)
        .cut_off(seconds(1))
        .run(&[("a/x", &[Play::sse().event(word).hang()])])
        .await;
    let error = is_told(&came);
    assert_eq!(
        (&error["type"], &error["code"]),
        (&"error".into(), &"draining".into())
    );
    assert_eq!(error["sequence_number"], 8);
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_always_has_more_does_not_hold_it_up() {
    let mut play = Play::sse().event(&says("a")).wait(seconds(1));
    let more = format!("data: {}\n\n", says("b"));
    for _ in 0..5000 {
        play.acts.push(Act::Also(more.clone().into()));
    }
    let came = Trip::stream(&["a/x"])
        .cut_off(seconds(1))
        .run(&[("a/x", &[play])])
        .await;
    is_told(&came);
    assert!(came.events().len() < 5000);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_has_its_last_event_is_answered() {
    let done = r#"{"type":"response.completed","response":{}}"#;
    let word = r#"{"type":"response.output_text.delta","delta":"Hel"}"#;
    let came = Trip::stream(&["a/x"])
        .at(Endpoint::Responses)
        .cut_off(ms(100))
        .run(&[("a/x", &[Play::sse().events([word, done]).hang()])])
        .await;
    assert_eq!((came.receipt.end, came.events().len()), (End::Answered, 2));
}

#[tokio::test(start_paused = true)]
async fn a_long_plain_answer_is_broken_off() {
    let text = format!(r#"{{"choices":[{{"text":"{}"#, "x".repeat(2 << 20));
    let came = Trip::plain(&["a/x"])
        .cut_off(seconds(5))
        .run(&[("a/x", &[Play::json(200, text).hang()])])
        .await;
    let ends = (came.receipt.end, came.given.ended, came.took);
    assert_eq!(ends, (End::Cut, Ended::BrokenOff, seconds(5)));
    assert_eq!(came.counted, 0);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_in_the_midst_of_a_write_gets_nothing_more() {
    let came = Trip::stream(&["a/x"])
        .slowly(seconds(10))
        .cut_off(seconds(15))
        .run(&[("a/x", &[Play::stream()])])
        .await;
    assert_eq!((came.receipt.end, came.given.ended), (End::Cut, Ended::Not));
    assert_eq!(came.given.writes.len(), 1);
    assert_eq!(came.counted, 0);
}

#[tokio::test(start_paused = true)]
async fn before_commit_it_is_refused_and_no_other_attempt_is_made() {
    let mut stuck = Play::default();
    stuck.open.push(Act::Hang);
    for play in [
        stuck,
        Play::silent(),
        Play::head(200).hang(),
        Play::sse().event(&role()).hang(),
        Play::json(200, "{").hang(),
        Play::error(503, "x").after(seconds(1)),
    ] {
        for stream in [false, true] {
            let models = ["c/z", "a/x", "b/y"];
            let trip = if stream {
                Trip::stream(&models)
            } else {
                Trip::plain(&models)
            };
            let busy = Play::error(429, "{}");
            let came = trip
                .cut_off(seconds(1))
                .run(&[("c/z", &[busy]), ("a/x", std::slice::from_ref(&play))])
                .await;
            assert_eq!((came.status(), came.code().as_str()), (503, "draining"));
            assert_eq!(came.json()["attempts"].as_array().map(Vec::len), Some(2));
            assert_eq!(came.header("content-type"), Some("application/json"));
            assert_eq!((came.receipt.end, came.took), (End::Failed, seconds(1)));
            assert_eq!(came.targets(), ["c/z", "a/x"]);
            assert!(came.is_whole());
            let last = came.receipt.trail.tried().last().unwrap();
            assert_ne!(last.outcome, Some(Outcome::ClientGone), "{play:?}");
            // The rate limit says nothing of it either.
            assert_eq!(came.counted, 0, "{play:?}");
        }
    }
}
