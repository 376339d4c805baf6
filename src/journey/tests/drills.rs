//! Candidates that fail on purpose.

use http::{HeaderMap, HeaderValue};
use serde_json::json;
use tokio::time::advance;

use super::journey::{Came, Inn, Trip, config, ms, seconds};
use super::play::Play;
use crate::base::Endpoint;
use crate::journey::{Ask, End};
use crate::refusal::Refusal;
use crate::wire::drill::{DrillError, FAIL};

const ON: &str = "drills: true\n";

/// A single failure would be one too many.
const STRICT: &str = "drills: true\nhealth: { failures: 1, cooldown: 1h, max_cooldown: 1h }\n";

/// Everything answers, if it is asked.
fn inn(more: &str) -> Inn {
    let good = [Play::hello()];
    Inn::new(more, &[("a/x", &good), ("b/y", &good), ("c/z", &good)])
}

fn two(drills: &str) -> Trip {
    Trip::plain(&["a/x", "b/y"]).header(FAIL, drills)
}

/// What each way to fail is in a walk, what it is called, and what the client
/// gets where nothing is left: status and code.
const WAYS: [(&str, &str, u16, &str); 17] = [
    ("400", "rejected", 400, "drill"),
    ("401", "auth", 502, "upstream_auth"),
    ("402", "auth", 502, "upstream_auth"),
    ("403", "forbidden", 502, "upstream_auth"),
    ("404", "rejected", 404, "drill"),
    ("408", "rejected", 408, "drill"),
    ("413", "rejected", 413, "drill"),
    ("422", "rejected", 422, "drill"),
    ("429", "rate_limited", 429, "drill"),
    ("499", "rejected", 499, "drill"),
    ("500", "unavailable", 500, "drill"),
    ("503", "unavailable", 503, "drill"),
    ("599", "unavailable", 599, "drill"),
    ("connect", "connect", 502, "upstream_unavailable"),
    ("reset", "reset", 502, "upstream_unavailable"),
    ("timeout", "timeout", 504, "upstream_timeout"),
    ("bad_answer", "bad_answer", 502, "upstream_bad_answer"),
];

#[tokio::test(start_paused = true)]
async fn a_drilled_candidate_fails_at_once_is_sent_nothing_and_the_next_one_answers() {
    let inn = inn(ON);
    for (way, label, ..) in WAYS {
        for trip in [
            two(&format!("a/x={way}")),
            two(&format!(" a%2fx = {way} ,")),
        ] {
            let came = inn.host(trip).await;
            assert_eq!(came.walk(), format!("a/x=drill:{way}, b/y=200"));
            assert_eq!((came.status(), came.targets()), (200, vec!["b/y"]));
            // But for the answer itself, which takes no time here.
            assert!(came.took.is_zero(), "{way}: {:?}", came.took);
            let told = came.receipt.trail.attempts();
            let status = way.parse::<u16>().ok();
            assert_eq!(
                told[0],
                json!({"model": "a/x", "provider": "a", "outcome": label,
                       "status": status, "ms": 0, "drill": true})
            );
            assert_eq!(told[1].get("drill"), None);
        }
    }
    assert_eq!(inn.asked("a/x"), 0);
}

#[tokio::test(start_paused = true)]
async fn where_all_are_drilled_the_client_gets_the_last_failure() {
    let inn = inn(ON);
    for (way, label, status, code) in WAYS {
        let came = inn.host(two(&format!("a/x=500, b/y={way}"))).await;
        assert_eq!(came.receipt.end, End::Failed);
        assert_eq!((came.status(), came.code()), (status, code.to_owned()));
        assert_eq!(came.header("content-type"), Some("application/json"));
        assert_eq!(came.header("retry-after"), None);
        assert_eq!(came.walk(), format!("a/x=drill:500, b/y=drill:{way}"));
        let json = came.json();
        assert_eq!(json["attempts"][1]["outcome"], label);
        assert_eq!(json["attempts"][1]["drill"], true);
        if code == "drill" {
            let said = json["error"]["message"].as_str().unwrap();
            assert!(said.contains("drill") && said.contains(way), "{said}");
        }
        assert!(came.tried.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_real_failure_after_a_drill_is_the_provider_s_own() {
    let inn = inn(ON);
    inn.world.plays(
        "b/y",
        &[Play::json(503, "{\"error\":{\"code\":\"theirs\"}}")],
    );
    let came = inn.host(two("a/x=timeout")).await;
    assert_eq!(came.walk(), "a/x=drill:timeout, b/y=503");
    assert_eq!((came.status(), came.code().as_str()), (503, "theirs"));
}

#[tokio::test(start_paused = true)]
async fn drills_are_nothing_to_other_requests() {
    let inn = inn(STRICT);
    for (way, ..) in WAYS {
        for _ in 0..25 {
            inn.host(two(&format!("a/x={way}"))).await;
        }
        let came = inn.host(Trip::plain(&["a/x", "b/y"])).await;
        assert_eq!(came.walk(), "a/x=200", "after {way}");
        assert_eq!(came.counted, 0);
    }
    // Nor to other models of its provider.
    inn.world.plays("a/other", &[Play::hello()]);
    assert_eq!(
        inn.host(Trip::plain(&["a/other"])).await.walk(),
        "a/other=200"
    );
}

#[tokio::test(start_paused = true)]
async fn a_drill_is_carried_out_whatever_is_known_of_the_target_and_takes_no_probe() {
    let inn = inn(ON);
    let limited = Play::error(429, "x").header("retry-after", "30");
    inn.world.plays("a/x", &[limited, Play::hello()]);
    inn.host(Trip::plain(&["a/x", "b/y"])).await;
    let came = inn.host(two("a/x=500")).await;
    assert_eq!(came.walk(), "a/x=drill:500, b/y=200");
    let came = inn.host(Trip::plain(&["a/x", "b/y"])).await;
    assert_eq!(came.walk(), "a/x=skipped:cooling, b/y=200");
    // Its time has come: the one probe is left for whoever asks in earnest.
    advance(seconds(33)).await;
    assert_eq!(
        inn.host(two("a/x=500")).await.walk(),
        "a/x=drill:500, b/y=200"
    );
    assert_eq!(inn.asked("a/x"), 1);
    let came = inn.host(Trip::plain(&["a/x", "b/y"])).await;
    assert_eq!(came.walk(), "a/x=200");
}

#[tokio::test(start_paused = true)]
async fn what_is_skipped_is_the_last_resort_of_a_drill_too() {
    let inn = inn(ON);
    let limited = Play::error(429, "x").header("retry-after", "30");
    inn.world.plays("b/y", &[limited, Play::hello()]);
    inn.host(Trip::plain(&["b/y", "c/z"])).await;
    let came = inn.host(two("a/x=reset")).await;
    assert_eq!(came.walk(), "a/x=drill:reset, b/y=skipped:cooling, b/y=200");
}

#[tokio::test(start_paused = true)]
async fn all_homes_of_a_drilled_candidate_fail() {
    let homes = "drills: true\nmodels:\n  house:\n    targets:\n      \
                 - { provider: a, upstream_model: x }\n      - { provider: b, upstream_model: y }\n";
    let came = inn(homes)
        .host(Trip::plain(&["house", "c/z"]).header(FAIL, "house=503"))
        .await;
    assert_eq!(came.walk(), "house=drill:503, house=drill:503, c/z=200");
    assert_eq!(came.targets(), ["c/z"]);
}

#[tokio::test(start_paused = true)]
async fn a_model_s_own_fallbacks_can_be_drilled() {
    let fallbacks = "drills: true\nmodels: { one: { provider: a, upstream_model: x, fallbacks: [b/y, c/z] } }\n";
    let trip = Trip::plain(&[])
        .body(json!({"model": "one", "messages": []}))
        .header(FAIL, "one=429")
        .header(FAIL, "b/y=timeout");
    let came = inn(fallbacks).host(trip).await;
    assert_eq!(came.walk(), "one=drill:429, b/y=drill:timeout, c/z=200");
}

#[tokio::test(start_paused = true)]
async fn what_is_returned_at_once_is_so_in_a_drill() {
    let at_once = "drills: true\nfailover: { return_at_once: [timeout, 422] }\n";
    for (way, status) in [("422", 422), ("timeout", 504)] {
        let came = inn(at_once).host(two(&format!("a/x={way}"))).await;
        assert_eq!(came.walk(), format!("a/x=drill:{way}"));
        assert_eq!(came.status(), status);
        assert!(came.tried.is_empty());
    }
}

/// With a slow second candidate, whose own time is short.
async fn patient(drills: &str) -> Came {
    let times = "drills: true\nfailover: { answer_timeout: 5s, total_timeout: 60s }\n";
    let inn = inn(times);
    inn.world.plays("b/y", &[Play::hello().after(seconds(50))]);
    inn.host(two(drills)).await
}

#[tokio::test(start_paused = true)]
async fn a_drill_takes_no_time_from_the_others() {
    let came = patient("a/x=timeout").await;
    assert_eq!(came.walk(), "a/x=drill:timeout, b/y=200");
    assert!(came.took >= seconds(50) && came.took < seconds(50) + ms(100));
    // Who is tried before does not know that what comes after will fail, not
    // even where live state does.
    let times = "drills: true\nfailover: { answer_timeout: 5s, total_timeout: 60s }\n";
    for is_known in [false, true] {
        let inn = inn(times);
        if is_known {
            let limited = Play::error(429, "x").header("retry-after", "300");
            inn.world.plays("b/y", &[limited]);
            inn.host(Trip::plain(&["b/y"])).await;
        }
        inn.world.plays("a/x", &[Play::hello().after(seconds(50))]);
        let came = inn.host(two("b/y=500")).await;
        assert_eq!(came.walk(), "a/x=timeout, b/y=drill:500");
        assert!(came.took < seconds(6), "{:?}", came.took);
    }
}

#[tokio::test(start_paused = true)]
async fn where_drills_are_off_the_header_is_nothing() {
    for value in ["a/x=500", "a/x", "nobody=%%", ""] {
        let came = inn("").host(two(value)).await;
        assert_eq!((came.walk(), came.status()), ("a/x=200", 200));
    }
    let off = inn("drills: false\n").host(two("a/x=500")).await;
    assert_eq!(off.walk(), "a/x=200");
}

#[tokio::test(start_paused = true)]
async fn a_walk_can_be_made_into_a_drill() {
    let names = ["a/x=200, b/y", "b/m\u{f6}de%l \u{1}", "c/z"];
    let inn = Inn::new(
        ON,
        &[
            ("a/x=200, b/y", &[Play::error(400, "x")]),
            ("b/m\u{f6}de%l \u{1}", &[Play::error(422, "x")]),
            ("c/z", &[Play::hello()]),
        ],
    );
    let came = inn.host(Trip::plain(&names)).await;
    let (walk, answered) = came.walk().rsplit_once(", ").unwrap();
    assert_eq!(answered, "c/z=200");
    let came = inn.host(Trip::plain(&names).header(FAIL, walk)).await;
    assert_eq!(
        came.walk(),
        format!("{}, c/z=200", walk.replace("=4", "=drill:4"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_drill_is_counted_apart_and_fails_no_request_in_earnest() {
    let inn = inn(ON);
    let came = [
        inn.host(two("a/x=429")).await,
        inn.host(two("a/x=429, b/y=timeout")).await,
    ];
    let told = super::counting::told(&inn, &came);
    super::counting::holds(
        &told,
        &[
            r#"standin_requests_total{endpoint="chat/completions",outcome="answered"} 1"#,
            r#"standin_requests_total{endpoint="chat/completions",outcome="drilled"} 1"#,
            r#"standin_requests_total{endpoint="chat/completions",outcome="failed"} 0"#,
            r#"standin_drills_total{model="other",outcome="rate_limited",provider="a"} 2"#,
            r#"standin_drills_total{model="other",outcome="timeout",provider="b"} 1"#,
            r#"standin_attempts_total{model="other",outcome="answered",provider="b"} 1"#,
            r#"standin_failovers_total{from="other",reason="drill",to="other"} 1"#,
        ],
    );
    let attempts = told
        .lines()
        .filter(|line| line.starts_with("standin_attempts_total{"));
    assert_eq!(attempts.count(), 1);
}

/// What is said of drills that cannot be carried out.
fn wrong(more: &str, values: &[&str]) -> Option<DrillError> {
    let config = config(more);
    let mut headers = HeaderMap::new();
    for value in values {
        headers.append(FAIL, HeaderValue::from_str(value).unwrap());
    }
    let body = json!({"models": ["a/x", "b/y", "nobody"]}).to_string();
    let id = HeaderValue::from_static("id-1");
    let mut ask = Ask::read(Endpoint::Chat, id, &headers, body.into(), &config).unwrap();
    match ask.drill(&headers, &config, None) {
        Ok(()) => None,
        Err(Refusal::BadDrill(error)) => Some(error),
        Err(refusal) => panic!("{refusal:?}"),
    }
}

#[test]
fn a_drill_that_would_drill_nothing_is_refused_and_says_which() {
    let text = str::to_owned;
    for (values, error) in [
        (&[][..], None),
        (&["a/x=429, b/y=429"], None),
        (&["a/x=429", "", "b/y=429"], None),
        (&[""], Some(DrillError::Empty)),
        (&[" , ", ","], Some(DrillError::Empty)),
        (&["a/x=oops"], Some(DrillError::Failure(text("oops")))),
        (&["a/x"], Some(DrillError::NoPair(text("a/x")))),
        (&["a/y=429"], Some(DrillError::NotListed(text("a/y")))),
        (&["A/X=429"], Some(DrillError::NotListed(text("A/X")))),
        (&["*=429"], Some(DrillError::NotListed(text("*")))),
        (
            &["a/x=429, c/z=429"],
            Some(DrillError::NotListed(text("c/z"))),
        ),
        (&["a/x=429, a/x=429"], Some(DrillError::Twice(text("a/x")))),
        (
            &["a/x=429", "a%2Fx=500"],
            Some(DrillError::Twice(text("a/x"))),
        ),
        (&["nobody=429"], Some(DrillError::Unknown(text("nobody")))),
    ] {
        assert_eq!(wrong(ON, values), error, "{values:?}");
        assert_eq!(wrong("", values), None, "{values:?}");
    }
}
