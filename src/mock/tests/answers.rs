//! What replies say.

use super::*;

const CHAT: &str = "/v1/chat/completions";

async fn once(reply: Reply, path: &str, body: &str) -> Answer {
    let mock = Mock::start(reply).await.unwrap();
    Peer::to(&mock).await.ask(path, body).await
}

#[tokio::test]
async fn one_answer_serves_plain_and_streamed_requests() {
    let mock = Mock::start(Reply::answer("Hello, big world"))
        .await
        .unwrap();
    let mut peer = Peer::to(&mock).await;
    let plain = peer.ask(CHAT, r#"{"model":"gpt-4o"}"#).await;
    assert!(plain.head.contains("content-type: application/json\r\n"));
    let json = plain.json();
    assert_eq!(json["object"], "chat.completion");
    assert_eq!(json["model"], "gpt-4o");
    assert_eq!(json["choices"][0]["message"]["content"], "Hello, big world");
    assert_eq!(json["choices"][0]["finish_reason"], "stop");
    assert_eq!(json["usage"]["completion_tokens"], 3);

    let streamed = peer.ask(CHAT, r#"{"model":"gpt-4o","stream":true}"#).await;
    assert!(streamed.head.contains("content-type: text/event-stream"));
    let events = streamed.events();
    assert_eq!(events[0]["choices"][0]["delta"]["role"], "assistant");
    assert_eq!(events[1]["choices"][0]["delta"]["content"], "Hello, ");
    assert_eq!(events[4]["choices"][0]["finish_reason"], "stop");
    assert_eq!(streamed.data().last(), Some(&"[DONE]"));
    assert_eq!(streamed.chunks.len(), 6, "one chunk for each event");
    assert!(events.iter().all(|event| event.get("usage").is_none()));
    assert!(events.iter().all(|event| event["model"] == "gpt-4o"));
}

#[tokio::test]
async fn usage_is_told_where_a_stream_asks_for_it() {
    let usage = Usage {
        input: 100,
        cached: 60,
        output: 20,
        reasoning: 5,
    };
    let asked = r#"{"model":"m","stream":true,"stream_options":{"include_usage":true}}"#;
    for path in [CHAT, "/v1/completions"] {
        let answer = once(
            Reply::stream_completion(["Hel", "lo"]).usage(usage),
            path,
            asked,
        )
        .await;
        let events = answer.events();
        let (last, others) = events.split_last().unwrap();
        assert!(others.iter().all(|event| event["usage"].is_null()));
        assert!(others.iter().all(|event| event.get("usage").is_some()));
        assert_eq!(last["choices"].as_array().unwrap().len(), 0);
        assert_eq!(last["usage"]["prompt_tokens"], 100);
        assert_eq!(last["usage"]["total_tokens"], 120);
        assert_eq!(last["usage"]["prompt_tokens_details"]["cached_tokens"], 60);
        let output = &last["usage"]["completion_tokens_details"];
        assert_eq!(output["reasoning_tokens"], 5);
    }
}

#[tokio::test]
async fn each_endpoint_answers_in_its_own_form() {
    let mock = Mock::start(Reply::answer("Hello you")).await.unwrap();
    let mut peer = Peer::to(&mock).await;
    let text = peer.ask("/v1/completions", r#"{"model":"m"}"#).await.json();
    assert_eq!(text["choices"][0]["text"], "Hello you");
    let streamed = peer
        .ask("/v1/completions", r#"{"model":"m","stream":true}"#)
        .await;
    assert_eq!(streamed.events()[1]["choices"][0]["text"], "you");
    let embedding = peer.ask("/v1/embeddings", r#"{"model":"m"}"#).await.json();
    assert_eq!(embedding["data"][0]["object"], "embedding");
    assert_eq!(embedding["model"], "m");
    let response = peer.ask("/v1/responses", r#"{"model":"m"}"#).await.json();
    assert_eq!(response["output"][0]["content"][0]["text"], "Hello you");
    assert_eq!(response["usage"]["output_tokens"], 2);
    let azure = peer
        .ask(
            "/openai/deployments/prod/chat/completions?api-version=1",
            "{}",
        )
        .await
        .json();
    assert_eq!(azure["model"], "prod");
    peer.send("GET /v1/models/x HTTP/1.1\r\n\r\n").await;
    assert_eq!(peer.answer().await.json()["id"], "x");
}

#[tokio::test]
async fn a_response_streams_its_events_in_order() {
    let answer = once(
        Reply::answer("Hello you"),
        "/v1/responses",
        r#"{"model":"m","stream":true}"#,
    )
    .await;
    let events = answer.events();
    let kinds: Vec<&str> = events
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect();
    assert_eq!(
        kinds,
        [
            "response.created",
            "response.in_progress",
            "response.output_item.added",
            "response.content_part.added",
            "response.output_text.delta",
            "response.output_text.delta",
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.completed",
        ]
    );
    assert!(answer.body.starts_with("event: response.created\ndata: {"));
    assert_eq!(events[9]["sequence_number"], 9);
    assert_eq!(events[9]["response"]["model"], "m");
    assert_eq!(events[9]["response"]["usage"]["total_tokens"], 14);
}

#[tokio::test]
async fn an_echo_carries_the_requests_id() {
    let mock = Mock::start(Reply::answer("hello you").echo())
        .await
        .unwrap();
    let mut peer = Peer::to(&mock).await;
    for stream in ["true", "false"] {
        for path in [CHAT, "/v1/completions", "/v1/responses"] {
            let body = format!(r#"{{"model":"m","stream":{stream}}}"#);
            let answer = peer.ask(path, &body).await;
            assert!(answer.head.contains("\r\nx-test-id: t1\r\n"));
            assert!(answer.body.contains(r#""t1 hello "#), "{}", answer.body);
            assert!(answer.body.contains(r#"_t1""#) || answer.body.contains(r#"-t1""#));
        }
    }
    let embedding = peer.ask("/v1/embeddings", "{}").await;
    assert_eq!(embedding.json()["id"], "t1");
}

#[tokio::test]
async fn a_model_may_answer_under_a_dated_name() {
    let reply = Reply::answer("hello").model("gpt-4o-2024-08-06");
    let answer = once(reply, CHAT, r#"{"model":"gpt-4o"}"#).await;
    assert_eq!(answer.json()["model"], "gpt-4o-2024-08-06");
}

#[tokio::test]
async fn a_completion_is_plain_whatever_was_asked() {
    let answer = once(Reply::completion("hello"), CHAT, r#"{"stream":true}"#).await;
    assert_eq!(answer.json()["choices"][0]["message"]["content"], "hello");
}

#[tokio::test]
async fn failures_are_as_their_providers_write_them() {
    let at = |path: &'static str| move |json: Value| json.pointer(path).cloned();
    let code = at("/error/code");
    for (reply, status, expected) in [
        (Reply::rate_limited(None), 429, "rate_limit_exceeded"),
        (Reply::quota_exceeded(), 429, "insufficient_quota"),
        (Reply::auth(), 401, "invalid_api_key"),
        (
            Reply::forbidden(),
            403,
            "unsupported_country_region_territory",
        ),
        (Reply::model_not_found(), 404, "model_not_found"),
        (Reply::context_length(), 400, "context_length_exceeded"),
        (Reply::moderated(), 400, "content_policy_violation"),
        (Reply::azure_moderated(), 400, "content_filter"),
        (Reply::rejected(), 400, "unsupported_parameter"),
    ] {
        let answer = once(reply, CHAT, r#"{"model":"m"}"#).await;
        assert_eq!(answer.status(), status);
        assert_eq!(code(answer.json()), Some(expected.into()));
    }
    let ask = async |reply| once(reply, CHAT, "{}").await;
    let limited = ask(Reply::rate_limited(Some("Wed, 21 Oct 2026 07:28:00 GMT"))).await;
    assert!(
        limited
            .head
            .contains("\r\nretry-after: Wed, 21 Oct 2026 07:28:00 GMT\r\n")
    );
    let gemini = ask(Reply::gemini_rate_limited("34s")).await.json();
    assert_eq!(gemini[0]["error"]["details"][1]["retryDelay"], "34s");
    let overloaded = ask(Reply::overloaded()).await;
    assert_eq!(overloaded.status(), 529);
    assert_eq!(overloaded.json()["error"]["type"], "overloaded_error");
    let moderated = ask(Reply::openrouter_moderated()).await;
    assert_eq!(
        moderated.json()["error"]["metadata"]["reasons"][0],
        "violence"
    );
    let azure = ask(Reply::azure_moderated()).await.json();
    assert_eq!(
        azure["error"]["innererror"]["code"],
        "ResponsibleAIPolicyViolation"
    );
    assert_eq!(ask(Reply::unavailable()).await.status(), 503);
    assert_eq!(ask(Reply::internal_error()).await.status(), 500);
    assert_eq!(ask(Reply::payment_required()).await.status(), 402);
    assert!(
        ask(Reply::bad_gateway())
            .await
            .head
            .contains("content-type: text/html\r\n")
    );
}

#[tokio::test]
async fn errors_hide_in_a_200() {
    let mock = Mock::start(Reply::rate_limited(None).inside_200())
        .await
        .unwrap();
    let mut peer = Peer::to(&mock).await;
    let plain = peer.ask(CHAT, "{}").await;
    assert_eq!(plain.status(), 200);
    assert_eq!(plain.json()["error"]["code"], "rate_limit_exceeded");
    let streamed = peer.ask(CHAT, r#"{"stream":true}"#).await;
    assert_eq!(streamed.events()[0]["error"]["code"], "rate_limit_exceeded");
    let response = peer.ask("/v1/responses", r#"{"stream":true}"#).await;
    mock.play(Reply::model_not_found().inside_200());
    let absent = peer.ask(CHAT, r#"{"model":"m","stream":true}"#).await;
    assert_eq!(absent.events()[0]["error"]["code"], "model_not_found");
    assert!(response.body.starts_with("event: error\n"));
    assert_eq!(response.events()[0]["code"], "rate_limit_exceeded");
}

#[tokio::test]
async fn two_hundreds_that_say_nothing() {
    let mock = Mock::start(Reply::filtered()).await.unwrap();
    let mut peer = Peer::to(&mock).await;
    let choice = &peer.ask(CHAT, "{}").await.json()["choices"][0];
    assert_eq!(choice["finish_reason"], "content_filter");
    assert_eq!(choice["message"]["content"], "");
    let events = peer.ask(CHAT, r#"{"stream":true}"#).await.events();
    assert_eq!(events[1]["choices"][0]["finish_reason"], "content_filter");
    let response = peer.ask("/v1/responses", r#"{"stream":true}"#).await;
    let last = response.events().pop().unwrap();
    assert_eq!(last["type"], "response.incomplete");
    assert_eq!(
        last["response"]["incomplete_details"]["reason"],
        "content_filter"
    );

    mock.play(Reply::empty());
    assert_eq!(peer.ask(CHAT, "{}").await.body, "");
    mock.play(Reply::not_json());
    assert!(peer.ask(CHAT, "{}").await.body.starts_with("<!doctype"));
    mock.play(Reply::answer("hello you").only(2));
    let short = peer.ask(CHAT, r#"{"stream":true}"#).await;
    assert_eq!(short.events().len(), 2);
    mock.play(Reply::answer("hello you").only(0));
    assert_eq!(peer.ask(CHAT, r#"{"stream":true}"#).await.body, "");
}

#[tokio::test]
async fn streams_can_open_with_other_things_than_an_answer() {
    let reply = Reply::answer("hello")
        .azure()
        .opening(": OPENROUTER PROCESSING\n\n");
    let answer = once(reply, CHAT, r#"{"stream":true}"#).await;
    assert!(
        answer
            .body
            .starts_with(": OPENROUTER PROCESSING\n\ndata: {\"choices\":[],")
    );
    let azure = once(Reply::answer("hello").azure(), CHAT, "{}")
        .await
        .json();
    assert!(azure["prompt_filter_results"].is_array());
}

#[tokio::test]
async fn headers_are_written_as_given_and_replace_the_usual_ones() {
    let reply = Reply::answer("hello")
        .header("Content-Type", "application/json; charset=utf-8")
        .header("X-RateLimit-Remaining-Requests", "0")
        .without_header("x-request-id");
    let head = once(reply, CHAT, "{}").await.head;
    assert!(head.starts_with(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\n\
         X-RateLimit-Remaining-Requests: 0\r\ncontent-length: "
    ));
}

#[tokio::test]
async fn streams_can_be_given_event_by_event() {
    let answer = once(Reply::stream(["{}", "[DONE]"]), CHAT, "{}").await;
    assert_eq!(answer.body, "data: {}\n\ndata: [DONE]\n\n");
    let raw = once(Reply::stream_raw(["event: x\r", "\n\r\n"]), CHAT, "{}").await;
    assert_eq!(
        (raw.body.as_str(), raw.chunks),
        ("event: x\r\n\r\n", vec![9, 3])
    );
}
