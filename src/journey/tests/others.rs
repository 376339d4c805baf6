//! No client can switch a target off for another: after a hundred requests of
//! each kind that a client can bring about, another one's still goes to its
//! first candidate.

use serde_json::json;
use tokio::time::advance;

use super::journey::{Inn, Trip, ms, seconds};
use super::play::{DONE, FILTERED, Play, chunk, finish, role, says};
use crate::base::Endpoint;
use crate::seam::Broken;

fn two() -> Trip {
    Trip::plain(&["a/x", "b/y"])
}

/// A hundred times one client's request, each met by this; then another's.
async fn bears(play: &Play, trip: impl Fn() -> Trip) {
    // With and without an entry in the configuration.
    for more in ["", "models: { a/x: {}, b/y: {} }\n"] {
        bears_under(more, play, &trip, 100).await;
    }
}

async fn bears_under(more: &str, play: &Play, trip: impl Fn() -> Trip, many: usize) {
    let good = Play::hello();
    let inn = Inn::new(more, &[("b/y", std::slice::from_ref(&good))]);
    inn.world.plays("a/x", std::slice::from_ref(play));
    for _ in 0..many / 2 {
        inn.host(trip()).await;
    }
    inn.host_all((0..many / 2).map(|_| trip())).await;
    assert_eq!(inn.asked("a/x"), many, "{play:?}");
    inn.world.plays("a/x", std::slice::from_ref(&good));
    inn.world.plays("a/other", &[good]);
    for other in [two(), Trip::plain(&["a/other"])] {
        let came = inn.host(other).await;
        let walk = came.walk();
        assert!(
            ["a/x=200", "a/other=200"].contains(&walk),
            "{walk} after {play:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn by_rights_of_its_own() {
    for status in [401, 402, 403, 429] {
        let trip = || two().header("x-goog-user-project", "theirs");
        bears(&Play::error(status, "x"), trip).await;
    }
}

#[tokio::test(start_paused = true)]
async fn by_a_previous_response_that_is_not_there() {
    for status in [400, 404] {
        let body = r#"{"error":{"message":"Previous response with id 'resp_1' not found.","type":"invalid_request_error","param":"previous_response_id","code":"previous_response_not_found"}}"#;
        let trip = || {
            let trip = two().with("previous_response_id", json!("resp_1"));
            trip.at(Endpoint::Responses)
        };
        bears(&Play::json(status, body), trip).await;
    }
}

#[tokio::test(start_paused = true)]
async fn by_a_file_that_is_not_there() {
    let body = r#"{"error":{"message":"No such File object: file-1","type":"invalid_request_error","param":null,"code":null}}"#;
    for status in [400, 404] {
        bears(&Play::json(status, body), two).await;
    }
}

#[tokio::test(start_paused = true)]
async fn by_a_prompt_that_is_too_long() {
    bears(&Play::error(400, "context_length_exceeded"), two).await;
    bears(&Play::error(413, "x"), two).await;
    let body = r#"{"error":{"message":"Request too large for gpt-4o in organization org-1 on tokens per min (TPM): Limit 30000, Requested 64002.","type":"tokens","param":null,"code":"rate_limit_exceeded"}}"#;
    bears(&Play::json(429, body), two).await;
}

#[tokio::test(start_paused = true)]
async fn by_a_body_that_the_connection_breaks_under() {
    let breaks = Play {
        send: Play::breaks(Broken::Reset).acts,
        ..Play::default()
    };
    let large = || two().with("user", json!("x".repeat(1 << 20)));
    // A megabyte each: enough of them for the count and for the ratio.
    bears_under("", &breaks, large, 24).await;
}

#[tokio::test(start_paused = true)]
async fn by_a_prompt_that_is_filtered() {
    bears(&Play::error(400, "content_filter"), two).await;
    bears(&Play::error(403, "content_policy_violation"), two).await;
    bears(&Play::json(200, FILTERED), two).await;
    let filtered = Play::sse().events([&*role(), &finish("content_filter"), DONE]);
    bears(&filtered, || Trip::stream(&["a/x", "b/y"])).await;
    // In the middle of an answer too.
    let filtered = Play::sse().events([&*says("Hel"), &finish("content_filter"), DONE]);
    bears(&filtered, || Trip::stream(&["a/x", "b/y"])).await;
}

#[tokio::test(start_paused = true)]
async fn by_a_parameter_that_is_not_supported() {
    for status in [400, 404, 405, 406, 409, 415, 422] {
        bears(&Play::error(status, "unsupported_parameter"), two).await;
    }
}

#[tokio::test(start_paused = true)]
async fn by_hanging_up() {
    let stream = Play::sse()
        .wait(seconds(1))
        .event(&chunk(r#"{"index":0,"delta":{"content":"a"}}"#))
        .wait(seconds(10))
        .events([&*finish("stop"), DONE]);
    let connects = Play {
        open: Play::default().wait(seconds(1)).acts,
        ..stream.clone()
    };
    let sends = Play {
        send: Play::default().wait(seconds(1)).acts,
        ..stream.clone()
    };
    for (play, leaves) in [
        // Before there is a connection, while the request is sent, before
        // anything is said, in the middle, and just before the end.
        (connects, ms(500)),
        (sends, ms(500)),
        (stream.clone(), ms(500)),
        (stream.clone(), seconds(5)),
        (stream, seconds(11) - ms(1)),
    ] {
        bears(&play, || Trip::stream(&["a/x", "b/y"]).leaves(leaves)).await;
    }
    let plain = Play::hello().after(seconds(1));
    bears(&plain, || two().leaves(ms(500))).await;
}

#[tokio::test(start_paused = true)]
async fn by_a_list_so_long_that_nobody_has_time_to_answer() {
    let names: Vec<String> = (0..15).map(|number| format!("b/{number}")).collect();
    let trip = || {
        let names = names.iter().map(String::as_str);
        Trip::plain(&["a/x"].into_iter().chain(names).collect::<Vec<_>>())
    };
    let more = "failover: { total_timeout: 60s }\n";
    let inn = Inn::new(more, &[]);
    for name in &names {
        inn.world.plays(name, &[Play::hello()]);
    }
    inn.world.plays("a/x", &[Play::silent()]);
    for _ in 0..100 {
        let came = inn.host(trip()).await;
        assert_eq!(came.walk(), "a/x=timeout, b/0=200");
    }
}

#[tokio::test(start_paused = true)]
async fn by_names_that_it_made_up_in_masses() {
    let names: Vec<String> = (0..4500)
        .map(|number| format!("a/made-up-{number}"))
        .collect();
    let inn = Inn::new("", &[("b/y", &[Play::hello()])]);
    let limited = Play::error(429, "x").header("retry-after", "3600");
    inn.world.plays("a/x", &[Play::hello()]);
    inn.world.plays("a/bad", &[Play::hello(), limited]);
    let bad = || Trip::plain(&["a/bad", "b/y"]);
    inn.host(bad()).await;
    assert_eq!(inn.host(bad()).await.walk(), "a/bad=429, b/y=200");
    for play in [Play::error(404, "model_not_found"), Play::error(500, "x")] {
        for name in &names {
            inn.world.plays(name, std::slice::from_ref(&play));
            inn.host(Trip::plain(&[name])).await;
        }
        assert_eq!(inn.host(two()).await.walk(), "a/x=200");
        // And what is known of others is not driven out.
        let came = inn.host(bad()).await;
        assert_eq!(came.walk(), "a/bad=skipped:cooling, b/y=200");
        advance(seconds(60)).await;
    }
}
