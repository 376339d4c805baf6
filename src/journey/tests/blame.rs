//! What one request brings about by itself says nothing of its target.

use serde_json::json;

use super::journey::{Came, Trip};
use super::play::{DONE, Play, role};
use crate::outcome::{Blame, Effect, Outcome, Says};
use crate::seam::Broken;

const TWO: [&str; 2] = ["a/x", "b/y"];

/// How the first candidate failed, while the second answered.
async fn outcome(trip: Trip, plays: &[Play]) -> Outcome {
    let good = [Play::hello()];
    let came: Came = trip.run(&[("a/x", plays), ("b/y", &good)]).await;
    assert_eq!(came.status(), 200, "{plays:?}");
    let outcome = came.receipt.trail.tried().next().unwrap().outcome;
    outcome.unwrap()
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_to_a_clients_own_rights_is_not_the_targets_doing() {
    let in_200 = |code: &str| {
        Play::json(
            200,
            format!(r#"{{"error":{{"code":"{code}","message":"x"}}}}"#),
        )
    };
    for (failure, ours, theirs) in [
        (
            Play::error(401, "x"),
            Outcome::Auth(Blame::Target),
            Outcome::Auth(Blame::Request),
        ),
        (
            Play::error(402, "x"),
            Outcome::Auth(Blame::Target),
            Outcome::Auth(Blame::Request),
        ),
        (
            Play::error(403, "x"),
            Outcome::Forbidden(Blame::Target),
            Outcome::Forbidden(Blame::Request),
        ),
        (
            Play::error(404, "model_not_found"),
            Outcome::NotFound(Blame::Target),
            Outcome::NotFound(Blame::Request),
        ),
        (
            Play::error(429, "x"),
            Outcome::RateLimited(Blame::Target),
            Outcome::RateLimited(Blame::Request),
        ),
        (
            in_200("rate_limit_exceeded"),
            Outcome::BadAnswer(Says::RateLimited),
            Outcome::BadAnswer(Says::Prompt),
        ),
        (
            in_200("invalid_api_key"),
            Outcome::BadAnswer(Says::Credential),
            Outcome::BadAnswer(Says::Prompt),
        ),
        (
            in_200("server_error"),
            Outcome::BadAnswer(Says::Broken),
            Outcome::BadAnswer(Says::Broken),
        ),
    ] {
        let failure = std::slice::from_ref(&failure);
        assert_eq!(outcome(Trip::plain(&TWO), failure).await, ours);
        let brings = Trip::plain(&TWO).header("x-goog-user-project", "p-1");
        assert_eq!(outcome(brings, failure).await, theirs);
        // These stay with Standin, so they cannot be what was refused.
        let stays = Trip::plain(&TWO).header("authorization", "Bearer x");
        assert_eq!(outcome(stays, failure).await, ours);
    }
}

#[tokio::test(start_paused = true)]
async fn a_streamed_refusal_of_a_clients_own_rights_is_not_the_targets_doing() {
    let failure = [Play::sse().events([
        &*role(),
        r#"{"error":{"code":"invalid_api_key","message":"x"}}"#,
        DONE,
    ])];
    let good = [Play::stream()];
    for (header, says) in [
        ("user-agent", Says::Credential),
        ("cf-aig-authorization", Says::Prompt),
    ] {
        let trip = Trip::stream(&TWO).header(header, "x");
        let came = trip.run(&[("a/x", &failure), ("b/y", &good)]).await;
        let first = came.receipt.trail.tried().next().unwrap().outcome;
        assert_eq!(first, Some(Outcome::BadAnswer(says)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_breaks_under_a_large_body_is_not_the_targets_doing() {
    let on_send = |broken| Play {
        send: Play::breaks(broken).acts,
        ..Play::default()
    };
    let small = || Trip::plain(&TWO);
    let large = || Trip::plain(&TWO).with("user", json!("x".repeat(1 << 20)));
    for plays in [
        vec![on_send(Broken::Reset)],
        vec![on_send(Broken::Stale), on_send(Broken::Reset)],
        vec![on_send(Broken::Stale), on_send(Broken::Stale)],
        vec![Play::breaks(Broken::Reset)],
    ] {
        let is = outcome(small(), &plays).await;
        assert_eq!(is, Outcome::Reset(Blame::Target), "{plays:?}");
        let is = outcome(large(), &plays).await;
        assert_eq!(is, Outcome::Reset(Blame::Request), "{plays:?}");
        assert_eq!(is.effect(), Effect::None);
    }
    // A connection that was dead before is still retried.
    let plays = [on_send(Broken::Stale), Play::hello()];
    let came = large().run(&[("a/x", &plays)]).await;
    assert_eq!(came.walk(), "a/x=200");
    // What does not even connect is down, whatever is to be sent.
    let is = outcome(large(), &[Play::refused()]).await;
    assert_eq!(is, Outcome::Connect);
    // An answer that breaks off has taken the request.
    let cut = Play::json(200, "{").broken(Broken::Reset);
    let is = outcome(large(), &[cut]).await;
    assert_eq!(is, Outcome::Reset(Blame::Target));
}
