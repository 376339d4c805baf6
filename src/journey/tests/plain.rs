//! Plain answers, short and long.

use super::fakes::Ended;
use super::journey::{Came, Trip, seconds};
use super::play::Play;
use crate::journey::End;
use crate::seam::Broken;

const MEBIBYTE: usize = 1 << 20;

/// A chat completion of this many bytes, `model` near its end.
fn completion(size: usize) -> String {
    let open = r#"{"id":"c","choices":[{"index":0,"message":{"role":"assistant","content":""#;
    let close = r#""},"finish_reason":"stop"}],"model":"up"}"#;
    let text = "x".repeat(size - open.len() - close.len());
    format!("{open}{text}{close}")
}

async fn first_of_two(play: Play) -> Came {
    Trip::plain(&["a/x", "b/y"])
        .run(&[("a/x", &[play]), ("b/y", &[Play::hello()])])
        .await
}

#[tokio::test(start_paused = true)]
async fn up_to_a_mebibyte_it_is_held_and_a_cut_falls_over() {
    let body = completion(MEBIBYTE);
    let came = first_of_two(Play::json(200, body.clone()).in_pieces(4096)).await;
    assert_eq!((came.walk(), came.given.committed), ("a/x=200", None));
    assert_eq!(
        came.text(),
        body.replace(r#""model":"up""#, r#""model":"a/x""#)
    );
    assert!(came.tried[0].released);
    let broken = Play::json(200, body).in_pieces(4096).broken(Broken::Reset);
    let came = first_of_two(broken).await;
    assert_eq!(came.walk(), "a/x=reset, b/y=200");
}

#[tokio::test(start_paused = true)]
async fn past_a_mebibyte_it_streams_with_its_model_set() {
    let body = completion(3 * MEBIBYTE);
    for size in [1000, 16384, MEBIBYTE + 1, usize::MAX] {
        let play = Play::json(200, body.clone()).in_pieces(size);
        let came = first_of_two(play).await;
        assert_eq!(came.walk(), "a/x=200");
        assert!(came.given.committed.is_some(), "pieces of {size}");
        assert_eq!(
            came.text(),
            body.replace(r#""model":"up""#, r#""model":"a/x""#)
        );
        assert_eq!(
            (came.given.ended, came.receipt.end),
            (Ended::Cleanly, End::Answered)
        );
        assert!(came.tried[0].released);
    }
}

#[tokio::test(start_paused = true)]
async fn past_a_mebibyte_a_failure_is_a_visible_break() {
    let body = completion(3 * MEBIBYTE);
    let most = body[..body.len() - 50].to_owned();
    for (play, took) in [
        (Play::json(200, most.clone()), 0),
        (Play::json(200, most.clone()).broken(Broken::Reset), 0),
        (Play::json(200, body).broken(Broken::Reset), 0),
        (Play::json(200, most).hang(), 60),
    ] {
        let came = first_of_two(play.in_pieces(16384)).await;
        assert_eq!((came.status(), came.walk()), (200, "a/x=200"));
        assert_eq!(
            (came.given.ended, came.receipt.end),
            (Ended::BrokenOff, End::Cut)
        );
        assert_eq!(came.took, seconds(took));
        assert_eq!(came.tried.len(), 1);
        assert!(!came.tried[0].released);
    }
}

#[tokio::test(start_paused = true)]
async fn only_the_model_changes() {
    let body = "{ \"usage\" : null,\n \"m\\u006fdel\":\"up\" ,\"choices\":[ {\"message\":{\"content\":\"\\\"model\\\":\\\"up\\\"\"},\"model\":\"up\"} ]}\r\n";
    let came = first_of_two(Play::json(200, body)).await;
    assert_eq!(came.text(), body.replacen("\"up\" ,", "\"a/x\" ,", 1));
    let without = r#"{"choices":[{"message":{"content":"x"}}],"model":null}"#;
    let came = first_of_two(Play::json(200, without)).await;
    assert_eq!(came.text(), without.replace("null", "\"a/x\""));
}

#[tokio::test(start_paused = true)]
async fn headers_are_handed_on_as_far_as_they_may_be() {
    let play = Play::hello()
        .header("openai-processing-ms", "7")
        .header("set-cookie", "a=b")
        .header("openai-organization", "org-1")
        .header("x-standin-model", "liar")
        .header("x-request-id", "up-1");
    let came = first_of_two(play).await;
    assert_eq!(came.header("openai-processing-ms"), Some("7"));
    assert_eq!(came.header("set-cookie"), None);
    assert_eq!(came.header("openai-organization"), None);
    assert_eq!(came.header("x-standin-model"), Some("a/x"));
    assert_eq!(came.header("x-request-id"), Some("id-1"));
    assert_eq!(came.header("x-standin-upstream-request-id"), Some("up-1"));
    let mut bare = Play::head(200);
    bare.acts.extend(Play::hello().acts.into_iter().skip(1));
    let came = first_of_two(bare).await;
    assert_eq!(came.header("content-type"), Some("application/json"));
}
