//! Targets that no configuration names are remembered like all others.

use tokio::time::advance;

use super::journey::{Inn, Trip, seconds};
use super::play::Play;

#[tokio::test(start_paused = true)]
async fn an_answer_ends_the_count_of_failures_of_a_made_up_name_too() {
    let inn = Inn::new("", &[("b/y", &[Play::hello()])]);
    for _ in 0..10 {
        inn.world
            .plays("a/x", &[Play::error(503, "x"), Play::hello()]);
        let came = inn.host(Trip::plain(&["a/x", "b/y"])).await;
        assert_eq!(came.walk(), "a/x=503, b/y=200");
        let came = inn.host(Trip::plain(&["a/x", "b/y"])).await;
        assert_eq!(came.walk(), "a/x=200");
        // Out of the ratio's window.
        advance(seconds(31)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_made_up_name_that_has_healed_opens_its_breaker_again() {
    let inn = Inn::new("", &[("b/y", &[Play::hello()])]);
    for _ in 0..3 {
        inn.world.plays("a/x", &[Play::error(503, "x")]);
        for _ in 0..5 {
            let came = inn.host(Trip::plain(&["a/x", "b/y"])).await;
            assert_eq!(came.walk(), "a/x=503, b/y=200");
        }
        let came = inn.host(Trip::plain(&["a/x", "b/y"])).await;
        assert_eq!(came.walk(), "a/x=skipped:open, b/y=200");
        inn.world.plays("a/x", &[Play::hello()]);
        advance(seconds(6)).await;
        let came = inn.host(Trip::plain(&["a/x", "b/y"])).await;
        assert_eq!(came.walk(), "a/x=200");
    }
}
