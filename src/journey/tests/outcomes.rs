//! Every row of the contract's table of outcomes, plain and streamed.

use super::journey::{Came, Trip, seconds};
use super::play::{DONE, FILTERED, Play, chunk, finish, role, says};
use crate::outcome::{Blame, Outcome, Says};
use crate::seam::Broken;

const TWO: [&str; 2] = ["a/x", "b/y"];

/// First the failure, then a good answer.
async fn walked(stream: bool, failure: &Play) -> Came {
    let (trip, good) = if stream {
        (Trip::stream(&TWO), Play::stream())
    } else {
        (Trip::plain(&TWO), Play::hello())
    };
    let plays: [(&str, &[Play]); 2] = [("a/x", std::slice::from_ref(failure)), ("b/y", &[good])];
    let came = trip.run(&plays).await;
    assert_eq!(came.status(), 200, "{failure:?}");
    assert_eq!(came.header("x-standin-model"), Some("b/y"));
    assert!(came.is_whole());
    assert!(came.text().contains(r#""model":"b/y""#), "{}", came.text());
    assert!(!came.text().contains(r#""model":"up""#));
    came
}

fn outcome(came: &Came) -> Outcome {
    came.receipt.trail.tried().next().unwrap().outcome.unwrap()
}

#[tokio::test(start_paused = true)]
async fn what_fails_with_a_status_or_a_transport_falls_over() {
    for (failure, is, word) in [
        (Play::refused(), Outcome::Connect, "connect"),
        (
            Play::breaks(Broken::Reset),
            Outcome::Reset(Blame::Target),
            "reset",
        ),
        (Play::silent(), Outcome::Timeout(Blame::Target), "timeout"),
        (
            Play::error(429, "x"),
            Outcome::RateLimited(Blame::Target),
            "429",
        ),
        (Play::error(500, "x"), Outcome::Unavailable, "500"),
        (Play::error(503, "x"), Outcome::Unavailable, "503"),
        (Play::error(529, "x"), Outcome::Unavailable, "529"),
        (Play::error(401, "x"), Outcome::Auth(Blame::Target), "401"),
        (Play::error(402, "x"), Outcome::Auth(Blame::Target), "402"),
        (
            Play::error(403, "x"),
            Outcome::Forbidden(Blame::Target),
            "403",
        ),
        (
            Play::error(404, "model_not_found"),
            Outcome::NotFound(Blame::Target),
            "404",
        ),
        (
            Play::error(404, "DeploymentNotFound"),
            Outcome::NotFound(Blame::Target),
            "404",
        ),
        (Play::error(404, "file_not_found"), Outcome::Rejected, "404"),
        (
            Play::error(400, "context_length_exceeded"),
            Outcome::ContextLength,
            "400",
        ),
        (
            Play::error(400, "content_policy_violation"),
            Outcome::Moderated,
            "400",
        ),
        (
            Play::error(403, "moderation_blocked"),
            Outcome::Moderated,
            "403",
        ),
        (
            Play::error(422, "content_filter"),
            Outcome::Moderated,
            "422",
        ),
        (
            Play::error(400, "unsupported_parameter"),
            Outcome::Rejected,
            "400",
        ),
        (Play::error(413, "x"), Outcome::Rejected, "413"),
        (Play::error(418, "x"), Outcome::Rejected, "418"),
        (Play::error(422, "x"), Outcome::Rejected, "422"),
        // No error statuses, and no answers either.
        (
            Play::head(302),
            Outcome::BadAnswer(Says::Broken),
            "bad_answer",
        ),
        (
            Play::head(304),
            Outcome::BadAnswer(Says::Broken),
            "bad_answer",
        ),
        (
            Play::head(204),
            Outcome::BadAnswer(Says::Broken),
            "bad_answer",
        ),
        (
            Play::hello().header("content-encoding", "gzip"),
            Outcome::BadAnswer(Says::Broken),
            "bad_answer",
        ),
    ] {
        for stream in [false, true] {
            let came = walked(stream, &failure).await;
            assert_eq!(outcome(&came), is, "stream={stream} {failure:?}");
            assert_eq!(came.walk(), format!("a/x={word}, b/y=200"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_plain_200_that_is_none_falls_over() {
    let limited = r#"{"error":{"code":"rate_limit_exceeded","message":"x"}}"#;
    let bad_prompt = r#"{"object":"error","type":"BadRequestError","message":"x"}"#;
    let choice_error = r#"{"choices":[{"error":{"code":502,"message":"x"},"finish_reason":"error","message":{"role":"assistant","content":""}}]}"#;
    for (failure, is) in [
        (Play::json(200, ""), Outcome::BadAnswer(Says::Broken)),
        (Play::json(200, "<html>"), Outcome::BadAnswer(Says::Broken)),
        (
            Play::json(200, r#"{"choices":[]}"#),
            Outcome::BadAnswer(Says::Broken),
        ),
        (
            Play::json(200, r#"{"error":{"message":"x"}}"#),
            Outcome::BadAnswer(Says::Broken),
        ),
        (
            Play::json(200, limited),
            Outcome::BadAnswer(Says::RateLimited),
        ),
        (
            Play::json(200, bad_prompt),
            Outcome::BadAnswer(Says::Prompt),
        ),
        (
            Play::json(200, choice_error),
            Outcome::BadAnswer(Says::Broken),
        ),
        (Play::json(200, FILTERED), Outcome::Moderated),
        (
            Play::json(200, &FILTERED[..60]),
            Outcome::BadAnswer(Says::Broken),
        ),
        (
            Play::json(200, &FILTERED[..60]).broken(Broken::Reset),
            Outcome::Reset(Blame::Target),
        ),
        (Play::json(200, "{").hang(), Outcome::Timeout(Blame::Target)),
        // Events that nobody asked for.
        (Play::stream(), Outcome::BadAnswer(Says::Broken)),
    ] {
        let came = walked(false, &failure).await;
        assert_eq!(outcome(&came), is, "{failure:?}");
        assert_eq!(came.walk(), format!("a/x={}, b/y=200", is.label()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_streamed_200_that_is_none_falls_over_whatever_its_opening() {
    let bad = Outcome::BadAnswer(Says::Broken);
    let rate = r#"{"error":{"code":429,"message":"x"}}"#;
    let azure = r#"{"choices":[],"prompt_filter_results":[{"prompt_index":0}]}"#;
    let choice_error =
        chunk(r#"{"error":{"code":502},"delta":{"content":""},"finish_reason":"error"}"#);
    let opened = || {
        Play::sse()
            .bytes(": OPENROUTER PROCESSING\n\n")
            .events([azure, &role(), &says("")])
    };
    for (failure, is) in [
        (opened(), bad),
        (opened().event(DONE), bad),
        (opened().bytes("data: [DONE]"), bad),
        (opened().event(r#"{"error":{"message":"x"}}"#), bad),
        (opened().bytes(r#"data: {"error":{"message":"x"}}"#), bad),
        (opened().event(r#"[{"error":{"code":503}}]"#), bad),
        (opened().event(rate), Outcome::BadAnswer(Says::RateLimited)),
        (
            opened().bytes("event: error\ndata: {\"message\":\"x\"}\n\n"),
            bad,
        ),
        (opened().bytes("event: error\ndata: oops\n\n"), bad),
        (opened().event(&choice_error), bad),
        (opened().event("<html>"), bad),
        (opened().bytes("data: {\"choices\":[{\"del"), bad),
        (
            opened().broken(Broken::Reset),
            Outcome::Reset(Blame::Target),
        ),
        (opened().hang(), Outcome::Timeout(Blame::Target)),
        (
            opened().event(&finish("content_filter")).event(DONE),
            Outcome::Moderated,
        ),
        (
            opened().event(&finish("content_filter")),
            Outcome::Moderated,
        ),
        (
            opened().event(&finish("content_filter")).hang(),
            Outcome::Moderated,
        ),
        (
            opened()
                .event(&finish("content_filter"))
                .broken(Broken::Reset),
            Outcome::Moderated,
        ),
        (Play::sse(), bad),
        (Play::json(200, r#"{"error":{"message":"x"}}"#), bad),
        (Play::json(200, FILTERED), Outcome::Moderated),
        // An answer without a content type that is no stream.
        (Play::head(200).bytes("<html>\n\n"), bad),
    ] {
        for size in [1, 7, usize::MAX] {
            let came = walked(true, &failure.clone().in_pieces(size)).await;
            assert_eq!(outcome(&came), is, "{failure:?} in {size}");
            assert_eq!(came.walk(), format!("a/x={}, b/y=200", is.label()));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stale_connection_is_retried_once_fresh_and_is_no_failure() {
    for stream in [false, true] {
        let stale = Play::breaks(Broken::Stale);
        let unsent = Play {
            send: stale.acts.clone(),
            ..Play::default()
        };
        let unopened = Play {
            open: stale.acts.clone(),
            ..Play::default()
        };
        let good = if stream {
            Play::stream()
        } else {
            Play::hello()
        };
        for stale in [stale, unsent, unopened] {
            let trip = if stream {
                Trip::stream(&TWO)
            } else {
                Trip::plain(&TWO)
            };
            let came = trip.run(&[("a/x", &[stale, good.clone()])]).await;
            assert_eq!(came.walk(), "a/x=200");
            let fresh: Vec<bool> = came.tried.iter().map(|tried| tried.fresh).collect();
            assert_eq!(fresh, [false, true]);
            assert_eq!(came.tried[0].target, came.tried[1].target);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_stale_again_is_a_reset_and_tried_no_third_time() {
    let stale = Play::breaks(Broken::Stale);
    let unsent = Play {
        send: stale.acts.clone(),
        ..Play::default()
    };
    for plays in [
        [stale.clone(), stale.clone(), Play::hello()],
        [unsent.clone(), stale.clone(), Play::hello()],
        [unsent.clone(), unsent, Play::hello()],
    ] {
        let came = Trip::plain(&TWO)
            .run(&[("a/x", &plays), ("b/y", &[Play::hello()])])
            .await;
        assert_eq!(came.walk(), "a/x=reset, b/y=200");
        assert_eq!(came.tried.len(), 3);
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_error_body_does_not_hold_up_the_next_candidate() {
    let slow = Play::json(503, "{").hang();
    let came = walked(false, &slow).await;
    assert_eq!(came.walk(), "a/x=503, b/y=200");
    assert!(came.took < seconds(1));
    assert!(
        !came.tried[0].released,
        "an unread answer's connection is not kept"
    );
    let whole = walked(false, &Play::error(503, "x")).await;
    assert!(whole.tried[0].released);
}
