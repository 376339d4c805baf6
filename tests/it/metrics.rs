//! `/metrics`: what it counts, that it can be read, and that no client can
//! make it more than it is.

use std::collections::HashMap;
use std::io::Write as _;
use std::process::{Command, Stdio};

use standin::mock::{At, Mock, Reply};

use crate::house::{House, providers, soon};
use crate::talk::{Answer, Talk, chat};

/// Samples by name and labels, as they stand in the text.
struct Told {
    samples: HashMap<String, f64>,
    types: HashMap<String, String>,
    text: String,
}

impl Told {
    /// Reads Prometheus' text format strictly; anything else fails its test.
    fn read(text: String) -> Self {
        let (mut samples, mut types, mut helped) = (HashMap::new(), HashMap::new(), HashMap::new());
        assert!(text.ends_with('\n'));
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').unwrap();
                assert!(!help.trim().is_empty(), "{line}");
                assert!(helped.insert(name.to_owned(), ()).is_none(), "{line}");
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                assert!(helped.contains_key(name), "{line}");
                assert!(types.insert(name.to_owned(), kind.to_owned()).is_none());
            } else {
                let (series, value) = line.rsplit_once(' ').unwrap();
                let value: f64 = value.parse().unwrap();
                let name = series.split('{').next().unwrap();
                let is_name = |c: char| c.is_ascii_lowercase() || c == '_';
                assert!(name.chars().all(is_name), "{line}");
                let family = ["_bucket", "_sum", "_count"].into_iter();
                let family = family.filter_map(|end| name.strip_suffix(end));
                let mut family = family.filter(|name| types.contains_key(*name));
                assert!(types.contains_key(family.next().unwrap_or(name)), "{line}");
                assert!(!series.contains('{') || series.ends_with('}'), "{line}");
                let is_new = samples.insert(series.to_owned(), value).is_none();
                assert!(is_new, "{line}");
            }
        }
        Self {
            samples,
            types,
            text,
        }
    }

    fn of(&self, series: &str) -> f64 {
        self.samples.get(series).copied().unwrap_or_default()
    }

    /// The sum of a family's series.
    fn sum(&self, family: &str) -> f64 {
        let its = format!("{family}{{");
        let all = self.samples.iter();
        all.filter(|(series, _)| series.starts_with(&its) || *series == family)
            .map(|(_, value)| value)
            .sum()
    }
}

async fn scrape(house: &House) -> Told {
    let at = ([127, 0, 0, 1], house.admin.port()).into();
    let answer = Talk::to(at).await.get("/metrics").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(
        answer.header("content-type"),
        Some("text/plain; version=0.0.4")
    );
    Told::read(answer.text())
}

/// Scrapes until as many requests are counted and none is in flight: a client
/// has its answer's end a little before.
async fn counted(house: &House, requests: f64) -> Told {
    soon("the count", async {
        loop {
            let told = scrape(house).await;
            let have = told.sum("standin_requests_total");
            assert!(have <= requests, "{have} requests are counted");
            if have == requests && told.of("standin_in_flight") == 0.0 {
                return told;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

const MODELS: &str = "models:
  first: { provider: busy, upstream_model: m }
  second: { provider: good, upstream_model: m, price: { input: 2, output: 4 } }
ledger: { path: LEDGER }
";

/// Every family and its type.
const FAMILIES: [(&str, &str); 24] = [
    ("standin_connections", "gauge"),
    ("standin_tls_handshakes_failed_total", "counter"),
    ("standin_overloaded_total", "counter"),
    ("gen_ai_server_request_duration_seconds", "histogram"),
    ("gen_ai_server_time_to_first_token_seconds", "histogram"),
    ("gen_ai_server_time_per_output_token_seconds", "histogram"),
    ("gen_ai_client_token_usage", "histogram"),
    ("standin_requests_total", "counter"),
    ("standin_attempts_total", "counter"),
    ("standin_failovers_total", "counter"),
    ("standin_skips_total", "counter"),
    ("standin_overhead_seconds", "histogram"),
    ("standin_tokens_total", "counter"),
    ("standin_cost_usd_total", "counter"),
    ("standin_target_state", "gauge"),
    ("standin_ratelimit_remaining", "gauge"),
    ("standin_in_flight", "gauge"),
    ("standin_config_reloads_total", "counter"),
    ("standin_build_info", "gauge"),
    ("standin_config_last_reload_accepted", "gauge"),
    ("standin_ledger_pending", "gauge"),
    ("standin_ledger_trouble", "gauge"),
    ("standin_ledger_lost_total", "counter"),
    ("standin_ledger_damaged_total", "counter"),
];

#[tokio::test]
async fn counters_tell_what_was_sent_and_agree_with_the_ledger() {
    let busy = Mock::start(Reply::rate_limited(Some("300"))).await.unwrap();
    let good = Reply::answer("Hello there, all of you")
        .header("x-ratelimit-remaining-requests", "90")
        .header("x-ratelimit-reset-requests", "300s");
    let good = Mock::start(good).await.unwrap();
    let broken = Mock::start(Reply::answer("Hello there").cut(At::Event(3)))
        .await
        .unwrap();
    let folder = crate::house::Folder::new();
    let models = MODELS.replace("LEDGER", &folder.file("usage.db").display().to_string());
    let mocks = [("busy", &busy), ("good", &good), ("broken", &broken)];
    let house = House::before(&mocks, &models).await;
    let mut talk = house.talk().await;
    for stream in [false, true, true, false, true] {
        let answer = talk.chat(&["first", "second"], stream).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let failed = talk.chat(&["broken/x"], true).await;
    assert!(failed.text().contains("error"), "{}", failed.text());
    assert_eq!(talk.chat(&["nobody"], false).await.status, 404);
    assert_eq!(talk.get("/v1/nothing").await.status, 404);
    assert_eq!(talk.post("/v1/responses", "{}").await.status, 400);
    house.rewrite("nonsense: true\n");
    let mut admin = Talk::to(house.admin).await;
    assert_eq!(admin.post("/-/reload", "").await.status, 422);
    house.rewrite(&providers(&mocks, &models));
    assert_eq!(admin.post("/-/reload", "").await.status, 200);

    let told = counted(&house, 9.0).await;
    for (family, kind) in FAMILIES {
        let have = told.types.get(family).map(String::as_str);
        assert_eq!(have, Some(kind), "{family} in {}", told.text);
    }
    assert_eq!(told.types.len(), FAMILIES.len(), "{:?}", told.types);
    let version = env!("CARGO_PKG_VERSION");
    let build = format!("standin_build_info{{version=\"{version}\"}}");
    for (series, value) in [
        (
            r#"standin_requests_total{endpoint="chat/completions",outcome="answered"}"#,
            5.0,
        ),
        (
            r#"standin_requests_total{endpoint="chat/completions",outcome="cut"}"#,
            1.0,
        ),
        (
            r#"standin_requests_total{endpoint="chat/completions",outcome="refused"}"#,
            1.0,
        ),
        (
            r#"standin_requests_total{endpoint="responses",outcome="refused"}"#,
            1.0,
        ),
        (
            r#"standin_requests_total{endpoint="none",outcome="refused"}"#,
            1.0,
        ),
        (
            r#"standin_attempts_total{model="first",outcome="rate_limited",provider="busy"}"#,
            1.0,
        ),
        (
            r#"standin_attempts_total{model="second",outcome="answered",provider="good"}"#,
            5.0,
        ),
        (
            r#"standin_attempts_total{model="other",outcome="cut",provider="broken"}"#,
            1.0,
        ),
        (
            r#"standin_skips_total{model="first",provider="busy",reason="cooling"}"#,
            4.0,
        ),
        (
            r#"standin_failovers_total{from="first",reason="rate_limited",to="second"}"#,
            1.0,
        ),
        (
            r#"standin_failovers_total{from="first",reason="cooling",to="second"}"#,
            4.0,
        ),
        (
            r#"standin_target_state{model="first",provider="busy",state="cooling"}"#,
            1.0,
        ),
        (
            r#"standin_target_state{model="second",provider="good",state="healthy"}"#,
            1.0,
        ),
        (r#"standin_config_reloads_total{result="accepted"}"#, 1.0),
        (r#"standin_config_reloads_total{result="rejected"}"#, 1.0),
        ("standin_config_last_reload_accepted", 1.0),
        (r#"standin_ledger_trouble{part="database"}"#, 0.0),
        (r#"standin_ledger_trouble{part="journal"}"#, 0.0),
        ("standin_ledger_lost_total", 0.0),
        ("standin_overhead_seconds_count", 6.0),
        ("standin_in_flight", 0.0),
        (&build, 1.0),
    ] {
        assert_eq!(told.of(series), value, "{series} in {}", told.text);
    }
    assert!(told.of("standin_overhead_seconds_sum") > 0.0);
    let labels = r#"gen_ai_operation_name="chat",gen_ai_provider_name="good",gen_ai_response_model="second""#;
    for (family, count) in [
        ("gen_ai_server_request_duration_seconds", 5.0),
        ("gen_ai_server_time_to_first_token_seconds", 3.0),
        ("gen_ai_server_time_per_output_token_seconds", 3.0),
    ] {
        let series = format!("{family}_count{{{labels}}}");
        assert_eq!(told.of(&series), count, "{series} in {}", told.text);
    }
    assert_eq!(told.sum("standin_ratelimit_remaining"), 90.0);
    agrees_with_the_ledger(&told, &mut admin).await;
    parses_elsewhere(&told.text);
}

async fn agrees_with_the_ledger(told: &Told, admin: &mut Talk) {
    let rows = admin.get("/-/usage?after=0&limit=100").await.text();
    let rows: Vec<serde_json::Value> = rows
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|row: &serde_json::Value| row["provider"] == "good")
        .collect();
    assert_eq!(rows.len(), 5);
    for (kind, member) in [
        ("input", "input_tokens"),
        ("cached", "cached_tokens"),
        ("output", "output_tokens"),
        ("reasoning", "reasoning_tokens"),
    ] {
        let sum: f64 = rows.iter().map(|row| row[member].as_f64().unwrap()).sum();
        let series =
            format!("standin_tokens_total{{kind=\"{kind}\",model=\"second\",provider=\"good\"}}");
        assert_eq!(told.of(&series), sum, "{series}");
        assert!(sum > 0.0 || kind == "cached" || kind == "reasoning");
    }
    let cost = |row: &serde_json::Value| {
        let cost = row["cost_usd"].as_str().unwrap();
        cost.parse::<f64>().unwrap()
    };
    let sum: f64 = rows.iter().map(cost).sum();
    let series = r#"standin_cost_usd_total{key="none",model="second",provider="good"}"#;
    assert!(sum > 0.0 && (told.of(series) - sum).abs() < 1e-9, "{sum}");
}

/// Prometheus' own reader has the last word, where it is installed.
fn parses_elsewhere(text: &str) {
    let mut promtool = Command::new("promtool");
    promtool.args(["check", "metrics"]);
    let piped = promtool.stdin(Stdio::piped()).stdout(Stdio::piped());
    let Ok(mut child) = piped.stderr(Stdio::piped()).spawn() else {
        return;
    };
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(text.as_bytes()).unwrap();
    drop(stdin);
    let said = child.wait_with_output().unwrap();
    assert!(said.status.success(), "{said:?}");
}

#[tokio::test]
async fn names_that_clients_make_up_add_no_series() {
    let good = Mock::start(Reply::answer("Hello")).await.unwrap();
    let bad = Mock::start(Reply::internal_error()).await.unwrap();
    let house = House::before(&[("good", &good), ("bad", &bad)], "").await;
    let mut talk = house.talk().await;
    let mut series = 0;
    for number in 0..300 {
        let (bad, good) = (format!("bad/x{number}\"\\n"), format!("good/x{number}"));
        let models = [&*bad, &*good, "made up"];
        let answer = talk.chat(&models, number % 2 == 0).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let path = format!("/v1/{number}");
        assert_eq!(talk.get(&path).await.status, 404);
        if number == 1 {
            series = counted(&house, 4.0).await.samples.len();
        }
    }
    let told = counted(&house, 600.0).await;
    assert!(series > 50);
    // The breaker of `bad` opens meanwhile: one series of skips, and one of
    // failovers, at the most.
    assert!(told.samples.len() <= series + 2, "{}", told.text);
    assert!(!told.text.contains("x7") && !told.text.contains("made up"));
    let answered = r#"standin_attempts_total{model="other",outcome="answered",provider="good"}"#;
    assert_eq!(told.of(answered), 300.0);
}

#[tokio::test]
async fn what_is_in_flight_is_told_and_a_client_that_leaves_is_counted() {
    let slow = Mock::start(Reply::answer("Hello").stall(At::Head))
        .await
        .unwrap();
    let house = House::before(&[("p", &slow)], "").await;
    assert_eq!(scrape(&house).await.of("standin_in_flight"), 0.0);
    let mut talk = house.talk().await;
    let body = chat(&["p/m"], true);
    let path = "/v1/chat/completions";
    talk.request(
        "POST",
        path,
        &["content-type: application/json"],
        body.as_bytes(),
    )
    .await;
    slow.wait_for(1).await;
    assert_eq!(scrape(&house).await.of("standin_in_flight"), 1.0);
    drop(talk);
    let told = counted(&house, 1.0).await;
    let gone = r#"standin_requests_total{endpoint="chat/completions",outcome="client_gone"}"#;
    assert_eq!(told.of(gone), 1.0);
    let gone = r#"standin_attempts_total{model="other",outcome="client_gone",provider="p"}"#;
    assert_eq!(told.of(gone), 1.0);
}

async fn ask(house: &House, lines: &[&str]) -> Answer {
    let mut talk = Talk::to(([127, 0, 0, 1], house.admin.port()).into()).await;
    let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    talk.send(format!("GET /metrics HTTP/1.1\r\n{lines}\r\n"))
        .await;
    talk.answer().await
}

#[tokio::test]
async fn it_is_reached_as_health_is_and_holds_no_secret() {
    let shut = Mock::start(Reply::auth()).await.unwrap();
    let good = Mock::start(Reply::answer("an-answer-s3cret"))
        .await
        .unwrap();
    let mocks = [("shut", &shut), ("good", &good)];
    let house = House::before(&mocks, "admin_token: t0ken-secret\n").await;
    let body = chat(&["shut/m", "good/m"], false).replace("Hello", "a-prompt-s3cret");
    let lines = ["authorization: Bearer sk-of-a-client"];
    let mut talk = house.talk().await;
    let answer = talk.post_with("/v1/chat/completions", &lines, &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let told = counted(&house, 1.0).await.text;
    for secret in ["s3cret", "secret", "sk-", "t0ken"] {
        assert!(!told.contains(secret), "{secret} in {told}");
    }
    let own = format!("host: {}", house.admin);
    assert_eq!(ask(&house, &[&own]).await.status, 200);
    assert_eq!(ask(&house, &["host: standin.svc:9090"]).await.status, 403);
    let foreign = ask(&house, &[&own, "origin: http://evil.example"]).await;
    assert_eq!(foreign.status, 403);
    let mut admin = Talk::to(house.admin).await;
    assert_eq!(admin.post("/metrics", "").await.status, 405);

    let house = House::before(&mocks, "admin: 0.0.0.0:0\n").await;
    assert_eq!(ask(&house, &["host: standin.svc:9090"]).await.status, 200);
    let lines = ["host: standin.svc:9090", "origin: http://evil.example"];
    assert_eq!(ask(&house, &lines).await.status, 403);
}
