//! The end: what is in flight finishes, nothing new begins.

use standin::mock::{At, Mock, Reply, Script, Step};

use crate::house::{House, soon};
use crate::http2::{H2, taken};
use crate::raw::Raw;
use crate::talk::{Talk, chat};

const CHAT: &str = "/v1/chat/completions";

fn event(text: &str) -> String {
    format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n")
}

fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

#[tokio::test]
async fn a_stream_in_flight_finishes_and_then_the_process_ends() {
    let raw = Raw::start().await;
    let yaml = format!("providers:\n  p: {{ base_url: \"{}\" }}\n", raw.base_url());
    let mut house = House::start(&yaml).await;
    let mut admin = Talk::to(house.admin).await;
    assert_eq!(admin.get("/readyz").await.status, 200);
    let mut idle = house.talk().await;
    assert_eq!(idle.get("/v1/models").await.status, 200);
    let mut talk = house.talk().await;
    talk.request("POST", CHAT, &[], chat(&["p/m"], true).as_bytes())
        .await;
    let mut wire = raw.accept().await;
    wire.request().await;
    wire.send(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n",
    )
    .await;
    wire.send(chunk(&event("Hello"))).await;
    assert_eq!(talk.head().await.0, 200);
    let first = talk.chunk().await.unwrap();
    assert!(String::from_utf8(first).unwrap().contains("Hello"));

    house.signal("TERM");
    house.logged("draining: 1 requests in flight").await;
    idle.closed().await;
    let ready = admin.get("/readyz").await;
    assert_eq!(
        (ready.status, &ready.json()["status"]),
        (503, &"draining".into())
    );
    assert_eq!(admin.get("/healthz").await.status, 200);
    assert_eq!(admin.post("/-/reload", "").await.status, 503);
    let mut late = house.talk().await;
    let refused = late.chat(&["p/m"], false).await;
    assert_eq!((refused.status, refused.code().as_str()), (503, "draining"));
    assert_eq!(refused.json()["error"]["type"], "server_error");
    assert_eq!(refused.header("connection"), Some("close"));
    late.closed().await;

    wire.send(chunk(&event("you"))).await;
    assert!(talk.chunk().await.is_some());
    wire.send(chunk("data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n"))
        .await;
    wire.send("0\r\n\r\n").await;
    let mut rest = Vec::new();
    while let Some(chunk) = talk.chunk().await {
        if chunk.is_empty() {
            break;
        }
        rest.extend(chunk);
    }
    assert!(
        String::from_utf8(rest)
            .unwrap()
            .ends_with("data: [DONE]\n\n")
    );
    talk.closed().await;
    assert_eq!(house.ended().await.code(), Some(0));
}

#[tokio::test]
async fn an_idle_process_ends_at_once() {
    for signal in ["TERM", "INT"] {
        let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
        let drain = "shutdown: { drain: 1h }\n";
        let mut house = House::before(&[("p", &mock)], drain).await;
        let mut used = house.talk().await;
        assert_eq!(used.chat(&["p/m"], false).await.status, 200);
        let mut silent = house.talk().await;
        let mut admin = Talk::to(house.admin).await;
        assert_eq!(admin.get("/healthz").await.status, 200);
        house.signal(signal);
        assert_eq!(house.ended().await.code(), Some(0));
        used.closed().await;
        silent.closed().await;
        soon("the upstream's end", mock.wait_closed(0)).await;
    }
}

#[tokio::test]
async fn the_drain_has_an_end() {
    let mock = Mock::start(Reply::answer("Hello you").stall(At::Event(2)))
        .await
        .unwrap();
    let drain = "shutdown: { drain: 200ms }\n";
    let mut house = House::before(&[("p", &mock)], drain).await;
    let mut talk = house.talk().await;
    talk.request("POST", CHAT, &[], chat(&["p/m"], true).as_bytes())
        .await;
    assert_eq!(talk.head().await.0, 200);
    house.signal("TERM");
    house.logged("1 requests cut off").await;
    assert_eq!(house.ended().await.code(), Some(0));
}

#[tokio::test]
async fn a_second_signal_ends_the_drain() {
    let mock = Mock::start(Reply::answer("Hello you").stall(At::Event(2)))
        .await
        .unwrap();
    let mut house = House::before(&[("p", &mock)], "").await;
    let mut talk = house.talk().await;
    talk.request("POST", CHAT, &[], chat(&["p/m"], true).as_bytes())
        .await;
    assert_eq!(talk.head().await.0, 200);
    house.signal("TERM");
    house.logged("draining").await;
    house.signal("INT");
    assert_eq!(house.ended().await.code(), Some(0));
    house.logged("second signal").await;
}

#[tokio::test]
async fn a_request_in_flight_still_falls_over() {
    let first = Reply::steps([Step::Stall]);
    let mock = Mock::start(Script::by_model([
        ("slow", Script::from(first)),
        ("m", Script::from(Reply::answer("Hello"))),
    ]));
    let mock = mock.await.unwrap();
    let times = "failover: { answer_timeout: 500ms }\n";
    let mut house = House::before(&[("p", &mock)], times).await;
    let mut talk = house.talk().await;
    let body = chat(&["p/slow", "p/m"], false);
    talk.request("POST", CHAT, &[], body.as_bytes()).await;
    soon("the request", mock.wait_for(1)).await;
    house.signal("TERM");
    let answer = talk.answer().await;
    assert_eq!(answer.walk(), "p/slow=timeout, p/m=200");
    assert_eq!(answer.header("connection"), Some("close"));
    talk.closed().await;
    assert_eq!(house.ended().await.code(), Some(0));
}

#[tokio::test]
async fn requests_are_taken_on_while_readiness_says_no() {
    let mock = Mock::start(Reply::answer("Hello you")).await.unwrap();
    let lead = "shutdown: { lead: 1h }\n";
    let mut house = House::before(&[("p", &mock)], lead).await;
    let mut admin = Talk::to(house.admin).await;
    let (mut used, mut silent) = (house.talk().await, house.talk().await);
    assert_eq!(used.chat(&["p/m"], false).await.status, 200);
    let h2 = H2::to(house.at).await;
    assert_eq!(h2.chat(&["p/m"], false).await.status, 200);
    house.signal("TERM");
    house.logged("leaving").await;
    let ready = admin.get("/readyz").await;
    assert_eq!(
        (ready.status, &ready.json()["status"]),
        (503, &"draining".into())
    );
    for path in ["/healthz", "/metrics"] {
        assert_eq!(admin.get(path).await.status, 200);
    }
    assert_eq!(admin.post("/-/reload", "").await.status, 503);
    // Who is there, and who comes now, whatever is asked.
    let mut new = house.talk().await;
    for (nth, talk) in [&mut used, &mut silent, &mut new].into_iter().enumerate() {
        let answer = match nth {
            0 => talk.chat(&["p/m"], true).await,
            1 => talk.chat(&["p/m"], false).await,
            _ => talk.get("/v1/models").await,
        };
        assert_eq!((answer.status, answer.whole), (200, true));
        assert_eq!(answer.header("connection"), Some("close"), "{nth}");
        talk.closed().await;
    }
    // HTTP/2 has no such word, and gets no goodbye yet.
    for _ in 0..3 {
        assert_eq!(h2.chat(&["p/m"], false).await.status, 200);
    }
    house.signal("TERM");
    assert_eq!(house.ended().await.code(), Some(0));
    house.logged("second signal").await;
}

#[tokio::test]
async fn after_the_lead_requests_are_refused_and_those_in_flight_finish() {
    let (raw, mock) = (
        Raw::start().await,
        Mock::start(Reply::answer("Hello")).await,
    );
    let mock = mock.unwrap();
    // The one thing here that waits for a time and not for an event.
    let more = format!(
        "  raw: {{ base_url: \"{}\" }}\nshutdown: {{ lead: 2s }}\n",
        raw.base_url()
    );
    let mut house = House::before(&[("p", &mock)], &more).await;
    let (mut idle, h2) = (house.talk().await, H2::to(house.at).await);
    assert_eq!(idle.chat(&["p/m"], false).await.status, 200);
    assert_eq!(h2.chat(&["p/m"], false).await.status, 200);
    let body = chat(&["raw/m"], true);
    house.signal("TERM");
    house.logged("leaving").await;
    // They begin within the lead.
    let mut talk = house.talk().await;
    talk.request("POST", CHAT, &[], body.as_bytes()).await;
    let mut first = raw.accept().await;
    first.request().await;
    let (answer, mut send) = h2.begin(CHAT).await;
    send.send_data(body.into(), true).unwrap();
    let mut second = raw.accept().await;
    second.request().await;
    house.logged("draining: 2 requests in flight").await;
    idle.closed().await;
    let mut late = house.talk().await;
    let refused = late.chat(&["p/m"], false).await;
    assert_eq!((refused.status, refused.code().as_str()), (503, "draining"));
    assert_eq!(refused.header("connection"), Some("close"));
    late.closed().await;
    let late = H2::to(house.at).await;
    let refused = late.chat(&["p/m"], false).await;
    assert_eq!(refused.status, 503);
    assert_eq!(refused.json()["error"]["code"], "draining");
    let mut admin = Talk::to(house.admin).await;
    for path in ["/healthz", "/metrics"] {
        assert_eq!(admin.get(path).await.status, 200);
    }
    for wire in [&mut first, &mut second] {
        let end = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
        let body = chunk(&event("Hello")) + &chunk(end) + "0\r\n\r\n";
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
        wire.send(format!("{head}{body}")).await;
    }
    let answer = soon("an answer", taken(answer)).await.unwrap();
    assert_eq!((answer.status, answer.walk()), (200, "raw/m=200"));
    h2.ended().await.unwrap();
    let answer = talk.answer().await;
    assert_eq!((answer.walk(), answer.whole), ("raw/m=200", true));
    assert_eq!(answer.header("connection"), Some("close"));
    talk.closed().await;
    assert_eq!(house.ended().await.code(), Some(0));
}
