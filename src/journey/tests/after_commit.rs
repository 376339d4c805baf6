//! After commit nothing falls over, and nothing that broke looks whole.

use std::time::Duration;

use serde_json::{Value, json};

use super::fakes::Ended;
use super::journey::{Came, Trip, seconds};
use super::play::{DONE, Play, finish, says};
use crate::base::Endpoint;
use crate::journey::End;
use crate::seam::Broken;

fn trip(endpoint: Endpoint) -> Trip {
    let body = json!({"models": ["a/x", "b/y"], "stream": true});
    Trip::stream(&[]).body(body).at(endpoint)
}

fn word(endpoint: Endpoint) -> String {
    match endpoint {
        Endpoint::Chat | Endpoint::Embeddings => says("Hel"),
        Endpoint::Completions => r#"{"model":"up","choices":[{"text":"Hel"}]}"#.to_owned(),
        Endpoint::Responses => {
            r#"{"type":"response.output_text.delta","sequence_number":7,"delta":"Hel"}"#.to_owned()
        }
    }
}

async fn broken(endpoint: Endpoint, play: Play) -> Came {
    let came = trip(endpoint).run(&[("a/x", &[play])]).await;
    assert_eq!((came.status(), came.walk()), (200, "a/x=200"));
    assert_eq!(came.receipt.end, End::Cut);
    assert_eq!(came.tried.len(), 1);
    assert!(!came.tried[0].released);
    came
}

/// The one error that ends the stream.
fn only_error(came: &Came) -> Value {
    let text = came.text();
    assert!(text.ends_with("\n\n") && !text.contains("[DONE]"), "{text}");
    let events: Vec<Value> = came
        .events()
        .iter()
        .map(|event| serde_json::from_str(event).unwrap())
        .collect();
    let errors = events.iter().filter(|event| event.get("error").is_some());
    assert_eq!(errors.count(), 1, "{text}");
    let last = events.last().unwrap();
    assert!(last["error"]["message"].is_string(), "{text}");
    last.clone()
}

const STREAMED: [Endpoint; 3] = [Endpoint::Chat, Endpoint::Completions, Endpoint::Responses];

#[tokio::test(start_paused = true)]
async fn a_stream_that_breaks_ends_with_one_error_event() {
    for endpoint in STREAMED {
        let word = word(endpoint);
        let said = || Play::sse().event(&word);
        for (play, took) in [
            (said(), 0),
            (said().broken(Broken::Reset), 0),
            (said().bytes("data: {\"choices\":[{\"delta\":{\"cont"), 0),
            (said().bytes("data: {\"cho").broken(Broken::Reset), 0),
            (said().hang(), 60),
            (said().wait(seconds(59)).event(&word).hang(), 119),
        ] {
            let came = broken(endpoint, play).await;
            let error = only_error(&came);
            assert_eq!(error["error"]["code"], "upstream_cut");
            assert_eq!(error["error"]["type"], "server_error");
            assert_eq!(came.took, seconds(took));
            assert!(came.is_whole(), "the framing itself ends");
            if endpoint == Endpoint::Responses {
                assert_eq!(error["type"], "error");
                assert_eq!(error["code"], "upstream_cut");
                assert_eq!(error["sequence_number"], 8);
                assert!(came.text().contains("\n\nevent: error\ndata: {"));
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_event_of_the_provider_s_is_the_only_one_and_the_last() {
    for endpoint in STREAMED {
        let word = word(endpoint);
        let own = r#"{"error":{"message":"boom","code":502}}"#;
        for error in [
            format!("data: {own}\n\n"),
            format!("data: {own}"),
            format!("event: error\ndata: {own}\n\n"),
        ] {
            let play = Play::sse().event(&word).bytes(error.clone());
            for play in [
                play.clone(),
                play.clone().event(DONE),
                play.clone().event(&word),
                play.clone().broken(Broken::Reset),
                play.hang(),
            ] {
                if !error.ends_with("\n\n") && play.acts.len() > 3 {
                    continue;
                }
                let came = broken(endpoint, play).await;
                assert_eq!(only_error(&came)["error"]["message"], "boom", "{error:?}");
                assert_eq!(came.took, seconds(0));
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_that_no_client_would_take_for_one_is_told_in_openai_s_shape() {
    for error in [
        r#"[{"error":{"code":503,"message":"x"}}]"#,
        r#"{"object":"error","message":"x"}"#,
        r#"{"error":"boom"}"#,
        r#"{"choices":[{"error":{"code":502},"delta":{"content":""},"finish_reason":"error"}]}"#,
    ] {
        let play = Play::sse().events([&*says("Hel"), error, DONE]);
        let came = broken(Endpoint::Chat, play).await;
        assert_eq!(came.events().len(), 2, "{error}");
        assert_eq!(only_error(&came)["error"]["code"], "upstream_cut");
    }
    let play = Play::sse()
        .event(&says("Hel"))
        .bytes("event: error\ndata: oops\n\n");
    let came = broken(Endpoint::Chat, play).await;
    assert_eq!(came.events().len(), 2);
    only_error(&came);
}

#[tokio::test(start_paused = true)]
async fn a_failed_response_is_its_own_last_word() {
    let failed = r#"{"type":"response.failed","response":{"error":{"code":"server_error"}}}"#;
    let play = Play::sse()
        .events([&*word(Endpoint::Responses), failed])
        .hang();
    let came = broken(Endpoint::Responses, play).await;
    assert_eq!(came.events()[1], failed);
    assert_eq!(came.events().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_end_with_a_finish_reason_or_done_is_one() {
    let stop = finish("stop");
    for play in [
        Play::stream(),
        Play::sse().events([&*says("Hel"), DONE]),
        Play::sse().event(&says("Hel")).bytes("data: [DONE]"),
        Play::sse().event(&says("Hel")).bytes("data: [DONE]\n"),
        Play::sse().events([&*says("Hel"), &stop]),
        Play::sse()
            .event(&says("Hel"))
            .bytes(format!("data: {stop}")),
        Play::sse().event(&stop),
        Play::sse().bytes(format!("data: {stop}")),
        // What follows `[DONE]` is nobody's.
        Play::stream().hang(),
        Play::stream().broken(Broken::Reset),
        Play::stream().event(r#"{"error":{"message":"late"}}"#),
    ] {
        let came = Trip::stream(&["a/x"])
            .run(&[("a/x", std::slice::from_ref(&play))])
            .await;
        assert_eq!(came.receipt.end, End::Answered, "{play:?}");
        assert!(
            came.is_whole() && !came.text().contains("error"),
            "{play:?}"
        );
        assert!(came.text().ends_with("\n\n"));
        assert!(came.took < seconds(1));
    }
    // A finish reason does not make a broken connection whole.
    let play = Play::sse()
        .events([&*says("Hel"), &stop])
        .broken(Broken::Reset);
    only_error(&broken(Endpoint::Chat, play).await);
}

#[tokio::test(start_paused = true)]
async fn a_response_ends_with_its_terminal_event() {
    let completed = r#"{"type":"response.completed","response":{"model":"up"}}"#;
    let play = Play::sse().events([&*word(Endpoint::Responses), completed]);
    for play in [
        play.clone(),
        play.clone().broken(Broken::Reset),
        play.hang(),
    ] {
        let came = trip(Endpoint::Responses).run(&[("a/x", &[play])]).await;
        assert_eq!(came.receipt.end, End::Answered);
        assert!(came.is_whole() && !came.text().contains("error"));
        assert!(came.took < seconds(2));
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_without_end_is_a_cut() {
    let megabyte = "x".repeat(1 << 20);
    let mut play = Play::sse().event(&says("Hel")).bytes("data: {\"x\":\"");
    for _ in 0..17 {
        play = play.bytes(megabyte.clone());
    }
    let came = broken(Endpoint::Chat, play.hang()).await;
    only_error(&came);
    assert!(came.text().len() < 1000);
}

#[tokio::test(start_paused = true)]
async fn a_slow_client_gets_everything() {
    let came = Trip::stream(&["a/x"])
        .slowly(seconds(100))
        .run(&[("a/x", &[Play::stream()])])
        .await;
    assert_eq!(came.receipt.end, End::Answered);
    assert_eq!(came.events().last().unwrap(), DONE);
    assert!(came.took >= seconds(300), "nothing of ours hurried it");
    assert_eq!(came.given.ended, Ended::Cleanly);
}

#[tokio::test(start_paused = true)]
async fn a_cut_counts_unless_the_client_kept_the_provider_waiting() {
    let stream = Play::sse().event(&says("Hel")).broken(Broken::Reset);
    let text = says(&"x".repeat(2 << 20)).replace("delta", "message");
    let long = Play::json(200, text).in_pieces(16384).broken(Broken::Reset);
    for (ms, counted) in [(0, 1), (999, 1), (1000, 0), (5000, 0)] {
        for (play, streamed) in [(&stream, true), (&long, false)] {
            let trip = Trip::plain(&["a/x"]).with("stream", json!(streamed));
            let trip = trip.slowly(Duration::from_millis(ms));
            let came = trip.run(&[("a/x", std::slice::from_ref(play))]).await;
            assert_eq!(came.receipt.end, End::Cut, "{ms} {streamed}");
            assert_eq!(came.counted, counted, "{ms} {streamed}");
        }
    }
}

/// How many events each write has brought.
fn events_in_writes(came: &Came) -> Vec<usize> {
    let events = |bytes: &[u8]| bytes.windows(2).filter(|end| *end == b"\n\n").count();
    let writes = came.given.writes.iter();
    writes.map(|(_, bytes)| events(bytes)).collect()
}

#[tokio::test(start_paused = true)]
async fn events_that_have_come_together_go_out_together() {
    let word = says("Hel");
    let play = Play::sse()
        .event(&word)
        .event(&word)
        .also(&word)
        .also(&word)
        .event(&word)
        .wait(seconds(1))
        .event(&word)
        .also(&finish("stop"))
        .also(DONE);
    let came = Trip::stream(&["a/x"]).run(&[("a/x", &[play])]).await;
    assert_eq!(came.receipt.end, End::Answered);
    assert_eq!(events_in_writes(&came), [1, 3, 1, 3]);
}

#[tokio::test(start_paused = true)]
async fn what_has_come_before_a_break_goes_out_before_the_error() {
    let word = says("Hel");
    let play = Play::sse().event(&word).event(&word).also(&word);
    let came = broken(Endpoint::Chat, play.broken(Broken::Reset)).await;
    assert_eq!(events_in_writes(&came), [1, 2, 1]);
    only_error(&came);
}

#[tokio::test(start_paused = true)]
async fn who_sends_without_end_is_not_gathered_without_end() {
    let word = says(&"x".repeat(1000));
    let mut play = Play::sse().event(&word);
    for _ in 0..500 {
        play = play.also(&word);
    }
    let play = play.also(&finish("stop")).also(DONE);
    let came = Trip::stream(&["a/x"]).run(&[("a/x", &[play])]).await;
    assert_eq!(came.events().len(), 503);
    let longest = came.given.writes.iter().map(|(_, bytes)| bytes.len()).max();
    assert!((65_536..68_000).contains(&longest.unwrap()), "{longest:?}");
}
