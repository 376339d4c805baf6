//! A client that leaves takes its attempts with it.

use super::fakes::Ended;
use super::journey::{Trip, seconds};
use super::play::{Act, Play, role, says};
use crate::journey::End;

#[tokio::test(start_paused = true)]
async fn before_commit_the_attempt_is_cancelled_and_no_other_is_made() {
    let stuck = |open: bool| {
        let mut play = Play::default();
        if open { &mut play.open } else { &mut play.send }.push(Act::Hang);
        play
    };
    for stream in [false, true] {
        for play in [
            stuck(true),
            stuck(false),
            Play::silent(),
            Play::head(200).hang(),
            Play::sse().event(&role()).hang(),
            Play::json(200, "{").hang(),
            Play::json(200, "{").wait(seconds(2)).bytes("}"),
        ] {
            let models = ["a/x", "b/y"];
            let trip = if stream {
                Trip::stream(&models)
            } else {
                Trip::plain(&models)
            };
            let came = trip
                .leaves(seconds(1))
                .run(&[("a/x", std::slice::from_ref(&play))])
                .await;
            assert_eq!(came.receipt.end, End::ClientGone, "{play:?}");
            assert_eq!(came.took, seconds(1), "{play:?}");
            assert_eq!(came.targets(), ["a/x"]);
            assert!(came.given.head.is_none());
            if play.open.is_empty() {
                assert_eq!(came.tried[0].ended, Some(seconds(1)), "{play:?}");
            }
            assert!(!came.tried[0].released);
            let label = came
                .receipt
                .trail
                .tried()
                .next()
                .unwrap()
                .outcome
                .unwrap()
                .label();
            assert_eq!(label, "client_gone");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_as_an_attempt_fails_gets_no_other() {
    let came = Trip::plain(&["a/x", "b/y"])
        .leaves(seconds(1))
        .run(&[("a/x", &[Play::error(503, "x").after(seconds(1))])])
        .await;
    assert_eq!(came.receipt.end, End::ClientGone);
    assert_eq!(came.targets(), ["a/x"]);
}

#[tokio::test(start_paused = true)]
async fn in_the_midst_of_a_stream_the_upstream_is_cancelled() {
    let stream = Play::sse().event(&says("a")).hang();
    let many = (0..20).fold(Play::sse(), |play, _| {
        play.event(&says("a")).wait(seconds(1))
    });
    for (play, leaves) in [(stream, 5), (many, 7)] {
        let came = Trip::stream(&["a/x", "b/y"])
            .leaves(seconds(leaves))
            .run(&[("a/x", &[play])])
            .await;
        assert_eq!(came.receipt.end, End::ClientGone);
        assert_eq!((came.took, came.given.ended), (seconds(leaves), Ended::Not));
        assert_eq!(came.tried[0].ended, Some(seconds(leaves)));
        assert!(!came.tried[0].released);
    }
}

#[tokio::test(start_paused = true)]
async fn in_the_midst_of_a_long_plain_answer_too() {
    let text = format!(r#"{{"choices":[{{"text":"{}"#, "x".repeat(2 << 20));
    let came = Trip::plain(&["a/x"])
        .leaves(seconds(5))
        .run(&[("a/x", &[Play::json(200, text).hang()])])
        .await;
    assert_eq!((came.receipt.end, came.took), (End::ClientGone, seconds(5)));
    assert_eq!(came.tried[0].ended, Some(seconds(5)));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_within_a_write_is_gone() {
    let came = Trip::stream(&["a/x"])
        .slowly(seconds(10))
        .leaves(seconds(15))
        .run(&[("a/x", &[Play::stream()])])
        .await;
    assert_eq!(
        (came.receipt.end, came.given.ended),
        (End::ClientGone, Ended::Not)
    );
    assert_eq!(came.given.writes.len(), 1);
}
