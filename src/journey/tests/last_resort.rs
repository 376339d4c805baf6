//! When everything else has failed, what was passed over is tried after all.

use tokio::time::advance;

use super::journey::{Inn, Trip, ms, seconds};
use super::play::{Play, role, says};
use crate::seam::Broken;

/// One failure is enough.
const QUICK: &str = "health: { failures: 1 }\n";

fn cut() -> Play {
    Play::sse()
        .events([&*role(), &says("Hel")])
        .broken(Broken::Reset)
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_was_cut_and_is_recalled_does_not_end_the_walk() {
    let inn = Inn::new(
        QUICK,
        &[
            ("a/x", &[cut(), Play::silent()]),
            ("c/z", &[Play::error(503, "x"), Play::hello()]),
        ],
    );
    inn.host(Trip::stream(&["a/x"])).await;
    inn.host(Trip::plain(&["c/z"])).await;
    let many = (0..8).map(|_| Trip::plain(&["a/x"]));
    let one_more = Trip::plain(&["a/x", "c/z"]);
    let came = inn.host_all(many.chain([one_more])).await;
    assert_eq!(
        came[8].walk(),
        "a/x=skipped:open, c/z=skipped:open, a/x=cut, c/z=200"
    );
}

/// `a/x` is rate limited and `b/y` open.
async fn inn() -> Inn {
    let limited = Play::error(429, "rate_limit_exceeded").header("retry-after", "30");
    let inn = Inn::new(
        QUICK,
        &[
            ("a/x", &[limited]),
            ("b/y", &[Play::error(500, "x")]),
            ("c/z", &[Play::error(400, "unsupported_parameter")]),
        ],
    );
    inn.host(Trip::plain(&["a/x", "b/y"])).await;
    inn
}

#[tokio::test(start_paused = true)]
async fn what_was_passed_over_is_tried_once_in_order_without_waiting() {
    let inn = inn().await;
    let came = inn.host(Trip::plain(&["a/x", "b/y", "c/z"])).await;
    assert_eq!(came.targets(), ["c/z", "a/x", "b/y"]);
    assert_eq!(
        came.walk(),
        "a/x=skipped:cooling, b/y=skipped:open, c/z=400, a/x=429, b/y=500"
    );
    assert!(came.took < ms(10));
    assert_eq!(came.status(), 500);
    let attempts = came.json()["attempts"].clone();
    let marks: Vec<_> = attempts.as_array().unwrap().iter().collect();
    let marks: Vec<_> = marks.iter().map(|one| one["last_resort"] == true).collect();
    assert_eq!(marks, [false, false, false, true, true]);
    assert_eq!(attempts[0]["reason"], "cooling");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_tried_after_all_where_something_else_answers() {
    let inn = inn().await;
    inn.world.plays("c/z", &[Play::hello()]);
    let came = inn.host(Trip::plain(&["a/x", "b/y", "c/z"])).await;
    assert_eq!(came.targets(), ["c/z"]);
}

#[tokio::test(start_paused = true)]
async fn a_name_that_nobody_knows_is_not_tried_after_all() {
    let inn = inn().await;
    inn.world.plays("a/x", &[Play::hello()]);
    let came = inn.host(Trip::plain(&["nobody", "a/x"])).await;
    assert_eq!(
        came.walk(),
        "nobody=skipped:unknown, a/x=skipped:cooling, a/x=200"
    );
}

#[tokio::test(start_paused = true)]
async fn beyond_eight_at_a_time_the_remembered_error_counts_without_its_words() {
    let inn = Inn::new(QUICK, &[]);
    let words = r#"{"error":{"message":"the words of another","code":"theirs"}}"#;
    let refuses = Play::json(429, words).header("retry-after", "30");
    inn.world.plays("a/x", &[refuses, Play::silent()]);
    let first = inn.host(Trip::plain(&["a/x"])).await;
    assert!(first.text().contains("the words of another"));
    let trips = || (0..50).map(|_| Trip::plain(&["a/x"]).leaves(seconds(2)));
    for round in 1..=3 {
        let came = inn.host_all(trips()).await;
        // Their places are free again when the clients have left.
        assert_eq!(inn.asked("a/x"), 1 + 8 * round);
        let told: Vec<_> = came
            .iter()
            .filter(|came| came.given.head.is_some())
            .collect();
        assert_eq!(told.len(), 42);
        for came in told {
            assert_eq!((came.status(), came.took), (429, ms(0)));
            assert_eq!(came.walk(), "a/x=skipped:cooling, a/x=429");
            assert!(!came.text().contains("another") && !came.text().contains("theirs"));
            assert!(came.json()["error"]["message"].is_string());
            assert_eq!(came.json()["attempts"][1]["last_resort"], true);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_last_resort_that_answers_makes_an_open_breaker_due_for_a_probe() {
    let inn = inn().await;
    inn.world.plays("b/y", &[Play::hello().after(ms(100))]);
    let came = inn.host(Trip::plain(&["b/y"])).await;
    assert_eq!(came.walk(), "b/y=skipped:open, b/y=200");
    let came = inn
        .host_all([Trip::plain(&["b/y", "c/z"]), Trip::plain(&["b/y", "c/z"])])
        .await;
    assert_eq!(came[0].walk(), "b/y=200");
    assert_eq!(came[1].walk(), "b/y=skipped:probing, c/z=400, b/y=200");
}

#[tokio::test(start_paused = true)]
async fn a_last_resort_that_answers_does_not_end_a_providers_own_time() {
    let inn = inn().await;
    inn.world.plays("a/x", &[Play::hello()]);
    for _ in 0..20 {
        let came = inn.host(Trip::plain(&["a/x"])).await;
        assert_eq!(came.walk(), "a/x=skipped:cooling, a/x=200");
        advance(seconds(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_last_resort_that_fails_moves_no_probe_away() {
    let inn = inn().await;
    for _ in 0..4 {
        let came = inn.host(Trip::plain(&["b/y"])).await;
        assert_eq!(came.walk(), "b/y=skipped:open, b/y=500");
        advance(seconds(1)).await;
    }
    advance(seconds(2)).await;
    inn.world.plays("b/y", &[Play::hello()]);
    assert_eq!(inn.host(Trip::plain(&["b/y"])).await.walk(), "b/y=200");
}
