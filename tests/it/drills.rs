//! Drills through the whole house: nobody but who asks for one feels it, and
//! only who may ask for one is heard.

use standin::config::Digest;
use standin::mock::{Mock, Reply};

use crate::books::Books;
use crate::house::{House, providers, soon};
use crate::known::Looks;
use crate::talk::{Answer, Talk, chat};

const CHAT: &str = "/v1/chat/completions";

/// One failure would be seen for an hour.
const STRICT: &str = "health: { failures: 1, cooldown: 1h, max_cooldown: 1h }\n";

const MODELS: &str = "models:
  first: { provider: one, upstream_model: m, price: { input: 2, output: 4 } }
  second: { provider: two, upstream_model: m, price: { input: 2, output: 4 } }
";

async fn two() -> (Mock, Mock) {
    (
        Mock::start(Reply::answer("Hello")).await.unwrap(),
        Mock::start(Reply::answer("Hello")).await.unwrap(),
    )
}

/// Asks for both models with these header lines.
async fn ask(house: &House, lines: &[&str], stream: bool) -> Answer {
    let mut talk = house.talk().await;
    let body = chat(&["first", "second"], stream);
    talk.post_with(CHAT, lines, &body).await
}

/// All that is known of targets and providers, last errors included; but for
/// since when, which is told to the millisecond by a clock that is set.
async fn known(house: &House) -> [serde_json::Value; 2] {
    let mut status = house.status().await;
    ["targets", "providers"].map(|what| {
        let mut rows = status[what].take();
        for row in rows.as_array_mut().unwrap() {
            row.as_object_mut().unwrap().shift_remove("since");
        }
        rows
    })
}

/// `/metrics`, once so many requests are counted.
async fn counted(house: &House, requests: u64) -> String {
    let looks = Looks::for_("the count");
    loop {
        let text = Talk::to(house.admin).await.get("/metrics").await.text();
        let series = text.lines().filter_map(|line| {
            let rest = line.strip_prefix("standin_requests_total{")?;
            rest.rsplit_once(' ')?.1.parse::<u64>().ok()
        });
        if series.sum::<u64>() == requests {
            return text;
        }
        looks.again(&text).await;
    }
}

#[tokio::test]
async fn a_drill_is_marked_wherever_it_is_told_and_changes_nothing() {
    let (one, two) = two().await;
    let books = Books::new();
    let log = "log: { format: json, level: info }\n";
    let more = format!("drills: true\n{STRICT}{MODELS}{log}{}", books.yaml("serve"));
    let house = House::before(&[("one", &one), ("two", &two)], &more).await;
    let before = known(&house).await;
    for (id, failure, stream, status) in [
        ("d1", "429", false, Some(429)),
        ("d2", "timeout", true, None),
        ("d3", "connect", true, None),
        ("d4", "401", false, Some(401)),
    ] {
        let (line, named) = (
            format!("x-standin-fail: first={failure}"),
            format!("x-request-id: {id}"),
        );
        let answer = ask(&house, &[&line, &named], stream).await;
        assert_eq!(
            (answer.status, answer.header("x-standin-model")),
            (200, Some("second"))
        );
        assert_eq!(answer.walk(), format!("first=drill:{failure}, second=200"));
        let line = house.logged(&format!("\"request_id\":\"{id}\"")).await;
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        let row = books.row(id).expect("a row");
        assert_eq!(
            (&row["model"], &row["ended"]),
            (&"second".into(), &"answered".into())
        );
        for steps in [&line["walk"], &row["trail"]] {
            assert_eq!(
                (&steps[0]["model"], &steps[0]["drill"]),
                (&"first".into(), &true.into())
            );
            assert_eq!(steps[0]["status"].as_u64(), status);
            assert!(steps[1].get("drill").is_none(), "{steps}");
        }
        assert!(books.discarded(id).is_empty());
    }
    let all = ask(
        &house,
        &["x-standin-fail: first=500", "X-Standin-Fail: second=503"],
        false,
    )
    .await;
    assert_eq!((all.status, all.code().as_str()), (503, "drill"));
    assert_eq!(all.walk(), "first=drill:500, second=drill:503");
    assert_eq!(all.header("retry-after"), None);
    assert_eq!(all.json()["attempts"][0]["drill"], true);

    let told = counted(&house, 5).await;
    for line in [
        r#"standin_drills_total{model="first",outcome="rate_limited",provider="one"} 1"#,
        r#"standin_drills_total{model="first",outcome="timeout",provider="one"} 1"#,
        r#"standin_drills_total{model="first",outcome="connect",provider="one"} 1"#,
        r#"standin_drills_total{model="first",outcome="auth",provider="one"} 1"#,
        r#"standin_drills_total{model="first",outcome="unavailable",provider="one"} 1"#,
        r#"standin_drills_total{model="second",outcome="unavailable",provider="two"} 1"#,
        r#"standin_attempts_total{model="second",outcome="answered",provider="two"} 4"#,
        r#"standin_failovers_total{from="first",reason="drill",to="second"} 4"#,
        r#"standin_requests_total{endpoint="chat/completions",outcome="drilled"} 1"#,
        r#"standin_requests_total{endpoint="chat/completions",outcome="failed"} 0"#,
        r#"standin_target_state{model="first",provider="one",state="healthy"} 1"#,
    ] {
        assert!(told.lines().any(|have| have == line), "{line} in {told}");
    }
    assert!(told.contains("# HELP standin_drills_total "));
    let tried = told
        .lines()
        .filter(|line| line.starts_with("standin_attempts_total{"));
    assert_eq!(tried.count(), 1, "{told}");

    // Nobody was asked, and nobody else is kept from asking.
    assert_eq!(one.connections(), 0);
    assert_eq!(known(&house).await, before);
    assert_eq!(ask(&house, &[], false).await.walk(), "first=200");
    let sent = two.seen();
    assert_eq!(sent.len(), 4);
    assert!(
        sent.iter()
            .all(|seen| seen.header("x-standin-fail").is_none())
    );
}

#[tokio::test]
async fn a_drill_that_cannot_be_carried_out_is_refused_before_anything_is_tried() {
    let (one, two) = two().await;
    let more = format!("drills: true\n{MODELS}");
    let house = House::before(&[("one", &one), ("two", &two)], &more).await;
    for (line, what) in [
        ("x-standin-fail: frist=429", "frist"),
        ("x-standin-fail: first=429, second", "second"),
        ("x-standin-fail: first=slow", "slow"),
        ("x-standin-fail: first=200", "200"),
        ("x-standin-fail: first=429, first=500", "first"),
        ("x-standin-fail:", "no candidate"),
        ("x-standin-fail: f\u{ef}rst=500", "f\u{ef}rst"),
    ] {
        let answer = ask(&house, &[line], false).await;
        let json = answer.json();
        let error = &json["error"];
        assert_eq!(
            (answer.status, &error["code"]),
            (400, &"bad_drill".into()),
            "{line}: {json}"
        );
        assert_eq!(error["type"], "invalid_request_error");
        assert_eq!(error["param"], "x-standin-fail");
        assert!(error["message"].as_str().unwrap().contains(what), "{json}");
        assert_eq!(answer.header("x-standin-attempts"), None);
    }
    assert_eq!((one.connections(), two.connections()), (0, 0));
}

#[tokio::test]
async fn where_drills_are_not_allowed_the_header_is_like_any_other_of_ours() {
    let (one, two) = two().await;
    let mocks = [("one", &one), ("two", &two)];
    let house = House::before(&mocks, MODELS).await;
    for line in ["x-standin-fail: first=429", "x-standin-fail: nonsense"] {
        let answer = ask(&house, &[line], false).await;
        assert_eq!((answer.status, answer.walk()), (200, "first=200"), "{line}");
    }
    assert!(
        one.seen()
            .iter()
            .all(|seen| seen.header("x-standin-fail").is_none())
    );
    // A reload lets them in, and out again.
    for (drills, walk) in [
        ("true", "first=drill:429, second=200"),
        ("false", "first=200"),
    ] {
        house.rewrite(&providers(&mocks, &format!("drills: {drills}\n{MODELS}")));
        let reloaded = Talk::to(house.admin).await.post("/-/reload", "").await;
        assert_eq!(reloaded.status, 200, "{}", reloaded.text());
        let answer = ask(&house, &["x-standin-fail: first=429"], false).await;
        assert_eq!(answer.walk(), walk);
    }
}

/// A key's entry; the key itself is its name.
fn key(name: &str, more: &str) -> String {
    let sha256 = Digest::of(name.as_bytes());
    format!("  - {{ name: {name}, sha256: \"{sha256}\"{more} }}\n")
}

#[tokio::test]
async fn a_key_may_be_allowed_drills_and_nothing_more_by_them() {
    let (one, two) = two().await;
    let dear =
        "  dear: { provider: one, upstream_model: m, price: { input: 2, output: 900000 } }\n";
    let keys = [
        key("on-call", ", drills: true, requests_per_minute: 3"),
        key("other", ""),
        key("narrow", ", drills: true, models: [second]"),
        key("poor", ", drills: true, budget: { usd: 1 }"),
    ];
    let more = format!("{MODELS}{dear}keys:\n{}", keys.concat());
    let house = House::before(&[("one", &one), ("two", &two)], &more).await;
    let drill = "x-standin-fail: first=429";
    let by = async |name: &str| {
        let key = format!("authorization: Bearer {name}");
        ask(&house, &[&key, drill], false).await
    };
    let drilled = "first=drill:429, second=200";
    assert_eq!(by("on-call").await.walk(), drilled);
    assert_eq!(by("other").await.walk(), "first=200");
    assert_eq!(
        by("narrow").await.walk(),
        "first=skipped:not_allowed, second=200"
    );
    // A drill that is refused is no request; one that is not is.
    let wrong = [
        "authorization: Bearer on-call",
        "x-standin-fail: nobody=429",
    ];
    for _ in 0..5 {
        assert_eq!(ask(&house, &wrong, false).await.code(), "bad_drill");
    }
    assert_eq!(by("on-call").await.walk(), drilled);
    assert_eq!(by("on-call").await.walk(), drilled);
    assert_eq!(by("on-call").await.code(), "requests_per_minute");
    // Who could not pay for an attempt need not pay for a drill.
    let mut talk = house.talk().await;
    let body = chat(&["dear", "second"], false);
    for (drill, walk) in [
        ("x-other: a", "dear=skipped:not_allowed, second=200"),
        ("x-standin-fail: dear=500", "dear=drill:500, second=200"),
    ] {
        let lines = ["authorization: Bearer poor", drill];
        let answer = talk.post_with(CHAT, &lines, &body).await;
        assert_eq!(answer.walk(), walk, "{}", answer.text());
    }
    // And nobody without a key.
    let nobody = soon("a refusal", ask(&house, &[drill], false)).await;
    assert_eq!(nobody.code(), "no_key");
}
