//! What a collector is told of whole journeys, without sockets.

mod stage;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use self::stage::{SECRETS, Stage, attribute, has_id, nanos};
use super::queue::{Filled, Spans};
use crate::wire::drill::Drill;

const CLIENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// Every attribute of a span or an event by its name.
fn attributes(of: &Value) -> Value {
    let all = of["attributes"].as_array().unwrap();
    let all = all.iter().map(|one| {
        let key = one["key"].as_str().unwrap().to_owned();
        (key, one["value"].clone())
    });
    Value::Object(all.collect())
}

/// What holds of every request's spans: the first is the request's, all others
/// are its attempts, and lie within it.
fn hold_together(spans: &[Value]) {
    let (request, attempts) = spans.split_first().unwrap();
    assert_eq!(request["kind"], 2);
    for span in spans {
        assert!(has_id(span, "traceId", 32) && has_id(span, "spanId", 16));
        assert_eq!(span["traceId"], request["traceId"]);
        let (from, to) = nanos(span);
        assert!(from <= to, "{span}");
    }
    let (from, to) = nanos(request);
    let mut before = from;
    for attempt in attempts {
        assert_eq!(attempt["kind"], 3);
        assert_eq!(attempt["parentSpanId"], request["spanId"]);
        let (began, ended) = nanos(attempt);
        assert!(before <= began && ended <= to, "{attempt}");
        before = ended;
    }
    for event in request["events"].as_array().into_iter().flatten() {
        let at: u64 = event["timeUnixNano"].as_str().unwrap().parse().unwrap();
        assert!((from..=to).contains(&at), "{event}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_failed_over_has_a_span_for_each_attempt() {
    let mut stage = Stage::new("");
    let (ask, sent) = stage
        .ask(&["p/busy", "q/hello"], false, Some(CLIENT), None)
        .await;
    let (spans, body) = stage.told();
    hold_together(&spans);
    assert_eq!(spans.len(), 3);
    let [request, busy, hello] = &spans[..] else {
        panic!("{spans:?}");
    };
    assert_eq!(request["traceId"], "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(request["parentSpanId"], "00f067aa0ba902b7");
    assert_eq!(request["name"], "chat p/busy");
    assert_eq!(request["flags"], 0x301);
    assert_eq!(request.get("status"), None);
    assert_eq!(
        attributes(request),
        json!({
            "gen_ai.operation.name": {"stringValue": "chat"},
            "gen_ai.request.model": {"stringValue": "p/busy"},
            "http.request.method": {"stringValue": "POST"},
            "http.route": {"stringValue": "/v1/chat/completions"},
            "http.response.status_code": {"intValue": "200"},
            "gen_ai.provider.name": {"stringValue": "q"},
            "gen_ai.response.model": {"stringValue": "q/hello"},
            "gen_ai.usage.input_tokens": {"intValue": "20"},
            "gen_ai.usage.output_tokens": {"intValue": "11"},
            "gen_ai.usage.cache_read.input_tokens": {"intValue": "4"},
            "gen_ai.usage.reasoning.output_tokens": {"intValue": "2"},
            "standin.request_id": {"stringValue": "id-1"},
            "standin.end": {"stringValue": "answered"},
            "standin.attempts": {"intValue": "2"},
            "standin.failed_over": {"boolValue": true},
            "standin.cost_usd": {"stringValue": "0.000084"},
        })
    );
    assert_eq!(busy["name"], "chat busy");
    assert_eq!(busy["status"], json!({"code": 2}));
    assert_eq!(busy["flags"], 0x101);
    assert_eq!(
        attributes(busy),
        json!({
            "gen_ai.operation.name": {"stringValue": "chat"},
            "gen_ai.request.model": {"stringValue": "busy"},
            "gen_ai.provider.name": {"stringValue": "p"},
            "http.request.method": {"stringValue": "POST"},
            "server.address": {"stringValue": "p.test"},
            "server.port": {"intValue": "8443"},
            "http.response.status_code": {"intValue": "429"},
            "error.type": {"stringValue": "rate_limited"},
            "standin.model": {"stringValue": "p/busy"},
        })
    );
    assert_eq!(hello.get("status"), None);
    let said = attribute(hello, "gen_ai.usage.output_tokens");
    assert_eq!(said, &json!({"intValue": "11"}));
    // What the providers were told is what the collector is told.
    let told: Vec<String> = spans[1..].iter().map(stage::traceparent).collect();
    assert_eq!(sent, told);
    assert_eq!(ask.trace.unwrap().to_string(), stage::traceparent(request));
    for secret in SECRETS {
        assert!(!body.contains(secret), "{secret} in {body}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_s_span_ends_with_the_stream() {
    let mut stage = Stage::new("");
    stage.ask(&["p/stream"], true, None, None).await;
    let (spans, _) = stage.told();
    hold_together(&spans);
    let [request, attempt] = &spans[..] else {
        panic!("{spans:?}");
    };
    assert_eq!(request.get("parentSpanId"), None);
    assert_eq!(request["flags"], 0x101);
    // Two seconds to the first word, three to the rest.
    for span in [request, attempt] {
        let (from, to) = nanos(span);
        assert_eq!(Duration::from_nanos(to - from), Duration::from_secs(5));
        let first = attribute(span, "gen_ai.response.time_to_first_chunk");
        assert_eq!(first["doubleValue"].as_f64(), Some(2.0));
        let stream = attribute(span, "gen_ai.request.stream");
        assert_eq!(stream, &json!({"boolValue": true}));
    }
    let (_, to) = nanos(request);
    assert_eq!(to, stage::WALL.as_nanos() as u64);
}

#[tokio::test(start_paused = true)]
async fn what_is_passed_over_is_an_event() {
    let mut stage = Stage::new("");
    stage.ask(&["p/busy", "q/hello"], false, None, None).await;
    stage.told();
    let models = ["p/busy", "nobody/knows", "p/refuse", "q/hello"];
    stage.ask(&models, false, None, None).await;
    let (spans, _) = stage.told();
    hold_together(&spans);
    assert_eq!(spans.len(), 3, "{spans:#?}");
    let events = spans[0]["events"].as_array().unwrap();
    let told: Vec<Value> = events.iter().map(attributes).collect();
    assert!(events.iter().all(|event| event["name"] == "standin.skip"));
    assert_eq!(
        told,
        [
            json!({
                "gen_ai.request.model": {"stringValue": "p/busy"},
                "gen_ai.provider.name": {"stringValue": "p"},
                "standin.skip.reason": {"stringValue": "cooling"},
            }),
            json!({
                "gen_ai.request.model": {"stringValue": "nobody/knows"},
                "standin.skip.reason": {"stringValue": "unknown"},
            }),
        ]
    );
    let error = |span| attribute(span, "error.type")["stringValue"].clone();
    assert_eq!(error(&spans[1]), "connect");
    assert_eq!(
        attribute(&spans[1], "http.response.status_code"),
        &json!(null)
    );
}

#[tokio::test(start_paused = true)]
async fn a_try_that_was_none_is_an_event_too() {
    let mut stage = Stage::new("");
    stage.ask(&["p/busy"], false, None, None).await;
    stage.told();
    // Eight last resorts at a time; what the ninth would hear is known.
    stage.crowd(&["p/busy"], 8).await;
    let (spans, _) = stage.told();
    let [request] = &spans[..] else {
        panic!("{spans:#?}");
    };
    let names: Vec<&Value> = request["events"].as_array().unwrap().iter().collect();
    let names: Vec<&Value> = names.iter().map(|event| &event["name"]).collect();
    assert_eq!(names, ["standin.skip", "standin.recall"]);
    let recalled = attribute(&request["events"][1], "error.type");
    assert_eq!(recalled, &json!({"stringValue": "rate_limited"}));
    let attempts = attribute(request, "standin.attempts");
    assert_eq!(attempts, &json!({"intValue": "0"}));
}

#[tokio::test(start_paused = true)]
async fn a_drill_is_an_event_and_its_request_is_marked() {
    let mut stage = Stage::new("");
    stage.drill(&["p/busy", "q/hello"], Drill::Timeout).await;
    stage.ask(&["q/hello"], false, None, None).await;
    let (spans, _) = stage.told();
    let [request, attempt, other, _] = &spans[..] else {
        panic!("{spans:#?}");
    };
    hold_together(&spans[..2]);
    let [event] = &request["events"].as_array().unwrap()[..] else {
        panic!("{request:#?}");
    };
    assert_eq!(event["name"], "standin.drill");
    assert_eq!(
        attributes(event),
        json!({
            "gen_ai.request.model": {"stringValue": "p/busy"},
            "gen_ai.provider.name": {"stringValue": "p"},
            "error.type": {"stringValue": "timeout"},
        })
    );
    let one = json!({"intValue": "1"});
    assert_eq!(attribute(request, "standin.attempts"), &one);
    let is = json!({"boolValue": true});
    assert_eq!(attribute(request, "standin.drill"), &is);
    assert_eq!(attribute(request, "standin.failed_over"), &is);
    let model = json!({"stringValue": "q/hello"});
    assert_eq!(attribute(attempt, "standin.model"), &model);
    assert!(attribute(other, "standin.drill").is_null());
}

#[tokio::test(start_paused = true)]
async fn how_a_request_ended_stands_in_its_span() {
    for (models, stream, leaves, end, error, is_error) in [
        (
            &["p/refuse", "p/busy"][..],
            false,
            None,
            "failed",
            "rate_limited",
            true,
        ),
        (&["p/cut"], true, None, "cut", "cut", true),
        (
            &["p/silent"],
            false,
            Some(3),
            "client_gone",
            "client_gone",
            false,
        ),
        (
            &["p/stream"],
            true,
            Some(3),
            "client_gone",
            "client_gone",
            false,
        ),
    ] {
        let mut stage = Stage::new("");
        stage.ask(models, stream, None, leaves).await;
        let (spans, _) = stage.told();
        hold_together(&spans);
        assert_eq!(spans.len(), 1 + models.len());
        let text = |span, name| attribute(span, name)["stringValue"].clone();
        assert_eq!(text(&spans[0], "standin.end"), end);
        for span in [&spans[0], &spans[models.len()]] {
            assert_eq!(text(span, "error.type"), error, "{models:?}");
            let status = span.get("status").cloned();
            let expected = is_error.then(|| json!({"code": 2}));
            assert_eq!(status, expected, "{models:?}");
        }
        let failed_over = attribute(&spans[0], "standin.failed_over");
        assert_eq!(failed_over, &json!({"boolValue": false}));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_sampled_is_not_told_but_goes_on() {
    let unsampled = CLIENT.replace("-01", "-00");
    for (ratio, client, is_told) in [
        ("1.0", Some(&*unsampled), false),
        ("0", Some(CLIENT), true),
        ("0", None, false),
        ("1.0", None, true),
    ] {
        let mut stage = Stage::new(&format!(", sample_ratio: {ratio}"));
        let (_, sent) = stage.ask(&["q/hello"], false, client, None).await;
        assert_eq!(sent.len(), 1);
        assert!(sent[0].ends_with(if is_told { "-01" } else { "-00" }));
        if let Some(client) = client {
            assert_eq!(sent[0][..36], client[..36]);
            assert_ne!(sent[0][36..52], client[36..52]);
        }
        assert_eq!(!stage.told().0.is_empty(), is_told, "{ratio} {client:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_lets_the_newest_go_and_batches_have_a_bound() {
    let mut stage = Stage::new("");
    for _ in 0..2048 + 7 {
        stage.ask(&["q/hello"], false, None, None).await;
    }
    assert_eq!(stage.outlet.dropped(), 7);
    assert_eq!(stage.outlet.dropped(), 0);
    let mut ids = std::collections::HashSet::new();
    for left in (0..8).rev() {
        let (filled, spans) = stage.batch();
        assert_eq!(spans.len(), 512);
        let its = spans.iter().map(|span| span["spanId"].to_string());
        ids.extend(its);
        let expected = if left > 0 {
            Filled::Full
        } else {
            Filled::Empty
        };
        assert_eq!(filled, expected);
    }
    assert_eq!(ids.len(), 2 * 2048);
}

#[tokio::test(start_paused = true)]
async fn enough_for_a_batch_does_not_wait() {
    let stage = Stage::new("");
    let waits = Duration::from_secs(3600);
    for number in 1.. {
        stage.ask(&["q/hello"], false, None, None).await;
        let ready = tokio::time::timeout(Duration::ZERO, stage.outlet.ready());
        if ready.await.is_ok() {
            assert!((100..=256).contains(&number), "{number}");
            break;
        }
    }
    // It is said again for what comes after.
    stage.ask(&["q/hello"], false, None, None).await;
    let ready = tokio::time::timeout(waits, stage.outlet.ready());
    assert!(ready.await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_reload_keeps_the_queue_unless_its_settings_change() {
    let mut stage = Stage::new("");
    let same = Stage::new("").config;
    let other = Stage::new(", sample_ratio: 0.5").config;
    let before = Some(&stage.spans);
    let kept = Spans::of(same.otlp.as_ref(), before).unwrap();
    assert!(Arc::ptr_eq(&kept, &stage.spans));
    assert!(kept.outlet().is_none(), "it is taken");
    let new = Spans::of(other.otlp.as_ref(), before).unwrap();
    assert!(!Arc::ptr_eq(&new, &stage.spans));
    assert!(new.outlet().is_some());
    assert!(Spans::of(None, before).is_none());
    // What the old one was told is not lost with it.
    stage.ask(&["q/hello"], false, None, None).await;
    drop(kept);
    stage.spans = new;
    let (filled, spans) = stage.batch();
    assert_eq!((filled, spans.len()), (Filled::Over, 2));
}

#[tokio::test(start_paused = true)]
async fn the_resource_is_as_configured_and_all_of_it_is_json() {
    let more = r#", service_name: "a \"gate\"", resource: { "k\u00e9y": "v\\\n" }"#;
    let mut stage = Stage::new(more);
    let made_up = "q/\"\u{1}\u{e9}\\";
    stage.ask(&[made_up, "q/hello"], false, None, None).await;
    let (spans, body) = stage.told();
    let name = format!("chat {made_up}");
    assert_eq!(spans[0]["name"], name);
    let whole: Value = serde_json::from_str(&body).unwrap();
    let resource = attributes(&whole["resourceSpans"][0]["resource"]);
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        resource,
        json!({
            "service.name": {"stringValue": "a \"gate\""},
            "service.version": {"stringValue": version},
            "k\u{e9}y": {"stringValue": "v\\\n"},
        })
    );
    let scope = &whole["resourceSpans"][0]["scopeSpans"][0]["scope"];
    assert_eq!(scope, &json!({"name": "standin", "version": version}));
}
