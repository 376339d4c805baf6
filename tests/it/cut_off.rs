//! The drain's end: whoever is still served is told that it ends here, and the
//! books do not say that the client left.

use serde_json::Value;
use standin::mock::{At, Mock, Reply, Script, Step};

use crate::books::Books;
use crate::house::{House, providers, soon};
use crate::http2::{H2, taken};
use crate::talk::{Talk, chat};

const CHAT: &str = "/v1/chat/completions";

/// As long as an answer that is passed on before its end, and longer.
const LONG: usize = 2 << 20;

/// One that says something and stops, one that says nothing, one that is long
/// and stops, and one that never stops.
async fn provider() -> Mock {
    let long = format!(r#"{{"choices":[{{"text":"{}"}}]}}"#, "x".repeat(LONG));
    let word = format!(
        r#"{{"choices":[{{"index":0,"delta":{{"content":"{}"}}}}]}}"#,
        "x".repeat(60 << 10)
    );
    let silent = Reply::steps([Step::Stall]);
    let script = Script::by_model([
        ("stuck", Reply::answer("Hello you").stall(At::Event(2))),
        ("silent", silent.clone()),
        ("long", Reply::json(200, long).stall(At::Byte(LONG))),
        ("flood", Reply::stream(vec![word; 1000])),
    ]);
    Mock::start(script.otherwise(silent)).await.unwrap()
}

/// How a drain ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Deadline,
    Signal,
}

async fn house(mock: &Mock, by: By, more: &str) -> House {
    let drain = match by {
        By::Deadline => "300ms",
        By::Signal => "1h",
    };
    let more = format!("shutdown: {{ drain: {drain} }}\n{more}");
    House::start(&providers(&[("p", mock)], &more)).await
}

async fn end(house: &House, by: By) {
    house.signal("TERM");
    house.logged("draining: ").await;
    if by == By::Signal {
        house.signal("TERM");
    }
}

async fn asks(house: &House, model: &str, stream: bool, id: &str) -> Talk {
    let mut talk = house.talk().await;
    let body = chat(&[model], stream);
    let id = format!("x-request-id: {id}");
    talk.request("POST", CHAT, &[&id], body.as_bytes()).await;
    talk
}

/// A stream's last event is the one error, and no `[DONE]` follows.
fn is_told(text: &str) {
    assert!(text.ends_with("\n\n") && !text.contains("[DONE]"), "{text}");
    let last = text.trim_end().rsplit("data: ").next().unwrap();
    let last: Value = serde_json::from_str(last).unwrap();
    assert_eq!(last["error"]["code"], "draining", "{text}");
    assert_eq!(last["error"]["type"], "server_error");
    assert_eq!(text.matches("\"error\"").count(), 1, "{text}");
}

/// The log's line of this request.
async fn told(house: &House, id: &str) -> String {
    let line = house.logged(&format!("request_id={id} ")).await;
    let ended = line
        .split("ended=")
        .nth(1)
        .unwrap_or_else(|| panic!("{line}"));
    ended.split(' ').next().unwrap().to_owned()
}

#[tokio::test]
async fn who_is_in_flight_is_told_and_is_not_said_to_have_left() {
    for by in [By::Deadline, By::Signal] {
        let (books, mock) = (Books::new(), provider().await);
        let ledger = books.yaml("serve");
        let mut house = house(&mock, by, &ledger).await;
        let mut stream = asks(&house, "p/stuck", true, "stream").await;
        let (status, headers) = stream.head().await;
        assert_eq!(status, 200);
        assert!(headers.contains(&("transfer-encoding".to_owned(), "chunked".to_owned())));
        let mut long = asks(&house, "p/long", false, "long").await;
        assert_eq!(long.head().await.0, 200);
        let mut plain = asks(&house, "p/silent", false, "plain").await;
        let mut early = asks(&house, "p/silent", true, "early").await;
        soon("the requests", mock.wait_for(4)).await;
        let mut half = house.talk().await;
        half.send(format!(
            "POST {CHAT} HTTP/1.1\r\nhost: x\r\nx-request-id: half\r\ncontent-length: 99\r\n\r\n{{\"model\""
        ))
        .await;
        end(&house, by).await;

        let mut text = String::new();
        loop {
            let chunk = soon("a chunk", stream.chunk()).await;
            let chunk = chunk.expect("the framing itself ends");
            if chunk.is_empty() {
                break;
            }
            text += std::str::from_utf8(&chunk).unwrap();
        }
        is_told(&text);
        stream.closed().await;
        while soon("an end", long.chunk())
            .await
            .is_some_and(|c| !c.is_empty())
        {}
        let broken = soon("an end", long.chunk()).await;
        assert_eq!(broken, None, "no last chunk: it does not look whole");
        for talk in [&mut plain, &mut early, &mut half] {
            let answer = talk.answer().await;
            assert_eq!((answer.status, answer.code().as_str()), (503, "draining"));
            assert_eq!(answer.header("connection"), Some("close"));
            assert!(answer.whole);
            talk.closed().await;
        }
        assert_eq!(house.ended().await.code(), Some(0));
        for (id, ended) in [
            ("stream", "cut"),
            ("long", "cut"),
            ("plain", "failed"),
            ("early", "failed"),
            ("half", "refused"),
        ] {
            assert_eq!(told(&house, id).await, ended, "{by:?} {id}");
        }
        for id in ["stream", "long"] {
            let row = books.row(id).unwrap();
            assert_eq!(row["ended"], "cut", "{by:?} {id}");
            assert!(row["output_tokens"].as_u64() > Some(0), "{row}");
        }
        for id in ["plain", "early"] {
            assert_eq!(books.row(id), None);
            let discarded = books.discarded(id);
            assert_eq!(discarded, [("p/silent".to_owned(), "timeout".to_owned())]);
        }
    }
}

#[tokio::test]
async fn over_http_2_too() {
    for by in [By::Deadline, By::Signal] {
        let (books, mock) = (Books::new(), provider().await);
        let ledger = books.yaml("serve");
        let mut house = house(&mock, by, &ledger).await;
        // One that does not read must not take the window of the others.
        let (h2, other) = (H2::to(house.at).await, H2::to(house.at).await);
        let mut answers = Vec::new();
        for (model, stream) in [("stuck", true), ("silent", false), ("long", false)] {
            let id = [("x-request-id", model)];
            let h2 = if model == "long" { &other } else { &h2 };
            let (answer, mut send) = h2.begin_with(CHAT, &id).await;
            let body = chat(&[&format!("p/{model}")], stream);
            send.send_data(body.into(), true).unwrap();
            answers.push(answer);
        }
        soon("the requests", mock.wait_for(3)).await;
        let mut answers = answers.into_iter();
        let stuck = soon("a head", answers.next().unwrap()).await.unwrap();
        let silent = answers.next().unwrap();
        let long = soon("a head", answers.next().unwrap()).await.unwrap();
        end(&house, by).await;
        let mut stuck = stuck.into_body();
        let mut text = Vec::new();
        while let Some(data) = soon("data", stuck.data()).await {
            text.extend_from_slice(&data.expect("the stream itself ends"));
        }
        is_told(std::str::from_utf8(&text).unwrap());
        let silent = soon("an answer", taken(silent)).await.unwrap();
        assert_eq!(silent.status, 503);
        assert_eq!(silent.json()["error"]["code"], "draining");
        let mut long = long.into_body();
        let broken = loop {
            match soon("data", long.data()).await {
                Some(Ok(data)) => long.flow_control().release_capacity(data.len()).unwrap(),
                Some(Err(error)) => break error,
                None => panic!("it looks whole"),
            }
        };
        assert!(
            broken.is_reset() || broken.is_go_away() || broken.is_io(),
            "{broken}"
        );
        assert_eq!(house.ended().await.code(), Some(0));
        for (id, ended) in [("stuck", "cut"), ("long", "cut"), ("silent", "failed")] {
            assert_eq!(told(&house, id).await, ended, "{by:?} {id}");
        }
        for id in ["stuck", "long"] {
            assert_eq!(books.row(id).unwrap()["ended"], "cut", "{by:?} {id}");
        }
    }
}

#[tokio::test]
async fn who_reads_nothing_holds_nothing_up() {
    let (books, mock) = (Books::new(), provider().await);
    let ledger = books.yaml("serve");
    let mut house = house(&mock, By::Deadline, &ledger).await;
    // Their heads come, and nothing after those is taken.
    let mut talk = asks(&house, "p/flood", true, "one").await;
    assert_eq!(talk.head().await.0, 200);
    let h2 = H2::to(house.at).await;
    let (answer, mut send) = h2.begin_with(CHAT, &[("x-request-id", "two")]).await;
    send.send_data(chat(&["p/flood"], true).into(), true)
        .unwrap();
    let answer = soon("a head", answer).await.unwrap();
    end(&house, By::Deadline).await;
    assert_eq!(house.ended().await.code(), Some(0));
    for id in ["one", "two"] {
        assert_eq!(told(&house, id).await, "cut", "{id}");
        assert_eq!(books.row(id).unwrap()["ended"], "cut", "{id}");
    }
    drop((talk, answer));
}

#[tokio::test]
async fn what_is_passed_through_ends_too() {
    for by in [By::Deadline, By::Signal] {
        let body = "x".repeat(100);
        let reply = Reply::plain(200, "audio/mpeg", body).stall(At::Byte(50));
        let mock = Mock::start(Script::sequence([reply, Reply::steps([Step::Stall])]));
        let mock = mock.await.unwrap();
        let passes = "passthrough: { \"/v1/audio/*\": p }\n";
        let mut house = house(&mock, by, passes).await;
        let mut talks = Vec::new();
        for id in ["begun", "silent"] {
            let mut talk = house.talk().await;
            let line = format!("x-request-id: {id}");
            talk.request("POST", "/v1/audio/speech", &[&line], b"{}")
                .await;
            if id == "begun" {
                assert_eq!(talk.head().await.0, 200);
            }
            talks.push(talk);
        }
        soon("the requests", mock.wait_for(2)).await;
        end(&house, by).await;
        let answer = talks.pop().unwrap().answer().await;
        assert_eq!((answer.status, answer.code().as_str()), (503, "draining"));
        assert_eq!(answer.header("connection"), Some("close"));
        assert_eq!(house.ended().await.code(), Some(0));
        assert_eq!(told(&house, "begun").await, "cut", "{by:?}");
        assert_eq!(told(&house, "silent").await, "failed", "{by:?}");
    }
}
