//! Spans, as a collector gets them over the wire, and what providers hear of
//! them.

use std::collections::HashSet;

use serde_json::Value;
use standin::mock::{At, Mock, Reply, Script, Seen};

use crate::house::{House, providers, soon};
use crate::talk::{Talk, chat};

const CHAT: &str = "/v1/chat/completions";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CLIENT: &str = "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const SECRET: &str = "sk-collector-never-shown";

/// The lines that send spans there.
fn otlp(at: impl std::fmt::Display, more: &str) -> String {
    format!("otlp: {{ endpoint: \"http://{at}\", headers: {{ X-Token: {SECRET} }}{more} }}\n")
}

async fn collector() -> Mock {
    Mock::start(Reply::json(200, "{}")).await.unwrap()
}

/// The spans of one export.
fn spans_of(seen: &Seen) -> Vec<Value> {
    assert_eq!(seen.target, "/v1/traces");
    assert_eq!(seen.header("content-type"), Some("application/json"));
    assert_eq!(seen.header("x-token"), Some(SECRET));
    let body = seen.json();
    let spans = &body["resourceSpans"][0]["scopeSpans"][0]["spans"];
    spans.as_array().unwrap().clone()
}

/// All that has come to a collector, once it is so many spans.
async fn spans(collector: &Mock, wanted: usize) -> Vec<Value> {
    let all = async {
        for exports in 1.. {
            collector.wait_for(exports).await;
            let seen = collector.seen();
            let spans: Vec<Value> = seen.iter().flat_map(|seen| spans_of(seen)).collect();
            assert!(spans.len() <= wanted, "{spans:#?}");
            if spans.len() == wanted {
                return spans;
            }
        }
        unreachable!("a request without an end")
    };
    soon("spans", all).await
}

fn attribute<'v>(span: &'v Value, key: &str) -> &'v Value {
    let all = span["attributes"].as_array().unwrap();
    let one = all.iter().find(|one| one["key"] == key);
    let value = one.and_then(|one| one["value"].as_object()?.values().next());
    value.unwrap_or(&Value::Null)
}

/// The request's own span, and its attempts in order.
fn request<'v>(spans: &'v [Value], id: &str) -> (&'v Value, Vec<&'v Value>) {
    let is_it = |span: &&Value| attribute(span, "standin.request_id") == id;
    let own = spans.iter().find(is_it).expect("its span came");
    let is_its = |span: &&Value| span["parentSpanId"] == own["spanId"];
    (own, spans.iter().filter(is_its).collect())
}

/// What a provider heard: the last of its requests for a model.
fn heard(mock: &Mock, model: &str) -> String {
    let seen = mock.seen();
    let its = seen.iter().rev().find(|seen| seen.model() == Some(model));
    let its = its.expect("it was asked");
    let all = its.headers.iter();
    let names = all.filter(|(name, _)| name.eq_ignore_ascii_case("traceparent"));
    assert_eq!(names.count(), 1);
    its.header("traceparent").unwrap().to_owned()
}

fn said(span: &Value) -> String {
    let (trace, id) = (&span["traceId"], &span["spanId"]);
    format!("00-{}-{}-01", trace.as_str().unwrap(), id.as_str().unwrap())
}

async fn ask(house: &House, id: &str, models: &[&str], stream: bool, more: &[&str]) -> u16 {
    let id = format!("x-request-id: {id}");
    let mut lines = vec![id.as_str()];
    lines.extend(more);
    let mut talk = house.talk().await;
    let answer = talk.post_with(CHAT, &lines, &chat(models, stream)).await;
    answer.status
}

#[tokio::test]
async fn a_collector_gets_what_providers_were_told() {
    let script = Script::by_model([
        ("busy", Reply::rate_limited(Some("600"))),
        ("down", Reply::unavailable()),
        ("good", Reply::answer("Hello")),
        ("slow", Reply::answer("Hello").stall(At::Start)),
    ]);
    let mock = Mock::start(script).await.unwrap();
    let collector = collector().await;
    let more = otlp(collector.addr(), ", service_name: gate");
    let mut house = House::before(&[("p", &mock)], &more).await;

    let state = ["tracestate: a=b", CLIENT];
    assert_eq!(
        ask(&house, "over", &["p/busy", "p/good"], false, &state).await,
        200
    );
    let over = [heard(&mock, "busy"), heard(&mock, "good")];
    let seen = mock.last().unwrap();
    assert_eq!(seen.header("tracestate"), Some("a=b"));
    // One that belongs to no trace means nothing in a new one.
    let state = ["tracestate: a=b", "traceparent: 00-1-2-01"];
    assert_eq!(
        ask(&house, "skip", &["p/busy", "p/good"], true, &state).await,
        200
    );
    let skip = heard(&mock, "good");
    assert_eq!(mock.last().unwrap().header("tracestate"), None);
    assert_eq!(ask(&house, "failed", &["p/down"], false, &[]).await, 503);
    let failed = heard(&mock, "down");
    let mut talk = house.talk().await;
    let before = mock.counts().seen;
    let lines = ["x-request-id: left"];
    let body = chat(&["p/slow"], false);
    talk.request("POST", CHAT, &lines, body.as_bytes()).await;
    soon("the attempt", mock.wait_for(before + 1)).await;
    drop(talk);
    let spans = spans(&collector, 3 + 2 + 2 + 2).await;
    let ids: HashSet<&str> = spans
        .iter()
        .map(|span| span["spanId"].as_str().unwrap())
        .collect();
    assert_eq!(ids.len(), spans.len());

    let (own, attempts) = request(&spans, "over");
    assert_eq!(own["traceId"], TRACE);
    assert_eq!(own["parentSpanId"], "00f067aa0ba902b7");
    let told: Vec<String> = attempts.iter().map(|span| said(span)).collect();
    assert_eq!(told, over);
    assert_eq!(attribute(own, "gen_ai.response.model"), "p/good");
    assert_eq!(attribute(own, "standin.failed_over"), true);
    let port = mock.addr().port().to_string();
    assert_eq!(attribute(attempts[0], "server.port"), &port);
    assert_eq!(attribute(attempts[0], "error.type"), "rate_limited");

    let (own, attempts) = request(&spans, "skip");
    assert_eq!(own.get("parentSpanId"), None);
    assert_eq!(attempts.len(), 1);
    assert_eq!(said(attempts[0]), skip);
    assert_eq!(own["events"][0]["name"], "standin.skip");
    assert!(attribute(own, "gen_ai.response.time_to_first_chunk").is_number());

    let (own, attempts) = request(&spans, "failed");
    assert_eq!(said(attempts[0]), failed);
    assert_eq!(own["status"]["code"], 2);
    assert_eq!(attribute(own, "http.response.status_code"), "503");

    let (own, attempts) = request(&spans, "left");
    assert_eq!(attribute(own, "standin.end"), "client_gone");
    assert_eq!(attribute(attempts[0], "error.type"), "client_gone");

    // The end comes soon after the last of it.
    house.signal("TERM");
    assert_eq!(house.ended().await.code(), Some(0));
    let log = house.log().join("\n");
    assert!(!log.contains(SECRET), "{log}");
}

#[tokio::test]
async fn what_a_collector_cannot_take_now_is_sent_again_and_once() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let busy = || Reply::json(503, "{}").header("retry-after", "0");
    let script = Script::sequence([busy(), Reply::json(503, "{}"), Reply::json(200, "{}")]);
    let collector = Mock::start(script).await.unwrap();
    let more = otlp(collector.addr(), "");
    let house = House::before(&[("p", &mock)], &more).await;
    assert_eq!(ask(&house, "first", &["p/m"], false, &[]).await, 200);
    soon("three exports", collector.wait_for(3)).await;
    assert_eq!(ask(&house, "second", &["p/m"], false, &[]).await, 200);
    soon("the next", collector.wait_for(4)).await;
    let seen = collector.seen();
    let ids = |seen: &Seen| -> Vec<String> {
        let spans = spans_of(seen);
        spans
            .iter()
            .map(|span| span["spanId"].to_string())
            .collect()
    };
    assert_eq!(seen[0].body, seen[1].body);
    assert_eq!(seen[0].body, seen[2].body);
    let (third, fourth) = (ids(&seen[2]), ids(&seen[3]));
    assert_eq!((third.len(), fourth.len()), (2, 2));
    assert!(third.iter().all(|id| !fourth.contains(id)));
    assert!(!house.log().join("\n").contains("did not take"));
}

#[tokio::test]
async fn what_a_collector_will_never_take_is_told_and_let_go() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let words = r#"{"message":"sk-their-words"}"#;
    let collector = Mock::start(Reply::json(400, words)).await.unwrap();
    let house = House::before(&[("p", &mock)], &otlp(collector.addr(), "")).await;
    assert_eq!(ask(&house, "a", &["p/m"], false, &[]).await, 200);
    house.logged("did not take 2 spans: it says 400").await;
    assert_eq!(ask(&house, "b", &["p/m"], false, &[]).await, 200);
    soon("the next", collector.wait_for(2)).await;
    assert_ne!(collector.seen()[0].body, collector.seen()[1].body);
    assert!(!house.log().join("\n").contains("sk-their-words"));
}

#[tokio::test]
async fn a_collector_that_is_not_there_keeps_nobody_waiting() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let dead = Mock::refused().unwrap();
    let mut house = House::before(&[("p", &mock)], &otlp(dead.addr(), "")).await;
    for _ in 0..3 {
        assert_eq!(ask(&house, "a", &["p/m"], false, &[]).await, 200);
    }
    house.logged("otlp: no connection").await;
    // More than may wait: the newest are let go.
    let mut talk = house.talk().await;
    for _ in 0..2300 {
        assert_eq!(talk.chat(&["p/m"], false).await.status, 200);
    }
    drop(talk);
    house.signal("TERM");
    assert_eq!(house.ended().await.code(), Some(0));
    house.logged("spans: no connection").await;
    house.logged("requests have no spans: the queue to").await;
}

#[tokio::test]
async fn a_collector_that_says_nothing_does_not_keep_the_process() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let silent = Mock::start(Reply::empty().stall(At::Start)).await.unwrap();
    let more = otlp(silent.addr(), ", timeout: 10m");
    let mut house = House::before(&[("p", &mock)], &more).await;
    assert_eq!(ask(&house, "a", &["p/m"], false, &[]).await, 200);
    soon("an export", silent.wait_for(1)).await;
    assert_eq!(ask(&house, "b", &["p/m"], false, &[]).await, 200);
    house.signal("TERM");
    assert_eq!(house.ended().await.code(), Some(0));
}

#[tokio::test]
async fn what_is_waiting_when_the_process_ends_is_sent() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let collector = collector().await;
    let mut house = House::before(&[("p", &mock)], &otlp(collector.addr(), "")).await;
    assert_eq!(ask(&house, "last", &["p/m"], false, &[]).await, 200);
    house.signal("TERM");
    assert_eq!(house.ended().await.code(), Some(0));
    let seen = collector.seen();
    let all: Vec<Value> = seen.iter().flat_map(|seen| spans_of(seen)).collect();
    assert_eq!(all.len(), 2);
    request(&all, "last");
}

#[tokio::test]
async fn a_reload_says_where_spans_go_and_whether() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let (first, second) = (collector().await, collector().await);
    let house = House::before(&[("p", &mock)], "").await;
    let reload = async |more: &str| {
        house.rewrite(&providers(&[("p", &mock)], more));
        let mut admin = Talk::to(house.admin).await;
        assert_eq!(admin.post("/-/reload", "").await.status, 200);
    };
    // Off: nothing is added, and what a client says goes on as it is.
    assert_eq!(ask(&house, "off", &["p/m"], false, &[]).await, 200);
    assert_eq!(mock.last().unwrap().header("traceparent"), None);
    let odd = ["traceparent: as it is", "tracestate: a=b"];
    assert_eq!(ask(&house, "off", &["p/m"], false, &odd).await, 200);
    assert_eq!(heard(&mock, "m"), "as it is");
    assert_eq!(mock.last().unwrap().header("tracestate"), Some("a=b"));

    reload(&otlp(first.addr(), "")).await;
    assert_eq!(ask(&house, "one", &["p/m"], false, &[]).await, 200);
    reload(&otlp(second.addr(), ", sample_ratio: 0")).await;
    assert_eq!(ask(&house, "two", &["p/m"], false, &[]).await, 200);
    assert!(heard(&mock, "m").ends_with("-00"));
    assert_eq!(ask(&house, "three", &["p/m"], false, &[CLIENT]).await, 200);
    request(&spans(&first, 2).await, "one");
    request(&spans(&second, 2).await, "three");
    reload("").await;
    assert_eq!(ask(&house, "off", &["p/m"], false, &[CLIENT]).await, 200);
    assert_eq!(format!("traceparent: {}", heard(&mock, "m")), CLIENT);
    assert_eq!((first.counts().seen, second.counts().seen), (1, 1));
}
