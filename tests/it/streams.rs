//! Streams: byte for byte, as they come, and never a clean-looking end.

use serde_json::{Value, json};
use standin::mock::{At, Framing, Mock, Reply, Script, Step, Usage};

use crate::house::{House, soon};
use crate::talk::{Talk, chat};

async fn one(reply: impl Into<Script>) -> (Mock, House) {
    let mock = Mock::start(reply).await.unwrap();
    let house = House::before(&[("a", &mock)], "").await;
    (mock, house)
}

/// What a provider says to this request when it is asked directly.
async fn directly(mock: &Mock, path: &str, body: &str) -> String {
    let answer = Talk::to(mock.addr()).await.post(path, body).await;
    answer.text()
}

const ODD: &str = ": OPENROUTER PROCESSING\n\nevent: x\r\nid: 7\r\ndata:  {\"id\":\"c\" , \"model\" : \"up\",\"choices\":[{\"delta\":{\"content\":\"\u{e9}\"}}]}\r\n\r\nretry: 5\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"\\\"model\\\":\\\"up\\\"\"}}],\"model\":\"up\"}\n\n: bye\n\ndata: {\"model\":\"up\",\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}],\"x_provider\":{\"model\":\"up\"}}\n\ndata: [DONE]\n\n";

#[tokio::test]
async fn all_bytes_but_the_model_come_as_they_were_sent() {
    let replaced = ODD
        .replacen("\"model\" : \"up\"", "\"model\" : \"a/m\"", 1)
        .replacen("],\"model\":\"up\"", "],\"model\":\"a/m\"", 1)
        .replacen(
            "{\"model\":\"up\",\"choices\"",
            "{\"model\":\"a/m\",\"choices\"",
            1,
        );
    for framing in [
        Framing::Usual,
        Framing::ChunkedBy(1),
        Framing::ChunkedBy(17),
        Framing::Length,
        Framing::UntilClose,
        Framing::Http10,
    ] {
        let (_mock, house) = one(Reply::stream_raw([ODD]).framing(framing.clone())).await;
        let answer = house.talk().await.chat(&["a/m"], true).await;
        assert_eq!(answer.text(), replaced, "{framing:?}");
        assert!(answer.whole);
    }
}

#[tokio::test]
async fn usage_is_shown_to_who_asked_for_it_and_to_nobody_else() {
    for path in ["/v1/chat/completions", "/v1/completions"] {
        let (mock, house) = one(Reply::answer("Hello there").usage(Usage::default()).azure()).await;
        let asking =
            json!({"model": "m", "stream": true, "stream_options": {"include_usage": true}});
        let direct = directly(&mock, path, &asking.to_string()).await;
        let mut through = asking.clone();
        through["model"] = json!("a/m");
        let seen = house.talk().await.post(path, &through.to_string()).await;
        // Azure's opening event names no model.
        let named = direct
            .replace("\"model\":\"m\"", "\"model\":\"a/m\"")
            .replace("\"model\":\"\"", "\"model\":\"a/m\"");
        let without_ids = |text: &str| -> Vec<Value> {
            text.split("\n\n")
                .filter_map(|event| serde_json::from_str(event.strip_prefix("data: ")?).ok())
                .map(|mut event: Value| {
                    event["id"] = json!(null);
                    event["created"] = json!(null);
                    event
                })
                .collect()
        };
        assert_eq!(without_ids(&seen.text()), without_ids(&named));
        assert!(seen.text().contains("\"usage\":{"), "{path}");

        for options in [
            json!(null),
            json!({"include_usage": false}),
            json!({"x": 1}),
        ] {
            let mut quiet = through.clone();
            quiet["stream_options"] = options.clone();
            let seen = house.talk().await.post(path, &quiet.to_string()).await;
            assert!(
                mock.last().unwrap().include_usage(),
                "it is asked for all the same"
            );
            assert!(!seen.text().contains("usage"), "{options}: {}", seen.text());
            assert_eq!(seen.events().last().unwrap(), "[DONE]");
            let bare = |mut event: Value| {
                event.as_object_mut().unwrap().remove("usage");
                event
            };
            let expected: Vec<Value> = without_ids(&named)
                .into_iter()
                .filter(|event| event["usage"].is_null())
                .map(bare)
                .collect();
            assert_eq!(without_ids(&seen.text()), expected);
        }
    }
}

#[tokio::test]
async fn responses_name_the_candidate_and_are_not_asked_for_usage() {
    let (mock, house) = one(Reply::answer("Hello there")).await;
    let body = json!({"model": "a/m", "input": "x", "stream": true}).to_string();
    let answer = house.talk().await.post("/v1/responses", &body).await;
    assert_eq!((answer.status, answer.whole), (200, true));
    assert!(mock.last().unwrap().json().get("stream_options").is_none());
    let named = answer.text().matches("\"model\":\"a/m\"").count();
    assert!(named >= 2, "{}", answer.text());
    assert!(!answer.text().contains("\"model\":\"m\""));
    let last: Value = serde_json::from_str(answer.events().last().unwrap()).unwrap();
    assert_eq!(last["type"], "response.completed");
}

/// Ways of breaking after so many events, and the code that the client sees.
fn breaks(after: usize) -> [(Reply, &'static str); 6] {
    let answer = || Reply::answer("one two three four").framing(Framing::Chunked);
    let place = At::Event(after);
    let late = "data: {\"error\":{\"message\":\"late\"}}\n\n";
    let late = Step::send(format!("{:x}\r\n{late}\r\n", late.len()));
    [
        (answer().cut(place), "upstream_cut"),
        (answer().stall(place), "upstream_cut"),
        (answer().only(after), "upstream_cut"),
        (
            answer().at(place, Step::send("xyz\r\n")).cut(place),
            "upstream_cut",
        ),
        (answer().at(place, late.clone()).stall(place), ""),
        (answer().at(place, late).cut(place), ""),
    ]
}

#[tokio::test]
async fn what_breaks_after_commit_ends_with_one_error_event() {
    let bad = Mock::start(Reply::empty()).await.unwrap();
    let never = Mock::start(Reply::answer("never")).await.unwrap();
    let idle = "failover: { idle_timeout: 1s }\n";
    let house = House::before(&[("a", &bad), ("b", &never)], idle).await;
    // The opening of a response is longer than that of a chat.
    for (path, after) in [
        ("/v1/chat/completions", 3),
        ("/v1/completions", 3),
        ("/v1/responses", 6),
    ] {
        for (nth, (reply, code)) in breaks(after).into_iter().enumerate() {
            bad.play(reply.clone());
            // What broke before has a name of its own.
            let model = format!("a/{}{nth}", &path[4..]);
            let body = json!({"models": [model, "b/m"], "stream": true}).to_string();
            let answer = house.talk().await.post(path, &body).await;
            let context = format!("{path} {reply:?}: {}", answer.text());
            assert_eq!(
                (answer.status, answer.walk()),
                (200, &*format!("{model}=200")),
                "{context}"
            );
            assert!(answer.whole, "{context}");
            let errors: Vec<Value> = answer
                .events()
                .iter()
                .map(|event| serde_json::from_str(event).unwrap())
                .filter(|event: &Value| event.get("error").is_some())
                .collect();
            assert_eq!(errors.len(), 1, "{context}");
            assert_eq!(
                errors[0]["error"]["code"].as_str().unwrap_or(""),
                code,
                "{context}"
            );
            assert!(
                answer.events().last().unwrap().contains("\"error\""),
                "{context}"
            );
        }
    }
    assert!(never.seen().is_empty(), "nothing falls over after commit");
}

#[tokio::test]
async fn a_client_that_leaves_cancels_the_upstream() {
    for place in [At::Start, At::Head, At::Event(1), At::Event(3)] {
        for stream in [false, true] {
            let reply = Reply::answer("one two three four").framing(Framing::Chunked);
            // A plain answer has one piece.
            let place = if stream || place != At::Event(3) {
                place
            } else {
                At::Byte(20)
            };
            let mock = Mock::start(reply.stall(place)).await.unwrap();
            let never = Mock::start(Reply::answer("never")).await.unwrap();
            let house = House::before(&[("a", &mock), ("b", &never)], "").await;
            let mut talk = house.talk().await;
            let body = chat(&["a/m", "b/m"], stream);
            let json = ["content-type: application/json"];
            talk.request("POST", "/v1/chat/completions", &json, body.as_bytes())
                .await;
            soon("the request", mock.wait_for(1)).await;
            drop(talk);
            soon("the upstream's end", mock.wait_cancelled(1)).await;
            house.logged("client_gone").await;
            assert!(never.seen().is_empty(), "no other is tried for nobody");
        }
    }
}

#[tokio::test]
async fn events_are_passed_on_in_the_turn_they_come() {
    let reply = Reply::answer("one two three").stall(At::Event(3));
    let (mock, house) = one(reply).await;
    let mut talk = house.talk().await;
    let json = ["content-type: application/json"];
    let body = chat(&["a/m"], true);
    talk.request("POST", "/v1/chat/completions", &json, body.as_bytes())
        .await;
    let (status, _) = soon("the head", talk.head()).await;
    assert_eq!(status, 200);
    let mut text = String::new();
    while !text.contains("\"two \"") {
        let chunk = soon("the words so far", talk.chunk()).await.unwrap();
        text += std::str::from_utf8(&chunk).unwrap();
    }
    assert_eq!(mock.cancelled(), 0, "the provider has not gone on yet");
}

#[tokio::test]
async fn a_slow_client_gets_everything() {
    let word = "word ".repeat(2000);
    let words: Vec<&str> = (0..2000).map(|_| word.as_str()).collect();
    let (mock, house) = one(Reply::stream_completion(words)).await;
    let mut talk = house.talk().await;
    let json = ["content-type: application/json"];
    let body = chat(&["a/m"], true);
    talk.request("POST", "/v1/chat/completions", &json, body.as_bytes())
        .await;
    // Nothing is read until the provider has been asked and all buffers
    // between are filling: 20 MB fit in none of them.
    soon("the request", mock.wait_for(1)).await;
    let answer = talk.answer().await;
    assert!(answer.whole);
    assert_eq!(answer.text().matches("word ").count(), 2000 * 2000);
    assert_eq!(answer.events().last().unwrap(), "[DONE]");
}

#[tokio::test]
async fn the_connection_serves_the_next_request_after_every_kind_of_end() {
    let script = Script::sequence([
        Reply::answer("one"),
        Reply::unavailable(),
        Reply::answer("one two three").only(3),
        Reply::filtered(),
        Reply::answer("last"),
    ]);
    let (_mock, house) = one(script).await;
    let mut talk = house.talk().await;
    let mut statuses = Vec::new();
    for _ in 0..5 {
        statuses.push(talk.chat(&["a/m"], true).await.status);
    }
    assert_eq!(statuses, [200, 503, 200, 200, 200]);
}
