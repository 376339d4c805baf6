//! Commit waits for the first thing that is said.

use serde_json::json;

use super::journey::{Trip, ms, seconds};
use super::play::{DONE, FILTERED, Play, chunk, finish, role, says};
use crate::base::Endpoint;

const POLITE: [&str; 4] = [
    ": OPENROUTER PROCESSING\n\n",
    "event: ping\ndata: {\"type\":\"ping\"}\n\n",
    "data: {\"model\":\"a/x\",\"choices\":[],\"prompt_filter_results\":[{\"prompt_index\":0}]}\n\n",
    "data: {\"model\":\"a/x\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\",\"refusal\":null}}]}\n\n",
];

#[tokio::test(start_paused = true)]
async fn only_what_is_said_commits() {
    let tool = r#"{"delta":{"tool_calls":[{"index":0,"id":"t","type":"function","function":{"name":"f","arguments":""}}]}}"#;
    for said in [
        says("Hi"),
        finish("stop"),
        finish("length"),
        chunk(r#"{"delta":{"reasoning_content":"hm"}}"#),
        chunk(r#"{"delta":{"refusal":"no"}}"#),
        chunk(tool),
        chunk(
            r#"{"index":0,"delta":{"role":"assistant"}},{"index":1,"delta":{"content":"second choice"}}"#,
        ),
        chunk(r#"{"delta":{"content":"x"},"finish_reason":"content_filter"}"#),
        r#"{"brand":"new"}"#.to_owned(),
    ] {
        let mut play = Play::sse();
        for polite in POLITE {
            play = play.bytes(polite).wait(seconds(1));
        }
        let play = play
            .event(&said)
            .wait(seconds(1))
            .event(&finish("stop"))
            .event(DONE);
        let came = Trip::stream(&["a/x", "b/y"]).run(&[("a/x", &[play])]).await;
        assert_eq!(came.given.committed, Some(seconds(4)), "{said}");
        assert_eq!(came.given.writes[0].0, seconds(4));
        let text = came.text();
        assert!(
            text.starts_with(&POLITE.concat()),
            "replayed in order: {text}"
        );
        assert!(came.given.writes.len() > 1, "what follows is not gathered");
        assert!(came.is_whole());
    }
}

#[tokio::test(start_paused = true)]
async fn sixty_four_polite_events_are_held_and_the_next_commits() {
    for (events, committed) in [(64, None), (65, Some(ms(0)))] {
        let roles: Vec<String> = vec![role(); events];
        let play = Play::sse()
            .events(roles.iter().map(String::as_str))
            .wait(seconds(1));
        let plays: [(&str, &[Play]); 2] = [("a/x", &[play]), ("b/y", &[Play::stream()])];
        let came = Trip::stream(&["a/x", "b/y"]).run(&plays).await;
        if committed.is_some() {
            assert_eq!(came.walk(), "a/x=200");
            assert_eq!(came.given.committed, committed);
            // It then ends with nothing said.
            assert_eq!(came.events().len(), 65 + 1);
        } else {
            assert_eq!(came.walk(), "a/x=bad_answer, b/y=200");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn comments_count_in_bytes_only() {
    let comment = format!(": {}\n\n", "x".repeat(996));
    for (comments, walk) in [(262, "a/x=bad_answer, b/y=200"), (263, "a/x=200")] {
        let play = Play::sse().bytes(comment.repeat(comments)).in_pieces(1000);
        let plays: [(&str, &[Play]); 2] = [("a/x", &[play]), ("b/y", &[Play::stream()])];
        let came = Trip::stream(&["a/x", "b/y"]).run(&plays).await;
        assert_eq!(came.walk(), walk, "{comments} KB of comments");
    }
}

#[tokio::test(start_paused = true)]
async fn the_opening_events_of_responses_are_held() {
    let created = r#"{"type":"response.created","response":{"id":"r","model":"up"}}"#;
    let added = r#"{"type":"response.output_item.added","item":{"type":"message"}}"#;
    let delta = r#"{"type":"response.output_text.delta","delta":"Hi"}"#;
    let completed = r#"{"type":"response.completed","response":{"id":"r","model":"up"}}"#;
    let failed =
        r#"{"type":"response.failed","response":{"error":{"code":"rate_limit_exceeded"}}}"#;
    let filtered = r#"{"type":"response.incomplete","response":{"model":"up","incomplete_details":{"reason":"content_filter"}}}"#;
    let opening = || Play::sse().events([created, added]).wait(seconds(3));
    let good = || opening().events([delta, completed]);
    let trip = || {
        let body = json!({"models": ["a/x", "b/y"], "input": "hi", "stream": true});
        Trip::stream(&[]).body(body).at(Endpoint::Responses)
    };
    let came = trip().run(&[("a/x", &[good()])]).await;
    assert_eq!(came.given.committed, Some(seconds(3)));
    assert_eq!(came.text().matches(r#""model":"a/x""#).count(), 2);
    assert!(came.is_whole());
    for (bad, word) in [
        (opening(), "bad_answer"),
        (opening().event(failed), "bad_answer"),
        (opening().event(filtered), "moderated"),
        (opening().event(filtered).hang(), "moderated"),
    ] {
        let came = trip().run(&[("a/x", &[bad]), ("b/y", &[good()])]).await;
        assert_eq!(came.walk(), format!("a/x={word}, b/y=200"));
    }
    let came = trip()
        .run(&[("a/x", &[opening().event(failed)]), ("b/y", &[good()])])
        .await;
    let first = came.receipt.trail.tried().next().unwrap();
    assert_eq!(
        first.outcome,
        Some(crate::outcome::Outcome::BadAnswer(
            crate::outcome::Says::RateLimited
        )),
        "the error inside `response` says whose fault it is"
    );
}

#[tokio::test(start_paused = true)]
async fn a_plain_answer_to_a_stream_request_is_handed_on_whole() {
    let came = Trip::stream(&["a/x"])
        .run(&[("a/x", &[Play::hello()])])
        .await;
    assert_eq!(came.header("content-type"), Some("application/json"));
    assert_eq!(came.json()["model"], "a/x");
}

#[tokio::test(start_paused = true)]
async fn a_stream_without_a_content_type_is_called_one() {
    let mut play = Play::stream();
    play.acts[0] = Play::head(200).acts.remove(0);
    let came = Trip::stream(&["a/x"]).run(&[("a/x", &[play])]).await;
    assert_eq!(came.header("content-type"), Some("text/event-stream"));
    assert_eq!(came.events().last().unwrap(), "[DONE]");
}

#[tokio::test(start_paused = true)]
async fn however_it_is_cut_and_whatever_its_line_ends_a_stream_comes_out_the_same() {
    let text = String::from_utf8(Play::stream().body()).unwrap();
    for ends in ["\n", "\r\n", "\r"] {
        let sent = text.replace('\n', ends);
        let expected = sent.replace(r#""model":"up""#, r#""model":"a/x""#);
        for size in [1, 2, 3, 50, usize::MAX] {
            let play = Play::sse().bytes(sent.clone()).in_pieces(size);
            let came = Trip::stream(&["a/x"]).run(&[("a/x", &[play])]).await;
            // The LF behind a CR that ended the last event is not waited for.
            let is = came.text();
            assert_eq!(is.trim_end(), expected.trim_end(), "{ends:?} in {size}");
            assert!(is.ends_with(['\n', '\r']));
            assert!(came.is_whole());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn usage_that_was_not_asked_for_is_kept_back_and_nothing_else() {
    let null = r#"{"model":"a/x","id":"c","usage":null,"choices":[{"delta":{"content":"x"}}]}"#;
    let full = r#"{"model":"a/x","choices":[{"delta":{},"finish_reason":"stop"}],"usage":{"total_tokens":3}}"#;
    let extra = r#"{"model":"a/x","choices":[],"usage":{"total_tokens":3}}"#;
    let failed =
        r#"{"model":"a/x","choices":[],"usage":{"total_tokens":3},"error":{"message":"late"}}"#;
    let play = Play::sse().events([null, full, extra, DONE]);
    for asked in [
        json!(null),
        json!({}),
        json!({"include_usage": false}),
        json!({"include_usage": null}),
    ] {
        let came = Trip::stream(&["a/x"])
            .with("stream_options", asked.clone())
            .run(&[("a/x", std::slice::from_ref(&play))])
            .await;
        let bare = r#"{"model":"a/x","id":"c","choices":[{"delta":{"content":"x"}}]}"#;
        assert_eq!(came.events(), [bare, full, DONE], "{asked}");
        let sent: serde_json::Value = serde_json::from_slice(&came.tried[0].body).unwrap();
        assert_eq!(sent["stream_options"]["include_usage"], true, "{asked}");
    }
    let came = Trip::stream(&["a/x"])
        .with("stream_options", json!({"include_usage": true}))
        .run(&[("a/x", std::slice::from_ref(&play))])
        .await;
    assert_eq!(came.events(), [null, full, extra, DONE]);
    // An error is never kept back.
    let play = Play::sse().events([null, failed]);
    let came = Trip::stream(&["a/x"]).run(&[("a/x", &[play])]).await;
    assert_eq!(came.events()[1], failed);
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_takes_no_usage_option_is_not_asked_and_nothing_is_kept_back() {
    let null = r#"{"model":"d/x","usage":null,"choices":[{"delta":{"content":"x"}}]}"#;
    let extra = r#"{"model":"d/x","choices":[],"usage":{"total_tokens":3}}"#;
    let play = Play::sse().events([null, extra, DONE]);
    let came = Trip::stream(&["d/x"])
        .config("  d: { base_url: \"http://d.test\", stream_usage: false }\n")
        .run(&[("d/x", &[play])])
        .await;
    assert_eq!(came.events(), [null, extra, DONE]);
    assert!(!String::from_utf8_lossy(&came.tried[0].body).contains("stream_options"));
}

#[tokio::test(start_paused = true)]
async fn a_filtered_answer_of_the_last_candidate_is_handed_on() {
    let plays = [Play::json(200, FILTERED)];
    let came = Trip::plain(&["a/x", "b/y"])
        .run(&[("a/x", &[Play::error(503, "x")]), ("b/y", &plays)])
        .await;
    assert_eq!(
        (came.status(), came.walk()),
        (200, "a/x=503, b/y=moderated")
    );
    assert_eq!(came.json()["choices"][0]["finish_reason"], "content_filter");
    assert!(came.json().get("attempts").is_none());
    assert_eq!(came.json()["model"], "b/y");

    let filter = finish("content_filter");
    for play in [
        Play::sse().events([&*role(), &filter, DONE]),
        Play::sse().events([&*role(), &filter, DONE]).hang(),
    ] {
        let came = Trip::stream(&["a/x"]).run(&[("a/x", &[play])]).await;
        assert_eq!((came.status(), came.walk()), (200, "a/x=moderated"));
        assert_eq!(came.header("content-type"), Some("text/event-stream"));
        let events = came.events();
        assert_eq!(events.len(), 3);
        assert!(events[1].contains("content_filter") && events[1].contains(r#""model":"a/x""#));
        assert!(came.is_whole());
    }
    // Its end never comes: it is given up after the idle time, not the total.
    let play = Play::sse().events([&*role(), &filter]).hang();
    let came = Trip::stream(&["a/x"]).run(&[("a/x", &[play])]).await;
    assert_eq!((came.status(), came.walk()), (200, "a/x=moderated"));
    assert_eq!(came.took, seconds(60));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_names_nobody_is_given_the_name_of_who_answered() {
    let choices = r#""choices":[{"message":{"content":"Hello"},"finish_reason":"stop"}]"#;
    for body in [
        format!("{{{choices}}}"),
        format!(" {{ {choices} }}"),
        format!(r#"{{"model":null,{choices}}}"#),
        format!(r#"{{{choices},"model":7}}"#),
    ] {
        let play = Play::json(200, body.clone());
        let came = Trip::plain(&["a/x"]).run(&[("a/x", &[play])]).await;
        assert_eq!(came.json()["model"], "a/x", "{body}");
        assert_eq!(came.json()["choices"][0]["message"]["content"], "Hello");
    }
    let delta = r#""choices":[{"delta":{"content":"Hello"},"finish_reason":"stop"}]"#;
    for data in [
        format!("{{{delta}}}"),
        format!(r#"{{"usage":null,{delta}}}"#),
        format!("{{\ndata: {delta}\ndata: }}"),
        format!(r#"{{"model":null,{delta}}}"#),
    ] {
        let play = Play::sse().event(&data).event("[DONE]");
        let came = Trip::stream(&["a/x"]).run(&[("a/x", &[play])]).await;
        let text = came.text().replace("data: ", "").replace("[DONE]", "");
        let event: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(event["model"], "a/x", "{data}");
        assert_eq!(event["choices"][0]["delta"]["content"], "Hello");
    }
}
